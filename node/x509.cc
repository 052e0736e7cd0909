// SPDX-License-Identifier: Apache-2.0
#include "node/x509.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <memory>
#include <utility>

#include "node/base64.h"
#include "node/bytes.h"
#include "node/x509_form.h"

namespace colophon::node {
namespace {

constexpr std::size_t kPemBytesMax = 256 * 1024;
constexpr std::size_t kPemBlocksMax = 16;
constexpr std::string_view kPemBegin = "-----BEGIN ";
constexpr std::string_view kPemDashes = "-----";

Error refused(std::string message) {
  return make_error(ErrorCode::kInvalidSignature, std::move(message), "chain");
}

// "certificate 2 of the chain" / "the trusted CA certificate", for messages.
std::string name_of(std::size_t index, std::size_t count) {
  if (index == count) return "the trusted CA certificate";
  return "certificate " + std::to_string(index + 1) + " of the chain";
}

Result<CertificateForm> read_named(ByteSpan der, std::size_t index, std::size_t count) {
  auto form = read_certificate(der);
  if (form) return form;
  Error error = std::move(form).error();
  error.message = name_of(index, count) + ": " + error.field + ": " + error.message;
  error.field = "chain";
  return error;
}

CertificateFacts facts_of(CertificateForm&& form) {
  CertificateFacts facts;
  facts.common_name = std::move(form.common_name);
  facts.is_ca = form.is_ca;
  facts.scheme = form.key_scheme;
  facts.public_key = std::move(form.public_key);
  facts.spki.assign(form.spki.begin(), form.spki.end());
  facts.not_before_ms = form.not_before_ms;
  facts.not_after_ms = form.not_after_ms;
  return facts;
}

bool is_signed_by(const CertificateForm& subject, const CertificateForm& issuer) {
  const bool valid =
      subject.signed_with == issuer.key_scheme &&
      X509_verify(subject.openssl.get(), X509_get0_pubkey(issuer.openssl.get())) == 1;
  ERR_clear_error();
  return valid;
}

// `below`: CA certificates between this issuer and the leaf.
Result<void> check_issuer(const CertificateForm& subject, const CertificateForm& issuer,
                          std::size_t below, const std::string& subject_name,
                          const std::string& issuer_name) {
  if (!issuer.is_ca) return refused(issuer_name + " is not a CA's and cannot issue another");
  if (!same_bytes(subject.issuer, issuer.subject)) {
    return refused(subject_name + " was not issued by " + issuer_name + ": the names differ");
  }
  if (!subject.authority_key_id || !issuer.subject_key_id ||
      !same_bytes(*subject.authority_key_id, *issuer.subject_key_id)) {
    return refused(subject_name + " was not issued by " + issuer_name +
                   ": the key identifiers are missing or differ");
  }
  if (issuer.path_length && *issuer.path_length < below) {
    return refused(issuer_name + " allows no further CA below it, but there is one");
  }
  if (!is_signed_by(subject, issuer)) {
    return refused("the signature of " + subject_name + " does not verify under the key of " +
                   issuer_name);
  }
  return {};
}

Result<void> check_root(const CertificateForm& root) {
  if (!root.is_ca) return refused("the trusted certificate is not a CA's");
  if (!same_bytes(root.issuer, root.subject))
    return refused("the trusted CA certificate is not self-issued");
  if (!root.subject_key_id ||
      (root.authority_key_id && !same_bytes(*root.authority_key_id, *root.subject_key_id))) {
    return refused("the trusted CA certificate's key identifiers are missing or differ");
  }
  if (!is_signed_by(root, root)) {
    return refused("the trusted CA certificate's own signature does not verify");
  }
  return {};
}

Result<void> check_validity(const CertificateForm& form, std::uint64_t time_ms,
                            const std::string& name) {
  if (time_ms < form.not_before_ms) {
    return make_error(ErrorCode::kExpired, name + " was not yet valid at that time", "chain");
  }
  if (time_ms > form.not_after_ms) {
    return make_error(ErrorCode::kExpired, name + " had expired at that time", "chain");
  }
  return {};
}

struct StoreFree {
  void operator()(X509_STORE* x) const noexcept { X509_STORE_free(x); }
  void operator()(X509_STORE_CTX* x) const noexcept { X509_STORE_CTX_free(x); }
  // The stack alone: the certificates belong to their forms.
  void operator()(STACK_OF(X509) * x) const noexcept { sk_X509_free(x); }
};

// OpenSSL's own path validation as a second opinion. Time is left to check_validity: whether
// notAfter is itself part of the validity differs between OpenSSL and RFC 5280.
Result<void> check_with_openssl(const std::vector<CertificateForm>& chain,
                                const CertificateForm& root) {
  const std::unique_ptr<X509_STORE, StoreFree> store(X509_STORE_new());
  const std::unique_ptr<X509_STORE_CTX, StoreFree> context(X509_STORE_CTX_new());
  const std::unique_ptr<STACK_OF(X509), StoreFree> between(sk_X509_new_null());
  bool ready = store && context && between && X509_STORE_add_cert(store.get(), root.openssl.get());
  for (std::size_t i = 1; ready && i < chain.size(); ++i) {
    ready = sk_X509_push(between.get(), chain[i].openssl.get()) > 0;
  }
  ready = ready && X509_STORE_CTX_init(context.get(), store.get(), chain[0].openssl.get(),
                                       between.get()) == 1;
  if (!ready) {
    ERR_clear_error();
    return make_error(ErrorCode::kInternal, "OpenSSL could not prepare the chain check", "chain");
  }
  X509_VERIFY_PARAM* parameters = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_X509_STRICT | X509_V_FLAG_NO_CHECK_TIME |
                                              X509_V_FLAG_CHECK_SS_SIGNATURE |
                                              X509_V_FLAG_NO_ALT_CHAINS);
  X509_VERIFY_PARAM_set_purpose(parameters, X509_PURPOSE_ANY);
  X509_VERIFY_PARAM_set_depth(parameters, static_cast<int>(kChainLengthMax));
  const bool valid = X509_verify_cert(context.get()) == 1;
  const int code = X509_STORE_CTX_get_error(context.get());
  ERR_clear_error();
  if (valid) return {};
  Error error =
      refused(std::string("the chain does not verify: ") + X509_verify_cert_error_string(code));
  error.native = static_cast<std::uint64_t>(code);
  return error;
}

struct PemBlock {
  std::string_view label;
  Der der;
};

// Takes the next line off `rest`, without its line ending and trailing blanks.
std::string_view take_line(std::string_view& rest) {
  const std::size_t end = rest.find('\n');
  std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t')) {
    line.remove_suffix(1);
  }
  return line;
}

