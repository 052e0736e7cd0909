// SPDX-License-Identifier: Apache-2.0
#include "node/node.h"

#include <algorithm>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <utility>
#include <vector>

#include "colophon/merkle.hpp"
#include "node/big_endian.h"
#include "node/bytes.h"
#include "node/contracts/membership/membership.h"
#include "node/contracts/registry/registry.h"
#include "node/gpu_watch.h"
#include "node/hex.h"
#include "node/intake.h"
#include "node/ledger.h"
#include "node/metrics.h"
#include "node/proto/transaction.pb.h"
#include "node/solo_ordering.h"
#include "node/store.h"

namespace colophon::node {
namespace {

constexpr std::string_view kOrdering = "solo";

Error not_found(std::string_view field, std::string message) {
  return make_error(ErrorCode::kNotFound, std::move(message), std::string(field));
}

Result<void> check_config(const NodeConfig& config) {
  const auto range = [](std::string_view field, std::uint64_t value, std::uint64_t min,
                        std::uint64_t max) -> Result<void> {
    if (value >= min && value <= max) return {};
    return make_error(ErrorCode::kInvalidArgument,
                      std::string(field) + " is " + std::to_string(value) + ", must be " +
                          std::to_string(min) + " to " + std::to_string(max),
                      std::string(field));
  };
  COLOPHON_TRY(
      range("block_transactions_max", config.block_transactions_max, 1, kBlockTransactionsLimit));
  COLOPHON_TRY(range("block_deadline_ms", config.block_deadline_ms, 0, kBlockDeadlineMsLimit));
  if (config.table_memory != 0) {
    COLOPHON_TRY(range("table_memory", config.table_memory, kTableMemoryMin, kTableMemoryLimit));
  }
  return range("queue_transactions_max", config.queue_transactions_max, 1, kQueueTransactionsLimit);
}

class SoloNode final : public Node {
 public:
  SoloNode(const NodeConfig& config, const Genesis& genesis, Environment environment,
           const Backend& backend)
      : config_(config),
        genesis_(genesis),
        environment_(environment),
        backend_(backend),
        gpu_watch_(backend, config.log) {}

  ~SoloNode() override {
    if (ordering_) ordering_->stop();
    const std::unique_lock all_returned(submitting_);
  }
  SoloNode(const SoloNode&) = delete;
  SoloNode& operator=(const SoloNode&) = delete;

  Result<void> start(std::unique_ptr<hsm::Signer> signer, const BackendChoice& choice) {
    COLOPHON_TRY_ASSIGN(ledger_, Ledger::open(config_, genesis_, backend_, environment_,
                                              std::move(signer), metrics_));
    COLOPHON_TRY_ASSIGN(intake_, Intake::create(genesis_, backend_, ledger_->store(),
                                                environment_.clock, metrics_));
    ordering_ = std::make_unique<SoloOrdering>(config_, *ledger_, environment_.clock);
    for (const BackendInfo& info : choice.passed_over) {
      if (!idle_gpu_) idle_gpu_ = info.device;
    }
    if (idle_gpu_)
      idle_gpu_->in_use = false;  // it may be open, but nothing of this node's is on it
    if (config_.log) {
      const Head head = store().head();
      config_.log("INFO", "chain " + genesis_.chain_id + " at height " +
                              std::to_string(head.height) + ", " + std::to_string(head.log_size) +
                              " events, backend " + std::string(backend_.name()));
      log_backend(choice);
      config_.log("WARN",
                  "ordering solo: one machine decides and stores alone; it tolerates no fault of "
                  "this machine, so keep backups");
    }
    return {};
  }

  std::vector<Result<Receipt>> submit(std::span<const std::string_view> transactions) override {
    const std::shared_lock submitting(submitting_);
    std::vector<Result<Receipt>> results;
    std::vector<Intake::Accepted> accepted = intake_->check(transactions, results);
    gpu_watch_.look();
    std::vector<OrderedTransaction> ordered;
    std::vector<Result<Receipt>*> slots;
    ordered.reserve(accepted.size());
    slots.reserve(accepted.size());
    for (const Intake::Accepted& one : accepted) {
      ordered.push_back(one.transaction);
      slots.push_back(&results[one.index]);
    }
    if (!ordered.empty()) ordering_->submit(ordered, slots);
    for (const Result<Receipt>& result : results) {
      if (!result) metrics_.count_refused(result.error().code);
    }
    return results;
  }

