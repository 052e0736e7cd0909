// SPDX-License-Identifier: Apache-2.0
#include "node/certificate.h"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <utility>

#include "colophon/merkle.hpp"
#include "node/base64.h"
#include "node/bytes.h"
#include "node/checkpoint.h"
#include "node/contracts/message.h"
#include "node/contracts/registry/registry.pb.h"
#include "node/event.h"
#include "node/hex.h"
#include "node/proto/transaction.pb.h"
#include "node/strict_json.h"

namespace colophon::node {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kFormat = "colophon-certificate";
constexpr std::uint64_t kCertificateVersion = 1;
constexpr std::string_view kCommitmentDomain{"colophon commitment v1\0", 23};
constexpr std::string_view kRegistry = "registry";
constexpr std::string_view kRegistered = "registered";
constexpr std::size_t kSaltBytes = 32;
// certificate > event > signer is 3; contracts may nest a little in `data`.
constexpr int kDepthMax = 8;
// An inclusion proof in a tree of at most 2^48 leaves (kTreeSizeMax).
constexpr std::size_t kInclusionHashesMax = 48;

Error bad_certificate(std::string message, std::string field) {
  return make_error(ErrorCode::kMalformed, std::move(message), std::move(field));
}

Error refused(std::string message, std::string field) {
  return make_error(ErrorCode::kInvalidSignature, std::move(message), std::move(field));
}

// The error of a part, named as that part of the certificate.
Error in_part(Error error, std::string_view part) {
  if (!error.field.empty() && error.field != part) {
    error.message = error.field + ": " + error.message;
  }
  error.field = part;
  return error;
}

// The canonical form: members sorted by their UTF-8 bytes, no white space, shortest escapes.
std::string canonical(const Json& json) { return json.dump(); }

// --- reading ------------------------------------------------------------------------------------

Result<Json> parse_json(std::string_view file) {
  if (file.size() > kCertificateFileBytesMax) {
    return make_error(ErrorCode::kLimitExceeded, "a certificate file has at most 256 KiB",
                      "certificate");
  }
  if (is_nested_deeper_than(file, kDepthMax))
    return bad_certificate("nested more than 8 deep", "certificate");
  return parse_object(file, "certificate");
}

// `json` is an object with exactly these members.
Result<void> check_members(const Json& json, std::string_view path,
                           std::initializer_list<std::string_view> names) {
  const auto named = [&](std::string_view name) {
    return path.empty() ? shown_name(name) : std::string(path) + "." + shown_name(name);
  };
  if (!json.is_object()) return bad_certificate("not a JSON object", std::string(path));
  for (const auto& [name, value] : json.items()) {
    if (std::ranges::find(names, name) == names.end()) {
      return bad_certificate("unknown member: this version has none of that name", named(name));
    }
  }
  for (const std::string_view name : names) {
    if (!json.contains(name)) return bad_certificate("the member is missing", named(name));
  }
  return {};
}

Result<std::string> read_text(const Json& json, std::string field) {
  if (!json.is_string()) return bad_certificate("not a string", std::move(field));
  return json.get<std::string>();
}

Result<std::uint64_t> read_number(const Json& json, std::string field) {
  if (!json.is_number_unsigned()) return bad_certificate("not a whole number", std::move(field));
  return json.get<std::uint64_t>();
}

Result<Digest> read_digest(const Json& json, std::string field) {
  COLOPHON_TRY_ASSIGN(const std::string text, read_text(json, field));
  const auto bytes = hex_decode(text);
  Digest digest;
  if (!bytes || bytes->size() != digest.size()) {
    return bad_certificate("not 64 digits of lower-case hexadecimal", std::move(field));
  }
  std::ranges::copy(*bytes, digest.begin());
  return digest;
}

Result<std::vector<std::uint8_t>> read_base64(const Json& json, std::string field) {
  COLOPHON_TRY_ASSIGN(const std::string text, read_text(json, field));
  auto bytes = base64_decode(text);
  if (!bytes) return bad_certificate("not canonical base64", std::move(field));
  return std::move(*bytes);
}

// Types, names and limits of the whole file, before anything in it is believed.
Result<CertificateParts> read_form(const Json& json) {
  COLOPHON_TRY(check_members(
      json, "",
      {"chain", "checkpoint", "event", "format", "inclusion", "leaf", "record", "version"}));
  if (json["format"] != kFormat) {
    return bad_certificate("not \"colophon-certificate\": this is another kind of file", "format");
  }
  COLOPHON_TRY_ASSIGN(const std::uint64_t version, read_number(json["version"], "version"));
  if (version != kCertificateVersion) {
    return bad_certificate("a version this program does not know: it reads version 1", "version");
  }
  CertificateParts parts;
  COLOPHON_TRY_ASSIGN(const auto leaf, read_base64(json["leaf"], "leaf"));
  parts.leaf.assign(leaf.begin(), leaf.end());

  const Json& inclusion = json["inclusion"];
  COLOPHON_TRY(
      check_members(inclusion, "inclusion", {"hash", "index", "leaf_hash", "proof", "size"}));
  if (inclusion["hash"] != "sha256") return bad_certificate("not \"sha256\"", "inclusion.hash");
  COLOPHON_TRY_ASSIGN(parts.index, read_number(inclusion["index"], "inclusion.index"));
  COLOPHON_TRY_ASSIGN(parts.size, read_number(inclusion["size"], "inclusion.size"));
  COLOPHON_TRY(read_digest(inclusion["leaf_hash"], "inclusion.leaf_hash"));
  const Json& proof = inclusion["proof"];
  if (!proof.is_array() || proof.size() > kInclusionHashesMax) {
    return bad_certificate("not a list of at most 48 hashes", "inclusion.proof");
  }
  for (std::size_t i = 0; i < proof.size(); ++i) {
    COLOPHON_TRY_ASSIGN(const Digest hash,
                        read_digest(proof[i], "inclusion.proof[" + std::to_string(i) + "]"));
    parts.proof.push_back(hash);
  }

  COLOPHON_TRY_ASSIGN(parts.checkpoint, read_text(json["checkpoint"], "checkpoint"));
  const Json& chain = json["chain"];
  if (!chain.is_array() || chain.empty() || chain.size() > kChainLengthMax) {
    return bad_certificate("not a list of 1 to 4 certificates", "chain");
  }
  for (std::size_t i = 0; i < chain.size(); ++i) {
    COLOPHON_TRY_ASSIGN(Der der, read_base64(chain[i], "chain[" + std::to_string(i) + "]"));
    parts.chain.push_back(std::move(der));
  }
  return parts;
}

// --- the event and its record -------------------------------------------------------------------

struct Registered {
  Json json;  // the event's
  proto::Event event;
  proto::Record record;
};

// The leaf, if it is an event of a record.
Result<Registered> read_leaf(std::string_view leaf) {
  Registered registered;
  auto json = event_json(as_bytes(leaf));
  if (!json) {
    Error error = std::move(json).error();  // its message names the field already
    error.field = "leaf";
    return error;
  }
  registered.json = std::move(json).value();
  COLOPHON_TRY_ASSIGN(registered.event, decode_canonical<proto::Event>(as_bytes(leaf), "leaf"));
  if (registered.event.contract() != kRegistry) {
    return bad_certificate("not an event of a record: certificates are made for registry events",
                           "leaf");
  }
  COLOPHON_TRY_ASSIGN(registered.record,
                      decode_canonical<proto::Record>(as_bytes(registered.event.data()), "leaf"));
  // The record's own date is what a reader sees first: it must not be another than the block's.
  const std::uint64_t event_time_ms = registered.event.block_time_ms();
  const std::uint64_t record_time_ms = registered.record.registered_at_ms();
  if (registered.event.type() == kRegistered ? record_time_ms != event_time_ms
                                             : record_time_ms > event_time_ms) {
    return bad_certificate(
        "the record says that it was registered at another time than its event allows", "leaf");
  }
  return registered;
}

Digest leaf_hash_of(std::string_view leaf) {
  // RFC 9162 §2.1.1: the domain byte of a leaf is 0x00.
  std::string input(1, '\0');
  input += leaf;
  Digest digest;
  SHA256(as_bytes(input).data(), input.size(), digest.data());
  return digest;
}

Json json_of(const CertificateParts& parts, const Registered& registered) {
  Json proof = Json::array();
  for (const Digest& hash : parts.proof) proof.push_back(hex_encode(hash));
  Json chain = Json::array();
  for (const Der& certificate : parts.chain) chain.push_back(base64_encode(certificate));
  return {{"format", kFormat},
          {"version", kCertificateVersion},
          {"record", registered.json.at("data")},
          {"event", registered.json},
          {"leaf", base64_encode(as_bytes(parts.leaf))},
          {"inclusion",
           {{"hash", "sha256"},
            {"index", parts.index},
            {"size", parts.size},
            {"leaf_hash", hex_encode(leaf_hash_of(parts.leaf))},
            {"proof", std::move(proof)}}},
          {"checkpoint", parts.checkpoint},
          {"chain", std::move(chain)}};
}

// --- checks -------------------------------------------------------------------------------------

// The readable members say what the leaf says. Compared as text: to the JSON library 1 equals 1.0.
Result<void> check_agreement(const Json& json, const CertificateParts& parts,
                             const Registered& registered) {
  if (canonical(json["event"]) != canonical(registered.json)) {
    return refused("does not say what the leaf says", "event");
  }
  if (canonical(json["record"]) != canonical(registered.json.at("data"))) {
    return refused("does not say what the leaf says", "record");
  }
  if (json["inclusion"]["leaf_hash"] != hex_encode(leaf_hash_of(parts.leaf))) {
    return refused("not the hash of the leaf", "inclusion.leaf_hash");
  }
  if (parts.index != registered.event.index()) {
    return refused("not the index the event has in the log", "inclusion.index");
  }
  return {};
}

Result<void> check_document(const proto::Record& record, const Digest& document_sha256,
                            std::optional<ByteSpan> salt) {
  const bool committed = !record.commitment().empty();
  if (!committed && salt) {
    return make_error(ErrorCode::kInvalidArgument,
                      "this record holds the document's hash, not a commitment: leave the salt out",
                      "salt");
  }
  if (committed && (!salt || salt->size() != kSaltBytes)) {
    return make_error(ErrorCode::kInvalidArgument,
                      "this record holds a salted commitment: give the 32-byte salt that was kept "
                      "when it was registered",
                      "salt");
  }
  if (committed) {
    if (std::ranges::equal(as_bytes(record.commitment()), commitment(*salt, document_sha256)))
      return {};
    return refused(
        "document and salt do not open the commitment in the record: one of them is not "
        "what was registered",
        "document");
  }
  if (std::ranges::equal(as_bytes(record.document_sha256()), document_sha256)) return {};
  return refused("its SHA-256 is " + hex_encode(document_sha256) + ", the record's is " +
                     hex_encode(as_bytes(record.document_sha256())) +
                     ": this is not the document that was registered",
                 "document");
}

// Name and key of who signed the checkpoint, then the signature, then that the event is under it.
Result<Checkpoint> check_log(const Backend& backend, const CertificateParts& parts,
                             const CertificateFacts& log_key) {
  if (log_key.is_ca || log_key.scheme != Scheme::kEd25519) {
    return refused("the first certificate is not for the Ed25519 key of a log", "chain");
  }
  auto checkpoint =
      verify_checkpoint(backend, parts.checkpoint, log_key.common_name, log_key.public_key);
  if (!checkpoint) return in_part(std::move(checkpoint).error(), "checkpoint");
  if (parts.size != checkpoint->size) {
    return refused("not the tree size of the checkpoint", "inclusion.size");
  }
  if (parts.index >= parts.size) {
    return refused("the checkpoint does not cover this entry", "inclusion.index");
  }
  const auto included = merkle_verify_inclusion(backend, leaf_hash_of(parts.leaf), parts.index,
                                                parts.size, parts.proof, checkpoint->root);
  if (!included) {
    return refused(
        "the event is not in the log the checkpoint is over: " + included.error().message,
        "inclusion.proof");
  }
  return checkpoint;
}

std::string in_quotes(std::string_view text) { return "\"" + std::string(text) + "\""; }

CertificateReport make_report(const CertificateParts& parts, const Registered& registered,
                              const Digest& document_sha256, const CertificateFacts& log_key,
                              const CertificateFacts& trust) {
  const proto::Event& event = registered.event;
  const proto::Record& record = registered.record;
  CertificateReport report;
  report.record_id = hex_encode(as_bytes(record.id()));
  report.owner = record.owner();
  report.type = record.type();
  report.title = record.title();
  report.event_type = event.type();
  report.event_time_ms = event.block_time_ms();
  report.origin = log_key.common_name;
  report.index = parts.index;
  report.size = parts.size;
  report.signed_by = log_key.common_name;
  report.trust_root = trust.common_name;

  const std::string when = format_time(report.event_time_ms);
  const bool committed = !record.commitment().empty();
  report.proves = {
      committed ? "The document with SHA-256 " + hex_encode(document_sha256) +
                      " and the salt given are what the record commits to."
                : "The document with SHA-256 " + hex_encode(document_sha256) +
                      " is the one the record names.",
      "With the event " + in_quotes(report.event_type) + " of " + when + ", record " +
          report.record_id + " (" + report.type + " " + in_quotes(report.title) + ", revision " +
          std::to_string(record.revision()) + ") named " + in_quotes(report.owner) +
          " as its owner.",
      "That event is entry " + std::to_string(report.index) + " of the log " +
          in_quotes(report.origin) + ", under a checkpoint over " + std::to_string(report.size) +
          " entries that the log's key has signed.",
      "The log's key was certified, at the time of the event, by a chain that ends in the CA " +
          in_quotes(report.trust_root) + " you chose to trust.",
  };
  const std::string owner = in_quotes(report.owner);
  report.not_proven = {
      "That " + owner +
          " is the author, or entitled in law: the log keeps who said what and when; it does not "
          "judge, and the title is the registrant's own word.",
      "That the document is original, or was not registered or published before by somebody else.",
      "That " + owner +
          " owns it now: a later transfer is not in this file. Ask a node for the record's "
          "history.",
      "The time, beyond the word of the node that wrote it: " + when +
          " is by that node's clock, and whoever holds the log's key can write any time at which "
          "its certificate was valid.",
      "That " + owner +
          " asked for it: the file names the key that signed the request but does not hold that "
          "signature; the node says that it checked it.",
      "That everybody sees the same log: compare the checkpoint with one that somebody else holds.",
      "That the CA " + in_quotes(report.trust_root) + " deserves your trust, or that " +
          in_quotes(report.origin) +
          " is the log you mean: every key the CA certifies can keep a log under its own name.",
      "That no certificate of the chain was revoked: revocation lists are not consulted offline.",
  };
  return report;
}

}  // namespace

