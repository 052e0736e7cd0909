// SPDX-License-Identifier: Apache-2.0
//
// One operation in a loop each, with both forms of the reduction: for scripts/sass-budget to count
// what the arithmetic of the CUDA kernels costs in instructions, and for p256_cuda_test to try it.
#include "kernels/curve.h"
#include "kernels/field_scalar.h"

namespace colophon::kernels {
namespace {

using F = FieldScalar<P256Prime>;
using N = FieldScalar<P256Order>;

template <class Value, class Operation>
__device__ void repeat(Value* values, int count, Operation operation) {
  Value a = values[threadIdx.x];
  const Value b = values[threadIdx.x + blockDim.x];
#pragma unroll 1
  for (int i = 0; i < count; ++i) a = operation(a, b);
  values[threadIdx.x] = a;
}

}  // namespace

extern "C" {

__global__ void probe_p_multiply(F::E* values, int count) {
  repeat(values, count, [](const F::E& a, const F::E& b) { return F::mul(a, b); });
}
__global__ void probe_p_square(F::E* values, int count) {
  repeat(values, count, [](const F::E& a, const F::E&) { return F::sqr(a); });
}
__global__ void probe_p_add(F::E* values, int count) {
  repeat(values, count, [](const F::E& a, const F::E& b) { return a + b; });
}
__global__ void probe_p_subtract(F::E* values, int count) {
  repeat(values, count, [](const F::E& a, const F::E& b) { return a - b; });
}
// a·b - b.
__global__ void probe_p_multiply_minus(F::E* values, int count) {
  repeat(values, count, [](const F::E& a, const F::E& b) { return F::mul_minus(a, b, b); });
}
// a·b - b², reduced once.
__global__ void probe_p_multiply_subtract(F::E* values, int count) {
  repeat(values, count, [](const F::E& a, const F::E& b) { return F::mul_sub(a, b, b, b); });
}
__global__ void probe_n_multiply(N::E* values, int count) {
  repeat(values, count, [](const N::E& a, const N::E& b) { return N::mul(a, b); });
}

__global__ void __launch_bounds__(128, 5) probe_double(Jacobian<F>* values, int count) {
  repeat(values, count, [](const Jacobian<F>& a, const Jacobian<F>&) { return twice_halved(a); });
}
// With its sign and the loads of a table row.
__global__ void __launch_bounds__(128, 5)
    probe_mixed_addition(Xyzz<F>* values, const uint4* table, const uint32_t* rows, int count) {
  Xyzz<F> sum[1] = {values[threadIdx.x]};
#pragma unroll 1
  for (int i = 0; i < count; ++i) {
    const uint32_t row = rows[i * blockDim.x + threadIdx.x];
    const F::Mask negative[1] = {static_cast<F::Mask>(row >> 31)};
    Affine<F> point[1];
    for (int k = 0; k < 2; ++k) {
      const uint4 x = __ldg(table + size_t{row & 0xfffff} * 4 + k);
      const uint4 y = __ldg(table + size_t{row & 0xfffff} * 4 + 2 + k);
      const uint32_t words_x[4] = {x.x, x.y, x.z, x.w};
      const uint32_t words_y[4] = {y.x, y.y, y.z, y.w};
      for (int j = 0; j < 4; ++j) {
        point[0].x.limb[4 * k + j] = words_x[j];
        point[0].y.limb[4 * k + j] = words_y[j];
      }
    }
    add_mixed<F, 1>(sum, point, negative);
  }
  values[threadIdx.x] = sum[0];
}

}  // extern "C"

}  // namespace colophon::kernels
