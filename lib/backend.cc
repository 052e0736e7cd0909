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

Result<const BackendImplementation*> choose_built_in(std::string_view name) {
  const std::optional<int> device = device_of(name);
#if COLOPHON_CUDA
  if (device == 0) name = kCuda;
  if (device.value_or(0) != 0) return gpu_backends(*device).choose(name);
#else
  if (device || name == kCuda) {
    return make_error(
        ErrorCode::kUnsupported,
        "backend '" + std::string(name) +
            "' is not part of this build: no CUDA compiler was found when it was made",
        kField);
  }
#endif
  return built_in_backends().choose(name);
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

Result<const BackendImplementation*> BackendList::choose(std::string_view name) const {
  if (name == kAuto) {
    if (const Entry* entry = best()) return entry->implementation;
    std::string reasons;
    for (const auto& entry : entries_) reasons += "; " + fault_of(*entry)->message;
    return make_error(ErrorCode::kInternal, "no backend can be used" + reasons, kField);
  }
  std::string names(kAuto);
  for (const auto& entry : entries_) {
    if (entry->implementation->name() == name) {
      if (const auto& fault = fault_of(*entry)) return *fault;
      return entry->implementation;
    }
    names += ", ";
    names += entry->implementation->name();
  }
  return make_error(ErrorCode::kInvalidArgument,
                    "there is no backend '" + std::string(name) + "'; choose one of: " + names,
                    kField);
}

std::vector<BackendInfo> BackendList::list() const {
  std::vector<BackendInfo> infos;
  const Entry* chosen = best();
  for (const auto& entry : entries_) {
    const auto& fault = fault_of(*entry);
    BackendInfo info;
    info.name = entry->implementation->name();
    info.description = entry->implementation->description();
    info.supported = !fault || fault->code != ErrorCode::kUnsupported;
    info.self_test_passed = !fault;
    info.chosen_by_auto = entry.get() == chosen;
    info.tables = entry->implementation->table_memory();
    info.device = entry->implementation->device();
    if (fault) info.reason = fault->message;
    infos.push_back(std::move(info));
  }
  return infos;
}

Result<Backend> Backend::choose(std::string_view name) {
  const std::string variable(kBackendVariable);
  const char* const from_environment = name.empty() ? std::getenv(variable.c_str()) : nullptr;
  if (from_environment != nullptr) name = from_environment;
  auto implementation = choose_built_in(name.empty() ? kAuto : name);
  if (implementation) return Backend(**implementation);
  Error error = std::move(implementation).error();
  if (!name.empty() && from_environment != nullptr) {
    error.message = variable + ": " + error.message;
    error.field = variable;
  }
  return error;
}

std::string_view Backend::name() const noexcept { return impl_->name(); }

Result<void> Backend::set_table_memory_max(std::size_t bytes) const {
  if (bytes < kTableMemoryMin) {
    return make_error(ErrorCode::kInvalidArgument,
                      "table_memory is " + std::to_string(bytes) + " bytes, must be at least " +
                          std::to_string(kTableMemoryMin),
                      "table_memory");
  }
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
