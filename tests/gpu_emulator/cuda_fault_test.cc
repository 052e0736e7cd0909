// SPDX-License-Identifier: Apache-2.0
//
// Faults: those that kernels make themselves, those that are planned, and those by chance.
#include <chrono>
#include <string>
#include <thread>

#include "tests/gpu_emulator/cuda_program.h"
#include "tests/gpu_emulator/fault_plan.h"

namespace colophon::gpu_emulator::test {
namespace {

constexpr std::uint32_t kN = 2 * kBlock;

Settings with_fault(const std::string& text, std::uint64_t seed = 1) {
  const Result<Settings> parsed = parse_settings("fault=" + text);
  EXPECT_TRUE(parsed) << parsed.error().message;
  Settings settings = settings_of(seed);
  settings.faults = parsed->faults;
  return settings;
}

// A batch, all of it checked. What it gives back: the first error, or cudaSuccess and a right
// result.
cudaError_t run_batch() {
  cudaError_t first = cudaSuccess;
  const auto look = [&](cudaError_t error) {
    if (first == cudaSuccess) first = error;
    return error == cudaSuccess;
  };
  std::uint32_t* x = nullptr;
  std::uint32_t* host = nullptr;
  cudaStream_t stream = nullptr;
  const auto work = [&] {
    if (!look(cudaMalloc(reinterpret_cast<void**>(&x), kN * 4)) ||
        !look(cudaMallocHost(reinterpret_cast<void**>(&host), kN * 4)) ||
        !look(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking))) {
      return;
    }
    std::ranges::copy(counting(kN), host);
    if (!look(cudaMemcpyAsync(x, host, kN * 4, cudaMemcpyHostToDevice, stream))) return;
    axpy(1, x, x, kN, stream);
    if (!look(cudaGetLastError()) ||
        !look(cudaMemcpyAsync(host, x, kN * 4, cudaMemcpyDeviceToHost, stream)) ||
        !look(cudaStreamSynchronize(stream))) {
      return;
    }
    for (std::uint32_t i = 0; i < kN; ++i) EXPECT_EQ(host[i], 2 * (i + 1));
  };
  work();
  // What is queued may use the memory still.
  if (first != cudaSuccess && stream != nullptr) look(cudaStreamSynchronize(stream));
  if (stream != nullptr) look(cudaStreamDestroy(stream));
  if (host != nullptr) look(cudaFreeHost(host));
  look(cudaFree(x));
  (void)cudaGetLastError();
  return first;
}

// --- faults of kernels ---------------------------------------------------------------------------

// Until the reset, every call says the same.
void expect_broken(cudaError_t error) {
  int count = 0;
  void* pointer = nullptr;
  EXPECT_EQ(cudaGetDeviceCount(&count), error);
  EXPECT_EQ(cudaMalloc(&pointer, 16), error);
  EXPECT_EQ(cudaStreamSynchronize(nullptr), error);
  EXPECT_EQ(cudaFree(nullptr), error);
  EXPECT_EQ(cudaGetLastError(), error);
  EXPECT_EQ(cudaGetLastError(), error);
}

void expect_whole_after_reset() {
  EXPECT_CUDA(cudaDeviceReset());
  (void)cudaGetLastError();
  EXPECT_CUDA(cudaGetLastError());
  EXPECT_CUDA(run_batch());
}

TEST_F(CudaTest, AKernelThatGoesAstrayBreaksTheContextUntilTheReset) {
  std::uint32_t* freed = nullptr;
  ASSERT_CUDA(cudaMalloc(reinterpret_cast<void**>(&freed), 64));
  store(freed + 15, 1);
  EXPECT_CUDA(cudaDeviceSynchronize());
  EXPECT_FALSE(last_device_fault());
  ASSERT_CUDA(cudaFree(freed));
  store(freed, 1);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
  ASSERT_TRUE(last_device_fault());
  EXPECT_NE(last_device_fault()->find("store_kernel"), std::string::npos) << *last_device_fault();
  expect_broken(cudaErrorIllegalAddress);
  expect_whole_after_reset();
}

TEST_F(CudaTest, FaultsOfKernelsHaveTheErrorsOfCuda) {
  const auto error_of = [](const std::function<void()>& launch) {
    launch();
    const cudaError_t error = cudaDeviceSynchronize();
    EXPECT_EQ(last_device_fault().has_value(), error != cudaSuccess);
    Settings settings = settings_of(1);
    settings.launch.warp_instructions_max = 100'000;
    power_cycle(settings);
    return error;
  };
  (void)error_of([] {});
  EXPECT_EQ(error_of([] {
              const DeviceWords x(Words{1, 2});
              store(x.get() + 2, 1);
            }),
            cudaErrorIllegalAddress);
  EXPECT_EQ(error_of([] {
              const DeviceWords x(Words{1, 2});
              store(reinterpret_cast<std::uint32_t*>(reinterpret_cast<char*>(x.get()) + 1), 1);
              EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorMisalignedAddress);
            }),
            cudaErrorMisalignedAddress);
  EXPECT_EQ(error_of([] {
              std::uint32_t on_host = 0;
              store(&on_host, 1);
              EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
              EXPECT_EQ(on_host, 0U);
            }),
            cudaErrorIllegalAddress);
  EXPECT_EQ(error_of([] {
              const DeviceWords x(counting(kN));
              const DeviceWords sums(2);
              block_sums_without_barrier(x.get(), sums.get(), kN);
              EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorLaunchFailure) << "a race";
              EXPECT_NE(last_device_fault()->find("race"), std::string::npos);
            }),
            cudaErrorLaunchFailure);
  EXPECT_EQ(error_of([] {
              const DeviceWords flag(Words{1});
              spin(flag.get());
              EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorLaunchTimeout) << "the step limit";
            }),
            cudaErrorLaunchTimeout);
  EXPECT_EQ(error_of([] {
              const DeviceWords unwritten(kN);
              const DeviceWords y(counting(kN));
              axpy(1, unwritten.get(), y.get(), kN);
              EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorLaunchFailure) << "never written";
            }),
            cudaErrorLaunchFailure);
  EXPECT_CUDA(error_of([] { EXPECT_CUDA(run_batch()); }));
}

