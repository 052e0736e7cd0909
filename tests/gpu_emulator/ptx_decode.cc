// SPDX-License-Identifier: Apache-2.0
#include "tests/gpu_emulator/ptx_decode.h"

#include <algorithm>
#include <array>

namespace colophon::gpu_emulator {
namespace {

using Kind = Operand::Kind;

// Instructions of a type and operands, without further modifiers.
struct Simple {
  std::string_view name;
  Opcode opcode;
  std::uint32_t types;
  std::string_view signature;
};
constexpr Simple kSimple[] = {
    {"sad", Opcode::kSad, kIntegers, "dsss"},
    {"div", Opcode::kDiv, kIntegers, "dss"},
    {"rem", Opcode::kRem, kIntegers, "dss"},
    {"abs", Opcode::kAbs, kSigned, "ds"},
    {"neg", Opcode::kNeg, kSigned, "ds"},
    {"min", Opcode::kMin, kIntegers, "dss"},
    {"max", Opcode::kMax, kIntegers, "dss"},
    {"popc", Opcode::kPopc, kBits32, "Us"},
    {"clz", Opcode::kClz, kBits32, "Us"},
    {"brev", Opcode::kBrev, kBits32, "ds"},
    {"bfe", Opcode::kBfe, kIntegers32, "dsuu"},
    {"bfi", Opcode::kBfi, kBits32, "dssuu"},
    {"and", Opcode::kAnd, kBits | kPredicate, "dss"},
    {"or", Opcode::kOr, kBits | kPredicate, "dss"},
    {"xor", Opcode::kXor, kBits | kPredicate, "dss"},
    {"not", Opcode::kNot, kBits | kPredicate, "ds"},
    {"cnot", Opcode::kCnot, kBits, "ds"},
    {"shl", Opcode::kShl, kBits, "dsu"},
    {"shr", Opcode::kShr, kBits | kIntegers, "dsu"},
    {"selp", Opcode::kSelp, kBits | kIntegers | kFloats, "dssq"},
};

}  // namespace

const std::unordered_map<std::string_view, Decoder::Rule>& Decoder::rules() {
  static const std::unordered_map<std::string_view, Rule> rules = {
      {"add", &Decoder::add_sub},
      {"sub", &Decoder::add_sub},
      {"addc", &Decoder::addc_subc},
      {"subc", &Decoder::addc_subc},
      {"mul", &Decoder::mul},
      {"mad", &Decoder::mad},
      {"madc", &Decoder::mad},
      {"bfind", &Decoder::bfind},
      {"lop3", &Decoder::lop3},
      {"shf", &Decoder::shf},
      {"prmt", &Decoder::prmt},
      {"slct", &Decoder::slct},
      {"set", &Decoder::set_setp},
      {"setp", &Decoder::set_setp},
      {"mov", &Decoder::mov},
      {"cvt", &Decoder::cvt},
      {"cvta", &Decoder::cvta},
      {"isspacep", &Decoder::isspacep},
      {"ld", &Decoder::ld_st},
      {"st", &Decoder::ld_st},
      {"atom", &Decoder::atom_red},
      {"red", &Decoder::atom_red},
      {"prefetch", &Decoder::prefetch},
      {"prefetchu", &Decoder::prefetch},
      {"membar", &Decoder::membar},
      {"fence", &Decoder::fence},
      {"nanosleep", &Decoder::nanosleep},
      {"bra", &Decoder::bra},
      {"brx", &Decoder::brx},
      {"call", &Decoder::call},
      {"ret", &Decoder::ret},
      {"exit", &Decoder::exit},
      {"trap", &Decoder::trap},
      {"bar", &Decoder::bar},
      {"barrier", &Decoder::bar},
      {"shfl", &Decoder::shfl},
      {"vote", &Decoder::vote},
      {"match", &Decoder::match},
      {"redux", &Decoder::redux},
      {"activemask", &Decoder::activemask},
      {"elect", &Decoder::elect}};
  return rules;
}

Result<void> Decoder::run() {
  const std::string_view name = modifiers_.opcode();
  const auto rule = rules().find(name);
  const auto* const simple = std::find_if(std::begin(kSimple), std::end(kSimple),
                                          [&](const Simple& entry) { return entry.name == name; });
  if (rule == rules().end() && simple == std::end(kSimple)) return unknown();
  out_.operand_first = static_cast<std::uint32_t>(function_.operands.size());
  if (statement_.guarded) {
    COLOPHON_TRY_ASSIGN(const Operand guard, as_register(statement_.guard, 0));
    out_.guarded = true;
    out_.guard_negated = statement_.guard_negated;
    out_.guard = guard.index;
  }
  COLOPHON_TRY(rule != rules().end() ? (this->*rule->second)()
                                     : typed(simple->opcode, simple->types, simple->signature));
  function_.instructions.push_back(out_);
  return {};
}

// --- operands ------------------------------------------------------------------------------------

Result<Operand> Decoder::as_register(std::string_view word, unsigned bytes, bool or_wider) const {
  const auto name = names_.find(word);
  if (!name || name->kind != Name::Kind::kRegister) {
    return error("'" + std::string(word) + "' is no register declared here");
  }
  const Type type = function_.registers[name->index];
  const unsigned width = bytes_of(type);
  const bool right = bytes == 0
                         ? type == Type::kPred
                         : type != Type::kPred && (width == bytes || (or_wider && width > bytes));
  if (!right) {
    return error("'" + std::string(word) + "' is " +
                 (type == Type::kPred ? "a predicate"
                                      : "a register of " + std::to_string(8 * width) + " bits") +
                 " where " +
                 (bytes == 0 ? "a predicate is" : std::to_string(8 * bytes) + " bits are") +
                 " wanted");
  }
  Operand out;
  out.kind = Kind::kRegister;
  out.index = name->index;
  return out;
}

Result<void> Decoder::destination(const SyntaxOperand& operand, unsigned bytes, bool or_wider,
                                  bool may_be_dropped) {
  if (operand.kind != SyntaxOperand::Kind::kWord || operand.negated ||
      operand.number.magnitude != 0 || !operand.second.empty()) {
    return error("its destination must be a register");
  }
  if (may_be_dropped && operand.word == "_") return add(Operand{});
  COLOPHON_TRY_ASSIGN(const Operand out, as_register(operand.word, bytes, or_wider));
  return add(out);
}

Result<void> Decoder::source(const SyntaxOperand& operand, unsigned bytes, bool or_wider) {
  Operand out;
  if (operand.kind == SyntaxOperand::Kind::kNumber && bytes != 0) {
    if (operand.negated || !operand.number.fits(8 * bytes)) {
      return error("a constant does not fit " + std::to_string(8 * bytes) + " bits");
    }
    out.kind = Kind::kImmediate;
    out.value = static_cast<std::int64_t>(operand.number.bits());
    return add(out);
  }
  if (operand.kind != SyntaxOperand::Kind::kWord || operand.number.magnitude != 0 ||
      !operand.second.empty() || (operand.negated && bytes != 0)) {
    return error("a source operand must be a register or a constant");
  }
  if (operand.word == "WARP_SZ" && bytes == 4) {
    out.kind = Kind::kImmediate;
    out.value = 32;
    return add(out);
  }
  COLOPHON_TRY_ASSIGN(out, as_register(operand.word, bytes, or_wider));
  out.negated = operand.negated;
  return add(out);
}

Result<void> Decoder::signature(std::string_view letters) {
  const std::size_t optional = letters.find('?');
  const std::size_t least = optional == std::string_view::npos ? letters.size() : optional;
  const std::size_t most = letters.size() - (optional == std::string_view::npos ? 0 : 1);
  const std::size_t given = statement_.operands.size();
  if (given < least || given > most) {
    return error(std::to_string(given) + " operands, not " + std::to_string(least));
  }
  const unsigned bytes = bytes_of(out_.type);
  std::size_t at = 0;
  for (const char letter : letters) {
    if (letter == '?') continue;
    if (at == given) {
      COLOPHON_TRY(add(Operand{}));
      continue;
    }
    SyntaxOperand operand = statement_.operands[at++];
    switch (letter) {
      case 'd':
        COLOPHON_TRY(destination(operand, bytes));
        break;
      case 'w':
        COLOPHON_TRY(destination(operand, 2 * bytes));
        break;
      case 'U':
        COLOPHON_TRY(destination(operand, 4));
        break;
      case 'p':
        COLOPHON_TRY(destination(operand, 0));
        break;
      case 's':
        COLOPHON_TRY(source(operand, bytes));
        break;
      case 'W':
        COLOPHON_TRY(source(operand, 2 * bytes));
        break;
      case 'u':
        COLOPHON_TRY(source(operand, 4));
        break;
      case 'q':
        COLOPHON_TRY(source(operand, 0));
        break;
      case 'D':
      case 'P': {
        SyntaxOperand second = operand;
        operand.second = {};
        COLOPHON_TRY(destination(operand, letter == 'D' ? 4 : 0, false, true));
        if (second.second.empty()) {
          COLOPHON_TRY(add(Operand{}));
        } else {
          second.word = second.second;
          second.second = {};
          COLOPHON_TRY(destination(second, 0, false, true));
        }
        break;
      }
      default:
        return error("a signature of ours is wrong");
    }
  }
  return {};
}

Result<void> Decoder::address(const SyntaxOperand& operand) {
  if (operand.kind != SyntaxOperand::Kind::kAddress) return error("an address must stand in [ ]");
  Operand out;
  out.value = static_cast<std::int64_t>(operand.number.bits());
  if (operand.word.empty()) {
    out.kind = Kind::kImmediate;
    return add(out);
  }
  if (!operand.number.fits(32)) return error("an offset does not fit 32 bits");
  const auto name = names_.find(operand.word);
  if (!name) return error("'" + std::string(operand.word) + "' is not declared here");
  out.index = name->index;
  switch (name->kind) {
    case Name::Kind::kRegister: {
      const unsigned width = bytes_of(function_.registers[name->index]);
      if (width != 8 &&
          !(width == 4 && out_.space != Space::kGeneric && out_.space != Space::kGlobal)) {
        return error("an address in a register of " + std::to_string(8 * width) + " bits");
      }
      out.kind = Kind::kRegister;
      break;
    }
    case Name::Kind::kVariable: {
      const Space space = module_.variables[name->index].space;
      // A name without a space is taken as generic only where both are the same.
      if (space != out_.space && !(out_.space == Space::kGeneric && space == Space::kGlobal)) {
        return error("'" + std::string(operand.word) + "' is in another state space");
      }
      out.kind = Kind::kVariable;
      break;
    }
    case Name::Kind::kParam: {
      if (out_.space != Space::kParam) {
        return error("'" + std::string(operand.word) + "' is in another state space");
      }
      const std::uint64_t bytes = std::uint64_t{bytes_of(out_.type)} * out_.vector;
      const std::uint64_t offset = operand.number.bits();
      const std::uint64_t size = function_.params[name->index].bytes;
      if (operand.number.negative || offset > size || bytes > size - offset) {
        return error("outside of '" + std::string(operand.word) + "', which has " +
                     std::to_string(size) + " bytes");
      }
      if (offset % bytes != 0) return error("an offset that is not aligned");
      out.kind = Kind::kParam;
      break;
    }
    default:
      return error("'" + std::string(operand.word) + "' is no address");
  }
  return add(out);
}

Result<void> Decoder::elements_of(const SyntaxOperand& operand, unsigned bytes, bool is_destination,
                                  bool or_wider) {
  if (operand.kind != SyntaxOperand::Kind::kVector) {
    if (out_.vector != 1) return error("a vector must stand in { }");
    return is_destination ? destination(operand, bytes, or_wider)
                          : source(operand, bytes, or_wider);
  }
  if (operand.count != out_.vector) {
    return error("a vector of " + std::to_string(operand.count) + ", not " +
                 std::to_string(out_.vector));
  }
  for (std::uint32_t i = 0; i < operand.count; ++i) {
    const SyntaxOperand& element = statement_.elements[operand.first + i];
    COLOPHON_TRY(is_destination ? destination(element, bytes, or_wider, true)
                                : source(element, bytes, or_wider));
  }
  return {};
}

Result<void> Decoder::label(const SyntaxOperand& operand) {
  if (operand.kind != SyntaxOperand::Kind::kWord || operand.negated || !operand.second.empty() ||
      operand.number.magnitude != 0) {
    return error("a label is wanted");
  }
  labels_.emplace_back(function_.operands.size(),
                       LabelUse{operand.word, names_.scope(), statement_.line});
  Operand out;
  out.kind = Kind::kBlock;
  return add(out);
}

// --- order and control ---------------------------------------------------------------------------

Result<void> Decoder::membar() {
  if (!modifiers_.take("cta") && !modifiers_.take("gl") && !modifiers_.take("sys")) {
    return unknown();
  }
  return alone(Opcode::kFence);
}

Result<void> Decoder::fence() {
  for (const std::string_view word : {"sc", "acq_rel", "acquire", "release"}) {
    if (modifiers_.take(word)) break;
  }
  if (!modifiers_.take("cta") && !modifiers_.take("cluster") && !modifiers_.take("gpu") &&
      !modifiers_.take("sys")) {
    return unknown();
  }
  return alone(Opcode::kFence);
}

Result<void> Decoder::nanosleep() { return typed(Opcode::kNanosleep, set_of({Type::kU32}), "s"); }

Result<void> Decoder::bra() {
  out_.opcode = Opcode::kBra;
  out_.uniform = modifiers_.take("uni");
  if (!modifiers_.done()) return unknown();
  COLOPHON_TRY(no_more_than(1));
  return label(statement_.operands[0]);
}

Result<void> Decoder::brx() {
  out_.opcode = Opcode::kBrx;
  if (!modifiers_.take("idx")) return unknown();
  out_.uniform = modifiers_.take("uni");
  if (!modifiers_.done()) return unknown();
  COLOPHON_TRY(no_more_than(2));
  COLOPHON_TRY(source(statement_.operands[0], 4));
  const auto table = names_.find(statement_.operands[1].word);
  if (!table || table->kind != Name::Kind::kBranchTable) {
    return error("its second operand must be declared with .branchtargets");
  }
  out_.mode32 = table->index;
  return {};
}

Result<void> Decoder::call() {
  out_.opcode = Opcode::kCall;
  modifiers_.take("uni");
  if (!modifiers_.done()) return unknown();
  const auto& operands = statement_.operands;
  std::size_t at = 0;
  CallSite site;
  const auto take_list = [&](std::vector<std::uint32_t>& out) -> Result<void> {
    if (at == operands.size() || operands[at].kind != SyntaxOperand::Kind::kList) return {};
    for (std::uint32_t i = 0; i < operands[at].count; ++i) {
      const SyntaxOperand& element = statement_.elements[operands[at].first + i];
      const auto name = names_.find(element.word);
      if (!name || name->kind != Name::Kind::kParam || element.number.magnitude != 0 ||
          element.negated || !element.second.empty() ||
          (function_.is_entry && name->index < function_.parameter_count)) {
        return error("arguments and results must be .param variables");
      }
      out.push_back(name->index);
    }
    ++at;
    return {};
  };
  COLOPHON_TRY(take_list(site.results));
  if (at == operands.size() || operands[at].kind != SyntaxOperand::Kind::kWord) {
    return error("a function's name is wanted");
  }
  const auto name = names_.find(operands[at].word);
  if (!name || name->kind != Name::Kind::kFunction) {
    return error("'" + std::string(operands[at].word) + "' is no function declared before");
  }
  ++at;
  site.function = name->index;
  COLOPHON_TRY(take_list(site.arguments));
  if (at != operands.size()) return error("calls through a register are not known here");
  const Function& callee = module_.functions[site.function];
  if (callee.is_entry) return error("a kernel cannot be called");
  if (site.arguments.size() != callee.parameter_count ||
      site.results.size() != callee.result_count) {
    return error("'" + callee.name + "' has other parameters or results");
  }
  const auto same_sizes = [&](const std::vector<std::uint32_t>& given, std::uint32_t first) {
    for (std::size_t i = 0; i < given.size(); ++i) {
      if (function_.params[given[i]].bytes != callee.params[first + i].bytes) return false;
    }
    return true;
  };
  if (!same_sizes(site.arguments, 0) || !same_sizes(site.results, callee.parameter_count)) {
    return error("'" + callee.name + "' has parameters or results of other sizes");
  }
  out_.mode32 = static_cast<std::uint32_t>(function_.calls.size());
  function_.calls.push_back(std::move(site));
  return {};
}

Result<void> Decoder::ret() {
  modifiers_.take("uni");
  return alone(Opcode::kRet);
}

// --- between threads -----------------------------------------------------------------------------

Result<void> Decoder::bar() {
  const bool aligned_always = modifiers_.opcode() == "bar";
  if (aligned_always && modifiers_.take("warp")) {
    out_.opcode = Opcode::kWarpBarrier;
    if (!modifiers_.take("sync")) return unknown();
    return finish("u");
  }
  out_.opcode = Opcode::kBarrier;
  modifiers_.take("cta");
  const auto& operands = statement_.operands;
  std::size_t at = 0;
  if (modifiers_.take("sync")) {
    out_.uniform = modifiers_.take("aligned") || aligned_always;
    if (!modifiers_.done()) return unknown();
    COLOPHON_TRY(add(Operand{}));
    if (operands.empty() || operands.size() > 2) return error("one or two operands are wanted");
  } else {
    if (!modifiers_.take("red") ||
        !modifiers_.take_one<BarrierKind>(
            {{"popc", BarrierKind::kPopc}, {"and", BarrierKind::kAnd}, {"or", BarrierKind::kOr}},
            out_.mode)) {
      return unknown();
    }
    out_.uniform = modifiers_.take("aligned") || aligned_always;
    const bool count = out_.mode == static_cast<std::uint8_t>(BarrierKind::kPopc);
    if (!modifiers_.take(count ? "u32" : "pred") || !modifiers_.done()) return unknown();
    if (operands.size() < 3 || operands.size() > 4) return error("3 or 4 operands are wanted");
    COLOPHON_TRY(destination(operands[at++], count ? 4 : 0));
  }
  const bool reduces = out_.mode != static_cast<std::uint8_t>(BarrierKind::kSync);
  COLOPHON_TRY(source(operands[at++], 4));
  if (at + (reduces ? 1 : 0) < operands.size()) {
    COLOPHON_TRY(source(operands[at++], 4));
  } else {
    COLOPHON_TRY(add(Operand{}));
  }
  return reduces ? source(operands[at], 0) : add(Operand{});
}

Result<void> Decoder::shfl() {
  out_.opcode = Opcode::kShfl;
  if (!modifiers_.take("sync") || !modifiers_.take_one<Shuffle>({{"up", Shuffle::kUp},
                                                                 {"down", Shuffle::kDown},
                                                                 {"bfly", Shuffle::kBfly},
                                                                 {"idx", Shuffle::kIdx}},
                                                                out_.mode)) {
    return unknown();
  }
  if (!modifiers_.take("b32")) return unknown();
  return finish("Duuuu");
}

Result<void> Decoder::vote() {
  out_.opcode = Opcode::kVote;
  if (!modifiers_.take("sync") || !modifiers_.take_one<Vote>({{"all", Vote::kAll},
                                                              {"any", Vote::kAny},
                                                              {"uni", Vote::kUni},
                                                              {"ballot", Vote::kBallot}},
                                                             out_.mode)) {
    return unknown();
  }
  const bool ballot = out_.mode == static_cast<std::uint8_t>(Vote::kBallot);
  if (!modifiers_.take(ballot ? "b32" : "pred")) return unknown();
  return finish(ballot ? "Uqu" : "pqu");
}

Result<void> Decoder::match() {
  out_.opcode = Opcode::kMatch;
  if (!modifiers_.take_one<Match>({{"any", Match::kAny}, {"all", Match::kAll}}, out_.mode) ||
      !modifiers_.take("sync") || !modifiers_.take_type(kBits32, out_.type)) {
    return unknown();
  }
  const bool all = out_.mode == static_cast<std::uint8_t>(Match::kAll);
  if (!all && !statement_.operands.empty() && !statement_.operands[0].second.empty()) {
    return error("its destination must be a register");
  }
  return finish("Dsu");
}

Result<void> Decoder::redux() {
  out_.opcode = Opcode::kRedux;
  Atomic operation = Atomic::kAdd;
  if (!modifiers_.take("sync") || !modifiers_.take_one<Atomic>({{"add", Atomic::kAdd},
                                                                {"min", Atomic::kMin},
                                                                {"max", Atomic::kMax},
                                                                {"and", Atomic::kAnd},
                                                                {"or", Atomic::kOr},
                                                                {"xor", Atomic::kXor}},
                                                               operation)) {
    return unknown();
  }
  out_.mode = static_cast<std::uint8_t>(operation);
  const bool bits = operation >= Atomic::kAnd;
  if (!modifiers_.take_type(bits ? set_of({Type::kB32}) : set_of({Type::kU32, Type::kS32}),
                            out_.type)) {
    return unknown();
  }
  return finish("dsu");
}

Result<void> Decoder::activemask() {
  out_.opcode = Opcode::kActivemask;
  if (!modifiers_.take("b32")) return unknown();
  return finish("U");
}

Result<void> Decoder::elect() {
  out_.opcode = Opcode::kElect;
  if (!modifiers_.take("sync")) return unknown();
  return finish("Du");
}

Result<void> decode(const Statement& statement, const Names& names, const Module& module,
                    Function& function, std::vector<std::pair<std::uint32_t, LabelUse>>& labels) {
  return Decoder(statement, names, module, function, labels).run();
}

std::string_view opcode_name(Opcode opcode) {
  static constexpr std::string_view kNames[] = {"add",
                                                "sub",
                                                "mul.lo",
                                                "mul.hi",
                                                "mul.wide",
                                                "mad.lo",
                                                "mad.hi",
                                                "mad.wide",
                                                "sad",
                                                "div",
                                                "rem",
                                                "abs",
                                                "neg",
                                                "min",
                                                "max",
                                                "popc",
                                                "clz",
                                                "bfind",
                                                "bfind.shiftamt",
                                                "brev",
                                                "bfe",
                                                "bfi",
                                                "and",
                                                "or",
                                                "xor",
                                                "not",
                                                "cnot",
                                                "lop3",
                                                "shf",
                                                "shl",
                                                "shr",
                                                "prmt",
                                                "selp",
                                                "slct",
                                                "set",
                                                "setp",
                                                "mov",
                                                "mov (special register)",
                                                "mov (pack)",
                                                "mov (unpack)",
                                                "cvt",
                                                "cvta",
                                                "isspacep",
                                                "ld",
                                                "st",
                                                "atom",
                                                "red",
                                                "prefetch",
                                                "fence",
                                                "nanosleep",
                                                "bra",
                                                "brx.idx",
                                                "call",
                                                "ret",
                                                "exit",
                                                "trap",
                                                "barrier",
                                                "bar.warp",
                                                "shfl",
                                                "vote",
                                                "match",
                                                "redux",
                                                "activemask",
                                                "elect"};
  static_assert(std::size(kNames) == static_cast<std::size_t>(Opcode::kCount));
  return kNames[static_cast<std::size_t>(opcode)];
}

}  // namespace colophon::gpu_emulator
