// SPDX-License-Identifier: Apache-2.0
//
// Random calls of both contracts, right and wrong, against a model that is written from their rules
// and knows nothing of keys of the state, of signatures or of X.509: who may do what, why not, and
// what is so afterwards.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "node/bytes.h"
#include "node/event.h"
#include "tests/effort.h"
#include "tests/node/certificate_forge.h"
#include "tests/node/contract_chain.h"

namespace colophon::node {
namespace {

using test::Chain;
using test::MemorySigner;
using test::Refusal;
using test::TestOrganization;

constexpr std::size_t kOrganizations = 4;
constexpr std::size_t kKeys = 8;
constexpr std::size_t kAdministrator = kKeys;  // as a signer
constexpr std::size_t kDocuments = 6;

const Refusal kAccepted{};

// What never changes: keys, organizations' CAs and every certificate there can be.
struct Cast {
  Cast() {
    for (std::size_t i = 0; i < kKeys; ++i) {
      keys.push_back(
          MemorySigner::create(i % 2 == 0 ? hsm::KeyType::kP256 : hsm::KeyType::kEd25519, 100 + i));
    }
    for (std::size_t i = 0; i < kOrganizations; ++i) {
      organizations.push_back(
          std::make_unique<TestOrganization>("organization-" + std::to_string(i), 200 + i));
      for (std::size_t key = 0; key < kKeys; ++key) {
        certificates[i][key] = organizations[i]->certify(*keys[key]);
      }
    }
  }
  std::vector<std::unique_ptr<MemorySigner>> keys;
  std::vector<std::unique_ptr<TestOrganization>> organizations;
  std::array<std::array<Der, kKeys>, kOrganizations> certificates;
};

struct Model {
  struct Member {
    std::size_t organization = 0;
    std::uint64_t enrolled_at_ms = 0;
    std::uint64_t revoked_at_ms = 0;
  };
  std::map<std::size_t, std::uint64_t> organizations;  // since when
  std::map<std::size_t, Member> members;               // by key
  std::map<std::string, proto::Record> records;
  // Who registered which document, and as which record: organization, is a commitment, value.
  std::map<std::tuple<std::size_t, bool, std::string>, std::string> documents;

  [[nodiscard]] const Member* active(std::size_t signer) const {
    const auto found = members.find(signer);
    return found == members.end() || found->second.revoked_at_ms != 0 ? nullptr : &found->second;
  }
};

// One random call: its payload, and what the model says it does.
class Play {
 public:
  Play(const Cast& cast, std::uint64_t seed) : cast_(cast), random_(seed) {}

  void block() {
    chain_.now_ms += below(3);
    std::vector<std::string> transactions;
    std::vector<Refusal> expected;
    const std::uint64_t events = chain_.leaves.size();
    std::uint64_t accepted = 0;
    for (std::size_t i = 1 + below(8); i > 0; --i) {
      const auto [transaction, refusal] = call();
      transactions.push_back(transaction);
      expected.push_back(refusal);
      ++seen_[{refusal.code, refusal.field}];
      accepted += refusal == kAccepted ? 1 : 0;
    }
    const auto outcomes = chain_.block(transactions);
    ASSERT_EQ(outcomes.size(), expected.size());
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
      const Refusal found = outcomes[i].error
                                ? Refusal{outcomes[i].error->code, outcomes[i].error->field}
                                : kAccepted;
      ASSERT_EQ(found, expected[i])
          << (outcomes[i].error ? outcomes[i].error->message : "accepted");
    }
    ASSERT_EQ(chain_.leaves.size(), events + accepted);
    ASSERT_EQ(chain_.state.contracts(), expected_state());
  }

  // How often each outcome was there.
  using Seen = std::map<std::pair<ErrorCode, std::string>, int>;
  [[nodiscard]] const Seen& seen() const { return seen_; }
  [[nodiscard]] const Chain& chain() const { return chain_; }

 private:
  std::size_t below(std::size_t limit) { return static_cast<std::size_t>(random_() % limit); }
  [[nodiscard]] MemorySigner& signer(std::size_t i) {
    return i == kAdministrator ? *chain_.administrator : *cast_.keys[i];
  }
  [[nodiscard]] const std::string& id(std::size_t organization) const {
    return cast_.organizations[organization]->id;
  }
  [[nodiscard]] Digest key_id(std::size_t key) const {
    return test::member_key_id(*cast_.keys[key]);
  }

  std::pair<std::string, Refusal> call() {
    const std::size_t by = below(kKeys + 1);
    switch (below(10)) {
      case 0:
        return enrol_organization(below(3) == 0 ? by : kAdministrator);
      case 1:
      case 2:
        return enrol_member(by);
      case 3:
        return below(3) == 0 ? revoke(by) : enrol_member(by);
      case 4:
      case 5:
      case 6:
        return register_document(by);
      default:
        return transfer(by);
    }
  }

