// SPDX-License-Identifier: Apache-2.0
//
// Certificates for tests, every part of which can be made wrong, and a small log with one
// registered document under a checkpoint. With Ed25519 keys everything here is the same bytes in
// every run.
#pragma once

#include <openssl/sha.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "colophon/backend.hpp"
#include "colophon/merkle.hpp"
#include "node/bytes.h"
#include "node/certificate.h"
#include "node/checkpoint.h"
#include "node/contracts/registry/registry.pb.h"
#include "node/der.h"
#include "node/event.h"
#include "node/proto/transaction.pb.h"
#include "node/x509.h"
#include "node/x509_form.h"
#include "tests/node/memory_signer.h"

namespace colophon::node::test {

// The tests' own inputs must be right: what fails here is a defect of the test.
template <class T>
T must(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "test set-up: %s: %s\n", result.error().field.c_str(),
                 result.error().message.c_str());
    std::abort();
  }
  return std::move(result).value();
}

inline std::uint64_t at(const char* time) { return must(parse_time(time)); }

inline Digest sha256(std::string_view bytes) {
  Digest digest;
  SHA256(as_bytes(bytes).data(), bytes.size(), digest.data());
  return digest;
}

// --- X.509 --------------------------------------------------------------------------------------

inline Der oid_element(ByteSpan content) { return der(der_tag::kObjectIdentifier, {content}); }

inline Der common_name(std::string_view text, std::uint8_t tag = der_tag::kUtf8String) {
  return der(
      der_tag::kSequence,
      {der(der_tag::kSet,
           {der(der_tag::kSequence, {oid_element(kOidCommonName), der(tag, {as_bytes(text)})})})});
}

inline Der utc_time(std::string_view text) { return der(der_tag::kUtcTime, {as_bytes(text)}); }

inline Der extension(ByteSpan type, bool critical, const Der& value) {
  constexpr std::uint8_t kTrue[] = {0x01, 0x01, 0xff};
  return der(der_tag::kSequence, {oid_element(type), critical ? ByteSpan(kTrue) : ByteSpan(),
                                  der(der_tag::kOctetString, {value})});
}

inline Der key_id_of(const hsm::PublicKey& key) {
  const Der spki = must(key.to_spki_der());
  // The key bits are the last 65 or 32 bytes of the two forms of SubjectPublicKeyInfo.
  const std::size_t bits = key.type == hsm::KeyType::kP256 ? 65 : 32;
  Der digest(32);
  SHA256(spki.data() + spki.size() - bits, bits, digest.data());
  digest.resize(20);
  return digest;
}

