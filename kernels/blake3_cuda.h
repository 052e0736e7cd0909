// SPDX-License-Identifier: Apache-2.0
//
// BLAKE3's compression (paper, §2.2, 2.3) by a thread of a GPU. The multiplier does the additions.
#pragma once

#include "kernels/words_cuda.h"

namespace colophon::kernels {
namespace {

constexpr uint32_t kBlake3ChunkStart = 1, kBlake3ChunkEnd = 2, kBlake3Parent = 4, kBlake3Root = 8;
constexpr uint32_t kBlake3BlockBytes = 64;

class Blake3 {
 public:
  __device__ explicit Blake3(Multiplier multiplier) : multiplier_(multiplier) {
    constexpr uint32_t kKey[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    COLOPHON_UNROLL
    for (int i = 0; i < 8; ++i) value_[i] = kKey[i];
  }

  // A block; `bytes` of it are the message's.
  __device__ void compress(const uint32_t (&m)[16], uint64_t chunk, uint32_t bytes,
                           uint32_t flags) {
    uint32_t s[16];
    COLOPHON_UNROLL
    for (int i = 0; i < 8; ++i) s[i] = value_[i];
    s[8] = 0x6a09e667, s[9] = 0xbb67ae85, s[10] = 0x3c6ef372, s[11] = 0xa54ff53a;
    s[12] = static_cast<uint32_t>(chunk);
    s[13] = static_cast<uint32_t>(chunk >> 32);
    s[14] = bytes;
    s[15] = flags;
    constexpr int kPermutation[16] = {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8};
    int of[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};  // m in this round
#pragma unroll
    for (int round = 0; round < 7; ++round) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        mix(s[i], s[4 + i], s[8 + i], s[12 + i], m[of[2 * i]], m[of[2 * i + 1]]);
      }
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        mix(s[i], s[4 + (i + 1) % 4], s[8 + (i + 2) % 4], s[12 + (i + 3) % 4], m[of[8 + 2 * i]],
            m[of[9 + 2 * i]]);
      }
      int next[16];
#pragma unroll
      for (int i = 0; i < 16; ++i) next[i] = of[kPermutation[i]];
#pragma unroll
      for (int i = 0; i < 16; ++i) of[i] = next[i];
    }
    COLOPHON_UNROLL
    for (int i = 0; i < 8; ++i) value_[i] = s[i] ^ s[8 + i];
  }

  __device__ void copy_value(uint32_t (&value)[8]) const {
    COLOPHON_UNROLL
    for (int i = 0; i < 8; ++i) value[i] = value_[i];
  }

 private:
  __device__ void mix(uint32_t& a, uint32_t& b, uint32_t& c, uint32_t& d, uint32_t x,
                      uint32_t y) const {
    a = multiplier_.add(multiplier_.add(a, x), b);
    d = rotate_right(d ^ a, 16);
    c = multiplier_.add(d, c);
    b = rotate_right(b ^ c, 12);
    a = multiplier_.add(multiplier_.add(a, y), b);
    d = rotate_right(d ^ a, 8);
    c = multiplier_.add(d, c);
    b = rotate_right(b ^ c, 7);
  }

  Multiplier multiplier_;
  uint32_t value_[8];
};

}  // namespace
}  // namespace colophon::kernels
