// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <initializer_list>
#include <iostream>
#include <nlohmann/json.hpp>

#include "colophon/merkle.hpp"
#include "node/bytes.h"
#include "node/cli/command.h"
#include "node/cli/node_session.h"
#include "node/cli/pem_file.h"
#include "node/cli/register_command.h"
#include "node/contracts/membership/membership.pb.h"
#include "node/contracts/registry/registry.pb.h"
#include "node/hex.h"
#include "node/x509.h"

namespace colophon::cli {
namespace {

using nlohmann::json;
namespace proto = node::proto;

constexpr const char* kCertificateField = "--certificate";

std::string shown(const json& text) { return printable(text.get<std::string>()); }

// "enrolled organization acme\n  transaction  …\n  block  …"
void print_receipt(const std::string& done, const json& receipt) {
  std::cout << done << "\n  transaction  " << shown(receipt.at("transaction_id"))
            << "\n  block        " << receipt.at("block_height") << "\n  log entry    "
            << receipt.at("events").at(0) << std::endl;
}

void print_record(const json& record) {
  for (const auto& [name, value] : record.items()) {
    std::cout << name << std::string(name.size() < 17 ? 17 - name.size() : 1, ' ')
              << (value.is_string() ? shown(value) : value.dump()) << "\n";
  }
  std::cout.flush();
}

// --- enrol, revoke -------------------------------------------------------------------------------

struct EnrolOrganizationOptions {
  NodeOptions node;
  SigningOptions signing;
  std::string id, name, ca;
};

Result<void> enrol_organization(const EnrolOrganizationOptions& options) {
  COLOPHON_TRY_ASSIGN(const node::Der ca, read_certificate(options.ca, "--ca"));
  proto::MembershipCall call;
  proto::EnrolOrganization& enrol = *call.mutable_enrol_organization();
  enrol.set_id(options.id);
  enrol.set_name(options.name);
  enrol.set_ca_certificate(ca.data(), ca.size());
  COLOPHON_TRY_ASSIGN(SigningSession session, SigningSession::open(options.node, options.signing));
  COLOPHON_TRY_ASSIGN(const json receipt, session.call("membership", call.SerializeAsString()));
  if (options.node.json) {
    print_json(receipt);
  } else {
    print_receipt("enrolled organization " + printable(options.id), receipt);
  }
  return {};
}

struct EnrolMemberOptions {
  NodeOptions node;
  SigningOptions signing;
  std::string organization, certificate;
};

Result<void> enrol_member(const EnrolMemberOptions& options) {
  COLOPHON_TRY_ASSIGN(const node::Der certificate,
                      read_certificate(options.certificate, kCertificateField));
  COLOPHON_TRY_ASSIGN(const node::CertificateFacts facts, node::inspect_certificate(certificate));
  proto::MembershipCall call;
  proto::EnrolMember& enrol = *call.mutable_enrol_member();
  enrol.set_organization(options.organization);
  enrol.set_certificate(certificate.data(), certificate.size());
  COLOPHON_TRY_ASSIGN(SigningSession session, SigningSession::open(options.node, options.signing));
  if (facts.public_key != session.public_key().raw) {
    return make_error(ErrorCode::kInvalidArgument,
                      "is not the certificate of the key named by --key: the member's own key "
                      "proves that it is theirs",
                      kCertificateField);
  }
  COLOPHON_TRY_ASSIGN(json receipt, session.call("membership", call.SerializeAsString()));
  if (options.node.json) {
    print_json(receipt);
  } else {
    print_receipt("enrolled " + printable(facts.common_name) + " for " +
                      printable(options.organization) + "\n  key id       " +
                      shown(receipt.at("subjects").at(0)),
                  receipt);
  }
  return {};
}

struct RevokeOptions {
  NodeOptions node;
  SigningOptions signing;
  std::string key_id;
};

Result<void> revoke_member(const RevokeOptions& options) {
  COLOPHON_TRY_ASSIGN(const auto key_id, parse_id(options.key_id, "KEYID"));
  proto::MembershipCall call;
  call.mutable_revoke_member()->set_key_id(key_id.data(), key_id.size());
  COLOPHON_TRY_ASSIGN(SigningSession session, SigningSession::open(options.node, options.signing));
  COLOPHON_TRY_ASSIGN(const json receipt, session.call("membership", call.SerializeAsString()));
  if (options.node.json) {
    print_json(receipt);
  } else {
    print_receipt("revoked " + options.key_id, receipt);
  }
  return {};
}

// --- transfer, show, history, transaction --------------------------------------------------------

struct TransferOptions {
  NodeOptions node;
  SigningOptions signing;
  std::string record, to;
};

Result<void> transfer(const TransferOptions& options) {
  COLOPHON_TRY_ASSIGN(const auto record_id, parse_id(options.record, "RECORD"));
  COLOPHON_TRY_ASSIGN(SigningSession session, SigningSession::open(options.node, options.signing));
  COLOPHON_TRY_ASSIGN(const json record,
                      session.node().client().get("/v1/records/" + options.record));
  proto::RegistryCall call;
  proto::Transfer& transfer = *call.mutable_transfer();
  transfer.set_record_id(record_id.data(), record_id.size());
  transfer.set_new_owner(options.to);
  transfer.set_revision(record.at("revision").get<std::uint64_t>());
  COLOPHON_TRY_ASSIGN(const json receipt, session.call("registry", call.SerializeAsString()));
  if (options.node.json) {
    print_json(receipt);
  } else {
    print_receipt("transferred " + options.record + " to " + printable(options.to), receipt);
  }
  return {};
}

struct LookUpOptions {
  NodeOptions node;
  std::string id;
};

Result<void> show(const LookUpOptions& options) {
  COLOPHON_TRY(parse_id(options.id, "RECORD"));
  COLOPHON_TRY_ASSIGN(node::Client client, node::Client::connect(options.node.url));
  COLOPHON_TRY_ASSIGN(const json record, client.get("/v1/records/" + options.id));
  if (options.node.json) {
    print_json(record);
  } else {
    print_record(record);
  }
  return {};
}

Result<void> history(const LookUpOptions& options) {
  COLOPHON_TRY(parse_id(options.id, "RECORD"));
  COLOPHON_TRY_ASSIGN(node::Client client, node::Client::connect(options.node.url));
  json events = json::array();
  for (json from = 0; !from.is_null();) {
    COLOPHON_TRY_ASSIGN(json page, client.get("/v1/records/" + options.id +
                                              "/history?limit=1000&from=" + from.dump()));
    const json& more = page.at("events");
    events.insert(events.end(), more.begin(), more.end());
    // A page that leads nowhere ends the walk: the node does not decide how long this runs.
    from = more.empty() || !page.at("next").is_number_unsigned() ? json() : page.at("next");
  }
  if (options.node.json) {
    print_json({{"record_id", options.id}, {"events", std::move(events)}});
    return {};
  }
  for (const json& event : events) {
    const json& record = event.at("data");
    std::cout << shown(event.at("block_time")) << "  " << shown(event.at("type")) << "  owner "
              << shown(record.at("owner")) << "  revision " << record.at("revision")
              << "  log entry " << event.at("index") << "\n";
  }
  std::cout.flush();
  return {};
}

Result<void> transaction(const LookUpOptions& options) {
  COLOPHON_TRY(parse_id(options.id, "ID"));
  COLOPHON_TRY_ASSIGN(node::Client client, node::Client::connect(options.node.url));
  COLOPHON_TRY_ASSIGN(const json receipt, client.get("/v1/transactions/" + options.id));
  if (options.node.json) {
    print_json(receipt);
  } else {
    print_receipt("took effect", receipt);
  }
  return {};
}

// --- log -----------------------------------------------------------------------------------------

struct LogOptions {
  NodeOptions node;
  std::uint64_t height = 0;
  std::uint64_t index = 0;
  std::uint64_t from = 0;
};

Result<void> log_checkpoint(const LogOptions& options) {
  COLOPHON_TRY_ASSIGN(NodeSession session, NodeSession::open(options.node));
  COLOPHON_TRY_ASSIGN(const auto note, session.checkpoint(options.height));
  if (options.node.json) {
    print_json({{"origin", note.checkpoint.origin},
                {"size", note.checkpoint.size},
                {"root", node::hex_encode(note.checkpoint.root)},
                {"note", note.note}});
  } else {
    std::cout << note.note << std::flush;
  }
  return {};
}

Result<void> log_entry(const LogOptions& options) {
  COLOPHON_TRY_ASSIGN(node::Client client, node::Client::connect(options.node.url));
  COLOPHON_TRY_ASSIGN(const json entry,
                      client.get("/v1/log/entries/" + std::to_string(options.index)));
  print_json(entry);
  return {};
}

// docs/formats.md, "Proofs": the order in which the members are written.
void print_proof(const json& proof, std::initializer_list<const char*> members) {
  nlohmann::ordered_json ordered;
  for (const char* member : members) ordered[member] = proof.at(member);
  std::cout << ordered.dump(-1, ' ', false, json::error_handler_t::replace) << std::endl;
}

Result<void> log_inclusion(const LogOptions& options) {
  COLOPHON_TRY_ASSIGN(NodeSession session, NodeSession::open(options.node));
  COLOPHON_TRY_ASSIGN(const auto note, session.checkpoint());
  COLOPHON_TRY_ASSIGN(const json proof, session.inclusion(options.index, note.checkpoint));
  print_proof(proof, {"hash", "index", "size", "leaf", "proof", "root"});
  return {};
}

Result<void> log_consistency(const LogOptions& options) {
  COLOPHON_TRY_ASSIGN(NodeSession session, NodeSession::open(options.node));
  COLOPHON_TRY_ASSIGN(const auto note, session.checkpoint());
  COLOPHON_TRY_ASSIGN(const json proof, session.consistency(options.from, note.checkpoint));
  print_proof(proof, {"hash", "from", "to", "from_root", "to_root", "proof"});
  return {};
}

// Options live as long as the command that holds them in its callback.
template <class Options>
CLI::App* add_command(CLI::App& parent, const char* name, const char* description, int& exit_code,
                      Result<void> (*body)(const Options&), std::shared_ptr<Options>& options) {
  options = std::make_shared<Options>();
  CLI::App* command = parent.add_subcommand(name, description);
  add_node_options(*command, options->node);
  command->callback([&exit_code, body, options] {
    run_command(exit_code, options->node.json, [&] { return body(*options); });
  });
  return command;
}

void add_membership_commands(CLI::App& app, int& exit_code) {
  CLI::App* enrol = app.add_subcommand("enrol", "Enrol an organization or a member's key");
  enrol->require_subcommand(1);
  {
    std::shared_ptr<EnrolOrganizationOptions> options;
    CLI::App* command =
        add_command(*enrol, "organization",
                    "Enrol an organization; signed with the consortium administrator's key",
                    exit_code, &enrol_organization, options);
    command->add_option("--id", options->id, "Its id: a-z, 0-9 and '-', 2 to 32 characters")
        ->required();
    command->add_option("--name", options->name, "Its name, for people")->required();
    command
        ->add_option("--ca", options->ca,
                     "PEM file of the CA that issues its members' certificates")
        ->type_name("FILE")
        ->required();
    add_signing_options(*command, options->signing);
  }
  {
    std::shared_ptr<EnrolMemberOptions> options;
    CLI::App* command =
        add_command(*enrol, "member", "Enrol a member's key; signed with that key itself",
                    exit_code, &enrol_member, options);
    command->add_option("--organization", options->organization, "Id of the member's organization")
        ->required();
    command
        ->add_option(kCertificateField, options->certificate,
                     "PEM file of the certificate that the organization's CA gave the key")
        ->type_name("FILE")
        ->required();
    add_signing_options(*command, options->signing);
  }
  CLI::App* revoke = app.add_subcommand("revoke", "Revoke a member's key");
  revoke->require_subcommand(1);
  std::shared_ptr<RevokeOptions> options;
  CLI::App* command = add_command(
      *revoke, "member",
      "Revoke a key for ever; signed by the administrator or a member of the same organization",
      exit_code, &revoke_member, options);
  command->add_option("KEYID", options->key_id, "SHA-256 of the key, as enrol printed it")
      ->required();
  add_signing_options(*command, options->signing);
}

void add_record_commands(CLI::App& app, int& exit_code) {
  {
    std::shared_ptr<TransferOptions> options;
    CLI::App* command = add_command(app, "transfer", "Transfer a record to another organization",
                                    exit_code, &transfer, options);
    command->add_option("RECORD", options->record, "Id of the record")->required();
    command->add_option("--to", options->to, "Id of the organization that gets it")->required();
    add_signing_options(*command, options->signing);
  }
  {
    std::shared_ptr<LookUpOptions> options;
    add_command(app, "show", "Show a record as it is now", exit_code, &show, options)
        ->add_option("RECORD", options->id, "Id of the record")
        ->required();
  }
  {
    std::shared_ptr<LookUpOptions> options;
    add_command(app, "history", "Show what happened to a record, oldest first", exit_code, &history,
                options)
        ->add_option("RECORD", options->id, "Id of the record")
        ->required();
  }
  std::shared_ptr<LookUpOptions> options;
  add_command(app, "transaction", "Say whether a transaction took effect, and where", exit_code,
              &transaction, options)
      ->add_option("ID", options->id, "Id of the transaction")
      ->required();
}

void add_log_commands(CLI::App& app, int& exit_code) {
  CLI::App* log =
      app.add_subcommand("log", "Read the event log; proofs are checked when they come");
  log->require_subcommand(1);
  {
    std::shared_ptr<LogOptions> options;
    add_command(*log, "checkpoint", "Print the log's signed checkpoint", exit_code, &log_checkpoint,
                options)
        ->add_option("--height", options->height, "That of this block, not the newest")
        ->check(check_decimal)
        ->check(check_positive);
  }
  {
    std::shared_ptr<LogOptions> options;
    add_command(*log, "entry", "Print an entry of the log as JSON", exit_code, &log_entry, options)
        ->add_option("INDEX", options->index, "Its place in the log, from 0")
        ->check(check_decimal)
        ->required();
  }
  {
    std::shared_ptr<LogOptions> options;
    add_command(*log, "inclusion",
                "Prove that an entry is in the log of the newest checkpoint; prints JSON for "
                "'colophon merkle verify'",
                exit_code, &log_inclusion, options)
        ->add_option("INDEX", options->index, "Its place in the log, from 0")
        ->check(check_decimal)
        ->required();
  }
  std::shared_ptr<LogOptions> options;
  add_command(*log, "consistency",
              "Prove that the log of the newest checkpoint continues an older one; prints JSON for "
              "'colophon merkle verify-consistency'",
              exit_code, &log_consistency, options)
      ->add_option("FROM", options->from, "Size of the older log")
      ->required()
      ->check(check_decimal)
      ->check(check_positive);
}

}  // namespace

void add_client_commands(CLI::App& app, int& exit_code) {
  add_membership_commands(app, exit_code);
  add_register_command(app, exit_code);
  add_record_commands(app, exit_code);
  add_log_commands(app, exit_code);
}

}  // namespace colophon::cli
