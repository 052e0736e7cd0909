// SPDX-License-Identifier: Apache-2.0
#include "p256_tables.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <map>
#include <new>
#include <random>
#include <string>
#include <utility>

#include "round_up.h"

namespace colophon {
namespace {

__extension__ typedef unsigned __int128 Wide;

constexpr std::size_t kPageBytes = 4096;
constexpr std::size_t kHugePageBytes = std::size_t{2} << 20;
// Of the machine's memory, one eighth, and not more than a gigabyte unless it is asked for.
constexpr std::size_t kMemoryShare = 8;
constexpr std::size_t kMemoryDefaultMax = std::size_t{1} << 30;

}  // namespace

std::size_t table_memory_default() {
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long page_bytes = sysconf(_SC_PAGESIZE);
  if (pages <= 0 || page_bytes <= 0) return kMemoryDefaultMax / kMemoryShare;
  const std::size_t physical =
      static_cast<std::size_t>(pages) * static_cast<std::size_t>(page_bytes);
  return std::min(physical / kMemoryShare, kMemoryDefaultMax);
}

std::size_t resident_bytes(std::size_t bytes) {
  return round_up(bytes, bytes >= kHugePageBytes / 2 ? kHugePageBytes : kPageBytes);
}

Result<std::shared_ptr<void>> allocate_huge_pages(std::size_t bytes) {
  // Huge pages need an address on their border: map one more and give back what is over.
  const std::size_t size = resident_bytes(bytes);
  const bool huge = size % kHugePageBytes == 0;
  const std::size_t unit = huge ? kHugePageBytes : kPageBytes;
  const std::size_t mapped = huge ? size + kHugePageBytes : size;
  void* const start =
      mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) {
    return make_error(ErrorCode::kInternal,
                      "out of memory: " + std::to_string(bytes) + " bytes were not to be had");
  }
  auto* const from = static_cast<std::uint8_t*>(start);
  const auto address = reinterpret_cast<std::uintptr_t>(from);
  const std::size_t head = round_up(address, unit) - address;
  if (head != 0) munmap(from, head);
  if (mapped - size > head) munmap(from + head + size, mapped - size - head);
  void* const memory = from + head;
  if (huge) (void)madvise(memory, size, MADV_HUGEPAGE);  // a wish: small pages work too
  return std::shared_ptr<void>(memory, [size](void* at) { munmap(at, size); });
}

// --- regions of small tables ---------------------------------------------------------------------

class TableSlabs::Regions : public std::enable_shared_from_this<Regions> {
 public:
  [[nodiscard]] Result<std::shared_ptr<void>> take(std::size_t bytes) {
    COLOPHON_TRY_ASSIGN(const Slot slot, take_slot(bytes));
    // Without the lock: should this throw, the slot is given back.
    return std::shared_ptr<void>(slot.address(), [self = shared_from_this(), slot](
                                                     void* /*address*/) { self->give_back(slot); });
  }

 private:
  static constexpr std::size_t kRegionBytes = 8 * kHugePageBytes;
  struct Region {
    std::shared_ptr<void> memory;
    std::vector<std::size_t> free;  // slots; room for all was made at the start
  };
  struct Slot {
    std::list<Region>::iterator region;
    std::size_t bytes, index;
    [[nodiscard]] std::uint8_t* address() const {
      return static_cast<std::uint8_t*>(region->memory.get()) + index * bytes;
    }
  };

  [[nodiscard]] Result<Slot> take_slot(std::size_t bytes) {
    const std::scoped_lock guard(mutex_);
    std::list<Region>& regions = by_size_[bytes];
    if (regions.empty() || regions.front().free.empty()) {
      COLOPHON_TRY_ASSIGN(auto memory, allocate_huge_pages(kRegionBytes));
      Region region{std::move(memory), {}};
      for (std::size_t slot = kRegionBytes / bytes; slot-- > 0;) region.free.push_back(slot);
      regions.push_front(std::move(region));
    }
    const auto region = regions.begin();
    const Slot slot{region, bytes, region->free.back()};
    region->free.pop_back();
    if (region->free.empty()) {
      (void)madvise(region->memory.get(), kRegionBytes, MADV_HUGEPAGE);  // see give_back
      regions.splice(regions.end(), regions, region);
    }
    return slot;
  }