  std::pair<std::string, Refusal> enrol_organization(std::size_t by) {
    const std::size_t which = below(kOrganizations);
    const std::string transaction = chain_.sign(
        signer(by), "membership",
        test::enrol_organization(id(which), "Name", cast_.organizations[which]->ca_certificate));
    if (by != kAdministrator) {
      return {transaction, {ErrorCode::kPermissionDenied, "public_key"}};
    }
    if (model_.organizations.contains(which)) {
      return {transaction, {ErrorCode::kAlreadyExists, "id"}};
    }
    model_.organizations[which] = chain_.now_ms;
    return {transaction, kAccepted};
  }

  std::pair<std::string, Refusal> enrol_member(std::size_t by) {
    const std::size_t certified = by == kAdministrator || below(8) == 0 ? below(kKeys) : by;
    const std::size_t organization = below(kOrganizations);
    const std::size_t issuer = below(6) == 0 ? below(kOrganizations) : organization;
    const std::string transaction =
        chain_.sign(signer(by), "membership",
                    test::enrol_member(id(organization), cast_.certificates[issuer][certified]));
    if (!model_.organizations.contains(organization)) {
      return {transaction, {ErrorCode::kNotFound, "organization"}};
    }
    if (issuer != organization) return {transaction, {ErrorCode::kInvalidSignature, "certificate"}};
    if (certified != by) return {transaction, {ErrorCode::kPermissionDenied, "public_key"}};
    if (model_.members.contains(by))
      return {transaction, {ErrorCode::kAlreadyExists, "public_key"}};
    model_.members[by] = {organization, chain_.now_ms, 0};
    return {transaction, kAccepted};
  }

  std::pair<std::string, Refusal> revoke(std::size_t by) {
    const std::size_t key = below(kKeys);
    const std::string transaction =
        chain_.sign(signer(by), "membership", test::revoke_member(key_id(key)));
    const auto member = model_.members.find(key);
    if (member == model_.members.end()) return {transaction, {ErrorCode::kNotFound, "key_id"}};
    if (by != kAdministrator) {
      const Model::Member* revoker = model_.active(by);
      if (revoker == nullptr) return {transaction, {ErrorCode::kPermissionDenied, "public_key"}};
      if (revoker->organization != member->second.organization) {
        return {transaction, {ErrorCode::kPermissionDenied, "key_id"}};
      }
    }
    if (member->second.revoked_at_ms != 0) {
      return {transaction, {ErrorCode::kAlreadyExists, "key_id"}};
    }
    member->second.revoked_at_ms = chain_.now_ms;
    return {transaction, kAccepted};
  }

  std::pair<std::string, Refusal> register_document(std::size_t by) {
    const bool committed = below(3) == 0;
    const Digest document = test::sha256(std::to_string(below(kDocuments)));
    const std::string transaction = chain_.sign(
        signer(by), "registry",
        committed ? test::register_commitment(document) : test::register_document(document));
    const Model::Member* member = model_.active(by);
    if (member == nullptr) return {transaction, {ErrorCode::kPermissionDenied, "public_key"}};
    const std::string value = test::text_of(document);
    const std::string record = test::text_of(record_id(chain_.id(transaction)));
    if (!model_.documents.try_emplace({member->organization, committed, value}, record).second) {
      return {transaction,
              {ErrorCode::kAlreadyExists, committed ? "commitment" : "document_sha256"}};
    }
    proto::Record& made = model_.records[record];
    made.set_id(record);
    made.set_owner(id(member->organization));
    made.set_type(committed ? "trade_secret" : "work");
    made.set_title("Title");
    if (committed) {
      made.set_commitment(value);
    } else {
      made.set_document_sha256(value);
    }
    made.set_registered_at_ms(chain_.now_ms);
    made.set_revision(1);
    return {transaction, kAccepted};
  }

