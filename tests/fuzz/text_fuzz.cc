// SPDX-License-Identifier: Apache-2.0
//
// Bytes as text: base64, hex, times, UTF-8 and lines of hashes. One value has one text, and OpenSSL
// and the C library read the same value from it.
#include <openssl/asn1.h>
#include <openssl/evp.h>

#include <array>
#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

#include "node/base64.h"
#include "node/cli/check_list.h"
#include "node/cli/hex_input.h"
#include "node/der.h"
#include "node/event.h"
#include "node/hex.h"
#include "tests/fuzz/fuzz_input.h"

namespace colophon::node {
namespace {

using fuzz::FuzzInput;
using fuzz::require;
using fuzz::text_of;

void check_base64(ByteSpan bytes) {
  const std::string_view text = text_of(bytes);
  std::vector<std::uint8_t> decoded(bytes.size() + 4);
  std::string again(4 * decoded.size(), '\0');
  const int size = EVP_DecodeBlock(decoded.data(), bytes.data(), static_cast<int>(bytes.size()));
  bool canonical = size >= 0 && text.size() % 4 == 0;
  if (canonical) {
    // OpenSSL counts the bytes of the padding too.
    const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
    decoded.resize(static_cast<std::size_t>(size) - padding);
    again.resize(static_cast<std::size_t>(
        EVP_EncodeBlock(reinterpret_cast<std::uint8_t*>(again.data()), decoded.data(),
                        static_cast<int>(decoded.size()))));
    canonical = again == text;
  }
  const auto ours = base64_decode(text);
  require(ours.has_value() == canonical, "base64 is taken where OpenSSL gives the text back");
  if (ours) require(*ours == decoded && base64_encode(*ours) == text, "one text, one value");
  const auto round = base64_decode(base64_encode(bytes));
  require(round && std::equal(round->begin(), round->end(), bytes.begin(), bytes.end()),
          "what is encoded decodes");
}

void check_hex(ByteSpan bytes) {
  const std::string_view text = text_of(bytes);
  const auto decoded = hex_decode(text);
  if (decoded) require(hex_encode(*decoded) == text, "hex has one text");
  std::vector<std::uint8_t> either_case;
  const bool taken = cli::append_hex(text, "field", either_case).ok();
  require(taken || !decoded, "who takes either case takes lower case");
  if (taken) {
    std::string lower(text);
    for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'F' ? c + 32 : c);
    require(hex_encode(either_case) == lower, "either case is the same bytes");
  }
}

void check_time(FuzzInput& input) {
  const std::uint64_t time_ms = input.number() % (kTimeMsMax + 1);
  const std::string written = format_time(time_ms);
  const auto read = parse_time(written);
  require(read.ok() && *read == time_ms, "a time that is written is read");
  std::string text = written;
  if (input.flag()) {
    // From parts that may be one too many, or many too many.
    constexpr unsigned kYears[] = {1969, 1970, 1972, 2000, 2100, 2026, 9999, 0};
    const unsigned year = kYears[input.choice(std::size(kYears))];
    const auto part = [&](std::size_t count) { return static_cast<unsigned>(input.choice(count)); };
    const unsigned month = part(14), day = part(33), hour = part(26), minute = part(62),
                   second = part(62), ms = 9 * part(112);
    std::array<char, 64> form{};
    std::snprintf(form.data(), form.size(), "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", year, month, day,
                  hour, minute, second, ms);
    text = form.data();
  }
  fuzz::edit(text, input, 3);
  const auto parsed = parse_time(text);
  if (!parsed) return;
  require(format_time(*parsed) == text, "a time has one text");
  std::tm parts{};
  unsigned ms = 0;
  require(std::sscanf(text.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d.%3uZ", &parts.tm_year, &parts.tm_mon,
                      &parts.tm_mday, &parts.tm_hour, &parts.tm_min, &parts.tm_sec, &ms) == 7,
          "a time has its parts");
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  require(*parsed == static_cast<std::uint64_t>(timegm(&parts)) * 1000 + ms,
          "the C library says the same");
}

void check_utf8(ByteSpan bytes) {
  bool good = true;
  for (std::size_t at = 0; good && at < bytes.size();) {
    unsigned long code_point = 0;
    const int used = UTF8_getc(bytes.data() + at, static_cast<int>(bytes.size() - at), &code_point);
    good = used > 0 && code_point <= 0x10ffff && (code_point < 0xd800 || code_point > 0xdfff);
    at += static_cast<std::size_t>(used > 0 ? used : 0);
  }
  require(is_utf8(bytes) == good, "OpenSSL agrees on what is UTF-8");
}

void require_read_back(const cli::CheckLine& line) {
  for (const auto form : {cli::CheckLineForm::kPlain, cli::CheckLineForm::kTagged}) {
    std::string text = cli::write_check_line(HashAlgorithm::kSha256, form, cli::CheckLineEnd::kLf,
                                             line.digest, line.name);
    text.pop_back();
    require(text.find('\n') == std::string::npos, "a name adds no line");
    const auto again = cli::CheckLineParser(HashAlgorithm::kSha256).parse(text);
    require(again && again->name == line.name && again->digest == line.digest,
            "what is written is read back");
  }
}

void check_hash_lines(ByteSpan bytes) {
  const std::string_view text = text_of(bytes);
  if (const auto line = cli::CheckLineParser(HashAlgorithm::kSha256).parse(text)) {
    require_read_back(*line);
  }
  const bool is_name = !text.empty() && text.find('\0') == std::string_view::npos;
  if (is_name) require_read_back({std::vector<std::uint8_t>(32), std::string(text)});
}

void check(FuzzInput& input) {
  switch (input.choice(5)) {
    case 0:
      check_base64(input.rest());
      break;
    case 1:
      check_hex(input.rest());
      break;
    case 2:
      check_time(input);
      break;
    case 3:
      check_utf8(input.rest());
      break;
    default:
      check_hash_lines(input.rest());
      break;
  }
}

}  // namespace
}  // namespace colophon::node

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  colophon::fuzz::FuzzInput input(data, size);
  colophon::node::check(input);
  return 0;
}
