// SPDX-License-Identifier: Apache-2.0
#include "node/der.h"

#include <algorithm>

namespace colophon::node {
namespace {

// Deeper nesting than X.509 has anywhere; bounds the recursion.
constexpr int kNestingMax = 16;
constexpr std::uint8_t kConstructed = 0x20;
constexpr std::uint8_t kClassMask = 0xc0;
constexpr std::uint8_t kTagNumberMask = 0x1f;

Error bad_der(std::string message, std::string_view field) {
  return make_error(ErrorCode::kMalformed, std::move(message), std::string(field));
}

bool is_minimal_integer(ByteSpan content) {
  if (content.empty()) return false;
  if (content.size() == 1) return true;
  const bool padded_zero = content[0] == 0x00 && (content[1] & 0x80) == 0;
  const bool padded_one = content[0] == 0xff && (content[1] & 0x80) != 0;
  return !padded_zero && !padded_one;
}

// X.690 §8.19.2: each arc in base 128 without leading zero digits, the last one finished.
bool is_object_identifier(ByteSpan content) {
  bool first = true;
  for (const std::uint8_t byte : content) {
    if (first && byte == 0x80) return false;
    first = (byte & 0x80) == 0;
  }
  return !content.empty() && first;
}

bool is_printable(ByteSpan content) {
  constexpr std::string_view kMarks = " '()+,-./:=?";
  return std::ranges::all_of(content, [&](std::uint8_t c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           kMarks.find(static_cast<char>(c)) != std::string_view::npos;
  });
}

// X.690 §11.8, §11.7 without fractions (RFC 5280 §4.1.2.5): digits and Z.
bool is_time(ByteSpan content, std::size_t digits) {
  return content.size() == digits + 1 && content.back() == 'Z' &&
         std::ranges::all_of(content.first(digits),
                             [](std::uint8_t c) { return c >= '0' && c <= '9'; });
}

bool is_bit_string(ByteSpan content) {
  if (content.empty() || content[0] > 7) return false;
  if (content.size() == 1) return content[0] == 0;
  return (content.back() & ((1U << content[0]) - 1)) == 0;
}

bool is_universal_primitive(std::uint8_t tag, ByteSpan content) {
  switch (tag) {
    case der_tag::kBoolean:
      return content.size() == 1 && (content[0] == 0x00 || content[0] == 0xff);
    case der_tag::kInteger:
    case der_tag::kEnumerated:
      return is_minimal_integer(content);
    case der_tag::kBitString:
      return is_bit_string(content);
    case der_tag::kNull:
      return content.empty();
    case der_tag::kObjectIdentifier:
      return is_object_identifier(content);
    case der_tag::kUtf8String:
      return is_utf8(content);
    case der_tag::kPrintableString:
      return is_printable(content);
    case der_tag::kUtcTime:
      return is_time(content, 12);
    case der_tag::kGeneralizedTime:
      return is_time(content, 14);
    case der_tag::kSequence & ~kConstructed:
    case der_tag::kSet & ~kConstructed:
    case 0x00:
      return false;  // never primitive; end-of-contents is BER
    default:
      return true;
  }
}

Result<void> check_element(const DerElement& element, std::string_view field, int depth) {
  const bool universal = (element.tag & kClassMask) == 0;
  if ((element.tag & kConstructed) == 0) {
    if (universal && !is_universal_primitive(element.tag, element.content)) {
      return bad_der("not the one form DER allows for this value", field);
    }
    return {};
  }
  if (universal && element.tag != der_tag::kSequence && element.tag != der_tag::kSet) {
    return bad_der("a string in pieces is BER, not DER", field);
  }
  if (depth == kNestingMax) return bad_der("nested more than 16 deep", field);
  DerReader reader(element.content);
  ByteSpan previous;
  while (!reader.empty()) {
    COLOPHON_TRY_ASSIGN(const DerElement child, reader.next(field));
    COLOPHON_TRY(check_element(child, field, depth + 1));
    if (element.tag == der_tag::kSet) {
      if (std::ranges::lexicographical_compare(child.encoding, previous)) {
        return bad_der("the elements of a SET are not in order", field);
      }
      previous = child.encoding;
    }
  }
  return {};
}

}  // namespace

Result<DerElement> DerReader::next(std::string_view field) {
  if (rest_.size() < 2) return bad_der("ends where an element should begin", field);
  const std::uint8_t tag = rest_[0];
  if ((tag & kTagNumberMask) == kTagNumberMask) {
    return bad_der("a tag number over 30 does not occur here", field);
  }
  std::size_t length = rest_[1];
  std::size_t header = 2;
  if (length >= 0x80) {
    const std::size_t length_bytes = length & 0x7f;
    // Three bytes of length are 16 MiB, far over every limit here.
    if (length_bytes == 0 || length_bytes > 3) {
      return bad_der("an indefinite or over-long length is not DER", field);
    }
    if (rest_.size() < header + length_bytes) {
      return bad_der("ends inside a length", field);
    }
    length = 0;
    for (std::size_t i = 0; i < length_bytes; ++i) length = length << 8 | rest_[header + i];
    header += length_bytes;
    if (length < 0x80 || (length_bytes > 1 && length >> (8 * (length_bytes - 1)) == 0)) {
      return bad_der("a length is not in its shortest form", field);
    }
  }
  if (rest_.size() - header < length)
    return bad_der("an element is longer than what holds it", field);
  DerElement element{tag, rest_.subspan(header, length), rest_.first(header + length)};
  rest_ = rest_.subspan(header + length);
  return element;
}

Result<DerElement> DerReader::expect(std::uint8_t tag, std::string_view field) {
  COLOPHON_TRY_ASSIGN(const DerElement element, next(field));
  if (element.tag != tag) return bad_der("another ASN.1 type than the one expected", field);
  return element;
}

Result<void> DerReader::finish(std::string_view field) const {
  if (!rest_.empty()) return bad_der("bytes are left after the end", field);
  return {};
}

Result<ByteSpan> der_content(ByteSpan bytes, std::uint8_t tag, std::string_view field) {
  DerReader reader(bytes);
  COLOPHON_TRY_ASSIGN(const DerElement element, reader.expect(tag, field));
  COLOPHON_TRY(reader.finish(field));
  return element.content;
}

Result<void> check_der(ByteSpan bytes, std::string_view field) {
  DerReader reader(bytes);
  COLOPHON_TRY_ASSIGN(const DerElement element, reader.next(field));
  COLOPHON_TRY(reader.finish(field));
  return check_element(element, field, 0);
}

std::optional<std::uint16_t> der_named_bits(ByteSpan content) {
  if (!is_bit_string(content) || content.size() > 3) return std::nullopt;
  if (content.size() == 1) return std::uint16_t{0};
  // The last bit that is not padding must be one.
  if ((content.back() & (1U << content[0])) == 0) return std::nullopt;
  std::uint16_t bits = 0;
  for (std::size_t i = 0; i < 8 * (content.size() - 1); ++i) {
    if (content[1 + i / 8] & (0x80U >> (i % 8))) bits = static_cast<std::uint16_t>(bits | 1U << i);
  }
  return bits;
}

std::optional<ByteSpan> der_bit_octets(ByteSpan content) {
  if (content.empty() || content[0] != 0) return std::nullopt;
  return content.subspan(1);
}

std::optional<std::uint32_t> der_small_integer(ByteSpan content) {
  if (!is_minimal_integer(content) || content.size() > 4 || (content[0] & 0x80) != 0) {
    return std::nullopt;
  }
  std::uint32_t value = 0;
  for (const std::uint8_t byte : content) value = value << 8 | byte;
  return value;
}

bool is_utf8(ByteSpan bytes) noexcept {
  // The smallest code point that needs as many continuation bytes: shorter ones are over-long.
  constexpr std::uint32_t kSmallest[] = {0, 0x80, 0x800, 0x10000};
  for (std::size_t i = 0; i < bytes.size();) {
    const std::uint8_t lead = bytes[i++];
    if (lead < 0x80) continue;
    const unsigned more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    if (lead < 0xc2 || lead > 0xf4 || bytes.size() - i < more) return false;
    std::uint32_t code_point = lead & (0x3fU >> more);
    for (unsigned k = 0; k < more; ++k) {
      const std::uint8_t byte = bytes[i++];
      if ((byte & 0xc0) != 0x80) return false;
      code_point = code_point << 6 | (byte & 0x3fU);
    }
    if (code_point < kSmallest[more] || code_point > 0x10ffff ||
        (code_point >= 0xd800 && code_point <= 0xdfff)) {
      return false;
    }
  }
  return true;
}

Der der(std::uint8_t tag, std::initializer_list<ByteSpan> contents) {
  std::size_t length = 0;
  for (const ByteSpan content : contents) length += content.size();
  Der out{tag};
  if (length < 0x80) {
    out.push_back(static_cast<std::uint8_t>(length));
  } else {
    int length_bytes = 1;
    while (length >> (8 * length_bytes) != 0) ++length_bytes;
    out.push_back(static_cast<std::uint8_t>(0x80 | length_bytes));
    for (int i = length_bytes - 1; i >= 0; --i) {
      out.push_back(static_cast<std::uint8_t>(length >> (8 * i)));
    }
  }
  for (const ByteSpan content : contents) out.insert(out.end(), content.begin(), content.end());
  return out;
}

Der der_unsigned(ByteSpan magnitude) {
  while (magnitude.size() > 1 && magnitude[0] == 0) magnitude = magnitude.subspan(1);
  constexpr std::uint8_t kZero[] = {0x00};
  const bool pad = magnitude.empty() || (magnitude[0] & 0x80) != 0;
  return der(der_tag::kInteger, {pad ? ByteSpan(kZero) : ByteSpan(), magnitude});
}

}  // namespace colophon::node
