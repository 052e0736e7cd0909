// SPDX-License-Identifier: Apache-2.0
//
// PKCS#11 URIs (RFC 7512): how a module, a token and a key are named in configuration and on the
// command line, e.g. pkcs11:token=colophon;object=node?module-path=/usr/lib/softhsm/libsofthsm2.so
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "colophon/error.hpp"

namespace colophon::hsm {

inline constexpr std::size_t kUriBytesMax = 4096;   // the whole URI, as given and in canonical form
inline constexpr std::size_t kLabelBytesMax = 255;  // object; decoded
inline constexpr std::size_t kKeyIdBytesMax = 255;  // id; decoded
inline constexpr std::size_t kModulePathBytesMax = 1024;

// Every field is decoded. An attribute that is absent matches anything. Text is UTF-8 without NUL;
// the widths in CK_TOKEN_INFO and CK_SLOT_INFO bound it.
struct Uri {
  // Path attributes: what to look for.
  std::optional<std::string> token;         // at most 32 bytes
  std::optional<std::string> manufacturer;  // 32
  std::optional<std::string> serial;        // 16
  std::optional<std::string> model;         // 16
  std::optional<std::uint64_t> slot_id;
  std::optional<std::string> slot_manufacturer;  // 32
  std::optional<std::string> slot_description;   // 64
  std::optional<std::string> object;             // CKA_LABEL
  std::optional<std::vector<std::uint8_t>> id;   // CKA_ID, 1 to kKeyIdBytesMax bytes
  std::optional<std::string> type;               // public, private, cert, secret-key, data
  // Query attributes: how to reach it.
  std::optional<std::string> module_path;
  std::optional<std::string> module_name;
  std::optional<std::string> pin_source;
  // Vendor attributes (names start with "x-"), kept in order and not interpreted.
  std::vector<std::pair<std::string, std::string>> vendor_path;
  std::vector<std::pair<std::string, std::string>> vendor_query;

  friend bool operator==(const Uri&, const Uri&) = default;
};

// Strict. Refused: a character that must be percent-encoded, a broken escape, an attribute given
// twice, an attribute not listed above unless its name starts with "x-" (library-* included: name
// the module by module-path), an empty attribute, and pin-value, because a PIN in a URI ends up in
// process lists, shell histories and configuration files.
// Errors: kMalformed, kLimitExceeded, kInvalidArgument (pin-value), kUnsupported (an attribute we
// do not know); `field` is the attribute's name; no message repeats a value.
[[nodiscard]] Result<Uri> parse_uri(std::string_view text);

// The canonical form: attributes in the order of struct Uri, everything but unreserved characters
// percent-encoded ('/' stays in module-path and pin-source; every byte of `id` is encoded).
// parse_uri(format_uri(u)) equals u for every u that parse_uri can yield.
[[nodiscard]] std::string format_uri(const Uri& uri);

}  // namespace colophon::hsm
