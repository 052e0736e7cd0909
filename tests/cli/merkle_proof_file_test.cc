// SPDX-License-Identifier: Apache-2.0
//
// Proof files: written in one form, read strictly. Each refusal differs from a right file in one
// thing.
#include "node/cli/merkle_proof_file.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "colophon/merkle.hpp"

namespace colophon::cli {
namespace {

using nlohmann::json;

Digest digest(std::uint8_t byte) {
  Digest value{};
  value.fill(byte);
  return value;
}

std::string hex(const char* byte) {
  std::string text;
  for (int i = 0; i < 32; ++i) text += byte;
  return text;
}

InclusionProofFile inclusion() {
  InclusionProofFile file;
  file.index = 1;
  file.size = 3;
  file.leaf = {0x00, 0xff};
  file.proof = {digest(0x0a), digest(0xb0)};
  file.root = digest(0xcc);
  return file;
}

ConsistencyProofFile consistency() {
  ConsistencyProofFile file;
  file.from = 2;
  file.to = 18446744073709551615U;
  file.from_root = digest(0x01);
  file.to_root = digest(0x02);
  return file;
}

json inclusion_json() { return json::parse(write_inclusion_proof(inclusion())); }
json consistency_json() { return json::parse(write_consistency_proof(consistency())); }

json with(json object, const char* member, const json& value) {
  object[member] = value;
  return object;
}

json without(json object, const char* member) {
  object.erase(member);
  return object;
}

void expect_inclusion_refused(const json& object, const std::string& field,
                              ErrorCode code = ErrorCode::kMalformed) {
  const auto parsed = parse_inclusion_proof(object.dump());
  ASSERT_FALSE(parsed.ok()) << object;
  EXPECT_EQ(parsed.error().code, code) << object;
  EXPECT_EQ(parsed.error().field, field) << object;
}

void expect_consistency_refused(const json& object, const std::string& field) {
  const auto parsed = parse_consistency_proof(object.dump());
  ASSERT_FALSE(parsed.ok()) << object;
  EXPECT_EQ(parsed.error().code, ErrorCode::kMalformed) << object;
  EXPECT_EQ(parsed.error().field, field) << object;
}

TEST(MerkleProofFile, MembersAreWrittenInTheirOrderWithoutWhiteSpace) {
  EXPECT_EQ(write_inclusion_proof(inclusion()),
            "{\"hash\":\"sha256\",\"index\":1,\"size\":3,\"leaf\":\"00ff\",\"proof\":[\"" +
                hex("0a") + "\",\"" + hex("b0") + "\"],\"root\":\"" + hex("cc") + "\"}");
  EXPECT_EQ(write_consistency_proof(consistency()),
            "{\"hash\":\"sha256\",\"from\":2,\"to\":18446744073709551615,\"from_root\":\"" +
                hex("01") + "\",\"to_root\":\"" + hex("02") + "\",\"proof\":[]}");
}

TEST(MerkleProofFile, WhatIsWrittenIsReadBack) {
  const auto one = parse_inclusion_proof(write_inclusion_proof(inclusion()));
  ASSERT_TRUE(one.ok()) << one.error().message;
  EXPECT_EQ(one->index, 1U);
  EXPECT_EQ(one->size, 3U);
  EXPECT_EQ(one->leaf, inclusion().leaf);
  EXPECT_EQ(one->proof, inclusion().proof);
  EXPECT_EQ(one->root, inclusion().root);

  const auto two = parse_consistency_proof(write_consistency_proof(consistency()));
  ASSERT_TRUE(two.ok()) << two.error().message;
  EXPECT_EQ(two->from, 2U);
  EXPECT_EQ(two->to, 18446744073709551615U);
  EXPECT_EQ(two->from_root, digest(0x01));
  EXPECT_EQ(two->to_root, digest(0x02));
  EXPECT_TRUE(two->proof.empty());
}

TEST(MerkleProofFile, OrderAndWhiteSpaceAreFree) {
  // nlohmann sorts the members.
  EXPECT_TRUE(parse_inclusion_proof(inclusion_json().dump(2) + "\n").ok());
  EXPECT_TRUE(parse_consistency_proof(consistency_json().dump(2) + "\n").ok());
}

TEST(MerkleProofFile, EveryMemberIsNeededAndNoOther) {
  for (const char* member : {"index", "size", "leaf", "proof", "root"}) {
    expect_inclusion_refused(without(inclusion_json(), member), member);
  }
  for (const char* member : {"from", "to", "from_root", "to_root", "proof"}) {
    expect_consistency_refused(without(consistency_json(), member), member);
  }
  expect_inclusion_refused(with(inclusion_json(), "from", 1), "from");
  expect_consistency_refused(with(consistency_json(), "leaf", ""), "leaf");
  EXPECT_FALSE(parse_inclusion_proof(consistency_json().dump()).ok());
  EXPECT_FALSE(parse_consistency_proof(inclusion_json().dump()).ok());
}

TEST(MerkleProofFile, TypesAreChecked) {
  for (const char* member : {"index", "size"}) {
    for (const json& value : {json("1"), json(-1), json(1.0), json(nullptr), json::array()}) {
      expect_inclusion_refused(with(inclusion_json(), member, value), member);
    }
  }
  for (const char* member : {"hash", "leaf", "root"}) {
    expect_inclusion_refused(with(inclusion_json(), member, 1), member);
    expect_inclusion_refused(with(inclusion_json(), member, json::array()), member);
  }
  expect_inclusion_refused(with(inclusion_json(), "proof", hex("0a")), "proof");
  expect_inclusion_refused(with(inclusion_json(), "proof", {1}), "proof");
}

TEST(MerkleProofFile, TheHashIsSha256WhereNoneIsNamed) {
  const auto one = parse_inclusion_proof(without(inclusion_json(), "hash").dump());
  ASSERT_TRUE(one.ok()) << one.error().message;
  EXPECT_EQ(one->hash, HashAlgorithm::kSha256);
  EXPECT_EQ(write_inclusion_proof(*one), write_inclusion_proof(inclusion()));
  const auto two = parse_consistency_proof(without(consistency_json(), "hash").dump());
  ASSERT_TRUE(two.ok()) << two.error().message;
  EXPECT_EQ(two->hash, HashAlgorithm::kSha256);
}

TEST(MerkleProofFile, UnknownHashesAreRefusedAndKnownOnesThatTreesHaveNotYet) {
  for (const char* name : {"SHA256", "sha-256", "", "unknown", "sha256 "}) {
    expect_inclusion_refused(with(inclusion_json(), "hash", name), "hash");
    expect_consistency_refused(with(consistency_json(), "hash", name), "hash");
  }
  for (const HashAlgorithm hash : {HashAlgorithm::kSha512, HashAlgorithm::kSm3,
                                   HashAlgorithm::kBlake3, HashAlgorithm::kKeccak256}) {
    if (check_tree_hash(hash)) continue;
    expect_inclusion_refused(with(inclusion_json(), "hash", std::string(hash_name(hash))), "hash",
                             ErrorCode::kUnsupported);
  }
}

TEST(MerkleProofFile, HashesAre32BytesOfHex) {
  for (const std::string& wrong :
       {std::string(), hex("0a").substr(2), hex("0a") + "00", hex("0a").substr(1), hex("0g")}) {
    expect_inclusion_refused(with(inclusion_json(), "root", wrong), "root");
    expect_inclusion_refused(with(inclusion_json(), "proof", json::array({hex("0a"), wrong})),
                             "proof");
    expect_consistency_refused(with(consistency_json(), "from_root", wrong), "from_root");
    expect_consistency_refused(with(consistency_json(), "to_root", wrong), "to_root");
  }
  expect_inclusion_refused(with(inclusion_json(), "leaf", "0"), "leaf");
  EXPECT_TRUE(parse_inclusion_proof(with(inclusion_json(), "leaf", "").dump()).ok());
  EXPECT_TRUE(parse_inclusion_proof(with(inclusion_json(), "root", hex("AB")).dump()).ok());
}

TEST(MerkleProofFile, LimitsHoldAtTheirEdges) {
  const auto hashes = [](std::size_t count) { return json(std::vector(count, hex("0a"))); };
  EXPECT_TRUE(
      parse_inclusion_proof(with(inclusion_json(), "proof", hashes(kProofHashesMax)).dump()).ok());
  expect_inclusion_refused(with(inclusion_json(), "proof", hashes(kProofHashesMax + 1)), "proof",
                           ErrorCode::kLimitExceeded);

  const std::string leaf(2 * kLeafBytesMax, 'a');
  EXPECT_TRUE(parse_inclusion_proof(with(inclusion_json(), "leaf", leaf).dump()).ok());
  expect_inclusion_refused(with(inclusion_json(), "leaf", leaf + "aa"), "leaf",
                           ErrorCode::kLimitExceeded);
}

TEST(MerkleProofFile, RepeatedMembersAreRefused) {
  std::string text = write_inclusion_proof(inclusion());
  text.insert(1, "\"index\":1,");
  const auto parsed = parse_inclusion_proof(text);
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.error().field, "index");
}

}  // namespace
}  // namespace colophon::cli
