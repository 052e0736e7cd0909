// SPDX-License-Identifier: Apache-2.0
#include "bench/gpu_resident.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels/ecdsa.h"

namespace colophon::bench {
namespace {

using kernels::P256CudaBatch;
using kernels::P256CudaKey;
using kernels::P256CudaSignature;
using kernels::P256CudaTables;

constexpr std::size_t kRowBytes = 64;
constexpr std::size_t kUnknownTableBytes =
    kRowBytes * kernels::row_count(kernels::kP256CudaUnknownBits);
constexpr std::size_t kStepBytes = 128;
constexpr std::size_t kScalarWords = 16;

template <class Argument>
Result<void> launch(void (*kernel)(Argument), std::uint32_t blocks, std::uint32_t threads,
                    Argument argument, cudaStream_t stream) {
  void* arguments[] = {&argument};
  return cuda(cudaLaunchKernel(reinterpret_cast<const void*>(kernel), dim3(blocks, 1, 1),
                               dim3(threads, 1, 1), arguments, 0, stream),
              "launch of a kernel");
}

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
  const std::size_t a_key = sizeof(P256CudaKey) + (enrolled ? 0 : kUnknownTableBytes + kStepBytes);
  return signatures.count * (sizeof(P256CudaSignature) + 4 * kScalarWords + 5) +
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
  COLOPHON_TRY(take(scalars_, kScalarWords * signatures.count));
  COLOPHON_TRY(take(exceptions_, 1 + signatures.count));
  COLOPHON_TRY(take(verdicts_, signatures.count));
  if (tables_.keys.empty()) {
    COLOPHON_TRY(take(key_tables_, kUnknownTableBytes * signatures.key_count));
    COLOPHON_TRY(take(steps_, kStepBytes * signatures.key_count));
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
            ? reinterpret_cast<std::uint64_t>(key_tables_.get() + kUnknownTableBytes * k)
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
  int blocks = 0;
  COLOPHON_TRY(cuda(cudaGetDevice(&device), "the device"));
  COLOPHON_TRY(
      cuda(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device),
           "the device"));
  COLOPHON_TRY(cuda(cudaOccupancyMaxActiveBlocksPerMultiprocessor(
                        &blocks, reinterpret_cast<const void*>(kernels::p256_cuda_verify_split),
                        static_cast<int>(kernels::kP256CudaVerifyThreads), 0),
                    "occupancy of the kernels"));
  batch->multiprocessors_ = static_cast<std::uint32_t>(multiprocessors);
  batch->resident_ = std::size_t{batch->multiprocessors_} * static_cast<std::uint32_t>(blocks) *
                     kernels::kP256CudaVerifyThreads;
  COLOPHON_TRY(batch->allocate(signatures));
  COLOPHON_TRY(batch->copy(signatures));
  return batch;
}

Result<void> ResidentBatch::enqueue_tables(std::uint32_t key_count) {
  using kernels::kP256CudaThreads;
  P256CudaTables tables{keys_.get(), steps_.get(), key_count, kernels::kP256CudaUnknownBits, 1, 0};
  COLOPHON_TRY(launch(kernels::p256_cuda_bases,
                      kernels::p256_cuda_blocks(key_count, kP256CudaThreads), kP256CudaThreads,
                      tables, stream_.get()));
  for (; tables.phase < tables.bits; ++tables.phase) {
    COLOPHON_TRY(
        launch(kernels::p256_cuda_extend,
               kernels::p256_cuda_blocks(kernels::p256_cuda_additions(tables),
                                         kP256CudaThreads * kernels::kP256CudaAdditionsEach),
               kP256CudaThreads, tables, stream_.get()));
  }
  return {};
}

Result<void> ResidentBatch::enqueue(const Form& form) {
  using kernels::kP256CudaThreads;
  using kernels::kP256CudaVerifyThreads;
  using kernels::p256_cuda_blocks;
  const bool is_enrolled = !tables_.keys.empty();
  const auto count = static_cast<std::uint32_t>(form.count);
  auto* const stream = stream_.get();
  COLOPHON_TRY(cuda(cudaMemsetAsync(exceptions_.get(), 0, sizeof(std::uint32_t), stream),
                    "clearing the count of exceptions"));
  if (!is_enrolled) {
    COLOPHON_TRY(enqueue_tables(static_cast<std::uint32_t>(std::min(form.count, key_count_))));
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
  // As lib/cuda_session.cc has it.
  const bool each = form.count <= resident_;
  COLOPHON_TRY(
      launch(each ? kernels::p256_cuda_scalars_each : kernels::p256_cuda_scalars,
             p256_cuda_blocks(count, kP256CudaThreads * (each ? 1 : kernels::kP256CudaScalarsEach)),
             kP256CudaThreads, batch, stream));
  auto* const verify = !is_enrolled      ? kernels::p256_cuda_verify_unknown
                       : form.lanes == 0 ? kernels::p256_cuda_verify_enrolled
                                         : kernels::p256_cuda_verify_split;
  COLOPHON_TRY(launch(
      verify,
      p256_cuda_blocks(std::uint64_t{count} * std::max(form.lanes, 1U), kP256CudaVerifyThreads),
      kP256CudaVerifyThreads, batch, stream));
  return launch(kernels::p256_cuda_verify_exceptions,
                std::min(p256_cuda_blocks(count, kP256CudaThreads), multiprocessors_),
                kP256CudaThreads, batch, stream);
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
