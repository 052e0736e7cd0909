// SPDX-License-Identifier: Apache-2.0
#include "colophon/key_registry.hpp"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>

#include "batch_builder.h"
#include "openssl_handle.h"

namespace colophon::test {
namespace {

struct SignedBy {
  Bytes key;
  Bytes message;
  Bytes signature;
};

SignedBy ed25519_signed(std::uint8_t number) {
  const Bytes seed(32, number);
  const EvpPkeyPtr pkey(
      EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.size()));
  SignedBy result;
  result.key.resize(32);
  std::size_t size = 32;
  EXPECT_EQ(EVP_PKEY_get_raw_public_key(pkey.get(), result.key.data(), &size), 1);
  result.message = bytes_of("message of " + std::to_string(number));
  result.signature.resize(64);
  size = 64;
  const EvpMdContextPtr context(EVP_MD_CTX_new());
  EXPECT_EQ(EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, pkey.get()), 1);
  EXPECT_EQ(EVP_DigestSign(context.get(), result.signature.data(), &size, result.message.data(),
                           result.message.size()),
            1);
  return result;
}

const Bytes kP256Key = unhex(
    "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
    "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299");
const Bytes kSm2Key = unhex(
    "0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
    "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13");

Bytes compressed(const Bytes& key) {
  Bytes result(key.begin(), key.begin() + 33);
  result[0] = static_cast<std::uint8_t>(0x02 | (key.back() & 1));
  return result;
}

TEST(KeyRegistry, OneKeyInEveryFormHasOneId) {
  KeyRegistry registry = KeyRegistry::create(backend()).value();
  EXPECT_EQ(registry.size(), 0U);
  const KeyId id = registry.add(Scheme::kEcdsaP256Sha256, kP256Key).value();
  EXPECT_NE(id, KeyId{});
  EXPECT_EQ(registry.add(Scheme::kEcdsaP256Sha256, compressed(kP256Key)).value(), id);
  const Bytes spki =
      joined(unhex("3059301306072a8648ce3d020106082a8648ce3d030107034200"), kP256Key);
  EXPECT_EQ(registry.add(Scheme::kEcdsaP256Sha256, spki).value(), id);
  EXPECT_EQ(registry.size(), 1U);
  EXPECT_GT(registry.memory_bytes(), 0U);
}

TEST(KeyRegistry, RefusesBadKeysAndSaysWhy) {
  KeyRegistry registry = KeyRegistry::create(backend()).value();
  Bytes off = kP256Key;
  off.back() ^= 1;
  const Result<KeyId> result = registry.add(Scheme::kEcdsaP256Sha256, off);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::kMalformed);
  EXPECT_EQ(result.error().field, "public_key");
  EXPECT_NE(result.error().message.find("not on the curve"), std::string::npos)
      << result.error().message;
  // A P-256 point is hardly ever on secp256k1.
  EXPECT_FALSE(registry.add(Scheme::kEcdsaSecp256k1Sha256, kP256Key).ok());
  EXPECT_FALSE(registry.add(Scheme::kEd25519, {}).ok());
  // Each rule has its words.
  const Bytes infinity = {0};
  Bytes hybrid = kP256Key;
  hybrid[0] = static_cast<std::uint8_t>(0x06 | (kP256Key.back() & 1));
  Bytes no_form = kP256Key;
  no_form[0] = 0x05;
  Bytes too_large = kP256Key;
  std::fill_n(too_large.begin() + 1, 32, std::uint8_t{0xff});
  const Bytes other_der = joined({0x30, 0x00}, kP256Key);
  const std::pair<Bytes, const char*> faults[] = {
      {{}, "wrong length"},
      {infinity, "infinity"},
      {hybrid, "hybrid"},
      {no_form, "first byte"},
      {too_large, "not below the field prime"},
      {other_der, "not the DER SubjectPublicKeyInfo"},
  };
  for (const auto& [key, words] : faults) {
    const Result<KeyId> refused = registry.add(Scheme::kEcdsaP256Sha256, key);
    ASSERT_FALSE(refused.ok()) << words;
    EXPECT_EQ(refused.error().code, ErrorCode::kMalformed);
    EXPECT_NE(refused.error().message.find(words), std::string::npos) << refused.error().message;
  }
  const Result<KeyId> unknown = registry.add(static_cast<Scheme>(9), kP256Key);
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(registry.size(), 0U);
}

