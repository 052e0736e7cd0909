// SPDX-License-Identifier: Apache-2.0
//
// How much colophon_gpu_bench measures.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace colophon::bench {

struct GpuPlan {
  std::vector<std::size_t> key_counts = {1, 64, 1'000, 10'000};
  std::vector<unsigned> widths = {8, 10, 13, 16};
  std::vector<std::size_t> batches = {1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20};
  unsigned generator_bits = 16;
  // Where the forms for throughput and for latency are held against each other.
  std::size_t split_keys = 64;
  std::vector<unsigned> split_widths = {8, 16};
  std::vector<std::uint32_t> split_lanes = {0, 2, 4, 8, 16, 32};
  std::vector<std::size_t> split_batches = {1 << 10, 1 << 11, 1 << 12, 1 << 13, 1 << 14, 1 << 15};
  std::vector<std::size_t> latency_batches = {1, 64, 1'024, 4'096, 16'384};
  std::size_t latency_samples = 2'000;

  std::vector<std::size_t> cpu_key_counts = {64, 1'000};
  std::size_t cpu_batch = 4'096;

  std::size_t repetitions = 9;
  double repetition_seconds = 0.1;        // at least, of the library's calls
  double launch_seconds = 0.005;          // at least, of launches between two events
  std::size_t warm_up_max = 100'000'000;  // signatures, until the tables have the row's width
  std::size_t cpu_warm_up_max = 1'000'000;
  // Of the probe; 0: its own.
  std::uint32_t probe_steps = 0, probe_repetitions = 0, probe_gathers = 0;
  std::size_t probe_bytes = 0;
};

// A minute instead of many.
[[nodiscard]] inline GpuPlan quick_plan() {
  GpuPlan plan;
  plan.key_counts = {1, 64, 1'000};
  plan.batches = {1 << 10, 1 << 14, 1 << 17};
  plan.split_widths = {8};
  plan.split_batches = {1 << 10, 1 << 12, 1 << 14};
  plan.latency_batches = {1, 1'024};
  plan.latency_samples = 300;
  plan.cpu_key_counts = {64};
  plan.repetitions = 5;
  plan.repetition_seconds = 0.02;
  plan.launch_seconds = 0.002;
  plan.warm_up_max = 10'000'000;
  plan.cpu_warm_up_max = 300'000;
  return plan;
}

// For the emulator: every kind of row, once.
[[nodiscard]] inline GpuPlan emulated_plan() {
  GpuPlan plan;
  plan.key_counts = {3};
  plan.widths = {5};
  plan.batches = {1, 40};
  plan.generator_bits = 5;
  plan.split_keys = 2;
  plan.split_widths = {5};
  plan.split_lanes = {0, 2, 32};
  plan.split_batches = {4};
  plan.latency_batches = {1, 8};
  plan.latency_samples = 2;
  plan.cpu_key_counts = {3};
  plan.cpu_batch = 64;
  plan.repetitions = 2;
  plan.repetition_seconds = 0;
  plan.launch_seconds = 0;
  plan.warm_up_max = 400;
  plan.cpu_warm_up_max = 400;
  plan.probe_steps = 2;
  plan.probe_repetitions = 1;
  plan.probe_gathers = 5;
  plan.probe_bytes = std::size_t{1} << 20;
  return plan;
}

}  // namespace colophon::bench
