// SPDX-License-Identifier: Apache-2.0
//
// What coreutils' sha256sum does, for five hashes. Its words and its exit status are kept: 0, and 1
// for whatever went wrong with a file.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "colophon/backend.hpp"
#include "node/cli/check_list.h"
#include "node/cli/command.h"
#include "node/cli/file_hash.h"
#include "node/cli/hash_option.h"
#include "node/cli/line_reader.h"
#include "node/cli/progress_line.h"

namespace colophon::cli {
namespace {

// Of --quiet, --status and --warn the last counts.
enum class Telling : std::uint8_t { kResults, kFailures, kNothing, kFaultyLines };

struct HashOptions {
  std::vector<std::string> files;
  HashAlgorithm algorithm = HashAlgorithm::kSha256;
  std::string backend;
  bool check = false;
  bool tag = false;
  bool zero = false;
  bool strict = false;
  bool ignore_missing = false;
  bool json = false;
  Telling telling = Telling::kResults;
};

void print_json(const nlohmann::ordered_json& object) {
  std::cout << object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
}

// As sha256sum shows names in what it says of a check; a terminal is not steered by them.
std::string result_name(const std::string& name) {
  if (name.find('\n') != std::string::npos) return "\\" + escaped_name(name);
  return ::isatty(STDOUT_FILENO) == 1 ? printable(name) : name;
}

std::string list_name(const std::string& path) { return path == "-" ? "standard input" : path; }

std::string counted(std::uint64_t count, const char* one, const char* many) {
  return std::to_string(count) + " " + (count == 1 ? one : many);
}

class HashRun {
 public:
  HashRun(const Backend& backend, const HashOptions& options)
      : backend_(backend), options_(options) {}

  // The exit code.
  [[nodiscard]] int hash_files() {
    for (const std::string& path : options_.files) {
      const Result<FileHash> hash = read(path);
      if (hash) {
        write_hash(path, *hash);
      } else {
        tell(hash.error());
      }
      if (!std::cout) break;
    }
    return all_well_ ? kExitOk : kExitRefused;
  }

  [[nodiscard]] int check_lists() {
    for (const std::string& path : options_.files) {
      counts_ = {};
      if (Result<void> checked = check_list(path); !checked) {
        tell(checked.error());
      } else {
        summarize(path);
      }
      if (!std::cout) break;
    }
    return all_well_ ? kExitOk : kExitRefused;
  }

 private:
  struct Counts {
    std::uint64_t lines = 0;  // of the form
    std::uint64_t faulty = 0;
    std::uint64_t matched = 0;
    std::uint64_t differ = 0;
    std::uint64_t unreadable = 0;
  };

  [[nodiscard]] Result<FileHash> read(const std::string& path) {
    const auto show = [this](std::uint64_t file_bytes) {
      progress_.show(counted(files_, "file", "files") + ", " +
                     std::to_string((bytes_ + file_bytes) >> 20) + " MiB");
    };
    Result<FileHash> hash = hash_file(backend_, options_.algorithm, path, FileKind::kAny, show);
    if (hash) {
      ++files_;
      bytes_ += hash->file_bytes;
    }
    progress_.clear();
    return hash;
  }

  void tell(const Error& error) {
    all_well_ = false;
    std::cout.flush();  // in order, where both go to one place
    (void)report(error, options_.json);
  }

  // About a list as a whole, or a line of it. With --json a program reads the lines, and counts.
  void warn(const std::string& text) {
    if (options_.json) return;
    std::cout.flush();
    std::cerr << "colophon: " << printable(text) << std::endl;
  }

  void write_hash(const std::string& path, const FileHash& hash) {
    if (options_.json) {
      print_json({{"file", path},
                  {"hash", hash_name(options_.algorithm)},
                  {"digest", hex_text(hash.digest())},
                  {"bytes", hash.file_bytes}});
      return;
    }
    const auto form = options_.tag ? CheckLineForm::kTagged : CheckLineForm::kPlain;
    const auto end = options_.zero ? CheckLineEnd::kZero : CheckLineEnd::kLf;
    std::cout << write_check_line(options_.algorithm, form, end, hash.digest(), path);
  }

