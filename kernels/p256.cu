// SPDX-License-Identifier: Apache-2.0
//
// The kernels of p256_cuda.h: the formulas of curve.h over FieldScalar, an element a thread.
//
// What is inverted is gathered first, in a thread, then over its block, so that one warp inverts
// for all (a warp that inverts for one thread costs what inverting for 32 does). Lanes do not part
// ways but where a signature meets an exception.
#include "kernels/comb.h"
#include "kernels/curve.h"
#include "kernels/field_scalar.h"
#include "kernels/p256_cuda.h"
#include "kernels/verify.h"

namespace colophon::kernels {
namespace {

using F = FieldScalar<P256Prime>;
using N = FieldScalar<P256Order>;
using Verify = Verifier<P256, FieldScalar>;
using Element = F::E;
using Scalar = N::E;
using Point = Affine<F>;

constexpr unsigned kWarp = 32;

__device__ uint32_t thread_index() { return blockIdx.x * blockDim.x + threadIdx.x; }

// --- memory --------------------------------------------------------------------------------------

// A number of eight words, the most significant byte first.
template <class P>
__device__ ScalarElement<P> load_number(const uint32_t* words) {
  ScalarElement<P> out;
  COLOPHON_UNROLL
  for (int i = 0; i < 8; ++i) out.limb[i] = __byte_perm(words[7 - i], 0, 0x0123);
  return out;
}

// Sixteen bytes at a time, of the device's memory.
__device__ Element load_element(const void* memory) {
  __builtin_assume(__isGlobal(memory));
  const uint4* const at = static_cast<const uint4*>(memory);
  const uint4 low = at[0];
  const uint4 high = at[1];
  return {{low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w}};
}
__device__ void store_element(void* memory, const Element& a) {
  __builtin_assume(__isGlobal(memory));
  uint4* const at = static_cast<uint4*>(memory);
  at[0] = {a.limb[0], a.limb[1], a.limb[2], a.limb[3]};
  at[1] = {a.limb[4], a.limb[5], a.limb[6], a.limb[7]};
}
__device__ Point load_point(const void* row) {
  return {load_element(row), load_element(static_cast<const uint8_t*>(row) + 32)};
}
__device__ void store_point(void* row, const Point& point) {
  store_element(row, point.x);
  store_element(static_cast<uint8_t*>(row) + 32, point.y);
}
// From a table that no kernel in flight writes.
__device__ Point load_table_row(const uint8_t* row) {
  const uint4* const at = reinterpret_cast<const uint4*>(row);
  uint4 part[4];
  COLOPHON_UNROLL
  for (int i = 0; i < 4; ++i) part[i] = __ldg(at + i);
  Point out;
  COLOPHON_UNROLL
  for (int i = 0; i < 2; ++i) {
    out.x.limb[4 * i] = part[i].x, out.x.limb[4 * i + 1] = part[i].y;
    out.x.limb[4 * i + 2] = part[i].z, out.x.limb[4 * i + 3] = part[i].w;
    out.y.limb[4 * i] = part[2 + i].x, out.y.limb[4 * i + 1] = part[2 + i].y;
    out.y.limb[4 * i + 2] = part[2 + i].z, out.y.limb[4 * i + 3] = part[2 + i].w;
  }
  return out;
}

// --- inversion -----------------------------------------------------------------------------------

// R²/value for every thread of the block, none of whose values is zero. Products go up a binary
// tree in shared memory to the 32 nodes that one warp inverts, and quotients come down.
template <class Field, class E = typename Field::E>
__device__ E block_inverse(const E& value, E* tree) {
  const uint32_t thread = threadIdx.x;
  tree[kP256CudaThreads + thread] = value;
#pragma unroll 1
  for (uint32_t n = kP256CudaThreads / 2; n >= kWarp; n /= 2) {
    __syncthreads();
    if (thread < n) {
      const uint32_t node = n + thread;
      tree[node] = Field::mul(tree[2 * node], tree[2 * node + 1]);
    }
  }
  if (thread < kWarp) tree[kWarp + thread] = Field::inverse_vartime(tree[kWarp + thread]);
  E inverse;
#pragma unroll 1
  for (uint32_t n = 2 * kWarp; n <= kP256CudaThreads; n *= 2) {
    const uint32_t node = n + thread;
    __syncthreads();
    if (thread < n) inverse = Field::mul(tree[node / 2], tree[node ^ 1]);
    __syncthreads();
    if (thread < n) tree[node] = inverse;
  }
  return inverse;
}

// --- scalars -------------------------------------------------------------------------------------

__constant__ RecodingOffsets recoding = recoding_offsets<P256Order>();

// The number k' whose digits pick the rows (comb.h), its limbs `stride` words apart.
__device__ void store_recoded(const Scalar& half, uint32_t bits, uint32_t stride, uint32_t* out) {
  const Scalar recoded = half + N::constant(recoding.of_bits[bits]);
  COLOPHON_UNROLL
  for (int i = 0; i < 8; ++i) out[size_t{stride} * i] = recoded.limb[i];
}

template <uint32_t kEach>
__device__ void scalars(const P256CudaBatch& batch, Scalar* tree) {
  const uint32_t first = blockIdx.x * kP256CudaThreads * kEach + threadIdx.x;
  const auto s_of = [&](uint32_t i) {
    return i < batch.count ? load_number<P256Order>(batch.signatures[i].s) : N::one();
  };
  Scalar before[kEach];  // products of the s before
  Scalar product = s_of(first);
  COLOPHON_UNROLL
  for (uint32_t k = 1; k < kEach; ++k) {
    before[k] = product;
    product = N::mul(product, s_of(first + k * kP256CudaThreads));
  }
  // s is no Montgomery form, and the recoding wants halves: both are mended by this one factor.
  constexpr Words kHalf = half_mod(Words{{1, 0, 0, 0}}, P256Order::kModulus);
  Scalar inverse = N::mul(block_inverse<N>(product, tree), N::constant(kHalf));
  COLOPHON_UNROLL
  for (uint32_t k = kEach; k-- > 0;) {
    const uint32_t i = first + k * kP256CudaThreads;
    const Scalar half_over_s = k == 0 ? inverse : N::mul(inverse, before[k]);
    if (k > 0) inverse = N::mul(inverse, s_of(i));
    if (i >= batch.count) continue;
    const P256CudaSignature& signature = batch.signatures[i];
    const Scalar e = N::below_m(0, load_number<P256Order>(signature.e));
    const Scalar r = load_number<P256Order>(signature.r);
    uint32_t* const out = batch.scalars + i;
    store_recoded(N::mul(e, half_over_s), batch.generator_bits, batch.count, out);
    store_recoded(N::mul(r, half_over_s), batch.key_bits, batch.count,
                  out + size_t{batch.count} * 8);
  }
}

// --- verification --------------------------------------------------------------------------------

__device__ uint32_t all_windows(const P256CudaBatch& batch) {
  return window_count(batch.generator_bits) + window_count(batch.key_bits);
}

struct Row {
  const uint8_t* address;
  F::Mask is_negative;
};

// The table rows of a signature's windows, the generator's first. What can be had from the kernel's
// arguments is not kept: registers are short in the loops.
class Rows {
 public:
  __device__ Rows(const P256CudaBatch& batch, uint32_t i)
      : batch_(batch),
        i_(i),
        key_(reinterpret_cast<const uint8_t*>(batch.keys[batch.signatures[i].key].table)) {}

