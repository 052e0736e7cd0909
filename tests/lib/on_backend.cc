// SPDX-License-Identifier: Apache-2.0
//
// on_backend PROGRAM [ARGUMENT…]: runs a test program where this machine can run the backend that
// COLOPHON_BACKEND names. Where it cannot, says why and exits with 77, which CTest reports as
// skipped; any other fault is a failure.
#include <unistd.h>

#include <cstdio>

#include "colophon/backend.hpp"

int main(int argc, char** argv) {
  constexpr int kSkipped = 77;  // SKIP_RETURN_CODE in CMakeLists.txt
  if (argc < 2) {
    std::fprintf(stderr, "usage: on_backend PROGRAM [ARGUMENT...]\n");
    return 2;
  }
  const auto chosen = colophon::Backend::choose();
  if (!chosen) {
    std::printf("%s\n", chosen.error().message.c_str());
    return chosen.error().code == colophon::ErrorCode::kUnsupported ? kSkipped : 1;
  }
  execv(argv[1], argv + 1);
  std::perror(argv[1]);
  return 1;
}
