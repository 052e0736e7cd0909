// SPDX-License-Identifier: Apache-2.0
//
// Which keys have a table, how wide, and that the budget holds; then the same under threads, with
// real signatures.
#include "p256_tables.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "batch_builder.h"
#include "cpu_backend.h"
#include "kernels/cpu.h"
#include "key_registry_storage.h"
#include "p256_signer.h"
#include "pretended_keys.h"
#include "verifier_on.h"

namespace colophon::test {
namespace {

// --- the cache alone, over kernels that only pretend ---------------------------------------------

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::size_t kImpossible = std::size_t{1} << 62;  // no machine has that much

std::atomic<unsigned> impossible_bits = 99;  // tables of so many bits are that large
std::atomic<std::size_t> build_memory = 4096;
std::function<void(const std::uint8_t* point, unsigned bits)> while_building;

std::size_t table_bytes(unsigned bits) {
  return bits >= impossible_bits ? kImpossible : pretended_table_bytes(bits);
}

const kernels::P256Kernels kPretended = {
    "pretended",
    1,
    24,
    table_bytes,
    [](unsigned) { return build_memory.load(); },
    [](const std::uint8_t* point, unsigned bits, void* table, void*) {
      if (while_building) while_building(point, bits);
      if (point != nullptr) std::memcpy(table, point, 64);
    },
    [](std::size_t) { return std::size_t{4096}; },
    nullptr,
    nullptr};

class P256TablesTest : public testing::Test {
 protected:
  void SetUp() override {
    impossible_bits = 99;
    build_memory = 4096;
    while_building = nullptr;
  }
  void TearDown() override { SetUp(); }

  struct Enrolled {
    PublicKey key;
    std::unique_ptr<PreparedKey> handle;
  };
  Enrolled enrol(std::uint32_t number) {
    return {key_number(number), tables_.enrol(key_number(number))};
  }
  // A batch with `uses` signatures of one key.
  P256TablePtr acquire(const PublicKey& key, const PreparedKey* prepared, std::uint64_t uses) {
    const P256KeyUse use{&key, prepared, uses};
    P256TablePtr table;
    tables_.acquire({&use, 1}, {&table, 1});
    return table;
  }
  // Window bits of the table that it gets; 0: none.
  unsigned use(const Enrolled& key, std::uint64_t uses) {
    return bits_of(acquire(key.key, key.handle.get(), uses), key.key);
  }
  unsigned use_stranger(std::uint32_t number, std::uint64_t uses) {
    return bits_of(acquire(key_number(number), nullptr, uses), key_number(number));
  }
  static unsigned bits_of(const P256TablePtr& table, const PublicKey& key) {
    if (!table) return 0;
    EXPECT_EQ(std::memcmp(table->memory.get(), key.bytes.data(), 64), 0) << "another key's table";
    return table->bits;
  }

