// SPDX-License-Identifier: Apache-2.0
//
// p256-verify: digests signed by 64 keys. The peer is OpenSSL's EVP_PKEY_verify with one context a
// key, set up once, and DER signatures made beforehand: the best a program gets from OpenSSL alone.
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>

#include <array>
#include <memory>
#include <random>

#include "bench/job.h"
#include "colophon/verifier.hpp"

namespace colophon::bench {
namespace {

constexpr std::size_t kBatch = 4096;
constexpr std::size_t kKeys = 64;

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
};

struct Signatures {
  std::vector<std::unique_ptr<EVP_PKEY, FreeKey>> keys;
  std::vector<std::uint8_t> public_keys;  // 65 bytes each, one a signature
  std::vector<std::uint8_t> digests;      // 32 bytes each
  std::vector<std::uint8_t> der;
  std::vector<std::uint64_t> key_offsets, digest_offsets{0}, der_offsets{0};

  bool load() {
    if (!keys.empty()) return true;
    std::vector<std::array<std::uint8_t, 65>> points;
    for (std::size_t i = 0; i < kKeys; ++i) {
      keys.emplace_back(EVP_EC_gen("P-256"));
      std::size_t length = 0;
      points.emplace_back();
      if (!keys.back() || EVP_PKEY_get_octet_string_param(keys.back().get(), "pub",
                                                          points.back().data(), 65, &length) != 1)
        return false;
    }
    std::mt19937_64 random(2);
    key_offsets.push_back(0);
    for (std::size_t i = 0; i < kBatch; ++i) {
      const std::size_t k = i % kKeys;
      public_keys.insert(public_keys.end(), points[k].begin(), points[k].end());
      key_offsets.push_back(public_keys.size());
      for (int j = 0; j < 32; ++j) digests.push_back(static_cast<std::uint8_t>(random()));
      digest_offsets.push_back(digests.size());
      std::unique_ptr<EVP_PKEY_CTX, FreeKey> context(EVP_PKEY_CTX_new(keys[k].get(), nullptr));
      std::array<std::uint8_t, 80> signature{};
      std::size_t length = signature.size();
      if (EVP_PKEY_sign_init(context.get()) != 1 ||
          EVP_PKEY_sign(context.get(), signature.data(), &length, digests.data() + 32 * i, 32) != 1)
        return false;
      der.insert(der.end(), signature.begin(), signature.begin() + static_cast<long>(length));
      der_offsets.push_back(der.size());
    }
    return true;
  }
};

}  // namespace

void add_signature_jobs(std::vector<Job>& jobs, const std::string& backend_name) {
  auto signatures = std::make_shared<Signatures>();
  jobs.push_back({"p256-verify", backend_name, kBatch, "verifications/s", "OpenSSL EVP_PKEY_verify",
                  [=](benchmark::State& state) {
                    if (!signatures->load())
                      return state.SkipWithError("OpenSSL could not make keys");
                    const auto backend = Backend::choose(backend_name);
                    if (!backend) return state.SkipWithError(backend.error().message.c_str());
                    auto registry = KeyRegistry::create(*backend);
                    if (!registry) return state.SkipWithError(registry.error().message.c_str());
                    VerifyBatch batch;
                    batch.encoding = SignatureEncoding::kDer;
                    batch.input = InputKind::kDigest;
                    batch.inputs = {signatures->digests, signatures->digest_offsets};
                    batch.signatures = {signatures->der, signatures->der_offsets};
                    std::vector<KeyId> ids;
                    const Slices keys{signatures->public_keys, signatures->key_offsets};
                    for (std::size_t i = 0; i < kBatch; ++i) {
                      const auto id = registry->add(batch.scheme, keys[i]);
                      if (!id) return state.SkipWithError(id.error().message.c_str());
                      ids.push_back(*id);
                    }
                    batch.key_ids = ids;
                    batch.registry = &*registry;
                    std::vector<Verdict> verdicts(kBatch);
                    for (auto _ : state) {
                      if (!verify_batch(*backend, batch, verdicts))
                        return state.SkipWithError("verify_batch failed");
                    }
                    for (const Verdict verdict : verdicts) {
                      if (verdict != Verdict::kValid)
                        return state.SkipWithError("a valid signature refused");
                    }
                    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kBatch));
                  },
                  [=](benchmark::State& state) {
                    if (!signatures->load())
                      return state.SkipWithError("OpenSSL could not make keys");
                    std::vector<std::unique_ptr<EVP_PKEY_CTX, FreeKey>> contexts;
                    for (const auto& key : signatures->keys) {
                      contexts.emplace_back(EVP_PKEY_CTX_new(key.get(), nullptr));
                      if (EVP_PKEY_verify_init(contexts.back().get()) != 1)
                        return state.SkipWithError("EVP_PKEY_verify_init failed");
                    }
                    const Slices der{signatures->der, signatures->der_offsets};
                    for (auto _ : state) {
                      for (std::size_t i = 0; i < kBatch; ++i) {
                        if (EVP_PKEY_verify(contexts[i % kKeys].get(), der[i].data(), der[i].size(),
                                            signatures->digests.data() + 32 * i, 32) != 1)
                          return state.SkipWithError("a valid signature refused");
                      }
                    }
                    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kBatch));
                  }});
}

}  // namespace colophon::bench
