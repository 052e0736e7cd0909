// SPDX-License-Identifier: Apache-2.0
//
// A device of the GPU emulator, for tests of kernels. What fails throws.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/gpu_emulator/device_memory.h"
#include "tests/gpu_emulator/ptx_executor.h"

namespace colophon::test {

using gpu_emulator::DevicePointer;

inline std::string file_text(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

class LaunchFailed : public std::runtime_error {
 public:
  explicit LaunchFailed(const gpu_emulator::LaunchFault& fault)
      : std::runtime_error(fault.message), kind_(fault.kind) {}
  [[nodiscard]] gpu_emulator::FaultKind kind() const { return kind_; }

 private:
  gpu_emulator::FaultKind kind_;
};

class WrongResult : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// --- an emulated GPU -----------------------------------------------------------------------------

// With one PTX module, and perhaps a second whose kernels are launched in place of the first's.
class Device {
 public:
  explicit Device(const std::string& ptx) : executor_(load(ptx)) {
    coverage_.emplace(executor_.module());
  }

  // From here on the kernels of `ptx` stand in for those of the same names.
  void replace(const std::string& ptx) {
    restore();
    replacement_.emplace(load(ptx));
  }
  void restore() { replacement_.reset(); }

  DevicePointer allocate(std::size_t bytes, const char* name) {
    auto at = memory_.allocate(bytes, name);
    if (!at) throw std::runtime_error(at.error().message);
    return *at;
  }
  template <class T>
  DevicePointer upload(const std::vector<T>& values, const char* name) {
    const DevicePointer at = allocate(values.size() * sizeof(T), name);
    write(at, values);
    return at;
  }
  template <class T>
  void write(DevicePointer at, const std::vector<T>& values) {
    check(memory_.write(at, values.data(), values.size() * sizeof(T)));
  }
  template <class T>
  std::vector<T> download(DevicePointer at, std::size_t count) {
    std::vector<T> values(count);
    check(memory_.read(values.data(), at, count * sizeof(T)));
    return values;
  }
  void zero(DevicePointer at, std::size_t bytes) { check(memory_.set(at, 0, bytes)); }
  void free(DevicePointer at) { check(memory_.free(at)); }
  // A kernel that writes there fails.
  void protect(DevicePointer at) { memory_.near(at)->read_only = true; }

  const gpu_emulator::Function& kernel(const std::string& name) const {
    const gpu_emulator::Function* const found = find(executor_, name);
    if (found == nullptr) throw std::runtime_error("no kernel " + name);
    return *found;
  }
  // As on a card: the arguments are copied at once.
  void launch(const std::string& name, std::uint32_t blocks, std::uint32_t threads,
              const std::vector<const void*>& arguments) {
    gpu_emulator::LaunchShape shape;
    shape.grid.x = blocks;
    shape.block.x = threads;
    const gpu_emulator::Function* const other = replacement_ ? find(*replacement_, name) : nullptr;
    const auto result = other != nullptr
                            ? replacement_->launch(*other, shape, arguments.data(), options_)
                            : executor_.launch(kernel(name), shape, arguments.data(), options_);
    if (other == nullptr) coverage_->add(result.statistics);
    longest_launch_ = std::max(longest_launch_, result.statistics.warp_instructions);
    if (result.fault) throw LaunchFailed(*result.fault);
  }

  gpu_emulator::LaunchOptions& options() { return options_; }
  // Instructions of warps, since asked last.
  std::uint64_t take_longest_launch() { return std::exchange(longest_launch_, 0); }
  [[nodiscard]] std::size_t blocks_missed(const std::string& name) const {
    const auto blocks = coverage_->blocks(kernel(name));
    return static_cast<std::size_t>(std::count_if(
        blocks.begin(), blocks.end(), [](const auto& block) { return block.count.threads == 0; }));
  }
  [[nodiscard]] std::string coverage(const std::string& name) const {
    return coverage_->report(kernel(name));
  }

 private:
  static void check(const Result<void>& result) {
    if (!result) throw std::runtime_error(result.error().message);
  }
  gpu_emulator::Executor load(const std::string& ptx) {
    auto module = gpu_emulator::parse_module(ptx);
    if (!module) throw std::runtime_error(module.error().message);
    auto executor = gpu_emulator::Executor::load(std::move(*module), memory_);
    if (!executor) throw std::runtime_error(executor.error().message);
    return std::move(*executor);
  }
  static const gpu_emulator::Function* find(const gpu_emulator::Executor& executor,
                                            const std::string& name) {
    const std::string mangled = "_ZN8colophon7kernels" + std::to_string(name.size()) + name;
    for (const gpu_emulator::Function& function : executor.module().functions) {
      if (function.name == name || function.name.starts_with(mangled)) return &function;
    }
    return nullptr;
  }

  gpu_emulator::DeviceMemory memory_;
  gpu_emulator::Executor executor_;
  std::optional<gpu_emulator::Executor> replacement_;
  std::optional<gpu_emulator::Coverage> coverage_;
  gpu_emulator::LaunchOptions options_;
  std::uint64_t longest_launch_ = 0;
};

// Freed at the end of its scope.
class DeviceBuffer {
 public:
  DeviceBuffer(Device& device, DevicePointer at) : device_(device), at_(at) {}
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;
  ~DeviceBuffer() { device_.free(at_); }

  [[nodiscard]] DevicePointer at() const { return at_; }
  template <class T>
  [[nodiscard]] T* as() const {
    return reinterpret_cast<T*>(at_);
  }

 private:
  Device& device_;
  DevicePointer at_;
};

}  // namespace colophon::test