  // An error: the list cannot be read, or no line of it has the form.
  [[nodiscard]] Result<void> check_list(const std::string& path) {
    COLOPHON_TRY_ASSIGN(LineReader reader, LineReader::open(path, kCheckLineBytesMax));
    CheckLineParser parser(options_.algorithm);
    std::string text;
    for (std::uint64_t number = 1;; ++number) {
      COLOPHON_TRY_ASSIGN(const auto outcome, reader.next(text));
      if (outcome == LineReader::Outcome::kEnd) break;
      const bool too_long = outcome == LineReader::Outcome::kTooLong;
      if (!too_long && (text.empty() || text == "\r" || text[0] == '#')) continue;
      const auto line = too_long ? std::nullopt : parser.parse(text);
      // Standard input is not both a list and a file.
      if (!line || (path == "-" && line->name == "-")) {
        tell_faulty_line(path, number);
        continue;
      }
      ++counts_.lines;
      check_line(*line);
    }
    if (counts_.lines != 0) return {};
    return make_error(ErrorCode::kMalformed, "no properly formatted checksum lines found",
                      list_name(path));
  }

  void tell_faulty_line(const std::string& path, std::uint64_t number) {
    ++counts_.faulty;
    if (options_.strict) all_well_ = false;
    const std::string what =
        "improperly formatted " + std::string(hash_tag(options_.algorithm)) + " checksum line";
    if (options_.json) {
      print_json({{"error",
                   {{"code", error_code_name(ErrorCode::kMalformed)},
                    {"field", list_name(path)},
                    {"message", "line " + std::to_string(number) + ": " + what}}}});
    } else if (options_.telling == Telling::kFaultyLines) {
      warn(list_name(path) + ": " + std::to_string(number) + ": " + what);
    }
  }

  void check_line(const CheckLine& line) {
    const Result<FileHash> hash = read(line.name);
    if (!hash) {
      if (options_.ignore_missing && hash.error().native == ENOENT) return;
      ++counts_.unreadable;
      tell(hash.error());
      if (!options_.json) write_result(line.name, "FAILED open or read", false);
      return;
    }
    const bool same = std::ranges::equal(hash->digest(), line.digest);
    ++(same ? counts_.matched : counts_.differ);
    if (!same) all_well_ = false;
    write_result(line.name, same ? "OK" : "FAILED", same);
  }

  void write_result(const std::string& name, const char* result, bool ok) {
    if (options_.telling == Telling::kNothing) return;
    if (ok && options_.telling == Telling::kFailures) return;
    if (options_.json) {
      print_json({{"file", name}, {"valid", ok}});
    } else {
      std::cout << result_name(name) << ": " << result << '\n';
    }
  }

  void summarize(const std::string& path) {
    const bool none = counts_.matched == 0;
    if (none) all_well_ = false;
    if (options_.telling == Telling::kNothing) return;
    const auto warn_of = [this](std::uint64_t count, const char* one, const char* many) {
      if (count != 0) warn("WARNING: " + counted(count, one, many));
    };
    warn_of(counts_.faulty, "line is improperly formatted", "lines are improperly formatted");
    warn_of(counts_.unreadable, "listed file could not be read", "listed files could not be read");
    warn_of(counts_.differ, "computed checksum did NOT match", "computed checksums did NOT match");
    if (options_.ignore_missing && none) warn(list_name(path) + ": no file was verified");
  }

