// SPDX-License-Identifier: Apache-2.0
#include "kernels/blake3.h"
#include "kernels/hash.h"
#include "kernels/hash_lanes_avx2.h"
#include "kernels/keccak.h"
#include "kernels/sha256.h"
#include "kernels/sha512.h"
#include "kernels/sm3.h"

namespace colophon::kernels {
namespace {

template <class H>
constexpr HashKernel avx2() {
  using Scalar = typename H::Scalar;
  return IteratedHash<WordCompressor<H, Avx2Words<Scalar, 1>>, WordCompressor<H, Scalar>>::kernel(
      "avx2");
}

}  // namespace

const HashKernel kSha256Avx2 = avx2<Sha256>();
const HashKernel kSm3Avx2 = avx2<Sm3>();
const HashKernel kSha512Avx2 = avx2<Sha512>();
const HashKernel kKeccak256Avx2 = avx2<Keccak256>();
const HashKernel kBlake3Avx2 = Blake3Instance<Avx2Words<uint32_t, 1>>::kernel("avx2");

}  // namespace colophon::kernels
