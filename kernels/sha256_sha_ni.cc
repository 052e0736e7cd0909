// SPDX-License-Identifier: Apache-2.0
//
// SHA-256 by the SHA extensions of x86 (Gulley, Gopal, Yap, Feghali, Guilford, Wolrich 2013), some
// messages at a time: sha256rnds2 takes four cycles, and each waits for the one before.
#include <immintrin.h>

#include "kernels/hash.h"
#include "kernels/sha256.h"

namespace colophon::kernels {
namespace {

// As sha256rnds2 wants them: words f, e, b, a and h, g, d, c.
struct ShaState {
  __m128i abef, cdgh;
};

COLOPHON_INLINE ShaState from_words(const uint32_t word[8]) {
  const __m128i abcd = _mm_loadu_si128(reinterpret_cast<const __m128i*>(word));
  const __m128i efgh = _mm_loadu_si128(reinterpret_cast<const __m128i*>(word + 4));
  const __m128i badc = _mm_shuffle_epi32(abcd, 0xb1);
  const __m128i hgfe = _mm_shuffle_epi32(efgh, 0x1b);
  return {_mm_alignr_epi8(badc, hgfe, 8), _mm_blend_epi16(hgfe, badc, 0xf0)};
}

struct ShaHalves {
  __m128i abcd, efgh;
};
COLOPHON_INLINE ShaHalves to_words(const ShaState& s) {
  const __m128i abef = _mm_shuffle_epi32(s.abef, 0x1b);
  const __m128i ghcd = _mm_shuffle_epi32(s.cdgh, 0xb1);
  return {_mm_blend_epi16(abef, ghcd, 0xf0), _mm_alignr_epi8(ghcd, abef, 8)};
}

COLOPHON_INLINE __m128i reverse_words(__m128i bytes) {
  return _mm_shuffle_epi8(bytes, _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203));
}
COLOPHON_INLINE __m128i load(const void* p) {
  return _mm_loadu_si128(static_cast<const __m128i*>(p));
}
COLOPHON_INLINE __m128i load_quad(const uint8_t* bytes) { return reverse_words(load(bytes)); }

COLOPHON_INLINE void store_digest(const ShaState& s, uint8_t* digest) {
  const ShaHalves halves = to_words(s);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(digest), reverse_words(halves.abcd));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(digest + 16), reverse_words(halves.efgh));
}

COLOPHON_INLINE ShaState sum(const ShaState& a, const ShaState& b) {
  return {_mm_add_epi32(a.abef, b.abef), _mm_add_epi32(a.cdgh, b.cdgh)};
}

// Two rounds, with the lower two words of the schedule plus constants, and the next two: in the
// order written, for the compilers would run one chain after another, so far apart that the
// processor cannot overlap them.
COLOPHON_INLINE void first_half(ShaState& s, __m128i words) {
  __asm__ volatile("sha256rnds2 %2, %1, %0" : "+x"(s.cdgh) : "x"(s.abef), "Yz"(words));
}
COLOPHON_INLINE void second_half(ShaState& s, __m128i words) {
  __asm__ volatile("sha256rnds2 %2, %1, %0" : "+x"(s.abef) : "x"(s.cdgh), "Yz"(words));
}

// Words 4q + 16 .. 4q + 19 of the schedule take the place of words 4q .. 4q + 3 in a ring of four.
COLOPHON_INLINE void extend(__m128i w[4], int q) {
  const __m128i last = w[(q + 3) & 3];
  const __m128i between = _mm_alignr_epi8(last, w[(q + 2) & 3], 4);
  w[q & 3] = _mm_sha256msg2_epu32(
      _mm_add_epi32(_mm_sha256msg1_epu32(w[q & 3], w[(q + 1) & 3]), between), last);
}

// One block of each chain.
template <unsigned kChains>
COLOPHON_INLINE void compress(ShaState s[kChains], __m128i w[kChains][4]) {
  ShaState before[kChains];
  COLOPHON_UNROLL
  for (unsigned c = 0; c < kChains; ++c) before[c] = s[c];
  COLOPHON_UNROLL
  for (int q = 0; q < 16; ++q) {
    const __m128i constants = load(Sha256::kRound + 4 * q);
    __m128i words[kChains];
    COLOPHON_UNROLL
    for (unsigned c = 0; c < kChains; ++c) {
      words[c] = _mm_add_epi32(w[c][q & 3], constants);
      first_half(s[c], words[c]);
    }
    COLOPHON_UNROLL
    for (unsigned c = 0; c < kChains; ++c) second_half(s[c], _mm_shuffle_epi32(words[c], 0x0e));
    COLOPHON_UNROLL
    for (unsigned c = 0; c < kChains; ++c) {
      if (q < 12) extend(w[c], q);
    }
  }
  COLOPHON_UNROLL
  for (unsigned c = 0; c < kChains; ++c) s[c] = sum(s[c], before[c]);
}

