// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "colophon/backend.hpp"
#include "colophon/colophon.h"
#include "colophon/error.hpp"
#include "colophon/hash.hpp"
#include "colophon/key_registry.hpp"
#include "colophon/merkle.hpp"
#include "colophon/profile.hpp"
#include "colophon/verifier.hpp"

struct colophon_backend {
  colophon::Backend backend;
  std::string name;
};

struct colophon_key_registry {
  colophon::KeyRegistry registry;
};

namespace {

using colophon::ByteSpan;
using colophon::Digest;
using colophon::Error;
using colophon::ErrorCode;
using colophon::make_error;
using colophon::Result;
using colophon::Slices;
using colophon::Verdict;

static_assert(COLOPHON_ERROR_INVALID_ARGUMENT == static_cast<int>(ErrorCode::kInvalidArgument));
static_assert(COLOPHON_ERROR_INVALID_SIGNATURE == static_cast<int>(ErrorCode::kInvalidSignature));
static_assert(COLOPHON_ERROR_INTERNAL == static_cast<int>(ErrorCode::kInternal));
static_assert(COLOPHON_MISMATCH == static_cast<int>(Verdict::kMismatch));
static_assert(COLOPHON_SM2_SM3 == static_cast<int>(colophon::Scheme::kSm2Sm3));
static_assert(COLOPHON_PROFILE_STRICT == static_cast<int>(colophon::Profile::kStrict));
static_assert(COLOPHON_PROOF_HASHES_MAX == colophon::kProofHashesMax);
static_assert(COLOPHON_THREADS_MAX == colophon::kThreadsMax);
static_assert(COLOPHON_TABLE_MEMORY_MIN == colophon::kTableMemoryMin);
// `threads` lies where the first version of the structure had padding, which its callers zeroed.
static_assert(offsetof(colophon_verify_batch, threads) == 4 &&
              offsetof(colophon_verify_batch, inputs) == 8);
// Arrays of these cross the boundary without a copy.
static_assert(sizeof(Digest) == COLOPHON_DIGEST_BYTES && alignof(Digest) == 1);
static_assert(sizeof(Verdict) == 1);
static_assert(sizeof(colophon::KeyId) == sizeof(std::uint64_t) &&
              alignof(colophon::KeyId) == alignof(std::uint64_t));

thread_local std::string last_error_message;

colophon_status fail(const Error& error) {
  last_error_message = error.message;
  return static_cast<colophon_status>(error.code);
}

Error null_argument(const char* name) {
  return make_error(ErrorCode::kInvalidArgument, std::string(name) + " is null", name);
}

// Nothing may be thrown into C. What is thrown at all is want of memory.
template <class Body>
colophon_status guarded(Body body) noexcept {
  try {
    const Result<void> result = body();
    return result ? COLOPHON_OK : fail(result.error());
  } catch (...) {
    // "out of memory" (13 characters) fits std::string's own buffer: this does not allocate.
    last_error_message = "out of memory";
    return COLOPHON_ERROR_INTERNAL;
  }
}

Result<Slices> to_slices(const colophon_slices& slices, const char* name) {
  if (slices.count == 0) return Slices{};
  if (slices.offsets == nullptr) return null_argument(name);
  if (slices.bytes == nullptr && slices.bytes_size != 0) return null_argument(name);
  if (slices.count == std::numeric_limits<std::size_t>::max()) {
    return make_error(ErrorCode::kLimitExceeded, std::string(name) + " has too many items", name);
  }
  return Slices{ByteSpan(slices.bytes, slices.bytes_size),
                std::span(slices.offsets, slices.count + 1)};
}

Result<std::span<const Digest>> to_digests(const std::uint8_t* bytes, std::size_t count,
                                           const char* name) {
  if (count == 0) return std::span<const Digest>();
  if (bytes == nullptr) return null_argument(name);
  return std::span(reinterpret_cast<const Digest*>(bytes), count);
}

colophon_table_memory to_c(const colophon::TableMemory& memory) {
  return {memory.bytes, memory.bytes_max, memory.tables};
}

void copy_text(const std::string& text, char (&to)[COLOPHON_BACKEND_TEXT_BYTES]) {
  const std::size_t size = std::min(text.size(), sizeof to - 1);
  std::memcpy(to, text.data(), size);
  to[size] = '\0';
}

Digest to_digest(const std::uint8_t* bytes) {
  Digest digest;
  std::memcpy(digest.data(), bytes, digest.size());
  return digest;
}

std::string_view to_sm2_id(const std::uint8_t* id, std::size_t size) {
  return id == nullptr ? colophon::kSm2DefaultId
                       : std::string_view(reinterpret_cast<const char*>(id), size);
}

Result<colophon::MerkleTree> tree_of(const colophon_backend* backend,
                                     const std::uint8_t* leaf_hashes, std::size_t leaf_count,
                                     const std::uint8_t* proof, const std::size_t* proof_hashes) {
  if (backend == nullptr) return null_argument("backend");
  if (proof == nullptr) return null_argument("proof");
  if (proof_hashes == nullptr) return null_argument("proof_hashes");
  COLOPHON_TRY_ASSIGN(const auto leaves, to_digests(leaf_hashes, leaf_count, "leaf_hashes"));
  return colophon::MerkleTree::build(backend->backend,
                                     std::vector<Digest>(leaves.begin(), leaves.end()));
}

void write_proof(const std::vector<Digest>& hashes, std::uint8_t* proof,
                 std::size_t* proof_hashes) {
  if (!hashes.empty()) std::memcpy(proof, hashes.data(), hashes.size() * sizeof(Digest));
  *proof_hashes = hashes.size();
}

}  // namespace

