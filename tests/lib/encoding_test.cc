// SPDX-License-Identifier: Apache-2.0
//
// What the parsers of keys and signatures take and refuse, rule by rule.
#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>
#include <openssl/x509.h>

#include <array>

#include "batch_builder.h"
#include "curve.h"
#include "edwards25519.h"
#include "key_encoding.h"
#include "openssl_handle.h"
#include "signature_encoding.h"

namespace colophon::test {
namespace {

constexpr Scheme kCurveSchemes[] = {Scheme::kEcdsaP256Sha256, Scheme::kEcdsaSecp256k1Sha256,
                                    Scheme::kSm2Sm3};

EcGroupPtr group_of(Scheme scheme) {
  return EcGroupPtr(EC_GROUP_new_by_curve_name(curve_of(scheme).openssl_nid));
}

// k·G in one of SEC 1's forms.
Bytes multiple_of_g(Scheme scheme, std::uint64_t k, point_conversion_form_t form) {
  const EcGroupPtr group = group_of(scheme);
  const EcPointPtr point(EC_POINT_new(group.get()));
  const BignumPtr scalar(BN_new());
  BN_set_word(scalar.get(), k);
  EC_POINT_mul(group.get(), point.get(), scalar.get(), nullptr, nullptr, nullptr);
  Bytes encoded(65);
  encoded.resize(
      EC_POINT_point2oct(group.get(), point.get(), form, encoded.data(), encoded.size(), nullptr));
  return encoded;
}

// i2d of an EC key whose curve is named or written out.
Bytes openssl_spki(Scheme scheme, std::uint64_t k, point_conversion_form_t form,
                   const char* parameters) {
  Bytes point = multiple_of_g(scheme, k, POINT_CONVERSION_UNCOMPRESSED);
  const EvpPkeyContextPtr context(
      EVP_PKEY_CTX_new_from_name(nullptr, curve_of(scheme).openssl_type, nullptr));
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_utf8_string("group", const_cast<char*>(curve_of(scheme).openssl_group),
                                       0),
      OSSL_PARAM_construct_utf8_string("encoding", const_cast<char*>(parameters), 0),
      OSSL_PARAM_construct_octet_string("pub", point.data(), point.size()),
      OSSL_PARAM_construct_utf8_string(
          "point-format",
          const_cast<char*>(form == POINT_CONVERSION_COMPRESSED ? "compressed" : "uncompressed"),
          0),
      OSSL_PARAM_construct_end()};
  EVP_PKEY* raw = nullptr;
  EXPECT_EQ(EVP_PKEY_fromdata_init(context.get()), 1);
  EXPECT_EQ(
      EVP_PKEY_fromdata(context.get(), &raw, EVP_PKEY_PUBLIC_KEY, const_cast<OSSL_PARAM*>(params)),
      1);
  const EvpPkeyPtr pkey(raw);
  unsigned char* der = nullptr;
  const int length = i2d_PUBKEY(pkey.get(), &der);
  EXPECT_GT(length, 0);
  Bytes encoded(der, der + length);
  OPENSSL_free(der);
  return encoded;
}

KeyFault fault_of(Scheme scheme, const Bytes& encoded) {
  PublicKey key;
  return parse_public_key(scheme, encoded, key);
}

PublicKey key_of(Scheme scheme, const Bytes& encoded) {
  PublicKey key;
  EXPECT_EQ(parse_public_key(scheme, encoded, key), KeyFault::kNone) << hex(encoded);
  return key;
}

TEST(KeyEncoding, EveryFormOfAKeyIsOneKey) {
  for (const Scheme scheme : kCurveSchemes) {
    for (std::uint64_t k = 1; k < 20; ++k) {
      const Bytes uncompressed = multiple_of_g(scheme, k, POINT_CONVERSION_UNCOMPRESSED);
      const PublicKey key = key_of(scheme, uncompressed);
      EXPECT_EQ(joined({0x04}, Bytes(key.bytes.begin(), key.bytes.end())), uncompressed);
      EXPECT_EQ(key_of(scheme, multiple_of_g(scheme, k, POINT_CONVERSION_COMPRESSED)), key);
      for (const auto form : {POINT_CONVERSION_COMPRESSED, POINT_CONVERSION_UNCOMPRESSED}) {
        EXPECT_EQ(key_of(scheme, openssl_spki(scheme, k, form, "named_curve")), key);
      }
    }
  }
}

TEST(KeyEncoding, RefusesEveryOtherForm) {
  for (const Scheme scheme : kCurveSchemes) {
    const Bytes good = multiple_of_g(scheme, 7, POINT_CONVERSION_UNCOMPRESSED);
    const Bytes compressed = multiple_of_g(scheme, 7, POINT_CONVERSION_COMPRESSED);
    EXPECT_EQ(fault_of(scheme, {}), KeyFault::kLength);
    EXPECT_EQ(fault_of(scheme, {0x00}), KeyFault::kInfinity);
    Bytes infinity(65, 0);
    EXPECT_EQ(fault_of(scheme, infinity), KeyFault::kInfinity);
    EXPECT_EQ(fault_of(scheme, multiple_of_g(scheme, 7, POINT_CONVERSION_HYBRID)),
              KeyFault::kHybrid);
    for (const Bytes& form : {good, compressed}) {
      EXPECT_EQ(fault_of(scheme, joined(form, {0})), KeyFault::kLength);
      EXPECT_EQ(fault_of(scheme, Bytes(form.begin(), form.end() - 1)), KeyFault::kLength);
    }
    for (const std::uint8_t byte : std::to_array<std::uint8_t>({0x01, 0x05, 0x08, 0x31, 0xff})) {
      Bytes other = good;
      other[0] = byte;
      EXPECT_EQ(fault_of(scheme, other), KeyFault::kForm);
    }
    Bytes swapped = good;
    swapped[0] = 0x02;
    EXPECT_EQ(fault_of(scheme, swapped), KeyFault::kLength);
    // A coordinate >= p, even one that is congruent to a good one.
    const Curve& curve = curve_of(scheme);
    for (const std::size_t at : {1U, 33U}) {
      Bytes large = good;
      std::copy(curve.p.begin(), curve.p.end(), large.begin() + static_cast<long>(at));
      EXPECT_EQ(fault_of(scheme, large), KeyFault::kCoordinateRange);
      std::fill_n(large.begin() + static_cast<long>(at), 32, std::uint8_t{0xff});
      EXPECT_EQ(fault_of(scheme, large), KeyFault::kCoordinateRange);
    }
    Bytes off = good;
    off.back() ^= 1;
    EXPECT_EQ(fault_of(scheme, off), KeyFault::kNotOnCurve);
    EXPECT_EQ(fault_of(scheme, joined({0x04}, Bytes(64, 0))), KeyFault::kNotOnCurve);
  }
}

TEST(KeyEncoding, RefusesEverySpkiButTheOne) {
  for (const Scheme scheme : kCurveSchemes) {
    const Bytes good = openssl_spki(scheme, 9, POINT_CONVERSION_UNCOMPRESSED, "named_curve");
    EXPECT_EQ(fault_of(scheme, good), KeyFault::kNone);
    EXPECT_EQ(fault_of(scheme, joined(good, {0})), KeyFault::kSpki);
    EXPECT_EQ(fault_of(scheme, Bytes(good.begin(), good.end() - 1)), KeyFault::kSpki);
    EXPECT_EQ(fault_of(scheme, openssl_spki(scheme, 9, POINT_CONVERSION_UNCOMPRESSED, "explicit")),
              KeyFault::kSpki);
    for (const Scheme other : kCurveSchemes) {
      if (other == scheme) continue;
      EXPECT_EQ(fault_of(other, good), KeyFault::kSpki);
    }
    // Any changed byte before the point is another structure; the first byte is the form itself.
    for (std::size_t i = 1; i < good.size() - 65; ++i) {
      Bytes changed = good;
      changed[i] ^= 1;
      EXPECT_EQ(fault_of(scheme, changed), KeyFault::kSpki) << i;
    }
    // BER: the outer length in its long form.
    Bytes ber = {0x30, 0x81};
    ber.insert(ber.end(), good.begin() + 1, good.end());
    EXPECT_EQ(fault_of(scheme, ber), KeyFault::kSpki);
    // Hybrid and infinity inside.
    Bytes hybrid = good;
    hybrid[hybrid.size() - 65] = 0x06 | (hybrid.back() & 1);
    EXPECT_EQ(fault_of(scheme, hybrid), KeyFault::kHybrid);
  }
  const Bytes ed = unhex(
      "302a300506032b6570032100"
      "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
  EXPECT_EQ(fault_of(Scheme::kEd25519, ed), KeyFault::kNone);
  EXPECT_EQ(key_of(Scheme::kEd25519, ed),
            key_of(Scheme::kEd25519, Bytes(ed.begin() + 12, ed.end())));
  EXPECT_EQ(fault_of(Scheme::kEd25519, joined(ed, {0})), KeyFault::kLength);
  for (std::size_t i = 0; i < 12; ++i) {
    Bytes changed = ed;
    changed[i] ^= 1;
    EXPECT_EQ(fault_of(Scheme::kEd25519, changed), KeyFault::kSpki) << i;
  }
}

// Independent of our checks: OpenSSL decodes the same bytes.
TEST(KeyEncoding, AgreesWithOpensslOnRandomPoints) {
  constexpr std::uint64_t kSeed = 0x5eed0001;
  SCOPED_TRACE(kSeed);
  Random random(kSeed);
  for (const Scheme scheme : kCurveSchemes) {
    const EcGroupPtr group = group_of(scheme);
    int on_curve = 0;
    for (int i = 0; i < 400; ++i) {
      Bytes encoded = joined({static_cast<std::uint8_t>(2 + random.below(2))}, random.bytes(32));
      const EcPointPtr point(EC_POINT_new(group.get()));
      const bool expected = EC_POINT_oct2point(group.get(), point.get(), encoded.data(),
                                               encoded.size(), nullptr) == 1;
      PublicKey key;
      const bool parsed = parse_public_key(scheme, encoded, key) == KeyFault::kNone;
      ASSERT_EQ(parsed, expected) << hex(encoded);
      if (!parsed) continue;
      ++on_curve;
      const auto uncompressed = sec1_uncompressed(key);
      const EcPointPtr again(EC_POINT_new(group.get()));
      ASSERT_EQ(EC_POINT_oct2point(group.get(), again.get(), uncompressed.data(),
                                   uncompressed.size(), nullptr),
                1);
      EXPECT_EQ(EC_POINT_cmp(group.get(), point.get(), again.get(), nullptr), 0);
    }
    // Half of all x have a point.
    EXPECT_GT(on_curve, 150);
    EXPECT_LT(on_curve, 250);
  }
  ERR_clear_error();
}

TEST(KeyEncoding, LeavesOpensslsErrorQueueAsItWas) {
  ERR_clear_error();
  Bytes off = multiple_of_g(Scheme::kEcdsaP256Sha256, 3, POINT_CONVERSION_UNCOMPRESSED);
  off.back() ^= 1;
  EXPECT_EQ(fault_of(Scheme::kEcdsaP256Sha256, off), KeyFault::kNotOnCurve);
  EXPECT_EQ(ERR_peek_error(), 0U);
  // The caller's own error survives any number of ours.
  ERR_raise(ERR_LIB_USER, 42);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(fault_of(Scheme::kEcdsaP256Sha256, off), KeyFault::kNotOnCurve);
  }
  EXPECT_EQ(ERR_GET_REASON(ERR_get_error()), 42);
  EXPECT_EQ(ERR_get_error(), 0U);
}

// --- DER signatures

Verdict der_verdict(const Bytes& encoded) {
  Signature signature;
  return parse_der_signature(encoded, signature);
}

TEST(DerSignature, ReadsWhatItWrites) {
  constexpr std::uint64_t kSeed = 0x5eed0002;
  SCOPED_TRACE(kSeed);
  Random random(kSeed);
  for (int i = 0; i < 2000; ++i) {
    Signature signature{};
    // Leading zeros of every number, and both values of the top bit.
    for (std::size_t half = 0; half < 2; ++half) {
      const Bytes tail = random.bytes(random.below(33));
      std::copy(tail.begin(), tail.end(),
                signature.begin() + static_cast<long>(32 * (half + 1) - tail.size()));
    }
    std::array<std::uint8_t, kDerSignatureBytesMax> buffer;
    const std::size_t length = write_der_signature(signature, buffer);
    const Bytes encoded(buffer.begin(), buffer.begin() + static_cast<long>(length));
    Signature read;
    ASSERT_EQ(parse_der_signature(encoded, read), Verdict::kValid) << hex(encoded);
    EXPECT_EQ(read, signature);
    // Any shorter or longer text is not it.
    EXPECT_EQ(der_verdict(joined(encoded, {0})), Verdict::kBadEncoding);
    EXPECT_EQ(der_verdict(Bytes(encoded.begin(), encoded.end() - 1)), Verdict::kBadEncoding);
  }
}

TEST(DerSignature, RefusesWhatIsNotStrictDer) {
  const char* const bad[] = {
      "",
      "30",
      "3000",
      "3003020101",              // one integer
      "3009020101020101020101",  // three
      "310602010102010100",      // trailing byte, wrong tag
      "3106020101020101",        // SET
      "3006030101020101",        // BIT STRING
      "308106020101020101",      // long form where short does
      "30820006020101020101",    // leading zero length byte
      "30800201010201010000",    // indefinite
      "3006020101020100ff",      // after the end
      "3007020101020101",        // length past the end
      "3005020101020101",        // length before the end
      "3007020200010201"
      "01",  // r not minimal: 0001
      "3007020101020200"
      "01",                // s not minimal
      "3006020181020101",  // r negative
      "3006020101020180",  // s negative
      "3005020002"
      "0101",                // empty integer
      "300702810101020101",  // integer length in long form
      "30ff",
      "3084ffffffff",
      "3088ffffffffffffffff",
      "3089010000000000000000",
  };
  for (const char* text : bad) EXPECT_EQ(der_verdict(unhex(text)), Verdict::kBadEncoding) << text;
  EXPECT_EQ(der_verdict(unhex("3006020101020101")), Verdict::kValid);
}

TEST(DerSignature, LargeIntegersHaveFormButNoRange) {
  const Bytes one = {0x02, 0x01, 0x01};
  const auto sequence = [](const Bytes& content) {
    Bytes header = {0x30};
    if (content.size() >= 0x80) header.push_back(0x81);
    header.push_back(static_cast<std::uint8_t>(content.size()));
    return joined(header, content);
  };
  const auto integer = [](const Bytes& content) {
    Bytes header = {0x02};
    if (content.size() >= 0x80) header.push_back(0x81);
    header.push_back(static_cast<std::uint8_t>(content.size()));
    return joined(header, content);
  };
  const Bytes max256 = joined({0x00}, Bytes(32, 0xff));
  EXPECT_EQ(der_verdict(sequence(joined(integer(max256), one))), Verdict::kValid);
  const Bytes two_to_256 = joined({0x01}, Bytes(32, 0x00));
  EXPECT_EQ(der_verdict(sequence(joined(integer(two_to_256), one))), Verdict::kOutOfRange);
  EXPECT_EQ(der_verdict(sequence(joined(one, integer(two_to_256)))), Verdict::kOutOfRange);
  const Bytes huge = joined({0x01}, Bytes(199, 0x00));
  const Bytes content = joined(integer(huge), one);
  EXPECT_EQ(der_verdict(sequence(content)), Verdict::kOutOfRange);
  // A length with a zero byte in front is not DER, whatever it counts.
  const Bytes zero_in_front = {0x30, 0x82, 0x00, static_cast<std::uint8_t>(content.size())};
  EXPECT_EQ(der_verdict(joined(zero_in_front, content)), Verdict::kBadEncoding);
}

// Where OpenSSL reads a signature and writes the very same bytes, it is DER, and we read it too.
TEST(DerSignature, AgreesWithOpensslOnMutations) {
  constexpr std::uint64_t kSeed = 0x5eed0003;
  SCOPED_TRACE(kSeed);
  Random random(kSeed);
  int accepted = 0;
  for (int i = 0; i < 20000; ++i) {
    Signature signature{};
    const Bytes r = random.bytes(random.below(33));
    const Bytes s = random.bytes(random.below(33));
    std::copy(r.begin(), r.end(), signature.begin() + static_cast<long>(32 - r.size()));
    std::copy(s.begin(), s.end(), signature.begin() + static_cast<long>(64 - s.size()));
    std::array<std::uint8_t, kDerSignatureBytesMax> buffer;
    const std::size_t length = write_der_signature(signature, buffer);
    Bytes encoded(buffer.begin(), buffer.begin() + static_cast<long>(length));
    if (i % 4 != 0) {
      // Mostly in the bytes that carry structure.
      const std::size_t at = random.below(i % 4 == 1 ? encoded.size() : 6);
      encoded[at] = static_cast<std::uint8_t>(random.below(256));
    }
    const unsigned char* at = encoded.data();
    ECDSA_SIG* parsed = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(encoded.size()));
    Verdict expected = Verdict::kBadEncoding;
    if (parsed != nullptr && at == encoded.data() + encoded.size() &&
        !BN_is_negative(ECDSA_SIG_get0_r(parsed)) && !BN_is_negative(ECDSA_SIG_get0_s(parsed))) {
      unsigned char* again = nullptr;
      const int again_length = i2d_ECDSA_SIG(parsed, &again);
      if (again_length == static_cast<int>(encoded.size()) &&
          std::equal(encoded.begin(), encoded.end(), again)) {
        expected = BN_num_bits(ECDSA_SIG_get0_r(parsed)) > 256 ||
                           BN_num_bits(ECDSA_SIG_get0_s(parsed)) > 256
                       ? Verdict::kOutOfRange
                       : Verdict::kValid;
      }
      OPENSSL_free(again);
    }
    ECDSA_SIG_free(parsed);
    ASSERT_EQ(der_verdict(encoded), expected) << hex(encoded);
    if (expected == Verdict::kValid) ++accepted;
  }
  ERR_clear_error();
  EXPECT_GT(accepted, 5000);
}

