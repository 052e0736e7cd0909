// SPDX-License-Identifier: Apache-2.0
#include "cuda_session.h"

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstring>
#include <new>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>

#include "cuda_launch.h"
#include "hex_constant.h"
#include "kernels/ecdsa.h"
#include "round_up.h"

namespace colophon {
namespace {

using kernels::P256CudaBatch;
using kernels::P256CudaKey;
using kernels::P256CudaSignature;
using kernels::P256CudaTables;

constexpr int kComputeMajorMin = 8;  // sm_80: the oldest that the kernels are compiled for
constexpr std::size_t kBuildKeysBytes =
    round_up(CudaSession::kTablesAtOnce * sizeof(P256CudaKey), kCudaRowBytes);
constexpr std::size_t kBuildStepsBytes =
    CudaSession::kTablesAtOnce * kCudaStepBytes * kernels::window_count(kernels::kWindowBitsMin);
constexpr std::uint32_t kSplitLanesMax = 32;
// Graphs kept by a slot, of all counts (powers of two) and widths in use; more are made anew.
constexpr std::size_t kGraphsMax = 128;

constexpr std::size_t keys_offset(std::size_t count) {
  return round_up(count * sizeof(P256CudaSignature), alignof(P256CudaKey));
}
constexpr std::size_t input_bytes(std::size_t count, std::size_t key_count) {
  return keys_offset(count) + key_count * sizeof(P256CudaKey);
}

// Where a slot's memory on the device has what, for pieces of up to `count`.
struct DeviceLayout {
  std::size_t scalars, exceptions, verdicts, tables, steps, end;
  DeviceLayout(std::size_t count, std::size_t unknown) {
    constexpr std::size_t kUnit = 256;
    scalars = round_up(input_bytes(count, count), kUnit);
    exceptions = scalars + round_up(count * kCudaScalarBytes, kUnit);
    verdicts = exceptions + round_up((1 + count) * sizeof(std::uint32_t), kUnit);
    tables = verdicts + round_up(count, kUnit);
    steps = tables + unknown * kCudaUnknownTableBytes;
    end = steps + unknown * kCudaStepBytes;
  }
};

Error cuda_error(cudaError_t result, const char* what) {
  ErrorCode code = ErrorCode::kUnavailable;
  if (result == cudaErrorNoKernelImageForDevice) code = ErrorCode::kUnsupported;
  return make_error(
      code,
      std::string(what) + ": " + cudaGetErrorString(result) + " (" + cudaGetErrorName(result) + ")",
      "backend", static_cast<std::uint64_t>(result));
}

std::string version_text(int version) {  // 13000 -> "13.0"
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

// "Not ready" is no error, but the runtime keeps it as the thread's last one.
cudaError_t is_done(cudaStream_t stream) {
  const cudaError_t state = cudaStreamQuery(stream);
  if (state == cudaErrorNotReady) (void)cudaGetLastError();
  return state;
}

// SEC 2, §2.4.2.
constexpr auto kGenerator = from_hex(
    "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5");

}  // namespace

// --- a slot --------------------------------------------------------------------------------------

P256CudaSignature* CudaSlot::signatures() const {
  return reinterpret_cast<P256CudaSignature*>(host_);
}

P256CudaKey* CudaSlot::keys(std::uint32_t count) const {
  return reinterpret_cast<P256CudaKey*>(host_ + keys_offset(count));
}

std::uint64_t CudaSlot::table_of(std::size_t index) const {
  const DeviceLayout layout(session_.options_.with_table_max, session_.options_.without_max);
  return reinterpret_cast<std::uint64_t>(device_ + layout.tables + index * kCudaUnknownTableBytes);
}

std::uint8_t* CudaSlot::verdicts() const { return host_ + session_.slot_input_bytes(); }

Result<void> CudaSlot::allocate() {
  void* device = nullptr;
  void* host = nullptr;
  cudaError_t result = cudaMalloc(&device, session_.slot_device_bytes());
  if (result == cudaSuccess) {
    device_ = static_cast<std::uint8_t*>(device);
    result = cudaHostAlloc(&host, session_.slot_input_bytes() + session_.options_.with_table_max,
                           cudaHostAllocDefault);
  }
  if (result == cudaSuccess) {
    host_ = static_cast<std::uint8_t*>(host);
    result = cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking);
  }
  if (result == cudaSuccess) return {};
  (void)cudaGetLastError();
  if (device_ != nullptr) (void)cudaFree(std::exchange(device_, nullptr));
  if (host_ != nullptr) (void)cudaFreeHost(std::exchange(host_, nullptr));
  // Without memory for more, those there are do it all.
  if (result == cudaErrorMemoryAllocation) return cuda_error(result, "memory of a slot");
  return session_.call(result, "memory of a slot");
}

Result<void> CudaSlot::enqueue_tables(const P256CudaJob& job, const P256CudaKey* keys) {
  const DeviceLayout layout(session_.options_.with_table_max, session_.options_.without_max);
  const P256CudaTables tables{keys,          device_ + layout.steps,
                              job.key_count, kernels::kP256CudaUnknownBits,
                              /*windows=*/1, /*phase=*/0};
  return session_.call(launch_tables(tables, stream_), "tables of unknown keys");
}

Result<void> CudaSlot::enqueue(const P256CudaJob& job) {
  const DeviceLayout layout(session_.options_.with_table_max, session_.options_.without_max);
  const auto* const keys = reinterpret_cast<const P256CudaKey*>(device_ + keys_offset(job.count));
  const P256CudaBatch batch{reinterpret_cast<const P256CudaSignature*>(device_),
                            keys,
                            job.generator,
                            reinterpret_cast<std::uint32_t*>(device_ + layout.scalars),
                            reinterpret_cast<std::uint32_t*>(device_ + layout.exceptions),
                            device_ + layout.verdicts,
                            job.count,
                            job.generator_bits,
                            job.key_bits == 0 ? kernels::kP256CudaUnknownBits : job.key_bits,
                            job.lanes};
  COLOPHON_TRY(session_.call(cudaMemcpyAsync(device_, host_, input_bytes(job.count, job.key_count),
                                             cudaMemcpyHostToDevice, stream_),
                             "copy to the device"));
  COLOPHON_TRY(session_.call(cudaMemsetAsync(batch.exceptions, 0, sizeof(std::uint32_t), stream_),
                             "clearing the count of exceptions"));
  // finish() is to see what no kernel wrote, and not the verdicts of the piece before.
  COLOPHON_TRY(session_.call(cudaMemsetAsync(batch.verdicts, 0xff, job.count, stream_),
                             "clearing the verdicts"));
  if (job.key_bits == 0) COLOPHON_TRY(enqueue_tables(job, keys));

  const P256CudaForm form{job.key_bits != 0, job.invert_together, session_.multiprocessors_};
  const CudaLaunched launched = launch_verify(batch, form, stream_);
  COLOPHON_TRY(session_.call(launched.result, launched.what));
  return session_.call(
      cudaMemcpyAsync(verdicts(), batch.verdicts, job.count, cudaMemcpyDeviceToHost, stream_),
      "copy of the verdicts");
}

Result<cudaGraphExec_t> CudaSlot::graph_of(const P256CudaJob& job) {
  const std::pair generator(job.generator, job.generator_bits);
  if (graphs_generator_ != generator || graphs_.size() >= kGraphsMax) {
    while (!graphs_.empty()) {
      const auto graph = graphs_.extract(graphs_.begin());
      COLOPHON_TRY(session_.call(cudaGraphExecDestroy(graph.mapped()), "a graph's end"));
    }
    graphs_generator_ = generator;
  }
  const GraphKey key{job.count, job.key_bits, job.lanes};
  if (const auto found = graphs_.find(key); found != graphs_.end()) return found->second;
  // Only this thread's calls: others go on meanwhile.
  COLOPHON_TRY(session_.call(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal),
                             "capture of a graph"));
  Result<void> enqueued = enqueue(job);
  cudaGraph_t captured = nullptr;
  const cudaError_t ended = cudaStreamEndCapture(stream_, &captured);
  const std::unique_ptr<std::remove_pointer_t<cudaGraph_t>, decltype(&cudaGraphDestroy)> graph(
      captured, cudaGraphDestroy);
  COLOPHON_TRY(session_.call(ended, "capture of a graph"));
  COLOPHON_TRY(std::move(enqueued));
  cudaGraphExec_t executable = nullptr;
  COLOPHON_TRY(session_.call(cudaGraphInstantiate(&executable, graph.get(), 0), "a graph"));
  graphs_.emplace(key, executable);
  return executable;
}

