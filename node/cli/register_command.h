// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace CLI {
class App;
}

namespace colophon::cli {

// `colophon register`; as the functions of command.h.
void add_register_command(CLI::App& app, int& exit_code);

}  // namespace colophon::cli
