// SPDX-License-Identifier: Apache-2.0
//
// One flat JSON object (RFC 8259), strictly: what verify's lines and proof files are. Nothing that
// two readers could take differently passes: no repeated member, no byte order mark, nothing after
// the end.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "colophon/error.hpp"

namespace colophon::cli {

struct FlatMember {
  enum class Type : std::uint8_t { kText, kNumber, kTexts };

  std::string name;
  Type type = Type::kText;
  std::string text;                // kText
  std::uint64_t number = 0;        // kNumber: an unsigned integer
  std::vector<std::string> texts;  // kTexts: an array of strings
};

// Members in the order of the text. Errors kMalformed: not JSON, not an object, a member given
// twice, a value of another type; kLimitExceeded: more than texts_max strings in an array. The
// field is the member's name where it is about one. Memory is a small multiple of text.size().
[[nodiscard]] Result<std::vector<FlatMember>> parse_flat_object(std::string_view text,
                                                                std::size_t texts_max);

// `name` as it may be shown: at most 64 bytes, no control characters.
[[nodiscard]] std::string shown_name(std::string_view name);

}  // namespace colophon::cli
