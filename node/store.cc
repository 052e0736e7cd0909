// SPDX-License-Identifier: Apache-2.0
#include "node/store.h"

#include <openssl/sha.h>
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>

#include "node/big_endian.h"
#include "node/bytes.h"
#include "node/proto/transaction.pb.h"
#include "node/store_logger.h"

namespace colophon::node {
namespace {

constexpr std::array<std::string_view, kFamilies> kFamilyNames = {
    "default", "block", "state", "leaf", "node", "history", "transaction", "checkpoint"};
constexpr std::string_view kFormatKey = "format";
constexpr std::string_view kGenesisKey = "genesis";
constexpr std::string_view kHeadKey = "head";
constexpr std::string_view kAcknowledgedFile = "/acknowledged";

constexpr std::size_t kWriteBufferBytes = 32 << 20;  // a column family
constexpr std::size_t kWalBytesMax = 256 << 20;      // bounds the replay at start
constexpr std::size_t kBlockCacheBytes = 128 << 20;  // all column families together
constexpr std::size_t kProbeBytes = 4 << 20;         // free space wanted before a reopen

rocksdb::Slice slice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
rocksdb::Slice slice(const Digest& digest) { return slice(as_text(digest)); }
std::string_view view(const rocksdb::Slice& bytes) { return {bytes.data(), bytes.size()}; }

bool is_full(const rocksdb::Status& status) {
  return status.IsNoSpace() || status.subcode() == rocksdb::Status::kNoSpace;
}

Error store_error(const rocksdb::Status& status, const std::string& directory) {
  if (is_full(status)) {
    return make_error(ErrorCode::kIo,
                      "the disk with " + directory +
                          " is full: free space there; the node then goes on by itself, and what "
                          "was not acknowledged can be sent again",
                      "data");
  }
  if (status.IsCorruption()) {
    return make_error(ErrorCode::kCorrupt,
                      "stored data in " + directory + " is damaged (" + status.ToString() +
                          "): 'colophon node fsck' says what is left; restore a backup",
                      "data");
  }
  return make_error(ErrorCode::kIo,
                    "the disk with " + directory + " failed (" + status.ToString() +
                        "): see to it; what was not acknowledged can be sent again",
                    "data");
}

rocksdb::Options make_options(rocksdb::Env& disk) {
  rocksdb::Options options;
  options.env = &disk;
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  options.paranoid_checks = true;
  // A torn record at the end of the log is a block that was not acknowledged: it is left out.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  // After a failed write RocksDB must not go on by itself: Store::reopen decides what is there.
  options.max_bgerror_resume_count = 0;
  options.max_total_wal_size = kWalBytesMax;
  options.write_buffer_size = kWriteBufferBytes;
  options.max_background_jobs = 2;
  options.max_open_files = 512;
  options.info_log = silent_logger();
  options.compression = rocksdb::kNoCompression;  // hashes, keys and signatures do not compress
  rocksdb::BlockBasedTableOptions table;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));  // most look-ups are of new keys
  table.block_cache = rocksdb::NewLRUCache(kBlockCacheBytes);
  table.format_version = 5;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

// The content of the file "acknowledged". One write of 16 bytes is never torn by a process that
// dies; what a power cut may leave of it is told by the complement.
std::string acknowledged_record(std::uint64_t height) {
  return big_endian(height) + big_endian(~height);
}
// 0, which claims nothing, for what is no such record.
std::uint64_t parse_acknowledged(std::string_view record) {
  if (record.size() != 2 * kBigEndianBytes) return 0;
  const std::uint64_t height = read_big_endian(as_bytes(record));
  return record == acknowledged_record(height) ? height : 0;
}

// An open RocksDB; closed on destruction, which `closed` then tells.
struct Database {
  std::unique_ptr<rocksdb::DB> db;
  std::vector<rocksdb::ColumnFamilyHandle*> families;
  std::promise<void> closed;

  ~Database() {
    for (rocksdb::ColumnFamilyHandle* family : families) {
      db->DestroyColumnFamilyHandle(family).PermitUncheckedError();
    }
    if (db) db->Close().PermitUncheckedError();
    db.reset();
    closed.set_value();
  }
  rocksdb::ColumnFamilyHandle* family(Family name) const {
    return families[static_cast<std::size_t>(name)];
  }
};

// What readers see: a database at one moment between two blocks.
struct Snapshot {
  std::shared_ptr<Database> database;
  const rocksdb::Snapshot* at;
  Head head;

