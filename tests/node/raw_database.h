// SPDX-License-Identifier: Apache-2.0
//
// The database of a store, past the store: what a damaged disk or a wrong hand would change.
#pragma once

#include <gtest/gtest.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "node/store.h"

namespace colophon::node::test {

class RawDatabase {
 public:
  // `directory`: the node's data directory. No store may have it open.
  RawDatabase(rocksdb::Env& disk, const std::string& directory) {
    rocksdb::Options options;
    options.env = &disk;
    const std::string path = directory + "/db";
    std::vector<std::string> names;
    EXPECT_TRUE(rocksdb::DB::ListColumnFamilies(options, path, &names).ok());
    std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
    for (const std::string& name : names) descriptors.emplace_back(name, options);
    rocksdb::DB* db = nullptr;
    const auto status = rocksdb::DB::Open(options, path, descriptors, &handles_, &db);
    EXPECT_TRUE(status.ok()) << status.ToString();
    db_.reset(db);
    for (rocksdb::ColumnFamilyHandle* handle : handles_) families_[handle->GetName()] = handle;
  }
  ~RawDatabase() {
    for (rocksdb::ColumnFamilyHandle* handle : handles_) {
      db_->DestroyColumnFamilyHandle(handle).PermitUncheckedError();
    }
    EXPECT_TRUE(db_->Close().ok());
  }
  RawDatabase(const RawDatabase&) = delete;
  RawDatabase& operator=(const RawDatabase&) = delete;

  using Entries = std::map<std::string, std::string>;
  Entries all(Family family) const {
    Entries entries;
    const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator({}, handle(family)));
    for (at->SeekToFirst(); at->Valid(); at->Next()) {
      entries.emplace(at->key().ToString(), at->value().ToString());
    }
    EXPECT_TRUE(at->status().ok());
    return entries;
  }
  void put(Family family, const std::string& key, const std::string& value) {
    EXPECT_TRUE(db_->Put({}, handle(family), key, value).ok());
  }
  void erase(Family family, const std::string& key) {
    EXPECT_TRUE(db_->Delete({}, handle(family), key).ok());
  }
  void add_family(const std::string& name) {
    rocksdb::ColumnFamilyHandle* made = nullptr;
    EXPECT_TRUE(db_->CreateColumnFamily({}, name, &made).ok());
    handles_.push_back(made);
  }
  // Everything from the log into table files.
  void flush() {
    for (rocksdb::ColumnFamilyHandle* handle : handles_) EXPECT_TRUE(db_->Flush({}, handle).ok());
  }

 private:
  rocksdb::ColumnFamilyHandle* handle(Family family) const {
    return families_.at(std::string(family_name(family)));
  }

  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::ColumnFamilyHandle*> handles_;
  std::map<std::string, rocksdb::ColumnFamilyHandle*> families_;
};

}  // namespace colophon::node::test
