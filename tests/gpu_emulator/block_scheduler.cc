// SPDX-License-Identifier: Apache-2.0
#include "tests/gpu_emulator/block_scheduler.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <string>
#include <utility>

namespace colophon::gpu_emulator {
namespace {

constexpr std::uint32_t kUnlimited = UINT32_MAX;
constexpr std::uint32_t kBarriers = 16;
// Addresses of frames' local memory: far apart, and no constant's high bits.
constexpr std::uint64_t kLocalStride = std::uint64_t{1} << 24;

unsigned lowest(LaneMask mask) { return static_cast<unsigned>(std::countr_zero(mask)); }

}  // namespace

Dim3 thread_index(const Grid& grid, std::uint32_t thread) {
  const Dim3& block = grid.shape.block;
  return {thread % block.x, thread / block.x % block.y, thread / block.x / block.y};
}

std::string index_text(const Dim3& index) {
  return "(" + std::to_string(index.x) + "," + std::to_string(index.y) + "," +
         std::to_string(index.z) + ")";
}

BlockScheduler::BlockScheduler(Grid& grid, std::uint32_t entry)
    : grid_(grid),
      entry_(entry),
      warps_((grid.threads + kLanes - 1) / kLanes),
      random_(grid.options.seed) {}

void BlockScheduler::start() {
  if (grid_.races) grid_.races->start_block(grid_.threads);
  for (SharedRegion& region : grid_.shared) {
    std::fill(region.data.begin(), region.data.end(), std::uint8_t{0xcd});
    std::fill(region.written.begin(), region.written.end(), std::uint8_t{0});
  }
  for (std::uint32_t i = 0; i < warps_.size(); ++i) {
    Warp& warp = warps_[i];
    warp.grid = &grid_;
    warp.index = i;
    const std::uint32_t threads = std::min(kLanes, grid_.threads - i * kLanes);
    warp.gone = threads == kLanes ? 0 : ~((LaneMask{1} << threads) - 1);
    Group all;
    all.function = entry_;
    all.mask = ~warp.gone;
    warp.groups = {all};
    Frame& frame = enter(warp, all);
    std::fill(frame.local_written.begin(), frame.local_written.end(), std::uint8_t{0});
  }
}

std::optional<LaunchFault> BlockScheduler::run() {
  start();
  std::vector<std::uint32_t> order(warps_.size());
  std::iota(order.begin(), order.end(), 0U);
  if (grid_.options.order == Order::kDescending) std::reverse(order.begin(), order.end());
  const bool seeded = grid_.options.order == Order::kSeeded;
  for (;;) {
    if (seeded) std::shuffle(order.begin(), order.end(), random_);
    bool ran = false;
    bool all_gone = true;
    for (const std::uint32_t i : order) {
      Warp& warp = warps_[i];
      if (warp.gone == kAllLanes) continue;
      all_gone = false;
      const bool ready =
          std::any_of(warp.groups.begin(), warp.groups.end(),
                      [](const Group& group) { return group.state == Group::State::kReady; });
      if (!ready) continue;
      ran = true;
      const auto budget = seeded ? static_cast<std::uint32_t>(1 + random_() % 64) : kUnlimited;
      if (!run_warp(warp, budget)) return fault_of(warp);
    }
    if (all_gone) return std::nullopt;
    if (ran) continue;
    bool released = false;
    if (!release_barriers(released)) return fault_of(*faulty_);
    if (!released) return deadlock();
  }
}

// Makes the group's frame the one operations work on.
Frame& BlockScheduler::enter(Warp& warp, const Group& at) {
  if (warp.frames.size() <= at.depth) warp.frames.resize(at.depth + 1);
  auto& frames = warp.frames[at.depth];
  if (frames.empty()) frames.resize(grid_.code->functions.size());
  std::unique_ptr<Frame>& slot = frames[at.function];
  if (!slot) {
    const FunctionCode& code = grid_.code->functions[at.function];
    slot = std::make_unique<Frame>();
    slot->rows.resize(code.frame_bytes / sizeof(CacheLine));
    // No register's value by chance.
    std::memset(slot->rows.data(), 0xa5, code.frame_bytes);
    if (code.local_bytes != 0) {
      slot->local_base = kLocalStride * (warp.local_frames.size() + 1) + code.local_first;
      slot->local_bytes = code.local_bytes;
      slot->local.resize(std::size_t{kLanes} * code.local_bytes, 0xcd);
      slot->local_written.resize(slot->local.size());
      warp.local_frames.push_back(slot.get());
    }
    auto* const rows = slot->rows.front().bytes;
    for (const FunctionCode::Constant& constant : code.constants) {
      const std::uint64_t value = constant.value + (constant.local ? slot->local_base : 0);
      for (unsigned lane = 0; lane < kLanes; ++lane) {
        std::memcpy(rows + constant.row + lane * constant.bytes, &value, constant.bytes);
      }
    }
  }
  warp.frame = slot.get();
  warp.rows = slot->rows.front().bytes;
  warp.function = at.function;
  warp.depth = at.depth;
  return *slot;
}

bool BlockScheduler::count(Warp& warp, const Group& at) {
  std::vector<BlockCount>& counts = grid_.counts[at.function];
  const Function& function = grid_.module->functions[at.function];
  if (counts.empty()) counts.resize(function.blocks.size());
  ++counts[at.block].warps;
  counts[at.block].threads += static_cast<std::uint64_t>(std::popcount(at.mask));
  const BasicBlock& block = function.blocks[at.block];
  grid_.warp_instructions += block.end - block.first;
  if (grid_.warp_instructions <= grid_.options.warp_instructions_max) return true;
  warp.fault = {FaultKind::kStepLimit,
                "still running after " + std::to_string(grid_.options.warp_instructions_max) +
                    " instructions of warps",
                lowest(at.mask), block.line, 0};
  return false;
}

bool BlockScheduler::run_warp(Warp& warp, std::uint32_t budget) {
  const auto before = [](const Group& a, const Group& b) {
    if (a.depth != b.depth) return a.depth > b.depth;
    return a.function != b.function ? a.function < b.function : a.pc < b.pc;
  };
  while (budget != 0) {
    std::vector<Group>& groups = warp.groups;
    const Group* best = nullptr;
    for (const Group& group : groups) {
      if (group.state != Group::State::kReady) continue;
      if (best == nullptr || before(group, *best)) best = &group;
    }
    if (best == nullptr) return true;
    // Those at the same place go on together.
    Group at = *best;
    at.mask = 0;
    Group entering = at;
    for (std::size_t i = 0; i < groups.size();) {
      Group& group = groups[i];
      if (group.state == Group::State::kBarrier || !group.same_place(at)) {
        ++i;
        continue;
      }
      if (!group.entered) entering.mask |= group.mask;
      at.mask |= group.mask;
      group = groups.back();
      groups.pop_back();
    }
    if (entering.mask != 0 && !count(warp, entering)) return false;
    at.entered = true;
    --budget;
    if (!run_group(warp, at, budget)) return false;
  }
  return true;
}

bool BlockScheduler::run_group(Warp& warp, Group at, std::uint32_t& budget) {
  enter(warp, at);
  for (;;) {
    if (!at.entered) {
      if (!count(warp, at)) return false;
      at.entered = true;
      if (budget != kUnlimited) --budget;
    }
    const FunctionCode& code = grid_.code->functions[at.function];
    const Op* op = code.ops.data() + at.pc;
    const Op* const end = code.ops.data() + block_of(at).end;
    for (; op != end && op->run != nullptr; ++op) {
      LaneMask mask = at.mask;
      if (op->guard != kNoGuard) {
        mask &= predicate(warp, op->guard, (op->flags & Op::kGuardNegated) != 0);
        if (mask == 0) continue;
      }
      const Step step = op->run(warp, *op, mask);
      if (step == Step::kNext) continue;
      if (step == Step::kFault) return false;
      at.pc = op->instruction;
      stall(warp, at, mask);
      return true;
    }
    at.pc = static_cast<std::uint32_t>(op - code.ops.data());
    if (op == end) {
      ++at.block;
      at.entered = false;
    } else {
      switch (control(warp, at, *op)) {
        case Next::kRunOn:
          break;
        case Next::kParked:
          return true;
        case Next::kFault:
          return false;
      }
    }
    // Others may have to go first, or be met.
    if (!warp.groups.empty() || budget == 0) {
      warp.groups.push_back(at);
      return true;
    }
  }
}

// --- control -------------------------------------------------------------------------------------

void BlockScheduler::advance(Group& at) const {
  ++at.pc;
  if (at.pc != block_of(at).end) return;
  ++at.block;
  at.entered = false;
}

void BlockScheduler::leave_others(Warp& warp, const Group& at, LaneMask taken) {
  Group others = at;
  others.mask &= ~taken;
  if (others.mask == 0) return;
  advance(others);
  warp.groups.push_back(others);
}

// `at` stands at an instruction that waits for lanes not there.
void BlockScheduler::stall(Warp& warp, Group at, LaneMask waiting) {
  leave_others(warp, at, waiting);
  at.mask = waiting;
  at.state = Group::State::kStalled;
  // Those who wait there already try again together with these.
  for (Group& group : warp.groups) {
    if (group.state == Group::State::kStalled && group.same_place(at)) {
      group.mask |= at.mask;
      group.state = Group::State::kReady;
      return;
    }
  }
  warp.groups.push_back(at);
}

void BlockScheduler::lanes_gone(Warp& warp, LaneMask lanes) {
  warp.gone |= lanes;
  // Nobody waits for them any more.
  for (Group& group : warp.groups) {
    if (group.state == Group::State::kStalled) group.state = Group::State::kReady;
  }
}

BlockScheduler::Next BlockScheduler::control(Warp& warp, Group& at, const Op& op) {
  LaneMask taken = at.mask;
  if (op.guard != kNoGuard) {
    taken &= predicate(warp, op.guard, (op.flags & Op::kGuardNegated) != 0);
  }
  if (taken == 0) {
    advance(at);
    return Next::kRunOn;
  }
  switch (instruction_at(at).opcode) {
    case Opcode::kBra:
      return branch(warp, at, op, taken);
    case Opcode::kBrx:
      return branch_by_index(warp, at, op, taken);
    case Opcode::kCall:
      return call(warp, at, op, taken);
    case Opcode::kRet:
      return leave(warp, at, taken, at.depth == 0);
    case Opcode::kExit:
      return leave(warp, at, taken, true);
    case Opcode::kBarrier:
      return wait_at_barrier(warp, at, op, taken);
    default:
      (void)warp.fail(op, FaultKind::kTrap, lowest(taken), "trap");
      return Next::kFault;
  }
}

BlockScheduler::Next BlockScheduler::branch(Warp& warp, Group& at, const Op& op, LaneMask taken) {
  const Instruction& instruction = instruction_at(at);
  const Function& function = grid_.module->functions[at.function];
  const std::uint32_t block = function.operands_of(instruction)[0].index;
  if (taken != at.mask) {
    if (instruction.uniform) {
      (void)warp.fail(op, FaultKind::kDivergence, lowest(taken),
                      "a .uni branch that not all threads of the warp take");
      return Next::kFault;
    }
    leave_others(warp, at, taken);
    at.mask = taken;
  }
  at.block = block;
  at.pc = function.blocks[block].first;
  at.entered = false;
  return Next::kRunOn;
}

BlockScheduler::Next BlockScheduler::branch_by_index(Warp& warp, Group& at, const Op& op,
                                                     LaneMask taken) {
  const Function& function = grid_.module->functions[at.function];
  const std::vector<std::uint32_t>& table = function.branch_tables[instruction_at(at).mode32];
  leave_others(warp, at, taken);
  const auto* const index = warp.row<const std::uint32_t>(op.row[0]);
  for (LaneMask left = taken; left != 0;) {
    const unsigned first = lowest(left);
    if (index[first] >= table.size()) {
      (void)warp.fail(op, FaultKind::kOutOfBounds, first,
                      "branch " + std::to_string(index[first]) + " of a table of " +
                          std::to_string(table.size()));
      return Next::kFault;
    }
    Group to = at;
    to.mask = 0;
    to.block = table[index[first]];
    to.pc = function.blocks[to.block].first;
    to.entered = false;
    for (unsigned lane = first; lane < kLanes; ++lane) {
      if ((left >> lane & 1) != 0 && index[lane] == index[first]) to.mask |= LaneMask{1} << lane;
    }
    left &= ~to.mask;
    warp.groups.push_back(to);
  }
  return Next::kParked;
}

namespace {

void copy_rows(Warp& warp, LaneMask mask, const std::uint8_t* from,
               const std::vector<std::uint32_t>& from_rows, std::uint8_t* to,
               const std::uint32_t* to_rows) {
  const std::uint32_t* const on = warp.on<std::uint32_t>(mask);
  for (std::size_t k = 0; k < from_rows.size(); ++k) {
    const auto* const source = reinterpret_cast<const std::uint32_t*>(from + from_rows[k]);
    auto* const target = reinterpret_cast<std::uint32_t*>(to + to_rows[k]);
    for (unsigned i = 0; i < kLanes; ++i) {
      target[i] = (source[i] & on[i]) | (target[i] & ~on[i]);
    }
  }
}

}  // namespace

BlockScheduler::Next BlockScheduler::call(Warp& warp, Group& at, const Op& op, LaneMask taken) {
  const FunctionCode::Call& site =
      grid_.code->functions[at.function].calls[instruction_at(at).mode32];
  if (at.depth + 1 == kCallDepthMax) {
    (void)warp.fail(op, FaultKind::kCallDepth, lowest(taken),
                    "calls nested more than " + std::to_string(kCallDepthMax) + " deep");
    return Next::kFault;
  }
  leave_others(warp, at, taken);
  const std::uint8_t* const caller = warp.rows;
  Group back = at;
  advance(back);
  const Frame::Return return_to{at.function, back.block, back.pc, back.entered};
  at.mask = taken;
  ++at.depth;
  at.function = site.function;
  at.block = 0;
  at.pc = 0;
  at.entered = false;
  Frame& frame = enter(warp, at);
  const FunctionCode& callee = grid_.code->functions[site.function];
  copy_rows(warp, taken, caller, site.arguments, warp.rows, callee.param_rows.data());
  for (LaneMask left = taken; left != 0; left &= left - 1) {
    const unsigned lane = lowest(left);
    frame.return_to[lane] = return_to;
    const auto written = frame.local_written.begin() + std::ptrdiff_t{lane} * frame.local_bytes;
    std::fill(written, written + frame.local_bytes, std::uint8_t{0});
  }
  return Next::kRunOn;
}

// `thread`: it ends; else the function returns.
BlockScheduler::Next BlockScheduler::leave(Warp& warp, Group& at, LaneMask taken, bool thread) {
  leave_others(warp, at, taken);
  if (thread) {
    lanes_gone(warp, taken);
    return Next::kParked;
  }
  const Frame& frame = *warp.frame;
  const std::uint8_t* const callee_rows = warp.rows;
  const FunctionCode& callee = grid_.code->functions[at.function];
  const auto& own = *callee.source;
  std::uint32_t parameter_words = 0;
  for (std::uint32_t i = 0; i < own.parameter_count; ++i) {
    parameter_words += (own.params[i].bytes + 3) / 4;
  }
  const std::vector<std::uint32_t> results(callee.param_rows.begin() + parameter_words,
                                           callee.param_rows.end());
  // By where they return to.
  for (LaneMask left = taken; left != 0;) {
    const Frame::Return& to = frame.return_to[lowest(left)];
    Group back = at;
    back.mask = 0;
    --back.depth;
    back.function = to.function;
    back.block = to.block;
    back.pc = to.pc;
    back.entered = to.entered;
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      const Frame::Return& other = frame.return_to[lane];
      if ((left >> lane & 1) != 0 && other.function == to.function && other.pc == to.pc) {
        back.mask |= LaneMask{1} << lane;
      }
    }
    left &= ~back.mask;
    enter(warp, back);
    // The call is the instruction before.
    const Function& caller = grid_.module->functions[back.function];
    const FunctionCode::Call& site =
        grid_.code->functions[back.function].calls[caller.instructions[back.pc - 1].mode32];
    copy_rows(warp, back.mask, callee_rows, results, warp.rows, site.results.data());
    if (left == 0 && warp.groups.empty()) {
      at = back;
      return Next::kRunOn;
    }
    warp.groups.push_back(back);
  }
  return Next::kParked;
}

