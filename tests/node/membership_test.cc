// SPDX-License-Identifier: Apache-2.0
#include "node/contracts/membership/membership.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "node/bytes.h"
#include "node/contracts/contract.h"
#include "node/hex.h"
#include "node/x509.h"
#include "tests/node/certificate_forge.h"
#include "tests/node/contract_chain.h"

namespace colophon::node {
namespace {

using test::Chain;
using test::enrol_member;
using test::enrol_organization;
using test::kBadSignature;
using test::kDenied;
using test::kExists;
using test::kExpired;
using test::kMalformed;
using test::member_key_id;
using test::MemorySigner;
using test::must;
using test::Refusal;
using test::refusal;
using test::revoke_member;
using test::succeeded;
using test::TestOrganization;

// Two organizations, of one kind of CA each, and keys that belong to nobody yet.
class MembershipTest : public ::testing::Test {
 protected:
  MembershipTest() {
    acme.enrol(chain);
    archive.enrol(chain);
  }

  Outcome run(MemorySigner& signer, std::string payload) {
    return chain.run(signer, "membership", std::move(payload));
  }
  // A call that must leave no trace.
  Refusal refused(MemorySigner& signer, std::string payload) {
    const auto state = chain.state.entries;
    const std::size_t events = chain.leaves.size();
    const Refusal found = refusal(run(signer, std::move(payload)));
    EXPECT_EQ(chain.state.entries, state);
    EXPECT_EQ(chain.leaves.size(), events);
    return found;
  }
  Refusal refused_by_check(const std::string& payload) {
    return refusal(membership_contract().check(as_bytes(payload)));
  }
  // The organization that a key acts for; empty if for none.
  std::string acts_for(const MemorySigner& key) {
    const StateOverlay overlay(chain.state);
    const auto found = active_member_organization(
        overlay,
        key.key_type() == hsm::KeyType::kP256 ? Scheme::kEcdsaP256Sha256 : Scheme::kEd25519,
        key.public_key().raw);
    return found ? *found : "";
  }
  proto::Member member(const MemorySigner& key) {
    proto::Member parsed;
    EXPECT_TRUE(
        parsed.ParseFromString(chain.state.entries.at(member_state_key(member_key_id(key)))));
    return parsed;
  }