Digest commitment(ByteSpan salt, const Digest& document_sha256) {
  std::string input(kCommitmentDomain);
  input += as_text(salt);
  input += as_text(document_sha256);
  Digest digest;
  SHA256(as_bytes(input).data(), input.size(), digest.data());
  return digest;
}

Result<std::string> write_certificate(const CertificateParts& parts) {
  COLOPHON_TRY_ASSIGN(const Registered registered, read_leaf(parts.leaf));
  std::string file = canonical(json_of(parts, registered));
  file += '\n';
  if (file.size() > kCertificateFileBytesMax) {
    return make_error(ErrorCode::kLimitExceeded, "a certificate file has at most 256 KiB",
                      "certificate");
  }
  return file;
}

Result<CertificateReport> verify_certificate(const Backend& backend, std::string_view file,
                                             const Digest& document_sha256,
                                             std::optional<ByteSpan> salt, ByteSpan trust_ca) {
  COLOPHON_TRY_ASSIGN(const Json json, parse_json(file));
  COLOPHON_TRY_ASSIGN(const CertificateParts parts, read_form(json));
  const Error not_canonical = bad_certificate(
      "not in canonical form: members sorted, no white space, shortest escapes, one "
      "newline at the end",
      "certificate");
  if (file != canonical(json) + "\n") return not_canonical;
  COLOPHON_TRY_ASSIGN(const Registered registered, read_leaf(parts.leaf));
  COLOPHON_TRY(check_agreement(json, parts, registered));
  // All that is left open after these checks is nothing: the file is what its parts make it.
  if (file != canonical(json_of(parts, registered)) + "\n") return not_canonical;

  COLOPHON_TRY(check_document(registered.record, document_sha256, salt));
  auto log_key = inspect_certificate(parts.chain[0]);
  if (!log_key) return in_part(std::move(log_key).error(), "chain[0]");
  COLOPHON_TRY(check_log(backend, parts, *log_key));
  auto trust = inspect_certificate(trust_ca);
  if (!trust) return in_part(std::move(trust).error(), "trusted CA");
  auto certified = verify_chain(parts.chain, trust_ca, registered.event.block_time_ms());
  if (!certified) return in_part(std::move(certified).error(), "chain");
  for (std::size_t i = 0; i < parts.chain.size(); ++i) {
    const std::string field = "chain[" + std::to_string(i) + "]";
    auto low = low_s_form(parts.chain[i]);
    if (!low) return in_part(std::move(low).error(), field);
    if (*low != parts.chain[i]) {
      return refused(
          "its signature is not in the form that a certificate file has (the s of ECDSA in the "
          "lower "
          "half): somebody altered it",
          field);
    }
  }
  return make_report(parts, registered, document_sha256, *certified, *trust);
}

}  // namespace colophon::node