  Snapshot(std::shared_ptr<Database> of, const Head& head_then)
      : database(std::move(of)), at(database->db->GetSnapshot()), head(head_then) {}
  ~Snapshot() { database->db->ReleaseSnapshot(at); }
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

  rocksdb::ReadOptions options() const {
    rocksdb::ReadOptions read;
    read.snapshot = at;
    return read;
  }
};

}  // namespace

std::string_view family_name(Family family) noexcept {
  return kFamilyNames[static_cast<std::size_t>(family)];
}

std::string serialize_entry(const TransactionEntry& entry) {
  std::string bytes;
  bytes.reserve(4 * kBigEndianBytes);
  append_big_endian(bytes, entry.height);
  append_big_endian(bytes, entry.position);
  append_big_endian(bytes, entry.first_event);
  append_big_endian(bytes, entry.events);
  return bytes;
}

Result<TransactionEntry> parse_entry(std::string_view bytes) {
  if (bytes.size() != 4 * kBigEndianBytes) {
    return make_error(ErrorCode::kCorrupt,
                      "a stored transaction entry has " + std::to_string(bytes.size()) +
                          " bytes, must have 32: run 'colophon node fsck'",
                      "transaction");
  }
  const auto number = [&](std::size_t i) {
    return read_big_endian(as_bytes(bytes.substr(i * kBigEndianBytes)));
  };
  return TransactionEntry{number(0), number(1), number(2), number(3)};
}

std::string node_key(unsigned level, std::uint64_t index) {
  std::string key(1, static_cast<char>(static_cast<unsigned char>(level)));
  append_big_endian(key, index);
  return key;
}

Result<std::string> history_prefix(ByteSpan subject) {
  if (subject.size() > kSubjectBytesMax) {
    return make_error(ErrorCode::kLimitExceeded,
                      "a subject has at most " + std::to_string(kSubjectBytesMax) + " bytes",
                      "subject");
  }
  std::string prefix(1, static_cast<char>(static_cast<unsigned char>(subject.size())));
  prefix += as_text(subject);
  return prefix;
}

struct Store::Implementation {
  std::string directory;
  Digest genesis_hash{};
  rocksdb::Env& disk;
  Mode mode;
  rocksdb::FileLock* lock = nullptr;

  mutable std::mutex mutex;
  mutable std::condition_variable reopened;
  bool reopening = false;
  std::shared_ptr<const Snapshot> current;  // null: reopening, or not even reading is possible
  Head head;                                // of the last snapshot
  std::atomic<bool> writable = false;

  // The writer's. RocksDB takes a log damaged in its middle for one that ends there: acknowledged
  // blocks would be gone without a word, and the event log would go on with a second history. So
  // the height of the last acknowledged block also stands in a file that costs no sync; it may lag
  // behind the database but never runs ahead of it.
  std::unique_ptr<rocksdb::RandomRWFile> acknowledged_file;  // null: read-only
  std::uint64_t acknowledged = 0;

  Implementation(std::string path, const Digest& hash, rocksdb::Env& env, Mode open_mode)
      : directory(std::move(path)), genesis_hash(hash), disk(env), mode(open_mode) {}
  ~Implementation() {
    current.reset();
    if (acknowledged_file) {
      acknowledged_file->Sync().PermitUncheckedError();
      acknowledged_file->Close().PermitUncheckedError();
    }
    if (lock != nullptr) disk.UnlockFile(lock).PermitUncheckedError();
  }

  std::string database_path() const { return directory + "/db"; }
  Error error(const rocksdb::Status& status) const { return store_error(status, directory); }

  Result<std::shared_ptr<const Snapshot>> acquire() const {
    std::unique_lock guard(mutex);
    reopened.wait(guard, [&] { return !reopening; });
    if (current) return current;
    return make_error(ErrorCode::kIo, "the disk with " + directory + " can be read no more",
                      "data");
  }
  void publish(std::shared_ptr<const Snapshot> snapshot) {
    {
      const std::scoped_lock guard(mutex);
      if (snapshot) head = snapshot->head;
      current.swap(snapshot);
      reopening = false;
    }
    reopened.notify_all();
  }  // the old snapshot goes here, outside the lock

