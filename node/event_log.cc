// SPDX-License-Identifier: Apache-2.0
#include "node/event_log.h"

#include <array>
#include <bit>
#include <cstring>
#include <string>
#include <utility>

namespace colophon::node {
namespace {

constexpr std::uint8_t kNodePrefix = 0x01;  // RFC 9162 §2.1.1
constexpr std::size_t kNodeInputBytes = 1 + 2 * sizeof(Digest);

Error too_large() {
  return make_error(
      ErrorCode::kLimitExceeded,
      "the event log is full: its limit is " + std::to_string(kTreeSizeMax) + " events", "log");
}

// Hashes of a run of inner nodes: parents[i] = H(0x01 || children[2i] || children[2i+1]).
Result<std::vector<Digest>> hash_parents(const Backend& backend,
                                         const std::vector<Digest>& children) {
  const std::size_t count = children.size() / 2;
  std::vector<std::uint8_t> inputs(count * kNodeInputBytes);
  std::vector<std::uint64_t> offsets(count + 1);
  for (std::size_t i = 0; i < count; ++i) {
    std::uint8_t* input = inputs.data() + i * kNodeInputBytes;
    input[0] = kNodePrefix;
    std::memcpy(input + 1, children[2 * i].data(), sizeof(Digest));
    std::memcpy(input + 1 + sizeof(Digest), children[2 * i + 1].data(), sizeof(Digest));
    offsets[i + 1] = offsets[i] + kNodeInputBytes;
  }
  std::vector<Digest> parents(count);
  COLOPHON_TRY(hash_batch(backend, HashAlgorithm::kSha256, Slices{inputs, offsets}, parents));
  return parents;
}

}  // namespace

Result<EventLog> EventLog::load(const NodeReader& nodes, std::uint64_t size) {
  if (size > kTreeSizeMax) return too_large();
  EventLog log;
  log.size_ = size;
  log.frontier_.resize(static_cast<std::size_t>(std::bit_width(size)));
  for (unsigned level = 0; level < log.frontier_.size(); ++level) {
    if ((size >> level & 1) == 0) continue;
    COLOPHON_TRY_ASSIGN(log.frontier_[level], nodes(level, (size >> level) - 1));
  }
  return log;
}

Result<std::vector<LogNode>> EventLog::append(const Backend& backend, const Slices& leaves) {
  const std::uint64_t size = size_ + leaves.size();
  if (size > kTreeSizeMax || size < size_) return too_large();

  std::vector<LogNode> added;
  added.reserve(2 * leaves.size() + kProofHashesMax);
  std::vector<Digest> frontier(static_cast<std::size_t>(std::bit_width(size)));
  std::vector<Digest> fresh(leaves.size());  // of this level, the ones not complete before
  COLOPHON_TRY(merkle_leaf_hashes(backend, leaves, fresh));

  for (unsigned level = 0; level < frontier.size(); ++level) {
    const std::uint64_t first = size_ >> level;  // index of fresh.front()
    for (std::size_t i = 0; i < fresh.size(); ++i) added.push_back({level, first + i, fresh[i]});
    // An old left sibling is the frontier's; it and the fresh ones pair up to the next level.
    const bool old_left = (first & 1) != 0;
    if ((size >> level & 1) != 0) {
      frontier[level] = fresh.empty() ? frontier_[level] : fresh.back();
    }
    if (old_left && !fresh.empty()) fresh.insert(fresh.begin(), frontier_[level]);
    COLOPHON_TRY_ASSIGN(fresh, hash_parents(backend, fresh));
  }
  size_ = size;
  frontier_ = std::move(frontier);
  return added;
}

Result<Digest> EventLog::root(const Backend& backend) const {
  if (size_ == 0) {
    Digest root{};
    const std::array<std::uint64_t, 2> offsets{};
    COLOPHON_TRY(hash_batch(backend, HashAlgorithm::kSha256, Slices{{}, offsets},
                            std::span<Digest>(&root, 1)));
    return root;
  }
  // Right to left: the smallest complete subtree is the rightmost.
  auto level = static_cast<std::size_t>(std::countr_zero(size_));
  Digest root = frontier_[level];
  for (++level; level < frontier_.size(); ++level) {
    if ((size_ >> level & 1) == 0) continue;
    COLOPHON_TRY_ASSIGN(const std::vector<Digest> parent,
                        hash_parents(backend, {frontier_[level], root}));
    root = parent.front();
  }
  return root;
}

}  // namespace colophon::node
