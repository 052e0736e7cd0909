// SPDX-License-Identifier: Apache-2.0
#include "kernels/field_lanes.h"
#include "tests/kernels/field_probe_body.h"

namespace colophon::test {

const FieldProbe kLanesPrime = probe<kernels::FieldLanes<kernels::P256Prime>, kernels::P256Prime>(
    "FieldLanes, P-256's prime", 52);
const FieldProbe kLanesOrder = probe<kernels::FieldLanes<kernels::P256Order>, kernels::P256Order>(
    "FieldLanes, P-256's order", 52);

}  // namespace colophon::test
