// SPDX-License-Identifier: Apache-2.0
//
// Ed25519 at its edges: where implementations differ, zip215 and strict must not.
#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <array>
#include <set>

#include "batch_builder.h"
#include "edwards25519.h"
#include "key_encoding.h"
#include "openssl_handle.h"
#include "tests/effort.h"

namespace colophon::test {
namespace {

constexpr Rules kZip215{Scheme::kEd25519, SignatureEncoding::kRaw, Profile::kZip215};
constexpr Rules kStrict{Scheme::kEd25519, SignatureEncoding::kRaw, Profile::kStrict};

// Every encoding of every point of small order: eight points, y = 0, 1, -1 of which are also
// written with y + p, and x = 0 also with the sign bit. Found, not listed: by trying all
// candidates.
std::vector<Bytes> small_order_encodings() {
  std::vector<Bytes> candidates;
  const Bytes order_8 = unhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05");
  const Bytes other_8 = unhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a");
  const Bytes p = unhex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");
  for (std::uint8_t low = 0; low < 19; ++low) {
    Bytes y(32, 0);
    y[0] = low;
    candidates.push_back(y);
    Bytes y_plus_p = p;
    y_plus_p[0] = static_cast<std::uint8_t>(p[0] + low);
    if (y_plus_p[0] >= p[0]) candidates.push_back(y_plus_p);
  }
  Bytes minus_one = p;
  minus_one[0] -= 1;
  candidates.insert(candidates.end(), {minus_one, order_8, other_8});
  std::vector<Bytes> found;
  const std::array<std::uint8_t, 32> zero{};
  std::array<std::uint8_t, 32> neutral{};
  neutral[0] = 1;
  for (Bytes candidate : candidates) {
    for (const std::uint8_t sign : std::to_array<std::uint8_t>({0x00, 0x80})) {
      candidate[31] = static_cast<std::uint8_t>((candidate[31] & 0x7f) | sign);
      // [8](0·B - 0·O - R) = O exactly if [8]R = O.
      if (edwards25519::zip215_equation_holds_vartime(
              neutral, std::span(std::as_const(candidate)).first<32>(), zero, zero)) {
        found.push_back(candidate);
      }
    }
  }
  return found;
}

TEST(Ed25519SmallOrder, ThereAreFourteenEncodings) {
  const std::vector<Bytes> encodings = small_order_encodings();
  EXPECT_EQ(encodings.size(), 14U);
  std::set<std::string> distinct;
  for (const Bytes& encoding : encodings) distinct.insert(hex(encoding));
  EXPECT_EQ(distinct.size(), 14U);
  std::size_t canonical = 0;
  for (const Bytes& encoding : encodings) {
    const auto bytes = std::span(encoding).first<32>();
    if (!edwards25519::is_canonical(bytes)) continue;
    ++canonical;
    EXPECT_TRUE(edwards25519::is_small_order(bytes)) << hex(encoding);
  }
  EXPECT_EQ(canonical, 8U);
}

// ZIP 215, test vectors: with S = 0 and A, R of small order the equation holds for every message.
TEST(Ed25519SmallOrder, Zip215GridOf196IsAllValid) {
  const std::vector<Bytes> encodings = small_order_encodings();
  const Bytes s(32, 0);
  for (const char* message : {"Zcash", "", "any other message"}) {
    BatchBuilder zip215(kZip215);
    BatchBuilder strict(kStrict);
    std::vector<Verdict> expected_strict;
    for (const Bytes& a : encodings) {
      for (const Bytes& r : encodings) {
        zip215.add(a, bytes_of(message), joined(r, s));
        strict.add(a, bytes_of(message), joined(r, s));
        const bool canonical = edwards25519::is_canonical(std::span(a).first<32>()) &&
                               edwards25519::is_canonical(std::span(r).first<32>());
        expected_strict.push_back(canonical ? Verdict::kSmallOrder : Verdict::kNonCanonical);
      }
    }
    ASSERT_EQ(zip215.size(), 196U);
    EXPECT_EQ(zip215.verify(), std::vector<Verdict>(196, Verdict::kValid));
    EXPECT_EQ(strict.verify(), expected_strict);
    // The twin: S = 1 has a component of large order, and nothing on the other side has.
    BatchBuilder twin(kZip215);
    Bytes one = s;
    one[0] = 1;
    for (const Bytes& a : encodings) {
      for (const Bytes& r : encodings) twin.add(a, bytes_of(message), joined(r, one));
    }
    EXPECT_EQ(twin.verify(), std::vector<Verdict>(196, Verdict::kMismatch));
  }
}

// "Taming the many EdDSAs" (Chalkias, Garillot, Nikolaenko, arXiv / IACR ePrint 2020/1244),
// table 5.
TEST(Ed25519SpecCheck, TwelveCases) {
  const std::string small = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa";
  const std::string small_plus = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a";
  const std::string mixed = "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43";
  const std::string mixed_2 = "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d";
  const std::string large = "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623";
  const std::string minus_zero_order_2 =
      "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";
  const std::string message_9bed =
      "9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41";
  const std::string message_e47d =
      "e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c";
  const std::string message_85e2 =
      "85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40";
  struct Case {
    std::string message;
    std::string key;
    std::string signature;
    Verdict zip215;
    Verdict strict;
  };
  const Case cases[] = {
      // 0: S = 0, A and R small
      {"8c93255d71dcab10e8f379c26200f3c7bd5f09d9bc3068d3ef4edeb4853022b6", small,
       small_plus + "0000000000000000000000000000000000000000000000000000000000000000",
       Verdict::kValid, Verdict::kSmallOrder},
      // 1: A small, R mixed
      {"9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79", small,
       mixed + "a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04", Verdict::kValid,
       Verdict::kSmallOrder},
      // 2: A mixed, R small
      {"aebf3f2601a0c8c5d39cc7d8911642f740b78168218da8471772b35f9d35b9ab", mixed,
       small + "8c4bd45aecaca5b24fb97bc10ac27ac8751a7dfe1baff8b953ec9f5833ca260e", Verdict::kValid,
       Verdict::kSmallOrder},
      // 3: A and R mixed, holds without the cofactor
      {"9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79", mixed_2,
       "9046a64750444938de19f227bb80485e92b83fdb4b6506c160484c016cc1852f"
       "87909e14428a7a1d62e9f22f3d3ad7802db02eb2e688b6c52fcd6648a98bd009",
       Verdict::kValid, Verdict::kValid},
      // 4: A and R mixed, holds with the cofactor only
      {message_e47d, mixed_2,
       "160a1cb0dc9c0258cd0a7d23e94d8fa878bcb1925f2c64246b2dee1796bed512"
       "5ec6bc982a269b723e0668e540911a9a6a58921d6925e434ab10aa7940551a09",
       Verdict::kValid, Verdict::kMismatch},
      // 5: holds only if 8·k is not reduced before the multiplication
      {message_e47d, mixed_2,
       "21122a84e0b5fca4052f5b1235c80a537878b38f3142356b2c2384ebad4668b7"
       "e40bc836dac0f71076f9abe3a53f9c03c1ceeeddb658d0030494ace586687405",
       Verdict::kValid, Verdict::kMismatch},
      // 6: S > L
      {message_85e2, large,
       "e96f66be976d82e60150baecff9906684aebb1ef181f67a7189ac78ea23b6c0e"
       "547f7690a0e2ddcd04d87dbc3490dc19b3b3052f7ff0538cb68afb369ba3a514",
       Verdict::kOutOfRange, Verdict::kOutOfRange},
      // 7: S much larger than L
      {message_85e2, large,
       "8ce5b96c8f26d0ab6c47958c9e68b937104cd36e13c33566acd2fe8d38aa1942"
       "7e71f98a473474f2f13f06f97c20d58cc3f54b8bd0d272f42b695dd7e89a8c22",
       Verdict::kOutOfRange, Verdict::kOutOfRange},
      // 8: R small and not canonical; k over R rewritten canonically
      {message_9bed, mixed,
       minus_zero_order_2 + "03be9678ac102edcd92b0210bb34d7428d12ffc5df5f37e359941266a4e35f0f",
       Verdict::kMismatch, Verdict::kNonCanonical},
      // 9: the same, k over R as given
      {message_9bed, mixed,
       minus_zero_order_2 + "ca8c5b64cd208982aa38d4936621a4775aa233aa0505711d8fdcfdaa943d4908",
       Verdict::kValid, Verdict::kNonCanonical},
      // 10: A small and not canonical; k over A rewritten canonically (no matter with the cofactor)
      {"e96b7021eb39c1a163b6da4e3093dcd3f21387da4cc4572be588fafae23c155b", minus_zero_order_2,
       "a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dc"
       "a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
       Verdict::kValid, Verdict::kNonCanonical},
      // 11: the same, k over A as given
      {"39a591f5321bbe07fd5a23dc2f39d025d74526615746727ceefd6e82ae65c06f", minus_zero_order_2,
       "a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dc"
       "a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
       Verdict::kValid, Verdict::kNonCanonical},
  };
  int number = 0;
  for (const Case& c : cases) {
    const Bytes key = unhex(c.key);
    const Bytes message = unhex(c.message);
    const Bytes signature = unhex(c.signature);
    EXPECT_EQ(verify_one(kZip215, key, message, signature), c.zip215) << "case " << number;
    EXPECT_EQ(verify_one(kStrict, key, message, signature), c.strict) << "case " << number;
    ++number;
  }
  EXPECT_EQ(number, 12);
}

class SigningKey {
 public:
  explicit SigningKey(const Bytes& seed)
      : pkey_(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.size())) {}

