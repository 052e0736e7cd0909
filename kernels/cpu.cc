// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace colophon::kernels {
namespace {

#if defined(__x86_64__)
// Bits of XCR0: SSE and AVX state; and opmask, ZMM_Hi256 and Hi16_ZMM (Intel SDM vol. 1 §13.3).
constexpr unsigned kAvxState = 0x06;
constexpr unsigned kAvx512State = 0xe6;

unsigned extended_control_register() {
  unsigned low = 0;
  unsigned high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

bool system_saves(unsigned state) {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_OSXSAVE) != 0 &&
         (extended_control_register() & state) == state;
}

// All that the compilers take the options of p256_avx512.cc to allow.
const char* what_avx512_lacks() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (b & bit_AVX512F) == 0) {
    return "the CPU has no AVX-512";
  }
  if ((b & bit_AVX512DQ) == 0) return "the CPU has no AVX-512 DQ";
  if ((b & bit_AVX512BW) == 0) return "the CPU has no AVX-512 BW";
  if ((b & bit_AVX512VL) == 0) return "the CPU has no AVX-512 VL";
  if ((b & bit_AVX512IFMA) == 0) return "the CPU has no AVX-512 IFMA";
  if ((c & bit_AVX512VBMI2) == 0) return "the CPU has no AVX-512 VBMI2";
  if ((b & bit_AVX2) == 0) return "the CPU has no AVX2";
  if ((b & bit_BMI) == 0 || (b & bit_BMI2) == 0) return "the CPU has no BMI1 and BMI2";
  if (!system_saves(kAvx512State)) {
    return "the operating system does not save AVX-512 registers (XCR0)";
  }
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_FMA) == 0 || (c & bit_F16C) == 0 ||
      (c & bit_POPCNT) == 0) {
    return "the CPU has no FMA, F16C and POPCNT";
  }
  return nullptr;
}

const char* what_avx2_lacks() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (b & bit_AVX2) == 0) {
    return "the CPU has no AVX2";
  }
  if (!system_saves(kAvxState)) return "the operating system does not save AVX registers (XCR0)";
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_POPCNT) == 0) return "the CPU has no POPCNT";
  return nullptr;
}

const char* what_sha_ni_lacks() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (b & bit_SHA) == 0) {
    return "the CPU has no SHA-NI";
  }
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_SSSE3) == 0 || (c & bit_SSE4_1) == 0) {
    return "the CPU has no SSSE3 and SSE4.1";
  }
  return nullptr;
}
#else
const char* what_avx512_lacks() { return "this is no x86-64 CPU"; }
const char* what_avx2_lacks() { return "this is no x86-64 CPU"; }
const char* what_sha_ni_lacks() { return "this is no x86-64 CPU"; }
#endif

}  // namespace

bool cpu_has_avx512(const char** missing) {
  static const char* const lacks = what_avx512_lacks();
  if (missing != nullptr) *missing = lacks;
  return lacks == nullptr;
}

bool cpu_has_avx2(const char** missing) {
  static const char* const lacks = what_avx2_lacks();
  if (missing != nullptr) *missing = lacks;
  return lacks == nullptr;
}

bool cpu_has_sha_ni(const char** missing) {
  static const char* const lacks = what_sha_ni_lacks();
  if (missing != nullptr) *missing = lacks;
  return lacks == nullptr;
}

bool cpu_is_amds() {
#if defined(__x86_64__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(0, &a, &b, &c, &d) != 0 && b == signature_AMD_ebx && c == signature_AMD_ecx &&
         d == signature_AMD_edx;
#else
  return false;
#endif
}

}  // namespace colophon::kernels
