// SPDX-License-Identifier: Apache-2.0
//
// The backend that stands on OpenSSL's own curve code: the referee of the others' tests and the
// last resort. OpenSSL sees only clean input (backend_implementation.h), so its own rules about
// encodings never decide anything.
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>

#include "backend_implementation.h"
#include "cpu_hash.h"
#include "curve.h"
#include "edwards25519.h"
#include "openssl_digest.h"
#include "openssl_handle.h"
#include "threads.h"

namespace colophon {
namespace {

Error openssl_failed(const char* what) {
  return make_error(ErrorCode::kInternal, std::string("OpenSSL could not ") + what, {},
                    ERR_peek_last_error());
}

// A key of one curve, to be copied: three times faster than building each from parameters.
EvpPkeyPtr make_template(const Curve& curve, const PublicKey& key) {
  const EvpPkeyContextPtr context(EVP_PKEY_CTX_new_from_name(nullptr, curve.openssl_type, nullptr));
  auto point = sec1_uncompressed(key);
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME,
                                       const_cast<char*>(curve.openssl_group), 0),
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()),
      OSSL_PARAM_construct_end()};
  EVP_PKEY* pkey = nullptr;
  if (!context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &pkey, EVP_PKEY_PUBLIC_KEY,
                        const_cast<OSSL_PARAM*>(parameters)) != 1) {
    return nullptr;
  }
  return EvpPkeyPtr(pkey);
}

// The template of a key's curve, made from the first key of that curve that comes.
const EVP_PKEY* template_for(const PublicKey& key) {
  const Curve& curve = curve_of(key.scheme);
  switch (key.scheme) {
    case Scheme::kEcdsaSecp256k1Sha256: {
      static const EvpPkeyPtr secp256k1 = make_template(curve, key);
      return secp256k1.get();
    }
    case Scheme::kSm2Sm3: {
      static const EvpPkeyPtr sm2 = make_template(curve, key);
      return sm2.get();
    }
    case Scheme::kEcdsaP256Sha256:
    case Scheme::kEd25519:
      break;
  }
  static const EvpPkeyPtr p256 = make_template(curve, key);
  return p256.get();
}

EvpPkeyPtr make_pkey(const PublicKey& key) {
  if (key.scheme == Scheme::kEd25519) {
    const auto a = key.ed25519();
    return EvpPkeyPtr(
        EVP_PKEY_new_raw_public_key_ex(nullptr, "ED25519", nullptr, a.data(), a.size()));
  }
  const EVP_PKEY* pattern = template_for(key);
  if (pattern == nullptr) return nullptr;
  EvpPkeyPtr pkey(EVP_PKEY_dup(const_cast<EVP_PKEY*>(pattern)));
  const auto point = sec1_uncompressed(key);
  if (!pkey || EVP_PKEY_set1_encoded_public_key(pkey.get(), point.data(), point.size()) != 1) {
    return nullptr;
  }
  return pkey;
}

class OpensslKey final : public PreparedKey {
 public:
  explicit OpensslKey(EvpPkeyPtr pkey) : pkey_(std::move(pkey)) {}
  // Measured with mallinfo2 on OpenSSL 3.0: 1.3 to 1.6 KB for a curve key, its group included.
  [[nodiscard]] std::size_t memory_bytes() const noexcept override { return 1600; }
  // Safe to use from many threads as long as nobody changes the key, which nobody does.
  [[nodiscard]] EVP_PKEY* get() const noexcept { return pkey_.get(); }

 private:
  EvpPkeyPtr pkey_;
};

