// SPDX-License-Identifier: Apache-2.0
//
// Right inputs of every kind: what the targets bend, and what the seeds are made of. The same bytes
// in every run, but for ECDSA signatures.
#pragma once

#include <string>
#include <vector>

#include "colophon/merkle.hpp"
#include "node/base64.h"
#include "node/cli/merkle_proof_file.h"
#include "node/genesis.h"
#include "node/transaction.h"
#include "tests/fuzz/fuzz_chain.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/node/certificate_forge.h"

namespace colophon::fuzz {

inline std::string text(const node::Der& bytes) { return std::string(text_of(bytes)); }

// --- the ledger ----------------------------------------------------------------------------------

struct Call {
  std::size_t signer;
  std::string contract;
  std::string payload;
};

inline std::vector<Call> right_calls(const FuzzChain& chain) {
  return {{0, "membership", chain.enrol_organization("third")},
          {2, "membership", chain.enrol_member("acme", 2)},
          {1, "membership", chain.revoke_member(1)},
          {1, "registry", chain.register_document("a work")},
          {1, "registry", chain.transfer("office")}};
}

inline std::vector<std::string> right_transactions(const FuzzChain& chain) {
  std::vector<std::string> all;
  for (const Call& call : right_calls(chain)) {
    node::TransactionDraft draft;
    draft.created_at_ms = chain.time_ms();
    draft.expires_at_ms = chain.time_ms() + 60000;
    draft.nonce.fill(7);
    draft.contract = call.contract;
    draft.payload = call.payload;
    all.push_back(node::test::must(
        node::sign_transaction("fuzz-chain", draft, chain.signing_key(call.signer))));
  }
  return all;
}

// A leaf of each type of event.
inline std::vector<std::string> right_leaves() {
  using node::test::must;
  std::vector<std::string> all;
  const node::test::SmallLog log;
  all.push_back(log.parts.leaf);
  node::test::LogOptions options;
  options.salt = node::Der(32, 0x5c);
  all.push_back(node::test::SmallLog(options).parts.leaf);
  node::proto::Event event = log.event();
  node::proto::Record record = log.record();
  record.set_owner("archive");
  record.set_revision(2);
  event.set_type("transferred");
  event.set_data(record.SerializeAsString());
  all.push_back(event.SerializeAsString());

  const auto ca = node::test::MemorySigner::create(hsm::KeyType::kP256, 21);
  const auto member_key = node::test::MemorySigner::create(hsm::KeyType::kEd25519, 22);
  node::proto::Organization organization;
  organization.set_id("acme");
  organization.set_name("Acme");
  organization.set_ca_certificate(text(node::test::ca_draft("CA", ca->public_key()).sign(*ca)));
  organization.set_enrolled_at_ms(event.block_time_ms());
  event.set_contract("membership");
  event.set_type("organization_enrolled");
  event.set_subject("acme");
  event.set_data(organization.SerializeAsString());
  all.push_back(event.SerializeAsString());

  const node::Der spki = must(member_key->public_key().to_spki_der());
  const node::Der certificate =
      node::test::draft("member", member_key->public_key(), "CA", ca->public_key(), false)
          .sign(*ca);
  node::proto::Member member;
  member.set_key_id(std::string(text_of(node::test::sha256(text(spki)))));
  member.set_organization("acme");
  member.set_scheme(3);
  member.set_public_key(text(member_key->public_key().raw));
  member.set_certificate(text(certificate));
  member.set_enrolled_at_ms(event.block_time_ms());
  event.set_type("member_enrolled");
  event.set_subject(member.key_id());
  event.set_data(member.SerializeAsString());
  all.push_back(event.SerializeAsString());
  member.set_revoked_at_ms(event.block_time_ms() + 1);
  event.set_type("member_revoked");
  event.set_data(member.SerializeAsString());
  all.push_back(event.SerializeAsString());
  return all;
}

inline std::vector<std::string> right_genesis() {
  node::Genesis other = FuzzChain().genesis();
  other.administrator_scheme = Scheme::kEd25519;
  other.administrator_public_key.assign(32, 3);
  return {node::serialize_genesis(FuzzChain().genesis()), node::serialize_genesis(other)};
}

// --- keys and certificates -----------------------------------------------------------------------

// Signed with the larger of the two s that an ECDSA signature can have.
inline node::Der with_high_s(const node::test::CertificateDraft& draft, hsm::Signer& signer) {
  constexpr std::string_view kOrder =
      "\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff"
      "\xbc\xe6\xfa\xad\xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51";
  hsm::Signature signature = node::test::must(signer.sign(draft.tbs()));
  int borrow = 0;
  for (std::size_t i = 32; i-- > 0;) {
    const int difference = bytes_of({kOrder.data(), 32})[i] - signature[32 + i] - borrow;
    signature[32 + i] = static_cast<std::uint8_t>(difference);
    borrow = difference < 0 ? 1 : 0;
  }
  return draft.with_signature(
      draft.tbs(),
      node::der(node::der_tag::kSequence, {node::der_unsigned(ByteSpan(signature).first(32)),
                                           node::der_unsigned(ByteSpan(signature).subspan(32))}));
}

inline std::vector<node::Der> right_certificates() {
  const auto p256 = node::test::MemorySigner::create(hsm::KeyType::kP256, 31);
  const auto ed25519 = node::test::MemorySigner::create(hsm::KeyType::kEd25519, 32);
  node::test::CertificateDraft full =
      node::test::draft("full", p256->public_key(), "CA", ed25519->public_key(), false);
  full.extensions.push_back(node::test::extension(
      node::kOidExtKeyUsage, false,
      node::der(node::der_tag::kSequence, {node::test::oid_element(node::kOidClientAuth)})));
  return {
      node::test::ca_draft("CA", p256->public_key()).sign(*p256),
      node::test::draft("member", ed25519->public_key(), "CA", p256->public_key(), false)
          .sign(*p256),
      full.sign(*ed25519),
      with_high_s(node::test::draft("high", ed25519->public_key(), "CA", p256->public_key(), false),
                  *p256)};
}

// Uncompressed and compressed SubjectPublicKeyInfo of the curves, and Ed25519's.
inline std::vector<node::Der> right_spkis() {
  using node::test::must;
  const auto p256 = node::test::MemorySigner::create(hsm::KeyType::kP256, 31);
  const auto ed25519 = node::test::MemorySigner::create(hsm::KeyType::kEd25519, 32);
  constexpr std::uint8_t kNoUnusedBits[] = {0x00};
  const node::Der algorithm =
      node::der(node::der_tag::kSequence, {node::test::oid_element(node::kOidEcPublicKey),
                                           node::test::oid_element(node::kOidPrime256v1)});
  const node::Der bits =
      node::der(node::der_tag::kBitString, {kNoUnusedBits, p256->public_key().raw});
  return {must(p256->public_key().to_spki_der()), must(ed25519->public_key().to_spki_der()),
          node::der(node::der_tag::kSequence, {algorithm, bits})};
}

// Of all kinds: what the readers of DER are tried on.
inline std::vector<node::Der> right_der() {
  std::vector<node::Der> all = right_certificates();
  for (const node::Der& spki : right_spkis()) all.push_back(spki);
  const auto p256 = node::test::MemorySigner::create(hsm::KeyType::kP256, 31);
  const hsm::Signature signature = node::test::must(p256->sign(bytes_of("message")));
  all.push_back(
      node::der(node::der_tag::kSequence, {node::der_unsigned(ByteSpan(signature).first(32)),
                                           node::der_unsigned(ByteSpan(signature).subspan(32))}));
  for (const node::Der& element :
       {node::Der{0x02, 0x01, 0x7f}, node::Der{0x02, 0x02, 0xff, 0x7f},
        node::Der{0x03, 0x02, 0x07, 0x80}, node::Der{0x01, 0x01, 0xff},
        node::Der{0x06, 0x03, 0x2b, 0x65, 0x70}, node::Der{0x0c, 0x02, 0xc3, 0xa9},
        node::Der{0x31, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x02}}) {
    all.push_back(element);
  }
  return all;
}

inline std::vector<std::string> right_pem() {
  const std::vector<node::Der> certificates = right_certificates();
  const auto p256 = node::test::MemorySigner::create(hsm::KeyType::kP256, 31);
  return {node::to_pem(certificates[0]),
          "text before\r\n" + node::to_pem(certificates[1]) + node::to_pem(certificates[2]),
          node::test::must(p256->public_key().to_spki_pem()),
          // One long line.
          "-----BEGIN CERTIFICATE-----\n" + node::base64_encode(certificates[1]) +
              "\n-----END CERTIFICATE-----\n"};
}

// --- files of the command line -------------------------------------------------------------------

inline std::vector<std::string> right_signature_lines() {
  return {
      R"({"scheme":"ed25519","public_key":")"
      R"(d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a","message":"","signature":")"
      R"(e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9)"
      R"(b46bd25bf5f0595bbe24655141438e7a100b"})",
      R"({"scheme":"sm2-sm3","public_key":"04","message":"00","signature":"00","encoding":"der",)"
      R"("profile":"standard","sm2_id":"31"})",
      R"({"scheme":"ecdsa-p256-sha256","public_key":"02","digest":"AB","signature":"",)"
      R"("profile":"low_s"})"};
}

