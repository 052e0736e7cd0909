// SPDX-License-Identifier: Apache-2.0
#include "tests/kernels/p256_edges.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "kernels/comb.h"
#include "kernels/curve.h"
#include "kernels/field_wide.h"
#include "tests/kernels/p256_cases.h"
#include "tests/lib/p256_forge.h"

namespace colophon::test {
namespace {

using kernels::Words;
using Wide = kernels::FieldWide<kernels::P256Prime>;
using E = Wide::E;
using Affine = kernels::Affine<Wide>;
using Xyzz = kernels::Xyzz<Wide>;
using Jacobian = kernels::Jacobian<Wide>;
using Random = std::mt19937_64;

constexpr E kPlainOne = {{1, 0, 0, 0}};  // a product with it leaves the Montgomery form

// Most limbs all ones or nearly, or nearly zero; not reduced.
E edge_words(Random& random) {
  constexpr std::array<std::uint32_t, 8> kLimbs = {0,          1,          0xffffffff, 0,
                                                   0xffffffff, 0xfffffffe, 0x80000000, 0x7fffffff};
  const std::uint64_t kinds = random() % 3 == 0 ? kLimbs.size() : 3;
  std::uint32_t limbs[8];
  for (auto& limb : limbs) {
    limb = random() % 12 == 0 ? static_cast<std::uint32_t>(random()) : kLimbs[random() % kinds];
  }
  E out;
  std::memcpy(out.word, limbs, sizeof(out.word));
  return out;
}
E edge(Random& random) { return Wide::from_words(edge_words(random).word); }

// The most significant byte first.
std::string big_endian(const E& number) {
  std::string bytes(32, '\0');
  for (std::size_t i = 0; i < 32; ++i) {
    bytes[31 - i] = static_cast<char>(number.word[i / 8] >> (8 * (i % 8)));
  }
  return bytes;
}
Bn number_of(const std::string& bytes) {
  return Bn(BN_bin2bn(Referee::data(bytes), static_cast<int>(bytes.size()), nullptr));
}

bool is_zero(const E& a) { return Wide::is_zero(a) != 0; }
// Of the Montgomery form.
E inverse(const E& a) { return Wide::inverse_vartime(a); }

// Threads whose value is to be alone in a product (see block_inverse in p256.cu): the first of
// eight, every other eight; and the seven others with whatever else a thread multiplies up.
bool is_in_lonely_eight(std::size_t i) { return i / 8 % 2 == 0; }
bool is_lonely(std::size_t i, std::size_t each) {
  return is_in_lonely_eight(i) && i % 8 == 0 && i / kernels::kP256CudaThreads % each == 0;
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

}  // namespace

// --- scalars -------------------------------------------------------------------------------------

ScalarsAtEdges::ScalarsAtEdges(std::uint64_t seed, std::size_t count, const Shape& shape)
    : shape_(shape), scalars_(16 * count) {
  P256Forge forge(seed);
  Random random(seed);
  const auto in_range_edge = [&] {
    for (;;) {
      std::string bytes = big_endian(edge_words(random));
      if (in_range(forge, bytes)) return bytes;
    }
  };
  const auto inverse_of_edge = [&] {
    std::string bytes = in_range_edge();
    if (random() % 2 == 0) bytes.replace(0, 2, 2, '\0');  // of the sign and a few bits
    if (!in_range(forge, bytes)) return forge.number(1);
    Bn s = forge.over(forge.number(1), number_of(bytes));
    return random() % 2 == 0 ? forge.sub(forge.number(0), s) : std::move(s);
  };
  const std::size_t each = shape.scalars_each ? 1 : kernels::kP256CudaScalarsEach;
  const auto recode = [&](const Bn& u, unsigned bits, std::size_t row, std::size_t place) {
    const Bn offset =
        forge.sub(forge.power_of_two(bits * kernels::window_count(bits)), forge.number(1));
    const std::string bytes = P256Forge::bytes(forge.over(forge.add(u, offset), forge.number(2)));
    for (std::size_t i = 0; i < 32; ++i) {
      scalars_[(row + i / 4) * count + place] |=
          std::uint32_t{static_cast<unsigned char>(bytes[31 - i])} << (8 * (i % 4));
    }
  };
  for (std::size_t i = 0; i < count; ++i) {
    const std::string r = in_range_edge();
    const std::string e = big_endian(edge_words(random));
    const Bn s = is_lonely(i, each)      ? inverse_of_edge()
                 : is_in_lonely_eight(i) ? forge.power_of_two(256)  // 1 in Montgomery form
                                         : number_of(in_range_edge());
    signatures_.push_back(cuda_signature(r + P256Forge::bytes(s), e, 0));
    recode(forge.over(number_of(e), s), shape.generator_bits, 0, i);
    recode(forge.over(number_of(r), s), shape.table_bits(), 8, i);
  }
}

void ScalarsAtEdges::expect_right(Gpu& gpu) const {
  Batch batch(gpu.device(), signatures_, {P256CudaKey{}}, 0, shape_);
  batch.make_scalars();
  if (batch.scalars() != scalars_) {
    throw WrongResult("wrong scalars: " + text_of(shape_) + ", batch of " +
                      std::to_string(signatures_.size()));
  }
}

// --- sums of rows --------------------------------------------------------------------------------

namespace {

E power(const E& a, const Words& exponent) {
  E out = Wide::one();
  for (int bit = 256; bit-- > 0;) {
    out = Wide::sqr(out);
    if ((exponent.word[bit / 64] >> bit % 64 & 1) != 0) out = Wide::mul(out, a);
  }
  return out;
}
constexpr Words divided(const Words& a, unsigned divisor) {
  Words out{};
  std::uint64_t rest = 0;
  for (int bit = 256; bit-- > 0;) {
    rest = rest << 1 | (a.word[bit / 64] >> bit % 64 & 1);
    if (rest < divisor) continue;
    rest -= divisor;
    out.word[bit / 64] |= std::uint64_t{1} << bit % 64;
  }
  return out;
}

constexpr Words kPrime = kernels::P256Prime::kModulus;
// p is 3 mod 4 and 4 mod 9: (p + 1)/4, and (2 p + 1)/9 = 2 (p - 4)/9 + 1.
constexpr Words kSquareRoot = kernels::minus(divided(kPrime, 4), kernels::minus(Words{}, {{1}}));
constexpr Words kNinth = divided(kPrime, 9);

std::optional<E> square_root(const E& a) {
  const E root = power(a, kSquareRoot);
  return is_zero(Wide::sqr(root) - a) ? std::optional(root) : std::nullopt;
}
std::optional<E> cube_root(const E& a) {
  const E ninth = power(a, kNinth);
  const E root = Wide::mul(Wide::sqr(ninth), a);
  return is_zero(Wide::mul(Wide::sqr(root), root) - a) ? std::optional(root) : std::nullopt;
}

// Rows for which the numbers inside of an addition come to edges.
class RowsBackwards {
 public:
  explicit RowsBackwards(Random& random) : random_(random) {}