// --- barriers ------------------------------------------------------------------------------------

BlockScheduler::Next BlockScheduler::wait_at_barrier(Warp& warp, Group& at, const Op& op,
                                                     LaneMask taken) {
  const Operand* const operands =
      grid_.module->functions[at.function].operands_of(instruction_at(at));
  const auto* const ids = warp.row<const std::uint32_t>(op.row[1]);
  const unsigned first = lowest(taken);
  std::uint32_t threads = grid_.threads;
  const auto fail = [&](FaultKind kind, const std::string& message) {
    (void)warp.fail(op, kind, first, message);
    return Next::kFault;
  };
  const bool counted = operands[2].kind != Operand::Kind::kNone;
  for (LaneMask left = taken; left != 0; left &= left - 1) {
    if (ids[lowest(left)] != ids[first]) {
      return fail(FaultKind::kDivergence, "threads of a warp at barriers of different numbers");
    }
  }
  if (ids[first] >= kBarriers) {
    return fail(FaultKind::kOutOfBounds, "barrier " + std::to_string(ids[first]) + " of 16");
  }
  if (counted) {
    threads = warp.row<const std::uint32_t>(op.row[2])[first];
    if (threads == 0 || threads % kLanes != 0 || threads > grid_.threads) {
      return fail(FaultKind::kDeadlock, "a barrier for " + std::to_string(threads) +
                                            " threads of a block of " +
                                            std::to_string(grid_.threads));
    }
  }
  leave_others(warp, at, taken);
  Group waiting = at;
  waiting.mask = taken;
  waiting.state = Group::State::kBarrier;
  waiting.barrier = ids[first];
  waiting.barrier_threads = threads;
  warp.groups.push_back(waiting);
  return Next::kParked;
}

