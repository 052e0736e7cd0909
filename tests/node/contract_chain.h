// SPDX-License-Identifier: Apache-2.0
//
// A chain in memory for tests of contracts and of the state machine: signed transactions go
// straight into execute(), without intake, ordering, disk or checkpoint. Signatures are made, so
// that ids and signers are real, and not checked.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "node/bytes.h"
#include "node/contracts/membership/membership.h"
#include "node/contracts/membership/membership.pb.h"
#include "node/contracts/registry/registry.h"
#include "node/contracts/registry/registry.pb.h"
#include "node/state_machine.h"
#include "node/transaction.h"
#include "tests/node/certificate_forge.h"
#include "tests/node/memory_signer.h"

namespace colophon::node::test {

// Short names for what the tests expect.
inline constexpr auto kMalformed = ErrorCode::kMalformed;
inline constexpr auto kDenied = ErrorCode::kPermissionDenied;
inline constexpr auto kExists = ErrorCode::kAlreadyExists;
inline constexpr auto kExpired = ErrorCode::kExpired;
inline constexpr auto kInvalid = ErrorCode::kInvalidArgument;
inline constexpr auto kLimitExceeded = ErrorCode::kLimitExceeded;
inline constexpr auto kBadSignature = ErrorCode::kInvalidSignature;

// What refused a transaction.
struct Refusal {
  ErrorCode code = ErrorCode::kInternal;
  std::string field;
  friend bool operator==(const Refusal&, const Refusal&) = default;
};
inline void PrintTo(const Refusal& refusal, std::ostream* out) {
  *out << error_code_name(refusal.code) << " at '" << refusal.field << "'";
}

template <class T>
Refusal refusal(const Result<T>& result) {
  if (result) {
    ADD_FAILURE() << "accepted";
    return {};
  }
  EXPECT_FALSE(result.error().message.empty());
  return {result.error().code, result.error().field};
}
inline Refusal refusal(const Outcome& outcome) {
  if (!outcome.error) {
    ADD_FAILURE() << "accepted";
    return {};
  }
  EXPECT_FALSE(outcome.error->message.empty());
  return {outcome.error->code, outcome.error->field};
}
inline ::testing::AssertionResult succeeded(const Outcome& outcome) {
  if (!outcome.error) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << outcome.error->field << ": " << outcome.error->message;
}

// The durable state, as an ordered map.
class MapState final : public StateReader {
 public:
  using Entries = std::map<std::string, std::string, std::less<>>;

  Result<std::optional<std::string>> get(std::string_view key) const override {
    if (failing) return make_error(ErrorCode::kIo, "the test's disk is away", "data");
    const auto found = entries.find(key);
    if (found == entries.end()) return std::optional<std::string>();
    return std::optional(found->second);
  }

  void apply(const Execution& execution, const StateOverlay::Writes& writes) {
    if (execution.erased) {
      entries.erase(entries.lower_bound(execution.erased->first),
                    entries.lower_bound(execution.erased->second));
    }
    for (const auto& [key, value] : writes) {
      if (value) {
        entries.insert_or_assign(key, *value);
      } else {
        entries.erase(key);
      }
    }
  }

  // Without replay protection, whose values are heights.
  [[nodiscard]] Entries contracts() const {
    Entries kept;
    for (const auto& entry : entries) {
      if (!entry.first.starts_with(kSeenPrefix)) kept.insert(entry);
    }
    return kept;
  }

  Entries entries;
  bool failing = false;
};

inline constexpr std::uint64_t kGenesisMs = 1'790'000'000'000;  // 2026-09-21T14:13:20.000Z
inline constexpr std::string_view kChainId = "test.colophon.example";

// A value: a copy goes its own way.
class Chain {
 public:
  Chain() : administrator(MemorySigner::create(hsm::KeyType::kP256, 1000)) {
    genesis.chain_id = kChainId;
    genesis.created_at_ms = kGenesisMs;
    genesis.administrator_scheme = Scheme::kEcdsaP256Sha256;
    genesis.administrator_public_key = administrator->public_key().raw;
  }

