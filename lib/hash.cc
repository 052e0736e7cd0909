// SPDX-License-Identifier: Apache-2.0
#include "colophon/hash.hpp"

#include <string>
#include <utility>

#include "backend_implementation.h"
#include "slices_shape.h"

namespace colophon {
namespace {

struct Named {
  HashAlgorithm algorithm;
  std::string_view name;
};
constexpr Named kNames[] = {{HashAlgorithm::kSha256, "sha256"},
                            {HashAlgorithm::kSha512, "sha512"},
                            {HashAlgorithm::kSm3, "sm3"},
                            {HashAlgorithm::kBlake3, "blake3"},
                            {HashAlgorithm::kKeccak256, "keccak256"}};

Result<void> check_algorithm(HashAlgorithm algorithm) {
  if (hash_name(algorithm) != "unknown") return {};
  return make_error(ErrorCode::kUnsupported,
                    "unknown hash algorithm " + std::to_string(static_cast<int>(algorithm)),
                    "algorithm");
}

template <class D>
std::span<std::uint8_t> bytes_in(std::span<D> digests) {
  return {reinterpret_cast<std::uint8_t*>(digests.data()), digests.size_bytes()};
}

}  // namespace

std::string_view hash_name(HashAlgorithm algorithm) noexcept {
  for (const Named& named : kNames) {
    if (named.algorithm == algorithm) return named.name;
  }
  return "unknown";
}

std::optional<HashAlgorithm> hash_from_name(std::string_view name) noexcept {
  for (const Named& named : kNames) {
    if (named.name == name) return named.algorithm;
  }
  return std::nullopt;
}

std::size_t digest_bytes(HashAlgorithm algorithm) noexcept {
  return algorithm == HashAlgorithm::kSha512 ? 64 : 32;
}

Result<void> hash_batch(const Backend& backend, HashAlgorithm algorithm, const Slices& messages,
                        std::span<std::uint8_t> digests) {
  COLOPHON_TRY(check_algorithm(algorithm));
  COLOPHON_TRY(check_shape(messages, "messages"));
  const std::size_t each = digest_bytes(algorithm);
  if (digests.size() != messages.size() * each) {
    return make_error(ErrorCode::kInvalidArgument,
                      "digests has " + std::to_string(digests.size()) + " bytes where " +
                          std::to_string(messages.size()) + " messages need " +
                          std::to_string(each) + " each",
                      "digests");
  }
  if (messages.size() == 0) return {};
  return backend.implementation().hash({.algorithm = algorithm}, messages, digests.data());
}

Result<void> hash_batch(const Backend& backend, HashAlgorithm algorithm, const Slices& messages,
                        std::span<Digest> digests) {
  return hash_batch(backend, algorithm, messages, bytes_in(digests));
}

Result<void> hash_batch(const Backend& backend, HashAlgorithm algorithm, const Slices& messages,
                        std::span<Digest64> digests) {
  return hash_batch(backend, algorithm, messages, bytes_in(digests));
}

HashStream::HashStream(HashAlgorithm algorithm, std::unique_ptr<State> state)
    : algorithm_(algorithm), state_(std::move(state)) {}
HashStream::HashStream(HashStream&&) noexcept = default;
HashStream& HashStream::operator=(HashStream&&) noexcept = default;
HashStream::~HashStream() = default;

Result<HashStream> HashStream::create(const Backend& backend, HashAlgorithm algorithm) {
  COLOPHON_TRY(check_algorithm(algorithm));
  COLOPHON_TRY_ASSIGN(auto state, backend.implementation().hash_stream({algorithm}));
  return HashStream(algorithm, std::move(state));
}

Result<HashStream> HashStream::create_blake3_keyed(const Backend& backend,
                                                   std::span<const std::uint8_t, 32> key) {
  constexpr auto kBlake3 = HashAlgorithm::kBlake3;
  COLOPHON_TRY_ASSIGN(auto state, backend.implementation().hash_stream(
                                      {kBlake3, kernels::Blake3Mode::kKeyed, key.data()}));
  return HashStream(kBlake3, std::move(state));
}

Result<HashStream> HashStream::create_blake3_derive_key(const Backend& backend,
                                                        std::string_view context) {
  constexpr auto kBlake3 = HashAlgorithm::kBlake3;
  const BackendImplementation& implementation = backend.implementation();
  COLOPHON_TRY_ASSIGN(const auto of_context,
                      implementation.hash_stream({kBlake3, kernels::Blake3Mode::kContext}));
  COLOPHON_TRY(
      of_context->update({reinterpret_cast<const std::uint8_t*>(context.data()), context.size()}));
  Digest key;
  COLOPHON_TRY(of_context->finish(key));
  COLOPHON_TRY_ASSIGN(auto state, implementation.hash_stream(
                                      {kBlake3, kernels::Blake3Mode::kKeyMaterial, key.data()}));
  return HashStream(kBlake3, std::move(state));
}

Result<void> HashStream::update(ByteSpan bytes) {
  if (bytes.empty()) return {};
  return state_->update(bytes);
}

Result<void> HashStream::finish(std::span<std::uint8_t> digest) {
  const bool is_any_size = algorithm_ == HashAlgorithm::kBlake3 && !digest.empty();
  if (digest.size() != digest_bytes(algorithm_) && !is_any_size) {
    return make_error(ErrorCode::kInvalidArgument,
                      "the digest has " + std::to_string(digest.size()) + " bytes, " +
                          std::string(hash_name(algorithm_)) + " makes " +
                          std::to_string(digest_bytes(algorithm_)),
                      "digest");
  }
  return state_->finish(digest);
}

}  // namespace colophon
