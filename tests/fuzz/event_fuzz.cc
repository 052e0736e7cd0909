// SPDX-License-Identifier: Apache-2.0
//
// Leaves of the log: one leaf has one JSON form and the other way round. What event_json takes is
// built anew from its JSON alone and must be the same bytes.
#include <nlohmann/json.hpp>
#include <string>

#include "colophon/profile.hpp"
#include "node/base64.h"
#include "node/bytes.h"
#include "node/contracts/membership/membership.pb.h"
#include "node/contracts/registry/registry.pb.h"
#include "node/event.h"
#include "node/hex.h"
#include "node/proto/transaction.pb.h"
#include "tests/fuzz/forge.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/right_inputs.h"

namespace colophon::node {
namespace {

using fuzz::require;
using Json = nlohmann::json;

std::string raw(const Json& hex) {
  const auto bytes = hex_decode(hex.get<std::string>());
  require(bytes.has_value(), "hex in the JSON is hex");
  return std::string(as_text(*bytes));
}

std::uint64_t time_of(const Json& text) {
  const auto time_ms = parse_time(text.get<std::string>());
  require(time_ms.ok(), "a time in the JSON is a time");
  return *time_ms;
}

std::string certificate_of(const Json& base64) {
  const auto der = base64_decode(base64.get<std::string>());
  require(der.has_value(), "a certificate in the JSON is base64");
  return std::string(as_text(*der));
}

std::uint32_t scheme_of(const Json& name) {
  return static_cast<std::uint32_t>(*scheme_from_name(name.get<std::string>()));
}

std::string record_from(const Json& json) {
  proto::Record record;
  record.set_id(raw(json.at("id")));
  record.set_owner(json.at("owner").get<std::string>());
  record.set_type(json.at("type").get<std::string>());
  record.set_title(json.at("title").get<std::string>());
  if (json.contains("commitment")) {
    record.set_commitment(raw(json.at("commitment")));
  } else {
    record.set_document_sha256(raw(json.at("document_sha256")));
  }
  record.set_registered_at_ms(time_of(json.at("registered_at")));
  record.set_revision(json.at("revision").get<std::uint64_t>());
  require(json.size() == 7, "a record has seven members");
  return record.SerializeAsString();
}

std::string organization_from(const Json& json) {
  proto::Organization organization;
  organization.set_id(json.at("id").get<std::string>());
  organization.set_name(json.at("name").get<std::string>());
  organization.set_ca_certificate(certificate_of(json.at("ca_certificate")));
  organization.set_enrolled_at_ms(time_of(json.at("enrolled_at")));
  require(json.size() == 4, "an organization has four members");
  return organization.SerializeAsString();
}

std::string member_from(const Json& json) {
  proto::Member member;
  member.set_key_id(raw(json.at("key_id")));
  member.set_organization(json.at("organization").get<std::string>());
  member.set_scheme(scheme_of(json.at("scheme")));
  member.set_public_key(raw(json.at("public_key")));
  member.set_certificate(certificate_of(json.at("certificate")));
  member.set_enrolled_at_ms(time_of(json.at("enrolled_at")));
  if (json.contains("revoked_at")) member.set_revoked_at_ms(time_of(json.at("revoked_at")));
  require(json.size() == 6 + json.count("revoked_at"), "a member has six or seven members");
  return member.SerializeAsString();
}

std::string leaf_from(const Json& json) {
  proto::Event event;
  event.set_version(json.at("version").get<std::uint32_t>());
  event.set_index(json.at("index").get<std::uint64_t>());
  event.set_block_height(json.at("block_height").get<std::uint64_t>());
  event.set_block_time_ms(time_of(json.at("block_time")));
  event.set_transaction_id(raw(json.at("transaction_id")));
  event.set_signer_scheme(scheme_of(json.at("signer").at("scheme")));
  event.set_signer_public_key(raw(json.at("signer").at("public_key")));
  event.set_contract(json.at("contract").get<std::string>());
  event.set_type(json.at("type").get<std::string>());
  const bool organization = event.type() == "organization_enrolled";
  event.set_subject(organization ? json.at("subject").get<std::string>() : raw(json.at("subject")));
  const Json& data = json.at("data");
  if (event.contract() == "registry") {
    event.set_data(record_from(data));
  } else {
    event.set_data(organization ? organization_from(data) : member_from(data));
  }
  require(json.size() == 10 && json.at("signer").size() == 2, "an event has ten members");
  return event.SerializeAsString();
}

void check(ByteSpan leaf) {
  const auto json = event_json(leaf);
  if (!json) {
    require(!json.error().message.empty() && !json.error().field.empty(),
            "a refusal says why and names the field");
    return;
  }
  const std::string text = json->dump();  // throws if a text in it is not UTF-8
  require(Json::parse(text) == *json, "the JSON reads back");
  require(leaf_from(*json) == as_text(leaf), "the leaf follows from its JSON");
}

}  // namespace
}  // namespace colophon::node

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto right = colophon::fuzz::right_leaves();
  constexpr std::uint64_t kData = 11;
  colophon::fuzz::FuzzInput input(data, size);
  const std::string leaf = colophon::fuzz::choose_message(input, right, kData);
  colophon::node::check(colophon::fuzz::bytes_of(leaf));
  return 0;
}
