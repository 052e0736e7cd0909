// SPDX-License-Identifier: Apache-2.0
//
// Batches: shape errors before any work, verdicts in their places, nothing written on error.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>

#include "batch_builder.h"
#include "cpu_backend.h"
#include "key_registry_storage.h"
#include "verifier_on.h"

namespace colophon::test {
namespace {

const Bytes kKey = unhex(
    "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
    "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299");
const Bytes kSignature = unhex(
    "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
    "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8");
// The same key's signature of "test" (RFC 6979 A.2.5).
const Bytes kTestSignature = unhex(
    "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367"
    "019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083");

class BatchShape : public testing::Test {
 protected:
  BatchShape() : builder_({Scheme::kEcdsaP256Sha256}) {
    for (int i = 0; i < 3; ++i) builder_.add(kKey, bytes_of("sample"), kSignature);
    batch_ = builder_.batch();
  }

  // The error that `batch_` gives, with no verdict written.
  Error refused() {
    const std::vector<Verdict> before(3, Verdict::kBadDigest);
    std::vector<Verdict> verdicts = before;
    const Result<void> result = verify_batch(backend(), batch_, verdicts);
    EXPECT_FALSE(result.ok());
    EXPECT_EQ(verdicts, before);
    return result ? Error{} : result.error();
  }

  void expect_refused(ErrorCode code, const std::string& field) {
    const Error error = refused();
    EXPECT_EQ(error.code, code) << error.message;
    EXPECT_EQ(error.field, field) << error.message;
  }

