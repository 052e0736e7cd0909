// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "colophon/backend.hpp"
#include "colophon/merkle.hpp"
#include "colophon/verifier.hpp"
#include "node/cli/check_list.h"
#include "node/cli/command.h"
#include "node/cli/file_hash.h"
#include "node/cli/flat_json.h"
#include "node/cli/folder_files.h"
#include "node/cli/hash_option.h"
#include "node/cli/hex_input.h"
#include "node/cli/line_reader.h"
#include "node/cli/merkle_proof_file.h"
#include "node/cli/progress_line.h"

namespace colophon::cli {
namespace {

// 2^24 leaves: their hashes take 512 MiB, or 1 GiB if of 64 bytes, a whole tree twice that.
constexpr std::uint64_t kLeavesMax = std::uint64_t{1} << 24;

// Leaves hashed at a time.
constexpr std::size_t kChunkLeavesMax = 4096;
constexpr std::size_t kLeafChunkBytesMax = std::size_t{4} << 20;

Result<MerkleHasher> tree_hasher(const Backend& backend, HashAlgorithm algorithm) {
  return MerkleHasher::create(backend, TreeProfile::kRfc9162, algorithm, hardware_threads());
}

// Digests have 32 bytes or 64, so what handles them is a template over their type: this chooses.
template <class Function>
Function* by_digest(HashAlgorithm algorithm, Function* of_digest, Function* of_digest64) {
  return digest_bytes(algorithm) == sizeof(Digest64) ? of_digest64 : of_digest;
}

struct MerkleOptions {
  std::string file;
  std::string folder;                         // --leaves-from
  std::optional<std::string> file_in_folder;  // --file of prove: a path below `folder`
  std::optional<std::string> leaf_file;       // --file of verify
  HashAlgorithm hash = HashAlgorithm::kSha256;
  std::optional<std::uint64_t> index;
  std::uint64_t from = 0;
  std::optional<std::uint64_t> to;
  bool json = false;
};

template <class D>
struct Leaves {
  std::vector<D> hashes;
  std::optional<std::uint64_t> wanted;    // which leaf is asked for
  std::vector<std::uint8_t> wanted_leaf;  // its bytes
};

// Takes leaf after leaf and hashes them chunk by chunk.
template <class D>
class LeafHasher {
 public:
  LeafHasher(const MerkleHasher& hasher, std::optional<std::uint64_t> wanted) : hasher_(hasher) {
    leaves_.wanted = wanted;
  }

  [[nodiscard]] std::uint64_t count() const { return leaves_.hashes.size() + offsets_.size() - 1; }

  [[nodiscard]] Result<void> add(ByteSpan leaf) {
    if (count() == kLeavesMax) {
      return make_error(ErrorCode::kLimitExceeded,
                        "more than " + std::to_string(kLeavesMax) + " leaves");
    }
    if (leaves_.wanted == count()) leaves_.wanted_leaf.assign(leaf.begin(), leaf.end());
    bytes_.insert(bytes_.end(), leaf.begin(), leaf.end());
    offsets_.push_back(bytes_.size());
    if (offsets_.size() > kChunkLeavesMax || bytes_.size() > kLeafChunkBytesMax) return flush();
    return {};
  }

  [[nodiscard]] Result<Leaves<D>> finish() {
    COLOPHON_TRY(flush());
    return std::move(leaves_);
  }

 private:
  [[nodiscard]] Result<void> flush() {
    const std::size_t hashed = leaves_.hashes.size();
    leaves_.hashes.resize(hashed + offsets_.size() - 1);
    COLOPHON_TRY(merkle_leaf_hashes<D>(hasher_, Slices{bytes_, offsets_},
                                       std::span(leaves_.hashes).subspan(hashed)));
    bytes_.clear();
    offsets_.assign(1, 0);
    return {};
  }

