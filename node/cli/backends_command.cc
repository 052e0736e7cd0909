// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "colophon/backend.hpp"
#include "node/cli/command.h"

namespace colophon::cli {
namespace {

void print_device(const DeviceInfo& device) {
  std::cout << "    GPU " << device.index << ": " << printable(device.name)
            << ", compute capability " << device.compute_capability << ", driver for CUDA "
            << device.driver << ", " << device.memory_free << " of " << device.memory_bytes
            << " bytes were free, low latency up to " << device.low_latency_max
            << " signatures\n    " << (device.in_use ? "in use" : "not in use")
            << "; signatures: " << device.signatures << " on it, " << device.signatures_on_cpu
            << " on the CPU in its place; faults: " << device.faults;
  if (device.faults != 0) std::cout << ", the last: " << printable(device.last_fault);
  std::cout << '\n';
}

void print_text(const std::vector<BackendInfo>& infos) {
  for (const BackendInfo& info : infos) {
    std::cout << (info.chosen_by_auto ? "* " : "  ") << info.name << "  " << info.description;
    if (!info.self_test_passed) {
      std::cout << "\n    " << info.reason << '\n';
    } else {
      std::cout << ", self-test passed\n";
    }
    if (info.device && !info.device->name.empty()) print_device(*info.device);
    if (!info.self_test_passed) continue;
    std::cout << "    hashing: " << info.hashing << '\n';
    const TableMemory& tables = info.tables;
    if (tables.bytes_max == 0) {
      std::cout << "    keeps no tables of keys\n";
    } else {
      std::cout << "    tables of keys: " << tables.tables << ", " << tables.bytes << " of at most "
                << tables.bytes_max << " bytes\n";
    }
  }
  std::cout << "* is what COLOPHON_BACKEND=auto, the default, chooses\n";
}

nlohmann::ordered_json device_json(const std::optional<DeviceInfo>& device) {
  if (!device) return nullptr;
  return {{"index", device->index},
          {"name", device->name},
          {"compute_capability", device->compute_capability},
          {"driver", device->driver},
          {"memory_bytes", device->memory_bytes},
          {"memory_free", device->memory_free},
          {"low_latency_max", device->low_latency_max},
          {"in_use", device->in_use},
          {"signatures", device->signatures},
          {"signatures_on_cpu", device->signatures_on_cpu},
          {"faults", device->faults},
          {"last_fault", device->last_fault}};
}

void print_infos_json(const std::vector<BackendInfo>& infos) {
  nlohmann::ordered_json array = nlohmann::ordered_json::array();
  for (const BackendInfo& info : infos) {
    array.push_back({{"name", info.name},
                     {"description", info.description},
                     {"supported", info.supported},
                     {"self_test_passed", info.self_test_passed},
                     {"chosen_by_auto", info.chosen_by_auto},
                     {"reason", info.reason},
                     {"hashing", info.hashing},
                     {"table_memory",
                      {{"bytes", info.tables.bytes},
                       {"bytes_max", info.tables.bytes_max},
                       {"tables", info.tables.tables}}},
                     {"device", device_json(info.device)}});
  }
  std::cout << array.dump(2) << '\n';
}

}  // namespace

void add_backends_command(CLI::App& app, int& exit_code) {
  auto json = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand(
      "backends", "List what can verify and hash on this machine, each after its self-test");
  command->add_flag("--json", *json, "Print a JSON array");
  command->footer(
      "\nExit status: 0, or 3 if COLOPHON_BACKEND or auto finds no backend that can be used; 2 if "
      "COLOPHON_BACKEND names none");
  command->callback([json, &exit_code] {
    const std::vector<BackendInfo> infos = list_backends();
    *json ? print_infos_json(infos) : print_text(infos);
    const Result<Backend> chosen = Backend::choose();
    exit_code = chosen ? kExitOk : report(chosen.error());
  });
}

}  // namespace colophon::cli
