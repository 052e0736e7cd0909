// SPDX-License-Identifier: Apache-2.0
//
// ECDSA P-256 in the kernels against OpenSSL: random and mutated signatures, and signatures made so
// that the sums on the way meet P = Q, P = -Q or the infinity, in every window width, both ways of
// adding, with and without tables, in every lane.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kernels/cpu.h"
#include "kernels/ecdsa.h"
#include "tests/effort.h"
#include "tests/kernels/p256_cases.h"
#include "tests/kernels/p256_scalar.h"

namespace colophon::test {
namespace {

using kernels::EcdsaItem;
using kernels::P256Kernels;

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};
using Memory = std::unique_ptr<void, Free>;
Memory memory(std::size_t bytes) { return Memory(std::aligned_alloc(64, (bytes + 63) / 64 * 64)); }

// One set of kernels with the tables a test asks for.
class Machine {
 public:
  explicit Machine(const P256Kernels& kernels) : kernels_(kernels) {}

  [[nodiscard]] unsigned lanes() const { return kernels_.lanes; }

  const void* table(const std::string& point, unsigned bits) {
    Memory& table = tables_[{point, bits}];
    if (!table) {
      table = memory(kernels_.table_bytes(bits));
      const Memory scratch = memory(kernels_.build_memory_bytes(bits));
      kernels_.build_table(point.empty() ? nullptr : Referee::data(point), bits, table.get(),
                           scratch.get());
    }
    return table.get();
  }
  void forget_tables() { tables_.clear(); }

  // key_bits 0: without tables.
  std::vector<bool> verify(const std::vector<const Case*>& cases, unsigned key_bits,
                           unsigned generator_bits) {
    std::vector<EcdsaItem> items;
    for (const Case* one : cases) {
      items.push_back({Referee::data(one->forged.signature), Referee::data(one->forged.digest),
                       Referee::data(one->point),
                       key_bits == 0 ? nullptr : table(one->point, key_bits)});
    }
    const Memory scratch = memory(kernels_.verify_memory_bytes(items.size()));
    // Whatever was in the memory must not matter.
    std::fill_n(static_cast<unsigned char*>(scratch.get()),
                kernels_.verify_memory_bytes(items.size()), 0xa5);
    std::vector<std::uint8_t> valid(items.size(), 7);
    const void* generator = table("", generator_bits);
    if (key_bits == 0) {
      kernels_.verify_unknown(items.data(), items.size(), generator, generator_bits, valid.data(),
                              scratch.get());
    } else {
      kernels_.verify_enrolled(items.data(), items.size(), key_bits, generator, generator_bits,
                               valid.data(), scratch.get());
    }
    std::vector<bool> verdicts;
    for (const std::uint8_t value : valid) {
      EXPECT_LE(value, 1);
      verdicts.push_back(value == 1);
    }
    return verdicts;
  }

  // All of `cases` in batches of `size`, repeated from the front to fill the last.
  void expect_right(const std::vector<Case>& cases, std::size_t size, unsigned key_bits,
                    unsigned generator_bits) {
    for (std::size_t at = 0; at < cases.size(); at += size) {
      std::vector<const Case*> batch;
      for (std::size_t i = 0; i < size; ++i) batch.push_back(&cases[(at + i) % cases.size()]);
      const std::vector<bool> verdicts = verify(batch, key_bits, generator_bits);
      for (std::size_t i = 0; i < size; ++i) {
        ASSERT_EQ(verdicts[i], batch[i]->valid)
            << kernels_.name << ", key windows of " << key_bits << " bits, generator's of "
            << generator_bits << ", batch of " << size << ", place " << i << ": "
            << batch[i]->forged.what;
      }
    }
  }

