// SPDX-License-Identifier: Apache-2.0
//
// Exchanges between the lanes of a warp. Meanings: PTX ISA, "Parallel Synchronization and
// Communication Instructions". They wait for every lane of the member mask that has not returned.
#include <algorithm>
#include <bit>
#include <string>

#include "tests/gpu_emulator/lane_loop.h"

namespace colophon::gpu_emulator {
namespace {

// kNext: all members are here.
Step meet(Warp& warp, const Op& op, LaneMask mask, const std::uint32_t* members) {
  LaneMask wanted = 0;
  const Step step = each_lane(warp, mask, [&](unsigned lane) {
    if ((members[lane] >> lane & 1) == 0) {
      return warp.fail(op, FaultKind::kExchange, lane, "the lane is not in its own member mask");
    }
    wanted |= members[lane];
    return Step::kNext;
  });
  if (step != Step::kNext) return step;
  return (wanted & ~warp.gone & ~mask) != 0 ? Step::kStall : Step::kNext;
}

// Rows: d, p, a, b, c, members.
template <Shuffle kMode>
Step shfl(Warp& warp, const Op& op, LaneMask mask) {
  const auto* const members = warp.row<const std::uint32_t>(op.row[5]);
  if (const Step step = meet(warp, op, mask, members); step != Step::kNext) return step;
  std::uint32_t value[kLanes];
  std::memcpy(value, warp.row<const std::uint32_t>(op.row[2]), sizeof(value));
  std::uint32_t taken[kLanes] = {};
  LaneMask in_range = 0;
  const Step step = each_lane(warp, mask, [&](unsigned lane) {
    const std::uint32_t b = warp.row<const std::uint32_t>(op.row[3])[lane] & 31;
    const std::uint32_t c = warp.row<const std::uint32_t>(op.row[4])[lane];
    const std::uint32_t segment = c >> 8 & 31;
    const std::uint32_t most = (lane & segment) | (c & 31 & ~segment);
    std::uint32_t from = lane;
    bool is_in = false;
    if constexpr (kMode == Shuffle::kUp) {
      is_in = static_cast<std::int32_t>(lane - b) >= static_cast<std::int32_t>(most);
      from = lane - b;
    } else {
      if constexpr (kMode == Shuffle::kDown) from = lane + b;
      if constexpr (kMode == Shuffle::kBfly) from = lane ^ b;
      if constexpr (kMode == Shuffle::kIdx) from = (lane & segment) | (b & ~segment);
      is_in = from <= most;
    }
    if (!is_in) from = lane;
    if ((mask & members[lane] & LaneMask{1} << from) == 0) {
      return warp.fail(
          op, FaultKind::kExchange, lane,
          "a value is taken from lane " + std::to_string(from) + ", which takes no part");
    }
    in_range |= LaneMask{is_in} << lane;
    taken[lane] = value[from];
    return Step::kNext;
  });
  if (step != Step::kNext) return step;
  auto* const d = warp.row<std::uint32_t>(op.row[0]);
  for (unsigned i = 0; i < kLanes; ++i) {
    if ((mask >> i & 1) != 0) d[i] = taken[i];
  }
  set_predicate(warp, op.row[1], mask, in_range);
  return Step::kNext;
}

// Rows: d, a, members.
template <Vote kMode>
Step vote(Warp& warp, const Op& op, LaneMask mask) {
  const auto* const members = warp.row<const std::uint32_t>(op.row[2]);
  if (const Step step = meet(warp, op, mask, members); step != Step::kNext) return step;
  const LaneMask a = predicate(warp, op.row[1], (op.flags & Op::kSourceNegated) != 0);
  LaneMask result = 0;
  for (unsigned i = 0; i < kLanes; ++i) {
    if ((mask >> i & 1) == 0) continue;
    const LaneMask here = members[i] & mask;
    const LaneMask yes = a & here;
    if constexpr (kMode == Vote::kBallot) {
      warp.row<std::uint32_t>(op.row[0])[i] = yes;
    } else {
      const bool is = kMode == Vote::kAll   ? yes == here
                      : kMode == Vote::kAny ? yes != 0
                                            : yes == here || yes == 0;
      result |= LaneMask{is} << i;
    }
  }
  if constexpr (kMode != Vote::kBallot) set_predicate(warp, op.row[0], mask, result);
  return Step::kNext;
}

// Rows: d, p, a, members.
template <class T, Match kMode>
Step match(Warp& warp, const Op& op, LaneMask mask) {
  const auto* const members = warp.row<const std::uint32_t>(op.row[3]);
  if (const Step step = meet(warp, op, mask, members); step != Step::kNext) return step;
  const T* const a = warp.row<const T>(op.row[2]);
  std::uint32_t result[kLanes] = {};
  LaneMask all_same = 0;
  for (unsigned i = 0; i < kLanes; ++i) {
    if ((mask >> i & 1) == 0) continue;
    const LaneMask here = members[i] & mask;
    LaneMask same = 0;
    for (unsigned k = 0; k < kLanes; ++k) {
      if ((here >> k & 1) != 0 && a[k] == a[i]) same |= LaneMask{1} << k;
    }
    if (same == here) all_same |= LaneMask{1} << i;
    result[i] = kMode == Match::kAny || same == here ? same : 0;
  }
  auto* const d = warp.row<std::uint32_t>(op.row[0]);
  for (unsigned i = 0; i < kLanes; ++i) {
    if ((mask >> i & 1) != 0) d[i] = result[i];
  }
  set_predicate(warp, op.row[1], mask, all_same);
  return Step::kNext;
}

template <class T>
T combine(Atomic operation, T a, T b) {
  switch (operation) {
    case Atomic::kAdd:
      return static_cast<T>(static_cast<std::uint32_t>(a) + static_cast<std::uint32_t>(b));
    case Atomic::kMin:
      return std::min(a, b);
    case Atomic::kMax:
      return std::max(a, b);
    case Atomic::kAnd:
      return a & b;
    case Atomic::kOr:
      return a | b;
    default:
      return a ^ b;
  }
}

// Rows: d, a, members.
template <class T>
Step redux(Warp& warp, const Op& op, LaneMask mask) {
  const auto* const members = warp.row<const std::uint32_t>(op.row[2]);
  if (const Step step = meet(warp, op, mask, members); step != Step::kNext) return step;
  const T* const a = warp.row<const T>(op.row[1]);
  T result[kLanes] = {};
  for (unsigned i = 0; i < kLanes; ++i) {
    if ((mask >> i & 1) == 0) continue;
    result[i] = a[i];
    const LaneMask others = members[i] & mask & ~(LaneMask{1} << i);
    for (unsigned k = 0; k < kLanes; ++k) {
      if ((others >> k & 1) != 0) {
        result[i] = combine(static_cast<Atomic>(op.mode), result[i], a[k]);
      }
    }
  }
  T* const d = warp.row<T>(op.row[0]);
  for (unsigned i = 0; i < kLanes; ++i) {
    if ((mask >> i & 1) != 0) d[i] = result[i];
  }
  return Step::kNext;
}

// Rows: d, p, members. The leader is the lowest member.
Step elect(Warp& warp, const Op& op, LaneMask mask) {
  const auto* const members = warp.row<const std::uint32_t>(op.row[2]);
  if (const Step step = meet(warp, op, mask, members); step != Step::kNext) return step;
  LaneMask leaders = 0;
  auto* const d = warp.row<std::uint32_t>(op.row[0]);
  for (unsigned i = 0; i < kLanes; ++i) {
    if ((mask >> i & 1) == 0) continue;
    const auto leader = static_cast<std::uint32_t>(std::countr_zero(members[i] & mask));
    d[i] = leader;
    if (leader == i) leaders |= LaneMask{1} << i;
  }
  set_predicate(warp, op.row[1], mask, leaders);
  return Step::kNext;
}

// Rows: members.
Step warp_barrier(Warp& warp, const Op& op, LaneMask mask) {
  const auto* const members = warp.row<const std::uint32_t>(op.row[0]);
  if (const Step step = meet(warp, op, mask, members); step != Step::kNext) return step;
  if (!warp.grid->races) return Step::kNext;
  // Lanes with the same member mask meet.
  for (LaneMask left = mask; left != 0;) {
    const LaneMask met = members[std::countr_zero(left)] & mask;
    warp.grid->races->warp_barrier(warp.index, met);
    left &= ~met;
  }
  return Step::kNext;
}

Step activemask(Warp& warp, const Op& op, LaneMask mask) {
  auto* const d = warp.row<std::uint32_t>(op.row[0]);
  for (unsigned i = 0; i < kLanes; ++i) {
    if ((mask >> i & 1) != 0) d[i] = mask;
  }
  return Step::kNext;
}

}  // namespace

Run bind_exchange(const Instruction& i) {
  switch (i.opcode) {
    case Opcode::kShfl: {
      static constexpr Run kRuns[] = {&shfl<Shuffle::kUp>, &shfl<Shuffle::kDown>,
                                      &shfl<Shuffle::kBfly>, &shfl<Shuffle::kIdx>};
      return kRuns[i.mode];
    }
    case Opcode::kVote: {
      static constexpr Run kRuns[] = {&vote<Vote::kAll>, &vote<Vote::kAny>, &vote<Vote::kUni>,
                                      &vote<Vote::kBallot>};
      return kRuns[i.mode];
    }
    case Opcode::kMatch:
      if (i.mode == static_cast<std::uint8_t>(Match::kAny)) {
        return bytes_of(i.type) == 4 ? &match<std::uint32_t, Match::kAny>
                                     : &match<std::uint64_t, Match::kAny>;
      }
      return bytes_of(i.type) == 4 ? &match<std::uint32_t, Match::kAll>
                                   : &match<std::uint64_t, Match::kAll>;
    case Opcode::kRedux:
      return i.type == Type::kS32 ? &redux<std::int32_t> : &redux<std::uint32_t>;
    case Opcode::kElect:
      return &elect;
    case Opcode::kWarpBarrier:
      return &warp_barrier;
    case Opcode::kActivemask:
      return &activemask;
    default:
      return nullptr;
  }
}

}  // namespace colophon::gpu_emulator
