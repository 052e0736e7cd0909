// SPDX-License-Identifier: Apache-2.0
//
// colophon hsm list | keygen | public-key | sign
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "colophon/hsm/signer.h"
#include "colophon/hsm/token.h"
#include "colophon/hsm/uri.h"
#include "node/cli/command.h"
#include "node/cli/pin_options.h"
#include "node/hex.h"

namespace colophon::cli {
namespace {

using nlohmann::json;

// Ed25519 signs the message itself, so it is held in memory whole.
constexpr std::size_t kMessageBytesMax = std::size_t{64} << 20;

struct HsmOptions {
  std::string module;
  std::string uri;
  std::string label;
  std::string type = "p256";
  std::string id;
  std::string format;
  std::string in = "-";
  std::string out;
  bool login = false;
  bool json = false;
  PinOptions pin;
};

// A token's labels are bytes that somebody else chose.
void print_json_line(const json& value) {
  std::cout << value.dump(-1, ' ', false, json::error_handler_t::replace) << '\n';
}

Result<void> write_output(const std::string& path, const std::string& bytes) {
  if (path.empty() || path == "-") {
    std::cout << bytes;
    return {};
  }
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << bytes;
  file.close();
  if (file) return {};
  return make_error(ErrorCode::kIo, "cannot write " + path + ": " + std::strerror(errno), "--out",
                    static_cast<std::uint64_t>(errno));
}

Result<std::vector<std::uint8_t>> read_message(const std::string& path) {
  std::ifstream file;
  if (path != "-") {
    file.open(path, std::ios::binary);
    if (!file) {
      const int number = errno;
      return make_error(number == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
                        "cannot open " + path + ": " + std::strerror(number), "--in",
                        static_cast<std::uint64_t>(number));
    }
  }
  std::istream& stream = path == "-" ? std::cin : file;
  std::vector<std::uint8_t> message;
  std::vector<char> chunk(std::size_t{1} << 16);
  while (stream.read(chunk.data(), static_cast<std::streamsize>(chunk.size())),
         stream.gcount() > 0) {
    message.insert(message.end(), chunk.begin(), chunk.begin() + stream.gcount());
    if (message.size() > kMessageBytesMax) {
      return make_error(ErrorCode::kLimitExceeded,
                        "the message is longer than " + std::to_string(kMessageBytesMax) +
                            " bytes: sign its SHA-256 instead",
                        "--in");
    }
  }
  if (stream.bad() || !stream.eof()) {
    return make_error(ErrorCode::kIo, "cannot read " + path, "--in");
  }
  return message;
}

json key_json(const hsm::KeyInfo& key) {
  json object = {{"label", key.label},         {"id", node::hex_encode(key.id)},
                 {"type", key.type},           {"uri", key.uri},
                 {"private", key.has_private}, {"public", key.has_public}};
  if (key.has_private) {
    object["sensitive"] = key.sensitive;
    object["extractable"] = key.extractable;
    object["may_sign"] = key.may_sign;
    object["generated_in_token"] = key.generated_in_token;
  }
  if (key.public_key) object["public_key"] = node::hex_encode(key.public_key->raw);
  return object;
}

json token_json(const hsm::TokenInfo& token, const std::vector<hsm::KeyInfo>& keys) {
  json list = json::array();
  for (const hsm::KeyInfo& key : keys) list.push_back(key_json(key));
  return {{"slot_id", token.slot_id},
          {"label", token.label},
          {"manufacturer", token.manufacturer},
          {"model", token.model},
          {"serial", token.serial},
          {"initialized", token.initialized},
          {"login_required", token.login_required},
          {"user_pin_count_low", token.user_pin_count_low},
          {"user_pin_final_try", token.user_pin_final_try},
          {"user_pin_locked", token.user_pin_locked},
          {"uri", token.uri},
          {"keys", std::move(list)}};
}

void print_key(const hsm::KeyInfo& key, bool logged_in) {
  std::cout << "  " << printable(key.label) << "  " << key.type << "  ";
  if (key.has_private) {
    std::cout << (key.sensitive ? "sensitive, " : "NOT SENSITIVE, ")
              << (key.extractable ? "EXTRACTABLE" : "not extractable")
              << (key.has_public ? "" : ", no public half");
  } else {
    std::cout << (logged_in ? "public half only" : "public half (private halves need a login)");
  }
  std::cout << "\n    " << key.uri << '\n';
}

void print_token(const hsm::TokenInfo& token, const std::vector<hsm::KeyInfo>& keys,
                 bool logged_in) {
  if (!token.initialized) {
    std::cout << "slot " << token.slot_id << ": a token that is not initialised\n";
    return;
  }
  std::cout << "token " << printable(token.label) << "  (slot " << token.slot_id << ", "
            << printable(token.manufacturer) << ' ' << printable(token.model) << ", serial "
            << printable(token.serial) << ")\n  " << token.uri << '\n';
  if (token.user_pin_locked) {
    std::cout << "  PIN locked: the security officer must unlock it\n";
  } else if (token.user_pin_final_try) {
    std::cout << "  PIN: the next wrong one locks the token\n";
  } else if (token.user_pin_count_low) {
    std::cout << "  PIN: a wrong one was entered since the last right one\n";
  }
  if (keys.empty())
    std::cout << "  no keys to be seen" << (logged_in ? "" : " without login") << '\n';
  for (const hsm::KeyInfo& key : keys) print_key(key, logged_in);
}

Result<void> list(const HsmOptions& options) {
  hsm::Uri uri;
  if (!options.uri.empty()) {
    COLOPHON_TRY_ASSIGN(uri, hsm::parse_uri(options.uri));
  }
  if (!options.module.empty()) uri.module_path = options.module;
  COLOPHON_TRY_ASSIGN(const std::vector<hsm::TokenInfo> tokens, hsm::list_tokens(uri));
  const bool login = options.login || options.pin.given() || uri.pin_source.has_value();
  if (login) {
    const auto named = std::count_if(tokens.begin(), tokens.end(),
                                     [](const hsm::TokenInfo& token) { return token.initialized; });
    if (named != 1) {
      return make_error(named == 0 ? ErrorCode::kNotFound : ErrorCode::kInvalidArgument,
                        "a login is for one token, " + std::to_string(named) +
                            " match: name it by --token 'pkcs11:token=LABEL'",
                        "--token");
    }
  }
  json all = json::array();
  for (const hsm::TokenInfo& token : tokens) {
    std::vector<hsm::KeyInfo> keys;
    if (token.initialized) {
      hsm::Uri wanted = uri;
      wanted.slot_id = token.slot_id;
      std::optional<hsm::PinSource> pin;
      if (login) pin = options.pin.source();
      COLOPHON_TRY_ASSIGN(keys, hsm::list_keys(wanted, pin));
    }
    if (options.json) {
      all.push_back(token_json(token, keys));
    } else {
      print_token(token, keys, login);
    }
  }
  if (options.json) {
    print_json_line({{"tokens", std::move(all)}});
  } else if (tokens.empty()) {
    std::cout << "no token" << (options.uri.empty() ? "" : " matches the URI") << '\n';
  }
  return {};
}

Result<void> keygen(const HsmOptions& options) {
  COLOPHON_TRY_ASSIGN(const hsm::Uri uri, hsm::parse_uri(options.uri));
  hsm::KeyRequest request;
  COLOPHON_TRY_ASSIGN(request.type, hsm::parse_key_type(options.type));
  request.label = options.label;
  if (!options.id.empty()) {
    request.id = node::hex_decode(options.id);
    if (!request.id) {
      return make_error(ErrorCode::kInvalidArgument,
                        "not an even number of hexadecimal digits in lower case", "--id");
    }
  }
  COLOPHON_TRY_ASSIGN(const hsm::KeyInfo key,
                      hsm::generate_key(uri, options.pin.source(), request));
  if (options.json) {
    print_json_line(key_json(key));
  } else {
    std::cout << key.uri << '\n';
  }
  return {};
}

Result<void> public_key(const HsmOptions& options) {
  COLOPHON_TRY_ASSIGN(const hsm::Uri uri, hsm::parse_uri(options.uri));
  COLOPHON_TRY_ASSIGN(const hsm::PublicKey key, hsm::read_public_key(uri, options.pin.source()));
  COLOPHON_TRY_ASSIGN(const std::vector<std::uint8_t> der, key.to_spki_der());
  if (options.json) {
    print_json_line({{"type", hsm::key_type_name(key.type)},
                     {"public_key", node::hex_encode(key.raw)},
                     {"spki_der", node::hex_encode(der)}});
    return {};
  }
  if (options.format == "hex") return write_output(options.out, node::hex_encode(key.raw) + '\n');
  if (options.format == "der")
    return write_output(options.out, std::string(der.begin(), der.end()));
  COLOPHON_TRY_ASSIGN(const std::string pem, key.to_spki_pem());
  return write_output(options.out, pem);
}

Result<void> sign(const HsmOptions& options) {
  COLOPHON_TRY_ASSIGN(const std::vector<std::uint8_t> message, read_message(options.in));
  COLOPHON_TRY_ASSIGN(const std::unique_ptr<hsm::Signer> signer,
                      hsm::open_signer(options.uri, options.pin.source()));
  COLOPHON_TRY_ASSIGN(const hsm::Signature signature, signer->sign(message));
  if (options.json) {
    print_json_line({{"type", hsm::key_type_name(signer->key_type())},
                     {"public_key", node::hex_encode(signer->public_key().raw)},
                     {"signature", node::hex_encode(signature)}});
    return {};
  }
  if (options.format == "raw") {
    return write_output(options.out, std::string(signature.begin(), signature.end()));
  }
  return write_output(options.out, node::hex_encode(signature) + '\n');
}

using Action = Result<void> (*)(const HsmOptions&);

// Adds --json and returns it.
CLI::Option* on_parse(CLI::App& command, const std::shared_ptr<HsmOptions>& options, int& exit_code,
                      Action action) {
  command.callback([options, &exit_code, action] {
    const Result<void> result = action(*options);
    exit_code = result ? kExitOk : report(result.error(), options->json);
  });
  return command.add_flag("--json", options->json, "Print one JSON object on standard output");
}

constexpr const char* kModuleHelp =
    "The module is the URI's module-path, else the environment variable COLOPHON_PKCS11_MODULE.\n"
    "The PIN is never taken from the command line: --pin-file, --pin-env, the URI's pin-source,\n"
    "or a prompt. A wrong PIN is tried once.";

void add_list(CLI::App& hsm, int& exit_code) {
  const auto options = std::make_shared<HsmOptions>();
  CLI::App* const command =
      hsm.add_subcommand("list", "Show the tokens of a module and the keys in them");
  CLI::Option* const module =
      command->add_option("--module", options->module, "PKCS#11 module (a .so file)");
  module->type_name("FILE");
  command
      ->add_option("--token,--key", options->uri,
                   "Show only the tokens and keys that this PKCS#11 URI matches")
      ->type_name("URI");
  command->add_flag("--login", options->login,
                    "Log in to show private halves (asks for the PIN unless its source is given)");
  add_pin_options(*command, options->pin);
  command->footer(kModuleHelp);
  on_parse(*command, options, exit_code, list);
}

void add_keygen(CLI::App& hsm, int& exit_code) {
  const auto options = std::make_shared<HsmOptions>();
  CLI::App* const command = hsm.add_subcommand(
      "keygen", "Make a key pair in a token: sensitive, not extractable; prints its URI");
  command->add_option("--token", options->uri, "PKCS#11 URI of the token")
      ->type_name("URI")
      ->required();
  command->add_option("--label", options->label, "Name of the new key; must be free in the token")
      ->type_name("NAME")
      ->required();
  command->add_option("--type", options->type, "p256 or ed25519")
      ->check(CLI::IsMember({"p256", "ed25519"}))
      ->capture_default_str();
  command
      ->add_option("--id", options->id,
                   "CKA_ID of the new key; default: 20 bytes of the public key's SHA-256")
      ->type_name("HEX");
  add_pin_options(*command, options->pin);
  command->footer(kModuleHelp);
  on_parse(*command, options, exit_code, keygen);
}

void add_public_key(CLI::App& hsm, int& exit_code) {
  const auto options = std::make_shared<HsmOptions>();
  options->format = "pem";
  CLI::App* const command = hsm.add_subcommand("public-key", "Write the public half of a key");
  command->add_option("--key", options->uri, "PKCS#11 URI of the key")
      ->type_name("URI")
      ->required();
  CLI::Option* const format = command->add_option(
      "--format", options->format,
      "pem or der: SubjectPublicKeyInfo; hex: the key's 33 (P-256) or 32 bytes");
  format->check(CLI::IsMember({"pem", "der", "hex"}))->capture_default_str();
  CLI::Option* const out =
      command->add_option("--out", options->out, "Write here instead of standard output");
  out->type_name("FILE");
  add_pin_options(*command, options->pin);
  command->footer(kModuleHelp);
  on_parse(*command, options, exit_code, public_key)->excludes(format)->excludes(out);
}

void add_sign(CLI::App& hsm, int& exit_code) {
  const auto options = std::make_shared<HsmOptions>();
  options->format = "hex";
  CLI::App* const command = hsm.add_subcommand(
      "sign", "Sign a file: 64 bytes, r||s with s <= n/2 (P-256, SHA-256) or R||S (Ed25519)");
  command->add_option("--key", options->uri, "PKCS#11 URI of the key")
      ->type_name("URI")
      ->required();
  command->add_option("--in", options->in, "What to sign; - is standard input")
      ->type_name("FILE")
      ->capture_default_str();
  CLI::Option* const out =
      command->add_option("--out", options->out, "Write here instead of standard output");
  out->type_name("FILE");
  CLI::Option* const format = command->add_option("--format", options->format, "hex or raw");
  format->check(CLI::IsMember({"hex", "raw"}))->capture_default_str();
  add_pin_options(*command, options->pin);
  command->footer(kModuleHelp);
  on_parse(*command, options, exit_code, sign)->excludes(format)->excludes(out);
}

}  // namespace

void add_hsm_commands(CLI::App& app, int& exit_code) {
  CLI::App* const hsm = app.add_subcommand("hsm", "Keys in a hardware security module (PKCS#11)");
  hsm->require_subcommand(1);
  add_list(*hsm, exit_code);
  add_keygen(*hsm, exit_code);
  add_public_key(*hsm, exit_code);
  add_sign(*hsm, exit_code);
}

}  // namespace colophon::cli
