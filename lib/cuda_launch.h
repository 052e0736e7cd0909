// SPDX-License-Identifier: Apache-2.0
//
// The kernels of kernels/p256_cuda.h on a stream, in their order. All memory is the caller's, and
// has to stay until the stream is done.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/ecdsa.h"
#include "kernels/p256_cuda.h"

namespace colophon {

// Of a table's row; of the one-window table of a key that has none; scratch of a key and window
// while its table is built; scratch of a signature.
inline constexpr std::size_t kCudaRowBytes = 64;
inline constexpr std::size_t kCudaUnknownTableBytes =
    kCudaRowBytes * kernels::row_count(kernels::kP256CudaUnknownBits);
inline constexpr std::size_t kCudaStepBytes = 128;
inline constexpr std::size_t kCudaScalarBytes = 64;

// `point`: x ‖ y.
inline void set_point(kernels::P256CudaKey& key, const std::uint8_t* point) {
  std::memcpy(key.x, point, sizeof(key.x));
  std::memcpy(key.y, point + sizeof(key.x), sizeof(key.y));
}

// Threads of p256_cuda_verify_split that the current device, of so many multiprocessors, holds at
// once.
[[nodiscard]] cudaError_t count_resident_threads(std::uint32_t multiprocessors,
                                                 std::uint32_t* threads);

// Of a kernel that takes one structure, as all of ours.
template <class Argument>
[[nodiscard]] cudaError_t launch_kernel(void (*kernel)(Argument), std::uint32_t blocks,
                                        std::uint32_t threads, Argument argument,
                                        cudaStream_t stream) {
  void* arguments[] = {&argument};
  return cudaLaunchKernel(reinterpret_cast<const void*>(kernel), dim3(blocks, 1, 1),
                          dim3(threads, 1, 1), arguments, 0, stream);
}

// The rows of `tables`, from the keys' points on.
[[nodiscard]] cudaError_t launch_tables(kernels::P256CudaTables tables, cudaStream_t stream);

struct P256CudaForm {
  bool with_tables = false;      // of the keys' own; else they have those of one window
  bool invert_together = false;  // scalars of several signatures
  std::uint32_t multiprocessors = 0;
};
// What went wrong, if `result` says so.
struct CudaLaunched {
  cudaError_t result = cudaSuccess;
  const char* what = "";
};
// The verdicts of `batch`; its tables are there by then.
[[nodiscard]] CudaLaunched launch_verify(const kernels::P256CudaBatch& batch,
                                         const P256CudaForm& form, cudaStream_t stream);

}  // namespace colophon
