// SPDX-License-Identifier: Apache-2.0
//
// Trees of every profile and hash by their recursive definition, hashed message by message, and
// lists of hashes that are almost right.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "batch_builder.h"
#include "colophon/merkle.hpp"

namespace colophon::test {

template <class D>
class ReferenceTree {
 public:
  // Of leaves "leaf 0", "leaf 1", …
  ReferenceTree(const MerkleHasher& hasher, std::size_t leaves) : hasher_(hasher) {
    for (std::size_t i = 0; i < leaves; ++i) {
      const Bytes leaf = bytes_of("leaf " + std::to_string(i));
      column_.add(leaf);
      leaf_hashes_.push_back(hash(rfc() ? joined({0x00}, leaf) : leaf));
    }
  }

  [[nodiscard]] Slices leaves() const { return column_.slices(); }
  [[nodiscard]] const std::vector<D>& leaf_hashes() const { return leaf_hashes_; }
  [[nodiscard]] std::vector<D> leaf_hashes(std::size_t size) const {
    return {leaf_hashes_.begin(), leaf_hashes_.begin() + static_cast<std::ptrdiff_t>(size)};
  }

  // Of the leaves [begin, end), at most 2^height.
  D hash_of(std::size_t begin, std::size_t end, unsigned height) {
    if (height == 0) return leaf_hashes_[begin];
    const bool complete = end - begin == std::size_t{1} << height;
    const auto known = known_.find({begin, height});
    if (complete && known != known_.end()) return known->second;
    const std::size_t middle = begin + (std::size_t{1} << (height - 1));
    const D left = hash_of(begin, std::min(middle, end), height - 1);
    if (middle >= end) return bitcoin() ? parent(left, left) : left;
    const D both = parent(left, hash_of(middle, end, height - 1));
    if (complete) known_.emplace(std::pair(begin, height), both);
    return both;
  }

  D hash_of(std::size_t begin, std::size_t end) {
    return hash_of(begin, end, static_cast<unsigned>(std::bit_width(end - begin - 1)));
  }

  D root(std::size_t size) {
    if (size == 0) return bitcoin() ? D{} : hash({});
    return hash_of(0, size);
  }

  D node(unsigned level, std::size_t index, std::size_t size) {
    return hash_of(index << level, std::min(size, (index + 1) << level), level);
  }

  std::vector<D> path(std::size_t index, std::size_t size) {
    std::vector<D> proof;
    for (unsigned level = 0; (size - 1) >> level != 0; ++level) {
      const std::size_t at = index >> level;
      const bool lone = at % 2 == 0 && at == (size - 1) >> level;
      if (!lone) proof.push_back(node(level, at ^ 1, size));
      if (lone && bitcoin()) proof.push_back(node(level, at, size));
    }
    return proof;
  }

  // The nodes without a leaf of the set under them, beside one that has.
  std::vector<D> multiproof(const std::set<std::uint64_t>& indices, std::size_t size) {
    std::vector<D> proof;
    for (unsigned level = 0; (size - 1) >> level != 0; ++level) {
      const auto has_leaf = [&](std::size_t at) {
        const auto first = indices.lower_bound(at << level);
        return first != indices.end() && *first >> level == at;
      };
      for (std::size_t at = 0; at <= (size - 1) >> level; ++at) {
        if (!has_leaf(at) && has_leaf(at ^ 1)) proof.push_back(node(level, at, size));
      }
    }
    return proof;
  }

  D parent(const D& left, const D& right) {
    Bytes bytes;
    if (rfc()) bytes.push_back(0x01);
    bytes.insert(bytes.end(), left.begin(), left.end());
    bytes.insert(bytes.end(), right.begin(), right.end());
    return hash(bytes);
  }

 private:
  [[nodiscard]] bool rfc() const { return hasher_.profile() == TreeProfile::kRfc9162; }
  [[nodiscard]] bool bitcoin() const { return hasher_.profile() == TreeProfile::kBitcoin; }

  [[nodiscard]] D hash(const Bytes& message) const {
    D digest = once(message);
    if (bitcoin()) digest = once(digest);
    return digest;
  }
  [[nodiscard]] D once(ByteSpan message) const {
    const std::uint64_t offsets[2] = {0, message.size()};
    D digest{};
    EXPECT_TRUE(hash_batch(hasher_.backend(), hasher_.algorithm(), Slices{message, offsets},
                           std::span<std::uint8_t>(digest))
                    .ok());
    return digest;
  }

  MerkleHasher hasher_;
  Column column_;
  std::vector<D> leaf_hashes_;
  std::map<std::pair<std::size_t, unsigned>, D> known_;  // complete subtrees
};

inline constexpr TreeProfile kTreeProfiles[] = {TreeProfile::kRfc9162, TreeProfile::kPlainPairs,
                                                TreeProfile::kBitcoin};
inline constexpr HashAlgorithm kHashAlgorithms[] = {HashAlgorithm::kSha256, HashAlgorithm::kSha512,
                                                    HashAlgorithm::kSm3, HashAlgorithm::kBlake3,
                                                    HashAlgorithm::kKeccak256};

// check(hasher, D{}) for each profile with each hash that it may have and the backend has.
template <class Check>
void for_each_tree(const Check& check) {
  for (const TreeProfile profile : kTreeProfiles) {
    for (const HashAlgorithm algorithm : kHashAlgorithms) {
      if (profile == TreeProfile::kBitcoin && algorithm != HashAlgorithm::kSha256) continue;
      const auto hasher = MerkleHasher::create(backend(), profile, algorithm);
      if (!hasher) {
        ASSERT_EQ(hasher.error().code, ErrorCode::kUnsupported) << hasher.error().message;
        continue;
      }
      SCOPED_TRACE(std::string(tree_profile_name(profile)) + " with " +
                   std::string(hash_name(algorithm)));
      if (digest_bytes(algorithm) == sizeof(Digest64)) {
        check(*hasher, Digest64{});
      } else {
        check(*hasher, Digest{});
      }
    }
  }
}

// check(list) for lists that differ from `hashes` in a bit, by one hash more or less, or in order.
template <class D, class Check>
void for_each_wrong(const std::vector<D>& hashes, const D& stray, const Check& check) {
  for (std::size_t i = 0; i < hashes.size(); ++i) {
    const auto here = static_cast<std::ptrdiff_t>(i);
    std::vector<D> wrong = hashes;
    wrong[i][(7 * i + 3) % sizeof(D)] ^= static_cast<std::uint8_t>(1U << i % 8);
    check(wrong);
    wrong = hashes;
    wrong.erase(wrong.begin() + here);
    check(wrong);
    wrong = hashes;
    wrong.insert(wrong.begin() + here, hashes[i]);
    check(wrong);
    if (i == 0 || hashes[i] == hashes[i - 1]) continue;
    wrong = hashes;
    std::swap(wrong[i], wrong[i - 1]);
    check(wrong);
  }
  for (const bool in_front : {false, true}) {
    std::vector<D> longer = hashes;
    longer.insert(in_front ? longer.begin() : longer.end(), stray);
    check(longer);
  }
}

// Where it is not this error, the failure says what it was instead.
template <class T>
::testing::AssertionResult fails_with(const Result<T>& result, ErrorCode code,
                                      std::string_view field) {
  if (result) return ::testing::AssertionFailure() << "no error";
  const Error& error = result.error();
  if (error.code == code && error.field == field) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << error_code_name(error.code) << " of '" << error.field << "': " << error.message;
}

}  // namespace colophon::test