  Result<void> lock_directory();
  Result<void> check_remains() const;
  Result<void> open_acknowledged();
  void acknowledge(std::uint64_t height);
  Result<void> sync_directory() const;
  Result<std::shared_ptr<Database>> open_database(bool read_only) const;
  Result<std::string> read_meta(const Database& database, std::string_view key) const;
  Result<void> check_meta(const Database& database, bool may_create) const;
  Result<Head> load_head(const Database& database) const;
  Result<std::shared_ptr<const Snapshot>> open_snapshot(bool read_only) const;
  Result<void> probe_space() const;
};

Result<void> Store::Implementation::lock_directory() {
  if (mode == Mode::kReadWrite) {
    if (const auto status = disk.CreateDirIfMissing(directory); !status.ok()) return error(status);
  } else if (!disk.FileExists(database_path() + "/CURRENT").ok()) {
    return make_error(ErrorCode::kNotFound, "there is no chain in " + directory, "data");
  }
  const auto status = disk.LockFile(directory + "/lock", &lock);
  if (status.ok()) return {};
  lock = nullptr;
  if (is_full(status)) return error(status);
  return make_error(ErrorCode::kUnavailable,
                    "cannot lock " + directory +
                        ": another process has it open (stop that node first), or this user may "
                        "not write there (" +
                        status.ToString() + ")",
                    "data");
}

// RocksDB makes a new database where the file CURRENT is missing, and deletes what is left of the
// old.
Result<void> Store::Implementation::check_remains() const {
  if (disk.FileExists(database_path() + "/CURRENT").ok()) return {};
  std::vector<std::string> names;
  if (!disk.GetChildren(database_path(), &names).ok()) return {};  // no directory yet
  const bool has_data = std::ranges::any_of(names, [](const std::string& name) {
    return name.ends_with(".sst") || name.ends_with(".log");
  });
  if (!has_data) return {};
  return error(rocksdb::Status::Corruption("the file db/CURRENT is missing"));
}

Result<void> Store::Implementation::open_acknowledged() {
  const std::string path = directory + std::string(kAcknowledgedFile);
  std::string record;
  auto status = rocksdb::ReadFileToString(&disk, path, &record);
  if (status.ok()) {
    acknowledged = parse_acknowledged(record);
  } else if (!status.IsNotFound() && !status.IsPathNotFound()) {
    return error(status);
  }
  if (mode == Mode::kReadOnly) return {};
  if (!status.ok() || record.size() != acknowledged_record(0).size()) {
    status = rocksdb::WriteStringToFile(&disk, acknowledged_record(0), path, /*should_sync=*/true);
    if (!status.ok()) return error(status);
  }
  status = disk.NewRandomRWFile(path, &acknowledged_file, rocksdb::EnvOptions());
  if (!status.ok()) return error(status);
  return {};
}

// A write that fails leaves the lower height there, which still claims nothing that is not so.
void Store::Implementation::acknowledge(std::uint64_t height) {
  acknowledged = height;
  acknowledged_file->Write(0, acknowledged_record(height)).PermitUncheckedError();
}

// Makes the names of what was created in it durable; RocksDB does so for its own files only.
Result<void> Store::Implementation::sync_directory() const {
  std::unique_ptr<rocksdb::Directory> names;
  auto status = disk.NewDirectory(directory, &names);
  if (status.ok()) status = names->Fsync();
  if (!status.ok()) return error(status);
  return {};
}

Result<std::shared_ptr<Database>> Store::Implementation::open_database(bool read_only) const {
  const rocksdb::Options options = make_options(disk);
  rocksdb::ColumnFamilyOptions family_options(options);
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  for (const std::string_view name : kFamilyNames) {
    descriptors.emplace_back(std::string(name), family_options);
  }
  auto database = std::make_shared<Database>();
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status =
      read_only ? rocksdb::DB::OpenForReadOnly(rocksdb::DBOptions(options), database_path(),
                                               descriptors, &database->families, &db)
                : rocksdb::DB::Open(rocksdb::DBOptions(options), database_path(), descriptors,
                                    &database->families, &db);
  database->db.reset(db);
  if (status.IsInvalidArgument() || status.IsNotSupported()) {  // column families, file format
    return make_error(ErrorCode::kUnsupported,
                      "the store in " + directory +
                          " has a form that this program does not know (" + status.ToString() +
                          "): use the version that wrote it",
                      "data");
  }
  if (!status.ok()) return error(status);
  return database;
}

