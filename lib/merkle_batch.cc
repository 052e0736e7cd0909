// SPDX-License-Identifier: Apache-2.0
#include "colophon/merkle_batch.hpp"

#include <algorithm>

#include "merkle_tree.h"
#include "threads.h"

namespace colophon {
namespace {

// Proofs that one thread verifies at a time: enough for every backend's lanes.
constexpr std::size_t kProofsAtOnce = 1024;

// Some proofs of one tree on their way up, all on one level.
template <class D>
class Climbers {
 public:
  Climbers(const MerkleHasher& hasher, std::span<const std::uint64_t> indices, std::uint64_t size,
           std::span<const D> hashes, std::span<ProofVerdict> verdicts)
      : hasher_(hasher), indices_(indices), size_(size), hashes_(hashes), verdicts_(verdicts) {}

  // Sets the verdict of every proof.
  [[nodiscard]] Result<void> run(std::span<const D> leaf_hashes,
                                 std::span<const std::uint64_t> offsets, const D& root) {
    at_.assign(leaf_hashes.begin(), leaf_hashes.end());
    next_.assign(offsets.begin(), offsets.end() - 1);
    for (std::size_t i = 0; i < indices_.size(); ++i) {
      verdicts_[i] = first_verdict(i, offsets[i + 1] - offsets[i]);
    }
    for (unsigned level = 0; size_ != 0 && (size_ - 1) >> level != 0; ++level) {
      COLOPHON_TRY(climb(level));
    }
    for (std::size_t i = 0; i < indices_.size(); ++i) {
      if (is_climbing(i) && at_[i] != root) verdicts_[i] = ProofVerdict::kMismatch;
    }
    return {};
  }

 private:
  [[nodiscard]] bool is_climbing(std::size_t i) const {
    return verdicts_[i] == ProofVerdict::kValid;
  }

  [[nodiscard]] ProofVerdict first_verdict(std::size_t i, std::uint64_t length) const {
    if (indices_[i] >= size_) return ProofVerdict::kNotInTree;
    const auto leaf = merkle::Place::above(indices_[i], 0, size_);
    return length == merkle::path_length(hasher_, leaf) ? ProofVerdict::kValid
                                                        : ProofVerdict::kWrongLength;
  }

  [[nodiscard]] Result<void> climb(unsigned level) {
    pairs_.clear();
    paired_.clear();
    for (std::size_t i = 0; i < indices_.size(); ++i) {
      if (!is_climbing(i)) continue;
      const auto place = merkle::Place::above(indices_[i], level, size_);
      if (!merkle::takes_hash(hasher_, place)) continue;
      const D& sibling = hashes_[static_cast<std::size_t>(next_[i]++)];
      if (!merkle::may_pair(hasher_, place, sibling, at_[i])) {
        verdicts_[i] = ProofVerdict::kMismatch;
        continue;
      }
      const bool sibling_is_left = place.sibling() == merkle::Sibling::kLeft;
      pairs_.push_back(sibling_is_left ? sibling : at_[i]);
      pairs_.push_back(sibling_is_left ? at_[i] : sibling);
      paired_.push_back(i);
    }
    COLOPHON_TRY(merkle::hash_pairs(hasher_, pairs_.data(), paired_.size(), pairs_.data()));
    for (std::size_t k = 0; k < paired_.size(); ++k) at_[paired_[k]] = pairs_[k];
    return {};
  }

