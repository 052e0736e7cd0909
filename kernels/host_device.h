// SPDX-License-Identifier: Apache-2.0
//
// How functions and loops are marked that run on a CPU and on a GPU.
#pragma once

// What may run on a GPU as well.
#if defined(__CUDACC__)
#define COLOPHON_HOST_DEVICE __host__ __device__
#else
#define COLOPHON_HOST_DEVICE
#endif
// Field elements live in registers only if every call on the way is inlined, and every loop over
// limbs unrolled.
#define COLOPHON_INLINE COLOPHON_HOST_DEVICE inline __attribute__((always_inline))
#if defined(__CUDACC__)
#define COLOPHON_UNROLL _Pragma("unroll")
#else
#define COLOPHON_UNROLL _Pragma("GCC unroll 16")
#endif
