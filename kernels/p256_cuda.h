// SPDX-License-Identifier: Apache-2.0
//
// ECDSA verification over P-256 on a GPU: the kernels of p256.cu, what they are given and how they
// are launched. Launched by cudaLaunchKernel with the functions' addresses, or <<<>>>; each takes
// one structure. All memory is the caller's, in the device; kernels only read what is const here.
// Work goes through a stream in this order:
//
//   a table        p256_cuda_bases, then p256_cuda_extend for phase 0 to bits - 1
//   enrolled keys  p256_cuda_scalars, p256_cuda_verify_enrolled (or ..._split), ..._exceptions
//   unknown keys   the keys' tables with kP256CudaUnknownBits and one window; p256_cuda_scalars,
//                  p256_cuda_verify_unknown, p256_cuda_verify_exceptions
//
// Tables have the form of comb.h, byte for byte as the kernels "portable" build them.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernels/ecdsa.h"

#if defined(__CUDACC__)
#define COLOPHON_KERNEL __global__
#else
#define COLOPHON_KERNEL
#endif

namespace colophon::kernels {

// Bytes as they came, the most significant first, moved in words.
struct P256CudaSignature {
  uint32_t r[8];  // in [1, n - 1]
  uint32_t s[8];  // likewise
  uint32_t e[8];  // the digest
  uint32_t key;   // index
};
static_assert(sizeof(P256CudaSignature) == 100 && alignof(P256CudaSignature) == 4);

struct P256CudaKey {
  uint32_t x[8];  // bytes as above; a point of the curve
  uint32_t y[8];
  uint64_t table;  // its address in the device, 64-byte aligned
};
static_assert(sizeof(P256CudaKey) == 72 && alignof(P256CudaKey) == 8);

// Keys without a table of their own get one of a single window, for doublings.
constexpr unsigned kP256CudaUnknownBits = 5;

struct P256CudaBatch {
  const P256CudaSignature* signatures;
  const P256CudaKey* keys;
  const void* generator;    // its table
  uint32_t* scalars;        // scratch: 16 rows of `count`
  uint32_t* exceptions;     // 1 + count; the first is 0 before p256_cuda_verify_*
  uint8_t* verdicts;        // 1 or 0; 0 for exceptions, until they are decided
  uint32_t count;           // below 2^28
  uint32_t generator_bits;  // of the tables' windows, kWindowBitsMin to kWindowBitsMax
  uint32_t key_bits;        // likewise; kP256CudaUnknownBits for unknown keys
  uint32_t lanes;           // of a signature in p256_cuda_verify_split: 2, 4, 8, 16 or 32
};

struct P256CudaTables {
  const P256CudaKey* keys;
  void* steps;  // scratch: 128 bytes a key and window, 64-byte aligned
  uint32_t count;
  uint32_t bits;
  uint32_t windows;  // a key: all 256 bits' or 1
  uint32_t phase;    // of p256_cuda_extend
};

// Threads a block of each kernel, and blocks for a given work.
constexpr uint32_t kP256CudaVerifyThreads = 128;
constexpr uint32_t kP256CudaThreads = 256;      // of all others
constexpr uint32_t kP256CudaScalarsEach = 4;    // signatures a thread of p256_cuda_scalars
constexpr uint32_t kP256CudaAdditionsEach = 4;  // a thread of p256_cuda_extend
constexpr uint32_t p256_cuda_blocks(uint64_t work, uint32_t a_block) {
  return static_cast<uint32_t>((work + a_block - 1) / a_block);
}
// Points that a phase makes: below 2^32 - 2^10, which limits the keys at once.
constexpr uint64_t p256_cuda_additions(const P256CudaTables& tables) {
  const uint64_t rows = tables.phase == 0 ? 0 : uint64_t{1} << (tables.phase - 1);
  const uint64_t steps = tables.phase + 1 < tables.bits ? 1 : 0;
  return uint64_t{tables.count} * tables.windows * (rows + steps);
}

// u1 and u2, recoded (comb.h), from e, r and s. A thread each for kP256CudaScalarsEach signatures,
// or for one: more inversions, sooner done.
COLOPHON_KERNEL void p256_cuda_scalars(P256CudaBatch batch);
COLOPHON_KERNEL void p256_cuda_scalars_each(P256CudaBatch batch);

// u1·G + u2·Q by table rows alone. A signature a thread, or for small batches several lanes a
// signature, which share its rows.
COLOPHON_KERNEL void p256_cuda_verify_enrolled(P256CudaBatch batch);
COLOPHON_KERNEL void p256_cuda_verify_split(P256CudaBatch batch);
// With doublings between the rows of the key.
COLOPHON_KERNEL void p256_cuda_verify_unknown(P256CudaBatch batch);
// The signatures set aside, by complete formulas; any number of blocks.
COLOPHON_KERNEL void p256_cuda_verify_exceptions(P256CudaBatch batch);

// 2^(bits·i)·P for each window, row 0 of each.
COLOPHON_KERNEL void p256_cuda_bases(P256CudaTables tables);
// From m rows the next m (comb.h), m = 2^(phase - 1); the first phase prepares only.
COLOPHON_KERNEL void p256_cuda_extend(P256CudaTables tables);

}  // namespace colophon::kernels
