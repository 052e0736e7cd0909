// SPDX-License-Identifier: Apache-2.0
//
// Ordering "solo": this process alone decides the order, which is that of arrival. It tolerates no
// fault of the machine it runs on. One thread closes blocks by size or deadline and has the ledger
// commit them; while one block is being written the next one gathers. After a failure it has the
// ledger try again now and then, with or without transactions.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <span>
#include <thread>
#include <unordered_set>
#include <vector>

#include "colophon/error.hpp"
#include "colophon/hash.hpp"
#include "node/environment.h"
#include "node/ledger.h"
#include "node/node.h"

namespace colophon::node {

// Transaction ids are SHA-256 values: any 8 of their bytes are a good hash.
struct DigestHash {
  std::size_t operator()(const Digest& digest) const noexcept {
    std::size_t hash = 0;
    for (std::size_t i = 0; i < sizeof hash; ++i) hash = hash << 8 | digest[i];
    return hash;
  }
};

class SoloOrdering {
 public:
  // References are kept.
  SoloOrdering(const NodeConfig& config, Ledger& ledger, Clock& clock);
  // As stop(). Every submit() must have returned.
  ~SoloOrdering();
  SoloOrdering(const SoloOrdering&) = delete;
  SoloOrdering& operator=(const SoloOrdering&) = delete;

  // Queues transactions and returns when each is durable or refused; results[i] is of
  // transactions[i]. The bytes must stay unchanged until then. Errors besides the ledger's:
  // kUnavailable (queue full, stopping), kAlreadyExists (the same transaction is queued).
  void submit(std::span<const OrderedTransaction> transactions,
              std::span<Result<Receipt>*> results);

  // Has what is queued committed at once, and everything after it refused. Returns without waiting.
  void stop();

  [[nodiscard]] std::uint64_t queue_depth() const;

 private:
  struct Submission {  // one submit() call
    std::size_t waiting = 0;
    std::condition_variable done;
  };
  struct Entry {
    OrderedTransaction transaction;
    Result<Receipt>* result;
    Submission* submission;
    std::uint64_t arrived_us;
  };

  void run();
  // Waits for a block's worth; empty: stopping and nothing is left.
  std::vector<Entry> next_block(std::unique_lock<std::mutex>& guard);
  void wait_for_first(std::unique_lock<std::mutex>& guard);

  const NodeConfig& config_;
  Ledger& ledger_;
  Clock& clock_;

  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<Entry> queue_;
  std::unordered_set<Digest, DigestHash> pending_;  // in the queue or in the block being made
  bool stopping_ = false;
  std::thread thread_;  // last: uses all of the above
};

}  // namespace colophon::node
