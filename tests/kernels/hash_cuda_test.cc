// SPDX-License-Identifier: Apache-2.0
//
// The CUDA kernels that hash, as the PTX that nvcc made of them, on the GPU emulator, against
// OpenSSL and the functions of hash_references.h: every kernel, numbers of hashes around every
// limit of warps and blocks, messages of every length and place. Accesses out of bounds, races and
// divergence fail a launch; so do writes to what a kernel only reads.
#include "kernels/hash_cuda.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "tests/kernels/hash_cuda_under_test.h"
#include "tests/kernels/hash_references.h"

namespace colophon::test {
namespace {

// The test vectors of BLAKE3's authors (bytes 0, 1, … 250, 0, …), and what Ethereum's users know.
TEST(HashReferencesTest, HavePublishedDigests) {
  const auto counted = [](std::size_t bytes) {
    std::string message;
    for (std::size_t i = 0; i < bytes; ++i) message += static_cast<char>(i % 251);
    return hex(blake3(message));
  };
  EXPECT_EQ(counted(0), "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
  EXPECT_EQ(counted(1), "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213");
  EXPECT_EQ(counted(1024), "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7");
  EXPECT_EQ(counted(1025), "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444");
  EXPECT_EQ(counted(2048), "e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a");
  EXPECT_EQ(hex(keccak256("")), "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
  EXPECT_EQ(hex(keccak256("abc")),
            "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45");
}

TEST(HashCudaTest, PairsOfEveryNumberAroundWarpsAndBlocks) {
  HashGpu gpu;
  std::mt19937_64 random(1);
  for (const auto order : {gpu_emulator::Order::kAscending, gpu_emulator::Order::kDescending}) {
    gpu.set(order, 0);
    for (const std::size_t count : {0, 1, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257}) {
      gpu.expect_all_pairs(random, count);
    }
  }
}

// Where carries travel far: words that are 0, 1, 2^32 - 1 and few others.
TEST(HashCudaTest, PairsOfExtremeWords) {
  HashGpu gpu;
  std::mt19937_64 random(2);
  for (const Algorithm& algorithm : algorithms()) {
    std::string inputs;
    while (inputs.size() < 2 * algorithm.digest_bytes * 512) {
      constexpr std::array<std::uint32_t, 6> kWords = {0,          1,          0xffffffff,
                                                       0xfffffffe, 0x80000000, 0x7fffffff};
      const std::uint32_t word = kWords[random() % kWords.size()];
      inputs.append(reinterpret_cast<const char*>(&word), sizeof(word));
    }
    gpu.expect_pairs(algorithm, "pairs", inputs, 0);
    for (const std::uint32_t prefix : {0, 1, 255}) {
      gpu.expect_pairs(algorithm, "nodes", inputs, prefix);
      if (&algorithm == algorithms().data()) gpu.expect_pairs(algorithm, "leaves", inputs, prefix);
    }
  }
}

TEST(HashCudaTest, MessagesOfEveryLengthAndPlace) {
  HashGpu gpu;
  std::mt19937_64 random(3);
  std::vector<std::string> messages;
  for (std::size_t length = 0; length <= 300; ++length) {
    messages.push_back(random_bytes(random, length));
  }
  for (const auto order : {gpu_emulator::Order::kAscending, gpu_emulator::Order::kDescending}) {
    gpu.set(order, 0);
    for (const std::uint32_t prefix : {kHashCudaNoPrefix, 0U, 1U, 255U}) {
      std::shuffle(messages.begin(), messages.end(), random);
      for (const std::size_t before : {0, 1, 2, 3}) {
        if (before > 1 && prefix > 1 && prefix < 256) continue;
        gpu.expect_messages(messages, prefix, before);
      }
    }
  }
}

TEST(HashCudaTest, MessagesOfEveryNumberAroundWarpsAndBlocks) {
  HashGpu gpu;
  std::mt19937_64 random(4);
  for (const std::size_t count : {1, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257}) {
    std::vector<std::string> messages;
    for (std::size_t i = 0; i < count; ++i)
      messages.push_back(random_bytes(random, random() % 150));
    gpu.expect_messages(messages, count % 2 == 0 ? 1 : kHashCudaNoPrefix, count % 4);
  }
}

// A buffer of nothing, and one in which nothing is hashed.
TEST(HashCudaTest, MessagesThatAreAllEmpty) {
  HashGpu gpu;
  for (const std::uint32_t prefix : {kHashCudaNoPrefix, 7U}) {
    for (const std::size_t before : {0, 5}) {
      gpu.expect_messages(std::vector<std::string>(40), prefix, before);
    }
  }
}

// Buffers of many gigabytes, of which the end is there.
TEST(HashCudaTest, MessagesFarIntoABuffer) {
  HashGpu gpu;
  std::mt19937_64 random(9);
  std::vector<std::string> messages;
  for (std::size_t i = 0; i < 100; ++i) messages.push_back(random_bytes(random, i / 2 % 2 * i));
  messages.resize(messages.size() + 2);  // behind all that may be read
  for (const std::uint64_t far : {0x3ffffffd0ULL, 0x400000000ULL, 0x7fffffffffff0ULL}) {
    for (const Algorithm& algorithm : algorithms()) {
      if (algorithm.name == std::string("blake3")) continue;  // would want scratch for all of it
      for (const std::uint32_t prefix : {kHashCudaNoPrefix, 1U}) {
        gpu.expect_messages(algorithm, messages, prefix, 0, far);
      }
    }
  }
}

// Chunks of BLAKE3 and their trees of every shape, among short messages.
TEST(HashCudaTest, LongMessages) {
  HashGpu gpu;
  std::mt19937_64 random(5);
  std::vector<std::string> messages;
  for (const std::size_t chunks : {1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17}) {
    for (const int more : {-65, -64, -63, -1, 0, 1, 64}) {
      messages.push_back(
          random_bytes(random, 1024 * chunks + static_cast<std::size_t>(more + 65) - 65));
      if (random() % 2 == 0) messages.push_back(random_bytes(random, random() % 1024));
    }
  }
  std::shuffle(messages.begin(), messages.end(), random);
  gpu.expect_messages(messages, kHashCudaNoPrefix, 2);
  gpu.expect_messages(messages, 1, 0);
}

TEST(HashCudaTest, TilesOfEveryNumberAroundBlocks) {
  HashGpu gpu;
  std::mt19937_64 random(6);
  for (const auto order : {gpu_emulator::Order::kAscending, gpu_emulator::Order::kDescending}) {
    gpu.set(order, 0);
    for (const std::size_t count : {1, 2, 3, 7, 8, 9, 16, 17}) {
      gpu.expect_tiles(random_bytes(random, 32 * kernels::kMerkleCudaTileLeaves * count));
    }
  }
}

// Warps stopped anywhere: what waits at no barrier that it needs would be found.
TEST(HashCudaTest, TilesInAnyOrderOfWarps) {
  HashGpu gpu;
  std::mt19937_64 random(7);
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    gpu.set(gpu_emulator::Order::kSeeded, seed);
    gpu.expect_tiles(random_bytes(random, 32 * kernels::kMerkleCudaTileLeaves * 9));
  }
}

TEST(HashCudaTest, EveryBlockOfEveryKernelIsReached) {
  HashGpu gpu;
  std::mt19937_64 random(8);
  gpu.expect_all_pairs(random, 257);
  std::vector<std::string> messages;
  for (std::size_t i = 0; i < 257; ++i) {
    messages.push_back(random_bytes(random, i % 50 == 0 ? 5'000 : i));
  }
  gpu.expect_messages(messages, kHashCudaNoPrefix, 1);
  gpu.expect_messages(messages, 1, 0);
  gpu.expect_tiles(random_bytes(random, 32 * kernels::kMerkleCudaTileLeaves * 9));
  std::vector<std::string> kernels = {
      "sha256_cuda_leaves",  "sha256_cuda_messages",    "sha512_cuda_messages",
      "sm3_cuda_messages",   "keccak256_cuda_messages", "blake3_cuda_chunks",
      "blake3_cuda_parents", "merkle_cuda_tiles",       "merkle_cuda_tiles_of_leaves"};
  for (const Algorithm& algorithm : algorithms()) {
    for (const char* kind : {"pairs", "nodes"}) {
      kernels.push_back(std::string(algorithm.name) + "_cuda_" + kind);
    }
  }
  for (const std::string& kernel : kernels) {
    Device& device = gpu.hasher_of(kernel).device();
    EXPECT_EQ(device.blocks_missed(kernel), 0) << device.coverage(kernel);
  }
}

}  // namespace
}  // namespace colophon::test
