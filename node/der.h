// SPDX-License-Identifier: Apache-2.0
//
// DER (X.690 §8, §10, §11) as X.509 needs it: a reader that refuses every encoding but the one DER
// allows, and the few writers our own certificates are made of.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "colophon/error.hpp"
#include "colophon/slices.hpp"

namespace colophon::node {

using Der = std::vector<std::uint8_t>;

// Identifier octets. Tag numbers over 30 do not occur in X.509 and are refused.
namespace der_tag {
inline constexpr std::uint8_t kBoolean = 0x01;
inline constexpr std::uint8_t kInteger = 0x02;
inline constexpr std::uint8_t kBitString = 0x03;
inline constexpr std::uint8_t kOctetString = 0x04;
inline constexpr std::uint8_t kNull = 0x05;
inline constexpr std::uint8_t kObjectIdentifier = 0x06;
inline constexpr std::uint8_t kEnumerated = 0x0a;
inline constexpr std::uint8_t kUtf8String = 0x0c;
inline constexpr std::uint8_t kPrintableString = 0x13;
inline constexpr std::uint8_t kUtcTime = 0x17;
inline constexpr std::uint8_t kGeneralizedTime = 0x18;
inline constexpr std::uint8_t kSequence = 0x30;
inline constexpr std::uint8_t kSet = 0x31;
// [number], constructed or primitive.
constexpr std::uint8_t context(std::uint8_t number, bool constructed) {
  return static_cast<std::uint8_t>(0x80 | (constructed ? 0x20 : 0) | number);
}
}  // namespace der_tag

struct DerElement {
  std::uint8_t tag = 0;
  ByteSpan content;
  ByteSpan encoding;  // identifier, length and content
};

// Reads a run of elements, front to back. `field` names what is being read, for the error
// (kMalformed). Views into the bytes given; copyable.
class DerReader {
 public:
  explicit DerReader(ByteSpan bytes) : rest_(bytes) {}

  [[nodiscard]] bool empty() const noexcept { return rest_.empty(); }
  [[nodiscard]] bool next_is(std::uint8_t tag) const noexcept {
    return !rest_.empty() && rest_.front() == tag;
  }
  [[nodiscard]] Result<DerElement> next(std::string_view field);
  [[nodiscard]] Result<DerElement> expect(std::uint8_t tag, std::string_view field);
  // Error: bytes are left.
  [[nodiscard]] Result<void> finish(std::string_view field) const;

 private:
  ByteSpan rest_;
};

// The contents of one element of type `tag` that is all of `bytes`.
[[nodiscard]] Result<ByteSpan> der_content(ByteSpan bytes, std::uint8_t tag,
                                           std::string_view field);

// Walks everything inside `bytes` (one element, nothing after): minimal lengths, minimal integers
// and object identifiers, booleans 00 or FF, unused bits zero, SET OF in order, strings primitive
// and of their alphabet. OCTET STRINGs and implicitly tagged primitives are opaque. Error:
// kMalformed.
[[nodiscard]] Result<void> check_der(ByteSpan bytes, std::string_view field);

// The bits of a BIT STRING's content, bit 0 first, as X.509 numbers named bits; nullopt when longer
// than 16 bits, badly padded, or with trailing zero bits (X.690 §11.2.2).
[[nodiscard]] std::optional<std::uint16_t> der_named_bits(ByteSpan content);
// The octets of a BIT STRING's content that has no unused bits.
[[nodiscard]] std::optional<ByteSpan> der_bit_octets(ByteSpan content);
// A non-negative INTEGER below 2^31.
[[nodiscard]] std::optional<std::uint32_t> der_small_integer(ByteSpan content);

[[nodiscard]] bool is_utf8(ByteSpan bytes) noexcept;  // RFC 3629: shortest form, no surrogates

// --- writing ------------------------------------------------------------------------------------
// `contents` one after another inside one element.
[[nodiscard]] Der der(std::uint8_t tag, std::initializer_list<ByteSpan> contents);
// Big-endian unsigned magnitude of any length -> INTEGER.
[[nodiscard]] Der der_unsigned(ByteSpan magnitude);

}  // namespace colophon::node
