// SPDX-License-Identifier: Apache-2.0
//
// Signatures over P-256 to measure with: as many different ones as the largest batch has, since a
// few that repeat would find their table rows in the caches. One in sixteen does not verify.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "colophon/error.hpp"
#include "colophon/profile.hpp"
#include "colophon/slices.hpp"

namespace colophon::bench {

// Items of one size, side by side.
class FixedColumn {
 public:
  FixedColumn(std::size_t item_bytes, std::size_t count);
  [[nodiscard]] std::uint8_t* at(std::size_t i) { return bytes_.data() + item_bytes_ * i; }
  [[nodiscard]] const std::uint8_t* at(std::size_t i) const {
    return bytes_.data() + item_bytes_ * i;
  }
  [[nodiscard]] Slices slices(std::size_t first, std::size_t count) const;

 private:
  std::size_t item_bytes_;
  std::vector<std::uint8_t> bytes_;
  std::vector<std::uint64_t> offsets_;
};

// Signature i is by key (i mod key_count).
struct GpuSignatures {
  // On all threads of the machine. Error kInternal: OpenSSL failed.
  [[nodiscard]] static Result<GpuSignatures> make(std::size_t key_count, std::size_t count);

  [[nodiscard]] static bool is_valid(std::size_t i) { return i % 16 != 7; }
  // Verdict i that differs from what it must be, or `count`: all are right.
  [[nodiscard]] static std::size_t first_wrong(const std::vector<Verdict>& verdicts,
                                               std::size_t first, std::size_t count);

  std::size_t key_count, count;
  FixedColumn points;       // x ‖ y of each key
  FixedColumn public_keys;  // SEC 1, uncompressed: one a signature
  FixedColumn r_and_s;
  FixedColumn digests;
};

}  // namespace colophon::bench
