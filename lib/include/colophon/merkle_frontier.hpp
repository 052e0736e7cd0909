// SPDX-License-Identifier: Apache-2.0
//
// A Merkle tree that only grows, kept as its right edge: the complete subtrees whose sizes are the
// one bits of the number of leaves. 48 hashes at most, whatever the tree's size.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "colophon/error.hpp"
#include "colophon/merkle.hpp"

namespace colophon {

// To be used by one thread at a time.
template <class D>
class MerkleFrontierOf {
 public:
  // Of no leaves. Error kInvalidArgument: digests of another size than D.
  [[nodiscard]] static Result<MerkleFrontierOf> create(const MerkleHasher& hasher);
  // As hashes() and size() were. Error kInvalidArgument: not one hash for each one bit of `size`,
  // or more than kTreeSizeMax leaves.
  [[nodiscard]] static Result<MerkleFrontierOf> from(const MerkleHasher& hasher, std::uint64_t size,
                                                     std::span<const D> hashes);

  // On one thread, with memory for half of `leaf_hashes`. After an error all is as it was. Errors:
  // kLimitExceeded (more than kTreeSizeMax leaves), kMalformed as merkle_root.
  [[nodiscard]] Result<void> append(std::span<const D> leaf_hashes);

  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  // The complete subtrees, the largest first: one for each one bit of size().
  [[nodiscard]] std::span<const D> hashes() const noexcept { return hashes_; }
  [[nodiscard]] Result<D> root() const;

 private:
  explicit MerkleFrontierOf(const MerkleHasher& hasher) : hasher_(hasher) {}

  MerkleHasher hasher_;
  std::uint64_t size_ = 0;
  std::vector<D> hashes_;
};
using MerkleFrontier = MerkleFrontierOf<Digest>;

}  // namespace colophon
