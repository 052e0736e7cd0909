// SPDX-License-Identifier: Apache-2.0
//
// 64-bit numbers as 8 bytes, most significant first: the order of the bytes is the order of the numbers,
// which is what keys of an ordered store need.
#pragma once

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
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < kBigEndianBytes && i < bytes.size(); ++i) {
    value = value << 8 | bytes[i];
  }
  return value;
}

}  // namespace colophon::node
