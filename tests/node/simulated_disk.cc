// SPDX-License-Identifier: Apache-2.0
#include "tests/node/simulated_disk.h"

#include <algorithm>
#include <utility>

namespace colophon::node::test {
namespace {

using rocksdb::Slice;
using rocksdb::Status;

constexpr std::size_t kPageBytes = 4096;  // what a power cut keeps or loses of a file at once

std::string_view view(const Slice& slice) { return {slice.data(), slice.size()}; }

// One slash between names, none at the end.
std::string plain(const std::string& path) {
  std::string made;
  for (const char c : path) {
    if (c != '/' || made.empty() || made.back() != '/') made += c;
  }
  if (made.size() > 1 && made.back() == '/') made.pop_back();
  return made;
}

std::string parent(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

Status no_file(const std::string& path) {
  return Status::PathNotFound("no such file or directory", path);
}
Status dead() { return Status::IOError("the machine is off"); }

class SilentLogger final : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
  size_t GetLogFileSize() const override { return 0; }
};

class Lock final : public rocksdb::FileLock {
 public:
  explicit Lock(std::string locked) : path(std::move(locked)) {}
  const std::string path;
};

}  // namespace

// An open file of any kind.
class OpenFile {
 public:
  OpenFile(SimulatedDisk& disk, std::shared_ptr<SimulatedDisk::Inode> inode)
      : disk_(disk), inode_(std::move(inode)), life_(disk.life_) {}

  Status append(const Slice& bytes) {
    const std::scoped_lock guard(disk_.mutex_);
    if (!alive()) return dead();
    return disk_.append(*inode_, view(bytes));
  }
  Status write(uint64_t offset, const Slice& bytes) {
    const std::scoped_lock guard(disk_.mutex_);
    if (!alive()) return dead();
    std::string& data = inode_->data;
    if (offset == data.size()) return disk_.append(*inode_, view(bytes));
    if (auto status = disk_.begin_operation(); !status.ok()) return status;
    if (data.size() < offset + bytes.size()) data.resize(offset + bytes.size());
    data.replace(offset, bytes.size(), bytes.data(), bytes.size());
    inode_->overwritten = true;
    return Status::OK();
  }
  Status sync() {
    const std::scoped_lock guard(disk_.mutex_);
    if (!alive()) return dead();
    return disk_.sync(*inode_);
  }
  Status truncate(uint64_t size) {
    const std::scoped_lock guard(disk_.mutex_);
    if (!alive()) return dead();
    inode_->data.resize(size);
    inode_->overwritten = true;
    return Status::OK();
  }
  Status read(uint64_t offset, size_t n, Slice* result, char* scratch) const {
    const std::scoped_lock guard(disk_.mutex_);
    *result = Slice();
    if (!alive()) return dead();
    if (disk_.unreadable_) return Status::IOError("input/output error");
    if (offset >= inode_->data.size()) return Status::OK();
    n = inode_->data.copy(scratch, n, offset);
    *result = Slice(scratch, n);
    return Status::OK();
  }
  uint64_t size() const {
    const std::scoped_lock guard(disk_.mutex_);
    return inode_->data.size();
  }

 private:
  bool alive() const { return !disk_.dead_ && life_ == disk_.life_; }

  SimulatedDisk& disk_;
  std::shared_ptr<SimulatedDisk::Inode> inode_;
  const uint64_t life_;
};

namespace {

class Writable final : public rocksdb::WritableFile {
 public:
  Writable(OpenFile file, const rocksdb::EnvOptions& options)
      : WritableFile(options), file_(std::move(file)) {}
  using rocksdb::WritableFile::Append;
  Status Append(const Slice& bytes) override { return file_.append(bytes); }
  Status Truncate(uint64_t size) override { return file_.truncate(size); }
  Status Close() override { return Status::OK(); }
  Status Flush() override { return Status::OK(); }
  Status Sync() override { return file_.sync(); }
  bool IsSyncThreadSafe() const override { return true; }
  uint64_t GetFileSize() override { return file_.size(); }

 private:
  OpenFile file_;
};

class RandomAccess final : public rocksdb::RandomAccessFile {
 public:
  explicit RandomAccess(OpenFile file) : file_(std::move(file)) {}
  Status Read(uint64_t offset, size_t n, Slice* result, char* scratch) const override {
    return file_.read(offset, n, result, scratch);
  }

