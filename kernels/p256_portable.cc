// SPDX-License-Identifier: Apache-2.0
#include "kernels/ecdsa.h"
#include "kernels/field_wide.h"
#include "kernels/p256_kernels.h"

namespace colophon::kernels {

bool p256_is_on_curve(const uint8_t* point) {
  using F = FieldWide<P256Prime>;
  const auto montgomery = [](const uint64_t number[4]) {
    return F::mul(F::from_words(number), F::square_of_r());
  };
  const auto coordinate = [&montgomery](const uint8_t* bytes) {
    uint64_t word[4];
    F::load_big_endian(&bytes, word);
    return montgomery(word);
  };
  const auto x = coordinate(point);
  const auto y = coordinate(point + 32);
  const auto right = F::mul(F::sqr(x) - F::three(), x) + montgomery(P256::kB.word);
  return F::is_zero(F::sqr(y) - right) != 0;
}

const P256Kernels kP256Portable = P256Instance<FieldWide>::functions("portable");

}  // namespace colophon::kernels
