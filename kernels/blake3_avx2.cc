// SPDX-License-Identifier: Apache-2.0
#include "kernels/blake3.h"
#include "kernels/hash.h"
#include "kernels/hash_lanes_avx2.h"

namespace colophon::kernels {

const HashKernel kBlake3Avx2 = Blake3Instance<Avx2Words<uint32_t, 1>>::kernel("avx2");

}  // namespace colophon::kernels