Result<void> CudaSlot::start(const P256CudaJob& job) {
  started_ = job.count;
  std::memset(verdicts(), 0xff, job.count);  // nor is what was not copied
  if (job.lanes == 0) return enqueue(job);
  COLOPHON_TRY_ASSIGN(cudaGraphExec_t graph, graph_of(job));
  return session_.call(cudaGraphLaunch(graph, stream_), "launch of a graph");
}

Result<const std::uint8_t*> CudaSlot::finish() {
  COLOPHON_TRY(session_.wait_for(stream_));
  if (std::any_of(verdicts(), verdicts() + started_, [](std::uint8_t v) { return v > 1; })) {
    COLOPHON_TRY(session_.fail(make_error(
        ErrorCode::kUnavailable, "the device wrote something that is no verdict", "backend")));
  }
  return verdicts();
}

Result<void> CudaSlot::start_work(std::size_t in_bytes, std::size_t out_at, std::size_t out_bytes,
                                  const Launch& launch) {
  COLOPHON_TRY(
      session_.call(cudaMemcpyAsync(device_, host_, in_bytes, cudaMemcpyHostToDevice, stream_),
                    "copy to the device"));
  const CudaLaunched launched = launch(device_, stream_);
  COLOPHON_TRY(session_.call(launched.result, launched.what));
  // By then the input has been read.
  return session_.call(
      cudaMemcpyAsync(host_, device_ + out_at, out_bytes, cudaMemcpyDeviceToHost, stream_),
      "copy from the device");
}

