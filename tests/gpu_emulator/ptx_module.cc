// SPDX-License-Identifier: Apache-2.0
#include "tests/gpu_emulator/ptx_module.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "tests/gpu_emulator/ptx_decode.h"
#include "tests/gpu_emulator/ptx_names.h"
#include "tests/gpu_emulator/ptx_syntax.h"

namespace colophon::gpu_emulator {
namespace {

constexpr std::uint32_t kVariableTypes = kBits | kBytes | kIntegers | kFloats;

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text), lexer_(text), names_(module_) {}
  Result<Module> run();

 private:
  [[nodiscard]] std::uint32_t line() const { return lexer_.peek().line; }
  [[nodiscard]] Error unexpected(std::string_view wanted) const {
    const Token& token = lexer_.peek();
    return line_error(token.line,
                      (token.kind == Token::Kind::kEnd ? std::string("the end of the text")
                                                       : "'" + std::string(token.text) + "'") +
                          " where " + std::string(wanted) + " should be");
  }
  Result<void> expect(std::string_view text) {
    if (!lexer_.take(text)) return unexpected("'" + std::string(text) + "'");
    return {};
  }
  Result<std::string_view> word(std::string_view what) {
    if (lexer_.peek().kind != Token::Kind::kWord || lexer_.peek().text.front() == '.') {
      return unexpected(what);
    }
    return lexer_.next().text;
  }
  Result<std::uint64_t> number(std::uint64_t most) {
    const Token token = lexer_.next();
    COLOPHON_TRY_ASSIGN(const std::uint64_t value, parse_number(token));
    if (value > most) {
      return line_error(token.line,
                        std::string(token.text) + " is more than " + std::to_string(most),
                        ErrorCode::kLimitExceeded);
    }
    return value;
  }
  bool take_type(Type& out) {
    const std::string_view text = lexer_.peek().text;
    if (lexer_.peek().kind != Token::Kind::kWord || text.front() != '.') return false;
    Modifiers modifiers(text);
    if (!modifiers.take_type(kVariableTypes | kPredicate, out) || !modifiers.done()) return false;
    lexer_.next();
    return true;
  }

  // --- of the module
  Result<void> header();
  Result<void> section();
  Result<void> linkage();
  Result<Dim3> dimensions();

  // --- variables
  struct Shape {
    Type type = Type::kB8;
    std::uint32_t alignment = 0;
    std::uint64_t bytes = 0;
    bool unbounded = false;  // name[]
    std::string_view name;
  };
  // {.align N} .type name {[size]}, of registers' types too wide for one left out.
  Result<Shape> shape();
  Result<void> variable(Space space, bool is_extern, bool in_function);
  Result<void> initializer(const Shape& shape, Variable& out);
  Result<void> param_variable();
  Result<void> registers();

  // --- functions
  Result<void> function(bool is_entry);
  Result<void> params(Function& function, bool results);
  Result<void> directives(Function& function);
  Result<void> body(Function& function);
  Result<void> body_item(Function& function);
  Result<bool> body_directive(Function& function);
  Result<void> named_item(Function& function, std::string_view label, std::uint32_t label_line);
  void begin_block(Function& function);
  Result<void> finish_blocks(Function& function);

  struct TableUse {
    std::uint32_t table;
    LabelUse label;
  };

  std::string_view text_;
  Lexer lexer_;
  Module module_;
  Names names_;
  Statement statement_;
  std::vector<std::pair<std::uint32_t, LabelUse>> label_uses_;
  std::vector<TableUse> table_uses_;
};

// --- the module ----------------------------------------------------------------------------------

Result<Module> Parser::run() {
  if (text_.size() > kTextBytesMax) {
    return line_error(1, "a text of more than " + std::to_string(kTextBytesMax) + " bytes",
                      ErrorCode::kLimitExceeded);
  }
  COLOPHON_TRY(header());
  while (lexer_.peek().kind != Token::Kind::kEnd) {
    if (lexer_.take(".file")) {
      lexer_.skip_line();
    } else if (lexer_.take(".section")) {
      COLOPHON_TRY(section());
    } else if (lexer_.take(".pragma")) {
      lexer_.next();
      COLOPHON_TRY(expect(";"));
    } else {
      COLOPHON_TRY(linkage());
    }
  }
  for (const Function& function : module_.functions) {
    for (const Instruction& instruction : function.instructions) {
      if (instruction.opcode != Opcode::kCall) continue;
      const Function& callee = module_.functions[function.calls[instruction.mode32].function];
      if (!callee.defined) {
        return line_error(instruction.line, "'" + callee.name + "' is called and nowhere defined",
                          ErrorCode::kUnsupported);
      }
    }
  }
  module_.text = text_;
  return std::move(module_);
}

