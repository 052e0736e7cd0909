// SPDX-License-Identifier: Apache-2.0
#include "node/cli/pin_options.h"

#include <CLI/CLI.hpp>

namespace colophon::cli {
namespace {

[[noreturn]] void refuse_pin(const std::string&) {
  throw CLI::ValidationError("--pin",
                             "a PIN is not taken from the command line, where process lists and "
                             "shell histories show it: use --pin-file or --pin-env, and change "
                             "this PIN");
}

}  // namespace

hsm::PinSource PinOptions::source() const {
  if (!file.empty()) return hsm::PinSource::file(file);
  if (!env.empty()) return hsm::PinSource::environment(env);
  return hsm::PinSource::prompt();
}

void add_pin_options(CLI::App& command, PinOptions& options) {
  CLI::Option* const file =
      command.add_option("--pin-file", options.file,
                         "File with the token's PIN (one trailing newline is dropped; must not be "
                         "readable by everyone)");
  CLI::Option* const env =
      command.add_option("--pin-env", options.env, "Environment variable holding the token's PIN");
  // Hidden, and only there to be refused: what an unknown option was given, the parser would show.
  command.add_option_function<std::string>("--pin", refuse_pin)->group("");
  file->type_name("FILE")->excludes(env);
  env->type_name("VAR")->excludes(file);
}

}  // namespace colophon::cli
