// SPDX-License-Identifier: Apache-2.0
//
// Hashing on a GPU: the kernels of hash.cu and merkle.cu, what they are given and how they are
// launched. Launched by cudaLaunchKernel with the functions' addresses, or <<<>>>, with
// kHashCudaThreads threads a block; each takes one structure. All memory is the caller's, in the
// device; kernels only read what is const here, and what they write overlaps nothing that they
// read. Digests are bytes as they come, moved in words, 16-byte aligned, without gaps.
//
//   digests of pairs     ALGORITHM_cuda_pairs or, with a byte before each pair, ..._nodes; for
//                        kSha256 also sha256_cuda_leaves, of a byte and one digest
//   digests of messages  ALGORITHM_cuda_messages; for BLAKE3 blake3_cuda_chunks, then
//                        blake3_cuda_parents for level 1 to blake3_cuda_levels(longest message)
//   Merkle trees         merkle_cuda_tiles, ..._tiles_of_leaves: eight levels of an RFC 6962 tree
//
// SHA-256 and SHA-512: FIPS 180-4; SM3: GB/T 32905-2016; BLAKE3: its paper, §2, in the mode "hash";
// Keccak-256: Keccak[c = 512] with the padding of Keccak (round 3 submission), as Ethereum has it.
#pragma once

#include <stddef.h>
#include <stdint.h>

#if defined(__CUDACC__)
#define COLOPHON_KERNEL __global__
#else
#define COLOPHON_KERNEL
#endif

namespace colophon::kernels {

constexpr uint32_t kHashCudaThreads = 256;  // a block, of every kernel here
constexpr uint32_t hash_cuda_blocks(uint64_t threads) {
  return static_cast<uint32_t>((threads + kHashCudaThreads - 1) / kHashCudaThreads);
}

// digests[i] = H(inputs[2i] ‖ inputs[2i + 1]), with `prefix` before them in ..._nodes;
// sha256_cuda_leaves: H(prefix ‖ inputs[i]). A thread each.
struct HashCudaPairs {
  const uint32_t* inputs;
  uint32_t* digests;
  uint32_t count;   // of digests
  uint32_t prefix;  // a byte
  // 1. The multiplier adds by it what the other pipe has no time for; a compiler that knew the
  // number would add on that pipe again.
  uint32_t one = 1;
};

constexpr uint32_t kHashCudaNoPrefix = 256;

// digests[i] = H(bytes[offsets[i], offsets[i + 1])), or of `prefix` and those. A thread each.
struct HashCudaMessages {
  const uint8_t* bytes;  // 4-byte aligned; read in whole aligned words that hold a message's byte
  const uint64_t* offsets;  // count + 1, which never decrease
  uint32_t* digests;
  uint32_t count;
  uint32_t prefix;  // a byte or kHashCudaNoPrefix
  uint32_t one = 1;
};

// BLAKE3 hashes chunks of 1,024 bytes, a thread each, then pairs of chaining values. Message i's
// first is at place offsets[i] / 1024 + i: none meets another's, and the prefix has room.
struct Blake3CudaMessages {
  HashCudaMessages messages;
  uint32_t* values;  // scratch: 32 bytes a place, 16-byte aligned
  uint32_t places;   // blake3_cuda_places(...); below 2^31
  uint32_t level;    // of blake3_cuda_parents: 1, 2, ...
};
constexpr uint32_t kBlake3ChunkBytes = 1024;
// Of offsets[count] bytes; a thread each, in both kernels.
constexpr uint64_t blake3_cuda_places(uint64_t bytes, uint64_t count) {
  return bytes / kBlake3ChunkBytes + count;
}
// Levels of pairs over the chunks of a message, whose prefix is counted among its bytes.
constexpr uint32_t blake3_cuda_levels(uint64_t bytes) {
  uint32_t levels = 0;
  while (uint64_t{kBlake3ChunkBytes} << levels < bytes) ++levels;
  return levels;
}

// roots[i]: of the complete subtree over inputs[256 i, 256 i + 256), which are leaf hashes, or in
// ..._tiles_of_leaves leaves of 32 bytes. RFC 6962, SHA-256.
struct MerkleCudaTiles {
  const uint32_t* inputs;
  uint32_t* roots;
  uint32_t count;  // of roots
  uint32_t one = 1;
};
constexpr uint32_t kMerkleCudaTileLeaves = 256;
constexpr uint32_t kMerkleCudaTilesABlock = 8;
constexpr uint32_t merkle_cuda_blocks(uint32_t tiles) {
  return (tiles + kMerkleCudaTilesABlock - 1) / kMerkleCudaTilesABlock;
}

COLOPHON_KERNEL void sha256_cuda_pairs(HashCudaPairs pairs);
COLOPHON_KERNEL void sha256_cuda_nodes(HashCudaPairs pairs);
COLOPHON_KERNEL void sha256_cuda_leaves(HashCudaPairs pairs);
COLOPHON_KERNEL void sha512_cuda_pairs(HashCudaPairs pairs);
COLOPHON_KERNEL void sha512_cuda_nodes(HashCudaPairs pairs);
COLOPHON_KERNEL void sm3_cuda_pairs(HashCudaPairs pairs);
COLOPHON_KERNEL void sm3_cuda_nodes(HashCudaPairs pairs);
COLOPHON_KERNEL void blake3_cuda_pairs(HashCudaPairs pairs);
COLOPHON_KERNEL void blake3_cuda_nodes(HashCudaPairs pairs);
COLOPHON_KERNEL void keccak256_cuda_pairs(HashCudaPairs pairs);
COLOPHON_KERNEL void keccak256_cuda_nodes(HashCudaPairs pairs);

COLOPHON_KERNEL void sha256_cuda_messages(HashCudaMessages messages);
COLOPHON_KERNEL void sha512_cuda_messages(HashCudaMessages messages);
COLOPHON_KERNEL void sm3_cuda_messages(HashCudaMessages messages);
COLOPHON_KERNEL void keccak256_cuda_messages(HashCudaMessages messages);
// The chunks' chaining values; of messages that are one chunk the digests.
COLOPHON_KERNEL void blake3_cuda_chunks(Blake3CudaMessages messages);
// Values 2^(level - 1) places apart become one; where they are a message's last two, its digest.
COLOPHON_KERNEL void blake3_cuda_parents(Blake3CudaMessages messages);

COLOPHON_KERNEL void merkle_cuda_tiles(MerkleCudaTiles tiles);
COLOPHON_KERNEL void merkle_cuda_tiles_of_leaves(MerkleCudaTiles tiles);

}  // namespace colophon::kernels
