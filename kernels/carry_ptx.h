// SPDX-License-Identifier: Apache-2.0
//
// Long additions and products the way a GPU's thread does them: 32-bit words and one carry flag,
// which an instruction sets and the next one takes (PTX ISA, "Extended-Precision Integer Arithmetic
// Instructions"). A chain is written as a sequence of calls. On the device each is that PTX
// instruction; on a host the flag is a value of this class, so that the same text runs in tests.
//
// The flag holds from a call that sets it to the next call that takes it: no other chain, and no
// 128-bit arithmetic, in between. What ptxas makes of a chain is pinned by kernels/sass_budget.txt:
// a product and the words it is added to, low and high, become one IMAD.WIDE; a saved carry that is
// soon restored stays a predicate, but more than two of them at once are spilled.
#pragma once

#include <stdint.h>

#include "kernels/carry.h"

namespace colophon::kernels {
namespace {

class CarryChain {
 public:
  // --- products: {high, low} = a·b, alone, added to what is there, with the carry ----------------

  COLOPHON_INLINE void mul_wide(uint32_t& low, uint32_t& high, uint32_t a, uint32_t b) {
#if defined(__CUDA_ARCH__)
    asm volatile("{ .reg .u64 product; mul.wide.u32 product, %2, %3; mov.b64 {%0, %1}, product; }"
                 : "=r"(low), "=r"(high)
                 : "r"(a), "r"(b));
#else
    set(uint64_t{a} * b, low, high);
#endif
  }
  COLOPHON_INLINE void mad_wide_cc(uint32_t& low, uint32_t& high, uint32_t a, uint32_t b) {
#if defined(__CUDA_ARCH__)
    asm volatile("mad.lo.cc.u32 %0, %2, %3, %0; madc.hi.cc.u32 %1, %2, %3, %1;"
                 : "+r"(low), "+r"(high)
                 : "r"(a), "r"(b));
#else
    flag_ = 0;
    madc_wide_cc(low, high, a, b);
#endif
  }
  COLOPHON_INLINE void madc_wide_cc(uint32_t& low, uint32_t& high, uint32_t a, uint32_t b) {
#if defined(__CUDA_ARCH__)
    asm volatile("madc.lo.cc.u32 %0, %2, %3, %0; madc.hi.cc.u32 %1, %2, %3, %1;"
                 : "+r"(low), "+r"(high)
                 : "r"(a), "r"(b));
#else
    const uint64_t product = uint64_t{a} * b + flag_;  // at most (2^32-1)² + 1
    const uint64_t sum = product + (uint64_t{high} << 32 | low);
    flag_ = sum < product ? 1 : 0;
    set(sum, low, high);
#endif
  }
  // Cannot carry: (2^32-1)² + 1 < 2^64, with a high word of at most 2^32 - 2.
  COLOPHON_INLINE void mulc_wide(uint32_t& low, uint32_t& high, uint32_t a, uint32_t b) {
#if defined(__CUDA_ARCH__)
    asm volatile("madc.lo.cc.u32 %0, %2, %3, 0; madc.hi.u32 %1, %2, %3, 0;"
                 : "=r"(low), "=r"(high)
                 : "r"(a), "r"(b));
#else
    set(uint64_t{a} * b + flag_, low, high);
#endif
  }

  // --- sums --------------------------------------------------------------------------------------

  COLOPHON_INLINE void add_cc(uint32_t& out, uint32_t a, uint32_t b) {
#if defined(__CUDA_ARCH__)
    asm volatile("add.cc.u32 %0, %1, %2;" : "=r"(out) : "r"(a), "r"(b));
#else
    flag_ = add_carry32(0, a, b, out);
#endif
  }
  COLOPHON_INLINE void addc_cc(uint32_t& out, uint32_t a, uint32_t b) {
#if defined(__CUDA_ARCH__)
    asm volatile("addc.cc.u32 %0, %1, %2;" : "=r"(out) : "r"(a), "r"(b));
#else
    flag_ = add_carry32(flag_, a, b, out);
#endif
  }
  // The last of a chain: what it carries is dropped.
  COLOPHON_INLINE void addc(uint32_t& out, uint32_t a, uint32_t b) {
#if defined(__CUDA_ARCH__)
    asm volatile("addc.u32 %0, %1, %2;" : "=r"(out) : "r"(a), "r"(b));
#else
    add_carry32(flag_, a, b, out);
#endif
  }

  // --- differences: the flag is the borrow -------------------------------------------------------

  COLOPHON_INLINE void sub_cc(uint32_t& out, uint32_t a, uint32_t b) {
#if defined(__CUDA_ARCH__)
    asm volatile("sub.cc.u32 %0, %1, %2;" : "=r"(out) : "r"(a), "r"(b));
#else
    flag_ = sub_borrow32(0, a, b, out);
#endif
  }
  COLOPHON_INLINE void subc_cc(uint32_t& out, uint32_t a, uint32_t b) {
#if defined(__CUDA_ARCH__)
    asm volatile("subc.cc.u32 %0, %1, %2;" : "=r"(out) : "r"(a), "r"(b));
#else
    flag_ = sub_borrow32(flag_, a, b, out);
#endif
  }
  COLOPHON_INLINE void subc(uint32_t& out, uint32_t a, uint32_t b) {
#if defined(__CUDA_ARCH__)
    asm volatile("subc.u32 %0, %1, %2;" : "=r"(out) : "r"(a), "r"(b));
#else
    sub_borrow32(flag_, a, b, out);
#endif
  }

  // --- a carry kept while another chain runs -----------------------------------------------------

  [[nodiscard]] COLOPHON_INLINE uint32_t save() {
    uint32_t carry;
    addc(carry, 0, 0);
    return carry;
  }
  COLOPHON_INLINE void restore(uint32_t carry) {
    uint32_t none;
    add_cc(none, carry, 0xffffffff);
  }

 private:
  COLOPHON_INLINE static void set(uint64_t value, uint32_t& low, uint32_t& high) {
    low = static_cast<uint32_t>(value);
    high = static_cast<uint32_t>(value >> 32);
  }

  uint32_t flag_ = 0;
};

}  // namespace
}  // namespace colophon::kernels
