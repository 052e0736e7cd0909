// SPDX-License-Identifier: Apache-2.0
//
// The constants that Montgomery arithmetic modulo a 256-bit prime needs, computed by the compiler
// from the prime itself: nothing here can be mistyped, and no generator has to be kept in step.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernels/host_device.h"

namespace colophon::kernels {
namespace {

// Little-endian words: the value is Σ word[i]·2^(64 i).
struct Words {
  uint64_t word[4];
};

COLOPHON_HOST_DEVICE constexpr bool operator==(const Words& a, const Words& b) {
  for (int i = 0; i < 4; ++i) {
    if (a.word[i] != b.word[i]) return false;
  }
  return true;
}

COLOPHON_HOST_DEVICE constexpr bool less(const Words& a, const Words& b) {
  for (int i = 4; i-- > 0;) {
    if (a.word[i] != b.word[i]) return a.word[i] < b.word[i];
  }
  return false;
}

// a - b mod 2^256.
COLOPHON_HOST_DEVICE constexpr Words minus(const Words& a, const Words& b) {
  Words out{};
  uint64_t borrow = 0;
  for (int i = 0; i < 4; ++i) {
    const uint64_t difference = a.word[i] - b.word[i];
    out.word[i] = difference - borrow;
    borrow = (a.word[i] < b.word[i]) | (difference < borrow);
  }
  return out;
}

// 2a mod m, for a < m.
COLOPHON_HOST_DEVICE constexpr Words twice_mod(const Words& a, const Words& m) {
  Words out{};
  uint64_t carry = 0;
  for (int i = 0; i < 4; ++i) {
    out.word[i] = a.word[i] << 1 | carry;
    carry = a.word[i] >> 63;
  }
  return carry != 0 || !less(out, m) ? minus(out, m) : out;
}

// 3a mod m, for a < m.
COLOPHON_HOST_DEVICE constexpr Words triple_mod(const Words& a, const Words& m) {
  Words out = a;
  Words sum = twice_mod(a, m);
  // sum + out = sum - (m - out), made non-negative.
  const Words rest = minus(m, out);
  return less(sum, rest) ? minus(minus(sum, rest), minus(Words{}, m)) : minus(sum, rest);
}

COLOPHON_HOST_DEVICE constexpr Words power_of_two_mod(unsigned exponent, const Words& m) {
  Words out{{1, 0, 0, 0}};
  for (unsigned i = 0; i < exponent; ++i) out = twice_mod(out, m);
  return out;
}

// a/2 mod m, for a < m, m odd.
COLOPHON_HOST_DEVICE constexpr Words half_mod(const Words& a, const Words& m) {
  Words out = a;
  uint64_t carry = 0;
  if ((a.word[0] & 1) != 0) {
    for (int i = 0; i < 4; ++i) {
      const uint64_t sum = a.word[i] + m.word[i];
      out.word[i] = sum + carry;
      carry = (sum < a.word[i]) | (out.word[i] < carry);
    }
  }
  for (int i = 0; i < 4; ++i) {
    out.word[i] = out.word[i] >> 1 | (i < 3 ? out.word[i + 1] : carry) << 63;
  }
  return out;
}

// -1/m mod 2^64, m odd (Newton: each step doubles the number of right bits).
COLOPHON_HOST_DEVICE constexpr uint64_t negative_inverse(uint64_t m) {
  uint64_t inverse = m;  // right in three bits
  for (int i = 0; i < 5; ++i) inverse *= 2 - m * inverse;
  return ~inverse + 1;
}

// Bits [52 i, 52 i + 52): the value is Σ limb[i]·2^(52 i).
struct Limbs52 {
  uint64_t limb[5];
};

constexpr uint64_t kMask52 = (uint64_t{1} << 52) - 1;

COLOPHON_HOST_DEVICE constexpr Limbs52 limbs_of(const Words& a) {
  return {{a.word[0] & kMask52, (a.word[0] >> 52 | a.word[1] << 12) & kMask52,
           (a.word[1] >> 40 | a.word[2] << 24) & kMask52,
           (a.word[2] >> 28 | a.word[3] << 36) & kMask52, a.word[3] >> 16}};
}

// a·factor, below 2^260.
COLOPHON_HOST_DEVICE constexpr Limbs52 times(const Limbs52& a, uint64_t factor) {
  Limbs52 out{};
  uint64_t carry = 0;
  for (int i = 0; i < 5; ++i) {
    const uint64_t limb = a.limb[i] * factor + carry;
    out.limb[i] = i < 4 ? limb & kMask52 : limb;
    carry = limb >> 52;
  }
  return out;
}

// --- the primes ----------------------------------------------------------------------------------

// NIST P-256 (SP 800-186 §3.2.1.3): the field of the coordinates.
struct P256Prime {
  static constexpr Words kModulus{
      {0xffffffffffffffff, 0x00000000ffffffff, 0x0000000000000000, 0xffffffff00000001}};
};

// The order of its group.
struct P256Order {
  static constexpr Words kModulus{
      {0xf3b9cac2fc632551, 0xbce6faada7179e84, 0xffffffffffffffff, 0xffffffff00000000}};
};

}  // namespace
}  // namespace colophon::kernels