Result<void> Parser::header() {
  if (!lexer_.take(".version")) return unexpected("'.version'");
  // "9.0" is one token.
  const Token version = lexer_.next();
  const std::size_t dot = std::min(version.text.find('.'), version.text.size());
  Token part = version;
  part.text = version.text.substr(0, dot);
  COLOPHON_TRY_ASSIGN(const std::uint64_t major, parse_number(part));
  part.text = version.text.substr(std::min(dot + 1, version.text.size()));
  COLOPHON_TRY_ASSIGN(const std::uint64_t minor, parse_number(part));
  if (major < 7 || major > 9 || minor > 9) {
    return line_error(version.line,
                      "ISA version " + std::string(version.text) + ": 7.0 to 9.9 are known here",
                      ErrorCode::kUnsupported);
  }
  module_.version_major = static_cast<unsigned>(major);
  module_.version_minor = static_cast<unsigned>(minor);
  COLOPHON_TRY(expect(".target"));
  COLOPHON_TRY_ASSIGN(const std::string_view target, word("a target"));
  if (!target.starts_with("sm_")) return line_error(version.line, "the target is no sm_XX");
  module_.target = target;
  while (lexer_.take(",")) {
    const std::uint32_t at = line();
    COLOPHON_TRY_ASSIGN(const std::string_view option, word("an option of the target"));
    if (option != "debug") {
      return line_error(at, "unknown option '" + std::string(option) + "' of the target",
                        ErrorCode::kUnsupported);
    }
  }
  COLOPHON_TRY(expect(".address_size"));
  const std::uint32_t at = line();
  COLOPHON_TRY_ASSIGN(const std::uint64_t size, number(64));
  if (size != 64) return line_error(at, "addresses of 64 bits only", ErrorCode::kUnsupported);
  return {};
}

// Debugging information.
Result<void> Parser::section() {
  const std::uint32_t first = line();
  lexer_.next();
  COLOPHON_TRY(expect("{"));
  while (!lexer_.take("}")) {
    if (lexer_.next().kind == Token::Kind::kEnd) {
      return line_error(first, "a .section without its end");
    }
  }
  return {};
}

Result<void> Parser::linkage() {
  const bool is_extern = lexer_.take(".extern");
  if (!is_extern && !lexer_.take(".visible") && !lexer_.take(".weak")) lexer_.take(".common");
  if (lexer_.take(".global")) return variable(Space::kGlobal, is_extern, false);
  if (lexer_.take(".const")) return variable(Space::kConst, is_extern, false);
  if (lexer_.take(".shared")) return variable(Space::kShared, is_extern, false);
  if (lexer_.take(".entry")) return function(true);
  if (lexer_.take(".func")) return function(false);
  return unexpected("a directive known here");
}

// --- variables -----------------------------------------------------------------------------------

Result<Parser::Shape> Parser::shape() {
  Shape out;
  std::uint32_t at = line();
  if (lexer_.take(".align")) {
    COLOPHON_TRY_ASSIGN(const std::uint64_t alignment, number(1 << 16));
    if (!std::has_single_bit(alignment)) return line_error(at, "an alignment is a power of two");
    out.alignment = static_cast<std::uint32_t>(alignment);
  }
  at = line();
  if (!take_type(out.type) || out.type == Type::kPred) return unexpected("a type");
  // What a kernel's parameter points to is only a hint.
  if (lexer_.take(".ptr")) {
    if (!lexer_.take(".global") && !lexer_.take(".shared") && !lexer_.take(".local")) {
      lexer_.take(".const");
    }
    if (lexer_.take(".align")) COLOPHON_TRY(number(1 << 16));
  }
  at = line();
  COLOPHON_TRY_ASSIGN(out.name, word("a name"));
  out.bytes = bytes_of(out.type);
  out.alignment = std::max(out.alignment, bytes_of(out.type));
  if (lexer_.take("[")) {
    if (lexer_.take("]")) {
      out.unbounded = true;
      out.bytes = 0;
    } else {
      COLOPHON_TRY_ASSIGN(const std::uint64_t count, number(kVariableBytesMax / out.bytes));
      out.bytes *= count;
      COLOPHON_TRY(expect("]"));
    }
  }
  if (out.bytes == 0 && !out.unbounded) {
    return line_error(at, "'" + std::string(out.name) + "' has no bytes");
  }
  return out;
}

