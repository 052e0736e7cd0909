// SPDX-License-Identifier: Apache-2.0
//
// Files as the commands use them: documents of any size, read once and never held in memory; small
// files written so that they are there whole or not at all.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "colophon/error.hpp"
#include "colophon/hash.hpp"

namespace colophon::cli {

// SHA-256 of a regular file's bytes. `progress` (may be null) is called now and then with the
// number of bytes read so far. Errors: kNotFound, kPermissionDenied, kInvalidArgument (not a
// regular file), kIo; the field is the path.
[[nodiscard]] Result<Digest> hash_document(const std::string& path,
                                           const std::function<void(std::uint64_t)>& progress = {});

// Size in bytes; the errors of hash_document.
[[nodiscard]] Result<std::uint64_t> document_size(const std::string& path);

// A file of at most `bytes_max` bytes, whole. Errors as above; kLimitExceeded.
[[nodiscard]] Result<std::string> read_file(const std::string& path, std::size_t bytes_max);

enum class Overwrite : std::uint8_t { kRefuse, kReplace };

// Writes `bytes` with file mode `mode` and syncs file and folder before it returns; a reader sees
// the old file or the new one. Errors: kAlreadyExists (kRefuse: something has that name), kNotFound
// (no such folder), kPermissionDenied, kIo; the field is the path.
[[nodiscard]] Result<void> write_file(const std::string& path, std::string_view bytes,
                                      unsigned mode, Overwrite overwrite);

}  // namespace colophon::cli
