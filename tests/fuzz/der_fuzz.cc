// SPDX-License-Identifier: Apache-2.0
//
// The two readers of DER: the one for ECDSA signatures against OpenSSL's, and the one for X.509,
// element by element, against OpenSSL's reader and writer of the same type. What is DER is what
// comes out again as the same bytes.
#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>

#include <array>
#include <memory>
#include <vector>

#include "node/der.h"
#include "signature_encoding.h"
#include "tests/fuzz/forge.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/right_inputs.h"

namespace colophon {
namespace {

using fuzz::require;
using Bytes = std::vector<std::uint8_t>;

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* object) const noexcept {
    Free(object);
  }
};

// True if `bytes` is what OpenSSL writes for the value it reads from them.
template <auto Read, auto Write, auto Free>
bool comes_out_again(ByteSpan bytes) {
  const std::uint8_t* cursor = bytes.data();
  const auto value = Read(nullptr, &cursor, static_cast<long>(bytes.size()));
  ERR_clear_error();
  if (value == nullptr) return false;
  std::uint8_t* written = nullptr;
  const int size = Write(value, &written);
  const bool same = size >= 0 && std::equal(bytes.begin(), bytes.end(), written, written + size);
  OPENSSL_free(written);
  Free(value);
  return same;
}

// --- signatures ----------------------------------------------------------------------------------

using EcdsaSignature = std::unique_ptr<ECDSA_SIG, Deleter<&ECDSA_SIG_free>>;

void check_signature(ByteSpan bytes) {
  const bool der = comes_out_again<&d2i_ECDSA_SIG, &i2d_ECDSA_SIG, &ECDSA_SIG_free>(bytes);
  Signature signature;
  const Verdict verdict = parse_der_signature(bytes, signature);
  require(der == (verdict != Verdict::kBadEncoding), "a DER signature is one to OpenSSL too");
  if (!der) return;
  const std::uint8_t* cursor = bytes.data();
  const EcdsaSignature parts(d2i_ECDSA_SIG(nullptr, &cursor, static_cast<long>(bytes.size())));
  std::array<std::uint8_t, 64> expected{};
  const bool fits = BN_bn2binpad(ECDSA_SIG_get0_r(parts.get()), expected.data(), 32) == 32 &&
                    BN_bn2binpad(ECDSA_SIG_get0_s(parts.get()), expected.data() + 32, 32) == 32;
  ERR_clear_error();
  require(fits == (verdict == Verdict::kValid), "an integer of more than 256 bits is out of range");
  if (!fits) return;
  require(signature == expected, "both read the same r and s");
  std::array<std::uint8_t, kDerSignatureBytesMax> written;
  const std::size_t size = write_der_signature(signature, written);
  require(std::equal(bytes.begin(), bytes.end(), written.begin(),
                     written.begin() + static_cast<std::ptrdiff_t>(size)),
          "what is written is what was read");
}

// --- elements ------------------------------------------------------------------------------------

// Whether an element of this type is DER, where OpenSSL can say so.
std::optional<bool> openssl_says(ByteSpan element) {
  switch (element[0]) {
    case node::der_tag::kInteger:
      return comes_out_again<&d2i_ASN1_INTEGER, &i2d_ASN1_INTEGER, &ASN1_INTEGER_free>(element);
    case node::der_tag::kBitString:
      return comes_out_again<&d2i_ASN1_BIT_STRING, &i2d_ASN1_BIT_STRING, &ASN1_BIT_STRING_free>(
          element);
    case node::der_tag::kNull:
      return comes_out_again<&d2i_ASN1_NULL, &i2d_ASN1_NULL, &ASN1_NULL_free>(element);
    case node::der_tag::kOctetString:
      return comes_out_again<&d2i_ASN1_OCTET_STRING, &i2d_ASN1_OCTET_STRING,
                             &ASN1_OCTET_STRING_free>(element);
    case node::der_tag::kObjectIdentifier:
      return comes_out_again<&d2i_ASN1_OBJECT, &i2d_ASN1_OBJECT, &ASN1_OBJECT_free>(element);
    default:
      return std::nullopt;
  }
}

// Walks what check_der has accepted and writes it anew from tags and contents alone.
Bytes written_anew(ByteSpan element_bytes) {
  node::DerReader reader(element_bytes);
  const auto element = reader.next("element");
  require(element.ok() && reader.finish("element").ok(), "what is DER has elements");
  const auto says = openssl_says(element->encoding);
  require(says.value_or(true), "an element that is DER is so to OpenSSL");
  if ((element->tag & 0x20) == 0) return node::der(element->tag, {element->content});
  Bytes contents;
  node::DerReader children(element->content);
  while (!children.empty()) {
    const auto child = children.next("child");
    require(child.ok(), "what is DER is DER inside");
    const Bytes child_bytes = written_anew(child->encoding);
    contents.insert(contents.end(), child_bytes.begin(), child_bytes.end());
  }
  return node::der(element->tag, {contents});
}

void check_elements(ByteSpan bytes) {
  const bool accepted = node::check_der(bytes, "input").ok();
  if (accepted) {
    const Bytes anew = written_anew(bytes);
    require(std::equal(bytes.begin(), bytes.end(), anew.begin(), anew.end()),
            "one value has one encoding");
    return;
  }
  // The other way round for a single element: what OpenSSL calls DER is not refused. Lengths of
  // four bytes and more are refused as too long for anything here.
  if (bytes.size() < 2 || bytes.size() > 0xffff) return;
  require(!openssl_says(bytes).value_or(false), "an element that OpenSSL calls DER is DER");
}

// The accessors never look past what they are given and agree with the encoding rules.
void check_contents(ByteSpan content) {
  if (const auto number = node::der_small_integer(content)) {
    std::array<std::uint8_t, 4> magnitude{};
    for (int i = 0; i < 4; ++i) magnitude[i] = static_cast<std::uint8_t>(*number >> (24 - 8 * i));
    const Bytes written = node::der_unsigned(magnitude);
    require(std::equal(content.begin(), content.end(), written.begin() + 2, written.end()),
            "a small integer comes out again");
  }
  if (node::der_named_bits(content)) {
    require(node::check_der(node::der(node::der_tag::kBitString, {content}), "bits").ok(),
            "named bits are a BIT STRING");
  }
  (void)node::der_bit_octets(content);
}

}  // namespace
}  // namespace colophon

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto right = colophon::fuzz::right_der();
  colophon::fuzz::FuzzInput input(data, size);
  const colophon::node::Der bytes = colophon::fuzz::choose_der(input, right);
  colophon::check_signature(bytes);
  colophon::check_elements(bytes);
  colophon::check_contents(bytes);
  return 0;
}
