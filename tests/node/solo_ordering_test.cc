// SPDX-License-Identifier: Apache-2.0
//
// Solo ordering over a real ledger: when blocks close, what the queue refuses, and that many
// threads, failures and the end of the node lose and duplicate nothing. The clock stands still
// unless a test moves it.
#include "node/solo_ordering.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "node/intake.h"
#include "node/ledger.h"
#include "node/metrics.h"
#include "tests/node/consortium.h"
#include "tests/node/simulated_disk.h"

namespace colophon::node {
namespace {

using namespace test;  // NOLINT: the tests' own

class SoloOrderingTest : public ::testing::Test {
 protected:
  void start(NodeConfig config) {
    config_ = std::move(config);
    auto ledger = Ledger::open(config_, consortium_.genesis(), backend_, outside_.with(disk_),
                               std::make_unique<LentSigner>(*consortium_.log_key), metrics_);
    ASSERT_TRUE(is_ok(ledger));
    ledger_ = *std::move(ledger);
    ordering_ = std::make_unique<SoloOrdering>(config_, *ledger_, outside_.clock);
  }
  // Blocks of at most `size`, closed when the clock is moved by 10 ms.
  static NodeConfig slow_config(std::uint32_t size, std::uint32_t queue = 1000) {
    NodeConfig config = prompt_config();
    config.block_transactions_max = size;
    config.block_deadline_ms = 10;
    config.queue_transactions_max = queue;
    return config;
  }
  // The founding, as a block of its own.
  void found() {
    auto founding = submitting(consortium_.founding());
    close_blocks_until([&] { return is_done(founding); });
    for (auto& result : founding.get()) ASSERT_TRUE(is_ok(result));
  }

