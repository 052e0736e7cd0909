// SPDX-License-Identifier: Apache-2.0
//
// A whole node, asked through Node alone: what it accepts can be found again and proven, what is
// wrong with a transaction is said by field and changes nothing, and the same blocks are the same
// chain.
#include "node/node.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "colophon/merkle.hpp"
#include "node/checkpoint.h"
#include "node/proto/transaction.pb.h"
#include "node/wire_writer.h"
#include "tests/node/consortium.h"
#include "tests/node/raw_database.h"
#include "tests/node/simulated_disk.h"

namespace colophon::node {
namespace {

using namespace test;  // NOLINT: the tests' own

class NodeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    open();
    founding_ = submit_all(*node_, consortium_.founding());
    ASSERT_EQ(founding_.size(), 3u);
  }
  void open(const NodeConfig& config = prompt_config()) {
    node_.reset();
    auto opened = open_node(consortium_, environment(), config);
    ASSERT_TRUE(is_ok(opened));
    node_ = *std::move(opened);
  }
  Environment environment() { return outside_.with(disk_); }
  Result<Receipt> submit(const std::string& transaction) {
    return std::move(node_->submit(views({transaction})).at(0));
  }
  // What a refused transaction must leave alone.
  struct Footprint {
    std::uint64_t height, log_size;
    std::string checkpoint;
    friend bool operator==(const Footprint&, const Footprint&) = default;
  };
  Footprint footprint() {
    const NodeStatus status = node_->status();
    return {status.height, status.log_size, must(node_->checkpoint())};
  }
  void expect_refused(const std::string& transaction, ErrorCode code, std::string_view field) {
    const Footprint before = footprint();
    const auto result = submit(transaction);
    EXPECT_EQ(refusal(result), (Refusal{code, std::string(field)})) << result.error().message;
    EXPECT_TRUE(footprint() == before);
    EXPECT_TRUE(node_->status().accepting);
  }

  Consortium consortium_;
  SimulatedDisk disk_;
  TestEnvironment outside_;
  std::unique_ptr<Node> node_;
  std::vector<Receipt> founding_;
};

// --- what is accepted ----------------------------------------------------------------------------

TEST_F(NodeTest, AnswersForEverythingItCommitted) {
  const std::string transaction = consortium_.registration();
  const auto receipt = submit(transaction);
  ASSERT_TRUE(is_ok(receipt));
  EXPECT_EQ(receipt->transaction_id, consortium_.chain.id(transaction));
  EXPECT_EQ(receipt->block_height, 2u);
  EXPECT_EQ(receipt->events, (std::vector<std::uint64_t>{3}));
  ASSERT_EQ(receipt->subjects.size(), 1u);
  const ByteSpan id = as_bytes(receipt->subjects[0]);
  EXPECT_EQ(text_of(ByteSpan(record_id(receipt->transaction_id))), receipt->subjects[0]);

  for (const bool reopened : {false, true}) {
    SCOPED_TRACE(reopened);
    if (reopened) open();
    expect_committed(*node_, founding_);
    expect_committed(*node_, {*receipt});
    proto::Record record;
    ASSERT_TRUE(record.ParseFromString(must(node_->record(id))));
    EXPECT_EQ(record.owner(), "acme-studio");
    proto::Organization organization;
    ASSERT_TRUE(organization.ParseFromString(must(node_->organization("acme-studio"))));
    EXPECT_EQ(organization.name(), "Acme Studio");
    proto::Member member;
    ASSERT_TRUE(member.ParseFromString(must(node_->member(member_key_id(*consortium_.member)))));
    EXPECT_EQ(member.organization(), "acme-studio");
    proto::Event event;
    ASSERT_TRUE(event.ParseFromString(must(node_->event(3))));
    EXPECT_EQ(event.subject(), receipt->subjects[0]);
    EXPECT_EQ(event.data(), record.SerializeAsString());
    EXPECT_EQ(must(node_->history(id, 0, 10)), (std::vector<std::uint64_t>{3}));
  }
}

