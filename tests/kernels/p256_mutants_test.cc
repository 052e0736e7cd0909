// SPDX-License-Identifier: Apache-2.0
//
// Whether the CUDA kernels' tests would notice: the kernels' PTX is changed in one place
// (ptx_mutants.h), and the checks of p256_cuda_test, cut down to what finds most soonest, must
// fail. A hundred mutants, drawn by a seed, are all found but for those listed here as equivalent,
// each with its reason. What the emulator finds by itself (bounds, races, divergence, endless
// loops) counts.
//
// The list holds for one compiler and one text of the kernels. When a kernel changes, some others
// are drawn; a survivor among them is either a gap, to be closed by a case in p256_cases.h or
// p256_edges.h, or is shown to change nothing and listed.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <set>
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

constexpr std::array<std::size_t, kMutantKinds> kHundred = {40, 30, 10, 12, 8};
constexpr std::uint64_t kSeed = 1;
// Drawn by other seeds, as many as these are found at least; see ManyMore.
constexpr double kFoundMin = 0.85;

// --- equivalent mutants --------------------------------------------------------------------------

struct Equivalent {
  MutantKind kind;
  std::string_view kernel;
  std::string_view before;  // without registers' numbers, as in Mutant
  std::string_view after;
  std::uint32_t equal;
  std::string_view reason;
};

// What the list is of.
constexpr std::string_view kListedCompiler = "Cuda compilation tools, release 13.0, V13.0.88";
constexpr std::string_view kListedTarget = ".target sm_90";

// The inverse's last steps (inverse_from in modular_inverse.h) look at the sign of a number's top
// limb; one of -1 stands for [-2^240, 0).
constexpr std::string_view kFirstSign =
    "d in [-2^240, 0) is above -m already, which is all that this step is for";
constexpr std::string_view kThirdSign =
    "d in [-2^240, 0) is made positive by the next step instead";
constexpr std::string_view kLastSign = "d is not negative by then";

constexpr std::array kEquivalents = {
    // In row 2 of reduce_by_rows mod n, whose limb 6 is zero.
    Equivalent{MutantKind::kCarry, "p256_cuda_scalars", "addc.cc.u32 %r, %r, %r",
               "add.cc.u32 %r, %r, %r", 603,
               "what a product by that limb is added to is at most (2^32-1)² + 1 + 2^32, two "
               "carries included: no carry comes out"},
    Equivalent{MutantKind::kCarry, "p256_cuda_verify_split", "subc.cc.u32 %r, %r, %r",
               "sub.cc.u32 %r, %r, %r", 334,
               "n in Montgomery form is a product of constants, in which nothing is borrowed here"},
    Equivalent{MutantKind::kOperand, "p256_cuda_scalars", "prmt.b32 %r, %r, %r, %r",
               "prmt.b32 %r, %r, %r, %r", 50, "the selector takes no byte of the second source"},
    Equivalent{MutantKind::kBound, "p256_cuda_scalars", "setp.gt.s32 %p, %r, -1",
               "setp.ge.s32 %p, %r, -1", 1, kThirdSign},
    Equivalent{MutantKind::kBound, "p256_cuda_scalars_each", "setp.gt.s32 %p, %r, -1",
               "setp.ge.s32 %p, %r, -1", 1, kThirdSign},
    Equivalent{MutantKind::kBound, "p256_cuda_scalars_each", "setp.gt.s32 %p, %r, -1",
               "setp.gt.s32 %p, %r, -2", 0, kFirstSign},
    Equivalent{MutantKind::kBound, "p256_cuda_verify_exceptions", "setp.gt.s32 %p, %r, -1",
               "setp.ge.s32 %p, %r, -1", 2, kLastSign},
    Equivalent{MutantKind::kBound, "p256_cuda_extend", "setp.lt.u32 %p, %r, %r",
               "setp.le.u32 %p, %r, %r", 9,
               "where an addition that is not there would put its sum, which it does not"},
};

// --- the suite -----------------------------------------------------------------------------------

struct Finding {
  std::string by;  // a check's name, or the emulator's name of a fault; empty: nothing found
  std::string what;
};

