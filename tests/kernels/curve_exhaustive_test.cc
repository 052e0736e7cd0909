// SPDX-License-Identifier: Apache-2.0
//
// The formulas of kernels/curve.h and the affine passes of kernels/verify.h on curves so small that
// everything there is can be tried: every pair of points under every scaling of the coordinates,
// every sum of three.
#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <vector>

#include "kernels/curve.h"
#include "kernels/verify.h"

namespace colophon::test {
namespace {

using kernels::Words;

// y² = x³ - 3x + b over the integers mod p, of prime order n.
template <std::uint64_t kP, std::uint64_t kBee, std::uint64_t kOrder, std::uint64_t kX,
          std::uint64_t kY>
struct Tiny {
  struct Prime {
    static constexpr Words kModulus{{kP, 0, 0, 0}};
  };
  struct Order {
    static constexpr Words kModulus{{kOrder, 0, 0, 0}};
  };
  static constexpr Words kB{{kBee, 0, 0, 0}};
  static constexpr Words kGx{{kX, 0, 0, 0}};
  static constexpr Words kGy{{kY, 0, 0, 0}};
};

template <class P>
struct Value {
  std::uint64_t value;
  friend Value operator+(Value a, Value b) { return {(a.value + b.value) % P::kModulus.word[0]}; }
  friend Value operator-(Value a, Value b) {
    return {(a.value + P::kModulus.word[0] - b.value) % P::kModulus.word[0]};
  }
  friend bool operator==(Value a, Value b) { return a.value == b.value; }
};

// The Field concept with R = 1 and rows that are indices into a list of points.
template <class P>
struct FieldTiny {
  using Modulus = P;
  static constexpr unsigned kLanes = 1;
  static constexpr unsigned kMagnitudeMax = 16;
  using Mask = std::uint8_t;
  using Word = std::uint64_t;
  template <unsigned M>
  using Element = Value<P>;
  template <unsigned N, unsigned M>
  using Sum = Value<P>;
  using E = Value<P>;

  static E zero() { return {0}; }
  static E one() { return {1}; }
  static E three() { return {3 % P::kModulus.word[0]}; }
  static E square_of_r() { return {1}; }
  static E carry(E a) { return a; }
  static E carry_reduced(E a) { return a; }
  static E canonical(E a) { return a; }
  static E times4(E a) { return {4 * a.value % P::kModulus.word[0]}; }
  static E mul(E a, E b) { return {a.value * b.value % P::kModulus.word[0]}; }
  static E sqr(E a) { return mul(a, a); }
  static E mul_minus(E a, E b, E c) { return mul(a, b) - c; }
  static E mul_sub(E a, E b, E c, E d) { return mul(a, b) - mul(c, d); }
  static E sqr_minus(E a, E b, E c) { return sqr(a) - b - c - c; }
  static E mul_minus_sqr(E a, E b, E c) { return mul(a, b) - sqr(c); }
  static E half(E a) { return {(a.value % 2 == 0 ? a.value : a.value + P::kModulus.word[0]) / 2}; }
  static E negate_if(Mask mask, E a) { return mask != 0 ? zero() - a : a; }
  static E select(Mask mask, E a, E b) { return mask != 0 ? a : b; }
  static Mask is_zero(E a) { return a.value == 0 ? 1 : 0; }
  static E inverse_vartime(E a) {
    E power = one();
    for (std::uint64_t i = 0; i + 2 < P::kModulus.word[0]; ++i) power = mul(power, a);
    return power;
  }

  struct Rows {
    const kernels::Affine<FieldTiny>* point;
    Mask negative;
  };
  static void prefetch(const Rows&) {}
  static void load_rows(const Rows& rows, E& x, E& y) {
    x = rows.point->x;
    y = rows.point->y;
  }
};

template <class Curve>
class CurveExhaustiveTest : public testing::Test {
 protected:
  using F = FieldTiny<typename Curve::Prime>;
  using E = typename F::E;
  using Affine = kernels::Affine<F>;
  using Point = std::optional<Affine>;  // none: the infinity

  static constexpr std::uint64_t kP = Curve::Prime::kModulus.word[0];

  static bool same(const Point& a, const Point& b) {
    if (!a || !b) return a.has_value() == b.has_value();
    return a->x == b->x && a->y == b->y;
  }
  static Point negated(const Point& a) {
    if (!a) return a;
    return Affine{a->x, F::zero() - a->y};
  }
  // The group law by its definition, division and all.
  static Point sum(const Point& a, const Point& b) {
    if (!a) return b;
    if (!b) return a;
    if (same(a, negated(b))) return {};
    const E slope = same(a, b) ? F::mul(F::mul(F::three(), F::sqr(a->x)) - F::three(),
                                        F::inverse_vartime(a->y + a->y))
                               : F::mul(b->y - a->y, F::inverse_vartime(b->x - a->x));
    const E x = F::sqr(slope) - a->x - b->x;
    return Affine{x, F::mul(slope, a->x - x) - a->y};
  }

