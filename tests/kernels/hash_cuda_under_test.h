// SPDX-License-Identifier: Apache-2.0
//
// The CUDA kernels that hash on the GPU emulator, launched as their header has it, for the tests
// that judge them. What fails throws: LaunchFailed for what the emulator finds, WrongResult for
// what a kernel computed.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "kernels/hash_cuda.h"
#include "tests/kernels/emulated_device.h"
#include "tests/kernels/hash_references.h"

namespace colophon::test {

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
inline const std::vector<Algorithm>& algorithms() {
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

inline std::string hex(const std::string& bytes) {
  std::string text;
  for (const char byte : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    text += {kDigits[static_cast<std::uint8_t>(byte) >> 4], kDigits[byte & 15]};
  }
  return text;
}

inline std::string random_bytes(std::mt19937_64& random, std::size_t count) {
  std::string bytes(count, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

inline std::string prefixed(std::uint32_t prefix, const std::string& bytes) {
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

  // `before`: bytes of the buffer before the first message; `far`: many more of them, which are not
  // there.
  std::vector<std::string> messages(const Algorithm& algorithm,
                                    const std::vector<std::string>& messages, std::uint32_t prefix,
                                    std::size_t before, std::uint64_t far = 0) {
    std::string bytes(before, '\x5a');
    std::vector<std::uint64_t> offsets = {far + before};
    std::size_t longest = 0;
    for (const std::string& message : messages) {
      bytes += message;
      offsets.push_back(far + bytes.size());
      longest = std::max(longest, message.size());
    }
    const std::uint64_t all = bytes.size();
    bytes.resize((bytes.size() + 3) / 4 * 4, '\x5a');
    const auto count = static_cast<std::uint32_t>(messages.size());
    const DeviceBuffer in(device_, upload(bytes));
    const DeviceBuffer at(device_, device_.upload(offsets, "offsets"));
    const DeviceBuffer out(device_, allocate(algorithm.digest_bytes * count));
    device_.protect(at.at());
    const HashCudaMessages hashed{reinterpret_cast<const std::uint8_t*>(in.at() - far),
                                  at.as<std::uint64_t>(), out.as<std::uint32_t>(), count, prefix};
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

// --- both, and what they must say ----------------------------------------------------------------

class HashGpu {
 public:
  Hasher& hasher_of(const std::string& kernel) {
    const bool is_merkle = kernel == "sha256_cuda_pairs" || kernel == "sha256_cuda_nodes" ||
                           kernel == "sha256_cuda_leaves" || kernel.starts_with("merkle");
    return is_merkle ? merkle_ : hash_;
  }
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
    const std::string digests =
        hasher_of(kernel).pairs(kernel, inputs, input_bytes, algorithm.digest_bytes, prefix);
    const std::size_t count = inputs.size() / input_bytes;
    for (std::size_t i = 0; i < count; ++i) {
      const std::string input = inputs.substr(input_bytes * i, input_bytes);
      expect_equal(digests.substr(algorithm.digest_bytes * i, algorithm.digest_bytes),
                   algorithm.hash(kind == "pairs" ? input : prefixed(prefix, input)),
                   kernel + ", " + place(i, count) + ", of " + hex(input));
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

  void expect_messages(const Algorithm& algorithm, const std::vector<std::string>& messages,
                       std::uint32_t prefix, std::size_t before, std::uint64_t far = 0) {
    const std::vector<std::string> digests =
        hash_.messages(algorithm, messages, prefix, before, far);
    for (std::size_t i = 0; i < messages.size(); ++i) {
      expect_equal(digests[i], algorithm.hash(prefixed(prefix, messages[i])),
                   std::string(algorithm.name) + ", " + place(i, messages.size()) + ", of " +
                       std::to_string(messages[i].size()) + " bytes");
    }
  }
  void expect_messages(const std::vector<std::string>& messages, std::uint32_t prefix,
                       std::size_t before) {
    for (const Algorithm& algorithm : algorithms()) {
      expect_messages(algorithm, messages, prefix, before);
    }
  }

  void expect_tiles(const std::string& kernel, const std::string& inputs) {
    const Algorithm& sha256 = algorithms()[0];
    std::vector<std::string> level;
    for (std::size_t at = 0; at < inputs.size(); at += 32) {
      const std::string input = inputs.substr(at, 32);
      level.push_back(kernel == "merkle_cuda_tiles" ? input : sha256.hash('\0' + input));
    }
    for (int k = 0; k < 8; ++k) {
      for (std::size_t i = 0; i < level.size() / 2; ++i) {
        level[i] = sha256.hash('\1' + level[2 * i] + level[2 * i + 1]);
      }
      level.resize(level.size() / 2);
    }
    const std::string roots = merkle_.tiles(kernel, inputs);
    for (std::size_t i = 0; i < level.size(); ++i) {
      expect_equal(roots.substr(32 * i, 32), level[i], kernel + ", " + place(i, level.size()));
    }
  }
  void expect_tiles(const std::string& inputs) {
    for (const char* kernel : {"merkle_cuda_tiles", "merkle_cuda_tiles_of_leaves"}) {
      expect_tiles(kernel, inputs);
    }
  }

 private:
  static std::string place(std::size_t i, std::size_t count) {
    return std::to_string(i) + " of " + std::to_string(count);
  }
  static void expect_equal(const std::string& digest, const std::string& expected,
                           const std::string& what) {
    if (digest != expected) {
      throw WrongResult(what + ": " + hex(digest) + ", not " + hex(expected));
    }
  }

  Hasher hash_{COLOPHON_HASH_PTX};
  Hasher merkle_{COLOPHON_MERKLE_PTX};
};

}  // namespace colophon::test
