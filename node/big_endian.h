// SPDX-License-Identifier: Apache-2.0
//
// 64-bit numbers as 8 bytes, most significant first: the order of the bytes is the order of the
// numbers, which is what keys of an ordered store need.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "colophon/slices.hpp"

namespace colophon::node {

inline constexpr std::size_t kBigEndianBytes = 8;

inline void append_big_endian(std::string& out, std::uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) {
    out += static_cast<char>(static_cast<unsigned char>(value >> shift));
  }
}

[[nodiscard]] inline std::string big_endian(std::uint64_t value) {
  std::string out;
  append_big_endian(out, value);
  return out;
}

// Of the first 8 bytes; of fewer, what is there.
[[nodiscard]] inline std::uint64_t read_big_endian(ByteSpan bytes) noexcept {
  std::array<std::uint8_t, kBigEndianBytes> number{};
  const std::size_t size = std::min(bytes.size(), number.size());
  std::copy_n(bytes.begin(), size, number.end() - size);
  std::uint64_t value = 0;
  for (const std::uint8_t byte : number) value = value << 8 | byte;
  return value;
}

}  // namespace colophon::node