TEST_F(CudaTest, AfterAResetWhatWasThereIsGone) {
  cudaStream_t stream = nullptr;
  cudaEvent_t event = nullptr;
  void* memory = nullptr;
  void* pinned = nullptr;
  ASSERT_CUDA(cudaStreamCreate(&stream));
  ASSERT_CUDA(cudaEventCreate(&event));
  ASSERT_CUDA(cudaMalloc(&memory, 16));
  ASSERT_CUDA(cudaMallocHost(&pinned, 16));
  ASSERT_CUDA(cudaMemsetAsync(memory, 0, 16, stream));
  ASSERT_CUDA(cudaDeviceReset());
  const Holdings held = holdings();
  EXPECT_EQ(held.allocations + held.pinned + held.streams + held.events + held.queued, 0U);
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaEventRecord(event, nullptr), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaFree(memory), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFreeHost(pinned), cudaErrorInvalidValue);
  EXPECT_EQ(count_of(Finding::Kind::kMisuse), 4U);
}

// --- planned faults of calls ---------------------------------------------------------------------

TEST_F(CudaTest, TheNthAllocationFails) {
  power_cycle(with_fault("cudaMalloc@3:cudaErrorMemoryAllocation"));
  EXPECT_CUDA(run_batch());
  EXPECT_CUDA(run_batch());
  EXPECT_TRUE(faults_met().empty());
  EXPECT_EQ(run_batch(), cudaErrorMemoryAllocation);
  EXPECT_EQ(faults_met(), std::vector<std::string>{"cudaMalloc 3: cudaErrorMemoryAllocation"});
  EXPECT_CUDA(run_batch());
  EXPECT_TRUE(findings().empty());
  EXPECT_EQ(holdings().allocations + holdings().pinned + holdings().streams, 0U);
}

