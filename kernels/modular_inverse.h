// SPDX-License-Identifier: Apache-2.0
//
// 1/a mod m for an odd m: the division steps of Bernstein and Yang ("Fast constant-time gcd
// computation and modular inversion", 2019) with delta = 1/2 at the start, as many at a time on the
// low words as a word holds, then applied to the whole numbers. Two machines: one number at a time
// as fast as its value allows, and many side by side that all take the same steps.
#pragma once

#include <stdint.h>

#include "kernels/carry.h"
#include "kernels/modulus.h"

namespace colophon::kernels {
namespace {

__extension__ typedef __int128 Signed128;

// Σ limb[i]·2^(kBits i): limbs in [0, 2^kBits), the last with the sign.
template <class LimbType, class UnsignedType, class ProductType, int kLimbCount, int kLimbBits>
struct SignedLimbs {
  using Limb = LimbType;
  using Unsigned = UnsignedType;
  using Product = ProductType;
  static constexpr int kCount = kLimbCount;
  static constexpr int kBits = kLimbBits;
  static constexpr Unsigned kMask = (Unsigned{1} << kLimbBits) - 1;
  Limb limb[kLimbCount];
};
using Signed62 = SignedLimbs<int64_t, uint64_t, Signed128, 5, 62>;
using Signed30 = SignedLimbs<int32_t, uint32_t, int64_t, 9, 30>;

template <class S>
COLOPHON_INLINE constexpr S signed_of(const Words& a) {
  S out{};
  COLOPHON_UNROLL
  for (int i = 0; i < S::kCount; ++i) {
    const int word = S::kBits * i / 64;
    const int shift = S::kBits * i % 64;
    uint64_t bits = a.word[word] >> shift;
    if (shift + S::kBits > 64 && word < 3) bits |= a.word[word + 1] << (64 - shift);
    out.limb[i] = static_cast<typename S::Limb>(bits & S::kMask);
  }
  return out;
}

// Of a number in [0, 2^256).
template <class S>
COLOPHON_INLINE Words words_of(const S& a) {
  Words out{};
  COLOPHON_UNROLL
  for (int i = 0; i < S::kCount; ++i) {
    const int word = S::kBits * i / 64;
    const int shift = S::kBits * i % 64;
    const uint64_t limb = static_cast<typename S::Unsigned>(a.limb[i]);
    out.word[word] |= limb << shift;
    if (shift + S::kBits > 64 && word < 3) out.word[word + 1] |= limb >> (64 - shift);
  }
  return out;
}

// kBits steps: (f, g)·2^kBits = (u·f + v·g, q·f + r·g); each row's absolute values sum to at most
// 2^kBits.
template <class S>
struct Transition {
  typename S::Limb u, v, q, r;
};

// `eta` is -delta - 1/2... counted in whole steps: negative means that f and g are due to be
// swapped.
inline int64_t divsteps_vartime(int64_t eta, uint64_t f, uint64_t g, Transition<Signed62>& t) {
  uint64_t u = 1, v = 0, q = 0, r = 1;
  int left = 62;
  while (true) {
    // g even: halve it, as often as there are zeros and steps left.
    const int zeros = __builtin_ctzll(g | ~uint64_t{0} << left);
    g >>= zeros;
    u <<= zeros;
    v <<= zeros;
    eta -= zeros;
    left -= zeros;
    if (left == 0) break;
    if (eta < 0) {  // g odd and f due: (f, g) = (g, -f)
      eta = -eta;
      const uint64_t old_f = f, old_u = u, old_v = v;
      f = g;
      u = q;
      v = r;
      g = ~old_f + 1;
      q = ~old_u + 1;
      r = ~old_v + 1;
    }
    // Add the multiple w of f that clears as many low bits of g as the coming steps may, six at
    // most: 1/f = f·(2 - f²) mod 64, so w = -g/f = g·f·(f² - 2).
    int bits = eta + 1 < left ? static_cast<int>(eta + 1) : left;
    if (bits > 6) bits = 6;
    const uint64_t w = (g * f * (f * f - 2)) & ((uint64_t{1} << bits) - 1);
    g += w * f;
    q += w * u;
    r += w * v;
  }
  t = {static_cast<int64_t>(u), static_cast<int64_t>(v), static_cast<int64_t>(q),
       static_cast<int64_t>(r)};
  return eta;
}

// Thirty steps one by one, masks in the place of branches. `zeta` is -delta - 1/2.
COLOPHON_INLINE int32_t divsteps_in_step(int32_t zeta, uint32_t f, uint32_t g,
                                         Transition<Signed30>& t) {
  uint32_t u = 1, v = 0, q = 0, r = 1;
#if defined(__CUDA_ARCH__)
#pragma unroll 6
#endif
  for (int i = 0; i < Signed30::kBits; ++i) {
    const uint32_t is_due = static_cast<uint32_t>(zeta >> 31);
    const uint32_t is_odd = uint32_t{0} - (g & 1);
    // g odd: g ± f, minus if f is due.
    const uint32_t minus = (is_due & is_odd) & 1;
    g += ((f ^ is_due) & is_odd) + minus;
    q += ((u ^ is_due) & is_odd) + minus;
    r += ((v ^ is_due) & is_odd) + minus;
    // g odd and f due: f is what g was, which is the new g plus f.
    const uint32_t is_swapped = is_due & is_odd;
    zeta = static_cast<int32_t>(static_cast<uint32_t>(zeta) ^ is_swapped) - 1;
    f += g & is_swapped;
    u += q & is_swapped;
    v += r & is_swapped;
    g >>= 1;
    u <<= 1;
    v <<= 1;
  }
  t = {static_cast<int32_t>(u), static_cast<int32_t>(v), static_cast<int32_t>(q),
       static_cast<int32_t>(r)};
  return zeta;
}

// (f, g) = t·(f, g)/2^kBits, exactly.
template <class S>
COLOPHON_INLINE void apply(S& f, S& g, const Transition<S>& t) {
  using Product = typename S::Product;
  using Limb = typename S::Limb;
  Product cf = Product{t.u} * f.limb[0] + Product{t.v} * g.limb[0];
  Product cg = Product{t.q} * f.limb[0] + Product{t.r} * g.limb[0];
  cf >>= S::kBits;
  cg >>= S::kBits;
  COLOPHON_UNROLL
  for (int i = 1; i < S::kCount; ++i) {
    const Limb fi = f.limb[i];
    const Limb gi = g.limb[i];
    cf += Product{t.u} * fi + Product{t.v} * gi;
    cg += Product{t.q} * fi + Product{t.r} * gi;
    f.limb[i - 1] = static_cast<Limb>(static_cast<typename S::Unsigned>(cf) & S::kMask);
    g.limb[i - 1] = static_cast<Limb>(static_cast<typename S::Unsigned>(cg) & S::kMask);
    cf >>= S::kBits;
    cg >>= S::kBits;
  }
  f.limb[S::kCount - 1] = static_cast<Limb>(cf);
  g.limb[S::kCount - 1] = static_cast<Limb>(cg);
}

// (d, e) = t·(d, e)/2^kBits mod m; d and e in (-2m, m) before and after. `inverse` is 1/m mod
// 2^kBits.
template <class S>
COLOPHON_INLINE void apply_mod(S& d, S& e, const Transition<S>& t, const S& m,
                               typename S::Unsigned inverse) {
  using Product = typename S::Product;
  using Limb = typename S::Limb;
  using Unsigned = typename S::Unsigned;
  const Limb sign_d = d.limb[S::kCount - 1] < 0 ? -1 : 0;
  const Limb sign_e = e.limb[S::kCount - 1] < 0 ? -1 : 0;
  // A negative d or e counts as d + m, e + m; then the multiple of m that clears the low bits.
  Limb md = (t.u & sign_d) + (t.v & sign_e);
  Limb me = (t.q & sign_d) + (t.r & sign_e);
  Product cd = Product{t.u} * d.limb[0] + Product{t.v} * e.limb[0];
  Product ce = Product{t.q} * d.limb[0] + Product{t.r} * e.limb[0];
  md -= static_cast<Limb>((inverse * static_cast<Unsigned>(cd) + static_cast<Unsigned>(md)) &
                          S::kMask);
  me -= static_cast<Limb>((inverse * static_cast<Unsigned>(ce) + static_cast<Unsigned>(me)) &
                          S::kMask);
  cd += Product{m.limb[0]} * md;
  ce += Product{m.limb[0]} * me;
  cd >>= S::kBits;
  ce >>= S::kBits;
  COLOPHON_UNROLL
  for (int i = 1; i < S::kCount; ++i) {
    const Limb di = d.limb[i];
    const Limb ei = e.limb[i];
    cd += Product{t.u} * di + Product{t.v} * ei + Product{m.limb[i]} * md;
    ce += Product{t.q} * di + Product{t.r} * ei + Product{m.limb[i]} * me;
    d.limb[i - 1] = static_cast<Limb>(static_cast<Unsigned>(cd) & S::kMask);
    e.limb[i - 1] = static_cast<Limb>(static_cast<Unsigned>(ce) & S::kMask);
    cd >>= S::kBits;
    ce >>= S::kBits;
  }
  d.limb[S::kCount - 1] = static_cast<Limb>(cd);
  e.limb[S::kCount - 1] = static_cast<Limb>(ce);
}

// a = sign·a + m where `with_m`; `sign` is 1 or -1.
template <class S>
COLOPHON_INLINE void combine(S& a, typename S::Limb sign, bool with_m, const S& m) {
  using Limb = typename S::Limb;
  const Limb mask = with_m ? -1 : 0;
  Limb carry = 0;
  COLOPHON_UNROLL
  for (int i = 0; i < S::kCount; ++i) {
    const Limb sum = sign * a.limb[i] + (m.limb[i] & mask) + carry;
    if (i == S::kCount - 1) {
      a.limb[i] = sum;
    } else {
      a.limb[i] = sum & static_cast<Limb>(S::kMask);
      carry = sum >> S::kBits;
    }
  }
}

// The end of both: f = ±1, and d = ±1/a in (-2m, m).
template <class S>
COLOPHON_INLINE Words inverse_from(const S& f, S& d, const S& m) {
  constexpr int kTop = S::kCount - 1;
  combine<S>(d, 1, d.limb[kTop] < 0, m);
  combine<S>(d, f.limb[kTop] < 0 ? -1 : 1, false, m);
  combine<S>(d, 1, d.limb[kTop] < 0, m);
  combine<S>(d, 1, d.limb[kTop] < 0, m);
  return words_of(d);
}

// 1/a mod m, for m an odd prime and 0 < a < m.
inline Words modular_inverse_vartime(const Words& a, const Words& m) {
  const Signed62 modulus = signed_of<Signed62>(m);
  const uint64_t inverse = ~negative_inverse(m.word[0]) + 1;
  Signed62 f = modulus;
  Signed62 g = signed_of<Signed62>(a);
  Signed62 d{{0, 0, 0, 0, 0}};
  Signed62 e{{1, 0, 0, 0, 0}};
  int64_t eta = -1;
  while (true) {
    Transition<Signed62> t;
    eta = divsteps_vartime(
        eta, static_cast<uint64_t>(f.limb[0]) | static_cast<uint64_t>(f.limb[1]) << 62,
        static_cast<uint64_t>(g.limb[0]) | static_cast<uint64_t>(g.limb[1]) << 62, t);
    apply_mod(d, e, t, modulus, inverse);
    apply(f, g, t);
    if ((g.limb[0] | g.limb[1] | g.limb[2] | g.limb[3] | g.limb[4]) == 0) break;
  }
  return inverse_from(f, d, modulus);
}

// The same for many in step, a thread each: 590 steps are enough for any 256-bit a and m (the paper
// above for delta = 1/2, as computed by Wuille for libsecp256k1), and all take 600.
template <class P>
COLOPHON_HOST_DEVICE inline Words modular_inverse_in_step(const Words& a) {
  constexpr Signed30 modulus = signed_of<Signed30>(P::kModulus);
  constexpr uint32_t inverse = static_cast<uint32_t>(~negative_inverse(P::kModulus.word[0]) + 1);
  Signed30 f = modulus;
  Signed30 g = signed_of<Signed30>(a);
  Signed30 d{};
  Signed30 e{{1}};
  int32_t zeta = -1;
#if defined(__CUDA_ARCH__)
#pragma unroll 1
#endif
  for (int i = 0; i < 20; ++i) {
    Transition<Signed30> t;
    const auto low = [](const Signed30& x) {
      return static_cast<uint32_t>(x.limb[0]) | static_cast<uint32_t>(x.limb[1]) << 30;
    };
    zeta = divsteps_in_step(zeta, low(f), low(g), t);
    apply_mod(d, e, t, modulus, inverse);
    apply(f, g, t);
  }
  return inverse_from(f, d, modulus);
}

}  // namespace
}  // namespace colophon::kernels
