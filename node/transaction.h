// SPDX-License-Identifier: Apache-2.0
//
// Transactions: the envelope parsed into views (nothing copied), its limits, and its making.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "colophon/error.hpp"
#include "colophon/hash.hpp"
#include "colophon/hsm/signer.h"
#include "colophon/profile.hpp"
#include "colophon/slices.hpp"

namespace colophon::node {

inline constexpr std::string_view kTransactionDomain{"colophon transaction v1\0", 24};

// Views into the bytes given to parse_transaction.
struct TransactionView {
  ByteSpan body;  // as sent: what is signed
  Scheme scheme{};
  ByteSpan public_key;
  ByteSpan signature;
  std::uint64_t created_at_ms = 0;
  std::uint64_t expires_at_ms = 0;
  ByteSpan nonce;
  std::string_view contract;
  ByteSpan payload;
};

// Form and limits, without state and without the signature. Refuses unknown, duplicate,
// out-of-order and missing fields, and non-minimal varints: one transaction has one byte form.
// Errors name the field.
[[nodiscard]] Result<TransactionView> parse_transaction(ByteSpan bytes);

// What the signature is over: kTransactionDomain, one byte length, chain id, one byte scheme,
// public key, body. Of the view, only scheme, public_key and body are read. Requires
// check_chain_id.
[[nodiscard]] std::string signing_input(std::string_view chain_id, const TransactionView& view);
// The same, written behind what `out` holds: many in one buffer.
void append_signing_input(std::string& out, std::string_view chain_id, const TransactionView& view);

// SHA-256 of signing_input. The signature is not in it, so a transaction signed twice by its
// signer, or with a mauled signature, is a replay. The signer is in it, so whoever signs another's
// body as their own makes a transaction, and a record id, of their own: they can neither take those
// of the first signer nor have that one refused as a replay.
[[nodiscard]] Digest transaction_id(std::string_view chain_id, const TransactionView& view);

struct TransactionDraft {
  std::uint64_t created_at_ms = 0;
  std::uint64_t expires_at_ms = 0;
  std::array<std::uint8_t, 16> nonce{};
  std::string contract;
  std::string payload;
};
// Serialized and signed SignedTransaction. Errors: as check_chain_id and parse_transaction, before
// the signer is asked; the signer's.
[[nodiscard]] Result<std::string> sign_transaction(std::string_view chain_id,
                                                   const TransactionDraft& draft,
                                                   hsm::Signer& signer);

}  // namespace colophon::node
