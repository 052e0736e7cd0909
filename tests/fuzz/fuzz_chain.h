// SPDX-License-Identifier: Apache-2.0
//
// A small chain in memory: an organization with a member and a record, another without, and the
// keys to sign with. The same bytes in every run.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "node/contracts/membership/membership.h"
#include "node/contracts/membership/membership.pb.h"
#include "node/contracts/registry/registry.h"
#include "node/contracts/registry/registry.pb.h"
#include "node/state.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/node/certificate_forge.h"

namespace colophon::fuzz {

inline Scheme scheme_of(const hsm::PublicKey& key) {
  return key.type == hsm::KeyType::kEd25519 ? Scheme::kEd25519 : Scheme::kEcdsaP256Sha256;
}

class FuzzChain {
 public:
  // Administrator, enrolled member, certified but not enrolled, nobody.
  static constexpr std::size_t kSigners = 4;

  FuzzChain() {
    genesis_.chain_id = "fuzz-chain";
    genesis_.created_at_ms = kTimeMs;
    genesis_.administrator_scheme = scheme_of(signer(0));
    genesis_.administrator_public_key = signer(0).raw;
    genesis_.log_public_key.assign(32, 9);
    apply(node::membership_contract(), 0, enrol_organization("acme"));
    apply(node::membership_contract(), 0, enrol_organization("office"));
    apply(node::membership_contract(), 1, enrol_member("acme", 1));
    apply(node::registry_contract(), 1, register_document("registered before"));
  }

  [[nodiscard]] const node::StateReader& state() const { return state_; }
  [[nodiscard]] const node::Genesis& genesis() const { return genesis_; }
  [[nodiscard]] std::uint64_t time_ms() const { return kTimeMs; }
  [[nodiscard]] const hsm::PublicKey& signer(std::size_t i) const {
    return signers_[i]->public_key();
  }
  [[nodiscard]] node::test::MemorySigner& signing_key(std::size_t i) const { return *signers_[i]; }
  [[nodiscard]] Digest record() const { return node::record_id(transaction_id(3)); }

  // Payloads that are right, as seeds.
  [[nodiscard]] std::string enrol_organization(const std::string& id) const {
    node::proto::MembershipCall call;
    auto& enrol = *call.mutable_enrol_organization();
    enrol.set_id(id);
    enrol.set_name("Organization " + id);
    const node::Der ca = node::test::ca_draft("CA", ca_->public_key()).sign(*ca_);
    enrol.set_ca_certificate(std::string(ca.begin(), ca.end()));
    return call.SerializeAsString();
  }
  [[nodiscard]] std::string enrol_member(const std::string& organization,
                                         std::size_t signer_index) const {
    node::proto::MembershipCall call;
    call.mutable_enrol_member()->set_organization(organization);
    const node::Der certificate =
        node::test::draft("member", signer(signer_index), "CA", ca_->public_key(), false)
            .sign(*ca_);
    call.mutable_enrol_member()->set_certificate(
        std::string(certificate.begin(), certificate.end()));
    return call.SerializeAsString();
  }
  [[nodiscard]] std::string revoke_member(std::size_t signer_index) const {
    node::proto::MembershipCall call;
    const node::Der spki = node::test::must(signer(signer_index).to_spki_der());
    const Digest key_id = node::test::sha256(text_of(spki));
    call.mutable_revoke_member()->set_key_id(std::string(text_of(key_id)));
    return call.SerializeAsString();
  }
  [[nodiscard]] std::string register_document(const std::string& title) const {
    node::proto::RegistryCall call;
    auto& registration = *call.mutable_register_();
    registration.set_type("work");
    registration.set_title(title);
    registration.set_document_sha256(std::string(text_of(node::test::sha256(title))));
    return call.SerializeAsString();
  }
  [[nodiscard]] std::string transfer(const std::string& new_owner) const {
    node::proto::RegistryCall call;
    auto& given = *call.mutable_transfer();
    given.set_record_id(std::string(text_of(record())));
    given.set_new_owner(new_owner);
    given.set_revision(1);
    return call.SerializeAsString();
  }

 private:
  static constexpr std::uint64_t kTimeMs = 1790000000000;  // 2026-09-21

  class MapState final : public node::StateReader {
   public:
    Result<std::optional<std::string>> get(std::string_view key) const override {
      const auto found = entries.find(key);
      if (found == entries.end()) return std::optional<std::string>();
      return std::optional(found->second);
    }
    std::map<std::string, std::string, std::less<>> entries;
  };

  [[nodiscard]] static Digest transaction_id(int number) {
    return node::test::sha256("transaction " + std::to_string(number));
  }

  void apply(const node::Contract& contract, std::size_t signer_index, const std::string& payload) {
    node::StateOverlay overlay(state_);
    std::vector<node::EventDraft> events;
    const Digest id = transaction_id(applied_++);
    const hsm::PublicKey& key = signer(signer_index);
    node::ContractContext context{genesis_, overlay,        1,       kTimeMs,
                                  id,       scheme_of(key), key.raw, events};
    require(contract.apply(context, bytes_of(payload)).ok(), "the set-up of the chain is right");
    overlay.commit_transaction();
    for (const auto& [key_text, value] : overlay.writes()) state_.entries[key_text] = *value;
  }

  using Signers = std::array<std::unique_ptr<node::test::MemorySigner>, kSigners>;
  Signers signers_ = {node::test::MemorySigner::create(hsm::KeyType::kP256, 71),
                      node::test::MemorySigner::create(hsm::KeyType::kEd25519, 72),
                      node::test::MemorySigner::create(hsm::KeyType::kP256, 73),
                      node::test::MemorySigner::create(hsm::KeyType::kEd25519, 74)};
  std::unique_ptr<node::test::MemorySigner> ca_ =
      node::test::MemorySigner::create(hsm::KeyType::kEd25519, 75);
  node::Genesis genesis_;
  MapState state_;
  int applied_ = 0;
};

}  // namespace colophon::fuzz
