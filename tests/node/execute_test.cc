// SPDX-License-Identifier: Apache-2.0
//
// The state machine with contracts that do what none of the chain's own does yet: write and then
// fail, log several events or none, erase. This program has its own find_contract() in place of the
// one in node/contracts/contracts.cc.
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "node/bytes.h"
#include "node/contracts/contract.h"
#include "node/state_machine.h"
#include "tests/node/certificate_forge.h"
#include "tests/node/contract_chain.h"

namespace colophon::node {
namespace {

// The payload is its program, one step a line: "put KEY VALUE", "erase KEY", "expect KEY VALUE",
// "missing KEY", "event SUBJECT", "fail".
class ScriptContract final : public Contract {
 public:
  std::string_view name() const noexcept override { return "script"; }
  Result<void> check(ByteSpan) const override { return {}; }
  Result<nlohmann::json> event_data_json(std::string_view, ByteSpan) const override {
    return make_error(ErrorCode::kUnsupported, "a test's event has no JSON", "type");
  }

  Result<void> apply(ContractContext& context, ByteSpan payload) const override {
    std::istringstream lines{std::string(as_text(payload))};
    std::string line, step, key, value;
    while (std::getline(lines, line)) {
      std::istringstream words(line);
      step.clear(), key.clear(), value.clear();
      words >> step >> key >> value;
      if (step == "put") context.state.put(key, value);
      if (step == "erase") context.state.erase(key);
      if (step == "event") context.events.push_back({"happened", key, "data"});
      if (step == "expect" || step == "missing") {
        COLOPHON_TRY_ASSIGN(const auto found, context.state.get(key));
        EXPECT_EQ(found.has_value(), step == "expect") << line;
        EXPECT_EQ(found.value_or(""), value) << line;
      }
      if (step == "fail") return make_error(ErrorCode::kInvalidArgument, "as the script says", key);
    }
    return {};
  }
};

}  // namespace

const Contract* find_contract(std::string_view name) noexcept {
  static const ScriptContract script;
  return name == script.name() ? &script : nullptr;
}

namespace {

using test::Chain;
using test::MemorySigner;
using test::Refusal;
using test::refusal;
using test::succeeded;

class ExecuteTest : public ::testing::Test {
 protected:
  std::string script(std::string lines) { return chain.sign(*signer, "script", std::move(lines)); }

  Chain chain;
  std::unique_ptr<MemorySigner> signer = MemorySigner::create(hsm::KeyType::kEd25519, 1);
};

TEST_F(ExecuteTest, WhatAFailingTransactionWroteAndLoggedIsGone) {
  chain.state.entries = {{"kept", "old"}, {"other", "old"}};
  const auto outcomes = chain.block(
      {script("put kept 1\nput new 1\nevent a\n"),
       script("put kept 2\nerase other\nput new 2\nput more 2\nevent b\nevent c\nfail field\n"),
       script("expect kept 1\nexpect new 1\nexpect other old\nmissing more\nevent d\n")});
  EXPECT_TRUE(succeeded(outcomes[0]));
  EXPECT_EQ(refusal(outcomes[1]), (Refusal{ErrorCode::kInvalidArgument, "field"}));
  EXPECT_TRUE(succeeded(outcomes[2]));
  EXPECT_EQ(chain.state.contracts(),
            (test::MapState::Entries{{"kept", "1"}, {"new", "1"}, {"other", "old"}}));
  ASSERT_EQ(chain.leaves.size(), 2U);
  EXPECT_EQ(chain.event(0).subject(), "a");
  EXPECT_EQ(chain.event(1).subject(), "d");
  EXPECT_EQ(chain.event(1).index(), 1U);
  // It was not seen either: alone it fails for its own reason again.
  EXPECT_EQ(outcomes[2].first_event, 1U);
}

TEST_F(ExecuteTest, FailingTransactionIsNotSeen) {
  const std::string failing = script("put a 1\nfail field\n");
  const Refusal refused{ErrorCode::kInvalidArgument, "field"};
  const auto outcomes = chain.block({failing, failing, script("put b 1\n")});
  EXPECT_EQ(refusal(outcomes[0]), refused);
  EXPECT_EQ(refusal(outcomes[1]), refused);
  EXPECT_EQ(refusal(chain.run(failing)), refused);
}

TEST_F(ExecuteTest, TransactionReadsItsOwnWritesAndThoseBeforeIt) {
  chain.state.entries = {{"a", "0"}};
  const auto outcomes =
      chain.block({script("expect a 0\nput a 1\nexpect a 1\nerase a\nmissing a\nput a 2\n"),
                   script("expect a 2\nerase a\nmissing a\n"), script("missing a\nput b 3\n")});
  for (const Outcome& outcome : outcomes) EXPECT_TRUE(succeeded(outcome));
  EXPECT_EQ(chain.state.contracts(), (test::MapState::Entries{{"b", "3"}}));
  EXPECT_TRUE(succeeded(chain.run(script("missing a\nexpect b 3\n"))));
}

TEST_F(ExecuteTest, SeveralEventsOfATransactionFollowEachOther) {
  ASSERT_TRUE(succeeded(chain.run(script("event z\n"))));
  const auto outcomes =
      chain.block({script("event a\nevent b\nevent c\n"), script("put x 1\n"),
                   script("event d\nfail field\n"), script("event e\nevent f\n")});
  EXPECT_EQ(outcomes[0].first_event, 1U);
  EXPECT_EQ(outcomes[0].events, 3U);
  EXPECT_EQ(outcomes[1].first_event, 4U);
  EXPECT_EQ(outcomes[1].events, 0U);
  EXPECT_EQ(outcomes[3].first_event, 4U);
  EXPECT_EQ(outcomes[3].events, 2U);
  std::string subjects;
  for (std::size_t i = 0; i < chain.leaves.size(); ++i) {
    EXPECT_EQ(chain.event(i).index(), i);
    EXPECT_EQ(chain.event(i).data(), "data");
    EXPECT_EQ(chain.event(i).contract(), "script");
    subjects += chain.event(i).subject();
  }
  EXPECT_EQ(subjects, "zabcef");
}

TEST_F(ExecuteTest, OtherContractsOfTheChainAreNotHere) {
  EXPECT_EQ(refusal(chain.run(*signer, "registry", "payload")),
            (Refusal{ErrorCode::kNotFound, "contract"}));
}

}  // namespace
}  // namespace colophon::node
