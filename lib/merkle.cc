// SPDX-License-Identifier: Apache-2.0
#include "colophon/merkle.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#include <utility>

#include "backend_implementation.h"
#include "slices_shape.h"

namespace colophon {
namespace {

// RFC 9162 §2.1.1.
constexpr HashForm kLeafForm = {.prefix = 0x00};
constexpr HashForm kNodeForm = {.prefix = 0x01};

// SHA-256("").
Result<Digest> empty_root(const BackendImplementation& backend) {
  const std::uint64_t offsets[2] = {0, 0};
  Digest root;
  COLOPHON_TRY(backend.hash({}, Slices{{}, offsets}, root.data()));
  return root;
}

Result<Digest> parent_of(const BackendImplementation& backend, const Digest& left,
                         const Digest& right) {
  const Digest children[2] = {left, right};
  Digest parent;
  COLOPHON_TRY(backend.hash_pairs(kNodeForm, children[0].data(), 1, parent.data()));
  return parent;
}

Error bad_argument(std::string message, const char* field) {
  return make_error(ErrorCode::kInvalidArgument, std::move(message), field);
}

Result<void> check_tree_size(std::uint64_t size, const char* field) {
  if (size <= kTreeSizeMax) return {};
  return bad_argument("a tree of " + std::to_string(size) + " leaves is more than the " +
                          std::to_string(kTreeSizeMax) + " a tree may have",
                      field);
}

Result<void> check_leaf_in_tree(std::uint64_t index, std::uint64_t size) {
  COLOPHON_TRY(check_tree_size(size, "size"));
  if (index < size) return {};
  return bad_argument(
      "leaf " + std::to_string(index) + " is not in a tree of " + std::to_string(size) + " leaves",
      "index");
}

Result<void> check_growth(std::uint64_t from, std::uint64_t to) {
  COLOPHON_TRY(check_tree_size(to, "to"));
  if (from == 0) {
    return bad_argument("every tree is consistent with the empty one: from must be at least 1",
                        "from");
  }
  if (from <= to) return {};
  return bad_argument(
      "from, " + std::to_string(from) + ", is greater than to, " + std::to_string(to), "from");
}

Result<void> check_proof_length(std::size_t length, std::size_t expected) {
  if (length == expected) return {};
  return bad_argument("the proof has " + std::to_string(length) +
                          " hashes where this position needs " + std::to_string(expected),
                      "proof");
}

Result<void> check_root(const Digest& computed, const Digest& stated, const char* field,
                        const char* message) {
  if (computed == stated) return {};
  return make_error(ErrorCode::kInvalidSignature, message, field);
}

unsigned trailing_zeros(std::uint64_t value) {
  return static_cast<unsigned>(std::countr_zero(value));
}
unsigned bit_length(std::uint64_t value) { return static_cast<unsigned>(std::bit_width(value)); }
unsigned ones(std::uint64_t value) { return static_cast<unsigned>(std::popcount(value)); }

// Hash of the leaves [begin, end), a subtree that a tree of RFC 9162 has: `begin` is a multiple of
// the smallest power of two that is not below end - begin. Such a range is a row of complete
// subtrees of falling size, one for each one bit of its length; they are joined from the right.
Result<Digest> hash_of_range(const BackendImplementation& backend, const NodeReader& nodes,
                             std::uint64_t begin, std::uint64_t end) {
  if (!nodes) return bad_argument("the reader of stored nodes is empty", "nodes");
  std::uint64_t length = end - begin;
  unsigned level = trailing_zeros(length);
  std::uint64_t last = end - (std::uint64_t{1} << level);
  COLOPHON_TRY_ASSIGN(Digest hash, nodes(level, last >> level));
  length &= length - 1;
  while (length != 0) {
    level = trailing_zeros(length);
    last -= std::uint64_t{1} << level;
    COLOPHON_TRY_ASSIGN(const Digest left, nodes(level, last >> level));
    COLOPHON_TRY_ASSIGN(hash, parent_of(backend, left, hash));
    length &= length - 1;
  }
  return hash;
}

// The largest power of two below n; n > 1.
std::uint64_t split_of(std::uint64_t n) { return std::bit_floor(n - 1); }

// One hash of the path from a leaf up, with the side it stands on.
Result<Digest> join(const BackendImplementation& backend, const Digest& sibling,
                    bool sibling_is_left, const Digest& hash) {
  return sibling_is_left ? parent_of(backend, sibling, hash) : parent_of(backend, hash, sibling);
}

}  // namespace

Result<void> BackendImplementation::hash_tree(const HashForm& form, const std::uint8_t* nodes,
                                              std::size_t count, std::uint8_t* root) const {
  const std::size_t each = digest_bytes(form.algorithm);
  // The caller's level is read once; those above share one buffer.
  std::vector<std::uint8_t> buffer((count / 2 + count % 2) * each);
  while (count > 1) {
    const std::size_t parents = count / 2;
    COLOPHON_TRY(hash_pairs(form, nodes, parents, buffer.data()));
    // A node without a sibling moves up as it is (and is not paired with itself, CVE-2012-2459):
    // that is RFC 9162's split at the largest power of two, seen from below.
    if (count % 2 != 0) std::memmove(&buffer[parents * each], nodes + (count - 1) * each, each);
    nodes = buffer.data();
    count = parents + count % 2;
  }
  std::memcpy(root, nodes, each);
  return {};
}

Result<void> merkle_leaf_hashes(const Backend& backend, const Slices& leaves,
                                std::span<Digest> leaf_hashes) {
  COLOPHON_TRY(check_shape(leaves, "leaves"));
  if (leaf_hashes.size() != leaves.size()) {
    return bad_argument("leaf_hashes has " + std::to_string(leaf_hashes.size()) +
                            " items where leaves has " + std::to_string(leaves.size()),
                        "leaf_hashes");
  }
  if (leaves.size() == 0) return {};
  return backend.implementation().hash(kLeafForm, leaves, leaf_hashes[0].data());
}

Result<Digest> merkle_root(const Backend& backend, std::span<const Digest> leaf_hashes) {
  if (leaf_hashes.empty()) return empty_root(backend.implementation());
  Digest root;
  COLOPHON_TRY(backend.implementation().hash_tree(kNodeForm, leaf_hashes[0].data(),
                                                  leaf_hashes.size(), root.data()));
  return root;
}

Result<std::vector<Digest>> merkle_prove_inclusion(const Backend& backend, const NodeReader& nodes,
                                                   std::uint64_t index, std::uint64_t size) {
  COLOPHON_TRY(check_leaf_in_tree(index, size));
  // PATH(m, D_n) of §2.1.3.1, from the root down; the proof lists siblings from the leaf up.
  std::vector<Digest> proof;
  std::uint64_t begin = 0;
  std::uint64_t end = size;
  while (end - begin > 1) {
    const std::uint64_t middle = begin + split_of(end - begin);
    const bool go_left = index < middle;
    COLOPHON_TRY_ASSIGN(const Digest sibling,
                        go_left ? hash_of_range(backend.implementation(), nodes, middle, end)
                                : hash_of_range(backend.implementation(), nodes, begin, middle));
    proof.push_back(sibling);
    (go_left ? end : begin) = middle;
  }
  std::reverse(proof.begin(), proof.end());
  return proof;
}

Result<std::vector<Digest>> merkle_prove_consistency(const Backend& backend,
                                                     const NodeReader& nodes, std::uint64_t from,
                                                     std::uint64_t to) {
  COLOPHON_TRY(check_growth(from, to));
  // SUBPROOF(m, D_n, b) of §2.1.4.1, from the root down, until the old tree ends where a subtree of
  // the new one does. That subtree's hash is part of the proof unless it is the old root itself.
  std::vector<Digest> proof;
  std::uint64_t begin = 0;
  std::uint64_t end = to;
  while (end != from) {
    const std::uint64_t middle = begin + split_of(end - begin);
    const bool go_left = from <= middle;
    COLOPHON_TRY_ASSIGN(const Digest sibling,
                        go_left ? hash_of_range(backend.implementation(), nodes, middle, end)
                                : hash_of_range(backend.implementation(), nodes, begin, middle));
    proof.push_back(sibling);
    (go_left ? end : begin) = middle;
  }
  if (begin != 0) {
    COLOPHON_TRY_ASSIGN(const Digest seed,
                        hash_of_range(backend.implementation(), nodes, begin, end));
    proof.push_back(seed);
  }
  std::reverse(proof.begin(), proof.end());
  return proof;
}

Result<Digest> merkle_root_from_nodes(const Backend& backend, const NodeReader& nodes,
                                      std::uint64_t size) {
  COLOPHON_TRY(check_tree_size(size, "size"));
  if (size == 0) return empty_root(backend.implementation());
  return hash_of_range(backend.implementation(), nodes, 0, size);
}

Result<MerkleTree> MerkleTree::build(const Backend& backend, std::vector<Digest> leaf_hashes) {
  COLOPHON_TRY(check_tree_size(leaf_hashes.size(), "leaf_hashes"));
  MerkleTree tree;
  tree.levels_.push_back(std::move(leaf_hashes));
  while (tree.levels_.back().size() > 1) {
    const std::vector<Digest>& below = tree.levels_.back();
    std::vector<Digest> level(below.size() / 2);
    COLOPHON_TRY(backend.implementation().hash_pairs(kNodeForm, below[0].data(), level.size(),
                                                     level[0].data()));
    tree.levels_.push_back(std::move(level));
  }
  return tree;
}

std::uint64_t MerkleTree::size() const noexcept {
  return levels_.empty() ? 0 : levels_.front().size();
}

NodeReader MerkleTree::nodes() const {
  return [this](unsigned level, std::uint64_t index) -> Result<Digest> {
    if (level >= levels_.size() || index >= levels_[level].size()) {
      return make_error(ErrorCode::kNotFound, "subtree (" + std::to_string(level) + ", " +
                                                  std::to_string(index) + ") is not complete");
    }
    return levels_[level][static_cast<std::size_t>(index)];
  };
}

Result<void> merkle_verify_inclusion(const Backend& backend, const Digest& leaf_hash,
                                     std::uint64_t index, std::uint64_t size,
                                     std::span<const Digest> proof, const Digest& root) {
  COLOPHON_TRY(check_leaf_in_tree(index, size));
  // Up to the level where the leaf's path and the last leaf's path meet, every node has a sibling;
  // above, the node is on the right edge and has one exactly where it is a right child.
  const unsigned inner = bit_length(index ^ (size - 1));
  const unsigned border = ones(index >> inner);
  COLOPHON_TRY(check_proof_length(proof.size(), inner + border));
  Digest hash = leaf_hash;
  for (unsigned i = 0; i < proof.size(); ++i) {
    const bool sibling_is_left = i >= inner || ((index >> i) & 1U) != 0;
    COLOPHON_TRY_ASSIGN(hash, join(backend.implementation(), proof[i], sibling_is_left, hash));
  }
  return check_root(hash, root, "root",
                    "the proof does not lead from the leaf to the root at this position");
}

Result<void> merkle_verify_consistency(const Backend& backend, std::uint64_t from, std::uint64_t to,
                                       const Digest& from_root, const Digest& to_root,
                                       std::span<const Digest> proof) {
  COLOPHON_TRY(check_growth(from, to));
  if (from == to) {
    COLOPHON_TRY(check_proof_length(proof.size(), 0));
    return check_root(from_root, to_root, "to_root", "two roots of one size differ");
  }
  // The old tree's last complete subtree, (shift, from - 1 >> shift), is where both trees' right
  // edges start. It is the first hash of the proof, unless it is the whole old tree.
  const unsigned shift = trailing_zeros(from);
  const bool seed_is_old_root = from == std::uint64_t{1} << shift;
  const std::uint64_t index = (from - 1) >> shift;
  const unsigned inner = bit_length((from - 1) ^ (to - 1)) - shift;
  const unsigned border = ones((from - 1) >> (inner + shift));
  COLOPHON_TRY(check_proof_length(proof.size(), inner + border + (seed_is_old_root ? 0U : 1U)));
  Digest old_hash = seed_is_old_root ? from_root : proof[0];
  Digest new_hash = old_hash;
  const std::span<const Digest> path = seed_is_old_root ? proof : proof.subspan(1);
  for (unsigned i = 0; i < path.size(); ++i) {
    const bool sibling_is_left = i >= inner || ((index >> i) & 1U) != 0;
    COLOPHON_TRY_ASSIGN(new_hash,
                        join(backend.implementation(), path[i], sibling_is_left, new_hash));
    // Right siblings are newer than the old tree.
    if (sibling_is_left) {
      COLOPHON_TRY_ASSIGN(old_hash, parent_of(backend.implementation(), path[i], old_hash));
    }
  }
  COLOPHON_TRY(
      check_root(old_hash, from_root, "from_root", "the proof does not lead to the old root"));
  return check_root(new_hash, to_root, "to_root", "the proof does not lead to the new root");
}

}  // namespace colophon