 private:
  OpenFile file_;
};

class Sequential final : public rocksdb::SequentialFile {
 public:
  explicit Sequential(OpenFile file) : file_(std::move(file)) {}
  Status Read(size_t n, Slice* result, char* scratch) override {
    auto status = file_.read(at_, n, result, scratch);
    at_ += result->size();
    return status;
  }
  Status Skip(uint64_t n) override {
    at_ += n;
    return Status::OK();
  }

 private:
  OpenFile file_;
  uint64_t at_ = 0;
};

class RandomReadWrite final : public rocksdb::RandomRWFile {
 public:
  explicit RandomReadWrite(OpenFile file) : file_(std::move(file)) {}
  Status Write(uint64_t offset, const Slice& bytes) override { return file_.write(offset, bytes); }
  Status Read(uint64_t offset, size_t n, Slice* result, char* scratch) const override {
    return file_.read(offset, n, result, scratch);
  }
  Status Flush() override { return Status::OK(); }
  Status Sync() override { return file_.sync(); }
  Status Close() override { return Status::OK(); }

 private:
  OpenFile file_;
};

class SyncedNames final : public rocksdb::Directory {
 public:
  explicit SyncedNames(std::function<Status()> sync) : sync_(std::move(sync)) {}
  Status Fsync() override { return sync_(); }
  Status Close() override { return Status::OK(); }

