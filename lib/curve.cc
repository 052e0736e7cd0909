// SPDX-License-Identifier: Apache-2.0
#include "curve.h"

#include <openssl/obj_mac.h>

#include "hex_constant.h"

namespace colophon {
namespace {

// (n-1)/2 of an odd big-endian n is n shifted right by one bit.
consteval Bytes32 half(const Bytes32& n) {
  Bytes32 result{};
  unsigned carry = 0;
  for (std::size_t i = 0; i < n.size(); ++i) {
    result[i] = static_cast<std::uint8_t>(carry << 7 | n[i] >> 1);
    carry = n[i] & 1U;
  }
  return result;
}

// SEQUENCE { SEQUENCE { id-ecPublicKey, curve }, BIT STRING (0 unused bits) …
constexpr auto kP256Uncompressed = from_hex("3059301306072a8648ce3d020106082a8648ce3d030107034200");
constexpr auto kP256Compressed = from_hex("3039301306072a8648ce3d020106082a8648ce3d030107032200");
constexpr auto kSecp256k1Uncompressed = from_hex("3056301006072a8648ce3d020106052b8104000a034200");
constexpr auto kSecp256k1Compressed = from_hex("3036301006072a8648ce3d020106052b8104000a032200");
constexpr auto kSm2Uncompressed = from_hex("3059301306072a8648ce3d020106082a811ccf5501822d034200");
constexpr auto kSm2Compressed = from_hex("3039301306072a8648ce3d020106082a811ccf5501822d032200");

constexpr Bytes32 kP256N =
    from_hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
constexpr Bytes32 kSecp256k1N =
    from_hex("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");
constexpr Bytes32 kSm2N =
    from_hex("fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123");

constexpr Curve kCurveP256{
    Scheme::kEcdsaP256Sha256,
    "EC",
    "prime256v1",
    NID_X9_62_prime256v1,
    from_hex("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff"),
    kP256N,
    half(kP256N),
    kP256Uncompressed,
    kP256Compressed};
constexpr Curve kSecp256k1{
    Scheme::kEcdsaSecp256k1Sha256,
    "EC",
    "secp256k1",
    NID_secp256k1,
    from_hex("fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f"),
    kSecp256k1N,
    half(kSecp256k1N),
    kSecp256k1Uncompressed,
    kSecp256k1Compressed};
constexpr Curve kCurveSm2{
    Scheme::kSm2Sm3,
    "SM2",
    "SM2",
    NID_sm2,
    from_hex("fffffffeffffffffffffffffffffffffffffffff00000000ffffffffffffffff"),
    kSm2N,
    half(kSm2N),
    kSm2Uncompressed,
    kSm2Compressed};

constexpr auto kSm2CurveBytes = from_hex(
    "fffffffeffffffffffffffffffffffffffffffff00000000fffffffffffffffc"
    "28e9fa9e9d9f5e344d5a9e4bcf6509a7f39789f515ab8f92ddbcbd414d940e93"
    "32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7"
    "bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0");

}  // namespace

const Curve& curve_of(Scheme scheme) noexcept {
  switch (scheme) {
    case Scheme::kEcdsaSecp256k1Sha256:
      return kSecp256k1;
    case Scheme::kSm2Sm3:
      return kCurveSm2;
    case Scheme::kEcdsaP256Sha256:
    case Scheme::kEd25519:
      break;
  }
  return kCurveP256;
}

std::span<const std::uint8_t, 128> sm2_curve_bytes() noexcept { return kSm2CurveBytes; }

}  // namespace colophon
