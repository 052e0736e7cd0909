// SPDX-License-Identifier: Apache-2.0
#include "tests/kernels/hash_simulated.h"

#include "kernels/blake3.h"
#include "kernels/keccak.h"
#include "kernels/sha256.h"
#include "kernels/sha512.h"
#include "kernels/sm3.h"

namespace colophon::kernels {
namespace {

template <class H, unsigned kLanes>
constexpr HashKernel simulated() {
  using Scalar = typename H::Scalar;
  using Lanes = VectorWords<Scalar, kLanes * sizeof(Scalar) / 16>;
  return IteratedHash<WordCompressor<H, Lanes>, WordCompressor<H, Scalar>>::kernel("simulated");
}

}  // namespace

const HashKernel kSha256Simulated = simulated<Sha256, 32>();
const HashKernel kSha512Simulated = simulated<Sha512, 8>();
const HashKernel kSm3Simulated = simulated<Sm3, 32>();
const HashKernel kBlake3Simulated = Blake3Instance<VectorWords<uint32_t, 4>>::kernel("simulated");
const HashKernel kKeccak256Simulated = simulated<Keccak256, 8>();
const HashKernel kSha3Simulated = simulated<Keccak<0x06>, 8>();
const HashKernel kSha3Scalar =
    IteratedHash<WordCompressor<Keccak<0x06>, uint64_t>,
                 WordCompressor<Keccak<0x06>, uint64_t>>::kernel("portable");

}  // namespace colophon::kernels
