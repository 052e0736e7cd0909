// SPDX-License-Identifier: Apache-2.0
//
// Included by the translation units that make probes; nothing but kernels/ headers may be
// included here.
#pragma once

#include "kernels/field.h"
#include "kernels/modulus.h"
#include "tests/kernels/field_probe.h"

namespace colophon::test {
namespace {

template <class F>
void load(const uint64_t (*number)[4], typename F::Word word[4]) {
  for (int i = 0; i < 4; ++i) {
    uint64_t lanes[F::kLanes];
    for (unsigned lane = 0; lane < F::kLanes; ++lane) lanes[lane] = number[lane][i];
    word[i] = F::load(lanes);
  }
}

template <class F>
constexpr bool kHasHalf = requires(typename F::template Element<1> a) { F::half(a); };

template <class F>
void run(FieldOp op, const uint64_t (*a_number)[4], const uint64_t (*b_number)[4],
         uint64_t (*out)[4]) {
  typename F::Word word[4];
  load<F>(a_number, word);
  const typename F::template Element<2> a = F::from_words(word);
  load<F>(b_number, word);
  const typename F::template Element<2> b = F::from_words(word);
  typename F::Mask odd = 0;
  for (unsigned lane = 0; lane < F::kLanes; ++lane) {
    odd = static_cast<typename F::Mask>(odd | (b_number[lane][0] & 1) << lane);
  }
  const auto store = [out](const auto& element) {
    typename F::Word words[4];
    F::to_words(F::canonical(element), words);
    for (int i = 0; i < 4; ++i) {
      uint64_t lanes[F::kLanes];
      F::store(lanes, words[i]);
      for (unsigned lane = 0; lane < F::kLanes; ++lane) out[lane][i] = lanes[lane];
    }
  };
  const auto store_mask = [out](typename F::Mask mask) {
    for (unsigned lane = 0; lane < F::kLanes; ++lane) {
      out[lane][0] = mask >> lane & 1;
      out[lane][1] = out[lane][2] = out[lane][3] = 0;
    }
  };
  switch (op) {
    case FieldOp::kMul:
      return store(F::mul(a, b));
    case FieldOp::kSqr:
      return store(F::sqr(a));
    case FieldOp::kMulMinus:
      return store(F::mul_minus(a, b, a));
    case FieldOp::kMulSub:
      return store(F::mul_sub(a, b, b, F::carry(a + b)));
    case FieldOp::kHalf:
    case FieldOp::kMulMinusSqr:
      if constexpr (kHasHalf<F>) {
        store(op == FieldOp::kHalf ? F::half(a) : F::mul_minus_sqr(a, b, a));
      }
      return;
    case FieldOp::kAdd:
      return store(F::carry(a + b));
    case FieldOp::kSub:
      return store(F::carry(a - b));
    case FieldOp::kSqrMinus:
    case FieldOp::kAddReduced:
    case FieldOp::kSubReduced:
      if constexpr (F::Modulus::kModulus == kernels::P256Prime::kModulus) {
        store(op == FieldOp::kSqrMinus     ? F::sqr_minus(a, b, F::carry(a + b))
              : op == FieldOp::kAddReduced ? F::carry_reduced(a + b)
                                           : F::carry_reduced(a - b));
      }
      return;
    case FieldOp::kWideSum:
      return store(F::carry(F::times4(a) + a + a - b - b));
    case FieldOp::kWideProduct:
      return store(F::mul(F::carry(F::times4(a)), F::carry(F::times4(b))));
    case FieldOp::kNegateIf:
      odd = static_cast<typename F::Mask>(odd & ~F::is_zero(a));
      return store(F::carry(F::negate_if(odd, F::canonical(a))));
    case FieldOp::kSelect:
      return store(F::select(odd, b, a));
    case FieldOp::kInverse:
      return store(F::inverse_vartime(
          F::select(F::is_zero(a), typename F::template Element<2>(F::one()), a)));
    case FieldOp::kIsZero:
      return store_mask(F::is_zero(a));
    case FieldOp::kEqualIsZero:
      return store_mask(F::is_zero(a - b));
    case FieldOp::kCount:
      return;
  }
}

template <class F, class P>
constexpr FieldProbe probe(const char* name, unsigned limb_bits) {
  return {name,
          F::kLanes,
          limb_bits,
          F::kRadixBits,
          {P::kModulus.word[0], P::kModulus.word[1], P::kModulus.word[2], P::kModulus.word[3]},
          P::kModulus == kernels::P256Prime::kModulus,
          kHasHalf<F>,
          run<F>};
}

}  // namespace
}  // namespace colophon::test
