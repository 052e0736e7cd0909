// SPDX-License-Identifier: Apache-2.0
#include "cuda_launch.h"

#include <algorithm>

namespace colophon {
namespace {

using kernels::kP256CudaThreads;
using kernels::kP256CudaVerifyThreads;
using kernels::p256_cuda_blocks;

}  // namespace

cudaError_t count_resident_threads(std::uint32_t multiprocessors, std::uint32_t* threads) {
  int blocks = 0;
  const cudaError_t result = cudaOccupancyMaxActiveBlocksPerMultiprocessor(
      &blocks, reinterpret_cast<const void*>(kernels::p256_cuda_verify_split),
      static_cast<int>(kP256CudaVerifyThreads), 0);
  *threads = multiprocessors * static_cast<std::uint32_t>(blocks) * kP256CudaVerifyThreads;
  return result;
}

cudaError_t launch_tables(kernels::P256CudaTables tables, cudaStream_t stream) {
  cudaError_t result =
      launch_kernel(kernels::p256_cuda_bases, p256_cuda_blocks(tables.count, kP256CudaThreads),
                    kP256CudaThreads, tables, stream);
  for (tables.phase = 0; tables.phase < tables.bits && result == cudaSuccess; ++tables.phase) {
    result = launch_kernel(kernels::p256_cuda_extend,
                           p256_cuda_blocks(kernels::p256_cuda_additions(tables),
                                            kP256CudaThreads * kernels::kP256CudaAdditionsEach),
                           kP256CudaThreads, tables, stream);
  }
  return result;
}

CudaLaunched launch_verify(const kernels::P256CudaBatch& batch, const P256CudaForm& form,
                           cudaStream_t stream) {
  const std::uint32_t scalars_a_block =
      kP256CudaThreads * (form.invert_together ? kernels::kP256CudaScalarsEach : 1);
  auto* const scalars =
      form.invert_together ? kernels::p256_cuda_scalars : kernels::p256_cuda_scalars_each;
  cudaError_t result = launch_kernel(scalars, p256_cuda_blocks(batch.count, scalars_a_block),
                                     kP256CudaThreads, batch, stream);
  if (result != cudaSuccess) return {result, "launch of p256_cuda_scalars"};

  auto* const verify = !form.with_tables  ? kernels::p256_cuda_verify_unknown
                       : batch.lanes == 0 ? kernels::p256_cuda_verify_enrolled
                                          : kernels::p256_cuda_verify_split;
  const std::uint64_t threads = std::uint64_t{batch.count} * std::max(batch.lanes, 1U);
  result = launch_kernel(verify, p256_cuda_blocks(threads, kP256CudaVerifyThreads),
                         kP256CudaVerifyThreads, batch, stream);
  if (result != cudaSuccess) return {result, "launch of p256_cuda_verify"};

  // Hardly ever any: as many as one wave holds are enough for all that there can be.
  const std::uint32_t blocks =
      std::min(p256_cuda_blocks(batch.count, kP256CudaThreads), form.multiprocessors);
  result =
      launch_kernel(kernels::p256_cuda_verify_exceptions, blocks, kP256CudaThreads, batch, stream);
  return {result, "launch of p256_cuda_verify_exceptions"};
}

}  // namespace colophon
