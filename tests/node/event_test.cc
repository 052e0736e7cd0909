// SPDX-License-Identifier: Apache-2.0
#include "node/event.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "node/base64.h"
#include "node/bytes.h"
#include "node/hex.h"
#include "node/proto/transaction.pb.h"
#include "tests/effort.h"
#include "tests/node/certificate_forge.h"
#include "tests/node/contract_chain.h"

namespace colophon::node {
namespace {

using Json = nlohmann::json;
using test::kMalformed;
using test::must;
using test::Refusal;
using test::refusal;

// One event of each type there is, as a chain makes them.
const std::vector<std::string>& leaves() {
  static const std::vector<std::string> made = [] {
    test::Chain chain;
    const test::TestOrganization acme("acme", 1);
    const test::TestOrganization archive("archive-0", 2, hsm::KeyType::kP256);
    const auto ann = test::MemorySigner::create(hsm::KeyType::kEd25519, 3);
    const auto bob = test::MemorySigner::create(hsm::KeyType::kP256, 4);
    acme.enrol(chain);
    archive.enrol(chain);
    acme.enrol(chain, *ann);
    archive.enrol(chain, *bob);
    chain.now_ms += 1234;
    EXPECT_TRUE(test::succeeded(chain.run(
        *ann, "registry",
        test::register_document(test::sha256("one"), "Étude “№ 1” \\ \"quoted\" / 琴譜 🎼"))));
    EXPECT_TRUE(test::succeeded(
        chain.run(*ann, "registry", test::register_commitment(test::sha256("two")))));
    const std::string record = chain.event(4).subject();
    EXPECT_TRUE(test::succeeded(
        chain.run(*ann, "registry", test::transfer(as_bytes(record), "archive-0", 1))));
    chain.now_ms += 1;
    EXPECT_TRUE(test::succeeded(chain.run(*chain.administrator, "membership",
                                          test::revoke_member(test::member_key_id(*ann)))));
    return chain.leaves;
  }();
  return made;
}

std::string text_from_hex(const Json& hex) {
  const auto bytes = hex_decode(hex.get<std::string>());
  EXPECT_TRUE(bytes) << hex;
  return std::string(as_text(bytes.value_or(std::vector<std::uint8_t>())));
}
std::string text_from_base64(const Json& text) {
  const auto bytes = base64_decode(text.get<std::string>());
  EXPECT_TRUE(bytes) << text;
  return std::string(as_text(bytes.value_or(std::vector<std::uint8_t>())));
}
std::uint32_t scheme_number(const Json& name) {
  return static_cast<std::uint32_t>(scheme_from_name(name.get<std::string>()).value());
}

std::string data_from_json(const std::string& type, const Json& data) {
  if (type == "organization_enrolled") {
    proto::Organization made;
    made.set_id(data.at("id"));
    made.set_name(data.at("name"));
    made.set_ca_certificate(text_from_base64(data.at("ca_certificate")));
    made.set_enrolled_at_ms(must(parse_time(data.at("enrolled_at").get<std::string>())));
    return made.SerializeAsString();
  }
  if (type == "member_enrolled" || type == "member_revoked") {
    proto::Member made;
    made.set_key_id(text_from_hex(data.at("key_id")));
    made.set_organization(data.at("organization"));
    made.set_scheme(scheme_number(data.at("scheme")));
    made.set_public_key(text_from_hex(data.at("public_key")));
    made.set_certificate(text_from_base64(data.at("certificate")));
    made.set_enrolled_at_ms(must(parse_time(data.at("enrolled_at").get<std::string>())));
    if (data.contains("revoked_at")) {
      made.set_revoked_at_ms(must(parse_time(data.at("revoked_at").get<std::string>())));
    }
    return made.SerializeAsString();
  }
  proto::Record made;
  made.set_id(text_from_hex(data.at("id")));
  made.set_owner(data.at("owner"));
  made.set_type(data.at("type"));
  made.set_title(data.at("title"));
  if (data.contains("document_sha256")) {
    made.set_document_sha256(text_from_hex(data.at("document_sha256")));
  }
  if (data.contains("commitment")) made.set_commitment(text_from_hex(data.at("commitment")));
  made.set_registered_at_ms(must(parse_time(data.at("registered_at").get<std::string>())));
  made.set_revision(data.at("revision"));
  return made.SerializeAsString();
}

// The way back that the node has no use for, written from the form in docs/formats.md: that it
// gives the leaf again proves that the JSON says everything the leaf does.
std::string leaf_from_json(const Json& json) {
  proto::Event event;
  event.set_version(json.at("version"));
  event.set_index(json.at("index"));
  event.set_block_height(json.at("block_height"));
  event.set_block_time_ms(must(parse_time(json.at("block_time").get<std::string>())));
  event.set_transaction_id(text_from_hex(json.at("transaction_id")));
  event.set_signer_scheme(scheme_number(json.at("signer").at("scheme")));
  event.set_signer_public_key(text_from_hex(json.at("signer").at("public_key")));
  event.set_contract(json.at("contract"));
  event.set_type(json.at("type"));
  const auto subject = json.at("subject").get<std::string>();
  event.set_subject(subject.size() == 64 ? text_from_hex(json.at("subject")) : subject);
  event.set_data(data_from_json(event.type(), json.at("data")));
  return event.SerializeAsString();
}

proto::Event parsed(const std::string& leaf) {
  proto::Event event;
  EXPECT_TRUE(event.ParseFromString(leaf));
  return event;
}
proto::Record record_of(const proto::Event& event) {
  proto::Record record;
  EXPECT_TRUE(record.ParseFromString(event.data()));
  return record;
}
proto::Member member_of(const proto::Event& event) {
  proto::Member member;
  EXPECT_TRUE(member.ParseFromString(event.data()));
  return member;
}

// In leaves().
constexpr std::size_t kOrganization = 0, kMember = 2, kRegistered = 4, kCommitted = 5,
                      kTransferred = 6, kRevoked = 7;

Refusal leaf_refusal(const std::string& leaf) { return refusal(event_json(as_bytes(leaf))); }
Refusal event_refusal(std::size_t at, const std::function<void(proto::Event&)>& change) {
  proto::Event event = parsed(leaves().at(at));
  change(event);
  return leaf_refusal(event.SerializeAsString());
}
template <class Message>
Refusal data_refusal(std::size_t at, const std::function<void(Message&)>& change) {
  return event_refusal(at, [&](proto::Event& event) {
    Message message;
    EXPECT_TRUE(message.ParseFromString(event.data()));
    change(message);
    event.set_data(message.SerializeAsString());
  });
}

TEST(EventJson, SaysWhatHappenedInOneForm) {
  const proto::Event event = parsed(leaves().at(kRegistered));
  const Json json = must(event_json(as_bytes(leaves().at(kRegistered))));
  const std::string id = hex_encode(as_bytes(event.subject()));
  const Json expected = {
      {"version", 1},
      {"index", 4},
      {"block_height", 5},
      {"block_time", "2026-09-21T14:13:21.235Z"},
      {"transaction_id", hex_encode(as_bytes(event.transaction_id()))},
      {"signer",
       {{"scheme", "ed25519"},
        {"public_key",
         hex_encode(test::MemorySigner::create(hsm::KeyType::kEd25519, 3)->public_key().raw)}}},
      {"contract", "registry"},
      {"type", "registered"},
      {"subject", id},
      {"data",
       {{"id", id},
        {"owner", "acme"},
        {"type", "work"},
        {"title", "Étude “№ 1” \\ \"quoted\" / 琴譜 🎼"},
        {"document_sha256", hex_encode(test::sha256("one"))},
        {"registered_at", "2026-09-21T14:13:21.235Z"},
        {"revision", 1}}}};
  EXPECT_EQ(json.dump(), expected.dump());
}

TEST(EventJson, EveryTypeOfEventReadsBackToItsLeaf) {
  std::map<std::string, int> types;
  for (const std::string& leaf : leaves()) {
    const auto json = event_json(as_bytes(leaf));
    ASSERT_TRUE(json.ok()) << json.error().field << ": " << json.error().message;
    ++types[json->at("type").get<std::string>()];
    // Through text, as a certificate or an answer of the API carries it.
    EXPECT_EQ(leaf_from_json(Json::parse(json->dump())), leaf) << *json;
  }
  EXPECT_EQ(types.size(), 5U);
}

// A mutant that is read must be told from every other leaf, and read back to itself.
TEST(EventJson, MutantsThatAreReadHaveAJsonOfTheirOwn) {
  std::mt19937_64 random(13);
  std::map<std::string, std::string> leaf_of;
  std::size_t refused = 0;
  const std::size_t mutants = colophon::test::number_of_cases(30'000, 30'000, 6'000);
  for (std::size_t i = 0; i < mutants; ++i) {
    std::string leaf = leaves().at(random() % leaves().size());
    for (std::size_t changes = 1 + random() % 2; changes > 0; --changes) {
      const std::size_t at = random() % leaf.size();
      switch (random() % 5) {
        case 0:
          leaf[at] = static_cast<char>(leaf[at] ^ (1 << random() % 8));
          break;
        case 1:
          leaf[at] = static_cast<char>(random());
          break;
        case 2:
          leaf.insert(at, 1, static_cast<char>(random()));
          break;
        case 3:
          leaf.erase(at, 1);
          break;
        default:
          leaf.insert(at, leaf.substr(random() % leaf.size(), random() % 16));
      }
    }
    const auto json = event_json(as_bytes(leaf));
    if (!json) {
      ++refused;
      ASSERT_FALSE(json.error().field.empty()) << json.error().message;
      continue;
    }
    const auto [at, fresh] = leaf_of.emplace(json->dump(), leaf);
    ASSERT_EQ(at->second, leaf);
    if (!fresh) continue;
    ASSERT_EQ(leaf_from_json(*json), leaf);
  }
  EXPECT_GT(leaf_of.size(), mutants / 100);
  EXPECT_GT(refused, mutants / 10);
}

TEST(EventJson, OtherBytesForTheSameEventAreRefused) {
  for (const std::string& leaf : leaves()) {
    ASSERT_TRUE(event_json(as_bytes(leaf)).ok());
    for (std::size_t size = 0; size < leaf.size(); size += 7) {
      EXPECT_FALSE(event_json(as_bytes(leaf.substr(0, size))).ok()) << size;
    }
    const Refusal refused{kMalformed, "event"};
    EXPECT_EQ(leaf_refusal(leaf + std::string("\x60\x01", 2)), refused);   // unknown field 12
    EXPECT_EQ(leaf_refusal(std::string("\x08\x01", 2) + leaf), refused);   // version again
    EXPECT_EQ(leaf_refusal(leaf.substr(2) + leaf.substr(0, 2)), refused);  // another order
    EXPECT_EQ(leaf_refusal("\x08\x81" + std::string(1, '\0') + leaf.substr(2)), refused);
    EXPECT_EQ(leaf_refusal("\x08\x81\x80\x80\x80\x10" + leaf.substr(2)), refused);  // 2^32 + 1
    EXPECT_EQ(leaf_refusal(leaf.substr(0, 2) + std::string("\x10\0", 2) + leaf.substr(2)), refused);
  }
}

TEST(EventJson, WrongFieldsOfTheEventAreNamed) {
  for (std::size_t at = 0; at < leaves().size(); ++at) {
    EXPECT_EQ(event_refusal(at, [](proto::Event& e) { e.set_version(2); }),
              (Refusal{kMalformed, "version"}));
    EXPECT_EQ(event_refusal(at, [](proto::Event& e) { e.set_version(0); }),
              (Refusal{kMalformed, "version"}));
    EXPECT_EQ(event_refusal(at, [](proto::Event& e) { e.set_block_height(0); }),
              (Refusal{kMalformed, "block_height"}));
    EXPECT_EQ(event_refusal(at, [](proto::Event& e) { e.set_block_time_ms(0); }),
              (Refusal{kMalformed, "block_time"}));
    EXPECT_EQ(event_refusal(at, [](proto::Event& e) { e.set_block_time_ms(kTimeMsMax + 1); }),
              (Refusal{kMalformed, "block_time"}));
    EXPECT_EQ(event_refusal(at, [](proto::Event& e) { e.mutable_transaction_id()->pop_back(); }),
              (Refusal{kMalformed, "transaction_id"}));
    for (const std::uint32_t scheme : {0U, 2U, 4U}) {
      EXPECT_EQ(event_refusal(at, [&](proto::Event& e) { e.set_signer_scheme(scheme); }),
                (Refusal{kMalformed, "signer.scheme"}));
    }
    EXPECT_EQ(event_refusal(at, [](proto::Event& e) { e.mutable_signer_public_key()->pop_back(); }),
              (Refusal{kMalformed, "signer.public_key"}));
    // A key of the other scheme's length.
    EXPECT_EQ(
        event_refusal(at, [](proto::Event& e) { e.set_signer_scheme(4 - e.signer_scheme()); }),
        (Refusal{kMalformed, "signer.public_key"}));
    for (const char* contract : {"", "licence", "registry\xff", "Registry"}) {
      EXPECT_EQ(event_refusal(at, [&](proto::Event& e) { e.set_contract(contract); }),
                (Refusal{kMalformed, "contract"}));
    }
    for (const char* type : {"", "burned", "registered\xff"}) {
      EXPECT_EQ(event_refusal(at, [&](proto::Event& e) { e.set_type(type); }),
                (Refusal{kMalformed, "type"}));
    }
    EXPECT_EQ(event_refusal(at, [](proto::Event& e) { e.mutable_subject()->back() ^= 1; }),
              (Refusal{kMalformed, "subject"}));
    EXPECT_EQ(event_refusal(at, [](proto::Event& e) { e.clear_subject(); }),
              (Refusal{kMalformed, "subject"}));
    EXPECT_FALSE(event_refusal(at, [](proto::Event& e) { e.clear_data(); }).field.empty());
  }
  // An id in hex is not the id.
  EXPECT_EQ(
      event_refusal(kRegistered,
                    [](proto::Event& e) { e.set_subject(hex_encode(as_bytes(e.subject()))); }),
      (Refusal{kMalformed, "subject"}));
}

TEST(EventJson, TypesDoNotStandForEachOther) {
  const auto as = [&](std::size_t at, const char* contract, const char* type) {
    return event_refusal(at, [&](proto::Event& e) {
      e.set_contract(contract);
      e.set_type(type);
    });
  };
  EXPECT_EQ(as(kRegistered, "registry", "transferred"), (Refusal{kMalformed, "data.revision"}));
  EXPECT_EQ(as(kTransferred, "registry", "registered"), (Refusal{kMalformed, "data.revision"}));
  EXPECT_EQ(as(kMember, "membership", "member_revoked"), (Refusal{kMalformed, "data.revoked_at"}));
  EXPECT_EQ(as(kRevoked, "membership", "member_enrolled"),
            (Refusal{kMalformed, "data.revoked_at"}));
  EXPECT_EQ(as(kRegistered, "membership", "registered"), (Refusal{kMalformed, "type"}));
  EXPECT_EQ(as(kMember, "registry", "member_enrolled"), (Refusal{kMalformed, "type"}));
  EXPECT_EQ(as(kOrganization, "membership", "member_enrolled").code, kMalformed);
  EXPECT_EQ(as(kMember, "membership", "organization_enrolled").code, kMalformed);
}

TEST(EventJson, WrongRecordsAreNamed) {
  using Record = proto::Record;
  EXPECT_EQ(data_refusal<Record>(kRegistered, [](Record& r) { r.mutable_id()->pop_back(); }),
            (Refusal{kMalformed, "data.id"}));
  EXPECT_EQ(data_refusal<Record>(kRegistered, [](Record& r) { r.mutable_id()->back() ^= 1; }),
            (Refusal{kMalformed, "subject"}));
  EXPECT_EQ(data_refusal<Record>(kRegistered, [](Record& r) { r.set_owner("A"); }),
            (Refusal{kMalformed, "data.owner"}));
  EXPECT_EQ(data_refusal<Record>(kRegistered, [](Record& r) { r.set_type("house"); }),
            (Refusal{kMalformed, "data.type"}));
  EXPECT_EQ(data_refusal<Record>(kRegistered, [](Record& r) { r.set_title("a\nb"); }),
            (Refusal{kMalformed, "data.title"}));
  EXPECT_EQ(data_refusal<Record>(kRegistered, [](Record& r) { r.set_title("\xff"); }),
            (Refusal{kMalformed, "data.title"}));
  EXPECT_EQ(data_refusal<Record>(kRegistered, [](Record& r) { r.clear_document_sha256(); }),
            (Refusal{kMalformed, "data.document_sha256"}));
  EXPECT_EQ(
      data_refusal<Record>(kRegistered, [](Record& r) { r.set_commitment(std::string(32, 'c')); }),
      (Refusal{kMalformed, "data.document_sha256"}));
  EXPECT_EQ(
      data_refusal<Record>(kRegistered, [](Record& r) { r.mutable_document_sha256()->pop_back(); }),
      (Refusal{kMalformed, "data.document_sha256"}));
  EXPECT_EQ(data_refusal<Record>(kCommitted, [](Record& r) { r.mutable_commitment()->pop_back(); }),
            (Refusal{kMalformed, "data.commitment"}));
  for (const std::uint64_t time_ms : {std::uint64_t{0}, kTimeMsMax + 1}) {
    EXPECT_EQ(
        data_refusal<Record>(kRegistered, [&](Record& r) { r.set_registered_at_ms(time_ms); }),
        (Refusal{kMalformed, "data.registered_at"}));
  }
  for (const std::uint64_t revision : {0U, 2U}) {
    EXPECT_EQ(data_refusal<Record>(kRegistered, [&](Record& r) { r.set_revision(revision); }),
              (Refusal{kMalformed, "data.revision"}));
  }
  for (const std::uint64_t revision : {0U, 1U}) {
    EXPECT_EQ(data_refusal<Record>(kTransferred, [&](Record& r) { r.set_revision(revision); }),
              (Refusal{kMalformed, "data.revision"}));
  }
  EXPECT_EQ(
      event_refusal(kRegistered, [](proto::Event& e) { e.mutable_data()->append("\x50\x01", 2); }),
      (Refusal{kMalformed, "data"}));
}

TEST(EventJson, WrongOrganizationsAreNamed) {
  using Organization = proto::Organization;
  EXPECT_EQ(data_refusal<Organization>(kOrganization, [](auto& o) { o.set_id("x"); }),
            (Refusal{kMalformed, "data.id"}));
  EXPECT_EQ(data_refusal<Organization>(kOrganization, [](auto& o) { o.set_id("another"); }),
            (Refusal{kMalformed, "subject"}));
  EXPECT_EQ(data_refusal<Organization>(kOrganization, [](auto& o) { o.clear_name(); }),
            (Refusal{kMalformed, "data.name"}));
  EXPECT_EQ(data_refusal<Organization>(
                kOrganization, [](auto& o) { o.mutable_ca_certificate()->push_back('\0'); }),
            (Refusal{kMalformed, "data.ca_certificate"}));
  EXPECT_EQ(data_refusal<Organization>(kOrganization, [](auto& o) { o.clear_enrolled_at_ms(); }),
            (Refusal{kMalformed, "data.enrolled_at"}));
}

TEST(EventJson, WrongMembersAreNamed) {
  using Member = proto::Member;
  EXPECT_EQ(data_refusal<Member>(kMember, [](Member& m) { m.mutable_key_id()->pop_back(); }),
            (Refusal{kMalformed, "data.key_id"}));
  EXPECT_EQ(data_refusal<Member>(kMember, [](Member& m) { m.set_organization(""); }),
            (Refusal{kMalformed, "data.organization"}));
  EXPECT_EQ(data_refusal<Member>(kMember, [](Member& m) { m.mutable_certificate()->pop_back(); }),
            (Refusal{kMalformed, "data.certificate"}));
  // Key, scheme and key id are the certificate's.
  const Refusal another_key{kMalformed, "data.certificate"};
  EXPECT_EQ(data_refusal<Member>(kMember, [](Member& m) { m.mutable_key_id()->back() ^= 1; }),
            another_key);
  EXPECT_EQ(data_refusal<Member>(kMember, [](Member& m) { m.mutable_public_key()->back() ^= 1; }),
            another_key);
  EXPECT_EQ(data_refusal<Member>(kMember, [](Member& m) { m.set_scheme(4 - m.scheme()); }),
            another_key);
  EXPECT_EQ(
      data_refusal<Member>(
          kMember,
          [](Member& m) { m.set_certificate(member_of(parsed(leaves().at(3))).certificate()); }),
      another_key);
  EXPECT_EQ(data_refusal<Member>(kMember, [](Member& m) { m.clear_enrolled_at_ms(); }),
            (Refusal{kMalformed, "data.enrolled_at"}));
  EXPECT_EQ(data_refusal<Member>(kRevoked, [](Member& m) { m.set_revoked_at_ms(kTimeMsMax + 1); }),
            (Refusal{kMalformed, "data.revoked_at"}));
}

// Each leaf tells the whole state of its subject: nothing earlier has to be looked up.
TEST(EventJson, EventsAreSelfContained) {
  const proto::Event registered = parsed(leaves().at(kRegistered));
  const proto::Event transferred = parsed(leaves().at(kTransferred));
  EXPECT_EQ(transferred.subject(), registered.subject());
  proto::Record expected = record_of(registered);
  expected.set_owner("archive-0");
  expected.set_revision(2);
  EXPECT_EQ(transferred.data(), expected.SerializeAsString());

  const proto::Event enrolled = parsed(leaves().at(kMember));
  const proto::Event revoked = parsed(leaves().at(kRevoked));
  EXPECT_EQ(revoked.subject(), enrolled.subject());
  proto::Member member = member_of(enrolled);
  member.set_revoked_at_ms(revoked.block_time_ms());
  EXPECT_EQ(revoked.data(), member.SerializeAsString());
}

}  // namespace
}  // namespace colophon::node
