// SPDX-License-Identifier: Apache-2.0
//
// A tree kept as its right edge has the tree's root, in whatever batches it grew.
#include "colophon/merkle_frontier.hpp"

#include <gtest/gtest.h>

#include <bit>

#include "merkle_reference.h"
#include "tests/effort.h"

namespace colophon::test {
namespace {

TEST(MerkleFrontier, EverySplitOfEveryTree) {
  const std::size_t leaves = number_of_cases(130, 50, 20);
  for_each_tree([&](const MerkleHasher& hasher, auto digest) {
    using D = decltype(digest);
    ReferenceTree<D> reference(hasher, leaves);
    const std::span<const D> all = reference.leaf_hashes();
    for (std::size_t size = 0; size <= leaves; ++size) {
      for (std::size_t first = 0; first <= size; ++first) {
        auto frontier = MerkleFrontierOf<D>::create(hasher).value();
        ASSERT_TRUE(frontier.append(all.first(first)).ok());
        ASSERT_TRUE(frontier.append(all.subspan(first, size - first)).ok());
        ASSERT_EQ(frontier.size(), size);
        ASSERT_EQ(frontier.root().value(), reference.root(size)) << first << " of " << size;
      }
    }
  });
}

TEST(MerkleFrontier, LeafByLeafAndRestoredAfterEach) {
  for_each_tree([&](const MerkleHasher& hasher, auto digest) {
    using D = decltype(digest);
    constexpr std::size_t kCount = 150;
    ReferenceTree<D> reference(hasher, kCount);
    auto frontier = MerkleFrontierOf<D>::create(hasher).value();
    for (std::size_t size = 1; size <= kCount; ++size) {
      ASSERT_TRUE(frontier.append({&reference.leaf_hashes()[size - 1], 1}).ok());
      ASSERT_EQ(frontier.root().value(), reference.root(size));
      // The hashes are those of the complete subtrees, the largest first.
      std::size_t begin = 0;
      std::size_t at = 0;
      for (unsigned level = 64; level-- > 0;) {
        if ((size >> level & 1) == 0) continue;
        ASSERT_EQ(frontier.hashes()[at++], reference.hash_of(begin, begin + (1U << level)));
        begin += std::size_t{1} << level;
      }
      ASSERT_EQ(frontier.hashes().size(), at);
      frontier = MerkleFrontierOf<D>::from(hasher, size, frontier.hashes()).value();
    }
  });
}

TEST(MerkleFrontier, AMillionLeavesTakeTwentyHashes) {
  const std::size_t leaves = number_of_cases(1'000'000, 1'000'000, 100'000);
  auto frontier = MerkleFrontier::create(backend()).value();
  std::vector<Digest> all(leaves);
  for (std::size_t i = 0; i < leaves; ++i) {
    for (std::size_t byte = 0; byte < 8; ++byte) {
      all[i][byte] = static_cast<std::uint8_t>(i >> (8 * byte));
    }
  }
  for (std::size_t at = 0; at < leaves; at += 5000) {
    ASSERT_TRUE(
        frontier.append(std::span(all).subspan(at, std::min<std::size_t>(5000, leaves - at))).ok());
    ASSERT_LE(frontier.hashes().size(), 20U);
  }
  EXPECT_EQ(frontier.root().value(), merkle_root(backend(), all).value());
}

TEST(MerkleFrontier, WhatCannotBeRestoredOrAppended) {
  constexpr ErrorCode kBad = ErrorCode::kInvalidArgument;
  const std::vector<Digest> hashes(49);
  const auto from = [&](std::uint64_t size, std::size_t count) {
    return MerkleFrontier::from(backend(), size, std::span(hashes).first(count));
  };
  EXPECT_TRUE(fails_with(from(5, 1), kBad, "hashes"));
  EXPECT_TRUE(fails_with(from(5, 3), kBad, "hashes"));
  EXPECT_TRUE(fails_with(from(0, 1), kBad, "hashes"));
  EXPECT_TRUE(fails_with(from(kTreeSizeMax + 1, 2), kBad, "size"));
  EXPECT_TRUE(fails_with(from(~std::uint64_t{0}, 49), kBad, "size"));
  EXPECT_EQ(from(0, 0)->size(), 0U);

  auto full = from(kTreeSizeMax - 1, 48).value();
  const Digest root = full.root().value();
  EXPECT_TRUE(fails_with(full.append(std::span(hashes).first(2)), ErrorCode::kLimitExceeded,
                         "leaf_hashes"));
  EXPECT_EQ(full.root().value(), root);
  EXPECT_TRUE(full.append(std::span(hashes).first(1)).ok());
  EXPECT_EQ(full.size(), kTreeSizeMax);
  EXPECT_EQ(full.root().value(), full.hashes()[0]);

  const MerkleHasher wide =
      MerkleHasher::create(backend(), TreeProfile::kRfc9162, HashAlgorithm::kSha512).value();
  EXPECT_TRUE(fails_with(MerkleFrontier::create(wide), kBad, "algorithm"));
  EXPECT_TRUE(fails_with(MerkleFrontier::from(wide, 0, {}), kBad, "algorithm"));
}

// CVE-2012-2459, the copy coming in a batch of its own; the frontier stays as it was.
TEST(MerkleFrontier, ACopyIsRefused) {
  const MerkleHasher hasher =
      MerkleHasher::create(backend(), TreeProfile::kBitcoin, HashAlgorithm::kSha256).value();
  ReferenceTree<Digest> reference(hasher, 8);
  for (const std::size_t size : {1U, 2U, 3U, 4U, 5U, 6U, 7U}) {
    auto frontier = MerkleFrontier::create(hasher).value();
    const std::span<const Digest> leaves = std::span(reference.leaf_hashes()).first(size);
    ASSERT_TRUE(frontier.append(leaves).ok());
    const std::size_t last = size & (~size + 1);  // leaves of the last complete subtree
    EXPECT_TRUE(
        fails_with(frontier.append(leaves.last(last)), ErrorCode::kMalformed, "leaf_hashes"));
    EXPECT_EQ(frontier.size(), size);
    EXPECT_EQ(frontier.root().value(), reference.root(size));
  }
}

}  // namespace
}  // namespace colophon::test