  void give_back(const Slot& slot) noexcept {
    std::shared_ptr<void> gone;  // unmapped without the lock
    const std::scoped_lock guard(mutex_);
    // Back to the system: a region may keep one small table alive for long. The huge pages it was
    // in are to stay small ones, or the system would fill up the gaps again by and by.
    const std::size_t first = slot.index * slot.bytes / kHugePageBytes * kHugePageBytes;
    const std::size_t end = round_up((slot.index + 1) * slot.bytes, kHugePageBytes);
    auto* const region_start = static_cast<std::uint8_t*>(slot.region->memory.get());
    (void)madvise(region_start + first, end - first, MADV_NOHUGEPAGE);
    (void)madvise(slot.address(), slot.bytes, MADV_DONTNEED);
    std::list<Region>& regions = by_size_.find(slot.bytes)->second;
    slot.region->free.push_back(slot.index);
    if (slot.region->free.size() == kRegionBytes / slot.bytes) {
      gone = std::move(slot.region->memory);
      regions.erase(slot.region);
    } else {
      regions.splice(regions.begin(), regions, slot.region);
    }
  }

  std::mutex mutex_;
  std::map<std::size_t, std::list<Region>> by_size_;  // those with a free slot first
};

TableSlabs::TableSlabs() : regions_(std::make_shared<Regions>()) {}

Result<std::shared_ptr<void>> TableSlabs::take(std::size_t bytes) {
  if (bytes >= kHugePageBytes / 2) return allocate_huge_pages(bytes);
  return regions_->take(resident_bytes(bytes));
}

// --- handles -----------------------------------------------------------------------------------

class P256Tables::Handle final : public PreparedKey {
 public:
  Handle(P256Tables& tables, Entries::iterator entry) : tables_(tables), entry_(entry) {}
  ~Handle() override {
    P256TablePtr gone;
    const std::scoped_lock guard(tables_.mutex_);
    gone = tables_.forget(entry_);
  }
  [[nodiscard]] std::size_t memory_bytes() const noexcept override {
    return sizeof(*this) + sizeof(Entry);
  }
  [[nodiscard]] Entries::iterator entry() const noexcept { return entry_; }

 private:
  P256Tables& tables_;
  const Entries::iterator entry_;
};

P256Tables::P256Tables(const P256TableMaker& maker, std::size_t memory_max)
    : maker_(maker), memory_max_(memory_max) {}

std::unique_ptr<PreparedKey> P256Tables::enrol(const PublicKey& key) {
  Entries entries;
  entries.emplace_front(key.bytes, /*is_enrolled=*/true);
  auto handle = std::make_unique<Handle>(*this, entries.begin());
  const std::scoped_lock guard(mutex_);
  Entries& list = list_of(entries.front());
  list.splice(list.begin(), entries);
  return handle;
}

P256TablePtr P256Tables::forget(Entries::iterator entry) {
  Entries& list = list_of(*entry);
  P256TablePtr table = std::move(entry->table);
  if (!entry->enrolled) strangers_.erase(entry->point);
  list.erase(entry);
  return table;
}

// --- which key has which table -------------------------------------------------------------------

P256Tables::Entries& P256Tables::list_of(const Entry& entry) {
  const std::size_t state = !entry.table ? kWithout : entry.is_idle ? kIdle : kActive;
  return lists_[entry.enrolled ? 1 : 0][state];
}

// A use of the entry: to the front of its list.
void P256Tables::touch(Entries::iterator entry, std::uint64_t uses) {
  Entries& from = list_of(*entry);
  entry->is_idle = false;
  Entries& to = list_of(*entry);
  to.splice(to.begin(), from, entry);
  entry->uses += uses;
  uses_total_ += uses;
  entry->last_used = uses_total_;
}

