// SPDX-License-Identifier: Apache-2.0
#include "colophon/profile.hpp"

namespace colophon {

std::string_view scheme_name(Scheme scheme) noexcept {
  switch (scheme) {
    case Scheme::kEcdsaP256Sha256:
      return "ecdsa-p256-sha256";
    case Scheme::kEcdsaSecp256k1Sha256:
      return "ecdsa-secp256k1-sha256";
    case Scheme::kEd25519:
      return "ed25519";
    case Scheme::kSm2Sm3:
      return "sm2-sm3";
  }
  return "unknown";
}

std::optional<Scheme> scheme_from_name(std::string_view name) noexcept {
  for (const Scheme scheme : {Scheme::kEcdsaP256Sha256, Scheme::kEcdsaSecp256k1Sha256,
                              Scheme::kEd25519, Scheme::kSm2Sm3}) {
    if (name == scheme_name(scheme)) return scheme;
  }
  return std::nullopt;
}

std::string_view encoding_name(SignatureEncoding encoding) noexcept {
  switch (encoding) {
    case SignatureEncoding::kRaw:
      return "raw";
    case SignatureEncoding::kDer:
      return "der";
  }
  return "unknown";
}

std::optional<SignatureEncoding> encoding_from_name(std::string_view name) noexcept {
  for (const SignatureEncoding encoding : {SignatureEncoding::kRaw, SignatureEncoding::kDer}) {
    if (name == encoding_name(encoding)) return encoding;
  }
  return std::nullopt;
}

std::string_view profile_name(Profile profile) noexcept {
  switch (profile) {
    case Profile::kDefault:
      return "default";
    case Profile::kStandard:
      return "standard";
    case Profile::kLowS:
      return "low_s";
    case Profile::kZip215:
      return "zip215";
    case Profile::kStrict:
      return "strict";
  }
  return "unknown";
}

std::optional<Profile> profile_from_name(std::string_view name) noexcept {
  for (const Profile profile :
       {Profile::kStandard, Profile::kLowS, Profile::kZip215, Profile::kStrict}) {
    if (name == profile_name(profile)) return profile;
  }
  return std::nullopt;
}

std::string_view verdict_reason(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::kValid:
      return "the signature is valid";
    case Verdict::kBadKey:
      return "the public key is not a valid key of this scheme";
    case Verdict::kBadEncoding:
      return "the signature does not have the form of its encoding";
    case Verdict::kOutOfRange:
      return "r, s or r + s (Ed25519: S) is out of range";
    case Verdict::kHighS:
      return "s is greater than (n-1)/2, which profile low_s refuses";
    case Verdict::kNonCanonical:
      return "the key A or the point R is not canonically encoded, which profile strict refuses";
    case Verdict::kSmallOrder:
      return "the key A or the point R is of small order, which profile strict refuses";
    case Verdict::kBadDigest:
      return "the digest is not 32 bytes";
    case Verdict::kMismatch:
      return "the signature does not verify under this key for this input";
  }
  return "unknown verdict";
}

}  // namespace colophon
