// SPDX-License-Identifier: Apache-2.0
//
// Tables of multiples of a point known beforehand, and the digits that pick from them.
//
// A scalar k below the order n is written with L = ceil(256/w) odd digits (2 d + 1 - 2^w), d in [0,
// 2^w): with k' = (k + 2^(w L) - 1)/2 mod n and d its w-bit digits, Σ (2 d + 1 - 2^w)·2^(w i) = 2
// k' + 1 - 2^(w L) = k mod n. No digit is zero, so no table holds the infinity and no addition can
// be left out; and a table needs only the odd multiples 1, 3, …, 2^w - 1 of each 2^(w i)·P, the
// sign negating y.
//
// A row is 64 bytes, aligned: x and y in Montgomery form of the field that built it, below p, four
// words each, the lowest first. Row r of window i is (2 r + 1)·2^(w i)·P, at 64·(i·2^(w-1) + r).
#pragma once

#include "kernels/curve.h"
#include "kernels/ecdsa.h"
#include "kernels/field_wide.h"

namespace colophon::kernels {
namespace {

constexpr unsigned kRowBytes = 64;
constexpr unsigned kWindowsMax = 64;  // of kWindowBitsMin bits

constexpr size_t table_size(unsigned bits) {
  return size_t{kRowBytes} * window_count(bits) * row_count(bits);
}

// Memory that the caller gave, cut into pieces. 64-byte aligned.
class Arena {
 public:
  explicit Arena(void* memory) : at_(static_cast<uint8_t*>(memory)) {}
  template <class T>
  T* take(size_t count) {
    T* taken = reinterpret_cast<T*>(at_);
    at_ += bytes<T>(count);
    return taken;
  }
  template <class T>
  static constexpr size_t bytes(size_t count) {
    return (sizeof(T) * count + 63) / 64 * 64;
  }

