// SPDX-License-Identifier: Apache-2.0
//
// FieldLanes: eight elements at a time, one a 64-bit lane of AVX-512, in radix 2^52 with R = 2^260
// (Gueron and Krasnov 2016; the instruction set is AVX-512 IFMA). Concept: field.h. For translation
// units compiled with -mavx512f -mavx512dq -mavx512vl -mavx512ifma -mavx512vbmi2 only.
#pragma once

#include <immintrin.h>

#include "kernels/carry.h"
#include "kernels/field.h"
#include "kernels/modular_inverse.h"
#include "kernels/modulus.h"

namespace colophon::kernels {
namespace {

// Limbs may have either sign and a few bits over 52; the value is in (-N·m, M·m).
template <class P, unsigned N, unsigned M>
struct LanesSum {
  __m512i limb[5];

  template <unsigned K, unsigned L>
    requires(K >= N && L >= M && K + L > N + M)
  COLOPHON_INLINE operator LanesSum<P, K, L>() const {  // NOLINT: a wider bound is always right
    LanesSum<P, K, L> out;
#pragma GCC unroll 5
    for (int i = 0; i < 5; ++i) out.limb[i] = limb[i];
    return out;
  }
};

// Limbs in [0, 2^52).
template <class P, unsigned M>
struct LanesElement : LanesSum<P, 0, M> {
  static_assert(1 <= M && M <= 16, "a value of 16·m or more does not fit 260 bits");
  template <unsigned K>
    requires(K > M)
  COLOPHON_INLINE operator LanesElement<P, K>() const {  // NOLINT: a wider bound is always right
    LanesElement<P, K> out;
#pragma GCC unroll 5
    for (int i = 0; i < 5; ++i) out.limb[i] = this->limb[i];
    return out;
  }
};

template <class P, unsigned N1, unsigned M1, unsigned N2, unsigned M2>
COLOPHON_INLINE LanesSum<P, N1 + N2, M1 + M2> operator+(const LanesSum<P, N1, M1>& a,
                                                        const LanesSum<P, N2, M2>& b) {
  LanesSum<P, N1 + N2, M1 + M2> out;
#pragma GCC unroll 5
  for (int i = 0; i < 5; ++i) out.limb[i] = _mm512_add_epi64(a.limb[i], b.limb[i]);
  return out;
}

template <class P, unsigned N1, unsigned M1, unsigned N2, unsigned M2>
COLOPHON_INLINE LanesSum<P, N1 + M2, M1 + N2> operator-(const LanesSum<P, N1, M1>& a,
                                                        const LanesSum<P, N2, M2>& b) {
  LanesSum<P, N1 + M2, M1 + N2> out;
#pragma GCC unroll 5
  for (int i = 0; i < 5; ++i) out.limb[i] = _mm512_sub_epi64(a.limb[i], b.limb[i]);
  return out;
}

template <class P>
struct FieldLanes {
  using Modulus = P;
  static constexpr unsigned kLanes = 8;
  static constexpr unsigned kRadixBits = 260;
  static constexpr unsigned kMagnitudeMax = 16;
  using Mask = __mmask8;
  using Word = __m512i;
  template <unsigned M>
  using Element = LanesElement<P, M>;
  template <unsigned N, unsigned M>
  using Sum = LanesSum<P, N, M>;

  static constexpr Limbs52 kM = limbs_of(P::kModulus);
  static constexpr uint64_t kNegativeInverse = negative_inverse(P::kModulus.word[0]) & kMask52;
  static constexpr Limbs52 kOne = limbs_of(power_of_two_mod(260, P::kModulus));
  static constexpr Limbs52 kSquareOfR = limbs_of(power_of_two_mod(520, P::kModulus));
  static constexpr Limbs52 kCubeOfR = limbs_of(power_of_two_mod(780, P::kModulus));

  COLOPHON_INLINE static __m512i splat(uint64_t value) {
    return _mm512_set1_epi64(static_cast<int64_t>(value));
  }
  template <unsigned M = 1>
  COLOPHON_INLINE static Element<M> constant(const Limbs52& value) {
    Element<M> out;
#pragma GCC unroll 5
    for (int i = 0; i < 5; ++i) out.limb[i] = splat(value.limb[i]);
    return out;
  }
  COLOPHON_INLINE static Element<1> zero() { return constant({}); }
  COLOPHON_INLINE static Element<1> one() { return constant(kOne); }
  COLOPHON_INLINE static Element<1> three() {
    return constant(limbs_of(triple_mod(power_of_two_mod(260, P::kModulus), P::kModulus)));
  }
  COLOPHON_INLINE static Element<1> square_of_r() { return constant(kSquareOfR); }

