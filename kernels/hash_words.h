// SPDX-License-Identifier: Apache-2.0
//
// What hash functions are written in: words W, each of one message or of several in lanes. Here
// uint32_t and uint64_t, one message, and VectorWords, lanes in the compilers' portable notation;
// hash_lanes_avx2.h has what these lack on AVX2, hash_lanes.h the lanes of AVX-512. The concept,
// over the integer ScalarOf<W>:
//   a + b, a ^ b, a + k, a ^ k      k a ScalarOf<W>, for all lanes
//   W{}                             zero
//   rotate_left<K>(a), rotate_right<K>(a), shift_right<K>(a)
//   xor3(a, b, c)                   a ^ b ^ c
//   choose(a, b, c)                 the bits of b where a has ones, those of c where it has zeros
//   majority(a, b, c)               the bits that two of the three have
//   xor_and_not(a, b, c)            a ^ (~b & c)
//   load_lanes(lanes, w), store_lanes(w, lanes)   as integers, one lane after another
//   load_block<Order, N>(at, offset, w)           w[i] is each lane's word i of N at at[lane] +
//   offset
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernels/host_device.h"

namespace colophon::kernels {
namespace {

enum class ByteOrder { kBig, kLittle };

template <class W>
struct WordShape {
  using Scalar = typename W::Scalar;
  static constexpr unsigned kLanes = W::kLanes;
};
template <>
struct WordShape<uint32_t> {
  using Scalar = uint32_t;
  static constexpr unsigned kLanes = 1;
};
template <>
struct WordShape<uint64_t> {
  using Scalar = uint64_t;
  static constexpr unsigned kLanes = 1;
};
template <class W>
using ScalarOf = typename WordShape<W>::Scalar;
template <class W>
inline constexpr unsigned kLanesOf = WordShape<W>::kLanes;

// --- bytes of one word ---------------------------------------------------------------------------

template <ByteOrder kOrder, class S>
COLOPHON_INLINE S in_order(S word) {
  if constexpr ((kOrder == ByteOrder::kBig) == (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)) {
    return word;
  } else if constexpr (sizeof(S) == 4) {
    return __builtin_bswap32(word);
  } else {
    return __builtin_bswap64(word);
  }
}

template <ByteOrder kOrder, class S>
COLOPHON_INLINE S load_word(const uint8_t* bytes) {
  S word;
  __builtin_memcpy(&word, bytes, sizeof(word));
  return in_order<kOrder>(word);
}

template <ByteOrder kOrder, class S>
COLOPHON_INLINE void store_word(S word, uint8_t* bytes) {
  const S ordered = in_order<kOrder>(word);
  __builtin_memcpy(bytes, &ordered, sizeof(ordered));
}

// --- one message ---------------------------------------------------------------------------------

template <int K, class W>
COLOPHON_INLINE W rotate_left(const W& a) {
  return (a << K) | (a >> (8 * static_cast<int>(sizeof(ScalarOf<W>)) - K));
}
template <int K, class W>
COLOPHON_INLINE W rotate_right(const W& a) {
  return rotate_left<8 * static_cast<int>(sizeof(ScalarOf<W>)) - K>(a);
}
template <int K, class W>
COLOPHON_INLINE W shift_right(const W& a) {
  return a >> K;
}
template <class W>
COLOPHON_INLINE W xor3(const W& a, const W& b, const W& c) {
  return a ^ b ^ c;
}
template <class W>
COLOPHON_INLINE W choose(const W& a, const W& b, const W& c) {
  return c ^ (a & (b ^ c));
}
template <class W>
COLOPHON_INLINE W majority(const W& a, const W& b, const W& c) {
  return (a & b) ^ (c & (a ^ b));
}
template <class W>
COLOPHON_INLINE W xor_and_not(const W& a, const W& b, const W& c) {
  return a ^ (~b & c);
}

template <class S>
COLOPHON_INLINE void load_lanes(const S* lanes, S& w) {
  w = *lanes;
}
template <class S>
COLOPHON_INLINE void store_lanes(const S& w, S* lanes) {
  *lanes = w;
}
template <ByteOrder kOrder, unsigned N, class S>
COLOPHON_INLINE void load_block(const uint8_t* const* at, size_t offset, S* w) {
  COLOPHON_UNROLL
  for (unsigned i = 0; i < N; ++i) {
    w[i] = load_word<kOrder, S>(at[0] + offset + i * sizeof(S));
  }
}

// --- lanes ---------------------------------------------------------------------------------------

template <class S, unsigned kVectors, unsigned kVectorBytes = 16>
struct VectorWords {
  using Scalar = S;
  typedef S Vector __attribute__((vector_size(kVectorBytes)));  // NOLINT: `using` drops it
  static constexpr unsigned kPerVector = kVectorBytes / sizeof(S);
  static constexpr unsigned kLanes = kVectors * kPerVector;
  Vector v[kVectors];
};

// f of each vector.
template <class S, unsigned N, unsigned B, class F>
COLOPHON_INLINE VectorWords<S, N, B> by_vector(F f) {
  VectorWords<S, N, B> out;
  COLOPHON_UNROLL
  for (unsigned i = 0; i < N; ++i) out.v[i] = f(i);
  return out;
}

template <class S, unsigned N, unsigned B>
COLOPHON_INLINE VectorWords<S, N, B> operator+(const VectorWords<S, N, B>& a,
                                               const VectorWords<S, N, B>& b) {
  return by_vector<S, N, B>([&](unsigned i) { return a.v[i] + b.v[i]; });
}
template <class S, unsigned N, unsigned B>
COLOPHON_INLINE VectorWords<S, N, B> operator^(const VectorWords<S, N, B>& a,
                                               const VectorWords<S, N, B>& b) {
  return by_vector<S, N, B>([&](unsigned i) { return a.v[i] ^ b.v[i]; });
}
template <class S, unsigned N, unsigned B>
COLOPHON_INLINE VectorWords<S, N, B> operator&(const VectorWords<S, N, B>& a,
                                               const VectorWords<S, N, B>& b) {
  return by_vector<S, N, B>([&](unsigned i) { return a.v[i] & b.v[i]; });
}
template <class S, unsigned N, unsigned B>
COLOPHON_INLINE VectorWords<S, N, B> operator|(const VectorWords<S, N, B>& a,
                                               const VectorWords<S, N, B>& b) {
  return by_vector<S, N, B>([&](unsigned i) { return a.v[i] | b.v[i]; });
}
template <class S, unsigned N, unsigned B>
COLOPHON_INLINE VectorWords<S, N, B> operator~(const VectorWords<S, N, B>& a) {
  return by_vector<S, N, B>([&](unsigned i) { return ~a.v[i]; });
}
template <class S, unsigned N, unsigned B>
COLOPHON_INLINE VectorWords<S, N, B> operator<<(const VectorWords<S, N, B>& a, int bits) {
  return by_vector<S, N, B>([&](unsigned i) { return a.v[i] << bits; });
}
template <class S, unsigned N, unsigned B>
COLOPHON_INLINE VectorWords<S, N, B> operator>>(const VectorWords<S, N, B>& a, int bits) {
  return by_vector<S, N, B>([&](unsigned i) { return a.v[i] >> bits; });
}
template <class S, unsigned N, unsigned B>
COLOPHON_INLINE VectorWords<S, N, B> operator+(const VectorWords<S, N, B>& a,
                                               typename VectorWords<S, N, B>::Scalar k) {
  return by_vector<S, N, B>([&](unsigned i) { return a.v[i] + k; });
}
template <class S, unsigned N, unsigned B>
COLOPHON_INLINE VectorWords<S, N, B> operator^(const VectorWords<S, N, B>& a,
                                               typename VectorWords<S, N, B>::Scalar k) {
  return by_vector<S, N, B>([&](unsigned i) { return a.v[i] ^ k; });
}

template <class S, unsigned N, unsigned B>
COLOPHON_INLINE void load_lanes(const S* lanes, VectorWords<S, N, B>& w) {
  __builtin_memcpy(&w, lanes, sizeof(w));
}
template <class S, unsigned N, unsigned B>
COLOPHON_INLINE void store_lanes(const VectorWords<S, N, B>& w, S* lanes) {
  __builtin_memcpy(lanes, &w, sizeof(w));
}
template <ByteOrder kOrder, unsigned N, class S, unsigned kVectors, unsigned B>
COLOPHON_INLINE void load_block(const uint8_t* const* at, size_t offset,
                                VectorWords<S, kVectors, B>* w) {
  constexpr unsigned kLanes = kLanesOf<VectorWords<S, kVectors, B>>;
  for (unsigned i = 0; i < N; ++i) {
    S lanes[kLanes];
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      lanes[lane] = load_word<kOrder, S>(at[lane] + offset + i * sizeof(S));
    }
    load_lanes(lanes, w[i]);
  }
}

}  // namespace
}  // namespace colophon::kernels
