// SPDX-License-Identifier: Apache-2.0
#include "node/checkpoint.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "colophon/merkle.hpp"
#include "node/base64.h"
#include "node/bytes.h"
#include "node/hex.h"
#include "tests/node/certificate_forge.h"

namespace colophon::node {
namespace {

using test::MemorySigner;
using test::must;

constexpr char kOrigin[] = "log.example/2026";

class CheckpointTest : public ::testing::Test {
 protected:
  [[nodiscard]] std::string note() const {
    return must(sign_checkpoint({kOrigin, 42, test::sha256("root")}, *signer_));
  }
  [[nodiscard]] Result<Checkpoint> verify(std::string_view text) const {
    return verify_checkpoint(backend_, text, kOrigin, signer_->public_key().raw);
  }
  // The error's code; ADD_FAILURE if it verifies after all.
  ErrorCode refusal(std::string_view text) const {
    const auto result = verify(text);
    if (result) {
      ADD_FAILURE() << "accepted: " << text;
      return ErrorCode::kInternal;
    }
    EXPECT_FALSE(result.error().message.empty());
    EXPECT_FALSE(result.error().field.empty());
    return result.error().code;
  }
  // A note over any body, rightly signed.
  [[nodiscard]] std::string with_body(const std::string& body) const {
    const hsm::Signature signature = must(signer_->sign(as_bytes(body)));
    std::vector<std::uint8_t> value = *base64_decode(signature_of(note()));
    value.resize(4);
    value.insert(value.end(), signature.begin(), signature.end());
    return body + "\n\xe2\x80\x94 " + kOrigin + " " + base64_encode(value) + "\n";
  }
  [[nodiscard]] static std::string signature_of(const std::string& text) {
    const std::size_t start = text.rfind(' ') + 1;
    return text.substr(start, text.size() - start - 1);
  }

  Backend backend_ = must(Backend::choose());
  std::unique_ptr<MemorySigner> signer_ = MemorySigner::create(hsm::KeyType::kEd25519, 7);
};

TEST_F(CheckpointTest, WhatIsSignedVerifiesAndReadsBack) {
  const auto checkpoint = verify(note());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
  EXPECT_EQ(checkpoint->origin, kOrigin);
  EXPECT_EQ(checkpoint->size, 42U);
  EXPECT_EQ(checkpoint->root, test::sha256("root"));
}

TEST_F(CheckpointTest, BodyHasTheThreeLinesOfTlogCheckpoint) {
  // The example of C2SP tlog-checkpoint, less its signatures.
  Checkpoint checkpoint{"example.com/behind-the-sofa", 20852163, {}};
  const auto root = base64_decode("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=");
  ASSERT_TRUE(root.has_value());
  std::copy(root->begin(), root->end(), checkpoint.root.begin());
  EXPECT_EQ(checkpoint_body(checkpoint),
            "example.com/behind-the-sofa\n20852163\n"
            "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n");
}

TEST_F(CheckpointTest, KeyIdIsTheOneOfSignedNote) {
  // SHA-256(name || 0x0A || 0x01 || public key), first four bytes, then the signature.
  const auto value = base64_decode(signature_of(note()));
  ASSERT_TRUE(value.has_value());
  ASSERT_EQ(value->size(), 68U);
  std::string input = std::string(kOrigin) + "\n\x01";
  input += as_text(signer_->public_key().raw);
  const Digest digest = test::sha256(input);
  EXPECT_EQ(hex_encode(ByteSpan(*value).first(4)), hex_encode(ByteSpan(digest).first(4)));
}

TEST_F(CheckpointTest, EveryAlteredByteIsRefused) {
  const std::string whole = note();
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string altered = whole;
      altered[i] = static_cast<char>(altered[i] ^ (1 << bit));
      EXPECT_FALSE(verify(altered).ok()) << "byte " << i << ", bit " << bit;
    }
    EXPECT_FALSE(verify(whole.substr(0, i) + whole.substr(i + 1)).ok()) << "without byte " << i;
    EXPECT_FALSE(verify(whole.substr(0, i)).ok()) << "cut at byte " << i;
    for (const char inserted : {'\n', ' ', '0', 'A', '=', '\r', '\0'}) {
      EXPECT_FALSE(verify(whole.substr(0, i) + inserted + whole.substr(i)).ok())
          << "a byte put in at " << i;
    }
  }
  EXPECT_FALSE(verify(whole + "\n").ok());
}

TEST_F(CheckpointTest, AnotherOriginOrKeyIsRefused) {
  const auto other = MemorySigner::create(hsm::KeyType::kEd25519, 8);
  EXPECT_TRUE(verify(note()).ok());
  EXPECT_FALSE(verify_checkpoint(backend_, note(), "log.example", signer_->public_key().raw).ok());
  EXPECT_FALSE(verify_checkpoint(backend_, note(), kOrigin, other->public_key().raw).ok());
  // A signature by another key under the right key id.
  const hsm::Signature signature = must(other->sign(as_bytes(checkpoint_body({kOrigin, 42, {}}))));
  std::vector<std::uint8_t> value = *base64_decode(signature_of(note()));
  std::copy(signature.begin(), signature.end(), value.begin() + 4);
  EXPECT_EQ(refusal(checkpoint_body({kOrigin, 42, {}}) + "\n\xe2\x80\x94 " + kOrigin + " " +
                    base64_encode(value) + "\n"),
            ErrorCode::kInvalidSignature);
}

