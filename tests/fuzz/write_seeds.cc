// SPDX-License-Identifier: Apache-2.0
//
// Writes the seed corpora: for each target a few right inputs, so that the fuzzer begins behind the
// first checks. The same bytes in every run, but for ECDSA signatures. usage: fuzz_write_seeds DIR
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "node/base64.h"
#include "node/cli/merkle_proof_file.h"
#include "node/genesis.h"
#include "node/hex.h"
#include "node/transaction.h"
#include "tests/fuzz/fuzz_chain.h"
#include "tests/node/certificate_forge.h"

namespace colophon::fuzz {
namespace {

using node::Der;
using node::test::MemorySigner;
using node::test::must;

class Corpora {
 public:
  // What an earlier run wrote or found is removed: each run starts from the same inputs.
  explicit Corpora(const std::filesystem::path& folder) : folder_(folder) {
    std::filesystem::remove_all(folder_);
  }
  void write(const std::string& target, std::string_view bytes) {
    std::filesystem::create_directories(folder_ / target);
    const std::filesystem::path path = folder_ / target / ("seed-" + std::to_string(count_++));
    std::ofstream(path, std::ios::binary) << bytes;
    if (!std::filesystem::exists(path)) {
      std::fprintf(stderr, "cannot write %s\n", path.c_str());
      std::exit(1);
    }
  }
  void write(const std::string& target, const Der& bytes) { write(target, text_of(bytes)); }
  // With the byte by which the target chooses what to do with the rest.
  void write(const std::string& target, char choice, std::string_view bytes) {
    write(target, std::string(1, choice) + std::string(bytes));
  }

