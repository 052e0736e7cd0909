// SPDX-License-Identifier: Apache-2.0
#include "node/client/client.h"

#include <httplib.h>

#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "node/base64.h"
#include "node/hex.h"
#include "node/strict_json.h"

namespace colophon::node {
namespace {

using nlohmann::json;

constexpr std::uint16_t kPortDefault = 8180;

ErrorCode code_from_name(std::string_view name) {
  for (auto value = static_cast<int>(ErrorCode::kInvalidArgument);
       value <= static_cast<int>(ErrorCode::kInternal); ++value) {
    const auto code = static_cast<ErrorCode>(value);
    if (error_code_name(code) == name) return code;
  }
  return ErrorCode::kMalformed;
}

std::string text_member(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// {"code","message","field"} as the API sends it; nullopt if it is not that.
std::optional<Error> error_from(const json& object) {
  if (!object.is_object()) return std::nullopt;
  const std::string message = text_member(object, "message");
  if (message.empty()) return std::nullopt;
  return make_error(code_from_name(text_member(object, "code")), message,
                    text_member(object, "field"));
}

}  // namespace

struct Client::Connection {
  std::string url;
  std::string host;
  std::uint16_t port = kPortDefault;

  struct Reply {
    int status = 0;
    std::string body;
  };
  // One request on a connection of its own.
  [[nodiscard]] Result<Reply> send(const char* method, const std::string& path,
                                   const std::string& body) const;
};

Result<Client::Connection::Reply> Client::Connection::send(const char* method,
                                                           const std::string& path,
                                                           const std::string& body) const {
  httplib::Client http(host, port);
  http.set_connection_timeout(kConnectSeconds);
  http.set_read_timeout(kReplySeconds);
  http.set_write_timeout(kReplySeconds);
  http.set_keep_alive(false);
  http.set_follow_location(false);

  Reply reply;
  bool too_long = false;
  httplib::Request request;
  request.method = method;
  request.path = path;
  request.headers = {{"Accept-Encoding", "identity"}};
  if (!body.empty()) {
    request.body = body;
    request.headers.emplace("Content-Type", "application/json");
  }
  request.content_receiver = [&](const char* data, std::size_t size, std::uint64_t, std::uint64_t) {
    too_long = size > kReplyBytesMax - reply.body.size();
    if (!too_long) reply.body.append(data, size);
    return !too_long;
  };

  httplib::Response response;
  httplib::Error failure = httplib::Error::Success;
  if (http.send(request, response, failure)) {
    reply.status = response.status;
    return reply;
  }
  if (too_long) {
    return make_error(ErrorCode::kLimitExceeded,
                      "the node's reply is over " + std::to_string(kReplyBytesMax) + " bytes", url);
  }
  switch (failure) {
    case httplib::Error::Connection:
    case httplib::Error::ConnectionTimeout:
    case httplib::Error::BindIPAddress:
      return make_error(ErrorCode::kUnavailable,
                        "no node answers here: start one (colophon node start) or name another "
                        "(--node URL, or " +
                            std::string(kNodeVariable) + ")",
                        url);
    case httplib::Error::Write:
      return make_error(ErrorCode::kUnavailable,
                        "the node closed the connection before all was sent: nothing took effect",
                        url);
    default:
      break;
  }
  // What a GET asked can be asked again; what a POST did cannot be known.
  if (body.empty()) {
    return make_error(ErrorCode::kUnavailable, "the node's reply did not arrive: try again", url);
  }
  return make_error(
      ErrorCode::kOutcomeUnknown,
      "all was sent but the reply did not arrive: it may or may not have taken effect", url);
}

namespace {

// What a node sends is nested a few deep. A server that is none, or worse, must not make the JSON
// reader call itself until the stack ends.
constexpr int kReplyDepthMax = 16;
json parse_shallow(const std::string& body) {
  if (is_nested_deeper_than(body, kReplyDepthMax)) return json(json::value_t::discarded);
  return json::parse(body, nullptr, false);
}

// A success as its body; what the node refused, as the error it sent.
template <class Reply>
Result<std::string> accept(const std::string& url, Reply reply) {
  if (reply.status >= 200 && reply.status < 300) return std::move(reply.body);
  const json value = parse_shallow(reply.body);
  if (value.is_object() && value.contains("error")) {
    if (auto error = error_from(value["error"])) return *std::move(error);
  }
  return make_error(reply.status >= 500 ? ErrorCode::kUnavailable : ErrorCode::kMalformed,
                    "answered with HTTP status " + std::to_string(reply.status) +
                        " and not as a node does: is this the address of a Colophon node?",
                    url);
}

Result<json> parse_reply(const std::string& url, const std::string& body) {
  json value = parse_shallow(body);
  if (value.is_discarded()) {
    return make_error(ErrorCode::kMalformed,
                      "answered with something that is not JSON: is this a Colophon node?", url);
  }
  return value;
}

}  // namespace

Client::Client(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

Result<Client> Client::connect(const std::string& url) {
  constexpr std::string_view kScheme = "http://";
  const auto refuse = [&](const char* message) {
    return make_error(
        ErrorCode::kInvalidArgument,
        std::string(message) + ": write http://HOST:PORT, e.g. " + std::string(kNodeUrlDefault),
        "--node");
  };
  if (url.starts_with("https://")) {
    return make_error(ErrorCode::kUnsupported,
                      "TLS is not built in: reach the node over http:// on a network you trust, or "
                      "through a TLS tunnel",
                      "--node");
  }
  if (!url.starts_with(kScheme)) return refuse("is not an http:// address");
  std::string_view rest = std::string_view(url).substr(kScheme.size());
  if (rest.ends_with('/')) rest.remove_suffix(1);

  auto connection = std::make_unique<Connection>();
  connection->url = url;
  std::size_t host_end = rest.find(':');
  if (rest.starts_with('[')) {  // an IPv6 address
    const std::size_t close = rest.find(']');
    if (close == std::string_view::npos) return refuse("has no ] after the IPv6 address");
    connection->host = rest.substr(1, close - 1);
    host_end = close + 1;
  } else {
    connection->host = rest.substr(0, host_end);
  }
  if (connection->host.empty() ||
      connection->host.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                         "0123456789.-_:%") != std::string::npos) {
    return refuse("has no host, or more than host and port");
  }
  if (host_end < rest.size()) {
    const std::string_view port = rest.substr(host_end);
    const auto [stop, error] =
        std::from_chars(port.data() + 1, port.data() + port.size(), connection->port);
    if (port[0] != ':' || error != std::errc{} || stop != port.data() + port.size() ||
        connection->port == 0) {
      return refuse("has a port that is not a number from 1 to 65535");
    }
  }
  return Client(std::move(connection));
}

Result<std::string> Client::get_text(const std::string& path) {
  COLOPHON_TRY_ASSIGN(auto reply, connection_->send("GET", path, {}));
  return accept(connection_->url, std::move(reply));
}

Result<json> Client::get(const std::string& path) {
  COLOPHON_TRY_ASSIGN(const std::string body, get_text(path));
  return parse_reply(connection_->url, body);
}

Result<json> Client::post(const std::string& path, const json& body) {
  COLOPHON_TRY_ASSIGN(auto reply, connection_->send("POST", path, body.dump()));
  COLOPHON_TRY_ASSIGN(const std::string text, accept(connection_->url, std::move(reply)));
  return parse_reply(connection_->url, text);
}

Result<std::vector<Client::Outcome>> Client::submit(const std::vector<std::string>& transactions,
                                                    const std::vector<Digest>& ids) {
  json texts = json::array();
  for (const std::string& transaction : transactions) {
    texts.push_back(base64_encode(
        {reinterpret_cast<const std::uint8_t*>(transaction.data()), transaction.size()}));
  }
  Result<json> reply = post("/v1/transactions", {{"transactions", std::move(texts)}});
  std::vector<Outcome> outcomes;
  outcomes.reserve(ids.size());
  if (reply) {
    const auto results = reply->find("results");
    if (!reply->is_object() || results == reply->end() || !results->is_array() ||
        results->size() != transactions.size()) {
      return make_error(ErrorCode::kOutcomeUnknown,
                        "the node's reply has not one result a transaction: ask for each by its id",
                        connection_->url);
    }
    for (json& result : *results) {
      if (!result.is_object() || !result.contains("error")) {
        outcomes.emplace_back(std::move(result));
      } else if (auto error = error_from(result["error"])) {
        outcomes.emplace_back(*std::move(error));
      } else {
        outcomes.emplace_back(
            make_error(ErrorCode::kMalformed, "the node refused without saying why"));
      }
    }
    return outcomes;
  }
  if (reply.error().code != ErrorCode::kOutcomeUnknown) return std::move(reply).error();

  for (const Digest& id : ids) {
    const std::string text = hex_encode(id);
    Outcome outcome = get("/v1/transactions/" + text);
    if (!outcome) {
      outcome =
          make_error(ErrorCode::kOutcomeUnknown,
                     "the reply was lost: it may or may not have taken effect; ask later with "
                     "'colophon transaction " +
                         text + "' before sending it again",
                     "transaction");
    }
    outcomes.push_back(std::move(outcome));
  }
  return outcomes;
}

}  // namespace colophon::node
