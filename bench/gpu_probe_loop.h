// SPDX-License-Identifier: Apache-2.0
//
// The loop around what gpu_probe.h measures, and multiplications mod p in it, of which there is a
// unit for each form of the reduction.
#pragma once

#include <cstdint>

#include "kernels/curve.h"
#include "kernels/field_scalar.h"

namespace colophon::bench {

constexpr std::uint32_t kProbeThreads = 1024;  // a block, one on each multiprocessor

struct ProbeWork {
  std::uint32_t steps;
  std::uint32_t seed;
  std::uint32_t* out;     // a word a thread
  std::uint64_t* clocks;  // one a block
};

extern "C" __global__ void probe_p256_by_adds(ProbeWork work);
extern "C" __global__ void probe_p256_by_wide(ProbeWork work);

namespace {

// A Body takes a seed, has step() and unrolled(), how many steps a turn of the loop is, and ends as
// a word of all it computed, so that none of it is left out.
template <class Body>
__device__ void probe_loop(const ProbeWork& work) {
  Body body(work.seed + threadIdx.x);
  __syncthreads();
  const std::uint64_t begin = clock64();
#pragma unroll 1
  for (std::uint32_t i = 0; i < work.steps; ++i) {
#pragma unroll
    for (int k = 0; k < Body::kUnrolled; ++k) body.step();
  }
  __syncthreads();
  const std::uint64_t end = clock64();
  work.out[blockIdx.x * blockDim.x + threadIdx.x] = body.word();
  if (threadIdx.x == 0) work.clocks[blockIdx.x] = end - begin;
}

class Multiplications {
 public:
  static constexpr int kUnrolled = 1;
  explicit __device__ Multiplications(std::uint32_t seed) {
    for (int i = 0; i < 8; ++i) a_.limb[i] = b_.limb[i] = seed * (2 * i + 1);
    a_.limb[7] = b_.limb[7] = seed >> 1;  // below p
  }
  __device__ void step() { a_ = Field::mul(a_, b_); }
  [[nodiscard]] __device__ std::uint32_t word() const {
    std::uint32_t all = 0;
    for (int i = 0; i < 8; ++i) all ^= a_.limb[i];
    return all;
  }

 private:
  using Field = kernels::FieldScalar<kernels::P256Prime>;
  Field::E a_, b_;
};

}  // namespace
}  // namespace colophon::bench
