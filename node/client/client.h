// SPDX-License-Identifier: Apache-2.0
//
// A client of a node's HTTP API (node/api/openapi.json). Blocking; one request at a time; not
// thread-safe; no state on the node's side. Each request has its own connection, so that a lost
// reply is never mistaken for a connection that had died before the request was sent.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "colophon/error.hpp"
#include "colophon/hash.hpp"

namespace colophon::node {

inline constexpr std::string_view kNodeUrlDefault = "http://127.0.0.1:8180";
inline constexpr std::string_view kNodeVariable = "COLOPHON_NODE";

class Client {
 public:
  static constexpr std::size_t kReplyBytesMax = 64 * 1024 * 1024;
  static constexpr int kConnectSeconds = 5;
  static constexpr int kReplySeconds = 60;

  // `url`: http://HOST[:PORT], nothing after it. Only looks at the form: whether the node is there
  // shows with the first request. Errors: kInvalidArgument, kUnsupported (https).
  [[nodiscard]] static Result<Client> connect(const std::string& url);

  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();

  // `path` begins with '/' and carries its query, percent-encoded. Errors: what the node answered,
  // code and field included; kUnavailable (no node there, or it went away), kMalformed (not what a
  // node says), kLimitExceeded (reply over kReplyBytesMax).
  [[nodiscard]] Result<nlohmann::json> get(const std::string& path);
  [[nodiscard]] Result<std::string> get_text(const std::string& path);
  // As get(); kOutcomeUnknown: all was sent but the reply was lost.
  [[nodiscard]] Result<nlohmann::json> post(const std::string& path, const nlohmann::json& body);

  // What became of one transaction: its receipt (JSON as in the API) or the node's error.
  using Outcome = Result<nlohmann::json>;
  // Sends serialized SignedTransactions (1 to kSubmitTransactionsMax of them); `ids` are theirs.
  // When the reply is lost the node is asked for each; what it does not know is kOutcomeUnknown,
  // and the message names the transaction to ask for later. Never sends anything twice.
  [[nodiscard]] Result<std::vector<Outcome>> submit(const std::vector<std::string>& transactions,
                                                    const std::vector<Digest>& ids);

 private:
  struct Connection;
  explicit Client(std::unique_ptr<Connection> connection);
  std::unique_ptr<Connection> connection_;
};

}  // namespace colophon::node
