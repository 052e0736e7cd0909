// SPDX-License-Identifier: Apache-2.0
//
// colophon node init | start | fsck
#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "colophon/backend.hpp"
#include "colophon/hsm/signer.h"
#include "node/api/api.h"
#include "node/bytes.h"
#include "node/cli/chain_directory.h"
#include "node/cli/command.h"
#include "node/cli/node_session.h"
#include "node/cli/pem_file.h"
#include "node/cli/progress_line.h"
#include "node/cli/stop_signal.h"
#include "node/environment.h"
#include "node/event.h"
#include "node/fsck.h"
#include "node/hex.h"
#include "node/ledger.h"
#include "node/node.h"

namespace colophon::cli {
namespace {

using nlohmann::json;

constexpr const char* kListenDefault = "127.0.0.1:8180";

// One JSON object a line on standard error.
void log_line(std::string_view level, std::string_view message) {
  static std::mutex mutex;
  const nlohmann::ordered_json line = {
      {"time", node::format_time(node::system_environment().clock.now_ms())},
      {"level", level},
      {"message", message}};
  const std::scoped_lock guard(mutex);
  std::cerr << line.dump(-1, ' ', false, json::error_handler_t::replace) << std::endl;
}

// --- init ----------------------------------------------------------------------------------------

struct InitOptions {
  SigningOptions signing;
  std::string data, chain_id, administrator_key, certificate_chain;
  std::string listen = kListenDefault;
  bool json = false;
};

// The key in an SPKI of the one form that each of the two kinds has here.
Result<hsm::PublicKey> key_of(const node::Der& spki) {
  constexpr std::size_t kEd25519Bytes = 32;
  constexpr std::size_t kPointBytes = 65;
  const bool ed25519 = spki.size() < kPointBytes;
  const std::size_t size = ed25519 ? kEd25519Bytes : kPointBytes;
  hsm::PublicKey key;
  key.type = ed25519 ? hsm::KeyType::kEd25519 : hsm::KeyType::kP256;
  if (spki.size() > size) {
    key.raw.assign(spki.end() - static_cast<std::ptrdiff_t>(size), spki.end());
    if (!ed25519) {  // 04 x y -> 02 or 03 by y's last bit, x
      key.raw[0] = static_cast<std::uint8_t>(2 | (key.raw.back() & 1));
      key.raw.resize(33);
    }
    if (const auto again = key.to_spki_der(); again && *again == spki) return key;
  }
  return make_error(ErrorCode::kInvalidArgument,
                    "is not a P-256 key (uncompressed point) or an Ed25519 key: write it with "
                    "'colophon hsm public-key'",
                    "--administrator-key");
}

// As it is found from wherever the node is started.
Result<std::string> stored_path(const std::string& path, const char* field) {
  if (path.empty()) return path;
  std::error_code error;
  std::string absolute = std::filesystem::absolute(path, error).lexically_normal().string();
  if (!error && node::is_utf8(node::as_bytes(absolute))) return absolute;
  return make_error(ErrorCode::kInvalidArgument,
                    "is a path that node.json cannot hold: it must be UTF-8", field);
}

Result<ChainDirectory> plan(const InitOptions& options) {
  ChainDirectory chain;
  COLOPHON_TRY_ASSIGN(chain.path, resolve_data_path(options.data));
  COLOPHON_TRY(check_no_chain(chain.path));
  if (auto checked = node::check_chain_id(options.chain_id); !checked) {
    return make_error(checked.error().code, checked.error().message, "--chain-id");
  }
  chain.genesis.chain_id = options.chain_id;
  chain.genesis.created_at_ms = node::system_environment().clock.now_ms();
  COLOPHON_TRY_ASSIGN(const node::Der spki,
                      read_public_key(options.administrator_key, "--administrator-key"));
  COLOPHON_TRY_ASSIGN(const hsm::PublicKey administrator, key_of(spki));
  chain.genesis.administrator_scheme =
      administrator.type == hsm::KeyType::kP256 ? Scheme::kEcdsaP256Sha256 : Scheme::kEd25519;
  chain.genesis.administrator_public_key = administrator.raw;
  COLOPHON_TRY_ASSIGN(chain.log_certificates,
                      read_certificates(options.certificate_chain, "--certificate-chain"));
  COLOPHON_TRY_ASSIGN(chain.configuration.listen, parse_listen_address(options.listen, "--listen"));
  chain.configuration.key = options.signing.key;
  COLOPHON_TRY_ASSIGN(chain.configuration.pin_file,
                      stored_path(options.signing.pin.file, "--pin-file"));
  chain.configuration.pin_env = options.signing.pin.env;
  return chain;
}

void print_chain(const InitOptions& options, const ChainDirectory& chain) {
  const std::string genesis = node::hex_encode(node::genesis_hash(chain.genesis));
  const std::string log_key = node::hex_encode(chain.genesis.log_public_key);
  if (options.json) {
    print_json({{"chain_id", chain.genesis.chain_id},
                {"data", chain.path},
                {"genesis_sha256", genesis},
                {"log_public_key", log_key},
                {"listen", format_listen_address(chain.configuration.listen)}});
    return;
  }
  std::cout << "chain " << chain.genesis.chain_id << " is ready in " << printable(chain.path)
            << "\n  genesis      " << genesis << "\n  log key      " << log_key
            << "\n  will listen  " << format_listen_address(chain.configuration.listen)
            << "  (node.json; 'colophon node start' prints the address)" << std::endl;
}

Result<void> init(const InitOptions& options) {
  COLOPHON_TRY_ASSIGN(ChainDirectory chain, plan(options));
  COLOPHON_TRY_ASSIGN(auto signer,
                      hsm::open_signer(options.signing.key, options.signing.pin.source()));
  if (signer->key_type() != hsm::KeyType::kEd25519) {
    return make_error(ErrorCode::kInvalidArgument,
                      "is not an Ed25519 key: checkpoints are signed with one (make it with "
                      "'colophon hsm keygen --type ed25519')",
                      "--key");
  }
  chain.genesis.log_public_key = signer->public_key().raw;
  COLOPHON_TRY(check_log_certificates(chain.log_certificates, chain.genesis,
                                      chain.genesis.created_at_ms, "--certificate-chain"));
  // Opening the node once makes the ledger and signs the checkpoint of the empty log.
  const auto make_ledger = [&](const std::string& folder) -> Result<void> {
    node::NodeConfig config;
    config.data_directory = folder;
    COLOPHON_TRY(
        node::Node::open(config, chain.genesis, node::system_environment(), std::move(signer)));
    return {};
  };
  COLOPHON_TRY(create_chain_directory(chain, make_ledger));
  print_chain(options, chain);
  return {};
}

// --- start ---------------------------------------------------------------------------------------

struct StartOptions {
  std::string data;
};

node::NodeConfig config_of(const ChainDirectory& chain) {
  const NodeConfiguration& configuration = chain.configuration;
  node::NodeConfig config;
  config.data_directory = chain.path;
  config.block_transactions_max = configuration.block_transactions_max;
  config.block_deadline_ms = configuration.block_deadline_ms;
  config.queue_transactions_max = configuration.queue_transactions_max;
  config.table_memory = configuration.table_memory;
  // Unless node.json names a backend, COLOPHON_BACKEND may.
  if (configuration.backend != "auto") config.backend = configuration.backend;
  config.log = &log_line;
  return config;
}

// Asked before the token is: what node.json names wrongly should not cost a PIN.
Result<void> check_backend(const node::NodeConfig& config) {
  auto backend = Backend::choose(config.backend, config.table_memory);
  if (backend) return {};
  Error error = std::move(backend).error();
  if (error.field == "table_memory") {
    error.message = "the member table_memory of node.json: " + error.message;
  } else if (!config.backend.empty()) {
    error.message = "the member backend of node.json: " + error.message;
  }
  return error;
}

Result<void> start(const StartOptions& options) {
  const node::Environment environment = node::system_environment();
  COLOPHON_TRY_ASSIGN(const std::string path, resolve_data_path(options.data));
  COLOPHON_TRY_ASSIGN(ChainDirectory chain, read_chain_directory(path));
  const node::NodeConfig config = config_of(chain);
  COLOPHON_TRY(check_backend(config));
  const auto certified = check_log_certificates(chain.log_certificates, chain.genesis,
                                                environment.clock.now_ms(), "log-certificates.pem");
  COLOPHON_TRY_ASSIGN(auto signer,
                      hsm::open_signer(chain.configuration.key, chain.configuration.pin()));
  // Only now: until here Ctrl-C at the PIN's prompt just ends the program.
  COLOPHON_TRY_ASSIGN(StopSignal stop, StopSignal::install());
  if (!certified) log_line("WARN", "log-certificates.pem: " + certified.error().message);
  COLOPHON_TRY_ASSIGN(auto node,
                      node::Node::open(config, chain.genesis, environment, std::move(signer)));
  const ListenAddress& listen = chain.configuration.listen;
  COLOPHON_TRY_ASSIGN(auto listener, environment.network.serve_http(
                                         listen.host, listen.port, node::kApiBodyBytesMax,
                                         node::make_api(*node, std::move(chain.log_certificates))));
  const std::string url =
      "http://" + format_listen_address(ListenAddress{listen.host, listener->port()});
  log_line("INFO", "listening on " + url);
  std::cout << "listening on " << url << std::endl;

  log_line("INFO", std::string("stopping on ") + stop.wait() + ": what is queued is finished");
  listener.reset();  // each request that is in gets its answer
  const std::uint64_t height = node->status().height;
  node.reset();
  log_line("INFO", "stopped at height " + std::to_string(height));
  return {};
}

// --- fsck ----------------------------------------------------------------------------------------

struct FsckOptions {
  std::string data;
  bool json = false;
};

Result<node::FsckReport> check(const std::string& data) {
  COLOPHON_TRY_ASSIGN(const std::string path, resolve_data_path(data));
  COLOPHON_TRY_ASSIGN(const node::Genesis genesis, read_genesis(path));
  ProgressLine progress;
  return node::fsck(path, genesis, node::system_environment(),
                    [&](std::uint64_t done, std::uint64_t all) {
                      progress.show("block " + std::to_string(done) + " of " + std::to_string(all));
                    });
}

int print_findings(const FsckOptions& options, const node::FsckReport& report) {
  const bool clean = report.findings.empty();
  if (options.json) {
    print_json({{"clean", clean},
                {"blocks", report.blocks},
                {"transactions", report.transactions},
                {"events", report.events},
                {"state_keys", report.state_keys},
                {"findings", report.findings}});
  } else {
    for (const std::string& finding : report.findings) std::cout << printable(finding) << "\n";
    std::cout << (clean ? "clean: " : "NOT CLEAN: ") << report.blocks << " blocks, "
              << report.transactions << " transactions, " << report.events << " events, "
              << report.state_keys << " state keys recomputed" << std::endl;
  }
  return clean ? kExitOk : kExitRefused;
}

constexpr const char* kInitFooter = R"(
DATA must not be there, or be an empty folder. What is written:
  genesis.json          what all nodes of the chain agree on; never changed
  node.json             how this node runs, to be edited: listen address, key, where the PIN is
                        (never the PIN), "backend", its "table_memory", block and queue limits
  log-certificates.pem  the certificates given; put new ones here when they are renewed
  db                    the ledger)";

constexpr const char* kStartFooter = R"(
Prints "listening on URL" when the API answers; the log is JSON Lines on standard error.
SIGTERM or SIGINT (Ctrl-C): no new request is taken, what is queued is finished, status 0.

Exit status:
  0  stopped by a signal
  1  no chain in DATA, no such module, token or key, or the wrong PIN (tried once)
  2  usage, or a file in DATA that does not have the form it must have
  3  failed: port in use, DATA open in another process, disk or HSM)";

