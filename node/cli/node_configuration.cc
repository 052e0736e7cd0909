// SPDX-License-Identifier: Apache-2.0
#include "node/cli/node_configuration.h"

#include <charconv>
#include <utility>

#include "node/strict_json.h"

namespace colophon::cli {
namespace {

constexpr std::string_view kName = "node.json";

Result<std::string> optional_text(node::ObjectReader& reader, const char* member) {
  if (!reader.has(member)) return std::string();
  COLOPHON_TRY_ASSIGN(std::string text, reader.text(member));
  if (!text.empty()) return text;
  return make_error(ErrorCode::kMalformed,
                    "the member " + std::string(member) + " of node.json is empty: leave it out",
                    member);
}

Result<std::uint32_t> limit(node::ObjectReader& reader, const char* member, std::uint32_t min,
                            std::uint32_t max) {
  COLOPHON_TRY_ASSIGN(const std::uint64_t value, reader.number(member, min, max));
  return static_cast<std::uint32_t>(value);
}

}  // namespace

Result<ListenAddress> parse_listen_address(std::string_view text, const char* field) {
  const Error refused = make_error(
      ErrorCode::kMalformed,
      "must be HOST:PORT, e.g. 127.0.0.1:8180 or [::1]:8180; port 0 is any free one", field);
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return refused;
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find_first_of(":[]") != std::string_view::npos) {
    return refused;
  }
  ListenAddress address;
  const auto [stop, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  const bool spaced = host.find_first_of(" /@\t\n") != std::string_view::npos;
  if (host.empty() || spaced || error != std::errc{} || stop != port.data() + port.size()) {
    return refused;
  }
  address.host = host;
  return address;
}

std::string format_listen_address(const ListenAddress& address) {
  const bool ipv6 = address.host.find(':') != std::string::npos;
  return (ipv6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
}

hsm::PinSource NodeConfiguration::pin() const {
  if (!pin_file.empty()) return hsm::PinSource::file(pin_file);
  if (!pin_env.empty()) return hsm::PinSource::environment(pin_env);
  return hsm::PinSource::prompt();
}

Result<NodeConfiguration> parse_node_configuration(std::string_view json) {
  if (json.size() > kNodeConfigurationBytesMax) {
    return make_error(
        ErrorCode::kLimitExceeded,
        "node.json has more than " + std::to_string(kNodeConfigurationBytesMax) + " bytes",
        std::string(kName));
  }
  COLOPHON_TRY_ASSIGN(const nlohmann::json object, node::parse_object(json, kName));
  node::ObjectReader reader(object, kName);
  NodeConfiguration configuration;
  COLOPHON_TRY(reader.number("version", 1, 1));
  COLOPHON_TRY_ASSIGN(const std::string listen, reader.text("listen"));
  COLOPHON_TRY_ASSIGN(configuration.listen, parse_listen_address(listen, "listen"));
  COLOPHON_TRY_ASSIGN(configuration.key, reader.text("key"));
  COLOPHON_TRY_ASSIGN(configuration.pin_file, optional_text(reader, "pin_file"));
  COLOPHON_TRY_ASSIGN(configuration.pin_env, optional_text(reader, "pin_env"));
  if (!configuration.pin_file.empty() && !configuration.pin_env.empty()) {
    return make_error(ErrorCode::kMalformed,
                      "the members pin_file and pin_env of node.json exclude each other",
                      "pin_env");
  }
  COLOPHON_TRY_ASSIGN(configuration.backend, reader.text("backend"));
  if (configuration.backend.empty()) {
    return make_error(ErrorCode::kMalformed,
                      "the member backend of node.json is empty: write auto, or a backend's name",
                      "backend");
  }
  COLOPHON_TRY_ASSIGN(configuration.block_transactions_max,
                      limit(reader, "block_transactions_max", 1, node::kBlockTransactionsLimit));
  COLOPHON_TRY_ASSIGN(configuration.block_deadline_ms,
                      limit(reader, "block_deadline_ms", 0, node::kBlockDeadlineMsLimit));
  COLOPHON_TRY_ASSIGN(configuration.queue_transactions_max,
                      limit(reader, "queue_transactions_max", 1, node::kQueueTransactionsLimit));
  if (reader.has("table_memory")) {
    COLOPHON_TRY_ASSIGN(configuration.table_memory,
                        reader.number("table_memory", kTableMemoryMin, node::kTableMemoryLimit));
  }
  COLOPHON_TRY(reader.finish());
  return configuration;
}

std::string serialize_node_configuration(const NodeConfiguration& configuration) {
  nlohmann::ordered_json json = {{"version", 1},
                                 {"listen", format_listen_address(configuration.listen)},
                                 {"key", configuration.key}};
  if (!configuration.pin_file.empty()) json["pin_file"] = configuration.pin_file;
  if (!configuration.pin_env.empty()) json["pin_env"] = configuration.pin_env;
  json["backend"] = configuration.backend;
  json["block_transactions_max"] = configuration.block_transactions_max;
  json["block_deadline_ms"] = configuration.block_deadline_ms;
  json["queue_transactions_max"] = configuration.queue_transactions_max;
  if (configuration.table_memory != 0) json["table_memory"] = configuration.table_memory;
  return json.dump(2) + "\n";
}

}  // namespace colophon::cli
