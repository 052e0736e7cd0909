// SPDX-License-Identifier: Apache-2.0
#include "node/api/api.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "colophon/backend.hpp"
#include "node/api/openapi_document.h"
#include "node/api/submission.h"
#include "node/base64.h"
#include "node/bytes.h"
#include "node/contracts/contract.h"
#include "node/event.h"
#include "node/hex.h"

namespace colophon::node {
namespace {

using nlohmann::json;

constexpr std::uint32_t kHistoryLimitDefault = 100;
constexpr std::uint32_t kHistoryLimitMax = 1000;
constexpr const char* kPlainText = "text/plain; charset=utf-8";

// --- replies -------------------------------------------------------------------------------------

int status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kMalformed:
    case ErrorCode::kUnsupported:
      return 400;
    case ErrorCode::kPermissionDenied:
      return 403;
    case ErrorCode::kNotFound:
      return 404;
    case ErrorCode::kAlreadyExists:
      return 409;
    case ErrorCode::kLimitExceeded:
      return 413;
    case ErrorCode::kInvalidSignature:
    case ErrorCode::kExpired:
      return 422;
    case ErrorCode::kUnavailable:
      return 503;
    case ErrorCode::kIo:
      return 507;
    case ErrorCode::kCorrupt:
    case ErrorCode::kOutcomeUnknown:
    case ErrorCode::kInternal:
      break;
  }
  return 500;
}

// Text from outside may stand in a message: what is not UTF-8 in it is replaced, never thrown over.
std::string dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

json error_json(const Error& error) {
  return {
      {"code", error_code_name(error.code)}, {"message", error.message}, {"field", error.field}};
}

HttpResponse reply(int status, const json& value) {
  return {status, "application/json", dump(value) + "\n"};
}

HttpResponse refusal(int status, const Error& error) {
  return reply(status, {{"error", error_json(error)}});
}

HttpResponse refusal(const Error& error) { return refusal(status_of(error.code), error); }

json hex_list(std::span<const Digest> digests) {
  json list = json::array();
  for (const Digest& digest : digests) list.push_back(hex_encode(digest));
  return list;
}

json receipt_json(const Receipt& receipt) {
  json subjects = json::array();
  for (const std::string& subject : receipt.subjects) {
    subjects.push_back(hex_encode(as_bytes(subject)));
  }
  return {{"transaction_id", hex_encode(receipt.transaction_id)},
          {"block_height", receipt.block_height},
          {"events", receipt.events},
          {"subjects", std::move(subjects)}};
}

// --- requests ------------------------------------------------------------------------------------

Result<std::uint64_t> parse_decimal(std::string_view text, const std::string& field) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, code] = std::from_chars(text.data(), end, value);
  if (text.empty() || stop != end || (text.size() > 1 && text[0] == '0')) {
    return make_error(ErrorCode::kInvalidArgument,
                      "must be a decimal number without sign or leading zeros", field);
  }
  if (code != std::errc{}) {
    return make_error(ErrorCode::kInvalidArgument, "must be less than 2^64", field);
  }
  return value;
}

Result<std::vector<std::uint8_t>> parse_id(std::string_view text, const std::string& field) {
  auto bytes = hex_decode(text);
  if (!bytes || bytes->size() != 32) {
    return make_error(ErrorCode::kInvalidArgument, "must be 64 lower-case hexadecimal digits",
                      field);
  }
  return *std::move(bytes);
}

// A request whose path matched its route: `argument` is what stood for {…}; every query parameter
// is one of the route's and there once.
struct Call {
  const HttpRequest& request;
  std::string_view argument;

  // nullopt: not given.
  [[nodiscard]] Result<std::optional<std::uint64_t>> number(const char* name) const {
    const auto found = request.query.find(name);
    if (found == request.query.end()) return std::optional<std::uint64_t>{};
    COLOPHON_TRY_ASSIGN(const std::uint64_t value, parse_decimal(found->second, name));
    return std::optional<std::uint64_t>{value};
  }

  [[nodiscard]] Result<std::uint64_t> required_number(const char* name) const {
    COLOPHON_TRY_ASSIGN(const auto value, number(name));
    if (!value) {
      return make_error(ErrorCode::kInvalidArgument,
                        "is missing: add ?" + std::string(name) + "=NUMBER", name);
    }
    return *value;
  }
};

