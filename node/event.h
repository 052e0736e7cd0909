// SPDX-License-Identifier: Apache-2.0
//
// Events: the leaves of the log, and what a certificate proves.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "colophon/error.hpp"
#include "colophon/slices.hpp"

namespace colophon::node {

// What a contract says happened; the state machine adds block, transaction and signer.
struct EventDraft {
  std::string type;     // "registered"
  std::string subject;  // raw bytes: what its history is found under
  std::string data;     // serialized message of the contract
};

// Leaf bytes (a serialized proto Event) as JSON, e.g.
// {"version":1,"index":3,"block_height":2,"block_time":"2026-01-31T12:00:00.000Z",
//  "transaction_id":hex,"signer":{"scheme":"ecdsa-p256-sha256","public_key":hex},
//  "contract":"registry","type":"registered","subject":hex or text,"data":{…record…}}
// Refuses (kMalformed, naming the field) anything that is not the canonical serialization of a
// known event: one leaf has one JSON form, and the other way round.
[[nodiscard]] Result<nlohmann::json> event_json(ByteSpan leaf);

// The last millisecond of the year 9999: what RFC 3339 can write. No time on the ledger is later.
inline constexpr std::uint64_t kTimeMsMax = 253402300799999;
// Milliseconds since 1970 as RFC 3339 UTC with three decimals, and back.
[[nodiscard]] std::string format_time(std::uint64_t time_ms);
[[nodiscard]] Result<std::uint64_t> parse_time(std::string_view text);

}  // namespace colophon::node
