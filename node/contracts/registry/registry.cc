// SPDX-License-Identifier: Apache-2.0
#include "node/contracts/registry/registry.h"

#include <openssl/sha.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "node/bytes.h"
#include "node/contracts/membership/membership.h"
#include "node/contracts/message.h"
#include "node/contracts/registry/registry.pb.h"
#include "node/hex.h"

namespace colophon::node {
namespace {

constexpr std::string_view kRegistered = "registered";
constexpr std::string_view kTransferred = "transferred";
constexpr std::string_view kRecordDomain{"colophon record v1\0", 19};

Result<void> check_type(std::string_view field, std::string_view type) {
  if (std::ranges::find(kRegistryTypes, type) != kRegistryTypes.end()) return {};
  std::string names;
  for (const std::string_view name : kRegistryTypes) {
    names += names.empty() ? "" : ", ";
    names += name;
  }
  return make_error(ErrorCode::kMalformed, std::string(field) + " must be one of: " + names,
                    std::string(field));
}

// Exactly one of the two, of 32 bytes. Works on Register and on Record.
template <class Message>
Result<void> check_document(const std::string& prefix, const Message& message) {
  if (message.document_sha256().empty() == message.commitment().empty()) {
    return make_error(ErrorCode::kMalformed,
                      prefix + "document_sha256 or " + prefix +
                          "commitment: exactly one of the two must be given",
                      prefix + "document_sha256");
  }
  if (!message.commitment().empty()) {
    return check_bytes_exactly(prefix + "commitment", message.commitment(), sizeof(Digest));
  }
  return check_bytes_exactly(prefix + "document_sha256", message.document_sha256(), sizeof(Digest));
}

Result<proto::RegistryCall> decode_call(ByteSpan payload) {
  COLOPHON_TRY_ASSIGN(auto call, decode_canonical<proto::RegistryCall>(payload, "payload"));
  switch (call.call_case()) {
    case proto::RegistryCall::kRegister: {
      const auto& registration = call.register_();
      COLOPHON_TRY(check_type("type", registration.type()));
      COLOPHON_TRY(check_line("title", registration.title(), kTitleBytesMax));
      COLOPHON_TRY(check_document("", registration));
      break;
    }
    case proto::RegistryCall::kTransfer: {
      const auto& transfer = call.transfer();
      COLOPHON_TRY(check_bytes_exactly("record_id", transfer.record_id(), sizeof(Digest)));
      COLOPHON_TRY(check_organization_id("new_owner", transfer.new_owner()));
      if (transfer.revision() == 0) {
        return make_error(ErrorCode::kMalformed,
                          "revision is 0: give the record's revision as you saw it, 1 or more",
                          "revision");
      }
      break;
    }
    case proto::RegistryCall::CALL_NOT_SET:
      return make_error(ErrorCode::kMalformed, "payload names no call: register or transfer",
                        "payload");
  }
  return call;
}

std::string document_state_key(std::string_view organization, char kind, std::string_view value) {
  std::string key = "registry/document/";
  key.reserve(key.size() + organization.size() + 2 + value.size());
  key += organization;
  key += '/';
  key += kind;
  key += value;
  return key;
}

class RegistryContract final : public Contract {
 public:
  std::string_view name() const noexcept override { return "registry"; }

  Result<void> check(ByteSpan payload) const override {
    COLOPHON_TRY(decode_call(payload));
    return {};
  }

  Result<void> apply(ContractContext& context, ByteSpan payload) const override {
    COLOPHON_TRY_ASSIGN(const auto call, decode_call(payload));
    COLOPHON_TRY_ASSIGN(const std::string organization,
                        active_member_organization(context.state, context.signer_scheme,
                                                   context.signer_public_key));
    if (call.has_register_()) return apply_register(context, organization, call.register_());
    return apply_transfer(context, organization, call.transfer());
  }

  Result<nlohmann::json> event_data_json(std::string_view type, ByteSpan data) const override;

