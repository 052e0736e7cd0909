// SPDX-License-Identifier: Apache-2.0
//
// Inside the executor: a warp and the operations on it.
//
// A frame holds what a function keeps in registers, for all lanes: a row of 32 values for each
// register of 16, 32 or 64 bits and for each constant, one word for each predicate. There is a
// frame for each (depth of call, function) a warp has reached; lanes that stand elsewhere keep
// their columns of it.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "tests/gpu_emulator/device_memory.h"
#include "tests/gpu_emulator/ptx_executor.h"
#include "tests/gpu_emulator/ptx_module.h"
#include "tests/gpu_emulator/race_check.h"

namespace colophon::gpu_emulator {

inline constexpr unsigned kLanes = 32;
using LaneMask = std::uint32_t;  // bit i: lane i
inline constexpr LaneMask kAllLanes = ~LaneMask{0};

// What became of an operation: done; to be done again once other lanes are there; failed.
enum class Step : std::uint8_t { kNext, kStall, kFault };

struct Warp;
struct Op;
// For the lanes of `mask`, which is not empty.
using Run = Step (*)(Warp& warp, const Op& op, LaneMask mask);

inline constexpr std::uint32_t kNoGuard = UINT32_MAX;
inline constexpr unsigned kRowsMax = 9;

// An instruction with its operands found: offsets of rows in the frame.
struct Op {
  enum Flag : std::uint8_t {
    kGuardNegated = 1,
    kSourceNegated = 2,  // the predicate source is !p
    kNarrowAddress = 4,  // in a register of 32 bits
  };
  Run run = nullptr;  // null: control, which the scheduler does itself
  std::uint32_t row[kRowsMax] = {};
  std::uint32_t guard = kNoGuard;
  std::int64_t value = 0;  // to add to an address
  std::uint8_t mode = 0;
  std::uint8_t flags = 0;
  std::uint8_t vector = 1;
  Space space = Space::kGeneric;
  std::uint32_t instruction = 0;
};
static_assert(sizeof(Op) == 64, "a cache line");

// --- code ----------------------------------------------------------------------------------------

struct FunctionCode {
  struct Constant {
    std::uint32_t row;
    std::uint8_t bytes;
    bool local;  // to be added to the frame's local memory's address
    std::uint64_t value;
  };
  struct Call {
    std::uint32_t function = 0;
    std::vector<std::uint32_t> arguments;  // the caller's rows, word by word
    std::vector<std::uint32_t> results;
  };
  const Function* source = nullptr;
  std::vector<Op> ops;  // one an instruction
  std::vector<Constant> constants;
  std::vector<Call> calls;
  std::vector<std::uint32_t> param_rows;  // of words of its parameters, then of its results
  std::uint32_t frame_bytes = 0;
  std::uint32_t local_first = 0;  // to be added to an address that is aligned to anything
  std::uint32_t local_bytes = 0;  // of a lane, from there on
};

// Shared memory of the whole module: each variable stands alone, aligned to no more than it says.
struct SharedVariable {
  std::uint32_t variable = 0;
  std::uint32_t offset = 0;
};

struct Code {
  std::vector<FunctionCode> functions;
  std::vector<std::uint64_t> addresses;  // of variables, in their state spaces
  std::vector<SharedVariable> shared;    // by offset; the dynamic ones last, at one offset
  std::uint32_t dynamic_shared_offset = 0;
};

// Error kUnsupported with the line. `addresses`: those of .global and .const variables.
[[nodiscard]] Result<Code> make_code(const Module& module, std::vector<std::uint64_t> addresses);

// The function and all that it calls, itself first.
[[nodiscard]] std::vector<std::uint32_t> reachable(const Module& module, std::uint32_t function);

// --- one block at a time -------------------------------------------------------------------------

struct SharedRegion {
  std::uint32_t offset = 0;
  std::uint32_t bytes = 0;
  const std::string* name = nullptr;
  std::vector<std::uint8_t> data;
  std::vector<std::uint8_t> written;
};

// What all warps of a launch see.
struct Grid {
  const Module* module = nullptr;
  const Code* code = nullptr;
  DeviceMemory* memory = nullptr;
  LaunchShape shape;
  LaunchOptions options;
  std::vector<std::uint8_t> arguments;
  RaceCheck* races = nullptr;  // null: not checked
  std::vector<SharedRegion> shared;
  Dim3 block;                 // index of the one that runs
  std::uint32_t threads = 0;  // of a block
  std::vector<std::vector<BlockCount>> counts;
  std::uint64_t warp_instructions = 0;
};

struct alignas(64) CacheLine {
  std::uint8_t bytes[64];
};

struct Frame {
  struct Return {
    std::uint32_t function = 0;
    std::uint32_t block = 0;
    std::uint32_t pc = 0;
    bool entered = false;  // as Group's
  };
  std::vector<CacheLine> rows;
  std::uint64_t local_base = 0;  // address in local memory
  std::uint32_t local_bytes = 0;
  std::vector<std::uint8_t> local;  // lane by lane
  std::vector<std::uint8_t> local_written;
  Return return_to[kLanes];
};

// Lanes at the same place.
struct Group {
  enum class State : std::uint8_t { kReady, kStalled, kBarrier };
  std::uint32_t depth = 0;
  std::uint32_t function = 0;
  std::uint32_t block = 0;
  std::uint32_t pc = 0;
  LaneMask mask = 0;
  State state = State::kReady;
  bool entered = false;               // the block is counted
  std::uint32_t barrier = 0;          // kBarrier: which,
  std::uint32_t barrier_threads = 0;  // and for how many
  [[nodiscard]] bool same_place(const Group& other) const {
    return depth == other.depth && function == other.function && pc == other.pc;
  }
};

struct Fault {
  FaultKind kind = FaultKind::kTrap;
  std::string message;
  unsigned lane = 0;
  std::uint32_t line = 0;
  std::uint32_t line2 = 0;
};

struct Warp {
  Grid* grid = nullptr;
  std::uint32_t index = 0;
  LaneMask gone = 0;  // returned, or never there: what their registers hold matters to nobody
  std::vector<Group> groups;  // all lanes but those gone and those running
  // Where the running lanes are.
  std::uint8_t* rows = nullptr;
  Frame* frame = nullptr;
  std::uint32_t function = 0;
  std::uint32_t depth = 0;

