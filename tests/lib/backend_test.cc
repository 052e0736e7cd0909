// SPDX-License-Identifier: Apache-2.0
//
// Choosing a backend, and refusing one that computes wrongly.
#include "colophon/backend.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <thread>

#include "backend_implementation.h"
#include "batch_builder.h"
#include "colophon/hash.hpp"
#include "cpu_backend.h"
#include "kernels/cpu.h"
#include "key_registry_storage.h"
#include "openssl_digest.h"
#include "p256_signer.h"

namespace colophon::test {
namespace {

class EnvironmentVariable {
 public:
  explicit EnvironmentVariable(const char* value) {
    if (const char* old = std::getenv(kName)) old_ = old;
    value != nullptr ? ::setenv(kName, value, 1) : ::unsetenv(kName);
  }
  ~EnvironmentVariable() { old_ ? ::setenv(kName, old_->c_str(), 1) : ::unsetenv(kName); }

 private:
  static constexpr const char* kName = "COLOPHON_BACKEND";
  std::optional<std::string> old_;
};

// What this machine should be given: a GPU, or AVX-512 where it has it, never OpenSSL.
std::string best_here() {
  const auto infos = list_backends();
  if (infos.front().name == "cuda" && infos.front().self_test_passed) return "cuda";
  return COLOPHON_AVX512 != 0 && kernels::cpu_has_avx512() ? "avx512" : "portable";
}

TEST(BackendChoice, ByNameByVariableOrAuto) {
  {
    const EnvironmentVariable unset(nullptr);
    EXPECT_EQ(Backend::choose().value().name(), best_here());
    EXPECT_EQ(Backend::choose("auto").value().name(), best_here());
    EXPECT_EQ(Backend::choose("openssl").value().name(), "openssl");
    EXPECT_EQ(Backend::choose("portable").value().name(), "portable");
  }
  for (const char* automatic : {"", "auto"}) {
    const EnvironmentVariable variable(automatic);
    EXPECT_EQ(Backend::choose().value().name(), best_here());
  }
  for (const char* name : {"openssl", "portable"}) {
    const EnvironmentVariable named(name);
    EXPECT_EQ(Backend::choose().value().name(), name);
  }
  {
    // A forced name never falls back; one given in the call wins over the variable.
    const EnvironmentVariable wrong("no-such");
    const Result<Backend> chosen = Backend::choose();
    ASSERT_FALSE(chosen.ok());
    EXPECT_EQ(chosen.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(chosen.error().message.find("portable, openssl"), std::string::npos)
        << chosen.error().message;
    EXPECT_TRUE(Backend::choose("openssl").ok());
  }
  EXPECT_FALSE(Backend::choose("OpenSSL").ok());
}

#if COLOPHON_AVX512
TEST(BackendChoice, Avx512IsThereOrSaysWhatTheMachineLacks) {
  const EnvironmentVariable named("avx512");
  const Result<Backend> chosen = Backend::choose();
  const char* missing = nullptr;
  if (kernels::cpu_has_avx512(&missing)) {
    EXPECT_EQ(chosen.value().name(), "avx512");
    return;
  }
  ASSERT_FALSE(chosen.ok());
  EXPECT_EQ(chosen.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(chosen.error().message.find(missing), std::string::npos) << chosen.error().message;
}
#endif

TEST(BackendChoice, WhatHashesIsTheBestThatTheCpuHas) {
  std::string lanes = "portable";
  std::string sha256 = "portable";
#if COLOPHON_AVX512
  if (kernels::cpu_has_avx2()) lanes = sha256 = "avx2";
  if (kernels::cpu_has_sha_ni()) sha256 = "sha-ni";
#endif
  const std::string expected = "sha256 " + sha256 + ", sha512 " + lanes + ", sm3 " + lanes +
                               ", blake3 " + lanes + ", keccak256 " + lanes;
  for (const BackendInfo& info : list_backends()) {
    if (info.name == "portable") {
      EXPECT_EQ(info.hashing, expected);
    }
    if (info.name == "avx512" && info.self_test_passed) {
      EXPECT_TRUE(
          info.hashing.ends_with(", sha512 avx512, sm3 avx512, blake3 avx512, keccak256 avx512"))
          << info.hashing;
    }
  }
}

// Only the backend that was asked has built a table.
TEST(BackendChoice, TheBackendNamedIsTheOneThatRuns) {
  const auto tables = [] {
    std::map<std::string, std::size_t> bytes;
    for (const BackendInfo& info : list_backends()) bytes[info.name] = info.tables.bytes;
    return bytes;
  };
  const SignedMessage made = P256Signer::with_number(4711).sign("which one");
  for (const BackendInfo& info : list_backends()) {
    if (!info.supported) continue;
    SCOPED_TRACE(info.name);
    const Backend chosen = Backend::choose(info.name).value();
    const auto before = tables();
    KeyRegistry registry = KeyRegistry::create(chosen).value();
    const KeyId id = registry.add(Scheme::kEcdsaP256Sha256, made.key).value();
    BatchBuilder builder({Scheme::kEcdsaP256Sha256});
    for (int i = 0; i < 16; ++i) builder.add({}, made.message, made.signature);
    VerifyBatch batch = builder.batch();
    const std::vector<KeyId> ids(16, id);
    batch.public_keys = {};
    batch.key_ids = ids;
    batch.registry = &registry;
    std::vector<Verdict> verdicts(16);
    ASSERT_TRUE(verify_batch(chosen, batch, verdicts).ok());
    EXPECT_EQ(verdicts, std::vector<Verdict>(16, Verdict::kValid));
    for (const auto& [name, bytes] : tables()) {
      if (name == info.name && name != "openssl") {
        EXPECT_GT(bytes, before.at(name)) << name;
      } else {
        EXPECT_EQ(bytes, before.at(name)) << name;
      }
    }
  }
}

// Code for a CPU that this machine may not have: nothing of it runs before it is asked to verify.
TEST(BackendChoice, MakingAndListingABackendRunsNoneOfItsCode) {
  static std::atomic<int> calls;
  calls = 0;
  const auto count = [](unsigned) {
    ++calls;
    return std::size_t{64};
  };
  const kernels::P256Kernels counted = {"counted",
                                        8,
                                        192,
                                        count,
                                        count,
                                        [](const auto*, unsigned, void*, void*) { ++calls; },
                                        [](std::size_t) {
                                          ++calls;
                                          return std::size_t{64};
                                        },
                                        nullptr,
                                        nullptr};
  const auto made = make_cpu_backend(counted, "a CPU of the future", /*needs_avx512=*/true);
  EXPECT_EQ(made->name(), "counted");
  EXPECT_NE(made->description().find("future"), std::string::npos);
  EXPECT_EQ(made->unsupported_reason().empty(), kernels::cpu_has_avx512());
  EXPECT_EQ(made->table_memory().bytes, 0U);
  ASSERT_TRUE(made->set_table_memory_max(0).ok());
  EXPECT_EQ(calls, 0);
}

TEST(BackendChoice, ListNamesWhatAutoChooses) {
  const std::vector<BackendInfo> infos = list_backends();
  ASSERT_FALSE(infos.empty());
  EXPECT_EQ(infos.back().name, "openssl");
  EXPECT_NE(infos.back().description.find("OpenSSL 3"), std::string::npos);
  int chosen = 0;
  for (const BackendInfo& info : infos) {
    if (!info.chosen_by_auto) continue;
    ++chosen;
    EXPECT_TRUE(info.supported && info.self_test_passed);
    EXPECT_EQ(info.name, Backend::choose("auto").value().name());
  }
  EXPECT_EQ(chosen, 1);
}

class ForeignKey final : public PreparedKey {
 public:
  [[nodiscard]] std::size_t memory_bytes() const noexcept override { return 64; }
};

// Passes everything on to openssl, except for one fault.
class FaultyBackend final : public BackendImplementation {
 public:
  enum class Fault {
    kNone,
    kUnsupported,
    kAcceptsAll,
    kRefusesAll,
    kAcceptsOneSchemeTampered,
    kFails,
    kBadKeyTables,
    kBadHash,
    kBadLeaf,
    kBadNode,
    kDuplicatesLastNode,
    kKeysOfItsOwn,  // no fault, but prepared keys that mean nothing to openssl
    kSmall,         // no fault, but little memory
  };

  explicit FaultyBackend(Fault fault) : fault_(fault) {}

  [[nodiscard]] std::string_view name() const noexcept override { return "faulty"; }
  [[nodiscard]] std::string description() const override { return "for tests"; }
  [[nodiscard]] std::string unsupported_reason() const override {
    return fault_ == Fault::kUnsupported ? "the CPU is made of wood" : "";
  }
  [[nodiscard]] Result<std::unique_ptr<PreparedKey>> prepare_key(
      const PublicKey& key) const override {
    if (fault_ == Fault::kKeysOfItsOwn) return std::unique_ptr<PreparedKey>(new ForeignKey);
    PublicKey taken = key;
    if (fault_ == Fault::kBadKeyTables && key.scheme == Scheme::kEd25519) taken.bytes[0] ^= 1;
    return openssl_backend().prepare_key(taken);
  }
  [[nodiscard]] Result<void> verify(const VerifyWork& work) const override {
    ++calls;
    if (fault_ == Fault::kFails) {
      return make_error(ErrorCode::kUnavailable, "the device has gone");
    }
    COLOPHON_TRY(openssl_backend().verify(work));
    for (const std::uint32_t item : work.items) {
      if (fault_ == Fault::kAcceptsAll ||
          (fault_ == Fault::kAcceptsOneSchemeTampered && work.scheme == Scheme::kSm2Sm3)) {
        work.verdicts[item] = Verdict::kValid;
      }
      if (fault_ == Fault::kRefusesAll) work.verdicts[item] = Verdict::kMismatch;
    }
    return {};
  }
  [[nodiscard]] Result<void> hash(const HashForm& form, const Slices& messages,
                                  std::uint8_t* digests) const override {
    HashForm taken = form;
    if (fault_ == Fault::kBadLeaf && form.prefix == 0x00) taken.prefix = HashForm::kNoPrefix;
    COLOPHON_TRY(openssl_backend().hash(taken, messages, digests));
    if (fault_ == Fault::kBadHash) digests[messages.size() * digest_bytes(form.algorithm) - 1] ^= 1;
    return {};
  }
  [[nodiscard]] Result<void> hash_pairs(const HashForm& form, const std::uint8_t* nodes,
                                        std::size_t count, std::uint8_t* parents) const override {
    COLOPHON_TRY(openssl_backend().hash_pairs(form, nodes, count, parents));
    if (fault_ == Fault::kBadNode) parents[(count - 1) * digest_bytes(form.algorithm)] ^= 1;
    return {};
  }
  [[nodiscard]] Result<void> hash_tree(const HashForm& form, const std::uint8_t* nodes,
                                       std::size_t count, std::uint8_t* root) const override {
    const std::size_t each = digest_bytes(form.algorithm);
    std::vector<std::uint8_t> level(nodes, nodes + count * each);
    while (fault_ == Fault::kDuplicatesLastNode && level.size() > each) {
      if (level.size() % (2 * each) != 0) {
        const std::vector<std::uint8_t> last(level.end() - static_cast<long>(each), level.end());
        level.insert(level.end(), last.begin(), last.end());
      }
      COLOPHON_TRY(hash_pairs(form, level.data(), level.size() / (2 * each), level.data()));
      level.resize(level.size() / 2);
    }
    return BackendImplementation::hash_tree(form, level.data(), level.size() / each, root);
  }
  [[nodiscard]] Result<std::unique_ptr<HashStream::State>> hash_stream(
      const StreamForm& form) const override {
    return openssl_backend().hash_stream(form);
  }

  [[nodiscard]] Result<void> set_table_memory_max(std::size_t bytes) const override {
    if (fault_ != Fault::kSmall || bytes <= kTableMemoryMin) return {};
    return make_error(ErrorCode::kInvalidArgument, "the device is too small", "table_memory");
  }

  mutable std::atomic<int> calls = 0;

 private:
  Fault fault_;
};

using Fault = FaultyBackend::Fault;

TEST(BackendSelfTest, RefusesEveryFaultAndSaysWhichAnswerWasWrong) {
  const std::pair<Fault, const char*> faults[] = {
      {Fault::kAcceptsAll, "ECDSA P-256"},
      {Fault::kRefusesAll, "ECDSA P-256"},
      {Fault::kAcceptsOneSchemeTampered, "SM2"},
      {Fault::kFails, "the device has gone"},
      {Fault::kBadKeyTables, "Ed25519"},
      {Fault::kBadHash, "sha256"},
      {Fault::kBadLeaf, "Merkle"},
      {Fault::kBadNode, "sha256"},
      {Fault::kDuplicatesLastNode, "Merkle"},
  };
  for (const auto& [fault, reason] : faults) {
    const FaultyBackend faulty(fault);
    const BackendList list({&faulty, &openssl_backend()});
    // Forced by name: an error with the reason, no silent fallback.
    const Result<const BackendImplementation*> forced = list.choose("faulty");
    ASSERT_FALSE(forced.ok()) << reason;
    EXPECT_EQ(forced.error().code, ErrorCode::kInternal);
    EXPECT_NE(forced.error().message.find(reason), std::string::npos) << forced.error().message;
    EXPECT_NE(forced.error().message.find("self-test"), std::string::npos);
    // Auto: the next one, and the list says why.
    EXPECT_EQ(list.choose("auto").value(), &openssl_backend());
    const std::vector<BackendInfo> infos = list.list();
    ASSERT_EQ(infos.size(), 2U);
    EXPECT_TRUE(infos[0].supported);
    EXPECT_FALSE(infos[0].self_test_passed);
    EXPECT_FALSE(infos[0].chosen_by_auto);
    EXPECT_NE(infos[0].reason.find(reason), std::string::npos) << infos[0].reason;
    EXPECT_TRUE(infos[1].chosen_by_auto);
    EXPECT_EQ(infos[1].reason, "");
  }
}

TEST(BackendSelfTest, TheTwinWithoutAFaultIsChosen) {
  const FaultyBackend sound(Fault::kNone);
  const BackendList list({&sound, &openssl_backend()});
  EXPECT_EQ(list.choose("auto").value(), &sound);
  EXPECT_EQ(list.choose("faulty").value(), &sound);
  EXPECT_EQ(list.choose("openssl").value(), &openssl_backend());
}

TEST(BackendSelfTest, UnsupportedIsNotAFailure) {
  const FaultyBackend wooden(Fault::kUnsupported);
  const BackendList list({&wooden, &openssl_backend()});
  const Result<const BackendImplementation*> forced = list.choose("faulty");
  ASSERT_FALSE(forced.ok());
  EXPECT_EQ(forced.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(forced.error().message.find("made of wood"), std::string::npos);
  // Auto takes the next one and says so, with the reason.
  EXPECT_EQ(list.choose("auto").value(), &openssl_backend());
  const std::vector<BackendInfo> infos = list.list();
  EXPECT_FALSE(infos[0].supported);
  EXPECT_FALSE(infos[0].chosen_by_auto);
  EXPECT_NE(infos[0].reason.find("made of wood"), std::string::npos) << infos[0].reason;
  EXPECT_TRUE(infos[1].chosen_by_auto);
  EXPECT_EQ(wooden.calls, 0);
}

TEST(BackendSelfTest, AutoPassesOverWhatHasNoRoomForTheTablesAndTellsWhy) {
  const FaultyBackend wooden(Fault::kUnsupported);
  const FaultyBackend small(Fault::kSmall);
  const BackendList list({&wooden, &small, &openssl_backend()});
  std::vector<BackendInfo> passed_over;
  EXPECT_EQ(list.choose("auto", 2 * kTableMemoryMin, &passed_over).value(), &openssl_backend());
  ASSERT_EQ(passed_over.size(), 2U);
  EXPECT_FALSE(passed_over[0].supported);
  EXPECT_NE(passed_over[0].reason.find("made of wood"), std::string::npos);
  EXPECT_TRUE(passed_over[1].self_test_passed);
  EXPECT_EQ(passed_over[1].reason, "the device is too small");
  passed_over.clear();
  EXPECT_EQ(list.choose("auto", kTableMemoryMin, &passed_over).value(), &small);
  EXPECT_EQ(passed_over.size(), 1U);
  // Forced by name, it is an error.
  const BackendList alone({&small, &openssl_backend()});
  const Result<const BackendImplementation*> forced = alone.choose("faulty", 2 * kTableMemoryMin);
  ASSERT_FALSE(forced.ok());
  EXPECT_EQ(forced.error().field, "table_memory");
}

TEST(BackendChoice, SaysWhoChoseAndLimitsTheTables) {
  {
    const EnvironmentVariable unset(nullptr);
    EXPECT_TRUE(Backend::choose("", 0).value().by_auto);
    EXPECT_TRUE(Backend::choose("auto", 0).value().by_auto);
  }
  const EnvironmentVariable variable("portable");
  const std::size_t before = Backend::choose("portable").value().table_memory().bytes_max;
  const BackendChoice choice = Backend::choose("", 3 * kTableMemoryMin).value();
  EXPECT_EQ(choice.backend.name(), "portable");
  EXPECT_FALSE(choice.by_auto);
  EXPECT_TRUE(choice.passed_over.empty());
  EXPECT_EQ(choice.backend.table_memory().bytes_max, 3 * kTableMemoryMin);
  ASSERT_TRUE(choice.backend.set_table_memory_max(before).ok());
  const Result<BackendChoice> refused = Backend::choose("", kTableMemoryMin - 1);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().field, "table_memory");
}

TEST(BackendSelfTest, NoUsableBackendIsAnErrorWithAllReasons) {
  const FaultyBackend faulty(Fault::kBadHash);
  const BackendList list({&faulty});
  const Result<const BackendImplementation*> chosen = list.choose("auto");
  ASSERT_FALSE(chosen.ok());
  EXPECT_NE(chosen.error().message.find("sha256"), std::string::npos) << chosen.error().message;
}

TEST(BackendSelfTest, RunsOnceBeforeFirstUseHoweverManyThreadsAsk) {
  const FaultyBackend sound(Fault::kNone);
  const BackendList list({&sound});
  EXPECT_EQ(sound.calls, 0);
  std::vector<std::thread> threads;
  std::atomic<int> chosen = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      if (list.choose("faulty").ok()) ++chosen;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(chosen, 4);
  const int calls = sound.calls;
  EXPECT_GT(calls, 0);
  EXPECT_TRUE(list.choose("auto").ok());
  EXPECT_EQ(list.list().size(), 1U);
  EXPECT_EQ(sound.calls, calls);
}

// A key enrolled for one backend is known to another, which must not touch the first one's tables.
TEST(BackendKeys, ARegistryOfAnotherBackendStillVerifies) {
  const FaultyBackend other(Fault::kKeysOfItsOwn);
  KeyRegistry registry(std::make_unique<KeyRegistry::Storage>(other));
  // RFC 8032 §7.1, TEST 2, and a twin with another message.
  const Bytes key = unhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
  const Bytes signature = unhex(
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
      "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
  const KeyId id = registry.add(Scheme::kEd25519, key).value();
  BatchBuilder builder({Scheme::kEd25519});
  builder.add({}, unhex("72"), signature);
  builder.add({}, unhex("73"), signature);
  VerifyBatch batch = builder.batch();
  const KeyId ids[2] = {id, id};
  batch.public_keys = {};
  batch.key_ids = ids;
  batch.registry = &registry;
  Verdict verdicts[2] = {};
  ASSERT_TRUE(verify_batch(backend(), batch, verdicts).ok());
  EXPECT_EQ(verdicts[0], Verdict::kValid);
  EXPECT_EQ(verdicts[1], Verdict::kMismatch);
}

}  // namespace
}  // namespace colophon::test
