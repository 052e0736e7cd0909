// SPDX-License-Identifier: Apache-2.0
//
// SHA-256 (FIPS 180-4, §6.2) by a thread of a GPU, a block of known length unrolled with what is
// known of it (padding, the length, the first state) worked out by the compiler, or 16 rounds at a
// time, which is a tenth of the code.
//
// How Σ saves three instructions of nine: the three rotations of Σ1 are by 6, 6 + 5 and 6 + 19, so
// Σ1(e) = (e ⊕ e>>>5 ⊕ e>>>19)>>>6, and the last rotation and the addition to it are one LEA.HI.
#pragma once

#include "kernels/sha2_constants.h"
#include "kernels/words_cuda.h"

namespace colophon::kernels {
namespace {

__constant__ Sha256Words sha256_round_constants = kSha256RoundConstants;

// Which words of a block's schedule are known beforehand.
struct Sha256Schedule {
  bool known[64];
  uint32_t value[64];  // 0 where it is not known
  uint32_t sum[64];    // of that and the round constant
};

COLOPHON_HOST_DEVICE constexpr uint32_t sha256_sigma(uint32_t x, unsigned a, unsigned b,
                                                     unsigned shift) {
  return rotate_left(x, 32 - a) ^ rotate_left(x, 32 - b) ^ x >> shift;
}

// Of a block of which words `from` to 15 are known: the end of `bytes` bytes, the padding. The word
// before them may hold the padding's first bit beside bytes of the message.
COLOPHON_HOST_DEVICE constexpr Sha256Schedule sha256_schedule(int from, uint32_t bytes) {
  Sha256Schedule out{};
  for (int t = from; t < 16; ++t) out.known[t] = true;
  if (bytes % 4 == 0 && from < 16) out.value[from] = 0x80000000;
  if (from < 16) out.value[15] = 8 * bytes;
  for (int t = 16; t < 64; ++t) {
    out.known[t] = out.known[t - 2] && out.known[t - 7] && out.known[t - 15] && out.known[t - 16];
    if (out.known[t]) {
      out.value[t] = sha256_sigma(out.value[t - 2], 17, 19, 10) + out.value[t - 7] +
                     sha256_sigma(out.value[t - 15], 7, 18, 3) + out.value[t - 16];
    }
  }
  for (int t = 0; t < 64; ++t) out.sum[t] = out.value[t] + kSha256RoundConstants.word[t];
  return out;
}

// What is known of the blocks of a few lengths; and of the eight rotations in the schedule of two
// words, how many fill the multiplier when it does them.
struct Sha256AnyBlock {  // nothing
  static constexpr int kKnownFrom = 16;
  static constexpr uint32_t kBytes = 0;
  static constexpr int kOnMultiplier = 3;
};
struct Sha256Of64 : Sha256AnyBlock {  // likewise, but the block after it has no schedule
  static constexpr int kOnMultiplier = 7;
};
struct Sha256EndOf64 : Sha256AnyBlock {  // nothing but padding
  static constexpr int kKnownFrom = 0;
  static constexpr uint32_t kBytes = 64;
};
struct Sha256EndOf65 : Sha256AnyBlock {  // a byte
  static constexpr int kKnownFrom = 1;
  static constexpr uint32_t kBytes = 65;
};
struct Sha256Of33 : Sha256AnyBlock {  // 33 bytes
  static constexpr int kKnownFrom = 9;
  static constexpr uint32_t kBytes = 33;
};

class Sha256 {
 public:
  static constexpr int kBlockWords = 16, kDigestWords = 8;
  static constexpr uint32_t kPadding = 0x80;

  __device__ explicit Sha256(Multiplier multiplier) : multiplier_(multiplier) {
    constexpr uint32_t kInitial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};  // §5.3.3
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
    for (int t = 0; t < 16; ++t) w[t] = swap_bytes(block[t]);
    compress_rolled<Sha256AnyBlock, false>(w);
  }
  __device__ void digest(uint32_t (&words)[kDigestWords]) const {
    COLOPHON_UNROLL
    for (int i = 0; i < 8; ++i) words[i] = swap_bytes(hash_[i]);
  }

  // A block, unrolled. `w`: its words that are not known; used up.
  template <class Block, bool kIsFirst>
  __device__ void compress(uint32_t (&w)[16]) {
    constexpr Sha256Schedule kSchedule = sha256_schedule(Block::kKnownFrom, Block::kBytes);
    uint32_t s[8];
    copy(hash_, s);
#pragma unroll
    for (int t = 0; t < 64; ++t) {
      if (t >= 16) extend<Block::kOnMultiplier>(kSchedule, t, w);
      round<kIsFirst>(kSchedule, t, w, s);
    }
    add_up(s);
  }

