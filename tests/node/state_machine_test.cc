// SPDX-License-Identifier: Apache-2.0
#include "node/state_machine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "node/big_endian.h"
#include "node/bytes.h"
#include "node/event.h"
#include "node/node.h"
#include "node/state.h"
#include "tests/node/certificate_forge.h"
#include "tests/node/contract_chain.h"

namespace colophon::node {
namespace {

using test::Chain;
using test::kExists;
using test::kExpired;
using test::MapState;
using test::MemorySigner;
using test::must;
using test::Refusal;
using test::refusal;
using test::register_document;
using test::sha256;
using test::succeeded;
using test::TestOrganization;

// --- the overlay ---------------------------------------------------------------------------------

using Value = std::optional<std::string>;

TEST(StateOverlayTest, ReadsSeeTheTransactionThenTheBlockThenTheBase) {
  MapState base;
  base.entries = {{"a", "base"}, {"b", "base"}, {"c", "base"}};
  StateOverlay overlay(base);
  overlay.put("a", "block");
  overlay.erase("b");
  overlay.commit_transaction();
  EXPECT_EQ(must(overlay.get("a")), Value("block"));
  EXPECT_EQ(must(overlay.get("b")), Value());
  EXPECT_EQ(must(overlay.get("c")), Value("base"));
  EXPECT_EQ(must(overlay.get("d")), Value());
  overlay.put("a", "transaction");
  overlay.put("b", "transaction");
  overlay.erase("c");
  EXPECT_EQ(must(overlay.get("a")), Value("transaction"));
  EXPECT_EQ(must(overlay.get("b")), Value("transaction"));
  EXPECT_EQ(must(overlay.get("c")), Value());
  // What is not committed is not the block's.
  EXPECT_EQ(overlay.writes(), (StateOverlay::Writes{{"a", "block"}, {"b", std::nullopt}}));
  EXPECT_EQ(base.entries.size(), 3U);
}

TEST(StateOverlayTest, DiscardTakesBackTheTransactionAndNothingElse) {
  MapState base;
  base.entries = {{"a", "base"}, {"b", "base"}};
  StateOverlay overlay(base);
  overlay.put("a", "first");
  overlay.commit_transaction();
  overlay.put("a", "second");
  overlay.erase("b");
  overlay.put("c", "second");
  overlay.discard_transaction();
  EXPECT_EQ(must(overlay.get("a")), Value("first"));
  EXPECT_EQ(must(overlay.get("b")), Value("base"));
  EXPECT_EQ(must(overlay.get("c")), Value());
  EXPECT_EQ(overlay.writes(), (StateOverlay::Writes{{"a", "first"}}));
  overlay.commit_transaction();  // of nothing
  EXPECT_EQ(overlay.writes(), (StateOverlay::Writes{{"a", "first"}}));
}

TEST(StateOverlayTest, LaterCommitReplacesTheEarlier) {
  const MapState base;
  StateOverlay overlay(base);
  overlay.put("a", "1");
  overlay.put("a", "2");
  overlay.put("b", "1");
  overlay.commit_transaction();
  overlay.erase("a");
  overlay.put("b", "2");
  overlay.commit_transaction();
  EXPECT_EQ(overlay.writes(), (StateOverlay::Writes{{"a", std::nullopt}, {"b", "2"}}));
  overlay.put("a", "3");
  overlay.commit_transaction();
  EXPECT_EQ(overlay.writes(), (StateOverlay::Writes{{"a", "3"}, {"b", "2"}}));
}

// Has nothing, and fails for keys that say with which message.
class FailingState final : public StateReader {
 public:
  Result<Value> get(std::string_view key) const override {
    if (!key.starts_with("fail ")) return Value();
    return make_error(ErrorCode::kIo, std::string(key), "data");
  }
};

TEST(StateOverlayTest, FirstErrorOfTheReaderIsKept) {
  const FailingState base;
  StateOverlay overlay(base);
  overlay.put("fail 0", "1");
  EXPECT_TRUE(overlay.get("b").ok());
  EXPECT_EQ(must(overlay.get("fail 0")), Value("1"));  // needs no reader
  EXPECT_FALSE(overlay.read_error());
  EXPECT_FALSE(overlay.get("fail 1").ok());
  EXPECT_FALSE(overlay.get("fail 2").ok());
  EXPECT_TRUE(overlay.get("b").ok());
  ASSERT_TRUE(overlay.read_error());
  EXPECT_EQ(overlay.read_error()->code, ErrorCode::kIo);
  EXPECT_EQ(overlay.read_error()->message, "fail 1");
}

// Random transactions against a map that is copied, changed, and kept or thrown away.
TEST(StateOverlayTest, BehavesAsACopiedMap) {
  std::mt19937_64 random(17);
  for (int round = 0; round < 200; ++round) {
    MapState base;
    for (char key = 'a'; key < 'f'; ++key) {
      if (random() % 2 == 0) base.entries[std::string(1, key)] = "base";
    }
    StateOverlay overlay(base);
    auto block = base.entries;
    auto transaction = block;
    for (int step = 0; step < 60; ++step) {
      const std::string key(1, static_cast<char>('a' + random() % 6));
      switch (random() % 5) {
        case 0:
          overlay.put(key, std::to_string(step));
          transaction[key] = std::to_string(step);
          break;
        case 1:
          overlay.erase(key);
          transaction.erase(key);
          break;
        case 2:
          overlay.commit_transaction();
          block = transaction;
          break;
        case 3:
          overlay.discard_transaction();
          transaction = block;
          break;
        default:
          break;
      }
      const auto found = transaction.find(key);
      ASSERT_EQ(must(overlay.get(key)), found == transaction.end() ? Value() : found->second);
    }
    Execution nothing_erased;
    base.apply(nothing_erased, overlay.writes());
    ASSERT_EQ(base.entries, block) << round;
  }
}

// --- blocks --------------------------------------------------------------------------------------

class StateMachineTest : public ::testing::Test {
 protected:
  StateMachineTest() {
    acme.enrol(chain);
    archive.enrol(chain);
    acme.enrol(chain, *ann);
    archive.enrol(chain, *bob);
  }

