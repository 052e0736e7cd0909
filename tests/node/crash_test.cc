// SPDX-License-Identifier: Apache-2.0
//
// kill -9 at any moment of a write load, again and again: a node in a process of its own, clients
// that submit over HTTP and keep every receipt, SIGKILL, restart. Everything acknowledged is there
// with the same receipt, what was not can be sent again, fsck is clean, the chain goes on.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "node/base64.h"
#include "node/client/client.h"
#include "node/environment.h"
#include "node/fsck.h"
#include "node/hex.h"
#include "tests/hsm/softhsm_token.h"
#include "tests/node/live_consortium.h"
#include "tests/node/temporary_directory.h"

extern char** environ;

namespace colophon::node {
namespace {

using namespace test;  // NOLINT: the tests' own
using nlohmann::json;
using std::chrono::milliseconds;

// A child whose standard output we read; what it says on its standard error is in that file.
class Process {
 public:
  Process(const std::vector<std::string>& arguments, const std::string& errors) {
    std::array<int, 2> in{}, out{};
    EXPECT_EQ(::pipe2(in.data(), O_CLOEXEC), 0);
    EXPECT_EQ(::pipe2(out.data(), O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_addopen(&actions, 2, errors.c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                     0600);
    std::vector<char*> argv;
    for (const std::string& one : arguments) argv.push_back(const_cast<char*>(one.c_str()));
    argv.push_back(nullptr);
    EXPECT_EQ(::posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    ::close(in[0]);
    ::close(out[1]);
    stdin_ = in[1];
    stdout_ = out[0];
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process() {
    if (pid_ > 0) kill(SIGKILL);
    ::close(stdin_);
    ::close(stdout_);
  }
  // Without its line feed; empty: it ended.
  std::string read_line() {
    std::string line;
    for (char c = 0; ::read(stdout_, &c, 1) == 1 && c != '\n';) line += c;
    return line;
  }
  // Waits for the end, too; its wait status.
  int kill(int signal) {
    ::kill(pid_, signal);
    int status = 0;
    EXPECT_EQ(::waitpid(pid_, &status, 0), pid_);
    pid_ = -1;
    return status;
  }
  int wait() { return kill(0); }

 private:
  pid_t pid_ = -1;
  int stdin_ = -1, stdout_ = -1;
};

class CrashTest : public ::testing::Test {
 protected:
  static std::string read(const std::string& path) {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  void start() {
    process_ = std::make_unique<Process>(command_, errors_);
    const std::string line = process_->read_line();
    constexpr std::string_view kPrefix = "listening on ";
    ASSERT_TRUE(line.starts_with(kPrefix)) << "'" << line << "' " << read(errors_);
    url_ = line.substr(kPrefix.size());
  }
  void kill() {
    const int status = process_->kill(SIGKILL);
    ASSERT_TRUE(WIFSIGNALED(status)) << "it had ended by itself: " << status;
    process_.reset();
  }
  Client client() { return must(Client::connect(url_)); }

  void found() {
    start();
    std::vector<Digest> ids;
    const auto founding = consortium_.founding();
    for (const std::string& one : founding) ids.push_back(consortium_.id(one));
    for (const auto& outcome : must(client().submit(founding, ids))) must(outcome);
  }

  // Sends until the node is gone.
  void load(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    Client node = client();
    for (;;) {
      std::vector<std::string> batch;
      {
        const std::scoped_lock guard(mutex_);
        while (!uncertain_.empty() && batch.size() < 4) {
          batch.push_back(std::move(uncertain_.back()));
          uncertain_.pop_back();
        }
      }
      for (std::size_t fresh = 1 + random() % 8; fresh > 0; --fresh) {
        batch.push_back(consortium_.registration());
      }
      std::vector<Digest> ids;
      for (const std::string& one : batch) ids.push_back(consortium_.id(one));
      const auto outcomes = node.submit(batch, ids);
      const std::scoped_lock guard(mutex_);
      for (std::size_t i = 0; i < batch.size(); ++i) {
        const Result<json> outcome = outcomes ? (*outcomes)[i] : outcomes.error();
        if (outcome) {
          fresh_receipts_.emplace_back(hex_encode(ids[i]), *outcome);
          continue;
        }
        const ErrorCode code = outcome.error().code;
        if (code == ErrorCode::kAlreadyExists) {
          committed_unheard_.push_back(hex_encode(ids[i]));
        } else {
          EXPECT_TRUE(code == ErrorCode::kUnavailable || code == ErrorCode::kOutcomeUnknown)
              << outcome.error().message;
          uncertain_.push_back(std::move(batch[i]));
        }
      }
      if (!outcomes || std::ranges::any_of(*outcomes, [](const auto& outcome) {
            return !outcome && outcome.error().code == ErrorCode::kOutcomeUnknown;
          })) {
        return;
      }
    }
  }

  void wait_for_answers(std::size_t count) {
    const auto enough = [&] {
      const std::scoped_lock guard(mutex_);
      return fresh_receipts_.size() >= count;
    };
    for (int i = 0; i < 60'000 && !enough(); ++i) std::this_thread::sleep_for(milliseconds(1));
  }
  void expect_there(const std::string& id, const json* receipt) {
    const auto found = client().get("/v1/transactions/" + id);
    ASSERT_TRUE(found.ok()) << id << ": " << found.error().message;
    EXPECT_TRUE(receipt == nullptr || *found == *receipt) << found->dump();
  }
  // What the last life acknowledged, and some of the older ones.
  void check_receipts(std::mt19937_64& random) {
    for (const auto& [id, receipt] : fresh_receipts_) expect_there(id, &receipt);
    for (std::size_t i = 0; i < 10 && !receipts_.empty(); ++i) {
      const auto& [id, receipt] = receipts_[random() % receipts_.size()];
      expect_there(id, &receipt);
    }
    receipts_.insert(receipts_.end(), fresh_receipts_.begin(), fresh_receipts_.end());
    fresh_receipts_.clear();
    for (const std::string& id : committed_unheard_) expect_there(id, nullptr);
    committed_unheard_.clear();
  }
  void check_ledger() {
    const auto report = fsck(data_, consortium_.genesis, system_environment(), {});
    ASSERT_TRUE(report.ok()) << report.error().message;
    EXPECT_EQ(report->findings, std::vector<std::string>());
    EXPECT_GE(report->transactions, receipts_.size());
  }

  void survive(int kills) {
    std::mt19937_64 random(20260101);
    found();
    for (int round = 0; round < kills; ++round) {
      SCOPED_TRACE("kill " + std::to_string(round));
      std::vector<std::thread> clients;
      for (int i = 0; i < 3; ++i) clients.emplace_back([this, seed = random()] { load(seed); });
      // At any moment; in every second life one after some answers, so that there are such.
      if (round % 2 == 0) wait_for_answers(1 + random() % 8);
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 60'000));
      kill();
      for (std::thread& thread : clients) thread.join();
      if (round % 4 == 3) {  // while it starts, too
        process_ = std::make_unique<Process>(command_, errors_);
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 40'000));
        kill();
      }
      if (round % 10 == 9) check_ledger();
      start();
      if (HasFatalFailure()) return;
      check_receipts(random);
    }
    for (const auto& [id, receipt] : receipts_) expect_there(id, &receipt);
    EXPECT_GE(receipts_.size(), static_cast<std::size_t>(kills) / 2);
    const auto height = must(client().get("/v1/status")).at("height").get<std::uint64_t>();
    EXPECT_GE(height, static_cast<std::uint64_t>(kills) / 2);
    std::printf("%d kills, %zu receipts, %llu blocks\n", kills, receipts_.size(),
                static_cast<unsigned long long>(height));
    kill();
    check_ledger();
  }

  LiveConsortium consortium_;
  TemporaryDirectory directory_;
  std::string data_ = directory_.path() + "/data";
  std::string errors_ = directory_.path() + "/errors";
  std::vector<std::string> command_;
  std::unique_ptr<Process> process_;
  std::string url_;

  std::mutex mutex_;
  std::vector<std::pair<std::string, json>> fresh_receipts_;  // id, receipt: of this life
  std::vector<std::string> committed_unheard_;  // refused as replays: the first answer was lost
  std::vector<std::string> uncertain_;          // to be sent again
  std::vector<std::pair<std::string, json>> receipts_;
};

TEST_F(CrashTest, ANodeKilledFiftyTimesLosesNothing) {
  command_ = {COLOPHON_TEST_SERVER, "serve", data_};
  survive(50);
}

// The program itself, its log key in a SoftHSM token.
class ProgramCrashTest : public CrashTest {
 protected:
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(directory_.path() + "/" + name) << text;
  }
  static std::string pem_public_key(const Der& spki) {
    const std::string text = base64_encode(spki);
    std::string pem = "-----BEGIN PUBLIC KEY-----\n";
    for (std::size_t at = 0; at < text.size(); at += 64) pem += text.substr(at, 64) + "\n";
    return pem + "-----END PUBLIC KEY-----\n";
  }
  void run(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), COLOPHON_PROGRAM);
    Process process(arguments, errors_);
    EXPECT_EQ(process.wait(), 0) << ::testing::PrintToString(arguments) << read(errors_);
  }
  void make_chain(const colophon::test::SoftHsmToken& token) {
    const std::string folder = directory_.path() + "/";
    run({"hsm", "keygen", "--token", token.token_uri(), "--type", "ed25519", "--label", "log",
         "--pin-file", token.pin_file()});
    run({"hsm", "public-key", "--key", token.key_uri("log"), "--pin-file", token.pin_file(),
         "--out", folder + "log_key.pem"});
    const Der log_key = must(parse_pem_public_key(read(folder + "log_key.pem")));
    write("log.pem", to_pem(consortium_.log_certificate(log_key)));
    write("administrator.pem",
          pem_public_key(must(consortium_.administrator->public_key().to_spki_der())));
    run({"node", "init", "--data", data_, "--chain-id", consortium_.genesis.chain_id,
         "--administrator-key", folder + "administrator.pem", "--certificate-chain",
         folder + "log.pem", "--listen", "127.0.0.1:0", "--key", token.key_uri("log"), "--pin-file",
         token.pin_file()});
    consortium_.genesis = must(parse_genesis(read(data_ + "/genesis.json")));
  }
};

TEST_F(ProgramCrashTest, TheProgramKilledLosesNothing) {
  if (!colophon::test::SoftHsmToken::available()) GTEST_SKIP() << "SoftHSM is not installed";
  // SoftHSM 2.6.1 loses an ASN.1 string with each Ed25519 signature.
  const char* options = std::getenv("ASAN_OPTIONS");
  const std::string without_leaks =
      std::string(options == nullptr ? "" : options) + ":detect_leaks=0";
  ASSERT_EQ(::setenv("ASAN_OPTIONS", without_leaks.c_str(), 1), 0);  // of the children
  const colophon::test::SoftHsmToken token("crash");
  make_chain(token);
  if (HasFailure()) return;
  command_ = {COLOPHON_PROGRAM, "node", "start", "--data", data_};
  survive(6);
}

}  // namespace
}  // namespace colophon::node
