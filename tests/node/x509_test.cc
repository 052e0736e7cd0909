// SPDX-License-Identifier: Apache-2.0
#include "node/x509.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "node/der.h"
#include "node/hex.h"
#include "node/x509_form.h"
#include "tests/effort.h"
#include "tests/node/certificate_forge.h"

namespace colophon::node {
namespace {

using test::ca_draft;
using test::CertificateDraft;
using test::draft;
using test::extension;
using test::MemorySigner;
using test::must;

constexpr std::uint64_t kNow = 1790000000000;  // 2026-09-21, inside the drafts' validity

// A folder for the openssl command line, removed at the end.
class Scratch {
 public:
  Scratch() {
    std::string pattern = (std::filesystem::temp_directory_path() / "x509_test.XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~Scratch() { std::filesystem::remove_all(folder_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }
  [[nodiscard]] std::string read(const std::string& name) const {
    std::ifstream in(folder_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  // True if the command succeeds; its output is in "log".
  [[nodiscard]] bool run(const std::string& command) const {
    return std::system(("cd " + folder_.string() + " && " + command + " >log 2>&1").c_str()) == 0;
  }

 private:
  std::filesystem::path folder_;
};

// `openssl verify` over the same chain: the independent opinion.
bool openssl_agrees(const std::vector<Der>& chain, const Der& root, std::uint64_t time_ms) {
  const Scratch scratch;
  scratch.write("root.pem", to_pem(root));
  scratch.write("leaf.pem", to_pem(chain[0]));
  std::string between;
  for (std::size_t i = 1; i < chain.size(); ++i) between += to_pem(chain[i]);
  scratch.write("between.pem", between);
  return scratch.run("openssl verify -x509_strict -check_ss_sig -no-CApath -attime " +
                     std::to_string(time_ms / 1000) + " -CAfile root.pem " +
                     (between.empty() ? "" : "-untrusted between.pem ") + "leaf.pem");
}

CertificateRequest request(const std::string& name, const char* from = "2026-01-01T00:00:00.000Z",
                           const char* to = "2030-12-31T23:59:59.000Z") {
  CertificateRequest made;
  made.common_name = name;
  made.organization = "Example Organization";
  made.not_before_ms = test::at(from);
  made.not_after_ms = test::at(to);
  for (std::size_t i = 0; i < made.serial.size(); ++i)
    made.serial[i] = static_cast<std::uint8_t>(i);
  return made;
}

// --- what we issue ------------------------------------------------------------------------------

class IssueTest : public ::testing::TestWithParam<std::pair<hsm::KeyType, hsm::KeyType>> {};

TEST_P(IssueTest, IssuedChainVerifiesHereAndWithOpenssl) {
  const auto ca = MemorySigner::create(GetParam().first, 11);
  const auto member = MemorySigner::create(GetParam().second, 12);
  const Der spki = must(member->public_key().to_spki_der());
  const Der root = must(create_ca(request("Example CA"), *ca));
  const Der leaf = must(issue_certificate(request("Ämember"), spki, root, *ca));

  const auto facts = verify_chain({leaf}, root, kNow);
  ASSERT_TRUE(facts.ok()) << facts.error().message;
  EXPECT_EQ(facts->common_name, "Ämember");
  EXPECT_FALSE(facts->is_ca);
  EXPECT_EQ(facts->public_key, member->public_key().raw);
  EXPECT_EQ(facts->spki, spki);
  EXPECT_EQ(facts->scheme,
            GetParam().second == hsm::KeyType::kP256 ? Scheme::kEcdsaP256Sha256 : Scheme::kEd25519);
  EXPECT_EQ(facts->not_before_ms, test::at("2026-01-01T00:00:00.000Z"));
  EXPECT_EQ(facts->not_after_ms, test::at("2030-12-31T23:59:59.999Z"));
  EXPECT_TRUE(must(inspect_certificate(root)).is_ca);
  EXPECT_TRUE(openssl_agrees({leaf}, root, kNow));
  // The twin: another CA of the same name.
  const auto other = MemorySigner::create(GetParam().first, 13);
  const Der other_root = must(create_ca(request("Example CA"), *other));
  EXPECT_EQ(verify_chain({leaf}, other_root, kNow).error().code, ErrorCode::kInvalidSignature);
  EXPECT_FALSE(openssl_agrees({leaf}, other_root, kNow));
}

INSTANTIATE_TEST_SUITE_P(KeyTypes, IssueTest,
                         ::testing::Values(std::pair{hsm::KeyType::kP256, hsm::KeyType::kP256},
                                           std::pair{hsm::KeyType::kP256, hsm::KeyType::kEd25519},
                                           std::pair{hsm::KeyType::kEd25519, hsm::KeyType::kP256},
                                           std::pair{hsm::KeyType::kEd25519,
                                                     hsm::KeyType::kEd25519}));

TEST(Issue, TimesAfter2049AreGeneralizedTime) {
  const auto ca = MemorySigner::create(hsm::KeyType::kEd25519, 14);
  const Der root = must(
      create_ca(request("Long CA", "2049-12-31T23:59:59.000Z", "9999-12-31T23:59:59.000Z"), *ca));
  const auto facts = must(inspect_certificate(root));
  EXPECT_EQ(facts.not_before_ms, test::at("2049-12-31T23:59:59.000Z"));
  EXPECT_EQ(facts.not_after_ms, test::at("9999-12-31T23:59:59.999Z"));
}

TEST(Issue, BadRequestsAreRefusedByName) {
  const auto ca = MemorySigner::create(hsm::KeyType::kP256, 15);
  const auto stranger = MemorySigner::create(hsm::KeyType::kP256, 16);
  const Der spki = must(stranger->public_key().to_spki_der());
  const Der root = must(create_ca(request("CA"), *ca));
  const auto field = [&](const CertificateRequest& asked) {
    const auto result = issue_certificate(asked, spki, root, *ca);
    return result ? std::string("accepted") : result.error().field;
  };
  EXPECT_EQ(field(request("right")), "accepted");
  EXPECT_EQ(field(request("")), "common_name");
  EXPECT_EQ(field(request("CA")), "common_name");  // the issuer's own name
  EXPECT_EQ(field(request(std::string(65, 'a'))), "common_name");
  EXPECT_EQ(field(request("tab\there")), "common_name");
  EXPECT_EQ(field(request("\xff")), "common_name");
  EXPECT_EQ(field(request("late", "2026-01-01T00:00:00.000Z", "2031-01-01T00:00:00.000Z")),
            "not_after_ms");
  EXPECT_EQ(field(request("turned", "2027-01-01T00:00:00.000Z", "2026-01-01T00:00:00.000Z")),
            "not_after_ms");
  const auto by_stranger = issue_certificate(request("x"), spki, root, *stranger);
  EXPECT_EQ(by_stranger.error().field, "ca_certificate");
  const Der leaf = must(issue_certificate(request("member"), spki, root, *ca));
  EXPECT_EQ(issue_certificate(request("x"), spki, leaf, *stranger).error().field, "ca_certificate");
  EXPECT_FALSE(issue_certificate(request("x"), Der{0x30, 0x00}, root, *ca).ok());
  ca->set_failing(true);
  EXPECT_EQ(create_ca(request("CA"), *ca).error().code, ErrorCode::kUnavailable);
}

// --- form ---------------------------------------------------------------------------------------

class FormTest : public ::testing::Test {
 protected:
  // "" if accepted, else the part that is refused.
  static std::string refused_part(const Der& certificate) {
    const auto facts = inspect_certificate(certificate);
    if (facts) return "";
    EXPECT_FALSE(facts.error().message.empty());
    return facts.error().field;
  }
  [[nodiscard]] std::string refused_part(const CertificateDraft& made) const {
    return refused_part(made.sign(*ca_));
  }
  [[nodiscard]] CertificateDraft leaf() const {
    return draft("member", member_->public_key(), "CA", ca_->public_key(), false);
  }

  std::unique_ptr<MemorySigner> ca_ = MemorySigner::create(hsm::KeyType::kP256, 21);
  std::unique_ptr<MemorySigner> member_ = MemorySigner::create(hsm::KeyType::kEd25519, 22);
};

TEST_F(FormTest, RightOnesAreAccepted) {
  EXPECT_EQ(refused_part(leaf()), "");
  EXPECT_EQ(refused_part(ca_draft("CA", ca_->public_key())), "");
  CertificateDraft with_usage = leaf();
  with_usage.extensions.push_back(extension(
      kOidExtKeyUsage, false, der(der_tag::kSequence, {test::oid_element(kOidClientAuth)})));
  EXPECT_EQ(refused_part(with_usage), "");
  CertificateDraft with_unknown = leaf();
  constexpr std::uint8_t kPrivateArc[] = {0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x7b};
  with_unknown.extensions.push_back(extension(kPrivateArc, false, Der{0x05, 0x00}));
  EXPECT_EQ(refused_part(with_unknown), "");
}

TEST_F(FormTest, EveryBrokenPartIsNamed) {
  const auto with = [&](auto change) {
    CertificateDraft made = leaf();
    change(made);
    return refused_part(made);
  };
  using D = CertificateDraft;
  EXPECT_EQ(with([](D& d) { d.version = {0xa0, 0x03, 0x02, 0x01, 0x01}; }), "version");
  EXPECT_EQ(with([](D& d) { d.version = {}; }), "version");
  EXPECT_EQ(with([](D& d) { d.serial = {0x02, 0x01, 0x00}; }), "serial number");
  EXPECT_EQ(with([](D& d) { d.serial = {0x02, 0x01, 0x80}; }), "serial number");
  EXPECT_EQ(with([](D& d) { d.serial = der_unsigned(Der(21, 0x11)); }), "serial number");
  EXPECT_EQ(with([](D& d) { d.serial = {0x02, 0x02, 0x00, 0x11}; }), "certificate");  // not minimal
  EXPECT_EQ(with([](D& d) { d.algorithm = test::algorithm_of(hsm::KeyType::kEd25519); }),
            "signature algorithm");
  EXPECT_EQ(with([](D& d) { d.outer_algorithm = test::algorithm_of(hsm::KeyType::kEd25519); }),
            "signature algorithm");
  EXPECT_EQ(with([](D& d) { d.issuer = {0x30, 0x00}; }), "issuer");
  EXPECT_EQ(with([](D& d) { d.subject = {0x30, 0x00}; }), "subject");
  EXPECT_EQ(with([](D& d) { d.subject = test::common_name(""); }), "subject");
  EXPECT_EQ(with([](D& d) { d.subject = test::common_name(std::string(65, 'a')); }), "subject");
  EXPECT_EQ(with([](D& d) { d.subject = test::common_name("a\nb"); }), "subject");
  EXPECT_EQ(with([](D& d) { d.subject = test::common_name("a", 0x14); }), "subject");  // Teletex
  EXPECT_EQ(with([](D& d) { d.subject = test::common_name("\xff"); }), "certificate");
  EXPECT_EQ(with([](D& d) { d.subject = test::common_name("a@b", 0x13); }), "certificate");
  const auto validity = [&](Der from, Der to) {
    return with([&](D& d) { d.validity = der(der_tag::kSequence, {from, to}); });
  };
  const Der good = test::utc_time("260101000000Z");
  const auto generalized = [](std::string_view t) {
    return der(der_tag::kGeneralizedTime, {as_bytes(t)});
  };
  EXPECT_EQ(validity(good, test::utc_time("250101000000Z")), "validity");
  EXPECT_EQ(validity(test::utc_time("260230000000Z"), good), "notBefore");
  EXPECT_EQ(validity(test::utc_time("500101000000Z"), good), "notBefore");  // 1950
  EXPECT_EQ(validity(good, generalized("20300101000000Z")), "notAfter");    // UTCTime until 2049
  EXPECT_EQ(validity(good, generalized("20500101000000Z")), "");
  EXPECT_EQ(validity(good, test::utc_time("2601010000Z")), "certificate");  // no seconds
  EXPECT_EQ(validity(good, test::utc_time("260101000000+0000")), "certificate");
  EXPECT_EQ(with([](D& d) { d.before_extensions = {0x81, 0x02, 0x00, 0x55}; }), "extensions");
  EXPECT_EQ(with([](D& d) { d.extensions.push_back(d.extensions[1]); }), "extensions");
  EXPECT_EQ(
      with([](D& d) {
        d.extensions[0] = extension(kOidBasicConstraints, true, {0x30, 0x03, 0x02, 0x01, 0x00});
      }),
      "basicConstraints");
  EXPECT_EQ(with([](D& d) {
              d.extensions[0] = extension(kOidBasicConstraints, false, test::kCaConstraints);
            }),
            "basicConstraints");
  EXPECT_EQ(
      with([](D& d) {
        d.extensions[0] = extension(kOidBasicConstraints, true, {0x30, 0x03, 0x01, 0x01, 0x00});
      }),
      "basicConstraints");
  EXPECT_EQ(with([](D& d) {
              d.extensions[1] = extension(kOidKeyUsage, true, {0x03, 0x02, 0x00, 0x80});
            }),
            "keyUsage");  // trailing zero bits
  EXPECT_EQ(with([](D& d) {
              d.extensions[1] = extension(kOidKeyUsage, true, {0x03, 0x01, 0x00});
            }),
            "keyUsage");
  EXPECT_EQ(with([](D& d) { d.extensions[1] = extension(kOidKeyUsage, true, test::kMayCertify); }),
            "keyUsage");
  EXPECT_EQ(with([](D& d) {
              d.extensions.push_back(extension(kOidNameConstraints, false, {0x30, 0x00}));
            }),
            "nameConstraints");
  constexpr std::uint8_t kPrivateArc[] = {0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x7b};
  EXPECT_EQ(with([&](D& d) {
              d.extensions.push_back(extension(kPrivateArc, true, {0x05, 0x00}));
            }),
            "extensions");
  constexpr std::uint8_t kServerAuth[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01};
  EXPECT_EQ(
      with([&](D& d) {
        d.extensions.push_back(extension(
            kOidExtKeyUsage, false, der(der_tag::kSequence, {test::oid_element(kServerAuth)})));
      }),
      "extKeyUsage");
}

TEST_F(FormTest, KeysOtherThanP256AndEd25519AreUnsupported) {
  const auto with_spki = [&](Der spki) {
    CertificateDraft made = leaf();
    made.spki = std::move(spki);
    return inspect_certificate(made.sign(*ca_));
  };
  const Der p256 = must(ca_->public_key().to_spki_der());
  EXPECT_TRUE(with_spki(p256).ok());
  Der secp256k1 = p256;  // the same with the OID 1.3.132.0.10
  constexpr std::uint8_t kSecp256k1[] = {0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a};
  const Der algorithm = der(der_tag::kSequence, {test::oid_element(kOidEcPublicKey), kSecp256k1});
  secp256k1 = der(der_tag::kSequence, {algorithm, ByteSpan(p256).subspan(p256.size() - 68)});
  EXPECT_EQ(with_spki(secp256k1).error().code, ErrorCode::kUnsupported);
  Der off_curve = p256;
  off_curve.back() ^= 1;
  EXPECT_EQ(with_spki(off_curve).error().code, ErrorCode::kMalformed);
  Der hybrid = p256;
  hybrid[p256.size() - 65] = 0x06;
  EXPECT_EQ(with_spki(hybrid).error().code, ErrorCode::kMalformed);
  const Der named = der(der_tag::kSequence,
                        {test::oid_element(kOidEcPublicKey), test::oid_element(kOidPrime256v1)});
  constexpr std::uint8_t kNoUnusedBits[] = {0x00};
  const Der compressed =
      der(der_tag::kSequence,
          {named, der(der_tag::kBitString, {kNoUnusedBits, ca_->public_key().raw})});
  EXPECT_EQ(with_spki(compressed).error().code, ErrorCode::kMalformed);
}

TEST_F(FormTest, Ed25519KeysOfSmallOrderAndSecondSpellingsAreRefused) {
  const auto with_key = [&](Der key) {
    CertificateDraft made = leaf();
    constexpr std::uint8_t kNoUnusedBits[] = {0x00};
    made.spki = der(der_tag::kSequence, {test::algorithm_of(hsm::KeyType::kEd25519),
                                         der(der_tag::kBitString, {kNoUnusedBits, key})});
    return refused_part(made);
  };
  const auto hex = [](const char* text) { return *hex_decode(text); };
  EXPECT_EQ(with_key(member_->public_key().raw), "");
  // docs/formats.md lists the eight; without their sign bits there are five y.
  for (const char* y : {"0000000000000000000000000000000000000000000000000000000000000000",
                        "0100000000000000000000000000000000000000000000000000000000000000",
                        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
                        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"}) {
    Der key = hex(y);
    EXPECT_EQ(with_key(key), "public key") << y;
    key[31] |= 0x80;
    EXPECT_EQ(with_key(key), "public key") << y;
  }
  // y = p is 0 and y = p + 3 is 3: the last spelling below p is p - 1, which is of order 2.
  for (const char* y : {"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                        "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"}) {
    EXPECT_EQ(with_key(hex(y)), "public key") << y;
  }
  EXPECT_EQ(with_key(hex("ebffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")), "");
  EXPECT_EQ(with_key(Der(31, 0x55)), "public key");
  EXPECT_EQ(with_key(Der(33, 0x55)), "public key");
}

TEST_F(FormTest, SizeAndTrailingBytesAreRefused) {
  Der whole = leaf().sign(*ca_);
  EXPECT_EQ(refused_part(whole), "");
  Der longer = whole;
  longer.push_back(0);
  EXPECT_EQ(refused_part(longer), "certificate");
  EXPECT_EQ(refused_part(Der{}), "certificate");
  CertificateDraft large = leaf();
  constexpr std::uint8_t kPrivateArc[] = {0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x7b};
  large.extensions.push_back(
      extension(kPrivateArc, false, der(der_tag::kOctetString, {Der(kCertificateBytesMax)})));
  EXPECT_EQ(inspect_certificate(large.sign(*ca_)).error().code, ErrorCode::kLimitExceeded);
}

TEST_F(FormTest, SignatureValueIsStrictDer) {
  const CertificateDraft made = leaf();
  const Der tbs = made.tbs();
  const hsm::Signature raw = must(ca_->sign(tbs));
  const Der r = der_unsigned(ByteSpan(raw).first(32));
  const Der s = der_unsigned(ByteSpan(raw).subspan(32));
  EXPECT_EQ(refused_part(made.with_signature(tbs, der(der_tag::kSequence, {r, s}))), "");
  Der negative = r;
  negative[2] |= 0x80;
  if (negative[1] == 0x20) {
    EXPECT_EQ(refused_part(made.with_signature(tbs, der(der_tag::kSequence, {negative, s}))),
              "signature");
  }
  EXPECT_EQ(refused_part(made.with_signature(tbs, der(der_tag::kSequence, {r, s, s}))),
            "signature");
  EXPECT_EQ(refused_part(made.with_signature(tbs, der(der_tag::kSequence, {r}))), "signature");
  EXPECT_EQ(refused_part(made.with_signature(tbs, Der(raw.begin(), raw.end()))), "signature");
  Der trailing = der(der_tag::kSequence, {r, s});
  trailing.push_back(0);
  EXPECT_EQ(refused_part(made.with_signature(tbs, trailing)), "signature");
  Der padded = {0x02, 0x22, 0x00, 0x00};
  padded.insert(padded.end(), raw.begin(), raw.begin() + 32);
  EXPECT_EQ(refused_part(made.with_signature(tbs, der(der_tag::kSequence, {padded, s}))),
            "signature");
}

// --- chains -------------------------------------------------------------------------------------

class ChainTest : public ::testing::Test {
 protected:
  // An intermediate CA below `issuer_name`.
  [[nodiscard]] Der intermediate(const std::string& name, MemorySigner& key,
                                 const std::string& issuer_name, MemorySigner& issuer,
                                 const Der& constraints = test::kCaConstraints) const {
    CertificateDraft made = draft(name, key.public_key(), issuer_name, issuer.public_key(), true);
    made.extensions[0] = extension(kOidBasicConstraints, true, constraints);
    return made.sign(issuer);
  }
  [[nodiscard]] Der leaf(const std::string& issuer_name, MemorySigner& issuer) const {
    return draft("member", member_->public_key(), issuer_name, issuer.public_key(), false)
        .sign(issuer);
  }
  static ErrorCode refusal(const std::vector<Der>& chain, const Der& root,
                           std::uint64_t time_ms = kNow) {
    const auto result = verify_chain(chain, root, time_ms);
    if (result) {
      ADD_FAILURE() << "accepted";
      return ErrorCode::kInternal;
    }
    EXPECT_FALSE(result.error().message.empty());
    return result.error().code;
  }

  std::unique_ptr<MemorySigner> root_key_ = MemorySigner::create(hsm::KeyType::kP256, 31);
  std::unique_ptr<MemorySigner> middle_key_ = MemorySigner::create(hsm::KeyType::kEd25519, 32);
  std::unique_ptr<MemorySigner> lower_key_ = MemorySigner::create(hsm::KeyType::kP256, 33);
  std::unique_ptr<MemorySigner> member_ = MemorySigner::create(hsm::KeyType::kEd25519, 34);
  Der root_ = ca_draft("Root", root_key_->public_key()).sign(*root_key_);
};

TEST_F(ChainTest, IntermediatesVerifyAsWithOpenssl) {
  const Der middle = intermediate("Middle", *middle_key_, "Root", *root_key_);
  const Der lower = intermediate("Lower", *lower_key_, "Middle", *middle_key_);
  const Der end = leaf("Lower", *lower_key_);
  EXPECT_TRUE(verify_chain({end, lower, middle}, root_, kNow).ok());
  EXPECT_TRUE(openssl_agrees({end, lower, middle}, root_, kNow));
  // One missing, in the wrong order, one too many.
  EXPECT_EQ(refusal({end, middle}, root_), ErrorCode::kInvalidSignature);
  EXPECT_EQ(refusal({end, middle, lower}, root_), ErrorCode::kInvalidSignature);
  EXPECT_EQ(refusal({end, lower, middle, middle}, root_), ErrorCode::kInvalidSignature);
  EXPECT_EQ(refusal({end, lower, middle, root_}, root_), ErrorCode::kInvalidSignature);
  EXPECT_EQ(refusal({end, lower, middle, middle, middle}, root_), ErrorCode::kLimitExceeded);
  EXPECT_EQ(refusal({}, root_), ErrorCode::kMalformed);
}

TEST_F(ChainTest, PathLengthIsKept) {
  const Der middle = intermediate("Middle", *middle_key_, "Root", *root_key_, test::kCaPathLength0);
  const Der lower = intermediate("Lower", *lower_key_, "Middle", *middle_key_);
  EXPECT_TRUE(verify_chain({leaf("Middle", *middle_key_), middle}, root_, kNow).ok());
  const std::vector<Der> too_long = {leaf("Lower", *lower_key_), lower, middle};
  EXPECT_EQ(refusal(too_long, root_), ErrorCode::kInvalidSignature);
  EXPECT_FALSE(openssl_agrees(too_long, root_, kNow));
}

TEST_F(ChainTest, OnlyACaIssues) {
  const Der fake = draft("Fake", middle_key_->public_key(), "Root", root_key_->public_key(), false)
                       .sign(*root_key_);
  const std::vector<Der> chain = {leaf("Fake", *middle_key_), fake};
  EXPECT_EQ(refusal(chain, root_), ErrorCode::kInvalidSignature);
  EXPECT_FALSE(openssl_agrees(chain, root_, kNow));
  const Der not_ca_root =
      draft("Root", root_key_->public_key(), "Root", root_key_->public_key(), false)
          .sign(*root_key_);
  EXPECT_EQ(refusal({leaf("Root", *root_key_)}, not_ca_root), ErrorCode::kInvalidSignature);
}

TEST_F(ChainTest, ValidityIncludesBothEnds) {
  const std::vector<Der> chain = {leaf("Root", *root_key_)};
  const std::uint64_t first = test::at("2026-01-01T00:00:00.000Z");
  const std::uint64_t last = test::at("2030-12-31T23:59:59.999Z");
  EXPECT_TRUE(verify_chain(chain, root_, first).ok());
  EXPECT_TRUE(verify_chain(chain, root_, last).ok());
  EXPECT_EQ(refusal(chain, root_, first - 1), ErrorCode::kExpired);
  EXPECT_EQ(refusal(chain, root_, last + 1), ErrorCode::kExpired);
  EXPECT_EQ(refusal(chain, root_, 0), ErrorCode::kExpired);
  // The chain of certificates is valid only while each of them is.
  CertificateDraft short_root = ca_draft("Root", root_key_->public_key());
  short_root.validity =
      der(der_tag::kSequence, {test::utc_time("260101000000Z"), test::utc_time("260201000000Z")});
  EXPECT_EQ(refusal(chain, short_root.sign(*root_key_)), ErrorCode::kExpired);
}

TEST_F(ChainTest, LeafMustBeAnEndEntityThatMaySign) {
  EXPECT_EQ(refusal({intermediate("Middle", *middle_key_, "Root", *root_key_)}, root_),
            ErrorCode::kInvalidSignature);
  CertificateDraft only_encrypts =
      draft("member", member_->public_key(), "Root", root_key_->public_key(), false);
  only_encrypts.extensions[1] = extension(kOidKeyUsage, true, {0x03, 0x02, 0x05, 0x20});
  EXPECT_EQ(refusal({only_encrypts.sign(*root_key_)}, root_), ErrorCode::kInvalidSignature);
  CertificateDraft silent =
      draft("member", member_->public_key(), "Root", root_key_->public_key(), false);
  silent.extensions.erase(silent.extensions.begin() + 1);
  EXPECT_EQ(refusal({silent.sign(*root_key_)}, root_), ErrorCode::kInvalidSignature);
}

TEST_F(ChainTest, ARootAloneIsHeldToWhatAChainAsksOfIt) {
  const auto with = [&](auto change, std::uint64_t time_ms = kNow) {
    CertificateDraft made = ca_draft("Root", root_key_->public_key());
    change(made);
    const auto facts = verify_root(made.sign(*root_key_), time_ms);
    if (facts) return ErrorCode{};
    EXPECT_FALSE(facts.error().message.empty());
    return facts.error().code;
  };
  using D = CertificateDraft;
  EXPECT_EQ(with([](D&) {}), ErrorCode{});
  EXPECT_EQ(must(verify_root(root_, kNow)).common_name, "Root");
  EXPECT_EQ(with([](D&) {}, test::at("2031-01-01T00:00:00.000Z")), ErrorCode::kExpired);
  EXPECT_EQ(with([](D&) {}, test::at("2025-12-31T23:59:59.999Z")), ErrorCode::kExpired);
  EXPECT_EQ(with([](D& d) { d.issuer = test::common_name("Other"); }),
            ErrorCode::kInvalidSignature);
  EXPECT_EQ(with([](D& d) { d.extensions.erase(d.extensions.begin() + 2); }),  // no subject key id
            ErrorCode::kInvalidSignature);
  EXPECT_EQ(with([&](D& d) { d.spki = must(lower_key_->public_key().to_spki_der()); }),
            ErrorCode::kInvalidSignature);  // signed by another key than its own
  EXPECT_EQ(with([](D& d) {
              d.extensions[0] = extension(kOidBasicConstraints, true, test::kEndEntity);
              d.extensions[1] = extension(kOidKeyUsage, true, test::kMaySign);
            }),
            ErrorCode::kInvalidSignature);
  Der altered = root_;
  altered.back() ^= 1;
  EXPECT_FALSE(verify_root(altered, kNow).ok());
  EXPECT_EQ(verify_root(Der{}, kNow).error().code, ErrorCode::kMalformed);
}

TEST_F(ChainTest, ARightNameAndKeyIdentifierDoNotReplaceTheSignature) {
  // All that ties the leaf to the root by name is right; the key that signed it is the forger's.
  CertificateDraft made =
      draft("member", member_->public_key(), "Root", root_key_->public_key(), false);
  EXPECT_TRUE(verify_chain({made.sign(*root_key_)}, root_, kNow).ok());
  EXPECT_EQ(refusal({made.sign(*lower_key_)}, root_), ErrorCode::kInvalidSignature);
  // And with the algorithm of the forger's key, which is not the root's.
  made.algorithm = made.outer_algorithm = test::algorithm_of(hsm::KeyType::kEd25519);
  EXPECT_EQ(refusal({made.sign(*middle_key_)}, root_), ErrorCode::kInvalidSignature);
}

TEST_F(ChainTest, NamesAndKeyIdentifiersMustMeet) {
  const auto with = [&](auto change) {
    CertificateDraft made =
        draft("member", member_->public_key(), "Root", root_key_->public_key(), false);
    change(made);
    return refusal({made.sign(*root_key_)}, root_);
  };
  using D = CertificateDraft;
  EXPECT_EQ(with([](D& d) { d.issuer = test::common_name("root"); }), ErrorCode::kInvalidSignature);
  EXPECT_EQ(with([](D& d) { d.extensions.pop_back(); }), ErrorCode::kInvalidSignature);
  EXPECT_EQ(with([](D& d) {
              d.extensions[3] =
                  extension(kOidAuthorityKeyIdentifier, false,
                            der(der_tag::kSequence, {der(der_tag::context(0, false), {Der(20)})}));
            }),
            ErrorCode::kInvalidSignature);
}

TEST_F(ChainTest, OnlyTheRootMayNameItselfAsItsIssuer) {
  // Rightly signed by the root and by the CA below it, under the root's own name. Without a subject
  // key identifier OpenSSL may take such a leaf for a self-signed one, and its answer then depends
  // on how it is asked; the profile's does not.
  const auto member_called = [&](const char* name, bool has_subject_key_id) {
    CertificateDraft made =
        draft(name, member_->public_key(), "Root", root_key_->public_key(), false);
    if (!has_subject_key_id) made.extensions.erase(made.extensions.begin() + 2);
    return made.sign(*root_key_);
  };
  EXPECT_TRUE(verify_chain({member_called("member", true)}, root_, kNow).ok());
  EXPECT_TRUE(verify_chain({member_called("member", false)}, root_, kNow).ok());
  EXPECT_EQ(refusal({member_called("Root", true)}, root_), ErrorCode::kInvalidSignature);
  EXPECT_EQ(refusal({member_called("Root", false)}, root_), ErrorCode::kInvalidSignature);
  const Der middle = intermediate("Root", *middle_key_, "Root", *root_key_);
  EXPECT_EQ(refusal({leaf("Root", *middle_key_), middle}, root_), ErrorCode::kInvalidSignature);
}

TEST_F(ChainTest, EveryAlteredByteOfAChainIsRefused) {
  // With Ed25519 and P-256 signatures in it.
  const Der middle = intermediate("Middle", *middle_key_, "Root", *root_key_);
  const std::vector<Der> chain = {leaf("Middle", *middle_key_), middle};
  ASSERT_TRUE(verify_chain(chain, root_, kNow).ok());
  const auto flip_all = [](Der certificate, auto verify) {
    for (std::size_t i = 0; i < certificate.size(); i += colophon::test::sample_step(1, 7)) {
      for (int bit = 0; bit < 8; ++bit) {
        certificate[i] = static_cast<std::uint8_t>(certificate[i] ^ (1 << bit));
        EXPECT_FALSE(verify(certificate)) << "byte " << i << ", bit " << bit;
        certificate[i] = static_cast<std::uint8_t>(certificate[i] ^ (1 << bit));
      }
    }
  };
  flip_all(chain[0], [&](const Der& x) { return verify_chain({x, middle}, root_, kNow).ok(); });
  flip_all(middle, [&](const Der& x) { return verify_chain({chain[0], x}, root_, kNow).ok(); });
  flip_all(root_, [&](const Der& x) { return verify_chain(chain, x, kNow).ok(); });
}

// --- certificates of other makers ---------------------------------------------------------------

TEST(ForeignCertificates, ChainMadeByTheOpensslCommandLineIsAccepted) {
  const Scratch scratch;
  ASSERT_TRUE(scratch.run(
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key "
      "-out ca.pem -days 3650 -subj '/C=CH/O=Office/CN=Office CA' "
      "-addext keyUsage=critical,keyCertSign,cRLSign"))
      << scratch.read("log");
  ASSERT_TRUE(
      scratch.run("openssl req -new -newkey ed25519 -nodes -keyout m.key -out m.csr "
                  "-subj '/C=CH/O=Office/CN=member one'"))
      << scratch.read("log");
  scratch.write("ext",
                "basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\n"
                "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid,issuer:always\n");
  ASSERT_TRUE(
      scratch.run("openssl x509 -req -in m.csr -CA ca.pem -CAkey ca.key -days 365 "
                  "-set_serial 7 -extfile ext -out m.pem"))
      << scratch.read("log");
  const Der root = must(parse_pem_certificates(scratch.read("ca.pem")))[0];
  const Der leaf = must(parse_pem_certificates(scratch.read("m.pem")))[0];
  const std::uint64_t now = must(inspect_certificate(leaf)).not_before_ms + 1000;
  const auto facts = verify_chain({leaf}, root, now);
  ASSERT_TRUE(facts.ok()) << facts.error().message;
  EXPECT_EQ(facts->common_name, "member one");
  EXPECT_EQ(facts->scheme, Scheme::kEd25519);
}

TEST(ForeignCertificates, RsaIsUnsupported) {
  const Scratch scratch;
  ASSERT_TRUE(
      scratch.run("openssl req -x509 -newkey rsa:2048 -nodes -keyout k -out c.pem "
                  "-subj /CN=RSA -days 30"))
      << scratch.read("log");
  const Der certificate = must(parse_pem_certificates(scratch.read("c.pem")))[0];
  EXPECT_EQ(inspect_certificate(certificate).error().code, ErrorCode::kUnsupported);
}

// --- PEM ----------------------------------------------------------------------------------------

TEST(Pem, WhatIsWrittenReadsBackAndTextAroundIsSkipped) {
  const auto key = MemorySigner::create(hsm::KeyType::kEd25519, 41);
  const Der certificate = ca_draft("CA", key->public_key()).sign(*key);
  const std::string pem = to_pem(certificate);
  EXPECT_EQ(must(parse_pem_certificates(pem)), std::vector<Der>{certificate});
  std::string windows = "subject=CA\r\n";
  for (const char c : pem + pem) windows += c == '\n' ? "\r\n" : std::string(1, c);
  EXPECT_EQ(must(parse_pem_certificates(windows)), (std::vector<Der>{certificate, certificate}));
  // The first block is not lost behind a byte order mark: found by fuzzing.
  EXPECT_EQ(must(parse_pem_certificates("\xef\xbb\xbf" + pem + pem)),
            (std::vector<Der>{certificate, certificate}));
}

TEST(Pem, BrokenArmourIsRefused) {
  const std::string block = to_pem(Der(60, 0x30));
  EXPECT_TRUE(parse_pem_certificates(block).ok());
  for (const std::string& text :
       {std::string(), std::string("no block"), block.substr(0, block.size() - 5),
        block.substr(0, 60), std::string("-----BEGIN CERTIFICATE-----"),
        std::string("-----BEGIN -----\n-----END -----\n"), std::string("-----BEGIN ----\n"),
        std::string("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"),
        std::string("-----BEGIN CERTIFICATE-----\nA*==\n-----END CERTIFICATE-----\n"),
        // OpenSSL refuses these too: an empty line, headers, another label at the end.
        std::string("-----BEGIN CERTIFICATE-----\nMAAA\n\n-----END CERTIFICATE-----\n"),
        std::string("-----BEGIN CERTIFICATE-----\n\nMAAA\n-----END CERTIFICATE-----\n"),
        std::string("-----BEGIN CERTIFICATE-----\nA: b\n\nMAAA\n-----END CERTIFICATE-----\n"),
        std::string("-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATES-----\n"),
        std::string("-----BEGIN CERTIFICATE-----\nMAAA\n-----END X509 CRL-----\n"),
        std::string("-----BEGIN PRIVATE KEY-----\nMAAA\n-----END PRIVATE KEY-----\n")}) {
    const auto result = parse_pem_certificates(text);
    ASSERT_FALSE(result.ok()) << text;
    EXPECT_EQ(result.error().code, ErrorCode::kMalformed);
  }
  std::string many;
  for (int i = 0; i < 17; ++i) many += block;
  EXPECT_EQ(parse_pem_certificates(many).error().code, ErrorCode::kLimitExceeded);
  EXPECT_FALSE(parse_pem_public_key(block).ok());
}

// --- DER ----------------------------------------------------------------------------------------

TEST(DerTest, OnlyTheOneEncodingIsAccepted) {
  const std::vector<Der> good = {{0x05, 0x00},
                                 {0x02, 0x01, 0x00},
                                 {0x02, 0x02, 0x00, 0x80},
                                 {0x01, 0x01, 0xff},
                                 {0x30, 0x00},
                                 {0x31, 0x04, 0x05, 0x00, 0x05, 0x00},
                                 {0x03, 0x02, 0x07, 0x80},
                                 {0x0c, 0x02, 0xc3, 0xa9},
                                 {0x06, 0x02, 0x2a, 0x03}};
  for (const Der& x : good) EXPECT_TRUE(check_der(x, "x").ok()) << ::testing::PrintToString(x);
  const std::vector<Der> bad = {{},
                                {0x30},
                                {0x02, 0x00},                    // an integer has contents
                                {0x02, 0x02, 0x00, 0x7f},        // padded
                                {0x02, 0x02, 0xff, 0x80},        // padded, negative
                                {0x01, 0x01, 0x01},              // true is FF
                                {0x05, 0x01, 0x00},              // NULL is empty
                                {0x04, 0x81, 0x01, 0x00},        // long form for a short length
                                {0x04, 0x82, 0x00, 0x81},        // length with a leading zero
                                {0x30, 0x80, 0x00, 0x00},        // indefinite
                                {0x24, 0x03, 0x04, 0x01, 0x00},  // string in pieces
                                {0x10, 0x00},                    // SEQUENCE is constructed
                                {0x1f, 0x22, 0x00},              // high tag number
                                {0x03, 0x01, 0x01},              // unused bits of nothing
                                {0x03, 0x02, 0x07, 0xc0},        // unused bit set
                                {0x03, 0x02, 0x08, 0x00},        // eight unused bits
                                {0x06, 0x02, 0x80, 0x01},        // arc with a leading zero digit
                                {0x06, 0x01, 0x81},              // arc not finished
                                {0x0c, 0x02, 0xc0, 0x80},        // over-long UTF-8
                                {0x0c, 0x03, 0xed, 0xa0, 0x80},  // surrogate
                                {0x13, 0x01, 0x40},              // '@' is not PrintableString
                                {0x31, 0x05, 0x05, 0x00, 0x02, 0x01, 0x00},  // SET out of order
                                {0x30, 0x03, 0x02, 0x02, 0x01},  // child longer than its parent
                                {0x05, 0x00, 0x00}};             // bytes after
  for (const Der& x : bad) EXPECT_FALSE(check_der(x, "x").ok()) << ::testing::PrintToString(x);
  Der deep = {0x05, 0x00};
  for (int i = 0; i < 16; ++i) deep = der(der_tag::kSequence, {deep});
  EXPECT_TRUE(check_der(deep, "x").ok());
  EXPECT_FALSE(check_der(der(der_tag::kSequence, {deep}), "x").ok());
}

TEST(DerTest, LengthsAreMinimalAroundEveryLimit) {
  for (const std::size_t size : {0U, 1U, 127U, 128U, 255U, 256U, 65535U, 65536U}) {
    const Der made = der(der_tag::kOctetString, {Der(size)});
    const auto content = der_content(made, der_tag::kOctetString, "x");
    ASSERT_TRUE(content.ok()) << size;
    EXPECT_EQ(content->size(), size);
  }
}

}  // namespace
}  // namespace colophon::node