TEST_F(NodeTest, ProvesEveryEventUnderEveryCheckpoint) {
  const Backend backend = must(Backend::choose("openssl"));
  for (int block = 0; block < 6; ++block) submit_all(*node_, consortium_.registrations(block + 1));
  std::vector<Checkpoint> checkpoints;
  for (std::uint64_t height = 1; height <= node_->status().height; ++height) {
    const std::string note = must(node_->checkpoint(height));
    checkpoints.push_back(must(verify_checkpoint(backend, note, consortium_.genesis().chain_id,
                                                 consortium_.genesis().log_public_key)));
  }
  EXPECT_EQ(must(node_->checkpoint()), must(node_->checkpoint(node_->status().height)));
  EXPECT_EQ(checkpoints.back().size, node_->status().log_size);
  for (std::size_t i = 0; i < checkpoints.size(); ++i) {
    const Checkpoint& now = checkpoints[i];
    for (std::uint64_t index = 0; index < now.size; ++index) {
      const InclusionProof proof = must(node_->prove_inclusion(index, now.size));
      EXPECT_EQ(proof.leaf_hash, sha256(std::string(1, '\0') + must(node_->event(index))));
      EXPECT_TRUE(is_ok(merkle_verify_inclusion(backend, proof.leaf_hash, index, now.size,
                                                proof.hashes, now.root)));
    }
    for (std::size_t k = 0; k <= i; ++k) {
      const auto proof = must(node_->prove_consistency(checkpoints[k].size, now.size));
      EXPECT_TRUE(is_ok(merkle_verify_consistency(backend, checkpoints[k].size, now.size,
                                                  checkpoints[k].root, now.root, proof)));
    }
  }
}

TEST_F(NodeTest, SaysWhatIsNotThere) {
  const Digest unknown = sha256("nothing");
  EXPECT_EQ(refusal(node_->record(unknown)), (Refusal{ErrorCode::kNotFound, "record_id"}));
  EXPECT_EQ(refusal(node_->member(unknown)), (Refusal{ErrorCode::kNotFound, "key_id"}));
  EXPECT_EQ(refusal(node_->organization("nobody")),
            (Refusal{ErrorCode::kNotFound, "organization"}));
  EXPECT_EQ(refusal(node_->organization("No Body")),
            (Refusal{ErrorCode::kMalformed, "organization"}));
  EXPECT_EQ(refusal(node_->transaction(unknown)),
            (Refusal{ErrorCode::kNotFound, "transaction_id"}));
  EXPECT_EQ(refusal(node_->transaction(Der(40))),
            (Refusal{ErrorCode::kNotFound, "transaction_id"}));
  EXPECT_EQ(refusal(node_->event(3)), (Refusal{ErrorCode::kNotFound, "index"}));
  EXPECT_EQ(refusal(node_->checkpoint(2)), (Refusal{ErrorCode::kNotFound, "height"}));
  EXPECT_EQ(refusal(node_->prove_inclusion(3, 0)), (Refusal{ErrorCode::kInvalidArgument, "index"}));
  EXPECT_EQ(refusal(node_->prove_inclusion(0, 4)), (Refusal{ErrorCode::kInvalidArgument, "size"}));
  EXPECT_EQ(refusal(node_->prove_consistency(0, 3)),
            (Refusal{ErrorCode::kInvalidArgument, "from"}));
  EXPECT_EQ(refusal(node_->prove_consistency(3, 2)),
            (Refusal{ErrorCode::kInvalidArgument, "from"}));
  EXPECT_EQ(refusal(node_->prove_consistency(1, 4)), (Refusal{ErrorCode::kInvalidArgument, "to"}));
  EXPECT_EQ(refusal(node_->history(Der(256), 0, 1)),
            (Refusal{ErrorCode::kLimitExceeded, "subject"}));
  EXPECT_TRUE(must(node_->history(unknown, 0, 10)).empty());
}

TEST_F(NodeTest, PagesThroughAHistoryOldestFirst) {
  const Receipt registered = submit_all(*node_, {consortium_.registration()}).at(0);
  const ByteSpan id = as_bytes(registered.subjects[0]);
  // Globe Press has no member, so one transfer is all there can be; the organization's own subject
  // and records with a like prefix stay out of it.
  const Receipt moved = submit_all(*node_, {consortium_.chain.sign(*consortium_.member, "registry",
                                                                   transfer(id, "globe-press", 1))})
                            .at(0);
  EXPECT_EQ(must(node_->history(id, 0, 10)),
            (std::vector<std::uint64_t>{registered.events[0], moved.events[0]}));
  EXPECT_EQ(must(node_->history(id, 1, 10)), (std::vector<std::uint64_t>{moved.events[0]}));
  EXPECT_EQ(must(node_->history(id, 0, 1)), (std::vector<std::uint64_t>{registered.events[0]}));
  EXPECT_TRUE(must(node_->history(id, 2, 10)).empty());
  EXPECT_TRUE(must(node_->history(id, 0, 0)).empty());
  EXPECT_TRUE(must(node_->history(id.first(31), 0, 10)).empty());
}