TEST_F(CudaTest, ALaunchFails) {
  power_cycle(with_fault("cudaLaunchKernel@2+2:cudaErrorLaunchOutOfResources"));
  EXPECT_CUDA(run_batch());
  EXPECT_EQ(run_batch(), cudaErrorLaunchOutOfResources);
  EXPECT_EQ(run_batch(), cudaErrorLaunchOutOfResources);
  EXPECT_CUDA(run_batch());
  EXPECT_EQ(faults_met().size(), 2U);
}

TEST_F(CudaTest, ACopyFailsAtTheCallOrLater) {
  power_cycle(with_fault("cudaMemcpyAsync@2:cudaErrorInvalidValue"));
  EXPECT_EQ(run_batch(), cudaErrorInvalidValue);
  EXPECT_CUDA(run_batch());
  power_cycle(with_fault("copy@2:cudaErrorECCUncorrectable"));
  EXPECT_EQ(run_batch(), cudaErrorECCUncorrectable);
  expect_broken(cudaErrorECCUncorrectable);
  expect_whole_after_reset();
  EXPECT_FALSE(last_device_fault()) << "a planned fault is no finding";
}

TEST_F(CudaTest, AKernelFaultsAsPlanned) {
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    power_cycle(with_fault("kernel@2:cudaErrorIllegalAddress", seed));
    EXPECT_CUDA(run_batch());
    EXPECT_EQ(run_batch(), cudaErrorIllegalAddress);
    expect_broken(cudaErrorIllegalAddress);
    expect_whole_after_reset();
    EXPECT_EQ(faults_met().size(), 1U);
  }
}

TEST_F(CudaTest, ACallThatWaitsMayFailWithoutHavingWaited) {
  power_cycle(with_fault("cudaStreamSynchronize:cudaErrorUnknown:break"));
  EXPECT_EQ(run_batch(), cudaErrorUnknown);
  expect_broken(cudaErrorUnknown);
  expect_whole_after_reset();
}

TEST_F(CudaTest, AnErrorThatGoesAway) {
  power_cycle(with_fault("any@4+10:cudaErrorSystemNotReady"));
  int count = 0;
  for (int i = 0; i < 3; ++i) EXPECT_CUDA(cudaGetDeviceCount(&count));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(cudaGetDeviceCount(&count), cudaErrorSystemNotReady);
  EXPECT_CUDA(cudaGetDeviceCount(&count));
  EXPECT_EQ(faults_met().size(), 10U);
  EXPECT_EQ(cudaGetLastError(), cudaErrorSystemNotReady);
  EXPECT_CUDA(run_batch());
}

// A call that would fail anyhow meets no further fault.
TEST_F(CudaTest, FaultsAreMetOneAtATime) {
  Settings settings = with_fault("cudaGetDevice@1:cudaErrorUnknown:break");
  settings.faults.push_back({.where = "cudaGetDevice", .first = 2, .count = 2});
  power_cycle(settings);
  int device = 0;
  EXPECT_EQ(cudaGetDevice(&device), cudaErrorUnknown);
  EXPECT_EQ(cudaGetDevice(&device), cudaErrorUnknown);
  EXPECT_EQ(faults_met(), std::vector<std::string>{"cudaGetDevice 1: cudaErrorUnknown, broken"});
  EXPECT_CUDA(cudaDeviceReset());
  EXPECT_EQ(cudaGetDevice(&device), cudaErrorUnknown);
  EXPECT_CUDA(cudaGetDevice(&device));
  EXPECT_EQ(faults_met().size(), 2U);
}

TEST_F(CudaTest, ADeviceInUseByOthers) {
  power_cycle(with_fault("any@1+*:cudaErrorDevicesUnavailable"));
  int count = 0;
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaErrorDevicesUnavailable);
  EXPECT_EQ(run_batch(), cudaErrorDevicesUnavailable);
  EXPECT_EQ(cudaDeviceReset(), cudaErrorDevicesUnavailable);
}

// --- a device lost -------------------------------------------------------------------------------

