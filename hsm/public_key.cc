// SPDX-License-Identifier: Apache-2.0
#include "hsm/public_key.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/x509.h>

#include <algorithm>
#include <cstring>

namespace colophon::hsm {
namespace {

constexpr std::size_t kCoordinateBytes = 32;
constexpr std::size_t kCompressedBytes = 1 + kCoordinateBytes;
constexpr std::size_t kUncompressedBytes = 1 + 2 * kCoordinateBytes;
constexpr std::size_t kEd25519Bytes = 32;
constexpr std::uint8_t kOctetString = 0x04;
constexpr std::uint8_t kUncompressedForm = 0x04;

// SubjectPublicKeyInfo up to the point: id-ecPublicKey with prime256v1 (RFC 5480) and 65 bytes, and
// id-Ed25519 (RFC 8410) and 32 bytes.
constexpr std::array<std::uint8_t, 26> kP256SpkiPrefix = {
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
    0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00};
constexpr std::array<std::uint8_t, 12> kEd25519SpkiPrefix = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                                             0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};

// The order of P-256 (FIPS 186-5, SP 800-186) and its half rounded down, big-endian.
using Scalar = std::array<std::uint8_t, kCoordinateBytes>;
constexpr Scalar kOrder = {0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff,
                           0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17,
                           0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};
constexpr Scalar kHalfOrder = {0x7f, 0xff, 0xff, 0xff, 0x80, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff,
                               0xff, 0xff, 0xff, 0xff, 0xff, 0xde, 0x73, 0x7d, 0x56, 0xd3, 0x8b,
                               0xcf, 0x42, 0x79, 0xdc, 0xe5, 0x61, 0x7e, 0x31, 0x92, 0xa8};

struct GroupFree {
  void operator()(EC_GROUP* group) const noexcept { EC_GROUP_free(group); }
};
struct PointFree {
  void operator()(EC_POINT* point) const noexcept { EC_POINT_free(point); }
};
struct SignatureFree {
  void operator()(ECDSA_SIG* signature) const noexcept { ECDSA_SIG_free(signature); }
};
struct MdContextFree {
  void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
};

Error not_a_point(KeyType type) {
  return make_error(ErrorCode::kMalformed,
                    type == KeyType::kP256 ? "the public key is not a point of P-256 in SEC 1 form"
                                           : "the public key is not 32 bytes of Ed25519",
                    "public_key");
}

// `point` in SEC 1 form, converted to `form`. The curve equation is checked.
Result<std::vector<std::uint8_t>> convert_p256(ByteSpan point, point_conversion_form_t form) {
  const std::unique_ptr<EC_GROUP, GroupFree> group(
      EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1));
  const std::unique_ptr<EC_POINT, PointFree> decoded(group ? EC_POINT_new(group.get()) : nullptr);
  if (!decoded) return make_error(ErrorCode::kInternal, "OpenSSL has no P-256");
  std::vector<std::uint8_t> out(form == POINT_CONVERSION_COMPRESSED ? kCompressedBytes
                                                                    : kUncompressedBytes);
  // Length 1 is the point at infinity, which is no public key.
  if (point.size() < kCompressedBytes ||
      EC_POINT_oct2point(group.get(), decoded.get(), point.data(), point.size(), nullptr) != 1 ||
      EC_POINT_point2oct(group.get(), decoded.get(), form, out.data(), out.size(), nullptr) !=
          out.size()) {
    return not_a_point(KeyType::kP256);
  }
  return out;
}

}  // namespace

void EvpPkeyFree::operator()(evp_pkey_st* key) const noexcept { EVP_PKEY_free(key); }

std::string_view key_type_name(KeyType type) noexcept {
  return type == KeyType::kP256 ? "p256" : "ed25519";
}

Result<KeyType> parse_key_type(std::string_view name) {
  if (name == "p256") return KeyType::kP256;
  if (name == "ed25519") return KeyType::kEd25519;
  return make_error(ErrorCode::kInvalidArgument, "the key type must be p256 or ed25519", "type");
}

Result<std::vector<std::uint8_t>> PublicKey::to_spki_der() const {
  std::vector<std::uint8_t> der;
  if (type == KeyType::kEd25519) {
    if (raw.size() != kEd25519Bytes) return not_a_point(type);
    der.assign(kEd25519SpkiPrefix.begin(), kEd25519SpkiPrefix.end());
    der.insert(der.end(), raw.begin(), raw.end());
    return der;
  }
  if (raw.size() != kCompressedBytes) return not_a_point(type);
  COLOPHON_TRY_ASSIGN(const std::vector<std::uint8_t> point,
                      convert_p256(raw, POINT_CONVERSION_UNCOMPRESSED));
  der.assign(kP256SpkiPrefix.begin(), kP256SpkiPrefix.end());
  der.insert(der.end(), point.begin(), point.end());
  return der;
}

