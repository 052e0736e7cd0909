// SPDX-License-Identifier: Apache-2.0
//
// From a URI to an open token: the steps every operation starts with.
#pragma once

#include <memory>

#include "colophon/hsm/pin.h"
#include "colophon/hsm/uri.h"
#include "hsm/module.h"
#include "hsm/session.h"

namespace colophon::hsm {

// `module` keeps `token` alive. Hold no lease when the last one goes.
struct OpenToken {
  std::shared_ptr<Module> module;
  Token* token = nullptr;
};

[[nodiscard]] Result<OpenToken> open_token(const Uri& uri);

// `pin`, or the URI's pin-source where `pin` is a prompt.
// Errors: kUnsupported (a pin-source that is not a file: URI or an absolute path).
[[nodiscard]] Result<PinSource> pin_source_of(const Uri& uri, const PinSource& pin);

}  // namespace colophon::hsm
