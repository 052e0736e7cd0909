// SPDX-License-Identifier: Apache-2.0
//
// The store: what is written is read back, whole blocks only, and what is not right on the disk is
// said.
#include "node/store.h"

#include <gtest/gtest.h>
#include <rocksdb/env.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "node/big_endian.h"
#include "node/bytes.h"
#include "node/proto/transaction.pb.h"
#include "tests/node/certificate_forge.h"
#include "tests/node/raw_database.h"
#include "tests/node/simulated_disk.h"
#include "tests/node/temporary_directory.h"

namespace colophon::node {
namespace {

using test::sha256;
using test::SimulatedDisk;

const Digest kGenesis = sha256("genesis");

// Blocks of made-up content, whose log is right.
class StoreTest : public ::testing::Test {
 protected:
  using Opened = Result<std::unique_ptr<Store>>;

  Opened open(Store::Mode mode = Store::Mode::kReadWrite, const Digest& genesis = kGenesis) {
    return Store::open("/data", genesis, disk_, mode);
  }
  void open_writable() {
    store_.reset();
    auto opened = open();
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    store_ = *std::move(opened);
  }

  struct Content {
    StateOverlay::Writes state;
    std::optional<std::pair<std::string, std::string>> erased;
    std::vector<LoggedEvent> events;
    std::vector<std::pair<Digest, TransactionEntry>> transactions;
  };
  Result<void> write(std::uint64_t height, const Content& content) {
    std::string leaves;
    std::vector<std::uint64_t> ends{0};
    for (const LoggedEvent& event : content.events) {
      leaves += event.leaf;
      ends.push_back(leaves.size());
    }
    EventLog log = log_;
    const auto nodes = log.append(backend_, Slices{as_bytes(leaves), ends});
    EXPECT_TRUE(nodes.ok());
    proto::Block block;
    block.mutable_header()->set_height(height);
    block.mutable_header()->set_time_ms(1000 * height);
    block.mutable_header()->set_log_size(log.size());
    Head head;
    head.height = height;
    head.time_ms = 1000 * height;
    head.log_size = log.size();
    head.log_root = log.root(backend_).value();
    block.mutable_header()->set_log_root(std::string(as_text(ByteSpan(head.log_root))));
    head.header_hash = sha256(block.header().SerializeAsString());
    auto written = store_->write(BlockWrite{
        head, block.SerializeAsString(), "checkpoint " + std::to_string(height), content.state,
        content.erased, log_.size(), content.events, *nodes, content.transactions});
    if (written) log_ = log;
    return written;
  }
  void write_block(std::uint64_t height) {
    const std::string name = std::to_string(height);
    Content content;
    content.state["key"] = "value " + name;
    content.events = {{"leaf a" + name, "subject a"}, {"leaf b" + name, "subject b"}};
    content.transactions = {{sha256("transaction " + name), {height, 0, 2 * height - 2, 2}}};
    const auto written = write(height, content);
    ASSERT_TRUE(written.ok()) << written.error().message;
  }

  std::map<std::string, std::string> all(Family family, std::string_view from = {}) {
    std::map<std::string, std::string> entries;
    EXPECT_TRUE(store_
                    ->scan(family, from,
                           [&](std::string_view key, std::string_view value) {
                             entries.emplace(key, value);
                             return true;
                           })
                    .ok());
    return entries;
  }
  // The one file with this ending.
  std::string only_file(std::string_view ending) {
    std::string found;
    for (const std::string& path : disk_.files()) {
      if (!path.ends_with(ending)) continue;
      EXPECT_EQ(found, "") << "another " << ending;
      found = path;
    }
    EXPECT_NE(found, "") << ending;
    return found;
  }

