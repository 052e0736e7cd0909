// SPDX-License-Identifier: Apache-2.0
//
// Points of y² = x³ - 3x + b over a prime field, written over the Field concept (field.h).
// Coordinates are in Montgomery form throughout.
#pragma once

#include "kernels/field.h"
#include "kernels/host_device.h"
#include "kernels/modulus.h"

namespace colophon::kernels {
namespace {

// NIST P-256 (SP 800-186 §3.2.1.3). Plain numbers, not in Montgomery form.
struct P256 {
  using Prime = P256Prime;
  using Order = P256Order;
  static constexpr Words kB{
      {0x3bce3c3e27d2604b, 0x651d06b0cc53b0f6, 0xb3ebbd55769886bc, 0x5ac635d8aa3a93e7}};
  static constexpr Words kGx{
      {0xf4a13945d898c296, 0x77037d812deb33a0, 0xf8bce6e563a440f2, 0x6b17d1f2e12c4247}};
  static constexpr Words kGy{
      {0xcbb6406837bf51f5, 0x2bce33576b315ece, 0x8ee7eb4a7c0f9e16, 0x4fe342e2fe1a7f9b}};
};

template <class F>
struct Affine {
  typename F::template Element<1> x, y;
};

// x = X/ZZ, y = Y/ZZZ, ZZ³ = ZZZ². ZZ = 0 is no point: the infinity, or the trace of an addition
// whose formula does not hold, and no later addition changes that.
template <class F>
struct Xyzz {
  typename F::template Element<2> x;
  typename F::template Element<3> y;
  typename F::template Element<2> zz, zzz;
};

// x = X/Z², y = Y/Z³. Z = 0 as above.
template <class F>
struct Jacobian {
  typename F::template Element<2> x, y, z;
};

// x = X/Z, y = Y/Z; the infinity is (0 : Y : 0).
template <class F>
struct Projective {
  typename F::template Element<2> x, y, z;
};

// --- incomplete formulas: fast; wrong, with a zero left behind, for P = ±Q and for the infinity --

// The sum of two different affine points, ±q2 by its mask (mmadd-2008-s; 4 M + 2 S).
template <class F>
COLOPHON_HOST_DEVICE inline Xyzz<F> add_affine(const Affine<F>& p1, typename F::Mask negative1,
                                               const Affine<F>& p2, typename F::Mask negative2) {
  const auto y1 = F::carry(F::negate_if(negative1, p1.y));
  const auto p = F::carry(p2.x - p1.x);
  const auto r = F::carry(F::negate_if(negative2, p2.y) - F::negate_if(negative1, p1.y));
  Xyzz<F> sum;
  const auto pp = F::sqr(p);
  const auto ppp = F::mul(p, pp);
  const auto q = F::mul(p1.x, pp);
  sum.x = F::sqr_minus(r, ppp, q);
  sum.y = F::mul_sub(r, F::carry(q - sum.x), y1, ppp);
  sum.zz = pp;
  sum.zzz = ppp;
  return sum;
}

// sum[k] += ±p[k] (madd-2008-s; 8 M + 2 S), K independent sums in step: while a product of one
// waits for its operands, those of the others keep the multipliers busy.
template <class F, int K>
COLOPHON_HOST_DEVICE inline void add_mixed(Xyzz<F> (&sum)[K], const Affine<F> (&point)[K],
                                           const typename F::Mask (&negative)[K]) {
  typename F::template Element<4> p[K];
  typename F::template Element<5> r[K];
  typename F::template Element<2> pp[K];
  typename F::template Element<2> ppp[K];
  typename F::template Element<2> q[K];
  COLOPHON_UNROLL
  for (int k = 0; k < K; ++k) p[k] = F::mul_minus(point[k].x, sum[k].zz, sum[k].x);
  COLOPHON_UNROLL
  for (int k = 0; k < K; ++k) {
    const auto y = F::carry(F::negate_if(negative[k], point[k].y));
    r[k] = F::mul_minus(y, sum[k].zzz, sum[k].y);
  }
  COLOPHON_UNROLL
  for (int k = 0; k < K; ++k) pp[k] = F::sqr(p[k]);
  COLOPHON_UNROLL
  for (int k = 0; k < K; ++k) ppp[k] = F::mul(p[k], pp[k]);
  COLOPHON_UNROLL
  for (int k = 0; k < K; ++k) q[k] = F::mul(sum[k].x, pp[k]);
  COLOPHON_UNROLL
  for (int k = 0; k < K; ++k) sum[k].x = F::sqr_minus(r[k], ppp[k], q[k]);
  COLOPHON_UNROLL
  for (int k = 0; k < K; ++k) sum[k].zz = F::mul(sum[k].zz, pp[k]);
  COLOPHON_UNROLL
  for (int k = 0; k < K; ++k) {
    sum[k].y = F::mul_sub(r[k], F::carry(q[k] - sum[k].x), sum[k].y, ppp[k]);
  }
  COLOPHON_UNROLL
  for (int k = 0; k < K; ++k) sum[k].zzz = F::mul(sum[k].zzz, ppp[k]);
}

// p1 + p2 (add-2008-s; 12 M + 2 S).
template <class F>
COLOPHON_HOST_DEVICE inline Xyzz<F> add(const Xyzz<F>& p1, const Xyzz<F>& p2) {
  const auto u1 = F::mul(p1.x, p2.zz);
  const auto s1 = F::mul(p1.y, p2.zzz);
  const auto p = F::mul_minus(p2.x, p1.zz, u1);
  const auto r = F::mul_minus(p2.y, p1.zzz, s1);
  Xyzz<F> sum;
  const auto pp = F::sqr(p);
  const auto ppp = F::mul(p, pp);
  const auto q = F::mul(u1, pp);
  sum.x = F::sqr_minus(r, ppp, q);
  sum.y = F::mul_sub(r, F::carry(q - sum.x), s1, ppp);
  sum.zz = F::mul(F::mul(p1.zz, p2.zz), pp);
  sum.zzz = F::mul(F::mul(p1.zzz, p2.zzz), ppp);
  return sum;
}

// 2·p (dbl-2001-b, a = -3, squares of sums undone: 5 M + 3 S). Right for every point: there is none
// of order two.
template <class F>
COLOPHON_HOST_DEVICE inline Jacobian<F> twice(const Jacobian<F>& p) {
  const auto delta = F::sqr(p.z);
  const auto gamma = F::sqr(p.y);
  const auto gamma4 = F::carry(F::times4(gamma));
  const auto beta4 = F::mul(p.x, gamma4);
  const auto product = F::mul(F::carry(p.x - delta), F::carry(p.x + delta));
  const auto alpha = F::carry(product + product + product);
  Jacobian<F> out;
  out.z = F::mul(F::carry(p.y + p.y), p.z);
  out.x = F::carry_reduced(F::sqr(alpha) - beta4 - beta4);
  const auto gamma_squared4 = F::mul(gamma4, gamma);
  out.y =
      F::carry_reduced(F::mul(alpha, F::carry(beta4 - out.x)) - gamma_squared4 - gamma_squared4);
  return out;
}

// The same with Z halved (4 M + 4 S and no small multiples), for fields that halve cheaply.
template <class F>
COLOPHON_HOST_DEVICE inline Jacobian<F> twice_halved(const Jacobian<F>& p) {
  const auto delta = F::sqr(p.z);
  const auto gamma = F::sqr(p.y);
  const auto beta = F::mul(p.x, gamma);
  const auto product = F::mul(F::carry(p.x - delta), F::carry(p.x + delta));
  const auto half_alpha = F::carry(product + F::half(product));
  Jacobian<F> out;
  out.z = F::mul(p.y, p.z);
  out.x = F::carry_reduced(F::sqr(half_alpha) - beta - beta);
  out.y = F::mul_minus_sqr(half_alpha, F::carry(beta - out.x), gamma);
  return out;
}

// p1 + (±p2) (8 M + 3 S).
template <class F>
COLOPHON_HOST_DEVICE inline Jacobian<F> add_mixed(const Jacobian<F>& p1, const Affine<F>& p2,
                                                  typename F::Mask negative) {
  const auto y2 = F::carry(F::negate_if(negative, p2.y));
  const auto zz = F::sqr(p1.z);
  const auto h = F::mul_minus(p2.x, zz, p1.x);
  const auto r = F::mul_minus(y2, F::mul(zz, p1.z), p1.y);
  const auto hh = F::sqr(h);
  const auto hhh = F::mul(h, hh);
  const auto v = F::mul(p1.x, hh);
  Jacobian<F> sum;
  sum.x = F::sqr_minus(r, hhh, v);
  sum.y = F::carry_reduced(F::mul_sub(r, F::carry(v - sum.x), p1.y, hhh));
  sum.z = F::mul(p1.z, h);
  return sum;
}

// --- the complete formula ------------------------------------------------------------------------

// p1 + p2 for any two points, equal, opposite or infinite (Renes, Costello, Batina 2016, algorithm
// 4, a = -3). `b` in Montgomery form.
template <class F>
COLOPHON_HOST_DEVICE inline Projective<F> add_complete(const Projective<F>& p1,
                                                       const Projective<F>& p2,
                                                       const typename F::template Element<2>& b) {
  const auto xx = F::mul(p1.x, p2.x);
  const auto yy = F::mul(p1.y, p2.y);
  const auto zz = F::mul(p1.z, p2.z);
  const auto cross = [](const auto& a1, const auto& b1, const auto& a2, const auto& b2,
                        const auto& aa, const auto& bb) {
    return F::carry_reduced(F::mul(F::carry(a1 + b1), F::carry(a2 + b2)) - aa - bb);
  };
  const auto xy = cross(p1.x, p1.y, p2.x, p2.y, xx, yy);  // X1·Y2 + X2·Y1
  const auto yz = cross(p1.y, p1.z, p2.y, p2.z, yy, zz);
  const auto xz = cross(p1.x, p1.z, p2.x, p2.z, xx, zz);
  const auto triple = [](const auto& a) { return F::carry_reduced(a + a + a); };
  const auto e = triple(F::carry_reduced(xz - F::mul(b, zz)));  // 3(XZ - b·ZZ)
  const auto minus = F::carry_reduced(yy - e);
  const auto plus = F::carry_reduced(yy + e);
  const auto zz3 = triple(zz);
  const auto f = triple(F::carry_reduced(F::mul(b, xz) - zz3 - xx));  // 3(b·XZ - 3ZZ - XX)
  const auto g = F::carry_reduced(triple(xx) - zz3);                  // 3(XX - ZZ)
  Projective<F> sum;
  sum.x = F::carry_reduced(F::mul(xy, plus) - F::mul(yz, f));
  sum.y = F::carry_reduced(F::mul(plus, minus) + F::mul(g, f));
  sum.z = F::carry_reduced(F::mul(yz, minus) + F::mul(xy, g));
  return sum;
}

}  // namespace
}  // namespace colophon::kernels
