// SPDX-License-Identifier: Apache-2.0
#include "bench/gpu_report.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "colophon/verifier.hpp"

namespace colophon::bench {
namespace {

using Json = nlohmann::ordered_json;

double percentile(const std::vector<double>& sorted, double part) {
  const auto last = static_cast<double>(sorted.size() - 1);
  return sorted[static_cast<std::size_t>(std::ceil(part * last))];
}

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown CPU";
}

std::string shape_of(const GpuRow& row) {
  if (row.measure == "library") return "-";
  return row.lanes == 0 ? "throughput" : "split-" + std::to_string(row.lanes);
}

// Four digits that count, without an exponent.
std::string number(double value) {
  std::array<char, 64> text{};
  const int decimals = value >= 1000 ? 0 : value >= 100 ? 1 : value >= 10 ? 2 : 3;
  std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
  return text.data();
}

Json json_of(const GpuRow& row) {
  Json json = {{"job", row.job},         {"measure", row.measure}, {"backend", row.backend},
               {"keys", row.keys},       {"bits", row.bits},       {"shape", shape_of(row)},
               {"batch", row.batch},     {"threads", row.threads}, {"unit", row.unit},
               {"median", row.median},   {"low", row.low},         {"high", row.high},
               {"samples", row.samples}, {"verdicts", "right"}};
  if (row.p99 != 0) json["p99"] = row.p99;
  if (row.measure == "slot") json["library_chooses"] = row.is_choice;
  return json;
}

Json json_of(const GpuProbe& probe) {
  Json rates = Json::array();
  for (const GpuProbe::Rate& rate : probe.rates) {
    rates.push_back({{"name", rate.name},
                     {"lanes_a_clock", rate.lanes_a_clock},
                     {"giga_a_second", rate.giga_a_second},
                     {"clock_gigahertz", rate.clock_gigahertz}});
  }
  return {{"issue", rates},
          {"copy_to_device_gigabytes_a_second", probe.to_device},
          {"copy_from_device_gigabytes_a_second", probe.from_device},
          {"copy_both_ways_gigabytes_a_second", probe.both_ways},
          {"gather_gigabytes_a_second", probe.gather}};
}

Json json_of(const GpuDevice& device) {
  return {{"name", device.name},
          {"compute_capability", device.compute_capability},
          {"pci", device.pci},
          {"multiprocessors", device.multiprocessors},
          {"memory_bytes", device.memory_bytes},
          {"memory_free_bytes", device.memory_free},
          {"clock_megahertz", device.clock_megahertz},
          {"memory_clock_megahertz", device.memory_clock_megahertz},
          {"driver_cuda", device.driver},
          {"runtime_cuda", device.runtime}};
}

Json json_of(const std::vector<std::pair<std::string, std::string>>& notes) {
  Json list = Json::array();
  for (const auto& [what, why] : notes) list.push_back({{"row", what}, {"why", why}});
  return list;
}

}  // namespace

