// SPDX-License-Identifier: Apache-2.0
//
// Signing with a key in a token: what is signed, which keys are refused, and what happens when
// sessions, the token or its answers are lost.
#include "colophon/hsm/signer.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <thread>

#include "colophon/verifier.hpp"
#include "hsm/open.h"
#include "tests/effort.h"
#include "tests/hsm/token_fixture.h"

namespace colophon::hsm {
namespace {

constexpr KeyType kTypes[] = {KeyType::kP256, KeyType::kEd25519};

Bytes message_of(std::size_t size) {
  Bytes message(size);
  for (std::size_t i = 0; i < size; ++i) message[i] = static_cast<std::uint8_t>(i * 131 + size);
  return message;
}

bool verifies(const PublicKey& key, ByteSpan message, const Signature& signature) {
  return openssl_verifies(*key.to_spki_pem(), message, signature);
}

// As the node verifies: one batch, P-256 under low_s, Ed25519 under strict.
std::vector<Verdict> batch_verdicts(const PublicKey& key, const std::vector<Bytes>& messages,
                                    const std::vector<Signature>& signatures) {
  Bytes inputs, keys, signed_bytes;
  std::vector<std::uint64_t> input_ends{0}, key_ends{0}, signature_ends{0};
  for (std::size_t i = 0; i < messages.size(); ++i) {
    inputs.insert(inputs.end(), messages[i].begin(), messages[i].end());
    keys.insert(keys.end(), key.raw.begin(), key.raw.end());
    signed_bytes.insert(signed_bytes.end(), signatures[i].begin(), signatures[i].end());
    input_ends.push_back(inputs.size());
    key_ends.push_back(keys.size());
    signature_ends.push_back(signed_bytes.size());
  }
  const bool p256 = key.type == KeyType::kP256;
  VerifyBatch batch;
  batch.scheme = p256 ? Scheme::kEcdsaP256Sha256 : Scheme::kEd25519;
  batch.profile = p256 ? Profile::kLowS : Profile::kStrict;
  batch.inputs = {inputs, input_ends};
  batch.public_keys = {keys, key_ends};
  batch.signatures = {signed_bytes, signature_ends};
  std::vector<Verdict> verdicts(messages.size());
  const auto backend = Backend::choose("openssl");
  EXPECT_TRUE(backend.ok());
  const auto done = verify_batch(*backend, batch, verdicts);
  EXPECT_TRUE(done.ok()) << done.error().message;
  return verdicts;
}

class TokenSigning : public TokenTest {
 protected:
  std::unique_ptr<Signer> open(const std::string& label, const SignerOptions& options = {}) {
    auto signer = open_signer(key_uri(label), pin(), options);
    if (!signer.ok()) {
      ADD_FAILURE() << signer.error().message;
      std::abort();  // what follows would dereference it
    }
    return *std::move(signer);
  }
  // A new key and its signer, with the counts at zero.
  std::unique_ptr<Signer> fresh(KeyType type, const SignerOptions& options = {}) {
    generate("k", type);
    auto signer = open("k", options);
    proxy().reset();
    return signer;
  }
  // A key in another token behind the same module. SoftHSM sees new tokens when it starts: make it
  // before anything is open.
  std::unique_ptr<Signer> open_in_second_token() {
    token().add_token("second");
    Uri uri = token_uri();
    uri.token = "second";
    const auto made = generate_key(uri, pin(), {KeyType::kP256, "k", {}});
    EXPECT_TRUE(made.ok()) << made.error().message;
    auto signer = open_signer(made.ok() ? made->uri : "", pin());
    EXPECT_TRUE(signer.ok());
    return signer.ok() ? *std::move(signer) : nullptr;
  }
  static void expect_signs(Signer& signer) {
    const Bytes message = message_of(100);
    const auto signature = signer.sign(message);
    ASSERT_TRUE(signature.ok()) << signature.error().message;
    EXPECT_TRUE(verifies(signer.public_key(), message, *signature));
  }
};

// --- signatures ----------------------------------------------------------------------------------

TEST_F(TokenSigning, IsVerifiedByOpenSslAndByTheBatchVerifierForEveryLength) {
  for (const KeyType type : kTypes) {
    const std::string label(key_type_name(type));
    generate(label, type);
    const auto signer = open(label);
    EXPECT_EQ(signer->key_type(), type);
    std::vector<Bytes> messages;
    std::vector<Signature> signatures;
    for (const std::size_t size : {0, 1, 31, 32, 33, 55, 56, 63, 64, 65, 127, 128, 1000, 100000}) {
      messages.push_back(message_of(size));
      const auto signature = signer->sign(messages.back());
      ASSERT_TRUE(signature.ok()) << size << ": " << signature.error().message;
      EXPECT_TRUE(verifies(signer->public_key(), messages.back(), *signature)) << size;
      signatures.push_back(*signature);
    }
    for (const Verdict verdict : batch_verdicts(signer->public_key(), messages, signatures)) {
      EXPECT_EQ(verdict, Verdict::kValid);
    }
    for (Bytes& message : messages) message.push_back(0);  // the twin: another message
    EXPECT_FALSE(verifies(signer->public_key(), messages[3], signatures[3]));
    for (const Verdict verdict : batch_verdicts(signer->public_key(), messages, signatures)) {
      EXPECT_NE(verdict, Verdict::kValid);
    }
  }
}

// Half of what the token answers has s over n/2; 64 in a row below by luck is 1 in 2^64.
TEST_F(TokenSigning, P256AlwaysHasTheLowS) {
  const auto signer = fresh(KeyType::kP256);
  std::vector<Bytes> messages;
  std::vector<Signature> signatures;
  for (std::size_t i = 0; i < 64; ++i) {
    messages.push_back(message_of(i));
    const auto signature = signer->sign(messages.back());
    ASSERT_TRUE(signature.ok());
    signatures.push_back(*signature);
  }
  for (const Verdict verdict : batch_verdicts(signer->public_key(), messages, signatures)) {
    EXPECT_EQ(verdict, Verdict::kValid);
  }
}

TEST_F(TokenSigning, ABadAnswerIsWithheld) {
  for (const KeyType type : kTypes) {
    const std::string label(key_type_name(type));
    generate(label, type);
    const auto signer = open(label);
    proxy().spoil_signatures(1);
    const Error error = refused(signer->sign(message_of(10)));
    EXPECT_EQ(error.code, ErrorCode::kCorrupt);
    EXPECT_TRUE(says(error, "does not verify under the key's public half"));
    expect_signs(*signer);
  }
}

// --- which keys may sign -------------------------------------------------------------------------

TEST_F(TokenSigning, AKeyThatIsNotThereIsRefused) {
  generate("a");
  const Error error = refused(open_signer(key_uri("b"), pin()));
  EXPECT_EQ(error.code, ErrorCode::kNotFound);
  EXPECT_TRUE(says(error, "token '" + token().label() + "' has no key 'b'"));
  EXPECT_TRUE(says(error, "colophon hsm keygen"));
}

TEST_F(TokenSigning, AUriThatSeveralKeysMatchIsRefused) {
  {
    RawToken inside = raw();
    inside.generate("a", {.id = {0x01}});
    inside.generate("a", {.id = {0x02}});
  }
  const Error error = refused(open_signer(key_uri("a"), pin()));
  EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(says(error, "2 keys in token"));
  Uri uri = *parse_uri(key_uri("a"));
  uri.id = Bytes{0x02};
  EXPECT_TRUE(open_signer(format_uri(uri), pin()).ok());
}

TEST_F(TokenSigning, AStrayPublicHalfOfTheSameNameIsNoSecondKey) {
  generate("a");
  raw().create_public("a", {0x77}, Bytes(67, 0x04));
  expect_signs(*open("a"));
  auto uri = *parse_uri(key_uri("a"));
  uri.type.reset();
  EXPECT_TRUE(open_signer(format_uri(uri), pin()).ok());
}

TEST_F(TokenSigning, AUriThatNamesNoPrivateKeyIsRefused) {
  generate("a");
  const auto refused_uri = [this](const std::string& uri) {
    const Error error = refused(open_signer(uri, pin()));
    EXPECT_EQ(error.code, ErrorCode::kInvalidArgument) << error.message;
  };
  const std::string module = std::string("?module-path=") + kProxy;
  refused_uri("pkcs11:token=" + token().label() + module);
  refused_uri("pkcs11:token=" + token().label() + ";object=a;type=public" + module);
  refused_uri("pkcs11:token=" + token().label() + ";object=a;type=secret-key" + module);
  refused_uri("pkcs11:token=" + token().label() + ";object=a" + module + "&pin-value=" + kWrongPin);
  EXPECT_EQ(refused(open_signer("pkcs12:a", pin())).code, ErrorCode::kMalformed);
  EXPECT_EQ(proxy().count(PROXY_LOGIN), 1U);  // generate's
  EXPECT_TRUE(open_signer("pkcs11:token=" + token().label() + ";object=a" + module, pin()).ok());
}

TEST_F(TokenSigning, AKeyThatCanBeCopiedOrCannotServeIsRefused) {
  {
    RawToken inside = raw();
    inside.generate("good", {.id = {0x01}});
    inside.generate("extractable", {.id = {0x02}, .extractable = true});
    inside.generate("readable", {.id = {0x03}, .sensitive = false});
    inside.generate("not for signing", {.id = {0x04}, .may_sign = false});
    inside.generate("asks each time", {.id = {0x05}, .always_authenticate = true});
    inside.generate("other kind", RawToken::p384());
  }
  const auto error_of = [this](const std::string& label) {
    Uri uri = *parse_uri(token().token_uri(kProxy));
    uri.object = label;
    return refused(open_signer(format_uri(uri), pin()));
  };
  const Error extractable = error_of("extractable");
  EXPECT_EQ(extractable.code, ErrorCode::kPermissionDenied);
  EXPECT_TRUE(says(extractable, "it can be copied out of the token"));
  EXPECT_TRUE(says(error_of("readable"), "reads back as not sensitive"));
  EXPECT_TRUE(says(error_of("not for signing"), "may not sign"));
  EXPECT_TRUE(says(error_of("asks each time"), "CKA_ALWAYS_AUTHENTICATE"));
  EXPECT_EQ(error_of("other kind").code, ErrorCode::kUnsupported);
  EXPECT_EQ(proxy().count(PROXY_SIGN), 0U);
  expect_signs(*open("good"));
}

TEST_F(TokenSigning, AnAttributeThatTheTokenDoesNotShowCountsAsUnsafe) {
  generate("a");
  for (const CK_ATTRIBUTE_TYPE needed :
       {CKA_SENSITIVE, CKA_EXTRACTABLE, CKA_SIGN, CKA_KEY_TYPE, CKA_EC_PARAMS, CKA_EC_POINT}) {
    proxy().override_attribute(needed, -1);
    refused(open_signer(key_uri("a"), pin()));
  }
  for (const CK_ATTRIBUTE_TYPE spare : {CKA_LOCAL, CKA_ALWAYS_AUTHENTICATE, CKA_LABEL, CKA_ID}) {
    proxy().override_attribute(spare, -1);
    EXPECT_TRUE(open_signer(key_uri("a"), pin()).ok()) << spare;
  }
}

// A public half that is another key's: the proof at opening finds it.
TEST_F(TokenSigning, APublicHalfThatIsNotTheKeysIsRefused) {
  {
    RawToken inside = raw();
    inside.generate("a", {.id = {0x01}});
    inside.generate("b", {.id = {0x02}});
    Bytes point;
    ASSERT_EQ(inside.read(inside.find(CKO_PUBLIC_KEY, "b").at(0), CKA_EC_POINT, point), CKR_OK);
    inside.destroy(CKO_PUBLIC_KEY, "a");
    inside.create_public("a", {0x01}, point);
  }
  EXPECT_EQ(refused(open_signer(key_uri("a"), pin())).code, ErrorCode::kCorrupt);
  EXPECT_TRUE(open_signer(key_uri("b"), pin()).ok());
}

TEST_F(TokenSigning, TheNumberOfSessionsHasBounds) {
  generate("a");
  for (const std::size_t count : {0U, 65U}) {
    const Error error = refused(open_signer(key_uri("a"), pin(), {.sessions_max = count}));
    EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(error.field, "sessions_max");
  }
  EXPECT_TRUE(open_signer(key_uri("a"), pin(), {.sessions_max = 64}).ok());
}

// --- losses --------------------------------------------------------------------------------------

class Loss : public TokenSigning {};

TEST_F(Loss, OfEverySessionAndTheLoginIsRepaired) {
  const auto signer = fresh(KeyType::kP256);
  for (int round = 0; round < 3; ++round) {
    proxy().lose_sessions();
    expect_signs(*signer);
  }
  EXPECT_EQ(proxy().count(PROXY_LOGIN), 3U);
  for (const proxy_call call : {PROXY_SIGN_INIT, PROXY_SIGN}) {
    proxy().lose_sessions_at(call, 0);
    expect_signs(*signer);
  }
  EXPECT_EQ(proxy().count(PROXY_LOGIN), 5U);
  EXPECT_EQ(proxy().count(PROXY_INITIALIZE), 0U);
}

// C_SignInit failed, or C_Sign in a way that proves nothing was signed: done again, once.
TEST_F(Loss, BeforeTheSignatureIsRepairedOnce) {
  const auto signer = fresh(KeyType::kP256);
  for (const proxy_call call : {PROXY_SIGN_INIT, PROXY_SIGN}) {
    for (const CK_RV rv : {CKR_SESSION_HANDLE_INVALID, CKR_OPERATION_ACTIVE, CKR_KEY_HANDLE_INVALID,
                           CKR_USER_NOT_LOGGED_IN, CKR_TOKEN_NOT_PRESENT}) {
      SCOPED_TRACE(testing::Message() << "call " << call << " CKR " << rv);
      proxy().reset();
      proxy().fail(call, rv, 0, 1);
      expect_signs(*signer);
      EXPECT_EQ(proxy().count(PROXY_SIGN_INIT), 2U);
      proxy().reset();
      proxy().fail(call, rv, 0, 2);
      const Error error = refused(signer->sign(message_of(1)));
      EXPECT_EQ(error.code, rv == CKR_USER_NOT_LOGGED_IN ? error.code : ErrorCode::kUnavailable);
      EXPECT_EQ(error.native, rv);
      EXPECT_EQ(proxy().count(PROXY_SIGN_INIT), 2U);
    }
  }
  proxy().reset();
  expect_signs(*signer);
}

TEST_F(Loss, WhatNoRepairHelpsIsNotRepeated) {
  const auto signer = fresh(KeyType::kP256);
  proxy().fail(PROXY_SIGN_INIT, CKR_KEY_FUNCTION_NOT_PERMITTED, 0, 1);
  const Error forbidden = refused(signer->sign(message_of(1)));
  EXPECT_EQ(forbidden.code, ErrorCode::kPermissionDenied);
  EXPECT_EQ(proxy().count(PROXY_SIGN_INIT), 1U);
  proxy().fail(PROXY_SIGN, CKR_DATA_LEN_RANGE, 0, 1);
  EXPECT_EQ(refused(signer->sign(message_of(1))).code, ErrorCode::kLimitExceeded);
  EXPECT_EQ(proxy().count(PROXY_SIGN), 1U);
  expect_signs(*signer);
}

TEST_F(Loss, OfTheReplyIsAnUnknownOutcome) {
  for (const KeyType type : kTypes) {
    const std::string label(key_type_name(type));
    generate(label, type);
    const auto signer = open(label);
    for (const CK_RV rv :
         {CK_RV{CKR_DEVICE_ERROR}, CK_RV{CKR_DEVICE_REMOVED}, CK_RV{CKR_FUNCTION_FAILED},
          CK_RV{CKR_GENERAL_ERROR}, CK_RV{CKR_SESSION_CLOSED}, CK_RV{CKR_VENDOR_DEFINED | 0x12}}) {
      proxy().reset();
      proxy().lose_reply(PROXY_SIGN, rv, 0, 1);
      const Error error = refused(signer->sign(message_of(20)));
      EXPECT_EQ(error.code, ErrorCode::kOutcomeUnknown);
      EXPECT_EQ(error.native, rv);
      EXPECT_TRUE(says(error, "whether the token signed is not known"));
      EXPECT_EQ(proxy().count(PROXY_SIGN), 1U);
      expect_signs(*signer);
    }
  }
}

TEST_F(Loss, OfTheReplyIsRepeatedWhereTheCallerAllowsIt) {
  const auto signer = fresh(KeyType::kEd25519, {.sign_again_when_unknown = true});
  proxy().lose_reply(PROXY_SIGN, CKR_DEVICE_ERROR, 0, 1);
  expect_signs(*signer);
  EXPECT_EQ(proxy().count(PROXY_SIGN), 2U);
  proxy().reset();
  proxy().lose_reply(PROXY_SIGN, CKR_DEVICE_ERROR, 0, 2);
  EXPECT_EQ(refused(signer->sign(message_of(1))).code, ErrorCode::kOutcomeUnknown);
  EXPECT_EQ(proxy().count(PROXY_SIGN), 2U);
  // The repetition does not even reach the token: the first outcome stays unknown.
  expect_signs(*signer);
  proxy().reset();
  proxy().lose_reply(PROXY_SIGN, CKR_DEVICE_ERROR, 0, 1);
  proxy().fail(PROXY_GET_SLOT_LIST, CKR_DEVICE_ERROR, 0, 1000);
  const Error error = refused(signer->sign(message_of(1)));
  EXPECT_EQ(error.code, ErrorCode::kOutcomeUnknown);
  EXPECT_TRUE(says(error, "an attempt before it had an unknown outcome"));
  proxy().reset();
  expect_signs(*signer);
}

TEST_F(Loss, ASessionWithAFailedCallIsClosedAndNotUsedAgain) {
  const auto signer = fresh(KeyType::kP256);
  struct Step {
    proxy_call call;
    CK_RV rv;
  };
  for (const Step step :
       {Step{PROXY_SIGN_INIT, CKR_KEY_FUNCTION_NOT_PERMITTED}, Step{PROXY_SIGN, CKR_DATA_INVALID},
        Step{PROXY_SIGN, CKR_FUNCTION_FAILED}, Step{PROXY_SIGN, CKR_BUFFER_TOO_SMALL}}) {
    proxy().reset();
    proxy().fail(step.call, step.rv, 0, 2);
    refused(signer->sign(message_of(1)));
    const unsigned failed = proxy().count(PROXY_SIGN_INIT);
    EXPECT_EQ(proxy().count(PROXY_CLOSE_SESSION), failed) << step.rv;
    const unsigned opened = proxy().count(PROXY_OPEN_SESSION);
    proxy().fail(step.call, CKR_OK, 0, 0);
    expect_signs(*signer);
    EXPECT_EQ(proxy().count(PROXY_OPEN_SESSION), opened + 1) << step.rv;
  }
}

TEST_F(Loss, OfTheDeviceUntilItsModuleStartsAfreshIsRepaired) {
  const auto elsewhere = open_in_second_token();
  const auto signer = fresh(KeyType::kP256);
  generate("other");
  const auto other = open("other");
  proxy().reset();
  proxy().break_until_initialize(CKR_DEVICE_REMOVED);
  expect_signs(*signer);
  EXPECT_EQ(proxy().count(PROXY_FINALIZE), 1U);
  EXPECT_EQ(proxy().count(PROXY_INITIALIZE), 1U);
  EXPECT_EQ(proxy().count(PROXY_LOGIN), 1U);
  expect_signs(*other);
  proxy().reset();
  expect_signs(*elsewhere);  // its sessions ended too, and it knows
  EXPECT_EQ(proxy().count(PROXY_SIGN_INIT), 1U);
  EXPECT_EQ(proxy().count(PROXY_INITIALIZE), 0U);
}

TEST_F(Loss, OfTheDeviceForGoodIsSaidAndItsReturnIsEnough) {
  const auto signer = fresh(KeyType::kP256);
  proxy().lose_sessions();
  for (const proxy_call call : {PROXY_GET_SLOT_LIST, PROXY_OPEN_SESSION}) {
    proxy().fail(call, CKR_DEVICE_ERROR, 0, 1000);
    for (int round = 0; round < 3; ++round) {
      const Error error = refused(signer->sign(message_of(1)));
      EXPECT_EQ(error.code, ErrorCode::kUnavailable) << error.message;
      EXPECT_TRUE(says(error, "check that the HSM is powered, connected"));
    }
    proxy().reset();
    expect_signs(*signer);
    proxy().lose_sessions();
  }
  proxy().fail(PROXY_INITIALIZE, CKR_GENERAL_ERROR, 0, 1);
  proxy().break_until_initialize(CKR_DEVICE_REMOVED);
  EXPECT_EQ(refused(signer->sign(message_of(1))).code, ErrorCode::kUnavailable);
  expect_signs(*signer);
}

TEST_F(Loss, OfTheTokenIsSaidAndItsReturnIsEnough) {
  const auto signer = fresh(KeyType::kP256);
  const std::filesystem::path here = token().directory() / "tokens";
  const std::filesystem::path away = token().directory() / "away";
  std::filesystem::rename(here, away);
  std::filesystem::create_directory(here);
  proxy().break_until_initialize(CKR_DEVICE_REMOVED);
  const Error error = refused(signer->sign(message_of(1)));
  EXPECT_EQ(error.code, ErrorCode::kUnavailable);
  EXPECT_TRUE(says(error, "the token '" + token().label() + "' is not there any more"));
  std::filesystem::remove_all(here);
  std::filesystem::rename(away, here);
  expect_signs(*signer);
}

TEST_F(Loss, ASessionLentBeforeItIsClosedAndNotLentAgain) {
  const auto signer = fresh(KeyType::kP256);
  const auto place = open_token(*parse_uri(key_uri("k")));
  ASSERT_TRUE(place.ok());
  {
    const auto lent = place->token->lease();
    ASSERT_TRUE(lent.ok());
    place->token->lost(lent->epoch());
    std::thread([&] {
      const auto later = place->token->lease();
      ASSERT_TRUE(later.ok()) << later.error().message;
      EXPECT_GT(later->epoch(), lent->epoch());
    }).join();
    proxy().reset();
  }
  EXPECT_EQ(proxy().count(PROXY_CLOSE_SESSION), 1U);
  expect_signs(*signer);
  EXPECT_EQ(proxy().count(PROXY_SIGN_INIT), 1U);
}

TEST_F(Loss, WithAPinChangedMeanwhileTriesTheOldOneOnce) {
  const auto signer = fresh(KeyType::kP256);
  raw().change_pin(token().pin(), "16180339");
  expect_signs(*signer);  // the login is older than the change
  proxy().reset();
  proxy().lose_sessions();
  const Error wrong = refused(signer->sign(message_of(1)));
  EXPECT_EQ(wrong.code, ErrorCode::kPermissionDenied);
  EXPECT_EQ(wrong.native, CKR_PIN_INCORRECT);
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(refused(signer->sign(message_of(1))).code, ErrorCode::kPermissionDenied);
    EXPECT_EQ(refused(open_signer(key_uri("k"), pin())).code, ErrorCode::kPermissionDenied);
  }
  EXPECT_EQ(proxy().count(PROXY_LOGIN), 1U);
}

TEST_F(Loss, AKeyThatIsGoneAfterItIsNotFound) {
  const auto signer = fresh(KeyType::kP256);
  raw().destroy(CKO_PRIVATE_KEY, "k");
  const Error error = refused(signer->sign(message_of(1)));
  EXPECT_EQ(error.code, ErrorCode::kNotFound);
  EXPECT_TRUE(says(error, "has no key 'k'"));
}

TEST_F(Loss, AnotherKeyUnderTheNameAfterItIsRefused) {
  const auto signer = fresh(KeyType::kP256);
  {
    RawToken inside = raw();
    inside.destroy(CKO_PRIVATE_KEY, "k");
    inside.destroy(CKO_PUBLIC_KEY, "k");
    inside.generate("k", {});
  }
  proxy().reset();
  const Error error = refused(signer->sign(message_of(1)));
  EXPECT_EQ(error.code, ErrorCode::kPermissionDenied);
  EXPECT_TRUE(says(error, "came back with another key"));
  EXPECT_EQ(proxy().count(PROXY_SIGN), 0U);
  expect_signs(*open("k"));
}

TEST_F(Loss, AKeyThatTurnsExtractableIsNotUsedAgain) {
  const auto signer = fresh(KeyType::kP256);
  proxy().override_attribute(CKA_EXTRACTABLE, 1);
  expect_signs(*signer);  // attributes are read when a key is looked for
  proxy().lose_sessions();
  const Error error = refused(signer->sign(message_of(1)));
  EXPECT_EQ(error.code, ErrorCode::kPermissionDenied);
  EXPECT_TRUE(says(error, "extractable"));
}

// --- threads and processes -----------------------------------------------------------------------

class Threads : public TokenSigning {
 protected:
  // `each(thread)` on `count` threads at once.
  template <class Each>
  static void on_threads(unsigned count, const Each& each) {
    std::vector<std::thread> threads;
    threads.reserve(count);
    for (unsigned i = 0; i < count; ++i) threads.emplace_back([&each, i] { each(i); });
    for (std::thread& thread : threads) thread.join();
  }
};

TEST_F(Threads, ShareOneSignerAndNeverASession) {
  for (const KeyType type : kTypes) {
    const std::string label(key_type_name(type));
    generate(label, type);
    const auto signer = open(label, {.sessions_max = 3});
    proxy().reset();
    constexpr unsigned kThreads = 8, kEach = 12;
    std::vector<Bytes> messages(std::size_t{kThreads} * kEach);
    std::vector<Signature> signatures(messages.size());
    std::atomic<unsigned> failures{0};
    on_threads(kThreads, [&](unsigned thread) {
      for (unsigned i = 0; i < kEach; ++i) {
        const std::size_t slot = std::size_t{thread} * kEach + i;
        messages[slot] = message_of(slot);
        const auto signature = signer->sign(messages[slot]);
        if (signature.ok()) {
          signatures[slot] = *signature;
        } else {
          ++failures;
        }
      }
    });
    EXPECT_EQ(failures, 0U);
    EXPECT_FALSE(proxy().saw_shared_session());
    EXPECT_LE(proxy().sessions_seen(), 3U + 1) << "one more carries the login";
    for (const Verdict verdict : batch_verdicts(signer->public_key(), messages, signatures)) {
      EXPECT_EQ(verdict, Verdict::kValid);
    }
  }
}

TEST_F(Threads, MakeDoWithTheSessionsTheTokenHas) {
  const auto signer = fresh(KeyType::kP256, {.sessions_max = 8});
  proxy().limit_sessions(3);  // the login's and two more
  std::atomic<unsigned> failures{0};
  on_threads(6, [&](unsigned) {
    for (int i = 0; i < 6; ++i) failures += signer->sign(message_of(9)).ok() ? 0 : 1;
  });
  EXPECT_EQ(failures, 0U);
  EXPECT_LE(proxy().sessions_seen(), 3U);
}

// The wait is 30 s: the heavier form only.
TEST_F(Threads, WaitForASessionAndGiveUp) {
  if (!colophon::test::is_long()) GTEST_SKIP() << "takes 30 s: set COLOPHON_TEST_LONG=1";
  generate("a");
  const auto signer = open("a", {.sessions_max = 1});
  const auto place = open_token(*parse_uri(key_uri("a")));
  ASSERT_TRUE(place.ok());
  const auto held = place->token->lease();
  ASSERT_TRUE(held.ok());
  std::thread([&] {
    const Error error = refused(signer->sign(message_of(1)));
    EXPECT_EQ(error.code, ErrorCode::kUnavailable);
    EXPECT_TRUE(says(error, "were busy for 30 s"));
  }).join();
}

TEST_F(Threads, ATokenWithoutASessionLeftSaysSo) {
  generate("a");
  proxy().reset();
  proxy().limit_sessions(1);
  const Error error = refused(open_signer(key_uri("a"), pin()));
  EXPECT_EQ(error.code, ErrorCode::kUnavailable);
  EXPECT_EQ(error.native, CKR_SESSION_COUNT);
  proxy().limit_sessions(2);
  expect_signs(*open("a"));
}

// Sessions, logins and replies fail under all threads: each call ends in a good signature or in an
// error that is true, and afterwards all is well.
TEST_F(Threads, RecoverTogetherFromFaults) {
  const auto signer = fresh(KeyType::kP256, {.sessions_max = 4});
  constexpr unsigned kThreads = 6, kEach = 20;
  std::atomic<unsigned> good{0}, unknown{0}, unavailable{0}, other{0};
  std::atomic<bool> done{false};
  std::thread faults([&] {
    const CK_RV kinds[] = {CKR_SESSION_HANDLE_INVALID, CKR_DEVICE_ERROR, CKR_USER_NOT_LOGGED_IN,
                           CKR_OPERATION_ACTIVE};
    for (unsigned i = 0; !done; ++i) {
      proxy().fail(i % 3 == 2 ? PROXY_SIGN : PROXY_SIGN_INIT, kinds[i % 4], i % 3, 1);
      if (i % 5 == 4) proxy().fail(PROXY_GET_SLOT_LIST, CKR_DEVICE_ERROR, 0, 1);
      std::this_thread::yield();
    }
  });
  on_threads(kThreads, [&](unsigned thread) {
    for (unsigned i = 0; i < kEach; ++i) {
      const Bytes message = message_of(thread * kEach + i);
      const auto signature = signer->sign(message);
      if (signature.ok()) {
        verifies(signer->public_key(), message, *signature) ? ++good : ++other;
      } else if (signature.error().code == ErrorCode::kOutcomeUnknown) {
        ++unknown;
      } else if (signature.error().native != 0) {
        ++unavailable;
      } else {
        ++other;
      }
    }
  });
  done = true;
  faults.join();
  EXPECT_EQ(other, 0U);
  EXPECT_EQ(good + unknown + unavailable, kThreads * kEach);
  EXPECT_FALSE(proxy().saw_shared_session());
  proxy().reset();
  on_threads(kThreads, [&](unsigned) { expect_signs(*signer); });
}

// A module that has to start afresh does so once, whoever notices, while others sign.
TEST_F(Threads, StartTheModuleAfreshTogether) {
  const auto signer = fresh(KeyType::kP256, {.sessions_max = 4});
  for (unsigned round = 1; round <= 4; ++round) {
    proxy().break_until_initialize(CKR_DEVICE_REMOVED);
    std::atomic<unsigned> failures{0};
    on_threads(6, [&](unsigned) {
      for (int i = 0; i < 3; ++i) {
        const auto signature = signer->sign(message_of(5));
        // A C_Sign already under way has an unknown outcome; anything else is repaired.
        failures += signature.ok() || signature.error().code == ErrorCode::kOutcomeUnknown ? 0 : 1;
      }
    });
    EXPECT_EQ(failures, 0U);
    EXPECT_EQ(proxy().count(PROXY_INITIALIZE), round);
  }
  EXPECT_FALSE(proxy().saw_shared_session());
}

// Two that have found the module unusable at the same moment start it afresh once.
TEST_F(Threads, StartTheModuleAfreshOnceWhenTwoNoticeAtOnce) {
  const auto other = open_in_second_token();
  const auto signer = fresh(KeyType::kP256);
  proxy().break_until_initialize(CKR_DEVICE_REMOVED);
  proxy().gather(PROXY_GET_SLOT_LIST, 2);
  Signer* const both[] = {signer.get(), other.get()};
  on_threads(2, [&](unsigned i) { expect_signs(*both[i]); });
  EXPECT_EQ(proxy().count(PROXY_INITIALIZE), 1U);
}

TEST_F(Threads, ASessionForWritingTakesThePlaceOfAnIdleOne) {
  const auto signer = fresh(KeyType::kP256);
  proxy().limit_sessions(2);  // the login's and the idle one
  generate("more");
  expect_signs(*signer);
}

TEST_F(Threads, OpenSignAndGenerateInOneTokenAtOnce) {
  generate("first");
  std::atomic<unsigned> failures{0};
  on_threads(6, [&](unsigned thread) {
    const std::string label = "key " + std::to_string(thread);
    const auto made = generate_key(token_uri(), pin(), {kTypes[thread % 2], label, {}});
    failures += made.ok() ? 0 : 1;
    const auto signer = open_signer(key_uri("first"), pin(), {.sessions_max = 2});
    if (!signer.ok() || !made.ok()) {
      ++failures;
      return;
    }
    const auto own = open_signer(made->uri, pin());
    failures += own.ok() && (*own)->sign(message_of(3)).ok() ? 0 : 1;
    failures += (*signer)->sign(message_of(4)).ok() ? 0 : 1;
  });
  EXPECT_EQ(failures, 0U);
  EXPECT_FALSE(proxy().saw_shared_session());
  EXPECT_EQ(raw().halves(), 14U);
}

TEST_F(Threads, AChildAfterForkIsRefusedAndLeavesTheParentAlone) {
  auto signer = fresh(KeyType::kP256);
  const pid_t child = fork();
  if (child == 0) {
    const auto signature = signer->sign(message_of(1));
    const bool said = !signature.ok() && says(signature.error(), "open keys after forking");
    signer.reset();  // nothing of the parent's is closed or finalised
    const bool quiet = proxy().count(PROXY_SIGN_INIT) == 0 && proxy().count(PROXY_FINALIZE) == 0 &&
                       proxy().count(PROXY_CLOSE_SESSION) == 0;
    _exit(said && quiet ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  expect_signs(*signer);
}

TEST_F(Threads, AChildOpensAnewOnlyWhatWasClosedBeforeTheFork) {
  // SoftHSM 2.6.1 does not notice a fork: the child would use the parent's sessions and login.
  const auto child_opens = [this](std::unique_ptr<Signer> dropped_in_child) {
    const pid_t child = fork();
    if (child == 0) {
      dropped_in_child.reset();
      static_cast<void>(open_signer(key_uri("k"), pin()));  // a refusal is not forgotten
      const auto own = open_signer(key_uri("k"), pin());
      if (!own.ok()) _exit(says(own.error(), "does not notice the fork") ? 1 : 2);
      _exit((*own)->sign(message_of(1)).ok() ? 0 : 3);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  };
  auto signer = fresh(KeyType::kP256);
  EXPECT_EQ(child_opens(nullptr), 1);
  expect_signs(*signer);
  EXPECT_EQ(child_opens(open("k")), 1);
  expect_signs(*signer);
  EXPECT_EQ(child_opens(std::move(signer)), 1);  // the last one: dropped in the parent too
  EXPECT_EQ(child_opens(nullptr), 0);
  expect_signs(*open("k"));
}

}  // namespace
}  // namespace colophon::hsm