Result<const std::uint8_t*> CudaSlot::finish_work() {
  COLOPHON_TRY(session_.wait_for(stream_));
  return host_;
}

// --- opening -------------------------------------------------------------------------------------

int CudaSession::device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    (void)cudaGetLastError();
    return 0;
  }
  return count;
}

Result<void> CudaSession::open() {
  (void)cudaGetLastError();  // what others may have left
  Result<void> ready = inspect();
  if (ready) ready = prepare();
  if (ready) ready = try_out();
  // Whatever it was; close() then asks the device whether it sticks.
  if (!ready && ready.error().code != ErrorCode::kUnsupported) (void)fail(ready.error());
  return ready;
}

// Is there such a device, and is it one that the kernels run on?
Result<void> CudaSession::inspect() {
  const auto unsupported = [](std::string message) {
    return make_error(ErrorCode::kUnsupported, std::move(message), "backend");
  };
  int driver = 0;
  int runtime = 0;
  int count = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) {
    (void)cudaGetLastError();
    return unsupported("no NVIDIA driver is installed");
  }
  (void)cudaRuntimeGetVersion(&runtime);
  const cudaError_t counted = cudaGetDeviceCount(&count);
  (void)cudaGetLastError();
  if (counted == cudaErrorInsufficientDriver) {
    return unsupported("the NVIDIA driver is too old: it supports CUDA " + version_text(driver) +
                       ", this program needs " + version_text(runtime));
  }
  if (counted == cudaErrorNoDevice || (counted == cudaSuccess && count == 0)) {
    return unsupported("the NVIDIA driver finds no GPU (is one hidden by CUDA_VISIBLE_DEVICES?)");
  }
  if (counted != cudaSuccess) return cuda_error(counted, "looking for GPUs");
  if (options_.device < 0 || options_.device >= count) {
    return unsupported("there is no GPU " + std::to_string(options_.device) +
                       "; their indices end at " + std::to_string(count - 1));
  }
  cudaDeviceProp properties{};
  if (const cudaError_t result = cudaGetDeviceProperties(&properties, options_.device);
      result != cudaSuccess) {
    (void)cudaGetLastError();
    return cuda_error(result, "properties of the GPU");
  }
  device_.index = static_cast<unsigned>(options_.device);
  device_.name = properties.name;
  device_.driver = version_text(driver);
  device_.compute_capability =
      std::to_string(properties.major) + "." + std::to_string(properties.minor);
  device_.memory_bytes = properties.totalGlobalMem;
  multiprocessors_ = static_cast<std::uint32_t>(properties.multiProcessorCount);
  if (properties.memoryPoolsSupported == 0) {
    return unsupported("GPU " + std::to_string(options_.device) + " (" + device_.name +
                       ") has no stream-ordered memory (memory pools), as some virtual GPUs");
  }
  if (properties.major < kComputeMajorMin) {
    return unsupported("GPU " + std::to_string(options_.device) + " (" + device_.name +
                       ") has compute capability " + device_.compute_capability +
                       ", must be at least " + std::to_string(kComputeMajorMin) + ".0");
  }
  return {};
}

