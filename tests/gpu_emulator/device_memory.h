// SPDX-License-Identifier: Apache-2.0
//
// The emulated device's memory: allocations at addresses that are not the host's, so that host code
// which dereferences a device pointer faults as it would beside a real card; a shadow byte for each
// byte says whether anything was ever written there.
//
// An address is never given out twice, so a pointer to what was freed is known as such for good. An
// allocation is aligned to exactly what was asked for and no more, and stands alone in 4 GiB of
// addresses (or several times that): whatever runs out of one does not run into the next.
//
// Not thread-safe: whoever has several threads lets one at a time in.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "colophon/error.hpp"

namespace colophon::gpu_emulator {

using DevicePointer = std::uint64_t;

// What cudaMalloc promises (CUDA C++ Programming Guide, "Device Memory Accesses").
inline constexpr std::uint32_t kAllocationAlignment = 256;

// Neither canonical on x86-64 (48 bits) nor translatable on arm64: no host object is ever there.
inline constexpr DevicePointer kGlobalWindow = 0x0040'0000'0000'0000;
// Generic addresses of the other state spaces, as cvta makes them: the window plus the address.
inline constexpr DevicePointer kSharedWindow = 0x0060'0000'0000'0000;
inline constexpr DevicePointer kLocalWindow = 0x0062'0000'0000'0000;
inline constexpr DevicePointer kParamWindow = 0x0064'0000'0000'0000;
// Addresses of one window.
inline constexpr std::uint64_t kWindowBytes = std::uint64_t{1} << 48;

struct FreeDeleter {
  void operator()(void* memory) const { std::free(memory); }
};
using Bytes = std::unique_ptr<std::uint8_t[], FreeDeleter>;

struct Allocation {
  DevicePointer base = 0;
  std::uint64_t bytes = 0;
  std::string name;
  bool freed = false;
  bool read_only = false;  // to kernels: a .const variable
  Bytes data;
  Bytes written;  // 0xff for each byte that was written, else 0
};

// What a host copy does with bytes that nobody ever wrote.
enum class Unwritten : std::uint8_t { kRefuse, kAllow };

class DeviceMemory {
 public:
  static constexpr std::uint64_t kSlotBytes = std::uint64_t{1} << 32;
  // Addresses left free in a slot before an allocation: what is a little below it is still its own.
  static constexpr std::uint64_t kSlotHead = std::uint64_t{1} << 24;
  static constexpr std::uint64_t kSlotsMax = std::uint64_t{1} << 21;  // 2^53 addresses

  explicit DeviceMemory(std::uint64_t bytes_max = std::uint64_t{8} << 30)
      : bytes_max_(std::min(bytes_max, kSlotsMax * kSlotBytes)) {}

  // Errors: kLimitExceeded (more than bytes_max() in all, or out of addresses), kInvalidArgument
  // (no bytes; an alignment that is no power of two).
  [[nodiscard]] Result<DevicePointer> allocate(std::uint64_t bytes, std::string name = {},
                                               std::uint32_t alignment = kAllocationAlignment,
                                               bool read_only = false);
  // `base` as allocate() gave it. Error kNotFound: not so, or freed before.
  [[nodiscard]] Result<void> free(DevicePointer base);

  // Copies by the host. Error kInvalidArgument: not wholly inside one live allocation, or, for
  // read(), bytes that were never written; the message names allocation, offset and size.
  [[nodiscard]] Result<void> write(DevicePointer to, const void* from, std::uint64_t bytes);
  [[nodiscard]] Result<void> read(void* to, DevicePointer from, std::uint64_t bytes,
                                  Unwritten unwritten = Unwritten::kRefuse) const;
  [[nodiscard]] Result<void> copy(DevicePointer to, DevicePointer from, std::uint64_t bytes);
  [[nodiscard]] Result<void> set(DevicePointer to, std::uint8_t value, std::uint64_t bytes);

  [[nodiscard]] std::uint64_t bytes_max() const { return bytes_max_; }
  [[nodiscard]] std::uint64_t bytes_used() const { return bytes_used_; }
  [[nodiscard]] std::size_t allocations() const { return live_; }

  // The allocation whose slot `address` is in, be it inside or out, live or freed; null: none.
  [[nodiscard]] Allocation* near(DevicePointer address) const {
    const std::uint64_t slot = (address - kGlobalWindow) / kSlotBytes;
    return slot < slots_.size() ? allocations_[slots_[slot]].get() : nullptr;
  }
  // "allocation 3 ('rows', 64 bytes), offset 68": where `address` is, for a message.
  [[nodiscard]] std::string describe(DevicePointer address) const;

 private:
  [[nodiscard]] Result<Allocation*> range(DevicePointer address, std::uint64_t bytes,
                                          std::string_view what) const;

  std::uint64_t bytes_max_;
  std::uint64_t bytes_used_ = 0;
  std::size_t live_ = 0;
  std::vector<std::unique_ptr<Allocation>> allocations_;
  std::vector<std::uint32_t> slots_;  // index into allocations_
};

}  // namespace colophon::gpu_emulator
