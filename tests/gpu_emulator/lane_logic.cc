// SPDX-License-Identifier: Apache-2.0
//
// Bits, shifts, comparisons and choice. Meanings: PTX ISA, "Integer Arithmetic Instructions" (from
// popc on), "Logic and Shift Instructions", "Comparison and Selection Instructions".
#include <algorithm>
#include <bit>
#include <type_traits>

#include "tests/gpu_emulator/lane_loop.h"

namespace colophon::gpu_emulator {
namespace {

template <class T>
using Unsigned = std::make_unsigned_t<T>;
template <class T>
constexpr unsigned kWidth = 8 * sizeof(T);

struct And {
  template <class T>
  static T of(T a, T b) {
    return static_cast<T>(a & b);
  }
};
struct Or {
  template <class T>
  static T of(T a, T b) {
    return static_cast<T>(a | b);
  }
};
struct Xor {
  template <class T>
  static T of(T a, T b) {
    return static_cast<T>(a ^ b);
  }
};
struct Not {
  template <class T>
  static T of(T a) {
    return static_cast<T>(~a);
  }
};
struct Cnot {
  template <class T>
  static T of(T a) {
    return a == 0 ? T{1} : T{0};
  }
};
struct Shl {
  template <class T>
  static T of(T a, std::uint32_t b) {
    return b >= kWidth<T> ? T{0} : static_cast<T>(a << b);
  }
};
struct Shr {
  template <class T>
  static T of(T a, std::uint32_t b) {
    if constexpr (std::is_signed_v<T>) return static_cast<T>(a >> std::min(b, kWidth<T> - 1));
    return b >= kWidth<T> ? T{0} : static_cast<T>(a >> b);
  }
};
struct Popc {
  template <class T>
  static std::uint32_t of(T a) {
    return static_cast<std::uint32_t>(std::popcount(a));
  }
};
struct Clz {
  template <class T>
  static std::uint32_t of(T a) {
    return static_cast<std::uint32_t>(std::countl_zero(a));
  }
};
// The highest bit that is not the sign.
template <bool kShift>
struct Bfind {
  template <class T>
  static std::uint32_t of(T a) {
    const auto u = static_cast<Unsigned<T>>(std::is_signed_v<T> && a < 0 ? ~a : a);
    if (u == 0) return UINT32_MAX;
    const auto zeros = static_cast<std::uint32_t>(std::countl_zero(u));
    return kShift ? zeros : kWidth<T> - 1 - zeros;
  }
};
struct Brev {
  template <class T>
  static T of(T a) {
    T out = 0;
    for (unsigned i = 0; i < kWidth<T>; ++i) out |= (a >> i & 1) << (kWidth<T> - 1 - i);
    return out;
  }
};
struct Bfe {
  template <class T>
  static T of(T a, std::uint32_t b, std::uint32_t c) {
    const std::uint32_t position = b & 0xff;
    const std::uint32_t length = c & 0xff;
    if (length == 0) return 0;
    // Past the top a signed field goes on with its sign, which is at the top at the latest.
    const std::uint32_t top = std::min(position + length - 1, kWidth<T> - 1);
    const bool sign = std::is_signed_v<T> && (a >> top & 1) != 0;
    Unsigned<T> out = position < kWidth<T> ? static_cast<Unsigned<T>>(a) >> position : 0;
    const std::uint32_t kept = position < kWidth<T> ? std::min(length, kWidth<T> - position) : 0;
    if (kept < kWidth<T>) {
      const Unsigned<T> mask = (Unsigned<T>{1} << kept) - 1;
      out = sign ? out | ~mask : out & mask;
    }
    return static_cast<T>(out);
  }
};
struct Bfi {
  template <class T>
  static T of(T a, T b, std::uint32_t c, std::uint32_t d) {
    const std::uint32_t position = c & 0xff;
    const std::uint32_t length = d & 0xff;
    if (length == 0 || position >= kWidth<T>) return b;
    const T field = length >= kWidth<T> ? ~T{0} : (T{1} << length) - 1;
    const T mask = static_cast<T>(field << position);
    return static_cast<T>((b & ~mask) | ((a << position) & mask));
  }
};
struct Slct {
  template <class T>
  static T of(T a, T b, std::int32_t c) {
    return c >= 0 ? a : b;
  }
};

template <Funnel kMode>
struct Shf {
  static std::uint32_t of(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
    constexpr bool kLeft = kMode == Funnel::kLeftClamp || kMode == Funnel::kLeftWrap;
    constexpr bool kClamp = kMode == Funnel::kLeftClamp || kMode == Funnel::kRightClamp;
    const std::uint32_t n = kClamp ? std::min(c, 32U) : c & 31;
    const std::uint64_t both = std::uint64_t{b} << 32 | a;
    return static_cast<std::uint32_t>(kLeft ? both >> (32 - n) : both >> n);
  }
};

// Eight bytes {b, a}; a selector of 4 bits takes one, or its sign repeated.
std::uint32_t permuted(std::uint64_t bytes, unsigned selector) {
  const auto byte = static_cast<std::uint32_t>(bytes >> (8 * (selector & 7))) & 0xff;
  return (selector & 8) == 0 ? byte : (byte & 0x80) != 0 ? 0xff : 0;
}
// Which bytes the special modes take for each value of c, the lowest first.
constexpr std::uint8_t kPermutes[6][4][4] = {
    {{0, 1, 2, 3}, {1, 2, 3, 4}, {2, 3, 4, 5}, {3, 4, 5, 6}},  // f4e
    {{0, 7, 6, 5}, {1, 0, 7, 6}, {2, 1, 0, 7}, {3, 2, 1, 0}},  // b4e
    {{0, 0, 0, 0}, {1, 1, 1, 1}, {2, 2, 2, 2}, {3, 3, 3, 3}},  // rc8
    {{0, 1, 2, 3}, {1, 1, 2, 3}, {2, 2, 2, 3}, {3, 3, 3, 3}},  // ecl
    {{0, 0, 0, 0}, {0, 1, 1, 1}, {0, 1, 2, 2}, {0, 1, 2, 3}},  // ecr
    {{0, 1, 0, 1}, {2, 3, 2, 3}, {0, 1, 0, 1}, {2, 3, 2, 3}},  // rc16
};
template <Permute kMode>
struct Prmt {
  static std::uint32_t of(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
    const std::uint64_t bytes = std::uint64_t{b} << 32 | a;
    std::uint32_t out = 0;
    for (unsigned i = 0; i < 4; ++i) {
      unsigned selector = c >> (4 * i) & 15;
      if constexpr (kMode != Permute::kIndex) {
        selector = kPermutes[static_cast<unsigned>(kMode) - 1][c & 3][i];
      }
      out |= permuted(bytes, selector) << (8 * i);
    }
    return out;
  }
};

// --- with more than rows -------------------------------------------------------------------------

// Bit 4a + 2b + c of the table, for each bit of a, b, c.
Step lop3(Warp& warp, const Op& op, LaneMask mask) {
  std::uint32_t table[8];
  for (unsigned i = 0; i < 8; ++i) table[i] = (op.mode >> i & 1) != 0 ? UINT32_MAX : 0;
  std::uint32_t* const d = warp.row<std::uint32_t>(op.row[0]);
  const auto* const a = warp.row<const std::uint32_t>(op.row[1]);
  const auto* const b = warp.row<const std::uint32_t>(op.row[2]);
  const auto* const c = warp.row<const std::uint32_t>(op.row[3]);
  const std::uint32_t* const on = warp.on<std::uint32_t>(mask);
  COLOPHON_LANE_LOOP
  for (unsigned i = 0; i < kLanes; ++i) {
    const auto choose = [](std::uint32_t bit, std::uint32_t zero, std::uint32_t one) {
      return (zero & ~bit) | (one & bit);
    };
    const std::uint32_t low =
        choose(b[i], choose(c[i], table[0], table[1]), choose(c[i], table[2], table[3]));
    const std::uint32_t high =
        choose(b[i], choose(c[i], table[4], table[5]), choose(c[i], table[6], table[7]));
    d[i] = choose(on[i], d[i], choose(a[i], low, high));
  }
  return Step::kNext;
}

template <class T>
Step selp(Warp& warp, const Op& op, LaneMask mask) {
  const LaneMask chosen = predicate(warp, op.row[3], (op.flags & Op::kSourceNegated) != 0);
  T* const d = warp.row<T>(op.row[0]);
  const T* const a = warp.row<const T>(op.row[1]);
  const T* const b = warp.row<const T>(op.row[2]);
  T first[kLanes];
  std::memcpy(first, warp.on<T>(mask & chosen), sizeof(first));
  const T* const on = warp.on<T>(mask);
  COLOPHON_LANE_LOOP
  for (unsigned i = 0; i < kLanes; ++i) {
    d[i] = static_cast<T>((a[i] & first[i]) | (b[i] & (on[i] & ~first[i])) | (d[i] & ~on[i]));
  }
  return Step::kNext;
}

template <class F>
Step logic_of_predicates(Warp& warp, const Op& op, LaneMask mask) {
  const LaneMask a = *warp.row<LaneMask>(op.row[1]);
  LaneMask value = 0;
  if constexpr (std::is_same_v<F, Not>) {
    value = ~a;
  } else {
    // 'q' sources may be negated only where the ISA says so: not here.
    value = F::of(a, *warp.row<LaneMask>(op.row[2]));
  }
  set_predicate(warp, op.row[0], mask, value);
  return Step::kNext;
}

template <class T, Comparison kHow>
LaneMask compare(const T* a, const T* b) {
  std::uint8_t value[kLanes];
  for (unsigned i = 0; i < kLanes; ++i) {
    bool is = false;
    if constexpr (kHow == Comparison::kEq) is = a[i] == b[i];
    if constexpr (kHow == Comparison::kNe) is = a[i] != b[i];
    if constexpr (kHow == Comparison::kLt) is = a[i] < b[i];
    if constexpr (kHow == Comparison::kLe) is = a[i] <= b[i];
    if constexpr (kHow == Comparison::kGt) is = a[i] > b[i];
    if constexpr (kHow == Comparison::kGe) is = a[i] >= b[i];
    value[i] = is ? 1 : 0;
  }
  return pack_bits(value);
}

// Rows: p, q, a, b, and the predicate to combine with. `mode`: how.
template <class T, Comparison kHow>
Step setp(Warp& warp, const Op& op, LaneMask mask) {
  const LaneMask is = compare<T, kHow>(warp.row<const T>(op.row[2]), warp.row<const T>(op.row[3]));
  LaneMask p = is;
  LaneMask q = ~is;
  const auto how = static_cast<Combine>(op.mode);
  if (how != Combine::kNone) {
    const LaneMask with = predicate(warp, op.row[4], (op.flags & Op::kSourceNegated) != 0);
    p = how == Combine::kAnd ? is & with : how == Combine::kOr ? is | with : is ^ with;
    q = how == Combine::kAnd ? ~is & with : how == Combine::kOr ? ~is | with : ~is ^ with;
  }
  set_predicate(warp, op.row[1], mask, q);
  set_predicate(warp, op.row[0], mask, p);
  return Step::kNext;
}

// Rows: d, a, b, the predicate. All ones or 0.
template <class T, Comparison kHow>
Step set(Warp& warp, const Op& op, LaneMask mask) {
  LaneMask is = compare<T, kHow>(warp.row<const T>(op.row[1]), warp.row<const T>(op.row[2]));
  const auto how = static_cast<Combine>(op.mode);
  if (how != Combine::kNone) {
    const LaneMask with = predicate(warp, op.row[3], (op.flags & Op::kSourceNegated) != 0);
    is = how == Combine::kAnd ? is & with : how == Combine::kOr ? is | with : is ^ with;
  }
  std::uint32_t* const d = warp.row<std::uint32_t>(op.row[0]);
  for (unsigned i = 0; i < kLanes; ++i) {
    if ((mask >> i & 1) != 0) d[i] = (is >> i & 1) != 0 ? UINT32_MAX : 0;
  }
  return Step::kNext;
}

template <class T>
Run bind_comparison(const Instruction& i) {
  const bool p = i.opcode == Opcode::kSetp;
  switch (static_cast<Comparison>(i.mode)) {
    case Comparison::kEq:
      return p ? &setp<T, Comparison::kEq> : &set<T, Comparison::kEq>;
    case Comparison::kNe:
      return p ? &setp<T, Comparison::kNe> : &set<T, Comparison::kNe>;
    case Comparison::kLt:
      return p ? &setp<T, Comparison::kLt> : &set<T, Comparison::kLt>;
    case Comparison::kLe:
      return p ? &setp<T, Comparison::kLe> : &set<T, Comparison::kLe>;
    case Comparison::kGt:
      return p ? &setp<T, Comparison::kGt> : &set<T, Comparison::kGt>;
    case Comparison::kGe:
      return p ? &setp<T, Comparison::kGe> : &set<T, Comparison::kGe>;
  }
  return nullptr;
}

template <class T>
Run bind_bits(const Instruction& i) {
  using W = std::uint32_t;
  if constexpr (sizeof(T) >= 4) {
    switch (i.opcode) {
      case Opcode::kPopc:
        return &elementwise<Popc, W, Unsigned<T>>;
      case Opcode::kClz:
        return &elementwise<Clz, W, Unsigned<T>>;
      case Opcode::kBfind:
        return &elementwise<Bfind<false>, W, T>;
      case Opcode::kBfindShift:
        return &elementwise<Bfind<true>, W, T>;
      case Opcode::kBrev:
        return &elementwise<Brev, Unsigned<T>, Unsigned<T>>;
      case Opcode::kBfe:
        return &elementwise<Bfe, T, T, W, W>;
      case Opcode::kBfi:
        return &elementwise<Bfi, Unsigned<T>, Unsigned<T>, Unsigned<T>, W, W>;
      default:
        break;
    }
  }
  switch (i.opcode) {
    case Opcode::kAnd:
      return &elementwise<And, T, T, T>;
    case Opcode::kOr:
      return &elementwise<Or, T, T, T>;
    case Opcode::kXor:
      return &elementwise<Xor, T, T, T>;
    case Opcode::kNot:
      return &elementwise<Not, T, T>;
    case Opcode::kCnot:
      return &elementwise<Cnot, T, T>;
    case Opcode::kShl:
      return &elementwise<Shl, T, T, W>;
    case Opcode::kShr:
      return &elementwise<Shr, T, T, W>;
    case Opcode::kSelp:
      return &selp<T>;
    case Opcode::kSlct:
      return &elementwise<Slct, T, T, T, std::int32_t>;
    default:
      return nullptr;
  }
}

Run bind_predicates(Opcode opcode) {
  switch (opcode) {
    case Opcode::kAnd:
      return &logic_of_predicates<And>;
    case Opcode::kOr:
      return &logic_of_predicates<Or>;
    case Opcode::kXor:
      return &logic_of_predicates<Xor>;
    case Opcode::kNot:
      return &logic_of_predicates<Not>;
    default:
      return nullptr;
  }
}

template <template <Funnel> class F>
Run bind_funnel(Funnel mode) {
  using W = std::uint32_t;
  switch (mode) {
    case Funnel::kLeftClamp:
      return &elementwise<F<Funnel::kLeftClamp>, W, W, W, W>;
    case Funnel::kLeftWrap:
      return &elementwise<F<Funnel::kLeftWrap>, W, W, W, W>;
    case Funnel::kRightClamp:
      return &elementwise<F<Funnel::kRightClamp>, W, W, W, W>;
    case Funnel::kRightWrap:
      return &elementwise<F<Funnel::kRightWrap>, W, W, W, W>;
  }
  return nullptr;
}

Run bind_permute(Permute mode) {
  using W = std::uint32_t;
  switch (mode) {
    case Permute::kIndex:
      return &elementwise<Prmt<Permute::kIndex>, W, W, W, W>;
    case Permute::kF4e:
      return &elementwise<Prmt<Permute::kF4e>, W, W, W, W>;
    case Permute::kB4e:
      return &elementwise<Prmt<Permute::kB4e>, W, W, W, W>;
    case Permute::kRc8:
      return &elementwise<Prmt<Permute::kRc8>, W, W, W, W>;
    case Permute::kEcl:
      return &elementwise<Prmt<Permute::kEcl>, W, W, W, W>;
    case Permute::kEcr:
      return &elementwise<Prmt<Permute::kEcr>, W, W, W, W>;
    case Permute::kRc16:
      return &elementwise<Prmt<Permute::kRc16>, W, W, W, W>;
  }
  return nullptr;
}

}  // namespace

Run bind_logic(const Instruction& i) {
  if (i.opcode < Opcode::kPopc || i.opcode > Opcode::kSetp) return nullptr;
  if (i.opcode == Opcode::kLop3) return &lop3;
  if (i.opcode == Opcode::kShf) return bind_funnel<Shf>(static_cast<Funnel>(i.mode));
  if (i.opcode == Opcode::kPrmt) return bind_permute(static_cast<Permute>(i.mode));
  const bool compares = i.opcode == Opcode::kSetp || i.opcode == Opcode::kSet;
  const Type type = compares ? i.source_type : i.type;
  if (type == Type::kPred) return bind_predicates(i.opcode);
  switch (type) {
    case Type::kS16:
      return compares ? bind_comparison<std::int16_t>(i) : bind_bits<std::int16_t>(i);
    case Type::kS32:
      return compares ? bind_comparison<std::int32_t>(i) : bind_bits<std::int32_t>(i);
    case Type::kS64:
      return compares ? bind_comparison<std::int64_t>(i) : bind_bits<std::int64_t>(i);
    default:
      break;
  }
  switch (bytes_of(type)) {
    case 2:
      return compares ? bind_comparison<std::uint16_t>(i) : bind_bits<std::uint16_t>(i);
    case 4:
      return compares ? bind_comparison<std::uint32_t>(i) : bind_bits<std::uint32_t>(i);
    case 8:
      return compares ? bind_comparison<std::uint64_t>(i) : bind_bits<std::uint64_t>(i);
    default:
      return nullptr;
  }
}

}  // namespace colophon::gpu_emulator
