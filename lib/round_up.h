// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace colophon {

// The next multiple of `unit`.
constexpr std::size_t round_up(std::size_t bytes, std::size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

}  // namespace colophon
