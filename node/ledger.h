// SPDX-License-Identifier: Apache-2.0
//
// Makes blocks durable: executes a list of verified transactions, extends the event log, has the
// checkpoint signed and writes all of it in one piece. What the list is and when it is closed is
// the ordering's affair.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "colophon/backend.hpp"
#include "colophon/error.hpp"
#include "colophon/hsm/signer.h"
#include "node/environment.h"
#include "node/event_log.h"
#include "node/genesis.h"
#include "node/metrics.h"
#include "node/node.h"
#include "node/state_machine.h"
#include "node/store.h"

namespace colophon::node {

// A transaction as sent, and what was read and checked of it.
struct OrderedTransaction {
  std::string_view bytes;
  VerifiedTransaction verified;
};

// SHA-256 of serialize_genesis: what the store keeps to know its chain.
[[nodiscard]] Digest genesis_hash(const Genesis& genesis);

// RFC 9162 root over serialized transactions.
[[nodiscard]] Result<Digest> transactions_root(const Backend& backend, const Slices& transactions);

// One writer: commit() and recover() are called from one thread. failure() and the store may be
// used from any.
class Ledger {
 public:
  // Opens the store, checks that signer and genesis belong together, writes the checkpoint of the
  // empty log if there is none. References are kept.
  [[nodiscard]] static Result<std::unique_ptr<Ledger>> open(
      const NodeConfig& config, const Genesis& genesis, const Backend& backend,
      Environment environment, std::unique_ptr<hsm::Signer> signer, Metrics& metrics);

  // The next block, of those transactions that succeed; if none does, there is no block. Durable
  // when it returns. One result a transaction. If the disk or the HSM fails, all get that error and
  // nothing is acknowledged; the next call tries again.
  [[nodiscard]] std::vector<Result<Receipt>> commit(
      std::span<const OrderedTransaction> transactions);

  // After a failure: tries whether disk and HSM are back, so that the node accepts again, and says
  // so, without a transaction. On commit()'s thread.
  void recover();

  [[nodiscard]] const Store& store() const noexcept { return *store_; }
  // Why the last attempt at a block failed for want of disk or HSM; empty if it did not.
  [[nodiscard]] std::string failure() const;

 private:
  Ledger(const NodeConfig& config, const Genesis& genesis, const Backend& backend,
         Environment environment, std::unique_ptr<hsm::Signer> signer, Metrics& metrics)
      : config_(config),
        genesis_(genesis),
        backend_(backend),
        environment_(environment),
        signer_(std::move(signer)),
        metrics_(metrics) {}

  Result<void> make_ready();
  Result<void> load();
  Result<std::string> sign(std::uint64_t log_size, const Digest& log_root);
  // Fills the results of the transactions that are in the block; the others have theirs already.
  Result<void> write_block(std::span<const OrderedTransaction> transactions,
                           const BlockContext& context, const StateOverlay& state,
                           const Execution& execution, std::vector<Result<Receipt>>& results);
  void set_failure(const Error* error);

  const NodeConfig& config_;
  const Genesis& genesis_;
  Backend backend_;
  Environment environment_;
  std::unique_ptr<hsm::Signer> signer_;
  Metrics& metrics_;
  std::unique_ptr<Store> store_;
  EventLog log_;
  bool log_loaded_ = false;  // false: log_ may not be what the store has

  mutable std::mutex mutex_;
  std::optional<Error> failure_;
};

}  // namespace colophon::node
