// SPDX-License-Identifier: Apache-2.0
//
// BLAKE3 (O'Connor, Aumasson, Neves, Wilcox-O'Hearn 2020) over any words W of 32 bits: chunks of
// 1,024 bytes and the parents above them, a node in each lane.
#pragma once

#include "kernels/hash.h"
#include "kernels/hash_words.h"
#include "kernels/lane_scheduler.h"

namespace colophon::kernels {
namespace {

struct Blake3 {
  static constexpr size_t kBlockBytes = 64;
  static constexpr size_t kChunkBytes = 1024;
  static constexpr size_t kDigestBytes = 32;
  // A message of 2^64 - 1 bytes has fewer than 2^54 chunks.
  static constexpr unsigned kDepthMax = 54;
  static constexpr uint32_t kChunkStart = 1, kChunkEnd = 2, kParent = 4, kRoot = 8;  // flags
  static constexpr uint32_t kIv[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  // In round r, word i of the message is m[kWord[r][i]].
  static constexpr uint8_t kWord[7][16] = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
                                           {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8},
                                           {3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1},
                                           {10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6},
                                           {12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4},
                                           {9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7},
                                           {11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13}};

  template <class W>
  COLOPHON_INLINE static void mix(W& a, W& b, W& c, W& d, const W& x, const W& y) {
    a = a + x;
    a = a + b;
    d = rotate_right<16>(d ^ a);
    c = c + d;
    b = rotate_right<12>(b ^ c);
    a = a + y;
    a = a + b;
    d = rotate_right<8>(d ^ a);
    c = c + d;
    b = rotate_right<7>(b ^ c);
  }

  // The sixteen words before they are folded into a chaining value or an output.
  template <class W>
  COLOPHON_INLINE static void permute(const W cv[8], const W m[16], const W& counter_low,
                                      const W& counter_high, const W& bytes, const W& flags,
                                      W v[16]) {
    COLOPHON_UNROLL
    for (int i = 0; i < 8; ++i) v[i] = cv[i];
    COLOPHON_UNROLL
    for (int i = 0; i < 4; ++i) v[8 + i] = W{} + kIv[i];
    v[12] = counter_low;
    v[13] = counter_high;
    v[14] = bytes;
    v[15] = flags;
    COLOPHON_UNROLL
    for (int r = 0; r < 7; ++r) {
      COLOPHON_UNROLL
      for (int i = 0; i < 4; ++i) {
        mix(v[i], v[4 + i], v[8 + i], v[12 + i], m[kWord[r][2 * i]], m[kWord[r][2 * i + 1]]);
      }
      COLOPHON_UNROLL
      for (int i = 0; i < 4; ++i) {
        mix(v[i], v[4 + (i + 1) % 4], v[8 + (i + 2) % 4], v[12 + (i + 3) % 4],
            m[kWord[r][8 + 2 * i]], m[kWord[r][9 + 2 * i]]);
      }
    }
  }

  template <class W>
  COLOPHON_INLINE static void compress(W cv[8], const W m[16], const W& counter_low,
                                       const W& counter_high, const W& bytes, const W& flags) {
    W v[16];
    permute(cv, m, counter_low, counter_high, bytes, flags, v);
    COLOPHON_UNROLL
    for (int i = 0; i < 8; ++i) cv[i] = v[i] ^ v[8 + i];
  }

  static void store(const uint32_t cv[8], uint8_t* out) {
    for (int i = 0; i < 8; ++i) store_word<ByteOrder::kLittle>(cv[i], out + 4 * i);
  }

