// SPDX-License-Identifier: Apache-2.0
//
// Issuing. The bytes are written here, element by element, because the key that signs them is in
// the token: OpenSSL only reads the result back.
#include <openssl/sha.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <span>
#include <utility>

#include "node/bytes.h"
#include "node/event.h"
#include "node/x509.h"
#include "node/x509_form.h"

namespace colophon::node {
namespace {

constexpr std::size_t kNameBytesMax = 64;  // X.520 ub-common-name, ub-organization-name
constexpr std::size_t kKeyIdBytes = 20;    // RFC 7093 §2 (1): 160 bits of SHA-256
constexpr std::uint64_t kUtcTimeEndMs = 2524608000000;  // 2050-01-01: GeneralizedTime from here

Error invalid(std::string message, std::string field) {
  return make_error(ErrorCode::kInvalidArgument, std::move(message), std::move(field));
}

Result<void> check_name(const std::string& name, std::string field) {
  const bool control = std::ranges::any_of(
      name, [](char c) { return static_cast<std::uint8_t>(c) < 0x20 || c == 0x7f; });
  if (name.size() > kNameBytesMax || control || !is_utf8(as_bytes(name))) {
    return invalid("must be UTF-8 of at most 64 bytes without control characters",
                   std::move(field));
  }
  return {};
}

Result<void> check_request(const CertificateRequest& request) {
  COLOPHON_TRY(check_name(request.common_name, "common_name"));
  COLOPHON_TRY(check_name(request.organization, "organization"));
  if (request.common_name.empty()) return invalid("must not be empty", "common_name");
  if (request.not_after_ms < request.not_before_ms || request.not_after_ms > kTimeMsMax) {
    return invalid("the validity must end after it begins and before the year 10000",
                   "not_after_ms");
  }
  return {};
}

Der oid(ByteSpan content) { return der(der_tag::kObjectIdentifier, {content}); }

Der relative_name(ByteSpan type, const std::string& value) {
  return der(der_tag::kSet,
             {der(der_tag::kSequence, {oid(type), der(der_tag::kUtf8String, {as_bytes(value)})})});
}

Der name(const CertificateRequest& request) {
  const Der organization = request.organization.empty()
                               ? Der()
                               : relative_name(kOidOrganizationName, request.organization);
  return der(der_tag::kSequence,
             {organization, relative_name(kOidCommonName, request.common_name)});
}

Der time(std::uint64_t time_ms) {
  const std::chrono::sys_seconds when{std::chrono::seconds(time_ms / 1000)};
  const auto day = std::chrono::floor<std::chrono::days>(when);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(when - day);
  char digits[32];
  std::snprintf(digits, sizeof digits, "%04d%02u%02u%02d%02d%02dZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()));
  const std::string text(digits);
  if (time_ms < kUtcTimeEndMs) return der(der_tag::kUtcTime, {as_bytes(text.substr(2))});
  return der(der_tag::kGeneralizedTime, {as_bytes(text)});
}

Der extension(ByteSpan type, bool critical, ByteSpan value) {
  constexpr std::uint8_t kTrue[] = {0x01, 0x01, 0xff};
  return der(der_tag::kSequence, {oid(type), critical ? ByteSpan(kTrue) : ByteSpan(),
                                  der(der_tag::kOctetString, {value})});
}

Der algorithm_identifier(hsm::KeyType type) {
  return der(der_tag::kSequence,
             {type == hsm::KeyType::kP256 ? oid(kOidEcdsaWithSha256) : oid(kOidEd25519)});
}

Result<Der> key_identifier(ByteSpan spki) {
  COLOPHON_TRY_ASSIGN(const ByteSpan content, der_content(spki, der_tag::kSequence, "public key"));
  DerReader reader(content);
  COLOPHON_TRY(reader.expect(der_tag::kSequence, "public key"));
  COLOPHON_TRY_ASSIGN(const DerElement bits, reader.expect(der_tag::kBitString, "public key"));
  const auto key = der_bit_octets(bits.content);
  if (!key) {
    return make_error(ErrorCode::kMalformed, "the key is not a whole number of bytes",
                      "public key");
  }
  Der digest(SHA256_DIGEST_LENGTH);
  SHA256(key->data(), key->size(), digest.data());
  digest.resize(kKeyIdBytes);
  return digest;
}

// r || s -> ECDSA-Sig-Value; Ed25519 signatures go in as they are.
Der signature_value(const hsm::Signature& signature, hsm::KeyType type) {
  const ByteSpan bytes(signature);
  if (type == hsm::KeyType::kEd25519) return {bytes.begin(), bytes.end()};
  return der(der_tag::kSequence, {der_unsigned(bytes.first(32)), der_unsigned(bytes.subspan(32))});
}

struct Issuer {
  ByteSpan name;    // encoded Name
  ByteSpan key_id;  // its subjectKeyIdentifier; empty: the certificate signs itself
};

Result<Der> issue(const CertificateRequest& request, ByteSpan spki, const Issuer& issuer, bool ca,
                  hsm::Signer& signer) {
  constexpr std::uint8_t kZeroBits[] = {0x00};
  constexpr std::uint8_t kVersion3[] = {0x02, 0x01, 0x02};
  constexpr std::uint8_t kCaPathLength0[] = {0x30, 0x06, 0x01, 0x01, 0xff, 0x02, 0x01, 0x00};
  constexpr std::uint8_t kNotCa[] = {0x30, 0x00};
  constexpr std::uint8_t kCertSignCrlSign[] = {0x03, 0x02, 0x01, 0x06};
  constexpr std::uint8_t kDigitalSignature[] = {0x03, 0x02, 0x07, 0x80};

  auto serial = request.serial;
  serial[0] = static_cast<std::uint8_t>((serial[0] & 0x7f) | 0x40);  // positive, full length
  COLOPHON_TRY_ASSIGN(const Der subject_key_id, key_identifier(spki));
  const ByteSpan authority_key_id =
      issuer.key_id.empty() ? ByteSpan(subject_key_id) : issuer.key_id;
  const Der algorithm = algorithm_identifier(signer.key_type());
  const Der extensions = der(
      der_tag::kSequence,
      {extension(kOidBasicConstraints, true, ca ? ByteSpan(kCaPathLength0) : ByteSpan(kNotCa)),
       extension(kOidKeyUsage, true, ca ? ByteSpan(kCertSignCrlSign) : ByteSpan(kDigitalSignature)),
       extension(kOidSubjectKeyIdentifier, false, der(der_tag::kOctetString, {subject_key_id})),
       extension(kOidAuthorityKeyIdentifier, false,
                 der(der_tag::kSequence, {der(der_tag::context(0, false), {authority_key_id})}))});
  const Der tbs = der(
      der_tag::kSequence,
      {der(der_tag::context(0, true), {kVersion3}), der_unsigned(serial), algorithm, issuer.name,
       der(der_tag::kSequence, {time(request.not_before_ms), time(request.not_after_ms)}),
       name(request), spki, der(der_tag::context(3, true), {extensions})});
  COLOPHON_TRY_ASSIGN(const hsm::Signature signature, signer.sign(tbs));
  return der(der_tag::kSequence, {tbs, algorithm,
                                  der(der_tag::kBitString,
                                      {kZeroBits, signature_value(signature, signer.key_type())})});
}

}  // namespace

Result<Der> create_ca(const CertificateRequest& request, hsm::Signer& ca) {
  COLOPHON_TRY(check_request(request));
  COLOPHON_TRY_ASSIGN(const Der spki, ca.public_key().to_spki_der());
  const Der issuer_name = name(request);
  COLOPHON_TRY_ASSIGN(Der certificate, issue(request, spki, {issuer_name, {}}, true, ca));
  COLOPHON_TRY_ASSIGN(const CertificateForm form, read_certificate(certificate));
  if (X509_verify(form.openssl.get(), X509_get0_pubkey(form.openssl.get())) != 1) {
    return make_error(ErrorCode::kInternal, "the signer's signature does not verify", "signer");
  }
  return certificate;
}

Result<Der> issue_certificate(const CertificateRequest& request, ByteSpan subject_spki,
                              ByteSpan ca_certificate, hsm::Signer& ca) {
  COLOPHON_TRY(check_request(request));
  COLOPHON_TRY_ASSIGN(const CertificateForm issuer, read_certificate(ca_certificate));
  COLOPHON_TRY_ASSIGN(const Der signer_spki, ca.public_key().to_spki_der());
  if (!issuer.is_ca || !issuer.subject_key_id) {
    return invalid("not the certificate of a CA with a subject key identifier", "ca_certificate");
  }
  if (!std::ranges::equal(issuer.spki, signer_spki)) {
    return invalid("the CA certificate is for another key than the one that would sign",
                   "ca_certificate");
  }
  if (std::ranges::equal(name(request), issuer.subject)) {
    return invalid("the subject must not have the CA's own name", "common_name");
  }
  if (request.not_before_ms < issuer.not_before_ms || request.not_after_ms > issuer.not_after_ms) {
    return invalid("a certificate cannot be valid when its CA's is not: choose fewer days",
                   "not_after_ms");
  }
  COLOPHON_TRY_ASSIGN(Der certificate, issue(request, subject_spki,
                                             {issuer.subject, *issuer.subject_key_id}, false, ca));
  if (std::ranges::equal(issuer.issuer, issuer.subject)) {
    COLOPHON_TRY(verify_chain({certificate}, ca_certificate, request.not_before_ms));
  } else {
    COLOPHON_TRY(inspect_certificate(certificate));  // an intermediate CA: its root is not at hand
  }
  return certificate;
}

}  // namespace colophon::node
