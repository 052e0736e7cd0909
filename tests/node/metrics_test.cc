// SPDX-License-Identifier: Apache-2.0
#include "node/metrics.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace colophon::node {
namespace {

constexpr std::string_view kNameCharacters = "abcdefghijklmnopqrstuvwxyz_";

// Takes a name off `rest`; empty if there is none.
std::string_view take_name(std::string_view& rest) {
  const std::string_view name = rest.substr(0, rest.find_first_not_of(kNameCharacters));
  rest.remove_prefix(name.size());
  return name;
}

// {name="value",…}, nothing in a value that would need an escape. Taken off `rest`.
bool take_labels(std::string_view& rest) {
  if (!rest.starts_with('{')) return true;
  do {
    rest.remove_prefix(1);
    if (take_name(rest).empty() || !rest.starts_with("=\"")) return false;
    rest.remove_prefix(2);
    const std::size_t end = rest.find('"');
    if (end == std::string_view::npos || rest.substr(0, end).find('\\') != std::string_view::npos) {
      return false;
    }
    rest.remove_prefix(end + 1);
  } while (rest.starts_with(','));
  if (!rest.starts_with('}')) return false;
  rest.remove_prefix(1);
  return true;
}

bool is_number(std::string_view text) {
  const std::string_view whole = text.substr(0, text.find('.'));
  const std::string_view decimals =
      whole.size() == text.size() ? "0" : text.substr(whole.size() + 1);
  constexpr std::string_view kDigits = "0123456789";
  return !whole.empty() && whole.find_first_not_of(kDigits) == std::string_view::npos &&
         !decimals.empty() && decimals.find_first_not_of(kDigits) == std::string_view::npos;
}

// The samples of a text in exposition format 0.0.4, by name and labels; fails the test where a line
// has another form, a sample has no TYPE before it, or a sample comes twice.
std::map<std::string, std::string> samples(const std::string& text) {
  std::map<std::string, std::string> found;
  std::map<std::string, std::string> types;
  std::istringstream lines(text);
  std::string line;
  EXPECT_TRUE(text.ends_with("\n"));
  while (std::getline(lines, line)) {
    std::string_view rest = line;
    if (rest.starts_with("# ")) {
      const bool is_type = rest.starts_with("# TYPE ");
      EXPECT_TRUE(is_type || rest.starts_with("# HELP ")) << line;
      rest.remove_prefix(7);
      const std::string name(take_name(rest));
      EXPECT_TRUE(!name.empty() && rest.size() > 1 && rest[0] == ' ') << line;
      if (!is_type) continue;
      EXPECT_TRUE(types.emplace(name, rest.substr(1)).second) << line;
      continue;
    }
    std::string family(take_name(rest));
    const bool is_sample =
        !family.empty() && take_labels(rest) && rest.starts_with(' ') && is_number(rest.substr(1));
    EXPECT_TRUE(is_sample) << "not a sample: " << line;
    if (!is_sample) continue;
    for (const std::string_view suffix : {"_bucket", "_sum", "_count"}) {
      if (types.contains(family) || !family.ends_with(suffix)) continue;
      family.resize(family.size() - suffix.size());
      EXPECT_EQ(types[family], "histogram") << line;
    }
    EXPECT_TRUE(types.contains(family)) << "no TYPE before: " << line;
    const std::string key = line.substr(0, line.size() - rest.size());
    EXPECT_TRUE(found.emplace(key, rest.substr(1)).second) << line;
  }
  return found;
}

TEST(HistogramTest, ABoundBelongsToItsBucket) {
  for (std::size_t i = 0; i < Histogram::kBoundsUs.size(); ++i) {
    Histogram histogram;
    const std::uint64_t bound = Histogram::kBoundsUs[i];
    histogram.record_us(bound);
    histogram.record_us(bound + 1);
    std::string text;
    histogram.render(text, "t", "help");
    const auto found = samples(text);
    char seconds[32];
    std::snprintf(seconds, sizeof seconds, "%llu.%06llu",
                  static_cast<unsigned long long>(bound / 1'000'000),
                  static_cast<unsigned long long>(bound % 1'000'000));
    EXPECT_EQ(found.at("t_bucket{le=\"" + std::string(seconds) + "\"}"), "1") << bound;
    EXPECT_EQ(found.at("t_bucket{le=\"+Inf\"}"), "2");
    EXPECT_EQ(found.at("t_count"), "2");
  }
}

TEST(HistogramTest, BucketsAreCumulativeAndTheSumIsInSeconds) {
  Histogram histogram;
  for (const std::uint64_t us : {0U, 499U, 600U, 70'000U, 5'000'001U, 12'000'000U}) {
    histogram.record_us(us);
  }
  std::string text;
  histogram.render(text, "t", "help");
  const auto found = samples(text);
  EXPECT_EQ(found.at("t_bucket{le=\"0.000500\"}"), "2");
  EXPECT_EQ(found.at("t_bucket{le=\"0.001000\"}"), "3");
  EXPECT_EQ(found.at("t_bucket{le=\"0.050000\"}"), "3");
  EXPECT_EQ(found.at("t_bucket{le=\"0.100000\"}"), "4");
  EXPECT_EQ(found.at("t_bucket{le=\"5.000000\"}"), "4");
  EXPECT_EQ(found.at("t_bucket{le=\"+Inf\"}"), "6");
  EXPECT_EQ(found.at("t_count"), "6");
  EXPECT_EQ(found.at("t_sum"), "17.071100");
  EXPECT_EQ(found.size(), Histogram::kBoundsUs.size() + 3);
}

TEST(MetricsTest, RendersWhatWasCounted) {
  Metrics metrics;
  metrics.count_committed(3);
  metrics.count_committed(4);
  metrics.count_block(5);
  metrics.count_block(0);
  metrics.count_refused(ErrorCode::kMalformed);
  metrics.count_refused(ErrorCode::kExpired);
  metrics.count_refused(ErrorCode::kExpired);
  metrics.sync_seconds.record_us(1);
  Gauges gauges;
  gauges.height = 11;
  gauges.log_size = 12;
  gauges.queue_depth = 13;
  gauges.backend = "openssl";
  gauges.ordering = "solo";
  gauges.tables.bytes = 14;
  gauges.tables.bytes_max = std::size_t{1} << 33;
  gauges.tables.tables = 15;
  auto found = samples(metrics.render(gauges));
  EXPECT_EQ(found.at("colophon_build_info{backend=\"openssl\",ordering=\"solo\"}"), "1");
  EXPECT_EQ(found.at("colophon_accepting"), "1");
  EXPECT_EQ(found.at("colophon_block_height"), "11");
  EXPECT_EQ(found.at("colophon_log_size"), "12");
  EXPECT_EQ(found.at("colophon_queue_depth"), "13");
  EXPECT_EQ(found.at("colophon_key_tables_bytes{backend=\"openssl\"}"), "14");
  EXPECT_EQ(found.at("colophon_key_tables_bytes_max{backend=\"openssl\"}"), "8589934592");
  EXPECT_EQ(found.at("colophon_key_tables{backend=\"openssl\"}"), "15");
  EXPECT_EQ(found.at("colophon_transactions_committed_total"), "7");
  EXPECT_EQ(found.at("colophon_blocks_total"), "2");
  EXPECT_EQ(found.at("colophon_events_total"), "5");
  EXPECT_EQ(found.at("colophon_transactions_refused_total{code=\"malformed\"}"), "1");
  EXPECT_EQ(found.at("colophon_transactions_refused_total{code=\"expired\"}"), "2");
  EXPECT_EQ(found.at("colophon_transactions_refused_total{code=\"io\"}"), "0");
  EXPECT_EQ(found.at("colophon_sync_seconds_count"), "1");
  EXPECT_EQ(found.at("colophon_block_seconds_count"), "0");
  EXPECT_EQ(found.at("colophon_verify_seconds_count"), "0");
  for (const auto& [key, value] : found) EXPECT_FALSE(key.starts_with("colophon_gpu_")) << key;
  gauges.accepting = false;
  found = samples(metrics.render(gauges));
  EXPECT_EQ(found.at("colophon_accepting"), "0");
}

TEST(MetricsTest, AGpuHasItsOwn) {
  Gauges gauges;
  gauges.gpu.emplace();
  gauges.gpu->index = 1;
  gauges.gpu->name = "A \"card\"\\\n";
  gauges.gpu->compute_capability = "9.0";
  gauges.gpu->driver = "13.0";
  gauges.gpu->memory_bytes = std::size_t{80} << 30;
  gauges.gpu->in_use = true;
  gauges.gpu->faults = 2;
  gauges.gpu->signatures = 3;
  gauges.gpu->signatures_on_cpu = 4;
  const Metrics metrics;
  auto found = samples(metrics.render(gauges));
  EXPECT_EQ(found.at("colophon_gpu_info{device=\"1\",name=\"A ?card???\","
                     "compute_capability=\"9.0\",driver=\"13.0\"}"),
            "1");
  EXPECT_EQ(found.at("colophon_gpu_in_use{device=\"1\"}"), "1");
  EXPECT_EQ(found.at("colophon_gpu_memory_bytes{device=\"1\"}"), "85899345920");
  EXPECT_EQ(found.at("colophon_gpu_faults_total{device=\"1\"}"), "2");
  EXPECT_EQ(found.at("colophon_gpu_signatures_total{device=\"1\"}"), "3");
  EXPECT_EQ(found.at("colophon_gpu_fallback_signatures_total{device=\"1\"}"), "4");
  gauges.gpu->in_use = false;
  found = samples(metrics.render(gauges));
  EXPECT_EQ(found.at("colophon_gpu_in_use{device=\"1\"}"), "0");
}

TEST(MetricsTest, EveryErrorCodeHasItsCounter) {
  Metrics metrics;
  std::set<std::string> names;
  for (int code = 1; code <= static_cast<int>(ErrorCode::kInternal); ++code) {
    for (int i = 0; i < code; ++i) metrics.count_refused(static_cast<ErrorCode>(code));
  }
  const auto found = samples(metrics.render({}));
  for (int code = 1; code <= static_cast<int>(ErrorCode::kInternal); ++code) {
    const std::string name(error_code_name(static_cast<ErrorCode>(code)));
    EXPECT_TRUE(names.insert(name).second) << name;
    EXPECT_EQ(found.at("colophon_transactions_refused_total{code=\"" + name + "\"}"),
              std::to_string(code));
  }
}

TEST(MetricsTest, CountsOfSeveralThreadsAddUp) {
  constexpr int kThreads = 4;
  constexpr int kEach = 20'000;
  Metrics metrics;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&metrics] {
      for (int i = 0; i < kEach; ++i) {
        metrics.count_committed(1);
        metrics.count_refused(ErrorCode::kMalformed);
        metrics.block_seconds.record_us(1000);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto found = samples(metrics.render({}));
  const std::string all = std::to_string(kThreads * kEach);
  EXPECT_EQ(found.at("colophon_transactions_committed_total"), all);
  EXPECT_EQ(found.at("colophon_transactions_refused_total{code=\"malformed\"}"), all);
  EXPECT_EQ(found.at("colophon_block_seconds_count"), all);
  EXPECT_EQ(found.at("colophon_block_seconds_sum"), "80.000000");
}

}  // namespace
}  // namespace colophon::node
