// SPDX-License-Identifier: Apache-2.0
//
// The verification text over FieldScalar. No backend uses it on a CPU.
#include "tests/kernels/p256_scalar.h"

#include "kernels/field_scalar.h"
#include "kernels/p256_kernels.h"

namespace colophon::test {

const kernels::P256Kernels kP256Scalar =
    kernels::P256Instance<kernels::FieldScalar>::functions("scalar");

}  // namespace colophon::test
