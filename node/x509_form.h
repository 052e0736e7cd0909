// SPDX-License-Identifier: Apache-2.0
//
// One X.509 certificate, taken apart: the form rules of docs/formats.md "X.509 profile", without
// any signature. Internal to node/x509*.cc; everybody else uses x509.h.
#pragma once

#include <openssl/x509.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "colophon/error.hpp"
#include "colophon/profile.hpp"
#include "colophon/slices.hpp"
#include "node/der.h"

namespace colophon::node {

// Contents of OBJECT IDENTIFIERs.
inline constexpr std::uint8_t kOidEcPublicKey[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01};
inline constexpr std::uint8_t kOidPrime256v1[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
inline constexpr std::uint8_t kOidEcdsaWithSha256[] = {0x2a, 0x86, 0x48, 0xce,
                                                       0x3d, 0x04, 0x03, 0x02};
inline constexpr std::uint8_t kOidEd25519[] = {0x2b, 0x65, 0x70};
inline constexpr std::uint8_t kOidCommonName[] = {0x55, 0x04, 0x03};
inline constexpr std::uint8_t kOidOrganizationName[] = {0x55, 0x04, 0x0a};
inline constexpr std::uint8_t kOidSubjectKeyIdentifier[] = {0x55, 0x1d, 0x0e};
inline constexpr std::uint8_t kOidKeyUsage[] = {0x55, 0x1d, 0x0f};
inline constexpr std::uint8_t kOidBasicConstraints[] = {0x55, 0x1d, 0x13};
inline constexpr std::uint8_t kOidNameConstraints[] = {0x55, 0x1d, 0x1e};
inline constexpr std::uint8_t kOidAuthorityKeyIdentifier[] = {0x55, 0x1d, 0x23};
inline constexpr std::uint8_t kOidExtKeyUsage[] = {0x55, 0x1d, 0x25};
inline constexpr std::uint8_t kOidAnyExtKeyUsage[] = {0x55, 0x1d, 0x25, 0x00};
inline constexpr std::uint8_t kOidClientAuth[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02};

// Named bits of keyUsage (RFC 5280 §4.2.1.3), as der_named_bits gives them.
inline constexpr std::uint16_t kUsageDigitalSignature = 1U << 0;
inline constexpr std::uint16_t kUsageKeyCertSign = 1U << 5;
inline constexpr std::uint16_t kUsageCrlSign = 1U << 6;

struct X509Free {
  void operator()(X509* x) const noexcept { X509_free(x); }
};
using OpensslX509 = std::unique_ptr<X509, X509Free>;

// Spans point into the bytes given to read_certificate.
struct CertificateForm {
  ByteSpan encoding;
  ByteSpan tbs;  // TBSCertificate, the signed bytes
  Scheme signed_with{};
  ByteSpan serial;   // content of the INTEGER
  ByteSpan issuer;   // encodings of the two Names
  ByteSpan subject;  //
  std::string common_name;
  std::uint64_t not_before_ms = 0;  // first and last millisecond of validity
  std::uint64_t not_after_ms = 0;
  ByteSpan spki;
  Scheme key_scheme{};
  std::vector<std::uint8_t> public_key;  // 33 or 32 bytes
  bool is_ca = false;
  std::optional<std::uint32_t> path_length;
  std::optional<std::uint16_t> key_usage;
  std::optional<ByteSpan> subject_key_id;
  std::optional<ByteSpan> authority_key_id;
  OpensslX509 openssl;  // the same bytes as OpenSSL reads them; never null
};

// Errors: kMalformed (the field names the part), kUnsupported, kLimitExceeded
// (kCertificateBytesMax).
[[nodiscard]] Result<CertificateForm> read_certificate(ByteSpan der);

}  // namespace colophon::node
