// SPDX-License-Identifier: Apache-2.0
//
// Keccak[c = 512] with 256 bits of output as an iterated hash (iterated_hash.h) over any words of
// 64 bits (The Keccak reference, version 3.0). kPadding is the byte after the message: 0x01 in the
// submission, 0x06 in SHA3-256 (FIPS 202).
#pragma once

#include "kernels/hash_words.h"
#include "kernels/iterated_hash.h"

namespace colophon::kernels {
namespace {

template <uint8_t kPadding>
struct Keccak {
  using Scalar = uint64_t;
  static constexpr ByteOrder kOrder = ByteOrder::kLittle;
  static constexpr unsigned kStateWords = 25;
  static constexpr unsigned kBlockWords = 17;
  static constexpr unsigned kDigestWords = 4;
  static constexpr uint64_t kStart[kStateWords] = {};

  static constexpr unsigned pad(uint8_t* block, size_t used, uint64_t /*bytes*/) {
    for (size_t i = used; i < 8 * kBlockWords; ++i) block[i] = 0;
    block[used] = kPadding;
    block[8 * kBlockWords - 1] |= 0x80;
    return 1;
  }

  template <class W>
  COLOPHON_INLINE static void compress(W state[25], W block[17]) {
    W a[25];
    COLOPHON_UNROLL
    for (int i = 0; i < 17; ++i) a[i] = state[i] ^ block[i];
    COLOPHON_UNROLL
    for (int i = 17; i < 25; ++i) a[i] = state[i];
    for (const uint64_t constant : kRound) round(a, constant);
    _Pragma("GCC unroll 25") for (int i = 0; i < 25; ++i) state[i] = a[i];
  }

 private:
  static constexpr uint64_t kRound[24] = {
      0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000,
      0x000000000000808b, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
      0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
      0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003,
      0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
      0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008};

  template <class W>
  COLOPHON_INLINE static void round(W a[25], uint64_t constant) {
    // theta
    W c[5];
    COLOPHON_UNROLL
    for (int x = 0; x < 5; ++x) c[x] = xor3(xor3(a[x], a[x + 5], a[x + 10]), a[x + 15], a[x + 20]);
    COLOPHON_UNROLL
    for (int x = 0; x < 5; ++x) {
      const W& left = c[(x + 4) % 5];
      const W right = rotate_left<1>(c[(x + 1) % 5]);
      COLOPHON_UNROLL
      for (int y = 0; y < 25; y += 5) a[x + y] = xor3(a[x + y], left, right);
    }
    // rho and pi: the lane at (x, y), rotated, goes to (y, 2x + 3y)
    const W b[25] = {a[0],
                     rotate_left<44>(a[6]),
                     rotate_left<43>(a[12]),
                     rotate_left<21>(a[18]),
                     rotate_left<14>(a[24]),
                     rotate_left<28>(a[3]),
                     rotate_left<20>(a[9]),
                     rotate_left<3>(a[10]),
                     rotate_left<45>(a[16]),
                     rotate_left<61>(a[22]),
                     rotate_left<1>(a[1]),
                     rotate_left<6>(a[7]),
                     rotate_left<25>(a[13]),
                     rotate_left<8>(a[19]),
                     rotate_left<18>(a[20]),
                     rotate_left<27>(a[4]),
                     rotate_left<36>(a[5]),
                     rotate_left<10>(a[11]),
                     rotate_left<15>(a[17]),
                     rotate_left<56>(a[23]),
                     rotate_left<62>(a[2]),
                     rotate_left<55>(a[8]),
                     rotate_left<39>(a[14]),
                     rotate_left<41>(a[15]),
                     rotate_left<2>(a[21])};
    // chi and iota
    COLOPHON_UNROLL
    for (int y = 0; y < 25; y += 5) {
      COLOPHON_UNROLL
      for (int x = 0; x < 5; ++x) {
        a[y + x] = xor_and_not(b[y + x], b[y + (x + 1) % 5], b[y + (x + 2) % 5]);
      }
    }
    a[0] = a[0] ^ constant;
  }
};

using Keccak256 = Keccak<0x01>;

}  // namespace
}  // namespace colophon::kernels
