// SPDX-License-Identifier: Apache-2.0
#include "node/cli/command.h"

#include <cctype>
#include <charconv>
#include <cstdint>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>

namespace colophon::cli {
namespace {

int exit_code_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kNotFound:
    case ErrorCode::kAlreadyExists:
    case ErrorCode::kPermissionDenied:
    case ErrorCode::kInvalidSignature:
    case ErrorCode::kExpired:
      return kExitRefused;
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kMalformed:
    case ErrorCode::kLimitExceeded:
      return kExitBadInput;
    case ErrorCode::kUnavailable:
    case ErrorCode::kUnsupported:
    case ErrorCode::kIo:
    case ErrorCode::kCorrupt:
    case ErrorCode::kOutcomeUnknown:
    case ErrorCode::kInternal:
      break;
  }
  return kExitFailed;
}

// Whole words only: a file may be called "c", and its message begin with "cannot".
bool names_field(const Error& error) {
  if (!error.message.starts_with(error.field)) return false;
  const std::size_t end = error.field.size();
  return error.field.empty() || end == error.message.size() ||
         std::isalnum(static_cast<unsigned char>(error.message[end])) == 0;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string shown;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : '\0');
    if (byte == 0xC2 && next >= 0x80 && next <= 0x9F) {  // U+0080 to U+009F
      shown += '?';
      ++i;
    } else {
      shown += byte < 0x20 || byte == 0x7F ? '?' : text[i];
    }
  }
  return shown;
}

std::string check_decimal(const std::string& text) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, code] = std::from_chars(text.data(), end, value);
  const bool canonical = stop == end && !text.empty() && (text[0] != '0' || text.size() == 1);
  if (canonical && code == std::errc{}) return {};
  return "'" + printable(text) + "' is not a decimal number below 2^64";
}

std::string check_positive(const std::string& text) {
  if (text == "0") return "must be at least 1";
  return check_decimal(text);
}

int report(const Error& error, bool json) {
  if (json) {
    const nlohmann::json value = {{"error",
                                   {{"code", error_code_name(error.code)},
                                    {"field", error.field},
                                    {"message", error.message}}}};
    std::cout << value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << std::endl;
  } else {
    std::cerr << "colophon: ";
    // Many messages name their field themselves.
    if (!names_field(error)) std::cerr << printable(error.field) << ": ";
    std::cerr << printable(error.message) << std::endl;
  }
  return exit_code_of(error.code);
}

int report_unchecked(const Error& error, bool json) {
  const int status = report(error, json);
  return status == kExitRefused ? kExitFailed : status;
}

}  // namespace colophon::cli
