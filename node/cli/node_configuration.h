// SPDX-License-Identifier: Apache-2.0
//
// DATA/node.json: how this node runs; docs/formats.md, "node.json". Written by `colophon node
// init`, edited by its operator, read when the node starts. It names where the PIN is and never
// holds it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "colophon/error.hpp"
#include "colophon/hsm/pin.h"
#include "node/node.h"

namespace colophon::cli {

struct ListenAddress {
  std::string host;        // a name or an address; IPv6 without brackets
  std::uint16_t port = 0;  // 0: any free port
};
// HOST:PORT, [IPV6]:PORT. Error: kMalformed, its field is `field`.
[[nodiscard]] Result<ListenAddress> parse_listen_address(std::string_view text, const char* field);
// "127.0.0.1:8180", "[::1]:8180".
[[nodiscard]] std::string format_listen_address(const ListenAddress& address);

struct NodeConfiguration {
  ListenAddress listen;
  std::string key;       // PKCS#11 URI of the log key
  std::string pin_file;  // at most one of these two; neither: the URI's pin-source, or a prompt
  std::string pin_env;
  std::string backend = "auto";  // auto: what COLOPHON_BACKEND says, else the best there is
  std::uint32_t block_transactions_max = node::NodeConfig().block_transactions_max;
  std::uint32_t block_deadline_ms = node::NodeConfig().block_deadline_ms;
  std::uint32_t queue_transactions_max = node::NodeConfig().queue_transactions_max;
  std::uint64_t table_memory = 0;  // bytes; 0, not written: the backend's default

  [[nodiscard]] hsm::PinSource pin() const;
};

inline constexpr std::size_t kNodeConfigurationBytesMax = 64 * 1024;

// Strict: an unknown, missing or repeated member is refused; only pin_file, pin_env and
// table_memory may be left out. Errors: kMalformed, kLimitExceeded; the field is the member.
[[nodiscard]] Result<NodeConfiguration> parse_node_configuration(std::string_view json);
// One member a line, so that each is one line to edit.
[[nodiscard]] std::string serialize_node_configuration(const NodeConfiguration& configuration);

}  // namespace colophon::cli
