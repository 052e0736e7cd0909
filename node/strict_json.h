// SPDX-License-Identifier: Apache-2.0
//
// Reads JSON objects whose every member is expected: unknown, missing and repeated members are
// errors that name the member. Include in .cc files only.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>

#include "colophon/error.hpp"

namespace colophon::node {

// nlohmann's reader skips a byte order mark, and takes a zero byte for the end of the text: neither
// is JSON (RFC 8259 §8.1, §7), and behind the second anything could hide.
[[nodiscard]] inline bool has_bytes_no_json_has(std::string_view text) noexcept {
  return text.starts_with("\xef\xbb\xbf") || text.find('\0') != std::string_view::npos;
}

// Whether more than `depth_max` objects and arrays are open at once, counted outside of strings:
// what a reader that calls itself for each must not be given.
[[nodiscard]] bool is_nested_deeper_than(std::string_view text, int depth_max);

// Parses one JSON object. Errors: kMalformed (not JSON, not an object, a member given twice
// anywhere).
[[nodiscard]] Result<nlohmann::json> parse_object(std::string_view text, std::string_view what);

// Enough of a member's name to find it again, whole characters only: a name may be as long as the
// file.
[[nodiscard]] std::string shown_name(std::string_view name);

// Takes members out of an object, one by one; finish() refuses what was not taken. `what` names the
// object in errors ("genesis.json").
class ObjectReader {
 public:
  ObjectReader(const nlohmann::json& object, std::string_view what)
      : object_(object), what_(what) {}

  [[nodiscard]] Result<std::string> text(const std::string& member);
  [[nodiscard]] Result<std::uint64_t> number(const std::string& member, std::uint64_t min,
                                             std::uint64_t max);
  [[nodiscard]] Result<const nlohmann::json*> object(const std::string& member);
  [[nodiscard]] bool has(const std::string& member) const { return object_.contains(member); }
  [[nodiscard]] Result<void> finish() const;

 private:
  [[nodiscard]] Result<const nlohmann::json*> take(const std::string& member);
  [[nodiscard]] Error wrong(const std::string& member, std::string_view must) const;

  const nlohmann::json& object_;
  std::string what_;
  std::set<std::string> taken_;
};

}  // namespace colophon::node