  // A transaction made now, good for ten minutes, unlike any other.
  [[nodiscard]] std::string sign(MemorySigner& signer, std::string_view contract,
                                 std::string payload) {
    return sign(signer, contract, std::move(payload), now_ms, now_ms + 600'000);
  }
  [[nodiscard]] std::string sign(MemorySigner& signer, std::string_view contract,
                                 std::string payload, std::uint64_t created_at_ms,
                                 std::uint64_t expires_at_ms) {
    TransactionDraft draft;
    draft.created_at_ms = created_at_ms;
    draft.expires_at_ms = expires_at_ms;
    ++nonce_;
    for (std::size_t i = 0; i < 8; ++i) {
      draft.nonce[i] = static_cast<std::uint8_t>(nonce_ >> (8 * i));
    }
    draft.contract = contract;
    draft.payload = std::move(payload);
    return must(sign_transaction(genesis.chain_id, draft, signer));
  }

  // Executes the transactions as the next block, at now_ms, and applies what it writes. A block of
  // which nothing succeeds is none, as in the node.
  std::vector<Outcome> block(const std::vector<std::string>& transactions) {
    auto execution = execute_only(transactions);
    EXPECT_TRUE(execution.ok()) << execution.error().message;
    if (!execution) return {};
    bool any = false;
    for (const Outcome& outcome : execution->outcomes) any |= !outcome.error;
    if (!any) return std::move(execution->outcomes);
    state.apply(*execution, writes);
    for (const LoggedEvent& event : execution->events) leaves.push_back(event.leaf);
    ++height;
    previous_ms = now_ms;
    return std::move(execution->outcomes);
  }
  Outcome run(const std::string& transaction) { return std::move(block({transaction}).at(0)); }
  Outcome run(MemorySigner& signer, std::string_view contract, std::string payload) {
    return run(sign(signer, contract, std::move(payload)));
  }

  // The same without any effect but on `writes`.
  Result<Execution> execute_only(const std::vector<std::string>& transactions) {
    std::vector<VerifiedTransaction> verified;
    for (const std::string& bytes : transactions) {
      const TransactionView view = must(parse_transaction(as_bytes(bytes)));
      verified.push_back({view, transaction_id(genesis.chain_id, view)});
    }
    StateOverlay overlay(state);
    auto execution = execute(genesis, overlay, next(), verified);
    writes = overlay.writes();
    return execution;
  }
  [[nodiscard]] BlockContext next() const {
    return {height + 1, now_ms, previous_ms, leaves.size()};
  }

  [[nodiscard]] Digest id(const std::string& transaction) const {
    return transaction_id(genesis.chain_id, must(parse_transaction(as_bytes(transaction))));
  }
  [[nodiscard]] proto::Event event(std::size_t index) const {
    proto::Event parsed;
    EXPECT_TRUE(parsed.ParseFromString(leaves.at(index)));
    return parsed;
  }

  Genesis genesis;
  std::shared_ptr<MemorySigner> administrator;
  MapState state;
  std::vector<std::string> leaves;  // the event log
  StateOverlay::Writes writes;      // of the last execution
  std::uint64_t height = 0;
  std::uint64_t previous_ms = kGenesisMs;
  std::uint64_t now_ms = kGenesisMs + 1;

 private:
  std::uint64_t nonce_ = 0;
};

// --- payloads ------------------------------------------------------------------------------------

inline std::string text_of(ByteSpan bytes) { return std::string(as_text(bytes)); }

inline std::string enrol_organization(std::string_view id, std::string_view name, const Der& ca) {
  proto::MembershipCall call;
  auto& enrol = *call.mutable_enrol_organization();
  enrol.set_id(std::string(id));
  enrol.set_name(std::string(name));
  enrol.set_ca_certificate(text_of(ca));
  return call.SerializeAsString();
}

inline std::string enrol_member(std::string_view organization, const Der& certificate) {
  proto::MembershipCall call;
  call.mutable_enrol_member()->set_organization(std::string(organization));
  call.mutable_enrol_member()->set_certificate(text_of(certificate));
  return call.SerializeAsString();
}

// SHA-256 of the SubjectPublicKeyInfo.
inline Digest member_key_id(const MemorySigner& member) {
  return sha256(as_text(must(member.public_key().to_spki_der())));
}

inline std::string revoke_member(const Digest& key_id) {
  proto::MembershipCall call;
  call.mutable_revoke_member()->set_key_id(text_of(key_id));
  return call.SerializeAsString();
}

inline std::string register_document(const Digest& document, std::string_view title = "Title",
                                     std::string_view type = "work") {
  proto::RegistryCall call;
  auto& registration = *call.mutable_register_();
  registration.set_type(std::string(type));
  registration.set_title(std::string(title));
  registration.set_document_sha256(text_of(document));
  return call.SerializeAsString();
}

inline std::string register_commitment(const Digest& value) {
  proto::RegistryCall call;
  auto& registration = *call.mutable_register_();
  registration.set_type("trade_secret");
  registration.set_title("Title");
  registration.set_commitment(text_of(value));
  return call.SerializeAsString();
}

inline std::string transfer(ByteSpan record, std::string_view new_owner, std::uint64_t revision) {
  proto::RegistryCall call;
  call.mutable_transfer()->set_record_id(text_of(record));
  call.mutable_transfer()->set_new_owner(std::string(new_owner));
  call.mutable_transfer()->set_revision(revision);
  return call.SerializeAsString();
}

// --- organizations and their members -------------------------------------------------------------

// A CA, its certificate, and certificates for members' keys.
struct TestOrganization {
  std::string id;
  std::unique_ptr<MemorySigner> ca;
  Der ca_certificate;

  TestOrganization(std::string name, std::uint64_t seed, hsm::KeyType type = hsm::KeyType::kEd25519)
      : id(std::move(name)),
        ca(MemorySigner::create(type, seed)),
        ca_certificate(ca_draft(id + " CA", ca->public_key()).sign(*ca)) {}

  [[nodiscard]] CertificateDraft member_draft(const MemorySigner& member) const {
    return draft("a member of " + id, member.public_key(), id + " CA", ca->public_key(), false);
  }
  [[nodiscard]] Der certify(const MemorySigner& member) const {
    return member_draft(member).sign(*ca);
  }
  void enrol(Chain& chain) const {
    EXPECT_TRUE(succeeded(chain.run(*chain.administrator, "membership",
                                    enrol_organization(id, "Name of " + id, ca_certificate))));
  }
  void enrol(Chain& chain, MemorySigner& member) const {
    EXPECT_TRUE(succeeded(chain.run(member, "membership", enrol_member(id, certify(member)))));
  }
};

}  // namespace colophon::node::test
