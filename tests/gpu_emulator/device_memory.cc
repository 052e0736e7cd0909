// SPDX-License-Identifier: Apache-2.0
#include "tests/gpu_emulator/device_memory.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>
#include <utility>

namespace colophon::gpu_emulator {

Result<DevicePointer> DeviceMemory::allocate(std::uint64_t bytes, std::string name,
                                             std::uint32_t alignment, bool read_only) {
  if (bytes == 0) return make_error(ErrorCode::kInvalidArgument, "an allocation of no bytes");
  if (!std::has_single_bit(alignment) || alignment > kSlotHead) {
    return make_error(ErrorCode::kInvalidArgument,
                      "alignment " + std::to_string(alignment) + " is no power of two up to 2^24");
  }
  if (bytes > bytes_max_ - bytes_used_) {
    return make_error(ErrorCode::kLimitExceeded,
                      "device memory is used up: " + std::to_string(bytes) + " bytes asked for, " +
                          std::to_string(bytes_max_ - bytes_used_) + " left");
  }
  // Room on both sides, so that an offset a little off is not in another allocation's slot.
  const std::uint64_t head = kSlotHead + alignment;
  const std::uint64_t slots = (head + bytes + kSlotHead + kSlotBytes - 1) / kSlotBytes;
  if (slots > kSlotsMax - slots_.size()) {
    return make_error(ErrorCode::kLimitExceeded, "device addresses are used up");
  }
  auto allocation = std::make_unique<Allocation>();
  // calloc: pages that nobody touches take no memory.
  allocation->data.reset(static_cast<std::uint8_t*>(std::calloc(bytes, 1)));
  allocation->written.reset(static_cast<std::uint8_t*>(std::calloc(bytes, 1)));
  if (!allocation->data || !allocation->written) {
    return make_error(ErrorCode::kLimitExceeded, "the host has no memory for the device's");
  }
  allocation->base = kGlobalWindow + slots_.size() * kSlotBytes + head;
  allocation->bytes = bytes;
  allocation->name = std::move(name);
  allocation->read_only = read_only;
  slots_.insert(slots_.end(), slots, static_cast<std::uint32_t>(allocations_.size()));
  allocations_.push_back(std::move(allocation));
  bytes_used_ += bytes;
  ++live_;
  return allocations_.back()->base;
}

Result<void> DeviceMemory::free(DevicePointer base) {
  Allocation* const allocation = near(base);
  if (allocation == nullptr || allocation->base != base || allocation->freed) {
    return make_error(ErrorCode::kNotFound, "freed is no live allocation: " + describe(base));
  }
  allocation->freed = true;
  allocation->data.reset();
  allocation->written.reset();
  bytes_used_ -= allocation->bytes;
  --live_;
  return {};
}

Result<void> DeviceMemory::write(DevicePointer to, const void* from, std::uint64_t bytes) {
  if (bytes == 0) return {};
  COLOPHON_TRY_ASSIGN(Allocation * allocation, range(to, bytes, "copied to"));
  std::memcpy(&allocation->data[to - allocation->base], from, bytes);
  std::memset(&allocation->written[to - allocation->base], 0xff, bytes);
  return {};
}

Result<void> DeviceMemory::read(void* to, DevicePointer from, std::uint64_t bytes,
                                Unwritten unwritten) const {
  if (bytes == 0) return {};
  COLOPHON_TRY_ASSIGN(const Allocation* allocation, range(from, bytes, "copied from"));
  const std::uint64_t offset = from - allocation->base;
  if (unwritten == Unwritten::kRefuse) {
    const std::uint8_t* const first = &allocation->written[offset];
    const std::uint8_t* const hole = std::find(first, first + bytes, 0);
    if (hole != first + bytes) {
      return make_error(ErrorCode::kInvalidArgument,
                        "copied from memory that was never written: " +
                            describe(from + static_cast<std::uint64_t>(hole - first)));
    }
  }
  std::memcpy(to, &allocation->data[offset], bytes);
  return {};
}

Result<void> DeviceMemory::copy(DevicePointer to, DevicePointer from, std::uint64_t bytes) {
  if (bytes == 0) return {};
  COLOPHON_TRY_ASSIGN(const Allocation* source, range(from, bytes, "copied from"));
  COLOPHON_TRY_ASSIGN(Allocation * target, range(to, bytes, "copied to"));
  std::memmove(&target->data[to - target->base], &source->data[from - source->base], bytes);
  std::memmove(&target->written[to - target->base], &source->written[from - source->base], bytes);
  return {};
}

Result<void> DeviceMemory::set(DevicePointer to, std::uint8_t value, std::uint64_t bytes) {
  if (bytes == 0) return {};
  COLOPHON_TRY_ASSIGN(Allocation * allocation, range(to, bytes, "set"));
  std::memset(&allocation->data[to - allocation->base], value, bytes);
  std::memset(&allocation->written[to - allocation->base], 0xff, bytes);
  return {};
}

std::string DeviceMemory::describe(DevicePointer address) const {
  static constexpr char kDigits[] = "0123456789abcdef";
  const Allocation* const allocation = near(address);
  if (allocation == nullptr) {
    std::string hex;
    for (int shift = 60; shift >= 0; shift -= 4) hex += kDigits[address >> shift & 15];
    return "address 0x" + hex + ", in no allocation";
  }
  const std::uint64_t slot = (address - kGlobalWindow) / kSlotBytes;
  std::string text = "allocation " + std::to_string(slots_[slot]) + " (";
  if (!allocation->name.empty()) text += "'" + allocation->name + "', ";
  text += std::to_string(allocation->bytes) + " bytes" + (allocation->freed ? ", freed" : "") + ")";
  return text + ", offset " + std::to_string(static_cast<std::int64_t>(address - allocation->base));
}

Result<Allocation*> DeviceMemory::range(DevicePointer address, std::uint64_t bytes,
                                        std::string_view what) const {
  Allocation* const allocation = near(address);
  std::string_view wrong;
  if (allocation == nullptr) {
    wrong = " is no device memory: ";
  } else if (allocation->freed) {
    wrong = " was freed: ";
  } else if (const std::uint64_t offset = address - allocation->base;
             offset >= allocation->bytes || bytes > allocation->bytes - offset) {
    wrong = " is out of bounds: ";
  } else {
    return allocation;
  }
  return make_error(ErrorCode::kInvalidArgument, "what was " + std::string(what) +
                                                     std::string(wrong) + describe(address) + ", " +
                                                     std::to_string(bytes) + " bytes");
}

}  // namespace colophon::gpu_emulator
