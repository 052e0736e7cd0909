// SPDX-License-Identifier: Apache-2.0
//
// The kernels of kernels/p256_cuda.h over signatures that are on the device already, timed by the
// device's own clock: what they do with nothing else in the way.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "bench/gpu_signatures.h"
#include "colophon/error.hpp"
#include "kernels/p256_cuda.h"

namespace colophon::bench {

// Error kUnavailable unless it is cudaSuccess; kLimitExceeded: out of memory.
[[nodiscard]] Result<void> cuda(cudaError_t status, const char* what);

class ResidentBatch {
 public:
  struct Tables {
    std::vector<std::uint64_t> keys;  // addresses, a key each; empty: keys without a table
    unsigned key_bits = 0;
    const void* generator = nullptr;
    unsigned generator_bits = 0;
  };
  struct Form {
    std::size_t count;        // the first so many signatures
    std::uint32_t lanes = 0;  // a signature; 0: the form for throughput
  };

  // All of `signatures`, copied. The tables have to stay.
  [[nodiscard]] static Result<std::unique_ptr<ResidentBatch>> make(const GpuSignatures& signatures,
                                                                   Tables tables);
  // What make() takes of the device's memory.
  [[nodiscard]] static std::size_t device_bytes(const GpuSignatures& signatures, bool enrolled);

  // Seconds a pass, of `passes` one after the other.
  [[nodiscard]] Result<double> seconds(const Form& form, std::size_t passes);
  // Of the last pass; 1 or 0 each.
  [[nodiscard]] Result<std::vector<std::uint8_t>> verdicts(std::size_t count);

 private:
  struct FreeOnDevice {
    void operator()(void* memory) const { (void)cudaFree(memory); }
  };
  struct DestroyStream {
    void operator()(cudaStream_t stream) const { (void)cudaStreamDestroy(stream); }
  };
  struct DestroyEvent {
    void operator()(cudaEvent_t event) const { (void)cudaEventDestroy(event); }
  };
  template <class T>
  using OnDevice = std::unique_ptr<T[], FreeOnDevice>;

  explicit ResidentBatch(Tables tables) : tables_(std::move(tables)) {}
  [[nodiscard]] Result<void> allocate(const GpuSignatures& signatures);
  [[nodiscard]] Result<void> copy(const GpuSignatures& signatures);
  [[nodiscard]] Result<void> enqueue(const Form& form);

  const Tables tables_;
  std::size_t key_count_ = 0;
  std::uint32_t multiprocessors_ = 0;
  std::uint32_t resident_ = 0;  // threads of p256_cuda_verify_split at once
  OnDevice<kernels::P256CudaSignature> signatures_;
  OnDevice<kernels::P256CudaKey> keys_;
  OnDevice<std::uint32_t> scalars_, exceptions_;
  OnDevice<std::uint8_t> verdicts_, key_tables_, steps_;
  std::unique_ptr<CUstream_st, DestroyStream> stream_;
  std::unique_ptr<CUevent_st, DestroyEvent> begin_, end_;
};

}  // namespace colophon::bench