  // Some nodes of one shape, one after another in memory: chunks of `blocks` full blocks, numbered
  // from `counter`, or parents.
  struct Nodes {
    const uint8_t* in;
    size_t blocks;
    uint32_t flags, first_flags, last_flags;  // of all blocks, and of those at the ends
    uint64_t counter;
    bool is_counted;
  };
  template <class W>
  static void hash_nodes(const uint32_t key[8], const Nodes& nodes, size_t count, uint8_t* out) {
    constexpr unsigned kLanes = kLanesOf<W>;
    for (size_t done = 0; done < count; done += kLanes) {
      const unsigned lanes = count - done < kLanes ? static_cast<unsigned>(count - done) : kLanes;
      const uint8_t* at[kLanes];
      uint32_t low[kLanes], high[kLanes];
      for (unsigned lane = 0; lane < kLanes; ++lane) {
        const size_t i = done + (lane < lanes ? lane : lanes - 1);
        const uint64_t counter = nodes.counter + (nodes.is_counted ? i : 0);
        at[lane] = nodes.in + i * nodes.blocks * kBlockBytes;
        low[lane] = static_cast<uint32_t>(counter);
        high[lane] = static_cast<uint32_t>(counter >> 32);
      }
      W counter_low, counter_high, cv[8];
      load_lanes(low, counter_low);
      load_lanes(high, counter_high);
      for (int i = 0; i < 8; ++i) cv[i] = W{} + key[i];
      for (size_t block = 0; block < nodes.blocks; ++block) {
        const uint32_t flags = nodes.flags | (block == 0 ? nodes.first_flags : 0) |
                               (block == nodes.blocks - 1 ? nodes.last_flags : 0);
        W m[16];
        load_block<ByteOrder::kLittle, 16>(at, block * kBlockBytes, m);
        compress(cv, m, counter_low, counter_high, W{} + uint32_t{kBlockBytes}, W{} + flags);
      }
      uint32_t words[8][kLanes];
      for (int i = 0; i < 8; ++i) store_lanes(cv[i], words[i]);
      for (unsigned lane = 0; lane < lanes; ++lane) {
        for (int i = 0; i < 8; ++i) {
          store_word<ByteOrder::kLittle>(words[i][lane],
                                         out + (done + lane) * kDigestBytes + 4 * i);
        }
      }
    }
  }

  // --- a message in pieces
  // ------------------------------------------------------------------------

  struct Stream {
    uint32_t key[8];
    uint32_t flags;
    uint32_t stacked;  // subtrees
    uint64_t chunk;    // the number of the present one; of its bytes these went into cv:
    uint32_t chunk_bytes;
    uint32_t block_bytes;  // and these wait
    uint32_t cv[8];
    uint8_t block[kBlockBytes];
    uint8_t stack[kDepthMax][kDigestBytes];  // complete subtrees, the largest first
  };
  static_assert(sizeof(Stream) <= sizeof(HashState));
  static Stream& stream(HashState* state) { return *reinterpret_cast<Stream*>(state->bytes); }
  static const Stream& stream(const HashState* state) {
    return *reinterpret_cast<const Stream*>(state->bytes);
  }

  // A compression that may be the root's.
  struct Node {
    uint32_t cv[8];
    uint8_t block[kBlockBytes];
    uint64_t counter;
    uint32_t bytes;
    uint32_t flags;

    void permuted(uint64_t count, uint32_t more_flags, uint32_t v[16]) const {
      const uint8_t* const at = block;
      uint32_t m[16];
      load_block<ByteOrder::kLittle, 16>(&at, 0, m);
      permute(cv, m, static_cast<uint32_t>(count), static_cast<uint32_t>(count >> 32), bytes,
              flags | more_flags, v);
    }
    void chaining_value(uint8_t* out) const {
      uint32_t v[16];
      permuted(counter, 0, v);
      for (int i = 0; i < 8; ++i) v[i] ^= v[8 + i];
      store(v, out);
    }
    void output(uint64_t position, uint8_t* out, size_t bytes_wanted) const {
      while (bytes_wanted > 0) {
        uint32_t v[16];
        uint8_t piece[kBlockBytes];
        permuted(position / kBlockBytes, kRoot, v);
        for (int i = 0; i < 8; ++i) {
          store_word<ByteOrder::kLittle>(v[i] ^ v[8 + i], piece + 4 * i);
          store_word<ByteOrder::kLittle>(v[8 + i] ^ cv[i], piece + 32 + 4 * i);
        }
        const size_t from = position % kBlockBytes;
        const size_t n = kBlockBytes - from < bytes_wanted ? kBlockBytes - from : bytes_wanted;
        __builtin_memcpy(out, piece + from, n);
        position += n;
        out += n;
        bytes_wanted -= n;
      }
    }
  };

  static void set(uint32_t to[8], const uint32_t from[8]) {
    for (int i = 0; i < 8; ++i) to[i] = from[i];
  }

  static Node parent(const Stream& s, const uint8_t* left, const uint8_t* right) {
    Node node;
    set(node.cv, s.key);
    __builtin_memcpy(node.block, left, kDigestBytes);
    __builtin_memcpy(node.block + kDigestBytes, right, kDigestBytes);
    node.counter = 0;
    node.bytes = kBlockBytes;
    node.flags = s.flags | kParent;
    return node;
  }

  static uint32_t start_flag(const Stream& s) { return s.chunk_bytes == 0 ? kChunkStart : 0; }

