// SPDX-License-Identifier: Apache-2.0
#include "node/ledger.h"

#include <openssl/sha.h>

#include <algorithm>
#include <utility>

#include "node/big_endian.h"
#include "node/bytes.h"
#include "node/checkpoint.h"
#include "node/wire_writer.h"

namespace colophon::node {
namespace {

Digest sha256(std::string_view bytes) {
  Digest digest{};
  SHA256(as_bytes(bytes).data(), bytes.size(), digest.data());
  return digest;
}

// Many byte strings in one buffer, kept.
struct Packed {
  std::string bytes;
  std::vector<std::uint64_t> offsets{0};

  void add(std::string_view item) {
    bytes += item;
    offsets.push_back(bytes.size());
  }
  [[nodiscard]] Slices slices() const { return {as_bytes(bytes), offsets}; }
};

// A serialized proto BlockHeader.
std::string serialize_header(const Genesis& genesis, const Head& previous, const Head& head,
                             const Digest& root) {
  std::string header;
  append_field(header, 1, 1);
  append_field(header, 2, as_bytes(genesis.chain_id));
  append_field(header, 3, head.height);
  append_field(header, 4, head.time_ms);
  append_field(header, 5, ByteSpan(previous.header_hash));
  append_field(header, 6, ByteSpan(root));
  append_field(header, 7, head.log_size);
  append_field(header, 8, ByteSpan(head.log_root));
  return header;
}

}  // namespace

Digest genesis_hash(const Genesis& genesis) { return sha256(serialize_genesis(genesis)); }

Result<Digest> transactions_root(const Backend& backend, const Slices& transactions) {
  std::vector<Digest> hashes(transactions.size());
  COLOPHON_TRY(merkle_leaf_hashes(backend, transactions, hashes));
  return merkle_root(backend, hashes);
}

Result<std::unique_ptr<Ledger>> Ledger::open(const NodeConfig& config, const Genesis& genesis,
                                             const Backend& backend, Environment environment,
                                             std::unique_ptr<hsm::Signer> signer,
                                             Metrics& metrics) {
  if (signer->key_type() != hsm::KeyType::kEd25519 ||
      signer->public_key().raw != genesis.log_public_key) {
    return make_error(ErrorCode::kInvalidArgument,
                      "the signing key is not the log key that genesis.json names: give the URI of "
                      "the key the chain was initialised with",
                      "key");
  }
  auto ledger = std::unique_ptr<Ledger>(
      new Ledger(config, genesis, backend, environment, std::move(signer), metrics));
  COLOPHON_TRY_ASSIGN(ledger->store_, Store::open(config.data_directory, genesis_hash(genesis),
                                                  environment.disk, Store::Mode::kReadWrite));
  COLOPHON_TRY(ledger->load());
  COLOPHON_TRY_ASSIGN(const auto first, ledger->store_->read(Family::kCheckpoint, big_endian(0)));
  if (!first) {
    COLOPHON_TRY_ASSIGN(const Digest empty_root, EventLog().root(backend));
    COLOPHON_TRY_ASSIGN(const std::string checkpoint, ledger->sign(0, empty_root));
    COLOPHON_TRY(ledger->store_->write_first_checkpoint(checkpoint));
  }
  return ledger;
}

// The log as the store has it, checked against the last block's root.
Result<void> Ledger::load() {
  log_loaded_ = false;
  const Head head = store_->head();
  COLOPHON_TRY_ASSIGN(log_, EventLog::load(store_->nodes(backend_), head.log_size));
  if (head.height > 0) {
    COLOPHON_TRY_ASSIGN(const Digest root, log_.root(backend_));
    if (root != head.log_root) {
      return make_error(ErrorCode::kCorrupt,
                        "the stored event log does not have the root that block " +
                            std::to_string(head.height) + " states: run 'colophon node fsck'",
                        "log");
    }
  }
  log_loaded_ = true;
  return {};
}

// After a failed write the store must say what became of it, and the log must follow.
Result<void> Ledger::make_ready() {
  if (!store_->writable()) {
    log_loaded_ = false;
    COLOPHON_TRY(store_->reopen());
  }
  if (!log_loaded_) COLOPHON_TRY(load());
  return {};
}

Result<std::string> Ledger::sign(std::uint64_t log_size, const Digest& log_root) {
  auto note = sign_checkpoint(Checkpoint{genesis_.chain_id, log_size, log_root}, *signer_);
  // A token that signs wrongly must be found out before the note is durable and handed out.
  Result<Checkpoint> checked =
      note ? verify_checkpoint(backend_, *note, genesis_.chain_id, genesis_.log_public_key)
           : Result<Checkpoint>(note.error());
  if (checked) return note;
  return make_error(ErrorCode::kUnavailable,
                    "the log key did not sign the checkpoint, so nothing was written (" +
                        checked.error().message + "): see to the HSM, then send again",
                    "key", checked.error().native);
}

std::string Ledger::failure() const {
  const std::scoped_lock guard(mutex_);
  return failure_ ? failure_->message : std::string();
}

void Ledger::set_failure(const Error* error) {
  bool changed = false;
  {
    const std::scoped_lock guard(mutex_);
    changed = failure_.has_value() != (error != nullptr);
    failure_ = error == nullptr ? std::nullopt : std::optional(*error);
  }
  if (!changed || !config_.log) return;
  if (error != nullptr) {
    config_.log("ERROR", "not accepting: " + error->message);
  } else {
    config_.log("INFO", "accepting again at height " + std::to_string(store_->head().height));
  }
}

void Ledger::recover() {
  {
    const std::scoped_lock guard(mutex_);
    // What is damaged does not mend by itself.
    if (!failure_ || failure_->code == ErrorCode::kCorrupt) return;
  }
  const auto attempt = [&]() -> Result<void> {
    COLOPHON_TRY(make_ready());
    COLOPHON_TRY_ASSIGN(const Digest root, log_.root(backend_));
    COLOPHON_TRY(sign(log_.size(), root));
    return {};
  };
  const Result<void> recovered = attempt();
  set_failure(recovered ? nullptr : &recovered.error());
}

std::vector<Result<Receipt>> Ledger::commit(std::span<const OrderedTransaction> transactions) {
  const std::uint64_t start_us = environment_.clock.monotonic_us();
  std::vector<Result<Receipt>> results;
  const auto fail_all = [&](const Error& error) {
    set_failure(&error);
    results.assign(transactions.size(), error);
    return std::move(results);
  };
  if (auto ready = make_ready(); !ready) return fail_all(ready.error());
  const Head previous = store_->head();
  BlockContext context;
  context.height = previous.height + 1;
  context.previous_time_ms = previous.height == 0 ? genesis_.created_at_ms : previous.time_ms;
  context.time_ms = std::max(environment_.clock.now_ms(), context.previous_time_ms);
  context.log_size = previous.log_size;

  std::vector<VerifiedTransaction> verified;
  verified.reserve(transactions.size());
  for (const OrderedTransaction& transaction : transactions) {
    verified.push_back(transaction.verified);
  }
  StateOverlay state(*store_);
  auto execution = execute(genesis_, state, context, verified);
  if (!execution) return fail_all(execution.error());

  results.reserve(transactions.size());
  bool any = false;
  for (Outcome& outcome : execution->outcomes) {
    any |= !outcome.error;
    if (outcome.error) {
      results.emplace_back(*outcome.error);
    } else {
      results.emplace_back(Receipt{});
    }
  }
  if (!any) return results;
  if (auto written = write_block(transactions, context, state, *execution, results); !written) {
    const Error& error = written.error();
    set_failure(&error);
    for (Result<Receipt>& result : results) {
      if (result) result = error;
    }
    return results;
  }
  set_failure(nullptr);
  metrics_.block_seconds.record_us(environment_.clock.monotonic_us() - start_us);
  return results;
}

Result<void> Ledger::write_block(std::span<const OrderedTransaction> transactions,
                                 const BlockContext& context, const StateOverlay& state,
                                 const Execution& execution,
                                 std::vector<Result<Receipt>>& results) {
  Packed included;
  std::vector<std::pair<Digest, TransactionEntry>> entries;
  entries.reserve(transactions.size());
  for (std::size_t i = 0; i < transactions.size(); ++i) {
    const Outcome& outcome = execution.outcomes[i];
    if (outcome.error) continue;
    entries.emplace_back(
        transactions[i].verified.id,
        TransactionEntry{context.height, entries.size(), outcome.first_event, outcome.events});
    included.add(transactions[i].bytes);
  }
  Packed leaves;
  for (const LoggedEvent& event : execution.events) leaves.add(event.leaf);

  const Head previous = store_->head();
  EventLog log = log_;
  COLOPHON_TRY_ASSIGN(const std::vector<LogNode> nodes, log.append(backend_, leaves.slices()));
  Head head;
  head.height = context.height;
  head.time_ms = context.time_ms;
  head.log_size = log.size();
  COLOPHON_TRY_ASSIGN(head.log_root, log.root(backend_));
  COLOPHON_TRY_ASSIGN(const Digest root, transactions_root(backend_, included.slices()));
  const std::string header = serialize_header(genesis_, previous, head, root);
  head.header_hash = sha256(header);

  std::string block;
  block.reserve(header.size() + included.bytes.size() + (entries.size() + 1) * 4);
  append_field(block, 1, as_bytes(header));
  for (std::size_t i = 0; i < entries.size(); ++i) {
    append_element(block, 2, included.slices()[i]);
  }
  COLOPHON_TRY_ASSIGN(const std::string checkpoint, sign(head.log_size, head.log_root));

  const std::uint64_t sync_us = environment_.clock.monotonic_us();
  COLOPHON_TRY(store_->write(BlockWrite{head, block, checkpoint, state.writes(), execution.erased,
                                        context.log_size, execution.events, nodes, entries}));
  metrics_.sync_seconds.record_us(environment_.clock.monotonic_us() - sync_us);
  log_ = std::move(log);

  std::size_t event = 0;
  for (std::size_t i = 0; i < transactions.size(); ++i) {
    const Outcome& outcome = execution.outcomes[i];
    if (outcome.error) continue;
    Receipt& receipt = *results[i];
    receipt.transaction_id = transactions[i].verified.id;
    receipt.block_height = context.height;
    for (std::uint32_t k = 0; k < outcome.events; ++k, ++event) {
      receipt.events.push_back(outcome.first_event + k);
      receipt.subjects.push_back(execution.events[event].subject);
    }
  }
  metrics_.count_committed(entries.size());
  metrics_.count_block(execution.events.size());
  return {};
}

}  // namespace colophon::node
