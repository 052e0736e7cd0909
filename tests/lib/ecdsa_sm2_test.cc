// SPDX-License-Identifier: Apache-2.0
//
// ECDSA and SM2 against OpenSSL called plainly, over random, mutated and extreme signatures.
#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>

#include <optional>

#include "batch_builder.h"
#include "curve.h"
#include "openssl_handle.h"
#include "tests/effort.h"

namespace colophon::test {
namespace {

struct SchemeCase {
  const char* name;
  Scheme scheme;
};

void PrintTo(const SchemeCase& c, std::ostream* out) { *out << c.name; }

BignumPtr number(ByteSpan big_endian) {
  return BignumPtr(BN_bin2bn(big_endian.data(), static_cast<int>(big_endian.size()), nullptr));
}

BignumPtr order_of(Scheme scheme) { return number(curve_of(scheme).n); }

Bytes bytes32(const BIGNUM* value) {
  Bytes bytes(32);
  EXPECT_EQ(BN_bn2binpad(value, bytes.data(), 32), 32);
  return bytes;
}

Bytes r_of(const Bytes& raw) { return Bytes(raw.begin(), raw.begin() + 32); }
Bytes s_of(const Bytes& raw) { return Bytes(raw.begin() + 32, raw.end()); }

Bytes der_of(const Bytes& raw) {
  ECDSA_SIG* signature = ECDSA_SIG_new();
  ECDSA_SIG_set0(signature, number(r_of(raw)).release(), number(s_of(raw)).release());
  unsigned char* der = nullptr;
  const int length = i2d_ECDSA_SIG(signature, &der);
  Bytes encoded(der, der + length);
  OPENSSL_free(der);
  ECDSA_SIG_free(signature);
  return encoded;
}

Bytes raw_of(const Bytes& der) {
  const unsigned char* at = der.data();
  ECDSA_SIG* signature = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size()));
  EXPECT_NE(signature, nullptr);
  Bytes raw = joined(bytes32(ECDSA_SIG_get0_r(signature)), bytes32(ECDSA_SIG_get0_s(signature)));
  ECDSA_SIG_free(signature);
  return raw;
}

// e = SM3(Z_A ‖ M), written out here once more, from GB/T 32918.2 §5.5.
Bytes sm2_digest(const Bytes& uncompressed, std::string_view id, const Bytes& message) {
  const std::size_t id_bits = 8 * id.size();
  Bytes z_input = {static_cast<std::uint8_t>(id_bits >> 8), static_cast<std::uint8_t>(id_bits)};
  z_input.insert(z_input.end(), id.begin(), id.end());
  const auto curve = sm2_curve_bytes();
  z_input.insert(z_input.end(), curve.begin(), curve.end());
  z_input.insert(z_input.end(), uncompressed.begin() + 1, uncompressed.end());
  Bytes z(32);
  EXPECT_EQ(EVP_Digest(z_input.data(), z_input.size(), z.data(), nullptr, EVP_sm3(), nullptr), 1);
  const Bytes input = joined(z, message);
  Bytes e(32);
  EXPECT_EQ(EVP_Digest(input.data(), input.size(), e.data(), nullptr, EVP_sm3(), nullptr), 1);
  return e;
}