Result<void> check_query(const HttpRequest& request, std::span<const std::string_view> allowed) {
  for (auto it = request.query.begin(); it != request.query.end(); ++it) {
    if (std::find(allowed.begin(), allowed.end(), it->first) == allowed.end()) {
      std::string known;
      for (const std::string_view name : allowed) {
        known += (known.empty() ? "" : ", ") + std::string(name);
      }
      return make_error(
          ErrorCode::kInvalidArgument,
          "unknown query parameter; " + (known.empty() ? std::string("this address takes none")
                                                       : "this address takes " + known),
          it->first.substr(0, 64));
    }
    if (request.query.count(it->first) > 1) {
      return make_error(ErrorCode::kInvalidArgument, "query parameter is given more than once",
                        it->first);
    }
  }
  return {};
}

bool is_json_type(std::string_view type) {
  const auto equals = [](std::string_view a, std::string_view b) {
    return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
             return (x >= 'A' && x <= 'Z' ? x + 32 : x) == y;
           });
  };
  const auto trim = [](std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
  };
  const std::size_t semicolon = type.find(';');
  if (!equals(trim(type.substr(0, semicolon)), "application/json")) return false;
  if (semicolon == std::string_view::npos) return true;
  const std::string_view parameter = trim(type.substr(semicolon + 1));
  return equals(parameter, "charset=utf-8") || equals(parameter, "charset=\"utf-8\"");
}

// --- trees ---------------------------------------------------------------------------------------

Result<Digest> node_hash(const Backend& backend, const Digest& left, const Digest& right) {
  std::array<std::uint8_t, 65> bytes{1};
  std::copy(left.begin(), left.end(), bytes.begin() + 1);
  std::copy(right.begin(), right.end(), bytes.begin() + 33);
  const std::array<std::uint64_t, 2> offsets{0, bytes.size()};
  std::array<Digest, 1> digest{};
  COLOPHON_TRY(hash_batch(backend, HashAlgorithm::kSha256, {bytes, offsets}, digest));
  return digest[0];
}

// The root that an inclusion proof leads to (RFC 9162 §2.1.3.2, steps 2 to 4).
Result<Digest> root_of(const Backend& backend, const InclusionProof& proof) {
  std::uint64_t fn = proof.index;
  std::uint64_t sn = proof.size - 1;
  Digest root = proof.leaf_hash;
  for (const Digest& sibling : proof.hashes) {
    if ((fn & 1) != 0 || fn == sn) {
      COLOPHON_TRY_ASSIGN(root, node_hash(backend, sibling, root));
      while ((fn & 1) == 0 && fn != 0) {
        fn >>= 1;
        sn >>= 1;
      }
    } else {
      COLOPHON_TRY_ASSIGN(root, node_hash(backend, root, sibling));
    }
    fn >>= 1;
    sn >>= 1;
  }
  return root;
}

// --- the API -------------------------------------------------------------------------------------

class Api {
 public:
  Api(Node& node, std::vector<Der> chain) : node_(node), chain_(std::move(chain)) {
    for (Der& certificate : chain_) {
      // Every certificate file has this form; what is no certificate is refused when a file is
      // checked.
      if (auto low = low_s_form(certificate)) certificate = *std::move(low);
    }
  }

  [[nodiscard]] HttpResponse answer(const HttpRequest& request) const;

 private:
  using Answer = Result<HttpResponse>;
  struct Route {
    std::string_view method;
    std::string_view path;  // one {…} at most: one segment, not empty
    Answer (Api::*call)(const Call&) const;
    std::array<std::string_view, 2> parameters;
    std::string_view summary;
  };
  static const std::array<Route, 16> kRoutes;

  Answer submit(const Call& call) const;
  Answer transaction(const Call& call) const;
  Answer record(const Call& call) const;
  Answer history(const Call& call) const;
  Answer certificate(const Call& call) const;
  Answer organization(const Call& call) const;
  Answer member(const Call& call) const;
  Answer checkpoint(const Call& call) const;
  Answer entry(const Call& call) const;
  Answer inclusion(const Call& call) const;
  Answer consistency(const Call& call) const;
  Answer status(const Call& call) const;
  Answer health(const Call& call) const;
  Answer metrics(const Call& call) const;
  Answer openapi(const Call& call) const;
  Answer index(const Call& call) const;

  [[nodiscard]] Result<json> record_value(ByteSpan id) const;
  [[nodiscard]] Result<Digest> root_at(const Backend& backend, std::uint64_t size) const;
  [[nodiscard]] Result<void> check_size(std::uint64_t size, const char* field) const;

  Node& node_;
  std::vector<Der> chain_;
};

