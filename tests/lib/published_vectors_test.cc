// SPDX-License-Identifier: Apache-2.0
//
// Vectors of NIST CAVP, RFC 6979 and the Ed25519 reference implementation, as carried by the PyPI
// package cryptography-vectors, and of GB/T 32918.5.
#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>

#include "batch_builder.h"
#include "every_way.h"
#include "vectors_folder.h"

namespace colophon::test {
namespace {

std::ifstream open(const std::string& name) {
  return std::ifstream(vectors_folder() / "cryptography_vectors/asymmetric" / name);
}

#define OPEN_OR_SKIP(file, name)                                    \
  std::ifstream file = open(name);                                  \
  if (!file)                                                        \
  GTEST_SKIP() << "no vectors under '" << vectors_folder().string() \
               << "': run scripts/setup, or set COLOPHON_VECTORS_DIR"

using Record = std::map<std::string, std::string>;

// Records of "name = value" lines in one section of a CAVP file, separated by empty lines.
std::vector<Record> cavp_records(std::ifstream& file, const std::string& section) {
  std::vector<Record> records;
  Record record;
  bool inside = false;
  std::string line;
  const auto finish = [&] {
    if (!record.empty()) records.push_back(std::exchange(record, {}));
  };
  while (std::getline(file, line)) {
    while (!line.empty() && std::isspace(static_cast<unsigned char>(line.back()))) line.pop_back();
    if (line.starts_with('[')) {
      finish();
      inside = line == "[" + section + "]";
    } else if (inside && line.empty()) {
      finish();
    } else if (const auto at = line.find(" = "); inside && at != std::string::npos) {
      record[line.substr(0, at)] = line.substr(at + 3);
    }
  }
  finish();
  return records;
}

// 32 bytes, or more if the number is larger than that.
Bytes number(std::string text) {
  if (text.size() < 64) text.insert(0, 64 - text.size(), '0');
  if (text.size() % 2 != 0) text.insert(0, 1, '0');
  return unhex(text);
}

Bytes point(const Record& record) {
  return joined({0x04}, joined(number(record.at("Qx")), number(record.at("Qy"))));
}

Bytes signature(const Record& record) {
  return joined(number(record.at("R")), number(record.at("S")));
}

void report(const char* name, std::size_t count, std::size_t valid) {
  std::cout << name << ": " << count << " vectors, " << valid << " valid\n";
  EXPECT_GT(valid, 0U);
}

// e as FIPS 186-5 §6.4.2 has it: the leftmost 256 bits of the hash, or all of a shorter one.
Bytes e_of(const char* hash, const Bytes& message) {
  Bytes digest(EVP_MAX_MD_SIZE);
  unsigned size = 0;
  EXPECT_EQ(EVP_Digest(message.data(), message.size(), digest.data(), &size,
                       EVP_get_digestbyname(hash), nullptr),
            1);
  digest.resize(std::min(size, 32U));
  return joined(Bytes(32 - digest.size(), 0), digest);
}

// The vectors of each hash in one batch; those of SHA-256 as messages too.
TEST(NistCavp, EcdsaP256SignatureVerification) {
  std::size_t count = 0;
  std::size_t valid = 0;
  for (const char* hash : {"SHA1", "SHA224", "SHA256", "SHA384", "SHA512"}) {
    SCOPED_TRACE(hash);
    OPEN_OR_SKIP(file, "ECDSA/FIPS_186-3/SigVer.rsp");
    EveryWay by_digest(
        {Scheme::kEcdsaP256Sha256, SignatureEncoding::kRaw, Profile::kDefault, InputKind::kDigest});
    EveryWay by_message({Scheme::kEcdsaP256Sha256});
    std::vector<bool> expected;
    const std::string section = "P-256,SHA-" + std::string(hash + 3);
    for (const Record& record : cavp_records(file, section)) {
      const Bytes message = unhex(record.at("Msg"));
      by_digest.add(point(record), e_of(hash, message), signature(record));
      by_message.add(point(record), message, signature(record));
      expected.push_back(record.at("Result").starts_with('P'));
    }
    ASSERT_FALSE(expected.empty());
    const std::vector<Verdict> verdicts = by_digest.verify();
    if (section.ends_with("-256")) {
      EXPECT_EQ(by_message.verify(), verdicts);
    }
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(verdicts[i] == Verdict::kValid, expected[i]) << "record " << i;
      if (expected[i]) ++valid;
    }
    count += expected.size();
  }
  report("NIST SigVer P-256, five hashes", count, valid);
}

TEST(NistCavp, EcdsaGeneratedSignaturesVerify) {
  const std::tuple<const char*, const char*, Scheme> files[] = {
      {"ECDSA/FIPS_186-3/SigGen.txt", "P-256,SHA-256", Scheme::kEcdsaP256Sha256},
      {"ECDSA/SECP256K1/SigGen.txt", "K-256,SHA-256", Scheme::kEcdsaSecp256k1Sha256}};
  for (const auto& [name, section, scheme] : files) {
    OPEN_OR_SKIP(file, name);
    EveryWay builder({scheme});
    EveryWay changed({scheme});
    for (const Record& record : cavp_records(file, section)) {
      const Bytes message = unhex(record.at("Msg"));
      builder.add(point(record), message, signature(record));
      changed.add(point(record), joined(message, {0}), signature(record));
    }
    for (const Verdict verdict : builder.verify()) EXPECT_EQ(verdict, Verdict::kValid);
    for (const Verdict verdict : changed.verify()) EXPECT_EQ(verdict, Verdict::kMismatch);
    report(section, builder.size(), builder.size());
  }
}

TEST(NistCavp, P256PublicKeyValidation) {
  OPEN_OR_SKIP(file, "ECDSA/FIPS_186-3/PKV.rsp");
  const Bytes message = bytes_of("m");
  const Bytes any_signature = joined(Bytes(32, 1), Bytes(32, 1));
  std::size_t count = 0;
  std::size_t good = 0;
  for (const Record& record : cavp_records(file, "P-256")) {
    const bool expected = record.at("Result").starts_with('P');
    const Verdict verdict =
        verify_one({Scheme::kEcdsaP256Sha256}, point(record), message, any_signature);
    EXPECT_EQ(verdict, expected ? Verdict::kMismatch : Verdict::kBadKey) << record.at("Qx");
    ++count;
    if (expected) ++good;
  }
  report("NIST PKV P-256", count, good);
}

TEST(Rfc6979, P256Sha256) {
  OPEN_OR_SKIP(file, "ECDSA/RFC6979/evppkey_ecdsa_rfc6979.txt");
  // The file names the key; its point is that of RFC 6979 A.2.5.
  const Bytes key = unhex(
      "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
      "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299");
  Record record;
  std::size_t count = 0;
  std::size_t valid = 0;
  std::string line;
  bool more = true;
  while (more) {
    more = static_cast<bool>(std::getline(file, line));
    if (more && !line.empty()) {
      if (const auto at = line.find('='); at != std::string::npos) {
        const auto trim = [](std::string text) {
          std::erase_if(text, [](char c) { return c == ' ' || c == '"' || c == '\r'; });
          return text;
        };
        record[trim(line.substr(0, at))] = trim(line.substr(at + 1));
      }
      continue;
    }
    if (record["DigestVerify"] == "SHA256" && record["Key"] == "P-256_PUB") {
      const bool expected = !record.contains("Result");
      const Verdict verdict = verify_one({Scheme::kEcdsaP256Sha256, SignatureEncoding::kDer}, key,
                                         bytes_of(record["Input"]), unhex(record["Output"]));
      EXPECT_EQ(verdict, expected ? Verdict::kValid : Verdict::kMismatch) << record["Output"];
      ++count;
      if (expected) ++valid;
    }
    record.clear();
  }
  report("RFC 6979 P-256", count, valid);
}

TEST(Ed25519Reference, SignInput) {
  OPEN_OR_SKIP(file, "Ed25519/sign.input");
  BatchBuilder zip215({Scheme::kEd25519});
  BatchBuilder strict({Scheme::kEd25519, SignatureEncoding::kRaw, Profile::kStrict});
  BatchBuilder changed({Scheme::kEd25519});
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    std::string secret;
    std::string key;
    std::string message;
    std::string signed_message;
    std::getline(fields, secret, ':');
    std::getline(fields, key, ':');
    std::getline(fields, message, ':');
    std::getline(fields, signed_message, ':');
    const Bytes signature = unhex(signed_message.substr(0, 128));
    zip215.add(unhex(key), unhex(message), signature);
    strict.add(unhex(key), unhex(message), signature);
    if (zip215.size() % 16 == 0) {
      changed.add(unhex(key), joined(unhex(message), {0}), signature);
    }
  }
  for (const Verdict verdict : zip215.verify()) EXPECT_EQ(verdict, Verdict::kValid);
  for (const Verdict verdict : strict.verify()) EXPECT_EQ(verdict, Verdict::kValid);
  for (const Verdict verdict : changed.verify()) EXPECT_EQ(verdict, Verdict::kMismatch);
  report("Ed25519 sign.input", zip215.size(), zip215.size());
}

