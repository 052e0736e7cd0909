// SPDX-License-Identifier: Apache-2.0
//
// genesis.json and the strict JSON it is read with: what is taken is JSON by the grammar, each
// member there once, and comes out of its canonical form the same.
#include <nlohmann/json.hpp>
#include <string>

#include "node/genesis.h"
#include "node/strict_json.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/right_inputs.h"

namespace colophon::node {
namespace {

using fuzz::require;

void check(std::string_view text) {
  const auto object = parse_object(text, "input");
  if (object) {
    require(object->is_object(), "an object is one");
    // The JSON library stops at a zero byte and skips a byte order mark: the grammar has neither.
    require(text.find('\0') == std::string_view::npos && !text.starts_with("\xef\xbb\xbf"),
            "nothing but the object is in the text");
    std::size_t members_in_text = 0;
    const auto count = [&](int, nlohmann::json::parse_event_t event, nlohmann::json&) {
      members_in_text += event == nlohmann::json::parse_event_t::key ? 1 : 0;
      return true;
    };
    (void)nlohmann::json::parse(text.begin(), text.end(), count, false);
    std::size_t members = 0;
    std::vector<const nlohmann::json*> open{&*object};
    while (!open.empty()) {
      const nlohmann::json& value = *open.back();
      open.pop_back();
      members += value.is_object() ? value.size() : 0;
      for (const auto& inside : value) {
        if (inside.is_structured()) open.push_back(&inside);
      }
    }
    require(members == members_in_text, "no member is given twice");
  } else {
    require(!object.error().message.empty(), "a refusal says why");
    (void)nlohmann::json(object.error().message).dump();
  }

  const auto genesis = parse_genesis(text);
  if (!genesis) {
    // The field may be empty: a member's name may be.
    require(!genesis.error().message.empty(), "a refusal says why");
    (void)nlohmann::json(genesis.error().field).dump();  // throws if it is not UTF-8
    return;
  }
  require(object.ok(), "genesis.json is strict JSON");
  const std::string canonical = serialize_genesis(*genesis);
  const auto again = parse_genesis(canonical);
  require(again.ok() && serialize_genesis(*again) == canonical, "genesis.json reads back");
  require(again->chain_id == genesis->chain_id && again->created_at_ms == genesis->created_at_ms &&
              again->administrator_scheme == genesis->administrator_scheme &&
              again->administrator_public_key == genesis->administrator_public_key &&
              again->log_public_key == genesis->log_public_key,
          "both say the same");
}

}  // namespace
}  // namespace colophon::node

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto right = colophon::fuzz::right_genesis();
  colophon::fuzz::FuzzInput input(data, size);
  colophon::node::check(colophon::fuzz::choose_text(input, right, ','));
  return 0;
}
