// SPDX-License-Identifier: Apache-2.0
#include "colophon/backend.hpp"

#include <cstdlib>
#include <string>
#include <utility>

#include "backend_implementation.h"

namespace colophon {
namespace {

constexpr std::string_view kAuto = "auto";
constexpr const char* kField = "backend";

const BackendList& built_in_backends() {
  static const BackendList list({
#if COLOPHON_AVX512
    &avx512_backend(),
#endif
        &portable_backend(), &openssl_backend(),
  });
  return list;
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
    if (fault) info.reason = fault->message;
    infos.push_back(std::move(info));
  }
  return infos;
}

Result<Backend> Backend::choose(std::string_view name) {
  const std::string variable(kBackendVariable);
  const char* const from_environment = name.empty() ? std::getenv(variable.c_str()) : nullptr;
  if (from_environment != nullptr) name = from_environment;
  auto implementation = built_in_backends().choose(name.empty() ? kAuto : name);
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
  impl_->set_table_memory_max(bytes);
  return {};
}

TableMemory Backend::table_memory() const { return impl_->table_memory(); }

std::vector<BackendInfo> list_backends() { return built_in_backends().list(); }

}  // namespace colophon
