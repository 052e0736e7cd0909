// SPDX-License-Identifier: Apache-2.0
//
// Whether tests of the hash kernels would notice: the kernels' PTX is changed in one place
// (ptx_mutants.h), and a few hashes must come out wrong, or the emulator must object. Hashes hide
// nothing: what survives changes nothing, such as a limit on bytes to be masked in a word that has
// none, or a rotation by a register that happens to hold that number.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <random>
#include <string>
#include <vector>

#include "tests/kernels/hash_cuda_under_test.h"
#include "tests/kernels/ptx_mutants.h"

namespace colophon::test {
namespace {

constexpr std::array<std::size_t, kMutantKinds> kOfEach = {6, 16, 4, 8, 6};
constexpr double kFoundMin = 0.85;  // each compiler has its own that change nothing

class Suite {
 public:
  Suite() {
    for (std::size_t i = 0; i < 160; ++i) {
      messages_.push_back(random_bytes(random_, i % 40 == 39 ? 1'024 * (1 + i / 40) : i));
    }
    for (const bool is_merkle : {false, true}) {
      gpu_.hasher_of(is_merkle ? "merkle" : "").device().options().warp_instructions_max =
          10'000'000;
    }
  }

  // All that is asked of a kernel.
  void expect_right(const std::string& kernel) {
    if (kernel.starts_with("merkle")) {
      gpu_.expect_tiles(kernel, random_bytes(random_, 32 * kernels::kMerkleCudaTileLeaves * 9));
      return;
    }
    const std::size_t end = kernel.find("_cuda_");
    const std::string kind = kernel.substr(end + 6);
    for (const Algorithm& algorithm : algorithms()) {
      if (algorithm.name != kernel.substr(0, end)) continue;
      if (kind == "pairs" || kind == "nodes" || kind == "leaves") {
        const std::size_t bytes = algorithm.digest_bytes * (kind == "leaves" ? 1 : 2);
        for (const std::size_t count : {1, 257, 300}) {
          gpu_.expect_pairs(algorithm, kind, random_bytes(random_, bytes * count), 0xa7);
        }
      } else {
        gpu_.expect_messages(algorithm, messages_, kHashCudaNoPrefix, 3);
        gpu_.expect_messages(algorithm, messages_, 0xa7, 0);
        gpu_.expect_messages(algorithm, std::vector<std::string>(3), kHashCudaNoPrefix, 5);
        gpu_.expect_messages(algorithm, std::vector<std::string>(300, "abc"), 0xa7, 0);
      }
    }
  }

  // What is wrong with `ptx` in place of the kernel; empty: nothing.
  std::string judge(const std::string& kernel, const std::string& ptx) {
    Device& device = gpu_.hasher_of(kernel).device();
    std::string found;
    try {
      device.replace(ptx);
      expect_right(kernel);
    } catch (const std::exception& wrong) {
      found = wrong.what();
    }
    device.restore();
    return found;
  }

 private:
  HashGpu gpu_;
  std::mt19937_64 random_{1};
  std::vector<std::string> messages_;
};

TEST(HashMutantsTest, AreFound) {
  Suite suite;
  std::size_t count = 0;
  std::size_t found = 0;
  for (const char* path : {COLOPHON_HASH_PTX, COLOPHON_MERKLE_PTX}) {
    const PtxMutants mutants(file_text(path));
    for (const Mutant& mutant : mutants.draw(1, kOfEach)) {
      if (count == found) {  // with the kernel as it is, nothing is
        Mutant unchanged = mutant;
        unchanged.after = unchanged.before;
        ASSERT_EQ(suite.judge(mutant.kernel, mutants.text(unchanged)), "") << mutant.kernel;
      }
      const std::string by = suite.judge(mutant.kernel, mutants.text(mutant));
      ++count;
      found += by.empty() ? 0 : 1;
      std::printf("%s, %s, line %u: %s -> %s: %s\n",
                  std::string(mutant_kind_name(mutant.kind)).c_str(), mutant.kernel.c_str(),
                  mutant.line, mutant.before.c_str(), mutant.after.c_str(),
                  by.empty() ? "NOT FOUND" : by.substr(0, 60).c_str());
    }
  }
  std::printf("%zu mutants, %zu found\n", count, found);
  EXPECT_GE(static_cast<double>(found), kFoundMin * static_cast<double>(count));
}

}  // namespace
}  // namespace colophon::test