std::size_t CudaSession::slot_device_bytes() const {
  return DeviceLayout(options_.with_table_max, options_.without_max).end;
}

std::size_t CudaSession::work_bytes_max() const {
  return std::min(slot_input_bytes(), slot_device_bytes());
}

std::size_t CudaSession::slot_input_bytes() const {
  return round_up(input_bytes(options_.with_table_max, options_.with_table_max), kCudaRowBytes);
}

Result<void> CudaSession::prepare() {
  const auto busy = [this](const std::string& why) {
    return make_error(ErrorCode::kUnavailable,
                      "GPU " + std::to_string(device_.index) + " (" + device_.name + ") " + why,
                      "backend");
  };
  const cudaError_t set = cudaSetDevice(options_.device);
  if (set == cudaErrorDevicesUnavailable) {
    (void)cudaGetLastError();
    return busy(
        "is in use by another process, which has it for itself, or its compute mode forbids all "
        "use");
  }
  COLOPHON_TRY(call(set, "taking the GPU into use"));
  std::size_t free = 0;
  std::size_t total = 0;
  COLOPHON_TRY(call(cudaMemGetInfo(&free, &total), "memory of the GPU"));
  device_.memory_free = free;
  const auto with_slots = [this](std::size_t slots) {
    return slots * slot_device_bytes() + kBuildKeysBytes + kBuildStepsBytes + kTableMemoryMin;
  };
  if (free < with_slots(1)) {
    return busy("has only " + std::to_string(free) + " of its " + std::to_string(total) +
                " bytes of memory free, needs " + std::to_string(with_slots(1)));
  }
  const std::size_t all = with_slots(options_.slots_max);
  table_memory_max_ = kTableMemoryMin + (free > all ? free - all : 0);
  COLOPHON_TRY(
      call(count_resident_threads(multiprocessors_, &resident_), "occupancy of the kernels"));
  split_max_ = std::bit_floor(
      static_cast<std::uint32_t>(std::min<std::size_t>(resident_ / 2, options_.with_table_max)));

  home_ = std::make_shared<TableHome>();
  home_->device = options_.device;
  COLOPHON_TRY(call(cudaStreamCreateWithFlags(&home_->stream, cudaStreamNonBlocking),
                    "a stream for tables"));
  void* memory = nullptr;
  COLOPHON_TRY(call(cudaHostAlloc(&memory, kBuildKeysBytes, cudaHostAllocDefault),
                    "memory to build tables"));
  build_keys_ = static_cast<P256CudaKey*>(memory);
  COLOPHON_TRY(
      call(cudaMalloc(&memory, kBuildKeysBytes + kBuildStepsBytes), "memory to build tables"));
  build_memory_ = static_cast<std::uint8_t*>(memory);
  return {};
}

// --- trying out ----------------------------------------------------------------------------------

// RFC 6979, A.2.5: a signature of "sample".
struct CudaSession::KnownSignature {
  static constexpr unsigned kBits = 5;
  static constexpr auto kPoint = from_hex(
      "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
      "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299");
  static constexpr auto kSignature = from_hex(
      "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
      "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8");
  static constexpr auto kDigest =
      from_hex("af2bdbe1aa9b6ec1e2ade1d694f41fc71a831d0268e9891562113d8a62add1bf");

  CudaSlot& slot;
  std::shared_ptr<void> generator, table;

  // A piece of it `count` times over, of as many keys.
  [[nodiscard]] P256CudaJob job(std::uint32_t count, bool with_table, std::uint32_t lanes,
                                bool invert_together) const {
    const unsigned bits = with_table ? kBits : 0;
    const P256CudaJob made{count, count, bits, generator.get(), kBits, lanes, invert_together};
    for (std::uint32_t i = 0; i < count; ++i) {
      P256CudaSignature& signature = slot.signatures()[i];
      std::memcpy(signature.r, kSignature.data(), kSignature.size());
      std::memcpy(signature.e, kDigest.data(), kDigest.size());
      signature.key = i;
      P256CudaKey& key = slot.keys(count)[i];
      set_point(key, kPoint.data());
      key.table = with_table ? reinterpret_cast<std::uint64_t>(table.get()) : slot.table_of(i);
    }
    return made;
  }
};

