// SPDX-License-Identifier: Apache-2.0
#include "tests/gpu_emulator/ptx_syntax.h"

#include <algorithm>
#include <charconv>

namespace colophon::gpu_emulator {
namespace {

// More operands than any instruction has, and fewer than would cost time.
constexpr std::size_t kOperandsMax = 16;
constexpr std::size_t kElementsMax = 1024;  // arguments of a call

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool begins_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' || c == '%' ||
         c == '.';
}

Result<void> unexpected(const Token& token, std::string_view wanted) {
  const std::string found =
      token.kind == Token::Kind::kEnd ? "the end of the text" : "'" + std::string(token.text) + "'";
  return line_error(token.line, found + " where " + std::string(wanted) + " should be");
}

Result<void> parse_elements(Lexer& lexer, std::string_view close, Statement& out,
                            SyntaxOperand& operand);

Result<void> parse_operand(Lexer& lexer, bool nested, Statement& out, SyntaxOperand& operand) {
  if (!nested && (lexer.at("{") || lexer.at("("))) {
    const bool list = lexer.next().text == "(";
    operand.kind = list ? SyntaxOperand::Kind::kList : SyntaxOperand::Kind::kVector;
    return parse_elements(lexer, list ? ")" : "}", out, operand);
  }
  const bool address = !nested && lexer.take("[");
  if (!address && lexer.take("!")) operand.negated = true;
  if (lexer.peek().kind == Token::Kind::kWord) {
    operand.kind = SyntaxOperand::Kind::kWord;
    operand.word = lexer.next().text;
    if (!address && lexer.take("|")) {
      if (lexer.peek().kind != Token::Kind::kWord) return unexpected(lexer.peek(), "a register");
      operand.second = lexer.next().text;
    } else if (lexer.at("+") || lexer.at("-")) {
      lexer.take("+");  // "+-4" and "-4" alike
      COLOPHON_TRY_ASSIGN(operand.number, parse_signed(lexer));
    }
  } else {
    operand.kind = SyntaxOperand::Kind::kNumber;
    COLOPHON_TRY_ASSIGN(operand.number, parse_signed(lexer));
  }
  if (address) {
    operand.kind = SyntaxOperand::Kind::kAddress;
    if (!lexer.take("]")) return unexpected(lexer.peek(), "']'");
  }
  return {};
}

Result<void> parse_elements(Lexer& lexer, std::string_view close, Statement& out,
                            SyntaxOperand& operand) {
  operand.first = static_cast<std::uint32_t>(out.elements.size());
  while (!lexer.at(close)) {
    if (operand.count != 0 && !lexer.take(",")) return unexpected(lexer.peek(), "','");
    if (out.elements.size() == kElementsMax) {
      return line_error(out.line, "a list of more than " + std::to_string(kElementsMax),
                        ErrorCode::kLimitExceeded);
    }
    SyntaxOperand element;
    COLOPHON_TRY(parse_operand(lexer, true, out, element));
    out.elements.push_back(element);
    ++operand.count;
  }
  lexer.next();
  return {};
}

}  // namespace

void Lexer::skip_line() {
  const std::size_t end = std::min(text_.find('\n', end_of_last_), text_.size());
  const bool on_a_later_line = token_.text.data() >= text_.data() + end;
  if (token_.kind == Token::Kind::kEnd || on_a_later_line) return;
  position_ = end;
  scan();
}

