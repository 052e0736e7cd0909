// SPDX-License-Identifier: Apache-2.0
//
// Trees of every profile with every hash: roots, whichever way they are computed, and inclusion
// proofs, against the recursive definition; and what each profile refuses.
#include <gtest/gtest.h>

#include "colophon/merkle.hpp"
#include "colophon/verifier.hpp"
#include "merkle_reference.h"
#include "tests/effort.h"

namespace colophon::test {
namespace {

TEST(MerkleProfiles, RootsOfEveryTree) {
  const std::size_t leaves = number_of_cases(2000, 2000, 700);
  constexpr std::size_t kAllTo = kIsDebug ? 70 : 300;
  const std::size_t step = sample_step(5, 13);
  for_each_tree([&](const MerkleHasher& hasher, auto digest) {
    using D = decltype(digest);
    ReferenceTree<D> reference(hasher, leaves);
    std::vector<D> hashes(leaves);
    ASSERT_TRUE(merkle_leaf_hashes<D>(hasher, reference.leaves(), hashes).ok());
    ASSERT_EQ(hashes, reference.leaf_hashes());
    for (std::size_t size = 0; size <= leaves; size += size < kAllTo ? 1 : step) {
      ASSERT_EQ(merkle_root<D>(hasher, std::span(hashes).first(size)).value(), reference.root(size))
          << size;
    }
  });
}

TEST(MerkleProfiles, InclusionProofsOfManyTrees) {
  const std::size_t step = sample_step(7, 43);
  for_each_tree([&](const MerkleHasher& hasher, auto digest) {
    using D = decltype(digest);
    ReferenceTree<D> reference(hasher, 300);
    for (std::size_t size = 1; size <= 300; size += size < 20 ? 1 : step) {
      const auto tree = MerkleTreeOf<D>::build(hasher, reference.leaf_hashes(size)).value();
      const D root = reference.root(size);
      ASSERT_EQ(merkle_root_from_nodes<D>(hasher, tree.nodes(), size).value(), root);
      for (std::size_t index = 0; index < size; index += size < 20 ? 1 : 5) {
        const auto proof = merkle_prove_inclusion<D>(hasher, tree.nodes(), index, size).value();
        ASSERT_EQ(proof, reference.path(index, size)) << index << " of " << size;
        const D leaf = reference.leaf_hashes()[index];
        ASSERT_TRUE(merkle_verify_inclusion<D>(hasher, leaf, index, size, proof, root).ok())
            << index << " of " << size;
      }
    }
  });
}

TEST(MerkleProfiles, WrongInclusionProofsAreRefused) {
  for_each_tree([&](const MerkleHasher& hasher, auto digest) {
    using D = decltype(digest);
    ReferenceTree<D> reference(hasher, 23);
    for (std::size_t size = 1; size <= 23; ++size) {
      const D root = reference.root(size);
      for (std::size_t index = 0; index < size; index += 1 + size / 8) {
        const D leaf = reference.leaf_hashes()[index];
        const auto refused = [&](const D& of, std::uint64_t at, const std::vector<D>& with) {
          EXPECT_FALSE(merkle_verify_inclusion<D>(hasher, of, at, size, with, root).ok())
              << index << " of " << size;
        };
        const std::vector<D> proof = reference.path(index, size);
        for_each_wrong(proof, leaf, [&](const auto& wrong) { refused(leaf, index, wrong); });
        for (std::size_t other = 0; other < size; ++other) {
          if (other != index) refused(leaf, other, proof);
          if (other != index) refused(reference.leaf_hashes()[other], index, proof);
        }
      }
    }
  });
}

TEST(ThreadsMerkle, RootsDoNotDependOnTheirNumberNorOnStreaming) {
  // Around the chunk of 4,096 leaves, and with a short last piece.
  const bool short_form = kIsDebug && !is_long();
  const std::vector<std::size_t> sizes =
      short_form ? std::vector<std::size_t>{0, 1, 4097, 8193}
                 : std::vector<std::size_t>{0, 1, 2, 4095, 4096, 4097, 8193, 9000};
  for_each_tree([&](const MerkleHasher& one, auto digest) {
    if (short_form && one.algorithm() != HashAlgorithm::kSha256) return;
    using D = decltype(digest);
    ReferenceTree<D> reference(one, sizes.back());
    for (const unsigned threads : {1U, 2U, 3U}) {
      if (!is_long() && one.algorithm() != HashAlgorithm::kSha256 && threads != 3) continue;
      const auto hasher =
          MerkleHasher::create(backend(), one.profile(), one.algorithm(), threads).value();
      for (const std::size_t size : sizes) {
        SCOPED_TRACE(std::to_string(size) + " on " + std::to_string(threads));
        const D root = reference.root(size);
        const Slices leaves{reference.leaves().bytes, reference.leaves().offsets.first(size + 1)};
        ASSERT_EQ(merkle_root_of_leaves<D>(hasher, leaves).value(), root);
        ASSERT_EQ(merkle_root<D>(hasher, reference.leaf_hashes(size)).value(), root);
      }
    }
  });
}

TEST(ThreadsMerkle, AFaultOnOneIsTheCalls) {
  const MerkleHasher hasher =
      MerkleHasher::create(backend(), TreeProfile::kPlainPairs, HashAlgorithm::kSha256, 3).value();
  Column leaves;
  for (int i = 0; i < 3 * 4096; ++i) leaves.add(Bytes(i == 9000 ? 64 : 65));
  EXPECT_TRUE(
      fails_with(merkle_root_of_leaves(hasher, leaves.slices()), ErrorCode::kMalformed, "leaves"));
}

TEST(MerkleProfiles, NamesAndWhatCanBeCreated) {
  for (const TreeProfile profile : kTreeProfiles) {
    EXPECT_EQ(tree_profile_from_name(tree_profile_name(profile)), profile);
  }
  EXPECT_EQ(tree_profile_name(static_cast<TreeProfile>(9)), "unknown");
  EXPECT_EQ(tree_profile_from_name("unknown"), std::nullopt);
  const auto create = [](TreeProfile profile, HashAlgorithm algorithm, unsigned threads) {
    return MerkleHasher::create(backend(), profile, algorithm, threads);
  };
  constexpr auto kSha256 = HashAlgorithm::kSha256;
  constexpr ErrorCode kBad = ErrorCode::kInvalidArgument;
  EXPECT_TRUE(fails_with(create(static_cast<TreeProfile>(0), kSha256, 1), kBad, "profile"));
  EXPECT_TRUE(fails_with(create(TreeProfile::kBitcoin, HashAlgorithm::kSm3, 1), kBad, "profile"));
  EXPECT_TRUE(fails_with(create(TreeProfile::kRfc9162, kSha256, 0), kBad, "threads"));
  EXPECT_TRUE(fails_with(create(TreeProfile::kRfc9162, kSha256, kThreadsMax + 1), kBad, "threads"));
  EXPECT_TRUE(fails_with(create(TreeProfile::kRfc9162, static_cast<HashAlgorithm>(77), 1),
                         ErrorCode::kUnsupported, "algorithm"));
  const MerkleHasher hasher = create(TreeProfile::kBitcoin, kSha256, kThreadsMax).value();
  EXPECT_EQ(hasher.threads(), kThreadsMax);
  EXPECT_EQ(hasher.algorithm(), kSha256);
  EXPECT_EQ(hasher.profile(), TreeProfile::kBitcoin);
}

TEST(MerkleProfiles, DigestsOfAnotherSizeAreErrors) {
  const MerkleHasher narrow = backend();
  const MerkleHasher wide =
      MerkleHasher::create(backend(), TreeProfile::kRfc9162, HashAlgorithm::kSha512).value();
  constexpr ErrorCode kBad = ErrorCode::kInvalidArgument;
  std::vector<Digest> hashes(1);
  std::vector<Digest64> wide_hashes(1);
  EXPECT_TRUE(fails_with(merkle_root(wide, hashes), kBad, "algorithm"));
  EXPECT_TRUE(fails_with(merkle_root<Digest64>(narrow, wide_hashes), kBad, "algorithm"));
  EXPECT_TRUE(fails_with(MerkleTree::build(wide, hashes), kBad, "algorithm"));
  EXPECT_TRUE(fails_with(merkle_root_of_leaves(wide, {}), kBad, "algorithm"));
  EXPECT_TRUE(fails_with(merkle_leaf_hashes(wide, {}, hashes), kBad, "algorithm"));
  EXPECT_TRUE(
      fails_with(merkle_verify_inclusion(wide, hashes[0], 0, 1, {}, hashes[0]), kBad, "algorithm"));
}

// CVE-2017-12842: where a leaf of two digests hashes like a node, it is refused.
TEST(MerkleProfiles, ALeafThatCouldBeANodeIsRefused) {
  for_each_tree([&](const MerkleHasher& hasher, auto digest) {
    using D = decltype(digest);
    std::vector<D> hash(1);
    for (const std::size_t length : {2 * sizeof(D) - 1, 2 * sizeof(D), 2 * sizeof(D) + 1}) {
      Column leaves;
      leaves.add(Bytes(length, 0x5a));
      const auto hashed = merkle_leaf_hashes<D>(hasher, leaves.slices(), hash);
      const auto root = merkle_root_of_leaves<D>(hasher, leaves.slices());
      if (hasher.profile() == TreeProfile::kRfc9162 || length != 2 * sizeof(D)) {
        EXPECT_TRUE(hashed.ok());
        EXPECT_EQ(root.value(), hash[0]);
      } else {
        EXPECT_TRUE(fails_with(hashed, ErrorCode::kMalformed, "leaves"));
        EXPECT_TRUE(fails_with(root, ErrorCode::kMalformed, "leaves"));
      }
    }
  });
}

// The other side of it: a node's hash as that of a leaf leads to the root in fewer steps than the
// tree's size says.
TEST(MerkleProfiles, ANodeIsNoLeaf) {
  for_each_tree([&](const MerkleHasher& hasher, auto digest) {
    using D = decltype(digest);
    ReferenceTree<D> reference(hasher, 4);
    const std::vector<D> proof = {reference.hash_of(2, 4)};
    EXPECT_TRUE(fails_with(
        merkle_verify_inclusion<D>(hasher, reference.hash_of(0, 2), 0, 4, proof, reference.root(4)),
        ErrorCode::kInvalidArgument, "proof"));
  });
}

// --- Bitcoin

MerkleHasher bitcoin(unsigned threads = 1) {
  return MerkleHasher::create(backend(), TreeProfile::kBitcoin, HashAlgorithm::kSha256, threads)
      .value();
}

Digest reversed(std::string_view text) {
  const Bytes bytes = unhex(text);
  Digest digest{};
  std::reverse_copy(bytes.begin(), bytes.end(), digest.begin());
  return digest;
}

// Ids are shown in the reverse order of their bytes.
TEST(MerkleBitcoin, Block100000) {
  const std::vector<Digest> ids = {
      reversed("8c14f0db3df150123e6f3dbbf30f8b955a8249b62ac1d1ff16284aefa3d06d87"),
      reversed("fff2525b8931402dd09222c50775608f75787bd2b87e56995a7bdd30f79702c4"),
      reversed("6359f0868171b1d194cbee1af2f16ea598ae8fad666d9b012c8ed2b79a236ec4"),
      reversed("e9a66845e05d5abc0ad04ec80f774a7e585c6e8db975962d069a522137b80c1d")};
  EXPECT_EQ(merkle_root(bitcoin(), ids).value(),
            reversed("f3e94742aca4b5ef85488dc37c06c3282295ffec960994b2c0d5ac2a25a95766"));
}

// CVE-2012-2459: the end of a list repeated, where that does not change the root.
TEST(MerkleBitcoin, ListsWithTheRootOfAShorterOneAreRefused) {
  ReferenceTree<Digest> reference(bitcoin(), 40);
  for (std::size_t size = 1; size <= 40; ++size) {
    for (unsigned level = 0; level < 5; ++level) {
      // The last node of `level`, complete and lone, once more.
      const std::size_t width = std::size_t{1} << level;
      if (size % width != 0 || size / width % 2 == 0 || size == width) continue;
      std::vector<Digest> leaves = reference.leaf_hashes(size);
      leaves.insert(leaves.end(), reference.leaf_hashes().begin() + static_cast<long>(size - width),
                    reference.leaf_hashes().begin() + static_cast<long>(size));
      const auto refused = [&](const auto& result) {
        EXPECT_TRUE(fails_with(result, ErrorCode::kMalformed, "leaf_hashes"))
            << size << " and " << width;
      };
      for (const unsigned threads : {1U, 3U}) refused(merkle_root(bitcoin(threads), leaves));
      refused(MerkleTree::build(bitcoin(), leaves));
      // The forgery is real: it needs no more than to be computed without a check.
      std::vector<Digest> nodes = leaves;
      while (nodes.size() > 1) {
        if (nodes.size() % 2 != 0) nodes.push_back(nodes.back());
        std::vector<Digest> above;
        for (std::size_t i = 0; i < nodes.size(); i += 2) {
          above.push_back(reference.parent(nodes[i], nodes[i + 1]));
        }
        nodes = above;
      }
      EXPECT_EQ(nodes[0], reference.root(size));
    }
  }
  // Equal leaves that are no pair forge nothing.
  std::vector<Digest> leaves = reference.leaf_hashes(4);
  leaves[2] = leaves[1];
  EXPECT_TRUE(merkle_root(bitcoin(), leaves).ok());
}

TEST(ThreadsMerkle, ARepeatedSubtreeAcrossTheirPiecesIsRefused) {
  std::vector<Digest> leaves = ReferenceTree<Digest>(bitcoin(), 4096 * 3).leaf_hashes();
  ASSERT_TRUE(merkle_root(bitcoin(2), leaves).ok());
  leaves.insert(leaves.end(), leaves.end() - 4096, leaves.end());
  EXPECT_TRUE(fails_with(merkle_root(bitcoin(2), leaves), ErrorCode::kMalformed, "leaf_hashes"));
}

TEST(MerkleBitcoin, ProofsThatRelyOnACopyAreRefused) {
  ReferenceTree<Digest> reference(bitcoin(), 7);
  const auto verify = [&](std::size_t leaf, std::uint64_t index, std::uint64_t size,
                          const std::vector<Digest>& proof, std::size_t of) {
    return merkle_verify_inclusion(bitcoin(), reference.leaf_hashes()[leaf], index, size, proof,
                                   reference.root(of));
  };
  constexpr ErrorCode kRefused = ErrorCode::kInvalidSignature;
  // Five leaves taken for six: leaf 4 as its own copy, to the right and to the left.
  EXPECT_TRUE(verify(4, 4, 5, reference.path(4, 5), 5).ok());
  EXPECT_TRUE(fails_with(verify(4, 5, 6, reference.path(4, 5), 5), kRefused, "proof"));
  EXPECT_TRUE(fails_with(verify(4, 4, 6, reference.path(4, 5), 5), kRefused, "proof"));
  // Six taken for eight: the copy is a node above the leaves.
  EXPECT_TRUE(verify(5, 5, 6, reference.path(5, 6), 6).ok());
  EXPECT_TRUE(fails_with(verify(5, 7, 8, reference.path(5, 6), 6), kRefused, "proof"));
  EXPECT_TRUE(fails_with(verify(5, 5, 8, reference.path(5, 6), 6), kRefused, "proof"));
  // A lone node's sibling must be its copy.
  std::vector<Digest> other = reference.path(6, 7);
  other[0] = reference.leaf_hashes()[0];
  EXPECT_TRUE(fails_with(verify(6, 6, 7, other, 7), kRefused, "proof"));
}

TEST(MerkleBitcoin, HasNoConsistencyProofs) {
  const MerkleHasher hasher = bitcoin();
  const auto tree = MerkleTree::build(hasher, ReferenceTree<Digest>(hasher, 4).leaf_hashes());
  EXPECT_TRUE(fails_with(merkle_prove_consistency(hasher, tree->nodes(), 2, 4),
                         ErrorCode::kUnsupported, "profile"));
  EXPECT_TRUE(fails_with(merkle_verify_consistency(hasher, 2, 4, {}, {}, {}),
                         ErrorCode::kUnsupported, "profile"));
}

}  // namespace
}  // namespace colophon::test
