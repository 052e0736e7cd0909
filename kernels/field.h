// SPDX-License-Identifier: Apache-2.0
//
// The Field concept: what the formulas and the verification text (curve.h, verify.h) are written
// over. Implementations: FieldLanes (field_lanes.h: eight elements, AVX-512 IFMA), FieldWide
// (field_wide.h: one element, any 64-bit CPU), FieldScalar (field_scalar.h: one element, 32-bit
// limbs) and, in the tests, a field of a few elements in which everything is tried.
//
// A field F of a modulus m works on F::kLanes elements at once, each in Montgomery form a·R mod m:
//
//   F::Element<M>    a value in [0, M·m), fit for a product. M is part of the type: a product or a
//                    carry whose operands are too large does not compile. Element<M> converts to
//                    Element<N>, N > M.
//   F::Sum<N, M>     a value in (-N·m, M·m), made by + and - from elements and sums without
//                    carrying. An Element<M> is a Sum<0, M>.
//   F::Mask          a bit a lane
//   F::Word          64 bits a lane, unsigned
//
//   F::carry(Sum<N, M>)              -> Element<N + M>, N + M <= F::kMagnitudeMax
//   F::carry_reduced(Sum<N, M>)      -> Element<2>
//   F::mul(Element<A>, Element<B>)   -> Element<C>: a·b/R, C = product_magnitude(A·B)
//   F::sqr(Element<A>)               -> the same as mul(a, a)
//   F::mul_minus(a, b, Sum c)        -> the same as carry(mul(a, b) - c)
//   F::mul_sub(a, b, c, d)           -> (a·b - c·d)/R, of product_magnitude(A·B + C·D)
//   F::sqr_minus(a, b, c)            -> Element<2>: a²/R - b - 2c
//   F::mul_minus_sqr(a, b, c)        -> (a·b - c²)/R, and
//   F::half(a)                       -> a/2: FieldScalar only, for twice_halved() (curve.h)
//   F::times4(Element<M>)            -> Sum<0, 4M>
//   F::negate_if(Mask, Element<1>)   -> Sum<1, 1>, of an element that is not zero: a point's y
//   F::select(Mask, a, b)            the lanes of a where the mask is set, else b
//   F::is_zero(Sum<N, M>)            -> Mask, of the value mod m
//   F::canonical(Element<M>)         -> Element<1>
//   F::zero(), F::one()              -> Element<1>: 0 and R mod m
//   F::from_words(const Word[4])     -> Element<2>: the number itself, not in Montgomery form, any
//                                    256 bits
//   F::to_words(Element<1>, Word[4])
//   F::square_of_r()                 -> Element<1>: R² mod m, so that mul(x, square_of_r()) is x·R
//   F::inverse_vartime(Element<A>)   -> Element<2>: R²/a for each lane. No lane may be zero.
//
// With COLOPHON_VERIFY, FieldLanes checks every bound stated here at run time, and aborts; the
// other fields keep every value below m.
//
// No secret ever enters: names say _vartime where time depends on values, and memory is read by
// value.
#pragma once

namespace colophon::kernels {
namespace {

// Magnitude of x/R for x below ab·m², where 16·m <= R: (ab·m² + R·m)/R <= (ab/16 + 1)·m.
constexpr unsigned product_magnitude(unsigned ab) { return 1 + (ab + 15) / 16; }

}  // namespace
}  // namespace colophon::kernels