// A value that every database has.
Result<std::string> Store::Implementation::read_meta(const Database& database,
                                                     std::string_view key) const {
  std::string value;
  const auto status = database.db->Get({}, slice(key), &value);
  if (status.ok()) return value;
  return error(status.IsNotFound()
                   ? rocksdb::Status::Corruption("no " + std::string(key) + " is stored")
                   : status);
}

// Format and genesis; a database that has neither yet gets them.
Result<void> Store::Implementation::check_meta(const Database& database, bool may_create) const {
  std::string format;
  auto status = database.db->Get({}, slice(kFormatKey), &format);
  if (status.IsNotFound() && may_create) {
    const std::unique_ptr<rocksdb::Iterator> blocks(
        database.db->NewIterator({}, database.family(Family::kBlock)));
    blocks->SeekToFirst();
    if (!blocks->status().ok()) return error(blocks->status());
    if (!blocks->Valid()) {
      rocksdb::WriteBatch batch;
      status = batch.Put(slice(kFormatKey), big_endian(kStoreFormat));
      if (status.ok()) status = batch.Put(slice(kGenesisKey), slice(genesis_hash));
      if (status.ok()) status = batch.Put(slice(kHeadKey), big_endian(0));
      rocksdb::WriteOptions synced;
      synced.sync = true;
      if (status.ok()) status = database.db->Write(synced, &batch);
      if (!status.ok()) return error(status);
      return {};
    }
  }
  COLOPHON_TRY_ASSIGN(format, read_meta(database, kFormatKey));
  if (format != big_endian(kStoreFormat)) {
    return make_error(ErrorCode::kUnsupported,
                      "the store in " + directory + " has format " +
                          std::to_string(read_big_endian(as_bytes(format))) +
                          ", this program reads format " + std::to_string(kStoreFormat),
                      "data");
  }
  COLOPHON_TRY_ASSIGN(const std::string genesis, read_meta(database, kGenesisKey));
  if (genesis != as_text(genesis_hash)) {
    return make_error(ErrorCode::kInvalidArgument,
                      "the store in " + directory +
                          " belongs to another chain: its genesis is not the genesis.json given",
                      "genesis");
  }
  return {};
}

Result<Head> Store::Implementation::load_head(const Database& database) const {
  COLOPHON_TRY_ASSIGN(std::string value, read_meta(database, kHeadKey));
  if (value.size() != kBigEndianBytes) {
    return error(rocksdb::Status::Corruption("the height of the last block does not parse"));
  }
  Head last;
  last.height = read_big_endian(as_bytes(value));
  // The next block would be written over one that is there.
  auto status =
      database.db->Get({}, database.family(Family::kBlock), big_endian(last.height + 1), &value);
  if (status.ok()) {
    status = rocksdb::Status::Corruption("there is a block after the last, " +
                                         std::to_string(last.height));
  }
  if (!status.IsNotFound()) return error(status);
  if (last.height == 0) return last;

  status = database.db->Get({}, database.family(Family::kBlock), big_endian(last.height), &value);
  if (!status.ok()) {
    return error(status.IsNotFound() ? rocksdb::Status::Corruption("the last block is missing")
                                     : status);
  }
  proto::Block block;
  if (!block.ParseFromString(value) || block.header().log_root().size() != last.log_root.size()) {
    return error(rocksdb::Status::Corruption("the last block does not parse"));
  }
  const std::string header = block.header().SerializeAsString();
  SHA256(as_bytes(header).data(), header.size(), last.header_hash.data());
  last.time_ms = block.header().time_ms();
  last.log_size = block.header().log_size();
  std::ranges::copy(as_bytes(block.header().log_root()), last.log_root.begin());
  return last;
}

Result<std::shared_ptr<const Snapshot>> Store::Implementation::open_snapshot(bool read_only) const {
  COLOPHON_TRY_ASSIGN(auto database, open_database(read_only));
  COLOPHON_TRY(check_meta(*database, !read_only));
  COLOPHON_TRY_ASSIGN(const Head last, load_head(*database));
  if (last.height < acknowledged) {
    return make_error(ErrorCode::kCorrupt,
                      "the store in " + directory + " ends at block " +
                          std::to_string(last.height) + ", but block " +
                          std::to_string(acknowledged) +
                          " was acknowledged: files in it are damaged or missing; restore a "
                          "backup, since a log that went on from here would contradict itself",
                      "data");
  }
  return std::make_shared<const Snapshot>(std::move(database), last);
}

