// SPDX-License-Identifier: Apache-2.0
//
// The JSON Lines that `colophon verify` reads and writes; docs/formats.md, "Verify JSON Lines".
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "colophon/error.hpp"
#include "colophon/profile.hpp"

namespace colophon::cli {

// 4 MiB of text: a message of almost 2 MiB in hex.
inline constexpr std::size_t kSignatureLineBytesMax = std::size_t{4} << 20;

struct SignatureLine {
  Scheme scheme = Scheme::kEcdsaP256Sha256;
  SignatureEncoding encoding = SignatureEncoding::kRaw;
  Profile profile = Profile::kDefault;
  InputKind input = InputKind::kMessage;
  std::vector<std::uint8_t> public_key;
  std::vector<std::uint8_t> data;  // message or digest
  std::vector<std::uint8_t> signature;
  std::string sm2_id{kSm2DefaultId};
};

// One line, without its LF. What the signature and key bytes say is not looked at here: bytes that
// are wrong are an invalid signature, text that is not even hex is a wrong line. Errors:
// kMalformed, kLimitExceeded; Error::field is the member it is about, empty for the whole line.
[[nodiscard]] Result<SignatureLine> parse_signature_line(std::string_view line);

// {"valid":…,"reason":"…"}, without LF.
[[nodiscard]] std::string verdict_line(Verdict verdict);
// {"error":"line N: field 'F': …","line":N,"field":"F"}, without LF. Lines are counted from 1.
[[nodiscard]] std::string error_line(std::uint64_t line_number, const Error& error);

}  // namespace colophon::cli
