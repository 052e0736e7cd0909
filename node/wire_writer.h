// SPDX-License-Identifier: Apache-2.0
//
// Writes protobuf wire format (https://protobuf.dev/programming-guides/encoding/) the one way this
// ledger accepts it: fields in ascending order, minimal varints, no field with its default value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "colophon/slices.hpp"

namespace colophon::node {

inline constexpr unsigned kWireVarint = 0;
inline constexpr unsigned kWireBytes = 2;
inline constexpr std::size_t kVarintBytesMax = 10;  // ceil(64 / 7)

inline void append_varint(std::string& out, std::uint64_t value) {
  while (value >= 0x80) {
    out += static_cast<char>(static_cast<unsigned char>(value | 0x80));
    value >>= 7;
  }
  out += static_cast<char>(static_cast<unsigned char>(value));
}

inline void append_field(std::string& out, unsigned number, std::uint64_t value) {
  if (value == 0) return;
  append_varint(out, number << 3 | kWireVarint);
  append_varint(out, value);
}

// An element of a repeated field: written even when it is empty.
inline void append_element(std::string& out, unsigned number, ByteSpan value) {
  append_varint(out, number << 3 | kWireBytes);
  append_varint(out, value.size());
  if (!value.empty()) out.append(reinterpret_cast<const char*>(value.data()), value.size());
}

inline void append_field(std::string& out, unsigned number, ByteSpan value) {
  if (!value.empty()) append_element(out, number, value);
}

}  // namespace colophon::node
