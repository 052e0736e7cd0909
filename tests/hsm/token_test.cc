// SPDX-License-Identifier: Apache-2.0
//
// Modules, tokens, PINs, key generation, listing and public keys, with SoftHSM and with the proxy
// module in front of it.
#include "colophon/hsm/token.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <set>
#include <thread>

#include "tests/hsm/token_fixture.h"

namespace colophon::hsm {
namespace {

// --- modules -------------------------------------------------------------------------------------

class Modules : public TokenTest {
 protected:
  Uri module_uri(const std::string& path) const {
    Uri uri = token_uri();
    uri.module_path = path;
    return uri;
  }
};

TEST_F(Modules, AMissingOneIsNamedWithWhatToDo) {
  const Error error = refused(list_tokens(module_uri("/nowhere/libhsm.so")));
  EXPECT_EQ(error.code, ErrorCode::kNotFound);
  EXPECT_EQ(error.field, "module-path");
  EXPECT_TRUE(says(error, "/nowhere/libhsm.so"));
  EXPECT_TRUE(says(error, "install the HSM's client software, or correct module-path"));
}

TEST_F(Modules, AFileThatIsNoLibraryAndALibraryThatIsNoModuleAreRefused) {
  const Error text = refused(list_tokens(module_uri(token().conf_path())));
  EXPECT_EQ(text.code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(says(text, "cannot load the PKCS#11 module"));
  const Error library = refused(list_tokens(module_uri(COLOPHON_TEST_NOT_A_MODULE)));
  EXPECT_EQ(library.code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(says(library, "not a PKCS#11 module (no C_GetFunctionList)"));
  EXPECT_TRUE(list_tokens(module_uri(token().module_path())).ok());
}

TEST_F(Modules, TheEnvironmentNamesOneWhereTheUriDoesNot) {
  const auto uri = parse_uri("pkcs11:token=" + token().label());
  unsetenv(kModuleEnvironmentVariable);
  EXPECT_EQ(refused(list_tokens(*uri)).code, ErrorCode::kInvalidArgument);
  setenv(kModuleEnvironmentVariable, token().module_path().c_str(), 1);
  const auto tokens = list_tokens(*uri);
  unsetenv(kModuleEnvironmentVariable);
  ASSERT_TRUE(tokens.ok()) << tokens.error().message;
  EXPECT_EQ(tokens->size(), 1U);
}

TEST_F(Modules, OneIsInitialisedOnceAndFinalisedWithItsLastUser) {
  generate("a");
  proxy().reset();
  {
    const auto first = open_signer(key_uri("a"), pin());
    ASSERT_TRUE(first.ok()) << first.error().message;
    ASSERT_TRUE(list_keys(token_uri(), std::nullopt).ok());
    const auto second = open_signer(key_uri("a"), pin());
    ASSERT_TRUE(second.ok());
    EXPECT_EQ(proxy().count(PROXY_INITIALIZE), 1U);
    EXPECT_EQ(proxy().count(PROXY_LOGIN), 1U);
    EXPECT_EQ(proxy().count(PROXY_FINALIZE), 0U);
  }
  EXPECT_EQ(proxy().count(PROXY_FINALIZE), 1U);
  EXPECT_EQ(proxy().count(PROXY_OPEN_SESSION), proxy().count(PROXY_CLOSE_SESSION));
}

TEST_F(Modules, OneThatDoesNotStartIsTriedAgainNextTime) {
  proxy().fail(PROXY_INITIALIZE, CKR_GENERAL_ERROR, 0, 1);
  const Error error = refused(list_tokens(token_uri()));
  EXPECT_EQ(error.code, ErrorCode::kUnavailable);
  EXPECT_EQ(error.native, CKR_GENERAL_ERROR);
  EXPECT_TRUE(says(error, "C_Initialize says CKR_GENERAL_ERROR"));
  EXPECT_TRUE(list_tokens(token_uri()).ok());
}

TEST_F(Modules, OneThatAnotherLibraryInitialisedStaysInitialised) {
  RawToken other = raw();
  {
    const auto tokens = list_tokens(token_uri());
    ASSERT_TRUE(tokens.ok()) << tokens.error().message;
  }
  EXPECT_EQ(proxy().count(PROXY_INITIALIZE), 1U);
  EXPECT_EQ(proxy().count(PROXY_FINALIZE), 0U);
  EXPECT_EQ(other.halves(), 0U);  // aborts if its session is gone
}

// --- tokens --------------------------------------------------------------------------------------

class Tokens : public TokenTest {};

TEST_F(Tokens, AreListedWithTheirNamesAndAUriForEach) {
  token().add_token("second token");
  Uri any;
  any.module_path = kProxy;
  const auto tokens = list_tokens(any);
  ASSERT_TRUE(tokens.ok()) << tokens.error().message;
  std::set<std::string> labels;
  std::size_t blank = 0;
  for (const TokenInfo& info : *tokens) {
    if (!info.initialized) {
      ++blank;
      continue;
    }
    labels.insert(info.label);
    EXPECT_EQ(info.serial.size(), 16U);
    EXPECT_EQ(info.model, "SoftHSM v2");
    EXPECT_TRUE(info.login_required);
    EXPECT_FALSE(info.user_pin_count_low || info.user_pin_final_try || info.user_pin_locked);
    const auto uri = parse_uri(info.uri);
    ASSERT_TRUE(uri.ok()) << info.uri;
    const auto same = list_tokens(*uri);
    ASSERT_TRUE(same.ok());
    ASSERT_EQ(same->size(), 1U) << info.uri;
    EXPECT_EQ(same->front().serial, info.serial);
  }
  EXPECT_EQ(labels, (std::set<std::string>{token().label(), "second token"}));
  EXPECT_EQ(blank, 1U) << "SoftHSM shows one slot without a token that is initialised";
  EXPECT_EQ(proxy().count(PROXY_LOGIN), 0U);
}

TEST_F(Tokens, ThePathAttributesOfTheUriSelect) {
  const auto here = list_tokens(token_uri());
  ASSERT_TRUE(here.ok());
  ASSERT_EQ(here->size(), 1U);
  const TokenInfo& info = here->front();
  const auto count = [this](auto change) {
    Uri uri = token_uri();
    change(uri);
    const auto tokens = list_tokens(uri);
    return tokens.ok() ? static_cast<int>(tokens->size()) : -1;
  };
  EXPECT_EQ(count([&](Uri& uri) { uri.slot_id = info.slot_id; }), 1);
  EXPECT_EQ(count([&](Uri& uri) { uri.slot_id = info.slot_id + 1; }), 0);
  EXPECT_EQ(count([&](Uri& uri) { uri.serial = info.serial; }), 1);
  EXPECT_EQ(count([&](Uri& uri) { uri.serial = "0"; }), 0);
  EXPECT_EQ(count([&](Uri& uri) { uri.manufacturer = info.manufacturer; }), 1);
  EXPECT_EQ(count([&](Uri& uri) { uri.manufacturer = "x"; }), 0);
  EXPECT_EQ(count([&](Uri& uri) { uri.model = info.model; }), 1);
  EXPECT_EQ(count([&](Uri& uri) { uri.model = "x"; }), 0);
  EXPECT_EQ(count([&](Uri& uri) { uri.slot_description = info.slot_description; }), 1);
  EXPECT_EQ(count([&](Uri& uri) { uri.slot_description = "x"; }), 0);
  EXPECT_EQ(count([&](Uri& uri) { uri.slot_manufacturer = "x"; }), 0);
  EXPECT_EQ(count([&](Uri& uri) { uri.token = "x"; }), 0);
}

TEST_F(Tokens, AnAbsentOneIsRefusedWithWhatIsThere) {
  token().add_token("other");
  Uri uri = token_uri();
  uri.token = "missing";
  const Error error = refused(list_keys(uri, std::nullopt));
  EXPECT_EQ(error.code, ErrorCode::kNotFound);
  EXPECT_EQ(error.field, "token");
  EXPECT_TRUE(says(error, "'" + token().label() + "'"));
  EXPECT_TRUE(says(error, "'other'"));
}

TEST_F(Tokens, AUriThatSeveralMatchIsRefused) {
  token().add_token("other");
  Uri uri = token_uri();
  uri.token.reset();
  const Error error = refused(list_keys(uri, std::nullopt));
  EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(says(error, "2 tokens match"));
  uri.token = "other";
  EXPECT_TRUE(list_keys(uri, std::nullopt).ok());
}

TEST_F(Tokens, TheWarningsAboutThePinAreShown) {
  proxy().add_token_flags(CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_COUNT_LOW);
  auto tokens = list_tokens(token_uri());
  ASSERT_TRUE(tokens.ok());
  EXPECT_TRUE(tokens->front().user_pin_final_try && tokens->front().user_pin_count_low);
  EXPECT_FALSE(tokens->front().user_pin_locked);
  proxy().add_token_flags(CKF_USER_PIN_LOCKED);
  tokens = list_tokens(token_uri());
  EXPECT_TRUE(tokens->front().user_pin_locked);
  EXPECT_FALSE(tokens->front().user_pin_final_try);
}

// --- the PIN -------------------------------------------------------------------------------------

class TokenPin : public TokenTest {};

TEST_F(TokenPin, AWrongOneIsTriedOnceHoweverOftenItIsGiven) {
  generate("a");
  proxy().reset();
  const Error first = refused(open_signer(key_uri("a"), wrong_pin()));
  EXPECT_EQ(first.code, ErrorCode::kPermissionDenied);
  EXPECT_EQ(first.field, "pin");
  EXPECT_EQ(first.native, CKR_PIN_INCORRECT);
  EXPECT_TRUE(says(first, "is wrong (CKR_PIN_INCORRECT). It was tried once"));
  EXPECT_TRUE(says(first, "counts wrong PINs"));
  EXPECT_EQ(proxy().count(PROXY_LOGIN), 1U);

  setenv("COLOPHON_TEST_WRONG_PIN", kWrongPin, 1);
  const PinSource same = PinSource::environment("COLOPHON_TEST_WRONG_PIN");
  EXPECT_TRUE(says(refused(open_signer(key_uri("a"), wrong_pin())), "not tried again"));
  EXPECT_TRUE(says(refused(open_signer(key_uri("a"), same)), "not tried again"));
  EXPECT_EQ(refused(list_keys(token_uri(), same)).code, ErrorCode::kPermissionDenied);
  EXPECT_EQ(refused(generate_key(token_uri(), same, {KeyType::kP256, "b", {}})).code,
            ErrorCode::kPermissionDenied);
  unsetenv("COLOPHON_TEST_WRONG_PIN");
  EXPECT_EQ(proxy().count(PROXY_LOGIN), 1U) << "the wrong PIN cost another of the token's tries";

  EXPECT_TRUE(list_tokens(token_uri())->front().user_pin_count_low);
  const auto right = open_signer(key_uri("a"), pin());
  EXPECT_TRUE(right.ok()) << right.error().message;
  EXPECT_EQ(proxy().count(PROXY_LOGIN), 2U);
}

TEST_F(TokenPin, AWrongOneForOneTokenMayBeRightForAnother) {
  token().add_token("other");  // its PIN is the right one of the first too
  Uri other = token_uri();
  other.token = "other";
  ASSERT_EQ(refused(list_keys(other, wrong_pin())).code, ErrorCode::kPermissionDenied);
  raw().change_pin(token().pin(), kWrongPin);
  const auto keys = list_keys(token_uri(), wrong_pin());
  EXPECT_TRUE(keys.ok()) << keys.error().message;
}

TEST_F(TokenPin, ARefusalThatLockedTheTokenIsNotRepeatedEither) {
  proxy().fail(PROXY_LOGIN, CKR_PIN_LOCKED, 0, 1);
  const Error locked = refused(list_keys(token_uri(), pin()));
  EXPECT_EQ(locked.code, ErrorCode::kPermissionDenied);
  EXPECT_TRUE(says(locked, "security officer must unlock it"));
  EXPECT_TRUE(says(refused(list_keys(token_uri(), pin())), "refused before"));
  EXPECT_EQ(proxy().count(PROXY_LOGIN), 1U);
}

TEST_F(TokenPin, IsNotTriedWhereTheTokenSaysItIsLockedOrTheLengthIsWrong) {
  proxy().add_token_flags(CKF_USER_PIN_LOCKED);
  const Error locked = refused(list_keys(token_uri(), pin()));
  EXPECT_EQ(locked.code, ErrorCode::kPermissionDenied);
  EXPECT_TRUE(says(locked, "locked"));
  proxy().add_token_flags(0);
  const std::string path = (token().directory() / "short").string();
  test::SoftHsmToken::write_private_file(path, "123\n");
  const Error length = refused(list_keys(token_uri(), PinSource::file(path)));
  EXPECT_TRUE(says(length, "4 to 255 bytes"));
  EXPECT_EQ(proxy().count(PROXY_LOGIN), 0U);
  EXPECT_TRUE(list_keys(token_uri(), pin()).ok());
}

// Runs `action` in a child with a terminal of its own and types `keys` at the prompt.
int with_terminal(const std::string& keys, const std::function<int()>& action) {
  int terminal = -1;
  const pid_t child = forkpty(&terminal, nullptr, nullptr, nullptr);
  if (child == 0) _exit(action());
  std::string shown;
  char buffer[256];
  bool typed = false;
  while (true) {
    const ssize_t got = read(terminal, buffer, sizeof buffer);
    if (got <= 0) break;
    shown.append(buffer, static_cast<std::size_t>(got));
    if (typed || shown.find("PIN for token ") == std::string::npos) continue;
    typed = true;
    EXPECT_EQ(write(terminal, keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
  }
  close(terminal);
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(TokenPin, BeforeTheLastTryAStoredOneIsRefusedAndATypedOneIsTried) {
  proxy().add_token_flags(CKF_USER_PIN_FINAL_TRY);
  const Error error = refused(list_keys(token_uri(), pin()));
  EXPECT_EQ(error.code, ErrorCode::kPermissionDenied);
  EXPECT_TRUE(says(error, "a stored PIN is not tried"));
  EXPECT_EQ(proxy().count(PROXY_LOGIN), 0U);
  const int status = with_terminal(token().pin() + "\r", [this] {
    const bool listed = list_keys(token_uri(), PinSource::prompt()).ok();
    return listed && proxy().count(PROXY_LOGIN) == 1 ? 0 : 1;
  });
  EXPECT_EQ(status, 0);
}

TEST_F(TokenPin, SourcesThatGiveNoneCostNoTry) {
  const std::string open_file = (token().directory() / "open").string();
  test::SoftHsmToken::write_private_file(open_file, token().pin());
  chmod(open_file.c_str(), 0644);
  const Error readable = refused(list_keys(token_uri(), PinSource::file(open_file)));
  EXPECT_EQ(readable.code, ErrorCode::kPermissionDenied);
  EXPECT_TRUE(says(readable, "chmod 600"));

  const PinSource unset = PinSource::environment("COLOPHON_TEST_NO_SUCH_VARIABLE");
  const Error variable = refused(list_keys(token_uri(), unset));
  EXPECT_EQ(variable.code, ErrorCode::kNotFound);
  EXPECT_TRUE(says(variable, "COLOPHON_TEST_NO_SUCH_VARIABLE"));

  const pid_t child = fork();
  if (child == 0) {
    setsid();  // no terminal any more
    const auto keys = list_keys(token_uri(), PinSource::prompt());
    _exit(!keys.ok() && says(keys.error(), "--pin-file") && proxy().count(PROXY_LOGIN) == 0 ? 0
                                                                                            : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_EQ(proxy().count(PROXY_LOGIN), 0U);
  chmod(open_file.c_str(), 0600);
  EXPECT_TRUE(list_keys(token_uri(), PinSource::file(open_file)).ok());
}

TEST_F(TokenPin, ComesFromTheUrisPinSourceInPlaceOfThePrompt) {
  Uri uri = token_uri();
  uri.pin_source = "file:" + token().pin_file();
  EXPECT_TRUE(list_keys(uri, PinSource::prompt()).ok());
  uri.pin_source = "file:" + token().pin_file() + ".missing";
  EXPECT_EQ(refused(list_keys(uri, PinSource::prompt())).code, ErrorCode::kNotFound);
  EXPECT_TRUE(list_keys(uri, pin()).ok()) << "a given source goes before the URI's";
}

TEST_F(TokenPin, AnotherOneIsNotTriedWhileTheProcessIsLoggedIn) {
  generate("a");
  const auto signer = open_signer(key_uri("a"), pin());
  ASSERT_TRUE(signer.ok());
  proxy().reset();
  const Error error = refused(list_keys(token_uri(), wrong_pin()));
  EXPECT_EQ(error.code, ErrorCode::kPermissionDenied);
  EXPECT_TRUE(says(error, "already logged in"));
  EXPECT_TRUE(list_keys(token_uri(), pin()).ok());
  EXPECT_EQ(proxy().count(PROXY_LOGIN), 0U);
}

TEST_F(TokenPin, OneThatCannotBeCheckedIsNotTakenForRight) {
  const RawToken other = raw();  // another library of this process is logged in
  const Error error = refused(list_keys(token_uri(), wrong_pin()));
  EXPECT_EQ(error.native, CKR_USER_ALREADY_LOGGED_IN);
  EXPECT_TRUE(says(error, "this PIN cannot be checked"));
  EXPECT_EQ(refused(list_keys(token_uri(), pin())).native, CKR_USER_ALREADY_LOGGED_IN);
}

// --- key generation ------------------------------------------------------------------------------

class KeyGeneration : public TokenTest, public testing::WithParamInterface<KeyType> {};

INSTANTIATE_TEST_SUITE_P(Types, KeyGeneration, testing::Values(KeyType::kP256, KeyType::kEd25519),
                         [](const auto& type) { return std::string(key_type_name(type.param)); });

TEST_P(KeyGeneration, MakesAPairThatCannotLeaveTheToken) {
  const KeyInfo key = generate("the key; é", GetParam());
  EXPECT_EQ(key.label, "the key; é");
  EXPECT_EQ(key.type, key_type_name(GetParam()));
  EXPECT_TRUE(key.has_private && key.has_public && key.sensitive && key.may_sign);
  EXPECT_TRUE(key.generated_in_token && !key.extractable);
  ASSERT_TRUE(key.public_key);
  Bytes digest(32);
  SHA256(key.public_key->raw.data(), key.public_key->raw.size(), digest.data());
  digest.resize(20);
  EXPECT_EQ(key.id, digest);

  {  // what the token itself says
    RawToken inside = raw();
    const auto found = inside.find(CKO_PRIVATE_KEY, "the key; é");
    const auto found_public = inside.find(CKO_PUBLIC_KEY, "the key; é");
    ASSERT_EQ(found.size(), 1U);
    ASSERT_EQ(found_public.size(), 1U);
    EXPECT_EQ(inside.halves(), 2U);
    for (const CK_ATTRIBUTE_TYPE yes : {CKA_TOKEN, CKA_PRIVATE, CKA_SENSITIVE, CKA_ALWAYS_SENSITIVE,
                                        CKA_NEVER_EXTRACTABLE, CKA_LOCAL, CKA_SIGN}) {
      EXPECT_TRUE(inside.flag(found[0], yes)) << yes;
    }
    for (const CK_ATTRIBUTE_TYPE no : {CKA_EXTRACTABLE, CKA_DERIVE, CKA_UNWRAP, CKA_DECRYPT}) {
      EXPECT_FALSE(inside.flag(found[0], no)) << no;
    }
    Bytes value;
    EXPECT_EQ(inside.read(found[0], CKA_VALUE, value), CKR_ATTRIBUTE_SENSITIVE);
    for (const CK_OBJECT_HANDLE half : {found[0], found_public[0]}) {
      ASSERT_EQ(inside.read(half, CKA_ID, value), CKR_OK);
      EXPECT_EQ(value, key.id);
    }
  }
  const auto signer = open_signer(key.uri, pin());
  ASSERT_TRUE(signer.ok()) << key.uri << ": " << signer.error().message;
  EXPECT_EQ((*signer)->public_key(), *key.public_key);
}

TEST_P(KeyGeneration, TakesTheIdThatIsGiven) {
  const auto key = generate_key(token_uri(), pin(), {GetParam(), "a", Bytes{0x00, 0x11, 0xff}});
  ASSERT_TRUE(key.ok()) << key.error().message;
  EXPECT_EQ(key->id, (Bytes{0x00, 0x11, 0xff}));
  EXPECT_EQ(proxy().count(PROXY_SET_ATTRIBUTE_VALUE), 0U);
  EXPECT_TRUE(open_signer(key->uri, pin()).ok());
}

TEST_P(KeyGeneration, NeverReplacesOrDoublesAKey) {
  ASSERT_TRUE(generate_key(token_uri(), pin(), {KeyType::kP256, "a", Bytes{0x01}}).ok());
  proxy().reset();
  const Error label = refused(generate_key(token_uri(), pin(), {GetParam(), "a", {}}));
  EXPECT_EQ(label.code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(label.field, "label");
  const Error id = refused(generate_key(token_uri(), pin(), {GetParam(), "b", Bytes{0x01}}));
  EXPECT_EQ(id.code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(id.field, "id");
  EXPECT_EQ(proxy().count(PROXY_GENERATE_KEY_PAIR), 0U);
  EXPECT_EQ(proxy().count(PROXY_DESTROY_OBJECT), 0U);
  EXPECT_EQ(raw().halves(), 2U);
  EXPECT_TRUE(generate_key(token_uri(), pin(), {GetParam(), "b", Bytes{0x02}}).ok());
}

TEST_P(KeyGeneration, AHalfLeftByAnInterruptedOneBlocksItsLabel) {
  raw().create_public("a", {0x01}, Bytes(67, 0x04));
  const Error error = refused(generate_key(token_uri(), pin(), {GetParam(), "a", {}}));
  EXPECT_EQ(error.code, ErrorCode::kAlreadyExists);
  EXPECT_TRUE(says(error, "half of a key left by an interrupted generation"));
  EXPECT_EQ(raw().halves(), 1U);
}

TEST_P(KeyGeneration, RefusesNamesThatAreNone) {
  for (const std::string& label :
       {std::string(), std::string(256, 'a'), std::string("a\nb"), std::string("a\0b", 3),
        std::string("\xff"), std::string("\x7f")}) {
    const Error error = refused(generate_key(token_uri(), pin(), {GetParam(), label, {}}));
    EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(error.field, "label");
  }
  for (const std::size_t size : {0U, 256U}) {
    const Error error =
        refused(generate_key(token_uri(), pin(), {GetParam(), "a", Bytes(size, 0x01)}));
    EXPECT_EQ(error.field, "id");
  }
  EXPECT_EQ(proxy().count(PROXY_LOGIN), 0U);
  const std::string longest(255, 'x');
  EXPECT_TRUE(generate_key(token_uri(), pin(), {GetParam(), longest, Bytes(255, 0x01)}).ok());
}

// Every call of a generation fails once, with the work undone, with the work done and the answer
// lost, and with all sessions and the login lost: the token has two halves more or none.
TEST_P(KeyGeneration, LeavesNothingBehindWhereverItFails) {
  enum class Way { kUndone, kReplyLost, kSessionsLost };
  for (const proxy_call call : {PROXY_GENERATE_KEY_PAIR, PROXY_GET_ATTRIBUTE_VALUE, PROXY_SIGN_INIT,
                                PROXY_SIGN, PROXY_SET_ATTRIBUTE_VALUE}) {
    for (const Way way : {Way::kUndone, Way::kReplyLost, Way::kSessionsLost}) {
      unsigned failures = 0;
      while (true) {
        SCOPED_TRACE(testing::Message() << "call " << call << " way " << static_cast<int>(way)
                                        << " after " << failures);
        proxy().reset();
        if (way == Way::kUndone) proxy().fail(call, CKR_DEVICE_ERROR, failures, 1);
        if (way == Way::kReplyLost) proxy().lose_reply(call, CKR_DEVICE_ERROR, failures, 1);
        if (way == Way::kSessionsLost) proxy().lose_sessions_at(call, failures);
        const auto key = generate_key(token_uri(), pin(), {GetParam(), "a", {}});
        if (key.ok()) break;
        ++failures;
        EXPECT_TRUE(says(refused(key), "no part of the new key is left in the token"));
        ASSERT_EQ(raw().halves(), 0U);
        ASSERT_LT(failures, 100U);
      }
      EXPECT_GT(failures, 0U);
      EXPECT_EQ(raw().halves(), 2U);
      raw().destroy(CKO_PRIVATE_KEY, "a");
      raw().destroy(CKO_PUBLIC_KEY, "a");
    }
  }
}

TEST_P(KeyGeneration, SaysSoWhereItCannotCleanUp) {
  proxy().fail(PROXY_SET_ATTRIBUTE_VALUE, CKR_ATTRIBUTE_READ_ONLY, 0, 1);
  proxy().fail(PROXY_DESTROY_OBJECT, CKR_ACTION_PROHIBITED, 0, 100);
  const Error error = refused(generate_key(token_uri(), pin(), {GetParam(), "a", {}}));
  EXPECT_EQ(error.code, ErrorCode::kPermissionDenied);
  EXPECT_TRUE(says(error, "a part of the new key 'a' may be left in the token"));
  EXPECT_EQ(raw().halves(), 2U);
}

// As SoftHSM 2.6.1 has been seen to do: a half without a name, which is not ours to remove by
// guess.
TEST_P(KeyGeneration, SaysSoWhereAPartWithoutANameIsLeft) {
  generate("before");
  proxy().lose_names(1);
  const Error error = refused(generate_key(token_uri(), pin(), {GetParam(), "a", {}}));
  EXPECT_EQ(error.native, CKR_GENERAL_ERROR);
  EXPECT_TRUE(says(error, "a part of the new key 'a' may be left in the token"));
  EXPECT_EQ(raw().halves(), 4U);
  generate("a", GetParam());
}

TEST_P(KeyGeneration, RefusesAKeyThatReadsBackUnsafe) {
  struct Lie {
    CK_ATTRIBUTE_TYPE type;
    int value;
    ErrorCode code;
  };
  for (const Lie lie : {Lie{CKA_EXTRACTABLE, 1, ErrorCode::kPermissionDenied},
                        Lie{CKA_SENSITIVE, 0, ErrorCode::kPermissionDenied},
                        Lie{CKA_SIGN, 0, ErrorCode::kPermissionDenied},
                        Lie{CKA_ALWAYS_AUTHENTICATE, 1, ErrorCode::kUnsupported},
                        Lie{CKA_LOCAL, 0, ErrorCode::kCorrupt}}) {
    SCOPED_TRACE(lie.type);
    proxy().reset();
    proxy().override_attribute(lie.type, lie.value);
    EXPECT_EQ(refused(generate_key(token_uri(), pin(), {GetParam(), "a", {}})).code, lie.code);
    EXPECT_EQ(raw().halves(), 0U);
  }
  proxy().reset();
  proxy().spoil_signatures(1);
  EXPECT_EQ(refused(generate_key(token_uri(), pin(), {GetParam(), "a", {}})).code,
            ErrorCode::kCorrupt);
  EXPECT_EQ(raw().halves(), 0U);
}

TEST_P(KeyGeneration, NeedsATokenThatHasTheMechanisms) {
  for (const unsigned makes_but_does_not_sign : {0U, 1U}) {
    proxy().fail(PROXY_GET_MECHANISM_INFO, CKR_MECHANISM_INVALID, makes_but_does_not_sign, 1);
    const Error error = refused(generate_key(token_uri(), pin(), {GetParam(), "a", {}}));
    EXPECT_EQ(error.code, ErrorCode::kUnsupported);
    EXPECT_TRUE(says(error, std::string(key_type_name(GetParam()))));
  }
  EXPECT_EQ(proxy().count(PROXY_GENERATE_KEY_PAIR), 0U);
}

TEST_P(KeyGeneration, OnManyThreadsGoesOneAfterTheOther) {
  constexpr int kThreads = 6;
  std::vector<std::thread> threads;
  std::vector<std::string> errors(kThreads);
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      const auto key =
          generate_key(token_uri(), pin(), {GetParam(), "key " + std::to_string(i), {}});
      if (!key.ok()) errors[static_cast<std::size_t>(i)] = key.error().message;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& error : errors) EXPECT_EQ(error, "");
  EXPECT_FALSE(proxy().saw_shared_session());
  EXPECT_EQ(raw().halves(), 2U * kThreads);
}

// --- keys and their public halves ----------------------------------------------------------------

class Keys : public TokenTest {
 protected:
  std::vector<KeyInfo> list(const std::string& path_attributes, bool login = true) {
    auto uri = parse_uri("pkcs11:token=" + token().label() + path_attributes);
    uri->module_path = kProxy;
    std::optional<PinSource> source;
    if (login) source = pin();
    auto keys = list_keys(*uri, source);
    EXPECT_TRUE(keys.ok()) << keys.error().message;
    return keys.ok() ? *std::move(keys) : std::vector<KeyInfo>();
  }
  Result<PublicKey> public_key(const std::string& attributes) {
    auto uri = parse_uri("pkcs11:token=" + token().label() + attributes);
    uri->module_path = kProxy;
    return read_public_key(*uri, pin());
  }
};

TEST_F(Keys, AreListedAsPairsWithALoginAndAsPublicHalvesWithout) {
  const KeyInfo b = generate("b", KeyType::kEd25519);
  const KeyInfo a = generate("a");
  proxy().reset();
  const auto outside = list("", false);
  EXPECT_EQ(proxy().count(PROXY_LOGIN), 0U);
  const auto inside = list("");
  ASSERT_EQ(outside.size(), 2U);
  ASSERT_EQ(inside.size(), 2U);
  const KeyInfo made[] = {a, b};  // by label
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(outside[i].label, made[i].label);
    EXPECT_TRUE(outside[i].has_public && !outside[i].has_private);
    EXPECT_EQ(outside[i].public_key, made[i].public_key);
    EXPECT_NE(outside[i].uri.find("type=public"), std::string::npos);
    EXPECT_TRUE(inside[i].has_public && inside[i].has_private && inside[i].sensitive);
    EXPECT_FALSE(inside[i].extractable);
    EXPECT_EQ(inside[i].uri, made[i].uri);
    EXPECT_EQ(inside[i].public_key, made[i].public_key);
  }
}

TEST_F(Keys, TheUriSelectsByLabelIdAndType) {
  {
    RawToken inside = raw();
    inside.generate("same", {.id = {0x0a}});
    inside.generate("same", {.id = {0x0b}});
    inside.create_public("alone", {0x0c}, Bytes(67, 0x04));
  }
  EXPECT_EQ(list("").size(), 3U);
  EXPECT_EQ(list(";object=same").size(), 2U);
  EXPECT_EQ(list(";object=same;id=%0b").size(), 1U);
  EXPECT_EQ(list(";id=%0a").size(), 1U);
  EXPECT_EQ(list(";object=other").size(), 0U);
  EXPECT_EQ(list(";type=private").size(), 2U);
  EXPECT_EQ(list(";type=public").size(), 3U);
  for (const KeyInfo& key : list("")) {
    const auto uri = parse_uri(key.uri);
    ASSERT_TRUE(uri.ok()) << key.uri;
    const auto same = list_keys(*uri, pin());
    ASSERT_TRUE(same.ok());
    EXPECT_EQ(same->size(), 1U) << key.uri;
  }
  auto certificates = token_uri();
  certificates.type = "cert";
  EXPECT_EQ(refused(list_keys(certificates, pin())).code, ErrorCode::kUnsupported);
}

TEST_F(Keys, OfKindsColophonDoesNotUseAndWithBrokenPointsAreListedTooAndHideNothing) {
  {
    RawToken inside = raw();
    inside.generate("other kind", RawToken::p384());
    inside.create_public("broken", {0x07}, Bytes(67, 0x04));
  }
  generate("good");
  const auto keys = list("");
  ASSERT_EQ(keys.size(), 3U);
  EXPECT_EQ(keys[0].label, "broken");
  EXPECT_FALSE(keys[0].public_key);
  EXPECT_TRUE(keys[1].public_key);
  EXPECT_EQ(keys[2].type, "other");
  EXPECT_FALSE(keys[2].public_key);
  EXPECT_EQ(refused(public_key(";object=other%20kind")).code, ErrorCode::kUnsupported);
  EXPECT_EQ(refused(public_key(";object=broken")).code, ErrorCode::kNotFound);
  EXPECT_TRUE(public_key(";object=good").ok());
}

TEST_F(Keys, APublicHalfUnderAnotherLabelIsFoundByItsId) {
  generate("a");
  {
    RawToken inside = raw();
    CK_ATTRIBUTE label{CKA_LABEL, const_cast<char*>("a, public"), 9};
    const auto found = inside.find(CKO_PUBLIC_KEY, "a");
    ASSERT_EQ(found.size(), 1U);
    ASSERT_EQ(inside.functions().C_SetAttributeValue(inside.session(), found[0], &label, 1),
              CKR_OK);
  }
  const auto keys = list(";object=a");
  ASSERT_EQ(keys.size(), 1U);
  EXPECT_TRUE(keys[0].has_private && keys[0].has_public && keys[0].public_key);
  EXPECT_TRUE(open_signer(key_uri("a"), pin()).ok());
}

TEST_F(Keys, WithoutAPublicHalfAreListedAndCannotSign) {
  generate("a");
  raw().destroy(CKO_PUBLIC_KEY, "a");
  const auto keys = list("");
  ASSERT_EQ(keys.size(), 1U);
  EXPECT_TRUE(keys[0].has_private);
  EXPECT_FALSE(keys[0].has_public);
  const Error error = refused(open_signer(key_uri("a"), pin()));
  EXPECT_EQ(error.code, ErrorCode::kNotFound);
  EXPECT_TRUE(says(error, "has no public half"));
  EXPECT_EQ(refused(public_key(";object=a")).code, ErrorCode::kNotFound);
}

// What OpenSSL reads from the PEM is the point that the token itself gives.
TEST_F(Keys, ThePublicHalfIsReadWithoutLoginAndOpenSslReadsItsPem) {
  for (const KeyType type : {KeyType::kP256, KeyType::kEd25519}) {
    const std::string label(key_type_name(type));
    const KeyInfo made = generate(label, type);
    proxy().reset();
    const auto key = public_key(";object=" + label + ";type=private");
    ASSERT_TRUE(key.ok()) << key.error().message;
    EXPECT_EQ(proxy().count(PROXY_LOGIN), 0U);
    EXPECT_EQ(*key, *made.public_key);
    const std::string pem = *key->to_spki_pem();
    BIO* const text = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
    EVP_PKEY* const evp = PEM_read_bio_PUBKEY(text, nullptr, nullptr, nullptr);
    BIO_free(text);
    ASSERT_NE(evp, nullptr) << pem;
    Bytes point(65);
    std::size_t size = 0;
    EXPECT_EQ(EVP_PKEY_get_octet_string_param(evp, OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                              point.size(), &size),
              1);
    EVP_PKEY_free(evp);
    point.resize(size);
    RawToken inside = raw();
    Bytes in_token;
    ASSERT_EQ(inside.read(inside.find(CKO_PUBLIC_KEY, label).at(0), CKA_EC_POINT, in_token),
              CKR_OK);
    ASSERT_EQ(in_token.size(), size + 2);  // an OCTET STRING around it
    EXPECT_TRUE(std::equal(point.begin(), point.end(), in_token.begin() + 2));
  }
}

TEST_F(Keys, APublicHalfThatOnlyALoginShowsIsReadWithOne) {
  raw().generate("hidden", {.public_is_private = true});
  proxy().reset();
  const auto key = public_key(";object=hidden");
  ASSERT_TRUE(key.ok()) << key.error().message;
  EXPECT_EQ(key->raw.size(), 33U);
  EXPECT_EQ(proxy().count(PROXY_LOGIN), 1U);
}

TEST_F(Keys, APublicKeyThatIsNotThereOrNotNamedIsRefused) {
  generate("a");
  const Error missing = refused(public_key(";object=b"));
  EXPECT_EQ(missing.code, ErrorCode::kNotFound);
  EXPECT_TRUE(says(missing, "has no key 'b'"));
  EXPECT_EQ(refused(public_key("")).code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused(public_key(";object=a;type=cert")).code, ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace colophon::hsm
