// SPDX-License-Identifier: Apache-2.0
//
// The API over a node whose answers the test chooses: routing, what is refused and how, proofs. The
// same API over a real node and a real socket is checked by tests/node/openapi_check.py.
#include "node/api/api.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <stdexcept>

#include "colophon/merkle.hpp"
#include "node/api/openapi_document.h"
#include "node/base64.h"
#include "node/bytes.h"
#include "node/checkpoint.h"
#include "node/contracts/registry/registry.pb.h"
#include "node/event.h"
#include "node/hex.h"
#include "node/proto/transaction.pb.h"
#include "tests/node/memory_signer.h"

namespace colophon::node {
namespace {

using nlohmann::json;

constexpr std::uint64_t kTime = 1'769'860'800'000;

Backend backend() { return Backend::choose("openssl").value(); }

Digest digest_of(std::uint8_t byte) {
  Digest digest;
  digest.fill(byte);
  return digest;
}

std::string record_bytes(std::uint8_t id, std::uint64_t revision) {
  proto::Record record;
  record.set_id(std::string(32, static_cast<char>(id)));
  record.set_owner("acme");
  record.set_type("work");
  record.set_title("Nocturne");
  record.set_document_sha256(std::string(32, '\x7f'));
  record.set_registered_at_ms(kTime);
  record.set_revision(revision);
  return record.SerializeAsString();
}

// A log of events of one record (id 0x11…), `size` revisions long.
class FakeNode final : public Node {
 public:
  explicit FakeNode(std::uint64_t size)
      : signer_(test::MemorySigner::create(hsm::KeyType::kEd25519, 1)) {
    genesis_.chain_id = "test-chain";
    genesis_.administrator_scheme = Scheme::kEd25519;
    genesis_.administrator_public_key.assign(32, 1);
    genesis_.log_public_key = signer_->public_key().raw;
    std::vector<Digest> hashes;
    for (std::uint64_t i = 0; i < size; ++i) {
      proto::Event event;
      event.set_version(1);
      event.set_index(i);
      event.set_block_height(i + 1);
      event.set_block_time_ms(kTime + i);
      event.set_transaction_id(std::string(32, '\x22'));
      event.set_signer_scheme(3);
      event.set_signer_public_key(std::string(32, '\x33'));
      event.set_contract("registry");
      event.set_type(i == 0 ? "registered" : "transferred");
      event.set_subject(std::string(32, '\x11'));
      event.set_data(record_bytes(0x11, i + 1));
      leaves_.push_back(event.SerializeAsString());
      const std::array<std::uint64_t, 2> offsets{0, leaves_.back().size()};
      std::array<Digest, 1> hash{};
      EXPECT_TRUE(merkle_leaf_hashes(backend(), {as_bytes(leaves_.back()), offsets}, hash).ok());
      hashes.push_back(hash[0]);
    }
    leaf_hashes = hashes;
    tree_.emplace(MerkleTree::build(backend(), std::move(hashes)).value());
  }

