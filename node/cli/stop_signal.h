// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "colophon/error.hpp"

namespace colophon::cli {

// From when it is made, SIGTERM and SIGINT no longer end the process but wait() once. A second one
// of the same kind ends it at once. One at a time in a process.
class StopSignal {
 public:
  // Error: kIo (no descriptors left).
  [[nodiscard]] static Result<StopSignal> install();
  StopSignal(StopSignal&& other) noexcept;
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;
  ~StopSignal();

  // Returns the name of the signal.
  [[nodiscard]] const char* wait();

 private:
  explicit StopSignal(int read_end) : read_end_(read_end) {}
  int read_end_;
};

}  // namespace colophon::cli
