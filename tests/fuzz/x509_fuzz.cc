// SPDX-License-Identifier: Apache-2.0
//
// One X.509 certificate: what inspect_certificate takes is DER to OpenSSL too, which sees the same
// facts in it; and it has one form with a low s, which says the same.
#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <ctime>
#include <memory>
#include <string>
#include <utility>

#include "node/x509.h"
#include "tests/fuzz/forge.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/right_inputs.h"

namespace colophon::node {
namespace {

using fuzz::require;

struct X509Deleter {
  void operator()(X509* x) const noexcept { X509_free(x); }
};

std::uint64_t seconds_of(const ASN1_TIME* time) {
  std::tm parts{};
  require(ASN1_TIME_to_tm(time, &parts) == 1, "a time is one to OpenSSL");
  return static_cast<std::uint64_t>(timegm(&parts));
}

std::string common_name_of(X509* certificate) {
  X509_NAME* name = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
  require(at >= 0 && X509_NAME_get_index_by_NID(name, NID_commonName, at) < 0,
          "there is exactly one common name");
  std::uint8_t* utf8 = nullptr;
  const int size =
      ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
  require(size > 0, "the common name is text");
  const std::string text(utf8, utf8 + size);
  OPENSSL_free(utf8);
  return text;
}

void check(ByteSpan bytes) {
  const auto facts = inspect_certificate(bytes);
  if (!facts) {
    require(!facts.error().message.empty() && !facts.error().field.empty(),
            "a refusal says why and names the part");
    require(ERR_peek_error() == 0, "OpenSSL's error queue is left as it was");
    return;
  }
  const std::uint8_t* cursor = bytes.data();
  const std::unique_ptr<X509, X509Deleter> x509(
      d2i_X509(nullptr, &cursor, static_cast<long>(bytes.size())));
  require(x509 != nullptr && cursor == bytes.data() + bytes.size(), "OpenSSL reads it, to the end");
  require(check_der(bytes, "certificate").ok(), "it is DER");
  require(X509_get_version(x509.get()) == X509_VERSION_3, "it is of version 3");
  require(facts->common_name == common_name_of(x509.get()), "both read the same name");
  require(facts->not_before_ms == 1000 * seconds_of(X509_get0_notBefore(x509.get())) &&
              facts->not_after_ms == 1000 * seconds_of(X509_get0_notAfter(x509.get())) + 999 &&
              facts->not_before_ms < facts->not_after_ms,
          "both read the same validity");
  require(facts->is_ca == (X509_check_ca(x509.get()) == 1), "both say whether it is a CA's");
  require((X509_get_extension_flags(x509.get()) & (EXFLAG_INVALID | EXFLAG_CRITICAL)) == 0,
          "no extension is invalid, or critical and unknown");

  EVP_PKEY* key = X509_get0_pubkey(x509.get());
  require(key != nullptr, "the key is one to OpenSSL");
  const bool ed25519 = EVP_PKEY_is_a(key, "ED25519") == 1;
  require(ed25519 == (facts->scheme == Scheme::kEd25519), "both see the same kind of key");
  std::uint8_t* spki = nullptr;
  const int spki_size = i2d_PUBKEY(key, &spki);
  require(
      spki_size > 0 && std::equal(facts->spki.begin(), facts->spki.end(), spki, spki + spki_size),
      "a key has one SubjectPublicKeyInfo");
  OPENSSL_free(spki);
  require(facts->public_key.size() == (ed25519 ? 32U : 33U), "a key has the ledger's form");
  ERR_clear_error();
}

void check_low_s(ByteSpan bytes) {
  const auto low = low_s_form(bytes);
  require(low.ok() == inspect_certificate(bytes).ok(), "what is a certificate has a form of low s");
  if (!low) return;
  const auto again = low_s_form(*low);
  require(again.ok() && *again == *low, "that form is final");
  if (std::equal(bytes.begin(), bytes.end(), low->begin(), low->end())) return;
  // Only the signature's value is another: all before it, but for the outer length, is the same.
  const auto parts = [](ByteSpan certificate) {
    DerReader reader(test::must(der_content(certificate, der_tag::kSequence, "certificate")));
    const DerElement tbs = test::must(reader.next("tbs"));
    return std::pair(tbs.encoding, test::must(reader.next("algorithm")).encoding);
  };
  const auto [tbs, algorithm] = parts(bytes);
  const auto [low_tbs, low_algorithm] = parts(*low);
  require(std::ranges::equal(tbs, low_tbs) && std::ranges::equal(algorithm, low_algorithm),
          "what is signed stays as it is");
}

}  // namespace
}  // namespace colophon::node

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto right = colophon::fuzz::right_certificates();
  colophon::fuzz::FuzzInput input(data, size);
  const colophon::node::Der bytes = colophon::fuzz::choose_der(input, right);
  colophon::node::check(bytes);
  colophon::node::check_low_s(bytes);
  return 0;
}