 private:
  std::filesystem::path folder_;
  int count_ = 0;
};

std::string text(const Der& bytes) { return std::string(text_of(bytes)); }

std::string transaction(const FuzzChain& chain, std::size_t signer, const std::string& contract,
                        const std::string& payload) {
  node::TransactionDraft draft;
  draft.created_at_ms = chain.time_ms();
  draft.expires_at_ms = chain.time_ms() + 60000;
  draft.nonce.fill(7);
  draft.contract = contract;
  draft.payload = payload;
  return must(node::sign_transaction("fuzz-chain", draft, chain.signing_key(signer)));
}

void write_ledger(Corpora& corpora) {
  const FuzzChain chain;
  const std::pair<std::size_t, std::string> membership[] = {
      {0, chain.enrol_organization("third")},
      {2, chain.enrol_member("acme", 2)},
      {1, chain.revoke_member(1)},
  };
  const std::pair<std::size_t, std::string> registry[] = {
      {1, chain.register_document("a work")},
      {1, chain.transfer("office")},
  };
  for (const auto& [signer, payload] : membership) {
    corpora.write("contract", std::string{'\0', static_cast<char>(signer)} + payload);
    corpora.write("transaction", transaction(chain, signer, "membership", payload));
  }
  for (const auto& [signer, payload] : registry) {
    corpora.write("contract", std::string{'\1', static_cast<char>(signer)} + payload);
    corpora.write("transaction", transaction(chain, signer, "registry", payload));
  }
  const std::string sent = node::base64_encode(
      bytes_of(transaction(chain, 1, "registry", chain.register_document("a work"))));
  corpora.write("api", std::string("\x0f\0", 2) + "{\"transaction\":\"" + sent + "\"}");
  corpora.write("api", std::string("\x0f\0", 2) + "{\"transactions\":[\"" + sent + "\",\"AA==\"]}");
  for (char path = 0; path < 17; ++path) {
    corpora.write("api", std::string{path, 0});
    corpora.write("api", std::string{path, '\x08', 3, 2, 4, 5});  // index=2, size=5
    corpora.write("api", std::string{path, '\x08', 1, 2, 2, 5});  // from=2, to=5
  }
}

void write_events(Corpora& corpora) {
  const node::test::SmallLog log;
  corpora.write("event", log.parts.leaf);
  corpora.write("certificate", '\3', log.parts.leaf);
  node::test::LogOptions options;
  options.salt = Der(32, 0x5c);
  const node::test::SmallLog salted(options);
  corpora.write("event", salted.parts.leaf);
  corpora.write("certificate", '\3', salted.parts.leaf);
  corpora.write("certificate", '\0', log.file());
  corpora.write("certificate", '\0', salted.file());
  corpora.write("certificate", std::string("\1\1\0\x10\0", 5));
  corpora.write("certificate", std::string("\4\0\1\1", 4));
  corpora.write("checkpoint", '\0', log.parts.checkpoint);
  corpora.write("checkpoint", std::string("\1\0\x10", 3));
  const std::size_t body = log.parts.checkpoint.find("\n\n") + 1;
  corpora.write("checkpoint", '\2', log.parts.checkpoint.substr(0, body));

  // The other kinds of event.
  const auto ca = MemorySigner::create(hsm::KeyType::kP256, 21);
  const Der root = node::test::ca_draft("CA", ca->public_key()).sign(*ca);
  const auto member_key = MemorySigner::create(hsm::KeyType::kEd25519, 22);
  const Der certificate =
      node::test::draft("member", member_key->public_key(), "CA", ca->public_key(), false)
          .sign(*ca);
  node::proto::Event event = log.event();
  node::proto::Organization organization;
  organization.set_id("acme");
  organization.set_name("Acme");
  organization.set_ca_certificate(text(root));
  organization.set_enrolled_at_ms(event.block_time_ms());
  event.set_contract("membership");
  event.set_type("organization_enrolled");
  event.set_subject("acme");
  event.set_data(organization.SerializeAsString());
  corpora.write("event", event.SerializeAsString());

  const Digest key_id = node::test::sha256(text(must(member_key->public_key().to_spki_der())));
  node::proto::Member member;
  member.set_key_id(std::string(text_of(key_id)));
  member.set_organization("acme");
  member.set_scheme(3);
  member.set_public_key(text(member_key->public_key().raw));
  member.set_certificate(text(certificate));
  member.set_enrolled_at_ms(event.block_time_ms());
  event.set_type("member_enrolled");
  event.set_subject(member.key_id());
  event.set_data(member.SerializeAsString());
  corpora.write("event", event.SerializeAsString());
  member.set_revoked_at_ms(event.block_time_ms() + 1);
  event.set_type("member_revoked");
  event.set_data(member.SerializeAsString());
  corpora.write("event", event.SerializeAsString());
}

void write_keys_and_certificates(Corpora& corpora) {
  const auto p256 = MemorySigner::create(hsm::KeyType::kP256, 31);
  const auto ed25519 = MemorySigner::create(hsm::KeyType::kEd25519, 32);
  for (const auto* signer : {p256.get(), ed25519.get()}) {
    const Der spki = must(signer->public_key().to_spki_der());
    const Der& raw = signer->public_key().raw;
    for (char kind = 0; kind < 6; ++kind) {
      corpora.write("public_key", kind, text(raw));
      corpora.write("public_key", kind, text(spki));
    }
    corpora.write("der", spki);
    corpora.write("pem", must(signer->public_key().to_spki_pem()));
    corpora.write("public_key", '\4', text(node::der(node::der_tag::kOctetString, {raw})));
    corpora.write("public_key", '\5', text(node::der(node::der_tag::kOctetString, {raw})));
  }
  const Der spki = must(p256->public_key().to_spki_der());
  const ByteSpan point = ByteSpan(spki).last(65);
  corpora.write("public_key", '\0', text_of(point));
  corpora.write("public_key", '\4', text_of(point.subspan(1)));

  const Der root = node::test::ca_draft("CA", p256->public_key()).sign(*p256);
  const Der leaf =
      node::test::draft("member", ed25519->public_key(), "CA", p256->public_key(), false)
          .sign(*p256);
  for (const Der& certificate : {root, leaf}) {
    corpora.write("x509", certificate);
    corpora.write("der", certificate);
    corpora.write("pem", node::to_pem(certificate));
  }
  corpora.write("pem", "text before\r\n" + node::to_pem(root) + node::to_pem(leaf));
  const hsm::Signature signature = must(p256->sign(bytes_of("message")));
  corpora.write("der", node::der(node::der_tag::kSequence,
                                 {node::der_unsigned(ByteSpan(signature).first(32)),
                                  node::der_unsigned(ByteSpan(signature).subspan(32))}));
  for (const char* element :
       {"\x02\x01\x7f", "\x03\x02\x07\x80", "\x01\x01\xff", "\x06\x03\x2b\x65\x70",
        "\x0c\x02\xc3\xa9", "\x31\x04\x02\x01\x01\x05"}) {
    corpora.write("der", std::string_view(element));
  }
  // day, certificates, then two bytes of choices for each.
  for (char count = 0; count < 4; ++count) {
    corpora.write("x509_chain", std::string{2, count} + std::string(12, '\0'));
  }
}

void write_signatures(Corpora& corpora) {
  for (char scheme = 0; scheme < 4; ++scheme) {
    for (const char options : {'\0', '\1', '\2', '\x0d'}) {
      for (char bend = 0; bend < 6; ++bend) {
        std::string choices{scheme, options};
        choices += scheme == 3
                       ? std::string("\1\2\3\4\5\6\7\x08", 8) + bend + bend + "\5hello" + bend
                       : std::string("\1\2\3\4\5\6\7\x08\0", 9) + bend + "\5hello";
        corpora.write("verify", choices);
      }
    }
  }
  const std::string line =
      R"({"scheme":"ed25519","public_key":")"
      R"(d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a","message":"","signature":")"
      R"(e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9)"
      R"(b46bd25bf5f0595bbe24655141438e7a100b"})";
  corpora.write("signature_line", line);
  corpora.write("signature_line",
                R"({"scheme":"sm2-sm3","public_key":"04","message":"00","signature":"00",)"
                R"("encoding":"der","profile":"standard","sm2_id":"31"})");
  corpora.write("signature_line",
                R"({"scheme":"ecdsa-p256-sha256","public_key":"02","digest":"AB","signature":"",)"
                "\"profile\":\"low_s\"}\n" +
                    line + "\n\n[]\n{\"scheme\":1}");
}