  using Results = std::vector<Result<Receipt>>;
  Results submit(const std::vector<std::string>& transactions) {
    std::vector<OrderedTransaction> ordered;
    for (const std::string& bytes : transactions) {
      const TransactionView view = must(parse_transaction(as_bytes(bytes)));
      ordered.push_back({bytes, {view, transaction_id(consortium_.genesis().chain_id, view)}});
    }
    Results results(transactions.size(), Receipt{});
    std::vector<Result<Receipt>*> slots;
    for (auto& result : results) slots.push_back(&result);
    ordering_->submit(ordered, slots);
    return results;
  }
  std::future<Results> submitting(std::vector<std::string> transactions) {
    return std::async(std::launch::async,
                      [this, sent = std::move(transactions)] { return submit(sent); });
  }
  static bool is_done(const std::future<Results>& future) {
    return future.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }
  template <class Condition>
  static void wait_until(Condition condition) {
    while (!condition()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  template <class Condition>
  void close_blocks_until(Condition condition) {
    wait_until([&] {
      outside_.clock.advance_ms(10);
      return condition();
    });
  }
  std::uint64_t height() const { return ledger_->store().head().height; }

  Consortium consortium_;
  SimulatedDisk disk_;
  TestEnvironment outside_;
  Backend backend_ = must(Backend::choose("openssl"));
  Metrics metrics_;
  NodeConfig config_;
  std::unique_ptr<Ledger> ledger_;
  std::unique_ptr<SoloOrdering> ordering_;
};

TEST_F(SoloOrderingTest, AFullBlockClosesWithoutItsDeadline) {
  start(slow_config(4));
  found();
  auto ten = submitting(consortium_.registrations(10));
  wait_until([&] { return height() == 3; });  // two of four; the clock stands still
  EXPECT_FALSE(is_done(ten));
  EXPECT_EQ(ordering_->queue_depth(), 2u);
  outside_.clock.advance_ms(9);
  std::this_thread::sleep_for(
      std::chrono::milliseconds(50));  // would show a block that closes early
  EXPECT_EQ(height(), 3u);
  outside_.clock.advance_ms(1);
  const Results results = ten.get();
  EXPECT_EQ(height(), 4u);
  for (std::size_t i = 0; i < 10; ++i) {
    ASSERT_TRUE(is_ok(results[i]));
    EXPECT_EQ(results[i]->block_height, 2 + i / 4);
    EXPECT_EQ(results[i]->events, (std::vector<std::uint64_t>{3 + i}));  // in order of arrival
  }
}

TEST_F(SoloOrderingTest, TheDeadlineIsTheFirstOnes) {
  start(slow_config(4));
  found();
  auto first = submitting(consortium_.registrations(1));
  wait_until([&] { return ordering_->queue_depth() == 1; });
  outside_.clock.advance_ms(6);
  auto second = submitting(consortium_.registrations(1));
  wait_until([&] { return ordering_->queue_depth() == 2; });
  outside_.clock.advance_ms(4);
  EXPECT_EQ(first.get()[0]->block_height, 2u);
  EXPECT_EQ(second.get()[0]->block_height, 2u);
}

TEST_F(SoloOrderingTest, WithoutADeadlineNothingWaits) {
  start(prompt_config());
  for (auto& result : submit(consortium_.founding())) EXPECT_TRUE(is_ok(result));
  EXPECT_TRUE(is_ok(submit(consortium_.registrations(1))[0]));
}

TEST_F(SoloOrderingTest, AFullQueueRefusesTheRestAndNamesTheLimit) {
  start(slow_config(100, 3));
  found();
  auto five = submitting(consortium_.registrations(5));
  wait_until([&] { return ordering_->queue_depth() == 3; });
  const auto sixth = submit(consortium_.registrations(1));
  EXPECT_EQ(refusal(sixth[0]), (Refusal{ErrorCode::kUnavailable, "queue"}));
  EXPECT_NE(sixth[0].error().message.find("holds 3 transactions"), std::string::npos);
  outside_.clock.advance_ms(10);
  const Results results = five.get();
  for (std::size_t i = 0; i < 5; ++i) {
    if (i < 3) {
      EXPECT_TRUE(is_ok(results[i]));
    } else {
      EXPECT_EQ(refusal(results[i]), (Refusal{ErrorCode::kUnavailable, "queue"}));
    }
  }
  EXPECT_EQ(ordering_->queue_depth(), 0u);
  auto after = submitting(consortium_.registrations(3));
  close_blocks_until([&] { return is_done(after); });
  for (auto& result : after.get()) EXPECT_TRUE(is_ok(result));
}

TEST_F(SoloOrderingTest, RefusesASecondOfTheSameUntilTheFirstIsDone) {
  start(slow_config(100));
  found();
  const std::string transaction = consortium_.registration();
  auto first = submitting({transaction});
  wait_until([&] { return ordering_->queue_depth() == 1; });
  const auto second = submit({transaction});
  EXPECT_EQ(refusal(second[0]), (Refusal{ErrorCode::kAlreadyExists, "transaction"}));
  EXPECT_NE(second[0].error().message.find("on its way"), std::string::npos);
  outside_.clock.advance_ms(10);
  EXPECT_TRUE(is_ok(first.get()[0]));
  // Then the state machine knows it, intake or not.
  auto third = submitting({transaction});
  close_blocks_until([&] { return is_done(third); });
  const Results refused = third.get();
  EXPECT_EQ(refusal(refused[0]), (Refusal{ErrorCode::kAlreadyExists, "transaction"}));
  EXPECT_NE(refused[0].error().message.find("replay"), std::string::npos);
  EXPECT_EQ(height(), 2u);
}

TEST_F(SoloOrderingTest, AnOutcomeIsToldOnceABlockFailedAndItCanBeSentAgain) {
  start(slow_config(100));
  found();
  const std::string transaction = consortium_.registration();
  consortium_.log_key->set_failing(true);
  auto first = submitting({transaction});
  close_blocks_until([&] { return is_done(first); });
  EXPECT_EQ(refusal(first.get()[0]), (Refusal{ErrorCode::kUnavailable, "key"}));
  EXPECT_NE(ledger_->failure(), "");
  consortium_.log_key->set_failing(false);
  auto again = submitting({transaction});
  close_blocks_until([&] { return is_done(again); });
  EXPECT_TRUE(is_ok(again.get()[0]));
  EXPECT_EQ(ledger_->failure(), "");
}

TEST_F(SoloOrderingTest, StoppingCommitsWhatWaitsAndRefusesWhatComes) {
  start(slow_config(100));
  found();
  std::vector<std::future<Results>> waiting;
  for (int i = 0; i < 8; ++i) waiting.push_back(submitting(consortium_.registrations(2)));
  wait_until([&] { return ordering_->queue_depth() == 16; });
  ordering_->stop();
  for (auto& one : waiting) {
    for (auto& result : one.get()) EXPECT_TRUE(is_ok(result));
  }
  const auto late = submit(consortium_.registrations(1));
  EXPECT_EQ(refusal(late[0]), (Refusal{ErrorCode::kUnavailable, "node"}));
  ordering_->stop();  // twice is once
  ordering_.reset();
  EXPECT_EQ(ledger_->store().head().log_size, 3u + 16u);
}

TEST_F(SoloOrderingTest, StoppingWhileTheDiskFailsTellsEveryone) {
  start(slow_config(100));
  found();
  disk_.set_space(0);
  std::vector<std::future<Results>> waiting;
  for (int i = 0; i < 4; ++i) waiting.push_back(submitting(consortium_.registrations(2)));
  wait_until([&] { return ordering_->queue_depth() == 8; });
  ordering_->stop();
  for (auto& one : waiting) {
    for (auto& result : one.get()) EXPECT_EQ(refusal(result), (Refusal{ErrorCode::kIo, "data"}));
  }
}

// --- many threads --------------------------------------------------------------------------------

// Submitters, readers and a disk that fails and mends under them: what is acknowledged is there,
// once.
TEST(NodeThreads, LoseAndDuplicateNothing) {
  constexpr std::size_t kSubmitters = 6;
  constexpr std::size_t kCalls = 12;
  Consortium consortium;
  SimulatedDisk disk;
  TestEnvironment outside;
  NodeConfig config = prompt_config();
  config.block_transactions_max = 7;
  auto node = must(open_node(consortium, outside.with(disk), config));
  submit_all(*node, consortium.founding());
  std::vector<std::vector<std::string>> sent(kSubmitters);
  for (auto& transactions : sent) transactions = consortium.registrations(3 * kCalls);

  std::atomic<bool> done = false;
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      while (!done) {
        const NodeStatus status = node->status();
        if (status.log_size == 0) continue;
        const auto proof = node->prove_inclusion(status.log_size - 1, status.log_size);
        if (!proof) {
          EXPECT_EQ(proof.error().code, ErrorCode::kIo) << proof.error().message;
        }
        const auto note = node->checkpoint(status.height);
        if (!note) {
          EXPECT_EQ(note.error().code, ErrorCode::kIo) << note.error().message;
        }
        EXPECT_FALSE(node->metrics().empty());
      }
    });
  }
  std::thread saboteur([&] {
    for (std::uint64_t i = 0; !done; ++i) {
      disk.fail_operation(5 + i % 9, /*once=*/true);
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  });
  std::vector<std::vector<Receipt>> acknowledged(kSubmitters);
  std::vector<std::thread> submitters;
  for (std::size_t s = 0; s < kSubmitters; ++s) {
    submitters.emplace_back([&, s] {
      for (std::size_t call = 0; call < kCalls; ++call) {
        const auto first = sent[s].begin() + static_cast<std::ptrdiff_t>(3 * call);
        for (auto& result : node->submit(views({first, first + 3}))) {
          if (result) {
            acknowledged[s].push_back(*std::move(result));
          } else {
            EXPECT_EQ(result.error().code, ErrorCode::kIo) << result.error().message;
          }
        }
      }
    });
  }
  for (std::thread& thread : submitters) thread.join();
  done = true;
  saboteur.join();
  for (std::thread& thread : readers) thread.join();
  disk.mend();

  std::set<std::uint64_t> events;
  std::size_t receipts = 0;
  for (const auto& some : acknowledged) {
    expect_committed(*node, some);
    for (const Receipt& receipt : some) {
      ASSERT_EQ(receipt.events.size(), 1u);
      events.insert(receipt.events[0]);
      ++receipts;
    }
  }
  EXPECT_GT(receipts, 0u);
  EXPECT_EQ(events.size(), receipts);
  // Whatever was refused goes in now or is in already.
  for (const auto& transactions : sent) {
    for (auto& result : node->submit(views(transactions))) {
      if (!result) {
        EXPECT_EQ(result.error().code, ErrorCode::kAlreadyExists);
      }
    }
  }
  EXPECT_EQ(node->status().log_size, 3 + 3 * kSubmitters * kCalls);
  node.reset();
  expect_clean(consortium, outside.with(disk));
}

}  // namespace
}  // namespace colophon::node
