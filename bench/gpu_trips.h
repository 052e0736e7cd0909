// SPDX-License-Identifier: Apache-2.0
//
// Inside of colophon_gpu_trips: the emulated GPU, which prints how often each basic block ran.
#pragma once

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/gpu_emulator/device_memory.h"
#include "tests/gpu_emulator/ptx_executor.h"

namespace colophon::bench {

using gpu_emulator::DevicePointer;
using gpu_emulator::Function;

template <class T>
T value_of(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(*result);
}
inline void check(const Result<void>& result) {
  if (!result) throw std::runtime_error(result.error().message);
}

class Gpu {
 public:
  explicit Gpu(const char* ptx_path) {
    std::ifstream in(ptx_path);
    if (!in) throw std::runtime_error(std::string("cannot read ") + ptx_path);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    executor_.emplace(value_of(
        gpu_emulator::Executor::load(value_of(gpu_emulator::parse_module(text)), memory_)));
  }

  template <class T>
  T* upload(const T* values, std::size_t count) {
    T* const at = allocate<T>(count);
    check(memory_.write(reinterpret_cast<DevicePointer>(at), values, count * sizeof(T)));
    return at;
  }
  template <class T>
  T* allocate(std::size_t count) {
    return reinterpret_cast<T*>(value_of(memory_.allocate(count * sizeof(T))));
  }
  template <class T>
  std::vector<T> download(const T* at, std::size_t count) {
    std::vector<T> values(count);
    check(memory_.read(values.data(), reinterpret_cast<DevicePointer>(at), count * sizeof(T)));
    return values;
  }

  // A launch that does `units` of what the job counts.
  void run(const std::string& job, const std::string& name, std::uint32_t units,
           std::uint32_t blocks, std::uint32_t threads, const void* argument) {
    const std::string mangled = "_ZN8colophon7kernels" + std::to_string(name.size()) + name;
    const auto& functions = executor_->module().functions;
    const auto kernel = std::find_if(functions.begin(), functions.end(), [&](const Function& one) {
      return one.is_entry && one.name.starts_with(mangled);
    });
    if (kernel == functions.end()) throw std::runtime_error("no kernel " + name);
    gpu_emulator::LaunchShape shape;
    shape.grid.x = blocks;
    shape.block.x = threads;
    const auto result = executor_->launch(*kernel, shape, &argument);
    if (result.fault) throw std::runtime_error(result.fault->message);
    std::printf("job %s %s %u %u %u\n", job.c_str(), name.c_str(), units, blocks, threads);
    for (std::size_t f = 0; f < functions.size(); ++f) {
      const auto& counts = result.statistics.blocks[f];
      for (std::size_t b = 0; b < counts.size(); ++b) {
        const auto& block = functions[f].blocks[b];
        if (counts[b].warps == 0) continue;
        std::printf("block %u %u %llu\n", block.line, functions[f].instructions[block.end - 1].line,
                    static_cast<unsigned long long>(counts[b].warps));
      }
    }
  }

 private:
  gpu_emulator::DeviceMemory memory_;
  std::optional<gpu_emulator::Executor> executor_;
};

void run_hash_jobs(const char* hash_ptx_path, const char* merkle_ptx_path);

}  // namespace colophon::bench
