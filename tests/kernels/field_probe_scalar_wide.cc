// SPDX-License-Identifier: Apache-2.0
//
// FieldScalar with the other form of the reduction.
#define COLOPHON_REDUCE_BY_WIDE 1
#include "kernels/field_scalar.h"
#include "tests/kernels/field_probe_body.h"

namespace colophon::test {

const FieldProbe kScalarWidePrime =
    probe<kernels::FieldScalar<kernels::P256Prime>, kernels::P256Prime>(
        "FieldScalar, wide reduction", 32);

}  // namespace colophon::test