  std::vector<Result<Receipt>> submit(std::span<const std::string_view> transactions) override {
    std::vector<Result<Receipt>> results;
    for (const std::string_view transaction : transactions) {
      submitted.emplace_back(transaction);
      results.push_back(on_submit(transaction));
    }
    return results;
  }
  const Genesis& genesis() const noexcept override { return genesis_; }
  NodeStatus status() const override {
    NodeStatus status;
    status.chain_id = genesis_.chain_id;
    status.backend = "openssl";
    status.ordering = "solo";
    status.height = status.log_size = leaves_.size();
    status.block_time_ms = leaves_.empty() ? 0 : kTime;
    status.accepting = reason.empty();
    status.reason = reason;
    return status;
  }
  Result<std::string> record(ByteSpan record_id) const override {
    if (on_record) return on_record();
    if (record_id[0] != 0x11)
      return make_error(ErrorCode::kNotFound, "there is no such record", "id");
    return record_bytes(0x11, leaves_.size());
  }
  Result<std::string> organization(std::string_view id) const override {
    return make_error(ErrorCode::kNotFound, "no organization " + std::string(id), "id");
  }
  Result<std::string> member(ByteSpan) const override {
    return make_error(ErrorCode::kNotFound, "no such member", "key_id");
  }
  Result<std::vector<std::uint64_t>> history(ByteSpan, std::uint64_t from,
                                             std::uint32_t limit) const override {
    std::vector<std::uint64_t> indices;
    for (std::uint64_t i = from; i < leaves_.size() && indices.size() < limit; ++i) {
      indices.push_back(i);
    }
    return indices;
  }
  Result<std::string> event(std::uint64_t index) const override {
    if (index < leaves_.size()) return leaves_[index];
    return make_error(ErrorCode::kNotFound, "the log has no such entry", "index");
  }
  Result<Receipt> transaction(ByteSpan) const override {
    return make_error(ErrorCode::kNotFound, "no such transaction", "id");
  }
  Result<InclusionProof> prove_inclusion(std::uint64_t index, std::uint64_t size) const override {
    InclusionProof proof{index, size, leaf_hashes[index], {}};
    COLOPHON_TRY_ASSIGN(proof.hashes,
                        merkle_prove_inclusion(backend(), tree_->nodes(), index, size));
    return proof;
  }
  Result<std::vector<Digest>> prove_consistency(std::uint64_t from,
                                                std::uint64_t to) const override {
    return merkle_prove_consistency(backend(), tree_->nodes(), from, to);
  }
  Result<std::string> checkpoint(std::uint64_t height) const override {
    if (height > leaves_.size()) return make_error(ErrorCode::kNotFound, "no such block", "height");
    Checkpoint checkpoint{"test-chain", height == 0 ? leaves_.size() : height, {}};
    COLOPHON_TRY_ASSIGN(checkpoint.root,
                        merkle_root_from_nodes(backend(), tree_->nodes(), checkpoint.size));
    return sign_checkpoint(checkpoint, *signer_);
  }
  std::string metrics() const override { return "colophon_height 1\n"; }

  std::function<Result<Receipt>(std::string_view)> on_submit = [](std::string_view) {
    return Receipt{digest_of(0x22), 1, {0}, {std::string(32, '\x11')}};
  };
  std::function<Result<std::string>()> on_record;
  std::vector<std::string> submitted;
  std::string reason;
  std::vector<Digest> leaf_hashes;

 private:
  Genesis genesis_;
  std::unique_ptr<test::MemorySigner> signer_;
  std::vector<std::string> leaves_;
  std::optional<MerkleTree> tree_;
};

const std::string kId(64, '1');

class ApiTest : public ::testing::Test {
 protected:
  HttpResponse get(const std::string& path, std::multimap<std::string, std::string> query = {}) {
    return api_({"GET", path, std::move(query), "", ""});
  }
  HttpResponse post(std::string body, std::string type = "application/json") {
    return api_({"POST", "/v1/transactions", {}, std::move(type), std::move(body)});
  }
  // Asserts that a reply is an error in the API's form; returns "status code field".
  static std::string refusal(const HttpResponse& response) {
    EXPECT_EQ(response.content_type, "application/json");
    const json value = json::parse(response.body, nullptr, false);
    if (!value.is_object() || value.size() != 1 || !value.contains("error") ||
        value["error"].size() != 3) {
      return "not an error: " + std::to_string(response.status) + " " + response.body;
    }
    EXPECT_FALSE(value["error"]["message"].get<std::string>().empty());
    return std::to_string(response.status) + " " + value["error"]["code"].get<std::string>() + " " +
           value["error"]["field"].get<std::string>();
  }

