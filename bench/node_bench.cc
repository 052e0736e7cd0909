// SPDX-License-Identifier: Apache-2.0
//
// node-solo: registrations a second through a whole node with `solo` ordering, acknowledged only
// when durable (WAL synced), the checkpoints signed by a SoftHSM key. The transactions are signed
// beforehand; the node verifies the signatures inside the measured time. The peer is the ceiling
// that verification alone sets: OpenSSL's EVP_PKEY_verify of as many signatures on two threads.
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <stdlib.h>  // NOLINT: mkdtemp, setenv are POSIX

#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>

#include "bench/job.h"
#include "colophon/hsm/signer.h"
#include "colophon/hsm/token.h"
#include "node/contracts/membership/membership.pb.h"
#include "node/contracts/registry/registry.pb.h"
#include "node/environment.h"
#include "node/node.h"
#include "node/transaction.h"
#include "node/x509.h"

namespace colophon::bench {
namespace {

// As many in flight as a block takes, so that blocks close by size, and verification for the next
// one goes on while the last is written.
constexpr std::size_t kTransactions = 16384;
constexpr std::size_t kBundle = 256;  // transactions a submit() call, as a busy client sends them
constexpr std::size_t kClients = 16;  // threads, which mostly wait for their receipts
static_assert(kTransactions % kBundle == 0);
constexpr std::size_t kCeilingThreads = 2;  // the cores of the machine the aim is stated for
constexpr const char* kChain = "bench.example";
constexpr std::uint64_t kYearMs = 365ULL * 24 * 3600 * 1000;

template <class T>
std::string serialized(const T& message) {
  return message.SerializeAsString();
}

// A token, an organization with one member, and a node over a fresh directory.
class Chain {
 public:
  Result<void> open(const std::string& backend) {
    if (node_) return {};
    std::string pattern =
        (std::filesystem::temp_directory_path() / "colophon-bench-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr)
      return make_error(ErrorCode::kIo, "cannot make a directory like " + pattern);
    directory_ = pattern;
    std::filesystem::create_directories(directory_ / "tokens");
    std::ofstream(directory_ / "softhsm2.conf")
        << "directories.tokendir = " << (directory_ / "tokens").string() << "\n";
    setenv("SOFTHSM2_CONF", (directory_ / "softhsm2.conf").c_str(), 1);
    if (std::system("softhsm2-util --init-token --free --label bench --pin 1234 --so-pin 1234"
                    " >/dev/null") != 0)
      return make_error(ErrorCode::kUnavailable, "softhsm2-util could not make a token");
    std::ofstream(directory_ / "pin") << "1234";
    std::filesystem::permissions(directory_ / "pin", std::filesystem::perms::owner_read);
    COLOPHON_TRY_ASSIGN(auto log, make_key("log", hsm::KeyType::kEd25519));
    COLOPHON_TRY_ASSIGN(auto administrator, make_key("administrator", hsm::KeyType::kP256));
    COLOPHON_TRY_ASSIGN(auto ca, make_key("ca", hsm::KeyType::kP256));
    COLOPHON_TRY_ASSIGN(member_, make_key("member", hsm::KeyType::kP256));

    node::Environment environment = node::system_environment();
    const std::uint64_t now = environment.clock.now_ms();
    node::Genesis genesis;
    genesis.chain_id = kChain;
    genesis.created_at_ms = now;
    genesis.administrator_scheme = Scheme::kEcdsaP256Sha256;
    genesis.administrator_public_key = administrator->public_key().raw;
    genesis.log_public_key = log->public_key().raw;
    node::NodeConfig config;
    config.data_directory = (directory_ / "data").string();
    config.backend = backend;
    COLOPHON_TRY_ASSIGN(node_, node::Node::open(config, genesis, environment, std::move(log)));

    node::CertificateRequest request;
    request.common_name = "Bench CA";
    request.not_before_ms = now - 3600 * 1000;
    request.not_after_ms = now + kYearMs;
    request.serial[15] = 1;
    COLOPHON_TRY_ASSIGN(const node::Der ca_certificate, node::create_ca(request, *ca));
    request.common_name = "Bench member";
    request.serial[15] = 2;
    COLOPHON_TRY_ASSIGN(const auto spki, member_->public_key().to_spki_der());
    COLOPHON_TRY_ASSIGN(const node::Der certificate,
                        node::issue_certificate(request, spki, ca_certificate, *ca));

    node::proto::MembershipCall organization;
    organization.mutable_enrol_organization()->set_id("bench");
    organization.mutable_enrol_organization()->set_name("Bench");
    organization.mutable_enrol_organization()->set_ca_certificate(ca_certificate.data(),
                                                                  ca_certificate.size());
    COLOPHON_TRY_ASSIGN(const std::string first,
                        sign(*administrator, "membership", serialized(organization)));
    COLOPHON_TRY(submit_one(first));
    node::proto::MembershipCall member;
    member.mutable_enrol_member()->set_organization("bench");
    member.mutable_enrol_member()->set_certificate(certificate.data(), certificate.size());
    COLOPHON_TRY_ASSIGN(const std::string second, sign(*member_, "membership", serialized(member)));
    return submit_one(second);
  }

  ~Chain() {
    node_.reset();
    member_.reset();
    std::error_code ignored;
    if (!directory_.empty()) std::filesystem::remove_all(directory_, ignored);
  }

  Result<std::vector<std::string>> registrations() {
    std::vector<std::string> transactions;
    for (std::size_t i = 0; i < kTransactions; ++i) {
      Digest document{};
      node::system_environment().random.fill(document);
      node::proto::RegistryCall call;
      call.mutable_register_()->set_type("work");
      call.mutable_register_()->set_title("Field notes " + std::to_string(i));
      call.mutable_register_()->set_document_sha256(document.data(), document.size());
      COLOPHON_TRY_ASSIGN(std::string transaction, sign(*member_, "registry", serialized(call)));
      transactions.push_back(std::move(transaction));
    }
    return transactions;
  }

  node::Node& node() { return *node_; }

 private:
  Result<std::unique_ptr<hsm::Signer>> make_key(const std::string& label, hsm::KeyType type) {
    const std::string token = "pkcs11:token=bench?module-path=/usr/lib/softhsm/libsofthsm2.so";
    const auto pin = hsm::PinSource::file((directory_ / "pin").string());
    COLOPHON_TRY_ASSIGN(const hsm::Uri uri, hsm::parse_uri(token));
    COLOPHON_TRY_ASSIGN(const hsm::KeyInfo key, hsm::generate_key(uri, pin, {type, label, {}}));
    return hsm::open_signer(key.uri, pin);
  }

  static Result<std::string> sign(hsm::Signer& signer, const std::string& contract,
                                  std::string payload) {
    node::Environment environment = node::system_environment();
    node::TransactionDraft draft;
    draft.created_at_ms = environment.clock.now_ms();
    draft.expires_at_ms = draft.created_at_ms + node::kLifetimeMsMax;
    environment.random.fill(draft.nonce);
    draft.contract = contract;
    draft.payload = std::move(payload);
    return node::sign_transaction(kChain, draft, signer);
  }

  Result<void> submit_one(const std::string& transaction) {
    const std::string_view view = transaction;
    auto results = node_->submit({&view, 1});
    if (!results[0]) return std::move(results[0]).error();
    return {};
  }

  std::filesystem::path directory_;
  std::unique_ptr<hsm::Signer> member_;
  std::unique_ptr<node::Node> node_;
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void run_node(benchmark::State& state, Chain& chain, const std::string& backend) {
  if (const auto opened = chain.open(backend); !opened)
    return state.SkipWithError(opened.error().message.c_str());
  for (auto _ : state) {
    const auto transactions = chain.registrations();
    if (!transactions) return state.SkipWithError(transactions.error().message.c_str());
    std::array<std::string, kClients> failures;
    std::atomic<std::size_t> next = 0;
    const auto start = std::chrono::steady_clock::now();
    std::vector<std::thread> clients;
    for (std::size_t c = 0; c < kClients; ++c) {
      clients.emplace_back([&, c] {
        for (std::size_t end = next += kBundle; end <= kTransactions; end = next += kBundle) {
          std::vector<std::string_view> bundle(
              transactions->begin() + static_cast<long>(end - kBundle),
              transactions->begin() + static_cast<long>(end));
          for (const auto& result : chain.node().submit(bundle)) {
            if (!result) failures[c] = result.error().message;
          }
        }
      });
    }
    for (std::thread& client : clients) client.join();
    state.SetIterationTime(seconds_since(start));
    for (const std::string& failure : failures) {
      if (!failure.empty()) return state.SkipWithError(failure.c_str());
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kTransactions));
}

void run_ceiling(benchmark::State& state) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  std::array<std::uint8_t, 32> digest{7};
  std::array<std::uint8_t, 80> signature{};
  std::size_t length = signature.size();
  EVP_PKEY_CTX* signing = EVP_PKEY_CTX_new(key, nullptr);
  const bool made = EVP_PKEY_sign_init(signing) == 1 &&
                    EVP_PKEY_sign(signing, signature.data(), &length, digest.data(), 32) == 1;
  EVP_PKEY_CTX_free(signing);
  bool good = made;
  for (auto _ : state) {
    std::array<bool, kCeilingThreads> all_valid{};
    const auto start = std::chrono::steady_clock::now();
    std::vector<std::thread> threads;
    for (std::size_t c = 0; c < kCeilingThreads; ++c) {
      threads.emplace_back([&, c] {
        EVP_PKEY_CTX* context = EVP_PKEY_CTX_new(key, nullptr);
        bool valid = EVP_PKEY_verify_init(context) == 1;
        for (std::size_t i = 0; i < kTransactions / kCeilingThreads; ++i)
          valid &= EVP_PKEY_verify(context, signature.data(), length, digest.data(), 32) == 1;
        EVP_PKEY_CTX_free(context);
        all_valid[c] = valid;
      });
    }
    for (std::thread& thread : threads) thread.join();
    state.SetIterationTime(seconds_since(start));
    for (const bool valid : all_valid) good &= valid;
  }
  EVP_PKEY_free(key);
  if (!good) return state.SkipWithError("OpenSSL refused its own signature");
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kTransactions));
}

}  // namespace

void add_node_jobs(std::vector<Job>& jobs, const std::string& backend) {
  auto chain = std::make_shared<Chain>();
  jobs.push_back(
      {"node-solo", backend, kBundle, "registrations/s", "OpenSSL EVP_PKEY_verify alone, 2 threads",
       [=](benchmark::State& state) { run_node(state, *chain, backend); }, run_ceiling, true});
}

}  // namespace colophon::bench
