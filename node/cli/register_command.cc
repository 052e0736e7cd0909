// SPDX-License-Identifier: Apache-2.0
//
// `colophon register FILE…`: hash, sign, submit, check what the node answers, fetch certificates.
#include "node/cli/register_command.h"

#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "node/bytes.h"
#include "node/certificate.h"
#include "node/cli/command.h"
#include "node/cli/document.h"
#include "node/cli/node_session.h"
#include "node/cli/progress_line.h"
#include "node/contracts/registry/registry.h"
#include "node/contracts/registry/registry.pb.h"
#include "node/environment.h"
#include "node/event.h"
#include "node/hex.h"

namespace colophon::cli {
namespace {

using nlohmann::json;

// Documents sent in one request: far under the API's limits, and a lost reply leaves few in doubt.
constexpr std::size_t kBatch = 1000;

struct RegisterOptions {
  NodeOptions node;
  SigningOptions signing;
  std::vector<std::string> files;
  std::string type = "work";
  std::string title;
  bool is_private = false;
  bool force = false;
  std::string salt_out;
  std::string certificate_out;
};

struct Document {
  std::string path;
  std::string title;
  std::string salt_path;         // empty: none
  std::string certificate_path;  // empty: none
  std::uint64_t bytes = 0;
  Digest sha256{};
  std::array<std::uint8_t, 32> salt{};
  Digest committed{};
  SigningSession::Signed transaction;
};

std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

std::string output_folder(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

bool is_folder(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

// The name of the file, as far as a title can hold it: one line of UTF-8.
std::string default_title(const std::string& path) {
  std::string title = base_name(path);
  if (!node::is_utf8(node::as_bytes(title))) {
    for (char& c : title) c = static_cast<unsigned char>(c) < 0x80 ? c : '?';
  }
  title = printable(title);
  for (const char* separator : {"\u2028", "\u2029"}) {
    for (std::size_t at; (at = title.find(separator)) != std::string::npos;) {
      title.replace(at, std::string_view(separator).size(), "?");
    }
  }
  return title;
}

// Where an output of `document` goes: into `out` if that is a folder, else `out` itself.
Result<std::string> output_path(const RegisterOptions& options, const std::string& out,
                                const std::string& document, const char* suffix,
                                const char* option) {
  if (is_folder(out)) return (out.ends_with('/') ? out : out + "/") + base_name(document) + suffix;
  if (options.files.size() > 1) {
    return make_error(ErrorCode::kInvalidArgument,
                      "must be a folder that exists when several documents are registered", option);
  }
  return out;
}

Result<std::vector<Document>> plan(const RegisterOptions& options) {
  if (options.is_private && options.salt_out.empty()) {
    return make_error(ErrorCode::kInvalidArgument,
                      "is needed with --private: without its salt nobody can ever show that the "
                      "record is about the document",
                      "--salt-out");
  }
  if (!options.is_private && !options.salt_out.empty()) {
    return make_error(ErrorCode::kInvalidArgument, "has a meaning only with --private",
                      "--salt-out");
  }
  if (!options.title.empty() && options.files.size() > 1) {
    return make_error(ErrorCode::kInvalidArgument,
                      "is for one document; without it each gets its file's name", "--title");
  }
  std::vector<Document> documents;
  std::set<std::string> outputs;
  for (const std::string& path : options.files) {
    Document document;
    document.path = path;
    document.title = options.title.empty() ? default_title(path) : options.title;
    COLOPHON_TRY_ASSIGN(document.bytes, document_size(path));
    if (options.is_private) {
      COLOPHON_TRY_ASSIGN(document.salt_path,
                          output_path(options, options.salt_out, path, ".salt", "--salt-out"));
    }
    if (!options.certificate_out.empty()) {
      COLOPHON_TRY_ASSIGN(
          document.certificate_path,
          output_path(options, options.certificate_out, path, ".json", "--certificate-out"));
    }
    // Found before anything is sent, when it still costs nothing.
    for (const std::string& output : {document.salt_path, document.certificate_path}) {
      if (output.empty()) continue;
      if (!outputs.insert(output).second) {
        return make_error(ErrorCode::kInvalidArgument,
                          "would be written twice: register documents of one name apart", output);
      }
      if (!is_folder(output_folder(output))) {
        return make_error(ErrorCode::kNotFound, "cannot be written: there is no such folder",
                          output);
      }
      const bool replaceable = options.force && output != document.salt_path;
      if (!replaceable && ::access(output.c_str(), F_OK) == 0) {
        return make_error(ErrorCode::kAlreadyExists,
                          output == document.salt_path
                              ? "is there already, and a salt is never overwritten"
                              : "is there already: name another file, or --force to replace it",
                          output);
      }
    }
    documents.push_back(std::move(document));
  }
  return documents;
}

Result<void> hash_all(std::vector<Document>& documents) {
  std::uint64_t bytes = 0;
  for (const Document& document : documents) bytes += document.bytes;
  ProgressLine progress;
  std::uint64_t done = 0;
  for (std::size_t i = 0; i < documents.size(); ++i) {
    Document& document = documents[i];
    const auto show = [&](std::uint64_t read) {
      const std::uint64_t percent = bytes == 0 ? 100 : (done + read) * 100 / bytes;
      progress.show("hashing " + std::to_string(i + 1) + " of " + std::to_string(documents.size()) +
                    ", " + std::to_string(percent) + " %");
    };
    COLOPHON_TRY_ASSIGN(document.sha256, hash_document(document.path, show));
    done += document.bytes;
  }
  return {};
}

// The salt is on the disk before its commitment is on the chain.
Result<void> commit(Document& document) {
  node::system_environment().random.fill(document.salt);
  document.committed = node::commitment(document.salt, document.sha256);
  return write_file(document.salt_path, node::hex_encode(document.salt) + "\n", 0600,
                    Overwrite::kRefuse);
}

Result<SigningSession::Signed> sign(SigningSession& session, const RegisterOptions& options,
                                    const Document& document) {
  node::proto::RegistryCall call;
  node::proto::Register& request = *call.mutable_register_();
  request.set_type(options.type);
  request.set_title(document.title);
  const Digest& value = options.is_private ? document.committed : document.sha256;
  (options.is_private ? *request.mutable_commitment() : *request.mutable_document_sha256()) =
      node::as_text(value);
  return session.sign("registry", call.SerializeAsString());
}

// That the log under `checkpoint` holds the event of this document: not the node's word, its proof.
Result<void> check_logged(NodeSession& session, const RegisterOptions& options,
                          const Document& document, const node::Checkpoint& checkpoint,
                          std::uint64_t index, const std::string& record_id) {
  COLOPHON_TRY_ASSIGN(const json proof, session.inclusion(index, checkpoint));
  const auto leaf = node::hex_decode(proof.at("leaf").get<std::string>());
  COLOPHON_TRY_ASSIGN(const json event, node::event_json(leaf.value_or(node::Der{})));
  const Digest& value = options.is_private ? document.committed : document.sha256;
  const json& record = event.at("data");
  if (event.at("subject") == record_id && event.at("type") == "registered" &&
      record.value(options.is_private ? "commitment" : "document_sha256", "") ==
          node::hex_encode(value) &&
      event.at("transaction_id") == node::hex_encode(document.transaction.id)) {
    return {};
  }
  return make_error(ErrorCode::kInvalidSignature,
                    "the node's log holds something else at entry " + std::to_string(index) +
                        ": do not trust this node",
                    document.path);
}

json summary(const RegisterOptions& options, const Document& document, const json& receipt) {
  json line = {{"file", document.path},
               {"title", document.title},
               {"type", options.type},
               {"record_id", receipt.at("subjects").at(0)},
               {"transaction_id", receipt.at("transaction_id")},
               {"block_height", receipt.at("block_height")},
               {"index", receipt.at("events").at(0)},
               {"document_sha256", node::hex_encode(document.sha256)}};
  if (options.is_private) {
    line["commitment"] = node::hex_encode(document.committed);
    line["salt_file"] = document.salt_path;
  }
  if (!document.certificate_path.empty()) line["certificate"] = document.certificate_path;
  return line;
}

void print_summary(const json& line) {
  const auto show = [&](const char* label, const char* name) {
    if (line.contains(name)) {
      std::cout << "  " << label << printable(line[name].get<std::string>()) << "\n";
    }
  };
  std::cout << "registered " << printable(line.at("file").get<std::string>()) << "\n";
  show("record       ", "record_id");
  show("transaction  ", "transaction_id");
  std::cout << "  log entry    " << line.at("index") << ", block " << line.at("block_height")
            << ", inclusion checked\n";
  show("sha256       ", "document_sha256");
  show("commitment   ", "commitment");
  show("salt         ", "salt_file");
  show("certificate  ", "certificate");
  std::cout.flush();
}

// What comes after the registration itself: the check of the log, and the certificate.
Result<void> secure(SigningSession& session, const RegisterOptions& options,
                    const Document& document, const json& receipt,
                    const Result<NodeSession::SignedCheckpoint>& checkpoint) {
  if (!checkpoint) return checkpoint.error();
  const auto record = receipt.at("subjects").at(0).get<std::string>();
  COLOPHON_TRY(parse_id(record, "subjects"));
  COLOPHON_TRY(check_logged(session.node(), options, document, checkpoint->checkpoint,
                            receipt.at("events").at(0).get<std::uint64_t>(), record));
  if (document.certificate_path.empty()) return {};
  COLOPHON_TRY_ASSIGN(const std::string certificate,
                      fetch_certificate(session.node().client(), record));
  return write_file(document.certificate_path, certificate, 0644,
                    options.force ? Overwrite::kReplace : Overwrite::kRefuse);
}

// Prints one document's result and returns its exit status.
int finish(SigningSession& session, const RegisterOptions& options, const Document& document,
           const node::Client::Outcome& outcome,
           const Result<NodeSession::SignedCheckpoint>& checkpoint) {
  Result<void> secured;
  std::string registered;
  if (outcome) {
    registered =
        "is registered as record " + outcome->at("subjects").at(0).get<std::string>() + ", but: ";
    secured = secure(session, options, document, *outcome, checkpoint);
  }
  if (!outcome || !secured) {
    Error error = outcome ? secured.error() : outcome.error();
    if (!error.field.empty()) error.message = error.field + ": " + error.message;
    error.message = registered + error.message;
    error.field = document.path;
    return report(error, options.node.json);
  }
  const json line = summary(options, document, *outcome);
  options.node.json ? print_json(line) : print_summary(line);
  return kExitOk;
}

// A salt without a record is of no use, and in the way of the next try.
void remove_salts(std::span<const Document> documents) {
  for (const Document& document : documents) {
    if (!document.salt_path.empty()) ::unlink(document.salt_path.c_str());
  }
}

Result<std::vector<node::Client::Outcome>> submit(SigningSession& session,
                                                  const RegisterOptions& options,
                                                  std::span<Document> documents) {
  std::vector<std::string> transactions;
  std::vector<Digest> ids;
  for (Document& document : documents) {
    COLOPHON_TRY_ASSIGN(document.transaction, sign(session, options, document));
    transactions.push_back(document.transaction.bytes);
    ids.push_back(document.transaction.id);
  }
  return session.node().client().submit(transactions, ids);
}

// Returns the exit status of the first document that failed.
Result<int> register_batch(SigningSession& session, const RegisterOptions& options,
                           std::span<Document> documents, ProgressLine& progress) {
  for (std::size_t i = 0; options.is_private && i < documents.size(); ++i) {
    if (Result<void> committed = commit(documents[i]); !committed) {
      remove_salts(documents.first(i));
      return std::move(committed).error();
    }
  }
  auto outcomes = submit(session, options, documents);
  if (!outcomes) {
    if (outcomes.error().code != ErrorCode::kOutcomeUnknown) remove_salts(documents);
    return std::move(outcomes).error();
  }
  const auto checkpoint = session.node().checkpoint();
  progress.clear();
  int status = kExitOk;
  for (std::size_t i = 0; i < documents.size(); ++i) {
    const node::Client::Outcome& outcome = (*outcomes)[i];
    const int finished = finish(session, options, documents[i], outcome, checkpoint);
    if (status == kExitOk) status = finished;
    if (!outcome && outcome.error().code != ErrorCode::kOutcomeUnknown) {
      remove_salts(documents.subspan(i, 1));
    }
  }
  return status;
}

Result<int> register_documents(const RegisterOptions& options) {
  COLOPHON_TRY_ASSIGN(std::vector<Document> documents, plan(options));
  COLOPHON_TRY(hash_all(documents));
  COLOPHON_TRY_ASSIGN(SigningSession session, SigningSession::open(options.node, options.signing));
  ProgressLine progress;
  int status = kExitOk;
  for (std::size_t start = 0; start < documents.size(); start += kBatch) {
    progress.show("registering " + std::to_string(start) + " of " +
                  std::to_string(documents.size()));
    const std::size_t size = std::min(kBatch, documents.size() - start);
    COLOPHON_TRY_ASSIGN(
        const int batch_status,
        register_batch(session, options, std::span(documents).subspan(start, size), progress));
    if (status == kExitOk) status = batch_status;
  }
  return status;
}

}  // namespace

void add_register_command(CLI::App& app, int& exit_code) {
  const auto options = std::make_shared<RegisterOptions>();
  CLI::App* command = app.add_subcommand(
      "register", "Register documents: works and rights of the organization whose key signs");
  add_node_options(*command, options->node);
  command->add_option("FILE", options->files, "Documents; they stay here, only a hash is sent")
      ->type_name("FILE")
      ->required();
  command->add_option("--type", options->type, "What is registered")
      ->capture_default_str()
      ->check(CLI::IsMember(
          std::vector<std::string>(node::kRegistryTypes.begin(), node::kRegistryTypes.end())));
  command->add_option("--title", options->title, "Public title (default: the file's name)");
  command->add_flag("--private", options->is_private,
                    "Register a salted commitment in place of the document's hash");
  command
      ->add_option("--salt-out", options->salt_out,
                   "With --private: file, or folder, to write the secret salt to")
      ->type_name("FILE");
  command
      ->add_option("--certificate-out", options->certificate_out,
                   "File, or folder (for NAME.json), to write the certificate to")
      ->type_name("FILE");
  command->add_flag("--force", options->force, "Replace a certificate file that is there");
  add_signing_options(*command, options->signing);
  command->callback([&exit_code, options] {
    int status = kExitOk;
    run_command(exit_code, options->node.json, [&]() -> Result<void> {
      COLOPHON_TRY_ASSIGN(status, register_documents(*options));
      return {};
    });
    if (exit_code == kExitOk) exit_code = status;
  });
}

}  // namespace colophon::cli
