// SPDX-License-Identifier: Apache-2.0
//
// One view for two spellings: protobuf, RocksDB and JSON speak of chars, cryptography of octets.
#pragma once

#include <algorithm>
#include <string_view>

#include "colophon/slices.hpp"

namespace colophon::node {

[[nodiscard]] inline ByteSpan as_bytes(std::string_view text) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
[[nodiscard]] inline std::string_view as_text(ByteSpan bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Not in constant time: for what everybody may see.
[[nodiscard]] inline bool same_bytes(ByteSpan a, ByteSpan b) noexcept {
  return std::ranges::equal(a, b);
}

}  // namespace colophon::node
