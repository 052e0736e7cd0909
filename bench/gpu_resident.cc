// SPDX-License-Identifier: Apache-2.0
#include "bench/gpu_resident.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "lib/cuda_launch.h"

namespace colophon::bench {
namespace {

using kernels::P256CudaBatch;
using kernels::P256CudaKey;
using kernels::P256CudaSignature;
using kernels::P256CudaTables;

}  // namespace

Result<void> cuda(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return {};
  (void)cudaGetLastError();
  const bool is_full = status == cudaErrorMemoryAllocation;
  return make_error(
      is_full ? ErrorCode::kLimitExceeded : ErrorCode::kUnavailable,
      std::string(what) + ": " + cudaGetErrorName(status) + ", " + cudaGetErrorString(status));
}

std::size_t ResidentBatch::device_bytes(const GpuSignatures& signatures, bool enrolled) {
  const std::size_t a_key =
      sizeof(P256CudaKey) + (enrolled ? 0 : kCudaUnknownTableBytes + kCudaStepBytes);
  return signatures.count * (sizeof(P256CudaSignature) + kCudaScalarBytes + 5) +
         signatures.key_count * a_key;
}

Result<void> ResidentBatch::allocate(const GpuSignatures& signatures) {
  const auto take = [](auto& memory, std::size_t count) {
    void* at = nullptr;
    Result<void> taken = cuda(cudaMalloc(&at, count * sizeof(memory[0])), "the device's memory");
    using Pointer = typename std::remove_reference_t<decltype(memory)>::pointer;
    if (taken) memory.reset(static_cast<Pointer>(at));
    return taken;
  };
  COLOPHON_TRY(take(signatures_, signatures.count));
  COLOPHON_TRY(take(keys_, signatures.key_count));
  COLOPHON_TRY(take(scalars_, kCudaScalarBytes / sizeof(std::uint32_t) * signatures.count));
  COLOPHON_TRY(take(exceptions_, 1 + signatures.count));
  COLOPHON_TRY(take(verdicts_, signatures.count));
  if (tables_.keys.empty()) {
    COLOPHON_TRY(take(key_tables_, kCudaUnknownTableBytes * signatures.key_count));
    COLOPHON_TRY(take(steps_, kCudaStepBytes * signatures.key_count));
  }
  cudaStream_t stream = nullptr;
  COLOPHON_TRY(cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "a stream"));
  stream_.reset(stream);
  for (auto* event : {&begin_, &end_}) {
    cudaEvent_t made = nullptr;
    COLOPHON_TRY(cuda(cudaEventCreate(&made), "an event"));
    event->reset(made);
  }
  return {};
}

Result<void> ResidentBatch::copy(const GpuSignatures& signatures) {
  std::vector<P256CudaSignature> items(signatures.count);
  for (std::size_t i = 0; i < items.size(); ++i) {
    std::memcpy(items[i].r, signatures.r_and_s.at(i), sizeof(items[i].r) + sizeof(items[i].s));
    std::memcpy(items[i].e, signatures.digests.at(i), sizeof(items[i].e));
    items[i].key = static_cast<std::uint32_t>(i % signatures.key_count);
  }
  std::vector<P256CudaKey> keys(signatures.key_count);
  for (std::size_t k = 0; k < keys.size(); ++k) {
    std::memcpy(keys[k].x, signatures.points.at(k), sizeof(keys[k].x) + sizeof(keys[k].y));
    keys[k].table =
        tables_.keys.empty()
            ? reinterpret_cast<std::uint64_t>(key_tables_.get() + kCudaUnknownTableBytes * k)
            : tables_.keys[k];
  }
  COLOPHON_TRY(cuda(cudaMemcpy(signatures_.get(), items.data(), items.size() * sizeof(items[0]),
                               cudaMemcpyHostToDevice),
                    "copy of signatures"));
  COLOPHON_TRY(cuda(
      cudaMemcpy(keys_.get(), keys.data(), keys.size() * sizeof(keys[0]), cudaMemcpyHostToDevice),
      "copy of keys"));
  return cuda(cudaDeviceSynchronize(), "copies");
}

