// SPDX-License-Identifier: Apache-2.0
//
// Runs the jobs one after the other and prints machine, compiler, commit and one table (or, with
// --json, one object a row). Ours and the peer of a job are repeated in random interleaving, so
// that a machine whose speed drifts moves both; the figures are medians over the repetitions.
#include <benchmark/benchmark.h>
#include <openssl/crypto.h>
#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <regex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bench/job.h"
#include "colophon/backend.hpp"

namespace colophon::bench {
namespace {

constexpr int kRepetitions = 7;

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  }
  return "unknown CPU";
}

std::string json_string(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) >= 0x20) out += c;
  }
  return out + '"';
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

// Of a core, in hertz, by a chain of negations, a cycle each; 0: not known here. (Additions will
// not do: some cores fold a chain of them.)
double core_clock() {
#if defined(__x86_64__) || defined(__aarch64__)
  constexpr int kRounds = 400'000, kChain = 50;
  unsigned long long value = 0;
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < kRounds; ++i) {
#if defined(__x86_64__)
    __asm__ volatile(".rept %c1\n\tnot %0\n\t.endr" : "+r"(value) : "i"(kChain));
#else
    __asm__ volatile(".rept %c1\n\tmvn %0, %0\n\t.endr" : "+r"(value) : "i"(kChain));
#endif
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  return double{kRounds} * kChain / took.count();
#else
  return 0;
#endif
}

// Collects what was measured by benchmark name; the table is printed by main when all is done.
class Collector : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      if (run.run_type != Run::RT_Iteration) continue;
      if (run.error_occurred) {
        std::fprintf(stderr, "bench: %s: %s\n", run.run_name.function_name.c_str(),
                     run.error_message.c_str());
        failed_ = true;
        continue;
      }
      const auto rate = run.counters.find("items_per_second");
      if (rate == run.counters.end()) continue;
      rates_[run.run_name.function_name].push_back(rate->second.value);
      for (const auto& [counter, value] : run.counters) {
        counters_[run.run_name.function_name + "/" + counter] = value;
      }
    }
  }
  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] const std::vector<double>* rates(const std::string& name) const {
    const auto found = rates_.find(name);
    return found == rates_.end() ? nullptr : &found->second;
  }
  // As the job's last repetition said it; 0: not at all.
  [[nodiscard]] double counter(const std::string& name, const char* counter) const {
    const auto found = counters_.find(name + "/" + counter);
    return found == counters_.end() ? 0 : found->second;
  }

 private:
  std::map<std::string, std::vector<double>> rates_;
  std::map<std::string, double> counters_;
  bool failed_ = false;
};

std::string job_key(const Job& job, const char* side) {
  return job.name + "/" + job.backend + "/" + std::to_string(job.batch) + "/" + side;
}

