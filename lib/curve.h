// SPDX-License-Identifier: Apache-2.0
//
// The short Weierstrass curves of the schemes: constants (SEC 2 §2.4.1, FIPS 186-5 / SP 800-186
// §3.2.1.3, GB/T 32918.5 §2) and the DER that surrounds their keys. All three have prime order, so
// a point on the curve that is not the point at infinity is in the right group.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "colophon/profile.hpp"
#include "colophon/slices.hpp"

namespace colophon {

// Big-endian, fixed width: what the wire has, what memcmp orders.
using Bytes32 = std::array<std::uint8_t, 32>;

struct Curve {
  Scheme scheme;
  const char* openssl_type;   // EVP_PKEY type: "EC" or "SM2"
  const char* openssl_group;  // OSSL_PKEY_PARAM_GROUP_NAME
  int openssl_nid;
  Bytes32 p;       // field prime, 3 mod 4
  Bytes32 n;       // group order
  Bytes32 n_half;  // (n-1)/2
  // DER of SubjectPublicKeyInfo up to the point's first byte. DER has one form, so parsing a key is
  // comparing its beginning with these (RFC 5480: id-ecPublicKey, named curve, no unused bits).
  ByteSpan spki_uncompressed;  // 65 bytes follow
  ByteSpan spki_compressed;    // 33 bytes follow
};

// Requires a scheme that is not Ed25519.
[[nodiscard]] const Curve& curve_of(Scheme scheme) noexcept;

// Z_A of GB/T 32918.2 §5.5 needs the curve's own a, b, G: a ‖ b ‖ x_G ‖ y_G of the SM2 curve.
[[nodiscard]] std::span<const std::uint8_t, 128> sm2_curve_bytes() noexcept;

}  // namespace colophon
