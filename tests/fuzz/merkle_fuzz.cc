// SPDX-License-Identifier: Apache-2.0
//
// Merkle proofs: as files, read and written again; and as mathematics, against the recursive
// definitions of RFC 9162 and of draft-ietf-plants-merkle-tree-certs, written down here a second
// time. In a tree that is known, a proof is accepted if and only if it is the proof.
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <bit>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "colophon/merkle.hpp"
#include "colophon/merkle_batch.hpp"
#include "colophon/merkle_subtree.hpp"
#include "node/cli/merkle_proof_file.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/right_inputs.h"

namespace colophon {
namespace {

using fuzz::FuzzInput;
using fuzz::require;
using Leaves = std::span<const Digest>;

// --- RFC 9162 §2.1, as it stands there -----------------------------------------------------------

Digest node_hash(const Digest& left, const Digest& right) {
  std::array<std::uint8_t, 65> input{1};
  std::copy(left.begin(), left.end(), input.begin() + 1);
  std::copy(right.begin(), right.end(), input.begin() + 33);
  Digest out;
  SHA256(input.data(), input.size(), out.data());
  return out;
}

std::uint64_t split(std::uint64_t n) {  // the largest power of two smaller than n
  std::uint64_t k = 1;
  while (2 * k < n) k *= 2;
  return k;
}

Digest tree_hash(Leaves d) {
  if (d.size() == 1) return d[0];
  const std::size_t k = split(d.size());
  return node_hash(tree_hash(d.first(k)), tree_hash(d.subspan(k)));
}

std::vector<Digest> path(std::size_t m, Leaves d) {
  if (d.size() == 1) return {};
  const std::size_t k = split(d.size());
  std::vector<Digest> proof = m < k ? path(m, d.first(k)) : path(m - k, d.subspan(k));
  proof.push_back(m < k ? tree_hash(d.subspan(k)) : tree_hash(d.first(k)));
  return proof;
}

std::vector<Digest> subproof(std::size_t m, Leaves d, bool whole) {
  if (m == d.size()) return whole ? std::vector<Digest>{} : std::vector<Digest>{tree_hash(d)};
  const std::size_t k = split(d.size());
  std::vector<Digest> proof =
      m <= k ? subproof(m, d.first(k), whole) : subproof(m - k, d.subspan(k), false);
  proof.push_back(m <= k ? tree_hash(d.subspan(k)) : tree_hash(d.first(k)));
  return proof;
}

// The draft's SUBTREE_SUBPROOF; for start == 0 it is the RFC's SUBPROOF.
std::vector<Digest> subtree_subproof(std::size_t start, std::size_t end, Leaves d, bool whole) {
  if (start == 0) return subproof(end, d, whole);
  const std::size_t k = split(d.size());
  const bool left = end <= k;
  std::vector<Digest> proof = left ? subtree_subproof(start, end, d.first(k), whole)
                                   : subtree_subproof(start - k, end - k, d.subspan(k), whole);
  proof.push_back(left ? tree_hash(d.subspan(k)) : tree_hash(d.first(k)));
  return proof;
}

// The root an inclusion proof leads to, by the same recursion; false: wrong number of hashes.
bool root_of(const Digest& leaf, std::uint64_t m, std::uint64_t n, std::span<const Digest> proof,
             Digest& root) {
  if (n == 1) {
    root = leaf;
    return proof.empty();
  }
  if (proof.empty()) return false;
  const std::uint64_t k = split(n);
  const bool left = m < k;
  Digest below;
  if (!root_of(leaf, left ? m : m - k, left ? k : n - k, proof.first(proof.size() - 1), below)) {
    return false;
  }
  root = left ? node_hash(below, proof.back()) : node_hash(proof.back(), below);
  return true;
}

// --- files ---------------------------------------------------------------------------------------

Digest leaf_hash(ByteSpan leaf) {
  std::vector<std::uint8_t> input{0};
  input.insert(input.end(), leaf.begin(), leaf.end());
  Digest out;
  SHA256(input.data(), input.size(), out.data());
  return out;
}

void check_inclusion_file(std::string_view text) {
  const auto file = cli::parse_inclusion_proof(text);
  if (!file) {
    require(!file.error().message.empty(), "a refusal says why");
    return;
  }
  const std::string written = cli::write_inclusion_proof(*file);
  const auto again = cli::parse_inclusion_proof(written);
  require(again.ok() && cli::write_inclusion_proof(*again) == written, "a file reads back");
  const std::size_t digest_size = digest_bytes(file->hash);
  require(file->root.size() == digest_size && file->proof.size() % digest_size == 0,
          "digests have the length of their hash");
  if (file->hash != HashAlgorithm::kSha256) return;  // the reference's
  const auto proof = cli::digests_from<Digest>(file->proof);
  const auto file_root = cli::digest_from<Digest>(file->root);
  const Digest leaf = leaf_hash(file->leaf);
  const bool accepted =
      merkle_verify_inclusion(fuzz::backend(), leaf, file->index, file->size, proof, file_root)
          .ok();
  Digest root{};
  const bool right = file->index < file->size && file->size <= kTreeSizeMax &&
                     root_of(leaf, file->index, file->size, proof, root) && root == file_root;
  require(accepted == right, "an inclusion proof is accepted if it leads to the root");
}

void check_consistency_file(std::string_view text) {
  const auto file = cli::parse_consistency_proof(text);
  if (!file) {
    require(!file.error().message.empty(), "a refusal says why");
    return;
  }
  const std::string written = cli::write_consistency_proof(*file);
  const auto again = cli::parse_consistency_proof(written);
  require(again.ok() && cli::write_consistency_proof(*again) == written, "a file reads back");
  const std::size_t digest_size = digest_bytes(file->hash);
  require(file->from_root.size() == digest_size && file->to_root.size() == digest_size &&
              file->proof.size() % digest_size == 0,
          "digests have the length of their hash");
  if (file->hash != HashAlgorithm::kSha256) return;
  const bool accepted = merkle_verify_consistency(fuzz::backend(), file->from, file->to,
                                                  cli::digest_from<Digest>(file->from_root),
                                                  cli::digest_from<Digest>(file->to_root),
                                                  cli::digests_from<Digest>(file->proof))
                            .ok();
  if (accepted && file->from == file->to) {
    require(file->proof.empty() && file->from_root == file->to_root, "a tree agrees with itself");
  }
  if (accepted && file->from != file->to) {
    require(file->from < file->to && !file->proof.empty(), "a grown tree needs a proof");
  }
}

// --- a tree that is known ------------------------------------------------------------------------

constexpr std::size_t kLeavesMax = 70;

std::vector<Digest> known_leaves() {
  std::vector<Digest> leaves(kLeavesMax);
  for (std::size_t i = 0; i < leaves.size(); ++i) leaves[i].fill(static_cast<std::uint8_t>(i + 1));
  return leaves;
}

void bend(std::vector<Digest>& proof, const std::vector<Digest>& leaves, FuzzInput& input) {
  for (int i = 0; i < 3 && !input.empty(); ++i) {
    const std::size_t at = proof.empty() ? 0 : input.choice(proof.size());
    switch (input.choice(6)) {
      case 0:
        if (!proof.empty()) proof[at][input.choice(32)] ^= input.byte();
        break;
      case 1:
        proof.push_back(leaves[input.choice(leaves.size())]);
        break;
      case 2:
        if (!proof.empty()) proof.pop_back();
        break;
      case 3:
        if (!proof.empty()) std::swap(proof[at], proof[input.choice(proof.size())]);
        break;
      case 4:
        if (!proof.empty()) proof.insert(proof.begin(), proof[at]);
        break;
      default:
        break;
    }
  }
}

void check_tree(FuzzInput& input) {
  static const std::vector<Digest> leaves = known_leaves();
  const std::size_t size = 1 + input.choice(kLeavesMax);
  const Leaves tree_leaves = Leaves(leaves).first(size);
  const auto tree = MerkleTree::build(fuzz::backend(), {tree_leaves.begin(), tree_leaves.end()});
  require(tree.ok(), "a tree is built");
  const Digest root = tree_hash(tree_leaves);
  if (input.flag()) {
    const std::size_t index = input.choice(size);
    const std::vector<Digest> right = path(index, tree_leaves);
    const auto proved = merkle_prove_inclusion(fuzz::backend(), tree->nodes(), index, size);
    require(proved.ok() && *proved == right, "the proof is the one of RFC 9162");
    std::vector<Digest> bent = right;
    bend(bent, leaves, input);
    const std::size_t other_index = input.empty() ? index : input.choice(kLeavesMax);
    const std::size_t other_size = input.empty() ? size : input.choice(kLeavesMax + 1);
    const bool accepted =
        merkle_verify_inclusion(fuzz::backend(), leaves[index], other_index, other_size, bent, root)
            .ok();
    Digest reached{};
    const bool leads = other_index < other_size &&
                       root_of(leaves[index], other_index, other_size, bent, reached) &&
                       reached == root;
    require(accepted == leads, "accepted if and only if it leads to the root");
    if (other_index == index && other_size == size) {
      require(accepted == (bent == right), "one leaf has one proof");
    }
    return;
  }
  const std::size_t from = 1 + input.choice(size);
  const std::vector<Digest> right = subproof(from, tree_leaves, true);
  const auto proved = merkle_prove_consistency(fuzz::backend(), tree->nodes(), from, size);
  require(proved.ok() && *proved == right, "the proof is the one of RFC 9162");
  std::vector<Digest> bent = right;
  Digest from_root = tree_hash(tree_leaves.first(from));
  bend(bent, leaves, input);
  const bool same_root = !input.flag();
  if (!same_root) from_root[input.choice(32)] ^= static_cast<std::uint8_t>(1U << input.choice(8));
  const bool accepted =
      merkle_verify_consistency(fuzz::backend(), from, size, from_root, root, bent).ok();
  require(accepted == (same_root && bent == right), "two sizes have one proof");
}

void check_subtree(FuzzInput& input) {
  static const std::vector<Digest> leaves = known_leaves();
  const std::size_t size = 1 + input.choice(kLeavesMax);
  const Leaves d = Leaves(leaves).first(size);
  const std::size_t end = 1 + input.choice(size);
  const std::size_t level = input.choice(8);
  const std::size_t start = (end - 1) >> level << level;
  const MerkleSubtree subtree{start, end};
  const auto tree = MerkleTree::build(fuzz::backend(), {d.begin(), d.end()});
  require(tree.ok(), "a tree is built");
  const Digest hash = tree_hash(d.subspan(start, end - start));
  const auto computed = merkle_subtree_hash(fuzz::backend(), tree->nodes(), subtree);
  require(computed.ok() && *computed == hash, "a subtree's hash is that of its leaves");
  Digest stated = hash;
  const bool same_hash = !input.flag();
  if (!same_hash) stated[input.choice(32)] ^= static_cast<std::uint8_t>(1U << input.choice(8));
  if (input.flag()) {
    const std::size_t index = start + input.choice(end - start);
    const std::vector<Digest> right = path(index - start, d.subspan(start, end - start));
    const auto proved =
        merkle_prove_subtree_inclusion(fuzz::backend(), tree->nodes(), index, subtree);
    require(proved.ok() && *proved == right, "the proof is the one of the RFC");
    std::vector<Digest> bent = right;
    bend(bent, leaves, input);
    const bool accepted = merkle_verify_subtree_inclusion(fuzz::backend(), leaves[index], index,
                                                          subtree, bent, stated)
                              .ok();
    require(accepted == (same_hash && bent == right), "one leaf has one proof in a subtree");
    return;
  }
  const std::vector<Digest> right = subtree_subproof(start, end, d, true);
  const auto proved =
      merkle_prove_subtree_consistency(fuzz::backend(), tree->nodes(), subtree, size);
  require(proved.ok() && *proved == right, "the proof is the one of the draft");
  std::vector<Digest> bent = right;
  bend(bent, leaves, input);
  const bool accepted =
      merkle_verify_subtree_consistency(fuzz::backend(), subtree, size, stated, tree_hash(d), bent)
          .ok();
  require(accepted == (same_hash && bent == right), "a subtree has one proof in a tree");
}

// The root a proof of some leaves leads to; false: wrong number of hashes.
bool root_of_many(std::map<std::uint64_t, Digest> known, std::uint64_t size,
                  std::span<const Digest> proof, Digest& root) {
  for (std::uint64_t last = size - 1; last != 0; last /= 2) {
    std::map<std::uint64_t, Digest> above;
    for (const auto& [index, hash] : known) {
      const auto sibling = known.find(index ^ 1);
      if (above.contains(index / 2)) continue;
      if (index % 2 == 0 && index == last) {
        above[index / 2] = hash;
        continue;
      }
      Digest other{};
      if (sibling != known.end()) {
        other = sibling->second;
      } else {
        if (proof.empty()) return false;
        other = proof.front();
        proof = proof.subspan(1);
      }
      above[index / 2] = index % 2 == 0 ? node_hash(hash, other) : node_hash(other, hash);
    }
    known = above;
  }
  root = known.begin()->second;
  return proof.empty();
}

void check_multiproof(FuzzInput& input) {
  static const std::vector<Digest> leaves = known_leaves();
  const std::size_t size = 1 + input.choice(kLeavesMax);
  const Leaves d = Leaves(leaves).first(size);
  std::set<std::uint64_t> chosen;
  for (std::size_t left = 1 + input.choice(12); left > 0; --left) chosen.insert(input.choice(size));
  std::vector<std::uint64_t> indices(chosen.begin(), chosen.end());
  std::vector<Digest> hashes;
  for (const std::uint64_t index : indices) hashes.push_back(d[index]);
  const auto tree = MerkleTree::build(fuzz::backend(), {d.begin(), d.end()});
  require(tree.ok(), "a tree is built");
  const Digest root = tree_hash(d);
  const auto right = merkle_prove_multi(fuzz::backend(), tree->nodes(), indices, size);
  require(right.ok(), "any leaves of a tree have a proof");

  std::vector<Digest> bent = *right;
  bend(bent, leaves, input);
  const bool accepted =
      merkle_verify_multi(fuzz::backend(), hashes, indices, size, bent, root).ok();
  require(accepted == (bent == *right), "some leaves have one proof");

  // Leaves that are claimed to stand elsewhere, to be others, in a tree of another size.
  std::uint64_t other_size = size;
  if (input.flag()) other_size = input.choice(kLeavesMax + 1);
  if (input.flag()) indices[input.choice(indices.size())] = input.choice(kLeavesMax);
  if (input.flag()) hashes[input.choice(hashes.size())][input.choice(32)] ^= input.byte();
  std::map<std::uint64_t, Digest> known;
  for (std::size_t i = 0; i < indices.size(); ++i) known[indices[i]] = hashes[i];
  Digest reached{};
  const bool leads = known.size() == indices.size() &&
                     std::is_sorted(indices.begin(), indices.end()) &&
                     indices.back() < other_size &&
                     root_of_many(known, other_size, bent, reached) && reached == root;
  const bool taken =
      merkle_verify_multi(fuzz::backend(), hashes, indices, other_size, bent, root).ok();
  require(taken == leads, "accepted if and only if it leads to the root");
}

void check(FuzzInput& input) {
  static const fuzz::RightProofs right = fuzz::right_proofs();
  switch (input.choice(5)) {
    case 0:
      check_inclusion_file(
          fuzz::choose_text(input, {right.inclusion, right.inclusion_sha512}, ','));
      break;
    case 1:
      check_consistency_file(fuzz::choose_text(input, {right.consistency}, ','));
      break;
    case 2:
      check_tree(input);
      break;
    case 3:
      check_subtree(input);
      break;
    default:
      check_multiproof(input);
      break;
  }
}

}  // namespace
}  // namespace colophon

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  colophon::fuzz::FuzzInput input(data, size);
  colophon::check(input);
  return 0;
}
