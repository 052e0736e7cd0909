// SPDX-License-Identifier: Apache-2.0
//
// lib/edwards25519 against the curve written out with OpenSSL's big integers in affine coordinates:
// other numbers, other formulas, nothing shared but the curve's equation (RFC 8032 §5.1).
#include "edwards25519.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>

#include "batch_builder.h"
#include "openssl_handle.h"
#include "tests/effort.h"

namespace colophon::test {
namespace {

using BnContextPtr = std::unique_ptr<BN_CTX, OpensslDeleter<&BN_CTX_free>>;

// An element of GF(p), or an integer; a value type, for brevity's sake and not for speed's.
class Integer {
 public:
  Integer() : value_(BN_new()) {}
  explicit Integer(std::uint64_t word) : Integer() { BN_set_word(value_.get(), word); }
  Integer(const Integer& other) : value_(BN_dup(other.value_.get())) {}
  Integer& operator=(const Integer& other) {
    BN_copy(value_.get(), other.value_.get());
    return *this;
  }

  static Integer from_decimal(const char* text) {
    Integer result;
    BIGNUM* value = result.get();
    EXPECT_GT(BN_dec2bn(&value, text), 0);
    return result;
  }
  static Integer from_little_endian(ByteSpan bytes) {
    Integer result;
    BN_lebin2bn(bytes.data(), static_cast<int>(bytes.size()), result.get());
    return result;
  }
  [[nodiscard]] std::array<std::uint8_t, 32> little_endian() const {
    std::array<std::uint8_t, 32> bytes{};
    EXPECT_EQ(BN_bn2lebinpad(value_.get(), bytes.data(), 32), 32);
    return bytes;
  }
  [[nodiscard]] BIGNUM* get() const { return value_.get(); }
  [[nodiscard]] bool odd() const { return BN_is_odd(value_.get()) == 1; }
  friend bool operator==(const Integer& a, const Integer& b) {
    return BN_cmp(a.get(), b.get()) == 0;
  }

 private:
  BignumPtr value_;
};

struct Affine {
  Integer x, y;
  friend bool operator==(const Affine&, const Affine&) = default;
};

class Reference {
 public:
  const Integer p = Integer::from_decimal(
      "57896044618658097711785492504343953926634992332820282019728792003956564819949");
  const Integer order = Integer::from_decimal(
      "7237005577332262213973186563042994240857116359379907606001950938285454250989");

  Reference() {
    d_ = mul(negate(Integer(121665)), inverse(Integer(121666)));
    base = decode(mul(Integer(4), inverse(Integer(5))).little_endian()).value();
  }

  [[nodiscard]] Integer add(const Integer& a, const Integer& b) const {
    Integer r;
    BN_mod_add(r.get(), a.get(), b.get(), p.get(), context_.get());
    return r;
  }
  [[nodiscard]] Integer mul(const Integer& a, const Integer& b) const {
    Integer r;
    BN_mod_mul(r.get(), a.get(), b.get(), p.get(), context_.get());
    return r;
  }
  [[nodiscard]] Integer negate(const Integer& a) const {
    Integer r;
    BN_mod_sub(r.get(), Integer(0).get(), a.get(), p.get(), context_.get());
    return r;
  }
  [[nodiscard]] Integer inverse(const Integer& a) const {
    Integer r;
    EXPECT_NE(BN_mod_inverse(r.get(), a.get(), p.get(), context_.get()), nullptr);
    return r;
  }

