// SPDX-License-Identifier: Apache-2.0
#include "p256_tables.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

namespace colophon {
namespace {

constexpr std::size_t kHugePageBytes = std::size_t{2} << 20;
// Of the machine's memory, one eighth, and not more than a gigabyte unless it is asked for.
constexpr std::size_t kMemoryShare = 8;
constexpr std::size_t kMemoryDefaultMax = std::size_t{1} << 30;

std::size_t memory_default() {
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long page_bytes = sysconf(_SC_PAGESIZE);
  if (pages <= 0 || page_bytes <= 0) return kMemoryDefaultMax / kMemoryShare;
  const std::size_t physical =
      static_cast<std::size_t>(pages) * static_cast<std::size_t>(page_bytes);
  return std::min(physical / kMemoryShare, kMemoryDefaultMax);
}

}  // namespace

Result<std::shared_ptr<void>> allocate_table_memory(std::size_t bytes) {
  // Huge pages need an address on their border: map one more and give back what is over.
  const bool huge = bytes >= kHugePageBytes / 2;
  const std::size_t unit = huge ? kHugePageBytes : 4096;
  const std::size_t size = (bytes + unit - 1) / unit * unit;
  const std::size_t mapped = huge ? size + kHugePageBytes : size;
  void* const start =
      mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) {
    return make_error(ErrorCode::kInternal, "no memory for a table of " + std::to_string(bytes) +
                                                " bytes: lower the table memory limit");
  }
  auto* const from = static_cast<std::uint8_t*>(start);
  const std::size_t misaligned = reinterpret_cast<std::uintptr_t>(from) % unit;
  const std::size_t head = misaligned == 0 ? 0 : unit - misaligned;
  if (head != 0) munmap(from, head);
  if (mapped - size > head) munmap(from + head + size, mapped - size - head);
  void* const memory = from + head;
  if (huge) (void)madvise(memory, size, MADV_HUGEPAGE);  // a wish: small pages work too
  return std::shared_ptr<void>(memory, [size](void* at) { munmap(at, size); });
}

// --- handles
// ---------------------------------------------------------------------------------------

class P256Tables::Handle final : public PreparedKey {
 public:
  Handle(P256Tables& tables, Entries::iterator entry) : tables_(tables), entry_(entry) {}
  ~Handle() override {
    const std::scoped_lock guard(tables_.mutex_);
    tables_.forget(entry_);
  }
  [[nodiscard]] std::size_t memory_bytes() const noexcept override {
    return sizeof(*this) + sizeof(Entry);
  }
  [[nodiscard]] Entries::iterator entry() const noexcept { return entry_; }

 private:
  P256Tables& tables_;
  const Entries::iterator entry_;
};

P256Tables::P256Tables(const kernels::P256Kernels& kernels)
    : kernels_(kernels), memory_max_(memory_default()) {}

std::unique_ptr<PreparedKey> P256Tables::enrol(const PublicKey& key) {
  const std::scoped_lock guard(mutex_);
  Entry entry;
  entry.point = key.bytes;
  entry.enrolled = true;
  entries_.push_front(std::move(entry));
  ++enrolled_;
  return std::make_unique<Handle>(*this, entries_.begin());
}

void P256Tables::forget(Entries::iterator entry) {
  release(*entry);
  if (entry->enrolled) {
    --enrolled_;
  } else {
    strangers_.erase(entry->point);
  }
  entries_.erase(entry);
}

void P256Tables::release(Entry& entry) {
  if (entry.table) memory_used_ -= entry.table->bytes;
  entry.table.reset();
  entry.uses = 0;
}

// --- which key has which table
// --------------------------------------------------------------------------

