// SPDX-License-Identifier: Apache-2.0
//
// Proof files: written in one form, read strictly. Each refusal differs from a right file in one
// thing.
#include "node/cli/merkle_proof_file.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "colophon/merkle.hpp"

namespace colophon::cli {
namespace {

using nlohmann::json;

using Bytes = std::vector<std::uint8_t>;

constexpr HashAlgorithm kHashes[] = {HashAlgorithm::kSha256, HashAlgorithm::kSha512,
                                     HashAlgorithm::kSm3, HashAlgorithm::kBlake3,
                                     HashAlgorithm::kKeccak256};

std::string hex(const char* byte, std::size_t size = 32) {
  std::string text;
  for (std::size_t i = 0; i < size; ++i) text += byte;
  return text;
}

InclusionProofFile inclusion(HashAlgorithm hash = HashAlgorithm::kSha256) {
  const std::size_t size = digest_bytes(hash);
  InclusionProofFile file;
  file.hash = hash;
  file.index = 1;
  file.size = 3;
  file.leaf = {0x00, 0xff};
  file.proof = Bytes(size, 0x0a);
  file.proof.insert(file.proof.end(), size, 0xb0);
  file.root = Bytes(size, 0xcc);
  return file;
}

ConsistencyProofFile consistency(HashAlgorithm hash = HashAlgorithm::kSha256) {
  ConsistencyProofFile file;
  file.hash = hash;
  file.from = 2;
  file.to = 18446744073709551615U;
  file.from_root = Bytes(digest_bytes(hash), 0x01);
  file.to_root = Bytes(digest_bytes(hash), 0x02);
  return file;
}

json inclusion_json(HashAlgorithm hash = HashAlgorithm::kSha256) {
  return json::parse(write_inclusion_proof(inclusion(hash)));
}
json consistency_json(HashAlgorithm hash = HashAlgorithm::kSha256) {
  return json::parse(write_consistency_proof(consistency(hash)));
}

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
  EXPECT_EQ(write_inclusion_proof(inclusion(HashAlgorithm::kSha512)),
            "{\"hash\":\"sha512\",\"index\":1,\"size\":3,\"leaf\":\"00ff\",\"proof\":[\"" +
                hex("0a", 64) + "\",\"" + hex("b0", 64) + "\"],\"root\":\"" + hex("cc", 64) +
                "\"}");
}

TEST(MerkleProofFile, WhatIsWrittenIsReadBack) {
  for (const HashAlgorithm hash : kHashes) {
    const InclusionProofFile first = inclusion(hash);
    const auto one = parse_inclusion_proof(write_inclusion_proof(first));
    ASSERT_TRUE(one.ok()) << one.error().message;
    EXPECT_EQ(one->hash, hash);
    EXPECT_EQ(one->index, 1U);
    EXPECT_EQ(one->size, 3U);
    EXPECT_EQ(one->leaf, first.leaf);
    EXPECT_EQ(one->proof, first.proof);
    EXPECT_EQ(one->root, first.root);

    const ConsistencyProofFile second = consistency(hash);
    const auto two = parse_consistency_proof(write_consistency_proof(second));
    ASSERT_TRUE(two.ok()) << two.error().message;
    EXPECT_EQ(two->hash, hash);
    EXPECT_EQ(two->from, 2U);
    EXPECT_EQ(two->to, 18446744073709551615U);
    EXPECT_EQ(two->from_root, second.from_root);
    EXPECT_EQ(two->to_root, second.to_root);
    EXPECT_TRUE(two->proof.empty());
  }
}

TEST(MerkleProofFile, DigestsAndTheirBytesAreTheSame) {
  Digest64 first{};
  Digest64 second{};
  first.fill(0x0a);
  second.fill(0xb0);
  const Bytes bytes = inclusion(HashAlgorithm::kSha512).proof;
  EXPECT_EQ(digests_from<Digest64>(bytes), (std::vector{first, second}));
  EXPECT_EQ(bytes_of(std::vector{first, second}), bytes);
  EXPECT_EQ(digest_from<Digest64>(bytes_of(second)), second);
  EXPECT_TRUE(digests_from<Digest>({}).empty());
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

TEST(MerkleProofFile, UnknownHashesAreRefused) {
  for (const char* name : {"SHA256", "sha-256", "", "unknown", "sha256 "}) {
    expect_inclusion_refused(with(inclusion_json(), "hash", name), "hash");
    expect_consistency_refused(with(consistency_json(), "hash", name), "hash");
  }
}

TEST(MerkleProofFile, DigestsHaveTheLengthOfTheirHash) {
  for (const HashAlgorithm hash : kHashes) {
    const std::size_t size = digest_bytes(hash);
    for (const std::size_t wrong : {size - 1, size + 1, 96 - size}) {
      const std::string text = hex("0a", wrong);
      const json proof = json::array({hex("0a", size), text});
      expect_inclusion_refused(with(inclusion_json(hash), "root", text), "root");
      expect_inclusion_refused(with(inclusion_json(hash), "proof", proof), "proof");
      expect_consistency_refused(with(consistency_json(hash), "from_root", text), "from_root");
      expect_consistency_refused(with(consistency_json(hash), "to_root", text), "to_root");
      expect_consistency_refused(with(consistency_json(hash), "proof", proof), "proof");
    }
  }
  // Two of 32 bytes are not one of 64.
  const auto parsed = parse_inclusion_proof(with(inclusion_json(), "hash", "sha512").dump());
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.error().field, "proof");
  EXPECT_EQ(parsed.error().message, "a sha512 hash has 64 bytes, not 32");
}

TEST(MerkleProofFile, DigestsAreHex) {
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
  for (const HashAlgorithm hash : kHashes) {
    const json right = with(inclusion_json(hash), "proof",
                            std::vector(kProofHashesMax, hex("0a", digest_bytes(hash))));
    EXPECT_TRUE(parse_inclusion_proof(right.dump()).ok());
    json one_more = right;
    one_more["proof"].push_back(right["proof"][0]);
    expect_inclusion_refused(one_more, "proof", ErrorCode::kLimitExceeded);
  }

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