  [[nodiscard]] Bytes public_key() const {
    Bytes key(32);
    std::size_t size = key.size();
    EXPECT_EQ(EVP_PKEY_get_raw_public_key(pkey_.get(), key.data(), &size), 1);
    return key;
  }

  [[nodiscard]] Bytes sign(const Bytes& message) const {
    const EvpMdContextPtr context(EVP_MD_CTX_new());
    Bytes signature(64);
    std::size_t size = signature.size();
    EXPECT_EQ(EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, pkey_.get()), 1);
    EXPECT_EQ(
        EVP_DigestSign(context.get(), signature.data(), &size, message.data(), message.size()), 1);
    return signature;
  }

 private:
  EvpPkeyPtr pkey_;
};

// Straightforward OpenSSL, for keys and signatures on which all rules agree.
bool openssl_accepts(const Bytes& key, const Bytes& message, const Bytes& signature) {
  const EvpPkeyPtr pkey(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, key.data(), key.size()));
  const EvpMdContextPtr context(EVP_MD_CTX_new());
  const bool accepted =
      EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, pkey.get()) == 1 &&
      EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(),
                       message.size()) == 1;
  ERR_clear_error();
  return accepted;
}

// The slow path by itself, for what the fast path already decides.
bool equation_holds(const Bytes& key, const Bytes& message, const Bytes& signature) {
  Bytes hashed(64);
  unsigned size = 0;
  const Bytes input =
      joined(joined(Bytes(signature.begin(), signature.begin() + 32), key), message);
  EXPECT_EQ(EVP_Digest(input.data(), input.size(), hashed.data(), &size, EVP_sha512(), nullptr), 1);
  const auto bytes = std::span(signature);
  return edwards25519::zip215_equation_holds_vartime(
      std::span(key).first<32>(), bytes.first<32>(), bytes.last<32>(),
      edwards25519::reduce_mod_order(std::span(std::as_const(hashed)).first<64>()));
}

