// SPDX-License-Identifier: Apache-2.0
//
// The device's work: what waits for what, when it runs, and who waits for it.
//
// An Op runs on the queue's thread when all it was queued after is done; where several could, the
// seed chooses. Each seed has a temper: how much of the work runs at once, and how long one stream
// is preferred (streams have priorities that are drawn now and again, so that one can be far behind
// another: Burckhardt et al., "A Randomized Scheduler with Probabilistic Guarantees of Finding
// Bugs", 2010).
//
// One mutex, the queue's, protects the queue and all of its owner but what runs.
#pragma once

#include <driver_types.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/gpu_emulator/cuda_runtime.h"
#include "tests/gpu_emulator/device_memory.h"
#include "tests/gpu_emulator/ptx_executor.h"
#include "tests/gpu_emulator/seeded.h"

namespace colophon::gpu_emulator {

struct Work {
  enum class Kind : std::uint8_t {
    kMark,  // an event, or the end of a graph: nothing is done
    kKernel,
    kCopyToDevice,
    kCopyToHost,
    kCopyOnDevice,
    kSet,
    kHostFunction,
    kAllocate,  // cudaMallocAsync: from here on the memory may be used
    kFree,      // cudaFreeAsync
  };
  Work(Kind what, std::string_view queued_by) : kind(what), call(queued_by) {}

  Kind kind;
  std::string_view call;  // that queued it

  // kKernel
  Executor* executor = nullptr;
  const Function* entry = nullptr;  // of the executor's module
  std::shared_ptr<const Module> module;
  LaunchShape shape;
  std::vector<std::uint8_t> arguments;  // packed

  // Copies, kSet, kAllocate and kFree.
  DevicePointer to = 0;    // not kCopyToHost
  DevicePointer from = 0;  // kCopyToHost, kCopyOnDevice
  void* host_to = nullptr;
  const void* host_from = nullptr;
  std::uint64_t bytes = 0;
  std::uint8_t value = 0;
  std::shared_ptr<std::vector<std::uint8_t>> staged;  // kCopyToDevice of pageable memory

  void (*function)(void*) = nullptr;
  void* data = nullptr;

  // Bytes of host memory it reads or writes; null: none.
  [[nodiscard]] const void* host() const {
    if (kind == Kind::kCopyToHost) return host_to;
    return staged ? nullptr : host_from;
  }
  // Whether any of `size` bytes from `base` on is in reach of it, as far as is known.
  [[nodiscard]] bool uses(DevicePointer base, std::uint64_t size) const;
  [[nodiscard]] bool uses_host(const void* base, std::uint64_t size) const;
};

struct Op {
  explicit Op(Work what) : work(std::move(what)) {}

  // What the host has promised to leave alone until it has run.
  enum class Watch : std::uint8_t { kNone, kSource, kTarget };
  Work work;
  Watch watch = Watch::kNone;
  std::uint64_t sum = 0;  // of the bytes watched, when queued

  std::uint64_t priority = 0;
  std::uint32_t unmet = 0;  // ops it waits for
  std::vector<std::shared_ptr<Op>> next;
  bool done = false;
  bool dropped = false;               // done, but never run
  bool behind_host_function = false;  // ordered behind one that had not run
  std::chrono::steady_clock::time_point ran;
};
using OpPtr = std::shared_ptr<Op>;
inline bool is_done(const OpPtr& op) { return !op || op->done; }
using Lock = std::unique_lock<std::mutex>;

class WorkQueue {
 public:
  struct Decision {
    cudaError_t error = cudaSuccess;  // not to be run: this instead
    bool hang = false;
  };
  // `decide` is called with the lock, right before `run` without it. `failed`, with the lock, when
  // work has failed and all that was queued has been dropped.
  WorkQueue(std::function<Decision(const Op&)> decide, std::function<cudaError_t(Op&)> run,
            std::function<void(cudaError_t)> failed)
      : decide_(std::move(decide)), run_(std::move(run)), failed_(std::move(failed)) {}
  ~WorkQueue() { stop(); }

  [[nodiscard]] Lock lock() { return Lock(mutex_); }

  // All of the following with the lock.

  // Drops everything and begins anew.
  void start(Lock& lock, const Settings& settings);
  // What is running ends, everything else is dropped.
  void drop(Lock& lock);
  void add(const OpPtr& op, const std::vector<OpPtr>& after);
  [[nodiscard]] const std::vector<OpPtr>& pending() const { return pending_; }
  // cudaSuccess once it has run; else it never will. Nothing else can be assumed unchanged.
  [[nodiscard]] cudaError_t wait(Lock& lock, const OpPtr& op);
  // Lets as much run as the seed says, one at the least if `poll`.
  void step(Lock& lock, bool poll);
  // Until the lock is given up, nothing runs but perhaps a host function.
  void settle(Lock& lock);
  // No sooner will the queue think itself idle.
  void touch() { last_call_ = std::chrono::steady_clock::now(); }
  [[nodiscard]] std::uint64_t random() { return seeded_.next(); }
  // The priority of a stream for its next op.
  [[nodiscard]] std::uint64_t redrawn(std::uint64_t priority) {
    return seeded_.one_in(redraw_one_in_) ? seeded_.next() : priority;
  }

  // Without the lock. The thread ends; nothing runs any more.
  void stop();

 private:
  using Clock = std::chrono::steady_clock;
  void work();  // the thread's
  [[nodiscard]] bool may_run() const;
  [[nodiscard]] bool runs_host_function() const {
    return running_ && running_->work.kind == Work::Kind::kHostFunction;
  }
  void sleep(Lock& lock);
  [[nodiscard]] OpPtr take();
  void finish(const OpPtr& op);
  void drop_pending();

  std::function<Decision(const Op&)> decide_;
  std::function<cudaError_t(Op&)> run_;
  std::function<void(cudaError_t)> failed_;

  std::mutex mutex_;
  std::condition_variable wake_;  // the thread
  std::condition_variable done_;  // who waits for it
  std::thread thread_;
  bool stopping_ = false;

  Pace pace_ = Pace::kStepped;
  std::chrono::microseconds idle_{0};
  std::chrono::milliseconds hang_{0};
  Seeded seeded_{0};
  std::uint64_t redraw_one_in_ = 1;
  unsigned eagerness_ = 0;          // Pace::kStepped
  std::uint64_t pause_one_in_ = 1;  // Pace::kFree
  std::uint64_t pause_us_max_ = 1;

  std::vector<OpPtr> pending_;  // all that is not done
  std::vector<OpPtr> ready_;    // of them, what could run now
  std::vector<OpPtr> waited_;   // what calls wait for
  OpPtr running_;
  std::uint64_t credit_ = 0;  // how many may run
  unsigned settling_ = 0;     // calls that want nothing to run
  unsigned hung_ = 0;
  Clock::time_point hung_since_;
  Clock::time_point last_call_;
};

}  // namespace colophon::gpu_emulator
