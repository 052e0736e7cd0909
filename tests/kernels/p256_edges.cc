// SPDX-License-Identifier: Apache-2.0
#include "tests/kernels/p256_edges.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "kernels/curve.h"
#include "kernels/field_wide.h"
#include "tests/lib/p256_forge.h"

namespace colophon::test {
namespace {

using Wide = kernels::FieldWide<kernels::P256Prime>;
using Number = std::array<std::uint32_t, 8>;  // the lowest limb first

Number edge_number(std::mt19937_64& random) {
  constexpr std::array<std::uint32_t, 8> kLimbs = {0,          1,          0xffffffff, 0,
                                                   0xffffffff, 0xfffffffe, 0x80000000, 0x7fffffff};
  const std::uint64_t kinds = random() % 3 == 0 ? kLimbs.size() : 3;
  Number number;
  for (auto& limb : number) {
    limb = random() % 12 == 0 ? static_cast<std::uint32_t>(random()) : kLimbs[random() % kinds];
  }
  return number;
}

// Not reduced.
Wide::E as_words(const Number& number) {
  Wide::E out;
  std::memcpy(out.word, number.data(), sizeof(out.word));
  return out;
}

Wide::E reduced(const Number& number) { return Wide::from_words(as_words(number).word); }

// The most significant byte first.
std::string big_endian(const Wide::E& number) {
  std::string bytes(32, '\0');
  for (std::size_t i = 0; i < 32; ++i) {
    bytes[31 - i] = static_cast<char>(number.word[i / 8] >> (8 * (i % 8)));
  }
  return bytes;
}

// x ‖ y; every other one is an edge in Montgomery form.
std::string edge_point(std::mt19937_64& random) {
  std::string point;
  for (int i = 0; i < 2; ++i) {
    Wide::E number = reduced(edge_number(random));
    if (random() % 2 == 0) number = Wide::mul(number, {{1, 0, 0, 0}});
    point += big_endian(number);
  }
  return point;
}

// --- scalars -------------------------------------------------------------------------------------

// Of any r and s in [1, n - 1] and any e.
}  // namespace

void expect_scalars_at_edges(Gpu& gpu, std::uint64_t seed, std::size_t count, const Shape& shape) {
  P256Forge forge(seed);
  std::mt19937_64 random(seed);
  std::vector<P256CudaSignature> signatures;
  std::vector<std::uint32_t> expected(16 * count);
  const auto number_in_range = [&] {
    for (;;) {
      std::string bytes = big_endian(as_words(edge_number(random)));
      if (in_range(forge, bytes)) return bytes;
    }
  };
  const auto recode = [&](const Bn& u, unsigned bits, std::size_t row, std::size_t place) {
    const unsigned windows = kernels::window_count(bits);
    const Bn k =
        forge.over(forge.add(u, forge.sub(forge.power_of_two(bits * windows), forge.number(1))),
                   forge.number(2));
    const std::string bytes = P256Forge::bytes(k);
    for (std::size_t i = 0; i < 32; ++i) {
      expected[(row + i / 4) * count + place] |=
          std::uint32_t{static_cast<unsigned char>(bytes[31 - i])} << (8 * (i % 4));
    }
  };
  for (std::size_t i = 0; i < count; ++i) {
    const std::string r = number_in_range();
    const std::string s = number_in_range();
    const std::string e = big_endian(as_words(edge_number(random)));
    signatures.push_back(cuda_signature(r + s, e, 0));
    const Bn divisor(BN_bin2bn(Referee::data(s), 32, nullptr));
    recode(forge.over(Bn(BN_bin2bn(Referee::data(e), 32, nullptr)), divisor), shape.generator_bits,
           0, i);
    recode(forge.over(Bn(BN_bin2bn(Referee::data(r), 32, nullptr)), divisor), shape.table_bits(), 8,
           i);
  }
  Batch batch(gpu.device(), signatures, {P256CudaKey{}}, 0, shape);
  batch.make_scalars();
  if (batch.scalars() != expected) {
    throw WrongResult("wrong scalars: " + text_of(shape) + ", batch of " + std::to_string(count));
  }
}

namespace {

// --- sums of rows --------------------------------------------------------------------------------

// Tables whose rows are any numbers.
class RiggedRows {
 public:
  RiggedRows(std::mt19937_64& random, unsigned bits, unsigned windows)
      : bits_(bits), is_one_(windows == 1), rows_(std::size_t{windows} << (bits - 1)) {
    for (auto& row : rows_) {
      row = {reduced(edge_number(random)), reduced(edge_number(random))};
    }
  }
  [[nodiscard]] const std::vector<kernels::Affine<Wide>>& rows() const { return rows_; }
  // That of a window, by the digits of `scalar`, y negated where they say so.
  [[nodiscard]] kernels::Affine<Wide> find(const Number& scalar, unsigned window) const {
    unsigned digit = 0;
    for (unsigned i = 0; i < bits_; ++i) {
      const unsigned at = bits_ * window + i;
      if (at < 256) digit |= (scalar[at / 32] >> at % 32 & 1) << i;
    }
    const unsigned half = 1U << (bits_ - 1);
    const bool is_negative = digit < half;
    const unsigned row = is_negative ? half - 1 - digit : digit - half;
    kernels::Affine<Wide> point = rows_[(is_one_ ? 0 : window * half) + row];
    if (is_negative) point.y = Wide::zero() - point.y;
    return point;
  }