TEST(Ed25519Differential, SignedAndMutated) {
  constexpr std::uint64_t kSeed = 0x5eed0010;
  SCOPED_TRACE(kSeed);
  Random random(kSeed);
  for (std::size_t i = 0; i < number_of_cases(3'000, 150, 50); ++i) {
    const SigningKey signer(random.bytes(32));
    const Bytes key = signer.public_key();
    const Bytes message = random.bytes(random.below(200));
    const Bytes signature = signer.sign(message);
    EXPECT_EQ(verify_one(kZip215, key, message, signature), Verdict::kValid);
    EXPECT_EQ(verify_one(kStrict, key, message, signature), Verdict::kValid);
    EXPECT_TRUE(equation_holds(key, message, signature));
    for (int change = 0; change < 6; ++change) {
      const Bytes bad_signature = random.flip_one_bit(signature);
      EXPECT_FALSE(openssl_accepts(key, message, bad_signature));
      EXPECT_NE(verify_one(kZip215, key, message, bad_signature), Verdict::kValid);
      EXPECT_NE(verify_one(kStrict, key, message, bad_signature), Verdict::kValid);
      const Bytes bad_key = random.flip_one_bit(key);
      EXPECT_NE(verify_one(kZip215, bad_key, message, signature), Verdict::kValid);
    }
    EXPECT_EQ(verify_one(kZip215, key, joined(message, {0}), signature), Verdict::kMismatch);
  }
}

// An old error of the caller's on OpenSSL's queue must not be read as the reason of a mismatch.
TEST(Ed25519Rules, MismatchIsAVerdictWhateverTheCallerLeftOnTheErrorQueue) {
  const SigningKey signer(Bytes(32, 6));
  const Bytes message = bytes_of("queue");
  const Bytes signature = signer.sign(message);
  ERR_clear_error();
  ERR_raise(ERR_LIB_USER, ERR_R_MALLOC_FAILURE);
  EXPECT_EQ(verify_one(kStrict, signer.public_key(), bytes_of("queuE"), signature),
            Verdict::kMismatch);
  EXPECT_EQ(verify_one(kStrict, signer.public_key(), message, signature), Verdict::kValid);
  EXPECT_EQ(ERR_GET_REASON(ERR_get_error()), ERR_R_MALLOC_FAILURE);
  EXPECT_EQ(ERR_get_error(), 0U);
}

TEST(Ed25519Rules, FirstRefusedRuleIsTheVerdict) {
  const SigningKey signer(Bytes(32, 5));
  const Bytes key = signer.public_key();
  const Bytes message = bytes_of("order of rules");
  const Bytes good = signer.sign(message);
  Bytes large_s = good;
  const Bytes order = unhex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
  unsigned carry = 0;
  for (std::size_t i = 0; i < 32; ++i) {
    carry += good[32 + i] + order[i];
    large_s[32 + i] = static_cast<std::uint8_t>(carry);
    carry >>= 8;
  }
  // y = 2 is not on the curve, and neither is p + 2.
  Bytes not_a_point(32, 0);
  not_a_point[0] = 2;
  for (const Rules& rules : {kZip215, kStrict}) {
    EXPECT_EQ(verify_one(rules, key, message, large_s), Verdict::kOutOfRange);
    EXPECT_EQ(verify_one(rules, not_a_point, message, large_s), Verdict::kBadKey);
    EXPECT_EQ(verify_one(rules, Bytes(31, 1), message, good), Verdict::kBadKey);
    EXPECT_EQ(verify_one(rules, {}, message, good), Verdict::kBadKey);
    EXPECT_EQ(verify_one(rules, key, message, {}), Verdict::kBadEncoding);
    EXPECT_EQ(verify_one(rules, key, message, Bytes(63, 1)), Verdict::kBadEncoding);
    EXPECT_EQ(verify_one(rules, key, message, joined(good, {0})), Verdict::kBadEncoding);
    // R that is no point, canonically written.
    const Bytes s(good.begin() + 32, good.end());
    EXPECT_EQ(verify_one(rules, key, message, joined(not_a_point, s)), Verdict::kMismatch);
  }
}

}  // namespace
}  // namespace colophon::test
