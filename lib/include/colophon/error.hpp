// SPDX-License-Identifier: Apache-2.0
//
// Errors of every part of Colophon: a code a program can switch on, a message a person can act on
// (it names the field and the limit), and where it happened. Nothing here throws.
#pragma once

#include <cstdint>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace colophon {

// Stable: the C ABI (colophon.h) and the HTTP API publish these values and names.
enum class ErrorCode : std::uint8_t {
  kInvalidArgument = 1,  // the caller broke the contract of the call: wrong shape, null, bad option
  kMalformed = 2,        // bytes from outside do not have the form they must have
  kLimitExceeded = 3,    // larger, longer or more than a named limit
  kNotFound = 4,         // no such key, record, file, slot, leaf
  kAlreadyExists = 5,    // duplicate: already registered, replayed, file present
  kPermissionDenied = 6,  // known, but not allowed (not the owner, wrong PIN, not a member)
  kInvalidSignature = 7,  // a signature, proof or certificate does not verify
  kExpired = 8,           // outside its validity: expired, or dated in the future
  kUnavailable = 9,   // a device, token, peer or port that is not there now: trying later may help
  kUnsupported = 10,  // this build, backend or token cannot do it
  kIo = 11,           // disk or network failed; nothing was acknowledged
  kCorrupt = 12,      // stored data contradicts itself
  kOutcomeUnknown = 13,  // the request may or may not have taken effect (reply lost)
  kInternal = 14,        // a defect of ours
};

// "invalid_argument", "malformed", …: the name used in JSON and on the command line.
[[nodiscard]] std::string_view error_code_name(ErrorCode code) noexcept;

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;       // one sentence: what is wrong and what to do; never a secret
  std::string field;         // the input it is about ("title", "--pin-file"), empty if none
  std::uint64_t native = 0;  // the CK_RV, errno or library code behind it, 0 if none
  std::source_location where = std::source_location::current();
};

[[nodiscard]] inline Error make_error(
    ErrorCode code, std::string message, std::string field = {}, std::uint64_t native = 0,
    std::source_location where = std::source_location::current()) {
  return Error{code, std::move(message), std::move(field), native, where};
}

// Either a T or an Error. Reading the wrong one is a defect of the caller (std::get_if returns null
// and the dereference is caught by the sanitizers).
template <class T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit

  [[nodiscard]] bool ok() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return ok(); }

  [[nodiscard]] T& value() & noexcept { return *std::get_if<0>(&state_); }
  [[nodiscard]] const T& value() const& noexcept { return *std::get_if<0>(&state_); }
  [[nodiscard]] T&& value() && noexcept { return std::move(*std::get_if<0>(&state_)); }
  T& operator*() & noexcept { return value(); }
  const T& operator*() const& noexcept { return value(); }
  T&& operator*() && noexcept { return std::move(*this).value(); }
  T* operator->() noexcept { return &value(); }
  const T* operator->() const noexcept { return &value(); }

  [[nodiscard]] const Error& error() const& noexcept { return *std::get_if<1>(&state_); }
  [[nodiscard]] Error&& error() && noexcept { return std::move(*std::get_if<1>(&state_)); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;

  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit

  [[nodiscard]] bool ok() const noexcept { return !error_.has_value(); }
  explicit operator bool() const noexcept { return ok(); }
  [[nodiscard]] const Error& error() const& noexcept { return *error_; }
  [[nodiscard]] Error&& error() && noexcept { return std::move(*error_); }

 private:
  std::optional<Error> error_;
};

}  // namespace colophon

// COLOPHON_TRY(expression): returns the error of a Result<void> to the caller.
// COLOPHON_TRY_ASSIGN(declaration, expression): declares a variable from a Result's value, or
// returns its error.
#define COLOPHON_CONCAT_INNER(a, b) a##b
#define COLOPHON_CONCAT(a, b) COLOPHON_CONCAT_INNER(a, b)
#define COLOPHON_TRY(expression)                                       \
  do {                                                                 \
    if (auto colophon_try_result = (expression); !colophon_try_result) \
      return std::move(colophon_try_result).error();                   \
  } while (false)
#define COLOPHON_TRY_ASSIGN(declaration, expression) \
  COLOPHON_TRY_ASSIGN_INNER(COLOPHON_CONCAT(colophon_result_, __LINE__), declaration, expression)
#define COLOPHON_TRY_ASSIGN_INNER(result, declaration, expression) \
  auto result = (expression);                                      \
  if (!result) return std::move(result).error();                   \
  declaration = std::move(result).value()
