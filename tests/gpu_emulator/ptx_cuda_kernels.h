// SPDX-License-Identifier: Apache-2.0
//
// What the kernels of ptx_cuda_kernels.cu and their test agree on.
#pragma once

#include <stdint.h>

namespace colophon::gpu_emulator {

// A number below 2^256, its lowest word first.
struct Number256 {
  uint32_t word[8];
};

// Of kernel "mixed": passed by value, with bytes between words.
struct MixedOptions {
  uint8_t first;
  int16_t second;
  uint32_t table[5];
  uint64_t factor;
  uint8_t last[3];
};
static_assert(sizeof(MixedOptions) == 40 && alignof(MixedOptions) == 8);

constexpr uint32_t kMixedThreads = 96;
constexpr uint32_t kReduceThreads = 128;

}  // namespace colophon::gpu_emulator
