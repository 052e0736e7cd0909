// SPDX-License-Identifier: Apache-2.0
//
// LaneWords: words of 16 · N messages (32 bits) or 8 · N (64 bits), each in a lane of AVX-512.
// Concept: hash_words.h. For translation units compiled with -mavx512f -mavx512bw only.
#pragma once

#include <immintrin.h>

#include "kernels/hash_words.h"

namespace colophon::kernels {
namespace {

template <class S, unsigned kVectors>
struct LaneWords {
  using Scalar = S;
  static constexpr unsigned kPerVector = 64 / sizeof(S);
  static constexpr unsigned kLanes = kVectors * kPerVector;
  __m512i v[kVectors];
};

// f of each vector.
template <class S, unsigned N, class F>
COLOPHON_INLINE LaneWords<S, N> by_lanes(F f) {
  LaneWords<S, N> out;
  COLOPHON_UNROLL
  for (unsigned i = 0; i < N; ++i) out.v[i] = f(i);
  return out;
}

template <class S>
COLOPHON_INLINE __m512i in_all(S k) {
  if constexpr (sizeof(S) == 4) return _mm512_set1_epi32(static_cast<int>(k));
  if constexpr (sizeof(S) == 8) return _mm512_set1_epi64(static_cast<long long>(k));
}
template <class S>
COLOPHON_INLINE __m512i add_lanes(__m512i a, __m512i b) {
  if constexpr (sizeof(S) == 4) return _mm512_add_epi32(a, b);
  if constexpr (sizeof(S) == 8) return _mm512_add_epi64(a, b);
}
template <int kTable, class S, unsigned N>
COLOPHON_INLINE LaneWords<S, N> ternary(const LaneWords<S, N>& a, const LaneWords<S, N>& b,
                                        const LaneWords<S, N>& c) {
  return by_lanes<S, N>(
      [&](unsigned i) { return _mm512_ternarylogic_epi64(a.v[i], b.v[i], c.v[i], kTable); });
}

template <class S, unsigned N>
COLOPHON_INLINE LaneWords<S, N> operator+(const LaneWords<S, N>& a, const LaneWords<S, N>& b) {
  return by_lanes<S, N>([&](unsigned i) { return add_lanes<S>(a.v[i], b.v[i]); });
}
template <class S, unsigned N>
COLOPHON_INLINE LaneWords<S, N> operator^(const LaneWords<S, N>& a, const LaneWords<S, N>& b) {
  return by_lanes<S, N>([&](unsigned i) { return _mm512_xor_si512(a.v[i], b.v[i]); });
}
template <class S, unsigned N>
COLOPHON_INLINE LaneWords<S, N> operator+(const LaneWords<S, N>& a,
                                          typename LaneWords<S, N>::Scalar k) {
  return by_lanes<S, N>([&](unsigned i) { return add_lanes<S>(a.v[i], in_all(k)); });
}
template <class S, unsigned N>
COLOPHON_INLINE LaneWords<S, N> operator^(const LaneWords<S, N>& a,
                                          typename LaneWords<S, N>::Scalar k) {
  return by_lanes<S, N>([&](unsigned i) { return _mm512_xor_si512(a.v[i], in_all(k)); });
}

template <int K, class S, unsigned N>
COLOPHON_INLINE LaneWords<S, N> rotate_left(const LaneWords<S, N>& a) {
  return by_lanes<S, N>([&](unsigned i) {
    if constexpr (sizeof(S) == 4) return _mm512_rol_epi32(a.v[i], K);
    if constexpr (sizeof(S) == 8) return _mm512_rol_epi64(a.v[i], K);
  });
}
template <int K, class S, unsigned N>
COLOPHON_INLINE LaneWords<S, N> shift_right(const LaneWords<S, N>& a) {
  return by_lanes<S, N>([&](unsigned i) {
    if constexpr (sizeof(S) == 4) return _mm512_srli_epi32(a.v[i], K);
    if constexpr (sizeof(S) == 8) return _mm512_srli_epi64(a.v[i], K);
  });
}
template <class S, unsigned N>
COLOPHON_INLINE LaneWords<S, N> xor3(const LaneWords<S, N>& a, const LaneWords<S, N>& b,
                                     const LaneWords<S, N>& c) {
  return ternary<0x96>(a, b, c);
}
template <class S, unsigned N>
COLOPHON_INLINE LaneWords<S, N> choose(const LaneWords<S, N>& a, const LaneWords<S, N>& b,
                                       const LaneWords<S, N>& c) {
  return ternary<0xca>(a, b, c);
}
template <class S, unsigned N>
COLOPHON_INLINE LaneWords<S, N> majority(const LaneWords<S, N>& a, const LaneWords<S, N>& b,
                                         const LaneWords<S, N>& c) {
  return ternary<0xe8>(a, b, c);
}
template <class S, unsigned N>
COLOPHON_INLINE LaneWords<S, N> xor_and_not(const LaneWords<S, N>& a, const LaneWords<S, N>& b,
                                            const LaneWords<S, N>& c) {
  return ternary<0xd2>(a, b, c);
}

template <class S, unsigned N>
COLOPHON_INLINE void load_lanes(const S* lanes, LaneWords<S, N>& w) {
  w = by_lanes<S, N>([&](unsigned i) { return _mm512_loadu_si512(lanes + i * (64 / sizeof(S))); });
}
template <class S, unsigned N>
COLOPHON_INLINE void store_lanes(const LaneWords<S, N>& w, S* lanes) {
  COLOPHON_UNROLL
  for (unsigned i = 0; i < N; ++i) _mm512_storeu_si512(lanes + i * (64 / sizeof(S)), w.v[i]);
}

// --- rows of messages into lanes -----------------------------------------------------------------

// The quarters of four vectors, as a square, transposed.
COLOPHON_INLINE void transpose_quarters(const __m512i in[4], __m512i out[4]) {
  const __m512i even01 = _mm512_shuffle_i32x4(in[0], in[1], 0x88);
  const __m512i odd01 = _mm512_shuffle_i32x4(in[0], in[1], 0xdd);
  const __m512i even23 = _mm512_shuffle_i32x4(in[2], in[3], 0x88);
  const __m512i odd23 = _mm512_shuffle_i32x4(in[2], in[3], 0xdd);
  out[0] = _mm512_shuffle_i32x4(even01, even23, 0x88);
  out[1] = _mm512_shuffle_i32x4(odd01, odd23, 0x88);
  out[2] = _mm512_shuffle_i32x4(even01, even23, 0xdd);
  out[3] = _mm512_shuffle_i32x4(odd01, odd23, 0xdd);
}

// Rows become columns: first in each quarter, then the quarters.
COLOPHON_INLINE void transpose16(const __m512i row[16], __m512i column[16]) {
  __m512i t[4][4];  // [c][k]: the quarter q has word 4q + c of rows 4k .. 4k + 3
  COLOPHON_UNROLL
  for (int k = 0; k < 4; ++k) {
    const __m512i* const r = row + 4 * k;
    const __m512i low01 = _mm512_unpacklo_epi32(r[0], r[1]);
    const __m512i high01 = _mm512_unpackhi_epi32(r[0], r[1]);
    const __m512i low23 = _mm512_unpacklo_epi32(r[2], r[3]);
    const __m512i high23 = _mm512_unpackhi_epi32(r[2], r[3]);
    t[0][k] = _mm512_unpacklo_epi64(low01, low23);
    t[1][k] = _mm512_unpackhi_epi64(low01, low23);
    t[2][k] = _mm512_unpacklo_epi64(high01, high23);
    t[3][k] = _mm512_unpackhi_epi64(high01, high23);
  }
  COLOPHON_UNROLL
  for (int c = 0; c < 4; ++c) {
    __m512i out[4];
    transpose_quarters(t[c], out);
    COLOPHON_UNROLL
    for (int q = 0; q < 4; ++q) column[4 * q + c] = out[q];
  }
}
COLOPHON_INLINE void transpose8(const __m512i row[8], __m512i column[8]) {
  __m512i t[2][4];
  COLOPHON_UNROLL
  for (int k = 0; k < 4; ++k) {
    t[0][k] = _mm512_unpacklo_epi64(row[2 * k], row[2 * k + 1]);
    t[1][k] = _mm512_unpackhi_epi64(row[2 * k], row[2 * k + 1]);
  }
  COLOPHON_UNROLL
  for (int c = 0; c < 2; ++c) {
    __m512i out[4];
    transpose_quarters(t[c], out);
    COLOPHON_UNROLL
    for (int q = 0; q < 4; ++q) column[2 * q + c] = out[q];
  }
}

template <ByteOrder kOrder, class S>
COLOPHON_INLINE __m512i words_of(__m512i bytes) {
  if constexpr (kOrder == ByteOrder::kLittle) return bytes;
  const __m128i reversed = sizeof(S) == 4 ? _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203)
                                          : _mm_set_epi64x(0x08090a0b0c0d0e0f, 0x0001020304050607);
  return _mm512_shuffle_epi8(bytes, _mm512_broadcast_i32x4(reversed));
}

template <ByteOrder kOrder, unsigned N, class S, unsigned kVectors>
COLOPHON_INLINE void load_block(const uint8_t* const* at, size_t offset,
                                LaneWords<S, kVectors>* w) {
  constexpr unsigned kSide = 64 / sizeof(S);  // of the square that is transposed
  COLOPHON_UNROLL
  for (unsigned vector = 0; vector < kVectors; ++vector) {
    const uint8_t* const* const lanes = at + vector * kSide;
    COLOPHON_UNROLL
    for (unsigned first = 0; first + kSide <= N; first += kSide) {
      __m512i row[kSide];
      __m512i column[kSide];
      COLOPHON_UNROLL
      for (unsigned lane = 0; lane < kSide; ++lane) {
        row[lane] =
            words_of<kOrder, S>(_mm512_loadu_si512(lanes[lane] + offset + first * sizeof(S)));
      }
      if constexpr (kSide == 16) transpose16(row, column);
      if constexpr (kSide == 8) transpose8(row, column);
      COLOPHON_UNROLL
      for (unsigned i = 0; i < kSide; ++i) w[first + i].v[vector] = column[i];
    }
    for (unsigned i = N / kSide * kSide; i < N; ++i) {
      S words[kSide];
      COLOPHON_UNROLL
      for (unsigned lane = 0; lane < kSide; ++lane) {
        words[lane] = load_word<kOrder, S>(lanes[lane] + offset + i * sizeof(S));
      }
      w[i].v[vector] = _mm512_loadu_si512(words);
    }
  }
}

}  // namespace
}  // namespace colophon::kernels
