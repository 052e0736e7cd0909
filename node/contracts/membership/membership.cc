// SPDX-License-Identifier: Apache-2.0
#include "node/contracts/membership/membership.h"

#include <openssl/sha.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "colophon/hash.hpp"
#include "node/base64.h"
#include "node/bytes.h"
#include "node/contracts/membership/membership.pb.h"
#include "node/contracts/message.h"
#include "node/hex.h"
#include "node/x509.h"

namespace colophon::node {
namespace {

constexpr std::string_view kOrganizationEnrolled = "organization_enrolled";
constexpr std::string_view kMemberEnrolled = "member_enrolled";
constexpr std::string_view kMemberRevoked = "member_revoked";

Digest key_id_of(ByteSpan spki) {
  Digest id{};
  SHA256(spki.data(), spki.size(), id.data());
  return id;
}

Result<proto::MembershipCall> decode_call(ByteSpan payload) {
  COLOPHON_TRY_ASSIGN(auto call, decode_canonical<proto::MembershipCall>(payload, "payload"));
  switch (call.call_case()) {
    case proto::MembershipCall::kEnrolOrganization: {
      const auto& enrol = call.enrol_organization();
      COLOPHON_TRY(check_organization_id("id", enrol.id()));
      COLOPHON_TRY(check_line("name", enrol.name(), kOrganizationNameBytesMax));
      break;
    }
    case proto::MembershipCall::kEnrolMember:
      COLOPHON_TRY(check_organization_id("organization", call.enrol_member().organization()));
      break;
    case proto::MembershipCall::kRevokeMember:
      COLOPHON_TRY(check_bytes_exactly("key_id", call.revoke_member().key_id(), sizeof(Digest)));
      break;
    case proto::MembershipCall::CALL_NOT_SET:
      return make_error(ErrorCode::kMalformed,
                        "payload names no call: enrol_organization, enrol_member or revoke_member",
                        "payload");
  }
  return call;
}

// As inspect_certificate, with the error's field the one of the call.
Result<CertificateFacts> inspect(std::string_view field, const std::string& der) {
  if (der.empty() || der.size() > kCertificateBytesMax) {
    return make_error(der.empty() ? ErrorCode::kMalformed : ErrorCode::kLimitExceeded,
                      std::string(field) + " has " + std::to_string(der.size()) +
                          " bytes, must be a DER certificate of 1 to " +
                          std::to_string(kCertificateBytesMax),
                      std::string(field));
  }
  auto facts = inspect_certificate(as_bytes(der));
  if (facts) return facts;
  Error error = std::move(facts).error();
  error.message = std::string(field) + ": " + error.message;
  error.field = field;
  return error;
}

Der to_der(std::string_view bytes) { return {bytes.begin(), bytes.end()}; }

class MembershipContract final : public Contract {
 public:
  std::string_view name() const noexcept override { return "membership"; }

  Result<void> check(ByteSpan payload) const override {
    COLOPHON_TRY_ASSIGN(const auto call, decode_call(payload));
    if (call.has_enrol_organization()) {
      COLOPHON_TRY(inspect("ca_certificate", call.enrol_organization().ca_certificate()));
    } else if (call.has_enrol_member()) {
      COLOPHON_TRY(inspect("certificate", call.enrol_member().certificate()));
    }
    return {};
  }

  Result<void> apply(ContractContext& context, ByteSpan payload) const override {
    COLOPHON_TRY_ASSIGN(const auto call, decode_call(payload));
    if (call.has_enrol_organization()) {
      return enrol_organization(context, call.enrol_organization());
    }
    if (call.has_enrol_member()) return enrol_member(context, call.enrol_member());
    return revoke_member(context, as_bytes(call.revoke_member().key_id()));
  }

  Result<nlohmann::json> event_data_json(std::string_view type, ByteSpan data) const override;

 private:
  static bool is_administrator(const ContractContext& context) {
    return context.signer_scheme == context.genesis.administrator_scheme &&
           std::ranges::equal(context.signer_public_key, context.genesis.administrator_public_key);
  }

  static Result<void> enrol_organization(ContractContext& context,
                                         const proto::EnrolOrganization& call) {
    if (!is_administrator(context)) {
      return make_error(ErrorCode::kPermissionDenied,
                        "only the consortium's administrator key enrols organizations",
                        "public_key");
    }
    const std::string key = organization_state_key(call.id());
    COLOPHON_TRY_ASSIGN(const auto present, context.state.get(key));
    if (present) {
      return make_error(ErrorCode::kAlreadyExists,
                        "the organization " + call.id() + " is already enrolled", "id");
    }
    // An id is taken for ever: a CA under which no member could ever be enrolled must not take it.
    auto root = verify_root(as_bytes(call.ca_certificate()), context.block_time_ms);
    if (!root) {
      Error error = std::move(root).error();
      error.message = "ca_certificate cannot be an organization's CA at the block's time, " +
                      format_time(context.block_time_ms) + ": " + error.message;
      error.field = "ca_certificate";
      return error;
    }

    proto::Organization organization;
    organization.set_id(call.id());
    organization.set_name(call.name());
    organization.set_ca_certificate(call.ca_certificate());
    organization.set_enrolled_at_ms(context.block_time_ms);
    std::string data = organization.SerializeAsString();
    context.state.put(key, data);
    context.events.push_back({std::string(kOrganizationEnrolled), call.id(), std::move(data)});
    return {};
  }

