// SPDX-License-Identifier: Apache-2.0
#include "tests/gpu_emulator/device_memory.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

namespace colophon::gpu_emulator {
namespace {

DevicePointer allocated(DeviceMemory& memory, std::uint64_t bytes, const std::string& name = {}) {
  const auto base = memory.allocate(bytes, name);
  EXPECT_TRUE(base);
  return base ? *base : 0;
}

TEST(DeviceMemoryTest, WhatIsWrittenIsRead) {
  DeviceMemory memory;
  const DevicePointer a = allocated(memory, 1000);
  const DevicePointer b = allocated(memory, 1000);
  std::vector<std::uint8_t> bytes(1000);
  std::iota(bytes.begin(), bytes.end(), std::uint8_t{0});
  ASSERT_TRUE(memory.write(a, bytes.data(), bytes.size()));
  ASSERT_TRUE(memory.copy(b + 10, a, 990));
  ASSERT_TRUE(memory.set(b, 7, 10));
  std::vector<std::uint8_t> back(1000);
  ASSERT_TRUE(memory.read(back.data(), b, 1000));
  EXPECT_EQ(back[9], 7);
  EXPECT_EQ(back[10], 0);
  EXPECT_EQ(back[999], static_cast<std::uint8_t>(989));
  // Copies of no bytes ask for nothing.
  EXPECT_TRUE(memory.read(nullptr, 0, 0));
  EXPECT_TRUE(memory.write(0, nullptr, 0));
  EXPECT_TRUE(memory.copy(0, 0, 0));
  EXPECT_TRUE(memory.set(0, 0, 0));
}

TEST(DeviceMemoryTest, ACopyThatOverlapsIsWhole) {
  DeviceMemory memory;
  const DevicePointer a = allocated(memory, 16);
  std::array<std::uint8_t, 16> bytes{};
  std::iota(bytes.begin(), bytes.end(), std::uint8_t{0});
  ASSERT_TRUE(memory.write(a, bytes.data(), bytes.size()));
  ASSERT_TRUE(memory.copy(a + 4, a, 12));
  ASSERT_TRUE(memory.read(bytes.data(), a, 16));
  EXPECT_EQ(bytes[15], 11);
}

TEST(DeviceMemoryTest, AddressesAreAlignedToWhatWasAskedForAndNoMore) {
  DeviceMemory memory;
  for (const std::uint32_t alignment : {1U, 4U, 16U, 256U, 65536U}) {
    const auto base = memory.allocate(100, "", alignment);
    ASSERT_TRUE(base);
    EXPECT_EQ(*base % alignment, 0U);
    EXPECT_NE(*base % (2 * std::uint64_t{alignment}), 0U);
  }
  EXPECT_EQ(allocated(memory, 1) % kAllocationAlignment, 0U);
}

TEST(DeviceMemoryTest, ErrorsNameAllocationOffsetAndSize) {
  DeviceMemory memory;
  const DevicePointer a = allocated(memory, 64, "rows");
  std::array<std::uint8_t, 80> bytes{};
  const auto message = [](const auto& result) {
    return result ? std::string("none") : result.error().message;
  };
  EXPECT_EQ(
      message(memory.write(a + 60, bytes.data(), 8)),
      "what was copied to is out of bounds: allocation 0 ('rows', 64 bytes), offset 60, 8 bytes");
  EXPECT_EQ(
      message(memory.write(a - 1, bytes.data(), 2)),
      "what was copied to is out of bounds: allocation 0 ('rows', 64 bytes), offset -1, 2 bytes");
  EXPECT_EQ(message(memory.set(a, 0, ~std::uint64_t{0})),
            "what was set is out of bounds: allocation 0 ('rows', 64 bytes), offset 0, "
            "18446744073709551615 bytes");
  EXPECT_EQ(message(memory.read(bytes.data(), 0x1234, 1)),
            "what was copied from is no device memory: address 0x0000000000001234, in no "
            "allocation, 1 bytes");
  ASSERT_TRUE(memory.set(a, 0, 8));
  EXPECT_EQ(message(memory.read(bytes.data(), a, 64)),
            "copied from memory that was never written: allocation 0 ('rows', 64 bytes), offset 8");
  EXPECT_TRUE(memory.read(bytes.data(), a, 64, Unwritten::kAllow));
  EXPECT_TRUE(memory.read(bytes.data(), a, 8));
  EXPECT_EQ(message(memory.free(a + 8)),
            "freed is no live allocation: allocation 0 ('rows', 64 bytes), offset 8");
  ASSERT_TRUE(memory.free(a));
  EXPECT_EQ(message(memory.free(a)),
            "freed is no live allocation: allocation 0 ('rows', 64 bytes, freed), offset 0");
  EXPECT_EQ(message(memory.copy(a, a, 4)),
            "what was copied from was freed: allocation 0 ('rows', 64 bytes, freed), offset 0, "
            "4 bytes");
}

// A copy carries along which bytes were never written.
TEST(DeviceMemoryTest, UnwrittenBytesStaySoWhenCopied) {
  DeviceMemory memory;
  const DevicePointer a = allocated(memory, 8);
  const DevicePointer b = allocated(memory, 8);
  ASSERT_TRUE(memory.set(a, 1, 4));
  ASSERT_TRUE(memory.set(b, 1, 8));
  ASSERT_TRUE(memory.copy(b, a, 8));
  std::array<std::uint8_t, 8> bytes{};
  EXPECT_TRUE(memory.read(bytes.data(), b, 4));
  EXPECT_FALSE(memory.read(bytes.data(), b, 5));
}

TEST(DeviceMemoryTest, LimitsAreKept) {
  DeviceMemory memory(1000);
  EXPECT_EQ(memory.allocate(0).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(memory.allocate(1, "", 3).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(memory.allocate(1, "", 0).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(memory.allocate(1001).error().code, ErrorCode::kLimitExceeded);
  const DevicePointer a = allocated(memory, 600);
  EXPECT_EQ(memory.allocate(401).error().code, ErrorCode::kLimitExceeded);
  const DevicePointer b = allocated(memory, 400);
  EXPECT_EQ(memory.bytes_used(), 1000U);
  EXPECT_EQ(memory.allocations(), 2U);
  ASSERT_TRUE(memory.free(a));
  EXPECT_EQ(memory.bytes_used(), 400U);
  // Never the same address again.
  const DevicePointer c = allocated(memory, 600);
  EXPECT_NE(c, a);
  EXPECT_NE(c, b);
}

TEST(DeviceMemoryTest, OneLargerThanASlotIsWhole) {
  DeviceMemory memory(std::uint64_t{1} << 34);
  const std::uint64_t bytes = DeviceMemory::kSlotBytes + 4096;
  const auto large = memory.allocate(bytes, "large");
  if (!large) GTEST_SKIP() << large.error().message;  // under a limit on addresses
  const DevicePointer after = allocated(memory, 16, "after");
  ASSERT_TRUE(memory.set(*large + bytes - 1, 5, 1));
  ASSERT_TRUE(memory.set(after, 6, 16));
  std::uint8_t byte = 0;
  ASSERT_TRUE(memory.read(&byte, *large + bytes - 1, 1));
  EXPECT_EQ(byte, 5);
  EXPECT_NE(memory.describe(*large + bytes).find("'large'"), std::string::npos);
}

TEST(DeviceMemoryDeathTest, TheHostCannotReachIt) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  DeviceMemory memory;
  const DevicePointer a = allocated(memory, 64);
  ASSERT_TRUE(memory.set(a, 1, 64));
  EXPECT_DEATH(
      {
        const auto* const address = reinterpret_cast<const volatile std::uint8_t*>(a);
        (void)*address;
      },
      "");
}

}  // namespace
}  // namespace colophon::gpu_emulator