 private:
  uint8_t* at_;
};

// A division in waiting: the product of all divisors before it, and its own.
template <class F>
struct Division {
  typename F::template Element<2> before;
  typename F::template Element<4> divisor;
};

// The numerator of the slope of a doubling: 3x² - 3.
template <class F>
COLOPHON_HOST_DEVICE inline auto tangent(const typename F::template Element<1>& x) {
  const auto square = F::carry(F::sqr(x) - F::one());
  return F::carry_reduced(square + square + square);
}

// The line with slope `slope` through p and q meets the curve a third time in -(x, y).
template <class F>
COLOPHON_HOST_DEVICE inline Affine<F> third_point(const typename F::template Element<2>& slope,
                                                  const Affine<F>& p, const Affine<F>& q) {
  const auto x = F::carry_reduced(F::sqr(slope) - p.x - q.x);
  Affine<F> sum;
  sum.x = F::canonical(x);
  sum.y = F::canonical(F::carry_reduced(F::mul(slope, F::carry(p.x - x)) - p.y));
  return sum;
}

template <class F>
constexpr size_t build_rows_bytes(size_t vectors, size_t rows) {
  return Arena::bytes<Affine<F>>(vectors * rows) + 2 * Arena::bytes<Affine<F>>(vectors) +
         Arena::bytes<Division<F>>(vectors * (rows / 2 + 1));
}

// Odd multiples 1, 3, …, 2·rows - 1 of each base; `rows` a power of two. `store(v, r, point)` is
// called for row r of vector v. From m rows and 2m·P come the next m, all divided at once.
template <class F, class Store>
inline void build_rows(const Affine<F>* bases, size_t vectors, size_t rows, Arena arena,
                       Store store) {
  auto* row = arena.take<Affine<F>>(vectors * rows);  // row r of vector v at [r·vectors + v]
  auto* step = arena.take<Affine<F>>(vectors);        // 2m·P
  auto* doubled = arena.take<Affine<F>>(vectors);     // 4m·P
  auto* division = arena.take<Division<F>>(vectors * (rows / 2 + 1));

  typename F::template Element<2> running = F::one();
  const auto open = [&](size_t at, const auto& divisor) {
    division[at] = {running, divisor};
    running = F::mul(running, divisor);
  };
  typename F::template Element<2> inverse = F::one();
  const auto close = [&](size_t at) {
    const auto inverted = F::mul(division[at].before, inverse);
    inverse = F::mul(inverse, division[at].divisor);
    return inverted;
  };
  for (size_t v = 0; v < vectors; ++v) {
    row[v] = bases[v];
    store(v, size_t{0}, bases[v]);
    open(v, F::carry(bases[v].y + bases[v].y));
  }
  inverse = F::inverse_vartime(running);
  for (size_t v = vectors; v-- > 0;) {
    step[v] = third_point<F>(F::mul(tangent<F>(bases[v].x), close(v)), bases[v], bases[v]);
  }
  for (size_t m = 1; m < rows; m *= 2) {
    const bool is_last = 2 * m == rows;
    running = F::one();
    for (size_t j = 0; j < m; ++j) {
      for (size_t v = 0; v < vectors; ++v) {
        open(j * vectors + v, F::carry(step[v].x - row[j * vectors + v].x));
      }
    }
    if (!is_last) {
      for (size_t v = 0; v < vectors; ++v) {
        open(m * vectors + v, F::carry(step[v].y + step[v].y));
      }
    }
    inverse = F::inverse_vartime(running);
    if (!is_last) {
      for (size_t v = vectors; v-- > 0;) {
        doubled[v] =
            third_point<F>(F::mul(tangent<F>(step[v].x), close(m * vectors + v)), step[v], step[v]);
      }
    }
    for (size_t j = m; j-- > 0;) {
      for (size_t v = vectors; v-- > 0;) {
        const Affine<F>& from = row[j * vectors + v];
        const auto slope = F::mul(F::carry(step[v].y - from.y), close(j * vectors + v));
        const Affine<F> sum = third_point<F>(slope, from, step[v]);
        store(v, m + j, sum);
        if (!is_last) row[(m + j) * vectors + v] = sum;
      }
    }
    Affine<F>* const old = step;
    step = doubled;
    doubled = old;
  }
}

template <class F>
constexpr size_t build_table_bytes(unsigned bits) {
  const size_t vectors = (window_count(bits) + F::kLanes - 1) / F::kLanes;
  return build_rows_bytes<F>(vectors, row_count(bits)) + Arena::bytes<Affine<F>>(vectors);
}

// The table of a point (x ‖ y, 32 bytes each, big-endian, on the curve) at `table`,
// table_size(bits) bytes. A lane is a window.
template <class F>
inline void build_table(const uint8_t point[64], unsigned bits, uint8_t* table, void* memory) {
  using WideField = FieldWide<typename F::Modulus>;
  const unsigned windows = window_count(bits);
  // 2^(bits·i)·P by doubling, then Z away, all at once.
  Jacobian<WideField> bases[kWindowsMax];
  {
    const uint8_t* const coordinates[2] = {point, point + 32};
    uint64_t word[4];
    WideField::load_big_endian(&coordinates[0], word);
    bases[0].x = WideField::mul(WideField::from_words(word), WideField::square_of_r());
    WideField::load_big_endian(&coordinates[1], word);
    bases[0].y = WideField::mul(WideField::from_words(word), WideField::square_of_r());
    bases[0].z = WideField::one();
  }
  for (unsigned i = 1; i < windows; ++i) {
    bases[i] = bases[i - 1];
    for (unsigned k = 0; k < bits; ++k) bases[i] = twice(bases[i]);
  }
  typename WideField::E before[kWindowsMax];
  auto running = WideField::one();
  for (unsigned i = 0; i < windows; ++i) {
    before[i] = running;
    running = WideField::mul(running, bases[i].z);
  }
  auto inverse = WideField::inverse_vartime(running);
  uint64_t words[8][kWindowsMax];  // of x and y, not in Montgomery form
  for (unsigned i = windows; i-- > 0;) {
    const auto z = WideField::mul(inverse, before[i]);
    inverse = WideField::mul(inverse, bases[i].z);
    const auto zz = WideField::mul(z, z);
    const typename WideField::E plain_one = WideField::constant({{1, 0, 0, 0}});
    const auto x = WideField::mul(WideField::mul(bases[i].x, zz), plain_one);
    const auto y = WideField::mul(WideField::mul(bases[i].y, WideField::mul(zz, z)), plain_one);
    for (int w = 0; w < 4; ++w) {
      words[w][i] = x.word[w];
      words[4 + w][i] = y.word[w];
    }
  }
  for (unsigned i = windows; i < kWindowsMax; ++i) {
    for (auto& word : words) word[i] = word[0];
  }
  const size_t vectors = (windows + F::kLanes - 1) / F::kLanes;
  Arena arena(memory);
  auto* affine = arena.take<Affine<F>>(vectors);
  for (size_t v = 0; v < vectors; ++v) {
    typename F::Word x[4];
    typename F::Word y[4];
    for (int w = 0; w < 4; ++w) {
      x[w] = F::load(&words[w][v * F::kLanes]);
      y[w] = F::load(&words[4 + w][v * F::kLanes]);
    }
    affine[v].x = F::canonical(F::mul(F::from_words(x), F::square_of_r()));
    affine[v].y = F::canonical(F::mul(F::from_words(y), F::square_of_r()));
  }
  const size_t rows = row_count(bits);
  build_rows<F>(
      affine, vectors, rows, arena, [&](size_t v, size_t r, const Affine<F>& point_of_row) {
        uint8_t* row[F::kLanes];
        for (size_t lane = 0; lane < F::kLanes; ++lane) {
          const size_t window = v * F::kLanes + lane;
          row[lane] = window < windows ? table + kRowBytes * (window * rows + r) : nullptr;
        }
        F::store_row(row, point_of_row.x, point_of_row.y);
      });
}

}  // namespace
}  // namespace colophon::kernels
