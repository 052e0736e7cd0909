// SPDX-License-Identifier: Apache-2.0
//
// Base64 (RFC 4648 §4) in its one canonical form: standard alphabet, padded, unused bits zero, no
// white space. Decoding refuses everything else, so that one byte string has one text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "colophon/slices.hpp"

namespace colophon::node {

[[nodiscard]] std::string base64_encode(ByteSpan bytes);
// nullopt: not the canonical form of any byte string. The empty text is the empty byte string.
[[nodiscard]] std::optional<std::vector<std::uint8_t>> base64_decode(std::string_view text);

}  // namespace colophon::node
