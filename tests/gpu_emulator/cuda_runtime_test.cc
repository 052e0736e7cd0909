// SPDX-License-Identifier: Apache-2.0
//
// The emulated runtime's calls one by one: errors, the device, memory, kernels, symbols, modules.
#include "tests/gpu_emulator/cuda_runtime.h"

#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include "tests/gpu_emulator/cuda_errors.h"
#include "tests/gpu_emulator/cuda_program.h"
#include "tests/gpu_emulator/cuda_registration.h"

namespace colophon::gpu_emulator::test {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

std::optional<KernelStatistics> statistics_of(std::string_view kernel) {
  for (KernelStatistics& one : kernel_statistics()) {
    if (one.kernel.find(kernel) != std::string::npos) return std::move(one);
  }
  return std::nullopt;
}

// --- errors --------------------------------------------------------------------------------------

TEST_F(CudaTest, NamesAndTextsOfErrorsAreTheToolkits) {
  void* const library = dlopen(CUDART_LIBRARY, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) GTEST_SKIP() << dlerror();
  using Text = const char* (*)(cudaError_t);
  const auto name = reinterpret_cast<Text>(dlsym(library, "cudaGetErrorName"));
  const auto text = reinterpret_cast<Text>(dlsym(library, "cudaGetErrorString"));
  ASSERT_NE(name, nullptr);
  ASSERT_NE(name, &cudaGetErrorName) << "it is the emulator's own";
  for (const ErrorText& known : error_texts()) {
    EXPECT_STREQ(cudaGetErrorName(known.error), name(known.error));
    EXPECT_STREQ(cudaGetErrorString(known.error), text(known.error));
    EXPECT_EQ(error_of_name(known.name), known.error);
  }
  EXPECT_STREQ(cudaGetErrorName(static_cast<cudaError_t>(12345)),
               name(static_cast<cudaError_t>(12345)));
  EXPECT_GE(error_texts().size(), 50U);
  dlclose(library);
}

TEST_F(CudaTest, TheLastErrorStaysUntilItIsRead) {
  EXPECT_CUDA(cudaGetLastError());
  EXPECT_EQ(cudaSetDevice(1), cudaErrorInvalidDevice);
  EXPECT_CUDA(cudaSetDevice(0));
  EXPECT_EQ(cudaPeekAtLastError(), cudaErrorInvalidDevice);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidDevice);
  EXPECT_CUDA(cudaGetLastError());
  // Each thread has its own.
  EXPECT_EQ(cudaSetDevice(1), cudaErrorInvalidDevice);
  std::thread([] { EXPECT_CUDA(cudaGetLastError()); }).join();
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidDevice);
}

TEST_F(CudaTest, WithoutADeviceEveryCallSaysSo) {
  Settings settings = settings_of(1);
  settings.devices = 0;
  power_cycle(settings);
  int count = 77;
  void* pointer = nullptr;
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaErrorNoDevice);
  EXPECT_EQ(count, 77);
  EXPECT_EQ(cudaMalloc(&pointer, 16), cudaErrorNoDevice);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorNoDevice);
  store(nullptr, 1);
  EXPECT_EQ(cudaGetLastError(), cudaErrorNoDevice);
  int version = 0;
  EXPECT_CUDA(cudaDriverGetVersion(&version));
  EXPECT_EQ(version, 13000);

  power_cycle(settings_of(1));
  EXPECT_CUDA(cudaGetDeviceCount(&count));
  EXPECT_EQ(count, 1);
}