void set_figures(GpuRow& row, std::vector<double> values) {
  std::sort(values.begin(), values.end());
  row.samples = values.size();
  row.median = (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
  row.low = values.front();
  row.high = values.back();
  if (row.unit == "us") row.p99 = percentile(values, 0.99);
}

void GpuReport::add(GpuRow row) {
  std::fprintf(stderr, "gpu_bench: %s %s %s, %zu keys, %u bits, %s, batch %zu, %u threads: %s %s\n",
               row.job.c_str(), row.measure.c_str(), row.backend.c_str(), row.keys, row.bits,
               shape_of(row).c_str(), row.batch, row.threads, number(row.median).c_str(),
               row.unit.c_str());
  rows_.push_back(std::move(row));
}

void GpuReport::skip(const std::string& what, const std::string& why) {
  std::fprintf(stderr, "gpu_bench: %s: not run: %s\n", what.c_str(), why.c_str());
  skipped_.emplace_back(what, why);
}

void GpuReport::fail(const std::string& what, const std::string& why) {
  std::fprintf(stderr, "gpu_bench: %s: FAILED: %s\n", what.c_str(), why.c_str());
  failed_.emplace_back(what, why);
}

void GpuReport::print_probe(std::FILE* out) const {
  if (probe.rates.empty()) return;
  std::fprintf(out, "%-30s %18s %14s %10s\n", "probe", "a clock and SM", "giga a second", "GHz");
  for (const GpuProbe::Rate& rate : probe.rates) {
    std::fprintf(out, "%-30s %18.2f %14.2f %10.3f\n", rate.name.c_str(), rate.lanes_a_clock,
                 rate.giga_a_second, rate.clock_gigahertz);
  }
  std::fprintf(out,
               "copies of pinned memory: %.1f GB/s to the device, %.1f from it, %.1f both ways at "
               "once; gathers of 64 bytes: %.1f GB/s\n\n",
               probe.to_device, probe.from_device, probe.both_ways, probe.gather);
}

void GpuReport::print(std::FILE* out) const {
  if (device.is_emulated) {
    std::fprintf(out, "EMULATED: no GPU was there. All times and rates below mean nothing.\n");
  }
  std::fprintf(out,
               "device    %s, compute capability %s, %d multiprocessors, %.1f GB (%.1f free)\n",
               device.name.c_str(), device.compute_capability.c_str(), device.multiprocessors,
               static_cast<double>(device.memory_bytes) / 1e9,
               static_cast<double>(device.memory_free) / 1e9);
  std::fprintf(out, "clocks    at most %d MHz, memory %d MHz; measured: column GHz of the probe\n",
               device.clock_megahertz, device.memory_clock_megahertz);
  std::fprintf(out, "driver    supports CUDA %s; runtime %s\n", device.driver.c_str(),
               device.runtime.c_str());
  std::fprintf(out, "machine   %s, %u threads\n", cpu_name().c_str(), hardware_threads());
  std::fprintf(out, "peer      %s (backend openssl)\n", OpenSSL_version(OPENSSL_VERSION));
  std::fprintf(
      out,
      "method    medians, with least and most, over the repetitions of a row; every verdict of "
      "every "
      "row was checked\n"
      "          kernel: CUDA events around launches, data on the device; slot: from pinned memory "
      "and back, p50 as median;\n"
      "          library: one call of verify_batch from plain memory; * the form that the library "
      "takes by itself\n\n");
  print_probe(out);
  std::fprintf(out, "%-14s %-8s %-9s %6s %4s %-11s %8s %7s %-16s %13s %13s %13s %9s\n", "job",
               "measure", "backend", "keys", "bits", "shape", "batch", "threads", "unit", "median",
               "least", "most", "p99");
  for (const GpuRow& row : rows_) {
    std::fprintf(out, "%-14s %-8s %-9s %6zu %4s %-11s %8zu %7u %-16s %13s %13s %13s %9s\n",
                 row.job.c_str(), row.measure.c_str(), row.backend.c_str(), row.keys,
                 row.bits == 0 ? "-" : std::to_string(row.bits).c_str(),
                 (shape_of(row) + (row.is_choice ? "*" : "")).c_str(), row.batch, row.threads,
                 row.unit.c_str(), number(row.median).c_str(), number(row.low).c_str(),
                 number(row.high).c_str(), row.p99 == 0 ? "-" : number(row.p99).c_str());
  }
  for (const auto& [what, why] : skipped_) {
    std::fprintf(out, "not run: %s: %s\n", what.c_str(), why.c_str());
  }
  for (const auto& [what, why] : failed_) {
    std::fprintf(out, "FAILED: %s: %s\n", what.c_str(), why.c_str());
  }
}

bool GpuReport::write_json(const std::string& path) const {
  Json rows = Json::array();
  for (const GpuRow& row : rows_) rows.push_back(json_of(row));
  const Json json = {
      {"emulated", device.is_emulated},
      {"note", device.is_emulated ? "no GPU was there: all times and rates mean nothing" : ""},
      {"device", json_of(device)},
      {"host", {{"cpu", cpu_name()}, {"threads", hardware_threads()}}},
      {"peer", OpenSSL_version(OPENSSL_VERSION)},
      {"quick", is_quick},
      {"probe", json_of(probe)},
      {"rows", rows},
      {"not_run", json_of(skipped_)},
      {"failed", json_of(failed_)}};
  std::ofstream file(path);
  file << json.dump(1) << '\n';
  return static_cast<bool>(file.flush());
}

}  // namespace colophon::bench
