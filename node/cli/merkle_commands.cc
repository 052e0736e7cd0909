// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "colophon/backend.hpp"
#include "colophon/merkle.hpp"
#include "node/cli/command.h"
#include "node/cli/flat_json.h"
#include "node/cli/hex_input.h"
#include "node/cli/line_reader.h"
#include "node/cli/merkle_proof_file.h"
#include "node/cli/progress_line.h"

namespace colophon::cli {
namespace {

// 2^24 leaves: their hashes take 512 MiB, a whole tree twice that.
constexpr std::uint64_t kLeavesMax = std::uint64_t{1} << 24;

// Leaves hashed at a time.
constexpr std::size_t kChunkLeavesMax = 4096;
constexpr std::size_t kLeafChunkBytesMax = std::size_t{4} << 20;

struct Leaves {
  std::vector<Digest> hashes;
  std::vector<std::uint8_t> wanted;  // the bytes of the leaf asked for
};

// Reads leaves from lines of hex and hashes them chunk by chunk.
class LeafReader {
 public:
  LeafReader(const Backend& backend, std::string path, std::optional<std::uint64_t> wanted)
      : backend_(backend), path_(std::move(path)), wanted_(wanted) {}

  [[nodiscard]] Result<Leaves> read() {
    COLOPHON_TRY_ASSIGN(LineReader reader, LineReader::open(path_, 2 * kLeafBytesMax));
    std::string line;
    while (true) {
      COLOPHON_TRY_ASSIGN(const auto outcome, reader.next(line));
      if (outcome == LineReader::Outcome::kEnd) break;
      if (outcome == LineReader::Outcome::kTooLong) {
        return at_line(make_error(
            ErrorCode::kLimitExceeded,
            "a leaf has at most " + std::to_string(kLeafBytesMax) + " bytes, and this has more"));
      }
      COLOPHON_TRY(append(line));
    }
    COLOPHON_TRY(flush());
    return std::move(leaves_);
  }

 private:
  [[nodiscard]] std::uint64_t count() const { return leaves_.hashes.size() + offsets_.size() - 1; }

  [[nodiscard]] Error at_line(Error error) const {
    error.message = "line " + std::to_string(count() + 1) + ": " + error.message;
    error.field = path_;
    return error;
  }

  [[nodiscard]] Result<void> append(const std::string& line) {
    if (count() == kLeavesMax) {
      return at_line(make_error(ErrorCode::kLimitExceeded,
                                "more than " + std::to_string(kLeavesMax) + " leaves"));
    }
    const std::size_t begin = bytes_.size();
    if (Result<void> decoded = append_hex(line, path_, bytes_); !decoded) {
      return at_line(decoded.error());
    }
    if (wanted_ == count()) {
      leaves_.wanted.assign(bytes_.begin() + static_cast<std::ptrdiff_t>(begin), bytes_.end());
    }
    offsets_.push_back(bytes_.size());
    if (offsets_.size() > kChunkLeavesMax || bytes_.size() > kLeafChunkBytesMax) return flush();
    return {};
  }

  [[nodiscard]] Result<void> flush() {
    const std::size_t hashed = leaves_.hashes.size();
    leaves_.hashes.resize(hashed + offsets_.size() - 1);
    COLOPHON_TRY(merkle_leaf_hashes(backend_, Slices{bytes_, offsets_},
                                    std::span(leaves_.hashes).subspan(hashed)));
    bytes_.clear();
    offsets_.assign(1, 0);
    progress_.show(std::to_string(leaves_.hashes.size()) + " leaves");
    return {};
  }