 private:
  static Result<void> apply_register(ContractContext& context, const std::string& organization,
                                     const proto::Register& call) {
    const bool committed = !call.commitment().empty();
    const std::string document_key =
        document_state_key(organization, committed ? 'c' : 'h',
                           committed ? call.commitment() : call.document_sha256());
    COLOPHON_TRY_ASSIGN(const auto present, context.state.get(document_key));
    if (present) {
      return make_error(ErrorCode::kAlreadyExists,
                        organization + " has already registered this document, as record " +
                            hex_encode(as_bytes(*present)),
                        committed ? "commitment" : "document_sha256");
    }
    const Digest id = record_id(context.transaction_id);
    std::string id_text(as_text(id));

    proto::Record record;
    record.set_id(id_text);
    record.set_owner(organization);
    record.set_type(call.type());
    record.set_title(call.title());
    if (committed) {
      record.set_commitment(call.commitment());
    } else {
      record.set_document_sha256(call.document_sha256());
    }
    record.set_registered_at_ms(context.block_time_ms);
    record.set_revision(1);
    std::string data = record.SerializeAsString();
    context.state.put(record_state_key(id), data);
    context.state.put(document_key, id_text);
    context.events.push_back({std::string(kRegistered), std::move(id_text), std::move(data)});
    return {};
  }

  static Result<void> apply_transfer(ContractContext& context, const std::string& organization,
                                     const proto::Transfer& call) {
    const std::string key = record_state_key(as_bytes(call.record_id()));
    const std::string id_hex = hex_encode(as_bytes(call.record_id()));
    COLOPHON_TRY_ASSIGN(const auto present, context.state.get(key));
    if (!present) {
      return make_error(ErrorCode::kNotFound, "no record " + id_hex + " is registered",
                        "record_id");
    }
    proto::Record record;
    if (!record.ParseFromString(*present)) {
      return make_error(ErrorCode::kCorrupt, "the stored record does not parse", "record_id");
    }
    if (record.owner() != organization) {
      return make_error(
          ErrorCode::kPermissionDenied,
          "record " + id_hex + " belongs to " + record.owner() + ", not to " + organization,
          "record_id");
    }
    if (record.revision() != call.revision()) {
      return make_error(ErrorCode::kInvalidArgument,
                        "record " + id_hex + " is at revision " +
                            std::to_string(record.revision()) + ", not " +
                            std::to_string(call.revision()) + ": read it again before you transfer",
                        "revision");
    }
    if (record.owner() == call.new_owner()) {
      return make_error(ErrorCode::kInvalidArgument, "new_owner already owns record " + id_hex,
                        "new_owner");
    }
    COLOPHON_TRY(require_organization(context.state, "new_owner", call.new_owner()));

    record.set_owner(call.new_owner());
    record.set_revision(record.revision() + 1);
    std::string data = record.SerializeAsString();
    context.state.put(key, data);
    context.events.push_back({std::string(kTransferred), call.record_id(), std::move(data)});
    return {};
  }
};

Result<nlohmann::json> RegistryContract::event_data_json(std::string_view type,
                                                         ByteSpan data) const {
  if (type != kRegistered && type != kTransferred) {
    return make_error(ErrorCode::kMalformed, "type is not an event of registry", "type");
  }
  COLOPHON_TRY_ASSIGN(const auto record, decode_canonical<proto::Record>(data, "data"));
  COLOPHON_TRY(check_bytes_exactly("data.id", record.id(), sizeof(Digest)));
  COLOPHON_TRY(check_organization_id("data.owner", record.owner()));
  COLOPHON_TRY(check_type("data.type", record.type()));
  COLOPHON_TRY(check_line("data.title", record.title(), kTitleBytesMax));
  COLOPHON_TRY(check_document("data.", record));
  if (record.registered_at_ms() == 0 || record.registered_at_ms() > kTimeMsMax) {
    return make_error(ErrorCode::kMalformed,
                      "data.registered_at is not a time of the years 1970 to 9999",
                      "data.registered_at");
  }
  if ((type == kRegistered) != (record.revision() == 1) || record.revision() == 0) {
    return make_error(ErrorCode::kMalformed,
                      "data.revision must be 1 when registered and more after it", "data.revision");
  }
  nlohmann::json json{{"id", hex_encode(as_bytes(record.id()))},
                      {"owner", record.owner()},
                      {"type", record.type()},
                      {"title", record.title()},
                      {"registered_at", format_time(record.registered_at_ms())},
                      {"revision", record.revision()}};
  if (record.commitment().empty()) {
    json["document_sha256"] = hex_encode(as_bytes(record.document_sha256()));
  } else {
    json["commitment"] = hex_encode(as_bytes(record.commitment()));
  }
  return json;
}

}  // namespace

const Contract& registry_contract() noexcept {
  static const RegistryContract contract;
  return contract;
}

std::string record_state_key(ByteSpan record_id) {
  return "registry/record/" + std::string(as_text(record_id));
}

Digest record_id(ByteSpan transaction_id) {
  std::string input(kRecordDomain);
  input += as_text(transaction_id);
  Digest id{};
  SHA256(as_bytes(input).data(), input.size(), id.data());
  return id;
}

}  // namespace colophon::node
