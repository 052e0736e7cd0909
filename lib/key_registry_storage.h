// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <shared_mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "backend_implementation.h"
#include "colophon/key_registry.hpp"
#include "key_encoding.h"

namespace colophon {

// One enrolled key. Immutable; a batch that uses it keeps it alive after its removal.
struct EnrolledKey {
  PublicKey key;
  std::unique_ptr<PreparedKey> prepared;  // null once kPreparedBytesMax is used up
};

class KeyRegistry::Storage {
 public:
  // Prepared keys are what enrolment is for, but must not eat the machine: further keys work
  // without.
  static constexpr std::size_t kPreparedBytesMax = std::size_t{1} << 30;

  explicit Storage(const BackendImplementation& implementation) : implementation_(implementation) {}

  [[nodiscard]] const BackendImplementation& implementation() const noexcept {
    return implementation_;
  }

  [[nodiscard]] Result<KeyId> add(const PublicKey& key);
  [[nodiscard]] Result<void> remove(KeyId id);
  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] std::size_t memory_bytes() const;

  // keys[i] = the key of ids[i], null if there is none; all as of one moment.
  void find(std::span<const KeyId> ids, std::span<std::shared_ptr<const EnrolledKey>> keys) const;

 private:
  // Equal canonical forms are one key (SM2: with equal ids). Keys come from members of a
  // consortium, but an outsider may propose them: order, unlike a hash, has no worst case to aim
  // at.
  struct KeyLess {
    bool operator()(const PublicKey* a, const PublicKey* b) const noexcept;
  };

  const BackendImplementation& implementation_;
  mutable std::shared_mutex mutex_;
  std::uint64_t last_id_ = 0;
  std::size_t prepared_bytes_ = 0;
  std::unordered_map<std::uint64_t, std::shared_ptr<const EnrolledKey>> by_id_;
  std::map<const PublicKey*, KeyId, KeyLess> by_key_;  // points into by_id_'s keys
};

}  // namespace colophon
