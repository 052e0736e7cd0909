// SPDX-License-Identifier: Apache-2.0
#include "node/cli/flat_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

namespace colophon::cli {
namespace {

// Every handler returns false to stop at the first fault.
class FlatHandler {
 public:
  explicit FlatHandler(std::size_t texts_max) : texts_max_(texts_max) {}

  bool null() { return wrong_type(); }
  bool boolean(bool) { return wrong_type(); }
  bool number_integer(std::int64_t) { return wrong_type(); }  // negative ones only
  bool number_float(double, const std::string&) { return wrong_type(); }
  bool binary(nlohmann::json::binary_t&) { return wrong_type(); }

  bool number_unsigned(std::uint64_t value) {
    if (!in_object_ || in_array_) return wrong_type();
    members_.back().type = FlatMember::Type::kNumber;
    members_.back().number = value;
    return true;
  }

  bool string(std::string& value) {
    if (!in_object_) return wrong_type();
    if (!in_array_) {
      members_.back().text = std::move(value);
      return true;
    }
    if (members_.back().texts.size() == texts_max_) {
      return fail(ErrorCode::kLimitExceeded,
                  "has more than " + std::to_string(texts_max_) + " items");
    }
    members_.back().texts.push_back(std::move(value));
    return true;
  }

  bool start_object(std::size_t) {
    if (in_object_) return wrong_type();
    in_object_ = true;
    return true;
  }

  bool end_object() { return true; }

  bool key(std::string& name) {
    const bool repeated = std::any_of(members_.begin(), members_.end(),
                                      [&](const FlatMember& m) { return m.name == name; });
    if (!repeated && members_.size() == kMembersMax) {
      return fail(ErrorCode::kLimitExceeded,
                  "the object has more than " + std::to_string(kMembersMax) + " members");
    }
    members_.emplace_back();
    members_.back().name = std::move(name);
    return !repeated || fail(ErrorCode::kMalformed, "is given twice");
  }

  bool start_array(std::size_t) {
    if (!in_object_ || in_array_) return wrong_type();
    in_array_ = true;
    members_.back().type = FlatMember::Type::kTexts;
    return true;
  }

  bool end_array() {
    in_array_ = false;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) {
    if (error_) return false;
    error_ = make_error(ErrorCode::kMalformed, in_object_ || position > 1
                                                   ? "not JSON: stops making sense at character " +
                                                         std::to_string(position)
                                                   : "not a JSON object");
    return false;
  }

  [[nodiscard]] const std::optional<Error>& error() const { return error_; }
  [[nodiscard]] std::vector<FlatMember>&& take_members() { return std::move(members_); }

 private:
  // More than any object of ours has; keeps the search for repeated members short.
  static constexpr std::size_t kMembersMax = 32;

  bool wrong_type() {
    if (!in_object_) return fail(ErrorCode::kMalformed, "not a JSON object");
    return fail(ErrorCode::kMalformed,
                "has a value of the wrong type: strings, unsigned integers and arrays of strings "
                "are what there is");
  }

  bool fail(ErrorCode code, std::string message) {
    error_ = make_error(code, std::move(message),
                        members_.empty() ? std::string() : members_.back().name);
    return false;
  }

  std::size_t texts_max_;
  std::vector<FlatMember> members_;
  bool in_object_ = false;
  bool in_array_ = false;
  std::optional<Error> error_;
};

}  // namespace

Result<std::vector<FlatMember>> parse_flat_object(std::string_view text, std::size_t texts_max) {
  // nlohmann's reader skips a byte order mark, and takes a zero byte for the end of the text.
  if (text.starts_with("\xef\xbb\xbf")) {
    return make_error(ErrorCode::kMalformed, "begins with a byte order mark: leave it out");
  }
  if (text.find('\0') != std::string_view::npos) {
    return make_error(ErrorCode::kMalformed, "not JSON: has a zero byte");
  }
  FlatHandler handler(texts_max);
  const bool ok = nlohmann::json::sax_parse(text.begin(), text.end(), &handler);
  if (handler.error()) return *handler.error();
  if (!ok) return make_error(ErrorCode::kMalformed, "not a JSON object");
  return handler.take_members();
}

std::string shown_name(std::string_view name) {
  constexpr std::size_t kBytesMax = 64;
  std::string shown(name.substr(0, kBytesMax));
  for (char& c : shown) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  if (name.size() > kBytesMax) shown += "...";
  return shown;
}

}  // namespace colophon::cli