  // The present chunk's last block, as far as it is known.
  static Node last_block(const Stream& s) {
    Node node;
    set(node.cv, s.cv);
    __builtin_memset(node.block, 0, kBlockBytes);
    __builtin_memcpy(node.block, s.block, s.block_bytes);
    node.counter = s.chunk;
    node.bytes = s.block_bytes;
    node.flags = s.flags | start_flag(s) | kChunkEnd;
    return node;
  }

  static Node root(const Stream& s) {
    Node node = last_block(s);
    for (uint32_t i = s.stacked; i-- > 0;) {
      uint8_t right[kDigestBytes];
      node.chaining_value(right);
      node = parent(s, s.stack[i], right);
    }
    return node;
  }

  // The subtree of 2^height chunks that end before s.chunk, merged with those that it completes.
  // More must follow: none of them is the root.
  static void push(Stream& s, uint8_t* subtree, unsigned height) {
    for (uint64_t n = s.chunk >> height; n % 2 == 0; n /= 2) {
      --s.stacked;
      parent(s, s.stack[s.stacked], subtree).chaining_value(subtree);
    }
    __builtin_memcpy(s.stack[s.stacked++], subtree, kDigestBytes);
  }

  static void begin_chunk(Stream& s) {
    set(s.cv, s.key);
    s.chunk_bytes = 0;
    s.block_bytes = 0;
  }

  static void begin(HashState* state, const uint32_t key[8], uint32_t flags) {
    Stream& s = stream(state);
    set(s.key, key);
    s.flags = flags;
    s.stacked = 0;
    s.chunk = 0;
    begin_chunk(s);
  }
};

// The functions of HashKernel, W for many nodes.
template <class W>
struct Blake3Instance : Blake3 {
  static constexpr unsigned kLanes = kLanesOf<W>;
  // So many are quicker one by one.
  static constexpr unsigned kFewLanes = kLanes > 4 ? 2 : 1;

  static void nodes(const uint32_t key[8], const Nodes& shape, size_t count, uint8_t* out) {
    if (count > kFewLanes) {
      hash_nodes<W>(key, shape, count, out);
    } else {
      hash_nodes<uint32_t>(key, shape, count, out);
    }
  }

  // --- a message in pieces
  // ------------------------------------------------------------------------

  // A subtree's lanes are idle near its top: with so many chunks that is 1 % of the time.
  static constexpr unsigned kHeightMax = 8;

  // The subtree of 2^height chunks that begins at s.chunk.
  static void add_subtree(Stream& s, const uint8_t* data, unsigned height) {
    uint8_t cvs[kDigestBytes << kHeightMax];
    size_t count = size_t{1} << height;
    nodes(s.key, {data, kChunkBytes / kBlockBytes, s.flags, kChunkStart, kChunkEnd, s.chunk, true},
          count, cvs);
    for (; count > 1; count /= 2) {
      nodes(s.key, {cvs, 1, s.flags, kParent, 0, 0, false}, count / 2, cvs);
    }
    s.chunk += uint64_t{1} << height;
    push(s, cvs, height);
  }

  static void end_chunk(Stream& s) {
    uint8_t cv[kDigestBytes];
    last_block(s).chaining_value(cv);
    ++s.chunk;
    push(s, cv, 0);
    begin_chunk(s);
  }

  static void add_block(Stream& s, const uint8_t* block) {
    uint32_t m[16];
    load_block<ByteOrder::kLittle, 16>(&block, 0, m);
    compress(s.cv, m, static_cast<uint32_t>(s.chunk), static_cast<uint32_t>(s.chunk >> 32),
             uint32_t{kBlockBytes}, s.flags | start_flag(s));
    s.chunk_bytes += kBlockBytes;
  }

  // What may be the last block, or chunk, waits until more comes.
  static void update(HashState* state, const uint8_t* data, size_t bytes) {
    Stream& s = stream(state);
    while (bytes > 0) {
      if (s.chunk_bytes + s.block_bytes == kChunkBytes) end_chunk(s);
      size_t n;
      if (s.chunk_bytes + s.block_bytes == 0 && bytes > kChunkBytes) {
        unsigned height = 0;
        while (height < kHeightMax && s.chunk % (uint64_t{2} << height) == 0 &&
               bytes > kChunkBytes << (height + 1)) {
          ++height;
        }
        n = kChunkBytes << height;
        add_subtree(s, data, height);
      } else {
        if (s.block_bytes == kBlockBytes) {
          add_block(s, s.block);
          s.block_bytes = 0;
        }
        n = kBlockBytes - s.block_bytes < bytes ? kBlockBytes - s.block_bytes : bytes;
        __builtin_memcpy(s.block + s.block_bytes, data, n);
        s.block_bytes += static_cast<uint32_t>(n);
      }
      data += n;
      bytes -= n;
    }
  }

