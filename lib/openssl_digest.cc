// SPDX-License-Identifier: Apache-2.0

// SHA256_Init and its siblings are marked deprecated since 3.0 in favour of EVP; they are what
// makes short messages fast, and remain for as long as 3.x does.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "openssl_digest.h"

#include <openssl/sha.h>

#include <string>

namespace colophon {
namespace {

Error unsupported(std::string_view name) {
  return make_error(ErrorCode::kUnsupported, "this OpenSSL does not offer " + std::string(name) +
                                                 " (a FIPS-only or trimmed configuration?)");
}

Error digest_failed() {
  return make_error(ErrorCode::kInternal, "OpenSSL could not compute a digest");
}

}  // namespace

Result<Hasher> Hasher::create(HashAlgorithm algorithm) {
  const OpensslErrorScope scope;
  static const EvpMdPtr sha256(EVP_MD_fetch(nullptr, "SHA256", nullptr));
  static const EvpMdPtr sha512(EVP_MD_fetch(nullptr, "SHA512", nullptr));
  static const EvpMdPtr sm3(EVP_MD_fetch(nullptr, "SM3", nullptr));
  const EVP_MD* md = nullptr;
  if (algorithm == HashAlgorithm::kSha256) md = sha256.get();
  if (algorithm == HashAlgorithm::kSha512) md = sha512.get();
  if (algorithm == HashAlgorithm::kSm3) md = sm3.get();
  if (md == nullptr) return unsupported(hash_name(algorithm));
  EvpMdContextPtr context(EVP_MD_CTX_new());
  if (!context) return make_error(ErrorCode::kInternal, "OpenSSL could not allocate a digest");
  return Hasher(md, std::move(context));
}

Result<void> Hasher::begin() {
  const OpensslErrorScope scope;
  if (EVP_DigestInit_ex2(context_.get(), md_, nullptr) != 1) return digest_failed();
  return {};
}

Result<void> Hasher::update(ByteSpan part) {
  const OpensslErrorScope scope;
  if (EVP_DigestUpdate(context_.get(), part.data(), part.size()) != 1) return digest_failed();
  return {};
}

Result<void> Hasher::finish(std::span<std::uint8_t> out) {
  const OpensslErrorScope scope;
  unsigned size = 0;
  if (EVP_DigestFinal_ex(context_.get(), out.data(), &size) != 1 || size != out.size()) {
    return digest_failed();
  }
  return {};
}

Result<void> Hasher::digest(std::initializer_list<ByteSpan> parts, std::span<std::uint8_t> out) {
  COLOPHON_TRY(begin());
  for (const ByteSpan part : parts) COLOPHON_TRY(update(part));
  return finish(out);
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

Digest sha256(ByteSpan message) noexcept { return sha256_joined({message}); }

Digest sha256_joined(std::initializer_list<ByteSpan> parts) noexcept {
  Digest digest;
  SHA256_CTX context;
  SHA256_Init(&context);
  for (const ByteSpan part : parts) SHA256_Update(&context, part.data(), part.size());
  SHA256_Final(digest.data(), &context);
  return digest;
}

}  // namespace colophon
