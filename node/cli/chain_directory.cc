// SPDX-License-Identifier: Apache-2.0
#include "node/cli/chain_directory.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include "node/cli/document.h"
#include "node/cli/pem_file.h"
#include "node/event.h"
#include "node/x509.h"

namespace colophon::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kGenesisFileBytesMax = 64 * 1024;
constexpr const char* kDataField = "--data";

std::string genesis_path(const std::string& data) { return data + "/genesis.json"; }
std::string configuration_path(const std::string& data) { return data + "/node.json"; }
std::string certificates_path(const std::string& data) { return data + "/log-certificates.pem"; }
// RocksDB's own mark of a database that is there.
std::string database_mark(const std::string& data) { return data + "/db/CURRENT"; }

bool is_there(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

Error data_error(ErrorCode code, std::string message) {
  return make_error(code, std::move(message), kDataField);
}

Error system_error(const std::string& path, int number) {
  ErrorCode code = ErrorCode::kIo;
  if (number == ENOENT || number == ENOTDIR) code = ErrorCode::kNotFound;
  if (number == EACCES || number == EPERM || number == EROFS) code = ErrorCode::kPermissionDenied;
  return make_error(code, path + " cannot be made: " + std::generic_category().message(number),
                    kDataField, static_cast<std::uint64_t>(number));
}

// A folder that goes away with all that is in it, unless it was moved to its place.
class StagedFolder {
 public:
  explicit StagedFolder(std::string path) : path_(std::move(path)) {}
  StagedFolder(const StagedFolder&) = delete;
  StagedFolder& operator=(const StagedFolder&) = delete;
  ~StagedFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  Result<void> move_to(const std::string& place) {
    if (std::rename(path_.c_str(), place.c_str()) != 0) {
      const int number = errno;
      if (number == ENOTEMPTY || number == EEXIST) return check_no_chain(place);
      if (number == EBUSY) {
        return data_error(ErrorCode::kInvalidArgument,
                          place + " is a mount point: name a folder inside it");
      }
      return system_error(place, number);
    }
    path_.clear();
    const std::string parent = fs::path(place).parent_path().string();
    const int folder = ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool synced = folder >= 0 && ::fsync(folder) == 0;
    const int number = errno;
    if (folder >= 0) ::close(folder);
    if (!synced) return system_error(place, number);
    return {};
  }

 private:
  std::string path_;
};

// The error of a file in DATA, with the file named.
template <class T>
Result<T> in_file(Result<T> result, const std::string& path) {
  if (result) return result;
  Error error = std::move(result).error();
  error.message = path + ": " + error.message;
  return error;
}

}  // namespace

Result<std::string> resolve_data_path(const std::string& path) {
  std::error_code error;
  fs::path resolved = fs::weakly_canonical(fs::absolute(path, error), error);
  if (path.empty() || error) {
    return data_error(ErrorCode::kInvalidArgument, "'" + path + "' is not a path");
  }
  if (!resolved.has_filename()) resolved = resolved.parent_path();  // it ended in a slash
  return resolved.string();
}

Result<void> check_no_chain(const std::string& path) {
  if (is_there(genesis_path(path)) || is_there(database_mark(path))) {
    return data_error(ErrorCode::kAlreadyExists,
                      path +
                          " holds a chain already, which is never overwritten: start it with "
                          "'colophon node start', or name another folder");
  }
  std::error_code error;
  const auto status = fs::symlink_status(path, error);
  if (status.type() == fs::file_type::not_found) return {};
  if (fs::is_directory(status) && fs::is_empty(path, error) && !error) return {};
  return data_error(ErrorCode::kAlreadyExists,
                    path + " is not an empty folder: name one that is, or one that is not there");
}

