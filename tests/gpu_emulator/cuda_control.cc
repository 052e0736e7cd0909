// SPDX-License-Identifier: Apache-2.0
//
// The control interface of cuda_runtime.h but for parse_settings().
#include <algorithm>
#include <utility>

#include "tests/gpu_emulator/context.h"
#include "tests/gpu_emulator/cuda_runtime.h"

namespace colophon::gpu_emulator {

void power_cycle(const Settings& settings) {
  Context& context = Context::get();
  Lock lock = context.lock();
  context.power_cycle(lock, settings);
}

void add_fault(const Fault& fault) {
  Context& context = Context::get();
  const Lock lock = context.lock();
  context.plan().add(fault);
}

std::vector<Finding> findings() { return Context::get().findings(); }

std::optional<std::string> last_device_fault() {
  std::vector<Finding> all = findings();
  const auto last =
      std::ranges::find(all.rbegin(), all.rend(), Finding::Kind::kDeviceFault, &Finding::kind);
  if (last == all.rend()) return std::nullopt;
  return std::move(last->text);
}

std::vector<std::string> faults_met() {
  Context& context = Context::get();
  const Lock lock = context.lock();
  return context.plan().met();
}

Holdings holdings() {
  Context& context = Context::get();
  const Lock lock = context.lock();
  return context.holdings();
}

std::uint64_t calls(std::string_view where) {
  Context& context = Context::get();
  const Lock lock = context.lock();
  return context.plan().count(where);
}

Result<ModuleId> add_module(std::string text) {
  Context& context = Context::get();
  const Lock lock = context.lock();
  return context.table().add_module(std::move(text));
}

void remove_module(ModuleId module) {
  Context& context = Context::get();
  Lock lock = context.lock();
  context.remove_module(lock, module);
}

bool embed_module(std::string_view text) {
  Context& context = Context::get();
  const Lock lock = context.lock();
  context.table().embed_module(text);
  return true;
}

std::vector<KernelStatistics> kernel_statistics() { return Context::get().statistics(); }

void clear_statistics() { Context::get().clear_statistics(); }

}  // namespace colophon::gpu_emulator
