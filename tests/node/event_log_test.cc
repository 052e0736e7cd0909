// SPDX-License-Identifier: Apache-2.0
#include "node/event_log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "node/bytes.h"
#include "tests/node/certificate_forge.h"

namespace colophon::node {
namespace {

using test::must;

constexpr std::uint64_t kSizeMax = 300;  // past 2^8, so that a ninth level is begun

const Backend& backend() {
  static const Backend chosen = must(Backend::choose());
  return chosen;
}

// Leaves 0, 1, …: of different lengths, the empty one among them.
std::string leaf(std::uint64_t index) {
  return std::string(static_cast<std::size_t>(index * 37 % 101),
                     static_cast<char>('a' + index % 26));
}

// The leaves [from, to) in one buffer.
struct Leaves {
  std::string bytes;
  std::vector<std::uint64_t> offsets{0};

  Leaves(std::uint64_t from, std::uint64_t to) {
    for (std::uint64_t i = from; i < to; ++i) {
      bytes += leaf(i);
      offsets.push_back(bytes.size());
    }
  }
  [[nodiscard]] Slices slices() const { return {as_bytes(bytes), offsets}; }
};

// The tree over all kSizeMax leaves, built at once, and the root of each of its prefixes: what
// every log is compared with.
class Reference {
 public:
  Reference() {
    std::vector<Digest> hashes(kSizeMax);
    EXPECT_TRUE(merkle_leaf_hashes(backend(), Leaves(0, kSizeMax).slices(), hashes).ok());
    for (std::uint64_t size = 0; size <= kSizeMax; ++size) {
      roots_.push_back(
          must(merkle_root(backend(), std::span(hashes).first(static_cast<std::size_t>(size)))));
    }
    tree_ = std::make_unique<MerkleTree>(must(MerkleTree::build(backend(), std::move(hashes))));
  }
  [[nodiscard]] const Digest& root(std::uint64_t size) const {
    return roots_[static_cast<std::size_t>(size)];
  }
  [[nodiscard]] NodeReader nodes() const { return tree_->nodes(); }
  [[nodiscard]] Digest node(unsigned level, std::uint64_t index) const {
    return must(nodes()(level, index));
  }

 private:
  std::vector<Digest> roots_;
  std::unique_ptr<MerkleTree> tree_;
};

const Reference& reference() {
  static const Reference built;
  return built;
}

// (level, index) of the complete subtrees that a tree of `to` leaves has and one of `from` has not,
// by level, then index.
std::vector<std::pair<unsigned, std::uint64_t>> new_subtrees(std::uint64_t from, std::uint64_t to) {
  std::vector<std::pair<unsigned, std::uint64_t>> all;
  for (unsigned level = 0; to >> level != 0; ++level) {
    for (std::uint64_t i = from >> level; i < to >> level; ++i) all.emplace_back(level, i);
  }
  return all;
}

// Appends the leaves [log.size(), to) and compares root and new nodes with the reference.
void append_and_check(EventLog& log, std::uint64_t to) {
  const std::uint64_t from = log.size();
  const auto added = log.append(backend(), Leaves(from, to).slices());
  ASSERT_TRUE(added.ok()) << added.error().message;
  ASSERT_EQ(log.size(), to);
  ASSERT_EQ(must(log.root(backend())), reference().root(to)) << from << " to " << to;
  const auto expected = new_subtrees(from, to);
  ASSERT_EQ(added->size(), expected.size()) << from << " to " << to;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const LogNode& node = (*added)[i];
    ASSERT_EQ(std::pair(node.level, node.index), expected[i]) << from << " to " << to;
    ASSERT_EQ(node.hash, reference().node(node.level, node.index)) << from << " to " << to;
  }
}

TEST(EventLogTest, EmptyLogHasTheRootOfTheEmptyTree) {
  EXPECT_EQ(must(EventLog().root(backend())), test::sha256(""));
  EventLog log;
  append_and_check(log, 0);  // and stays so when nothing is added
  EXPECT_EQ(must(log.root(backend())), test::sha256(""));
}

TEST(EventLogTest, EveryChunkOnEveryFrontierGivesTheTreeBuiltAtOnce) {
  // All pairs around the small powers of two, every frontier up to kSizeMax with chunks that stay
  // inside a level, fill it, and pass several.
  for (std::uint64_t from = 0; from <= 70; ++from) {
    for (std::uint64_t to = from; to <= 70; ++to) {
      EventLog log = must(EventLog::load(reference().nodes(), from));
      ASSERT_NO_FATAL_FAILURE(append_and_check(log, to));
    }
  }
  for (std::uint64_t from = 0; from <= kSizeMax; ++from) {
    for (const std::uint64_t chunk : {0U, 1U, 2U, 3U, 31U, 128U, 300U}) {
      EventLog log = must(EventLog::load(reference().nodes(), from));
      ASSERT_NO_FATAL_FAILURE(append_and_check(log, std::min(kSizeMax, from + chunk)));
    }
  }
}

TEST(EventLogTest, RandomChunksGiveTheTreeBuiltAtOnce) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 60; ++round) {
    EventLog log;
    const std::uint64_t chunk_max = 1 + random() % 64;
    while (log.size() < kSizeMax) {
      const std::uint64_t to = std::min(kSizeMax, log.size() + random() % (chunk_max + 1));
      ASSERT_NO_FATAL_FAILURE(append_and_check(log, to));
    }
  }
}

