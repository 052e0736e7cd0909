// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/ecdsa.h"

namespace colophon::test {

extern const kernels::P256Kernels kP256Scalar;

}  // namespace colophon::test