 private:
  std::function<Status()> sync_;
};

}  // namespace

SimulatedDisk::SimulatedDisk(std::uint64_t seed) : EnvWrapper(Env::Default()), random_(seed) {
  const auto root = std::make_shared<Inode>();
  root->is_directory = true;
  names_["/"] = durable_names_["/"] = root;
}
SimulatedDisk::~SimulatedDisk() = default;

// --- faults --------------------------------------------------------------------------------------

std::uint64_t SimulatedDisk::operations() const {
  const std::scoped_lock guard(mutex_);
  return operations_;
}

void SimulatedDisk::fail_operation(std::uint64_t nth, bool once) {
  const std::scoped_lock guard(mutex_);
  failing_operation_ = operations_ + nth;
  once_ = once;
}

void SimulatedDisk::set_space(std::uint64_t bytes) {
  const std::scoped_lock guard(mutex_);
  space_ = bytes;
}

void SimulatedDisk::set_unreadable(bool unreadable) {
  const std::scoped_lock guard(mutex_);
  unreadable_ = unreadable;
}

void SimulatedDisk::mend() {
  const std::scoped_lock guard(mutex_);
  operations_ = 0;
  failing_operation_.reset();
  space_.reset();
  unreadable_ = false;
  has_failed_ = false;
}

bool SimulatedDisk::has_failed() const {
  const std::scoped_lock guard(mutex_);
  return has_failed_;
}

Status SimulatedDisk::begin_operation() {
  if (dead_) return dead();
  const std::uint64_t number = operations_++;
  if (last_operation_ && number >= *last_operation_) {
    dead_ = true;
    return dead();
  }
  if (!failing_operation_ || number < *failing_operation_) return Status::OK();
  if (once_) failing_operation_.reset();
  has_failed_ = true;
  return Status::IOError("input/output error");
}

Status SimulatedDisk::append(Inode& inode, std::string_view bytes) {
  if (dead_) return dead();
  if (auto status = begin_operation(); !status.ok()) {  // in the middle of the bytes
    if (!bytes.empty()) inode.data += bytes.substr(0, draw(bytes.size()));
    return status;
  }
  if (space_ && *space_ < bytes.size()) {
    has_failed_ = true;
    inode.data += bytes.substr(0, *space_);
    space_ = 0;
    return Status::NoSpace("no space left on device");
  }
  if (space_) *space_ -= bytes.size();
  inode.data += bytes;
  return Status::OK();
}

Status SimulatedDisk::sync(Inode& inode) {
  if (auto status = begin_operation(); !status.ok()) return status;
  if (inode.overwritten) {
    inode.durable = inode.data;
    inode.overwritten = false;
  } else {
    inode.durable.append(inode.data, inode.durable.size());
  }
  return Status::OK();
}

// --- the end of a process ------------------------------------------------------------------------

void SimulatedDisk::die() {
  const std::scoped_lock guard(mutex_);
  dead_ = true;
}

void SimulatedDisk::die_at_operation(std::uint64_t nth) {
  const std::scoped_lock guard(mutex_);
  last_operation_ = operations_ + nth;
}

bool SimulatedDisk::is_dead() const {
  const std::scoped_lock guard(mutex_);
  return dead_;
}

void SimulatedDisk::restart_after_kill() {
  const std::scoped_lock guard(mutex_);
  dead_ = false;
  last_operation_.reset();
  ++life_;
  locked_.clear();
}

std::uint64_t SimulatedDisk::draw(std::uint64_t below) {
  return std::uniform_int_distribution<std::uint64_t>(0, below - 1)(random_);
}

// What was not synced is there up to some byte, and in every second file only some of its pages.
void SimulatedDisk::tear(Inode& inode) {
  std::string left = inode.durable;
  if (inode.overwritten) {
    if (draw(2) == 0) left = inode.data;
  } else if (inode.data.size() > left.size()) {
    const std::size_t synced = left.size();
    left.append(inode.data, synced, draw(inode.data.size() - synced + 1));
    if (draw(2) == 0) {
      for (std::size_t at = synced; at < left.size(); at = (at / kPageBytes + 1) * kPageBytes) {
        const std::size_t end = std::min(left.size(), (at / kPageBytes + 1) * kPageBytes);
        if (draw(2) == 0) std::fill(left.begin() + at, left.begin() + end, '\0');
      }
    }
  }
  inode.data = inode.durable = std::move(left);
  inode.overwritten = false;
}

void SimulatedDisk::restart_after_power_cut() {
  const std::scoped_lock guard(mutex_);
  for (auto& [directory, changes] : unsynced_changes_) {
    changes.resize(draw(changes.size() + 1));
    for (const Change& change : changes) apply(change, durable_names_);
  }
  unsynced_changes_.clear();
  std::erase_if(durable_names_, [&](const auto& name) {  // with their directory
    return name.first != "/" && !durable_names_.contains(parent(name.first));
  });
  std::set<Inode*> torn;
  for (const auto& [path, inode] : durable_names_) {
    if (torn.insert(inode.get()).second) tear(*inode);
  }
  names_ = durable_names_;
  dead_ = false;
  last_operation_.reset();
  ++life_;
  locked_.clear();
}

// --- what is on it -------------------------------------------------------------------------------

std::set<std::string> SimulatedDisk::files() const {
  const std::scoped_lock guard(mutex_);
  std::set<std::string> paths;
  for (const auto& [path, inode] : names_) {
    if (!inode->is_directory) paths.insert(path);
  }
  return paths;
}

std::string SimulatedDisk::content(const std::string& path) const {
  const std::scoped_lock guard(mutex_);
  return names_.at(path)->data;
}

void SimulatedDisk::put(const std::string& path, std::string content) {
  const std::scoped_lock guard(mutex_);
  auto inode = std::make_shared<Inode>();
  inode->durable = content;
  inode->data = std::move(content);
  change_names({"", path, inode});
  durable_names_[path] = std::move(inode);
}

void SimulatedDisk::remove(const std::string& path) {
  const std::scoped_lock guard(mutex_);
  change_names({path, "", nullptr});
  durable_names_.erase(path);
}

// --- rocksdb::Env --------------------------------------------------------------------------------

Status SimulatedDisk::find(const std::string& path, std::shared_ptr<Inode>* inode) const {
  if (dead_) return dead();
  const auto found = names_.find(plain(path));
  if (found == names_.end()) return no_file(path);
  *inode = found->second;
  return Status::OK();
}

Status SimulatedDisk::create(const std::string& path, std::shared_ptr<Inode>* inode) {
  if (auto status = begin_operation(); !status.ok()) return status;
  if (!is_directory(parent(plain(path)))) return no_file(path);
  *inode = std::make_shared<Inode>();
  change_names({"", plain(path), *inode});
  return Status::OK();
}

Status SimulatedDisk::erase(const std::string& path, bool directory) {
  if (auto status = begin_operation(); !status.ok()) return status;
  const auto found = names_.find(plain(path));
  if (found == names_.end() || found->second->is_directory != directory) return no_file(path);
  change_names({plain(path), "", nullptr});
  return Status::OK();
}

bool SimulatedDisk::is_directory(const std::string& path) const {
  const auto found = names_.find(path);
  return found != names_.end() && found->second->is_directory;
}

void SimulatedDisk::change_names(Change change) {
  apply(change, names_);
  const std::string& path = change.added.empty() ? change.removed : change.added;
  unsynced_changes_[parent(path)].push_back(std::move(change));
}

void SimulatedDisk::apply(const Change& change, Names& names) {
  if (!change.removed.empty()) names.erase(change.removed);
  if (!change.added.empty()) names[change.added] = change.inode;
}

Status SimulatedDisk::NewSequentialFile(const std::string& path,
                                        std::unique_ptr<rocksdb::SequentialFile>* file,
                                        const rocksdb::EnvOptions&) {
  const std::scoped_lock guard(mutex_);
  std::shared_ptr<Inode> inode;
  if (auto status = find(path, &inode); !status.ok()) return status;
  *file = std::make_unique<Sequential>(OpenFile(*this, std::move(inode)));
  return Status::OK();
}

Status SimulatedDisk::NewRandomAccessFile(const std::string& path,
                                          std::unique_ptr<rocksdb::RandomAccessFile>* file,
                                          const rocksdb::EnvOptions&) {
  const std::scoped_lock guard(mutex_);
  std::shared_ptr<Inode> inode;
  if (auto status = find(path, &inode); !status.ok()) return status;
  *file = std::make_unique<RandomAccess>(OpenFile(*this, std::move(inode)));
  return Status::OK();
}

Status SimulatedDisk::NewWritableFile(const std::string& path,
                                      std::unique_ptr<rocksdb::WritableFile>* file,
                                      const rocksdb::EnvOptions& options) {
  const std::scoped_lock guard(mutex_);
  std::shared_ptr<Inode> inode;
  if (auto status = create(path, &inode); !status.ok()) return status;
  *file = std::make_unique<Writable>(OpenFile(*this, std::move(inode)), options);
  return Status::OK();
}

Status SimulatedDisk::ReopenWritableFile(const std::string& path,
                                         std::unique_ptr<rocksdb::WritableFile>* file,
                                         const rocksdb::EnvOptions& options) {
  const std::scoped_lock guard(mutex_);
  std::shared_ptr<Inode> inode;
  if (auto status = find(path, &inode); status.IsPathNotFound()) {
    if (status = create(path, &inode); !status.ok()) return status;
  } else if (!status.ok()) {
    return status;
  }
  *file = std::make_unique<Writable>(OpenFile(*this, std::move(inode)), options);
  return Status::OK();
}

Status SimulatedDisk::ReuseWritableFile(const std::string& path, const std::string& old_path,
                                        std::unique_ptr<rocksdb::WritableFile>* file,
                                        const rocksdb::EnvOptions& options) {
  if (auto status = RenameFile(old_path, path); !status.ok()) return status;
  return NewWritableFile(path, file, options);
}

Status SimulatedDisk::NewRandomRWFile(const std::string& path,
                                      std::unique_ptr<rocksdb::RandomRWFile>* file,
                                      const rocksdb::EnvOptions&) {
  const std::scoped_lock guard(mutex_);
  std::shared_ptr<Inode> inode;
  if (auto status = find(path, &inode); !status.ok()) return status;
  *file = std::make_unique<RandomReadWrite>(OpenFile(*this, std::move(inode)));
  return Status::OK();
}

Status SimulatedDisk::NewDirectory(const std::string& path,
                                   std::unique_ptr<rocksdb::Directory>* directory) {
  const std::scoped_lock guard(mutex_);
  if (dead_) return dead();
  if (!is_directory(plain(path))) return no_file(path);
  *directory = std::make_unique<SyncedNames>([this, path = plain(path), life = life_] {
    const std::scoped_lock inner(mutex_);
    if (life != life_) return dead();
    if (auto status = begin_operation(); !status.ok()) return status;
    for (const Change& change : unsynced_changes_[path]) apply(change, durable_names_);
    unsynced_changes_.erase(path);
    return Status::OK();
  });
  return Status::OK();
}

Status SimulatedDisk::FileExists(const std::string& path) {
  const std::scoped_lock guard(mutex_);
  if (dead_) return dead();
  return names_.contains(plain(path)) ? Status::OK() : Status::NotFound(path);
}

Status SimulatedDisk::GetChildren(const std::string& path, std::vector<std::string>* names) {
  const std::scoped_lock guard(mutex_);
  if (dead_) return dead();
  names->clear();
  if (!is_directory(plain(path))) return Status::NotFound(path);
  for (const auto& [child, inode] : names_) {
    if (child != "/" && parent(child) == plain(path)) {
      names->push_back(child.substr(child.rfind('/') + 1));
    }
  }
  return Status::OK();
}

Status SimulatedDisk::DeleteFile(const std::string& path) {
  const std::scoped_lock guard(mutex_);
  return erase(path, /*directory=*/false);
}

Status SimulatedDisk::Truncate(const std::string& path, size_t size) {
  const std::scoped_lock guard(mutex_);
  std::shared_ptr<Inode> inode;
  if (auto status = find(path, &inode); !status.ok()) return status;
  inode->data.resize(size);
  inode->overwritten = true;
  return Status::OK();
}

Status SimulatedDisk::CreateDir(const std::string& path) {
  const std::scoped_lock guard(mutex_);
  if (names_.contains(plain(path))) return Status::IOError("file exists", path);
  std::shared_ptr<Inode> inode;
  if (auto status = create(path, &inode); !status.ok()) return status;
  inode->is_directory = true;
  return Status::OK();
}

Status SimulatedDisk::CreateDirIfMissing(const std::string& path) {
  {
    const std::scoped_lock guard(mutex_);
    if (dead_) return dead();
    if (is_directory(plain(path))) return Status::OK();
  }
  return CreateDir(path);
}

Status SimulatedDisk::DeleteDir(const std::string& path) {
  const std::scoped_lock guard(mutex_);
  return erase(path, /*directory=*/true);
}

Status SimulatedDisk::GetFileSize(const std::string& path, uint64_t* size) {
  const std::scoped_lock guard(mutex_);
  std::shared_ptr<Inode> inode;
  if (auto status = find(path, &inode); !status.ok()) return status;
  *size = inode->data.size();
  return Status::OK();
}

Status SimulatedDisk::GetFileModificationTime(const std::string& path, uint64_t* time) {
  const std::scoped_lock guard(mutex_);
  std::shared_ptr<Inode> inode;
  *time = 0;
  return find(path, &inode);
}

Status SimulatedDisk::RenameFile(const std::string& from, const std::string& to) {
  const std::scoped_lock guard(mutex_);
  std::shared_ptr<Inode> inode;
  if (auto status = find(from, &inode); !status.ok()) return status;
  if (auto status = begin_operation(); !status.ok()) return status;
  change_names({plain(from), plain(to), std::move(inode)});
  return Status::OK();
}

Status SimulatedDisk::LinkFile(const std::string& from, const std::string&) {
  return Status::NotSupported(from);
}

Status SimulatedDisk::LockFile(const std::string& path, rocksdb::FileLock** lock) {
  const std::scoped_lock guard(mutex_);
  if (dead_) return dead();
  if (!is_directory(parent(plain(path)))) return no_file(path);
  if (!locked_.insert(plain(path)).second) return Status::IOError("lock held", path);
  *lock = new Lock(plain(path));
  return Status::OK();
}

Status SimulatedDisk::UnlockFile(rocksdb::FileLock* lock) {
  const std::unique_ptr<Lock> held(static_cast<Lock*>(lock));
  const std::scoped_lock guard(mutex_);
  if (!dead_) locked_.erase(held->path);
  return Status::OK();
}

Status SimulatedDisk::NewLogger(const std::string&, std::shared_ptr<rocksdb::Logger>* logger) {
  *logger = std::make_shared<SilentLogger>();
  return Status::OK();
}

Status SimulatedDisk::IsDirectory(const std::string& path, bool* answer) {
  const std::scoped_lock guard(mutex_);
  if (dead_) return dead();
  *answer = is_directory(plain(path));
  return names_.contains(plain(path)) ? Status::OK() : Status::NotFound(path);
}

Status SimulatedDisk::GetFreeSpace(const std::string&, uint64_t* bytes) {
  const std::scoped_lock guard(mutex_);
  *bytes = space_.value_or(std::uint64_t{1} << 40);
  return Status::OK();
}

Status SimulatedDisk::GetAbsolutePath(const std::string& path, std::string* absolute) {
  *absolute = plain(path);
  return Status::OK();
}

}  // namespace colophon::node::test