  const MerkleHasher& hasher_;
  Leaves<D> leaves_;
  std::vector<std::uint8_t> bytes_;
  std::vector<std::uint64_t> offsets_ = {0};
};

// Leaves in lines of hex.
template <class D>
Result<Leaves<D>> read_leaf_lines(const MerkleHasher& hasher, const MerkleOptions& options) {
  COLOPHON_TRY_ASSIGN(LineReader reader, LineReader::open(options.file, 2 * kLeafBytesMax));
  LeafHasher<D> leaves(hasher, options.index);
  const auto at_line = [&](Error error) {
    error.message = "line " + std::to_string(leaves.count() + 1) + ": " + error.message;
    error.field = options.file;
    return error;
  };
  ProgressLine progress;
  std::string line;
  std::vector<std::uint8_t> leaf;
  while (true) {
    COLOPHON_TRY_ASSIGN(const auto outcome, reader.next(line));
    if (outcome == LineReader::Outcome::kEnd) break;
    if (outcome == LineReader::Outcome::kTooLong) {
      return at_line(make_error(
          ErrorCode::kLimitExceeded,
          "a leaf has at most " + std::to_string(kLeafBytesMax) + " bytes, and this has more"));
    }
    leaf.clear();
    Result<void> taken = append_hex(line, options.file, leaf);
    if (taken) taken = leaves.add(leaf);
    if (!taken) return at_line(taken.error());
    if (leaves.count() % kChunkLeavesMax == 0) {
      progress.show(std::to_string(leaves.count()) + " leaves");
    }
  }
  return leaves.finish();
}

// A folder's files: each leaf is a file's hash, in the order of the files' paths.
template <class D>
Result<Leaves<D>> read_leaf_files(const MerkleHasher& hasher, const MerkleOptions& options) {
  COLOPHON_TRY_ASSIGN(const std::vector<std::string> files,
                      list_folder_files(options.folder, kLeavesMax));
  std::optional<std::uint64_t> wanted = options.index;
  if (options.file_in_folder) {
    const auto found = std::lower_bound(files.begin(), files.end(), *options.file_in_folder);
    if (found == files.end() || *found != *options.file_in_folder) {
      return make_error(ErrorCode::kInvalidArgument,
                        "'" + *options.file_in_folder + "' is no file in the folder", "--file");
    }
    wanted = static_cast<std::uint64_t>(found - files.begin());
  }
  LeafHasher<D> leaves(hasher, wanted);
  ProgressLine progress;
  for (const std::string& file : files) {
    const auto show = [&](std::uint64_t bytes) {
      progress.show(std::to_string(leaves.count()) + " of " + std::to_string(files.size()) +
                    " files, " + std::to_string(bytes >> 20) + " MiB of the next");
    };
    COLOPHON_TRY_ASSIGN(const FileHash hash,
                        hash_file(hasher.backend(), hasher.algorithm(), options.folder + "/" + file,
                                  FileKind::kRegular, show));
    COLOPHON_TRY(leaves.add(hash.digest()));
  }
  return leaves.finish();
}

template <class D>
Result<Leaves<D>> read_leaves(const MerkleHasher& hasher, const MerkleOptions& options) {
  if (options.folder.empty()) return read_leaf_lines<D>(hasher, options);
  return read_leaf_files<D>(hasher, options);
}

template <class D>
Result<int> print_root(const MerkleOptions& options) {
  COLOPHON_TRY_ASSIGN(const Backend backend, Backend::choose());
  COLOPHON_TRY_ASSIGN(const MerkleHasher hasher, tree_hasher(backend, options.hash));
  COLOPHON_TRY_ASSIGN(const Leaves<D> leaves, read_leaves<D>(hasher, options));
  COLOPHON_TRY_ASSIGN(const D root, merkle_root<D>(hasher, leaves.hashes));
  if (options.json) {
    std::cout << "{\"hash\":\"" << hash_name(options.hash) << "\",\"size\":" << leaves.hashes.size()
              << ",\"root\":\"" << hex_text(root) << "\"}\n";
  } else {
    std::cout << hex_text(root) << '\n';
  }
  return kExitOk;
}

template <class D>
Result<int> prove_inclusion(const MerkleOptions& options) {
  COLOPHON_TRY_ASSIGN(const Backend backend, Backend::choose());
  COLOPHON_TRY_ASSIGN(const MerkleHasher hasher, tree_hasher(backend, options.hash));
  COLOPHON_TRY_ASSIGN(Leaves<D> leaves, read_leaves<D>(hasher, options));
  COLOPHON_TRY_ASSIGN(const MerkleTreeOf<D> tree,
                      MerkleTreeOf<D>::build(hasher, std::move(leaves.hashes)));
  InclusionProofFile file;
  file.hash = options.hash;
  file.index = leaves.wanted.value_or(0);
  file.size = tree.size();
  file.leaf = std::move(leaves.wanted_leaf);
  COLOPHON_TRY_ASSIGN(const std::vector<D> proof,
                      merkle_prove_inclusion<D>(hasher, tree.nodes(), file.index, file.size));
  COLOPHON_TRY_ASSIGN(const D root, merkle_root_from_nodes<D>(hasher, tree.nodes(), file.size));
  file.proof = bytes_of(proof);
  file.root = bytes_of(root);
  std::cout << write_inclusion_proof(file) << '\n';
  return kExitOk;
}

template <class D>
Result<int> prove_consistency(const MerkleOptions& options) {
  COLOPHON_TRY_ASSIGN(const Backend backend, Backend::choose());
  COLOPHON_TRY_ASSIGN(const MerkleHasher hasher, tree_hasher(backend, options.hash));
  COLOPHON_TRY_ASSIGN(Leaves<D> leaves, read_leaves<D>(hasher, options));
  COLOPHON_TRY_ASSIGN(const MerkleTreeOf<D> tree,
                      MerkleTreeOf<D>::build(hasher, std::move(leaves.hashes)));
  ConsistencyProofFile file;
  file.hash = options.hash;
  file.from = options.from;
  file.to = options.to.value_or(tree.size());
  if (file.to > tree.size()) {
    return make_error(ErrorCode::kInvalidArgument,
                      "there are only " + std::to_string(tree.size()) + " leaves", "--to");
  }
  COLOPHON_TRY_ASSIGN(const std::vector<D> proof,
                      merkle_prove_consistency<D>(hasher, tree.nodes(), file.from, file.to));
  COLOPHON_TRY_ASSIGN(const D from_root,
                      merkle_root_from_nodes<D>(hasher, tree.nodes(), file.from));
  COLOPHON_TRY_ASSIGN(const D to_root, merkle_root_from_nodes<D>(hasher, tree.nodes(), file.to));
  file.proof = bytes_of(proof);
  file.from_root = bytes_of(from_root);
  file.to_root = bytes_of(to_root);
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

template <class D>
Result<int> check_inclusion(const Backend& backend, const InclusionProofFile& file,
                            const MerkleOptions& options) {
  COLOPHON_TRY_ASSIGN(const MerkleHasher hasher, tree_hasher(backend, file.hash));
  if (options.leaf_file) {
    COLOPHON_TRY_ASSIGN(const FileHash hash,
                        hash_file(backend, file.hash, *options.leaf_file, FileKind::kAny));
    if (!std::ranges::equal(hash.digest(), file.leaf)) {
      return answer(make_error(ErrorCode::kInvalidSignature,
                               "the leaf is not the hash of " + *options.leaf_file),
                    options.json, {});
    }
  }
  const std::uint64_t offsets[2] = {0, file.leaf.size()};
  D leaf_hash;
  COLOPHON_TRY(merkle_leaf_hashes<D>(hasher, Slices{file.leaf, offsets}, std::span(&leaf_hash, 1)));
  const std::string leaf = "leaf " + std::to_string(file.index) +
                           (options.leaf_file ? ", the hash of " + *options.leaf_file + "," : "");
  return answer(merkle_verify_inclusion<D>(hasher, leaf_hash, file.index, file.size,
                                           digests_from<D>(file.proof), digest_from<D>(file.root)),
                options.json,
                leaf + " is in the tree of " + std::to_string(file.size) + " leaves with root " +
                    hex_text(file.root));
}

template <class D>
Result<int> check_consistency(const Backend& backend, const ConsistencyProofFile& file,
                              const MerkleOptions& options) {
  COLOPHON_TRY_ASSIGN(const MerkleHasher hasher, tree_hasher(backend, file.hash));
  return answer(
      merkle_verify_consistency<D>(hasher, file.from, file.to, digest_from<D>(file.from_root),
                                   digest_from<D>(file.to_root), digests_from<D>(file.proof)),
      options.json,
      "the tree of " + std::to_string(file.to) + " leaves begins with that of " +
          std::to_string(file.from));
}

// --- The commands --------------------------------------------------------------------------------

Result<int> root_command(const MerkleOptions& options) {
  return by_digest(options.hash, print_root<Digest>, print_root<Digest64>)(options);
}

Result<int> prove_command(const MerkleOptions& options) {
  return by_digest(options.hash, prove_inclusion<Digest>, prove_inclusion<Digest64>)(options);
}

Result<int> consistency_command(const MerkleOptions& options) {
  return by_digest(options.hash, prove_consistency<Digest>, prove_consistency<Digest64>)(options);
}

Result<int> verify_command(const MerkleOptions& options) {
  COLOPHON_TRY_ASSIGN(const Backend backend, Backend::choose());
  const auto file = read_proof(options, &parse_inclusion_proof);
  if (!file) return answer(file.error(), options.json, {});
  return by_digest(file->hash, check_inclusion<Digest>, check_inclusion<Digest64>)(backend, *file,
                                                                                   options);
}

Result<int> verify_consistency_command(const MerkleOptions& options) {
  COLOPHON_TRY_ASSIGN(const Backend backend, Backend::choose());
  const auto file = read_proof(options, &parse_consistency_proof);
  if (!file) return answer(file.error(), options.json, {});
  return by_digest(file->hash, check_consistency<Digest>, check_consistency<Digest64>)(
      backend, *file, options);
}

constexpr const char* kLeavesHelp =
    "Leaves, one in hex a line (an empty line is an empty leaf), or - for standard input";
constexpr const char* kFolderHelp =
    "The leaves are the hashes of the regular files in this folder and in those below it, in the "
    "order of the bytes of their paths; symbolic links are not followed";
constexpr const char* kProofHelp = "Proof (JSON), or - for standard input";

constexpr const char* kMerkleFooter = R"(
Exit status:
  0  done, or proven
  1  the proof does not prove it
  2  usage, or input that does not have the form it must have
  3  the input cannot be read or the output not written)";

// Adds one subcommand whose status `body` gives. `check` (may be null) looks at the options first.
CLI::App* add(CLI::App& merkle, const char* name, const char* about,
              const std::shared_ptr<MerkleOptions>& options, int& exit_code,
              Result<int> (*body)(const MerkleOptions&),
              void (*check)(const MerkleOptions&) = nullptr) {
  CLI::App* command = merkle.add_subcommand(name, about);
  command->footer(kMerkleFooter);
  command->callback([options, &exit_code, body, check] {
    if (check != nullptr) check(*options);
    const Result<int> result = body(*options);
    exit_code = result ? *result : report_unchecked(in_option(result.error()), options->json);
  });
  return command;
}

void check_leaves(const MerkleOptions& options) {
  if (options.file.empty() && options.folder.empty()) {
    throw CLI::RequiredError("FILE or --leaves-from");
  }
}

void check_leaf_wanted(const MerkleOptions& options) {
  check_leaves(options);
  if (!options.index && !options.file_in_folder) {
    throw CLI::RequiredError(options.folder.empty() ? "--index" : "--index or --file");
  }
}

void add_leaves_options(CLI::App& command, MerkleOptions& options) {
  CLI::Option* file = command.add_option("FILE", options.file, kLeavesHelp)->type_name("FILE");
  command.add_option("--leaves-from", options.folder, kFolderHelp)
      ->type_name("DIR")
      ->excludes(file);
  add_hash_option(command, "--hash", options.hash, "Hash of the tree, and of --leaves-from");
}

void add_proof_option(CLI::App& command, MerkleOptions& options) {
  command.add_option("FILE", options.file, kProofHelp)->type_name("FILE")->required();
  command.add_flag("--json", options.json, "Print a JSON object");
}

}  // namespace

void add_merkle_commands(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<MerkleOptions>();
  CLI::App* merkle = app.add_subcommand("merkle", "Merkle trees of RFC 9162");
  merkle->require_subcommand(1);
  CLI::App* root =
      add(*merkle, "root", "Print the root", options, exit_code, root_command, check_leaves);
  add_leaves_options(*root, *options);
  root->add_flag("--json", options->json, "Print a JSON object");

  CLI::App* prove = add(*merkle, "prove", "Print the proof (JSON) that a leaf is in the tree",
                        options, exit_code, prove_command, check_leaf_wanted);
  add_leaves_options(*prove, *options);
  CLI::Option* index = prove->add_option("--index", options->index, "Which leaf, counted from 0")
                           ->check(check_decimal);
  prove->add_option("--file", options->file_in_folder, "Which leaf: this path below --leaves-from")
      ->type_name("NAME")
      ->needs("--leaves-from")
      ->excludes(index);

  CLI::App* consistency =
      add(*merkle, "consistency", "Print the proof (JSON) that a tree only grew", options,
          exit_code, consistency_command, check_leaves);
  add_leaves_options(*consistency, *options);
  consistency->add_option("--from", options->from, "Leaves of the old tree, at least 1")
      ->check(check_decimal)
      ->required();
  consistency->add_option("--to", options->to, "Leaves of the new tree; default: all")
      ->check(check_decimal);

  CLI::App* verify =
      add(*merkle, "verify", "Check what prove printed", options, exit_code, verify_command);
  add_proof_option(*verify, *options);
  verify->add_option("--file", options->leaf_file, "Check also that the leaf is this file's hash")
      ->type_name("FILE");

  CLI::App* verify_grown = add(*merkle, "verify-consistency", "Check what consistency printed",
                               options, exit_code, verify_consistency_command);
  add_proof_option(*verify_grown, *options);
}

}  // namespace colophon::cli