int run(int argc, char** argv) {
  bool json = false;
  std::string filter = ".*";
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--json") {
      json = true;
    } else if (argument == "--help" || argument == "-h") {
      std::puts(
          "usage: scripts/bench [FILTER] [--json]\n"
          "FILTER: regular expression on JOB/BACKEND/BATCH, e.g. 'p256' or 'merkle-root/openssl'\n"
          "--json: one object a row on standard output");
      return 0;
    } else if (argument.rfind("-", 0) == 0) {
      std::fprintf(stderr, "bench: unknown option %s (see --help)\n", argument.c_str());
      return 2;
    } else {
      filter = argument;
    }
  }
  std::regex wanted;
  try {
    wanted = std::regex(filter);
  } catch (const std::regex_error&) {
    std::fprintf(stderr, "bench: FILTER is not a regular expression: %s\n", filter.c_str());
    return 2;
  }

  std::vector<Job> all;
  for (const BackendInfo& info : list_backends()) {
    if (!info.supported || !info.self_test_passed) {
      std::fprintf(stderr, "bench: backend %s not run: %s\n", info.name.c_str(),
                   info.reason.c_str());
      continue;
    }
    add_signature_jobs(all, info.name);
    add_hash_jobs(all, info.name);
#ifdef COLOPHON_BENCH_NODE
    add_node_jobs(all, info.name);
#endif
  }
  std::vector<Job> jobs;
  for (Job& job : all) {
    const std::string name = job.name + "/" + job.backend + "/" + std::to_string(job.batch);
    if (std::regex_search(name, wanted)) jobs.push_back(std::move(job));
  }
  if (jobs.empty()) {
    std::fprintf(stderr, "bench: no job matches '%s'\n", filter.c_str());
    return 2;
  }

  std::vector<std::string> flags = {argv[0], "--benchmark_enable_random_interleaving=true",
                                    "--benchmark_min_time=0.2"};
  std::vector<char*> flag_pointers;
  for (std::string& flag : flags) flag_pointers.push_back(flag.data());
  int flag_count = static_cast<int>(flag_pointers.size());
  benchmark::Initialize(&flag_count, flag_pointers.data());
  Collector collector;
  std::vector<double> clocks;  // as each job found it
  for (Job& job : jobs) {
    for (auto& [side, body] : {std::pair{"ours", &job.ours}, std::pair{"peer", &job.peer}}) {
      // Moved, and gone before the next job: the tables and nodes of one must not crowd another's.
      auto* registered =
          benchmark::RegisterBenchmark(job_key(job, side).c_str(), std::exchange(*body, {}))
              ->Repetitions(kRepetitions);
      if (job.manual_time) {
        registered->UseManualTime()->Iterations(1);
      } else {
        registered->UseRealTime();
      }
    }
    benchmark::RunSpecifiedBenchmarks(&collector);
    clocks.push_back(core_clock());
    benchmark::ClearRegisteredBenchmarks();
  }

  utsname machine{};
  uname(&machine);
  const char* commit = std::getenv("COLOPHON_COMMIT");
  std::FILE* heading = json ? stderr : stdout;
  std::fprintf(heading, "machine   %s, %u cores, %s %s\n", cpu_name().c_str(),
               std::thread::hardware_concurrency(), machine.sysname, machine.release);
  std::fprintf(heading, "compiler  %s %s, %s\n",
#ifdef __clang__
               "clang", __clang_version__,
#else
               "g++", __VERSION__,
#endif
#ifdef NDEBUG
               "optimised"
#else
               "NOT optimised: figures mean nothing"
#endif
  );
  std::fprintf(heading, "peer      %s\n", OpenSSL_version(OPENSSL_VERSION));
  std::fprintf(heading, "commit    %s\n", commit != nullptr ? commit : "unknown");
  std::fprintf(
      heading,
      "method    medians of %d repetitions, ours and peer interleaved; ratio > 1 = ours "
      "better\n"
      "          cycles: of a core, an item; products: predicted multiplications mod p, for "
      "an item\n          or for the items that go through the kernels together (avx512: "
      "8)\n\n",
      kRepetitions);
  if (!json) {
    std::printf("%-20s %-9s %9s  %-18s %13s %13s %7s %9s %9s %10s  %s\n", "job", "backend", "batch",
                "unit", "ours", "peer", "ratio", "cycles", "products", "tables MB", "peer is");
  }
  // A figure that a job does not have is left out.
  const auto cell = [](double value, int decimals) {
    std::array<char, 32> text{};
    if (value != 0) std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
    return std::string(value != 0 ? text.data() : "-");
  };
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const Job& job = jobs[i];
    const auto* ours = collector.rates(job_key(job, "ours"));
    const auto* peer = collector.rates(job_key(job, "peer"));
    if (ours == nullptr || peer == nullptr) continue;  // it failed and said so: no row
    const double our_rate = median(*ours);
    const double peer_rate = median(*peer);
    const double cycles = clocks[i] / our_rate;
    const double products = collector.counter(job_key(job, "ours"), kProducts);
    const double table_bytes = collector.counter(job_key(job, "ours"), kTableBytes);
    if (json) {
      std::printf(
          "{\"job\":%s,\"backend\":%s,\"batch\":%zu,\"unit\":%s,\"ours\":%.1f,\"peer_name\":%s,"
          "\"peer\":%.1f,\"ratio\":%.3f,\"cycles\":%.0f,\"products\":%.0f,\"table_bytes\":%.0f}\n",
          json_string(job.name).c_str(), json_string(job.backend).c_str(), job.batch,
          json_string(job.unit).c_str(), our_rate, json_string(job.peer_name).c_str(), peer_rate,
          our_rate / peer_rate, cycles, products, table_bytes);
    } else {
      std::printf("%-20s %-9s %9zu  %-18s %13.0f %13.0f %7.2f %9s %9s %10s  %s\n", job.name.c_str(),
                  job.backend.c_str(), job.batch, job.unit.c_str(), our_rate, peer_rate,
                  our_rate / peer_rate, cell(cycles, 0).c_str(), cell(products, 0).c_str(),
                  cell(table_bytes / 1e6, 1).c_str(), job.peer_name.c_str());
    }
  }
  benchmark::Shutdown();
  return collector.failed() ? 1 : 0;
}

}  // namespace
}  // namespace colophon::bench

int main(int argc, char** argv) { return colophon::bench::run(argc, argv); }
