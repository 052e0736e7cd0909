// SPDX-License-Identifier: Apache-2.0
//
// Public keys from outside, strictly parsed into the one form every backend works on. The rules are
// in colophon/profile.hpp.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "colophon/error.hpp"
#include "colophon/hash.hpp"
#include "colophon/profile.hpp"
#include "colophon/slices.hpp"

namespace colophon {

// A key that has passed every rule that does not depend on the profile.
struct PublicKey {
  Scheme scheme = Scheme::kEcdsaP256Sha256;
  // ECDSA, SM2: x ‖ y, big-endian. Ed25519: the 32 bytes as given (k is hashed over them), then
  // zeros.
  std::array<std::uint8_t, 64> bytes{};
  // SM2: Z_A for the signer id the key is used with. Set by set_sm2_identity.
  Digest sm2_z{};
  // Ed25519: what profile strict wants to know.
  bool ed25519_canonical = false;
  bool ed25519_small_order = false;

  [[nodiscard]] std::span<const std::uint8_t, 32> ed25519() const noexcept {
    return std::span(bytes).first<32>();
  }
  friend bool operator==(const PublicKey&, const PublicKey&) = default;
};

enum class KeyFault : std::uint8_t {
  kNone,
  kLength,           // no form of this scheme has this many bytes
  kInfinity,         // SEC 1 form byte 00
  kHybrid,           // SEC 1 form bytes 06, 07
  kForm,             // another form byte, or one that does not go with the length
  kSpki,             // begins as DER, but is not the one DER form of such a key on a named curve
  kCoordinateRange,  // x or y >= p
  kNotOnCurve,
  kNoMemory,  // OpenSSL could not allocate: says nothing about the key
};

// One sentence for people.
[[nodiscard]] std::string_view key_fault_text(KeyFault fault) noexcept;

// Thread-safe. `key` is written only if the result is kNone; sm2_z is left zero.
[[nodiscard]] KeyFault parse_public_key(Scheme scheme, ByteSpan encoded, PublicKey& key);

// The uncompressed SEC 1 form (65 bytes) of an ECDSA or SM2 key.
[[nodiscard]] std::array<std::uint8_t, 65> sec1_uncompressed(const PublicKey& key) noexcept;

// key.sm2_z = Z_A = SM3(ENTL ‖ ID ‖ a ‖ b ‖ G ‖ P) (GB/T 32918.2 §5.5).
// Errors: kInvalidArgument (id longer than kSm2IdBytesMax), kUnsupported (OpenSSL without SM3).
[[nodiscard]] Result<void> set_sm2_identity(PublicKey& key, std::string_view id);

}  // namespace colophon
