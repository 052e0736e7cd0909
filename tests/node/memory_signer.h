// SPDX-License-Identifier: Apache-2.0
//
// A Signer for tests: a key made from a seed and kept in memory. Thread-safe.
#pragma once

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/param_build.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <vector>

#include "colophon/hsm/signer.h"

namespace colophon::node::test {

// The seed's first 8 bytes, big-endian, after a tag: distinct seeds are distinct keys.
inline std::array<std::uint8_t, 32> seed_bytes(std::uint64_t seed) {
  std::array<std::uint8_t, 32> bytes{};
  bytes.fill(0x5a);
  for (int i = 0; i < 8; ++i) bytes[31 - i] = static_cast<std::uint8_t>(seed >> (8 * i));
  return bytes;
}

class MemorySigner final : public hsm::Signer {
 public:
  [[nodiscard]] static std::unique_ptr<MemorySigner> create(hsm::KeyType type, std::uint64_t seed) {
    auto signer = std::unique_ptr<MemorySigner>(new MemorySigner);
    signer->public_key_.type = type;
    if (type == hsm::KeyType::kEd25519) {
      signer->make_ed25519(seed);
    } else {
      signer->make_p256(seed);
    }
    return signer;
  }

  [[nodiscard]] hsm::KeyType key_type() const noexcept override { return public_key_.type; }
  [[nodiscard]] const hsm::PublicKey& public_key() const noexcept override { return public_key_; }

  [[nodiscard]] Result<hsm::Signature> sign(ByteSpan message) override {
    if (failing_.load()) {
      return make_error(ErrorCode::kUnavailable, "the test's token is away", "signer");
    }
    hsm::Signature signature{};
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                          &EVP_MD_CTX_free);
    const bool ed25519 = key_type() == hsm::KeyType::kEd25519;
    must(EVP_DigestSignInit(context.get(), nullptr, ed25519 ? nullptr : EVP_sha256(), nullptr,
                            key_.get()) == 1);
    std::array<std::uint8_t, 80> out{};
    std::size_t size = out.size();
    must(EVP_DigestSign(context.get(), out.data(), &size, message.data(), message.size()) == 1);
    if (ed25519) {
      must(size == signature.size());
      std::copy(out.begin(), out.begin() + 64, signature.begin());
    } else {
      to_raw_low_s(out.data(), size, signature);
    }
    return signature;
  }

  // While set, sign() answers kUnavailable, as a token that was pulled out.
  void set_failing(bool failing) { failing_ = failing; }

 private:
  static void must(bool ok) {
    if (!ok) std::abort();
  }

  void make_ed25519(std::uint64_t seed) {
    const auto secret = seed_bytes(seed);
    key_.reset(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, secret.data(), 32));
    public_key_.raw.resize(32);
    std::size_t size = 32;
    must(EVP_PKEY_get_raw_public_key(key_.get(), public_key_.raw.data(), &size) == 1);
  }

  void make_p256(std::uint64_t seed) {
    const auto secret = seed_bytes(seed);
    const std::unique_ptr<EC_GROUP, decltype(&EC_GROUP_free)> group(
        EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1), &EC_GROUP_free);
    const std::unique_ptr<EC_POINT, decltype(&EC_POINT_free)> point(EC_POINT_new(group.get()),
                                                                    &EC_POINT_free);
    const std::unique_ptr<BIGNUM, decltype(&BN_free)> d(BN_bin2bn(secret.data(), 32, nullptr),
                                                        &BN_free);
    must(EC_POINT_mul(group.get(), point.get(), d.get(), nullptr, nullptr, nullptr) == 1);
    public_key_.raw.resize(33);
    must(EC_POINT_point2oct(group.get(), point.get(), POINT_CONVERSION_COMPRESSED,
                            public_key_.raw.data(), 33, nullptr) == 33);
    const std::unique_ptr<OSSL_PARAM_BLD, decltype(&OSSL_PARAM_BLD_free)> builder(
        OSSL_PARAM_BLD_new(), &OSSL_PARAM_BLD_free);
    must(OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) ==
         1);
    must(OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_PRIV_KEY, d.get()) == 1);
    must(OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY,
                                          public_key_.raw.data(), 33) == 1);
    const std::unique_ptr<OSSL_PARAM, decltype(&OSSL_PARAM_free)> params(
        OSSL_PARAM_BLD_to_param(builder.get()), &OSSL_PARAM_free);
    const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context(
        EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr), &EVP_PKEY_CTX_free);
    EVP_PKEY* key = nullptr;
    must(EVP_PKEY_fromdata_init(context.get()) == 1);
    must(EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_KEYPAIR, params.get()) == 1);
    key_.reset(key);
  }

  static void to_raw_low_s(const std::uint8_t* der, std::size_t size, hsm::Signature& raw) {
    const std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)> signature(
        d2i_ECDSA_SIG(nullptr, &der, static_cast<long>(size)), &ECDSA_SIG_free);
    must(signature != nullptr);
    const std::unique_ptr<EC_GROUP, decltype(&EC_GROUP_free)> group(
        EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1), &EC_GROUP_free);
    const BIGNUM* n = EC_GROUP_get0_order(group.get());
    const std::unique_ptr<BIGNUM, decltype(&BN_free)> negated(BN_new(), &BN_free);
    const BIGNUM* s = ECDSA_SIG_get0_s(signature.get());
    must(BN_sub(negated.get(), n, s) == 1);
    if (BN_cmp(s, negated.get()) > 0) s = negated.get();
    must(BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), raw.data(), 32) == 32);
    must(BN_bn2binpad(s, raw.data() + 32, 32) == 32);
  }

  MemorySigner() : key_(nullptr, &EVP_PKEY_free) {}

  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key_;
  hsm::PublicKey public_key_;
  std::atomic<bool> failing_{false};
};

}  // namespace colophon::node::test