TEST_F(CheckpointTest, WellSignedButMalformedIsRefused) {
  const std::string root = base64_encode(test::sha256("root"));
  const std::string origin = std::string(kOrigin) + "\n";
  ASSERT_TRUE(verify(with_body(origin + "42\n" + root + "\n")).ok());  // the twin that is right
  for (const std::string size :
       {"042", "+42", "-1", " 42", "42 ", "", "0x2a", "4294967296x", "18446744073709551616"}) {
    EXPECT_EQ(refusal(with_body(origin + size + "\n" + root + "\n")), ErrorCode::kMalformed)
        << size;
  }
  EXPECT_EQ(refusal(with_body(origin + "281474976710657\n" + root + "\n")),  // 2^48 + 1
            ErrorCode::kLimitExceeded);
  // The last digit before '=' has two unused bits: another digit there decodes to the same bytes.
  std::string loose = root;
  ++loose[loose.size() - 2];
  ASSERT_NE(loose, root);
  EXPECT_EQ(refusal(with_body(origin + "42\n" + loose + "\n")), ErrorCode::kMalformed);
  EXPECT_EQ(refusal(with_body(origin + "42\n" + root.substr(0, 40) + "\n")), ErrorCode::kMalformed);
  EXPECT_EQ(refusal(with_body(origin + "42\n" + root + "\nextension\n")), ErrorCode::kMalformed);
  EXPECT_EQ(refusal(with_body("\n42\n" + root + "\n")), ErrorCode::kMalformed);
  EXPECT_EQ(refusal(with_body("log example\n42\n" + root + "\n")), ErrorCode::kMalformed);
}

TEST_F(CheckpointTest, ExactlyOneSignatureLineIsAccepted) {
  const std::string whole = note();
  const std::string line = whole.substr(whole.find("\n\n") + 2);
  EXPECT_EQ(refusal(whole + line), ErrorCode::kMalformed);
  EXPECT_EQ(refusal(whole.substr(0, whole.find("\n\n") + 2)), ErrorCode::kMalformed);
  EXPECT_EQ(refusal(std::string(kCheckpointBytesMax + 1, 'a')), ErrorCode::kLimitExceeded);
  EXPECT_EQ(refusal(""), ErrorCode::kMalformed);
}

TEST_F(CheckpointTest, MauledEd25519SignatureIsRefused) {
  // S + L verifies under a rule that does not check the range of S.
  constexpr std::array<std::uint8_t, 32> kOrder = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,
                                                   0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
                                                   0,    0,    0,    0,    0,    0,    0,    0,
                                                   0,    0,    0,    0,    0,    0,    0,    0x10};
  const std::string whole = note();
  std::vector<std::uint8_t> value = *base64_decode(signature_of(whole));
  unsigned carry = 0;
  for (std::size_t i = 0; i < 32; ++i) {
    const unsigned sum = value[36 + i] + kOrder[i] + carry;
    value[36 + i] = static_cast<std::uint8_t>(sum);
    carry = sum >> 8;
  }
  ASSERT_EQ(carry, 0U);
  EXPECT_EQ(refusal(whole.substr(0, whole.rfind(' ') + 1) + base64_encode(value) + "\n"),
            ErrorCode::kInvalidSignature);
}

TEST_F(CheckpointTest, SigningRefusesWhatCouldNotBeVerified) {
  const auto p256 = MemorySigner::create(hsm::KeyType::kP256, 9);
  EXPECT_EQ(sign_checkpoint({kOrigin, 1, {}}, *p256).error().code, ErrorCode::kInvalidArgument);
  for (const char* origin : {"", "with space", "with+plus", "line\nbreak", "ünicode"}) {
    EXPECT_EQ(sign_checkpoint({origin, 1, {}}, *signer_).error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_FALSE(sign_checkpoint({kOrigin, kTreeSizeMax + 1, {}}, *signer_).ok());
  signer_->set_failing(true);
  EXPECT_EQ(sign_checkpoint({kOrigin, 1, {}}, *signer_).error().code, ErrorCode::kUnavailable);
}

TEST(Base64Test, EncodesAsRfc4648AndDecodesOnlyThat) {
  const std::vector<std::pair<std::string, std::string>> vectors = {{"", ""},
                                                                    {"f", "Zg=="},
                                                                    {"fo", "Zm8="},
                                                                    {"foo", "Zm9v"},
                                                                    {"foob", "Zm9vYg=="},
                                                                    {"fooba", "Zm9vYmE="},
                                                                    {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : vectors) {
    EXPECT_EQ(base64_encode(as_bytes(bytes)), text);
    const auto decoded = base64_decode(text);
    ASSERT_TRUE(decoded.has_value()) << text;
    EXPECT_EQ(as_text(*decoded), bytes);
  }
  for (const char* text : {"Zg", "Zg=", "Zh==", "Zm9=", "Zm8", "Z===", "====", "Zg==Zg==", "Zm9v\n",
                           "Zm-v", "Zm_v", " Zm9v", "Zm 9v", "Zg=a"}) {
    EXPECT_FALSE(base64_decode(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace colophon::node
