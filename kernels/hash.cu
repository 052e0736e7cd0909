// SPDX-License-Identifier: Apache-2.0
//
// The kernels of hash_cuda.h but for those of merkle.cu: a thread a digest, or a chunk of BLAKE3.
#include "kernels/blake3_cuda.h"
#include "kernels/hash_cuda.h"
#include "kernels/keccak_cuda.h"
#include "kernels/messages_cuda.h"
#include "kernels/sha256_cuda.h"
#include "kernels/sha512_cuda.h"
#include "kernels/sm3_cuda.h"

namespace colophon::kernels {
namespace {

constexpr uint32_t kThreads = kHashCudaThreads;

__device__ uint32_t thread_index() { return blockIdx.x * blockDim.x + threadIdx.x; }

// Two digests, with a prefix or without, in the first words of `message`; then `padding`.
template <bool kHasPrefix, int kPairWords, int kWords>
__device__ void load_pair(const HashCudaPairs& pairs, uint32_t i, uint32_t padding,
                          uint32_t (&message)[kWords]) {
  uint32_t pair[kPairWords];
  load_words(pairs.inputs + size_t{kPairWords} * i, pair);
  COLOPHON_UNROLL
  for (int k = 0; k < kWords; ++k) message[k] = k < kPairWords ? pair[k] : 0;
  if constexpr (kHasPrefix) {
    message[0] = pair[0] << 8 | pairs.prefix;
    COLOPHON_UNROLL
    for (int k = 1; k < kPairWords; ++k) message[k] = __funnelshift_l(pair[k - 1], pair[k], 8);
    message[kPairWords] = pair[kPairWords - 1] >> 24 | padding << 8;
  } else if constexpr (kWords > kPairWords) {
    message[kPairWords] = padding;
  }
}

template <class Hash, bool kHasPrefix>
__device__ void hash_pairs(const HashCudaPairs& pairs) {
  constexpr int kPairWords = 2 * Hash::kDigestWords;
  constexpr uint64_t kBytes = 4 * kPairWords + (kHasPrefix ? 1 : 0);
  constexpr bool kEndsWithPadding = !kHasPrefix && Hash::kHasPaddingBlock;
  static_assert(!Hash::kHasPaddingBlock || kPairWords == Hash::kBlockWords);
  constexpr int kBlocks = kEndsWithPadding ? 1 : static_cast<int>(Hash::blocks(kBytes));
  const uint32_t i = thread_index();
  if (i >= pairs.count) return;
  uint32_t message[kBlocks * Hash::kBlockWords];
  load_pair<kHasPrefix, kPairWords>(pairs, i, Hash::kPadding, message);
  Hash hash{Multiplier(pairs.one)};
#pragma unroll
  for (int k = 0; k < kBlocks; ++k) {
    uint32_t block[Hash::kBlockWords];
    COLOPHON_UNROLL
    for (int j = 0; j < Hash::kBlockWords; ++j) block[j] = message[k * Hash::kBlockWords + j];
    if (k + 1 == kBlocks && !kEndsWithPadding) Hash::finish(block, kBytes);
    hash.absorb(block);
  }
  if constexpr (kEndsWithPadding) hash.absorb_padding();
  uint32_t digest[Hash::kDigestWords];
  hash.digest(digest);
  store_words(pairs.digests + size_t{Hash::kDigestWords} * i, digest);
}

template <class Hash>
__device__ void hash_messages(const HashCudaMessages& messages) {
  const uint32_t i = thread_index();
  if (i >= messages.count) return;
  const Message message(messages, i);
  MessageReader<Hash::kPadding> reader(messages.bytes, message, 0, message.bytes);
  Hash hash{Multiplier(messages.one)};
#pragma unroll 1
  for (uint64_t left = Hash::blocks(message.bytes); left > 0; --left) {
    uint32_t block[Hash::kBlockWords];
    reader.read(block);
    if (left == 1) Hash::finish(block, message.bytes);
    hash.absorb(block);
  }
  uint32_t digest[Hash::kDigestWords];
  hash.digest(digest);
  store_words(messages.digests + size_t{Hash::kDigestWords} * i, digest);
}

// --- BLAKE3 --------------------------------------------------------------------------------------

__device__ void store_value(uint32_t* values, uint32_t i, const Blake3& blake) {
  uint32_t value[8];
  blake.copy_value(value);
  store_words(values + size_t{8} * i, value);
}

template <bool kHasPrefix>
__device__ void hash_blake3_pairs(const HashCudaPairs& pairs) {
  const uint32_t i = thread_index();
  if (i >= pairs.count) return;
  uint32_t message[kHasPrefix ? 32 : 16], block[16];
  load_pair<kHasPrefix, 16>(pairs, i, 0, message);
  COLOPHON_UNROLL
  for (int k = 0; k < 16; ++k) block[k] = message[k];
  Blake3 blake{Multiplier(pairs.one)};
  constexpr uint32_t kEnd = kBlake3ChunkEnd | kBlake3Root;
  blake.compress(block, 0, kBlake3BlockBytes, kBlake3ChunkStart | (kHasPrefix ? 0 : kEnd));
  if constexpr (kHasPrefix) {
    COLOPHON_UNROLL
    for (int k = 0; k < 16; ++k) block[k] = message[16 + k];
    blake.compress(block, 0, 1, kEnd);
  }
  store_value(pairs.digests, i, blake);
}

// Where a message's first chunk stands.
__device__ uint32_t first_place(const HashCudaMessages& messages, uint32_t i) {
  return static_cast<uint32_t>(messages.offsets[i] / kBlake3ChunkBytes) + i;
}

// The message whose chunk stands at a place.
__device__ uint32_t message_at(const HashCudaMessages& messages, uint32_t place) {
  uint32_t low = 0;
  uint32_t high = messages.count;  // the first message behind the place, or more
#pragma unroll 1
  while (high - low > 1) {
    const uint32_t middle = low + (high - low) / 2;
    if (first_place(messages, middle) <= place) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}

__device__ uint64_t chunk_count(const Message& message) {
  return message.bytes <= kBlake3ChunkBytes ? 1 : (message.bytes - 1) / kBlake3ChunkBytes + 1;
}

}  // namespace

__global__ void __launch_bounds__(kThreads) sha512_cuda_pairs(HashCudaPairs pairs) {
  hash_pairs<Sha512, false>(pairs);
}
__global__ void __launch_bounds__(kThreads) sha512_cuda_nodes(HashCudaPairs pairs) {
  hash_pairs<Sha512, true>(pairs);
}
__global__ void __launch_bounds__(kThreads) sm3_cuda_pairs(HashCudaPairs pairs) {
  hash_pairs<Sm3, false>(pairs);
}
__global__ void __launch_bounds__(kThreads) sm3_cuda_nodes(HashCudaPairs pairs) {
  hash_pairs<Sm3, true>(pairs);
}
__global__ void __launch_bounds__(kThreads) blake3_cuda_pairs(HashCudaPairs pairs) {
  hash_blake3_pairs<false>(pairs);
}
__global__ void __launch_bounds__(kThreads) blake3_cuda_nodes(HashCudaPairs pairs) {
  hash_blake3_pairs<true>(pairs);
}
__global__ void __launch_bounds__(kThreads) keccak256_cuda_pairs(HashCudaPairs pairs) {
  hash_pairs<Keccak256, false>(pairs);
}
__global__ void __launch_bounds__(kThreads) keccak256_cuda_nodes(HashCudaPairs pairs) {
  hash_pairs<Keccak256, true>(pairs);
}

__global__ void __launch_bounds__(kThreads) sha256_cuda_messages(HashCudaMessages messages) {
  hash_messages<Sha256>(messages);
}
__global__ void __launch_bounds__(kThreads) sha512_cuda_messages(HashCudaMessages messages) {
  hash_messages<Sha512>(messages);
}
__global__ void __launch_bounds__(kThreads) sm3_cuda_messages(HashCudaMessages messages) {
  hash_messages<Sm3>(messages);
}
__global__ void __launch_bounds__(kThreads) keccak256_cuda_messages(HashCudaMessages messages) {
  hash_messages<Keccak256>(messages);
}

__global__ void __launch_bounds__(kThreads) blake3_cuda_chunks(Blake3CudaMessages all) {
  const HashCudaMessages& messages = all.messages;
  const uint32_t place = thread_index();
  if (place >= all.places) return;
  const uint32_t i = message_at(messages, place);
  const Message message(messages, i);
  const uint64_t chunk = place - first_place(messages, i);
  const uint64_t chunks = chunk_count(message);
  if (chunk >= chunks) return;
  const uint64_t from = chunk * kBlake3ChunkBytes;
  uint32_t left = static_cast<uint32_t>(min(message.bytes - from, uint64_t{kBlake3ChunkBytes}));
  MessageReader<0> reader(messages.bytes, message, from, left);
  Blake3 blake{Multiplier(messages.one)};
  uint32_t flags = kBlake3ChunkStart;
  bool is_last = false;
#pragma unroll 1
  while (!is_last) {
    const uint32_t bytes = min(left, kBlake3BlockBytes);
    left -= bytes;
    is_last = left == 0;
    if (is_last) flags |= kBlake3ChunkEnd | (chunks == 1 ? kBlake3Root : 0);
    uint32_t block[16];
    reader.read(block);
    blake.compress(block, chunk, bytes, flags);
    flags = 0;
  }
  if (chunks == 1) {
    store_value(messages.digests, i, blake);
  } else {
    store_value(all.values, place, blake);
  }
}

// A tree of n chunks splits at the largest power of two below n: what stands alone at a level is
// joined at a later one.
__global__ void __launch_bounds__(kThreads) blake3_cuda_parents(Blake3CudaMessages all) {
  const HashCudaMessages& messages = all.messages;
  const uint32_t place = thread_index();
  if (place >= all.places) return;
  const uint32_t i = message_at(messages, place);
  const uint64_t chunk = place - first_place(messages, i);
  const uint64_t chunks = chunk_count(Message(messages, i));
  const uint64_t step = uint64_t{1} << (all.level - 1);
  if (chunk % (2 * step) != 0 || chunk + step >= chunks) return;
  const bool is_root = 2 * step >= chunks;
  uint32_t left[8], right[8], block[16];
  load_words(all.values + size_t{8} * place, left);
  load_words(all.values + size_t{8} * (place + step), right);
  COLOPHON_UNROLL
  for (int k = 0; k < 8; ++k) {
    block[k] = left[k];
    block[8 + k] = right[k];
  }
  Blake3 blake{Multiplier(messages.one)};
  blake.compress(block, 0, kBlake3BlockBytes, kBlake3Parent | (is_root ? kBlake3Root : 0));
  if (is_root) {
    store_value(messages.digests, i, blake);
  } else {
    store_value(all.values, place, blake);
  }
}

}  // namespace colophon::kernels
