// SPDX-License-Identifier: Apache-2.0
#include "colophon/hsm/pin.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "hsm/text.h"

namespace colophon::hsm {
namespace {

// Bytes read from outside on their way into a Pin. One more than a PIN and its newline may have, so
// that "too long" is seen.
struct PinBuffer {
  std::array<std::uint8_t, kPinBytesMax + 2> bytes{};
  std::size_t size = 0;

  PinBuffer() = default;
  PinBuffer(const PinBuffer&) = delete;
  PinBuffer& operator=(const PinBuffer&) = delete;
  ~PinBuffer() { OPENSSL_cleanse(bytes.data(), bytes.size()); }
  [[nodiscard]] ByteSpan span() const { return {bytes.data(), size}; }
};

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor() {
    if (fd_ >= 0) close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

Error errno_error(ErrorCode code, const std::string& what, const char* field, int number) {
  return make_error(code, what + ": " + std::strerror(number), field,
                    static_cast<std::uint64_t>(number));
}

Result<Pin> read_file(const std::string& path) {
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (file.get() < 0) {
    const int number = errno;
    const ErrorCode code = number == ENOENT   ? ErrorCode::kNotFound
                           : number == EACCES ? ErrorCode::kPermissionDenied
                                              : ErrorCode::kIo;
    return errno_error(code, "cannot open the PIN file " + printable(path), "pin-file", number);
  }
  struct stat status {};
  if (fstat(file.get(), &status) != 0) {
    return errno_error(ErrorCode::kIo, "cannot look at the PIN file " + printable(path), "pin-file",
                       errno);
  }
  if (!S_ISREG(status.st_mode) && !S_ISFIFO(status.st_mode)) {
    return make_error(ErrorCode::kInvalidArgument,
                      "the PIN file " + printable(path) + " is neither a file nor a pipe",
                      "pin-file");
  }
  // Of a pipe (a shell's <(…)) the mode says nothing: only this process has the reading end.
  if (S_ISREG(status.st_mode) && (status.st_mode & (S_IROTH | S_IWOTH | S_IWGRP)) != 0) {
    return make_error(ErrorCode::kPermissionDenied,
                      "the PIN file " + printable(path) +
                          " can be read by everyone or written by others: run chmod 600 on it "
                          "(640 lets its group read it), and change the PIN if others saw it",
                      "pin-file");
  }
  PinBuffer buffer;
  while (buffer.size < buffer.bytes.size()) {
    const ssize_t got =
        read(file.get(), buffer.bytes.data() + buffer.size, buffer.bytes.size() - buffer.size);
    if (got == 0) break;
    if (got < 0) {
      if (errno == EINTR) continue;
      return errno_error(ErrorCode::kIo, "cannot read the PIN file " + printable(path), "pin-file",
                         errno);
    }
    buffer.size += static_cast<std::size_t>(got);
  }
  if (buffer.size > 0 && buffer.bytes[buffer.size - 1] == '\n') --buffer.size;
  return Pin::from_bytes(buffer.span());
}

Result<Pin> read_environment(const std::string& variable) {
  const char* value = std::getenv(variable.c_str());
  if (value == nullptr) {
    return make_error(ErrorCode::kNotFound,
                      "the environment variable " + printable(variable) + " for the PIN is not set",
                      "pin-env");
  }
  return Pin::from_bytes({reinterpret_cast<const std::uint8_t*>(value), std::strlen(value)});
}

// Reads key by key with echo, line editing and signals off, and puts the terminal back whatever
// happens: ^C arrives as a byte, so it cannot leave a terminal that shows nothing.
class SilentTerminal {
 public:
  explicit SilentTerminal(int fd) : fd_(fd) {
    if (tcgetattr(fd_, &before_) != 0) return;
    termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHONL | ICANON | ISIG);
    silent.c_cc[VMIN] = 1;
    silent.c_cc[VTIME] = 0;
    active_ = tcsetattr(fd_, TCSAFLUSH, &silent) == 0;
  }
  SilentTerminal(const SilentTerminal&) = delete;
  SilentTerminal& operator=(const SilentTerminal&) = delete;
  ~SilentTerminal() {
    if (active_) tcsetattr(fd_, TCSAFLUSH, &before_);
  }
  [[nodiscard]] bool active() const { return active_; }

 private:
  int fd_;
  termios before_{};
  bool active_ = false;
};

void write_text(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;  // a prompt that cannot be shown does not stop the reading
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

Result<Pin> read_terminal(std::string_view token_label) {
  const FileDescriptor terminal(open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
  if (terminal.get() < 0) {
    return make_error(ErrorCode::kNotFound,
                      "there is no terminal to ask for the PIN: give --pin-file FILE or --pin-env "
                      "VAR, or put pin-source=file:PATH into the URI",
                      "pin");
  }
  PinBuffer buffer;
  {
    const SilentTerminal silent(terminal.get());
    if (!silent.active()) {
      return make_error(ErrorCode::kIo, "cannot switch off the terminal's echo to ask for the PIN",
                        "pin");
    }
    write_text(terminal.get(), "PIN for token " + printable(token_label) + ": ");
    constexpr std::uint8_t kControlC = 0x03, kControlD = 0x04, kControlU = 0x15;
    constexpr std::uint8_t kBackspace = 0x08, kDelete = 0x7f;
    while (true) {
      std::uint8_t key = 0;
      const ssize_t got = read(terminal.get(), &key, 1);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0 || key == kControlC || key == kControlD) {
        write_text(terminal.get(), "\n");
        return make_error(ErrorCode::kInvalidArgument, "no PIN was entered", "pin");
      }
      if (key == '\n' || key == '\r') break;
      if (key == kControlU) {
        buffer.size = 0;
      } else if (key == kBackspace || key == kDelete) {
        // A character of UTF-8 is its last bytes 10xxxxxx and the one before them.
        while (buffer.size > 0 && (buffer.bytes[--buffer.size] & 0xc0U) == 0x80) {
        }
      } else if (buffer.size < buffer.bytes.size()) {
        buffer.bytes[buffer.size++] = key;
      }
    }
    write_text(terminal.get(), "\n");
  }
  return Pin::from_bytes(buffer.span());
}

}  // namespace

Result<Pin> Pin::from_bytes(ByteSpan bytes) {
  if (bytes.empty()) {
    return make_error(ErrorCode::kInvalidArgument, "the PIN is empty", "pin");
  }
  if (bytes.size() > kPinBytesMax) {
    return make_error(ErrorCode::kInvalidArgument,
                      "the PIN is longer than " + std::to_string(kPinBytesMax) + " bytes", "pin");
  }
  if (std::any_of(bytes.begin(), bytes.end(),
                  [](std::uint8_t b) { return b < 0x20 || b == 0x7f; }) ||
      !is_utf8({reinterpret_cast<const char*>(bytes.data()), bytes.size()})) {
    return make_error(
        ErrorCode::kInvalidArgument,
        "the PIN has a control character (a second newline, a carriage return?) or is "
        "not UTF-8; it was not tried",
        "pin");
  }
  Pin pin;
  pin.bytes_ = std::make_unique<std::uint8_t[]>(bytes.size());
  pin.size_ = bytes.size();
  std::memcpy(pin.bytes_.get(), bytes.data(), bytes.size());
  return pin;
}

Pin::Pin(Pin&& other) noexcept
    : bytes_(std::move(other.bytes_)), size_(std::exchange(other.size_, 0)) {}

Pin& Pin::operator=(Pin&& other) noexcept {
  if (this != &other) {
    wipe();
    bytes_ = std::move(other.bytes_);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

Pin::~Pin() { wipe(); }

void Pin::wipe() noexcept {
  if (bytes_) OPENSSL_cleanse(bytes_.get(), size_);
  size_ = 0;
}

ByteSpan Pin::bytes() const noexcept { return {bytes_.get(), size_}; }

PinSource PinSource::file(std::string path) { return {Kind::kFile, std::move(path)}; }
PinSource PinSource::environment(std::string variable) {
  return {Kind::kEnvironment, std::move(variable)};
}
PinSource PinSource::prompt() { return {Kind::kPrompt, {}}; }

Result<Pin> PinSource::read(std::string_view token_label) const {
  switch (kind_) {
    case Kind::kFile:
      return read_file(name_);
    case Kind::kEnvironment:
      return read_environment(name_);
    case Kind::kPrompt:
      return read_terminal(token_label);
  }
  return make_error(ErrorCode::kInternal, "a PIN source of no kind");
}

}  // namespace colophon::hsm