// Looks at two a call, so that no idle key is missed for long.
void P256Tables::age() {
  Entries& active = lists_[1][kActive];
  for (int i = 0; i < 2 && !active.empty(); ++i) {
    const auto oldest = std::prev(active.end());
    const std::uint64_t horizon = kIdleUses + kIdleUsesPerKey * active.size();
    if (uses_total_ - oldest->last_used <= horizon) return;
    oldest->is_idle = true;
    Entries& idle = lists_[1][kIdle];
    idle.splice(idle.begin(), active, oldest);
  }
}

std::size_t P256Tables::table_bytes(std::size_t width) const {
  std::size_t& bytes = table_bytes_[width];
  if (bytes == 0) bytes = maker_.table_bytes(kWidths[width]);
  return bytes;
}

// Between how many the budget is shared: the enrolled keys at work, and one that gets its table
// now.
std::size_t P256Tables::sharing(const Entry& entry) const {
  const std::size_t others = lists_[1][kActive].size() + arriving_;
  return entry.enrolled && entry.table ? std::max<std::size_t>(others, 1) : others + 1;
}

P256Tables::PointHash::PointHash() {
  std::random_device random;
  for (std::uint64_t& word : secret) word = std::uint64_t{random()} << 32 | random();
}

// NH (UMAC, RFC 4418 §5.2.2) with words of 64 bits.
std::size_t P256Tables::PointHash::operator()(const Point& point) const noexcept {
  std::array<std::uint64_t, 4> word;
  std::memcpy(word.data(), point.data(), sizeof(word));
  for (std::size_t i = 0; i < 4; ++i) word[i] += secret[i];
  const Wide sum = Wide{word[0]} * word[1] + Wide{word[2]} * word[3];
  return static_cast<std::size_t>(sum >> 64) ^ static_cast<std::size_t>(sum);
}

std::optional<P256Tables::Entries::iterator> P256Tables::find(const P256KeyUse& key) const {
  // An enrolled key's entry lives as long as its handle, which the batch keeps alive.
  if (key.prepared != nullptr) return static_cast<const Handle*>(key.prepared)->entry();
  const auto found = strangers_.find(key.key->bytes);
  if (found == strangers_.end()) return std::nullopt;
  return found->second;
}

// A key that came as bytes, counted. Of the few seen longest ago the one with the fewest uses makes
// place: a handful of common keys outlast any number of keys seen once.
std::optional<P256Tables::Entries::iterator> P256Tables::stranger(const Point& point) {
  Entries& list = lists_[0][kWithout];
  if (list.size() < kStrangersMax) {
    Entries entries;
    entries.emplace_front(point, /*is_enrolled=*/false);
    strangers_.emplace(point, entries.begin());
    list.splice(list.begin(), entries);
    return list.begin();
  }
  constexpr int kLookedAtMax = 8;
  auto least = list.end();
  int looked_at = 0;
  for (auto entry = list.end(); entry != list.begin() && looked_at < kLookedAtMax; ++looked_at) {
    --entry;
    if (!entry->building && (least == list.end() || entry->uses < least->uses)) least = entry;
  }
  if (least == list.end()) return std::nullopt;  // tables are being built for all of them
  auto node = strangers_.extract(least->point);
  node.key() = point;
  least->point = point;
  least->uses = 0;
  strangers_.insert(std::move(node));
  return least;
}

unsigned P256Tables::bits_earned(const Entry& entry) const {
  if (!entry.enrolled && entry.uses < kPromotionUses) return 0;
  const std::size_t tables = sharing(entry);
  unsigned bits = 0;
  for (std::size_t i = 0; i < kWidths.size() && entry.uses >= kUsesForWidth[i]; ++i) {
    // The narrowest for as many as there is room for.
    if (table_bytes(i) * (i == 0 ? 1 : tables) > memory_max_) break;
    bits = kWidths[i];
  }
  return bits;
}

P256TablePtr P256Tables::use(const P256KeyUse& key, Earned* earned) {
  *earned = Earned::kNothing;
  std::optional<Entries::iterator> entry = find(key);
  if (!entry) entry = stranger(key.key->bytes);
  if (!entry) return nullptr;
  touch(*entry, key.uses);
  age();
  const P256TablePtr& table = (*entry)->table;
  if (!(*entry)->building && bits_earned(**entry) > (table ? table->bits : 0)) {
    *earned = (*entry)->enrolled && !table ? Earned::kFirst : Earned::kWider;
  }
  return table;
}

