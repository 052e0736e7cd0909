// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>

#include "colophon/merkle_batch.hpp"
#include "merkle_tree.h"

namespace colophon {
namespace {

Result<void> check_set(std::uint64_t size, std::span<const std::uint64_t> indices) {
  COLOPHON_TRY(
      merkle::check_limit(indices.size(), kProvedLeavesMax, "kProvedLeavesMax", "indices"));
  if (indices.empty()) return merkle::bad_argument("a proof of no leaf proves nothing", "indices");
  const auto wrong = std::adjacent_find(indices.begin(), indices.end(), std::greater_equal<>());
  if (wrong != indices.end()) {
    return merkle::bad_argument("indices must be sorted, each once: after " +
                                    std::to_string(wrong[0]) + " comes " + std::to_string(wrong[1]),
                                "indices");
  }
  return merkle::check_leaf_in_tree(indices.back(), size);
}

// The nodes of a level whose hashes are known or can be computed, from the proved leaves up.
class Level {
 public:
  Level(std::span<const std::uint64_t> leaves, std::uint64_t size)
      : known_(leaves.begin(), leaves.end()), size_(size) {}

  [[nodiscard]] bool is_root() const { return (size_ - 1) >> level_ == 0; }
  [[nodiscard]] std::size_t size() const { return known_.size(); }
  [[nodiscard]] merkle::Place place(std::size_t i) const {
    return {level_, known_[i], (size_ - 1) >> level_};
  }
  // Its sibling is the next one known.
  [[nodiscard]] bool is_pair(std::size_t i) const {
    return (known_[i] & 1) == 0 && i + 1 < known_.size() && known_[i + 1] == known_[i] + 1;
  }
  // Its sibling is neither known nor itself: the proof has it.
  [[nodiscard]] bool needs_hash(std::size_t i) const {
    return !is_pair(i) && place(i).sibling() != merkle::Sibling::kNone;
  }
  void climb() {
    for (std::uint64_t& index : known_) index >>= 1;
    known_.erase(std::unique(known_.begin(), known_.end()), known_.end());
    ++level_;
  }

 private:
  std::vector<std::uint64_t> known_;
  std::uint64_t size_;
  unsigned level_ = 0;
};

// The `hashes` of a level's known nodes become those of the next level's. Takes siblings off the
// front of `proof`, which has enough.
template <class D>
Result<void> hash_level(const MerkleHasher& hasher, const Level& level, std::vector<D>& hashes,
                        std::span<const D>& proof) {
  std::vector<D> next;
  std::vector<D> pairs;
  std::vector<std::size_t> paired;  // whose pairs, in `next`
  for (std::size_t i = 0; i < level.size(); i += level.is_pair(i) ? 2 : 1) {
    const merkle::Place place = level.place(i);
    next.push_back(hashes[i]);
    if (!merkle::takes_hash(hasher, place)) continue;
    D sibling = hashes[i];  // a lone node's copy
    if (level.is_pair(i)) sibling = hashes[i + 1];
    if (level.needs_hash(i)) {
      sibling = proof[0];
      proof = proof.subspan(1);
    }
    if (!merkle::may_pair(hasher, place, sibling, hashes[i])) {
      return make_error(ErrorCode::kInvalidSignature,
                        "the proof pairs a node with its copy where this tree has none "
                        "(CVE-2012-2459)",
                        "proof");
    }
    const bool sibling_is_left = place.sibling() == merkle::Sibling::kLeft;
    pairs.push_back(sibling_is_left ? sibling : hashes[i]);
    pairs.push_back(sibling_is_left ? hashes[i] : sibling);
    paired.push_back(next.size() - 1);
  }
  COLOPHON_TRY(merkle::hash_pairs(hasher, pairs.data(), paired.size(), pairs.data()));
  for (std::size_t k = 0; k < paired.size(); ++k) next[paired[k]] = pairs[k];
  hashes = std::move(next);
  return {};
}

}  // namespace

Result<std::size_t> merkle_multiproof_length(std::uint64_t size,
                                             std::span<const std::uint64_t> indices) {
  COLOPHON_TRY(check_set(size, indices));
  std::size_t length = 0;
  for (Level level(indices, size); !level.is_root(); level.climb()) {
    for (std::size_t i = 0; i < level.size(); i += level.is_pair(i) ? 2 : 1) {
      length += level.needs_hash(i) ? 1 : 0;
    }
  }
  return length;
}

template <class D>
Result<std::vector<D>> merkle_prove_multi(const MerkleHasher& hasher, const NodeReaderOf<D>& nodes,
                                          std::span<const std::uint64_t> indices,
                                          std::uint64_t size) {
  COLOPHON_TRY(merkle::check_digest_size(hasher, sizeof(D)));
  COLOPHON_TRY(check_set(size, indices));
  if (!nodes) return merkle::empty_reader();
  merkle::StoredTree<D> tree(hasher, nodes, 0, size);
  std::vector<D> proof;
  for (Level level(indices, size); !level.is_root(); level.climb()) {
    for (std::size_t i = 0; i < level.size(); i += level.is_pair(i) ? 2 : 1) {
      if (!level.needs_hash(i)) continue;
      COLOPHON_TRY_ASSIGN(const D sibling, tree.sibling_of(level.place(i)));
      proof.push_back(sibling);
    }
  }
  return proof;
}

template <class D>
Result<void> merkle_verify_multi(const MerkleHasher& hasher, HashesOf<D> leaf_hashes,
                                 std::span<const std::uint64_t> indices, std::uint64_t size,
                                 HashesOf<D> proof, const HashOf<D>& root) {
  COLOPHON_TRY(merkle::check_digest_size(hasher, sizeof(D)));
  COLOPHON_TRY(merkle::check_count(leaf_hashes.size(), "leaf_hashes", indices.size(), "indices"));
  COLOPHON_TRY_ASSIGN(const std::size_t length, merkle_multiproof_length(size, indices));
  COLOPHON_TRY(merkle::check_proof_length(proof.size(), length));
  std::vector<D> hashes(leaf_hashes.begin(), leaf_hashes.end());
  for (Level level(indices, size); !level.is_root(); level.climb()) {
    COLOPHON_TRY(hash_level<D>(hasher, level, hashes, proof));
  }
  return merkle::check_root(hashes[0], root, "root",
                            "the proof does not lead from these leaves to the root");
}

#define COLOPHON_INSTANTIATE(D)                                                                    \
  template Result<std::vector<D>> merkle_prove_multi<D>(                                           \
      const MerkleHasher&, const NodeReaderOf<D>&, std::span<const std::uint64_t>, std::uint64_t); \
  template Result<void> merkle_verify_multi<D>(const MerkleHasher&, std::span<const D>,            \
                                               std::span<const std::uint64_t>, std::uint64_t,      \
                                               std::span<const D>, const D&);
COLOPHON_INSTANTIATE(Digest)
COLOPHON_INSTANTIATE(Digest64)
#undef COLOPHON_INSTANTIATE

}  // namespace colophon
