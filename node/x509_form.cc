// SPDX-License-Identifier: Apache-2.0
#include "node/x509_form.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "node/bytes.h"
#include "node/hex.h"
#include "node/x509.h"

namespace colophon::node {
namespace {

constexpr std::size_t kSerialBytesMax = 20;      // RFC 5280 §4.1.2.2
constexpr std::size_t kCommonNameCharsMax = 64;  // X.520 ub-common-name
constexpr std::size_t kUncompressedPointBytes = 65;
constexpr std::size_t kEd25519Bytes = 32;
// y-coordinates of the eight points of small order of edwards25519: orders 4, 1, 2, 8 and 8.
constexpr std::string_view kSmallOrderY[] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
};

Error not_x509(std::string message, std::string_view field) {
  return make_error(ErrorCode::kMalformed, std::move(message), std::string(field));
}

Error unsupported(std::string message, std::string_view field) {
  return make_error(ErrorCode::kUnsupported, std::move(message), std::string(field));
}

// AlgorithmIdentifier of a signature -> scheme. Both have no parameters (RFC 5758 §3.2, RFC 8410
// §3).
Result<Scheme> read_signature_algorithm(ByteSpan content, std::string_view field) {
  DerReader reader(content);
  COLOPHON_TRY_ASSIGN(const DerElement oid, reader.expect(der_tag::kObjectIdentifier, field));
  Scheme scheme{};
  if (same_bytes(oid.content, kOidEcdsaWithSha256)) {
    scheme = Scheme::kEcdsaP256Sha256;
  } else if (same_bytes(oid.content, kOidEd25519)) {
    scheme = Scheme::kEd25519;
  } else {
    return unsupported("signed with an algorithm other than ecdsa-with-SHA256 and Ed25519", field);
  }
  COLOPHON_TRY(reader.finish(field));
  return scheme;
}

// Seconds since 1970 of the digits YYYYMMDDHHMMSS.
std::optional<std::uint64_t> seconds_from_digits(std::string_view digits) {
  const auto number = [&](std::size_t at, std::size_t length) {
    unsigned value = 0;
    for (const char c : digits.substr(at, length))
      value = value * 10 + static_cast<unsigned>(c - '0');
    return value;
  };
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(number(0, 4))),
                                         std::chrono::month(number(4, 2)),
                                         std::chrono::day(number(6, 2))};
  const unsigned hour = number(8, 2);
  const unsigned minute = number(10, 2);
  const unsigned second = number(12, 2);
  if (!date.ok() || date.year() < std::chrono::year(1970) || hour > 23 || minute > 59 ||
      second > 59) {
    return std::nullopt;
  }
  const auto days = std::chrono::sys_days(date).time_since_epoch().count();
  return std::uint64_t{86400} * static_cast<std::uint64_t>(days) + hour * 3600U + minute * 60U +
         second;
}

// RFC 5280 §4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050. check_der has seen the
// digits.
Result<std::uint64_t> read_time(DerReader& reader, std::string_view field) {
  COLOPHON_TRY_ASSIGN(const DerElement element, reader.next(field));
  std::string digits(element.content.begin(), element.content.end());
  if (element.tag == der_tag::kUtcTime) {
    digits.insert(0, digits < "50" ? "20" : "19");
  } else if (element.tag != der_tag::kGeneralizedTime || digits < "2050") {
    return not_x509("a time is UTCTime through 2049 and GeneralizedTime after", field);
  }
  const auto seconds = seconds_from_digits(digits);
  if (!seconds) return not_x509("not a time since 1970", field);
  return *seconds;
}

