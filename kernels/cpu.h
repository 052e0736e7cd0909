// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace colophon::kernels {

// What code compiled with AVX-512 F, DQ, VL, IFMA and VBMI2 needs: the instructions (CPUID) and an
// operating system that saves their registers (XGETBV). Where not, `missing`, if given, is set to a
// static text that says what lacks.
bool cpu_has_avx512(const char** missing = nullptr);

}  // namespace colophon::kernels
