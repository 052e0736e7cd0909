// SPDX-License-Identifier: Apache-2.0
#include "tests/gpu_emulator/kernel_table.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace colophon::gpu_emulator {
namespace {

bool has(const Module& module, std::string_view name) {
  const auto named = [&](const auto& thing) { return thing.name == name && thing.defined; };
  return std::ranges::any_of(module.functions, named) ||
         std::ranges::any_of(module.variables, named);
}

}  // namespace

FatBinary* KernelTable::add_binary() {
  return binaries_.emplace_back(std::make_unique<FatBinary>()).get();
}

void KernelTable::remove_binary(const FatBinary* binary) {
  std::erase_if(kernels_, [&](const auto& entry) { return entry.second->binary == binary; });
  std::erase_if(symbols_, [&](const auto& entry) { return entry.second.binary == binary; });
  std::erase_if(binaries_, [&](const auto& entry) { return entry.get() == binary; });
}

void KernelTable::add_kernel(FatBinary* binary, const void* host_function, const char* name) {
  binary->names.emplace_back(name);
  auto kernel = std::make_unique<Kernel>();
  kernel->name = name;
  kernel->binary = binary;
  kernels_[host_function] = std::move(kernel);
}

void KernelTable::add_symbol(FatBinary* binary, const void* host_variable, const char* name) {
  binary->names.emplace_back(name);
  symbols_[host_variable] = {.name = name, .binary = binary};
}

Kernel* KernelTable::kernel(const void* host_function) const {
  const auto found = kernels_.find(host_function);
  return found == kernels_.end() ? nullptr : found->second.get();
}

const Symbol* KernelTable::symbol(const void* host_variable) const {
  const auto found = symbols_.find(host_variable);
  return found == symbols_.end() ? nullptr : &found->second;
}

Kernel* KernelTable::from_handle(const void* handle) const {
  for (const auto& [host_function, kernel] : kernels_) {
    if (kernel.get() == handle) return kernel.get();
  }
  return nullptr;
}

Result<ModuleId> KernelTable::add_module(std::string text) {
  COLOPHON_TRY_ASSIGN(Module module, parse_module(text));
  Text& added = texts_.emplace_back();
  added.id = ++last_change_;
  added.module = std::make_shared<const Module>(std::move(module));
  return added.id;
}

void KernelTable::embed_module(std::string_view text) { texts_.emplace_back().unparsed = text; }

void KernelTable::remove_module(ModuleId module) {
  std::erase_if(texts_, [&](const Text& text) { return text.id == module; });
  ++last_change_;
}

void KernelTable::parse_embedded() {
  for (Text& text : texts_) {
    if (text.module || text.error) continue;
    Result<Module> module = parse_module(text.unparsed);
    text.id = ++last_change_;
    if (module) {
      text.module = std::make_shared<const Module>(std::move(module).value());
    } else {
      text.error = std::move(module).error();
    }
  }
}

Result<LoadedText> KernelTable::find_module(const FatBinary& binary) {
  parse_embedded();
  for (auto text = texts_.rbegin(); text != texts_.rend(); ++text) {
    const auto has_it = [&](const std::string& name) { return has(*text->module, name); };
    if (text->module && std::ranges::all_of(binary.names, has_it)) {
      return LoadedText{text->id, text->module};
    }
  }
  for (const Text& text : texts_) {
    if (text.error) return *text.error;
  }
  return make_error(ErrorCode::kNotFound,
                    "no module has all that an object registered: " +
                        (binary.names.empty() ? std::string("nothing") : binary.names.front()) +
                        " and " + std::to_string(binary.names.size()) + " names in all");
}

void KernelTable::forget_attributes() {
  for (auto& [host_function, kernel] : kernels_) {
    kernel->dynamic_shared_max.reset();
  }
}

}  // namespace colophon::gpu_emulator