  // --- carrying ---------------------------------------------------------------------------------

  template <unsigned N, unsigned M>
  COLOPHON_INLINE static Element<N + M> carry(const Sum<N, M>& a) {
    Element<N + M> out;
    add_multiple<N>(a, out.limb);
    ripple(out.limb);
    return checked(out);
  }

  // For P-256's prime. The quotient by 2^256 is read off the top limb before it is carried into,
  // which moves it by less than kSlack; taken too small rather than too large, so that nothing gets
  // negative: the result is below 2^256 + kSlack·2^208 + 16·(2^256 - p) < 2p.
  template <unsigned N, unsigned M>
  COLOPHON_INLINE static Element<2> carry_reduced(const Sum<N, M>& a) {
    static_assert(N + M <= kMagnitudeMax);
    static_assert(P::kModulus == P256Prime::kModulus);
    constexpr int64_t kSlack = 64;
    Element<2> out;
    add_multiple<N>(a, out.limb);
    const __m512i q = _mm512_srai_epi64(_mm512_sub_epi64(out.limb[4], splat(kSlack)), 48);
    // p = -1 + 2^44·2^52 + 2^36·2^156 + (2^48 - 2^16)·2^208.
    out.limb[0] = _mm512_add_epi64(out.limb[0], q);
    out.limb[1] = _mm512_sub_epi64(out.limb[1], _mm512_slli_epi64(q, 44));
    out.limb[3] = _mm512_sub_epi64(out.limb[3], _mm512_slli_epi64(q, 36));
    out.limb[4] = _mm512_add_epi64(_mm512_sub_epi64(out.limb[4], _mm512_slli_epi64(q, 48)),
                                   _mm512_slli_epi64(q, 16));
    ripple(out.limb);
    return checked(out);
  }

  template <unsigned M>
  COLOPHON_INLINE static Sum<0, 4 * M> times4(const Element<M>& a) {
    Sum<0, 4 * M> out;
#pragma GCC unroll 5
    for (int i = 0; i < 5; ++i) out.limb[i] = _mm512_slli_epi64(a.limb[i], 2);
    return out;
  }

  // --- products ---------------------------------------------------------------------------------

  template <unsigned A, unsigned B>
  COLOPHON_INLINE static Element<product_magnitude(A* B)> mul(const Element<A>& a,
                                                              const Element<B>& b) {
    __m512i t[10];
    clear(t);
#pragma GCC unroll 5
    for (int i = 0; i < 5; ++i) {
      accumulate_row(t, i, a, b);
      reduce_row(t, i);
    }
    return finish<product_magnitude(A * B)>(t);
  }

  // a·b + c·d, reduced once.
  template <unsigned A, unsigned B, unsigned C, unsigned D>
  COLOPHON_INLINE static Element<product_magnitude(A* B + C * D)> mul_add(const Element<A>& a,
                                                                          const Element<B>& b,
                                                                          const Element<C>& c,
                                                                          const Element<D>& d) {
    __m512i t[10];
    clear(t);
#pragma GCC unroll 5
    for (int i = 0; i < 5; ++i) {
      accumulate_row(t, i, a, b);
      accumulate_row(t, i, c, d);
      reduce_row(t, i);
    }
    return finish<product_magnitude(A * B + C * D)>(t);
  }

