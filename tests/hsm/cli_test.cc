// SPDX-License-Identifier: Apache-2.0
//
// colophon hsm list | keygen | public-key | sign: what they print, their exit codes, and that a PIN
// is neither taken from the command line nor shown.
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "node/cli/command.h"
#include "node/hex.h"
#include "tests/hsm/token_fixture.h"

namespace colophon::cli {
namespace {

using hsm::bytes_of;
using hsm::kProxy;
using hsm::kWrongPin;
using hsm::openssl_verifies;
using hsm::proxy;
using nlohmann::json;

struct Ran {
  int status = -1;
  std::string out, err;
};

// `colophon ARGUMENTS` in this process, with `input` on standard input.
Ran run(const std::vector<std::string>& arguments, const std::string& input = {}) {
  std::istringstream in(input);
  std::ostringstream out, err;
  std::streambuf* const before[] = {std::cin.rdbuf(in.rdbuf()), std::cout.rdbuf(out.rdbuf()),
                                    std::cerr.rdbuf(err.rdbuf())};
  std::cin.clear();
  Ran ran;
  {
    CLI::App app("", "colophon");
    int status = kExitOk;
    add_hsm_commands(app, status);
    try {
      app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    } catch (const CLI::ParseError& error) {  // as main() does
      status = app.exit(error, out, err) == 0 ? kExitOk : kExitBadInput;
    }
    ran.status = status;
  }
  std::cin.rdbuf(before[0]);
  std::cout.rdbuf(before[1]);
  std::cerr.rdbuf(before[2]);
  ran.out = out.str();
  ran.err = err.str();
  return ran;
}

std::string read_whole(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class HsmCommand : public hsm::TokenTest {
 protected:
  // `colophon hsm …` with the PIN file, and a look at everything it prints.
  Ran hsm(std::vector<std::string> arguments, const std::string& input = {}) {
    arguments.insert(arguments.begin(), "hsm");
    arguments.insert(arguments.end(), {"--pin-file", token().pin_file()});
    return searched(run(arguments, input));
  }
  Ran searched(Ran ran) const {
    for (const std::string& secret : {token().pin(), std::string(kWrongPin)}) {
      EXPECT_EQ((ran.out + ran.err).find(secret), std::string::npos) << "a PIN is shown";
    }
    return ran;
  }
  std::string token_text() const { return token().token_uri(kProxy); }
  std::string key_text(const std::string& label) const { return token().key_uri(label, kProxy); }
  std::string path(const std::string& name) const { return (token().directory() / name).string(); }
  json keygen(const std::string& label, const std::string& type = "p256") {
    const Ran ran =
        hsm({"keygen", "--token", token_text(), "--label", label, "--type", type, "--json"});
    EXPECT_EQ(ran.status, kExitOk) << ran.out << ran.err;
    return ran.status == kExitOk ? json::parse(ran.out) : json();
  }
};

// --- help and usage ------------------------------------------------------------------------------

TEST(HsmHelp, SaysWhereTheModuleAndThePinComeFrom) {
  const Ran all = run({"hsm", "--help"});
  EXPECT_EQ(all.status, kExitOk);
  for (const char* command : {"list", "keygen", "public-key", "sign"}) {
    EXPECT_NE(all.out.find(command), std::string::npos);
    const Ran ran = run({"hsm", command, "--help"});
    EXPECT_EQ(ran.status, kExitOk);
    for (const char* word : {"--pin-file", "--pin-env", "--json", "COLOPHON_PKCS11_MODULE",
                             "never taken from the command line", "tried once"}) {
      EXPECT_NE(ran.out.find(word), std::string::npos) << command << " " << word;
    }
    EXPECT_EQ(ran.out.find("--pin "), std::string::npos) << command;
    EXPECT_EQ(ran.err, "");
  }
}

TEST(HsmUsage, WhatIsMissingUnknownOrContradictoryHasStatus2) {
  const std::vector<std::vector<std::string>> wrong = {
      {"hsm"},
      {"hsm", "nothing"},
      {"hsm", "list", "--unknown"},
      {"hsm", "list", "--pin-file", "a", "--pin-env", "B"},
      {"hsm", "keygen", "--label", "a"},
      {"hsm", "keygen", "--token", "pkcs11:token=a"},
      {"hsm", "keygen", "--token", "pkcs11:token=a", "--label", "a", "--type", "rsa"},
      {"hsm", "public-key"},
      {"hsm", "public-key", "--key", "pkcs11:object=a", "--format", "raw"},
      {"hsm", "public-key", "--key", "pkcs11:object=a", "--json", "--out", "f"},
      {"hsm", "sign"},
      {"hsm", "sign", "--key", "pkcs11:object=a", "--format", "der"},
      {"hsm", "sign", "--key", "pkcs11:object=a", "--json", "--format", "raw"},
  };
  for (const auto& arguments : wrong) {
    const Ran ran = run(arguments);
    EXPECT_EQ(ran.status, kExitBadInput) << arguments.back();
    EXPECT_EQ(ran.out, "") << arguments.back();
    EXPECT_NE(ran.err, "") << arguments.back();
  }
}

TEST(HsmUsage, APinOnTheCommandLineIsRefusedAndNotShown) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"--pin", "66260755"}, {"--pin=66260755"}}) {
    for (const char* command : {"list", "keygen", "public-key", "sign"}) {
      std::vector<std::string> line = {"hsm", command};
      line.insert(line.end(), arguments.begin(), arguments.end());
      const Ran ran = run(line);
      EXPECT_EQ(ran.status, kExitBadInput);
      EXPECT_NE(ran.err.find("--pin-file"), std::string::npos) << ran.err;
      EXPECT_EQ((ran.out + ran.err).find("66260755"), std::string::npos) << ran.err;
    }
  }
  const std::string uri = "pkcs11:token=a;object=b?pin-value=66260755";
  for (const std::vector<std::string>& line : {std::vector<std::string>{"list", "--token", uri},
                                               {"keygen", "--token", uri, "--label", "a"},
                                               {"public-key", "--key", uri},
                                               {"sign", "--key", uri}}) {
    for (const bool as_json : {false, true}) {
      std::vector<std::string> arguments = line;
      arguments.insert(arguments.begin(), "hsm");
      if (as_json) arguments.push_back("--json");
      const Ran ran = run(arguments);
      EXPECT_EQ(ran.status, kExitBadInput) << line.front();
      const std::string said = ran.out + ran.err;
      EXPECT_NE(said.find("must not carry a PIN"), std::string::npos) << said;
      EXPECT_EQ(said.find("66260755"), std::string::npos) << said;
    }
  }
}