  [[nodiscard]] Affine any() { return {edge(random_), edge(random_)}; }

  // The first two of a sum: x1, y1 beside what next() makes edges.
  std::pair<Affine, Affine> first_two() {
    const E p = difference();
    const E pp = Wide::sqr(p);
    const E ppp = Wide::mul(p, pp);
    Affine first;
    first.x = edge(random_);
    if (flip()) first.x = Wide::mul(first.x, inverse(pp));  // Q = X1·PP
    const E q = Wide::mul(first.x, pp);
    const E r = rise(ppp, q);
    const E x3 = Wide::sqr(r) - ppp - q - q;
    first.y = edge(random_);
    if (flip()) first.y = Wide::mul(Wide::mul(r, q - x3) - first.y, inverse(ppp));  // the sum's Y
    return {first, {first.x + p, first.y + r}};
  }
  // To be added to `sum`.
  Affine next(const Xyzz& sum) {
    const E p = difference();
    const E pp = Wide::sqr(p);
    const E r = rise(Wide::mul(p, pp), Wide::mul(sum.x, pp));
    return {Wide::mul(sum.x + p, inverse(sum.zz)), Wide::mul(sum.y + r, inverse(sum.zzz))};
  }
  Affine next(const Jacobian& sum) {
    E h = difference();
    if (flip()) h = Wide::mul(edge(random_), inverse(sum.z));  // the sum's Z
    if (is_zero(h)) h = Wide::one();
    const E hh = Wide::sqr(h);
    const E r = rise(Wide::mul(h, hh), Wide::mul(sum.x, hh));
    const E over_z = inverse(sum.z);
    const E over_zz = Wide::sqr(over_z);
    return {Wide::mul(sum.x + h, over_zz), Wide::mul(sum.y + r, Wide::mul(over_zz, over_z))};
  }

