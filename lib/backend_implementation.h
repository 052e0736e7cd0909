// SPDX-License-Identifier: Apache-2.0
//
// What a backend is, seen from inside: one object chosen once, virtual calls over whole batches.
//
// Everything that decides a verdict without curve arithmetic happens before (key_encoding.h,
// signature_encoding.h, verifier.cc), so that no two backends can differ in it: a backend gets
// clean keys, scalars in range, and flat arrays it may hand to a device as they are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "colophon/backend.hpp"
#include "colophon/error.hpp"
#include "colophon/hash.hpp"
#include "colophon/profile.hpp"
#include "colophon/slices.hpp"
#include "kernels/hash.h"
#include "key_encoding.h"
#include "signature_encoding.h"

namespace colophon {

// What one backend keeps for one enrolled key: a library's key object, a table in its device's
// memory. Immutable once made; shared by all threads.
class PreparedKey {
 public:
  PreparedKey() = default;
  PreparedKey(const PreparedKey&) = delete;
  PreparedKey& operator=(const PreparedKey&) = delete;
  virtual ~PreparedKey() = default;
  // Without what the backend keeps under a limit of its own (table_memory below). Constant.
  [[nodiscard]] virtual std::size_t memory_bytes() const noexcept = 0;
};

// A distinct key of a batch. `prepared` is this backend's own, or null: not enrolled, or no room.
struct BatchKey {
  const PublicKey* key = nullptr;
  const PreparedKey* prepared = nullptr;
};

// The curve arithmetic of a batch. Everything lives until the call returns.
struct VerifyWork {
  Scheme scheme = Scheme::kEcdsaP256Sha256;
  Profile profile = Profile::kStandard;  // never kDefault
  InputKind input = InputKind::kMessage;
  Slices inputs;                          // one an item; digests are 32 bytes for every item to do
  std::span<const Signature> signatures;  // one an item
  std::span<const BatchKey> keys;         // each distinct key once
  std::span<const std::uint32_t> key_of;  // item -> index in `keys`; undefined for decided items
  // The items still to do, equal keys next to each other. All others are decided.
  std::span<const std::uint32_t> items;
  // Written for each of `items`: kValid or kMismatch, nothing else.
  std::span<Verdict> verdicts;
  unsigned threads = 1;  // that may work on it, at least 1
  // For what lives no longer than the call. Not to be shared by threads.
  std::pmr::memory_resource* memory = std::pmr::get_default_resource();
};

// H(prefix ‖ message), or H of that once more.
struct HashForm {
  static constexpr int kNoPrefix = -1;

  HashAlgorithm algorithm = HashAlgorithm::kSha256;
  int prefix = kNoPrefix;  // a byte, or none
  bool twice = false;
};

// Of one message in pieces. BLAKE3's mode; its key is read while the stream is made.
struct StreamForm {
  HashAlgorithm algorithm = HashAlgorithm::kSha256;
  kernels::Blake3Mode mode = kernels::Blake3Mode::kHash;
  const std::uint8_t* key = nullptr;
};

class HashStream::State {
 public:
  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  virtual ~State() = default;
  [[nodiscard]] virtual Result<void> update(ByteSpan bytes) = 0;
  // Then it is as new. The digest's size, or any for BLAKE3.
  [[nodiscard]] virtual Result<void> finish(std::span<std::uint8_t> digest) = 0;
};

class BackendImplementation {
 public:
  BackendImplementation() = default;
  BackendImplementation(const BackendImplementation&) = delete;
  BackendImplementation& operator=(const BackendImplementation&) = delete;
  virtual ~BackendImplementation() = default;

  [[nodiscard]] virtual std::string_view name() const noexcept = 0;
  [[nodiscard]] virtual std::string description() const = 0;
  // Empty if this machine can run it, otherwise why not ("the CPU lacks AVX-512 IFMA").
  [[nodiscard]] virtual std::string unsupported_reason() const = 0;

  // All calls below are thread-safe and synchronous. An error means that the backend failed, never
  // that an input is wrong; shapes are already checked.