// The checks of each kernel, what kills most soonest first. All must pass with the kernels as they
// are.
class Suite {
 public:
  explicit Suite(Gpu& gpu) : random_(random_cases(71, 40)), forged_(forged_cases(72, 5, 8)) {
    for (const bool each : {false, true}) {
      const Shape shape{.generator_bits = 16, .scalars_each = each};
      auto& checks = checks_[each ? "p256_cuda_scalars_each" : "p256_cuda_scalars"];
      for (const std::size_t count : {40, 2'100, 300, 600, 900}) {
        add(checks, "scalars at edges", ScalarsAtEdges(80 + count, count, shape));
      }
    }
    add_sums(checks_["p256_cuda_verify_enrolled"], {}, SumsAtEdges(81, 2'048, {}));
    add_sums(checks_["p256_cuda_verify_unknown"], {.key_bits = 0},
             SumsAtEdges(82, 512, {.key_bits = 0}));
    auto& split = checks_["p256_cuda_verify_split"];
    add_sums(split, {.lanes = 8}, SumsAtEdges(83, 256, {.lanes = 8}));
    const Shape wide{.generator_bits = 10, .lanes = 32};
    add(split, "rows at edges", SumsAtEdges(84, 1'024, wide));
    auto& exceptions = checks_["p256_cuda_verify_exceptions"];
    add(exceptions, "points at edges", CompleteSumsAtEdges(85, 32));
    add_forged(exceptions, {.key_bits = 5});
    add(exceptions, "points at edges", CompleteSumsAtEdges(86, 2'048));
    auto& tables = checks_["p256_cuda_extend"];
    add(tables, "tables", TablesAtEdges(87, 2, 4, 64));
    add(tables, "tables", TablesAtEdges(88, 260, 5, 52));
    for (const std::size_t count : {1'500, 300, 600, 900}) {
      add(tables, "tables", TablesAtEdges(80 + count, count, 4, 1));
    }
    for (auto& [kernel, checks] : checks_) {
      for (Check& check : checks) {
        check.run(gpu);
        check.warp_instructions_max = 2 * gpu.device().take_longest_launch() + 100'000;
      }
    }
    checks_["p256_cuda_bases"] = tables;
  }

  [[nodiscard]] std::vector<std::string> kernels() const {
    std::vector<std::string> names;
    for (const auto& [kernel, checks] : checks_) names.push_back(kernel);
    return names;
  }

  // With `ptx` in place of the kernel.
  Finding judge(const std::string& kernel, const std::string& ptx, Gpu& gpu) const {
    gpu.device().replace(ptx);
    Finding finding;
    for (const Check& check : checks_.at(kernel)) {
      gpu.device().options().warp_instructions_max = check.warp_instructions_max;
      try {
        check.run(gpu);
      } catch (const LaunchFailed& failed) {
        finding = {std::string(gpu_emulator::fault_name(failed.kind())), failed.what()};
      } catch (const std::exception& wrong) {
        finding = {check.name, wrong.what()};
      }
      if (!finding.by.empty()) break;
    }
    gpu.device().restore();
    return finding;
  }

 private:
  struct Check {
    std::string name;
    std::function<void(Gpu&)> run;  // throws what is wrong
    std::uint64_t warp_instructions_max = 0;
  };

  template <class Work>
  static void add(std::vector<Check>& checks, const char* name, Work work) {
    const auto shared = std::make_shared<const Work>(std::move(work));
    checks.push_back({name, [shared](Gpu& gpu) { shared->expect_right(gpu); }});
  }
  void add_forged(std::vector<Check>& checks, const Shape& shape) {
    checks.push_back({"forged signatures", [this, shape](Gpu& gpu) {
                        gpu.expect_right(forged_, forged_.size(), shape);
                      }});
  }
  void add_sums(std::vector<Check>& checks, const Shape& shape, SumsAtEdges sums) {
    checks.push_back({"signatures", [this, shape](Gpu& gpu) {
                        gpu.expect_right(random_, random_.size(), shape);
                      }});
    add(checks, "rows at edges", std::move(sums));
    Shape five = shape;
    if (shape.key_bits != 0) five.key_bits = 5;
    add_forged(checks, five);
  }

  std::vector<Case> random_;
  std::vector<Case> forged_;
  std::map<std::string, std::vector<Check>> checks_;
};

class P256MutantsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    gpu_ = std::make_unique<Gpu>();
    mutants_ = std::make_unique<PtxMutants>(file_text(COLOPHON_CUDA_PTX));
    suite_ = std::make_unique<Suite>(*gpu_);
  }
  static void TearDownTestSuite() {
    suite_.reset();
    mutants_.reset();
    gpu_.reset();
  }

  static Finding judge(const Mutant& mutant) {
    return suite_->judge(mutant.kernel, mutants_->text(mutant), *gpu_);
  }
  static const PtxMutants& mutants() { return *mutants_; }
  static const Suite& suite() { return *suite_; }

 private:
  inline static std::unique_ptr<Gpu> gpu_;
  inline static std::unique_ptr<PtxMutants> mutants_;
  inline static std::unique_ptr<Suite> suite_;
};

// --- the tests -----------------------------------------------------------------------------------

// The suite passes with all kernels as they are, or would not have been set up; and with one that
// is replaced by itself.
TEST_F(P256MutantsTest, AKernelReplacedByItselfPasses) {
  for (const char* kernel : {"p256_cuda_scalars", "p256_cuda_verify_split"}) {
    const Finding finding = judge(mutants().first(kernel, "mov.u32"));
    EXPECT_EQ(finding.by, "") << kernel << ": " << finding.what;
  }
}

TEST_F(P256MutantsTest, MutantsMadeByHandAreFoundForWhatTheyAre) {
  const auto found_by = [](const char* kernel, const char* opcode, const std::string& after) {
    Mutant mutant = mutants().first(kernel, opcode);
    mutant.after = after;
    return judge(mutant).by;
  };
  EXPECT_EQ(found_by("p256_cuda_scalars", "bar.sync", ""), "race");
  EXPECT_EQ(found_by("p256_cuda_bases", "bar.sync", ""), "race");
  EXPECT_EQ(found_by("p256_cuda_verify_enrolled", "ret", "trap"), "trap");
  EXPECT_EQ(found_by("p256_cuda_verify_unknown", "ret", "$L_hand: bra $L_hand"), "step limit");
  Mutant carry = mutants().first("p256_cuda_verify_split", "madc.lo.cc.u32");
  EXPECT_EQ(found_by("p256_cuda_verify_split", "madc.lo.cc.u32", "mad" + carry.before.substr(4)),
            "signatures");
  for (const std::string& kernel : suite().kernels()) {
    Mutant operand = mutants().first(kernel, "mul.wide.u32");
    operand.after = operand.before.substr(0, operand.before.rfind(',')) + ", 77";
    EXPECT_NE(judge(operand).by, "") << kernel;
  }
}

std::string text_of(const Mutant& mutant) {
  return std::string(mutant_kind_name(mutant.kind)) + ", " + mutant.kernel + ", line " +
         std::to_string(mutant.line) + ": " + mutant.before + " -> " +
         (mutant.after.empty() ? "nothing" : mutant.after);
}
// As a line of the list.
std::string entry_of(const Mutant& mutant) {
  constexpr std::array<const char*, kMutantKinds> kNames = {"kCarry", "kOperand", "kBarrier",
                                                            "kBound", "kCondition"};
  return std::string("{MutantKind::") + kNames[static_cast<std::size_t>(mutant.kind)] + ", \"" +
         mutant.kernel + "\", \"" + without_numbers(mutant.before) + "\", \"" +
         without_numbers(mutant.after) + "\", " + std::to_string(mutant.equal) + ", \"\"},";
}
bool operator==(const Equivalent& listed, const Mutant& mutant) {
  return listed.kind == mutant.kind && listed.kernel == mutant.kernel &&
         listed.equal == mutant.equal && listed.before == without_numbers(mutant.before) &&
         listed.after == without_numbers(mutant.after);
}

// How many of which kind were found by whom.
class Tally {
 public:
  void add(const Mutant& mutant, const std::string& by) {
    ++count_[by.empty() ? "nobody" : by][static_cast<std::size_t>(mutant.kind)];
    ++all_;
    found_ += by.empty() ? 0 : 1;
  }
  [[nodiscard]] double found() const {
    return static_cast<double>(found_) / static_cast<double>(all_);
  }
  void print() const {
    std::printf("%zu mutants, %zu found, by\n%-20s", all_, found_, "");
    for (std::size_t k = 0; k < kMutantKinds; ++k) {
      std::printf("%10s", std::string(mutant_kind_name(static_cast<MutantKind>(k))).c_str());
    }
    std::printf("\n");
    for (const auto& [by, kinds] : count_) {
      std::printf("%-20s", by.c_str());
      for (const std::size_t count : kinds) std::printf("%10zu", count);
      std::printf("\n");
    }
  }

 private:
  std::map<std::string, std::array<std::size_t, kMutantKinds>> count_;
  std::size_t all_ = 0;
  std::size_t found_ = 0;
};

TEST_F(P256MutantsTest, AHundredAreFoundOrEquivalent) {
  const std::string& ptx = mutants().ptx();
  const bool is_listed_text = COLOPHON_LISTED_PTX != 0 &&
                              ptx.find(kListedCompiler) != std::string::npos &&
                              ptx.find(kListedTarget) != std::string::npos;
  std::vector<Mutant> drawn = mutants().draw(kSeed, kHundred);
  ASSERT_EQ(drawn.size(), 100);
  std::set<std::string> kernels;
  for (const Mutant& mutant : drawn) kernels.insert(mutant.kernel);
  EXPECT_EQ(kernels.size(), suite().kernels().size());
  Tally tally;
  for (std::size_t i = 0; i < drawn.size(); i += COLOPHON_MUTANTS_STEP) {
    const Mutant& mutant = drawn[i];
    const Finding finding = judge(mutant);
    tally.add(mutant, finding.by);
    const auto listed = std::find(kEquivalents.begin(), kEquivalents.end(), mutant);
    std::printf("%s: %s\n", text_of(mutant).c_str(),
                !finding.by.empty()            ? finding.by.c_str()
                : listed != kEquivalents.end() ? std::string(listed->reason).c_str()
                                               : "not found");
    if (!is_listed_text) continue;
    EXPECT_TRUE(!finding.by.empty() || listed != kEquivalents.end())
        << "not found: " << text_of(mutant) << "\n"
        << entry_of(mutant);
    EXPECT_TRUE(finding.by.empty() || listed == kEquivalents.end())
        << "listed as equivalent, but found by " << finding.by << " (" << finding.what
        << "): " << text_of(mutant);
  }
  tally.print();
  if (!is_listed_text) {
    EXPECT_GE(tally.found(), kFoundMin);
    GTEST_SKIP() << "another compiler's text than the list of equivalent mutants is of";
  }
  for (const Equivalent& listed : kEquivalents) {
    EXPECT_NE(std::find(drawn.begin(), drawn.end(), listed), drawn.end())
        << "listed, but not drawn: " << listed.kernel << ", " << listed.before << " -> "
        << listed.after << " #" << listed.equal;
  }
}

// Most of what survives here is equivalent too, or a carry that is met once in 2^32 and by no input
// that could be computed backwards: nobody has gone through them all, so they are counted.
TEST_F(P256MutantsTest, ManyMore) {
  if (!is_long()) GTEST_SKIP() << "a thousand mutants more: with COLOPHON_TEST_LONG=1";
  Tally tally;
  for (std::uint64_t seed = kSeed + 1; seed <= kSeed + 10; ++seed) {
    const std::vector<Mutant> drawn = mutants().draw(seed, kHundred);
    for (std::size_t i = 0; i < drawn.size(); i += COLOPHON_MUTANTS_STEP) {
      const Mutant& mutant = drawn[i];
      const Finding finding = judge(mutant);
      tally.add(mutant, finding.by);
      if (finding.by.empty()) std::printf("not found: %s\n", text_of(mutant).c_str());
    }
  }
  tally.print();
  EXPECT_GE(tally.found(), kFoundMin);
}

}  // namespace
}  // namespace colophon::test