  // `is_one`: all windows of the key take their rows from its first.
  __device__ Row find(uint32_t window, bool is_one = false) const {
    const uint32_t generator_windows = window_count(batch_.generator_bits);
    const bool is_key = window >= generator_windows;
    const uint32_t bits = is_key ? batch_.key_bits : batch_.generator_bits;
    const uint32_t index = is_key ? window - generator_windows : window;
    const uint32_t at = bits * index;
    const uint32_t limb = at / 32;
    const uint32_t place = batch_.count * (limb + (is_key ? 8 : 0)) + i_;
    const uint32_t low = batch_.scalars[place];
    const uint32_t high = batch_.scalars[limb < 7 ? place + batch_.count : place];
    const uint32_t digit = __funnelshift_r(low, limb < 7 ? high : 0, at % 32) & ((1U << bits) - 1);
    const uint32_t is_negative = (digit >> (bits - 1)) ^ 1;
    const uint32_t row = (digit ^ (0 - is_negative)) & ((1U << (bits - 1)) - 1);
    const uint32_t first = is_key && is_one ? 0 : index << (bits - 1);  // below 2^20
    const uint8_t* const table = is_key ? key_ : static_cast<const uint8_t*>(batch_.generator);
    return {table + size_t{kRowBytes} * (first + row), static_cast<F::Mask>(is_negative)};
  }

