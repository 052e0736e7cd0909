// SPDX-License-Identifier: Apache-2.0
//
// Many byte strings in one buffer: the shape every batch call takes, because it is what a GPU, a
// SIMD gather and a network buffer can share without a copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace colophon {

using ByteSpan = std::span<const std::uint8_t>;

// Item i is bytes[offsets[i], offsets[i + 1]). `offsets` has one entry more than there are items
// (or is empty: no items), never decreases, and its last entry is at most bytes.size(). The caller
// owns both arrays and keeps them unchanged during the call. Batch calls check the shape before any
// work.
struct Slices {
  ByteSpan bytes;
  std::span<const std::uint64_t> offsets;

  [[nodiscard]] std::size_t size() const noexcept {
    return offsets.empty() ? 0 : offsets.size() - 1;
  }
  // Requires a checked shape and i < size().
  [[nodiscard]] ByteSpan operator[](std::size_t i) const noexcept {
    return bytes.subspan(static_cast<std::size_t>(offsets[i]),
                         static_cast<std::size_t>(offsets[i + 1] - offsets[i]));
  }
};

}  // namespace colophon
