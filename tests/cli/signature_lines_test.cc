// SPDX-License-Identifier: Apache-2.0
//
// A line of `colophon verify`: each rule of docs/formats.md with a line that keeps it and one that
// breaks it.
#include "node/cli/signature_lines.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace colophon::cli {
namespace {

using nlohmann::json;

json ecdsa() {
  return {{"scheme", "ecdsa-p256-sha256"},
          {"public_key", "0a0B"},
          {"message", "00ff"},
          {"signature", "01"}};
}

json ed25519() {
  json line = ecdsa();
  line["scheme"] = "ed25519";
  return line;
}

json sm2() {
  json line = ecdsa();
  line["scheme"] = "sm2-sm3";
  return line;
}

json with(json line, const char* member, const json& value) {
  line[member] = value;
  return line;
}

json without(json line, const char* member) {
  line.erase(member);
  return line;
}

json with_digest(json line) { return with(without(std::move(line), "message"), "digest", "aa"); }

SignatureLine parsed(const json& line) {
  auto result = parse_signature_line(line.dump());
  EXPECT_TRUE(result.ok()) << line << ": " << result.error().message;
  return result ? std::move(result).value() : SignatureLine{};
}

void expect_refused(const json& line, const std::string& field) {
  const auto result = parse_signature_line(line.dump());
  ASSERT_FALSE(result.ok()) << line;
  EXPECT_EQ(result.error().code, ErrorCode::kMalformed) << line;
  EXPECT_EQ(result.error().field, field) << line;
}

using Bytes = std::vector<std::uint8_t>;

TEST(SignatureLines, MembersAreReadAndDefaultsFilledIn) {
  const SignatureLine line = parsed(ecdsa());
  EXPECT_EQ(line.scheme, Scheme::kEcdsaP256Sha256);
  EXPECT_EQ(line.encoding, SignatureEncoding::kRaw);
  EXPECT_EQ(line.profile, Profile::kDefault);
  EXPECT_EQ(line.input, InputKind::kMessage);
  EXPECT_EQ(line.public_key, (Bytes{0x0a, 0x0b}));
  EXPECT_EQ(line.data, (Bytes{0x00, 0xff}));
  EXPECT_EQ(line.signature, Bytes{0x01});
  EXPECT_EQ(line.sm2_id, kSm2DefaultId);
}

TEST(SignatureLines, EverySchemeEncodingAndProfileHasItsName) {
  EXPECT_EQ(parsed(with(ecdsa(), "scheme", "ecdsa-secp256k1-sha256")).scheme,
            Scheme::kEcdsaSecp256k1Sha256);
  EXPECT_EQ(parsed(ed25519()).scheme, Scheme::kEd25519);
  EXPECT_EQ(parsed(sm2()).scheme, Scheme::kSm2Sm3);
  EXPECT_EQ(parsed(with(ecdsa(), "encoding", "der")).encoding, SignatureEncoding::kDer);
  EXPECT_EQ(parsed(with(ecdsa(), "encoding", "raw")).encoding, SignatureEncoding::kRaw);
  EXPECT_EQ(parsed(with(ecdsa(), "profile", "low_s")).profile, Profile::kLowS);
  EXPECT_EQ(parsed(with(ed25519(), "profile", "strict")).profile, Profile::kStrict);
  EXPECT_EQ(parsed(with(ed25519(), "profile", "zip215")).profile, Profile::kZip215);
  for (const char* member : {"scheme", "encoding", "profile"}) {
    expect_refused(with(ecdsa(), member, "other"), member);
    expect_refused(with(ecdsa(), member, ""), member);
  }
}

TEST(SignatureLines, ProfilesAndEncodingsGoWithTheirSchemesOnly) {
  expect_refused(with(ecdsa(), "profile", "strict"), "profile");
  expect_refused(with(ecdsa(), "profile", "zip215"), "profile");
  expect_refused(with(ed25519(), "profile", "low_s"), "profile");
  expect_refused(with(ed25519(), "profile", "standard"), "profile");
  expect_refused(with(sm2(), "profile", "low_s"), "profile");
  EXPECT_EQ(parsed(with(sm2(), "profile", "standard")).scheme, Scheme::kSm2Sm3);
  expect_refused(with(ed25519(), "encoding", "der"), "encoding");
  EXPECT_EQ(parsed(with(ed25519(), "encoding", "raw")).encoding, SignatureEncoding::kRaw);
}

TEST(SignatureLines, RequiredMembersAreMissed) {
  for (const char* member : {"scheme", "public_key", "message", "signature"}) {
    expect_refused(without(ecdsa(), member), member);
  }
}

TEST(SignatureLines, MessageOrDigestButNotBoth) {
  EXPECT_EQ(parsed(with_digest(ecdsa())).input, InputKind::kDigest);
  EXPECT_EQ(parsed(with_digest(ecdsa())).data, Bytes{0xaa});
  expect_refused(with(ecdsa(), "digest", "aa"), "digest");
  expect_refused(with_digest(ed25519()), "digest");
}

TEST(SignatureLines, TextThatIsNotHexIsNamed) {
  for (const char* member : {"public_key", "message", "signature"}) {
    for (const char* text : {"0", "0g", "0x00", " 00", "00 ", "\u00fc"}) {
      expect_refused(with(ecdsa(), member, text), member);
    }
    EXPECT_TRUE(parse_signature_line(with(ecdsa(), member, "").dump()).ok());
  }
  expect_refused(with(with_digest(ecdsa()), "digest", "zz"), "digest");
}

TEST(SignatureLines, ValuesOfAnotherTypeAreNamed) {
  for (const char* member :
       {"scheme", "public_key", "message", "signature", "encoding", "profile"}) {
    expect_refused(with(ecdsa(), member, 1), member);
    expect_refused(with(ecdsa(), member, nullptr), member);
    expect_refused(with(ecdsa(), member, json::array()), member);
    expect_refused(with(ecdsa(), member, json::object()), member);
  }
}

TEST(SignatureLines, UnknownMembersAreNamed) {
  expect_refused(with(ecdsa(), "msg", "00"), "msg");
  expect_refused(with(ecdsa(), "Message", "00"), "Message");
}

TEST(SignatureLines, Sm2IdGoesWithAnSm2MessageAndHasALimit) {
  EXPECT_EQ(parsed(with(sm2(), "sm2_id", "4142")).sm2_id, "AB");
  EXPECT_EQ(parsed(with(sm2(), "sm2_id", "")).sm2_id, "");
  expect_refused(with(ecdsa(), "sm2_id", "41"), "sm2_id");
  expect_refused(with(with_digest(sm2()), "sm2_id", "41"), "sm2_id");
  const std::string longest(2 * kSm2IdBytesMax, '4');
  EXPECT_EQ(parsed(with(sm2(), "sm2_id", longest)).sm2_id.size(), kSm2IdBytesMax);
  const auto longer = parse_signature_line(with(sm2(), "sm2_id", longest + "44").dump());
  ASSERT_FALSE(longer.ok());
  EXPECT_EQ(longer.error().code, ErrorCode::kLimitExceeded);
}

TEST(SignatureLines, EmptyAndOverlongLinesAreErrors) {
  for (const char* text : {"", " ", "\t\r"}) {
    const auto result = parse_signature_line(text);
    ASSERT_FALSE(result.ok());
    EXPECT_TRUE(result.error().field.empty());
  }
  const std::string line = ecdsa().dump();
  std::string padded = line + std::string(kSignatureLineBytesMax - line.size(), ' ');
  EXPECT_TRUE(parse_signature_line(padded).ok());
  padded += ' ';
  EXPECT_EQ(parse_signature_line(padded).error().code, ErrorCode::kLimitExceeded);
}

TEST(SignatureLines, ACarriageReturnBeforeTheNewlineIsWhiteSpace) {
  EXPECT_TRUE(parse_signature_line(ecdsa().dump() + "\r").ok());
}

TEST(SignatureLines, VerdictsAreOneObjectALine) {
  EXPECT_EQ(verdict_line(Verdict::kValid), R"({"valid":true,"reason":"the signature is valid"})");
  for (int verdict = 0; verdict <= 8; ++verdict) {
    const json object = json::parse(verdict_line(static_cast<Verdict>(verdict)));
    EXPECT_EQ(object.at("valid"), verdict == 0);
    EXPECT_FALSE(object.at("reason").get<std::string>().empty());
    EXPECT_EQ(object.size(), 2U);
  }
}

TEST(SignatureLines, ErrorsNameLineAndField) {
  const Error missing = make_error(ErrorCode::kMalformed, "is missing", "public_key");
  EXPECT_EQ(error_line(7, missing),
            R"({"error":"line 7: field 'public_key': is missing","line":7,"field":"public_key"})");
  const Error whole = make_error(ErrorCode::kMalformed, "not a JSON object");
  EXPECT_EQ(error_line(1, whole), R"({"error":"line 1: not a JSON object","line":1})");
  // A name from outside: quotes, control characters, cut within a character.
  const std::string name = "\"\n" + std::string(61, 'x') + "\xc3\xbc";
  const std::string line = error_line(1, make_error(ErrorCode::kMalformed, "is unknown", name));
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_TRUE(json::parse(line).contains("field"));
}

}  // namespace
}  // namespace colophon::cli
