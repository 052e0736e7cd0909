// SPDX-License-Identifier: Apache-2.0
#include "node/transaction_signatures.h"

#include <array>
#include <mutex>
#include <utility>

#include "colophon/verifier.hpp"
#include "node/bytes.h"

namespace colophon::node {
namespace {

// The arrays of one VerifyBatch, and which transactions are in it.
struct Batch {
  std::vector<std::size_t> members;
  std::string inputs, signatures, public_keys;
  std::vector<std::uint64_t> input_ends{0}, signature_ends{0}, key_ends{0};
  std::vector<KeyId> key_ids;
};

void add(std::string& bytes, std::vector<std::uint64_t>& ends, ByteSpan item) {
  bytes += as_text(item);
  ends.push_back(bytes.size());
}

Slices slices(const std::string& bytes, const std::vector<std::uint64_t>& ends) {
  return {as_bytes(bytes), ends};
}

}  // namespace

Result<SignerKeys> SignerKeys::create(const Backend& backend, WorthKeeping worth_keeping) {
  COLOPHON_TRY_ASSIGN(KeyRegistry registry, KeyRegistry::create(backend));
  return SignerKeys(std::move(registry), std::move(worth_keeping));
}

// For the return by value of create(), before any other thread knows of the object.
SignerKeys::SignerKeys(SignerKeys&& other) noexcept
    : registry_(std::move(other.registry_)),
      worth_keeping_(std::move(other.worth_keeping_)),
      ids_(std::move(other.ids_)) {}

std::optional<KeyId> SignerKeys::find(Scheme scheme, ByteSpan public_key) {
  // The two schemes' keys differ in length, so the bytes alone name a key.
  const std::string_view name = as_text(public_key);
  {
    const std::shared_lock guard(mutex_);
    if (const auto found = ids_.find(name); found != ids_.end()) return found->second;
  }
  if (!worth_keeping_(scheme, public_key)) return std::nullopt;
  const auto id = registry_.add(scheme, public_key);
  if (!id) return std::nullopt;  // not a valid key, or no room: the batch by bytes says which
  const std::unique_lock guard(mutex_);
  ids_.emplace(name, *id);
  return *id;
}

Result<std::vector<Verdict>> verify_signatures(
    const Backend& backend, std::string_view chain_id,
    std::span<const VerifiedTransaction* const> transactions, SignerKeys& keys) {
  std::vector<Verdict> verdicts(transactions.size(), Verdict::kMismatch);
  for (const Scheme scheme : {Scheme::kEcdsaP256Sha256, Scheme::kEd25519}) {
    std::array<Batch, 2> batches;  // by bytes, by KeyId
    for (std::size_t i = 0; i < transactions.size(); ++i) {
      const TransactionView& view = transactions[i]->view;
      if (view.scheme != scheme) continue;
      const std::optional<KeyId> key = keys.find(scheme, view.public_key);
      Batch& batch = batches[key ? 1 : 0];
      batch.members.push_back(i);
      if (key) {
        batch.key_ids.push_back(*key);
      } else {
        add(batch.public_keys, batch.key_ends, view.public_key);
      }
      add(batch.signatures, batch.signature_ends, view.signature);
      if (scheme == Scheme::kEcdsaP256Sha256) {
        // The id is SHA-256 of the signed bytes: exactly the digest that ECDSA needs.
        add(batch.inputs, batch.input_ends, ByteSpan(transactions[i]->id));
      } else {
        append_signing_input(batch.inputs, chain_id, view);
        batch.input_ends.push_back(batch.inputs.size());
      }
    }
    for (const Batch& batch : batches) {
      if (batch.members.empty()) continue;
      VerifyBatch call;
      call.scheme = scheme;
      call.encoding = SignatureEncoding::kRaw;
      call.threads = hardware_threads();
      const bool ecdsa = scheme == Scheme::kEcdsaP256Sha256;
      call.profile = ecdsa ? Profile::kLowS : Profile::kZip215;
      call.input = ecdsa ? InputKind::kDigest : InputKind::kMessage;
      call.inputs = slices(batch.inputs, batch.input_ends);
      call.signatures = slices(batch.signatures, batch.signature_ends);
      if (batch.key_ids.empty()) {
        call.public_keys = slices(batch.public_keys, batch.key_ends);
      } else {
        call.key_ids = batch.key_ids;
        call.registry = &keys.registry();
      }
      std::vector<Verdict> found(batch.members.size());
      COLOPHON_TRY(verify_batch(backend, call, found));
      for (std::size_t k = 0; k < found.size(); ++k) verdicts[batch.members[k]] = found[k];
    }
  }
  return verdicts;
}

}  // namespace colophon::node
