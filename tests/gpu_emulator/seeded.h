// SPDX-License-Identifier: Apache-2.0
//
// Choices from a seed (splitmix64: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number
// Generators", 2014).
#pragma once

#include <cstdint>

namespace colophon::gpu_emulator {

class Seeded {
 public:
  explicit Seeded(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    state_ += 0x9e37'79b9'7f4a'7c15;
    std::uint64_t z = state_;
    z = (z ^ z >> 30) * 0xbf58'476d'1ce4'e5b9;
    z = (z ^ z >> 27) * 0x94d0'49bb'1331'11eb;
    return z ^ z >> 31;
  }
  // 0 … count − 1, nearly alike for counts far below 2^64.
  std::uint64_t below(std::uint64_t count) { return next() % count; }
  bool one_in(std::uint64_t count) { return below(count) == 0; }

 private:
  std::uint64_t state_;
};

}  // namespace colophon::gpu_emulator
