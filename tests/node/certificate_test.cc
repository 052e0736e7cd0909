// SPDX-License-Identifier: Apache-2.0
#include "node/certificate.h"

#include <gtest/gtest.h>
#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/x509.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "node/base64.h"
#include "node/hex.h"
#include "tests/effort.h"
#include "tests/node/certificate_forge.h"

namespace colophon::node {
namespace {

using Json = nlohmann::json;
using test::extension;
using test::LogOptions;
using test::MemorySigner;
using test::must;
using test::sha256;
using test::SmallLog;

struct Refusal {
  ErrorCode code = ErrorCode::kInternal;
  std::string field;
  friend bool operator==(const Refusal&, const Refusal&) = default;
};
void PrintTo(const Refusal& refusal, std::ostream* out) {
  *out << error_code_name(refusal.code) << " at " << refusal.field;
}
const auto kMalformed = ErrorCode::kMalformed;
const auto kRefused = ErrorCode::kInvalidSignature;

Refusal refusal(const Result<CertificateReport>& result) {
  if (result) {
    ADD_FAILURE() << "accepted";
    return {};
  }
  EXPECT_FALSE(result.error().message.empty());
  return {result.error().code, result.error().field};
}

// The file with a change made to its JSON, written canonically again.
template <class Change>
std::string with_json(const std::string& file, Change change) {
  Json json = Json::parse(file);
  change(json);
  return json.dump() + "\n";
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

constexpr char kCaName[] = "Example Trust CA";

// The log's certificate and that of a CA between it and the trusted one, which `change` may spoil.
template <class Change>
std::vector<Der> chain_through(const SmallLog& log, MemorySigner& middle, Change change) {
  test::CertificateDraft between =
      test::draft("Middle CA", middle.public_key(), kCaName, log.ca->public_key(), true);
  change(between);
  return {test::draft(log.options.origin, log.log_key->public_key(), "Middle CA",
                      middle.public_key(), false)
              .sign(middle),
          between.sign(*log.ca)};
}

// The log's certificate, spoilt by `change`.
template <class Change>
Der log_certificate_with(const SmallLog& log, Change change) {
  test::CertificateDraft made = test::draft(log.options.origin, log.log_key->public_key(), kCaName,
                                            log.ca->public_key(), false);
  change(made);
  return made.sign(*log.ca);
}

TEST(Certificate, VerifiesAndSaysWhatItProves) {
  const SmallLog log;
  const auto report = log.verify(log.file());
  ASSERT_TRUE(report.ok()) << report.error().field << ": " << report.error().message;
  EXPECT_EQ(report->record_id, hex_encode(sha256("record")));
  EXPECT_EQ(report->owner, "acme-studio");
  EXPECT_EQ(report->type, "work");
  EXPECT_EQ(report->title, log.options.title);
  EXPECT_EQ(report->event_type, "registered");
  EXPECT_EQ(report->event_time_ms, log.options.block_time_ms);
  EXPECT_EQ(report->origin, log.options.origin);
  EXPECT_EQ(report->index, 5U);
  EXPECT_EQ(report->size, 11U);
  EXPECT_EQ(report->trust_root, "Example Trust CA");
  std::string proves;
  for (const std::string& sentence : report->proves) proves += sentence + "\n";
  for (const std::string& part :
       {hex_encode(sha256(log.options.document)), report->record_id, log.options.title,
        std::string("acme-studio"), std::string("2026-02-02T02:40:00.123Z"), log.options.origin,
        std::string("Example Trust CA")}) {
    EXPECT_NE(proves.find(part), std::string::npos) << part;
  }
  // What a reader could take it for and it is not: each has its sentence.
  std::string limits;
  for (const std::string& sentence : report->not_proven) limits += sentence + "\n";
  for (const std::string part :
       {"is the author", "original", "owns it now", "word of the node", "2026-02-02T02:40:00.123Z",
        "asked for it", "same log", "deserves your trust", "the log you mean", "revoked",
        "acme-studio", "demo.colophon.example", "Example Trust CA"}) {
    EXPECT_NE(limits.find(part), std::string::npos) << part;
  }
}

TEST(Certificate, EveryTreeSizeAndIndexVerifies) {
  for (const std::uint64_t size : {1U, 2U, 3U, 4U, 7U, 8U, 9U, 64U, 65U}) {
    for (std::uint64_t index = 0; index < size; index += size < 10 ? 1 : 13) {
      LogOptions options;
      options.size = size;
      options.index = index;
      const SmallLog log(options);
      EXPECT_TRUE(log.verify(log.file()).ok()) << index << " of " << size;
    }
  }
}

TEST(Certificate, GoldenFileIsReproducedAndVerifies) {
  // Pins version 1: a change of the format must be a new version, not an accident.
  // COLOPHON_WRITE_GOLDEN=1 writes it again after an intended change.
  const std::string folder = COLOPHON_TEST_DATA "/certificate/";
  const SmallLog log;
  if (std::getenv("COLOPHON_WRITE_GOLDEN") != nullptr) {
    std::ofstream(folder + "certificate.json", std::ios::binary) << log.file();
    std::ofstream(folder + "document.txt", std::ios::binary) << log.options.document;
    std::ofstream(folder + "ca.pem", std::ios::binary) << to_pem(log.ca_certificate);
  }
  const auto read = [&](const char* name) {
    std::ifstream in(folder + name, std::ios::binary);
    EXPECT_TRUE(in.good()) << folder << name;
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  const std::string file = read("certificate.json");
  EXPECT_EQ(file, log.file());
  const Der ca = must(parse_pem_certificates(read("ca.pem"))).at(0);
  const auto report =
      verify_certificate(log.backend, file, sha256(read("document.txt")), std::nullopt, ca);
  EXPECT_TRUE(report.ok()) << report.error().message;
}

// --- every altered byte -------------------------------------------------------------------------

// Every `step`-th of the ways to alter a byte of `text`: check(altered, what was done, the byte).
template <class Check>
void alter_each_byte(const std::string& text, std::size_t step, Check check) {
  std::size_t number = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::string before = text.substr(0, i);
    const auto alter = [&](auto make, const char* what) {
      if (number++ % step == 0) check(make(), what, i);
    };
    for (int bit = 0; bit < 8; ++bit) {
      alter([&] { return before + static_cast<char>(text[i] ^ (1 << bit)) + text.substr(i + 1); },
            "bit flipped");
    }
    for (const char c : {' ', '\n', '0', 'A', '\\'}) {
      alter([&] { return before + c + text.substr(i); }, "byte inserted");
    }
    alter([&] { return before + text.substr(i + 1); }, "byte deleted");
    alter([&] { return before + text[i] + text.substr(i); }, "byte doubled");
    alter([&] { return before; }, "cut");
    if (i == 0) continue;
    alter([&] { return text.substr(0, i - 1) + text[i] + text[i - 1] + text.substr(i + 1); },
          "neighbours swapped");
  }
}

TEST(CertificateAlteration, EveryAlteredByteOfTheFileIsRefused) {
  // All that a file can hold: a commitment, an intermediate CA, ECDSA with its freedom of encoding.
  LogOptions options;
  options.ca_type = hsm::KeyType::kP256;
  options.salt = Der(32, 0x77);
  SmallLog log(options);
  const auto middle = MemorySigner::create(hsm::KeyType::kP256, 64);
  log.parts.chain = chain_through(log, *middle, [](auto&) {});
  const std::string file = log.file();
  ASSERT_TRUE(log.verify(file).ok());
  std::size_t tried = 0;
  const auto expect_refused = [&](const std::string& altered, const char* what, std::size_t i) {
    if (altered == file) return;  // e.g. two equal neighbours swapped
    ++tried;
    const auto result = log.verify(altered);
    ASSERT_FALSE(result.ok()) << what << " at byte " << i;
    ASSERT_FALSE(result.error().message.empty());
    ASSERT_FALSE(result.error().field.empty()) << what << " at byte " << i;
  };
  const std::size_t step = colophon::test::sample_step(4, 41);
  alter_each_byte(file, step, expect_refused);
  expect_refused(file + file, "written twice", 0);
  EXPECT_GT(tried, file.size() * 13 / step);
}

TEST(CertificateAlteration, EveryAlteredByteOfTheDocumentIsRefused) {
  SmallLog log;
  const std::string file = log.file();
  const std::string document = log.options.document;
  const auto verify = [&](const std::string& altered) {
    return verify_certificate(log.backend, file, sha256(altered), std::nullopt, log.ca_certificate);
  };
  ASSERT_TRUE(verify(document).ok());
  for (std::size_t i = 0; i < document.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string altered = document;
      altered[i] = static_cast<char>(altered[i] ^ (1 << bit));
      EXPECT_EQ(refusal(verify(altered)), (Refusal{kRefused, "document"}));
    }
    EXPECT_EQ(refusal(verify(document.substr(0, i))), (Refusal{kRefused, "document"}));
  }
  EXPECT_EQ(refusal(verify(document + "\n")), (Refusal{kRefused, "document"}));
}

TEST(CertificateAlteration, NoAlteredTrustFileIsTakenForTheCa) {
  // Around and between the lines of its armour a PEM file may differ; the certificate in it may
  // not.
  LogOptions options;
  options.ca_type = hsm::KeyType::kP256;
  const SmallLog log(options);
  const std::string file = log.file();
  const std::string pem = to_pem(log.ca_certificate);
  std::size_t refused = 0;
  const auto check = [&](const std::string& altered, const char* what, std::size_t i) {
    const auto read = parse_pem_certificates(altered);
    if (read && *read == std::vector<Der>{log.ca_certificate}) return;
    ++refused;
    if (!read) return;
    for (const Der& trust : *read) {
      EXPECT_FALSE(
          verify_certificate(log.backend, file, sha256(options.document), std::nullopt, trust).ok())
          << what << " at byte " << i;
    }
  };
  const std::size_t step = colophon::test::sample_step(3, 31);
  alter_each_byte(pem, step, check);
  // All but what happens to line ends.
  EXPECT_GT(refused, pem.size() * 10 / step);
}

// --- form ---------------------------------------------------------------------------------------

TEST(CertificateForm, WhatIsNotThisFormatIsRefusedByName) {
  const SmallLog log;
  const std::string file = log.file();
  const auto with = [&](auto change) { return refusal(log.verify(with_json(file, change))); };
  EXPECT_EQ(refusal(log.verify("")), (Refusal{kMalformed, "certificate"}));
  EXPECT_EQ(refusal(log.verify("[]\n")), (Refusal{kMalformed, "certificate"}));
  EXPECT_EQ(refusal(log.verify("{}\n")), (Refusal{kMalformed, "chain"}));
  EXPECT_EQ(refusal(log.verify("{\"format\":\"\xff\"}\n")), (Refusal{kMalformed, "certificate"}));
  EXPECT_EQ(with([](Json& j) { j["format"] = "certificate"; }), (Refusal{kMalformed, "format"}));
  EXPECT_EQ(with([](Json& j) { j["version"] = 2; }), (Refusal{kMalformed, "version"}));
  EXPECT_EQ(with([](Json& j) { j["version"] = "1"; }), (Refusal{kMalformed, "version"}));
  EXPECT_EQ(with([](Json& j) { j["version"] = 1.0; }), (Refusal{kMalformed, "version"}));
  EXPECT_EQ(with([](Json& j) { j["remark"] = ""; }), (Refusal{kMalformed, "remark"}));
  EXPECT_EQ(with([](Json& j) { j.erase("record"); }), (Refusal{kMalformed, "record"}));
  EXPECT_EQ(with([](Json& j) { j["inclusion"]["x"] = 1; }), (Refusal{kMalformed, "inclusion.x"}));
  EXPECT_EQ(with([](Json& j) { j["inclusion"] = 1; }), (Refusal{kMalformed, "inclusion"}));
  EXPECT_EQ(with([](Json& j) { j["inclusion"]["hash"] = "sha512"; }),
            (Refusal{kMalformed, "inclusion.hash"}));
  EXPECT_EQ(with([](Json& j) { j["inclusion"]["index"] = -1; }),
            (Refusal{kMalformed, "inclusion.index"}));
  EXPECT_EQ(with([](Json& j) { j["inclusion"]["proof"][1] = "00"; }),
            (Refusal{kMalformed, "inclusion.proof[1]"}));
  EXPECT_EQ(with([](Json& j) {
              std::string text = j["inclusion"]["leaf_hash"];
              for (char& c : text) c = static_cast<char>(std::toupper(c));
              j["inclusion"]["leaf_hash"] = text;
            }),
            (Refusal{kMalformed, "inclusion.leaf_hash"}));
  EXPECT_EQ(with([](Json& j) { j["inclusion"]["proof"] = Json(49, std::string(64, '0')); }),
            (Refusal{kMalformed, "inclusion.proof"}));
  EXPECT_EQ(with([](Json& j) { j["chain"] = Json::array(); }), (Refusal{kMalformed, "chain"}));
  EXPECT_EQ(with([](Json& j) { j["chain"] = Json(5, j["chain"][0]); }),
            (Refusal{kMalformed, "chain"}));
  EXPECT_EQ(with([](Json& j) { j["chain"][0] = 7; }), (Refusal{kMalformed, "chain[0]"}));
  EXPECT_EQ(with([](Json& j) { j["checkpoint"] = nullptr; }), (Refusal{kMalformed, "checkpoint"}));
  EXPECT_EQ(with([](Json& j) { j["leaf"] = ""; }), (Refusal{kMalformed, "leaf"}));
  EXPECT_EQ(with([](Json& j) { j["leaf"] = "AAA"; }), (Refusal{kMalformed, "leaf"}));
}

TEST(CertificateForm, AnotherByteFormOfTheSameJsonIsRefused) {
  const SmallLog log;
  const std::string file = log.file();
  const Refusal not_canonical{kMalformed, "certificate"};
  ASSERT_TRUE(log.verify(file).ok());
  EXPECT_EQ(refusal(log.verify(file.substr(0, file.size() - 1))), not_canonical);
  EXPECT_EQ(refusal(log.verify(file + "\n")), not_canonical);
  EXPECT_EQ(refusal(log.verify(" " + file)), not_canonical);
  EXPECT_EQ(refusal(log.verify("\xef\xbb\xbf" + file)), not_canonical);  // byte order mark
  EXPECT_EQ(refusal(log.verify(replaced(file, "\":", "\": "))), not_canonical);
  EXPECT_EQ(refusal(log.verify(Json::parse(file).dump(2) + "\n")), not_canonical);
  EXPECT_EQ(refusal(log.verify(Json::parse(file).dump(-1, ' ', true) + "\n")), not_canonical);
  EXPECT_EQ(refusal(log.verify(replaced(file, "\"work\"", "\"w\\u006frk\""))), not_canonical);
  EXPECT_EQ(refusal(log.verify(replaced(file, "\"work\"", "\"wor\\u006B\""))), not_canonical);
  // Members in another order.
  const std::string tail = ",\"version\":1}\n";
  ASSERT_TRUE(file.ends_with(tail));
  EXPECT_EQ(refusal(log.verify("{\"version\":1," + file.substr(1, file.size() - 1 - tail.size()) +
                               "}\n")),
            not_canonical);
  // A member twice is named, whichever of the two would win.
  EXPECT_EQ(refusal(log.verify(replaced(file, tail, ",\"version\":1,\"version\":1}\n"))),
            (Refusal{kMalformed, "version"}));
  EXPECT_EQ(refusal(log.verify(replaced(file, "\"index\":5", "\"index\":6,\"index\":5"))),
            (Refusal{kMalformed, "index"}));
  for (const char* number :
       {"11.0", "11e0", "1.1e1", "011", "+11", "0xb", "\"11\"", " 11", "11 "}) {
    EXPECT_FALSE(log.verify(replaced(file, "\"size\":11", "\"size\":" + std::string(number))).ok())
        << number;
  }
  for (const char* number : {"1.0", "1e0", "01", "-1", "true"}) {
    EXPECT_FALSE(
        log.verify(replaced(file, "\"revision\":1", "\"revision\":" + std::string(number))).ok())
        << number;
  }
  // A slash and a letter outside ASCII, escaped though they need not be.
  EXPECT_EQ(refusal(log.verify(replaced(file, "/", "\\/"))), not_canonical);
  EXPECT_EQ(refusal(log.verify(replaced(file, "É", "\\u00c9"))), not_canonical);
  // Behind a zero byte the JSON library would read no further.
  EXPECT_EQ(refusal(log.verify(file + '\0')), not_canonical);
  EXPECT_EQ(refusal(log.verify(file.substr(0, file.size() - 1) + "\r\n")), not_canonical);
}

TEST(CertificateForm, AMemberIsNamedInWholeCharacters) {
  const SmallLog log;
  std::string name(63, 'n');
  for (int i = 0; i < 1000; ++i) name += "é";
  const auto refused = refusal(log.verify(with_json(log.file(), [&](Json& j) { j[name] = 1; })));
  EXPECT_EQ(refused, (Refusal{kMalformed, std::string(63, 'n')}));
}

TEST(CertificateForm, HostileJsonCostsLittle) {
  const SmallLog log;
  EXPECT_EQ(refusal(log.verify(std::string(kCertificateFileBytesMax + 1, ' '))),
            (Refusal{ErrorCode::kLimitExceeded, "certificate"}));
  EXPECT_FALSE(log.verify(std::string(kCertificateFileBytesMax, '[')).ok());
  std::string nested;
  for (int i = 0; i < 1000; ++i) nested += "{\"a\":";
  EXPECT_FALSE(log.verify(nested).ok());
  EXPECT_FALSE(log.verify("{\"a\":1e999}\n").ok());
  EXPECT_FALSE(log.verify("{\"" + std::string(100000, 'a') + "\":1}\n").ok());
}

// --- agreement ----------------------------------------------------------------------------------

TEST(CertificateAgreement, ReadablePartsMustSayWhatTheLeafSays) {
  const SmallLog log;
  const std::string file = log.file();
  const auto with = [&](auto change) { return refusal(log.verify(with_json(file, change))); };
  EXPECT_EQ(with([](Json& j) { j["record"]["owner"] = "other"; }), (Refusal{kRefused, "record"}));
  EXPECT_EQ(with([](Json& j) { j["record"]["x"] = 1; }), (Refusal{kRefused, "record"}));
  EXPECT_EQ(with([](Json& j) { j["record"]["revision"] = 1.0; }), (Refusal{kRefused, "record"}));
  EXPECT_EQ(with([](Json& j) { j["event"]["block_height"] = 5; }), (Refusal{kRefused, "event"}));
  EXPECT_EQ(with([](Json& j) { j["event"]["data"]["title"] = "Mine"; }),
            (Refusal{kRefused, "event"}));
  EXPECT_EQ(with([](Json& j) { j["event"]["block_height"] = 4.0; }), (Refusal{kRefused, "event"}));
  EXPECT_EQ(with([](Json& j) { j["inclusion"]["leaf_hash"] = std::string(64, '0'); }),
            (Refusal{kRefused, "inclusion.leaf_hash"}));
  EXPECT_EQ(with([](Json& j) { std::swap(j["inclusion"]["index"], j["inclusion"]["size"]); }),
            (Refusal{kRefused, "inclusion.index"}));
}

TEST(CertificateAgreement, LeafMustBeTheEventOfARecord) {
  const SmallLog log;
  CertificateParts parts = log.parts;
  proto::Event event = log.event();
  event.set_contract("membership");
  parts.leaf = event.SerializeAsString();
  EXPECT_EQ(write_certificate(parts).error().code, kMalformed);
  parts.leaf = log.parts.leaf + '\0';
  EXPECT_EQ(write_certificate(parts).error().code, kMalformed);
  parts.leaf.clear();
  EXPECT_EQ(write_certificate(parts).error().code, kMalformed);
  // Another event, rightly told, but not the one that was logged.
  parts = log.parts;
  event = log.event();
  event.set_block_height(99);
  parts.leaf = event.SerializeAsString();
  EXPECT_EQ(refusal(log.verify(must(write_certificate(parts)))),
            (Refusal{kRefused, "inclusion.proof"}));
}

TEST(CertificateAgreement, RecordAndEventTellOneTime) {
  SmallLog log;
  const auto with = [&](const char* type, std::uint64_t revision, std::int64_t record_offset_ms) {
    proto::Record record = log.record();
    record.set_registered_at_ms(log.options.block_time_ms +
                                static_cast<std::uint64_t>(record_offset_ms));
    record.set_revision(revision);
    proto::Event event = log.event();
    event.set_type(type);
    event.set_data(record.SerializeAsString());
    log.parts.leaf = event.SerializeAsString();
    log.seal();
    const auto file = write_certificate(log.parts);
    return file ? log.verify(*file) : Result<CertificateReport>(file.error());
  };
  EXPECT_TRUE(with("registered", 1, 0).ok());
  EXPECT_EQ(refusal(with("registered", 1, -1)), (Refusal{kMalformed, "leaf"}));
  EXPECT_EQ(refusal(with("registered", 1, 1)), (Refusal{kMalformed, "leaf"}));
  EXPECT_TRUE(with("transferred", 2, 0).ok());
  EXPECT_TRUE(with("transferred", 2, -86400000).ok());
  EXPECT_EQ(refusal(with("transferred", 2, 1)), (Refusal{kMalformed, "leaf"}));
}

TEST(CertificateAgreement, AnEventOfAnotherKindIsRefused) {
  SmallLog log;
  const auto with = [&](auto change) {
    proto::Event event = log.event();
    change(event);
    log.parts.leaf = event.SerializeAsString();
    log.seal();
    const auto file = write_certificate(log.parts);
    return refusal(file ? log.verify(*file) : Result<CertificateReport>(file.error()));
  };
  const Refusal leaf{kMalformed, "leaf"};
  EXPECT_EQ(with([](proto::Event& e) { e.set_type("transferred"); }), leaf);  // of revision 1
  EXPECT_EQ(with([](proto::Event& e) { e.set_type("pledged"); }), leaf);
  EXPECT_EQ(with([](proto::Event& e) { e.set_contract("licences"); }), leaf);
  EXPECT_EQ(with([](proto::Event& e) { e.set_version(2); }), leaf);
  EXPECT_EQ(with([](proto::Event& e) { e.set_subject(std::string(32, 'x')); }), leaf);
  EXPECT_EQ(with([](proto::Event& e) { e.clear_data(); }), leaf);
  // In the log at a place that is not the one the event names.
  EXPECT_EQ(with([](proto::Event& e) { e.set_index(4); }), (Refusal{kRefused, "inclusion.index"}));
}

// --- the document -------------------------------------------------------------------------------

TEST(CertificateDocument, ARecordOfAnotherDocumentIsRefused) {
  const SmallLog log;
  LogOptions options;
  options.document = "Another text.\n";
  const SmallLog other(options);
  ASSERT_TRUE(other.verify(other.file()).ok());
  EXPECT_EQ(refusal(log.verify(other.file())), (Refusal{kRefused, "document"}));
  // The readable parts of the right record over the other's leaf.
  const Json right = Json::parse(log.file());
  const auto mixed = [&](const char* member) {
    return refusal(
        log.verify(with_json(other.file(), [&](Json& j) { j[member] = right[member]; })));
  };
  EXPECT_EQ(mixed("record"), (Refusal{kRefused, "record"}));
  EXPECT_EQ(mixed("event"), (Refusal{kRefused, "event"}));
  EXPECT_EQ(mixed("leaf"), (Refusal{kRefused, "event"}));
  EXPECT_EQ(mixed("checkpoint"), (Refusal{kRefused, "document"}));
}

TEST(CertificateCommitment, OpensWithTheRightSaltOnly) {
  LogOptions options;
  options.salt = Der(32, 0x77);
  const SmallLog log(options);
  const std::string file = log.file();
  EXPECT_EQ(file.find(hex_encode(sha256(options.document))), std::string::npos);
  EXPECT_TRUE(log.verify(file).ok());
  const auto verify = [&](const std::string& document, std::optional<ByteSpan> salt) {
    return refusal(
        verify_certificate(log.backend, file, sha256(document), salt, log.ca_certificate));
  };
  EXPECT_EQ(verify(options.document, std::nullopt), (Refusal{ErrorCode::kInvalidArgument, "salt"}));
  EXPECT_EQ(verify(options.document, ByteSpan(*options.salt).first(31)),
            (Refusal{ErrorCode::kInvalidArgument, "salt"}));
  for (std::size_t i = 0; i < 32; ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      Der salt = *options.salt;
      salt[i] = static_cast<std::uint8_t>(salt[i] ^ (1 << bit));
      EXPECT_EQ(verify(options.document, ByteSpan(salt)), (Refusal{kRefused, "document"}));
    }
  }
  EXPECT_EQ(verify("another", ByteSpan(*options.salt)), (Refusal{kRefused, "document"}));
}

TEST(CertificateCommitment, ASaltForAPlainHashIsAnError) {
  const SmallLog log;
  const Der salt(32, 0x77);
  EXPECT_EQ(refusal(verify_certificate(log.backend, log.file(), sha256(log.options.document),
                                       ByteSpan(salt), log.ca_certificate)),
            (Refusal{ErrorCode::kInvalidArgument, "salt"}));
}

TEST(CertificateCommitment, IsTheHashThatTheFormatNames) {
  const Der salt(32, 0x01);
  std::string input("colophon commitment v1\0", 23);
  input += std::string(32, '\x01');
  input += as_text(sha256("document"));
  EXPECT_EQ(commitment(salt, sha256("document")), sha256(input));
}

// --- the log ------------------------------------------------------------------------------------

TEST(CertificateLog, ProofMustFitIndexSizeAndRoot) {
  const SmallLog log;
  const auto with = [&](auto change) {
    CertificateParts parts = log.parts;
    change(parts);
    return refusal(log.verify(must(write_certificate(parts))));
  };
  using P = CertificateParts;
  const Refusal proof{kRefused, "inclusion.proof"};
  EXPECT_EQ(with([](P& p) { p.proof.pop_back(); }), proof);
  EXPECT_EQ(with([](P& p) { p.proof.push_back(p.proof.back()); }), proof);
  EXPECT_EQ(with([](P& p) { p.proof.clear(); }), proof);
  EXPECT_EQ(with([](P& p) { std::swap(p.proof[0], p.proof[1]); }), proof);
  EXPECT_EQ(with([](P& p) { p.proof[2][31] ^= 1; }), proof);
  EXPECT_EQ(with([](P& p) { p.index = 4; }), (Refusal{kRefused, "inclusion.index"}));
  EXPECT_EQ(with([](P& p) { p.size = 12; }), (Refusal{kRefused, "inclusion.size"}));
  EXPECT_EQ(with([](P& p) { p.size = 0; }), (Refusal{kRefused, "inclusion.size"}));
  // An older checkpoint, over a tree that has not this entry yet.
  EXPECT_EQ(
      with([&](P& p) {
        p.size = 5;
        p.checkpoint = must(sign_checkpoint({log.options.origin, 5, sha256("root")}, *log.log_key));
      }),
      (Refusal{kRefused, "inclusion.index"}));
  // A tree of the same size with other entries.
  EXPECT_EQ(with([&](P& p) {
              p.checkpoint =
                  must(sign_checkpoint({log.options.origin, 11, sha256("root")}, *log.log_key));
            }),
            proof);
}

TEST(CertificateLog, AProofForAnotherSizeIsRefused) {
  // Two right proofs of one event, and every way to mix them.
  SmallLog log;
  const CertificateParts at_11 = log.parts;
  log.parts.size = 14;
  log.seal();
  const CertificateParts at_14 = log.parts;
  ASSERT_NE(at_11.proof, at_14.proof);
  const auto mixed = [&](const CertificateParts& size, const CertificateParts& proof,
                         const CertificateParts& checkpoint) {
    CertificateParts parts = at_11;
    parts.size = size.size;
    parts.proof = proof.proof;
    parts.checkpoint = checkpoint.checkpoint;
    return log.verify(must(write_certificate(parts)));
  };
  EXPECT_TRUE(mixed(at_11, at_11, at_11).ok());
  EXPECT_TRUE(mixed(at_14, at_14, at_14).ok());
  const Refusal proof{kRefused, "inclusion.proof"};
  const Refusal size{kRefused, "inclusion.size"};
  EXPECT_EQ(refusal(mixed(at_11, at_14, at_11)), proof);
  EXPECT_EQ(refusal(mixed(at_14, at_11, at_14)), proof);
  EXPECT_EQ(refusal(mixed(at_14, at_11, at_11)), size);
  EXPECT_EQ(refusal(mixed(at_11, at_14, at_14)), size);
  EXPECT_EQ(refusal(mixed(at_14, at_14, at_11)), size);
  EXPECT_EQ(refusal(mixed(at_11, at_11, at_14)), size);
}

TEST(CertificateLog, CheckpointMustBeSignedByTheCertifiedKeyForItsName) {
  const SmallLog log;
  const auto other = MemorySigner::create(hsm::KeyType::kEd25519, 50);
  const auto body = [&](const std::string& origin) {
    return Checkpoint{origin, 11, sha256("root")};
  };
  CertificateParts parts = log.parts;
  parts.checkpoint = must(sign_checkpoint(body(log.options.origin), *other));
  EXPECT_EQ(refusal(log.verify(must(write_certificate(parts)))), (Refusal{kRefused, "checkpoint"}));
  parts.checkpoint = must(sign_checkpoint(body("other.example"), *log.log_key));
  EXPECT_EQ(refusal(log.verify(must(write_certificate(parts)))), (Refusal{kRefused, "checkpoint"}));
  parts.checkpoint = log.parts.checkpoint + "x";
  EXPECT_EQ(refusal(log.verify(must(write_certificate(parts)))),
            (Refusal{kMalformed, "checkpoint"}));
}

// --- the chain ----------------------------------------------------------------------------------

TEST(CertificateChain, ReplacedCertificatesAreRefused) {
  const SmallLog log;
  const auto with_chain = [&](std::vector<Der> chain) {
    CertificateParts parts = log.parts;
    parts.chain = std::move(chain);
    return refusal(log.verify(must(write_certificate(parts))));
  };
  // A member's certificate of the same CA: another name, so another log.
  const auto member = MemorySigner::create(hsm::KeyType::kEd25519, 60);
  EXPECT_EQ(
      with_chain({test::draft("member", member->public_key(), kCaName, log.ca->public_key(), false)
                      .sign(*log.ca)}),
      (Refusal{kRefused, "checkpoint"}));
  // The log's name on another key, and on a key that cannot sign checkpoints.
  EXPECT_EQ(with_chain({test::draft(log.options.origin, member->public_key(), kCaName,
                                    log.ca->public_key(), false)
                            .sign(*log.ca)}),
            (Refusal{kRefused, "checkpoint"}));
  const auto p256 = MemorySigner::create(hsm::KeyType::kP256, 61);
  EXPECT_EQ(with_chain({test::draft(log.options.origin, p256->public_key(), kCaName,
                                    log.ca->public_key(), false)
                            .sign(*log.ca)}),
            (Refusal{kRefused, "chain"}));
  // The log's own key under another CA of the same name: nobody the reader trusts.
  const auto impostor = MemorySigner::create(hsm::KeyType::kEd25519, 62);
  EXPECT_EQ(with_chain({test::draft(log.options.origin, log.log_key->public_key(), kCaName,
                                    impostor->public_key(), false)
                            .sign(*impostor)}),
            (Refusal{kRefused, "chain"}));
  EXPECT_EQ(with_chain({log.ca_certificate}), (Refusal{kRefused, "chain"}));
  EXPECT_EQ(with_chain({log.log_certificate, log.ca_certificate}), (Refusal{kRefused, "chain"}));
  EXPECT_EQ(with_chain({Der{0x30, 0x00}}), (Refusal{kMalformed, "chain[0]"}));
}

TEST(CertificateChain, AnotherTrustedCaIsRefused) {
  const SmallLog log;
  const auto other = MemorySigner::create(hsm::KeyType::kP256, 63);
  const auto verify = [&](const Der& trust) {
    return refusal(verify_certificate(log.backend, log.file(), sha256(log.options.document),
                                      std::nullopt, trust));
  };
  EXPECT_EQ(verify(test::ca_draft("Other CA", other->public_key()).sign(*other)),
            (Refusal{kRefused, "chain"}));
  EXPECT_EQ(verify(test::ca_draft("Example Trust CA", other->public_key()).sign(*other)),
            (Refusal{kRefused, "chain"}));
  EXPECT_EQ(verify(log.log_certificate), (Refusal{kRefused, "chain"}));
  EXPECT_EQ(verify({}), (Refusal{kMalformed, "trusted CA"}));
}

TEST(CertificateChain, IsCheckedAtTheTimeOfTheEvent) {
  for (const char* outside : {"2025-12-31T23:59:59.999Z", "2031-01-01T00:00:00.000Z"}) {
    LogOptions options;
    options.block_time_ms = test::at(outside);
    const SmallLog log(options);
    EXPECT_EQ(refusal(log.verify(log.file())), (Refusal{ErrorCode::kExpired, "chain"}));
  }
  // Long expired today, but not then.
  SmallLog log;
  test::CertificateDraft brief = test::draft(log.options.origin, log.log_key->public_key(),
                                             "Example Trust CA", log.ca->public_key(), false);
  brief.validity =
      der(der_tag::kSequence, {test::utc_time("260202000000Z"), test::utc_time("260203000000Z")});
  log.parts.chain = {brief.sign(*log.ca)};
  EXPECT_TRUE(log.verify(log.file()).ok());
}

TEST(CertificateChain, AnIntermediateCaMayStandBetween) {
  SmallLog log;
  const auto middle = MemorySigner::create(hsm::KeyType::kP256, 64);
  log.parts.chain = chain_through(log, *middle, [](auto&) {});
  EXPECT_TRUE(log.verify(log.file()).ok());
  log.parts.chain.pop_back();
  EXPECT_EQ(refusal(log.verify(log.file())), (Refusal{kRefused, "chain"}));
}

TEST(CertificateChain, WhoIsNoCaCertifiesNoLog) {
  // The forger has a key that the CA has certified, and makes himself a log of the same name.
  SmallLog log;
  const auto forger = MemorySigner::create(hsm::KeyType::kP256, 65);
  const auto through = [&](auto change) {
    log.parts.chain = chain_through(log, *forger, change);
    return refusal(log.verify(log.file()));
  };
  using D = test::CertificateDraft;
  const Refusal refused{kRefused, "chain"};
  const Refusal malformed{kMalformed, "chain"};
  EXPECT_EQ(through([](D& d) {
              d.extensions[0] = extension(kOidBasicConstraints, true, test::kEndEntity);
              d.extensions[1] = extension(kOidKeyUsage, true, test::kMaySign);
            }),
            refused);
  EXPECT_EQ(through([](D& d) {
              d.extensions[1] = extension(kOidKeyUsage, true, test::kMaySign);
              d.extensions.erase(d.extensions.begin());  // no basicConstraints at all
            }),
            refused);
  EXPECT_EQ(through([](D& d) { d.extensions.erase(d.extensions.begin()); }), malformed);
  EXPECT_EQ(through([](D& d) {
              d.extensions[0] = extension(kOidBasicConstraints, false, test::kCaConstraints);
            }),
            malformed);
  EXPECT_EQ(through([](D& d) {
              d.extensions[1] = extension(kOidKeyUsage, true, test::kMaySign);  // no keyCertSign
            }),
            malformed);
  EXPECT_EQ(through([](D& d) {
              d.validity = der(der_tag::kSequence,
                               {test::utc_time("260101000000Z"), test::utc_time("260201000000Z")});
            }),
            (Refusal{ErrorCode::kExpired, "chain"}));
}

// The same certificate with the other s that its ECDSA signature can have.
Der with_other_s(const Der& certificate) {
  const unsigned char* at = certificate.data();
  const std::unique_ptr<X509, decltype(&X509_free)> parsed(
      d2i_X509(nullptr, &at, static_cast<long>(certificate.size())), &X509_free);
  const ASN1_BIT_STRING* signature = nullptr;
  X509_get0_signature(&signature, nullptr, parsed.get());
  at = ASN1_STRING_get0_data(signature);
  const std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)> numbers(
      d2i_ECDSA_SIG(nullptr, &at, ASN1_STRING_length(signature)), &ECDSA_SIG_free);
  const std::unique_ptr<EC_GROUP, decltype(&EC_GROUP_free)> group(
      EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1), &EC_GROUP_free);
  const std::unique_ptr<BIGNUM, decltype(&BN_free)> s(BN_new(), &BN_free);
  BN_sub(s.get(), EC_GROUP_get0_order(group.get()), ECDSA_SIG_get0_s(numbers.get()));
  const auto integer = [](const BIGNUM* number) {
    Der bytes(static_cast<std::size_t>(BN_num_bytes(number)));
    BN_bn2bin(number, bytes.data());
    return der_unsigned(bytes);
  };
  const Der value =
      der(der_tag::kSequence, {integer(ECDSA_SIG_get0_r(numbers.get())), integer(s.get())});
  DerReader reader(must(der_content(certificate, der_tag::kSequence, "certificate")));
  const DerElement tbs = must(reader.next("tbs"));
  const DerElement algorithm = must(reader.next("algorithm"));
  constexpr std::uint8_t kNoUnusedBits[] = {0};
  return der(der_tag::kSequence,
             {tbs.encoding, algorithm.encoding, der(der_tag::kBitString, {kNoUnusedBits, value})});
}

