// SPDX-License-Identifier: Apache-2.0
//
// Inside the PTX parser: words, and statements before their names mean anything.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "colophon/error.hpp"

namespace colophon::gpu_emulator {

// "line N: message", with `native` = N.
[[nodiscard]] inline Error line_error(
    std::uint32_t line, const std::string& message, ErrorCode code = ErrorCode::kMalformed,
    std::source_location where = std::source_location::current()) {
  return make_error(code, "line " + std::to_string(line) + ": " + message, {}, line, where);
}

struct Token {
  enum class Kind : std::uint8_t { kEnd, kWord, kNumber, kString, kPunctuation };
  Kind kind = Kind::kEnd;
  std::uint32_t line = 0;
  std::string_view text;  // of a string: without the quotes
};

// Words keep their dots ("ld.global.L1::no_allocate.u32", "%tid.x", ".reg"). Comments are dropped.
class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) { scan(); }

  [[nodiscard]] const Token& peek() const { return token_; }
  Token next() {
    const Token token = token_;
    end_of_last_ = position_;
    scan();
    return token;
  }
  [[nodiscard]] bool at(std::string_view text) const {
    return token_.text == text && token_.kind != Token::Kind::kString &&
           token_.kind != Token::Kind::kEnd;
  }
  bool take(std::string_view text) {
    if (!at(text)) return false;
    next();
    return true;
  }
  // Drops what is left of the line of the token taken last.
  void skip_line();

 private:
  void scan();

  std::string_view text_;
  std::size_t position_ = 0;  // behind token_
  std::size_t end_of_last_ = 0;
  std::uint32_t line_ = 1;
  Token token_;
};

// A constant: its absolute value and its sign.
struct Number {
  std::uint64_t magnitude = 0;
  bool negative = false;

  [[nodiscard]] std::uint64_t bits() const { return negative ? ~magnitude + 1 : magnitude; }
  // As a signed or an unsigned number of `width` bits.
  [[nodiscard]] bool fits(unsigned width) const {
    if (width == 0) return false;
    return negative ? magnitude <= std::uint64_t{1} << (width - 1)
                    : width == 64 || magnitude >> width == 0;
  }
};
// Decimal, 0x, 0b, octal, each perhaps with U; 0f and 0d with the bits of a float in hexadecimal.
[[nodiscard]] Result<std::uint64_t> parse_number(const Token& token);

struct SyntaxOperand {
  enum class Kind : std::uint8_t {
    kWord,     // word, perhaps !word, word|second, word+number
    kNumber,   // number
    kVector,   // {elements}
    kAddress,  // [word+number] or [number]
    kList,     // (elements)
  };
  Kind kind = Kind::kWord;
  bool negated = false;
  std::string_view word;
  std::string_view second;
  Number number;
  std::uint32_t first = 0;  // elements: in Statement::elements
  std::uint32_t count = 0;
};

struct Statement {
  std::uint32_t line = 0;
  bool guarded = false;
  bool guard_negated = false;
  std::string_view guard;
  std::string_view name;  // with its modifiers
  std::vector<SyntaxOperand> operands;
  std::vector<SyntaxOperand> elements;
};

// One instruction up to and with its ';', the guard included.
[[nodiscard]] Result<void> parse_statement(Lexer& lexer, Statement& out);
// An optional sign and a number.
[[nodiscard]] Result<Number> parse_signed(Lexer& lexer);

}  // namespace colophon::gpu_emulator
