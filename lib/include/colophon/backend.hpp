// SPDX-License-Identifier: Apache-2.0
//
// Which implementation does the work. Chosen once at run time (never by the build host), forced by
// name or by COLOPHON_BACKEND, and used only after its known-answer self-test has passed.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "colophon/error.hpp"

namespace colophon {

// The environment variable that names a backend; empty or "auto" means the best supported one.
inline constexpr std::string_view kBackendVariable = "COLOPHON_BACKEND";

struct BackendInfo {
  std::string name;         // "openssl"
  std::string description;  // one line, with the version of what it stands on
  bool supported = false;   // this machine can run it
  std::string reason;       // why not supported or why its self-test failed; empty if neither
  bool self_test_passed = false;
  bool chosen_by_auto = false;
};

class BackendImplementation;  // lib/backend_implementation.h

// A chosen, self-tested backend. Cheap to copy; thread-safe; the implementation lives for the whole
// process.
class Backend {
 public:
  // `name`: a backend's name, "auto", or empty for what COLOPHON_BACKEND says ("auto" if unset).
  // Errors: kInvalidArgument (no such name; the message lists the names), kUnsupported (known, but
  // not on this machine), kInternal (its self-test failed). A forced backend never falls back
  // silently.
  [[nodiscard]] static Result<Backend> choose(std::string_view name = {});

  [[nodiscard]] std::string_view name() const noexcept;
  [[nodiscard]] const BackendImplementation& implementation() const noexcept { return *impl_; }

 private:
  explicit Backend(const BackendImplementation& impl) : impl_(&impl) {}
  const BackendImplementation* impl_;
};

// Every backend this library was built with, in order of preference. Runs self-tests not yet run.
[[nodiscard]] std::vector<BackendInfo> list_backends();

}  // namespace colophon
