// SPDX-License-Identifier: Apache-2.0
//
// One call on several threads: the same verdicts, no thread for a batch that would not gain by it,
// and typed errors for numbers of threads that are none.
#include "threads.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <new>
#include <set>
#include <thread>
#include <vector>

#include "batch_builder.h"
#include "colophon/key_registry.hpp"
#include "cpu_backend.h"
#include "p256_signer.h"
#include "verifier_on.h"

namespace colophon::test {
namespace {

// Signatures of a few keys, every fifth of another message.
struct Mixed {
  explicit Mixed(std::size_t count) : builder({Scheme::kEcdsaP256Sha256}) {
    for (unsigned d = 1; d <= 11; ++d) made.push_back(P256Signer::with_number(d).sign("threads"));
    for (std::size_t i = 0; i < count; ++i) {
      const SignedMessage& one = made[i * 7 % made.size()];
      const bool valid = i % 5 != 3;
      builder.add(one.key, valid ? one.message : bytes_of("other"), one.signature);
      expected.push_back(valid ? Verdict::kValid : Verdict::kMismatch);
    }
  }
  std::vector<SignedMessage> made;
  BatchBuilder builder;
  std::vector<Verdict> expected;
};

TEST(Threads, VerdictsDoNotDependOnTheirNumber) {
  // `openssl` gives a thread less to do, and is slow.
  const bool has_kernels = backend().table_memory().bytes_max != 0;
  const Mixed mixed(has_kernels ? 8 * 512 + 3 : 600);
  KeyRegistry registry = KeyRegistry::create(backend()).value();
  std::vector<KeyId> id_of_key;
  for (const SignedMessage& one : mixed.made) {
    id_of_key.push_back(registry.add(Scheme::kEcdsaP256Sha256, one.key).value());
  }
  std::vector<KeyId> ids;
  for (std::size_t i = 0; i < mixed.expected.size(); ++i) {
    ids.push_back(id_of_key[i * 7 % id_of_key.size()]);
  }
  for (const unsigned threads : {1U, 2U, 3U, 7U, kThreadsMax}) {
    SCOPED_TRACE(threads);
    VerifyBatch batch = mixed.builder.batch();
    batch.threads = threads;
    std::vector<Verdict> verdicts(mixed.expected.size());
    ASSERT_TRUE(verify_batch(backend(), batch, verdicts).ok());
    EXPECT_EQ(verdicts, mixed.expected);
    batch.public_keys = {};
    batch.key_ids = ids;
    batch.registry = &registry;
    std::fill(verdicts.begin(), verdicts.end(), Verdict::kBadKey);
    ASSERT_TRUE(verify_batch(backend(), batch, verdicts).ok());
    EXPECT_EQ(verdicts, mixed.expected);
  }
}

TEST(Threads, NoneAndTooManyAreErrors) {
  const Mixed mixed(3);
  VerifyBatch batch = mixed.builder.batch();
  for (const unsigned threads : {0U, kThreadsMax + 1, ~0U}) {
    batch.threads = threads;
    std::vector<Verdict> verdicts(3, Verdict::kBadDigest);
    const Result<void> refused = verify_batch(backend(), batch, verdicts);
    ASSERT_FALSE(refused.ok()) << threads;
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(refused.error().field, "threads");
    EXPECT_NE(refused.error().message.find("1 to 256"), std::string::npos)
        << refused.error().message;
    EXPECT_EQ(verdicts, std::vector<Verdict>(3, Verdict::kBadDigest));
  }
}

TEST(RunOnThreads, EachNumberOnceAndTheFirstHere) {
  for (const std::size_t count : {1U, 2U, 9U}) {
    std::vector<std::thread::id> ran(count);
    run_on_threads(count, [&](std::size_t i) { ran[i] = std::this_thread::get_id(); });
    EXPECT_EQ(ran[0], std::this_thread::get_id());
    EXPECT_EQ(std::count(ran.begin(), ran.end(), std::thread::id()), 0);
    EXPECT_EQ(std::count(ran.begin(), ran.end(), ran[0]), 1);
  }
}

TEST(RunOnThreads, WhatOneThrowsIsThrownWhenAllAreDone) {
  for (const std::size_t thrower : {0U, 1U, 4U}) {
    std::atomic<int> done = 0;
    EXPECT_THROW(run_on_threads(5,
                                [&](std::size_t i) {
                                  if (i == thrower) throw std::bad_alloc();
                                  ++done;
                                }),
                 std::bad_alloc);
    EXPECT_EQ(done, 4);
  }
}

TEST(RunOnThreads, ShareOutDoesEachPieceOnce) {
  for (const std::size_t count : {0U, 1U, 2U, 100U}) {
    for (const unsigned threads : {1U, 2U, 7U}) {
      std::vector<std::atomic<int>> done(count);
      EXPECT_TRUE(share_out(count, threads, [&](std::size_t i) -> Result<void> {
                    ++done[i];
                    return {};
                  }).ok());
      for (const std::atomic<int>& times : done) EXPECT_EQ(times, 1);
    }
  }
}

TEST(RunOnThreads, ShareOutEndsWithAnError) {
  for (const unsigned threads : {1U, 3U}) {
    std::atomic<int> done = 0;
    const auto outcome = share_out(1'000'000, threads, [&](std::size_t i) -> Result<void> {
      if (i == 2) return make_error(ErrorCode::kInternal, "the third");
      ++done;
      return {};
    });
    ASSERT_FALSE(outcome.ok());
    EXPECT_EQ(outcome.error().message, "the third");
    EXPECT_EQ(threads == 1 ? done.load() : 2, 2);
  }
}

// --- how a batch is split ------------------------------------------------------------------------

// What reached the kernels, and on which threads.
class Calls {
 public:
  // Waits until calls have come on `threads` threads, or a time that no machine needs has passed.
  void expect_threads(std::size_t threads) {
    const std::scoped_lock lock(mutex_);
    awaited_ = threads;
    threads_.clear();
    counts_.clear();
  }
  void record(std::size_t count) {
    std::unique_lock lock(mutex_);
    counts_.push_back(count);
    threads_.insert(std::this_thread::get_id());
    changed_.notify_all();
    changed_.wait_for(lock, std::chrono::seconds(30),
                      [this] { return threads_.size() >= awaited_; });
  }
  [[nodiscard]] std::set<std::thread::id> threads() {
    const std::scoped_lock lock(mutex_);
    return threads_;
  }
  // Signatures in each call, the largest first.
  [[nodiscard]] std::vector<std::size_t> counts() {
    const std::scoped_lock lock(mutex_);
    std::sort(counts_.begin(), counts_.end(), std::greater<>());
    return counts_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t awaited_ = 0;
  std::set<std::thread::id> threads_;
  std::vector<std::size_t> counts_;
};
Calls calls;

kernels::P256Kernels recording() {
  kernels::P256Kernels recorder = kernels::kP256Portable;
  recorder.verify_unknown = [](const kernels::EcdsaItem*, std::size_t count, const void*, unsigned,
                               std::uint8_t* valid, void*) {
    calls.record(count);
    std::fill_n(valid, count, std::uint8_t{1});
  };
  return recorder;
}

class BatchSplit : public testing::Test {
 protected:
  BatchSplit() : kernels_(recording()), backend_(make_cpu_backend(kernels_, "recorded", false)) {
    EXPECT_TRUE(backend_->set_table_memory_max(0).ok());
  }
  void verify(std::size_t count, unsigned threads, std::size_t threads_expected) {
    const Mixed mixed(count);
    VerifyBatch batch = mixed.builder.batch();
    batch.threads = threads;
    std::vector<Verdict> verdicts(count, Verdict::kBadKey);
    calls.expect_threads(threads_expected);
    ASSERT_TRUE(verify_batch_on(*backend_, batch, verdicts).ok());
    EXPECT_EQ(verdicts, std::vector<Verdict>(count, Verdict::kValid));
  }

