// SPDX-License-Identifier: Apache-2.0
//
// Hashing on a session's GPU, piece by piece. What a call returns is how many of the first digests
// are there; the device failed at the others, or has no kernel for them, and they are the CPU's.
//
// Of each piece two digests are computed on the CPU, too: what the device did not write, or wrote
// elsewhere, is found.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend_implementation.h"
#include "cuda_session.h"

namespace colophon {

[[nodiscard]] std::size_t cuda_hash(CudaSession& session, const BackendImplementation& cpu,
                                    const HashForm& form, const Slices& messages,
                                    std::uint8_t* digests) noexcept;
// `parents` may be the front of `nodes`.
[[nodiscard]] std::size_t cuda_hash_pairs(CudaSession& session, const BackendImplementation& cpu,
                                          const HashForm& form, const std::uint8_t* nodes,
                                          std::size_t count, std::uint8_t* parents) noexcept;
// Roots of complete subtrees of kMerkleCudaTileLeaves nodes, `count` of them, by SHA-256 and RFC
// 9162's prefixes. The nodes are leaf hashes, or leaves of as many bytes.
enum class TilesOf : std::uint8_t { kHashes, kLeaves };
[[nodiscard]] std::size_t cuda_hash_tiles(CudaSession& session, const BackendImplementation& cpu,
                                          TilesOf kind, const std::uint8_t* nodes,
                                          std::size_t count, std::uint8_t* roots) noexcept;

}  // namespace colophon
