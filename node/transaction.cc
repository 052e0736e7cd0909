// SPDX-License-Identifier: Apache-2.0
#include "node/transaction.h"

#include <openssl/sha.h>

#include <algorithm>
#include <span>
#include <string>
#include <utility>

#include "node/bytes.h"
#include "node/event.h"
#include "node/genesis.h"
#include "node/node.h"
#include "node/wire_writer.h"

namespace colophon::node {
namespace {

constexpr std::string_view kEnvelopeFields[] = {"body", "scheme", "public_key", "signature"};
constexpr std::string_view kBodyFields[] = {"version", "created_at_ms", "expires_at_ms",
                                            "nonce",   "contract",      "payload"};
constexpr std::uint64_t kTransactionVersion = 1;
constexpr std::size_t kNonceBytes = 16;
constexpr std::size_t kSignatureBytes = 64;
constexpr std::size_t kContractNameBytesMax = 32;

Error bad_transaction(std::string_view field, std::string message) {
  return make_error(ErrorCode::kMalformed, std::move(message), std::string(field));
}

// Reads one message whose fields are all there, once each, in ascending order, none with its
// default value. fields[i] is the name of field number i + 1.
class StrictReader {
 public:
  StrictReader(ByteSpan bytes, std::string_view message, std::span<const std::string_view> fields)
      : rest_(bytes), message_(message), fields_(fields) {}

  Result<std::uint64_t> number() {
    COLOPHON_TRY_ASSIGN(const std::string_view field, next_field(kWireVarint));
    COLOPHON_TRY_ASSIGN(const std::uint64_t value, varint(field));
    if (value == 0) {
      return bad_transaction(field, std::string(field) + " is 0: it must be given, and not be 0");
    }
    return value;
  }

  Result<ByteSpan> bytes() {
    COLOPHON_TRY_ASSIGN(const std::string_view field, next_field(kWireBytes));
    COLOPHON_TRY_ASSIGN(const std::uint64_t size, varint(field));
    if (size == 0) {
      return bad_transaction(field, std::string(field) + " is empty: it must be given");
    }
    if (size > rest_.size()) {
      return bad_transaction(field, "truncated: " + std::string(field) + " says it has " +
                                        std::to_string(size) + " bytes and " +
                                        std::to_string(rest_.size()) + " are left");
    }
    const ByteSpan value = rest_.first(static_cast<std::size_t>(size));
    rest_ = rest_.subspan(value.size());
    return value;
  }

  // After the last field.
  Result<void> finish() {
    if (rest_.empty()) return {};
    COLOPHON_TRY_ASSIGN(const std::uint64_t tag, varint(message_));
    return unexpected(tag >> 3, "the end");
  }

 private:
  // Consumes the tag of the next field in order and gives the field's name.
  Result<std::string_view> next_field(unsigned wire_type) {
    const std::string_view field = fields_[next_];
    if (rest_.empty()) {
      return bad_transaction(field, std::string(message_) + " ends before its field " +
                                        std::string(field) +
                                        ": the field is missing or was cut off");
    }
    COLOPHON_TRY_ASSIGN(const std::uint64_t tag, varint(field));
    if (tag >> 3 != next_ + 1) return unexpected(tag >> 3, field);
    if ((tag & 7) != wire_type) {
      return bad_transaction(field, std::string(field) + " has wire type " +
                                        std::to_string(tag & 7) + " where " +
                                        std::to_string(wire_type) + " belongs");
    }
    ++next_;
    return field;
  }

  Error unexpected(std::uint64_t number, std::string_view expected) const {
    if (number == 0 || number > fields_.size()) {
      return bad_transaction(message_, std::string(message_) + " has an unknown field number " +
                                           std::to_string(number) + ": remove it");
    }
    const std::string_view found = fields_[static_cast<std::size_t>(number - 1)];
    if (number <= next_) {
      return bad_transaction(
          found, std::string(found) + " is given twice or out of order: " + std::string(message_) +
                     " has each field once, in ascending order");
    }
    return bad_transaction(
        expected, std::string(expected) + " is missing: the next field is " + std::string(found));
  }

