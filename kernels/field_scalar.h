// SPDX-License-Identifier: Apache-2.0
//
// FieldScalar: one element of eight 32-bit limbs with R = 2^256, for a machine whose multiplier is
// 32 bits wide: a GPU's thread. Concept: field.h. The text is carry chains (carry_ptx.h), PTX
// instructions on the device; on a host, where FieldWide is the faster field, the same chains run
// in tests. Every value is below m: magnitudes and carrying mean nothing.
//
// A product's 64 partial products are added up in two rows of words, pairs that begin at even words
// and pairs that begin at odd ones, so that no pair is ever shifted by a word.
#pragma once

#include "kernels/carry_ptx.h"
#include "kernels/field.h"
#include "kernels/modular_inverse.h"
#include "kernels/modulus.h"
#include "kernels/single_lane.h"

// The reduction mod P-256's prime comes in two forms: with additions only (0), or with some of its
// additions done by the multiplier (1). Which is faster depends on the rate at which a GPU issues
// IMAD.WIDE.
#if !defined(COLOPHON_REDUCE_BY_WIDE)
#define COLOPHON_REDUCE_BY_WIDE 0
#endif

namespace colophon::kernels {
namespace {

template <class P>
struct ScalarElement {
  uint32_t limb[8];
};

COLOPHON_HOST_DEVICE constexpr uint32_t limb32(const Words& a, int i) {
  return static_cast<uint32_t>(a.word[i / 2] >> (32 * (i % 2)));
}
template <class P>
COLOPHON_INLINE uint32_t modulus_limb(int i) {
  constexpr Words m = P::kModulus;
  return limb32(m, i);
}

// --- sixteen words -------------------------------------------------------------------------------

// Σ even[i]·2^(32 i) + Σ odd[i]·2^(32 i). `even` holds pairs at 0, 2, …, 14, `odd` at 1, 3, …, 13.
struct EvenOdd {
  uint32_t even[16];
  uint32_t odd[16];
};

// Adds a·b·2^(32 r), where rows 0 to r - 1 are there already. The pair at r + 7 is new, so that its
// high word, at most 2^32 - 2, takes the other chain's carry. The flag is zero after it, which the
// next row may take in: without, ptxas moves the last addition to the multiplier.
COLOPHON_INLINE void add_row(CarryChain& chain, EvenOdd& sum, int r, uint32_t a,
                             const uint32_t (&b)[8], bool takes_carry) {
  uint32_t* const own = r % 2 == 0 ? sum.even : sum.odd;
  uint32_t* const other = r % 2 == 0 ? sum.odd : sum.even;
  if (takes_carry) {
    chain.madc_wide_cc(other[r + 1], other[r + 2], a, b[1]);
  } else {
    chain.mad_wide_cc(other[r + 1], other[r + 2], a, b[1]);
  }
  chain.madc_wide_cc(other[r + 3], other[r + 4], a, b[3]);
  chain.madc_wide_cc(other[r + 5], other[r + 6], a, b[5]);
  chain.mulc_wide(other[r + 7], other[r + 8], a, b[7]);
  chain.mad_wide_cc(own[r], own[r + 1], a, b[0]);
  chain.madc_wide_cc(own[r + 2], own[r + 3], a, b[2]);
  chain.madc_wide_cc(own[r + 4], own[r + 5], a, b[4]);
  chain.madc_wide_cc(own[r + 6], own[r + 7], a, b[6]);
  chain.addc_cc(other[r + 8], other[r + 8], 0);
}

COLOPHON_INLINE void multiply(const uint32_t (&a)[8], const uint32_t (&b)[8], EvenOdd& product) {
  CarryChain chain;
  COLOPHON_UNROLL
  for (int j = 0; j < 8; j += 2) {
    chain.mul_wide(product.even[j], product.even[j + 1], a[0], b[j]);
    chain.mul_wide(product.odd[j + 1], product.odd[j + 2], a[0], b[j + 1]);
  }
  COLOPHON_UNROLL
  for (int r = 1; r < 8; ++r) add_row(chain, product, r, a[r], b, r > 1);
}

COLOPHON_INLINE void merge(const EvenOdd& sum, uint32_t (&t)[16]) {
  CarryChain chain;
  t[0] = sum.even[0];
  chain.add_cc(t[1], sum.even[1], sum.odd[1]);
  COLOPHON_UNROLL
  for (int i = 2; i < 15; ++i) chain.addc_cc(t[i], sum.even[i], sum.odd[i]);
  chain.addc(t[15], sum.even[15], 0);
}

// The 28 products of two different limbs, doubled, and the eight squares.
COLOPHON_INLINE void square(const uint32_t (&a)[8], uint32_t (&t)[16]) {
  // Which limbs: chains over neighbouring pairs, each ending in a pair that is new.
  constexpr int kEven[3][3][2] = {
      {{1, 3}, {1, 5}, {1, 7}}, {{2, 4}, {2, 6}, {3, 7}}, {{3, 5}, {4, 6}, {5, 7}}};
  constexpr int kOdd[3][4][2] = {{{1, 2}, {1, 4}, {1, 6}, {2, 7}},
                                 {{2, 3}, {2, 5}, {3, 6}, {4, 7}},
                                 {{3, 4}, {4, 5}, {5, 6}, {6, 7}}};
  CarryChain chain;
  EvenOdd sum;
  const auto add_chain = [&](uint32_t(&to)[16], const auto& limbs, int length)
      __attribute__((always_inline)) {
    COLOPHON_UNROLL
    for (int k = 0; k < length; ++k) {
      const int i = limbs[k][0];
      const int j = limbs[k][1];
      if (k == 0) {
        chain.mad_wide_cc(to[i + j], to[i + j + 1], a[i], a[j]);
      } else if (k < length - 1) {
        chain.madc_wide_cc(to[i + j], to[i + j + 1], a[i], a[j]);
      } else {
        chain.mulc_wide(to[i + j], to[i + j + 1], a[i], a[j]);
      }
    }
  };
  COLOPHON_UNROLL
  for (int j = 1; j < 8; ++j) {
    uint32_t* const to = j % 2 == 0 ? sum.even : sum.odd;
    chain.mul_wide(to[j], to[j + 1], a[0], a[j]);
  }
  COLOPHON_UNROLL
  for (int c = 0; c < 3; ++c) {
    add_chain(sum.even, kEven[c], 3);
    add_chain(sum.odd, kOdd[c], 4);
  }
  t[1] = sum.odd[1];
  chain.add_cc(t[2], sum.even[2], sum.odd[2]);
  COLOPHON_UNROLL
  for (int i = 3; i < 14; ++i) chain.addc_cc(t[i], sum.even[i], sum.odd[i]);
  chain.addc(t[14], sum.odd[14], 0);
  chain.add_cc(t[1], t[1], t[1]);
  COLOPHON_UNROLL
  for (int i = 2; i < 15; ++i) chain.addc_cc(t[i], t[i], t[i]);
  chain.addc(t[15], 0, 0);
  uint32_t high;
  chain.mul_wide(t[0], high, a[0], a[0]);
  chain.add_cc(t[1], t[1], high);
  COLOPHON_UNROLL
  for (int i = 1; i < 8; ++i) chain.madc_wide_cc(t[2 * i], t[2 * i + 1], a[i], a[i]);
}

// t -= s; all ones if that is negative, else zero.
COLOPHON_INLINE uint32_t subtract(uint32_t* t, const uint32_t* s, int count) {
  CarryChain chain;
  chain.sub_cc(t[0], t[0], s[0]);
  COLOPHON_UNROLL
  for (int i = 1; i < count; ++i) chain.subc_cc(t[i], t[i], s[i]);
  uint32_t mask;
  chain.subc(mask, 0, 0);
  return mask;
}

// --- the field -----------------------------------------------------------------------------------

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

