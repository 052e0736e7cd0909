// SPDX-License-Identifier: Apache-2.0
#include <cuda_runtime.h>

#include "tests/gpu_emulator/cuda_registration.h"
#include "tests/gpu_emulator/cuda_runtime_kernels.h"

namespace colophon::gpu_emulator::test {
namespace {

constexpr unsigned kBounded = 64;

__constant__ std::uint32_t factors[4] = {1, 2, 3, 4};
__device__ std::uint32_t counter = 7;

__device__ std::uint32_t index() { return blockIdx.x * blockDim.x + threadIdx.x; }

__global__ void axpy_kernel(std::uint32_t a, const std::uint32_t* x, std::uint32_t* y,
                            std::uint32_t n) {
  const std::uint32_t i = index();
  if (i < n) y[i] += a * x[i];
}

template <bool kBarrier>
__global__ void block_sums_kernel(const std::uint32_t* x, std::uint32_t* sums) {
  __shared__ std::uint32_t partial[kBlock];
  partial[threadIdx.x] = x[index()];
  __syncthreads();
  for (unsigned half = kBlock / 2; half != 0; half /= 2) {
    if (threadIdx.x < half) partial[threadIdx.x] += partial[threadIdx.x + half];
    if (kBarrier || half != kBlock / 2) __syncthreads();
  }
  if (threadIdx.x == 0) sums[blockIdx.x] = partial[0];
}

__global__ void reverse_kernel(std::uint32_t* x) {
  extern __shared__ std::uint32_t turned[];
  turned[blockDim.x - 1 - threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  x[threadIdx.x] = turned[threadIdx.x];
}

__global__ void store_kernel(std::uint32_t* to, std::uint32_t value) { *to = value; }

__global__ void spin_kernel(const volatile std::uint32_t* flag) {
  while (*flag != 0) {
  }
}

__global__ void use_symbols_kernel(std::uint32_t* y, std::uint32_t n) {
  const std::uint32_t i = index();
  if (i >= n) return;
  y[i] = factors[i % 4];
  atomicAdd(&counter, 1U);
}

__global__ void take_numbers_kernel(std::uint32_t* next, std::uint32_t* y, std::uint32_t n) {
  const std::uint32_t i = index();
  if (i < n) y[i] = atomicAdd(next, 1U);
}

__global__ void __launch_bounds__(kBounded) bounded_kernel(std::uint32_t* to) {
  if (to != nullptr) to[threadIdx.x] = threadIdx.x;
}

unsigned blocks(std::uint32_t n) { return (n + kBlock - 1) / kBlock; }

}  // namespace

void axpy(std::uint32_t a, const std::uint32_t* x, std::uint32_t* y, std::uint32_t n,
          cudaStream_t stream) {
  axpy_kernel<<<blocks(n), kBlock, 0, stream>>>(a, x, y, n);
}

void block_sums(const std::uint32_t* x, std::uint32_t* sums, std::uint32_t n, cudaStream_t stream) {
  block_sums_kernel<true><<<n / kBlock, kBlock, 0, stream>>>(x, sums);
}

void block_sums_without_barrier(const std::uint32_t* x, std::uint32_t* sums, std::uint32_t n,
                                cudaStream_t stream) {
  block_sums_kernel<false><<<n / kBlock, kBlock, 0, stream>>>(x, sums);
}

void reverse(std::uint32_t* x, std::uint32_t n, unsigned bytes_each, cudaStream_t stream) {
  reverse_kernel<<<1, n, n * bytes_each, stream>>>(x);
}

void store(std::uint32_t* to, std::uint32_t value, cudaStream_t stream) {
  store_kernel<<<1, 1, 0, stream>>>(to, value);
}

void spin(const std::uint32_t* flag, cudaStream_t stream) {
  spin_kernel<<<1, 1, 0, stream>>>(flag);
}

void use_symbols(std::uint32_t* y, std::uint32_t n, cudaStream_t stream) {
  use_symbols_kernel<<<blocks(n), kBlock, 0, stream>>>(y, n);
}

void take_numbers(std::uint32_t* next, std::uint32_t* y, std::uint32_t n, cudaStream_t stream) {
  take_numbers_kernel<<<blocks(n), kBlock, 0, stream>>>(next, y, n);
}

void bounded(std::uint32_t* to, unsigned threads, cudaStream_t stream) {
  bounded_kernel<<<1, threads, 0, stream>>>(to);
}

const void* const factors_symbol = &factors;
const void* const counter_symbol = &counter;
const void* const reverse_function = reinterpret_cast<const void*>(reverse_kernel);
const void* const block_sums_function = reinterpret_cast<const void*>(block_sums_kernel<true>);
const void* const bounded_function = reinterpret_cast<const void*>(bounded_kernel);

}  // namespace colophon::gpu_emulator::test
