// SPDX-License-Identifier: Apache-2.0
//
// Loads, stores and atomics in every state space, variables, parameters, and what is found there:
// accesses out of bounds, misaligned, after free, to constants, of what was never written.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "tests/gpu_emulator/kernel_run.h"

namespace colophon::gpu_emulator {
namespace {

using Words = std::vector<std::uint32_t>;

// Thread i has word i: %rd0 is its address, %r0 = i.
const char kOwnWord[] =
    "mov.u32 %r0, %tid.x; mul.wide.u32 %rd0, %r0, 4; add.u64 %rd0, %out, %rd0;\n";

TEST(PtxMemoryTest, LoadsAreExtendedByTheirType) {
  struct Load {
    const char* text;
    std::uint64_t wanted;
  };
  // From the bytes f0 f1 … ff.
  const Load loads[] = {
      {"ld.global.u8 %h0, [%out+1]; cvt.u64.u16 %rd1, %h0;", 0xf1},
      {"ld.global.s8 %h0, [%out+1]; cvt.u64.u16 %rd1, %h0;", 0xfff1},
      {"ld.global.b8 %r1, [%out+2]; cvt.u64.u32 %rd1, %r1;", 0xf2},
      {"ld.global.s8 %r1, [%out+2]; cvt.u64.u32 %rd1, %r1;", 0xfffffff2},
      {"ld.global.s8 %rd1, [%out+3];", 0xfffffffffffffff3},
      {"ld.global.u8 %rd1, [%out+3];", 0xf3},
      {"ld.global.u16 %h0, [%out+2]; cvt.u64.u16 %rd1, %h0;", 0xf3f2},
      {"ld.global.s16 %r1, [%out+2]; cvt.u64.u32 %rd1, %r1;", 0xfffff3f2},
      {"ld.global.u16 %rd1, [%out+4];", 0xf5f4},
      {"ld.global.s16 %rd1, [%out+4];", 0xfffffffffffff5f4},
      {"ld.global.u32 %r1, [%out+4]; cvt.u64.u32 %rd1, %r1;", 0xf7f6f5f4},
      {"ld.global.u32 %rd1, [%out+4];", 0xf7f6f5f4},
      {"ld.global.s32 %rd1, [%out+4];", 0xfffffffff7f6f5f4},
      {"ld.global.b64 %rd1, [%out+8];", 0xfffefdfcfbfaf9f8},
      {"ld.global.f32 %r1, [%out+8]; cvt.u64.u32 %rd1, %r1;", 0xfbfaf9f8},
      {"ld.volatile.global.u8 %rd1, [%out+15];", 0xff},
      {"ld.relaxed.gpu.global.u32 %rd1, [%out];", 0xf3f2f1f0},
      {"ld.acquire.sys.u32 %rd1, [%out];", 0xf3f2f1f0},
      {"ld.weak.global.ca.u32 %rd1, [%out];", 0xf3f2f1f0},
      {"ld.global.nc.L1::no_allocate.L2::256B.u32 %rd1, [%out];", 0xf3f2f1f0},
      {"ld.u32 %rd1, [%out];", 0xf3f2f1f0},
      {"add.u64 %rd2, %out, 100; ld.global.u32 %rd1, [%rd2+-96];", 0xf7f6f5f4},
      {"ld.global.v2.u8 {%h0, %h1}, [%out+6]; mov.b32 %r1, {%h0, %h1}; "
       "cvt.u64.u32 %rd1, %r1;",
       0x00f700f6},
      {"ld.global.v4.s8 {_, _, _, %r1}, [%out+4]; cvt.u64.u32 %rd1, %r1;", 0xfffffff7},
      {"ld.global.v4.u32 {_, %r1, _, %r2}, [%out]; mov.b64 %rd1, {%r2, %r1};", 0xf7f6f5f4fffefdfc},
      {"ld.global.v2.u64 {_, %rd1}, [%out];", 0xfffefdfcfbfaf9f8}};
  for (const Load& load : loads) {
    SCOPED_TRACE(load.text);
    KernelRun run(kernel_text(std::string(load.text) + " st.global.u64 [%out+64], %rd1;"));
    run.shape.block.x = 1;
    run.allocate(72);
    std::vector<std::uint8_t> bytes(16);
    std::iota(bytes.begin(), bytes.end(), std::uint8_t{0xf0});
    ASSERT_TRUE(run.memory.write(run.out, bytes.data(), 16));
    const LaunchResult result = run.run();
    ASSERT_TRUE(result.ok()) << result.fault->message;
    std::uint64_t value = 0;
    ASSERT_TRUE(run.memory.read(&value, run.out + 64, 8));
    EXPECT_EQ(value, load.wanted);
  }
}

TEST(PtxMemoryTest, StoresWriteAsManyBytesAsTheirType) {
  struct Store {
    const char* text;
    Words wanted;
  };
  const Store stores[] = {
      {"st.global.u8 [%out+1], %h0;", {0xaaaaf0aa, 0xaaaaaaaa, 0xaaaaaaaa, 0xaaaaaaaa}},
      {"st.global.b8 [%out+3], %r1;", {0xbcaaaaaa, 0xaaaaaaaa, 0xaaaaaaaa, 0xaaaaaaaa}},
      {"st.global.u16 [%out+2], %rd1;", {0xddeeaaaa, 0xaaaaaaaa, 0xaaaaaaaa, 0xaaaaaaaa}},
      {"st.global.u32 [%out+4], %rd1;", {0xaaaaaaaa, 0xbbccddee, 0xaaaaaaaa, 0xaaaaaaaa}},
      {"st.u64 [%out+8], %rd1;", {0xaaaaaaaa, 0xaaaaaaaa, 0xbbccddee, 0x11223344}},
      {"st.global.u8 [%out], 255;", {0xaaaaaaff, 0xaaaaaaaa, 0xaaaaaaaa, 0xaaaaaaaa}},
      {"st.global.u64 [%out], -2;", {0xfffffffe, 0xffffffff, 0xaaaaaaaa, 0xaaaaaaaa}},
      {"st.global.cs.v4.u32 [%out], {%r1, 0, 1, %r1};", {0x9abc9abc, 0, 1, 0x9abc9abc}},
      {"st.global.v2.u64 [%out], {%rd1, 5};", {0xbbccddee, 0x11223344, 5, 0}},
      {"st.volatile.global.v2.u16 [%out+4], {%h0, %h0};",
       {0xaaaaaaaa, 0x00f000f0, 0xaaaaaaaa, 0xaaaaaaaa}},
      {"st.release.gpu.global.u32 [%out], 7;", {7, 0xaaaaaaaa, 0xaaaaaaaa, 0xaaaaaaaa}},
      {"st.global.v4.b8 [%out], {%h0, 1, 2, %h0};",
       {0xf00201f0, 0xaaaaaaaa, 0xaaaaaaaa, 0xaaaaaaaa}}};
  for (const Store& store : stores) {
    SCOPED_TRACE(store.text);
    KernelRun run(
        kernel_text(std::string("mov.u16 %h0, 0xf0; mov.u32 %r1, 0x9abc9abc; mov.u64 %rd1, "
                                "0x11223344bbccddee;\n") +
                    store.text));
    run.shape.block.x = 1;
    const LaunchResult result = run.run(Words(4, 0xaaaaaaaa));
    ASSERT_TRUE(result.ok()) << result.fault->message;
    EXPECT_EQ(run.words(), store.wanted);
  }
}

TEST(PtxMemoryTest, VectorsOfEightWordsAreWhole) {
  KernelRun run(
      kernel_text("ld.global.v8.b32 {%r0, %r1, %r2, %r3, %r4, %r5, %r6, %r7}, [%out];\n"
                  "st.global.v8.b32 [%out+32], {%r7, %r6, %r5, %r4, %r3, %r2, %r1, %r0};"));
  run.shape.block.x = 1;
  Words words(16);
  std::iota(words.begin(), words.end(), 1);
  ASSERT_TRUE(run.run(words).ok());
  for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(run.words()[8 + i], 8 - i);
}

// Each lane its own address, in all spaces; also by generic addresses.
TEST(PtxMemoryTest, SharedAndLocalMemoryAreTheBlocksAndTheThreads) {
  for (const bool generic : {false, true}) {
    const std::string space = generic ? "" : ".shared";
    const std::string text = kernel_text(
        ".shared .align 4 .b8 s[128]; .local .align 8 .b8 l[16];\n" + std::string(kOwnWord) +
        "mov.u64 %rd1, s; mov.u64 %rd3, l;\n" +
        (generic ? "cvta.shared.u64 %rd1, %rd1; cvta.local.u64 %rd3, %rd3;\n" : "") +
        "mul.wide.u32 %rd2, %r0, 4; add.u64 %rd2, %rd1, %rd2; st" + space +
        ".u32 [%rd2], %r0;\n"
        "mul.lo.u32 %r1, %r0, 3; st" +
        (generic ? "" : ".local") +
        ".u32 [%rd3+8], %r1;\n"
        "bar.sync 0;\n"
        "sub.u32 %r2, 31, %r0; mul.wide.u32 %rd2, %r2, 4; add.u64 %rd2, %rd1, %rd2;\n"
        "ld" +
        space + ".u32 %r3, [%rd2]; ld" + (generic ? "" : ".local") +
        ".u32 %r4, [%rd3+8]; mad.lo.u32 %r3, %r3, 1000, %r4; st.global.u32 [%rd0], %r3;");
    KernelRun run(text);
    const LaunchResult result = run.run(Words(32));
    ASSERT_TRUE(result.ok()) << result.fault->message;
    for (std::uint32_t i = 0; i < 32; ++i) EXPECT_EQ(run.words()[i], (31 - i) * 1000 + 3 * i);
  }
}

TEST(PtxMemoryTest, DynamicSharedMemoryStandsBehindTheStatic) {
  const std::string text = kernel_text(
      ".shared .align 4 .b8 s[8];\n" + std::string(kOwnWord) +
          "mov.u32 %r1, d; mad.lo.u32 %r1, %r0, 4, %r1; st.shared.u32 [%r1], %r0;\n"
          "st.shared.u32 [d+128], 77; ld.shared.u32 %r2, [%r1]; st.global.u32 [%rd0], %r2;\n"
          "ld.shared.u32 %r2, [e];",
      ".extern .shared .align 16 .b8 d[];\n.extern .shared .align 4 .u32 e[];\n");
  KernelRun run(text);
  run.shape.dynamic_shared_bytes = 132;
  run.options.check_races = false;  // all write d[32]
  const LaunchResult result = run.run(Words(32));
  ASSERT_TRUE(result.ok()) << result.fault->message;
  EXPECT_EQ(run.words()[31], 31U);
  run.shape.dynamic_shared_bytes = 128;
  const LaunchResult less = run.run(Words(32));
  ASSERT_EQ(outcome(less), "out of bounds");
  EXPECT_NE(less.fault->message.find("shared memory 'd' (128 bytes), offset 128"),
            std::string::npos)
      << less.fault->message;
}

TEST(PtxMemoryTest, VariablesAreInitialisedAndFound) {
  const std::string text = kernel_text(
      "ld.const.u32 %r0, [c+4]; mov.u64 %rd1, c; ld.const.u8 %r1, [%rd1+16];\n"
      "ld.global.u64 %rd2, [p]; ld.u32 %r2, [%rd2]; cvta.global.u64 %rd3, g; ld.u32 %r3, [%rd3];\n"
      "cvta.const.u64 %rd4, c; ld.u32 %r4, [%rd4]; ld.global.u32 %r5, [zero+12];\n"
      "st.global.v4.u32 [%out], {%r0, %r1, %r2, %r3}; st.global.v2.u32 [%out+16], {%r4, %r5};\n"
      "st.global.u32 [g], 99;",
      ".const .align 4 .b8 c[20] = {1, 0, 0, 0, 2, 3, 0, 0};\n.global .align 8 .u32 g[2] = {5, "
      "6};\n"
      ".global .align 8 .u64 p = generic(g)+4;\n.global .align 4 .b8 zero[16];\n");
  KernelRun run(text);
  run.shape.block.x = 1;
  const LaunchResult result = run.run(Words(6));
  ASSERT_TRUE(result.ok()) << result.fault->message;
  EXPECT_EQ(run.words(), (Words{0x302, 0, 6, 5, 1, 0}));

  const auto g = run.executor().variable("g");
  ASSERT_TRUE(g);
  EXPECT_EQ(g->bytes, 8U);
  std::uint32_t value = 0;
  ASSERT_TRUE(run.memory.read(&value, g->address, 4));
  EXPECT_EQ(value, 99U);
  EXPECT_FALSE(run.executor().variable("h"));
  // The host may write constants, as cudaMemcpyToSymbol does.
  const auto c = run.executor().variable("c");
  ASSERT_TRUE(c);
  value = 42;
  ASSERT_TRUE(run.memory.write(c->address, &value, 4));
  ASSERT_TRUE(run.run(Words(6)).ok());
  EXPECT_EQ(run.words()[4], 42U);
}

TEST(PtxMemoryTest, VariablesGoWithTheirModule) {
  DeviceMemory memory;
  {
    auto executor = Executor::load(*parse_module(kernel_text("", ".global .b8 g[100];\n")), memory);
    ASSERT_TRUE(executor);
    EXPECT_EQ(memory.allocations(), 1U);
    const Executor moved = std::move(*executor);
    EXPECT_EQ(memory.allocations(), 1U);
  }
  EXPECT_EQ(memory.allocations(), 0U);
  // Nothing stays behind of one that does not fit.
  DeviceMemory small(150);
  auto module = parse_module(kernel_text("", ".global .b8 g[100];\n.global .b8 h[100];\n"));
  ASSERT_TRUE(module);
  EXPECT_FALSE(Executor::load(std::move(*module), small));
  EXPECT_EQ(small.allocations(), 0U);
}

TEST(PtxMemoryTest, ArgumentsOfEverySizeArrive) {
  const std::string text =
      ptx_header() +
      ".visible .entry k(.param .u8 a, .param .u64 out, .param .align 8 .b8 s[24], .param .u16 b)\n"
      "{ .reg .b16 %h<4>; .reg .b32 %r<8>; .reg .b64 %rd<8>;\n"
      "ld.param.u8 %h0, [a]; ld.param.u64 %rd0, [out]; ld.param.v2.u32 {%r0, %r1}, [s+8];\n"
      "ld.param.s16 %r2, [b]; mov.b64 %rd1, s; ld.param.u32 %r3, [%rd1+20];\n"
      "cvta.param.u64 %rd2, %rd1; ld.u8 %r4, [%rd2+1]; ld.param.u64 %rd3, [s];\n"
      "cvt.u32.u16 %r5, %h0; cvt.u32.u64 %r6, %rd3;\n"
      "st.global.v4.u32 [%rd0], {%r0, %r1, %r2, %r3};\n"
      "st.global.v4.u32 [%rd0+16], {%r4, %r5, %r6, 0}; ret; }";
  DeviceMemory memory;
  auto executor = Executor::load(*parse_module(text), memory);
  ASSERT_TRUE(executor);
  const auto out = memory.allocate(32);
  ASSERT_TRUE(out);
  const std::uint8_t a = 200;
  const std::uint32_t s[6] = {0x04030201, 2, 3, 4, 5, 6};
  const std::uint16_t b = 0xfffe;
  const void* const arguments[] = {&a, &*out, s, &b};
  const LaunchResult result = executor->launch(*executor->entry("k"), LaunchShape{}, arguments);
  ASSERT_TRUE(result.ok()) << result.fault->message;
  Words words(8);
  ASSERT_TRUE(memory.read(words.data(), *out, 32));
  EXPECT_EQ(words, (Words{3, 4, 0xfffffffe, 6, 2, 200, 0x04030201, 0}));
}

// --- atomics -------------------------------------------------------------------------------------

// All threads of two warps on one word; the order is that of lanes.
TEST(PtxMemoryTest, AtomicsReturnTheOldAndLeaveTheNew) {
  struct Operation {
    const char* text;  // of an atom on [%rd9] with %r5 (or %rd5) = 3·thread - 40
    bool wide;
    std::uint64_t first;
    std::function<std::uint64_t(std::uint64_t, std::int64_t)> next;
  };
  const auto word = [](std::int64_t v) { return static_cast<std::uint32_t>(v); };
  const auto sign = [](std::uint64_t v) { return static_cast<std::int32_t>(v); };
  const auto wide = [](std::int64_t v) { return static_cast<std::uint64_t>(v); };
  const Operation operations[] = {
      {"add.u32 %r6, [%rd9], %r5;", false, 9, [=](auto m, auto b) { return word(m + b); }},
      {"add.s32 %r6, [%rd9], %r5;", false, 9, [=](auto m, auto b) { return word(m + b); }},
      {"min.u32 %r6, [%rd9], %r5;", false, 70,
       [=](auto m, auto b) { return std::min<std::uint64_t>(m, word(b)); }},
      {"max.u32 %r6, [%rd9], %r5;", false, 0,
       [=](auto m, auto b) { return std::max<std::uint64_t>(m, word(b)); }},
      {"min.s32 %r6, [%rd9], %r5;", false, 70,
       [=](auto m, auto b) { return word(std::min<std::int64_t>(sign(m), b)); }},
      {"max.s32 %r6, [%rd9], %r5;", false, word(-90),
       [=](auto m, auto b) { return word(std::max<std::int64_t>(sign(m), b)); }},
      {"inc.u32 %r6, [%rd9], 20;", false, 7, [](auto m, auto) { return m >= 20 ? 0 : m + 1; }},
      {"dec.u32 %r6, [%rd9], 20;", false, 7,
       [](auto m, auto) { return m == 0 || m > 20 ? 20 : m - 1; }},
      {"dec.u32 %r6, [%rd9], 20;", false, 70,
       [](auto m, auto) { return m == 0 || m > 20 ? 20 : m - 1; }},
      {"and.b32 %r6, [%rd9], %r5;", false, 0xffffffff, [=](auto m, auto b) { return m & word(b); }},
      {"or.b32 %r6, [%rd9], %r5;", false, 0, [=](auto m, auto b) { return m | word(b); }},
      {"xor.b32 %r6, [%rd9], %r5;", false, 5, [=](auto m, auto b) { return m ^ word(b); }},
      {"exch.b32 %r6, [%rd9], %r5;", false, 5, [=](auto, auto b) { return word(b); }},
      {"cas.b32 %r6, [%rd9], 8, %r5;", false, 8,
       [=](auto m, auto b) { return m == 8 ? word(b) : m; }},
      {"add.u64 %rd6, [%rd9], %rd5;", true, 9, [=](auto m, auto b) { return m + wide(b); }},
      {"min.s64 %rd6, [%rd9], %rd5;", true, 9,
       [=](auto m, auto b) { return wide(std::min(static_cast<std::int64_t>(m), b)); }},
      {"max.u64 %rd6, [%rd9], %rd5;", true, 9,
       [=](auto m, auto b) { return std::max(m, wide(b)); }},
      {"exch.b64 %rd6, [%rd9], %rd5;", true, 9, [=](auto, auto b) { return wide(b); }},
      {"cas.b64 %rd6, [%rd9], 9, %rd5;", true, 9,
       [=](auto m, auto b) { return m == 9 ? wide(b) : m; }},
  };
  for (const Operation& operation : operations) {
    for (const std::string space : {".global", "", ".shared", ".acq_rel.gpu.global"}) {
      for (const bool reduce : {false, true}) {
        std::string text = (reduce ? "red" : "atom") + space + "." + operation.text;
        if (reduce) {
          if (text.find("exch") != std::string::npos || text.find("cas") != std::string::npos)
            continue;
          text.erase(text.find(operation.wide ? "%rd6, " : "%r6, "), operation.wide ? 6 : 5);
        }
        SCOPED_TRACE(text);
        const bool shared = space == ".shared";
        const std::string width = operation.wide ? "64" : "32";
        const std::string r = operation.wide ? "%rd" : "%r";
        KernelRun run(kernel_text(
            ".shared .align 8 .b8 s[8];\n"
            "mov.u32 %r0, %tid.x; mad.lo.u32 %r5, %r0, 3, -40; cvt.s64.s32 %rd5, %r5;\n"
            "mul.wide.u32 %rd0, %r0, 8; add.u64 %rd0, %out, %rd0; ld.global.u64 %rd1, "
            "[%out+512];\n" +
            std::string(shared
                            ? "mov.u64 %rd9, s; setp.eq.u32 %p0, %r0, 0; @%p0 st.shared.u64 [s], "
                              "%rd1; bar.sync 0;\n"
                            : "add.u64 %rd9, %out, 520;\n") +
            "mov.u64 %rd6, 0; mov.u32 %r6, 0;\n" + text + "\n" +
            (operation.wide ? "" : "cvt.u64.u32 %rd6, %r6;\n") +
            "st.global.u64 [%rd0], %rd6; bar.sync 0;\n" +
            (shared ? "@%p0 ld.shared.u" + width + " " + r + "7, [s]; @%p0 st.global.u" + width +
                          " [%out+520], " + r + "7;"
                    : "")));
        run.shape.block.x = 64;
        std::vector<std::uint64_t> memory(66);
        memory[64] = memory[65] = operation.first;
        run.allocate(66 * 8);
        ASSERT_TRUE(run.memory.write(run.out, memory.data(), memory.size() * 8));
        const LaunchResult result = run.run();
        ASSERT_TRUE(result.ok()) << result.fault->message;
        ASSERT_TRUE(run.memory.read(memory.data(), run.out, memory.size() * 8));
        std::uint64_t now = operation.first;
        for (std::int64_t thread = 0; thread < 64; ++thread) {
          if (!reduce) {
            ASSERT_EQ(memory[static_cast<std::size_t>(thread)], now) << thread;
          }
          now = operation.next(now, 3 * thread - 40);
        }
        EXPECT_EQ(memory[65], now);
      }
    }
  }
}

TEST(PtxMemoryTest, WhatHintsAndFencesSayChangesNothing) {
  KernelRun run(kernel_text(std::string(kOwnWord) +
                            "prefetch.global.L2 [%out+99999]; prefetchu.L1 [%out]; membar.cta; "
                            "membar.gl; membar.sys;\n"
                            "fence.acq_rel.gpu; fence.sc.sys; fence.cta; nanosleep.u32 100; "
                            "nanosleep.u32 %r0;\nst.global.u32 [%rd0], %r0;"));
  const LaunchResult result = run.run(Words(32));
  ASSERT_TRUE(result.ok()) << result.fault->message;
  EXPECT_EQ(run.words()[31], 31U);
}

// --- faults --------------------------------------------------------------------------------------

struct Bad {
  const char* text;  // thread 5 does it
  const char* kind;
  const char* where;  // a part of the message
};
void PrintTo(const Bad& bad, std::ostream* out) { *out << bad.text; }

class PtxMemoryFaultTest : public testing::TestWithParam<Bad> {};

TEST_P(PtxMemoryFaultTest, IsFoundWithItsPlace) {
  const std::string text = kernel_text(
      ".shared .align 4 .b8 s[64]; .shared .align 4 .b8 s2[64]; .local .align 8 .b8 l[16];\n" +
          std::string(kOwnWord) +
          "setp.ne.u32 %p0, %r0, 5; @%p0 ret; mov.u64 %rd1, s; mov.u64 %rd2, l; mov.u64 %rd3, c;\n"
          "st.shared.u32 [s], 1; st.local.u32 [l], 1;\n" +
          GetParam().text,
      ".const .align 4 .b8 c[16];\n");
  KernelRun run(text);
  run.shape.grid.x = 2;
  run.options.order = Order::kDescending;
  run.allocate(128);
  ASSERT_TRUE(run.memory.set(run.out, 1, 64));
  const LaunchResult result = run.run();
  ASSERT_EQ(outcome(result), GetParam().kind) << (result.fault ? result.fault->message : "");
  EXPECT_NE(result.fault->message.find(GetParam().where), std::string::npos)
      << result.fault->message;
  EXPECT_EQ(result.fault->kernel, "k");
  EXPECT_EQ(result.fault->block, (Dim3{1, 0, 0}));
  EXPECT_EQ(result.fault->thread, (Dim3{5, 0, 0}));
  EXPECT_EQ(result.fault->line, line_of(text, GetParam().text));
  EXPECT_NE(result.fault->message.find("block (1,0,0), thread (5,0,0), line"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(
    , PtxMemoryFaultTest,
    testing::Values(
        Bad{"ld.global.u32 %r1, [%out+128];", "out of bounds",
            "a load out of bounds of 4 bytes: allocation 1 ('out', 128 bytes), offset 128"},
        Bad{"ld.global.u32 %r1, [%out+-4];", "out of bounds", "('out', 128 bytes), offset -4"},
        Bad{"ld.global.u32 %r1, [0];", "out of bounds", "address 0x0000000000000000, in no"},
        Bad{"st.global.v4.u32 [%out+128], {%r1, %r1, %r1, %r1};", "out of bounds",
            "a store out of bounds of 16 bytes"},
        Bad{"atom.global.add.u32 %r1, [%out+4096], 1;", "out of bounds", "an atomic out of bounds"},
        Bad{"ld.global.u32 %r1, [%out+2];", "misaligned", "a load misaligned of 4 bytes"},
        Bad{"ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%out+8];", "misaligned", "of 16 bytes"},
        Bad{"st.global.u64 [%out+4], %rd1;", "misaligned", "offset 4"},
        Bad{"red.global.add.u32 [%out+1], 1;", "misaligned", "an atomic misaligned"},
        Bad{"ld.global.u32 %r1, [%out+64];", "never written",
            "a load of memory never written of 4 bytes: allocation 1 ('out', 128 bytes), offset "
            "64"},
        Bad{"atom.global.add.u32 %r1, [%out+64], 1;", "never written", "an atomic of memory"},
        Bad{"st.global.u8 [%out+65], 1; ld.global.u16 %h1, [%out+64];", "never written",
            "of 2 bytes"},
        Bad{"ld.shared.u32 %r1, [%rd1+4];", "never written",
            "shared memory 's' (64 bytes), offset 4"},
        Bad{"ld.local.u32 %r1, [%rd2+4];", "never written", "local memory"},
        Bad{"st.local.u8 [%rd2+8], 1; ld.local.v2.u32 {%r1, %r2}, [%rd2+8];", "never written",
            "local memory"},
        Bad{"ld.shared.u32 %r1, [%rd1+64];", "out of bounds",
            "shared memory 's' (64 bytes), offset 64"},
        Bad{"ld.shared.u32 %r1, [s2+-4];", "out of bounds", "shared memory 's' (64 bytes)"},
        Bad{"ld.shared.u32 %r1, [0];", "out of bounds", "shared memory 's'"},
        Bad{"st.shared.v2.u32 [%rd1], {%r1, %r1};", "misaligned", "shared memory 's'"},
        Bad{"st.local.u32 [%rd2+16], 1;", "out of bounds", "local memory"},
        Bad{"st.local.u32 [%rd2+-4], 1;", "out of bounds", "local memory (16 bytes), offset -4"},
        Bad{"st.local.v4.u32 [%rd2], {%r1, %r1, %r1, %r1};", "misaligned", "local memory"},
        Bad{"ld.const.u32 %r1, [c+16];", "out of bounds",
            "allocation 0 ('c', 16 bytes), offset 16"},
        Bad{"ld.const.u32 %r1, [%out];", "out of bounds", "('out', 128 bytes), offset 0"},
        Bad{"st.u32 [%rd3], 1;", "read-only", "a store to constant memory"},
        Bad{"cvta.shared.u64 %rd4, %rd1; ld.global.u32 %r1, [%rd4];", "out of bounds",
            "in no allocation"},
        Bad{"mov.b64 %rd4, k_out; ld.param.u64 %rd5, [%rd4+8];", "out of bounds",
            "parameter memory (8 bytes), offset 8"},
        Bad{"mov.b64 %rd4, k_out; st.u64 [%rd4], %rd5;", "read-only", "to constant memory"}));

TEST(PtxMemoryTest, FreedMemoryIsKnownAsSuch) {
  KernelRun run(kernel_text("ld.global.u32 %r0, [%out+8];"));
  run.allocate(64);
  ASSERT_TRUE(run.memory.free(run.out));
  const LaunchResult result = run.run();
  ASSERT_EQ(outcome(result), "use after free");
  EXPECT_NE(result.fault->message.find("allocation 0 ('out', 64 bytes, freed), offset 8"),
            std::string::npos)
      << result.fault->message;
}

TEST(PtxMemoryTest, UnwrittenMemoryMayBeReadWhereTheLaunchSaysSo) {
  KernelRun run(kernel_text("ld.global.u32 %r0, [%out];"));
  run.options.check_unwritten = false;
  run.allocate(64);
  EXPECT_EQ(outcome(run.run()), "done");
}

// Compilers move structures in local memory with their padding.
TEST(PtxMemoryTest, PaddingInLocalMemoryMayBeRead) {
  KernelRun run(kernel_text(
      ".local .align 8 .b8 l[16]; st.local.u8 [l], 7; st.local.u16 [l+6], 9; ld.local.v2.u32 {%r0, "
      "%r1}, [l]; and.b32 %r0, %r0, 255; shr.u32 %r1, %r1, 16; st.global.v2.u32 [%out], {%r0, "
      "%r1};"));
  run.shape.block.x = 1;
  ASSERT_EQ(outcome(run.run(Words(2))), "done");
  EXPECT_EQ(run.words(), (Words{7, 9}));
}

// What one block left in shared memory is nothing to the next, nor a thread's local memory.
TEST(PtxMemoryTest, BlocksBeginWithUnwrittenMemory) {
  for (const std::string space : {"shared", "local"}) {
    const std::string text = kernel_text(
        "." + space +
        " .align 4 .b8 s[4]; mov.u32 %r0, %ctaid.x; setp.eq.u32 %p0, %r0, 0;\n@%p0 st." + space +
        ".u32 [s], 1; ld." + space + ".u32 %r1, [s];");
    KernelRun run(text);
    run.shape.block.x = 1;
    run.shape.grid.x = 2;
    run.allocate(4);
    const LaunchResult result = run.run();
    ASSERT_EQ(outcome(result), "never written");
    EXPECT_EQ(result.fault->block, (Dim3{1, 0, 0}));
  }
}

}  // namespace
}  // namespace colophon::gpu_emulator
