// SPDX-License-Identifier: Apache-2.0
//
// What a GPU does that no data sheet says and the speed of the CUDA kernels hangs on: how fast it
// issues IMAD.WIDE, alone and beside additions, which form of the P-256 reduction is faster, and
// how fast it copies and gathers. Link gpu_probe.cu, gpu_probe_wide.cu and the CUDA runtime.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace colophon::bench {

struct GpuProbeSettings {
  int device = 0;
  std::uint32_t steps = 1 << 14;  // of a loop: some milliseconds on any card
  std::uint32_t repetitions = 5;  // the fastest counts
  std::size_t copy_bytes = std::size_t{256} << 20;
  std::size_t gather_bytes = std::size_t{4} << 30;  // more than any cache holds
  std::uint32_t gathers = 256;                      // rows a thread
};

struct GpuProbe {
  struct Rate {
    std::string name;        // "IMAD.WIDE"
    double lanes_a_clock;    // of a multiprocessor
    double giga_a_second;    // of the card
    double clock_gigahertz;  // while it ran: clocks of a multiprocessor over the time of the launch
  };
  std::string device;
  std::uint32_t multiprocessors = 0;
  // IMAD.WIDE as mad.wide and as the kernels' carry chains, IMAD, IADD3, IMAD.WIDE beside as many
  // IADD3 (pairs are counted), then multiplications mod p, reduced by additions and by IMAD.WIDE.
  std::vector<Rate> rates;
  // Gigabytes a second, of pinned memory; both: in either direction at once.
  double to_device = 0;
  double from_device = 0;
  double both_ways = 0;
  double gather = 0;  // of rows of 64 bytes, anywhere in gather_bytes of the device's memory
};

// Waits for the device, and leaves nothing there. Returns what went wrong, for a person; empty:
// nothing did. Results are also checked: a card that computes wrongly is an error.
[[nodiscard]] std::string probe_gpu(const GpuProbeSettings& settings, GpuProbe& out);

}  // namespace colophon::bench
