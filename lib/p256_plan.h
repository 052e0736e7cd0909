// SPDX-License-Identifier: Apache-2.0
//
// The signatures of a batch over P-256 in the order in which kernels take them: those by keys with
// tables of one width together, and those by keys without, in pieces of a limited size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <span>
#include <vector>

#include "backend_implementation.h"
#include "p256_tables.h"

namespace colophon {

// Signatures that take the same way: by keys with tables of `bits`, or (0) without.
struct P256Piece {
  unsigned bits;
  std::size_t first, count;
};

// A signature: its item, and its key's table or null.
struct P256Entry {
  std::uint32_t item;
  const void* table;
};

// Keeps the tables alive.
class P256Plan {
 public:
  // Uses the tables: every key of `work` has its uses counted, and may get a table here. A piece
  // has at most `with_table_max` signatures, or `without_max` by keys without a table. The memory
  // is `work`'s.
  P256Plan(const VerifyWork& work, P256Tables& tables, std::size_t with_table_max,
           std::size_t without_max);

  [[nodiscard]] std::span<const P256Piece> pieces() const { return pieces_; }
  // Signatures of one key stand next to each other.
  [[nodiscard]] std::span<const P256Entry> entries(const P256Piece& piece) const {
    return std::span(entries_).subspan(piece.first, piece.count);
  }

 private:
  std::pmr::vector<P256TablePtr> tables_;
  std::pmr::vector<P256Entry> entries_;  // by bits
  std::pmr::vector<P256Piece> pieces_;
};

}  // namespace colophon
