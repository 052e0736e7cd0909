// SPDX-License-Identifier: Apache-2.0
//
// Runs kernels of a PTX module on the CPU: all lanes of a warp at once, and everything checked that
// a card would let pass.
//
// How: registers are arrays of 32 lanes. Lanes that part go on as groups; the deepest call goes
// first, then the lowest instruction, so groups meet again where their ways do. Blocks run one
// after another, the warps of a block in turn, each until it waits; the order is the caller's.
//
// Found, with kernel, block, thread and line: accesses out of bounds, misaligned, after free, to
// constants, or of bytes never written (in local memory: of words never written); races; barriers
// that some thread does not reach; exchanges between lanes that are not there; division by zero;
// trap; endless loops, by a limit on steps. A launch that fails leaves memory as it was at that
// moment.
//
// Stricter than a card: a barrier waits also for threads that have returned; a shuffle that takes a
// value from a lane not there is an error, even if the value is not used; all blocks of a launch
// may touch the same memory only by atomics; an allocation ends where it ends.
//
// What this cannot show. It runs PTX: not what ptxas makes of it, nor the schedule, nor time
// (instructions are counted as PTX has them; %clock64 is how many of them the launch's warps have
// run, by whole basic blocks). Memory is sequentially consistent: of the weak memory
// model only what is formally a race is seen, and fences do nothing. Blocks never overlap, and a
// warp is not preempted but by a seed: code that waits in a loop for another thread, which a card
// would run, may end at the step limit here. Lanes meet again as soon as they can, which a card
// need not do. Registers that were never written hold whatever they hold. Registers and shared
// memory set no limit on how many blocks run at once.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "colophon/error.hpp"
#include "tests/gpu_emulator/device_memory.h"
#include "tests/gpu_emulator/ptx_module.h"

namespace colophon::gpu_emulator {

inline constexpr std::uint32_t kThreadsMax = 1024;  // of a block
inline constexpr std::uint32_t kCallDepthMax = 64;

enum class Order : std::uint8_t { kAscending, kDescending, kSeeded };

struct LaunchOptions {
  // In which order blocks, the warps of a block and the lanes of an atomic go; kSeeded also stops
  // warps between basic blocks.
  Order order = Order::kAscending;
  std::uint64_t seed = 0;
  bool check_races = true;
  // Also between blocks; to be left out for kernels that order blocks by atomics.
  bool check_races_between_blocks = true;
  bool check_unwritten = true;
  std::uint64_t warp_instructions_max = std::uint64_t{1} << 36;
};

struct LaunchShape {
  Dim3 grid;
  Dim3 block;
  std::uint32_t dynamic_shared_bytes = 0;
};

enum class FaultKind : std::uint8_t {
  kLaunch,  // no such kernel, or a shape it cannot have
  kOutOfBounds,
  kMisaligned,
  kUseAfterFree,
  kUnwritten,
  kReadOnly,
  kRace,
  kDeadlock,    // some thread waits at a barrier or an exchange for one that does not come
  kDivergence,  // threads of a warp at different barriers, or a .uni branch that parts them
  kExchange,    // a lane outside of its member mask, or a value taken from a lane not there
  kArithmetic,  // division by zero
  kTrap,
  kCallDepth,
  kStepLimit,
};
[[nodiscard]] std::string_view fault_name(FaultKind kind);

struct LaunchFault {
  FaultKind kind = FaultKind::kLaunch;
  std::string message;  // all of it, for a person
  std::string kernel;
  Dim3 block;               // index in the grid
  Dim3 thread;              // index in the block
  std::uint32_t line = 0;   // of the PTX; 0: none
  std::uint32_t line2 = 0;  // of the other access of a race
};

// Counted on entering a basic block (predicated instructions count as executed).
struct BlockCount {
  std::uint64_t warps = 0;
  std::uint64_t threads = 0;
};

struct LaunchStatistics {
  std::uint64_t warp_instructions = 0;
  std::uint64_t thread_instructions = 0;
  std::vector<std::vector<BlockCount>> blocks;  // [function][basic block]; empty: never entered
};

struct LaunchResult {
  std::optional<LaunchFault> fault;
  LaunchStatistics statistics;  // until the fault
  [[nodiscard]] bool ok() const { return !fault.has_value(); }
};

// A variable of the module in device memory.
struct DeviceVariable {
  DevicePointer address = 0;
  std::uint64_t bytes = 0;
};

// A module loaded into a device's memory, which must outlive it. One launch at a time, and not
// while the host copies.
class Executor {
 public:
  // Allocates and initialises the module's .global and .const variables. Errors: kLimitExceeded,
  // kUnsupported.
  [[nodiscard]] static Result<Executor> load(Module module, DeviceMemory& memory);
  Executor(Executor&&) noexcept;
  Executor& operator=(Executor&&) noexcept;
  ~Executor();  // frees the variables

  [[nodiscard]] const Module& module() const;
  // Null: no kernel of that name.
  [[nodiscard]] const Function* entry(std::string_view name) const;
  [[nodiscard]] std::optional<DeviceVariable> variable(std::string_view name) const;
  // Bytes of .shared variables, without the dynamic ones, that the kernel and what it calls use.
  [[nodiscard]] std::uint32_t static_shared_bytes(const Function& entry) const;

  // `kernel_params` as cuLaunchKernel and cudaLaunchKernel take them: a pointer to each argument;
  // Function::params tells their sizes.
  [[nodiscard]] LaunchResult launch(const Function& entry, const LaunchShape& shape,
                                    const void* const* kernel_params,
                                    const LaunchOptions& options = {});
  // The same with the argument bytes as Function::params lays them out.
  [[nodiscard]] LaunchResult launch_packed(const Function& entry, const LaunchShape& shape,
                                           const std::vector<std::uint8_t>& arguments,
                                           const LaunchOptions& options = {});

 private:
  struct State;
  explicit Executor(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Which basic blocks of a module's kernels ran, over any number of launches.
class Coverage {
 public:
  explicit Coverage(const Module& module) : module_(module) {}

  void add(const LaunchStatistics& statistics);

  struct Block {
    std::uint32_t function = 0;
    std::uint32_t block = 0;
    BlockCount count;
  };
  // Of the kernel and of all it calls, in the order of the text.
  [[nodiscard]] std::vector<Block> blocks(const Function& entry) const;
  // A line for each block that never ran ("kernel 'k': block $L__BB0_3 (line 17) never ran: TEXT")
  // and one with the totals.
  [[nodiscard]] std::string report(const Function& entry) const;

 private:
  const Module& module_;
  std::vector<std::vector<BlockCount>> counts_;
};

}  // namespace colophon::gpu_emulator
