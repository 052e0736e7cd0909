// SPDX-License-Identifier: Apache-2.0
//
// The CUDA kernels, as the PTX that nvcc made of them, on the GPU emulator: field arithmetic
// against FieldWide, tables byte for byte against the portable kernels', verdicts against OpenSSL,
// every shape of launch, every exception. Accesses out of bounds, races and divergence fail a
// launch.
#include "kernels/p256_cuda.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "kernels/ecdsa.h"
#include "kernels/field_wide.h"
#include "tests/kernels/cuda_device_under_test.h"
#include "tests/kernels/p256_cases.h"
#include "tests/kernels/p256_edges.h"

namespace colophon::test {
namespace {

// --- the field -----------------------------------------------------------------------------------

using Wide = kernels::FieldWide<kernels::P256Prime>;
using WideOrder = kernels::FieldWide<kernels::P256Order>;
using Number = std::array<std::uint32_t, 8>;

std::vector<Number> edges_of_limbs() {
  std::vector<Number> numbers;
  for (std::size_t i = 0; i < 6561; ++i) {  // 3^8
    constexpr std::array<std::uint32_t, 3> kLimbs = {0, 1, 0xffffffff};
    Number number;
    std::size_t rest = i;
    for (auto& limb : number) {
      limb = kLimbs[rest % 3];
      rest /= 3;
    }
    numbers.push_back(number);
  }
  return numbers;
}

template <class Field>
typename Field::E wide(const Number& number) {
  std::uint64_t words[4];
  std::memcpy(words, number.data(), sizeof(words));
  return Field::from_words(words);
}

// out[i] = operation(a[i], b[i]) by one step of a probe's loop.
template <class Field, class Operation>
void compare(Device& device, const std::string& probe, const std::vector<Number>& a,
             const std::vector<Number>& b, Operation operation) {
  constexpr std::uint32_t kThreads = 128;
  for (std::size_t at = 0; at < a.size(); at += kThreads) {
    std::vector<typename Field::E> values(2 * kThreads);
    for (std::size_t i = 0; i < kThreads; ++i) {
      values[i] = wide<Field>(a[(at + i) % a.size()]);
      values[kThreads + i] = wide<Field>(b[(at + i) % a.size()]);
    }
    const DevicePointer memory = device.upload(values, "values");
    const int count = 1;
    device.launch(probe, 1, kThreads, {&memory, &count});
    const auto out = device.download<typename Field::E>(memory, kThreads);
    device.free(memory);
    for (std::size_t i = 0; i < kThreads; ++i) {
      const auto expected = operation(values[i], values[kThreads + i]);
      ASSERT_EQ(std::memcmp(&out[i], &expected, sizeof(expected)), 0)
          << probe << ", pair " << at + i;
    }
  }
}

TEST(P256CudaFieldTest, BothFormsAgreeWithFieldWideOnEveryEdgeOfLimbs) {
  std::vector<Number> a = edges_of_limbs();
  std::vector<Number> b = a;
  std::mt19937 random(1);
  std::shuffle(b.begin(), b.end(), random);
  for (int i = 0; i < 1'000; ++i) {
    for (auto* numbers : {&a, &b}) {
      Number number;
      for (auto& limb : number) limb = static_cast<std::uint32_t>(random());
      numbers->push_back(number);
    }
  }
  for (const char* ptx : {COLOPHON_PROBES_ADDS_PTX, COLOPHON_PROBES_WIDE_PTX}) {
    Device device(file_text(ptx));
    using E = Wide::E;
    compare<Wide>(device, "probe_p_multiply", a, b,
                  [](const E& x, const E& y) { return Wide::mul(x, y); });
    compare<Wide>(device, "probe_p_square", a, b,
                  [](const E& x, const E&) { return Wide::sqr(x); });
    compare<Wide>(device, "probe_p_add", a, b, [](const E& x, const E& y) { return x + y; });
    compare<Wide>(device, "probe_p_subtract", a, b, [](const E& x, const E& y) { return x - y; });
    compare<Wide>(device, "probe_p_multiply_minus", a, b,
                  [](const E& x, const E& y) { return Wide::mul_minus(x, y, y); });
    compare<Wide>(device, "probe_p_multiply_subtract", a, b,
                  [](const E& x, const E& y) { return Wide::mul_sub(x, y, y, y); });
    compare<WideOrder>(
        device, "probe_n_multiply", a, b,
        [](const WideOrder::E& x, const WideOrder::E& y) { return WideOrder::mul(x, y); });
  }
}

// --- the kernels ---------------------------------------------------------------------------------

void expect_portable(Gpu& gpu, const std::vector<std::string>& points, unsigned bits,
                     unsigned windows) {
  std::map<std::string, std::vector<std::uint8_t>> made;
  std::vector<std::vector<std::uint8_t>> expected;
  for (const std::string& point : points) {
    if (!made.contains(point)) made[point] = portable_table(point, bits, windows);
    expected.push_back(made[point]);
  }
  gpu.expect_tables(points, bits, windows, expected);
}

TEST(P256CudaTest, TablesAreThoseOfThePortableKernels) {
  Gpu gpu;
  const std::vector<Case> cases = random_cases(31, 40);
  std::vector<std::string> points = {Gpu::generator_point()};
  for (const Case& one : cases) {
    if (std::find(points.begin(), points.end(), one.point) == points.end()) {
      points.push_back(one.point);
    }
  }
  ASSERT_GT(points.size(), 8);
  for (const unsigned bits : {4U, 5U, 7U, 8U, 10U, 13U, 16U}) {
    if (bits > 10) points.resize(1);
    if (bits == 16 && !is_long()) continue;
    const unsigned windows = kernels::window_count(bits);
    expect_portable(gpu, points, bits, windows);
  }
  // Of one window: the first of a whole table.
  expect_portable(gpu, points, 5, 1);
}

// Where carries travel that random numbers hardly ever meet, in each kernel's own arithmetic.
TEST(P256CudaTest, NumbersAtTheEdgesOfLimbsInEveryKernel) {
  Gpu gpu;
  for (const bool each : {false, true}) {
    ScalarsAtEdges(61, 3'000, {.generator_bits = 16, .scalars_each = each}).expect_right(gpu);
  }
  SumsAtEdges(62, 4'096, {}).expect_right(gpu);
  SumsAtEdges(63, 1'024, {.generator_bits = 10, .lanes = 32}).expect_right(gpu);
  SumsAtEdges(64, 512, {.lanes = 2}).expect_right(gpu);
  SumsAtEdges(65, 1'024, {.key_bits = 0}).expect_right(gpu);
  CompleteSumsAtEdges(66, 2'048).expect_right(gpu);
  TablesAtEdges(67, 300, 4, kernels::window_count(4)).expect_right(gpu);
  TablesAtEdges(68, 1'500, 4, 1).expect_right(gpu);
}

// How the work of many keys falls on blocks and on a thread's additions.
TEST(P256CudaTest, TablesOfAnyNumberOfKeys) {
  Gpu gpu;
  const std::vector<Case> cases = random_cases(39, 40);
  for (const std::size_t count : {1, 255, 256, 257, 511, 700, 1000, 1025}) {
    std::vector<std::string> points;
    for (std::size_t i = 0; i < count; ++i) points.push_back(cases[i % cases.size()].point);
    expect_portable(gpu, points, 4, 1);
  }
}

TEST(P256CudaTest, EveryBatchSizeAroundWarpsAndBlocks) {
  Gpu gpu;
  const std::vector<Case> cases = random_cases(32, 300);
  for (const std::size_t size :
       {1, 2, 31, 32, 33, 127, 128, 129, 255, 256, 257, 513, 769, 1023, 1024, 1025}) {
    const std::size_t some = std::min(4 * size, cases.size());
    gpu.expect_right({cases.begin(), cases.begin() + static_cast<long>(some)}, size,
                     {.scalars_each = size % 2 == 0});
  }
  for (const std::size_t size : {1, 7, 8, 9, 15, 16, 17, 33}) {
    for (const unsigned lanes : {2U, 4U, 8U, 16U, 32U}) {
      const std::vector<Case> few(cases.begin(), cases.begin() + static_cast<long>(size));
      gpu.expect_right(few, size, {.lanes = lanes, .scalars_each = true});
    }
  }
  const std::vector<Case> some(cases.begin(), cases.begin() + 4);
  for (const std::size_t size : {1, 32, 129}) gpu.expect_right(some, size, {.key_bits = 0});
}

// In each lane of a warp one that is right while those around it are wrong, and the other way
// round: each 33rd of a batch has every lane in turn.
TEST(P256CudaTest, EveryLaneHasItsOwnVerdict) {
  constexpr std::size_t kPeriod = 33;
  std::vector<Case> good;
  std::vector<Case> bad;
  for (const Case& one : random_cases(70, 400)) (one.valid ? good : bad).push_back(one);
  ASSERT_GT(std::min(good.size(), bad.size()), kPeriod);
  Gpu gpu;
  for (const Shape& shape : {Shape{}, Shape{.lanes = 2, .scalars_each = true},
                             Shape{.lanes = 32, .scalars_each = true}, Shape{.key_bits = 0}}) {
    for (const bool is_odd_good : {false, true}) {
      std::vector<const Case*> batch;
      for (std::size_t i = 0; i < 32 * kPeriod; ++i) {
        const std::vector<Case>& kind = (i % kPeriod == 0) == is_odd_good ? good : bad;
        batch.push_back(&kind[i % kind.size()]);
      }
      const Verdicts verdicts = gpu.verify(batch, shape);
      for (std::size_t i = 0; i < batch.size(); ++i) {
        ASSERT_EQ(verdicts.valid[i], batch[i]->valid) << "place " << i << ", lanes " << shape.lanes;
      }
    }
  }
}

TEST(P256CudaTest, EveryWindowWidth) {
  Gpu gpu;
  const std::vector<Case> cases = random_cases(33, 64);
  for (const unsigned bits : {4U, 5U, 7U, 10U, 11U, 13U}) {
    const std::vector<Case> some(cases.begin(), cases.begin() + (bits > 10 ? 2 : 64));
    gpu.expect_right(some, some.size(), {.generator_bits = bits, .key_bits = bits});
    gpu.expect_right(some, some.size(), {.generator_bits = bits, .key_bits = bits, .lanes = 8});
    gpu.expect_right(some, some.size(), {.generator_bits = bits, .key_bits = 0});
    gpu.forget_tables();
  }
}

TEST(P256CudaTest, SumsThatMeetThemselvesAreDecidedRight) {
  Gpu gpu;
  for (const auto& [key_bits, generator_bits] : {std::pair{8U, 8U}, {5U, 10U}}) {
    const std::vector<Case> cases = forged_cases(41 + key_bits, key_bits, generator_bits);
    const Shape shape{.generator_bits = generator_bits, .key_bits = key_bits};
    EXPECT_GT(gpu.expect_right(cases, cases.size(), shape), 20);
    gpu.expect_right(cases, 33, shape);
    EXPECT_GT(
        gpu.expect_right(cases, cases.size(), {.generator_bits = generator_bits, .key_bits = 0}),
        10);
    gpu.forget_tables();
  }
}

// The rows of one lane, or the sums of two, are made to meet.
std::vector<Case> split_cases(std::uint64_t seed, unsigned key_bits, unsigned generator_bits,
                              unsigned lanes) {
  P256Forge forge(seed);
  Referee referee;
  const unsigned generator_windows = kernels::window_count(generator_bits);
  const unsigned key_windows = kernels::window_count(key_bits);
  std::vector<Case> cases;
  for (unsigned lane = 0; lane < lanes; ++lane) {
    const Bn u1 = forge.random_scalar();
    const Bn u2 = forge.random_scalar();
    const auto digits1 = forge.digits(u1, generator_bits);
    const auto digits2 = forge.digits(u2, key_bits);
    // A lane's sum is a·G + b·Q.
    const auto sum = [&](unsigned of_lane, unsigned windows) {
      Bn a = forge.number(0);
      Bn b = forge.number(0);
      for (unsigned k = of_lane; k < windows; k += lanes) {
        if (k < generator_windows) {
          a = forge.add(a, forge.partial(digits1, generator_bits, k, k + 1));
        } else {
          const unsigned window = k - generator_windows;
          b = forge.add(b, forge.partial(digits2, key_bits, window, window + 1));
        }
      }
      return std::pair{std::move(a), std::move(b)};
    };
    // a1 + b1·d = ±(a2 + b2·d)
    const auto meet = [&](const std::pair<Bn, Bn>& one, const std::pair<Bn, Bn>& two,
                          const std::string& what) {
      for (const bool minus : {false, true}) {
        const Bn a = minus ? forge.add(two.first, one.first) : forge.sub(two.first, one.first);
        const Bn b = minus ? forge.add(one.second, two.second) : forge.sub(one.second, two.second);
        if (BN_is_zero(a.get()) || BN_is_zero(b.get())) continue;
        const Bn d =
            forge.over(minus ? forge.sub(forge.number(0), a) : forge.add(forge.number(0), a), b);
        if (BN_is_zero(forge.add(u1, forge.mul(u2, d)).get())) continue;
        cases.push_back(referee.decide(
            forge.with_scalars(u1, u2, d, what + (minus ? ", opposite" : ", equal"))));
      }
    };
    const unsigned all = generator_windows + key_windows;
    if (lane < lanes / 2) meet(sum(lane, all), sum(lane + lanes / 2, all), "two lanes");
    // The lane's rows of G against its first of Q.
    unsigned first = lane;
    while (first < generator_windows) first += lanes;
    std::pair<Bn, Bn> row = {
        forge.number(0),
        forge.partial(digits2, key_bits, first - generator_windows, first - generator_windows + 1)};
    if (first > lane) meet(sum(lane, generator_windows), row, "a row of one lane");
  }
  return cases;
}

TEST(P256CudaTest, LanesThatMeetAreDecidedRight) {
  Gpu gpu;
  for (const unsigned lanes : {2U, 4U, 8U, 16U}) {
    const Shape shape{.generator_bits = 8, .key_bits = 5, .lanes = lanes};
    const std::vector<Case> cases = split_cases(50 + lanes, 5, 8, lanes);
    ASSERT_GE(cases.size(), lanes);
    EXPECT_EQ(gpu.expect_right(cases, cases.size(), shape), cases.size());
    const std::vector<Case> forged = forged_cases(52, 5, 8);
    EXPECT_GE(gpu.expect_right(forged, forged.size(), shape), 3);
  }
}

// What only the complete formulas decide: the sum up to some window is ± the next row.
TEST(P256CudaTest, ManyDifferentExceptions) {
  constexpr unsigned kBits = 5;
  P256Forge forge(53);
  Referee referee;
  std::vector<Case> cases;
  while (cases.size() < 128) {
    const Bn u1 = forge.random_scalar();
    const Bn u2 = forge.random_scalar();
    const auto digits = forge.digits(u2, kBits);
    const std::size_t window = forge.random()() % digits.size();
    const Bn next = forge.partial(digits, kBits, window, window + 1);
    const Bn before = forge.partial(digits, kBits, 0, window);
    // u1 + before·d = ±next·d
    const Bn d =
        forge.over(u1, cases.size() % 2 == 0 ? forge.sub(next, before)
                                             : forge.sub(forge.sub(forge.number(0), next), before));
    ForgedSignature forged = forge.with_scalars(u1, u2, d, "window " + std::to_string(window));
    if (cases.size() % 4 == 3) forged.public_key[0] ^= 1;  // -Q
    cases.push_back(referee.decide(std::move(forged)));
  }
  Gpu gpu;
  EXPECT_GE(gpu.expect_right(cases, cases.size(), {.key_bits = kBits}), 96);
}

// One exception among good ones leaves the others as they are, in every lane of a warp.
TEST(P256CudaTest, ExceptionsDoNotSpread) {
  Gpu gpu;
  const std::vector<Case> good = random_cases(34, 32);
  std::vector<Case> forged = forged_cases(35, 5, 8);
  std::erase_if(forged, [](const Case& one) {
    const std::string& what = one.forged.what;
    return what.ends_with("altered") ||
           (!what.starts_with("u1 = 0") && what.find("of the key") == std::string::npos);
  });
  ASSERT_GT(forged.size(), 6);
  const Shape shape{.key_bits = 5};
  for (std::size_t place = 0; place < 32; ++place) {
    std::vector<const Case*> batch;
    for (const Case& one : good) batch.push_back(&one);
    batch[place] = &forged[place % forged.size()];
    const Verdicts verdicts = gpu.verify(batch, shape);
    ASSERT_EQ(verdicts.exceptions, 1);
    for (std::size_t i = 0; i < batch.size(); ++i) {
      ASSERT_EQ(verdicts.valid[i], batch[i]->valid) << "exception at " << place << ", place " << i;
    }
  }
  // Nothing but exceptions, more than the threads that decide them.
  const std::vector<Case> same(600, forged[0]);
  EXPECT_EQ(gpu.expect_right(same, same.size(), shape), same.size());
}

TEST(P256CudaTest, EveryBlockOfEveryKernelIsReached) {
  Gpu gpu;
  const std::vector<Case> forged = forged_cases(36, 5, 8);
  const std::vector<Case> random = random_cases(37, 1025);
  gpu.expect_right(random, random.size(), {});
  gpu.expect_right(forged, forged.size(), {.key_bits = 5, .scalars_each = true});
  gpu.expect_right(forged, forged.size(), {.key_bits = 5, .lanes = 8});
  gpu.expect_right(forged, forged.size(), {.key_bits = 0});
  for (const char* kernel :
       {"p256_cuda_scalars", "p256_cuda_scalars_each", "p256_cuda_verify_enrolled",
        "p256_cuda_verify_split", "p256_cuda_verify_unknown", "p256_cuda_verify_exceptions",
        "p256_cuda_bases", "p256_cuda_extend"}) {
    EXPECT_EQ(gpu.device().blocks_missed(kernel), 0) << gpu.device().coverage(kernel);
  }
}

// Blocks and warps in whatever order: what waits at no barrier that it needs would be found.
TEST(P256CudaTest, EveryOrderOfWarps) {
  const std::vector<Case> cases = random_cases(38, 300);
  using gpu_emulator::Order;
  for (const Order order : {Order::kAscending, Order::kDescending, Order::kSeeded}) {
    for (std::uint64_t seed = 1; seed <= (order == Order::kSeeded ? 3 : 1); ++seed) {
      Gpu gpu;
      gpu.device().options().order = order;
      gpu.device().options().seed = seed;
      gpu.expect_right(cases, cases.size(), {.generator_bits = 5, .key_bits = 5});
      gpu.expect_right(cases, 40, {.generator_bits = 5, .key_bits = 5, .lanes = 16});
      gpu.expect_right(cases, cases.size(), {.generator_bits = 5, .key_bits = 0});
    }
  }
}

TEST(P256CudaTest, RandomAndMutatedSignaturesAgreeWithOpenssl) {
  const std::size_t rounds = is_long() ? 25 : 1;
  const std::size_t count = is_long() ? 4'096 : 2'560;
  Gpu gpu;
  std::size_t checked = 0;
  for (std::size_t round = 0; round < rounds; ++round) {
    const std::vector<Case> cases = random_cases(2'000 + round, count);
    gpu.expect_right(cases, count, {});
    gpu.expect_right(cases, count, {.lanes = 4, .scalars_each = true});
    const std::vector<Case> some(cases.begin(), cases.begin() + 512);
    gpu.expect_right(some, some.size(), {.key_bits = 0});
    checked += 2 * count + some.size();
    gpu.forget_tables();
  }
  std::printf("%zu signatures on the emulated GPU, as OpenSSL\n", checked);
}

}  // namespace
}  // namespace colophon::test