inline Der concat(const std::vector<Der>& parts) {
  Der all;
  for (const Der& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

// A certificate to be: change a part, then sign() it.
struct CertificateDraft {
  Der version = {0xa0, 0x03, 0x02, 0x01, 0x02};
  Der serial = {0x02, 0x01, 0x2a};
  Der algorithm;        // inside the signed part
  Der outer_algorithm;  // outside
  Der issuer;
  Der validity;
  Der subject;
  Der spki;
  Der before_extensions;  // e.g. a unique identifier
  std::vector<Der> extensions;

  [[nodiscard]] Der tbs() const {
    return der(der_tag::kSequence,
               {version, serial, algorithm, issuer, validity, subject, spki, before_extensions,
                der(der_tag::context(3, true), {der(der_tag::kSequence, {concat(extensions)})})});
  }
  [[nodiscard]] Der sign(hsm::Signer& signer) const {
    const Der signed_part = tbs();
    const hsm::Signature raw = must(signer.sign(signed_part));
    Der value(raw.begin(), raw.end());
    if (signer.key_type() == hsm::KeyType::kP256) {
      value = der(der_tag::kSequence,
                  {der_unsigned(ByteSpan(raw).first(32)), der_unsigned(ByteSpan(raw).subspan(32))});
    }
    return with_signature(signed_part, value);
  }
  [[nodiscard]] Der with_signature(const Der& signed_part, const Der& value) const {
    constexpr std::uint8_t kNoUnusedBits[] = {0x00};
    return der(der_tag::kSequence,
               {signed_part, outer_algorithm, der(der_tag::kBitString, {kNoUnusedBits, value})});
  }
};

inline Der algorithm_of(hsm::KeyType type) {
  return der(der_tag::kSequence, {type == hsm::KeyType::kP256 ? oid_element(kOidEcdsaWithSha256)
                                                              : oid_element(kOidEd25519)});
}

inline const Der kCaConstraints = {0x30, 0x03, 0x01, 0x01, 0xff};
inline const Der kCaPathLength0 = {0x30, 0x06, 0x01, 0x01, 0xff, 0x02, 0x01, 0x00};
inline const Der kEndEntity = {0x30, 0x00};
inline const Der kMayCertify = {0x03, 0x02, 0x01, 0x06};
inline const Der kMaySign = {0x03, 0x02, 0x07, 0x80};

// Valid from 2026-01-01 to the end of 2030, with the four extensions this profile wants, in the
// order basicConstraints, keyUsage, subjectKeyIdentifier, authorityKeyIdentifier.
inline CertificateDraft draft(const std::string& subject, const hsm::PublicKey& key,
                              const std::string& issuer, const hsm::PublicKey& issuer_key,
                              bool ca) {
  CertificateDraft made;
  made.algorithm = made.outer_algorithm = algorithm_of(issuer_key.type);
  made.issuer = common_name(issuer);
  made.subject = common_name(subject);
  made.validity = der(der_tag::kSequence, {utc_time("260101000000Z"), utc_time("301231235959Z")});
  made.spki = must(key.to_spki_der());
  made.extensions = {
      extension(kOidBasicConstraints, true, ca ? kCaConstraints : kEndEntity),
      extension(kOidKeyUsage, true, ca ? kMayCertify : kMaySign),
      extension(kOidSubjectKeyIdentifier, false, der(der_tag::kOctetString, {key_id_of(key)})),
      extension(
          kOidAuthorityKeyIdentifier, false,
          der(der_tag::kSequence, {der(der_tag::context(0, false), {key_id_of(issuer_key)})}))};
  return made;
}

inline CertificateDraft ca_draft(const std::string& name, const hsm::PublicKey& key) {
  return draft(name, key, name, key, true);
}

// --- a log with one registered document ---------------------------------------------------------

struct LogOptions {
  hsm::KeyType ca_type = hsm::KeyType::kEd25519;
  std::string origin = "demo.colophon.example";
  std::uint64_t index = 5;
  std::uint64_t size = 11;
  std::uint64_t block_time_ms = 1770000000123;  // 2026-02-02T02:40:00.123Z
  std::optional<Der> salt;                      // registers a commitment instead of the hash
  std::string title = "Étude nº 1 — “colophon”";
  std::string document = "The quick brown fox jumps over the lazy dog.\n";
};

struct SmallLog {
  explicit SmallLog(LogOptions chosen = {}) : options(std::move(chosen)) {
    ca = MemorySigner::create(options.ca_type, 1);
    log_key = MemorySigner::create(hsm::KeyType::kEd25519, 2);
    ca_certificate = ca_draft("Example Trust CA", ca->public_key()).sign(*ca);
    log_certificate =
        draft(options.origin, log_key->public_key(), "Example Trust CA", ca->public_key(), false)
            .sign(*ca);
    parts.leaf = event().SerializeAsString();
    parts.index = options.index;
    parts.size = options.size;
    parts.chain = {log_certificate};
    seal();
  }

  [[nodiscard]] proto::Record record() const {
    proto::Record made;
    made.set_id(std::string(as_text(sha256("record"))));
    made.set_owner("acme-studio");
    made.set_type("work");
    made.set_title(options.title);
    if (options.salt) {
      made.set_commitment(
          std::string(as_text(commitment(*options.salt, sha256(options.document)))));
    } else {
      made.set_document_sha256(std::string(as_text(sha256(options.document))));
    }
    made.set_registered_at_ms(options.block_time_ms);
    made.set_revision(1);
    return made;
  }

  [[nodiscard]] proto::Event event() const {
    const auto member = MemorySigner::create(hsm::KeyType::kP256, 3);
    proto::Event made;
    made.set_version(1);
    made.set_index(options.index);
    made.set_block_height(4);
    made.set_block_time_ms(options.block_time_ms);
    made.set_transaction_id(std::string(as_text(sha256("transaction"))));
    made.set_signer_scheme(1);
    made.set_signer_public_key(std::string(as_text(member->public_key().raw)));
    made.set_contract("registry");
    made.set_type("registered");
    made.set_subject(record().id());
    made.set_data(record().SerializeAsString());
    return made;
  }

  // Puts the leaf in its place among others and signs the tree.
  void seal() {
    std::vector<Digest> leaf_hashes;
    for (std::uint64_t i = 0; i < parts.size; ++i) {
      const std::string leaf = i == parts.index ? parts.leaf : "leaf " + std::to_string(i);
      leaf_hashes.push_back(sha256(std::string(1, '\0') + leaf));
    }
    const Digest root = must(merkle_root(backend, leaf_hashes));
    const MerkleTree tree = must(MerkleTree::build(backend, std::move(leaf_hashes)));
    parts.proof = must(merkle_prove_inclusion(backend, tree.nodes(), parts.index, parts.size));
    parts.checkpoint = must(sign_checkpoint({options.origin, parts.size, root}, *log_key));
  }

  [[nodiscard]] std::string file() const { return must(write_certificate(parts)); }
  [[nodiscard]] Result<CertificateReport> verify(std::string_view certificate) const {
    return verify_certificate(backend, certificate, sha256(options.document),
                              options.salt ? std::optional<ByteSpan>(*options.salt) : std::nullopt,
                              ca_certificate);
  }

  LogOptions options;
  Backend backend = must(Backend::choose());
  std::unique_ptr<MemorySigner> ca;
  std::unique_ptr<MemorySigner> log_key;
  Der ca_certificate;
  Der log_certificate;
  CertificateParts parts;
};

}  // namespace colophon::node::test
