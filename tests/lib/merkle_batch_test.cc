// SPDX-License-Identifier: Apache-2.0
//
// Many leaves at once: a proof for each, with a verdict for each, and one proof for all, whose
// shape nothing in it can choose.
#include "colophon/merkle_batch.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "merkle_reference.h"
#include "tests/effort.h"

namespace colophon::test {
namespace {

using Indices = std::vector<std::uint64_t>;

template <class D>
std::vector<D> hashes_at(const std::vector<D>& leaf_hashes, const Indices& indices) {
  std::vector<D> hashes;
  for (const std::uint64_t index : indices) hashes.push_back(leaf_hashes[index]);
  return hashes;
}

// --- A proof for each

// Proofs of some leaves of one tree, and what becomes of them.
template <class D>
struct ProofBatch {
  ProofBatch(const MerkleHasher& with, ReferenceTree<D>& reference, Indices of, std::size_t leaves)
      : hasher(with),
        leaf_hashes(hashes_at(reference.leaf_hashes(), of)),
        indices(std::move(of)),
        size(leaves),
        root(reference.root(leaves)) {
    const auto tree = MerkleTreeOf<D>::build(hasher, reference.leaf_hashes(leaves)).value();
    proofs = merkle_prove_inclusion_batch<D>(hasher, tree.nodes(), indices, size).value();
  }

  [[nodiscard]] std::vector<ProofVerdict> verify() const {
    std::vector<ProofVerdict> verdicts(indices.size());
    const auto done = merkle_verify_inclusion_batch<D>(
        hasher, leaf_hashes, indices, size, proofs.hashes, proofs.offsets, root, verdicts);
    EXPECT_TRUE(done.ok());
    return verdicts;
  }