Result<std::vector<PemBlock>> read_pem(std::string_view text) {
  if (text.size() > kPemBytesMax) {
    return make_error(ErrorCode::kLimitExceeded, "a PEM file has at most 256 KiB", "PEM");
  }
  const auto malformed = [](std::string message) {
    return make_error(ErrorCode::kMalformed, std::move(message), "PEM");
  };
  // As OpenSSL does: else the block behind the mark would be taken for text around the blocks.
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  std::vector<PemBlock> blocks;
  while (!text.empty()) {
    const std::string_view begin = take_line(text);
    if (!begin.starts_with(kPemBegin)) continue;
    if (begin.size() < kPemBegin.size() + kPemDashes.size() || !begin.ends_with(kPemDashes)) {
      return malformed("a BEGIN line does not end in five dashes");
    }
    if (blocks.size() == kPemBlocksMax) {
      return make_error(ErrorCode::kLimitExceeded, "a PEM file has at most 16 blocks", "PEM");
    }
    PemBlock block;
    block.label =
        begin.substr(kPemBegin.size(), begin.size() - kPemBegin.size() - kPemDashes.size());
    std::string base64;
    while (true) {
      if (text.empty()) return malformed("a block has no END line");
      const std::string_view line = take_line(text);
      if (line.starts_with("-----END ") && line.ends_with(kPemDashes) &&
          line.size() == begin.size() - 2 && line.substr(9, block.label.size()) == block.label) {
        break;
      }
      // To OpenSSL an empty line ends the headers of RFC 1421: what it refuses is refused here.
      if (line.empty()) return malformed("a block has an empty line");
      base64 += line;
    }
    auto bytes = base64_decode(base64);
    if (!bytes || bytes->empty()) return malformed("a block is not canonical base64");
    block.der = std::move(*bytes);
    blocks.push_back(std::move(block));
  }
  return blocks;
}

}  // namespace