// --- what is refused -----------------------------------------------------------------------------

TEST_F(NodeTest, RefusesBytesThatAreNoTransaction) {
  const std::string good = consortium_.registration();
  expect_refused("", ErrorCode::kMalformed, "body");
  expect_refused("not a transaction", ErrorCode::kMalformed, "transaction");
  expect_refused(std::string(kTransactionBytesMax + 1, 'x'), ErrorCode::kLimitExceeded,
                 "transaction");
  expect_refused(good + '\0', ErrorCode::kMalformed, "transaction");
  for (std::size_t size = 1; size < good.size(); size += 7) {
    const auto result = submit(good.substr(0, size));
    ASSERT_FALSE(result.ok()) << size;
    EXPECT_EQ(result.error().code, ErrorCode::kMalformed) << size;
    EXPECT_NE(result.error().field, "") << size;
  }
  EXPECT_TRUE(is_ok(submit(good)));
}

TEST_F(NodeTest, RefusesWrongSignatures) {
  std::string transaction = consortium_.registration();
  transaction.back() ^= 1;
  expect_refused(transaction, ErrorCode::kInvalidSignature, "signature");
  transaction.back() ^= 1;
  // Another's signature over the same body.
  const std::string other = consortium_.registration();
  std::string swapped = transaction;
  swapped.replace(swapped.size() - 64, 64, other.substr(other.size() - 64));
  expect_refused(swapped, ErrorCode::kInvalidSignature, "signature");
  // Zero, and one that is no number below n.
  expect_refused(transaction.substr(0, transaction.size() - 64) + std::string(64, '\0'),
                 ErrorCode::kInvalidSignature, "signature");
  expect_refused(transaction.substr(0, transaction.size() - 64) + std::string(64, '\xff'),
                 ErrorCode::kInvalidSignature, "signature");
  // A key that is no point: 33 bytes, 02 and x = p.
  std::string bad_key = transaction;
  bad_key.replace(bad_key.size() - 64 - 2 - 33, 33, "\x02" + std::string(32, '\xff'));
  expect_refused(bad_key, ErrorCode::kInvalidSignature, "public_key");
  EXPECT_TRUE(is_ok(submit(transaction)));
}

TEST_F(NodeTest, RefusesWhatWasSignedForAnotherChain) {
  const std::string payload = register_document(sha256("elsewhere"));
  TransactionDraft draft;
  draft.created_at_ms = consortium_.chain.now_ms;
  draft.expires_at_ms = consortium_.chain.now_ms + 1000;
  draft.nonce[0] = 1;
  draft.contract = "registry";
  draft.payload = payload;
  expect_refused(must(sign_transaction("another.colophon.example", draft, *consortium_.member)),
                 ErrorCode::kInvalidSignature, "signature");
  EXPECT_TRUE(is_ok(
      submit(must(sign_transaction(consortium_.genesis().chain_id, draft, *consortium_.member)))));
}

TEST_F(NodeTest, RefusesUnknownContractsAndTypes) {
  Chain& chain = consortium_.chain;
  expect_refused(chain.sign(*consortium_.member, "licences", "x"), ErrorCode::kNotFound,
                 "contract");
  expect_refused(
      chain.sign(*consortium_.member, "registry", register_document(sha256("x"), "Title", "poem")),
      ErrorCode::kMalformed, "type");
  expect_refused(chain.sign(*consortium_.member, "registry", "no message"), ErrorCode::kMalformed,
                 "payload");
  // A message whose call is one that this version does not know.
  std::string unknown;
  append_field(unknown, 9, as_bytes("x"));
  expect_refused(chain.sign(*consortium_.member, "registry", unknown), ErrorCode::kMalformed,
                 "payload");
}

TEST_F(NodeTest, RefusesTextThatIsNotUtf8) {
  for (const char* title : {"\xff", "caf\xe9", "\xed\xa0\x80", "\xc0\x80", "a\n"}) {
    expect_refused(consortium_.chain.sign(*consortium_.member, "registry",
                                          register_document(sha256(title), title)),
                   ErrorCode::kMalformed, "title");
  }
  expect_refused(consortium_.chain.sign(*consortium_.member, "registry",
                                        register_document(sha256("x"), std::string(513, 'x'))),
                 ErrorCode::kLimitExceeded, "title");
}

