// SPDX-License-Identifier: Apache-2.0
//
// What the tests of the emulated runtime share: an emulated device for each test, and small owners.
#pragma once

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <numeric>
#include <vector>

#include "tests/gpu_emulator/cuda_runtime.h"
#include "tests/gpu_emulator/cuda_runtime_kernels.h"

#define EXPECT_CUDA(call) EXPECT_EQ((call), cudaSuccess)
#define ASSERT_CUDA(call) ASSERT_EQ((call), cudaSuccess)

namespace colophon::gpu_emulator::test {

constexpr std::uint64_t kSeeds = 40;

using Words = std::vector<std::uint32_t>;

// Quiet, and nothing runs that no call asked for: the same every time.
inline Settings settings_of(std::uint64_t seed, Pace pace = Pace::kStepped) {
  Settings settings;
  settings.seed = seed;
  settings.pace = pace;
  settings.idle_us = 0;
  settings.print = false;
  return settings;
}

inline Words counting(std::size_t n, std::uint32_t first = 1) {
  Words words(n);
  std::iota(words.begin(), words.end(), first);
  return words;
}

class DeviceWords {
 public:
  explicit DeviceWords(std::size_t n) : bytes_(n * sizeof(std::uint32_t)) {
    EXPECT_CUDA(cudaMalloc(reinterpret_cast<void**>(&words_), bytes_));
  }
  explicit DeviceWords(const Words& from) : DeviceWords(from.size()) {
    EXPECT_CUDA(cudaMemcpy(words_, from.data(), bytes_, cudaMemcpyHostToDevice));
    EXPECT_CUDA(cudaStreamSynchronize(nullptr));
  }
  DeviceWords(const DeviceWords&) = delete;
  DeviceWords& operator=(const DeviceWords&) = delete;
  ~DeviceWords() { (void)cudaFree(words_); }

  [[nodiscard]] std::uint32_t* get() const { return words_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] Words read() const {
    Words words(bytes_ / sizeof(std::uint32_t));
    EXPECT_CUDA(cudaMemcpy(words.data(), words_, bytes_, cudaMemcpyDeviceToHost));
    return words;
  }

 private:
  std::uint32_t* words_ = nullptr;
  std::size_t bytes_;
};

class PinnedWords {
 public:
  explicit PinnedWords(std::size_t n) : size_(n) {
    EXPECT_CUDA(cudaMallocHost(reinterpret_cast<void**>(&words_), bytes()));
  }
  explicit PinnedWords(const Words& from) : PinnedWords(from.size()) { *this = from; }
  PinnedWords(const PinnedWords&) = delete;
  PinnedWords& operator=(const PinnedWords&) = delete;
  PinnedWords& operator=(const Words& from) {
    std::copy(from.begin(), from.end(), words_);
    return *this;
  }
  ~PinnedWords() { (void)cudaFreeHost(words_); }

  [[nodiscard]] std::uint32_t* get() const { return words_; }
  [[nodiscard]] std::size_t bytes() const { return size_ * sizeof(std::uint32_t); }
  [[nodiscard]] Words read() const { return Words(words_, words_ + size_); }

 private:
  std::uint32_t* words_ = nullptr;
  std::size_t size_;
};

class OwnStream {
 public:
  explicit OwnStream(unsigned flags = cudaStreamNonBlocking) {
    EXPECT_CUDA(cudaStreamCreateWithFlags(&stream_, flags));
  }
  OwnStream(const OwnStream&) = delete;
  OwnStream& operator=(const OwnStream&) = delete;
  ~OwnStream() { (void)cudaStreamDestroy(stream_); }
  operator cudaStream_t() const { return stream_; }  // NOLINT: implicit

 private:
  cudaStream_t stream_ = nullptr;
};

class OwnEvent {
 public:
  explicit OwnEvent(unsigned flags = cudaEventDisableTiming) {
    EXPECT_CUDA(cudaEventCreateWithFlags(&event_, flags));
  }
  OwnEvent(const OwnEvent&) = delete;
  OwnEvent& operator=(const OwnEvent&) = delete;
  ~OwnEvent() { (void)cudaEventDestroy(event_); }
  operator cudaEvent_t() const { return event_; }  // NOLINT: implicit

 private:
  cudaEvent_t event_ = nullptr;
};

inline std::size_t count_of(Finding::Kind kind) {
  std::size_t count = 0;
  for (const Finding& finding : findings()) count += finding.kind == kind ? 1 : 0;
  return count;
}

inline bool found(Finding::Kind kind, std::string_view text) {
  for (const Finding& finding : findings()) {
    if (finding.kind == kind && finding.text.find(text) != std::string::npos) return true;
  }
  return false;
}

// For how many seeds, of kSeeds, the program says true; each time on a new device.
inline std::uint64_t seeds_that(const std::function<bool()>& program, Pace pace = Pace::kStepped) {
  std::uint64_t count = 0;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    power_cycle(settings_of(seed, pace));
    SCOPED_TRACE("seed " + std::to_string(seed));
    count += program() ? 1 : 0;
  }
  return count;
}

class CudaTest : public testing::Test {
 protected:
  void SetUp() override { power_cycle(settings_of(1)); }
  void TearDown() override { power_cycle(settings_of(1)); }
};

}  // namespace colophon::gpu_emulator::test