Result<void> Parser::variable(Space space, bool is_extern, bool in_function) {
  const std::uint32_t at = line();
  COLOPHON_TRY_ASSIGN(const Shape shape, this->shape());
  Variable out;
  out.name = shape.name;
  out.space = space;
  out.bytes = shape.bytes;
  out.alignment = shape.alignment;
  out.line = at;
  out.dynamic = is_extern && space == Space::kShared;
  out.defined = !is_extern || out.dynamic;
  if (shape.unbounded && !is_extern) {
    return line_error(at, "'" + out.name + "' has no size");
  }
  const std::uint64_t most = space == Space::kShared  ? kSharedBytesMax
                             : space == Space::kLocal ? kLocalBytesMax
                                                      : kVariableBytesMax;
  if (out.bytes > most) {
    return line_error(at, "'" + out.name + "' has more than " + std::to_string(most) + " bytes",
                      ErrorCode::kLimitExceeded);
  }
  if (lexer_.take("=")) {
    if ((space != Space::kGlobal && space != Space::kConst) || is_extern) {
      return line_error(at, "'" + out.name + "' cannot be initialised");
    }
    COLOPHON_TRY(initializer(shape, out));
  }
  COLOPHON_TRY(expect(";"));
  const Name name{Name::Kind::kVariable, static_cast<std::uint32_t>(module_.variables.size())};
  module_.variables.push_back(std::move(out));
  return in_function ? names_.declare(shape.name, name, at)
                     : names_.declare_global(shape.name, name, at);
}

// Constants and addresses of variables: 1, -2, name, generic(name)+4, or a list of these.
Result<void> Parser::initializer(const Shape& shape, Variable& out) {
  const bool list = lexer_.take("{");
  const unsigned bytes = bytes_of(shape.type);
  do {
    if (list && lexer_.at("}")) break;
    const std::uint32_t at = line();
    if (out.initial.size() + bytes > out.bytes) {
      return line_error(at, "'" + out.name + "' has more values than room");
    }
    Number value;
    if (lexer_.peek().kind == Token::Kind::kWord) {
      COLOPHON_TRY_ASSIGN(std::string_view name, word("a value"));
      Relocation relocation{out.initial.size(), 0, 0, name == "generic"};
      if (relocation.generic) {
        COLOPHON_TRY(expect("("));
        COLOPHON_TRY_ASSIGN(name, word("a variable's name"));
        COLOPHON_TRY(expect(")"));
      }
      const auto found = names_.find(name);
      if (!found || found->kind != Name::Kind::kVariable || bytes != 8) {
        return line_error(at, "the address of '" + std::string(name) + "' in an initialiser",
                          ErrorCode::kUnsupported);
      }
      relocation.variable = found->index;
      if (lexer_.at("+") || lexer_.at("-")) {
        lexer_.take("+");
        COLOPHON_TRY_ASSIGN(const Number addend, parse_signed(lexer_));
        relocation.addend = static_cast<std::int64_t>(addend.bits());
      }
      out.relocations.push_back(relocation);
    } else {
      COLOPHON_TRY_ASSIGN(value, parse_signed(lexer_));
      if (!value.fits(8 * bytes)) {
        return line_error(at, "a value does not fit " + std::to_string(8 * bytes) + " bits");
      }
    }
    for (unsigned i = 0; i < bytes; ++i) {
      out.initial.push_back(static_cast<std::uint8_t>(value.bits() >> (8 * i)));
    }
  } while (list && lexer_.take(","));
  return list ? expect("}") : Result<void>();
}

