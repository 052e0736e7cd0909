// SPDX-License-Identifier: Apache-2.0
//
// Lists of hashes: written in one form, read as coreutils reads them.
#include "node/cli/check_list.h"

#include <gtest/gtest.h>

#include <string>

namespace colophon::cli {
namespace {

constexpr HashAlgorithm kSha256 = HashAlgorithm::kSha256;
const std::string kHex(64, 'a');
const std::vector<std::uint8_t> kDigest(32, 0xaa);

std::string line(CheckLineForm form, const std::string& name,
                 CheckLineEnd end = CheckLineEnd::kLf) {
  return write_check_line(kSha256, form, end, kDigest, name);
}

// The name it reads, or "(none)".
std::string name_in(const std::string& text) {
  const auto parsed = CheckLineParser(kSha256).parse(text);
  if (!parsed) return "(none)";
  EXPECT_EQ(parsed->digest, kDigest);
  return parsed->name;
}

TEST(CheckList, LinesAreThoseOfSha256sum) {
  EXPECT_EQ(line(CheckLineForm::kPlain, "a b"), kHex + "  a b\n");
  EXPECT_EQ(line(CheckLineForm::kPlain, "a\\\n\r"), "\\" + kHex + "  a\\\\\\n\\r\n");
  EXPECT_EQ(line(CheckLineForm::kPlain, "a\n", CheckLineEnd::kZero),
            kHex + "  a\n" + std::string(1, '\0'));
  EXPECT_EQ(line(CheckLineForm::kTagged, "a b"), "SHA256 (a b) = " + kHex + "\n");
  EXPECT_EQ(line(CheckLineForm::kTagged, "a\n"), "\\SHA256 (a\\n) = " + kHex + "\n");
}

TEST(CheckList, WhatIsWrittenIsReadBack) {
  for (const std::string name : {"a", " a", "*a", "a\\b", "\\", "a\nb", "\n", "a\r", ")", "(a) = b",
                                 "\xff", "#", "SHA256 (a)", "a "}) {
    for (const auto form : {CheckLineForm::kPlain, CheckLineForm::kTagged}) {
      std::string text = line(form, name);
      ASSERT_EQ(text.back(), '\n');
      text.pop_back();
      EXPECT_EQ(name_in(text), name) << text;
    }
  }
}

TEST(CheckList, FormsThatOthersWriteAreRead) {
  EXPECT_EQ(name_in(kHex + " *a"), "a");
  EXPECT_EQ(name_in(kHex + " a"), "a");
  EXPECT_EQ(name_in(kHex + "\ta"), "a");
  EXPECT_EQ(name_in("  " + kHex + "  a"), "a");
  EXPECT_EQ(name_in(std::string(64, 'A') + "  a"), "a");
  EXPECT_EQ(name_in(kHex + "  a\r"), "a");
  EXPECT_EQ(name_in("SHA256(a)= " + kHex), "a");
}

TEST(CheckList, OtherLinesAreRefused) {
  for (const std::string& text : {std::string(),
                                  std::string("a"),
                                  kHex,
                                  kHex + " ",
                                  kHex + "a  a",
                                  kHex.substr(1) + "  a",
                                  kHex.substr(1) + "g  a",
                                  "\\" + kHex + "  a\\",
                                  "\\" + kHex + "  a\\x",
                                  kHex + "  a" + std::string(1, '\0'),
                                  "sha256 (a) = " + kHex,
                                  "SHA512 (a) = " + kHex,
                                  "SHA256 (a) = " + kHex + "x",
                                  "SHA256 (a) = " + kHex.substr(2),
                                  "SHA256 (a) " + kHex,
                                  "SHA256 a = " + kHex,
                                  "SHA256 () = " + kHex,
                                  "SHA256 (a = " + kHex,
                                  std::string("SHA256"),
                                  std::string("\\")}) {
    EXPECT_EQ(name_in(text), "(none)") << text;
  }
}

TEST(CheckList, OneBlankOrTwoIsDecidedByTheFirstLine) {
  CheckLineParser bsd(kSha256);
  EXPECT_EQ(bsd.parse(kHex + " a")->name, "a");
  EXPECT_EQ(bsd.parse(kHex + "  a")->name, " a");
  CheckLineParser gnu(kSha256);
  EXPECT_EQ(gnu.parse(kHex + "  a")->name, "a");
  EXPECT_FALSE(gnu.parse(kHex + " a"));
}

}  // namespace
}  // namespace colophon::cli
