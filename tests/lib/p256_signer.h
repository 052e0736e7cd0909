// SPDX-License-Identifier: Apache-2.0
//
// Signatures by OpenSSL of keys with known private numbers.
#pragma once

#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/sha.h>

#include <memory>
#include <string_view>
#include <utility>

#include "batch_builder.h"
#include "p256_forge.h"

namespace colophon::test {

struct SignedMessage {
  Bytes key;  // SEC 1, uncompressed
  Bytes message;
  Bytes digest;
  Bytes signature;  // r ‖ s
};

class P256Signer {
 public:
  // The key d·G; d not 0 mod n.
  explicit P256Signer(const BIGNUM* d) : key_(EC_KEY_new_by_curve_name(NID_X9_62_prime256v1)) {
    const EC_GROUP* group = EC_KEY_get0_group(key_.get());
    const Point point(EC_POINT_new(group));
    const bool made =
        EC_POINT_mul(group, point.get(), d, nullptr, nullptr, nullptr) == 1 &&
        EC_KEY_set_private_key(key_.get(), d) == 1 &&
        EC_KEY_set_public_key(key_.get(), point.get()) == 1 &&
        EC_POINT_point2oct(group, point.get(), POINT_CONVERSION_UNCOMPRESSED, public_key_.data(),
                           public_key_.size(), nullptr) == public_key_.size();
    EXPECT_TRUE(made);
  }
  static P256Signer with_number(unsigned d) {
    const Bn number(BN_new());
    BN_set_word(number.get(), d);
    return P256Signer(number.get());
  }

  [[nodiscard]] const Bytes& public_key() const { return public_key_; }

  [[nodiscard]] SignedMessage sign(Bytes message) const {
    SignedMessage made{public_key_, std::move(message), Bytes(32), Bytes(64)};
    SHA256(made.message.data(), made.message.size(), made.digest.data());
    ECDSA_SIG* const parts = ECDSA_do_sign(made.digest.data(), 32, key_.get());
    BN_bn2binpad(ECDSA_SIG_get0_r(parts), made.signature.data(), 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(parts), made.signature.data() + 32, 32);
    ECDSA_SIG_free(parts);
    return made;
  }
  [[nodiscard]] SignedMessage sign(std::string_view message) const {
    return sign(bytes_of(message));
  }

 private:
  struct Free {
    void operator()(EC_KEY* key) const { EC_KEY_free(key); }
  };
  std::unique_ptr<EC_KEY, Free> key_;
  Bytes public_key_ = Bytes(65);
};

}  // namespace colophon::test
