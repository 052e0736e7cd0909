// SPDX-License-Identifier: Apache-2.0
//
// Merkle proofs as JSON; docs/formats.md, "Proofs".
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "colophon/error.hpp"
#include "colophon/hash.hpp"
#include "colophon/slices.hpp"

namespace colophon::cli {

// 1 MiB a leaf; a proof file has it in hex, and up to 96 digests (12 KiB of hex, if of 64 bytes).
inline constexpr std::size_t kLeafBytesMax = std::size_t{1} << 20;
inline constexpr std::size_t kProofFileBytesMax = 2 * kLeafBytesMax + (std::size_t{1} << 16);

// A digest has digest_bytes(hash) bytes; `proof` has digest after digest.
struct InclusionProofFile {
  HashAlgorithm hash = HashAlgorithm::kSha256;
  std::uint64_t index = 0;
  std::uint64_t size = 0;
  std::vector<std::uint8_t> leaf;
  std::vector<std::uint8_t> proof;
  std::vector<std::uint8_t> root;
};

struct ConsistencyProofFile {
  HashAlgorithm hash = HashAlgorithm::kSha256;
  std::uint64_t from = 0;
  std::uint64_t to = 0;
  std::vector<std::uint8_t> from_root;
  std::vector<std::uint8_t> to_root;
  std::vector<std::uint8_t> proof;
};

// Those bytes as digests, and back. D has the algorithm's digest_bytes.
template <class D>
[[nodiscard]] std::vector<D> digests_from(ByteSpan bytes) {
  std::vector<D> digests(bytes.size() / sizeof(D));
  for (D& digest : digests) {
    std::copy_n(bytes.begin(), sizeof(D), digest.begin());
    bytes = bytes.subspan(sizeof(D));
  }
  return digests;
}
template <class D>
[[nodiscard]] D digest_from(ByteSpan bytes) {
  return digests_from<D>(bytes).at(0);
}
template <class D>
[[nodiscard]] std::vector<std::uint8_t> bytes_of(const std::vector<D>& digests) {
  std::vector<std::uint8_t> bytes;
  for (const D& digest : digests) bytes.insert(bytes.end(), digest.begin(), digest.end());
  return bytes;
}
template <std::size_t N>
[[nodiscard]] std::vector<std::uint8_t> bytes_of(const std::array<std::uint8_t, N>& digest) {
  return {digest.begin(), digest.end()};
}

// Exactly these members, in this order, lower-case hex, no LF.
[[nodiscard]] std::string write_inclusion_proof(const InclusionProofFile& file);
[[nodiscard]] std::string write_consistency_proof(const ConsistencyProofFile& file);

// Exactly these members, in any order; `hash` may be missing, which means SHA-256. Whether the
// proof proves anything is not looked at, but every digest has the hash's length. Errors:
// kMalformed, kLimitExceeded; the field is the member.
[[nodiscard]] Result<InclusionProofFile> parse_inclusion_proof(std::string_view text);
[[nodiscard]] Result<ConsistencyProofFile> parse_consistency_proof(std::string_view text);

}  // namespace colophon::cli
