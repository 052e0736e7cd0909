// SPDX-License-Identifier: Apache-2.0
//
// What the tests with a token share: a SoftHSM token of the test's own, the proxy module in front
// of it, a second way into the token that is not ours, and the search of every message for a PIN.
#pragma once

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <p11-kit/pkcs11.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "colophon/hsm/pin.h"
#include "colophon/hsm/signer.h"
#include "colophon/hsm/token.h"
#include "colophon/hsm/uri.h"
#include "tests/hsm/proxy_module.h"
#include "tests/hsm/softhsm_token.h"

namespace colophon::hsm {

using Bytes = std::vector<std::uint8_t>;

inline ByteSpan bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// The proxy's switches. The file is loaded once more, which gives the library the tests' module.
inline const proxy_control& proxy() {
  static const auto* const control = [] {
    void* const library = dlopen(COLOPHON_TEST_PROXY_MODULE, RTLD_NOW | RTLD_LOCAL);
    return library == nullptr ? nullptr
                              : static_cast<const proxy_control*>(dlsym(library, "proxy_control"));
  }();
  if (control == nullptr) std::abort();
  return *control;
}

// As somebody outside verifies a signature of 64 bytes: a PEM and OpenSSL, nothing of ours.
inline bool openssl_verifies(const std::string& pem, ByteSpan message, ByteSpan signature) {
  BIO* const text = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      PEM_read_bio_PUBKEY(text, nullptr, nullptr, nullptr), EVP_PKEY_free);
  BIO_free(text);
  if (!key || signature.size() != 64) return false;
  const bool ecdsa = EVP_PKEY_get_id(key.get()) == EVP_PKEY_EC;
  Bytes encoded(signature.begin(), signature.end());
  if (ecdsa) {
    ECDSA_SIG* const parts = ECDSA_SIG_new();
    ECDSA_SIG_set0(parts, BN_bin2bn(signature.data(), 32, nullptr),
                   BN_bin2bn(signature.data() + 32, 32, nullptr));
    std::uint8_t* der = nullptr;
    const int size = i2d_ECDSA_SIG(parts, &der);
    encoded.assign(der, der + size);
    OPENSSL_free(der);
    ECDSA_SIG_free(parts);
  }
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        EVP_MD_CTX_free);
  return EVP_DigestVerifyInit(context.get(), nullptr, ecdsa ? EVP_sha256() : nullptr, nullptr,
                              key.get()) == 1 &&
         EVP_DigestVerify(context.get(), encoded.data(), encoded.size(), message.data(),
                          message.size()) == 1;
}

// PKCS#11 called directly, to look at what the library did and to make what it would not make.
// Works beside the library too: "already initialised" and "already logged in" are fine.
class RawToken {
 public:
  // Empty `pin`: no login.
  RawToken(const std::string& label, const std::string& pin) {
    void* const library =
        dlopen(test::SoftHsmToken::installed_module().c_str(), RTLD_NOW | RTLD_LOCAL);
    const auto get_list =
        reinterpret_cast<CK_C_GetFunctionList>(dlsym(library, "C_GetFunctionList"));
    check(get_list(&functions_));
    CK_C_INITIALIZE_ARGS arguments{};
    arguments.flags = CKF_OS_LOCKING_OK;
    const CK_RV rv = functions_->C_Initialize(&arguments);
    initialized_here_ = rv == CKR_OK;
    if (rv != CKR_CRYPTOKI_ALREADY_INITIALIZED) check(rv);
    check(functions_->C_OpenSession(slot_of(label), CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr,
                                    nullptr, &session_));
    if (!pin.empty()) login(pin);
  }
  RawToken(const RawToken&) = delete;
  RawToken& operator=(const RawToken&) = delete;
  ~RawToken() {
    functions_->C_CloseSession(session_);
    if (initialized_here_) functions_->C_Finalize(nullptr);
  }

  CK_FUNCTION_LIST& functions() { return *functions_; }
  CK_SESSION_HANDLE session() const { return session_; }