constexpr const char* kFsckFooter = R"(
Executes all blocks anew and compares everything that is stored; the node must be stopped.

Exit status:
  0  clean
  1  findings, one a line
  2  usage, or a genesis.json that does not have the form it must have
  3  nothing was checked: no chain in DATA, DATA open in another process, disk)";

CLI::Option* add_data_option(CLI::App& command, std::string& data) {
  return command.add_option("--data", data, "The node's folder")->type_name("DIR")->required();
}

void add_init(CLI::App& node, int& exit_code) {
  const auto options = std::make_shared<InitOptions>();
  CLI::App* command = node.add_subcommand("init", "Make a new chain, and the folder of its node");
  add_data_option(*command, options->data);
  command
      ->add_option("--chain-id", options->chain_id,
                   "Name of the chain and its log: a-z, 0-9, '.' and '-', 3 to 48 characters")
      ->type_name("NAME")
      ->required();
  command
      ->add_option("--administrator-key", options->administrator_key,
                   "PEM file of the public key whose holder enrols organizations")
      ->type_name("FILE")
      ->required();
  command
      ->add_option("--certificate-chain", options->certificate_chain,
                   "PEM file of the log key's certificate (its name is the chain's), then those "
                   "of CAs in between; without the root")
      ->type_name("FILE")
      ->required();
  command
      ->add_option("--listen", options->listen, "Where the API will listen; port 0: any free one")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  command->add_flag("--json", options->json, "Print JSON for a program to read");
  add_signing_options(*command, options->signing,
                      "PKCS#11 URI of the log key (Ed25519), which signs the checkpoints");
  command->footer(kInitFooter);
  command->callback([options, &exit_code] {
    run_command(exit_code, options->json, [&] { return init(*options); });
  });
}

