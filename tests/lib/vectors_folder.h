// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdlib>
#include <filesystem>

namespace colophon::test {

// Where the packages with vectors are: the environment's COLOPHON_VECTORS_DIR, for programs that
// run on another machine than they were built on, or what the build was configured with.
inline std::filesystem::path vectors_folder() {
  const char* const folder = std::getenv("COLOPHON_VECTORS_DIR");
  return folder != nullptr ? folder : COLOPHON_VECTORS_DIR;
}

}  // namespace colophon::test
