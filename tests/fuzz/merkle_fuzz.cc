// SPDX-License-Identifier: Apache-2.0
//
// Merkle proofs: as files, read and written again; and as mathematics, against RFC 9162's recursive
// definitions written down here a second time. In a tree that is known, a proof is accepted if and
// only if it is the proof.
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <vector>

#include "colophon/merkle.hpp"
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
  const bool accepted = merkle_verify_inclusion(fuzz::backend(), leaf_hash(file->leaf), file->index,
                                                file->size, file->proof, file->root)
                            .ok();
  Digest root{};
  const bool right = file->index < file->size && file->size <= kTreeSizeMax &&
                     root_of(leaf_hash(file->leaf), file->index, file->size, file->proof, root) &&
                     root == file->root;
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
  const bool accepted = merkle_verify_consistency(fuzz::backend(), file->from, file->to,
                                                  file->from_root, file->to_root, file->proof)
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

void check(FuzzInput& input) {
  static const fuzz::RightProofs right = fuzz::right_proofs();
  switch (input.choice(3)) {
    case 0:
      check_inclusion_file(fuzz::choose_text(input, {right.inclusion}, ','));
      break;
    case 1:
      check_consistency_file(fuzz::choose_text(input, {right.consistency}, ','));
      break;
    default:
      check_tree(input);
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
