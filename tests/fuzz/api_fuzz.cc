// SPDX-License-Identifier: Apache-2.0
//
// Requests to the HTTP API, over a node of a few records in memory: every answer has a status the
// API documents and is JSON or text as it says; errors have their three members; proofs and
// certificates that are given out verify; bodies reach the node only as canonical base64.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "colophon/merkle.hpp"
#include "node/api/api.h"
#include "node/base64.h"
#include "node/checkpoint.h"
#include "node/hex.h"
#include "node/transaction.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/right_inputs.h"
#include "tests/node/certificate_forge.h"

namespace colophon::node {
namespace {

using fuzz::FuzzInput;
using fuzz::require;
using nlohmann::json;
using test::must;

constexpr std::uint64_t kLogSize = 7;

// One record, registered and then transferred back and forth; nothing that is submitted changes it.
class FuzzNode final : public Node {
 public:
  FuzzNode() : log_({.index = kLogSize - 1, .size = kLogSize}) {
    genesis_.chain_id = log_.options.origin;
    genesis_.administrator_scheme = Scheme::kEd25519;
    genesis_.administrator_public_key.assign(32, 1);
    genesis_.log_public_key = log_.log_key->public_key().raw;
    std::vector<Digest> hashes;
    for (std::uint64_t i = 0; i < kLogSize; ++i) {
      proto::Record record = log_.record();
      record.set_owner(i % 2 == 0 ? "acme-studio" : "archive");
      record.set_revision(i + 1);
      proto::Event event = log_.event();
      event.set_index(i);
      event.set_type(i == 0 ? "registered" : "transferred");
      event.set_data(record.SerializeAsString());
      leaves_.push_back(event.SerializeAsString());
      records_.push_back(event.data());
      hashes.push_back(test::sha256(std::string(1, '\0') + leaves_.back()));
    }
    for (std::size_t size = 0; size <= kLogSize; ++size) {
      const auto some = std::span<const Digest>(hashes).first(size);
      roots_.push_back(must(merkle_root(fuzz::backend(), some)));
      checkpoints_.push_back(
          must(sign_checkpoint({log_.options.origin, size, roots_.back()}, *log_.log_key)));
    }
    hashes_ = hashes;
    tree_.emplace(must(MerkleTree::build(fuzz::backend(), std::move(hashes))));
  }

  [[nodiscard]] const test::SmallLog& log() const { return log_; }
  [[nodiscard]] const std::vector<Digest>& roots() const { return roots_; }
  [[nodiscard]] std::string record_id_hex() const { return hex_encode(test::sha256("record")); }

  std::vector<Result<Receipt>> submit(std::span<const std::string_view> transactions) override {
    require(!transactions.empty() && transactions.size() <= kSubmitTransactionsMax,
            "the node is asked for what the limits allow");
    std::vector<Result<Receipt>> results;
    for (const std::string_view transaction : transactions) {
      require(transaction.size() <= kTransactionBytesMax + 2,
              "an oversized text is refused before");
      const auto parsed = parse_transaction(as_bytes(transaction));
      if (!parsed) {
        results.emplace_back(parsed.error());
      } else {
        Receipt receipt;
        receipt.transaction_id = transaction_id(genesis_.chain_id, *parsed);
        receipt.block_height = 1;
        receipt.events = {0};
        receipt.subjects = {"subject"};
        results.emplace_back(receipt);
      }
    }
    return results;
  }
  const Genesis& genesis() const noexcept override { return genesis_; }
  NodeStatus status() const override {
    NodeStatus status;
    status.chain_id = genesis_.chain_id;
    status.backend = "openssl";
    status.ordering = "solo";
    status.height = status.log_size = kLogSize;
    status.block_time_ms = log_.options.block_time_ms;
    return status;
  }
  Result<std::string> record(ByteSpan id) const override {
    require(id.size() == 32, "an id has 32 bytes");
    if (std::ranges::equal(id, test::sha256("record"))) return records_.back();
    return make_error(ErrorCode::kNotFound, "no such record", "id");
  }
  Result<std::string> organization(std::string_view id) const override {
    return make_error(ErrorCode::kNotFound, "no organization " + std::string(id), "id");
  }
  Result<std::string> member(ByteSpan id) const override {
    require(id.size() == 32, "an id has 32 bytes");
    return make_error(ErrorCode::kNotFound, "no such member", "key_id");
  }
  Result<std::vector<std::uint64_t>> history(ByteSpan, std::uint64_t from,
                                             std::uint32_t limit) const override {
    require(limit <= 1001, "a history is asked for in pieces");
    std::vector<std::uint64_t> indices;
    for (std::uint64_t i = from; i < kLogSize && indices.size() < limit; ++i) indices.push_back(i);
    return indices;
  }
  Result<std::string> event(std::uint64_t index) const override {
    if (index < kLogSize) return leaves_[index];
    return make_error(ErrorCode::kNotFound, "no such entry", "index");
  }
  Result<Receipt> transaction(ByteSpan id) const override {
    require(id.size() == 32, "an id has 32 bytes");
    return make_error(ErrorCode::kNotFound, "no such transaction", "id");
  }
  Result<InclusionProof> prove_inclusion(std::uint64_t index, std::uint64_t size) const override {
    require(index < size && size <= kLogSize, "only what the log has is proven");
    InclusionProof proof{index, size, hashes_[index], {}};
    COLOPHON_TRY_ASSIGN(proof.hashes,
                        merkle_prove_inclusion(fuzz::backend(), tree_->nodes(), index, size));
    return proof;
  }
  Result<std::vector<Digest>> prove_consistency(std::uint64_t from,
                                                std::uint64_t to) const override {
    require(from >= 1 && from <= to && to <= kLogSize, "only what the log has is proven");
    return merkle_prove_consistency(fuzz::backend(), tree_->nodes(), from, to);
  }
  Result<std::string> checkpoint(std::uint64_t height) const override {
    if (height > kLogSize) return make_error(ErrorCode::kNotFound, "no such block", "height");
    return checkpoints_[height == 0 ? kLogSize : height];
  }
  std::string metrics() const override { return "colophon_height 7\n"; }