Result<Der> low_s_form(ByteSpan certificate_der) {
  Der unchanged(certificate_der.begin(), certificate_der.end());
  COLOPHON_TRY_ASSIGN(const CertificateForm form, read_certificate(certificate_der));
  if (form.signed_with != Scheme::kEcdsaP256Sha256) return unchanged;
  const ASN1_BIT_STRING* signature = nullptr;
  const X509_ALGOR* algorithm = nullptr;
  X509_get0_signature(&signature, &algorithm, form.openssl.get());
  const unsigned char* at = ASN1_STRING_get0_data(signature);
  const std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)> parsed(
      d2i_ECDSA_SIG(nullptr, &at, ASN1_STRING_length(signature)), &ECDSA_SIG_free);
  const std::unique_ptr<EC_GROUP, decltype(&EC_GROUP_free)> group(
      EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1), &EC_GROUP_free);
  const std::unique_ptr<BIGNUM, decltype(&BN_free)> other_s(BN_new(), &BN_free);
  if (!parsed || !group || !other_s ||
      BN_sub(other_s.get(), EC_GROUP_get0_order(group.get()), ECDSA_SIG_get0_s(parsed.get())) !=
          1) {
    return make_error(ErrorCode::kMalformed, "not an ECDSA signature", "signature");
  }
  // n is odd, so s is never n - s. An s of n or more is no signature anyway.
  if (BN_is_negative(other_s.get()) || BN_cmp(ECDSA_SIG_get0_s(parsed.get()), other_s.get()) < 0) {
    return unchanged;
  }
  const auto magnitude = [](const BIGNUM* number) {
    Der bytes(static_cast<std::size_t>(BN_num_bytes(number)));
    BN_bn2bin(number, bytes.data());
    return der_unsigned(bytes);
  };
  constexpr std::uint8_t kNoUnusedBits[] = {0};
  const Der numbers = der(der_tag::kSequence,
                          {magnitude(ECDSA_SIG_get0_r(parsed.get())), magnitude(other_s.get())});
  const ByteSpan rest =
      ByteSpan(form.tbs.data() + form.tbs.size(), certificate_der.data() + certificate_der.size());
  DerReader reader(rest);
  COLOPHON_TRY_ASSIGN(const DerElement identifier,
                      reader.expect(der_tag::kSequence, "signature algorithm"));
  return der(der_tag::kSequence,
             {form.tbs, identifier.encoding, der(der_tag::kBitString, {kNoUnusedBits, numbers})});
}

Result<CertificateFacts> inspect_certificate(ByteSpan der) {
  COLOPHON_TRY_ASSIGN(CertificateForm form, read_certificate(der));
  return facts_of(std::move(form));
}

