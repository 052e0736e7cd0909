// SPDX-License-Identifier: Apache-2.0
//
// fsck: a sound chain is clean; every kind of damage to what is stored is found and named, and
// damage that a signature or a hash makes evident is found wherever in the chain it is.
#include "node/fsck.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "node/big_endian.h"
#include "node/checkpoint.h"
#include "node/hex.h"
#include "node/proto/transaction.pb.h"
#include "tests/effort.h"
#include "tests/node/consortium.h"
#include "tests/node/raw_database.h"
#include "tests/node/simulated_disk.h"

namespace colophon::node {
namespace {

using namespace test;  // NOLINT: the tests' own

class FsckTest : public ::testing::Test {
 protected:
  // Seven blocks: an enrolment, registrations, a transfer, a revocation, and time enough for replay
  // keys to be pruned.
  void SetUp() override {
    auto node = must(open_node(consortium_, environment()));
    submit_all(*node, consortium_.founding());
    const Receipt first = submit_all(*node, consortium_.registrations(3)).at(0);
    submit_all(*node, consortium_.registrations(1));
    submit_all(*node,
               {consortium_.chain.sign(*consortium_.member, "registry",
                                       transfer(as_bytes(first.subjects[0]), "globe-press", 1))});
    outside_.clock.advance_ms(2 * kSeenPruneIntervalMs);
    consortium_.chain.now_ms = outside_.clock.now_ms();
    submit_all(*node, consortium_.registrations(2));
    submit_all(*node, consortium_.registrations(4));
    submit_all(*node, {consortium_.chain.sign(*consortium_.member, "membership",
                                              revoke_member(member_key_id(*consortium_.member)))});
    ASSERT_EQ(node->status().height, 7u);
  }

  Environment environment() { return outside_.with(disk_); }
  FsckReport check() { return must(fsck("/data", consortium_.genesis(), environment(), {})); }
  // Changes one value, expects findings of which one has `text` in it, and changes it back.
  void expect_found(Family family, const std::string& key, std::string value,
                    std::string_view text) {
    SCOPED_TRACE(std::string(family_name(family)) + ", " + std::string(text));
    std::optional<std::string> before;
    {
      RawDatabase raw(disk_, "/data");
      const auto entries = raw.all(family);
      if (const auto found = entries.find(key); found != entries.end()) before = found->second;
      ASSERT_NE(before, value);
      raw.put(family, key, value);
    }
    expect_finding(text);
    RawDatabase raw(disk_, "/data");
    if (before) {
      raw.put(family, key, *before);
    } else {
      raw.erase(family, key);
    }
  }
  void expect_missed(Family family, const std::string& key, std::string_view text) {
    SCOPED_TRACE(std::string(family_name(family)) + ", " + std::string(text));
    std::string before;
    {
      RawDatabase raw(disk_, "/data");
      before = raw.all(family).at(key);
      raw.erase(family, key);
    }
    expect_finding(text);
    RawDatabase(disk_, "/data").put(family, key, before);
  }
  void expect_finding(std::string_view text) {
    const FsckReport report = check();
    EXPECT_TRUE(std::ranges::any_of(report.findings, [&](const std::string& finding) {
      return finding.find(text) != std::string::npos;
    })) << ::testing::PrintToString(report.findings);
  }
  RawDatabase::Entries all(Family family) { return RawDatabase(disk_, "/data").all(family); }

  // Block `height`, changed and put back, without and with hashes that fit it.
  void expect_block_found(std::uint64_t height, const std::function<void(proto::Block&)>& change,
                          std::string_view text) {
    proto::Block block;
    ASSERT_TRUE(block.ParseFromString(all(Family::kBlock).at(big_endian(height))));
    change(block);
    expect_found(Family::kBlock, big_endian(height), block.SerializeAsString(), text);
  }