// As the toolkit's runtime does where there is no driver at all: each call, cudaGetLastError too,
// but for the versions.
TEST_F(CudaTest, ADriverThatIsTooOldOrNotThereIsAnError) {
  for (const std::uint32_t driver : {0U, 12090U, 12999U}) {
    Settings settings = settings_of(1);
    settings.driver = driver;
    power_cycle(settings);
    int value = 77;
    EXPECT_EQ(cudaGetDeviceCount(&value), cudaErrorInsufficientDriver);
    EXPECT_EQ(value, 77);
    EXPECT_EQ(cudaGetLastError(), cudaErrorInsufficientDriver);
    EXPECT_EQ(cudaGetLastError(), cudaErrorInsufficientDriver);
    EXPECT_EQ(cudaFree(nullptr), cudaErrorInsufficientDriver);
    EXPECT_CUDA(cudaDriverGetVersion(&value));
    EXPECT_EQ(value, static_cast<int>(driver));
    EXPECT_CUDA(cudaRuntimeGetVersion(&value));
    EXPECT_EQ(value, CUDART_VERSION);
  }
  Settings settings = settings_of(1);
  settings.driver = 13010;
  power_cycle(settings);
  int count = 0;
  EXPECT_CUDA(cudaGetDeviceCount(&count));
}

// --- the device ----------------------------------------------------------------------------------

TEST_F(CudaTest, PropertiesAndAttributesAgree) {
  Settings settings = settings_of(1);
  settings.multiprocessors = 7;
  settings.memory_bytes = 512 * kMiB;
  power_cycle(settings);
  cudaDeviceProp device;
  ASSERT_CUDA(cudaGetDeviceProperties(&device, 0));
  EXPECT_EQ(device.multiProcessorCount, 7);
  EXPECT_EQ(device.totalGlobalMem, 512 * kMiB);
  const auto attribute = [](cudaDeviceAttr which) {
    int value = -1;
    EXPECT_CUDA(cudaDeviceGetAttribute(&value, which, 0));
    return value;
  };
  EXPECT_EQ(attribute(cudaDevAttrMultiProcessorCount), 7);
  EXPECT_EQ(attribute(cudaDevAttrComputeCapabilityMajor), device.major);
  EXPECT_EQ(attribute(cudaDevAttrMaxGridDimY), device.maxGridSize[1]);
  EXPECT_EQ(attribute(cudaDevAttrMaxBlockDimZ), device.maxThreadsDim[2]);
  EXPECT_EQ(attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin), 227 * 1024);
  EXPECT_EQ(cudaGetDeviceProperties(&device, 1), cudaErrorInvalidDevice);
  int value = 0;
  EXPECT_EQ(cudaDeviceGetAttribute(&value, cudaDevAttrWarpSize, 1), cudaErrorInvalidDevice);
  EXPECT_EQ(cudaDeviceGetAttribute(&value, cudaDevAttrMaxSurface3DWidth, 0), cudaErrorInvalidValue);
  EXPECT_TRUE(found(Finding::Kind::kMisuse, "not emulated"));
  int least = 9;
  int greatest = 9;
  EXPECT_CUDA(cudaDeviceGetStreamPriorityRange(&least, &greatest));
  EXPECT_LT(greatest, least);
  char id[16] = {};
  EXPECT_CUDA(cudaDeviceGetPCIBusId(id, sizeof(id), 0));
  EXPECT_STREQ(id, "0000:00:00.0");
}

// --- memory --------------------------------------------------------------------------------------

