// SPDX-License-Identifier: Apache-2.0
//
// The rules of arithmetic, bits and data movement.
#include <algorithm>

#include "tests/gpu_emulator/ptx_decode.h"

namespace colophon::gpu_emulator {
namespace {

using Kind = Operand::Kind;

}  // namespace

// --- arithmetic and bits -------------------------------------------------------------------------

Result<void> Decoder::add_sub() {
  const Opcode opcode = modifiers_.opcode() == "add" ? Opcode::kAdd : Opcode::kSub;
  if (modifiers_.take("cc")) {
    out_.carry_out = true;
    return typed(opcode, kIntegers32, "dss");
  }
  if (modifiers_.take("sat")) {
    out_.saturate = true;
    return typed(opcode, set_of({Type::kS32}), "dss");
  }
  return typed(opcode, kIntegers, "dss");
}

Result<void> Decoder::addc_subc() {
  out_.carry_in = true;
  out_.carry_out = modifiers_.take("cc");
  return typed(modifiers_.opcode() == "addc" ? Opcode::kAdd : Opcode::kSub, kIntegers32, "dss");
}

Result<void> Decoder::mul() {
  if (modifiers_.take("lo")) return typed(Opcode::kMulLo, kIntegers, "dss");
  if (modifiers_.take("hi")) return typed(Opcode::kMulHi, kIntegers, "dss");
  if (!modifiers_.take("wide")) return unknown();
  return typed(Opcode::kMulWide, set_of({Type::kU16, Type::kU32, Type::kS16, Type::kS32}), "wss");
}

Result<void> Decoder::mad() {
  out_.carry_in = modifiers_.opcode() == "madc";
  if (!out_.carry_in && modifiers_.take("wide")) {
    return typed(Opcode::kMadWide, set_of({Type::kU16, Type::kU32, Type::kS16, Type::kS32}),
                 "wssW");
  }
  Opcode opcode = Opcode::kMadLo;
  if (!modifiers_.take_one<Opcode>({{"lo", Opcode::kMadLo}, {"hi", Opcode::kMadHi}}, opcode)) {
    return unknown();
  }
  out_.carry_out = modifiers_.take("cc");
  const bool carries = out_.carry_in || out_.carry_out;
  return typed(opcode, carries ? kIntegers32 : kIntegers, "dsss");
}

Result<void> Decoder::lop3() {
  out_.opcode = Opcode::kLop3;
  if (!modifiers_.take("b32") || !modifiers_.done()) return unknown();
  COLOPHON_TRY(no_more_than(5));
  const SyntaxOperand& table = statement_.operands[4];
  if (table.kind != SyntaxOperand::Kind::kNumber || table.negated || table.number.negative ||
      table.number.magnitude > 0xff) {
    return error("its last operand must be a constant of 8 bits");
  }
  out_.mode = static_cast<std::uint8_t>(table.number.magnitude);
  COLOPHON_TRY(destination(statement_.operands[0], 4));
  for (std::size_t i = 1; i <= 3; ++i) COLOPHON_TRY(source(statement_.operands[i], 4));
  return {};
}

Result<void> Decoder::shf() {
  const bool left = modifiers_.take("l");
  if (!left && !modifiers_.take("r")) return unknown();
  if (!modifiers_.take_one<Funnel>({{"clamp", left ? Funnel::kLeftClamp : Funnel::kRightClamp},
                                    {"wrap", left ? Funnel::kLeftWrap : Funnel::kRightWrap}},
                                   out_.mode)) {
    return unknown();
  }
  return typed(Opcode::kShf, set_of({Type::kB32}), "dssu");
}

Result<void> Decoder::prmt() {
  out_.opcode = Opcode::kPrmt;
  if (!modifiers_.take("b32")) return unknown();
  modifiers_.take_one<Permute>({{"f4e", Permute::kF4e},
                                {"b4e", Permute::kB4e},
                                {"rc8", Permute::kRc8},
                                {"ecl", Permute::kEcl},
                                {"ecr", Permute::kEcr},
                                {"rc16", Permute::kRc16}},
                               out_.mode);
  return finish("dssu");
}

Result<void> Decoder::slct() {
  out_.opcode = Opcode::kSlct;
  if (!modifiers_.take_type(kBits | kIntegers | kFloats, out_.type) || !modifiers_.take("s32")) {
    return unknown();
  }
  return finish("dssu");
}

Result<void> Decoder::set_setp() {
  const bool is_set = modifiers_.opcode() == "set";
  out_.opcode = is_set ? Opcode::kSet : Opcode::kSetp;
  bool of_unsigned = false;
  bool ordered = modifiers_.take_one<Comparison>({{"lt", Comparison::kLt},
                                                  {"le", Comparison::kLe},
                                                  {"gt", Comparison::kGt},
                                                  {"ge", Comparison::kGe}},
                                                 out_.mode);
  if (!ordered) {
    ordered = of_unsigned = modifiers_.take_one<Comparison>({{"lo", Comparison::kLt},
                                                             {"ls", Comparison::kLe},
                                                             {"hi", Comparison::kGt},
                                                             {"hs", Comparison::kGe}},
                                                            out_.mode);
  }
  if (!ordered && !modifiers_.take_one<Comparison>(
                      {{"eq", Comparison::kEq}, {"ne", Comparison::kNe}}, out_.mode)) {
    return unknown();
  }
  const bool combined = modifiers_.take_one<Combine>(
      {{"and", Combine::kAnd}, {"or", Combine::kOr}, {"xor", Combine::kXor}}, out_.mode2);
  if (is_set && !modifiers_.take_type(set_of({Type::kU32, Type::kS32}), out_.type)) {
    return unknown();
  }
  const std::uint32_t types = of_unsigned ? kUnsigned : ordered ? kIntegers : kIntegers | kBits;
  if (!modifiers_.take_type(types, out_.source_type) || !modifiers_.done()) return unknown();
  COLOPHON_TRY(no_more_than(combined ? 4 : 3));
  const Type destination_type = out_.type;
  out_.type = out_.source_type;
  if (is_set) {
    COLOPHON_TRY(signature(combined ? "Ussq" : "Uss"));
    out_.type = destination_type;
    return {};
  }
  return signature(combined ? "Pssq" : "Pss");
}

// --- data movement -------------------------------------------------------------------------------

constexpr std::pair<std::string_view, Special> kSpecials[] = {
    {"%tid.x", Special::kTidX},
    {"%tid.y", Special::kTidY},
    {"%tid.z", Special::kTidZ},
    {"%ntid.x", Special::kNtidX},
    {"%ntid.y", Special::kNtidY},
    {"%ntid.z", Special::kNtidZ},
    {"%ctaid.x", Special::kCtaidX},
    {"%ctaid.y", Special::kCtaidY},
    {"%ctaid.z", Special::kCtaidZ},
    {"%nctaid.x", Special::kNctaidX},
    {"%nctaid.y", Special::kNctaidY},
    {"%nctaid.z", Special::kNctaidZ},
    {"%laneid", Special::kLaneid},
    {"%warpid", Special::kWarpid},
    {"%nwarpid", Special::kNwarpid},
    {"%lanemask_eq", Special::kLanemaskEq},
    {"%lanemask_le", Special::kLanemaskLe},
    {"%lanemask_lt", Special::kLanemaskLt},
    {"%lanemask_ge", Special::kLanemaskGe},
    {"%lanemask_gt", Special::kLanemaskGt},
    {"%dynamic_smem_size", Special::kDynamicSmemSize},
    {"%clock64", Special::kClock64},
};
static_assert(std::size(kSpecials) == static_cast<std::size_t>(Special::kCount));

Result<void> Decoder::mov() {
  out_.opcode = Opcode::kMov;
  if (!modifiers_.take_type(kBits | kIntegers | kFloats | kPredicate, out_.type) ||
      !modifiers_.done()) {
    return unknown();
  }
  COLOPHON_TRY(no_more_than(2));
  const SyntaxOperand& to = statement_.operands[0];
  const SyntaxOperand& from = statement_.operands[1];
  const unsigned bytes = bytes_of(out_.type);
  if (to.kind == SyntaxOperand::Kind::kVector || from.kind == SyntaxOperand::Kind::kVector) {
    const bool pack = from.kind == SyntaxOperand::Kind::kVector;
    const SyntaxOperand& vector = pack ? from : to;
    if ((kBits >> static_cast<unsigned>(out_.type) & 1) == 0) return unknown();
    if ((vector.count != 2 && vector.count != 4) || bytes / vector.count < 2) {
      return error("a vector of " + std::to_string(vector.count) + " in " +
                   std::to_string(8 * bytes) + " bits");
    }
    out_.opcode = pack ? Opcode::kPack : Opcode::kUnpack;
    out_.vector = static_cast<std::uint8_t>(vector.count);
    if (pack) COLOPHON_TRY(destination(to, bytes));
    COLOPHON_TRY(elements_of(vector, bytes / vector.count, !pack, false));
    return pack ? Result<void>() : source(from, bytes);
  }
  COLOPHON_TRY(destination(to, bytes));
  if (bytes == 0 && from.kind == SyntaxOperand::Kind::kNumber && !from.negated) {
    Operand out;
    out.kind = Kind::kImmediate;
    out.value = from.number.magnitude == 0 ? 0 : -1;
    return add(out);
  }
  if (from.kind == SyntaxOperand::Kind::kWord && !from.negated && from.second.empty()) {
    Operand out;
    const auto special = std::find_if(std::begin(kSpecials), std::end(kSpecials),
                                      [&](const auto& entry) { return entry.first == from.word; });
    if (special != std::end(kSpecials)) {
      const unsigned own_bytes = special->second == Special::kClock64 ? 8 : 4;
      if (bytes != own_bytes || from.number.magnitude != 0) {
        return error("special registers have 32 bits, %clock64 has 64");
      }
      out_.opcode = Opcode::kMovSpecial;
      out.kind = Kind::kSpecial;
      out.index = static_cast<std::uint32_t>(special->second);
      return add(out);
    }
    const auto name = names_.find(from.word);
    if (name && (name->kind == Name::Kind::kVariable || name->kind == Name::Kind::kParam)) {
      const bool is_variable = name->kind == Name::Kind::kVariable;
      const Space space = is_variable ? module_.variables[name->index].space : Space::kParam;
      const bool narrow = space == Space::kShared || space == Space::kLocal;
      if (bytes != 8 && !(bytes == 4 && narrow)) {
        return error("an address does not fit " + std::to_string(8 * bytes) + " bits");
      }
      if (!is_variable && !(function_.is_entry && name->index < function_.parameter_count)) {
        return error("the address of a .param variable that is no kernel's parameter");
      }
      if (!from.number.fits(32)) return error("an offset does not fit 32 bits");
      out.kind = is_variable ? Kind::kVariable : Kind::kParam;
      out.index = name->index;
      out.value = static_cast<std::int64_t>(from.number.bits());
      return add(out);
    }
  }
  return source(from, bytes);
}

Result<void> Decoder::cvt() {
  out_.opcode = Opcode::kCvt;
  out_.saturate = modifiers_.take("sat");
  const std::uint32_t types = kIntegers | set_of({Type::kU8, Type::kS8});
  if (!modifiers_.take_type(types, out_.type) || !modifiers_.take_type(types, out_.source_type) ||
      !modifiers_.done()) {
    return unknown();
  }
  COLOPHON_TRY(no_more_than(2));
  COLOPHON_TRY(destination(statement_.operands[0], bytes_of(out_.type), true));
  return source(statement_.operands[1], bytes_of(out_.source_type), true);
}

Result<void> Decoder::cvta() {
  out_.opcode = Opcode::kCvta;
  out_.uniform = modifiers_.take("to");
  if (!modifiers_.take_space(out_.space) ||
      !modifiers_.take_type(set_of({Type::kU64}), out_.type) || !modifiers_.done()) {
    return unknown();
  }
  COLOPHON_TRY(no_more_than(2));
  const SyntaxOperand& from = statement_.operands[1];
  const auto name = names_.find(from.word);
  if (out_.uniform || !name || name->kind != Name::Kind::kVariable) return signature("ds");
  if (module_.variables[name->index].space != out_.space || !from.number.fits(32)) {
    return error("'" + std::string(from.word) + "' is in another state space");
  }
  COLOPHON_TRY(destination(statement_.operands[0], 8));
  Operand out;
  out.kind = Kind::kVariable;
  out.index = name->index;
  out.value = static_cast<std::int64_t>(from.number.bits());
  return add(out);
}

Result<void> Decoder::isspacep() {
  out_.opcode = Opcode::kIsspacep;
  out_.type = Type::kB64;
  if (!modifiers_.take_space(out_.space)) return unknown();
  return finish("ps");
}

Result<void> Decoder::ld_st() {
  const bool load = modifiers_.opcode() == "ld";
  out_.opcode = load ? Opcode::kLd : Opcode::kSt;
  // How it meets other threads, then where.
  bool meeting = false;
  if (!modifiers_.take("weak")) {
    meeting = modifiers_.take("volatile");
    if (!meeting) {
      meeting = modifiers_.take("relaxed") || modifiers_.take(load ? "acquire" : "release");
      if (meeting && !modifiers_.take("cta") && !modifiers_.take("cluster") &&
          !modifiers_.take("gpu") && !modifiers_.take("sys")) {
        return unknown();
      }
    }
  }
  if (meeting) out_.meeting = Meeting::kStrong;
  modifiers_.take_space(out_.space);
  if (load && !meeting && out_.space == Space::kGlobal && modifiers_.take("nc")) {
    out_.meeting = Meeting::kNonCoherent;
  }
  // What caches should do: nothing, here.
  for (const std::string_view word : {"ca", "cg", "cs", "lu", "cv", "wb", "wt"}) {
    if (modifiers_.take(word)) break;
  }
  for (const std::string_view word : {"L1::evict_normal", "L1::evict_unchanged", "L1::evict_first",
                                      "L1::evict_last", "L1::no_allocate"}) {
    if (modifiers_.take(word)) break;
  }
  for (const std::string_view word : {"L2::evict_normal", "L2::evict_first", "L2::evict_last"}) {
    if (modifiers_.take(word)) break;
  }
  for (const std::string_view word : {"L2::64B", "L2::128B", "L2::256B"}) {
    if (load && modifiers_.take(word)) break;
  }
  if (modifiers_.take("v2")) out_.vector = 2;
  if (modifiers_.take("v4")) out_.vector = 4;
  if (modifiers_.take("v8")) out_.vector = 8;
  if (!modifiers_.take_type(kBits | kIntegers | kFloats | kBytes, out_.type) ||
      !modifiers_.done()) {
    return unknown();
  }
  const unsigned bytes = bytes_of(out_.type);
  if (bytes * out_.vector > 32 || (out_.vector == 8 && bytes != 4)) return unknown();
  COLOPHON_TRY(no_more_than(2));
  const SyntaxOperand& where = statement_.operands[load ? 1 : 0];
  const SyntaxOperand& what = statement_.operands[load ? 0 : 1];
  if (load) {
    COLOPHON_TRY(elements_of(what, bytes, true, true));
    return address(where);
  }
  if (out_.space == Space::kConst) return error("constants cannot be stored to");
  COLOPHON_TRY(address(where));
  const Operand& to = function_.operands.back();
  if (out_.space == Space::kParam &&
      (to.kind != Kind::kParam || (function_.is_entry && to.index < function_.parameter_count))) {
    return error("a kernel's parameters cannot be stored to");
  }
  return elements_of(what, bytes, false, true);
}

Result<void> Decoder::atom_red() {
  const bool atom = modifiers_.opcode() == "atom";
  out_.opcode = atom ? Opcode::kAtom : Opcode::kRed;
  for (const std::string_view word : {"relaxed", "acquire", "release", "acq_rel"}) {
    if (modifiers_.take(word)) break;
  }
  for (const std::string_view word : {"cta", "cluster", "gpu", "sys"}) {
    if (modifiers_.take(word)) break;
  }
  if (!modifiers_.take("global") && (modifiers_.take("shared") || modifiers_.take("shared::cta"))) {
    out_.space = Space::kShared;
  }
  Atomic operation = Atomic::kAdd;
  if (!modifiers_.take_one<Atomic>({{"add", Atomic::kAdd},
                                    {"min", Atomic::kMin},
                                    {"max", Atomic::kMax},
                                    {"inc", Atomic::kInc},
                                    {"dec", Atomic::kDec},
                                    {"and", Atomic::kAnd},
                                    {"or", Atomic::kOr},
                                    {"xor", Atomic::kXor}},
                                   operation) &&
      !(atom &&
        modifiers_.take_one<Atomic>({{"exch", Atomic::kExch}, {"cas", Atomic::kCas}}, operation))) {
    return unknown();
  }
  out_.mode = static_cast<std::uint8_t>(operation);
  std::uint32_t types = kBits32;
  if (operation == Atomic::kAdd) types = set_of({Type::kU32, Type::kS32, Type::kU64});
  if (operation == Atomic::kMin || operation == Atomic::kMax) types = kIntegers32;
  if (operation == Atomic::kInc || operation == Atomic::kDec) types = set_of({Type::kU32});
  if (!modifiers_.take_type(types, out_.type) || !modifiers_.done()) return unknown();
  const std::size_t sources = operation == Atomic::kCas ? 2 : 1;
  COLOPHON_TRY(no_more_than((atom ? 2 : 1) + sources));
  const unsigned bytes = bytes_of(out_.type);
  std::size_t at = 0;
  if (atom) {
    COLOPHON_TRY(destination(statement_.operands[at++], bytes, false, true));
  } else {
    COLOPHON_TRY(add(Operand{}));
  }
  COLOPHON_TRY(address(statement_.operands[at++]));
  for (std::size_t i = 0; i < sources; ++i) {
    COLOPHON_TRY(source(statement_.operands[at++], bytes));
  }
  return {};
}

Result<void> Decoder::prefetch() {
  out_.opcode = Opcode::kPrefetch;
  if (modifiers_.opcode() == "prefetchu") {
    if (!modifiers_.take("L1")) return unknown();
  } else {
    if (!modifiers_.take("global") && modifiers_.take("local")) out_.space = Space::kLocal;
    if (!modifiers_.take("L1") && !modifiers_.take("L2") && !modifiers_.take("L2::evict_last") &&
        !modifiers_.take("L2::evict_normal")) {
      return unknown();
    }
  }
  if (!modifiers_.done()) return unknown();
  COLOPHON_TRY(no_more_than(1));
  return address(statement_.operands[0]);
}

}  // namespace colophon::gpu_emulator