TEST_F(NodeTest, RefusesWrongTimes) {
  Chain& chain = consortium_.chain;
  const std::uint64_t now = outside_.clock.now_ms();
  std::uint64_t number = 0;
  const auto at = [&](std::uint64_t created, std::uint64_t expires) {
    return chain.sign(*consortium_.member, "registry",
                      register_document(sha256(std::to_string(++number))), created, expires);
  };
  expect_refused(at(now - 1000, now), ErrorCode::kExpired, "expires_at_ms");
  expect_refused(at(now + kFutureMsMax + 1, now + kFutureMsMax + 2), ErrorCode::kExpired,
                 "created_at_ms");
  EXPECT_TRUE(is_ok(submit(at(now - 1000, now + 1))));
  EXPECT_TRUE(is_ok(submit(at(now + kFutureMsMax, now + kFutureMsMax + 1))));
  EXPECT_TRUE(is_ok(submit(at(now, now + kLifetimeMsMax))));
  // What expires while it waits is refused by the block's time.
  const std::string late = at(now, now + 5);
  outside_.clock.advance_ms(5);
  expect_refused(late, ErrorCode::kExpired, "expires_at_ms");
}

TEST_F(NodeTest, RefusesReplaysForeverAcrossRestartsAndExpiry) {
  const std::string transaction = consortium_.registration();
  const Receipt receipt = submit_all(*node_, {transaction}).at(0);
  for (int i = 0; i < 2; ++i) {
    const auto replay = submit(transaction);
    EXPECT_EQ(refusal(replay), (Refusal{ErrorCode::kAlreadyExists, "transaction"}));
    EXPECT_NE(replay.error().message.find("block 2"), std::string::npos) << replay.error().message;
    open();
  }
  // The same body with another good signature of the same key is the same transaction.
  std::string again = transaction;
  const TransactionView view = must(parse_transaction(as_bytes(again)));
  const auto signature =
      must(consortium_.member->sign(as_bytes(signing_input(consortium_.genesis().chain_id, view))));
  again.replace(again.size() - 64, 64, text_of(signature));
  EXPECT_NE(again, transaction);
  expect_refused(again, ErrorCode::kAlreadyExists, "transaction");
  // Long after, when the replay keys are gone, its expiry refuses it.
  outside_.clock.advance_ms(2 * kLifetimeMsMax);
  consortium_.chain.now_ms = outside_.clock.now_ms();
  submit_all(*node_, {consortium_.registration()});
  expect_refused(transaction, ErrorCode::kExpired, "expires_at_ms");
  expect_committed(*node_, {receipt});
}

TEST_F(NodeTest, OneOfTwoEqualOnesInACallIsADuplicate) {
  const std::string transaction = consortium_.registration();
  const std::string other = consortium_.registration();
  auto results = node_->submit(views({transaction, other, transaction, other}));
  EXPECT_TRUE(is_ok(results[0]));
  EXPECT_TRUE(is_ok(results[1]));
  for (const std::size_t i : {2, 3}) {
    EXPECT_EQ(refusal(results[i]), (Refusal{ErrorCode::kAlreadyExists, "transaction"}));
    EXPECT_NE(results[i].error().message.find("duplicate"), std::string::npos);
  }
  EXPECT_EQ(node_->status().log_size, 5u);
}

TEST_F(NodeTest, RefusesWhoIsNobodyAndWhoMayNot) {
  Chain& chain = consortium_.chain;
  const auto stranger = MemorySigner::create(hsm::KeyType::kP256, 404);
  expect_refused(chain.sign(*stranger, "registry", register_document(sha256("x"))),
                 ErrorCode::kPermissionDenied, "public_key");
  expect_refused(
      chain.sign(*consortium_.member, "membership",
                 enrol_organization("mine-all", "Mine", consortium_.acme.ca_certificate)),
      ErrorCode::kPermissionDenied, "public_key");
  expect_refused(chain.sign(*chain.administrator, "registry", register_document(sha256("x"))),
                 ErrorCode::kPermissionDenied, "public_key");
}

