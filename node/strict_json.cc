// SPDX-License-Identifier: Apache-2.0
#include "node/strict_json.h"

#include <utility>
#include <vector>

namespace colophon::node {

Result<nlohmann::json> parse_object(std::string_view text, std::string_view what) {
  std::vector<std::set<std::string>> open;  // member names seen, per object not yet closed
  std::string repeated;
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
  auto json = nlohmann::json::parse(text.begin(), text.end(), watch, /*allow_exceptions=*/false);
  if (json.is_discarded() || !json.is_object()) {
    return make_error(ErrorCode::kMalformed, std::string(what) + " is not one JSON object",
                      std::string(what));
  }
  if (!repeated.empty()) {
    return make_error(ErrorCode::kMalformed,
                      "the member " + repeated + " of " + std::string(what) + " is given twice",
                      repeated);
  }
  return json;
}

Error ObjectReader::wrong(const std::string& member, std::string_view must) const {
  return make_error(ErrorCode::kMalformed,
                    "the member " + member + " of " + what_ + " " + std::string(must), member);
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
