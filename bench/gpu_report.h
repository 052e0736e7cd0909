// SPDX-License-Identifier: Apache-2.0
//
// What colophon_gpu_bench found: rows, what was left out and why, what went wrong; as a table and
// as JSON.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "bench/gpu_probe.h"

namespace colophon::bench {

struct GpuRow {
  std::string job = {};      // "p256-enrolled"
  std::string measure = {};  // "kernel": launches, data on the device; "slot": from pinned memory
                             // and back; "library": a call of verify_batch
  std::string backend = {};
  std::size_t keys = 0;
  unsigned bits = 0;        // of the keys' table windows; 0: no tables
  std::uint32_t lanes = 0;  // a signature; 0: the form for throughput, or chosen by the library
  std::size_t batch = 0;
  unsigned threads = 1;
  bool is_choice = false;  // the library would take this form for this batch
  std::string unit = {};   // "verifications/s", "us"
  // Over the repetitions (times: over the samples).
  double median = 0, low = 0, high = 0;
  double p99 = 0;  // of times only
  std::size_t samples = 0;
};

// Median, least and most of `values`, which are times, or rates if `unit` says "a second".
void set_figures(GpuRow& row, std::vector<double> values);

struct GpuDevice {
  std::string name;  // empty: not there
  std::string compute_capability, driver, runtime, pci;
  std::size_t memory_bytes = 0, memory_free = 0;
  int multiprocessors = 0;
  int clock_megahertz = 0, memory_clock_megahertz = 0;  // the highest, as the runtime has them
  bool is_emulated = false;
};

class GpuReport {
 public:
  void add(GpuRow row);
  void skip(const std::string& what, const std::string& why);
  // Makes the run a failure.
  void fail(const std::string& what, const std::string& why);
  [[nodiscard]] bool has_failed() const { return !failed_.empty(); }

  void print(std::FILE* out) const;
  // False: the file could not be written.
  [[nodiscard]] bool write_json(const std::string& path) const;

  GpuDevice device;
  GpuProbe probe;
  bool is_quick = false;

 private:
  void print_probe(std::FILE* out) const;
  std::vector<GpuRow> rows_;
  std::vector<std::pair<std::string, std::string>> skipped_, failed_;
};

}  // namespace colophon::bench
