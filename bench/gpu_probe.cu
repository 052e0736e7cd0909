// SPDX-License-Identifier: Apache-2.0
#define COLOPHON_REDUCE_BY_WIDE 0
#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>

#include "bench/gpu_probe.h"
#include "bench/gpu_probe_loop.h"
#include "kernels/carry_ptx.h"

namespace colophon::bench {
namespace {

// --- bodies of the loop --------------------------------------------------------------------------
// Chains that do not wait for each other, in 32 warps a multiprocessor: latencies do not show. What
// ptxas leaves of each loop in machine code is looked at by scripts/sass-budget.

constexpr int kChains = 8;
constexpr int kUnroll = 32;

// Not mad.wide, which ptxas takes apart: a product that is the same each time is kept, and the high
// words of several additions are added at once.
class WideChains {
 public:
  static constexpr int kUnrolled = kUnroll;
  explicit __device__ WideChains(std::uint32_t seed) : a_(seed), b_(~seed) {
    for (int i = 0; i < kChains; ++i) low_[i] = high_[i] = seed * (2 * i + 1);
  }
  __device__ void step() {
#pragma unroll
    for (int i = 0; i < kChains; ++i) {
      kernels::CarryChain chain;
      chain.mad_wide_cc(low_[i], high_[i], a_, b_);
    }
  }
  [[nodiscard]] __device__ std::uint32_t word() const {
    std::uint32_t all = 0;
    for (int i = 0; i < kChains; ++i) all ^= low_[i] ^ high_[i];
    return all;
  }

 private:
  std::uint32_t low_[kChains], high_[kChains], a_, b_;
};

// Two sums of eight words; a row of four products is added to each, as in a long multiplication.
class CarryRows {
 public:
  static constexpr int kUnrolled = kUnroll;
  explicit __device__ CarryRows(std::uint32_t seed) {
    for (int i = 0; i < 8; ++i) even_[i] = odd_[i] = seed * (2 * i + 1);
    for (int i = 0; i < 2; ++i) a_[i] = ~seed * (2 * i + 1);
    for (int i = 0; i < 4; ++i) b_[i] = ~seed * (2 * i + 5);
  }
  __device__ void step() {
    add_row(even_, a_[0]);
    add_row(odd_, a_[1]);
  }
  [[nodiscard]] __device__ std::uint32_t word() const {
    std::uint32_t all = 0;
    for (int i = 0; i < 8; ++i) all ^= even_[i] ^ odd_[i];
    return all;
  }

 private:
  __device__ void add_row(std::uint32_t (&sum)[8], std::uint32_t a) {
    kernels::CarryChain chain;
    chain.mad_wide_cc(sum[0], sum[1], a, b_[0]);
#pragma unroll
    for (int i = 1; i < 4; ++i) chain.madc_wide_cc(sum[2 * i], sum[2 * i + 1], a, b_[i]);
  }
  std::uint32_t even_[8], odd_[8], a_[2], b_[4];
};

class Multiplies {
 public:
  static constexpr int kUnrolled = kUnroll;
  explicit __device__ Multiplies(std::uint32_t seed) : b_(seed | 1) {
    for (int i = 0; i < kChains; ++i) x_[i] = seed * (2 * i + 1);
  }
  __device__ void step() {
#pragma unroll
    for (int i = 0; i < kChains; ++i) {
      asm volatile("mad.lo.u32 %0, %0, %1, %0;" : "+r"(x_[i]) : "r"(b_));
    }
  }
  [[nodiscard]] __device__ std::uint32_t word() const {
    std::uint32_t all = 0;
    for (int i = 0; i < kChains; ++i) all ^= x_[i];
    return all;
  }

 private:
  std::uint32_t x_[kChains], b_;
};

// Of three words each, which only IADD3 does: a last addition with a carry goes to the multiplier.
class Additions {
 public:
  static constexpr int kUnrolled = kUnroll;
  explicit __device__ Additions(std::uint32_t seed) {
    for (int i = 0; i < kChains; ++i) x_[i] = seed * (2 * i + 1);
  }
  __device__ void step() {
#pragma unroll
    for (int i = 0; i < kChains; ++i) {
      asm volatile("add.u32 %0, %0, %1; add.u32 %0, %0, %2;"
                   : "+r"(x_[i])
                   : "r"(x_[(i + 1) % kChains]), "r"(x_[(i + 2) % kChains]));
    }
  }
  [[nodiscard]] __device__ std::uint32_t word() const {
    std::uint32_t all = 0;
    for (int i = 0; i < kChains; ++i) all ^= x_[i];
    return all;
  }