  template <unsigned A>
  COLOPHON_INLINE static Element<product_magnitude(A* A)> sqr(const Element<A>& a) {
    __m512i t[10];
    clear(t);
    // Cross products once, doubled at the end: their sums stay below 2^55.
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
#pragma GCC unroll 4
      for (int j = i + 1; j < 5; ++j) {
        t[i + j] = _mm512_madd52lo_epu64(t[i + j], a.limb[i], a.limb[j]);
        t[i + j + 1] = _mm512_madd52hi_epu64(t[i + j + 1], a.limb[i], a.limb[j]);
      }
    }
#pragma GCC unroll 9
    for (int i = 1; i < 10; ++i) t[i] = _mm512_add_epi64(t[i], t[i]);
#pragma GCC unroll 5
    for (int i = 0; i < 5; ++i) {
      t[2 * i] = _mm512_madd52lo_epu64(t[2 * i], a.limb[i], a.limb[i]);
      t[2 * i + 1] = _mm512_madd52hi_epu64(t[2 * i + 1], a.limb[i], a.limb[i]);
    }
#pragma GCC unroll 5
    for (int i = 0; i < 5; ++i) reduce_row(t, i);
    return finish<product_magnitude(A * A)>(t);
  }

  template <unsigned A, unsigned B, unsigned N, unsigned M>
  COLOPHON_INLINE static auto mul_minus(const Element<A>& a, const Element<B>& b,
                                        const Sum<N, M>& c) {
    return carry(mul(a, b) - c);
  }
  template <unsigned A, unsigned B, unsigned C, unsigned D>
  COLOPHON_INLINE static auto mul_sub(const Element<A>& a, const Element<B>& b, const Element<C>& c,
                                      const Element<D>& d) {
    return mul_add(a, b, c, carry(zero() - d));
  }
  template <unsigned A, unsigned B, unsigned C>
  COLOPHON_INLINE static Element<2> sqr_minus(const Element<A>& a, const Element<B>& b,
                                              const Element<C>& c) {
    return carry_reduced(sqr(a) - b - c - c);
  }

  // --- choosing and comparing -------------------------------------------------------------------

  COLOPHON_INLINE static Sum<1, 1> negate_if(Mask mask, const Element<1>& a) {
    Sum<1, 1> out;
    const __m512i none = _mm512_setzero_si512();
#pragma GCC unroll 5
    for (int i = 0; i < 5; ++i)
      out.limb[i] = _mm512_mask_sub_epi64(a.limb[i], mask, none, a.limb[i]);
    return out;
  }

  template <unsigned M>
  COLOPHON_INLINE static Element<M> select(Mask mask, const Element<M>& a, const Element<M>& b) {
    Element<M> out;
#pragma GCC unroll 5
    for (int i = 0; i < 5; ++i) out.limb[i] = _mm512_mask_blend_epi64(mask, b.limb[i], a.limb[i]);
    return out;
  }

  template <unsigned M>
  static Element<1> canonical(const Element<M>& a) {
    Element<1> out;
#pragma GCC unroll 5
    for (int i = 0; i < 5; ++i) out.limb[i] = a.limb[i];
    for (unsigned k = 1; k < M; ++k) {
      __m512i less[5];
#pragma GCC unroll 5
      for (int i = 0; i < 5; ++i) less[i] = _mm512_sub_epi64(out.limb[i], splat(kM.limb[i]));
      ripple(less);
      const Mask fits = _mm512_cmpge_epi64_mask(less[4], _mm512_setzero_si512());
#pragma GCC unroll 5
      for (int i = 0; i < 5; ++i) {
        out.limb[i] = _mm512_mask_mov_epi64(out.limb[i], fits, less[i]);
      }
    }
    return checked(out);
  }

  template <unsigned N, unsigned M>
  static Mask is_zero(const Sum<N, M>& a) {
    const Element<1> value = canonical(carry(a));
    __m512i any = value.limb[0];
    for (int i = 1; i < 5; ++i) any = _mm512_or_si512(any, value.limb[i]);
    return _mm512_testn_epi64_mask(any, any);
  }

  // --- words ------------------------------------------------------------------------------------

  COLOPHON_INLINE static Element<2> from_words(const Word word[4]) {
    const __m512i mask = splat(kMask52);
    Element<2> out;
    out.limb[0] = _mm512_and_si512(word[0], mask);
    out.limb[1] = _mm512_and_si512(_mm512_shrdi_epi64(word[0], word[1], 52), mask);
    out.limb[2] = _mm512_and_si512(_mm512_shrdi_epi64(word[1], word[2], 40), mask);
    out.limb[3] = _mm512_and_si512(_mm512_shrdi_epi64(word[2], word[3], 28), mask);
    out.limb[4] = _mm512_srli_epi64(word[3], 16);
    return checked(out);
  }

