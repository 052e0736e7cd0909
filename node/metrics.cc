// SPDX-License-Identifier: Apache-2.0
#include "node/metrics.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <string_view>

namespace colophon::node {
namespace {

constexpr std::uint64_t kUsPerSecond = 1'000'000;

std::string in_seconds(std::uint64_t us) {
  char text[48];
  std::snprintf(text, sizeof text, "%" PRIu64 ".%06" PRIu64, us / kUsPerSecond, us % kUsPerSecond);
  return text;
}

void header(std::string& out, std::string_view name, std::string_view help, std::string_view type) {
  out.append("# HELP ").append(name).append(" ").append(help).append("\n# TYPE ");
  out.append(name).append(" ").append(type).append("\n");
}

void sample(std::string& out, std::string_view name, std::uint64_t value) {
  out.append(name).append(" ").append(std::to_string(value)).append("\n");
}

void metric(std::string& out, std::string_view name, std::string_view help, std::string_view type,
            std::uint64_t value) {
  header(out, name, help, type);
  sample(out, name, value);
}

// As it may stand between the quotes of a label without an escape.
std::string label_value(std::string text) {
  const auto needs_escape = [](char c) { return c == '"' || c == '\\' || c == '\n'; };
  std::replace_if(text.begin(), text.end(), needs_escape, '?');
  return text;
}

void render_gpu(std::string& out, const DeviceInfo& gpu) {
  const std::string device = "{device=\"" + std::to_string(gpu.index) + "\"";
  const auto one = [&](std::string_view name, std::string_view help, std::string_view type,
                       std::uint64_t value, const std::string& labels = {}) {
    header(out, name, help, type);
    sample(out, std::string(name) + device + labels + "}", value);
  };
  one("colophon_gpu_info", "Always 1; the labels say which GPU it is.", "gauge", 1,
      ",name=\"" + label_value(gpu.name) + "\",compute_capability=\"" +
          label_value(gpu.compute_capability) + "\",driver=\"" + label_value(gpu.driver) + "\"");
  one("colophon_gpu_in_use", "1 while the GPU verifies, 0 while the CPU does it in its place.",
      "gauge", gpu.in_use ? 1 : 0);
  one("colophon_gpu_memory_bytes", "Memory of the GPU.", "gauge", gpu.memory_bytes);
  one("colophon_gpu_faults_total", "Failures of the GPU since start.", "counter", gpu.faults);
  one("colophon_gpu_signatures_total", "Signatures verified on the GPU since start.", "counter",
      gpu.signatures);
  one("colophon_gpu_fallback_signatures_total",
      "Signatures verified on the CPU in the GPU's place since start.", "counter",
      gpu.signatures_on_cpu);
}

}  // namespace

void Histogram::record_us(std::uint64_t us) noexcept {
  std::size_t bucket = 0;
  while (bucket < kBoundsUs.size() && us > kBoundsUs[bucket]) ++bucket;
  ++counts_[bucket];
  sum_us_ += us;
}

void Histogram::render(std::string& out, std::string_view name, std::string_view help) const {
  header(out, name, help, "histogram");
  const std::string prefix(name);
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < kBoundsUs.size(); ++i) {
    below += counts_[i];
    sample(out, prefix + "_bucket{le=\"" + in_seconds(kBoundsUs[i]) + "\"}", below);
  }
  below += counts_.back();
  sample(out, prefix + "_bucket{le=\"+Inf\"}", below);
  out.append(prefix).append("_sum ").append(in_seconds(sum_us_)).append("\n");
  sample(out, prefix + "_count", below);
}

std::string Metrics::render(const Gauges& gauges) const {
  std::string out;
  header(out, "colophon_build_info", "Always 1; the labels say what runs.", "gauge");
  sample(out,
         "colophon_build_info{backend=\"" + gauges.backend + "\",ordering=\"" + gauges.ordering +
             "\"}",
         1);
  metric(out, "colophon_accepting", "1 while blocks can be written and signed, else 0.", "gauge",
         gauges.accepting ? 1 : 0);
  metric(out, "colophon_block_height", "Height of the last durable block.", "gauge", gauges.height);
  metric(out, "colophon_log_size", "Events in the log.", "gauge", gauges.log_size);
  metric(out, "colophon_queue_depth", "Transactions verified and waiting for a block.", "gauge",
         gauges.queue_depth);
  const std::string of_backend = "{backend=\"" + gauges.backend + "\"}";
  const auto table_gauge = [&](const std::string& name, std::string_view help,
                               std::uint64_t value) {
    header(out, name, help, "gauge");
    sample(out, name + of_backend, value);
  };
  table_gauge("colophon_key_tables", "Public keys with a table of multiples in memory.",
              gauges.tables.tables);
  table_gauge("colophon_key_tables_bytes", "Memory in use by these tables.", gauges.tables.bytes);
  table_gauge("colophon_key_tables_bytes_max", "Limit of that memory; 0: no tables are kept.",
              gauges.tables.bytes_max);
  if (gauges.gpu) render_gpu(out, *gauges.gpu);
  metric(out, "colophon_transactions_committed_total", "Transactions made durable since start.",
         "counter", committed_);
  header(out, "colophon_transactions_refused_total", "Transactions refused since start, by reason.",
         "counter");
  for (std::size_t code = 1; code < kCodes; ++code) {
    sample(out,
           "colophon_transactions_refused_total{code=\"" +
               std::string(error_code_name(static_cast<ErrorCode>(code))) + "\"}",
           refused_[code]);
  }
  metric(out, "colophon_blocks_total", "Blocks made durable since start.", "counter", blocks_);
  metric(out, "colophon_events_total", "Events logged since start.", "counter", events_);
  block_seconds.render(out, "colophon_block_seconds",
                       "Time from a closed block to its acknowledgement.");
  verify_seconds.render(out, "colophon_verify_seconds",
                        "Time to verify the signatures of one submission.");
  sync_seconds.render(out, "colophon_sync_seconds", "Time of a block's durable write.");
  return out;
}

}  // namespace colophon::node
