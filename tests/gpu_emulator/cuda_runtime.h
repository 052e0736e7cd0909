// SPDX-License-Identifier: Apache-2.0
//
// The CUDA runtime of the GPU emulator, linked in place of libcudart_static.a: what a CUDA 13
// object refers to and the calls that a batch backend makes, over the PTX executor. A call that is
// not there is a link error. This header is the control interface of tests; a whole program is
// controlled by the environment variable COLOPHON_GPU_EMULATOR, with the text that parse_settings()
// takes.
//
// Order. Queued work runs on a thread of its own, as late as it likes and in any order across
// streams that the program has not ruled out: only order in a stream, events, the legacy default
// stream's, a graph's own, and calls that wait count. What is chosen where there is a choice comes
// from the seed; with Pace::kStepped, one host thread that waits for nothing but CUDA calls, and
// host functions of less than a millisecond, a seed always gives the same order.
//   Copies of pageable memory are staged before the call returns, those to pageable memory done
// before; a synchronous copy from pageable memory may return before the device has it, as is
// documented. Copies of pinned memory touch it when they run: its contents are summed up when the
// copy is queued, and a change until then is a finding; where a copy will put something, it is
// first overwritten, so that whoever does not wait reads rubbish.
//
// Faults come from a plan (Fault) or by chance (Settings::chaos). What nobody asked for is a
// Finding: a fault of a kernel, a race between host and device, a call that breaks CUDA's rules.
//
// Processes. Each has a device for itself, unless Settings::card names a file: those that name the
// same one have its memory between them and take turns on it, a kernel or a copy each.
//
// Limits, beside those of ptx_executor.h. One device. One thing runs at a time: kernels and copies
// never overlap, so a race between two kernels shows only as the wrong order of whole kernels.
// Kernels cannot reach host memory, pinned or not. There is no managed memory, no peer, no texture,
// no cooperative or cluster launch, no memory node in a graph. cudaMalloc takes whole pages of 2
// MiB, always. That memory is in use is known from the ranges of copies and from pointers among a
// kernel's arguments, not from pointers in memory. While a capture in global mode is under way,
// calls that wait, query, allocate or free fail in all threads, which is stricter than CUDA.
// Registers of a kernel are not known: Settings::registers stands for all. Times of events are
// those of the emulation.
#pragma once

#include <driver_types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "colophon/error.hpp"
#include "tests/gpu_emulator/ptx_executor.h"