// The one commonName of a Name: UTF8String or PrintableString, 1 to 64 characters, no controls.
Result<std::string> read_common_name(ByteSpan name_content, std::string_view field) {
  std::optional<std::string> found;
  DerReader names(name_content);
  while (!names.empty()) {
    COLOPHON_TRY_ASSIGN(const DerElement relative, names.expect(der_tag::kSet, field));
    DerReader attributes(relative.content);
    while (!attributes.empty()) {
      COLOPHON_TRY_ASSIGN(const DerElement attribute, attributes.expect(der_tag::kSequence, field));
      DerReader parts(attribute.content);
      COLOPHON_TRY_ASSIGN(const DerElement oid, parts.expect(der_tag::kObjectIdentifier, field));
      COLOPHON_TRY_ASSIGN(const DerElement value, parts.next(field));
      COLOPHON_TRY(parts.finish(field));
      if (!same_bytes(oid.content, kOidCommonName)) continue;
      if (found) return not_x509("has more than one common name", field);
      if (value.tag != der_tag::kUtf8String && value.tag != der_tag::kPrintableString) {
        return not_x509("the common name is neither UTF8String nor PrintableString", field);
      }
      found.emplace(value.content.begin(), value.content.end());
    }
  }
  if (!found) return not_x509("has no common name", field);
  const auto characters = std::ranges::count_if(
      *found, [](char c) { return (static_cast<std::uint8_t>(c) & 0xc0) != 0x80; });
  const bool control = std::ranges::any_of(
      *found, [](char c) { return static_cast<std::uint8_t>(c) < 0x20 || c == 0x7f; });
  if (characters < 1 || static_cast<std::size_t>(characters) > kCommonNameCharsMax || control) {
    return not_x509("the common name is not 1 to 64 characters without control characters", field);
  }
  return std::move(*found);
}

// Under a key of small order everybody can make signatures that the profile zip215 takes, so such a
// key identifies nobody; and a key with y >= p would be a second form of another one.
bool is_canonical_of_large_order(ByteSpan key) {
  std::vector<std::uint8_t> y(key.begin(), key.end());
  y.back() &= 0x7f;  // the sign of x
  const bool at_least_p =
      y.back() == 0x7f && y.front() >= 0xed &&
      std::all_of(y.begin() + 1, y.end() - 1, [](std::uint8_t byte) { return byte == 0xff; });
  return !at_least_p && std::ranges::find(kSmallOrderY, hex_encode(y)) == std::end(kSmallOrderY);
}

Result<void> read_public_key(ByteSpan spki_content, CertificateForm& form) {
  constexpr std::string_view kField = "public key";
  DerReader reader(spki_content);
  COLOPHON_TRY_ASSIGN(const DerElement algorithm, reader.expect(der_tag::kSequence, kField));
  COLOPHON_TRY_ASSIGN(const DerElement bits, reader.expect(der_tag::kBitString, kField));
  COLOPHON_TRY(reader.finish(kField));
  const auto key = der_bit_octets(bits.content);
  if (!key) return not_x509("the key is not a whole number of bytes", kField);

  DerReader parts(algorithm.content);
  COLOPHON_TRY_ASSIGN(const DerElement oid, parts.expect(der_tag::kObjectIdentifier, kField));
  if (same_bytes(oid.content, kOidEd25519)) {
    COLOPHON_TRY(parts.finish(kField));
    if (key->size() != kEd25519Bytes) return not_x509("an Ed25519 key has 32 bytes", kField);
    if (!is_canonical_of_large_order(*key)) {
      return not_x509("the Ed25519 key is of small order or not in canonical form", kField);
    }
    form.key_scheme = Scheme::kEd25519;
    form.public_key.assign(key->begin(), key->end());
    return {};
  }
  if (!same_bytes(oid.content, kOidEcPublicKey)) {
    return unsupported("only P-256 and Ed25519 keys are accepted", kField);
  }
  COLOPHON_TRY_ASSIGN(const DerElement curve, parts.next(kField));
  COLOPHON_TRY(parts.finish(kField));
  if (curve.tag != der_tag::kObjectIdentifier || !same_bytes(curve.content, kOidPrime256v1)) {
    return unsupported("only the named curve P-256 is accepted", kField);
  }
  // One point form, so that a key has one SubjectPublicKeyInfo and one key id.
  if (key->size() != kUncompressedPointBytes || (*key)[0] != 0x04) {
    return not_x509("a P-256 key is the uncompressed point, 65 bytes", kField);
  }
  form.key_scheme = Scheme::kEcdsaP256Sha256;
  form.public_key.assign(key->begin(), key->begin() + 33);
  form.public_key[0] = static_cast<std::uint8_t>(0x02 | (key->back() & 1));
  return {};
}

