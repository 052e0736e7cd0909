// SPDX-License-Identifier: Apache-2.0
//
// Hashes that run through padded blocks one after another: SHA-2, SM3 and Keccak. A hash H has
// Scalar, kOrder, kStateWords, kStart, kBlockWords, kDigestWords (of the state, in order),
// compress<W>(state, block), and pad(block, used, bytes), which completes the last `used` bytes of
// a message of `bytes` in place and returns how many blocks they became: 1 or 2.
//
// A compressor C runs H over blocks of C::kLanes messages at a time, unless C::kFewLanes or fewer
// are left: State, words(state, lane, out), set_words(state, lane, in) and run(state, at, blocks).
#pragma once

#include "kernels/hash.h"
#include "kernels/hash_words.h"
#include "kernels/lane_scheduler.h"

namespace colophon::kernels {
namespace {

// Merkle and Damgård's: a one bit, zeros, the length in bits.
template <size_t kBlockBytes, size_t kLengthBytes>
constexpr unsigned pad_with_length(uint8_t* block, size_t used, uint64_t bytes) {
  const unsigned blocks = used + 1 + kLengthBytes > kBlockBytes ? 2 : 1;
  const size_t end = blocks * kBlockBytes;
  block[used] = 0x80;
  for (size_t i = used + 1; i < end - 8; ++i) block[i] = 0;
  if (kLengthBytes > 8) block[end - 9] = static_cast<uint8_t>(bytes >> 61);
  store_word<ByteOrder::kBig>(bytes << 3, block + end - 8);
  return blocks;
}

// The compressor of the words W.
template <class H, class W>
struct WordCompressor {
  using Hash = H;
  using Scalar = typename H::Scalar;
  static constexpr unsigned kLanes = kLanesOf<W>;
  static constexpr unsigned kFewLanes = kLanes / 8;
  struct alignas(64) State {
    Scalar word[H::kStateWords][kLanes];
  };

  static void words(const State& state, unsigned lane, Scalar* out) {
    for (unsigned i = 0; i < H::kStateWords; ++i) out[i] = state.word[i][lane];
  }
  static void set_words(State& state, unsigned lane, const Scalar* in) {
    for (unsigned i = 0; i < H::kStateWords; ++i) state.word[i][lane] = in[i];
  }
  __attribute__((noinline)) static void run(State& state, const uint8_t* const at[kLanes],
                                            size_t blocks) {
    W s[H::kStateWords];
    _Pragma("GCC unroll 25") for (unsigned i = 0; i < H::kStateWords; ++i) {
      load_lanes(state.word[i], s[i]);
    }
    for (size_t block = 0; block < blocks; ++block) {
      W w[H::kBlockWords];
      load_block<H::kOrder, H::kBlockWords>(at, block * H::kBlockWords * sizeof(Scalar), w);
      H::compress(s, w);
    }
    _Pragma("GCC unroll 25") for (unsigned i = 0; i < H::kStateWords; ++i) {
      store_lanes(s[i], state.word[i]);
    }
  }
};

// The functions of HashKernel: C for many messages, One for a single one.
template <class C, class One>
struct IteratedHash {
  using H = typename C::Hash;
  using Scalar = typename H::Scalar;
  static constexpr unsigned kLanes = C::kLanes;
  static constexpr size_t kBlockBytes = H::kBlockWords * sizeof(Scalar);
  static constexpr size_t kDigestBytes = H::kDigestWords * sizeof(Scalar);

  static void store_digest(const Scalar* words, uint8_t* digest) {
    for (unsigned i = 0; i < H::kDigestWords; ++i) {
      store_word<H::kOrder>(words[i], digest + i * sizeof(Scalar));
    }
  }
  static void store_digest(const typename C::State& state, unsigned lane, uint8_t* digest) {
    Scalar words[H::kStateWords];
    C::words(state, lane, words);
    store_digest(words, digest);
  }

  // --- messages of one length
  // ---------------------------------------------------------------------