  COLOPHON_INLINE static void to_words(const Element<1>& a, Word word[4]) {
    word[0] = _mm512_or_si512(a.limb[0], _mm512_slli_epi64(a.limb[1], 52));
    word[1] = _mm512_or_si512(_mm512_srli_epi64(a.limb[1], 12), _mm512_slli_epi64(a.limb[2], 40));
    word[2] = _mm512_or_si512(_mm512_srli_epi64(a.limb[2], 24), _mm512_slli_epi64(a.limb[3], 28));
    word[3] = _mm512_or_si512(_mm512_srli_epi64(a.limb[3], 36), _mm512_slli_epi64(a.limb[4], 16));
  }

  COLOPHON_INLINE static Word add_words(Word a, Word b) { return _mm512_add_epi64(a, b); }
  COLOPHON_INLINE static Mask is_one_word(Word a) { return _mm512_cmpeq_epi64_mask(a, splat(1)); }
  // Words of eight lanes, one after another in memory.
  COLOPHON_INLINE static Word load(const uint64_t* words) { return _mm512_loadu_si512(words); }
  COLOPHON_INLINE static void store(uint64_t* words, Word value) {
    _mm512_storeu_si512(words, value);
  }

  // 32 bytes a lane, the most significant first.
  COLOPHON_INLINE static void load_big_endian(const uint8_t* const number[8], Word word[4]) {
    alignas(64) uint64_t lanes[4][8];
    for (int lane = 0; lane < 8; ++lane) {
      for (int i = 0; i < 4; ++i) {
        uint64_t w;
        __builtin_memcpy(&w, number[lane] + 24 - 8 * i, sizeof(w));
        lanes[i][lane] = __builtin_bswap64(w);
      }
    }
    for (int i = 0; i < 4; ++i) word[i] = _mm512_load_si512(lanes[i]);
  }

  // Lanes whose number is below `bound`.
  COLOPHON_INLINE static Mask less_than(const Word word[4], const Words& bound) {
    Mask below = 0;
    Mask equal = 0xff;
    for (int i = 4; i-- > 0;) {
      const __m512i limit = splat(bound.word[i]);
      below |= _mm512_mask_cmplt_epu64_mask(equal, word[i], limit);
      equal = _mm512_mask_cmpeq_epi64_mask(equal, word[i], limit);
    }
    return below;
  }

  // Bits [at, at + count) of each lane's 256-bit number; those past its end are zero.
  COLOPHON_INLINE static Word bits(const Word word[4], unsigned at, unsigned count) {
    const unsigned index = at / 64;
    const unsigned shift = at % 64;
    __m512i value = _mm512_srl_epi64(word[index], _mm_cvtsi32_si128(static_cast<int>(shift)));
    if (shift + count > 64 && index < 3) {
      value = _mm512_or_si512(
          value,
          _mm512_sll_epi64(word[index + 1], _mm_cvtsi32_si128(static_cast<int>(64 - shift))));
    }
    return _mm512_and_si512(value, splat((uint64_t{1} << count) - 1));
  }

  // Where the table rows of eight digits are (comb.h), and which of them count negative.
  struct Rows {
    alignas(64) uint64_t address[8];
    Mask negative;
  };
  COLOPHON_INLINE static void find_rows(Word digit, unsigned bits, Word window, Rows& out) {
    const __m512i half = splat(uint64_t{1} << (bits - 1));
    out.negative = _mm512_testn_epi64_mask(digit, half);
    const __m512i flipped = _mm512_mask_xor_epi64(digit, out.negative, digit, splat(~uint64_t{0}));
    const __m512i row = _mm512_and_si512(flipped, splat((uint64_t{1} << (bits - 1)) - 1));
    _mm512_store_si512(out.address, _mm512_add_epi64(window, _mm512_slli_epi64(row, 6)));
  }
  COLOPHON_INLINE static void prefetch(const Rows& rows) {
#pragma GCC unroll 8
    for (int lane = 0; lane < 8; ++lane) {
      _mm_prefetch(reinterpret_cast<const char*>(rows.address[lane]), _MM_HINT_T0);
    }
  }
  // Eight rows of 64 bytes, transposed.
  COLOPHON_INLINE static void load_rows(const Rows& rows, Element<1>& x, Element<1>& y) {
    Word row[8];
#pragma GCC unroll 8
    for (int lane = 0; lane < 8; ++lane) {
      row[lane] = _mm512_load_si512(reinterpret_cast<const void*>(rows.address[lane]));
    }
    transpose(row);
    const Element<2> wide_x = from_words(row);
    const Element<2> wide_y = from_words(row + 4);
#pragma GCC unroll 5
    for (int i = 0; i < 5; ++i) {
      x.limb[i] = wide_x.limb[i];
      y.limb[i] = wide_y.limb[i];
    }
    (void)checked(x);
    (void)checked(y);
  }
  COLOPHON_INLINE static void store_row(uint8_t* const row[8], const Element<1>& x,
                                        const Element<1>& y) {
    Word word[8];
    to_words(x, word);
    to_words(y, word + 4);
    transpose(word);
    for (int lane = 0; lane < 8; ++lane) {
      if (row[lane] != nullptr) _mm512_store_si512(row[lane], word[lane]);
    }
  }