  alignas(64) std::uint32_t carry[kLanes] = {};             // CC.CF
  std::vector<std::vector<std::unique_ptr<Frame>>> frames;  // [depth][function]
  std::vector<Frame*> local_frames;  // those with local memory, by its address
  Fault fault;

  template <class T>
  [[nodiscard]] T* row(std::uint32_t offset) const {
    return reinterpret_cast<T*>(rows + offset);
  }
  // Whether writing all lanes harms none.
  [[nodiscard]] bool covers(LaneMask mask) const { return (mask | gone) == kAllLanes; }
  // All ones in the lanes of `mask`, else 0.
  template <class T>
  [[nodiscard]] const T* on(LaneMask mask);

  [[nodiscard]] std::uint32_t thread(unsigned lane) const { return index * kLanes + lane; }
  [[nodiscard]] const Instruction& instruction(const Op& op) const {
    return grid->module->functions[function].instructions[op.instruction];
  }
  Step fail(const Op& op, FaultKind kind, unsigned lane, std::string message) {
    fault = {kind, std::move(message), lane, instruction(op).line, 0};
    return Step::kFault;
  }

 private:
  LaneMask on_mask_ = 0;
  alignas(64) std::uint64_t on64_[kLanes] = {};
  alignas(64) std::uint32_t on32_[kLanes] = {};
  alignas(64) std::uint16_t on16_[kLanes] = {};
};

template <class T>
const T* Warp::on(LaneMask mask) {
  if (mask != on_mask_) {
    on_mask_ = mask;
    for (unsigned i = 0; i < kLanes; ++i) {
      const bool is_on = (mask >> i & 1) != 0;
      on64_[i] = is_on ? ~std::uint64_t{0} : 0;
      on32_[i] = is_on ? ~std::uint32_t{0} : 0;
      on16_[i] = is_on ? 0xffff : 0;
    }
  }
  if constexpr (sizeof(T) == 8) return reinterpret_cast<const T*>(on64_);
  if constexpr (sizeof(T) == 4) return reinterpret_cast<const T*>(on32_);
  if constexpr (sizeof(T) == 2) return reinterpret_cast<const T*>(on16_);
}

// A predicate's lanes of `mask` become those of `value`.
inline void set_predicate(Warp& warp, std::uint32_t offset, LaneMask mask, LaneMask value) {
  LaneMask* const word = warp.row<LaneMask>(offset);
  *word = (*word & ~mask) | (value & mask);
}
[[nodiscard]] inline LaneMask predicate(const Warp& warp, std::uint32_t offset, bool negated) {
  const LaneMask word = *warp.row<LaneMask>(offset);
  return negated ? ~word : word;
}

// The lanes of `mask` one by one, in the order of the launch; until one step is not kNext.
template <class F>
Step each_lane(const Warp& warp, LaneMask mask, F&& step) {
  const bool down = warp.grid->options.order == Order::kDescending;
  while (mask != 0) {
    const unsigned lane = down ? 31U - static_cast<unsigned>(__builtin_clz(mask))
                               : static_cast<unsigned>(__builtin_ctz(mask));
    mask &= ~(LaneMask{1} << lane);
    if (const Step result = step(lane); result != Step::kNext) return result;
  }
  return Step::kNext;
}

// Null where the instruction is another family's (or control). `bytes`: of the registers that a
// load or store moves.
[[nodiscard]] Run bind_arithmetic(const Instruction& instruction);
[[nodiscard]] Run bind_logic(const Instruction& instruction);
[[nodiscard]] Run bind_move(const Instruction& instruction, unsigned to_bytes, unsigned from_bytes);
// What is at the address of an ld.param or st.param: a kernel's argument bytes, or rows.
enum class ParamKind : std::uint8_t { kNone, kArgument, kWords };
[[nodiscard]] Run bind_memory(const Instruction& instruction, unsigned register_bytes,
                              ParamKind param);
[[nodiscard]] Run bind_exchange(const Instruction& instruction);

// "(x,y,z)" of a thread by its number in the block.
[[nodiscard]] Dim3 thread_index(const Grid& grid, std::uint32_t thread);
[[nodiscard]] std::string index_text(const Dim3& index);

}  // namespace colophon::gpu_emulator