  // y mod p, x from x² = (y² - 1)/(dy² + 1); the sign of x = 0 does not matter (ZIP 215).
  [[nodiscard]] std::optional<Affine> decode(std::array<std::uint8_t, 32> encoding) const {
    const bool wants_odd = encoding[31] >> 7 != 0;
    encoding[31] &= 0x7f;
    Affine point;
    BN_nnmod(point.y.get(), Integer::from_little_endian(encoding).get(), p.get(), context_.get());
    const Integer yy = mul(point.y, point.y);
    const Integer xx = mul(add(yy, negate(Integer(1))), inverse(add(mul(d_, yy), Integer(1))));
    const OpensslErrorScope scope;  // BN_mod_sqrt queues an error where there is no root
    if (BN_mod_sqrt(point.x.get(), xx.get(), p.get(), context_.get()) == nullptr) return {};
    if (point.x.odd() != wants_odd) point.x = negate(point.x);
    return point;
  }
  [[nodiscard]] std::array<std::uint8_t, 32> encode(const Affine& point) const {
    std::array<std::uint8_t, 32> bytes = point.y.little_endian();
    if (point.x.odd()) bytes[31] |= 0x80;
    return bytes;
  }

  // The addition law of -x² + y² = 1 + dx²y² as it stands.
  [[nodiscard]] Affine add(const Affine& a, const Affine& b) const {
    const Integer xx = mul(a.x, b.x);
    const Integer yy = mul(a.y, b.y);
    const Integer dxy = mul(d_, mul(xx, yy));
    const Integer cross = add(mul(a.x, b.y), mul(a.y, b.x));
    return {mul(cross, inverse(add(Integer(1), dxy))),
            mul(add(yy, xx), inverse(add(Integer(1), negate(dxy))))};
  }
  [[nodiscard]] Affine mul(const Integer& scalar, const Affine& point) const {
    Affine sum = neutral();
    for (int bit = BN_num_bits(scalar.get()); bit-- > 0;) {
      sum = add(sum, sum);
      if (BN_is_bit_set(scalar.get(), bit)) sum = add(sum, point);
    }
    return sum;
  }
  [[nodiscard]] static Affine neutral() { return {Integer(0), Integer(1)}; }
  [[nodiscard]] Affine negate(const Affine& point) const { return {negate(point.x), point.y}; }

  // A point of order 8.
  [[nodiscard]] Affine torsion_8() const {
    const Affine point = decode({0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4,
                                 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6,
                                 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05})
                             .value();
    EXPECT_EQ(mul(Integer(8), point), neutral());
    EXPECT_FALSE(mul(Integer(4), point) == neutral());
    return point;
  }

  [[nodiscard]] Integer random_scalar(Random& random) const {
    Integer r;
    BN_nnmod(r.get(), Integer::from_little_endian(random.bytes(40)).get(), order.get(),
             context_.get());
    return r;
  }
  // a·b + c mod L
  [[nodiscard]] Integer scalar_mul_add(const Integer& a, const Integer& b, const Integer& c) const {
    Integer r;
    BN_mod_mul(r.get(), a.get(), b.get(), order.get(), context_.get());
    BN_mod_add(r.get(), r.get(), c.get(), order.get(), context_.get());
    return r;
  }

 private:
  BnContextPtr context_{BN_CTX_new()};
  Integer d_;