  static void begin(HashState* state) { Blake3::begin(state, kIv, 0); }
  static void finish(HashState* state, uint8_t* digest) {
    root(stream(state)).output(0, digest, kDigestBytes);
  }

  // --- nodes of any shapes
  // ------------------------------------------------------------------------

  struct Node {
    HashInput in;
    int prefix;
    uint32_t flags, first_flags, last_flags;
    uint64_t counter;
    uint8_t* out;
  };

  struct Engine {
    static constexpr unsigned kLanes = Blake3Instance::kLanes;
    static constexpr unsigned kFewLanes = Blake3Instance::kFewLanes;
    static constexpr size_t kBlockBytes = Blake3::kBlockBytes;
    // What of a lane's node is not in its runs yet.
    struct Rest {
      const Node* node;
      const uint8_t* data;
      size_t bytes;
      bool is_first, is_last;
      uint8_t copy[Blake3::kBlockBytes];
    };

    const Node* nodes;
    const uint8_t* at[kLanes];
    size_t blocks[kLanes];
    Rest rest[kLanes];
    uint32_t cv[8][kLanes];
    uint32_t counter_low[kLanes], counter_high[kLanes], block_bytes[kLanes], flags[kLanes];

    [[nodiscard]] size_t size(size_t index) const { return nodes[index].in.bytes / kBlockBytes; }

    void begin(unsigned lane, size_t index) {
      const Node& node = nodes[index];
      for (int i = 0; i < 8; ++i) cv[i][lane] = kIv[i];
      counter_low[lane] = static_cast<uint32_t>(node.counter);
      counter_high[lane] = static_cast<uint32_t>(node.counter >> 32);
      rest[lane].node = &node;
      rest[lane].data = node.in.data;
      rest[lane].bytes = node.in.bytes;
      rest[lane].is_first = true;
      rest[lane].is_last = false;
      advance(lane);
    }

    bool advance(unsigned lane) {
      Rest& r = rest[lane];
      if (r.is_last) return false;
      const bool has_prefix = r.is_first && r.node->prefix != kNoPrefix;
      const size_t bytes = r.bytes + has_prefix;
      r.is_last = bytes <= kBlockBytes;
      flags[lane] = r.node->flags | (r.is_first ? r.node->first_flags : 0) |
                    (r.is_last ? r.node->last_flags : 0);
      block_bytes[lane] = static_cast<uint32_t>(r.is_last ? bytes : kBlockBytes);
      blocks[lane] = r.is_first || r.is_last ? 1 : (bytes - 1) / kBlockBytes;
      const size_t taken = r.is_last ? r.bytes : blocks[lane] * kBlockBytes - has_prefix;
      at[lane] = r.data;
      if (has_prefix || taken < kBlockBytes) {
        __builtin_memset(r.copy, 0, kBlockBytes);
        if (has_prefix) r.copy[0] = static_cast<uint8_t>(r.node->prefix);
        if (taken > 0) __builtin_memcpy(r.copy + has_prefix, r.data, taken);
        at[lane] = r.copy;
      }
      r.data += taken;
      r.bytes -= taken;
      r.is_first = false;
      return true;
    }

    void end(unsigned lane) {
      for (int i = 0; i < 8; ++i) {
        store_word<ByteOrder::kLittle>(cv[i][lane], rest[lane].node->out + 4 * i);
      }
    }

    // V's lanes, from this one on.
    template <class V>
    void run_lanes(unsigned first, size_t n) {
      V state[8], low, high, bytes, flag;
      for (int i = 0; i < 8; ++i) load_lanes(cv[i] + first, state[i]);
      load_lanes(counter_low + first, low);
      load_lanes(counter_high + first, high);
      load_lanes(block_bytes + first, bytes);
      load_lanes(flags + first, flag);
      for (size_t block = 0; block < n; ++block) {
        V m[16];
        load_block<ByteOrder::kLittle, 16>(at + first, block * kBlockBytes, m);
        compress(state, m, low, high, bytes, flag);
      }
      for (int i = 0; i < 8; ++i) store_lanes(state[i], cv[i] + first);
    }
    void run(size_t n) { run_lanes<W>(0, n); }
    void run_alone(unsigned lane) { run_lanes<uint32_t>(lane, blocks[lane]); }
  };

  // --- messages
  // -----------------------------------------------------------------------------------