  // All lanes go through the same runs of blocks: one that begins with the prefix, if the message
  // fills it, those that lie in the input, and the padded end.
  static void fixed(int prefix, const uint8_t* in, size_t length, size_t count, uint8_t* digests) {
    const size_t prefix_bytes = prefix == kNoPrefix ? 0 : 1;
    const size_t bytes = prefix_bytes + length;
    const bool has_head = prefix_bytes > 0 && bytes >= kBlockBytes;
    const size_t head_bytes = has_head ? kBlockBytes - 1 : 0;  // of the message
    const size_t middle_blocks = (bytes - has_head * kBlockBytes) / kBlockBytes;
    const size_t tail_at = head_bytes + middle_blocks * kBlockBytes;
    const size_t tail_prefix_bytes = has_head ? 0 : prefix_bytes;

    uint8_t head[kLanes][kBlockBytes];
    uint8_t tail[kLanes][2 * kBlockBytes];
    const uint8_t* head_of[kLanes];
    const uint8_t* tail_of[kLanes];
    unsigned tail_blocks = 0;
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      head[lane][0] = tail[lane][0] = static_cast<uint8_t>(prefix);
      tail_blocks = H::pad(tail[lane], tail_prefix_bytes + length - tail_at, bytes);
      head_of[lane] = head[lane];
      tail_of[lane] = tail[lane];
    }

    for (size_t first = 0; first < count; first += kLanes) {
      if (count - first <= C::kFewLanes) {
        IteratedHash<One, One>::fixed(prefix, in + first * length, length, count - first,
                                      digests + first * kDigestBytes);
        return;
      }
      const unsigned lanes = count - first < kLanes ? static_cast<unsigned>(count - first) : kLanes;
      typename C::State state;
      const uint8_t* middle_of[kLanes];
      for (unsigned lane = 0; lane < kLanes; ++lane) {
        C::set_words(state, lane, H::kStart);
        // Lanes without a message hash the last one again.
        const size_t i = first + (lane < lanes ? lane : lanes - 1);
        const uint8_t* const message = in + i * length;
        middle_of[lane] = message + head_bytes;
        if (has_head) __builtin_memcpy(head[lane] + 1, message, kBlockBytes - 1);
        if (tail_at < length) {
          __builtin_memcpy(tail[lane] + tail_prefix_bytes, message + tail_at, length - tail_at);
        }
      }
      if (has_head) C::run(state, head_of, 1);
      if (middle_blocks > 0) C::run(state, middle_of, middle_blocks);
      C::run(state, tail_of, tail_blocks);
      for (unsigned lane = 0; lane < lanes; ++lane) {
        store_digest(state, lane, digests + (first + lane) * kDigestBytes);
      }
    }
  }

  // --- messages of any lengths
  // --------------------------------------------------------------------

  struct Engine {
    static constexpr unsigned kLanes = C::kLanes;
    static constexpr unsigned kFewLanes = C::kFewLanes;
    static constexpr size_t kBlockBytes = IteratedHash::kBlockBytes;
    // What of a lane's message is not in its runs yet.
    struct Rest {
      const uint8_t* data;
      size_t bytes;
      uint64_t message_bytes;
      size_t index;
      bool is_padded;
      uint8_t copy[2 * IteratedHash::kBlockBytes];
    };

    int prefix;
    const HashInput* in;
    uint8_t* digests;
    const uint8_t* at[kLanes];
    size_t blocks[kLanes];
    Rest rest[kLanes];
    typename C::State state;

    [[nodiscard]] size_t size(size_t index) const { return in[index].bytes / kBlockBytes; }