 private:
  std::uint32_t x_[kChains];
};

class RowsAndAdditions {
 public:
  static constexpr int kUnrolled = kUnroll;
  explicit __device__ RowsAndAdditions(std::uint32_t seed) : rows_(seed), additions_(~seed) {}
  __device__ void step() {
    rows_.step();
    additions_.step();
  }
  [[nodiscard]] __device__ std::uint32_t word() const { return rows_.word() ^ additions_.word(); }

 private:
  CarryRows rows_;
  Additions additions_;
};

}  // namespace

extern "C" {

__global__ void __launch_bounds__(kProbeThreads) probe_wide(ProbeWork work) {
  probe_loop<WideChains>(work);
}
__global__ void __launch_bounds__(kProbeThreads) probe_carry_rows(ProbeWork work) {
  probe_loop<CarryRows>(work);
}
__global__ void __launch_bounds__(kProbeThreads) probe_multiplies(ProbeWork work) {
  probe_loop<Multiplies>(work);
}
__global__ void __launch_bounds__(kProbeThreads) probe_additions(ProbeWork work) {
  probe_loop<Additions>(work);
}
__global__ void __launch_bounds__(kProbeThreads) probe_rows_and_additions(ProbeWork work) {
  probe_loop<RowsAndAdditions>(work);
}
__global__ void __launch_bounds__(kProbeThreads) probe_p256_by_adds(ProbeWork work) {
  probe_loop<Multiplications>(work);
}

// out: the sum of all words of `count` rows of 64 bytes, a thread.
__global__ void __launch_bounds__(256) probe_gather(const uint4* rows, std::uint32_t row_count,
                                                    std::uint32_t count, std::uint32_t* out) {
  const std::uint32_t thread = blockIdx.x * blockDim.x + threadIdx.x;
  std::uint32_t random = thread * 2654435761U + 1;
  std::uint32_t sum = 0;
#pragma unroll 4
  for (std::uint32_t i = 0; i < count; ++i) {
    random = random * 1664525 + 1013904223;  // its high bits are good enough
    const uint4* const row = rows + 4 * static_cast<std::size_t>(__umulhi(random, row_count));
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const uint4 part = __ldg(row + k);
      sum += part.x + part.y + part.z + part.w;
    }
  }
  out[thread] = sum;
}

}  // extern "C"

namespace {

// --- the host's side -----------------------------------------------------------------------------

struct FreeOnDevice {
  void operator()(void* memory) const { cudaFree(memory); }
};
struct FreePinned {
  void operator()(void* memory) const { cudaFreeHost(memory); }
};
template <class T>
using OnDevice = std::unique_ptr<T[], FreeOnDevice>;
using Pinned = std::unique_ptr<std::uint8_t[], FreePinned>;
struct DestroyStream {
  void operator()(cudaStream_t stream) const { cudaStreamDestroy(stream); }
};
struct DestroyEvent {
  void operator()(cudaEvent_t event) const { cudaEventDestroy(event); }
};
using Stream = std::unique_ptr<CUstream_st, DestroyStream>;
using Event = std::unique_ptr<CUevent_st, DestroyEvent>;

class Probe {
 public:
  Probe(const GpuProbeSettings& settings, GpuProbe& out) : settings_(settings), out_(out) {}

  std::string run() {
    if (open() && issue_rates() && copies()) gather();
    return error_;
  }

 private:
  using Kernel = void (*)(ProbeWork);

  bool good(cudaError_t status, const char* what) {
    if (status == cudaSuccess) return true;
    return fails(std::string(what) + ": " + cudaGetErrorName(status) + ", " +
                 cudaGetErrorString(status));
  }
  // Nothing is freed that queued work still uses.
  bool fails(std::string error) {
    error_ = std::move(error);
    (void)cudaDeviceSynchronize();
    return false;
  }
  template <class T>
  bool allocate(OnDevice<T>& memory, std::size_t count) {
    void* at = nullptr;
    if (!good(cudaMalloc(&at, count * sizeof(T)), "the device's memory")) return false;
    memory.reset(static_cast<T*>(at));
    return true;
  }

