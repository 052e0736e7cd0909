// SPDX-License-Identifier: Apache-2.0
//
// colophon certificate verify | get
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "colophon/backend.hpp"
#include "node/certificate.h"
#include "node/cli/command.h"
#include "node/cli/document.h"
#include "node/cli/node_session.h"
#include "node/cli/pem_file.h"
#include "node/cli/progress_line.h"
#include "node/event.h"
#include "node/hex.h"

namespace colophon::cli {
namespace {

using nlohmann::json;

// --- verify --------------------------------------------------------------------------------------

struct VerifyOptions {
  std::string file, document, trust, salt;
  bool json = false;
};

using Salt = std::array<std::uint8_t, 32>;

// As register --salt-out writes it: 64 hex digits and a newline.
Result<Salt> read_salt(const std::string& path) {
  Salt salt{};
  constexpr std::size_t kTextBytes = 2 * salt.size() + 1;
  auto text = read_file(path, kTextBytes);
  if (!text && text.error().code != ErrorCode::kLimitExceeded) return std::move(text).error();
  if (text && text->ends_with('\n')) text->pop_back();
  const auto bytes = text ? node::hex_decode(*text) : std::nullopt;
  if (!bytes || bytes->size() != salt.size()) {
    return make_error(ErrorCode::kMalformed,
                      path + ": is not a salt: 64 lower-case hexadecimal digits and a newline",
                      "--salt");
  }
  std::ranges::copy(*bytes, salt.begin());
  return salt;
}

Result<Digest> hash_with_progress(const std::string& path) {
  COLOPHON_TRY_ASSIGN(const std::uint64_t size, document_size(path));
  ProgressLine progress;
  return hash_document(path, [&](std::uint64_t done) {
    progress.show("hashing " + std::to_string(size == 0 ? 100 : done * 100 / size) + " %");
  });
}

int refuse(const Error& error, bool as_json) {
  if (as_json) {
    print_json({{"valid", false},
                {"code", error_code_name(error.code)},
                {"field", error.field},
                {"reason", error.message}});
  } else {
    const std::string field = error.field.empty() ? "" : printable(error.field) + ": ";
    std::cout << "refused: " << field << printable(error.message) << std::endl;
  }
  return kExitRefused;
}

void print_sentences(const char* heading, const std::vector<std::string>& sentences) {
  std::cout << heading << "\n";
  for (const std::string& sentence : sentences) std::cout << "  - " << printable(sentence) << "\n";
}

int accept(const VerifyOptions& options, const node::CertificateReport& report) {
  if (options.json) {
    print_json({{"valid", true},
                {"record_id", report.record_id},
                {"owner", report.owner},
                {"type", report.type},
                {"title", report.title},
                {"event_type", report.event_type},
                {"event_time", node::format_time(report.event_time_ms)},
                {"origin", report.origin},
                {"index", report.index},
                {"size", report.size},
                {"signed_by", report.signed_by},
                {"trust_root", report.trust_root},
                {"proves", report.proves},
                {"not_proven", report.not_proven}});
    return kExitOk;
  }
  std::cout << "valid: " << printable(options.file) << " certifies " << printable(options.document)
            << "\n";
  print_sentences("it proves:", report.proves);
  print_sentences("it does not prove:", report.not_proven);
  std::cout.flush();
  return kExitOk;
}

// The exit status. An error is what kept the check from being made; a refusal is an answer.
Result<int> verify(const VerifyOptions& options) {
  COLOPHON_TRY_ASSIGN(const Backend backend, Backend::choose());
  COLOPHON_TRY_ASSIGN(const node::Der trust, read_certificate(options.trust, "--trust"));
  if (auto facts = node::inspect_certificate(trust); !facts) {
    Error error = std::move(facts).error();
    error.message = options.trust + ": " + error.message;
    error.field = "--trust";
    return error;
  }
  std::optional<Salt> salt;
  if (!options.salt.empty()) {
    COLOPHON_TRY_ASSIGN(salt, read_salt(options.salt));
  }
  auto file = read_file(options.file, node::kCertificateFileBytesMax);
  if (!file && file.error().code == ErrorCode::kLimitExceeded) {
    return refuse(file.error(), options.json);
  }
  if (!file) return std::move(file).error();
  COLOPHON_TRY_ASSIGN(const Digest digest, hash_with_progress(options.document));

  const std::optional<ByteSpan> salt_bytes =
      salt ? std::optional<ByteSpan>(*salt) : std::optional<ByteSpan>();
  auto report = node::verify_certificate(backend, *file, digest, salt_bytes, trust);
  if (report) return accept(options, *report);
  if (report.error().code != ErrorCode::kInvalidArgument) {
    return refuse(report.error(), options.json);
  }
  Error error = std::move(report).error();
  error.field = "--salt";
  return error;
}

// --- get -----------------------------------------------------------------------------------------

struct GetOptions {
  NodeOptions node;
  std::string record, out;
  bool force = false;
};

Result<void> get(const GetOptions& options) {
  COLOPHON_TRY(parse_id(options.record, "RECORD"));
  COLOPHON_TRY_ASSIGN(node::Client client, node::Client::connect(options.node.url));
  COLOPHON_TRY_ASSIGN(const std::string certificate, fetch_certificate(client, options.record));
  if (options.out.empty()) {
    std::cout << certificate << std::flush;
    return {};
  }
  COLOPHON_TRY(write_file(options.out, certificate, 0644,
                          options.force ? Overwrite::kReplace : Overwrite::kRefuse));
  if (options.node.json) {
    print_json({{"record_id", options.record}, {"certificate", options.out}});
  } else {
    std::cout << "certificate of record " << options.record << ": " << printable(options.out)
              << std::endl;
  }
  return {};
}

constexpr const char* kVerifyFooter = R"(
Nothing is asked of any node or network.

Exit status:
  0  valid: what it proves and what not is printed
  1  refused: the certificate, the document or the trust does not fit, and why
  2  usage, or a --trust or --salt file that is none; a salt that is needed or not wanted
  3  a file cannot be read, so nothing was checked)";

}  // namespace

