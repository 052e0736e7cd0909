// SPDX-License-Identifier: Apache-2.0
//
// Inside the executor: the warps of one thread block, run from its start until all have returned.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <vector>

#include "tests/gpu_emulator/warp.h"

namespace colophon::gpu_emulator {

class BlockScheduler {
 public:
  // `entry`: index of the kernel.
  BlockScheduler(Grid& grid, std::uint32_t entry);

  // The block grid.block. Nothing: all its threads have returned.
  [[nodiscard]] std::optional<LaunchFault> run();

 private:
  enum class Next : std::uint8_t { kRunOn, kParked, kFault };

  void start();
  Frame& enter(Warp& warp, const Group& at);
  [[nodiscard]] bool count(Warp& warp, const Group& at);

  // False: warp.fault. Until no group is ready, or `budget` basic blocks were entered.
  [[nodiscard]] bool run_warp(Warp& warp, std::uint32_t budget);
  [[nodiscard]] bool run_group(Warp& warp, Group at, std::uint32_t& budget);
  Next control(Warp& warp, Group& at, const Op& op);
  Next branch(Warp& warp, Group& at, const Op& op, LaneMask taken);
  Next branch_by_index(Warp& warp, Group& at, const Op& op, LaneMask taken);
  Next call(Warp& warp, Group& at, const Op& op, LaneMask taken);
  Next leave(Warp& warp, Group& at, LaneMask taken, bool thread);
  Next wait_at_barrier(Warp& warp, Group& at, const Op& op, LaneMask taken);
  // Lanes not in `taken` go on behind the instruction.
  void leave_others(Warp& warp, const Group& at, LaneMask taken);
  void advance(Group& at) const;
  void stall(Warp& warp, Group at, LaneMask waiting);
  void lanes_gone(Warp& warp, LaneMask lanes);

  // Lets go those whose barrier is complete. False: warp.fault of *faulty_.
  [[nodiscard]] bool release_barriers(bool& released);
  [[nodiscard]] bool release(std::uint32_t barrier);
  void reduce(std::uint32_t barrier);

  [[nodiscard]] const BasicBlock& block_of(const Group& at) const {
    return grid_.module->functions[at.function].blocks[at.block];
  }
  [[nodiscard]] const Instruction& instruction_at(const Group& at) const {
    return grid_.module->functions[at.function].instructions[at.pc];
  }
  [[nodiscard]] LaunchFault fault_of(const Warp& warp) const;
  [[nodiscard]] LaunchFault deadlock() const;

  Grid& grid_;
  std::uint32_t entry_;
  std::vector<Warp> warps_;
  std::mt19937_64 random_;
  Warp* faulty_ = nullptr;
};

}  // namespace colophon::gpu_emulator
