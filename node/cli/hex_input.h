// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "colophon/error.hpp"

namespace colophon::cli {

// Hexadecimal as people and programs hand it in: pairs of digits of either case, nothing else.
// Appends to `bytes`. Error kMalformed says where the text stops being that; its field is `field`.
[[nodiscard]] inline Result<void> append_hex(std::string_view text, std::string_view field,
                                             std::vector<std::uint8_t>& bytes) {
  const auto refuse = [field](std::string message) {
    return make_error(ErrorCode::kMalformed, std::move(message), std::string(field));
  };
  const auto digit = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (digit(text[i]) >= 0) continue;
    if (text[i] == '\r' && i + 1 == text.size()) {
      return refuse("the line ends in CR LF: end lines with LF alone");
    }
    return refuse("character " + std::to_string(i + 1) + " is not a hex digit");
  }
  if (text.size() % 2 != 0) {
    return refuse("an odd number of hex digits (" + std::to_string(text.size()) +
                  "): a byte has two");
  }
  bytes.reserve(bytes.size() + text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    bytes.push_back(static_cast<std::uint8_t>(digit(text[i]) << 4 | digit(text[i + 1])));
  }
  return {};
}

}  // namespace colophon::cli