  SimulatedDisk disk_;
  Backend backend_ = Backend::choose("openssl").value();
  EventLog log_;
  std::unique_ptr<Store> store_;
};

TEST(StoreKeys, AreOrderedAndHaveOneForm) {
  EXPECT_EQ(node_key(3, 0x0102), std::string("\3\0\0\0\0\0\0\1\2", 9));
  EXPECT_LT(node_key(1, ~std::uint64_t{0}), node_key(2, 0));
  EXPECT_EQ(history_prefix(as_bytes("ab")).value(), "\2ab");
  EXPECT_TRUE(history_prefix(Der(kSubjectBytesMax)).ok());
  const auto longer = history_prefix(Der(kSubjectBytesMax + 1));
  ASSERT_FALSE(longer.ok());
  EXPECT_EQ(longer.error().code, ErrorCode::kLimitExceeded);
  EXPECT_EQ(longer.error().field, "subject");

  const TransactionEntry entry{1, 2, 3, ~std::uint64_t{0}};
  EXPECT_EQ(parse_entry(serialize_entry(entry)).value(), entry);
  EXPECT_EQ(parse_entry(serialize_entry(entry) + "x").error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(parse_entry("").error().code, ErrorCode::kCorrupt);
}

TEST_F(StoreTest, ANewOneIsEmptyAndWritable) {
  open_writable();
  EXPECT_TRUE(store_->writable());
  EXPECT_EQ(store_->head().height, 0u);
  EXPECT_EQ(store_->head().log_size, 0u);
  EXPECT_FALSE(store_->get("key").value().has_value());
  for (const Family family : {Family::kBlock, Family::kState, Family::kLeaf, Family::kNode,
                              Family::kHistory, Family::kTransaction, Family::kCheckpoint}) {
    EXPECT_TRUE(all(family).empty()) << family_name(family);
  }
  ASSERT_TRUE(store_->write_first_checkpoint("the empty log").ok());
  EXPECT_EQ(store_->read(Family::kCheckpoint, big_endian(0)).value(), "the empty log");
}

TEST_F(StoreTest, HoldsAllOfABlockAndStillDoesAfterClosing) {
  open_writable();
  write_block(1);
  write_block(2);
  for (const bool reopened : {false, true}) {
    SCOPED_TRACE(reopened);
    if (reopened) open_writable();
    EXPECT_EQ(store_->get("key").value(), "value 2");
    EXPECT_EQ(all(Family::kLeaf).size(), 4u);
    EXPECT_EQ(store_->read(Family::kLeaf, big_endian(3)).value(), "leaf b2");
    EXPECT_EQ(store_->read(Family::kCheckpoint, big_endian(2)).value(), "checkpoint 2");
    EXPECT_EQ(all(Family::kHistory, history_prefix(as_bytes("subject b")).value()).size(), 2u);
    EXPECT_EQ(all(Family::kNode).size(), 3u);  // two of level 1, one of level 2
    EXPECT_EQ(
        parse_entry(
            *store_->read(Family::kTransaction, as_text(ByteSpan(sha256("transaction 2")))).value())
            .value(),
        (TransactionEntry{2, 0, 2, 2}));
    const Head head = store_->head();
    EXPECT_EQ(head.height, 2u);
    EXPECT_EQ(head.time_ms, 2000u);
    EXPECT_EQ(head.log_size, 4u);
    EXPECT_EQ(head.log_root, log_.root(backend_).value());
    // The log can be taken up again, and its nodes are those it was built of.
    const auto loaded = EventLog::load(store_->nodes(backend_), head.log_size);
    ASSERT_TRUE(loaded.ok());
    EXPECT_EQ(loaded->root(backend_).value(), head.log_root);
    EXPECT_EQ(merkle_root_from_nodes(backend_, store_->nodes(backend_), 4).value(), head.log_root);
    EXPECT_EQ(store_->nodes(backend_)(0, 4).error().code, ErrorCode::kCorrupt);
    EXPECT_EQ(store_->nodes(backend_)(2, 1).error().code, ErrorCode::kCorrupt);
  }
}

TEST_F(StoreTest, ErasesAKeyAndARangeAndWritesInOneBlock) {
  open_writable();
  Content content;
  for (const char* key : {"a", "b1", "b2", "b3", "c"}) content.state[key] = "old";
  ASSERT_TRUE(write(1, content).ok());
  content = {};
  content.erased = {"b", "b3"};
  content.state["b2"] = "new";  // after the range is gone
  content.state["c"] = std::nullopt;
  ASSERT_TRUE(write(2, content).ok());
  EXPECT_EQ(all(Family::kState),
            (std::map<std::string, std::string>{{"a", "old"}, {"b2", "new"}, {"b3", "old"}}));
}

TEST_F(StoreTest, ScansFromAKeyInOrderUntilToldToStop) {
  open_writable();
  Content content;
  for (const char* key : {"a", "b", "c", "d"}) content.state[key] = key;
  ASSERT_TRUE(write(1, content).ok());
  std::string seen;
  ASSERT_TRUE(store_
                  ->scan(Family::kState, "b",
                         [&](std::string_view key, std::string_view value) {
                           EXPECT_EQ(key, value);
                           seen += key;
                           return key != "c";
                         })
                  .ok());
  EXPECT_EQ(seen, "bc");
}

TEST_F(StoreTest, RefusesASubjectThatHasNoHistoryKeyAndStaysWritable) {
  open_writable();
  Content content;
  content.events = {{"leaf", std::string(kSubjectBytesMax + 1, 's')}};
  const auto written = write(1, content);
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().code, ErrorCode::kLimitExceeded);
  EXPECT_TRUE(store_->writable());
  write_block(1);
}

TEST_F(StoreTest, AScanSeesOneMomentHoweverManyBlocksAreWrittenMeanwhile) {
  open_writable();
  write_block(1);
  std::vector<std::string> seen;
  // The write comes from the same thread, which a store must not mind: no lock is held while
  // scanning.
  ASSERT_TRUE(store_
                  ->scan(Family::kLeaf, {},
                         [&](std::string_view, std::string_view value) {
                           if (seen.empty()) write_block(2);
                           seen.emplace_back(value);
                           return true;
                         })
                  .ok());
  EXPECT_EQ(seen, (std::vector<std::string>{"leaf a1", "leaf b1"}));
  EXPECT_EQ(all(Family::kLeaf).size(), 4u);
}

TEST_F(StoreTest, IsLockedAgainstASecondOpening) {
  open_writable();
  for (const auto mode : {Store::Mode::kReadWrite, Store::Mode::kReadOnly}) {
    const auto second = open(mode);
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().code, ErrorCode::kUnavailable);
    EXPECT_EQ(second.error().field, "data");
    EXPECT_NE(second.error().message.find("/data"), std::string::npos);
  }
  store_.reset();
  EXPECT_TRUE(open().ok());
}

TEST(StoreOnDisk, IsLockedAgainstASecondProcessAndFreeAgainWhenThatIsKilled) {
  const test::TemporaryDirectory directory;
  const std::string data = directory.path() + "/data";
  const auto open_data = [&] {
    return Store::open(data, kGenesis, *rocksdb::Env::Default(), Store::Mode::kReadWrite);
  };
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  const pid_t child = ::fork();  // before this process has a thread of RocksDB's
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto store = open_data();
    const char done = store.ok() ? 'y' : 'n';
    (void)!::write(pipe[1], &done, 1);
    for (;;) ::pause();
  }
  char opened = 0;
  ASSERT_EQ(::read(pipe[0], &opened, 1), 1);
  EXPECT_EQ(opened, 'y');
  const auto second = open_data();
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(second.error().message.find("another process has it open"), std::string::npos);
  EXPECT_EQ(::kill(child, SIGKILL), 0);
  EXPECT_EQ(::waitpid(child, nullptr, 0), child);
  const auto third = open_data();
  EXPECT_TRUE(third.ok()) << third.error().message;
  ::close(pipe[0]);
  ::close(pipe[1]);
}