// A key pair of OpenSSL's, used as its manual says: EVP_DigestSign and EVP_DigestVerify over
// messages.
class KeyPair {
 public:
  explicit KeyPair(Scheme scheme)
      : scheme_(scheme),
        pkey_(scheme == Scheme::kSm2Sm3
                  ? EVP_PKEY_Q_keygen(nullptr, nullptr, "SM2")
                  : EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", curve_of(scheme).openssl_group)) {}

  [[nodiscard]] Bytes public_key() const {
    Bytes key(65);
    std::size_t size = 0;
    EXPECT_EQ(EVP_PKEY_get_octet_string_param(pkey_.get(), OSSL_PKEY_PARAM_PUB_KEY, key.data(),
                                              key.size(), &size),
              1);
    key.resize(size);
    return key;
  }

  [[nodiscard]] BignumPtr private_key() const {
    BIGNUM* value = nullptr;
    EXPECT_EQ(EVP_PKEY_get_bn_param(pkey_.get(), OSSL_PKEY_PARAM_PRIV_KEY, &value), 1);
    return BignumPtr(value);
  }

  [[nodiscard]] Bytes sign(const Bytes& message, std::string_view id = kSm2DefaultId) const {
    Context context = begin(id);
    Bytes der(80);
    std::size_t size = der.size();
    EXPECT_EQ(EVP_DigestSignInit(context.md.get(), nullptr, md(), nullptr, pkey_.get()), 1);
    EXPECT_EQ(EVP_DigestSign(context.md.get(), der.data(), &size, message.data(), message.size()),
              1);
    der.resize(size);
    return raw_of(der);
  }

  // Over a digest that stands for e.
  [[nodiscard]] Bytes sign_digest(const Bytes& digest) const {
    const EvpPkeyContextPtr context(EVP_PKEY_CTX_new(pkey_.get(), nullptr));
    Bytes der(80);
    std::size_t size = der.size();
    EXPECT_EQ(EVP_PKEY_sign_init(context.get()), 1);
    EXPECT_EQ(EVP_PKEY_sign(context.get(), der.data(), &size, digest.data(), digest.size()), 1);
    der.resize(size);
    return raw_of(der);
  }

  [[nodiscard]] bool openssl_accepts(const Bytes& message, const Bytes& der) const {
    Context context = begin(kSm2DefaultId);
    const bool accepted =
        EVP_DigestVerifyInit(context.md.get(), nullptr, md(), nullptr, pkey_.get()) == 1 &&
        EVP_DigestVerify(context.md.get(), der.data(), der.size(), message.data(),
                         message.size()) == 1;
    ERR_clear_error();
    return accepted;
  }

 private:
  struct Context {
    EvpPkeyContextPtr pkey;  // owned here: EVP_MD_CTX_set_pkey_ctx does not take it over
    EvpMdContextPtr md;
  };

  [[nodiscard]] const EVP_MD* md() const {
    return scheme_ == Scheme::kSm2Sm3 ? EVP_sm3() : EVP_sha256();
  }

  [[nodiscard]] Context begin(std::string_view id) const {
    Context context;
    context.md.reset(EVP_MD_CTX_new());
    if (scheme_ == Scheme::kSm2Sm3) {
      context.pkey.reset(EVP_PKEY_CTX_new(pkey_.get(), nullptr));
      EXPECT_EQ(EVP_PKEY_CTX_set1_id(context.pkey.get(), id.data(), static_cast<int>(id.size())),
                1);
      EVP_MD_CTX_set_pkey_ctx(context.md.get(), context.pkey.get());
    }
    return context;
  }

  Scheme scheme_;
  EvpPkeyPtr pkey_;
};

class EcdsaSm2 : public testing::TestWithParam<SchemeCase> {
 protected:
  [[nodiscard]] Scheme scheme() const { return GetParam().scheme; }
  [[nodiscard]] Verdict raw(const Bytes& key, const Bytes& message, const Bytes& signature) const {
    return verify_one({scheme()}, key, message, signature);
  }
  [[nodiscard]] Verdict der(const Bytes& key, const Bytes& message, const Bytes& signature) const {
    return verify_one({scheme(), SignatureEncoding::kDer}, key, message, signature);
  }
  // a + b mod 2^256 - but only used where it fits.
  [[nodiscard]] static std::optional<Bytes> sum32(const Bytes& a, const BIGNUM* b) {
    const BignumPtr sum = number(a);
    BN_add(sum.get(), sum.get(), b);
    if (BN_num_bytes(sum.get()) > 32) return std::nullopt;
    return bytes32(sum.get());
  }
};

INSTANTIATE_TEST_SUITE_P(Schemes, EcdsaSm2,
                         testing::Values(SchemeCase{"p256", Scheme::kEcdsaP256Sha256},
                                         SchemeCase{"secp256k1", Scheme::kEcdsaSecp256k1Sha256},
                                         SchemeCase{"sm2", Scheme::kSm2Sm3}),
                         [](const auto& schemes) { return std::string(schemes.param.name); });

// A thousand signatures a scheme; twenty thousand with COLOPHON_TEST_LONG=1.
TEST_P(EcdsaSm2, AgreesWithOpensslOnSignedAndMutated) {
  constexpr std::uint64_t kSeed = 0x5eed0020;
  SCOPED_TRACE(kSeed);
  Random random(kSeed);
  std::size_t valid = 0;
  const std::size_t keys = number_of_cases(100, 5, 2);
  for (std::size_t k = 0; k < keys; ++k) {
    const KeyPair pair(scheme());
    const Bytes key = pair.public_key();
    BatchBuilder batch({scheme()});
    BatchBuilder batch_der({scheme(), SignatureEncoding::kDer});
    std::vector<bool> expected;
    const auto add = [&](const Bytes& message, const Bytes& signature) {
      batch.add(key, message, signature);
      batch_der.add(key, message, der_of(signature));
      expected.push_back(pair.openssl_accepts(message, der_of(signature)));
    };
    for (int i = 0; i < 50; ++i) {
      const Bytes message = random.bytes(random.below(300));
      const Bytes signature = pair.sign(message);
      add(message, signature);
      EXPECT_TRUE(expected.back());
      add(message, random.flip_one_bit(signature));
      add(joined(message, {0}), signature);
      add(message, random.bytes(64));
    }
    const std::vector<Verdict> verdicts = batch.verify();
    const std::vector<Verdict> verdicts_der = batch_der.verify();
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(verdicts[i] == Verdict::kValid, expected[i]) << i;
      EXPECT_EQ(verdicts_der[i], verdicts[i]) << i;
      if (expected[i]) ++valid;
    }
  }
  EXPECT_GE(valid, 50 * keys);
}