Result<void> create_chain_directory(const ChainDirectory& directory,
                                    const std::function<Result<void>(const std::string&)>& fill) {
  COLOPHON_TRY(check_no_chain(directory.path));
  std::string staging = directory.path + ".XXXXXX";
  if (::mkdtemp(staging.data()) == nullptr) {
    const int number = errno;
    if (number != EACCES || !is_there(directory.path)) return system_error(directory.path, number);
    return data_error(ErrorCode::kPermissionDenied,
                      directory.path +
                          " lies in a folder where this user may not write, as is "
                          "needed to make it in one step: name a folder inside it");
  }
  StagedFolder staged(staging);

  std::string pem;
  for (const node::Der& certificate : directory.log_certificates) pem += node::to_pem(certificate);
  const auto write = [](const std::string& path, const std::string& bytes) {
    return write_file(path, bytes, 0600, Overwrite::kRefuse);
  };
  COLOPHON_TRY(write(genesis_path(staging), node::serialize_genesis(directory.genesis)));
  COLOPHON_TRY(
      write(configuration_path(staging), serialize_node_configuration(directory.configuration)));
  COLOPHON_TRY(write(certificates_path(staging), pem));
  COLOPHON_TRY(fill(staging));
  return staged.move_to(directory.path);
}

Result<node::Genesis> read_genesis(const std::string& path) {
  const std::string file = genesis_path(path);
  if (!is_there(file)) {
    return data_error(ErrorCode::kNotFound, "there is no chain in " + path +
                                                " (no genesis.json): make one with 'colophon node "
                                                "init'");
  }
  COLOPHON_TRY_ASSIGN(const std::string text, read_file(file, kGenesisFileBytesMax));
  return in_file(node::parse_genesis(text), file);
}

Result<ChainDirectory> read_chain_directory(const std::string& path) {
  ChainDirectory directory;
  directory.path = path;
  COLOPHON_TRY_ASSIGN(directory.genesis, read_genesis(path));
  if (!is_there(database_mark(path))) {
    // To begin again at height 0 would be a second history under the same name and key.
    return data_error(ErrorCode::kCorrupt,
                      path + " has a genesis.json but no ledger (db): restore a backup");
  }
  const std::string file = configuration_path(path);
  COLOPHON_TRY_ASSIGN(const std::string text, read_file(file, kNodeConfigurationBytesMax));
  COLOPHON_TRY_ASSIGN(directory.configuration, in_file(parse_node_configuration(text), file));
  COLOPHON_TRY_ASSIGN(directory.log_certificates,
                      read_certificates(certificates_path(path), "log-certificates.pem"));
  COLOPHON_TRY(check_log_certificates(directory.log_certificates, directory.genesis, 0,
                                      "log-certificates.pem"));
  return directory;
}

Result<void> check_log_certificates(const std::vector<node::Der>& certificates,
                                    const node::Genesis& genesis, std::uint64_t time_ms,
                                    const std::string& field) {
  const auto refuse = [&field](std::string message) {
    return make_error(ErrorCode::kInvalidArgument, std::move(message), field);
  };
  if (certificates.size() > node::kChainLengthMax) {
    return refuse("has more than " + std::to_string(node::kChainLengthMax) + " certificates");
  }
  for (std::size_t i = 0; i < certificates.size(); ++i) {
    const std::string name = "certificate " + std::to_string(i + 1);
    auto facts = node::inspect_certificate(certificates[i]);
    if (!facts) {
      Error error = std::move(facts).error();
      error.message = name + ": " + error.message;
      error.field = field;
      return error;
    }
    if (i == 0 && (facts->is_ca || facts->public_key != genesis.log_public_key)) {
      return refuse(
          "its first certificate is not the one of the log key: issue it for the key "
          "that signs the checkpoints");
    }
    if (i == 0 && facts->common_name != genesis.chain_id) {
      return refuse("its first certificate is for '" + facts->common_name +
                    "', but must name the chain, '" + genesis.chain_id + "'");
    }
    if (time_ms != 0 && (time_ms < facts->not_before_ms || time_ms > facts->not_after_ms)) {
      return make_error(ErrorCode::kExpired,
                        name + " is valid from " + node::format_time(facts->not_before_ms) +
                            " to " + node::format_time(facts->not_after_ms) +
                            ", not now: no certificate file made now would verify",
                        field);
    }
    if (i > 0 && node::verify_root(certificates[i], facts->not_before_ms)) {
      return refuse(name + " is a root: leave it out; who checks names it with --trust");
    }
  }
  return {};
}

}  // namespace colophon::cli
