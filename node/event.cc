// SPDX-License-Identifier: Apache-2.0
#include "node/event.h"

#include <array>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "colophon/hash.hpp"
#include "colophon/profile.hpp"
#include "node/bytes.h"
#include "node/contracts/contract.h"
#include "node/contracts/message.h"
#include "node/hex.h"
#include "node/proto/transaction.pb.h"

namespace colophon::node {
namespace {

constexpr std::uint64_t kMsPerSecond = 1000;
constexpr std::uint64_t kMsPerDay = 24 * 3600 * kMsPerSecond;

Error bad_event(std::string_view field, std::string message) {
  return make_error(ErrorCode::kMalformed, std::move(message), std::string(field));
}

Result<std::string> signer_scheme_name(const proto::Event& event) {
  const bool ed25519 = event.signer_scheme() == static_cast<std::uint32_t>(Scheme::kEd25519);
  const bool p256 = event.signer_scheme() == static_cast<std::uint32_t>(Scheme::kEcdsaP256Sha256);
  if (!ed25519 && !p256) {
    return bad_event("signer.scheme", "signer.scheme must be 1 (ECDSA P-256) or 3 (Ed25519)");
  }
  COLOPHON_TRY(
      check_bytes_exactly("signer.public_key", event.signer_public_key(), ed25519 ? 32 : 33));
  return std::string(scheme_name(static_cast<Scheme>(event.signer_scheme())));
}

// The subject is what `data` itself names: an id of 32 bytes, written in hex, or a text. No text id
// has 64 characters, so the two forms cannot be taken for each other.
Result<std::string> subject_text(const proto::Event& event, const nlohmann::json& data) {
  constexpr std::size_t kHexIdSize = 2 * sizeof(Digest);
  const char* member = data.contains("id") ? "id" : "key_id";
  if (data.contains(member)) {
    const auto& named = data[member].get_ref<const std::string&>();
    const std::string text =
        named.size() == kHexIdSize ? hex_encode(as_bytes(event.subject())) : event.subject();
    if (text == named) return text;
  }
  return bad_event("subject", "subject is not the one that data is about");
}

// Reads `size` digits of `text` at `at`.
bool read_digits(std::string_view text, std::size_t at, std::size_t size, unsigned& value) {
  value = 0;
  for (const char c : text.substr(at, size)) {
    if (c < '0' || c > '9') return false;
    value = 10 * value + static_cast<unsigned>(c - '0');
  }
  return true;
}

}  // namespace

Result<nlohmann::json> event_json(ByteSpan leaf) {
  COLOPHON_TRY_ASSIGN(const auto event, decode_canonical<proto::Event>(leaf, "event"));
  if (event.version() != 1) {
    return bad_event("version", "version is " + std::to_string(event.version()) + ", must be 1");
  }
  if (event.block_height() == 0) return bad_event("block_height", "block_height is 0");
  if (event.block_time_ms() == 0 || event.block_time_ms() > kTimeMsMax) {
    return bad_event("block_time", "block_time is not a time of the years 1970 to 9999");
  }
  COLOPHON_TRY(check_bytes_exactly("transaction_id", event.transaction_id(), sizeof(Digest)));
  COLOPHON_TRY_ASSIGN(std::string scheme, signer_scheme_name(event));
  const Contract* contract = find_contract(event.contract());
  if (contract == nullptr) {
    return bad_event("contract", "contract is not one that this version knows");
  }
  COLOPHON_TRY_ASSIGN(nlohmann::json data,
                      contract->event_data_json(event.type(), as_bytes(event.data())));
  COLOPHON_TRY_ASSIGN(std::string subject, subject_text(event, data));
  return nlohmann::json{{"version", event.version()},
                        {"index", event.index()},
                        {"block_height", event.block_height()},
                        {"block_time", format_time(event.block_time_ms())},
                        {"transaction_id", hex_encode(as_bytes(event.transaction_id()))},
                        {"signer",
                         {{"scheme", std::move(scheme)},
                          {"public_key", hex_encode(as_bytes(event.signer_public_key()))}}},
                        {"contract", event.contract()},
                        {"type", event.type()},
                        {"subject", std::move(subject)},
                        {"data", std::move(data)}};
}

std::string format_time(std::uint64_t time_ms) {
  const std::chrono::sys_days day{std::chrono::days(time_ms / kMsPerDay)};
  const std::chrono::year_month_day date(day);
  const std::uint64_t in_day = time_ms % kMsPerDay;
  std::array<char, 64> text{};
  const int size =
      std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02u:%02u:%02u.%03uZ",
                    static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                    static_cast<unsigned>(date.day()), static_cast<unsigned>(in_day / 3'600'000),
                    static_cast<unsigned>(in_day / 60'000 % 60),
                    static_cast<unsigned>(in_day / kMsPerSecond % 60),
                    static_cast<unsigned>(in_day % kMsPerSecond));
  return {text.data(), static_cast<std::size_t>(size)};
}

Result<std::uint64_t> parse_time(std::string_view text) {
  constexpr std::string_view kForm = "0000-00-00T00:00:00.000Z";
  const Error error = bad_event(
      "time", "a time must have the form 2026-01-31T12:00:00.000Z (UTC, years 1970 to 9999)");
  if (text.size() != kForm.size()) return error;
  for (std::size_t i = 0; i < kForm.size(); ++i) {
    if (kForm[i] != '0' && text[i] != kForm[i]) return error;
  }
  unsigned year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, ms = 0;
  const bool digits = read_digits(text, 0, 4, year) && read_digits(text, 5, 2, month) &&
                      read_digits(text, 8, 2, day) && read_digits(text, 11, 2, hour) &&
                      read_digits(text, 14, 2, minute) && read_digits(text, 17, 2, second) &&
                      read_digits(text, 20, 3, ms);
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(year)),
                                         std::chrono::month(month), std::chrono::day(day)};
  if (!digits || year < 1970 || !date.ok() || hour > 23 || minute > 59 || second > 59) return error;
  const auto days = std::chrono::sys_days(date).time_since_epoch().count();
  return static_cast<std::uint64_t>(days) * kMsPerDay + hour * std::uint64_t{3'600'000} +
         minute * std::uint64_t{60'000} + second * kMsPerSecond + ms;
}

}  // namespace colophon::node
