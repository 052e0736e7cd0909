// SPDX-License-Identifier: Apache-2.0
//
// SHA-512 (FIPS 180-4) as an iterated hash (iterated_hash.h) over any words of 64 bits.
#pragma once

#include "kernels/hash_words.h"
#include "kernels/iterated_hash.h"
#include "kernels/sha2_constants.h"

namespace colophon::kernels {
namespace {

struct Sha512 {
  using Scalar = uint64_t;
  static constexpr ByteOrder kOrder = ByteOrder::kBig;
  static constexpr unsigned kStateWords = 8;
  static constexpr unsigned kBlockWords = 16;
  static constexpr unsigned kDigestWords = 8;
  static constexpr uint64_t kStart[kStateWords] = {
      0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
      0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};
  static constexpr const uint64_t (&kRound)[80] = kSha512RoundConstants.word;

  static constexpr unsigned pad(uint8_t* block, size_t used, uint64_t bytes) {
    return pad_with_length<128, 16>(block, used, bytes);
  }

  // w becomes the last sixteen words of the schedule.
  template <class W>
  COLOPHON_INLINE static void compress(W state[8], W w[16]) {
    W s[8];
    COLOPHON_UNROLL
    for (int i = 0; i < 8; ++i) s[i] = state[i];
    for (int first = 0; first < 80; first += 16) {
      if (first > 0) extend(w);
      COLOPHON_UNROLL
      for (int i = 0; i < 16; ++i) {
        // The names move round instead of the values: a is s[-i], e is s[4 - i].
        const auto name = [&s, i](int k) -> W& { return s[(k - i) & 7]; };
        W& d = name(3);
        W& h = name(7);
        const W& e = name(4);
        const W& a = name(0);
        const W t = h + xor3(rotate_right<14>(e), rotate_right<18>(e), rotate_right<41>(e)) +
                    choose(e, name(5), name(6)) + (w[i] + kRound[first + i]);
        d = d + t;
        h = t + xor3(rotate_right<28>(a), rotate_right<34>(a), rotate_right<39>(a)) +
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
      w[i] = w[i] + xor3(rotate_right<1>(x), rotate_right<8>(x), shift_right<7>(x)) +
             w[(i + 9) & 15] + xor3(rotate_right<19>(y), rotate_right<61>(y), shift_right<6>(y));
    }
  }
};

}  // namespace
}  // namespace colophon::kernels