  const MerkleHasher& hasher_;
  const std::span<const std::uint64_t> indices_;
  const std::uint64_t size_;
  const std::span<const D> hashes_;  // of all proofs
  const std::span<ProofVerdict> verdicts_;
  std::vector<D> at_;                // where each proof has arrived
  std::vector<std::uint64_t> next_;  // each one's next hash
  std::vector<D> pairs_;
  std::vector<std::size_t> paired_;  // whose pairs
};

Result<void> check_offsets(std::span<const std::uint64_t> offsets, std::size_t proofs,
                           std::size_t hashes) {
  COLOPHON_TRY(
      merkle::check_count(offsets.size(), "offsets", proofs + 1, "leaf_hashes and an end"));
  if (std::is_sorted(offsets.begin(), offsets.end()) && offsets.back() <= hashes) return {};
  return merkle::bad_argument("the offsets decrease or lead past the end of hashes", "offsets");
}

}  // namespace

template <class D>
Result<MerkleProofsOf<D>> merkle_prove_inclusion_batch(const MerkleHasher& hasher,
                                                       const NodeReaderOf<D>& nodes,
                                                       std::span<const std::uint64_t> indices,
                                                       std::uint64_t size) {
  COLOPHON_TRY(merkle::check_digest_size(hasher, sizeof(D)));
  COLOPHON_TRY(
      merkle::check_limit(indices.size(), kProvedLeavesMax, "kProvedLeavesMax", "indices"));
  COLOPHON_TRY(merkle::check_tree_size(size, "size"));
  if (!nodes) return merkle::empty_reader();
  MerkleProofsOf<D> proofs;
  proofs.offsets.push_back(0);
  if (indices.empty()) return proofs;
  for (const std::uint64_t index : indices) COLOPHON_TRY(merkle::check_leaf_in_tree(index, size));
  merkle::StoredTree<D> tree(hasher, nodes, 0, size);
  for (const std::uint64_t index : indices) {
    COLOPHON_TRY(tree.append_path(merkle::Place::above(index, 0, size), proofs.hashes));
    proofs.offsets.push_back(proofs.hashes.size());
  }
  return proofs;
}

template <class D>
Result<void> merkle_verify_inclusion_batch(const MerkleHasher& hasher, HashesOf<D> leaf_hashes,
                                           std::span<const std::uint64_t> indices,
                                           std::uint64_t size, HashesOf<D> hashes,
                                           std::span<const std::uint64_t> offsets,
                                           const HashOf<D>& root,
                                           std::span<ProofVerdict> verdicts) {
  COLOPHON_TRY(merkle::check_digest_size(hasher, sizeof(D)));
  const std::size_t count = leaf_hashes.size();
  COLOPHON_TRY(merkle::check_limit(count, kProvedLeavesMax, "kProvedLeavesMax", "leaf_hashes"));
  COLOPHON_TRY(merkle::check_tree_size(size, "size"));
  COLOPHON_TRY(merkle::check_count(indices.size(), "indices", count, "leaf_hashes"));
  COLOPHON_TRY(merkle::check_count(verdicts.size(), "verdicts", count, "leaf_hashes"));
  COLOPHON_TRY(check_offsets(offsets, count, hashes.size()));
  const std::size_t pieces = (count + kProofsAtOnce - 1) / kProofsAtOnce;
  return share_out(pieces, hasher.threads(), [&](std::size_t piece) {
    const std::size_t begin = piece * kProofsAtOnce;
    const std::size_t some = std::min(kProofsAtOnce, count - begin);
    Climbers<D> climbers(hasher, indices.subspan(begin, some), size, hashes,
                         verdicts.subspan(begin, some));
    return climbers.run(leaf_hashes.subspan(begin, some), offsets.subspan(begin, some + 1), root);
  });
}

#define COLOPHON_INSTANTIATE(D)                                                                    \
  template Result<MerkleProofsOf<D>> merkle_prove_inclusion_batch<D>(                              \
      const MerkleHasher&, const NodeReaderOf<D>&, std::span<const std::uint64_t>, std::uint64_t); \
  template Result<void> merkle_verify_inclusion_batch<D>(                                          \
      const MerkleHasher&, std::span<const D>, std::span<const std::uint64_t>, std::uint64_t,      \
      std::span<const D>, std::span<const std::uint64_t>, const D&, std::span<ProofVerdict>);
COLOPHON_INSTANTIATE(Digest)
COLOPHON_INSTANTIATE(Digest64)
#undef COLOPHON_INSTANTIATE

}  // namespace colophon
