// SPDX-License-Identifier: Apache-2.0
//
// Inside the PTX parser: one statement to one instruction. Every opcode has a rule that takes the
// modifiers it knows in the order the ISA writes them, and a signature for its operands; what is
// left over is unknown.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tests/gpu_emulator/ptx_names.h"

namespace colophon::gpu_emulator {

struct TypeName {
  std::string_view name;
  Type type;
};
constexpr TypeName kTypeNames[] = {{"b8", Type::kB8},   {"b16", Type::kB16}, {"b32", Type::kB32},
                                   {"b64", Type::kB64}, {"u8", Type::kU8},   {"u16", Type::kU16},
                                   {"u32", Type::kU32}, {"u64", Type::kU64}, {"s8", Type::kS8},
                                   {"s16", Type::kS16}, {"s32", Type::kS32}, {"s64", Type::kS64},
                                   {"f32", Type::kF32}, {"f64", Type::kF64}, {"pred", Type::kPred}};

// Sets of types, as bits.
constexpr std::uint32_t set_of(std::initializer_list<Type> types) {
  std::uint32_t bits = 0;
  for (const Type type : types) bits |= 1U << static_cast<unsigned>(type);
  return bits;
}
constexpr std::uint32_t kBits = set_of({Type::kB16, Type::kB32, Type::kB64});
constexpr std::uint32_t kBits32 = set_of({Type::kB32, Type::kB64});
constexpr std::uint32_t kSigned = set_of({Type::kS16, Type::kS32, Type::kS64});
constexpr std::uint32_t kUnsigned = set_of({Type::kU16, Type::kU32, Type::kU64});
constexpr std::uint32_t kIntegers = kSigned | kUnsigned;
constexpr std::uint32_t kIntegers32 = set_of({Type::kU32, Type::kU64, Type::kS32, Type::kS64});
constexpr std::uint32_t kFloats = set_of({Type::kF32, Type::kF64});
constexpr std::uint32_t kBytes = set_of({Type::kB8, Type::kU8, Type::kS8});
constexpr std::uint32_t kPredicate = set_of({Type::kPred});

// Words separated by dots, taken one by one.
class Modifiers {
 public:
  explicit Modifiers(std::string_view name) : rest_(name) {
    opcode_ = rest_.substr(0, rest_.find('.'));
    rest_.remove_prefix(opcode_.size());
  }
  [[nodiscard]] std::string_view opcode() const { return opcode_; }
  [[nodiscard]] bool done() const { return rest_.empty(); }
  [[nodiscard]] std::string_view peek() const {
    return rest_.empty() ? rest_ : rest_.substr(1, rest_.find('.', 1) - 1);
  }
  bool take(std::string_view word) {
    if (rest_.empty() || peek() != word) return false;
    rest_.remove_prefix(word.size() + 1);
    return true;
  }
  template <class E>
  bool take_one(std::initializer_list<std::pair<std::string_view, E>> words, E& out) {
    for (const auto& [word, meaning] : words) {
      if (take(word)) {
        out = meaning;
        return true;
      }
    }
    return false;
  }
  template <class E>
  bool take_one(std::initializer_list<std::pair<std::string_view, E>> words, std::uint8_t& out) {
    E meaning{};
    if (!take_one(words, meaning)) return false;
    out = static_cast<std::uint8_t>(meaning);
    return true;
  }
  bool take_type(std::uint32_t allowed, Type& out) {
    for (const auto& [name, type] : kTypeNames) {
      if ((allowed >> static_cast<unsigned>(type) & 1) != 0 && take(name)) {
        out = type;
        return true;
      }
    }
    return false;
  }
  bool take_space(Space& out) {
    return take_one<Space>({{"global", Space::kGlobal},
                            {"shared", Space::kShared},
                            {"shared::cta", Space::kShared},
                            {"local", Space::kLocal},
                            {"const", Space::kConst},
                            {"param", Space::kParam},
                            {"param::entry", Space::kParam},
                            {"param::func", Space::kParam}},
                           out);
  }

