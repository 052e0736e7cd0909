// SPDX-License-Identifier: Apache-2.0
//
// Tables of multiples of public keys (kernels/comb.h) under a memory budget: which keys have one,
// how wide its windows are, and which go when room is wanted.
//
// A table pays only over many signatures, so a key's grows with its use (kUsesForWidth), up to the
// widest that every enrolled key at work could have within the budget: how many are enrolled but
// idle (kIdleUses) does not matter. Where the budget is used up, tables of idle keys go, those used
// longest ago first, and tables wider than what is now a key's share; their keys are verified
// without until they have earned one again. A key that is not enrolled but comes often
// (kPromotionUses) gets one too, but never in the place of an enrolled key's: whoever sends
// signatures by keys of his own making slows down no member.
//
// The budget counts the memory of every table, whole pages, from before it is built until the last
// batch that uses it is done. It is passed only for a moment, by a sixteenth at most (or one
// table): while wider tables take the place of narrower ones; and by what batches have in use when
// the limit is lowered. Memory to build in comes on top; of it, too, no more than the budget is out
// at once, or what one table takes.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "backend_implementation.h"
#include "kernels/ecdsa.h"

namespace colophon {

// `bytes` from the system, aligned to 64 bytes and, where large, in huge pages: tables are read at
// random, and with small pages every look-up also misses the translation cache. Error kInternal:
// out of memory.
[[nodiscard]] Result<std::shared_ptr<void>> allocate_huge_pages(std::size_t bytes);
// What `bytes` from there, or from TableSlabs, may take: whole pages.
[[nodiscard]] std::size_t resident_bytes(std::size_t bytes);

// Memory of tables. Those smaller than a huge page stand side by side in regions of huge pages:
// with small pages nearly every look-up would miss the translation cache. Thread-safe; what was
// taken keeps what it needs alive.
class TableSlabs {
 public:
  TableSlabs();
  // As allocate_huge_pages.
  [[nodiscard]] Result<std::shared_ptr<void>> take(std::size_t bytes);

 private:
  class Regions;
  std::shared_ptr<Regions> regions_;
};

// Bytes counted in a total for as long as this lives.
class CountedBytes {
 public:
  CountedBytes(std::atomic<std::size_t>& total, std::size_t bytes) : total_(total), bytes_(bytes) {
    total_ += bytes_;
  }
  CountedBytes(const CountedBytes&) = delete;
  CountedBytes& operator=(const CountedBytes&) = delete;
  ~CountedBytes() { total_ -= bytes_; }

 private:
  std::atomic<std::size_t>& total_;
  const std::size_t bytes_;
};

// A table to be built: of `point` (x ‖ y, on the curve), or of the generator (null).
struct P256Build {
  const std::uint8_t* point = nullptr;
  std::shared_ptr<void> memory = nullptr;
};

// Where tables are built, and by what: a machine's memory and arithmetic. Thread-safe.
class P256TableMaker {
 public:
  P256TableMaker() = default;
  P256TableMaker(const P256TableMaker&) = delete;
  P256TableMaker& operator=(const P256TableMaker&) = delete;
  virtual ~P256TableMaker() = default;

  // What a table with windows of `bits` takes, and what building takes besides.
  [[nodiscard]] virtual std::size_t table_bytes(unsigned bits) const = 0;
  [[nodiscard]] virtual std::size_t build_bytes(unsigned bits) const = 0;
  // Tables that are built sooner together than one by one.
  [[nodiscard]] virtual std::size_t at_once() const = 0;
  // Builds tables with windows of `bits`, at most at_once(). Those for which there is no memory
  // stay null; so do all if the device fails.
  virtual void make(std::span<P256Build> builds, unsigned bits) const noexcept = 0;
};

// On the CPU, by its kernels.
class P256CpuTableMaker final : public P256TableMaker {
 public:
  explicit P256CpuTableMaker(const kernels::P256Kernels& kernels) : kernels_(kernels) {}
  [[nodiscard]] std::size_t table_bytes(unsigned bits) const override;
  [[nodiscard]] std::size_t build_bytes(unsigned bits) const override;
  // Each is built in all lanes.
  [[nodiscard]] std::size_t at_once() const override { return 1; }
  void make(std::span<P256Build> builds, unsigned bits) const noexcept override;

 private:
  const kernels::P256Kernels& kernels_;
  mutable TableSlabs slabs_;
};

// Immutable once built; the batches that use it keep it alive.
struct P256Table {
  P256Table(unsigned window_bits, std::size_t size, std::atomic<std::size_t>& total)
      : counted(total, size), bits(window_bits), bytes(size) {}
  const CountedBytes counted;  // destroyed after the memory
  const unsigned bits;
  const std::size_t bytes;
  std::shared_ptr<void> memory;
};
using P256TablePtr = std::shared_ptr<const P256Table>;

// `uses` signatures of a key in a batch. `prepared` is P256Tables::enrol()'s, kept alive by the
// caller, or null.
struct P256KeyUse {
  const PublicKey* key;
  const PreparedKey* prepared;
  std::uint64_t uses;
};

// For the CPU's tables: an eighth of the machine's memory, at most a gigabyte.
[[nodiscard]] std::size_t table_memory_default();

// Thread-safe. Outlives its handles and tables.
class P256Tables {
 public:
  static constexpr std::array<unsigned, 5> kWidths = {5, 8, 10, 13, 16};
  // Signatures of a key before a table of that width is built for it: what building costs, in
  // signatures verified with the one before.
  static constexpr std::array<std::uint64_t, 5> kUsesForWidth = {16, 64, 512, 8'192, 65'536};
  static constexpr std::uint64_t kPromotionUses = 256;
  // An enrolled key is idle when so many signatures by others have been verified since its last: a
  // second's work of a fast core, or many times what all keys at work would take to come by again.
  static constexpr std::uint64_t kIdleUses = std::uint64_t{1} << 20;
  static constexpr std::uint64_t kIdleUsesPerKey = 64;
  // Of the budget, what may be there twice: tables in whose place wider ones are being built.
  static constexpr std::size_t kReplacedShare = 16;
  // Keys neither enrolled nor with a table whose uses are counted.
  static constexpr std::size_t kStrangersMax = 4'096;