  Chain chain;
  TestOrganization acme{"acme", 1, hsm::KeyType::kEd25519};
  TestOrganization archive{"archive", 2, hsm::KeyType::kP256};
  std::unique_ptr<MemorySigner> ann = MemorySigner::create(hsm::KeyType::kP256, 11);
  std::unique_ptr<MemorySigner> bob = MemorySigner::create(hsm::KeyType::kEd25519, 12);
  std::unique_ptr<MemorySigner> eve = MemorySigner::create(hsm::KeyType::kP256, 13);
};

// --- organizations -------------------------------------------------------------------------------

TEST_F(MembershipTest, OrganizationIsKeptAndLogged) {
  proto::Organization stored;
  ASSERT_TRUE(stored.ParseFromString(chain.state.entries.at(organization_state_key("acme"))));
  EXPECT_EQ(stored.id(), "acme");
  EXPECT_EQ(stored.name(), "Name of acme");
  EXPECT_EQ(as_text(acme.ca_certificate), stored.ca_certificate());
  EXPECT_EQ(stored.enrolled_at_ms(), chain.now_ms);
  const proto::Event event = chain.event(0);
  EXPECT_EQ(event.contract(), "membership");
  EXPECT_EQ(event.type(), "organization_enrolled");
  EXPECT_EQ(event.subject(), "acme");
  EXPECT_EQ(event.data(), stored.SerializeAsString());
  EXPECT_EQ(event.signer_public_key(), as_text(chain.administrator->public_key().raw));
}

TEST_F(MembershipTest, OnlyTheAdministratorEnrolsOrganizations) {
  const TestOrganization other("other", 3);
  const std::string payload = enrol_organization("other", "Other", other.ca_certificate);
  acme.enrol(chain, *ann);
  for (MemorySigner* signer : {ann.get(), eve.get(), other.ca.get()}) {
    EXPECT_EQ(refused(*signer, payload), (Refusal{kDenied, "public_key"}));
  }
  EXPECT_TRUE(succeeded(run(*chain.administrator, payload)));
}

TEST_F(MembershipTest, AdministratorIsOneKeyOfOneScheme) {
  const auto signer = MemorySigner::create(hsm::KeyType::kEd25519, 14);
  const TestOrganization other("other", 3);
  const std::string payload = enrol_organization("other", "Other", other.ca_certificate);
  chain.genesis.administrator_scheme = Scheme::kEd25519;
  chain.genesis.administrator_public_key = signer->public_key().raw;
  EXPECT_EQ(refused(*chain.administrator, payload), (Refusal{kDenied, "public_key"}));
  chain.genesis.administrator_scheme = Scheme::kEcdsaP256Sha256;  // the same bytes
  EXPECT_EQ(refused(*signer, payload), (Refusal{kDenied, "public_key"}));
  chain.genesis.administrator_scheme = Scheme::kEd25519;
  EXPECT_TRUE(succeeded(run(*signer, payload)));
}

TEST_F(MembershipTest, OrganizationIdIsTakenOnce) {
  const TestOrganization other("acme", 3);
  EXPECT_EQ(refused(*chain.administrator, enrol_organization("acme", "B", other.ca_certificate)),
            (Refusal{kExists, "id"}));
}

TEST_F(MembershipTest, OrganizationIdsAreBounded) {
  const auto id_refusal = [&](std::string_view id) {
    const std::string payload = enrol_organization(id, "Name", acme.ca_certificate);
    const Refusal at_check = refused_by_check(payload);
    EXPECT_EQ(refused(*chain.administrator, payload), at_check);
    return at_check;
  };
  for (const std::string& id :
       {std::string(), std::string("a"), std::string(33, 'a'), std::string("Acme"),
        std::string("a.b"), std::string("a_b"), std::string("a b"), std::string("a/b"),
        std::string("ab\n"), std::string("a\0b", 3), std::string("\xc3\xa9t"),
        std::string("ab\xff")}) {
    EXPECT_EQ(id_refusal(id), (Refusal{kMalformed, "id"})) << id;
  }
  for (const std::string& id :
       {std::string("ab"), std::string(32, 'a'), std::string("a-0"), std::string("--")}) {
    EXPECT_TRUE(
        succeeded(run(*chain.administrator, enrol_organization(id, "Name", acme.ca_certificate))))
        << id;
  }
}

TEST_F(MembershipTest, OrganizationNamesAreUtf8LinesOfBoundedLength) {
  const auto name_refusal = [&](const std::string& name) {
    return refused_by_check(enrol_organization("other", name, acme.ca_certificate));
  };
  for (const std::string& name :
       {std::string(), std::string("\xff"), std::string("\xc0\xaf"), std::string("a\xed\xa0\x80"),
        std::string("\xf4\x90\x80\x80"), std::string("a\xc3"), std::string("a\nb"),
        std::string("a\0b", 3), std::string("a\tb"), std::string("a\x1b[31m"), std::string("a\x7f"),
        std::string("a\xc2\x80"), std::string("a\xc2\x9f"), std::string("a\u2028b"),
        std::string("a\u2029")}) {
    EXPECT_EQ(name_refusal(name), (Refusal{kMalformed, "name"})) << name;
  }
  EXPECT_EQ(name_refusal(std::string(257, 'a')), (Refusal{ErrorCode::kLimitExceeded, "name"}));
  int i = 0;
  for (const std::string& name : {std::string("x"), std::string(256, 'a'), std::string("a\u00a0b"),
                                  std::string("a\u2027\u202a"), std::string("株式会社 “Ä” 🎼"),
                                  std::string("\u00c2\u00bf")}) {
    const std::string id = "other-" + std::to_string(i++);
    EXPECT_TRUE(
        succeeded(run(*chain.administrator, enrol_organization(id, name, acme.ca_certificate))))
        << name;
  }
}

// An id is never given back, so a CA that could not certify anybody must not get one.
TEST_F(MembershipTest, OnlyASelfSignedCaCanBeAnOrganizations) {
  const auto ca = MemorySigner::create(hsm::KeyType::kP256, 21);
  const auto parent = MemorySigner::create(hsm::KeyType::kP256, 22);
  const Refusal not_a_root{kBadSignature, "ca_certificate"};
  const auto ca_refusal = [&](const Der& certificate) {
    return refused(*chain.administrator, enrol_organization("other", "Other", certificate));
  };
  // A member's certificate; one issued by another CA; self-issued, signed by another key; a
  // signature that does not verify.
  EXPECT_EQ(ca_refusal(acme.certify(*ann)), not_a_root);
  EXPECT_EQ(ca_refusal(test::draft("Sub CA", ca->public_key(), "Parent", parent->public_key(), true)
                           .sign(*parent)),
            not_a_root);
  EXPECT_EQ(ca_refusal(test::ca_draft("Other CA", ca->public_key()).sign(*parent)), not_a_root);
  // Self-signed, and not a CA's.
  EXPECT_EQ(ca_refusal(
                test::draft("Other", ca->public_key(), "Other", ca->public_key(), false).sign(*ca)),
            not_a_root);
  // Says that it was issued under another serial number than its own.
  test::CertificateDraft draft = test::ca_draft("Other CA", ca->public_key());
  draft.extensions[3] =
      test::extension(kOidAuthorityKeyIdentifier, false,
                      der(der_tag::kSequence,
                          {der(der_tag::context(0, false), {test::key_id_of(ca->public_key())}),
                           der(der_tag::context(1, true),
                               {der(der_tag::context(4, true), {test::common_name("Other CA")})}),
                           der(der_tag::context(2, false), {Der{0x63}})}));
  EXPECT_EQ(ca_refusal(draft.sign(*ca)), not_a_root);
  Der mauled = test::ca_draft("Other CA", ca->public_key()).sign(*ca);
  mauled[mauled.size() - 1] ^= 1;
  EXPECT_EQ(ca_refusal(mauled), not_a_root);
  // The twin.
  EXPECT_TRUE(
      succeeded(run(*chain.administrator,
                    enrol_organization("other", "Other",
                                       test::ca_draft("Other CA", ca->public_key()).sign(*ca)))));
}

TEST_F(MembershipTest, CaCertificateIsValidAtTheBlocksTime) {
  const auto facts = must(inspect_certificate(acme.ca_certificate));
  const std::string payload = enrol_organization("other", "Other", acme.ca_certificate);
  const Refusal expired{kExpired, "ca_certificate"};
  chain.now_ms = facts.not_after_ms + 1;
  EXPECT_EQ(refused(*chain.administrator, payload), expired);
  // A chain may begin before the certificate does.
  chain.now_ms = facts.not_before_ms - 1;
  EXPECT_EQ(refused(*chain.administrator, payload), expired);
  chain.now_ms = facts.not_before_ms;
  EXPECT_TRUE(succeeded(run(*chain.administrator, payload)));
  chain.now_ms = facts.not_after_ms;
  EXPECT_TRUE(succeeded(
      run(*chain.administrator, enrol_organization("other-2", "Other", acme.ca_certificate))));
}

TEST_F(MembershipTest, CertificatesThatAreNoneAreRefusedByForm) {
  Der long_certificate = acme.ca_certificate;
  long_certificate.resize(kCertificateBytesMax + 1);
  Der longer = acme.ca_certificate;
  longer.push_back(0);
  const std::pair<Der, ErrorCode> cases[] = {
      {{}, kMalformed},
      {{0x30, 0x00}, kMalformed},
      {Der(acme.ca_certificate.begin(), acme.ca_certificate.end() - 1), kMalformed},
      {longer, kMalformed},
      {long_certificate, ErrorCode::kLimitExceeded}};
  for (const auto& [certificate, code] : cases) {
    const std::string organization = enrol_organization("other", "Other", certificate);
    EXPECT_EQ(refused_by_check(organization), (Refusal{code, "ca_certificate"}));
    EXPECT_EQ(refused(*chain.administrator, organization), (Refusal{code, "ca_certificate"}));
    const std::string member = enrol_member("acme", certificate);
    EXPECT_EQ(refused_by_check(member), (Refusal{code, "certificate"}));
    EXPECT_EQ(refused(*ann, member), (Refusal{code, "certificate"}));
  }
}

// --- members -------------------------------------------------------------------------------------

TEST_F(MembershipTest, MemberIsKeptAndLoggedForEveryKindOfKeyAndCa) {
  for (const TestOrganization* organization : {&acme, &archive}) {
    for (const hsm::KeyType type : {hsm::KeyType::kP256, hsm::KeyType::kEd25519}) {
      const auto key = MemorySigner::create(type, organization->id.size());
      const Der certificate = organization->certify(*key);
      ++chain.now_ms;
      ASSERT_TRUE(succeeded(run(*key, enrol_member(organization->id, certificate))));
      EXPECT_EQ(acts_for(*key), organization->id);
      const proto::Member stored = member(*key);
      EXPECT_EQ(stored.key_id(), as_text(member_key_id(*key)));
      EXPECT_EQ(stored.organization(), organization->id);
      EXPECT_EQ(stored.scheme(), type == hsm::KeyType::kP256 ? 1U : 3U);
      EXPECT_EQ(stored.public_key(), as_text(key->public_key().raw));
      EXPECT_EQ(stored.certificate(), as_text(certificate));
      EXPECT_EQ(stored.enrolled_at_ms(), chain.now_ms);
      EXPECT_EQ(stored.revoked_at_ms(), 0U);
      const proto::Event event = chain.event(chain.leaves.size() - 1);
      EXPECT_EQ(event.type(), "member_enrolled");
      EXPECT_EQ(event.subject(), stored.key_id());
      EXPECT_EQ(event.data(), stored.SerializeAsString());
      EXPECT_EQ(event.signer_public_key(), stored.public_key());
    }
  }
}

TEST_F(MembershipTest, KeyNotEnrolledActsForNobody) {
  EXPECT_EQ(acts_for(*ann), "");
  acme.enrol(chain, *ann);
  EXPECT_EQ(acts_for(*ann), "acme");
  EXPECT_EQ(acts_for(*bob), "");
  // The same bytes under the other scheme are another key.
  const StateOverlay overlay(chain.state);
  EXPECT_EQ(refusal(active_member_organization(overlay, Scheme::kEd25519, ann->public_key().raw)),
            (Refusal{kDenied, "public_key"}));
}

TEST_F(MembershipTest, OnlyTheHolderOfTheKeyEnrolsIt) {
  const std::string payload = enrol_member("acme", acme.certify(*ann));
  acme.enrol(chain, *bob);
  for (MemorySigner* signer : {eve.get(), bob.get(), chain.administrator.get(), acme.ca.get()}) {
    EXPECT_EQ(refused(*signer, payload), (Refusal{kDenied, "public_key"}));
  }
  EXPECT_TRUE(succeeded(run(*ann, payload)));
}

TEST_F(MembershipTest, CertificateMustBeOfTheOrganizationsOwnCa) {
  const Refusal not_proof{kBadSignature, "certificate"};
  // Of the other organization's CA; of a CA of the same name with another key; signed by oneself;
  // an alteration.
  EXPECT_EQ(refused(*ann, enrol_member("acme", archive.certify(*ann))), not_proof);
  const TestOrganization impostor("acme", 31);
  EXPECT_EQ(refused(*ann, enrol_member("acme", impostor.certify(*ann))), not_proof);
  EXPECT_EQ(refused(*ann, enrol_member("acme", acme.member_draft(*ann).sign(*bob))), not_proof);
  Der mauled = acme.certify(*ann);
  mauled[mauled.size() - 1] ^= 1;
  EXPECT_EQ(refused(*ann, enrol_member("acme", mauled)), not_proof);
  EXPECT_TRUE(succeeded(run(*ann, enrol_member("acme", acme.certify(*ann)))));
}

TEST_F(MembershipTest, CertificateMustBeForSigningAndNotACas) {
  const Refusal not_proof{kBadSignature, "certificate"};
  test::CertificateDraft draft = acme.member_draft(*ann);
  draft.extensions[1] = test::extension(kOidKeyUsage, true, {0x03, 0x02, 0x05, 0x20});
  EXPECT_EQ(refused(*ann, enrol_member("acme", draft.sign(*acme.ca))), not_proof);
  const Der sub_ca =
      test::draft("a member of acme", ann->public_key(), "acme CA", acme.ca->public_key(), true)
          .sign(*acme.ca);
  EXPECT_EQ(refused(*ann, enrol_member("acme", sub_ca)), not_proof);
  // The CA's own key with the CA's own certificate.
  EXPECT_EQ(refused(*acme.ca, enrol_member("acme", acme.ca_certificate)), not_proof);
  EXPECT_TRUE(succeeded(run(*ann, enrol_member("acme", acme.certify(*ann)))));
}

TEST_F(MembershipTest, CertificateMustBeValidAtTheBlocksTime) {
  const auto enrol_with = [&](const char* from, const char* to) {
    test::CertificateDraft draft = acme.member_draft(*ann);
    draft.validity = der(der_tag::kSequence, {test::utc_time(from), test::utc_time(to)});
    return enrol_member("acme", draft.sign(*acme.ca));
  };
  chain.now_ms = test::at("2027-03-01T10:00:00.000Z");
  const Refusal expired{kExpired, "certificate"};
  EXPECT_EQ(refused(*ann, enrol_with("270301100001Z", "280101000000Z")), expired);
  EXPECT_EQ(refused(*ann, enrol_with("260301000000Z", "270301095959Z")), expired);
  // The CA's own time is over.
  const std::string payload = enrol_with("260301000000Z", "490101000000Z");
  chain.now_ms = test::at("2031-01-01T00:00:00.000Z");
  EXPECT_EQ(refused(*ann, payload), expired);
  // The last millisecond is part of it.
  chain.now_ms = test::at("2027-03-01T10:00:00.999Z");
  EXPECT_TRUE(succeeded(run(*ann, enrol_with("270301100000Z", "270301100000Z"))));
}

// Anybody can make signatures that verify under such a key: it proves nothing of who signed.
TEST_F(MembershipTest, KeysOfSmallOrderAndSecondFormsAreRefused) {
  const auto certificate_for = [&](const std::string& key_hex) {
    test::CertificateDraft draft = acme.member_draft(*bob);
    const std::vector<std::uint8_t> key = hex_decode(key_hex).value();
    std::copy(key.begin(), key.end(), draft.spki.end() - 32);
    return draft.sign(*acme.ca);
  };
  const std::string middle(60, 'f');
  for (const std::string& key :
       {"01" + std::string(62, '0'), "01" + std::string(60, '0') + "80", std::string(64, '0'),
        std::string(62, '0') + "80", "ec" + middle + "7f", "ec" + middle + "ff",
        std::string("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        std::string("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"),
        std::string("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
        std::string("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"),
        // y >= p: 0, 1, 3 and the last one again, with another first byte.
        "ed" + middle + "7f", "ee" + middle + "7f", "f0" + middle + "7f", "ff" + middle + "ff"}) {
    const std::string payload = enrol_member("acme", certificate_for(key));
    EXPECT_EQ(refused_by_check(payload), (Refusal{kMalformed, "certificate"})) << key;
    // And no CA's either.
    const auto ca = MemorySigner::create(hsm::KeyType::kEd25519, 41);
    test::CertificateDraft draft = test::ca_draft("Other CA", ca->public_key());
    const std::vector<std::uint8_t> bytes = hex_decode(key).value();
    std::copy(bytes.begin(), bytes.end(), draft.spki.end() - 32);
    EXPECT_EQ(refused_by_check(enrol_organization("other", "Other", draft.sign(*ca))),
              (Refusal{kMalformed, "ca_certificate"}));
  }
  // One less than p, and a look-alike of a small-order key, are keys like any other.
  for (const std::string& key :
       {"eb" + middle + "7f", "ec" + std::string(58, 'f') + "fe7f", "02" + std::string(62, '0'),
        std::string("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc06")}) {
    EXPECT_TRUE(
        membership_contract().check(as_bytes(enrol_member("acme", certificate_for(key)))).ok())
        << key;
  }
}

TEST_F(MembershipTest, UnknownOrganizationIsRefused) {
  EXPECT_EQ(refused(*ann, enrol_member("nobody", acme.certify(*ann))),
            (Refusal{ErrorCode::kNotFound, "organization"}));
  for (const char* id : {"", "a", "Acme", "acme/x"}) {
    EXPECT_EQ(refused_by_check(enrol_member(id, acme.certify(*ann))),
              (Refusal{kMalformed, "organization"}));
  }
}

TEST_F(MembershipTest, KeyIsEnrolledOnceForOneOrganization) {
  acme.enrol(chain, *ann);
  EXPECT_EQ(refused(*ann, enrol_member("acme", acme.certify(*ann))),
            (Refusal{kExists, "public_key"}));
  // A second certificate for the same key, and one of another organization.
  test::CertificateDraft renewed = acme.member_draft(*ann);
  renewed.serial = {0x02, 0x01, 0x2b};
  EXPECT_EQ(refused(*ann, enrol_member("acme", renewed.sign(*acme.ca))),
            (Refusal{kExists, "public_key"}));
  EXPECT_EQ(refused(*ann, enrol_member("archive", archive.certify(*ann))),
            (Refusal{kExists, "public_key"}));
  EXPECT_EQ(acts_for(*ann), "acme");
}

// --- revocation ----------------------------------------------------------------------------------

TEST_F(MembershipTest, RevokedKeyActsForNobodyAndDoesNotComeBack) {
  acme.enrol(chain, *ann);
  const proto::Member before = member(*ann);
  chain.now_ms += 77;
  ASSERT_TRUE(succeeded(run(*chain.administrator, revoke_member(member_key_id(*ann)))));
  EXPECT_EQ(acts_for(*ann), "");
  proto::Member expected = before;
  expected.set_revoked_at_ms(chain.now_ms);
  EXPECT_EQ(member(*ann).SerializeAsString(), expected.SerializeAsString());
  const proto::Event event = chain.event(chain.leaves.size() - 1);
  EXPECT_EQ(event.type(), "member_revoked");
  EXPECT_EQ(event.subject(), before.key_id());
  EXPECT_EQ(event.data(), expected.SerializeAsString());

  EXPECT_EQ(refused(*ann, enrol_member("acme", acme.certify(*ann))),
            (Refusal{kExists, "public_key"}));
  EXPECT_EQ(refused(*ann, enrol_member("archive", archive.certify(*ann))),
            (Refusal{kExists, "public_key"}));
  EXPECT_EQ(refused(*chain.administrator, revoke_member(member_key_id(*ann))),
            (Refusal{kExists, "key_id"}));
}

TEST_F(MembershipTest, MembersRevokeKeysOfTheirOwnOrganizationOnly) {
  const auto ada = MemorySigner::create(hsm::KeyType::kEd25519, 15);
  acme.enrol(chain, *ann);
  acme.enrol(chain, *ada);
  archive.enrol(chain, *bob);
  EXPECT_EQ(refused(*bob, revoke_member(member_key_id(*ann))), (Refusal{kDenied, "key_id"}));
  EXPECT_EQ(refused(*eve, revoke_member(member_key_id(*ann))), (Refusal{kDenied, "public_key"}));
  EXPECT_EQ(refused(*acme.ca, revoke_member(member_key_id(*ann))),
            (Refusal{kDenied, "public_key"}));
  EXPECT_TRUE(succeeded(run(*ada, revoke_member(member_key_id(*ann)))));
  // A revoked key revokes nobody, not even itself again.
  EXPECT_EQ(refused(*ann, revoke_member(member_key_id(*ada))), (Refusal{kDenied, "public_key"}));
  EXPECT_EQ(refused(*ann, revoke_member(member_key_id(*ann))), (Refusal{kDenied, "public_key"}));
  // One's own key is of one's own organization.
  EXPECT_TRUE(succeeded(run(*ada, revoke_member(member_key_id(*ada)))));
  EXPECT_EQ(acts_for(*ada), "");
  EXPECT_EQ(acts_for(*bob), "archive");
}

TEST_F(MembershipTest, KeyIdsAreChecked) {
  EXPECT_EQ(refused(*chain.administrator, revoke_member(member_key_id(*ann))),
            (Refusal{ErrorCode::kNotFound, "key_id"}));
  for (const std::size_t size : {0U, 31U, 33U}) {
    proto::MembershipCall call;
    call.mutable_revoke_member()->set_key_id(std::string(size, 'k'));
    EXPECT_EQ(refused_by_check(call.SerializeAsString()), (Refusal{kMalformed, "key_id"}));
  }
}

// --- payload forms -------------------------------------------------------------------------------

TEST_F(MembershipTest, PayloadHasOneForm) {
  const std::string valid = enrol_member("acme", acme.certify(*ann));
  EXPECT_TRUE(membership_contract().check(as_bytes(valid)).ok());
  const Refusal refused_payload{kMalformed, "payload"};
  EXPECT_EQ(refused_by_check(""), refused_payload);
  EXPECT_EQ(refused_by_check(std::string("\x22\x02\x0a\x00", 4)),
            refused_payload);  // an unknown call
  EXPECT_EQ(refused_by_check(valid + std::string("\x20\x01", 2)), refused_payload);
  EXPECT_EQ(refused_by_check(valid + valid), refused_payload);  // merged
  EXPECT_EQ(refused_by_check(valid + revoke_member(member_key_id(*ann))), refused_payload);
  EXPECT_EQ(refused_by_check(valid.substr(0, valid.size() - 1)), refused_payload);
  EXPECT_EQ(refused_by_check("not protobuf"), refused_payload);
  for (std::size_t size = 0; size < valid.size(); ++size) {
    EXPECT_FALSE(membership_contract().check(as_bytes(valid.substr(0, size))).ok()) << size;
  }
}

}  // namespace
}  // namespace colophon::node
