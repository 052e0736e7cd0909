// SPDX-License-Identifier: Apache-2.0
//
// The state behind the runtime's calls: memory, streams, events, graphs, faults and findings. The
// calls themselves, with what they check of their arguments, are in cuda_runtime.cc and
// cuda_streams.cc.
//
// Everything is protected by the queue's mutex (all but the findings' and statistics' functions are
// called with it), but findings and statistics, which have one of their own, and device memory:
// what runs uses it without. So allocations change only when nothing runs (WorkQueue::settle).
#pragma once

#include <driver_types.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "tests/gpu_emulator/cuda_runtime.h"
#include "tests/gpu_emulator/device_memory.h"
#include "tests/gpu_emulator/fault_plan.h"
#include "tests/gpu_emulator/kernel_table.h"
#include "tests/gpu_emulator/ptx_executor.h"
#include "tests/gpu_emulator/shared_card.h"
#include "tests/gpu_emulator/work_queue.h"

namespace colophon::gpu_emulator {

struct GraphNode {
  Work work;
  std::vector<std::size_t> after;  // nodes
};
using GraphNodes = std::vector<GraphNode>;

struct Stream;

// Work queued on the origin, and on streams that came to wait for it, becomes nodes.
struct Capture {
  GraphNodes nodes;
  const Stream* origin = nullptr;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  std::thread::id thread;
  bool invalid = false;
};

struct Stream {
  bool legacy = false;
  bool blocking = true;  // waits for the legacy stream, and that for it
  int priority = 0;
  std::uint64_t turn = 0;  // the queue's priority
  OpPtr tail;
  std::shared_ptr<Capture> capture;
  std::vector<std::size_t> capture_tail;  // nodes
};

struct Event {
  bool timed = true;
  OpPtr op;                          // null: never recorded
  std::shared_ptr<Capture> capture;  // recorded in one
  std::vector<std::size_t> capture_tail;
};

struct Graph {
  GraphNodes nodes;
};
struct GraphExec {
  GraphNodes nodes;
  OpPtr tail;  // of its last launch
};

template <class Handle, class Object>
class Handles {
 public:
  Handle add(Handle handle, std::shared_ptr<Object> object) {
    objects_[handle] = std::move(object);
    return handle;
  }
  [[nodiscard]] std::shared_ptr<Object> find(Handle handle) const {
    const auto found = objects_.find(handle);
    return found == objects_.end() ? nullptr : found->second;
  }
  bool remove(Handle handle) { return objects_.erase(handle) != 0; }
  void clear() { objects_.clear(); }
  [[nodiscard]] std::size_t size() const { return objects_.size(); }

 private:
  std::unordered_map<Handle, std::shared_ptr<Object>> objects_;
};

class Context {
 public:
  static Context& get();  // made at the first call, never destroyed

  [[nodiscard]] Lock lock() { return queue_.lock(); }

  // --- calls
  // What a call returns before it has begun; cudaSuccess: it may go on.
  [[nodiscard]] cudaError_t enter(Lock& lock, const CallName& call);
  // The same for those that cannot be made to fail by a plan.
  [[nodiscard]] cudaError_t enter_uncounted() const;
  void step(Lock& lock, bool poll) { queue_.step(lock, poll); }
  void reset(Lock& lock);  // cudaDeviceReset
  [[nodiscard]] cudaError_t broken() const { return broken_; }
  [[nodiscard]] std::uint64_t generation() const { return generation_; }
  [[nodiscard]] const Settings& settings() const { return settings_; }

