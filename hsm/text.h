// SPDX-License-Identifier: Apache-2.0
//
// Text from outside (URIs, token labels) before it is stored or shown.
#pragma once

#include <string>
#include <string_view>

#include "colophon/slices.hpp"

namespace colophon::hsm {

// Well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF).
[[nodiscard]] bool is_utf8(std::string_view text) noexcept;

// Text that an attribute of a PKCS#11 URI can carry: not empty, UTF-8, no NUL.
[[nodiscard]] bool is_uri_text(std::string_view text) noexcept;

// `text` for a message or a terminal: bytes that are not printable ASCII, and backslashes, as \xHH
// unless the whole is UTF-8 without control characters. At most 96 bytes, then "…".
[[nodiscard]] std::string printable(std::string_view text);

// Lower-case hexadecimal.
[[nodiscard]] std::string to_hex(ByteSpan bytes);

}  // namespace colophon::hsm