Result<std::string> PublicKey::to_spki_pem() const {
  COLOPHON_TRY_ASSIGN(const std::vector<std::uint8_t> der, to_spki_der());
  std::vector<std::uint8_t> base64(4 * ((der.size() + 2) / 3) + 1);
  const int size = EVP_EncodeBlock(base64.data(), der.data(), static_cast<int>(der.size()));
  const std::string text(base64.begin(), base64.begin() + size);
  constexpr std::size_t kLineCharacters = 64;
  std::string pem = "-----BEGIN PUBLIC KEY-----\n";
  for (std::size_t i = 0; i < text.size(); i += kLineCharacters) {
    pem += text.substr(i, kLineCharacters) + '\n';
  }
  return pem + "-----END PUBLIC KEY-----\n";
}

Result<PublicKey> decode_ec_point(KeyType type, ByteSpan encoded) {
  const std::size_t size = encoded.size();
  // An OCTET STRING of fewer than 128 bytes has two bytes in front.
  const bool wrapped =
      size >= 2 && encoded[0] == kOctetString && encoded[1] == size - 2 && size - 2 < 128;
  if (type == KeyType::kEd25519) {
    if (size == kEd25519Bytes + 2 && wrapped) encoded = encoded.subspan(2);
    if (encoded.size() != kEd25519Bytes) return not_a_point(type);
    return PublicKey{type, {encoded.begin(), encoded.end()}};
  }
  const bool wrapped_length = size == kUncompressedBytes + 2 || size == kCompressedBytes + 2 ||
                              size == 2 * kCoordinateBytes + 2;
  if (wrapped_length && wrapped) encoded = encoded.subspan(2);
  std::vector<std::uint8_t> point(encoded.begin(), encoded.end());
  if (point.size() == 2 * kCoordinateBytes) point.insert(point.begin(), kUncompressedForm);
  // OpenSSL also takes the hybrid form (06, 07), which is none of ours.
  const bool uncompressed = point.size() == kUncompressedBytes && point[0] == kUncompressedForm;
  const bool compressed =
      point.size() == kCompressedBytes && (point[0] == 0x02 || point[0] == 0x03);
  if (!uncompressed && !compressed) return not_a_point(type);
  COLOPHON_TRY_ASSIGN(std::vector<std::uint8_t> raw,
                      convert_p256(point, POINT_CONVERSION_COMPRESSED));
  return PublicKey{type, std::move(raw)};
}

Result<EvpPkey> to_evp(const PublicKey& key) {
  COLOPHON_TRY_ASSIGN(const std::vector<std::uint8_t> der, key.to_spki_der());
  const std::uint8_t* cursor = der.data();
  EvpPkey evp(d2i_PUBKEY(nullptr, &cursor, static_cast<long>(der.size())));
  if (!evp) return not_a_point(key.type);
  return evp;
}

bool verify_signature(evp_pkey_st& key, KeyType type, ByteSpan message,
                      const Signature& signature) {
  const std::unique_ptr<EVP_MD_CTX, MdContextFree> context(EVP_MD_CTX_new());
  if (!context) return false;
  const EVP_MD* const digest = type == KeyType::kP256 ? EVP_sha256() : nullptr;
  if (EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, &key) != 1) return false;
  if (type == KeyType::kEd25519) {
    return EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(),
                            message.size()) == 1;
  }
  const std::unique_ptr<ECDSA_SIG, SignatureFree> parts(ECDSA_SIG_new());
  BIGNUM* const r = BN_bin2bn(signature.data(), kCoordinateBytes, nullptr);
  BIGNUM* const s = BN_bin2bn(signature.data() + kCoordinateBytes, kCoordinateBytes, nullptr);
  if (!parts || ECDSA_SIG_set0(parts.get(), r, s) != 1) {  // takes r and s when it succeeds
    BN_free(r);
    BN_free(s);
    return false;
  }
  std::array<std::uint8_t, 80> der{};  // two INTEGERs of at most 35 bytes and the SEQUENCE's 2
  std::uint8_t* cursor = der.data();
  const int size = i2d_ECDSA_SIG(parts.get(), &cursor);
  return size > 0 && EVP_DigestVerify(context.get(), der.data(), static_cast<std::size_t>(size),
                                      message.data(), message.size()) == 1;
}

bool normalize_p256(Signature& signature) {
  Scalar r{}, s{};
  std::copy_n(signature.begin(), kCoordinateBytes, r.begin());
  std::copy_n(signature.begin() + kCoordinateBytes, kCoordinateBytes, s.begin());
  const Scalar zero{};
  if (r == zero || s == zero || r >= kOrder || s >= kOrder) return false;
  if (s <= kHalfOrder) return true;
  unsigned borrow = 0;
  for (std::size_t i = kCoordinateBytes; i-- > 0;) {
    const unsigned difference = 0x100U + kOrder[i] - s[i] - borrow;
    s[i] = static_cast<std::uint8_t>(difference & 0xffU);
    borrow = 1U - (difference >> 8);
  }
  std::copy(s.begin(), s.end(), signature.begin() + kCoordinateBytes);
  return true;
}

}  // namespace colophon::hsm
