// SPDX-License-Identifier: Apache-2.0
//
// Moves, conversions and addresses. Meanings: PTX ISA, "Data Movement and Conversion Instructions"
// and "Special Registers".
#include <algorithm>
#include <limits>
#include <type_traits>

#include "tests/gpu_emulator/lane_loop.h"

namespace colophon::gpu_emulator {
namespace {

struct Same {
  template <class T>
  static T of(T a) {
    return a;
  }
};

Step mov_predicate(Warp& warp, const Op& op, LaneMask mask) {
  set_predicate(warp, op.row[0], mask, *warp.row<LaneMask>(op.row[1]));
  return Step::kNext;
}

template <class Whole, class Part>
struct Pack2 {
  static Whole of(Part low, Part high) {
    return static_cast<Whole>(Whole{high} << (8 * sizeof(Part)) | low);
  }
};
struct Pack4 {
  static std::uint64_t of(std::uint16_t a, std::uint16_t b, std::uint16_t c, std::uint16_t d) {
    return std::uint64_t{d} << 48 | std::uint64_t{c} << 32 | std::uint64_t{b} << 16 | a;
  }
};
template <class Whole, class Part, unsigned kAt>
struct PartOf {
  static Part of(Whole whole) { return static_cast<Part>(whole >> (8 * sizeof(Part) * kAt)); }
};

// A destination may be the source's register only where both are read first: they never are, the
// widths differ.
template <class Whole, class Part, unsigned kCount>
Step unpack(Warp& warp, const Op& op, LaneMask mask) {
  const Whole* const whole = warp.row<const Whole>(op.row[kCount]);
  for_lanes<PartOf<Whole, Part, 0>>(warp, mask, warp.row<Part>(op.row[0]), whole);
  for_lanes<PartOf<Whole, Part, 1>>(warp, mask, warp.row<Part>(op.row[1]), whole);
  if constexpr (kCount == 4) {
    for_lanes<PartOf<Whole, Part, 2>>(warp, mask, warp.row<Part>(op.row[2]), whole);
    for_lanes<PartOf<Whole, Part, 3>>(warp, mask, warp.row<Part>(op.row[3]), whole);
  }
  return Step::kNext;
}

// --- special registers ---------------------------------------------------------------------------

Step mov_special(Warp& warp, const Op& op, LaneMask mask) {
  const Grid& grid = *warp.grid;
  const Dim3& block = grid.shape.block;
  std::uint32_t value[kLanes];
  const auto all = [&value](std::uint32_t same) { std::fill(value, value + kLanes, same); };
  const auto each = [&](auto of_lane) {
    for (unsigned lane = 0; lane < kLanes; ++lane) value[lane] = of_lane(lane);
  };
  const auto bit = [](unsigned lane) { return std::uint32_t{1} << lane; };
  switch (static_cast<Special>(op.mode)) {
    case Special::kTidX:
      each([&](unsigned lane) { return warp.thread(lane) % block.x; });
      break;
    case Special::kTidY:
      each([&](unsigned lane) { return warp.thread(lane) / block.x % block.y; });
      break;
    case Special::kTidZ:
      each([&](unsigned lane) { return warp.thread(lane) / block.x / block.y; });
      break;
    case Special::kNtidX:
      all(block.x);
      break;
    case Special::kNtidY:
      all(block.y);
      break;
    case Special::kNtidZ:
      all(block.z);
      break;
    case Special::kCtaidX:
      all(grid.block.x);
      break;
    case Special::kCtaidY:
      all(grid.block.y);
      break;
    case Special::kCtaidZ:
      all(grid.block.z);
      break;
    case Special::kNctaidX:
      all(grid.shape.grid.x);
      break;
    case Special::kNctaidY:
      all(grid.shape.grid.y);
      break;
    case Special::kNctaidZ:
      all(grid.shape.grid.z);
      break;
    case Special::kLaneid:
      each([](unsigned lane) { return lane; });
      break;
    case Special::kWarpid:
      all(warp.index);
      break;
    case Special::kNwarpid:
      all((grid.threads + kLanes - 1) / kLanes);
      break;
    case Special::kLanemaskEq:
      each(bit);
      break;
    case Special::kLanemaskLe:
      each([&](unsigned lane) { return bit(lane) | (bit(lane) - 1); });
      break;
    case Special::kLanemaskLt:
      each([&](unsigned lane) { return bit(lane) - 1; });
      break;
    case Special::kLanemaskGe:
      each([&](unsigned lane) { return ~(bit(lane) - 1); });
      break;
    case Special::kLanemaskGt:
      each([&](unsigned lane) { return ~(bit(lane) | (bit(lane) - 1)); });
      break;
    case Special::kDynamicSmemSize:
      all(grid.shape.dynamic_shared_bytes);
      break;
    case Special::kClock64: {
      std::uint64_t clock[kLanes];
      std::fill(clock, clock + kLanes, grid.warp_instructions);
      for_lanes<Same>(warp, mask, warp.row<std::uint64_t>(op.row[0]),
                      static_cast<const std::uint64_t*>(clock));
      return Step::kNext;
    }
    case Special::kCount:
      break;
  }
  for_lanes<Same>(warp, mask, warp.row<std::uint32_t>(op.row[0]),
                  static_cast<const std::uint32_t*>(value));
  return Step::kNext;
}

// --- cvt -----------------------------------------------------------------------------------------

// Through 64 bits: a source register's low bits as `From`, then as `To`, then to the width of the
// destination's register, by the sign of `To`.
template <class From, class Row>
void widen(const Row* source, std::int64_t (&out)[kLanes]) {
  for (unsigned i = 0; i < kLanes; ++i) {
    out[i] = static_cast<std::int64_t>(static_cast<From>(source[i]));
  }
}

template <class To, class Row>
void narrow(Warp& warp, LaneMask mask, Row* d, const std::int64_t (&value)[kLanes]) {
  struct Narrow {
    static Row of(std::int64_t a) { return static_cast<Row>(static_cast<To>(a)); }
  };
  for_lanes<Narrow>(warp, mask, d, static_cast<const std::int64_t*>(value));
}

// `from_signed`: whether the 64 bits are a signed number.
template <class To>
void clamp_to(std::int64_t (&value)[kLanes], bool from_signed) {
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<To>::max());
  constexpr auto kLeast = static_cast<std::int64_t>(std::numeric_limits<To>::min());
  for (std::int64_t& v : value) {
    if (from_signed && v < 0) {
      v = std::max(v, kLeast);
    } else {
      v = static_cast<std::int64_t>(std::min(static_cast<std::uint64_t>(v), kMost));
    }
  }
}

// op.mode: destination's type and, in its upper half, the source's. op.vector: saturate.
template <class D, class S>
Step cvt(Warp& warp, const Op& op, LaneMask mask) {
  const auto to = static_cast<Type>(op.mode & 15);
  const auto from = static_cast<Type>(op.mode >> 4);
  const S* const source = warp.row<const S>(op.row[1]);
  D* const d = warp.row<D>(op.row[0]);
  std::int64_t value[kLanes];
  const auto with = [](Type type, auto&& act) {
    switch (type) {
      case Type::kU8:
        return act(std::uint8_t{});
      case Type::kS8:
        return act(std::int8_t{});
      case Type::kU16:
        return act(std::uint16_t{});
      case Type::kS16:
        return act(std::int16_t{});
      case Type::kU32:
        return act(std::uint32_t{});
      case Type::kS32:
        return act(std::int32_t{});
      case Type::kU64:
        return act(std::uint64_t{});
      default:
        return act(std::int64_t{});
    }
  };
  with(from, [&](auto type) { widen<decltype(type)>(source, value); });
  if (op.vector != 0) {
    with(to, [&](auto type) { clamp_to<decltype(type)>(value, is_signed(from)); });
  }
  with(to, [&](auto type) { narrow<decltype(type)>(warp, mask, d, value); });
  return Step::kNext;
}

template <class D>
Run bind_cvt(unsigned from_bytes) {
  if (from_bytes == 2) return &cvt<D, std::uint16_t>;
  if (from_bytes == 4) return &cvt<D, std::uint32_t>;
  return &cvt<D, std::uint64_t>;
}

// Between whole registers, where no sign has to be looked for: rows only.
template <class D, class S>
struct Cast {
  static D of(S a) { return static_cast<D>(a); }
};

Run bind_cvt(const Instruction& i, unsigned to_bytes, unsigned from_bytes) {
  if (!i.saturate && to_bytes == bytes_of(i.type) && from_bytes == bytes_of(i.source_type)) {
    using U16 = std::uint16_t;
    using U32 = std::uint32_t;
    using U64 = std::uint64_t;
    if (to_bytes == 4 && from_bytes == 8) return &elementwise<Cast<U32, U64>, U32, U64>;
    if (to_bytes == 2 && from_bytes == 4) return &elementwise<Cast<U16, U32>, U16, U32>;
    if (to_bytes == 8 && from_bytes == 4) {
      return is_signed(i.source_type) ? &elementwise<Cast<U64, std::int32_t>, U64, std::int32_t>
                                      : &elementwise<Cast<U64, U32>, U64, U32>;
    }
  }
  if (to_bytes == 2) return bind_cvt<std::uint16_t>(from_bytes);
  return to_bytes == 4 ? bind_cvt<std::uint32_t>(from_bytes) : bind_cvt<std::uint64_t>(from_bytes);
}

// --- addresses -----------------------------------------------------------------------------------

// Global, constant and parameter addresses are generic ones.
constexpr DevicePointer window_of(Space space) {
  return space == Space::kShared ? kSharedWindow : space == Space::kLocal ? kLocalWindow : 0;
}
template <Space kSpace, bool kTo>
struct Convert {
  static std::uint64_t of(std::uint64_t a) {
    return kTo ? a - window_of(kSpace) : a + window_of(kSpace);
  }
};

Run bind_cvta(const Instruction& i) {
  using A = std::uint64_t;
  switch (i.space) {
    case Space::kShared:
      return i.uniform ? &elementwise<Convert<Space::kShared, true>, A, A>
                       : &elementwise<Convert<Space::kShared, false>, A, A>;
    case Space::kLocal:
      return i.uniform ? &elementwise<Convert<Space::kLocal, true>, A, A>
                       : &elementwise<Convert<Space::kLocal, false>, A, A>;
    default:
      return &elementwise<Same, A, A>;
  }
}

Step isspacep(Warp& warp, const Op& op, LaneMask mask) {
  const std::uint64_t* const a = warp.row<const std::uint64_t>(op.row[1]);
  LaneMask is = 0;
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    const Allocation* const near = warp.grid->memory->near(a[lane]);
    bool in = false;
    switch (op.space) {
      case Space::kShared:
        in = a[lane] - kSharedWindow < kWindowBytes;
        break;
      case Space::kLocal:
        in = a[lane] - kLocalWindow < kWindowBytes;
        break;
      case Space::kParam:
        in = a[lane] - kParamWindow < kWindowBytes;
        break;
      case Space::kConst:
        in = near != nullptr && near->read_only;
        break;
      default:
        in = a[lane] - kGlobalWindow < kSharedWindow - kGlobalWindow;
        break;
    }
    is |= LaneMask{in} << lane;
  }
  set_predicate(warp, op.row[0], mask, is);
  return Step::kNext;
}

}  // namespace