  // The objects of `object_class` with `label`; empty: with any.
  std::vector<CK_OBJECT_HANDLE> find(CK_OBJECT_CLASS object_class, const std::string& label = {}) {
    std::vector<CK_ATTRIBUTE> wanted = {{CKA_CLASS, &object_class, sizeof object_class}};
    if (!label.empty()) {
      wanted.push_back({CKA_LABEL, const_cast<char*>(label.data()), label.size()});
    }
    std::vector<CK_OBJECT_HANDLE> found(256);
    CK_ULONG count = 0;
    check(functions_->C_FindObjectsInit(session_, wanted.data(), wanted.size()));
    check(functions_->C_FindObjects(session_, found.data(), found.size(), &count));
    check(functions_->C_FindObjectsFinal(session_));
    found.resize(count);
    return found;
  }
  // How many halves of keys are in the token.
  std::size_t halves() { return find(CKO_PRIVATE_KEY).size() + find(CKO_PUBLIC_KEY).size(); }

  CK_RV read(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, Bytes& value) {
    value.assign(512, 0);
    CK_ATTRIBUTE attribute{type, value.data(), value.size()};
    const CK_RV rv = functions_->C_GetAttributeValue(session_, object, &attribute, 1);
    value.resize(rv == CKR_OK ? attribute.ulValueLen : 0);
    return rv;
  }
  bool flag(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type) {
    Bytes value;
    check(read(object, type, value));
    return value.at(0) == CK_TRUE;
  }
  void destroy(CK_OBJECT_CLASS object_class, const std::string& label) {
    for (const CK_OBJECT_HANDLE object : find(object_class, label)) {
      check(functions_->C_DestroyObject(session_, object));
    }
  }

  struct KeyOptions {
    Bytes id = {0x01};
    bool sensitive = true, extractable = false, may_sign = true, always_authenticate = false;
    bool public_is_private = false;  // CKA_PRIVATE of the public half
    Bytes curve = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};  // P-256
  };
  static KeyOptions p384() {
    KeyOptions options;
    options.curve = {0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22};
    return options;
  }

  void generate(const std::string& label, KeyOptions options) {
    CK_BBOOL yes = CK_TRUE;
    CK_BBOOL sensitive = options.sensitive, extractable = options.extractable;
    CK_BBOOL may_sign = options.may_sign, always = options.always_authenticate;
    CK_BBOOL hidden = options.public_is_private;
    auto* const name = const_cast<char*>(label.data());
    CK_ATTRIBUTE public_half[] = {
        {CKA_TOKEN, &yes, 1},
        {CKA_PRIVATE, &hidden, 1},
        {CKA_EC_PARAMS, options.curve.data(), options.curve.size()},
        {CKA_ID, options.id.data(), options.id.size()},
        {CKA_LABEL, name, label.size()},
    };
    CK_ATTRIBUTE private_half[] = {
        {CKA_TOKEN, &yes, 1},
        {CKA_PRIVATE, &yes, 1},
        {CKA_SENSITIVE, &sensitive, 1},
        {CKA_EXTRACTABLE, &extractable, 1},
        {CKA_SIGN, &may_sign, 1},
        {CKA_ALWAYS_AUTHENTICATE, &always, 1},
        {CKA_ID, options.id.data(), options.id.size()},
        {CKA_LABEL, name, label.size()},
    };
    CK_MECHANISM mechanism{CKM_EC_KEY_PAIR_GEN, nullptr, 0};
    CK_OBJECT_HANDLE public_key = 0, private_key = 0;
    check(functions_->C_GenerateKeyPair(session_, &mechanism, public_half, std::size(public_half),
                                        private_half, std::size(private_half), &public_key,
                                        &private_key));
  }

  // A P-256 public half alone, with any bytes as its point.
  void create_public(const std::string& label, Bytes id, Bytes point) {
    CK_OBJECT_CLASS object_class = CKO_PUBLIC_KEY;
    CK_KEY_TYPE key_type = CKK_EC;
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    Bytes curve = KeyOptions().curve;
    CK_ATTRIBUTE object[] = {
        {CKA_CLASS, &object_class, sizeof object_class},
        {CKA_KEY_TYPE, &key_type, sizeof key_type},
        {CKA_TOKEN, &yes, 1},
        {CKA_PRIVATE, &no, 1},
        {CKA_EC_PARAMS, curve.data(), curve.size()},
        {CKA_EC_POINT, point.data(), point.size()},
        {CKA_ID, id.data(), id.size()},
        {CKA_LABEL, const_cast<char*>(label.data()), label.size()},
    };
    CK_OBJECT_HANDLE created = 0;
    check(functions_->C_CreateObject(session_, object, std::size(object), &created));
  }

  CK_RV try_login(const std::string& pin) {
    std::string copy = pin;
    return functions_->C_Login(session_, CKU_USER, reinterpret_cast<CK_UTF8CHAR*>(copy.data()),
                               copy.size());
  }
  void login(const std::string& pin) {
    const CK_RV rv = try_login(pin);
    if (rv != CKR_USER_ALREADY_LOGGED_IN) check(rv);
  }
  void change_pin(std::string from, std::string to) {
    check(functions_->C_SetPIN(session_, reinterpret_cast<CK_UTF8CHAR*>(from.data()), from.size(),
                               reinterpret_cast<CK_UTF8CHAR*>(to.data()), to.size()));
  }

 private:
  // A test whose ground is missing has nothing to say.
  static void check(CK_RV rv) {
    if (rv == CKR_OK) return;
    std::fprintf(stderr, "RawToken: CKR 0x%lx\n", rv);
    std::abort();
  }
  CK_SLOT_ID slot_of(const std::string& label) {
    std::vector<CK_SLOT_ID> slots(64);
    CK_ULONG count = slots.size();
    check(functions_->C_GetSlotList(CK_TRUE, slots.data(), &count));
    for (CK_ULONG i = 0; i < count; ++i) {
      CK_TOKEN_INFO info{};
      check(functions_->C_GetTokenInfo(slots[i], &info));
      std::string padded = label;
      padded.resize(sizeof info.label, ' ');
      if (std::memcmp(info.label, padded.data(), padded.size()) == 0) return slots[i];
    }
    std::fprintf(stderr, "RawToken: no token %s\n", label.c_str());
    std::abort();
  }

  CK_FUNCTION_LIST* functions_ = nullptr;
  CK_SESSION_HANDLE session_ = CK_INVALID_HANDLE;
  bool initialized_here_ = false;
};