Result<std::unique_ptr<ResidentBatch>> ResidentBatch::make(const GpuSignatures& signatures,
                                                           Tables tables) {
  std::unique_ptr<ResidentBatch> batch(new ResidentBatch(std::move(tables)));
  batch->key_count_ = signatures.key_count;
  int device = 0;
  int multiprocessors = 0;
  COLOPHON_TRY(cuda(cudaGetDevice(&device), "the device"));
  COLOPHON_TRY(
      cuda(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device),
           "the device"));
  batch->multiprocessors_ = static_cast<std::uint32_t>(multiprocessors);
  COLOPHON_TRY(cuda(count_resident_threads(batch->multiprocessors_, &batch->resident_),
                    "occupancy of the kernels"));
  COLOPHON_TRY(batch->allocate(signatures));
  COLOPHON_TRY(batch->copy(signatures));
  return batch;
}

Result<void> ResidentBatch::enqueue(const Form& form) {
  const bool is_enrolled = !tables_.keys.empty();
  const auto count = static_cast<std::uint32_t>(form.count);
  auto* const stream = stream_.get();
  COLOPHON_TRY(cuda(cudaMemsetAsync(exceptions_.get(), 0, sizeof(std::uint32_t), stream),
                    "clearing the count of exceptions"));
  if (!is_enrolled) {
    const P256CudaTables tables{keys_.get(),
                                steps_.get(),
                                static_cast<std::uint32_t>(std::min(form.count, key_count_)),
                                kernels::kP256CudaUnknownBits,
                                /*windows=*/1,
                                /*phase=*/0};
    COLOPHON_TRY(cuda(launch_tables(tables, stream), "tables of unknown keys"));
  }
  const P256CudaBatch batch{signatures_.get(),
                            keys_.get(),
                            tables_.generator,
                            scalars_.get(),
                            exceptions_.get(),
                            verdicts_.get(),
                            count,
                            tables_.generator_bits,
                            is_enrolled ? tables_.key_bits : kernels::kP256CudaUnknownBits,
                            form.lanes};
  const P256CudaForm how{is_enrolled, form.count > resident_, multiprocessors_};
  const CudaLaunched launched = launch_verify(batch, how, stream);
  return cuda(launched.result, launched.what);
}

Result<double> ResidentBatch::seconds(const Form& form, std::size_t passes) {
  COLOPHON_TRY(cuda(cudaEventRecord(begin_.get(), stream_.get()), "an event"));
  for (std::size_t i = 0; i < passes; ++i) COLOPHON_TRY(enqueue(form));
  COLOPHON_TRY(cuda(cudaEventRecord(end_.get(), stream_.get()), "an event"));
  COLOPHON_TRY(cuda(cudaEventSynchronize(end_.get()), "work on the device"));
  float milliseconds = 0;
  COLOPHON_TRY(
      cuda(cudaEventElapsedTime(&milliseconds, begin_.get(), end_.get()), "time of the work"));
  return std::max(static_cast<double>(milliseconds), 1e-3) / 1e3 / static_cast<double>(passes);
}

Result<std::vector<std::uint8_t>> ResidentBatch::verdicts(std::size_t count) {
  std::vector<std::uint8_t> found(count);
  COLOPHON_TRY(cuda(cudaMemcpy(found.data(), verdicts_.get(), count, cudaMemcpyDeviceToHost),
                    "copy of the verdicts"));
  // The next pass must not find them right already.
  COLOPHON_TRY(cuda(cudaMemset(verdicts_.get(), 0xff, count), "clearing the verdicts"));
  COLOPHON_TRY(cuda(cudaDeviceSynchronize(), "clearing the verdicts"));
  return found;
}

}  // namespace colophon::bench
