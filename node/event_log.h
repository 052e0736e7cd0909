// SPDX-License-Identifier: Apache-2.0
//
// The event log as an append-only RFC 9162 tree: what one block adds to it, computed without I/O.
#pragma once

#include <cstdint>
#include <vector>

#include "colophon/backend.hpp"
#include "colophon/error.hpp"
#include "colophon/hash.hpp"
#include "colophon/merkle.hpp"
#include "colophon/slices.hpp"

namespace colophon::node {

// A complete subtree: the leaves [index·2^level, (index+1)·2^level).
struct LogNode {
  unsigned level = 0;
  std::uint64_t index = 0;
  Digest hash{};
};

// A tree's size and what is needed to make it grow. A value: copying it is how an append is undone.
class EventLog {
 public:
  // The empty log.
  EventLog() = default;
  // A log of `size` leaves, its complete subtrees read through `nodes`. Errors: the reader's;
  // kLimitExceeded (kTreeSizeMax).
  [[nodiscard]] static Result<EventLog> load(const NodeReader& nodes, std::uint64_t size);

  // Adds leaves. Returns every complete subtree that was not complete before, leaf hashes included,
  // ordered by level, then index. Errors: the backend's; kLimitExceeded (kTreeSizeMax); on an error
  // the log is unchanged.
  [[nodiscard]] Result<std::vector<LogNode>> append(const Backend& backend, const Slices& leaves);

  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  [[nodiscard]] Result<Digest> root(const Backend& backend) const;

 private:
  std::uint64_t size_ = 0;
  // frontier_[k]: the last complete subtree of level k, where bit k of size_ is set; else unused.
  std::vector<Digest> frontier_;
};

}  // namespace colophon::node