TEST_F(CudaTest, ADeviceIsLostInMidBatchAndComesBack) {
  for (const char* const where : {"cudaMemcpyAsync@4+20", "kernel@2+20", "copy@3+20"}) {
    for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
      SCOPED_TRACE(std::string(where) + ", seed " + std::to_string(seed));
      power_cycle(with_fault(std::string(where) + ":cudaErrorDevicesUnavailable:lose", seed));
      EXPECT_CUDA(run_batch());
      EXPECT_EQ(run_batch(), cudaErrorDevicesUnavailable);
      // Even a reset fails while it is lost; then it helps.
      EXPECT_EQ(cudaDeviceReset(), cudaErrorDevicesUnavailable);
      const std::uint64_t before = calls("any");
      int count = 0;
      for (int i = 0; i < 30; ++i) {
        EXPECT_EQ(cudaGetDeviceCount(&count), cudaErrorDevicesUnavailable);
      }
      EXPECT_EQ(calls("any"), before + 30);
      expect_whole_after_reset();
      EXPECT_EQ(faults_met().size(), 1U);
      EXPECT_TRUE(findings().empty());
    }
  }
}

TEST_F(CudaTest, ADeviceLostForGood) {
  power_cycle(with_fault("kernel@1+*:cudaErrorUnknown:lose"));
  EXPECT_EQ(run_batch(), cudaErrorUnknown);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(cudaDeviceReset(), cudaErrorUnknown);
}

// --- a stream that hangs -------------------------------------------------------------------------

TEST_F(CudaTest, AStreamHangsAndOthersGoOn) {
  power_cycle(with_fault("kernel@1:cudaErrorUnknown:hang"));
  const DeviceWords x(counting(kN));
  const OwnStream hung;
  const OwnStream other;
  const OwnEvent end;
  axpy(1, x.get(), x.get(), kN, hung);
  EXPECT_CUDA(cudaEventRecord(end, hung));
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(cudaEventQuery(end), cudaErrorNotReady);
  EXPECT_EQ(faults_met().size(), 1U);
  const DeviceWords y(counting(kN));
  axpy(1, y.get(), y.get(), kN, other);
  EXPECT_CUDA(cudaStreamSynchronize(other));
  EXPECT_EQ(y.read()[1], 4U);
  EXPECT_EQ(cudaEventQuery(end), cudaErrorNotReady);
  expect_whole_after_reset();
}

TEST_F(CudaTest, TheWatchdogEndsWhatHangs) {
  for (const Pace pace : {Pace::kStepped, Pace::kFree}) {
    Settings settings = with_fault("kernel@1:cudaErrorUnknown:hang");
    settings.pace = pace;
    settings.hang_ms = 50;
    power_cycle(settings);
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(run_batch(), cudaErrorLaunchTimeout);
    EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(50));
    expect_broken(cudaErrorLaunchTimeout);
    expect_whole_after_reset();
  }
}

// Another thread resets the device under one that waits for it.
TEST_F(CudaTest, AResetEndsTheWaitOfOthers) {
  power_cycle(with_fault("kernel@1:cudaErrorUnknown:hang"));
  const DeviceWords x(counting(kN));
  const OwnStream hung;
  axpy(1, x.get(), x.get(), kN, hung);
  cudaError_t error = cudaSuccess;
  std::thread waits([&] { error = cudaStreamSynchronize(hung); });
  while (faults_met().empty()) std::this_thread::yield();
  EXPECT_CUDA(cudaDeviceReset());
  waits.join();
  EXPECT_TRUE(error == cudaErrorContextIsDestroyed || error == cudaErrorInvalidResourceHandle);
}

// --- faults by chance ----------------------------------------------------------------------------

// A caller that believes no result of a batch that had an error, and resets what is broken.
TEST_F(CudaTest, ACarefulCallerSurvivesFaultsByChance) {
  std::size_t met = 0;
  std::uint64_t right = 0;
  for (std::uint64_t seed = 0; seed < 5 * kSeeds; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Settings settings = settings_of(seed);
    settings.chaos = 20;
    settings.hang_ms = 5;
    power_cycle(settings);
    for (int batch = 0; batch < 5; ++batch) {
      if (run_batch() == cudaSuccess) {
        ++right;
        continue;
      }
      for (int i = 0; i < 100 && cudaDeviceReset() != cudaSuccess; ++i) {
      }
      (void)cudaGetLastError();
    }
    met += faults_met().size();
    EXPECT_FALSE(last_device_fault()) << *last_device_fault();
  }
  EXPECT_GT(met, 5 * kSeeds);
  EXPECT_GT(right, kSeeds);
}

