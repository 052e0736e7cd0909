// SPDX-License-Identifier: Apache-2.0
//
// Which mutants there are of a text small enough to list them all.
#include "tests/kernels/ptx_mutants.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/gpu_emulator/ptx_module.h"

namespace colophon::test {
namespace {

constexpr const char* kText = R"(.version 9.0
.target sm_90
.address_size 64

.visible .entry _ZN8colophon7kernels5firstEv(
	.param .u64 first_param_0
)
{
	.reg .pred 	%p<4>;
	.reg .b32 	%r<9>;
	.reg .b64 	%rd<3>;
	ld.param.u64 	%rd1, [first_param_0];
	cvta.to.global.u64 	%rd2, %rd1;
	ld.global.u32 	%r1, [%rd2];
	// begin inline asm
	add.cc.u32 %r2, %r1, %r1; addc.cc.u32 %r3, %r1, 5; // a comment; with a semicolon
	// end inline asm
	addc.u32 	%r4, %r2, 0;
	setp.lt.u32 	%p1, %r3, %r2;
	@%p1 bra 	$L1;
	bar.sync 	0;
$L1:
	shfl.sync.bfly.b32 	%r5|%p2, %r3, 1, 31, -1;
	selp.b32 	%r6, %r5, %r3, %p1;
	st.global.u32 	[%rd2+4], %r6;
	ret;
}
	// .globl	second
.visible .entry second()
{
	bar.sync 	0;
	ret;
}
)";

// All that some seed makes of it: "statement -> statement".
std::set<std::string> all_of(const PtxMutants& mutants, MutantKind kind) {
  std::array<std::size_t, kMutantKinds> count{};
  count[static_cast<std::size_t>(kind)] = 100;
  std::set<std::string> all;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    for (const Mutant& mutant : mutants.draw(seed, count)) {
      EXPECT_EQ(mutant.kind, kind);
      all.insert(mutant.before + " -> " + mutant.after);
    }
  }
  return all;
}

TEST(PtxMutantsTest, EveryKindChangesWhatItSays) {
  const PtxMutants mutants(kText);
  // What the addc leaves in %r4 nobody reads: it is left alone, and so is the flag that it takes.
  EXPECT_EQ(all_of(mutants, MutantKind::kCarry),
            (std::set<std::string>{
                "add.cc.u32 %r2, %r1, %r1 -> add.u32 %r2, %r1, %r1",
                "addc.cc.u32 %r3, %r1, 5 -> add.cc.u32 %r3, %r1, 5",
            }));
  EXPECT_EQ(all_of(mutants, MutantKind::kBarrier),
            (std::set<std::string>{
                "bar.sync 0 -> ",
                "shfl.sync.bfly.b32 %r5|%p2, %r3, 1, 31, -1 -> "
                "shfl.sync.bfly.b32 %r5|%p2, %r3, 1, 31, 0x7fffffff",
            }));
  EXPECT_EQ(all_of(mutants, MutantKind::kBound),
            (std::set<std::string>{"setp.lt.u32 %p1, %r3, %r2 -> setp.le.u32 %p1, %r3, %r2"}));
  EXPECT_EQ(all_of(mutants, MutantKind::kCondition),
            (std::set<std::string>{
                "@%p1 bra $L1 -> @!%p1 bra $L1",
                "selp.b32 %r6, %r5, %r3, %p1 -> selp.b32 %r6, %r3, %r5, %p1",
            }));
  const std::set<std::string> operands = all_of(mutants, MutantKind::kOperand);
  for (const char* expected : {
           "addc.cc.u32 %r3, %r1, 5 -> addc.cc.u32 %r3, %r2, 5",
           "addc.cc.u32 %r3, %r1, 5 -> addc.cc.u32 %r3, %r1, 6",
           "addc.cc.u32 %r3, %r1, 5 -> addc.cc.u32 %r3, %r1, 4",
           "addc.cc.u32 %r3, %r1, 5 -> addc.cc.u32 %r3, %r1, 21",
           "setp.lt.u32 %p1, %r3, %r2 -> setp.lt.u32 %p1, %r3, %r1",
           "st.global.u32 [%rd2+4], %r6 -> st.global.u32 [%rd2+8], %r6",
           "st.global.u32 [%rd2+4], %r6 -> st.global.u32 [%rd1+4], %r6",
           "st.global.u32 [%rd2+4], %r6 -> st.global.u32 [%rd2+4], %r5",
           "selp.b32 %r6, %r5, %r3, %p1 -> selp.b32 %r6, %r5, %r3, %p2",
       }) {
    EXPECT_TRUE(operands.contains(expected)) << expected;
  }
  for (const std::string& operand : operands) {
    EXPECT_FALSE(operand.starts_with("cvta")) << "no other register was written: " << operand;
    EXPECT_FALSE(operand.starts_with("addc.u32")) << "nobody reads it: " << operand;
  }
}

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

TEST(PtxMutantsTest, MutantsAreModulesOfOneKernelWithOneChange) {
  const PtxMutants mutants(kText);
  for (const Mutant& mutant : mutants.draw(1, {2, 5, 3, 1, 2})) {
    const std::string text = mutants.text(mutant);
    const auto module = gpu_emulator::parse_module(text);
    ASSERT_TRUE(module) << module.error().message << "\n" << text;
    ASSERT_EQ(module->functions.size(), 1);
    EXPECT_NE(module->functions[0].name.find(mutant.kernel), std::string::npos);
    const std::vector<std::string> changed = lines_of(text);
    const std::vector<std::string> before =
        lines_of(mutants.text(mutants.first(mutant.kernel, "ret")));  // as it is
    ASSERT_EQ(changed.size(), before.size());
    std::size_t differences = 0;
    for (std::size_t i = 0; i < changed.size(); ++i) differences += changed[i] != before[i] ? 1 : 0;
    EXPECT_EQ(differences, 1) << text;
  }
}

TEST(PtxMutantsTest, TheDrawHangsOnTheSeedAndNotOnRegisters) {
  const std::array<std::size_t, kMutantKinds> few = {1, 4, 1, 1, 1};
  const auto texts = [&](const std::string& ptx, std::uint64_t seed) {
    std::vector<std::string> out;
    for (const Mutant& mutant : PtxMutants(ptx).draw(seed, few)) {
      out.push_back(without_numbers(mutant.before));
    }
    return out;
  };
  std::string renumbered = kText;
  for (std::size_t at = 0; (at = renumbered.find("%r1", at)) != std::string::npos; at += 3) {
    renumbered.replace(at, 3, "%r8");
  }
  EXPECT_EQ(texts(kText, 1), texts(renumbered, 1));
  EXPECT_NE(texts(kText, 1), texts(kText, 2));
}

}  // namespace
}  // namespace colophon::test
