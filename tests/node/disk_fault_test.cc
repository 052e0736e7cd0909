// SPDX-License-Identifier: Apache-2.0
//
// A node whose disk or token fails under it, at every moment: nothing acknowledged is lost, what is
// not is said so, and the node goes on.
#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "node/environment.h"
#include "node/node.h"
#include "tests/effort.h"
#include "tests/node/consortium.h"
#include "tests/node/simulated_disk.h"

namespace colophon::node {
namespace {

using namespace test;  // NOLINT: the tests' own

class DiskFaultTest : public ::testing::Test {
 protected:
  explicit DiskFaultTest(std::uint64_t seed = 0) : disk_(seed) {}

  Environment environment() { return outside_.with(disk_); }
  Result<std::unique_ptr<Node>> open() { return open_node(consortium_, environment()); }
  void found() {
    auto opened = open();
    ASSERT_TRUE(is_ok(opened));
    node_ = *std::move(opened);
    for (const Receipt& receipt : submit_all(*node_, consortium_.founding())) {
      acknowledged_.push_back(receipt);
    }
    ASSERT_EQ(acknowledged_.size(), 3u);
  }
  // Submits; keeps what was acknowledged, and what was not.
  void submit(std::vector<std::string> transactions) {
    auto results = node_->submit(views(transactions));
    for (std::size_t i = 0; i < results.size(); ++i) {
      if (results[i]) {
        acknowledged_.push_back(*std::move(results[i]));
        continue;
      }
      const Error& error = results[i].error();
      EXPECT_EQ(error.code, ErrorCode::kIo) << error.message;
      EXPECT_EQ(error.field, "data");
      EXPECT_NE(error.message.find("/data"), std::string::npos) << error.message;
      EXPECT_NE(error.message.find("sent again"), std::string::npos) << error.message;
      refused_.push_back(std::move(transactions[i]));
    }
  }
  // What was refused is taken now, or is there already: never lost, never twice.
  void send_refused_again() {
    for (const std::string& transaction : refused_) {
      auto results = node_->submit(views({transaction}));
      if (results[0]) {
        acknowledged_.push_back(*results[0]);
      } else {
        EXPECT_EQ(results[0].error().code, ErrorCode::kAlreadyExists) << results[0].error().message;
        const auto found = node_->transaction(consortium_.chain.id(transaction));
        ASSERT_TRUE(is_ok(found));
        acknowledged_.push_back(*found);
      }
    }
    refused_.clear();
  }
  void expect_all_there() {
    expect_committed(*node_, acknowledged_);
    node_.reset();
    expect_clean(consortium_, environment());
    auto again = open();
    ASSERT_TRUE(is_ok(again));
    node_ = *std::move(again);
    expect_committed(*node_, acknowledged_);
  }