    void begin(unsigned lane, size_t index) {
      C::set_words(state, lane, H::kStart);
      Rest& r = rest[lane];
      const HashInput& message = in[index];
      const size_t prefix_bytes = prefix == kNoPrefix ? 0 : 1;
      r.data = message.data;
      r.bytes = message.bytes;
      r.message_bytes = prefix_bytes + message.bytes;
      r.index = index;
      r.is_padded = false;
      if (prefix_bytes == 0) {
        advance(lane);
        return;
      }
      r.copy[0] = static_cast<uint8_t>(prefix);
      if (r.message_bytes < kBlockBytes) {
        pad(lane, 1);
      } else {
        __builtin_memcpy(r.copy + 1, r.data, kBlockBytes - 1);
        r.data += kBlockBytes - 1;
        r.bytes -= kBlockBytes - 1;
        at[lane] = r.copy;
        blocks[lane] = 1;
      }
    }

    bool advance(unsigned lane) {
      Rest& r = rest[lane];
      if (r.is_padded) return false;
      if (r.bytes < kBlockBytes) {
        pad(lane, 0);
      } else {
        at[lane] = r.data;
        blocks[lane] = r.bytes / kBlockBytes;
        r.data += blocks[lane] * kBlockBytes;
        r.bytes %= kBlockBytes;
      }
      return true;
    }

    void pad(unsigned lane, size_t used) {
      Rest& r = rest[lane];
      if (r.bytes > 0) __builtin_memcpy(r.copy + used, r.data, r.bytes);
      at[lane] = r.copy;
      blocks[lane] = H::pad(r.copy, used + r.bytes, r.message_bytes);
      r.is_padded = true;
    }

    void run(size_t n) { C::run(state, at, n); }

    void run_alone(unsigned lane) {
      Scalar words[H::kStateWords];
      typename One::State one;
      C::words(state, lane, words);
      One::set_words(one, 0, words);
      One::run(one, &at[lane], blocks[lane]);
      One::words(one, 0, words);
      C::set_words(state, lane, words);
    }

    void end(unsigned lane) {
      store_digest(state, lane, digests + rest[lane].index * kDigestBytes);
    }
  };

  static void many(int prefix, const HashInput* in, size_t count, uint8_t* digests) {
    Engine engine;
    engine.prefix = prefix;
    engine.in = in;
    engine.digests = digests;
    run_in_lanes(engine, count);
  }

  // --- a message in pieces
  // ------------------------------------------------------------------------

  struct Stream {
    typename One::State state;
    uint64_t bytes;
    uint8_t block[2 * kBlockBytes];  // the first bytes % kBlockBytes are waiting
  };
  static_assert(sizeof(Stream) <= sizeof(HashState));
  static Stream& stream(HashState* state) { return *reinterpret_cast<Stream*>(state->bytes); }

  static void begin(HashState* state) {
    One::set_words(stream(state).state, 0, H::kStart);
    stream(state).bytes = 0;
  }

  static void update(HashState* state, const uint8_t* data, size_t bytes) {
    if (bytes == 0) return;
    Stream& s = stream(state);
    const size_t waiting = s.bytes % kBlockBytes;
    s.bytes += bytes;
    if (waiting > 0) {
      const size_t fits = kBlockBytes - waiting < bytes ? kBlockBytes - waiting : bytes;
      __builtin_memcpy(s.block + waiting, data, fits);
      if (waiting + fits < kBlockBytes) return;
      const uint8_t* const at[1] = {s.block};
      One::run(s.state, at, 1);
      data += fits;
      bytes -= fits;
    }
    if (bytes >= kBlockBytes) One::run(s.state, &data, bytes / kBlockBytes);
    const size_t rest = bytes % kBlockBytes;
    if (rest > 0) __builtin_memcpy(s.block, data + bytes - rest, rest);
  }

  static void finish(HashState* state, uint8_t* digest) {
    Stream& s = stream(state);
    const uint8_t* const at[1] = {s.block};
    One::run(s.state, at, H::pad(s.block, s.bytes % kBlockBytes, s.bytes));
    Scalar words[H::kStateWords];
    One::words(s.state, 0, words);
    store_digest(words, digest);
  }

  static constexpr HashKernel kernel(const char* name) {
    return {name, kDigestBytes, fixed, many, begin, update, finish};
  }
};

}  // namespace
}  // namespace colophon::kernels
