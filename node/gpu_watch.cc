// SPDX-License-Identifier: Apache-2.0
#include "node/gpu_watch.h"

#include <optional>
#include <string>
#include <utility>

namespace colophon::node {
namespace {

std::string name_of(const DeviceInfo& device) {
  return "GPU " + std::to_string(device.index) + " (" + device.name + ")";
}

}  // namespace

GpuWatch::GpuWatch(const Backend& backend,
                   std::function<void(std::string_view level, std::string_view message)> log)
    : backend_(backend), log_(std::move(log)) {
  if (const std::optional<DeviceInfo> device = backend_.device()) {
    told_in_use_ = device->in_use;
    told_faults_ = device->faults;
  }
}

void GpuWatch::look() {
  if (!log_) return;
  const std::scoped_lock guard(mutex_);
  const std::optional<DeviceInfo> device = backend_.device();
  if (!device) return;
  if (device->faults > told_faults_) {
    std::string line = name_of(*device) + " failed: " + device->last_fault;
    if (const std::uint64_t missed = device->faults - told_faults_ - 1; missed != 0) {
      line += " (and " + std::to_string(missed) + " times before that)";
    }
    line += "; the CPU verifies in its place until it can be used again";
    log_("WARN", line);
    told_faults_ = device->faults;
    told_in_use_ = false;
  }
  if (device->in_use && !told_in_use_) {
    log_("INFO", name_of(*device) + " is in use again");
    told_in_use_ = true;
  }
}

}  // namespace colophon::node
