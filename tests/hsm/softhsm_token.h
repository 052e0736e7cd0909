// SPDX-License-Identifier: Apache-2.0
//
// A SoftHSM token of a test's own: a temporary directory with its configuration, object store and
// PIN file, gone with the object. Sets SOFTHSM2_CONF for the process, so one lives at a time, and
// every Signer on it must be destroyed before it.
#pragma once

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace colophon::test {

class SoftHsmToken {
 public:
  // Where Debian's libsofthsm2 puts the module; COLOPHON_TEST_SOFTHSM overrides it.
  static std::string installed_module() {
    const char* path = std::getenv("COLOPHON_TEST_SOFTHSM");
    return path != nullptr ? path : "/usr/lib/softhsm/libsofthsm2.so";
  }
  // False: the test must GTEST_SKIP, saying that SoftHSM is not installed.
  static bool available() {
    return std::filesystem::exists(installed_module()) &&
           std::system("command -v softhsm2-util >/dev/null 2>&1") == 0;
  }

  explicit SoftHsmToken(std::string label = "colophon-test", std::string pin = "31415926")
      : label_(std::move(label)), pin_(std::move(pin)) {
    std::string pattern = (base_directory() / "colophon-hsm-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) fail("cannot make a temporary directory");
    directory_ = pattern;
    std::filesystem::create_directory(directory_ / "tokens");
    std::ofstream(conf_path()) << "directories.tokendir = " << (directory_ / "tokens").string()
                               << "\nobjectstore.backend = file\nlog.level = ERROR\n";
    write_private_file(pin_file(), pin_ + "\n");
    setenv("SOFTHSM2_CONF", conf_path().c_str(), 1);
    add_token(label_);
  }
  SoftHsmToken(const SoftHsmToken&) = delete;
  SoftHsmToken& operator=(const SoftHsmToken&) = delete;
  ~SoftHsmToken() {
    unsetenv("SOFTHSM2_CONF");
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  // A further token with the same PIN, in the same store.
  void add_token(const std::string& label) const {
    const std::string command = "SOFTHSM2_CONF='" + conf_path() +
                                "' softhsm2-util --init-token --free --label '" + label +
                                "' --pin '" + pin_ + "' --so-pin 27182818 >/dev/null 2>&1";
    if (std::system(command.c_str()) != 0) fail("softhsm2-util --init-token failed");
  }

  const std::string& label() const { return label_; }
  const std::string& pin() const { return pin_; }
  std::filesystem::path directory() const { return directory_; }
  std::string conf_path() const { return (directory_ / "softhsm2.conf").string(); }
  std::string pin_file() const { return (directory_ / "pin").string(); }
  std::string module_path() const { return installed_module(); }

  // "pkcs11:token=LABEL?module-path=PATH"; `module` stands in for SoftHSM (a proxy module).
  std::string token_uri(const std::string& module = installed_module()) const {
    return "pkcs11:token=" + label_ + "?module-path=" + module;
  }
  std::string key_uri(const std::string& key,
                      const std::string& module = installed_module()) const {
    return "pkcs11:token=" + label_ + ";object=" + key + ";type=private?module-path=" + module;
  }

  static void write_private_file(const std::string& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
    chmod(path.c_str(), 0600);
  }

 private:
  // In memory where there is a place for it: SoftHSM syncs the disk several times for each object.
  static std::filesystem::path base_directory() {
    const bool elsewhere = std::getenv("TMPDIR") != nullptr || access("/dev/shm", W_OK) != 0;
    return elsewhere ? std::filesystem::temp_directory_path() : "/dev/shm";
  }
  [[noreturn]] static void fail(const char* what) {
    std::fprintf(stderr, "SoftHsmToken: %s\n", what);
    std::abort();
  }

  std::string label_, pin_;
  std::filesystem::path directory_;
};

}  // namespace colophon::test
