// SPDX-License-Identifier: Apache-2.0
//
// Two threads at one place with nothing between them: found whatever the order, and nothing else
// is.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/gpu_emulator/kernel_run.h"

namespace colophon::gpu_emulator {
namespace {

using Words = std::vector<std::uint32_t>;

// %r0: the thread; %r1: the address of its word in shared memory, which is 0; %r2: that of the word
// `other` threads on (mod 64); %rd0, %rd2: the same in global memory.
std::string text_with(const std::string& body, unsigned other = 1) {
  return kernel_text(
      ".shared .align 8 .b8 s[256]; mov.u32 %r0, %tid.x; mov.u32 %r3, s; mad.lo.u32 %r1, %r0, 4, "
      "%r3; add.u32 %r2, %r0, " +
      std::to_string(other) +
      "; and.b32 %r2, %r2, 63; mul.wide.u32 %rd2, %r2, 4; mad.lo.u32 %r2, %r2, 4, %r3; add.u64 "
      "%rd2, %out, %rd2; mul.wide.u32 %rd0, %r0, 4; add.u64 %rd0, %out, %rd0; setp.eq.u32 %p0, "
      "%r0, 0; and.b32 %r5, %r0, 31; setp.eq.u32 %p5, %r5, 0;\nst.shared.u32 [%r1], 0;\n"
      "bar.sync 0;\n" +
      body);
}

struct Trial {
  const char* name;
  std::string body;
  bool race;
  unsigned other = 1;
};
void PrintTo(const Trial& trial, std::ostream* out) { *out << trial.name; }

class PtxRaceTest : public testing::TestWithParam<Trial> {};

TEST_P(PtxRaceTest, IsFoundInEveryOrderOrInNone) {
  const Trial& trial = GetParam();
  for (const Order order : {Order::kAscending, Order::kDescending, Order::kSeeded}) {
    for (std::uint64_t seed = 0; seed < (order == Order::kSeeded ? 5 : 1); ++seed) {
      KernelRun run(text_with(trial.body, trial.other));
      run.shape.block.x = 64;
      run.options.order = order;
      run.options.seed = seed;
      const LaunchResult result = run.run(Words(64));
      EXPECT_EQ(outcome(result), trial.race ? "race" : "done")
          << (result.fault ? result.fault->message : "");
      if (result.fault) {
        EXPECT_NE(result.fault->line, 0U);
        EXPECT_NE(result.fault->line2, 0U);
      }
      run.options.check_races = false;
      EXPECT_EQ(outcome(run.run(Words(64))), "done");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    , PtxRaceTest,
    testing::Values(
        Trial{"shared, a barrier removed", "st.shared.u32 [%r1], 1;\nld.shared.u32 %r4, [%r2];",
              true},
        Trial{"shared, with the barrier",
              "st.shared.u32 [%r1], 1;\nbar.sync 0;\nld.shared.u32 %r4, [%r2];", false},
        Trial{"global, a barrier removed", "st.global.u32 [%rd0], 1;\nld.global.u32 %r4, [%rd2];",
              true},
        Trial{"global, with the barrier",
              "st.global.u32 [%rd0], 1;\nbar.sync 0;\nld.global.u32 %r4, [%rd2];", false},
        Trial{"read, then written by another", "ld.shared.u32 %r4, [%r2];\nst.shared.u32 [%r1], 1;",
              true},
        Trial{"the same with a barrier",
              "ld.shared.u32 %r4, [%r2];\nbar.sync 0;\nst.shared.u32 [%r1], 1;", false},
        Trial{"only reads", "ld.shared.u32 %r4, [%r2];\nld.shared.u32 %r4, [%r1];", false},
        Trial{"only its own",
              "st.shared.u32 [%r1], 1;\nld.shared.u32 %r4, [%r1];\nst.shared.u32 "
              "[%r1], %r4;",
              false},
        Trial{"all write one word", "st.shared.u32 [s], %r0;", true},
        Trial{"all write the same", "st.global.u32 [%out], 1;", true},
        Trial{"one writes, all read", "@%p0 st.shared.u32 [s], 1;\nld.shared.u32 %r4, [s];", true},
        Trial{"one writes, a barrier, all read",
              "@%p0 st.shared.u32 [s], 1;\nbar.sync 0;\nld.shared.u32 %r4, [s];", false},
        Trial{"all read, one writes", "ld.shared.u32 %r4, [s];\n@%p0 st.shared.u32 [s], 1;", true},
        Trial{"a reader of the other warp alone",
              "setp.eq.u32 %p1, %r0, 40;\n@%p1 ld.shared.u32 %r4, [s];\n@%p0 st.shared.u32 [s], 1;",
              true},
        Trial{"a generic address for the same",
              "st.shared.u32 [%r1], 1;\ncvt.u64.u32 %rd4, %r2; "
              "cvta.shared.u64 %rd4, %rd4; ld.u32 %r4, [%rd4];",
              true},
        Trial{"half of a word", "st.shared.u32 [%r1], 1;\nld.shared.u16 %h0, [%r2+2];", true},
        Trial{"bytes side by side",
              "add.u32 %r4, %r3, %r0; st.shared.u8 [%r4], 1;\nld.shared.u8 "
              "%h0, [%r4];",
              false},
        Trial{"a byte of the next",
              "add.u32 %r4, %r3, %r0; st.shared.u8 [%r4], 1;\nxor.b32 %r4, "
              "%r4, 1; ld.shared.u8 %h0, [%r4];",
              true},
        Trial{"a pair of words over another's",
              "st.shared.u32 [%r1], 1;\nand.b32 %r4, %r0, 62; mad.lo.u32 %r4, %r4, 4, %r3; "
              "ld.shared.v2.u32 {%r6, %r7}, [%r4];",
              true},
        // Atomics and what else is strong.
        Trial{"atomics", "atom.shared.add.u32 %r4, [s], 1;\nred.global.add.u32 [%out], 1;", false},
        Trial{"an atomic and a store",
              "@%p0 st.shared.u32 [s], 1;\natom.shared.add.u32 %r4, [s], 1;", true},
        Trial{"an atomic and a load", "atom.shared.add.u32 %r4, [s], 1;\nld.shared.u32 %r4, [s];",
              true},
        Trial{"an atomic, a barrier and a load",
              "atom.shared.add.u32 %r4, [s], 1;\nbar.sync 0;\nld.shared.u32 %r4, [s];", false},
        Trial{"an atomic and a volatile load",
              "atom.shared.add.u32 %r4, [s], 1;\nld.volatile.shared.u32 %r4, [s];", false},
        Trial{"relaxed",
              "st.relaxed.gpu.global.u32 [%out], %r0;\nld.acquire.gpu.global.u32 %r4, [%out];",
              false},
        Trial{"volatile and plain",
              "@%p0 st.volatile.global.u32 [%out], 1;\nld.global.u32 %r4, [%out];", true},
        // A fence is no barrier.
        Trial{"a fence", "st.shared.u32 [%r1], 1;\nmembar.cta;\nld.shared.u32 %r4, [%r2];", true},
        // Lanes of a warp.
        Trial{"a warp in step, without a barrier",
              "st.shared.u32 [%r1], 1;\nxor.b32 %r4, %r0, 1; mad.lo.u32 %r4, %r4, 4, %r3; "
              "ld.shared.u32 "
              "%r4, [%r4];",
              true},
        Trial{"a warp's barrier",
              "st.shared.u32 [%r1], 1;\nbar.warp.sync -1; xor.b32 %r4, %r0, 1; mad.lo.u32 %r4, "
              "%r4, 4, "
              "%r3; ld.shared.u32 %r4, [%r4];",
              false},
        Trial{
            "a shuffle, which is none",
            "st.shared.u32 [%r1], 1;\nshfl.sync.bfly.b32 %r6, %r0, 1, 31, -1; xor.b32 %r4, %r0, 1; "
            "mad.lo.u32 %r4, %r4, 4, %r3; ld.shared.u32 %r4, [%r4];",
            true},
        Trial{"a warp's barrier, over warps",
              "st.shared.u32 [%r1], 1;\nbar.warp.sync -1; ld.shared.u32 %r4, [%r2];", true, 32},
        Trial{"a warp's barrier before",
              "bar.warp.sync -1; st.shared.u32 [%r1], 1;\nxor.b32 %r4, %r0, 1; mad.lo.u32 %r4, "
              "%r4, 4, "
              "%r3; ld.shared.u32 %r4, [%r4];",
              true},
        Trial{"barriers of two halves of a warp, across them",
              "and.b32 %r6, %r0, 16; setp.ne.u32 %p1, %r6, 0; selp.b32 %r6, 0xffff0000, 0xffff, "
              "%p1;\n"
              "st.shared.u32 [%r1], 1;\nbar.warp.sync %r6; xor.b32 %r4, %r0, 16; mad.lo.u32 %r4, "
              "%r4, "
              "4, %r3; ld.shared.u32 %r4, [%r4];",
              true},
        Trial{
            "barriers of two halves of a warp, within them",
            "and.b32 %r6, %r0, 16; setp.ne.u32 %p1, %r6, 0; selp.b32 %r6, 0xffff0000, 0xffff, "
            "%p1;\n"
            "st.shared.u32 [%r1], 1;\nbar.warp.sync %r6; xor.b32 %r4, %r0, 8; mad.lo.u32 %r4, %r4, "
            "4, %r3; ld.shared.u32 %r4, [%r4];",
            false},
        // Lane 0 to 1 by one barrier, 1 to 2 by the next: 0 is before 2.
        Trial{
            "one after the other",
            "setp.eq.u32 %p1, %r5, 1; setp.eq.u32 %p2, %r5, 2; or.pred %p3, %p5, %p1; or.pred %p4, "
            "%p1, %p2; @%p5 st.shared.u32 [%r1], 1;\n@%p3 bar.warp.sync 3; @%p4 bar.warp.sync 6; "
            "sub.u32 %r4, %r1, 8; @%p2 ld.shared.u32 %r4, [%r4];",
            false},
        Trial{
            "one after the other, the wrong way round",
            "setp.eq.u32 %p1, %r5, 1; setp.eq.u32 %p2, %r5, 2; or.pred %p3, %p5, %p1; or.pred %p4, "
            "%p1, %p2; @%p5 st.shared.u32 [%r1], 1;\n@%p4 bar.warp.sync 6; @%p3 bar.warp.sync 3; "
            "sub.u32 %r4, %r1, 8; @%p2 ld.shared.u32 %r4, [%r4];",
            true}));

TEST(PtxRaceReportTest, BothPlacesAreNamed) {
  const std::string text = text_with(
      "@%p0 st.shared.u32 [s+4], 7;\nsetp.eq.u32 %p1, %r0, 33;\n@%p1 ld.shared.u32 %r4, [s+4];");
  KernelRun run(text);
  run.shape.block = {8, 4, 2};
  std::string body = text;
  // The thread's number in the block.
  body.replace(
      body.find("mov.u32 %r0, %tid.x;"), 20,
      "mov.u32 %r0, %tid.z; mov.u32 %r6, %tid.y; mad.lo.u32 %r0, %r0, 4, %r6; mov.u32 %r6, "
      "%tid.x; mad.lo.u32 %r0, %r0, 8, %r6;");
  for (const bool down : {false, true}) {
    KernelRun block(body);
    block.shape.block = {8, 4, 2};
    block.options.order = down ? Order::kDescending : Order::kAscending;
    const LaunchResult result = block.run(Words(64));
    ASSERT_EQ(outcome(result), "race");
    const std::uint32_t write = line_of(body, "@%p0 st.shared.u32 [s+4]");
    const std::uint32_t read = line_of(body, "@%p1 ld.shared.u32");
    EXPECT_EQ(result.fault->line, down ? write : read);
    EXPECT_EQ(result.fault->line2, down ? read : write);
    EXPECT_EQ(result.fault->thread, (down ? Dim3{0, 0, 0} : Dim3{1, 0, 1}));
    const std::string wanted =
        down ? "shared memory 's' (256 bytes), offset 4: thread (0,0,0) writes it at line " +
                   std::to_string(write) + ", thread (1,0,1) reads it at line " +
                   std::to_string(read)
             : "shared memory 's' (256 bytes), offset 4: thread (1,0,1) reads it at line " +
                   std::to_string(read) + ", thread (0,0,0) writes it at line " +
                   std::to_string(write);
    EXPECT_NE(result.fault->message.find(wanted + ", and nothing orders the two"),
              std::string::npos)
        << result.fault->message;
  }
}

// --- between blocks ------------------------------------------------------------------------------

LaunchResult of_two_blocks(const std::string& body, Order order, bool check = true) {
  KernelRun run(
      kernel_text("mov.u32 %r0, %ctaid.x; mov.u32 %r1, %tid.x; setp.eq.u32 %p0, %r0, 0; "
                  "setp.eq.u32 %p1, %r1, 0;\n" +
                  body));
  run.shape.grid.x = 2;
  run.options.order = order;
  run.options.check_races_between_blocks = check;
  return run.run(Words(64));
}

TEST(PtxRaceBetweenBlocksTest, BlocksAreOrderedByNothing) {
  for (const Order order : {Order::kAscending, Order::kDescending}) {
    const std::string handed_over =
        "@%p0 bra on; @%p1 st.global.u32 [%out], 1; bra end;\n"
        "on: @%p1 ld.global.u32 %r2, [%out];\nend:";
    const LaunchResult result = of_two_blocks(handed_over, order);
    ASSERT_EQ(outcome(result), "race");
    EXPECT_NE(result.fault->message.find("of an earlier block"), std::string::npos);
    EXPECT_EQ(outcome(of_two_blocks(handed_over, order, false)), "done");
    EXPECT_EQ(outcome(of_two_blocks("@%p1 st.global.u32 [%out], 1;", order)), "race");
    EXPECT_EQ(outcome(of_two_blocks("@%p1 red.global.add.u32 [%out], 1;", order)), "done");
    EXPECT_EQ(outcome(of_two_blocks("@%p1 ld.global.u32 %r2, [%out];", order)), "done");
    // Each has shared memory of its own.
    EXPECT_EQ(outcome(of_two_blocks(".shared .align 4 .b8 s[4]; @%p1 st.shared.u32 [s], 1; @%p1 "
                                    "ld.shared.u32 %r2, [s];",
                                    order)),
              "done");
  }
}

TEST(PtxRaceBetweenBlocksTest, WhatIsReadAsConstantIsNotWritten) {
  // Not even by the thread itself, before.
  for (const std::string body : {"@%p1 st.global.u32 [%out], 1; @%p1 ld.global.nc.u32 %r2, [%out];",
                                 "@%p1 st.global.u32 [%out], 1; bar.sync 0; ld.global.nc.u32 %r2, "
                                 "[%out];"}) {
    KernelRun run(kernel_text("mov.u32 %r1, %tid.x; setp.eq.u32 %p1, %r1, 0;\n" + body));
    const LaunchResult result = run.run(Words(8));
    ASSERT_EQ(outcome(result), "race");
    EXPECT_NE(result.fault->message.find("read as constant (.nc) and this launch has written it"),
              std::string::npos)
        << result.fault->message;
  }
  // What an earlier launch wrote is constant to this one.
  KernelRun run(
      kernel_text("mov.u32 %r1, %tid.x; setp.eq.u32 %p1, %r1, 0; ld.global.nc.u32 %r2, "
                  "[%out]; bar.sync 0; @%p1 st.global.u32 [%out+4], 1;"));
  EXPECT_EQ(outcome(run.run(Words(8))), "done");
  EXPECT_EQ(outcome(run.run()), "done");
}

}  // namespace
}  // namespace colophon::gpu_emulator
