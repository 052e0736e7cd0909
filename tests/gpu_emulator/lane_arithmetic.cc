// SPDX-License-Identifier: Apache-2.0
//
// Addition, multiplication, carries, division. Meanings: PTX ISA, "Integer Arithmetic Instructions"
// and "Extended-Precision Integer Arithmetic Instructions".
#include <algorithm>
#include <limits>
#include <type_traits>

#include "tests/gpu_emulator/lane_loop.h"

namespace colophon::gpu_emulator {
namespace {

template <class T>
using Unsigned = std::make_unsigned_t<T>;
// Unsigned, and not promoted to int.
template <class T>
using Plain = std::conditional_t<sizeof(T) < 4, std::uint32_t, Unsigned<T>>;

__extension__ typedef __int128 Int128;
__extension__ typedef unsigned __int128 Uint128;

template <class T>
struct Twice;
template <>
struct Twice<std::uint16_t> {
  using Type = std::uint32_t;
};
template <>
struct Twice<std::int16_t> {
  using Type = std::int32_t;
};
template <>
struct Twice<std::uint32_t> {
  using Type = std::uint64_t;
};
template <>
struct Twice<std::int32_t> {
  using Type = std::int64_t;
};
template <>
struct Twice<std::uint64_t> {
  using Type = Uint128;
};
template <>
struct Twice<std::int64_t> {
  using Type = Int128;
};

// Products of 16-bit numbers fit twice that; as int they would be promoted, so both go to Twice.
template <class T>
constexpr auto wide_product(T a, T b) {
  using W = typename Twice<T>::Type;
  return static_cast<W>(static_cast<W>(a) * static_cast<W>(b));
}

template <class T>
struct Low {
  static T of(T a, T b) { return static_cast<T>(Plain<T>(a) * Plain<T>(b)); }
};
template <class T>
struct High {
  static T of(T a, T b) { return static_cast<T>(wide_product(a, b) >> (8 * sizeof(T))); }
};
template <class T>
struct Wide {
  static typename Twice<T>::Type of(T a, T b) { return wide_product(a, b); }
};
template <class T>
struct Add {
  static T of(T a, T b) { return static_cast<T>(Plain<T>(a) + Plain<T>(b)); }
};
template <class T>
struct Sub {
  static T of(T a, T b) { return static_cast<T>(Plain<T>(a) - Plain<T>(b)); }
};
template <template <class> class F>
struct Saturated {
  static std::int32_t of(std::int32_t a, std::int32_t b) {
    const std::int64_t exact = F<std::int64_t>::of(a, b);
    return static_cast<std::int32_t>(std::clamp<std::int64_t>(
        exact, std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()));
  }
};
template <class T, template <class> class Product>
struct Mad {
  using D = decltype(Product<T>::of(T{}, T{}));
  static D of(T a, T b, D c) { return Add<D>::of(Product<T>::of(a, b), c); }
};
template <class T>
struct Sad {
  static T of(T a, T b, T c) { return Add<T>::of(c, a < b ? Sub<T>::of(b, a) : Sub<T>::of(a, b)); }
};
template <class T>
struct Abs {
  static T of(T a) { return a < 0 ? Sub<T>::of(0, a) : a; }
};
template <class T>
struct Neg {
  static T of(T a) { return Sub<T>::of(0, a); }
};
template <class T>
struct Min {
  static T of(T a, T b) { return a < b ? a : b; }
};
template <class T>
struct Max {
  static T of(T a, T b) { return a > b ? a : b; }
};

// --- carries -------------------------------------------------------------------------------------

// Sums of two operands, each with its carry out.
template <class T>
struct AddCarry {
  static T of(T a, T b, T in, T& out) {
    const T sum = static_cast<T>(a + b);
    const T all = static_cast<T>(sum + in);
    out = static_cast<T>((sum < a) | (all < sum));
    return all;
  }
};
// The carry flag is the borrow.
template <class T>
struct SubCarry {
  static T of(T a, T b, T in, T& out) {
    const T difference = static_cast<T>(a - b);
    out = static_cast<T>((a < b) | (difference < in));
    return static_cast<T>(difference - in);
  }
};

// d = F(left, right) with carries, where `left` is a or the product of a and b.
template <class T, class F, bool kIn, bool kOut, class Left, class... S>
Step with_carry(Warp& warp, const Op& op, LaneMask mask, Left left, const T* right, const S*... s) {
  T* const d = warp.row<T>(op.row[0]);
  std::uint32_t* const flag = warp.carry;
  if (warp.covers(mask)) {
    COLOPHON_LANE_LOOP
    for (unsigned i = 0; i < kLanes; ++i) {
      T out = 0;
      d[i] = F::of(left(s[i]...), right[i], kIn ? static_cast<T>(flag[i]) : T{0}, out);
      if constexpr (kOut) flag[i] = static_cast<std::uint32_t>(out);
    }
    return Step::kNext;
  }
  const T* const on = warp.on<T>(mask);
  const std::uint32_t* const on32 = warp.on<std::uint32_t>(mask);
  COLOPHON_LANE_LOOP
  for (unsigned i = 0; i < kLanes; ++i) {
    T out = 0;
    const T value = F::of(left(s[i]...), right[i], kIn ? static_cast<T>(flag[i]) : T{0}, out);
    d[i] = static_cast<T>((value & on[i]) | (d[i] & ~on[i]));
    if constexpr (kOut) {
      flag[i] = (static_cast<std::uint32_t>(out) & on32[i]) | (flag[i] & ~on32[i]);
    }
  }
  return Step::kNext;
}

template <class T, class F, bool kIn, bool kOut>
Step carry_two(Warp& warp, const Op& op, LaneMask mask) {
  return with_carry<T, F, kIn, kOut>(
      warp, op, mask, [](T a) { return a; }, warp.row<const T>(op.row[2]),
      warp.row<const T>(op.row[1]));
}
// S: the type the product is of, signed or not.
template <class S, class Product, bool kIn, bool kOut>
Step carry_mad(Warp& warp, const Op& op, LaneMask mask) {
  using T = Unsigned<S>;
  return with_carry<T, AddCarry<T>, kIn, kOut>(
      warp, op, mask, [](S a, S b) { return static_cast<T>(Product::of(a, b)); },
      warp.row<const T>(op.row[3]), warp.row<const S>(op.row[1]), warp.row<const S>(op.row[2]));
}

template <class T, class F>
Run bind_carry_two(const Instruction& i) {
  if (!i.carry_in) return &carry_two<T, F, false, true>;
  return i.carry_out ? &carry_two<T, F, true, true> : &carry_two<T, F, true, false>;
}
template <class S, class Product>
Run bind_carry_mad(const Instruction& i) {
  if (!i.carry_in) return &carry_mad<S, Product, false, true>;
  return i.carry_out ? &carry_mad<S, Product, true, true> : &carry_mad<S, Product, true, false>;
}

template <class T>
Run bind_carries(const Instruction& i) {
  using U = Unsigned<T>;
  switch (i.opcode) {
    case Opcode::kAdd:
      return bind_carry_two<U, AddCarry<U>>(i);
    case Opcode::kSub:
      return bind_carry_two<U, SubCarry<U>>(i);
    case Opcode::kMadLo:
      return bind_carry_mad<T, Low<T>>(i);
    case Opcode::kMadHi:
      return bind_carry_mad<T, High<T>>(i);
    default:
      return nullptr;
  }
}

// --- division ------------------------------------------------------------------------------------

template <class T, bool kRemainder>
Step divide(Warp& warp, const Op& op, LaneMask mask) {
  T* const d = warp.row<T>(op.row[0]);
  const T* const a = warp.row<const T>(op.row[1]);
  const T* const b = warp.row<const T>(op.row[2]);
  return each_lane(warp, mask, [&](unsigned lane) {
    if (b[lane] == 0) return warp.fail(op, FaultKind::kArithmetic, lane, "division by zero");
    if (std::is_signed_v<T> && b[lane] == static_cast<T>(-1)) {
      d[lane] = kRemainder ? T{0} : Neg<T>::of(a[lane]);  // the least number has no opposite
    } else {
      d[lane] = static_cast<T>(kRemainder ? a[lane] % b[lane] : a[lane] / b[lane]);
    }
    return Step::kNext;
  });
}

// --- by type -------------------------------------------------------------------------------------

template <class T>
Run bind_wide(const Instruction& i) {
  using D = typename Twice<T>::Type;
  if (i.opcode == Opcode::kMulWide) return &elementwise<Wide<T>, D, T, T>;
  return &elementwise<Mad<T, Wide>, D, T, T, D>;
}

template <class T>
Run bind_of(const Instruction& i) {
  switch (i.opcode) {
    case Opcode::kAdd:
      return &elementwise<Add<T>, T, T, T>;
    case Opcode::kSub:
      return &elementwise<Sub<T>, T, T, T>;
    case Opcode::kMulLo:
      return &elementwise<Low<T>, T, T, T>;
    case Opcode::kMulHi:
      return &elementwise<High<T>, T, T, T>;
    case Opcode::kMadLo:
      return &elementwise<Mad<T, Low>, T, T, T, T>;
    case Opcode::kMadHi:
      return &elementwise<Mad<T, High>, T, T, T, T>;
    case Opcode::kSad:
      return &elementwise<Sad<T>, T, T, T, T>;
    case Opcode::kDiv:
      return &divide<T, false>;
    case Opcode::kRem:
      return &divide<T, true>;
    case Opcode::kMin:
      return &elementwise<Min<T>, T, T, T>;
    case Opcode::kMax:
      return &elementwise<Max<T>, T, T, T>;
    default:
      break;
  }
  if constexpr (std::is_signed_v<T>) {
    if (i.opcode == Opcode::kAbs) return &elementwise<Abs<T>, T, T>;
    if (i.opcode == Opcode::kNeg) return &elementwise<Neg<T>, T, T>;
  }
  if constexpr (sizeof(T) < 8) {
    if (i.opcode == Opcode::kMulWide || i.opcode == Opcode::kMadWide) return bind_wide<T>(i);
  }
  return nullptr;
}

}  // namespace

Run bind_arithmetic(const Instruction& i) {
  if (i.opcode > Opcode::kMax) return nullptr;
  if (i.saturate) {
    return i.opcode == Opcode::kAdd
               ? &elementwise<Saturated<Add>, std::int32_t, std::int32_t, std::int32_t>
               : &elementwise<Saturated<Sub>, std::int32_t, std::int32_t, std::int32_t>;
  }
  const bool carries = i.carry_in || i.carry_out;
  switch (i.type) {
    case Type::kU16:
      return bind_of<std::uint16_t>(i);
    case Type::kS16:
      return bind_of<std::int16_t>(i);
    case Type::kU32:
      return carries ? bind_carries<std::uint32_t>(i) : bind_of<std::uint32_t>(i);
    case Type::kS32:
      return carries ? bind_carries<std::int32_t>(i) : bind_of<std::int32_t>(i);
    case Type::kU64:
      return carries ? bind_carries<std::uint64_t>(i) : bind_of<std::uint64_t>(i);
    case Type::kS64:
      return carries ? bind_carries<std::int64_t>(i) : bind_of<std::int64_t>(i);
    default:
      return nullptr;
  }
}

}  // namespace colophon::gpu_emulator
