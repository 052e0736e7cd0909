// SPDX-License-Identifier: Apache-2.0
#include <bit>
#include <string>
#include <utility>

#include "colophon/merkle_subtree.hpp"
#include "merkle_tree.h"

namespace colophon {
namespace {

// A tree of RFC 9162 and its inclusion proofs are the subtree [0, size) and its proofs.

Result<void> check_subtree(const MerkleHasher& hasher, const MerkleSubtree& subtree) {
  if (merkle::copies_lone_node(hasher)) {
    return make_error(ErrorCode::kUnsupported,
                      "Bitcoin's trees have no subtrees and no consistency proofs: their nodes "
                      "change when the tree grows",
                      "profile");
  }
  const auto [start, end] = subtree;
  if (start < end && end <= kTreeSizeMax && start % std::bit_ceil(end - start) == 0) return {};
  return merkle::bad_argument(
      "the leaves from " + std::to_string(start) + " to " + std::to_string(end) +
          " are no subtree: start must be a multiple of the smallest power of two that is not "
          "below their number, and end at most " +
          std::to_string(kTreeSizeMax),
      "subtree");
}

Result<void> check_leaf_in_subtree(const MerkleHasher& hasher, std::uint64_t index,
                                   const MerkleSubtree& subtree) {
  COLOPHON_TRY(check_subtree(hasher, subtree));
  if (subtree.start <= index && index < subtree.end) return {};
  return merkle::bad_argument("leaf " + std::to_string(index) + " is not in the subtree from " +
                                  std::to_string(subtree.start) + " to " +
                                  std::to_string(subtree.end),
                              "index");
}

Result<void> check_subtree_in_tree(const MerkleHasher& hasher, const MerkleSubtree& subtree,
                                   std::uint64_t size) {
  COLOPHON_TRY(check_subtree(hasher, subtree));
  COLOPHON_TRY(merkle::check_tree_size(size, "size"));
  if (subtree.end <= size) return {};
  return merkle::bad_argument("the subtree ends at " + std::to_string(subtree.end) +
                                  ", past the tree's " + std::to_string(size) + " leaves",
                              "subtree");
}

Result<void> check_growth(std::uint64_t from, std::uint64_t to) {
  COLOPHON_TRY(merkle::check_tree_size(to, "to"));
  if (from == 0) {
    return merkle::bad_argument(
        "every tree is consistent with the empty one: from must be at least 1", "from");
  }
  if (from <= to) return {};
  return merkle::bad_argument(
      "from, " + std::to_string(from) + ", is greater than to, " + std::to_string(to), "from");
}

template <class D>
Result<std::vector<D>> prove_leaf(const MerkleHasher& hasher, const NodeReaderOf<D>& nodes,
                                  std::uint64_t index, std::uint64_t start, std::uint64_t size) {
  COLOPHON_TRY(merkle::check_digest_size(hasher, sizeof(D)));
  if (!nodes) return merkle::empty_reader();
  merkle::StoredTree<D> tree(hasher, nodes, start, size);
  std::vector<D> proof;
  COLOPHON_TRY(tree.append_path(merkle::Place::above(index, 0, size), proof));
  return proof;
}

// `hash` with its sibling.
template <class D>
Result<D> join(const MerkleHasher& hasher, const merkle::Place& place, const D& sibling,
               const D& hash) {
  return place.sibling() == merkle::Sibling::kLeft ? merkle::parent_of(hasher, sibling, hash)
                                                   : merkle::parent_of(hasher, hash, sibling);
}

template <class D>
Result<void> verify_leaf(const MerkleHasher& hasher, const D& leaf_hash, std::uint64_t index,
                         std::uint64_t size, std::span<const D> proof, const D& root,
                         const char* root_field) {
  COLOPHON_TRY(merkle::check_digest_size(hasher, sizeof(D)));
  auto place = merkle::Place::above(index, 0, size);
  COLOPHON_TRY(merkle::check_proof_length(proof.size(), merkle::path_length(hasher, place)));
  D hash = leaf_hash;
  for (; !place.is_root(); place.climb()) {
    if (!merkle::takes_hash(hasher, place)) continue;
    if (!merkle::may_pair(hasher, place, proof[0], hash)) {
      return make_error(ErrorCode::kInvalidSignature,
                        "the proof pairs a node with its copy where this tree has none, or with "
                        "another where it has (CVE-2012-2459)",
                        "proof");
    }
    COLOPHON_TRY_ASSIGN(hash, join(hasher, place, proof[0], hash));
    proof = proof.subspan(1);
  }
  return merkle::check_root(hash, root, root_field,
                            "the proof does not lead from the leaf to the root at this position");
}

// --- Consistency
//
// A subtree is a node of the larger tree if it is complete or ends where the tree does; then it
// leads to the root by itself. Otherwise its last complete subtree does, the first hash of the
// proof: that is where the right edge of the one leaves the other.

bool is_node(const MerkleSubtree& subtree, std::uint64_t size) {
  return subtree.end == size || std::has_single_bit(subtree.end - subtree.start);
}

// Levels of the subtree above its leaves.
unsigned height_of(const MerkleSubtree& subtree) {
  return static_cast<unsigned>(std::bit_width(subtree.end - subtree.start - 1));
}

merkle::Place seed_of(const MerkleSubtree& subtree, std::uint64_t size) {
  const unsigned level = is_node(subtree, size)
                             ? height_of(subtree)
                             : static_cast<unsigned>(std::countr_zero(subtree.end));
  return merkle::Place::above(subtree.end - 1, level, size);
}

template <class D>
Result<std::vector<D>> prove_grown(const MerkleHasher& hasher, const NodeReaderOf<D>& nodes,
                                   const MerkleSubtree& subtree, std::uint64_t size) {
  COLOPHON_TRY(merkle::check_digest_size(hasher, sizeof(D)));
  if (!nodes) return merkle::empty_reader();
  merkle::StoredTree<D> tree(hasher, nodes, 0, size);
  const merkle::Place seed = seed_of(subtree, size);
  std::vector<D> proof;
  if (!is_node(subtree, size)) {
    COLOPHON_TRY_ASSIGN(const D hash, tree.node(seed.level, seed.index));
    proof.push_back(hash);
  }
  COLOPHON_TRY(tree.append_path(seed, proof));
  return proof;
}

// The roots as computed from the proof.
template <class D>
struct Grown {
  D subtree;
  D tree;
};

template <class D>
Result<Grown<D>> climb_grown(const MerkleHasher& hasher, const MerkleSubtree& subtree,
                             std::uint64_t size, const D& subtree_hash, std::span<const D> proof) {
  COLOPHON_TRY(merkle::check_digest_size(hasher, sizeof(D)));
  merkle::Place place = seed_of(subtree, size);
  const bool seed_is_subtree = is_node(subtree, size);
  COLOPHON_TRY(merkle::check_proof_length(
      proof.size(), merkle::path_length(hasher, place) + (seed_is_subtree ? 0U : 1U)));
  D seed = subtree_hash;
  if (!seed_is_subtree) {
    seed = proof[0];
    proof = proof.subspan(1);
  }
  Grown<D> grown{seed, seed};
  for (; !place.is_root(); place.climb()) {
    if (!merkle::takes_hash(hasher, place)) continue;
    const D& sibling = proof[0];
    // Right siblings are newer than the subtree, those above it are beside it.
    if (place.level < height_of(subtree) && place.sibling() == merkle::Sibling::kLeft) {
      COLOPHON_TRY_ASSIGN(grown.subtree, merkle::parent_of(hasher, sibling, grown.subtree));
    }
    COLOPHON_TRY_ASSIGN(grown.tree, join(hasher, place, sibling, grown.tree));
    proof = proof.subspan(1);
  }
  return grown;
}

}  // namespace

// --- Trees

template <class D>
Result<D> merkle_root_from_nodes(const MerkleHasher& hasher, const NodeReaderOf<D>& nodes,
                                 std::uint64_t size) {
  COLOPHON_TRY(merkle::check_digest_size(hasher, sizeof(D)));
  COLOPHON_TRY(merkle::check_tree_size(size, "size"));
  if (size == 0) return merkle_root<D>(hasher, {});
  if (!nodes) return merkle::empty_reader();
  return merkle::StoredTree<D>(hasher, nodes, 0, size).root();
}

template <class D>
Result<MerkleTreeOf<D>> MerkleTreeOf<D>::build(const MerkleHasher& hasher,
                                               std::vector<D> leaf_hashes) {
  COLOPHON_TRY(merkle::check_digest_size(hasher, sizeof(D)));
  COLOPHON_TRY(
      merkle::check_limit(leaf_hashes.size(), kStoredLeavesMax, "kStoredLeavesMax", "leaf_hashes"));
  MerkleTreeOf tree;
  tree.levels_.push_back(std::move(leaf_hashes));
  while (tree.levels_.back().size() > 1) {
    const std::vector<D>& below = tree.levels_.back();
    std::vector<D> level(below.size() / 2);
    COLOPHON_TRY(merkle::check_pairs(hasher, below.data(), level.size()));
    COLOPHON_TRY(merkle::hash_pairs(hasher, below.data(), level.size(), level.data()));
    tree.levels_.push_back(std::move(level));
  }
  return tree;
}

template <class D>
NodeReaderOf<D> MerkleTreeOf<D>::nodes() const {
  return [this](unsigned level, std::uint64_t index) -> Result<D> {
    if (level >= levels_.size() || index >= levels_[level].size()) {
      return make_error(ErrorCode::kNotFound, "subtree (" + std::to_string(level) + ", " +
                                                  std::to_string(index) + ") is not complete");
    }
    return levels_[level][static_cast<std::size_t>(index)];
  };
}

template <class D>
Result<std::vector<D>> merkle_prove_inclusion(const MerkleHasher& hasher,
                                              const NodeReaderOf<D>& nodes, std::uint64_t index,
                                              std::uint64_t size) {
  COLOPHON_TRY(merkle::check_leaf_in_tree(index, size));
  return prove_leaf<D>(hasher, nodes, index, 0, size);
}

template <class D>
Result<void> merkle_verify_inclusion(const MerkleHasher& hasher, const HashOf<D>& leaf_hash,
                                     std::uint64_t index, std::uint64_t size, HashesOf<D> proof,
                                     const HashOf<D>& root) {
  COLOPHON_TRY(merkle::check_leaf_in_tree(index, size));
  return verify_leaf<D>(hasher, leaf_hash, index, size, proof, root, "root");
}

template <class D>
Result<std::vector<D>> merkle_prove_consistency(const MerkleHasher& hasher,
                                                const NodeReaderOf<D>& nodes, std::uint64_t from,
                                                std::uint64_t to) {
  COLOPHON_TRY(check_growth(from, to));
  COLOPHON_TRY(check_subtree(hasher, {0, from}));
  return prove_grown<D>(hasher, nodes, {0, from}, to);
}

template <class D>
Result<void> merkle_verify_consistency(const MerkleHasher& hasher, std::uint64_t from,
                                       std::uint64_t to, const HashOf<D>& from_root,
                                       const HashOf<D>& to_root, HashesOf<D> proof) {
  COLOPHON_TRY(check_growth(from, to));
  COLOPHON_TRY(check_subtree(hasher, {0, from}));
  COLOPHON_TRY_ASSIGN(const Grown<D> grown,
                      climb_grown<D>(hasher, {0, from}, to, from_root, proof));
  COLOPHON_TRY(merkle::check_root(grown.subtree, from_root, "from_root",
                                  "the proof does not lead to the old root"));
  return merkle::check_root(
      grown.tree, to_root, "to_root",
      from == to ? "two roots of one size differ" : "the proof does not lead to the new root");
}

// --- Subtrees

template <class D>
Result<D> merkle_subtree_hash(const MerkleHasher& hasher, const NodeReaderOf<D>& nodes,
                              MerkleSubtree subtree) {
  COLOPHON_TRY(merkle::check_digest_size(hasher, sizeof(D)));
  COLOPHON_TRY(check_subtree(hasher, subtree));
  if (!nodes) return merkle::empty_reader();
  const std::uint64_t size = subtree.end - subtree.start;
  return merkle::StoredTree<D>(hasher, nodes, subtree.start, size).root();
}

template <class D>
Result<std::vector<D>> merkle_prove_subtree_inclusion(const MerkleHasher& hasher,
                                                      const NodeReaderOf<D>& nodes,
                                                      std::uint64_t index, MerkleSubtree subtree) {
  COLOPHON_TRY(check_leaf_in_subtree(hasher, index, subtree));
  return prove_leaf<D>(hasher, nodes, index - subtree.start, subtree.start,
                       subtree.end - subtree.start);
}

template <class D>
Result<void> merkle_verify_subtree_inclusion(const MerkleHasher& hasher, const HashOf<D>& leaf_hash,
                                             std::uint64_t index, MerkleSubtree subtree,
                                             HashesOf<D> proof, const HashOf<D>& subtree_hash) {
  COLOPHON_TRY(check_leaf_in_subtree(hasher, index, subtree));
  return verify_leaf<D>(hasher, leaf_hash, index - subtree.start, subtree.end - subtree.start,
                        proof, subtree_hash, "subtree_hash");
}

template <class D>
Result<std::vector<D>> merkle_prove_subtree_consistency(const MerkleHasher& hasher,
                                                        const NodeReaderOf<D>& nodes,
                                                        MerkleSubtree subtree, std::uint64_t size) {
  COLOPHON_TRY(check_subtree_in_tree(hasher, subtree, size));
  return prove_grown<D>(hasher, nodes, subtree, size);
}

template <class D>
Result<void> merkle_verify_subtree_consistency(const MerkleHasher& hasher, MerkleSubtree subtree,
                                               std::uint64_t size, const HashOf<D>& subtree_hash,
                                               const HashOf<D>& root, HashesOf<D> proof) {
  COLOPHON_TRY(check_subtree_in_tree(hasher, subtree, size));
  COLOPHON_TRY_ASSIGN(const Grown<D> grown,
                      climb_grown<D>(hasher, subtree, size, subtree_hash, proof));
  COLOPHON_TRY(merkle::check_root(grown.subtree, subtree_hash, "subtree_hash",
                                  "the proof does not lead to the subtree's hash"));
  return merkle::check_root(grown.tree, root, "root", "the proof does not lead to the root");
}

#define COLOPHON_INSTANTIATE(D)                                                                   \
  template class MerkleTreeOf<D>;                                                                 \
  template Result<D> merkle_root_from_nodes<D>(const MerkleHasher&, const NodeReaderOf<D>&,       \
                                               std::uint64_t);                                    \
  template Result<std::vector<D>> merkle_prove_inclusion<D>(                                      \
      const MerkleHasher&, const NodeReaderOf<D>&, std::uint64_t, std::uint64_t);                 \
  template Result<std::vector<D>> merkle_prove_consistency<D>(                                    \
      const MerkleHasher&, const NodeReaderOf<D>&, std::uint64_t, std::uint64_t);                 \
  template Result<void> merkle_verify_inclusion<D>(const MerkleHasher&, const D&, std::uint64_t,  \
                                                   std::uint64_t, std::span<const D>, const D&);  \
  template Result<void> merkle_verify_consistency<D>(                                             \
      const MerkleHasher&, std::uint64_t, std::uint64_t, const D&, const D&, std::span<const D>); \
  template Result<D> merkle_subtree_hash<D>(const MerkleHasher&, const NodeReaderOf<D>&,          \
                                            MerkleSubtree);                                       \
  template Result<std::vector<D>> merkle_prove_subtree_inclusion<D>(                              \
      const MerkleHasher&, const NodeReaderOf<D>&, std::uint64_t, MerkleSubtree);                 \
  template Result<void> merkle_verify_subtree_inclusion<D>(                                       \
      const MerkleHasher&, const D&, std::uint64_t, MerkleSubtree, std::span<const D>, const D&); \
  template Result<std::vector<D>> merkle_prove_subtree_consistency<D>(                            \
      const MerkleHasher&, const NodeReaderOf<D>&, MerkleSubtree, std::uint64_t);                 \
  template Result<void> merkle_verify_subtree_consistency<D>(                                     \
      const MerkleHasher&, MerkleSubtree, std::uint64_t, const D&, const D&, std::span<const D>);
COLOPHON_INSTANTIATE(Digest)
COLOPHON_INSTANTIATE(Digest64)
#undef COLOPHON_INSTANTIATE

}  // namespace colophon
