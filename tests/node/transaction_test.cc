// SPDX-License-Identifier: Apache-2.0
#include "node/transaction.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "colophon/verifier.hpp"
#include "node/bytes.h"
#include "node/event.h"
#include "node/node.h"
#include "node/proto/transaction.pb.h"
#include "node/wire_writer.h"
#include "tests/effort.h"
#include "tests/node/certificate_forge.h"
#include "tests/node/contract_chain.h"
#include "tests/node/memory_signer.h"

namespace colophon::node {
namespace {

using test::kChainId;
using test::kLimitExceeded;
using test::kMalformed;
using test::MemorySigner;
using test::must;
using test::Refusal;
using test::refusal;

constexpr std::uint64_t kNow = 1'790'000'000'000;

// One field of a message, byte for byte as it goes on the wire.
struct Field {
  std::string name;
  std::string bytes;
};
using Fields = std::vector<Field>;

Field number_field(std::string name, unsigned number, std::uint64_t value) {
  Field field{std::move(name), {}};
  append_varint(field.bytes, number << 3 | kWireVarint);
  append_varint(field.bytes, value);
  return field;
}
Field bytes_field(std::string name, unsigned number, std::string_view value) {
  Field field{std::move(name), {}};
  append_element(field.bytes, number, as_bytes(value));
  return field;
}

std::string joined(const Fields& fields) {
  std::string all;
  for (const Field& field : fields) all += field.bytes;
  return all;
}

Fields body_fields() {
  return {number_field("version", 1, 1),
          number_field("created_at_ms", 2, kNow),
          number_field("expires_at_ms", 3, kNow + 600'000),
          bytes_field("nonce", 4, "sixteen bytes ok"),
          bytes_field("contract", 5, "registry"),
          bytes_field("payload", 6, "the contract's own message")};
}
// Not signed: parse_transaction looks at no signature.
Fields envelope_fields(const std::string& body) {
  return {bytes_field("body", 1, body), number_field("scheme", 2, 1),
          bytes_field("public_key", 3, "\x02" + std::string(32, 'k')),
          bytes_field("signature", 4, std::string(64, 's'))};
}
std::string with_body(const std::string& body) { return joined(envelope_fields(body)); }
std::string valid_bytes() { return with_body(joined(body_fields())); }

Refusal parse_refusal(const std::string& bytes) {
  return refusal(parse_transaction(as_bytes(bytes)));
}
// Of a body with one field exchanged for another.
Refusal body_refusal(std::size_t at, Field field) {
  Fields fields = body_fields();
  fields[at] = std::move(field);
  return parse_refusal(with_body(joined(fields)));
}
Refusal envelope_refusal(std::size_t at, Field field) {
  Fields fields = envelope_fields(joined(body_fields()));
  fields[at] = std::move(field);
  return parse_refusal(joined(fields));
}

// Runs over both messages of a transaction: `change` makes the fields of one of them wrong.
void for_each_message(
    const std::function<void(const std::string& message, const Fields& fields,
                             const std::function<std::string(const Fields&)>& transaction)>& run) {
  run("transaction", envelope_fields(joined(body_fields())), joined);
  run("body", body_fields(), [](const Fields& fields) { return with_body(joined(fields)); });
}

TransactionDraft draft() {
  TransactionDraft made;
  made.created_at_ms = kNow;
  made.expires_at_ms = kNow + 600'000;
  for (std::size_t i = 0; i < made.nonce.size(); ++i) {
    made.nonce[i] = static_cast<std::uint8_t>(i);
  }
  made.contract = "registry";
  made.payload = "the contract's own message";
  return made;
}

Verdict verify(const TransactionView& view, std::string_view chain_id) {
  const std::string input = signing_input(chain_id, view);
  const std::array<std::uint64_t, 2> input_ends{0, input.size()};
  const std::array<std::uint64_t, 2> key_ends{0, view.public_key.size()};
  const std::array<std::uint64_t, 2> signature_ends{0, view.signature.size()};
  VerifyBatch batch;
  batch.scheme = view.scheme;
  batch.encoding = SignatureEncoding::kRaw;
  batch.inputs = {as_bytes(input), input_ends};
  batch.signatures = {view.signature, signature_ends};
  batch.public_keys = {view.public_key, key_ends};
  std::array<Verdict, 1> verdict{Verdict::kMismatch};
  EXPECT_TRUE(verify_batch(must(Backend::choose()), batch, verdict).ok());
  return verdict[0];
}

// --- making and reading --------------------------------------------------------------------------

class SignTest : public ::testing::TestWithParam<hsm::KeyType> {};
INSTANTIATE_TEST_SUITE_P(KeyTypes, SignTest,
                         ::testing::Values(hsm::KeyType::kP256, hsm::KeyType::kEd25519));

TEST_P(SignTest, ParsesToWhatWasDraftedWithoutCopying) {
  const auto signer = MemorySigner::create(GetParam(), 1);
  const std::string bytes = must(sign_transaction(kChainId, draft(), *signer));
  const auto view = parse_transaction(as_bytes(bytes));
  ASSERT_TRUE(view.ok()) << view.error().message;
  EXPECT_EQ(view->created_at_ms, draft().created_at_ms);
  EXPECT_EQ(view->expires_at_ms, draft().expires_at_ms);
  EXPECT_EQ(as_text(view->nonce), as_text(draft().nonce));
  EXPECT_EQ(view->contract, draft().contract);
  EXPECT_EQ(as_text(view->payload), draft().payload);
  EXPECT_EQ(as_text(view->public_key), as_text(signer->public_key().raw));
  const auto inside = [&](std::string_view part) {
    return part.data() >= bytes.data() && part.data() + part.size() <= bytes.data() + bytes.size();
  };
  for (const ByteSpan part :
       {view->body, view->public_key, view->signature, view->nonce, view->payload}) {
    EXPECT_TRUE(inside(as_text(part)));
  }
  EXPECT_TRUE(inside(view->contract));
}

TEST_P(SignTest, SignedBytesAreDomainChainSignerAndBodyAsSent) {
  const auto signer = MemorySigner::create(GetParam(), 1);
  const std::string bytes = must(sign_transaction(kChainId, draft(), *signer));
  const TransactionView view = must(parse_transaction(as_bytes(bytes)));
  std::string expected("colophon transaction v1\0", 24);
  expected += static_cast<char>(kChainId.size());
  expected += kChainId;
  expected += static_cast<char>(GetParam() == hsm::KeyType::kP256 ? 1 : 3);
  expected += as_text(signer->public_key().raw);
  expected += as_text(view.body);
  EXPECT_EQ(signing_input(kChainId, view), expected);
  EXPECT_EQ(transaction_id(kChainId, view), test::sha256(expected));
  std::string behind = "kept";
  append_signing_input(behind, kChainId, view);
  EXPECT_EQ(behind, "kept" + expected);

  EXPECT_EQ(verify(view, kChainId), Verdict::kValid);
  // The twin: not a transaction of any other chain.
  EXPECT_EQ(verify(view, "test.colophon.examplf"), Verdict::kMismatch);
  EXPECT_EQ(verify(view, "test.colophon.exampl"), Verdict::kMismatch);
}

TEST_P(SignTest, IdNamesChainSignerAndBodyButNotTheSignature) {
  const auto signer = MemorySigner::create(GetParam(), 1);
  const auto other = MemorySigner::create(GetParam(), 2);
  const std::string bytes = must(sign_transaction(kChainId, draft(), *signer));
  const TransactionView view = must(parse_transaction(as_bytes(bytes)));
  const Digest id = transaction_id(kChainId, view);

  std::string mauled = bytes;
  mauled.back() = static_cast<char>(mauled.back() ^ 1);
  EXPECT_EQ(transaction_id(kChainId, must(parse_transaction(as_bytes(mauled)))), id);

  EXPECT_NE(transaction_id("test.colophon.examplf", view), id);
  // Another's signature under the same body is another transaction: nobody can take its id away.
  const std::string stolen = must(sign_transaction(kChainId, draft(), *other));
  const TransactionView stolen_view = must(parse_transaction(as_bytes(stolen)));
  EXPECT_EQ(as_text(stolen_view.body), as_text(view.body));
  EXPECT_NE(transaction_id(kChainId, stolen_view), id);
  TransactionDraft later = draft();
  later.nonce[15] ^= 1;
  const std::string second = must(sign_transaction(kChainId, later, *signer));
  EXPECT_NE(transaction_id(kChainId, must(parse_transaction(as_bytes(second)))), id);
}

TEST_P(SignTest, DraftNoNodeWouldTakeIsRefusedBeforeTheTokenIsAsked) {
  const auto signer = MemorySigner::create(GetParam(), 1);
  signer->set_failing(true);
  const auto sign = [&](const TransactionDraft& made, std::string_view chain_id = kChainId) {
    return refusal(sign_transaction(chain_id, made, *signer));
  };
  EXPECT_EQ(sign(draft()), (Refusal{ErrorCode::kUnavailable, "signer"}));  // it is asked for this
  TransactionDraft bad = draft();
  bad.payload.clear();
  EXPECT_EQ(sign(bad), (Refusal{kMalformed, "payload"}));
  bad = draft();
  bad.contract = "Registry";
  EXPECT_EQ(sign(bad), (Refusal{kMalformed, "contract"}));
  bad = draft();
  bad.created_at_ms = 0;
  EXPECT_EQ(sign(bad), (Refusal{kMalformed, "created_at_ms"}));
  bad = draft();
  bad.expires_at_ms = bad.created_at_ms;
  EXPECT_EQ(sign(bad), (Refusal{kMalformed, "expires_at_ms"}));
  bad = draft();
  bad.payload.assign(kTransactionBytesMax, 'x');
  EXPECT_EQ(sign(bad), (Refusal{kLimitExceeded, "transaction"}));
  EXPECT_EQ(sign(draft(), std::string(300, 'a')), (Refusal{kMalformed, "chain_id"}));
  EXPECT_EQ(sign(draft(), ""), (Refusal{kMalformed, "chain_id"}));
}

// --- one byte form -------------------------------------------------------------------------------

TEST(TransactionForm, ValidBytesParse) {
  EXPECT_TRUE(parse_transaction(as_bytes(valid_bytes())).ok());
}

TEST(TransactionForm, MissingFieldIsNamed) {
  for_each_message([](const std::string& message, const Fields& fields, const auto& transaction) {
    for (std::size_t i = 0; i < fields.size(); ++i) {
      Fields fewer = fields;
      fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
      EXPECT_EQ(parse_refusal(transaction(fewer)), (Refusal{kMalformed, fields[i].name}))
          << message << " without " << fields[i].name;
    }
  });
  EXPECT_EQ(parse_refusal(""), (Refusal{kMalformed, "body"}));
}

TEST(TransactionForm, RepeatedFieldIsRefused) {
  for_each_message([](const std::string& message, const Fields& fields, const auto& transaction) {
    for (std::size_t i = 0; i < fields.size(); ++i) {
      for (std::size_t at = i; at <= fields.size(); ++at) {
        Fields more = fields;
        more.insert(more.begin() + static_cast<std::ptrdiff_t>(at), fields[i]);
        // Put in front of its first place, the copy is the first of the two.
        EXPECT_EQ(parse_refusal(transaction(more)), (Refusal{kMalformed, fields[i].name}))
            << message << ": " << fields[i].name << " again at " << at;
      }
    }
  });
}

TEST(TransactionForm, AnyOtherOrderIsRefused) {
  for_each_message([](const std::string& message, const Fields& fields, const auto& transaction) {
    for (std::size_t i = 0; i < fields.size(); ++i) {
      for (std::size_t j = i + 1; j < fields.size(); ++j) {
        Fields swapped = fields;
        std::swap(swapped[i], swapped[j]);
        EXPECT_EQ(parse_refusal(transaction(swapped)), (Refusal{kMalformed, fields[i].name}))
            << message << ": " << i << " and " << j;
      }
    }
  });
}

TEST(TransactionForm, UnknownFieldIsRefusedWhereverItIs) {
  for_each_message([](const std::string& message, const Fields& fields, const auto& transaction) {
    for (const std::uint64_t number :
         {std::uint64_t{0}, std::uint64_t{fields.size() + 1}, std::uint64_t{15}, std::uint64_t{16},
          std::uint64_t{19000}, std::uint64_t{1} << 29, (std::uint64_t{1} << 61) - 1}) {
      for (std::size_t at = 0; at <= fields.size(); ++at) {
        Field unknown;
        append_varint(unknown.bytes, number << 3 | kWireVarint);
        append_varint(unknown.bytes, 1);
        Fields more = fields;
        more.insert(more.begin() + static_cast<std::ptrdiff_t>(at), unknown);
        EXPECT_EQ(parse_refusal(transaction(more)), (Refusal{kMalformed, message}))
            << "field " << number << " at " << at;
      }
    }
  });
}

TEST(TransactionForm, WrongWireTypeIsRefused) {
  for_each_message([](const std::string& message, const Fields& fields, const auto& transaction) {
    for (std::size_t i = 0; i < fields.size(); ++i) {
      for (unsigned type = 0; type < 8; ++type) {
        const auto tag = static_cast<unsigned char>(fields[i].bytes[0]);
        if (type == (tag & 7U)) continue;
        Fields changed = fields;
        changed[i].bytes[0] = static_cast<char>((tag & ~7U) | type);
        EXPECT_EQ(parse_refusal(transaction(changed)), (Refusal{kMalformed, fields[i].name}))
            << message << ": " << fields[i].name << " with wire type " << type;
      }
    }
  });
}

TEST(TransactionForm, DefaultValuesMayNotBeWritten) {
  for_each_message([](const std::string& message, const Fields& fields, const auto& transaction) {
    for (std::size_t i = 0; i < fields.size(); ++i) {
      Fields changed = fields;
      changed[i].bytes.resize(1);
      changed[i].bytes += '\0';  // the number 0, or no bytes
      EXPECT_EQ(parse_refusal(transaction(changed)), (Refusal{kMalformed, fields[i].name}))
          << message;
    }
  });
}

// `bytes` is a minimal varint; the same number in `size` bytes.
std::string stretched(std::string bytes, std::size_t size) {
  while (bytes.size() < size) {
    bytes.back() = static_cast<char>(bytes.back() | 0x80);
    bytes += '\0';
  }
  return bytes;
}

TEST(TransactionForm, LongVarintsAreRefused) {
  for_each_message([](const std::string& message, const Fields& fields, const auto& transaction) {
    for (std::size_t i = 0; i < fields.size(); ++i) {
      const std::string& field = fields[i].bytes;
      const bool is_bytes = (static_cast<unsigned char>(field[0]) & 7U) == kWireBytes;
      std::size_t end = 1;
      while ((static_cast<unsigned char>(field[end]) & 0x80U) != 0) ++end;
      ++end;  // of the number, or of the length
      for (std::size_t longer = 1; longer <= 9; ++longer) {
        Fields changed = fields;
        changed[i].bytes = stretched(field.substr(0, 1), 1 + longer) + field.substr(1);
        EXPECT_EQ(parse_refusal(transaction(changed)), (Refusal{kMalformed, fields[i].name}))
            << message << ": tag of " << fields[i].name;
        const std::size_t size = end - 1 + longer;
        if (size > kVarintBytesMax + 1) continue;
        changed[i].bytes =
            field.substr(0, 1) + stretched(field.substr(1, end - 1), size) + field.substr(end);
        EXPECT_EQ(parse_refusal(transaction(changed)), (Refusal{kMalformed, fields[i].name}))
            << message << ": " << (is_bytes ? "length" : "value") << " of " << fields[i].name;
      }
    }
  });
}

TEST(TransactionForm, NumbersOver64BitsAreRefused) {
  // 2^64 in ten bytes, whose low 64 bits are 0; 2^64 + 1; eleven bytes; no end.
  for (const std::string& number :
       {std::string(9, '\x80') + '\x02', '\x81' + std::string(8, '\x80') + '\x02',
        std::string(10, '\x80') + '\x01', std::string(40, '\xff')}) {
    EXPECT_EQ(body_refusal(1, {"created_at_ms", "\x10" + number}),
              (Refusal{kMalformed, "created_at_ms"}));
    EXPECT_EQ(body_refusal(5, {"payload", "\x32" + number}), (Refusal{kMalformed, "payload"}));
    EXPECT_EQ(envelope_refusal(1, {"scheme", "\x10" + number}), (Refusal{kMalformed, "scheme"}));
    EXPECT_EQ(parse_refusal(number), (Refusal{kMalformed, "body"}));
  }
}

TEST(TransactionForm, LengthsPastTheEndAreRefused) {
  for (const std::uint64_t length :
       {std::uint64_t{27}, std::uint64_t{1} << 31, std::uint64_t{1} << 32, std::uint64_t{1} << 63,
        std::numeric_limits<std::uint64_t>::max()}) {
    Field field{"payload", "\x32"};
    append_varint(field.bytes, length);
    field.bytes += "the contract's own message";  // 26 bytes
    EXPECT_EQ(body_refusal(5, field), (Refusal{kMalformed, "payload"})) << length;
    field.bytes[0] = '\x0a';
    EXPECT_EQ(parse_refusal(field.bytes), (Refusal{kMalformed, "body"})) << length;
  }
}

TEST(TransactionForm, EveryTruncationAndEveryByteAfterTheEndIsRefused) {
  const std::string bytes = valid_bytes();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(parse_refusal(bytes.substr(0, size)).code, kMalformed) << size;
  }
  for (unsigned byte = 0; byte < 256; ++byte) {
    EXPECT_EQ(parse_refusal(bytes + static_cast<char>(byte)).code, kMalformed) << byte;
  }
  EXPECT_EQ(parse_refusal(bytes + bytes).code, kMalformed);
  // The same inside: a body whose length reaches one byte less or more than its fields.
  const std::string body = joined(body_fields());
  EXPECT_EQ(parse_refusal(with_body(body.substr(0, body.size() - 1))),
            (Refusal{kMalformed, "payload"}));
  EXPECT_EQ(parse_refusal(with_body(body + '\x32')), (Refusal{kMalformed, "payload"}));
}

// --- limits and values, from both sides ----------------------------------------------------------

TEST(TransactionLimits, SizeIsBounded) {
  Fields fields = body_fields();
  const std::size_t rest = valid_bytes().size() - std::string("the contract's own message").size();
  // Two lengths, of body and of payload, take three bytes instead of one.
  const std::size_t payload = kTransactionBytesMax - rest - 4;
  fields[5] = bytes_field("payload", 6, std::string(payload, 'x'));
  const std::string largest = with_body(joined(fields));
  ASSERT_EQ(largest.size(), kTransactionBytesMax);
  EXPECT_TRUE(parse_transaction(as_bytes(largest)).ok());
  fields[5] = bytes_field("payload", 6, std::string(payload + 1, 'x'));
  EXPECT_EQ(parse_refusal(with_body(joined(fields))), (Refusal{kLimitExceeded, "transaction"}));
  const auto refused = parse_transaction(as_bytes(with_body(joined(fields))));
  EXPECT_NE(refused.error().message.find("65536"), std::string::npos) << refused.error().message;
}

bool body_accepted(std::size_t at, Field field) {
  Fields fields = body_fields();
  fields[at] = std::move(field);
  return parse_transaction(as_bytes(with_body(joined(fields)))).ok();
}

TEST(TransactionLimits, TimesAreBounded) {
  const auto times_refusal = [](std::uint64_t created, std::uint64_t expires) {
    Fields fields = body_fields();
    fields[1] = number_field("created_at_ms", 2, created);
    fields[2] = number_field("expires_at_ms", 3, expires);
    const auto parsed = parse_transaction(as_bytes(with_body(joined(fields))));
    return parsed ? Refusal{ErrorCode::kInternal, "accepted"} : refusal(parsed);
  };
  const Refusal accepted{ErrorCode::kInternal, "accepted"};
  EXPECT_EQ(times_refusal(kNow, kNow + 1), accepted);
  EXPECT_EQ(times_refusal(kNow, kNow), (Refusal{kMalformed, "expires_at_ms"}));
  EXPECT_EQ(times_refusal(kNow, kNow - 1), (Refusal{kMalformed, "expires_at_ms"}));
  EXPECT_EQ(times_refusal(kNow, kNow + kLifetimeMsMax), accepted);
  EXPECT_EQ(times_refusal(kNow, kNow + kLifetimeMsMax + 1),
            (Refusal{kLimitExceeded, "expires_at_ms"}));
  EXPECT_EQ(times_refusal(1, 2), accepted);
  EXPECT_EQ(times_refusal(kTimeMsMax - 1, kTimeMsMax), accepted);
  EXPECT_EQ(times_refusal(kTimeMsMax, kTimeMsMax + 1), (Refusal{kLimitExceeded, "expires_at_ms"}));
  EXPECT_EQ(times_refusal(kTimeMsMax + 1, kTimeMsMax + 2),
            (Refusal{kLimitExceeded, "created_at_ms"}));
  const std::uint64_t last = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(times_refusal(last, last), (Refusal{kLimitExceeded, "created_at_ms"}));
  EXPECT_EQ(times_refusal(1, last), (Refusal{kLimitExceeded, "expires_at_ms"}));
}

TEST(TransactionLimits, ContractNameIsBounded) {
  EXPECT_TRUE(body_accepted(4, bytes_field("contract", 5, "a")));
  EXPECT_TRUE(body_accepted(4, bytes_field("contract", 5, "abc_xyz_0123456789_0123456789_ab")));
  for (const std::string& name :
       {std::string(33, 'a'), std::string("Registry"), std::string("re gistry"),
        std::string("registry\n"), std::string("r\0y", 3), std::string("r\xc3\xa9gistre"),
        std::string("registry\xff"), std::string("a-b"), std::string("a.b"), std::string("a/b")}) {
    EXPECT_EQ(body_refusal(4, bytes_field("contract", 5, name)), (Refusal{kMalformed, "contract"}));
  }
}

TEST(TransactionLimits, SizesOfNonceKeyAndSignatureAreExact) {
  for (const std::size_t size : {1U, 15U, 17U, 32U}) {
    EXPECT_EQ(body_refusal(3, bytes_field("nonce", 4, std::string(size, 'n'))),
              (Refusal{kMalformed, "nonce"}));
  }
  for (const std::size_t size : {1U, 63U, 65U, 71U}) {
    EXPECT_EQ(envelope_refusal(3, bytes_field("signature", 4, std::string(size, 's'))),
              (Refusal{kMalformed, "signature"}));
  }
  const auto key_refusal = [](std::uint64_t scheme, std::size_t size) {
    Fields fields = envelope_fields(joined(body_fields()));
    fields[1] = number_field("scheme", 2, scheme);
    fields[2] = bytes_field("public_key", 3, std::string(size, '\x02'));
    const auto parsed = parse_transaction(as_bytes(joined(fields)));
    return parsed ? Refusal{ErrorCode::kInternal, "accepted"} : refusal(parsed);
  };
  const Refusal accepted{ErrorCode::kInternal, "accepted"};
  EXPECT_EQ(key_refusal(1, 33), accepted);
  EXPECT_EQ(key_refusal(3, 32), accepted);
  for (const std::size_t size : {1U, 32U, 34U, 65U}) {
    EXPECT_EQ(key_refusal(1, size), (Refusal{kMalformed, "public_key"})) << size;
  }
  for (const std::size_t size : {31U, 33U, 64U}) {
    EXPECT_EQ(key_refusal(3, size), (Refusal{kMalformed, "public_key"})) << size;
  }
}

TEST(TransactionLimits, OnlyKnownVersionsAndSchemes) {
  const std::uint64_t two32 = std::uint64_t{1} << 32;  // 1 again, for who reads 32 bits
  for (const std::uint64_t version : {std::uint64_t{2}, two32 + 1, ~std::uint64_t{0}}) {
    EXPECT_EQ(body_refusal(0, number_field("version", 1, version)),
              (Refusal{kMalformed, "version"}));
  }
  for (const std::uint64_t scheme : {std::uint64_t{2}, std::uint64_t{4}, std::uint64_t{5},
                                     std::uint64_t{257}, two32 + 1, two32 + 3}) {
    EXPECT_EQ(envelope_refusal(1, number_field("scheme", 2, scheme)),
              (Refusal{kMalformed, "scheme"}));
  }
}

// --- properties ----------------------------------------------------------------------------------

// What the transaction is by protobuf's own reader and writer: acceptable, and canonical.
bool protobuf_accepts(const std::string& bytes) {
  proto::SignedTransaction envelope;
  proto::TransactionBody body;
  if (bytes.size() > kTransactionBytesMax || !envelope.ParseFromString(bytes) ||
      !body.ParseFromString(envelope.body())) {
    return false;
  }
  envelope.DiscardUnknownFields();
  body.DiscardUnknownFields();
  if (envelope.SerializeAsString() != bytes || body.SerializeAsString() != envelope.body()) {
    return false;
  }
  const bool name = !body.contract().empty() && body.contract().size() <= 32 &&
                    body.contract().find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") ==
                        std::string::npos;
  const bool key = (envelope.scheme() == 1 && envelope.public_key().size() == 33) ||
                   (envelope.scheme() == 3 && envelope.public_key().size() == 32);
  return name && key && envelope.signature().size() == 64 && body.version() == 1 &&
         body.created_at_ms() > 0 && body.expires_at_ms() > body.created_at_ms() &&
         body.expires_at_ms() <= kTimeMsMax &&
         body.expires_at_ms() - body.created_at_ms() <= kLifetimeMsMax &&
         body.nonce().size() == 16 && !body.payload().empty();
}

// The same transaction written by protobuf from what our reader found in it.
std::string written_by_protobuf(const TransactionView& view) {
  proto::TransactionBody body;
  body.set_version(1);
  body.set_created_at_ms(view.created_at_ms);
  body.set_expires_at_ms(view.expires_at_ms);
  body.set_nonce(std::string(as_text(view.nonce)));
  body.set_contract(std::string(view.contract));
  body.set_payload(std::string(as_text(view.payload)));
  proto::SignedTransaction envelope;
  envelope.set_body(body.SerializeAsString());
  envelope.set_scheme(static_cast<std::uint32_t>(view.scheme));
  envelope.set_public_key(std::string(as_text(view.public_key)));
  envelope.set_signature(std::string(as_text(view.signature)));
  return envelope.SerializeAsString();
}

class Mutator {
 public:
  explicit Mutator(std::uint64_t seed) : random_(seed) {}