const std::array<Api::Route, 16> Api::kRoutes{{
    {"GET", "/", &Api::index, {}, "this page"},
    {"GET", "/metrics", &Api::metrics, {}, "metrics for Prometheus"},
    {"GET", "/openapi.json", &Api::openapi, {}, "this API, described as OpenAPI 3.1"},
    {"GET", "/v1/health", &Api::health, {}, "200 while transactions are accepted, else 503"},
    {"GET", "/v1/log/checkpoint", &Api::checkpoint, {"height"}, "the log's signed checkpoint"},
    {"GET", "/v1/log/entries/{index}", &Api::entry, {}, "a leaf of the log and the event in it"},
    {"GET",
     "/v1/log/proof/consistency",
     &Api::consistency,
     {"from", "to"},
     "that the log only grew between two sizes"},
    {"GET",
     "/v1/log/proof/inclusion",
     &Api::inclusion,
     {"index", "size"},
     "that a leaf is in the log of a size"},
    {"GET", "/v1/members/{key_id}", &Api::member, {}, "a member key, by SHA-256 of its SPKI"},
    {"GET", "/v1/organizations/{id}", &Api::organization, {}, "an organization"},
    {"GET", "/v1/records/{id}", &Api::record, {}, "a record as it is now"},
    {"GET", "/v1/records/{id}/certificate", &Api::certificate, {}, "its certificate file"},
    {"GET",
     "/v1/records/{id}/history",
     &Api::history,
     {"from", "limit"},
     "its events, oldest first"},
    {"GET", "/v1/status", &Api::status, {}, "chain, height, limits, version"},
    {"GET", "/v1/transactions/{id}", &Api::transaction, {}, "the receipt of a transaction"},
    {"POST", "/v1/transactions", &Api::submit, {}, "submit one or many transactions"},
}};

// `argument` is set if the pattern has one.
bool matches(std::string_view pattern, std::string_view path, std::string_view& argument) {
  const std::size_t open = pattern.find('{');
  if (open == std::string_view::npos) return path == pattern;
  const std::string_view before = pattern.substr(0, open);
  const std::string_view after = pattern.substr(pattern.find('}') + 1);
  if (path.size() <= before.size() + after.size() || !path.starts_with(before) ||
      !path.ends_with(after)) {
    return false;
  }
  argument = path.substr(before.size(), path.size() - before.size() - after.size());
  return argument.find('/') == std::string_view::npos;
}

HttpResponse Api::answer(const HttpRequest& request) const {
  // A HEAD is answered as its GET; the server leaves the body out.
  const std::string method = request.method == "HEAD" ? "GET" : request.method;
  std::string_view other_method;
  for (const Route& route : kRoutes) {
    std::string_view argument;
    if (!matches(route.path, request.path, argument)) continue;
    if (route.method != method) {
      other_method = route.method;
      continue;
    }
    const auto used = std::find(route.parameters.begin(), route.parameters.end(), "");
    const Result<void> query = check_query(request, std::span(route.parameters.begin(), used));
    if (!query) return refusal(query.error());
    Answer answer = (this->*route.call)(Call{request, argument});
    return answer ? std::move(answer).value() : refusal(answer.error());
  }
  if (!other_method.empty()) {
    return refusal(405, make_error(ErrorCode::kInvalidArgument,
                                   "this address answers to " + std::string(other_method) + " only",
                                   "method"));
  }
  return refusal(make_error(ErrorCode::kNotFound,
                            "there is nothing at this address: GET / lists what there is", "path"));
}

