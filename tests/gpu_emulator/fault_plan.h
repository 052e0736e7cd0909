// SPDX-License-Identifier: Apache-2.0
//
// Which calls and which work of the device meet a fault.
#pragma once

#include <driver_types.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/gpu_emulator/cuda_runtime.h"
#include "tests/gpu_emulator/seeded.h"

namespace colophon::gpu_emulator {

// The calls that are counted and can be made to fail: all but those that only read the last error,
// names and versions.
inline constexpr std::string_view kCalls[] = {
    "cudaDeviceGetAttribute",
    "cudaDeviceGetPCIBusId",
    "cudaDeviceGetStreamPriorityRange",
    "cudaDeviceReset",
    "cudaDeviceSynchronize",
    "cudaEventCreate",
    "cudaEventCreateWithFlags",
    "cudaEventDestroy",
    "cudaEventElapsedTime",
    "cudaEventQuery",
    "cudaEventRecord",
    "cudaEventSynchronize",
    "cudaFree",
    "cudaFreeAsync",
    "cudaFreeHost",
    "cudaFuncGetAttributes",
    "cudaFuncSetAttribute",
    "cudaGetDevice",
    "cudaGetDeviceCount",
    "cudaGetDeviceProperties",
    "cudaGetSymbolAddress",
    "cudaGraphDestroy",
    "cudaGraphExecDestroy",
    "cudaGraphInstantiate",
    "cudaGraphLaunch",
    "cudaGraphUpload",
    "cudaHostAlloc",
    "cudaHostRegister",
    "cudaHostUnregister",
    "cudaInitDevice",
    "cudaLaunchHostFunc",
    "cudaLaunchKernel",
    "cudaMalloc",
    "cudaMallocAsync",
    "cudaMallocHost",
    "cudaMemGetInfo",
    "cudaMemcpy",
    "cudaMemcpyAsync",
    "cudaMemcpyFromSymbol",
    "cudaMemcpyToSymbol",
    "cudaMemcpyToSymbolAsync",
    "cudaMemset",
    "cudaMemsetAsync",
    "cudaOccupancyMaxActiveBlocksPerMultiprocessor",
    "cudaSetDevice",
    "cudaStreamBeginCapture",
    "cudaStreamCreate",
    "cudaStreamCreateWithFlags",
    "cudaStreamCreateWithPriority",
    "cudaStreamDestroy",
    "cudaStreamEndCapture",
    "cudaStreamIsCapturing",
    "cudaStreamQuery",
    "cudaStreamSynchronize",
    "cudaStreamWaitEvent",
};

// A name out of kCalls, else it does not compile.
struct CallName {
  consteval CallName(const char* text) : name(text) {  // NOLINT: implicit
    if (std::ranges::find(kCalls, name) == std::end(kCalls)) throw "not in kCalls";
  }
  std::string_view name;
};

class FaultPlan {
 public:
  explicit FaultPlan(const Settings& settings);

  struct Met {
    cudaError_t error = cudaErrorUnknown;
    Effect effect = Effect::kFail;
    std::uint64_t lost_calls = 0;  // Effect::kLose
    std::string_view where = {};   // lives as long as the call
    std::uint64_t number = 0;
  };
  // Ends the program if the fault can never be met: a test would pass for nothing.
  void add(const Fault& fault);

  // Counts the call, or the run of "kernel", "copy", "set" or "host", and says what it would meet;
  // note() if it does.
  std::optional<Met> call(std::string_view name);
  std::optional<Met> run(std::string_view kind);
  void note(const Met& met);

  [[nodiscard]] std::uint64_t count(std::string_view where) const;
  [[nodiscard]] const std::vector<std::string>& met() const { return met_; }

 private:
  std::uint64_t counted(std::string_view where);
  std::optional<Met> planned(std::string_view where, std::uint64_t number, std::string_view any,
                             std::uint64_t any_number);
  std::optional<Met> by_chance(std::string_view where, bool is_run);

  std::vector<Fault> faults_;
  std::uint32_t chaos_;
  Seeded seeded_;
  std::map<std::string, std::uint64_t, std::less<>> counts_;
  std::vector<std::string> met_;
};

}  // namespace colophon::gpu_emulator
