// SPDX-License-Identifier: Apache-2.0
//
// ECDSA verification over P-256 as this folder offers it: one table of functions for each
// instruction set. Plain data and functions only, so that the header may be included from code
// compiled for any CPU.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernels/host_device.h"

namespace colophon::kernels {

// Of a table's windows: each further bit doubles a table and saves some of the additions.
constexpr unsigned kWindowBitsMin = 4;
constexpr unsigned kWindowBitsMax = 16;
COLOPHON_HOST_DEVICE constexpr unsigned window_count(unsigned bits) {
  return (256 + bits - 1) / bits;
}
COLOPHON_HOST_DEVICE constexpr unsigned row_count(unsigned bits) {
  return 1U << (bits - 1);
}  // in each

// Views; all memory is the caller's.
struct EcdsaItem {
  const uint8_t* signature;  // r ‖ s, 32 bytes each, big-endian, both in [1, n - 1]
  const uint8_t* digest;     // e, 32 bytes, big-endian
  const uint8_t* point;      // the key: x ‖ y, 32 bytes each, big-endian, on the curve
  const void* table;         // its table (verify_enrolled), else unused
};

struct P256Kernels {
  const char* name;  // of the instruction set: "avx512", "portable"
  unsigned lanes;    // signatures a vector
  size_t large_min;  // from so many signatures on a batch is computed another way

  // Window widths: kWindowBitsMin to kWindowBitsMax. A table is aligned to 64 bytes,
  // read-only once built, and of use to these functions only.
  size_t (*table_bytes)(unsigned bits);
  size_t (*build_memory_bytes)(unsigned bits);
  // `point` as in EcdsaItem, or null for the generator. `memory` is aligned to 64 bytes and
  // scratch.
  void (*build_table)(const uint8_t* point, unsigned bits, void* table, void* memory);

  // valid[i] = 1 or 0 for items[i]; count is 1 to kVerifyCountMax. `generator` is the generator's
  // table of generator_bits; every item's table is one of key_bits. `memory` as above,
  // verify_memory_bytes(count).
  size_t (*verify_memory_bytes)(size_t count);
  void (*verify_enrolled)(const EcdsaItem* items, size_t count, unsigned key_bits,
                          const void* generator, unsigned generator_bits, uint8_t* valid,
                          void* memory);
  void (*verify_unknown)(const EcdsaItem* items, size_t count, const void* generator,
                         unsigned generator_bits, uint8_t* valid, void* memory);
};

// 512 vectors of eight: their records (1.6 KB each) stay in a second-level cache.
constexpr size_t kVerifyCountMax = 4096;

// Whether x ‖ y, 32 bytes each, big-endian, both below p, is a point of the curve.
bool p256_is_on_curve(const uint8_t* point);

extern const P256Kernels kP256Avx512;  // call it only where cpu_has_avx512() (cpu.h)
extern const P256Kernels kP256Portable;

}  // namespace colophon::kernels
