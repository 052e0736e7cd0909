// SPDX-License-Identifier: Apache-2.0
//
// FieldWide: one element of four 64-bit words with R = 2^256, for any 64-bit CPU. Concept: field.h.
// Every value is below m: magnitudes and carrying cost nothing here and mean nothing.
#pragma once

#include "kernels/carry.h"
#include "kernels/field.h"
#include "kernels/modular_inverse.h"
#include "kernels/modulus.h"
#include "kernels/single_lane.h"

namespace colophon::kernels {
namespace {

template <class P>
struct WideElement {
  uint64_t word[4];
};

// `value` if over < borrow (0 < 1), else `reduced`: with a mask, because the choice is as good as
// random and a branch would be guessed wrong half the time.
template <class P>
COLOPHON_INLINE WideElement<P> choose(uint64_t over, unsigned char borrow,
                                      const WideElement<P>& value, const WideElement<P>& reduced) {
  const uint64_t mask = over - borrow;  // all ones or zero
  WideElement<P> out;
  for (int i = 0; i < 4; ++i) {
    out.word[i] = reduced.word[i] ^ ((value.word[i] ^ reduced.word[i]) & mask);
  }
  return out;
}

template <class P>
COLOPHON_INLINE WideElement<P> operator+(const WideElement<P>& a, const WideElement<P>& b) {
  constexpr Words m = P::kModulus;
  WideElement<P> sum;
  WideElement<P> less;
  unsigned char carry = 0;
  for (int i = 0; i < 4; ++i) carry = add_carry(carry, a.word[i], b.word[i], sum.word[i]);
  unsigned char borrow = 0;
  for (int i = 0; i < 4; ++i) borrow = sub_borrow(borrow, sum.word[i], m.word[i], less.word[i]);
  // Below m if the subtraction borrowed what no carry gave.
  return choose(carry, borrow, sum, less);
}

template <class P>
COLOPHON_INLINE WideElement<P> operator-(const WideElement<P>& a, const WideElement<P>& b) {
  constexpr Words m = P::kModulus;
  WideElement<P> out;
  unsigned char borrow = 0;
  for (int i = 0; i < 4; ++i) borrow = sub_borrow(borrow, a.word[i], b.word[i], out.word[i]);
  const uint64_t mask = ~uint64_t{borrow} + 1;
  unsigned char carry = 0;
  for (int i = 0; i < 4; ++i) carry = add_carry(carry, out.word[i], m.word[i] & mask, out.word[i]);
  return out;
}

template <class P>
struct FieldWide : SingleLane {
  using Modulus = P;
  static constexpr unsigned kRadixBits = 256;
  static constexpr unsigned kMagnitudeMax = 16;
  template <unsigned M>
  using Element = WideElement<P>;
  template <unsigned N, unsigned M>
  using Sum = WideElement<P>;
  using E = WideElement<P>;

  static constexpr Words kM = P::kModulus;
  static constexpr uint64_t kNegativeInverse = negative_inverse(kM.word[0]);
  static constexpr Words kOne = power_of_two_mod(256, kM);
  static constexpr Words kSquareOfR = power_of_two_mod(512, kM);
  static constexpr Words kCubeOfR = power_of_two_mod(768, kM);

  static constexpr E constant(const Words& a) {
    return {{a.word[0], a.word[1], a.word[2], a.word[3]}};
  }
  COLOPHON_INLINE static E zero() { return constant({}); }
  COLOPHON_INLINE static E one() { return constant(kOne); }
  COLOPHON_INLINE static E three() { return constant(triple_mod(kOne, kM)); }
  COLOPHON_INLINE static E square_of_r() { return constant(kSquareOfR); }

  COLOPHON_INLINE static E times4(const E& a) {
    const E twice = a + a;
    return twice + twice;
  }
  COLOPHON_INLINE static E carry(const E& a) { return a; }
  COLOPHON_INLINE static E carry_reduced(const E& a) { return a; }

  COLOPHON_INLINE static E mul(const E& a, const E& b) {
    uint64_t t[5];
    row_first(t, a.word[0], b.word);
    uint64_t over = 0;
    over = reduce_row(t, over);
    COLOPHON_UNROLL
    for (int i = 1; i < 4; ++i) {
      over += row(t, a.word[i], b.word);
      over = reduce_row(t, over);
    }
    return finish(t, over);
  }
  COLOPHON_INLINE static E sqr(const E& a) { return mul(a, a); }
  COLOPHON_INLINE static E mul_minus(const E& a, const E& b, const E& c) { return mul(a, b) - c; }
  COLOPHON_INLINE static E mul_sub(const E& a, const E& b, const E& c, const E& d) {
    return mul(a, b) - mul(c, d);
  }
  COLOPHON_INLINE static E sqr_minus(const E& a, const E& b, const E& c) {
    return sqr(a) - b - c - c;
  }