Api::Answer Api::submit(const Call& call) const {
  if (!is_json_type(call.request.content_type)) {
    return refusal(415, make_error(ErrorCode::kUnsupported,
                                   "the body must be sent as application/json", "Content-Type"));
  }
  if (call.request.body.size() > kApiBodyBytesMax) {
    return make_error(ErrorCode::kLimitExceeded,
                      "the body is at most " + std::to_string(kApiBodyBytesMax) + " bytes", "body");
  }
  COLOPHON_TRY_ASSIGN(const Submission submission, parse_submission(call.request.body));

  // Only what decodes goes to the node; the rest is refused in its place.
  std::vector<std::optional<std::vector<std::uint8_t>>> decoded;
  std::vector<std::string_view> transactions;
  decoded.reserve(submission.texts.size());
  transactions.reserve(submission.texts.size());
  for (const std::string& text : submission.texts) {
    decoded.push_back(base64_decode(text));
    if (!decoded.back()) continue;
    transactions.emplace_back(reinterpret_cast<const char*>(decoded.back()->data()),
                              decoded.back()->size());
  }
  std::vector<Result<Receipt>> outcomes;
  if (!transactions.empty()) outcomes = node_.submit(transactions);

  json results = json::array();
  std::size_t next = 0;
  for (std::size_t i = 0; i < decoded.size(); ++i) {
    if (!decoded[i]) {
      Error error = make_error(
          ErrorCode::kMalformed, "is not base64 (RFC 4648 section 4, padded, no white space)",
          submission.many ? "transactions[" + std::to_string(i) + "]" : "transaction");
      if (!submission.many) return error;
      results.push_back({{"error", error_json(error)}});
      continue;
    }
    Result<Receipt>& outcome = outcomes.at(next++);
    if (!submission.many) {
      if (!outcome) return std::move(outcome).error();
      return reply(201, receipt_json(*outcome));
    }
    results.push_back(outcome ? receipt_json(*outcome)
                              : json{{"error", error_json(outcome.error())}});
  }
  return reply(200, {{"results", std::move(results)}});
}

Api::Answer Api::transaction(const Call& call) const {
  COLOPHON_TRY_ASSIGN(const auto id, parse_id(call.argument, "id"));
  COLOPHON_TRY_ASSIGN(const Receipt receipt, node_.transaction(id));
  return reply(200, receipt_json(receipt));
}

// A contract's stored value in the form it has in events: one of `types` left it so.
Result<json> stored_json(std::string_view contract, std::initializer_list<const char*> types,
                         std::string_view value) {
  const Contract* module = find_contract(contract);
  Result<json> result = make_error(ErrorCode::kInternal, "no contract " + std::string(contract));
  for (const char* type : types) {
    if (module == nullptr || result.ok()) break;
    result = module->event_data_json(type, as_bytes(value));
  }
  // What the ledger stored and cannot read is its own fault, not the request's.
  if (!result) return make_error(ErrorCode::kCorrupt, "stored data does not parse: run fsck");
  return result;
}

Result<json> Api::record_value(ByteSpan id) const {
  COLOPHON_TRY_ASSIGN(const std::string value, node_.record(id));
  return stored_json("registry", {"registered", "transferred"}, value);
}

Api::Answer Api::record(const Call& call) const {
  COLOPHON_TRY_ASSIGN(const auto id, parse_id(call.argument, "id"));
  COLOPHON_TRY_ASSIGN(const json value, record_value(id));
  return reply(200, value);
}

Api::Answer Api::history(const Call& call) const {
  COLOPHON_TRY_ASSIGN(const auto id, parse_id(call.argument, "id"));
  COLOPHON_TRY_ASSIGN(const auto from_given, call.number("from"));
  COLOPHON_TRY_ASSIGN(const auto limit_given, call.number("limit"));
  const std::uint64_t from = from_given.value_or(0);
  const std::uint64_t limit = limit_given.value_or(kHistoryLimitDefault);
  if (limit < 1 || limit > kHistoryLimitMax) {
    return make_error(ErrorCode::kInvalidArgument,
                      "must be from 1 to " + std::to_string(kHistoryLimitMax), "limit");
  }
  // An unknown record is not the same as one without events.
  COLOPHON_TRY(node_.record(id));
  COLOPHON_TRY_ASSIGN(auto indices, node_.history(id, from, static_cast<std::uint32_t>(limit) + 1));
  json next = nullptr;
  if (indices.size() > limit) {
    indices.resize(static_cast<std::size_t>(limit));
    next = from + limit;
  }
  json events = json::array();
  for (const std::uint64_t index : indices) {
    COLOPHON_TRY_ASSIGN(const std::string leaf, node_.event(index));
    COLOPHON_TRY_ASSIGN(json event, event_json(as_bytes(leaf)));
    events.push_back(std::move(event));
  }
  return reply(200, {{"record_id", call.argument},
                     {"from", from},
                     {"events", std::move(events)},
                     {"next", std::move(next)}});
}

// The size in our own node's checkpoint: its second line.
Result<std::uint64_t> checkpoint_size(std::string_view note) {
  const std::size_t start = note.find('\n') + 1;
  const std::size_t end = note.find('\n', start);
  const Result<std::uint64_t> size = parse_decimal(note.substr(start, end - start), "checkpoint");
  if (!size) return make_error(ErrorCode::kCorrupt, "the node's checkpoint has no size");
  return *size;
}

