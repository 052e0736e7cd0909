// SPDX-License-Identifier: Apache-2.0
//
// Loads, stores and atomics, each access checked. Meanings: PTX ISA, "Data Movement and Conversion
// Instructions" (ld, st) and "Parallel Synchronization and Communication Instructions" (atom, red).
#include <algorithm>
#include <string>
#include <type_traits>

#include "tests/gpu_emulator/lane_loop.h"

namespace colophon::gpu_emulator {
namespace {

enum class Intent : std::uint8_t { kRead, kWrite, kUpdate };

// Where an address leads on the host.
struct Target {
  std::uint8_t* data = nullptr;
  std::uint8_t* written = nullptr;  // null: all of it is
  std::uint64_t room = 0;           // bytes from `data` on
  bool read_only = false;
};

std::string place_in(std::string_view kind, const std::string& name, std::uint64_t bytes,
                     std::int64_t offset) {
  return std::string(kind) + " memory" + (name.empty() ? "" : " '" + name + "'") + " (" +
         std::to_string(bytes) + " bytes), offset " + std::to_string(offset);
}

// An address in a state space, or a generic one, by its window.
struct Place {
  Space space = Space::kGlobal;
  std::uint64_t address = 0;
};

Place place_of(Space space, std::uint64_t address) {
  if (space != Space::kGeneric) return {space, address};
  switch (address / kWindowBytes) {
    case kSharedWindow / kWindowBytes:
      return {Space::kShared, address - kSharedWindow};
    case kLocalWindow / kWindowBytes:
      return {Space::kLocal, address - kLocalWindow};
    case kParamWindow / kWindowBytes:
      return {Space::kParam, address};
    default:
      return {Space::kGlobal, address};
  }
}

// The nearest thing below the address in its space; else the first above.
const SharedRegion* shared_near(const Grid& grid, std::uint64_t offset) {
  const SharedRegion* near = nullptr;
  for (const SharedRegion& region : grid.shared) {
    if (near == nullptr || region.offset <= offset) near = &region;
  }
  return near;
}

Frame* local_near(const Warp& warp, std::uint64_t address) {
  Frame* near = nullptr;
  for (Frame* const frame : warp.local_frames) {
    if (near == nullptr || frame->local_base <= address) near = frame;
  }
  return near;
}

std::string describe(const Warp& warp, const Place& place) {
  const Grid& grid = *warp.grid;
  switch (place.space) {
    case Space::kShared: {
      const SharedRegion* const near = shared_near(grid, place.address);
      if (near == nullptr) return "shared memory, of which the kernel has none";
      return place_in("shared", *near->name, near->bytes,
                      static_cast<std::int64_t>(place.address - near->offset));
    }
    case Space::kLocal: {
      const Frame* const near = local_near(warp, place.address);
      if (near == nullptr) return "local memory, of which the kernel has none";
      return place_in("local", "", near->local_bytes,
                      static_cast<std::int64_t>(place.address - near->local_base));
    }
    case Space::kParam:
      return place_in("parameter", "", grid.arguments.size(),
                      static_cast<std::int64_t>(place.address - kParamWindow));
    default:
      return grid.memory->describe(place.address);
  }
}

// False: out of bounds, or `freed`.
bool find(const Warp& warp, unsigned lane, const Place& place, Target& out, bool& freed) {
  Grid& grid = *warp.grid;
  switch (place.space) {
    case Space::kShared:
      for (SharedRegion& region : grid.shared) {
        const std::uint64_t offset = place.address - region.offset;
        if (offset >= region.bytes) continue;
        out = {&region.data[offset], &region.written[offset], region.bytes - offset, false};
        return true;
      }
      return false;
    case Space::kLocal: {
      Frame* const frame = local_near(warp, place.address);
      if (frame == nullptr) return false;
      const std::uint64_t offset = place.address - frame->local_base;
      if (offset >= frame->local_bytes) return false;
      const std::uint64_t at = std::uint64_t{lane} * frame->local_bytes + offset;
      out = {&frame->local[at], &frame->local_written[at], frame->local_bytes - offset, false};
      return true;
    }
    case Space::kParam: {
      const std::uint64_t offset = place.address - kParamWindow;
      if (offset >= grid.arguments.size()) return false;
      out = {&grid.arguments[offset], nullptr, grid.arguments.size() - offset, true};
      return true;
    }
    default: {
      const Allocation* const near = grid.memory->near(place.address);
      if (near == nullptr || (place.space == Space::kConst && !near->read_only)) return false;
      const std::uint64_t offset = place.address - near->base;
      if (offset >= near->bytes) return false;
      freed = near->freed;
      if (freed) return false;
      out = {&near->data[offset], &near->written[offset], near->bytes - offset, near->read_only};
      return true;
    }
  }
}

// Of `bytes`, a power of two up to 32, a word at a time.
template <class Word>
bool all_ones(const std::uint8_t* at, unsigned bytes) {
  for (unsigned i = 0; i < bytes; i += sizeof(Word)) {
    Word word;
    std::memcpy(&word, at + i, sizeof(Word));
    if (word != static_cast<Word>(~Word{0})) return false;
  }
  return true;
}
bool all_written(const std::uint8_t* written, unsigned bytes) {
  if (bytes >= 8) return all_ones<std::uint64_t>(written, bytes);
  if (bytes == 4) return all_ones<std::uint32_t>(written, bytes);
  return bytes == 2 ? all_ones<std::uint16_t>(written, bytes) : *written != 0;
}
void set_written(std::uint8_t* written, unsigned bytes) {
  for (unsigned i = 0; i < bytes; ++i) written[i] = 0xff;
}
bool any_written(const std::uint8_t* written, unsigned bytes) {
  return std::any_of(written, written + bytes, [](std::uint8_t byte) { return byte != 0; });
}

// Local memory is the compiler's own: it moves structures along with their padding, so only an
// element of which no byte was written is none.
bool readable(const Target& target, Space space, unsigned bytes, unsigned element) {
  if (target.written == nullptr) return true;
  if (space != Space::kLocal) return all_written(target.written, bytes);
  for (unsigned at = 0; at < bytes; at += element) {
    if (!any_written(target.written + at, element)) return false;
  }
  return true;
}

RaceCheck::Kind race_kind(Intent intent, Meeting meeting) {
  if (intent == Intent::kUpdate) return RaceCheck::Kind::kStrongWrite;
  const bool strong = meeting == Meeting::kStrong;
  if (intent == Intent::kWrite) {
    return strong ? RaceCheck::Kind::kStrongWrite : RaceCheck::Kind::kWrite;
  }
  if (meeting == Meeting::kNonCoherent) return RaceCheck::Kind::kNonCoherentRead;
  return strong ? RaceCheck::Kind::kStrongRead : RaceCheck::Kind::kRead;
}

Step report_race(Warp& warp, const Op& op, unsigned lane, const Place& place, Intent intent,
                 const RaceCheck::Race& race) {
  const auto verb = [](bool write) { return std::string(write ? "writes" : "reads"); };
  const RaceCheck::Access& earlier = race.earlier;
  const std::string what = describe(warp, place);
  std::string text;
  if (race.written_in_launch) {
    text = what + " is read as constant (.nc) and this launch has written it: line " +
           std::to_string(earlier.place);
  } else {
    text = what + ": thread " + index_text(thread_index(*warp.grid, warp.thread(lane))) + " " +
           verb(intent != Intent::kRead) + " it at line " +
           std::to_string(warp.instruction(op).line) + ", thread " +
           index_text(thread_index(*warp.grid, earlier.thread)) +
           (race.other_block ? " of an earlier block " : " ") + verb(earlier.write) +
           " it at line " + std::to_string(earlier.place) + ", and nothing orders the two";
  }
  (void)warp.fail(op, FaultKind::kRace, lane, text);
  warp.fault.line2 = earlier.place;
  return Step::kFault;
}

// `bytes` is a power of two, the size of the whole access.
Step locate(Warp& warp, const Op& op, unsigned lane, std::uint64_t address, unsigned bytes,
            Intent intent, Target& out) {
  Grid& grid = *warp.grid;
  const Place place = place_of(op.space, address);
  const auto fail = [&](FaultKind kind, const std::string& what) {
    return warp.fail(op, kind, lane,
                     what + " of " + std::to_string(bytes) + " bytes: " + describe(warp, place));
  };
  const std::string_view name = intent == Intent::kRead    ? "a load"
                                : intent == Intent::kWrite ? "a store"
                                                           : "an atomic";
  if ((address & (bytes - 1)) != 0)
    return fail(FaultKind::kMisaligned, std::string(name) + " misaligned");
  bool freed = false;
  if (!find(warp, lane, place, out, freed) || out.room < bytes) {
    return freed ? fail(FaultKind::kUseAfterFree, std::string(name) + " after free")
                 : fail(FaultKind::kOutOfBounds, std::string(name) + " out of bounds");
  }
  if (intent != Intent::kRead && out.read_only) {
    return fail(FaultKind::kReadOnly, std::string(name) + " to constant memory");
  }
  if (intent != Intent::kWrite && grid.options.check_unwritten &&
      !readable(out, place.space, bytes, bytes / op.vector)) {
    return fail(FaultKind::kUnwritten, std::string(name) + " of memory never written");
  }
  if (grid.races && (place.space == Space::kShared || place.space == Space::kGlobal)) {
    const bool shared = place.space == Space::kShared;
    const auto meeting =
        intent == Intent::kUpdate ? Meeting::kStrong : static_cast<Meeting>(op.mode);
    auto race = grid.races->access(place.address + (shared ? kSharedWindow : 0), bytes, shared,
                                   race_kind(intent, meeting), warp.thread(lane),
                                   warp.instruction(op).line);
    if (race) {
      const Place there{place.space, race->address - (shared ? kSharedWindow : 0)};
      return report_race(warp, op, lane, there, intent, *race);
    }
  }
  if (intent != Intent::kRead && out.written != nullptr) set_written(out.written, bytes);
  return Step::kNext;
}

std::uint64_t address_of(const Warp& warp, const Op& op, unsigned row, unsigned lane) {
  const std::uint64_t base = (op.flags & Op::kNarrowAddress) != 0
                                 ? warp.row<const std::uint32_t>(op.row[row])[lane]
                                 : warp.row<const std::uint64_t>(op.row[row])[lane];
  return base + static_cast<std::uint64_t>(op.value);
}

// --- memory --------------------------------------------------------------------------------------

// `Memory`: what is in memory, with its sign; `Row`: the register.
template <class Memory, class Row>
Step load(Warp& warp, const Op& op, LaneMask mask) {
  const unsigned count = op.vector;
  return each_lane(warp, mask, [&](unsigned lane) {
    Target from;
    const Step step = locate(warp, op, lane, address_of(warp, op, count, lane),
                             static_cast<unsigned>(count * sizeof(Memory)), Intent::kRead, from);
    if (step != Step::kNext) return step;
    for (unsigned i = 0; i < count; ++i) {
      Memory value;
      std::memcpy(&value, from.data + i * sizeof(Memory), sizeof(Memory));
      warp.row<Row>(op.row[i])[lane] = static_cast<Row>(value);
    }
    return Step::kNext;
  });
}

template <class Memory, class Row>
Step store(Warp& warp, const Op& op, LaneMask mask) {
  const unsigned count = op.vector;
  return each_lane(warp, mask, [&](unsigned lane) {
    Target to;
    const Step step = locate(warp, op, lane, address_of(warp, op, 0, lane),
                             static_cast<unsigned>(count * sizeof(Memory)), Intent::kWrite, to);
    if (step != Step::kNext) return step;
    for (unsigned i = 0; i < count; ++i) {
      const auto value = static_cast<Memory>(warp.row<const Row>(op.row[1 + i])[lane]);
      std::memcpy(to.data + i * sizeof(Memory), &value, sizeof(Memory));
    }
    return Step::kNext;
  });
}

// --- parameters ----------------------------------------------------------------------------------

// A kernel's, at a place known beforehand: the same for all lanes.
template <class Memory, class Row>
Step load_argument(Warp& warp, const Op& op, LaneMask mask) {
  struct Same {
    static Row of(Row a) { return a; }
  };
  const std::uint8_t* const from = warp.grid->arguments.data() + op.value;
  for (unsigned i = 0; i < op.vector; ++i) {
    Memory value;
    std::memcpy(&value, from + i * sizeof(Memory), sizeof(Memory));
    Row all[kLanes];
    std::fill(all, all + kLanes, static_cast<Row>(value));
    for_lanes<Same>(warp, mask, warp.row<Row>(op.row[i]), static_cast<const Row*>(all));
  }
  return Step::kNext;
}

// A device function's, kept in rows of 32 bits that follow the registers in op.row; op.value: where
// in the first of them it begins.
template <class Memory, class Row>
Step load_words(Warp& warp, const Op& op, LaneMask mask) {
  for (unsigned i = 0; i < op.vector; ++i) {
    const unsigned at = static_cast<unsigned>(op.value) + i * static_cast<unsigned>(sizeof(Memory));
    const auto* const word = warp.row<const std::uint32_t>(op.row[op.vector + at / 4]);
    if constexpr (sizeof(Memory) == 8) {
      const auto* const high = warp.row<const std::uint32_t>(op.row[op.vector + at / 4 + 1]);
      struct Join {
        static Row of(std::uint32_t a, std::uint32_t b) {
          return static_cast<Row>(std::uint64_t{b} << 32 | a);
        }
      };
      for_lanes<Join>(warp, mask, warp.row<Row>(op.row[i]), word, high);
    } else {
      std::uint32_t shifted[kLanes];
      for (unsigned k = 0; k < kLanes; ++k) shifted[k] = word[k] >> (8 * (at % 4));
      struct Cut {
        static Row of(std::uint32_t a) { return static_cast<Row>(static_cast<Memory>(a)); }
      };
      for_lanes<Cut>(warp, mask, warp.row<Row>(op.row[i]),
                     static_cast<const std::uint32_t*>(shifted));
    }
  }
  return Step::kNext;
}

template <class Memory, class Row>
Step store_words(Warp& warp, const Op& op, LaneMask mask) {
  for (unsigned i = 0; i < op.vector; ++i) {
    const unsigned at = static_cast<unsigned>(op.value) + i * static_cast<unsigned>(sizeof(Memory));
    auto* const word = warp.row<std::uint32_t>(op.row[op.vector + at / 4]);
    const auto* const from = warp.row<const Row>(op.row[i]);
    struct Low {
      static std::uint32_t of(Row a) { return static_cast<std::uint32_t>(a); }
    };
    if constexpr (sizeof(Memory) == 8) {
      struct High {
        static std::uint32_t of(Row a) {
          return static_cast<std::uint32_t>(std::uint64_t{a} >> 32);
        }
      };
      for_lanes<High>(warp, mask, warp.row<std::uint32_t>(op.row[op.vector + at / 4 + 1]), from);
      for_lanes<Low>(warp, mask, word, from);
    } else if constexpr (sizeof(Memory) == 4) {
      for_lanes<Low>(warp, mask, word, from);
    } else {
      const unsigned shift = 8 * (at % 4);
      const std::uint32_t field = ((std::uint32_t{1} << (8 * sizeof(Memory))) - 1) << shift;
      for (unsigned k = 0; k < kLanes; ++k) {
        if ((mask >> k & 1) == 0) continue;
        word[k] = (word[k] & ~field) | (static_cast<std::uint32_t>(from[k]) << shift & field);
      }
    }
  }
  return Step::kNext;
}

// --- atomics -------------------------------------------------------------------------------------

template <class T, Atomic kOperation>
T updated(T old, T b, T c) {
  if constexpr (kOperation == Atomic::kAdd) {
    using U = std::make_unsigned_t<T>;
    return static_cast<T>(static_cast<U>(old) + static_cast<U>(b));
  }
  if constexpr (kOperation == Atomic::kMin) return std::min(old, b);
  if constexpr (kOperation == Atomic::kMax) return std::max(old, b);
  if constexpr (kOperation == Atomic::kInc) return old >= b ? 0 : old + 1;
  if constexpr (kOperation == Atomic::kDec) return old == 0 || old > b ? b : old - 1;
  if constexpr (kOperation == Atomic::kAnd) return old & b;
  if constexpr (kOperation == Atomic::kOr) return old | b;
  if constexpr (kOperation == Atomic::kXor) return old ^ b;
  if constexpr (kOperation == Atomic::kExch) return b;
  return old == b ? c : old;  // kCas
}

// Rows: d, address, b, c.
template <class T, Atomic kOperation>
Step atomic(Warp& warp, const Op& op, LaneMask mask) {
  return each_lane(warp, mask, [&](unsigned lane) {
    Target at;
    const Step step =
        locate(warp, op, lane, address_of(warp, op, 1, lane), sizeof(T), Intent::kUpdate, at);
    if (step != Step::kNext) return step;
    T old;
    std::memcpy(&old, at.data, sizeof(T));
    const T b = warp.row<const T>(op.row[2])[lane];
    const T c = kOperation == Atomic::kCas ? warp.row<const T>(op.row[3])[lane] : T{0};
    const T value = updated<T, kOperation>(old, b, c);
    std::memcpy(at.data, &value, sizeof(T));
    warp.row<T>(op.row[0])[lane] = old;
    return Step::kNext;
  });
}

template <class T>
Run bind_atomic(Atomic operation) {
  switch (operation) {
    case Atomic::kAdd:
      return &atomic<T, Atomic::kAdd>;
    case Atomic::kMin:
      return &atomic<T, Atomic::kMin>;
    case Atomic::kMax:
      return &atomic<T, Atomic::kMax>;
    case Atomic::kInc:
      return &atomic<T, Atomic::kInc>;
    case Atomic::kDec:
      return &atomic<T, Atomic::kDec>;
    case Atomic::kAnd:
      return &atomic<T, Atomic::kAnd>;
    case Atomic::kOr:
      return &atomic<T, Atomic::kOr>;
    case Atomic::kXor:
      return &atomic<T, Atomic::kXor>;
    case Atomic::kExch:
      return &atomic<T, Atomic::kExch>;
    case Atomic::kCas:
      return &atomic<T, Atomic::kCas>;
  }
  return nullptr;
}

// --- by type -------------------------------------------------------------------------------------

enum class Way : std::uint8_t { kLoad, kStore, kLoadArgument, kLoadWords, kStoreWords };

template <class Memory, class Row>
Run bind_way(Way way) {
  switch (way) {
    case Way::kLoad:
      return &load<Memory, Row>;
    case Way::kStore:
      return &store<Memory, Row>;
    case Way::kLoadArgument:
      return &load_argument<Memory, Row>;
    case Way::kLoadWords:
      return &load_words<Memory, Row>;
    case Way::kStoreWords:
      return &store_words<Memory, Row>;
  }
  return nullptr;
}

template <class Memory>
Run bind_row(Way way, unsigned register_bytes) {
  if constexpr (sizeof(Memory) <= 2) {
    if (register_bytes == 2) return bind_way<Memory, std::uint16_t>(way);
  }
  if constexpr (sizeof(Memory) <= 4) {
    if (register_bytes == 4) return bind_way<Memory, std::uint32_t>(way);
  }
  return register_bytes == 8 ? bind_way<Memory, std::uint64_t>(way) : nullptr;
}

Run bind_type(Type type, Way way, unsigned register_bytes) {
  // What is stored has no sign.
  if (way != Way::kStore && way != Way::kStoreWords) {
    if (type == Type::kS8) return bind_row<std::int8_t>(way, register_bytes);
    if (type == Type::kS16) return bind_row<std::int16_t>(way, register_bytes);
    if (type == Type::kS32) return bind_row<std::int32_t>(way, register_bytes);
  }
  switch (bytes_of(type)) {
    case 1:
      return bind_row<std::uint8_t>(way, register_bytes);
    case 2:
      return bind_row<std::uint16_t>(way, register_bytes);
    case 4:
      return bind_row<std::uint32_t>(way, register_bytes);
    default:
      return bind_row<std::uint64_t>(way, register_bytes);
  }
}

Step nothing(Warp&, const Op&, LaneMask) { return Step::kNext; }

}  // namespace

Run bind_memory(const Instruction& i, unsigned register_bytes, ParamKind param) {
  switch (i.opcode) {
    case Opcode::kLd:
      return bind_type(i.type,
                       param == ParamKind::kArgument ? Way::kLoadArgument
                       : param == ParamKind::kWords  ? Way::kLoadWords
                                                     : Way::kLoad,
                       register_bytes);
    case Opcode::kSt:
      return bind_type(i.type, param == ParamKind::kWords ? Way::kStoreWords : Way::kStore,
                       register_bytes);
    case Opcode::kAtom:
    case Opcode::kRed: {
      const auto operation = static_cast<Atomic>(i.mode);
      if (i.type == Type::kS32) return bind_atomic<std::int32_t>(operation);
      if (i.type == Type::kS64) return bind_atomic<std::int64_t>(operation);
      return bytes_of(i.type) == 4 ? bind_atomic<std::uint32_t>(operation)
                                   : bind_atomic<std::uint64_t>(operation);
    }
    case Opcode::kPrefetch:
    case Opcode::kFence:
    case Opcode::kNanosleep:
      return &nothing;
    default:
      return nullptr;
  }
}

}  // namespace colophon::gpu_emulator
