// SPDX-License-Identifier: Apache-2.0
#include "key_encoding.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "curve.h"
#include "edwards25519.h"
#include "hex_constant.h"
#include "kernels/ecdsa.h"
#include "openssl_digest.h"
#include "openssl_handle.h"

namespace colophon {
namespace {

constexpr std::size_t kCoordinateBytes = 32;
constexpr std::size_t kCompressedBytes = 1 + kCoordinateBytes;
constexpr std::size_t kUncompressedBytes = 1 + 2 * kCoordinateBytes;

// RFC 8410 §4: SEQUENCE { SEQUENCE { id-Ed25519 }, BIT STRING (0 unused bits) …
constexpr auto kEd25519Spki = from_hex("302a300506032b6570032100");

constexpr std::uint8_t kSpkiTag = 0x30;

// Read-only after construction, so shared by all threads.
const EC_GROUP* group_of(const Curve& curve) {
  struct Groups {
    EcGroupPtr p256{EC_GROUP_new_by_curve_name(curve_of(Scheme::kEcdsaP256Sha256).openssl_nid)};
    EcGroupPtr secp256k1{
        EC_GROUP_new_by_curve_name(curve_of(Scheme::kEcdsaSecp256k1Sha256).openssl_nid)};
    EcGroupPtr sm2{EC_GROUP_new_by_curve_name(curve_of(Scheme::kSm2Sm3).openssl_nid)};
  };
  static const Groups groups;
  switch (curve.scheme) {
    case Scheme::kEcdsaSecp256k1Sha256:
      return groups.secp256k1.get();
    case Scheme::kSm2Sm3:
      return groups.sm2.get();
    case Scheme::kEcdsaP256Sha256:
    case Scheme::kEd25519:
      break;
  }
  return groups.p256.get();
}

bool starts_with(ByteSpan bytes, ByteSpan prefix) {
  return bytes.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), bytes.begin());
}

// Takes the point out of a SubjectPublicKeyInfo.
KeyFault strip_spki(const Curve& curve, ByteSpan encoded, ByteSpan& point) {
  if (starts_with(encoded, curve.spki_uncompressed) &&
      encoded.size() == curve.spki_uncompressed.size() + kUncompressedBytes) {
    point = encoded.subspan(curve.spki_uncompressed.size());
    return KeyFault::kNone;
  }
  if (starts_with(encoded, curve.spki_compressed) &&
      encoded.size() == curve.spki_compressed.size() + kCompressedBytes) {
    point = encoded.subspan(curve.spki_compressed.size());
    return KeyFault::kNone;
  }
  return KeyFault::kSpki;
}

KeyFault check_form(ByteSpan point) {
  switch (point[0]) {
    case 0x00:
      return KeyFault::kInfinity;
    case 0x02:
    case 0x03:
      return point.size() == kCompressedBytes ? KeyFault::kNone : KeyFault::kLength;
    case 0x04:
      return point.size() == kUncompressedBytes ? KeyFault::kNone : KeyFault::kLength;
    case 0x06:
    case 0x07:
      return KeyFault::kHybrid;
    default:
      return KeyFault::kForm;
  }
}

// Decompresses, or checks the curve equation. `sec1` has a checked form and coordinates < p.
KeyFault affine_point(const Curve& curve, ByteSpan sec1, std::array<std::uint8_t, 64>& xy) {
  if (curve.scheme == Scheme::kEcdsaP256Sha256 && sec1.size() == kUncompressedBytes) {
    std::copy(sec1.begin() + 1, sec1.end(), xy.begin());
    return kernels::p256_is_on_curve(xy.data()) ? KeyFault::kNone : KeyFault::kNotOnCurve;
  }
  const OpensslErrorScope scope;
  const EC_GROUP* group = group_of(curve);
  if (group == nullptr) return KeyFault::kNoMemory;
  const EcPointPtr point(EC_POINT_new(group));
  if (!point) return KeyFault::kNoMemory;
  if (EC_POINT_oct2point(group, point.get(), sec1.data(), sec1.size(), nullptr) != 1) {
    return OpensslErrorScope::out_of_memory() ? KeyFault::kNoMemory : KeyFault::kNotOnCurve;
  }
  std::array<std::uint8_t, kUncompressedBytes> uncompressed;
  if (sec1.size() == kUncompressedBytes) {
    std::copy(sec1.begin(), sec1.end(), uncompressed.begin());
  } else if (EC_POINT_point2oct(group, point.get(), POINT_CONVERSION_UNCOMPRESSED,
                                uncompressed.data(), uncompressed.size(),
                                nullptr) != uncompressed.size()) {
    return KeyFault::kNoMemory;
  }
  std::copy(uncompressed.begin() + 1, uncompressed.end(), xy.begin());
  return KeyFault::kNone;
}