template <unsigned kChains>
struct ShaNiCompressor {
  using Hash = Sha256;
  static constexpr unsigned kLanes = kChains;
  static constexpr unsigned kFewLanes = kChains > 1 ? 1 : 0;
  struct State {
    ShaState chain[kChains];
  };

  static void words(const State& state, unsigned lane, uint32_t out[8]) {
    const ShaHalves halves = to_words(state.chain[lane]);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), halves.abcd);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 4), halves.efgh);
  }
  static void set_words(State& state, unsigned lane, const uint32_t in[8]) {
    state.chain[lane] = from_words(in);
  }
  __attribute__((noinline)) static void run(State& state, const uint8_t* const at[kChains],
                                            size_t blocks) {
    ShaState s[kChains];
    COLOPHON_UNROLL
    for (unsigned c = 0; c < kChains; ++c) s[c] = state.chain[c];
    for (size_t block = 0; block < blocks; ++block) {
      __m128i w[kChains][4];
      COLOPHON_UNROLL
      for (unsigned c = 0; c < kChains; ++c) {
        COLOPHON_UNROLL
        for (int i = 0; i < 4; ++i) w[c][i] = load_quad(at[c] + 64 * block + 16 * i);
      }
      compress<kChains>(s, w);
    }
    COLOPHON_UNROLL
    for (unsigned c = 0; c < kChains; ++c) state.chain[c] = s[c];
  }
};

// --- two blocks, of which the second is known but for a byte -------------------------------------

// The schedule plus constants of a block that holds `first`, zeros, and a length of `bits`.
struct Schedule {
  alignas(16) uint32_t word[64];
};
constexpr Schedule last_block(uint32_t first, uint32_t bits) {
  Schedule s{};
  uint32_t w[64] = {};
  w[0] = first;
  w[15] = bits;
  for (int i = 0; i < 64; ++i) {
    if (i >= 16) {
      const uint32_t x = w[i - 15];
      const uint32_t y = w[i - 2];
      w[i] = w[i - 16] + (((x >> 7) | (x << 25)) ^ ((x >> 18) | (x << 14)) ^ (x >> 3)) + w[i - 7] +
             (((y >> 17) | (y << 15)) ^ ((y >> 19) | (y << 13)) ^ (y >> 10));
    }
    s.word[i] = w[i] + Sha256::kRound[i];
  }
  return s;
}

// The first quad of prefix ‖ message, whose bytes begin after the one at `before`.
COLOPHON_INLINE __m128i load_prefixed(const uint8_t* before, __m128i prefix) {
  const __m128i control =
      _mm_set_epi64x(0x0c0d0e0f08090a0b, static_cast<long long>(0x0405060780010203));
  return _mm_or_si128(_mm_shuffle_epi8(load(before), control), prefix);
}
COLOPHON_INLINE __m128i prefix_word(int prefix) {
  return _mm_cvtsi32_si128(static_cast<int>(static_cast<uint32_t>(prefix) << 24));
}

// 64 bytes, without a prefix and with one.
struct Pair {
  static constexpr bool kHasPrefix = false;
  static constexpr Schedule kSecond = last_block(0x80000000, 512);
  COLOPHON_INLINE static void load_first(const uint8_t* in, __m128i /*prefix*/, __m128i w[4]) {
    COLOPHON_UNROLL
    for (int i = 0; i < 4; ++i) w[i] = load_quad(in + 16 * i);
  }
  COLOPHON_INLINE static const uint32_t* second(const uint8_t* /*in*/) { return kSecond.word; }
};

struct Node {
  static constexpr bool kHasPrefix = true;
  struct Table {
    Schedule of[256];  // by the last byte
    constexpr Table() : of() {
      for (uint32_t byte = 0; byte < 256; ++byte) {
        of[byte] = last_block(byte << 24 | 0x800000, 520);
      }
    }
  };
  static const Table kSecond;
  COLOPHON_INLINE static void load_first(const uint8_t* in, __m128i prefix, __m128i w[4]) {
    w[0] = load_prefixed(in - 1, prefix);
    COLOPHON_UNROLL
    for (int i = 1; i < 4; ++i) w[i] = load_quad(in + 16 * i - 1);
  }
  COLOPHON_INLINE static const uint32_t* second(const uint8_t* in) {
    return kSecond.of[in[63]].word;
  }
};
constexpr Node::Table Node::kSecond;

constexpr unsigned kSkewed = 3;

