// SPDX-License-Identifier: Apache-2.0
#include "signature_encoding.h"

#include <algorithm>
#include <cstring>

#include "edwards25519.h"

namespace colophon {
namespace {

constexpr std::uint8_t kDerInteger = 0x02;
constexpr std::uint8_t kDerSequence = 0x30;
constexpr std::size_t kScalarBytes = 32;

// Reads tag and length of a DER element that must have `tag`; on success `content` is its content
// and `rest` what follows. Lengths are definite and minimal (X.690 §10.1).
bool read_element(std::uint8_t tag, ByteSpan in, ByteSpan& content, ByteSpan& rest) noexcept {
  if (in.size() < 2 || in[0] != tag) return false;
  std::size_t length = in[1];
  std::size_t header = 2;
  if (length >= 0x80) {
    const std::size_t length_bytes = length & 0x7f;
    // 0x80 is BER's indefinite form. No length that fits memory needs more than 8 bytes.
    if (length_bytes == 0 || length_bytes > sizeof(std::size_t)) return false;
    if (in.size() < header + length_bytes) return false;
    length = 0;
    for (std::size_t i = 0; i < length_bytes; ++i) length = length << 8 | in[header + i];
    if (length < 0x80 || in[header] == 0) return false;  // a shorter form exists
    header += length_bytes;
  }
  if (length > in.size() - header) return false;
  content = in.subspan(header, length);
  rest = in.subspan(header + length);
  return true;
}

// Content of a minimal, non-negative INTEGER (X.690 §8.3.2), its sign byte dropped.
bool magnitude_of(ByteSpan content, ByteSpan& magnitude) noexcept {
  if (content.empty() || (content[0] & 0x80) != 0) return false;
  if (content[0] != 0 || content.size() == 1) {
    magnitude = content;
    return true;
  }
  if ((content[1] & 0x80) == 0) return false;  // the zero byte is not needed
  magnitude = content.subspan(1);
  return true;
}

std::size_t write_integer(ByteSpan scalar, std::uint8_t* out) noexcept {
  while (scalar.size() > 1 && scalar[0] == 0) scalar = scalar.subspan(1);
  const std::size_t sign = scalar[0] >> 7;
  out[0] = kDerInteger;
  out[1] = static_cast<std::uint8_t>(sign + scalar.size());
  out[2] = 0;
  std::memcpy(out + 2 + sign, scalar.data(), scalar.size());
  return 2 + sign + scalar.size();
}

bool is_zero(ByteSpan scalar) noexcept {
  return std::all_of(scalar.begin(), scalar.end(), [](std::uint8_t byte) { return byte == 0; });
}

bool in_range(ByteSpan scalar, const Bytes32& n) noexcept {
  return !is_zero(scalar) && std::memcmp(scalar.data(), n.data(), kScalarBytes) < 0;
}

// r + s = n: with both in [1, n-1] the only way that t = r + s mod n is 0.
bool sum_is(ByteSpan r, ByteSpan s, const Bytes32& n) noexcept {
  unsigned carry = 0;
  for (std::size_t i = kScalarBytes; i-- > 0;) {
    const unsigned sum = r[i] + s[i] + carry;
    if ((sum & 0xffU) != n[i]) return false;
    carry = sum >> 8;
  }
  return carry == 0;
}

Verdict check_ranges(const Curve& curve, Profile profile, const Signature& signature) noexcept {
  const ByteSpan r = ByteSpan(signature).first(kScalarBytes);
  const ByteSpan s = ByteSpan(signature).last(kScalarBytes);
  if (!in_range(r, curve.n) || !in_range(s, curve.n)) return Verdict::kOutOfRange;
  if (curve.scheme == Scheme::kSm2Sm3 && sum_is(r, s, curve.n)) return Verdict::kOutOfRange;
  if (profile == Profile::kLowS && std::memcmp(s.data(), curve.n_half.data(), kScalarBytes) > 0) {
    return Verdict::kHighS;
  }
  return Verdict::kValid;
}

}  // namespace

Verdict parse_der_signature(ByteSpan encoded, Signature& signature) noexcept {
  ByteSpan sequence;
  ByteSpan rest;
  if (!read_element(kDerSequence, encoded, sequence, rest) || !rest.empty()) {
    return Verdict::kBadEncoding;
  }
  ByteSpan contents[2];
  ByteSpan magnitudes[2];
  for (std::size_t i = 0; i < 2; ++i) {
    if (!read_element(kDerInteger, sequence, contents[i], sequence) ||
        !magnitude_of(contents[i], magnitudes[i])) {
      return Verdict::kBadEncoding;
    }
  }
  if (!sequence.empty()) return Verdict::kBadEncoding;
  if (magnitudes[0].size() > kScalarBytes || magnitudes[1].size() > kScalarBytes) {
    return Verdict::kOutOfRange;
  }
  signature.fill(0);
  for (std::size_t i = 0; i < 2; ++i) {
    std::copy_backward(magnitudes[i].begin(), magnitudes[i].end(),
                       signature.begin() + static_cast<std::ptrdiff_t>((i + 1) * kScalarBytes));
  }
  return Verdict::kValid;
}

Verdict parse_signature(Scheme scheme, SignatureEncoding encoding, Profile profile,
                        ByteSpan encoded, Signature& signature) noexcept {
  if (encoding == SignatureEncoding::kDer) {
    const Verdict verdict = parse_der_signature(encoded, signature);
    if (verdict != Verdict::kValid) return verdict;
  } else {
    if (encoded.size() != signature.size()) return Verdict::kBadEncoding;
    std::copy(encoded.begin(), encoded.end(), signature.begin());
  }
  if (scheme == Scheme::kEd25519) {
    const auto s = std::span(signature).last<kScalarBytes>();
    return edwards25519::is_reduced(s) ? Verdict::kValid : Verdict::kOutOfRange;
  }
  return check_ranges(curve_of(scheme), profile, signature);
}

std::size_t write_der_signature(const Signature& signature,
                                std::span<std::uint8_t, kDerSignatureBytesMax> out) noexcept {
  const ByteSpan scalars(signature);
  std::size_t length = 2;
  length += write_integer(scalars.first(kScalarBytes), out.data() + length);
  length += write_integer(scalars.last(kScalarBytes), out.data() + length);
  out[0] = kDerSequence;
  out[1] = static_cast<std::uint8_t>(length - 2);
  return length;
}

}  // namespace colophon
