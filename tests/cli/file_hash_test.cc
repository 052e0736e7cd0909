// SPDX-License-Identifier: Apache-2.0
//
// Files hashed whole: pieces do not show, and what did not hold still meanwhile has no hash.
// Changes are made between two reads, from the progress callback.
#include "node/cli/file_hash.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <utility>

#include "node/cli/check_list.h"
#include "node/cli/folder_files.h"
#include "tests/node/temporary_directory.h"

namespace colophon::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMillion = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

class FileHashTest : public ::testing::Test {
 protected:
  std::string path(const std::string& name = "file") { return folder_.path() + "/" + name; }
  std::string write(const std::string& bytes, const std::string& name = "file") {
    std::ofstream(path(name), std::ios::binary) << bytes;
    return path(name);
  }
  Result<FileHash> hash(const std::string& file, FileKind kind = FileKind::kAny,
                        const std::function<void(std::uint64_t)>& progress = {}) {
    return hash_file(*Backend::choose("openssl"), HashAlgorithm::kSha256, file, kind, progress);
  }
  // The error of hashing two and a half pieces, to which `change` happens after the first.
  Error error_when(const std::function<void()>& change) {
    write(std::string(kHashPieceBytes * 5 / 2, 'a'));
    bool done = false;
    const auto changed = hash(path(), FileKind::kRegular, [&](std::uint64_t) {
      if (!std::exchange(done, true)) change();
    });
    EXPECT_FALSE(changed.ok());
    return changed ? Error() : changed.error();
  }

  node::test::TemporaryDirectory folder_;
};