  // The same by a loop over 16 rounds, the first 32 apart with what is known.
  template <class Block, bool kIsFirst>
  __device__ void compress_rolled(uint32_t (&w)[16]) {
    constexpr Sha256Schedule kSchedule = sha256_schedule(Block::kKnownFrom, Block::kBytes);
    constexpr Sha256Schedule kNothing = sha256_schedule(16, 0);
    uint32_t s[8];
    copy(hash_, s);
#pragma unroll
    for (int t = 0; t < 32; ++t) {
      if (t >= 16) extend<Block::kOnMultiplier>(kSchedule, t, w);
      round<kIsFirst>(kSchedule, t, w, s);
    }
#pragma unroll 1
    for (int first = 32; first < 64; first += 16) {
#pragma unroll
      for (int t = 0; t < 16; ++t) {
        extend<Block::kOnMultiplier>(kNothing, 16 + t, w);
        const uint32_t k = sha256_round_constants.word[first + t];
        step(multiplier_.add(multiplier_.add(s[(7 - t) & 7], k), w[t]), t, s);
      }
    }
    add_up(s);
  }

  __device__ void copy_hash(uint32_t (&hash)[8]) const { copy(hash_, hash); }

 private:
  static __device__ void copy(const uint32_t (&from)[8], uint32_t (&to)[8]) {
    COLOPHON_UNROLL
    for (int i = 0; i < 8; ++i) to[i] = from[i];
  }
  __device__ void add_up(const uint32_t (&s)[8]) {
    COLOPHON_UNROLL
    for (int i = 0; i < 8; ++i) hash_[i] = multiplier_.add(s[i], hash_[i]);
  }

  // W[t], in the place of W[t - 16].
  template <int kOnMultiplier>
  __device__ void extend(const Sha256Schedule& schedule, int t, uint32_t (&w)[16]) const {
    if (schedule.known[t]) {
      w[t % 16] = schedule.value[t];
      return;
    }
    uint32_t sum = 0;
    bool is_empty = true;
    const auto add = [&](uint32_t value) {
      sum = is_empty ? value : multiplier_.add(sum, value);
      is_empty = false;
    };
    const auto known = [&](int of) { return schedule.known[of]; };
    const auto is_zero = [&](int of) { return known(of) && schedule.value[of] == 0; };
    const auto word = [&](int of) { return known(of) ? schedule.value[of] : w[of % 16]; };
    if (!is_zero(t - 16)) add(word(t - 16));
    if (!is_zero(t - 7)) add(word(t - 7));
    const int moved = kOnMultiplier * (t + 1) / 2 - kOnMultiplier * t / 2;
    const auto rotate = [&](int i, uint32_t x, unsigned n) {
      return i < moved ? Multiplier::rotate_right(x, n) : rotate_right(x, n);
    };
    const auto add_sigma = [&](int of, int i, unsigned a, unsigned b, unsigned shift) {
      const uint32_t x = word(of);
      if (!known(of))
        add(rotate(i, x, a) ^ rotate(i + 1, x, b) ^ Multiplier::shift_right(x, shift));
      if (known(of) && !is_zero(of)) add(sha256_sigma(x, a, b, shift));
    };
    add_sigma(t - 15, 0, 7, 18, 3);
    add_sigma(t - 2, 2, 17, 19, 10);
    w[t % 16] = sum;
  }

  template <bool kIsFirst>
  __device__ void round(const Sha256Schedule& schedule, int t, const uint32_t (&w)[16],
                        uint32_t (&s)[8]) const {
    const uint32_t k = schedule.sum[t];
    const uint32_t h = s[(7 - t) & 7];
    uint32_t sum = kIsFirst && t < 4 ? h + k : multiplier_.add(h, k);  // a constant at first
    if (!schedule.known[t]) sum = multiplier_.add(sum, w[t % 16]);
    step(sum, t, s);
  }

  // Round t, with `sum` of h, W and K. The letters a to h stand at s[-t], …, s[7 - t].
  __device__ void step(uint32_t sum, int t, uint32_t (&s)[8]) const {
    const auto at = [&](int i) -> uint32_t& { return s[(i - t) & 7]; };
    const uint32_t a = at(0), b = at(1), c = at(2), e = at(4), f = at(5), g = at(6);
    const uint32_t ee = e ^ rotate_right(e, 5) ^ rotate_right(e, 19);
    const uint32_t aa = a ^ rotate_right(a, 11) ^ rotate_right(a, 20);
    const uint32_t t1 = rotate_right(ee, 6) + multiplier_.add(sum, (e & f) ^ (~e & g));
    const uint32_t maj = (a & b) ^ (a & c) ^ (b & c);
    at(3) = multiplier_.add(at(3), t1);
    at(7) = rotate_right(aa, 2) + multiplier_.add(t1, maj);
  }

  Multiplier multiplier_;
  uint32_t hash_[8];
};

}  // namespace
}  // namespace colophon::kernels