// --- list ----------------------------------------------------------------------------------------

TEST_F(HsmCommand, ListShowsTokensAndWithALoginTheirPrivateHalves) {
  const json a = keygen("alpha");
  const json b = keygen("beta", "ed25519");
  const Ran outside = searched(run({"hsm", "list", "--module", kProxy}));
  EXPECT_EQ(outside.status, kExitOk) << outside.err;
  EXPECT_NE(outside.out.find("token " + token().label() + "  (slot "), std::string::npos);
  EXPECT_NE(outside.out.find("  alpha  p256  public half (private halves need a login)"),
            std::string::npos)
      << outside.out;
  EXPECT_NE(outside.out.find("a token that is not initialised"), std::string::npos);

  const Ran inside = hsm({"list", "--token", token_text()});
  EXPECT_EQ(inside.status, kExitOk) << inside.err;
  EXPECT_NE(inside.out.find("  alpha  p256  sensitive, not extractable\n    " +
                            a["uri"].get<std::string>() + '\n'),
            std::string::npos)
      << inside.out;
  EXPECT_NE(inside.out.find("  beta  ed25519  sensitive, not extractable\n    " +
                            b["uri"].get<std::string>() + '\n'),
            std::string::npos)
      << inside.out;
  const Ran one = hsm({"list", "--key", key_text("beta")});
  EXPECT_EQ(one.out.find("alpha"), std::string::npos) << one.out;
  EXPECT_NE(one.out.find("beta"), std::string::npos) << one.out;
}

