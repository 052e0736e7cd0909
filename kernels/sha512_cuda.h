// SPDX-License-Identifier: Apache-2.0
//
// SHA-512 (FIPS 180-4, §6.4) by a thread of a GPU, 16 rounds at a time. As in sha256_cuda.h, with
// all additions on the multiplier.
#pragma once

#include "kernels/words_cuda.h"

namespace colophon::kernels {
namespace {

struct Sha512Words {
  uint64_t word[80];
};
// §4.2.3.
constexpr Sha512Words kSha512RoundConstants = {
    {0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc,
     0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118,
     0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
     0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235, 0xc19bf174cf692694,
     0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
     0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
     0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4,
     0xc6e00bf33da88fc2, 0xd5a79147930aa725, 0x06ca6351e003826f, 0x142929670a0e6e70,
     0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
     0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
     0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30,
     0xd192e819d6ef5218, 0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
     0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8,
     0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3,
     0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
     0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b,
     0xca273eceea26619c, 0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178,
     0x06f067aa72176fba, 0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
     0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc, 0x431d67c49c100d4c,
     0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817}};
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
