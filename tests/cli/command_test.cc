// SPDX-License-Identifier: Apache-2.0
//
// What every subcommand shares: exit statuses, how errors are printed, numbers, harmless text.
#include "node/cli/command.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace colophon::cli {
namespace {

struct Printed {
  int status = 0;
  std::string out, err;
};

Printed printed(int (*report_it)(const Error&, bool), const Error& error, bool json) {
  Printed result;
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  result.status = report_it(error, json);
  result.out = ::testing::internal::GetCapturedStdout();
  result.err = ::testing::internal::GetCapturedStderr();
  return result;
}

TEST(Report, EveryCodeHasADocumentedStatus) {
  const auto status = [](ErrorCode code) {
    return printed(&report, make_error(code, "m"), false).status;
  };
  EXPECT_EQ(status(ErrorCode::kNotFound), 1);
  EXPECT_EQ(status(ErrorCode::kAlreadyExists), 1);
  EXPECT_EQ(status(ErrorCode::kPermissionDenied), 1);
  EXPECT_EQ(status(ErrorCode::kInvalidSignature), 1);
  EXPECT_EQ(status(ErrorCode::kExpired), 1);
  EXPECT_EQ(status(ErrorCode::kInvalidArgument), 2);
  EXPECT_EQ(status(ErrorCode::kMalformed), 2);
  EXPECT_EQ(status(ErrorCode::kLimitExceeded), 2);
  EXPECT_EQ(status(ErrorCode::kUnavailable), 3);
  EXPECT_EQ(status(ErrorCode::kUnsupported), 3);
  EXPECT_EQ(status(ErrorCode::kIo), 3);
  EXPECT_EQ(status(ErrorCode::kCorrupt), 3);
  EXPECT_EQ(status(ErrorCode::kOutcomeUnknown), 3);
  EXPECT_EQ(status(ErrorCode::kInternal), 3);
}

TEST(Report, WhatCouldNotBeCheckedIsNeverRefused) {
  EXPECT_EQ(printed(&report_unchecked, make_error(ErrorCode::kNotFound, "m"), false).status, 3);
  EXPECT_EQ(printed(&report_unchecked, make_error(ErrorCode::kMalformed, "m"), false).status, 2);
  EXPECT_EQ(printed(&report_unchecked, make_error(ErrorCode::kIo, "m"), false).status, 3);
}

TEST(Report, TextGoesToStandardErrorAndJsonToStandardOutput) {
  const Error error = make_error(ErrorCode::kMalformed, "is wrong: \"\x1b[2J\"", "--salt");
  const Printed text = printed(&report, error, false);
  EXPECT_EQ(text.err, "colophon: --salt: is wrong: \"?[2J\"\n");
  EXPECT_EQ(text.out, "");

  const Printed json = printed(&report, error, true);
  EXPECT_EQ(json.err, "");
  EXPECT_EQ(
      nlohmann::json::parse(json.out),
      (nlohmann::json{
          {"error",
           {{"code", "malformed"}, {"field", "--salt"}, {"message", "is wrong: \"\x1b[2J\""}}}}));
}

TEST(Report, AFieldThatTheMessageNamesIsNotNamedTwice) {
  EXPECT_EQ(printed(&report, make_error(ErrorCode::kIo, "title is long", "title"), false).err,
            "colophon: title is long\n");
}

TEST(Printable, ControlCharactersAreReplaced) {
  EXPECT_EQ(printable("plain \xc3\xbc \xe6\x97\xa5"), "plain \xc3\xbc \xe6\x97\xa5");
  EXPECT_EQ(printable("a\tb\nc\x1b[0m\x7f"), "a?b?c?[0m?");
  EXPECT_EQ(printable("\xc2\x80\xc2\x9b\xc2\x9f"), "???");  // U+0080, U+009B, U+009F
  EXPECT_EQ(printable("\xc2\xa0"), "\xc2\xa0");             // U+00A0 is no control character
  EXPECT_EQ(printable("\xc2"), "\xc2");
}

TEST(CheckDecimal, OneFormOfANumberBelow2To64) {
  for (const char* text : {"0", "1", "10", "18446744073709551615"}) {
    EXPECT_EQ(check_decimal(text), "") << text;
  }
  for (const char* text : {"", "-1", "+1", "01", "0x1", "1e3", "1.0", " 1", "1 ", "a",
                           "18446744073709551616", "99999999999999999999999"}) {
    EXPECT_NE(check_decimal(text), "") << text;
  }
}

}  // namespace
}  // namespace colophon::cli