TEST_F(HsmCommand, ListAsJsonIsOneObject) {
  const json made = keygen("alpha");
  const Ran ran = hsm({"list", "--token", token_text(), "--json"});
  ASSERT_EQ(ran.status, kExitOk) << ran.out << ran.err;
  EXPECT_EQ(ran.err, "");
  EXPECT_EQ(std::count(ran.out.begin(), ran.out.end(), '\n'), 1);
  const json tokens = json::parse(ran.out)["tokens"];
  ASSERT_EQ(tokens.size(), 1U);
  EXPECT_EQ(tokens[0]["label"], token().label());
  EXPECT_EQ(tokens[0]["initialized"], true);
  EXPECT_EQ(tokens[0]["user_pin_locked"], false);
  ASSERT_EQ(tokens[0]["keys"].size(), 1U);
  EXPECT_EQ(tokens[0]["keys"][0], made);
  const Ran none = hsm({"list", "--module", kProxy, "--token", "pkcs11:token=missing", "--json"});
  EXPECT_EQ(none.status, kExitRefused) << "a login needs a token";
  EXPECT_EQ(json::parse(none.out)["error"]["code"], "not_found");
  const Ran empty =
      run({"hsm", "list", "--module", kProxy, "--token", "pkcs11:token=missing", "--json"});
  EXPECT_EQ(empty.status, kExitOk);
  EXPECT_EQ(json::parse(empty.out), (json{{"tokens", json::array()}}));
}

TEST_F(HsmCommand, ListLogsInToOneTokenOnly) {
  token().add_token("other");
  const Ran ran = hsm({"list", "--module", kProxy});
  EXPECT_EQ(ran.status, kExitBadInput);
  EXPECT_NE(ran.err.find("a login is for one token, 2 match"), std::string::npos) << ran.err;
  EXPECT_EQ(proxy().count(PROXY_LOGIN), 0U);
}

TEST_F(HsmCommand, ListWarnsAboutThePin) {
  proxy().add_token_flags(CKF_USER_PIN_FINAL_TRY);
  EXPECT_NE(run({"hsm", "list", "--module", kProxy}).out.find("the next wrong one locks the token"),
            std::string::npos);
  proxy().add_token_flags(CKF_USER_PIN_LOCKED);
  EXPECT_NE(run({"hsm", "list", "--module", kProxy}).out.find("PIN locked"), std::string::npos);
}

TEST_F(HsmCommand, WhatATokenIsCalledDoesNotSteerTheTerminal) {
  raw().generate("evil \x1b[2J", {});
  const Ran ran = hsm({"list", "--token", token_text()});
  EXPECT_EQ(ran.status, kExitOk) << ran.err;
  EXPECT_EQ(ran.out.find('\x1b'), std::string::npos);
  EXPECT_NE(ran.out.find("evil"), std::string::npos);
}

// --- keygen --------------------------------------------------------------------------------------

TEST_F(HsmCommand, KeygenPrintsTheUriOfAKeyThatSigns) {
  for (const std::string type : {"p256", "ed25519"}) {
    const Ran ran = hsm({"keygen", "--token", token_text(), "--label", type, "--type", type});
    ASSERT_EQ(ran.status, kExitOk) << ran.err;
    ASSERT_EQ(ran.out.back(), '\n');
    const std::string uri = ran.out.substr(0, ran.out.size() - 1);
    EXPECT_EQ(hsm({"sign", "--key", uri}, "text").status, kExitOk) << uri;
  }
}

TEST_F(HsmCommand, KeygenAsJsonSaysWhatTheKeyIs) {
  const json key = keygen("alpha", "ed25519");
  EXPECT_EQ(key["label"], "alpha");
  EXPECT_EQ(key["type"], "ed25519");
  EXPECT_EQ(key["id"].get<std::string>().size(), 40U);
  EXPECT_EQ(key["public_key"].get<std::string>().size(), 64U);
  for (const char* yes : {"private", "public", "sensitive", "may_sign", "generated_in_token"}) {
    EXPECT_EQ(key[yes], true) << yes;
  }
  EXPECT_EQ(key["extractable"], false);
  const Ran id = hsm({"keygen", "--token", token_text(), "--label", "b", "--id", "00ff", "--json"});
  EXPECT_EQ(json::parse(id.out)["id"], "00ff");
}

