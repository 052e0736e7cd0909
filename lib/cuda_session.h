// SPDX-License-Identifier: Apache-2.0
//
// An NVIDIA GPU in use: streams, memory and launches of kernels/p256_cuda.h. What a session holds
// on the device is good until the first error; then it is closed, and a new one opened later.
//
// A piece of work that has not come back within CudaOptions::patience counts as a failure like any
// other. What a driver does within a call of its own nobody can bound: it may wait for a device
// that hangs.
#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <tuple>
#include <unordered_set>
#include <utility>
#include <vector>

#include "colophon/backend.hpp"
#include "colophon/error.hpp"
#include "cuda_launch.h"
#include "kernels/p256_cuda.h"
#include "p256_tables.h"

namespace colophon {

struct CudaOptions {
  int device = 0;
  // Signatures a piece, by keys with tables and without: enough to fill a large device together
  // with the piece that is copied meanwhile.
  std::size_t with_table_max = 65'536;
  std::size_t without_max = 16'384;
  std::size_t slots_max = 8;  // pieces on the device at once, of all threads
  // Fewer hashes are done sooner by the CPU than copied to the device and back.
  std::size_t hashes_min = 2'048;
  std::chrono::milliseconds patience{20'000};
  // What opening may spend on finding out up to which size a batch is sooner done by several lanes
  // a signature. Where that is not enough, it is computed from what the device holds at once.
  std::chrono::milliseconds calibration{100};
  // From a failure to the next try, doubled while it fails again.
  std::chrono::milliseconds retry_first{1'000};
  std::chrono::milliseconds retry_max{300'000};
};

// A piece: `count` signatures by `key_count` keys, which the slot's signatures() and keys() hold.
struct P256CudaJob {
  std::uint32_t count = 0;
  std::uint32_t key_count = 0;
  unsigned key_bits = 0;  // of the keys' tables; 0: they have none
  const void* generator = nullptr;
  unsigned generator_bits = 0;
  std::uint32_t lanes = 0;       // a signature; 0: one, in the form for throughput
  bool invert_together = false;  // scalars of several signatures
};

// What pieces of `count` take with several lanes a signature and with one, in that order; nothing:
// there is no time left to find out.
using MeasureShapes =
    std::function<std::optional<std::array<std::chrono::nanoseconds, 2>>(std::uint32_t count)>;
// The largest power of two, at most `max`, up to which several lanes are no slower, but for single
// sizes whose measuring was disturbed; 0: at none. `max` if there was no time left.
[[nodiscard]] std::uint32_t find_split_max(std::uint32_t max, const MeasureShapes& measure);

class CudaSession;

// A stream with memory for one piece, pinned on the host's side and on the device's. Of one thread
// at a time.
class CudaSlot {
 public:
  CudaSlot(const CudaSlot&) = delete;
  CudaSlot& operator=(const CudaSlot&) = delete;
  ~CudaSlot() = default;  // what it holds on the device is the session's to free

  // Room for the job's, on the host; not to be touched from start() to finish().
  [[nodiscard]] kernels::P256CudaSignature* signatures() const;
  [[nodiscard]] kernels::P256CudaKey* keys(std::uint32_t count) const;
  // Where the table of key `index` is built, for keys that have none.
  [[nodiscard]] std::uint64_t table_of(std::size_t index) const;

  // Error kUnavailable: the device failed, and with it the session.
  [[nodiscard]] Result<void> start(const P256CudaJob& job);
  // The job's verdicts, 1 or 0 each, when they are there; valid until the next start(). Likewise.
  [[nodiscard]] Result<const std::uint8_t*> finish();

  // Work of another kind: work() has room on the host for CudaSession::work_bytes_max(). Its first
  // `in_bytes` are copied to the device, `launch` starts kernels on them there, and `out_bytes`
  // from `out_at` on come back: finish_work()'s result, valid until the next start.
  using Launch = std::function<CudaLaunched(std::uint8_t* device, cudaStream_t stream)>;
  [[nodiscard]] std::uint8_t* work() const { return host_; }
  [[nodiscard]] Result<void> start_work(std::size_t in_bytes, std::size_t out_at,
                                        std::size_t out_bytes, const Launch& launch);
  [[nodiscard]] Result<const std::uint8_t*> finish_work();

 private:
  friend class CudaSession;
  explicit CudaSlot(CudaSession& session) : session_(session) {}
  [[nodiscard]] std::uint8_t* verdicts() const;
  [[nodiscard]] Result<void> allocate();
  [[nodiscard]] Result<void> enqueue(const P256CudaJob& job);
  [[nodiscard]] Result<void> enqueue_tables(const P256CudaJob& job,
                                            const kernels::P256CudaKey* keys);
  [[nodiscard]] Result<cudaGraphExec_t> graph_of(const P256CudaJob& job);

  // Count, width of the keys' tables, lanes: what a captured graph is good for, with one table of
  // the generator.
  using GraphKey = std::tuple<std::uint32_t, unsigned, std::uint32_t>;

  CudaSession& session_;
  cudaStream_t stream_ = nullptr;
  std::uint8_t* host_ = nullptr;    // the input, then the verdicts
  std::uint8_t* device_ = nullptr;  // the input, then all else
  std::uint32_t started_ = 0;       // signatures
  std::pair<const void*, unsigned> graphs_generator_;
  std::map<GraphKey, cudaGraphExec_t> graphs_;
};

class CudaSession {
 public:
  explicit CudaSession(const CudaOptions& options) : options_(options) {}
  // Error kUnsupported: this machine has no such device, or none that would do. Error kUnavailable:
  // it is there, but in use by others, out of memory or broken. To be closed in any case.
  [[nodiscard]] Result<void> open();
  // Devices of this machine; 0 where there is no driver.
  [[nodiscard]] static int device_count();

  CudaSession(const CudaSession&) = delete;
  CudaSession& operator=(const CudaSession&) = delete;
  // Close it first: what the device may still write to must stay.
  ~CudaSession() = default;

  // Gives everything back, the whole device reset where an error sticks to it. False: it is still
  // at work; ask again later. Nobody may be inside.
  [[nodiscard]] bool close();

  [[nodiscard]] const DeviceInfo& device() const { return device_; }
  // What tables may take, beside all slots.
  [[nodiscard]] std::size_t table_memory_max() const { return table_memory_max_; }

  [[nodiscard]] static std::size_t table_bytes(unsigned bits);
  static constexpr std::size_t kTablesAtOnce = 1'024;
  // Tables in the device's memory, at most kTablesAtOnce. Null stays: no memory left there. Error
  // kUnavailable: the device failed.
  [[nodiscard]] Result<void> make_tables(std::span<P256Build> builds, unsigned bits);

  // A slot that is free, or null: `wait` for one, or there is none just now. Null after a failure.
  [[nodiscard]] CudaSlot* take_slot(bool wait);
  void give_back(CudaSlot* slot);

  // Room for input, output and scratch of a slot's work of another kind than signatures.
  [[nodiscard]] std::size_t work_bytes_max() const;

  // In which form so many signatures are sooner done: sets the job's lanes (with its count rounded
  // up, and for keys with tables only) and invert_together.
  void choose_shape(P256CudaJob& job) const;

  // The first error, after which nothing here is to be used. Returns it.
  [[nodiscard]] Result<void> fail(Error error);
  [[nodiscard]] bool has_failed() const { return failed_; }
  [[nodiscard]] Error failure() const;

 private:
  friend class CudaSlot;
  // Tables may outlive the session: they are freed through what outlives both. After a failure
  // the device is left alone, and close() frees those there are.
  struct TableHome {
    std::mutex mutex;
    std::unordered_set<void*> tables;
    bool has_failed = false;
    int device = 0;
    cudaStream_t stream = nullptr;
  };

  [[nodiscard]] Result<void> inspect();
  [[nodiscard]] Result<void> prepare();
  [[nodiscard]] Result<void> try_out();
  struct KnownSignature;
  [[nodiscard]] Result<void> check(const KnownSignature& known);
  [[nodiscard]] Result<void> calibrate(const KnownSignature& known);
  [[nodiscard]] std::uint32_t lanes_of(std::uint32_t count) const;
  [[nodiscard]] Result<CudaSlot*> new_slot();
  [[nodiscard]] Result<std::shared_ptr<void>> allocate_table(unsigned bits);
  [[nodiscard]] std::size_t slot_device_bytes() const;
  [[nodiscard]] std::size_t slot_input_bytes() const;  // on the host
  // The result of a call of the runtime. An error fails the session.
  [[nodiscard]] Result<void> call(cudaError_t result, const char* what);
  [[nodiscard]] Result<void> wait_for(cudaStream_t stream);

  const CudaOptions options_;
  DeviceInfo device_;
  std::size_t table_memory_max_ = 0;
  std::uint32_t multiprocessors_ = 0;
  std::uint32_t resident_ = 0;   // threads of p256_cuda_verify_split that the device holds at once
  std::uint32_t split_max_ = 0;  // signatures of a piece with several lanes each

  std::shared_ptr<TableHome> home_;
  std::mutex build_mutex_;
  kernels::P256CudaKey* build_keys_ = nullptr;  // pinned
  std::uint8_t* build_memory_ = nullptr;        // the keys and their steps, on the device

  std::mutex slots_mutex_;
  std::condition_variable slot_free_;
  std::vector<std::unique_ptr<CudaSlot>> slots_;
  std::vector<CudaSlot*> free_slots_;
  std::size_t slots_making_ = 0;
  bool slots_full_ = false;  // no memory for more

  std::atomic<bool> failed_ = false;
  mutable std::mutex failure_mutex_;
  std::optional<Error> failure_;
};

}  // namespace colophon
