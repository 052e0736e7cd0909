// SPDX-License-Identifier: Apache-2.0
//
// The rules by which a signature is valid: the same for every backend there will ever be. On a
// consensus node a difference between two machines is a fork, so nothing here is "whatever the
// library underneath does"; where OpenSSL's own rule differs, this one wins. docs/formats.md has
// the same text for people who write other implementations.
//
// Public keys
//   ECDSA and SM2: SEC 1 §2.3.3 compressed (33 bytes, 02/03) or uncompressed (65 bytes, 04), or a
//   DER SubjectPublicKeyInfo (RFC 5480, named curve, either point form inside). Refused: the hybrid
//   form (06/07), the point at infinity (00), a coordinate >= p, a point not on the curve, explicit
//   curve parameters, any other curve, BER that is not DER, bytes after the end. Ed25519: 32 bytes
//   (RFC 8032 §5.1.2), or a DER SubjectPublicKeyInfo (RFC 8410, no parameters).
//
// ECDSA (FIPS 186-5 §6.4.2; P-256 and secp256k1 with SHA-256)
//   encoding raw: exactly 64 bytes, r || s, big-endian. Encoding der: SEQUENCE { INTEGER r, INTEGER
//   s } in strict DER: definite minimal lengths, minimal non-negative integers, nothing after. r
//   and s in [1, n-1]. Profile low_s also refuses s > (n-1)/2.
//
// SM2 (GB/T 32918.2, draft-shen-sm2-ecdsa) with SM3
//   e = SM3(Z_A || M), Z_A over the signer id (default "1234567812345678"). Encodings as for ECDSA;
//   r and s in [1, n-1], t = r + s mod n not 0. Profile standard only.
//
// Ed25519 (RFC 8032, ZIP 215)
//   zip215 (default; what CometBFT uses): A and R may be non-canonical encodings and of small
//   order, S < L, and the cofactored equation [8][S]B = [8]R + [8][k]A holds with k over the bytes
//   as given. strict: A and R canonical and not of small order, S < L, and the cofactorless
//   equation [S]B = R + [k mod L]A holds (for an A with a component of small order, k and k mod L
//   differ). Encoding raw only (64 bytes, R || S).
//
// Input
//   message: hashed as the scheme says. digest: 32 bytes that stand for the hash e (ECDSA, SM2; for
//   SM2 the digest is SM3(Z_A || M)). Ed25519 takes messages only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace colophon {

enum class Scheme : std::uint8_t {
  kEcdsaP256Sha256 = 1,
  kEcdsaSecp256k1Sha256 = 2,
  kEd25519 = 3,
  kSm2Sm3 = 4,
};

enum class SignatureEncoding : std::uint8_t { kRaw = 1, kDer = 2 };

enum class Profile : std::uint8_t {
  kDefault = 0,  // ECDSA, SM2: standard; Ed25519: zip215
  kStandard = 1,
  kLowS = 2,
  kZip215 = 3,
  kStrict = 4,
};

enum class InputKind : std::uint8_t { kMessage = 1, kDigest = 2 };

// One a signature. Everything but kValid is "not valid"; the value says which rule refused it
// first, in the order below, and is the same on every backend.
enum class Verdict : std::uint8_t {
  kValid = 0,
  kBadKey = 1,        // the public key breaks a rule above
  kBadEncoding = 2,   // the signature's bytes do not have the form
  kOutOfRange = 3,    // r or s not in [1, n-1]; S >= L; SM2 t = 0
  kHighS = 4,         // profile low_s: s > (n-1)/2
  kNonCanonical = 5,  // profile strict: A or R not canonical
  kSmallOrder = 6,    // profile strict: A or R of small order
  kBadDigest = 7,     // a digest that is not 32 bytes
  kMismatch = 8,      // well formed, but does not verify (for zip215 also: R is not on the curve)
};

inline constexpr std::string_view kSm2DefaultId = "1234567812345678";
inline constexpr std::size_t kSm2IdBytesMax = 8191;  // its bit length is hashed as 16 bits

// Names as used in JSON and on the command line: "ecdsa-p256-sha256", "ecdsa-secp256k1-sha256",
// "ed25519", "sm2-sm3"; "raw", "der"; "standard", "low_s", "zip215", "strict".
[[nodiscard]] std::string_view scheme_name(Scheme scheme) noexcept;
[[nodiscard]] std::optional<Scheme> scheme_from_name(std::string_view name) noexcept;
[[nodiscard]] std::string_view encoding_name(SignatureEncoding encoding) noexcept;
[[nodiscard]] std::optional<SignatureEncoding> encoding_from_name(std::string_view name) noexcept;
[[nodiscard]] std::string_view profile_name(Profile profile) noexcept;
[[nodiscard]] std::optional<Profile> profile_from_name(std::string_view name) noexcept;
// One sentence for people, e.g. "r or s is not in [1, n-1]".
[[nodiscard]] std::string_view verdict_reason(Verdict verdict) noexcept;

}  // namespace colophon