  static Result<void> enrol_member(ContractContext& context, const proto::EnrolMember& call) {
    COLOPHON_TRY_ASSIGN(const auto organization_bytes,
                        context.state.get(organization_state_key(call.organization())));
    if (!organization_bytes) {
      return make_error(ErrorCode::kNotFound,
                        "no organization " + call.organization() +
                            " is enrolled: the administrator enrols it first",
                        "organization");
    }
    proto::Organization organization;
    if (!organization.ParseFromString(*organization_bytes)) {
      return make_error(ErrorCode::kCorrupt, "the stored organization does not parse",
                        "organization");
    }
    auto facts = verify_chain({to_der(call.certificate())}, as_bytes(organization.ca_certificate()),
                              context.block_time_ms);
    if (!facts) {
      Error error = std::move(facts).error();
      error.message =
          "certificate is not proof of membership in " + call.organization() + ": " + error.message;
      error.field = "certificate";
      return error;
    }
    if (facts->scheme != context.signer_scheme ||
        !std::ranges::equal(facts->public_key, context.signer_public_key)) {
      return make_error(ErrorCode::kPermissionDenied,
                        "the certificate is for another key than the one that signed: a member "
                        "signs its own enrolment",
                        "public_key");
    }
    const Digest key_id = key_id_of(facts->spki);
    const std::string key = member_state_key(key_id);
    const std::string signer_key =
        signer_state_key(context.signer_scheme, context.signer_public_key);
    COLOPHON_TRY_ASSIGN(const auto present, context.state.get(signer_key));
    if (present) {
      return make_error(ErrorCode::kAlreadyExists,
                        present->empty()
                            ? "this key was revoked and cannot be enrolled again: make a new one"
                            : "this key is already enrolled, as a member of " + *present,
                        "public_key");
    }

    proto::Member member;
    member.set_key_id(as_text(key_id).data(), key_id.size());
    member.set_organization(call.organization());
    member.set_scheme(static_cast<std::uint32_t>(context.signer_scheme));
    member.set_public_key(as_text(context.signer_public_key).data(),
                          context.signer_public_key.size());
    member.set_certificate(call.certificate());
    member.set_enrolled_at_ms(context.block_time_ms);
    std::string data = member.SerializeAsString();
    context.state.put(key, data);
    context.state.put(signer_key, call.organization());
    context.events.push_back(
        {std::string(kMemberEnrolled), std::string(as_text(key_id)), std::move(data)});
    return {};
  }

