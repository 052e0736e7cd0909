// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <csignal>
#include <exception>
#include <iostream>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "node/cli/command.h"

namespace {

constexpr const char* kFooter = R"(
Exit status:
  0  done; what was checked is right
  1  checked, and the answer is no: refused, not valid, not found, already there, not allowed
  2  usage, or input that does not have the form it must have
  3  failed: disk, network, node, HSM or machine; trying later may help)";

// A command that says nothing of its exit status has the meaning they all have.
void complete_help(CLI::App& app) {
  for (CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    const std::string footer = command->get_footer();
    if (footer.find("Exit status") == std::string::npos) {
      command->footer(footer.empty() ? kFooter : footer + "\n" + kFooter);
    }
    complete_help(*command);
  }
}

int run(int argc, char** argv) {
  using namespace colophon::cli;  // NOLINT: ten add_* functions, this function only

  CLI::App app("Colophon: evidence of works and rights on a consortium's ledger", "colophon");
  app.footer(kFooter);
  app.set_version_flag("--version", std::string("colophon ") + COLOPHON_VERSION);
  app.require_subcommand(0, 1);

  int exit_code = kExitOk;
  add_node_commands(app, exit_code);
  add_client_commands(app, exit_code);
  add_certificate_commands(app, exit_code);
  add_ca_commands(app, exit_code);
  add_hsm_commands(app, exit_code);
  add_backends_command(app, exit_code);
  add_verify_command(app, exit_code);
  add_hash_command(app, exit_code);
  add_merkle_commands(app, exit_code);
  add_completion_command(app, exit_code);
  complete_help(app);

  try {
    std::vector<std::string> arguments;  // the last first, as CLI11 takes them
    for (int i = argc - 1; i > 0; --i) arguments.emplace_back(argv[i]);
    if (argc > 1 && arguments.back() == kHashCommand) mark_names(arguments);
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    // Help and version arrive here too, with status 0.
    return app.exit(error) == 0 ? kExitOk : kExitBadInput;
  }
  if (app.get_subcommands().empty()) {
    std::cerr << app.help();
    return kExitBadInput;
  }
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  // A connection or pipe that closes is an error to report, not a reason to die unheard.
  std::signal(SIGPIPE, SIG_IGN);
  int status = colophon::cli::kExitFailed;
  try {
    status = run(argc, argv);
  } catch (const std::bad_alloc&) {
    std::cerr << "colophon: there is not enough memory" << std::endl;
  } catch (const std::exception& error) {
    std::cerr << "colophon: " << error.what() << std::endl;
  }
  std::cout.flush();
  if (!std::cout && status == colophon::cli::kExitOk) {
    std::cerr << "colophon: standard output cannot be written" << std::endl;
    return colophon::cli::kExitFailed;
  }
  return status;
}
