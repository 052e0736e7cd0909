// SPDX-License-Identifier: Apache-2.0
//
// The reader of flat JSON objects: what it takes, and that whatever two readers could take
// differently is refused.
#include "node/cli/flat_json.h"

#include <gtest/gtest.h>

#include <string>

namespace colophon::cli {
namespace {

constexpr std::size_t kTextsMax = 3;

Error error_of(std::string_view text) {
  const auto parsed = parse_flat_object(text, kTextsMax);
  EXPECT_FALSE(parsed.ok()) << text;
  return parsed ? Error{} : parsed.error();
}

TEST(FlatJson, MembersComeInTheOrderOfTheTextWithTheirTypes) {
  const auto members =
      parse_flat_object(R"( {"b":"x","a":18446744073709551615,"c":["p","q"],"d":[]} )", kTextsMax);
  ASSERT_TRUE(members.ok()) << members.error().message;
  ASSERT_EQ(members->size(), 4U);
  EXPECT_EQ((*members)[0].name, "b");
  EXPECT_EQ((*members)[0].type, FlatMember::Type::kText);
  EXPECT_EQ((*members)[0].text, "x");
  EXPECT_EQ((*members)[1].type, FlatMember::Type::kNumber);
  EXPECT_EQ((*members)[1].number, 18446744073709551615U);
  EXPECT_EQ((*members)[2].type, FlatMember::Type::kTexts);
  EXPECT_EQ((*members)[2].texts, (std::vector<std::string>{"p", "q"}));
  EXPECT_TRUE((*members)[3].texts.empty());
}

TEST(FlatJson, AnEmptyObjectHasNoMembers) {
  const auto members = parse_flat_object("{}", kTextsMax);
  ASSERT_TRUE(members.ok());
  EXPECT_TRUE(members->empty());
}

TEST(FlatJson, EscapesAreDecodedBeforeNamesAreCompared) {
  EXPECT_EQ(error_of(R"({"a":"1","\u0061":"2"})").field, "a");
  const auto members = parse_flat_object(R"({"\u0061":"\n\u00fc"})", kTextsMax);
  ASSERT_TRUE(members.ok());
  EXPECT_EQ((*members)[0].name, "a");
  EXPECT_EQ((*members)[0].text, "\n\xc3\xbc");
}

TEST(FlatJson, WhatIsNoObjectIsRefused) {
  for (const char* text : {"",
                           " ",
                           "[]",
                           "1",
                           "\"x\"",
                           "null",
                           "true",
                           "{",
                           "}",
                           "{}{}",
                           "{} x",
                           "{\"a\":1,}",
                           "{\"a\"}",
                           "{a:1}",
                           "{'a':1}",
                           "{\"a\":01}",
                           "{\"a\":\"\t\"}",
                           "{\"a\":\"\xff\"}",
                           "{\"a\":\"\\ud800\"}",
                           "// c\n{}",
                           "{\"a\":1 \"b\":2}",
                           "nul",
                           "\xef\xbb\xbf{}"}) {
    EXPECT_EQ(error_of(text).code, ErrorCode::kMalformed) << text;
  }
  EXPECT_EQ(error_of(std::string_view("{}\0", 3)).code, ErrorCode::kMalformed);
  EXPECT_EQ(error_of(std::string_view("\0{}", 3)).code, ErrorCode::kMalformed);
}

TEST(FlatJson, ValuesOfOtherTypesAreRefusedAndTheMemberIsNamed) {
  for (const char* value : {"null", "true", "-1", "1.0", "1e3", "{}", "[1]", "[[]]", "[null]",
                            "18446744073709551616", "[{\"x\":1}]"}) {
    const Error error = error_of("{\"ok\":\"\",\"bad\":" + std::string(value) + "}");
    EXPECT_EQ(error.code, ErrorCode::kMalformed) << value;
    EXPECT_EQ(error.field, "bad") << value;
  }
}

TEST(FlatJson, AMemberGivenTwiceIsRefusedAndNamed) {
  EXPECT_EQ(error_of(R"({"x":"1","y":"2","x":"1"})").field, "x");
}

TEST(FlatJson, LimitsHoldAtTheirEdges) {
  EXPECT_TRUE(parse_flat_object(R"({"a":["1","2","3"]})", kTextsMax).ok());
  EXPECT_EQ(error_of(R"({"a":["1","2","3","4"]})").code, ErrorCode::kLimitExceeded);

  std::string object = "{";
  for (int i = 0; i < 32; ++i) {
    object += (i == 0 ? "\"m" : ",\"m") + std::to_string(i) + "\":1";
  }
  EXPECT_TRUE(parse_flat_object(object + "}", kTextsMax).ok());
  EXPECT_EQ(error_of(object + ",\"m32\":1}").code, ErrorCode::kLimitExceeded);
}

TEST(FlatJson, DeepNestingIsRefusedAtItsFirstLevel) {
  EXPECT_EQ(error_of("{\"a\":" + std::string(1 << 20, '[')).field, "a");
}

TEST(FlatJson, ShownNamesAreShortAndHarmless) {
  EXPECT_EQ(shown_name("scheme"), "scheme");
  EXPECT_EQ(shown_name("a\x1b[2J\n"), "a?[2J?");
  EXPECT_EQ(shown_name(std::string(64, 'x')), std::string(64, 'x'));
  EXPECT_EQ(shown_name(std::string(65, 'x')), std::string(64, 'x') + "...");
}

}  // namespace
}  // namespace colophon::cli
