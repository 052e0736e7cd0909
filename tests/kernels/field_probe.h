// SPDX-License-Identifier: Apache-2.0
//
// The fields of kernels/ behind plain functions, so that a test compiled for any CPU can call those
// that are compiled for one: GoogleTest's inline code must not be built with AVX-512.
#pragma once

#include <stdint.h>

namespace colophon::test {

enum class FieldOp : uint8_t {
  kMul,          // a·b/R
  kSqr,          // a²/R
  kMulMinus,     // a·b/R - c with c = a
  kMulSub,       // (a·b - c·d)/R with c = b, d = a + b
  kSqrMinus,     // a²/R - b - 2c with c = a + b: P-256's prime only
  kHalf,         // a/2, where the field has it
  kMulMinusSqr,  // (a·b - a²)/R, likewise
  kAdd,          // carry(a + b)
  kSub,          // carry(a - b)
  kAddReduced,   // carry_reduced(a + b): P-256's prime only
  kSubReduced,   // carry_reduced(a - b): P-256's prime only
  kWideSum,      // carry(4a + a + a - b - b): magnitudes up to 16
  kWideProduct,  // 4a·4b/R, of magnitudes 8
  kNegateIf,     // lanes with odd b: -a, where a is not 0 mod m
  kSelect,       // lanes with odd b: b, others a
  kInverse,      // R²/a, lanes with a = 0 mod m take 1
  kIsZero,       // 1 or 0
  kEqualIsZero,  // is_zero(a - b)
  kCount,
};

// `lanes` elements at once; numbers are four words, the lowest first; results are below the
// modulus.
struct FieldProbe {
  const char* name;
  unsigned lanes;
  unsigned limb_bits;
  unsigned radix_bits;  // R = 2^radix_bits
  uint64_t modulus[4];
  bool has_reduced;
  bool has_half;
  void (*run)(FieldOp op, const uint64_t (*a)[4], const uint64_t (*b)[4], uint64_t (*out)[4]);
};

extern const FieldProbe kWidePrime;
extern const FieldProbe kWideOrder;
extern const FieldProbe kScalarPrime;
extern const FieldProbe kScalarOrder;
extern const FieldProbe kScalarWidePrime;  // the other form of the reduction
extern const FieldProbe kLanesPrime;       // where cpu_has_avx512()
extern const FieldProbe kLanesOrder;

}  // namespace colophon::test
