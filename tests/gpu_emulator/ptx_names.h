// SPDX-License-Identifier: Apache-2.0
//
// Inside the PTX parser: what a name means where it stands. Names of a function live in nested
// scopes; inline assembly opens one and uses the same few names again and again.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tests/gpu_emulator/ptx_module.h"
#include "tests/gpu_emulator/ptx_syntax.h"

namespace colophon::gpu_emulator {

struct Name {
  enum class Kind : std::uint8_t { kRegister, kParam, kVariable, kFunction, kBranchTable };
  Kind kind = Kind::kRegister;
  std::uint32_t index = 0;
};

// A label used before its block is known.
struct LabelUse {
  std::string_view label;
  std::uint32_t scope = 0;
  std::uint32_t line = 0;
};

class Names {
 public:
  explicit Names(Module& module) : module_(module) {}

  // Of the module.
  [[nodiscard]] Result<void> declare_global(std::string_view name, Name meaning,
                                            std::uint32_t line);

  // Of a function, which must stay where it is until close_function(), as must names declared.
  void open_function(Function& function);
  void close_function();
  [[nodiscard]] Result<void> open_scope(std::uint32_t line);
  // False: it is the function's own that would be closed.
  [[nodiscard]] bool close_scope();
  [[nodiscard]] std::uint32_t scope() const { return scope_; }

  [[nodiscard]] Result<void> declare(std::string_view name, Name meaning, std::uint32_t line);
  // `prefix`<`count`>: prefix0, prefix1, …
  [[nodiscard]] Result<void> declare_registers(std::string_view prefix, Type type,
                                               std::uint64_t count, std::uint32_t line);
  [[nodiscard]] Result<void> declare_register(std::string_view name, Type type, std::uint32_t line);
  // Of a device function or a caller: with registers to hold it. Returns its index in params.
  [[nodiscard]] Result<std::uint32_t> add_param(const Param& param, std::uint32_t line);

  [[nodiscard]] std::optional<Name> find(std::string_view name) const;

  [[nodiscard]] Result<void> declare_label(std::string_view label, std::uint32_t block,
                                           std::uint32_t line);
  [[nodiscard]] std::optional<std::uint32_t> find_label(const LabelUse& use) const;

 private:
  struct Family {
    std::string_view prefix;
    std::uint32_t first = 0;  // register
    std::uint32_t count = 0;
  };
  struct Scope {
    std::unordered_map<std::string_view, Name> names;
    std::vector<Family> families;
    std::uint32_t parent = 0;
    std::uint32_t depth = 0;
  };
  [[nodiscard]] Result<std::uint32_t> add_registers(Type type, std::uint64_t count,
                                                    std::uint32_t line);

  Module& module_;
  std::unordered_map<std::string_view, Name> globals_;
  Function* function_ = nullptr;
  std::vector<Scope> scopes_;
  std::uint32_t scope_ = 0;
  std::map<std::pair<std::uint32_t, std::string_view>, std::uint32_t> labels_;
};

// Appends the statement to `function`. `labels`: its operands that are labels, by index of operand.
[[nodiscard]] Result<void> decode(const Statement& statement, const Names& names,
                                  const Module& module, Function& function,
                                  std::vector<std::pair<std::uint32_t, LabelUse>>& labels);

}  // namespace colophon::gpu_emulator
