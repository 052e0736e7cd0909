// SPDX-License-Identifier: Apache-2.0
//
// What nvcc makes of CUDA C++, for an architecture of each of its two compilers' generations, run
// and compared with the same written in C++. Skipped where there is no nvcc.
#include <gtest/gtest.h>
#include <openssl/bn.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "tests/gpu_emulator/kernel_run.h"
#include "tests/gpu_emulator/ptx_cuda_kernels.h"

namespace colophon::gpu_emulator {
namespace {

// COLOPHON_EMULATOR_PTX: the files' paths, ',' between them.
std::vector<std::string> texts() {
  std::vector<std::string> out;
  std::string paths = COLOPHON_EMULATOR_PTX;
  while (!paths.empty()) {
    const std::size_t end = std::min(paths.find(','), paths.size());
    std::ifstream in(paths.substr(0, end));
    out.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
    paths.erase(0, end + 1);
  }
  return out;
}

class PtxCudaTest : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    const std::vector<std::string> all = texts();
    if (all.empty()) GTEST_SKIP() << "no nvcc was found when this was built";
    text_ = all.at(static_cast<std::size_t>(GetParam()));
    auto module = parse_module(text_);
    ASSERT_TRUE(module) << module.error().message;
    auto executor = Executor::load(std::move(*module), memory_);
    ASSERT_TRUE(executor) << executor.error().message;
    executor_.emplace(std::move(*executor));
  }

  template <class T>
  DevicePointer upload(const std::vector<T>& values) {
    const DevicePointer at = room<T>(values.size());
    EXPECT_TRUE(memory_.write(at, values.data(), values.size() * sizeof(T)));
    return at;
  }
  template <class T>
  DevicePointer room(std::size_t count) {
    const auto at = memory_.allocate(count * sizeof(T));
    EXPECT_TRUE(at);
    return at ? *at : 0;
  }
  template <class T>
  std::vector<T> download(DevicePointer at, std::size_t count) {
    std::vector<T> values(count);
    const auto read = memory_.read(values.data(), at, count * sizeof(T));
    EXPECT_TRUE(read) << read.error().message;
    return values;
  }

  std::string text_;
  DeviceMemory memory_;
  std::optional<Executor> executor_;
};

// --- arithmetic mod p ----------------------------------------------------------------------------

struct BnFree {
  void operator()(BIGNUM* bn) const { BN_free(bn); }
  void operator()(BN_CTX* context) const { BN_CTX_free(context); }
};
using Bn = std::unique_ptr<BIGNUM, BnFree>;

Bn bn(const Number256& number) {
  Bn out(BN_new());
  BN_lebin2bn(reinterpret_cast<const unsigned char*>(number.word), 32, out.get());
  return out;
}
Number256 number_of(const BIGNUM* bn) {
  Number256 out{};
  BN_bn2lebinpad(bn, reinterpret_cast<unsigned char*>(out.word), 32);
  return out;
}
// For EXPECT_EQ.
std::vector<std::uint32_t> words_of(const Number256& number) {
  return {std::begin(number.word), std::end(number.word)};
}

