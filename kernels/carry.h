// SPDX-License-Identifier: Apache-2.0
//
// Carry primitives: additions and products whose carries are values, not flags. What the compiler
// makes of those for 64-bit words is an adc/mulx chain on x86-64 and adds/adcs with umulh on arm64.
//
// Everything in kernels/*.h has internal linkage on purpose (unnamed namespaces): each translation
// unit is compiled for its own instruction set, and a weak symbol shared by two of them could put
// AVX-512 code into a program that runs without AVX-512. A test reads the objects' symbols.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernels/host_device.h"

// Of the compilers of a .cu file one knows no x86, and both must see the same text.
#if defined(__x86_64__) && !defined(__CUDACC__)
#define COLOPHON_X86_CARRIES 1
#include <immintrin.h>
#else
#define COLOPHON_X86_CARRIES 0
#endif

namespace colophon::kernels {
namespace {

__extension__ typedef unsigned __int128 Product128;

// out = a + b + carry (0 or 1); returns the carry out.
COLOPHON_INLINE unsigned char add_carry(unsigned char carry, uint64_t a, uint64_t b,
                                        uint64_t& out) {
#if COLOPHON_X86_CARRIES
  unsigned long long sum;
  const unsigned char carry_out = _addcarry_u64(carry, a, b, &sum);
  out = sum;
  return carry_out;
#else
  const Product128 sum = Product128{a} + b + carry;
  out = static_cast<uint64_t>(sum);
  return static_cast<unsigned char>(sum >> 64);
#endif
}

// out = a - b - borrow (0 or 1); returns the borrow out.
COLOPHON_INLINE unsigned char sub_borrow(unsigned char borrow, uint64_t a, uint64_t b,
                                         uint64_t& out) {
#if COLOPHON_X86_CARRIES
  unsigned long long difference;
  const unsigned char borrow_out = _subborrow_u64(borrow, a, b, &difference);
  out = difference;
  return borrow_out;
#else
  const Product128 difference = Product128{a} - b - borrow;
  out = static_cast<uint64_t>(difference);
  return static_cast<unsigned char>(difference >> 64) & 1;
#endif
}

// The low word of a·b; the high one in `high`.
COLOPHON_INLINE uint64_t mul_wide(uint64_t a, uint64_t b, uint64_t& high) {
#if COLOPHON_X86_CARRIES && defined(__BMI2__)
  unsigned long long top;
  const uint64_t low = _mulx_u64(a, b, &top);
  high = top;
  return low;
#else
  const Product128 product = Product128{a} * b;
  high = static_cast<uint64_t>(product >> 64);
  return static_cast<uint64_t>(product);
#endif
}

// The same for 32-bit words.
COLOPHON_INLINE uint32_t add_carry32(uint32_t carry, uint32_t a, uint32_t b, uint32_t& out) {
  const uint64_t sum = uint64_t{a} + b + carry;
  out = static_cast<uint32_t>(sum);
  return static_cast<uint32_t>(sum >> 32);
}
COLOPHON_INLINE uint32_t sub_borrow32(uint32_t borrow, uint32_t a, uint32_t b, uint32_t& out) {
  const uint64_t difference = uint64_t{a} - b - borrow;
  out = static_cast<uint32_t>(difference);
  return static_cast<uint32_t>(difference >> 32) & 1;
}

}  // namespace
}  // namespace colophon::kernels