  const Backend& backend_;
  const HashOptions& options_;
  ProgressLine progress_;
  Counts counts_;
  std::uint64_t files_ = 0;
  std::uint64_t bytes_ = 0;
  bool all_well_ = true;
};

Result<int> run_hash(HashOptions& options) {
  auto backend = Backend::choose(options.backend);
  if (!backend) {
    Error error = std::move(backend).error();
    if (!options.backend.empty()) error.field = "--backend";
    return error;
  }
  // Said once, not for every file.
  if (auto stream = HashStream::create(*backend, options.algorithm); !stream) {
    return std::move(stream).error();
  }
  if (options.files.empty()) options.files.emplace_back("-");
  HashRun run(*backend, options);
  return options.check ? run.check_lists() : run.hash_files();
}

constexpr char kMark = '\1';

constexpr const char* kHashFooter = R"(
Lines and messages are those of GNU coreutils' sha256sum, and each reads the other's lists. Of
--quiet, --status and --warn the last counts. A file that changes while it is read is an error.

Exit status:
  0  done; with --check, every file listed has its hash
  1  a file cannot be read or changed meanwhile (the others are hashed), or --check failed
  2  usage
  3  the machine cannot do it, or the output cannot be written)";

}  // namespace

void mark_names(std::vector<std::string>& arguments) {
  for (std::string& argument : arguments) {
    const bool is_taken_apart = argument.starts_with('[') && argument.ends_with(']');
    if (is_taken_apart || argument.starts_with(kMark)) argument.insert(argument.begin(), kMark);
  }
}

void add_hash_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<HashOptions>();
  CLI::App* command = app.add_subcommand(
      std::string(kHashCommand), "Print the hashes of files, or check such a list (--check)");
  CLI::Option* files =
      command->add_option("FILE", options->files, "Files to hash; none, or -: standard input")
          ->type_name("FILE");
  add_hash_option(*command, "--algorithm", options->algorithm, "Which hash");
  CLI::Option* check =
      command->add_flag("-c,--check", options->check, "FILE are lists of hashes: check them");
  CLI::Option* tag = command->add_flag("--tag", options->tag, "Print lines as BSD's md5 does");
  CLI::Option* zero =
      command->add_flag("-z,--zero", options->zero,
                        "End lines with a zero byte instead of LF; names stay as they are");
  CLI::Option* json = command->add_flag("--json", options->json, "Print a JSON object a file");
  command
      ->add_option("--backend", options->backend,
                   "Backend to use instead of what COLOPHON_BACKEND says")
      ->type_name("NAME");
  // As sha256sum's: here the two have never differed.
  command->add_flag("-b,--binary,-t,--text")
      ->description("Nothing: all files are read as they are");
  CLI::Option* quiet = command->add_flag("--quiet")->description("With --check: print no OK");
  CLI::Option* status = command->add_flag("--status")
                            ->description("With --check: print nothing, the exit status tells");
  CLI::Option* warn = command->add_flag("-w,--warn")
                          ->description("With --check: tell every line that has not the form");
  CLI::Option* strict =
      command->add_flag("--strict", options->strict, "With --check: such a line is a failure");
  CLI::Option* ignore_missing = command->add_flag("--ignore-missing", options->ignore_missing,
                                                  "With --check: skip files that are not there");
  for (CLI::Option* option : {quiet, status, warn, strict, ignore_missing}) option->needs(check);
  for (CLI::Option* option : {check, json}) option->excludes(tag)->excludes(zero);
  command->footer(kHashFooter);
  command->callback([=, &exit_code] {
    for (const CLI::Option* option : command->parse_order()) {
      if (option == quiet) options->telling = Telling::kFailures;
      if (option == status) options->telling = Telling::kNothing;
      if (option == warn) options->telling = Telling::kFaultyLines;
    }
    options->files = files->results();  // CLI11's conversion takes "{}" for no file at all
    for (std::string& file : options->files) {
      if (file.starts_with(kMark)) file.erase(0, 1);
    }
    const Result<int> result = run_hash(*options);
    exit_code = result ? *result : report_unchecked(result.error(), options->json);
  });
}

}  // namespace colophon::cli