// Good and bad ones in one call: each has its own answer, in its place.
TEST_F(NodeTest, AnswersEachOfManyInItsPlace) {
  std::string forged = consortium_.registration();
  forged.back() ^= 1;
  const std::vector<std::string> sent = {"garbage", consortium_.registration(), forged,
                                         consortium_.registration()};
  auto results = node_->submit(views(sent));
  ASSERT_EQ(results.size(), 4u);
  EXPECT_EQ(results[0].error().code, ErrorCode::kMalformed);
  EXPECT_EQ(results[2].error().code, ErrorCode::kInvalidSignature);
  for (const std::size_t i : {1, 3}) {
    ASSERT_TRUE(is_ok(results[i]));
    EXPECT_EQ(results[i]->transaction_id, consortium_.chain.id(sent[i]));
  }
  const std::string metrics = node_->metrics();
  EXPECT_NE(metrics.find("refused_total{code=\"malformed\"} 1\n"), std::string::npos);
  EXPECT_NE(metrics.find("refused_total{code=\"invalid_signature\"} 1\n"), std::string::npos);
  EXPECT_NE(metrics.find("committed_total 5\n"), std::string::npos);
}

TEST_F(NodeTest, TakesOnlySoManyInACall) {
  EXPECT_TRUE(node_->submit({}).empty());
  const std::vector<std::string> many(kSubmitTransactionsMax + 1, consortium_.registration());
  const Footprint before = footprint();
  auto results = node_->submit(views(many));
  ASSERT_EQ(results.size(), many.size());
  for (const auto& result : results) {
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code, ErrorCode::kLimitExceeded);
    EXPECT_EQ(result.error().field, "transactions");
  }
  EXPECT_TRUE(footprint() == before);
}

TEST(NodeConfiguration, HasLimitsThatAreNamed) {
  const auto refused_field = [](void (*change)(NodeConfig&)) {
    Consortium consortium;
    SimulatedDisk disk;
    TestEnvironment outside;
    NodeConfig config = prompt_config();
    change(config);
    const auto opened = open_node(consortium, outside.with(disk), config);
    return opened ? std::string("opened") : opened.error().field;
  };
  EXPECT_EQ(refused_field([](NodeConfig& c) { c.block_transactions_max = 0; }),
            "block_transactions_max");
  EXPECT_EQ(
      refused_field([](NodeConfig& c) { c.block_transactions_max = kBlockTransactionsLimit + 1; }),
      "block_transactions_max");
  EXPECT_EQ(refused_field([](NodeConfig& c) { c.block_deadline_ms = kBlockDeadlineMsLimit + 1; }),
            "block_deadline_ms");
  EXPECT_EQ(refused_field([](NodeConfig& c) { c.queue_transactions_max = 0; }),
            "queue_transactions_max");
  EXPECT_EQ(
      refused_field([](NodeConfig& c) { c.block_transactions_max = kBlockTransactionsLimit; }),
      "opened");
  EXPECT_EQ(refused_field([](NodeConfig& c) { c.backend = "no-such"; }), "backend");
  EXPECT_EQ(refused_field([](NodeConfig& c) { c.table_memory = kTableMemoryMin - 1; }),
            "table_memory");
  EXPECT_EQ(refused_field([](NodeConfig& c) { c.table_memory = kTableMemoryLimit + 1; }),
            "table_memory");
  EXPECT_EQ(refused_field([](NodeConfig& c) { c.table_memory = kTableMemoryMin; }), "opened");
}

TEST_F(NodeTest, TableMemoryIsTheBackendsLimitAndInTheMetrics) {
  NodeConfig config = prompt_config();
  config.backend = "portable";
  config.table_memory = 3 * kTableMemoryMin;
  open(config);
  const Backend portable = must(Backend::choose("portable"));
  EXPECT_EQ(portable.table_memory().bytes_max, 3 * kTableMemoryMin);
  const auto has = [this](const std::string& name, std::size_t value) {
    return node_->metrics().find("\ncolophon_key_" + name + "{backend=\"portable\"} " +
                                 std::to_string(value) + "\n") != std::string::npos;
  };
  EXPECT_TRUE(has("tables", 0) && has("tables_bytes", 0)) << node_->metrics();
  EXPECT_TRUE(has("tables_bytes_max", 3 * kTableMemoryMin)) << node_->metrics();
  submit_all(*node_, consortium_.registrations(100));  // of one member
  const TableMemory now = portable.table_memory();
  EXPECT_EQ(now.tables, 1u);
  EXPECT_TRUE(has("tables", 1) && has("tables_bytes", now.bytes)) << node_->metrics();
}

