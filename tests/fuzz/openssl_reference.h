// SPDX-License-Identifier: Apache-2.0
//
// Public keys and signature equations once more, from OpenSSL's big numbers and curve points and
// the text of docs/formats.md, sharing nothing with lib/: what verdicts are compared with. Slow.
#pragma once

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "colophon/profile.hpp"
#include "colophon/slices.hpp"
#include "tests/fuzz/fuzz_input.h"

namespace colophon::fuzz {

template <auto Free>
struct OpensslFree {
  template <class T>
  void operator()(T* object) const noexcept {
    Free(object);
  }
};
using Group = std::unique_ptr<EC_GROUP, OpensslFree<&EC_GROUP_free>>;
using Point = std::unique_ptr<EC_POINT, OpensslFree<&EC_POINT_free>>;
using SpkiPtr = std::unique_ptr<X509_PUBKEY, OpensslFree<&X509_PUBKEY_free>>;
using Bytes = std::vector<std::uint8_t>;

inline BN_CTX* bn_context() {
  static const std::unique_ptr<BN_CTX, OpensslFree<&BN_CTX_free>> context(BN_CTX_new());
  return context.get();
}

// BIGNUMs to use again: under AddressSanitizer allocating them would be most of the time.
struct BignumPool {
  std::vector<BIGNUM*> free;
  BIGNUM* take() {
    if (free.empty()) return BN_new();
    BIGNUM* number = free.back();
    free.pop_back();
    BN_zero(number);
    return number;
  }
  static BignumPool& shared() {
    static auto* pool = new BignumPool;  // outlives every Number
    return *pool;
  }
};
struct BignumReturn {
  void operator()(BIGNUM* number) const { BignumPool::shared().free.push_back(number); }
};

// A big number, never negative.
class Number {
 public:
  Number() : value_(BignumPool::shared().take()) {}
  explicit Number(std::uint64_t value) : Number() { BN_set_word(value_.get(), value); }
  explicit Number(const BIGNUM* value) : Number() { BN_copy(value_.get(), value); }
  explicit Number(const char* hex) : Number() {
    BIGNUM* target = value_.get();
    BN_hex2bn(&target, hex);
  }
  static Number big_endian(ByteSpan bytes) {
    Number number;
    BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), number.get());
    return number;
  }
  static Number little_endian(ByteSpan bytes) {
    Number number;
    BN_lebin2bn(bytes.data(), static_cast<int>(bytes.size()), number.get());
    return number;
  }
  Number(const Number& other) : Number(other.value_.get()) {}
  Number(Number&&) noexcept = default;
  Number& operator=(const Number& other) {
    BN_copy(value_.get(), other.value_.get());
    return *this;
  }
  Number& operator=(Number&&) noexcept = default;

  [[nodiscard]] BIGNUM* get() const { return value_.get(); }
  [[nodiscard]] bool is_zero() const { return BN_is_zero(value_.get()) == 1; }
  [[nodiscard]] bool is_odd() const { return BN_is_odd(value_.get()) == 1; }
  [[nodiscard]] bool bit(int i) const { return BN_is_bit_set(value_.get(), i) == 1; }
  friend bool operator==(const Number& a, const Number& b) { return BN_cmp(a.get(), b.get()) == 0; }
  friend bool operator<(const Number& a, const Number& b) { return BN_cmp(a.get(), b.get()) < 0; }

  [[nodiscard]] std::array<std::uint8_t, 32> to_little_endian() const {
    std::array<std::uint8_t, 32> bytes{};
    require(BN_bn2lebinpad(value_.get(), bytes.data(), 32) == 32, "the number fits 32 bytes");
    return bytes;
  }
  [[nodiscard]] std::array<std::uint8_t, 32> to_big_endian() const {
    auto bytes = to_little_endian();
    std::reverse(bytes.begin(), bytes.end());
    return bytes;
  }

 private:
  std::unique_ptr<BIGNUM, BignumReturn> value_;
};

