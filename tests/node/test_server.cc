// SPDX-License-Identifier: Apache-2.0
//
// A node behind its HTTP API with keys in memory, for tests that need a process of its own.
//
//   serve DIR    on the real disk, until standard input ends or the process is killed
//   simulate     on a disk in memory that obeys, line by line on standard input: "disk full", "disk
//                unreadable", "disk mended", "token away", "token back", "restart"; each is
//                answered with a line, "restart" with the new address
//   sign         prints transactions that such a node takes, and some that it refuses, as JSON
//
// Prints "listening on URL" as the program colophon does.
#include <cstring>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "node/api/api.h"
#include "node/base64.h"
#include "node/contracts/registry/registry.h"
#include "node/environment.h"
#include "node/hex.h"
#include "node/node.h"
#include "tests/node/lent_signer.h"
#include "tests/node/live_consortium.h"
#include "tests/node/simulated_disk.h"

namespace colophon::node::test {
namespace {

using nlohmann::json;

class Server {
 public:
  Server(Environment environment, std::string directory) : environment_(environment) {
    config_.data_directory = std::move(directory);
    config_.block_deadline_ms = 5;
    config_.block_transactions_max = 64;
  }

  bool start() {
    listener_.reset();
    node_.reset();
    auto node = Node::open(config_, consortium_.genesis, environment_,
                           std::make_unique<LentSigner>(*consortium_.log_key));
    if (!node) return fail(node.error());
    node_ = *std::move(node);
    auto listener = environment_.network.serve_http(
        "127.0.0.1", 0, kApiBodyBytesMax,
        make_api(*node_, {consortium_.log_certificate(
                             must(consortium_.log_key->public_key().to_spki_der()))}));
    if (!listener) return fail(listener.error());
    listener_ = *std::move(listener);
    std::cout << "listening on http://127.0.0.1:" << listener_->port() << std::endl;
    return true;
  }
  void set_token_away(bool away) { consortium_.log_key->set_failing(away); }

 private:
  static bool fail(const Error& error) {
    std::cerr << error.message << std::endl;
    return false;
  }

  Environment environment_;
  NodeConfig config_;
  LiveConsortium consortium_;
  std::unique_ptr<Node> node_;
  std::unique_ptr<HttpListener> listener_;  // stops before the node
};

int serve(const std::string& directory) {
  Server server(system_environment(), directory);
  if (!server.start()) return 1;
  for (std::string line; std::getline(std::cin, line);) {
  }
  return 0;
}

int simulate() {
  SimulatedDisk disk;
  const Environment real = system_environment();
  Server server(Environment{real.clock, real.random, disk, real.network}, "/data");
  if (!server.start()) return 1;
  for (std::string line; std::getline(std::cin, line);) {
    if (line == "restart") {
      if (!server.start()) return 1;
      continue;
    }
    if (line == "disk full") disk.set_space(0);
    if (line == "disk unreadable") disk.set_unreadable(true);
    if (line == "disk mended") disk.mend();
    if (line == "token away") server.set_token_away(true);
    if (line == "token back") server.set_token_away(false);
    std::cout << line << std::endl;
  }
  return 0;
}

int sign() {
  LiveConsortium consortium;
  const auto encoded = [](const std::string& transaction) {
    return base64_encode(as_bytes(transaction));
  };
  json founding = json::array();
  json registrations = json::array();
  json ids = json::array();
  json records = json::array();
  for (const std::string& one : consortium.founding()) founding.push_back(encoded(one));
  for (int i = 0; i < 120; ++i) {
    const std::string registration = consortium.registration();
    const Digest id = consortium.id(registration);
    registrations.push_back(encoded(registration));
    ids.push_back(hex_encode(id));
    records.push_back(hex_encode(record_id(id)));
  }
  const Digest first = record_id(
      consortium.id(std::string(as_text(*base64_decode(registrations[0].get<std::string>())))));
  std::string forged = consortium.registration();
  forged.back() = static_cast<char>(forged.back() ^ 1);
  const std::string payload = register_document(Digest{});
  const std::uint64_t hour = LiveConsortium::kHourMs;
  const std::uint64_t now = LiveConsortium::now_ms();
  MemorySigner& member = *consortium.member;
  std::cout << json{{"founding", founding},
                    {"registrations", registrations},
                    {"transaction_ids", ids},
                    {"record_ids", records},
                    {"organization", "acme-studio"},
                    {"key_id", hex_encode(member_key_id(member))},
                    {"transfer", encoded(consortium.sign(member, "registry",
                                                         transfer(first, "globe-press", 1)))},
                    {"forged", encoded(forged)},
                    {"expired",
                     encoded(consortium.sign(member, "registry", payload, now - 2 * hour, hour))},
                    {"future", encoded(consortium.sign(member, "registry", payload, now + hour))},
                    {"stranger",
                     encoded(consortium.sign(*consortium.stranger, "registry", payload))},
                    {"unknown_contract", encoded(consortium.sign(member, "licences", "x"))}}
                   .dump()
            << std::endl;
  return 0;
}

}  // namespace
}  // namespace colophon::node::test

int main(int argc, char** argv) {
  using namespace colophon::node::test;  // NOLINT: this program is nothing else
  const std::string command = argc > 1 ? argv[1] : "";
  if (command == "serve" && argc == 3) return serve(argv[2]);
  if (command == "simulate" && argc == 2) return simulate();
  if (command == "sign" && argc == 2) return sign();
  std::cerr << "serve DIR | simulate | sign\n";
  return 2;
}
