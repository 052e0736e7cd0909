// SPDX-License-Identifier: Apache-2.0
//
// Where a PIN may come from, and that it goes nowhere else.
#include "colophon/hsm/pin.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <type_traits>
#include <utility>

namespace colophon::hsm {
namespace {

std::string text_of(const Pin& pin) { return {pin.bytes().begin(), pin.bytes().end()}; }

ByteSpan bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

template <class T>
concept Printable = requires(std::ostream& out, const T& value) { out << value; };

static_assert(!std::is_copy_constructible_v<Pin> && !std::is_copy_assignable_v<Pin>);
static_assert(!Printable<Pin> && Printable<std::string>);

class PinFile : public testing::Test {
 protected:
  PinFile() {
    std::string pattern = (std::filesystem::temp_directory_path() / "colophon-pin-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
    path_ = (directory_ / "pin").string();
  }
  ~PinFile() override { std::filesystem::remove_all(directory_); }

  Result<Pin> read(const std::string& content, mode_t mode = 0600) {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << content;
    chmod(path_.c_str(), mode);
    return PinSource::file(path_).read("token");
  }

  std::filesystem::path directory_;
  std::string path_;
};

TEST_F(PinFile, LosesExactlyOneNewline) {
  EXPECT_EQ(text_of(*read("1234")), "1234");
  EXPECT_EQ(text_of(*read("1234\n")), "1234");
  EXPECT_EQ(text_of(*read(" 12 34 \n")), " 12 34 ");
  EXPECT_EQ(text_of(*read(std::string(kPinBytesMax, '7') + "\n")), std::string(kPinBytesMax, '7'));
}

TEST_F(PinFile, IsRefusedBeforeItCostsATry) {
  for (const std::string& bad :
       {std::string(), std::string("\n"), std::string("1234\n\n"), std::string("1234\r\n"),
        std::string("12\t34"),
        std::string("12\0"
                    "34",
                    5),
        std::string("\xff\xfe"), std::string(kPinBytesMax + 1, '7'), std::string(10000, '7')}) {
    const auto pin = read(bad);
    ASSERT_FALSE(pin.ok());
    EXPECT_EQ(pin.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(pin.error().message.find("1234"), std::string::npos) << pin.error().message;
  }
}

TEST_F(PinFile, OthersMayNotReadIt) {
  EXPECT_TRUE(read("1234", 0600).ok());
  EXPECT_TRUE(read("1234", 0400).ok());
  EXPECT_TRUE(read("1234", 0640).ok());
  for (const mode_t mode : {0644, 0604, 0602, 0660, 0666, 0777}) {
    const auto pin = read("1234", mode);
    ASSERT_FALSE(pin.ok()) << std::oct << mode;
    EXPECT_EQ(pin.error().code, ErrorCode::kPermissionDenied);
    EXPECT_NE(pin.error().message.find("chmod 600"), std::string::npos);
  }
}

TEST_F(PinFile, MissingOrNotAFileSaysSo) {
  const auto missing = PinSource::file(path_).read("token");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_NE(missing.error().message.find(path_), std::string::npos);
  const auto folder = PinSource::file(directory_.string()).read("token");
  ASSERT_FALSE(folder.ok());
  EXPECT_EQ(folder.error().code, ErrorCode::kInvalidArgument);
}

TEST(PinEnvironment, IsTheVariablesValue) {
  setenv("COLOPHON_TEST_PIN", "98765", 1);
  EXPECT_EQ(text_of(*PinSource::environment("COLOPHON_TEST_PIN").read("token")), "98765");
  unsetenv("COLOPHON_TEST_PIN");
  const auto unset = PinSource::environment("COLOPHON_TEST_PIN").read("token");
  ASSERT_FALSE(unset.ok());
  EXPECT_EQ(unset.error().code, ErrorCode::kNotFound);
}

TEST(Pin, IsEmptyAfterItMoved) {
  auto made = Pin::from_bytes(bytes_of("4711"));
  ASSERT_TRUE(made.ok());
  Pin first = std::move(made).value();
  Pin second = std::move(first);
  EXPECT_EQ(first.bytes().size(), 0U);  // NOLINT: the state after the move is what is tested
  EXPECT_EQ(text_of(second), "4711");
  auto third = Pin::from_bytes(bytes_of("0815"));
  second = std::move(third).value();
  EXPECT_EQ(text_of(second), "0815");
}

// What a child process with a terminal of its own reads when `keys` are typed, and what the
// terminal showed. The child exits with 0 if it got `expected`, 1 for another PIN, 2 for an error.
struct Typed {
  int status = -1;
  std::string shown;
};

Typed type_at_prompt(const std::string& keys, const std::string& expected) {
  int master = -1;
  const pid_t child = forkpty(&master, nullptr, nullptr, nullptr);
  if (child < 0) {
    ADD_FAILURE() << "no pseudo-terminal (is /dev/pts mounted?): " << std::strerror(errno);
    return {};
  }
  if (child == 0) {
    const auto pin = PinSource::prompt().read("vault");
    termios after{};
    const bool echo_back = tcgetattr(0, &after) == 0 && (after.c_lflag & ECHO) != 0;
    if (!echo_back) _exit(3);
    _exit(!pin.ok() ? 2 : text_of(*pin) == expected ? 0 : 1);
  }
  Typed typed;
  char buffer[256];
  bool sent = false;
  while (true) {
    const ssize_t got = read(master, buffer, sizeof buffer);
    if (got <= 0) break;
    typed.shown.append(buffer, static_cast<std::size_t>(got));
    // The prompt comes after the echo is off.
    if (!sent && typed.shown.find("PIN for token vault: ") != std::string::npos) {
      sent = true;
      EXPECT_EQ(write(master, keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
    }
  }
  close(master);
  int status = 0;
  waitpid(child, &status, 0);
  typed.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return typed;
}

TEST(PinPrompt, ReadsALineThatIsNotShown) {
  for (const auto& [keys, pin] : {std::pair("1234\r", "1234"), std::pair("1234\n", "1234"),
                                  std::pair("12x\x7f"
                                            "34\r",
                                            "1234"),
                                  std::pair("wrong\x15"
                                            "1234\r",
                                            "1234"),
                                  std::pair("a\xc3\xa9\x7f"
                                            "b\r",
                                            "ab")}) {
    const Typed typed = type_at_prompt(keys, pin);
    EXPECT_EQ(typed.status, 0) << typed.shown;
    EXPECT_EQ(typed.shown.find("34"), std::string::npos) << "the PIN was shown";
  }
}

TEST(PinPrompt, ControlCGivesUpAndPutsTheTerminalBack) {
  EXPECT_EQ(type_at_prompt("12\x03", "12").status, 2);
  EXPECT_EQ(type_at_prompt("\r", "").status, 2);
}

TEST(PinPrompt, WithoutATerminalSaysWhatToGiveInstead) {
  const pid_t child = fork();
  if (child == 0) {
    setsid();  // no controlling terminal any more
    const auto pin = PinSource::prompt().read("vault");
    _exit(!pin.ok() && pin.error().message.find("--pin-file") != std::string::npos ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

}  // namespace
}  // namespace colophon::hsm
