// SPDX-License-Identifier: Apache-2.0
//
// The hash of a file of any size: read once, in pieces, never mapped, and only if it held still.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "colophon/backend.hpp"
#include "colophon/error.hpp"
#include "colophon/hash.hpp"

namespace colophon::cli {

inline constexpr std::size_t kHashPieceBytes = std::size_t{1} << 20;

struct FileHash {
  [[nodiscard]] ByteSpan digest() const { return ByteSpan(bytes).first(digest_size); }

  std::array<std::uint8_t, kDigestBytesMax> bytes{};
  std::size_t digest_size = 0;
  std::uint64_t file_bytes = 0;
};

enum class FileKind : std::uint8_t {
  kAny,      // what a user names: links are followed, pipes waited for, "-" is standard input
  kRegular,  // what a folder holds: a regular file, no link, nothing to wait for
};

// `progress` (may be null) is called with the number of bytes read so far after each piece. Errors:
// kNotFound (also: removed while it was read), kPermissionDenied, kInvalidArgument (a folder; with
// kRegular, no regular file), kUnavailable (size or time of change differ before and after),
// kIo, HashStream's; the field is the path.
[[nodiscard]] Result<FileHash> hash_file(const Backend& backend, HashAlgorithm algorithm,
                                         const std::string& path, FileKind kind,
                                         const std::function<void(std::uint64_t)>& progress = {});

}  // namespace colophon::cli
