// SPDX-License-Identifier: Apache-2.0
#include "node/strict_json.h"

#include <optional>
#include <utility>
#include <vector>

namespace colophon::node {

std::string shown_name(std::string_view name) {
  std::size_t size = 64;
  if (name.size() <= size) return std::string(name);
  while (size > 0 && (static_cast<unsigned char>(name[size]) & 0xC0) == 0x80) --size;
  return std::string(name.substr(0, size));
}

bool is_nested_deeper_than(std::string_view text, int depth_max) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > depth_max) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

Result<nlohmann::json> parse_object(std::string_view text, std::string_view what) {
  std::vector<std::set<std::string>> open;  // member names seen, per object not yet closed
  std::optional<std::string> repeated;
  const auto watch = [&](int, nlohmann::json::parse_event_t event, nlohmann::json& parsed) {
    switch (event) {
      case nlohmann::json::parse_event_t::object_start:
        open.emplace_back();
        break;
      case nlohmann::json::parse_event_t::object_end:
        open.pop_back();
        break;
      case nlohmann::json::parse_event_t::key:
        if (!open.back().insert(parsed.get<std::string>()).second) {
          repeated = parsed.get<std::string>();
        }
        break;
      default:
        break;
    }
    return true;
  };
  nlohmann::json json(nlohmann::json::value_t::discarded);
  if (!has_bytes_no_json_has(text)) {
    json = nlohmann::json::parse(text.begin(), text.end(), watch, /*allow_exceptions=*/false);
  }
  if (json.is_discarded() || !json.is_object()) {
    return make_error(ErrorCode::kMalformed, std::string(what) + " is not one JSON object",
                      std::string(what));
  }
  if (repeated) {
    const std::string name = shown_name(*repeated);
    return make_error(ErrorCode::kMalformed,
                      "the member " + name + " of " + std::string(what) + " is given twice", name);
  }
  return json;
}

Error ObjectReader::wrong(const std::string& member, std::string_view must) const {
  const std::string name = shown_name(member);
  return make_error(ErrorCode::kMalformed,
                    "the member " + name + " of " + what_ + " " + std::string(must), name);
}

Result<const nlohmann::json*> ObjectReader::take(const std::string& member) {
  const auto found = object_.find(member);
  if (found == object_.end()) return wrong(member, "is missing");
  taken_.insert(member);
  return &*found;
}

Result<std::string> ObjectReader::text(const std::string& member) {
  COLOPHON_TRY_ASSIGN(const nlohmann::json* value, take(member));
  if (!value->is_string()) return wrong(member, "must be a string");
  return value->get<std::string>();
}

Result<std::uint64_t> ObjectReader::number(const std::string& member, std::uint64_t min,
                                           std::uint64_t max) {
  COLOPHON_TRY_ASSIGN(const nlohmann::json* value, take(member));
  if (!value->is_number_unsigned() || value->get<std::uint64_t>() < min ||
      value->get<std::uint64_t>() > max) {
    return wrong(member,
                 "must be a number from " + std::to_string(min) + " to " + std::to_string(max));
  }
  return value->get<std::uint64_t>();
}

Result<const nlohmann::json*> ObjectReader::object(const std::string& member) {
  COLOPHON_TRY_ASSIGN(const nlohmann::json* value, take(member));
  if (!value->is_object()) return wrong(member, "must be an object");
  return value;
}

Result<void> ObjectReader::finish() const {
  for (const auto& [member, value] : object_.items()) {
    if (!taken_.contains(member)) return wrong(member, "is unknown: remove it");
  }
  return {};
}

}  // namespace colophon::node