 private:
  const P256Kernels& kernels_;
  std::map<std::pair<std::string, unsigned>, Memory> tables_;
};

class P256KernelsTest : public testing::TestWithParam<const P256Kernels*> {
 protected:
  void SetUp() override {
    if (GetParam()->lanes == 8 && !kernels::cpu_has_avx512()) {
      GTEST_SKIP() << "this CPU has no AVX-512 IFMA";
    }
    machine_ = std::make_unique<Machine>(*GetParam());
  }
  // FieldScalar is used by no backend of a CPU, and is slow there: its short form is shorter.
  [[nodiscard]] static bool is_scalar() { return std::string(GetParam()->name) == "scalar"; }
  [[nodiscard]] static bool is_thorough() { return !is_scalar() || is_long(); }
  std::unique_ptr<Machine> machine_;
};

// Both ways of adding begin to differ at 24 vectors.
TEST_P(P256KernelsTest, EveryBatchSizeAroundItsBorders) {
  const std::vector<Case> cases = random_cases(11, is_thorough() ? 300 : 50);
  const std::size_t lanes = machine_->lanes();
  std::vector<std::size_t> sizes = {1, 2, 3, lanes, lanes + 1, 2 * lanes - 1, 2 * lanes};
  for (const std::size_t border : {23 * lanes, 24 * lanes}) {
    for (const std::size_t size : {border - 1, border, border + 1}) sizes.push_back(size);
  }
  if (is_thorough()) {
    sizes.push_back(kernels::kVerifyCountMax);
    sizes.push_back(kernels::kVerifyCountMax - 1);
  }
  for (const std::size_t size : sizes) {
    SCOPED_TRACE(size);
    machine_->expect_right(cases, size, 8, 8);
    machine_->expect_right(cases, size, 0, 8);
  }
}

TEST_P(P256KernelsTest, EveryWindowWidthOnRandomSignatures) {
  const std::vector<Case> cases = random_cases(12, is_thorough() ? 200 : 20);
  for (const unsigned bits : {4U, 5U, 7U, 8U, 10U, 11U}) {
    machine_->expect_right(cases, cases.size(), bits, bits);
    machine_->forget_tables();
  }
  if (!is_thorough()) return;
  const std::vector<Case> few(cases.begin(), cases.begin() + 4);
  machine_->expect_right(few, 4, 13, 13);
  machine_->expect_right(std::vector<Case>(cases.begin(), cases.begin() + 1), 1, 16, 16);
}

TEST_P(P256KernelsTest, SumsThatMeetThemselvesAreDecidedRight) {
  for (const unsigned key_bits : {5U, 8U, 10U}) {
    for (const unsigned generator_bits : {8U, 10U}) {
      if (!is_thorough() && (key_bits > 8 || generator_bits > 8)) continue;
      const std::vector<Case> cases = forged_cases(13 + key_bits, key_bits, generator_bits);
      EXPECT_GT(std::count_if(cases.begin(), cases.end(), [](const Case& c) { return c.valid; }),
                40);
      machine_->expect_right(cases, 1, key_bits, generator_bits);  // alone
      machine_->expect_right(cases, 9, key_bits, generator_bits);  // in every lane
      machine_->expect_right(cases, 24 * machine_->lanes() + 5, key_bits, generator_bits);
      machine_->expect_right(cases, 9, 0, generator_bits);
      machine_->expect_right(cases, 24 * machine_->lanes() + 5, 0, generator_bits);
      machine_->forget_tables();
    }
  }
}

// The widths of keys that sign most, whose tables take long to build.
TEST_P(P256KernelsTest, SumsThatMeetThemselvesInWideTables) {
  if (!is_long() || kIsDebug) GTEST_SKIP() << "16-bit tables: long, in optimised code only";
  for (const auto& [key_bits, generator_bits] :
       {std::pair{13U, 16U}, {16U, 16U}, {16U, 13U}, {5U, 16U}, {4U, 4U}}) {
    const std::vector<Case> cases = forged_cases(31 + key_bits, key_bits, generator_bits);
    machine_->expect_right(cases, 1, key_bits, generator_bits);
    machine_->expect_right(cases, 9, key_bits, generator_bits);
    machine_->expect_right(cases, 24 * machine_->lanes() + 5, key_bits, generator_bits);
    machine_->forget_tables();
  }
}

// One exception among many good ones, in every place of a vector, leaves the others as they are;
// and a batch of nothing but exceptions is decided too.
TEST_P(P256KernelsTest, ExceptionsDoNotSpreadInABatch) {
  const std::vector<Case> good = random_cases(14, 64);
  const std::vector<Case> forged = forged_cases(15, 8, 8);
  const std::size_t size = 24 * machine_->lanes() + 3;
  for (const unsigned key_bits : {8U, 0U}) {
    for (std::size_t i = 0; i < forged.size(); i += 3) {
      std::vector<const Case*> batch;
      for (std::size_t k = 0; k < size; ++k) batch.push_back(&good[k % good.size()]);
      const std::size_t place = (7 * i) % size;
      batch[place] = &forged[i];
      const std::vector<bool> verdicts = machine_->verify(batch, key_bits, 8);
      for (std::size_t k = 0; k < size; ++k) {
        ASSERT_EQ(verdicts[k], batch[k]->valid)
            << "exception at " << place << ", place " << k << ": " << forged[i].forged.what;
      }
    }
    std::vector<Case> same(size, forged[forged.size() - 2]);
    machine_->expect_right(same, size, key_bits, 8);
  }
}

TEST_P(P256KernelsTest, RandomAndMutatedSignaturesAgreeWithOpenssl) {
  // The checks of the slower builds find in a few what they find.
  const std::size_t rounds_long = kIsDebug ? 10 : is_scalar() ? 25 : 250;
  const std::size_t rounds = is_long() ? rounds_long : 1;
  const std::size_t count = is_long() ? 4'096 : 2'000;
  std::size_t checked = 0;
  for (std::size_t round = 0; round < rounds; ++round) {
    const std::vector<Case> cases = random_cases(1'000 + round, count);
    machine_->expect_right(cases, cases.size(), 8, 8);
    machine_->expect_right(cases, cases.size(), 0, 8);
    checked += cases.size();
    machine_->forget_tables();
  }
  std::printf("%s: %zu signatures, with and without tables, as OpenSSL\n", GetParam()->name,
              checked);
}

INSTANTIATE_TEST_SUITE_P(All, P256KernelsTest,
                         testing::Values(
#if COLOPHON_TEST_P256_SCALAR
                             &kP256Scalar,
#endif
                             &kernels::kP256Portable, &kernels::kP256Avx512),
                         [](const auto& instance) { return std::string(instance.param->name); });

}  // namespace
}  // namespace colophon::test