  // --- memory
  struct Allocated {
    std::uint64_t bytes = 0;
    std::uint64_t charged = 0;
    bool stream_ordered = false;
    bool usable = true;    // false: kAllocate has not run
    bool freeing = false;  // cudaFreeAsync was called
  };
  struct Pinned {
    std::uint64_t bytes = 0;
    std::unique_ptr<std::uint8_t[]> owned;  // null: registered
  };
  [[nodiscard]] cudaError_t allocate(Lock& lock, std::uint64_t bytes, bool stream_ordered,
                                     DevicePointer& out);
  [[nodiscard]] cudaError_t free(Lock& lock, DevicePointer base);
  void discard(DevicePointer base);  // while nothing runs
  [[nodiscard]] cudaError_t allocate_pinned(std::uint64_t bytes, void** out);
  [[nodiscard]] cudaError_t register_pinned(void* base, std::uint64_t bytes);
  // Allocated (`owned`) or registered memory.
  [[nodiscard]] cudaError_t release_pinned(Lock& lock, void* base, bool owned);
  [[nodiscard]] bool is_pinned(const void* address, std::uint64_t bytes) const;
  [[nodiscard]] Allocated* allocated(DevicePointer base);
  [[nodiscard]] std::uint64_t used_bytes() const;  // by this process
  [[nodiscard]] std::uint64_t free_bytes() const;
  // Not wholly inside live device memory: a finding and false.
  [[nodiscard]] bool check_range(std::string_view call, DevicePointer base, std::uint64_t bytes);

  // --- kernels and symbols
  [[nodiscard]] KernelTable& table() { return table_; }
  struct Found {
    Executor* executor = nullptr;
    const Function* entry = nullptr;
    std::shared_ptr<const Module> module;
  };
  [[nodiscard]] cudaError_t find(Lock& lock, const Kernel& kernel, Found& out);
  [[nodiscard]] cudaError_t find(Lock& lock, const Symbol& symbol, DeviceVariable& out);

  // --- streams
  // Null, with a finding: no such stream.
  [[nodiscard]] std::shared_ptr<Stream> stream(std::string_view call, cudaStream_t handle);
  [[nodiscard]] cudaError_t create_stream(cudaStream_t* out, unsigned flags, int priority);
  [[nodiscard]] cudaError_t destroy_stream(cudaStream_t handle);
  // Queues work, or captures it.
  [[nodiscard]] cudaError_t submit(Stream& stream, Work work, OpPtr* out = nullptr);
  [[nodiscard]] cudaError_t wait(Lock& lock, const OpPtr& op);
  [[nodiscard]] cudaError_t wait_for_all(Lock& lock);
  // A call that must not be made while a stream is captured: cudaSuccess if none is.
  [[nodiscard]] cudaError_t refuse_in_capture(const Stream* stream = nullptr);

  // --- events
  [[nodiscard]] std::shared_ptr<Event> event(std::string_view call, cudaEvent_t handle);
  [[nodiscard]] cudaError_t record(Event& event, Stream& stream);
  [[nodiscard]] cudaError_t wait_for_event(Stream& stream, const Event& event);

  // --- graphs
  [[nodiscard]] cudaError_t begin_capture(const std::shared_ptr<Stream>& stream,
                                          cudaStreamCaptureMode mode);
  [[nodiscard]] cudaError_t end_capture(Stream& stream, cudaGraph_t* out);
  [[nodiscard]] cudaError_t launch(GraphExec& exec, Stream& stream);

  // --- findings and statistics
  void find_fault(Finding::Kind kind, std::string text);
  void misuse(std::string_view call, const std::string& text) {
    find_fault(Finding::Kind::kMisuse, std::string(call) + ": " + text);
  }
  [[nodiscard]] std::vector<Finding> findings() const;
  [[nodiscard]] std::vector<KernelStatistics> statistics() const;
  void clear_statistics();

  // --- control
  void power_cycle(Lock& lock, const Settings& settings);
  void remove_module(Lock& lock, ModuleId module);
  [[nodiscard]] FaultPlan& plan() { return plan_; }
  [[nodiscard]] Holdings holdings() const;
  bool unload();  // the process ends; false: it is another one, forked
  void forked() { forked_ = true; }

  Handles<cudaEvent_t, Event> events;
  Handles<cudaGraph_t, Graph> graphs;
  Handles<cudaGraphExec_t, GraphExec> graph_execs;