 private:
  const P256CudaBatch& batch_;
  uint32_t i_;
  const uint8_t* key_;
};

// X/D is the sum's x, unless D is zero: an exception.
__device__ void decide(const P256CudaBatch& batch, uint32_t i, const Element& x, const Element& d) {
  const bool is_exception = F::is_zero(d) != 0;
  F::Word r[4];
  F::to_words(load_number<P256Prime>(batch.signatures[i].r), r);
  const F::Mask is_valid = Verify::matches(r, x, d);
  batch.verdicts[i] = !is_exception && is_valid != 0 ? 1 : 0;
  if (is_exception) batch.exceptions[1 + atomicAdd(batch.exceptions, 1)] = i;
}

// The sum of every `step`-th row from `first` on.
__device__ Xyzz<F> sum_rows(const Rows& rows, uint32_t first, uint32_t step, uint32_t windows) {
  Row row = rows.find(first);
  Point point[1] = {load_table_row(row.address)};
  Xyzz<F> sum[1] = {{point[0].x, F::negate_if(row.is_negative, point[0].y), F::one(), F::one()}};
#pragma unroll 1
  for (uint32_t window = first + step; window < windows; window += step) {
    row = rows.find(window);
    point[0] = load_table_row(row.address);
    const F::Mask negative[1] = {row.is_negative};
    add_mixed<F, 1>(sum, point, negative);
  }
  return sum[0];
}

// The sum of the lanes whose indices differ in `bit` only.
__device__ Xyzz<F> sum_of_two(const Xyzz<F>& own, uint32_t bit) {
  Xyzz<F> other;
  const auto shuffle = [bit](const Element& a, Element& out) {
    COLOPHON_UNROLL
    for (int i = 0; i < 8; ++i) out.limb[i] = __shfl_xor_sync(0xffffffff, a.limb[i], bit);
  };
  shuffle(own.x, other.x);
  shuffle(own.y, other.y);
  shuffle(own.zz, other.zz);
  shuffle(own.zzz, other.zzz);
  return add(own, other);
}

}  // namespace

__global__ void __launch_bounds__(kP256CudaThreads) p256_cuda_scalars(P256CudaBatch batch) {
  __shared__ Scalar tree[2 * kP256CudaThreads];
  scalars<kP256CudaScalarsEach>(batch, tree);
}

__global__ void __launch_bounds__(kP256CudaThreads) p256_cuda_scalars_each(P256CudaBatch batch) {
  __shared__ Scalar tree[2 * kP256CudaThreads];
  scalars<1>(batch, tree);
}

__global__ void __launch_bounds__(kP256CudaVerifyThreads, 5)
    p256_cuda_verify_enrolled(P256CudaBatch batch) {
  const uint32_t i = thread_index();
  if (i >= batch.count) return;
  const Xyzz<F> sum = sum_rows(Rows(batch, i), 0, 1, all_windows(batch));
  decide(batch, i, sum.x, sum.zz);
}

__global__ void __launch_bounds__(kP256CudaVerifyThreads)
    p256_cuda_verify_split(P256CudaBatch batch) {
  const uint32_t lane = thread_index() % batch.lanes;
  const uint32_t i = thread_index() / batch.lanes;
  const uint32_t at = i < batch.count ? i : batch.count - 1;  // all lanes take part in the shuffles
  Xyzz<F> sum = sum_rows(Rows(batch, at), lane, batch.lanes, all_windows(batch));
#pragma unroll 1
  for (uint32_t bit = batch.lanes / 2; bit > 0; bit /= 2) sum = sum_of_two(sum, bit);
  if (lane == 0 && i < batch.count) decide(batch, i, sum.x, sum.zz);
}

__global__ void __launch_bounds__(kP256CudaVerifyThreads, 5)
    p256_cuda_verify_unknown(P256CudaBatch batch) {
  const uint32_t i = thread_index();
  if (i >= batch.count) return;
  const Rows rows(batch, i);
  const uint32_t windows = all_windows(batch);
  const uint32_t key_windows = window_count(batch.key_bits);
  // The key's windows downwards with doublings in between, then the generator's upwards.
  Row row = rows.find(windows - 1, true);
  Point point = load_table_row(row.address);
  Jacobian<F> sum{point.x, F::negate_if(row.is_negative, point.y), F::one()};
#pragma unroll 1
  for (uint32_t step = 1; step < windows; ++step) {
    const bool is_key = step < key_windows;
    const uint32_t window = is_key ? windows - 1 - step : step - key_windows;
    const uint32_t doublings = is_key ? batch.key_bits : 0;
#pragma unroll 1
    for (uint32_t k = 0; k < doublings; ++k) sum = twice_halved(sum);
    row = rows.find(window, true);
    point = load_table_row(row.address);
    sum = add_mixed(sum, point, row.is_negative);
  }
  decide(batch, i, sum.x, F::sqr(sum.z));
}

__global__ void __launch_bounds__(kP256CudaThreads)
    p256_cuda_verify_exceptions(P256CudaBatch batch) {
  const uint32_t found = batch.exceptions[0];
#pragma unroll 1
  for (uint32_t k = thread_index(); k < found; k += gridDim.x * blockDim.x) {
    const uint32_t i = batch.exceptions[1 + k];
    const P256CudaSignature& signature = batch.signatures[i];
    const EcdsaItem item{reinterpret_cast<const uint8_t*>(signature.r),
                         reinterpret_cast<const uint8_t*>(signature.e),
                         reinterpret_cast<const uint8_t*>(batch.keys[signature.key].x), nullptr};
    Verify::verify_complete_vector(&item, 1, batch.verdicts + i);
  }
}

// --- tables --------------------------------------------------------------------------------------

__global__ void __launch_bounds__(kP256CudaThreads) p256_cuda_bases(P256CudaTables tables) {
  __shared__ Element tree[2 * kP256CudaThreads];
  const uint32_t i = thread_index();
  const bool is_there = i < tables.count;
  const P256CudaKey& key = tables.keys[is_there ? i : 0];
  uint8_t* const table = reinterpret_cast<uint8_t*>(key.table);
  const size_t window_bytes = size_t{kRowBytes} << (tables.bits - 1);
  const auto coordinate = [](const uint32_t* words) {
    return F::mul(load_number<P256Prime>(words), F::square_of_r());
  };
  // Threads without a key only take part in the inversion.
  const uint32_t windows = is_there ? tables.windows : 0;
  Jacobian<F> base{coordinate(key.x), coordinate(key.y), F::one()};
  if (is_there) store_point(table, {base.x, base.y});
  if (tables.windows == 1) return;
  // Until all Z are inverted at once, row 0 keeps X and Y, row 1 Z and the product of those before.
  Element product = F::one();
#pragma unroll 1
  for (uint32_t window = 1; window < windows; ++window) {
#pragma unroll 1
    for (uint32_t k = 0; k < tables.bits; ++k) base = twice_halved(base);
    uint8_t* const row = table + window_bytes * window;
    store_point(row, {base.x, base.y});
    store_point(row + kRowBytes, {base.z, product});
    product = F::mul(product, base.z);
  }
  Element inverse = block_inverse<F>(product, tree);
  if (!is_there) return;
#pragma unroll 1
  for (uint32_t window = tables.windows; window-- > 1;) {
    uint8_t* const row = table + window_bytes * window;
    const Point scaled = load_point(row);
    const Element over_z = F::mul(inverse, load_element(row + kRowBytes + kRowBytes / 2));
    inverse = F::mul(inverse, load_element(row + kRowBytes));
    const Element over_zz = F::sqr(over_z);
    store_point(row, {F::mul(scaled.x, over_zz), F::mul(scaled.y, F::mul(over_zz, over_z))});
  }
}

namespace {

// One of the sums of a phase: of row j and the step 2m·P, or of the step and itself.
struct Addition {
  const uint8_t* first;
  const uint8_t* second;
  uint8_t* sum;
  bool is_doubling;
  bool is_there;
};

class Phase {
 public:
  __device__ explicit Phase(const P256CudaTables& tables)
      : tables_(tables),
        pairs_(tables.count * tables.windows),
        rows_(tables.phase == 0 ? 0 : 1U << (tables.phase - 1)),
        each_(rows_ + (tables.phase + 1 < tables.bits ? 1 : 0)) {}