// (r, n - s) verifies where (r, s) does: without a rule, anyone could make a second file of one
// certificate.
TEST(CertificateChain, HasOneFormOfEachSignature) {
  LogOptions options;
  options.ca_type = hsm::KeyType::kP256;
  SmallLog log(options);
  ASSERT_TRUE(log.verify(log.file()).ok());
  const Der low = log.parts.chain[0];
  const Der high = with_other_s(low);
  ASSERT_TRUE(verify_chain({high}, log.ca_certificate, options.block_time_ms).ok());  // as good
  log.parts.chain = {high};
  EXPECT_EQ(refusal(log.verify(log.file())), (Refusal{kRefused, "chain[0]"}));
  EXPECT_EQ(must(low_s_form(high)), low);
}

TEST(CertificateChain, PathLengthIsKept) {
  SmallLog log;
  test::CertificateDraft short_root = test::ca_draft(kCaName, log.ca->public_key());
  short_root.extensions[0] = extension(kOidBasicConstraints, true, test::kCaPathLength0);
  log.ca_certificate = short_root.sign(*log.ca);
  EXPECT_TRUE(log.verify(log.file()).ok());
  const auto middle = MemorySigner::create(hsm::KeyType::kP256, 64);
  log.parts.chain = chain_through(log, *middle, [](auto&) {});
  EXPECT_EQ(refusal(log.verify(log.file())), (Refusal{kRefused, "chain"}));
}

