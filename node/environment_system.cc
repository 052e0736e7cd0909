// SPDX-License-Identifier: Apache-2.0
//
// The real clock, randomness and disk.
#include <rocksdb/env.h>
#include <sys/random.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>

#include "node/environment.h"
#include "node/environment_network.h"

namespace colophon::node {
namespace {

class SystemClock final : public Clock {
 public:
  std::uint64_t now_ms() override {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
  }
  std::uint64_t monotonic_us() override {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(now).count());
  }
  void wait(std::condition_variable& condition, std::unique_lock<std::mutex>& guard,
            std::uint64_t us) override {
    condition.wait_for(guard, std::chrono::microseconds(us));
  }
};

class SystemRandom final : public Random {
 public:
  void fill(std::span<std::uint8_t> out) override {
    while (!out.empty()) {
      const ssize_t got = getrandom(out.data(), out.size(), 0);
      if (got > 0) {
        out = out.subspan(static_cast<std::size_t>(got));
      } else if (errno != EINTR) {
        std::abort();  // a kernel without getrandom: nothing here may go on with bad randomness
      }
    }
  }
};

}  // namespace

Environment system_environment() {
  static SystemClock clock;
  static SystemRandom random;
  return Environment{clock, random, *rocksdb::Env::Default(), system_network()};
}

}  // namespace colophon::node