// --- settings as text ----------------------------------------------------------------------------

TEST(SettingsTest, EveryItemIsUnderstood) {
  const Result<Settings> parsed = parse_settings(
      "seed=7, pace=free idle_us=3 hang_ms=4 devices=0 driver=12040 memory=3G taken=2M "
      "card=/a/card "
      "multiprocessors=9 pools=0 registers=33 steps=1000 chaos=5 print=0 unwritten=0 "
      "order=descending "
      "fault=cudaFree@2+*:cudaErrorUnknown:lose,fault=kernel:cudaErrorIllegalAddress");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->seed, 7U);
  EXPECT_EQ(parsed->pace, Pace::kFree);
  EXPECT_EQ(parsed->idle_us, 3U);
  EXPECT_EQ(parsed->hang_ms, 4U);
  EXPECT_EQ(parsed->devices, 0U);
  EXPECT_EQ(parsed->driver, 12040U);
  EXPECT_EQ(parsed->memory_bytes, std::uint64_t{3} << 30);
  EXPECT_EQ(parsed->memory_taken, std::uint64_t{2} << 20);
  EXPECT_EQ(parsed->card, "/a/card");
  EXPECT_EQ(parsed->multiprocessors, 9U);
  EXPECT_FALSE(parsed->memory_pools);
  EXPECT_EQ(parsed->registers, 33U);
  EXPECT_EQ(parsed->launch.warp_instructions_max, 1000U);
  EXPECT_EQ(parsed->chaos, 5U);
  EXPECT_FALSE(parsed->print);
  EXPECT_FALSE(parsed->check_unwritten_copies);
  EXPECT_EQ(parsed->launch.order, Order::kDescending);
  ASSERT_EQ(parsed->faults.size(), 2U);
  EXPECT_EQ(parsed->faults[0].where, "cudaFree");
  EXPECT_EQ(parsed->faults[0].first, 2U);
  EXPECT_EQ(parsed->faults[0].count, kForever);
  EXPECT_EQ(parsed->faults[0].error, cudaErrorUnknown);
  EXPECT_EQ(parsed->faults[0].effect, Effect::kLose);
  EXPECT_EQ(parsed->faults[1].effect, Effect::kBreak);
  EXPECT_TRUE(parse_settings(""));
}

TEST(SettingsTest, WhatIsNoSettingIsNamed) {
  for (const char* const item : {"seed",
                                 "seed=",
                                 "seed=x",
                                 "seed=1x",
                                 "color=red",
                                 "devices=2",
                                 "memory=1T",
                                 "memory=99999999999G",
                                 "pace=slow",
                                 "order=up",
                                 "print=2",
                                 "fault=cudaMalloc",
                                 "fault=cudaMaloc:cudaErrorUnknown",
                                 "fault=cudaMalloc:cudaErrorNonsense",
                                 "fault=cudaMalloc:cudaSuccess",
                                 "fault=cudaMalloc@0:cudaErrorUnknown",
                                 "fault=cudaMalloc@1+0:cudaErrorUnknown",
                                 "fault=cudaMalloc@1+:cudaErrorUnknown",
                                 "fault=cudaMalloc:cudaErrorUnknown:maybe",
                                 "fault=cudaMalloc:cudaErrorUnknown:hang",
                                 "fault=cudaGetLastError:cudaErrorUnknown"}) {
    const Result<Settings> parsed = parse_settings(std::string("seed=1 ") + item);
    ASSERT_FALSE(parsed) << item;
    EXPECT_NE(parsed.error().message.find("'" + std::string(item) + "'"), std::string::npos);
  }
}

TEST(SettingsDeathTest, AFaultThatCanNeverBeMetEndsTheTest) {
  Fault fault;
  fault.where = "cudaMaloc";
  EXPECT_DEATH(add_fault(fault), "'cudaMaloc' can never be met");
}

}  // namespace
}  // namespace colophon::gpu_emulator::test