 private:
  std::string_view opcode_;
  std::string_view rest_;
};

class Decoder {
 public:
  Decoder(const Statement& statement, const Names& names, const Module& module, Function& function,
          std::vector<std::pair<std::uint32_t, LabelUse>>& labels)
      : statement_(statement),
        names_(names),
        module_(module),
        function_(function),
        labels_(labels),
        modifiers_(statement.name) {
    out_.line = statement.line;
  }

  Result<void> run();

 private:
  using Rule = Result<void> (Decoder::*)();
  static const std::unordered_map<std::string_view, Rule>& rules();

  // --- errors
  [[nodiscard]] Error error(const std::string& message) const {
    return line_error(statement_.line, "'" + std::string(statement_.name) + "': " + message);
  }
  [[nodiscard]] Error unknown() const {
    return line_error(statement_.line,
                      "'" + std::string(statement_.name) + "' is no instruction known here",
                      ErrorCode::kUnsupported);
  }

  // --- operands
  // Checks and appends the operands by a signature, a letter each:
  //   d destination, s source, of the operation's type    w, W the same of twice its width
  //   U destination, u source of 32 bits                   p destination, q source: predicate
  //   D, P: d or p with a second destination |p            A an address of 64 bits
  // Optional from '?' on.
  Result<void> signature(std::string_view letters);
  Result<void> no_more_than(std::size_t count) {
    if (statement_.operands.size() == count) return {};
    return error(std::to_string(statement_.operands.size()) + " operands, not " +
                 std::to_string(count));
  }
  Result<void> add(const Operand& operand) {
    function_.operands.push_back(operand);
    ++out_.operand_count;
    return {};
  }
  // A register of `bytes` (0: a predicate), or wider if `or_wider`.
  Result<Operand> as_register(std::string_view word, unsigned bytes, bool or_wider = false) const;
  Result<void> destination(const SyntaxOperand& operand, unsigned bytes, bool or_wider = false,
                           bool may_be_dropped = false);
  Result<void> source(const SyntaxOperand& operand, unsigned bytes, bool or_wider = false);
  Result<void> address(const SyntaxOperand& operand);
  Result<void> elements_of(const SyntaxOperand& operand, unsigned bytes, bool is_destination,
                           bool or_wider);
  Result<void> label(const SyntaxOperand& operand);

  // --- rules
  Result<void> finish(std::string_view letters) {
    if (!modifiers_.done()) return unknown();
    return signature(letters);
  }
  Result<void> typed(Opcode opcode, std::uint32_t types, std::string_view letters) {
    out_.opcode = opcode;
    if (!modifiers_.take_type(types, out_.type)) return unknown();
    return finish(letters);
  }
  Result<void> add_sub();
  Result<void> addc_subc();
  Result<void> mul();
  Result<void> mad();
  Result<void> bfind() {
    const bool shift = modifiers_.take("shiftamt");
    return typed(shift ? Opcode::kBfindShift : Opcode::kBfind, kIntegers32, "Us");
  }
  Result<void> lop3();
  Result<void> shf();
  Result<void> prmt();
  Result<void> slct();
  Result<void> set_setp();
  Result<void> mov();
  Result<void> cvt();
  Result<void> cvta();
  Result<void> isspacep();
  Result<void> ld_st();
  Result<void> atom_red();
  Result<void> prefetch();
  Result<void> membar();
  Result<void> fence();
  Result<void> nanosleep();
  Result<void> bra();
  Result<void> brx();
  Result<void> call();
  Result<void> ret();
  Result<void> exit() { return alone(Opcode::kExit); }
  Result<void> trap() { return alone(Opcode::kTrap); }
  Result<void> alone(Opcode opcode) {
    out_.opcode = opcode;
    return finish("");
  }
  Result<void> bar();
  Result<void> shfl();
  Result<void> vote();
  Result<void> match();
  Result<void> redux();
  Result<void> activemask();
  Result<void> elect();

  const Statement& statement_;
  const Names& names_;
  const Module& module_;
  Function& function_;
  std::vector<std::pair<std::uint32_t, LabelUse>>& labels_;
  Modifiers modifiers_;
  Instruction out_;
};

}  // namespace colophon::gpu_emulator