  void SetUp() override {
    points_.push_back({});
    for (std::uint64_t x = 0; x < kP; ++x) {
      for (std::uint64_t y = 0; y < kP; ++y) {
        const E ex{x};
        const E right = F::mul(F::sqr(ex), ex) - F::mul(F::three(), ex) + E{Curve::kB.word[0]};
        if (F::sqr(E{y}) == right) points_.push_back(Affine{ex, E{y}});
      }
    }
    ASSERT_EQ(points_.size(), Curve::Order::kModulus.word[0]);
  }

  // The point of (X, Y, ZZ, ZZZ); nothing if ZZ is zero.
  static Point affine(const kernels::Xyzz<F>& p) {
    if (F::is_zero(p.zz) != 0) return {};
    return Affine{F::mul(p.x, F::inverse_vartime(p.zz)), F::mul(p.y, F::inverse_vartime(p.zzz))};
  }
  static Point affine(const kernels::Jacobian<F>& p) {
    const E zz = F::sqr(p.z);
    return affine(kernels::Xyzz<F>{p.x, p.y, zz, F::mul(zz, p.z)});
  }
  static kernels::Xyzz<F> xyzz(const Affine& p, E z) {
    const E zz = F::sqr(z);
    const E zzz = F::mul(zz, z);
    return {F::mul(p.x, zz), F::mul(p.y, zzz), zz, zzz};
  }

