// SPDX-License-Identifier: Apache-2.0
#include "kernels/ecdsa.h"
#include "kernels/field_wide.h"
#include "kernels/p256_kernels.h"

namespace colophon::kernels {

const P256Kernels kP256Portable = P256Instance<FieldWide>::functions("portable");

}  // namespace colophon::kernels