  BatchBuilder builder_;
  VerifyBatch batch_;
};

TEST_F(BatchShape, GoodBatchIsAccepted) {
  std::vector<Verdict> verdicts(3, Verdict::kMismatch);
  ASSERT_TRUE(verify_batch(backend(), batch_, verdicts).ok());
  EXPECT_EQ(verdicts, std::vector<Verdict>(3, Verdict::kValid));
}

TEST_F(BatchShape, EmptyBatchIsNoError) {
  EXPECT_TRUE(verify_batch(backend(), VerifyBatch{}, {}).ok());
  const std::uint64_t zero[1] = {0};
  VerifyBatch batch;
  batch.inputs = batch.signatures = batch.public_keys = Slices{{}, zero};
  EXPECT_TRUE(verify_batch(backend(), batch, {}).ok());
}

TEST_F(BatchShape, DifferentCounts) {
  batch_.signatures.offsets = batch_.signatures.offsets.first(3);
  expect_refused(ErrorCode::kInvalidArgument, "signatures");
  batch_ = builder_.batch();
  batch_.public_keys.offsets = batch_.public_keys.offsets.first(3);
  expect_refused(ErrorCode::kInvalidArgument, "public_keys");
  batch_ = builder_.batch();
  batch_.inputs.offsets = batch_.inputs.offsets.first(3);
  expect_refused(ErrorCode::kInvalidArgument, "signatures");
}

TEST_F(BatchShape, VerdictsOfAnotherCount) {
  std::vector<Verdict> verdicts(2);
  const Result<void> result = verify_batch(backend(), batch_, verdicts);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().field, "verdicts");
}

TEST_F(BatchShape, DecreasingOffsets) {
  const std::vector<std::uint64_t> offsets = {0, 12, 6, 18};
  batch_.inputs.offsets = offsets;
  expect_refused(ErrorCode::kInvalidArgument, "inputs");
  batch_ = builder_.batch();
  const std::vector<std::uint64_t> huge = {0, ~std::uint64_t{0}, 6, 18};
  batch_.signatures.offsets = huge;
  expect_refused(ErrorCode::kInvalidArgument, "signatures");
}

TEST_F(BatchShape, OffsetsPastTheEnd) {
  const std::vector<std::uint64_t> offsets = {0, 64, 128, 193};
  batch_.signatures.offsets = offsets;
  expect_refused(ErrorCode::kInvalidArgument, "signatures");
  batch_ = builder_.batch();
  batch_.public_keys.bytes = batch_.public_keys.bytes.first(3 * 65 - 1);
  expect_refused(ErrorCode::kInvalidArgument, "public_keys");
}

TEST_F(BatchShape, NullBuffers) {
  batch_.inputs.bytes = ByteSpan(static_cast<const std::uint8_t*>(nullptr), 18);
  expect_refused(ErrorCode::kInvalidArgument, "inputs");
  batch_ = builder_.batch();
  batch_.signatures.offsets = std::span(static_cast<const std::uint64_t*>(nullptr), 4);
  expect_refused(ErrorCode::kInvalidArgument, "signatures");
}

TEST_F(BatchShape, NullKeysAndVerdicts) {
  batch_.public_keys.bytes = ByteSpan(static_cast<const std::uint8_t*>(nullptr), 195);
  expect_refused(ErrorCode::kInvalidArgument, "public_keys");
  batch_ = builder_.batch();
  KeyRegistry registry = KeyRegistry::create(backend()).value();
  batch_.public_keys = {};
  batch_.registry = &registry;
  batch_.key_ids = std::span(static_cast<const KeyId*>(nullptr), 3);
  expect_refused(ErrorCode::kInvalidArgument, "key_ids");
  const Result<void> result =
      verify_batch(backend(), builder_.batch(), std::span(static_cast<Verdict*>(nullptr), 3));
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(result.error().field, "verdicts");
}

// No error needs the arithmetic: kernels without a function to call give the same.
TEST_F(BatchShape, ErrorsComeBeforeAnyWork) {
  kernels::P256Kernels none = {};
  none.name = "none";
  const auto idle = make_cpu_backend(none, "nothing", false);
  KeyRegistry registry(std::make_unique<KeyRegistry::Storage>(*idle));
  const auto code_of = [&](const VerifyBatch& batch) {
    std::vector<Verdict> verdicts(batch.inputs.size());
    const Result<void> result = verify_batch_on(*idle, batch, verdicts);
    return result ? std::optional<ErrorCode>() : result.error().code;
  };
  const Result<KeyId> off_the_curve = registry.add(Scheme::kEcdsaP256Sha256, Bytes(65, 4));
  ASSERT_FALSE(off_the_curve.ok());
  EXPECT_EQ(off_the_curve.error().code, ErrorCode::kMalformed);
  const KeyId id = registry.add(Scheme::kEcdsaP256Sha256, kKey).value();
  const KeyId ids[3] = {id, id, KeyId{id.value + 1}};
  VerifyBatch unknown_id = batch_;
  unknown_id.public_keys = {};
  unknown_id.key_ids = ids;
  unknown_id.registry = &registry;
  EXPECT_EQ(code_of(unknown_id), ErrorCode::kNotFound);
  VerifyBatch lengths = batch_;
  lengths.signatures.offsets = lengths.signatures.offsets.first(3);
  EXPECT_EQ(code_of(lengths), ErrorCode::kInvalidArgument);
  VerifyBatch null = batch_;
  null.signatures.bytes = ByteSpan(static_cast<const std::uint8_t*>(nullptr), 192);
  EXPECT_EQ(code_of(null), ErrorCode::kInvalidArgument);
  VerifyBatch threads = batch_;
  threads.threads = 0;
  EXPECT_EQ(code_of(threads), ErrorCode::kInvalidArgument);
  const std::vector<std::uint64_t> offsets(kBatchSizeMax + 2, 0);
  VerifyBatch large = batch_;
  large.inputs = large.signatures = large.public_keys = Slices{{}, offsets};
  EXPECT_EQ(code_of(large), ErrorCode::kLimitExceeded);
  // Nor do verdicts that no arithmetic decides.
  BatchBuilder decided({Scheme::kEcdsaP256Sha256});
  decided.add(Bytes(65, 4), bytes_of("sample"), kSignature);
  decided.add(kKey, bytes_of("sample"), Bytes(64, 0));
  EXPECT_EQ(code_of(decided.batch()), std::nullopt);
}

TEST_F(BatchShape, NeitherOrBothKeyForms) {
  batch_.public_keys = {};
  expect_refused(ErrorCode::kInvalidArgument, "public_keys");
  batch_ = builder_.batch();
  const KeyId ids[3] = {};
  batch_.key_ids = ids;
  expect_refused(ErrorCode::kInvalidArgument, "key_ids");
  batch_.public_keys = {};
  expect_refused(ErrorCode::kInvalidArgument, "registry");
}

TEST_F(BatchShape, KeyIdNotInTheRegistry) {
  KeyRegistry registry = KeyRegistry::create(backend()).value();
  const KeyId id = registry.add(Scheme::kEcdsaP256Sha256, kKey).value();
  KeyId ids[3] = {id, KeyId{77}, id};
  batch_.public_keys = {};
  batch_.key_ids = ids;
  batch_.registry = &registry;
  const Error error = refused();
  EXPECT_EQ(error.code, ErrorCode::kNotFound);
  EXPECT_NE(error.message.find("key_ids[1]"), std::string::npos) << error.message;
  ids[1] = KeyId{};
  EXPECT_EQ(refused().code, ErrorCode::kNotFound);
  ids[1] = id;
  std::vector<Verdict> verdicts(3, Verdict::kMismatch);
  ASSERT_TRUE(verify_batch(backend(), batch_, verdicts).ok());
  EXPECT_EQ(verdicts, std::vector<Verdict>(3, Verdict::kValid));
  batch_.key_ids = std::span(ids).first(2);
  expect_refused(ErrorCode::kInvalidArgument, "key_ids");
}

TEST_F(BatchShape, TooManySignatures) {
  const std::vector<std::uint64_t> offsets(kBatchSizeMax + 2, 0);
  batch_.inputs = batch_.signatures = batch_.public_keys = Slices{{}, offsets};
  std::vector<Verdict> verdicts(kBatchSizeMax + 1);
  const Result<void> result = verify_batch(backend(), batch_, verdicts);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::kLimitExceeded);
}