Result<void> CudaSession::try_out() {
  std::array<P256Build, 2> tables = {P256Build{nullptr}, {KnownSignature::kPoint.data()}};
  COLOPHON_TRY(make_tables(tables, KnownSignature::kBits));
  CudaSlot* const slot = take_slot(/*wait=*/true);
  if (!tables[0].memory || !tables[1].memory || slot == nullptr) {
    return has_failed() ? failure() : cuda_error(cudaErrorMemoryAllocation, "memory of the GPU");
  }
  const KnownSignature known{*slot, tables[0].memory, tables[1].memory};
  COLOPHON_TRY(check(known));
  COLOPHON_TRY(calibrate(known));
  give_back(slot);
  return {};
}

// Known answers by every kernel that a batch takes, before anything depends on them.
Result<void> CudaSession::check(const KnownSignature& known) {
  constexpr std::uint32_t kCount = 4;
  for (const auto& [with_table, lanes, together] : {std::tuple{true, 0U, true},
                                                    {true, 2U, false},
                                                    {true, kSplitLanesMax, false},
                                                    {false, 0U, false}}) {
    const P256CudaJob job = known.job(kCount, with_table, lanes, together);
    // The first is right; the others have a bit changed in r, s or the digest.
    P256CudaSignature* const signatures = known.slot.signatures();
    signatures[1].r[3] ^= 1;
    signatures[2].s[3] ^= 1;
    signatures[3].e[3] ^= 1;
    COLOPHON_TRY(known.slot.start(job));
    COLOPHON_TRY_ASSIGN(const std::uint8_t* const verdicts, known.slot.finish());
    constexpr std::array<std::uint8_t, kCount> kExpected = {1, 0, 0, 0};
    if (!std::equal(kExpected.begin(), kExpected.end(), verdicts)) {
      return fail(make_error(ErrorCode::kInternal,
                             "GPU " + std::to_string(device_.index) + " (" + device_.name +
                                 ") gives wrong answers to known questions",
                             "backend"));
    }
  }
  return {};
}

std::uint32_t find_split_max(std::uint32_t max, const MeasureShapes& measure) {
  std::uint32_t found = 0;
  int slower = 0;  // in a row
  for (std::uint32_t count = 1; count <= max && slower < 2; count *= 2) {
    const auto took = measure(count);
    if (!took) return max;
    const auto [split, whole] = *took;
    ++slower;
    if (split > whole) continue;
    slower = 0;
    found = count;
  }
  return found;
}

// With the copies, and a graph that is there. Its tables are of the narrowest kind, quick to build:
// a lane then has twice the additions to do that it will have, and adding up the lanes weighs less.
Result<void> CudaSession::calibrate(const KnownSignature& known) {
  using Steady = std::chrono::steady_clock;
  constexpr int kRuns = 4;  // the first makes the graph; the best counts
  const Steady::time_point end = Steady::now() + options_.calibration;
  Result<void> going_on;
  const auto time_of = [&](const P256CudaJob& job) -> std::optional<std::chrono::nanoseconds> {
    auto best = std::chrono::nanoseconds::max();
    for (int run = 0; run < kRuns; ++run) {
      const Steady::time_point start = Steady::now();
      if (start >= end) return std::nullopt;
      going_on = known.slot.start(job);
      if (!going_on) return std::nullopt;
      if (const auto verdicts = known.slot.finish(); !verdicts) {
        going_on = verdicts.error();
        return std::nullopt;
      }
      if (run > 0) best = std::min<std::chrono::nanoseconds>(best, Steady::now() - start);
    }
    return best;
  };
  split_max_ = find_split_max(
      split_max_,
      [&](std::uint32_t count) -> std::optional<std::array<std::chrono::nanoseconds, 2>> {
        const auto split = time_of(known.job(count, true, lanes_of(count), false));
        if (!split) return std::nullopt;
        const auto whole = time_of(known.job(count, true, 0, count > resident_));
        if (!whole) return std::nullopt;
        return std::array{*split, *whole};
      });
  device_.low_latency_max = split_max_;
  return going_on;
}

// --- closing -------------------------------------------------------------------------------------