TEST_F(StoreTest, ReadOnlyReadsWritesNothingAndNeedsAChain) {
  const auto missing = open(Store::Mode::kReadOnly);
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(disk_.files().empty());

  open_writable();
  write_block(1);
  store_.reset();
  const auto before = disk_.files();
  std::map<std::string, std::string> contents;
  for (const std::string& path : before) contents[path] = disk_.content(path);
  {
    auto opened = open(Store::Mode::kReadOnly);
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    store_ = *std::move(opened);
    EXPECT_EQ(store_->get("key").value(), "value 1");
    EXPECT_EQ(store_->head().height, 1u);
    EXPECT_FALSE(store_->writable());
    Content content;
    EXPECT_FALSE(write(2, content).ok());
    store_.reset();
  }
  EXPECT_EQ(disk_.files(), before);
  for (const auto& [path, content] : contents) EXPECT_EQ(disk_.content(path), content) << path;
}

TEST_F(StoreTest, BelongsToOneGenesis) {
  open_writable();
  store_.reset();
  for (const auto mode : {Store::Mode::kReadWrite, Store::Mode::kReadOnly}) {
    const auto other = open(mode, sha256("another genesis"));
    ASSERT_FALSE(other.ok());
    EXPECT_EQ(other.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(other.error().field, "genesis");
  }
  EXPECT_TRUE(open().ok());
}

TEST_F(StoreTest, IsNotReadByAProgramThatDoesNotKnowItsForm) {
  open_writable();
  write_block(1);
  store_.reset();
  {
    test::RawDatabase raw(disk_, "/data");
    raw.put(Family::kMeta, "format", big_endian(kStoreFormat + 1));
  }
  for (const auto mode : {Store::Mode::kReadWrite, Store::Mode::kReadOnly}) {
    const auto newer = open(mode);
    ASSERT_FALSE(newer.ok());
    EXPECT_EQ(newer.error().code, ErrorCode::kUnsupported);
    EXPECT_NE(newer.error().message.find("format 2"), std::string::npos) << newer.error().message;
  }
  {
    test::RawDatabase raw(disk_, "/data");
    raw.put(Family::kMeta, "format", big_endian(kStoreFormat));
    raw.add_family("licence");
  }
  const auto wider = open();
  ASSERT_FALSE(wider.ok());
  EXPECT_EQ(wider.error().code, ErrorCode::kUnsupported) << wider.error().message;
}

// What must not be there, or must be there, for the last block to be the last.
TEST_F(StoreTest, RefusesAHeadThatItsBlocksContradict) {
  open_writable();
  for (std::uint64_t height = 1; height <= 3; ++height) write_block(height);
  store_.reset();
  const auto refused = [&](const char* what) {
    for (const auto mode : {Store::Mode::kReadWrite, Store::Mode::kReadOnly}) {
      const auto opened = open(mode);
      ASSERT_FALSE(opened.ok()) << what;
      EXPECT_EQ(opened.error().code, ErrorCode::kCorrupt) << what << opened.error().message;
    }
  };
  std::string last;
  {
    test::RawDatabase raw(disk_, "/data");
    last = raw.all(Family::kBlock).at(big_endian(3));
    raw.put(Family::kMeta, "head", big_endian(2));
  }
  refused("a block after the head");
  disk_.remove("/data/acknowledged");
  refused("a block after the head, by itself");
  { test::RawDatabase(disk_, "/data").put(Family::kMeta, "head", big_endian(4)); }
  refused("no block at the head");
  { test::RawDatabase(disk_, "/data").put(Family::kMeta, "head", "3"); }
  refused("a head that is no number");
  { test::RawDatabase(disk_, "/data").erase(Family::kMeta, "head"); }
  refused("no head");
  {
    test::RawDatabase raw(disk_, "/data");
    raw.put(Family::kMeta, "head", big_endian(3));
    raw.put(Family::kBlock, big_endian(3), last.substr(0, last.size() - 1));
  }
  refused("a last block that was cut off");
  {
    test::RawDatabase raw(disk_, "/data");
    raw.put(Family::kBlock, big_endian(3), last);
    raw.erase(Family::kMeta, "format");
  }
  refused("no format");
  { test::RawDatabase(disk_, "/data").put(Family::kMeta, "format", big_endian(kStoreFormat)); }
  EXPECT_TRUE(open().ok());
}

TEST_F(StoreTest, DoesNotStartAnewWhereFilesOfAChainAreLeft) {
  open_writable();
  write_block(1);
  store_.reset();
  const std::string current = disk_.content("/data/db/CURRENT");
  disk_.remove("/data/db/CURRENT");
  const auto before = disk_.files();
  const auto opened = open();
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(opened.error().message.find("CURRENT"), std::string::npos);
  EXPECT_EQ(disk_.files(), before);  // nothing was thrown away
  disk_.put("/data/db/CURRENT", current);
  open_writable();
  EXPECT_EQ(store_->get("key").value(), "value 1");
}

// RocksDB takes the damaged record for the log's torn end. The store knows better.
TEST_F(StoreTest, MissesAcknowledgedBlocksOfADamagedOrLostLog) {
  open_writable();
  for (std::uint64_t height = 1; height <= 3; ++height) write_block(height);
  store_.reset();
  const std::string path = only_file(".log");
  const std::string log = disk_.content(path);
  for (const std::size_t at : {log.size() / 2, log.size() - 1}) {
    std::string damaged = log;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    disk_.put(path, damaged);
    for (const auto mode : {Store::Mode::kReadOnly, Store::Mode::kReadWrite}) {
      const auto opened = open(mode);
      ASSERT_FALSE(opened.ok()) << at;
      EXPECT_EQ(opened.error().code, ErrorCode::kCorrupt);
      EXPECT_NE(opened.error().message.find("block 3 was acknowledged"), std::string::npos)
          << opened.error().message;
    }
  }
  disk_.remove(path);
  EXPECT_EQ(open().error().code, ErrorCode::kCorrupt);
}

TEST_F(StoreTest, ADiskThatCannotBeReadIsNamed) {
  open_writable();
  write_block(1);
  store_.reset();
  disk_.set_unreadable(true);
  for (const auto mode : {Store::Mode::kReadOnly, Store::Mode::kReadWrite}) {
    const auto opened = open(mode);
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.error().code, ErrorCode::kIo) << opened.error().message;
    EXPECT_NE(opened.error().message.find("the disk with /data failed"), std::string::npos);
  }
  disk_.mend();
  open_writable();
  EXPECT_EQ(store_->get("key").value(), "value 1");
}

