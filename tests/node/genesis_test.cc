// SPDX-License-Identifier: Apache-2.0
#include "node/genesis.h"

#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "node/event.h"
#include "tests/node/certificate_forge.h"
#include "tests/node/contract_chain.h"

namespace colophon::node {
namespace {

using Json = nlohmann::json;
using test::kMalformed;
using test::must;
using test::Refusal;
using test::refusal;

Genesis example(Scheme scheme = Scheme::kEcdsaP256Sha256) {
  Genesis genesis;
  genesis.chain_id = "demo.colophon.example";
  genesis.created_at_ms = test::at("2026-01-31T12:00:00.000Z");
  genesis.administrator_scheme = scheme;
  genesis.administrator_public_key.assign(scheme == Scheme::kEd25519 ? 32 : 33, 0x02);
  genesis.log_public_key.assign(32, 0xab);
  return genesis;
}

// The refusal of a genesis whose JSON was changed.
Refusal changed(const std::function<void(Json&)>& change) {
  Json json = Json::parse(serialize_genesis(example()));
  change(json);
  return refusal(parse_genesis(json.dump()));
}

// Its SHA-256 ties a store to its chain: the text must never change.
TEST(GenesisTest, HasOneText) {
  EXPECT_EQ(
      serialize_genesis(example()), R"({
  "administrator": {
    "public_key": ")" + [] {
        std::string hex;
        for (int i = 0; i < 33; ++i) hex += "02";
        return hex;
      }() + R"(",
    "scheme": "ecdsa-p256-sha256"
  },
  "chain_id": "demo.colophon.example",
  "created_at": "2026-01-31T12:00:00.000Z",
  "log_public_key": "abababababababababababababababababababababababababababababababab",
  "version": 1
}
)");
}

TEST(GenesisTest, ReadsBack) {
  for (const Scheme scheme : {Scheme::kEcdsaP256Sha256, Scheme::kEd25519}) {
    const Genesis genesis = example(scheme);
    const auto parsed = parse_genesis(serialize_genesis(genesis));
    ASSERT_TRUE(parsed.ok()) << parsed.error().message;
    EXPECT_EQ(parsed->chain_id, genesis.chain_id);
    EXPECT_EQ(parsed->created_at_ms, genesis.created_at_ms);
    EXPECT_EQ(parsed->administrator_scheme, genesis.administrator_scheme);
    EXPECT_EQ(parsed->administrator_public_key, genesis.administrator_public_key);
    EXPECT_EQ(parsed->log_public_key, genesis.log_public_key);
    // Written by other hands, it is the same genesis.
    const std::string compact = Json::parse(serialize_genesis(genesis)).dump();
    EXPECT_EQ(serialize_genesis(must(parse_genesis(compact))), serialize_genesis(genesis));
  }
}

TEST(GenesisTest, MissingAndUnknownMembersAreNamed) {
  for (const char* member :
       {"administrator", "chain_id", "created_at", "log_public_key", "version"}) {
    EXPECT_EQ(changed([&](Json& json) { json.erase(member); }), (Refusal{kMalformed, member}));
  }
  for (const char* member : {"public_key", "scheme"}) {
    EXPECT_EQ(changed([&](Json& json) { json["administrator"].erase(member); }),
              (Refusal{kMalformed, member}));
  }
  EXPECT_EQ(changed([](Json& json) { json["comment"] = "x"; }), (Refusal{kMalformed, "comment"}));
  EXPECT_EQ(changed([](Json& json) { json["administrator"]["name"] = "x"; }),
            (Refusal{kMalformed, "name"}));
  std::string twice = serialize_genesis(example());
  twice.insert(twice.find("\"version\""), "\"version\": 1,\n  ");
  EXPECT_EQ(refusal(parse_genesis(twice)), (Refusal{kMalformed, "version"}));
}

TEST(GenesisTest, WrongTypesAndValuesAreNamed) {
  for (const char* member : {"chain_id", "created_at", "log_public_key"}) {
    EXPECT_EQ(changed([&](Json& json) { json[member] = 1; }), (Refusal{kMalformed, member}));
    EXPECT_EQ(changed([&](Json& json) { json[member] = nullptr; }), (Refusal{kMalformed, member}));
    EXPECT_EQ(changed([&](Json& json) { json[member] = ""; }), (Refusal{kMalformed, member}));
  }
  for (const Json& version : {Json(0), Json(2), Json("1"), Json(1.0)}) {
    EXPECT_EQ(changed([&](Json& json) { json["version"] = version; }),
              (Refusal{kMalformed, "version"}));
  }
  EXPECT_EQ(changed([](Json& json) { json["administrator"] = "key"; }),
            (Refusal{kMalformed, "administrator"}));
  for (const char* scheme : {"sm2-sm3", "ecdsa-secp256k1-sha256", "Ed25519", ""}) {
    EXPECT_EQ(changed([&](Json& json) { json["administrator"]["scheme"] = scheme; }),
              (Refusal{kMalformed, "scheme"}));
  }
  EXPECT_EQ(changed([](Json& json) { json["created_at"] = "2026-01-31"; }),
            (Refusal{kMalformed, "created_at"}));
}

TEST(GenesisTest, KeysAreLowerCaseHexOfTheirScheme) {
  for (const std::string& key : {std::string(62, 'a'), std::string(66, 'a'), std::string(63, 'a'),
                                 std::string(64, 'A'), std::string(64, 'g')}) {
    EXPECT_EQ(changed([&](Json& json) { json["log_public_key"] = key; }),
              (Refusal{kMalformed, "log_public_key"}))
        << key;
  }
  // 33 bytes are P-256's, 32 are Ed25519's.
  EXPECT_EQ(changed([](Json& json) { json["administrator"]["public_key"] = std::string(64, 'a'); }),
            (Refusal{kMalformed, "public_key"}));
  EXPECT_EQ(changed([](Json& json) { json["administrator"]["scheme"] = "ed25519"; }),
            (Refusal{kMalformed, "public_key"}));
}

TEST(GenesisTest, ChainIdIsBounded) {
  for (const std::string& id :
       {std::string("abc"), std::string("a.b-c"), std::string("0-9"), std::string(48, 'z')}) {
    EXPECT_TRUE(check_chain_id(id).ok()) << id;
  }
  for (const std::string& id :
       {std::string(), std::string("ab"), std::string(49, 'z'), std::string("Abc"),
        std::string("a b"), std::string("a_b"), std::string("a/b"), std::string("abc\n"),
        std::string("a\0b", 3), std::string("\xc3\xa9tude")}) {
    EXPECT_EQ(refusal(check_chain_id(id)), (Refusal{kMalformed, "chain_id"})) << id;
    if (id.find('\xc3') == std::string::npos) {
      EXPECT_EQ(changed([&](Json& json) { json["chain_id"] = id; }),
                (Refusal{kMalformed, "chain_id"}));
    }
  }
}

TEST(GenesisTest, SizeIsBounded) {
  const std::string text = serialize_genesis(example());
  EXPECT_TRUE(parse_genesis(text + std::string(65536 - text.size(), ' ')).ok());
  EXPECT_EQ(refusal(parse_genesis(text + std::string(65537 - text.size(), ' '))),
            (Refusal{ErrorCode::kLimitExceeded, "genesis.json"}));
  EXPECT_EQ(refusal(parse_genesis("")), (Refusal{kMalformed, "genesis.json"}));
  EXPECT_EQ(refusal(parse_genesis("[]")), (Refusal{kMalformed, "genesis.json"}));
}

}  // namespace
}  // namespace colophon::node
