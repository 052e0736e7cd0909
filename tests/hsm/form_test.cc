// SPDX-License-Identifier: Apache-2.0
//
// Forms that need no token: PKCS#11 URIs, public keys, P-256 signatures in their one form.
#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "colophon/hsm/signer.h"
#include "colophon/hsm/token.h"
#include "colophon/hsm/uri.h"
#include "hsm/ck.h"
#include "hsm/open.h"
#include "hsm/public_key.h"
#include "hsm/text.h"

namespace colophon::hsm {
namespace {

using Bytes = std::vector<std::uint8_t>;

TEST(Uri, ReadsEveryAttribute) {
  const auto uri = parse_uri(
      "pkcs11:token=The%20Token;manufacturer=ACME;serial=0123;model=M1;slot-id=42;"
      "slot-manufacturer=S;slot-description=D;object=k%C3%A9y;id=%00%ffA;type=private;x-vendor=v"
      "?module-path=/usr/lib/softhsm/libsofthsm2.so&module-name=softhsm2"
      "&pin-source=file:/etc/pin&x-q=%26");
  ASSERT_TRUE(uri.ok()) << uri.error().message;
  EXPECT_EQ(uri->token, "The Token");
  EXPECT_EQ(uri->manufacturer, "ACME");
  EXPECT_EQ(uri->serial, "0123");
  EXPECT_EQ(uri->model, "M1");
  EXPECT_EQ(uri->slot_id, 42U);
  EXPECT_EQ(uri->slot_manufacturer, "S");
  EXPECT_EQ(uri->slot_description, "D");
  EXPECT_EQ(uri->object, "k\u00e9y");
  EXPECT_EQ(uri->id, (Bytes{0x00, 0xff, 'A'}));
  EXPECT_EQ(uri->type, "private");
  EXPECT_EQ(uri->module_path, "/usr/lib/softhsm/libsofthsm2.so");
  EXPECT_EQ(uri->module_name, "softhsm2");
  EXPECT_EQ(uri->pin_source, "file:/etc/pin");
  ASSERT_EQ(uri->vendor_path.size(), 1U);
  EXPECT_EQ(uri->vendor_path[0], (std::pair<std::string, std::string>("x-vendor", "v")));
  ASSERT_EQ(uri->vendor_query.size(), 1U);
  EXPECT_EQ(uri->vendor_query[0].second, "&");
}

TEST(Uri, FormattingAndParsingAreInverse) {
  for (const char* text :
       {"pkcs11:", "pkcs11:token=a", "pkcs11:slot-id=18446744073709551615", "pkcs11:id=%00%FF",
        "pkcs11:token=%E2%82%AC;object=a%3Bb%3Dc%2F%3F;type=public?module-path=/a%20b/c.so",
        "pkcs11:?module-name=x", "pkcs11:x-a=1;x-b=?x-c=3"}) {
    const auto first = parse_uri(text);
    ASSERT_TRUE(first.ok()) << text << ": " << first.error().message;
    const std::string canonical = format_uri(*first);
    const auto second = parse_uri(canonical);
    ASSERT_TRUE(second.ok()) << canonical << ": " << second.error().message;
    EXPECT_EQ(*first, *second) << canonical;
    EXPECT_EQ(format_uri(*second), canonical);
  }
}

TEST(Uri, CanonicalFormFitsTheLimitToo) {
  // Found by fuzzing: "@" needs no encoding in a URI and has one in the canonical form.
  const std::string prefix = "pkcs11:x-a=";
  const std::size_t most = (kUriBytesMax - prefix.size()) / 3;
  const auto longest = parse_uri(prefix + std::string(most, '@'));
  ASSERT_TRUE(longest.ok()) << longest.error().message;
  EXPECT_EQ(*parse_uri(format_uri(*longest)), *longest);
  const auto over = parse_uri(prefix + std::string(most + 1, '@'));
  ASSERT_FALSE(over.ok());
  EXPECT_EQ(over.error().code, ErrorCode::kLimitExceeded);
}

TEST(Uri, CanonicalFormHasOneOrder) {
  const auto uri =
      parse_uri("pkcs11:type=private;id=%41;object=k;slot-id=07;token=t?module-path=/m");
  ASSERT_TRUE(uri.ok());
  EXPECT_EQ(format_uri(*uri),
            "pkcs11:token=t;slot-id=7;object=k;id=%41;type=private?module-path=/m");
}

struct BadUri {
  const char* text;
  ErrorCode code;
  const char* field;
};

TEST(Uri, RefusesWhatIsNotOne) {
  const std::string long_label = "pkcs11:object=" + std::string(256, 'a');
  const std::string long_token = "pkcs11:token=" + std::string(33, 'a');
  const std::string long_uri = "pkcs11:object=" + std::string(kUriBytesMax, 'a');
  const BadUri cases[] = {
      {"", ErrorCode::kMalformed, "uri"},
      {"pkcs11", ErrorCode::kMalformed, "uri"},
      {"PKCS11:token=a", ErrorCode::kMalformed, "uri"},
      {"http://token", ErrorCode::kMalformed, "uri"},
      {"pkcs11:token", ErrorCode::kMalformed, "uri"},
      {"pkcs11:=a", ErrorCode::kMalformed, "uri"},
      {"pkcs11:;", ErrorCode::kMalformed, "uri"},
      {"pkcs11:token=a;", ErrorCode::kMalformed, "uri"},
      {"pkcs11:token=a;;object=b", ErrorCode::kMalformed, "uri"},
      {"pkcs11:token=a?", ErrorCode::kMalformed, "uri"},
      {"pkcs11:?module-path=/a&", ErrorCode::kMalformed, "uri"},
      {"pkcs11:token=", ErrorCode::kMalformed, "token"},
      {"pkcs11:id=", ErrorCode::kMalformed, "id"},
      {"pkcs11:token=a;token=a", ErrorCode::kMalformed, "token"},
      {"pkcs11:id=%01;id=%02", ErrorCode::kMalformed, "id"},
      {"pkcs11:slot-id=1;slot-id=1", ErrorCode::kMalformed, "slot-id"},
      {"pkcs11:x-a=1;x-a=2", ErrorCode::kMalformed, "x-a"},
      {"pkcs11:?module-path=/a&module-path=/b", ErrorCode::kMalformed, "module-path"},
      {"pkcs11:token=a b", ErrorCode::kMalformed, "token"},
      {"pkcs11:token=a/b", ErrorCode::kMalformed, "token"},
      {"pkcs11:token=a#b", ErrorCode::kMalformed, "token"},
      {"pkcs11:token=\xc3\xa9", ErrorCode::kMalformed, "token"},
      {"pkcs11:token=%", ErrorCode::kMalformed, "token"},
      {"pkcs11:token=%4", ErrorCode::kMalformed, "token"},
      {"pkcs11:token=%4g", ErrorCode::kMalformed, "token"},
      {"pkcs11:token=%ff", ErrorCode::kMalformed, "token"},
      {"pkcs11:token=a%00b", ErrorCode::kMalformed, "token"},
      {"pkcs11:token=%C0%80", ErrorCode::kMalformed, "token"},
      {"pkcs11:token=%ED%A0%80", ErrorCode::kMalformed, "token"},
      {"pkcs11:slot-id=-1", ErrorCode::kMalformed, "slot-id"},
      {"pkcs11:slot-id=+1", ErrorCode::kMalformed, "slot-id"},
      {"pkcs11:slot-id=0x1", ErrorCode::kMalformed, "slot-id"},
      {"pkcs11:slot-id=18446744073709551616", ErrorCode::kMalformed, "slot-id"},
      {"pkcs11:type=key", ErrorCode::kMalformed, "type"},
      {"pkcs11:label=a", ErrorCode::kUnsupported, "label"},
      {"pkcs11:Token=a", ErrorCode::kUnsupported, "Token"},
      {"pkcs11:library-version=3", ErrorCode::kUnsupported, "library-version"},
      {"pkcs11:x-=a", ErrorCode::kUnsupported, "x-"},
      {"pkcs11:module-path=a", ErrorCode::kUnsupported, "module-path"},
      {"pkcs11:?token=a", ErrorCode::kUnsupported, "token"},
      {"pkcs11:token=a?pin-value=1234", ErrorCode::kInvalidArgument, "pin-value"},
      {"pkcs11:token=a;pin-value=1234", ErrorCode::kInvalidArgument, "pin-value"},
      {long_label.c_str(), ErrorCode::kLimitExceeded, "object"},
      {long_token.c_str(), ErrorCode::kLimitExceeded, "token"},
      {long_uri.c_str(), ErrorCode::kLimitExceeded, "uri"},
  };
  for (const BadUri& bad : cases) {
    const auto uri = parse_uri(bad.text);
    ASSERT_FALSE(uri.ok()) << bad.text;
    EXPECT_EQ(uri.error().code, bad.code) << bad.text << ": " << uri.error().message;
    EXPECT_EQ(uri.error().field, bad.field) << bad.text;
    EXPECT_EQ(uri.error().message.find("1234"), std::string::npos) << "a PIN in a message";
  }
}

TEST(Uri, AnyBytesAreRefusedOrRoundTrip) {
  constexpr std::uint32_t kSeed = 20240607;
  std::mt19937 random(kSeed);
  const std::string seed_text =
      "pkcs11:token=a%20b;object=k;id=%01%02;slot-id=1?module-path=/m&pin-source=file:/p";
  for (int round = 0; round < 20000; ++round) {
    std::string text = seed_text;
    const int edits = 1 + static_cast<int>(random() % 4);
    for (int e = 0; e < edits; ++e) {
      const std::size_t at = 7 + random() % (text.size() - 7);
      switch (random() % 3) {
        case 0:
          text[at] = static_cast<char>(random() % 256);
          break;
        case 1:
          text.erase(at, 1 + random() % 3);
          if (text.size() < 9) text = seed_text;
          break;
        default:
          text.insert(at, 1, ";=?&%x-1"[random() % 8]);
      }
    }
    const auto uri = parse_uri(text);
    if (!uri.ok()) continue;
    const auto again = parse_uri(format_uri(*uri));
    ASSERT_TRUE(again.ok()) << "seed " << kSeed << " round " << round << ": " << text;
    ASSERT_EQ(*uri, *again) << "seed " << kSeed << " round " << round << ": " << text;
  }
}

TEST(PinSourceInUri, IsAFileWithAnAbsolutePathAndYieldsToAnOption) {
  struct Case {
    const char* uri;
    bool accepted;
  };
  for (const Case c :
       {Case{"pkcs11:?pin-source=file:/etc/pin", true},
        Case{"pkcs11:?pin-source=file:///etc/pin", true}, Case{"pkcs11:?pin-source=/etc/pin", true},
        Case{"pkcs11:?pin-source=file://host/etc/pin", false},
        Case{"pkcs11:?pin-source=file:pin", false}, Case{"pkcs11:?pin-source=pin", false},
        Case{"pkcs11:?pin-source=|/bin/show-pin", false},
        Case{"pkcs11:?pin-source=https://host/pin", false}}) {
    const auto uri = parse_uri(c.uri);
    ASSERT_TRUE(uri.ok()) << c.uri << ": " << uri.error().message;
    const auto source = pin_source_of(*uri, PinSource::prompt());
    ASSERT_EQ(source.ok(), c.accepted) << c.uri;
    EXPECT_FALSE(source.ok() && source->interactive()) << c.uri;
  }
  const auto uri = parse_uri("pkcs11:?pin-source=|run");
  EXPECT_TRUE(pin_source_of(*uri, PinSource::environment("X")).ok());
}

TEST(ModulePath, ComesFromTheUriOrTheEnvironmentAndNowhereElse) {
  unsetenv(kModuleEnvironmentVariable);
  const auto none = module_path_of(Uri{});
  ASSERT_FALSE(none.ok());
  EXPECT_NE(none.error().message.find(kModuleEnvironmentVariable), std::string::npos);
  setenv(kModuleEnvironmentVariable, "/env.so", 1);
  EXPECT_EQ(*module_path_of(Uri{}), "/env.so");
  EXPECT_EQ(*module_path_of(*parse_uri("pkcs11:?module-path=/uri.so")), "/uri.so");
  unsetenv(kModuleEnvironmentVariable);
}

TEST(Text, Utf8IsCheckedAndControlsAreShownAsHex) {
  EXPECT_TRUE(is_utf8("a\u00e9\u20ac\U0001F600"));
  for (const char* bad : {"\x80", "\xc0\x80", "\xc3", "\xe0\x80\x80", "\xed\xa0\x80",
                          "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80"}) {
    EXPECT_FALSE(is_utf8(bad));
  }
  EXPECT_TRUE(is_uri_text("caf\u00e9"));
  EXPECT_FALSE(is_uri_text("") || is_uri_text("\xff") || is_uri_text(std::string_view("a\0", 2)));
  EXPECT_EQ(printable("caf\u00e9"), "caf\u00e9");
  EXPECT_EQ(printable("a\x1b[2J"), "a\\x1b[2J");
  EXPECT_EQ(printable("\xff"), "\\xff");
  EXPECT_LT(printable(std::string(1000, 'x')).size(), 110U);
}

// A key of OpenSSL's own making, and its point in SEC 1 form.
struct P256Key {
  EvpPkey key{EVP_EC_gen("P-256")};
  Bytes point(point_conversion_form_t form) const {
    EVP_PKEY_set_utf8_string_param(
        key.get(), "point-format",
        form == POINT_CONVERSION_COMPRESSED ? "compressed" : "uncompressed");
    Bytes out(65);
    std::size_t size = 0;
    EXPECT_EQ(EVP_PKEY_get_octet_string_param(key.get(), "pub", out.data(), out.size(), &size), 1);
    out.resize(size);
    return out;
  }
};

Bytes wrapped(const Bytes& inner) {
  Bytes out(2 + inner.size());
  out[0] = 0x04;
  out[1] = static_cast<std::uint8_t>(inner.size());
  std::copy(inner.begin(), inner.end(), out.begin() + 2);
  return out;
}

TEST(EcPoint, EveryEncodingInUseGivesTheSameP256Key) {
  for (int round = 0; round < 64; ++round) {  // random keys: some X begin with bytes like a length
    const P256Key key;
    const Bytes uncompressed = key.point(POINT_CONVERSION_UNCOMPRESSED);
    ASSERT_EQ(uncompressed.size(), 65U);
    Bytes compressed(uncompressed.begin(), uncompressed.begin() + 33);
    compressed[0] = uncompressed.back() % 2 == 0 ? 0x02 : 0x03;
    const Bytes bare(uncompressed.begin() + 1, uncompressed.end());
    for (const Bytes& form : {uncompressed, compressed, bare, wrapped(uncompressed),
                              wrapped(compressed), wrapped(bare)}) {
      const auto decoded = decode_ec_point(KeyType::kP256, form);
      ASSERT_TRUE(decoded.ok()) << "length " << form.size();
      ASSERT_EQ(decoded->raw, compressed) << "length " << form.size();
    }
  }
}

TEST(EcPoint, AWrongP256PointIsRefused) {
  const P256Key key;
  const Bytes good = key.point(POINT_CONVERSION_UNCOMPRESSED);
  Bytes off_curve = good;
  off_curve[64] ^= 1;
  Bytes hybrid = good;
  hybrid[0] = static_cast<std::uint8_t>(0x06 + good[64] % 2);
  Bytes short_point(good.begin(), good.end() - 1);
  Bytes long_point = good;
  long_point.push_back(0);
  Bytes over_p(65, 0xff);
  over_p[0] = 0x04;
  for (const Bytes& bad : {off_curve, hybrid, long_point, over_p, Bytes{}, Bytes{0x00},
                           Bytes(33, 0x00), Bytes(32, 0x11), wrapped(off_curve)}) {
    EXPECT_FALSE(decode_ec_point(KeyType::kP256, bad).ok()) << "length " << bad.size();
  }
  // 64 bytes are X and Y without the leading 04: a truncated point is one, of another place.
  EXPECT_FALSE(decode_ec_point(KeyType::kP256, short_point).ok());
}

TEST(EcPoint, Ed25519IsThirtyTwoBytesBareOrWrapped) {
  const Bytes raw(32, 0x5a);
  EXPECT_EQ(decode_ec_point(KeyType::kEd25519, raw)->raw, raw);
  EXPECT_EQ(decode_ec_point(KeyType::kEd25519, wrapped(raw))->raw, raw);
  EXPECT_FALSE(decode_ec_point(KeyType::kEd25519, Bytes(33, 0x04)).ok());
  EXPECT_FALSE(decode_ec_point(KeyType::kEd25519, Bytes(34, 0x04)).ok());
  EXPECT_FALSE(decode_ec_point(KeyType::kEd25519, {}).ok());
}

TEST(PublicKey, SpkiIsWhatOpenSslWrites) {
  const P256Key p256;
  EvpPkey ed25519(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  Bytes ed_raw(32);
  std::size_t size = ed_raw.size();
  ASSERT_EQ(EVP_PKEY_get_raw_public_key(ed25519.get(), ed_raw.data(), &size), 1);
  const PublicKey keys[] = {
      *decode_ec_point(KeyType::kP256, p256.point(POINT_CONVERSION_UNCOMPRESSED)),
      *decode_ec_point(KeyType::kEd25519, ed_raw)};
  EVP_PKEY* const theirs[] = {p256.key.get(), ed25519.get()};
  for (int i = 0; i < 2; ++i) {
    std::uint8_t* der = nullptr;
    const int der_size = i2d_PUBKEY(theirs[i], &der);
    ASSERT_GT(der_size, 0);
    EXPECT_EQ(*keys[i].to_spki_der(), Bytes(der, der + der_size));
    OPENSSL_free(der);
    const auto pem = keys[i].to_spki_pem();
    ASSERT_TRUE(pem.ok());
    BIO* const text = BIO_new_mem_buf(pem->data(), static_cast<int>(pem->size()));
    EvpPkey read(PEM_read_bio_PUBKEY(text, nullptr, nullptr, nullptr));
    BIO_free(text);
    ASSERT_NE(read, nullptr) << *pem;
    EXPECT_EQ(EVP_PKEY_eq(read.get(), theirs[i]), 1);
  }
  EXPECT_FALSE((PublicKey{KeyType::kP256, Bytes(33, 0xff)}).to_spki_der().ok());
  EXPECT_FALSE((PublicKey{KeyType::kP256, Bytes(32, 0x02)}).to_spki_der().ok());
  EXPECT_FALSE((PublicKey{KeyType::kEd25519, Bytes(33, 0x02)}).to_spki_pem().ok());
}

Signature signature_of(const std::string& r_hex, const std::string& s_hex) {
  const std::string hex = r_hex + s_hex;
  Signature out{};
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<std::uint8_t>(std::stoul(hex.substr(2 * i, 2), nullptr, 16));
  }
  return out;
}

TEST(P256Signature, HasOneFormAndItsRangeIsChecked) {
  const std::string zero(64, '0');
  const std::string one = std::string(63, '0') + "1";
  const std::string n = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
  const std::string n_1 = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632550";
  const std::string half = "7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8";
  const std::string half_1 = "7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a9";
  for (const auto& [r, s] : {std::pair(zero, one), std::pair(one, zero), std::pair(n, one),
                             std::pair(one, n), std::pair(std::string(64, 'f'), one)}) {
    Signature bad = signature_of(r, s);
    EXPECT_FALSE(normalize_p256(bad)) << r << s;
    EXPECT_EQ(bad, signature_of(r, s));
  }
  Signature low = signature_of(n_1, half);
  EXPECT_TRUE(normalize_p256(low));
  EXPECT_EQ(low, signature_of(n_1, half));
  Signature high = signature_of(n_1, half_1);
  EXPECT_TRUE(normalize_p256(high));
  EXPECT_EQ(high, signature_of(n_1, half));
  Signature highest = signature_of(one, n_1);
  EXPECT_TRUE(normalize_p256(highest));
  EXPECT_EQ(highest, signature_of(one, one));
}

TEST(CkError, NamesTheValueAndSaysWhatToDo) {
  const Error removed = ck_error(CKR_DEVICE_REMOVED, "C_Sign", "signing");
  EXPECT_EQ(removed.native, CKR_DEVICE_REMOVED);
  EXPECT_EQ(removed.code, ErrorCode::kUnavailable);
  EXPECT_NE(removed.message.find("CKR_DEVICE_REMOVED (0x32)"), std::string::npos)
      << removed.message;
  const Error vendor = ck_error(0x80000123UL, "C_Sign", "signing");
  EXPECT_NE(vendor.message.find("vendor-defined CKR 0x80000123"), std::string::npos);
  EXPECT_EQ(repair_of(0x80000123UL), Repair::kReopen);
}

TEST(CkError, OnlyAnErrorFromBeforeTheWorkMeansNotSigned) {
  EXPECT_TRUE(sign_not_done(CKR_SESSION_HANDLE_INVALID));
  EXPECT_TRUE(sign_not_done(CKR_TOKEN_NOT_PRESENT));
  EXPECT_TRUE(sign_not_done(CKR_USER_NOT_LOGGED_IN));
  for (const CK_RV rv : {CKR_DEVICE_REMOVED, CKR_DEVICE_ERROR, CKR_FUNCTION_FAILED,
                         CKR_GENERAL_ERROR, CKR_SESSION_CLOSED, 0x80000001UL, 0x12345UL}) {
    EXPECT_FALSE(sign_not_done(rv)) << rv;
  }
}

}  // namespace
}  // namespace colophon::hsm
