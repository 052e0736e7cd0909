// SPDX-License-Identifier: Apache-2.0
//
// A node's folder is made whole or not at all, and is read back only when it is whole; the log's
// certificates fit the chain.
#include "node/cli/chain_directory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "node/certificate.h"
#include "node/event.h"
#include "node/x509.h"
#include "tests/node/memory_signer.h"
#include "tests/node/temporary_directory.h"

namespace colophon::cli {
namespace {

namespace fs = std::filesystem;
using node::Der;
using node::test::MemorySigner;

constexpr std::uint64_t kNow = 1770000000000;
constexpr std::uint64_t kDay = 86400000;
constexpr const char* kChain = "log.example";

class ChainDirectoryTest : public ::testing::Test {
 protected:
  ChainDirectoryTest() {
    chain_.path = folder_.path() + "/data";
    chain_.genesis.chain_id = kChain;
    chain_.genesis.created_at_ms = kNow;
    chain_.genesis.administrator_scheme = Scheme::kEd25519;
    chain_.genesis.administrator_public_key = log_->public_key().raw;
    chain_.genesis.log_public_key = log_->public_key().raw;
    chain_.configuration.listen = {"127.0.0.1", 0};
    chain_.configuration.key = "pkcs11:token=t;object=log";
    chain_.log_certificates = {issue(kChain, *log_)};
  }

  static node::CertificateRequest request(const std::string& name, std::uint64_t not_before_ms) {
    node::CertificateRequest request;
    request.common_name = name;
    request.not_before_ms = not_before_ms;
    request.not_after_ms = not_before_ms + kDay;
    return request;
  }
  Der ca(std::uint64_t not_before_ms = kNow) {
    auto der = node::create_ca(request("Root", not_before_ms), *ca_);
    EXPECT_TRUE(der.ok());
    return *der;
  }
  Der issue(const std::string& name, MemorySigner& subject, std::uint64_t not_before_ms = kNow) {
    const auto spki = subject.public_key().to_spki_der();
    auto der =
        node::issue_certificate(request(name, not_before_ms), *spki, ca(not_before_ms), *ca_);
    EXPECT_TRUE(der.ok());
    return *der;
  }
  Result<void> check(const std::vector<Der>& certificates, std::uint64_t time_ms = kNow) {
    return check_log_certificates(certificates, chain_.genesis, time_ms, "field");
  }
  Result<void> create(bool fill_fails = false) {
    return create_chain_directory(chain_, [&](const std::string& path) -> Result<void> {
      if (fill_fails) return make_error(ErrorCode::kUnavailable, "the HSM is away");
      fs::create_directory(path + "/db");
      std::ofstream(path + "/db/CURRENT") << "x";
      return {};
    });
  }
  std::ptrdiff_t entries() {
    return std::distance(fs::directory_iterator(folder_.path()), fs::directory_iterator());
  }
  void write(const std::string& name, const std::string& text) {
    std::ofstream(chain_.path + "/" + name) << text;
  }