TEST_F(HsmCommand, KeygenRefusesADoubleAndABadId) {
  keygen("alpha");
  const Ran again = hsm({"keygen", "--token", token_text(), "--label", "alpha"});
  EXPECT_EQ(again.status, kExitRefused);
  EXPECT_NE(again.err.find("already has a key 'alpha'"), std::string::npos) << again.err;
  EXPECT_EQ(again.out, "");
  for (const char* id : {"0", "xx", "0F"}) {
    const Ran bad = hsm({"keygen", "--token", token_text(), "--label", "b", "--id", id});
    EXPECT_EQ(bad.status, kExitBadInput) << id;
    EXPECT_NE(bad.err.find("--id"), std::string::npos) << bad.err;
  }
  EXPECT_EQ(raw().halves(), 2U);
}

// --- public-key and sign -------------------------------------------------------------------------

TEST_F(HsmCommand, PublicKeyWritesOneKeyInEveryForm) {
  for (const std::string type : {"p256", "ed25519"}) {
    const json made = keygen(type, type);
    const Ran pem = run({"hsm", "public-key", "--key", key_text(type)});  // without a PIN
    ASSERT_EQ(pem.status, kExitOk) << pem.err;
    BIO* const text = BIO_new_mem_buf(pem.out.data(), static_cast<int>(pem.out.size()));
    EVP_PKEY* const key = PEM_read_bio_PUBKEY(text, nullptr, nullptr, nullptr);
    BIO_free(text);
    ASSERT_NE(key, nullptr) << pem.out;
    std::uint8_t* der = nullptr;
    const int size = i2d_PUBKEY(key, &der);
    const std::string expected_der(der, der + size);
    OPENSSL_free(der);
    EVP_PKEY_free(key);
    EXPECT_EQ(run({"hsm", "public-key", "--key", key_text(type), "--format", "der"}).out,
              expected_der);
    EXPECT_EQ(run({"hsm", "public-key", "--key", key_text(type), "--format", "hex"}).out,
              made["public_key"].get<std::string>() + '\n');
    const Ran to_file = run({"hsm", "public-key", "--key", key_text(type), "--out", path("out")});
    EXPECT_EQ(to_file.out, "");
    EXPECT_EQ(read_whole(path("out")), pem.out);
    const json object =
        json::parse(run({"hsm", "public-key", "--key", key_text(type), "--json"}).out);
    EXPECT_EQ(object, (json{{"type", type},
                            {"public_key", made["public_key"]},
                            {"spki_der", node::hex_encode(bytes_of(expected_der))}}));
  }
}

TEST_F(HsmCommand, SignWritesASignatureInEveryForm) {
  for (const std::string type : {"p256", "ed25519"}) {
    const json made = keygen(type, type);
    const std::string pem = run({"hsm", "public-key", "--key", key_text(type)}).out;
    const std::string message("a message\0with a zero", 21);
    std::ofstream(path("message"), std::ios::binary) << message;

    const Ran hex = hsm({"sign", "--key", key_text(type), "--in", path("message")});
    ASSERT_EQ(hex.status, kExitOk) << hex.err;
    ASSERT_EQ(hex.out.size(), 129U);
    const auto signature = node::hex_decode(hex.out.substr(0, 128));
    ASSERT_TRUE(signature);
    EXPECT_TRUE(openssl_verifies(pem, bytes_of(message), *signature));
    EXPECT_FALSE(openssl_verifies(pem, bytes_of(message + "x"), *signature));

    const Ran from_stdin = hsm({"sign", "--key", key_text(type), "--json"}, message);
    const json object = json::parse(from_stdin.out);
    EXPECT_EQ(object["type"], type);
    EXPECT_EQ(object["public_key"], made["public_key"]);
    EXPECT_TRUE(openssl_verifies(pem, bytes_of(message),
                                 *node::hex_decode(object["signature"].get<std::string>())));

    const Ran raw_out =
        hsm({"sign", "--key", key_text(type), "--format", "raw", "--out", path("signature")}, "");
    EXPECT_EQ(raw_out.status, kExitOk) << raw_out.err;
    const std::string bytes = read_whole(path("signature"));
    ASSERT_EQ(bytes.size(), 64U);
    EXPECT_TRUE(openssl_verifies(pem, {}, bytes_of(bytes)));
  }
}

