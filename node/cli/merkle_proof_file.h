// SPDX-License-Identifier: Apache-2.0
//
// Merkle proofs as JSON; docs/formats.md, "Proofs".
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "colophon/error.hpp"
#include "colophon/hash.hpp"

namespace colophon::cli {

// 1 MiB a leaf; a proof file has it in hex, and up to 96 hashes.
inline constexpr std::size_t kLeafBytesMax = std::size_t{1} << 20;
inline constexpr std::size_t kProofFileBytesMax = 2 * kLeafBytesMax + (std::size_t{1} << 16);

struct InclusionProofFile {
  HashAlgorithm hash = HashAlgorithm::kSha256;
  std::uint64_t index = 0;
  std::uint64_t size = 0;
  std::vector<std::uint8_t> leaf;
  std::vector<Digest> proof;
  Digest root{};
};

struct ConsistencyProofFile {
  HashAlgorithm hash = HashAlgorithm::kSha256;
  std::uint64_t from = 0;
  std::uint64_t to = 0;
  Digest from_root{};
  Digest to_root{};
  std::vector<Digest> proof;
};

// The one place that says which hashes trees and proofs may have. Error kUnsupported: not this one
// yet.
[[nodiscard]] Result<void> check_tree_hash(HashAlgorithm hash);

// Exactly these members, in this order, lower-case hex, no LF.
[[nodiscard]] std::string write_inclusion_proof(const InclusionProofFile& file);
[[nodiscard]] std::string write_consistency_proof(const ConsistencyProofFile& file);

// Exactly these members, in any order; `hash` may be missing, which means SHA-256. Whether the
// proof proves anything is not looked at. Errors: kMalformed, kLimitExceeded, check_tree_hash's;
// the field is the member.
[[nodiscard]] Result<InclusionProofFile> parse_inclusion_proof(std::string_view text);
[[nodiscard]] Result<ConsistencyProofFile> parse_consistency_proof(std::string_view text);

}  // namespace colophon::cli