  const Backend& backend_;
  std::string path_;
  std::optional<std::uint64_t> wanted_;
  ProgressLine progress_;
  Leaves leaves_;
  std::vector<std::uint8_t> bytes_;
  std::vector<std::uint64_t> offsets_ = {0};
};

struct MerkleOptions {
  std::string file;
  std::uint64_t index = 0;
  std::uint64_t from = 0;
  std::optional<std::uint64_t> to;
  bool json = false;
};

std::string hex_of(const Digest& digest) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : digest) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

Result<int> print_root(const MerkleOptions& options) {
  COLOPHON_TRY_ASSIGN(const Backend backend, Backend::choose());
  COLOPHON_TRY_ASSIGN(const Leaves leaves, LeafReader(backend, options.file, std::nullopt).read());
  COLOPHON_TRY_ASSIGN(const Digest root, merkle_root(backend, leaves.hashes));
  if (options.json) {
    std::cout << "{\"hash\":\"sha256\",\"size\":" << leaves.hashes.size() << ",\"root\":\""
              << hex_of(root) << "\"}\n";
  } else {
    std::cout << hex_of(root) << '\n';
  }
  return kExitOk;
}

Result<int> prove_inclusion(const MerkleOptions& options) {
  COLOPHON_TRY_ASSIGN(const Backend backend, Backend::choose());
  COLOPHON_TRY_ASSIGN(Leaves leaves, LeafReader(backend, options.file, options.index).read());
  COLOPHON_TRY_ASSIGN(const MerkleTree tree, MerkleTree::build(backend, std::move(leaves.hashes)));
  InclusionProofFile file;
  file.index = options.index;
  file.size = tree.size();
  file.leaf = std::move(leaves.wanted);
  COLOPHON_TRY_ASSIGN(file.proof,
                      merkle_prove_inclusion(backend, tree.nodes(), options.index, tree.size()));
  COLOPHON_TRY_ASSIGN(file.root, merkle_root_from_nodes(backend, tree.nodes(), tree.size()));
  std::cout << write_inclusion_proof(file) << '\n';
  return kExitOk;
}

Result<int> prove_consistency(const MerkleOptions& options) {
  COLOPHON_TRY_ASSIGN(const Backend backend, Backend::choose());
  COLOPHON_TRY_ASSIGN(Leaves leaves, LeafReader(backend, options.file, std::nullopt).read());
  COLOPHON_TRY_ASSIGN(const MerkleTree tree, MerkleTree::build(backend, std::move(leaves.hashes)));
  ConsistencyProofFile file;
  file.from = options.from;
  file.to = options.to.value_or(tree.size());
  if (file.to > tree.size()) {
    return make_error(ErrorCode::kInvalidArgument,
                      "there are only " + std::to_string(tree.size()) + " leaves", "--to");
  }
  COLOPHON_TRY_ASSIGN(file.proof,
                      merkle_prove_consistency(backend, tree.nodes(), file.from, file.to));
  COLOPHON_TRY_ASSIGN(file.from_root, merkle_root_from_nodes(backend, tree.nodes(), file.from));
  COLOPHON_TRY_ASSIGN(file.to_root, merkle_root_from_nodes(backend, tree.nodes(), file.to));
  std::cout << write_consistency_proof(file) << '\n';
  return kExitOk;
}

// An error about an argument, named as the option it came from.
Error in_option(Error error) {
  for (const std::string_view name : {"index", "from", "to"}) {
    if (error.field == name) error.field = "--" + error.field;
  }
  return error;
}

// A proof that cannot be right (index beyond the tree, wrong length), or is no proof at all, is
// refused like one that leads to another root.
int answer(const Result<void>& checked, bool json, const std::string& proven) {
  std::string reason = proven;
  if (!checked) {
    const Error& error = checked.error();
    switch (error.code) {
      case ErrorCode::kInvalidSignature:
      case ErrorCode::kInvalidArgument:
        reason = error.message;
        break;
      case ErrorCode::kMalformed:
      case ErrorCode::kLimitExceeded:
        reason = (error.field.empty() ? "" : shown_name(error.field) + ": ") + error.message;
        break;
      default:
        return report_unchecked(error, json);
    }
  }
  if (json) {
    const nlohmann::ordered_json object = {{"valid", checked.ok()}, {"reason", reason}};
    std::cout << object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
  } else {
    std::cout << (checked ? "valid: " : "not valid: ") << printable(reason) << '\n';
  }
  return checked ? kExitOk : kExitRefused;
}

template <class File>
Result<File> read_proof(const MerkleOptions& options, Result<File> (*parse)(std::string_view)) {
  COLOPHON_TRY_ASSIGN(const std::string text, read_whole(options.file, kProofFileBytesMax));
  return parse(text);
}

Result<int> verify_inclusion(const MerkleOptions& options) {
  COLOPHON_TRY_ASSIGN(const Backend backend, Backend::choose());
  const auto parsed = read_proof(options, &parse_inclusion_proof);
  if (!parsed) return answer(parsed.error(), options.json, {});
  const InclusionProofFile& file = *parsed;
  const std::uint64_t offsets[2] = {0, file.leaf.size()};
  Digest leaf_hash;
  COLOPHON_TRY(merkle_leaf_hashes(backend, Slices{file.leaf, offsets}, std::span(&leaf_hash, 1)));
  return answer(
      merkle_verify_inclusion(backend, leaf_hash, file.index, file.size, file.proof, file.root),
      options.json,
      "leaf " + std::to_string(file.index) + " is in the tree of " + std::to_string(file.size) +
          " leaves with root " + hex_of(file.root));
}

Result<int> verify_consistency(const MerkleOptions& options) {
  COLOPHON_TRY_ASSIGN(const Backend backend, Backend::choose());
  const auto parsed = read_proof(options, &parse_consistency_proof);
  if (!parsed) return answer(parsed.error(), options.json, {});
  const ConsistencyProofFile& file = *parsed;
  return answer(merkle_verify_consistency(backend, file.from, file.to, file.from_root, file.to_root,
                                          file.proof),
                options.json,
                "the tree of " + std::to_string(file.to) + " leaves begins with that of " +
                    std::to_string(file.from));
}

constexpr const char* kLeavesHelp =
    "Leaves, one in hex a line (an empty line is an empty leaf), or - for standard input";
constexpr const char* kProofHelp = "Proof (JSON), or - for standard input";

constexpr const char* kMerkleFooter = R"(
Exit status:
  0  done, or proven
  1  the proof does not prove it
  2  usage, or input that does not have the form it must have
  3  the input cannot be read or the output not written)";

