// SPDX-License-Identifier: Apache-2.0
//
// A job of the benchmark table: ours and the peer, measured interleaved in the same run.
#pragma once

#include <benchmark/benchmark.h>

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace colophon::bench {

using Body = std::function<void(benchmark::State&)>;

// What a body may say of itself in state.counters: the multiplications mod p predicted for the
// items that go through the kernels together (one, or as many as there are lanes), and the bytes of
// key tables it works with.
inline constexpr const char* kProducts = "products";
inline constexpr const char* kTableBytes = "table_bytes";

struct Job {
  std::string name;     // "p256-verify"
  std::string backend;  // whose code "ours" is
  std::size_t batch;    // items a call
  std::string unit;     // of the figures, e.g. "verifications/s"
  std::string peer_name;
  // Each runs one batch an iteration and calls state.SetItemsProcessed(iterations * batch), so that
  // both figures are items a second. An error is state.SkipWithError.
  Body ours;
  Body peer;
  bool manual_time = false;  // the body calls state.SetIterationTime
};

// Each prepares its inputs lazily, in the first run of a body: a filtered-out job costs nothing.
void add_hash_jobs(std::vector<Job>& jobs, const std::string& backend);
void add_signature_jobs(std::vector<Job>& jobs, const std::string& backend);
void add_node_jobs(std::vector<Job>& jobs, const std::string& backend);

}  // namespace colophon::bench
