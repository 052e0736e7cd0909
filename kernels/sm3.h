// SPDX-License-Identifier: Apache-2.0
//
// SM3 (GB/T 32905-2016) as an iterated hash (iterated_hash.h) over any words of 32 bits.
#pragma once

#include "kernels/hash_words.h"
#include "kernels/iterated_hash.h"

namespace colophon::kernels {
namespace {

// T_j <<< j.
struct Sm3Constants {
  uint32_t t[64];
  constexpr Sm3Constants() : t() {
    for (unsigned j = 0; j < 64; ++j) {
      const uint32_t k = j < 16 ? 0x79cc4519 : 0x7a879d8a;
      t[j] = (k << (j % 32)) | (k >> ((32 - j % 32) % 32));
    }
  }
};
inline constexpr Sm3Constants kSm3Constants{};

struct Sm3 {
  using Scalar = uint32_t;
  static constexpr ByteOrder kOrder = ByteOrder::kBig;
  static constexpr unsigned kStateWords = 8;
  static constexpr unsigned kBlockWords = 16;
  static constexpr unsigned kDigestWords = 8;
  static constexpr uint32_t kStart[kStateWords] = {0x7380166f, 0x4914b2b9, 0x172442d7, 0xda8a0600,
                                                   0xa96f30bc, 0x163138aa, 0xe38dee4d, 0xb0fb0e4e};

  static constexpr unsigned pad(uint8_t* block, size_t used, uint64_t bytes) {
    return pad_with_length<64, 8>(block, used, bytes);
  }

  // w becomes the last sixteen words of the schedule.
  template <class W>
  COLOPHON_INLINE static void compress(W state[8], W w[16]) {
    W s[8];
    COLOPHON_UNROLL
    for (int i = 0; i < 8; ++i) s[i] = state[i];
    rounds<true>(s, w, 0);
    for (int first = 16; first < 64; first += 16) rounds<false>(s, w, first);
    COLOPHON_UNROLL
    for (int i = 0; i < 8; ++i) state[i] = state[i] ^ s[i];
  }

 private:
  template <class W>
  COLOPHON_INLINE static W p1(const W& x) {
    return xor3(x, rotate_left<15>(x), rotate_left<23>(x));
  }

  // Rounds first .. first + 15. Round j needs W_j and W_(j+4), which takes the place of W_(j-12).
  template <bool kIsFirst, class W>
  COLOPHON_INLINE static void rounds(W s[8], W w[16], int first) {
    COLOPHON_UNROLL
    for (int i = 0; i < 16; ++i) {
      const auto name = [&s, i](int k) -> W& { return s[(k & 4) | ((k - i) & 3)]; };
      const W now = w[i];
      if (!kIsFirst || i >= 12) extend(w, i + 4);
      const W& a = name(0);
      W& b = name(1);
      W& d = name(3);
      const W& e = name(4);
      W& f = name(5);
      W& h = name(7);
      const W& c = name(2);
      const W& g = name(6);
      const W a12 = rotate_left<12>(a);
      const W ss1 = rotate_left<7>(a12 + e + kSm3Constants.t[first + i]);
      const W tt1 = (kIsFirst ? xor3(a, b, c) : majority(a, b, c)) + d + (ss1 ^ a12) +
                    (now ^ w[(i + 4) & 15]);
      const W tt2 = (kIsFirst ? xor3(e, f, g) : choose(e, f, g)) + h + ss1 + now;
      b = rotate_left<9>(b);
      d = tt1;
      f = rotate_left<19>(f);
      h = xor3(tt2, rotate_left<9>(tt2), rotate_left<17>(tt2));
    }
  }

  // The word i + 16 of the schedule in the place of word i.
  template <class W>
  COLOPHON_INLINE static void extend(W w[16], int i) {
    const auto at = [w, i](int k) -> W& { return w[(i + k) & 15]; };
    at(0) = xor3(p1(xor3(at(0), at(7), rotate_left<15>(at(13)))), rotate_left<7>(at(3)), at(10));
  }
};

}  // namespace
}  // namespace colophon::kernels