namespace colophon::gpu_emulator {

// --- faults to be met ----------------------------------------------------------------------------

inline constexpr std::uint64_t kForever = UINT64_MAX;

enum class Effect : std::uint8_t {
  kFail,   // the call does nothing but return the error (device work: as kBreak)
  kBreak,  // and so does every later call, until cudaDeviceReset
  kLose,   // the device is gone: for Fault::count calls from here all return the error,
           // cudaDeviceReset too; then as kBreak
  kHang,   // device work only: it never ends, and nothing ordered behind it begins
};

struct Fault {
  // A call ("cudaMalloc"; "cudaLaunchKernel" for <<< >>> too; "any"), or what the device runs:
  // "kernel", "copy", "set", "host" (functions), "work" (any of these).
  std::string where;
  std::uint64_t first = 1;  // the first call or run that meets it
  std::uint64_t count = 1;  // how many in a row do
  cudaError_t error = cudaErrorUnknown;
  Effect effect = Effect::kFail;
};

// --- the device ----------------------------------------------------------------------------------

enum class Pace : std::uint8_t {
  kStepped,  // work runs inside of CUDA calls: as much as the seed says, what a call waits for, and
             // by itself once no call was made for idle_us
  kFree,     // work runs beside the program, with pauses
};

struct Settings {
  std::uint64_t seed = 0;
  Pace pace = Pace::kStepped;
  std::uint32_t idle_us = 10'000;  // 0: work never runs by itself (kStepped)
  std::uint32_t hang_ms = 30'000;  // after that a watchdog ends what hangs: cudaErrorLaunchTimeout
  std::uint32_t devices = 1;       // 0 or 1
  std::uint32_t driver = 13'000;   // as cudaDriverGetVersion gives it; 0: none installed
  std::uint64_t memory_bytes = std::uint64_t{8} << 30;
  std::uint64_t memory_taken = 0;  // of them, by others
  std::string card;                // a file of processes that share it; empty: none do
  std::uint32_t multiprocessors = 4;
  bool memory_pools = true;      // what it says of itself; cudaMallocAsync works all the same
  std::uint32_t registers = 64;  // a thread of any kernel, for occupancy
  LaunchOptions launch;          // launch.seed: mixed with `seed` and the number of the launch
  bool check_unwritten_copies = true;  // copying to the host what was never written is a finding
  bool print = true;                   // findings, to stderr, as they come
  std::uint32_t chaos = 0;             // one call, and one run, in so many meets a fault; 0: none
  std::vector<Fault> faults;
};

// "seed=3 pace=free memory=256M card=/tmp/card fault=cudaMalloc@3:cudaErrorMemoryAllocation", items
// separated by spaces or commas: the fields above by name (memory, taken,
// order=ascending|descending|seeded, print=0|1 …) and
//   fault=WHERE[@FIRST[+COUNT]]:ERROR[:fail|break|lose|hang]     COUNT: a number or *
// Error kInvalidArgument names the item.
[[nodiscard]] Result<Settings> parse_settings(std::string_view text);

// Power off and on: memory, streams, graphs, findings, faults and every count of calls begin anew.
// What was queued is dropped. Modules, kernels and their statistics stay. No other thread may be in
// a CUDA call. Before the first one everything is as COLOPHON_GPU_EMULATOR says.
void power_cycle(const Settings& settings = {});
void add_fault(const Fault& fault);

// --- what was found ------------------------------------------------------------------------------

struct Finding {
  enum class Kind : std::uint8_t {
    kDeviceFault,  // a kernel or copy did what it must not: found by the executor
    kRace,         // between the host and queued work
    kMisuse,       // a call that is against CUDA's rules
  };
  Kind kind = Kind::kDeviceFault;
  std::string text;
};

// Since the last power_cycle(), at most kFindingsMax.
inline constexpr std::size_t kFindingsMax = 1000;
[[nodiscard]] std::vector<Finding> findings();
// The last of kind kDeviceFault.
[[nodiscard]] std::optional<std::string> last_device_fault();
// Planned faults and those by chance that were met, a line each.
[[nodiscard]] std::vector<std::string> faults_met();

// What the program holds now.
struct Holdings {
  std::size_t allocations = 0;
  std::uint64_t allocated_bytes = 0;  // in pages
  std::size_t pinned = 0;             // allocated or registered
  std::size_t streams = 0;
  std::size_t events = 0;
  std::size_t graphs = 0;  // and executable ones
  std::size_t queued = 0;  // work that has not run
};
[[nodiscard]] Holdings holdings();

// Calls of a function since the last power_cycle() ("cudaMalloc", …), or runs ("kernel", …).
[[nodiscard]] std::uint64_t calls(std::string_view where);

// --- modules and what of them has run ------------------------------------------------------------

using ModuleId = std::uint64_t;

// A kernel runs from the module that was added last among those which have all that its object
// registered. Not while work is queued. Errors: parse_module's.
Result<ModuleId> add_module(std::string text);
void remove_module(ModuleId module);

// For the object that a build embeds beside the kernels' (colophon_emulated_cuda in
// cuda_runtime.cmake): parsed when first needed. Returns true.
bool embed_module(std::string_view text);

// Of all launches since the program began or clear_statistics().
struct KernelStatistics {
  std::string kernel;
  std::uint64_t launches = 0;
  std::uint64_t faults = 0;  // launches that ended in one
  std::uint64_t warp_instructions = 0;
  std::uint64_t thread_instructions = 0;
  std::vector<Coverage::Block> blocks;  // of the kernel and all it calls
  std::string report;                   // Coverage::report()
  std::shared_ptr<const Module> module;
};
[[nodiscard]] std::vector<KernelStatistics> kernel_statistics();
void clear_statistics();

}  // namespace colophon::gpu_emulator