struct RightProofs {
  std::string inclusion;
  std::string consistency;
  std::string inclusion_sha512;
};

inline RightProofs right_proofs() {
  using node::test::must;
  std::vector<Digest> leaves;
  for (int i = 0; i < 6; ++i) {
    std::string leaf(1, '\0');
    leaf += static_cast<char>(i);
    leaves.push_back(node::test::sha256(leaf));
  }
  const Digest root = must(merkle_root(backend(), leaves));
  const Digest old_root = must(merkle_root(backend(), std::span(leaves).first(3)));
  const MerkleTree tree = must(MerkleTree::build(backend(), leaves));
  cli::InclusionProofFile inclusion{HashAlgorithm::kSha256, 4, 6, {4}, {}, cli::bytes_of(root)};
  inclusion.proof = cli::bytes_of(must(merkle_prove_inclusion(backend(), tree.nodes(), 4, 6)));
  cli::ConsistencyProofFile consistency{HashAlgorithm::kSha256, 3, 6, cli::bytes_of(old_root),
                                        cli::bytes_of(root),    {}};
  consistency.proof = cli::bytes_of(must(merkle_prove_consistency(backend(), tree.nodes(), 3, 6)));
  const cli::InclusionProofFile inclusion_sha512{
      HashAlgorithm::kSha512, 1, 2, {4}, cli::bytes_of(Digest64{1}), cli::bytes_of(Digest64{2})};
  return {cli::write_inclusion_proof(inclusion), cli::write_consistency_proof(consistency),
          cli::write_inclusion_proof(inclusion_sha512)};
}

inline std::vector<std::string> right_uris() {
  return {
      "pkcs11:token=colophon;manufacturer=a;serial=1;model=b;slot-id=7;slot-manufacturer=c;"
      "slot-description=d;object=node%20key;id=%01%ff;type=private;x-one=two?module-path="
      "/usr/lib/softhsm/libsofthsm2.so&module-name=e&pin-source=file:/run/pin&x-three=",
      "pkcs11:x-a=%25%3b%26%3d%2f%3a;x-b=:[]@!$'()*+,=&?x-c=%25%2f%23%3f/?:|%00",
      "pkcs11:token=S3CR3T;object=k?module-name=m", "pkcs11:"};
}

}  // namespace colophon::fuzz