  // Handles are numbers that are never given out twice, so that one that was destroyed is known.
  template <class Handle>
  [[nodiscard]] Handle new_handle() {
    constexpr std::uintptr_t kTag = 0x00c0'0000'0000'0000;  // no host's, no device's address
    return reinterpret_cast<Handle>(kTag + ++last_handle_ * 16);
  }

 private:
  Context();

  struct Loaded {
    std::shared_ptr<const Module> module;
    std::unique_ptr<Executor> executor;
    std::uint64_t charged = 0;
  };

  // --- the queue's
  [[nodiscard]] WorkQueue::Decision decide(const Op& op);
  [[nodiscard]] cudaError_t run(Op& op);
  [[nodiscard]] cudaError_t run_kernel(const Work& work);
  [[nodiscard]] cudaError_t run_copy(Op& op);
  [[nodiscard]] OpPtr enqueue(Work work, std::uint64_t priority, const std::vector<OpPtr>& after);
  void watch(Op& op) const;
  void check_watched(const Op& op);
  [[nodiscard]] bool check_usable(const Work& work);
  // A finding if queued work uses what is given back; then waits for that work.
  template <class Uses>
  void wait_for_users(Lock& lock, std::string_view call, const Uses& uses);

  // Puts a planned fault of a call or of work into effect.
  void meet(const FaultPlan::Met& met);
  void clear(bool all);
  void open_card();
  // This process's turn on a card that is shared; none is needed on one's own.
  [[nodiscard]] std::unique_lock<SharedCard> turn() {
    return card_ ? std::unique_lock(*card_) : std::unique_lock<SharedCard>();
  }
  void tell_used() {
    if (card_) card_->set_used(used_bytes());
  }
  [[nodiscard]] std::vector<OpPtr> order_of(const Stream& stream) const;
  // True if there is one: it is captured no more.
  [[nodiscard]] bool capturing_blocking_stream();
  [[nodiscard]] bool holds_capture(const Capture& capture) const;
  [[nodiscard]] Result<const Loaded*> load(Lock& lock, const FatBinary& binary);
  [[nodiscard]] std::string describe(const Work& work) const;

  Settings settings_;
  std::unique_ptr<SharedCard> card_;
  FaultPlan plan_;
  KernelTable table_;
  std::uint64_t generation_ = 1;  // of power_cycle()
  std::uint64_t last_handle_ = 0;
  cudaError_t broken_ = cudaSuccess;
  cudaError_t lost_ = cudaSuccess;
  std::uint64_t lost_calls_ = 0;
  std::atomic<bool> unloaded_ = false;
  std::atomic<bool> forked_ = false;

  DeviceMemory memory_{std::uint64_t{1} << 52};  // the limit is ours, see free_bytes()
  std::map<DevicePointer, Allocated> allocations_;
  std::map<std::uintptr_t, Pinned> pinned_;
  std::map<ModuleId, Loaded> loaded_;
  std::unordered_map<const FatBinary*, ModuleId> module_of_;  // while last_change() is this
  ModuleId module_of_change_ = 0;

  std::unordered_map<cudaStream_t, std::shared_ptr<Stream>> streams_;
  std::shared_ptr<Stream> legacy_ = std::make_shared<Stream>();
  std::map<std::thread::id, std::shared_ptr<Stream>> per_thread_;
  std::vector<OpPtr> orphans_;  // tails of destroyed blocking streams
  std::vector<std::shared_ptr<Capture>> captures_;

  mutable std::mutex findings_mutex_;
  std::vector<Finding> findings_;
  struct Ran {
    std::shared_ptr<const Module> module;
    std::unique_ptr<Coverage> coverage;
    KernelStatistics sums;
  };
  std::map<std::pair<std::string, const Module*>, Ran> ran_;
  std::uint64_t launches_ = 0;  // for their seeds

  WorkQueue queue_;  // last: its thread uses all the others
};

// True on the queue's thread while a host function runs.
[[nodiscard]] bool in_host_function();

}  // namespace colophon::gpu_emulator
