// SPDX-License-Identifier: Apache-2.0
//
// How every subcommand that signs is told where the PIN is.
#pragma once

#include <string>

#include "colophon/hsm/pin.h"

namespace CLI {
class App;
}

namespace colophon::cli {

struct PinOptions {
  std::string file;  // --pin-file
  std::string env;   // --pin-env

  // The file, the environment variable, or (neither given) a prompt on the terminal; a pin-source
  // in the key's URI takes the place of the prompt.
  [[nodiscard]] hsm::PinSource source() const;
  [[nodiscard]] bool given() const noexcept { return !file.empty() || !env.empty(); }
};

// Adds --pin-file FILE and --pin-env VAR, which exclude each other, to `command`. `options`
// outlives the parse.
void add_pin_options(CLI::App& command, PinOptions& options);

}  // namespace colophon::cli