  // 1 to 3 changes. With `inside`, the length before the body is made right again, so that most of
  // the mutants get as far as the body's fields.
  std::string mutant(bool inside) {
    std::string text = inside ? joined(body_fields()) : valid_bytes();
    for (std::size_t changes = 1 + below(3); changes > 0; --changes) change(text);
    return inside ? with_body(text) : text;
  }

 private:
  std::size_t below(std::size_t limit) { return static_cast<std::size_t>(random_() % limit); }

  void change(std::string& text) {
    static constexpr unsigned char kInteresting[] = {0x00, 0x01, 0x7f, 0x80, 0x81, 0xff,
                                                     0x08, 0x0a, 0x10, 0x12, 0x18, 0x1a,
                                                     0x22, 0x2a, 0x32, 0x3a};
    if (text.empty()) text += '\0';
    const std::size_t at = below(text.size());
    const char byte =
        below(2) == 0 ? static_cast<char>(kInteresting[below(16)]) : static_cast<char>(below(256));
    switch (below(8)) {
      case 0:
        text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
        break;
      case 1:
        text[at] = byte;
        break;
      case 2:
        text.insert(at, 1, byte);
        break;
      case 3:
        text.erase(at, 1);
        break;
      case 4:
        text.insert(at, text.substr(below(text.size()), 1 + below(24)));
        break;
      case 5:
        text.resize(at);
        break;
      case 6:
        text[at] = static_cast<char>(text[at] + 1);
        break;
      default: {  // another number of the same length: still a transaction, now and then
        const std::size_t end = std::min(text.size(), at + 1 + below(4));
        for (std::size_t i = at; i < end; ++i) {
          text[i] = static_cast<char>((text[i] & 0x80) | static_cast<char>(below(128)));
        }
      }
    }
  }

