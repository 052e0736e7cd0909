// SPDX-License-Identifier: Apache-2.0
//
// Kernels for the runtime's test, each launched with <<< >>> by a function of its name. Pointers
// are the device's.
#pragma once

#include <driver_types.h>

#include <cstdint>

namespace colophon::gpu_emulator::test {

constexpr unsigned kBlock = 128;  // threads

// y[i] += a * x[i]
void axpy(std::uint32_t a, const std::uint32_t* x, std::uint32_t* y, std::uint32_t n,
          cudaStream_t stream = nullptr);
// sums[b] = sum of the block's kBlock numbers, through shared memory; n a multiple of kBlock.
void block_sums(const std::uint32_t* x, std::uint32_t* sums, std::uint32_t n,
                cudaStream_t stream = nullptr);
// The same with one barrier left out.
void block_sums_without_barrier(const std::uint32_t* x, std::uint32_t* sums, std::uint32_t n,
                                cudaStream_t stream = nullptr);
// One block turns the order of its n ≤ 1024 numbers round in n * bytes_each of dynamic shared
// memory.
void reverse(std::uint32_t* x, std::uint32_t n, unsigned bytes_each = 4,
             cudaStream_t stream = nullptr);
// *to = value
void store(std::uint32_t* to, std::uint32_t value, cudaStream_t stream = nullptr);
// Loops as long as *flag is not 0, and nobody changes it.
void spin(const std::uint32_t* flag, cudaStream_t stream = nullptr);
// y[i] = factors[i % 4], and counts its threads in `counter`.
void use_symbols(std::uint32_t* y, std::uint32_t n, cudaStream_t stream = nullptr);
// Numbers the threads in the order in which they come: y[i] = (*next)++.
void take_numbers(std::uint32_t* next, std::uint32_t* y, std::uint32_t n,
                  cudaStream_t stream = nullptr);
// to[i] = i, unless `to` is null. Compiled for at most 64 threads a block.
void bounded(std::uint32_t* to, unsigned threads, cudaStream_t stream = nullptr);

// For cudaMemcpyToSymbol and the like.
extern const void* const factors_symbol;  // 4 numbers, constant; at first 1, 2, 3, 4
extern const void* const counter_symbol;  // one number; at first 7

// For cudaFuncSetAttribute and the like.
extern const void* const reverse_function;
extern const void* const block_sums_function;
extern const void* const bounded_function;

}  // namespace colophon::gpu_emulator::test
