// SPDX-License-Identifier: Apache-2.0
//
// What the files of the Merkle trees share: the profiles' forms, checks of arguments, the way from
// a node to the root, and the right edge.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "backend_implementation.h"
#include "colophon/merkle.hpp"

namespace colophon::merkle {

// --- Profiles

[[nodiscard]] HashForm leaf_form(const MerkleHasher& hasher);
[[nodiscard]] HashForm node_form(const MerkleHasher& hasher);
// A lone node is paired with itself, not moved up.
[[nodiscard]] inline bool copies_lone_node(const MerkleHasher& hasher) {
  return hasher.profile() == TreeProfile::kBitcoin;
}

// --- Arguments

[[nodiscard]] Error bad_argument(std::string message, const char* field);
[[nodiscard]] Result<void> check_digest_size(const MerkleHasher& hasher, std::size_t bytes);
[[nodiscard]] Result<void> check_tree_size(std::uint64_t size, const char* field);
[[nodiscard]] Result<void> check_leaf_in_tree(std::uint64_t index, std::uint64_t size);
[[nodiscard]] Result<void> check_proof_length(std::size_t length, std::size_t expected);
[[nodiscard]] Result<void> check_count(std::size_t count, const char* field, std::size_t expected,
                                       const char* of);
// Error kLimitExceeded names the limit.
[[nodiscard]] Result<void> check_limit(std::size_t count, std::size_t max, const char* limit,
                                       const char* field);
[[nodiscard]] Error empty_reader();

template <class D>
Result<void> check_root(const D& computed, const D& stated, const char* field,
                        const char* message) {
  if (computed == stated) return {};
  return make_error(ErrorCode::kInvalidSignature, message, field);
}

// --- Pairs

// Of `count` pairs to be hashed, none of a lone node and its copy.
template <class D>
Result<void> check_pairs(const MerkleHasher& hasher, const D* nodes, std::size_t count) {
  if (!copies_lone_node(hasher)) return {};
  for (std::size_t i = 0; i < count; ++i) {
    if (nodes[2 * i] != nodes[2 * i + 1]) continue;
    return make_error(ErrorCode::kMalformed,
                      "two nodes that are paired are equal: the list may be a shorter one whose "
                      "end was repeated (CVE-2012-2459)",
                      "leaf_hashes");
  }
  return {};
}

template <class D>
Result<void> hash_pairs(const MerkleHasher& hasher, const D* nodes, std::size_t count, D* parents) {
  if (count == 0) return {};
  return hasher.backend().implementation().hash_pairs(node_form(hasher), nodes->data(), count,
                                                      parents->data());
}

template <class D>
Result<D> parent_of(const MerkleHasher& hasher, const D& left, const D& right) {
  const D children[2] = {left, right};
  D parent;
  COLOPHON_TRY(hash_pairs(hasher, children, 1, &parent));
  return parent;
}

// --- The way up

enum class Sibling : std::uint8_t { kLeft, kRight, kNone };

// A node of a tree, by its place on its level.
struct Place {
  unsigned level = 0;
  std::uint64_t index = 0;
  std::uint64_t last = 0;  // index of the level's last node

  // The node on `level` above leaf `leaf` of a tree of `size` leaves.
  static Place above(std::uint64_t leaf, unsigned level, std::uint64_t size) {
    return {level, leaf >> level, (size - 1) >> level};
  }
  [[nodiscard]] bool is_root() const { return last == 0; }
  [[nodiscard]] Sibling sibling() const {
    if ((index & 1) != 0) return Sibling::kLeft;
    return index < last ? Sibling::kRight : Sibling::kNone;
  }
  void climb() {
    ++level;
    index >>= 1;
    last >>= 1;
  }
};

// Whether the proof of a path through `place` has a hash for it.
inline bool takes_hash(const MerkleHasher& hasher, const Place& place) {
  return place.sibling() != Sibling::kNone || copies_lone_node(hasher);
}

// How many hashes lead from `place` to the root.
inline std::size_t path_length(const MerkleHasher& hasher, Place place) {
  std::size_t length = 0;
  for (; !place.is_root(); place.climb()) length += takes_hash(hasher, place) ? 1 : 0;
  return length;
}

// Where a lone node is paired with its copy, it must be with that, and no other node with its like.
template <class D>
bool may_pair(const MerkleHasher& hasher, const Place& place, const D& sibling, const D& hash) {
  if (!copies_lone_node(hasher)) return true;
  return (sibling == hash) == (place.sibling() == Sibling::kNone);
}

// --- Stored nodes

// The hashes of the last node of each level of a tree of `size` > 0 leaves, from those of its
// complete subtrees, one for each one bit of `size`: `complete(bit)` is the one of 2^bit leaves.
template <class D>
class RightEdge {
 public:
  using Complete = std::function<Result<D>(unsigned bit)>;

