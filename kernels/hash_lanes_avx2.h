// SPDX-License-Identifier: Apache-2.0
//
// What the compilers do not find by themselves for VectorWords of 32 bytes: rotations by whole
// bytes, and rows of messages into lanes. Concept: hash_words.h. For translation units compiled
// with -mavx2 only.
#pragma once

#include <immintrin.h>

#include "kernels/hash_words.h"

namespace colophon::kernels {
namespace {

template <class S, unsigned N>
using Avx2Words = VectorWords<S, N, 32>;

// For _mm256_shuffle_epi8: byte i of each word comes from byte (i + kTurn) of it, or with kReversed
// from the byte at the other end.
template <int kWordBytes, int kTurn, bool kReversed>
struct ByteOrderInWords {
  alignas(32) char from[32];
  constexpr ByteOrderInWords() : from() {
    for (int i = 0; i < 32; ++i) {
      const int k = kReversed ? kWordBytes - 1 - i % kWordBytes : (i + kTurn) % kWordBytes;
      from[i] = static_cast<char>(i % 16 / kWordBytes * kWordBytes + k);
    }
  }
};
template <int kWordBytes, int kTurn, bool kReversed = false>
COLOPHON_INLINE __m256i shuffle_words(__m256i words) {
  static constexpr ByteOrderInWords<kWordBytes, kTurn, kReversed> kOrder;
  return _mm256_shuffle_epi8(words,
                             _mm256_load_si256(reinterpret_cast<const __m256i*>(kOrder.from)));
}

template <int K, class S, unsigned N>
  requires(K % 8 == 0)
COLOPHON_INLINE Avx2Words<S, N> rotate_left(const Avx2Words<S, N>& a) {
  constexpr int kBytes = sizeof(S);
  return by_vector<S, N, 32>([&](unsigned i) {
    return reinterpret_cast<typename Avx2Words<S, N>::Vector>(
        shuffle_words<kBytes, kBytes - K / 8>(reinterpret_cast<__m256i>(a.v[i])));
  });
}

// Rows become columns: first in each half, then the halves.
COLOPHON_INLINE void transpose8(const __m256i row[8], __m256i column[8]) {
  __m256i t[4][2];  // [c][k]: the half h has word 4h + c of rows 4k .. 4k + 3
  COLOPHON_UNROLL
  for (int k = 0; k < 2; ++k) {
    const __m256i* const r = row + 4 * k;
    const __m256i low01 = _mm256_unpacklo_epi32(r[0], r[1]);
    const __m256i high01 = _mm256_unpackhi_epi32(r[0], r[1]);
    const __m256i low23 = _mm256_unpacklo_epi32(r[2], r[3]);
    const __m256i high23 = _mm256_unpackhi_epi32(r[2], r[3]);
    t[0][k] = _mm256_unpacklo_epi64(low01, low23);
    t[1][k] = _mm256_unpackhi_epi64(low01, low23);
    t[2][k] = _mm256_unpacklo_epi64(high01, high23);
    t[3][k] = _mm256_unpackhi_epi64(high01, high23);
  }
  COLOPHON_UNROLL
  for (int c = 0; c < 4; ++c) {
    column[c] = _mm256_permute2x128_si256(t[c][0], t[c][1], 0x20);
    column[4 + c] = _mm256_permute2x128_si256(t[c][0], t[c][1], 0x31);
  }
}
COLOPHON_INLINE void transpose4(const __m256i row[4], __m256i column[4]) {
  const __m256i low01 = _mm256_unpacklo_epi64(row[0], row[1]);
  const __m256i high01 = _mm256_unpackhi_epi64(row[0], row[1]);
  const __m256i low23 = _mm256_unpacklo_epi64(row[2], row[3]);
  const __m256i high23 = _mm256_unpackhi_epi64(row[2], row[3]);
  column[0] = _mm256_permute2x128_si256(low01, low23, 0x20);
  column[1] = _mm256_permute2x128_si256(high01, high23, 0x20);
  column[2] = _mm256_permute2x128_si256(low01, low23, 0x31);
  column[3] = _mm256_permute2x128_si256(high01, high23, 0x31);
}

template <ByteOrder kOrder, unsigned N, class S, unsigned kVectors>
COLOPHON_INLINE void load_block(const uint8_t* const* at, size_t offset,
                                Avx2Words<S, kVectors>* w) {
  constexpr unsigned kSide = 32 / sizeof(S);  // of the square that is transposed
  using Vector = typename Avx2Words<S, kVectors>::Vector;
  COLOPHON_UNROLL
  for (unsigned vector = 0; vector < kVectors; ++vector) {
    const uint8_t* const* const lanes = at + vector * kSide;
    COLOPHON_UNROLL
    for (unsigned first = 0; first + kSide <= N; first += kSide) {
      __m256i row[kSide];
      __m256i column[kSide];
      COLOPHON_UNROLL
      for (unsigned lane = 0; lane < kSide; ++lane) {
        row[lane] = _mm256_loadu_si256(
            reinterpret_cast<const __m256i*>(lanes[lane] + offset + first * sizeof(S)));
        if (kOrder == ByteOrder::kBig) row[lane] = shuffle_words<sizeof(S), 0, true>(row[lane]);
      }
      if constexpr (kSide == 8) transpose8(row, column);
      if constexpr (kSide == 4) transpose4(row, column);
      COLOPHON_UNROLL
      for (unsigned i = 0; i < kSide; ++i) {
        w[first + i].v[vector] = reinterpret_cast<Vector>(column[i]);
      }
    }
    for (unsigned i = N / kSide * kSide; i < N; ++i) {
      S words[kSide];
      for (unsigned lane = 0; lane < kSide; ++lane) {
        words[lane] = load_word<kOrder, S>(lanes[lane] + offset + i * sizeof(S));
      }
      __builtin_memcpy(&w[i].v[vector], words, sizeof(words));
    }
  }
}

}  // namespace
}  // namespace colophon::kernels
