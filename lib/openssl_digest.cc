// SPDX-License-Identifier: Apache-2.0

// SHA256_Init and its siblings are marked deprecated since 3.0 in favour of EVP; they are what
// makes short messages fast, and remain for as long as 3.x does.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "openssl_digest.h"

#include <openssl/sha.h>

#include <bit>
#include <cstring>
#include <string>

namespace colophon {
namespace {

// Big-endian h0 … h7 (FIPS 180-4 §6.2.2, last step). By whole words: out of byte stores g++ 12
// makes vector code that costs a third of a hash.
Digest digest_of(const SHA256_CTX& context) noexcept {
  Digest digest;
  for (std::size_t i = 0; i < 8; ++i) {
    const std::uint32_t h =
        std::endian::native == std::endian::little ? __builtin_bswap32(context.h[i]) : context.h[i];
    std::memcpy(digest.data() + sizeof(h) * i, &h, sizeof(h));
  }
  return digest;
}

Error unsupported(const char* name) {
  return make_error(ErrorCode::kUnsupported, std::string("this OpenSSL does not offer ") + name +
                                                 " (a FIPS-only or trimmed configuration?)");
}

}  // namespace

Result<Hasher> Hasher::create(Algorithm algorithm) {
  const OpensslErrorScope scope;
  static const EvpMdPtr sha512(EVP_MD_fetch(nullptr, "SHA512", nullptr));
  static const EvpMdPtr sm3(EVP_MD_fetch(nullptr, "SM3", nullptr));
  const EVP_MD* md = algorithm == Algorithm::kSm3 ? sm3.get() : sha512.get();
  if (md == nullptr) return unsupported(algorithm == Algorithm::kSm3 ? "SM3" : "SHA-512");
  EvpMdContextPtr context(EVP_MD_CTX_new());
  if (!context) return make_error(ErrorCode::kInternal, "OpenSSL could not allocate a digest");
  return Hasher(md, std::move(context));
}

Result<void> Hasher::digest(std::initializer_list<ByteSpan> parts, std::span<std::uint8_t> out) {
  const OpensslErrorScope scope;
  bool ok = EVP_DigestInit_ex2(context_.get(), md_, nullptr) == 1;
  for (const ByteSpan part : parts) {
    ok = ok && EVP_DigestUpdate(context_.get(), part.data(), part.size()) == 1;
  }
  unsigned size = 0;
  ok = ok && EVP_DigestFinal_ex(context_.get(), out.data(), &size) == 1 && size == out.size();
  if (!ok) return make_error(ErrorCode::kInternal, "OpenSSL could not compute a digest");
  return {};
}

Result<Digest> Hasher::digest32(std::initializer_list<ByteSpan> parts) {
  Digest out;
  COLOPHON_TRY(digest(parts, out));
  return out;
}

Result<std::array<std::uint8_t, 64>> Hasher::digest64(std::initializer_list<ByteSpan> parts) {
  std::array<std::uint8_t, 64> out;
  COLOPHON_TRY(digest(parts, out));
  return out;
}

Digest sha256(ByteSpan message) noexcept {
  Digest digest;
  SHA256_CTX context;
  SHA256_Init(&context);
  SHA256_Update(&context, message.data(), message.size());
  SHA256_Final(digest.data(), &context);
  return digest;
}

Digest sha256_prefixed(std::uint8_t prefix, ByteSpan message) noexcept {
  Digest digest;
  SHA256_CTX context;
  SHA256_Init(&context);
  SHA256_Update(&context, &prefix, 1);
  SHA256_Update(&context, message.data(), message.size());
  SHA256_Final(digest.data(), &context);
  return digest;
}

Digest sha256_prefixed_pair(std::uint8_t prefix, const Digest& left, const Digest& right) noexcept {
  // 65 bytes are two blocks whose padding is known: lay them out and hash them in one go.
  std::uint8_t blocks[2 * SHA256_CBLOCK] = {};
  blocks[0] = prefix;
  std::memcpy(blocks + 1, left.data(), left.size());
  std::memcpy(blocks + 33, right.data(), right.size());
  blocks[65] = 0x80;
  constexpr unsigned kBits = 8 * 65;
  blocks[126] = kBits >> 8;
  blocks[127] = kBits & 0xff;
  SHA256_CTX context;
  SHA256_Init(&context);
  SHA256_Update(&context, blocks, sizeof(blocks));
  return digest_of(context);
}

}  // namespace colophon