  Consortium consortium_;
  SimulatedDisk disk_;
  TestEnvironment outside_;
};

std::string flipped(std::string value, std::size_t at) {
  value.at(at) = static_cast<char>(value.at(at) ^ 1);
  return value;
}

TEST_F(FsckTest, ASoundChainIsCleanAndCounted) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> steps;
  const auto report =
      fsck("/data", consortium_.genesis(), environment(),
           [&](std::uint64_t done, std::uint64_t all) { steps.emplace_back(done, all); });
  ASSERT_TRUE(is_ok(report));
  EXPECT_EQ(report->findings, std::vector<std::string>());
  EXPECT_EQ(report->blocks, 7u);
  EXPECT_EQ(report->transactions, 15u);
  EXPECT_EQ(report->events, 15u);
  EXPECT_EQ(report->state_keys, all(Family::kState).size());
  ASSERT_EQ(steps.size(), 7u);
  EXPECT_EQ(steps.front(), (std::pair<std::uint64_t, std::uint64_t>{1, 7}));
  EXPECT_EQ(steps.back(), (std::pair<std::uint64_t, std::uint64_t>{7, 7}));
}

TEST_F(FsckTest, ANewChainIsClean) {
  SimulatedDisk disk;
  { must(open_node(consortium_, outside_.with(disk))); }
  const FsckReport report = must(fsck("/data", consortium_.genesis(), outside_.with(disk), {}));
  EXPECT_TRUE(report.findings.empty());
  EXPECT_EQ(report.blocks, 0u);
}

TEST_F(FsckTest, NeedsAChainOfThisGenesisThatNobodyHasOpen) {
  EXPECT_EQ(fsck("/elsewhere", consortium_.genesis(), environment(), {}).error().code,
            ErrorCode::kNotFound);
  Genesis other = consortium_.genesis();
  other.created_at_ms += 1;
  EXPECT_EQ(fsck("/data", other, environment(), {}).error().code, ErrorCode::kInvalidArgument);
  const auto node = must(open_node(consortium_, environment()));
  EXPECT_EQ(fsck("/data", consortium_.genesis(), environment(), {}).error().code,
            ErrorCode::kUnavailable);
}

// One flipped bit in each entry of each family that a block writes.
TEST_F(FsckTest, FindsAFlippedBitInAnyValue) {
  for (const Family family : {Family::kBlock, Family::kState, Family::kLeaf, Family::kNode,
                              Family::kTransaction, Family::kCheckpoint}) {
    const auto entries = all(family);
    ASSERT_FALSE(entries.empty());
    std::size_t number = 0;
    for (const auto& [key, value] : entries) {
      // Not all of the state's: one in three.
      if (number++ % ((family == Family::kState ? 3 : 1) * colophon::test::sample_step(1, 8)) != 0)
        continue;
      if (value.empty()) continue;
      SCOPED_TRACE(std::string(family_name(family)) + " " + hex_encode(as_bytes(key)));
      for (const std::size_t at : {std::size_t{0}, value.size() / 2, value.size() - 1}) {
        {
          RawDatabase(disk_, "/data").put(family, key, flipped(value, at));
        }
        EXPECT_FALSE(check().findings.empty()) << "byte " << at;
      }
      RawDatabase(disk_, "/data").put(family, key, value);
    }
  }
  EXPECT_TRUE(check().findings.empty());
}

TEST_F(FsckTest, NamesWhatDiffersFromWhatTheBlocksMake) {
  expect_found(Family::kLeaf, big_endian(4), "x", "event 4 differs");
  expect_found(Family::kNode, node_key(1, 2), std::string(32, 'x'), "at level 1, index 2 differs");
  const auto history = all(Family::kHistory);
  expect_found(Family::kHistory, history.begin()->first, "x", "the history entry of event");
  const auto transactions = all(Family::kTransaction);
  expect_found(Family::kTransaction, transactions.begin()->first, serialize_entry({9, 9, 9, 9}),
               "the entry of block");
  const auto state = all(Family::kState);
  const auto record = state.lower_bound("registry/record/");
  expect_found(Family::kState, record->first, "x", "has another value than the blocks make");
}

TEST_F(FsckTest, NamesWhatIsMissing) {
  expect_missed(Family::kBlock, big_endian(3), "block 3 is missing");
  expect_missed(Family::kBlock, big_endian(7), "the last block is missing");
  expect_missed(Family::kLeaf, big_endian(0), "event 0 is missing");
  expect_missed(Family::kNode, node_key(3, 0), "at level 3, index 0 is missing");
  expect_missed(Family::kCheckpoint, big_endian(0), "the checkpoint of block 0 is missing");
  expect_missed(Family::kCheckpoint, big_endian(5), "the checkpoint of block 5 is missing");
  expect_missed(Family::kHistory, all(Family::kHistory).begin()->first, "is missing");
  expect_missed(Family::kTransaction, all(Family::kTransaction).begin()->first, "is missing");
  const auto state = all(Family::kState);
  expect_missed(Family::kState, state.begin()->first, "is missing");
  expect_missed(Family::kState, state.rbegin()->first, "is missing");
  expect_missed(Family::kMeta, "head", "no head is stored");
}

TEST_F(FsckTest, NamesWhatNoBlockMade) {
  expect_found(Family::kState, "registry/record/zzz", "x", "was made by no block");
  expect_found(Family::kState, "a", "x", "the state key a was made by no block");
  expect_found(Family::kState, "\x01", "x", "the state key 0x01 was made by no block");
  expect_found(Family::kLeaf, big_endian(15), "x", "column family leaf has 16 entries");
  expect_found(Family::kNode, node_key(1, 7), "x", "column family node has");
  expect_found(Family::kHistory, "\x01x" + big_endian(0), "", "column family history has");
  expect_found(Family::kTransaction, std::string(32, 'x'), serialize_entry({1, 0, 0, 1}),
               "column family transaction has");
  expect_found(Family::kCheckpoint, big_endian(8), "x", "column family checkpoint has");
  expect_found(Family::kBlock, big_endian(9), "x", "column family block has");
  expect_found(Family::kMeta, "else", "x", "column family default has");
}

TEST_F(FsckTest, NamesWhatIsWrongWithABlock) {
  const auto header = [](auto set) {
    return [set](proto::Block& block) { set(*block.mutable_header()); };
  };
  expect_found(Family::kBlock, big_endian(2), "x", "block 2");
  expect_block_found(2, header([](auto& h) { h.set_version(2); }), "block 2 has version 2");
  expect_block_found(2, header([](auto& h) { h.set_chain_id("another.chain"); }),
                     "block 2 is of another chain");
  expect_block_found(2, header([](auto& h) { h.set_height(3); }), "says it is block 3");
  expect_block_found(2, header([](auto& h) { h.set_time_ms(kGenesisMs - 1); }),
                     "dated before the block before it");
  expect_block_found(1, header([](auto& h) { h.set_time_ms(kGenesisMs - 1); }),
                     "dated before the block before it");
  expect_block_found(2, header([](auto& h) { h.set_previous_hash(std::string(32, 'x')); }),
                     "block 2 does not follow the block before it");
  expect_block_found(1, header([](auto& h) { h.set_previous_hash(std::string(32, 'x')); }),
                     "block 1 does not follow");
  expect_block_found(2, header([](auto& h) { h.set_transactions_root(std::string(32, 'x')); }),
                     "transactions_root is not the root");
  expect_block_found(2, header([](auto& h) { h.set_log_size(9); }), "states a log of 9 events");
  expect_block_found(2, header([](auto& h) { h.set_log_root(std::string(32, 'x')); }),
                     "states another log root");
  // A change of any header breaks the chain behind it.
  expect_block_found(2, header([](auto& h) { h.set_time_ms(h.time_ms() + 1); }),
                     "block 3 does not follow the block before it");
  expect_block_found(
      2, [](proto::Block& block) { block.mutable_transactions(0)->pop_back(); },
      "transaction 0 does not parse");
  expect_block_found(
      2, [](proto::Block& block) { block.mutable_transactions(1)->back() ^= 1; },
      "transaction 1: the signature does not verify");
  expect_block_found(
      2, [](proto::Block& block) { block.mutable_transactions()->RemoveLast(); },
      "transactions_root is not the root");
  expect_block_found(
      2, [](proto::Block& block) { block.add_transactions(block.transactions(0)); },
      "transaction 3 fails when executed again");
}

// A checkpoint that is well-formed and signed by the right key, over something else.
TEST_F(FsckTest, NamesACheckpointOfAnotherLog) {
  const auto sign = [&](const std::string& origin, std::uint64_t size, hsm::Signer& signer) {
    return must(sign_checkpoint(Checkpoint{origin, size, sha256("another root")}, signer));
  };
  const std::string chain = consortium_.genesis().chain_id;
  expect_found(Family::kCheckpoint, big_endian(2), sign(chain, 6, *consortium_.log_key),
               "the checkpoint of block 2 is for another log");
  expect_found(Family::kCheckpoint, big_endian(2), all(Family::kCheckpoint).at(big_endian(3)),
               "the checkpoint of block 2 is for another log");
  Checkpoint longer =
      must(verify_checkpoint(must(Backend::choose()), all(Family::kCheckpoint).at(big_endian(2)),
                             chain, consortium_.genesis().log_public_key));
  longer.size += 1;  // under the right root
  expect_found(Family::kCheckpoint, big_endian(2),
               must(sign_checkpoint(longer, *consortium_.log_key)),
               "the checkpoint of block 2 is for another log");
  const auto other = MemorySigner::create(hsm::KeyType::kEd25519, 3000);
  expect_found(Family::kCheckpoint, big_endian(2), sign(chain, 6, *other),
               "the checkpoint of block 2 does not verify");
  expect_found(Family::kCheckpoint, big_endian(0), sign("another.log", 0, *consortium_.log_key),
               "the checkpoint of block 0 does not verify");
}

TEST_F(FsckTest, NamesDamageBelowTheDatabase) {
  { RawDatabase(disk_, "/data").flush(); }
  std::size_t found = 0;
  for (const std::string& path : disk_.files()) {
    if (!path.ends_with(".sst")) continue;
    const std::string content = disk_.content(path);
    disk_.put(path, flipped(content, 20));
    const FsckReport report = check();
    for (const std::string& finding : report.findings) {
      found += finding.find("is damaged") != std::string::npos ? 1 : 0;
    }
    disk_.put(path, content);
  }
  EXPECT_GE(found, kFamilies - 1);
  EXPECT_TRUE(check().findings.empty());
}

TEST_F(FsckTest, ListsOnlySoManyFindings) {
  {
    RawDatabase raw(disk_, "/data");
    for (int i = 0; i < 250; ++i) raw.put(Family::kState, "x" + std::to_string(i), "x");
  }
  const FsckReport report = check();
  ASSERT_EQ(report.findings.size(), FsckReport::kFindingsMax + 1);
  EXPECT_EQ(report.findings.back(), "and 150 more");
}

TEST_F(FsckTest, ADiskThatCannotBeReadIsAnErrorAndNoFinding) {
  disk_.set_unreadable(true);
  const auto report = fsck("/data", consortium_.genesis(), environment(), {});
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, ErrorCode::kIo);
}

}  // namespace
}  // namespace colophon::node