bool CudaSession::close() {
  if (!home_ && !failed_) return true;  // nothing was taken
  // What follows is for this device and no other. An error that sticks to it is the result of these
  // calls, too, and no reason to leave it.
  (void)cudaSetDevice(options_.device);
  int current = options_.device;
  if (cudaGetDevice(&current) == cudaSuccess && current != options_.device) {
    (void)cudaGetLastError();
    return false;
  }
  std::vector<cudaStream_t> streams;
  if (home_ && home_->stream != nullptr) streams.push_back(home_->stream);
  for (const auto& slot : slots_) {
    if (slot->stream_ != nullptr) streams.push_back(slot->stream_);
  }
  bool is_sound = true;
  const auto expect = [&is_sound](cudaError_t result) { is_sound &= result == cudaSuccess; };
  for (cudaStream_t stream : streams) {
    if (!failed_) (void)wait_for(stream);  // for tables that are given back; not after a failure
    const cudaError_t state = is_done(stream);
    if (state == cudaErrorNotReady) return false;
    expect(state);  // where it is an error, nothing says that the work is done
  }
  std::size_t free_bytes = 0;
  std::size_t total_bytes = 0;  // asked for an error that sticks
  if (failed_) expect(cudaMemGetInfo(&free_bytes, &total_bytes));
  std::unordered_set<void*> tables;
  if (home_) {
    const std::scoped_lock guard(home_->mutex);
    tables = std::exchange(home_->tables, {});
  }
  if (is_sound && home_) {
    // What the device has accepted to free is not freed again, here or below: should the device
    // break before it has, that stays until the process ends.
    std::erase_if(tables, [&](void* table) {
      const cudaError_t result = cudaFreeAsync(table, home_->stream);
      expect(result);
      return result == cudaSuccess;
    });
    expect(cudaStreamSynchronize(home_->stream));
  }
  if (is_sound) {
    for (const auto& slot : slots_) {
      for (const auto& [key, graph] : slot->graphs_) expect(cudaGraphExecDestroy(graph));
      if (slot->device_ != nullptr) expect(cudaFree(slot->device_));
      if (slot->host_ != nullptr) expect(cudaFreeHost(slot->host_));
    }
    if (build_memory_ != nullptr) expect(cudaFree(build_memory_));
    if (build_keys_ != nullptr) expect(cudaFreeHost(build_keys_));
    for (cudaStream_t stream : streams) expect(cudaStreamDestroy(stream));
  }
  if (!is_sound) {
    (void)cudaDeviceReset();
    for (void* table : tables) (void)cudaFree(table);  // which a reset leaves as they are
  }
  (void)cudaGetLastError();
  slots_.clear();
  return true;
}

// --- slots ---------------------------------------------------------------------------------------

Result<CudaSlot*> CudaSession::new_slot() {
  std::unique_ptr<CudaSlot> slot(new CudaSlot(*this));
  COLOPHON_TRY(slot->allocate());
  const std::scoped_lock guard(slots_mutex_);
  slots_.push_back(std::move(slot));
  return slots_.back().get();
}

CudaSlot* CudaSession::take_slot(bool wait) {
  // Of this thread, whose the slot is now.
  if (!call(cudaSetDevice(options_.device), "taking the GPU into use")) return nullptr;
  std::unique_lock guard(slots_mutex_);
  for (;;) {
    if (failed_) return nullptr;
    if (!free_slots_.empty()) {
      CudaSlot* const slot = free_slots_.back();
      free_slots_.pop_back();
      return slot;
    }
    const std::size_t slots = slots_.size() + slots_making_;
    if (slots < options_.slots_max && !slots_full_) {
      ++slots_making_;
      guard.unlock();
      Result<CudaSlot*> slot = new_slot();
      guard.lock();
      --slots_making_;
      if (slot) return *slot;
      slots_full_ = true;  // for as long as the session lasts
      slot_free_.notify_all();
      continue;
    }
    if (!wait || slots == 0) return nullptr;
    slot_free_.wait(guard);
  }
}

void CudaSession::give_back(CudaSlot* slot) {
  {
    const std::scoped_lock guard(slots_mutex_);
    free_slots_.push_back(slot);
  }
  slot_free_.notify_one();
}

// As many as fill the device.
std::uint32_t CudaSession::lanes_of(std::uint32_t count) const {
  return std::min(std::bit_floor(resident_ / count), kSplitLanesMax);
}

void CudaSession::choose_shape(P256CudaJob& job) const {
  job.lanes = 0;
  // Inverting one by one takes more instructions, but no longer while the device is not full.
  job.invert_together = job.count > resident_;
  const std::uint32_t count = std::bit_ceil(job.count);
  if (job.key_bits == 0 || count > split_max_) return;
  job.count = count;
  job.lanes = lanes_of(count);
}

// --- tables --------------------------------------------------------------------------------------