TEST_F(BatchShape, OptionsTheSchemeDoesNotHave) {
  struct Case {
    Scheme scheme;
    SignatureEncoding encoding;
    Profile profile;
    InputKind input;
    const char* field;  // null: accepted
  };
  constexpr auto kRaw = SignatureEncoding::kRaw;
  constexpr auto kDer = SignatureEncoding::kDer;
  constexpr auto kMessage = InputKind::kMessage;
  constexpr auto kDigest = InputKind::kDigest;
  const Case cases[] = {
      {Scheme::kEcdsaP256Sha256, kRaw, Profile::kStandard, kMessage, nullptr},
      {Scheme::kEcdsaP256Sha256, kDer, Profile::kLowS, kDigest, nullptr},
      {Scheme::kEcdsaP256Sha256, kRaw, Profile::kZip215, kMessage, "profile"},
      {Scheme::kEcdsaSecp256k1Sha256, kRaw, Profile::kStrict, kMessage, "profile"},
      {Scheme::kSm2Sm3, kDer, Profile::kStandard, kMessage, nullptr},
      {Scheme::kSm2Sm3, kRaw, Profile::kLowS, kMessage, "profile"},
      {Scheme::kEd25519, kRaw, Profile::kStrict, kMessage, nullptr},
      {Scheme::kEd25519, kRaw, Profile::kStandard, kMessage, "profile"},
      {Scheme::kEd25519, kRaw, Profile::kLowS, kMessage, "profile"},
      {Scheme::kEd25519, kDer, Profile::kZip215, kMessage, "encoding"},
      {Scheme::kEd25519, kRaw, Profile::kZip215, kDigest, "input"},
      {static_cast<Scheme>(0), kRaw, Profile::kDefault, kMessage, "scheme"},
      {static_cast<Scheme>(9), kRaw, Profile::kDefault, kMessage, "scheme"},
      {Scheme::kEcdsaP256Sha256, static_cast<SignatureEncoding>(0), Profile::kDefault, kMessage,
       "encoding"},
      {Scheme::kEcdsaP256Sha256, kRaw, static_cast<Profile>(9), kMessage, "profile"},
      {Scheme::kEcdsaP256Sha256, kRaw, Profile::kDefault, static_cast<InputKind>(0), "input"},
  };
  for (const Case& c : cases) {
    batch_.scheme = c.scheme;
    batch_.encoding = c.encoding;
    batch_.profile = c.profile;
    batch_.input = c.input;
    if (c.field != nullptr) {
      expect_refused(ErrorCode::kInvalidArgument, c.field);
    } else {
      std::vector<Verdict> verdicts(3);
      EXPECT_TRUE(verify_batch(backend(), batch_, verdicts).ok());
    }
  }
  batch_ = builder_.batch();
  const std::string too_long(kSm2IdBytesMax + 1, 'x');
  batch_.sm2_id = too_long;
  expect_refused(ErrorCode::kInvalidArgument, "sm2_id");
}