// OpenSSL takes only signatures that it would write the same way; so do we, byte for byte.
TEST_P(EcdsaSm2, AgreesWithOpensslOnMutatedDer) {
  constexpr std::uint64_t kSeed = 0x5eed0021;
  SCOPED_TRACE(kSeed);
  Random random(kSeed);
  const KeyPair pair(scheme());
  const Bytes key = pair.public_key();
  const Bytes message = bytes_of("mutated");
  BatchBuilder batch({scheme(), SignatureEncoding::kDer});
  std::vector<Bytes> mutants;
  for (std::size_t i = 0; i < number_of_cases(20'000, 1'000, 250); ++i) {
    Bytes der = der_of(pair.sign(message));
    switch (random.below(6)) {
      case 0:
        break;  // as signed
      case 1:
        der.resize(random.below(der.size()));
        break;
      case 2:
        der.push_back(static_cast<std::uint8_t>(random.below(2)));
        break;
      case 3:  // a byte more inside, the lengths as they were or put right
        der.insert(der.begin() + static_cast<long>(2 + random.below(der.size() - 2)), 0);
        if (random.below(2) == 0) der[1] += 1;
        break;
      default:  // mostly in the bytes that carry structure
        der[random.below(random.below(2) == 0 ? 6 : der.size())] =
            static_cast<std::uint8_t>(random.below(256));
    }
    batch.add(key, message, der);
    mutants.push_back(der);
  }
  const std::vector<Verdict> verdicts = batch.verify();
  std::size_t valid = 0;
  for (std::size_t i = 0; i < mutants.size(); ++i) {
    EXPECT_EQ(verdicts[i] == Verdict::kValid, pair.openssl_accepts(message, mutants[i]))
        << hex(mutants[i]);
    if (verdicts[i] == Verdict::kValid) ++valid;
  }
  EXPECT_GT(valid, mutants.size() / 10);
  EXPECT_LT(valid, mutants.size() / 2);
}

