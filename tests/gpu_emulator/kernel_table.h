// SPDX-License-Identifier: Apache-2.0
//
// What the objects of a program register before main(), and the modules their kernels run from.
//
// Not thread-safe: the context lets one thread in at a time.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "colophon/error.hpp"
#include "tests/gpu_emulator/cuda_runtime.h"
#include "tests/gpu_emulator/ptx_module.h"

namespace colophon::gpu_emulator {

// The code of one object: what it registers under one handle.
struct FatBinary {
  std::vector<std::string> names;  // of kernels and variables
};

struct Kernel {
  std::string name;
  const FatBinary* binary = nullptr;
  std::optional<std::uint32_t> dynamic_shared_max;  // from cudaFuncSetAttribute
};

struct Symbol {
  std::string name;
  const FatBinary* binary = nullptr;
};

struct LoadedText {
  ModuleId id = 0;
  std::shared_ptr<const Module> module;
};

class KernelTable {
 public:
  FatBinary* add_binary();
  // Forgets it and all that was registered with it.
  void remove_binary(const FatBinary* binary);
  void add_kernel(FatBinary* binary, const void* host_function, const char* name);
  void add_symbol(FatBinary* binary, const void* host_variable, const char* name);

  // Null: not registered.
  [[nodiscard]] Kernel* kernel(const void* host_function) const;
  [[nodiscard]] const Symbol* symbol(const void* host_variable) const;
  // cudaKernel_t is the address of a Kernel. Null: no such.
  [[nodiscard]] Kernel* from_handle(const void* handle) const;

  [[nodiscard]] Result<ModuleId> add_module(std::string text);
  void embed_module(std::string_view text);
  void remove_module(ModuleId module);

  // The module for what this binary registered. Errors: kNotFound (none has it all), or
  // parse_module's if there is an embedded text that cannot be read.
  [[nodiscard]] Result<LoadedText> find_module(const FatBinary& binary);
  // Rises whenever a module is added or removed.
  [[nodiscard]] ModuleId last_change() const { return last_change_; }

  void forget_attributes();  // set by cudaFuncSetAttribute

 private:
  struct Text {
    std::string_view unparsed;  // embedded, not yet needed
    ModuleId id = 0;
    std::shared_ptr<const Module> module;  // null: not parsed, or not to be parsed
    std::optional<Error> error;
  };
  void parse_embedded();

  std::vector<std::unique_ptr<FatBinary>> binaries_;
  std::unordered_map<const void*, std::unique_ptr<Kernel>> kernels_;  // by host function
  std::unordered_map<const void*, Symbol> symbols_;                   // by host variable
  std::vector<Text> texts_;
  ModuleId last_change_ = 0;
};

}  // namespace colophon::gpu_emulator