  std::vector<Point> points_;
};

using Curves = testing::Types<Tiny<31, 6, 41, 1, 2>, Tiny<43, 10, 37, 0, 15>>;
TYPED_TEST_SUITE(CurveExhaustiveTest, Curves);

// Right for every pair that is no exception, and zero for every one that is.
TYPED_TEST(CurveExhaustiveTest, IncompleteAdditionsAreRightOrLeaveZero) {
  using Field = typename TestFixture::F;
  using Number = typename Field::E;
  for (const auto& p : this->points_) {
    for (const auto& q : this->points_) {
      if (!p || !q) continue;
      const bool exception = p->x == q->x;
      for (const std::uint8_t negative : {std::uint8_t{0}, std::uint8_t{1}}) {
        const auto signed_q = negative != 0 ? this->negated(q) : q;
        const auto expected = exception ? typename TestFixture::Point() : this->sum(p, signed_q);
        ASSERT_TRUE(
            this->same(this->affine(kernels::add_affine<Field>(*p, 0, *q, negative)), expected));
        for (std::uint64_t z = 1; z < this->kP; ++z) {
          kernels::Xyzz<Field> sums[1] = {this->xyzz(*p, Number{z})};
          const kernels::Affine<Field> added[1] = {*q};
          const std::uint8_t masks[1] = {negative};
          kernels::add_mixed<Field, 1>(sums, added, masks);
          ASSERT_TRUE(this->same(this->affine(sums[0]), expected));
          const auto scaled = this->xyzz(*p, Number{z});
          const kernels::Jacobian<Field> jacobian{scaled.x, scaled.y, Number{z}};
          ASSERT_TRUE(this->same(this->affine(kernels::add_mixed<Field>(jacobian, *q, negative)),
                                 expected));
          const auto other =
              this->xyzz(*signed_q, Number{z * z % this->kP + 1 == this->kP ? 1 : z});
          ASSERT_TRUE(this->same(this->affine(kernels::add<Field>(scaled, other)), expected));
        }
      }
    }
  }
}

// What was once zero stays so: one test at the end finds an exception anywhere before.
TYPED_TEST(CurveExhaustiveTest, ZeroStaysZero) {
  using Field = typename TestFixture::F;
  using Number = typename Field::E;
  for (std::uint64_t x = 0; x < this->kP; ++x) {
    for (std::uint64_t y = 0; y < this->kP; ++y) {
      const kernels::Xyzz<Field> nothing{Number{x}, Number{y}, Number{0}, Number{0}};
      const kernels::Jacobian<Field> nowhere{Number{x}, Number{y}, Number{0}};
      EXPECT_EQ(kernels::twice(nowhere).z, Number{0});
      EXPECT_EQ(kernels::twice_halved(nowhere).z, Number{0});
      for (const auto& q : this->points_) {
        if (!q) continue;
        kernels::Xyzz<Field> sums[1] = {nothing};
        const kernels::Affine<Field> added[1] = {*q};
        const std::uint8_t masks[1] = {0};
        kernels::add_mixed<Field, 1>(sums, added, masks);
        ASSERT_EQ(sums[0].zz, Number{0});
        ASSERT_EQ(kernels::add_mixed<Field>(nowhere, *q, 0).z, Number{0});
        ASSERT_EQ(kernels::add<Field>(nothing, this->xyzz(*q, Number{2})).zz, Number{0});
        ASSERT_EQ(kernels::add<Field>(this->xyzz(*q, Number{2}), nothing).zz, Number{0});
      }
    }
  }
}

TYPED_TEST(CurveExhaustiveTest, DoublingIsRightForEveryPoint) {
  using Field = typename TestFixture::F;
  using Number = typename Field::E;
  for (const auto& p : this->points_) {
    if (!p) continue;
    for (std::uint64_t z = 1; z < this->kP; ++z) {
      const auto scaled = this->xyzz(*p, Number{z});
      const kernels::Jacobian<Field> jacobian{scaled.x, scaled.y, Number{z}};
      ASSERT_TRUE(this->same(this->affine(kernels::twice(jacobian)), this->sum(p, p)));
      ASSERT_TRUE(this->same(this->affine(kernels::twice_halved(jacobian)), this->sum(p, p)));
    }
  }
}

TYPED_TEST(CurveExhaustiveTest, CompleteAdditionIsRightForEveryPair) {
  using Field = typename TestFixture::F;
  using Number = typename Field::E;
  const Number b{TypeParam::kB.word[0]};
  const auto projective = [](const auto& p, Number z) -> kernels::Projective<Field> {
    if (!p) return {Number{0}, z, Number{0}};
    return {Field::mul(p->x, z), Field::mul(p->y, z), z};
  };
  for (const auto& p : this->points_) {
    for (const auto& q : this->points_) {
      for (std::uint64_t z = 1; z < this->kP; ++z) {
        const Number other{this->kP - z};
        const auto sum =
            kernels::add_complete<Field>(projective(p, Number{z}), projective(q, other), b);
        typename TestFixture::Point affine;
        if (Field::is_zero(sum.z) == 0) {
          const Number inverse = Field::inverse_vartime(sum.z);
          affine = kernels::Affine<Field>{Field::mul(sum.x, inverse), Field::mul(sum.y, inverse)};
        } else {
          ASSERT_EQ(sum.x, Number{0});
          ASSERT_NE(sum.y.value, 0U);
        }
        ASSERT_TRUE(this->same(affine, this->sum(p, q)));
      }
    }
  }
}

// ±P ± Q ± R for all P, Q, R, all in one batch: right where no sum on the way is an exception, set
// aside where one is; and 2P + Q likewise.
TYPED_TEST(CurveExhaustiveTest, AffinePassesFindEveryException) {
  using Field = typename TestFixture::F;
  using Verify = kernels::Verifier<TypeParam, FieldTiny>;
  using Step = typename Verify::Step;
  using Rows = typename Field::Rows;
  struct Case {
    std::array<std::size_t, 3> point;
    std::uint8_t negative;  // bit i: point i counts negative
  };
  std::vector<Case> cases;
  const std::size_t n = this->points_.size();
  for (std::size_t p = 1; p < n; ++p) {
    for (std::size_t q = 1; q < n; ++q) {
      for (std::size_t r = 1; r < n; ++r) {
        cases.push_back({{p, q, r}, static_cast<std::uint8_t>((p + 2 * q + 3 * r) % 8)});
      }
    }
  }
  std::vector<typename Verify::Record> records(cases.size());
  std::vector<typename Field::Mask> exceptional(cases.size());
  std::vector<typename Field::E> x(cases.size());
  const auto find = [&](std::size_t i) {
    return [&, i](std::size_t v, Rows& rows) {
      rows = {&*this->points_[cases[v].point[i]],
              static_cast<std::uint8_t>(cases[v].negative >> i & 1)};
    };
  };
  const auto point = [&](std::size_t v, std::size_t i) {
    const auto& p = this->points_[cases[v].point[i]];
    return (cases[v].negative >> i & 1) != 0 ? this->negated(p) : p;
  };
  const auto check = [&](auto first, auto second) {
    std::size_t exceptions = 0;
    for (std::size_t v = 0; v < cases.size(); ++v) {
      const auto one = first(v);  // of the two terms of the first step, and the sum
      const auto two = second(v);
      const bool exception = one.exception || !one.sum || one.sum->x == two->x;
      ASSERT_EQ(exceptional[v] != 0, exception) << v;
      exceptions += exception ? 1 : 0;
      if (!exception) {
        ASSERT_EQ(x[v], this->sum(one.sum, two)->x) << v;
      }
    }
    EXPECT_GT(exceptions, 0U);
    EXPECT_LT(exceptions, cases.size());
  };
  struct First {
    bool exception;
    typename TestFixture::Point sum;
  };
  typename Verify::AffinePasses additions(cases.size(), records.data(), exceptional.data());
  additions.start(find(0));
  additions.template begin<Step::kAdd>(find(1));
  additions.template pass<Step::kAdd, Step::kAdd>(find(2));
  additions.template pass<Step::kAdd, Step::kEnd>(find(0), x.data());
  check(
      [&](std::size_t v) {
        const auto p = point(v, 0);
        const auto q = point(v, 1);
        return First{p->x == q->x, this->sum(p, q)};
      },
      [&](std::size_t v) { return point(v, 2); });

  typename Verify::AffinePasses doublings(cases.size(), records.data(), exceptional.data());
  doublings.start(find(0));
  doublings.template begin<Step::kDouble>(find(0));
  doublings.template pass<Step::kDouble, Step::kAdd>(find(1));
  doublings.template pass<Step::kAdd, Step::kEnd>(find(0), x.data());
  check(
      [&](std::size_t v) {
        return First{false, this->sum(point(v, 0), point(v, 0))};
      },
      [&](std::size_t v) { return point(v, 1); });
}

}  // namespace
}  // namespace colophon::test
