// SPDX-License-Identifier: Apache-2.0
//
// For tests of P256Tables without mathematics: keys that are numbers, and what tables of theirs
// would take.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "backend_implementation.h"

namespace colophon::test {

inline PublicKey key_number(std::uint32_t number) {
  PublicKey key;
  std::memcpy(key.bytes.data() + 20, &number, sizeof(number));
  return key;
}

inline std::size_t pretended_table_bytes(unsigned bits) {
  return std::size_t{64} * ((256 + bits - 1) / bits) << (bits - 1);
}

}  // namespace colophon::test
