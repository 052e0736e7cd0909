// SPDX-License-Identifier: Apache-2.0
//
// Every operation of every field against OpenSSL's BIGNUM, on random numbers and on the edges: 0,
// 1, m - 1, m, m + 1, 2^256 - 1, every word 0, 1, all ones or a power of two, and every limb of the
// field's own 0, 1 or all ones.
#include <gtest/gtest.h>
#include <openssl/bn.h>

#include <array>
#include <cctype>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/cpu.h"
#include "tests/effort.h"
#include "tests/kernels/field_probe.h"

namespace colophon::test {
namespace {

struct BnFree {
  void operator()(BIGNUM* bn) const { BN_free(bn); }
  void operator()(BN_CTX* context) const { BN_CTX_free(context); }
};
using Bn = std::unique_ptr<BIGNUM, BnFree>;
using Number = std::array<std::uint64_t, 4>;

Bn bn(const Number& number) {
  Bn out(BN_new());
  BN_lebin2bn(reinterpret_cast<const unsigned char*>(number.data()), 32, out.get());
  return out;
}

Number number_of(const BIGNUM* bn) {
  Number out{};
  BN_bn2lebinpad(bn, reinterpret_cast<unsigned char*>(out.data()), 32);
  return out;
}

class Reference {
 public:
  explicit Reference(const FieldProbe& probe)
      : context_(BN_CTX_new()),
        modulus_(bn({probe.modulus[0], probe.modulus[1], probe.modulus[2], probe.modulus[3]})),
        r_(BN_new()),
        inverse_of_r_(BN_new()) {
    BN_set_bit(r_.get(), static_cast<int>(probe.radix_bits));
    BN_nnmod(r_.get(), r_.get(), modulus_.get(), context_.get());
    BN_mod_inverse(inverse_of_r_.get(), r_.get(), modulus_.get(), context_.get());
  }

  Number apply(FieldOp op, const Number& a_number, const Number& b_number) const {
    const Bn a = reduced(a_number);
    const Bn b = reduced(b_number);
    Bn out(BN_new());
    const bool b_is_odd = (b_number[0] & 1) != 0;
    switch (op) {
      case FieldOp::kMul:
        return number_of(product(*a, *b).get());
      case FieldOp::kSqr:
        return number_of(product(*a, *a).get());
      case FieldOp::kMulMinus:
        return number_of(sub(*product(*a, *b), *a).get());
      case FieldOp::kMulSub: {
        const Bn sum = add(*a, *b);
        return number_of(sub(*product(*a, *b), *product(*b, *sum)).get());
      }
      case FieldOp::kSqrMinus: {
        const Bn sum = add(*a, *b);
        return number_of(sub(*sub(*product(*a, *a), *b), *add(*sum, *sum)).get());
      }
      case FieldOp::kHalf:
        if (BN_is_odd(a.get())) BN_add(a.get(), a.get(), modulus_.get());
        BN_rshift1(out.get(), a.get());
        return number_of(out.get());
      case FieldOp::kMulMinusSqr:
        return number_of(sub(*product(*a, *b), *product(*a, *a)).get());
      case FieldOp::kAdd:
      case FieldOp::kAddReduced:
        return number_of(add(*a, *b).get());
      case FieldOp::kSub:
      case FieldOp::kSubReduced:
        return number_of(sub(*a, *b).get());
      case FieldOp::kWideSum: {
        BN_mul_word(a.get(), 6);
        BN_mul_word(b.get(), 2);
        BN_mod_sub(out.get(), a.get(), b.get(), modulus_.get(), context_.get());
        return number_of(out.get());
      }
      case FieldOp::kWideProduct:
        BN_mul_word(a.get(), 4);
        BN_mul_word(b.get(), 4);
        return number_of(product(*a, *b).get());
      case FieldOp::kNegateIf:
        if (!b_is_odd) return number_of(a.get());
        BN_zero(out.get());
        BN_mod_sub(out.get(), out.get(), a.get(), modulus_.get(), context_.get());
        return number_of(out.get());
      case FieldOp::kSelect:
        return number_of(b_is_odd ? b.get() : a.get());
      case FieldOp::kInverse:
        // Zero stands for one, whose Montgomery form is R.
        BN_mod_inverse(out.get(), BN_is_zero(a.get()) ? r_.get() : a.get(), modulus_.get(),
                       context_.get());
        BN_mod_mul(out.get(), out.get(), r_.get(), modulus_.get(), context_.get());
        BN_mod_mul(out.get(), out.get(), r_.get(), modulus_.get(), context_.get());
        return number_of(out.get());
      case FieldOp::kIsZero:
        return {BN_is_zero(a.get()) ? 1U : 0U, 0, 0, 0};
      case FieldOp::kEqualIsZero:
        return {BN_cmp(a.get(), b.get()) == 0 ? 1U : 0U, 0, 0, 0};
      case FieldOp::kCount:
        break;
    }
    return {};
  }

