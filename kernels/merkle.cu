// SPDX-License-Identifier: Apache-2.0
//
// SHA-256 of what Merkle trees are made of (hash_cuda.h), and eight levels of a tree in one launch.
#include "kernels/hash_cuda.h"
#include "kernels/sha256_cuda.h"

namespace colophon::kernels {
namespace {

constexpr uint32_t kThreads = kHashCudaThreads;

__device__ uint32_t thread_index() { return blockIdx.x * blockDim.x + threadIdx.x; }

// Words of a digest: as they are in memory, or with their bytes swapped, as SHA-256 counts.
enum class Form { kMemory, kValue };

// A word of a message that begins a byte before its digests: the last byte of `before` comes first.
template <Form kForm>
__device__ uint32_t shifted_word(uint32_t before, uint32_t word) {
  return kForm == Form::kMemory ? __byte_perm(before, word, 0x3456)
                                : __funnelshift_r(word, before, 8);
}
template <Form kForm>
__device__ uint32_t prefix_word(uint32_t prefix) {
  return kForm == Form::kMemory ? prefix << 24 : prefix;
}
// The message's last byte, and the padding's first.
template <Form kForm>
__device__ uint32_t last_word(uint32_t before) {
  return (kForm == Form::kMemory ? before & 0xff000000 : before << 24) | 0x00800000;
}
template <Form kForm, int kWords>
__device__ void shift_message(uint32_t prefix, const uint32_t (&words)[kWords], uint32_t (&w)[16]) {
  w[0] = shifted_word<kForm>(prefix_word<kForm>(prefix), words[0]);
  COLOPHON_UNROLL
  for (int i = 1; i < kWords; ++i) w[i] = shifted_word<kForm>(words[i - 1], words[i]);
}

template <bool kRolled, class Block, bool kIsFirst>
__device__ void compress(Sha256& sha, uint32_t (&w)[16]) {
  if constexpr (kRolled) {
    sha.compress_rolled<Block, kIsFirst>(w);
  } else {
    sha.compress<Block, kIsFirst>(w);
  }
}

// H(prefix ‖ leaf), as a value.
template <bool kRolled, Form kForm>
__device__ void hash_leaf(uint32_t prefix, const uint32_t (&leaf)[8], Multiplier multiplier,
                          uint32_t (&digest)[8]) {
  uint32_t w[16];
  shift_message<kForm>(prefix, leaf, w);
  w[8] = last_word<kForm>(leaf[7]);
  Sha256 sha(multiplier);
  compress<kRolled, Sha256Of33, true>(sha, w);
  sha.copy_hash(digest);
}

// H(prefix ‖ left ‖ right), as a value.
template <bool kRolled, Form kForm>
__device__ void hash_node(uint32_t prefix, const uint32_t (&pair)[16], Multiplier multiplier,
                          uint32_t (&digest)[8]) {
  uint32_t w[16];
  shift_message<kForm>(prefix, pair, w);
  Sha256 sha(multiplier);
  compress<kRolled, Sha256AnyBlock, true>(sha, w);
  w[0] = last_word<kForm>(pair[15]);
  compress<kRolled, Sha256EndOf65, false>(sha, w);
  sha.copy_hash(digest);
}

template <int kWords>
__device__ void swap_all(uint32_t (&words)[kWords]) {
  COLOPHON_UNROLL
  for (int i = 0; i < kWords; ++i) words[i] = swap_bytes(words[i]);
}
__device__ void store_digest(uint32_t* digests, uint32_t i, uint32_t (&digest)[8]) {
  swap_all(digest);
  store_words(digests + size_t{8} * i, digest);
}

// --- tiles ---------------------------------------------------------------------------------------

// A tile has 32 threads. Each hashes a subtree of eight leaves by itself, its unfinished nodes on a
// stack in shared memory; then the block joins the 256 nodes of its tiles, level by level. With one
// tile a block a third of the threads' time would be spent waiting, so it is a fiftieth.
constexpr uint32_t kLeavesEach = 8;
constexpr uint32_t kStackLevels = 4;  // of nodes over 1, 2, 4 and 8 leaves
static_assert(kMerkleCudaTilesABlock * kMerkleCudaTileLeaves == kThreads * kLeavesEach);
constexpr uint32_t kLeafPrefix = 0, kNodePrefix = 1;  // RFC 6962, §2.1

struct Digest {
  uint32_t word[8];
};
struct Pair {
  uint32_t word[16];
};
// Called, with everything in registers, so that it is in the code once.
__device__ __noinline__ Digest join(Pair pair, uint32_t one) {
  Digest digest;
  hash_node<true, Form::kValue>(kNodePrefix, pair.word, Multiplier(one), digest.word);
  return digest;
}

// Word by word, so that neighbours touch neighbouring banks; and read two at a time.
struct alignas(sizeof(uint2)) Level {
  uint32_t word[8][kThreads];
};

template <bool kOfLeaves>
__device__ void hash_tiles(const MerkleCudaTiles& tiles, Level* levels) {
  const Multiplier multiplier(tiles.one);
  const uint32_t thread = threadIdx.x;
  const uint32_t first = blockIdx.x * kMerkleCudaTilesABlock;
  const uint32_t count = min(tiles.count - first, kMerkleCudaTilesABlock);
  uint32_t nodes = count * (kMerkleCudaTileLeaves / kLeavesEach);
  Digest digest;
  Pair pair;

  const uint32_t* const own =
      tiles.inputs + size_t{8} * kLeavesEach * (blockIdx.x * kThreads + thread);
  const uint32_t leaves = thread < nodes ? kLeavesEach : 0;
#pragma unroll 1
  for (uint32_t i = 0; i < leaves; ++i) {
    load_words(own + 8 * i, digest.word);
    if (kOfLeaves) {
      uint32_t leaf[8];
      COLOPHON_UNROLL
      for (int k = 0; k < 8; ++k) leaf[k] = digest.word[k];
      hash_leaf<true, Form::kMemory>(kLeafPrefix, leaf, multiplier, digest.word);
    } else {
      swap_all(digest.word);
    }
    uint32_t level = 0;
#pragma unroll 1
    for (; (i >> level & 1) != 0; ++level) {
      COLOPHON_UNROLL
      for (int k = 0; k < 8; ++k) {
        pair.word[k] = levels[level].word[k][thread];
        pair.word[8 + k] = digest.word[k];
      }
      digest = join(pair, tiles.one);
    }
    COLOPHON_UNROLL
    for (int k = 0; k < 8; ++k) levels[level].word[k][thread] = digest.word[k];
  }

  uint32_t from = kStackLevels - 1;
  uint32_t to = 0;
#pragma unroll 1
  for (nodes /= 2;; nodes /= 2) {
    __syncthreads();
    if (thread < nodes) {
      COLOPHON_UNROLL
      for (int k = 0; k < 8; ++k) {
        const uint2 two = reinterpret_cast<const uint2*>(levels[from].word[k])[thread];
        pair.word[k] = two.x;
        pair.word[8 + k] = two.y;
      }
      digest = join(pair, tiles.one);
    }
    if (nodes == count) break;
    if (thread < nodes) {
      COLOPHON_UNROLL
      for (int k = 0; k < 8; ++k) levels[to].word[k][thread] = digest.word[k];
    }
    from = to;
    to = 1 - to;
  }
  if (thread < count) store_digest(tiles.roots, first + thread, digest.word);
}

}  // namespace

__global__ void __launch_bounds__(kThreads) sha256_cuda_pairs(HashCudaPairs pairs) {
  const uint32_t i = thread_index();
  if (i >= pairs.count) return;
  uint32_t w[16], digest[8];
  load_words(pairs.inputs + size_t{16} * i, w);
  swap_all(w);
  Sha256 sha{Multiplier(pairs.one)};
  sha.compress<Sha256Of64, true>(w);
  sha.compress<Sha256EndOf64, false>(w);
  sha.copy_hash(digest);
  store_digest(pairs.digests, i, digest);
}

__global__ void __launch_bounds__(kThreads) sha256_cuda_nodes(HashCudaPairs pairs) {
  const uint32_t i = thread_index();
  if (i >= pairs.count) return;
  uint32_t pair[16], digest[8];
  load_words(pairs.inputs + size_t{16} * i, pair);
  hash_node<false, Form::kMemory>(pairs.prefix, pair, Multiplier(pairs.one), digest);
  store_digest(pairs.digests, i, digest);
}

__global__ void __launch_bounds__(kThreads) sha256_cuda_leaves(HashCudaPairs pairs) {
  const uint32_t i = thread_index();
  if (i >= pairs.count) return;
  uint32_t leaf[8], digest[8];
  load_words(pairs.inputs + size_t{8} * i, leaf);
  hash_leaf<false, Form::kMemory>(pairs.prefix, leaf, Multiplier(pairs.one), digest);
  store_digest(pairs.digests, i, digest);
}

__global__ void __launch_bounds__(kThreads) merkle_cuda_tiles(MerkleCudaTiles tiles) {
  __shared__ Level levels[kStackLevels];
  hash_tiles<false>(tiles, levels);
}

__global__ void __launch_bounds__(kThreads) merkle_cuda_tiles_of_leaves(MerkleCudaTiles tiles) {
  __shared__ Level levels[kStackLevels];
  hash_tiles<true>(tiles, levels);
}

}  // namespace colophon::kernels