// In a function: a caller's.
Result<void> Parser::param_variable() {
  const std::uint32_t at = line();
  COLOPHON_TRY_ASSIGN(const Shape shape, this->shape());
  if (shape.unbounded || shape.bytes > kParamBytesMax) {
    return line_error(at, "'" + std::string(shape.name) + "' has no size or too large a one");
  }
  Param param;
  param.name = shape.name;
  param.bytes = static_cast<std::uint32_t>(shape.bytes);
  param.alignment = shape.alignment;
  COLOPHON_TRY(expect(";"));
  COLOPHON_TRY_ASSIGN(const std::uint32_t index, names_.add_param(param, at));
  return names_.declare(shape.name, {Name::Kind::kParam, index}, at);
}

// .reg .type name{<count>}{, …};
Result<void> Parser::registers() {
  Type type = Type::kPred;
  if (!take_type(type) || (type != Type::kPred && bytes_of(type) == 1)) {
    return unexpected("a type of registers");
  }
  do {
    const std::uint32_t at = line();
    COLOPHON_TRY_ASSIGN(const std::string_view name, word("a register's name"));
    if (lexer_.take("<")) {
      COLOPHON_TRY_ASSIGN(const std::uint64_t count, number(kRegistersMax));
      COLOPHON_TRY(expect(">"));
      COLOPHON_TRY(names_.declare_registers(name, type, count, at));
    } else {
      COLOPHON_TRY(names_.declare_register(name, type, at));
    }
  } while (lexer_.take(","));
  return expect(";");
}

// --- functions -----------------------------------------------------------------------------------

Result<void> Parser::params(Function& function, bool results) {
  COLOPHON_TRY(expect("("));
  std::uint64_t end = function.parameter_bytes;
  for (bool first = true; !lexer_.take(")"); first = false) {
    if (!first) COLOPHON_TRY(expect(","));
    const std::uint32_t at = line();
    COLOPHON_TRY(expect(".param"));
    COLOPHON_TRY_ASSIGN(const Shape shape, this->shape());
    Param param;
    param.name = shape.name;
    param.alignment = shape.alignment;
    end = (end + shape.alignment - 1) / shape.alignment * shape.alignment;
    param.offset = static_cast<std::uint32_t>(end);
    end += shape.bytes;
    if (shape.unbounded || shape.bytes > kParamBytesMax || end > kParamBytesMax) {
      return line_error(
          at, "parameters of no size or more than " + std::to_string(kParamBytesMax) + " bytes",
          ErrorCode::kLimitExceeded);
    }
    param.bytes = static_cast<std::uint32_t>(shape.bytes);
    function.params.push_back(std::move(param));
    ++(results ? function.result_count : function.parameter_count);
  }
  if (!results) function.parameter_bytes = static_cast<std::uint32_t>(end);
  return {};
}

Result<Dim3> Parser::dimensions() {
  Dim3 out;
  std::uint32_t* const parts[] = {&out.x, &out.y, &out.z};
  for (int i = 0; i < 3 && (i == 0 || lexer_.take(",")); ++i) {
    COLOPHON_TRY_ASSIGN(const std::uint64_t value, number(1024));
    *parts[i] = static_cast<std::uint32_t>(value);
  }
  return out;
}

// Between parameters and body. Those about registers and occupancy are for ptxas.
Result<void> Parser::directives(Function& function) {
  for (;;) {
    if (lexer_.take(".maxntid")) {
      COLOPHON_TRY_ASSIGN(function.threads_max, dimensions());
    } else if (lexer_.take(".reqntid")) {
      COLOPHON_TRY_ASSIGN(function.threads_required, dimensions());
    } else if (lexer_.take(".minnctapersm") || lexer_.take(".maxnreg")) {
      COLOPHON_TRY(number(UINT32_MAX));
    } else if (lexer_.take(".pragma")) {
      lexer_.next();
      COLOPHON_TRY(expect(";"));
    } else if (!lexer_.take(".noreturn")) {
      return {};
    }
  }
}