// A key that came as bytes, counted. The one seen longest ago makes place; a handful of common keys
// stay in front of any number of keys seen once.
P256Tables::Entries::iterator P256Tables::stranger(const Point& point) {
  if (const auto found = strangers_.find(point); found != strangers_.end()) return found->second;
  if (strangers_.size() >= kStrangersMax) {
    for (auto entry = entries_.end(); entry != entries_.begin();) {
      --entry;
      if (entry->enrolled || entry->building) continue;
      forget(entry);
      break;
    }
  }
  entries_.push_front(Entry{point, false, false, 0, nullptr});
  strangers_.emplace(point, entries_.begin());
  return entries_.begin();
}

std::size_t P256Tables::width_earned(const Entry& entry) const {
  if (!entry.enrolled && entry.uses < kPromotionUses) return 0;
  std::size_t width = 0;
  while (width < kWidths.size() && entry.uses >= kUsesForWidth[width] &&
         kernels_.table_bytes(kWidths[width]) * std::max<std::size_t>(enrolled_, 1) <=
             memory_max_) {
    ++width;
  }
  return width;
}

// The tables used longest ago, until the budget is kept.
void P256Tables::make_room() {
  for (auto entry = entries_.rbegin(); entry != entries_.rend() && memory_used_ > memory_max_;
       ++entry) {
    if (entry->table) release(*entry);
  }
}

Result<P256TablePtr> P256Tables::acquire(const PublicKey& key, const PreparedKey* prepared,
                                         std::uint64_t uses) {
  std::unique_lock guard(mutex_);
  // An enrolled key's entry lives as long as its handle, which the batch keeps alive.
  const auto entry =
      prepared != nullptr ? static_cast<const Handle*>(prepared)->entry() : stranger(key.bytes);
  entries_.splice(entries_.begin(), entries_, entry);
  entry->uses += uses;
  const std::size_t width = width_earned(*entry);
  const unsigned bits = width == 0 ? 0 : kWidths[width - 1];
  if (entry->building || bits <= (entry->table ? entry->table->bits : 0)) return entry->table;

  entry->building = true;  // keeps a stranger's entry from being forgotten, too
  const Point point = entry->point;
  guard.unlock();
  auto built = build(&point, bits);
  guard.lock();
  entry->building = false;
  if (!built) return built;
  if (entry->table) memory_used_ -= entry->table->bytes;
  entry->table = *built;
  memory_used_ += entry->table->bytes;
  make_room();
  return built;
}

Result<P256TablePtr> P256Tables::generator(std::uint64_t uses) {
  const std::scoped_lock guard(generator_mutex_);
  generator_uses_ += uses;
  std::size_t width = 1;  // of the second: one signature is worth that much
  while (width + 1 < kWidths.size() && generator_uses_ >= kUsesForWidth[width + 1] / 8) ++width;
  if (!generator_ || generator_->bits < kWidths[width]) {
    COLOPHON_TRY_ASSIGN(generator_, build(nullptr, kWidths[width]));
  }
  return generator_;
}

Result<P256TablePtr> P256Tables::build(const Point* point, unsigned bits) const {
  auto table = std::make_shared<P256Table>();
  table->bits = bits;
  table->bytes = kernels_.table_bytes(bits);
  COLOPHON_TRY_ASSIGN(table->memory, allocate_table_memory(table->bytes));
  COLOPHON_TRY_ASSIGN(const auto scratch, allocate_table_memory(kernels_.build_memory_bytes(bits)));
  kernels_.build_table(point == nullptr ? nullptr : point->data(), bits, table->memory.get(),
                       scratch.get());
  return P256TablePtr(std::move(table));
}

// --- the budget
// -----------------------------------------------------------------------------------------

void P256Tables::set_memory_max(std::size_t bytes) {
  const std::scoped_lock guard(mutex_);
  memory_max_ = bytes;
  make_room();
}

TableMemory P256Tables::memory() const {
  const std::scoped_lock guard(mutex_);
  TableMemory memory;
  memory.bytes = memory_used_;
  memory.bytes_max = memory_max_;
  for (const Entry& entry : entries_) {
    if (entry.table) ++memory.tables;
  }
  return memory;
}

}  // namespace colophon