// A reopen on a disk that is still full would end in a database that cannot be opened for writing,
// and readers would have waited for nothing.
Result<void> Store::Implementation::probe_space() const {
  const std::string path = directory + "/space_probe";
  std::unique_ptr<rocksdb::WritableFile> file;
  auto status = disk.NewWritableFile(path, &file, rocksdb::EnvOptions());
  if (status.ok()) {
    const std::string zeros(kProbeBytes, '\0');
    status = file->Append(slice(zeros));
    if (status.ok()) status = file->Sync();
    const auto closed = file->Close();
    if (status.ok()) status = closed;
  }
  disk.DeleteFile(path).PermitUncheckedError();
  if (!status.ok()) return error(status);
  return {};
}

Store::Store(std::unique_ptr<Implementation> implementation)
    : implementation_(std::move(implementation)) {}
Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::open(const std::string& data_directory,
                                           const Digest& genesis_hash, rocksdb::Env& disk,
                                           Mode mode) {
  auto store = std::make_unique<Implementation>(data_directory, genesis_hash, disk, mode);
  COLOPHON_TRY(store->lock_directory());
  COLOPHON_TRY(store->check_remains());
  COLOPHON_TRY(store->open_acknowledged());
  COLOPHON_TRY_ASSIGN(auto snapshot, store->open_snapshot(mode == Mode::kReadOnly));
  if (mode == Mode::kReadWrite) COLOPHON_TRY(store->sync_directory());
  store->publish(std::move(snapshot));
  store->writable = mode == Mode::kReadWrite;
  return std::unique_ptr<Store>(new Store(std::move(store)));
}

Result<std::optional<std::string>> Store::get(std::string_view key) const {
  return read(Family::kState, key);
}

Result<std::optional<std::string>> Store::read(Family family, std::string_view key) const {
  COLOPHON_TRY_ASSIGN(const auto snapshot, implementation_->acquire());
  std::string value;
  const auto status = snapshot->database->db->Get(
      snapshot->options(), snapshot->database->family(family), slice(key), &value);
  if (status.IsNotFound()) return std::optional<std::string>();
  if (!status.ok()) return implementation_->error(status);
  return std::optional(std::move(value));
}

Result<void> Store::scan(
    Family family, std::string_view from,
    const std::function<bool(std::string_view key, std::string_view value)>& entry) const {
  COLOPHON_TRY_ASSIGN(const auto snapshot, implementation_->acquire());
  const std::unique_ptr<rocksdb::Iterator> at(
      snapshot->database->db->NewIterator(snapshot->options(), snapshot->database->family(family)));
  for (at->Seek(slice(from)); at->Valid(); at->Next()) {
    if (!entry(view(at->key()), view(at->value()))) return {};
  }
  if (!at->status().ok()) return implementation_->error(at->status());
  return {};
}

NodeReader Store::nodes(const Backend& backend) const {
  return [this, backend](unsigned level, std::uint64_t index) -> Result<Digest> {
    Digest hash{};
    if (level == 0) {
      COLOPHON_TRY_ASSIGN(const auto leaf, read(Family::kLeaf, big_endian(index)));
      if (leaf) {
        const std::array<std::uint64_t, 2> offsets = {0, leaf->size()};
        COLOPHON_TRY(merkle_leaf_hashes(backend, Slices{as_bytes(*leaf), offsets},
                                        std::span<Digest>(&hash, 1)));
        return hash;
      }
    } else {
      COLOPHON_TRY_ASSIGN(const auto node, read(Family::kNode, node_key(level, index)));
      if (node && node->size() == hash.size()) {
        std::copy(node->begin(), node->end(), hash.begin());
        return hash;
      }
    }
    return make_error(ErrorCode::kCorrupt,
                      "the log's node at level " + std::to_string(level) + ", index " +
                          std::to_string(index) + " is missing: run 'colophon node fsck'",
                      "log");
  };
}

Head Store::head() const {
  const std::scoped_lock guard(implementation_->mutex);
  return implementation_->head;
}

Result<void> Store::write_first_checkpoint(std::string_view checkpoint) {
  COLOPHON_TRY_ASSIGN(const auto snapshot, implementation_->acquire());
  rocksdb::WriteOptions synced;
  synced.sync = true;
  const auto status = snapshot->database->db->Put(
      synced, snapshot->database->family(Family::kCheckpoint), big_endian(0), slice(checkpoint));
  if (!status.ok()) return implementation_->error(status);
  implementation_->publish(std::make_shared<const Snapshot>(snapshot->database, snapshot->head));
  return {};
}

