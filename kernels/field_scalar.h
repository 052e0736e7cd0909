// SPDX-License-Identifier: Apache-2.0
//
// FieldScalar: one element of eight 32-bit limbs with R = 2^256, the form of a GPU thread, whose
// multiplier is 32 bits wide. Concept: field.h. Here with carries any compiler knows; FieldWide is
// the faster one on a CPU. Every value is below m: magnitudes and carrying mean nothing.
#pragma once

#include "kernels/carry.h"
#include "kernels/field.h"
#include "kernels/modular_inverse.h"
#include "kernels/modulus.h"
#include "kernels/single_lane.h"

namespace colophon::kernels {
namespace {

template <class P>
struct ScalarElement {
  uint32_t limb[8];
};

constexpr uint32_t limb32(const Words& a, int i) {
  return static_cast<uint32_t>(a.word[i / 2] >> (32 * (i % 2)));
}

template <class P>
struct FieldScalar : SingleLane {
  using Modulus = P;
  static constexpr unsigned kRadixBits = 256;
  static constexpr unsigned kMagnitudeMax = 16;
  template <unsigned M>
  using Element = ScalarElement<P>;
  template <unsigned N, unsigned M>
  using Sum = ScalarElement<P>;
  using E = ScalarElement<P>;

  static constexpr Words kM = P::kModulus;
  static constexpr uint32_t kNegativeInverse = static_cast<uint32_t>(negative_inverse(kM.word[0]));
  static constexpr Words kOne = power_of_two_mod(256, kM);
  static constexpr Words kSquareOfR = power_of_two_mod(512, kM);
  static constexpr Words kCubeOfR = power_of_two_mod(768, kM);

  static constexpr E constant(const Words& a) {
    E out{};
    for (int i = 0; i < 8; ++i) out.limb[i] = limb32(a, i);
    return out;
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

  // Operand by operand (Koç, Acar, Kaliski 1996, CIOS): a row of a·b, then the multiple of m that
  // makes the lowest limb vanish.
  COLOPHON_INLINE static E mul(const E& a, const E& b) {
    uint32_t t[9] = {};
    for (int i = 0; i < 8; ++i) {
      const uint32_t over = accumulate(t, a.limb[i], [&b](int j) { return b.limb[j]; });
      const uint32_t q = t[0] * kNegativeInverse;
      const uint32_t over2 = accumulate(t, q, [](int j) { return limb32(kM, j); });
      for (int j = 0; j < 8; ++j) t[j] = t[j + 1];
      t[8] = over + over2;
    }
    E value;
    for (int i = 0; i < 8; ++i) value.limb[i] = t[i];
    return below_m(t[8], value);
  }
  COLOPHON_INLINE static E mul_add(const E& a, const E& b, const E& c, const E& d) {
    return mul(a, b) + mul(c, d);
  }
  COLOPHON_INLINE static E sqr(const E& a) { return mul(a, a); }

  COLOPHON_INLINE static E negate_if(Mask mask, const E& a) { return mask != 0 ? zero() - a : a; }
  COLOPHON_INLINE static E select(Mask mask, const E& a, const E& b) { return mask != 0 ? a : b; }
  COLOPHON_INLINE static E canonical(const E& a) { return a; }
  static Mask is_zero(const E& a) {
    uint32_t any = 0;
    for (const uint32_t limb : a.limb) any |= limb;
    return any == 0 ? 1 : 0;
  }

  // The number may be m or more: 2m > 2^256.
  COLOPHON_INLINE static E from_words(const Word word[4]) {
    return below_m(0, constant({{word[0], word[1], word[2], word[3]}}));
  }
  COLOPHON_INLINE static void to_words(const E& a, Word word[4]) {
    for (int i = 0; i < 4; ++i) word[i] = uint64_t{a.limb[2 * i + 1]} << 32 | a.limb[2 * i];
  }
  COLOPHON_INLINE static void load_rows(const Rows& rows, E& x, E& y) {
    __builtin_memcpy(x.limb, reinterpret_cast<const void*>(rows.address[0]), sizeof(x.limb));
    __builtin_memcpy(y.limb, reinterpret_cast<const uint8_t*>(rows.address[0]) + 32,
                     sizeof(y.limb));
  }
  COLOPHON_INLINE static void store_row(uint8_t* const row[1], const E& x, const E& y) {
    if (row[0] == nullptr) return;
    __builtin_memcpy(row[0], x.limb, sizeof(x.limb));
    __builtin_memcpy(row[0] + 32, y.limb, sizeof(y.limb));
  }

  static E inverse_vartime(const E& a) {
    Words number;
    to_words(a, number.word);
    return mul(constant(modular_inverse_vartime(number, kM)), constant(kCubeOfR));
  }

  // `value` + over·2^256, which is below 2m, mod m.
  COLOPHON_INLINE static E below_m(uint32_t over, const E& value) {
    E less;
    uint32_t borrow = 0;
    for (int i = 0; i < 8; ++i) {
      borrow = sub_borrow32(borrow, value.limb[i], limb32(kM, i), less.limb[i]);
    }
    const uint32_t mask = over - borrow;  // all ones (no subtraction) or zero
    for (int i = 0; i < 8; ++i) less.limb[i] ^= (value.limb[i] ^ less.limb[i]) & mask;
    return less;
  }

 private:
  // t += factor·b; returns what is over.
  template <class LimbOf>
  COLOPHON_INLINE static uint32_t accumulate(uint32_t t[9], uint32_t factor, LimbOf b) {
    uint64_t carried = 0;
    for (int j = 0; j < 8; ++j) {
      carried += uint64_t{factor} * b(j) + t[j];  // at most (2^32-1)² + 2·(2^32-1) < 2^64
      t[j] = static_cast<uint32_t>(carried);
      carried >>= 32;
    }
    return add_carry32(0, t[8], static_cast<uint32_t>(carried), t[8]);
  }
};

template <class P>
COLOPHON_INLINE ScalarElement<P> operator+(const ScalarElement<P>& a, const ScalarElement<P>& b) {
  ScalarElement<P> sum;
  uint32_t carry = 0;
  for (int i = 0; i < 8; ++i) carry = add_carry32(carry, a.limb[i], b.limb[i], sum.limb[i]);
  return FieldScalar<P>::below_m(carry, sum);
}

template <class P>
COLOPHON_INLINE ScalarElement<P> operator-(const ScalarElement<P>& a, const ScalarElement<P>& b) {
  ScalarElement<P> out;
  uint32_t borrow = 0;
  for (int i = 0; i < 8; ++i) borrow = sub_borrow32(borrow, a.limb[i], b.limb[i], out.limb[i]);
  const uint32_t mask = ~borrow + 1;
  uint32_t carry = 0;
  for (int i = 0; i < 8; ++i) {
    carry = add_carry32(carry, out.limb[i], limb32(P::kModulus, i) & mask, out.limb[i]);
  }
  return out;
}

}  // namespace
}  // namespace colophon::kernels