 private:
  test::SmallLog log_;
  Genesis genesis_;
  std::vector<std::string> leaves_;
  std::vector<std::string> records_;
  std::vector<Digest> hashes_;
  std::vector<Digest> roots_;
  std::vector<std::string> checkpoints_;
  std::optional<MerkleTree> tree_;
};

FuzzNode& node() {
  static FuzzNode made;
  return made;
}

// --- what answers are held to --------------------------------------------------------------------

Digest digest_of(const json& hex) {
  const auto bytes = hex_decode(hex.get<std::string>());
  require(bytes && bytes->size() == 32, "a hash has 32 bytes");
  Digest digest;
  std::ranges::copy(*bytes, digest.begin());
  return digest;
}

std::vector<Digest> proof_of(const json& list) {
  std::vector<Digest> proof;
  for (const json& hash : list) proof.push_back(digest_of(hash));
  return proof;
}

void check_error(const json& error) {
  require(error.size() == 3 && !error.at("code").get<std::string>().empty() &&
              !error.at("message").get<std::string>().empty() && error.at("field").is_string(),
          "an error has code, message and field");
  require(error.at("code") != "internal" && error.at("code") != "corrupt",
          "no request is a defect or a damage of the node");
}

void check_proof(const HttpRequest& request, const json& value) {
  if (request.path == "/v1/log/proof/inclusion") {
    const auto leaf = hex_decode(value.at("leaf").get<std::string>());
    require(leaf.has_value(), "a leaf is hex");
    const Digest root = digest_of(value.at("root"));
    const auto size = value.at("size").get<std::uint64_t>();
    require(root == node().roots().at(size), "the root is the log's");
    require(merkle_verify_inclusion(
                fuzz::backend(), test::sha256(std::string(1, '\0') + std::string(as_text(*leaf))),
                value.at("index").get<std::uint64_t>(), size, proof_of(value.at("proof")), root)
                .ok(),
            "an inclusion proof that is given out verifies");
  }
  if (request.path == "/v1/log/proof/consistency") {
    const auto from = value.at("from").get<std::uint64_t>();
    const auto to = value.at("to").get<std::uint64_t>();
    require(digest_of(value.at("from_root")) == node().roots().at(from) &&
                digest_of(value.at("to_root")) == node().roots().at(to),
            "the roots are the log's");
    require(merkle_verify_consistency(fuzz::backend(), from, to, digest_of(value.at("from_root")),
                                      digest_of(value.at("to_root")), proof_of(value.at("proof")))
                .ok(),
            "a consistency proof that is given out verifies");
  }
}

void check_answer(const HttpRequest& request, const HttpResponse& answer) {
  constexpr std::array kStatuses = {200, 201, 400, 404, 405, 409, 413, 415, 422};
  require(std::ranges::find(kStatuses, answer.status) != kStatuses.end(),
          "the status is one that a good node gives");
  if (answer.content_type != "application/json") {
    require(answer.content_type.starts_with("text/plain"), "an answer is JSON or text");
    return;
  }
  const json value = json::parse(answer.body, nullptr, false);
  require(value.is_object(), "a JSON answer is an object");
  if (answer.status >= 400) {
    require(value.size() == 1, "a refusal is one error");
    check_error(value.at("error"));
    return;
  }
  if (value.contains("results")) {
    for (const json& result : value.at("results")) {
      if (result.contains("error")) check_error(result.at("error"));
    }
  }
  check_proof(request, value);
  if (request.path.ends_with("/certificate")) {
    const auto& log = node().log();
    require(log.verify(answer.body).ok(), "a certificate that is given out verifies");
  }
}

// --- requests ------------------------------------------------------------------------------------

HttpRequest make_request(FuzzInput& input) {
  const std::string id = node().record_id_hex();
  const std::array<std::string, 17> paths = {"/",
                                             "/metrics",
                                             "/openapi.json",
                                             "/v1/health",
                                             "/v1/log/checkpoint",
                                             "/v1/log/entries/3",
                                             "/v1/log/proof/consistency",
                                             "/v1/log/proof/inclusion",
                                             "/v1/members/" + id,
                                             "/v1/organizations/acme-studio",
                                             "/v1/records/" + id,
                                             "/v1/records/" + id + "/certificate",
                                             "/v1/records/" + id + "/history",
                                             "/v1/status",
                                             "/v1/transactions/" + id,
                                             "/v1/transactions",
                                             ""};
  constexpr std::array<const char*, 5> kMethods = {"GET", "POST", "HEAD", "PUT", ""};
  constexpr std::array<const char*, 8> kParameters = {"height", "from",  "to",    "index",
                                                      "size",   "limit", "other", ""};
  constexpr std::array<const char*, 4> kTypes = {
      "application/json", "application/json; charset=utf-8", "text/plain", ""};
  HttpRequest request;
  const std::uint8_t which = input.byte();
  request.path = paths[which % paths.size()];
  request.method = request.path == "/v1/transactions" ? "POST" : "GET";
  const std::uint8_t options = input.byte();
  if ((options & 1) != 0) request.method = kMethods[input.choice(kMethods.size())];
  if ((options & 2) != 0) fuzz::edit(request.path, input, 3);
  request.content_type = kTypes[options / 64];
  for (int i = 0; i < (options >> 2 & 3); ++i) {
    const char* name = kParameters[input.choice(kParameters.size())];
    // Small numbers, those at the edges, or any text.
    constexpr std::array<const char*, 8> kEdges = {
        "1000", "1001", "007", "4294967296", "18446744073709551615", "18446744073709551616",
        "-1",   "+1"};
    const std::uint8_t value = input.byte();
    const std::string text = value < 128   ? std::to_string(value % 10)
                             : value < 192 ? std::string(kEdges[value % kEdges.size()])
                                           : std::string(fuzz::text_of(input.bytes(value % 24)));
    request.query.emplace(name, text);
  }
  static const std::vector<std::string> bodies = [] {
    const std::string sent =
        base64_encode(as_bytes(fuzz::right_transactions(fuzz::FuzzChain()).back()));
    return std::vector<std::string>{R"({"transaction":")" + sent + "\"}",
                                    R"({"transactions":[")" + sent + R"(","AA=="]})"};
  }();
  request.body = fuzz::choose_text(input, bodies, ',');
  return request;
}

void check(FuzzInput& input) {
  static const HttpHandler api = make_api(node(), {node().log().log_certificate});
  const HttpRequest request = make_request(input);
  const HttpResponse answer = api(request);
  check_answer(request, answer);
  if (request.path == "/v1/transactions" && answer.status < 300) {
    require(
        request.body.find('\0') == std::string::npos && !request.body.starts_with("\xef\xbb\xbf"),
        "a body that is taken is JSON, all of it");
  }
}

}  // namespace
}  // namespace colophon::node

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  colophon::fuzz::FuzzInput input(data, size);
  colophon::node::check(input);
  return 0;
}