  FakeNode node_{5};
  HttpHandler api_ = make_api(node_, {{1, 2, 3}});
};

TEST_F(ApiTest, IndexPageAndDescriptionListTheSameOperations) {
  std::set<std::string> listed;
  std::istringstream page(get("/").body);
  for (std::string line; std::getline(page, line);) {
    std::istringstream words(line);
    std::string method, address;
    words >> method >> address;
    if (method == "GET" || method == "POST") {
      listed.insert(method + " " + address.substr(0, address.find('?')));
    }
  }
  std::set<std::string> described;
  const json description = json::parse(kOpenapiDocument);
  for (const auto& [path, methods] : description.at("paths").items()) {
    for (const auto& [method, operation] : methods.items()) {
      std::string upper = method;
      std::transform(upper.begin(), upper.end(), upper.begin(),
                     [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
      described.insert(upper + " " + path);
    }
  }
  EXPECT_EQ(listed, described);
  EXPECT_EQ(listed.size(), 16u);
  EXPECT_EQ(get("/openapi.json").body, kOpenapiDocument);
}

TEST_F(ApiTest, UnknownAddressesAndMethodsAreRefusedInJson) {
  for (const char* path :
       {"", "/v1", "/v1/", "/v1/status/", "//v1/status", "/v1/records", "/v1/records/",
        "/v1/records//history", "/v1/records/a/b", "/v2/status", "/\xff\xfe", "/v1/log/entries/"}) {
    EXPECT_EQ(refusal(get(path)), "404 not_found path") << path;
  }
  for (const char* method : {"PUT", "DELETE", "PATCH", "OPTIONS", "get", ""}) {
    EXPECT_EQ(refusal(api_({method, "/v1/status", {}, "", ""})), "405 invalid_argument method");
  }
  EXPECT_EQ(refusal(get("/v1/transactions")), "405 invalid_argument method");
  EXPECT_EQ(refusal(api_({"POST", "/v1/status", {}, "", ""})), "405 invalid_argument method");
  EXPECT_EQ(api_({"HEAD", "/v1/status", {}, "", ""}).status, 200);
}

TEST_F(ApiTest, QueriesAreStrict) {
  using Query = std::multimap<std::string, std::string>;
  const struct {
    std::string path;
    Query query;
    std::string expected;
  } kCases[] = {
      {"/v1/status", {{"x", "1"}}, "400 invalid_argument x"},
      {"/v1/records/" + kId, {{"from", "1"}}, "400 invalid_argument from"},
      {"/v1/records/" + kId + "/history", {{"from", ""}}, "400 invalid_argument from"},
      {"/v1/records/" + kId + "/history", {{"from", "-1"}}, "400 invalid_argument from"},
      {"/v1/records/" + kId + "/history", {{"from", "+1"}}, "400 invalid_argument from"},
      {"/v1/records/" + kId + "/history", {{"from", "01"}}, "400 invalid_argument from"},
      {"/v1/records/" + kId + "/history", {{"from", "1 "}}, "400 invalid_argument from"},
      {"/v1/records/" + kId + "/history", {{"from", "0x1"}}, "400 invalid_argument from"},
      {"/v1/records/" + kId + "/history",
       {{"from", "18446744073709551616"}},
       "400 invalid_argument from"},
      {"/v1/records/" + kId + "/history",
       {{"from", "1"}, {"from", "1"}},
       "400 invalid_argument from"},
      {"/v1/records/" + kId + "/history", {{"limit", "0"}}, "400 invalid_argument limit"},
      {"/v1/records/" + kId + "/history", {{"limit", "1001"}}, "400 invalid_argument limit"},
      {"/v1/log/checkpoint", {{"height", "0"}}, "400 invalid_argument height"},
      {"/v1/log/checkpoint", {{"height", "6"}}, "404 not_found height"},
      {"/v1/log/proof/inclusion", {}, "400 invalid_argument index"},
      {"/v1/log/proof/inclusion", {{"index", "5"}}, "400 invalid_argument index"},
      {"/v1/log/proof/inclusion", {{"index", "2"}, {"size", "2"}}, "400 invalid_argument index"},
      {"/v1/log/proof/inclusion", {{"index", "0"}, {"size", "0"}}, "400 invalid_argument size"},
      {"/v1/log/proof/inclusion", {{"index", "0"}, {"size", "6"}}, "400 invalid_argument size"},
      {"/v1/log/proof/consistency", {{"to", "2"}}, "400 invalid_argument from"},
      {"/v1/log/proof/consistency", {{"from", "0"}}, "400 invalid_argument from"},
      {"/v1/log/proof/consistency", {{"from", "3"}, {"to", "2"}}, "400 invalid_argument from"},
      {"/v1/log/proof/consistency", {{"from", "1"}, {"to", "6"}}, "400 invalid_argument to"},
      {"/v1/log/entries/5", {}, "404 not_found index"},
      {"/v1/log/entries/x", {}, "400 invalid_argument index"},
      {"/v1/records/" + std::string(64, 'A'), {}, "400 invalid_argument id"},
      {"/v1/records/" + std::string(63, '1'), {}, "400 invalid_argument id"},
      {"/v1/records/" + std::string(64, '2'), {}, "404 not_found id"},
      {"/v1/records/" + std::string(64, '2') + "/history", {}, "404 not_found id"},
      {"/v1/records/" + std::string(64, '2') + "/certificate", {}, "404 not_found id"},
      {"/v1/transactions/" + kId, {}, "404 not_found id"},
      {"/v1/members/" + kId, {}, "404 not_found key_id"},
      {"/v1/members/alice", {}, "400 invalid_argument key_id"},
      {"/v1/organizations/nobody", {}, "404 not_found id"},
  };
  for (const auto& c : kCases) EXPECT_EQ(refusal(get(c.path, c.query)), c.expected) << c.path;
  // The twins that must pass.
  EXPECT_EQ(get("/v1/records/" + kId + "/history", {{"from", "0"}, {"limit", "1000"}}).status, 200);
  EXPECT_EQ(get("/v1/log/checkpoint", {{"height", "5"}}).status, 200);
  EXPECT_EQ(get("/v1/log/proof/inclusion", {{"index", "4"}, {"size", "5"}}).status, 200);
  EXPECT_EQ(get("/v1/log/proof/consistency", {{"from", "5"}, {"to", "5"}}).status, 200);
  EXPECT_EQ(get("/v1/log/entries/4").status, 200);
}

TEST_F(ApiTest, SubmissionsOfAnotherFormAreRefusedBeforeTheNodeSeesThem) {
  std::string too_many = R"({"transactions":[)";
  for (std::size_t i = 0; i <= kSubmitTransactionsMax; ++i) too_many += i == 0 ? "\"\"" : ",\"\"";
  const struct {
    std::string body;
    std::string expected;
  } kCases[] = {
      {"", "400 malformed body"},
      {"nonsense", "400 malformed body"},
      {"[]", "400 malformed body"},
      {"\"\"", "400 malformed body"},
      {"null", "400 malformed body"},
      {"7", "400 malformed body"},
      {"{}", "400 malformed body"},
      {R"({"transaction":"AA==")", "400 malformed body"},
      {R"({"transaction":"AA=="}x)", "400 malformed body"},
      {"{\"transaction\":\"\xff\"}", "400 malformed body"},
      // The JSON library stops at a zero byte and skips a byte order mark: found by fuzzing.
      {std::string("{\"transaction\":\"AA==\"}\0{}", 25), "400 malformed body"},
      {"\xef\xbb\xbf{\"transaction\":\"AA==\"}", "400 malformed body"},
      {R"({"transaction":1})", "400 malformed transaction"},
      {R"({"transaction":null})", "400 malformed transaction"},
      {R"({"transaction":["AA=="]})", "400 malformed transaction"},
      {R"({"transaction":{"a":"AA=="}})", "400 malformed transaction"},
      {R"({"transaction":"AA"})", "400 malformed transaction"},
      {R"({"transaction":"AB=="})", "400 malformed transaction"},
      {R"({"transaction":" AA=="})", "400 malformed transaction"},
      {R"({"transaction":"AA==","transaction":"AA=="})", "400 malformed transaction"},
      {R"({"transaction":"AA==","transactions":["AA=="]})", "400 malformed transactions"},
      {R"({"transactions":"AA=="})", "400 malformed transactions"},
      {R"({"transactions":{}})", "400 malformed transactions"},
      {R"({"transactions":7})", "400 malformed transactions"},
      {R"({"transactions":[]})", "400 malformed transactions"},
      {R"({"transactions":["AA==",7]})", "400 malformed transactions[1]"},
      {R"({"transactions":["AA==",["AA=="]]})", "400 malformed transactions[1]"},
      {R"({"transactions":[{}]})", "400 malformed transactions[0]"},
      {R"({"other":1})", "400 malformed other"},
      {R"({"transaction":"AA==","z":1})", "400 malformed z"},
      {std::string(1'000'000, '['), "400 malformed body"},
      {R"({"transactions":[)" + std::string(1'000'000, '['), "400 malformed transactions[0]"},
      {too_many + "]}", "413 limit_exceeded transactions"},
      {R"({"transaction":")" + std::string(90'000, 'A') + "\"}", "413 limit_exceeded transaction"},
      {std::string(kApiBodyBytesMax + 1, ' '), "413 limit_exceeded body"},
  };
  for (const auto& c : kCases) EXPECT_EQ(refusal(post(c.body)), c.expected) << c.body.substr(0, 80);
  EXPECT_TRUE(node_.submitted.empty());
}

TEST_F(ApiTest, TheContentTypeMustBeJson) {
  const std::string body = R"({"transaction":"AA=="})";
  for (const char* type :
       {"", "text/plain", "application/jsonx", "application/json;charset=latin1",
        "application/json; charset=utf-8; x=1", "application/x-www-form-urlencoded"}) {
    EXPECT_EQ(refusal(post(body, type)), "415 unsupported Content-Type") << type;
  }
  for (const char* type :
       {"application/json", "Application/JSON", "application/json; charset=utf-8",
        "application/json ;charset=\"UTF-8\""}) {
    EXPECT_EQ(post(body, type).status, 201) << type;
  }
}

TEST_F(ApiTest, OneSubmissionIsAnsweredWithItsReceipt) {
  const HttpResponse response = post(R"({"transaction":"dGVzdA=="})");
  EXPECT_EQ(response.status, 201);
  EXPECT_EQ(json::parse(response.body), (json{{"transaction_id", std::string(64, '2')},
                                              {"block_height", 1},
                                              {"events", {0}},
                                              {"subjects", {kId}}}));
  EXPECT_EQ(node_.submitted, std::vector<std::string>{"test"});
}

TEST_F(ApiTest, ManySubmissionsAreAnsweredInOrderAndOneBadOneHurtsNoOther) {
  node_.on_submit = [](std::string_view transaction) -> Result<Receipt> {
    if (transaction == "b") return make_error(ErrorCode::kExpired, "expired", "expires_at_ms");
    return Receipt{digest_of(static_cast<std::uint8_t>(transaction[0])), 1, {0}, {"acme"}};
  };
  // "a", not base64, "b", "c"
  const HttpResponse response = post(R"({"transactions":["YQ==","!","Yg==","Yw=="]})");
  EXPECT_EQ(response.status, 200);
  const json results = json::parse(response.body).at("results");
  ASSERT_EQ(results.size(), 4u);
  EXPECT_EQ(results[0]["transaction_id"], hex_encode(digest_of('a')));
  EXPECT_EQ(results[1]["error"]["field"], "transactions[1]");
  EXPECT_EQ(results[2]["error"]["code"], "expired");
  EXPECT_EQ(results[3]["transaction_id"], hex_encode(digest_of('c')));
  EXPECT_EQ(node_.submitted, (std::vector<std::string>{"a", "b", "c"}));
}

TEST_F(ApiTest, EveryErrorCodeHasItsStatus) {
  const std::map<ErrorCode, int> kStatus = {{ErrorCode::kInvalidArgument, 400},
                                            {ErrorCode::kMalformed, 400},
                                            {ErrorCode::kLimitExceeded, 413},
                                            {ErrorCode::kNotFound, 404},
                                            {ErrorCode::kAlreadyExists, 409},
                                            {ErrorCode::kPermissionDenied, 403},
                                            {ErrorCode::kInvalidSignature, 422},
                                            {ErrorCode::kExpired, 422},
                                            {ErrorCode::kUnavailable, 503},
                                            {ErrorCode::kUnsupported, 400},
                                            {ErrorCode::kIo, 507},
                                            {ErrorCode::kCorrupt, 500},
                                            {ErrorCode::kOutcomeUnknown, 500},
                                            {ErrorCode::kInternal, 500}};
  const json described = json::parse(kOpenapiDocument)
                             .at(json::json_pointer("/paths/~1v1~1transactions/post/responses"));
  for (const auto& [code, status] : kStatus) {
    node_.on_submit = [code = code](std::string_view) -> Result<Receipt> {
      return make_error(code, "bytes \xff that are not UTF-8", "field");
    };
    EXPECT_EQ(refusal(post(R"({"transaction":"AA=="})")),
              std::to_string(status) + " " + std::string(error_code_name(code)) + " field");
    EXPECT_TRUE(described.contains(std::to_string(status))) << status;
  }
}

TEST_F(ApiTest, AThrowInTheNodeIsAnsweredNotPassedOn) {
  node_.on_submit = [](std::string_view) -> Result<Receipt> { throw std::runtime_error("secret"); };
  const HttpResponse response = post(R"({"transaction":"AA=="})");
  EXPECT_EQ(refusal(response), "500 internal ");
  EXPECT_EQ(response.body.find("secret"), std::string::npos);
  node_.on_submit = [](std::string_view) -> Result<Receipt> { throw std::bad_alloc(); };
  EXPECT_EQ(refusal(post(R"({"transaction":"AA=="})")), "503 unavailable ");
}

TEST_F(ApiTest, StoredBytesThatAreNoRecordAreCorruptAndNotTheCallersFault) {
  node_.on_record = [] { return std::string("\x08\x01"); };
  EXPECT_EQ(refusal(get("/v1/records/" + kId)), "500 corrupt ");
}

TEST_F(ApiTest, HistoryIsPagedToItsEnd) {
  std::vector<std::uint64_t> indices;
  json next = 0;
  int pages = 0;
  while (!next.is_null()) {
    const HttpResponse response =
        get("/v1/records/" + kId + "/history", {{"from", next.dump()}, {"limit", "2"}});
    ASSERT_EQ(response.status, 200) << response.body;
    const json page = json::parse(response.body);
    EXPECT_EQ(page.at("record_id"), kId);
    EXPECT_EQ(page.at("from"), next);
    for (const json& event : page.at("events")) indices.push_back(event.at("index"));
    next = page.at("next");
    ++pages;
  }
  EXPECT_EQ(indices, (std::vector<std::uint64_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(pages, 3);
}

TEST_F(ApiTest, HealthFollowsWhetherTheNodeAccepts) {
  EXPECT_EQ(get("/v1/health").status, 200);
  node_.reason = "the disk is full";
  EXPECT_EQ(refusal(get("/v1/health")), "503 unavailable ");
  const json status = json::parse(get("/v1/status").body);
  EXPECT_EQ(status.at("accepting"), false);
  EXPECT_EQ(status.at("reason"), "the disk is full");
}

TEST_F(ApiTest, TheCertificateIsOfTheNewestEvent) {
  const HttpResponse response = get("/v1/records/" + kId + "/certificate");
  ASSERT_EQ(response.status, 200) << response.body;
  const json certificate = json::parse(response.body);
  EXPECT_EQ(certificate.at("record").at("revision"), 5);
  EXPECT_EQ(certificate.at("inclusion").at("index"), 4);
  EXPECT_EQ(certificate.at("checkpoint"), get("/v1/log/checkpoint").body);
  EXPECT_EQ(certificate.at("chain"), json::array({"AQID"}));
}

Digest to_digest(const json& text) {
  const auto bytes = hex_decode(text.get<std::string>()).value();
  Digest digest{};
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  return digest;
}

std::vector<Digest> to_digests(const json& list) {
  std::vector<Digest> digests;
  for (const json& item : list) digests.push_back(to_digest(item));
  return digests;
}

TEST(ApiProofs, EveryInclusionAndConsistencyProofVerifiesAndLeadsToTheCheckpointsRoot) {
  constexpr std::uint64_t kSize = 17;
  FakeNode node(kSize);
  const HttpHandler api = make_api(node, {});
  const auto get = [&](const std::string& path, std::multimap<std::string, std::string> query) {
    const HttpResponse response = api({"GET", path, std::move(query), "", ""});
    EXPECT_EQ(response.status, 200) << response.body;
    return json::parse(response.body);
  };
  std::vector<Digest> roots(kSize + 1);
  for (std::uint64_t size = 1; size <= kSize; ++size) {
    roots[size] = merkle_root(backend(), std::span(node.leaf_hashes).first(size)).value();
  }
  for (std::uint64_t size = 1; size <= kSize; ++size) {
    for (std::uint64_t index = 0; index < size; ++index) {
      const json proof = get("/v1/log/proof/inclusion",
                             {{"index", std::to_string(index)}, {"size", std::to_string(size)}});
      EXPECT_EQ(to_digest(proof.at("root")), roots[size]);
      EXPECT_EQ(proof.at("leaf"), hex_encode(as_bytes(node.event(index).value())));
      EXPECT_TRUE(merkle_verify_inclusion(backend(), node.leaf_hashes[index], index, size,
                                          to_digests(proof.at("proof")), roots[size])
                      .ok());
    }
    for (std::uint64_t from = 1; from <= size; ++from) {
      const json proof = get("/v1/log/proof/consistency",
                             {{"from", std::to_string(from)}, {"to", std::to_string(size)}});
      EXPECT_EQ(to_digest(proof.at("from_root")), roots[from]);
      EXPECT_EQ(to_digest(proof.at("to_root")), roots[size]);
      EXPECT_TRUE(merkle_verify_consistency(backend(), from, size, roots[from], roots[size],
                                            to_digests(proof.at("proof")))
                      .ok());
    }
  }
  // Left out, size and to are the log as it is now.
  EXPECT_EQ(get("/v1/log/proof/inclusion", {{"index", "3"}}).at("size"), kSize);
  EXPECT_EQ(get("/v1/log/proof/consistency", {{"from", "3"}}).at("to"), kSize);
}

TEST(ApiEmptyLog, HasACheckpointAndNoProofs) {
  FakeNode node(0);
  const HttpHandler api = make_api(node, {});
  EXPECT_EQ(api({"GET", "/v1/log/checkpoint", {}, "", ""}).status, 200);
  EXPECT_EQ(api({"GET", "/v1/log/proof/inclusion", {{"index", "0"}}, "", ""}).status, 400);
  EXPECT_EQ(api({"GET", "/v1/log/proof/consistency", {{"from", "1"}}, "", ""}).status, 400);
  const json status = json::parse(api({"GET", "/v1/status", {}, "", ""}).body);
  EXPECT_TRUE(status.at("block_time").is_null());
}

}  // namespace
}  // namespace colophon::node