bool BlockScheduler::release_barriers(bool& released) {
  for (std::uint32_t barrier = 0; barrier < kBarriers; ++barrier) {
    std::uint32_t come = 0;
    std::uint32_t threads = 0;
    for (Warp& warp : warps_) {
      for (const Group& group : warp.groups) {
        if (group.state != Group::State::kBarrier || group.barrier != barrier) continue;
        if (threads != 0 && threads != group.barrier_threads) {
          faulty_ = &warp;
          warp.fault = {FaultKind::kDeadlock, "a barrier for different numbers of threads",
                        lowest(group.mask), instruction_at(group).line, 0};
          return false;
        }
        threads = group.barrier_threads;
        come += static_cast<std::uint32_t>(std::popcount(group.mask));
      }
    }
    if (threads == 0 || come != threads) continue;
    if (!release(barrier)) return false;
    released = true;
  }
  return true;
}

bool BlockScheduler::release(std::uint32_t barrier) {
  for (Warp& warp : warps_) {
    const Group* first = nullptr;
    for (const Group& group : warp.groups) {
      if (group.state != Group::State::kBarrier || group.barrier != barrier) continue;
      if (first == nullptr) first = &group;
      if (instruction_at(group).uniform && !group.same_place(*first)) {
        faulty_ = &warp;
        warp.fault = {FaultKind::kDivergence,
                      "threads of a warp at different barriers, also at line " +
                          std::to_string(instruction_at(*first).line),
                      lowest(group.mask), instruction_at(group).line, 0};
        return false;
      }
    }
  }
  reduce(barrier);
  for (Warp& warp : warps_) {
    for (Group& group : warp.groups) {
      if (group.state != Group::State::kBarrier || group.barrier != barrier) continue;
      group.state = Group::State::kReady;
      advance(group);
    }
  }
  if (grid_.races) grid_.races->barrier();
  return true;
}