// Enrolled keys of a batch that are to get their first table, until it is begun.
class P256Tables::Arrivals {
 public:
  Arrivals(P256Tables& tables, std::size_t count) : tables_(tables), count_(count) {
    const std::scoped_lock guard(tables_.mutex_);
    tables_.arriving_ += count_;
  }
  Arrivals(const Arrivals&) = delete;
  Arrivals& operator=(const Arrivals&) = delete;
  ~Arrivals() {
    const std::scoped_lock guard(tables_.mutex_);
    tables_.arriving_ -= count_;
  }
  void one_is_there() {  // with the lock held
    --tables_.arriving_;
    --count_;
  }

 private:
  P256Tables& tables_;
  std::size_t count_;
};

// Tables that a thread builds together, from the decision to build them until they are in their
// keys' entries.
class P256Tables::Building {
 public:
  Building(P256Tables& tables, std::size_t count_max) : tables_(tables), count_max_(count_max) {
    all_.reserve(count_max);
    of_width_.reserve(count_max);
    builds_.reserve(count_max);
  }
  Building(const Building&) = delete;
  Building& operator=(const Building&) = delete;
  ~Building() {
    {
      const std::scoped_lock guard(tables_.mutex_);
      for (const One& one : all_) settle(one);
      tables_.build_memory_used_ -= build_bytes_;
    }
    all_.clear();  // without the lock: unmapping takes long
    const std::scoped_lock guard(tables_.mutex_);
    tables_.replaced_ -= replaced_;
  }

  [[nodiscard]] bool is_full() const {
    return all_.size() == count_max_ || replaced_ > replaced_max_;
  }

  // If there is room for what the key has earned. `place` is to have the table.
  void begin(const P256KeyUse& key, Earned earned, Arrivals& arrivals, P256TablePtr* place) {
    Gone gone;
    const std::scoped_lock guard(tables_.mutex_);
    if (earned == Earned::kFirst) arrivals.one_is_there();
    replaced_max_ = tables_.memory_max_ / kReplacedShare;
    const P256TableMaker& maker = tables_.maker_;
    const std::optional<Entries::iterator> found = tables_.find(key);
    if (!found) return;  // forgotten meanwhile
    Entry& entry = **found;
    const unsigned bits = tables_.bits_earned(entry);
    if (entry.building || bits <= (entry.table ? entry.table->bits : 0)) return;
    const std::size_t build_bytes = maker.build_bytes(bits);
    const std::size_t building = tables_.build_memory_used_;
    if (building != 0 && building + build_bytes > tables_.memory_max_) return;
    const std::size_t bytes = maker.table_bytes(bits);
    const std::size_t bytes_before = entry.table ? entry.table->bytes : 0;
    if (!tables_.make_room(bytes - bytes_before, entry, gone)) return;
    all_.push_back({*found, entry.table, place,
                    std::make_shared<P256Table>(bits, bytes, tables_.memory_used_),
                    entry.enrolled && !entry.table});
    entry.building = true;  // keeps a stranger's entry from being forgotten, too
    tables_.build_memory_used_ += build_bytes;
    build_bytes_ += build_bytes;
    tables_.replaced_ += bytes_before;
    replaced_ += bytes_before;
    if (all_.back().is_first) ++tables_.arriving_;
  }

  void make() noexcept {
    for (const unsigned bits : kWidths) {
      of_width_.clear();
      builds_.clear();
      for (One& one : all_) {
        if (one.table->bits != bits) continue;
        of_width_.push_back(&one);
        builds_.push_back({one.entry->point.data()});  // which stays, while it is being built
      }
      if (builds_.empty()) continue;
      tables_.maker_.make(builds_, bits);
      for (std::size_t i = 0; i < builds_.size(); ++i) {
        of_width_[i]->table->memory = std::move(builds_[i].memory);
      }
    }
  }