TEST_P(PtxCudaTest, ModularArithmeticAndAReductionAreOpensslsResults) {
  const Bn p = bn({{0xffffffff, 0xffffffff, 0xffffffff, 0, 0, 0, 1, 0xffffffff}});
  const std::unique_ptr<BN_CTX, BnFree> context(BN_CTX_new());
  Bn r_inverse(BN_new());
  BN_set_bit(r_inverse.get(), 256);
  BN_mod_inverse(r_inverse.get(), r_inverse.get(), p.get(), context.get());

  // Every limb 0, 1 or all ones, and random ones; reduced.
  constexpr std::uint32_t kCount = 3 * kReduceThreads - 5;
  std::mt19937 random(1);
  std::vector<Number256> a(kCount);
  std::vector<Number256> b(kCount);
  for (std::vector<Number256>* numbers : {&a, &b}) {
    for (std::size_t i = 0; i < kCount; ++i) {
      for (std::uint32_t& word : (*numbers)[i].word) {
        const std::uint32_t edges[] = {0, 1, 0xffffffff};
        word = i % 4 == 3 ? static_cast<std::uint32_t>(random()) : edges[random() % 3];
      }
      const Bn reduced = bn((*numbers)[i]);
      BN_nnmod(reduced.get(), reduced.get(), p.get(), context.get());
      (*numbers)[i] = number_of(reduced.get());
    }
  }
  for (const Order order : {Order::kAscending, Order::kDescending, Order::kSeeded}) {
    const DevicePointer a_at = upload(a);
    const DevicePointer b_at = upload(b);
    const DevicePointer sums_at = room<Number256>(kCount);
    const DevicePointer products_at = room<Number256>(kCount);
    const DevicePointer totals_at = room<Number256>(3);
    const std::uint32_t count = kCount;
    const void* const arguments[] = {&a_at, &b_at, &sums_at, &products_at, &totals_at, &count};
    LaunchOptions options;
    options.order = order;
    options.seed = 9;
    const Function* const kernel = executor_->entry("modular");
    ASSERT_NE(kernel, nullptr);
    const LaunchResult result =
        executor_->launch(*kernel, {{3, 1, 1}, {kReduceThreads, 1, 1}, 0}, arguments, options);
    ASSERT_TRUE(result.ok()) << result.fault->message;
    Coverage coverage(executor_->module());
    coverage.add(result.statistics);
    EXPECT_EQ(coverage.report(*kernel).find("never ran"), std::string::npos)
        << coverage.report(*kernel);

    const auto sums = download<Number256>(sums_at, kCount);
    const auto products = download<Number256>(products_at, kCount);
    const auto totals = download<Number256>(totals_at, 3);
    for (std::uint32_t block = 0; block < 3; ++block) {
      Bn total(BN_new());
      for (std::uint32_t i = block * kReduceThreads;
           i < std::min(kCount, (block + 1) * kReduceThreads); ++i) {
        Bn value(BN_new());
        BN_mod_add(value.get(), bn(a[i]).get(), bn(b[i]).get(), p.get(), context.get());
        ASSERT_EQ(words_of(sums[i]), words_of(number_of(value.get()))) << i;
        BN_mod_mul(value.get(), bn(a[i]).get(), bn(b[i]).get(), p.get(), context.get());
        BN_mod_mul(value.get(), value.get(), r_inverse.get(), p.get(), context.get());
        ASSERT_EQ(words_of(products[i]), words_of(number_of(value.get()))) << i;
        BN_mod_add(total.get(), total.get(), value.get(), p.get(), context.get());
      }
      EXPECT_EQ(words_of(totals[block]), words_of(number_of(total.get()))) << block;
    }
  }
}

// The __syncthreads before the reduction's loop or that in it.
TEST_P(PtxCudaTest, AnyBarrierLeftOutIsFoundAsARace) {
  std::size_t barriers = 0;
  for (std::size_t at = text_.find(".entry modular"); true; ++at) {
    at = text_.find("bar.sync", at);
    if (at == std::string::npos || at > text_.find(".entry mixed")) break;
    ++barriers;
    std::string without = text_;
    without.replace(at, text_.find(';', at) - at, "membar.cta");
    for (const Order order : {Order::kAscending, Order::kDescending}) {
      DeviceMemory memory;
      auto executor = Executor::load(*parse_module(without), memory);
      ASSERT_TRUE(executor);
      const auto in = memory.allocate(kReduceThreads * 32);
      const auto out = memory.allocate(kReduceThreads * 32);
      const auto totals = memory.allocate(32);
      ASSERT_TRUE(in && out && totals);
      ASSERT_TRUE(memory.set(*in, 1, kReduceThreads * 32));
      const auto more = memory.allocate(kReduceThreads * 32);
      ASSERT_TRUE(more);
      const std::uint32_t count = kReduceThreads;
      const void* const arguments[] = {&*in, &*in, &*out, &*more, &*totals, &count};
      LaunchOptions options;
      options.order = order;
      options.check_unwritten = false;  // which would be found first
      EXPECT_EQ(
          outcome(executor->launch(*executor->entry("modular"),
                                   {{1, 1, 1}, {kReduceThreads, 1, 1}, 0}, arguments, options)),
          "race");
    }
  }
  EXPECT_GE(barriers, 2U);
}