// bar.red: all threads get the result.
void BlockScheduler::reduce(std::uint32_t barrier) {
  const auto each = [&](auto&& act) {
    for (Warp& warp : warps_) {
      for (const Group& group : warp.groups) {
        if (group.state != Group::State::kBarrier || group.barrier != barrier) continue;
        const Instruction& instruction = instruction_at(group);
        const auto kind = static_cast<BarrierKind>(instruction.mode);
        if (kind == BarrierKind::kSync) continue;
        enter(warp, group);
        act(warp, group, grid_.code->functions[group.function].ops[group.pc], kind);
      }
    }
  };
  std::uint32_t yes = 0;
  std::uint32_t all = 0;
  each([&](Warp& warp, const Group& group, const Op& op, BarrierKind) {
    const LaneMask p = predicate(warp, op.row[3], (op.flags & Op::kSourceNegated) != 0);
    yes += static_cast<std::uint32_t>(std::popcount(p & group.mask));
    all += static_cast<std::uint32_t>(std::popcount(group.mask));
  });
  each([&](Warp& warp, const Group& group, const Op& op, BarrierKind kind) {
    if (kind == BarrierKind::kPopc) {
      for (LaneMask left = group.mask; left != 0; left &= left - 1) {
        warp.row<std::uint32_t>(op.row[0])[lowest(left)] = yes;
      }
    } else {
      const bool is = kind == BarrierKind::kAnd ? yes == all : yes != 0;
      set_predicate(warp, op.row[0], group.mask, is ? kAllLanes : 0);
    }
  });
}

