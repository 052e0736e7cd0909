// SPDX-License-Identifier: Apache-2.0
//
// Byte constants written the way standards print them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace colophon {

// "0a1B" -> {0x0a, 0x1b}, at compile time; anything but pairs of hex digits does not compile.
template <std::size_t Chars>
consteval std::array<std::uint8_t, (Chars - 1) / 2> from_hex(const char (&text)[Chars]) {
  static_assert(Chars % 2 == 1, "two digits a byte");
  const auto digit = [](char c) -> std::uint8_t {
    if (c >= '0' && c <= '9') return static_cast<std::uint8_t>(c - '0');
    if (c >= 'a' && c <= 'f') return static_cast<std::uint8_t>(c - 'a' + 10);
    if (c >= 'A' && c <= 'F') return static_cast<std::uint8_t>(c - 'A' + 10);
    throw "not a hex digit";
  };
  std::array<std::uint8_t, (Chars - 1) / 2> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::uint8_t>(digit(text[2 * i]) << 4 | digit(text[2 * i + 1]));
  }
  return bytes;
}

}  // namespace colophon