  [[nodiscard]] virtual Result<std::unique_ptr<PreparedKey>> prepare_key(
      const PublicKey& key) const = 0;
  [[nodiscard]] virtual Result<void> verify(const VerifyWork& work) const = 0;
  // From so many signatures over P-256 on its kernels go another way than with fewer. 0: no
  // kernels.
  [[nodiscard]] virtual std::size_t large_batch_min() const { return 0; }

  // Of the tables that prepare_key and verify make; a backend without tables has no limit either.
  // Error kInvalidArgument: its device has not so much.
  [[nodiscard]] virtual Result<void> set_table_memory_max(std::size_t /*bytes*/) const {
    return {};
  }
  [[nodiscard]] virtual TableMemory table_memory() const { return {}; }
  [[nodiscard]] virtual std::optional<DeviceInfo> device() const { return {}; }

  // `digests` takes digest_bytes(form.algorithm) for each message.
  [[nodiscard]] virtual Result<void> hash(const HashForm& form, const Slices& messages,
                                          std::uint8_t* digests) const = 0;
  // The i-th of `count` parents is the hash of nodes 2i and 2i+1 (form), all of
  // digest_bytes(form.algorithm). `parents` may be the front of `nodes`. Also called for single
  // pairs: a device backend does those on the host.
  [[nodiscard]] virtual Result<void> hash_pairs(const HashForm& form, const std::uint8_t* nodes,
                                                std::size_t count, std::uint8_t* parents) const = 0;
  // Root over nodes, `count` of them, at least one; a node without a sibling moves up as it is.
  // Level by level through hash_pairs unless a backend fuses levels.
  [[nodiscard]] virtual Result<void> hash_tree(const HashForm& form, const std::uint8_t* nodes,
                                               std::size_t count, std::uint8_t* root) const;
  // The same over the hashes (by `leaf_form`) of leaves, at least one. A few thousand leaves at a
  // time, so that what is between them and the root stays small, unless a backend fuses levels.
  [[nodiscard]] virtual Result<void> hash_leaves_tree(const HashForm& leaf_form,
                                                      const HashForm& form, const Slices& leaves,
                                                      std::uint8_t* root) const;
  [[nodiscard]] virtual Result<std::unique_ptr<HashStream::State>> hash_stream(
      const StreamForm& form) const = 0;
  // What does each algorithm: "sha256 sha-ni, sha512 avx512, …".
  [[nodiscard]] virtual std::string hashing() const { return {}; }
};

// The backends of one list, each with its self-test run at most once, before first use.
// Thread-safe. The library has one list, of what it was built with; tests make lists with backends
// that fail.
class BackendList {
 public:
  // In order of preference. The implementations outlive the list.
  explicit BackendList(const std::vector<const BackendImplementation*>& implementations);

  // As Backend::choose, by name alone.
  [[nodiscard]] Result<const BackendImplementation*> choose(
      std::string_view name, std::size_t table_memory = 0,
      std::vector<BackendInfo>* passed_over = nullptr) const;
  [[nodiscard]] std::vector<BackendInfo> list() const;

 private:
  struct Entry {
    const BackendImplementation* implementation;
    mutable std::once_flag tested;
    mutable std::optional<Error> fault;  // why it cannot be used
  };

  [[nodiscard]] static const std::optional<Error>& fault_of(const Entry& entry);
  [[nodiscard]] static BackendInfo info_of(const Entry& entry);
  [[nodiscard]] const Entry* best() const;

  std::vector<std::unique_ptr<Entry>> entries_;
};

// Known answers for every scheme, profile, hash and the tree, each with a twin that must be
// refused. Error kInternal names the first that came out wrong.
[[nodiscard]] Result<void> run_self_test(const BackendImplementation& implementation);

[[nodiscard]] const BackendImplementation& openssl_backend();
[[nodiscard]] const BackendImplementation& portable_backend();
#if COLOPHON_AVX512
[[nodiscard]] const BackendImplementation& avx512_backend();
#endif
#if COLOPHON_CUDA
// GPU number `device`, whether there is one or not.
[[nodiscard]] const BackendImplementation& cuda_backend(int device);
#endif
// The first of the library's own for the CPU that has passed its self-test.
[[nodiscard]] const BackendImplementation& best_cpu_backend();

}  // namespace colophon