  Result<std::uint64_t> varint(std::string_view field) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < kVarintBytesMax; ++i) {
      if (i == rest_.size()) {
        return bad_transaction(field,
                               "truncated: the bytes end inside a number of " + std::string(field));
      }
      const std::uint8_t byte = rest_[i];
      value |= std::uint64_t{byte & 0x7Fu} << (7 * i);
      if ((byte & 0x80) != 0) continue;
      if ((byte == 0 && i > 0) || (i + 1 == kVarintBytesMax && byte > 1)) break;
      rest_ = rest_.subspan(i + 1);
      return value;
    }
    return bad_transaction(
        field, "a number of " + std::string(field) + " is not a minimal varint of at most 64 bits");
  }

  ByteSpan rest_;
  std::string_view message_;
  std::span<const std::string_view> fields_;
  std::size_t next_ = 0;  // fields consumed
};

Result<void> check_size(std::string_view field, ByteSpan value, std::size_t size) {
  if (value.size() == size) return {};
  return bad_transaction(field, std::string(field) + " has " + std::to_string(value.size()) +
                                    " bytes, must have " + std::to_string(size));
}

Result<void> check_time(std::string_view field, std::uint64_t time_ms) {
  if (time_ms <= kTimeMsMax) return {};
  return make_error(ErrorCode::kLimitExceeded,
                    std::string(field) + " is " + std::to_string(time_ms) + ", the limit is " +
                        std::to_string(kTimeMsMax) + " (milliseconds since 1970, year 9999)",
                    std::string(field));
}

Result<void> check_contract_name(std::string_view name) {
  const bool allowed = std::ranges::all_of(
      name, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
  if (name.size() <= kContractNameBytesMax && allowed) return {};
  return bad_transaction("contract", "contract must be 1 to " +
                                         std::to_string(kContractNameBytesMax) +
                                         " bytes of a-z, 0-9 and _");
}

Result<void> parse_body(ByteSpan body, TransactionView& view) {
  StrictReader reader(body, "body", kBodyFields);
  COLOPHON_TRY_ASSIGN(const std::uint64_t version, reader.number());
  if (version != kTransactionVersion) {
    return bad_transaction("version", "version is " + std::to_string(version) +
                                          ", this node knows " +
                                          std::to_string(kTransactionVersion));
  }
  COLOPHON_TRY_ASSIGN(view.created_at_ms, reader.number());
  COLOPHON_TRY(check_time("created_at_ms", view.created_at_ms));
  COLOPHON_TRY_ASSIGN(view.expires_at_ms, reader.number());
  COLOPHON_TRY(check_time("expires_at_ms", view.expires_at_ms));
  if (view.expires_at_ms <= view.created_at_ms) {
    return bad_transaction("expires_at_ms", "expires_at_ms must be after created_at_ms");
  }
  if (view.expires_at_ms - view.created_at_ms > kLifetimeMsMax) {
    return make_error(ErrorCode::kLimitExceeded,
                      "expires_at_ms is " +
                          std::to_string(view.expires_at_ms - view.created_at_ms) +
                          " ms after created_at_ms, the limit is " + std::to_string(kLifetimeMsMax),
                      "expires_at_ms");
  }
  COLOPHON_TRY_ASSIGN(view.nonce, reader.bytes());
  COLOPHON_TRY(check_size("nonce", view.nonce, kNonceBytes));
  COLOPHON_TRY_ASSIGN(const ByteSpan contract, reader.bytes());
  view.contract = as_text(contract);
  COLOPHON_TRY(check_contract_name(view.contract));
  COLOPHON_TRY_ASSIGN(view.payload, reader.bytes());
  return reader.finish();
}

}  // namespace

