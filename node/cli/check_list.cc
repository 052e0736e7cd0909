// SPDX-License-Identifier: Apache-2.0
#include "node/cli/check_list.h"

#include <algorithm>

#include "colophon/error.hpp"
#include "node/cli/hex_input.h"

namespace colophon::cli {
namespace {

constexpr std::string_view kBlanks = " \t";

void skip_blanks(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
}

std::optional<std::vector<std::uint8_t>> digest_of(std::string_view text, HashAlgorithm algorithm) {
  std::vector<std::uint8_t> digest;
  if (text.size() != 2 * digest_bytes(algorithm) || !append_hex(text, {}, digest)) return {};
  return digest;
}

std::optional<std::string> unescaped_name(std::string_view text) {
  std::string name;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      name += text[i];
      continue;
    }
    if (++i == text.size()) return {};
    switch (text[i]) {
      case '\\':
        name += '\\';
        break;
      case 'n':
        name += '\n';
        break;
      case 'r':
        name += '\r';
        break;
      default:
        return {};
    }
  }
  return name;
}

}  // namespace

std::string_view hash_tag(HashAlgorithm algorithm) noexcept {
  switch (algorithm) {
    case HashAlgorithm::kSha256:
      return "SHA256";
    case HashAlgorithm::kSha512:
      return "SHA512";
    case HashAlgorithm::kSm3:
      return "SM3";
    case HashAlgorithm::kBlake3:
      return "BLAKE3";
    case HashAlgorithm::kKeccak256:
      return "KECCAK256";
  }
  return "unknown";
}

std::string hex_text(ByteSpan bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const std::uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string escaped_name(std::string_view name) {
  std::string text;
  for (const char c : name) {
    switch (c) {
      case '\\':
        text += "\\\\";
        break;
      case '\n':
        text += "\\n";
        break;
      case '\r':
        text += "\\r";
        break;
      default:
        text += c;
    }
  }
  return text;
}

std::string write_check_line(HashAlgorithm algorithm, CheckLineForm form, CheckLineEnd end,
                             ByteSpan digest, std::string_view name) {
  const std::string shown = end == CheckLineEnd::kZero ? std::string(name) : escaped_name(name);
  std::string line = shown.size() == name.size() ? "" : "\\";
  if (form == CheckLineForm::kTagged) {
    line += std::string(hash_tag(algorithm)) + " (" + shown + ") = " + hex_text(digest);
  } else {
    line += hex_text(digest) + "  " + shown;
  }
  return line + (end == CheckLineEnd::kZero ? '\0' : '\n');
}

std::optional<CheckLine> CheckLineParser::parse(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  // No file has such a name.
  if (line.find('\0') != std::string_view::npos) return {};
  skip_blanks(line);
  const bool escaped = line.starts_with('\\');
  if (escaped) line.remove_prefix(1);
  std::optional<CheckLine> parsed =
      line.starts_with(hash_tag(algorithm_)) ? parse_tagged(line) : parse_plain(line);
  if (!parsed || !escaped) return parsed;
  const auto name = unescaped_name(parsed->name);
  if (!name) return {};
  parsed->name = *name;
  return parsed;
}

std::optional<CheckLine> CheckLineParser::parse_plain(std::string_view line) {
  const std::size_t digits = std::min(2 * digest_bytes(algorithm_), line.size());
  const auto digest = digest_of(line.substr(0, digits), algorithm_);
  line.remove_prefix(digits);
  if (!digest || line.size() < 2 || kBlanks.find(line[0]) == std::string_view::npos) return {};
  // '*' marks a file read as binary, which on a POSIX system is any file.
  const bool two = line.size() > 2 && (line[1] == ' ' || line[1] == '*');
  if (!blanks_) blanks_ = two ? 2 : 1;
  if (*blanks_ == 2 && !two) return {};
  return CheckLine{*digest, std::string(line.substr(*blanks_))};
}

std::optional<CheckLine> CheckLineParser::parse_tagged(std::string_view line) const {
  line.remove_prefix(hash_tag(algorithm_).size());
  if (line.starts_with(' ')) line.remove_prefix(1);
  const std::size_t close = line.rfind(')');
  if (!line.starts_with('(') || close == std::string_view::npos || close == 1) return {};
  const std::string_view name = line.substr(1, close - 1);
  line.remove_prefix(close + 1);
  skip_blanks(line);
  if (!line.starts_with('=')) return {};
  line.remove_prefix(1);
  skip_blanks(line);
  const auto digest = digest_of(line, algorithm_);
  if (!digest) return {};
  return CheckLine{*digest, std::string(name)};
}

}  // namespace colophon::cli
