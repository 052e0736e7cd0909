// SPDX-License-Identifier: Apache-2.0
//
// 1/a mod m for an odd m, in variable time: the division steps of Bernstein and Yang ("Fast
// constant-time gcd computation and modular inversion", 2019) with delta = 1/2 at the start,
// sixty-two of them at a time on the low words, then applied to the whole numbers.
#pragma once

#include <stdint.h>

#include "kernels/carry.h"
#include "kernels/modulus.h"

namespace colophon::kernels {
namespace {

__extension__ typedef __int128 Signed128;

// Σ limb[i]·2^(62 i), limbs 0 to 3 in [0, 2^62), limb 4 with the sign.
struct Signed62 {
  int64_t limb[5];
};

constexpr uint64_t kMask62 = (uint64_t{1} << 62) - 1;

constexpr Signed62 signed62_of(const Words& a) {
  return {{static_cast<int64_t>(a.word[0] & kMask62),
           static_cast<int64_t>((a.word[0] >> 62 | a.word[1] << 2) & kMask62),
           static_cast<int64_t>((a.word[1] >> 60 | a.word[2] << 4) & kMask62),
           static_cast<int64_t>((a.word[2] >> 58 | a.word[3] << 6) & kMask62),
           static_cast<int64_t>(a.word[3] >> 56)}};
}

inline Words words_of(const Signed62& a) {
  const auto limb = [&a](int i) { return static_cast<uint64_t>(a.limb[i]); };
  return {{limb(0) | limb(1) << 62, limb(1) >> 2 | limb(2) << 60, limb(2) >> 4 | limb(3) << 58,
           limb(3) >> 6 | limb(4) << 56}};
}

// 62 steps: (f, g)·2^62 = (u·f + v·g, q·f + r·g); each row's absolute values sum to at most 2^62.
struct Transition {
  int64_t u, v, q, r;
};

// `eta` is -delta - 1/2... counted in whole steps: negative means that f and g are due to be
// swapped.
inline int64_t divsteps_vartime(int64_t eta, uint64_t f, uint64_t g, Transition& t) {
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

// (f, g) = t·(f, g)/2^62, exactly.
inline void apply(Signed62& f, Signed62& g, const Transition& t) {
  Signed128 cf = Signed128{t.u} * f.limb[0] + Signed128{t.v} * g.limb[0];
  Signed128 cg = Signed128{t.q} * f.limb[0] + Signed128{t.r} * g.limb[0];
  cf >>= 62;
  cg >>= 62;
  for (int i = 1; i < 5; ++i) {
    const int64_t fi = f.limb[i];
    const int64_t gi = g.limb[i];
    cf += Signed128{t.u} * fi + Signed128{t.v} * gi;
    cg += Signed128{t.q} * fi + Signed128{t.r} * gi;
    f.limb[i - 1] = static_cast<int64_t>(static_cast<uint64_t>(cf) & kMask62);
    g.limb[i - 1] = static_cast<int64_t>(static_cast<uint64_t>(cg) & kMask62);
    cf >>= 62;
    cg >>= 62;
  }
  f.limb[4] = static_cast<int64_t>(cf);
  g.limb[4] = static_cast<int64_t>(cg);
}

// (d, e) = t·(d, e)/2^62 mod m; d and e in (-2m, m) before and after. `inverse` is 1/m mod 2^62.
inline void apply_mod(Signed62& d, Signed62& e, const Transition& t, const Signed62& m,
                      uint64_t inverse) {
  const int64_t sign_d = d.limb[4] >> 63;
  const int64_t sign_e = e.limb[4] >> 63;
  // A negative d or e counts as d + m, e + m; then the multiple of m that clears the low 62 bits.
  int64_t md = (t.u & sign_d) + (t.v & sign_e);
  int64_t me = (t.q & sign_d) + (t.r & sign_e);
  Signed128 cd = Signed128{t.u} * d.limb[0] + Signed128{t.v} * e.limb[0];
  Signed128 ce = Signed128{t.q} * d.limb[0] + Signed128{t.r} * e.limb[0];
  md -= static_cast<int64_t>((inverse * static_cast<uint64_t>(cd) + static_cast<uint64_t>(md)) &
                             kMask62);
  me -= static_cast<int64_t>((inverse * static_cast<uint64_t>(ce) + static_cast<uint64_t>(me)) &
                             kMask62);
  cd += Signed128{m.limb[0]} * md;
  ce += Signed128{m.limb[0]} * me;
  cd >>= 62;
  ce >>= 62;
  for (int i = 1; i < 5; ++i) {
    const int64_t di = d.limb[i];
    const int64_t ei = e.limb[i];
    cd += Signed128{t.u} * di + Signed128{t.v} * ei + Signed128{m.limb[i]} * md;
    ce += Signed128{t.q} * di + Signed128{t.r} * ei + Signed128{m.limb[i]} * me;
    d.limb[i - 1] = static_cast<int64_t>(static_cast<uint64_t>(cd) & kMask62);
    e.limb[i - 1] = static_cast<int64_t>(static_cast<uint64_t>(ce) & kMask62);
    cd >>= 62;
    ce >>= 62;
  }
  d.limb[4] = static_cast<int64_t>(cd);
  e.limb[4] = static_cast<int64_t>(ce);
}

inline void add_multiple(Signed62& a, const Signed62& m, int64_t factor) {
  int64_t carry = 0;
  for (int i = 0; i < 5; ++i) {
    const int64_t sum = a.limb[i] + factor * m.limb[i] + carry;
    if (i == 4) {
      a.limb[i] = sum;
    } else {
      a.limb[i] = sum & static_cast<int64_t>(kMask62);
      carry = sum >> 62;
    }
  }
}

inline void negate(Signed62& a) {
  int64_t carry = 0;
  for (int i = 0; i < 5; ++i) {
    const int64_t sum = carry - a.limb[i];
    if (i == 4) {
      a.limb[i] = sum;
    } else {
      a.limb[i] = sum & static_cast<int64_t>(kMask62);
      carry = sum >> 62;
    }
  }
}

// 1/a mod m, for m an odd prime and 0 < a < m.
inline Words modular_inverse_vartime(const Words& a, const Words& m) {
  const Signed62 modulus = signed62_of(m);
  const uint64_t inverse = ~negative_inverse(m.word[0]) + 1;
  Signed62 f = modulus;
  Signed62 g = signed62_of(a);
  Signed62 d{{0, 0, 0, 0, 0}};
  Signed62 e{{1, 0, 0, 0, 0}};
  int64_t eta = -1;
  while (true) {
    Transition t;
    eta = divsteps_vartime(
        eta, static_cast<uint64_t>(f.limb[0]) | static_cast<uint64_t>(f.limb[1]) << 62,
        static_cast<uint64_t>(g.limb[0]) | static_cast<uint64_t>(g.limb[1]) << 62, t);
    apply_mod(d, e, t, modulus, inverse);
    apply(f, g, t);
    if ((g.limb[0] | g.limb[1] | g.limb[2] | g.limb[3] | g.limb[4]) == 0) break;
  }
  // f = ±1 now, and d = ±1/a; d in (-2m, m).
  if (d.limb[4] < 0) add_multiple(d, modulus, 1);
  if (f.limb[4] < 0) negate(d);
  if (d.limb[4] < 0) add_multiple(d, modulus, 1);
  if (d.limb[4] < 0) add_multiple(d, modulus, 1);
  return words_of(d);
}

}  // namespace
}  // namespace colophon::kernels