  P256Tables(const P256TableMaker& maker, std::size_t memory_max);

  // A handle; the key's table and count go with it.
  [[nodiscard]] std::unique_ptr<PreparedKey> enrol(const PublicKey& key);

  // The table to use for each of a batch's keys now; null: verify without. Builds tables where keys
  // have earned them and there is room; where memory runs out, they do without. tables[i] is
  // keys[i]'s.
  void acquire(std::span<const P256KeyUse> keys, std::span<P256TablePtr> tables);
  // The generator's, which widens likewise and is not counted against the budget. Error kInternal:
  // no memory for the first.
  [[nodiscard]] Result<P256TablePtr> generator(std::uint64_t uses);

  void set_memory_max(std::size_t bytes);
  // Every table gone, the generator's too, as if none had ever been built; keys stay enrolled.
  void drop_all();
  [[nodiscard]] TableMemory memory() const;

 private:
  using Point = std::array<std::uint8_t, 64>;
  struct Entry {
    Entry(const Point& at, bool is_enrolled) : point(at), enrolled(is_enrolled) {}
    Point point;
    const bool enrolled;
    bool building = false;        // by some thread; others do without meanwhile
    bool is_idle = false;         // enrolled, with a table, not used for long
    std::uint64_t uses = 0;       // since it was new or lost its table
    std::uint64_t last_used = 0;  // of uses_total_
    P256TablePtr table;
  };
  enum State : std::size_t { kWithout, kActive, kIdle };
  using Entries = std::list<Entry>;
  // Of x, by numbers that nobody outside knows: keys come from outside, and cannot be made to
  // collide.
  struct PointHash {
    std::array<std::uint64_t, 4> secret;
    PointHash();
    std::size_t operator()(const Point& point) const noexcept;
  };
  using Gone = std::vector<P256TablePtr>;  // to be freed without the lock: unmapping takes long
  class Handle;
  class Arrivals;
  class Building;

  [[nodiscard]] Entries& list_of(const Entry& entry);
  void touch(Entries::iterator entry, std::uint64_t uses);
  void age();
  [[nodiscard]] std::size_t sharing(const Entry& entry) const;
  // Nothing: it is not counted.
  [[nodiscard]] std::optional<Entries::iterator> find(const P256KeyUse& key) const;
  [[nodiscard]] std::optional<Entries::iterator> stranger(const Point& point);
  // The key's table, and what it has earned. With the lock held.
  enum class Earned : std::uint8_t { kNothing, kFirst, kWider };
  [[nodiscard]] P256TablePtr use(const P256KeyUse& key, Earned* earned);
  [[nodiscard]] std::size_t memory_used() const;
  [[nodiscard]] std::size_t table_bytes(std::size_t width) const;
  // Of the table the key has earned; 0: none.
  [[nodiscard]] unsigned bits_earned(const Entry& entry) const;
  [[nodiscard]] bool make_room(std::size_t bytes, const Entry& wanting, Gone& gone);
  void set_table(Entries::iterator entry, P256TablePtr table);
  void drop_table(Entries::iterator entry, Gone& gone);
  [[nodiscard]] P256TablePtr forget(Entries::iterator entry);
  [[nodiscard]] bool build_generator(P256Table& table) const noexcept;
  const P256TableMaker& maker_;

  std::atomic<std::size_t> memory_used_ = 0;
  std::atomic<std::size_t> build_memory_used_ = 0;

  mutable std::mutex mutex_;
  // The maker's, by width, once asked for: making this object runs no kernel.
  mutable std::array<std::size_t, kWidths.size()> table_bytes_{};
  std::size_t memory_max_;
  std::uint64_t uses_total_ = 0;
  std::size_t replaced_ = 0;  // bytes of tables in whose place wider ones are being built
  std::size_t arriving_ = 0;  // enrolled keys that are to get their first table now
  // [enrolled][State]; in each, the most recently used first. No list is ever walked from end to
  // end: an enrolled register may be millions long.
  std::array<std::array<Entries, 3>, 2> lists_;
  std::unordered_map<Point, Entries::iterator, PointHash> strangers_;

  std::atomic<std::size_t> generator_memory_used_ = 0;
  std::mutex generator_mutex_;
  std::uint64_t generator_uses_ = 0;
  bool generator_building_ = false;  // a wider one; the present one serves meanwhile
  P256TablePtr generator_;
};

}  // namespace colophon