TEST(EventLogTest, WhatAppendReturnsIsAllThatLoadAndProofsNeed) {
  std::map<std::pair<unsigned, std::uint64_t>, Digest> stored;
  const NodeReader nodes = [&](unsigned level, std::uint64_t index) -> Result<Digest> {
    const auto found = stored.find({level, index});
    if (found != stored.end()) return found->second;
    return make_error(ErrorCode::kCorrupt, "not stored", "log");
  };
  std::mt19937_64 random(2);
  EventLog log;
  while (log.size() < kSizeMax) {
    const std::uint64_t from = log.size();
    const std::uint64_t to = std::min(kSizeMax, from + 1 + random() % 9);
    for (const LogNode& node : must(log.append(backend(), Leaves(from, to).slices()))) {
      EXPECT_TRUE(stored.emplace(std::pair(node.level, node.index), node.hash).second);
    }
    EXPECT_EQ(must(must(EventLog::load(nodes, to)).root(backend())), must(log.root(backend())));

    const std::uint64_t index = random() % to;
    const auto inclusion = must(merkle_prove_inclusion(backend(), nodes, index, to));
    const Digest leaf_hash = reference().node(0, index);
    EXPECT_TRUE(merkle_verify_inclusion(backend(), leaf_hash, index, to, inclusion,
                                        must(log.root(backend())))
                    .ok());
    if (from == 0) continue;
    const auto consistency = must(merkle_prove_consistency(backend(), nodes, from, to));
    EXPECT_TRUE(merkle_verify_consistency(backend(), from, to, reference().root(from),
                                          must(log.root(backend())), consistency)
                    .ok());
  }
  EXPECT_EQ(stored.size(), new_subtrees(0, kSizeMax).size());
}

TEST(EventLogTest, AnotherLeafIsAnotherRoot) {
  for (std::uint64_t size = 1; size <= 40; ++size) {
    for (std::uint64_t changed = 0; changed < size; ++changed) {
      Leaves leaves(0, changed);
      leaves.bytes += leaf(changed) + "!";
      leaves.offsets.push_back(leaves.bytes.size());
      EventLog log;
      ASSERT_TRUE(log.append(backend(), leaves.slices()).ok());
      ASSERT_TRUE(log.append(backend(), Leaves(changed + 1, size).slices()).ok());
      ASSERT_NE(must(log.root(backend())), reference().root(size)) << changed << " of " << size;
    }
  }
}

TEST(EventLogTest, CopyKeepsWhatAnAppendChanges) {
  EventLog log = must(EventLog::load(reference().nodes(), 77));
  const EventLog before = log;
  ASSERT_TRUE(log.append(backend(), Leaves(77, 200).slices()).ok());
  EXPECT_EQ(before.size(), 77U);
  EXPECT_EQ(must(before.root(backend())), reference().root(77));
  EXPECT_EQ(must(log.root(backend())), reference().root(200));
}

TEST(EventLogTest, ErrorLeavesTheLogUnchanged) {
  EventLog log = must(EventLog::load(reference().nodes(), 13));
  const std::vector<std::uint64_t> past_the_end{0, 5};
  const auto refused = log.append(backend(), Slices{as_bytes("four"), past_the_end});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(log.size(), 13U);
  ASSERT_NO_FATAL_FAILURE(append_and_check(log, 20));
}

TEST(EventLogTest, ErrorOfTheReaderIsPassedOn) {
  for (std::uint64_t size = 1; size < 40; ++size) {
    // The subtree that is missing is one of those the frontier is made of.
    for (unsigned missing = 0; size >> missing != 0; ++missing) {
      const auto nodes = [&](unsigned level, std::uint64_t index) -> Result<Digest> {
        if (level == missing) return make_error(ErrorCode::kCorrupt, "missing", "log");
        return reference().node(level, index);
      };
      const auto log = EventLog::load(nodes, size);
      ASSERT_EQ(log.ok(), (size >> missing & 1) == 0) << missing << " of " << size;
      if (log) continue;
      EXPECT_EQ(log.error().code, ErrorCode::kCorrupt);
    }
  }
}

TEST(EventLogTest, SizeIsBounded) {
  const NodeReader any = [](unsigned, std::uint64_t) -> Result<Digest> { return Digest{}; };
  EXPECT_EQ(EventLog::load(any, kTreeSizeMax + 1).error().code, ErrorCode::kLimitExceeded);
  EXPECT_EQ(EventLog::load(any, ~std::uint64_t{0}).error().code, ErrorCode::kLimitExceeded);

  EventLog log = must(EventLog::load(any, kTreeSizeMax - 2));
  EXPECT_EQ(log.append(backend(), Leaves(0, 3).slices()).error().code, ErrorCode::kLimitExceeded);
  EXPECT_EQ(log.size(), kTreeSizeMax - 2);
  EXPECT_TRUE(log.append(backend(), Leaves(0, 2).slices()).ok());
  EXPECT_EQ(log.size(), kTreeSizeMax);
  EXPECT_TRUE(log.append(backend(), Leaves(0, 0).slices()).ok());
  EXPECT_EQ(log.append(backend(), Leaves(0, 1).slices()).error().code, ErrorCode::kLimitExceeded);
}

}  // namespace
}  // namespace colophon::node