// One key at work on one thread.
class KeyInUse {
 public:
  [[nodiscard]] static Result<KeyInUse> create(const BatchKey& key) {
    const OpensslErrorScope scope;
    KeyInUse in_use;
    if (key.prepared != nullptr) {
      in_use.pkey_ = static_cast<const OpensslKey*>(key.prepared)->get();
    } else {
      in_use.owned_ = make_pkey(*key.key);
      in_use.pkey_ = in_use.owned_.get();
      if (in_use.pkey_ == nullptr) return openssl_failed("take over a public key");
    }
    if (key.key->scheme == Scheme::kEd25519) {
      in_use.digest_context_.reset(EVP_MD_CTX_new());
      if (!in_use.digest_context_ || EVP_DigestVerifyInit(in_use.digest_context_.get(), nullptr,
                                                          nullptr, nullptr, in_use.pkey_) != 1) {
        return openssl_failed("begin an Ed25519 verification");
      }
      return in_use;
    }
    in_use.context_.reset(EVP_PKEY_CTX_new_from_pkey(nullptr, in_use.pkey_, nullptr));
    if (!in_use.context_ || EVP_PKEY_verify_init(in_use.context_.get()) != 1) {
      return openssl_failed("begin a verification");
    }
    return in_use;
  }

  // ECDSA and SM2 over a 32-byte digest.
  [[nodiscard]] Result<bool> verify_digest(const Signature& signature, ByteSpan digest) {
    const OpensslErrorScope scope;
    std::array<std::uint8_t, kDerSignatureBytesMax> der;
    const std::size_t der_size = write_der_signature(signature, der);
    const int status =
        EVP_PKEY_verify(context_.get(), der.data(), der_size, digest.data(), digest.size());
    // Negative is not only "out of memory": u1·G + u2·Q = O, which whoever knows the private key
    // can bring about, is an error to OpenSSL and an invalid signature to the standard.
    if (status < 0 && OpensslErrorScope::out_of_memory()) {
      return openssl_failed("allocate memory for a verification");
    }
    return status == 1;
  }

  // RFC 8032 §5.1.7 without the cofactor: encode([S]B - [k]A) = R.
  [[nodiscard]] Result<bool> verify_ed25519(const Signature& signature, ByteSpan message) {
    const OpensslErrorScope scope;
    const int status = EVP_DigestVerify(digest_context_.get(), signature.data(), signature.size(),
                                        message.data(), message.size());
    if (status != 1 && OpensslErrorScope::out_of_memory()) {
      return openssl_failed("allocate memory for a verification");
    }
    return status == 1;
  }

  // Newer OpenSSL wants an initialisation before each one-shot verification; it is cheap with the
  // key already in place.
  [[nodiscard]] Result<void> restart_ed25519() {
    const OpensslErrorScope scope;
    if (EVP_DigestVerifyInit(digest_context_.get(), nullptr, nullptr, nullptr, nullptr) != 1) {
      return openssl_failed("begin an Ed25519 verification");
    }
    return {};
  }

 private:
  KeyInUse() = default;

  EvpPkeyPtr owned_;
  EVP_PKEY* pkey_ = nullptr;
  EvpPkeyContextPtr context_;
  EvpMdContextPtr digest_context_;
};

// What a thread takes at a time: enough that most keys are set up once.
constexpr std::size_t kItemsPerPiece = 256;

// Decides items of a batch one after another. Of one thread.
class BatchVerifier {
 public:
  explicit BatchVerifier(const VerifyWork& work) : work_(work) {}

  [[nodiscard]] Result<void> run(std::span<const std::uint32_t> items) {
    std::optional<KeyInUse> key;
    std::uint32_t key_index = 0;
    for (const std::uint32_t item : items) {
      if (!key || work_.key_of[item] != key_index) {
        key_index = work_.key_of[item];
        COLOPHON_TRY_ASSIGN(key, KeyInUse::create(work_.keys[key_index]));
      } else if (work_.scheme == Scheme::kEd25519) {
        COLOPHON_TRY(key->restart_ed25519());
      }
      COLOPHON_TRY_ASSIGN(const bool valid, decide(*key, *work_.keys[key_index].key, item));
      work_.verdicts[item] = valid ? Verdict::kValid : Verdict::kMismatch;
    }
    return {};
  }

