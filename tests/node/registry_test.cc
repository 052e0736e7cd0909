// SPDX-License-Identifier: Apache-2.0
#include "node/contracts/registry/registry.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>

#include "node/bytes.h"
#include "node/contracts/contract.h"
#include "node/hex.h"
#include "tests/node/certificate_forge.h"
#include "tests/node/contract_chain.h"

namespace colophon::node {
namespace {

using test::Chain;
using test::kDenied;
using test::kExists;
using test::kInvalid;
using test::kMalformed;
using test::MemorySigner;
using test::Refusal;
using test::refusal;
using test::register_commitment;
using test::register_document;
using test::sha256;
using test::succeeded;
using test::TestOrganization;
using test::transfer;

// Two organizations with members; eve is nobody's.
class RegistryTest : public ::testing::Test {
 protected:
  RegistryTest() {
    for (const TestOrganization* organization : {&acme, &archive}) organization->enrol(chain);
    acme.enrol(chain, *ann);
    acme.enrol(chain, *ada);
    archive.enrol(chain, *bob);
  }

  Outcome run(MemorySigner& signer, std::string payload) {
    return chain.run(signer, "registry", std::move(payload));
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
    return refusal(registry_contract().check(as_bytes(payload)));
  }
  // Registers and returns the record's id.
  Digest registered(MemorySigner& signer, const std::string& payload) {
    const std::string transaction = chain.sign(signer, "registry", payload);
    EXPECT_TRUE(succeeded(chain.run(transaction)));
    return record_id(chain.id(transaction));
  }
  proto::Record record(const Digest& id) {
    proto::Record parsed;
    EXPECT_TRUE(parsed.ParseFromString(chain.state.entries.at(record_state_key(id))));
    return parsed;
  }
  proto::Event last_event() { return chain.event(chain.leaves.size() - 1); }