 private:
  struct One {
    Entries::iterator entry;
    P256TablePtr before;
    P256TablePtr* place;
    std::shared_ptr<P256Table> table;
    bool is_first;  // of an enrolled key
  };

  void settle(const One& one) {
    one.entry->building = false;
    if (one.is_first) --tables_.arriving_;
    if (!one.table->memory) {
      one.entry->uses = 0;  // no memory: not tried again before long
      return;
    }
    *one.place = one.table;
    // Where the limit was lowered meanwhile, this batch is the only one to use it.
    if (tables_.memory_used() <= tables_.memory_max_) tables_.set_table(one.entry, one.table);
  }

  P256Tables& tables_;
  const std::size_t count_max_;
  std::vector<One> all_;
  std::vector<One*> of_width_;
  std::vector<P256Build> builds_;  // of_width_'s
  std::size_t build_bytes_ = 0;
  std::size_t replaced_ = 0;
  std::size_t replaced_max_ = ~std::size_t{0};
};

void P256Tables::acquire(std::span<const P256KeyUse> keys, std::span<P256TablePtr> tables) {
  struct Wanting {
    std::size_t key;
    Earned earned;
  };
  std::vector<Wanting> wanting;
  std::size_t first = 0;
  for (std::size_t i = 0; i < keys.size();) {
    // A lock for a few keys, that other threads' batches need not wait for all of a large one.
    constexpr std::size_t kKeysAtOnce = 64;
    const std::size_t end = std::min(keys.size(), i + kKeysAtOnce);
    const std::scoped_lock guard(mutex_);
    for (; i < end; ++i) {
      Earned earned = Earned::kNothing;
      tables[i] = use(keys[i], &earned);
      if (earned != Earned::kNothing) wanting.push_back({i, earned});
      if (earned == Earned::kFirst) ++first;
    }
  }
  if (wanting.empty()) return;
  // A table that this batch holds could not make room for one that it earns.
  std::fill(tables.begin(), tables.end(), nullptr);
  Arrivals arrivals(*this, first);
  for (std::size_t at = 0; at < wanting.size();) {
    Building building(*this, std::min(maker_.at_once(), wanting.size() - at));
    while (at < wanting.size() && !building.is_full()) {
      const auto [key, earned] = wanting[at++];
      building.begin(keys[key], earned, arrivals, &tables[key]);
    }
    building.make();
  }
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (tables[i]) continue;
    const std::scoped_lock guard(mutex_);
    if (const auto entry = find(keys[i])) tables[i] = (*entry)->table;
  }
}

Result<P256TablePtr> P256Tables::generator(std::uint64_t uses) {
  const auto new_table = [this](unsigned bits) {
    return std::make_shared<P256Table>(bits, maker_.table_bytes(bits), generator_memory_used_);
  };
  std::unique_lock guard(generator_mutex_);
  generator_uses_ += uses;
  if (!generator_) {  // all wait for the first
    auto first = new_table(kWidths[1]);
    if (!build_generator(*first)) {
      return make_error(ErrorCode::kInternal, "no memory for the table of the curve's generator, " +
                                                  std::to_string(first->bytes) + " bytes");
    }
    generator_ = std::move(first);
  }
  std::size_t width = 1;
  // One signature is worth that much more: every key's use the generator.
  while (width + 1 < kWidths.size() && generator_uses_ >= kUsesForWidth[width + 1] / 8) ++width;
  if (generator_building_ || generator_->bits >= kWidths[width]) return generator_;
  const auto wider = new_table(kWidths[width]);
  generator_building_ = true;
  guard.unlock();
  const bool built = build_generator(*wider);
  guard.lock();
  generator_building_ = false;
  if (built) {
    generator_ = wider;
  } else {
    generator_uses_ = 0;  // no memory: not tried again before long
  }
  return generator_;
}

bool P256Tables::build_generator(P256Table& table) const noexcept {
  P256Build build;
  maker_.make({&build, 1}, table.bits);
  table.memory = std::move(build.memory);
  return table.memory != nullptr;
}

std::size_t P256CpuTableMaker::table_bytes(unsigned bits) const {
  return resident_bytes(kernels_.table_bytes(bits));
}