// --- the rest of the language --------------------------------------------------------------------

std::vector<std::uint32_t> mixed_in_cpp(const MixedOptions& options,
                                        const std::vector<std::int8_t>& bytes, std::uint64_t& sum) {
  constexpr std::array<std::uint32_t, 8> kPrimes = {2, 3, 5, 7, 11, 13, 17, 19};
  constexpr std::uint32_t n = kMixedThreads;
  std::vector<std::uint32_t> value(n);
  for (std::uint32_t i = 0; i < n; ++i) {
    MixedOptions mine = options;
    const std::uint32_t first = mine.table[0];
    for (int k = 0; k < 4; ++k) mine.table[k] = mine.table[k + 1] + i;
    mine.table[4] = i % 2 == 1 ? ~first : first;
    mine.last[i % 3] = static_cast<std::uint8_t>(first);
    std::uint32_t v =
        mine.table[i % 5] + mine.last[i % 3] + static_cast<std::uint32_t>(mine.second);
    const std::uint32_t at = mine.first + i % 5;
    v += i * at + kPrimes[at];
    const auto reversed = [](std::uint32_t a) {
      std::uint32_t out = 0;
      for (int k = 0; k < 32; ++k) out |= (a >> k & 1) << (31 - k);
      return out;
    };
    switch (i % 7) {
      case 0:
        v ^= reversed(i);
        break;
      case 1:
        v = static_cast<std::uint32_t>(__builtin_popcount(v) + __builtin_clz(i + 1));
        break;
      case 2:
        v = i << 5 | v >> 27;
        break;
      case 3: {
        const std::uint8_t eight[] = {static_cast<std::uint8_t>(v),
                                      static_cast<std::uint8_t>(v >> 8),
                                      static_cast<std::uint8_t>(v >> 16),
                                      static_cast<std::uint8_t>(v >> 24),
                                      4,
                                      3,
                                      2,
                                      1};
        v = std::uint32_t{eight[3]} << 24 | std::uint32_t{eight[7]} << 16 |
            std::uint32_t{eight[1]} << 8 | eight[5];
        break;
      }
      case 4:
        v = static_cast<std::uint32_t>(static_cast<std::int32_t>(v) / -3);
        break;
      case 5:
        v = v % (i + 1);
        break;
      default:
        v = static_cast<std::uint32_t>((std::uint64_t{v} * 0x9e3779b9) >> 32);
    }
    std::uint32_t steps = 0;
    for (std::uint32_t c = i + 1; c != 1; c = c % 2 == 0 ? c / 2 : 3 * c + 1) ++steps;
    value[i] = v + static_cast<std::uint32_t>(bytes[i]) + steps;
  }
  std::vector<std::uint32_t> next = value;
  for (std::uint32_t i = 0; i < n; ++i) next[i] += static_cast<std::uint16_t>(value[n - 1 - i]);
  value = next;
  for (std::uint32_t i = 0; i < n; ++i) {
    next[i] += value[i ^ 5] + value[i % 32 == 0 ? i : i - 1];
    if (i % 32 < 16) next[i] += 15 * 16 / 2;
  }
  value = next;
  for (std::uint32_t i = 0; i < n; ++i) {
    std::uint32_t ballot = 0;
    for (std::uint32_t k = 0; k < 32; ++k) ballot |= (value[i / 32 * 32 + k] & 1) << k;
    next[i] ^= ballot;
  }
  std::uint32_t odd = 0;
  std::uint32_t largest = 0;
  for (const std::uint32_t v : next) {
    odd += v & 1;
    largest = std::max(largest, v);
    sum += options.factor * v;
  }
  for (std::uint32_t& v : next) v += odd + largest;
  return next;
}