 private:
  [[nodiscard]] Result<bool> decide(KeyInUse& in_use, const PublicKey& key, std::uint32_t item) {
    const Signature& signature = work_.signatures[item];
    const ByteSpan input = work_.inputs[item];
    if (work_.scheme == Scheme::kEd25519) return decide_ed25519(in_use, key, signature, input);
    if (work_.input == InputKind::kDigest) return in_use.verify_digest(signature, input);
    if (work_.scheme != Scheme::kSm2Sm3) return in_use.verify_digest(signature, sha256(input));
    COLOPHON_TRY_ASSIGN(Hasher * hasher, hasher_for(HashAlgorithm::kSm3));
    COLOPHON_TRY_ASSIGN(const Digest e, hasher->digest32({key.sm2_z, input}));
    return in_use.verify_digest(signature, e);
  }

  [[nodiscard]] Result<bool> decide_ed25519(KeyInUse& in_use, const PublicKey& key,
                                            const Signature& signature, ByteSpan message) {
    // OpenSSL decodes A as ZIP 215 does (y mod p, either sign of x = 0), hashes A's bytes as given,
    // and compares R's bytes with the canonical encoding of [S]B - [k]A. If it accepts, R decodes
    // to that very point, and the equation holds without the cofactor, so with it too.
    COLOPHON_TRY_ASSIGN(const bool cofactorless, in_use.verify_ed25519(signature, message));
    // Under strict A and R are canonical here, so comparing R's bytes was comparing points.
    if (cofactorless || work_.profile == Profile::kStrict) return cofactorless;
    COLOPHON_TRY_ASSIGN(Hasher * hasher, hasher_for(HashAlgorithm::kSha512));
    const auto r = std::span(signature).first<32>();
    const auto s = std::span(signature).last<32>();
    COLOPHON_TRY_ASSIGN(const auto hashed, hasher->digest64({r, key.ed25519(), message}));
    return edwards25519::zip215_equation_holds_vartime(key.ed25519(), r, s,
                                                       edwards25519::reduce_mod_order(hashed));
  }

  [[nodiscard]] Result<Hasher*> hasher_for(HashAlgorithm algorithm) {
    if (!hasher_) {
      COLOPHON_TRY_ASSIGN(hasher_, Hasher::create(algorithm));
    }
    return &*hasher_;
  }

  const VerifyWork& work_;
  std::optional<Hasher> hasher_;  // a batch has one scheme, so needs one algorithm at most
};

Result<void> verify_on_threads(const VerifyWork& work) {
  const std::size_t count = work.items.size();
  // Less is not worth a thread: starting one costs about as much as verifying one signature.
  constexpr std::size_t kItemsPerThreadMin = 16;
  const std::size_t threads = useful_threads(count, kItemsPerThreadMin, work.threads);
  const std::size_t piece = std::min(kItemsPerPiece, (count + threads - 1) / threads);
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;
  Result<void> outcome;
  run_on_threads(threads, [&](std::size_t) {
    BatchVerifier verifier(work);
    for (std::size_t at = next.fetch_add(piece); at < count; at = next.fetch_add(piece)) {
      Result<void> done = verifier.run(work.items.subspan(at, std::min(piece, count - at)));
      if (done) continue;
      next = count;  // one failure is the call's
      const std::scoped_lock guard(mutex);
      outcome = std::move(done);
    }
  });
  return outcome;
}

// OpenSSL 3.0 has neither BLAKE3 nor Keccak-256 with its first padding: those are ours here, too.
bool is_openssls(HashAlgorithm algorithm) {
  return algorithm != HashAlgorithm::kBlake3 && algorithm != HashAlgorithm::kKeccak256;
}
const CpuHash& ours() {
  static const CpuHash hash(/*avx512=*/false);
  return hash;
}

// One form of hash, message after message.
class FormHasher {
 public:
  [[nodiscard]] static Result<FormHasher> create(const HashForm& form) {
    FormHasher hasher(form);
    if (form.algorithm != HashAlgorithm::kSha256) {  // which needs no context
      COLOPHON_TRY_ASSIGN(hasher.hasher_, Hasher::create(form.algorithm));
    }
    return hasher;
  }

  // `out` may be the front of `message`.
  [[nodiscard]] Result<void> digest(ByteSpan message, std::uint8_t* out) {
    const ByteSpan prefix(&prefix_, form_.prefix == HashForm::kNoPrefix ? 0 : 1);
    COLOPHON_TRY(digest_once(prefix, message, out));
    if (form_.twice) COLOPHON_TRY(digest_once({}, {out, digest_bytes(form_.algorithm)}, out));
    return {};
  }

