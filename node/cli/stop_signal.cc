// SPDX-License-Identifier: Apache-2.0
#include "node/cli/stop_signal.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <utility>

namespace colophon::cli {
namespace {

// A handler may do little more than write to a pipe; -1: nobody listens.
volatile std::sig_atomic_t write_end = -1;

void on_signal(int number) {
  const int saved = errno;
  const char byte = static_cast<char>(number);
  (void)!::write(write_end, &byte, 1);
  errno = saved;
}

}  // namespace

Result<StopSignal> StopSignal::install() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    return make_error(ErrorCode::kIo, "no pipe can be made: too many open files", "",
                      static_cast<std::uint64_t>(errno));
  }
  write_end = ends[1];
  struct sigaction action {};
  action.sa_handler = &on_signal;
  // SA_RESTART: whatever a library was reading goes on.
  action.sa_flags = static_cast<int>(SA_RESTART | SA_RESETHAND);
  ::sigaction(SIGTERM, &action, nullptr);
  ::sigaction(SIGINT, &action, nullptr);
  return StopSignal(ends[0]);
}

StopSignal::StopSignal(StopSignal&& other) noexcept
    : read_end_(std::exchange(other.read_end_, -1)) {}

StopSignal::~StopSignal() {
  if (read_end_ < 0) return;
  std::signal(SIGTERM, SIG_DFL);
  std::signal(SIGINT, SIG_DFL);
  ::close(std::exchange(write_end, -1));
  ::close(read_end_);
}

const char* StopSignal::wait() {
  char number = 0;
  while (::read(read_end_, &number, 1) < 0 && errno == EINTR) {
  }
  return number == SIGINT ? "SIGINT" : "SIGTERM";
}

}  // namespace colophon::cli