TEST_F(HsmCommand, SignTakesFilesUpToItsLimit) {
  const Ran missing = hsm({"sign", "--key", key_text("a"), "--in", path("missing")});
  EXPECT_EQ(missing.status, kExitRefused);
  EXPECT_NE(missing.err.find(path("missing")), std::string::npos);
  std::ofstream(path("large")).close();
  std::filesystem::resize_file(path("large"), (std::uintmax_t{64} << 20) + 1);
  const Ran large = hsm({"sign", "--key", key_text("a"), "--in", path("large")});
  EXPECT_EQ(large.status, kExitBadInput);
  EXPECT_NE(large.err.find("longer than 67108864 bytes"), std::string::npos) << large.err;
  EXPECT_EQ(proxy().count(PROXY_LOGIN), 0U);
  std::filesystem::resize_file(path("large"), std::uintmax_t{64} << 20);
  keygen("a");
  EXPECT_EQ(hsm({"sign", "--key", key_text("a"), "--in", path("large")}).status, kExitOk);
}

TEST_F(HsmCommand, AnOutputThatCannotBeWrittenHasStatus3) {
  keygen("a");
  const Ran ran = hsm({"sign", "--key", key_text("a"), "--out", path("no/such/folder")}, "text");
  EXPECT_EQ(ran.status, kExitFailed);
  EXPECT_NE(ran.err.find("cannot write"), std::string::npos) << ran.err;
}

// --- faults --------------------------------------------------------------------------------------

TEST_F(HsmCommand, AWrongPinHasStatus1AndCostsOneTry) {
  keygen("a");
  proxy().reset();
  setenv("COLOPHON_TEST_WRONG_PIN", kWrongPin, 1);
  for (int round = 0; round < 2; ++round) {
    const Ran ran = searched(
        run({"hsm", "sign", "--key", key_text("a"), "--pin-env", "COLOPHON_TEST_WRONG_PIN"}));
    EXPECT_EQ(ran.status, kExitRefused);
    EXPECT_NE(ran.err.find("colophon: pin: "), std::string::npos) << ran.err;
  }
  const Ran as_json = searched(run(
      {"hsm", "sign", "--key", key_text("a"), "--pin-env", "COLOPHON_TEST_WRONG_PIN", "--json"}));
  unsetenv("COLOPHON_TEST_WRONG_PIN");
  EXPECT_EQ(json::parse(as_json.out)["error"]["code"], "permission_denied");
  EXPECT_EQ(json::parse(as_json.out)["error"]["field"], "pin");
  EXPECT_EQ(proxy().count(PROXY_LOGIN), 1U);
}

TEST_F(HsmCommand, AMissingModuleTokenOrKeyHasStatus1) {
  const Ran module = searched(run({"hsm", "list", "--module", "/nowhere/libhsm.so"}));
  EXPECT_EQ(module.status, kExitRefused);
  EXPECT_NE(module.err.find("/nowhere/libhsm.so"), std::string::npos) << module.err;
  const std::string elsewhere = std::string("pkcs11:token=missing?module-path=") + kProxy;
  const Ran no_token = hsm({"keygen", "--token", elsewhere, "--label", "a"});
  EXPECT_EQ(no_token.status, kExitRefused);
  EXPECT_NE(no_token.err.find("it has '" + token().label() + "'"), std::string::npos);
  for (const char* command : {"sign", "public-key"}) {
    const Ran key = hsm({command, "--key", key_text("missing")}, "text");
    EXPECT_EQ(key.status, kExitRefused);
    EXPECT_NE(key.err.find("has no key 'missing'"), std::string::npos) << key.err;
  }
}

TEST_F(HsmCommand, NoModuleNamedIsAMistakeInUse) {
  unsetenv(hsm::kModuleEnvironmentVariable);
  const Ran ran = run({"hsm", "list"});
  EXPECT_EQ(ran.status, kExitBadInput);
  EXPECT_NE(ran.err.find("COLOPHON_PKCS11_MODULE"), std::string::npos) << ran.err;
}

TEST_F(HsmCommand, ATokenThatFailsHasStatus3) {
  keygen("a");
  proxy().fail(PROXY_SIGN, CKR_DEVICE_ERROR, 1, 1);  // after the proof that the key works
  const Ran ran = hsm({"sign", "--key", key_text("a"), "--json"}, "text");
  EXPECT_EQ(ran.status, kExitFailed);
  EXPECT_EQ(json::parse(ran.out)["error"]["code"], "outcome_unknown");
  EXPECT_EQ(ran.err, "");
}

}  // namespace
}  // namespace colophon::cli
