// SPDX-License-Identifier: Apache-2.0
//
// Words of hash functions on a GPU. Hashing is additions, logic and rotations, all of which the ALU
// pipe does, while the multiplier idles: so some of them go to the multiplier, in a form that ptxas
// leaves there (kernels/sass_budget.txt). What that costs there, in slots of its pipe for one of
// the ALU's: an addition 1, a shift to the right 2, a rotation 3.
#pragma once

#include <stdint.h>

#include "kernels/host_device.h"

namespace colophon::kernels {
namespace {

COLOPHON_HOST_DEVICE constexpr uint32_t rotate_left(uint32_t x, unsigned n) {
  return x << n | x >> (32 - n);
}

// Additions on the multiplier, by a one that no compiler knows.
class Multiplier {
 public:
  __device__ explicit Multiplier(uint32_t one) : one_(one) {}

  __device__ uint32_t add(uint32_t a, uint32_t b) const {
    uint32_t sum;
    asm("mad.lo.u32 %0, %1, %2, %3;" : "=r"(sum) : "r"(a), "r"(one_), "r"(b));
    return sum;
  }
  // One IMAD.WIDE and one IMAD.
  __device__ uint64_t add(uint64_t a, uint64_t b) const {
    uint64_t sum;
    asm("{ .reg .u32 low, high, low2, high2; mov.b64 {low, high}, %1; mov.b64 {low2, high2}, %3;\n"
        "mad.lo.cc.u32 low2, low, %2, low2; madc.hi.u32 high2, low, %2, high2;\n"
        "mad.lo.u32 high2, high, %2, high2; mov.b64 %0, {low2, high2}; }"
        : "=l"(sum)
        : "l"(a), "r"(one_), "l"(b));
    return sum;
  }
  static __device__ uint32_t shift_right(uint32_t x, unsigned n) {
    uint32_t shifted;
    asm("mul.hi.u32 %0, %1, %2;" : "=r"(shifted) : "r"(x), "r"(1U << (32 - n)));
    return shifted;
  }
  // The upper word of {high, low} << n.
  static __device__ uint32_t funnel_left(uint32_t low, uint32_t high, unsigned n) {
    uint32_t shifted;
    asm("{ .reg .u32 lower; mul.hi.u32 lower, %1, %3; mad.lo.u32 %0, %2, %3, lower; }"
        : "=r"(shifted)
        : "r"(low), "r"(high), "r"(1U << n));
    return shifted;
  }
  static __device__ uint32_t rotate_right(uint32_t x, unsigned n) {
    return funnel_left(x, x, 32 - n);
  }

 private:
  uint32_t one_;
};

__device__ uint32_t rotate_right(uint32_t x, unsigned n) { return __funnelshift_r(x, x, n); }
__device__ uint32_t swap_bytes(uint32_t x) { return __byte_perm(x, 0, 0x0123); }

// Sixteen bytes at a time.
template <int kWords>
__device__ void load_words(const uint32_t* memory, uint32_t (&words)[kWords]) {
  const uint4* const at = reinterpret_cast<const uint4*>(memory);
  COLOPHON_UNROLL
  for (int i = 0; i < kWords / 4; ++i) {
    const uint4 four = at[i];
    words[4 * i] = four.x, words[4 * i + 1] = four.y;
    words[4 * i + 2] = four.z, words[4 * i + 3] = four.w;
  }
}
template <int kWords>
__device__ void store_words(uint32_t* memory, const uint32_t (&words)[kWords]) {
  uint4* const at = reinterpret_cast<uint4*>(memory);
  COLOPHON_UNROLL
  for (int i = 0; i < kWords / 4; ++i) {
    at[i] = {words[4 * i], words[4 * i + 1], words[4 * i + 2], words[4 * i + 3]};
  }
}

}  // namespace
}  // namespace colophon::kernels