Result<void> Parser::function(bool is_entry) {
  Function out;
  out.is_entry = is_entry;
  out.line = line();
  Function results;
  if (!is_entry && lexer_.at("(")) COLOPHON_TRY(params(results, true));
  COLOPHON_TRY_ASSIGN(const std::string_view name, word("a function's name"));
  out.name = name;
  if (lexer_.at("(")) COLOPHON_TRY(params(out, false));
  out.result_count = results.result_count;
  out.params.insert(out.params.end(), results.params.begin(), results.params.end());
  COLOPHON_TRY(directives(out));

  std::uint32_t index = 0;
  if (const auto known = names_.find(name); !known) {
    index = static_cast<std::uint32_t>(module_.functions.size());
    module_.functions.push_back(out);
    COLOPHON_TRY(names_.declare_global(name, {Name::Kind::kFunction, index}, out.line));
  } else {
    // Declared before: the same again, perhaps with other names of parameters.
    index = known->index;
    const bool fits =
        known->kind == Name::Kind::kFunction && module_.functions[index].is_entry == is_entry &&
        module_.functions[index].parameter_count == out.parameter_count &&
        module_.functions[index].result_count == out.result_count &&
        std::equal(out.params.begin(), out.params.end(), module_.functions[index].params.begin(),
                   [](const Param& a, const Param& b) { return a.bytes == b.bytes; });
    if (!fits || (module_.functions[index].defined && !lexer_.at(";"))) {
      return line_error(out.line, "'" + out.name + "' is declared otherwise before");
    }
  }
  if (lexer_.take(";")) return {};
  Function& function = module_.functions[index];
  function = std::move(out);
  function.defined = true;
  return body(function);
}

Result<void> Parser::body(Function& function) {
  names_.open_function(function);
  label_uses_.clear();
  table_uses_.clear();
  // Parameters of a device function are kept in registers of the callee.
  const std::vector<Param> formal = std::exchange(function.params, {});
  for (const Param& param : formal) {
    auto index = static_cast<std::uint32_t>(function.params.size());
    if (function.is_entry) {
      function.params.push_back(param);
    } else {
      COLOPHON_TRY_ASSIGN(index, names_.add_param(param, function.line));
    }
    COLOPHON_TRY(names_.declare(param.name, {Name::Kind::kParam, index}, function.line));
  }
  COLOPHON_TRY(expect("{"));
  function.blocks.emplace_back();
  for (;;) {
    const std::uint32_t at = line();
    if (lexer_.take("}")) {
      if (!names_.close_scope()) break;
    } else if (lexer_.take("{")) {
      COLOPHON_TRY(names_.open_scope(at));
    } else {
      COLOPHON_TRY(body_item(function));
    }
  }
  COLOPHON_TRY(finish_blocks(function));
  names_.close_function();
  return {};
}

Result<void> Parser::body_item(Function& function) {
  const Token token = lexer_.peek();
  if (token.kind == Token::Kind::kWord && token.text.front() == '.') {
    COLOPHON_TRY_ASSIGN(const bool known, body_directive(function));
    if (!known) return unexpected("a directive known here");
    return {};
  }
  if (token.kind == Token::Kind::kWord) {
    Lexer ahead = lexer_;
    ahead.next();
    if (ahead.at(":")) {
      lexer_ = ahead;
      lexer_.next();
      return named_item(function, token.text, token.line);
    }
  }
  COLOPHON_TRY(parse_statement(lexer_, statement_));
  COLOPHON_TRY(decode(statement_, names_, module_, function, label_uses_));
  switch (function.instructions.back().opcode) {
    case Opcode::kBra:
    case Opcode::kBrx:
    case Opcode::kRet:
    case Opcode::kExit:
    case Opcode::kTrap:
      begin_block(function);
      break;
    default:
      break;
  }
  return {};
}

