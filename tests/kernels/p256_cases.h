// SPDX-License-Identifier: Apache-2.0
//
// Signatures to try kernels with, and what OpenSSL says of each.
#pragma once

#include <openssl/ecdsa.h>
#include <openssl/evp.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/lib/p256_forge.h"

namespace colophon::test {

// A case with its key's coordinates and what OpenSSL says of it.
struct Case {
  ForgedSignature forged;
  std::string point;  // x ‖ y
  bool valid;
};

class Referee {
 public:
  Referee() : group_(EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1)) {}

  Case decide(ForgedSignature forged) {
    EC_KEY* key = EC_KEY_new();
    EC_KEY_set_group(key, group_.get());
    Point point(EC_POINT_new(group_.get()));
    if (EC_POINT_oct2point(group_.get(), point.get(), data(forged.public_key),
                           forged.public_key.size(), nullptr) != 1) {
      std::abort();  // the forge makes points only
    }
    EC_KEY_set_public_key(key, point.get());
    std::string uncompressed(65, '\0');
    EC_POINT_point2oct(group_.get(), point.get(), POINT_CONVERSION_UNCOMPRESSED,
                       reinterpret_cast<unsigned char*>(uncompressed.data()), 65, nullptr);
    ECDSA_SIG* signature = ECDSA_SIG_new();
    ECDSA_SIG_set0(signature, BN_bin2bn(data(forged.signature), 32, nullptr),
                   BN_bin2bn(data(forged.signature) + 32, 32, nullptr));
    const int verdict = ECDSA_do_verify(data(forged.digest), 32, signature, key);
    ECDSA_SIG_free(signature);
    EC_KEY_free(key);
    return {std::move(forged), uncompressed.substr(1), verdict == 1};
  }

  static const unsigned char* data(const std::string& bytes) {
    return reinterpret_cast<const unsigned char*>(bytes.data());
  }

 private:
  std::unique_ptr<EC_GROUP, OpensslFree> group_;
};

// In [1, n - 1], which is what kernels are given.
inline bool in_range(P256Forge& forge, const std::string& scalar) {
  const Bn value(BN_bin2bn(Referee::data(scalar), 32, nullptr));
  return !BN_is_zero(value.get()) && BN_cmp(value.get(), forge.n()) < 0;
}

inline std::vector<Case> random_cases(std::uint64_t seed, std::size_t count) {
  P256Forge forge(seed);
  Referee referee;
  std::vector<Bn> keys;
  for (const std::uint64_t small : {1, 2, 3, 5}) {
    keys.push_back(forge.number(small));
    keys.push_back(forge.sub(forge.number(0), forge.number(small)));
  }
  for (int i = 0; i < 8; ++i) keys.push_back(forge.random_scalar());
  std::vector<Case> cases;
  while (cases.size() < count) {
    const Bn& key = keys[forge.random()() % keys.size()];
    ForgedSignature forged =
        forge.with_scalars(forge.random_scalar(), forge.random_scalar(), key, "random");
    switch (forge.random()() % 6) {
      case 0:
        forged.digest[forge.random()() % 32] ^= static_cast<char>(1 << forge.random()() % 8);
        forged.what = "digest altered";
        break;
      case 1:
        forged.signature[forge.random()() % 64] ^= static_cast<char>(1 << forge.random()() % 8);
        forged.what = "signature altered";
        break;
      case 2: {  // the other valid s
        const Bn s(BN_bin2bn(Referee::data(forged.signature) + 32, 32, nullptr));
        forged.signature.replace(32, 32, P256Forge::bytes(forge.sub(forge.number(0), s)));
        forged.what = "n - s";
        break;
      }
      case 3: {  // e + n stands for the same number mod n
        Bn e(BN_bin2bn(Referee::data(forged.digest), 32, nullptr));
        BN_add(e.get(), e.get(), forge.n());
        if (BN_num_bits(e.get()) <= 256) forged.digest = P256Forge::bytes(e);
        forged.what = "e + n";
        break;
      }
      default:
        break;
    }
    if (in_range(forge, forged.signature.substr(0, 32)) &&
        in_range(forge, forged.signature.substr(32))) {
      cases.push_back(referee.decide(std::move(forged)));
    }
  }
  return cases;
}