 private:
  bool flip() { return random_() % 2 == 0; }
  // P, PP or PPP.
  E difference() {
    for (;;) {
      const E target = edge(random_);
      if (is_zero(target)) continue;
      const std::uint64_t choice = random_() % 3;
      const auto root = choice == 0   ? std::optional(target)
                        : choice == 1 ? square_root(target)
                                      : cube_root(target);
      if (root) return *root;
    }
  }
  // R, the sum's X, or Q less that.
  E rise(const E& ppp, const E& q) {
    for (;;) {
      const E target = edge(random_);
      const std::uint64_t choice = random_() % 3;
      const auto root = choice == 0   ? std::optional(target)
                        : choice == 1 ? square_root(target + ppp + q + q)
                                      : square_root(q + q + q - target + ppp);
      if (root) return *root;
    }
  }

  Random& random_;
};

// A scalar's digits, the lowest bit first.
class Digits {
 public:
  explicit Digits(Random& random) {
    for (auto& limb : limbs_) limb = static_cast<std::uint32_t>(random());
  }
  [[nodiscard]] const std::array<std::uint32_t, 8>& limbs() const { return limbs_; }
  [[nodiscard]] unsigned at(unsigned bits, unsigned window) const {
    unsigned digit = 0;
    for (unsigned i = 0; i < bits && bits * window + i < 256; ++i) {
      digit |= bit(bits * window + i) << i;
    }
    return digit;
  }
  void set(unsigned bits, unsigned window, unsigned digit) {
    for (unsigned i = 0; i < bits && bits * window + i < 256; ++i) {
      const unsigned place = bits * window + i;
      limbs_[place / 32] ^= (bit(place) ^ (digit >> i & 1)) << place % 32;
    }
  }

 private:
  [[nodiscard]] unsigned bit(unsigned place) const { return limbs_[place / 32] >> place % 32 & 1; }
  std::array<std::uint32_t, 8> limbs_;
};

struct Table {
  unsigned bits;
  unsigned windows;  // 1: all windows take the rows of the first
  std::vector<Affine> rows;

