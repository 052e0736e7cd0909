// SPDX-License-Identifier: Apache-2.0
//
// Tables of several keys built together: which, how wide, and that the budget holds meanwhile.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "p256_tables.h"
#include "pretended_keys.h"

namespace colophon::test {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

// Builds eight together, and says what it was asked for.
class EightAtOnce final : public P256TableMaker {
 public:
  [[nodiscard]] std::size_t table_bytes(unsigned bits) const override {
    return pretended_table_bytes(bits);
  }
  [[nodiscard]] std::size_t build_bytes(unsigned /*bits*/) const override { return 0; }
  [[nodiscard]] std::size_t at_once() const override { return 8; }
  void make(std::span<P256Build> builds, unsigned bits) const noexcept override {
    const std::scoped_lock guard(mutex);
    asked.emplace_back(builds.size(), bits);
    for (P256Build& build : builds) {
      if (memory_for == 0) return;
      --memory_for;
      build.memory = std::make_shared<std::array<std::uint8_t, 64>>();
      if (build.point != nullptr) std::memcpy(build.memory.get(), build.point, 64);
    }
  }
  mutable std::vector<std::pair<std::size_t, unsigned>> asked;
  mutable std::size_t memory_for = ~std::size_t{0};  // so many tables
  mutable std::mutex mutex;
};
using Asked = std::vector<std::pair<std::size_t, unsigned>>;

class P256TablesAtOnce : public testing::Test {
 protected:
  // Keys by their numbers, each with its uses.
  using Batch = std::vector<std::pair<std::uint32_t, std::uint64_t>>;

  // The tables of a batch's keys, each seen to be the key's.
  std::vector<P256TablePtr> acquire(const Batch& batch) {
    std::vector<PublicKey> keys;
    for (const auto& [number, uses] : batch) keys.push_back(key_number(number));
    std::vector<P256KeyUse> uses;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const auto enrolled = handles_.find(batch[i].first);
      uses.push_back({&keys[i], enrolled == handles_.end() ? nullptr : enrolled->second.get(),
                      batch[i].second});
    }
    std::vector<P256TablePtr> tables(batch.size());
    tables_.acquire(uses, tables);
    for (std::size_t i = 0; i < tables.size(); ++i) {
      if (!tables[i]) continue;
      EXPECT_EQ(std::memcmp(tables[i]->memory.get(), keys[i].bytes.data(), 64), 0) << i;
    }
    return tables;
  }
  // Window bits for each key of a batch.
  std::vector<unsigned> use(const Batch& batch) {
    const std::vector<P256TablePtr> tables = acquire(batch);
    EXPECT_LE(tables_.memory().bytes, tables_.memory().bytes_max);
    std::vector<unsigned> bits;
    for (const P256TablePtr& table : tables) bits.push_back(table ? table->bits : 0);
    maker_.asked.swap(asked_);
    maker_.asked.clear();
    return bits;
  }
  std::vector<unsigned> use_each(std::uint32_t count, std::uint64_t uses) {
    Batch batch;
    for (std::uint32_t i = 0; i < count; ++i) batch.emplace_back(i, uses);
    return use(batch);
  }
  void enrol(std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) handles_[i] = tables_.enrol(key_number(i));
  }

  EightAtOnce maker_;
  P256Tables tables_{maker_, 64 * kMiB};
  std::map<std::uint32_t, std::unique_ptr<PreparedKey>> handles_;
  Asked asked_;  // for the last batch
};

TEST_F(P256TablesAtOnce, TheTablesOfABatchAreBuiltTogether) {
  enrol(20);
  EXPECT_EQ(use_each(20, 16), std::vector<unsigned>(20, 5));
  EXPECT_EQ(asked_, (Asked{{8, 5}, {8, 5}, {4, 5}}));
  EXPECT_EQ(use_each(20, 1), std::vector<unsigned>(20, 5));
  EXPECT_EQ(asked_, Asked{});
  EXPECT_EQ(tables_.memory().tables, 20U);
  // Each by its own use; strangers by theirs.
  EXPECT_EQ(use({{0, 50}, {1, 1}, {2, 500}, {100, 256}, {101, 255}, {3, 50}}),
            (std::vector<unsigned>{8, 5, 10, 8, 0, 8}));
  EXPECT_EQ(asked_, (Asked{{3, 8}, {1, 10}}));
}

