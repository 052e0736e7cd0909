// SPDX-License-Identifier: Apache-2.0
//
// What the commands that talk to a node share: which node, which key signs, and the checks a client
// makes of what the node answers.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "colophon/backend.hpp"
#include "colophon/error.hpp"
#include "colophon/hash.hpp"
#include "colophon/hsm/signer.h"
#include "node/checkpoint.h"
#include "node/cli/pin_options.h"
#include "node/client/client.h"

namespace CLI {
class App;
}

namespace colophon::cli {

struct NodeOptions {
  std::string url;
  bool json = false;
};
// Adds --node URL (default: COLOPHON_NODE, else http://127.0.0.1:8180) and --json.
void add_node_options(CLI::App& command, NodeOptions& options);

struct SigningOptions {
  std::string key;  // PKCS#11 URI
  PinOptions pin;
};
// Adds --key URI and the PIN options.
inline constexpr const char* kSigningKeyHelp =
    "PKCS#11 URI of the key that signs, e.g. 'pkcs11:token=acme;object=alice'";
void add_signing_options(CLI::App& command, SigningOptions& options,
                         const char* key_help = kSigningKeyHelp);

// A node, its chain and its log's key. Nothing the node says about the log is passed on unchecked:
// its checkpoint must carry the log key's signature, its proofs must lead to the checkpoint's root.
// That the key is the right one only a certificate's chain can show (`colophon certificate
// verify`).
class NodeSession {
 public:
  [[nodiscard]] static Result<NodeSession> open(const NodeOptions& options);

  [[nodiscard]] node::Client& client() noexcept { return client_; }
  [[nodiscard]] const std::string& chain_id() const noexcept { return chain_id_; }

  // The newest checkpoint (or that of a block), its signature checked. Text: the signed note.
  struct SignedCheckpoint {
    node::Checkpoint checkpoint;
    std::string note;
  };
  [[nodiscard]] Result<SignedCheckpoint> checkpoint(std::uint64_t height = 0);

  // The node's inclusion proof for a leaf in the tree of a checkpoint, checked against its root;
  // the JSON as the node sent it. Error kInvalidSignature: the node's answers contradict each
  // other.
  [[nodiscard]] Result<nlohmann::json> inclusion(std::uint64_t index,
                                                 const node::Checkpoint& checkpoint);
  // As inclusion(): that the tree of `checkpoint` continues the one of its first `from` leaves.
  [[nodiscard]] Result<nlohmann::json> consistency(std::uint64_t from,
                                                   const node::Checkpoint& checkpoint);

 private:
  NodeSession(node::Client client, std::string chain_id, std::vector<std::uint8_t> log_key,
              Backend backend);
  node::Client client_;
  std::string chain_id_;
  std::vector<std::uint8_t> log_public_key_;
  Backend backend_;
};

// A session that signs.
class SigningSession {
 public:
  // The node is asked first: no PIN is presented in vain.
  [[nodiscard]] static Result<SigningSession> open(const NodeOptions& options,
                                                   const SigningOptions& signing);

  [[nodiscard]] NodeSession& node() noexcept { return node_; }
  [[nodiscard]] const hsm::PublicKey& public_key() const noexcept { return signer_->public_key(); }

  struct Signed {
    std::string bytes;  // serialized SignedTransaction
    Digest id{};
  };
  // Valid for ten minutes from now.
  [[nodiscard]] Result<Signed> sign(std::string_view contract, std::string payload);
  // Signs, submits, returns the receipt.
  [[nodiscard]] Result<nlohmann::json> call(std::string_view contract, std::string payload);

 private:
  SigningSession(NodeSession node, std::unique_ptr<hsm::Signer> signer);
  NodeSession node_;
  std::unique_ptr<hsm::Signer> signer_;
};

// The certificate file of a record (64 hex digits), as the node makes it; looked at only enough to
// see that it is about that record. `colophon certificate verify` is the check.
[[nodiscard]] Result<std::string> fetch_certificate(node::Client& client,
                                                    const std::string& record_id);

// 64 lower-case hex digits, as ids are written in addresses. Error kInvalidArgument, naming
// `field`.
[[nodiscard]] Result<std::vector<std::uint8_t>> parse_id(std::string_view text, const char* field);

// Runs a command's body and stores its exit status. A node's answer without a member that must be
// there (a nlohmann exception in `body`) is reported as kMalformed.
void run_command(int& exit_code, bool json, const std::function<Result<void>()>& body);

// Prints a JSON value as one line on standard output.
void print_json(const nlohmann::json& value);

}  // namespace colophon::cli
