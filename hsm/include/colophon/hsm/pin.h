// SPDX-License-Identifier: Apache-2.0
//
// The user PIN of a token: where it comes from, and the type that holds it. It is never read from
// the command line or a configuration file, and never appears in a message.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "colophon/error.hpp"
#include "colophon/slices.hpp"

namespace colophon::hsm {

inline constexpr std::size_t kPinBytesMax = 255;

// Holds a PIN; overwrites it when destroyed or moved from. Not copyable, not printable, not
// comparable: bytes() is for C_Login alone.
class Pin {
 public:
  // Errors: kInvalidArgument (empty, longer than kPinBytesMax, not UTF-8, or with a control
  // character: a stray newline or carriage return would cost one of the token's few tries).
  [[nodiscard]] static Result<Pin> from_bytes(ByteSpan bytes);

  Pin(Pin&& other) noexcept;
  Pin& operator=(Pin&& other) noexcept;
  Pin(const Pin&) = delete;
  Pin& operator=(const Pin&) = delete;
  ~Pin();

  [[nodiscard]] ByteSpan bytes() const noexcept;

 private:
  Pin() = default;
  void wipe() noexcept;
  std::unique_ptr<std::uint8_t[]> bytes_;
  std::size_t size_ = 0;
};

template <class Stream>
Stream& operator<<(Stream&, const Pin&) = delete;

// Where to read the PIN when it is needed. A value: copy it freely, it holds no secret.
class PinSource {
 public:
  // The file's bytes less exactly one trailing newline. A file that others than owner and
  // group may read, or others than the owner may write, is refused.
  [[nodiscard]] static PinSource file(std::string path);
  // The value of an environment variable.
  [[nodiscard]] static PinSource environment(std::string variable);
  // Typed on /dev/tty, without echo.
  [[nodiscard]] static PinSource prompt();

  // True if a person types it: such a PIN is tried even when the token warns that the next wrong
  // one locks it; a stored PIN is not.
  [[nodiscard]] bool interactive() const noexcept { return kind_ == Kind::kPrompt; }

  // `token_label` is shown in the prompt. Errors: kNotFound (no file, variable unset, no terminal),
  // kPermissionDenied (file readable by others), kIo, kInvalidArgument (see Pin::from_bytes).
  [[nodiscard]] Result<Pin> read(std::string_view token_label) const;

 private:
  enum class Kind : std::uint8_t { kFile, kEnvironment, kPrompt };
  PinSource(Kind kind, std::string name) : kind_(kind), name_(std::move(name)) {}
  Kind kind_;
  std::string name_;  // path or variable
};

}  // namespace colophon::hsm
