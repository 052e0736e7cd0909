// SPDX-License-Identifier: Apache-2.0
//
// What a node counts and measures, in Prometheus text exposition format 0.0.4. Thread-safe;
// recording takes no lock.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "colophon/backend.hpp"
#include "colophon/error.hpp"

namespace colophon::node {

// Seconds, in fixed buckets from 0.5 ms to 5 s.
class Histogram {
 public:
  static constexpr std::array<std::uint64_t, 13> kBoundsUs = {
      500,     1'000,   2'500,   5'000,     10'000,    25'000,   50'000,
      100'000, 250'000, 500'000, 1'000'000, 2'500'000, 5'000'000};

  void record_us(std::uint64_t us) noexcept;
  void render(std::string& out, std::string_view name, std::string_view help) const;

 private:
  std::array<std::atomic<std::uint64_t>, kBoundsUs.size() + 1> counts_{};
  std::atomic<std::uint64_t> sum_us_{0};
};

// What is read at the moment of a scrape.
struct Gauges {
  std::uint64_t height = 0;
  std::uint64_t log_size = 0;
  std::uint64_t queue_depth = 0;
  bool accepting = true;
  std::string backend;
  std::string ordering;
  TableMemory tables;             // of the backend
  std::optional<DeviceInfo> gpu;  // in use, or what should be
};

class Metrics {
 public:
  void count_committed(std::uint64_t transactions) noexcept { committed_ += transactions; }
  void count_refused(ErrorCode code) noexcept { ++refused_[static_cast<std::size_t>(code)]; }
  void count_block(std::uint64_t events) noexcept {
    ++blocks_;
    events_ += events;
  }
  Histogram block_seconds;   // from a closed block to its acknowledgement
  Histogram verify_seconds;  // a submit() call's signatures
  Histogram sync_seconds;    // the block's durable write

  [[nodiscard]] std::string render(const Gauges& gauges) const;

 private:
  static constexpr std::size_t kCodes = static_cast<std::size_t>(ErrorCode::kInternal) + 1;
  std::atomic<std::uint64_t> committed_{0};
  std::array<std::atomic<std::uint64_t>, kCodes> refused_{};
  std::atomic<std::uint64_t> blocks_{0};
  std::atomic<std::uint64_t> events_{0};
};

}  // namespace colophon::node