  COLOPHON_INLINE static E negate_if(Mask mask, const E& a) { return mask != 0 ? zero() - a : a; }
  COLOPHON_INLINE static E select(Mask mask, const E& a, const E& b) { return mask != 0 ? a : b; }
  COLOPHON_INLINE static E canonical(const E& a) { return a; }
  static Mask is_zero(const E& a) {
    return (a.word[0] | a.word[1] | a.word[2] | a.word[3]) == 0 ? 1 : 0;
  }

  // The number may be m or more: 2m > 2^256.
  COLOPHON_INLINE static E from_words(const Word word[4]) {
    Words a{{word[0], word[1], word[2], word[3]}};
    if (!less(a, kM)) a = minus(a, kM);
    return constant(a);
  }
  COLOPHON_INLINE static void to_words(const E& a, Word word[4]) {
    for (int i = 0; i < 4; ++i) word[i] = a.word[i];
  }

  COLOPHON_INLINE static void load_rows(const Rows& rows, E& x, E& y) {
    __builtin_memcpy(x.word, reinterpret_cast<const void*>(rows.address[0]), sizeof(x.word));
    __builtin_memcpy(y.word, reinterpret_cast<const uint8_t*>(rows.address[0]) + 32,
                     sizeof(y.word));
  }
  COLOPHON_INLINE static void store_row(uint8_t* const row[1], const E& x, const E& y) {
    if (row[0] == nullptr) return;
    __builtin_memcpy(row[0], x.word, sizeof(x.word));
    __builtin_memcpy(row[0] + 32, y.word, sizeof(y.word));
  }

  static E inverse_vartime(const E& a) {
    const Words inverse =
        modular_inverse_vartime({{a.word[0], a.word[1], a.word[2], a.word[3]}}, kM);
    return mul(constant(inverse), constant(kCubeOfR));
  }

 private:
  // t = a·b.
  COLOPHON_INLINE static void row_first(uint64_t t[5], uint64_t a, const uint64_t b[4]) {
    uint64_t high[4];
    for (int j = 0; j < 4; ++j) t[j] = mul_wide(a, b[j], high[j]);
    unsigned char c = 0;
    for (int j = 1; j < 4; ++j) c = add_carry(c, t[j], high[j - 1], t[j]);
    t[4] = high[3] + c;
  }

  // t += a·b; returns what is over.
  COLOPHON_INLINE static uint64_t row(uint64_t t[5], uint64_t a, const uint64_t b[4]) {
    uint64_t low[4];
    uint64_t high[4];
    for (int j = 0; j < 4; ++j) low[j] = mul_wide(a, b[j], high[j]);
    unsigned char c = 0;
    for (int j = 0; j < 4; ++j) c = add_carry(c, t[j], low[j], t[j]);
    c = add_carry(c, t[4], 0, t[4]);
    unsigned char d = 0;
    for (int j = 0; j < 4; ++j) d = add_carry(d, t[j + 1], high[j], t[j + 1]);
    return uint64_t{c} + d;
  }

  // Makes t divisible by 2^64 by a multiple of m, and divides: four words and a carry are left.
  // `over` is the sixth word before and the fifth's successor after.
  COLOPHON_INLINE static uint64_t reduce_row(uint64_t t[5], uint64_t over) {
    unsigned char c = 0;
    if constexpr (kNegativeInverse == 1 && kM.word[1] == 0xffffffff && kM.word[2] == 0) {
      // P-256: q = t[0], and q·m + t = (q·2^96 + q·m[3]·2^192) over the word that vanishes.
      const uint64_t q = t[0];
      uint64_t high;
      const uint64_t low = mul_wide(q, kM.word[3], high);
      c = add_carry(0, t[1], q << 32, t[0]);
      c = add_carry(c, t[2], q >> 32, t[1]);
      c = add_carry(c, t[3], low, t[2]);
      c = add_carry(c, t[4], high, t[3]);
      t[4] = over + c;
      return 0;
    } else {
      const uint64_t q = t[0] * kNegativeInverse;
      uint64_t low[4];
      uint64_t high[4];
      for (int j = 0; j < 4; ++j) low[j] = mul_wide(q, kM.word[j], high[j]);
      uint64_t none;
      c = add_carry(0, t[0], low[0], none);
      for (int j = 1; j < 4; ++j) c = add_carry(c, t[j], low[j], t[j]);
      c = add_carry(c, t[4], 0, t[4]);
      over += c;
      c = 0;
      for (int j = 0; j < 4; ++j) c = add_carry(c, t[j + 1], high[j], t[j]);
      t[4] = over + c;
      return 0;
    }
  }

  // t below 2m.
  COLOPHON_INLINE static E finish(const uint64_t t[5], uint64_t) {
    E less;
    unsigned char borrow = 0;
    for (int i = 0; i < 4; ++i) borrow = sub_borrow(borrow, t[i], kM.word[i], less.word[i]);
    return choose(t[4], borrow, E{{t[0], t[1], t[2], t[3]}}, less);
  }
};

}  // namespace
}  // namespace colophon::kernels
