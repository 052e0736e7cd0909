// SPDX-License-Identifier: Apache-2.0
//
// Work for the CUDA kernels that no signature brings: numbers at the edges of limbs, where carries
// travel that random numbers meet once in 2^32, wherever a kernel takes numbers in, and at inner
// products, by inputs computed backwards from them. The points are on no curve; the formulas are
// algebra all the same, and what they must give is computed by FieldWide and the portable kernels,
// mod n by OpenSSL's numbers. Each is made once and may be run on any number of GPUs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/kernels/cuda_device_under_test.h"

namespace colophon::test {

// r and s in [1, n - 1] and any e; also s whose inverses are edges, alone in their product.
class ScalarsAtEdges {
 public:
  ScalarsAtEdges(std::uint64_t seed, std::size_t count, const Shape& shape);
  void expect_right(Gpu& gpu) const;

 private:
  Shape shape_;
  std::vector<P256CudaSignature> signatures_;
  std::vector<std::uint32_t> scalars_;
};

// Tables whose rows are any numbers, and scalars that pick them in sequence where rows were made
// for each other.
class SumsAtEdges {
 public:
  SumsAtEdges(std::uint64_t seed, std::size_t count, const Shape& shape);
  void expect_right(Gpu& gpu) const;

 private:
  Shape shape_;
  std::vector<P256CudaSignature> signatures_;
  std::vector<std::uint32_t> scalars_;
  std::vector<std::uint8_t> generator_table_;
  std::vector<std::uint8_t> key_tables_;
  std::size_t keys_ = 0;
  std::vector<bool> valid_;
  std::uint32_t exceptions_ = 0;
};

// Any keys and scalars, and any s, for the complete formulas.
class CompleteSumsAtEdges {
 public:
  CompleteSumsAtEdges(std::uint64_t seed, std::size_t count);
  void expect_right(Gpu& gpu) const;

 private:
  std::vector<P256CudaSignature> signatures_;
  std::vector<P256CudaKey> keys_;
  std::vector<bool> valid_;
};

// Of any points; with one window also of those whose first divisors' inverses are edges, alone in
// their product.
class TablesAtEdges {
 public:
  TablesAtEdges(std::uint64_t seed, std::size_t count, unsigned bits, unsigned windows);
  void expect_right(Gpu& gpu) const;

 private:
  unsigned bits_;
  unsigned windows_;
  std::vector<std::string> points_;
  std::vector<std::vector<std::uint8_t>> tables_;
};

}  // namespace colophon::test
