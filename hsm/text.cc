// SPDX-License-Identifier: Apache-2.0
#include "hsm/text.h"

#include <algorithm>
#include <cstdint>

namespace colophon::hsm {
namespace {

constexpr char kHexDigits[] = "0123456789abcdef";

bool is_control(char c) {
  const auto byte = static_cast<std::uint8_t>(c);
  return byte < 0x20 || byte == 0x7f;
}

}  // namespace

bool is_utf8(std::string_view text) noexcept {
  std::size_t i = 0;
  const auto byte = [&](std::size_t k) { return static_cast<std::uint8_t>(text[k]); };
  while (i < text.size()) {
    const std::uint8_t lead = byte(i);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    // The bounds of the second byte exclude overlong forms, surrogates and what is over U+10FFFF.
    std::size_t length = 0;
    std::uint8_t low = 0x80, high = 0xbf;
    if (lead >= 0xc2 && lead <= 0xdf) {
      length = 2;
    } else if (lead >= 0xe0 && lead <= 0xef) {
      length = 3;
      if (lead == 0xe0) low = 0xa0;
      if (lead == 0xed) high = 0x9f;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
      length = 4;
      if (lead == 0xf0) low = 0x90;
      if (lead == 0xf4) high = 0x8f;
    } else {
      return false;
    }
    if (text.size() - i < length || byte(i + 1) < low || byte(i + 1) > high) return false;
    for (std::size_t k = 2; k < length; ++k) {
      if ((byte(i + k) & 0xc0U) != 0x80) return false;
    }
    i += length;
  }
  return true;
}

bool is_uri_text(std::string_view text) noexcept {
  return !text.empty() && is_utf8(text) && text.find('\0') == std::string_view::npos;
}

std::string printable(std::string_view text) {
  constexpr std::size_t kShownBytesMax = 96;
  const bool plain = is_utf8(text) && std::none_of(text.begin(), text.end(), is_control);
  std::string shown;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<std::uint8_t>(text[i]);
    // Cut only where a character of UTF-8 starts.
    if (shown.size() >= kShownBytesMax && (byte & 0xc0U) != 0x80) return shown + "…";
    if (plain || (byte >= 0x20 && byte < 0x7f && byte != '\\')) {
      shown += text[i];
    } else {
      shown += {'\\', 'x', kHexDigits[byte >> 4], kHexDigits[byte & 15U]};
    }
  }
  return shown;
}

std::string to_hex(ByteSpan bytes) {
  std::string hex;
  hex.reserve(2 * bytes.size());
  for (const std::uint8_t byte : bytes) {
    hex += kHexDigits[byte >> 4];
    hex += kHexDigits[byte & 15U];
  }
  return hex;
}

}  // namespace colophon::hsm