TEST(KeyRegistry, RemovedIdsAreGoneForGood) {
  KeyRegistry registry = KeyRegistry::create(backend()).value();
  const std::size_t empty_bytes = registry.memory_bytes();
  const KeyId first = registry.add(Scheme::kEcdsaP256Sha256, kP256Key).value();
  EXPECT_GT(registry.memory_bytes(), empty_bytes);
  ASSERT_TRUE(registry.remove(first).ok());
  EXPECT_EQ(registry.size(), 0U);
  EXPECT_EQ(registry.memory_bytes(), empty_bytes);
  EXPECT_EQ(registry.remove(first).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(registry.remove(KeyId{}).error().code, ErrorCode::kNotFound);
  const KeyId second = registry.add(Scheme::kEcdsaP256Sha256, kP256Key).value();
  EXPECT_NE(second, first);
}

TEST(KeyRegistry, Sm2KeysAreEnrolledPerSignerId) {
  KeyRegistry registry = KeyRegistry::create(backend()).value();
  const KeyId by_default = registry.add(Scheme::kSm2Sm3, kSm2Key).value();
  const KeyId alice = registry.add(Scheme::kSm2Sm3, kSm2Key, "ALICE123@YAHOO.COM").value();
  EXPECT_NE(by_default, alice);
  EXPECT_EQ(registry.add(Scheme::kSm2Sm3, kSm2Key, kSm2DefaultId).value(), by_default);
  EXPECT_EQ(registry.size(), 2U);
  EXPECT_EQ(
      registry.add(Scheme::kSm2Sm3, kSm2Key, std::string(kSm2IdBytesMax + 1, 'x')).error().code,
      ErrorCode::kInvalidArgument);
  // GB/T 32918.5's example was signed under the default id.
  const Bytes signature = unhex(
      "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3"
      "b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa");
  BatchBuilder builder({Scheme::kSm2Sm3});
  for (int i = 0; i < 2; ++i) builder.add({}, bytes_of("message digest"), signature);
  VerifyBatch batch = builder.batch();
  const KeyId ids[2] = {alice, by_default};
  batch.public_keys = {};
  batch.key_ids = ids;
  batch.registry = &registry;
  Verdict verdicts[2] = {};
  ASSERT_TRUE(verify_batch(backend(), batch, verdicts).ok());
  EXPECT_EQ(verdicts[0], Verdict::kMismatch);
  EXPECT_EQ(verdicts[1], Verdict::kValid);
}

TEST(KeyRegistry, AKeyOfAnotherSchemeIsABadKey) {
  KeyRegistry registry = KeyRegistry::create(backend()).value();
  const SignedBy ed = ed25519_signed(1);
  const KeyId ids[2] = {registry.add(Scheme::kEcdsaP256Sha256, kP256Key).value(),
                        registry.add(Scheme::kEd25519, ed.key).value()};
  BatchBuilder builder({Scheme::kEd25519});
  for (int i = 0; i < 2; ++i) builder.add({}, ed.message, ed.signature);
  VerifyBatch batch = builder.batch();
  batch.public_keys = {};
  batch.key_ids = ids;
  batch.registry = &registry;
  Verdict verdicts[2] = {};
  ASSERT_TRUE(verify_batch(backend(), batch, verdicts).ok());
  EXPECT_EQ(verdicts[0], Verdict::kBadKey);
  EXPECT_EQ(verdicts[1], Verdict::kValid);
}

// Verification, enrolment and removal at once: for ThreadSanitizer, and for verdicts that must not
// depend on what other threads do.
TEST(KeyRegistry, ConcurrentUse) {
  KeyRegistry registry = KeyRegistry::create(backend()).value();
  std::vector<SignedBy> signers;
  for (std::uint8_t i = 0; i < 8; ++i) signers.push_back(ed25519_signed(i));
  std::vector<KeyId> lasting;
  for (std::size_t i = 0; i < 4; ++i) {
    lasting.push_back(registry.add(Scheme::kEd25519, signers[i].key).value());
  }
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < 20; ++round) {
        BatchBuilder builder({Scheme::kEd25519});
        std::vector<KeyId> ids;
        for (std::size_t i = 0; i < 4; ++i) {
          const std::size_t signer = (i + static_cast<std::size_t>(t)) % 4;
          builder.add({}, signers[signer].message, signers[signer].signature);
          ids.push_back(lasting[signer]);
        }
        VerifyBatch batch = builder.batch();
        batch.public_keys = {};
        batch.key_ids = ids;
        batch.registry = &registry;
        std::vector<Verdict> verdicts(4, Verdict::kMismatch);
        const bool ok = verify_batch(backend(), batch, verdicts).ok();
        if (!ok || verdicts != std::vector<Verdict>(4, Verdict::kValid)) ++wrong;
      }
    });
    threads.emplace_back([&] {
      for (int round = 0; round < 60; ++round) {
        for (std::size_t i = 4; i < 8; ++i) {
          const Result<KeyId> id = registry.add(Scheme::kEd25519, signers[i].key);
          if (!id) ++wrong;
          // Another thread may have enrolled or removed the same key meanwhile.
          if (id) static_cast<void>(registry.remove(*id).ok());
        }
        if (registry.size() < 4) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(registry.size(), 4U);
}

}  // namespace
}  // namespace colophon::test
