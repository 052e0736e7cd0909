// SPDX-License-Identifier: Apache-2.0
//
// Subtrees of Merkle trees and proofs about them: draft-ietf-plants-merkle-tree-certs, "Subtrees".
// Of kRfc9162 and, in the same shape, kPlainPairs; kBitcoin, whose nodes depend on what stands
// right of them: error kUnsupported.
#pragma once

#include <cstdint>
#include <vector>

#include "colophon/error.hpp"
#include "colophon/merkle.hpp"

namespace colophon {

// The leaves [start, end), at least one, where `start` is a multiple of the smallest power of two
// that is >= end - start. They need not be a node of the tree they are taken from.
struct MerkleSubtree {
  std::uint64_t start = 0;
  std::uint64_t end = 0;
};

// Errors of all calls here: kInvalidArgument (field "subtree": no subtree, or past kTreeSizeMax; or
// as the calls of merkle.hpp), kUnsupported (field "profile").
template <class D = Digest>
[[nodiscard]] Result<D> merkle_subtree_hash(const MerkleHasher& hasher,
                                            const NodeReaderOf<D>& nodes, MerkleSubtree subtree);

// That the tree's leaf `index`, counted from the tree's first leaf, is in the subtree.
template <class D = Digest>
[[nodiscard]] Result<std::vector<D>> merkle_prove_subtree_inclusion(const MerkleHasher& hasher,
                                                                    const NodeReaderOf<D>& nodes,
                                                                    std::uint64_t index,
                                                                    MerkleSubtree subtree);
// Error kInvalidSignature: the proof does not lead to subtree_hash.
template <class D = Digest>
[[nodiscard]] Result<void> merkle_verify_subtree_inclusion(const MerkleHasher& hasher,
                                                           const HashOf<D>& leaf_hash,
                                                           std::uint64_t index,
                                                           MerkleSubtree subtree, HashesOf<D> proof,
                                                           const HashOf<D>& subtree_hash);

// That the subtree and the tree of `size` >= end leaves have the same leaves in [start, end). For
// start == 0 it is the consistency proof of RFC 9162.
template <class D = Digest>
[[nodiscard]] Result<std::vector<D>> merkle_prove_subtree_consistency(const MerkleHasher& hasher,
                                                                      const NodeReaderOf<D>& nodes,
                                                                      MerkleSubtree subtree,
                                                                      std::uint64_t size);
// Error kInvalidSignature: the proof does not lead to subtree_hash or not to root.
template <class D = Digest>
[[nodiscard]] Result<void> merkle_verify_subtree_consistency(
    const MerkleHasher& hasher, MerkleSubtree subtree, std::uint64_t size,
    const HashOf<D>& subtree_hash, const HashOf<D>& root, HashesOf<D> proof);

}  // namespace colophon