  std::mt19937_64 random_;
};

TEST(TransactionProperty, MutantsAreReadAsProtobufReadsThemAndHaveOneForm) {
  Mutator mutator(20'260'921);
  std::size_t accepted = 0, refused = 0;
  const std::size_t mutants = colophon::test::number_of_cases(200'000, 200'000, 20'000);
  for (std::size_t i = 0; i < mutants; ++i) {
    const std::string bytes = mutator.mutant(i % 2 == 0);
    const auto view = parse_transaction(as_bytes(bytes));
    ASSERT_EQ(view.ok(), protobuf_accepts(bytes))
        << (view ? "accepted" : view.error().message) << ", mutant " << i;
    if (!view) {
      ++refused;
      ASSERT_FALSE(view.error().field.empty()) << view.error().message;
      continue;
    }
    ++accepted;
    ASSERT_EQ(written_by_protobuf(*view), bytes) << i;
  }
  // Both kinds were there in numbers.
  EXPECT_GT(accepted, mutants / 20);
  EXPECT_GT(refused, mutants / 20);
}

TEST(TransactionProperty, RandomBytesAreReadAsProtobufReadsThem) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 50'000; ++i) {
    std::string bytes(random() % 120, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random() % (i % 2 == 0 ? 256 : 48));
    ASSERT_EQ(parse_transaction(as_bytes(bytes)).ok(), protobuf_accepts(bytes)) << i;
  }
}

}  // namespace
}  // namespace colophon::node
