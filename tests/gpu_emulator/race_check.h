// SPDX-License-Identifier: Apache-2.0
//
// Finds two threads that touch the same byte, one of them writing, with nothing to order them.
//
// Order between threads of a block comes from barriers of the block and, within a warp, from
// bar.warp.sync (kept as vector clocks); between blocks of one launch there is none. Atomics and
// volatile, relaxed, acquire and release accesses may meet each other, but order nothing: data
// handed over by a flag is reported. A named barrier of some of a block's warps counts as one of
// the whole block.
//
// Per byte the last writes and two reads are remembered, reads by different warps where there are
// such. So a third reader of the same warp may be forgotten; what is reported is always a race.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

namespace colophon::gpu_emulator {

class RaceCheck {
 public:
  enum class Kind : std::uint8_t { kRead, kWrite, kStrongRead, kStrongWrite, kNonCoherentRead };

  struct Access {
    std::uint32_t epoch = 0;  // 0: never
    std::uint32_t time = 0;   // of its thread, counted in bar.warp.sync
    std::uint32_t place = 0;  // what the caller calls it by
    std::uint16_t thread = 0;
    bool strong = false;
    bool write = false;
  };
  struct Race {
    std::uint64_t address = 0;
    Access earlier;
    bool other_block = false;        // `earlier` was in another block
    bool written_in_launch = false;  // a non-coherent read of what this launch has written
  };

  // What was done before is over. `between_blocks` false: what different blocks do is not compared.
  void start_launch(bool between_blocks);
  // Threads are numbered within the block, 32 to a warp.
  void start_block(std::uint32_t threads);
  // All threads of the block have met.
  void barrier() { ++epoch_; }
  // The lanes of `mask` of `warp` have met.
  void warp_barrier(std::uint32_t warp, std::uint32_t mask);

  // `address` is any number that names the byte. `shared`: each block has its own.
  [[nodiscard]] std::optional<Race> access(std::uint64_t address, std::uint32_t bytes, bool shared,
                                           Kind kind, std::uint32_t thread, std::uint32_t place);

 private:
  static constexpr std::uint64_t kPageBytes = 4096;
  // Pages kept from launch to launch, for the time that it takes to make them: 64 KiB each.
  static constexpr std::size_t kPagesKept = 4096;
  struct Record {
    std::array<Access, 2> writes;  // [0] the last weak, [1] the last strong
    std::array<Access, 2> reads;
  };
  // Records of words of 4 bytes, of single bytes once any access is narrower.
  struct Page {
    unsigned granule_bits = 2;
    // The last epochs in which any of it was read and written: what was not in this launch cannot
    // meet anything, which is how most of memory is used.
    std::uint32_t read = 0;
    std::uint32_t written = 0;
    std::vector<Record> records;
  };
  struct Clocks {
    std::uint32_t of[32][32] = {};  // of[a][b]: up to which time of b a is ordered behind b
  };

  Page& page_of(std::uint64_t address);
  [[nodiscard]] std::uint32_t time_of(std::uint32_t thread) const;
  [[nodiscard]] bool ordered(const Access& earlier, std::uint32_t thread, bool shared) const;
  // Against what the record knows; then it knows this, too. False: a race.
  [[nodiscard]] bool touch(Record& record, const Access& access, bool shared, Kind kind,
                           Race& race) const;
  void note_read(Record& record, const Access& access, bool shared) const;

  bool between_blocks_ = true;
  std::unordered_map<std::uint64_t, Page> pages_;
  std::uint64_t last_page_ = ~std::uint64_t{0};
  Page* last_ = nullptr;
  std::vector<std::unique_ptr<Clocks>> clocks_;  // of warps; null: never met
  // Records of an epoch before the launch's first are as good as none.
  std::uint32_t epoch_ = 0;
  std::uint32_t launch_epoch_ = 1;
  std::uint32_t first_epoch_ = 1;  // of this block
};

}  // namespace colophon::gpu_emulator
