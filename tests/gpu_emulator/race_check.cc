// SPDX-License-Identifier: Apache-2.0
#include "tests/gpu_emulator/race_check.h"

#include <algorithm>

namespace colophon::gpu_emulator {

void RaceCheck::start_launch(bool between_blocks) {
  between_blocks_ = between_blocks;
  if (pages_.size() > kPagesKept || epoch_ > UINT32_MAX / 2) {
    pages_.clear();
    last_page_ = ~std::uint64_t{0};
    epoch_ = 0;
  }
  launch_epoch_ = epoch_ + 1;
}

void RaceCheck::start_block(std::uint32_t threads) {
  first_epoch_ = ++epoch_;
  clocks_.clear();
  clocks_.resize((threads + 31) / 32);
}

void RaceCheck::warp_barrier(std::uint32_t warp, std::uint32_t mask) {
  std::unique_ptr<Clocks>& clocks = clocks_[warp];
  if (!clocks) {
    clocks = std::make_unique<Clocks>();
    for (int lane = 0; lane < 32; ++lane) clocks->of[lane][lane] = 1;
  }
  std::uint32_t joined[32] = {};
  for (unsigned lane = 0; lane < 32; ++lane) {
    if ((mask >> lane & 1) == 0) continue;
    for (int i = 0; i < 32; ++i) joined[i] = std::max(joined[i], clocks->of[lane][i]);
  }
  for (unsigned lane = 0; lane < 32; ++lane) {
    if ((mask >> lane & 1) == 0) continue;
    std::copy(std::begin(joined), std::end(joined), clocks->of[lane]);
    ++clocks->of[lane][lane];
  }
}

std::uint32_t RaceCheck::time_of(std::uint32_t thread) const {
  const std::unique_ptr<Clocks>& clocks = clocks_[thread / 32];
  return clocks ? clocks->of[thread % 32][thread % 32] : 1;
}

bool RaceCheck::ordered(const Access& earlier, std::uint32_t thread, bool shared) const {
  if (earlier.epoch < launch_epoch_) return true;
  if (earlier.epoch < first_epoch_) return shared || !between_blocks_;  // another block
  if (earlier.epoch < epoch_ || earlier.thread == thread) return true;
  if (earlier.thread / 32 != thread / 32) return false;
  const std::unique_ptr<Clocks>& clocks = clocks_[thread / 32];
  return clocks && clocks->of[thread % 32][earlier.thread % 32] >= earlier.time;
}

RaceCheck::Page& RaceCheck::page_of(std::uint64_t address) {
  const std::uint64_t number = address / kPageBytes;
  if (number != last_page_) {
    last_page_ = number;
    last_ = &pages_[number];  // references into the map stay good
    if (last_->records.empty()) last_->records.resize(kPageBytes >> last_->granule_bits);
  }
  return *last_;
}

// A read takes the place of one by the same thread or one that is over; else, of one that leaves
// another warp's standing.
void RaceCheck::note_read(Record& record, const Access& access, bool shared) const {
  std::array<Access, 2>& reads = record.reads;
  const auto done = [&](const Access& read) {
    if (read.epoch < launch_epoch_) return true;
    return read.thread == access.thread && read.epoch >= first_epoch_
               ? read.strong || !access.strong
               : ordered(read, access.thread, shared);
  };
  std::size_t at = done(reads[0]) ? 0 : done(reads[1]) ? 1 : 2;
  if (at == 2) at = reads[0].thread / 32 == access.thread / 32 ? 0 : 1;
  reads[at] = access;
}

bool RaceCheck::touch(Record& record, const Access& access, bool shared, Kind kind,
                      Race& race) const {
  const auto meets = [&](const Access& earlier) {
    if (ordered(earlier, access.thread, shared) || (earlier.strong && access.strong)) return false;
    race = {0, earlier, earlier.epoch < first_epoch_, false};
    return true;
  };
  for (const Access& write : record.writes) {
    if (meets(write)) return false;
    if (kind == Kind::kNonCoherentRead && write.epoch >= launch_epoch_) {
      race = {0, write, write.epoch < first_epoch_, true};
      return false;
    }
  }
  if (!access.write) {
    note_read(record, access, shared);
    return true;
  }
  for (const Access& read : record.reads) {
    if (meets(read)) return false;
  }
  record.writes[access.strong ? 1 : 0] = access;
  return true;
}

std::optional<RaceCheck::Race> RaceCheck::access(std::uint64_t address, std::uint32_t bytes,
                                                 bool shared, Kind kind, std::uint32_t thread,
                                                 std::uint32_t place) {
  Access access;
  access.epoch = epoch_;
  access.time = time_of(thread);
  access.place = place;
  access.thread = static_cast<std::uint16_t>(thread);
  access.strong = kind == Kind::kStrongRead || kind == Kind::kStrongWrite;
  access.write = kind == Kind::kWrite || kind == Kind::kStrongWrite;
  // Accesses are aligned to their size, which is at most 32: one page.
  Page& page = page_of(address);
  if (page.granule_bits != 0 && bytes < 4) {
    std::vector<Record> finer(kPageBytes);
    for (std::size_t i = 0; i < finer.size(); ++i) finer[i] = page.records[i / 4];
    page.records = std::move(finer);
    page.granule_bits = 0;
  }
  const bool was_read = page.read >= launch_epoch_;
  const bool was_written = page.written >= launch_epoch_;
  (access.write ? page.written : page.read) = epoch_;
  const std::uint64_t offset = address % kPageBytes;
  Record* record = &page.records[offset >> page.granule_bits];
  Record* const end = &page.records[(offset + bytes - 1) >> page.granule_bits] + 1;
  if (!was_written && !access.write) {
    for (; record != end; ++record) note_read(*record, access, shared);
  } else if (!was_written && !was_read) {
    for (; record != end; ++record) record->writes[access.strong ? 1 : 0] = access;
  } else {
    Race race;
    for (const Record* const first = record; record != end; ++record) {
      if (touch(*record, access, shared, kind, race)) continue;
      race.address = address + (static_cast<std::uint64_t>(record - first) << page.granule_bits);
      return race;
    }
  }
  return std::nullopt;
}

}  // namespace colophon::gpu_emulator