  std::string registration(std::string_view document) {
    return chain.sign(*ann, "registry", register_document(sha256(document)));
  }
  std::string registration(std::string_view document, std::uint64_t created_at_ms,
                           std::uint64_t expires_at_ms) {
    return chain.sign(*ann, "registry", register_document(sha256(document)), created_at_ms,
                      expires_at_ms);
  }
  [[nodiscard]] std::string seen_key(const std::string& transaction) const {
    const TransactionView view = must(parse_transaction(as_bytes(transaction)));
    return "seen/" + big_endian(view.expires_at_ms) + test::text_of(chain.id(transaction));
  }
  [[nodiscard]] std::size_t seen_keys() const {
    return static_cast<std::size_t>(std::ranges::count_if(
        chain.state.entries,
        [](const auto& entry) { return entry.first.starts_with(kSeenPrefix); }));
  }

  Chain chain;
  TestOrganization acme{"acme", 1};
  TestOrganization archive{"archive", 2};
  std::unique_ptr<MemorySigner> ann = MemorySigner::create(hsm::KeyType::kP256, 11);
  std::unique_ptr<MemorySigner> bob = MemorySigner::create(hsm::KeyType::kEd25519, 12);
};

TEST_F(StateMachineTest, OutcomesNameTheEventsOfEachTransaction) {
  const std::uint64_t before = chain.leaves.size();
  const std::vector<std::string> transactions{registration("1"), registration("1"),
                                              registration("2"), registration("3")};
  const auto outcomes = chain.block(transactions);
  ASSERT_EQ(outcomes.size(), 4U);
  EXPECT_TRUE(succeeded(outcomes[0]));
  EXPECT_EQ(refusal(outcomes[1]), (Refusal{kExists, "document_sha256"}));
  EXPECT_TRUE(succeeded(outcomes[2]));
  EXPECT_TRUE(succeeded(outcomes[3]));
  EXPECT_EQ(outcomes[0].first_event, before);
  EXPECT_EQ(outcomes[2].first_event, before + 1);
  EXPECT_EQ(outcomes[3].first_event, before + 2);
  ASSERT_EQ(chain.leaves.size(), before + 3);
  for (const std::size_t i : {0U, 2U, 3U}) {
    EXPECT_EQ(outcomes[i].events, 1U);
    const proto::Event event = chain.event(outcomes[i].first_event);
    EXPECT_EQ(event.version(), 1U);
    EXPECT_EQ(event.index(), outcomes[i].first_event);
    EXPECT_EQ(event.block_height(), chain.height);
    EXPECT_EQ(event.block_time_ms(), chain.now_ms);
    EXPECT_EQ(event.transaction_id(), as_text(chain.id(transactions[i])));
    EXPECT_TRUE(event_json(as_bytes(chain.leaves[outcomes[i].first_event])).ok());
  }
}

TEST_F(StateMachineTest, EmptyBlockDoesNothing) {
  const Execution execution = must(chain.execute_only({}));
  EXPECT_TRUE(execution.outcomes.empty());
  EXPECT_TRUE(execution.events.empty());
  EXPECT_TRUE(chain.writes.empty());
}

// A block with failing transactions is the block without them.
TEST_F(StateMachineTest, FailedTransactionLeavesNoTrace) {
  const std::string first = registration("1");
  const std::string second = registration("2");
  const std::string third = registration("3");
  const std::vector<std::string> failing{
      chain.sign(*bob, "registry", test::transfer(sha256("none"), "acme", 1)),
      chain.sign(*chain.administrator, "registry", register_document(sha256("4"))),
      chain.sign(*ann, "licence", "payload"),
      chain.sign(*ann, "registry", "not a call"),
      registration("5", chain.now_ms - 10, chain.now_ms),
      registration("6", chain.now_ms + kFutureMsMax + 1, chain.now_ms + kFutureMsMax + 2),
      first,
      registration("1")};
  const Execution clean = must(chain.execute_only({first, second, third}));
  const auto clean_writes = chain.writes;
  std::vector<std::string> mixed{first};
  for (const std::string& one : failing) mixed.push_back(one);
  mixed.push_back(second);
  for (const std::string& one : failing) mixed.push_back(one);
  mixed.push_back(third);
  const Execution dirty = must(chain.execute_only(mixed));
  EXPECT_EQ(chain.writes, clean_writes);
  ASSERT_EQ(dirty.events.size(), clean.events.size());
  for (std::size_t i = 0; i < clean.events.size(); ++i) {
    EXPECT_EQ(dirty.events[i].leaf, clean.events[i].leaf);
    EXPECT_EQ(dirty.events[i].subject, clean.events[i].subject);
  }
  std::size_t failed = 0;
  for (const Outcome& outcome : dirty.outcomes) failed += outcome.error ? 1 : 0;
  EXPECT_EQ(failed, 2 * failing.size());
}

TEST_F(StateMachineTest, UnknownContractIsNamed) {
  for (const char* contract : {"licence", "registr", "registry2", "membershi"}) {
    EXPECT_EQ(refusal(chain.run(*ann, contract, "payload")),
              (Refusal{ErrorCode::kNotFound, "contract"}));
  }
}

TEST_F(StateMachineTest, FailedTransactionMaySucceedLater) {
  const TestOrganization third("third", 5);
  const auto cy = MemorySigner::create(hsm::KeyType::kP256, 16);
  const std::string enrolment =
      chain.sign(*cy, "membership", test::enrol_member("third", third.certify(*cy)));
  EXPECT_EQ(refusal(chain.run(enrolment)), (Refusal{ErrorCode::kNotFound, "organization"}));
  EXPECT_EQ(seen_keys(), 4U);  // of the fixture's
  third.enrol(chain);
  EXPECT_TRUE(succeeded(chain.run(enrolment)));
  EXPECT_EQ(refusal(chain.run(enrolment)), (Refusal{kExists, "transaction"}));
}

// --- replay --------------------------------------------------------------------------------------

TEST_F(StateMachineTest, ReplayIsRefusedInTheSameBlockAndInLaterOnes) {
  const std::string transaction = registration("1");
  const auto outcomes = chain.block({transaction, transaction, registration("2")});
  EXPECT_TRUE(succeeded(outcomes[0]));
  EXPECT_EQ(refusal(outcomes[1]), (Refusal{kExists, "transaction"}));
  EXPECT_TRUE(succeeded(outcomes[2]));
  const std::uint64_t height = chain.height;
  EXPECT_NE(outcomes[1].error->message.find("block " + std::to_string(height)), std::string::npos);
  for (int i = 0; i < 3; ++i) {
    ++chain.now_ms;
    const auto later = chain.block({transaction, registration("later " + std::to_string(i))});
    EXPECT_EQ(refusal(later[0]), (Refusal{kExists, "transaction"}));
    EXPECT_NE(later[0].error->message.find("block " + std::to_string(height)), std::string::npos);
    EXPECT_TRUE(succeeded(later[1]));
  }
}

// A copy with another signature of the same signer, valid or not, is the same transaction.
TEST_F(StateMachineTest, MauledSignatureIsStillAReplay) {
  const std::string transaction = registration("1");
  ASSERT_TRUE(succeeded(chain.run(transaction)));
  std::string mauled = transaction;
  mauled.back() = static_cast<char>(mauled.back() ^ 1);
  EXPECT_EQ(refusal(chain.run(mauled)), (Refusal{kExists, "transaction"}));
}

// Whoever copies a body and signs it first takes neither the id nor the place of its author.
TEST_F(StateMachineTest, BodyCopiedByAnotherMemberIsAnotherTransaction) {
  TransactionDraft draft;
  draft.created_at_ms = chain.now_ms;
  draft.expires_at_ms = chain.now_ms + 1000;
  draft.contract = "registry";
  draft.payload = register_document(sha256("work of ann"));
  const std::string original = must(sign_transaction(chain.genesis.chain_id, draft, *ann));
  const std::string copy = must(sign_transaction(chain.genesis.chain_id, draft, *bob));
  const auto outcomes = chain.block({copy, original});
  EXPECT_TRUE(succeeded(outcomes[0]));
  EXPECT_TRUE(succeeded(outcomes[1]));
  EXPECT_NE(chain.event(outcomes[0].first_event).subject(),
            chain.event(outcomes[1].first_event).subject());
  EXPECT_TRUE(chain.state.entries.contains(record_state_key(record_id(chain.id(original)))));
}

TEST_F(StateMachineTest, SeenKeysHoldTheHeightUntilTheirIntervalIsOver) {
  const std::uint64_t interval = kSeenPruneIntervalMs;
  const std::uint64_t start = (chain.now_ms / interval + 2) * interval;
  chain.now_ms = start + 1;
  // Expire just before, at, and after the border that the next full interval ends at.
  const std::string before = registration("1", start, start + interval - 1);
  const std::string at = registration("2", start, start + interval);
  const std::string after = registration("3", start, start + interval + 1);
  for (const std::string& one : {before, at, after}) ASSERT_TRUE(succeeded(chain.run(one)));
  EXPECT_EQ(chain.state.entries.at(seen_key(at)), big_endian(chain.height - 1));

  // The last millisecond before the border: nothing goes.
  chain.now_ms = start + interval - 1;
  ASSERT_TRUE(succeeded(chain.run(registration("4"))));
  for (const std::string& one : {before, at, after}) {
    EXPECT_TRUE(chain.state.entries.contains(seen_key(one)));
  }
  // On it: what had expired before it goes; all that expire now or earlier are refused for that.
  chain.now_ms = start + interval;
  EXPECT_EQ(refusal(chain.run(before)), (Refusal{kExpired, "expires_at_ms"}));
  ASSERT_TRUE(succeeded(chain.run(registration("5"))));
  EXPECT_FALSE(chain.state.entries.contains(seen_key(before)));
  EXPECT_TRUE(chain.state.entries.contains(seen_key(at)));
  EXPECT_TRUE(chain.state.entries.contains(seen_key(after)));
  EXPECT_EQ(refusal(chain.run(before)), (Refusal{kExpired, "expires_at_ms"}));
  EXPECT_EQ(refusal(chain.run(at)), (Refusal{kExpired, "expires_at_ms"}));
  EXPECT_EQ(refusal(chain.run(after)), (Refusal{kExists, "transaction"}));
  // Once an interval: the next block of this one erases nothing.
  EXPECT_FALSE(must(chain.execute_only({registration("6")})).erased);
  chain.now_ms = start + 2 * interval;
  EXPECT_TRUE(must(chain.execute_only({registration("6")})).erased);
}

TEST_F(StateMachineTest, PruningTouchesOnlySeenKeys) {
  ASSERT_TRUE(succeeded(chain.run(registration("1"))));
  const auto kept = chain.state.contracts();
  chain.now_ms += 10 * kLifetimeMsMax + kSeenPruneIntervalMs / 2;
  const Execution execution = must(chain.execute_only({registration("2")}));
  ASSERT_TRUE(execution.erased);
  EXPECT_EQ(execution.erased->first, kSeenPrefix);
  EXPECT_EQ(execution.erased->second,
            "seen/" + big_endian(chain.now_ms / kSeenPruneIntervalMs * kSeenPruneIntervalMs));
  EXPECT_GT(seen_keys(), 1U);
  ASSERT_TRUE(succeeded(chain.run(registration("3"))));
  EXPECT_EQ(seen_keys(), 1U);
  for (const auto& [key, value] : kept) EXPECT_EQ(chain.state.entries.at(key), value);
}

// Random walks of the clock, with every transaction of the past sent again at every step.
TEST_F(StateMachineTest, NoTransactionSucceedsTwiceWhateverIsPruned) {
  std::mt19937_64 random(23);
  std::vector<std::string> past;
  std::size_t exists = 0, expired = 0;
  for (int step = 0; step < 120; ++step) {
    const std::uint64_t strides[] = {0,
                                     1,
                                     kSeenPruneIntervalMs / 3,
                                     kSeenPruneIntervalMs,
                                     kSeenPruneIntervalMs * 3,
                                     kLifetimeMsMax / 4};
    chain.now_ms += strides[random() % 6] + random() % 3;
    if (random() % 4 == 0) chain.now_ms -= chain.now_ms % kSeenPruneIntervalMs;
    chain.now_ms = std::max(chain.now_ms, chain.previous_ms);
    std::vector<std::string> block = past;
    for (int i = 0; i < 3; ++i) {
      const std::uint64_t lifetime =
          random() % 2 == 0 ? 1 + random() % (2 * kSeenPruneIntervalMs) : kLifetimeMsMax;
      const std::uint64_t created = chain.now_ms + random() % (kFutureMsMax + 1);
      block.push_back(registration(std::to_string(step) + "." + std::to_string(i), created,
                                   created + lifetime));
    }
    std::shuffle(block.begin(), block.end(), random);
    const auto outcomes = chain.block(block);
    for (std::size_t i = 0; i < block.size(); ++i) {
      const bool fresh = std::ranges::find(past, block[i]) == past.end();
      if (fresh) {
        ASSERT_TRUE(succeeded(outcomes[i])) << step;
        continue;
      }
      ASSERT_TRUE(outcomes[i].error) << "a replay succeeded at step " << step;
      const bool is_expired = outcomes[i].error->code == kExpired;
      ASSERT_TRUE(is_expired || outcomes[i].error->field == "transaction")
          << outcomes[i].error->message;
      ++(is_expired ? expired : exists);
    }
    for (const std::string& one : block) {
      if (std::ranges::find(past, one) == past.end()) past.push_back(one);
    }
    if (past.size() > 120) past.erase(past.begin(), past.begin() + 60);
    // What is kept expires after the start of the interval in which the last pruning was.
    const std::uint64_t oldest = chain.now_ms / kSeenPruneIntervalMs * kSeenPruneIntervalMs;
    const auto first = chain.state.entries.lower_bound(kSeenPrefix);
    ASSERT_GE(read_big_endian(as_bytes(first->first.substr(kSeenPrefix.size()))), oldest);
  }
  EXPECT_GT(exists, 500U);
  EXPECT_GT(expired, 500U);
}

// --- times ---------------------------------------------------------------------------------------

TEST_F(StateMachineTest, TimesOfATransactionAgainstTheBlocks) {
  const std::uint64_t now = chain.now_ms;
  const auto times = [&](std::uint64_t created, std::uint64_t expires) {
    const Outcome outcome = chain.run(
        registration(std::to_string(created) + std::to_string(expires), created, expires));
    return outcome.error ? Refusal{outcome.error->code, outcome.error->field} : Refusal{};
  };
  const Refusal accepted{};
  EXPECT_EQ(times(now - 1, now), (Refusal{kExpired, "expires_at_ms"}));
  EXPECT_EQ(times(now - kLifetimeMsMax, now), (Refusal{kExpired, "expires_at_ms"}));
  EXPECT_EQ(times(now - kLifetimeMsMax + 1, now + 1), accepted);
  EXPECT_EQ(times(now, now + 1), accepted);
  EXPECT_EQ(times(now + kFutureMsMax, now + kFutureMsMax + kLifetimeMsMax), accepted);
  EXPECT_EQ(times(now + kFutureMsMax + 1, now + kFutureMsMax + 2),
            (Refusal{kExpired, "created_at_ms"}));
  EXPECT_EQ(times(kTimeMsMax - 1, kTimeMsMax), (Refusal{kExpired, "created_at_ms"}));
  EXPECT_EQ(times(1, 2), (Refusal{kExpired, "expires_at_ms"}));
}

// --- determinism ---------------------------------------------------------------------------------

// A day in the life: enrolments, registrations, transfers and failures, all of one moment.
std::vector<std::string> busy_transactions(Chain& chain, MemorySigner& ann, MemorySigner& bob) {
  std::vector<std::string> made;
  const TestOrganization third("third", 5);
  const auto cy = MemorySigner::create(hsm::KeyType::kEd25519, 16);
  made.push_back(chain.sign(*cy, "membership", test::enrol_member("third", third.certify(*cy))));
  made.push_back(chain.sign(*chain.administrator, "membership",
                            test::enrol_organization("third", "Third", third.ca_certificate)));
  made.push_back(chain.sign(*cy, "membership", test::enrol_member("third", third.certify(*cy))));
  for (int i = 0; i < 12; ++i) {
    MemorySigner& signer = i % 2 == 0 ? ann : bob;
    made.push_back(
        chain.sign(signer, "registry", register_document(sha256(std::to_string(i % 9)))));
    const Digest record = record_id(chain.id(made.back()));
    made.push_back(chain.sign(signer, "registry", test::transfer(record, "third", 1)));
    made.push_back(chain.sign(*cy, "registry", test::transfer(record, "acme", 2)));
    made.push_back(chain.sign(bob, "registry", test::transfer(record, "third", 1)));
  }
  made.push_back(made[4]);
  made.push_back(chain.sign(*cy, "membership", test::revoke_member(test::member_key_id(*cy))));
  made.push_back(chain.sign(*cy, "registry", register_document(sha256("after"))));
  return made;
}

TEST_F(StateMachineTest, SameBlockHasTheSameResult) {
  const auto transactions = busy_transactions(chain, *ann, *bob);
  const Execution first = must(chain.execute_only(transactions));
  const auto first_writes = chain.writes;
  const Execution second = must(chain.execute_only(transactions));
  EXPECT_EQ(chain.writes, first_writes);
  ASSERT_EQ(first.events.size(), second.events.size());
  for (std::size_t i = 0; i < first.events.size(); ++i) {
    EXPECT_EQ(first.events[i].leaf, second.events[i].leaf);
  }
  for (std::size_t i = 0; i < transactions.size(); ++i) {
    EXPECT_EQ(first.outcomes[i].error.has_value(), second.outcomes[i].error.has_value());
    EXPECT_EQ(first.outcomes[i].first_event, second.outcomes[i].first_event);
  }
}

std::string without_height(proto::Event event) {
  event.clear_block_height();
  return event.SerializeAsString();
}

// However one moment's transactions are cut into blocks, the same ones succeed, contracts hold the
// same state, and events differ by their block's height alone.
TEST_F(StateMachineTest, CutOfBlocksDoesNotMatter) {
  const auto transactions = busy_transactions(chain, *ann, *bob);
  const Chain start = chain;
  const auto outcomes = chain.block(transactions);
  std::mt19937_64 random(29);
  for (int cut = 0; cut < 12; ++cut) {
    Chain other = start;
    std::vector<Outcome> found;
    const std::size_t most = cut == 0 ? 1 : 1 + random() % 20;
    for (std::size_t from = 0; from < transactions.size();) {
      const std::size_t size = std::min(transactions.size() - from, 1 + random() % most);
      const auto begin = transactions.begin() + static_cast<std::ptrdiff_t>(from);
      for (Outcome& outcome : other.block({begin, begin + static_cast<std::ptrdiff_t>(size)})) {
        found.push_back(std::move(outcome));
      }
      from += size;
    }
    ASSERT_EQ(found.size(), outcomes.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      ASSERT_EQ(found[i].error.has_value(), outcomes[i].error.has_value()) << cut << " at " << i;
      if (found[i].error) continue;
      ASSERT_EQ(found[i].first_event, outcomes[i].first_event);
    }
    EXPECT_EQ(other.state.contracts(), chain.state.contracts());
    ASSERT_EQ(other.leaves.size(), chain.leaves.size());
    for (std::size_t i = 0; i < chain.leaves.size(); ++i) {
      ASSERT_EQ(without_height(other.event(i)), without_height(chain.event(i)));
    }
  }
}

// --- the disk ------------------------------------------------------------------------------------

TEST_F(StateMachineTest, FailingReaderFailsTheBlockAndNotItsTransactions) {
  chain.state.failing = true;
  const auto execution = chain.execute_only({registration("1"), registration("2")});
  ASSERT_FALSE(execution.ok());
  EXPECT_EQ(execution.error().code, ErrorCode::kIo);
  chain.state.failing = false;
  EXPECT_TRUE(succeeded(chain.run(registration("1"))));
}

// What no contract wrote is the disk's fault and not the transaction's, on this node alone.
TEST_F(StateMachineTest, DamagedValueFailsTheBlock) {
  const std::string registered = registration("1");
  ASSERT_TRUE(succeeded(chain.run(registered)));
  const Digest record = record_id(chain.id(registered));
  const Digest key = test::member_key_id(*ann);
  const auto carol = MemorySigner::create(hsm::KeyType::kP256, 17);
  const std::pair<std::string, std::string> cases[] = {
      {record_state_key(record),
       chain.sign(*ann, "registry", test::transfer(record, "archive", 1))},
      {member_state_key(key),
       chain.sign(*chain.administrator, "membership", test::revoke_member(key))},
      {organization_state_key("acme"),
       chain.sign(*carol, "membership", test::enrol_member("acme", acme.certify(*carol)))}};
  for (const auto& [state_key, transaction] : cases) {
    const std::string sound = chain.state.entries.at(state_key);
    chain.state.entries[state_key] = "\xff\xff";
    const auto execution = chain.execute_only({registration("2"), transaction});
    ASSERT_FALSE(execution.ok());
    EXPECT_EQ(execution.error().code, ErrorCode::kCorrupt);
    chain.state.entries[state_key] = sound;
    EXPECT_TRUE(must(chain.execute_only({transaction})).outcomes[0].error == std::nullopt);
  }
}

}  // namespace
}  // namespace colophon::node