 private:
  explicit FormHasher(const HashForm& form)
      : form_(form), prefix_(static_cast<std::uint8_t>(form.prefix)) {}

  [[nodiscard]] Result<void> digest_once(ByteSpan prefix, ByteSpan message, std::uint8_t* out) {
    if (hasher_) return hasher_->digest({prefix, message}, {out, digest_bytes(form_.algorithm)});
    const Digest digest = sha256_joined({prefix, message});
    std::copy(digest.begin(), digest.end(), out);
    return {};
  }

  HashForm form_;
  std::uint8_t prefix_;
  std::optional<Hasher> hasher_;
};

class Stream final : public HashStream::State {
 public:
  explicit Stream(Hasher hasher) : hasher_(std::move(hasher)) {}
  [[nodiscard]] Result<void> update(ByteSpan bytes) override { return hasher_.update(bytes); }
  [[nodiscard]] Result<void> finish(std::span<std::uint8_t> digest) override {
    COLOPHON_TRY(hasher_.finish(digest));
    return hasher_.begin();
  }

 private:
  Hasher hasher_;
};

class OpensslBackend final : public BackendImplementation {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "openssl"; }

  [[nodiscard]] std::string description() const override {
    return std::string(OpenSSL_version(OPENSSL_VERSION)) + ", one signature at a time";
  }

  [[nodiscard]] std::string unsupported_reason() const override { return {}; }

  [[nodiscard]] Result<std::unique_ptr<PreparedKey>> prepare_key(
      const PublicKey& key) const override {
    const OpensslErrorScope scope;
    EvpPkeyPtr pkey = make_pkey(key);
    if (!pkey) return openssl_failed("take over a public key");
    return std::unique_ptr<PreparedKey>(std::make_unique<OpensslKey>(std::move(pkey)));
  }

  [[nodiscard]] Result<void> verify(const VerifyWork& work) const override {
    return verify_on_threads(work);
  }

  [[nodiscard]] Result<void> hash(const HashForm& form, const Slices& messages,
                                  std::uint8_t* digests) const override {
    if (!is_openssls(form.algorithm)) {
      ours().hash(form, messages, digests);
      return {};
    }
    COLOPHON_TRY_ASSIGN(FormHasher hasher, FormHasher::create(form));
    for (std::size_t i = 0; i < messages.size(); ++i) {
      COLOPHON_TRY(hasher.digest(messages[i], digests + i * digest_bytes(form.algorithm)));
    }
    return {};
  }

  [[nodiscard]] Result<void> hash_pairs(const HashForm& form, const std::uint8_t* nodes,
                                        std::size_t count, std::uint8_t* parents) const override {
    if (!is_openssls(form.algorithm)) {
      ours().hash_pairs(form, nodes, count, parents);
      return {};
    }
    COLOPHON_TRY_ASSIGN(FormHasher hasher, FormHasher::create(form));
    const std::size_t each = digest_bytes(form.algorithm);
    for (std::size_t i = 0; i < count; ++i) {
      COLOPHON_TRY(hasher.digest({nodes + 2 * i * each, 2 * each}, parents + i * each));
    }
    return {};
  }

  [[nodiscard]] Result<std::unique_ptr<HashStream::State>> hash_stream(
      const StreamForm& form) const override {
    if (!is_openssls(form.algorithm)) return ours().stream(form);
    COLOPHON_TRY_ASSIGN(Hasher hasher, Hasher::create(form.algorithm));
    COLOPHON_TRY(hasher.begin());
    return std::unique_ptr<HashStream::State>(std::make_unique<Stream>(std::move(hasher)));
  }

  [[nodiscard]] std::string hashing() const override {
    return "sha256 openssl, sha512 openssl, sm3 openssl, blake3 portable, keccak256 portable";
  }
};

}  // namespace

const BackendImplementation& openssl_backend() {
  static const OpensslBackend backend;
  return backend;
}

}  // namespace colophon