TEST_F(P256TablesAtOnce, AsManyAsThereIsRoomFor) {
  tables_.set_memory_max(kMiB);
  enrol(40);
  std::vector<unsigned> bits = use_each(40, 16);
  EXPECT_EQ(std::count(bits.begin(), bits.end(), 5U), 19);
  EXPECT_EQ(std::count(bits.begin(), bits.end(), 0U), 21);
}

// Not the first ones all that there is.
TEST_F(P256TablesAtOnce, EachWhatItHasAShareFor) {
  tables_.set_memory_max(kMiB);
  enrol(4);
  EXPECT_EQ(use_each(4, 512), std::vector<unsigned>(4, 8));
  EXPECT_EQ(asked_, (Asked{{4, 8}}));
  EXPECT_EQ(tables_.memory().bytes, kMiB);
  handles_.clear();
  enrol(1);
  EXPECT_EQ(use_each(1, 512), std::vector<unsigned>{10});
}

// Though the batch itself has its key.
TEST_F(P256TablesAtOnce, ATableWiderThanItsKeysShareMakesRoom) {
  tables_.set_memory_max(kMiB);
  enrol(4);
  EXPECT_EQ(use({{0, 512}}), std::vector<unsigned>{10});
  EXPECT_EQ(use_each(4, 64), (std::vector<unsigned>{0, 8, 8, 8}));
  EXPECT_EQ(use_each(4, 64), std::vector<unsigned>(4, 8));
}

// The narrower ones are there until the wider ones are, but have no room to themselves.
TEST_F(P256TablesAtOnce, TheyTakeThePlaceOfNarrowerOnesWithinTheBudget) {
  tables_.set_memory_max(4 * pretended_table_bytes(8));
  enrol(4);
  EXPECT_EQ(use_each(4, 16), std::vector<unsigned>(4, 5));
  EXPECT_EQ(use_each(4, 48), std::vector<unsigned>(4, 8));
  // A sixteenth of the budget at a time is there twice, and what went beyond it.
  EXPECT_EQ(asked_, (Asked{{2, 8}, {2, 8}}));
  EXPECT_EQ(tables_.memory().bytes, 4 * pretended_table_bytes(8));
}

TEST_F(P256TablesAtOnce, WhereMemoryEndsTheRestDoesWithout) {
  enrol(12);
  maker_.memory_for = 10;
  std::vector<unsigned> bits = use_each(12, 16);
  EXPECT_EQ(std::count(bits.begin(), bits.end(), 5U), 10);
  EXPECT_EQ(tables_.memory().tables, 10U);
  EXPECT_EQ(tables_.memory().bytes, 10 * pretended_table_bytes(5));
  maker_.memory_for = 10;
  bits = use_each(12, 1);
  EXPECT_EQ(asked_, Asked{}) << "not tried again at once";
  // What a key had stays where there is no memory for a wider one.
  maker_.memory_for = 0;
  bits = use_each(10, 48);
  EXPECT_EQ(bits, std::vector<unsigned>(10, 5));
  EXPECT_EQ(tables_.memory().bytes, 10 * pretended_table_bytes(5));
}

TEST_F(P256TablesAtOnce, AKeyThatComesTwiceIsBuiltOnce) {
  EXPECT_EQ(use({{1, 256}, {1, 1}}), (std::vector<unsigned>{8, 8}));
  EXPECT_EQ(asked_, (Asked{{1, 8}}));
  EXPECT_EQ(use({{1, 1}, {1, 1}}), (std::vector<unsigned>{8, 8}));
}

// Keys come and go, and the limit moves, while batches of many are built.
TEST_F(P256TablesAtOnce, ThreadsKeepWithinTheBudgetAndLoseCountOfNothing) {
  tables_.set_memory_max(2 * kMiB);
  enrol(30);
  std::vector<std::thread> threads;
  for (std::uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint32_t round = 0; round < 200; ++round) {
        Batch batch;
        for (std::uint32_t i = 0; i < 12; ++i) batch.emplace_back((7 * t + round + i) % 40, 40);
        (void)acquire(batch);
        if (t == 0) tables_.set_memory_max(round % 3 == 0 ? kMiB / 2 : 2 * kMiB);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(tables_.memory().bytes, 2 * kMiB);
  tables_.set_memory_max(0);
  EXPECT_EQ(tables_.memory().bytes, 0U);
  // As at the start: nothing is taken for another's that is not there any more.
  handles_.clear();
  tables_.set_memory_max(kMiB);
  enrol(1);
  EXPECT_EQ(use_each(1, 512), std::vector<unsigned>{10});
}

}  // namespace
}  // namespace colophon::test
