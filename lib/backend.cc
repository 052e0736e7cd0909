// SPDX-License-Identifier: Apache-2.0
#include "colophon/backend.hpp"

#include <charconv>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "backend_implementation.h"
#if COLOPHON_CUDA
#include "cuda_session.h"
#endif

namespace colophon {
namespace {

constexpr std::string_view kAuto = "auto";
constexpr const char* kField = "backend";

constexpr std::string_view kCuda = "cuda";

const BackendList& built_in_backends() {
  static const BackendList list({
#if COLOPHON_CUDA
    &cuda_backend(0),
#endif
#if COLOPHON_AVX512
        &avx512_backend(),
#endif
        &portable_backend(), &openssl_backend(),
  });
  return list;
}

#if COLOPHON_CUDA
// The list of one GPU other than the first.
const BackendList& gpu_backends(int device) {
  static std::mutex mutex;
  static std::map<int, std::unique_ptr<const BackendList>> lists;
  const std::scoped_lock guard(mutex);
  auto& list = lists[device];
  if (!list) list = std::make_unique<const BackendList>(std::vector{&cuda_backend(device)});
  return *list;
}
#endif

// The index in "cuda:1"; none: it has not that form.
std::optional<int> device_of(std::string_view name) {
  constexpr std::size_t kDigitsMax = 2;
  const std::string prefix = std::string(kCuda) + ":";
  if (!name.starts_with(prefix)) return std::nullopt;
  const std::string_view digits = name.substr(prefix.size());
  int device = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), device);
  if (digits.size() > kDigitsMax || error != std::errc() || end != digits.data() + digits.size() ||
      device < 0 || (digits.size() > 1 && digits.front() == '0')) {
    return std::nullopt;
  }
  return device;
}

Result<const BackendImplementation*> choose_built_in(std::string_view name,
                                                     std::size_t table_memory,
                                                     std::vector<BackendInfo>* passed_over) {
  const std::optional<int> device = device_of(name);
#if COLOPHON_CUDA
  if (device == 0) name = kCuda;
  if (device.value_or(0) != 0) return gpu_backends(*device).choose(name, table_memory);
#else
  if (device || name == kCuda) {
    return make_error(
        ErrorCode::kUnsupported,
        "backend '" + std::string(name) +
            "' is not part of this build: no CUDA compiler was found when it was made",
        kField);
  }
#endif
  return built_in_backends().choose(name, table_memory, passed_over);
}

Result<void> check_table_memory(std::size_t bytes) {
  if (bytes >= kTableMemoryMin) return {};
  return make_error(ErrorCode::kInvalidArgument,
                    "table_memory is " + std::to_string(bytes) + " bytes, must be at least " +
                        std::to_string(kTableMemoryMin),
                    "table_memory");
}

// Where nobody installed a driver, nobody wonders that there is no GPU.
void forget_missing_gpu([[maybe_unused]] BackendInfo& info) {
#if COLOPHON_CUDA
  int driver = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) info.device.reset();
#endif
}

}  // namespace

BackendList::BackendList(const std::vector<const BackendImplementation*>& implementations) {
  for (const BackendImplementation* implementation : implementations) {
    entries_.push_back(std::make_unique<Entry>());
    entries_.back()->implementation = implementation;
  }
}

const std::optional<Error>& BackendList::fault_of(const Entry& entry) {
  std::call_once(entry.tested, [&entry] {
    const BackendImplementation& implementation = *entry.implementation;
    const std::string name(implementation.name());
    if (std::string reason = implementation.unsupported_reason(); !reason.empty()) {
      entry.fault =
          make_error(ErrorCode::kUnsupported,
                     "backend '" + name + "' cannot run on this machine: " + reason, kField);
    } else if (Result<void> test = run_self_test(implementation); !test) {
      entry.fault = make_error(
          ErrorCode::kInternal,
          "backend '" + name + "' failed its self-test and is not used: " + test.error().message,
          kField);
    } else if (const auto device = implementation.device(); device && device->faults != 0) {
      // The verdicts were right, but not the device's.
      entry.fault = make_error(
          ErrorCode::kUnavailable,
          "backend '" + name + "' failed in its self-test and is not used: " + device->last_fault,
          kField);
    }
  });
  return entry.fault;
}

const BackendList::Entry* BackendList::best() const {
  for (const auto& entry : entries_) {
    if (!fault_of(*entry)) return entry.get();
  }
  return nullptr;
}

