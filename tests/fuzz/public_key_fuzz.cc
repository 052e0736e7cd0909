// SPDX-License-Identifier: Apache-2.0
//
// Public keys in every form lib/ takes: accepted exactly where OpenSSL's own readers, narrowed to
// the forms of docs/formats.md, accept, and the same point in both. The forms in which tokens hand
// keys out lead to the same key.
#include <array>
#include <string>

#include "colophon/key_registry.hpp"
#include "hsm/public_key.h"
#include "key_encoding.h"
#include "tests/fuzz/forge.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/openssl_reference.h"
#include "tests/fuzz/right_inputs.h"

namespace colophon {
namespace {

using fuzz::Bytes;
using fuzz::FuzzInput;
using fuzz::require;

constexpr std::array kCurves = {Scheme::kEcdsaP256Sha256, Scheme::kEcdsaSecp256k1Sha256,
                                Scheme::kSm2Sm3};

void check_curve_key(Scheme scheme, ByteSpan bytes) {
  PublicKey key;
  const KeyFault fault = parse_public_key(scheme, bytes, key);
  const fuzz::Point point = fuzz::read_point(scheme, bytes);
  require((fault == KeyFault::kNone) == (point != nullptr),
          "a key is accepted exactly where OpenSSL reads it in an accepted form");
  if (!point) return;
  std::array<std::uint8_t, 65> expected{};
  EC_POINT_point2oct(fuzz::curve_for(scheme).group.get(), point.get(),
                     POINT_CONVERSION_UNCOMPRESSED, expected.data(), expected.size(),
                     fuzz::bn_context());
  require(sec1_uncompressed(key) == expected, "both read the same point");
}

void check_ed25519_key(ByteSpan bytes) {
  PublicKey key;
  const KeyFault fault = parse_public_key(Scheme::kEd25519, bytes, key);
  Bytes raw(bytes.begin(), bytes.end());
  if (raw.size() != 32) raw = fuzz::spki_bits(bytes, NID_ED25519, NID_undef).value_or(Bytes());
  const auto point = raw.size() == 32 ? fuzz::ed_decode(raw) : std::nullopt;
  require((fault == KeyFault::kNone) == point.has_value(),
          "an Ed25519 key is accepted exactly where it decodes");
  if (!point) return;
  const bool canonical = fuzz::ed_is_canonical(raw, *point);
  require(std::equal(raw.begin(), raw.end(), key.bytes.begin()), "the key's bytes are kept");
  require(key.ed25519_canonical == canonical, "canonical is what comes out again");
  if (canonical) {
    require(key.ed25519_small_order == fuzz::ed_is_small_order(*point), "8·P = 0 is small order");
  }
}

// What a token hands out as CKA_EC_POINT.
void check_token_key(hsm::KeyType type, ByteSpan bytes) {
  const auto key = hsm::decode_ec_point(type, bytes);
  if (!key) return;
  const auto spki = key->to_spki_der();
  if (type == hsm::KeyType::kEd25519) {
    require(key->raw.size() == 32 && spki.ok(), "an Ed25519 key of a token has 32 bytes");
    return;
  }
  require(spki.ok(), "a P-256 key of a token has a SubjectPublicKeyInfo");
  PublicKey from_raw;
  PublicKey from_spki;
  require(parse_public_key(Scheme::kEcdsaP256Sha256, key->raw, from_raw) == KeyFault::kNone &&
              parse_public_key(Scheme::kEcdsaP256Sha256, *spki, from_spki) == KeyFault::kNone &&
              from_raw == from_spki,
          "both forms of a token's key are the same key");
}

void check(FuzzInput& input) {
  static const auto right = fuzz::right_spkis();
  const std::size_t kind = input.choice(6);
  const node::Der bytes = fuzz::choose_der(input, right);
  if (kind < kCurves.size()) {
    check_curve_key(kCurves[kind], bytes);
  } else if (kind == 3) {
    check_ed25519_key(bytes);
  } else {
    check_token_key(kind == 4 ? hsm::KeyType::kP256 : hsm::KeyType::kEd25519, bytes);
  }
}

}  // namespace
}  // namespace colophon

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  colophon::fuzz::FuzzInput input(data, size);
  colophon::check(input);
  return 0;
}
