// SPDX-License-Identifier: Apache-2.0
//
// Batch hashing (FIPS 180-4).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "colophon/backend.hpp"
#include "colophon/error.hpp"
#include "colophon/slices.hpp"

namespace colophon {

enum class HashAlgorithm : std::uint8_t { kSha256 = 1 };

using Digest = std::array<std::uint8_t, 32>;

// digests[i] = hash of messages[i]. digests.size() must equal messages.size().
// Errors: kInvalidArgument (shape), kUnsupported (the backend lacks the algorithm).
[[nodiscard]] Result<void> hash_batch(const Backend& backend, HashAlgorithm algorithm,
                                      const Slices& messages, std::span<Digest> digests);

}  // namespace colophon