// GB/T 32918.5-2017, appendix A.2: signing on the recommended curve.
TEST(Sm2Standard, PublishedExample) {
  const Bytes key = unhex(
      "0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
      "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13");
  const Bytes message = bytes_of("message digest");
  const Bytes signature = unhex(
      "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3"
      "b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa");
  const Bytes e = unhex("f0b43e94ba45accaace692ed534382eb17e6ab5a19ce7b31f4486fdfc0d28640");
  const Rules by_message{Scheme::kSm2Sm3};
  Rules by_digest = by_message;
  by_digest.input = InputKind::kDigest;
  EXPECT_EQ(verify_one(by_message, key, message, signature), Verdict::kValid);
  EXPECT_EQ(verify_one(by_digest, key, e, signature), Verdict::kValid);
  // A digest is e itself: the plain SM3 of the message is not.
  EXPECT_EQ(verify_one(by_digest, key, Bytes(32, 7), signature), Verdict::kMismatch);
  EXPECT_EQ(verify_one(by_message, key, bytes_of("message digesT"), signature), Verdict::kMismatch);
  Rules other_id = by_message;
  other_id.sm2_id = "ALICE123@YAHOO.COM";
  EXPECT_EQ(verify_one(other_id, key, message, signature), Verdict::kMismatch);
}

}  // namespace
}  // namespace colophon::test
