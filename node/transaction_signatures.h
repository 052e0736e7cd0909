// SPDX-License-Identifier: Apache-2.0
//
// The signatures of many transactions at once, one call of the library a scheme, on as many threads
// as the machine has and the batch is worth. Profiles of the ledger: ECDSA P-256 low_s, Ed25519
// zip215, both raw.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <shared_mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "colophon/backend.hpp"
#include "colophon/error.hpp"
#include "colophon/key_registry.hpp"
#include "colophon/profile.hpp"
#include "node/state_machine.h"

namespace colophon::node {

// Keys that were validated and prepared once, because they will come again. Thread-safe.
class SignerKeys {
 public:
  // `worth_keeping` is asked once a lookup of a key not yet kept; thread-safe. It bounds the
  // memory.
  using WorthKeeping = std::function<bool(Scheme scheme, ByteSpan public_key)>;
  [[nodiscard]] static Result<SignerKeys> create(const Backend& backend,
                                                 WorthKeeping worth_keeping);
  SignerKeys(SignerKeys&& other) noexcept;

  // nullopt: not kept; verify with the key's bytes.
  [[nodiscard]] std::optional<KeyId> find(Scheme scheme, ByteSpan public_key);
  [[nodiscard]] const KeyRegistry& registry() const noexcept { return registry_; }

 private:
  SignerKeys(KeyRegistry registry, WorthKeeping worth_keeping)
      : registry_(std::move(registry)), worth_keeping_(std::move(worth_keeping)) {}

  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>{}(text);
    }
  };

  KeyRegistry registry_;
  WorthKeeping worth_keeping_;
  std::shared_mutex mutex_;
  // Keys are enrolled by members of the consortium, so nobody can fill the map with collisions
  // unseen.
  std::unordered_map<std::string, KeyId, TextHash, std::equal_to<>> ids_;  // of public key bytes
};

// One verdict a transaction. Every `id` must be the transaction's.
[[nodiscard]] Result<std::vector<Verdict>> verify_signatures(
    const Backend& backend, std::string_view chain_id,
    std::span<const VerifiedTransaction* const> transactions, SignerKeys& keys);

}  // namespace colophon::node
