// SPDX-License-Identifier: Apache-2.0
//
// Protobuf messages of contracts in their one canonical form. Include in .cc files only.
#pragma once

#include <google/protobuf/message.h>
#include <google/protobuf/unknown_field_set.h>

#include <algorithm>
#include <climits>
#include <string>
#include <string_view>
#include <utility>

#include "colophon/error.hpp"
#include "colophon/slices.hpp"
#include "node/bytes.h"
#include "node/der.h"

namespace colophon::node {

// Parses `bytes` and refuses (kMalformed, naming `field`) what is not the one serialization of the
// message they decode to: unknown or repeated fields, another order, long varints, default values.
template <class Message>
[[nodiscard]] Result<Message> decode_canonical(ByteSpan bytes, std::string_view field) {
  Message message;
  if (bytes.size() > INT_MAX ||
      !message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return make_error(ErrorCode::kMalformed,
                      std::string(field) + " is truncated or is not a protobuf message of its type",
                      std::string(field));
  }
  const auto& unknown = message.GetReflection()->GetUnknownFields(message);
  if (unknown.field_count() > 0) {
    return make_error(ErrorCode::kMalformed,
                      std::string(field) + " has field " +
                          std::to_string(unknown.field(0).number()) +
                          ", which a message of its type in this version does not have",
                      std::string(field));
  }
  message.DiscardUnknownFields();
  if (message.SerializeAsString() != as_text(bytes)) {
    return make_error(ErrorCode::kMalformed,
                      std::string(field) +
                          " is not in canonical form: unknown, repeated or out-of-order fields, "
                          "long varints and default values are refused",
                      std::string(field));
  }
  return message;
}

// --- checks that several contracts make of their fields ------------------------------------------
[[nodiscard]] inline Result<void> check_bytes_exactly(std::string_view field,
                                                      std::string_view value, std::size_t size) {
  if (value.size() == size) return {};
  return make_error(ErrorCode::kMalformed,
                    std::string(field) + " has " + std::to_string(value.size()) +
                        " bytes, must have " + std::to_string(size),
                    std::string(field));
}

// UTF-8 of 1 to `bytes_max` bytes without control characters (U+0000–001F, U+007F–009F) and without
// line and paragraph separators (U+2028, U+2029).
[[nodiscard]] inline Result<void> check_line(std::string_view field, std::string_view value,
                                             std::size_t bytes_max) {
  const auto error = [&](ErrorCode code, std::string message) {
    return make_error(code, std::string(field) + std::move(message), std::string(field));
  };
  if (value.empty()) return error(ErrorCode::kMalformed, " is missing");
  if (value.size() > bytes_max) {
    return error(ErrorCode::kLimitExceeded, " has " + std::to_string(value.size()) +
                                                " bytes, the limit is " +
                                                std::to_string(bytes_max));
  }
  if (!is_utf8(as_bytes(value))) return error(ErrorCode::kMalformed, " is not valid UTF-8");
  const bool control = std::ranges::any_of(value, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7F;
  });
  bool separator = false;
  for (std::size_t i = 0; i + 1 < value.size(); ++i) {
    const auto a = static_cast<unsigned char>(value[i]);
    const auto b = static_cast<unsigned char>(value[i + 1]);
    separator |= a == 0xC2 && b >= 0x80 && b <= 0x9F;
    separator |= value.substr(i, 3) == "\u2028" || value.substr(i, 3) == "\u2029";
  }
  if (!control && !separator) return {};
  return error(ErrorCode::kMalformed,
               " contains a control character or a line separator: remove it");
}

}  // namespace colophon::node