Api::Answer Api::certificate(const Call& call) const {
  COLOPHON_TRY_ASSIGN(const auto id, parse_id(call.argument, "id"));
  // The newest event holds the whole record as it is now: it is the one to certify. A record has
  // one event a revision; more may come while this runs, and then the newest of those is taken.
  COLOPHON_TRY_ASSIGN(const json value, record_value(id));
  const auto revision = value.at("revision").get<std::uint64_t>();
  COLOPHON_TRY_ASSIGN(const auto indices, node_.history(id, revision - 1, kHistoryLimitMax));
  if (indices.empty()) {
    return make_error(ErrorCode::kCorrupt, "the record has no event of its revision: run fsck");
  }
  CertificateParts parts;
  parts.index = indices.back();
  COLOPHON_TRY_ASSIGN(parts.leaf, node_.event(parts.index));
  COLOPHON_TRY_ASSIGN(parts.checkpoint, node_.checkpoint());
  COLOPHON_TRY_ASSIGN(parts.size, checkpoint_size(parts.checkpoint));
  COLOPHON_TRY_ASSIGN(InclusionProof proof, node_.prove_inclusion(parts.index, parts.size));
  parts.proof = std::move(proof.hashes);
  parts.chain = chain_;
  COLOPHON_TRY_ASSIGN(std::string file, write_certificate(parts));
  return HttpResponse{200, "application/json", std::move(file)};
}

Api::Answer Api::organization(const Call& call) const {
  COLOPHON_TRY_ASSIGN(const std::string value, node_.organization(call.argument));
  COLOPHON_TRY_ASSIGN(const json organization,
                      stored_json("membership", {"organization_enrolled"}, value));
  return reply(200, organization);
}

Api::Answer Api::member(const Call& call) const {
  COLOPHON_TRY_ASSIGN(const auto id, parse_id(call.argument, "key_id"));
  COLOPHON_TRY_ASSIGN(const std::string value, node_.member(id));
  COLOPHON_TRY_ASSIGN(const json member,
                      stored_json("membership", {"member_enrolled", "member_revoked"}, value));
  return reply(200, member);
}

Api::Answer Api::checkpoint(const Call& call) const {
  COLOPHON_TRY_ASSIGN(const auto height, call.number("height"));
  if (height == 0) {
    return make_error(ErrorCode::kInvalidArgument,
                      "the first block is 1; leave height out for the newest", "height");
  }
  COLOPHON_TRY_ASSIGN(std::string note, node_.checkpoint(height.value_or(0)));
  return HttpResponse{200, kPlainText, std::move(note)};
}

Api::Answer Api::entry(const Call& call) const {
  COLOPHON_TRY_ASSIGN(const std::uint64_t index, parse_decimal(call.argument, "index"));
  COLOPHON_TRY_ASSIGN(const std::string leaf, node_.event(index));
  COLOPHON_TRY_ASSIGN(json event, event_json(as_bytes(leaf)));
  return reply(
      200, {{"index", index}, {"leaf", hex_encode(as_bytes(leaf))}, {"event", std::move(event)}});
}

Result<void> Api::check_size(std::uint64_t size, const char* field) const {
  const std::uint64_t log_size = node_.status().log_size;
  if (size >= 1 && size <= log_size) return {};
  return make_error(
      ErrorCode::kInvalidArgument,
      log_size == 0 ? "the log is empty"
                    : "must be from 1 to " + std::to_string(log_size) + ", the size of the log now",
      field);
}

Api::Answer Api::inclusion(const Call& call) const {
  COLOPHON_TRY_ASSIGN(const std::uint64_t index, call.required_number("index"));
  COLOPHON_TRY_ASSIGN(const auto size_given, call.number("size"));
  const std::uint64_t size = size_given.value_or(node_.status().log_size);
  COLOPHON_TRY(check_size(size, "size"));
  if (index >= size) {
    return make_error(ErrorCode::kInvalidArgument, "must be less than " + std::to_string(size),
                      "index");
  }
  COLOPHON_TRY_ASSIGN(const Backend backend, Backend::choose(node_.status().backend));
  COLOPHON_TRY_ASSIGN(const InclusionProof proof, node_.prove_inclusion(index, size));
  COLOPHON_TRY_ASSIGN(const Digest root, root_of(backend, proof));
  COLOPHON_TRY_ASSIGN(const std::string leaf, node_.event(index));
  return reply(200, {{"hash", "sha256"},
                     {"index", proof.index},
                     {"size", proof.size},
                     {"leaf", hex_encode(as_bytes(leaf))},
                     {"proof", hex_list(proof.hashes)},
                     {"root", hex_encode(root)}});
}

