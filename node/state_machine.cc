// SPDX-License-Identifier: Apache-2.0
#include "node/state_machine.h"

#include <utility>

#include "node/big_endian.h"
#include "node/bytes.h"
#include "node/contracts/contract.h"
#include "node/event.h"
#include "node/node.h"
#include "node/wire_writer.h"

namespace colophon::node {
namespace {

std::string seen_key(const VerifiedTransaction& transaction) {
  std::string key(kSeenPrefix);
  append_big_endian(key, transaction.view.expires_at_ms);
  key += as_text(transaction.id);
  return key;
}

// The keys of transactions that expired before the last full interval, if this block is the first
// past it.
std::optional<std::pair<std::string, std::string>> expired_range(const BlockContext& block) {
  const std::uint64_t interval = block.time_ms / kSeenPruneIntervalMs;
  if (interval == block.previous_time_ms / kSeenPruneIntervalMs) return std::nullopt;
  std::string end(kSeenPrefix);
  append_big_endian(end, interval * kSeenPruneIntervalMs);
  return std::pair(std::string(kSeenPrefix), std::move(end));
}

// A serialized proto Event.
std::string event_leaf(const BlockContext& block, std::uint64_t index,
                       const VerifiedTransaction& transaction, const EventDraft& draft) {
  constexpr std::size_t kFixedBytesMax = 160;  // all but contract, type, subject and data
  std::string leaf;
  leaf.reserve(kFixedBytesMax + transaction.view.contract.size() + draft.type.size() +
               draft.subject.size() + draft.data.size());
  append_field(leaf, 1, 1);
  append_field(leaf, 2, index);
  append_field(leaf, 3, block.height);
  append_field(leaf, 4, block.time_ms);
  append_field(leaf, 5, ByteSpan(transaction.id));
  append_field(leaf, 6, static_cast<std::uint64_t>(transaction.view.scheme));
  append_field(leaf, 7, transaction.view.public_key);
  append_field(leaf, 8, as_bytes(transaction.view.contract));
  append_field(leaf, 9, as_bytes(draft.type));
  append_field(leaf, 10, as_bytes(draft.subject));
  append_field(leaf, 11, as_bytes(draft.data));
  return leaf;
}

Result<void> apply_transaction(const Genesis& genesis, StateOverlay& state,
                               const BlockContext& block, const VerifiedTransaction& transaction,
                               std::vector<EventDraft>& drafts) {
  COLOPHON_TRY(check_times(transaction.view, block.time_ms));
  std::string seen = seen_key(transaction);
  COLOPHON_TRY_ASSIGN(const auto height, state.get(seen));
  if (height) {
    return make_error(ErrorCode::kAlreadyExists,
                      "replay: this transaction is in block " +
                          std::to_string(read_big_endian(as_bytes(*height))),
                      "transaction");
  }
  const Contract* contract = find_contract(transaction.view.contract);
  if (contract == nullptr) {
    return make_error(ErrorCode::kNotFound,
                      "no contract " + std::string(transaction.view.contract) +
                          " on this chain: it has membership and registry",
                      "contract");
  }
  ContractContext context{genesis,
                          state,
                          block.height,
                          block.time_ms,
                          ByteSpan(transaction.id),
                          transaction.view.scheme,
                          transaction.view.public_key,
                          drafts};
  COLOPHON_TRY(contract->apply(context, transaction.view.payload));
  state.put(seen, big_endian(block.height));
  return {};
}

}  // namespace

Result<void> check_times(const TransactionView& view, std::uint64_t time_ms) {
  if (view.expires_at_ms <= time_ms) {
    return make_error(ErrorCode::kExpired,
                      "the transaction expired at " + format_time(view.expires_at_ms) +
                          ", the node's time is " + format_time(time_ms) + ": sign a new one",
                      "expires_at_ms");
  }
  if (view.created_at_ms > time_ms + kFutureMsMax) {
    return make_error(ErrorCode::kExpired,
                      "the transaction is dated " + format_time(view.created_at_ms) +
                          ", more than " + std::to_string(kFutureMsMax) +
                          " ms after the node's time " + format_time(time_ms) +
                          ": set your clock, then sign a new one",
                      "created_at_ms");
  }
  return {};
}

Result<Execution> execute(const Genesis& genesis, StateOverlay& state, const BlockContext& block,
                          std::span<const VerifiedTransaction> transactions) {
  Execution execution;
  execution.outcomes.resize(transactions.size());
  execution.events.reserve(transactions.size());
  execution.erased = expired_range(block);

  std::vector<EventDraft> drafts;
  for (std::size_t i = 0; i < transactions.size(); ++i) {
    drafts.clear();
    Outcome& outcome = execution.outcomes[i];
    auto applied = apply_transaction(genesis, state, block, transactions[i], drafts);
    if (state.read_error()) return *state.read_error();
    if (!applied && applied.error().code == ErrorCode::kCorrupt) return std::move(applied).error();
    if (!applied) {
      outcome.error = std::move(applied).error();
      state.discard_transaction();
      continue;
    }
    outcome.first_event = block.log_size + execution.events.size();
    outcome.events = static_cast<std::uint32_t>(drafts.size());
    for (EventDraft& draft : drafts) {
      const std::uint64_t index = block.log_size + execution.events.size();
      std::string leaf = event_leaf(block, index, transactions[i], draft);
      execution.events.push_back({std::move(leaf), std::move(draft.subject)});
    }
    state.commit_transaction();
  }
  return execution;
}

}  // namespace colophon::node