TEST_P(EcdsaSm2, RefusesEveryExtremeValueOfRAndS) {
  const KeyPair pair(scheme());
  const Bytes key = pair.public_key();
  const Bytes message = bytes_of("extremes");
  const Bytes good = pair.sign(message);
  ASSERT_EQ(raw(key, message, good), Verdict::kValid);
  const BignumPtr n = order_of(scheme());
  const auto n_plus = [&](long delta) {
    const BignumPtr value(BN_dup(n.get()));
    if (delta < 0) {
      BN_sub_word(value.get(), static_cast<BN_ULONG>(-delta));
    } else {
      BN_add_word(value.get(), static_cast<BN_ULONG>(delta));
    }
    return bytes32(value.get());
  };
  Bytes one(32, 0);
  one[31] = 1;
  const Curve& curve = curve_of(scheme());
  const std::pair<Bytes, bool> values[] = {
      {Bytes(32, 0), false},    {one, true},        {n_plus(-1), true},
      {n_plus(0), false},       {n_plus(1), false}, {Bytes(curve.p.begin(), curve.p.end()), false},
      {Bytes(32, 0xff), false},
  };
  for (const auto& [r, r_in_range] : values) {
    for (const auto& [s, s_in_range] : values) {
      const Bytes signature = joined(r, s);
      const Verdict verdict = raw(key, message, signature);
      // SM2: r + s = n is t = 0.
      const bool t_zero = scheme() == Scheme::kSm2Sm3 &&
                          ((r == one && s == n_plus(-1)) || (r == n_plus(-1) && s == one));
      EXPECT_EQ(verdict,
                r_in_range && s_in_range && !t_zero ? Verdict::kMismatch : Verdict::kOutOfRange)
          << hex(signature);
      EXPECT_EQ(der(key, message, der_of(signature)), verdict) << hex(signature);
    }
    // With the other half good, too.
    EXPECT_NE(raw(key, message, joined(r, s_of(good))), Verdict::kValid);
    EXPECT_NE(raw(key, message, joined(r_of(good), r)), Verdict::kValid);
  }
}

TEST_P(EcdsaSm2, RefusesRPlusNAndSPlusN) {
  // The numbers are congruent to good ones: only the range check tells. r + n fits 32 bytes only
  // for r below 2^256 - n, so make such an r where the curve allows it in a moment (P-256's 2^256 -
  // n is 2^224); everywhere the DER form has room.
  const KeyPair pair(scheme());
  const Bytes key = pair.public_key();
  const Bytes message = bytes_of("congruent");
  const Bytes good = pair.sign(message);
  const BignumPtr n = order_of(scheme());
  for (const bool change_r : {true, false}) {
    const BignumPtr changed = number(change_r ? r_of(good) : s_of(good));
    BN_add(changed.get(), changed.get(), n.get());
    ECDSA_SIG* signature = ECDSA_SIG_new();
    ECDSA_SIG_set0(signature, change_r ? BN_dup(changed.get()) : number(r_of(good)).release(),
                   change_r ? number(s_of(good)).release() : BN_dup(changed.get()));
    unsigned char* encoded = nullptr;
    const int length = i2d_ECDSA_SIG(signature, &encoded);
    EXPECT_EQ(der(key, message, Bytes(encoded, encoded + length)), Verdict::kOutOfRange);
    OPENSSL_free(encoded);
    ECDSA_SIG_free(signature);
    if (BN_num_bytes(changed.get()) <= 32) {
      const Bytes bytes = bytes32(changed.get());
      EXPECT_EQ(raw(key, message, change_r ? joined(bytes, s_of(good)) : joined(r_of(good), bytes)),
                Verdict::kOutOfRange);
    }
  }
}

TEST_P(EcdsaSm2, RefusesKeysThatAreNone) {
  const KeyPair pair(scheme());
  const Bytes key = pair.public_key();
  const Bytes message = bytes_of("keys");
  const Bytes signature = pair.sign(message);
  std::vector<Bytes> bad_keys;
  bad_keys.push_back({});
  bad_keys.push_back({0x00});
  bad_keys.push_back(joined(key, {0x00}));
  Bytes hybrid = key;
  hybrid[0] = static_cast<std::uint8_t>(0x06 | (key[64] & 1));
  bad_keys.push_back(hybrid);
  Bytes off = key;
  off[64] ^= 1;
  bad_keys.push_back(off);
  for (const Bytes& bad : bad_keys) {
    EXPECT_EQ(raw(bad, message, signature), Verdict::kBadKey) << hex(bad);
    // The key is looked at first.
    EXPECT_EQ(raw(bad, message, {}), Verdict::kBadKey) << hex(bad);
  }
  EXPECT_EQ(raw(key, message, signature), Verdict::kValid);
  // -Q is a key, but not this one.
  Bytes compressed(key.begin(), key.begin() + 33);
  compressed[0] = static_cast<std::uint8_t>(0x02 | (key[64] & 1));
  EXPECT_EQ(raw(compressed, message, signature), Verdict::kValid);
  compressed[0] ^= 1;
  EXPECT_EQ(raw(compressed, message, signature), Verdict::kMismatch);
}