  bool open() {
    int count = 0;
    if (!good(cudaGetDeviceCount(&count), "no GPU to probe")) return false;
    if (settings_.device < 0 || settings_.device >= count) {
      return fails("there is no device " + std::to_string(settings_.device) + ", but " +
                   std::to_string(count) + " in all");
    }
    cudaDeviceProp properties;
    cudaStream_t streams[2] = {};
    cudaEvent_t events[2] = {};
    if (!good(cudaSetDevice(settings_.device), "the device") ||
        !good(cudaGetDeviceProperties(&properties, settings_.device), "the device's properties")) {
      return false;
    }
    for (int i = 0; i < 2; ++i) {
      if (!good(cudaStreamCreateWithFlags(&streams[i], cudaStreamNonBlocking), "a stream")) {
        return false;
      }
      stream_[i].reset(streams[i]);
      if (!good(cudaEventCreate(&events[i]), "an event")) return false;
      event_[i].reset(events[i]);
    }
    out_.device = properties.name;
    out_.multiprocessors = static_cast<std::uint32_t>(properties.multiProcessorCount);
    return true;
  }

  // The least seconds that work queued on the first stream takes, over all repetitions; one more
  // goes before, so that clocks rise and code and memory are there.
  template <class Queue>
  bool least_seconds(const char* what, double& seconds, Queue queue) {
    seconds = std::numeric_limits<double>::infinity();
    for (std::uint32_t i = 0; i <= settings_.repetitions; ++i) {
      float milliseconds = 0;
      if (!good(cudaEventRecord(event_[0].get(), stream_[0].get()), what) || !good(queue(), what) ||
          !good(cudaEventRecord(event_[1].get(), stream_[0].get()), what) ||
          !good(cudaEventSynchronize(event_[1].get()), what) ||
          !good(cudaEventElapsedTime(&milliseconds, event_[0].get(), event_[1].get()), what)) {
        return false;
      }
      if (i > 0) seconds = std::min(seconds, std::max(milliseconds, 1e-3F) / 1e3);
    }
    return true;
  }

  bool issue_rates() {
    struct Row {
      const char* name;
      Kernel kernel;
      std::uint32_t operations;  // a step
    };
    constexpr std::uint32_t kMany = kUnroll * kChains;
    const Row rows[] = {
        {"IMAD.WIDE", probe_wide, kMany},
        {"IMAD.WIDE with carries", probe_carry_rows, kMany},
        {"IMAD", probe_multiplies, kMany},
        {"IADD3", probe_additions, kMany},
        {"IMAD.WIDE beside IADD3", probe_rows_and_additions, kMany},
        {"P-256 products, by IADD3", probe_p256_by_adds, 1},
        {"P-256 products, by IMAD.WIDE", probe_p256_by_wide, 1},
    };
    std::vector<std::uint32_t> words[2];  // of both forms of the multiplication
    for (const Row& row : rows) {
      std::vector<std::uint32_t>& out = words[row.kernel == probe_p256_by_adds ? 0 : 1];
      if (!issue_rate(row.name, row.kernel, row.operations, out)) return false;
    }
    return words[0] == words[1] ||
           fails("the device computes wrongly: two forms of the same product differ");
  }

  bool issue_rate(const char* name, Kernel kernel, std::uint32_t operations,
                  std::vector<std::uint32_t>& words) {
    const std::uint32_t blocks = out_.multiprocessors;
    words.resize(std::size_t{blocks} * kProbeThreads);
    std::vector<std::uint64_t> clocks(blocks);
    OnDevice<std::uint32_t> words_there;
    OnDevice<std::uint64_t> clocks_there;
    if (!allocate(words_there, words.size()) || !allocate(clocks_there, clocks.size())) {
      return false;
    }
    ProbeWork work{settings_.steps, 0x9e3779b9, words_there.get(), clocks_there.get()};
    void* arguments[] = {&work};
    double seconds = 0;
    const bool ran = least_seconds(name, seconds, [&] {
      return cudaLaunchKernel(reinterpret_cast<const void*>(kernel), blocks, kProbeThreads,
                              arguments, 0, stream_[0].get());
    });
    if (!ran ||
        !good(cudaMemcpy(words.data(), words_there.get(), words.size() * sizeof(words[0]),
                         cudaMemcpyDeviceToHost),
              name) ||
        !good(cudaMemcpy(clocks.data(), clocks_there.get(), clocks.size() * sizeof(clocks[0]),
                         cudaMemcpyDeviceToHost),
              name)) {
      return false;
    }
    std::nth_element(clocks.begin(), clocks.begin() + blocks / 2, clocks.end());
    const auto median = static_cast<double>(clocks[blocks / 2]);
    const double all = static_cast<double>(settings_.steps) * operations * kProbeThreads;
    out_.rates.push_back(
        {name, all / median, all * blocks / seconds / 1e9, median / seconds / 1e9});
    return true;
  }

