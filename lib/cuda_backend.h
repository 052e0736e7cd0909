// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "backend_implementation.h"
#include "cuda_session.h"

namespace colophon {

// The backend `cuda` (or `cuda:1`, …) on one GPU, which it opens when it is first asked whether it
// is supported. ECDSA P-256 is the device's; all else is what `cpu` gives, a backend that outlives
// this one, and so is everything while the device cannot be used.
[[nodiscard]] std::unique_ptr<const BackendImplementation> make_cuda_backend(
    const CudaOptions& options, const BackendImplementation& (*cpu)());

}  // namespace colophon
