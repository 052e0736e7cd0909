// SPDX-License-Identifier: Apache-2.0
//
// Subtrees of draft-ietf-plants-merkle-tree-certs: every subtree of small trees against the draft's
// recursive definitions, and almost right proofs.
#include "colophon/merkle_subtree.hpp"

#include <gtest/gtest.h>

#include "merkle_reference.h"
#include "tests/effort.h"

namespace colophon::test {
namespace {

// SUBTREE_SUBPROOF(start, end, D[begin:begin + n], whole), start and end counted from `begin`.
template <class D>
std::vector<D> subtree_subproof(ReferenceTree<D>& tree, std::size_t start, std::size_t end,
                                std::size_t begin, std::size_t n, bool whole) {
  if (start == 0 && end == n) {
    return whole ? std::vector<D>{} : std::vector<D>{tree.hash_of(begin, begin + n)};
  }
  const std::size_t k = std::bit_floor(n - 1);
  const D left = tree.hash_of(begin, begin + k);
  std::vector<D> proof;
  if (end <= k) {
    proof = subtree_subproof(tree, start, end, begin, k, whole);
    proof.push_back(tree.hash_of(begin + k, begin + n));
  } else if (start >= k) {
    proof = subtree_subproof(tree, start - k, end - k, begin + k, n - k, whole);
    proof.push_back(left);
  } else {
    proof = subtree_subproof(tree, 0, end - k, begin + k, n - k, false);
    proof.push_back(left);
  }
  return proof;
}

// check(subtree) for each subtree of up to `size` leaves.
template <class Check>
void for_each_subtree(std::size_t size, const Check& check) {
  for (std::size_t end = 1; end <= size; ++end) {
    for (std::size_t start = 0; start < end; ++start) {
      if (start % std::bit_ceil(end - start) == 0) check(MerkleSubtree{start, end});
    }
  }
}

template <class Check>
void for_each_tree_with_subtrees(const Check& check) {
  for_each_tree([&](const MerkleHasher& hasher, auto digest) {
    if (hasher.profile() != TreeProfile::kBitcoin) check(hasher, digest);
  });
}

TEST(MerkleSubtree, HashesAndProofsOfEverySubtree) {
  const std::size_t leaves = number_of_cases(70, 36, 20);
  for_each_tree_with_subtrees([&](const MerkleHasher& hasher, auto digest) {
    using D = decltype(digest);
    ReferenceTree<D> reference(hasher, leaves);
    const auto tree = MerkleTreeOf<D>::build(hasher, reference.leaf_hashes()).value();
    const NodeReaderOf<D> nodes = tree.nodes();
    for_each_subtree(leaves, [&](MerkleSubtree subtree) {
      const auto [start, end] = subtree;
      SCOPED_TRACE(std::to_string(start) + " to " + std::to_string(end));
      const D hash = reference.hash_of(start, end);
      ASSERT_EQ(merkle_subtree_hash<D>(hasher, nodes, subtree).value(), hash);
      for (std::size_t index = start; index < end; index += 1 + (end - start) / 8) {
        const auto proof = merkle_prove_subtree_inclusion<D>(hasher, nodes, index, subtree).value();
        ASSERT_TRUE(merkle_verify_subtree_inclusion<D>(hasher, reference.leaf_hashes()[index],
                                                       index, subtree, proof, hash)
                        .ok());
      }
      for (std::size_t size = end; size <= leaves; size += 1 + (size - end) / 4) {
        const auto proof =
            merkle_prove_subtree_consistency<D>(hasher, nodes, subtree, size).value();
        ASSERT_EQ(proof, subtree_subproof(reference, start, end, 0, size, true)) << size;
        ASSERT_TRUE(merkle_verify_subtree_consistency<D>(hasher, subtree, size, hash,
                                                         reference.root(size), proof)
                        .ok())
            << size;
        if (start != 0) continue;
        ASSERT_EQ(proof, merkle_prove_consistency<D>(hasher, nodes, end, size).value());
        ASSERT_TRUE(
            merkle_verify_consistency<D>(hasher, end, size, hash, reference.root(size), proof)
                .ok());
      }
    });
  });
}

TEST(MerkleSubtree, WrongProofsAreRefused) {
  for_each_tree_with_subtrees([&](const MerkleHasher& hasher, auto digest) {
    using D = decltype(digest);
    constexpr std::size_t kSize = 13;
    ReferenceTree<D> reference(hasher, kSize);
    const D root = reference.root(kSize);
    const auto tree = MerkleTreeOf<D>::build(hasher, reference.leaf_hashes()).value();
    for_each_subtree(kSize, [&](MerkleSubtree subtree) {
      const D hash = reference.hash_of(subtree.start, subtree.end);
      D other = hash;
      other[9] ^= 1;
      const auto consistent = [&](MerkleSubtree of, const D& from, const D& to,
                                  const std::vector<D>& with) {
        return merkle_verify_subtree_consistency<D>(hasher, of, kSize, from, to, with).ok();
      };
      const auto grown =
          merkle_prove_subtree_consistency<D>(hasher, tree.nodes(), subtree, kSize).value();
      for_each_wrong(grown, hash, [&](const std::vector<D>& wrong) {
        EXPECT_FALSE(consistent(subtree, hash, root, wrong));
      });
      EXPECT_FALSE(consistent(subtree, other, root, grown));
      EXPECT_FALSE(consistent(subtree, hash, other, grown));
      for_each_subtree(kSize, [&](MerkleSubtree of) {
        if (of.start == subtree.start && of.end == subtree.end) return;
        EXPECT_FALSE(consistent(of, hash, root, grown));
      });

      const std::size_t index = subtree.end - 1;
      const D leaf = reference.leaf_hashes()[index];
      const auto included = [&](const D& of, const D& to, const std::vector<D>& with) {
        return merkle_verify_subtree_inclusion<D>(hasher, of, index, subtree, with, to).ok();
      };
      const auto proof =
          merkle_prove_subtree_inclusion<D>(hasher, tree.nodes(), index, subtree).value();
      for_each_wrong(proof, root, [&](const std::vector<D>& wrong) {
        EXPECT_FALSE(included(leaf, hash, wrong));
      });
      EXPECT_FALSE(included(other, hash, proof));
      EXPECT_FALSE(included(leaf, other, proof));
    });
  });
}

TEST(MerkleSubtree, WhatIsNoneIsAnError) {
  const MerkleHasher hasher = backend();
  ReferenceTree<Digest> reference(hasher, 8);
  const auto tree = MerkleTree::build(hasher, reference.leaf_hashes()).value();
  constexpr ErrorCode kBad = ErrorCode::kInvalidArgument;
  constexpr std::uint64_t kHuge = ~std::uint64_t{0};
  for (const MerkleSubtree none :
       {MerkleSubtree{0, 0}, MerkleSubtree{4, 4}, MerkleSubtree{4, 3}, MerkleSubtree{1, 3},
        MerkleSubtree{2, 5}, MerkleSubtree{4, 9}, MerkleSubtree{0, kTreeSizeMax + 1},
        MerkleSubtree{0, kHuge}, MerkleSubtree{kHuge - 1, kHuge}, MerkleSubtree{kHuge, 0}}) {
    SCOPED_TRACE(std::to_string(none.start) + " to " + std::to_string(none.end));
    EXPECT_TRUE(fails_with(merkle_subtree_hash(hasher, tree.nodes(), none), kBad, "subtree"));
    EXPECT_TRUE(fails_with(merkle_prove_subtree_inclusion(hasher, tree.nodes(), none.start, none),
                           kBad, "subtree"));
    EXPECT_TRUE(fails_with(merkle_verify_subtree_inclusion(hasher, {}, none.start, none, {}, {}),
                           kBad, "subtree"));
    EXPECT_TRUE(fails_with(merkle_prove_subtree_consistency(hasher, tree.nodes(), none, 8), kBad,
                           "subtree"));
    EXPECT_TRUE(fails_with(merkle_verify_subtree_consistency(hasher, none, 8, {}, {}, {}), kBad,
                           "subtree"));
  }
  const MerkleSubtree some{4, 7};
  for (const std::uint64_t index : {std::uint64_t{3}, std::uint64_t{7}, kHuge}) {
    EXPECT_TRUE(fails_with(merkle_prove_subtree_inclusion(hasher, tree.nodes(), index, some), kBad,
                           "index"));
    EXPECT_TRUE(fails_with(merkle_verify_subtree_inclusion(hasher, {}, index, some, {}, {}), kBad,
                           "index"));
  }
  EXPECT_TRUE(
      fails_with(merkle_prove_subtree_consistency(hasher, tree.nodes(), some, 6), kBad, "subtree"));
  EXPECT_TRUE(
      fails_with(merkle_verify_subtree_consistency(hasher, some, kHuge, {}, {}, {}), kBad, "size"));
  EXPECT_TRUE(fails_with(merkle_subtree_hash(hasher, {}, some), kBad, "nodes"));
  EXPECT_TRUE(fails_with(merkle_prove_subtree_consistency(hasher, {}, some, 8), kBad, "nodes"));
  // A subtree that is not complete in the store.
  EXPECT_TRUE(
      fails_with(merkle_subtree_hash(hasher, tree.nodes(), {8, 10}), ErrorCode::kNotFound, ""));

  const auto bitcoin =
      MerkleHasher::create(backend(), TreeProfile::kBitcoin, HashAlgorithm::kSha256).value();
  EXPECT_TRUE(fails_with(merkle_subtree_hash(bitcoin, tree.nodes(), some), ErrorCode::kUnsupported,
                         "profile"));
  EXPECT_TRUE(fails_with(merkle_verify_subtree_inclusion(bitcoin, {}, 4, some, {}, {}),
                         ErrorCode::kUnsupported, "profile"));
  EXPECT_TRUE(fails_with(merkle_verify_subtree_consistency(bitcoin, some, 8, {}, {}, {}),
                         ErrorCode::kUnsupported, "profile"));
}

}  // namespace
}  // namespace colophon::test
