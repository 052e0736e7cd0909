// SPDX-License-Identifier: Apache-2.0
//
// How much a test tries.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <string_view>

namespace colophon::test {

// COLOPHON_TEST_LONG=1 (scripts/test --long) asks for the heavier form.
inline bool is_long() {
  const char* const value = std::getenv("COLOPHON_TEST_LONG");
  return value != nullptr && std::string_view(value) == "1";
}

// Sanitizers and coverage, which debug builds are for, make everything many times slower.
#if defined(NDEBUG)
inline constexpr bool kIsDebug = false;
#else
inline constexpr bool kIsDebug = true;
#endif

// How many cases of a kind, such as random ones.
inline std::size_t number_of_cases(std::size_t in_long, std::size_t in_release,
                                   std::size_t in_debug) {
  if (is_long()) return in_long;
  return kIsDebug ? in_debug : in_release;
}

// Of cases that are much alike, such as a byte of a file altered in this way or that, the heavier
// form takes all, Release every so-many-th, and a debug build, which looks for what sanitizers
// find, fewer.
inline std::size_t sample_step(std::size_t in_release, std::size_t in_debug) {
  return number_of_cases(1, in_release, in_debug);
}

}  // namespace colophon::test