void add_start(CLI::App& node, int& exit_code) {
  const auto options = std::make_shared<StartOptions>();
  CLI::App* command = node.add_subcommand("start", "Run a node until it is told to stop");
  add_data_option(*command, options->data);
  command->footer(kStartFooter);
  command->callback(
      [options, &exit_code] { run_command(exit_code, false, [&] { return start(*options); }); });
}

void add_fsck(CLI::App& node, int& exit_code) {
  const auto options = std::make_shared<FsckOptions>();
  CLI::App* command = node.add_subcommand("fsck", "Recompute a node's ledger from its blocks");
  add_data_option(*command, options->data);
  command->add_flag("--json", options->json, "Print JSON for a program to read");
  command->footer(kFsckFooter);
  command->callback([options, &exit_code] {
    const Result<node::FsckReport> report = check(options->data);
    exit_code = report ? print_findings(*options, *report)
                       : report_unchecked(report.error(), options->json);
  });
}

}  // namespace

void add_node_commands(CLI::App& app, int& exit_code) {
  CLI::App* node = app.add_subcommand("node", "Make, run and check a node");
  node->require_subcommand(1);
  add_init(*node, exit_code);
  add_start(*node, exit_code);
  add_fsck(*node, exit_code);
}

}  // namespace colophon::cli