  // What is not there repeats the first.
  __device__ Addition addition(uint32_t index) const {
    const bool is_there = index / each_ < pairs_;
    const uint32_t pair = is_there ? index / each_ : 0;  // of a key and a window
    const uint32_t j = index % each_;
    const P256CudaKey& key = tables_.keys[pair / tables_.windows];
    uint8_t* const row = reinterpret_cast<uint8_t*>(key.table) +
                         ((pair % tables_.windows) * size_t{kRowBytes} << (tables_.bits - 1));
    uint8_t* const step = step_of(tables_.phase, pair);
    if (j < rows_) {
      uint8_t* const from = row + size_t{kRowBytes} * j;
      return {from, step, from + size_t{kRowBytes} * rows_, false, is_there};
    }
    const uint8_t* const doubled = rows_ == 0 ? row : step;
    return {doubled, doubled, step_of(tables_.phase + 1, pair), true, is_there};
  }

 private:
  // A phase's steps were made by the one before.
  __device__ uint8_t* step_of(uint32_t phase, uint32_t pair) const {
    return static_cast<uint8_t*>(tables_.steps) + size_t{kRowBytes} * ((phase % 2) * pairs_ + pair);
  }

  const P256CudaTables& tables_;
  uint32_t pairs_;
  uint32_t rows_;
  uint32_t each_;
};

__device__ Element divisor_of(const Addition& addition) {
  const uint32_t coordinate = addition.is_doubling ? kRowBytes / 2 : 0;
  const Element a = load_element(addition.first + coordinate);
  const Element b = load_element(addition.second + coordinate);
  return F::select(addition.is_doubling ? 1 : 0, a + b, b - a);
}

}  // namespace

__global__ void __launch_bounds__(kP256CudaThreads) p256_cuda_extend(P256CudaTables tables) {
  __shared__ Element tree[2 * kP256CudaThreads];
  const Phase phase(tables);
  const uint32_t first = blockIdx.x * kP256CudaThreads * kP256CudaAdditionsEach + threadIdx.x;
  Element before[kP256CudaAdditionsEach];  // products of the divisors before
  Element product = divisor_of(phase.addition(first));
  COLOPHON_UNROLL
  for (uint32_t k = 1; k < kP256CudaAdditionsEach; ++k) {
    before[k] = product;
    product = F::mul(product, divisor_of(phase.addition(first + k * kP256CudaThreads)));
  }
  Element inverse = block_inverse<F>(product, tree);
  COLOPHON_UNROLL
  for (uint32_t k = kP256CudaAdditionsEach; k-- > 0;) {
    const Addition addition = phase.addition(first + k * kP256CudaThreads);
    const Element inverted = k == 0 ? inverse : F::mul(inverse, before[k]);
    if (k > 0) inverse = F::mul(inverse, divisor_of(addition));
    const Point p = load_point(addition.first);
    const Point q = load_point(addition.second);
    const Element rise = addition.is_doubling ? tangent<F>(p.x) : q.y - p.y;
    const Point sum = third_point<F>(F::mul(rise, inverted), p, q);
    if (addition.is_there) store_point(addition.sum, sum);
  }
}

}  // namespace colophon::kernels