  static constexpr bool kIsP256Prime = P::kModulus == P256Prime::kModulus;

  COLOPHON_HOST_DEVICE static constexpr E constant(const Words& a) {
    E out{};
    for (int i = 0; i < 8; ++i) out.limb[i] = limb32(a, i);
    return out;
  }
  COLOPHON_INLINE static E zero() { return constant({}); }
  COLOPHON_INLINE static E one() {
    constexpr Words value = power_of_two_mod(256, P::kModulus);
    return constant(value);
  }
  COLOPHON_INLINE static E three() {
    constexpr Words value = triple_mod(power_of_two_mod(256, P::kModulus), P::kModulus);
    return constant(value);
  }
  COLOPHON_INLINE static E square_of_r() {
    constexpr Words value = power_of_two_mod(512, P::kModulus);
    return constant(value);
  }

  COLOPHON_INLINE static E times4(const E& a) {
    const E twice = a + a;
    return twice + twice;
  }
  COLOPHON_INLINE static E carry(const E& a) { return a; }
  COLOPHON_INLINE static E carry_reduced(const E& a) { return a; }

  COLOPHON_INLINE static E mul(const E& a, const E& b) {
    EvenOdd product;
    multiply(a.limb, b.limb, product);
    if constexpr (kIsP256Prime && COLOPHON_REDUCE_BY_WIDE != 0) {
      return reduce_by_wide(product);
    } else {
      uint32_t t[16];
      merge(product, t);
      return reduce(t, kNonNegative);
    }
  }
  COLOPHON_INLINE static E sqr(const E& a) {
    uint32_t t[16];
    square(a.limb, t);
    return reduce(t, kNonNegative);
  }
  // What is subtracted before the reduction is made positive by it.
  COLOPHON_INLINE static E mul_minus(const E& a, const E& b, const E& c) {
    EvenOdd product;
    uint32_t t[16];
    multiply(a.limb, b.limb, product);
    merge(product, t);
    const uint32_t negative = subtract(t + 8, c.limb, 8);
    return reduce(t, ~negative);
  }
  COLOPHON_INLINE static E mul_sub(const E& a, const E& b, const E& c, const E& d) {
    EvenOdd product;
    uint32_t t[16];
    uint32_t s[16];
    multiply(a.limb, b.limb, product);
    merge(product, t);
    multiply(c.limb, d.limb, product);
    merge(product, s);
    const uint32_t negative = subtract(t, s, 16);
    return reduce(t, ~negative);
  }
  COLOPHON_INLINE static E mul_minus_sqr(const E& a, const E& b, const E& c) {
    EvenOdd product;
    uint32_t t[16];
    uint32_t s[16];
    multiply(a.limb, b.limb, product);
    merge(product, t);
    square(c.limb, s);
    const uint32_t negative = subtract(t, s, 16);
    return reduce(t, ~negative);
  }
  COLOPHON_INLINE static E sqr_minus(const E& a, const E& b, const E& c) {
    uint32_t t[16];
    square(a.limb, t);
    const uint32_t negative = subtract(t + 8, b.limb, 8);
    return reduce(t, ~negative) - c - c;
  }

