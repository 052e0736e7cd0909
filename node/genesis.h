// SPDX-License-Identifier: Apache-2.0
//
// What all nodes of a chain agree on before its first block. Written by `colophon node init` as
// DATA/genesis.json and never changed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "colophon/error.hpp"
#include "colophon/profile.hpp"

namespace colophon::node {

struct Genesis {
  static constexpr std::size_t kChainIdBytesMax = 48;

  std::string chain_id;             // [a-z0-9.-], 3 to 48 bytes; also the checkpoint's origin
  std::uint64_t created_at_ms = 0;  // no block is older
  Scheme administrator_scheme{};    // who may enrol organizations
  std::vector<std::uint8_t> administrator_public_key;  // as in SignedTransaction
  std::vector<std::uint8_t> log_public_key;            // 32 bytes Ed25519: signs the checkpoints
};

// [a-z0-9.-], 3 to kChainIdBytesMax bytes. Error: kMalformed.
[[nodiscard]] Result<void> check_chain_id(std::string_view chain_id);
// Strict: unknown or missing members are refused, naming the field.
[[nodiscard]] Result<Genesis> parse_genesis(std::string_view json);
[[nodiscard]] std::string serialize_genesis(const Genesis& genesis);

}  // namespace colophon::node