Result<Digest> Api::root_at(const Backend& backend, std::uint64_t size) const {
  COLOPHON_TRY_ASSIGN(const InclusionProof proof, node_.prove_inclusion(size - 1, size));
  return root_of(backend, proof);
}

Api::Answer Api::consistency(const Call& call) const {
  COLOPHON_TRY_ASSIGN(const std::uint64_t from, call.required_number("from"));
  COLOPHON_TRY_ASSIGN(const auto to_given, call.number("to"));
  const std::uint64_t to = to_given.value_or(node_.status().log_size);
  COLOPHON_TRY(check_size(to, "to"));
  if (from < 1 || from > to) {
    return make_error(ErrorCode::kInvalidArgument, "must be from 1 to " + std::to_string(to),
                      "from");
  }
  COLOPHON_TRY_ASSIGN(const Backend backend, Backend::choose(node_.status().backend));
  COLOPHON_TRY_ASSIGN(const auto hashes, node_.prove_consistency(from, to));
  COLOPHON_TRY_ASSIGN(const Digest from_root, root_at(backend, from));
  COLOPHON_TRY_ASSIGN(const Digest to_root, root_at(backend, to));
  return reply(200, {{"hash", "sha256"},
                     {"from", from},
                     {"to", to},
                     {"from_root", hex_encode(from_root)},
                     {"to_root", hex_encode(to_root)},
                     {"proof", hex_list(hashes)}});
}

Api::Answer Api::status(const Call&) const {
  const NodeStatus status = node_.status();
  const Genesis& genesis = node_.genesis();
  return reply(
      200, {{"version", COLOPHON_VERSION},
            {"chain_id", status.chain_id},
            {"backend", status.backend},
            {"ordering", status.ordering},
            {"height", status.height},
            {"log_size", status.log_size},
            {"block_time", status.height == 0 ? json() : json(format_time(status.block_time_ms))},
            {"accepting", status.accepting},
            {"reason", status.reason},
            {"log_public_key", hex_encode(genesis.log_public_key)},
            {"administrator",
             {{"scheme", scheme_name(genesis.administrator_scheme)},
              {"public_key", hex_encode(genesis.administrator_public_key)}}},
            {"limits",
             {{"transaction_bytes_max", kTransactionBytesMax},
              {"submit_transactions_max", kSubmitTransactionsMax},
              {"body_bytes_max", kApiBodyBytesMax},
              {"future_ms_max", kFutureMsMax},
              {"lifetime_ms_max", kLifetimeMsMax},
              {"history_limit_max", kHistoryLimitMax}}}});
}

Api::Answer Api::health(const Call&) const {
  NodeStatus status = node_.status();
  if (!status.accepting) return make_error(ErrorCode::kUnavailable, std::move(status.reason));
  return reply(200, {{"status", "ok"}});
}

Api::Answer Api::metrics(const Call&) const {
  return HttpResponse{200, "text/plain; version=0.0.4", node_.metrics()};
}

Api::Answer Api::openapi(const Call&) const {
  return HttpResponse{200, "application/json", std::string(kOpenapiDocument)};
}

Api::Answer Api::index(const Call&) const {
  std::string page = "Colophon " COLOPHON_VERSION ", chain " + node_.genesis().chain_id + "\n\n";
  for (const Route& route : kRoutes) {
    std::string address(route.path);
    for (std::size_t i = 0; i < route.parameters.size() && !route.parameters[i].empty(); ++i) {
      address += (i == 0 ? "?" : "&") + std::string(route.parameters[i]) + "=";
    }
    page += std::string(route.method) + (route.method == "GET" ? "  " : " ") + address;
    page += std::string(address.size() < 44 ? 44 - address.size() : 1, ' ');
    page += std::string(route.summary) + "\n";
  }
  return HttpResponse{200, kPlainText, std::move(page)};
}

}  // namespace

HttpHandler make_api(Node& node, std::vector<Der> certificate_chain) {
  return [api = Api(node, std::move(certificate_chain))](const HttpRequest& request) {
    // Nothing here throws by intent; memory may run out, and a request must not take the node
    // along.
    try {
      return api.answer(request);
    } catch (const std::bad_alloc&) {
      return refusal(503, make_error(ErrorCode::kUnavailable, "out of memory: try again later"));
    } catch (const std::exception&) {
      return refusal(500, make_error(ErrorCode::kInternal, "a defect of the node: please report"));
    }
  };
}

}  // namespace colophon::node
