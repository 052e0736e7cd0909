// SPDX-License-Identifier: Apache-2.0
//
// Keccak-256 (The Keccak reference, version 3.0, §1) by a thread of a GPU, a round at a time. There
// is nothing but logic and rotations, which are too many for the ALU: the multiplier does those
// of ρ but for two, and then both are as long at it.
#pragma once

#include "kernels/words_cuda.h"

namespace colophon::kernels {
namespace {

struct KeccakRoundConstants {
  uint64_t word[24];
};
__constant__ KeccakRoundConstants keccak_round_constants = {
    {0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000,
     0x000000000000808b, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
     0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
     0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003,
     0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
     0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008}};

class Keccak256 {
 public:
  static constexpr int kBlockWords = 34, kDigestWords = 8;  // of 32 bits
  static constexpr uint32_t kPadding = 0x01;
  static constexpr bool kHasPaddingBlock = false;

  __device__ explicit Keccak256(Multiplier) {
    COLOPHON_UNROLL
    for (int i = 0; i < 25; ++i) lane_[i] = 0;
  }

  static COLOPHON_HOST_DEVICE constexpr uint64_t blocks(uint64_t bytes) {
    return bytes / (4 * kBlockWords) + 1;
  }
  static __device__ void finish(uint32_t (&w)[kBlockWords], uint64_t) {
    w[kBlockWords - 1] |= 0x80000000;
  }

  // A block, bytes as in memory.
  __device__ void absorb(const uint32_t (&block)[kBlockWords]) {
    COLOPHON_UNROLL
    for (int i = 0; i < kBlockWords / 2; ++i) {
      lane_[i] ^= uint64_t{block[2 * i + 1]} << 32 | block[2 * i];
    }
#pragma unroll 1
    for (int round = 0; round < 24; ++round) permute(keccak_round_constants.word[round]);
  }

  __device__ void digest(uint32_t (&words)[kDigestWords]) const {
    COLOPHON_UNROLL
    for (int i = 0; i < kDigestWords / 2; ++i) {
      words[2 * i] = static_cast<uint32_t>(lane_[i]);
      words[2 * i + 1] = static_cast<uint32_t>(lane_[i] >> 32);
    }
  }

 private:
  static __device__ uint64_t rotate_on_multiplier(uint64_t x, unsigned n) {
    const uint32_t low = static_cast<uint32_t>(n < 32 ? x : x >> 32);
    const uint32_t high = static_cast<uint32_t>(n < 32 ? x >> 32 : x);
    return uint64_t{Multiplier::funnel_left(low, high, n % 32)} << 32 |
           Multiplier::funnel_left(high, low, n % 32);
  }

  __device__ void permute(uint64_t round_constant) {
    uint64_t c[5], turned[5];
    COLOPHON_UNROLL
    for (int x = 0; x < 5; ++x) {
      c[x] = lane_[x] ^ lane_[x + 5] ^ lane_[x + 10] ^ lane_[x + 15] ^ lane_[x + 20];
    }
    COLOPHON_UNROLL
    for (int x = 0; x < 5; ++x) turned[x] = c[x] << 1 | c[x] >> 63;
    constexpr unsigned kRho[25] = {0,  1,  62, 28, 27, 36, 44, 6,  55, 20, 3,  10, 43,
                                   25, 39, 41, 45, 15, 21, 8,  18, 2,  61, 56, 14};
    uint64_t b[25];
    COLOPHON_UNROLL
    for (int i = 0; i < 25; ++i) {
      const int x = i % 5, y = i / 5;
      const unsigned n = kRho[i];
      const uint64_t lane = (lane_[i] ^ c[(x + 4) % 5]) ^ turned[(x + 1) % 5];
      b[y + 5 * ((2 * x + 3 * y) % 5)] = i == 0  ? lane
                                         : i < 3 ? lane << n | lane >> (64 - n)
                                                 : rotate_on_multiplier(lane, n);
    }
    COLOPHON_UNROLL
    for (int i = 0; i < 25; ++i) {
      const int y = i / 5 * 5;
      lane_[i] = b[i] ^ (~b[y + (i + 1) % 5] & b[y + (i + 2) % 5]);
    }
    lane_[0] ^= round_constant;
  }

  uint64_t lane_[25];  // x + 5y
};

}  // namespace
}  // namespace colophon::kernels