  RightEdge(const MerkleHasher& hasher, std::uint64_t size, Complete complete)
      : hasher_(hasher),
        size_(size),
        lowest_(static_cast<unsigned>(std::countr_zero(size))),
        complete_(std::move(complete)) {}

  // `level` is at least the trailing zeros of the size.
  [[nodiscard]] Result<D> at(unsigned level) {
    if (hashes_.empty()) {
      COLOPHON_TRY_ASSIGN(const D lowest, complete_(lowest_));
      hashes_.push_back(lowest);
    }
    while (lowest_ + hashes_.size() <= level) {
      COLOPHON_TRY_ASSIGN(const D above, above_of(hashes_.back()));
      hashes_.push_back(above);
    }
    return hashes_[level - lowest_];
  }

  [[nodiscard]] Result<D> root() { return at(static_cast<unsigned>(std::bit_width(size_ - 1))); }

 private:
  [[nodiscard]] Result<D> above_of(const D& hash) const {
    const auto level = static_cast<unsigned>(lowest_ + hashes_.size() - 1);
    // The lowest complete subtree is the last node of its level, and a left one.
    if (level != lowest_ && (size_ >> level & 1) != 0) {
      COLOPHON_TRY_ASSIGN(const D left, complete_(level));
      const D pair[2] = {left, hash};
      COLOPHON_TRY(check_pairs(hasher_, pair, 1));
      return parent_of(hasher_, left, hash);
    }
    return copies_lone_node(hasher_) ? parent_of(hasher_, hash, hash) : Result<D>(hash);
  }

  const MerkleHasher& hasher_;
  const std::uint64_t size_;
  const unsigned lowest_;
  const Complete complete_;
  std::vector<D> hashes_;  // from level lowest_ up
};

// A right edge from the hashes of the complete subtrees, the largest first.
template <class D>
RightEdge<D> edge_of(const MerkleHasher& hasher, std::uint64_t size, std::span<const D> complete) {
  return RightEdge<D>(hasher, size, [size, complete](unsigned bit) -> Result<D> {
    return complete[static_cast<std::size_t>(std::popcount(size >> bit)) - 1];
  });
}

// Reads a tree of `size` > 0 leaves, of which the first is leaf `start` of the tree that is stored,
// a multiple of the smallest power of two >= size.
template <class D>
class StoredTree {
 public:
  StoredTree(const MerkleHasher& hasher, const NodeReaderOf<D>& nodes, std::uint64_t start,
             std::uint64_t size)
      : hasher_(hasher),
        nodes_(nodes),
        start_(start),
        size_(size),
        edge_(hasher, size,
              [this](unsigned bit) { return complete_node(bit, (size_ >> bit) - 1); }) {}
  StoredTree(const StoredTree&) = delete;
  StoredTree& operator=(const StoredTree&) = delete;

  [[nodiscard]] Result<D> root() { return edge_.root(); }

  [[nodiscard]] Result<D> node(unsigned level, std::uint64_t index) {
    if ((index + 1) << level <= size_) return complete_node(level, index);
    return edge_.at(level);
  }

  // Of a place that takes one.
  [[nodiscard]] Result<D> sibling_of(const Place& place) {
    const bool lone = place.sibling() == Sibling::kNone;
    return node(place.level, lone ? place.index : place.index ^ 1);
  }

  // What leads from `place` to the root.
  [[nodiscard]] Result<void> append_path(Place place, std::vector<D>& path) {
    for (; !place.is_root(); place.climb()) {
      if (!takes_hash(hasher_, place)) continue;
      COLOPHON_TRY_ASSIGN(const D sibling, sibling_of(place));
      path.push_back(sibling);
    }
    return {};
  }

 private:
  [[nodiscard]] Result<D> complete_node(unsigned level, std::uint64_t index) const {
    return nodes_(level, (start_ >> level) + index);
  }

  const MerkleHasher& hasher_;
  const NodeReaderOf<D>& nodes_;
  const std::uint64_t start_;
  const std::uint64_t size_;
  RightEdge<D> edge_;
};

}  // namespace colophon::merkle