  // Each lane multiplied with its neighbours until all lanes hold the product of eight; one inverse
  // of that; and back down.
  template <unsigned A>
  static Element<2> inverse_vartime(const Element<A>& a) {
    const auto swap = []<unsigned M>(const Element<M>& x, auto permute) {
      Element<M> out;
#pragma GCC unroll 5
      for (int i = 0; i < 5; ++i) out.limb[i] = permute(x.limb[i]);
      return out;
    };
    const auto by1 = [](__m512i x) { return _mm512_shuffle_epi32(x, _MM_PERM_BADC); };
    const auto by2 = [](__m512i x) { return _mm512_permutex_epi64(x, 0x4e); };
    const auto by4 = [](__m512i x) { return _mm512_shuffle_i64x2(x, x, 0x4e); };
    const auto a1 = swap(a, by1);
    const auto pairs = mul(a, a1);
    const auto pairs2 = swap(pairs, by2);
    const auto fours = mul(pairs, pairs2);
    const auto fours4 = swap(fours, by4);
    Word word[4];
    to_words(canonical(mul(fours, fours4)), word);
    Words all;
    for (int i = 0; i < 4; ++i) {
      all.word[i] = static_cast<uint64_t>(_mm_cvtsi128_si64(_mm512_castsi512_si128(word[i])));
    }
    const Limbs52 inverse = limbs_of(modular_inverse_vartime(all, P::kModulus));
    const auto over_all = mul(constant(inverse), constant(kCubeOfR));  // R²/all
    return mul(mul(mul(over_all, fours4), pairs2), a1);
  }

 private:
  // What the type says of a value, looked at (COLOPHON_VERIFY): limbs in [0, 2^52), below M·m.
  template <unsigned M>
  COLOPHON_INLINE static const Element<M>& checked(const Element<M>& a) {
#ifdef COLOPHON_VERIFY
    constexpr Limbs52 kBound = times(kM, M);
    Mask below = 0;
    Mask equal = 0xff;
    for (int i = 5; i-- > 0;) {
      if (_mm512_cmpgt_epu64_mask(a.limb[i], splat(kMask52)) != 0) __builtin_trap();
      below |= _mm512_mask_cmplt_epu64_mask(equal, a.limb[i], splat(kBound.limb[i]));
      equal = _mm512_mask_cmpeq_epi64_mask(equal, a.limb[i], splat(kBound.limb[i]));
    }
    if (below != 0xff) __builtin_trap();
#endif
    return a;
  }