// Keys are grouped inside; verdicts must not be.
TEST(VerifyBatch, VerdictsStandInTheirPlaces) {
  constexpr std::uint64_t kSeed = 0x5eed0030;
  SCOPED_TRACE(kSeed);
  Random random(kSeed);
  Bytes compressed(kKey.begin(), kKey.begin() + 33);
  compressed[0] = static_cast<std::uint8_t>(0x02 | (kKey.back() & 1));
  Bytes wrong_key = compressed;
  wrong_key[0] ^= 1;
  Bytes no_key = kKey;
  no_key.back() ^= 1;
  Bytes bad_signature = kSignature;
  bad_signature[3] ^= 1;
  for (const std::size_t count : {1U, 2U, 3U, 7U, 8U, 9U, 64U, 100U}) {
    BatchBuilder builder({Scheme::kEcdsaP256Sha256});
    std::vector<Verdict> expected;
    for (std::size_t i = 0; i < count; ++i) {
      switch (random.below(8)) {
        case 0:
          builder.add(kKey, bytes_of("sample"), kSignature);
          expected.push_back(Verdict::kValid);
          break;
        case 1:
          builder.add(compressed, bytes_of("test"), kTestSignature);
          expected.push_back(Verdict::kValid);
          break;
        case 2:
          builder.add(wrong_key, bytes_of("sample"), kSignature);
          expected.push_back(Verdict::kMismatch);
          break;
        case 3:
          builder.add(no_key, bytes_of("sample"), kSignature);
          expected.push_back(Verdict::kBadKey);
          break;
        case 4:
          builder.add(kKey, bytes_of("sample"), Bytes(63, 1));
          expected.push_back(Verdict::kBadEncoding);
          break;
        case 5:
          builder.add(kKey, bytes_of("sample"), Bytes(64, 0xff));
          expected.push_back(Verdict::kOutOfRange);
          break;
        case 6:
          builder.add({}, {}, {});
          expected.push_back(Verdict::kBadKey);
          break;
        default:
          builder.add(kKey, bytes_of("sample"), bad_signature);
          expected.push_back(Verdict::kMismatch);
      }
    }
    EXPECT_EQ(builder.verify(), expected) << count;
  }
}

// Slices need not start at zero or be contiguous with the buffer's end.
TEST(VerifyBatch, OffsetsMayLeaveBytesAtBothEnds) {
  const Bytes inputs = bytes_of("xxsampleyyy");
  const std::uint64_t offsets[2] = {2, 8};
  BatchBuilder builder({Scheme::kEcdsaP256Sha256});
  builder.add(kKey, {}, kSignature);
  VerifyBatch batch = builder.batch();
  batch.inputs = Slices{inputs, offsets};
  Verdict verdict = Verdict::kMismatch;
  ASSERT_TRUE(verify_batch(backend(), batch, std::span(&verdict, 1)).ok());
  EXPECT_EQ(verdict, Verdict::kValid);
}

TEST(Names, GoBothWays) {
  for (const Scheme scheme : {Scheme::kEcdsaP256Sha256, Scheme::kEcdsaSecp256k1Sha256,
                              Scheme::kEd25519, Scheme::kSm2Sm3}) {
    EXPECT_EQ(scheme_from_name(scheme_name(scheme)), scheme);
  }
  for (const auto encoding : {SignatureEncoding::kRaw, SignatureEncoding::kDer}) {
    EXPECT_EQ(encoding_from_name(encoding_name(encoding)), encoding);
  }
  for (const Profile profile :
       {Profile::kStandard, Profile::kLowS, Profile::kZip215, Profile::kStrict}) {
    EXPECT_EQ(profile_from_name(profile_name(profile)), profile);
  }
  EXPECT_EQ(scheme_from_name("unknown"), std::nullopt);
  EXPECT_EQ(scheme_from_name("ED25519"), std::nullopt);
  EXPECT_EQ(encoding_from_name("unknown"), std::nullopt);
  EXPECT_EQ(profile_from_name("default"), std::nullopt);
  for (int v = 0; v <= static_cast<int>(Verdict::kMismatch); ++v) {
    EXPECT_NE(verdict_reason(static_cast<Verdict>(v)), "unknown verdict");
  }
  for (int c = 1; c <= static_cast<int>(ErrorCode::kInternal); ++c) {
    EXPECT_FALSE(error_code_name(static_cast<ErrorCode>(c)).empty());
  }
}

}  // namespace
}  // namespace colophon::test