const char* colophon_last_error_message(void) { return last_error_message.c_str(); }

const char* colophon_status_name(colophon_status status) {
  if (status == COLOPHON_OK) return "ok";
  // error_code_name gives views of string literals, which end in a zero.
  if (status < COLOPHON_OK || status > COLOPHON_ERROR_INTERNAL) return "internal";
  return colophon::error_code_name(static_cast<ErrorCode>(status)).data();
}

colophon_status colophon_backend_choose(const char* name, colophon_backend** backend) {
  return guarded([&]() -> Result<void> {
    if (backend == nullptr) return null_argument("backend");
    COLOPHON_TRY_ASSIGN(const colophon::Backend chosen,
                        colophon::Backend::choose(name == nullptr ? "" : name));
    std::string chosen_name(chosen.name());
    *backend = new colophon_backend{chosen, std::move(chosen_name)};
    return {};
  });
}

void colophon_backend_free(colophon_backend* backend) { delete backend; }

const char* colophon_backend_name(const colophon_backend* backend) {
  return backend == nullptr ? "" : backend->name.c_str();
}

colophon_status colophon_backend_list(char* names, size_t names_size, size_t* names_needed) {
  return guarded([&]() -> Result<void> {
    std::string joined;
    for (const colophon::BackendInfo& info : colophon::list_backends()) {
      if (!joined.empty()) joined += '\n';
      joined += info.name;
    }
    const std::size_t needed = joined.size() + 1;
    if (names_needed != nullptr) *names_needed = needed;
    if (names == nullptr) return null_argument("names");
    if (names_size < needed) {
      return make_error(ErrorCode::kLimitExceeded,
                        "names has " + std::to_string(names_size) + " bytes; " +
                            std::to_string(needed) + " are needed",
                        "names");
    }
    std::memcpy(names, joined.c_str(), needed);
    return {};
  });
}

colophon_status colophon_backend_set_table_memory_max(const colophon_backend* backend,
                                                      uint64_t bytes) {
  return guarded([&]() -> Result<void> {
    if (backend == nullptr) return null_argument("backend");
    return backend->backend.set_table_memory_max(bytes);
  });
}

colophon_status colophon_backend_table_memory(const colophon_backend* backend,
                                              colophon_table_memory* memory) {
  return guarded([&]() -> Result<void> {
    if (backend == nullptr) return null_argument("backend");
    if (memory == nullptr) return null_argument("memory");
    *memory = to_c(backend->backend.table_memory());
    return {};
  });
}

colophon_status colophon_backend_describe(const char* name, colophon_backend_info* info) {
  return guarded([&]() -> Result<void> {
    if (name == nullptr) return null_argument("name");
    if (info == nullptr) return null_argument("info");
    std::string names;
    for (const colophon::BackendInfo& one : colophon::list_backends()) {
      if (one.name == name) {
        info->supported = one.supported ? 1 : 0;
        info->self_test_passed = one.self_test_passed ? 1 : 0;
        info->chosen_by_auto = one.chosen_by_auto ? 1 : 0;
        info->table_memory = to_c(one.tables);
        copy_text(one.description, info->description);
        copy_text(one.reason, info->reason);
        return {};
      }
      names += (names.empty() ? "" : ", ") + one.name;
    }
    return make_error(ErrorCode::kInvalidArgument,
                      "name: there is no backend '" + std::string(name) + "', only " + names,
                      "name");
  });
}

