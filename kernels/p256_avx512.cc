// SPDX-License-Identifier: Apache-2.0
#include "kernels/ecdsa.h"
#include "kernels/field_lanes.h"
#include "kernels/p256_kernels.h"

namespace colophon::kernels {

const P256Kernels kP256Avx512 = P256Instance<FieldLanes>::functions("avx512");

}  // namespace colophon::kernels
