// SPDX-License-Identifier: Apache-2.0
#include "bench/gpu_probe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "tests/gpu_emulator/cuda_runtime.h"

namespace colophon::bench {
namespace {

using gpu_emulator::Effect;
using gpu_emulator::Fault;

constexpr std::uint32_t kMultiprocessors = 2;

GpuProbeSettings few() {
  GpuProbeSettings settings;
  settings.steps = 2;
  settings.repetitions = 1;
  settings.copy_bytes = std::size_t{1} << 20;
  settings.gather_bytes = std::size_t{1} << 20;
  settings.gathers = 5;
  return settings;
}

class GpuProbeTest : public testing::Test {
 protected:
  void SetUp() override { power_on(); }
  void TearDown() override { expect_nothing_left(); }

  static void power_on(std::uint32_t devices = 1) {
    gpu_emulator::Settings settings;
    settings.devices = devices;
    settings.multiprocessors = kMultiprocessors;
    gpu_emulator::power_cycle(settings);
  }
  static void expect_nothing_left() {
    for (const gpu_emulator::Finding& finding : gpu_emulator::findings()) {
      ADD_FAILURE() << finding.text;
    }
    const gpu_emulator::Holdings held = gpu_emulator::holdings();
    EXPECT_EQ(held.allocations + held.pinned + held.streams + held.events, 0U);
  }
};

TEST_F(GpuProbeTest, EveryRateIsThereAndANumber) {
  GpuProbe probe;
  ASSERT_EQ(probe_gpu(few(), probe), "");
  EXPECT_FALSE(probe.device.empty());
  EXPECT_EQ(probe.multiprocessors, kMultiprocessors);
  ASSERT_EQ(probe.rates.size(), 7U);
  for (const GpuProbe::Rate& rate : probe.rates) {
    SCOPED_TRACE(rate.name);
    for (const double figure : {rate.lanes_a_clock, rate.giga_a_second, rate.clock_gigahertz}) {
      EXPECT_TRUE(std::isfinite(figure));
      EXPECT_GT(figure, 0);
    }
  }
  for (const double figure : {probe.to_device, probe.from_device, probe.both_ways, probe.gather}) {
    EXPECT_TRUE(std::isfinite(figure));
    EXPECT_GT(figure, 0);
  }
}

// The emulator's clock counts instructions of warps, one after the other: what is unrolled has
// little beside it, and a P-256 product its hundred and more.
TEST_F(GpuProbeTest, RatesAreOfWhatTheyAreNamedAfter) {
  GpuProbe probe;
  GpuProbeSettings settings = few();
  settings.steps = 20;
  ASSERT_EQ(probe_gpu(settings, probe), "");
  for (const GpuProbe::Rate& rate : probe.rates) {
    SCOPED_TRACE(rate.name);
    const bool is_product = rate.name.starts_with("P-256");
    EXPECT_GT(rate.lanes_a_clock, is_product ? 32.0 / 400 : 32.0 / 5);
    EXPECT_LT(rate.lanes_a_clock, is_product ? 32.0 / 150 : 32.0);
  }
}

TEST_F(GpuProbeTest, ADeviceThatIsNotThereIsAnError) {
  GpuProbe probe;
  GpuProbeSettings settings = few();
  settings.device = 1;
  EXPECT_NE(probe_gpu(settings, probe).find("no device 1"), std::string::npos);
  power_on(0);
  EXPECT_NE(probe_gpu(few(), probe).find("no GPU to probe: cudaErrorNoDevice"), std::string::npos);
}

TEST_F(GpuProbeTest, WhatDoesNotFitIsAnError) {
  GpuProbe probe;
  GpuProbeSettings settings = few();
  settings.gather_bytes = std::size_t{1} << 36;
  EXPECT_NE(probe_gpu(settings, probe).find("cudaErrorMemoryAllocation"), std::string::npos);
  settings.gather_bytes = 63;
  EXPECT_NE(probe_gpu(settings, probe).find("gather_bytes"), std::string::npos);
}

// A card that computes wrongly is found out: the first `from` behind the first `place` of the
// kernel's module becomes `to`.
std::string probe_altered(const std::string& kernel, const std::string& place,
                          const std::string& from, const std::string& to) {
  std::string text;
  for (const auto& one : gpu_emulator::kernel_statistics()) {
    if (one.kernel == kernel) text = one.module->text;
  }
  const std::size_t at = text.find(from, std::min(text.find(place), text.size()));
  if (at == std::string::npos) return "no '" + from + "' in the module of " + kernel;
  text.replace(at, from.size(), to);
  const auto module = gpu_emulator::add_module(text);
  if (!module) return module.error().message;
  GpuProbe probe;
  const std::string error = probe_gpu(few(), probe);
  gpu_emulator::remove_module(*module);
  return error;
}

TEST_F(GpuProbeTest, WrongResultsAreAnError) {
  GpuProbe probe;
  ASSERT_EQ(probe_gpu(few(), probe), "");  // the kernels are known from here
  EXPECT_EQ(probe_altered("probe_p256_by_wide", ".entry", "madc.hi.cc.u32", "mad.hi.cc.u32"),
            "the device computes wrongly: two forms of the same product differ");
  EXPECT_EQ(probe_altered("probe_gather", "ld.global.nc", "add.s32", "and.b32"),
            "the device gathered what was never written");
  EXPECT_EQ(probe_gpu(few(), probe), "");
}

// Each call of each kind once: none is taken for a success.
TEST_F(GpuProbeTest, EveryFailingCallIsAnError) {
  for (const char* call :
       {"cudaGetDeviceCount", "cudaSetDevice", "cudaGetDeviceProperties",
        "cudaStreamCreateWithFlags", "cudaEventCreate", "cudaEventCreateWithFlags", "cudaMalloc",
        "cudaMallocHost", "cudaLaunchKernel", "cudaEventRecord", "cudaEventSynchronize",
        "cudaEventElapsedTime", "cudaMemcpy", "cudaMemcpyAsync", "cudaMemset",
        "cudaDeviceSynchronize", "cudaStreamWaitEvent"}) {
    int failed = 0;
    for (std::uint64_t first = 1; first < 1'000; first += 1 + first / 2) {
      power_on();
      gpu_emulator::add_fault(Fault{call, first, 1, cudaErrorUnknown, Effect::kFail});
      GpuProbe probe;
      const std::string error = probe_gpu(few(), probe);
      if (error.empty()) break;  // not so many calls are made
      EXPECT_NE(error.find("cudaErrorUnknown"), std::string::npos) << call << " " << first;
      ++failed;
      expect_nothing_left();
    }
    EXPECT_GT(failed, 0) << call;
  }
}

}  // namespace
}  // namespace colophon::bench