Result<TransactionView> parse_transaction(ByteSpan bytes) {
  if (bytes.size() > kTransactionBytesMax) {
    return make_error(ErrorCode::kLimitExceeded,
                      "the transaction has " + std::to_string(bytes.size()) +
                          " bytes, the limit is " + std::to_string(kTransactionBytesMax),
                      "transaction");
  }
  TransactionView view;
  StrictReader reader(bytes, "transaction", kEnvelopeFields);
  COLOPHON_TRY_ASSIGN(view.body, reader.bytes());
  COLOPHON_TRY_ASSIGN(const std::uint64_t scheme, reader.number());
  if (scheme == static_cast<std::uint64_t>(Scheme::kEcdsaP256Sha256)) {
    view.scheme = Scheme::kEcdsaP256Sha256;
  } else if (scheme == static_cast<std::uint64_t>(Scheme::kEd25519)) {
    view.scheme = Scheme::kEd25519;
  } else {
    return bad_transaction("scheme", "scheme is " + std::to_string(scheme) +
                                         ", must be 1 (ECDSA P-256) or 3 (Ed25519)");
  }
  COLOPHON_TRY_ASSIGN(view.public_key, reader.bytes());
  COLOPHON_TRY(
      check_size("public_key", view.public_key, view.scheme == Scheme::kEd25519 ? 32 : 33));
  COLOPHON_TRY_ASSIGN(view.signature, reader.bytes());
  COLOPHON_TRY(check_size("signature", view.signature, kSignatureBytes));
  COLOPHON_TRY(reader.finish());
  COLOPHON_TRY(parse_body(view.body, view));
  return view;
}

void append_signing_input(std::string& out, std::string_view chain_id,
                          const TransactionView& view) {
  out += kTransactionDomain;
  out += static_cast<char>(static_cast<unsigned char>(chain_id.size()));
  out += chain_id;
  out += static_cast<char>(view.scheme);
  out += as_text(view.public_key);
  out += as_text(view.body);
}

std::string signing_input(std::string_view chain_id, const TransactionView& view) {
  std::string input;
  input.reserve(kTransactionDomain.size() + 2 + chain_id.size() + view.public_key.size() +
                view.body.size());
  append_signing_input(input, chain_id, view);
  return input;
}

Digest transaction_id(std::string_view chain_id, const TransactionView& view) {
  const std::string input = signing_input(chain_id, view);
  Digest id{};
  SHA256(as_bytes(input).data(), input.size(), id.data());
  return id;
}

Result<std::string> sign_transaction(std::string_view chain_id, const TransactionDraft& draft,
                                     hsm::Signer& signer) {
  COLOPHON_TRY(check_chain_id(chain_id));
  std::string body;
  append_field(body, 1, kTransactionVersion);
  append_field(body, 2, draft.created_at_ms);
  append_field(body, 3, draft.expires_at_ms);
  append_field(body, 4, ByteSpan(draft.nonce));
  append_field(body, 5, as_bytes(draft.contract));
  append_field(body, 6, as_bytes(draft.payload));

  const bool ed25519 = signer.key_type() == hsm::KeyType::kEd25519;
  const Scheme scheme = ed25519 ? Scheme::kEd25519 : Scheme::kEcdsaP256Sha256;
  std::string transaction;
  append_field(transaction, 1, as_bytes(body));
  append_field(transaction, 2, static_cast<std::uint64_t>(scheme));
  append_field(transaction, 3, ByteSpan(signer.public_key().raw));
  append_field(transaction, 4, ByteSpan(hsm::Signature{}));

  // A draft that no node would take is refused before the token is asked.
  COLOPHON_TRY_ASSIGN(const TransactionView view, parse_transaction(as_bytes(transaction)));
  COLOPHON_TRY_ASSIGN(const hsm::Signature signature,
                      signer.sign(as_bytes(signing_input(chain_id, view))));
  std::ranges::copy(signature, transaction.end() - kSignatureBytes);
  return transaction;
}

}  // namespace colophon::node