// --- Ed25519 encodings

TEST(Ed25519Encoding, CanonicalMeansBelowPAndNoMinusZero) {
  const auto canonical = [](const Bytes& encoding) {
    return edwards25519::is_canonical(std::span(encoding).first<32>());
  };
  Bytes p = unhex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");
  EXPECT_FALSE(canonical(p));
  p[0] = 0xee;
  EXPECT_FALSE(canonical(p));
  p[0] = 0xff;
  EXPECT_FALSE(canonical(p));
  p[0] = 0xec;  // p - 1: y = -1, x = 0
  EXPECT_TRUE(canonical(p));
  p[31] = 0xff;
  EXPECT_FALSE(canonical(p));
  p[0] = 0xeb;
  EXPECT_TRUE(canonical(p));
  Bytes one(32, 0);
  one[0] = 1;
  EXPECT_TRUE(canonical(one));
  one[31] = 0x80;
  EXPECT_FALSE(canonical(one));
}

TEST(Ed25519Encoding, ScalarsBelowTheOrder) {
  const auto reduced = [](const char* text) {
    const Bytes s = unhex(text);
    return edwards25519::is_reduced(std::span(s).first<32>());
  };
  EXPECT_TRUE(reduced("0000000000000000000000000000000000000000000000000000000000000000"));
  EXPECT_TRUE(reduced("ecd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010"));
  EXPECT_FALSE(reduced("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010"));
  EXPECT_FALSE(reduced("eed3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010"));
  EXPECT_FALSE(reduced("ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"));
  EXPECT_FALSE(reduced("0000000000000000000000000000000000000000000000000000000000000080"));
}