KeyFault parse_curve_key(const Curve& curve, ByteSpan encoded, PublicKey& key) {
  if (encoded.empty()) return KeyFault::kLength;
  ByteSpan point = encoded;
  if (encoded[0] == kSpkiTag) {
    if (const KeyFault fault = strip_spki(curve, encoded, point); fault != KeyFault::kNone) {
      return fault;
    }
  }
  if (const KeyFault fault = check_form(point); fault != KeyFault::kNone) return fault;
  for (std::size_t at = 1; at < point.size(); at += kCoordinateBytes) {
    if (std::memcmp(point.data() + at, curve.p.data(), kCoordinateBytes) >= 0) {
      return KeyFault::kCoordinateRange;
    }
  }
  PublicKey parsed;
  parsed.scheme = curve.scheme;
  if (const KeyFault fault = affine_point(curve, point, parsed.bytes); fault != KeyFault::kNone) {
    return fault;
  }
  key = parsed;
  return KeyFault::kNone;
}

KeyFault parse_ed25519_key(ByteSpan encoded, PublicKey& key) {
  if (encoded.size() != 32) {
    if (encoded.size() != kEd25519Spki.size() + 32) return KeyFault::kLength;
    if (!starts_with(encoded, kEd25519Spki)) return KeyFault::kSpki;
    encoded = encoded.subspan(kEd25519Spki.size());
  }
  const auto a = encoded.first<32>();
  if (!edwards25519::is_on_curve_zip215(a)) return KeyFault::kNotOnCurve;
  PublicKey parsed;
  parsed.scheme = Scheme::kEd25519;
  std::copy(a.begin(), a.end(), parsed.bytes.begin());
  parsed.ed25519_canonical = edwards25519::is_canonical(a);
  parsed.ed25519_small_order = parsed.ed25519_canonical && edwards25519::is_small_order(a);
  key = parsed;
  return KeyFault::kNone;
}

}  // namespace

std::string_view key_fault_text(KeyFault fault) noexcept {
  switch (fault) {
    case KeyFault::kNone:
      return "the key is well formed";
    case KeyFault::kLength:
      return "wrong length: give a compressed (33 bytes) or uncompressed (65 bytes) point, for "
             "Ed25519 32 bytes, or a DER SubjectPublicKeyInfo";
    case KeyFault::kInfinity:
      return "it is the point at infinity";
    case KeyFault::kHybrid:
      return "hybrid point form (06, 07) is not accepted: give a compressed or uncompressed point";
    case KeyFault::kForm:
      return "its first byte is no point form (02, 03, 04) and no DER SubjectPublicKeyInfo";
    case KeyFault::kSpki:
      return "it is not the DER SubjectPublicKeyInfo of a key of this scheme (named curve, no "
             "explicit parameters, nothing after the end)";
    case KeyFault::kCoordinateRange:
      return "a coordinate is not below the field prime";
    case KeyFault::kNotOnCurve:
      return "the point is not on the curve";
    case KeyFault::kNoMemory:
      return "OpenSSL could not allocate memory to check it";
  }
  return "unknown fault";
}

KeyFault parse_public_key(Scheme scheme, ByteSpan encoded, PublicKey& key) {
  return scheme == Scheme::kEd25519 ? parse_ed25519_key(encoded, key)
                                    : parse_curve_key(curve_of(scheme), encoded, key);
}

std::array<std::uint8_t, 65> sec1_uncompressed(const PublicKey& key) noexcept {
  std::array<std::uint8_t, kUncompressedBytes> point;
  point[0] = 0x04;
  std::copy(key.bytes.begin(), key.bytes.end(), point.begin() + 1);
  return point;
}

Result<void> set_sm2_identity(PublicKey& key, std::string_view id) {
  if (id.size() > kSm2IdBytesMax) {
    return make_error(ErrorCode::kInvalidArgument,
                      "the SM2 signer id has " + std::to_string(id.size()) + " bytes; at most " +
                          std::to_string(kSm2IdBytesMax) + " are possible",
                      "sm2_id");
  }
  const std::size_t id_bits = 8 * id.size();
  const std::array<std::uint8_t, 2> entl = {static_cast<std::uint8_t>(id_bits >> 8),
                                            static_cast<std::uint8_t>(id_bits)};
  const ByteSpan id_bytes(reinterpret_cast<const std::uint8_t*>(id.data()), id.size());
  COLOPHON_TRY_ASSIGN(Hasher hasher, Hasher::create(HashAlgorithm::kSm3));
  COLOPHON_TRY_ASSIGN(key.sm2_z, hasher.digest32({entl, id_bytes, sm2_curve_bytes(), key.bytes}));
  return {};
}

}  // namespace colophon
