// SPDX-License-Identifier: Apache-2.0
#include "kernels/blake3.h"
#include "kernels/hash.h"
#include "kernels/hash_lanes.h"
#include "kernels/keccak.h"
#include "kernels/sha256.h"
#include "kernels/sha512.h"
#include "kernels/sm3.h"

namespace colophon::kernels {
namespace {

template <class H, unsigned kVectors>
constexpr HashKernel avx512() {
  using Scalar = typename H::Scalar;
  return IteratedHash<WordCompressor<H, LaneWords<Scalar, kVectors>>,
                      WordCompressor<H, Scalar>>::kernel("avx512");
}

}  // namespace

// In two sets of lanes one chain of dependent operations fills the gaps of the other.
const HashKernel kSha256Avx512 = avx512<Sha256, 2>();
const HashKernel kSm3Avx512 = avx512<Sm3, 2>();
const HashKernel kSha512Avx512 = avx512<Sha512, 1>();
const HashKernel kKeccak256Avx512 = avx512<Keccak256, 1>();
const HashKernel kBlake3Avx512 = Blake3Instance<LaneWords<uint32_t, 1>>::kernel("avx512");

}  // namespace colophon::kernels