TEST_P(EcdsaSm2, DigestStandsForTheHash) {
  Rules by_digest{scheme()};
  by_digest.input = InputKind::kDigest;
  const KeyPair pair(scheme());
  const Bytes key = pair.public_key();
  const Bytes message = bytes_of("digest");
  const Bytes signature = pair.sign(message);
  Bytes e(32);
  if (scheme() != Scheme::kSm2Sm3) {
    EXPECT_EQ(EVP_Digest(message.data(), message.size(), e.data(), nullptr, EVP_sha256(), nullptr),
              1);
  } else {
    e = sm2_digest(key, kSm2DefaultId, message);
  }
  EXPECT_EQ(verify_one(by_digest, key, e, signature), Verdict::kValid);
  Bytes other = e;
  other[0] ^= 1;
  EXPECT_EQ(verify_one(by_digest, key, other, signature), Verdict::kMismatch);
  for (const std::size_t size : {0U, 20U, 31U, 33U, 64U}) {
    Bytes wrong = e;
    wrong.resize(size);
    EXPECT_EQ(verify_one(by_digest, key, wrong, signature), Verdict::kBadDigest) << size;
  }
}

// Whoever knows d can choose r = -e/d, so that u1·G + u2·Q = O. OpenSSL reports that as an error,
// not as a mismatch; it is a mismatch.
TEST(Ecdsa, SignatureWhosePointIsInfinityIsAMismatch) {
  for (const Scheme scheme : {Scheme::kEcdsaP256Sha256, Scheme::kEcdsaSecp256k1Sha256}) {
    const KeyPair pair(scheme);
    const BignumPtr n = order_of(scheme);
    const Bytes e(32, 0x11);
    BN_CTX* context = BN_CTX_new();
    const BignumPtr d = pair.private_key();
    const BignumPtr r(BN_mod_inverse(nullptr, d.get(), n.get(), context));
    const BignumPtr e_number = number(e);
    BN_mod_mul(r.get(), r.get(), e_number.get(), n.get(), context);
    BN_sub(r.get(), n.get(), r.get());
    BN_CTX_free(context);
    Rules rules{scheme};
    rules.input = InputKind::kDigest;
    const Bytes signature = joined(bytes32(r.get()), Bytes(32, 0x22));
    ERR_clear_error();
    EXPECT_EQ(verify_one(rules, pair.public_key(), e, signature), Verdict::kMismatch);
    EXPECT_EQ(ERR_peek_error(), 0U);
  }
}

TEST(Ecdsa, LowSRefusesExactlyTheUpperHalf) {
  constexpr int kSignatures = 20;
  for (const Scheme scheme : {Scheme::kEcdsaP256Sha256, Scheme::kEcdsaSecp256k1Sha256}) {
    const Rules low_s{scheme, SignatureEncoding::kRaw, Profile::kLowS};
    const KeyPair pair(scheme);
    const Bytes key = pair.public_key();
    const BignumPtr n = order_of(scheme);
    for (int i = 0; i < kSignatures; ++i) {
      const Bytes message = bytes_of("low s " + std::to_string(i));
      const Bytes signature = pair.sign(message);
      const BignumPtr s = number(s_of(signature));
      const BignumPtr mirrored(BN_dup(n.get()));
      BN_sub(mirrored.get(), mirrored.get(), s.get());
      const Bytes twin = joined(r_of(signature), bytes32(mirrored.get()));
      // Both are valid under standard; low_s takes the one with the smaller s.
      EXPECT_EQ(verify_one({scheme}, key, message, signature), Verdict::kValid);
      EXPECT_EQ(verify_one({scheme}, key, message, twin), Verdict::kValid);
      const bool first_is_low = BN_cmp(s.get(), mirrored.get()) < 0;
      EXPECT_EQ(verify_one(low_s, key, message, signature),
                first_is_low ? Verdict::kValid : Verdict::kHighS);
      EXPECT_EQ(verify_one(low_s, key, message, twin),
                first_is_low ? Verdict::kHighS : Verdict::kValid);
    }
    // The border: (n-1)/2 is low, (n+1)/2 high.
    const BignumPtr half(BN_dup(n.get()));
    BN_rshift1(half.get(), half.get());
    Bytes one(32, 0);
    one[31] = 1;
    EXPECT_EQ(verify_one(low_s, key, {}, joined(one, bytes32(half.get()))), Verdict::kMismatch);
    BN_add_word(half.get(), 1);
    EXPECT_EQ(verify_one(low_s, key, {}, joined(one, bytes32(half.get()))), Verdict::kHighS);
  }
}