// Adds one subcommand whose status `body` gives.
CLI::App* add(CLI::App& merkle, const char* name, const char* about, const char* file_help,
              const std::shared_ptr<MerkleOptions>& options, int& exit_code,
              Result<int> (*body)(const MerkleOptions&)) {
  CLI::App* command = merkle.add_subcommand(name, about);
  command->add_option("FILE", options->file, file_help)->type_name("FILE")->required();
  command->footer(kMerkleFooter);
  command->callback([options, &exit_code, body] {
    const Result<int> result = body(*options);
    exit_code = result ? *result : report_unchecked(in_option(result.error()), options->json);
  });
  return command;
}

}  // namespace

void add_merkle_commands(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<MerkleOptions>();
  CLI::App* merkle = app.add_subcommand("merkle", "Merkle trees of RFC 9162 with SHA-256");
  merkle->require_subcommand(1);
  CLI::App* root =
      add(*merkle, "root", "Print the root", kLeavesHelp, options, exit_code, print_root);
  root->add_flag("--json", options->json, "Print a JSON object");

  CLI::App* prove = add(*merkle, "prove", "Print the proof (JSON) that a leaf is in the tree",
                        kLeavesHelp, options, exit_code, prove_inclusion);
  prove->add_option("--index", options->index, "Which leaf, counted from 0")
      ->check(check_decimal)
      ->required();

  CLI::App* consistency =
      add(*merkle, "consistency", "Print the proof (JSON) that a tree only grew", kLeavesHelp,
          options, exit_code, prove_consistency);
  consistency->add_option("--from", options->from, "Leaves of the old tree, at least 1")
      ->check(check_decimal)
      ->required();
  consistency->add_option("--to", options->to, "Leaves of the new tree; default: all")
      ->check(check_decimal);

  CLI::App* verify = add(*merkle, "verify", "Check what prove printed", kProofHelp, options,
                         exit_code, verify_inclusion);
  verify->add_flag("--json", options->json, "Print a JSON object");

  CLI::App* verify_grown = add(*merkle, "verify-consistency", "Check what consistency printed",
                               kProofHelp, options, exit_code, verify_consistency);
  verify_grown->add_flag("--json", options->json, "Print a JSON object");
}

}  // namespace colophon::cli
