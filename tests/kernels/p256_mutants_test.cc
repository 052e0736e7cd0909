// SPDX-License-Identifier: Apache-2.0
//
// Whether the CUDA kernels' tests would notice: the kernels' PTX is changed in one place at a time
// (ptx_mutants.h), and the tests' own checks, cut down to what finds most soonest, must fail.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/kernels/cuda_device_under_test.h"
#include "tests/kernels/p256_cases.h"
#include "tests/kernels/p256_edges.h"
#include "tests/kernels/ptx_mutants.h"

namespace colophon::test {
namespace {

constexpr std::uint64_t kWarpInstructionsMax = 1 << 27;

struct Check {
  const char* name;
  std::function<void(Gpu&)> run;  // throws what is wrong
};

// Of each kernel, what kills most soonest first.
class Suite {
 public:
  Suite() : random_(random_cases(71, 130)), forged_(forged_cases(72, 5, 8)) {
    const auto made = [](auto work) {
      const auto shared = std::make_shared<const decltype(work)>(std::move(work));
      return [shared](Gpu& gpu) { shared->expect_right(gpu); };
    };
    const auto scalars = [made](bool each) {
      std::vector<Check> checks;
      const Shape shape{.generator_bits = 16, .scalars_each = each};
      checks.push_back({"scalars, few", made(ScalarsAtEdges(81, 40, shape))});
      checks.push_back({"scalars, many", made(ScalarsAtEdges(82, 2'100, shape))});
      for (const std::size_t count : {300, 600, 900})
        checks.push_back({"scalars, sizes", made(ScalarsAtEdges(83, count, shape))});
      return checks;
    };
    checks_["p256_cuda_scalars"] = scalars(false);
    checks_["p256_cuda_scalars_each"] = scalars(true);
    const auto sums = [this, made](Shape shape, std::size_t many) {
      std::vector<Check> checks;
      checks.push_back({"signatures", [this, shape](Gpu& gpu) {
                          gpu.expect_right({random_.begin(), random_.begin() + 40}, 40, shape);
                        }});
      checks.push_back({"rigged rows", made(SumsAtEdges(83, many, shape))});
      Shape five = shape;
      if (shape.key_bits != 0) five.key_bits = 5;
      checks.push_back(
          {"forged", [this, five](Gpu& gpu) { gpu.expect_right(forged_, forged_.size(), five); }});
      return checks;
    };
    checks_["p256_cuda_verify_enrolled"] = sums({}, 2'048);
    checks_["p256_cuda_verify_split"] = sums({.lanes = 8}, 256);
    checks_["p256_cuda_verify_split"].push_back(
        {"rigged rows, 32 lanes",
         made(SumsAtEdges(84, 1'024, {.generator_bits = 10, .lanes = 32}))});
    checks_["p256_cuda_verify_unknown"] = sums({.key_bits = 0}, 512);
    checks_["p256_cuda_verify_exceptions"] = {
        {"rigged points", made(CompleteSumsAtEdges(85, 32))},
        {"forged",
         [this](Gpu& gpu) { gpu.expect_right(forged_, forged_.size(), {.key_bits = 5}); }},
        {"many rigged points", made(CompleteSumsAtEdges(86, 2'048))}};
    const std::vector<Check> tables = {{"one table", made(TablesAtEdges(87, 2, 4, 64))},
                                       {"many windows", made(TablesAtEdges(88, 260, 5, 52))},
                                       {"one window", made(TablesAtEdges(89, 1'500, 4, 1))},
                                       {"sizes", made(TablesAtEdges(90, 300, 4, 1))},
                                       {"sizes", made(TablesAtEdges(91, 600, 4, 1))},
                                       {"sizes", made(TablesAtEdges(92, 900, 4, 1))}};
    checks_["p256_cuda_bases"] = tables;
    checks_["p256_cuda_extend"] = tables;
  }

  // What is wrong, and who says so; nothing if all pass.
  std::pair<std::string, std::string> run(const std::string& kernel, Gpu& gpu) const {
    for (const Check& check : checks_.at(kernel)) {
      try {
        check.run(gpu);
      } catch (const LaunchFailed& failed) {
        return {std::string(gpu_emulator::fault_name(failed.kind())), failed.what()};
      } catch (const std::exception& wrong) {
        return {check.name, wrong.what()};
      }
    }
    return {};
  }

 private:
  std::vector<Case> random_;
  std::vector<Case> forged_;
  std::map<std::string, std::vector<Check>> checks_;
};

TEST(P256MutantsTest, All) {
  PtxMutants mutants(file_text(COLOPHON_CUDA_PTX));
  Suite suite;
  Gpu gpu;
  gpu.device().options().warp_instructions_max = kWarpInstructionsMax;
  for (const char* kernel :
       {"p256_cuda_scalars", "p256_cuda_scalars_each", "p256_cuda_verify_enrolled",
        "p256_cuda_verify_split", "p256_cuda_verify_unknown", "p256_cuda_verify_exceptions",
        "p256_cuda_bases", "p256_cuda_extend"}) {
    const clock_t t = clock();
    EXPECT_EQ(suite.run(kernel, gpu).second, "");
    printf("%s %.2f\n", kernel, double(clock() - t) / 1e6);
  }
  const char* n = getenv("N");
  const char* s = getenv("S");
  const double f = n ? atof(n) : 1;
  auto c = [&](int x) { return size_t(x * f); };
  const clock_t t0 = clock();
  auto drawn = mutants.draw(s ? atoi(s) : 1, {c(40), c(30), c(10), c(12), c(8)});
  printf("draw %.2f\n", double(clock() - t0) / 1e6);
  for (const Mutant& m : drawn) {
    if (getenv("L") && m.line != unsigned(atoi(getenv("L")))) continue;
    const clock_t t = clock();
    std::string who, what;
    try {
      gpu.device().replace(mutants.text(m));
      std::tie(who, what) = suite.run(m.kernel, gpu);
    } catch (const std::exception& e) {
      who = "REFUSED";
      what = e.what();
    }
    gpu.device().restore();
    printf("%s %s %s:%u #%u '%s' -> '%s' : %s [%.2f] %s\n", who.empty() ? "SURVIVED" : "found",
           std::string(mutant_kind_name(m.kind)).c_str(), m.kernel.c_str(), m.line, m.equal,
           m.before.c_str(), m.after.c_str(), who.c_str(), double(clock() - t) / 1e6,
           what.substr(0, 60).c_str());
  }
}

}  // namespace
}  // namespace colophon::test
