// SPDX-License-Identifier: Apache-2.0
#include "kernels/field_wide.h"
#include "tests/kernels/field_probe_body.h"

namespace colophon::test {

const FieldProbe kWidePrime = probe<kernels::FieldWide<kernels::P256Prime>, kernels::P256Prime>(
    "FieldWide, P-256's prime", 64);
const FieldProbe kWideOrder = probe<kernels::FieldWide<kernels::P256Order>, kernels::P256Order>(
    "FieldWide, P-256's order", 64);

}  // namespace colophon::test
