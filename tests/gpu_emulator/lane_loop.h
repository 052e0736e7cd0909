// SPDX-License-Identifier: Apache-2.0
//
// Inside the executor: an operation on all lanes of rows, in loops that the compiler vectorises.
#pragma once

#include <tuple>
#include <utility>

#include "tests/gpu_emulator/warp.h"

namespace colophon::gpu_emulator {

// Rows are the same or apart: no lane depends on another.
#if defined(__clang__)
#define COLOPHON_LANE_LOOP _Pragma("clang loop vectorize(assume_safety)")
#else
#define COLOPHON_LANE_LOOP _Pragma("GCC ivdep")
#endif

// d[lane] = F::of(s[lane]…) for the lanes of `mask`.
template <class F, class D, class... S>
inline void for_lanes(Warp& warp, LaneMask mask, D* d, const S*... s) {
  if (warp.covers(mask)) {
    COLOPHON_LANE_LOOP
    for (unsigned i = 0; i < kLanes; ++i) d[i] = F::of(s[i]...);
  } else {
    const D* const on = warp.on<D>(mask);
    COLOPHON_LANE_LOOP
    for (unsigned i = 0; i < kLanes; ++i) {
      d[i] = static_cast<D>((F::of(s[i]...) & on[i]) | (d[i] & ~on[i]));
    }
  }
}

// Row 0 of the operation from rows 1, 2, ….
template <class F, class D, class... S>
Step elementwise(Warp& warp, const Op& op, LaneMask mask) {
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    for_lanes<F>(warp, mask, warp.row<D>(op.row[0]), warp.row<const S>(op.row[1 + I])...);
  }(std::index_sequence_for<S...>());
  return Step::kNext;
}

// Bit i: whether value[i], 0 or 1, is 1.
inline LaneMask pack_bits(const std::uint8_t (&value)[kLanes]) {
  LaneMask mask = 0;
  for (unsigned i = 0; i < kLanes; i += 8) {
    std::uint64_t eight;
    std::memcpy(&eight, value + i, 8);
    // Byte k comes to bit 56 + k: 8k + (56 - 7k).
    mask |= static_cast<LaneMask>((eight * 0x0102040810204080) >> 56) << i;
  }
  return mask;
}

}  // namespace colophon::gpu_emulator
