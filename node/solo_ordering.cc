// SPDX-License-Identifier: Apache-2.0
#include "node/solo_ordering.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

namespace colophon::node {
namespace {

constexpr std::uint64_t kRecoveryIntervalUs = 1'000'000;

}  // namespace

SoloOrdering::SoloOrdering(const NodeConfig& config, Ledger& ledger, Clock& clock)
    : config_(config), ledger_(ledger), clock_(clock), thread_([this] { run(); }) {}

SoloOrdering::~SoloOrdering() {
  stop();
  thread_.join();
}

void SoloOrdering::stop() {
  {
    const std::scoped_lock guard(mutex_);
    stopping_ = true;
  }
  arrived_.notify_all();
}

void SoloOrdering::submit(std::span<const OrderedTransaction> transactions,
                          std::span<Result<Receipt>*> results) {
  Submission submission;
  std::unique_lock guard(mutex_);
  const std::uint64_t now_us = clock_.monotonic_us();
  const std::size_t before = queue_.size();
  for (std::size_t i = 0; i < transactions.size(); ++i) {
    if (stopping_) {
      *results[i] = make_error(ErrorCode::kUnavailable,
                               "the node is stopping: send the transaction again later", "node");
    } else if (queue_.size() >= config_.queue_transactions_max) {
      *results[i] = make_error(
          ErrorCode::kUnavailable,
          "the queue holds " + std::to_string(config_.queue_transactions_max) +
              " transactions, its limit (queue_transactions_max): send the transaction again later",
          "queue");
    } else if (!pending_.insert(transactions[i].verified.id).second) {
      *results[i] = make_error(ErrorCode::kAlreadyExists,
                               "duplicate: this transaction is already on its way into a block",
                               "transaction");
    } else {
      queue_.push_back({transactions[i], results[i], &submission, now_us});
      ++submission.waiting;
    }
  }
  // The ordering thread sleeps until the first one arrives, then until the block is full.
  const std::size_t full = config_.block_transactions_max;
  if (submission.waiting > 0 && (before == 0 || (before < full && queue_.size() >= full))) {
    arrived_.notify_one();
  }
  submission.done.wait(guard, [&] { return submission.waiting == 0; });
}

std::uint64_t SoloOrdering::queue_depth() const {
  const std::scoped_lock guard(mutex_);
  return queue_.size();
}

void SoloOrdering::wait_for_first(std::unique_lock<std::mutex>& guard) {
  const auto come = [&] { return stopping_ || !queue_.empty(); };
  while (!come()) {
    if (ledger_.failure().empty()) {
      arrived_.wait(guard, come);
    } else {
      clock_.wait(arrived_, guard, kRecoveryIntervalUs);
      if (come()) break;
      guard.unlock();
      ledger_.recover();
      guard.lock();
    }
  }
}

std::vector<SoloOrdering::Entry> SoloOrdering::next_block(std::unique_lock<std::mutex>& guard) {
  wait_for_first(guard);
  if (queue_.empty()) return {};
  const std::uint64_t deadline_us =
      queue_.front().arrived_us + std::uint64_t{config_.block_deadline_ms} * 1000;
  while (!stopping_ && queue_.size() < config_.block_transactions_max) {
    const std::uint64_t now_us = clock_.monotonic_us();
    if (now_us >= deadline_us) break;
    clock_.wait(arrived_, guard, deadline_us - now_us);
  }
  const auto size = std::min<std::size_t>(queue_.size(), config_.block_transactions_max);
  const auto end = queue_.begin() + static_cast<std::ptrdiff_t>(size);
  std::vector<Entry> block(queue_.begin(), end);
  queue_.erase(queue_.begin(), end);
  return block;
}

void SoloOrdering::run() {
  std::vector<OrderedTransaction> transactions;
  std::unique_lock guard(mutex_);
  while (true) {
    std::vector<Entry> block = next_block(guard);
    if (block.empty()) return;
    guard.unlock();
    transactions.clear();
    for (const Entry& entry : block) transactions.push_back(entry.transaction);
    std::vector<Result<Receipt>> results = ledger_.commit(transactions);
    for (std::size_t i = 0; i < block.size(); ++i) *block[i].result = std::move(results[i]);
    guard.lock();
    for (const Entry& entry : block) {
      pending_.erase(entry.transaction.verified.id);
      // Under the lock: the submission is on its caller's stack and gone once the caller sees zero.
      if (--entry.submission->waiting == 0) entry.submission->done.notify_one();
    }
  }
}

}  // namespace colophon::node
