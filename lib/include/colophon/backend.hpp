// SPDX-License-Identifier: Apache-2.0
//
// Which implementation does the work. Chosen once at run time (never by the build host), forced by
// name or by COLOPHON_BACKEND, and used only after its known-answer self-test has passed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "colophon/error.hpp"

namespace colophon {

// The environment variable that names a backend; empty or "auto" means the best supported one.
inline constexpr std::string_view kBackendVariable = "COLOPHON_BACKEND";

// Tables of multiples of public keys, which a backend keeps for keys that come again.
struct TableMemory {
  std::size_t bytes = 0;      // in use
  std::size_t bytes_max = 0;  // the limit; 0: the backend keeps no tables
  std::size_t tables = 0;     // keys that have one
};

// 1 MiB: a table of the narrowest kind, 52 KiB, for nineteen keys.
inline constexpr std::size_t kTableMemoryMin = std::size_t{1} << 20;

// The GPU of a backend that works on one.
struct DeviceInfo {
  unsigned index = 0;
  std::string name;                // "NVIDIA H100 80GB HBM3"; empty: never opened
  std::string compute_capability;  // "9.0"
  std::string driver;              // the CUDA version it supports, "13.0"
  std::size_t memory_bytes = 0;
  std::size_t memory_free = 0;  // when it was opened
  // Up to so many P-256 signatures at once, by keys with tables, are verified with several lanes
  // each: as was sooner done when it was opened, or else as the device has room for.
  std::size_t low_latency_max = 0;
  bool in_use = false;  // false: after a fault, until it is tried again
  // Since the process began. A fault is the device failing in any way; what it was at work on is
  // done again on the CPU, as is everything until the device can be used again.
  std::uint64_t faults = 0;
  std::uint64_t signatures = 0;         // verified on the device
  std::uint64_t signatures_on_cpu = 0;  // in the device's place
  std::string last_fault;
};

struct BackendInfo {
  std::string name;         // "openssl"
  std::string description;  // one line, with the version of what it stands on
  bool supported = false;   // this machine can run it
  std::string reason;       // why not supported or why its self-test failed; empty if neither
  bool self_test_passed = false;
  bool chosen_by_auto = false;
  std::string hashing;  // what does each hash: "sha256 sha-ni, sha512 avx512, …"; empty: not usable
  TableMemory tables;
  std::optional<DeviceInfo> device;  // none: no GPU's backend, or no NVIDIA driver is installed
};

class BackendImplementation;  // lib/backend_implementation.h
struct BackendChoice;

// A chosen, self-tested backend. Cheap to copy; thread-safe; the implementation lives for the whole
// process.
class Backend {
 public:
  // `name`: a backend's name, "auto", or empty for what COLOPHON_BACKEND says ("auto" if unset).
  // "cuda" is the first GPU, "cuda:1" the second, and so on.
  // Errors: kInvalidArgument (no such name; the message lists the names), kUnsupported (known, but
  // not on this machine), kInternal (its self-test failed); the field is "backend", or
  // COLOPHON_BACKEND where that named it. A forced backend never falls back silently.
  [[nodiscard]] static Result<Backend> choose(std::string_view name = {});
  // The same for who wants to know why, and set_table_memory_max(`table_memory`) (0: the default
  // stays): "auto" goes on to the next best where a GPU has not so much. No backend is tried that
  // is not asked for, so that no GPU is opened in vain.
  [[nodiscard]] static Result<BackendChoice> choose(std::string_view name,
                                                    std::size_t table_memory);

  [[nodiscard]] std::string_view name() const noexcept;

  // The most that the tables of all keys of this backend, in this process, may take; by default an
  // eighth of the machine's memory, at most 1 GiB, or half of what is free on a GPU. Takes effect
  // at once; means nothing to a backend that keeps no tables. Error kInvalidArgument (field
  // "table_memory"): under kTableMemoryMin, or more than the GPU has.
  [[nodiscard]] Result<void> set_table_memory_max(std::size_t bytes) const;
  [[nodiscard]] TableMemory table_memory() const;
  // What it works on, if that is a GPU.
  [[nodiscard]] std::optional<DeviceInfo> device() const;

  [[nodiscard]] const BackendImplementation& implementation() const noexcept { return *impl_; }

 private:
  explicit Backend(const BackendImplementation& impl) : impl_(&impl) {}
  const BackendImplementation* impl_;
};

struct BackendChoice {
  Backend backend;
  bool by_auto = false;
  // The better ones, which auto could not take; each says in `reason` why.
  std::vector<BackendInfo> passed_over;
};

// Every backend this library was built with, in order of preference. Runs self-tests not yet run.
[[nodiscard]] std::vector<BackendInfo> list_backends();

}  // namespace colophon