TEST_P(PtxCudaTest, CallsTablesSwitchesAndExchangesAreAsInCpp) {
  const MixedOptions options = {
      2, -300, {1, 0x80000000, 77, 0xffffff00, 12345}, 0x100000007, {9, 8, 7}};
  std::vector<std::int8_t> bytes(kMixedThreads);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::int8_t>(i * 37);
  std::uint64_t sum = 5;
  const std::vector<std::uint32_t> wanted = mixed_in_cpp(options, bytes, sum);
  const std::vector<std::uint64_t> start = {5};
  std::uint32_t launches = 0;
  for (const Order order : {Order::kAscending, Order::kDescending, Order::kSeeded}) {
    const DevicePointer out = room<std::uint32_t>(kMixedThreads);
    const DevicePointer bytes_at = upload(bytes);
    const DevicePointer sum_at = upload(start);
    const void* const arguments[] = {&options, &out, &bytes_at, &sum_at};
    LaunchOptions how;
    how.order = order;
    how.seed = 3;
    const Function* const kernel = executor_->entry("mixed");
    ASSERT_NE(kernel, nullptr);
    ASSERT_EQ(kernel->params[0].bytes, sizeof(MixedOptions));
    const LaunchShape shape{{1, 1, 1}, {kMixedThreads, 1, 1}, 2 * kMixedThreads};
    const LaunchResult result = executor_->launch(*kernel, shape, arguments, how);
    ASSERT_TRUE(result.ok()) << result.fault->message;
    EXPECT_EQ(download<std::uint32_t>(out, kMixedThreads), wanted);
    EXPECT_EQ(download<std::uint64_t>(sum_at, 1)[0], sum);
    const auto calls = executor_->variable("calls");
    ASSERT_TRUE(calls);
    EXPECT_EQ(download<std::uint32_t>(calls->address, 1)[0], ++launches * kMixedThreads);
  }
}

TEST_P(PtxCudaTest, PrefixesAndMutantsDoNotHarmTheParser) {
  // Every prefix at the beginning, then some.
  for (std::size_t size = 0; size < text_.size(); size += size < 2500 ? 1 : 97) {
    (void)parse_module(text_.substr(0, size));
  }
  std::mt19937_64 random(11);
  int parsed = 0;
  for (int i = 0; i < 300; ++i) {
    std::string mutant = text_;
    for (int edits = 0; edits < 2; ++edits) {
      const std::size_t at = random() % mutant.size();
      if (random() % 2 == 0) {
        mutant[at] = mutant[random() % mutant.size()];
      } else {
        const std::string piece = mutant.substr(random() % mutant.size(), random() % 40);
        mutant.insert(at, piece);
      }
    }
    parsed += parse_module(mutant) ? 1 : 0;
  }
  EXPECT_GT(parsed, 5);
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(PtxCudaTest);
INSTANTIATE_TEST_SUITE_P(, PtxCudaTest, testing::Range(0, COLOPHON_EMULATOR_PTX_COUNT),
                         [](const testing::TestParamInfo<int>& of) {
                           return "Architecture" + std::to_string(of.param);
                         });

}  // namespace
}  // namespace colophon::gpu_emulator

int main(int argc, char** argv) {
  constexpr int kSkipped = 77;  // SKIP_RETURN_CODE in CMakeLists.txt
  testing::InitGoogleTest(&argc, argv);
  const int status = RUN_ALL_TESTS();
  if (std::string(COLOPHON_EMULATOR_PTX).empty()) {
    std::puts("skipped: no nvcc was found when this was built");
    return kSkipped;
  }
  return status;
}