Run bind_move(const Instruction& i, unsigned to_bytes, unsigned from_bytes) {
  using U16 = std::uint16_t;
  using U32 = std::uint32_t;
  using U64 = std::uint64_t;
  switch (i.opcode) {
    case Opcode::kMov:
      if (to_bytes == 0) return &mov_predicate;
      if (to_bytes == 2) return &elementwise<Same, U16, U16>;
      return to_bytes == 4 ? &elementwise<Same, U32, U32> : &elementwise<Same, U64, U64>;
    case Opcode::kMovSpecial:
      return &mov_special;
    case Opcode::kPack:
      if (i.vector == 4) return &elementwise<Pack4, U64, U16, U16, U16, U16>;
      return to_bytes == 4 ? &elementwise<Pack2<U32, U16>, U32, U16, U16>
                           : &elementwise<Pack2<U64, U32>, U64, U32, U32>;
    case Opcode::kUnpack:
      if (i.vector == 4) return &unpack<U64, U16, 4>;
      return bytes_of(i.type) == 4 ? &unpack<U32, U16, 2> : &unpack<U64, U32, 2>;
    case Opcode::kCvt:
      return bind_cvt(i, to_bytes, from_bytes);
    case Opcode::kCvta:
      return bind_cvta(i);
    case Opcode::kIsspacep:
      return &isspacep;
    default:
      return nullptr;
  }
}

}  // namespace colophon::gpu_emulator