  // Rows become columns.
  COLOPHON_INLINE static void transpose(Word row[8]) {
    Word t[8];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      t[2 * i] = _mm512_unpacklo_epi64(row[2 * i], row[2 * i + 1]);
      t[2 * i + 1] = _mm512_unpackhi_epi64(row[2 * i], row[2 * i + 1]);
    }
    Word u[8];
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      u[i] = _mm512_shuffle_i64x2(t[i], t[i + 2], 0x88);
      u[i + 2] = _mm512_shuffle_i64x2(t[i], t[i + 2], 0xdd);
      u[i + 4] = _mm512_shuffle_i64x2(t[i + 4], t[i + 6], 0x88);
      u[i + 6] = _mm512_shuffle_i64x2(t[i + 4], t[i + 6], 0xdd);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      row[i] = _mm512_shuffle_i64x2(u[i], u[i + 4], 0x88);
      row[i + 4] = _mm512_shuffle_i64x2(u[i], u[i + 4], 0xdd);
    }
  }

  // limb += N·m.
  template <unsigned N, unsigned N0, unsigned M0>
  COLOPHON_INLINE static void add_multiple(const Sum<N0, M0>& a, __m512i limb[5]) {
#pragma GCC unroll 5
    for (int i = 0; i < 5; ++i) {
      limb[i] = N == 0 || kM.limb[i] == 0 ? a.limb[i]
                                          : _mm512_add_epi64(a.limb[i], splat(N * kM.limb[i]));
    }
  }

  // Carries of either sign up to the top limb, which keeps what is over.
  COLOPHON_INLINE static void ripple(__m512i limb[5]) {
    const __m512i mask = splat(kMask52);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      limb[i + 1] = _mm512_add_epi64(limb[i + 1], _mm512_srai_epi64(limb[i], 52));
      limb[i] = _mm512_and_si512(limb[i], mask);
    }
  }

  // Makes t[i] divisible by 2^52 by a multiple q of m, and carries it into t[i+1].
  COLOPHON_INLINE static void reduce_row(__m512i t[10], int i) {
    const __m512i high = _mm512_srli_epi64(t[i], 52);
    if constexpr (kNegativeInverse == 1) {
      // m = -1 mod 2^52: q is t[i] itself, and q·m[0] + t[i] = q·2^52 + (what is over 52 bits).
      const __m512i q = t[i];
      accumulate(t, i + 1, q, kM.limb[1] + 1);
      t[i + 1] = _mm512_add_epi64(t[i + 1], high);
#pragma GCC unroll 5
      for (int j = 2; j < 5; ++j) accumulate(t, i + j, q, kM.limb[j]);
    } else {
      const __m512i q =
          _mm512_madd52lo_epu64(_mm512_setzero_si512(), t[i], splat(kNegativeInverse));
      // The low halves of t[i] and q·m[0] sum to 2^52, or to 0 if both are 0; q is 0 exactly then.
      const Mask carries = _mm512_test_epi64_mask(t[i], splat(kMask52));
      t[i + 1] = _mm512_madd52hi_epu64(t[i + 1], q, splat(kM.limb[0]));
      t[i + 1] = _mm512_add_epi64(t[i + 1], high);
      t[i + 1] = _mm512_mask_add_epi64(t[i + 1], carries, t[i + 1], splat(1));
#pragma GCC unroll 5
      for (int j = 1; j < 5; ++j) accumulate(t, i + j, q, kM.limb[j]);
    }
  }

  COLOPHON_INLINE static void clear(__m512i t[10]) {
#pragma GCC unroll 10
    for (int i = 0; i < 10; ++i) t[i] = _mm512_setzero_si512();
  }

  // t += a[i]·b·2^(52 i).
  template <unsigned A, unsigned B>
  COLOPHON_INLINE static void accumulate_row(__m512i t[10], int i, const Element<A>& a,
                                             const Element<B>& b) {
#pragma GCC unroll 5
    for (int j = 0; j < 5; ++j) {
      t[i + j] = _mm512_madd52lo_epu64(t[i + j], a.limb[i], b.limb[j]);
      t[i + j + 1] = _mm512_madd52hi_epu64(t[i + j + 1], a.limb[i], b.limb[j]);
    }
  }

  // t[k] += low half of q·m, t[k+1] += high half.
  COLOPHON_INLINE static void accumulate(__m512i t[10], int k, __m512i q, uint64_t m) {
    if (m == 0) return;
    t[k] = _mm512_madd52lo_epu64(t[k], q, splat(m));
    t[k + 1] = _mm512_madd52hi_epu64(t[k + 1], q, splat(m));
  }

  template <unsigned M>
  COLOPHON_INLINE static Element<M> finish(__m512i t[10]) {
    Element<M> out;
#pragma GCC unroll 5
    for (int i = 0; i < 5; ++i) out.limb[i] = t[i + 5];
    ripple(out.limb);
    return checked(out);
  }
};

}  // namespace
}  // namespace colophon::kernels