  P256CpuTableMaker maker_{kPretended};
  P256Tables tables_{maker_, table_memory_default()};
};

TEST_F(P256TablesTest, AnEnrolledKeysTableGrowsWithItsUse) {
  tables_.set_memory_max(64 * kMiB);
  const Enrolled key = enrol(1);
  EXPECT_EQ(use(key, 15), 0U);
  EXPECT_EQ(tables_.memory().tables, 0U);
  std::uint64_t used = 15;
  unsigned before = 0;
  for (const auto& [uses, bits] : {std::pair{16U, 5U},
                                   {64U, 8U},
                                   {512U, 10U},
                                   {8'192U, 13U},
                                   {65'536U, 16U},
                                   {1'000'000U, 16U}}) {
    EXPECT_EQ(use(key, uses - used - 1), before);
    EXPECT_EQ(use(key, 1), bits);
    used = uses;
    before = bits;
    EXPECT_EQ(tables_.memory().tables, 1U);
    EXPECT_EQ(tables_.memory().bytes, resident_bytes(table_bytes(bits)));
  }
}

TEST_F(P256TablesTest, TheGeneratorsTableGrowsWithAllUse) {
  EXPECT_EQ(tables_.generator(1).value()->bits, 8U);
  EXPECT_EQ(tables_.generator(63).value()->bits, 10U);
  EXPECT_EQ(tables_.generator(960).value()->bits, 13U);
  EXPECT_EQ(tables_.generator(8192).value()->bits, 16U);
  EXPECT_EQ(tables_.generator(1).value()->bits, 16U);
  EXPECT_EQ(tables_.memory().bytes, 0U);
}

// The widest that every enrolled key at work could have, and the narrowest for as many as fit.
TEST_F(P256TablesTest, TheBudgetBoundsTheWidths) {
  const std::pair<std::size_t, unsigned> widest_of_keys[] = {{1, 10}, {2, 8},  {4, 8},
                                                             {5, 5},  {19, 5}, {20, 0}};
  tables_.set_memory_max(kMiB);
  std::vector<Enrolled> keys;
  for (const auto& [count, bits] : widest_of_keys) {
    while (keys.size() < count) keys.push_back(enrol(static_cast<std::uint32_t>(keys.size())));
    // A key that has no table yet: one it had would stay.
    const Enrolled fresh = std::move(keys.back());
    keys.pop_back();
    for (const Enrolled& key : keys) {
      const bool is_new = use(key, 1) == 0;
      EXPECT_EQ(use(key, is_new ? 15 : 1), 5U) << count;
    }
    EXPECT_EQ(use(fresh, 100'000), bits) << count;
    EXPECT_LE(tables_.memory().bytes, kMiB);
  }
  keys.clear();
  EXPECT_EQ(tables_.memory().bytes, 0U);
  tables_.set_memory_max(64 * kMiB);
  const Enrolled alone = enrol(77);
  EXPECT_EQ(use(alone, 1'000'000), 16U);
}

TEST_F(P256TablesTest, KeysThatAreEnrolledAndNotUsedTakeNoShare) {
  tables_.set_memory_max(kMiB);
  std::vector<Enrolled> idle;
  for (std::uint32_t i = 0; i < 10'000; ++i) idle.push_back(enrol(i));
  std::vector<Enrolled> hot;
  for (std::uint32_t i = 0; i < 4; ++i) hot.push_back(enrol(1'000'000 + i));
  for (const Enrolled& key : hot) EXPECT_EQ(use(key, 64), 8U);
  EXPECT_EQ(tables_.memory().tables, 4U);
}

TEST_F(P256TablesTest, AKeyNotUsedForLongMakesRoom) {
  tables_.set_memory_max(kMiB);
  std::vector<Enrolled> old;
  for (std::uint32_t i = 0; i < 19; ++i) old.push_back(enrol(i));
  for (const Enrolled& key : old) EXPECT_EQ(use(key, 16), 5U);
  const Enrolled hot = enrol(100);
  EXPECT_EQ(use(hot, P256Tables::kIdleUses / 2), 0U);  // the others are at work still
  EXPECT_EQ(tables_.memory().tables, 19U);
  EXPECT_EQ(use(old[0], 1), 5U);
  unsigned bits = 0;
  for (int i = 0; i < 19; ++i) {
    EXPECT_EQ(use(old[0], 1), 5U);
    bits = use(hot, P256Tables::kIdleUses / 8);
  }
  EXPECT_EQ(bits, 8U);  // with one other at work, half of the budget is its own
  EXPECT_LE(tables_.memory().bytes, kMiB);
  EXPECT_EQ(use(old[0], 1), 5U);
}

// Tables would be built in turns and never used.
TEST_F(P256TablesTest, MoreKeysAtWorkThanThereIsRoomForDoNotDriveEachOtherOut) {
  tables_.set_memory_max(kMiB);
  int built = 0;
  while_building = [&built](const std::uint8_t*, unsigned) { ++built; };
  std::vector<Enrolled> keys;
  for (std::uint32_t i = 0; i < 40; ++i) keys.push_back(enrol(i));
  for (int round = 0; round < 100; ++round) {
    for (const Enrolled& key : keys) use(key, 16);
  }
  EXPECT_EQ(built, 19);
  EXPECT_EQ(tables_.memory().tables, 19U);
}

TEST_F(P256TablesTest, ATableWiderThanItsKeysShareMakesRoom) {
  tables_.set_memory_max(kMiB);
  const Enrolled first = enrol(1);
  const Enrolled second = enrol(2);
  EXPECT_EQ(use(first, 1'000), 10U);
  EXPECT_EQ(use(second, 1'000), 8U);
  EXPECT_EQ(use(first, 64), 8U);
  EXPECT_EQ(tables_.memory().bytes, 2 * table_bytes(8));
}

// --- memory --------------------------------------------------------------------------------------

// Of the whole pages at `address`, those that are in memory: not the process's, of which sanitizers
// take a part of their own.
std::size_t resident_of(const void* address, std::size_t bytes) {
  std::vector<unsigned char> pages(bytes / 4096);
  EXPECT_EQ(mincore(const_cast<void*>(address), bytes, pages.data()), 0);
  std::size_t resident = 0;
  for (const unsigned char page : pages) resident += (page & 1U) * 4096;
  return resident;
}

// Of the mapping that holds `address`, as the system sees it: "hg" wants huge pages, "nh" refuses.
std::string flags_of(const void* address) {
  std::ifstream maps("/proc/self/smaps");
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  bool is_it = false;
  for (std::string line; std::getline(maps, line);) {
    unsigned long from = 0;
    unsigned long to = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &from, &to) == 2) {
      is_it = from <= wanted && wanted < to;
    } else if (is_it && line.rfind("VmFlags:", 0) == 0) {
      return line + ' ';
    }
  }
  return "";
}

TEST(TableSlabs, WhatIsGivenBackGoesBackToTheSystemAndIsNotFilledUpAgain) {
  constexpr std::size_t kBytes = 53'248;
  constexpr std::size_t kCount = 5 * (16 * kMiB / kBytes);  // whole regions
  TableSlabs slabs;
  std::vector<std::shared_ptr<void>> tables;
  for (std::size_t i = 0; i < kCount; ++i) {
    tables.push_back(slabs.take(kBytes).value());
    std::memset(tables.back().get(), 1, kBytes);
  }
  EXPECT_NE(flags_of(tables[0].get()).find(" hg "), std::string::npos);
  std::vector<const void*> addresses;
  std::size_t resident = 0;
  for (const auto& table : tables) {
    addresses.push_back(table.get());
    resident += resident_of(table.get(), kBytes);
  }
  EXPECT_EQ(resident, kCount * kBytes);
  std::vector<std::shared_ptr<void>> kept;
  for (std::size_t i = 0; i < kCount; i += 40) kept.push_back(tables[i]);
  tables.clear();
  resident = 0;
  for (const void* address : addresses) resident += resident_of(address, kBytes);
  EXPECT_EQ(resident, kept.size() * kBytes);
  for (const auto& table : kept) {
    EXPECT_NE(flags_of(table.get()).find(" nh "), std::string::npos);
    EXPECT_EQ(static_cast<const std::uint8_t*>(table.get())[kBytes - 1], 1);
  }
  // Full again, a region is of huge pages again.
  for (std::size_t i = kept.size(); i < kCount; ++i) tables.push_back(slabs.take(kBytes).value());
  EXPECT_NE(flags_of(kept[0].get()).find(" hg "), std::string::npos);
}

TEST(TableSlabs, WholePagesAreCounted) {
  EXPECT_EQ(resident_bytes(1), 4'096U);
  EXPECT_EQ(resident_bytes(53'248), 53'248U);
  EXPECT_EQ(resident_bytes(851'968), 851'968U);
  EXPECT_EQ(resident_bytes(5'242'880), 6 * kMiB);
  EXPECT_EQ(resident_bytes(33'554'432), 32 * kMiB);
}

// --- who makes room ------------------------------------------------------------------------------

// Both together would be over the budget.
TEST_F(P256TablesTest, AWiderTableTakesThePlaceOfTheNarrower) {
  tables_.set_memory_max(kMiB);
  const Enrolled key = enrol(1);
  EXPECT_EQ(use(key, 64), 8U);
  EXPECT_EQ(use(key, 512), 10U);
  EXPECT_EQ(tables_.memory().bytes, table_bytes(10));
}

TEST_F(P256TablesTest, TheTableUsedLongestAgoGoesFirst) {
  tables_.set_memory_max(kMiB);
  std::vector<Enrolled> keys;
  for (std::uint32_t i = 0; i < 4; ++i) keys.push_back(enrol(i));
  for (const Enrolled& key : keys) EXPECT_EQ(use(key, 64), 8U);
  EXPECT_EQ(tables_.memory().bytes, kMiB);  // full
  EXPECT_EQ(use(keys[0], 1), 8U);           // so that the second is the one
  keys.push_back(enrol(4));
  EXPECT_EQ(use(keys[4], 16), 5U);
  EXPECT_EQ(tables_.memory().tables, 4U);
  EXPECT_LE(tables_.memory().bytes, kMiB);
  EXPECT_EQ(use(keys[0], 1), 8U);
  EXPECT_EQ(use(keys[2], 1), 8U);
  EXPECT_EQ(use(keys[3], 1), 8U);
  EXPECT_EQ(use(keys[1], 1), 0U);
  EXPECT_EQ(use(keys[1], 14), 0U);
  EXPECT_EQ(use(keys[1], 1), 5U);  // earned again, narrower
}

TEST_F(P256TablesTest, AKeyThatComesOftenGetsOneWithoutBeingEnrolled) {
  EXPECT_EQ(use_stranger(1, P256Tables::kPromotionUses - 1), 0U);
  EXPECT_EQ(use_stranger(2, 1), 0U);
  EXPECT_EQ(use_stranger(1, 1), 8U);
  EXPECT_EQ(use_stranger(2, 1), 0U);
  EXPECT_EQ(use_stranger(1, 256), 10U);
  EXPECT_EQ(tables_.memory().tables, 1U);
}

TEST_F(P256TablesTest, StrangersAreBoundedAndTheOneSeenLongestAgoIsForgotten) {
  constexpr auto kMax = static_cast<std::uint32_t>(P256Tables::kStrangersMax);
  for (const bool one_too_many : {false, true}) {
    const std::uint32_t often = one_too_many ? 5'000'000 : 1'000'000;
    EXPECT_EQ(use_stranger(often, P256Tables::kPromotionUses - 1), 0U);
    // As common as the first, all of them.
    const std::uint32_t others = one_too_many ? kMax : kMax - 1;
    for (std::uint32_t i = 0; i < others; ++i) {
      EXPECT_EQ(use_stranger(often + 1'000'000 + i, P256Tables::kPromotionUses - 1), 0U);
    }
    EXPECT_EQ(use_stranger(often, 1), one_too_many ? 0U : 8U);
  }
  // One that has a table is not forgotten for keys seen once.
  for (std::uint32_t i = 0; i < 2 * kMax; ++i) EXPECT_EQ(use_stranger(2'000'000 + i, 1), 0U);
  EXPECT_EQ(use_stranger(1'000'000, 1), 8U);
}

TEST_F(P256TablesTest, AHandfulOfCommonStrangersOutlastsAnyNumberSeenOnce) {
  constexpr auto kMany = static_cast<std::uint32_t>(3 * P256Tables::kStrangersMax);
  for (std::uint32_t i = 0; i < 7; ++i) EXPECT_EQ(use_stranger(i, 200), 0U);
  for (std::uint32_t i = 0; i < kMany; ++i) EXPECT_EQ(use_stranger(100 + i, 1), 0U);
  for (std::uint32_t i = 0; i < 7; ++i) EXPECT_EQ(use_stranger(i, 56), 8U);
}

TEST_F(P256TablesTest, NoStrangerTakesTheRoomOfAnEnrolledKey) {
  tables_.set_memory_max(kMiB);
  std::vector<Enrolled> keys;
  for (std::uint32_t i = 0; i < 3; ++i) keys.push_back(enrol(i));
  for (const Enrolled& key : keys) EXPECT_EQ(use(key, 64), 8U);
  // Room for one more of 256 KiB, which strangers may have from each other only.
  EXPECT_EQ(use_stranger(100, 256), 8U);
  EXPECT_EQ(use_stranger(101, 256), 8U);
  EXPECT_EQ(use_stranger(100, 1), 0U);
  EXPECT_EQ(tables_.memory().bytes, kMiB);
  for (const Enrolled& key : keys) EXPECT_EQ(use(key, 1), 8U);
  // An enrolled key takes it back.
  keys.push_back(enrol(3));
  EXPECT_EQ(use(keys[3], 64), 8U);
  EXPECT_EQ(use_stranger(101, 1), 0U);
  EXPECT_EQ(use_stranger(102, 100'000), 0U);
  for (const Enrolled& key : keys) EXPECT_EQ(use(key, 1), 8U);
  EXPECT_EQ(tables_.memory().bytes, kMiB);
}

TEST_F(P256TablesTest, RemovalReleasesMemoryOnceNoBatchUsesIt) {
  std::optional<Enrolled> key = enrol(1);
  P256TablePtr in_use = acquire(key->key, key->handle.get(), 64);
  ASSERT_TRUE(in_use);
  key.reset();
  EXPECT_EQ(tables_.memory().tables, 0U);
  EXPECT_EQ(tables_.memory().bytes, table_bytes(8));  // counted while it is there
  EXPECT_EQ(bits_of(in_use, key_number(1)), 8U);      // and readable
  in_use.reset();
  EXPECT_EQ(tables_.memory().bytes, 0U);
  // The same key enrolled anew begins anew.
  const Enrolled again = enrol(1);
  EXPECT_EQ(use(again, 15), 0U);
}

TEST_F(P256TablesTest, ALowerLimitTakesEffectAtOnce) {
  std::vector<Enrolled> keys;
  for (std::uint32_t i = 0; i < 8; ++i) keys.push_back(enrol(i));
  for (const Enrolled& key : keys) EXPECT_EQ(use(key, 64), 8U);
  EXPECT_EQ(use_stranger(100, 256), 8U);
  EXPECT_EQ(tables_.memory().tables, 9U);
  tables_.set_memory_max(8 * table_bytes(8));
  EXPECT_EQ(tables_.memory().tables, 8U);
  EXPECT_EQ(use_stranger(100, 1), 0U);  // strangers' first
  tables_.set_memory_max(3 * table_bytes(8) + 1);
  EXPECT_EQ(tables_.memory().tables, 3U);
  EXPECT_EQ(tables_.memory().bytes, 3 * table_bytes(8));
  EXPECT_EQ(use(keys[7], 1), 8U);
  EXPECT_EQ(use(keys[4], 1), 0U);
  // What a batch has in use goes when it is done.
  P256TablePtr in_use = acquire(keys[7].key, keys[7].handle.get(), 1);
  tables_.set_memory_max(0);
  EXPECT_EQ(tables_.memory().tables, 0U);
  EXPECT_EQ(tables_.memory().bytes, table_bytes(8));
  in_use.reset();
  EXPECT_EQ(tables_.memory().bytes, 0U);
  for (const Enrolled& key : keys) EXPECT_EQ(use(key, 1'000'000), 0U);
}

// One batch of a million signatures keeps all its tables until it is done.
TEST_F(P256TablesTest, ABatchOfAnyNumberOfKeysKeepsWithinTheBudget) {
  tables_.set_memory_max(16 * kMiB);
  std::vector<P256TablePtr> in_use;
  for (std::uint32_t i = 0; i < 2'000; ++i) {
    if (auto table = acquire(key_number(i), nullptr, 256)) in_use.push_back(table);
    ASSERT_LE(tables_.memory().bytes, 16 * kMiB);
  }
  EXPECT_EQ(in_use.size(), 64U);
  in_use.clear();
  EXPECT_EQ(use_stranger(5'000, 256), 8U);
}

TEST_F(P256TablesTest, WithoutMemoryAKeyIsVerifiedWithoutATable) {
  tables_.set_memory_max(~std::size_t{0});
  const Enrolled key = enrol(1);
  impossible_bits = 5;
  EXPECT_EQ(use(key, 20), 0U);
  EXPECT_EQ(tables_.memory().bytes, 0U);
  impossible_bits = 10;
  EXPECT_EQ(use(key, 64), 8U);
  EXPECT_EQ(use(key, 512), 8U);  // the narrower one stays
  EXPECT_EQ(tables_.memory().tables, 1U);
  EXPECT_EQ(tables_.memory().bytes, table_bytes(8));
}

TEST_F(P256TablesTest, WithoutMemoryForTheGeneratorThereIsAnError) {
  impossible_bits = 8;
  const auto none = tables_.generator(1);
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code, ErrorCode::kInternal);
  EXPECT_NE(none.error().message.find("generator"), std::string::npos) << none.error().message;
  impossible_bits = 10;
  EXPECT_EQ(tables_.generator(1).value()->bits, 8U);
  EXPECT_EQ(tables_.generator(100'000).value()->bits, 8U);  // the narrower one stays
  impossible_bits = 99;
  EXPECT_EQ(tables_.generator(100'000).value()->bits, 16U);
}

// --- while a table is being built ----------------------------------------------------------------

// Holds up the building of tables until it is told to go on. Waits are bounded, so that what should
// have come and has not is a failure.
class Gate {
 public:
  void wait_here() {
    std::unique_lock lock(mutex_);
    reached_ = true;
    changed_.notify_all();
    EXPECT_TRUE(changed_.wait_for(lock, kWaitMax, [this] { return open_; })) << "never opened";
  }
  void await() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, kWaitMax, [this] { return reached_; })) << "nothing built";
  }
  void open() {
    const std::scoped_lock lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  static constexpr std::chrono::seconds kWaitMax{30};
  std::mutex mutex_;
  std::condition_variable changed_;
  bool reached_ = false;
  bool open_ = false;
};

class P256TablesBuilding : public P256TablesTest {
 protected:
  // `building` begins to build; then `meanwhile`; then it ends.
  void during(const std::function<unsigned()>& building, unsigned bits,
              const std::function<void()>& meanwhile) {
    Gate gate;
    while_building = [&gate](const std::uint8_t*, unsigned) { gate.wait_here(); };
    unsigned built = 0;
    std::thread thread([&] { built = building(); });
    gate.await();
    meanwhile();
    gate.open();
    thread.join();
    while_building = nullptr;
    EXPECT_EQ(built, bits);
  }
};

TEST_F(P256TablesBuilding, OthersDoWithoutMeanwhile) {
  const Enrolled key = enrol(1);
  during([&] { return use(key, 64); }, 8, [&] { EXPECT_EQ(use(key, 1'000), 0U); });
  EXPECT_EQ(tables_.memory().bytes, table_bytes(8));
  during([&] { return use(key, 1); }, 10, [&] { EXPECT_EQ(use(key, 1), 8U); });
  EXPECT_EQ(use(key, 1), 10U);
  EXPECT_EQ(tables_.memory().bytes, table_bytes(10));
}

TEST_F(P256TablesBuilding, AFloodOfStrangersDoesNotForgetTheOneBuilt) {
  during([&] { return use_stranger(1'000'000, 256); }, 8,
         [&] {
           for (std::uint32_t i = 0; i < 2 * P256Tables::kStrangersMax; ++i) {
             EXPECT_EQ(use_stranger(i, 1), 0U);
           }
         });
  EXPECT_EQ(use_stranger(1'000'000, 1), 8U);
}

TEST_F(P256TablesBuilding, ALimitLoweredMeanwhileHolds) {
  const Enrolled key = enrol(1);
  during([&] { return use(key, 64); }, 8, [&] { tables_.set_memory_max(table_bytes(8) - 1); });
  EXPECT_EQ(tables_.memory().tables, 0U);
  EXPECT_EQ(tables_.memory().bytes, 0U);
  during([&] { return use_stranger(7, 256); }, 5, [&] { tables_.set_memory_max(0); });
  EXPECT_EQ(tables_.memory().tables, 0U);
  EXPECT_EQ(tables_.memory().bytes, 0U);
  EXPECT_EQ(use_stranger(7, 1'000), 0U);
}

// One that has a table gets a wider one while the limit takes it the first.
TEST_F(P256TablesBuilding, AStrangersOwnTableMayGoMeanwhile) {
  EXPECT_EQ(use_stranger(7, 256), 8U);
  during([&] { return use_stranger(7, 256); }, 10,
         [&] {
           tables_.set_memory_max(0);
           EXPECT_EQ(use_stranger(7, 1), 0U);
           tables_.set_memory_max(64 * kMiB);
         });
  EXPECT_EQ(use_stranger(7, 1), 10U);
  EXPECT_EQ(tables_.memory().bytes, table_bytes(10));
}

TEST_F(P256TablesBuilding, MemoryToBuildInIsBoundedToo) {
  tables_.set_memory_max(kMiB);
  build_memory = kMiB;
  const Enrolled first = enrol(1);
  const Enrolled second = enrol(2);
  during([&] { return use(first, 64); }, 8, [&] { EXPECT_EQ(use(second, 64), 0U); });
  EXPECT_EQ(use(second, 1), 8U);
}

TEST_F(P256TablesBuilding, TheGeneratorsPresentTableServesMeanwhile) {
  EXPECT_EQ(tables_.generator(1).value()->bits, 8U);
  during([&] { return tables_.generator(100'000).value()->bits; }, 16,
         [&] { EXPECT_EQ(tables_.generator(1).value()->bits, 8U); });
  EXPECT_EQ(tables_.generator(1).value()->bits, 16U);
}

// --- real signatures on several threads ----------------------------------------------------------

class P256BackendThreads : public testing::TestWithParam<const kernels::P256Kernels*> {};

// Threads verify for enrolled keys and by bytes, with keys coming and going and the limit moving.
TEST_P(P256BackendThreads, VerdictsHoldWhileKeysComeAndGo) {
  if (GetParam()->lanes == 8 && !kernels::cpu_has_avx512()) GTEST_SKIP() << "no AVX-512 here";
  constexpr int kKeys = 6;
  constexpr int kRounds = 12;
  constexpr std::size_t kCopies = 40;
  const auto backend = make_cpu_backend(*GetParam(), "for tests", false);
  ASSERT_TRUE(backend->set_table_memory_max(kMiB).ok());
  KeyRegistry registry(std::make_unique<KeyRegistry::Storage>(*backend));
  std::vector<SignedMessage> signed_by;
  std::vector<KeyId> lasting;
  for (int i = 0; i < kKeys; ++i) {
    signed_by.push_back(P256Signer::with_number(static_cast<unsigned>(1 + i)).sign("of thread"));
    lasting.push_back(registry.add(Scheme::kEcdsaP256Sha256, signed_by.back().key).value());
  }
  std::atomic<int> wrong = 0;
  const auto verify = [&](const SignedMessage& one, const KeyId* id, unsigned threads) {
    BatchBuilder builder({Scheme::kEcdsaP256Sha256});
    for (std::size_t i = 0; i < kCopies; ++i) {
      builder.add(one.key, i % 8 == 5 ? bytes_of("another") : one.message, one.signature);
    }
    VerifyBatch batch = builder.batch();
    batch.threads = threads;
    const std::vector<KeyId> ids(kCopies, id == nullptr ? KeyId{} : *id);
    if (id != nullptr) {
      batch.public_keys = {};
      batch.key_ids = ids;
      batch.registry = &registry;
    }
    std::vector<Verdict> verdicts(kCopies);
    const Result<void> done = verify_batch_on(*backend, batch, verdicts);
    // Another thread may have removed the key.
    if (!done && done.error().code == ErrorCode::kNotFound) return;
    if (!done) ++wrong;
    for (std::size_t i = 0; i < kCopies; ++i) {
      if (verdicts[i] != (i % 8 == 5 ? Verdict::kMismatch : Verdict::kValid)) ++wrong;
    }
  };
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < kRounds; ++round) {
        const auto k = static_cast<std::size_t>((t + round) % kKeys);
        verify(signed_by[k], &lasting[k], 1);
        verify(signed_by[k], nullptr, 1);
        if (backend->table_memory().bytes > 2 * kMiB) ++wrong;
      }
    });
  }
  threads.emplace_back([&] {  // keys that come and go, in use on another thread
    for (int round = 0; round < kRounds; ++round) {
      const SignedMessage one = P256Signer::with_number(100).sign("of a guest");
      const KeyId id = registry.add(Scheme::kEcdsaP256Sha256, one.key).value();
      std::thread user([&] { verify(one, &id, 2); });
      verify(one, &id, 1);
      if (!registry.remove(id).ok()) ++wrong;
      user.join();
    }
  });
  threads.emplace_back([&] {
    for (int round = 0; round < kRounds; ++round) {
      EXPECT_TRUE(backend->set_table_memory_max(round % 2 == 0 ? kMiB / 2 : kMiB).ok());
      verify(signed_by[0], nullptr, 1);
    }
  });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_LE(backend->table_memory().bytes, kMiB);
  EXPECT_GT(backend->table_memory().tables, 0U);
  for (const KeyId id : lasting) EXPECT_TRUE(registry.remove(id).ok());
  ASSERT_TRUE(backend->set_table_memory_max(0).ok());
  EXPECT_EQ(backend->table_memory().tables, 0U);
  EXPECT_EQ(backend->table_memory().bytes, 0U);
}

std::vector<const kernels::P256Kernels*> all_kernels() {
  return {
#if COLOPHON_AVX512
    &kernels::kP256Avx512,
#endif
        &kernels::kP256Portable
  };
}

INSTANTIATE_TEST_SUITE_P(All, P256BackendThreads, testing::ValuesIn(all_kernels()),
                         [](const auto& instance) { return std::string(instance.param->name); });

}  // namespace
}  // namespace colophon::test
