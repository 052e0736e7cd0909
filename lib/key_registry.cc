// SPDX-License-Identifier: Apache-2.0
#include "colophon/key_registry.hpp"

#include <compare>
#include <mutex>
#include <string>
#include <tuple>
#include <utility>

#include "key_registry_storage.h"

namespace colophon {

bool KeyRegistry::Storage::KeyLess::operator()(const PublicKey* a,
                                               const PublicKey* b) const noexcept {
  return std::tie(a->scheme, a->bytes, a->sm2_z) < std::tie(b->scheme, b->bytes, b->sm2_z);
}

Result<KeyId> KeyRegistry::Storage::add(const PublicKey& key) {
  const auto existing = [&]() -> KeyId {
    const auto found = by_key_.find(&key);
    return found == by_key_.end() ? KeyId{} : found->second;
  };
  bool prepare = false;
  {
    const std::shared_lock lock(mutex_);
    if (const KeyId id = existing(); id != KeyId{}) return id;
    prepare = prepared_bytes_ < kPreparedBytesMax;
  }
  // Preparing may take long (tables): outside the lock. Two threads may then do it for one key; the
  // later one's work is dropped.
  auto enrolled = std::make_shared<EnrolledKey>();
  enrolled->key = key;
  std::size_t prepared_bytes = 0;
  if (prepare) {
    COLOPHON_TRY_ASSIGN(enrolled->prepared, implementation_.prepare_key(key));
    prepared_bytes = enrolled->prepared->memory_bytes();
  }
  const std::unique_lock lock(mutex_);
  if (const KeyId id = existing(); id != KeyId{}) return id;
  if (by_id_.size() >= kKeysMax) {
    return make_error(ErrorCode::kLimitExceeded, "the key registry is full: it holds " +
                                                     std::to_string(kKeysMax) +
                                                     " keys; remove some first");
  }
  const KeyId id{++last_id_};
  // The owner first: should memory run out between the two, no pointer is left to a dead key.
  by_id_.emplace(id.value, enrolled);
  by_key_.emplace(&enrolled->key, id);
  prepared_bytes_ += prepared_bytes;
  return id;
}

Result<void> KeyRegistry::Storage::remove(KeyId id) {
  std::shared_ptr<const EnrolledKey> removed;  // freed after the lock is released
  const std::unique_lock lock(mutex_);
  const auto found = by_id_.find(id.value);
  if (found == by_id_.end()) {
    return make_error(ErrorCode::kNotFound,
                      "no key with id " + std::to_string(id.value) + " is enrolled");
  }
  removed = std::move(found->second);
  by_key_.erase(&removed->key);
  by_id_.erase(found);
  if (removed->prepared) prepared_bytes_ -= removed->prepared->memory_bytes();
  return {};
}

std::size_t KeyRegistry::Storage::size() const {
  const std::shared_lock lock(mutex_);
  return by_id_.size();
}

std::size_t KeyRegistry::Storage::memory_bytes() const {
  // A hash node, a tree node and a control block around each key.
  constexpr std::size_t kNodeBytes = 160;
  const std::shared_lock lock(mutex_);
  return by_id_.size() * (sizeof(EnrolledKey) + kNodeBytes) + prepared_bytes_;
}

void KeyRegistry::Storage::find(std::span<const KeyId> ids,
                                std::span<std::shared_ptr<const EnrolledKey>> keys) const {
  const std::shared_lock lock(mutex_);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto found = by_id_.find(ids[i].value);
    if (found != by_id_.end()) keys[i] = found->second;
  }
}

KeyRegistry::KeyRegistry(std::unique_ptr<Storage> storage) : storage_(std::move(storage)) {}
KeyRegistry::KeyRegistry(KeyRegistry&&) noexcept = default;
KeyRegistry& KeyRegistry::operator=(KeyRegistry&&) noexcept = default;
KeyRegistry::~KeyRegistry() = default;

Result<KeyRegistry> KeyRegistry::create(const Backend& backend) {
  return KeyRegistry(std::make_unique<Storage>(backend.implementation()));
}

Result<KeyId> KeyRegistry::add(Scheme scheme, ByteSpan public_key, std::string_view sm2_id) {
  if (scheme_name(scheme) == "unknown") {
    return make_error(ErrorCode::kInvalidArgument, "unknown signature scheme", "scheme");
  }
  PublicKey key;
  const KeyFault fault = parse_public_key(scheme, public_key, key);
  if (fault != KeyFault::kNone) {
    return make_error(fault == KeyFault::kNoMemory ? ErrorCode::kInternal : ErrorCode::kMalformed,
                      "the " + std::string(scheme_name(scheme)) +
                          " public key is refused: " + std::string(key_fault_text(fault)),
                      "public_key");
  }
  if (scheme == Scheme::kSm2Sm3) COLOPHON_TRY(set_sm2_identity(key, sm2_id));
  return storage_->add(key);
}

Result<void> KeyRegistry::remove(KeyId id) { return storage_->remove(id); }
std::size_t KeyRegistry::size() const noexcept { return storage_->size(); }
std::size_t KeyRegistry::memory_bytes() const noexcept { return storage_->memory_bytes(); }

}  // namespace colophon