// What no random signature meets.
inline std::vector<Case> forged_cases(std::uint64_t seed, unsigned key_bits,
                                      unsigned generator_bits) {
  P256Forge forge(seed);
  Referee referee;
  std::vector<ForgedSignature> all;
  const auto add = [&](ForgedSignature forged) {
    ForgedSignature twin = forged;
    twin.digest[31] ^= 1;
    twin.what += ", digest altered";
    all.push_back(std::move(forged));
    all.push_back(std::move(twin));
  };
  const Bn zero = forge.number(0);
  const Bn one = forge.number(1);
  const Bn minus_one = forge.sub(zero, one);
  for (int i = 0; i < 4; ++i) add(forge.with_x_over_n("x in [n, p)"));
  add(forge.with_x_over_n(zero, "x in [n, p), u1 = 0"));
  add(forge.with_x_below_p("x just below p"));
  add(forge.with_small_x("x small"));
  all.push_back(forge.with_x_wrapped("r + n just not below p"));
  for (const unsigned exponent : {32, 64, 96}) {
    const Bn distance = forge.power_of_two(exponent);
    const std::string what = "p by 2^" + std::to_string(exponent);
    add(forge.with_x_below_p(distance, "x below " + what));
    all.push_back(forge.with_x_wrapped(distance, "r + n over " + what));
  }
  // r·2^256 + n·2^256 mod p, each reduced, is negative less p, with a limb of ones at 2^96 that
  // passes on the carry from below: the first such r of some 2^32.
  add(forge.with_small_r("0fedcba987654321123456799758461d", "x in [n, p), carry through a limb"));
  add(forge.with_scalars(zero, forge.random_scalar(), forge.random_scalar(), "u1 = 0"));
  add(forge.with_scalars(zero, one, forge.random_scalar(), "u1 = 0, u2 = 1"));
  for (const Bn* key : {&one, &minus_one}) {
    for (const std::uint64_t u1 : {0, 1, 2, 3, 7}) {
      for (const std::uint64_t u2 : {1, 2, 3, 7}) {
        if (key == &minus_one && u1 == u2) continue;
        add(forge.with_scalars(forge.number(u1), forge.number(u2), *key, "small, Q = ±G"));
      }
    }
  }
  {
    const Bn u = forge.random_scalar();
    const Bn v = forge.random_scalar();
    add(forge.with_scalars(u, u, one, "u1·G = u2·Q, Q = G"));
    add(forge.with_scalars(u, v, forge.over(u, v), "u1·G = u2·Q"));
    all.push_back(forge.with_infinity(v, forge.random_scalar(), "u1·G = -u2·Q"));
    all.push_back(forge.with_infinity(v, one, "u1·G = -u2·Q, Q = G"));
    all.push_back(forge.with_infinity(one, minus_one, "u1·G = -u2·Q, Q = -G"));
  }
  // The sum of the windows before meets ± the next one's point; and halves of the windows meet each
  // other, which are the two sums that small batches make.
  const auto meet = [&](const Bn& u1, const Bn& u2, const Bn& sum_of_g, const Bn& sum_of_q,
                        const Bn& next, const std::string& what) {
    for (const bool minus : {false, true}) {
      // u·G-part + d·sum = ±(d·next)
      const Bn target = minus ? forge.sub(zero, next) : forge.number(0);
      const Bn other = minus ? forge.sub(target, sum_of_q) : forge.sub(next, sum_of_q);
      if (BN_is_zero(other.get()) || BN_is_zero(sum_of_g.get())) continue;
      const Bn d = forge.over(sum_of_g, other);
      if (BN_is_zero(forge.add(u1, forge.mul(u2, d)).get())) continue;
      const std::string which = what + (minus ? ", opposite" : ", equal");
      add(forge.with_scalars(u1, u2, d, which));
      all.push_back(forge.with_scalars_and_wrong_r(u1, u2, d, which + ", r altered"));
    }
  };
  const unsigned key_windows = (256 + key_bits - 1) / key_bits;
  const unsigned generator_windows = (256 + generator_bits - 1) / generator_bits;
  for (unsigned window = 0; window < key_windows; window += 1 + key_windows / 6) {
    const Bn u1 = forge.random_scalar();
    const Bn u2 = forge.random_scalar();
    const auto digits = forge.digits(u2, key_bits);
    const Bn before = forge.partial(digits, key_bits, 0, window);
    const Bn next = forge.partial(digits, key_bits, window, window + 1);
    meet(u1, u2, u1, before, next, "window " + std::to_string(window) + " of the key");
  }
  {
    const unsigned half = (key_windows + generator_windows) / 2;
    const Bn u1 = forge.random_scalar();
    const Bn u2 = forge.random_scalar();
    if (half > generator_windows) {
      const auto digits = forge.digits(u2, key_bits);
      const unsigned border = half - generator_windows;
      meet(u1, u2, u1, forge.partial(digits, key_bits, 0, border),
           forge.partial(digits, key_bits, border, key_windows), "both halves");
    }
  }
  // Without a table the key's part comes first, then the generator's windows: u2·d + before =
  // ±next.
  for (unsigned window = 0; window < generator_windows; window += 1 + generator_windows / 6) {
    const Bn u1 = forge.random_scalar();
    const Bn u2 = forge.random_scalar();
    const auto digits = forge.digits(u1, generator_bits);
    const Bn before = forge.partial(digits, generator_bits, 0, window);
    const Bn next = forge.partial(digits, generator_bits, window, window + 1);
    for (const bool minus : {false, true}) {
      const Bn signed_next = minus ? forge.sub(zero, next) : forge.sub(next, zero);
      const Bn d = forge.over(forge.sub(signed_next, before), u2);
      if (BN_is_zero(d.get()) || BN_is_zero(forge.add(u1, forge.mul(u2, d)).get())) continue;
      const std::string which = "window " + std::to_string(window) + " of the generator" +
                                (minus ? ", opposite" : ", equal");
      add(forge.with_scalars(u1, u2, d, which));
      all.push_back(forge.with_scalars_and_wrong_r(u1, u2, d, which + ", r altered"));
    }
  }
  std::vector<Case> cases;
  for (ForgedSignature& forged : all) {
    if (in_range(forge, forged.signature.substr(0, 32)) &&
        in_range(forge, forged.signature.substr(32))) {
      cases.push_back(referee.decide(std::move(forged)));
    }
  }
  return cases;
}

}  // namespace colophon::test
