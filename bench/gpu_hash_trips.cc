// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <string>
#include <vector>

#include "bench/gpu_trips.h"
#include "kernels/hash_cuda.h"

namespace colophon::bench {
namespace {

using kernels::kHashCudaThreads;

// Whole blocks.
constexpr std::uint32_t kHashes = 4 * kHashCudaThreads;
constexpr std::uint32_t kMessageBytes = 1024;

// What is hashed does not matter: no kernel's way depends on it.
const std::uint32_t* words(Gpu& gpu, std::size_t count) {
  const std::vector<std::uint32_t> some(count, 0x5a5a5a5a);
  return gpu.upload(some.data(), count);
}

void hash_pairs(Gpu& gpu, const std::string& algorithm, const std::string& kind) {
  const std::size_t digest_words = algorithm == "sha512" ? 16 : 8;
  const kernels::HashCudaPairs pairs{words(gpu, 2 * digest_words * kHashes),
                                     gpu.allocate<std::uint32_t>(digest_words * kHashes), kHashes,
                                     1};
  gpu.run(algorithm, algorithm + "_cuda_" + kind, kHashes, kernels::hash_cuda_blocks(kHashes),
          kHashCudaThreads, &pairs);
}

kernels::HashCudaMessages messages_of(Gpu& gpu, std::uint32_t bytes) {
  std::vector<std::uint64_t> offsets;
  for (std::uint64_t i = 0; i <= kHashes; ++i) offsets.push_back(bytes * i);
  return {reinterpret_cast<const std::uint8_t*>(words(gpu, std::size_t{kHashes} * bytes / 4)),
          gpu.upload(offsets.data(), offsets.size()),
          gpu.allocate<std::uint32_t>(std::size_t{16} * kHashes), kHashes,
          kernels::kHashCudaNoPrefix};
}

void hash_messages(Gpu& gpu, const std::string& algorithm) {
  const kernels::HashCudaMessages messages = messages_of(gpu, kMessageBytes);
  gpu.run(algorithm, algorithm + "_cuda_messages", kHashes, kernels::hash_cuda_blocks(kHashes),
          kHashCudaThreads, &messages);
}

// Messages of two chunks, each of which counts.
void hash_chunks(Gpu& gpu) {
  constexpr std::uint32_t kBytes = 2 * kernels::kBlake3ChunkBytes;
  const auto places = static_cast<std::uint32_t>(
      kernels::blake3_cuda_places(std::uint64_t{kHashes} * kBytes, kHashes));
  const kernels::Blake3CudaMessages work{
      messages_of(gpu, kBytes), gpu.allocate<std::uint32_t>(std::size_t{8} * places), places, 1};
  for (const char* kernel : {"blake3_cuda_chunks", "blake3_cuda_parents"}) {
    gpu.run("blake3", kernel, 2 * kHashes, kernels::hash_cuda_blocks(places), kHashCudaThreads,
            &work);
  }
}

void hash_tiles(Gpu& gpu, const char* kernel) {
  constexpr std::uint32_t kTiles = 2 * kernels::kMerkleCudaTilesABlock;
  constexpr std::uint32_t kLeaves = kTiles * kernels::kMerkleCudaTileLeaves;
  const kernels::MerkleCudaTiles tiles{words(gpu, std::size_t{8} * kLeaves),
                                       gpu.allocate<std::uint32_t>(std::size_t{8} * kTiles),
                                       kTiles};
  gpu.run("merkle", kernel, kLeaves, kernels::merkle_cuda_blocks(kTiles), kHashCudaThreads, &tiles);
}

}  // namespace

void run_hash_jobs(const char* hash_ptx_path, const char* merkle_ptx_path) {
  Gpu hash(hash_ptx_path);
  Gpu merkle(merkle_ptx_path);
  for (const char* kind : {"pairs", "nodes", "leaves"}) hash_pairs(merkle, "sha256", kind);
  for (const char* algorithm : {"sha256", "sha512", "sm3", "keccak256", "blake3"}) {
    if (algorithm != std::string("sha256")) {
      for (const char* kind : {"pairs", "nodes"}) hash_pairs(hash, algorithm, kind);
    }
    if (algorithm != std::string("blake3")) hash_messages(hash, algorithm);
  }
  hash_chunks(hash);
  hash_tiles(merkle, "merkle_cuda_tiles");
  hash_tiles(merkle, "merkle_cuda_tiles_of_leaves");
}

}  // namespace colophon::bench