  std::pair<std::string, Refusal> transfer(std::size_t by) {
    proto::Record* record = nullptr;
    std::string record_id(32, '?');
    if (!model_.records.empty() && below(12) != 0) {
      auto at = model_.records.begin();
      std::advance(at, static_cast<std::ptrdiff_t>(below(model_.records.size())));
      record = &at->second;
      record_id = record->id();
      // More often than chance would have it, by the owner.
      for (std::size_t key = 0; key < kKeys && below(4) != 0; ++key) {
        const Model::Member* member = model_.active(key);
        if (member != nullptr && id(member->organization) == record->owner()) by = key;
      }
    }
    const std::size_t new_owner = below(kOrganizations);
    const std::uint64_t revision =
        record == nullptr || below(6) == 0 ? 1 + below(4) : record->revision();
    const std::string transaction = chain_.sign(
        signer(by), "registry", test::transfer(as_bytes(record_id), id(new_owner), revision));
    const Model::Member* member = model_.active(by);
    if (member == nullptr) return {transaction, {ErrorCode::kPermissionDenied, "public_key"}};
    if (record == nullptr) return {transaction, {ErrorCode::kNotFound, "record_id"}};
    if (record->owner() != id(member->organization)) {
      return {transaction, {ErrorCode::kPermissionDenied, "record_id"}};
    }
    if (record->revision() != revision) {
      return {transaction, {ErrorCode::kInvalidArgument, "revision"}};
    }
    if (record->owner() == id(new_owner)) {
      return {transaction, {ErrorCode::kInvalidArgument, "new_owner"}};
    }
    if (!model_.organizations.contains(new_owner)) {
      return {transaction, {ErrorCode::kNotFound, "new_owner"}};
    }
    record->set_owner(id(new_owner));
    record->set_revision(revision + 1);
    return {transaction, kAccepted};
  }

  // The contracts' state as membership.h and registry.h describe it.
  [[nodiscard]] test::MapState::Entries expected_state() const {
    test::MapState::Entries entries;
    for (const auto& [which, enrolled_at_ms] : model_.organizations) {
      proto::Organization made;
      made.set_id(id(which));
      made.set_name("Name");
      made.set_ca_certificate(test::text_of(cast_.organizations[which]->ca_certificate));
      made.set_enrolled_at_ms(enrolled_at_ms);
      entries["membership/organization/" + id(which)] = made.SerializeAsString();
    }
    for (const auto& [key, member] : model_.members) {
      const MemorySigner& holder = *cast_.keys[key];
      const char scheme = holder.key_type() == hsm::KeyType::kP256 ? '\x01' : '\x03';
      proto::Member made;
      made.set_key_id(test::text_of(key_id(key)));
      made.set_organization(id(member.organization));
      made.set_scheme(static_cast<std::uint32_t>(scheme));
      made.set_public_key(test::text_of(holder.public_key().raw));
      made.set_certificate(test::text_of(cast_.certificates[member.organization][key]));
      made.set_enrolled_at_ms(member.enrolled_at_ms);
      made.set_revoked_at_ms(member.revoked_at_ms);
      entries["membership/member/" + made.key_id()] = made.SerializeAsString();
      entries["membership/signer/" + std::string(1, scheme) + made.public_key()] =
          member.revoked_at_ms == 0 ? id(member.organization) : "";
    }
    for (const auto& [record, made] : model_.records) {
      entries["registry/record/" + record] = made.SerializeAsString();
    }
    for (const auto& [document, record] : model_.documents) {
      const auto& [organization, committed, value] = document;
      entries["registry/document/" + id(organization) + "/" + (committed ? "c" : "h") + value] =
          record;
    }
    return entries;
  }

  const Cast& cast_;
  std::mt19937_64 random_;
  Chain chain_;
  Model model_;
  Seen seen_;
};

TEST(ContractModel, RandomCallsDoWhatTheRulesSay) {
  const Cast cast;
  Play::Seen seen;
  for (std::uint64_t seed = 1; seed <= (colophon::test::is_long() ? 400U : 20U); ++seed) {
    Play play(cast, seed);
    for (int i = 0; i < 60; ++i) {
      ASSERT_NO_FATAL_FAILURE(play.block()) << "seed " << seed << ", block " << i;
    }
    for (const auto& [outcome, times] : play.seen()) seen[outcome] += times;
    for (const std::string& leaf : play.chain().leaves) {
      const auto json = event_json(as_bytes(leaf));
      ASSERT_TRUE(json.ok()) << json.error().field << ": " << json.error().message;
    }
  }
  // Every rule was met, each several times.
  using enum ErrorCode;
  for (const std::pair<ErrorCode, std::string>& outcome :
       {std::pair<ErrorCode, std::string>{kAccepted.code, kAccepted.field},
        {kPermissionDenied, "public_key"},
        {kPermissionDenied, "key_id"},
        {kPermissionDenied, "record_id"},
        {kAlreadyExists, "id"},
        {kAlreadyExists, "public_key"},
        {kAlreadyExists, "key_id"},
        {kAlreadyExists, "document_sha256"},
        {kAlreadyExists, "commitment"},
        {kNotFound, "organization"},
        {kNotFound, "key_id"},
        {kNotFound, "record_id"},
        {kNotFound, "new_owner"},
        {kInvalidSignature, "certificate"},
        {kInvalidArgument, "revision"},
        {kInvalidArgument, "new_owner"}}) {
    EXPECT_GE(seen[outcome], 3) << error_code_name(outcome.first) << " at " << outcome.second;
  }
}

}  // namespace
}  // namespace colophon::node
