// SPDX-License-Identifier: Apache-2.0
#include "node/cli/signature_lines.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "node/cli/flat_json.h"
#include "node/cli/hex_input.h"

namespace colophon::cli {
namespace {

Error bad(std::string field, std::string message) {
  return make_error(ErrorCode::kMalformed, std::move(message), std::move(field));
}

// Takes members out of the object by name; what is left at the end is unknown.
class Members {
 public:
  explicit Members(std::vector<FlatMember> members) : members_(std::move(members)) {}

  [[nodiscard]] bool has(std::string_view name) const {
    return std::any_of(members_.begin(), members_.end(),
                       [&](const FlatMember& member) { return member.name == name; });
  }

  // Requires has(name).
  [[nodiscard]] Result<std::string> take(std::string_view name) {
    const auto found = std::find_if(members_.begin(), members_.end(),
                                    [&](const FlatMember& member) { return member.name == name; });
    if (found->type != FlatMember::Type::kText) return bad(found->name, "must be a string");
    std::string text = std::move(found->text);
    members_.erase(found);
    return text;
  }

  [[nodiscard]] Result<std::string> take_required(std::string_view name) {
    if (!has(name)) return bad(std::string(name), "is missing");
    return take(name);
  }

  [[nodiscard]] Result<void> take_hex(std::string_view name, std::vector<std::uint8_t>& bytes) {
    COLOPHON_TRY_ASSIGN(const std::string text, take_required(name));
    return append_hex(text, name, bytes);
  }

  [[nodiscard]] Result<void> finish() const {
    if (members_.empty()) return {};
    return bad(members_.front().name,
               "is unknown: scheme, public_key, message, digest, signature, encoding, profile and "
               "sm2_id are what there is");
  }

 private:
  std::vector<FlatMember> members_;
};

Result<void> read_scheme(Members& members, SignatureLine& line) {
  COLOPHON_TRY_ASSIGN(const std::string name, members.take_required("scheme"));
  const auto scheme = scheme_from_name(name);
  if (!scheme) {
    return bad("scheme", "'" + shown_name(name) +
                             "' is not one of ecdsa-p256-sha256, ecdsa-secp256k1-sha256, ed25519, "
                             "sm2-sm3");
  }
  line.scheme = *scheme;
  return {};
}

Result<void> read_encoding(Members& members, SignatureLine& line) {
  if (!members.has("encoding")) return {};
  COLOPHON_TRY_ASSIGN(const std::string name, members.take("encoding"));
  const auto encoding = encoding_from_name(name);
  if (!encoding) return bad("encoding", "'" + shown_name(name) + "' is not one of raw, der");
  if (line.scheme == Scheme::kEd25519 && *encoding != SignatureEncoding::kRaw) {
    return bad("encoding", "ed25519 signatures are raw only");
  }
  line.encoding = *encoding;
  return {};
}

Result<void> read_profile(Members& members, SignatureLine& line) {
  if (!members.has("profile")) return {};
  COLOPHON_TRY_ASSIGN(const std::string name, members.take("profile"));
  const auto profile = profile_from_name(name);
  if (!profile) {
    return bad("profile",
               "'" + shown_name(name) + "' is not one of standard, low_s, zip215, strict");
  }
  const bool of_ed25519 = *profile == Profile::kZip215 || *profile == Profile::kStrict;
  if (of_ed25519 != (line.scheme == Scheme::kEd25519) ||
      (*profile == Profile::kLowS && line.scheme == Scheme::kSm2Sm3)) {
    return bad("profile", "scheme " + std::string(scheme_name(line.scheme)) + " has no profile " +
                              std::string(name));
  }
  line.profile = *profile;
  return {};
}

Result<void> read_input(Members& members, SignatureLine& line) {
  if (members.has("message")) {
    if (members.has("digest")) return bad("digest", "is given beside message: give only one");
    line.input = InputKind::kMessage;
    return members.take_hex("message", line.data);
  }
  if (!members.has("digest")) return bad("message", "is missing, and so is digest: give one");
  if (line.scheme == Scheme::kEd25519) {
    return bad("digest", "ed25519 signs messages, not digests: give message");
  }
  line.input = InputKind::kDigest;
  return members.take_hex("digest", line.data);
}

Result<void> read_sm2_id(Members& members, SignatureLine& line) {
  if (!members.has("sm2_id")) return {};
  if (line.scheme != Scheme::kSm2Sm3) return bad("sm2_id", "goes with scheme sm2-sm3 only");
  if (line.input == InputKind::kDigest) {
    return bad("sm2_id", "goes with message only: a digest already has it in it");
  }
  std::vector<std::uint8_t> id;
  COLOPHON_TRY(members.take_hex("sm2_id", id));
  if (id.size() > kSm2IdBytesMax) {
    return make_error(ErrorCode::kLimitExceeded,
                      "is longer than " + std::to_string(kSm2IdBytesMax) + " bytes", "sm2_id");
  }
  line.sm2_id.assign(id.begin(), id.end());
  return {};
}

}  // namespace

Result<SignatureLine> parse_signature_line(std::string_view text) {
  if (text.size() > kSignatureLineBytesMax) {
    return make_error(ErrorCode::kLimitExceeded,
                      "longer than " + std::to_string(kSignatureLineBytesMax) + " bytes");
  }
  if (text.find_first_not_of(" \t\r") == std::string_view::npos) {
    return bad("", "the line is empty: give one JSON object a line");
  }
  COLOPHON_TRY_ASSIGN(auto parsed, parse_flat_object(text, 0));
  Members members(std::move(parsed));
  SignatureLine line;
  COLOPHON_TRY(read_scheme(members, line));
  COLOPHON_TRY(read_encoding(members, line));
  COLOPHON_TRY(read_profile(members, line));
  COLOPHON_TRY(members.take_hex("public_key", line.public_key));
  COLOPHON_TRY(read_input(members, line));
  COLOPHON_TRY(members.take_hex("signature", line.signature));
  COLOPHON_TRY(read_sm2_id(members, line));
  COLOPHON_TRY(members.finish());
  return line;
}

std::string verdict_line(Verdict verdict) {
  // The reasons are plain ASCII without quotes or backslashes.
  return std::string("{\"valid\":") + (verdict == Verdict::kValid ? "true" : "false") +
         ",\"reason\":\"" + std::string(verdict_reason(verdict)) + "\"}";
}

std::string error_line(std::uint64_t line_number, const Error& error) {
  std::string message = "line " + std::to_string(line_number) + ": ";
  nlohmann::ordered_json object;
  const std::string field = shown_name(error.field);
  if (!field.empty()) message += "field '" + field + "': ";
  object["error"] = message + error.message;
  object["line"] = line_number;
  if (!field.empty()) object["field"] = field;
  // A name cut short may end within a character: `replace` keeps the output UTF-8.
  return object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace colophon::cli