Result<bool> Parser::body_directive(Function&) {
  if (lexer_.take(".loc")) {
    lexer_.skip_line();
  } else if (lexer_.take(".reg")) {
    COLOPHON_TRY(registers());
  } else if (lexer_.take(".param")) {
    COLOPHON_TRY(param_variable());
  } else if (lexer_.take(".local")) {
    COLOPHON_TRY(variable(Space::kLocal, false, true));
  } else if (lexer_.take(".shared")) {
    COLOPHON_TRY(variable(Space::kShared, false, true));
  } else if (lexer_.take(".global")) {
    COLOPHON_TRY(variable(Space::kGlobal, false, true));
  } else if (lexer_.take(".const")) {
    COLOPHON_TRY(variable(Space::kConst, false, true));
  } else if (lexer_.take(".pragma")) {
    lexer_.next();
    COLOPHON_TRY(expect(";"));
  } else {
    return false;
  }
  return true;
}

// What a label stands before: a table of branches, or any instruction.
Result<void> Parser::named_item(Function& function, std::string_view label,
                                std::uint32_t label_line) {
  if (lexer_.take(".branchtargets")) {
    const auto table = static_cast<std::uint32_t>(function.branch_tables.size());
    function.branch_tables.emplace_back();
    COLOPHON_TRY(names_.declare(label, {Name::Kind::kBranchTable, table}, label_line));
    do {
      const std::uint32_t at = line();
      COLOPHON_TRY_ASSIGN(const std::string_view target, word("a label"));
      table_uses_.push_back({table, {target, names_.scope(), at}});
    } while (lexer_.take(","));
    return expect(";");
  }
  begin_block(function);
  BasicBlock& block = function.blocks.back();
  if (block.label.empty()) block.label = label;
  return names_.declare_label(label, static_cast<std::uint32_t>(function.blocks.size() - 1),
                              label_line);
}

void Parser::begin_block(Function& function) {
  const auto at = static_cast<std::uint32_t>(function.instructions.size());
  if (function.blocks.back().first == at) return;  // it has no instruction yet
  function.blocks.emplace_back().first = at;
}

Result<void> Parser::finish_blocks(Function& function) {
  const auto end = static_cast<std::uint32_t>(function.instructions.size());
  if (function.blocks.back().first == end) {
    // Nothing may lead there.
    if (!function.blocks.back().label.empty() || end == 0) {
      return line_error(function.line, "'" + function.name + "' does not end with ret");
    }
    function.blocks.pop_back();
  }
  const Instruction& last = function.instructions.back();
  const bool leaves = last.opcode == Opcode::kRet || last.opcode == Opcode::kExit ||
                      last.opcode == Opcode::kBra || last.opcode == Opcode::kBrx ||
                      last.opcode == Opcode::kTrap;
  if (!leaves || last.guarded) {
    return line_error(last.line, "'" + function.name + "' does not end with ret");
  }
  for (std::size_t i = 0; i < function.blocks.size(); ++i) {
    BasicBlock& block = function.blocks[i];
    block.end = i + 1 < function.blocks.size() ? function.blocks[i + 1].first : end;
    block.line = function.instructions[block.first].line;
  }
  const auto undefined = [](const LabelUse& use) {
    return line_error(use.line, "there is no label '" + std::string(use.label) + "'");
  };
  for (const auto& [operand, use] : label_uses_) {
    const auto block = names_.find_label(use);
    if (!block) return undefined(use);
    function.operands[operand].index = *block;
  }
  for (const auto& [table, use] : table_uses_) {
    const auto block = names_.find_label(use);
    if (!block) return undefined(use);
    function.branch_tables[table].push_back(*block);
  }
  return {};
}

}  // namespace

const Function* Module::function(std::string_view name) const {
  const auto found = std::find_if(functions.begin(), functions.end(),
                                  [name](const Function& f) { return f.name == name; });
  return found == functions.end() ? nullptr : &*found;
}

std::string_view Module::text_of_line(std::uint32_t line) const {
  std::string_view rest = text;
  for (std::uint32_t at = 1; at < line; ++at) {
    const std::size_t end = rest.find('\n');
    if (end == std::string_view::npos) return {};
    rest.remove_prefix(end + 1);
  }
  rest = rest.substr(0, rest.find('\n'));
  const std::size_t first = std::min(rest.find_first_not_of(" \t\r"), rest.size());
  rest.remove_prefix(first);
  return rest.substr(0, rest.find_last_not_of(" \t\r") + 1);
}

Result<Module> parse_module(std::string_view text) { return Parser(text).run(); }

}  // namespace colophon::gpu_emulator