  bool copies() {
    const std::size_t bytes = settings_.copy_bytes;
    Pinned host[2];
    OnDevice<std::uint8_t> device[2];
    for (int i = 0; i < 2; ++i) {
      void* at = nullptr;
      if (!good(cudaMallocHost(&at, bytes), "pinned memory")) return false;
      host[i].reset(static_cast<std::uint8_t*>(at));
      if (!allocate(device[i], bytes)) return false;
    }
    for (std::size_t i = 0; i < bytes; ++i) host[0][i] = static_cast<std::uint8_t>(i * 31 >> 3);
    std::memset(host[1].get(), 0, bytes);
    const auto to_device = [&](int stream) {
      return cudaMemcpyAsync(device[0].get(), host[0].get(), bytes, cudaMemcpyHostToDevice,
                             stream_[stream].get());
    };
    const auto from_device = [&](const OnDevice<std::uint8_t>& from) {
      return cudaMemcpyAsync(host[1].get(), from.get(), bytes, cudaMemcpyDeviceToHost,
                             stream_[0].get());
    };
    double seconds[3] = {};
    if (!least_seconds("a copy to the device", seconds[0], [&] { return to_device(0); }) ||
        !least_seconds("a copy from the device", seconds[1],
                       [&] { return from_device(device[0]); })) {
      return false;
    }
    if (std::memcmp(host[0].get(), host[1].get(), bytes) != 0) {
      return fails("what was copied to the device did not come back");
    }
    // The second stream begins with the first event and is waited for.
    Event other;
    cudaEvent_t event = nullptr;
    if (!good(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "an event")) return false;
    other.reset(event);
    if (!good(cudaMemset(device[1].get(), 1, bytes), "the device's memory") ||
        !good(cudaDeviceSynchronize(), "the device")) {
      return false;
    }
    const bool ran = least_seconds("copies both ways", seconds[2], [&] {
      cudaError_t status = cudaStreamWaitEvent(stream_[1].get(), event_[0].get(), 0);
      if (status == cudaSuccess) status = to_device(1);
      if (status == cudaSuccess) status = cudaEventRecord(other.get(), stream_[1].get());
      if (status == cudaSuccess) status = from_device(device[1]);
      if (status == cudaSuccess) status = cudaStreamWaitEvent(stream_[0].get(), other.get(), 0);
      return status;
    });
    if (!ran) return false;
    out_.to_device = static_cast<double>(bytes) / seconds[0] / 1e9;
    out_.from_device = static_cast<double>(bytes) / seconds[1] / 1e9;
    out_.both_ways = 2 * static_cast<double>(bytes) / seconds[2] / 1e9;
    return true;
  }

  bool gather() {
    constexpr std::uint32_t kThreads = 256;
    constexpr std::uint32_t kRowBytes = 64;
    const std::uint32_t blocks = 16 * out_.multiprocessors;
    const std::size_t row_count = settings_.gather_bytes / kRowBytes;
    if (row_count == 0 || row_count > std::numeric_limits<std::uint32_t>::max()) {
      return fails("gather_bytes holds no row, or more than 2^32");
    }
    std::vector<std::uint32_t> sums(std::size_t{blocks} * kThreads);
    OnDevice<std::uint8_t> rows;
    OnDevice<std::uint32_t> sums_there;
    if (!allocate(rows, row_count * kRowBytes) || !allocate(sums_there, sums.size()) ||
        !good(cudaMemset(rows.get(), 1, row_count * kRowBytes), "the device's memory") ||
        !good(cudaDeviceSynchronize(), "the device")) {
      return false;
    }
    double seconds = 0;
    const bool ran = least_seconds("gathering", seconds, [&] {
      probe_gather<<<blocks, kThreads, 0, stream_[0].get()>>>(
          reinterpret_cast<const uint4*>(rows.get()), static_cast<std::uint32_t>(row_count),
          settings_.gathers, sums_there.get());
      return cudaGetLastError();
    });
    if (!ran || !good(cudaMemcpy(sums.data(), sums_there.get(), sums.size() * sizeof(sums[0]),
                                 cudaMemcpyDeviceToHost),
                      "gathering")) {
      return false;
    }
    const std::uint32_t expected = settings_.gathers * 16 * 0x01010101U;
    for (const std::uint32_t sum : sums) {
      if (sum != expected) return fails("the device gathered what was never written");
    }
    const double bytes = static_cast<double>(sums.size()) * settings_.gathers * kRowBytes;
    out_.gather = bytes / seconds / 1e9;
    return true;
  }

  const GpuProbeSettings& settings_;
  GpuProbe& out_;
  std::string error_;
  Stream stream_[2];
  Event event_[2];
};

}  // namespace

std::string probe_gpu(const GpuProbeSettings& settings, GpuProbe& out) {
  out = {};
  return Probe(settings, out).run();
}

}  // namespace colophon::bench
