// SPDX-License-Identifier: Apache-2.0
//
// SHA-512 (FIPS 180-4, §6.4) by a thread of a GPU, 16 rounds at a time. As in sha256_cuda.h, with
// all additions on the multiplier.
#pragma once

#include "kernels/sha2_constants.h"
#include "kernels/words_cuda.h"

namespace colophon::kernels {
namespace {

__constant__ Sha512Words sha512_round_constants = kSha512RoundConstants;

COLOPHON_HOST_DEVICE constexpr uint64_t rotate_right(uint64_t x, unsigned n) {
  return x >> n | x << (64 - n);
}
COLOPHON_HOST_DEVICE constexpr uint64_t sha512_sigma0(uint64_t x) {
  return rotate_right(x, 1) ^ rotate_right(x, 8) ^ x >> 7;
}
COLOPHON_HOST_DEVICE constexpr uint64_t sha512_sigma1(uint64_t x) {
  return rotate_right(x, 19) ^ rotate_right(x, 61) ^ x >> 6;
}

// W + K of the block that only ends a message of one whole block.
constexpr Sha512Words sha512_padding_sums() {
  Sha512Words w{};
  w.word[0] = uint64_t{1} << 63;
  w.word[15] = 1024;
  for (int t = 16; t < 80; ++t) {
    w.word[t] = sha512_sigma1(w.word[t - 2]) + w.word[t - 7] + sha512_sigma0(w.word[t - 15]) +
                w.word[t - 16];
  }
  for (int t = 0; t < 80; ++t) w.word[t] += kSha512RoundConstants.word[t];
  return w;
}
__constant__ Sha512Words sha512_padding = sha512_padding_sums();

class Sha512 {
 public:
  static constexpr int kBlockWords = 32, kDigestWords = 16;  // of 32 bits
  static constexpr uint32_t kPadding = 0x80;
  static constexpr bool kHasPaddingBlock = true;

  __device__ explicit Sha512(Multiplier multiplier) : multiplier_(multiplier) {
    constexpr uint64_t kInitial[8] = {0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b,
                                      0xa54ff53a5f1d36f1, 0x510e527fade682d1, 0x9b05688c2b3e6c1f,
                                      0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};  // §5.3.5
    copy(kInitial, hash_);
  }

  static COLOPHON_HOST_DEVICE constexpr uint64_t blocks(uint64_t bytes) {
    return (bytes + 17 + 127) / 128;
  }
  // The length, in the last block.
  static __device__ void finish(uint32_t (&w)[kBlockWords], uint64_t bytes) {
    w[29] = swap_bytes(static_cast<uint32_t>(bytes >> 61));
    w[30] = swap_bytes(static_cast<uint32_t>(bytes >> 29));
    w[31] = swap_bytes(static_cast<uint32_t>(bytes << 3));
  }

  // A block, bytes as in memory.
  __device__ void absorb(const uint32_t (&block)[kBlockWords]) {
    uint64_t w[16];
    COLOPHON_UNROLL
    for (int t = 0; t < 16; ++t) {
      w[t] = uint64_t{swap_bytes(block[2 * t])} << 32 | swap_bytes(block[2 * t + 1]);
    }
    uint64_t s[8];
    copy(hash_, s);
#pragma unroll 1
    for (int first = 0; first < 80; first += 16) {
#pragma unroll
      for (int t = 0; t < 16; ++t) {
        step(multiplier_.add(w[t], sha512_round_constants.word[first + t]), t, s);
      }
      if (first < 64) {
#pragma unroll
        for (int t = 0; t < 16; ++t) {
          const uint64_t old = multiplier_.add(w[t], w[(t + 9) % 16]);
          const uint64_t sum = multiplier_.add(sha512_sigma0(w[(t + 1) % 16]), old);
          w[t] = multiplier_.add(sha512_sigma1(w[(t + 14) % 16]), sum);
        }
      }
    }
    add_up(s);
  }
  // The block that only ends a message of one whole block.
  __device__ void absorb_padding() {
    uint64_t s[8];
    copy(hash_, s);
#pragma unroll 1
    for (int first = 0; first < 80; first += 16) {
#pragma unroll
      for (int t = 0; t < 16; ++t) step(sha512_padding.word[first + t], t, s);
    }
    add_up(s);
  }

  __device__ void digest(uint32_t (&words)[kDigestWords]) const {
    COLOPHON_UNROLL
    for (int i = 0; i < 8; ++i) {
      words[2 * i] = swap_bytes(static_cast<uint32_t>(hash_[i] >> 32));
      words[2 * i + 1] = swap_bytes(static_cast<uint32_t>(hash_[i]));
    }
  }

 private:
  static __device__ void copy(const uint64_t (&from)[8], uint64_t (&to)[8]) {
    COLOPHON_UNROLL
    for (int i = 0; i < 8; ++i) to[i] = from[i];
  }
  __device__ void add_up(const uint64_t (&s)[8]) {
    COLOPHON_UNROLL
    for (int i = 0; i < 8; ++i) hash_[i] = multiplier_.add(s[i], hash_[i]);
  }

  // Round t, with W + K. The letters a to h stand at s[-t], …, s[7 - t].
  __device__ void step(uint64_t wk, int t, uint64_t (&s)[8]) const {
    const auto at = [&](int i) -> uint64_t& { return s[(i - t) & 7]; };
    const uint64_t a = at(0), b = at(1), c = at(2), e = at(4), f = at(5), g = at(6);
    const uint64_t ee = e ^ rotate_right(e, 4) ^ rotate_right(e, 27);
    const uint64_t aa = a ^ rotate_right(a, 6) ^ rotate_right(a, 11);
    const uint64_t sum = multiplier_.add(multiplier_.add(at(7), wk), (e & f) ^ (~e & g));
    const uint64_t t1 = multiplier_.add(rotate_right(ee, 14), sum);
    const uint64_t t2 = multiplier_.add(rotate_right(aa, 28), (a & b) ^ (a & c) ^ (b & c));
    at(3) = multiplier_.add(at(3), t1);
    at(7) = multiplier_.add(t1, t2);
  }

  Multiplier multiplier_;
  uint64_t hash_[8];
};

}  // namespace
}  // namespace colophon::kernels
