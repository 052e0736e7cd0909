// SPDX-License-Identifier: Apache-2.0
//
// Keys known before their signatures arrive. A key is validated once and gets a KeyId; a backend
// may keep tables for it, which is where verification for enrolled signers gets its speed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "colophon/backend.hpp"
#include "colophon/error.hpp"
#include "colophon/profile.hpp"
#include "colophon/slices.hpp"

namespace colophon {

// Names one enrolled key of one registry. Never reused within that registry.
struct KeyId {
  std::uint64_t value = 0;  // 0 is no key
  friend bool operator==(KeyId, KeyId) = default;
};

// Thread-safe. Lookups by verification run concurrently with add and remove; a batch uses the keys
// that were enrolled when it started.
class KeyRegistry {
 public:
  // 2^24 keys: what a register of a whole country's agents needs with room to spare.
  static constexpr std::size_t kKeysMax = std::size_t{1} << 24;

  [[nodiscard]] static Result<KeyRegistry> create(const Backend& backend);
  KeyRegistry(KeyRegistry&&) noexcept;
  KeyRegistry& operator=(KeyRegistry&&) noexcept;
  ~KeyRegistry();

  // Validates `public_key` (forms: profile.hpp) and enrols it; an already enrolled key gives its
  // existing KeyId. Errors: kMalformed (the message says which rule), kInvalidArgument (no such
  // scheme, an id longer than kSm2IdBytesMax), kLimitExceeded (kKeysMax), kInternal (the backend
  // failed). SM2 keys are enrolled for one signer id (default kSm2DefaultId): Z_A is cached with
  // the key.
  [[nodiscard]] Result<KeyId> add(Scheme scheme, ByteSpan public_key,
                                  std::string_view sm2_id = kSm2DefaultId);
  // Error: kNotFound.
  [[nodiscard]] Result<void> remove(KeyId id);
  [[nodiscard]] std::size_t size() const noexcept;
  // Of the keys, approximately; their tables are the backend's (Backend::table_memory).
  [[nodiscard]] std::size_t memory_bytes() const noexcept;

  class Storage;  // lib/key_registry_storage.h, for the library itself
  explicit KeyRegistry(std::unique_ptr<Storage> storage);
  [[nodiscard]] const Storage& storage() const noexcept { return *storage_; }

 private:
  std::unique_ptr<Storage> storage_;
};

}  // namespace colophon
