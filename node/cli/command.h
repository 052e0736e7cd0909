// SPDX-License-Identifier: Apache-2.0
//
// What every subcommand of `colophon` shares: exit codes, and one way to report an error.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "colophon/error.hpp"

namespace CLI {
class App;
}

namespace colophon::cli {

// Documented in `colophon --help`.
inline constexpr int kExitOk = 0;
inline constexpr int kExitRefused = 1;   // checked, and the answer is no
inline constexpr int kExitBadInput = 2;  // usage, or input that does not have the form it must have
inline constexpr int kExitFailed = 3;    // disk, network, node, HSM: trying later may help

// Prints "colophon: FIELD: MESSAGE" on standard error (with `json`, instead
// {"error":{"code","field","message"}} on standard output) and returns the exit code for it.
int report(const Error& error, bool json = false);

// The same for a command that checks something, when it could not check: never kExitRefused, which
// there always means that the answer is no.
int report_unchecked(const Error& error, bool json = false);

// `text` with control characters replaced: a file name or a server's words must not steer the
// terminal.
[[nodiscard]] std::string printable(std::string_view text);

// A check for options that take a number: empty if `text` is a decimal number below 2^64, else what
// is wrong. CLI11 alone takes "-1" for 2^64-1 and "010" for 8.
[[nodiscard]] std::string check_decimal(const std::string& text);
[[nodiscard]] std::string check_positive(const std::string& text);  // the same, and not 0

// Each adds its subcommands to `app`; a subcommand's callback stores its status in `exit_code`.
// `app` and `exit_code` outlive the parse.
void add_backends_command(CLI::App& app, int& exit_code);
void add_verify_command(CLI::App& app, int& exit_code);
void add_hash_command(CLI::App& app, int& exit_code);
// CLI11 takes the name "[a,b]" for two, where there may be several: arguments of `hash` that it
// would take apart get a mark, which add_hash_command's callback takes off.
inline constexpr std::string_view kHashCommand = "hash";
void mark_names(std::vector<std::string>& arguments);
void add_merkle_commands(CLI::App& app, int& exit_code);
void add_hsm_commands(CLI::App& app, int& exit_code);
void add_ca_commands(CLI::App& app, int& exit_code);
void add_node_commands(CLI::App& app, int& exit_code);
void add_client_commands(CLI::App& app,
                         int& exit_code);  // enrol, register, transfer, show, history
void add_certificate_commands(CLI::App& app, int& exit_code);
void add_completion_command(CLI::App& app, int& exit_code);

}  // namespace colophon::cli