std::size_t CudaSession::table_bytes(unsigned bits) {
  return kCudaRowBytes * kernels::window_count(bits) * kernels::row_count(bits);
}

// Null: no memory left on the device.
Result<std::shared_ptr<void>> CudaSession::allocate_table(unsigned bits) {
  void* memory = nullptr;
  const cudaError_t allocated = cudaMallocAsync(&memory, table_bytes(bits), home_->stream);
  if (allocated == cudaErrorMemoryAllocation) {
    (void)cudaGetLastError();
    return std::shared_ptr<void>();
  }
  COLOPHON_TRY(call(allocated, "memory of a table"));
  {
    const std::scoped_lock closing(home_->mutex);
    home_->tables.insert(memory);
  }
  return std::shared_ptr<void>(memory, [home = home_](void* at) {
    const std::scoped_lock closing(home->mutex);
    if (home->has_failed) return;
    auto table = home->tables.extract(at);
    if (table.empty()) return;
    // Refused, it is freed when the session is closed.
    if (cudaSetDevice(home->device) == cudaSuccess &&
        cudaFreeAsync(at, home->stream) == cudaSuccess) {
      return;
    }
    (void)cudaGetLastError();
    home->tables.insert(std::move(table));
  });
}

Result<void> CudaSession::make_tables(std::span<P256Build> builds, unsigned bits) {
  const std::scoped_lock guard(build_mutex_);
  if (failed_) return failure();
  COLOPHON_TRY(call(cudaSetDevice(options_.device), "taking the GPU into use"));
  std::vector<std::shared_ptr<void>> made;
  for (const P256Build& build : builds) {
    COLOPHON_TRY_ASSIGN(auto memory, allocate_table(bits));
    if (!memory) break;
    P256CudaKey& key = build_keys_[made.size()];
    set_point(key, build.point != nullptr ? build.point : kGenerator.data());
    key.table = reinterpret_cast<std::uint64_t>(memory.get());
    made.push_back(std::move(memory));
  }
  if (made.empty()) return {};
  COLOPHON_TRY(call(cudaMemcpyAsync(build_memory_, build_keys_, made.size() * sizeof(P256CudaKey),
                                    cudaMemcpyHostToDevice, home_->stream),
                    "copy of keys"));
  const P256CudaTables tables{reinterpret_cast<const P256CudaKey*>(build_memory_),
                              build_memory_ + kBuildKeysBytes,
                              static_cast<std::uint32_t>(made.size()),
                              bits,
                              kernels::window_count(bits),
                              0};
  COLOPHON_TRY(call(launch_tables(tables, home_->stream), "building of tables"));
  COLOPHON_TRY(wait_for(home_->stream));
  for (std::size_t i = 0; i < made.size(); ++i) builds[i].memory = std::move(made[i]);
  return {};
}

// --- errors --------------------------------------------------------------------------------------

Result<void> CudaSession::call(cudaError_t result, const char* what) {
  if (result == cudaSuccess) return {};
  (void)cudaGetLastError();
  return fail(cuda_error(result, what));
}

Result<void> CudaSession::fail(Error error) {
  if (home_) {
    const std::scoped_lock guard(home_->mutex);
    home_->has_failed = true;
  }
  {
    const std::scoped_lock guard(failure_mutex_, slots_mutex_);
    if (!failure_) failure_ = error;
    failed_ = true;
  }
  slot_free_.notify_all();
  return error;
}

Error CudaSession::failure() const {
  const std::scoped_lock guard(failure_mutex_);
  return *failure_;
}

Result<void> CudaSession::wait_for(cudaStream_t stream) {
  // A small batch is back before that; sleeping would cost it more.
  constexpr std::chrono::microseconds kSpin{200};
  constexpr std::chrono::microseconds kNap{20};
  const auto start = std::chrono::steady_clock::now();
  for (;;) {
    const cudaError_t state = is_done(stream);
    if (state == cudaSuccess) return {};
    if (state != cudaErrorNotReady) return call(state, "work on the device");
    if (failed_) return failure();
    const auto waited = std::chrono::steady_clock::now() - start;
    if (waited > options_.patience) {
      return fail(make_error(
          ErrorCode::kUnavailable,
          "the device has not answered for " + std::to_string(options_.patience.count()) + " ms",
          "backend"));
    }
    if (waited > kSpin) std::this_thread::sleep_for(kNap);
  }
}

}  // namespace colophon
