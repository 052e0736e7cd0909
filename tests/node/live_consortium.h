// SPDX-License-Identifier: Apache-2.0
//
// A consortium whose transactions a node with the real clock takes: certificates and transactions
// are dated now. Every process that makes one has the same keys and the same genesis.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "node/environment.h"
#include "node/genesis.h"
#include "node/transaction.h"
#include "node/x509.h"
#include "tests/node/contract_chain.h"
#include "tests/node/memory_signer.h"

namespace colophon::node::test {

class LiveConsortium {
 public:
  static constexpr std::uint64_t kHourMs = 3600 * 1000;

  LiveConsortium()
      : administrator(MemorySigner::create(hsm::KeyType::kP256, 4000)),
        log_key(MemorySigner::create(hsm::KeyType::kEd25519, 4001)),
        ca(MemorySigner::create(hsm::KeyType::kP256, 4002)),
        member(MemorySigner::create(hsm::KeyType::kP256, 4003)),
        stranger(MemorySigner::create(hsm::KeyType::kP256, 4004)) {
    genesis.chain_id = "live.colophon.example";
    genesis.created_at_ms = 1'700'000'000'000;
    genesis.administrator_scheme = Scheme::kEcdsaP256Sha256;
    genesis.administrator_public_key = administrator->public_key().raw;
    genesis.log_public_key = log_key->public_key().raw;
  }

  [[nodiscard]] static std::uint64_t now_ms() { return system_environment().clock.now_ms(); }

  [[nodiscard]] std::string sign(MemorySigner& signer, std::string contract, std::string payload,
                                 std::uint64_t created_at_ms = now_ms(),
                                 std::uint64_t lifetime_ms = kHourMs) const {
    TransactionDraft draft;
    draft.created_at_ms = created_at_ms;
    draft.expires_at_ms = created_at_ms + lifetime_ms;
    system_environment().random.fill(draft.nonce);
    draft.contract = std::move(contract);
    draft.payload = std::move(payload);
    return must(sign_transaction(genesis.chain_id, draft, signer));
  }

  // Two organizations and a member of the first.
  [[nodiscard]] std::vector<std::string> founding() {
    const Der root = ca_certificate();
    const Der spki = must(member->public_key().to_spki_der());
    const Der certificate = must(issue_certificate(request("A member", 24), spki, root, *ca));
    return {sign(*administrator, "membership", enrol_organization("acme-studio", "Acme", root)),
            sign(*administrator, "membership", enrol_organization("globe-press", "Globe", root)),
            sign(*member, "membership", enrol_member("acme-studio", certificate))};
  }
  // A CA of the log key's certificate, or of the members'.
  [[nodiscard]] Der ca_certificate() { return must(create_ca(request("Live CA", 48), *ca)); }
  // The log key's: what a certificate file carries.
  [[nodiscard]] Der log_certificate(const Der& spki) {
    return must(issue_certificate(request(genesis.chain_id, 24), spki, ca_certificate(), *ca));
  }

  // Of a document that no other process or call registers.
  [[nodiscard]] std::string registration() {
    Digest document{};
    system_environment().random.fill(document);
    return sign(*member, "registry", register_document(document));
  }
  [[nodiscard]] Digest id(const std::string& transaction) const {
    return transaction_id(genesis.chain_id, must(parse_transaction(as_bytes(transaction))));
  }

  Genesis genesis;
  std::unique_ptr<MemorySigner> administrator, log_key, ca, member, stranger;

 private:
  // Valid for so long before now and after. A CA's are more: the clock runs on between the two.
  [[nodiscard]] static CertificateRequest request(std::string name, std::uint64_t hours) {
    CertificateRequest request;
    request.common_name = std::move(name);
    request.not_before_ms = now_ms() / 1000 * 1000 - hours * kHourMs;
    request.not_after_ms = request.not_before_ms + 2 * hours * kHourMs;
    system_environment().random.fill(request.serial);
    return request;
  }
};

}  // namespace colophon::node::test
