// SPDX-License-Identifier: Apache-2.0
//
// What a block does: transactions in, outcomes, events and state writes out. Deterministic,
// integers only; no clock, no I/O but reads of the state; knows nothing of who ordered the
// transactions or when the result is stored.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "colophon/error.hpp"
#include "colophon/hash.hpp"
#include "node/genesis.h"
#include "node/state.h"
#include "node/transaction.h"

namespace colophon::node {

// Replay protection: state key "seen/" expires_at_ms[8, big-endian] transaction id[32] -> height[8,
// big-endian]. Once a block's time has passed a full interval, all keys that expired before it go,
// in one range: a transaction that old is refused for its expiry.
inline constexpr std::string_view kSeenPrefix = "seen/";
inline constexpr std::uint64_t kSeenPruneIntervalMs = 10 * 60 * 1000;

// A transaction whose signature was checked by whoever calls execute().
struct VerifiedTransaction {
  TransactionView view;
  Digest id{};
};

struct BlockContext {
  std::uint64_t height = 0;
  std::uint64_t time_ms = 0;           // not before previous_time_ms
  std::uint64_t previous_time_ms = 0;  // genesis time for block 1
  std::uint64_t log_size = 0;          // before this block
};

struct LoggedEvent {
  std::string leaf;
  std::string subject;
};

// Events [first_event, first_event + events) of the log, or why the transaction left no trace.
struct Outcome {
  std::optional<Error> error;
  std::uint64_t first_event = 0;
  std::uint32_t events = 0;
};

struct Execution {
  std::vector<Outcome> outcomes;    // one a transaction
  std::vector<LoggedEvent> events;  // leaves log_size, log_size + 1, …
  // State keys [first, second) to be erased before the overlay's writes are made.
  std::optional<std::pair<std::string, std::string>> erased;
};

// Runs the transactions in order on `state`, a fresh overlay, which afterwards holds the block's
// writes. A transaction that fails gets its error and changes nothing. An error of the call itself
// (kIo: the state's reader's; kCorrupt: its, or a contract found a stored value that it never
// wrote) says nothing of any transaction, and the overlay must be thrown away.
[[nodiscard]] Result<Execution> execute(const Genesis& genesis, StateOverlay& state,
                                        const BlockContext& block,
                                        std::span<const VerifiedTransaction> transactions);

// created_at and expires_at against a time. Error kExpired.
[[nodiscard]] Result<void> check_times(const TransactionView& view, std::uint64_t time_ms);

}  // namespace colophon::node