Result<void> read_basic_constraints(ByteSpan value, bool critical, CertificateForm& form) {
  constexpr std::string_view kField = "basicConstraints";
  COLOPHON_TRY_ASSIGN(const ByteSpan content, der_content(value, der_tag::kSequence, kField));
  DerReader reader(content);
  if (reader.next_is(der_tag::kBoolean)) {
    COLOPHON_TRY_ASSIGN(const DerElement ca, reader.next(kField));
    if (ca.content.size() != 1 || ca.content[0] != 0xff) {
      return not_x509("a default value is not encoded in DER", kField);
    }
    form.is_ca = true;
  }
  if (reader.next_is(der_tag::kInteger)) {
    COLOPHON_TRY_ASSIGN(const DerElement length, reader.next(kField));
    form.path_length = der_small_integer(length.content);
    if (!form.path_length || !form.is_ca) return not_x509("the path length is wrong", kField);
  }
  COLOPHON_TRY(reader.finish(kField));
  if (form.is_ca && !critical) return not_x509("must be critical in a CA certificate", kField);
  return {};
}

Result<void> read_key_usage(ByteSpan value, CertificateForm& form) {
  constexpr std::string_view kField = "keyUsage";
  COLOPHON_TRY_ASSIGN(const ByteSpan content, der_content(value, der_tag::kBitString, kField));
  form.key_usage = der_named_bits(content);
  if (!form.key_usage || *form.key_usage == 0) return not_x509("not a list of usages", kField);
  return {};
}

Result<void> read_authority_key_id(ByteSpan value, CertificateForm& form) {
  constexpr std::string_view kField = "authorityKeyIdentifier";
  COLOPHON_TRY_ASSIGN(const ByteSpan content, der_content(value, der_tag::kSequence, kField));
  DerReader reader(content);
  COLOPHON_TRY_ASSIGN(const DerElement id, reader.expect(der_tag::context(0, false), kField));
  form.authority_key_id = id.content;
  // authorityCertIssuer and authorityCertSerialNumber may follow: OpenSSL compares them in
  // verify_chain.
  return {};
}

Result<void> read_extended_key_usage(ByteSpan value) {
  constexpr std::string_view kField = "extKeyUsage";
  COLOPHON_TRY_ASSIGN(const ByteSpan content, der_content(value, der_tag::kSequence, kField));
  DerReader reader(content);
  bool fits = false;
  while (!reader.empty()) {
    COLOPHON_TRY_ASSIGN(const DerElement oid, reader.expect(der_tag::kObjectIdentifier, kField));
    fits = fits || same_bytes(oid.content, kOidAnyExtKeyUsage) ||
           same_bytes(oid.content, kOidClientAuth);
  }
  if (!fits) {
    return not_x509("where it is there, it must hold anyExtendedKeyUsage or clientAuth", kField);
  }
  return {};
}

Result<void> read_extension(ByteSpan oid, bool critical, ByteSpan value, CertificateForm& form) {
  const bool known = same_bytes(oid, kOidBasicConstraints) || same_bytes(oid, kOidKeyUsage) ||
                     same_bytes(oid, kOidSubjectKeyIdentifier) ||
                     same_bytes(oid, kOidAuthorityKeyIdentifier) ||
                     same_bytes(oid, kOidExtKeyUsage);
  if (known) COLOPHON_TRY(check_der(value, "extensions"));
  if (same_bytes(oid, kOidBasicConstraints)) return read_basic_constraints(value, critical, form);
  if (same_bytes(oid, kOidKeyUsage)) return read_key_usage(value, form);
  if (critical) {
    return unsupported("only basicConstraints and keyUsage may be critical", "extensions");
  }
  if (same_bytes(oid, kOidSubjectKeyIdentifier)) {
    COLOPHON_TRY_ASSIGN(form.subject_key_id,
                        der_content(value, der_tag::kOctetString, "subjectKeyIdentifier"));
    return {};
  }
  if (same_bytes(oid, kOidAuthorityKeyIdentifier)) return read_authority_key_id(value, form);
  if (same_bytes(oid, kOidExtKeyUsage)) return read_extended_key_usage(value);
  if (same_bytes(oid, kOidNameConstraints)) {
    return unsupported("name constraints are not evaluated here, so they are refused",
                       "nameConstraints");
  }
  return {};  // informative: covered by the signature, and nothing here depends on it
}