TEST(CertificateChain, TheLogsCertificateMustBeForSigning) {
  SmallLog log;
  const auto with = [&](auto change) {
    log.parts.chain = {log_certificate_with(log, change)};
    return refusal(log.verify(log.file()));
  };
  using D = test::CertificateDraft;
  const Refusal refused{kRefused, "chain"};
  EXPECT_EQ(with([](D& d) {
              d.extensions[1] = extension(kOidKeyUsage, true, {0x03, 0x02, 0x03, 0x08});
            }),
            refused);  // keyAgreement
  EXPECT_EQ(with([](D& d) { d.extensions.erase(d.extensions.begin() + 1); }), refused);
  EXPECT_EQ(with([](D& d) {
              d.extensions[0] = extension(kOidBasicConstraints, true, test::kCaConstraints);
              d.extensions[1] = extension(kOidKeyUsage, true, test::kMayCertify);
            }),
            refused);
  constexpr std::uint8_t kServerAuth[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01};
  EXPECT_EQ(
      with([&](D& d) {
        d.extensions.push_back(extension(
            kOidExtKeyUsage, false, der(der_tag::kSequence, {test::oid_element(kServerAuth)})));
      }),
      (Refusal{kMalformed, "chain[0]"}));
  EXPECT_EQ(with([](D& d) { d.issuer = test::common_name("Other CA"); }), refused);
  EXPECT_EQ(with([](D& d) { d.outer_algorithm = test::algorithm_of(hsm::KeyType::kP256); }),
            (Refusal{kMalformed, "chain[0]"}));
}

TEST(CertificateChain, AnotherLogOfTheSameCaIsReportedUnderItsOwnName) {
  // Nothing is forged here, and a reader who takes any name for the register's is fooled: so the
  // report names the log, and says that it does not prove it to be the one that is meant.
  LogOptions options;
  options.origin = "somebody-else.example";
  const SmallLog other(options);
  const auto report = other.verify(other.file());
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->origin, "somebody-else.example");
  EXPECT_EQ(report->signed_by, "somebody-else.example");
  const bool warned = std::any_of(
      report->not_proven.begin(), report->not_proven.end(), [](const std::string& sentence) {
        return sentence.find("\"somebody-else.example\" is the log you mean") != std::string::npos;
      });
  EXPECT_TRUE(warned);
}

}  // namespace
}  // namespace colophon::node
