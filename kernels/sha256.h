// SPDX-License-Identifier: Apache-2.0
//
// SHA-256 (FIPS 180-4) as an iterated hash (iterated_hash.h) over any words of 32 bits.
#pragma once

#include "kernels/hash_words.h"
#include "kernels/iterated_hash.h"
#include "kernels/sha2_constants.h"

namespace colophon::kernels {
namespace {

struct Sha256 {
  using Scalar = uint32_t;
  static constexpr ByteOrder kOrder = ByteOrder::kBig;
  static constexpr unsigned kStateWords = 8;
  static constexpr unsigned kBlockWords = 16;
  static constexpr unsigned kDigestWords = 8;
  static constexpr uint32_t kStart[kStateWords] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                                   0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  static constexpr const uint32_t (&kRound)[64] = kSha256RoundConstants.word;

  static constexpr unsigned pad(uint8_t* block, size_t used, uint64_t bytes) {
    return pad_with_length<64, 8>(block, used, bytes);
  }

  // w becomes the last sixteen words of the schedule.
  template <class W>
  COLOPHON_INLINE static void compress(W state[8], W w[16]) {
    W s[8];
    COLOPHON_UNROLL
    for (int i = 0; i < 8; ++i) s[i] = state[i];
    for (int first = 0; first < 64; first += 16) {
      if (first > 0) extend(w);
      COLOPHON_UNROLL
      for (int i = 0; i < 16; ++i) {
        // The names move round instead of the values: a is s[-i], e is s[4 - i].
        const auto name = [&s, i](int k) -> W& { return s[(k - i) & 7]; };
        W& d = name(3);
        W& h = name(7);
        const W& e = name(4);
        const W& a = name(0);
        const W t = h + xor3(rotate_right<6>(e), rotate_right<11>(e), rotate_right<25>(e)) +
                    choose(e, name(5), name(6)) + (w[i] + kRound[first + i]);
        d = d + t;
        h = t + xor3(rotate_right<2>(a), rotate_right<13>(a), rotate_right<22>(a)) +
            majority(a, name(1), name(2));
      }
    }
    COLOPHON_UNROLL
    for (int i = 0; i < 8; ++i) state[i] = state[i] + s[i];
  }

 private:
  template <class W>
  COLOPHON_INLINE static void extend(W w[16]) {
    COLOPHON_UNROLL
    for (int i = 0; i < 16; ++i) {
      const W& x = w[(i + 1) & 15];
      const W& y = w[(i + 14) & 15];
      w[i] = w[i] + xor3(rotate_right<7>(x), rotate_right<18>(x), shift_right<3>(x)) +
             w[(i + 9) & 15] + xor3(rotate_right<17>(y), rotate_right<19>(y), shift_right<10>(y));
    }
  }
};

}  // namespace
}  // namespace colophon::kernels
