// SPDX-License-Identifier: Apache-2.0
#include "node/transaction_signatures.h"

#include <gtest/gtest.h>
#include <openssl/bn.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "node/bytes.h"
#include "node/hex.h"
#include "tests/node/certificate_forge.h"
#include "tests/node/contract_chain.h"
#include "tests/node/memory_signer.h"

namespace colophon::node {
namespace {

using test::Chain;
using test::kChainId;
using test::MemorySigner;
using test::must;

const Backend& backend() {
  static const Backend chosen = must(Backend::choose());
  return chosen;
}

SignerKeys keep_all() {
  return must(SignerKeys::create(backend(), [](Scheme, ByteSpan) { return true; }));
}
SignerKeys keep_none() {
  return must(SignerKeys::create(backend(), [](Scheme, ByteSpan) { return false; }));
}

// Transactions of four keys, two of a scheme, in turn.
class Fixture {
 public:
  explicit Fixture(std::size_t count) {
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
      signers.push_back(
          MemorySigner::create(seed % 2 == 0 ? hsm::KeyType::kEd25519 : hsm::KeyType::kP256, seed));
    }
    for (std::size_t i = 0; i < count; ++i) {
      bytes.push_back(chain.sign(*signers[i % 4], "registry", "payload " + std::to_string(i)));
    }
  }

  // As intake reads them. The views are into `bytes`.
  [[nodiscard]] std::vector<VerifiedTransaction> read(std::string_view chain_id = kChainId) const {
    std::vector<VerifiedTransaction> all;
    for (const std::string& one : bytes) {
      const TransactionView view = must(parse_transaction(as_bytes(one)));
      all.push_back({view, transaction_id(chain_id, view)});
    }
    return all;
  }

  // The last 64 bytes of a transaction are its signature; before them stand a tag and a length.
  [[nodiscard]] std::uint8_t* signature(std::size_t i) {
    return reinterpret_cast<std::uint8_t*>(bytes[i].data() + bytes[i].size() - 64);
  }