 private:
  unsigned bits_;
  bool is_one_;
  std::vector<kernels::Affine<Wide>> rows_;
};
static_assert(sizeof(kernels::Affine<Wide>) == kTableRowBytes);

struct Quotient {
  Wide::E x, d;
};

kernels::Xyzz<Wide> first_sum(const kernels::Affine<Wide>& point) {
  return {point.x, point.y, Wide::one(), Wide::one()};
}

// As the three kernels add them up.
Quotient sum_of(const std::vector<kernels::Affine<Wide>>& rows, unsigned lanes) {
  std::vector<kernels::Xyzz<Wide>> sums;
  for (unsigned lane = 0; lane < lanes; ++lane) {
    kernels::Xyzz<Wide> sum[1] = {first_sum(rows[lane])};
    for (std::size_t k = lane + lanes; k < rows.size(); k += lanes) {
      const kernels::Affine<Wide> point[1] = {rows[k]};
      const Wide::Mask positive[1] = {0};
      kernels::add_mixed<Wide, 1>(sum, point, positive);
    }
    sums.push_back(sum[0]);
  }
  for (unsigned bit = lanes / 2; bit > 0; bit /= 2) {
    for (unsigned lane = 0; lane < bit; ++lane) sums[lane] = add(sums[lane], sums[lane + bit]);
  }
  return {sums[0].x, sums[0].zz};
}
Quotient sum_of_doublings(const std::vector<kernels::Affine<Wide>>& generator,
                          const std::vector<kernels::Affine<Wide>>& key, unsigned bits) {
  kernels::Jacobian<Wide> sum{key.back().x, key.back().y, Wide::one()};
  for (std::size_t k = key.size() - 1; k-- > 0;) {
    for (unsigned i = 0; i < bits; ++i) sum = kernels::twice(sum);
    sum = kernels::add_mixed(sum, key[k], 0);
  }
  for (const auto& point : generator) sum = kernels::add_mixed(sum, point, 0);
  return {sum.x, Wide::sqr(sum.z)};
}

// X/D as a number.
Wide::E number_of(const Quotient& quotient) {
  return Wide::mul(Wide::mul(quotient.x, Wide::inverse_vartime(quotient.d)), {{1, 0, 0, 0}});
}

void expect_verdicts(const Verdicts& verdicts, const std::vector<bool>& valid,
                     std::uint32_t exceptions, const std::string& what) {
  for (std::size_t i = 0; i < valid.size(); ++i) {
    if (verdicts.valid[i] != valid[i]) {
      throw WrongResult("wrong verdict: " + what + ", place " + std::to_string(i));
    }
  }
  if (verdicts.exceptions != exceptions) {
    throw WrongResult(std::to_string(verdicts.exceptions) + " exceptions, not " +
                      std::to_string(exceptions) + ": " + what);
  }
}

// x mod n, as r of a signature, which must be no zero.
std::string r_of(Wide::E x) {
  constexpr kernels::Words kOrder = kernels::P256Order::kModulus;
  kernels::Words words{{x.word[0], x.word[1], x.word[2], x.word[3]}};
  if (!kernels::less(words, kOrder)) words = kernels::minus(words, kOrder);
  return big_endian({{words.word[0], words.word[1], words.word[2], words.word[3]}});
}

}  // namespace

void expect_sums_at_edges(Gpu& gpu, std::uint64_t seed, std::size_t count, const Shape& shape) {
  std::mt19937_64 random(seed);
  const unsigned key_windows = kernels::window_count(shape.table_bits());
  const unsigned generator_windows = kernels::window_count(shape.generator_bits);
  const RiggedRows generator(random, shape.generator_bits, generator_windows);
  const RiggedRows key(random, shape.table_bits(), shape.table_windows());
  std::vector<std::uint32_t> scalars(16 * count);
  std::vector<P256CudaSignature> signatures;
  std::vector<bool> valid;
  std::uint32_t exceptions = 0;
  for (std::size_t i = 0; i < count; ++i) {
    Number k[2];
    for (std::size_t row = 0; row < 16; ++row) {
      k[row / 8][row % 8] = scalars[row * count + i] = static_cast<std::uint32_t>(random());
    }
    std::vector<kernels::Affine<Wide>> of_generator;
    std::vector<kernels::Affine<Wide>> of_key;
    for (unsigned w = 0; w < generator_windows; ++w)
      of_generator.push_back(generator.find(k[0], w));
    for (unsigned w = 0; w < key_windows; ++w) of_key.push_back(key.find(k[1], w));
    Quotient sum;
    if (shape.key_bits == 0) {
      sum = sum_of_doublings(of_generator, of_key, shape.table_bits());
    } else {
      of_generator.insert(of_generator.end(), of_key.begin(), of_key.end());
      sum = sum_of(of_generator, std::max(1U, shape.lanes));
    }
    const bool is_exception = Wide::is_zero(sum.d) != 0;
    std::string r = r_of(is_exception ? Wide::one() : number_of(sum));
    const bool is_altered = i % 8 == 7;
    if (is_altered) r[31] ^= 1;
    exceptions += is_exception ? 1 : 0;
    valid.push_back(!is_exception && !is_altered);
    signatures.push_back(cuda_signature(r + r, r, 0));
  }
  Device& device = gpu.device();
  const DeviceBuffer generator_there(device, device.upload(generator.rows(), "generator"));
  const DeviceBuffer key_there(device, device.upload(key.rows(), "key"));
  device.protect(generator_there.at());
  device.protect(key_there.at());
  P256CudaKey one_key{};
  one_key.table = key_there.at();
  Batch batch(device, signatures, {one_key}, generator_there.at(), shape);
  batch.set_scalars(scalars);
  batch.sum();
  expect_verdicts(batch.verdicts(), valid, exceptions, "rigged rows, " + text_of(shape));
}

namespace {

// --- exceptions ----------------------------------------------------------------------------------

// As Verifier::verify_complete_vector adds up u1·G + u2·Q.
Quotient complete_sum(const Bn& u1, const Bn& u2, const kernels::Affine<Wide>& key) {
  using Point3 = kernels::Projective<Wide>;
  const auto montgomery = [](const kernels::Words& words) {
    return Wide::mul(Wide::constant(words), Wide::square_of_r());
  };
  const Wide::E b = montgomery(kernels::P256::kB);
  const Point3 g{montgomery(kernels::P256::kGx), montgomery(kernels::P256::kGy), Wide::one()};
  const Point3 q{key.x, key.y, Wide::one()};
  const Point3 infinity{Wide::zero(), Wide::one(), Wide::zero()};
  const Point3 both = kernels::add_complete(g, q, b);
  Point3 sum = infinity;
  for (int bit = 256; bit-- > 0;) {
    sum = kernels::add_complete(sum, sum, b);
    const bool has1 = BN_is_bit_set(u1.get(), bit) != 0;
    const bool has2 = BN_is_bit_set(u2.get(), bit) != 0;
    sum = kernels::add_complete(sum, has1 && has2 ? both : has1 ? g : has2 ? q : infinity, b);
  }
  return {sum.x, sum.z};
}

}  // namespace

void expect_complete_sums_at_edges(Gpu& gpu, std::uint64_t seed, std::size_t count) {
  P256Forge forge(seed);
  std::mt19937_64 random(seed);
  std::vector<P256CudaSignature> signatures;
  std::vector<P256CudaKey> keys;
  std::vector<bool> valid;
  while (signatures.size() < count) {
    const std::string point = edge_point(random);
    P256CudaKey key{};
    std::memcpy(key.x, point.data(), 64);
    const auto coordinate = [&](std::size_t at) {
      const std::uint8_t* const number[1] = {Referee::data(point) + at};
      std::uint64_t word[4];
      Wide::load_big_endian(number, word);
      return Wide::mul(Wide::from_words(word), Wide::square_of_r());
    };
    const auto scalar = [&] {
      return forge.mul(
          Bn(BN_bin2bn(Referee::data(big_endian(as_words(edge_number(random)))), 32, nullptr)),
          forge.number(1));
    };
    const Bn u1 = scalar();
    const Bn u2 = scalar();
    if (BN_is_zero(u2.get())) continue;
    const Quotient sum = complete_sum(u1, u2, {coordinate(0), coordinate(32)});
    if (Wide::is_zero(sum.d) != 0) continue;
    std::string r = r_of(number_of(sum));
    if (!in_range(forge, r)) continue;
    const Bn r_number(BN_bin2bn(Referee::data(r), 32, nullptr));
    const Bn s = forge.over(r_number, u2);
    const bool is_altered = signatures.size() % 8 == 7;
    std::string e = P256Forge::bytes(forge.mul(u1, s));
    if (is_altered) e[31] ^= 1;
    signatures.push_back(cuda_signature(r + P256Forge::bytes(s), e, keys.size()));
    keys.push_back(key);
    valid.push_back(!is_altered);
  }
  Device& device = gpu.device();
  Batch batch(device, signatures, keys, 0, {});
  batch.set_all_aside();
  batch.decide_exceptions();
  expect_verdicts(batch.verdicts(), valid, static_cast<std::uint32_t>(count),
                  "rigged points, complete");
}

// --- tables ------

void expect_tables_at_edges(Gpu& gpu, std::uint64_t seed, std::size_t count, unsigned bits,
                            unsigned windows) {
  std::mt19937_64 random(seed);
  std::vector<std::string> points;
  for (std::size_t i = 0; i < count; ++i) points.push_back(edge_point(random));
  gpu.expect_tables(points, bits, windows);
}

}  // namespace colophon::test
