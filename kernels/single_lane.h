// SPDX-License-Identifier: Apache-2.0
//
// The part of the Field concept (field.h) that does not depend on how an element is stored, for
// fields of one lane: words, digits and where table rows are.
#pragma once

#include "kernels/carry.h"
#include "kernels/modulus.h"

namespace colophon::kernels {
namespace {

struct SingleLane {
  static constexpr unsigned kLanes = 1;
  using Mask = uint8_t;  // 0 or 1
  using Word = uint64_t;

  COLOPHON_INLINE static Word splat(uint64_t value) { return value; }
  COLOPHON_INLINE static Word add_words(Word a, Word b) { return a + b; }
  COLOPHON_INLINE static Mask is_one_word(Word a) { return a == 1 ? 1 : 0; }
  COLOPHON_INLINE static Word load(const uint64_t* words) { return *words; }
  COLOPHON_INLINE static void store(uint64_t* words, Word value) { *words = value; }
  COLOPHON_INLINE static void load_big_endian(const uint8_t* const number[1], Word word[4]) {
    for (int i = 0; i < 4; ++i) {
      word[i] = 0;
      for (int k = 0; k < 8; ++k) word[i] = word[i] << 8 | number[0][24 - 8 * i + k];
    }
  }
  COLOPHON_INLINE static Mask less_than(const Word word[4], const Words& bound) {
    Mask below = 0;
    COLOPHON_UNROLL
    for (int i = 0; i < 4; ++i) {
      const bool is_equal = word[i] == bound.word[i];
      below = word[i] < bound.word[i] || (is_equal && below != 0) ? 1 : 0;
    }
    return below;
  }
  COLOPHON_INLINE static Word bits(const Word word[4], unsigned at, unsigned count) {
    const unsigned index = at / 64;
    const unsigned shift = at % 64;
    uint64_t value = word[index] >> shift;
    if (shift + count > 64 && index < 3) value |= word[index + 1] << (64 - shift);
    return value & ((uint64_t{1} << count) - 1);
  }

  struct Rows {
    uint64_t address[1];
    Mask negative;
  };
  COLOPHON_INLINE static void find_rows(Word digit, unsigned bits, Word window, Rows& out) {
    out.negative = (digit >> (bits - 1)) == 0 ? 1 : 0;
    const uint64_t flipped = digit ^ (uint64_t{0} - out.negative);
    out.address[0] = window + ((flipped & ((uint64_t{1} << (bits - 1)) - 1)) << 6);
  }
  COLOPHON_INLINE static void prefetch(const Rows& rows) {
    __builtin_prefetch(reinterpret_cast<const void*>(rows.address[0]));
  }
};

}  // namespace
}  // namespace colophon::kernels
