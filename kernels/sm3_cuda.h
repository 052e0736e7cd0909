// SPDX-License-Identifier: Apache-2.0
//
// SM3 (GB/T 32905-2016, §5) by a thread of a GPU, 16 rounds at a time. The multiplier does the
// additions and two rotations of nine.
#pragma once

#include "kernels/words_cuda.h"

namespace colophon::kernels {
namespace {

struct Sm3Words {
  uint32_t word[68];
};
// T_j <<< j.
constexpr Sm3Words sm3_round_constants_of() {
  Sm3Words out{};
  for (int j = 0; j < 64; ++j) {
    const uint32_t t = j < 16 ? 0x79cc4519 : 0x7a879d8a;
    out.word[j] = j % 32 == 0 ? t : rotate_left(t, j % 32);
  }
  return out;
}
__constant__ Sm3Words sm3_round_constants = sm3_round_constants_of();

// W_j from those before; of W_(j-13) its rotation by 7.
COLOPHON_HOST_DEVICE constexpr uint32_t sm3_extended(uint32_t w16, uint32_t w13_rotated,
                                                     uint32_t w9, uint32_t w6, uint32_t w3) {
  const uint32_t x = w16 ^ w9 ^ rotate_left(w3, 15);
  return (x ^ rotate_left(x, 15) ^ rotate_left(x, 23)) ^ w13_rotated ^ w6;
}

// W of the block that only ends a message of one whole block.
constexpr Sm3Words sm3_padding_words() {
  Sm3Words w{};
  w.word[0] = 0x80000000;
  w.word[15] = 512;
  for (int j = 16; j < 68; ++j) {
    w.word[j] = sm3_extended(w.word[j - 16], rotate_left(w.word[j - 13], 7), w.word[j - 9],
                             w.word[j - 6], w.word[j - 3]);
  }
  return w;
}
// W'.
constexpr Sm3Words sm3_padding_words_xor() {
  Sm3Words w = sm3_padding_words();
  for (int j = 0; j < 64; ++j) w.word[j] ^= w.word[j + 4];
  return w;
}
__constant__ Sm3Words sm3_padding = sm3_padding_words();
__constant__ Sm3Words sm3_padding_xor = sm3_padding_words_xor();

class Sm3 {
 public:
  static constexpr int kBlockWords = 16, kDigestWords = 8;
  static constexpr uint32_t kPadding = 0x80;
  static constexpr bool kHasPaddingBlock = true;

  __device__ explicit Sm3(Multiplier multiplier) : multiplier_(multiplier) {
    constexpr uint32_t kInitial[8] = {0x7380166f, 0x4914b2b9, 0x172442d7, 0xda8a0600,
                                      0xa96f30bc, 0x163138aa, 0xe38dee4d, 0xb0fb0e4e};
    copy(kInitial, hash_);
  }

  static COLOPHON_HOST_DEVICE constexpr uint64_t blocks(uint64_t bytes) {
    return (bytes + 9 + 63) / 64;
  }
  // The length, in the last block.
  static __device__ void finish(uint32_t (&w)[kBlockWords], uint64_t bytes) {
    w[14] = swap_bytes(static_cast<uint32_t>(bytes >> 29));
    w[15] = swap_bytes(static_cast<uint32_t>(bytes << 3));
  }

  // A block, bytes as in memory.
  __device__ void absorb(const uint32_t (&block)[kBlockWords]) {
    uint32_t w[16];
    COLOPHON_UNROLL
    for (int j = 0; j < 16; ++j) w[j] = swap_bytes(block[j]);
    uint32_t s[8];
    copy(hash_, s);
    // The first rounds take words of the block, all others those computed four rounds before.
#pragma unroll
    for (int j = 0; j < 16; ++j) round<true>(0, j, w, s);
#pragma unroll 1
    for (int first = 16; first < 64; first += 16) {
#pragma unroll
      for (int j = 0; j < 16; ++j) round<false>(first, j, w, s);
    }
    add_up(s);
  }
  // The block that only ends a message of one whole block.
  __device__ void absorb_padding() {
    uint32_t s[8];
    copy(hash_, s);
#pragma unroll
    for (int j = 0; j < 16; ++j) {
      step<true>(sm3_round_constants.word[j], sm3_padding.word[j], sm3_padding_xor.word[j], j, s);
    }
#pragma unroll 1
    for (int first = 16; first < 64; first += 16) {
#pragma unroll
      for (int j = 0; j < 16; ++j) {
        step<false>(sm3_round_constants.word[first + j], sm3_padding.word[first + j],
                    sm3_padding_xor.word[first + j], j, s);
      }
    }
    add_up(s);
  }

  __device__ void digest(uint32_t (&words)[kDigestWords]) const {
    COLOPHON_UNROLL
    for (int i = 0; i < 8; ++i) words[i] = swap_bytes(hash_[i]);
  }

 private:
  static __device__ void copy(const uint32_t (&from)[8], uint32_t (&to)[8]) {
    COLOPHON_UNROLL
    for (int i = 0; i < 8; ++i) to[i] = from[i];
  }
  __device__ void add_up(const uint32_t (&s)[8]) {
    COLOPHON_UNROLL
    for (int i = 0; i < 8; ++i) hash_[i] ^= s[i];
  }

  template <bool kIsFirst>
  __device__ void round(int first, int j, uint32_t (&w)[16], uint32_t (&s)[8]) const {
    const auto word = [&](int i) -> uint32_t& { return w[(j + i) % 16]; };
    if (!kIsFirst || j >= 12) {
      word(4) = sm3_extended(word(4), Multiplier::rotate_right(word(7), 32 - 7), word(11), word(14),
                             word(1));
    }
    step<kIsFirst>(sm3_round_constants.word[first + j], word(0), word(0) ^ word(4), j, s);
  }

  // Round j mod 16. The letters A to H: new ones take the places of D and H.
  template <bool kIsFirst>
  __device__ void step(uint32_t t, uint32_t w, uint32_t w_xor, int j, uint32_t (&s)[8]) const {
    const auto at = [&](int i) -> uint32_t& {
      return s[i / 4 * 4 + (i - j) % 4 + ((i - j) % 4 < 0 ? 4 : 0)];
    };
    const uint32_t a = at(0), b = at(1), c = at(2), e = at(4), f = at(5), g = at(6);
    const uint32_t a12 = rotate_left(a, 12);
    const uint32_t ss1 = rotate_left(multiplier_.add(multiplier_.add(e, t), a12), 7);
    const uint32_t ff = kIsFirst ? a ^ b ^ c : (a & b) | (a & c) | (b & c);
    const uint32_t gg = kIsFirst ? e ^ f ^ g : (e & f) | (~e & g);
    const uint32_t tt1 =
        multiplier_.add(multiplier_.add(at(3), w_xor), multiplier_.add(ff, ss1 ^ a12));
    const uint32_t tt2 = multiplier_.add(multiplier_.add(at(7), w), multiplier_.add(gg, ss1));
    at(1) = Multiplier::rotate_right(b, 32 - 9);
    at(5) = rotate_left(f, 19);
    at(3) = tt1;
    at(7) = tt2 ^ rotate_left(tt2, 9) ^ rotate_left(tt2, 17);
  }

  Multiplier multiplier_;
  uint32_t hash_[8];
};

}  // namespace
}  // namespace colophon::kernels
