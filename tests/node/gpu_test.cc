// SPDX-License-Identifier: Apache-2.0
//
// A node whose backend works on a GPU, emulated: a fault costs no transaction, is logged once and
// counted, and the GPU comes back.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "colophon/backend.hpp"
#include "node/node.h"
#include "tests/gpu_emulator/cuda_runtime.h"
#include "tests/node/consortium.h"
#include "tests/node/simulated_disk.h"

namespace colophon::node {
namespace {

using namespace test;  // NOLINT: the tests' own

constexpr std::string_view kGpu = "GPU 0 (Colophon GPU emulator)";

class NodeOnGpu : public ::testing::Test {
 protected:
  Result<std::unique_ptr<Node>> open(const std::string& backend, std::uint64_t table_memory = 0) {
    NodeConfig config = prompt_config();
    config.backend = backend;
    config.table_memory = table_memory;
    config.log = [this](std::string_view level, std::string_view message) {
      const std::scoped_lock guard(mutex_);
      lines_.push_back(std::string(level) + " " + std::string(message));
    };
    return open_node(consortium_, outside_.with(disk_), config);
  }
  // Logged lines that begin so, since the last call.
  std::vector<std::string> logged(std::string_view begin) {
    const std::scoped_lock guard(mutex_);
    std::vector<std::string> found;
    for (const std::string& line : lines_) {
      if (line.starts_with(begin)) found.push_back(line);
    }
    lines_.clear();
    return found;
  }
  static std::uint64_t sample(const Node& node, const std::string& name) {
    const std::string text = "\n" + node.metrics();
    const std::size_t at = text.find("\n" + name + "{device=\"0\"} ");
    if (at == std::string::npos) return UINT64_MAX;
    return std::stoull(text.substr(text.find(' ', at)));
  }

