// SPDX-License-Identifier: Apache-2.0
//
// Exchanges between the lanes of a warp.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "tests/gpu_emulator/kernel_run.h"

namespace colophon::gpu_emulator {
namespace {

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

  // Also where some come back to it from further on.
  KernelRun back(
      own_word("mov.u32 %r1, %r0; setp.lt.u32 %p1, %r0, 3; @%p1 bra further;\n"
               "sum: redux.sync.add.u32 %r9, %r1, -1; bra.uni end;\n"
               "further: add.u32 %r1, %r1, 1000; bra.uni sum;\nend:"));
  const LaunchResult result = back.run(Words(32));
  ASSERT_TRUE(result.ok()) << result.fault->message;
  EXPECT_EQ(back.words(), Words(32, 496 + 3000));
  EXPECT_EQ(count_of(back.executor().module(), result.statistics, "sum").threads, 32U);
  EXPECT_EQ(count_of(back.executor().module(), result.statistics, "end").warps, 1U);

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
  // Lanes that return, before or meanwhile, are not waited for.
  KernelRun meanwhile(
      own_word("setp.lt.u32 %p1, %r0, 3; mov.u32 %r9, 0; @%p1 bra further;\n"
               "redux.sync.add.u32 %r9, %r0, -1; bra.uni end;\n"
               "further: add.u32 %r9, %r9, 1; exit;\nend:"));
  EXPECT_EQ(run_words(meanwhile)[31], 493U);
  KernelRun run(
      own_word("mov.u32 %r9, 0; setp.eq.u32 %p1, %r0, 7; @%p1 ret; redux.sync.add.u32 "
               "%r9, 1, -1;"));
  EXPECT_EQ(run_words(run)[31], 31U);
}

}  // namespace
}  // namespace colophon::gpu_emulator