  Chain chain;
  TestOrganization acme{"acme", 1};
  TestOrganization archive{"archive", 2};
  std::unique_ptr<MemorySigner> ann = MemorySigner::create(hsm::KeyType::kP256, 11);
  std::unique_ptr<MemorySigner> ada = MemorySigner::create(hsm::KeyType::kEd25519, 12);
  std::unique_ptr<MemorySigner> bob = MemorySigner::create(hsm::KeyType::kEd25519, 13);
  std::unique_ptr<MemorySigner> eve = MemorySigner::create(hsm::KeyType::kP256, 14);
};

// --- registering ---------------------------------------------------------------------------------

TEST_F(RegistryTest, RecordIsKeptAndLogged) {
  chain.now_ms += 5;
  const std::string transaction =
      chain.sign(*ann, "registry", register_document(sha256("one"), "Étude", "patent"));
  ASSERT_TRUE(succeeded(chain.run(transaction)));
  const Digest id = record_id(chain.id(transaction));
  EXPECT_EQ(id,
            sha256(std::string("colophon record v1\0", 19) + test::text_of(chain.id(transaction))));
  proto::Record expected;
  expected.set_id(test::text_of(id));
  expected.set_owner("acme");
  expected.set_type("patent");
  expected.set_title("Étude");
  expected.set_document_sha256(test::text_of(sha256("one")));
  expected.set_registered_at_ms(chain.now_ms);
  expected.set_revision(1);
  EXPECT_EQ(record(id).SerializeAsString(), expected.SerializeAsString());

  const proto::Event event = last_event();
  EXPECT_EQ(event.index(), chain.leaves.size() - 1);
  EXPECT_EQ(event.block_height(), chain.height);
  EXPECT_EQ(event.block_time_ms(), chain.now_ms);
  EXPECT_EQ(event.transaction_id(), as_text(chain.id(transaction)));
  EXPECT_EQ(event.signer_scheme(), 1U);
  EXPECT_EQ(event.signer_public_key(), as_text(ann->public_key().raw));
  EXPECT_EQ(event.contract(), "registry");
  EXPECT_EQ(event.type(), "registered");
  EXPECT_EQ(event.subject(), as_text(id));
  EXPECT_EQ(event.data(), expected.SerializeAsString());
}

TEST_F(RegistryTest, CommitmentStandsForTheHash) {
  const proto::Record kept = record(registered(*ann, register_commitment(sha256("salted"))));
  EXPECT_EQ(kept.commitment(), as_text(sha256("salted")));
  EXPECT_TRUE(kept.document_sha256().empty());
}

TEST_F(RegistryTest, EveryTypeAndNoOther) {
  for (const std::string_view type : kRegistryTypes) {
    EXPECT_EQ(record(registered(*ann, register_document(sha256(type), "Title", type))).type(),
              type);
  }
  for (const char* type : {"", "Work", "work ", "works", "wor", "trade-secret", "work\xff"}) {
    EXPECT_EQ(refused_by_check(register_document(sha256("x"), "Title", type)),
              (Refusal{kMalformed, "type"}))
        << type;
  }
}

TEST_F(RegistryTest, OnlyActiveMembersRegister) {
  const std::string payload = register_document(sha256("one"));
  for (MemorySigner* signer : {eve.get(), chain.administrator.get(), acme.ca.get()}) {
    EXPECT_EQ(refused(*signer, payload), (Refusal{kDenied, "public_key"}));
  }
  ASSERT_TRUE(succeeded(chain.run(*chain.administrator, "membership",
                                  test::revoke_member(test::member_key_id(*ann)))));
  EXPECT_EQ(refused(*ann, payload), (Refusal{kDenied, "public_key"}));
  // The organization's other key still acts for it.
  EXPECT_EQ(record(registered(*ada, payload)).owner(), "acme");
}

TEST_F(RegistryTest, RevocationTakesEffectWithinTheBlock) {
  const auto outcomes =
      chain.block({chain.sign(*ann, "registry", register_document(sha256("before"))),
                   chain.sign(*ada, "membership", test::revoke_member(test::member_key_id(*ann))),
                   chain.sign(*ann, "registry", register_document(sha256("after")))});
  EXPECT_TRUE(succeeded(outcomes[0]));
  EXPECT_TRUE(succeeded(outcomes[1]));
  EXPECT_EQ(refusal(outcomes[2]), (Refusal{kDenied, "public_key"}));
}

TEST_F(RegistryTest, OrganizationRegistersADocumentOnce) {
  const Digest first = registered(*ann, register_document(sha256("one"), "First"));
  const Refusal again{kExists, "document_sha256"};
  EXPECT_EQ(refused(*ann, register_document(sha256("one"), "First")), again);
  EXPECT_EQ(refused(*ada, register_document(sha256("one"), "Other title", "design")), again);
  const auto outcome = run(*ada, register_document(sha256("one")));
  EXPECT_NE(outcome.error->message.find(hex_encode(first)), std::string::npos);
  // Whoever owns the record today.
  ASSERT_TRUE(succeeded(run(*ann, transfer(first, "archive", 1))));
  EXPECT_EQ(refused(*ann, register_document(sha256("one"))), again);
  // Another organization may, and the ledger proves who was first.
  const Digest second = registered(*bob, register_document(sha256("one")));
  EXPECT_NE(first, second);
  EXPECT_EQ(record(second).owner(), "archive");
  // A commitment of the same bytes is another thing, once.
  registered(*ann, register_commitment(sha256("one")));
  EXPECT_EQ(refused(*ada, register_commitment(sha256("one"))), (Refusal{kExists, "commitment"}));
}

TEST_F(RegistryTest, DocumentIsRegisteredOnceWithinABlockToo) {
  const auto outcomes =
      chain.block({chain.sign(*ann, "registry", register_document(sha256("one"))),
                   chain.sign(*ada, "registry", register_document(sha256("one"))),
                   chain.sign(*bob, "registry", register_document(sha256("one")))});
  EXPECT_TRUE(succeeded(outcomes[0]));
  EXPECT_EQ(refusal(outcomes[1]), (Refusal{kExists, "document_sha256"}));
  EXPECT_TRUE(succeeded(outcomes[2]));
}

// In the state, an organization's id ends where a character stands that no id has.
TEST_F(RegistryTest, OrganizationsOfOnePrefixDoNotShareDocuments) {
  const TestOrganization longer("acme-h", 3);
  const auto member = MemorySigner::create(hsm::KeyType::kP256, 15);
  longer.enrol(chain);
  longer.enrol(chain, *member);
  registered(*ann, register_document(sha256("one")));
  registered(*member, register_document(sha256("one")));
}

TEST_F(RegistryTest, TitlesAreUtf8LinesOfBoundedLength) {
  const auto title_refusal = [&](const std::string& title) {
    return refused_by_check(register_document(sha256("x"), title));
  };
  for (const std::string& title :
       {std::string(), std::string("\xff"), std::string("\xc0\x80"), std::string("\xe0\x80\xaf"),
        std::string("\xed\xbf\xbf"), std::string("\xf0\x9f\x8e"), std::string("\xf5\x80\x80\x80"),
        std::string("\x80"), std::string("a\rb"), std::string("\n"), std::string(1, '\0'),
        std::string("a\x1f"), std::string("\x7f"), std::string("\u0080"), std::string("\u009f"),
        std::string("a\u2028"), std::string("\u2029")}) {
    EXPECT_EQ(title_refusal(title), (Refusal{kMalformed, "title"})) << title;
  }
  EXPECT_EQ(title_refusal(std::string(513, 'a')), (Refusal{ErrorCode::kLimitExceeded, "title"}));
  // 512 bytes are bytes, not characters.
  std::string wide;
  for (int i = 0; i < 171; ++i) wide += "琴";
  EXPECT_EQ(title_refusal(wide), (Refusal{ErrorCode::kLimitExceeded, "title"}));
  wide.resize(510);
  for (const std::string& title :
       {wide, std::string(512, 'a'), std::string(" "), std::string("\u00a0"),
        std::string("\u2027\u2030"), std::string("\U0010ffff")}) {
    const Digest id = registered(*ann, register_document(sha256(title), title));
    EXPECT_EQ(record(id).title(), title);
  }
}

TEST_F(RegistryTest, ExactlyOneOfHashAndCommitmentOf32Bytes) {
  const auto value_refusal = [&](std::size_t document, std::size_t commitment) {
    proto::RegistryCall call;
    call.mutable_register_()->set_type("work");
    call.mutable_register_()->set_title("Title");
    call.mutable_register_()->set_document_sha256(std::string(document, 'd'));
    call.mutable_register_()->set_commitment(std::string(commitment, 'c'));
    return refused_by_check(call.SerializeAsString());
  };
  EXPECT_EQ(value_refusal(0, 0), (Refusal{kMalformed, "document_sha256"}));
  EXPECT_EQ(value_refusal(32, 32), (Refusal{kMalformed, "document_sha256"}));
  for (const std::size_t size : {1U, 31U, 33U, 64U}) {
    EXPECT_EQ(value_refusal(size, 0), (Refusal{kMalformed, "document_sha256"})) << size;
    EXPECT_EQ(value_refusal(0, size), (Refusal{kMalformed, "commitment"})) << size;
  }
}

// --- transferring --------------------------------------------------------------------------------

TEST_F(RegistryTest, TransferChangesOwnerAndRevisionAndNothingElse) {
  const Digest id = registered(*ann, register_document(sha256("one"), "Title", "software"));
  proto::Record expected = record(id);
  chain.now_ms += 999;
  ASSERT_TRUE(succeeded(run(*ada, transfer(id, "archive", 1))));  // any member of the owner
  expected.set_owner("archive");
  expected.set_revision(2);
  EXPECT_EQ(record(id).SerializeAsString(), expected.SerializeAsString());
  const proto::Event event = last_event();
  EXPECT_EQ(event.type(), "transferred");
  EXPECT_EQ(event.subject(), as_text(id));
  EXPECT_EQ(event.data(), expected.SerializeAsString());
  EXPECT_EQ(event.block_time_ms(), chain.now_ms);
  EXPECT_EQ(event.signer_public_key(), as_text(ada->public_key().raw));
  // And back.
  ASSERT_TRUE(succeeded(run(*bob, transfer(id, "acme", 2))));
  expected.set_owner("acme");
  expected.set_revision(3);
  EXPECT_EQ(record(id).SerializeAsString(), expected.SerializeAsString());
}

TEST_F(RegistryTest, OnlyTheOwnerTransfers) {
  const Digest id = registered(*ann, register_document(sha256("one")));
  EXPECT_EQ(refused(*bob, transfer(id, "archive", 1)), (Refusal{kDenied, "record_id"}));
  EXPECT_EQ(refused(*eve, transfer(id, "archive", 1)), (Refusal{kDenied, "public_key"}));
  EXPECT_EQ(refused(*chain.administrator, transfer(id, "archive", 1)),
            (Refusal{kDenied, "public_key"}));
  ASSERT_TRUE(succeeded(run(*ann, transfer(id, "archive", 1))));
  // Not the one who was it.
  EXPECT_EQ(refused(*ann, transfer(id, "acme", 2)), (Refusal{kDenied, "record_id"}));
  EXPECT_TRUE(succeeded(run(*bob, transfer(id, "acme", 2))));
}

TEST_F(RegistryTest, RevokedKeyTransfersNothing) {
  const Digest id = registered(*ann, register_document(sha256("one")));
  ASSERT_TRUE(
      succeeded(chain.run(*ada, "membership", test::revoke_member(test::member_key_id(*ann)))));
  EXPECT_EQ(refused(*ann, transfer(id, "archive", 1)), (Refusal{kDenied, "public_key"}));
  EXPECT_TRUE(succeeded(run(*ada, transfer(id, "archive", 1))));
}

TEST_F(RegistryTest, StaleRevisionIsRefused) {
  const Digest id = registered(*ann, register_document(sha256("one")));
  for (const std::uint64_t revision : {std::uint64_t{2}, ~std::uint64_t{0}}) {
    EXPECT_EQ(refused(*ann, transfer(id, "archive", revision)), (Refusal{kInvalid, "revision"}));
  }
  EXPECT_EQ(refused_by_check(transfer(id, "archive", 0)), (Refusal{kMalformed, "revision"}));
  ASSERT_TRUE(succeeded(run(*ann, transfer(id, "archive", 1))));
  ASSERT_TRUE(succeeded(run(*bob, transfer(id, "acme", 2))));
  EXPECT_EQ(refused(*ann, transfer(id, "archive", 1)), (Refusal{kInvalid, "revision"}));
  EXPECT_EQ(refused(*ann, transfer(id, "archive", 2)), (Refusal{kInvalid, "revision"}));
  EXPECT_TRUE(succeeded(run(*ann, transfer(id, "archive", 3))));
}

TEST_F(RegistryTest, TwoTransfersOfOneRevisionCannotCross) {
  const TestOrganization third("third", 4);
  third.enrol(chain);
  const Digest id = registered(*ann, register_document(sha256("one")));
  const auto outcomes = chain.block({chain.sign(*ann, "registry", transfer(id, "archive", 1)),
                                     chain.sign(*ada, "registry", transfer(id, "third", 1)),
                                     chain.sign(*bob, "registry", transfer(id, "third", 2))});
  EXPECT_TRUE(succeeded(outcomes[0]));
  EXPECT_EQ(refusal(outcomes[1]), (Refusal{kDenied, "record_id"}));
  EXPECT_TRUE(succeeded(outcomes[2]));  // sees what came before it in its block
  EXPECT_EQ(record(id).owner(), "third");
  EXPECT_EQ(record(id).revision(), 3U);
}

TEST_F(RegistryTest, TransferGoesToAnotherEnrolledOrganization) {
  const Digest id = registered(*ann, register_document(sha256("one")));
  EXPECT_EQ(refused(*ann, transfer(id, "acme", 1)), (Refusal{kInvalid, "new_owner"}));
  EXPECT_EQ(refused(*ann, transfer(id, "nobody", 1)), (Refusal{ErrorCode::kNotFound, "new_owner"}));
  for (const char* owner : {"", "a", "Archive", "archive\n", "archive/x", "\xff\xff"}) {
    EXPECT_EQ(refused_by_check(transfer(id, owner, 1)), (Refusal{kMalformed, "new_owner"}))
        << owner;
  }
  EXPECT_TRUE(succeeded(run(*ann, transfer(id, "archive", 1))));
}

TEST_F(RegistryTest, UnknownRecordIsRefused) {
  const Digest id = registered(*ann, register_document(sha256("one")));
  EXPECT_EQ(refused(*ann, transfer(sha256("none"), "archive", 1)),
            (Refusal{ErrorCode::kNotFound, "record_id"}));
  // The transaction's id is not the record's.
  const Digest transaction = [&] {
    Digest found{};
    std::ranges::copy(as_bytes(last_event().transaction_id()), found.begin());
    return found;
  }();
  EXPECT_EQ(refused(*ann, transfer(transaction, "archive", 1)),
            (Refusal{ErrorCode::kNotFound, "record_id"}));
  for (const std::size_t size : {0U, 31U, 33U}) {
    EXPECT_EQ(
        refused_by_check(transfer(ByteSpan(std::vector<std::uint8_t>(size, 7)), "archive", 1)),
        (Refusal{kMalformed, "record_id"}));
  }
  EXPECT_TRUE(succeeded(run(*ann, transfer(id, "archive", 1))));
}

// --- payload forms -------------------------------------------------------------------------------

TEST_F(RegistryTest, PayloadHasOneForm) {
  const std::string valid = register_document(sha256("one"));
  EXPECT_TRUE(registry_contract().check(as_bytes(valid)).ok());
  const Refusal refused_payload{kMalformed, "payload"};
  EXPECT_EQ(refused_by_check(""), refused_payload);
  EXPECT_EQ(refused_by_check(std::string("\x1a\x00", 2)), refused_payload);  // an unknown call
  EXPECT_EQ(refused_by_check(valid + std::string("\x18\x01", 2)), refused_payload);
  EXPECT_EQ(refused_by_check(valid + valid), refused_payload);
  EXPECT_EQ(refused_by_check(valid + transfer(sha256("x"), "archive", 1)), refused_payload);
  EXPECT_EQ(refused_by_check(std::string("\x0a\x00", 2)), (Refusal{kMalformed, "type"}));
  for (std::size_t size = 0; size < valid.size(); ++size) {
    EXPECT_FALSE(registry_contract().check(as_bytes(valid.substr(0, size))).ok()) << size;
  }
  // A revision in more bytes than it needs.
  std::string moved = transfer(sha256("x"), "archive", 1);
  ASSERT_EQ(moved.back(), '\x01');
  moved.back() = '\x81';
  moved += '\0';
  ++moved[1];  // the message's length
  EXPECT_EQ(refused_by_check(moved), refused_payload);
}

}  // namespace
}  // namespace colophon::node
