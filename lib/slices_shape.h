// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "colophon/error.hpp"
#include "colophon/slices.hpp"

namespace colophon {

// What colophon/slices.hpp promises about a Slices, checked before its first use. `field` names it
// in the error (kInvalidArgument).
[[nodiscard]] inline Result<void> check_shape(const Slices& slices, const char* field) {
  const auto refuse = [field](std::string what) {
    return make_error(ErrorCode::kInvalidArgument, std::string(field) + ": " + std::move(what),
                      field);
  };
  if (slices.offsets.empty()) return {};
  if (slices.offsets.data() == nullptr) return refuse("the offsets are null");
  if (slices.bytes.data() == nullptr && !slices.bytes.empty()) return refuse("the bytes are null");
  for (std::size_t i = 1; i < slices.offsets.size(); ++i) {
    if (slices.offsets[i] < slices.offsets[i - 1]) {
      return refuse("offsets decrease at entry " + std::to_string(i));
    }
  }
  if (slices.offsets.back() > slices.bytes.size()) {
    return refuse("the last offset, " + std::to_string(slices.offsets.back()) +
                  ", is past the end of the " + std::to_string(slices.bytes.size()) + " bytes");
  }
  return {};
}

// The length of each of the items, at least one; 0: they differ in it, or it is 0.
[[nodiscard]] inline std::size_t length_of_each(const Slices& slices) {
  const std::uint64_t length = slices.offsets[1] - slices.offsets[0];
  for (std::size_t i = 1; i < slices.size(); ++i) {
    if (slices.offsets[i + 1] - slices.offsets[i] != length) return 0;
  }
  return static_cast<std::size_t>(length);
}

}  // namespace colophon
