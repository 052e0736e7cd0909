// SPDX-License-Identifier: Apache-2.0
//
// Tables of multiples of public keys (kernels/comb.h) under a memory budget: which keys have one,
// how wide its windows are, and which go when room is wanted.
//
// A table pays only over many signatures, so a key's grows with its use (kUsesForWidth), up to the
// widest that every enrolled key could have within the budget. Over the budget, the tables used
// longest ago go; their keys are verified without until they have earned one again. A key that is
// not enrolled but comes often (kPromotionUses) gets one too.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>

#include "backend_implementation.h"
#include "kernels/ecdsa.h"

namespace colophon {

// `bytes` from the system, aligned to 64 bytes and, where large, in huge pages: tables are read at
// random, and with small pages every look-up also misses the translation cache. Error kInternal:
// out of memory.
[[nodiscard]] Result<std::shared_ptr<void>> allocate_table_memory(std::size_t bytes);

// A finished table; the batches that use it keep it alive.
struct P256Table {
  unsigned bits = 0;
  std::size_t bytes = 0;
  std::shared_ptr<void> memory;
};
using P256TablePtr = std::shared_ptr<const P256Table>;

// Thread-safe.
class P256Tables {
 public:
  static constexpr std::array<unsigned, 5> kWidths = {5, 8, 10, 13, 16};
  // Signatures of a key before a table of that width is built for it: what building costs, in
  // signatures verified with the one before.
  static constexpr std::array<std::uint64_t, 5> kUsesForWidth = {16, 64, 512, 8'192, 65'536};
  static constexpr std::uint64_t kPromotionUses = 256;
  static constexpr std::size_t kStrangersMax = 4'096;  // keys not enrolled whose uses are counted

  explicit P256Tables(const kernels::P256Kernels& kernels);

  // A handle; the key's table and count go with it.
  [[nodiscard]] std::unique_ptr<PreparedKey> enrol(const PublicKey& key);

  // The table to use for `uses` signatures of a key now; null: verify without. `prepared` is
  // enrol()'s, or null. Builds a table where the key has earned one. Error kInternal: out of
  // memory.
  [[nodiscard]] Result<P256TablePtr> acquire(const PublicKey& key, const PreparedKey* prepared,
                                             std::uint64_t uses);
  // The generator's, which widens likewise and is not counted against the budget.
  [[nodiscard]] Result<P256TablePtr> generator(std::uint64_t uses);

  void set_memory_max(std::size_t bytes);
  [[nodiscard]] TableMemory memory() const;

 private:
  using Point = std::array<std::uint8_t, 64>;
  struct Entry {
    Point point{};
    bool enrolled = false;
    bool building = false;   // by some thread; others do without meanwhile
    std::uint64_t uses = 0;  // since it was new or lost its table
    P256TablePtr table;
  };
  using Entries = std::list<Entry>;
  class Handle;

  [[nodiscard]] Entries::iterator stranger(const Point& point);
  // Index into kWidths plus one; 0: none.
  [[nodiscard]] std::size_t width_earned(const Entry& entry) const;
  [[nodiscard]] Result<P256TablePtr> build(const Point* point, unsigned bits) const;
  void release(Entry& entry);
  void make_room();
  void forget(Entries::iterator entry);

  const kernels::P256Kernels& kernels_;

  mutable std::mutex mutex_;
  std::size_t memory_max_;
  std::size_t memory_used_ = 0;
  std::size_t enrolled_ = 0;
  Entries entries_;  // most recently used first
  std::map<Point, Entries::iterator> strangers_;

  std::mutex generator_mutex_;
  std::uint64_t generator_uses_ = 0;
  P256TablePtr generator_;
};

}  // namespace colophon
