// SPDX-License-Identifier: Apache-2.0
//
// Merkle trees: roots, proofs that a leaf is in a tree, proofs that a tree only grew.
// Trees kept as their right edge alone: merkle_frontier.hpp; subtrees: merkle_subtree.hpp; many
// proofs at once and one proof of many leaves: merkle_batch.hpp.
//
// Every function here is a template over the digest's type, Digest unless written out, as in
// merkle_root<Digest64>(hasher, leaf_hashes) for SHA-512. Where the algorithm makes digests of
// another size: error kInvalidArgument, field "algorithm".
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "colophon/backend.hpp"
#include "colophon/error.hpp"
#include "colophon/hash.hpp"
#include "colophon/slices.hpp"

namespace colophon {

// How leaves and nodes are hashed, and what becomes of a level's last node that has no sibling.
enum class TreeProfile : std::uint8_t {
  // RFC 9162 §2.1: leaf hash = H(0x00 ‖ leaf), node hash = H(0x01 ‖ left ‖ right); a lone node
  // moves up as it is, that is, n leaves split at the largest power of two < n.
  kRfc9162 = 1,
  // Leaf hash = H(leaf), node hash = H(left ‖ right); a lone node moves up as it is. For trees that
  // exist: nothing tells a leaf of two digests from a node (CVE-2017-12842). Such leaves are
  // refused where leaves come as bytes, but who takes leaf hashes, roots or tree sizes from
  // strangers is not protected. New trees should be of RFC 9162.
  kPlainPairs = 2,
  // Bitcoin's: leaf hash = H(H(leaf)), node hash = H(H(left ‖ right)), a lone node is paired with
  // itself; SHA-256 only. So a list whose end is repeated can have the root of the shorter list
  // (CVE-2012-2459): two equal nodes that are paired, other than a lone node with its own copy, are
  // refused on every level, in lists and in proofs. Leaves of 64 bytes: as under kPlainPairs.
  kBitcoin = 3,
};

// Names as on a command line: "rfc9162", "pairs", "bitcoin"; "unknown".
[[nodiscard]] std::string_view tree_profile_name(TreeProfile profile) noexcept;
[[nodiscard]] std::optional<TreeProfile> tree_profile_from_name(std::string_view name) noexcept;

// What hashes a tree. Cheap to copy.
class MerkleHasher {
 public:
  // RFC 9162 with SHA-256 on one thread.
  MerkleHasher(const Backend& backend) : backend_(backend) {}  // NOLINT: implicit

  // `threads`, 1 to kThreadsMax (verifier.hpp), may work on a call that says so; results do not
  // depend on their number. Errors: kInvalidArgument (field "profile": none, or Bitcoin's with
  // another hash than SHA-256; "threads"), kUnsupported (algorithm, as hash_batch).
  [[nodiscard]] static Result<MerkleHasher> create(const Backend& backend, TreeProfile profile,
                                                   HashAlgorithm algorithm, unsigned threads = 1);

  [[nodiscard]] const Backend& backend() const noexcept { return backend_; }
  [[nodiscard]] TreeProfile profile() const noexcept { return profile_; }
  [[nodiscard]] HashAlgorithm algorithm() const noexcept { return algorithm_; }
  [[nodiscard]] unsigned threads() const noexcept { return threads_; }

