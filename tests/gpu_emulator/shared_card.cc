// SPDX-License-Identifier: Apache-2.0
#include "tests/gpu_emulator/shared_card.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <mutex>

namespace colophon::gpu_emulator {

Result<std::unique_ptr<SharedCard>> SharedCard::open(const std::string& path) {
  constexpr std::size_t kBytes = kProcessesMax * sizeof(Process);
  const auto failed = [&path](int file) {
    const int reason = errno;
    if (file >= 0) ::close(file);
    return make_error(ErrorCode::kUnavailable, "card " + path + ": " + std::strerror(reason));
  };
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0 || ftruncate(file, kBytes) != 0) return failed(file);
  void* const mapped = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (mapped == MAP_FAILED) return failed(file);
  // Zeros, as the file has at first, are processes that are not there.
  std::unique_ptr<SharedCard> card(new SharedCard(file, static_cast<Process*>(mapped)));
  if (!card->take_place()) {
    return make_error(ErrorCode::kLimitExceeded, "card " + path + ": " +
                                                     std::to_string(kProcessesMax) +
                                                     " processes share it, which is the limit");
  }
  return card;
}

SharedCard::~SharedCard() {
  if (own_ != nullptr) {
    own_->used = 0;
    own_->id = 0;
  }
  munmap(processes_, kProcessesMax * sizeof(Process));
  ::close(file_);
}

bool SharedCard::take_place() {
  const std::scoped_lock turn(*this);
  for (std::size_t i = 0; i < kProcessesMax && own_ == nullptr; ++i) {
    Process& process = processes_[i];
    if (is_alive(process.id)) continue;
    process.used = 0;
    process.id = getpid();
    own_ = &process;
  }
  return own_ != nullptr;
}

bool SharedCard::is_alive(std::int32_t id) {
  return id != 0 && (kill(id, 0) == 0 || errno != ESRCH);
}

void SharedCard::set_used(std::uint64_t bytes) { own_->used = bytes; }

std::uint64_t SharedCard::used_by_others() const {
  std::uint64_t used = 0;
  for (std::size_t i = 0; i < kProcessesMax; ++i) {
    const Process& process = processes_[i];
    if (&process != own_ && process.used != 0 && is_alive(process.id)) used += process.used;
  }
  return used;
}

void SharedCard::lock() {
  while (flock(file_, LOCK_EX) != 0 && errno == EINTR) {
  }
}

void SharedCard::unlock() { flock(file_, LOCK_UN); }

}  // namespace colophon::gpu_emulator
