// SPDX-License-Identifier: Apache-2.0
//
// X.509 as the consortium uses it (RFC 5280 profile): a CA per organization, one certificate a
// member key, one for the log key. P-256 and Ed25519 keys only. Issuing signs through the HSM.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "colophon/error.hpp"
#include "colophon/hsm/signer.h"
#include "colophon/profile.hpp"
#include "colophon/slices.hpp"
#include "node/der.h"

namespace colophon::node {

inline constexpr std::size_t kCertificateBytesMax = 8192;  // DER
inline constexpr std::size_t kChainLengthMax = 4;

// What the ledger needs of a parsed certificate.
struct CertificateFacts {
  std::string common_name;
  bool is_ca = false;
  Scheme scheme{};                       // of its key: P-256 or Ed25519
  std::vector<std::uint8_t> public_key;  // 33 or 32 bytes, as in SignedTransaction
  Der spki;                              // SubjectPublicKeyInfo DER
  std::uint64_t not_before_ms = 0;
  std::uint64_t not_after_ms = 0;
};

// Strict DER, no bytes after, re-encodes to the same bytes. Errors: kMalformed, kUnsupported (key
// type).
[[nodiscard]] Result<CertificateFacts> inspect_certificate(ByteSpan der);
// `chain` is leaf first, without the root. Checks signatures, CA flags, names, key usage, path
// length and validity at `time_ms`; every certificate needed is in `chain` or is `root`.
// Deterministic: no system store, no clock, no network. Errors: kInvalidSignature, kExpired,
// kMalformed, kLimitExceeded.
[[nodiscard]] Result<CertificateFacts> verify_chain(const std::vector<Der>& chain, ByteSpan root,
                                                    std::uint64_t time_ms);

// The same of a root alone: what can be `root` of a chain at that time. Errors: as verify_chain.
[[nodiscard]] Result<CertificateFacts> verify_root(ByteSpan root, std::uint64_t time_ms);

// The certificate with s <= (n-1)/2 in its ECDSA signature: (r, n-s) is as valid as (r, s), and a
// certificate file has one byte form. Any other certificate comes back as it is. Error: kMalformed.
[[nodiscard]] Result<Der> low_s_form(ByteSpan certificate_der);

// One or more PEM certificates (RFC 7468) -> DER and back. Text around the blocks is skipped; a
// block of another kind is refused. Only the armour is checked. Errors: kMalformed, kLimitExceeded.
[[nodiscard]] Result<std::vector<Der>> parse_pem_certificates(std::string_view pem);
[[nodiscard]] std::string to_pem(ByteSpan certificate_der);
// One PEM block "PUBLIC KEY" -> SubjectPublicKeyInfo DER.
[[nodiscard]] Result<Der> parse_pem_public_key(std::string_view pem);

struct CertificateRequest {
  std::string common_name;   // UTF-8, 1 to 64 bytes (X.520 ub-common-name)
  std::string organization;  // may be empty
  std::uint64_t not_before_ms = 0;
  std::uint64_t not_after_ms = 0;
  std::array<std::uint8_t, 16> serial{};  // random; made positive and non-zero
};
// A self-signed CA over the signer's key (path length 0: it issues to end entities only); a
// certificate for `subject_spki` issued by such a CA, valid only while the CA is. What comes back
// has been checked as verify_chain would. Errors: kInvalidArgument (names the field), kUnsupported
// (key type), the signer's.
[[nodiscard]] Result<Der> create_ca(const CertificateRequest& request, hsm::Signer& ca);
[[nodiscard]] Result<Der> issue_certificate(const CertificateRequest& request,
                                            ByteSpan subject_spki, ByteSpan ca_certificate,
                                            hsm::Signer& ca);

}  // namespace colophon::node