void write_proofs(Corpora& corpora) {
  std::vector<Digest> leaves;
  for (int i = 0; i < 6; ++i) {
    std::string leaf(1, '\0');
    leaf += static_cast<char>(i);
    leaves.push_back(node::test::sha256(leaf));
  }
  const Digest root = must(merkle_root(backend(), leaves));
  const Digest old_root = must(merkle_root(backend(), std::span(leaves).first(3)));
  const MerkleTree tree = must(MerkleTree::build(backend(), leaves));
  cli::InclusionProofFile inclusion{4, 6, {4}, {}, root};
  inclusion.proof = must(merkle_prove_inclusion(backend(), tree.nodes(), 4, 6));
  corpora.write("merkle", '\0', cli::write_inclusion_proof(inclusion));
  cli::ConsistencyProofFile consistency{3, 6, old_root, root, {}};
  consistency.proof = must(merkle_prove_consistency(backend(), tree.nodes(), 3, 6));
  corpora.write("merkle", '\1', cli::write_consistency_proof(consistency));
  for (char size = 1; size < 70; size = static_cast<char>(size + 11)) {
    corpora.write("merkle", std::string{2, size, 1, static_cast<char>(size / 2), 5});
    corpora.write("merkle", std::string{2, size, 0, static_cast<char>(size / 2), 5});
  }
}

void write_texts(Corpora& corpora) {
  const FuzzChain chain;
  corpora.write("genesis", node::serialize_genesis(chain.genesis()));
  corpora.write("genesis", R"({"a":{"b":[1,{"c":"\u00e9"}]},"d":-1.5e3})");
  corpora.write(
      "uri",
      "pkcs11:token=colophon;manufacturer=a;serial=1;model=b;slot-id=7;slot-manufacturer=c;"
      "slot-description=d;object=node%20key;id=%01%ff;type=private;x-one=two?module-path="
      "/usr/lib/softhsm/libsofthsm2.so&module-name=e&pin-source=file:/run/pin&x-three=");
  corpora.write("uri", "pkcs11:token=S3CR3T?pin-value=S3CR3T");
  corpora.write("text", '\0', "Zm9vYmE=");
  corpora.write("text", '\1', "00ffAb");
  corpora.write("text", std::string("\2\0\0\1\x9a\x44\xbe\xdc\xb2", 9));
  corpora.write("text", '\3', "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x93\x96");
}

}  // namespace
}  // namespace colophon::fuzz

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: fuzz_write_seeds DIR\n");
    return 2;
  }
  colophon::fuzz::Corpora corpora(argv[1]);
  colophon::fuzz::write_ledger(corpora);
  colophon::fuzz::write_events(corpora);
  colophon::fuzz::write_keys_and_certificates(corpora);
  colophon::fuzz::write_signatures(corpora);
  colophon::fuzz::write_proofs(corpora);
  colophon::fuzz::write_texts(corpora);
  return 0;
}
