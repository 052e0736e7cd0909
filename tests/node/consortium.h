// SPDX-License-Identifier: Apache-2.0
//
// A whole node for tests: set clock, seeded randomness, no network, a disk of the test's choice,
// and a consortium of one organization with one member whose registrations it takes.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "node/environment.h"
#include "node/fsck.h"
#include "node/node.h"
#include "tests/node/contract_chain.h"
#include "tests/node/lent_signer.h"
#include "tests/node/memory_signer.h"

namespace colophon::node::test {

class SetClock final : public Clock {
 public:
  explicit SetClock(std::uint64_t time_ms = kGenesisMs + 1) : now_us_(time_ms * 1000) {}
  std::uint64_t now_ms() override { return now_us_ / 1000; }
  std::uint64_t monotonic_us() override { return now_us_; }
  // Real time: what is set is only what the clock says.
  void wait(std::condition_variable& condition, std::unique_lock<std::mutex>& guard,
            std::uint64_t us) override {
    condition.wait_for(guard, std::chrono::microseconds(us));
  }
  void advance_ms(std::uint64_t ms) { now_us_ += ms * 1000; }

 private:
  std::atomic<std::uint64_t> now_us_;
};

class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed = 0) : generator_(seed) {}
  void fill(std::span<std::uint8_t> out) override {
    const std::scoped_lock guard(mutex_);
    for (std::uint8_t& byte : out) byte = static_cast<std::uint8_t>(generator_());
  }

 private:
  std::mutex mutex_;
  std::mt19937_64 generator_;
};

class NoNetwork final : public Network {
 public:
  Result<std::unique_ptr<HttpListener>> serve_http(const std::string&, std::uint16_t, std::size_t,
                                                   HttpHandler) override {
    return make_error(ErrorCode::kUnavailable, "this test has no network", "listen");
  }
};

inline std::vector<std::string_view> views(const std::vector<std::string>& strings) {
  return {strings.begin(), strings.end()};
}

// Keys, genesis and transactions; signing needs no node.
class Consortium {
 public:
  Consortium()
      : log_key(MemorySigner::create(hsm::KeyType::kEd25519, 2000)),
        acme("acme-studio", 2001),
        press("globe-press", 2002),
        member(MemorySigner::create(hsm::KeyType::kP256, 2003)) {
    chain.genesis.log_public_key = log_key->public_key().raw;
  }

  [[nodiscard]] const Genesis& genesis() const { return chain.genesis; }

  // Both organizations and the member of the first: a block of their own, before anything else.
  [[nodiscard]] std::vector<std::string> founding() {
    return {chain.sign(*chain.administrator, "membership",
                       enrol_organization(acme.id, "Acme Studio", acme.ca_certificate)),
            chain.sign(*chain.administrator, "membership",
                       enrol_organization(press.id, "Globe Press", press.ca_certificate)),
            chain.sign(*member, "membership", enrol_member(acme.id, acme.certify(*member)))};
  }
  // Of another document each.
  [[nodiscard]] std::string registration() {
    const std::uint64_t number = ++documents_;
    return chain.sign(*member, "registry",
                      register_document(sha256("document " + std::to_string(number)),
                                        "Title " + std::to_string(number)));
  }
  [[nodiscard]] std::vector<std::string> registrations(std::size_t count) {
    std::vector<std::string> made;
    for (std::size_t i = 0; i < count; ++i) made.push_back(registration());
    return made;
  }

  Chain chain;
  std::unique_ptr<MemorySigner> log_key;
  TestOrganization acme;
  TestOrganization press;
  std::unique_ptr<MemorySigner> member;

 private:
  std::uint64_t documents_ = 0;
};

// What a node needs from outside but the disk, which must outlive it.
struct TestEnvironment {
  SetClock clock;
  SeededRandom random;
  NoNetwork network;

  [[nodiscard]] Environment with(rocksdb::Env& disk) {
    return Environment{clock, random, disk, network};
  }
};

// Closes a block as soon as something is queued: a submit() call is a block, where one thread
// submits.
inline NodeConfig prompt_config(std::string directory = "/data") {
  NodeConfig config;
  config.data_directory = std::move(directory);
  config.block_deadline_ms = 0;
  config.backend = "openssl";
  return config;
}

inline Result<std::unique_ptr<Node>> open_node(const Consortium& consortium,
                                               Environment environment,
                                               const NodeConfig& config = prompt_config()) {
  return Node::open(config, consortium.genesis(), environment,
                    std::make_unique<LentSigner>(*consortium.log_key));
}

template <class T>
::testing::AssertionResult is_ok(const Result<T>& result) {
  if (result) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << error_code_name(result.error().code) << " at '"
                                       << result.error().field << "': " << result.error().message;
}

inline bool operator==(const Receipt& a, const Receipt& b) {
  return a.transaction_id == b.transaction_id && a.block_height == b.block_height &&
         a.events == b.events && a.subjects == b.subjects;
}

// All of them must be accepted.
inline std::vector<Receipt> submit_all(Node& node, const std::vector<std::string>& transactions) {
  std::vector<Receipt> receipts;
  for (auto& result : node.submit(views(transactions))) {
    EXPECT_TRUE(is_ok(result));
    if (result) receipts.push_back(*std::move(result));
  }
  return receipts;
}

// Every receipt is found again as it was given.
inline void expect_committed(const Node& node, const std::vector<Receipt>& receipts) {
  for (const Receipt& receipt : receipts) {
    const auto found = node.transaction(receipt.transaction_id);
    ASSERT_TRUE(is_ok(found));
    EXPECT_TRUE(*found == receipt)
        << "height " << found->block_height << " instead of " << receipt.block_height;
  }
}

inline void expect_clean(const Consortium& consortium, Environment environment,
                         const std::string& directory = "/data") {
  const auto report = fsck(directory, consortium.genesis(), environment, {});
  ASSERT_TRUE(is_ok(report));
  EXPECT_EQ(report->findings, std::vector<std::string>());
}

}  // namespace colophon::node::test
