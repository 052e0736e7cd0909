// SPDX-License-Identifier: Apache-2.0
//
// Which files a folder holds, in one order everywhere.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "colophon/error.hpp"

namespace colophon::cli {

// What their paths take together, at most: 64 bytes for each of 2^24 files.
inline constexpr std::size_t kFolderPathBytesMax = std::size_t{1} << 30;

// The regular files in `folder` and the folders in it, as paths below it ("a/b"), in the order of
// these paths' bytes. Symbolic links are not followed; they, pipes, sockets and devices are left
// out. Errors: kLimitExceeded (more than files_max, or than kFolderPathBytesMax), kNotFound (also:
// vanished meanwhile), kPermissionDenied, kIo; the field is the path.
[[nodiscard]] Result<std::vector<std::string>> list_folder_files(const std::string& folder,
                                                                 std::size_t files_max);

}  // namespace colophon::cli