  const Genesis& genesis() const noexcept override { return genesis_; }

  NodeStatus status() const override {
    const Head head = store().head();
    NodeStatus status;
    status.chain_id = genesis_.chain_id;
    status.backend = backend_.name();
    status.ordering = kOrdering;
    status.height = head.height;
    status.log_size = head.log_size;
    status.block_time_ms = head.time_ms;
    status.reason = ledger_->failure();
    status.accepting = status.reason.empty();
    return status;
  }

  Result<std::string> record(ByteSpan record_id) const override {
    COLOPHON_TRY_ASSIGN(auto value, store().get(record_state_key(record_id)));
    if (value) return *std::move(value);
    return not_found("record_id", "no record " + hex_encode(record_id) + " is registered");
  }

  Result<std::string> organization(std::string_view id) const override {
    COLOPHON_TRY(check_organization_id("organization", id));
    COLOPHON_TRY_ASSIGN(auto value, store().get(organization_state_key(id)));
    if (value) return *std::move(value);
    return not_found("organization", "no organization " + std::string(id) + " is enrolled");
  }

  Result<std::string> member(ByteSpan key_id) const override {
    COLOPHON_TRY_ASSIGN(auto value, store().get(member_state_key(key_id)));
    if (value) return *std::move(value);
    return not_found("key_id", "no member has the key id " + hex_encode(key_id));
  }

  Result<std::vector<std::uint64_t>> history(ByteSpan subject, std::uint64_t from,
                                             std::uint32_t limit) const override {
    COLOPHON_TRY_ASSIGN(const std::string prefix, history_prefix(subject));
    std::vector<std::uint64_t> indices;
    if (limit == 0) return indices;
    std::uint64_t position = 0;
    COLOPHON_TRY(
        store().scan(Family::kHistory, prefix, [&](std::string_view key, std::string_view) {
          if (!key.starts_with(prefix)) return false;
          if (position++ >= from) {
            indices.push_back(read_big_endian(as_bytes(key.substr(prefix.size()))));
          }
          return indices.size() < limit;
        }));
    return indices;
  }

  Result<std::string> event(std::uint64_t index) const override {
    COLOPHON_TRY_ASSIGN(auto leaf, store().read(Family::kLeaf, big_endian(index)));
    if (leaf) return *std::move(leaf);
    return not_found("index", "no event " + std::to_string(index) + ": the log has " +
                                  std::to_string(store().head().log_size));
  }

  Result<Receipt> transaction(ByteSpan transaction_id) const override {
    COLOPHON_TRY_ASSIGN(const auto value,
                        store().read(Family::kTransaction, as_text(transaction_id)));
    if (!value) {
      return not_found("transaction_id",
                       "no transaction " + hex_encode(transaction_id) + " is in a block");
    }
    COLOPHON_TRY_ASSIGN(const TransactionEntry entry, parse_entry(*value));
    Receipt receipt;
    std::ranges::copy(transaction_id, receipt.transaction_id.begin());
    receipt.block_height = entry.height;
    for (std::uint64_t i = 0; i < entry.events; ++i) {
      const std::uint64_t index = entry.first_event + i;
      COLOPHON_TRY_ASSIGN(const std::string leaf, event(index));
      proto::Event parsed;
      if (!parsed.ParseFromString(leaf)) {
        return make_error(
            ErrorCode::kCorrupt,
            "event " + std::to_string(index) + " does not parse: run 'colophon node fsck'", "log");
      }
      receipt.events.push_back(index);
      receipt.subjects.push_back(parsed.subject());
    }
    return receipt;
  }