  MerkleHasher hasher;
  std::vector<D> leaf_hashes;
  Indices indices;
  std::uint64_t size;
  D root;
  MerkleProofsOf<D> proofs;
};

TEST(MerkleBatch, ProofsOfEveryLeaf) {
  for_each_tree([&](const MerkleHasher& hasher, auto digest) {
    using D = decltype(digest);
    ReferenceTree<D> reference(hasher, 130);
    for (const std::size_t size : {1, 2, 3, 5, 8, 21, 64, 65, 130}) {
      Indices indices(size);
      std::iota(indices.rbegin(), indices.rend(), std::uint64_t{0});
      const ProofBatch<D> batch(hasher, reference, indices, size);
      ASSERT_EQ(batch.proofs.offsets.size(), size + 1);
      for (std::size_t i = 0; i < size; ++i) {
        const std::vector<D> proof(
            batch.proofs.hashes.begin() + static_cast<std::ptrdiff_t>(batch.proofs.offsets[i]),
            batch.proofs.hashes.begin() + static_cast<std::ptrdiff_t>(batch.proofs.offsets[i + 1]));
        ASSERT_EQ(proof, reference.path(indices[i], size)) << indices[i] << " of " << size;
      }
      ASSERT_EQ(batch.verify(), std::vector(size, ProofVerdict::kValid)) << size;
    }
  });
}

TEST(MerkleBatch, EachWrongProofHasItsVerdictAndNoOther) {
  for_each_tree([&](const MerkleHasher& hasher, auto digest) {
    using D = decltype(digest);
    ReferenceTree<D> reference(hasher, 13);
    const Indices indices = {0, 12, 5, 5, 11};
    const ProofBatch<D> right(hasher, reference, indices, 13);
    const auto verdicts_are = [&](const ProofBatch<D>& batch, std::size_t wrong,
                                  ProofVerdict verdict) {
      std::vector<ProofVerdict> expected(indices.size(), ProofVerdict::kValid);
      expected[wrong] = verdict;
      EXPECT_EQ(batch.verify(), expected) << wrong;
    };
    for (std::size_t i = 0; i < indices.size(); ++i) {
      ProofBatch<D> batch = right;
      batch.leaf_hashes[i][3] ^= 2;
      verdicts_are(batch, i, ProofVerdict::kMismatch);
      batch = right;
      batch.indices[i] = 13;
      verdicts_are(batch, i, ProofVerdict::kNotInTree);
      batch.indices[i] = ~std::uint64_t{0};
      verdicts_are(batch, i, ProofVerdict::kNotInTree);
      for (std::uint64_t at = right.proofs.offsets[i]; at < right.proofs.offsets[i + 1]; ++at) {
        batch = right;
        batch.proofs.hashes[at][at % sizeof(D)] ^= 0x40;
        verdicts_are(batch, i, ProofVerdict::kMismatch);
        if (at == right.proofs.offsets[i] ||
            right.proofs.hashes[at] == right.proofs.hashes[at - 1]) {
          continue;
        }
        batch = right;
        std::swap(batch.proofs.hashes[at], batch.proofs.hashes[at - 1]);
        verdicts_are(batch, i, ProofVerdict::kMismatch);
      }
      // One more, one less.
      const auto end = static_cast<std::ptrdiff_t>(right.proofs.offsets[i + 1]);
      batch = right;
      batch.proofs.hashes.insert(batch.proofs.hashes.begin() + end, right.root);
      for (std::size_t k = i + 1; k <= indices.size(); ++k) ++batch.proofs.offsets[k];
      verdicts_are(batch, i, ProofVerdict::kWrongLength);
      batch = right;
      batch.proofs.hashes.erase(batch.proofs.hashes.begin() + end - 1);
      for (std::size_t k = i + 1; k <= indices.size(); ++k) --batch.proofs.offsets[k];
      verdicts_are(batch, i, ProofVerdict::kWrongLength);
    }
    ProofBatch<D> batch = right;
    batch.root[0] ^= 1;
    EXPECT_EQ(batch.verify(), std::vector(indices.size(), ProofVerdict::kMismatch));
    batch.size = 0;
    EXPECT_EQ(batch.verify(), std::vector(indices.size(), ProofVerdict::kNotInTree));
  });
}

TEST(ThreadsMerkle, ProofVerdictsDoNotDependOnTheirNumber) {
  for (const unsigned threads : {1U, 2U, 3U}) {
    const auto hasher =
        MerkleHasher::create(backend(), TreeProfile::kRfc9162, HashAlgorithm::kSha256, threads)
            .value();
    ReferenceTree<Digest> reference(hasher, 1000);
    Indices indices;
    for (std::uint64_t i = 0; i < 2500; ++i) indices.push_back(i * 7 % 1000);
    ProofBatch<Digest> batch(hasher, reference, indices, 1000);
    std::vector<ProofVerdict> expected(indices.size(), ProofVerdict::kValid);
    for (const std::size_t wrong : {0U, 1023U, 1024U, 2047U, 2499U}) {
      batch.leaf_hashes[wrong][0] ^= 1;
      expected[wrong] = ProofVerdict::kMismatch;
    }
    EXPECT_EQ(batch.verify(), expected) << threads;
  }
}

TEST(MerkleBatch, ShapesThatDoNotMatchAreErrors) {
  ReferenceTree<Digest> reference(backend(), 5);
  const ProofBatch<Digest> right(backend(), reference, {1, 4}, 5);
  const auto tree = MerkleTree::build(backend(), reference.leaf_hashes()).value();
  constexpr ErrorCode kBad = ErrorCode::kInvalidArgument;
  const auto verify = [&](const ProofBatch<Digest>& batch, std::size_t count) {
    std::vector<ProofVerdict> verdicts(count);
    return merkle_verify_inclusion_batch(backend(), batch.leaf_hashes, batch.indices, batch.size,
                                         batch.proofs.hashes, batch.proofs.offsets, batch.root,
                                         verdicts);
  };
  EXPECT_TRUE(verify(right, 2).ok());
  EXPECT_TRUE(fails_with(verify(right, 1), kBad, "verdicts"));
  ProofBatch<Digest> batch = right;
  batch.indices.pop_back();
  EXPECT_TRUE(fails_with(verify(batch, 2), kBad, "indices"));
  for (const std::vector<std::uint64_t>& offsets :
       {std::vector<std::uint64_t>{}, {0}, {0, 3}, {0, 3, 4, 4}, {0, 4, 3}, {0, 3, 5}}) {
    batch = right;
    batch.proofs.offsets = offsets;
    EXPECT_TRUE(fails_with(verify(batch, 2), kBad, "offsets"));
  }
  batch = right;
  batch.size = kTreeSizeMax + 1;
  EXPECT_TRUE(fails_with(verify(batch, 2), kBad, "size"));

  const auto prove = [&](const NodeReader& nodes, const Indices& indices, std::uint64_t size) {
    return merkle_prove_inclusion_batch(backend(), nodes, indices, size);
  };
  EXPECT_TRUE(fails_with(prove(tree.nodes(), {1, 5}, 5), kBad, "index"));
  EXPECT_TRUE(fails_with(prove(tree.nodes(), {0}, 0), kBad, "index"));
  EXPECT_TRUE(fails_with(prove(tree.nodes(), {1}, kTreeSizeMax + 1), kBad, "size"));
  EXPECT_TRUE(fails_with(prove({}, {1}, 5), kBad, "nodes"));
  EXPECT_TRUE(fails_with(prove(tree.nodes(), {4}, 6), ErrorCode::kNotFound, ""));
  EXPECT_EQ(prove(tree.nodes(), {}, 5)->offsets, Indices{0});
}

// --- One proof for all

template <class D>
void check_multiproof(const MerkleHasher& hasher, ReferenceTree<D>& reference,
                      const NodeReaderOf<D>& nodes, const std::set<std::uint64_t>& set,
                      std::size_t size) {
  const Indices indices(set.begin(), set.end());
  const auto proof = merkle_prove_multi<D>(hasher, nodes, indices, size).value();
  ASSERT_EQ(proof, reference.multiproof(set, size));
  ASSERT_EQ(merkle_multiproof_length(size, indices).value(), proof.size());
  const auto leaves = hashes_at(reference.leaf_hashes(), indices);
  ASSERT_TRUE(
      merkle_verify_multi<D>(hasher, leaves, indices, size, proof, reference.root(size)).ok());
}

TEST(MerkleMultiproof, EverySetOfLeavesOfSmallTrees) {
  const std::size_t size_max = number_of_cases(10, 8, 6);
  for_each_tree([&](const MerkleHasher& hasher, auto digest) {
    using D = decltype(digest);
    ReferenceTree<D> reference(hasher, size_max);
    for (std::size_t size = 1; size <= size_max; ++size) {
      const auto tree = MerkleTreeOf<D>::build(hasher, reference.leaf_hashes(size)).value();
      for (unsigned chosen = 1; chosen < 1U << size; ++chosen) {
        std::set<std::uint64_t> set;
        for (unsigned i = 0; i < size; ++i) {
          if ((chosen >> i & 1) != 0) set.insert(i);
        }
        check_multiproof(hasher, reference, tree.nodes(), set, size);
      }
    }
  });
}

TEST(MerkleMultiproof, SomeLeavesOfLargerTrees) {
  for_each_tree([&](const MerkleHasher& hasher, auto digest) {
    using D = decltype(digest);
    ReferenceTree<D> reference(hasher, 600);
    Random random(20);
    for (const std::size_t size : {100, 127, 128, 129, 600}) {
      const auto tree = MerkleTreeOf<D>::build(hasher, reference.leaf_hashes(size)).value();
      for (const std::size_t leaves : {1, 2, 17, 90}) {
        std::set<std::uint64_t> set;
        while (set.size() < leaves) set.insert(random.below(size));
        check_multiproof(hasher, reference, tree.nodes(), set, size);
      }
    }
  });
}

TEST(MerkleMultiproof, WrongOnesAreRefused) {
  for_each_tree([&](const MerkleHasher& hasher, auto digest) {
    using D = decltype(digest);
    ReferenceTree<D> reference(hasher, 13);
    for (const std::size_t size : {4, 5, 11, 13}) {
      const D root = reference.root(size);
      for (const Indices& indices : {Indices{0}, {1, 2}, {0, 3}, {0, 1, 2, 3}, {1, size - 1}}) {
        const std::set<std::uint64_t> set(indices.begin(), indices.end());
        const std::vector<D> leaves = hashes_at(reference.leaf_hashes(), indices);
        const std::vector<D> proof = reference.multiproof(set, size);
        const auto accepted = [&](const std::vector<D>& of, const Indices& at, const D& to,
                                  const std::vector<D>& with) {
          return merkle_verify_multi<D>(hasher, of, at, size, with, to).ok();
        };
        ASSERT_TRUE(accepted(leaves, indices, root, proof));
        for_each_wrong(proof, root, [&](const std::vector<D>& wrong) {
          EXPECT_FALSE(accepted(leaves, indices, root, wrong));
        });
        for_each_wrong(leaves, root, [&](const std::vector<D>& wrong) {
          EXPECT_FALSE(accepted(wrong, indices, root, proof));
        });
        D other = root;
        other[1] ^= 1;
        EXPECT_FALSE(accepted(leaves, indices, other, proof));
        Indices moved = indices;
        moved.back() = moved.back() + 1 == size ? moved.back() - 1 : moved.back() + 1;
        EXPECT_FALSE(accepted(leaves, moved, root, proof));
      }
    }
  });
}

// CVE-2023-34459: a proof that contains the root, and so can pass any leaves off as included, had
// its shape chosen by flags of its own. Here it is one hash too many, or hashed with the leaves.
TEST(MerkleMultiproof, TheRootInTheProofProvesNothing) {
  ReferenceTree<Digest> reference(backend(), 8);
  const Digest root = reference.root(8);
  const std::vector<Digest> forged = {Digest{1}, Digest{2}};
  const Indices indices = {0, 1};
  for (std::size_t length = 0; length <= 6; ++length) {
    for (std::size_t at = 0; at < length; ++at) {
      std::vector<Digest> proof = reference.multiproof({0, 1}, 8);
      proof.resize(length);
      proof[at] = root;
      EXPECT_FALSE(merkle_verify_multi(backend(), forged, indices, 8, proof, root).ok());
    }
  }
  // Nor does a proof of no leaves, which would be the root alone.
  EXPECT_TRUE(fails_with(merkle_verify_multi(backend(), {}, {}, 8, std::span(&root, 1), root),
                         ErrorCode::kInvalidArgument, "indices"));
}

// CVE-2012-2459: five leaves taken for six, the last with its copy, both known or one proved.
TEST(MerkleMultiproof, ACopyIsRefused) {
  const auto hasher =
      MerkleHasher::create(backend(), TreeProfile::kBitcoin, HashAlgorithm::kSha256).value();
  ReferenceTree<Digest> reference(hasher, 5);
  const Digest root = reference.root(5);
  const Digest last = reference.leaf_hashes()[4];
  const Digest left = reference.hash_of(0, 4);
  const auto verify = [&](const std::vector<Digest>& leaves, const Indices& indices,
                          std::uint64_t size, const std::vector<Digest>& proof) {
    return merkle_verify_multi(hasher, leaves, indices, size, proof, root);
  };
  EXPECT_TRUE(verify({last}, {4}, 5, {left}).ok());
  constexpr ErrorCode kRefused = ErrorCode::kInvalidSignature;
  EXPECT_TRUE(fails_with(verify({last, last}, {4, 5}, 6, {left}), kRefused, "proof"));
  EXPECT_TRUE(fails_with(verify({last}, {4}, 6, {last, left}), kRefused, "proof"));
  EXPECT_TRUE(fails_with(verify({last}, {5}, 6, {last, left}), kRefused, "proof"));
}

TEST(MerkleMultiproof, WhatIsNoSetOfLeavesIsAnError) {
  ReferenceTree<Digest> reference(backend(), 8);
  const auto tree = MerkleTree::build(backend(), reference.leaf_hashes()).value();
  const std::vector<Digest> leaves(3);
  constexpr ErrorCode kBad = ErrorCode::kInvalidArgument;
  const auto refused = [&](const Indices& indices, std::uint64_t size, ErrorCode code,
                           std::string_view field) {
    EXPECT_TRUE(fails_with(merkle_multiproof_length(size, indices), code, field));
    EXPECT_TRUE(
        fails_with(merkle_prove_multi(backend(), tree.nodes(), indices, size), code, field));
    const std::vector<Digest> hashes(indices.size());
    EXPECT_TRUE(fails_with(merkle_verify_multi(backend(), hashes, indices, size, {}, leaves[0]),
                           code, field));
  };
  refused({}, 8, kBad, "indices");
  refused({1, 1}, 8, kBad, "indices");
  refused({2, 1}, 8, kBad, "indices");
  refused({1, 8}, 8, kBad, "index");
  refused({0}, 0, kBad, "index");
  refused({~std::uint64_t{0}}, 8, kBad, "index");
  refused({0}, kTreeSizeMax + 1, kBad, "size");
  Indices many(kProvedLeavesMax + 1);
  std::iota(many.begin(), many.end(), std::uint64_t{0});
  refused(many, kTreeSizeMax, ErrorCode::kLimitExceeded, "indices");
  EXPECT_TRUE(fails_with(merkle_prove_inclusion_batch(backend(), tree.nodes(), many, 8),
                         ErrorCode::kLimitExceeded, "indices"));
  EXPECT_NE(merkle_multiproof_length(kTreeSizeMax, many)
                .error()
                .message.find("kProvedLeavesMax, 1048576"),
            std::string::npos);

  const Indices three = {1, 2, 3};
  EXPECT_TRUE(fails_with(
      merkle_verify_multi(backend(), std::span(leaves).first(2), three, 8, {}, leaves[0]), kBad,
      "leaf_hashes"));
  EXPECT_TRUE(fails_with(merkle_prove_multi(backend(), {}, three, 8), kBad, "nodes"));
  EXPECT_TRUE(
      fails_with(merkle_verify_multi(backend(), leaves, three, 8, {}, leaves[0]), kBad, "proof"));
}

}  // namespace
}  // namespace colophon::test