namespace {

// Everything of one block, or the first error of the batch itself (out of memory).
rocksdb::Status fill(rocksdb::WriteBatch& batch, const Database& database,
                     const BlockWrite& block) {
  rocksdb::Status first;
  const auto put = [&](Family family, const rocksdb::Slice& key, const rocksdb::Slice& value) {
    auto status = batch.Put(database.family(family), key, value);
    if (first.ok()) first = std::move(status);
  };
  const std::string height = big_endian(block.head.height);
  if (block.erased) {
    first = batch.DeleteRange(database.family(Family::kState), slice(block.erased->first),
                              slice(block.erased->second));
  }
  for (const auto& [key, value] : block.state) {
    if (value) {
      put(Family::kState, key, *value);
    } else {
      auto status = batch.Delete(database.family(Family::kState), key);
      if (first.ok()) first = std::move(status);
    }
  }
  std::string key;
  for (std::size_t i = 0; i < block.events.size(); ++i) {
    const LoggedEvent& event = block.events[i];
    const std::string index = big_endian(block.first_event + i);
    put(Family::kLeaf, index, event.leaf);
    key.assign(1, static_cast<char>(static_cast<unsigned char>(event.subject.size())));
    key += event.subject;
    key += index;
    put(Family::kHistory, key, {});
  }
  for (const LogNode& node : block.nodes) {
    if (node.level > 0) put(Family::kNode, node_key(node.level, node.index), slice(node.hash));
  }
  for (const auto& [id, entry] : block.transactions) {
    put(Family::kTransaction, slice(id), serialize_entry(entry));
  }
  put(Family::kBlock, height, slice(block.block));
  put(Family::kCheckpoint, height, slice(block.checkpoint));
  put(Family::kMeta, slice(kHeadKey), height);
  return first;
}

std::size_t batch_bytes(const BlockWrite& block) {
  constexpr std::size_t kEntryBytes = 64;  // tag, family, lengths, key, rounded up
  std::size_t bytes = block.block.size() + block.checkpoint.size() + 4 * kEntryBytes;
  for (const auto& [key, value] : block.state) {
    bytes += key.size() + (value ? value->size() : 0) + kEntryBytes;
  }
  for (const LoggedEvent& event : block.events) {
    bytes += event.leaf.size() + event.subject.size() + 2 * kEntryBytes;
  }
  return bytes + (block.nodes.size() + 2 * block.transactions.size()) * kEntryBytes;
}

}  // namespace

Result<void> Store::write(const BlockWrite& block) {
  for (const LoggedEvent& event : block.events) {
    COLOPHON_TRY(history_prefix(as_bytes(event.subject)));
  }
  if (!implementation_->writable) {
    return make_error(ErrorCode::kIo, "the store does not take writes since one failed", "data");
  }
  COLOPHON_TRY_ASSIGN(const auto snapshot, implementation_->acquire());
  const auto& database = snapshot->database;
  rocksdb::WriteBatch batch(batch_bytes(block));
  auto status = fill(batch, *database, block);
  rocksdb::WriteOptions synced;
  synced.sync = true;
  if (status.ok()) status = database->db->Write(synced, &batch);
  if (!status.ok()) {
    implementation_->writable = false;
    return implementation_->error(status);
  }
  implementation_->acknowledge(block.head.height);
  implementation_->publish(std::make_shared<const Snapshot>(database, block.head));
  return {};
}

bool Store::writable() const noexcept { return implementation_->writable; }

Result<void> Store::reopen() {
  COLOPHON_TRY(implementation_->probe_space());
  implementation_->writable = false;
  std::shared_ptr<const Snapshot> last;
  {
    const std::scoped_lock guard(implementation_->mutex);
    last.swap(implementation_->current);
    implementation_->reopening = true;
  }
  if (last) {
    // The database closes when its last reader is done; only then can it be opened again.
    std::future<void> closed = last->database->closed.get_future();
    last.reset();
    closed.wait();
  }
  auto opened = implementation_->open_snapshot(/*read_only=*/false);
  if (opened) {
    implementation_->writable = true;
    implementation_->publish(*std::move(opened));
    return {};
  }
  auto readable = implementation_->open_snapshot(/*read_only=*/true);
  implementation_->publish(readable ? *std::move(readable) : nullptr);
  return std::move(opened).error();
}

}  // namespace colophon::node