TEST_F(FileHashTest, HashesAreThoseOfAllBytes) {
  // FIPS 180-4 examples; the last is the million bytes in front of more than one piece.
  EXPECT_EQ(hex_text(hash(write(""))->digest()),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  const auto million = hash(write(std::string(1000000, 'a')));
  EXPECT_EQ(hex_text(million->digest()), kMillion);
  EXPECT_EQ(million->file_bytes, 1000000U);
}

TEST_F(FileHashTest, PiecesDoNotShow) {
  for (const std::size_t size : {kHashPieceBytes - 1, kHashPieceBytes, kHashPieceBytes + 1,
                                 2 * kHashPieceBytes, 2 * kHashPieceBytes + 1}) {
    const std::string bytes(size, 'x');
    const auto backend = *Backend::choose("openssl");
    const std::uint64_t offsets[] = {0, size};
    Digest whole;
    const ByteSpan span(reinterpret_cast<const std::uint8_t*>(bytes.data()), size);
    ASSERT_TRUE(hash_batch(backend, HashAlgorithm::kSha256, Slices{span, offsets},
                           std::span<Digest>(&whole, 1))
                    .ok());
    std::uint64_t last = 0;
    const auto hashed = hash(write(bytes), FileKind::kRegular, [&](std::uint64_t done) {
      EXPECT_GT(done, last);
      last = done;
    });
    ASSERT_TRUE(hashed.ok());
    EXPECT_EQ(hex_text(hashed->digest()), hex_text(whole)) << size;
    EXPECT_EQ(last, size);
  }
}

TEST_F(FileHashTest, AFileThatChangesWhileItIsReadHasNoHash) {
  const auto appended = error_when([&] { std::ofstream(path(), std::ios::app) << "b"; });
  EXPECT_EQ(appended.code, ErrorCode::kUnavailable);
  EXPECT_EQ(appended.field, path());
  EXPECT_EQ(error_when([&] { fs::resize_file(path(), kHashPieceBytes + 1); }).code,
            ErrorCode::kUnavailable);
  EXPECT_EQ(error_when([&] { fs::resize_file(path(), 0); }).code, ErrorCode::kUnavailable);
  // As long as before, written to in between.
  EXPECT_EQ(error_when([&] {
              fs::last_write_time(path(), fs::last_write_time(path()) + std::chrono::seconds(1));
            }).code,
            ErrorCode::kUnavailable);
  EXPECT_EQ(error_when([&] { fs::remove(path()); }).code, ErrorCode::kNotFound);
  EXPECT_EQ(error_when([&] { fs::rename(write("", "other"), path()); }).code, ErrorCode::kNotFound);
}

// Written to at both ends after the first was read, and its time of change set back: it never held
// the old first byte and the new last one.
TEST_F(FileHashTest, AFileWhoseTimeIsSetBackIsReadAgain) {
  std::string bytes(2 * kHashPieceBytes, 'a');
  write(bytes);
  const fs::file_time_type time = fs::last_write_time(path());
  const auto write_ends = [&] {
    std::fstream file(path());
    file.seekp(0) << 'b';
    file.seekp(static_cast<std::streamoff>(bytes.size()) - 1) << 'b';
    file.close();
    fs::last_write_time(path(), time);
  };
  bool done = false;
  const auto hashed = hash(path(), FileKind::kRegular, [&](std::uint64_t) {
    if (!std::exchange(done, true)) write_ends();
  });
  ASSERT_TRUE(hashed.ok()) << hashed.error().message;
  bytes.front() = bytes.back() = 'b';
  write(bytes, "twin");
  EXPECT_EQ(hex_text(hashed->digest()), hex_text(hash(path("twin")).value().digest()));
  // Each time it is read.
  const auto never_still = hash(path(), FileKind::kRegular, [&](std::uint64_t) { write_ends(); });
  ASSERT_FALSE(never_still.ok());
  EXPECT_EQ(never_still.error().code, ErrorCode::kUnavailable);
}

TEST_F(FileHashTest, WhatLeavesTheBytesAloneChangesNoHash) {
  write(std::string(1000000, 'a'));
  bool done = false;
  const auto hashed = hash(path(), FileKind::kRegular, [&](std::uint64_t) {
    if (std::exchange(done, true)) return;
    ASSERT_EQ(::chmod(path().c_str(), 0600), 0);
    fs::rename(path(), path("moved"));
    fs::create_hard_link(path("moved"), path("linked"));
    fs::remove(path("moved"));
  });
  ASSERT_TRUE(hashed.ok()) << hashed.error().message;
  EXPECT_EQ(hex_text(hashed->digest()), kMillion);
}

TEST_F(FileHashTest, WhatIsNoReadableFileIsAnError) {
  EXPECT_EQ(hash(path("none")).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(hash(write("") + "/x").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(hash(folder_.path()).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(hash(folder_.path()).error().field, folder_.path());
  if (::geteuid() != 0) {  // root may read everything
    ASSERT_EQ(::chmod(path().c_str(), 0), 0);
    EXPECT_EQ(hash(path()).error().code, ErrorCode::kPermissionDenied);
  }
}

TEST_F(FileHashTest, InAFolderLinksAreNotFollowedAndPipesNotWaitedFor) {
  fs::create_symlink(write("abc"), path("link"));
  EXPECT_TRUE(hash(path("link")).ok());
  EXPECT_FALSE(hash(path("link"), FileKind::kRegular).ok());
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(hash(path("pipe"), FileKind::kRegular).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(FileHashTest, FilesOfProcHaveBytesButNoSize) {
  EXPECT_GT(hash("/proc/self/status")->file_bytes, 0U);
}

TEST_F(FileHashTest, AFolderIsListedDeepAndInTheOrderOfBytes) {
  // '-' < '/' < '0' < 'a' < 0xff: by paths, and not folder by folder.
  for (const char* name : {"a", "a0", "a/b", "\xff", "b"}) fs::create_directories(path(name));
  const std::vector<std::string> files = {"a-b", "a/b/c", "a/c", "a0/x", "b\nc", "\xff/\xfe"};
  for (const std::string& file : files) write("", file);
  fs::create_symlink(path("a-b"), path("link"));
  fs::create_directory_symlink(path("a"), path("linked"));
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(*list_folder_files(folder_.path(), files.size()), files);
  EXPECT_EQ(list_folder_files(folder_.path(), files.size() - 1).error().code,
            ErrorCode::kLimitExceeded);
  EXPECT_EQ(list_folder_files(path("none"), 1).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(list_folder_files(path("a-b"), 1).error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(list_folder_files(path("b"), 0)->empty());
}

}  // namespace
}  // namespace colophon::cli
