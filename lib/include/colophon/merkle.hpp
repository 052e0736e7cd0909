// SPDX-License-Identifier: Apache-2.0
//
// Merkle trees of RFC 9162 §2.1 (SHA-256): leaf hash = H(0x00 || leaf), node hash = H(0x01 || left
// || right), the empty tree's root = H(""). Trees of n leaves split at the largest power of two <
// n.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "colophon/backend.hpp"
#include "colophon/error.hpp"
#include "colophon/hash.hpp"
#include "colophon/slices.hpp"

namespace colophon {

// 2^48 leaves: no proof is longer than 48 hashes, no index arithmetic overflows.
inline constexpr std::uint64_t kTreeSizeMax = std::uint64_t{1} << 48;
inline constexpr std::size_t kProofHashesMax = 2 * 48;

// Errors of the batch forms: kInvalidArgument (shape).
[[nodiscard]] Result<void> merkle_leaf_hashes(const Backend& backend, const Slices& leaves,
                                              std::span<Digest> leaf_hashes);
// Root over leaf hashes already computed.
[[nodiscard]] Result<Digest> merkle_root(const Backend& backend,
                                         std::span<const Digest> leaf_hashes);

// Reads the hash of the complete subtree at (level, index): leaves [index·2^level,
// (index+1)·2^level). Level 0 is leaf hashes. Provers ask only for subtrees that lie wholly inside
// the tree.
using NodeReader = std::function<Result<Digest>(unsigned level, std::uint64_t index)>;

// RFC 9162 §2.1.3.1 and §2.1.4.1, from stored nodes: O(log n) reads, whatever holds them.
// Errors: kInvalidArgument (index >= size, from > to or from == 0, size > kTreeSizeMax, an empty
// reader), and the reader's own. from == to gives an empty proof.
[[nodiscard]] Result<std::vector<Digest>> merkle_prove_inclusion(const Backend& backend,
                                                                 const NodeReader& nodes,
                                                                 std::uint64_t index,
                                                                 std::uint64_t size);
[[nodiscard]] Result<std::vector<Digest>> merkle_prove_consistency(const Backend& backend,
                                                                   const NodeReader& nodes,
                                                                   std::uint64_t from,
                                                                   std::uint64_t to);
// Root of the first `size` leaves, from stored nodes.
[[nodiscard]] Result<Digest> merkle_root_from_nodes(const Backend& backend, const NodeReader& nodes,
                                                    std::uint64_t size);

// A NodeReader over leaf hashes in memory (kept by the caller while the reader lives); interior
// nodes are computed once, on construction.
class MerkleTree {
 public:
  [[nodiscard]] static Result<MerkleTree> build(const Backend& backend,
                                                std::vector<Digest> leaf_hashes);
  [[nodiscard]] std::uint64_t size() const noexcept;
  [[nodiscard]] NodeReader nodes() const;  // valid while this object lives

 private:
  std::vector<std::vector<Digest>> levels_;  // levels_[k][i]: complete subtree (k, i)
};

// RFC 9162 §2.1.3.2 and §2.1.4.2. Error kInvalidSignature says what does not match;
// kInvalidArgument: an index or size out of range, or a proof of the wrong length for them.
[[nodiscard]] Result<void> merkle_verify_inclusion(const Backend& backend, const Digest& leaf_hash,
                                                   std::uint64_t index, std::uint64_t size,
                                                   std::span<const Digest> proof,
                                                   const Digest& root);
[[nodiscard]] Result<void> merkle_verify_consistency(const Backend& backend, std::uint64_t from,
                                                     std::uint64_t to, const Digest& from_root,
                                                     const Digest& to_root,
                                                     std::span<const Digest> proof);

}  // namespace colophon
