// SPDX-License-Identifier: Apache-2.0
//
// How often each basic block of the CUDA kernels runs, counted by the GPU emulator while it
// verifies signatures and hashes, for scripts/gpu-model.
//
//   colophon_gpu_trips P256_PTX HASH_PTX MERKLE_PTX
//
// Written for each job: "job NAME KERNEL UNITS BLOCKS THREADS", the launch (units: signatures,
// hashes, a tree's leaves), then for each basic block that ran "block FIRST LAST WARPS": its lines
// in the PTX and the warps that entered it. A wrong verdict is an error: what went another way is
// not to be counted.
#include "bench/gpu_trips.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/ecdsa.h"
#include "kernels/p256_cuda.h"
#include "tests/kernels/p256_cases.h"

namespace colophon::bench {
namespace {

using kernels::P256CudaBatch;
using kernels::P256CudaKey;
using kernels::P256CudaSignature;
using kernels::P256CudaTables;

// A whole block of p256_cuda_scalars, and whole blocks of all others.
constexpr std::uint32_t kSignatures = kernels::kP256CudaThreads * kernels::kP256CudaScalarsEach;
constexpr unsigned kGeneratorBits = 16;

// A table as the kernels "portable" build it, which is what these read.
const std::uint8_t* table(Gpu& gpu, const std::string* point, unsigned bits) {
  const kernels::P256Kernels& portable = kernels::kP256Portable;
  const std::size_t bytes = portable.table_bytes(bits);
  std::vector<std::uint8_t> memory(bytes + portable.build_memory_bytes(bits) + 128);
  const auto aligned = [](std::uint8_t* at) {
    return at + (64 - reinterpret_cast<std::uintptr_t>(at) % 64) % 64;
  };
  std::uint8_t* const built = aligned(memory.data());
  portable.build_table(point == nullptr ? nullptr : test::Referee::data(*point), bits, built,
                       aligned(built + bytes));
  return gpu.upload(built, bytes);
}

class Jobs {
 public:
  explicit Jobs(const char* ptx_path)
      : gpu_(ptx_path), generator_(table(gpu_, nullptr, kGeneratorBits)) {
    for (test::Case& one : test::random_cases(1, 64)) {
      if (cases_.empty() || one.point == cases_[0].point) cases_.push_back(std::move(one));
    }
  }

  void run() {
    for (const unsigned bits : {8U, 10U, 13U, 16U}) {
      const std::string name = "enrolled-" + std::to_string(bits);
      const std::vector<P256CudaKey> keys = keys_with({table(gpu_, &cases_[0].point, bits)});
      verify(name, "p256_cuda_scalars", "p256_cuda_verify_enrolled", keys, bits, 0);
      if (bits > 8) continue;
      for (const unsigned lanes : {4U, 16U}) {
        verify("split-" + std::to_string(lanes), "p256_cuda_scalars_each", "p256_cuda_verify_split",
               keys, bits, lanes);
      }
    }
    unknown();
  }

 private:
  [[nodiscard]] std::vector<P256CudaKey> keys_with(
      const std::vector<const std::uint8_t*>& tables) const {
    std::vector<P256CudaKey> keys;
    for (const std::uint8_t* one : tables) {
      P256CudaKey key{};
      std::memcpy(key.x, cases_[0].point.data(), 64);
      key.table = reinterpret_cast<DevicePointer>(one);
      keys.push_back(key);
    }
    return keys;
  }

  // Every signature brings its own key, whose table is made first.
  void unknown() {
    constexpr unsigned kBits = kernels::kP256CudaUnknownBits;
    constexpr std::size_t kTableBytes = std::size_t{64} << (kBits - 1);
    const auto* const tables = gpu_.allocate<std::uint8_t>(kTableBytes * kSignatures);
    std::vector<const std::uint8_t*> each;
    for (std::size_t i = 0; i < kSignatures; ++i) each.push_back(tables + kTableBytes * i);
    const std::vector<P256CudaKey> keys = keys_with(each);
    P256CudaTables work{gpu_.upload(keys.data(), keys.size()),
                        gpu_.allocate<std::uint8_t>(std::size_t{128} * kSignatures),
                        kSignatures,
                        kBits,
                        1,
                        0};
    constexpr std::uint32_t kThreads = kernels::kP256CudaThreads;
    gpu_.run("unknown", "p256_cuda_bases", kSignatures,
             kernels::p256_cuda_blocks(kSignatures, kThreads), kThreads, &work);
    for (work.phase = 0; work.phase < kBits; ++work.phase) {
      const std::uint32_t blocks =
          kernels::p256_cuda_blocks(kernels::p256_cuda_additions(work),
                                    std::uint64_t{kThreads} * kernels::kP256CudaAdditionsEach);
      gpu_.run("unknown", "p256_cuda_extend", kSignatures, blocks, kThreads, &work);
    }
    verify("unknown", "p256_cuda_scalars", "p256_cuda_verify_unknown", keys, kBits, 0);
  }

  // `lanes` of a signature; 0: a thread each.
  void verify(const std::string& job, const std::string& scalars, const std::string& kernel,
              const std::vector<P256CudaKey>& keys, unsigned key_bits, std::uint32_t lanes) {
    std::vector<P256CudaSignature> signatures(kSignatures);
    for (std::uint32_t i = 0; i < kSignatures; ++i) {
      const test::ForgedSignature& forged = cases_[i % cases_.size()].forged;
      std::memcpy(signatures[i].r, forged.signature.data(), 64);
      std::memcpy(signatures[i].e, forged.digest.data(), 32);
      signatures[i].key = keys.size() == 1 ? 0 : i;
    }
    const std::uint32_t no_exceptions = 0;
    const P256CudaBatch batch{gpu_.upload(signatures.data(), signatures.size()),
                              gpu_.upload(keys.data(), keys.size()),
                              generator_,
                              gpu_.allocate<std::uint32_t>(std::size_t{16} * kSignatures),
                              gpu_.upload(&no_exceptions, 1),
                              gpu_.allocate<std::uint8_t>(kSignatures),
                              kSignatures,
                              kGeneratorBits,
                              key_bits,
                              lanes};
    const std::uint32_t each = scalars == "p256_cuda_scalars" ? kernels::kP256CudaScalarsEach : 1;
    gpu_.run(job, scalars, kSignatures,
             kernels::p256_cuda_blocks(kSignatures, kernels::kP256CudaThreads * each),
             kernels::kP256CudaThreads, &batch);
    constexpr std::uint32_t kThreads = kernels::kP256CudaVerifyThreads;
    const std::uint64_t threads = std::uint64_t{kSignatures} * std::max(1U, lanes);
    gpu_.run(job, kernel, kSignatures, kernels::p256_cuda_blocks(threads, kThreads), kThreads,
             &batch);
    const std::vector<std::uint8_t> verdicts = gpu_.download(batch.verdicts, kSignatures);
    for (std::uint32_t i = 0; i < kSignatures; ++i) {
      if ((verdicts[i] == 1) != cases_[i % cases_.size()].valid) {
        throw std::runtime_error(job + ": a wrong verdict");
      }
    }
  }

  Gpu gpu_;
  const std::uint8_t* generator_;
  std::vector<test::Case> cases_;
};

}  // namespace
}  // namespace colophon::bench

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: colophon_gpu_trips P256_PTX HASH_PTX MERKLE_PTX\n");
    return 2;
  }
  try {
    colophon::bench::Jobs(argv[1]).run();
    colophon::bench::run_hash_jobs(argv[2], argv[3]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "colophon_gpu_trips: %s\n", error.what());
    return 1;
  }
  return 0;
}
