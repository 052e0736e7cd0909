// SPDX-License-Identifier: Apache-2.0
#include "colophon/merkle_frontier.hpp"

#include <algorithm>
#include <bit>
#include <string>
#include <utility>

#include "merkle_tree.h"

namespace colophon {

template <class D>
Result<MerkleFrontierOf<D>> MerkleFrontierOf<D>::create(const MerkleHasher& hasher) {
  COLOPHON_TRY(merkle::check_digest_size(hasher, sizeof(D)));
  return MerkleFrontierOf(hasher);
}

template <class D>
Result<MerkleFrontierOf<D>> MerkleFrontierOf<D>::from(const MerkleHasher& hasher,
                                                      std::uint64_t size,
                                                      std::span<const D> hashes) {
  COLOPHON_TRY_ASSIGN(MerkleFrontierOf frontier, create(hasher));
  COLOPHON_TRY(merkle::check_tree_size(size, "size"));
  COLOPHON_TRY(merkle::check_count(hashes.size(), "hashes",
                                   static_cast<std::size_t>(std::popcount(size)),
                                   "a tree of this size"));
  frontier.size_ = size;
  frontier.hashes_.assign(hashes.begin(), hashes.end());
  return frontier;
}

template <class D>
Result<void> MerkleFrontierOf<D>::append(std::span<const D> leaf_hashes) {
  if (leaf_hashes.size() > kTreeSizeMax - size_) {
    return make_error(ErrorCode::kLimitExceeded,
                      "with " + std::to_string(leaf_hashes.size()) + " more leaves the tree of " +
                          std::to_string(size_) + " would have more than kTreeSizeMax, " +
                          std::to_string(kTreeSizeMax),
                      "leaf_hashes");
  }
  const std::uint64_t size = size_ + leaf_hashes.size();
  std::vector<D> kept = hashes_;  // complete subtrees that stay so, the smallest last
  std::vector<D> added;           // the others, from the smallest
  std::vector<D> buffer(leaf_hashes.size() / 2 + 1);
  const D* nodes = leaf_hashes.data();  // those of this level that are new
  std::size_t count = leaf_hashes.size();
  for (unsigned level = 0; count != 0; ++level) {
    D* parents = buffer.data();
    if ((size_ >> level & 1) != 0) {  // the old subtree gets its right sibling
      const D pair[2] = {kept.back(), nodes[0]};
      kept.pop_back();
      COLOPHON_TRY(merkle::check_pairs(hasher_, pair, 1));
      ++nodes;
      --count;
      // In place, this is the node that was just read.
      COLOPHON_TRY(merkle::hash_pairs(hasher_, pair, 1, parents));
      ++parents;
    }
    if (count % 2 != 0) added.push_back(nodes[count - 1]);
    COLOPHON_TRY(merkle::check_pairs(hasher_, nodes, count / 2));
    COLOPHON_TRY(merkle::hash_pairs(hasher_, nodes, count / 2, parents));
    count = static_cast<std::size_t>(parents - buffer.data()) + count / 2;
    nodes = buffer.data();
  }
  kept.insert(kept.end(), added.rbegin(), added.rend());
  size_ = size;
  hashes_ = std::move(kept);
  return {};
}

template <class D>
Result<D> MerkleFrontierOf<D>::root() const {
  if (size_ == 0) return merkle_root<D>(hasher_, {});
  return merkle::edge_of<D>(hasher_, size_, hashes_).root();
}

template class MerkleFrontierOf<Digest>;
template class MerkleFrontierOf<Digest64>;

}  // namespace colophon