Result<void> read_extensions(ByteSpan explicit_content, CertificateForm& form) {
  constexpr std::string_view kField = "extensions";
  COLOPHON_TRY_ASSIGN(const ByteSpan list,
                      der_content(explicit_content, der_tag::kSequence, kField));
  std::vector<ByteSpan> seen;
  DerReader reader(list);
  while (!reader.empty()) {
    COLOPHON_TRY_ASSIGN(const DerElement extension, reader.expect(der_tag::kSequence, kField));
    DerReader parts(extension.content);
    COLOPHON_TRY_ASSIGN(const DerElement oid, parts.expect(der_tag::kObjectIdentifier, kField));
    bool critical = false;
    if (parts.next_is(der_tag::kBoolean)) {
      COLOPHON_TRY_ASSIGN(const DerElement flag, parts.next(kField));
      critical = flag.content[0] == 0xff;
      if (!critical) return not_x509("a default value is not encoded in DER", kField);
    }
    COLOPHON_TRY_ASSIGN(const DerElement value, parts.expect(der_tag::kOctetString, kField));
    COLOPHON_TRY(parts.finish(kField));
    if (std::ranges::any_of(seen, [&](ByteSpan other) { return same_bytes(other, oid.content); })) {
      return not_x509("an extension occurs twice", kField);
    }
    seen.push_back(oid.content);
    COLOPHON_TRY(read_extension(oid.content, critical, value.content, form));
  }
  return {};
}

// Version 3, serial number, algorithm, issuer, validity, subject, key, extensions; the unique
// identifiers [1] and [2] are refused (RFC 5280 §4.1.2.8: conforming CAs do not write them).
Result<void> read_tbs(ByteSpan tbs_content, ByteSpan outer_algorithm, CertificateForm& form) {
  DerReader reader(tbs_content);
  COLOPHON_TRY_ASSIGN(const DerElement version,
                      reader.expect(der_tag::context(0, true), "version"));
  constexpr std::uint8_t kVersion3[] = {0x02, 0x01, 0x02};
  if (!same_bytes(version.content, kVersion3)) return not_x509("not version 3", "version");

  COLOPHON_TRY_ASSIGN(const DerElement serial, reader.expect(der_tag::kInteger, "serial number"));
  form.serial = serial.content;
  const bool positive =
      (serial.content[0] & 0x80) == 0 && (serial.content.size() > 1 || serial.content[0] != 0);
  if (!positive || serial.content.size() > kSerialBytesMax) {
    return not_x509("not a positive number of at most 20 bytes", "serial number");
  }
  COLOPHON_TRY_ASSIGN(const DerElement algorithm,
                      reader.expect(der_tag::kSequence, "signature algorithm"));
  COLOPHON_TRY_ASSIGN(form.signed_with,
                      read_signature_algorithm(algorithm.content, "signature algorithm"));
  if (!same_bytes(algorithm.encoding, outer_algorithm)) {
    return not_x509("differs inside and outside the signed part", "signature algorithm");
  }
  COLOPHON_TRY_ASSIGN(const DerElement issuer, reader.expect(der_tag::kSequence, "issuer"));
  form.issuer = issuer.encoding;
  if (issuer.content.empty()) return not_x509("is empty", "issuer");

  COLOPHON_TRY_ASSIGN(const DerElement validity, reader.expect(der_tag::kSequence, "validity"));
  DerReader times(validity.content);
  COLOPHON_TRY_ASSIGN(const std::uint64_t not_before, read_time(times, "notBefore"));
  COLOPHON_TRY_ASSIGN(const std::uint64_t not_after, read_time(times, "notAfter"));
  COLOPHON_TRY(times.finish("validity"));
  if (not_after < not_before) return not_x509("ends before it begins", "validity");
  form.not_before_ms = not_before * 1000;
  form.not_after_ms = not_after * 1000 + 999;  // the second named is part of it

  COLOPHON_TRY_ASSIGN(const DerElement subject, reader.expect(der_tag::kSequence, "subject"));
  form.subject = subject.encoding;
  COLOPHON_TRY_ASSIGN(form.common_name, read_common_name(subject.content, "subject"));
  COLOPHON_TRY_ASSIGN(const DerElement spki, reader.expect(der_tag::kSequence, "public key"));
  form.spki = spki.encoding;
  COLOPHON_TRY(read_public_key(spki.content, form));
  COLOPHON_TRY_ASSIGN(const DerElement extensions,
                      reader.expect(der_tag::context(3, true), "extensions"));
  COLOPHON_TRY(read_extensions(extensions.content, form));
  COLOPHON_TRY(reader.finish("certificate"));
  if (form.is_ca && (!form.key_usage || (*form.key_usage & kUsageKeyCertSign) == 0)) {
    return not_x509("a CA certificate must have keyCertSign", "keyUsage");
  }
  if (!form.is_ca && form.key_usage && (*form.key_usage & kUsageKeyCertSign) != 0) {
    return not_x509("keyCertSign in a certificate that is not a CA's", "keyUsage");
  }
  return {};
}