  static Result<void> revoke_member(ContractContext& context, ByteSpan key_id) {
    const std::string key = member_state_key(key_id);
    COLOPHON_TRY_ASSIGN(const auto present, context.state.get(key));
    if (!present) {
      return make_error(ErrorCode::kNotFound, "no member has the key id " + hex_encode(key_id),
                        "key_id");
    }
    proto::Member member;
    if (!member.ParseFromString(*present)) {
      return make_error(ErrorCode::kCorrupt, "the stored member does not parse", "key_id");
    }
    if (!is_administrator(context)) {
      COLOPHON_TRY_ASSIGN(const std::string organization,
                          active_member_organization(context.state, context.signer_scheme,
                                                     context.signer_public_key));
      if (organization != member.organization()) {
        return make_error(ErrorCode::kPermissionDenied,
                          "the key belongs to " + member.organization() +
                              ": only its members and the administrator revoke it",
                          "key_id");
      }
    }
    if (member.revoked_at_ms() != 0) {
      return make_error(ErrorCode::kAlreadyExists,
                        "the key is revoked since " + format_time(member.revoked_at_ms()),
                        "key_id");
    }
    member.set_revoked_at_ms(context.block_time_ms);
    std::string data = member.SerializeAsString();
    context.state.put(key, data);
    context.state.put(
        signer_state_key(static_cast<Scheme>(member.scheme()), as_bytes(member.public_key())), "");
    context.events.push_back(
        {std::string(kMemberRevoked), std::string(as_text(key_id)), std::move(data)});
    return {};
  }
};

Result<void> check_time(std::string_view field, std::uint64_t time_ms) {
  if (time_ms != 0 && time_ms <= kTimeMsMax) return {};
  return make_error(ErrorCode::kMalformed,
                    std::string(field) + " is not a time of the years 1970 to 9999",
                    std::string(field));
}

Result<nlohmann::json> organization_json(ByteSpan data) {
  COLOPHON_TRY_ASSIGN(const auto organization, decode_canonical<proto::Organization>(data, "data"));
  COLOPHON_TRY(check_organization_id("data.id", organization.id()));
  COLOPHON_TRY(check_line("data.name", organization.name(), kOrganizationNameBytesMax));
  COLOPHON_TRY(inspect("data.ca_certificate", organization.ca_certificate()));
  COLOPHON_TRY(check_time("data.enrolled_at", organization.enrolled_at_ms()));
  return nlohmann::json{{"id", organization.id()},
                        {"name", organization.name()},
                        {"ca_certificate", base64_encode(as_bytes(organization.ca_certificate()))},
                        {"enrolled_at", format_time(organization.enrolled_at_ms())}};
}

Result<nlohmann::json> member_json(ByteSpan data, bool revoked) {
  COLOPHON_TRY_ASSIGN(const auto member, decode_canonical<proto::Member>(data, "data"));
  COLOPHON_TRY(check_bytes_exactly("data.key_id", member.key_id(), sizeof(Digest)));
  COLOPHON_TRY(check_organization_id("data.organization", member.organization()));
  COLOPHON_TRY_ASSIGN(const CertificateFacts facts,
                      inspect("data.certificate", member.certificate()));
  if (static_cast<std::uint32_t>(facts.scheme) != member.scheme() ||
      !std::ranges::equal(facts.public_key, as_bytes(member.public_key())) ||
      !std::ranges::equal(key_id_of(facts.spki), as_bytes(member.key_id()))) {
    return make_error(ErrorCode::kMalformed, "data.certificate is for another key",
                      "data.certificate");
  }
  COLOPHON_TRY(check_time("data.enrolled_at", member.enrolled_at_ms()));
  if (revoked) COLOPHON_TRY(check_time("data.revoked_at", member.revoked_at_ms()));
  if (!revoked && member.revoked_at_ms() != 0) {
    return make_error(ErrorCode::kMalformed, "data.revoked_at is set in an enrolment",
                      "data.revoked_at");
  }
  nlohmann::json json{{"key_id", hex_encode(as_bytes(member.key_id()))},
                      {"organization", member.organization()},
                      {"scheme", scheme_name(facts.scheme)},
                      {"public_key", hex_encode(as_bytes(member.public_key()))},
                      {"certificate", base64_encode(as_bytes(member.certificate()))},
                      {"enrolled_at", format_time(member.enrolled_at_ms())}};
  if (revoked) json["revoked_at"] = format_time(member.revoked_at_ms());
  return json;
}

Result<nlohmann::json> MembershipContract::event_data_json(std::string_view type,
                                                           ByteSpan data) const {
  if (type == kOrganizationEnrolled) return organization_json(data);
  if (type == kMemberEnrolled) return member_json(data, false);
  if (type == kMemberRevoked) return member_json(data, true);
  return make_error(ErrorCode::kMalformed, "type is not an event of membership", "type");
}

}  // namespace

const Contract& membership_contract() noexcept {
  static const MembershipContract contract;
  return contract;
}

std::string organization_state_key(std::string_view id) {
  return "membership/organization/" + std::string(id);
}

std::string member_state_key(ByteSpan key_id) {
  return "membership/member/" + std::string(as_text(key_id));
}

std::string signer_state_key(Scheme scheme, ByteSpan public_key) {
  std::string key = "membership/signer/";
  key += static_cast<char>(scheme);
  key += as_text(public_key);
  return key;
}

Result<void> check_organization_id(std::string_view field, std::string_view id) {
  const bool allowed = std::ranges::all_of(
      id, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
  if (allowed && id.size() >= kOrganizationIdBytesMin && id.size() <= kOrganizationIdBytesMax) {
    return {};
  }
  return make_error(ErrorCode::kMalformed,
                    std::string(field) + " must be " + std::to_string(kOrganizationIdBytesMin) +
                        " to " + std::to_string(kOrganizationIdBytesMax) +
                        " bytes of a-z, 0-9 and -",
                    std::string(field));
}

Result<std::string> active_member_organization(const StateOverlay& state, Scheme scheme,
                                               ByteSpan public_key) {
  COLOPHON_TRY_ASSIGN(auto organization, state.get(signer_state_key(scheme, public_key)));
  if (!organization) {
    return make_error(ErrorCode::kPermissionDenied,
                      "the signing key is not enrolled: its holder enrols it first with a "
                      "certificate of the organization's CA",
                      "public_key");
  }
  if (organization->empty()) {
    return make_error(ErrorCode::kPermissionDenied, "the signing key is revoked", "public_key");
  }
  return *std::move(organization);
}

Result<void> require_organization(const StateOverlay& state, std::string_view field,
                                  std::string_view id) {
  COLOPHON_TRY_ASSIGN(const auto present, state.get(organization_state_key(id)));
  if (present) return {};
  return make_error(ErrorCode::kNotFound, "no organization " + std::string(id) + " is enrolled",
                    std::string(field));
}

}  // namespace colophon::node
