// SPDX-License-Identifier: Apache-2.0
//
// Tells an operator once when the GPU that verifies fails, and when it is in use again. A backend
// goes on without it by itself and prints nothing; so a node looks after each submission.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string_view>

#include "colophon/backend.hpp"

namespace colophon::node {

// Thread-safe. Of a backend without a GPU there is nothing to tell.
class GpuWatch {
 public:
  // `log` as in NodeConfig. What was before is not told.
  GpuWatch(const Backend& backend,
           std::function<void(std::string_view level, std::string_view message)> log);

  void look();

 private:
  const Backend backend_;
  const std::function<void(std::string_view, std::string_view)> log_;
  std::mutex mutex_;  // also keeps lines in order
  bool told_in_use_ = true;
  std::uint64_t told_faults_ = 0;
};

}  // namespace colophon::node
