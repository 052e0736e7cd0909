// SPDX-License-Identifier: Apache-2.0
//
// The functions of ecdsa.h over one kind of field: what each p256_*.cc instantiates for its CPU.
#pragma once

#include "kernels/ecdsa.h"
#include "kernels/verify.h"

namespace colophon::kernels {
namespace {

template <template <class> class Field>
struct P256Instance {
  using Verify = Verifier<P256, Field>;
  using F = typename Verify::F;

  static void build(const uint8_t* point, unsigned bits, void* table, void* memory) {
    uint8_t generator[64];
    if (point == nullptr) {
      for (int i = 0; i < 32; ++i) {
        generator[31 - i] = static_cast<uint8_t>(P256::kGx.word[i / 8] >> (8 * (i % 8)));
        generator[63 - i] = static_cast<uint8_t>(P256::kGy.word[i / 8] >> (8 * (i % 8)));
      }
      point = generator;
    }
    build_table<F>(point, bits, static_cast<uint8_t*>(table), memory);
  }

  static size_t verify_memory_bytes(size_t count) {
    const size_t enrolled = Verify::enrolled_bytes(count);
    const size_t unknown = Verify::unknown_bytes(count);
    return enrolled > unknown ? enrolled : unknown;
  }

  static constexpr P256Kernels functions(const char* name) {
    return {name,
            F::kLanes,
            F::kLanes * Verify::kAffineVectorsMin,
            table_size,
            build_table_bytes<F>,
            build,
            verify_memory_bytes,
            Verify::verify_enrolled,
            Verify::verify_unknown};
  }
};

}  // namespace
}  // namespace colophon::kernels
