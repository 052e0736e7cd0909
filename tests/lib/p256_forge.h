// SPDX-License-Identifier: Apache-2.0
//
// ECDSA P-256 signatures made to order: whatever u1, u2 and point one wants verification to meet.
// Made with OpenSSL's numbers and points; nothing of the library is used.
#pragma once

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace colophon::test {

struct OpensslFree {
  void operator()(BIGNUM* x) const { BN_free(x); }
  void operator()(BN_CTX* x) const { BN_CTX_free(x); }
  void operator()(EC_GROUP* x) const { EC_GROUP_free(x); }
  void operator()(EC_POINT* x) const { EC_POINT_free(x); }
};
using Bn = std::unique_ptr<BIGNUM, OpensslFree>;
using Point = std::unique_ptr<EC_POINT, OpensslFree>;

// A signature with all that verifies it; the strings are bytes.
struct ForgedSignature {
  std::string public_key;  // SEC 1, compressed
  std::string digest;      // 32
  std::string signature;   // r ‖ s
  std::string what;        // for people
};

class P256Forge {
 public:
  explicit P256Forge(std::uint64_t seed)
      : random_(seed),
        context_(BN_CTX_new()),
        group_(EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1)) {}

  // --- numbers mod n ----------------------------------------------------------------------------
  [[nodiscard]] const BIGNUM* n() const { return EC_GROUP_get0_order(group_.get()); }
  [[nodiscard]] const BIGNUM* p() const { return EC_GROUP_get0_field(group_.get()); }
  Bn number(std::uint64_t value) {
    Bn out(BN_new());
    BN_set_word(out.get(), value);
    return out;
  }
  Bn random_scalar() {
    std::array<unsigned char, 40> bytes;
    for (auto& byte : bytes) byte = static_cast<unsigned char>(random_());
    Bn out(BN_bin2bn(bytes.data(), bytes.size(), nullptr));
    BN_nnmod(out.get(), out.get(), n(), context_.get());
    return out;
  }
  Bn mul(const Bn& a, const Bn& b) { return apply(BN_mod_mul, a, b); }
  Bn add(const Bn& a, const Bn& b) { return apply(BN_mod_add, a, b); }
  Bn sub(const Bn& a, const Bn& b) { return apply(BN_mod_sub, a, b); }
  Bn over(const Bn& a, const Bn& b) {
    Bn inverse(BN_mod_inverse(nullptr, b.get(), n(), context_.get()));
    return mul(a, inverse);
  }
  Bn power_of_two(unsigned exponent) {
    Bn out(BN_new());
    BN_set_bit(out.get(), static_cast<int>(exponent));
    BN_nnmod(out.get(), out.get(), n(), context_.get());
    return out;
  }

  // The odd digits (2 d + 1 - 2^w) of the library's tables, lowest window first, as numbers mod n.
  std::vector<Bn> digits(const Bn& scalar, unsigned bits) {
    const unsigned windows = (256 + bits - 1) / bits;
    Bn k = add(scalar, sub(power_of_two(bits * windows), number(1)));
    k = over(k, number(2));
    std::vector<Bn> out;
    for (unsigned i = 0; i < windows; ++i) {
      std::uint64_t d = 0;
      for (unsigned b = 0; b < bits; ++b) {
        d |= static_cast<std::uint64_t>(BN_is_bit_set(k.get(), static_cast<int>(bits * i + b)))
             << b;
      }
      out.push_back(sub(number(2 * d + 1), number(std::uint64_t{1} << bits)));
    }
    return out;
  }
  // Σ digits[i]·2^(bits·i) for i in [first, last).
  Bn partial(const std::vector<Bn>& digits, unsigned bits, std::size_t first, std::size_t last) {
    Bn sum = number(0);
    for (std::size_t i = first; i < last; ++i) {
      sum = add(sum, mul(digits[i], power_of_two(bits * static_cast<unsigned>(i))));
    }
    return sum;
  }

  // --- points
  // ---------------------------------------------------------------------------------------
  Point times_generator(const Bn& scalar) {
    Point out(EC_POINT_new(group_.get()));
    EC_POINT_mul(group_.get(), out.get(), scalar.get(), nullptr, nullptr, context_.get());
    return out;
  }
  std::string encode(const Point& point) {
    std::string out(33, '\0');
    if (EC_POINT_point2oct(group_.get(), point.get(), POINT_CONVERSION_COMPRESSED,
                           reinterpret_cast<unsigned char*>(out.data()), out.size(),
                           context_.get()) != out.size()) {
      std::abort();  // the infinity: the case was set up wrong
    }
    return out;
  }
  static std::string bytes(const Bn& value) {
    std::string out(32, '\0');
    if (BN_bn2binpad(value.get(), reinterpret_cast<unsigned char*>(out.data()), 32) != 32)
      std::abort();
    return out;
  }

  // --- signatures
  // -----------------------------------------------------------------------------------

  // A valid signature whose verification computes u1·G + u2·(d·G). u2 not 0, and u1 + u2·d not 0.
  ForgedSignature with_scalars(const Bn& u1, const Bn& u2, const Bn& d, std::string what) {
    const Point sum = times_generator(add(u1, mul(u2, d)));
    Bn x(BN_new());
    EC_POINT_get_affine_coordinates(group_.get(), sum.get(), x.get(), nullptr, context_.get());
    Bn r(BN_new());
    BN_nnmod(r.get(), x.get(), n(), context_.get());
    return finish(r, u1, u2, encode(times_generator(d)), std::move(what));
  }

  // The same sum with another r: not valid, whatever becomes of the sum.
  ForgedSignature with_scalars_and_wrong_r(const Bn& u1, const Bn& u2, const Bn& d,
                                           std::string what) {
    const ForgedSignature right = with_scalars(u1, u2, d, {});
    const Bn r(
        BN_bin2bn(reinterpret_cast<const unsigned char*>(right.signature.data()), 32, nullptr));
    return finish(add(r, number(1)), u1, u2, right.public_key, std::move(what));
  }

  // A valid signature whose sum has x in [n, p), so that r = x - n. The key's logarithm is
  // nobody's.
  ForgedSignature with_x_over_n(std::string what) {
    return with_x_over_n(random_scalar(), std::move(what));
  }
  ForgedSignature with_x_over_n(const Bn& u1, std::string what) {
    Bn x(BN_dup(n()));
    BN_add_word(x.get(), random_() % 1000);
    Point sum = point_with_x(x, BN_add_word);
    BN_sub(x.get(), x.get(), n());
    return with_sum(sum, x, u1, std::move(what));
  }
  // The same with x as near to p, or to what is `distance` below, as a point is.
  ForgedSignature with_x_below_p(std::string what) {
    return with_x_below_p(number(1), std::move(what));
  }
  ForgedSignature with_x_below_p(const Bn& distance, std::string what) {
    Bn x(BN_dup(p()));
    BN_sub(x.get(), x.get(), distance.get());
    Point sum = point_with_x(x, BN_sub_word);
    BN_sub(x.get(), x.get(), n());
    return with_sum(sum, x, random_scalar(), std::move(what));
  }
  // Not valid: r + n is x mod p, but not below p. The smallest such r, or the smallest at some
  // distance from p - n.
  ForgedSignature with_x_wrapped(std::string what) {
    return with_x_wrapped(number(0), std::move(what));
  }
  ForgedSignature with_x_wrapped(const Bn& distance, std::string what) {
    Bn x(BN_dup(distance.get()));
    Point sum = point_with_x(x, BN_add_word);
    BN_add(x.get(), x.get(), p());
    BN_sub(x.get(), x.get(), n());
    return with_sum(sum, x, random_scalar(), std::move(what));
  }

  // A valid signature whose sum has so small an x that x + n is below p too. The smallest.
  ForgedSignature with_small_x(std::string what) {
    Bn x = number(1);
    const Point sum = point_with_x(x, BN_add_word);
    return with_sum(sum, x, random_scalar(), std::move(what));
  }
  // A valid signature whose sum has x = n + r, which must be below p and some point's.
  ForgedSignature with_small_r(const char* hexadecimal_r, std::string what) {
    BIGNUM* parsed = nullptr;
    BN_hex2bn(&parsed, hexadecimal_r);
    const Bn r(parsed);
    Bn x(BN_dup(n()));
    BN_add(x.get(), x.get(), r.get());
    const Point sum = point_with_x(x, BN_add_word);
    return with_sum(sum, r, random_scalar(), std::move(what));
  }

  // A valid signature with this s. The key's logarithm is nobody's.
  ForgedSignature with_s(const Bn& s, std::string what) {
    const Point sum = times_generator(random_scalar());
    Bn x(BN_new());
    EC_POINT_get_affine_coordinates(group_.get(), sum.get(), x.get(), nullptr, context_.get());
    Bn r(BN_new());
    BN_nnmod(r.get(), x.get(), n(), context_.get());
    return with_sum(sum, r, random_scalar(), over(r, s), std::move(what));
  }

  // Not valid: u1·G + u2·Q is the infinity.
  ForgedSignature with_infinity(const Bn& u2, const Bn& d, std::string what) {
    const Bn u1 = sub(number(0), mul(u2, d));
    return finish(random_scalar(), u1, u2, encode(times_generator(d)), std::move(what));
  }

  std::mt19937_64& random() { return random_; }

 private:
  using Operation = int (*)(BIGNUM*, const BIGNUM*, const BIGNUM*, const BIGNUM*, BN_CTX*);
  Bn apply(Operation operation, const Bn& a, const Bn& b) {
    Bn out(BN_new());
    operation(out.get(), a.get(), b.get(), n(), context_.get());
    return out;
  }

  // The first point from x on; x becomes its x.
  Point point_with_x(Bn& x, int (*step)(BIGNUM*, BN_ULONG)) {
    Point point(EC_POINT_new(group_.get()));
    while (EC_POINT_set_compressed_coordinates(group_.get(), point.get(), x.get(), 0,
                                               context_.get()) != 1) {
      step(x.get(), 1);
    }
    return point;
  }

  // Whose verification comes to `sum`, by the key (sum - u1·G)/u2.
  ForgedSignature with_sum(const Point& sum, const Bn& r, const Bn& u1, std::string what) {
    return with_sum(sum, r, u1, random_scalar(), std::move(what));
  }
  ForgedSignature with_sum(const Point& sum, const Bn& r, const Bn& u1, const Bn& u2,
                           std::string what) {
    const Bn over_u2 = over(number(1), u2);
    const Bn minus_u1 = sub(number(0), mul(u1, over_u2));
    Point key(EC_POINT_new(group_.get()));
    EC_POINT_mul(group_.get(), key.get(), minus_u1.get(), sum.get(), over_u2.get(), context_.get());
    return finish(r, u1, u2, encode(key), std::move(what));
  }

  // s = r/u2, e = u1·s.
  ForgedSignature finish(const Bn& r, const Bn& u1, const Bn& u2, std::string key,
                         std::string what) {
    const Bn s = over(r, u2);
    return {std::move(key), bytes(mul(u1, s)), bytes(r) + bytes(s), std::move(what)};
  }

  std::mt19937_64 random_;
  std::unique_ptr<BN_CTX, OpensslFree> context_;
  std::unique_ptr<EC_GROUP, OpensslFree> group_;
};

}  // namespace colophon::test