inline constexpr const char* kWrongPin = "66260755";
inline constexpr const char* kProxy = COLOPHON_TEST_PROXY_MODULE;

class TokenTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::SoftHsmToken::available()) {
      GTEST_SKIP() << "SoftHSM is not installed (Debian: softhsm2)";
    }
    token_.emplace();
    proxy().reset();
  }
  void TearDown() override {
    if (token_) proxy().reset();
  }

  const test::SoftHsmToken& token() const { return *token_; }
  PinSource pin() const { return PinSource::file(token_->pin_file()); }
  PinSource wrong_pin() const {
    const std::string path = (token_->directory() / "wrong-pin").string();
    test::SoftHsmToken::write_private_file(path, kWrongPin);
    return PinSource::file(path);
  }
  RawToken raw() const { return {token_->label(), token_->pin()}; }

  // The token behind the proxy.
  Uri token_uri() const { return *parse_uri(token_->token_uri(kProxy)); }
  std::string key_uri(const std::string& label) const { return token_->key_uri(label, kProxy); }

  KeyInfo generate(const std::string& label, KeyType type = KeyType::kP256) const {
    auto key = generate_key(token_uri(), pin(), {type, label, {}});
    EXPECT_TRUE(key.ok()) << key.error().message;
    return key.ok() ? *key : KeyInfo{};
  }

  // The error of something that must fail: it says something, and it shows no PIN.
  template <class T>
  Error refused(const Result<T>& result) const {
    if (result.ok()) {
      ADD_FAILURE() << "was not refused";
      return make_error(ErrorCode::kInternal, "was not refused");
    }
    const Error& error = result.error();
    EXPECT_FALSE(error.message.empty());
    for (const std::string& secret : {token_->pin(), std::string(kWrongPin)}) {
      EXPECT_EQ(error.message.find(secret), std::string::npos) << error.message;
      EXPECT_EQ(error.field.find(secret), std::string::npos) << error.field;
    }
    return error;
  }

 private:
  std::optional<test::SoftHsmToken> token_;
};

// Names what is looked for and what was said.
inline testing::AssertionResult says(const Error& error, const std::string& words) {
  if (error.message.find(words) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "no \"" << words << "\" in: " << error.message;
}

}  // namespace colophon::hsm
