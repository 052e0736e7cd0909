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
#include <functional>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "tests/effort.h"
#include "tests/kernels/emulated_device.h"
#include "tests/kernels/hash_references.h"

namespace colophon::test {
namespace {

using kernels::Blake3CudaMessages;
using kernels::HashCudaMessages;
using kernels::HashCudaPairs;
using kernels::kHashCudaNoPrefix;
using kernels::kHashCudaThreads;
using kernels::MerkleCudaTiles;

struct Algorithm {
  const char* name;
  std::size_t digest_bytes;
  std::function<std::string(const std::string&)> hash;
};
const std::vector<Algorithm>& algorithms() {
  const auto openssl = [](const char* name) {
    return [name](const std::string& message) { return openssl_hash(name, message); };
  };
  static const std::vector<Algorithm> all = {{"sha256", 32, openssl("SHA256")},
                                             {"sha512", 64, openssl("SHA512")},
                                             {"sm3", 32, openssl("SM3")},
                                             {"blake3", 32, blake3},
                                             {"keccak256", 32, keccak256}};
  return all;
}

std::string hex(const std::string& bytes) {
  std::string text;
  for (const char byte : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    text += {kDigits[static_cast<std::uint8_t>(byte) >> 4], kDigits[byte & 15]};
  }
  return text;
}

std::string random_bytes(std::mt19937_64& random, std::size_t count) {
  std::string bytes(count, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

std::string prefixed(std::uint32_t prefix, const std::string& bytes) {
  return prefix == kHashCudaNoPrefix ? bytes : static_cast<char>(prefix) + bytes;
}

// --- launches ------------------------------------------------------------------------------------

// One of the two modules, and its kernels launched as their header has it.
class Hasher {
 public:
  explicit Hasher(const char* ptx) : device_(file_text(ptx)) {}
  Device& device() { return device_; }

  // Of inputs of `input_bytes` each.
  std::string pairs(const std::string& kernel, const std::string& inputs, std::size_t input_bytes,
                    std::size_t digest_bytes, std::uint32_t prefix) {
    const auto count = static_cast<std::uint32_t>(inputs.size() / input_bytes);
    const DeviceBuffer in(device_, upload(inputs));
    const DeviceBuffer out(device_, allocate(digest_bytes * count));
    const HashCudaPairs pairs{in.as<std::uint32_t>(), out.as<std::uint32_t>(), count, prefix};
    launch(kernel, count, &pairs);
    return download(out.at(), digest_bytes * count);
  }

  // `before`: bytes of the buffer before the first message.
  std::vector<std::string> messages(const Algorithm& algorithm,
                                    const std::vector<std::string>& messages, std::uint32_t prefix,
                                    std::size_t before) {
    std::string bytes(before, '\x5a');
    std::vector<std::uint64_t> offsets = {before};
    std::size_t longest = 0;
    for (const std::string& message : messages) {
      bytes += message;
      offsets.push_back(bytes.size());
      longest = std::max(longest, message.size());
    }
    const std::uint64_t all = bytes.size();
    bytes.resize((bytes.size() + 3) / 4 * 4, '\x5a');
    const auto count = static_cast<std::uint32_t>(messages.size());
    const DeviceBuffer in(device_, upload(bytes));
    const DeviceBuffer at(device_, device_.upload(offsets, "offsets"));
    const DeviceBuffer out(device_, allocate(algorithm.digest_bytes * count));
    device_.protect(at.at());
    const HashCudaMessages hashed{in.as<std::uint8_t>(), at.as<std::uint64_t>(),
                                  out.as<std::uint32_t>(), count, prefix};
    if (algorithm.name == std::string("blake3")) {
      const auto places = static_cast<std::uint32_t>(kernels::blake3_cuda_places(all, count));
      const DeviceBuffer values(device_, allocate(std::size_t{32} * places));
      Blake3CudaMessages work{hashed, values.as<std::uint32_t>(), places, 0};
      launch("blake3_cuda_chunks", places, &work);
      const std::uint32_t levels =
          kernels::blake3_cuda_levels(longest + (prefix == kHashCudaNoPrefix ? 0 : 1));
      for (work.level = 1; work.level <= levels; ++work.level) {
        launch("blake3_cuda_parents", places, &work);
      }
    } else {
      launch(std::string(algorithm.name) + "_cuda_messages", count, &hashed);
    }
    const std::string digests = download(out.at(), algorithm.digest_bytes * count);
    std::vector<std::string> each;
    for (std::size_t i = 0; i < count; ++i) {
      each.push_back(digests.substr(algorithm.digest_bytes * i, algorithm.digest_bytes));
    }
    return each;
  }

  std::string tiles(const std::string& kernel, const std::string& inputs) {
    const auto count =
        static_cast<std::uint32_t>(inputs.size() / 32 / kernels::kMerkleCudaTileLeaves);
    const DeviceBuffer in(device_, upload(inputs));
    const DeviceBuffer out(device_, allocate(std::size_t{32} * count));
    const MerkleCudaTiles tiles{in.as<std::uint32_t>(), out.as<std::uint32_t>(), count};
    device_.launch(kernel, kernels::merkle_cuda_blocks(count), kHashCudaThreads, {&tiles});
    return download(out.at(), std::size_t{32} * count);
  }

 private:
  // Never of nothing; what is not written may not be read.
  DevicePointer allocate(std::size_t bytes) {
    return device_.allocate(std::max<std::size_t>(bytes, 4), "memory");
  }
  DevicePointer upload(const std::string& bytes) {
    if (bytes.empty()) return allocate(0);
    const DevicePointer at = device_.upload(std::vector<char>(bytes.begin(), bytes.end()), "in");
    device_.protect(at);
    return at;
  }
  std::string download(DevicePointer at, std::size_t bytes) {
    const std::vector<char> values = device_.download<char>(at, bytes);
    return {values.begin(), values.end()};
  }
  void launch(const std::string& kernel, std::uint64_t threads, const void* argument) {
    device_.launch(kernel, std::max(1U, kernels::hash_cuda_blocks(threads)), kHashCudaThreads,
                   {argument});
  }

  Device device_;
};

bool is_of_merkle(const std::string& kernel) {
  return kernel == "sha256_cuda_pairs" || kernel == "sha256_cuda_nodes" ||
         kernel == "sha256_cuda_leaves" || kernel.starts_with("merkle");
}

class HashCudaTest : public testing::Test {
 protected:
  Hasher& hasher_of(const std::string& kernel) { return is_of_merkle(kernel) ? merkle_ : hash_; }
  void set(gpu_emulator::Order order, std::uint64_t seed) {
    for (Hasher* const hasher : {&hash_, &merkle_}) {
      hasher->device().options().order = order;
      hasher->device().options().seed = seed;
    }
  }

  void expect_pairs(const Algorithm& algorithm, const std::string& kind, const std::string& inputs,
                    std::uint32_t prefix) {
    const std::string kernel = std::string(algorithm.name) + "_cuda_" + kind;
    const std::size_t input_bytes = algorithm.digest_bytes * (kind == "leaves" ? 1 : 2);
    const std::string digests = hasher_of(kernel).pairs(kernel, inputs, input_bytes,
                                                        algorithm.digest_bytes, prefix);
    const std::size_t count = inputs.size() / input_bytes;
    for (std::size_t i = 0; i < count; ++i) {
      const std::string input = inputs.substr(input_bytes * i, input_bytes);
      ASSERT_EQ(hex(digests.substr(algorithm.digest_bytes * i, algorithm.digest_bytes)),
                hex(algorithm.hash(kind == "pairs" ? input : prefixed(prefix, input))))
          << kernel << ", " << i << " of " << count << ", of " << hex(input);
    }
  }
  // Of all kernels that hash digests.
  void expect_all_pairs(std::mt19937_64& random, std::size_t count) {
    for (const Algorithm& algorithm : algorithms()) {
      const std::string inputs = random_bytes(random, 2 * algorithm.digest_bytes * count);
      expect_pairs(algorithm, "pairs", inputs, 0);
      expect_pairs(algorithm, "nodes", inputs, static_cast<std::uint8_t>(random()));
    }
    expect_pairs(algorithms()[0], "leaves", random_bytes(random, 32 * count),
                 static_cast<std::uint8_t>(random()));
  }

  void expect_messages(const std::vector<std::string>& messages, std::uint32_t prefix,
                       std::size_t before) {
    for (const Algorithm& algorithm : algorithms()) {
      const std::vector<std::string> digests =
          hash_.messages(algorithm, messages, prefix, before);
      for (std::size_t i = 0; i < messages.size(); ++i) {
        ASSERT_EQ(hex(digests[i]), hex(algorithm.hash(prefixed(prefix, messages[i]))))
            << algorithm.name << ", " << i << " of " << messages.size() << ", of "
            << messages[i].size() << " bytes";
      }
    }
  }

  void expect_tiles(const std::string& inputs) {
    const Algorithm& sha256 = algorithms()[0];
    for (const bool of_leaves : {false, true}) {
      std::vector<std::string> level;
      for (std::size_t at = 0; at < inputs.size(); at += 32) {
        const std::string input = inputs.substr(at, 32);
        level.push_back(of_leaves ? sha256.hash('\0' + input) : input);
      }
      for (int k = 0; k < 8; ++k) {
        for (std::size_t i = 0; i < level.size() / 2; ++i) {
          level[i] = sha256.hash('\1' + level[2 * i] + level[2 * i + 1]);
        }
        level.resize(level.size() / 2);
      }
      const std::string roots =
          merkle_.tiles(of_leaves ? "merkle_cuda_tiles_of_leaves" : "merkle_cuda_tiles", inputs);
      for (std::size_t i = 0; i < level.size(); ++i) {
        ASSERT_EQ(hex(roots.substr(32 * i, 32)), hex(level[i]))
            << "tile " << i << " of " << level.size() << (of_leaves ? ", of leaves" : "");
      }
    }
  }

  Hasher hash_{COLOPHON_HASH_PTX};
  Hasher merkle_{COLOPHON_MERKLE_PTX};
};

// --- tests ---------------------------------------------------------------------------------------

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

TEST_F(HashCudaTest, PairsOfEveryNumberAroundWarpsAndBlocks) {
  std::mt19937_64 random(1);
  for (const auto order : {gpu_emulator::Order::kAscending, gpu_emulator::Order::kDescending}) {
    set(order, 0);
    for (const std::size_t count : {0, 1, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257}) {
      expect_all_pairs(random, count);
    }
  }
}

// Where carries travel far: words that are 0, 1, 2^32 - 1 and few others.
TEST_F(HashCudaTest, PairsOfExtremeWords) {
  std::mt19937_64 random(2);
  for (const Algorithm& algorithm : algorithms()) {
    std::string inputs;
    while (inputs.size() < 2 * algorithm.digest_bytes * 512) {
      constexpr std::array<std::uint32_t, 6> kWords = {0,          1,          0xffffffff,
                                                       0xfffffffe, 0x80000000, 0x7fffffff};
      const std::uint32_t word = kWords[random() % kWords.size()];
      inputs.append(reinterpret_cast<const char*>(&word), sizeof(word));
    }
    expect_pairs(algorithm, "pairs", inputs, 0);
    for (const std::uint32_t prefix : {0, 1, 255}) {
      expect_pairs(algorithm, "nodes", inputs, prefix);
      if (&algorithm == algorithms().data()) expect_pairs(algorithm, "leaves", inputs, prefix);
    }
  }
}

TEST_F(HashCudaTest, MessagesOfEveryLengthAndPlace) {
  std::mt19937_64 random(3);
  std::vector<std::string> messages;
  for (std::size_t length = 0; length <= 300; ++length) {
    messages.push_back(random_bytes(random, length));
  }
  for (const auto order : {gpu_emulator::Order::kAscending, gpu_emulator::Order::kDescending}) {
    set(order, 0);
    for (const std::uint32_t prefix : {kHashCudaNoPrefix, 0U, 1U, 255U}) {
      std::shuffle(messages.begin(), messages.end(), random);
      for (const std::size_t before : {0, 1, 2, 3}) {
        if (before > 1 && prefix > 1 && prefix < 256) continue;
        expect_messages(messages, prefix, before);
      }
    }
  }
}

TEST_F(HashCudaTest, MessagesOfEveryNumberAroundWarpsAndBlocks) {
  std::mt19937_64 random(4);
  for (const std::size_t count : {1, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257}) {
    std::vector<std::string> messages;
    for (std::size_t i = 0; i < count; ++i) messages.push_back(random_bytes(random, random() % 150));
    expect_messages(messages, count % 2 == 0 ? 1 : kHashCudaNoPrefix, count % 4);
  }
}

// A buffer of nothing, and one in which nothing is hashed.
TEST_F(HashCudaTest, MessagesThatAreAllEmpty) {
  for (const std::uint32_t prefix : {kHashCudaNoPrefix, 7U}) {
    for (const std::size_t before : {0, 5}) {
      expect_messages(std::vector<std::string>(40), prefix, before);
    }
  }
}

// Chunks of BLAKE3 and their trees of every shape, among short messages.
TEST_F(HashCudaTest, LongMessages) {
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
  expect_messages(messages, kHashCudaNoPrefix, 2);
  expect_messages(messages, 1, 0);
}

TEST_F(HashCudaTest, TilesOfEveryNumberAroundBlocks) {
  std::mt19937_64 random(6);
  for (const auto order : {gpu_emulator::Order::kAscending, gpu_emulator::Order::kDescending}) {
    set(order, 0);
    for (const std::size_t count : {1, 2, 3, 7, 8, 9, 16, 17}) {
      expect_tiles(random_bytes(random, 32 * kernels::kMerkleCudaTileLeaves * count));
    }
  }
}

// Warps stopped anywhere: what waits at no barrier that it needs would be found.
TEST_F(HashCudaTest, TilesInAnyOrderOfWarps) {
  std::mt19937_64 random(7);
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    set(gpu_emulator::Order::kSeeded, seed);
    expect_tiles(random_bytes(random, 32 * kernels::kMerkleCudaTileLeaves * 9));
  }
}

TEST_F(HashCudaTest, EveryBlockOfEveryKernelIsReached) {
  std::mt19937_64 random(8);
  expect_all_pairs(random, 257);
  std::vector<std::string> messages;
  for (std::size_t i = 0; i < 257; ++i) {
    messages.push_back(random_bytes(random, i % 50 == 0 ? 5'000 : i));
  }
  expect_messages(messages, kHashCudaNoPrefix, 1);
  expect_messages(messages, 1, 0);
  expect_tiles(random_bytes(random, 32 * kernels::kMerkleCudaTileLeaves * 9));
  std::vector<std::string> kernels = {"sha256_cuda_leaves",  "sha256_cuda_messages",
                                      "sha512_cuda_messages", "sm3_cuda_messages",
                                      "keccak256_cuda_messages", "blake3_cuda_chunks",
                                      "blake3_cuda_parents", "merkle_cuda_tiles",
                                      "merkle_cuda_tiles_of_leaves"};
  for (const Algorithm& algorithm : algorithms()) {
    for (const char* kind : {"pairs", "nodes"}) {
      kernels.push_back(std::string(algorithm.name) + "_cuda_" + kind);
    }
  }
  for (const std::string& kernel : kernels) {
    Device& device = hasher_of(kernel).device();
    EXPECT_EQ(device.blocks_missed(kernel), 0) << device.coverage(kernel);
  }
}

}  // namespace
}  // namespace colophon::test