TEST_F(StoreTest, AFileThatWasNotSyncedClaimsNothing) {
  open_writable();
  write_block(1);
  store_.reset();
  const std::string good = disk_.content("/data/acknowledged");
  for (const std::string& content :
       {std::string(), std::string("x"), std::string(16, '\0'), std::string(16, '\xff'), good + "x",
        big_endian(9) + big_endian(9)}) {
    disk_.put("/data/acknowledged", content);
    open_writable();
    EXPECT_EQ(store_->head().height, 1u);
    write_block(store_->head().height + 1);
    store_.reset();
    EXPECT_EQ(disk_.content("/data/acknowledged"), big_endian(2) + big_endian(~std::uint64_t{2}));
    // Back to one block for the next content.
    disk_.remove("/data/acknowledged");
    test::RawDatabase raw(disk_, "/data");
    raw.put(Family::kMeta, "head", big_endian(1));
    for (const Family family : {Family::kBlock, Family::kCheckpoint}) {
      raw.erase(family, big_endian(2));
    }
    log_ = EventLog();
    std::string leaves = "leaf a1leaf b1";
    const std::array<std::uint64_t, 3> ends{0, 7, 14};
    ASSERT_TRUE(log_.append(backend_, Slices{as_bytes(leaves), ends}).ok());
  }
  // And what it does claim is believed.
  disk_.put("/data/acknowledged", big_endian(9) + big_endian(~std::uint64_t{9}));
  EXPECT_EQ(open().error().code, ErrorCode::kCorrupt);
}

