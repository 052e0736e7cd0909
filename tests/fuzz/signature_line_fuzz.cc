// SPDX-License-Identifier: Apache-2.0
//
// The JSON Lines of `colophon verify`: a line is taken exactly where a second reader, made of the
// JSON library's document form and the table of docs/formats.md, takes it; and what is written for
// a refused line is one line of JSON whatever was in it.
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "node/cli/signature_lines.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/right_inputs.h"

namespace colophon::cli {
namespace {

using fuzz::require;
using nlohmann::json;

std::optional<std::vector<std::uint8_t>> from_hex(const std::string& text) {
  if (text.size() % 2 != 0 ||
      text.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos) {
    return std::nullopt;
  }
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    bytes.push_back(static_cast<std::uint8_t>(std::stoul(text.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

// The members, if the line is one object of texts, none of them given twice.
std::optional<std::map<std::string, std::string>> texts_of(std::string_view line) {
  if (line.starts_with("\xef\xbb\xbf") || line.find('\0') != std::string_view::npos) return {};
  std::map<std::string, std::string> texts;
  bool good = true;
  std::string name;
  const auto watch = [&](int depth, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::key) {
      name = parsed.get<std::string>();
      good = good && depth == 1 && !texts.contains(name);
      texts[name];
    } else if (event == json::parse_event_t::value) {
      good = good && depth == 1 && parsed.is_string();
      if (good) texts[name] = parsed.get<std::string>();
    } else if (event == json::parse_event_t::array_start) {
      good = false;
    }
    return true;
  };
  const json parsed = json::parse(line.begin(), line.end(), watch, false);
  if (parsed.is_discarded() || !parsed.is_object() || !good) return {};
  return texts;
}

std::optional<SignatureLine> second_reader(std::string_view text) {
  const auto texts = texts_of(text);
  if (!texts) return {};
  for (const auto& [name, value] : *texts) {
    constexpr std::string_view kNames[] = {"scheme",    "public_key", "message", "digest",
                                           "signature", "encoding",   "profile", "sm2_id"};
    if (std::find(std::begin(kNames), std::end(kNames), name) == std::end(kNames)) return {};
  }
  for (const char* name : {"scheme", "public_key", "signature"}) {
    if (!texts->contains(name)) return {};
  }
  SignatureLine line;
  const auto scheme = scheme_from_name(texts->at("scheme"));
  if (!scheme || texts->contains("message") == texts->contains("digest")) return {};
  line.scheme = *scheme;
  const bool ed25519 = *scheme == Scheme::kEd25519;
  line.input = texts->contains("message") ? InputKind::kMessage : InputKind::kDigest;
  if (ed25519 && line.input == InputKind::kDigest) return {};
  if (texts->contains("encoding")) {
    const std::string& name = texts->at("encoding");
    if (name != "raw" && (name != "der" || ed25519)) return {};
    line.encoding = name == "raw" ? SignatureEncoding::kRaw : SignatureEncoding::kDer;
  }
  if (texts->contains("profile")) {
    const auto profile = profile_from_name(texts->at("profile"));
    const bool known = ed25519 ? profile == Profile::kZip215 || profile == Profile::kStrict
                               : profile == Profile::kStandard ||
                                     (profile == Profile::kLowS && *scheme != Scheme::kSm2Sm3);
    if (!known) return {};
    line.profile = *profile;
  }
  const auto key = from_hex(texts->at("public_key"));
  const auto signature = from_hex(texts->at("signature"));
  const auto data = from_hex(texts->at(texts->contains("message") ? "message" : "digest"));
  if (!key || !signature || !data) return {};
  line.public_key = *key;
  line.signature = *signature;
  line.data = *data;
  if (texts->contains("sm2_id")) {
    const auto id = from_hex(texts->at("sm2_id"));
    if (*scheme != Scheme::kSm2Sm3 || line.input == InputKind::kDigest || !id || id->size() > 8191)
      return {};
    line.sm2_id.assign(id->begin(), id->end());
  }
  return line;
}

void check_line(std::string_view text, std::uint64_t number) {
  const auto parsed = parse_signature_line(text);
  const auto expected = second_reader(text);
  require(parsed.ok() == expected.has_value(), "a line is taken where the second reader takes it");
  if (!parsed) {
    require(!parsed.error().message.empty(), "a refusal says why");
    const std::string shown = error_line(number, parsed.error());
    require(shown.find('\n') == std::string::npos, "a refusal is one line");
    const json read = json::parse(shown, nullptr, false);
    require(read.is_object() && read.at("error").is_string() && read.at("line") == number &&
                read.size() == 2 + read.count("field"),
            "a refusal is an object with error, line and perhaps field");
    return;
  }
  require(parsed->scheme == expected->scheme && parsed->encoding == expected->encoding &&
              parsed->profile == expected->profile && parsed->input == expected->input &&
              parsed->public_key == expected->public_key && parsed->data == expected->data &&
              parsed->signature == expected->signature && parsed->sm2_id == expected->sm2_id,
          "both readers see the same");
}

void check(std::string_view text) {
  for (std::uint64_t number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    check_line(text.substr(0, end), number);
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
}

}  // namespace
}  // namespace colophon::cli

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto right = colophon::fuzz::right_signature_lines();
  colophon::fuzz::FuzzInput input(data, size);
  colophon::cli::check(colophon::fuzz::choose_text(input, right, ','));
  return 0;
}
