// SPDX-License-Identifier: Apache-2.0
#include "edwards25519.h"

#include <algorithm>
#include <cstddef>
#include <cstdlib>

#include "hex_constant.h"

namespace colophon::edwards25519 {
namespace {

__extension__ typedef unsigned __int128 Wide;

constexpr std::uint64_t kMask51 = (std::uint64_t{1} << 51) - 1;

// --- GF(2^255 - 19): five limbs of 51 bits
//
// Bounds. "Reduced": every limb < 2^51 + 2^15. Every function below takes and gives reduced
// elements, so sums of two stay below 2^53 and products of limbs below 19·5·2^103 < 2^110. A VERIFY
// build checks what each is given.
struct Field {
  std::uint64_t limb[5];
};

constexpr void check_reduced([[maybe_unused]] const Field& a) noexcept {
#ifdef COLOPHON_VERIFY
  for (const std::uint64_t limb : a.limb) {
    if (limb >= (std::uint64_t{1} << 51) + (std::uint64_t{1} << 15)) std::abort();
  }
#endif
}

constexpr Field kZero{{0, 0, 0, 0, 0}};
constexpr Field kOne{{1, 0, 0, 0, 0}};

// Limbs below 2^54 in: a carry is below 2^3, and the last one counts 19 times (2^255 = 19 mod p).
constexpr Field carry(Field a) noexcept {
  std::uint64_t c = 0;
  for (int i = 0; i < 4; ++i) {
    a.limb[i] += c;
    c = a.limb[i] >> 51;
    a.limb[i] &= kMask51;
  }
  a.limb[4] += c;
  a.limb[0] += 19 * (a.limb[4] >> 51);
  a.limb[4] &= kMask51;
  return a;
}

constexpr Field add(const Field& a, const Field& b) noexcept {
  check_reduced(a);
  check_reduced(b);
  Field sum{};
  for (int i = 0; i < 5; ++i) sum.limb[i] = a.limb[i] + b.limb[i];
  return carry(sum);
}

// a + 2p - b: each limb of 2p (2^52 - 38, 2^52 - 2, …) exceeds any reduced limb.
Field sub(const Field& a, const Field& b) noexcept {
  check_reduced(a);
  check_reduced(b);
  constexpr std::uint64_t kTwoP0 = (std::uint64_t{1} << 52) - 38;
  constexpr std::uint64_t kTwoP1 = (std::uint64_t{1} << 52) - 2;
  Field difference;
  difference.limb[0] = a.limb[0] + kTwoP0 - b.limb[0];
  for (int i = 1; i < 5; ++i) difference.limb[i] = a.limb[i] + kTwoP1 - b.limb[i];
  return carry(difference);
}

Field mul(const Field& a, const Field& b) noexcept {
  check_reduced(a);
  check_reduced(b);
  const std::uint64_t b19[5] = {0, 19 * b.limb[1], 19 * b.limb[2], 19 * b.limb[3], 19 * b.limb[4]};
  Wide column[5];
  for (int k = 0; k < 5; ++k) {
    Wide sum = 0;
    for (int i = 0; i <= k; ++i) sum += Wide{a.limb[i]} * b.limb[k - i];
    for (int i = k + 1; i < 5; ++i) sum += Wide{a.limb[i]} * b19[k + 5 - i];
    column[k] = sum;
  }
  // The last column has no factor 19: it is below 5·2^103, its carry below 2^55, which
  // 19 times over still fits a word.
  Field product;
  Wide c = 0;
  for (int k = 0; k < 5; ++k) {
    column[k] += c;
    c = column[k] >> 51;
    product.limb[k] = static_cast<std::uint64_t>(column[k]) & kMask51;
  }
  product.limb[0] += 19 * static_cast<std::uint64_t>(c);
  product.limb[1] += product.limb[0] >> 51;
  product.limb[0] &= kMask51;
  return product;
}

Field square(const Field& a) noexcept { return mul(a, a); }

Field square_times(Field a, int times) noexcept {
  for (int i = 0; i < times; ++i) a = square(a);
  return a;
}

constexpr Field from_bytes(std::span<const std::uint8_t, 32> bytes) noexcept {
  std::uint64_t word[4] = {};
  for (std::size_t w = 0; w < 4; ++w) {
    for (std::size_t i = 0; i < 8; ++i) word[w] |= std::uint64_t{bytes[8 * w + i]} << (8 * i);
  }
  return Field{{word[0] & kMask51, (word[0] >> 51 | word[1] << 13) & kMask51,
                (word[1] >> 38 | word[2] << 26) & kMask51,
                (word[2] >> 25 | word[3] << 39) & kMask51,
                (word[3] >> 12) & kMask51}};  // the top bit falls off
}

// The one representative in [0, p), little-endian.
std::array<std::uint8_t, 32> to_bytes(Field a) noexcept {
  check_reduced(a);
  // A reduced a is below 2p. It is >= p exactly if a + 19 carries out of 255 bits, and then a - p
  // = a + 19 - 2^255.
  std::uint64_t c = 19;
  for (int i = 0; i < 5; ++i) c = (a.limb[i] + c) >> 51;
  c *= 19;
  for (int i = 0; i < 5; ++i) {
    a.limb[i] += c;
    c = a.limb[i] >> 51;
    a.limb[i] &= kMask51;
  }
  const std::uint64_t word[4] = {a.limb[0] | a.limb[1] << 51, a.limb[1] >> 13 | a.limb[2] << 38,
                                 a.limb[2] >> 26 | a.limb[3] << 25,
                                 a.limb[3] >> 39 | a.limb[4] << 12};
  std::array<std::uint8_t, 32> bytes;
  for (std::size_t i = 0; i < 32; ++i) {
    bytes[i] = static_cast<std::uint8_t>(word[i / 8] >> (8 * (i % 8)));
  }
  return bytes;
}

bool equal(const Field& a, const Field& b) noexcept { return to_bytes(a) == to_bytes(b); }
bool is_zero(const Field& a) noexcept { return equal(a, kZero); }

// a^((p-5)/8) = a^(2^252 - 3).
Field power_p58(const Field& a) noexcept {
  const Field a2 = square(a);
  const Field a9 = mul(square_times(a2, 2), a);
  const Field a11 = mul(a9, a2);
  const Field e5 = mul(square(a11), a9);           // 2^5 - 1
  const Field e10 = mul(square_times(e5, 5), e5);  // 2^10 - 1
  const Field e20 = mul(square_times(e10, 10), e10);
  const Field e40 = mul(square_times(e20, 20), e20);
  const Field e50 = mul(square_times(e40, 10), e10);
  const Field e100 = mul(square_times(e50, 50), e50);
  const Field e200 = mul(square_times(e100, 100), e100);
  const Field e250 = mul(square_times(e200, 50), e50);
  return mul(square_times(e250, 2), a);
}

constexpr Field kD =
    from_bytes(from_hex("a3785913ca4deb75abd841414d0a700098e879777940c78c73fe6f2bee6c0352"));
constexpr Field kTwoD = add(kD, kD);
constexpr Field kSqrtMinusOne =
    from_bytes(from_hex("b0a00e4a271beec478e42fad0618432fa7d7fb3d99004d2b0bdfc14f8024832b"));

// --- The curve in extended coordinates (Hisil, Wong, Carter, Dawson 2008): x = X/Z, y = Y/Z,
// T = XY/Z
struct Point {
  Field x, y, z, t;
};

constexpr Point kNeutral{kZero, kOne, kOne, kZero};

// "add-2008-hwcd-3", a = -1. Complete: -1 is a square mod p and d is not, so no pair of points is
// exceptional, whatever their order.
Point add(const Point& p, const Point& q) noexcept {
  const Field a = mul(sub(p.y, p.x), sub(q.y, q.x));
  const Field b = mul(add(p.y, p.x), add(q.y, q.x));
  const Field c = mul(mul(p.t, kTwoD), q.t);
  const Field zz = mul(p.z, q.z);
  const Field d = add(zz, zz);
  const Field e = sub(b, a);
  const Field f = sub(d, c);
  const Field g = add(d, c);
  const Field h = add(b, a);
  return Point{mul(e, f), mul(g, h), mul(f, g), mul(e, h)};
}

// "dbl-2008-hwcd", a = -1, every sign turned over.
Point twice(const Point& p) noexcept {
  const Field a = square(p.x);
  const Field b = square(p.y);
  const Field zz = square(p.z);
  const Field c = add(zz, zz);
  const Field h = add(a, b);
  const Field e = sub(h, square(add(p.x, p.y)));
  const Field g = sub(a, b);
  const Field f = add(c, g);
  return Point{mul(e, f), mul(g, h), mul(f, g), mul(e, h)};
}

Point negate(const Point& p) noexcept { return Point{sub(kZero, p.x), p.y, p.z, sub(kZero, p.t)}; }

bool is_neutral(const Point& p) noexcept { return is_zero(p.x) && equal(p.y, p.z); }

// RFC 8032 §5.1.3 with ZIP 215's two relaxations: y is not required to be below p, and x = 0 with
// the sign bit set is x = 0.
bool decode_zip215(Encoding encoding, Point& point) noexcept {
  const Field y = from_bytes(encoding);
  const Field yy = square(y);
  const Field u = sub(yy, kOne);
  const Field v = add(mul(kD, yy), kOne);
  const Field v3 = mul(square(v), v);
  const Field v7 = mul(square(v3), v);
  Field x = mul(mul(u, v3), power_p58(mul(u, v7)));
  const Field vxx = mul(v, square(x));
  if (!equal(vxx, u)) {
    if (!is_zero(add(vxx, u))) return false;
    x = mul(x, kSqrtMinusOne);
  }
  const bool negative = (to_bytes(x)[0] & 1) != 0;
  const bool wants_negative = (encoding[31] >> 7) != 0;
  if (negative != wants_negative) x = sub(kZero, x);
  point = Point{x, y, kOne, mul(x, y)};
  return true;
}

using Window = std::array<Point, 16>;  // [0]P … [15]P

Window window_of(const Point& p) noexcept {
  Window window;
  window[0] = kNeutral;
  for (std::size_t i = 1; i < window.size(); ++i) window[i] = add(window[i - 1], p);
  return window;
}

// B, RFC 8032 §5.1: y = 4/5, x even.
Window base_window() noexcept {
  Point base;
  decode_zip215(from_hex("5866666666666666666666666666666666666666666666666666666666666666"), base);
  return window_of(base);
}

// [s]B + [k]P, four bits of both at a time (Straus).
Point double_scalar_mul_vartime(Scalar s, Scalar k, const Point& p) noexcept {
  static const Window base = base_window();
  const Window window = window_of(p);
  Point sum = kNeutral;
  for (std::size_t i = 64; i-- > 0;) {
    for (int j = 0; j < 4; ++j) sum = twice(sum);
    const int shift = 4 * static_cast<int>(i % 2);
    const unsigned s_digit = static_cast<unsigned>(s[i / 2] >> shift) & 15U;
    const unsigned k_digit = static_cast<unsigned>(k[i / 2] >> shift) & 15U;
    if (s_digit != 0) sum = add(sum, base[s_digit]);
    if (k_digit != 0) sum = add(sum, window[k_digit]);
  }
  return sum;
}

// L = 2^252 + 27742317777372353535851937790883648493, little-endian.
constexpr std::array<std::uint8_t, 32> kOrder =
    from_hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
// p, little-endian.
constexpr std::array<std::uint8_t, 32> kPrime =
    from_hex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");

// a < b, both little-endian.
bool less(std::span<const std::uint8_t, 32> a, std::span<const std::uint8_t, 32> b) noexcept {
  return std::lexicographical_compare(a.rbegin(), a.rend(), b.rbegin(), b.rend());
}

// The points of order 1, 2, 4, 4, 8, 8, 8, 8.
constexpr std::array<std::array<std::uint8_t, 32>, 8> kSmallOrder = {
    from_hex("0100000000000000000000000000000000000000000000000000000000000000"),
    from_hex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    from_hex("0000000000000000000000000000000000000000000000000000000000000000"),
    from_hex("0000000000000000000000000000000000000000000000000000000000000080"),
    from_hex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    from_hex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"),
    from_hex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
    from_hex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"),
};

}  // namespace

bool is_canonical(Encoding encoding) noexcept {
  std::array<std::uint8_t, 32> y;
  std::copy(encoding.begin(), encoding.end(), y.begin());
  y[31] &= 0x7f;
  if (!less(y, kPrime)) return false;
  if ((encoding[31] >> 7) == 0) return true;
  // x = 0 exactly for y = 1 and y = -1, the first two small-order points.
  return y != kSmallOrder[0] && y != kSmallOrder[1];
}

bool is_on_curve_zip215(Encoding encoding) noexcept {
  Point point;
  return decode_zip215(encoding, point);
}

bool is_small_order(Encoding canonical) noexcept {
  return std::any_of(kSmallOrder.begin(), kSmallOrder.end(), [&](const auto& encoding) {
    return std::equal(canonical.begin(), canonical.end(), encoding.begin());
  });
}

bool is_reduced(Scalar s) noexcept { return less(s, kOrder); }

std::array<std::uint8_t, 32> reduce_mod_order(std::span<const std::uint8_t, 64> k) noexcept {
  // Shift and subtract, a bit at a time from the top: the remainder stays below L < 2^253, so its
  // double fits four words. Microseconds, on the slow path only.
  std::uint64_t order[4] = {};
  for (std::size_t i = 0; i < 32; ++i) order[i / 8] |= std::uint64_t{kOrder[i]} << (8 * (i % 8));
  std::uint64_t rest[4] = {};
  for (std::size_t bit = 512; bit-- > 0;) {
    std::uint64_t in = (k[bit / 8] >> (bit % 8)) & 1U;
    for (std::uint64_t& word : rest) {
      const std::uint64_t out = word >> 63;
      word = word << 1 | in;
      in = out;
    }
    std::uint64_t reduced[4];
    std::uint64_t borrow = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const Wide difference = Wide{rest[i]} - order[i] - borrow;
      reduced[i] = static_cast<std::uint64_t>(difference);
      borrow = static_cast<std::uint64_t>(difference >> 64) & 1U;
    }
    if (borrow == 0) std::copy(std::begin(reduced), std::end(reduced), std::begin(rest));
  }
  std::array<std::uint8_t, 32> bytes;
  for (std::size_t i = 0; i < 32; ++i) {
    bytes[i] = static_cast<std::uint8_t>(rest[i / 8] >> (8 * (i % 8)));
  }
  return bytes;
}

bool zip215_equation_holds_vartime(Encoding a, Encoding r, Scalar s, Scalar k) noexcept {
  Point a_point;
  Point r_point;
  if (!decode_zip215(a, a_point) || !decode_zip215(r, r_point)) return false;
  Point sum = double_scalar_mul_vartime(s, k, negate(a_point));
  sum = add(sum, negate(r_point));
  for (int i = 0; i < 3; ++i) sum = twice(sum);
  return is_neutral(sum);
}

}  // namespace colophon::edwards25519