TEST(Sm2, SignerIdsBindTheSignature) {
  const KeyPair pair(Scheme::kSm2Sm3);
  const Bytes key = pair.public_key();
  const Bytes message = bytes_of("ids");
  // OpenSSL takes ids of one byte less than the longest that 16 bits of bit length can name.
  const std::string longest(kSm2IdBytesMax, 'x');
  const std::string_view longest_for_openssl = std::string_view(longest).substr(1);
  const std::string_view ids[] = {kSm2DefaultId, "ALICE123@YAHOO.COM", "a", "", longest_for_openssl,
                                  longest};
  for (const std::string_view id : ids) {
    const bool openssl_takes_it = !id.empty() && id.size() < longest.size();
    const Bytes signature =
        openssl_takes_it ? pair.sign(message, id) : pair.sign_digest(sm2_digest(key, id, message));
    for (const std::string_view other : ids) {
      Rules rules{Scheme::kSm2Sm3};
      rules.sm2_id = other;
      EXPECT_EQ(verify_one(rules, key, message, signature),
                id == other ? Verdict::kValid : Verdict::kMismatch)
          << id.size() << " " << other.size();
    }
  }
}

// Whoever knows d can choose s = -t·d, so that s·G + t·P = O: a mismatch here, too.
TEST(Sm2, SignatureWhosePointIsInfinityIsAMismatch) {
  const KeyPair pair(Scheme::kSm2Sm3);
  const BignumPtr n = order_of(Scheme::kSm2Sm3);
  const BignumPtr d = pair.private_key();
  const BignumPtr t = number(Bytes(32, 0x33));
  const BignumPtr s(BN_new());
  const BignumPtr r(BN_new());
  BN_CTX* context = BN_CTX_new();
  BN_mod_mul(s.get(), t.get(), d.get(), n.get(), context);
  BN_sub(s.get(), n.get(), s.get());
  BN_mod_sub(r.get(), t.get(), s.get(), n.get(), context);
  BN_CTX_free(context);
  Rules rules{Scheme::kSm2Sm3};
  rules.input = InputKind::kDigest;
  ERR_clear_error();
  // With (x, y) = O read as x = 0 the check would be e = r: offer that, too.
  for (const Bytes& e : {Bytes(32, 0x11), bytes32(r.get())}) {
    EXPECT_EQ(verify_one(rules, pair.public_key(), e, joined(bytes32(r.get()), bytes32(s.get()))),
              Verdict::kMismatch);
  }
  EXPECT_EQ(ERR_peek_error(), 0U);
}

TEST(Sm2, RPlusSEqualToNIsOutOfRange) {
  const KeyPair pair(Scheme::kSm2Sm3);
  const Bytes message = bytes_of("t = 0");
  const Bytes good = pair.sign(message);
  const BignumPtr s = order_of(Scheme::kSm2Sm3);
  const BignumPtr r = number(r_of(good));
  BN_sub(s.get(), s.get(), r.get());
  const Bytes signature = joined(r_of(good), bytes32(s.get()));
  EXPECT_EQ(verify_one({Scheme::kSm2Sm3}, pair.public_key(), message, signature),
            Verdict::kOutOfRange);
  EXPECT_EQ(verify_one({Scheme::kSm2Sm3}, pair.public_key(), message, good), Verdict::kValid);
}

}  // namespace
}  // namespace colophon::test