  Consortium consortium_;
  SimulatedDisk disk_;
  TestEnvironment outside_;
  std::mutex mutex_;
  std::vector<std::string> lines_;
};

TEST_F(NodeOnGpu, AFaultIsLoggedOnceCostsNoTransactionAndTheGpuComesBack) {
  auto opened = open("cuda");
  ASSERT_TRUE(is_ok(opened));
  Node& node = **opened;
  EXPECT_EQ(node.status().backend, "cuda");
  EXPECT_EQ(logged("INFO backend cuda was asked for").size(), 1U);
  const std::uint64_t at_start = sample(node, "colophon_gpu_signatures_total");
  std::vector<Receipt> receipts = submit_all(node, consortium_.founding());
  const auto take = [&](std::size_t count) {
    for (Receipt& one : submit_all(node, consortium_.registrations(count))) {
      receipts.push_back(std::move(one));
    }
  };
  take(10);
  EXPECT_EQ(sample(node, "colophon_gpu_in_use"), 1U);
  EXPECT_EQ(sample(node, "colophon_gpu_faults_total"), 0U);
  EXPECT_GE(sample(node, "colophon_gpu_signatures_total"), at_start + 10);
  EXPECT_EQ(sample(node, "colophon_gpu_fallback_signatures_total"), 0U);
  EXPECT_NE(node.metrics().find("colophon_gpu_info{device=\"0\",name=\"Colophon GPU emulator\","
                                "compute_capability=\"9.0\",driver=\"13.0\"} 1\n"),
            std::string::npos);
  EXPECT_EQ(logged("").size(), 0U);

  const std::uint64_t on_gpu = sample(node, "colophon_gpu_signatures_total");
  gpu_emulator::add_fault({"kernel", gpu_emulator::calls("kernel") + 1, 1, cudaErrorIllegalAddress,
                           gpu_emulator::Effect::kBreak});
  take(4);  // only a later one tries the GPU again
  EXPECT_EQ(gpu_emulator::faults_met().size(), 1U);
  const std::vector<std::string> told = logged("");
  ASSERT_EQ(told.size(), 1U) << ::testing::PrintToString(told);
  EXPECT_TRUE(told[0].starts_with("WARN " + std::string(kGpu) + " failed: ")) << told[0];
  EXPECT_NE(told[0].find("cudaErrorIllegalAddress"), std::string::npos) << told[0];
  EXPECT_TRUE(node.status().accepting);  // what /v1/health says
  EXPECT_EQ(sample(node, "colophon_gpu_in_use"), 0U);
  EXPECT_EQ(sample(node, "colophon_gpu_faults_total"), 1U);
  EXPECT_EQ(sample(node, "colophon_gpu_signatures_total"), on_gpu);
  EXPECT_EQ(sample(node, "colophon_gpu_fallback_signatures_total"), 4U);

  // The retry comes with a submission, a second after the fault.
  for (int i = 0; i < 100 && sample(node, "colophon_gpu_in_use") == 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    take(1);
  }
  EXPECT_EQ(logged(""), std::vector<std::string>{"INFO " + std::string(kGpu) + " is in use again"});
  EXPECT_EQ(sample(node, "colophon_gpu_in_use"), 1U);
  EXPECT_EQ(sample(node, "colophon_gpu_faults_total"), 1U);
  const std::uint64_t on_cpu = sample(node, "colophon_gpu_fallback_signatures_total");
  take(4);
  EXPECT_EQ(sample(node, "colophon_gpu_fallback_signatures_total"), on_cpu);
  EXPECT_GE(sample(node, "colophon_gpu_signatures_total"), on_gpu + 4);
  EXPECT_EQ(logged("").size(), 0U);
  expect_committed(node, receipts);
  EXPECT_TRUE(gpu_emulator::findings().empty());
}

// A signature that is wrong is refused by the kernels as by any CPU.
TEST_F(NodeOnGpu, RefusesWhatDoesNotVerify) {
  auto opened = open("cuda");
  ASSERT_TRUE(is_ok(opened));
  Node& node = **opened;
  submit_all(node, consortium_.founding());
  std::vector<std::string> transactions = consortium_.registrations(3);
  transactions[1].back() = static_cast<char>(transactions[1].back() ^ 1);  // of its signature
  const std::uint64_t before = sample(node, "colophon_gpu_signatures_total");
  const auto results = node.submit(views(transactions));
  ASSERT_EQ(results.size(), 3U);
  EXPECT_TRUE(is_ok(results[0]));
  ASSERT_FALSE(results[1].ok());
  EXPECT_EQ(results[1].error().code, ErrorCode::kInvalidSignature);
  EXPECT_TRUE(is_ok(results[2]));
  EXPECT_EQ(sample(node, "colophon_gpu_signatures_total"), before + 3);
}

TEST_F(NodeOnGpu, MoreTableMemoryThanTheCardHasIsAnErrorAndUnderAutoTheCpuServes) {
  constexpr std::uint64_t kTooMuch = std::uint64_t{9} << 30;
  for (const char* name : {"cuda", "cuda:0"}) {
    const auto refused = open(name, kTooMuch);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(refused.error().field, "table_memory");
    EXPECT_NE(refused.error().message.find("9663676416 bytes, but GPU 0 has room for "),
              std::string::npos)
        << refused.error().message;
  }
  const auto absent = open("cuda:1");
  ASSERT_FALSE(absent.ok());
  EXPECT_EQ(absent.error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(absent.error().field, "backend");
  EXPECT_NE(absent.error().message.find("there is no GPU 1; their indices end at 0"),
            std::string::npos);

  auto opened = open("auto", kTooMuch);
  ASSERT_TRUE(is_ok(opened));
  Node& node = **opened;
  EXPECT_NE(node.status().backend, "cuda");
  const std::vector<std::string> told = logged("WARN table_memory is 9663676416 bytes, but GPU 0");
  EXPECT_EQ(told.size(), 1U);
  submit_all(node, consortium_.founding());
  EXPECT_EQ(sample(node, "colophon_gpu_in_use"), 0U);

  // What the card has room for, it gets; a CPU that was asked for is nothing to be told of.
  opened = Result<std::unique_ptr<Node>>(std::unique_ptr<Node>());
  opened = open("auto", std::uint64_t{1} << 30);
  ASSERT_TRUE(is_ok(opened));
  EXPECT_EQ((*opened)->status().backend, "cuda");
  EXPECT_NE(
      (*opened)->metrics().find("colophon_key_tables_bytes_max{backend=\"cuda\"} 1073741824\n"),
      std::string::npos);
  opened = Result<std::unique_ptr<Node>>(std::unique_ptr<Node>());
  opened = open("portable");
  ASSERT_TRUE(is_ok(opened));
  EXPECT_EQ((*opened)->metrics().find("colophon_gpu_"), std::string::npos);
}

}  // namespace
}  // namespace colophon::node