// The first block of some messages is heavy in its schedule, the second is rounds alone: the one of
// some is worked on beside the other of those before them.
template <class Shape, bool kHasOld, bool kHasNew>
COLOPHON_INLINE void skewed(ShaState old[kSkewed], const uint32_t* const second[kSkewed],
                            ShaState fresh[kSkewed], __m128i w[kSkewed][4]) {
  ShaState before[kSkewed];
  COLOPHON_UNROLL
  for (unsigned c = 0; c < kSkewed; ++c) before[c] = old[c];
  COLOPHON_UNROLL
  for (int q = 0; q < 16; ++q) {
    const __m128i constants = load(Sha256::kRound + 4 * q);
    __m128i words[kSkewed];
    COLOPHON_UNROLL
    for (unsigned c = 0; kHasOld && c < kSkewed; ++c) first_half(old[c], load(second[c] + 4 * q));
    COLOPHON_UNROLL
    for (unsigned c = 0; kHasNew && c < kSkewed; ++c) {
      words[c] = _mm_add_epi32(w[c][q & 3], constants);
      if (q < 12) extend(w[c], q);
      first_half(fresh[c], words[c]);
    }
    COLOPHON_UNROLL
    for (unsigned c = 0; kHasOld && c < kSkewed; ++c) {
      second_half(old[c], _mm_loadl_epi64(reinterpret_cast<const __m128i*>(second[c] + 4 * q + 2)));
    }
    COLOPHON_UNROLL
    for (unsigned c = 0; kHasNew && c < kSkewed; ++c) {
      second_half(fresh[c], _mm_shuffle_epi32(words[c], 0x0e));
    }
  }
  COLOPHON_UNROLL
  for (unsigned c = 0; c < kSkewed; ++c) old[c] = sum(old[c], before[c]);
}

template <class Shape>
void hash_pairs(int prefix, const uint8_t* in, size_t count, uint8_t* digests) {
  if (count == 0) return;
  const ShaState start = from_words(Sha256::kStart);
  const __m128i prefix_bits = prefix_word(prefix);
  // Nothing may be read in front of the first.
  uint8_t first_copy[80];
  if (Shape::kHasPrefix) __builtin_memcpy(first_copy + 16, in, 64);

  ShaState old[kSkewed];
  const uint32_t* second[kSkewed];
  const auto store = [&](size_t first) {
    for (unsigned c = 0; c < kSkewed && first + c < count; ++c) {
      store_digest(old[c], digests + 32 * (first + c));
    }
  };
  for (size_t first = 0; first < count; first += kSkewed) {
    ShaState fresh[kSkewed];
    __m128i w[kSkewed][4];
    const uint32_t* next_second[kSkewed];
    COLOPHON_UNROLL
    for (unsigned c = 0; c < kSkewed; ++c) {
      const size_t i = first + c < count ? first + c : count - 1;
      const uint8_t* const message = Shape::kHasPrefix && i == 0 ? first_copy + 16 : in + 64 * i;
      Shape::load_first(message, prefix_bits, w[c]);
      next_second[c] = Shape::second(message);
      fresh[c] = start;
    }
    if (first == 0) {
      skewed<Shape, false, true>(old, second, fresh, w);
    } else {
      skewed<Shape, true, true>(old, second, fresh, w);
      store(first - kSkewed);
    }
    COLOPHON_UNROLL
    for (unsigned c = 0; c < kSkewed; ++c) {
      old[c] = sum(fresh[c], start);
      second[c] = next_second[c];
    }
  }
  skewed<Shape, true, false>(old, second, nullptr, nullptr);
  store((count - 1) / kSkewed * kSkewed);
}

// --- prefix and 32 bytes: one block
// ---------------------------------------------------------------

void hash_leaves(int prefix, const uint8_t* in, size_t count, uint8_t* digests) {
  constexpr unsigned kChains = 4;
  if (count == 0) return;
  const ShaState start = from_words(Sha256::kStart);
  const __m128i prefix_bits = prefix_word(prefix);
  uint8_t first_copy[48];
  __builtin_memcpy(first_copy + 16, in, 32);
  for (size_t first = 0; first < count; first += kChains) {
    ShaState s[kChains];
    __m128i w[kChains][4];
    COLOPHON_UNROLL
    for (unsigned c = 0; c < kChains; ++c) {
      const size_t i = first + c < count ? first + c : count - 1;
      const uint8_t* const message = i == 0 ? first_copy + 16 : in + 32 * i;
      w[c][0] = load_prefixed(message - 1, prefix_bits);
      w[c][1] = load_quad(message + 15);
      w[c][2] = _mm_cvtsi32_si128(static_cast<int>(uint32_t{message[31]} << 24 | 0x800000));
      w[c][3] = _mm_set_epi32(33 * 8, 0, 0, 0);
      s[c] = start;
    }
    compress<kChains>(s, w);
    for (unsigned c = 0; c < kChains && first + c < count; ++c) {
      store_digest(s[c], digests + 32 * (first + c));
    }
  }
}

using Any = IteratedHash<ShaNiCompressor<3>, ShaNiCompressor<1>>;

void fixed(int prefix, const uint8_t* in, size_t length, size_t count, uint8_t* digests) {
  if (length == 64) {
    (prefix == kNoPrefix ? hash_pairs<Pair> : hash_pairs<Node>)(prefix, in, count, digests);
  } else if (length == 32 && prefix != kNoPrefix) {
    hash_leaves(prefix, in, count, digests);
  } else {
    Any::fixed(prefix, in, length, count, digests);
  }
}

}  // namespace

const HashKernel kSha256ShaNi = {"sha-ni",   Any::kDigestBytes, fixed,      Any::many,
                                 Any::begin, Any::update,       Any::finish};

}  // namespace colophon::kernels