  node::test::TemporaryDirectory folder_;
  std::unique_ptr<MemorySigner> ca_ = MemorySigner::create(hsm::KeyType::kP256, 1);
  std::unique_ptr<MemorySigner> log_ = MemorySigner::create(hsm::KeyType::kEd25519, 2);
  ChainDirectory chain_;
};

TEST_F(ChainDirectoryTest, WhatIsMadeIsReadBack) {
  ASSERT_TRUE(create().ok());
  EXPECT_EQ(entries(), 1);
  const auto read = read_chain_directory(chain_.path);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->genesis.chain_id, kChain);
  EXPECT_EQ(read->configuration.key, chain_.configuration.key);
  EXPECT_EQ(read->log_certificates, chain_.log_certificates);
}

TEST_F(ChainDirectoryTest, AnEmptyFolderIsTaken) {
  fs::create_directory(chain_.path);
  EXPECT_TRUE(create().ok());
  EXPECT_TRUE(read_chain_directory(chain_.path).ok());
}

TEST_F(ChainDirectoryTest, AChainIsNeverOverwritten) {
  ASSERT_TRUE(create().ok());
  const auto again = create();
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(entries(), 1);
  EXPECT_TRUE(read_chain_directory(chain_.path).ok());
}

TEST_F(ChainDirectoryTest, AFolderWithSomethingInItIsLeftAlone) {
  fs::create_directory(chain_.path);
  write("notes.txt", "mine");
  EXPECT_EQ(create().error().code, ErrorCode::kAlreadyExists);
  EXPECT_TRUE(fs::exists(chain_.path + "/notes.txt"));
  EXPECT_EQ(entries(), 1);
}

TEST_F(ChainDirectoryTest, AFileOfThatNameIsLeftAlone) {
  std::ofstream(chain_.path) << "mine";
  EXPECT_EQ(create().error().code, ErrorCode::kAlreadyExists);
  EXPECT_TRUE(fs::is_regular_file(chain_.path));
}

TEST_F(ChainDirectoryTest, WhereTheLedgerCannotBeMadeNothingIsLeft) {
  EXPECT_EQ(create(/*fill_fails=*/true).error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(entries(), 0);
}

TEST_F(ChainDirectoryTest, AParentThatIsNotThereIsAnError) {
  chain_.path = folder_.path() + "/none/data";
  EXPECT_EQ(create().error().code, ErrorCode::kNotFound);
}

TEST_F(ChainDirectoryTest, AChainThatIsNotWholeIsNotRead) {
  EXPECT_EQ(read_chain_directory(chain_.path).error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(create().ok());
  fs::rename(chain_.path + "/db", chain_.path + "/away");
  EXPECT_EQ(read_chain_directory(chain_.path).error().code, ErrorCode::kCorrupt);
  fs::rename(chain_.path + "/away", chain_.path + "/db");

  fs::rename(chain_.path + "/node.json", chain_.path + "/away");
  EXPECT_EQ(read_chain_directory(chain_.path).error().code, ErrorCode::kNotFound);
  write("node.json", "{}");
  EXPECT_EQ(read_chain_directory(chain_.path).error().field, "version");
  fs::rename(chain_.path + "/away", chain_.path + "/node.json");

  write("log-certificates.pem", "");
  EXPECT_EQ(read_chain_directory(chain_.path).error().code, ErrorCode::kMalformed);
  write("log-certificates.pem", node::to_pem(chain_.log_certificates[0]));
  EXPECT_TRUE(read_chain_directory(chain_.path).ok());
  write("genesis.json", "{}");
  EXPECT_EQ(read_chain_directory(chain_.path).error().code, ErrorCode::kMalformed);
}

TEST_F(ChainDirectoryTest, PathsAreResolved) {
  EXPECT_EQ(*resolve_data_path("/a/b/../c/"), "/a/c");
  fs::create_directory_symlink(folder_.path(), folder_.path() + "/link");
  EXPECT_EQ(*resolve_data_path(folder_.path() + "/link/data"),
            fs::canonical(folder_.path()).string() + "/data");
  EXPECT_TRUE(resolve_data_path("data")->starts_with("/"));
  EXPECT_FALSE(resolve_data_path("").ok());
}

TEST_F(ChainDirectoryTest, LogCertificatesFitTheChain) {
  EXPECT_TRUE(check(chain_.log_certificates).ok());
  auto other = MemorySigner::create(hsm::KeyType::kEd25519, 3);
  EXPECT_EQ(check({issue(kChain, *other)}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(check({issue("other.example", *log_)}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(check({Der{0x30, 0x00}}).error().code, ErrorCode::kMalformed);
}

TEST_F(ChainDirectoryTest, ARootIsNotAmongThem) {
  const auto refused = check({chain_.log_certificates[0], ca()});
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("root"), std::string::npos);
  EXPECT_FALSE(check(std::vector<Der>(node::kChainLengthMax + 1, chain_.log_certificates[0])).ok());
}

TEST_F(ChainDirectoryTest, TheyAreValidNowIfThatIsAsked) {
  EXPECT_TRUE(check(chain_.log_certificates, kNow + kDay - 1000).ok());
  EXPECT_EQ(check(chain_.log_certificates, kNow + 2 * kDay).error().code, ErrorCode::kExpired);
  EXPECT_EQ(check(chain_.log_certificates, kNow - kDay).error().code, ErrorCode::kExpired);
  EXPECT_TRUE(check({issue(kChain, *log_, kNow - 10 * kDay)}, 0).ok());
}

}  // namespace
}  // namespace colophon::cli
