// SPDX-License-Identifier: Apache-2.0
//
// Hashing: many messages in one call, or one message in pieces.
//
// SHA-256 and SHA-512: FIPS 180-4. SM3: GB/T 32905-2016 (ISO/IEC 10118-3). BLAKE3: the BLAKE3
// paper, 32 bytes of output unless more are asked for. Keccak-256: Keccak[c = 512] with the padding
// of the submission, as Ethereum uses it; FIPS 202's SHA3-256 is another function.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "colophon/backend.hpp"
#include "colophon/error.hpp"
#include "colophon/slices.hpp"

namespace colophon {

enum class HashAlgorithm : std::uint8_t {
  kSha256 = 1,
  kSha512 = 2,
  kSm3 = 3,
  kBlake3 = 4,
  kKeccak256 = 5,
};

// Names as on the command line: "sha256", "sha512", "sm3", "blake3", "keccak256"; "unknown".
[[nodiscard]] std::string_view hash_name(HashAlgorithm algorithm) noexcept;
[[nodiscard]] std::optional<HashAlgorithm> hash_from_name(std::string_view name) noexcept;
// 64 for SHA-512, 32 for the others.
[[nodiscard]] std::size_t digest_bytes(HashAlgorithm algorithm) noexcept;
inline constexpr std::size_t kDigestBytesMax = 64;

using Digest = std::array<std::uint8_t, 32>;
using Digest64 = std::array<std::uint8_t, 64>;

// `digests` takes hash after hash: the i-th digest_bytes(algorithm) of them are the hash of
// messages[i]. Errors: kInvalidArgument (a shape, or digests of another size), kUnsupported (no
// such algorithm, or not in this OpenSSL).
[[nodiscard]] Result<void> hash_batch(const Backend& backend, HashAlgorithm algorithm,
                                      const Slices& messages, std::span<std::uint8_t> digests);
[[nodiscard]] Result<void> hash_batch(const Backend& backend, HashAlgorithm algorithm,
                                      const Slices& messages, std::span<Digest> digests);
[[nodiscard]] Result<void> hash_batch(const Backend& backend, HashAlgorithm algorithm,
                                      const Slices& messages, std::span<Digest64> digests);

// One message in pieces, on one thread at a time. A device's backend hashes it on the CPU.
class HashStream {
 public:
  // Error kUnsupported: as hash_batch.
  [[nodiscard]] static Result<HashStream> create(const Backend& backend, HashAlgorithm algorithm);
  // BLAKE3's other modes (the paper, section 2.3). Keyed: a code that authenticates the message. To
  // derive keys: the message is key material, the output a key for what `context` says, a constant
  // of the program that no other use has.
  [[nodiscard]] static Result<HashStream> create_blake3_keyed(
      const Backend& backend, std::span<const std::uint8_t, 32> key);
  [[nodiscard]] static Result<HashStream> create_blake3_derive_key(const Backend& backend,
                                                                   std::string_view context);
  HashStream(HashStream&&) noexcept;
  HashStream& operator=(HashStream&&) noexcept;
  ~HashStream();

  // Error kInternal: the library below failed.
  [[nodiscard]] Result<void> update(ByteSpan bytes);
  // Writes digest_bytes(algorithm), or with BLAKE3 as many bytes as `digest` has, at least one;
  // the next message begins, in the same mode. Errors: kInvalidArgument (another size), kInternal.
  [[nodiscard]] Result<void> finish(std::span<std::uint8_t> digest);

  class State;  // lib/backend_implementation.h, for the library itself

 private:
  HashStream(HashAlgorithm algorithm, std::unique_ptr<State> state);

  HashAlgorithm algorithm_;
  std::unique_ptr<State> state_;
};

}  // namespace colophon
