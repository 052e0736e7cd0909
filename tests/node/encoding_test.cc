// SPDX-License-Identifier: Apache-2.0
//
// The node's small encodings: each has one form, and reading refuses every other.
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "node/base64.h"
#include "node/big_endian.h"
#include "node/bytes.h"
#include "node/event.h"
#include "node/hex.h"
#include "node/proto/transaction.pb.h"
#include "node/strict_json.h"
#include "node/wire_writer.h"
#include "tests/node/certificate_forge.h"
#include "tests/node/contract_chain.h"

namespace colophon::node {
namespace {

using test::kMalformed;
using test::must;
using test::Refusal;
using test::refusal;

std::vector<std::uint64_t> numbers_around_every_power_of_two() {
  std::vector<std::uint64_t> numbers{0, std::numeric_limits<std::uint64_t>::max()};
  for (int bit = 0; bit < 64; ++bit) {
    const std::uint64_t power = std::uint64_t{1} << bit;
    for (const std::uint64_t number : {power - 1, power, power + 1}) numbers.push_back(number);
  }
  return numbers;
}

// --- protobuf wire format ------------------------------------------------------------------------

TEST(WireWriter, VarintsAreThoseOfProtobuf) {
  for (const std::uint64_t number : numbers_around_every_power_of_two()) {
    std::string expected;
    {
      google::protobuf::io::StringOutputStream stream(&expected);
      google::protobuf::io::CodedOutputStream(&stream).WriteVarint64(number);
    }
    std::string written;
    append_varint(written, number);
    EXPECT_EQ(written, expected) << number;
    EXPECT_LE(written.size(), kVarintBytesMax);
  }
}

TEST(WireWriter, MessagesAreThoseOfProtobuf) {
  std::mt19937_64 random(3);
  const auto text = [&](std::size_t limit) {
    std::string bytes(random() % limit, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    return bytes;
  };
  for (int i = 0; i < 2000; ++i) {
    proto::Event event;
    // Small, large and default values.
    event.set_version(static_cast<std::uint32_t>(random() >> (random() % 32 + 32)));
    event.set_index(random() >> (random() % 64));
    event.set_block_height(random() % 3 == 0 ? 0 : random());
    event.set_transaction_id(text(40));
    event.set_contract(text(4));
    event.set_data(text(400));
    std::string written;
    append_field(written, 1, event.version());
    append_field(written, 2, event.index());
    append_field(written, 3, event.block_height());
    append_field(written, 5, as_bytes(event.transaction_id()));
    append_field(written, 8, as_bytes(event.contract()));
    append_field(written, 11, as_bytes(event.data()));
    ASSERT_EQ(written, event.SerializeAsString()) << i;
  }
}

TEST(WireWriter, RepeatedElementsAreWrittenEvenWhenEmpty) {
  proto::Block block;
  std::string written;
  for (const std::string& element : {std::string("one"), std::string(), std::string(200, 'x')}) {
    block.add_transactions(element);
    append_element(written, 2, as_bytes(element));
  }
  EXPECT_EQ(written, block.SerializeAsString());
}

TEST(BigEndian, ReadsBackAndKeepsTheOrder) {
  std::vector<std::uint64_t> numbers = numbers_around_every_power_of_two();
  std::ranges::sort(numbers);
  std::string previous;
  for (const std::uint64_t number : numbers) {
    const std::string bytes = big_endian(number);
    ASSERT_EQ(bytes.size(), kBigEndianBytes);
    EXPECT_EQ(read_big_endian(as_bytes(bytes)), number);
    EXPECT_LE(previous, bytes);
    previous = bytes;
  }
}

// --- hex -----------------------------------------------------------------------------------------

TEST(Hex, EveryByteHasItsTwoDigits) {
  std::vector<std::uint8_t> all(256);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint8_t>(i);
  const std::string text = hex_encode(all);
  EXPECT_EQ(text.substr(0, 8), "00010203");
  EXPECT_EQ(text.substr(504), "fcfdfeff");
  EXPECT_EQ(hex_decode(text), all);
  EXPECT_EQ(hex_decode(""), std::vector<std::uint8_t>());
}

TEST(Hex, ExactlyTheLowerCaseDigitPairsAreRead) {
  std::size_t read = 0;
  for (unsigned a = 0; a < 256; ++a) {
    for (unsigned b = 0; b < 256; ++b) {
      const std::string text{static_cast<char>(a), static_cast<char>(b)};
      const auto bytes = hex_decode(text);
      if (!bytes) continue;
      ++read;
      EXPECT_EQ(hex_encode(*bytes), text);
    }
  }
  EXPECT_EQ(read, 256U);
  for (const char* odd : {"0", "abc", "00ff1"}) EXPECT_FALSE(hex_decode(odd)) << odd;
}

// --- base64 --------------------------------------------------------------------------------------

TEST(Base64, VectorsOfRfc4648) {
  constexpr std::pair<std::string_view, std::string_view> kVectors[] = {{"", ""},
                                                                        {"f", "Zg=="},
                                                                        {"fo", "Zm8="},
                                                                        {"foo", "Zm9v"},
                                                                        {"foob", "Zm9vYg=="},
                                                                        {"fooba", "Zm9vYmE="},
                                                                        {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : kVectors) {
    EXPECT_EQ(base64_encode(as_bytes(bytes)), text);
    const auto decoded = base64_decode(text);
    ASSERT_TRUE(decoded) << text;
    EXPECT_EQ(as_text(*decoded), bytes);
  }
}

// All texts that end in `padding`: as many are read as there are byte strings, each in its own
// text.
void expect_bijection(std::string_view padding, std::size_t byte_strings) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_ \n";
  std::size_t read = 0;
  std::string text(4, 'A');
  text.replace(4 - padding.size(), padding.size(), padding);
  const std::size_t digits = 4 - padding.size();
  std::vector<std::size_t> at(digits, 0);
  while (true) {
    for (std::size_t i = 0; i < digits; ++i) text[i] = kDigits[at[i]];
    if (const auto bytes = base64_decode(text)) {
      if (bytes->size() == 3 - padding.size()) {  // else the padding is longer than looked for
        ++read;
        ASSERT_EQ(base64_encode(*bytes), text);
      }
    }
    std::size_t i = 0;
    while (i < digits && ++at[i] == kDigits.size()) at[i++] = 0;
    if (i == digits) break;
  }
  EXPECT_EQ(read, byte_strings);
}

TEST(Base64, OneTextForEveryOneOrTwoBytesAndNoOther) {
  expect_bijection("==", 256);
  expect_bijection("=", 65536);
}

TEST(Base64, OtherTextsAreRefused) {
  for (const std::string_view text :
       {"Z", "Zg", "Zg=", "Zg===", "=", "====", "Z===", "=Zg=", "Zg==Zg==", "Zm9v\n",
        "Zm9 v===", "Zh==", "Zm9=", "Zm-v", "Zm_v", " Zm9v", "Zm9v====", "Zm9vYg==="}) {
    EXPECT_FALSE(base64_decode(text)) << text;
  }
  EXPECT_FALSE(base64_decode(std::string("Zm9\0", 4)));
  EXPECT_FALSE(base64_decode("Zm\xc3\xa9"));
}

TEST(Base64, RandomBytesOfEveryLengthReadBack) {
  std::mt19937_64 random(5);
  for (std::size_t size = 0; size < 300; ++size) {
    std::vector<std::uint8_t> bytes(size);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
    const std::string text = base64_encode(bytes);
    EXPECT_EQ(text.size(), (size + 2) / 3 * 4);
    EXPECT_EQ(base64_decode(text), bytes);
    EXPECT_EQ(hex_decode(hex_encode(bytes)), bytes);
  }
}

// --- times ---------------------------------------------------------------------------------------

TEST(Time, KnownMomentsReadAndWrite) {
  constexpr std::pair<std::uint64_t, std::string_view> kMoments[] = {
      {0, "1970-01-01T00:00:00.000Z"},
      {951'782'400'000, "2000-02-29T00:00:00.000Z"},
      {1'769'860'800'000, "2026-01-31T12:00:00.000Z"},
      {1'790'000'000'001, "2026-09-21T14:13:20.001Z"},
      {4'107'542'399'999, "2100-02-28T23:59:59.999Z"},
      {4'107'542'400'000, "2100-03-01T00:00:00.000Z"},
      {kTimeMsMax, "9999-12-31T23:59:59.999Z"}};
  for (const auto& [time_ms, text] : kMoments) {
    EXPECT_EQ(format_time(time_ms), text);
    EXPECT_EQ(must(parse_time(text)), time_ms);
  }
}

TEST(Time, EveryTimeReadsBack) {
  std::mt19937_64 random(11);
  for (int i = 0; i < 100'000; ++i) {
    const std::uint64_t time_ms = random() % (kTimeMsMax + 1);
    ASSERT_EQ(must(parse_time(format_time(time_ms))), time_ms);
  }
}

TEST(Time, OtherTextsAreRefused) {
  for (const std::string_view text : {"",
                                      "2026-01-31",
                                      "2026-01-31T12:00:00Z",
                                      "2026-01-31T12:00:00.00Z",
                                      "2026-01-31T12:00:00.0000Z",
                                      "2026-01-31T12:00:00.000",
                                      "2026-01-31T12:00:00.000z",
                                      "2026-01-31t12:00:00.000Z",
                                      "2026-01-31 12:00:00.000Z",
                                      "2026-01-31T12:00:00,000Z",
                                      "2026-01-31T12:00:00.000+00:00",
                                      "2026-1-31T12:00:00.0000Z",
                                      "+026-01-31T12:00:00.000Z",
                                      "2026-01-31T12:00:00.000Z ",
                                      "1969-12-31T23:59:59.999Z",
                                      "0000-01-01T00:00:00.000Z",
                                      "2026-00-31T12:00:00.000Z",
                                      "2026-13-31T12:00:00.000Z",
                                      "2026-01-00T12:00:00.000Z",
                                      "2026-01-32T12:00:00.000Z",
                                      "2026-02-29T12:00:00.000Z",
                                      "2100-02-29T12:00:00.000Z",
                                      "2026-04-31T12:00:00.000Z",
                                      "2026-01-31T24:00:00.000Z",
                                      "2026-01-31T12:60:00.000Z",
                                      "2026-01-31T12:00:60.000Z",
                                      "2026-01-31T12:00:0 .000Z",
                                      "2026-01-31T-1:00:00.000Z",
                                      "2026-01-31T1\xd9\xa1:00:00.000Z"}) {
    EXPECT_EQ(refusal(parse_time(text)), (Refusal{kMalformed, "time"})) << text;
  }
}

// --- JSON objects --------------------------------------------------------------------------------

TEST(StrictJson, OneObjectWithNamesOnceIsRead) {
  const auto json = parse_object(R"({"a":1,"b":{"a":[{"a":1},{"a":2}]},"":"é"})", "test");
  ASSERT_TRUE(json.ok()) << json.error().message;
  EXPECT_EQ(json->at("b").at("a").at(1).at("a"), 2);
}

TEST(StrictJson, WhatIsNotOneObjectIsRefused) {
  for (const std::string_view text : {"",
                                      "null",
                                      "1",
                                      "\"text\"",
                                      "[]",
                                      "[{}]",
                                      "{",
                                      "}",
                                      "{}{}",
                                      "{} x",
                                      "{\"a\":}",
                                      "{\"a\":1,}",
                                      "{a:1}",
                                      "{'a':1}",
                                      "{\"a\":1} // comment",
                                      "/**/{}",
                                      "{\"a\":NaN}",
                                      "{\"a\":01}",
                                      "{\"a\":\"\xff\"}",
                                      "{\"\xc0\xaf\":1}",
                                      "{\"a\":\"\n\"}",
                                      "{\"a\":\"\\ud800\"}"}) {
    EXPECT_EQ(refusal(parse_object(text, "test")), (Refusal{kMalformed, "test"})) << text;
  }
  EXPECT_EQ(refusal(parse_object(std::string(100'000, '['), "test")).code, kMalformed);
}

TEST(StrictJson, NothingHidesBeforeOrBehindTheObject) {
  // Found by fuzzing: the JSON library skips a byte order mark and stops at a zero byte.
  ASSERT_TRUE(parse_object("{\"a\":1}", "test").ok());
  for (const std::string_view text :
       {std::string_view("\xef\xbb\xbf{\"a\":1}"), std::string_view("{\"a\":1}\0", 8),
        std::string_view("{\"a\":1}\0{}", 10), std::string_view("{\"a\0\":1}", 8)}) {
    EXPECT_EQ(refusal(parse_object(text, "test")), (Refusal{kMalformed, "test"})) << text;
  }
}

TEST(StrictJson, RepeatedMembersAreRefusedAtAnyDepth) {
  for (const std::string_view text :
       {R"({"a":1,"a":1})", R"({"a":1,"b":2,"a":3})", R"({"b":{"a":1,"a":2}})",
        R"({"b":[{"c":1},{"a":1,"c":2,"a":2}]})", R"({"a":{},"\u0061":{}})",
        R"({"a":{"b":1},"a":{"b":1}})"}) {
    EXPECT_EQ(refusal(parse_object(text, "test")), (Refusal{kMalformed, "a"})) << text;
  }
  EXPECT_EQ(refusal(parse_object(R"({"":1,"":2})", "test")), (Refusal{kMalformed, ""}));
}

TEST(StrictJson, NamesShownAreShortAndStayUtf8) {
  std::string name(63, 'n');
  for (int i = 0; i < 5000; ++i) name += "é";
  const std::string json = "{\"" + name + "\":1,\"" + name + "\":2}";
  const auto repeated = parse_object(json, "test");
  ASSERT_FALSE(repeated.ok());
  EXPECT_EQ(repeated.error().field, std::string(63, 'n'));
  EXPECT_LT(repeated.error().message.size(), 200U);
  const auto object = must(parse_object("{\"" + name + "\":1}", "test"));
  EXPECT_EQ(refusal(ObjectReader(object, "test").finish()),
            (Refusal{kMalformed, std::string(63, 'n')}));
}

TEST(StrictJson, ReaderTakesWhatIsThereAndNamesWhatIsNot) {
  const auto object =
      must(parse_object(R"({"text":"é","number":7,"object":{"x":0},"other":null})", "test"));
  ObjectReader reader(object, "test");
  EXPECT_EQ(must(reader.text("text")), "é");
  EXPECT_EQ(must(reader.number("number", 7, 7)), 7U);
  EXPECT_EQ(must(reader.object("object"))->at("x"), 0);
  EXPECT_TRUE(reader.has("other"));
  EXPECT_FALSE(reader.has("missing"));
  EXPECT_EQ(refusal(reader.text("missing")), (Refusal{kMalformed, "missing"}));
  EXPECT_EQ(refusal(reader.text("number")), (Refusal{kMalformed, "number"}));
  EXPECT_EQ(refusal(reader.object("text")), (Refusal{kMalformed, "text"}));
  EXPECT_EQ(refusal(reader.number("text", 0, 9)), (Refusal{kMalformed, "text"}));
  EXPECT_EQ(refusal(reader.number("number", 8, 9)), (Refusal{kMalformed, "number"}));
  EXPECT_EQ(refusal(reader.number("number", 0, 6)), (Refusal{kMalformed, "number"}));
  EXPECT_EQ(refusal(reader.finish()), (Refusal{kMalformed, "other"}));
}

TEST(StrictJson, NumbersAreWholeAndWrittenAsSuch) {
  for (const std::string_view number :
       {"-1", "-0", "1.0", "1e0", "1.5", "18446744073709551616", "true", "\"1\"", "null", "[1]"}) {
    const auto object = must(parse_object("{\"n\":" + std::string(number) + "}", "test"));
    ObjectReader reader(object, "test");
    EXPECT_EQ(refusal(reader.number("n", 0, ~std::uint64_t{0})), (Refusal{kMalformed, "n"}))
        << number;
  }
  const auto object = must(parse_object(R"({"n":18446744073709551615})", "test"));
  EXPECT_EQ(must(ObjectReader(object, "test").number("n", 0, ~std::uint64_t{0})),
            ~std::uint64_t{0});
}

}  // namespace
}  // namespace colophon::node