void add_certificate_commands(CLI::App& app, int& exit_code) {
  CLI::App* certificate =
      app.add_subcommand("certificate", "Check a certificate offline, or get one from a node");
  certificate->require_subcommand(1);
  {
    const auto options = std::make_shared<VerifyOptions>();
    CLI::App* command = certificate->add_subcommand(
        "verify", "Check that a certificate is right, and about this document; offline");
    command->add_option("FILE", options->file, "Certificate file")->type_name("FILE")->required();
    command->add_option("--document", options->document, "The document it should be about")
        ->type_name("FILE")
        ->required();
    command
        ->add_option("--trust", options->trust,
                     "PEM file of the CA to trust: get it from the consortium, not with FILE")
        ->type_name("FILE")
        ->required();
    command
        ->add_option("--salt", options->salt,
                     "File with the salt of a record that was registered "
                     "with --private")
        ->type_name("FILE");
    command->add_flag("--json", options->json, "Print JSON for a program to read");
    command->footer(kVerifyFooter);
    command->callback([options, &exit_code] {
      const Result<int> status = verify(*options);
      exit_code = status ? *status : report_unchecked(status.error(), options->json);
    });
  }
  const auto options = std::make_shared<GetOptions>();
  CLI::App* command = certificate->add_subcommand(
      "get", "Get the certificate of a record as it is now from a node");
  add_node_options(*command, options->node);
  command->add_option("RECORD", options->record, "Id of the record")->required();
  command->add_option("--out", options->out, "Write it to this file, not to standard output")
      ->type_name("FILE");
  command->add_flag("--force", options->force, "Replace the file if it is there");
  command->callback([options, &exit_code] {
    run_command(exit_code, options->node.json, [&] { return get(*options); });
  });
}

}  // namespace colophon::cli
