// SPDX-License-Identifier: Apache-2.0
//
// Work for the CUDA kernels that no signature brings: numbers at the edges of limbs, where carries
// travel that random numbers meet once in 2^32, at every place where a kernel takes numbers in. The
// points are on no curve; the formulas are algebra all the same, and what they must give is
// computed by FieldWide, or by OpenSSL's numbers mod n.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tests/kernels/cuda_device_under_test.h"

namespace colophon::test {

// Of any r and s in [1, n - 1] and any e.
void expect_scalars_at_edges(Gpu& gpu, std::uint64_t seed, std::size_t count, const Shape& shape);

// Tables whose rows are any numbers, and signatures that take any of them.
void expect_sums_at_edges(Gpu& gpu, std::uint64_t seed, std::size_t count, const Shape& shape);

// Any keys and scalars.
void expect_complete_sums_at_edges(Gpu& gpu, std::uint64_t seed, std::size_t count);

// Of any points.
void expect_tables_at_edges(Gpu& gpu, std::uint64_t seed, std::size_t count, unsigned bits,
                            unsigned windows);

}  // namespace colophon::test
