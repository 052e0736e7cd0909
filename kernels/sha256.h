// SPDX-License-Identifier: Apache-2.0
//
// SHA-256 (FIPS 180-4) as an iterated hash (iterated_hash.h) over any words of 32 bits.
#pragma once

#include "kernels/hash_words.h"
#include "kernels/iterated_hash.h"

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
  static constexpr uint32_t kRound[64] = {
      0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
      0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
      0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
      0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
      0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
      0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
      0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
      0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
      0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
      0xc67178f2};

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
