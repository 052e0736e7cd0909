// SPDX-License-Identifier: Apache-2.0
#include "tests/gpu_emulator/work_queue.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace colophon::gpu_emulator {
namespace {

constexpr std::uint64_t kAllOfIt = UINT64_MAX;  // credit
constexpr std::chrono::milliseconds kHostFunctionPatience(1);

bool overlap(std::uint64_t a, std::uint64_t a_bytes, std::uint64_t b, std::uint64_t b_bytes) {
  return a < b + b_bytes && b < a + a_bytes;
}

std::uint64_t address_of(const void* host) { return reinterpret_cast<std::uintptr_t>(host); }

}  // namespace

bool Work::uses(DevicePointer base, std::uint64_t size) const {
  // Pointers stand at multiples of eight, be they arguments or members of one.
  for (std::size_t at = 0; at + sizeof(DevicePointer) <= arguments.size();
       at += sizeof(DevicePointer)) {
    DevicePointer argument = 0;
    std::memcpy(&argument, &arguments[at], sizeof(argument));
    if (argument >= base && argument - base < size) return true;
  }
  return (to != 0 && overlap(to, std::max<std::uint64_t>(bytes, 1), base, size)) ||
         (from != 0 && overlap(from, std::max<std::uint64_t>(bytes, 1), base, size));
}

bool Work::uses_host(const void* base, std::uint64_t size) const {
  const void* const own = host();
  return own != nullptr && overlap(address_of(own), bytes, address_of(base), size);
}

void WorkQueue::start(Lock& lock, const Settings& settings) {
  drop(lock);
  pace_ = settings.pace;
  idle_ = std::chrono::microseconds(settings.idle_us);
  hang_ = std::chrono::milliseconds(settings.hang_ms);
  seeded_ = Seeded(settings.seed);
  constexpr std::uint64_t kRedraw[] = {1, 4, 16};
  redraw_one_in_ = kRedraw[seeded_.below(3)];
  eagerness_ = static_cast<unsigned>(seeded_.below(4));
  constexpr std::uint64_t kPauses[] = {1, 2, 8};
  constexpr std::uint64_t kPauseUs[] = {50, 300, 2000};
  pause_one_in_ = kPauses[seeded_.below(3)];
  pause_us_max_ = kPauseUs[seeded_.below(3)];
}

void WorkQueue::drop(Lock& lock) {
  ++settling_;
  done_.wait(lock, [&] { return running_ == nullptr; });
  --settling_;
  drop_pending();
}

void WorkQueue::drop_pending() {
  for (const OpPtr& op : pending_) {
    op->done = true;
    op->dropped = true;
    op->next.clear();
  }
  pending_.clear();
  ready_.clear();
  credit_ = 0;
  hung_ = 0;
  done_.notify_all();
}

void WorkQueue::add(const OpPtr& op, const std::vector<OpPtr>& after) {
  for (const OpPtr& earlier : after) {
    if (!earlier || earlier->done) continue;
    earlier->next.push_back(op);
    ++op->unmet;
  }
  pending_.push_back(op);
  if (op->unmet == 0) ready_.push_back(op);
  if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
  wake_.notify_one();
}

cudaError_t WorkQueue::wait(Lock& lock, const OpPtr& op) {
  if (!op) return cudaSuccess;
  waited_.push_back(op);
  wake_.notify_one();
  done_.wait(lock, [&] { return op->done; });
  waited_.erase(std::ranges::find(waited_, op));
  return op->dropped ? cudaErrorContextIsDestroyed : cudaSuccess;
}

