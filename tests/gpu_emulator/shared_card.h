// SPDX-License-Identifier: Apache-2.0
//
// What processes on one emulated card have of each other: the memory that the others take, and one
// turn at a time. A file that each maps; what a process that has died took is free again.
// Thread-safe but for the turns.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "colophon/error.hpp"

namespace colophon::gpu_emulator {

class SharedCard {
 public:
  static constexpr std::size_t kProcessesMax = 64;

  // The file is made if it is not there. Errors: kUnavailable (the file), kLimitExceeded
  // (processes).
  [[nodiscard]] static Result<std::unique_ptr<SharedCard>> open(const std::string& path);
  SharedCard(const SharedCard&) = delete;
  SharedCard& operator=(const SharedCard&) = delete;
  ~SharedCard();

  // Of memory, by this process and by all others.
  void set_used(std::uint64_t bytes);
  [[nodiscard]] std::uint64_t used_by_others() const;

  // This process's turn (for std::unique_lock): one thread's at a time.
  void lock();
  void unlock();

 private:
  struct Process {
    std::atomic<std::int32_t> id;  // 0: none
    std::atomic<std::uint64_t> used;
  };
  static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

  SharedCard(int file, Process* processes) : file_(file), processes_(processes) {}
  [[nodiscard]] bool take_place();
  [[nodiscard]] static bool is_alive(std::int32_t id);

  const int file_;
  Process* const processes_;
  Process* own_ = nullptr;
};

}  // namespace colophon::gpu_emulator