// Any one byte of any file: an error, or exactly what was written. Never less, never something
// else.
TEST_F(StoreTest, NeverReadsWhatWasNotWritten) {
  open_writable();
  for (std::uint64_t height = 1; height <= 4; ++height) write_block(height);
  store_.reset();
  { test::RawDatabase(disk_, "/data").flush(); }  // half in tables, half in the log
  open_writable();
  for (std::uint64_t height = 5; height <= 8; ++height) write_block(height);
  const auto read_all = [&](const Store& store) -> Result<std::map<std::string, std::string>> {
    std::map<std::string, std::string> entries;
    for (std::size_t family = 0; family < kFamilies; ++family) {
      COLOPHON_TRY(store.scan(static_cast<Family>(family), {},
                              [&](std::string_view key, std::string_view value) {
                                entries.emplace(std::to_string(family) + std::string(key), value);
                                return true;
                              }));
    }
    return entries;
  };
  const auto expected = read_all(*store_).value();
  store_.reset();

  std::mt19937_64 random(7);
  std::map<std::string, std::string> contents;
  for (const std::string& path : disk_.files()) contents[path] = disk_.content(path);
  int errors = 0;
  for (const auto& [path, content] : contents) {
    if (content.empty() || path.find("OPTIONS") != std::string::npos) continue;
    for (int i = 0; i < 24; ++i) {
      std::string damaged = content;
      char& byte = damaged[random() % damaged.size()];
      byte = static_cast<char>(byte ^ (1 << random() % 8));
      disk_.put(path, damaged);
      const auto opened = open(Store::Mode::kReadOnly);
      if (!opened) {
        ++errors;
        EXPECT_NE(opened.error().message, "");
        continue;
      }
      const auto found = read_all(**opened);
      if (found) {
        EXPECT_EQ(*found, expected) << path;
      } else {
        ++errors;
        EXPECT_EQ(found.error().code, ErrorCode::kCorrupt) << found.error().message;
      }
    }
    disk_.put(path, content);
  }
  EXPECT_GT(errors, 50);  // the damage is felt at all
  EXPECT_TRUE(open().ok());
}

}  // namespace
}  // namespace colophon::node