const char* colophon_verdict_reason(uint8_t verdict) {
  return colophon::verdict_reason(static_cast<Verdict>(verdict)).data();
}

colophon_status colophon_key_registry_create(const colophon_backend* backend,
                                             colophon_key_registry** registry) {
  return guarded([&]() -> Result<void> {
    if (backend == nullptr) return null_argument("backend");
    if (registry == nullptr) return null_argument("registry");
    COLOPHON_TRY_ASSIGN(auto created, colophon::KeyRegistry::create(backend->backend));
    *registry = new colophon_key_registry{std::move(created)};
    return {};
  });
}

void colophon_key_registry_free(colophon_key_registry* registry) { delete registry; }

colophon_status colophon_key_registry_add(colophon_key_registry* registry, uint8_t scheme,
                                          const uint8_t* public_key, size_t public_key_size,
                                          const uint8_t* sm2_id, size_t sm2_id_size,
                                          uint64_t* key_id) {
  return guarded([&]() -> Result<void> {
    if (registry == nullptr) return null_argument("registry");
    if (public_key == nullptr && public_key_size != 0) return null_argument("public_key");
    if (key_id == nullptr) return null_argument("key_id");
    COLOPHON_TRY_ASSIGN(const colophon::KeyId id,
                        registry->registry.add(static_cast<colophon::Scheme>(scheme),
                                               ByteSpan(public_key, public_key_size),
                                               to_sm2_id(sm2_id, sm2_id_size)));
    *key_id = id.value;
    return {};
  });
}

colophon_status colophon_key_registry_remove(colophon_key_registry* registry, uint64_t key_id) {
  return guarded([&]() -> Result<void> {
    if (registry == nullptr) return null_argument("registry");
    return registry->registry.remove(colophon::KeyId{key_id});
  });
}

size_t colophon_key_registry_size(const colophon_key_registry* registry) {
  return registry == nullptr ? 0 : registry->registry.size();
}

colophon_status colophon_verify(const colophon_backend* backend, const colophon_verify_batch* batch,
                                uint8_t* verdicts) {
  return guarded([&]() -> Result<void> {
    if (backend == nullptr) return null_argument("backend");
    if (batch == nullptr) return null_argument("batch");
    const std::size_t count = batch->inputs.count;
    if (verdicts == nullptr && count != 0) return null_argument("verdicts");
    colophon::VerifyBatch work;
    work.scheme = static_cast<colophon::Scheme>(batch->scheme);
    work.encoding = static_cast<colophon::SignatureEncoding>(batch->encoding);
    work.profile = static_cast<colophon::Profile>(batch->profile);
    work.input = static_cast<colophon::InputKind>(batch->input);
    work.threads = batch->threads == 0 ? 1 : batch->threads;
    COLOPHON_TRY_ASSIGN(work.inputs, to_slices(batch->inputs, "inputs"));
    COLOPHON_TRY_ASSIGN(work.signatures, to_slices(batch->signatures, "signatures"));
    COLOPHON_TRY_ASSIGN(work.public_keys, to_slices(batch->public_keys, "public_keys"));
    if (batch->key_ids != nullptr) {
      work.key_ids = std::span(reinterpret_cast<const colophon::KeyId*>(batch->key_ids), count);
    }
    if (batch->registry != nullptr) work.registry = &batch->registry->registry;
    work.sm2_id = to_sm2_id(batch->sm2_id, batch->sm2_id_size);
    return colophon::verify_batch(backend->backend, work,
                                  std::span(reinterpret_cast<Verdict*>(verdicts), count));
  });
}

colophon_status colophon_hash_batch(const colophon_backend* backend, uint8_t algorithm,
                                    const colophon_slices* messages, uint8_t* digests,
                                    size_t digests_bytes) {
  return guarded([&]() -> Result<void> {
    if (backend == nullptr) return null_argument("backend");
    if (messages == nullptr) return null_argument("messages");
    if (digests == nullptr && digests_bytes != 0) return null_argument("digests");
    COLOPHON_TRY_ASSIGN(const Slices slices, to_slices(*messages, "messages"));
    return colophon::hash_batch(backend->backend, static_cast<colophon::HashAlgorithm>(algorithm),
                                slices, std::span(digests, digests_bytes));
  });
}

