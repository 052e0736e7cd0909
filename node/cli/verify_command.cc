// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "colophon/backend.hpp"
#include "colophon/verifier.hpp"
#include "node/cli/command.h"
#include "node/cli/line_reader.h"
#include "node/cli/progress_line.h"
#include "node/cli/signature_lines.h"

namespace colophon::cli {
namespace {

// A chunk is read, verified and written before the next: what bounds the memory. Of one kind of
// signature it is work for 64 threads.
constexpr std::size_t kChunkLinesMax = 32'768;
constexpr std::size_t kChunkBytesMax = std::size_t{32} << 20;

struct Entry {
  std::uint64_t line_number = 0;
  std::optional<SignatureLine> line;
  std::optional<Error> error;
  Verdict verdict = Verdict::kMismatch;
};

// Lines that may share a batch.
using Group = std::tuple<Scheme, SignatureEncoding, Profile, InputKind, std::string_view>;

Group group_of(const SignatureLine& line) {
  return {line.scheme, line.encoding, line.profile, line.input, line.sm2_id};
}

class ByteColumn {
 public:
  void append(const std::vector<std::uint8_t>& item) {
    bytes_.insert(bytes_.end(), item.begin(), item.end());
    offsets_.push_back(bytes_.size());
  }
  [[nodiscard]] Slices slices() const { return Slices{bytes_, offsets_}; }

 private:
  std::vector<std::uint8_t> bytes_;
  std::vector<std::uint64_t> offsets_ = {0};
};

Result<void> verify_group(const Backend& backend, const Group& group,
                          const std::vector<Entry*>& entries) {
  ByteColumn inputs;
  ByteColumn signatures;
  ByteColumn public_keys;
  for (const Entry* entry : entries) {
    inputs.append(entry->line->data);
    signatures.append(entry->line->signature);
    public_keys.append(entry->line->public_key);
  }
  VerifyBatch batch;
  std::tie(batch.scheme, batch.encoding, batch.profile, batch.input, batch.sm2_id) = group;
  batch.inputs = inputs.slices();
  batch.signatures = signatures.slices();
  batch.public_keys = public_keys.slices();
  batch.threads = hardware_threads();
  std::vector<Verdict> verdicts(entries.size());
  COLOPHON_TRY(verify_batch(backend, batch, verdicts));
  for (std::size_t i = 0; i < entries.size(); ++i) entries[i]->verdict = verdicts[i];
  return {};
}

class VerifyRun {
 public:
  VerifyRun(Backend backend, LineReader reader) : backend_(backend), reader_(std::move(reader)) {}

  // The exit code.
  [[nodiscard]] Result<int> run(bool summary) {
    while (true) {
      COLOPHON_TRY(read_chunk());
      if (chunk_.empty()) break;
      COLOPHON_TRY(verify_chunk());
      COLOPHON_TRY(write_chunk());
    }
    warn_of_faults();
    if (summary) write_summary();
    if (errors_ != 0) return kExitBadInput;
    return refused_ != 0 ? kExitRefused : kExitOk;
  }

 private:
  [[nodiscard]] Result<void> read_chunk() {
    chunk_.clear();
    std::size_t bytes = 0;
    std::string text;
    while (chunk_.size() < kChunkLinesMax && bytes < kChunkBytesMax) {
      COLOPHON_TRY_ASSIGN(const auto outcome, reader_.next(text));
      if (outcome == LineReader::Outcome::kEnd) break;
      Entry& entry = chunk_.emplace_back();
      entry.line_number = ++lines_;
      bytes += text.size();
      if (outcome == LineReader::Outcome::kTooLong) {
        entry.error = make_error(
            ErrorCode::kLimitExceeded,
            "longer than " + std::to_string(kSignatureLineBytesMax) + " bytes: it was skipped");
        continue;
      }
      Result<SignatureLine> line = parse_signature_line(text);
      if (line) {
        entry.line = std::move(line).value();
      } else {
        entry.error = std::move(line).error();
      }
    }
    return {};
  }

  [[nodiscard]] Result<void> verify_chunk() {
    std::map<Group, std::vector<Entry*>> groups;
    for (Entry& entry : chunk_) {
      if (entry.line) groups[group_of(*entry.line)].push_back(&entry);
    }
    for (const auto& [group, entries] : groups) {
      COLOPHON_TRY(verify_group(backend_, group, entries));
    }
    return {};
  }

