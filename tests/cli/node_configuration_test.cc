// SPDX-License-Identifier: Apache-2.0
//
// node.json and listen addresses: what an operator may write, and that a slip is named.
#include "node/cli/node_configuration.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace colophon::cli {
namespace {

using nlohmann::json;

NodeConfiguration configuration() {
  NodeConfiguration value;
  value.listen = {"127.0.0.1", 8180};
  value.key = "pkcs11:token=t;object=log";
  value.pin_file = "/etc/colophon/pin";
  return value;
}

json object() { return json::parse(serialize_node_configuration(configuration())); }

json with(json value, const char* member, const json& to) {
  value[member] = to;
  return value;
}

json without(json value, const char* member) {
  value.erase(member);
  return value;
}

void expect_refused(const json& value, const std::string& field) {
  const auto parsed = parse_node_configuration(value.dump());
  ASSERT_FALSE(parsed.ok()) << value;
  EXPECT_EQ(parsed.error().code, ErrorCode::kMalformed) << value;
  EXPECT_EQ(parsed.error().field, field) << value;
}

TEST(NodeConfiguration, WhatIsWrittenIsReadBack) {
  NodeConfiguration value = configuration();
  value.listen = {"::1", 0};
  value.backend = "openssl";
  value.block_transactions_max = 1;
  value.block_deadline_ms = 0;
  value.queue_transactions_max = node::kQueueTransactionsLimit;
  value.table_memory = std::uint64_t{5} << 30;
  const auto parsed = parse_node_configuration(serialize_node_configuration(value));
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(parsed->listen.host, "::1");
  EXPECT_EQ(parsed->listen.port, 0);
  EXPECT_EQ(parsed->key, value.key);
  EXPECT_EQ(parsed->pin_file, value.pin_file);
  EXPECT_TRUE(parsed->pin_env.empty());
  EXPECT_EQ(parsed->backend, "openssl");
  EXPECT_EQ(parsed->block_transactions_max, 1U);
  EXPECT_EQ(parsed->block_deadline_ms, 0U);
  EXPECT_EQ(parsed->queue_transactions_max, node::kQueueTransactionsLimit);
  EXPECT_EQ(parsed->table_memory, std::uint64_t{5} << 30);
}

TEST(NodeConfiguration, TableMemoryMayBeLeftOut) {
  EXPECT_FALSE(object().contains("table_memory"));
  const auto parsed = parse_node_configuration(object().dump());
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(parsed->table_memory, 0U);
  // 0 is no way to say it, and what is wrong says the limits.
  const auto refused = parse_node_configuration(with(object(), "table_memory", 0).dump());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().message,
            "the member table_memory of node.json must be a number from 1048576 to 1099511627776");
}

TEST(NodeConfiguration, TheBackendIsOneLine) {
  EXPECT_NE(serialize_node_configuration(configuration()).find("\n  \"backend\": \"auto\",\n"),
            std::string::npos);
}

TEST(NodeConfiguration, ABackendWithoutANameIsRefused) {
  EXPECT_TRUE(parse_node_configuration(with(object(), "backend", "avx512").dump()).ok());
  expect_refused(with(object(), "backend", ""), "backend");
  expect_refused(with(object(), "backend", nullptr), "backend");
}

TEST(NodeConfiguration, UnknownMissingAndRepeatedMembersAreNamed) {
  expect_refused(with(object(), "backends", "cuda"), "backends");
  for (const char* member : {"version", "listen", "key", "backend", "block_transactions_max",
                             "block_deadline_ms", "queue_transactions_max"}) {
    expect_refused(without(object(), member), member);
  }
  std::string repeated = serialize_node_configuration(configuration());
  repeated.insert(1, "\"key\":\"\",");
  EXPECT_EQ(parse_node_configuration(repeated).error().field, "key");
}

TEST(NodeConfiguration, ThePinIsNamedOnceOrNotAtAll) {
  EXPECT_TRUE(parse_node_configuration(without(object(), "pin_file").dump()).ok());
  EXPECT_TRUE(
      parse_node_configuration(with(without(object(), "pin_file"), "pin_env", "PIN").dump()).ok());
  expect_refused(with(object(), "pin_env", "PIN"), "pin_env");
  expect_refused(with(object(), "pin_file", ""), "pin_file");
  expect_refused(with(object(), "pin", "1234"), "pin");
}

TEST(NodeConfiguration, NumbersHaveLimits) {
  const auto limits = [](const char* member, std::uint64_t min, std::uint64_t max) {
    EXPECT_TRUE(parse_node_configuration(with(object(), member, min).dump()).ok()) << member;
    EXPECT_TRUE(parse_node_configuration(with(object(), member, max).dump()).ok()) << member;
    if (min > 0) expect_refused(with(object(), member, min - 1), member);
    expect_refused(with(object(), member, max + 1), member);
    expect_refused(with(object(), member, -1), member);
    expect_refused(with(object(), member, "1"), member);
  };
  limits("version", 1, 1);
  limits("block_transactions_max", 1, node::kBlockTransactionsLimit);
  limits("block_deadline_ms", 0, node::kBlockDeadlineMsLimit);
  limits("queue_transactions_max", 1, node::kQueueTransactionsLimit);
  limits("table_memory", kTableMemoryMin, node::kTableMemoryLimit);
}

TEST(NodeConfiguration, WhatIsNoObjectIsRefused) {
  for (const char* text : {"", "[]", "{", "null", "{}x"}) {
    EXPECT_EQ(parse_node_configuration(text).error().code, ErrorCode::kMalformed) << text;
  }
  std::string large = serialize_node_configuration(configuration());
  large.append(kNodeConfigurationBytesMax - large.size(), ' ');
  EXPECT_TRUE(parse_node_configuration(large).ok());
  EXPECT_EQ(parse_node_configuration(large + " ").error().code, ErrorCode::kLimitExceeded);
}

TEST(ListenAddress, HostAndPort) {
  for (const char* text :
       {"127.0.0.1:8180", "localhost:0", "[::1]:65535", "0.0.0.0:1", "[fe80::1%eth0]:80"}) {
    const auto address = parse_listen_address(text, "listen");
    ASSERT_TRUE(address.ok()) << text;
    EXPECT_EQ(format_listen_address(*address), text);
  }
  for (const char* text :
       {"", ":", "8180", ":8180", "host", "host:", "host:65536", "host:-1", "host: 1", "host:1 ",
        "host:0x1", "::1:8180", "[::1]", "[]:1", "[::1:1", "::1]:1", "http://host:1", "a b:1"}) {
    const auto address = parse_listen_address(text, "listen");
    ASSERT_FALSE(address.ok()) << text;
    EXPECT_EQ(address.error().field, "listen");
  }
}

}  // namespace
}  // namespace colophon::cli