colophon_status colophon_merkle_leaf_hashes(const colophon_backend* backend,
                                            const colophon_slices* leaves, uint8_t* leaf_hashes) {
  return guarded([&]() -> Result<void> {
    if (backend == nullptr) return null_argument("backend");
    if (leaves == nullptr) return null_argument("leaves");
    if (leaf_hashes == nullptr && leaves->count != 0) return null_argument("leaf_hashes");
    COLOPHON_TRY_ASSIGN(const Slices slices, to_slices(*leaves, "leaves"));
    return colophon::merkle_leaf_hashes(
        backend->backend, slices, std::span(reinterpret_cast<Digest*>(leaf_hashes), leaves->count));
  });
}

colophon_status colophon_merkle_root(const colophon_backend* backend, const uint8_t* leaf_hashes,
                                     size_t leaf_count, uint8_t root[COLOPHON_DIGEST_BYTES]) {
  return guarded([&]() -> Result<void> {
    if (backend == nullptr) return null_argument("backend");
    if (root == nullptr) return null_argument("root");
    COLOPHON_TRY_ASSIGN(const auto leaves, to_digests(leaf_hashes, leaf_count, "leaf_hashes"));
    COLOPHON_TRY_ASSIGN(const Digest computed, colophon::merkle_root(backend->backend, leaves));
    std::memcpy(root, computed.data(), computed.size());
    return {};
  });
}

colophon_status colophon_merkle_prove_inclusion(const colophon_backend* backend,
                                                const uint8_t* leaf_hashes, size_t leaf_count,
                                                uint64_t index, uint8_t* proof,
                                                size_t* proof_hashes) {
  return guarded([&]() -> Result<void> {
    COLOPHON_TRY_ASSIGN(const auto tree,
                        tree_of(backend, leaf_hashes, leaf_count, proof, proof_hashes));
    COLOPHON_TRY_ASSIGN(const auto hashes, colophon::merkle_prove_inclusion(
                                               backend->backend, tree.nodes(), index, tree.size()));
    write_proof(hashes, proof, proof_hashes);
    return {};
  });
}

colophon_status colophon_merkle_prove_consistency(const colophon_backend* backend,
                                                  const uint8_t* leaf_hashes, size_t leaf_count,
                                                  uint64_t from, uint8_t* proof,
                                                  size_t* proof_hashes) {
  return guarded([&]() -> Result<void> {
    COLOPHON_TRY_ASSIGN(const auto tree,
                        tree_of(backend, leaf_hashes, leaf_count, proof, proof_hashes));
    COLOPHON_TRY_ASSIGN(const auto hashes, colophon::merkle_prove_consistency(
                                               backend->backend, tree.nodes(), from, tree.size()));
    write_proof(hashes, proof, proof_hashes);
    return {};
  });
}

colophon_status colophon_merkle_verify_inclusion(const colophon_backend* backend,
                                                 const uint8_t leaf_hash[COLOPHON_DIGEST_BYTES],
                                                 uint64_t index, uint64_t size,
                                                 const uint8_t* proof, size_t proof_hashes,
                                                 const uint8_t root[COLOPHON_DIGEST_BYTES]) {
  return guarded([&]() -> Result<void> {
    if (backend == nullptr) return null_argument("backend");
    if (leaf_hash == nullptr) return null_argument("leaf_hash");
    if (root == nullptr) return null_argument("root");
    COLOPHON_TRY_ASSIGN(const auto hashes, to_digests(proof, proof_hashes, "proof"));
    return colophon::merkle_verify_inclusion(backend->backend, to_digest(leaf_hash), index, size,
                                             hashes, to_digest(root));
  });
}

colophon_status colophon_merkle_verify_consistency(const colophon_backend* backend, uint64_t from,
                                                   uint64_t to,
                                                   const uint8_t from_root[COLOPHON_DIGEST_BYTES],
                                                   const uint8_t to_root[COLOPHON_DIGEST_BYTES],
                                                   const uint8_t* proof, size_t proof_hashes) {
  return guarded([&]() -> Result<void> {
    if (backend == nullptr) return null_argument("backend");
    if (from_root == nullptr) return null_argument("from_root");
    if (to_root == nullptr) return null_argument("to_root");
    COLOPHON_TRY_ASSIGN(const auto hashes, to_digests(proof, proof_hashes, "proof"));
    return colophon::merkle_verify_consistency(backend->backend, from, to, to_digest(from_root),
                                               to_digest(to_root), hashes);
  });
}
