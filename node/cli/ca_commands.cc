// SPDX-License-Identifier: Apache-2.0
//
// colophon ca create | issue: the certificates of a consortium, signed in the token.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "colophon/hsm/signer.h"
#include "node/cli/command.h"
#include "node/cli/document.h"
#include "node/cli/node_session.h"
#include "node/cli/pem_file.h"
#include "node/environment.h"
#include "node/event.h"
#include "node/x509.h"

namespace colophon::cli {
namespace {

using nlohmann::json;

constexpr std::uint64_t kDayMs = std::uint64_t{24} * 3600 * 1000;
constexpr std::uint64_t kDaysMax = 36500;

struct CaOptions {
  SigningOptions signing;
  std::string name, organization, out;
  std::string ca, public_key;  // issue only
  std::uint64_t days = 0;
  bool json = false;
};

node::CertificateRequest request_of(const CaOptions& options) {
  const node::Environment environment = node::system_environment();
  node::CertificateRequest request;
  request.common_name = options.name;
  request.organization = options.organization;
  request.not_before_ms = environment.clock.now_ms();
  request.not_after_ms = request.not_before_ms + options.days * kDayMs;
  environment.random.fill(request.serial);
  return request;
}

// Fields of a CertificateRequest as the options they came from.
Error in_options(Error error) {
  constexpr std::pair<std::string_view, const char*> kOptions[] = {
      {"common_name", "--name"},
      {"organization", "--organization"},
      {"not_after_ms", "--days"},
      {"ca_certificate", "--ca"},
      {"public key", "--public-key"}};
  for (const auto& [field, option] : kOptions) {
    if (error.field == field) error.field = option;
  }
  return error;
}

// Before anything is signed: a certificate that cannot be kept must not be made.
Result<void> check_out_is_free(const std::string& out) {
  if (::access(out.c_str(), F_OK) != 0) return {};
  return make_error(
      ErrorCode::kAlreadyExists,
      out + " is there already and is not overwritten: name another file or remove it", "--out");
}

Result<void> keep(const CaOptions& options, const char* what, const node::Der& certificate) {
  COLOPHON_TRY_ASSIGN(const node::CertificateFacts facts, node::inspect_certificate(certificate));
  COLOPHON_TRY(write_file(options.out, node::to_pem(certificate), 0644, Overwrite::kRefuse));
  const std::string not_after = node::format_time(facts.not_after_ms);
  if (options.json) {
    print_json({{"certificate", options.out},
                {"common_name", facts.common_name},
                {"is_ca", facts.is_ca},
                {"not_before", node::format_time(facts.not_before_ms)},
                {"not_after", not_after}});
  } else {
    std::cout << what << " of " << printable(facts.common_name) << ", valid until "
              << not_after.substr(0, 10) << ": " << printable(options.out) << std::endl;
  }
  return {};
}

Result<void> create(const CaOptions& options) {
  COLOPHON_TRY(check_out_is_free(options.out));
  COLOPHON_TRY_ASSIGN(const auto signer,
                      hsm::open_signer(options.signing.key, options.signing.pin.source()));
  auto certificate = node::create_ca(request_of(options), *signer);
  if (!certificate) return in_options(std::move(certificate).error());
  return keep(options, "CA certificate", *certificate);
}

Result<void> issue(const CaOptions& options) {
  COLOPHON_TRY(check_out_is_free(options.out));
  COLOPHON_TRY_ASSIGN(const node::Der ca, read_certificate(options.ca, "--ca"));
  COLOPHON_TRY_ASSIGN(const node::Der spki, read_public_key(options.public_key, "--public-key"));
  COLOPHON_TRY_ASSIGN(const auto signer,
                      hsm::open_signer(options.signing.key, options.signing.pin.source()));
  auto certificate = node::issue_certificate(request_of(options), spki, ca, *signer);
  if (!certificate) return in_options(std::move(certificate).error());
  return keep(options, "certificate", *certificate);
}

std::string check_days(const std::string& text) {
  if (std::string wrong = check_decimal(text); !wrong.empty()) return wrong;
  const bool in_range = text.size() <= 5 && std::stoul(text) >= 1 && std::stoul(text) <= kDaysMax;
  return in_range ? "" : text + " is not from 1 to " + std::to_string(kDaysMax);
}

CLI::App* add(CLI::App& ca, const char* name, const char* description, std::uint64_t days,
              const std::shared_ptr<CaOptions>& options, int& exit_code,
              Result<void> (*body)(const CaOptions&)) {
  options->days = days;
  CLI::App* command = ca.add_subcommand(name, description);
  command->add_option("--name", options->name, "Common name, 1 to 64 bytes of UTF-8")
      ->type_name("NAME")
      ->required();
  command->add_option("--organization", options->organization, "Organization name beside it")
      ->type_name("NAME");
  command->add_option("--days", options->days, "How long it is valid from now, 1 to 36500")
      ->type_name("DAYS")
      ->check(check_days)
      ->capture_default_str();
  command->add_option("--out", options->out, "New PEM file for the certificate")
      ->type_name("FILE")
      ->required();
  command->add_flag("--json", options->json, "Print JSON for a program to read");
  add_signing_options(*command, options->signing);
  command->callback([options, &exit_code, body] {
    run_command(exit_code, options->json, [&] { return body(*options); });
  });
  return command;
}

}  // namespace

void add_ca_commands(CLI::App& app, int& exit_code) {
  constexpr std::uint64_t kCaDays = 3650;
  constexpr std::uint64_t kDays = 730;
  CLI::App* ca = app.add_subcommand(
      "ca", "Make certificates: of the consortium's CA, an organization's, a member's, the log's");
  ca->require_subcommand(1);
  add(*ca, "create", "Make a CA certificate, signed by its own key; it issues to keys, not to CAs",
      kCaDays, std::make_shared<CaOptions>(), exit_code, &create);

  const auto options = std::make_shared<CaOptions>();
  CLI::App* command = add(*ca, "issue", "Give a key a certificate; signed with the CA's key", kDays,
                          options, exit_code, &issue);
  command->add_option("--ca", options->ca, "PEM file of the CA's certificate")
      ->type_name("FILE")
      ->required();
  command
      ->add_option("--public-key", options->public_key,
                   "PEM file of the key that gets it, as 'colophon hsm public-key' writes it")
      ->type_name("FILE")
      ->required();
}

}  // namespace colophon::cli
