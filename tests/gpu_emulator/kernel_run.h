// SPDX-License-Identifier: Apache-2.0
//
// For tests: a kernel of a PTX text with memory of its own, run in one line.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/gpu_emulator/device_memory.h"
#include "tests/gpu_emulator/ptx_executor.h"
#include "tests/gpu_emulator/ptx_module.h"

namespace colophon::gpu_emulator {

inline std::string ptx_header() { return ".version 9.0\n.target sm_90\n.address_size 64\n"; }

// A kernel "k" with one pointer, %out, to global memory; registers %r0… %rd0… %p0… %h0… (16 bits).
// `%out` is set; the body need not return. `before`: of the module.
inline std::string kernel_text(const std::string& body, const std::string& before = {}) {
  return ptx_header() + before +
         ".visible .entry k(.param .u64 k_out)\n{\n"
         ".reg .b16 %h<16>; .reg .b32 %r<32>; .reg .b64 %rd<32>; .reg .pred %p<16>;\n"
         ".reg .b64 %out;\nld.param.u64 %out, [k_out];\n" +
         body + "\nret;\n}\n";
}

class KernelRun {
 public:
  explicit KernelRun(const std::string& text) {
    auto module = parse_module(text);
    if (!module) {
      ADD_FAILURE() << module.error().message << "\n" << text;
      return;
    }
    auto executor = Executor::load(std::move(*module), memory);
    if (!executor) {
      ADD_FAILURE() << executor.error().message << "\n" << text;
      return;
    }
    executor_.emplace(std::move(*executor));
    shape.block.x = 32;
  }

  // Kernel "k" with `%out` at memory of these words (none: never written).
  LaunchResult run(const std::vector<std::uint32_t>& words) {
    allocate(words.size() * 4);
    EXPECT_TRUE(memory.write(out, words.data(), words.size() * 4));
    return run();
  }
  void allocate(std::size_t bytes) {
    if (out != 0) {
      EXPECT_TRUE(memory.free(out));
    }
    const auto base = memory.allocate(bytes, "out");
    ASSERT_TRUE(base);
    out = *base;
    out_bytes = bytes;
  }
  LaunchResult run() {
    if (!executor_) return LaunchResult{LaunchFault{}, {}};
    const void* const arguments[] = {&out};
    const Function* const entry = executor_->entry("k");
    if (entry == nullptr) {
      ADD_FAILURE() << "no kernel k";
      return LaunchResult{LaunchFault{}, {}};
    }
    return executor_->launch(*entry, shape, arguments, options);
  }
  [[nodiscard]] std::vector<std::uint32_t> words() const {
    std::vector<std::uint32_t> words(out_bytes / 4);
    EXPECT_TRUE(memory.read(words.data(), out, out_bytes, Unwritten::kAllow));
    return words;
  }
  Executor& executor() { return *executor_; }

  DeviceMemory memory;
  LaunchShape shape;
  LaunchOptions options;
  DevicePointer out = 0;
  std::size_t out_bytes = 0;

 private:
  std::optional<Executor> executor_;
};

// The kind of fault, or none, as text for EXPECT_EQ.
inline std::string outcome(const LaunchResult& result) {
  return result.fault ? std::string(fault_name(result.fault->kind)) : "done";
}

// The line of the first place in a text where `part` stands.
inline std::uint32_t line_of(const std::string& text, const std::string& part) {
  const std::size_t at = text.find(part);
  if (at == std::string::npos) return 0;
  return 1 + static_cast<std::uint32_t>(
                 std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
}

}  // namespace colophon::gpu_emulator