  Consortium consortium_;
  SimulatedDisk disk_;
  TestEnvironment outside_;
  std::unique_ptr<Node> node_;
  std::vector<Receipt> acknowledged_;
  std::vector<std::string> refused_;
};

// --- writes that fail ----------------------------------------------------------------------------

struct Fault {
  enum Kind { kOnce, kFromThenOn, kFull } kind;
  std::uint64_t at;  // operation, or bytes of space
};
void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.kind << " at " << fault.at; }

class DiskFaultAt : public DiskFaultTest, public ::testing::WithParamInterface<Fault> {
 protected:
  void arm() {
    if (GetParam().kind == Fault::kFull) {
      disk_.set_space(GetParam().at);
    } else {
      disk_.fail_operation(GetParam().at, GetParam().kind == Fault::kOnce);
    }
  }
};

TEST_P(DiskFaultAt, LosesNothingAcknowledgedAndGoesOn) {
  found();
  arm();
  for (int block = 0; block < 4; ++block) submit(consortium_.registrations(2));
  EXPECT_TRUE(disk_.has_failed());
  if (GetParam().kind != Fault::kOnce) {
    EXPECT_FALSE(refused_.empty());
    EXPECT_FALSE(node_->status().accepting);
    EXPECT_NE(node_->status().reason.find("/data"), std::string::npos);
  }
  // What is there can be read while nothing can be written.
  expect_committed(*node_, acknowledged_);
  disk_.mend();
  submit(consortium_.registrations(2));
  EXPECT_TRUE(node_->status().accepting) << node_->status().reason;
  send_refused_again();
  EXPECT_EQ(acknowledged_.size(), 3u + 10u);
  expect_all_there();
}

std::vector<Fault> faults_while_running() {
  std::vector<Fault> faults;
  for (std::uint64_t n = 0; n < 11; ++n) {  // of twelve: the last one is not missed
    faults.push_back({Fault::kOnce, n});
    faults.push_back({Fault::kFromThenOn, n});
  }
  // Into the reopening, too, which the second failure hits.
  for (std::uint64_t n = 0; n < 8000; n += colophon::test::number_of_cases(100, 500, 2'000))
    faults.push_back({Fault::kFull, n});
  return faults;
}
INSTANTIATE_TEST_SUITE_P(While, DiskFaultAt, ::testing::ValuesIn(faults_while_running()));

class DiskFaultAtStart : public DiskFaultAt {};

// A first start that fails is no start, and a second one is all it takes; so is one of an old
// chain.
TEST_P(DiskFaultAtStart, IsSaidAndTheNextStartSucceeds) {
  for (const bool old : {false, true}) {
    SCOPED_TRACE(old ? "an old chain" : "a new chain");
    if (old) {
      found();
      submit(consortium_.registrations(3));
      node_.reset();
    }
    arm();
    {
      const auto opened = open();
      if (!opened) {
        EXPECT_EQ(opened.error().code, ErrorCode::kIo) << opened.error().message;
        EXPECT_NE(opened.error().message.find("/data"), std::string::npos);
      } else if (old) {
        expect_committed(**opened, acknowledged_);
      }
    }
    disk_.mend();
    if (!old) continue;
    auto opened = open();
    ASSERT_TRUE(is_ok(opened));
    node_ = *std::move(opened);
    submit(consortium_.registrations(1));
    expect_all_there();
  }
}

std::vector<Fault> faults_at_start() {
  std::vector<Fault> faults;
  for (std::uint64_t n = 0; n < 120; n += colophon::test::sample_step(4, 12)) {
    faults.push_back({n / 4 % 2 == 0 ? Fault::kOnce : Fault::kFromThenOn, n});
  }
  for (std::uint64_t n = 0; n < 60000; n += colophon::test::number_of_cases(500, 5'000, 15'000)) {
    faults.push_back({Fault::kFull, n});
  }
  return faults;
}
INSTANTIATE_TEST_SUITE_P(At, DiskFaultAtStart, ::testing::ValuesIn(faults_at_start()));

template <class Condition>
bool comes_true(Condition condition) {
  for (int i = 0; i < 3000 && !condition(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return condition();
}

TEST_F(DiskFaultTest, GoesOnByItselfOnceThereIsSpace) {
  found();
  disk_.set_space(0);
  submit(consortium_.registrations(1));
  const NodeStatus status = node_->status();
  EXPECT_FALSE(status.accepting);
  EXPECT_NE(status.reason.find("is full: free space there"), std::string::npos) << status.reason;
  EXPECT_NE(node_->metrics().find("colophon_accepting 0\n"), std::string::npos);
  disk_.mend();
  // A balancer that sends nothing to a node that is not healthy must not keep it so.
  EXPECT_TRUE(comes_true([&] { return node_->status().accepting; }));
  send_refused_again();
  expect_all_there();
}

TEST_F(DiskFaultTest, ReadsThatFailAreNoVerdictOnATransaction) {
  found();
  submit(consortium_.registrations(2));
  node_.reset();
  auto opened = open();  // nothing cached
  ASSERT_TRUE(is_ok(opened));
  node_ = *std::move(opened);
  disk_.set_unreadable(true);
  submit(consortium_.registrations(1));
  EXPECT_EQ(refused_.size(), 1u);
  disk_.mend();
  send_refused_again();
  expect_all_there();
}

// --- power cuts ----------------------------------------------------------------------------------

class PowerCut : public ::testing::TestWithParam<std::uint64_t> {};

// The machine goes off at a random operation, starting included, and comes back with all that was
// synced and some of what was not; five times over.
TEST_P(PowerCut, KeepsWhatWasAcknowledged) {
  std::mt19937_64 random(GetParam());
  SimulatedDisk disk(GetParam());
  ASSERT_TRUE(disk.CreateDir("/data").ok());
  ASSERT_TRUE([&] {  // whoever made the data directory also made it durable
    std::unique_ptr<rocksdb::Directory> root;
    return disk.NewDirectory("/", &root).ok() && root->Fsync().ok();
  }());
  Consortium consortium;
  TestEnvironment outside;
  std::vector<Receipt> acknowledged;
  std::vector<std::string> unsent = consortium.founding();
  for (int life = 0; life < 5; ++life) {
    SCOPED_TRACE(life);
    disk.die_at_operation(random() % 200);  // a start takes some sixty
    auto node = open_node(consortium, outside.with(disk));
    if (!node) {
      EXPECT_TRUE(disk.is_dead()) << node.error().message;
    }
    for (int calls = 0; !disk.is_dead(); ++calls) {
      ASSERT_LT(calls, 1000) << "nothing reaches the disk any more";
      if (unsent.empty()) unsent = consortium.registrations(1 + random() % 12);
      auto results = (*node)->submit(views(unsent));
      std::vector<std::string> left;
      for (std::size_t i = 0; i < results.size(); ++i) {
        if (results[i]) {
          acknowledged.push_back(*std::move(results[i]));
        } else if (results[i].error().code != ErrorCode::kAlreadyExists) {
          EXPECT_EQ(results[i].error().code, ErrorCode::kIo) << results[i].error().message;
          left.push_back(unsent[i]);
        }
      }
      unsent = std::move(left);
    }
    if (node) node->reset();
    if (random() % 4 == 0) {
      disk.restart_after_kill();
    } else {
      disk.restart_after_power_cut();
    }
    auto again = open_node(consortium, outside.with(disk));
    ASSERT_TRUE(is_ok(again));
    expect_committed(**again, acknowledged);
    again->reset();
    expect_clean(consortium, outside.with(disk));
  }
  EXPECT_FALSE(acknowledged.empty());
}

// With sanitizers a seed takes four seconds.
constexpr std::size_t kSeedsInLong = colophon::test::kIsDebug ? 100 : 1'000;
INSTANTIATE_TEST_SUITE_P(
    Seeds, PowerCut,
    ::testing::Range(std::uint64_t{1},
                     std::uint64_t{colophon::test::number_of_cases(kSeedsInLong, 13, 3)}));

// --- the token -----------------------------------------------------------------------------------

TEST_F(DiskFaultTest, ATokenThatIsAwayCostsNothingButTime) {
  found();
  const NodeStatus before = node_->status();
  consortium_.log_key->set_failing(true);
  const std::string transaction = consortium_.registration();
  for (int i = 0; i < 2; ++i) {
    auto results = node_->submit(views({transaction}));
    ASSERT_FALSE(results[0].ok());
    EXPECT_EQ(results[0].error().code, ErrorCode::kUnavailable);
    EXPECT_EQ(results[0].error().field, "key");
    EXPECT_NE(results[0].error().message.find("see to the HSM"), std::string::npos);
  }
  EXPECT_FALSE(node_->status().accepting);
  EXPECT_EQ(node_->status().height, before.height);
  EXPECT_EQ(node_->status().log_size, before.log_size);
  expect_committed(*node_, acknowledged_);
  consortium_.log_key->set_failing(false);
  EXPECT_TRUE(comes_true([&] { return node_->status().accepting; }));
  submit({transaction});
  EXPECT_EQ(acknowledged_.back().block_height, before.height + 1);
  expect_all_there();
}

TEST_F(DiskFaultTest, AFirstStartWithoutTheTokenIsRepeated) {
  consortium_.log_key->set_failing(true);
  const auto opened = open();
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(opened.error().field, "key");
  consortium_.log_key->set_failing(false);
  found();
  expect_all_there();
}

// Signs something else than it is asked.
class WrongSigner final : public hsm::Signer {
 public:
  explicit WrongSigner(hsm::Signer& owner) : owner_(owner) {}
  [[nodiscard]] hsm::KeyType key_type() const noexcept override { return owner_.key_type(); }
  [[nodiscard]] const hsm::PublicKey& public_key() const noexcept override {
    return owner_.public_key();
  }
  [[nodiscard]] Result<hsm::Signature> sign(ByteSpan message) override {
    auto signature = owner_.sign(message);
    if (wrong && signature) signature->front() ^= 1;
    return signature;
  }
  bool wrong = false;

 private:
  hsm::Signer& owner_;
};

TEST_F(DiskFaultTest, ATokenThatSignsWronglyMakesNoBlock) {
  auto signer = std::make_unique<WrongSigner>(*consortium_.log_key);
  WrongSigner& token = *signer;
  auto opened =
      Node::open(prompt_config(), consortium_.genesis(), environment(), std::move(signer));
  ASSERT_TRUE(is_ok(opened));
  node_ = *std::move(opened);
  token.wrong = true;
  auto results = node_->submit(views(consortium_.founding()));
  for (const auto& result : results) {
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code, ErrorCode::kUnavailable);
    EXPECT_NE(result.error().message.find("does not verify"), std::string::npos)
        << result.error().message;
  }
  EXPECT_EQ(node_->status().height, 0u);
}

TEST_F(DiskFaultTest, AnotherLogKeyThanTheGenesisNamesIsRefused) {
  const auto other = MemorySigner::create(hsm::KeyType::kEd25519, 77);
  for (hsm::Signer* signer : {static_cast<hsm::Signer*>(other.get()),
                              static_cast<hsm::Signer*>(consortium_.member.get())}) {
    const auto opened = Node::open(prompt_config(), consortium_.genesis(), environment(),
                                   std::make_unique<LentSigner>(*signer));
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(opened.error().field, "key");
  }
  EXPECT_TRUE(disk_.files().empty());
}

}  // namespace
}  // namespace colophon::node
