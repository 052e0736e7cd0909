// SPDX-License-Identifier: Apache-2.0
//
// DATA, a node's folder:
//   genesis.json          the chain; never changed
//   node.json             how this node runs; its operator edits it
//   log-certificates.pem  of the log key, leaf first, without the root; replaced when renewed
//   db, lock              the ledger (node/store.h)
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "colophon/error.hpp"
#include "node/cli/node_configuration.h"
#include "node/der.h"
#include "node/genesis.h"

namespace colophon::cli {

struct ChainDirectory {
  std::string path;
  node::Genesis genesis;
  NodeConfiguration configuration;
  std::vector<node::Der> log_certificates;
};

// `path` as a full path without links, as far as it exists. Error: kInvalidArgument.
[[nodiscard]] Result<std::string> resolve_data_path(const std::string& path);

// That a chain can be made at `path`: nothing is there, or an empty folder. Error: kAlreadyExists.
[[nodiscard]] Result<void> check_no_chain(const std::string& path);

// Writes a new DATA next to its place, has `fill` (given the temporary folder) make the ledger in
// it, and moves all into place in one step: afterwards the folder is there whole, or not at all.
// Errors: kAlreadyExists, kNotFound (no parent folder), kPermissionDenied, kIo; those of `fill`.
[[nodiscard]] Result<void> create_chain_directory(
    const ChainDirectory& directory, const std::function<Result<void>(const std::string&)>& fill);

// genesis.json alone.
[[nodiscard]] Result<node::Genesis> read_genesis(const std::string& path);
// All of it. Errors: kNotFound (no chain there), kCorrupt (a chain without its ledger), kMalformed.
[[nodiscard]] Result<ChainDirectory> read_chain_directory(const std::string& path);

// That `certificates` can stand in this chain's certificate files: leaf first, for the log key and
// the chain's name, without a root. Whether they are valid now is another question: `time_ms` 0
// does not ask it. Errors: kInvalidArgument, kExpired, those of inspect_certificate.
[[nodiscard]] Result<void> check_log_certificates(const std::vector<node::Der>& certificates,
                                                  const node::Genesis& genesis,
                                                  std::uint64_t time_ms, const std::string& field);

}  // namespace colophon::cli