TEST_F(NodeTest, TheLogSaysWhichBackendAndWhyNoBetterOne) {
  const std::vector<BackendInfo> infos = list_backends();
  const auto best = std::ranges::find_if(infos, &BackendInfo::chosen_by_auto);
  ASSERT_NE(best, infos.end());
  for (const std::string& name : {std::string("auto"), best->name, std::string("openssl")}) {
    SCOPED_TRACE(name);
    std::vector<std::string> lines;
    NodeConfig config = prompt_config();
    config.backend = name;
    config.log = [&lines](std::string_view level, std::string_view message) {
      lines.push_back(std::string(level) + " " + std::string(message));
    };
    open(config);
    node_.reset();
    const auto logged = [&lines](const std::string& line) {
      return std::ranges::any_of(lines, [&](const std::string& one) { return one == line; });
    };
    std::string expected = "INFO backend ";
    expected += name == "auto" ? best->name + " is the best that this machine can use"
                               : name + " was asked for, not chosen by auto";
    if (name != "openssl" && best->tables.bytes_max != 0) {
      expected +=
          "; its tables of keys take at most " + std::to_string(best->tables.bytes_max) + " bytes";
    }
    EXPECT_TRUE(logged(expected)) << expected << "\n" << ::testing::PrintToString(lines);
    for (auto info = infos.begin(); info != best; ++info) {
      const bool is_wanted = info->supported || info->device;
      EXPECT_EQ(logged((is_wanted ? "WARN " : "INFO ") + info->reason), name == "auto")
          << info->name;
    }
  }
}

// --- the same again ------------------------------------------------------------------------------

TEST_F(NodeTest, TheSameBlocksAreTheSameChainByteForByte) {
  SimulatedDisk other_disk(5);
  TestEnvironment other_outside;
  std::vector<std::vector<std::string>> blocks;
  Consortium fresh;  // the same keys
  blocks.push_back(fresh.founding());
  for (int i = 0; i < 5; ++i) blocks.push_back(fresh.registrations(3 + i));
  blocks[3].push_back("refused, and no part of the block");
  const auto run = [&](rocksdb::Env& disk, TestEnvironment& outside, bool reopening) {
    auto node = must(open_node(consortium_, outside.with(disk)));
    for (const auto& block : blocks) {
      (void)node->submit(views(block));
      outside.clock.advance_ms(kSeenPruneIntervalMs / 2);  // so that replay keys are pruned, too
      if (reopening) {
        node.reset();
        node = must(open_node(consortium_, outside.with(disk)));
      }
    }
  };
  node_.reset();
  SimulatedDisk disk;
  TestEnvironment outside;
  run(disk, outside, false);
  run(other_disk, other_outside, true);
  const RawDatabase one(disk, "/data");
  const RawDatabase two(other_disk, "/data");
  for (std::size_t family = 0; family < kFamilies; ++family) {
    SCOPED_TRACE(family_name(static_cast<Family>(family)));
    const auto entries = one.all(static_cast<Family>(family));
    EXPECT_FALSE(entries.empty());
    EXPECT_TRUE(entries == two.all(static_cast<Family>(family)));
  }
}

TEST_F(NodeTest, TimeNeverGoesBackInTheChain) {
  const auto time_of = [&](std::uint64_t index) {
    proto::Event event;
    EXPECT_TRUE(event.ParseFromString(must(node_->event(index))));
    return event.block_time_ms();
  };
  const Receipt first = submit_all(*node_, {consortium_.registration()}).at(0);
  outside_.clock.advance_ms(static_cast<std::uint64_t>(-5000));
  const Receipt second = submit_all(*node_, {consortium_.registration()}).at(0);
  EXPECT_EQ(time_of(second.events[0]), time_of(first.events[0]));
  node_.reset();
  expect_clean(consortium_, environment());
}

// --- the end -------------------------------------------------------------------------------------

TEST_F(NodeTest, ClosingFinishesWhatIsQueued) {
  NodeConfig config = prompt_config();
  config.block_deadline_ms = 50;  // of a clock that stands still
  open(config);
  const std::vector<std::string> transactions = consortium_.registrations(3);
  std::vector<std::future<Result<Receipt>>> waiting;
  for (const std::string& transaction : transactions) {
    waiting.push_back(std::async(std::launch::async, [&] { return submit(transaction); }));
  }
  while (node_->metrics().find("colophon_queue_depth 3\n") == std::string::npos) {
    std::this_thread::yield();
  }
  node_.reset();
  std::vector<Receipt> receipts;
  for (auto& one : waiting) {
    auto result = one.get();
    ASSERT_TRUE(is_ok(result));
    receipts.push_back(*std::move(result));
  }
  open();
  expect_committed(*node_, receipts);
}

}  // namespace
}  // namespace colophon::node
