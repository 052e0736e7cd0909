// SPDX-License-Identifier: Apache-2.0
//
// Branches, calls, barriers, exchanges of a warp; counts, coverage and what cannot be launched.
#include <gtest/gtest.h>

#include <bit>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/gpu_emulator/kernel_run.h"

namespace colophon::gpu_emulator {
namespace {

using Words = std::vector<std::uint32_t>;

// %r0: the thread; %rd0: the address of its word.
const char kOwnWord[] =
    "mov.u32 %r0, %tid.x; mul.wide.u32 %rd0, %r0, 4; add.u64 %rd0, %out, %rd0;\n";

std::string own_word(const std::string& body) {
  return kernel_text(kOwnWord + body + "\nst.global.u32 [%rd0], %r9;");
}

Words run_words(KernelRun& run, std::size_t count = 32) {
  const LaunchResult result = run.run(Words(count));
  EXPECT_TRUE(result.ok()) << (result.fault ? result.fault->message : "");
  return run.words();
}

// How often warps and threads entered the block of a label.
BlockCount count_of(const Module& module, const LaunchStatistics& statistics,
                    const std::string& label) {
  for (std::size_t f = 0; f < module.functions.size(); ++f) {
    for (std::size_t b = 0; b < module.functions[f].blocks.size(); ++b) {
      if (module.functions[f].blocks[b].label == label) {
        return b < statistics.blocks[f].size() ? statistics.blocks[f][b] : BlockCount{};
      }
    }
  }
  ADD_FAILURE() << "no label " << label;
  return {};
}

// --- branches ------------------------------------------------------------------------------------

TEST(PtxBranchTest, LanesPartAndMeetAgain) {
  // Four ways by two bits of the lane, nested, then all together.
  KernelRun run(own_word(
      "and.b32 %r1, %r0, 1; and.b32 %r2, %r0, 2; setp.ne.u32 %p1, %r1, 0; setp.ne.u32 %p2, %r2, "
      "0;\n"
      "mov.u32 %r9, 0; @%p1 bra odd;\n"
      "add.u32 %r9, %r9, 10; @%p2 bra even2; add.u32 %r9, %r9, 100; bra.uni even_end;\n"
      "even2: add.u32 %r9, %r9, 200; even_end: add.u32 %r9, %r9, 1000; bra.uni join;\n"
      "odd: add.u32 %r9, %r9, 20; @!%p2 bra odd_end; add.u32 %r9, %r9, 300;\n"
      "odd_end: add.u32 %r9, %r9, 2000;\n"
      "join: activemask.b32 %r3; setp.ne.u32 %p3, %r3, -1; @%p3 add.u32 %r9, %r9, 50000;"));
  const LaunchResult result = run.run(Words(32));
  ASSERT_TRUE(result.ok()) << result.fault->message;
  const std::uint32_t wanted[4] = {1110, 2020, 1210, 2320};
  for (std::uint32_t i = 0; i < 32; ++i) EXPECT_EQ(run.words()[i], wanted[i % 4]) << i;
  const auto count = [&](const char* label) {
    return count_of(run.executor().module(), result.statistics, label);
  };
  EXPECT_EQ(count("join").warps, 1U);
  EXPECT_EQ(count("join").threads, 32U);
  EXPECT_EQ(count("even_end").warps, 1U);
  EXPECT_EQ(count("even_end").threads, 16U);
  EXPECT_EQ(count("even2").threads, 8U);
}

TEST(PtxBranchTest, LoopsTurnAsOftenAsEachLaneSays) {
  // Σ of i² for i in (0, lane], with an inner loop of i turns.
  KernelRun run(
      own_word("mov.u32 %r1, 0; mov.u32 %r9, 0;\n"
               "outer: setp.ge.u32 %p1, %r1, %r0; @%p1 bra done; add.u32 %r1, %r1, 1;\n"
               "mov.u32 %r2, 0;\n"
               "inner: add.u32 %r9, %r9, %r1; add.u32 %r2, %r2, 1; setp.lt.u32 %p2, %r2, "
               "%r1; @%p2 bra inner; bra.uni outer;\n"
               "done: activemask.b32 %r3;"));
  const LaunchResult result = run.run(Words(32));
  ASSERT_TRUE(result.ok()) << result.fault->message;
  for (std::uint32_t n = 0; n < 32; ++n) {
    EXPECT_EQ(run.words()[n], n * (n + 1) * (2 * n + 1) / 6) << n;
  }
  const Module& module = run.executor().module();
  EXPECT_EQ(count_of(module, result.statistics, "done").warps, 1U);
  EXPECT_EQ(count_of(module, result.statistics, "outer").warps, 32U);
  EXPECT_EQ(count_of(module, result.statistics, "inner").warps, 31U * 32 / 2);
  EXPECT_EQ(count_of(module, result.statistics, "inner").threads, 31U * 32 * 33 / 6);
}

TEST(PtxBranchTest, LanesReturnEarly) {
  for (const std::string leave : {"ret", "exit"}) {
    KernelRun run(own_word("mov.u32 %r9, 1; setp.lt.u32 %p1, %r0, 7; @%p1 " + leave +
                           "; setp.ge.u32 %p2, %r0, 20; @!%p2 bra on; " + leave +
                           ";\non: activemask.b32 %r9;"));
    const Words words = run_words(run);
    for (std::uint32_t i = 0; i < 32; ++i) {
      EXPECT_EQ(words[i], i >= 7 && i < 20 ? 0x000fff80U : 0U) << i;
    }
  }
}

TEST(PtxBranchTest, BranchesByIndex) {
  const std::string text = own_word(
      "mov.u32 %r9, 0; rem.u32 %r1, %r0, 3; add.u32 %r1, %r1, 0;\n"
      "ts: .branchtargets zero, one, two, one;\nbrx.idx %r1, ts;\n"
      "zero: add.u32 %r9, %r9, 100; bra.uni join; two: add.u32 %r9, %r9, 2;\n"
      "one: add.u32 %r9, %r9, 1;\njoin: add.u32 %r9, %r9, 1000;");
  KernelRun run(text);
  const LaunchResult result = run.run(Words(32));
  ASSERT_TRUE(result.ok()) << result.fault->message;
  const std::uint32_t wanted[] = {1100, 1001, 1003};
  for (std::uint32_t i = 0; i < 32; ++i) EXPECT_EQ(run.words()[i], wanted[i % 3]);
  EXPECT_EQ(count_of(run.executor().module(), result.statistics, "one").warps, 1U);

  std::string beyond = text;
  beyond.replace(beyond.find("add.u32 %r1, %r1, 0"), 19, "add.u32 %r1, %r1, 2");
  KernelRun wrong(beyond);
  const LaunchResult fault = wrong.run(Words(32));
  ASSERT_EQ(outcome(fault), "out of bounds");
  EXPECT_EQ(fault.fault->thread.x, 2U);
}

TEST(PtxBranchTest, UniformBranchesThatPartAreFound) {
  const std::string text =
      own_word("mov.u32 %r9, 0; setp.eq.u32 %p1, %r0, 3;\n@%p1 bra.uni on; mov.u32 %r9, 1;\non:");
  KernelRun run(text);
  const LaunchResult result = run.run(Words(32));
  ASSERT_EQ(outcome(result), "divergence");
  EXPECT_EQ(result.fault->line, line_of(text, "bra.uni"));
  run.shape.block.x = 1;
  EXPECT_EQ(outcome(run.run(Words(32))), "done");
}

TEST(PtxBranchTest, EndlessLoopsEndAtTheLimit) {
  const std::string text = kernel_text("on: add.u32 %r0, %r0, 1;\nbra on;");
  KernelRun run(text);
  run.options.warp_instructions_max = 10'000;
  const LaunchResult result = run.run(Words(1));
  ASSERT_EQ(outcome(result), "step limit");
  EXPECT_EQ(result.fault->line, line_of(text, "on:"));
  EXPECT_GE(result.statistics.warp_instructions, 10'000U);
  EXPECT_LT(result.statistics.warp_instructions, 10'010U);
}

TEST(PtxBranchTest, TrapsAndDivisionsByZeroAreFound) {
  for (const std::string what : {"trap", "div.u32 %r9, %r0, %r1", "rem.s64 %rd1, %rd0, 0"}) {
    const std::string text =
        own_word("mov.u32 %r9, 0; mov.u32 %r1, 0; setp.eq.u32 %p1, %r0, 9;\n@%p1 " + what + ";");
    KernelRun run(text);
    const LaunchResult result = run.run(Words(32));
    ASSERT_EQ(outcome(result), what == "trap" ? "trap" : "arithmetic");
    EXPECT_EQ(result.fault->thread.x, 9U);
    EXPECT_EQ(result.fault->line, line_of(text, "@%p1"));
  }
}

// --- calls ---------------------------------------------------------------------------------------

const char kFibonacci[] =
    ".func (.param .b32 result) fibonacci(.param .b32 n)\n"
    "{ .reg .b32 %r<9>; .reg .pred %p<2>; ld.param.u32 %r0, [n]; mov.u32 %r3, %r0;\n"
    "setp.lt.u32 %p1, %r0, 2; @%p1 bra end; sub.u32 %r1, %r0, 1;\n"
    "{ .param .b32 p; st.param.b32 [p], %r1; .param .b32 q; call.uni (q), fibonacci, (p);\n"
    "ld.param.b32 %r2, [q]; } sub.u32 %r1, %r0, 2;\n"
    "{ .param .b32 p; st.param.b32 [p], %r1; .param .b32 q; call.uni (q), fibonacci, (p);\n"
    "ld.param.b32 %r3, [q]; } add.u32 %r3, %r3, %r2;\n"
    "end: st.param.b32 [result], %r3; ret; }\n";

TEST(PtxCallTest, FunctionsCallThemselves) {
  KernelRun run(
      kernel_text(std::string(kOwnWord) +
                      "{ .param .b32 p; st.param.b32 [p], %r0; .param .b32 q; call.uni (q), "
                      "fibonacci, (p); ld.param.b32 %r9, [q]; }\nst.global.u32 [%rd0], %r9;",
                  kFibonacci));
  run.shape.block.x = 18;
  const Words words = run_words(run, 18);
  std::uint32_t a = 0;
  std::uint32_t b = 1;
  for (std::uint32_t i = 0; i < 18; ++i) {
    EXPECT_EQ(words[i], a);
    const std::uint32_t next = a + b;
    a = b;
    b = next;
  }
}

TEST(PtxCallTest, TooDeepCallsAreFound) {
  const std::string text = kernel_text("call.uni f;", ".func f()\n{\ncall.uni f;\nret; }\n");
  KernelRun run(text);
  const LaunchResult result = run.run(Words(1));
  ASSERT_EQ(outcome(result), "calls too deep");
  EXPECT_EQ(result.fault->line, line_of(text, "call.uni f"));
}

TEST(PtxCallTest, ParametersAndResultsOfEverySizeArrive) {
  const std::string before =
      ".func (.param .align 8 .b8 out[24]) f(.param .align 8 .b8 in[24], .param .b32 small)\n"
      "{ .reg .b16 %h<4>; .reg .b32 %r<8>; .reg .b64 %rd<8>;\n"
      "ld.param.v2.u8 {%h0, %h1}, [in]; ld.param.s16 %r0, [in+2]; ld.param.u32 %r1, [in+4];\n"
      "ld.param.u64 %rd0, [in+8]; ld.param.v2.u32 {%r2, %r3}, [in+16]; ld.param.s8 %r4, [small];\n"
      "st.param.v2.b8 [out], {%h1, %h0}; st.param.b16 [out+2], %r0; st.param.u32 [out+4], %r4;\n"
      "st.param.b64 [out+8], %rd0; st.param.b32 [out+16], %r3; st.param.b32 [out+20], "
      "%r1; ret; }\n";
  KernelRun run(
      kernel_text("mov.u64 %rd1, 0x0807060504030201;\n"
                  "{ .param .align 8 .b8 p[24]; st.param.v4.b8 [p], {1, 2, 3, 0xf4}; st.param.b32 "
                  "[p+4], %rd1;\n"
                  "st.param.b64 [p+8], %rd1; st.param.v2.b32 [p+16], {33, 44}; .param .b32 s;\n"
                  "st.param.b32 [s], 0x1ff; .param .align 8 .b8 q[24]; call.uni (q), f, (p, s);\n"
                  "ld.param.b64 %rd2, [q]; ld.param.b64 %rd3, [q+8]; ld.param.v2.b32 {%r1, %r2}, "
                  "[q+16]; mov.b64 %rd4, {%r1, %r2}; }\n"
                  "st.global.v2.u64 [%out], {%rd2, %rd3}; st.global.u64 [%out+16], %rd4;",
                  before));
  run.shape.block.x = 1;
  const Words words = run_words(run, 6);
  EXPECT_EQ(words, (Words{0xf4030102, 0xffffffff, 0x04030201, 0x08070605, 44, 0x04030201}));
}

// Lanes that call the same function from different places, some of them not at all.
TEST(PtxCallTest, LanesCallFromDifferentPlaces) {
  const std::string call =
      "{ .param .b32 p; st.param.b32 [p], %r1; .param .b32 q; call.uni (q), f, "
      "(p); ld.param.b32 %r9, [q]; }\n";
  KernelRun run(kernel_text(
      std::string(kOwnWord) +
          "mov.u32 %r9, 7; rem.u32 %r2, %r0, 3; setp.eq.u32 %p1, %r2, 1; setp.eq.u32 %p2, %r2, 2;\n"
          "@%p1 bra one; @%p2 bra two; bra.uni join;\none: add.u32 %r1, %r0, 1000;\n" +
          call + "add.u32 %r9, %r9, 1; bra.uni join;\ntwo: add.u32 %r1, %r0, 2000;\n" + call +
          "add.u32 %r9, %r9, 2;\njoin: st.global.u32 [%rd0], %r9;",
      ".func (.param .b32 result) f(.param .b32 n)\n{ .reg .b32 %r<3>; .reg .pred %p; "
      "ld.param.u32 %r0, [n]; and.b32 %r1, %r0, 4; setp.ne.u32 %p, %r1, 0; @%p bra other;\n"
      "shl.b32 %r0, %r0, 4; bra.uni end; other: shl.b32 %r0, %r0, 8;\n"
      "end: st.param.b32 [result], %r0; ret; }\n"));
  const Words words = run_words(run);
  for (std::uint32_t i = 0; i < 32; ++i) {
    std::uint32_t wanted = 7;
    if (i % 3 != 0) {
      const std::uint32_t n = i + 1000 * (i % 3);
      wanted = (n << ((n & 4) != 0 ? 8 : 4)) + i % 3;
    }
    EXPECT_EQ(words[i], wanted) << i;
  }
}

TEST(PtxCallTest, AGuardedCallIsMadeByTheLanesOfItsGuard) {
  KernelRun run(kernel_text(
      std::string(kOwnWord) +
          "mov.u32 %r9, 5; setp.gt.u32 %p1, %r0, 20;\n"
          "{ .param .b32 p; st.param.b32 [p], 0; .param .b32 q; st.param.b32 [q], 6;\n"
          "@%p1 call.uni (q), f, (p); ld.param.b32 %r9, [q]; }\nst.global.u32 [%rd0], %r9;",
      ".func (.param .b32 result) f(.param .b32 n)\n{ .reg .b32 %r<2>; activemask.b32 %r0; "
      "st.param.b32 [result], %r0; ret; }\n"));
  const Words words = run_words(run);
  for (std::uint32_t i = 0; i < 32; ++i) EXPECT_EQ(words[i], i > 20 ? 0xffe00000U : 6U) << i;
}

TEST(PtxCallTest, AThreadMayEndInAFunction) {
  KernelRun run(kernel_text(std::string(kOwnWord) + "call.uni f; activemask.b32 %r9; "
                                                    "st.global.u32 [%rd0], %r9;",
                            ".func f() { .reg .b32 %r; .reg .pred %p; mov.u32 %r, %tid.x; "
                            "setp.lt.u32 %p, %r, 4; @%p exit; ret; }\n"));
  const Words words = run_words(run);
  EXPECT_EQ(words[3], 0U);
  EXPECT_EQ(words[4], 0xfffffff0U);
}

// Each call has local memory of its own, in which nothing is left of the call before.
TEST(PtxCallTest, CallsHaveTheirOwnLocalMemory) {
  const std::string f =
      ".func (.param .b32 result) f(.param .b32 n)\n"
      "{ .local .align 4 .b8 depot[8]; .reg .b32 %r<6>; .reg .b64 %rd<3>; .reg .pred %p;\n"
      "ld.param.u32 %r0, [n]; mov.u64 %rd0, depot; st.local.u32 [%rd0+4], %r0;\n"
      "setp.eq.u32 %p, %r0, 0; @%p bra end; sub.u32 %r1, %r0, 1;\n"
      "{ .param .b32 p; st.param.b32 [p], %r1; .param .b32 q; call.uni (q), f, (p);\n"
      "ld.param.b32 %r2, [q]; } ld.local.u32 %r0, [%rd0+4]; mad.lo.u32 %r0, %r2, 10, %r0;\n"
      "end: st.param.b32 [result], %r0; ret; }\n";
  const std::string call =
      "{ .param .b32 p; st.param.b32 [p], 4; .param .b32 q; call.uni (q), f, "
      "(p); ld.param.b32 %r9, [q]; }\n";
  KernelRun run(kernel_text(std::string(kOwnWord) + call + "st.global.u32 [%rd0], %r9;", f));
  EXPECT_EQ(run_words(run)[31], 1234U);

  const std::string stale = kernel_text(
      "call.uni f; call.uni f;",
      ".global .align 4 .u32 seen;\n.func f()\n{ .local .align 4 .b8 depot[8]; .reg .b32 %r<3>; "
      ".reg .pred %p;\nld.global.u32 %r0, [seen]; setp.eq.u32 %p, %r0, 0; @%p st.local.u32 "
      "[depot], 1;\n"
      "ld.local.u32 %r1, [depot]; st.global.u32 [seen], 1; ret; }\n");
  KernelRun wrong(stale);
  wrong.shape.block.x = 1;
  EXPECT_EQ(outcome(wrong.run(Words(1))), "never written");
}

// --- barriers ------------------------------------------------------------------------------------

// Threads hand their number to the one opposite, through shared memory, three times.
const char kExchangeBody[] =
    ".shared .align 4 .b8 s[512]; mov.u32 %r1, s; mad.lo.u32 %r2, %r0, 4, %r1;\n"
    "sub.u32 %r3, 127, %r0; mad.lo.u32 %r3, %r3, 4, %r1; mov.u32 %r9, %r0; mov.u32 %r4, 0;\n"
    "again: st.shared.u32 [%r2], %r9;\nbar.sync 0;\nld.shared.u32 %r5, [%r3];\nbar.sync 0;\n"
    "mad.lo.u32 %r9, %r5, 3, 1; add.u32 %r4, %r4, 1; setp.lt.u32 %p1, %r4, 3; @%p1 bra again;";

Words exchanged() {
  Words words(128);
  for (std::uint32_t i = 0; i < 128; ++i) words[i] = i;
  for (int turn = 0; turn < 3; ++turn) {
    Words next(128);
    for (std::size_t i = 0; i < 128; ++i) next[i] = words[127 - i] * 3 + 1;
    words = next;
  }
  return words;
}

TEST(PtxBarrierTest, AllThreadsMeet) {
  for (const Order order : {Order::kAscending, Order::kDescending, Order::kSeeded}) {
    for (const std::string barrier :
         {"bar.sync 0", "barrier.sync 0", "barrier.cta.sync.aligned %r6", "bar.sync 3, 128",
          "barrier.cta.sync 15, %r7"}) {
      std::string body = kExchangeBody;
      for (std::size_t at = 0; (at = body.find("bar.sync 0", at)) != std::string::npos;
           at += barrier.size()) {
        body.replace(at, 10, barrier);
      }
      KernelRun run(own_word("mov.u32 %r6, 2; mov.u32 %r7, 128;\n" + body));
      run.shape.block.x = 128;
      run.options.order = order;
      run.options.seed = 5;
      EXPECT_EQ(run_words(run, 128), exchanged()) << barrier;
    }
  }
}

TEST(PtxBarrierTest, BarriersCountAndCombine) {
  KernelRun run(own_word(
      "rem.u32 %r1, %r0, 3; setp.eq.u32 %p1, %r1, 0; setp.lt.u32 %p2, %r0, 99; setp.gt.u32 %p3, "
      "%r0, "
      "99;\n"
      "bar.red.popc.u32 %r2, 0, %p1; bar.red.popc.u32 %r3, 1, !%p1;\n"
      "bar.red.and.pred %p4, 0, %p2; bar.red.or.pred %p5, 0, %p2; barrier.cta.red.and.aligned.pred "
      "%p6, 0, 96, !%p3; bar.red.or.pred %p7, 0, %p3;\n"
      "mad.lo.u32 %r9, %r2, 1000, %r3; @%p4 add.u32 %r9, %r9, 100000; @%p5 add.u32 %r9, %r9, "
      "200000; @%p6 add.u32 %r9, %r9, 400000; @%p7 add.u32 %r9, %r9, 800000;"));
  run.shape.block.x = 96;
  EXPECT_EQ(run_words(run, 96), Words(96, 32064 + 100000 + 200000 + 400000));
  // One that says otherwise changes and, or and the count.
  run.shape.block.x = 100;
  const LaunchResult result = run.run(Words(100));
  EXPECT_EQ(outcome(result), "deadlock");  // of 96
}

TEST(PtxBarrierTest, PartsOfABlockMeetAtBarriersOfTheirOwn) {
  // Warps 0 and 1 hand over by barrier 1, warps 2 and 3 by barrier 2, as often as they like.
  KernelRun run(own_word(
      ".shared .align 4 .b8 s[512]; mov.u32 %r1, s; mad.lo.u32 %r2, %r0, 4, %r1; xor.b32 %r3, %r0, "
      "32; mad.lo.u32 %r3, %r3, 4, %r1; shr.u32 %r4, %r0, 6; add.u32 %r4, %r4, 1;\n"
      "st.shared.u32 [%r2], %r0; bar.sync %r4, 64; ld.shared.u32 %r9, [%r3]; setp.ne.u32 %p1, %r4, "
      "1; @%p1 bra end; bar.sync %r4, 64; bar.sync 1, 64;\nend:"));
  run.shape.block.x = 128;
  const Words words = run_words(run, 128);
  for (std::uint32_t i = 0; i < 128; ++i) EXPECT_EQ(words[i], i ^ 32);
}

TEST(PtxBarrierTest, LanesThatPartedMeetAtABarrierForAll) {
  const std::string body =
      "mov.u32 %r9, 1; setp.lt.u32 %p1, %r0, 9; @%p1 bra low; add.u32 %r9, %r9, 1;\n"
      "BARRIER; bra.uni join; low: add.u32 %r9, %r9, 5;\nBARRIER; join: add.u32 %r9, %r9, 10;";
  const auto with = [&](const std::string& barrier) {
    std::string text = body;
    text.replace(text.find("BARRIER"), 7, barrier);
    text.replace(text.find("BARRIER"), 7, barrier);
    return own_word(text);
  };
  KernelRun run(with("barrier.sync 0"));
  EXPECT_EQ(run_words(run)[8], 16U);
  // An aligned one must be one and the same for all threads of a warp.
  const std::string aligned = with("bar.sync 0");
  KernelRun wrong(aligned);
  const LaunchResult result = wrong.run(Words(32));
  ASSERT_EQ(outcome(result), "divergence");
  const std::uint32_t first = line_of(aligned, "bar.sync 0; bra.uni");
  const std::uint32_t second = line_of(aligned, "bar.sync 0; join");
  EXPECT_EQ(result.fault->line, second);
  EXPECT_NE(result.fault->message.find("also at line " + std::to_string(first)), std::string::npos);
}

TEST(PtxBarrierTest, BarriersThatSomeThreadDoesNotReachAreFound) {
  struct Missing {
    const char* text;
    const char* message;
  };
  const Missing cases[] = {
      {"setp.eq.u32 %p1, %r0, 40; @%p1 ret; bar.sync 0;",
       "waits at barrier 0 for 64 threads; thread (40,0,0) has returned"},
      {"setp.ge.u32 %p1, %r0, 32; @%p1 bra on; bar.sync 0; on: setp.lt.u32 %p2, %r0, 0; @%p2 bra "
       "on;",
       "waits at barrier 0 for 64 threads; thread (32,0,0) has returned"},
      {"setp.ge.u32 %p1, %r0, 32; @%p1 bra on; bar.sync 0; bra end; on: bar.sync 1; end:",
       "waits at barrier 0 for 64 threads; thread (32,0,0) waits at line"},
      {"setp.lt.u32 %p1, %r0, 5; @%p1 bra on; bar.sync 0; on: shfl.sync.idx.b32 %r1, %r0, 0, 31, "
       "-1;",
       "waits"},
      {"setp.lt.u32 %p1, %r0, 5; @%p1 bra on; bar.warp.sync 0xffffffff; ret; on: bar.sync 0;",
       "waits"},
      {"bar.sync 0, 48;", "a barrier for 48 threads of a block of 64"},
      {"bar.sync 0, 96;", "a barrier for 96 threads of a block of 64"},
      {"setp.lt.u32 %p1, %r0, 32; selp.b32 %r1, 32, 64, %p1; bar.sync 0, %r1; bar.sync 0, 64;",
       "a barrier for different numbers of threads"}};
  for (const Missing& missing : cases) {
    SCOPED_TRACE(missing.text);
    for (const Order order : {Order::kAscending, Order::kDescending, Order::kSeeded}) {
      KernelRun run(own_word(std::string("mov.u32 %r9, 0;\n") + missing.text));
      run.shape.block.x = 64;
      run.options.order = order;
      const LaunchResult result = run.run(Words(64));
      ASSERT_EQ(outcome(result), "deadlock");
      EXPECT_NE(result.fault->message.find(missing.message), std::string::npos)
          << result.fault->message;
      EXPECT_EQ(result.fault->kernel, "k");
      EXPECT_NE(result.fault->line, 0U);
    }
  }
  KernelRun number(own_word("mov.u32 %r9, 0; bar.sync 16;"));
  EXPECT_EQ(outcome(number.run(Words(32))), "out of bounds");
  KernelRun numbers(own_word("mov.u32 %r9, 0; and.b32 %r1, %r0, 1; bar.sync %r1;"));
  EXPECT_EQ(outcome(numbers.run(Words(32))), "divergence");
}

// --- exchanges -----------------------------------------------------------------------------------

TEST(PtxExchangeTest, ShufflesAsTheIsaSays) {
  std::mt19937 generator(3);
  const auto random = [&] { return static_cast<std::uint32_t>(generator()); };
  for (const std::string mode : {"up", "down", "bfly", "idx"}) {
    for (int i = 0; i < 300; ++i) {
      const std::uint32_t b = i % 2 == 0 ? random() % 32 : random();
      const std::uint32_t widths[] = {0, 16, 24, 28, 30, 31};
      const std::uint32_t segment = widths[random() % 6];
      const std::uint32_t clamp = mode == "up" ? 0 : 31;
      const std::uint32_t c = i % 3 == 0 ? random() : segment << 8 | clamp;
      KernelRun run(own_word("mad.lo.u32 %r1, %r0, 7, 3; mov.u32 %r5, " + std::to_string(b) +
                             "; mov.u32 %r6, " + std::to_string(c) + ";\nshfl.sync." + mode +
                             ".b32 %r9|%p1, %r1, %r5, %r6, -1; @%p1 or.b32 %r9, %r9, 0x80000000;"));
      const Words words = run_words(run);
      // The pseudocode of "shfl.sync" in the ISA.
      for (std::int32_t lane = 0; lane < 32; ++lane) {
        const auto segmask = static_cast<std::int32_t>(c >> 8 & 31);
        const auto bval = static_cast<std::int32_t>(b & 31);
        const auto cval = static_cast<std::int32_t>(c & 31);
        const std::int32_t max_lane = (lane & segmask) | (cval & ~segmask & 31);
        const std::int32_t min_lane = lane & segmask;
        std::int32_t j = 0;
        bool pval = false;
        if (mode == "up") {
          j = lane - bval;
          pval = j >= max_lane;
        } else if (mode == "down") {
          j = lane + bval;
          pval = j <= max_lane;
        } else if (mode == "bfly") {
          j = lane ^ bval;
          pval = j <= max_lane;
        } else {
          j = min_lane | (bval & ~segmask);
          pval = j <= max_lane;
        }
        if (!pval) j = lane;
        const std::uint32_t wanted =
            (static_cast<std::uint32_t>(j) * 7 + 3) | (pval ? 0x80000000U : 0U);
        ASSERT_EQ(words[static_cast<std::size_t>(lane)], wanted)
            << mode << " b " << b << " c " << c << " lane " << lane;
      }
    }
  }
}

// Lanes that come by different ways, one after the other, take part together.
TEST(PtxExchangeTest, ExchangesWaitForTheirMembers) {
  KernelRun run(
      own_word("mov.u32 %r1, 1; mov.u32 %r2, 0; rem.u32 %r3, %r0, 5;\n"
               "loop: setp.ge.u32 %p1, %r2, %r3; @%p1 bra sum; add.u32 %r2, %r2, 1; bra loop;\n"
               "sum: redux.sync.add.u32 %r9, %r2, -1;"));
  std::uint32_t sum = 0;
  for (std::uint32_t i = 0; i < 32; ++i) sum += i % 5;
  EXPECT_EQ(run_words(run), Words(32, sum));

  // Also where the ways to it are in different blocks of code, guarded, and in a function.
  KernelRun parted(kernel_text(
      std::string(kOwnWord) +
          "setp.lt.u32 %p1, %r0, 16; mov.u32 %r9, 0; @%p1 bra low; call.uni f; "
          "shfl.sync.bfly.b32 %r9, %r0, 1, 31, 0xffff0000; bra end;\n"
          "low: shfl.sync.bfly.b32 %r9, %r0, 2, 31, 0xffff;\nend: @%p1 shfl.sync.bfly.b32 %r9, "
          "%r9, "
          "4, 31, 0xffff;\n@!%p1 shfl.sync.bfly.b32 %r9, %r9, 8, 31, 0xffff0000; st.global.u32 "
          "[%rd0], %r9;",
      ".func f() { bar.warp.sync 0xffff0000; ret; }\n"));
  const Words words = run_words(parted);
  for (std::uint32_t i = 0; i < 32; ++i) EXPECT_EQ(words[i], i < 16 ? i ^ 6 : i ^ 9) << i;
}

TEST(PtxExchangeTest, VotesMatchesAndReductions) {
  KernelRun run(kernel_text(
      std::string("mov.u32 %r0, %tid.x; mul.wide.u32 %rd0, %r0, 64; add.u64 %rd0, %out, %rd0;\n") +
      "ld.global.u32 %r1, [%rd0]; and.b32 %r2, %r1, 1; setp.ne.u32 %p1, %r2, 0;\n"
      "setp.lt.u32 %p2, %r0, 16; selp.b32 %r3, 0xffff, 0xffff0000, %p2; cvt.u64.u32 %rd1, %r1;\n"
      "vote.sync.ballot.b32 %r4, %p1, -1; vote.sync.ballot.b32 %r5, !%p1, %r3;\n"
      "vote.sync.all.pred %p3, %p1, %r3; vote.sync.any.pred %p4, %p1, %r3; vote.sync.uni.pred %p5, "
      "%p1, %r3;\n"
      "selp.u32 %r6, 1, 0, %p3; @%p4 add.u32 %r6, %r6, 2; @%p5 add.u32 %r6, %r6, 4;\n"
      "match.any.sync.b32 %r7, %r1, %r3; match.any.sync.b64 %r8, %rd1, -1; match.all.sync.b32 "
      "%r9|%p6, %r1, %r3; match.all.sync.b64 %r10, %rd1, -1; @%p6 add.u32 %r6, %r6, 8;\n"
      "redux.sync.add.u32 %r11, %r1, -1; redux.sync.min.s32 %r12, %r1, %r3; redux.sync.max.u32 "
      "%r13, %r1, %r3; redux.sync.and.b32 %r14, %r1, %r3; redux.sync.or.b32 %r15, %r1, -1; "
      "redux.sync.xor.b32 %r16, %r1, -1; redux.sync.min.u32 %r17, %r1, -1; redux.sync.max.s32 "
      "%r18, "
      "%r1, -1;\n"
      "elect.sync %r19|%p7, %r3; @%p7 add.u32 %r6, %r6, 16; shl.b32 %r19, %r19, 8; add.u32 %r6, "
      "%r6, "
      "%r19;\n"
      "st.global.v4.u32 [%rd0], {%r4, %r5, %r6, %r7}; st.global.v4.u32 [%rd0+16], {%r8, %r9, %r10, "
      "%r11}; st.global.v4.u32 [%rd0+32], {%r12, %r13, %r14, %r15}; st.global.v4.u32 [%rd0+48], "
      "{%r16, %r17, %r18, 0};"));
  std::mt19937 generator(4);
  const auto random = [&] { return static_cast<std::uint32_t>(generator()); };
  for (int i = 0; i < 60; ++i) {
    Words in(32 * 16);
    for (std::size_t lane = 0; lane < 32; ++lane) {
      // All the same, few values, or anything.
      in[16 * lane] = i % 3 == 0   ? static_cast<std::uint32_t>(i)
                      : i % 3 == 1 ? random() % 3
                                   : random() << (random() % 32);
    }
    const LaunchResult result = run.run(in);
    ASSERT_TRUE(result.ok()) << result.fault->message;
    const Words out = run.words();
    for (std::uint32_t lane = 0; lane < 32; ++lane) {
      const std::uint32_t members = lane < 16 ? 0xffff : 0xffff0000;
      std::uint32_t odd = 0;
      std::uint32_t same = 0;
      std::uint32_t values_or = 0;
      std::uint32_t values_xor = 0;
      std::uint32_t sum = 0;
      std::uint32_t half_and = UINT32_MAX;
      std::int32_t half_min = INT32_MAX;
      std::uint32_t half_max = 0;
      std::uint32_t all_min = UINT32_MAX;
      std::int32_t all_max = INT32_MIN;
      for (std::uint32_t k = 0; k < 32; ++k) {
        const std::uint32_t v = in[16 * k];
        odd |= (v & 1) << k;
        if (v == in[16 * lane]) same |= 1U << k;
        values_or |= v;
        values_xor ^= v;
        sum += v;
        all_min = std::min(all_min, v);
        all_max = std::max(all_max, static_cast<std::int32_t>(v));
        if (k / 16 != lane / 16) continue;
        half_and &= v;
        half_min = std::min(half_min, static_cast<std::int32_t>(v));
        half_max = std::max(half_max, v);
      }
      const bool all = (odd & members) == members;
      const bool any = (odd & members) != 0;
      const bool half_same = (same & members) == members;
      const std::uint32_t flags = (all ? 1 : 0) + (any ? 2 : 0) + (all || !any ? 4 : 0) +
                                  (half_same ? 8 : 0) + (lane % 16 == 0 ? 16 : 0) +
                                  (lane < 16 ? 0 : 16 << 8);
      const Words wanted = {odd,
                            ~odd & members,
                            flags,
                            same & members,
                            same,
                            half_same ? members : 0,
                            same == UINT32_MAX ? UINT32_MAX : 0,
                            sum,
                            static_cast<std::uint32_t>(half_min),
                            half_max,
                            half_and,
                            values_or,
                            values_xor,
                            all_min,
                            static_cast<std::uint32_t>(all_max),
                            0};
      ASSERT_EQ(Words(out.begin() + 16 * lane, out.begin() + 16 * lane + 16), wanted)
          << "input " << i << ", lane " << lane;
    }
  }
}

TEST(PtxExchangeTest, ExchangesWithLanesNotThereAreFound) {
  struct Wrong {
    const char* text;
    const char* message;
  };
  for (const Wrong& wrong : {
           Wrong{"shfl.sync.idx.b32 %r9, %r0, 0, 31, 0xfffffffe;", "not in its own member mask"},
           Wrong{"bar.warp.sync 1;", "not in its own member mask"},
           Wrong{"setp.lt.u32 %p1, %r0, 8; @%p1 shfl.sync.idx.b32 %r9, %r0, 9, 31, 0xff;",
                 "taken from lane 9, which takes no part"},
           Wrong{"setp.eq.u32 %p1, %r0, 0; @%p1 ret; shfl.sync.idx.b32 %r9, %r0, 0, 31, -1;",
                 "taken from lane 0, which takes no part"},
       }) {
    KernelRun run(own_word(std::string("mov.u32 %r9, 0;\n") + wrong.text));
    const LaunchResult result = run.run(Words(32));
    ASSERT_EQ(outcome(result), "exchange") << wrong.text;
    EXPECT_NE(result.fault->message.find(wrong.message), std::string::npos)
        << result.fault->message;
  }
  // Lanes that have returned are not waited for.
  KernelRun run(
      own_word("mov.u32 %r9, 0; setp.eq.u32 %p1, %r0, 7; @%p1 ret; redux.sync.add.u32 "
               "%r9, 1, -1;"));
  EXPECT_EQ(run_words(run)[31], 31U);
}

// --- counts and coverage -------------------------------------------------------------------------

TEST(PtxCountTest, InstructionsAreCountedExactly) {
  // Two warps, 40 threads: 7 instructions up to the branch, 2 for threads below 10, 2 for all.
  KernelRun run(ptx_header() +
                ".entry k(.param .u64 out) { .reg .b32 %r<4>; .reg .b64 %rd; .reg .pred %p;\n"
                "mov.u32 %r0, %tid.x; setp.ge.u32 %p, %r0, 10; @%p bra join;\n"
                "add.u32 %r0, %r0, 1; add.u32 %r0, %r0, 1;\njoin: mov.u32 %r1, %r0; ret; }");
  run.shape.block.x = 40;
  run.shape.grid.x = 3;
  const LaunchResult result = run.run(Words(1));
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result.statistics.warp_instructions, 3U * (2 * 3 + 2 + 2 * 2));
  EXPECT_EQ(result.statistics.thread_instructions, 3U * (40 * 3 + 10 * 2 + 40 * 2));
}

TEST(PtxCountTest, CoverageNamesWhatNeverRan) {
  const std::string text =
      kernel_text(std::string(kOwnWord) +
                      "ld.global.u32 %r1, [%out]; setp.eq.u32 %p1, %r1, 0; @%p1 bra zero;\n"
                      "call.uni f;\nbra end;\nzero: mov.u32 %r2, 1;\nend: membar.gl;",
                  ".func f()\n{\nmembar.sys; ret; }\n.func g() { ret; }\n");
  KernelRun run(text);
  Coverage coverage(run.executor().module());
  const Function& entry = *run.executor().entry("k");
  EXPECT_NE(coverage.report(entry).find("kernel 'k': 0 of 5 basic blocks ran"), std::string::npos);
  const LaunchResult first = run.run(Words(1, 0));
  ASSERT_TRUE(first.ok()) << first.fault->message;
  coverage.add(first.statistics);
  EXPECT_EQ(coverage.report(entry),
            "function 'f': block 0 (line " + std::to_string(line_of(text, "membar.sys")) +
                ") never ran: membar.sys; ret; }\n" + "kernel 'k': block 1 (line " +
                std::to_string(line_of(text, "call.uni")) + ") never ran: call.uni f;\n" +
                "kernel 'k': 3 of 5 basic blocks ran\n");
  coverage.add(run.run(Words(1, 1)).statistics);
  EXPECT_EQ(coverage.report(entry), "kernel 'k': 5 of 5 basic blocks ran\n");
  const std::vector<Coverage::Block> blocks = coverage.blocks(entry);
  ASSERT_EQ(blocks.size(), 5U);
  EXPECT_EQ(blocks.back().count.threads, 64U);
}

// --- launches ------------------------------------------------------------------------------------

TEST(PtxLaunchTest, ShapesThatNoCardTakesAreRefused) {
  const std::string text = ptx_header() +
                           ".entry k(.param .u64 a, .param .u32 b)\n.maxntid 64, 2 { ret; }\n"
                           ".entry r()\n.reqntid 8, 4 { ret; }\n.func f() { ret; }\n";
  DeviceMemory memory;
  auto executor = Executor::load(*parse_module(text), memory);
  ASSERT_TRUE(executor);
  EXPECT_EQ(executor->entry("f"), nullptr);
  EXPECT_EQ(executor->entry("none"), nullptr);
  const Function& k = *executor->entry("k");
  const std::vector<std::uint8_t> bytes(12);
  const auto refused = [&](const Function& entry, const Dim3& grid, const Dim3& block,
                           std::uint32_t shared, std::size_t argument_bytes) {
    LaunchShape shape{grid, block, shared};
    const LaunchResult result = executor->launch_packed(
        entry, shape, std::vector<std::uint8_t>(argument_bytes), LaunchOptions{});
    return result.ok() ? std::string() : result.fault->message;
  };
  EXPECT_EQ(refused(k, {2, 1, 1}, {64, 2, 1}, 100, 12), "");
  EXPECT_EQ(refused(k, {1, 1, 1}, {129, 1, 1}, 0, 12),
            "kernel 'k' cannot be launched so: a block of 129 threads, compiled for 128");
  EXPECT_NE(refused(k, {0, 1, 1}, {1, 1, 1}, 0, 12), "");
  EXPECT_NE(refused(k, {1, 65536, 1}, {1, 1, 1}, 0, 12), "");
  EXPECT_NE(refused(k, {1, 1, 1}, {1, 0, 1}, 0, 12), "");
  EXPECT_NE(refused(k, {1, 1, 1}, {1, 1, 65}, 0, 12), "");
  EXPECT_NE(refused(k, {1, 1, 1}, {1, 1, 1}, 300'000, 12), "");
  EXPECT_NE(refused(k, {1, 1, 1}, {1, 1, 1}, 0, 16), "");
  EXPECT_EQ(refused(*executor->entry("r"), {1, 1, 1}, {8, 4, 1}, 0, 0), "");
  EXPECT_NE(refused(*executor->entry("r"), {1, 1, 1}, {4, 8, 1}, 0, 0), "");
  EXPECT_NE(refused(executor->module().functions[2], {1, 1, 1}, {1, 1, 1}, 0, 0), "");
  const Function copy = k;
  EXPECT_NE(refused(copy, {1, 1, 1}, {1, 1, 1}, 0, 12), "");
  const std::uint64_t a = 0;
  const void* const one[] = {&a, nullptr};
  EXPECT_NE(executor->launch(k, LaunchShape{}, one).fault->message.find("argument 1 is missing"),
            std::string::npos);
  EXPECT_FALSE(executor->launch(k, LaunchShape{}, nullptr).ok());
}

TEST(PtxLaunchTest, SharedMemoryOfAKernelIsWhatItAndItsFunctionsName) {
  const std::string text =
      ptx_header() +
      ".shared .align 4 .b8 a[10];\n.shared .align 8 .b8 b[16];\n.shared .b8 c[1000];\n"
      ".func f() { .reg .b32 %r; mov.u32 %r, b; ret; }\n"
      ".entry k() { .reg .b32 %r; mov.u32 %r, a; call.uni f; ret; }\n.entry l() { ret; }\n";
  DeviceMemory memory;
  auto executor = Executor::load(*parse_module(text), memory);
  ASSERT_TRUE(executor);
  EXPECT_EQ(executor->static_shared_bytes(*executor->entry("k")), 32U);
  EXPECT_EQ(executor->static_shared_bytes(*executor->entry("l")), 0U);
}

// The same for every order where nothing depends on it; where something does, it shows.
TEST(PtxLaunchTest, OrdersAreWhatTheySay) {
  const std::string ticket = kernel_text(
      "mov.u32 %r0, %tid.x; mov.u32 %r1, %ctaid.x; mad.lo.u32 %r2, %r1, 64, %r0;\n"
      "add.u64 %rd1, %out, 1024; atom.global.add.u32 %r3, [%rd1], 1;\n"
      "mul.wide.u32 %rd0, %r2, 4; add.u64 %rd0, %out, %rd0; st.global.u32 [%rd0], %r3;");
  std::map<std::string, Words> orders;
  for (const auto& [name, order, seed] :
       {std::tuple{"up", Order::kAscending, 0}, std::tuple{"down", Order::kDescending, 0},
        std::tuple{"seed 1", Order::kSeeded, 1}, std::tuple{"seed 1 again", Order::kSeeded, 1},
        std::tuple{"seed 2", Order::kSeeded, 2}}) {
    KernelRun run(ticket);
    run.shape.grid.x = 4;
    run.shape.block.x = 64;
    run.options.order = order;
    run.options.seed = static_cast<std::uint64_t>(seed);
    const LaunchResult result = run.run(Words(257));
    ASSERT_TRUE(result.ok()) << result.fault->message;
    Words words = run.words();
    words.resize(256);
    orders[name] = words;
    std::sort(words.begin(), words.end());
    for (std::uint32_t i = 0; i < 256; ++i) EXPECT_EQ(words[i], i) << name;
  }
  for (std::uint32_t i = 0; i < 256; ++i) {
    EXPECT_EQ(orders["up"][i], i);
    EXPECT_EQ(orders["down"][i], 255 - i);
  }
  EXPECT_EQ(orders["seed 1"], orders["seed 1 again"]);
  EXPECT_NE(orders["seed 1"], orders["seed 2"]);
  EXPECT_NE(orders["seed 1"], orders["up"]);
}

}  // namespace
}  // namespace colophon::gpu_emulator