TEST_F(CudaTest, MemoryEndsAndComesBack) {
  Settings settings = settings_of(1);
  settings.memory_bytes = 16 * kMiB;
  settings.memory_taken = 4 * kMiB;
  power_cycle(settings);
  std::size_t free = 0;
  std::size_t total = 0;
  ASSERT_CUDA(cudaMemGetInfo(&free, &total));
  EXPECT_EQ(total, 16 * kMiB);
  EXPECT_EQ(free, 12 * kMiB);
  void* all = nullptr;
  EXPECT_EQ(cudaMalloc(&all, 12 * kMiB + 1), cudaErrorMemoryAllocation);
  EXPECT_EQ(all, nullptr);
  EXPECT_EQ(cudaMalloc(&all, SIZE_MAX), cudaErrorMemoryAllocation);
  ASSERT_CUDA(cudaMalloc(&all, 12 * kMiB));
  void* more = nullptr;
  EXPECT_EQ(cudaMalloc(&more, 1), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
  EXPECT_CUDA(cudaGetLastError()) << "running out of memory breaks nothing";
  ASSERT_CUDA(cudaFree(all));
  ASSERT_CUDA(cudaMalloc(&more, 1));
  ASSERT_CUDA(cudaMemGetInfo(&free, &total));
  EXPECT_EQ(free, 10 * kMiB) << "a page for one byte";
  EXPECT_EQ(holdings().allocations, 1U);
  ASSERT_CUDA(cudaFree(more));
  EXPECT_EQ(holdings().allocated_bytes, 0U);
  EXPECT_TRUE(findings().empty());
}

TEST_F(CudaTest, FreeingTwiceOrWhatIsNoneIsFound) {
  void* pointer = nullptr;
  ASSERT_CUDA(cudaMalloc(&pointer, 64));
  EXPECT_EQ(cudaFree(static_cast<char*>(pointer) + 4), cudaErrorInvalidValue);
  EXPECT_CUDA(cudaFree(pointer));
  EXPECT_EQ(count_of(Finding::Kind::kMisuse), 1U);
  EXPECT_EQ(cudaFree(pointer), cudaErrorInvalidValue);
  EXPECT_EQ(count_of(Finding::Kind::kMisuse), 2U);
  EXPECT_CUDA(cudaFree(nullptr));
  EXPECT_CUDA(cudaMalloc(&pointer, 0));
  EXPECT_EQ(pointer, nullptr);

  ASSERT_CUDA(cudaMallocHost(&pointer, 64));
  EXPECT_EQ(holdings().pinned, 1U);
  EXPECT_CUDA(cudaFreeHost(pointer));
  EXPECT_EQ(cudaFreeHost(pointer), cudaErrorInvalidValue);
  EXPECT_EQ(count_of(Finding::Kind::kMisuse), 3U);

  Words own(16);
  EXPECT_EQ(cudaHostUnregister(own.data()), cudaErrorHostMemoryNotRegistered);
  EXPECT_CUDA(cudaHostRegister(own.data(), 64, cudaHostRegisterDefault));
  EXPECT_EQ(cudaHostRegister(own.data() + 4, 4, cudaHostRegisterDefault),
            cudaErrorHostMemoryAlreadyRegistered);
  EXPECT_CUDA(cudaHostUnregister(own.data()));
}

TEST_F(CudaTest, CopiesGoEachWay) {
  const Words words = counting(1000);
  const DeviceWords a(words);
  const DeviceWords b(1000);
  EXPECT_CUDA(cudaMemcpy(b.get(), a.get(), a.bytes(), cudaMemcpyDeviceToDevice));
  EXPECT_EQ(b.read(), words);
  EXPECT_CUDA(cudaMemset(b.get() + 500, 0xff, 4));
  Words expected = words;
  expected[500] = 0xffffffff;
  EXPECT_EQ(b.read(), expected);
  // The direction may be left to the pointers; between host and host it is a memmove.
  Words back(1000);
  EXPECT_CUDA(cudaMemcpy(back.data(), a.get(), a.bytes(), cudaMemcpyDefault));
  EXPECT_EQ(back, words);
  Words again(1000);
  EXPECT_CUDA(cudaMemcpy(again.data(), back.data(), a.bytes(), cudaMemcpyDefault));
  EXPECT_EQ(again, words);
  EXPECT_TRUE(findings().empty());
}

TEST_F(CudaTest, CopiesOutOfBoundsAreRefused) {
  const DeviceWords a(counting(16));
  Words host(64);
  EXPECT_EQ(cudaMemcpy(host.data(), a.get(), 68, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(a.get() + 1, host.data(), 64, cudaMemcpyHostToDevice),
            cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemset(a.get() - 1, 0, 4), cudaErrorInvalidValue);
  EXPECT_EQ(count_of(Finding::Kind::kMisuse), 3U);
  EXPECT_EQ(cudaMemcpy(a.get(), host.data(), 64, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(host.data(), a.get(), 64, static_cast<cudaMemcpyKind>(7)),
            cudaErrorInvalidMemcpyDirection);
  EXPECT_EQ(cudaMemcpy(nullptr, a.get(), 64, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_CUDA(cudaMemcpy(host.data(), a.get(), 64, cudaMemcpyDeviceToHost));
  EXPECT_CUDA(cudaMemcpy(host.data(), a.get() + 16, 0, cudaMemcpyDeviceToHost));
}

TEST_F(CudaTest, ReadingWhatNobodyWroteIsFound) {
  const DeviceWords a(16);
  EXPECT_CUDA(cudaMemset(a.get(), 1, 60));
  Words host(16);
  EXPECT_CUDA(cudaMemcpy(host.data(), a.get(), 60, cudaMemcpyDeviceToHost));
  EXPECT_FALSE(last_device_fault());
  EXPECT_CUDA(cudaMemcpy(host.data(), a.get(), 64, cudaMemcpyDeviceToHost));
  ASSERT_TRUE(last_device_fault());
  EXPECT_NE(last_device_fault()->find("never written"), std::string::npos) << *last_device_fault();
  Settings settings = settings_of(1);
  settings.check_unwritten_copies = false;
  power_cycle(settings);
  const DeviceWords b(16);
  EXPECT_CUDA(cudaMemcpy(host.data(), b.get(), 64, cudaMemcpyDeviceToHost));
  EXPECT_FALSE(last_device_fault());
}

// --- kernels -------------------------------------------------------------------------------------

TEST_F(CudaTest, KernelsRun) {
  constexpr std::uint32_t kN = 1000;
  const DeviceWords x(counting(kN));
  const DeviceWords y(counting(kN, 5));
  axpy(3, x.get(), y.get(), kN);
  ASSERT_CUDA(cudaGetLastError());
  Words expected(kN);
  for (std::uint32_t i = 0; i < kN; ++i) expected[i] = i + 5 + 3 * (i + 1);
  EXPECT_EQ(y.read(), expected);

  const DeviceWords z(counting(4 * kBlock));
  const DeviceWords sums(4);
  block_sums(z.get(), sums.get(), 4 * kBlock);
  EXPECT_EQ(sums.read(), (Words{8256, 24640, 41024, 57408}));
  EXPECT_TRUE(findings().empty()) << findings().front().text;
}

TEST_F(CudaTest, BothOrdersOfWarpsGiveTheSame) {
  for (const Order order : {Order::kAscending, Order::kDescending, Order::kSeeded}) {
    Settings settings = settings_of(3);
    settings.launch.order = order;
    power_cycle(settings);
    const DeviceWords x(counting(2 * kBlock));
    const DeviceWords sums(2);
    block_sums(x.get(), sums.get(), 2 * kBlock);
    EXPECT_EQ(sums.read(), (Words{8256, 24640}));
    EXPECT_TRUE(findings().empty());
  }
}

TEST_F(CudaTest, TheOrderOfThreadsIsTheSettings) {
  constexpr std::uint32_t kN = 3 * kBlock;
  const auto order = [](Order which, std::uint64_t seed) {
    Settings settings = settings_of(seed);
    settings.launch.order = which;
    power_cycle(settings);
    std::vector<Words> launches;
    for (int i = 0; i < 2; ++i) {
      const DeviceWords next(Words{0});
      const DeviceWords y(kN);
      take_numbers(next.get(), y.get(), kN);
      launches.push_back(y.read());
      Words sorted = launches.back();
      std::ranges::sort(sorted);
      EXPECT_EQ(sorted, counting(kN, 0));
    }
    return launches;
  };
  const std::vector<Words> ascending = order(Order::kAscending, 1);
  const std::vector<Words> descending = order(Order::kDescending, 1);
  const std::vector<Words> seeded = order(Order::kSeeded, 1);
  EXPECT_EQ(ascending[0], counting(kN, 0));
  EXPECT_EQ(ascending[1], ascending[0]);
  EXPECT_NE(descending[0], ascending[0]);
  EXPECT_EQ(descending[1], descending[0]);
  EXPECT_NE(seeded[1], seeded[0]) << "each launch has an order of its own";
  EXPECT_EQ(order(Order::kSeeded, 1), seeded);
  EXPECT_NE(order(Order::kSeeded, 2), seeded);
}

TEST_F(CudaTest, LaunchesThatCannotBeAreRefusedAndBreakNothing) {
  const DeviceWords x(counting(2000));
  reverse(x.get(), 1025);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
  reverse(x.get(), 0);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
  bounded(x.get(), 65);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
  bounded(x.get(), 64);
  EXPECT_CUDA(cudaGetLastError());
  reverse(x.get(), 1024);
  EXPECT_CUDA(cudaGetLastError());
  EXPECT_CUDA(cudaDeviceSynchronize());
  EXPECT_EQ(cudaLaunchKernel(&kMiB, dim3(1), dim3(1), nullptr, 0, nullptr),
            cudaErrorInvalidDeviceFunction);
  EXPECT_FALSE(last_device_fault());

  Settings settings = settings_of(1);
  settings.registers = 128;
  power_cycle(settings);
  const DeviceWords y(counting(1024));
  reverse(y.get(), 1024);
  EXPECT_EQ(cudaGetLastError(), cudaErrorLaunchOutOfResources);
  reverse(y.get(), 512);
  EXPECT_CUDA(cudaGetLastError());
}

TEST_F(CudaTest, MuchSharedMemoryMustBeAskedFor) {
  constexpr int kBytes = 64 * 1024;
  const DeviceWords x(counting(64));
  reverse(x.get(), 64, kBytes / 64);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
  constexpr auto kMax = cudaFuncAttributeMaxDynamicSharedMemorySize;
  EXPECT_EQ(cudaFuncSetAttribute(reverse_function, kMax, 228 * 1024), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
  EXPECT_CUDA(cudaFuncSetAttribute(reverse_function, kMax, kBytes));
  reverse(x.get(), 64, kBytes / 64);
  EXPECT_CUDA(cudaGetLastError());
  Words expected = counting(64);
  std::ranges::reverse(expected);
  EXPECT_EQ(x.read(), expected);
  EXPECT_EQ(cudaFuncSetAttribute(&kMiB, kMax, 0), cudaErrorInvalidDeviceFunction);
  // A reset takes that back.
  EXPECT_CUDA(cudaDeviceReset());
  (void)cudaGetLastError();
  const DeviceWords y(counting(64));
  reverse(y.get(), 64, kBytes / 64);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
}

TEST_F(CudaTest, StaticSharedMemoryCountsToo) {
  const DeviceWords x(counting(kBlock));
  const DeviceWords sums(1);
  std::uint32_t* pointers[] = {x.get(), sums.get()};
  void* arguments[] = {&pointers[0], &pointers[1]};
  const auto launch = [&](std::size_t shared) {
    return cudaLaunchKernel(block_sums_function, dim3(1), dim3(kBlock), arguments, shared, nullptr);
  };
  constexpr std::size_t kLeft = 48 * 1024 - kBlock * sizeof(std::uint32_t);
  EXPECT_EQ(launch(kLeft + 1), cudaErrorInvalidValue);
  EXPECT_CUDA(launch(kLeft));
  EXPECT_EQ(sums.read(), Words{8256});
  cudaFuncAttributes attributes;
  ASSERT_CUDA(cudaFuncGetAttributes(&attributes, block_sums_function));
  EXPECT_EQ(attributes.maxDynamicSharedSizeBytes, static_cast<int>(kLeft));
}

TEST_F(CudaTest, AttributesOfFunctionsAndOccupancy) {
  cudaFuncAttributes attributes;
  ASSERT_CUDA(cudaFuncGetAttributes(&attributes, block_sums_function));
  EXPECT_EQ(attributes.sharedSizeBytes, kBlock * sizeof(std::uint32_t));
  EXPECT_EQ(attributes.maxThreadsPerBlock, 1024);
  EXPECT_EQ(attributes.numRegs, 64);
  ASSERT_CUDA(cudaFuncGetAttributes(&attributes, bounded_function));
  EXPECT_EQ(attributes.maxThreadsPerBlock, 64);
  EXPECT_EQ(cudaFuncGetAttributes(&attributes, &kMiB), cudaErrorInvalidDeviceFunction);

  const auto occupancy = [](int threads, std::size_t shared) {
    int blocks = -1;
    EXPECT_CUDA(
        cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, reverse_function, threads, shared));
    return blocks;
  };
  EXPECT_EQ(occupancy(128, 0), 8);  // 65,536 registers / (128 * 64)
  EXPECT_EQ(occupancy(128, 47 * 1024), 4);
  Settings settings = settings_of(1);
  settings.registers = 32;
  power_cycle(settings);
  EXPECT_EQ(occupancy(128, 0), 16);
  EXPECT_EQ(occupancy(32, 0), 32);
}

TEST_F(CudaTest, SymbolsAreReadAndWritten) {
  const DeviceWords y(8);
  use_symbols(y.get(), 8);
  EXPECT_EQ(y.read(), (Words{1, 2, 3, 4, 1, 2, 3, 4}));
  const Words factors = {10, 20};
  EXPECT_CUDA(cudaMemcpyToSymbol(factors_symbol, factors.data(), 8, 4, cudaMemcpyHostToDevice));
  use_symbols(y.get(), 8);
  EXPECT_EQ(y.read(), (Words{1, 10, 20, 4, 1, 10, 20, 4}));
  std::uint32_t counter = 0;
  EXPECT_CUDA(cudaMemcpyFromSymbol(&counter, counter_symbol, 4, 0, cudaMemcpyDeviceToHost));
  EXPECT_EQ(counter, 7U + 16);
  void* address = nullptr;
  EXPECT_CUDA(cudaGetSymbolAddress(&address, counter_symbol));
  EXPECT_CUDA(cudaMemcpy(&counter, address, 4, cudaMemcpyDeviceToHost));
  EXPECT_EQ(counter, 7U + 16);

  EXPECT_EQ(cudaMemcpyToSymbol(factors_symbol, factors.data(), 8, 12, cudaMemcpyHostToDevice),
            cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpyToSymbol(&kMiB, factors.data(), 8, 0, cudaMemcpyHostToDevice),
            cudaErrorInvalidSymbol);
  // A new context has the first values again.
  EXPECT_CUDA(cudaDeviceReset());
  EXPECT_CUDA(cudaMemcpyFromSymbol(&counter, counter_symbol, 4, 0, cudaMemcpyDeviceToHost));
  EXPECT_EQ(counter, 7U);
}

// --- modules and statistics ----------------------------------------------------------------------

TEST_F(CudaTest, StatisticsAddUp) {
  clear_statistics();
  EXPECT_TRUE(kernel_statistics().empty());
  const DeviceWords x(counting(256));
  const DeviceWords y(counting(256));
  axpy(1, x.get(), y.get(), 256);
  EXPECT_CUDA(cudaDeviceSynchronize());
  const std::optional<KernelStatistics> one = statistics_of("axpy");
  ASSERT_TRUE(one);
  EXPECT_EQ(one->launches, 1U);
  EXPECT_EQ(one->thread_instructions, one->warp_instructions * 32);
  EXPECT_GT(one->warp_instructions, 8U * 10);
  EXPECT_EQ(one->blocks.front().count.threads, 256U);
  power_cycle(settings_of(2));
  const DeviceWords x2(counting(100));
  const DeviceWords y2(counting(100));
  axpy(1, x2.get(), y2.get(), 100);
  EXPECT_CUDA(cudaDeviceSynchronize());
  const std::optional<KernelStatistics> two = statistics_of("axpy");
  ASSERT_TRUE(two);
  EXPECT_EQ(two->launches, 2U);
  EXPECT_EQ(two->faults, 0U);
  EXPECT_GT(two->warp_instructions, one->warp_instructions);
  EXPECT_EQ(two->blocks.front().count.threads, 256U + 128);
  EXPECT_EQ(two->report.find("never ran"), std::string::npos) << two->report;
}

TEST_F(CudaTest, BlocksThatNeverRanAreNamed) {
  clear_statistics();
  bounded(nullptr, 32);
  EXPECT_CUDA(cudaDeviceSynchronize());
  EXPECT_NE(statistics_of("bounded_kernel")->report.find("never ran"), std::string::npos);
  const DeviceWords to(32);
  bounded(to.get(), 32);
  EXPECT_CUDA(cudaDeviceSynchronize());
  EXPECT_EQ(statistics_of("bounded_kernel")->report.find("never ran"), std::string::npos);
}

TEST_F(CudaTest, AModuleAddedLaterTakesItsKernelsOver) {
  const DeviceWords y(counting(1));
  store(y.get(), 41);
  EXPECT_EQ(y.read(), Words{41});
  const std::optional<KernelStatistics> ran = statistics_of("store_kernel");
  ASSERT_TRUE(ran);
  std::string text = ran->module->text;
  const std::size_t at = text.find("st.global.u32", text.find("store_kernel"));
  ASSERT_NE(at, std::string::npos);
  text.replace(at, 13, "red.global.add.u32");
  const Result<ModuleId> changed = add_module(text);
  ASSERT_TRUE(changed) << changed.error().message;
  store(y.get(), 1);
  EXPECT_EQ(y.read(), Words{42});
  remove_module(*changed);
  store(y.get(), 1);
  EXPECT_EQ(y.read(), Words{1});
  EXPECT_FALSE(add_module("what is this?"));
  // One that lacks some of what the object registered takes nothing over.
  const Result<ModuleId> part = add_module(".version 9.0\n.target sm_90\n.address_size 64\n");
  ASSERT_TRUE(part);
  store(y.get(), 2);
  EXPECT_EQ(y.read(), Words{2});
  remove_module(*part);
}

// --- processes -----------------------------------------------------------------------------------

TEST_F(CudaTest, AForkedChildHasNoDevice) {
  const DeviceWords before(1);
  const pid_t child = fork();
  ASSERT_NE(child, -1);
  if (child == 0) {
    int count = 0;
    _exit(cudaGetDeviceCount(&count) == cudaErrorInitializationError ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  int count = 0;
  EXPECT_CUDA(cudaGetDeviceCount(&count));
}

// Runs after everything that was registered with atexit() later, the runtime's own end too.
void check_at_exit() {
  if (std::getenv("CUDA_TEST_CHECKS_EXIT") == nullptr) return;
  void* pointer = nullptr;
  const cudaError_t error = cudaMalloc(&pointer, 1);
  std::_Exit(error == cudaErrorCudartUnloading ? 42 : 1);
}
[[gnu::constructor(101)]] void register_check() { std::atexit(check_at_exit); }

class CudaProcessTest : public testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
  void TearDown() override {
    unsetenv("CUDA_TEST_CHECKS_EXIT");
    unsetenv("COLOPHON_GPU_EMULATOR");
  }
};

// What nvcc's code does, by hand, for an object whose PTX nobody embedded; then it is, and cannot
// be read.
TEST_F(CudaProcessTest, AKernelWithoutAModuleCannotBeLaunched) {
  static const char host_function = 0;
  const auto launch = [] {
    power_cycle(settings_of(1));
    static char name[] = "kernel_of_no_module";
    void** const handle = __cudaRegisterFatBinary(nullptr);
    __cudaRegisterFunction(handle, &host_function, name, name, -1, nullptr, nullptr, nullptr,
                           nullptr, nullptr);
    __cudaRegisterFatBinaryEnd(handle);
    cudaKernel_t kernel = nullptr;
    EXPECT_EQ(__cudaGetKernel(&kernel, &kMiB), cudaErrorInvalidDeviceFunction);
    EXPECT_CUDA(__cudaGetKernel(&kernel, &host_function));
    const auto error_of_launch = [&] {
      return __cudaLaunchKernel(kernel, dim3(1), dim3(1), nullptr, 0, nullptr);
    };
    EXPECT_EQ(error_of_launch(), cudaErrorInvalidDeviceFunction);
    EXPECT_TRUE(found(Finding::Kind::kDeviceFault, "no module has all"));
    embed_module(
        ".version 9.0\n.target sm_90\n.address_size 64\n"
        ".visible .entry kernel_of_no_module() {\n\tnonsense.b32 %r1;\n}\n");
    EXPECT_EQ(error_of_launch(), cudaErrorInvalidPtx);
    EXPECT_TRUE(found(Finding::Kind::kDeviceFault, "nonsense"));
    // All others run as before.
    const DeviceWords y(counting(1));
    store(y.get(), 41);
    EXPECT_EQ(y.read(), Words{41});
    std::_Exit(testing::Test::HasFailure() ? 1 : 42);
  };
  EXPECT_EXIT(launch(), testing::ExitedWithCode(42), "");
}

TEST_F(CudaProcessTest, WhenTheProcessEndsTheRuntimeIsGone) {
  setenv("CUDA_TEST_CHECKS_EXIT", "1", 1);
  const auto leave_work_and_exit = [] {
    const DeviceWords x(counting(1000));
    OwnStream stream;
    axpy(1, x.get(), x.get(), 1000, stream);
    std::exit(0);
  };
  EXPECT_EXIT(leave_work_and_exit(), testing::ExitedWithCode(42), "");
}

TEST_F(CudaProcessTest, TheEnvironmentSetsTheDeviceUp) {
  setenv("COLOPHON_GPU_EMULATOR", "memory=64M,fault=cudaMalloc@2:cudaErrorMemoryAllocation", 1);
  const auto check = [] {
    std::size_t free = 0;
    std::size_t total = 0;
    void* pointer = nullptr;
    const bool right = cudaMemGetInfo(&free, &total) == cudaSuccess && total == 64 * kMiB &&
                       cudaMalloc(&pointer, 1) == cudaSuccess &&
                       cudaMalloc(&pointer, 1) == cudaErrorMemoryAllocation &&
                       cudaMalloc(&pointer, 1) == cudaSuccess;
    std::_Exit(right ? 42 : 1);
  };
  EXPECT_EXIT(check(), testing::ExitedWithCode(42), "");
}

TEST_F(CudaProcessTest, AnEnvironmentThatMakesNoSenseEndsTheProgram) {
  setenv("COLOPHON_GPU_EMULATOR", "memory=plenty", 1);
  EXPECT_EXIT(std::_Exit(0), testing::ExitedWithCode(2), "'memory=plenty' is no setting");
}

TEST_F(CudaProcessTest, FindingsArePrinted) {
  const auto misuse = [] {
    Settings settings = settings_of(1);
    settings.print = true;
    power_cycle(settings);
    (void)cudaFree(reinterpret_cast<void*>(16));
    std::_Exit(0);
  };
  EXPECT_EXIT(misuse(), testing::ExitedWithCode(0), "gpu_emulator: cudaFree: not the address");
}

}  // namespace
}  // namespace colophon::gpu_emulator::test
