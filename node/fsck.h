// SPDX-License-Identifier: Apache-2.0
//
// Recomputes everything from the blocks: chain, signatures, execution, state, event log,
// checkpoints.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "colophon/error.hpp"
#include "node/environment.h"
#include "node/genesis.h"

namespace colophon::node {

struct FsckReport {
  std::uint64_t blocks = 0;
  std::uint64_t transactions = 0;
  std::uint64_t events = 0;
  std::uint64_t state_keys = 0;
  std::vector<std::string> findings;  // empty: clean; at most kFindingsMax, then a count
  static constexpr std::size_t kFindingsMax = 100;
};

// Opens the store read-only. `progress` is called with (blocks done, blocks in all).
[[nodiscard]] Result<FsckReport> fsck(
    const std::string& data_directory, const Genesis& genesis, Environment environment,
    const std::function<void(std::uint64_t, std::uint64_t)>& progress);

}  // namespace colophon::node