  const kernels::P256Kernels kernels_;
  const std::unique_ptr<const BackendImplementation> backend_;
};

TEST_F(BatchSplit, ABatchTooSmallToGainStaysOnTheCallersThread) {
  for (const std::size_t count : {1U, 511U, 512U, 1'023U}) {
    verify(count, kThreadsMax, 1);
    EXPECT_EQ(calls.threads(), std::set{std::this_thread::get_id()}) << count;
    EXPECT_EQ(calls.counts(), std::vector<std::size_t>{count});
  }
  verify(5'000, 1, 1);
  EXPECT_EQ(calls.threads(), std::set{std::this_thread::get_id()});
  EXPECT_EQ(calls.counts(), (std::vector<std::size_t>{4'096, 904}));
}

TEST_F(BatchSplit, ALargeOneUsesTheThreadsItMayAndTheCallersIsOne) {
  struct Case {
    std::size_t count;
    unsigned threads;
    std::vector<std::size_t> pieces;
  };
  const Case cases[] = {{1'024, 2, {512, 512}},
                        {1'024, 256, {512, 512}},
                        {1'537, 2, {769, 768}},
                        {1'537, 8, {513, 513, 511}},
                        {4'097, 8, {513, 513, 513, 513, 513, 513, 513, 506}},
                        {9'000, 2, {4'096, 4'096, 808}}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.count);
    const std::size_t threads = std::min<std::size_t>(c.threads, c.pieces.size());
    verify(c.count, c.threads, threads);
    EXPECT_EQ(calls.threads().size(), threads);
    EXPECT_TRUE(calls.threads().contains(std::this_thread::get_id()));
    EXPECT_EQ(calls.counts(), c.pieces);
  }
}

}  // namespace
}  // namespace colophon::test
