// SPDX-License-Identifier: Apache-2.0
#include "kernels/blake3.h"
#include "kernels/hash.h"
#include "kernels/keccak.h"
#include "kernels/sha256.h"
#include "kernels/sha512.h"
#include "kernels/sm3.h"

namespace colophon::kernels {
namespace {

template <class H>
constexpr HashKernel portable() {
  using C = WordCompressor<H, typename H::Scalar>;
  return IteratedHash<C, C>::kernel("portable");
}

}  // namespace

const HashKernel kSha256Portable = portable<Sha256>();
const HashKernel kSha512Portable = portable<Sha512>();
const HashKernel kSm3Portable = portable<Sm3>();
const HashKernel kBlake3Portable = Blake3Instance<VectorWords<uint32_t, 1>>::kernel("portable");
const HashKernel kKeccak256Portable = portable<Keccak256>();

void blake3_begin(HashState* state, Blake3Mode mode, const uint8_t* key) {
  uint32_t words[8];
  for (int i = 0; i < 8; ++i) {
    words[i] =
        key == nullptr ? Blake3::kIv[i] : load_word<ByteOrder::kLittle, uint32_t>(key + 4 * i);
  }
  Blake3::begin(state, words, static_cast<uint32_t>(mode));
}

void blake3_output(const HashState* state, uint64_t position, uint8_t* out, size_t bytes) {
  Blake3::root(Blake3::stream(state)).output(position, out, bytes);
}

}  // namespace colophon::kernels
