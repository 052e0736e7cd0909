// SPDX-License-Identifier: Apache-2.0
//
// A disk in memory, as strict as a real one may be: what was not synced may be lost at a power cut,
// byte by byte and name by name, and any write, sync or change of a directory can be made to fail.
// Everything that RocksDB asks of a disk, and nothing else of the machine, goes through it.
// Thread-safe.
#pragma once

#include <rocksdb/env.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace colophon::node::test {

class SimulatedDisk final : public rocksdb::EnvWrapper {
 public:
  // `seed` decides what a power cut leaves.
  explicit SimulatedDisk(std::uint64_t seed = 0);
  ~SimulatedDisk() override;

  // --- faults ------------------------------------------------------------------------------------

  // Appends, syncs, creations, renames and deletions since the start or the last mend().
  [[nodiscard]] std::uint64_t operations() const;
  // The `nth` operation from now (0 is the next) fails; with `once` false all that follow, too. An
  // append that fails writes some of its bytes.
  void fail_operation(std::uint64_t nth, bool once);
  // So many bytes fit still; then "no space left on device", an append having written what fits.
  void set_space(std::uint64_t bytes);
  // Reads of files fail, or do so no more.
  void set_unreadable(bool unreadable);
  // Takes all of these back.
  void mend();
  // Whether fail_operation() or set_space() has hit.
  [[nodiscard]] bool has_failed() const;

  // --- the end of a process ----------------------------------------------------------------------

  // From now on nothing that happens has an effect: the process is dead, and whoever still runs in
  // it gets errors. Destroy what used the disk, then restart it, with what a killed process leaves
  // (all that was written) or what a power cut leaves (what was synced, and of the rest this and
  // that).
  void die();
  // The same, at the `nth` operation from now.
  void die_at_operation(std::uint64_t nth);
  [[nodiscard]] bool is_dead() const;
  void restart_after_kill();
  void restart_after_power_cut();

  // --- what is on it -----------------------------------------------------------------------------

  [[nodiscard]] std::set<std::string> files() const;  // full paths
  [[nodiscard]] std::string content(const std::string& path) const;
  // Written and synced at once, as by a person at the machine.
  void put(const std::string& path, std::string content);
  void remove(const std::string& path);

  // --- rocksdb::Env ------------------------------------------------------------------------------

  rocksdb::Status NewSequentialFile(const std::string& path,
                                    std::unique_ptr<rocksdb::SequentialFile>* file,
                                    const rocksdb::EnvOptions& options) override;
  rocksdb::Status NewRandomAccessFile(const std::string& path,
                                      std::unique_ptr<rocksdb::RandomAccessFile>* file,
                                      const rocksdb::EnvOptions& options) override;
  rocksdb::Status NewWritableFile(const std::string& path,
                                  std::unique_ptr<rocksdb::WritableFile>* file,
                                  const rocksdb::EnvOptions& options) override;
  rocksdb::Status ReopenWritableFile(const std::string& path,
                                     std::unique_ptr<rocksdb::WritableFile>* file,
                                     const rocksdb::EnvOptions& options) override;
  rocksdb::Status ReuseWritableFile(const std::string& path, const std::string& old_path,
                                    std::unique_ptr<rocksdb::WritableFile>* file,
                                    const rocksdb::EnvOptions& options) override;
  rocksdb::Status NewRandomRWFile(const std::string& path,
                                  std::unique_ptr<rocksdb::RandomRWFile>* file,
                                  const rocksdb::EnvOptions& options) override;
  rocksdb::Status NewDirectory(const std::string& path,
                               std::unique_ptr<rocksdb::Directory>* directory) override;
  rocksdb::Status FileExists(const std::string& path) override;
  rocksdb::Status GetChildren(const std::string& path, std::vector<std::string>* names) override;
  rocksdb::Status DeleteFile(const std::string& path) override;
  rocksdb::Status Truncate(const std::string& path, size_t size) override;
  rocksdb::Status CreateDir(const std::string& path) override;
  rocksdb::Status CreateDirIfMissing(const std::string& path) override;
  rocksdb::Status DeleteDir(const std::string& path) override;
  rocksdb::Status GetFileSize(const std::string& path, uint64_t* size) override;
  rocksdb::Status GetFileModificationTime(const std::string& path, uint64_t* time) override;
  rocksdb::Status RenameFile(const std::string& from, const std::string& to) override;
  rocksdb::Status LinkFile(const std::string& from, const std::string& to) override;
  rocksdb::Status LockFile(const std::string& path, rocksdb::FileLock** lock) override;
  rocksdb::Status UnlockFile(rocksdb::FileLock* lock) override;
  rocksdb::Status NewLogger(const std::string& path,
                            std::shared_ptr<rocksdb::Logger>* logger) override;
  rocksdb::Status IsDirectory(const std::string& path, bool* answer) override;
  rocksdb::Status GetFreeSpace(const std::string& path, uint64_t* bytes) override;
  rocksdb::Status GetAbsolutePath(const std::string& path, std::string* absolute) override;

 private:
  friend class OpenFile;
  struct Inode {
    std::string data;
    std::string durable;
    bool overwritten = false;  // below durable.size() since the last sync
    bool is_directory = false;
  };
  using Names = std::map<std::string, std::shared_ptr<Inode>>;
  // What an operation did to the names of one directory.
  struct Change {
    std::string removed, added;  // empty: none
    std::shared_ptr<Inode> inode;
  };

  // All under mutex_.
  rocksdb::Status begin_operation();
  rocksdb::Status append(Inode& inode, std::string_view bytes);
  rocksdb::Status sync(Inode& inode);
  rocksdb::Status find(const std::string& path, std::shared_ptr<Inode>* inode) const;
  rocksdb::Status create(const std::string& path, std::shared_ptr<Inode>* inode);
  rocksdb::Status erase(const std::string& path, bool directory);
  [[nodiscard]] bool is_directory(const std::string& path) const;
  void change_names(Change change);
  static void apply(const Change& change, Names& names);
  void tear(Inode& inode);
  std::uint64_t draw(std::uint64_t below);

  mutable std::mutex mutex_;
  std::mt19937_64 random_;
  Names names_;
  Names durable_names_;
  // By directory, in order: a power cut leaves the first so many of them, as a journal would.
  std::map<std::string, std::vector<Change>> unsynced_changes_;
  std::set<std::string> locked_;
  bool dead_ = false;
  std::uint64_t life_ = 0;  // files opened in another one are inert
  std::uint64_t operations_ = 0;
  std::optional<std::uint64_t> failing_operation_;
  std::optional<std::uint64_t> last_operation_;
  bool once_ = false;
  std::optional<std::uint64_t> space_;
  bool unreadable_ = false;
  bool has_failed_ = false;
};

}  // namespace colophon::node::test