  Result<InclusionProof> prove_inclusion(std::uint64_t index, std::uint64_t size) const override {
    InclusionProof proof;
    proof.index = index;
    COLOPHON_TRY_ASSIGN(proof.size, checked_size("size", size));
    if (index >= proof.size) {
      return make_error(ErrorCode::kInvalidArgument,
                        "index is " + std::to_string(index) + ", must be below the size, " +
                            std::to_string(proof.size),
                        "index");
    }
    const NodeReader nodes = store().nodes(backend_);
    COLOPHON_TRY_ASSIGN(proof.leaf_hash, nodes(0, index));
    COLOPHON_TRY_ASSIGN(proof.hashes, merkle_prove_inclusion(backend_, nodes, index, proof.size));
    return proof;
  }

  Result<std::vector<Digest>> prove_consistency(std::uint64_t from,
                                                std::uint64_t to) const override {
    COLOPHON_TRY_ASSIGN(const std::uint64_t size, checked_size("to", to));
    if (from == 0 || from > size) {
      return make_error(
          ErrorCode::kInvalidArgument,
          "from is " + std::to_string(from) + ", must be 1 to " + std::to_string(size), "from");
    }
    return merkle_prove_consistency(backend_, store().nodes(backend_), from, size);
  }

  Result<std::string> checkpoint(std::uint64_t height) const override {
    const std::uint64_t head = store().head().height;
    const std::uint64_t wanted = height == 0 ? head : height;
    COLOPHON_TRY_ASSIGN(auto note, store().read(Family::kCheckpoint, big_endian(wanted)));
    if (note && wanted <= head) return *std::move(note);
    return not_found(
        "height", "no block " + std::to_string(wanted) + ": the last is " + std::to_string(head));
  }

  std::string metrics() const override {
    const NodeStatus now = status();
    const std::optional<DeviceInfo> gpu = backend_.device();
    return metrics_.render(Gauges{now.height, now.log_size, ordering_->queue_depth(), now.accepting,
                                  now.backend, now.ordering, backend_.table_memory(),
                                  gpu ? gpu : idle_gpu_});
  }

 private:
  const Store& store() const { return ledger_->store(); }

  // Which backend it is and why, so that nobody wonders where the speed is.
  void log_backend(const BackendChoice& choice) const {
    std::string line = "backend " + std::string(backend_.name()) +
                       (choice.by_auto ? " is the best that this machine can use"
                                       : " was asked for, not chosen by auto");
    if (const TableMemory tables = backend_.table_memory(); tables.bytes_max != 0) {
      line += "; its tables of keys take at most " + std::to_string(tables.bytes_max) + " bytes";
    }
    config_.log("INFO", line);
    for (const BackendInfo& info : choice.passed_over) {
      config_.log(info.supported || info.device ? "WARN" : "INFO", info.reason);
    }
  }

  // 0 means the whole log.
  Result<std::uint64_t> checked_size(std::string_view field, std::uint64_t size) const {
    const std::uint64_t log_size = store().head().log_size;
    if (size == 0) return log_size;
    if (size <= log_size) return size;
    return make_error(ErrorCode::kInvalidArgument,
                      std::string(field) + " is " + std::to_string(size) + ", the log has " +
                          std::to_string(log_size) + " events",
                      std::string(field));
  }

  const NodeConfig config_;
  const Genesis genesis_;
  Environment environment_;
  const Backend backend_;
  GpuWatch gpu_watch_;
  std::optional<DeviceInfo> idle_gpu_;  // which auto passed over at start
  Metrics metrics_;
  std::shared_mutex submitting_;  // shared: a submit() call runs
  // Destroyed in reverse: the ordering drains into the ledger, then the store closes.
  std::unique_ptr<Ledger> ledger_;
  std::unique_ptr<Intake> intake_;
  std::unique_ptr<SoloOrdering> ordering_;
};

}  // namespace

Result<std::unique_ptr<Node>> Node::open(const NodeConfig& config, const Genesis& genesis,
                                         Environment environment,
                                         std::unique_ptr<hsm::Signer> signer) {
  COLOPHON_TRY(check_config(config));
  COLOPHON_TRY(check_chain_id(genesis.chain_id));
  COLOPHON_TRY_ASSIGN(const BackendChoice choice,
                      Backend::choose(config.backend, config.table_memory));
  auto node = std::make_unique<SoloNode>(config, genesis, environment, choice.backend);
  COLOPHON_TRY(node->start(std::move(signer), choice));
  return std::unique_ptr<Node>(std::move(node));
}

}  // namespace colophon::node
