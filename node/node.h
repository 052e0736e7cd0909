// SPDX-License-Identifier: Apache-2.0
//
// A node: intake, ordering, state machine, log and store behind one object. The API, the tests and
// the benchmarks talk to it through this header. Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "colophon/backend.hpp"
#include "colophon/error.hpp"
#include "colophon/hash.hpp"
#include "colophon/hsm/signer.h"
#include "colophon/slices.hpp"
#include "node/environment.h"
#include "node/genesis.h"

namespace colophon::node {

struct NodeConfig {
  std::string data_directory;
  std::uint32_t block_transactions_max = 4096;
  std::uint32_t block_deadline_ms = 20;  // a block closes this long after its first transaction
  std::uint32_t queue_transactions_max = 65536;  // beyond it submit() says kUnavailable
  std::string backend;                           // as Backend::choose
  // Bytes for the backend's tables of keys, as Backend::choose; 0: what it has by itself. It is the
  // backend's, so the last node opened in a process decides.
  std::uint64_t table_memory = 0;
  // Called with what an operator should read, from any thread; empty: nobody is. Levels: "INFO",
  // "WARN", "ERROR".
  std::function<void(std::string_view level, std::string_view message)> log;
};

// Limits of NodeConfig. 2^14 transactions of 64 KiB are a block of 1 GiB; a protobuf message ends
// at 2.
inline constexpr std::uint32_t kBlockTransactionsLimit = 1U << 14;
inline constexpr std::uint32_t kBlockDeadlineMsLimit = 60 * 1000;
inline constexpr std::uint32_t kQueueTransactionsLimit = 1U << 20;
inline constexpr std::uint64_t kTableMemoryLimit = std::uint64_t{1} << 40;  // from kTableMemoryMin

// Limits on what is sent, named in errors and in GET /v1/status.
inline constexpr std::size_t kTransactionBytesMax = 64 * 1024;
inline constexpr std::size_t kSubmitTransactionsMax = 4096;
inline constexpr std::uint64_t kFutureMsMax = 60 * 1000;
inline constexpr std::uint64_t kLifetimeMsMax = 24 * 3600 * 1000;

// A transaction that is durable. Given only after the block's write was synced.
struct Receipt {
  Digest transaction_id{};
  std::uint64_t block_height = 0;
  std::vector<std::uint64_t> events;  // log indices
  std::vector<std::string> subjects;  // raw bytes, as many as events
};

struct InclusionProof {
  std::uint64_t index = 0;
  std::uint64_t size = 0;
  Digest leaf_hash{};
  std::vector<Digest> hashes;
};

struct NodeStatus {
  std::string chain_id;
  std::string backend;
  std::string ordering;  // "solo"
  std::uint64_t height = 0;
  std::uint64_t log_size = 0;
  std::uint64_t block_time_ms = 0;  // of the last block
  bool accepting = true;            // false: a write or the HSM failed; `reason` says which
  std::string reason;
};

class Node {
 public:
  // Opens or creates the store under config.data_directory and checks that it belongs to `genesis`
  // and that `signer` is the genesis's log key. Errors: kIo, kCorrupt, kUnavailable (another
  // process has it open), kInvalidArgument.
  [[nodiscard]] static Result<std::unique_ptr<Node>> open(const NodeConfig& config,
                                                          const Genesis& genesis,
                                                          Environment environment,
                                                          std::unique_ptr<hsm::Signer> signer);
  // Finishes or refuses the submissions that are being made, then closes the store. No other call
  // may be running.
  virtual ~Node() = default;

  // One result a transaction, in order; returns when each is durable or refused. Errors:
  // kMalformed, kLimitExceeded, kInvalidSignature, kAlreadyExists (replay: the message has its
  // block), kExpired (expired or future-dated), kPermissionDenied, kNotFound, kUnavailable (queue
  // full, HSM away), kIo (disk full: nothing was acknowledged).
  [[nodiscard]] virtual std::vector<Result<Receipt>> submit(
      std::span<const std::string_view> transactions) = 0;

  [[nodiscard]] virtual const Genesis& genesis() const noexcept = 0;
  [[nodiscard]] virtual NodeStatus status() const = 0;
  // Current value of a contract's record: serialized proto Record / Organization / Member.
  [[nodiscard]] virtual Result<std::string> record(ByteSpan record_id) const = 0;
  [[nodiscard]] virtual Result<std::string> organization(std::string_view id) const = 0;
  [[nodiscard]] virtual Result<std::string> member(ByteSpan key_id) const = 0;
  // Log indices of a subject's events, oldest first, from the `from`-th, at most `limit` of them.
  [[nodiscard]] virtual Result<std::vector<std::uint64_t>> history(ByteSpan subject,
                                                                   std::uint64_t from,
                                                                   std::uint32_t limit) const = 0;
  [[nodiscard]] virtual Result<std::string> event(std::uint64_t index) const = 0;  // leaf bytes
  // The receipt of a committed transaction, while its replay protection lasts and after. kNotFound.
  [[nodiscard]] virtual Result<Receipt> transaction(ByteSpan transaction_id) const = 0;
  // `size` 0: the current size.
  [[nodiscard]] virtual Result<InclusionProof> prove_inclusion(std::uint64_t index,
                                                               std::uint64_t size) const = 0;
  [[nodiscard]] virtual Result<std::vector<Digest>> prove_consistency(std::uint64_t from,
                                                                      std::uint64_t to) const = 0;
  // The signed note of the newest block, or of block `height` (0: newest). Before the first block
  // there is one over the empty tree.
  [[nodiscard]] virtual Result<std::string> checkpoint(std::uint64_t height = 0) const = 0;
  // Prometheus text exposition format 0.0.4.
  [[nodiscard]] virtual std::string metrics() const = 0;
};

}  // namespace colophon::node