void Lexer::scan() {
  // Blanks and comments.
  for (;;) {
    if (position_ >= text_.size()) {
      token_ = {Token::Kind::kEnd, line_, {}};
      return;
    }
    const char c = text_[position_];
    if (c == '\n') {
      ++line_;
      ++position_;
    } else if (c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v') {
      ++position_;
    } else if (text_.substr(position_, 2) == "//") {
      position_ = std::min(text_.find('\n', position_), text_.size());
    } else if (text_.substr(position_, 2) == "/*") {
      const std::size_t end = std::min(text_.find("*/", position_ + 2), text_.size());
      for (; position_ < end; ++position_) line_ += text_[position_] == '\n' ? 1 : 0;
      position_ = std::min(end + 2, text_.size());
    } else {
      break;
    }
  }
  const std::size_t first = position_;
  const char c = text_[first];
  Token::Kind kind = Token::Kind::kPunctuation;
  if (begins_word(c) || is_digit(c)) {
    kind = is_digit(c) ? Token::Kind::kNumber : Token::Kind::kWord;
    ++position_;
    while (position_ < text_.size()) {
      if (begins_word(text_[position_]) || is_digit(text_[position_])) {
        ++position_;
      } else if (kind == Token::Kind::kWord && text_.substr(position_, 2) == "::") {
        position_ += 2;
      } else {
        break;
      }
    }
  } else if (c == '"') {
    kind = Token::Kind::kString;
    const std::size_t end = text_.find_first_of("\"\n", first + 1);
    if (end == std::string_view::npos || text_[end] != '"') {
      kind = Token::Kind::kPunctuation;  // no string: an error wherever it stands
      ++position_;
    } else {
      token_ = {kind, line_, text_.substr(first + 1, end - first - 1)};
      position_ = end + 1;
      return;
    }
  } else {
    ++position_;
  }
  token_ = {kind, line_, text_.substr(first, position_ - first)};
}

Result<std::uint64_t> parse_number(const Token& token) {
  std::string_view digits = token.text;
  const auto malformed = [&] {
    return line_error(token.line, "'" + std::string(token.text) + "' is no number of 64 bits");
  };
  if (token.kind != Token::Kind::kNumber) return malformed();
  int base = 10;
  if (digits.size() > 1 && digits[0] == '0') {
    const char form = digits[1];
    if (form == 'f' || form == 'F' || form == 'd' || form == 'D') {
      const std::size_t wanted = form == 'f' || form == 'F' ? 8 : 16;
      if (digits.size() != 2 + wanted) return malformed();
      base = 16;
      digits.remove_prefix(2);
    } else if (form == 'x' || form == 'X' || form == 'b' || form == 'B') {
      base = form == 'x' || form == 'X' ? 16 : 2;
      digits.remove_prefix(2);
    } else {
      base = 8;
      digits.remove_prefix(1);
    }
  }
  if (digits.ends_with('U')) digits.remove_suffix(1);
  std::uint64_t value = 0;
  if (base == 8 && digits.empty()) return value;  // "0U"
  const auto [end, status] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (status != std::errc() || end != digits.data() + digits.size()) return malformed();
  return value;
}

Result<Number> parse_signed(Lexer& lexer) {
  Number number;
  number.negative = lexer.take("-");
  if (lexer.peek().kind != Token::Kind::kNumber) {
    return unexpected(lexer.peek(), "an operand").error();
  }
  COLOPHON_TRY_ASSIGN(number.magnitude, parse_number(lexer.next()));
  if (number.magnitude == 0) number.negative = false;
  return number;
}

Result<void> parse_statement(Lexer& lexer, Statement& out) {
  out = Statement{};
  out.line = lexer.peek().line;
  if (lexer.take("@")) {
    out.guarded = true;
    out.guard_negated = lexer.take("!");
    if (lexer.peek().kind != Token::Kind::kWord) return unexpected(lexer.peek(), "a predicate");
    out.guard = lexer.next().text;
  }
  if (lexer.peek().kind != Token::Kind::kWord || lexer.peek().text.front() == '.') {
    return unexpected(lexer.peek(), "an instruction");
  }
  out.line = lexer.peek().line;
  out.name = lexer.next().text;
  while (!lexer.at(";")) {
    if (!out.operands.empty() && !lexer.take(",")) return unexpected(lexer.peek(), "',' or ';'");
    if (out.operands.size() == kOperandsMax) {
      return line_error(out.line, "more operands than any instruction has");
    }
    SyntaxOperand operand;
    COLOPHON_TRY(parse_operand(lexer, false, out, operand));
    out.operands.push_back(operand);
  }
  lexer.next();
  return {};
}

}  // namespace colophon::gpu_emulator