inline Number add(const Number& a, const Number& b, const Number& modulus) {
  Number out;
  BN_mod_add(out.get(), a.get(), b.get(), modulus.get(), bn_context());
  return out;
}
inline Number subtract(const Number& a, const Number& b, const Number& modulus) {
  Number out;
  BN_mod_sub(out.get(), a.get(), b.get(), modulus.get(), bn_context());
  return out;
}
inline Number multiply(const Number& a, const Number& b, const Number& modulus) {
  Number out;
  BN_mod_mul(out.get(), a.get(), b.get(), modulus.get(), bn_context());
  return out;
}
inline Number inverse(const Number& a, const Number& modulus) {
  Number out;
  require(BN_mod_inverse(out.get(), a.get(), modulus.get(), bn_context()) != nullptr,
          "the number has an inverse");
  return out;
}

// --- short Weierstrass curves --------------------------------------------------------------------

struct WeierstrassCurve {
  int nid = 0;
  Group group;
  Number n;

  explicit WeierstrassCurve(int curve_nid)
      : nid(curve_nid),
        group(EC_GROUP_new_by_curve_name(nid)),
        n(EC_GROUP_get0_order(group.get())) {}
};

inline const WeierstrassCurve& curve_for(Scheme scheme) {
  static const WeierstrassCurve p256(NID_X9_62_prime256v1);
  static const WeierstrassCurve secp256k1(NID_secp256k1);
  static const WeierstrassCurve sm2(NID_sm2);
  return scheme == Scheme::kEcdsaP256Sha256 ? p256 : scheme == Scheme::kSm2Sm3 ? sm2 : secp256k1;
}

// The key bits of a SubjectPublicKeyInfo of this algorithm (and curve), if `bytes` is exactly what
// OpenSSL writes for one.
inline std::optional<Bytes> spki_bits(ByteSpan bytes, int algorithm, int curve) {
  const std::uint8_t* cursor = bytes.data();
  const SpkiPtr read(d2i_X509_PUBKEY(nullptr, &cursor, static_cast<long>(bytes.size())));
  ERR_clear_error();
  if (!read) return std::nullopt;
  const std::uint8_t* bits = nullptr;
  int size = 0;
  X509_PUBKEY_get0_param(nullptr, &bits, &size, nullptr, read.get());
  Bytes copy(bits, bits + size);
  const SpkiPtr made(X509_PUBKEY_new());
  auto* owned = static_cast<std::uint8_t*>(OPENSSL_memdup(copy.data(), copy.size()));
  if (owned == nullptr) return std::nullopt;  // no bits at all
  const bool set =
      X509_PUBKEY_set0_param(made.get(), OBJ_nid2obj(algorithm),
                             curve == NID_undef ? V_ASN1_UNDEF : V_ASN1_OBJECT,
                             curve == NID_undef ? nullptr : OBJ_nid2obj(curve), owned, size) == 1;
  require(set, "OpenSSL makes a SubjectPublicKeyInfo");
  std::uint8_t* written = nullptr;
  const int written_size = i2d_X509_PUBKEY(made.get(), &written);
  const bool same =
      written_size >= 0 && std::equal(bytes.begin(), bytes.end(), written, written + written_size);
  OPENSSL_free(written);
  ERR_clear_error();
  if (!same) return std::nullopt;
  return copy;
}

// The point of an ECDSA or SM2 key in one of the accepted forms; null if it is none.
inline Point read_point(Scheme scheme, ByteSpan key) {
  const WeierstrassCurve& curve = curve_for(scheme);
  Bytes bits(key.begin(), key.end());
  if (!key.empty() && key[0] == 0x30) {
    auto inside = spki_bits(key, NID_X9_62_id_ecPublicKey, curve.nid);
    if (!inside) return nullptr;
    bits = std::move(*inside);
  }
  const bool compressed = bits.size() == 33 && (bits[0] == 2 || bits[0] == 3);
  const bool uncompressed = bits.size() == 65 && bits[0] == 4;
  if (!compressed && !uncompressed) return nullptr;
  Point point(EC_POINT_new(curve.group.get()));
  const bool read = EC_POINT_oct2point(curve.group.get(), point.get(), bits.data(), bits.size(),
                                       bn_context()) == 1;
  ERR_clear_error();
  if (!read) return nullptr;
  // A coordinate that OpenSSL reduced would come out as other bytes.
  Bytes again(bits.size());
  EC_POINT_point2oct(curve.group.get(), point.get(),
                     compressed ? POINT_CONVERSION_COMPRESSED : POINT_CONVERSION_UNCOMPRESSED,
                     again.data(), again.size(), bn_context());
  if (again != bits) return nullptr;
  return point;
}