Result<void> check_signature_form(ByteSpan octets, Scheme scheme) {
  constexpr std::string_view kField = "signature";
  if (scheme == Scheme::kEd25519) {
    if (octets.size() != 64) return not_x509("an Ed25519 signature has 64 bytes", kField);
    return {};
  }
  COLOPHON_TRY(check_der(octets, kField));
  COLOPHON_TRY_ASSIGN(const ByteSpan content, der_content(octets, der_tag::kSequence, kField));
  DerReader reader(content);
  for (int i = 0; i < 2; ++i) {
    COLOPHON_TRY_ASSIGN(const DerElement number, reader.expect(der_tag::kInteger, kField));
    if ((number.content[0] & 0x80) != 0 || number.content.size() > 33) {
      return not_x509("r or s is out of range", kField);
    }
  }
  return reader.finish(kField);
}

// A second reader of the same bytes: what two parsers understand differently is refused.
Result<OpensslX509> read_with_openssl(ByteSpan der) {
  const std::uint8_t* at = der.data();
  OpensslX509 x509(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  const bool whole = x509 && at == der.data() + der.size();
  // Caches the extensions; -1 asks about no purpose in particular.
  const bool sound = whole && X509_check_purpose(x509.get(), -1, 0) == 1 &&
                     (X509_get_extension_flags(x509.get()) & EXFLAG_INVALID) == 0 &&
                     X509_get0_pubkey(x509.get()) != nullptr;
  ERR_clear_error();
  if (!sound) {
    return not_x509("not a certificate with a valid public key and valid extensions",
                    "certificate");
  }
  return x509;
}

}  // namespace

Result<CertificateForm> read_certificate(ByteSpan der) {
  if (der.size() > kCertificateBytesMax) {
    return make_error(ErrorCode::kLimitExceeded, "a certificate has at most 8192 bytes",
                      "certificate");
  }
  COLOPHON_TRY(check_der(der, "certificate"));
  COLOPHON_TRY_ASSIGN(const ByteSpan content, der_content(der, der_tag::kSequence, "certificate"));
  CertificateForm form;
  form.encoding = der;
  DerReader reader(content);
  COLOPHON_TRY_ASSIGN(const DerElement tbs, reader.expect(der_tag::kSequence, "certificate"));
  form.tbs = tbs.encoding;
  COLOPHON_TRY_ASSIGN(const DerElement algorithm,
                      reader.expect(der_tag::kSequence, "signature algorithm"));
  COLOPHON_TRY_ASSIGN(const DerElement signature, reader.expect(der_tag::kBitString, "signature"));
  COLOPHON_TRY(reader.finish("certificate"));
  COLOPHON_TRY(read_tbs(tbs.content, algorithm.encoding, form));
  const auto octets = der_bit_octets(signature.content);
  if (!octets) return not_x509("not a whole number of bytes", "signature");
  COLOPHON_TRY(check_signature_form(*octets, form.signed_with));
  COLOPHON_TRY_ASSIGN(form.openssl, read_with_openssl(der));
  return form;
}

}  // namespace colophon::node