TEST(Ed25519Encoding, ReductionAgreesWithBignum) {
  constexpr std::uint64_t kSeed = 0x5eed0004;
  SCOPED_TRACE(kSeed);
  Random random(kSeed);
  const Bytes order_bytes =
      unhex("1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed");
  const BignumPtr order(
      BN_bin2bn(order_bytes.data(), static_cast<int>(order_bytes.size()), nullptr));
  BN_CTX* context = BN_CTX_new();
  for (int i = 0; i < 500; ++i) {
    Bytes k = random.bytes(64);
    if (i == 0) std::fill(k.begin(), k.end(), std::uint8_t{0xff});
    if (i == 1) std::fill(k.begin(), k.end(), std::uint8_t{0});
    if (i == 2) {
      std::fill(k.begin(), k.end(), std::uint8_t{0});
      std::reverse_copy(order_bytes.begin(), order_bytes.end(), k.begin());
    }
    const BignumPtr number(BN_lebin2bn(k.data(), 64, nullptr));
    BN_mod(number.get(), number.get(), order.get(), context);
    Bytes expected(32);
    BN_bn2lebinpad(number.get(), expected.data(), 32);
    const auto reduced = edwards25519::reduce_mod_order(std::span(k).first<64>());
    ASSERT_EQ(Bytes(reduced.begin(), reduced.end()), expected);
  }
  BN_CTX_free(context);
}

}  // namespace
}  // namespace colophon::test