// x of u·G + v·Q; nullopt at infinity.
inline std::optional<Number> x_of_sum(const WeierstrassCurve& curve, const Number& u,
                                      const EC_POINT* q, const Number& v) {
  const Point sum(EC_POINT_new(curve.group.get()));
  EC_POINT_mul(curve.group.get(), sum.get(), u.get(), q, v.get(), bn_context());
  if (EC_POINT_is_at_infinity(curve.group.get(), sum.get()) == 1) return std::nullopt;
  Number x;
  Number y;
  EC_POINT_get_affine_coordinates(curve.group.get(), sum.get(), x.get(), y.get(), bn_context());
  return x;
}

inline bool ecdsa_holds(const WeierstrassCurve& curve, const EC_POINT* q, const Number& e,
                        const Number& r, const Number& s) {
  const Number w = inverse(s, curve.n);
  const auto x = x_of_sum(curve, multiply(e, w, curve.n), q, multiply(r, w, curve.n));
  return x && add(*x, Number(), curve.n) == r;
}

inline bool sm2_holds(const WeierstrassCurve& curve, const EC_POINT* p, const Number& e,
                      const Number& r, const Number& s) {
  const auto x = x_of_sum(curve, s, p, add(r, s, curve.n));
  return x && add(e, *x, curve.n) == r;
}

inline Bytes hash(const char* algorithm, std::initializer_list<ByteSpan> parts) {
  Bytes joined;
  for (const ByteSpan part : parts) joined.insert(joined.end(), part.begin(), part.end());
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> digest{};
  std::size_t size = 0;
  require(EVP_Q_digest(nullptr, algorithm, nullptr, joined.data(), joined.size(), digest.data(),
                       &size) == 1,
          "OpenSSL hashes");
  return {digest.begin(), digest.begin() + static_cast<std::ptrdiff_t>(size)};
}

// --- edwards25519 --------------------------------------------------------------------------------

inline const Number& ed_p() {
  static const Number p("7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFED");
  return p;
}
inline const Number& ed_order() {
  static const Number order("1000000000000000000000000000000014DEF9DEA2F79CD65812631A5CF5D3ED");
  return order;
}
inline const Number& ed_d() {
  static const Number d = subtract(Number(),
                                   multiply(Number(std::uint64_t{121665}),
                                            inverse(Number(std::uint64_t{121666}), ed_p()), ed_p()),
                                   ed_p());
  return d;
}

// Extended coordinates: x = X/Z, y = Y/Z, X·Y = Z·T (Hisil, Wong, Carter, Dawson 2008).
struct EdPoint {
  Number x;
  Number y = Number(std::uint64_t{1});
  Number z = Number(std::uint64_t{1});
  Number t;
};

// Mod p, of numbers that are reduced: without the division that makes up most of the time.
inline Number ed_plus(const Number& a, const Number& b) {
  Number out;
  BN_mod_add_quick(out.get(), a.get(), b.get(), ed_p().get());
  return out;
}
inline Number ed_minus(const Number& a, const Number& b) {
  Number out;
  BN_mod_sub_quick(out.get(), a.get(), b.get(), ed_p().get());
  return out;
}
inline Number ed_times(const Number& a, const Number& b) { return multiply(a, b, ed_p()); }

