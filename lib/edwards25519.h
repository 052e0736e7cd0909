// SPDX-License-Identifier: Apache-2.0
//
// The twisted Edwards curve -x² + y² = 1 + d·x²·y² over GF(2^255 - 19) (RFC 8032 §5.1), for what
// OpenSSL cannot say about an Ed25519 signature: ZIP 215's decoding rule and cofactored equation.
// Verification only: no secret ever comes here, so everything is variable-time. Nothing allocates,
// nothing fails.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace colophon::edwards25519 {

// A point as the wire has it: y little-endian in 255 bits, the sign of x in the top bit.
using Encoding = std::span<const std::uint8_t, 32>;
// A scalar as the wire has it: little-endian.
using Scalar = std::span<const std::uint8_t, 32>;

// y < p, and not "minus zero" (x = 0 with the sign bit set). Says nothing about the curve.
[[nodiscard]] bool is_canonical(Encoding encoding) noexcept;

// Decodes to a point of the curve by ZIP 215: y is taken mod p and x = 0 may carry a sign bit.
[[nodiscard]] bool is_on_curve_zip215(Encoding encoding) noexcept;

// One of the eight canonical encodings of points P with [8]P = O. Requires is_canonical(encoding).
[[nodiscard]] bool is_small_order(Encoding canonical) noexcept;

// S < L, the order of the prime-order subgroup.
[[nodiscard]] bool is_reduced(Scalar s) noexcept;

// 512-bit little-endian k mod L (RFC 8032 §5.1.7 step 2), little-endian.
[[nodiscard]] std::array<std::uint8_t, 32> reduce_mod_order(
    std::span<const std::uint8_t, 64> k) noexcept;

// [8]([S]B - [k]A - R) = O, with A and R decoded as ZIP 215 says; false if either is not on the
// curve. Requires is_reduced(s). k is reduced mod L, which [8] makes harmless for every A.
[[nodiscard]] bool zip215_equation_holds_vartime(Encoding a, Encoding r, Scalar s,
                                                 Scalar k) noexcept;

}  // namespace colophon::edwards25519
