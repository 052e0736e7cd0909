// SPDX-License-Identifier: Apache-2.0
#include "node/cli/node_session.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "colophon/merkle.hpp"
#include "node/bytes.h"
#include "node/cli/command.h"
#include "node/environment.h"
#include "node/hex.h"
#include "node/transaction.h"

namespace colophon::cli {
namespace {

using nlohmann::json;

constexpr std::uint64_t kLifetimeMs = 10 * 60 * 1000;

Result<Digest> digest_from(const json& text) {
  const auto bytes = node::hex_decode(text.get<std::string>());
  if (!bytes || bytes->size() != 32) {
    return make_error(ErrorCode::kMalformed, "the node's answer has a hash that is not 32 bytes");
  }
  Digest digest{};
  std::copy(bytes->begin(), bytes->end(), digest.begin());
  return digest;
}

Result<std::vector<Digest>> digests_from(const json& list) {
  std::vector<Digest> digests;
  for (const json& item : list) {
    COLOPHON_TRY_ASSIGN(const Digest digest, digest_from(item));
    digests.push_back(digest);
  }
  return digests;
}

}  // namespace

void add_node_options(CLI::App& command, NodeOptions& options) {
  options.url = node::kNodeUrlDefault;
  command.add_option("--node", options.url, "Address of the node, http://HOST:PORT")
      ->envname(std::string(node::kNodeVariable))
      ->type_name("URL")
      ->capture_default_str();
  command.add_flag("--json", options.json, "Print JSON for a program to read");
}

void add_signing_options(CLI::App& command, SigningOptions& options, const char* key_help) {
  command.add_option("--key", options.key, key_help)->type_name("URI")->required();
  add_pin_options(command, options.pin);
}

// --- NodeSession ---------------------------------------------------------------------------------

NodeSession::NodeSession(node::Client client, std::string chain_id,
                         std::vector<std::uint8_t> log_key, Backend backend)
    : client_(std::move(client)),
      chain_id_(std::move(chain_id)),
      log_public_key_(std::move(log_key)),
      backend_(backend) {}

Result<NodeSession> NodeSession::open(const NodeOptions& options) {
  COLOPHON_TRY_ASSIGN(const Backend backend, Backend::choose());
  COLOPHON_TRY_ASSIGN(node::Client client, node::Client::connect(options.url));
  COLOPHON_TRY_ASSIGN(const json status, client.get("/v1/status"));
  auto key = node::hex_decode(status.at("log_public_key").get<std::string>());
  if (!key) return make_error(ErrorCode::kMalformed, "the node's log_public_key is not hex");
  return NodeSession(std::move(client), status.at("chain_id").get<std::string>(), *std::move(key),
                     backend);
}

Result<NodeSession::SignedCheckpoint> NodeSession::checkpoint(std::uint64_t height) {
  SignedCheckpoint signed_checkpoint;
  const std::string query = height == 0 ? "" : "?height=" + std::to_string(height);
  COLOPHON_TRY_ASSIGN(signed_checkpoint.note, client_.get_text("/v1/log/checkpoint" + query));
  COLOPHON_TRY_ASSIGN(
      signed_checkpoint.checkpoint,
      node::verify_checkpoint(backend_, signed_checkpoint.note, chain_id_, log_public_key_));
  return signed_checkpoint;
}

Result<json> NodeSession::inclusion(std::uint64_t index, const node::Checkpoint& checkpoint) {
  COLOPHON_TRY_ASSIGN(json answer,
                      client_.get("/v1/log/proof/inclusion?index=" + std::to_string(index) +
                                  "&size=" + std::to_string(checkpoint.size)));
  const auto leaf = node::hex_decode(answer.at("leaf").get<std::string>());
  if (!leaf) return make_error(ErrorCode::kMalformed, "the node's leaf is not hex", "leaf");
  const std::array<std::uint64_t, 2> offsets{0, leaf->size()};
  std::array<Digest, 1> leaf_hash{};
  COLOPHON_TRY(merkle_leaf_hashes(backend_, {*leaf, offsets}, leaf_hash));
  COLOPHON_TRY_ASSIGN(const auto proof, digests_from(answer.at("proof")));
  COLOPHON_TRY(merkle_verify_inclusion(backend_, leaf_hash[0], index, checkpoint.size, proof,
                                       checkpoint.root));
  return answer;
}

Result<json> NodeSession::consistency(std::uint64_t from, const node::Checkpoint& checkpoint) {
  COLOPHON_TRY_ASSIGN(json answer,
                      client_.get("/v1/log/proof/consistency?from=" + std::to_string(from) +
                                  "&to=" + std::to_string(checkpoint.size)));
  COLOPHON_TRY_ASSIGN(const auto proof, digests_from(answer.at("proof")));
  COLOPHON_TRY_ASSIGN(const Digest from_root, digest_from(answer.at("from_root")));
  COLOPHON_TRY(merkle_verify_consistency(backend_, from, checkpoint.size, from_root,
                                         checkpoint.root, proof));
  return answer;
}

// --- SigningSession ------------------------------------------------------------------------------

SigningSession::SigningSession(NodeSession node, std::unique_ptr<hsm::Signer> signer)
    : node_(std::move(node)), signer_(std::move(signer)) {}

Result<SigningSession> SigningSession::open(const NodeOptions& options,
                                            const SigningOptions& signing) {
  COLOPHON_TRY_ASSIGN(NodeSession node, NodeSession::open(options));
  COLOPHON_TRY_ASSIGN(auto signer, hsm::open_signer(signing.key, signing.pin.source()));
  return SigningSession(std::move(node), std::move(signer));
}

Result<SigningSession::Signed> SigningSession::sign(std::string_view contract,
                                                    std::string payload) {
  const node::Environment environment = node::system_environment();
  node::TransactionDraft draft;
  draft.created_at_ms = environment.clock.now_ms();
  draft.expires_at_ms = draft.created_at_ms + kLifetimeMs;
  environment.random.fill(draft.nonce);
  draft.contract = contract;
  draft.payload = std::move(payload);
  Signed result;
  COLOPHON_TRY_ASSIGN(result.bytes, node::sign_transaction(node_.chain_id(), draft, *signer_));
  COLOPHON_TRY_ASSIGN(const auto view, node::parse_transaction(node::as_bytes(result.bytes)));
  result.id = node::transaction_id(node_.chain_id(), view);
  return result;
}

Result<json> SigningSession::call(std::string_view contract, std::string payload) {
  COLOPHON_TRY_ASSIGN(const Signed transaction, sign(contract, std::move(payload)));
  COLOPHON_TRY_ASSIGN(auto outcomes, node_.client().submit({transaction.bytes}, {transaction.id}));
  return std::move(outcomes.front());
}

Result<std::string> fetch_certificate(node::Client& client, const std::string& record_id) {
  COLOPHON_TRY_ASSIGN(std::string certificate,
                      client.get_text("/v1/records/" + record_id + "/certificate"));
  const json parsed = json::parse(certificate, nullptr, false);
  if (parsed.is_object() && parsed.contains("record") && parsed["record"].is_object() &&
      parsed["record"].value("id", json()) == record_id) {
    return certificate;
  }
  return make_error(ErrorCode::kMalformed,
                    "the node sent something that is not the certificate of this record", "--node");
}

// --- output --------------------------------------------------------------------------------------

Result<std::vector<std::uint8_t>> parse_id(std::string_view text, const char* field) {
  auto bytes = node::hex_decode(text);
  if (bytes && bytes->size() == 32) return *std::move(bytes);
  return make_error(ErrorCode::kInvalidArgument, "must be 64 lower-case hexadecimal digits", field);
}

void run_command(int& exit_code, bool json, const std::function<Result<void>()>& body) {
  try {
    const Result<void> done = body();
    exit_code = done ? kExitOk : report(done.error(), json);
  } catch (const nlohmann::json::exception&) {
    exit_code = report(
        make_error(ErrorCode::kMalformed,
                   "the node's answer lacks something: is it a Colophon node of this version?",
                   "--node"),
        json);
  }
}

void print_json(const json& value) {
  std::cout << value.dump(-1, ' ', false, json::error_handler_t::replace) << std::endl;
}

}  // namespace colophon::cli