std::size_t P256CpuTableMaker::build_bytes(unsigned bits) const {
  return kernels_.build_memory_bytes(bits);
}

void P256CpuTableMaker::make(std::span<P256Build> builds, unsigned bits) const noexcept {
  try {
    for (P256Build& build : builds) {
      auto memory = slabs_.take(kernels_.table_bytes(bits));
      if (!memory) return;
      const auto scratch = allocate_huge_pages(kernels_.build_memory_bytes(bits));
      if (!scratch) return;
      kernels_.build_table(build.point, bits, memory->get(), scratch->get());
      build.memory = *std::move(memory);
    }
  } catch (const std::bad_alloc&) {
    return;  // those left are not to be had
  }
}

// --- the budget ----------------------------------------------------------------------------------

void P256Tables::set_table(Entries::iterator entry, P256TablePtr table) {
  Entries& from = list_of(*entry);
  entry->table = std::move(table);
  entry->is_idle = false;
  Entries& to = list_of(*entry);
  to.splice(to.begin(), from, entry);
}

// A stranger is forgotten with its table.
void P256Tables::drop_table(Entries::iterator entry, Gone& gone) {
  gone.push_back(entry->table);
  entry->uses = 0;
  if (entry->enrolled || entry->building) {
    set_table(entry, nullptr);
  } else {
    (void)forget(entry);
  }
}

// By tables that will be there when those being built are.
std::size_t P256Tables::memory_used() const {
  const std::size_t used = memory_used_;
  return used - std::min(used, replaced_);
}

// Room for `bytes` more for `wanting`, by dropping tables that no batch uses: strangers' first,
// then idle ones, then those wider than their key's share. An active key's own share is nobody
// else's: more keys than there is room for would take it from each other in turns, and only ever
// build. Looks at a bounded number of tables: many may be in use by a large batch.
bool P256Tables::make_room(std::size_t bytes, const Entry& wanting, Gone& gone) {
  constexpr int kLookedAtMax = 64;
  const std::size_t share = memory_max_ / sharing(wanting);
  std::size_t used = memory_used();
  const auto drop_from = [&](Entries& list, std::size_t bytes_min) {
    auto end = list.end();
    for (int i = 0; i < kLookedAtMax && end != list.begin() && used + bytes > memory_max_; ++i) {
      const auto entry = std::prev(end);
      // Copies are only made under the lock, or of a copy: where this is the only one, it stays so.
      if (&*entry == &wanting || entry->table.use_count() > 1 || entry->table->bytes < bytes_min) {
        end = entry;
        continue;
      }
      used -= entry->table->bytes;
      drop_table(entry, gone);
    }
  };
  drop_from(lists_[0][kActive], 0);
  if (wanting.enrolled) {
    drop_from(lists_[1][kIdle], 0);
    drop_from(lists_[1][kActive], std::max(share, table_bytes(0)) + 1);
  }
  return used + bytes <= memory_max_;
}

void P256Tables::set_memory_max(std::size_t bytes) {
  Gone gone;
  const std::scoped_lock guard(mutex_);
  memory_max_ = bytes;
  std::size_t used = memory_used_;
  for (auto& lists : lists_) {
    for (const State state : {kIdle, kActive}) {
      Entries& with = lists[state];
      while (!with.empty() && used > memory_max_) {
        used -= with.back().table->bytes;
        drop_table(std::prev(with.end()), gone);
      }
    }
  }
}

void P256Tables::drop_all() {
  Gone gone;
  const std::scoped_lock guard(mutex_, generator_mutex_);
  for (auto& lists : lists_) {
    for (const State state : {kIdle, kActive}) {
      while (!lists[state].empty()) drop_table(std::prev(lists[state].end()), gone);
    }
  }
  gone.push_back(std::move(generator_));
  generator_uses_ = 0;
}

TableMemory P256Tables::memory() const {
  const std::scoped_lock guard(mutex_);
  TableMemory memory;
  memory.bytes = memory_used_;
  memory.bytes_max = memory_max_;
  for (const auto& lists : lists_) memory.tables += lists[kActive].size() + lists[kIdle].size();
  return memory;
}

}  // namespace colophon