// Complete, because -1 is a square and d is not.
inline EdPoint ed_add(const EdPoint& p, const EdPoint& q) {
  static const Number twice_d = ed_plus(ed_d(), ed_d());
  const Number a = ed_times(ed_minus(p.y, p.x), ed_minus(q.y, q.x));
  const Number b = ed_times(ed_plus(p.y, p.x), ed_plus(q.y, q.x));
  const Number c = ed_times(ed_times(p.t, q.t), twice_d);
  const Number zz = ed_times(p.z, q.z);
  const Number d = ed_plus(zz, zz);
  const Number e = ed_minus(b, a);
  const Number f = ed_minus(d, c);
  const Number g = ed_plus(d, c);
  const Number h = ed_plus(b, a);
  return {ed_times(e, f), ed_times(g, h), ed_times(f, g), ed_times(e, h)};
}

inline EdPoint ed_negate(const EdPoint& p) {
  return {ed_minus(Number(), p.x), p.y, p.z, ed_minus(Number(), p.t)};
}

// u·P + v·Q.
inline EdPoint ed_combine(const Number& u, const EdPoint& p, const Number& v, const EdPoint& q) {
  const EdPoint both = ed_add(p, q);
  EdPoint sum;
  for (int i = std::max(BN_num_bits(u.get()), BN_num_bits(v.get())); i-- > 0;) {
    sum = ed_add(sum, sum);
    if (u.bit(i) && v.bit(i)) {
      sum = ed_add(sum, both);
    } else if (u.bit(i) || v.bit(i)) {
      sum = ed_add(sum, u.bit(i) ? p : q);
    }
  }
  return sum;
}

inline EdPoint ed_multiply(const Number& scalar, const EdPoint& point) {
  return ed_combine(scalar, point, Number(), EdPoint());
}

inline bool ed_is_neutral(const EdPoint& p) { return p.x.is_zero() && p.y == p.z; }

inline std::array<std::uint8_t, 32> ed_encode(const EdPoint& p) {
  const Number z = inverse(p.z, ed_p());
  auto bytes = multiply(p.y, z, ed_p()).to_little_endian();
  if (multiply(p.x, z, ed_p()).is_odd()) bytes[31] = static_cast<std::uint8_t>(bytes[31] | 0x80);
  return bytes;
}

// ZIP 215's decoding.
inline std::optional<EdPoint> ed_decode(ByteSpan bytes) {
  Bytes y_bytes(bytes.begin(), bytes.end());
  y_bytes[31] &= 0x7f;
  EdPoint point;
  point.y = add(Number::little_endian(y_bytes), Number(), ed_p());
  const Number one(std::uint64_t{1});
  const Number yy = multiply(point.y, point.y, ed_p());
  const Number denominator = add(multiply(ed_d(), yy, ed_p()), one, ed_p());
  const Number xx = multiply(subtract(yy, one, ed_p()), inverse(denominator, ed_p()), ed_p());
  if (BN_mod_sqrt(point.x.get(), xx.get(), ed_p().get(), bn_context()) == nullptr) {
    ERR_clear_error();
    return std::nullopt;
  }
  if (point.x.is_odd() != (bytes[31] >> 7 != 0)) point.x = subtract(Number(), point.x, ed_p());
  point.t = multiply(point.x, point.y, ed_p());
  return point;
}

inline bool ed_is_canonical(ByteSpan bytes, const EdPoint& point) {
  const auto encoded = ed_encode(point);
  return std::equal(bytes.begin(), bytes.end(), encoded.begin());
}

inline bool ed_is_small_order(const EdPoint& point) {
  return ed_is_neutral(ed_multiply(Number(std::uint64_t{8}), point));
}

inline const EdPoint& ed_base() {
  static const EdPoint base = [] {
    Bytes y(32, 0x66);
    y[0] = 0x58;  // y = 4/5, x even
    return *ed_decode(y);
  }();
  return base;
}

// A point of order 8.
inline const EdPoint& ed_torsion() {
  static const EdPoint torsion = [] {
    // L times any point is of small order; the first of order 8 among y = 2, 3, …
    for (std::uint8_t y = 2;; ++y) {
      Bytes bytes(32, 0);
      bytes[0] = y;
      const auto point = ed_decode(bytes);
      if (!point) continue;
      EdPoint small = ed_multiply(ed_order(), *point);
      if (!ed_is_neutral(ed_multiply(Number(std::uint64_t{4}), small))) return small;
    }
  }();
  return torsion;
}

}  // namespace colophon::fuzz
