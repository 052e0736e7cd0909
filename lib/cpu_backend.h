// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "backend_implementation.h"
#include "kernels/ecdsa.h"

namespace colophon {

// A backend on `kernels`, with tables and a budget of its own, which outlives every key enrolled on
// it. `what` goes into the description. None of the kernels' functions is called before one of
// prepare_key and verify: the CPU may not be able to run them.
[[nodiscard]] std::unique_ptr<const BackendImplementation> make_cpu_backend(
    const kernels::P256Kernels& kernels, std::string what, bool needs_avx512);

}  // namespace colophon
