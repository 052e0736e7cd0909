// SPDX-License-Identifier: Apache-2.0
#include "colophon/merkle.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#include <utility>

#include "colophon/merkle_frontier.hpp"
#include "colophon/verifier.hpp"
#include "merkle_tree.h"
#include "slices_shape.h"
#include "threads.h"

namespace colophon {

namespace merkle {

HashForm leaf_form(const MerkleHasher& hasher) {
  return {.algorithm = hasher.algorithm(),
          .prefix = hasher.profile() == TreeProfile::kRfc9162 ? 0x00 : HashForm::kNoPrefix,
          .twice = hasher.profile() == TreeProfile::kBitcoin};
}

HashForm node_form(const MerkleHasher& hasher) {
  HashForm form = leaf_form(hasher);
  if (hasher.profile() == TreeProfile::kRfc9162) form.prefix = 0x01;
  return form;
}

Error bad_argument(std::string message, const char* field) {
  return make_error(ErrorCode::kInvalidArgument, std::move(message), field);
}

Error empty_reader() { return bad_argument("the reader of stored nodes is empty", "nodes"); }

Result<void> check_digest_size(const MerkleHasher& hasher, std::size_t bytes) {
  const std::size_t made = digest_bytes(hasher.algorithm());
  if (made == bytes) return {};
  return bad_argument(std::string(hash_name(hasher.algorithm())) + " makes digests of " +
                          std::to_string(made) + " bytes, the call is for " + std::to_string(bytes),
                      "algorithm");
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

Result<void> check_proof_length(std::size_t length, std::size_t expected) {
  if (length == expected) return {};
  return bad_argument("the proof has " + std::to_string(length) +
                          " hashes where this position needs " + std::to_string(expected),
                      "proof");
}

Result<void> check_count(std::size_t count, const char* field, std::size_t expected,
                         const char* of) {
  if (count == expected) return {};
  return bad_argument(std::string(field) + " has " + std::to_string(count) + " items where " + of +
                          " has " + std::to_string(expected),
                      field);
}

Result<void> check_limit(std::size_t count, std::size_t max, const char* limit, const char* field) {
  if (count <= max) return {};
  return make_error(ErrorCode::kLimitExceeded,
                    std::string(field) + " has " + std::to_string(count) + " items, more than " +
                        limit + ", " + std::to_string(max),
                    field);
}

}  // namespace merkle

namespace {

struct NamedProfile {
  TreeProfile profile;
  std::string_view name;
};
constexpr NamedProfile kProfileNames[] = {{TreeProfile::kRfc9162, "rfc9162"},
                                          {TreeProfile::kPlainPairs, "pairs"},
                                          {TreeProfile::kBitcoin, "bitcoin"}};

// Leaves of one streamed step, a complete subtree: wide enough for every backend's lanes, and their
// hashes stay in a core's cache.
constexpr std::size_t kChunkLeaves = 4096;
// Leaves are shared out to threads in complete subtrees, several for each, so that none waits long.
constexpr std::size_t kPiecesForThread = 8;

template <class D>
Result<D> empty_root(const MerkleHasher& hasher) {
  D root{};
  if (hasher.profile() == TreeProfile::kBitcoin) return root;  // as Bitcoin Core has it
  const std::uint64_t offsets[2] = {0, 0};
  COLOPHON_TRY(hasher.backend().implementation().hash({.algorithm = hasher.algorithm()},
                                                      Slices{{}, offsets}, root.data()));
  return root;
}

Result<void> check_leaves(const MerkleHasher& hasher, const Slices& leaves) {
  COLOPHON_TRY(check_shape(leaves, "leaves"));
  if (hasher.profile() == TreeProfile::kRfc9162) return {};
  const std::size_t ambiguous = 2 * digest_bytes(hasher.algorithm());
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    if (leaves[i].size() != ambiguous) continue;
    return make_error(ErrorCode::kMalformed,
                      "a leaf has " + std::to_string(ambiguous) +
                          " bytes and could be read as a node (CVE-2017-12842); the profile "
                          "rfc9162 tells them apart",
                      "leaves");
  }
  return {};
}

Slices some_of(const Slices& leaves, std::size_t begin, std::size_t end) {
  return {leaves.bytes, leaves.offsets.subspan(begin, end - begin + 1)};
}

// The root of `count` > 0 leaves. Complete subtrees are shared out to the threads; whole(begin,
// end, root) is the root of some leaves where a lone node moves up, append(frontier, begin, end)
// puts them on an empty frontier where it does not.
template <class D, class Whole, class Append>
Result<D> root_in_pieces(const MerkleHasher& hasher, std::size_t count, const Whole& whole,
                         const Append& append) {
  std::size_t piece = std::bit_ceil(count);
  if (hasher.threads() > 1) {
    piece = std::max(kChunkLeaves, std::bit_ceil(count / (kPiecesForThread * hasher.threads())));
  }
  const std::size_t pieces = (count - 1) / piece + 1;
  std::vector<D> roots(pieces);
  const auto hash_piece = [&](std::size_t i) -> Result<void> {
    const std::size_t begin = i * piece;
    const std::size_t end = std::min(count, begin + piece);
    if (!merkle::copies_lone_node(hasher)) return whole(begin, end, roots[i].data());
    COLOPHON_TRY_ASSIGN(auto frontier, MerkleFrontierOf<D>::create(hasher));
    COLOPHON_TRY(append(frontier, begin, end));
    auto edge = merkle::edge_of<D>(hasher, frontier.size(), frontier.hashes());
    // Of several, the last has the level of the others, too.
    const auto level = static_cast<unsigned>(std::countr_zero(piece));
    COLOPHON_TRY_ASSIGN(roots[i], pieces == 1 ? edge.root() : edge.at(level));
    return {};
  };
  COLOPHON_TRY(share_out(pieces, hasher.threads(), hash_piece));
  COLOPHON_TRY_ASSIGN(auto top, MerkleFrontierOf<D>::create(hasher));
  COLOPHON_TRY(top.append(roots));
  return top.root();
}

}  // namespace

std::string_view tree_profile_name(TreeProfile profile) noexcept {
  for (const NamedProfile& named : kProfileNames) {
    if (named.profile == profile) return named.name;
  }
  return "unknown";
}

std::optional<TreeProfile> tree_profile_from_name(std::string_view name) noexcept {
  for (const NamedProfile& named : kProfileNames) {
    if (named.name == name) return named.profile;
  }
  return std::nullopt;
}

Result<MerkleHasher> MerkleHasher::create(const Backend& backend, TreeProfile profile,
                                          HashAlgorithm algorithm, unsigned threads) {
  if (tree_profile_name(profile) == "unknown") {
    return merkle::bad_argument("unknown tree profile " + std::to_string(static_cast<int>(profile)),
                                "profile");
  }
  if (profile == TreeProfile::kBitcoin && algorithm != HashAlgorithm::kSha256) {
    return merkle::bad_argument("Bitcoin's trees are of SHA-256 only", "profile");
  }
  if (threads < 1 || threads > kThreadsMax) {
    return merkle::bad_argument(
        "threads is " + std::to_string(threads) + ", must be 1 to " + std::to_string(kThreadsMax),
        "threads");
  }
  COLOPHON_TRY(HashStream::create(backend, algorithm));  // is it there at all?
  MerkleHasher hasher(backend);
  hasher.profile_ = profile;
  hasher.algorithm_ = algorithm;
  hasher.threads_ = threads;
  return hasher;
}

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

Result<void> BackendImplementation::hash_leaves_tree(const HashForm& leaf_form,
                                                     const HashForm& form, const Slices& leaves,
                                                     std::uint8_t* root) const {
  const std::size_t each = digest_bytes(form.algorithm);
  const std::size_t count = leaves.size();
  std::vector<std::uint8_t> hashes(std::min(count, kChunkLeaves) * each);
  std::vector<std::uint8_t> roots(((count - 1) / kChunkLeaves + 1) * each);
  for (std::size_t begin = 0; begin < count; begin += kChunkLeaves) {
    const std::size_t end = std::min(count, begin + kChunkLeaves);
    COLOPHON_TRY(hash(leaf_form, some_of(leaves, begin, end), hashes.data()));
    COLOPHON_TRY(hash_tree(form, hashes.data(), end - begin, &roots[begin / kChunkLeaves * each]));
  }
  return hash_tree(form, roots.data(), roots.size() / each, root);
}

template <class D>
Result<void> merkle_leaf_hashes(const MerkleHasher& hasher, const Slices& leaves,
                                std::span<HashOf<D>> leaf_hashes) {
  COLOPHON_TRY(merkle::check_digest_size(hasher, sizeof(D)));
  COLOPHON_TRY(check_leaves(hasher, leaves));
  COLOPHON_TRY(merkle::check_count(leaf_hashes.size(), "leaf_hashes", leaves.size(), "leaves"));
  if (leaves.size() == 0) return {};
  return hasher.backend().implementation().hash(merkle::leaf_form(hasher), leaves,
                                                leaf_hashes[0].data());
}

template <class D>
Result<D> merkle_root(const MerkleHasher& hasher, HashesOf<D> leaf_hashes) {
  COLOPHON_TRY(merkle::check_digest_size(hasher, sizeof(D)));
  if (leaf_hashes.empty()) return empty_root<D>(hasher);
  const auto whole = [&](std::size_t begin, std::size_t end, std::uint8_t* root) {
    return hasher.backend().implementation().hash_tree(
        merkle::node_form(hasher), leaf_hashes[begin].data(), end - begin, root);
  };
  const auto append = [&](MerkleFrontierOf<D>& frontier, std::size_t begin, std::size_t end) {
    return frontier.append(leaf_hashes.subspan(begin, end - begin));
  };
  return root_in_pieces<D>(hasher, leaf_hashes.size(), whole, append);
}

template <class D>
Result<D> merkle_root_of_leaves(const MerkleHasher& hasher, const Slices& leaves) {
  COLOPHON_TRY(merkle::check_digest_size(hasher, sizeof(D)));
  COLOPHON_TRY(check_leaves(hasher, leaves));
  if (leaves.size() == 0) return empty_root<D>(hasher);
  const BackendImplementation& by = hasher.backend().implementation();
  const auto whole = [&](std::size_t begin, std::size_t end, std::uint8_t* root) {
    return by.hash_leaves_tree(merkle::leaf_form(hasher), merkle::node_form(hasher),
                               some_of(leaves, begin, end), root);
  };
  const auto append = [&](MerkleFrontierOf<D>& frontier, std::size_t begin,
                          std::size_t end) -> Result<void> {
    std::vector<D> hashes(std::min(kChunkLeaves, end - begin));
    for (; begin < end; begin += kChunkLeaves) {
      const std::span<D> chunk = std::span(hashes).first(std::min(kChunkLeaves, end - begin));
      COLOPHON_TRY(by.hash(merkle::leaf_form(hasher), some_of(leaves, begin, begin + chunk.size()),
                           chunk[0].data()));
      COLOPHON_TRY(frontier.append(chunk));
    }
    return {};
  };
  return root_in_pieces<D>(hasher, leaves.size(), whole, append);
}

template Result<void> merkle_leaf_hashes<Digest>(const MerkleHasher&, const Slices&,
                                                 std::span<Digest>);
template Result<void> merkle_leaf_hashes<Digest64>(const MerkleHasher&, const Slices&,
                                                   std::span<Digest64>);
template Result<Digest> merkle_root<Digest>(const MerkleHasher&, std::span<const Digest>);
template Result<Digest64> merkle_root<Digest64>(const MerkleHasher&, std::span<const Digest64>);
template Result<Digest> merkle_root_of_leaves<Digest>(const MerkleHasher&, const Slices&);
template Result<Digest64> merkle_root_of_leaves<Digest64>(const MerkleHasher&, const Slices&);

}  // namespace colophon
