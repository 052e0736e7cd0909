// SPDX-License-Identifier: Apache-2.0
//
// Files as commands use them: documents hashed whole, small files written whole or not at all.
#include "node/cli/document.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "node/hex.h"
#include "tests/node/temporary_directory.h"

namespace colophon::cli {
namespace {

namespace fs = std::filesystem;

class DocumentTest : public ::testing::Test {
 protected:
  std::string path(const std::string& name = "file") { return folder_.path() + "/" + name; }
  std::string write(const std::string& bytes) {
    std::ofstream(path(), std::ios::binary) << bytes;
    return path();
  }
  // Entries of the folder: a temporary file left behind would be one more.
  std::ptrdiff_t entries() {
    return std::distance(fs::directory_iterator(folder_.path()), fs::directory_iterator());
  }

  node::test::TemporaryDirectory folder_;
};

TEST_F(DocumentTest, TheHashIsSha256OfAllBytes) {
  const auto hash = [&](const std::string& bytes) {
    const auto digest = hash_document(write(bytes));
    return digest ? node::hex_encode(*digest) : digest.error().message;
  };
  // FIPS 180-4 examples; a million is more than one read.
  EXPECT_EQ(hash(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hash("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hash(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_F(DocumentTest, ProgressEndsAtTheSize) {
  std::uint64_t last = 0;
  ASSERT_TRUE(hash_document(write(std::string(3000000, 'a')), [&](std::uint64_t done) {
                EXPECT_GT(done, last);
                last = done;
              }).ok());
  EXPECT_EQ(last, 3000000U);
  EXPECT_EQ(*document_size(path()), 3000000U);
}

TEST_F(DocumentTest, WhatIsNoReadableFileIsAnError) {
  EXPECT_EQ(hash_document(path("none")).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(hash_document(folder_.path()).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(hash_document("/dev/null").error().code, ErrorCode::kInvalidArgument);
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(hash_document(path("pipe")).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(document_size(path("none")).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(read_file(path("none"), 1).error().code, ErrorCode::kNotFound);
}

TEST_F(DocumentTest, ReadingHasALimit) {
  EXPECT_EQ(*read_file(write("12345"), 5), "12345");
  EXPECT_EQ(read_file(path(), 4).error().code, ErrorCode::kLimitExceeded);
  EXPECT_EQ(*read_file(write(""), 0), "");
}

TEST_F(DocumentTest, AFileIsWrittenWithItsModeAndNothingElseIsLeft) {
  ASSERT_TRUE(write_file(path(), "salt", 0600, Overwrite::kRefuse).ok());
  EXPECT_EQ(*read_file(path(), 10), "salt");
  struct stat info {};
  ASSERT_EQ(::stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  EXPECT_EQ(entries(), 1);
}

TEST_F(DocumentTest, WhatIsThereIsKeptUnlessReplacingWasAskedFor) {
  write("old");
  const auto refused = write_file(path(), "new", 0644, Overwrite::kRefuse);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(*read_file(path(), 10), "old");
  ASSERT_TRUE(write_file(path(), "new", 0644, Overwrite::kReplace).ok());
  EXPECT_EQ(*read_file(path(), 10), "new");
  EXPECT_EQ(entries(), 1);
}

TEST_F(DocumentTest, AFolderThatIsNotThereIsAnError) {
  EXPECT_EQ(write_file(path("none/file"), "", 0644, Overwrite::kRefuse).error().code,
            ErrorCode::kNotFound);
  fs::create_directory(path("folder"));
  EXPECT_FALSE(write_file(path("folder"), "", 0644, Overwrite::kReplace).ok());
  EXPECT_EQ(entries(), 1);
}

TEST_F(DocumentTest, ANameMayBeAsLongAsTheFileSystemAllows) {
  const std::string longest(255, 'n');
  EXPECT_TRUE(write_file(path(longest), "x", 0644, Overwrite::kRefuse).ok());
  EXPECT_FALSE(write_file(path(longest + "n"), "x", 0644, Overwrite::kRefuse).ok());
  EXPECT_EQ(entries(), 1);
}

}  // namespace
}  // namespace colophon::cli