  // Messages whose trees are built side by side, level by level.
  struct Batch {
    static constexpr size_t kNodesMax = 256;
    struct Tree {
      size_t first, count;  // of its chaining values in cv
      uint8_t* digest;
    };
    size_t node_count = 0, tree_count = 0;
    Node node[kNodesMax];
    Tree tree[kNodesMax];
    uint8_t cv[kNodesMax][kDigestBytes];

    static size_t chunks(size_t bytes) { return bytes == 0 ? 1 : (bytes - 1) / kChunkBytes + 1; }

    // Whether there was room.
    bool add(int prefix, const HashInput& in, uint8_t* digest) {
      const size_t prefix_bytes = prefix == kNoPrefix ? 0 : 1;
      const size_t count = chunks(prefix_bytes + in.bytes);
      if (node_count + count > kNodesMax) return false;
      tree[tree_count++] = {node_count, count, digest};
      const uint8_t* data = in.data;
      size_t bytes = in.bytes;
      for (size_t i = 0; i < count; ++i) {
        const size_t room = kChunkBytes - (i == 0 ? prefix_bytes : 0);
        const size_t n = bytes < room ? bytes : room;
        node[node_count] = {{data, n},
                            i == 0 ? prefix : kNoPrefix,
                            0,
                            kChunkStart,
                            kChunkEnd | (count == 1 ? kRoot : 0),
                            i,
                            count == 1 ? digest : cv[node_count]};
        ++node_count;
        data += n;
        bytes -= n;
      }
      return true;
    }

    void hash() {
      run();
      for (;;) {
        node_count = 0;
        for (size_t i = 0; i < tree_count; ++i) add_parents(tree[i]);
        if (node_count == 0) break;
        run();
        for (size_t i = 0; i < tree_count; ++i) halve(tree[i]);
      }
      tree_count = 0;
    }

   private:
    void run() {
      Engine engine;
      engine.nodes = node;
      run_in_lanes(engine, node_count);
    }

    // Their values go to the front of their children's: in this order none is overwritten that is
    // still to be read.
    void add_parents(const Tree& t) {
      const bool is_top = t.count == 2;
      for (size_t i = 0; i < t.count / 2; ++i) {
        node[node_count++] = {
            {cv[t.first + 2 * i], kBlockBytes}, kNoPrefix, kParent | (is_top ? kRoot : 0), 0, 0, 0,
            is_top ? t.digest : cv[t.first + i]};
      }
    }
    // The last child may have had no sibling.
    void halve(Tree& t) {
      const bool is_odd = t.count > 1 && t.count % 2 == 1;
      if (is_odd) {
        __builtin_memcpy(cv[t.first + t.count / 2], cv[t.first + t.count - 1], kDigestBytes);
      }
      t.count = (t.count + 1) / 2;
    }
  };

  // input(i) is message i.
  template <class F>
  static void all(int prefix, F input, size_t count, uint8_t* digests) {
    Batch batch;
    for (size_t i = 0; i < count; ++i) {
      const HashInput in = input(i);
      uint8_t* const digest = digests + i * kDigestBytes;
      if (batch.add(prefix, in, digest)) continue;
      batch.hash();
      if (!batch.add(prefix, in, digest)) long_message(prefix, in, digest);
    }
    batch.hash();
  }

  static void long_message(int prefix, const HashInput& in, uint8_t* digest) {
    HashState state;
    begin(&state);
    const uint8_t byte = static_cast<uint8_t>(prefix);
    if (prefix != kNoPrefix) update(&state, &byte, 1);
    update(&state, in.data, in.bytes);
    finish(&state, digest);
  }

  static void many(int prefix, const HashInput* in, size_t count, uint8_t* digests) {
    all(
        prefix, [in](size_t i) { return in[i]; }, count, digests);
  }

  static void fixed(int prefix, const uint8_t* in, size_t length, size_t count, uint8_t* digests) {
    if (prefix == kNoPrefix && length % kBlockBytes == 0 && 0 < length && length <= kChunkBytes) {
      nodes(kIv, {in, length / kBlockBytes, 0, kChunkStart, kChunkEnd | kRoot, 0, false}, count,
            digests);
    } else {
      all(
          prefix,
          [in, length](size_t i) {
            return HashInput{in + i * length, length};
          },
          count, digests);
    }
  }

  static constexpr HashKernel kernel(const char* name) {
    return {name, kDigestBytes, fixed, many, begin, update, finish};
  }
};

}  // namespace
}  // namespace colophon::kernels