  COLOPHON_INLINE static E half(const E& a) {
    uint32_t over;
    const E even = add_m_if(uint32_t{0} - (a.limb[0] & 1), a, over);
    E out;
    COLOPHON_UNROLL
    for (int i = 0; i < 7; ++i) out.limb[i] = even.limb[i] >> 1 | even.limb[i + 1] << 31;
    out.limb[7] = even.limb[7] >> 1 | over << 31;
    return out;
  }

  COLOPHON_INLINE static E select(Mask mask, const E& a, const E& b) {
    E out;
    COLOPHON_UNROLL
    for (int i = 0; i < 8; ++i) out.limb[i] = mask != 0 ? a.limb[i] : b.limb[i];
    return out;
  }
  // m - a = (m + 1) + ~a. The low words of m + 1 that are zero need no addition.
  COLOPHON_INLINE static E negate_if(Mask mask, const E& a) {
    constexpr Words m1 =
        minus(P::kModulus, Words{{~uint64_t{0}, ~uint64_t{0}, ~uint64_t{0}, ~uint64_t{0}}});
    const uint32_t ones = uint32_t{0} - mask;
    CarryChain chain;
    E out;
    bool is_begun = false;
    COLOPHON_UNROLL
    for (int i = 0; i < 8; ++i) {
      const uint32_t flipped = a.limb[i] ^ ones;
      if (!is_begun && limb32(m1, i) == 0) {
        out.limb[i] = flipped;
      } else if (!is_begun) {
        chain.add_cc(out.limb[i], flipped, limb32(m1, i) & ones);
        is_begun = true;
      } else {
        chain.addc_cc(out.limb[i], flipped, limb32(m1, i) & ones);
      }
    }
    return out;
  }
  COLOPHON_INLINE static E canonical(const E& a) { return a; }
  COLOPHON_INLINE static Mask is_zero(const E& a) {
    uint32_t any = 0;
    COLOPHON_UNROLL
    for (int i = 0; i < 8; ++i) any |= a.limb[i];
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

  // Many in step, a thread each.
  COLOPHON_HOST_DEVICE static E inverse_vartime(const E& a) {
    constexpr Words cube_of_r = power_of_two_mod(768, P::kModulus);
    Words number;
    to_words(a, number.word);
    return mul(constant(modular_inverse_in_step<P>(number)), constant(cube_of_r));
  }

  // `value` + over·2^256, which is below 2m, mod m.
  COLOPHON_INLINE static E below_m(uint32_t over, const E& value) {
    CarryChain chain;
    E less;
    chain.sub_cc(less.limb[0], value.limb[0], modulus_limb<P>(0));
    COLOPHON_UNROLL
    for (int i = 1; i < 8; ++i) chain.subc_cc(less.limb[i], value.limb[i], modulus_limb<P>(i));
    uint32_t mask;
    chain.subc(mask, over, 0);  // all ones or zero
    return add_m_if(mask, less);
  }

  // a + (mask & m) mod 2^256; `mask` is all ones or zero.
  COLOPHON_INLINE static E add_m_if(uint32_t mask, const E& a) {
    uint32_t over;
    return add_m_if(mask, a, over);
  }
  // The same, and what is over.
  COLOPHON_INLINE static E add_m_if(uint32_t mask, const E& a, uint32_t& over) {
    CarryChain chain;
    E out;
    chain.add_cc(out.limb[0], a.limb[0], modulus_limb<P>(0) & mask);
    COLOPHON_UNROLL
    for (int i = 1; i < 8; ++i) chain.addc_cc(out.limb[i], a.limb[i], modulus_limb<P>(i) & mask);
    chain.addc(over, 0, 0);
    return out;
  }

 private:
  static constexpr uint32_t kNonNegative = 0xffffffff;

  // t/R for t in (-m², m²) or (-m·R, m·R), given to 512 bits; `non_negative` is all ones or zero.
  COLOPHON_INLINE static E reduce(const uint32_t (&t)[16], uint32_t non_negative) {
    if constexpr (kIsP256Prime) {
      return reduce_by_adds(t, non_negative);
    } else {
      return reduce_by_rows(t, non_negative);
    }
  }

  // P-256's prime p is -1 mod 2^96, so that the word to be cleared says itself which multiple M of
  // p clears it:  M = t + M·2^96 + M·2^192 - M·2^224 mod 2^256, word by word, and
  //   (t + M·p)/2^256 = H + M - (M >> 32) + (M >> 64) + (M >> 160) + what those sums carried,
  // H the high half. It is in (-p, p) for negative t, else below 2p; then 2^256 - p is added in the
  // words in which only a carry would travel. What leaves 2^256 is counted in `over`, -1 at first
  // for either sign: the borrow of t, or the p that is subtracted.
  COLOPHON_INLINE static E reduce_by_adds(const uint32_t (&t)[16], uint32_t non_negative) {
    CarryChain chain;
    uint32_t m[8];
    const Carries carries = quotient(chain, t, m);
    chain.sub_cc(m[7], m[7], m[0]);
    E y;
    COLOPHON_UNROLL
    for (int i = 0; i < 7; ++i) chain.subc_cc(y.limb[i], t[8 + i], m[i + 1]);
    chain.subc_cc(y.limb[7], t[15], 0);
    uint32_t over;
    chain.subc(over, 0xffffffff, 0);
    chain.restore(carries.first);
    COLOPHON_UNROLL
    for (int i = 0; i < 8; ++i) chain.addc_cc(y.limb[i], y.limb[i], m[i]);
    chain.addc(over, over, 0);
    return finish(chain, m, carries.second, non_negative, over, y);
  }

  // The same for t >= 0 not yet merged: M·2^256 - M·2^224 is M·(2^32 - 1)·2^224, products added to
  // t's own rows.
  COLOPHON_INLINE static E reduce_by_wide(EvenOdd& t) {
    CarryChain chain;
    uint32_t low[8];
    low[0] = t.even[0];
    chain.add_cc(low[1], t.even[1], t.odd[1]);
    COLOPHON_UNROLL
    for (int i = 2; i < 8; ++i) chain.addc_cc(low[i], t.even[i], t.odd[i]);
    const uint32_t carry8 = chain.save();
    uint32_t m[8];
    const Carries carries = quotient(chain, low, m);
    constexpr uint32_t kOnes = 0xffffffff;
    chain.sub_cc(m[7], m[7], m[0]);
    uint32_t m0_less_borrow;
    chain.subc(m0_less_borrow, m[0], 0);
    chain.restore(carries.first);
    COLOPHON_UNROLL
    for (int i = 8; i < 16; i += 2) chain.madc_wide_cc(t.even[i], t.even[i + 1], m[i - 7], kOnes);
    uint32_t over;
    chain.addc(over, 0xffffffff, 0);
    chain.add_cc(t.odd[8], t.odd[8], m0_less_borrow);
    COLOPHON_UNROLL
    for (int i = 9; i < 15; i += 2) chain.madc_wide_cc(t.odd[i], t.odd[i + 1], m[i - 7], kOnes);
    chain.addc(t.odd[15], 0, 0);
    E y;
    chain.restore(carry8);
    COLOPHON_UNROLL
    for (int i = 0; i < 8; ++i) chain.addc_cc(y.limb[i], t.even[8 + i], t.odd[8 + i]);
    chain.addc(over, over, 0);
    return finish(chain, m, carries.second, kNonNegative, over, y);
  }

  struct Carries {
    uint32_t first;   // of M·2^96, out of word 7
    uint32_t second;  // of M·2^192
  };
  // M but for the last word's - m[0].
  COLOPHON_INLINE static Carries quotient(CarryChain& chain, const uint32_t* t, uint32_t (&m)[8]) {
    Carries carries;
    COLOPHON_UNROLL
    for (int i = 0; i < 3; ++i) m[i] = t[i];
    chain.add_cc(m[6], t[6], m[0]);
    chain.addc_cc(m[7], t[7], m[1]);
    carries.second = chain.save();
    chain.add_cc(m[3], t[3], m[0]);
    chain.addc_cc(m[4], t[4], m[1]);
    chain.addc_cc(m[5], t[5], m[2]);
    chain.addc_cc(m[6], m[6], m[3]);
    chain.addc_cc(m[7], m[7], m[4]);
    carries.first = chain.save();
    return carries;
  }

  // y + (M >> 64) + (M >> 160) + carry, and 2^256 - p for t >= 0; then p if that is negative.
  COLOPHON_INLINE static E finish(CarryChain& chain, const uint32_t (&m)[8], uint32_t carry,
                                  uint32_t non_negative, uint32_t over, E& y) {
    uint32_t s[7];
    chain.restore(carry);
    COLOPHON_UNROLL
    for (int i = 0; i < 3; ++i) chain.addc_cc(s[i], m[2 + i], m[5 + i]);
    COLOPHON_UNROLL
    for (int i = 3; i < 6; ++i) chain.addc_cc(s[i], m[2 + i], non_negative);
    chain.addc(s[6], 0, non_negative & 0xfffffffe);  // cannot carry
    uint32_t none;
    chain.add_cc(none, non_negative, 1);
    COLOPHON_UNROLL
    for (int i = 0; i < 7; ++i) chain.addc_cc(y.limb[i], y.limb[i], s[i]);
    chain.addc_cc(y.limb[7], y.limb[7], 0);
    chain.addc(over, over, 0);
    return add_m_if(over, y);
  }

  // Word by word for any m (Montgomery 1985).
  COLOPHON_INLINE static E reduce_by_rows(const uint32_t (&t)[16], uint32_t non_negative) {
    constexpr uint32_t kFactor = static_cast<uint32_t>(negative_inverse(P::kModulus.word[0]));
    CarryChain chain;
    EvenOdd sum;
    uint32_t modulus[8];
    COLOPHON_UNROLL
    for (int i = 0; i < 8; ++i) {
      modulus[i] = modulus_limb<P>(i);
      sum.even[i] = t[i];
    }
    const uint32_t first = t[0] * kFactor;
    COLOPHON_UNROLL
    for (int j = 1; j < 8; j += 2) {
      chain.mul_wide(sum.odd[j], sum.odd[j + 1], first, modulus[j]);
    }
    chain.mad_wide_cc(sum.even[0], sum.even[1], first, modulus[0]);
    COLOPHON_UNROLL
    for (int j = 2; j < 8; j += 2) {
      chain.madc_wide_cc(sum.even[j], sum.even[j + 1], first, modulus[j]);
    }
    chain.addc_cc(sum.odd[8], sum.odd[8], 0);
    COLOPHON_UNROLL
    for (int r = 1; r < 8; ++r) {
      uint32_t* const own = r % 2 == 0 ? sum.even : sum.odd;
      const uint32_t* const other = r % 2 == 0 ? sum.odd : sum.even;
      chain.add_cc(own[r], own[r], other[r]);
      add_row(chain, sum, r, own[r] * kFactor, modulus, true);
    }
    constexpr Words kMinus = minus(Words{}, P::kModulus);
    E y;
    uint32_t over;
    chain.add_cc(y.limb[0], sum.even[8], sum.odd[8]);
    COLOPHON_UNROLL
    for (int i = 1; i < 7; ++i) chain.addc_cc(y.limb[i], sum.even[8 + i], sum.odd[8 + i]);
    chain.addc_cc(y.limb[7], sum.even[15], 0);
    chain.addc(over, 0xffffffff, 0);
    chain.add_cc(y.limb[0], y.limb[0], t[8]);
    COLOPHON_UNROLL
    for (int i = 1; i < 8; ++i) chain.addc_cc(y.limb[i], y.limb[i], t[8 + i]);
    chain.addc(over, over, 0);
    chain.add_cc(y.limb[0], y.limb[0], limb32(kMinus, 0) & non_negative);
    COLOPHON_UNROLL
    for (int i = 1; i < 8; ++i) {
      chain.addc_cc(y.limb[i], y.limb[i], limb32(kMinus, i) & non_negative);
    }
    chain.addc(over, over, 0);
    return add_m_if(over, y);
  }
};

template <class P>
COLOPHON_INLINE ScalarElement<P> operator+(const ScalarElement<P>& a, const ScalarElement<P>& b) {
  CarryChain chain;
  ScalarElement<P> sum;
  chain.add_cc(sum.limb[0], a.limb[0], b.limb[0]);
  COLOPHON_UNROLL
  for (int i = 1; i < 8; ++i) chain.addc_cc(sum.limb[i], a.limb[i], b.limb[i]);
  uint32_t over;
  chain.addc(over, 0, 0);
  return FieldScalar<P>::below_m(over, sum);
}

template <class P>
COLOPHON_INLINE ScalarElement<P> operator-(const ScalarElement<P>& a, const ScalarElement<P>& b) {
  ScalarElement<P> out = a;
  const uint32_t mask = subtract(out.limb, b.limb, 8);
  return FieldScalar<P>::add_m_if(mask, out);
}

}  // namespace
}  // namespace colophon::kernels
