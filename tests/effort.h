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

// Of cases that are all alike to a sanitizer, such as every byte of a file altered, a debug build
// takes every `step`-th; Release, and the heavier form, take all.
inline std::size_t sample_step(std::size_t step) { return kIsDebug && !is_long() ? step : 1; }

}  // namespace colophon::test
