// SPDX-License-Identifier: Apache-2.0
//
// The certificate file: what a member of the public checks offline. One JSON object in one
// canonical byte form (docs/formats.md): nothing can be altered, added, reordered or re-spaced
// unnoticed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "colophon/backend.hpp"
#include "colophon/error.hpp"
#include "colophon/hash.hpp"
#include "colophon/slices.hpp"
#include "node/x509.h"

namespace colophon::node {

inline constexpr std::size_t kCertificateFileBytesMax = 256 * 1024;

struct CertificateParts {
  std::string leaf;  // event bytes as logged
  std::uint64_t index = 0;
  std::uint64_t size = 0;
  std::vector<Digest> proof;
  std::string checkpoint;  // signed note over `size` leaves
  std::vector<Der> chain;  // log key's certificate first; without the root
};
// Canonical bytes of the file, with one newline at the end. kMalformed if the leaf is not an event
// of a record.
[[nodiscard]] Result<std::string> write_certificate(const CertificateParts& parts);

// What was checked, for people and programs.
struct CertificateReport {
  std::string record_id;  // hex
  std::string owner;
  std::string type;
  std::string title;
  std::string event_type;
  std::uint64_t event_time_ms = 0;
  std::string origin;
  std::uint64_t index = 0;
  std::uint64_t size = 0;
  std::string signed_by;                // common name of the log key's certificate
  std::string trust_root;               // common name of the CA
  std::vector<std::string> proves;      // one sentence each
  std::vector<std::string> not_proven;  // one sentence each
};

// `document_sha256`: of the document in hand. `salt` (32 bytes): needed when the record holds a
// commitment. `trust_ca`: DER of the CA to trust. The chain is checked at the event's block time.
// Errors: kMalformed (names the member), kInvalidSignature (says which check failed),
// kInvalidArgument (a salt is needed), kLimitExceeded.
[[nodiscard]] Result<CertificateReport> verify_certificate(const Backend& backend,
                                                           std::string_view file,
                                                           const Digest& document_sha256,
                                                           std::optional<ByteSpan> salt,
                                                           ByteSpan trust_ca);

// SHA-256("colophon commitment v1" 0x00 || salt || document_sha256).
[[nodiscard]] Digest commitment(ByteSpan salt, const Digest& document_sha256);

}  // namespace colophon::node
