// SPDX-License-Identifier: Apache-2.0
//
// RFC 9162 §2.1 against its own recursive definitions, for every tree of up to 300 leaves (the
// short form: 140; of a debug build: 70).
#include "colophon/merkle.hpp"

#include <gtest/gtest.h>

#include "batch_builder.h"
#include "openssl_digest.h"
#include "tests/effort.h"

namespace colophon::test {
namespace {

const std::size_t kLeaves = number_of_cases(300, 140, 70);

// --- The RFC's definitions, word for word

using Hashes = std::vector<Digest>;

Digest node(const Digest& left, const Digest& right) {
  Bytes bytes = {0x01};
  bytes.insert(bytes.end(), left.begin(), left.end());
  bytes.insert(bytes.end(), right.begin(), right.end());
  return sha256(bytes);
}

std::size_t split(std::size_t n) {
  std::size_t k = 1;
  while (2 * k < n) k *= 2;
  return k;
}

// MTH(D[begin:end]), from leaf hashes; computed anew each time.
Digest mth(const Hashes& d, std::size_t begin, std::size_t end) {
  if (begin == end) return sha256({});
  if (end - begin == 1) return d[begin];
  const std::size_t k = begin + split(end - begin);
  return node(mth(d, begin, k), mth(d, k, end));
}

Hashes path(std::size_t m, const Hashes& d, std::size_t begin, std::size_t end) {
  if (end - begin == 1) return {};
  const std::size_t k = split(end - begin);
  Hashes proof = m < k ? path(m, d, begin, begin + k) : path(m - k, d, begin + k, end);
  proof.push_back(m < k ? mth(d, begin + k, end) : mth(d, begin, begin + k));
  return proof;
}

Hashes subproof(std::size_t m, const Hashes& d, std::size_t begin, std::size_t end, bool whole) {
  const std::size_t n = end - begin;
  if (m == n) return whole ? Hashes{} : Hashes{mth(d, begin, end)};
  const std::size_t k = split(n);
  Hashes proof =
      m <= k ? subproof(m, d, begin, begin + k, whole) : subproof(m - k, d, begin + k, end, false);
  proof.push_back(m <= k ? mth(d, begin + k, end) : mth(d, begin, begin + k));
  return proof;
}

// --- Material

Hashes some_leaves(std::size_t count) {
  Column column;
  for (std::size_t i = 0; i < count; ++i) column.add(bytes_of("leaf " + std::to_string(i)));
  Hashes hashes(count);
  EXPECT_TRUE(merkle_leaf_hashes(backend(), column.slices(), hashes).ok());
  return hashes;
}

Digest digest_of(const char* text) {
  const Bytes bytes = unhex(text);
  Digest digest;
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  return digest;
}

ErrorCode code_of(const Result<void>& result) {
  return result ? static_cast<ErrorCode>(0) : result.error().code;
}

// --- Tests

TEST(Merkle, PublishedRootsOfTheCertificateTransparencyTree) {
  const Bytes leaves = unhex(
      "00102021303140414243505152535455565760616263646566676869"
      "6a6b6c6d6e6f");
  const std::uint64_t offsets[] = {0, 0, 1, 2, 4, 6, 10, 18, 34};
  const char* const roots[] = {"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                               "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                               "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
                               "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
                               "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                               "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
                               "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
                               "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
                               "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
  Hashes hashes(8);
  ASSERT_TRUE(merkle_leaf_hashes(backend(), Slices{leaves, offsets}, hashes).ok());
  for (std::size_t size = 0; size <= 8; ++size) {
    EXPECT_EQ(merkle_root(backend(), std::span(hashes).first(size)).value(), digest_of(roots[size]))
        << size;
  }
}

TEST(Merkle, RootsAndInclusionProofsOfEveryTree) {
  const Hashes leaves = some_leaves(kLeaves);
  for (std::size_t size = 0; size <= kLeaves; ++size) {
    const Hashes d(leaves.begin(), leaves.begin() + static_cast<long>(size));
    const Digest root = mth(d, 0, size);
    ASSERT_EQ(merkle_root(backend(), d).value(), root) << size;
    const MerkleTree tree = MerkleTree::build(backend(), d).value();
    ASSERT_EQ(tree.size(), size);
    ASSERT_EQ(merkle_root_from_nodes(backend(), tree.nodes(), size).value(), root) << size;
    // All positions of trees on both sides of 128 leaves, a spread of them in larger ones.
    for (std::size_t index = 0; index < size; index += size <= 130 ? 1 : 1 + size / 23) {
      const Hashes proof = merkle_prove_inclusion(backend(), tree.nodes(), index, size).value();
      ASSERT_EQ(proof, path(index, d, 0, size)) << index << " of " << size;
      ASSERT_TRUE(merkle_verify_inclusion(backend(), d[index], index, size, proof, root).ok());
    }
  }
}

// RFC 9162 §2.1.3.2, step by step.
bool leads_to_root(const Digest& leaf, std::size_t index, std::size_t size, const Hashes& proof,
                   const Digest& root) {
  if (index >= size) return false;
  std::size_t fn = index;
  std::size_t sn = size - 1;
  Digest r = leaf;
  for (const Digest& p : proof) {
    if (sn == 0) return false;
    if (fn % 2 == 1 || fn == sn) {
      r = node(p, r);
      while (fn % 2 == 0 && fn != 0) {
        fn /= 2;
        sn /= 2;
      }
    } else {
      r = node(r, p);
    }
    fn /= 2;
    sn /= 2;
  }
  return sn == 0 && r == root;
}

// Refused but where the leaf has the same path: of that the root says nothing.
TEST(Merkle, AProofForAnotherSizeHoldsOnlyWhereTheRfcHasIt) {
  const std::size_t size_max = number_of_cases(40, 18, 12);
  const Hashes leaves = some_leaves(size_max);
  std::size_t held = 0;
  for (std::size_t size = 1; size <= size_max; ++size) {
    const Hashes d(leaves.begin(), leaves.begin() + static_cast<long>(size));
    const Digest root = mth(d, 0, size);
    for (std::size_t index = 0; index < size; ++index) {
      const Hashes proof = path(index, d, 0, size);
      for (std::size_t other = 1; other <= 2 * size_max; ++other) {
        const bool holds = leads_to_root(d[index], index, other, proof, root);
        ASSERT_EQ(merkle_verify_inclusion(backend(), d[index], index, other, proof, root).ok(),
                  holds)
            << index << " of " << size << " as of " << other;
        if (other != size && holds) ++held;
      }
    }
  }
  EXPECT_GT(held, 0U);
}

TEST(Merkle, ConsistencyProofsOfEveryPairOfTrees) {
  const Hashes leaves = some_leaves(kLeaves);
  Hashes roots;
  for (std::size_t size = 0; size <= kLeaves; ++size) {
    roots.push_back(merkle_root(backend(), std::span(leaves).first(size)).value());
  }
  const MerkleTree tree = MerkleTree::build(backend(), leaves).value();
  for (std::size_t to = 1; to <= kLeaves; ++to) {
    for (std::size_t from = 1; from <= to; from += to <= 130 ? 1 : 1 + to / 23) {
      const Hashes proof = merkle_prove_consistency(backend(), tree.nodes(), from, to).value();
      ASSERT_EQ(proof, subproof(from, leaves, 0, to, true)) << from << " to " << to;
      ASSERT_TRUE(
          merkle_verify_consistency(backend(), from, to, roots[from], roots[to], proof).ok())
          << from << " to " << to;
    }
  }
}

TEST(Merkle, ProvesFromTheNodesOfALargerTree) {
  const Hashes leaves = some_leaves(100);
  const MerkleTree tree = MerkleTree::build(backend(), leaves).value();
  for (std::size_t size = 1; size <= 100; ++size) {
    const Hashes d(leaves.begin(), leaves.begin() + static_cast<long>(size));
    EXPECT_EQ(merkle_prove_inclusion(backend(), tree.nodes(), size / 2, size).value(),
              path(size / 2, d, 0, size));
  }
}

TEST(Merkle, EveryMutatedInclusionProofIsRefused) {
  constexpr std::size_t kMax = 40;
  const Hashes leaves = some_leaves(kMax);
  for (std::size_t size = 1; size <= kMax; ++size) {
    const Hashes d(leaves.begin(), leaves.begin() + static_cast<long>(size));
    const Digest root = mth(d, 0, size);
    for (std::size_t index = 0; index < size; ++index) {
      const Hashes proof = path(index, d, 0, size);
      const auto refused = [&](const Digest& leaf, std::uint64_t at, std::uint64_t of,
                               const Hashes& with, const Digest& to) {
        EXPECT_FALSE(merkle_verify_inclusion(backend(), leaf, at, of, with, to).ok())
            << index << " of " << size;
      };
      Digest other_leaf = d[index];
      other_leaf[5] ^= 1;
      refused(other_leaf, index, size, proof, root);
      Digest other_root = root;
      other_root[31] ^= 0x80;
      refused(d[index], index, size, proof, other_root);
      for (std::size_t other = 0; other < size; ++other) {
        if (other != index) refused(d[index], other, size, proof, root);
      }
      refused(d[index], index, index, proof, root);
      for (std::size_t i = 0; i < proof.size(); ++i) {
        Hashes changed = proof;
        changed[i][i % 32] ^= 4;
        refused(d[index], index, size, changed, root);
        Hashes shorter = proof;
        shorter.erase(shorter.begin() + static_cast<long>(i));
        refused(d[index], index, size, shorter, root);
        if (i != 0 && proof[i] != proof[i - 1]) {
          Hashes swapped = proof;
          std::swap(swapped[i], swapped[i - 1]);
          refused(d[index], index, size, swapped, root);
        }
      }
      Hashes longer = proof;
      longer.push_back(root);
      refused(d[index], index, size, longer, root);
      longer = proof;
      longer.insert(longer.begin(), d[index]);
      refused(d[index], index, size, longer, root);
    }
  }
}

TEST(Merkle, EveryMutatedConsistencyProofIsRefused) {
  constexpr std::size_t kMax = 33;
  const Hashes d = some_leaves(kMax);
  for (std::size_t to = 1; to <= kMax; ++to) {
    for (std::size_t from = 1; from <= to; ++from) {
      const Hashes proof = subproof(from, d, 0, to, true);
      const Digest from_root = mth(d, 0, from);
      const Digest to_root = mth(d, 0, to);
      const auto refused = [&](std::uint64_t m, std::uint64_t n, const Digest& old_root,
                               const Digest& new_root, const Hashes& with) {
        EXPECT_FALSE(merkle_verify_consistency(backend(), m, n, old_root, new_root, with).ok())
            << from << " to " << to;
      };
      Digest bad_from = from_root;
      bad_from[0] ^= 1;
      Digest bad_to = to_root;
      bad_to[0] ^= 1;
      refused(from, to, bad_from, to_root, proof);
      refused(from, to, from_root, bad_to, proof);
      if (from != to) refused(from, to, to_root, from_root, proof);
      for (std::size_t other = 1; other <= to; ++other) {
        if (other != from) refused(other, to, from_root, to_root, proof);
      }
      for (std::size_t i = 0; i < proof.size(); ++i) {
        Hashes changed = proof;
        changed[i][i % 32] ^= 8;
        refused(from, to, from_root, to_root, changed);
        Hashes shorter = proof;
        shorter.erase(shorter.begin() + static_cast<long>(i));
        refused(from, to, from_root, to_root, shorter);
        if (i != 0 && proof[i] != proof[i - 1]) {
          Hashes swapped = proof;
          std::swap(swapped[i], swapped[i - 1]);
          refused(from, to, from_root, to_root, swapped);
        }
      }
      Hashes longer = proof;
      longer.push_back(to_root);
      refused(from, to, from_root, to_root, longer);
      longer = proof;
      longer.insert(longer.begin(), from_root);
      refused(from, to, from_root, to_root, longer);
    }
  }
}

// CVE-2012-2459: a tree whose last leaf is written twice must not have the same root.
TEST(Merkle, RepeatedLastLeafIsAnotherTree) {
  Hashes leaves = some_leaves(3);
  const Digest root = merkle_root(backend(), leaves).value();
  leaves.push_back(leaves.back());
  EXPECT_NE(merkle_root(backend(), leaves).value(), root);
}

// CVE-2017-12842: 64 bytes that are two node hashes must not hash as a leaf to the node's hash.
TEST(Merkle, ALeafThatLooksLikeANodeIsNone) {
  const Hashes leaves = some_leaves(2);
  Bytes forged(leaves[0].begin(), leaves[0].end());
  forged.insert(forged.end(), leaves[1].begin(), leaves[1].end());
  Column column;
  column.add(forged);
  Hashes hash(1);
  ASSERT_TRUE(merkle_leaf_hashes(backend(), column.slices(), hash).ok());
  const Digest root = merkle_root(backend(), leaves).value();
  EXPECT_NE(hash[0], root);
  EXPECT_FALSE(merkle_verify_inclusion(backend(), hash[0], 0, 1, {}, root).ok());
}

TEST(Merkle, ArgumentsOutOfRangeAreErrors) {
  const Hashes leaves = some_leaves(5);
  const MerkleTree tree = MerkleTree::build(backend(), leaves).value();
  const NodeReader nodes = tree.nodes();
  const Digest root = merkle_root(backend(), leaves).value();
  constexpr ErrorCode kBad = ErrorCode::kInvalidArgument;
  const auto prove = [&](std::uint64_t index, std::uint64_t size) {
    return merkle_prove_inclusion(backend(), nodes, index, size);
  };
  const auto grow = [&](std::uint64_t from, std::uint64_t to) {
    return merkle_prove_consistency(backend(), nodes, from, to);
  };
  EXPECT_EQ(prove(5, 5).error().code, kBad);
  EXPECT_EQ(prove(0, 0).error().code, kBad);
  EXPECT_EQ(prove(0, kTreeSizeMax + 1).error().code, kBad);
  EXPECT_EQ(grow(0, 5).error().code, kBad);
  EXPECT_EQ(grow(6, 5).error().code, kBad);
  EXPECT_EQ(grow(1, kTreeSizeMax + 1).error().code, kBad);
  EXPECT_TRUE(grow(5, 5).value().empty());
  constexpr std::uint64_t kHuge = ~std::uint64_t{0};
  EXPECT_EQ(prove(kHuge, 5).error().code, kBad);
  EXPECT_EQ(prove(kHuge - 1, kHuge).error().code, kBad);
  EXPECT_EQ(grow(kHuge, 5).error().code, kBad);
  EXPECT_EQ(grow(kHuge - 1, kHuge).error().code, kBad);
  EXPECT_EQ(merkle_root_from_nodes(backend(), nodes, kTreeSizeMax + 1).error().code, kBad);
  EXPECT_EQ(merkle_prove_inclusion(backend(), {}, 0, 5).error().code, kBad);
  EXPECT_EQ(merkle_prove_consistency(backend(), {}, 1, 5).error().code, kBad);
  EXPECT_EQ(merkle_root_from_nodes(backend(), {}, 5).error().code, kBad);
  // The reader's own error comes through.
  EXPECT_EQ(prove(4, 6).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(code_of(merkle_verify_inclusion(backend(), leaves[0], 5, 5, {}, root)), kBad);
  EXPECT_EQ(code_of(merkle_verify_inclusion(backend(), leaves[0], ~std::uint64_t{0},
                                            ~std::uint64_t{0}, {}, root)),
            kBad);
  EXPECT_EQ(code_of(merkle_verify_inclusion(backend(), leaves[0], 0, 5, {}, root)), kBad);
  EXPECT_EQ(code_of(merkle_verify_inclusion(backend(), leaves[0], 0, 0, {}, root)), kBad);
  EXPECT_EQ(code_of(merkle_verify_inclusion(backend(), leaves[0], kHuge, 5, {}, root)), kBad);
  EXPECT_EQ(code_of(merkle_verify_consistency(backend(), 1, kHuge, root, root, {})), kBad);
  EXPECT_EQ(code_of(merkle_verify_consistency(backend(), kHuge, kHuge, root, root, {})), kBad);
  EXPECT_EQ(code_of(merkle_verify_consistency(backend(), 0, 0, root, root, {})), kBad);
  EXPECT_EQ(code_of(merkle_verify_consistency(backend(), 0, 5, root, root, {})), kBad);
  EXPECT_EQ(code_of(merkle_verify_consistency(backend(), 5, 4, root, root, {})), kBad);
  EXPECT_EQ(code_of(merkle_verify_consistency(backend(), 5, 5, root, root, {})),
            static_cast<ErrorCode>(0));
  EXPECT_EQ(code_of(merkle_verify_consistency(backend(), 5, 5, root, leaves[0], {})),
            ErrorCode::kInvalidSignature);
  Hashes too_few(4);
  Column column;
  for (int i = 0; i < 5; ++i) column.add({});
  EXPECT_EQ(code_of(merkle_leaf_hashes(backend(), column.slices(), too_few)), kBad);
}

TEST(Merkle, MoreLeavesThanATreeStoresAreRefused) {
  if (!is_long()) GTEST_SKIP() << "takes two gigabytes: set COLOPHON_TEST_LONG=1";
  const auto tree = MerkleTree::build(backend(), Hashes(kStoredLeavesMax + 1));
  ASSERT_FALSE(tree);
  EXPECT_EQ(tree.error().code, ErrorCode::kLimitExceeded);
  EXPECT_EQ(tree.error().field, "leaf_hashes");
}

// The largest tree, whose nodes are all alike, so that it need not exist. Counts the reads, too.
TEST(Merkle, LargestTreeTakesLogarithmicallyManyReads) {
  Hashes levels = {some_leaves(1)[0]};
  while (levels.size() <= 48) levels.push_back(node(levels.back(), levels.back()));
  int reads = 0;
  const auto reader_of = [&](std::uint64_t size) -> NodeReader {
    return [&, size](unsigned level, std::uint64_t index) -> Result<Digest> {
      ++reads;
      EXPECT_LE((index + 1) << level, size);
      return levels[level];
    };
  };
  for (const std::uint64_t size :
       {kTreeSizeMax, kTreeSizeMax - 1, kTreeSizeMax / 2 + 1, kTreeSizeMax / 3}) {
    const NodeReader nodes = reader_of(size);
    const Digest root = merkle_root_from_nodes(backend(), nodes, size).value();
    for (const std::uint64_t index : {std::uint64_t{0}, size / 3, size / 2, size - 1}) {
      reads = 0;
      const Hashes proof = merkle_prove_inclusion(backend(), nodes, index, size).value();
      EXPECT_LE(reads, 96);
      EXPECT_LE(proof.size(), kProofHashesMax);
      EXPECT_TRUE(merkle_verify_inclusion(backend(), levels[0], index, size, proof, root).ok());
    }
    for (const std::uint64_t from : {std::uint64_t{1}, size / 3, size / 2 + 1, size - 1}) {
      reads = 0;
      const Hashes proof = merkle_prove_consistency(backend(), nodes, from, size).value();
      EXPECT_LE(reads, 2 * 96);
      const Digest from_root = merkle_root_from_nodes(backend(), nodes, from).value();
      EXPECT_TRUE(merkle_verify_consistency(backend(), from, size, from_root, root, proof).ok());
    }
  }
}

}  // namespace
}  // namespace colophon::test