// --- faults --------------------------------------------------------------------------------------

LaunchFault BlockScheduler::fault_of(const Warp& warp) const {
  LaunchFault out;
  const Fault& fault = warp.fault;
  out.kind = fault.kind;
  out.kernel = grid_.module->functions[entry_].name;
  out.block = grid_.block;
  out.thread = thread_index(grid_, warp.thread(fault.lane));
  out.line = fault.line;
  out.line2 = fault.line2;
  out.message = std::string(fault_name(fault.kind)) + " in kernel '" + out.kernel + "', block " +
                index_text(out.block) + ", thread " + index_text(out.thread) + ", line " +
                std::to_string(out.line) + " '" +
                std::string(grid_.module->text_of_line(out.line)) + "': " + fault.message;
  return out;
}

// Nobody can go on: the first that waits, and one that it waits for.
LaunchFault BlockScheduler::deadlock() const {
  const auto text = [&](const Warp& warp, unsigned lane, const char* what) {
    return "thread " + index_text(thread_index(grid_, warp.thread(lane))) + what;
  };
  for (const Warp& warp : warps_) {
    for (const Group& group : warp.groups) {
      Warp report;
      report.index = warp.index;
      report.fault.kind = FaultKind::kDeadlock;
      report.fault.lane = lowest(group.mask);
      report.fault.line = instruction_at(group).line;
      std::string missing;
      if (group.state == Group::State::kBarrier) {
        for (const Warp& other : warps_) {
          const LaneMask absent = other.index + 1 == warps_.size() && grid_.threads % kLanes != 0
                                      ? ~((LaneMask{1} << grid_.threads % kLanes) - 1)
                                      : 0;
          if (const LaneMask returned = other.gone & ~absent; returned != 0) {
            missing = text(other, lowest(returned), " has returned");
            break;
          }
          for (const Group& elsewhere : other.groups) {
            if (elsewhere.state == Group::State::kBarrier && elsewhere.barrier == group.barrier) {
              continue;
            }
            missing = text(other, lowest(elsewhere.mask), " waits at line ") +
                      std::to_string(instruction_at(elsewhere).line);
          }
        }
        report.fault.message = "waits at barrier " + std::to_string(group.barrier) + " for " +
                               std::to_string(group.barrier_threads) + " threads; " + missing;
      } else {
        report.fault.message = "waits for lanes of its member mask that do not come";
      }
      return fault_of(report);
    }
  }
  return {};
}

}  // namespace colophon::gpu_emulator
