// SPDX-License-Identifier: Apache-2.0
//
// Transactions as they come from the network: parse_transaction takes exactly what a second reader,
// made of protobuf's own parser and the table of docs/formats.md, takes, and sees the same in it.
#include <algorithm>
#include <string>

#include "node/bytes.h"
#include "node/contracts/contract.h"
#include "node/node.h"
#include "node/proto/transaction.pb.h"
#include "node/transaction.h"
#include "tests/fuzz/forge.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/right_inputs.h"

namespace colophon::node {
namespace {

using fuzz::require;

constexpr std::uint64_t kDayMs = 24 * 3600 * 1000;
constexpr std::uint64_t kYear10000Ms = 253402300800000;

template <class Message>
bool read(Message& message, std::string_view bytes) {
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return false;
  message.DiscardUnknownFields();
  return message.SerializeAsString() == bytes;
}

bool is_contract_name(const std::string& name) {
  return !name.empty() && name.size() <= 32 &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
}

bool second_reader(std::string_view bytes, proto::SignedTransaction& envelope,
                   proto::TransactionBody& body) {
  if (bytes.size() > 65536 || !read(envelope, bytes) || envelope.body().empty()) return false;
  const bool p256 = envelope.scheme() == 1 && envelope.public_key().size() == 33;
  const bool ed25519 = envelope.scheme() == 3 && envelope.public_key().size() == 32;
  if ((!p256 && !ed25519) || envelope.signature().size() != 64) return false;
  if (!read(body, envelope.body()) || body.version() != 1) return false;
  const std::uint64_t created = body.created_at_ms();
  const std::uint64_t expires = body.expires_at_ms();
  return created > 0 && created < kYear10000Ms && expires < kYear10000Ms && expires > created &&
         expires - created <= kDayMs && body.nonce().size() == 16 &&
         is_contract_name(body.contract()) && !body.payload().empty();
}

void check(ByteSpan bytes) {
  proto::SignedTransaction envelope;
  proto::TransactionBody body;
  const bool expected = second_reader(as_text(bytes), envelope, body);
  const auto parsed = parse_transaction(bytes);
  require(parsed.ok() == expected, "parse_transaction takes what the second reader takes");
  if (!parsed) {
    require(!parsed.error().message.empty() && !parsed.error().field.empty(),
            "a refusal says why and names the field");
    return;
  }
  require(as_text(parsed->body) == envelope.body() &&
              static_cast<std::uint32_t>(parsed->scheme) == envelope.scheme() &&
              as_text(parsed->public_key) == envelope.public_key() &&
              as_text(parsed->signature) == envelope.signature() &&
              parsed->created_at_ms == body.created_at_ms() &&
              parsed->expires_at_ms == body.expires_at_ms() &&
              as_text(parsed->nonce) == body.nonce() && parsed->contract == body.contract() &&
              as_text(parsed->payload) == body.payload(),
          "both readers see the same fields");
  // The signature is not part of what is signed, everything else is.
  const std::string input = signing_input("fuzz-chain", *parsed);
  require(input.find(envelope.body()) != std::string::npos, "the body is signed as sent");
  if (const Contract* contract = find_contract(parsed->contract)) {
    (void)contract->check(parsed->payload);
  }
}

}  // namespace
}  // namespace colophon::node

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto right = colophon::fuzz::right_transactions(colophon::fuzz::FuzzChain());
  constexpr std::uint64_t kBody = 1;
  colophon::fuzz::FuzzInput input(data, size);
  const std::string bytes = colophon::fuzz::choose_message(input, right, kBody);
  colophon::node::check(colophon::fuzz::bytes_of(bytes));
  return 0;
}
