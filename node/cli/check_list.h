// SPDX-License-Identifier: Apache-2.0
//
// Lines of hashes as GNU coreutils' sha256sum writes and reads them: "HEX  NAME", and with a tag
// "SHA256 (NAME) = HEX". A name with a backslash, LF or CR is written with these as \\, \n and \r,
// and its line begins with a backslash.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "colophon/hash.hpp"
#include "colophon/slices.hpp"

namespace colophon::cli {

// A path has at most 4096 bytes, twice that when escaped; digest, tag and blanks are far shorter.
inline constexpr std::size_t kCheckLineBytesMax = std::size_t{1} << 14;

enum class CheckLineForm : std::uint8_t { kPlain, kTagged };
// With kZero, names are as they are: they hold no zero byte.
enum class CheckLineEnd : std::uint8_t { kLf, kZero };

struct CheckLine {
  std::vector<std::uint8_t> digest;
  std::string name;
};

// "SHA256", "SHA512", "SM3", "BLAKE3", "KECCAK256".
[[nodiscard]] std::string_view hash_tag(HashAlgorithm algorithm) noexcept;

// `bytes` as lower-case hex.
[[nodiscard]] std::string hex_text(ByteSpan bytes);

// `name` with \\, \n and \r; as it is if it has none of these bytes.
[[nodiscard]] std::string escaped_name(std::string_view name);

[[nodiscard]] std::string write_check_line(HashAlgorithm algorithm, CheckLineForm form,
                                           CheckLineEnd end, ByteSpan digest,
                                           std::string_view name);

class CheckLineParser {
 public:
  explicit CheckLineParser(HashAlgorithm algorithm) : algorithm_(algorithm) {}

  // A line without its LF; a CR at its end is dropped. Null: not of the form.
  [[nodiscard]] std::optional<CheckLine> parse(std::string_view line);

 private:
  [[nodiscard]] std::optional<CheckLine> parse_plain(std::string_view line);
  [[nodiscard]] std::optional<CheckLine> parse_tagged(std::string_view line) const;

  HashAlgorithm algorithm_;
  // BSD's `-r` writes one blank, coreutils two: what the first line has, the others are read by,
  // for a name may begin with a blank.
  std::optional<std::size_t> blanks_;
};

}  // namespace colophon::cli
