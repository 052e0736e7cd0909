// SPDX-License-Identifier: Apache-2.0
#include "tests/gpu_emulator/ptx_names.h"

#include <algorithm>

namespace colophon::gpu_emulator {
namespace {

Error declared_twice(std::string_view name, std::uint32_t line) {
  return line_error(line, "'" + std::string(name) + "' is declared a second time");
}

}  // namespace

Result<void> Names::declare_global(std::string_view name, Name meaning, std::uint32_t line) {
  if (!globals_.emplace(name, meaning).second) return declared_twice(name, line);
  return {};
}

void Names::open_function(Function& function) {
  function_ = &function;
  scopes_.clear();
  scopes_.emplace_back();
  scope_ = 0;
  labels_.clear();
}

void Names::close_function() {
  function_ = nullptr;
  scopes_.clear();
  labels_.clear();
}

Result<void> Names::open_scope(std::uint32_t line) {
  if (scopes_[scope_].depth == kScopesMax) {
    return line_error(line, "scopes nested more than " + std::to_string(kScopesMax) + " deep",
                      ErrorCode::kLimitExceeded);
  }
  Scope scope;
  scope.parent = scope_;
  scope.depth = scopes_[scope_].depth + 1;
  scope_ = static_cast<std::uint32_t>(scopes_.size());
  scopes_.push_back(std::move(scope));
  return {};
}

bool Names::close_scope() {
  if (scope_ == 0) return false;
  // Its labels may still be used from inside; its other names are done with.
  Scope& scope = scopes_[scope_];
  scope.names = {};
  scope.families = {};
  scope_ = scope.parent;
  return true;
}

Result<void> Names::declare(std::string_view name, Name meaning, std::uint32_t line) {
  if (!scopes_[scope_].names.emplace(name, meaning).second) return declared_twice(name, line);
  return {};
}

Result<std::uint32_t> Names::add_registers(Type type, std::uint64_t count, std::uint32_t line) {
  std::vector<Type>& registers = function_->registers;
  if (count > kRegistersMax - registers.size()) {
    return line_error(line, "more than " + std::to_string(kRegistersMax) + " registers",
                      ErrorCode::kLimitExceeded);
  }
  const auto first = static_cast<std::uint32_t>(registers.size());
  registers.insert(registers.end(), count, type);
  return first;
}

Result<void> Names::declare_registers(std::string_view prefix, Type type, std::uint64_t count,
                                      std::uint32_t line) {
  std::vector<Family>& families = scopes_[scope_].families;
  for (const Family& family : families) {
    if (family.prefix == prefix) return declared_twice(prefix, line);
  }
  if (families.size() == kScopesMax) {
    return line_error(line, "too many kinds of registers in one scope", ErrorCode::kLimitExceeded);
  }
  COLOPHON_TRY_ASSIGN(const std::uint32_t first, add_registers(type, count, line));
  families.push_back({prefix, first, static_cast<std::uint32_t>(count)});
  return {};
}

Result<void> Names::declare_register(std::string_view name, Type type, std::uint32_t line) {
  COLOPHON_TRY_ASSIGN(const std::uint32_t index, add_registers(type, 1, line));
  return declare(name, {Name::Kind::kRegister, index}, line);
}

Result<std::uint32_t> Names::add_param(const Param& param, std::uint32_t line) {
  if (function_->params.size() == kParamVariablesMax) {
    return line_error(line, "more than " + std::to_string(kParamVariablesMax) + " .param variables",
                      ErrorCode::kLimitExceeded);
  }
  Param added = param;
  COLOPHON_TRY_ASSIGN(added.first_register, add_registers(Type::kB32, (param.bytes + 3) / 4, line));
  function_->params.push_back(std::move(added));
  return static_cast<std::uint32_t>(function_->params.size() - 1);
}

std::optional<Name> Names::find(std::string_view name) const {
  // The number at the end of a register's name, without leading zeros.
  std::size_t digits = 0;
  while (digits < name.size() && digits < 8 && name[name.size() - 1 - digits] >= '0' &&
         name[name.size() - 1 - digits] <= '9') {
    ++digits;
  }
  std::string_view prefix = name.substr(0, name.size() - digits);
  std::uint32_t number = 0;
  for (const char c : name.substr(prefix.size())) number = 10 * number + (c - '0');
  const bool numbered = digits == 1 || (digits > 1 && name[prefix.size()] != '0');
  for (std::uint32_t at = scope_; function_ != nullptr; at = scopes_[at].parent) {
    const Scope& scope = scopes_[at];
    if (const auto found = scope.names.find(name); found != scope.names.end()) {
      return found->second;
    }
    if (numbered) {
      for (const Family& family : scope.families) {
        if (family.prefix == prefix && number < family.count) {
          return Name{Name::Kind::kRegister, family.first + number};
        }
      }
    }
    if (at == 0) break;
  }
  const auto found = globals_.find(name);
  return found == globals_.end() ? std::nullopt : std::optional(found->second);
}

Result<void> Names::declare_label(std::string_view label, std::uint32_t block, std::uint32_t line) {
  if (!labels_.emplace(std::pair{scope_, label}, block).second) return declared_twice(label, line);
  return {};
}

std::optional<std::uint32_t> Names::find_label(const LabelUse& use) const {
  for (std::uint32_t at = use.scope;; at = scopes_[at].parent) {
    if (const auto found = labels_.find({at, use.label}); found != labels_.end()) {
      return found->second;
    }
    if (at == 0) return std::nullopt;
  }
}

}  // namespace colophon::gpu_emulator
