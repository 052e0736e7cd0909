// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "backend_implementation.h"
#include "colophon/verifier.hpp"

namespace colophon {

// verify_batch on a backend that need not have passed its self-test: what the self-test itself
// calls.
[[nodiscard]] Result<void> verify_batch_on(const BackendImplementation& implementation,
                                           const VerifyBatch& batch, std::span<Verdict> verdicts);

}  // namespace colophon