Result<const BackendImplementation*> BackendList::choose(
    std::string_view name, std::size_t table_memory, std::vector<BackendInfo>* passed_over) const {
  const auto usable = [&](const Entry& entry) -> Result<const BackendImplementation*> {
    if (const auto& fault = fault_of(entry)) return *fault;
    if (table_memory != 0) COLOPHON_TRY(entry.implementation->set_table_memory_max(table_memory));
    return entry.implementation;
  };
  if (name == kAuto) {
    std::string reasons;
    for (const auto& entry : entries_) {
      auto chosen = usable(*entry);
      if (chosen) return chosen;
      reasons += "; " + chosen.error().message;
      if (passed_over == nullptr) continue;
      passed_over->push_back(info_of(*entry));
      passed_over->back().reason = chosen.error().message;
    }
    return make_error(ErrorCode::kInternal, "no backend can be used" + reasons, kField);
  }
  std::string names(kAuto);
  for (const auto& entry : entries_) {
    if (entry->implementation->name() == name) {
      return usable(*entry);
    }
    names += ", ";
    names += entry->implementation->name();
  }
  return make_error(ErrorCode::kInvalidArgument,
                    "there is no backend '" + std::string(name) + "'; choose one of: " + names,
                    kField);
}

BackendInfo BackendList::info_of(const Entry& entry) {
  const auto& fault = fault_of(entry);
  BackendInfo info;
  info.name = entry.implementation->name();
  info.description = entry.implementation->description();
  info.supported = !fault || fault->code != ErrorCode::kUnsupported;
  info.self_test_passed = !fault;
  info.tables = entry.implementation->table_memory();
  info.device = entry.implementation->device();
  if (info.device) forget_missing_gpu(info);
  if (fault) {
    info.reason = fault->message;
  } else {
    info.hashing = entry.implementation->hashing();
  }
  return info;
}

std::vector<BackendInfo> BackendList::list() const {
  std::vector<BackendInfo> infos;
  const Entry* chosen = best();
  for (const auto& entry : entries_) {
    infos.push_back(info_of(*entry));
    infos.back().chosen_by_auto = entry.get() == chosen;
  }
  return infos;
}

Result<Backend> Backend::choose(std::string_view name) {
  COLOPHON_TRY_ASSIGN(const BackendChoice choice, choose(name, 0));
  return choice.backend;
}

Result<BackendChoice> Backend::choose(std::string_view name, std::size_t table_memory) {
  if (table_memory != 0) COLOPHON_TRY(check_table_memory(table_memory));
  const std::string variable(kBackendVariable);
  const char* const from_environment = name.empty() ? std::getenv(variable.c_str()) : nullptr;
  if (from_environment != nullptr) name = from_environment;
  const bool by_auto = name.empty() || name == kAuto;
  std::vector<BackendInfo> passed_over;
  auto implementation =
      choose_built_in(by_auto ? kAuto : name, table_memory, by_auto ? &passed_over : nullptr);
  if (implementation) {
    return BackendChoice{Backend(**implementation), by_auto, std::move(passed_over)};
  }
  Error error = std::move(implementation).error();
  if (!name.empty() && from_environment != nullptr && error.field == kField) {
    error.message = variable + ": " + error.message;
    error.field = variable;
  }
  return error;
}

std::string_view Backend::name() const noexcept { return impl_->name(); }

Result<void> Backend::set_table_memory_max(std::size_t bytes) const {
  COLOPHON_TRY(check_table_memory(bytes));
  return impl_->set_table_memory_max(bytes);
}

TableMemory Backend::table_memory() const { return impl_->table_memory(); }

std::optional<DeviceInfo> Backend::device() const { return impl_->device(); }

std::vector<BackendInfo> list_backends() {
  std::vector<BackendInfo> infos = built_in_backends().list();
#if COLOPHON_CUDA
  for (int device = 1; device < CudaSession::device_count(); ++device) {
    BackendInfo info = gpu_backends(device).list().front();
    info.chosen_by_auto = false;
    infos.insert(infos.begin() + device, std::move(info));
  }
#endif
  return infos;
}

const BackendImplementation& best_cpu_backend() {
  for (const char* name : {"avx512", "portable"}) {
    if (const auto backend = built_in_backends().choose(name)) return **backend;
  }
  return openssl_backend();
}

}  // namespace colophon