  Chain chain;
  std::vector<std::unique_ptr<MemorySigner>> signers;
  std::vector<std::string> bytes;
};

std::vector<Verdict> verify(const std::vector<VerifiedTransaction>& transactions, SignerKeys& keys,
                            std::string_view chain_id = kChainId) {
  std::vector<const VerifiedTransaction*> pointers;
  for (const VerifiedTransaction& one : transactions) pointers.push_back(&one);
  const auto verdicts = verify_signatures(backend(), chain_id, pointers, keys);
  EXPECT_TRUE(verdicts.ok()) << verdicts.error().message;
  return verdicts ? *verdicts : std::vector<Verdict>();
}

std::vector<Verdict> all(std::size_t count, Verdict verdict) {
  return std::vector<Verdict>(count, verdict);
}

TEST(TransactionSignatures, ValidOnesVerifyWhetherTheirKeyIsKeptOrNot) {
  const Fixture fixture(24);
  SignerKeys kept = keep_all();
  SignerKeys unknown = keep_none();
  // Keys of every other transaction only: both ways, and both schemes, in one call.
  SignerKeys mixed = must(SignerKeys::create(backend(), [&](Scheme, ByteSpan key) {
    return std::ranges::equal(key, fixture.signers[0]->public_key().raw) ||
           std::ranges::equal(key, fixture.signers[1]->public_key().raw);
  }));
  for (SignerKeys* keys : {&kept, &unknown, &mixed}) {
    EXPECT_EQ(verify(fixture.read(), *keys), all(24, Verdict::kValid));
    EXPECT_EQ(verify(fixture.read(), *keys), all(24, Verdict::kValid));  // now from the registry
  }
  EXPECT_EQ(kept.registry().size(), 4U);
  EXPECT_EQ(unknown.registry().size(), 0U);
  EXPECT_EQ(mixed.registry().size(), 2U);
}

TEST(TransactionSignatures, NoneAndOneSchemeAlone) {
  SignerKeys keys = keep_all();
  EXPECT_TRUE(verify({}, keys).empty());
  Fixture fixture(8);
  for (const std::size_t scheme : {0U, 1U}) {
    std::vector<VerifiedTransaction> one_scheme;
    const auto everything = fixture.read();
    for (std::size_t i = scheme; i < 8; i += 2) one_scheme.push_back(everything[i]);
    EXPECT_EQ(verify(one_scheme, keys), all(4, Verdict::kValid));
  }
}

TEST(TransactionSignatures, SignatureOfAnotherChainDoesNotVerify) {
  const Fixture fixture(8);
  SignerKeys kept = keep_all();
  SignerKeys unknown = keep_none();
  for (SignerKeys* keys : {&kept, &unknown}) {
    EXPECT_EQ(verify(fixture.read("other.colophon.example"), *keys, "other.colophon.example"),
              all(8, Verdict::kMismatch));
    EXPECT_EQ(verify(fixture.read(), *keys), all(8, Verdict::kValid));
  }
}

TEST(TransactionSignatures, AnotherSignersKeyDoesNotVerify) {
  Fixture fixture(8);
  SignerKeys keys = keep_all();
  std::vector<VerifiedTransaction> swapped = fixture.read();
  for (std::size_t i = 0; i < 8; ++i) {
    swapped[i].view.public_key = fixture.signers[(i + 2) % 4]->public_key().raw;
    swapped[i].id = transaction_id(kChainId, swapped[i].view);
  }
  EXPECT_EQ(verify(swapped, keys), all(8, Verdict::kMismatch));
}

// Each wrong one gets its own verdict and spoils no other's, wherever it stands.
TEST(TransactionSignatures, VerdictsAreThoseOfEachTransactionAlone) {
  Fixture fixture(32);
  std::mt19937_64 random(31);
  SignerKeys kept = keep_all();
  SignerKeys unknown = keep_none();
  for (int round = 0; round < 10; ++round) {
    Fixture damaged(32);
    std::vector<bool> is_damaged(32);
    for (std::size_t i = 0; i < 32; ++i) {
      is_damaged[i] = random() % 3 == 0;
      if (!is_damaged[i]) continue;
      if (random() % 2 == 0) {
        damaged.signature(i)[random() % 64] ^= static_cast<std::uint8_t>(1 << random() % 8);
      } else {
        const std::size_t nonce = damaged.bytes[i].find("registry") - 4;
        damaged.bytes[i][nonce] = static_cast<char>(damaged.bytes[i][nonce] ^ 1);
      }
    }
    const auto transactions = damaged.read();
    const auto verdicts = verify(transactions, kept);
    EXPECT_EQ(verify(transactions, unknown), verdicts);
    for (std::size_t i = 0; i < 32; ++i) {
      EXPECT_EQ(verdicts[i] != Verdict::kValid, is_damaged[i]) << i;
      EXPECT_EQ(verify({transactions[i]}, unknown), (std::vector<Verdict>{verdicts[i]})) << i;
    }
  }
}

// Enough of a scheme for two threads where the machine has them, and for tables of the keys.
TEST(TransactionSignatures, EveryBackendGivesTheSameVerdictsOnLargeBatches) {
  constexpr std::size_t kCount = 2200;
  Fixture fixture(kCount);
  for (std::size_t i = 0; i < kCount; i += 5) fixture.signature(i)[i % 64] ^= 1;
  const std::vector<VerifiedTransaction> transactions = fixture.read();
  std::vector<const VerifiedTransaction*> pointers;
  for (const VerifiedTransaction& one : transactions) pointers.push_back(&one);
  for (const BackendInfo& info : list_backends()) {
    SCOPED_TRACE(info.name);
    if (!info.supported) continue;
    const Backend one = must(Backend::choose(info.name));
    for (const bool kept : {true, false}) {
      const std::size_t tables_before = one.table_memory().tables;
      SignerKeys keys = must(SignerKeys::create(one, [&](Scheme, ByteSpan) { return kept; }));
      const auto verdicts = must(verify_signatures(one, kChainId, pointers, keys));
      ASSERT_EQ(verdicts.size(), kCount);
      for (std::size_t i = 0; i < kCount; ++i) {
        ASSERT_EQ(verdicts[i] == Verdict::kValid, i % 5 != 0) << i;
      }
      // Two keys are of P-256, and each has come often enough.
      const std::size_t expected = info.tables.bytes_max == 0 ? 0 : 2;
      if (kept) {
        EXPECT_EQ(one.table_memory().tables - tables_before, expected);
      }
    }
  }
}

// s and n − s both solve the equation: only the low one is the ledger's.
TEST(TransactionSignatures, HighSIsRefused) {
  Fixture fixture(4);
  constexpr const char* kOrder = "FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551";
  BIGNUM* n = nullptr;
  ASSERT_GT(BN_hex2bn(&n, kOrder), 0);
  for (const std::size_t i : {0U, 2U}) {
    BIGNUM* s = BN_bin2bn(fixture.signature(i) + 32, 32, nullptr);
    ASSERT_EQ(BN_sub(s, n, s), 1);
    ASSERT_EQ(BN_bn2binpad(s, fixture.signature(i) + 32, 32), 32);
    BN_free(s);
  }
  BN_free(n);
  SignerKeys kept = keep_all();
  SignerKeys unknown = keep_none();
  const std::vector<Verdict> expected{Verdict::kHighS, Verdict::kValid, Verdict::kHighS,
                                      Verdict::kValid};
  EXPECT_EQ(verify(fixture.read(), kept), expected);
  EXPECT_EQ(verify(fixture.read(), unknown), expected);
}

TEST(TransactionSignatures, SignatureOutOfRangeIsRefused) {
  Fixture fixture(4);
  std::fill_n(fixture.signature(0), 32, std::uint8_t{0});          // r = 0
  std::fill_n(fixture.signature(1) + 32, 32, std::uint8_t{0xff});  // S >= L
  std::fill_n(fixture.signature(2) + 32, 32, std::uint8_t{0xff});  // s >= n
  SignerKeys keys = keep_all();
  EXPECT_EQ(verify(fixture.read(), keys),
            (std::vector<Verdict>{Verdict::kOutOfRange, Verdict::kOutOfRange, Verdict::kOutOfRange,
                                  Verdict::kValid}));
}

// A key that is none is not kept and does not verify; the batch around it does.
TEST(TransactionSignatures, BadKeysAreNotKept) {
  Fixture fixture(4);
  std::vector<VerifiedTransaction> transactions = fixture.read();
  const std::vector<std::uint8_t> off_curve = [] {
    std::vector<std::uint8_t> key(33, 0);
    key[0] = 0x02;
    key[32] = 0x02;  // x = 2 has no y on P-256
    return key;
  }();
  transactions[0].view.public_key = off_curve;
  transactions[0].id = transaction_id(kChainId, transactions[0].view);
  SignerKeys keys = keep_all();
  const auto verdicts = verify(transactions, keys);
  EXPECT_EQ(verdicts[0], Verdict::kBadKey);
  EXPECT_EQ(verdicts[1], Verdict::kValid);
  EXPECT_EQ(verdicts[2], Verdict::kValid);
  EXPECT_FALSE(keys.find(Scheme::kEcdsaP256Sha256, off_curve));
  EXPECT_EQ(keys.registry().size(), 3U);
}

TEST(SignerKeysTest, KeyIsAskedAboutUntilItIsKeptAndNeverAgain) {
  const auto key = MemorySigner::create(hsm::KeyType::kP256, 5);
  bool worth = false;
  int asked = 0;
  SignerKeys keys = must(SignerKeys::create(backend(), [&](Scheme scheme, ByteSpan bytes) {
    ++asked;
    EXPECT_EQ(scheme, Scheme::kEcdsaP256Sha256);
    EXPECT_TRUE(std::ranges::equal(bytes, key->public_key().raw));
    return worth;
  }));
  EXPECT_FALSE(keys.find(Scheme::kEcdsaP256Sha256, key->public_key().raw));
  EXPECT_FALSE(keys.find(Scheme::kEcdsaP256Sha256, key->public_key().raw));
  EXPECT_EQ(asked, 2);
  worth = true;
  const auto id = keys.find(Scheme::kEcdsaP256Sha256, key->public_key().raw);
  ASSERT_TRUE(id);
  worth = false;
  EXPECT_EQ(keys.find(Scheme::kEcdsaP256Sha256, key->public_key().raw), id);
  EXPECT_EQ(asked, 3);
}

TEST(SignerKeysTest, ThreadsAgreeOnKeysWhileTheyVerify) {
  constexpr std::size_t kThreads = 4;
  const Fixture fixture(16);
  SignerKeys keys = keep_all();
  std::atomic<int> wrong{0};
  std::vector<std::vector<KeyId>> ids(kThreads);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < 6; ++round) {
        if (verify(fixture.read(), keys) != all(16, Verdict::kValid)) ++wrong;
      }
      for (const auto& signer : fixture.signers) {
        const Scheme scheme =
            signer->key_type() == hsm::KeyType::kP256 ? Scheme::kEcdsaP256Sha256 : Scheme::kEd25519;
        ids[t].push_back(keys.find(scheme, signer->public_key().raw).value_or(KeyId{}));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(keys.registry().size(), 4U);
  for (const auto& found : ids) EXPECT_EQ(found, ids[0]);
  std::set<std::uint64_t> distinct;
  for (const KeyId id : ids[0]) distinct.insert(id.value);
  EXPECT_EQ(distinct.size(), 4U);
  EXPECT_FALSE(distinct.contains(0));
}

}  // namespace
}  // namespace colophon::node
