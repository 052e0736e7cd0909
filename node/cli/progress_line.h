// SPDX-License-Identifier: Apache-2.0
//
// How long work shows that it goes on: one line on a terminal, written over; nothing where nobody
// watches, and nothing for work that is done at once.
#pragma once

#include <unistd.h>

#include <chrono>
#include <iostream>
#include <string_view>

namespace colophon::cli {

class ProgressLine {
 public:
  ProgressLine() = default;
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  ~ProgressLine() { clear(); }

  // Cheap when called often: most calls write nothing.
  void show(std::string_view text) {
    if (!terminal_) return;
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < kInterval) return;
    last_ = now;
    shown_ = true;
    std::cerr << '\r' << text << "\033[K" << std::flush;
  }

  // Before anything else is printed.
  void clear() {
    if (shown_) std::cerr << "\r\033[K" << std::flush;
    shown_ = false;
  }

 private:
  static constexpr std::chrono::milliseconds kInterval{100};

  bool terminal_ = ::isatty(STDERR_FILENO) == 1;
  bool shown_ = false;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace colophon::cli
