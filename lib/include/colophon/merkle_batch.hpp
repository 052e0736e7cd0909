// SPDX-License-Identifier: Apache-2.0
//
// Many leaves of one Merkle tree at once: an inclusion proof for each, or one proof for all. Both
// are verified level by level, each level's nodes hashed as one batch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "colophon/error.hpp"
#include "colophon/merkle.hpp"

namespace colophon {

// Leaves in one call, each with a proof of up to 48 hashes of 64 bytes: 3 GiB at most.
inline constexpr std::size_t kProvedLeavesMax = std::size_t{1} << 20;

// Inclusion proofs one after another: the i-th is hashes[offsets[i], offsets[i + 1]).
template <class D>
struct MerkleProofsOf {
  std::vector<D> hashes;
  std::vector<std::uint64_t> offsets;
};
using MerkleProofs = MerkleProofsOf<Digest>;

enum class ProofVerdict : std::uint8_t {
  kValid = 1,
  kMismatch = 2,     // does not lead from the leaf to the root at this position
  kWrongLength = 3,  // not as many hashes as this position needs
  kNotInTree = 4,    // index >= size
};

// Errors of all calls here: kInvalidArgument (a shape; an index >= size where proving; an empty
// reader; size > kTreeSizeMax), kLimitExceeded (more than kProvedLeavesMax), the reader's own.

// Of each of `indices`, in any order, as merkle_prove_inclusion gives it.
template <class D = Digest>
[[nodiscard]] Result<MerkleProofsOf<D>> merkle_prove_inclusion_batch(
    const MerkleHasher& hasher, const NodeReaderOf<D>& nodes,
    std::span<const std::uint64_t> indices, std::uint64_t size);

// `leaf_hashes`, `indices` and `verdicts` have one item a proof; the proofs are as in
// MerkleProofsOf. On several threads. A proof that fails is a verdict, never an error.
template <class D = Digest>
[[nodiscard]] Result<void> merkle_verify_inclusion_batch(
    const MerkleHasher& hasher, HashesOf<D> leaf_hashes, std::span<const std::uint64_t> indices,
    std::uint64_t size, HashesOf<D> hashes, std::span<const std::uint64_t> offsets,
    const HashOf<D>& root, std::span<ProofVerdict> verdicts);

// One proof for a set of leaves, `indices` sorted, each once, at least one. It has the hashes of
// the siblings that cannot be computed from these leaves, level by level from the leaves up, from
// left to right, and nothing else: its shape follows from (size, indices), so that nothing in a
// proof can choose what is hashed with what (CVE-2023-34459). A lone node's copy is not in it.
// Error kInvalidArgument (field "indices"): not sorted, repeated, or none.
[[nodiscard]] Result<std::size_t> merkle_multiproof_length(std::uint64_t size,
                                                           std::span<const std::uint64_t> indices);
template <class D = Digest>
[[nodiscard]] Result<std::vector<D>> merkle_prove_multi(const MerkleHasher& hasher,
                                                        const NodeReaderOf<D>& nodes,
                                                        std::span<const std::uint64_t> indices,
                                                        std::uint64_t size);
// Errors: kInvalidSignature (does not lead to root), kInvalidArgument (field "proof": more or fewer
// hashes than merkle_multiproof_length).
template <class D = Digest>
[[nodiscard]] Result<void> merkle_verify_multi(const MerkleHasher& hasher, HashesOf<D> leaf_hashes,
                                               std::span<const std::uint64_t> indices,
                                               std::uint64_t size, HashesOf<D> proof,
                                               const HashOf<D>& root);

}  // namespace colophon