 private:
  Bn reduced(const Number& number) const {
    Bn out = bn(number);
    BN_nnmod(out.get(), out.get(), modulus_.get(), context_.get());
    return out;
  }
  Bn product(const BIGNUM& a, const BIGNUM& b) const {
    Bn out(BN_new());
    BN_mod_mul(out.get(), &a, &b, modulus_.get(), context_.get());
    BN_mod_mul(out.get(), out.get(), inverse_of_r_.get(), modulus_.get(), context_.get());
    return out;
  }
  Bn sub(const BIGNUM& a, const BIGNUM& b) const {
    Bn out(BN_new());
    BN_mod_sub(out.get(), &a, &b, modulus_.get(), context_.get());
    return out;
  }
  Bn add(const BIGNUM& a, const BIGNUM& b) const {
    Bn out(BN_new());
    BN_mod_add(out.get(), &a, &b, modulus_.get(), context_.get());
    return out;
  }

  std::unique_ptr<BN_CTX, BnFree> context_;
  Bn modulus_;
  Bn r_;
  Bn inverse_of_r_;
};

std::vector<Number> edges(const FieldProbe& probe) {
  std::vector<Number> numbers;
  const Bn modulus = bn({probe.modulus[0], probe.modulus[1], probe.modulus[2], probe.modulus[3]});
  for (const int distance : {-2, -1, 0, 1, 2}) {
    Bn near(BN_dup(modulus.get()));
    if (distance < 0) BN_sub_word(near.get(), static_cast<BN_ULONG>(-distance));
    if (distance > 0) BN_add_word(near.get(), static_cast<BN_ULONG>(distance));
    numbers.push_back(number_of(near.get()));
  }
  constexpr std::array<std::uint64_t, 5> kWords = {0, 1, ~std::uint64_t{0}, std::uint64_t{1} << 63,
                                                   (std::uint64_t{1} << 52) - 1};
  for (std::size_t i = 0; i < 625; ++i) {
    numbers.push_back({kWords[i % 5], kWords[i / 5 % 5], kWords[i / 25 % 5], kWords[i / 125]});
  }
  return numbers;
}

// Every limb of the field's 0, 1 or all ones.
std::vector<Number> limb_edges(const FieldProbe& probe) {
  std::vector<Number> numbers;
  const unsigned count = (256 + probe.limb_bits - 1) / probe.limb_bits;
  std::size_t combinations = 1;
  for (unsigned i = 0; i < count; ++i) combinations *= 3;
  for (std::size_t combination = 0; combination < combinations; ++combination) {
    Number number{};
    std::size_t left = combination;
    for (unsigned bit = 0; bit < 256; ++bit) {
      const unsigned in_limb = bit % probe.limb_bits;
      if (bit != 0 && in_limb == 0) left /= 3;
      const bool is_set = left % 3 == 2 || (left % 3 == 1 && in_limb == 0);
      number[bit / 64] |= std::uint64_t{is_set} << bit % 64;
    }
    numbers.push_back(number);
  }
  return numbers;
}

void compare(const FieldProbe& probe, const std::vector<std::pair<Number, Number>>& pairs) {
  const Reference reference(probe);
  for (std::size_t at = 0; at < pairs.size(); at += probe.lanes) {
    std::vector<Number> a(probe.lanes);
    std::vector<Number> b(probe.lanes);
    for (std::size_t lane = 0; lane < probe.lanes; ++lane) {
      std::tie(a[lane], b[lane]) = pairs[(at + lane) % pairs.size()];
    }
    for (int code = 0; code < static_cast<int>(FieldOp::kCount); ++code) {
      const auto op = static_cast<FieldOp>(code);
      const bool is_reduced =
          op == FieldOp::kAddReduced || op == FieldOp::kSubReduced || op == FieldOp::kSqrMinus;
      if (is_reduced && !probe.has_reduced) continue;
      if ((op == FieldOp::kHalf || op == FieldOp::kMulMinusSqr) && !probe.has_half) continue;
      std::vector<Number> out(probe.lanes);
      const auto rows = [](auto& numbers) {
        return reinterpret_cast<std::uint64_t(*)[4]>(numbers.data());
      };
      probe.run(op, rows(a), rows(b), rows(out));
      for (std::size_t lane = 0; lane < probe.lanes; ++lane) {
        ASSERT_EQ(out[lane], reference.apply(op, a[lane], b[lane]))
            << probe.name << ", operation " << code << ", lane " << lane << ", a "
            << BN_bn2hex(bn(a[lane]).get()) << ", b " << BN_bn2hex(bn(b[lane]).get());
      }
    }
  }
}

class FieldTest : public testing::TestWithParam<const FieldProbe*> {
 protected:
  void SetUp() override {
    if (GetParam()->lanes == 8 && !kernels::cpu_has_avx512()) {
      GTEST_SKIP() << "this CPU has no AVX-512 IFMA";
    }
  }
};

TEST_P(FieldTest, AgreesWithBignumOnEdges) {
  const std::vector<Number> numbers = edges(*GetParam());
  std::vector<std::pair<Number, Number>> pairs;
  std::mt19937_64 random(1);
  for (const Number& a : numbers) {
    pairs.emplace_back(a, a);
    pairs.emplace_back(a, numbers[random() % numbers.size()]);
    pairs.emplace_back(a, numbers[random() % 5]);
  }
  compare(*GetParam(), pairs);
}

TEST_P(FieldTest, AgreesWithBignumOnTheEdgesOfEveryLimb) {
  const std::vector<Number> numbers = limb_edges(*GetParam());
  std::vector<std::pair<Number, Number>> pairs;
  std::mt19937_64 random(3);
  for (const Number& a : numbers) pairs.emplace_back(a, numbers[random() % numbers.size()]);
  compare(*GetParam(), pairs);
}

TEST_P(FieldTest, AgreesWithBignumOnRandomNumbers) {
  const std::size_t count = is_long() ? 200'000 : 4'000;
  std::mt19937_64 random(2);
  std::vector<std::pair<Number, Number>> pairs(count);
  for (auto& [a, b] : pairs) {
    for (auto& word : a) word = random();
    for (auto& word : b) word = random();
  }
  compare(*GetParam(), pairs);
}

INSTANTIATE_TEST_SUITE_P(All, FieldTest,
                         testing::Values(&kWidePrime, &kWideOrder, &kScalarPrime, &kScalarOrder,
                                         &kScalarWidePrime, &kLanesPrime, &kLanesOrder),
                         [](const auto& instance) {
                           std::string name;
                           for (const char c : std::string(instance.param->name)) {
                             if (std::isalnum(static_cast<unsigned char>(c)) != 0) name += c;
                           }
                           return name;
                         });

}  // namespace
}  // namespace colophon::test