 private:
  Backend backend_;
  TreeProfile profile_ = TreeProfile::kRfc9162;
  HashAlgorithm algorithm_ = HashAlgorithm::kSha256;
  unsigned threads_ = 1;
};

// 2^48 leaves: no proof is longer than 48 hashes, no index arithmetic overflows.
inline constexpr std::uint64_t kTreeSizeMax = std::uint64_t{1} << 48;
inline constexpr std::size_t kProofHashesMax = 2 * 48;
// Leaves of a MerkleTree, which holds all its nodes: 2 · 2^26 · 64 bytes = 8 GiB at most.
inline constexpr std::size_t kStoredLeavesMax = std::size_t{1} << 26;

// Parameters that leave the choice of D to the template's argument.
template <class D>
using HashOf = std::type_identity_t<D>;
template <class D>
using HashesOf = std::span<const std::type_identity_t<D>>;

// Errors: kInvalidArgument (shape), kMalformed (field "leaves": a leaf of two digests' length,
// under the profiles where it could be read as a node).
template <class D = Digest>
[[nodiscard]] Result<void> merkle_leaf_hashes(const MerkleHasher& hasher, const Slices& leaves,
                                              std::span<HashOf<D>> leaf_hashes);

// Root over leaf hashes already computed; on several threads. No leaves: H(""), Bitcoin's: zeros.
// Error kMalformed (field "leaf_hashes"): a list with the root of a shorter one (kBitcoin).
template <class D = Digest>
[[nodiscard]] Result<D> merkle_root(const MerkleHasher& hasher, HashesOf<D> leaf_hashes);

// Root over leaves, of which 4,096 a thread are hashed at a time, so that a tree of any size takes
// little memory; on several threads. Errors: as the two above.
template <class D = Digest>
[[nodiscard]] Result<D> merkle_root_of_leaves(const MerkleHasher& hasher, const Slices& leaves);

// Reads the hash of the complete subtree at (level, index): leaves [index·2^level,
// (index+1)·2^level). Level 0 is leaf hashes. Provers ask only for subtrees that lie wholly inside
// the tree.
template <class D>
using NodeReaderOf = std::type_identity_t<std::function<Result<D>(unsigned, std::uint64_t)>>;
using NodeReader = NodeReaderOf<Digest>;

// RFC 9162 §2.1.3.1 and §2.1.4.1, from stored nodes: O(log n) reads, whatever holds them. Siblings
// from the leaf up; Bitcoin's proofs have a lone node's copy among them, as is usual there.
// Errors: kInvalidArgument (index >= size, from > to or from == 0, size > kTreeSizeMax, an empty
// reader), kUnsupported (consistency under kBitcoin), and the reader's own. from == to gives an
// empty proof.
template <class D = Digest>
[[nodiscard]] Result<std::vector<D>> merkle_prove_inclusion(const MerkleHasher& hasher,
                                                            const NodeReaderOf<D>& nodes,
                                                            std::uint64_t index,
                                                            std::uint64_t size);
template <class D = Digest>
[[nodiscard]] Result<std::vector<D>> merkle_prove_consistency(const MerkleHasher& hasher,
                                                              const NodeReaderOf<D>& nodes,
                                                              std::uint64_t from, std::uint64_t to);
// Root of the first `size` leaves, from stored nodes.
template <class D = Digest>
[[nodiscard]] Result<D> merkle_root_from_nodes(const MerkleHasher& hasher,
                                               const NodeReaderOf<D>& nodes, std::uint64_t size);

// A NodeReader over leaf hashes in memory; interior nodes are computed once, on construction.
template <class D>
class MerkleTreeOf {
 public:
  // Errors: kLimitExceeded (more than kStoredLeavesMax), kMalformed as merkle_root.
  [[nodiscard]] static Result<MerkleTreeOf> build(const MerkleHasher& hasher,
                                                  std::vector<D> leaf_hashes);
  [[nodiscard]] std::uint64_t size() const noexcept {
    return levels_.empty() ? 0 : levels_.front().size();
  }
  [[nodiscard]] NodeReaderOf<D> nodes() const;  // valid while this object lives

 private:
  std::vector<std::vector<D>> levels_;  // levels_[k][i]: complete subtree (k, i)
};
using MerkleTree = MerkleTreeOf<Digest>;

// RFC 9162 §2.1.3.2 and §2.1.4.2. Error kInvalidSignature says what does not match;
// kInvalidArgument: an index or size out of range, or a proof of the wrong length for them;
// kUnsupported: consistency under kBitcoin. A root says nothing of its tree's size, and sizes in
// which the leaf has the same path are all accepted: take it from where the root comes from.
template <class D = Digest>
[[nodiscard]] Result<void> merkle_verify_inclusion(const MerkleHasher& hasher,
                                                   const HashOf<D>& leaf_hash, std::uint64_t index,
                                                   std::uint64_t size, HashesOf<D> proof,
                                                   const HashOf<D>& root);
template <class D = Digest>
[[nodiscard]] Result<void> merkle_verify_consistency(const MerkleHasher& hasher, std::uint64_t from,
                                                     std::uint64_t to, const HashOf<D>& from_root,
                                                     const HashOf<D>& to_root, HashesOf<D> proof);

}  // namespace colophon