  Table(unsigned table_bits, unsigned table_windows, RowsBackwards& backwards)
      : bits(table_bits), windows(table_windows) {
    while (rows.size() < std::size_t{windows} << (bits - 1)) rows.push_back(backwards.any());
  }
  Affine& row(unsigned window, unsigned index) {
    return rows[(windows == 1 ? 0 : window << (bits - 1)) + index];
  }
  // y negated where the digit says so.
  Affine find(const Digits& digits, unsigned window) {
    const unsigned half = 1U << (bits - 1);
    const unsigned digit = digits.at(bits, window);
    if (digit >= half) return row(window, digit - half);
    const Affine point = row(window, half - 1 - digit);
    return {point.x, Wide::zero() - point.y};
  }
};
static_assert(sizeof(Affine) == kTableRowBytes);

struct Quotient {
  E x, d;
};

Xyzz first_sum(const Affine& point) { return {point.x, point.y, Wide::one(), Wide::one()}; }
void add_row(Xyzz& sum, const Affine& row) {
  Xyzz sums[1] = {sum};
  const Affine points[1] = {row};
  const Wide::Mask positive[1] = {0};
  kernels::add_mixed<Wide, 1>(sums, points, positive);
  sum = sums[0];
}

// As the kernels add them up.
Quotient sum_of(const std::vector<Affine>& rows, unsigned lanes) {
  std::vector<Xyzz> sums;
  for (unsigned lane = 0; lane < lanes; ++lane) {
    sums.push_back(first_sum(rows[lane]));
    for (std::size_t k = lane + lanes; k < rows.size(); k += lanes) add_row(sums[lane], rows[k]);
  }
  for (unsigned bit = lanes / 2; bit > 0; bit /= 2) {
    for (unsigned lane = 0; lane < bit; ++lane) sums[lane] = add(sums[lane], sums[lane + bit]);
  }
  return {sums[0].x, sums[0].zz};
}
void double_all(Jacobian& sum, unsigned bits) {
  for (unsigned i = 0; i < bits; ++i) sum = kernels::twice(sum);
}

// X/D mod n, as r of a signature.
std::string r_of(const Quotient& sum) {
  const E x = Wide::mul(Wide::mul(sum.x, inverse(sum.d)), kPlainOne);
  Words words{{x.word[0], x.word[1], x.word[2], x.word[3]}};
  constexpr Words kOrder = kernels::P256Order::kModulus;
  if (!kernels::less(words, kOrder)) words = kernels::minus(words, kOrder);
  return big_endian({{words.word[0], words.word[1], words.word[2], words.word[3]}});
}

std::vector<std::uint8_t> bytes_of(const std::vector<Affine>& rows) {
  std::vector<std::uint8_t> bytes(rows.size() * sizeof(Affine));
  std::memcpy(bytes.data(), rows.data(), bytes.size());
  return bytes;
}

constexpr unsigned kLanesBackwards = 4;    // of a signature: their rows are made for each other
constexpr unsigned kWindowsBackwards = 3;  // of a lane
constexpr unsigned kRowsBackwards = 128;   // of a window

}  // namespace

SumsAtEdges::SumsAtEdges(std::uint64_t seed, std::size_t count, const Shape& shape)
    : shape_(shape), scalars_(16 * count) {
  Random random(seed);
  RowsBackwards backwards(random);
  const unsigned generator_windows = kernels::window_count(shape.generator_bits);
  const unsigned key_windows = kernels::window_count(shape.table_bits());
  const unsigned windows = generator_windows + key_windows;
  const unsigned lanes = std::max(1U, shape.lanes);
  Table generator(shape.generator_bits, generator_windows, backwards);
  Table key(shape.table_bits(), shape.table_windows(), backwards);
  const auto table_of = [&](unsigned window) -> std::pair<Table&, unsigned> {
    if (window < generator_windows) return {generator, window};
    return {key, window - generator_windows};
  };
  const bool is_unknown = shape.key_bits == 0;
  // The windows of a lane, whose rows of one index are made for each other.
  std::vector<std::vector<unsigned>> chains;
  for (unsigned lane = 0; lane < std::min(lanes, kLanesBackwards) && !is_unknown; ++lane) {
    std::vector<unsigned> chain;
    for (unsigned k = lane; k < windows && chain.size() < kWindowsBackwards; k += lanes) {
      chain.push_back(k);
    }
    if (chain.size() > 1) chains.push_back(std::move(chain));
  }
  const unsigned indices = std::min(kRowsBackwards, 1U << (std::min(generator.bits, key.bits) - 1));
  for (const std::vector<unsigned>& chain : chains) {
    for (unsigned index = 0; index < indices; ++index) {
      const auto row = [&](unsigned window) -> Affine& {
        auto [table, place] = table_of(window);
        return table.row(place, index);
      };
      std::tie(row(chain[0]), row(chain[1])) = backwards.first_two();
      Xyzz sum = first_sum(row(chain[0]));
      for (std::size_t k = 1; k < chain.size(); ++k) {
        if (k > 1 && !is_zero(sum.zz)) row(chain[k]) = backwards.next(sum);
        add_row(sum, row(chain[k]));
      }
    }
  }
  for (std::size_t i = 0; i < count; ++i) {
    std::array<Digits, 2> digits = {Digits(random), Digits(random)};
    for (const std::vector<unsigned>& chain : chains) {
      const unsigned index = static_cast<unsigned>(random()) % indices;
      for (const unsigned window : chain) {
        const auto [table, place] = table_of(window);
        digits[window < generator_windows ? 0 : 1].set(table.bits, place,
                                                       index + (1U << (table.bits - 1)));
      }
    }
    Quotient sum;
    if (is_unknown) {
      // A key for each signature, the rows of whose first few windows are made for each other.
      key = Table(key.bits, 1, backwards);
      const Affine first = key.find(digits[1], key_windows - 1);
      Jacobian jacobian{first.x, first.y, Wide::one()};
      for (unsigned w = key_windows - 1; w-- > 0;) {
        double_all(jacobian, key.bits);
        if (const unsigned index = key_windows - 2 - w; index < kWindowsBackwards) {
          digits[1].set(key.bits, w, index + (1U << (key.bits - 1)));
          if (!is_zero(jacobian.z)) key.row(w, index) = backwards.next(jacobian);
        }
        jacobian = kernels::add_mixed(jacobian, key.find(digits[1], w), 0);
      }
      for (unsigned w = 0; w < generator_windows; ++w) {
        jacobian = kernels::add_mixed(jacobian, generator.find(digits[0], w), 0);
      }
      sum = {jacobian.x, Wide::sqr(jacobian.z)};
    } else {
      std::vector<Affine> rows;
      for (unsigned w = 0; w < windows; ++w) {
        auto [table, place] = table_of(w);
        rows.push_back(table.find(digits[w < generator_windows ? 0 : 1], place));
      }
      sum = sum_of(rows, lanes);
    }
    if (is_unknown || i == 0) {
      const std::vector<std::uint8_t> bytes = bytes_of(key.rows);
      key_tables_.insert(key_tables_.end(), bytes.begin(), bytes.end());
      ++keys_;
    }
    for (std::size_t row = 0; row < 16; ++row) {
      scalars_[row * count + i] = digits[row / 8].limbs()[row % 8];
    }
    const bool is_exception = is_zero(sum.d);
    std::string r = r_of(is_exception ? Quotient{Wide::one(), Wide::one()} : sum);
    const bool is_altered = i % 8 == 7;
    if (is_altered) r[31] ^= 1;
    exceptions_ += is_exception ? 1 : 0;
    valid_.push_back(!is_exception && !is_altered);
    signatures_.push_back(cuda_signature(r + r, r, keys_ - 1));
  }
  generator_table_ = bytes_of(generator.rows);
}

void SumsAtEdges::expect_right(Gpu& gpu) const {
  Device& device = gpu.device();
  const DeviceBuffer generator(device, device.upload(generator_table_, "generator"));
  const DeviceBuffer tables(device, device.upload(key_tables_, "tables"));
  device.protect(generator.at());
  device.protect(tables.at());
  std::vector<P256CudaKey> keys(keys_);
  for (std::size_t i = 0; i < keys_; ++i)
    keys[i].table = tables.at() + i * key_tables_.size() / keys_;
  Batch batch(device, signatures_, keys, generator.at(), shape_);
  batch.set_scalars(scalars_);
  batch.sum();
  expect_verdicts(batch.verdicts(), valid_, exceptions_, "rows at edges, " + text_of(shape_));
}

// --- the complete formulas -----------------------------------------------------------------------

namespace {

// As Verifier::verify_complete_vector adds up u1·G + u2·Q.
Quotient complete_sum(const Bn& u1, const Bn& u2, const Affine& key) {
  using Point3 = kernels::Projective<Wide>;
  const auto montgomery = [](const Words& words) {
    return Wide::mul(Wide::constant(words), Wide::square_of_r());
  };
  const E b = montgomery(kernels::P256::kB);
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

// Below p, or in Montgomery form.
E edge_coordinate(Random& random) {
  const E number = edge(random);
  return random() % 2 == 0 ? number : Wide::mul(number, Wide::square_of_r());
}

// After the infinity and Q the sum is (X·Y : Y² : Y), which is doubled: its coordinates, and the
// sums of two, come to edges.
Affine backwards_from_doubling(Random& random) {
  Affine q;
  const E target = edge(random);
  std::optional<E> root;
  switch (random() % 3) {
    case 0:
      root = square_root(target);
      break;
    case 1:  // y² + y
      root = square_root(Wide::one() + Wide::times4(target));
      if (root) root = Wide::mul(*root - Wide::one(), inverse(Wide::one() + Wide::one()));
      break;
    default:
      break;
  }
  q.y = root && !is_zero(*root) ? *root : edge_coordinate(random);
  if (is_zero(q.y)) q.y = Wide::one();
  const E over_y = inverse(q.y);
  q.x = Wide::mul(edge(random), over_y);  // x·y
  if (random() % 3 == 0)
    q.x = q.x - q.y;  // x·y + y²
  else if (random() % 2 == 0)
    q.x = q.x - Wide::one();  // x·y + y
  return q;
}

P256CudaKey key_of(const std::string& point) {
  P256CudaKey key{};
  std::memcpy(key.x, point.data(), 64);
  return key;
}

}  // namespace

CompleteSumsAtEdges::CompleteSumsAtEdges(std::uint64_t seed, std::size_t count) {
  P256Forge forge(seed);
  Random random(seed);
  Referee referee;
  const auto scalar = [&] {
    return forge.mul(number_of(big_endian(edge_words(random))), forge.number(1));
  };
  while (signatures_.size() < count) {
    const Bn u1 = scalar();
    const Bn u2 = scalar();
    if (BN_is_zero(u2.get())) continue;
    if (signatures_.size() % 8 == 3) {
      const Case decided = referee.decide(forge.with_s(forge.over(forge.number(1), u2), "1/s"));
      signatures_.push_back(
          cuda_signature(decided.forged.signature, decided.forged.digest, keys_.size()));
      keys_.push_back(key_of(decided.point));
      valid_.push_back(decided.valid);
      continue;
    }
    Affine q = {edge_coordinate(random), edge_coordinate(random)};
    if (signatures_.size() % 8 != 0) {
      q = backwards_from_doubling(random);
      // Q comes first.
      BN_rshift(u1.get(), u1.get(), std::max(0, BN_num_bits(u1.get()) - BN_num_bits(u2.get()) + 1));
    }
    const Quotient sum = complete_sum(u1, u2, q);
    if (is_zero(sum.d)) continue;
    const std::string r = r_of(sum);
    if (!in_range(forge, r)) continue;
    const Bn s = forge.over(number_of(r), u2);
    std::string e = P256Forge::bytes(forge.mul(u1, s));
    const bool is_altered = signatures_.size() % 8 == 6;
    if (is_altered) e[31] ^= 1;
    signatures_.push_back(cuda_signature(r + P256Forge::bytes(s), e, keys_.size()));
    keys_.push_back(
        key_of(big_endian(Wide::mul(q.x, kPlainOne)) + big_endian(Wide::mul(q.y, kPlainOne))));
    valid_.push_back(!is_altered);
  }
}

void CompleteSumsAtEdges::expect_right(Gpu& gpu) const {
  Batch batch(gpu.device(), signatures_, keys_, 0, {});
  batch.set_all_aside();
  batch.decide_exceptions();
  expect_verdicts(batch.verdicts(), valid_, static_cast<std::uint32_t>(signatures_.size()),
                  "points at edges, complete");
}

// --- tables --------------------------------------------------------------------------------------

namespace {

// A point whose double has an edge for x or y.
std::pair<E, E> half_of_edge(Random& random) {
  const E half = inverse(Wide::one() + Wide::one());
  for (;;) {
    const E slope = edge(random);
    const E target = edge(random);
    if (is_zero(slope)) continue;
    const E square = Wide::sqr(slope);
    E x = Wide::mul(square - target, half);  // λ² - 2x
    if (random() % 2 == 0) {
      // λ(3x - λ²) - y, y = (3x² - 3)/(2λ), is a square's root away from 0 in x - λ².
      const E lambda4 = Wide::sqr(square);
      const E free = lambda4 + lambda4 + Wide::mul(slope, target + target) - Wide::three();
      const auto root = square_root(lambda4 - Wide::mul(free, inverse(Wide::three())));
      if (!root) continue;
      x = square + *root;
    }
    const E y = Wide::mul(kernels::tangent<Wide>(x), Wide::mul(half, inverse(slope)));
    if (!is_zero(y)) return {x, y};
  }
}

}  // namespace

TablesAtEdges::TablesAtEdges(std::uint64_t seed, std::size_t count, unsigned bits, unsigned windows)
    : bits_(bits), windows_(windows) {
  Random random(seed);
  constexpr std::size_t kEach = kernels::kP256CudaAdditionsEach;
  const E half = inverse(Wide::one() + Wide::one());
  for (std::size_t i = 0; i < count; ++i) {
    E x = edge_coordinate(random);
    E y = edge_coordinate(random);
    if (random() % 2 == 0) std::tie(x, y) = half_of_edge(random);
    if (windows == 1 && is_lonely(i, kEach)) {
      E number = edge(random);
      if (random() % 2 == 0) number.word[3] &= 0x0000ffffffffffff;
      if (is_zero(number)) number = kPlainOne;
      if (random() % 2 == 0) number = Wide::zero() - number;
      // The doubling's divisor 2y is 1/number, as plain numbers.
      y = Wide::mul(Wide::mul(Wide::mul(inverse(number), kPlainOne), kPlainOne), half);
    } else if (windows == 1 && is_in_lonely_eight(i)) {
      y = half;  // its divisor 1
    }
    if (is_zero(y)) y = Wide::one();
    points_.push_back(big_endian(Wide::mul(x, kPlainOne)) + big_endian(Wide::mul(y, kPlainOne)));
    tables_.push_back(portable_table(points_.back(), bits, windows));
  }
}

void TablesAtEdges::expect_right(Gpu& gpu) const {
  gpu.expect_tables(points_, bits_, windows_, tables_);
}

}  // namespace colophon::test
