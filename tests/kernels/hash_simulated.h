// SPDX-License-Identifier: Apache-2.0
//
// The kernels that run in the lanes of a wide CPU, in as many lanes of portable words; and Keccak
// with the padding of SHA3-256, which OpenSSL knows.
#pragma once

#include "kernels/hash.h"

namespace colophon::kernels {

extern const HashKernel kSha256Simulated;
extern const HashKernel kSha512Simulated;
extern const HashKernel kSm3Simulated;
extern const HashKernel kBlake3Simulated;
extern const HashKernel kKeccak256Simulated;
extern const HashKernel kSha3Simulated;
extern const HashKernel kSha3Scalar;

}  // namespace colophon::kernels