 public:
  Affine base;
};

// Integers whose limbs of 51 bits, or words of 64, are at their ends: where a carry goes wrong.
std::vector<std::array<std::uint8_t, 32>> edge_encodings() {
  std::vector<std::array<std::uint8_t, 32>> edges;
  const auto push = [&edges](const Integer& value) {
    if (BN_is_negative(value.get()) || BN_num_bits(value.get()) > 255) return;
    edges.push_back(value.little_endian());
  };
  for (const int bits : {0, 1, 8, 26, 51, 52, 64, 102, 128, 153, 192, 204, 230, 254, 255}) {
    for (int delta = -40; delta <= 40; ++delta) {
      Integer value(1);
      BN_lshift(value.get(), value.get(), bits);
      if (delta < 0) {
        BN_sub_word(value.get(), static_cast<BN_ULONG>(-delta));
      } else {
        BN_add_word(value.get(), static_cast<BN_ULONG>(delta));
      }
      push(value);
    }
  }
  // Every limb 0, 1, 2^51 - 2 or 2^51 - 1.
  for (unsigned pattern = 0; pattern < 1024; ++pattern) {
    constexpr std::uint64_t kLimbs[] = {0, 1, (std::uint64_t{1} << 51) - 2,
                                        (std::uint64_t{1} << 51) - 1};
    Integer value(0);
    for (unsigned limb = 0; limb < 5; ++limb) {
      BN_lshift(value.get(), value.get(), 51);
      BN_add(value.get(), value.get(), Integer(kLimbs[pattern >> (2 * limb) & 3]).get());
    }
    push(value);
  }
  return edges;
}

TEST(Edwards25519, TheReferenceIsTheCurve) {
  const Reference curve;
  EXPECT_EQ(hex(curve.encode(curve.base)),
            "5866666666666666666666666666666666666666666666666666666666666666");
  EXPECT_EQ(curve.mul(curve.order, curve.base), Reference::neutral());
  EXPECT_FALSE(curve.mul(Integer(8), curve.base) == Reference::neutral());
}

TEST(Edwards25519, DecodesWhatTheReferenceDecodes) {
  const Reference curve;
  Random random(0x5eed0050);
  std::vector<std::array<std::uint8_t, 32>> encodings = edge_encodings();
  for (int i = 0; i < 300; ++i) {
    const Bytes bytes = random.bytes(32);
    encodings.emplace_back();
    std::copy(bytes.begin(), bytes.end(), encodings.back().begin());
  }
  std::size_t on_curve = 0;
  for (std::array<std::uint8_t, 32> encoding : encodings) {
    const bool expected = curve.decode(encoding).has_value();
    if (expected) ++on_curve;
    ASSERT_EQ(edwards25519::is_on_curve_zip215(encoding), expected) << hex(encoding);
    encoding[31] ^= 0x80;
    ASSERT_EQ(edwards25519::is_on_curve_zip215(encoding), expected) << hex(encoding);
  }
  // Half of all y have a point.
  EXPECT_GT(on_curve, encodings.size() / 3);
  EXPECT_LT(on_curve, 2 * encodings.size() / 3);
}

// A = [a]B + T, R = [r]B + T' with T, T' of small order; s = r + ka makes the equation hold.
TEST(Edwards25519, EquationHoldsExactlyWhereTheReferenceSaysSo) {
  const Reference curve;
  Random random(0x5eed0051);
  const Affine torsion_8 = curve.torsion_8();
  Integer largest = curve.order;
  BN_sub_word(largest.get(), 1);
  const Integer extremes[] = {Integer(0), Integer(1), Integer(15), Integer(16), largest};
  const std::size_t rounds = number_of_cases(400, 24, 8);
  for (std::size_t i = 0; i < rounds; ++i) {
    const Integer a = curve.random_scalar(random);
    const Integer r = curve.random_scalar(random);
    const Integer k = i < std::size(extremes) ? extremes[i] : curve.random_scalar(random);
    const Integer s = curve.scalar_mul_add(k, a, r);
    const Affine a_point =
        curve.add(curve.mul(a, curve.base), curve.mul(Integer(random.below(8)), torsion_8));
    const Affine r_point =
        curve.add(curve.mul(r, curve.base), curve.mul(Integer(random.below(8)), torsion_8));
    const auto a_bytes = curve.encode(a_point);
    const auto r_bytes = curve.encode(r_point);
    const auto holds = [&](const auto& key, const auto& commitment, const Integer& scalar,
                           const Integer& hash) {
      return edwards25519::zip215_equation_holds_vartime(key, commitment, scalar.little_endian(),
                                                         hash.little_endian());
    };
    EXPECT_TRUE(holds(a_bytes, r_bytes, s, k)) << i;
    // One more or less anywhere, and it does not: by the reference as well.
    const Integer s_plus_1 = curve.scalar_mul_add(Integer(1), s, Integer(1));
    const Integer k_plus_1 = curve.scalar_mul_add(Integer(1), k, Integer(1));
    EXPECT_FALSE(holds(a_bytes, r_bytes, s_plus_1, k)) << i;
    EXPECT_FALSE(holds(a_bytes, r_bytes, s, k_plus_1)) << i;
    // With k = 1 key and commitment can change places.
    EXPECT_EQ(holds(r_bytes, a_bytes, s, k), k == Integer(1)) << i;
    auto minus_a = a_bytes;
    minus_a[31] ^= 0x80;
    // With k = 0 the key does not count.
    EXPECT_EQ(holds(minus_a, r_bytes, s, k), k == Integer(0)) << i;
    const Affine left = curve.mul(Integer(8), curve.mul(s, curve.base));
    const Affine right = curve.mul(Integer(8), curve.add(r_point, curve.mul(k, a_point)));
    EXPECT_EQ(left, right) << i;
  }
}

// Keys and commitments with a component of small order, through the public API: A = [a]B + [i]T,
// R = [r]B + [j]T. The cofactor makes all of them valid; without it what is left over is
// [k·i + j]T, with k reduced mod L.
TEST(Edwards25519, MixedOrderSignaturesUnderBothProfiles) {
  const Reference curve;
  Random random(0x5eed0052);
  const Affine torsion_8 = curve.torsion_8();
  const Bytes message = bytes_of("mixed order");
  const Integer a = curve.random_scalar(random);
  const Integer r = curve.random_scalar(random);
  const Affine a_base = curve.mul(a, curve.base);
  const Affine r_base = curve.mul(r, curve.base);
  BatchBuilder zip215({Scheme::kEd25519, SignatureEncoding::kRaw, Profile::kZip215});
  BatchBuilder strict({Scheme::kEd25519, SignatureEncoding::kRaw, Profile::kStrict});
  std::vector<Verdict> expected_strict;
  for (std::uint64_t i = 0; i < 8; ++i) {
    const auto key = curve.encode(curve.add(a_base, curve.mul(Integer(i), torsion_8)));
    for (std::uint64_t j = 0; j < 8; ++j) {
      const auto commitment = curve.encode(curve.add(r_base, curve.mul(Integer(j), torsion_8)));
      Bytes hashed(commitment.begin(), commitment.end());
      hashed.insert(hashed.end(), key.begin(), key.end());
      hashed = joined(hashed, message);
      Bytes digest(64);
      ASSERT_EQ(
          EVP_Digest(hashed.data(), hashed.size(), digest.data(), nullptr, EVP_sha512(), nullptr),
          1);
      const Integer k =
          curve.scalar_mul_add(Integer(1), Integer::from_little_endian(digest), Integer(0));
      const auto s = curve.scalar_mul_add(k, a, r).little_endian();
      Bytes signature(commitment.begin(), commitment.end());
      signature.insert(signature.end(), s.begin(), s.end());
      zip215.add(key, message, signature);
      strict.add(key, message, signature);
      const std::uint64_t left_over = (k.little_endian()[0] * i + j) % 8;
      expected_strict.push_back(left_over == 0 ? Verdict::kValid : Verdict::kMismatch);
    }
  }
  EXPECT_EQ(zip215.verify(), std::vector<Verdict>(64, Verdict::kValid));
  EXPECT_EQ(strict.verify(), expected_strict);
  EXPECT_GT(std::count(expected_strict.begin(), expected_strict.end(), Verdict::kValid), 1);
}

// Not of the curve: refused, not computed with.
TEST(Edwards25519, EquationNeedsTwoPoints) {
  std::array<std::uint8_t, 32> neutral{};
  neutral[0] = 1;
  std::array<std::uint8_t, 32> no_point{};
  no_point[0] = 2;
  const std::array<std::uint8_t, 32> zero{};
  EXPECT_TRUE(edwards25519::zip215_equation_holds_vartime(neutral, neutral, zero, zero));
  EXPECT_FALSE(edwards25519::zip215_equation_holds_vartime(no_point, neutral, zero, zero));
  EXPECT_FALSE(edwards25519::zip215_equation_holds_vartime(neutral, no_point, zero, zero));
}

}  // namespace
}  // namespace colophon::test
