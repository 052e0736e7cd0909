// SPDX-License-Identifier: Apache-2.0
#include "kernels/field_scalar.h"
#include "tests/kernels/field_probe_body.h"

namespace colophon::test {

const FieldProbe kScalarPrime = probe<kernels::FieldScalar<kernels::P256Prime>, kernels::P256Prime>(
    "FieldScalar, P-256's prime", 32);
const FieldProbe kScalarOrder = probe<kernels::FieldScalar<kernels::P256Order>, kernels::P256Order>(
    "FieldScalar, P-256's order", 32);

}  // namespace colophon::test
