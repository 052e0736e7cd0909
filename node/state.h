// SPDX-License-Identifier: Apache-2.0
//
// The state contracts work on: an ordered map from bytes to bytes, and an overlay that collects the
// writes of a block before they are made durable in one piece.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "colophon/error.hpp"

namespace colophon::node {

class StateReader {
 public:
  virtual ~StateReader() = default;
  // nullopt: no such key. An error is the disk's (kIo, kCorrupt).
  [[nodiscard]] virtual Result<std::optional<std::string>> get(std::string_view key) const = 0;
};

// Not thread-safe. A transaction's writes are kept apart until commit_transaction().
class StateOverlay {
 public:
  explicit StateOverlay(const StateReader& base) : base_(base) {}

  [[nodiscard]] Result<std::optional<std::string>> get(std::string_view key) const;
  void put(std::string_view key, std::string value);
  void erase(std::string_view key);

  void commit_transaction();
  void discard_transaction();
  // key -> value, nullopt = erased; ordered by key.
  using Writes = std::map<std::string, std::optional<std::string>, std::less<>>;
  [[nodiscard]] const Writes& writes() const noexcept { return block_; }

  // The first error of the reader below, if there was one: the disk failed, so that what a contract
  // made of it says nothing about the transaction, and the block must not be used.
  [[nodiscard]] const std::optional<Error>& read_error() const noexcept { return read_error_; }

 private:
  const StateReader& base_;
  Writes block_;
  Writes transaction_;
  mutable std::optional<Error> read_error_;
};

}  // namespace colophon::node
