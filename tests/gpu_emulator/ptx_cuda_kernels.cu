// SPDX-License-Identifier: Apache-2.0
//
// Kernels whose PTX, as nvcc writes it, the emulator's test runs: carry chains in inline assembly,
// shared memory, calls, tables, switches, exchanges of a warp, atomics.
#include "tests/gpu_emulator/ptx_cuda_kernels.h"

namespace colophon::gpu_emulator {
namespace {

// 2^256 - 2^224 + 2^192 + 2^96 - 1, the prime of NIST's P-256.
__device__ const Number256 kPrime = {{0xffffffff, 0xffffffff, 0xffffffff, 0, 0, 0, 1, 0xffffffff}};

// out = a + b + carry in, mod 2^256; returns the carry.
__device__ __forceinline__ uint32_t add256(Number256& out, const Number256& a, const Number256& b) {
  uint32_t carry;
  asm("{\n\t"
      ".reg .u32 zero;\n\t"
      "mov.u32 zero, 0;\n\t"
      "add.cc.u32 %0, %9, %17;\n\taddc.cc.u32 %1, %10, %18;\n\t"
      "addc.cc.u32 %2, %11, %19;\n\taddc.cc.u32 %3, %12, %20;\n\t"
      "addc.cc.u32 %4, %13, %21;\n\taddc.cc.u32 %5, %14, %22;\n\t"
      "addc.cc.u32 %6, %15, %23;\n\taddc.cc.u32 %7, %16, %24;\n\t"
      "addc.u32 %8, zero, zero;\n\t}"
      : "=r"(out.word[0]), "=r"(out.word[1]), "=r"(out.word[2]), "=r"(out.word[3]),
        "=r"(out.word[4]), "=r"(out.word[5]), "=r"(out.word[6]), "=r"(out.word[7]), "=r"(carry)
      : "r"(a.word[0]), "r"(a.word[1]), "r"(a.word[2]), "r"(a.word[3]), "r"(a.word[4]),
        "r"(a.word[5]), "r"(a.word[6]), "r"(a.word[7]), "r"(b.word[0]), "r"(b.word[1]),
        "r"(b.word[2]), "r"(b.word[3]), "r"(b.word[4]), "r"(b.word[5]), "r"(b.word[6]),
        "r"(b.word[7]));
  return carry;
}

// out = a - b mod 2^256; returns all ones for a borrow, else 0.
__device__ __forceinline__ uint32_t sub256(Number256& out, const Number256& a, const Number256& b) {
  uint32_t borrow;
  asm("sub.cc.u32 %0, %9, %17;\n\tsubc.cc.u32 %1, %10, %18;\n\t"
      "subc.cc.u32 %2, %11, %19;\n\tsubc.cc.u32 %3, %12, %20;\n\t"
      "subc.cc.u32 %4, %13, %21;\n\tsubc.cc.u32 %5, %14, %22;\n\t"
      "subc.cc.u32 %6, %15, %23;\n\tsubc.cc.u32 %7, %16, %24;\n\t"
      "subc.u32 %8, 0, 0;"
      : "=r"(out.word[0]), "=r"(out.word[1]), "=r"(out.word[2]), "=r"(out.word[3]),
        "=r"(out.word[4]), "=r"(out.word[5]), "=r"(out.word[6]), "=r"(out.word[7]), "=r"(borrow)
      : "r"(a.word[0]), "r"(a.word[1]), "r"(a.word[2]), "r"(a.word[3]), "r"(a.word[4]),
        "r"(a.word[5]), "r"(a.word[6]), "r"(a.word[7]), "r"(b.word[0]), "r"(b.word[1]),
        "r"(b.word[2]), "r"(b.word[3]), "r"(b.word[4]), "r"(b.word[5]), "r"(b.word[6]),
        "r"(b.word[7]));
  return borrow;
}

// a + b mod p, for a, b < p.
__device__ __forceinline__ Number256 add_mod(const Number256& a, const Number256& b) {
  Number256 sum;
  Number256 less;
  const uint32_t carry = add256(sum, a, b);
  const uint32_t borrow = sub256(less, sum, kPrime);
  const bool take_less = carry != 0 || borrow == 0;
  for (int i = 0; i < 8; ++i) sum.word[i] = take_less ? less.word[i] : sum.word[i];
  return sum;
}

// t += a·b. The factor may be t[0], which changes on the way: it is copied.
__device__ __forceinline__ void accumulate(uint32_t (&t)[10], uint32_t a, const Number256& b) {
  asm("{\n\t.reg .u32 f;\n\tmov.u32 f, %10;\n\t"
      "mad.lo.cc.u32 %0, f, %11, %0;\n\tmadc.lo.cc.u32 %1, f, %12, %1;\n\t"
      "madc.lo.cc.u32 %2, f, %13, %2;\n\tmadc.lo.cc.u32 %3, f, %14, %3;\n\t"
      "madc.lo.cc.u32 %4, f, %15, %4;\n\tmadc.lo.cc.u32 %5, f, %16, %5;\n\t"
      "madc.lo.cc.u32 %6, f, %17, %6;\n\tmadc.lo.cc.u32 %7, f, %18, %7;\n\t"
      "addc.cc.u32 %8, %8, 0;\n\taddc.u32 %9, %9, 0;\n\t"
      "mad.hi.cc.u32 %1, f, %11, %1;\n\tmadc.hi.cc.u32 %2, f, %12, %2;\n\t"
      "madc.hi.cc.u32 %3, f, %13, %3;\n\tmadc.hi.cc.u32 %4, f, %14, %4;\n\t"
      "madc.hi.cc.u32 %5, f, %15, %5;\n\tmadc.hi.cc.u32 %6, f, %16, %6;\n\t"
      "madc.hi.cc.u32 %7, f, %17, %7;\n\tmadc.hi.cc.u32 %8, f, %18, %8;\n\t"
      "addc.u32 %9, %9, 0;\n\t}"
      : "+r"(t[0]), "+r"(t[1]), "+r"(t[2]), "+r"(t[3]), "+r"(t[4]), "+r"(t[5]), "+r"(t[6]),
        "+r"(t[7]), "+r"(t[8]), "+r"(t[9])
      : "r"(a), "r"(b.word[0]), "r"(b.word[1]), "r"(b.word[2]), "r"(b.word[3]), "r"(b.word[4]),
        "r"(b.word[5]), "r"(b.word[6]), "r"(b.word[7]));
}

// a·b/2^256 mod p (Montgomery; -1/p is 1 mod 2^32).
__device__ __noinline__ Number256 mul_mod(const Number256& a, const Number256& b) {
  uint32_t t[10] = {};
  for (int i = 0; i < 8; ++i) {
    accumulate(t, a.word[i], b);
    accumulate(t, t[0], kPrime);
    for (int k = 0; k < 9; ++k) t[k] = t[k + 1];
    t[9] = 0;
  }
  Number256 value;
  Number256 less;
  for (int i = 0; i < 8; ++i) value.word[i] = t[i];
  const uint32_t borrow = sub256(less, value, kPrime);
  return t[8] != 0 || borrow == 0 ? less : value;
}

}  // namespace

extern "C" {

// sums[i] = a[i] + b[i], products[i] = a[i]·b[i]/2^256, totals[block] = Σ of the block's products.
__global__ void __launch_bounds__(kReduceThreads)
    modular(const Number256* a, const Number256* b, Number256* sums, Number256* products,
            Number256* totals, uint32_t count) {
  __shared__ Number256 partial[kReduceThreads];
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  Number256 product = {};
  if (i < count) {
    sums[i] = add_mod(a[i], b[i]);
    product = mul_mod(a[i], b[i]);
    products[i] = product;
  }
  partial[threadIdx.x] = product;
  __syncthreads();
  for (uint32_t half = kReduceThreads / 2; half != 0; half /= 2) {
    if (threadIdx.x < half) {
      partial[threadIdx.x] = add_mod(partial[threadIdx.x], partial[threadIdx.x + half]);
    }
    __syncthreads();
  }
  if (threadIdx.x == 0) totals[blockIdx.x] = partial[0];
}

__constant__ uint32_t primes[8] = {2, 3, 5, 7, 11, 13, 17, 19};
__device__ uint32_t calls;

}  // extern "C"

namespace {

__device__ __noinline__ MixedOptions turned(MixedOptions options, uint32_t by, bool odd) {
  const uint32_t first = options.table[0];
  for (int i = 0; i < 4; ++i) options.table[i] = options.table[i + 1] + by;
  options.table[4] = odd ? ~first : first;
  options.last[by % 3] = static_cast<uint8_t>(first);
  return options;
}

__device__ uint32_t steps_to_one(uint32_t n) {
  if (n == 1) return 0;
  return 1 + steps_to_one(n % 2 == 0 ? n / 2 : 3 * n + 1);
}

}  // namespace

extern "C" {

__global__ void mixed(MixedOptions options, uint32_t* out, const int8_t* bytes, uint64_t* sum) {
  extern __shared__ uint16_t halves[];
  const uint32_t i = threadIdx.x;
  const uint32_t n = blockDim.x;
  uint32_t local[8];
  for (int k = 0; k < 8; ++k) local[k] = i * k + primes[k];
  const MixedOptions mine = turned(options, i, i % 2 == 1);
  uint32_t value = mine.table[i % 5] + mine.last[i % 3] + static_cast<uint32_t>(mine.second);
  value += local[mine.first + i % 5];
  switch (i % 7) {
    case 0:
      value ^= __brev(i);
      break;
    case 1:
      value = __popc(value) + __clz(i + 1);
      break;
    case 2:
      value = __funnelshift_l(value, i, 5);
      break;
    case 3:
      value = __byte_perm(value, 0x01020304, 0x3715);
      break;
    case 4:
      value = static_cast<uint32_t>(static_cast<int32_t>(value) / -3);
      break;
    case 5:
      value = value % (i + 1);
      break;
    default:
      value = __umulhi(value, 0x9e3779b9);
  }
  value += static_cast<uint32_t>(bytes[i]) + steps_to_one(i + 1);
  halves[n - 1 - i] = static_cast<uint16_t>(value);
  __syncthreads();
  value += halves[i];
  const uint32_t lane = i % 32;
  value += __shfl_xor_sync(0xffffffff, value, 5) + __shfl_up_sync(0xffffffff, value, 1);
  if (lane < 16) value += __reduce_add_sync(0xffff, lane);
  value ^= __ballot_sync(0xffffffff, value & 1);
  __shared__ uint32_t largest;
  if (i == 0) largest = 0;
  const int odd = __syncthreads_count(value & 1);
  atomicMax(&largest, value);
  atomicAdd(&calls, 1);
  atomicAdd(reinterpret_cast<unsigned long long*>(sum), options.factor * value);
  __syncthreads();
  out[i] = value + odd + largest;
}

}  // extern "C"
}  // namespace colophon::gpu_emulator