void WorkQueue::step(Lock& lock, bool poll) {
  if (pace_ == Pace::kFree) return;
  std::uint64_t grant = poll ? 1 : 0;
  if (eagerness_ == 1 && seeded_.one_in(4)) grant = 1;
  if (eagerness_ == 2) grant += seeded_.below(4);
  if (eagerness_ == 3) grant = kAllOfIt;
  if (grant == 0) return;
  credit_ = std::max(credit_, grant);
  wake_.notify_one();
  while (credit_ != 0 && (running_ || !ready_.empty())) {
    if (!runs_host_function()) {
      done_.wait(lock);
      continue;
    }
    // Not for ever: it may need a lock that this thread holds.
    const OpPtr function = running_;
    if (!done_.wait_for(lock, kHostFunctionPatience, [&] { return running_ != function; })) break;
  }
  credit_ = 0;
}

void WorkQueue::settle(Lock& lock) {
  ++settling_;
  done_.wait(lock, [&] { return !running_ || runs_host_function(); });
  --settling_;
  wake_.notify_one();
}

void WorkQueue::stop() {
  {
    const Lock guard(mutex_);
    stopping_ = true;
    drop_pending();
    wake_.notify_one();
  }
  if (!thread_.joinable()) return;
  if (thread_.get_id() == std::this_thread::get_id()) {
    thread_.detach();
  } else {
    thread_.join();
  }
}

// --- the thread ----------------------------------------------------------------------------------

bool WorkQueue::may_run() const {
  if (ready_.empty() || settling_ != 0) return false;
  if (pace_ == Pace::kFree || credit_ != 0) return true;
  if (std::ranges::any_of(waited_, [](const OpPtr& op) { return !op->done; })) return true;
  return idle_.count() != 0 && Clock::now() - last_call_ >= idle_;
}

// Until there is something to look at.
void WorkQueue::sleep(Lock& lock) {
  Clock::time_point until = Clock::time_point::max();
  if (hung_ != 0) until = hung_since_ + hang_;
  if (!ready_.empty() && idle_.count() != 0) until = std::min(until, last_call_ + idle_);
  if (until == Clock::time_point::max()) {
    wake_.wait(lock);
  } else {
    wake_.wait_until(lock, until);
  }
}

OpPtr WorkQueue::take() {
  const auto first = std::ranges::max_element(ready_, {}, &Op::priority);
  OpPtr op = std::move(*first);
  ready_.erase(first);
  return op;
}

void WorkQueue::finish(const OpPtr& op) {
  op->done = true;
  op->ran = Clock::now();
  pending_.erase(std::ranges::find(pending_, op));
  for (const OpPtr& later : op->next) {
    if (--later->unmet == 0) ready_.push_back(later);
  }
  op->next.clear();
  if (credit_ != 0 && credit_ != kAllOfIt) --credit_;
}

void WorkQueue::work() {
  Lock lock(mutex_);
  while (!stopping_) {
    if (hung_ != 0 && Clock::now() - hung_since_ >= hang_) {
      drop_pending();
      failed_(cudaErrorLaunchTimeout);
      continue;
    }
    if (!may_run()) {
      done_.notify_all();
      sleep(lock);
      continue;
    }
    if (pace_ == Pace::kFree && seeded_.one_in(pause_one_in_)) {
      const auto until = Clock::now() + std::chrono::microseconds(seeded_.below(pause_us_max_));
      wake_.wait_until(lock, until, [&] { return stopping_; });
      if (stopping_ || !may_run()) continue;
    }
    const OpPtr op = take();
    const Decision decision = decide_(*op);
    if (decision.hang) {
      if (hung_++ == 0) hung_since_ = Clock::now();
      continue;
    }
    running_ = op;
    cudaError_t error = decision.error;
    if (error == cudaSuccess) {
      if (runs_host_function()) done_.notify_all();  // who waits for that has little patience
      lock.unlock();
      error = run_(*op);
      lock.lock();
    }
    running_ = nullptr;
    if (error == cudaSuccess) {
      if (!op->done) finish(op);
    } else if (!op->done) {
      drop_pending();
      failed_(error);
    }
    done_.notify_all();
  }
}

}  // namespace colophon::gpu_emulator
