// SPDX-License-Identifier: Apache-2.0
//
// Lines and whole files: ends, limits, and sizes around the reader's buffer.
#include "node/cli/line_reader.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "tests/node/temporary_directory.h"

namespace colophon::cli {
namespace {

constexpr const char* kTooLong = "(too long)";

class LineReaderTest : public ::testing::Test {
 protected:
  std::string write(const std::string& bytes) {
    const std::string path = folder_.path() + "/file";
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
  std::vector<std::string> lines(const std::string& bytes, std::size_t line_bytes_max) {
    auto reader = LineReader::open(write(bytes), line_bytes_max);
    EXPECT_TRUE(reader.ok());
    std::vector<std::string> lines;
    std::string line;
    while (true) {
      const auto outcome = reader->next(line);
      EXPECT_TRUE(outcome.ok());
      if (!outcome || *outcome == LineReader::Outcome::kEnd) return lines;
      lines.push_back(*outcome == LineReader::Outcome::kTooLong ? kTooLong : line);
    }
  }

  node::test::TemporaryDirectory folder_;
};

using Lines = std::vector<std::string>;

TEST_F(LineReaderTest, ALastLineNeedsNoNewlineAndALastNewlineMakesNoLine) {
  EXPECT_EQ(lines("", 10), Lines{});
  EXPECT_EQ(lines("\n", 10), Lines{""});
  EXPECT_EQ(lines("a", 10), Lines{"a"});
  EXPECT_EQ(lines("a\n", 10), Lines{"a"});
  EXPECT_EQ(lines("a\n\nb", 10), (Lines{"a", "", "b"}));
  EXPECT_EQ(lines("a\n\n", 10), (Lines{"a", ""}));
}

TEST_F(LineReaderTest, BytesComeAsTheyAre) {
  const std::string bytes("a\r\0\xff", 4);
  EXPECT_EQ(lines(bytes + "\n", 10), Lines{bytes});
}

TEST_F(LineReaderTest, ALineOverTheLimitIsSkippedAndTheNextIsRead) {
  EXPECT_EQ(lines("1234\n12345\n1\n", 4), (Lines{"1234", kTooLong, "1"}));
  EXPECT_EQ(lines("1\n12345", 4), (Lines{"1", kTooLong}));
  EXPECT_EQ(lines("\n1\n", 0), (Lines{"", kTooLong}));
}

TEST_F(LineReaderTest, SizesAroundTheBufferChangeNothing) {
  constexpr std::size_t kBuffer = 1 << 16;
  for (const std::size_t size : {kBuffer - 1, kBuffer, kBuffer + 1, 2 * kBuffer}) {
    const std::string line(size, 'x');
    EXPECT_EQ(lines(line + "\ny\n", size), (Lines{line, "y"})) << size;
    EXPECT_EQ(lines(line + "\ny\n", size - 1), (Lines{kTooLong, "y"})) << size;
    EXPECT_EQ(lines(line, size), Lines{line}) << size;
  }
}

TEST_F(LineReaderTest, FilesThatCannotBeReadAreErrors) {
  EXPECT_EQ(LineReader::open(folder_.path() + "/none", 1).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(LineReader::open(write("") + "/none", 1).error().code, ErrorCode::kNotFound);
  auto folder = LineReader::open(folder_.path(), 1);
  ASSERT_TRUE(folder.ok());
  std::string line;
  EXPECT_EQ(folder->next(line).error().code, ErrorCode::kIo);
}

TEST_F(LineReaderTest, AWholeFileHasALimit) {
  const auto whole = read_whole(write("12345"), 5);
  ASSERT_TRUE(whole.ok());
  EXPECT_EQ(*whole, "12345");
  EXPECT_EQ(read_whole(write("123456"), 5).error().code, ErrorCode::kLimitExceeded);
  EXPECT_EQ(read_whole(folder_.path() + "/none", 5).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(read_whole(folder_.path(), 5).error().code, ErrorCode::kIo);
}

}  // namespace
}  // namespace colophon::cli