  [[nodiscard]] Result<void> write_chunk() {
    progress_.clear();
    for (const Entry& entry : chunk_) {
      if (entry.error) {
        ++errors_;
        std::cout << error_line(entry.line_number, *entry.error) << '\n';
      } else {
        if (entry.verdict != Verdict::kValid) ++refused_;
        std::cout << verdict_line(entry.verdict) << '\n';
      }
    }
    std::cout.flush();
    if (!std::cout) return make_error(ErrorCode::kIo, "standard output cannot be written");
    progress_.show(std::to_string(lines_) + " lines, " + std::to_string(refused_) + " not valid, " +
                   std::to_string(errors_) + " errors, on " + std::string(backend_.name()));
    return {};
  }

  // On standard error: standard output is the same whatever did the work.
  void write_summary() {
    progress_.clear();
    nlohmann::ordered_json summary = {{"lines", lines_},
                                      {"valid", lines_ - refused_ - errors_},
                                      {"not_valid", refused_},
                                      {"errors", errors_},
                                      {"backend", backend_.name()}};
    if (const auto device = backend_.device()) {
      summary["device"] = device->name;
      summary["signatures_on_device"] = device->signatures - before_.signatures;
      summary["signatures_on_cpu"] = device->signatures_on_cpu - before_.signatures_on_cpu;
    }
    std::cerr << summary.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)
              << std::endl;
  }
  // The CPU has done the work, but whoever counts on the GPU should know.
  void warn_of_faults() {
    const auto device = backend_.device();
    if (!device || device->faults == before_.faults) return;
    progress_.clear();
    std::cerr << "colophon: warning: GPU " << device->index << " (" << printable(device->name)
              << ") failed, and the CPU verified "
              << device->signatures_on_cpu - before_.signatures_on_cpu
              << " signatures in its place: " << printable(device->last_fault) << std::endl;
  }

  Backend backend_;
  const DeviceInfo before_ = backend_.device().value_or(DeviceInfo());  // after the self-test
  LineReader reader_;
  ProgressLine progress_;
  std::vector<Entry> chunk_;
  std::uint64_t lines_ = 0;
  std::uint64_t refused_ = 0;
  std::uint64_t errors_ = 0;
};

Result<int> verify_file(const std::string& path, const std::string& backend_name, bool summary) {
  auto backend = Backend::choose(backend_name);
  if (!backend) {
    Error error = std::move(backend).error();
    if (!backend_name.empty()) error.field = "--backend";
    return error;
  }
  COLOPHON_TRY_ASSIGN(LineReader reader, LineReader::open(path, kSignatureLineBytesMax));
  return VerifyRun(*backend, std::move(reader)).run(summary);
}

constexpr const char* kVerifySignaturesFooter = R"(
Each line is one JSON object:
  {"scheme":"ecdsa-p256-sha256|ecdsa-secp256k1-sha256|ed25519|sm2-sm3",
   "public_key":HEX, "message":HEX | "digest":HEX, "signature":HEX,
   "encoding":"raw|der" (default raw), "profile":"standard|low_s|zip215|strict",
   "sm2_id":HEX (sm2-sm3 with a message only)}
Each line of the answer, in the same order, is {"valid":true|false,"reason":"..."}, or
{"error":"line N: field 'F': ...","line":N,"field":"F"} for a line that is not such an object.

Exit status:
  0  every signature is valid
  1  some signature is not valid
  2  some line is not such an object
  3  the input cannot be read or the output not written)";

}  // namespace

void add_verify_command(CLI::App& app, int& exit_code) {
  struct Options {
    std::string file;
    std::string backend;
    bool summary = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("verify", "Verify signatures given as JSON Lines");
  command->add_option("FILE", options->file, "JSON Lines file, or - for standard input")
      ->type_name("FILE")
      ->required();
  command
      ->add_option("--backend", options->backend,
                   "Backend to use instead of what COLOPHON_BACKEND says")
      ->type_name("NAME");
  command->add_flag("--summary", options->summary,
                    "At the end, print one JSON line on standard error: counts, and which backend");
  command->footer(kVerifySignaturesFooter);
  command->callback([options, &exit_code] {
    const Result<int> result = verify_file(options->file, options->backend, options->summary);
    exit_code = result ? *result : report_unchecked(result.error());
  });
}

}  // namespace colophon::cli
