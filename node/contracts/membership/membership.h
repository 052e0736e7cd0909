// SPDX-License-Identifier: Apache-2.0
//
// Contract "membership": which organizations are in the consortium, and which keys act for them.
//
//   enrol_organization  by the administrator key of genesis; brings the organization's CA
//   certificate. enrol_member        by the member's own key (proof of possession); its X.509
//   certificate, issued by
//                       the organization's CA and valid at the block's time, proves the membership.
//                       A key is enrolled once, for one organization, for ever: a revoked key does
//                       not come back.
//   revoke_member       by the administrator or an active member of the same organization.
//
// State: "membership/organization/" id            -> Organization
//        "membership/member/" key id[32]          -> Member
//        "membership/signer/" scheme[1] key bytes -> organization id; empty once revoked
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "colophon/error.hpp"
#include "colophon/profile.hpp"
#include "colophon/slices.hpp"
#include "node/contracts/contract.h"
#include "node/state.h"

namespace colophon::node {

inline constexpr std::size_t kOrganizationIdBytesMin = 2;
inline constexpr std::size_t kOrganizationIdBytesMax = 32;
inline constexpr std::size_t kOrganizationNameBytesMax = 256;

[[nodiscard]] const Contract& membership_contract() noexcept;

// Where the current values lie in the state.
[[nodiscard]] std::string organization_state_key(std::string_view id);
[[nodiscard]] std::string member_state_key(ByteSpan key_id);
[[nodiscard]] std::string signer_state_key(Scheme scheme, ByteSpan public_key);

// [a-z0-9-], 2 to 32 bytes. Error kMalformed, naming `field`.
[[nodiscard]] Result<void> check_organization_id(std::string_view field, std::string_view id);

// For every contract: the organization that this key acts for now. Error kPermissionDenied: the key
// was never enrolled, or is revoked.
[[nodiscard]] Result<std::string> active_member_organization(const StateOverlay& state,
                                                             Scheme scheme, ByteSpan public_key);
// Error kNotFound, naming `field`.
[[nodiscard]] Result<void> require_organization(const StateOverlay& state, std::string_view field,
                                                std::string_view id);

}  // namespace colophon::node
