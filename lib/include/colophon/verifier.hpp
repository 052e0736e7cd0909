// SPDX-License-Identifier: Apache-2.0
//
// Batch signature verification: bytes plus offset arrays in, one verdict a signature out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "colophon/backend.hpp"
#include "colophon/error.hpp"
#include "colophon/key_registry.hpp"
#include "colophon/profile.hpp"
#include "colophon/slices.hpp"

namespace colophon {

// One scheme, encoding, profile and input kind a batch (sort a mixed stream by these first).
struct VerifyBatch {
  Scheme scheme = Scheme::kEcdsaP256Sha256;
  SignatureEncoding encoding = SignatureEncoding::kRaw;
  Profile profile = Profile::kDefault;
  InputKind input = InputKind::kMessage;
  Slices inputs;      // messages or digests
  Slices signatures;  // as many as inputs
  // Exactly one of the next two: keys as bytes, or enrolled keys of `registry`. As many as inputs.
  Slices public_keys;
  std::span<const KeyId> key_ids;
  const KeyRegistry* registry = nullptr;
  std::string_view sm2_id = kSm2DefaultId;  // with public_keys; an enrolled key carries its own
  // Threads that may work on the batch, this one among them, 1 to kThreadsMax. The verdicts do not
  // depend on it; a batch too small to gain is not split.
  unsigned threads = 1;
};

inline constexpr unsigned kThreadsMax = 256;

// As many as this machine runs at once, 1 to kThreadsMax: what VerifyBatch::threads is for a caller
// who wants a batch done soon.
[[nodiscard]] unsigned hardware_threads() noexcept;

// 2^22 signatures a call; more is a loop of the caller's.
inline constexpr std::size_t kBatchSizeMax = std::size_t{1} << 22;

// Writes verdicts[i] for signature i. Synchronous: when it returns, every verdict is written and no
// caller memory is in use. An error means no verdict was written.
// Errors: kInvalidArgument (lengths differ, offsets decrease or pass the end, null buffer, both or
// neither key forms, a profile or encoding the scheme does not have), kNotFound (a KeyId not in the
// registry; the message has the index), kLimitExceeded (kBatchSizeMax), kInternal (the backend
// failed, which says nothing about any signature). Throws std::bad_alloc where memory for the
// batch itself is not to be had; then, too, no verdict was written.
[[nodiscard]] Result<void> verify_batch(const Backend& backend, const VerifyBatch& batch,
                                        std::span<Verdict> verdicts);

}  // namespace colophon
