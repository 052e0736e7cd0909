// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace colophon::kernels {

// What code compiled with AVX-512 F, BW, DQ, VL, IFMA and VBMI2 needs: the instructions (CPUID) and
// an operating system that saves their registers (XGETBV). Where not, `missing`, if given, is set
// to a static text that says what lacks.
bool cpu_has_avx512(const char** missing = nullptr);
// The same for AVX2 with POPCNT.
bool cpu_has_avx2(const char** missing = nullptr);
// The same for SHA-NI with SSSE3 and SSE4.1, all that its code needs.
bool cpu_has_sha_ni(const char** missing = nullptr);
bool cpu_is_amds();

}  // namespace colophon::kernels