Result<CertificateFacts> verify_chain(const std::vector<Der>& chain, ByteSpan root,
                                      std::uint64_t time_ms) {
  if (chain.empty()) return make_error(ErrorCode::kMalformed, "the chain is empty", "chain");
  if (chain.size() > kChainLengthMax) {
    return make_error(ErrorCode::kLimitExceeded,
                      "a chain has at most 4 certificates, without the trusted CA's", "chain");
  }
  const std::size_t count = chain.size();
  COLOPHON_TRY_ASSIGN(const CertificateForm anchor, read_named(root, count, count));
  std::vector<CertificateForm> forms;
  for (std::size_t i = 0; i < count; ++i) {
    COLOPHON_TRY_ASSIGN(CertificateForm form, read_named(chain[i], i, count));
    if (same_bytes(form.encoding, root)) return refused("the chain contains the trusted CA itself");
    if (same_bytes(form.issuer, form.subject)) {
      return refused(name_of(i, count) + " is self-issued, so nothing ties it to the trusted CA");
    }
    forms.push_back(std::move(form));
  }
  if (forms[0].is_ca) return refused(name_of(0, count) + " is a CA's, not an end entity's");
  if (!forms[0].key_usage || (*forms[0].key_usage & kUsageDigitalSignature) == 0) {
    return refused(name_of(0, count) + " lacks the key usage digitalSignature");
  }
  COLOPHON_TRY(check_root(anchor));
  for (std::size_t i = 0; i < count; ++i) {
    const CertificateForm& issuer = i + 1 < count ? forms[i + 1] : anchor;
    COLOPHON_TRY(check_issuer(forms[i], issuer, i, name_of(i, count), name_of(i + 1, count)));
  }
  for (std::size_t i = 0; i < count; ++i) {
    COLOPHON_TRY(check_validity(forms[i], time_ms, name_of(i, count)));
  }
  COLOPHON_TRY(check_validity(anchor, time_ms, name_of(count, count)));
  COLOPHON_TRY(check_with_openssl(forms, anchor));
  return facts_of(std::move(forms[0]));
}

Result<CertificateFacts> verify_root(ByteSpan root, std::uint64_t time_ms) {
  COLOPHON_TRY_ASSIGN(CertificateForm anchor, read_named(root, 0, 0));
  COLOPHON_TRY(check_root(anchor));
  COLOPHON_TRY(check_validity(anchor, time_ms, name_of(0, 0)));
  std::vector<CertificateForm> alone;
  COLOPHON_TRY_ASSIGN(alone.emplace_back(), read_named(root, 0, 0));
  COLOPHON_TRY(check_with_openssl(alone, anchor));
  return facts_of(std::move(anchor));
}

Result<std::vector<Der>> parse_pem_certificates(std::string_view pem) {
  COLOPHON_TRY_ASSIGN(std::vector<PemBlock> blocks, read_pem(pem));
  std::vector<Der> certificates;
  for (PemBlock& block : blocks) {
    if (block.label != "CERTIFICATE") {
      return make_error(ErrorCode::kMalformed, "holds something other than certificates", "PEM");
    }
    certificates.push_back(std::move(block.der));
  }
  if (certificates.empty()) {
    return make_error(ErrorCode::kMalformed, "holds no certificate in PEM form", "PEM");
  }
  return certificates;
}

Result<Der> parse_pem_public_key(std::string_view pem) {
  COLOPHON_TRY_ASSIGN(std::vector<PemBlock> blocks, read_pem(pem));
  if (blocks.size() != 1 || blocks[0].label != "PUBLIC KEY") {
    return make_error(ErrorCode::kMalformed, "not exactly one PEM block PUBLIC KEY", "PEM");
  }
  return std::move(blocks[0].der);
}

std::string to_pem(ByteSpan certificate_der) {
  constexpr std::size_t kLineChars = 64;  // RFC 7468 §2
  const std::string base64 = base64_encode(certificate_der);
  std::string pem = "-----BEGIN CERTIFICATE-----\n";
  for (std::size_t i = 0; i < base64.size(); i += kLineChars) {
    pem.append(base64, i, kLineChars);
    pem += '\n';
  }
  pem += "-----END CERTIFICATE-----\n";
  return pem;
}

}  // namespace colophon::node
