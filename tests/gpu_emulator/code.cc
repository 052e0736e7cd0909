// SPDX-License-Identifier: Apache-2.0
//
// From a parsed function to operations whose operands are rows of a frame.
#include <algorithm>
#include <map>
#include <utility>

#include "tests/gpu_emulator/ptx_syntax.h"
#include "tests/gpu_emulator/warp.h"

namespace colophon::gpu_emulator {
namespace {

constexpr std::uint32_t kNoRow = UINT32_MAX;
constexpr std::uint32_t kFirstSharedOffset = 1024;  // as on a card, where the system has the first
constexpr std::uint32_t kSharedGap = 256;           // between variables: an overrun is in none
constexpr std::uint64_t kFrameBytesMax = std::uint64_t{1} << 28;

// The next address that is aligned to `alignment` and to no more.
std::uint64_t exactly_aligned(std::uint64_t from, std::uint64_t alignment) {
  const std::uint64_t up = (from + alignment - 1) / alignment * alignment;
  return up / alignment % 2 == 1 ? up : up + alignment;
}

// Operands that come first and are written.
unsigned destinations(const Instruction& i) {
  switch (i.opcode) {
    case Opcode::kSt:
    case Opcode::kPrefetch:
    case Opcode::kFence:
    case Opcode::kNanosleep:
    case Opcode::kBra:
    case Opcode::kBrx:
    case Opcode::kCall:
    case Opcode::kRet:
    case Opcode::kExit:
    case Opcode::kTrap:
    case Opcode::kWarpBarrier:
      return 0;
    case Opcode::kSetp:
    case Opcode::kShfl:
    case Opcode::kMatch:
    case Opcode::kElect:
      return 2;
    case Opcode::kLd:
    case Opcode::kUnpack:
      return i.vector;
    default:
      return 1;
  }
}

// Bytes of a row that stands for a constant as operand `at`; loads and stores apart.
unsigned source_bytes(const Instruction& i, unsigned at) {
  const unsigned bytes = bytes_of(i.type);
  switch (i.opcode) {
    case Opcode::kMadWide:
      return at == 3 ? 2 * bytes : bytes;
    case Opcode::kBfe:
    case Opcode::kShl:
    case Opcode::kShr:
      return at >= 2 ? 4 : bytes;
    case Opcode::kBfi:
    case Opcode::kSlct:
      return at >= 3 ? 4 : bytes;
    case Opcode::kSet:
    case Opcode::kSetp:
    case Opcode::kCvt:
      return std::max(2U, bytes_of(i.source_type));
    case Opcode::kPack:
      return bytes / i.vector;
    case Opcode::kMatch:
      return at == 2 ? bytes : 4;
    case Opcode::kAtom:
    case Opcode::kRed:
      return at == 1 ? 8 : bytes;
    case Opcode::kPrefetch:
    case Opcode::kCvta:
    case Opcode::kIsspacep:
      return 8;
    case Opcode::kBrx:
    case Opcode::kBarrier:
    case Opcode::kWarpBarrier:
    case Opcode::kShfl:
    case Opcode::kVote:
    case Opcode::kElect:
      return 4;
    default:
      return bytes;
  }
}

class FunctionCoder {
 public:
  FunctionCoder(const Module& module, const Function& function, const Code& code)
      : module_(module), function_(function), code_(code) {
    out_.source = &function;
  }

  Result<FunctionCode> run() {
    place_locals();
    find_lives();
    sink_ = allocate(256);
    predicate_sink_ = allocate(4);
    for (std::size_t i = 0; i < uses_.size(); ++i) {
      const Life& life = uses_[i];
      if (life.used && !life.local) rows_[i] = allocate(row_bytes(function_.registers[i]));
    }
    for (const BasicBlock& block : function_.blocks) COLOPHON_TRY(emit(block));
    add_calls();
    for (std::uint32_t i = 0; i < function_.parameter_count + function_.result_count; ++i) {
      if (function_.is_entry) break;
      for (std::uint32_t word = 0; word < words(function_.params[i]); ++word) {
        out_.param_rows.push_back(rows_[function_.params[i].first_register + word]);
      }
    }
    if (local_bytes_ > 2 * kLocalBytesMax) {
      return line_error(function_.line, "'" + function_.name + "' has too much local memory",
                        ErrorCode::kLimitExceeded);
    }
    if (frame_bytes_ > kFrameBytesMax) {
      return line_error(function_.line, "'" + function_.name + "' has too many registers",
                        ErrorCode::kLimitExceeded);
    }
    out_.frame_bytes = static_cast<std::uint32_t>((frame_bytes_ + 63) / 64 * 64);
    return std::move(out_);
  }

 private:
  // A register that is written before it is read in the one block that has it shares its row with
  // others of its width: what is used together stays together in the cache.
  struct Life {
    bool used = false;
    bool local = true;
    std::uint32_t block = 0;
    std::uint32_t last = 0;  // instruction
  };

  static std::uint32_t words(const Param& param) { return (param.bytes + 3) / 4; }
  static std::uint32_t row_bytes(Type type) {
    return type == Type::kPred ? 4 : kLanes * bytes_of(type);
  }

  std::uint32_t allocate(std::uint32_t bytes) {
    if (bytes == 4) {
      // Sixteen predicates to a cache line.
      if (predicates_ % 16 == 0) {
        predicate_row_ = frame_bytes_;
        frame_bytes_ += 64;
      }
      return static_cast<std::uint32_t>(predicate_row_) + 4 * (predicates_++ % 16);
    }
    const std::uint64_t row = frame_bytes_;
    frame_bytes_ += bytes;
    return row > kFrameBytesMax ? 0 : static_cast<std::uint32_t>(row);
  }

  void place_locals() {
    std::uint64_t end = 0;
    for (const Operand& operand : function_.operands) {
      if (operand.kind != Operand::Kind::kVariable) continue;
      const Variable& variable = module_.variables[operand.index];
      if (variable.space != Space::kLocal || locals_.count(operand.index) != 0) continue;
      const std::uint64_t at = exactly_aligned(end, variable.alignment);
      if (end == 0) out_.local_first = static_cast<std::uint32_t>(at);
      locals_[operand.index] = at - out_.local_first;
      end = at + variable.bytes;
    }
    local_bytes_ = end - out_.local_first;
  }

  // use(register) for what an instruction reads, then def(register, whole) for what it writes.
  template <class Use, class Def>
  void visit(const Instruction& i, Use&& use, Def&& def) const {
    const Operand* const operands = function_.operands_of(i);
    const unsigned defs = destinations(i);
    const bool whole = !i.guarded;
    if (i.guarded) use(i.guard);
    const auto each_word = [&](const Operand& operand, auto&& act) {
      const std::uint32_t bytes = bytes_of(i.type) * i.vector;
      const std::uint32_t first = function_.params[operand.index].first_register;
      const auto offset = static_cast<std::uint32_t>(operand.value);
      for (std::uint32_t at = offset / 4; at <= (offset + bytes - 1) / 4; ++at) act(first + at);
    };
    for (unsigned k = defs; k < i.operand_count; ++k) {
      if (operands[k].kind == Operand::Kind::kRegister) use(operands[k].index);
      if (in_words(operands[k]) && i.opcode == Opcode::kLd) each_word(operands[k], use);
    }
    if (i.opcode == Opcode::kCall) {
      const CallSite& site = function_.calls[i.mode32];
      for (const std::uint32_t param : site.arguments) each_register(param, use);
      for (const std::uint32_t param : site.results) {
        each_register(param, [&](std::uint32_t r) { def(r, whole); });
      }
    }
    if (i.opcode == Opcode::kSt && in_words(operands[0])) {
      const bool all = whole && bytes_of(i.type) >= 4;
      each_word(operands[0], [&](std::uint32_t r) { def(r, all); });
    }
    for (unsigned k = 0; k < defs && k < i.operand_count; ++k) {
      if (operands[k].kind == Operand::Kind::kRegister) def(operands[k].index, whole);
    }
  }
  template <class F>
  void each_register(std::uint32_t param, F&& act) const {
    const Param& p = function_.params[param];
    for (std::uint32_t word = 0; word < words(p); ++word) act(p.first_register + word);
  }
  // A .param variable that is kept in registers.
  [[nodiscard]] bool in_words(const Operand& operand) const {
    return operand.kind == Operand::Kind::kParam &&
           !(function_.is_entry && operand.index < function_.parameter_count);
  }

  void find_lives() {
    uses_.resize(function_.registers.size());
    rows_.assign(function_.registers.size(), kNoRow);
    for (std::uint32_t b = 0; b < function_.blocks.size(); ++b) {
      const BasicBlock& block = function_.blocks[b];
      for (std::uint32_t at = block.first; at < block.end; ++at) {
        const auto touch = [&](std::uint32_t r, bool written_first) {
          Life& life = uses_[r];
          if (!life.used) {
            life.used = true;
            life.block = b;
            life.local = written_first;
          }
          if (life.block != b) life.local = false;
          life.last = at;
        };
        visit(
            function_.instructions[at], [&](std::uint32_t r) { touch(r, false); },
            [&](std::uint32_t r, bool whole) { touch(r, whole); });
      }
    }
    // What a call passes in and out is there before and after.
    if (function_.is_entry) return;
    for (std::uint32_t i = 0; i < function_.parameter_count + function_.result_count; ++i) {
      each_register(i, [&](std::uint32_t r) {
        uses_[r].used = true;
        uses_[r].local = false;
      });
    }
  }

  Result<void> emit(const BasicBlock& block) {
    std::map<std::uint32_t, std::vector<std::uint32_t>>& free = free_rows_;
    for (std::uint32_t at = block.first; at < block.end; ++at) {
      const Instruction& i = function_.instructions[at];
      std::vector<std::uint32_t> ending;
      const auto end_here = [&](std::uint32_t r) {
        if (uses_[r].local && uses_[r].last == at) ending.push_back(r);
      };
      const auto begin_here = [&](std::uint32_t r) {
        if (!uses_[r].local || rows_[r] != kNoRow) return;
        std::vector<std::uint32_t>& rows = free[row_bytes(function_.registers[r])];
        if (rows.empty()) {
          rows_[r] = allocate(row_bytes(function_.registers[r]));
        } else {
          rows_[r] = rows.back();
          rows.pop_back();
        }
      };
      visit(
          i, [&](std::uint32_t r) { end_here(r); },
          [&](std::uint32_t r, bool) {
            begin_here(r);
            end_here(r);
          });
      COLOPHON_TRY(emit(i, at));
      std::sort(ending.begin(), ending.end());
      ending.erase(std::unique(ending.begin(), ending.end()), ending.end());
      for (const std::uint32_t r : ending) {
        free[row_bytes(function_.registers[r])].push_back(rows_[r]);
      }
    }
    return {};
  }

  std::uint32_t constant(std::uint64_t value, unsigned bytes, bool local = false) {
    if (bytes < 8) value &= (std::uint64_t{1} << (8 * bytes)) - 1;
    const auto [found, added] = constants_.try_emplace({value, bytes, local}, kNoRow);
    if (added) {
      found->second = allocate(kLanes * bytes);
      out_.constants.push_back({found->second, static_cast<std::uint8_t>(bytes), local, value});
    }
    return found->second;
  }

  // `bytes`: of the row.
  std::uint32_t row_of(const Operand& operand, unsigned bytes) {
    switch (operand.kind) {
      case Operand::Kind::kRegister:
        return rows_[operand.index];
      case Operand::Kind::kImmediate:
        // Of a predicate: all lanes' bits, in the first word of a row.
        return constant(static_cast<std::uint64_t>(operand.value), bytes == 0 ? 4 : bytes);
      case Operand::Kind::kVariable: {
        const bool local = module_.variables[operand.index].space == Space::kLocal;
        const std::uint64_t address =
            local ? locals_[operand.index] : code_.addresses[operand.index];
        return constant(address + static_cast<std::uint64_t>(operand.value), bytes, local);
      }
      case Operand::Kind::kParam:
        return constant(kParamWindow + function_.params[operand.index].offset +
                            static_cast<std::uint64_t>(operand.value),
                        bytes);
      default:
        return bytes == 0 ? predicate_sink_ : sink_;
    }
  }

  [[nodiscard]] unsigned register_bytes(const Operand& operand) const {
    return bytes_of(function_.registers[operand.index]);
  }

  // Rows of a load or store. Registers of a vector all have one width, which `data_bytes` becomes.
  Result<ParamKind> emit_access(const Instruction& i, Op& op, unsigned& data_bytes) {
    const Operand* const operands = function_.operands_of(i);
    const bool load = i.opcode == Opcode::kLd;
    const Operand* const data = operands + (load ? 0 : 1);
    const Operand& address = operands[load ? i.vector : 0];
    data_bytes = 0;
    for (unsigned k = 0; k < i.vector; ++k) {
      if (data[k].kind != Operand::Kind::kRegister) continue;
      if (data_bytes != 0 && data_bytes != register_bytes(data[k])) {
        return line_error(i.line, "a vector of registers of different widths",
                          ErrorCode::kUnsupported);
      }
      data_bytes = register_bytes(data[k]);
    }
    if (data_bytes == 0) data_bytes = std::max(2U, bytes_of(i.type));
    const bool words = in_words(address);
    const bool data_first = load || words;
    for (unsigned k = 0; k < i.vector; ++k) {
      op.row[(data_first ? 0 : 1) + k] = row_of(data[k], data_bytes);
    }
    if (words) {
      const auto offset = static_cast<std::uint32_t>(address.value);
      const std::uint32_t first = offset / 4;
      const std::uint32_t count = (offset % 4 + bytes_of(i.type) * i.vector + 3) / 4;
      if (i.vector + count > kRowsMax) {
        return line_error(i.line, "too long a vector of a parameter", ErrorCode::kUnsupported);
      }
      for (std::uint32_t k = 0; k < count; ++k) {
        op.row[i.vector + k] = rows_[function_.params[address.index].first_register + first + k];
      }
      op.value = offset % 4;
      return ParamKind::kWords;
    }
    if (address.kind == Operand::Kind::kParam) {
      op.value = function_.params[address.index].offset + address.value;
      return ParamKind::kArgument;
    }
    emit_address(address, op, op.row[data_first ? i.vector : 0]);
    return ParamKind::kNone;
  }

  void emit_address(const Operand& address, Op& op, std::uint32_t& row) {
    if (address.kind == Operand::Kind::kRegister) {
      op.value = address.value;
      if (register_bytes(address) == 4) op.flags |= Op::kNarrowAddress;
      row = rows_[address.index];
    } else {
      row = row_of(address, 8);
    }
  }

  Result<void> emit(const Instruction& i, std::uint32_t at) {
    Op op;
    op.instruction = at;
    op.mode = i.mode;
    op.vector = i.vector;
    op.space = i.space;
    if (i.guarded) {
      op.guard = rows_[i.guard];
      if (i.guard_negated) op.flags |= Op::kGuardNegated;
    }
    const Operand* const operands = function_.operands_of(i);
    const unsigned defs = destinations(i);
    unsigned to_bytes = 0;
    unsigned from_bytes = 0;
    ParamKind param = ParamKind::kNone;
    if (i.opcode == Opcode::kLd || i.opcode == Opcode::kSt) {
      COLOPHON_TRY_ASSIGN(param, emit_access(i, op, to_bytes));
      op.mode = static_cast<std::uint8_t>(i.meeting);
    } else if (i.opcode == Opcode::kAtom || i.opcode == Opcode::kRed) {
      op.row[0] = row_of(operands[0], bytes_of(i.type));
      emit_address(operands[1], op, op.row[1]);
      for (unsigned k = 2; k < i.operand_count; ++k) {
        op.row[k] = row_of(operands[k], bytes_of(i.type));
      }
    } else if (i.opcode != Opcode::kPrefetch && i.opcode != Opcode::kBra) {
      for (unsigned k = 0; k < i.operand_count; ++k) {
        const bool second_predicate = defs == 2 && k == 1;
        const bool predicate = second_predicate || (i.opcode == Opcode::kSetp && k == 0);
        op.row[k] = row_of(operands[k], predicate ? 0 : source_bytes(i, k));
        if (operands[k].negated) op.flags |= Op::kSourceNegated;
      }
      if (i.operand_count != 0 && operands[0].kind == Operand::Kind::kRegister) {
        to_bytes = register_bytes(operands[0]);
      }
      if (i.operand_count > 1) {
        from_bytes = operands[1].kind == Operand::Kind::kRegister ? register_bytes(operands[1])
                                                                  : source_bytes(i, 1);
      }
    }
    if (i.opcode == Opcode::kSet || i.opcode == Opcode::kSetp) op.mode = i.mode2;
    if (i.opcode == Opcode::kMovSpecial) op.mode = static_cast<std::uint8_t>(operands[1].index);
    if (i.opcode == Opcode::kCvt) {
      op.mode = static_cast<std::uint8_t>(static_cast<unsigned>(i.type) |
                                          static_cast<unsigned>(i.source_type) << 4);
      op.vector = i.saturate ? 1 : 0;
    }
    op.run = bind_arithmetic(i);
    if (op.run == nullptr) op.run = bind_logic(i);
    if (op.run == nullptr) op.run = bind_move(i, to_bytes, from_bytes);
    if (op.run == nullptr) op.run = bind_memory(i, to_bytes, param);
    if (op.run == nullptr) op.run = bind_exchange(i);
    const bool control =
        (i.opcode >= Opcode::kBra && i.opcode <= Opcode::kTrap) || i.opcode == Opcode::kBarrier;
    if (op.run == nullptr && !control) {
      return line_error(i.line, "'" + std::string(opcode_name(i.opcode)) + "' of such a type",
                        ErrorCode::kUnsupported);
    }
    out_.ops.push_back(op);
    return {};
  }

  void add_calls() {
    for (const CallSite& site : function_.calls) {
      FunctionCode::Call call;
      call.function = site.function;
      for (const std::uint32_t param : site.arguments) {
        each_register(param, [&](std::uint32_t r) { call.arguments.push_back(rows_[r]); });
      }
      for (const std::uint32_t param : site.results) {
        each_register(param, [&](std::uint32_t r) { call.results.push_back(rows_[r]); });
      }
      out_.calls.push_back(std::move(call));
    }
    out_.local_bytes = static_cast<std::uint32_t>(local_bytes_);
  }

  const Module& module_;
  const Function& function_;
  const Code& code_;
  FunctionCode out_;
  std::vector<Life> uses_;
  std::vector<std::uint32_t> rows_;                                // of registers
  std::map<std::uint32_t, std::vector<std::uint32_t>> free_rows_;  // by bytes
  std::map<std::tuple<std::uint64_t, unsigned, bool>, std::uint32_t> constants_;
  std::map<std::uint32_t, std::uint64_t> locals_;  // offset by variable
  std::uint64_t local_bytes_ = 0;
  std::uint64_t frame_bytes_ = 0;
  std::uint64_t predicate_row_ = 0;
  std::uint32_t predicates_ = 0;
  std::uint32_t sink_ = 0;
  std::uint32_t predicate_sink_ = 0;
};

}  // namespace

Result<Code> make_code(const Module& module, std::vector<std::uint64_t> addresses) {
  Code code;
  code.addresses = std::move(addresses);
  std::uint64_t end = kFirstSharedOffset;
  std::uint32_t dynamic_alignment = 16;  // what CUDA gives in any case
  for (std::uint32_t i = 0; i < module.variables.size(); ++i) {
    const Variable& variable = module.variables[i];
    if (variable.space != Space::kShared) continue;
    if (variable.dynamic) {
      dynamic_alignment = std::max(dynamic_alignment, variable.alignment);
      continue;
    }
    const std::uint64_t at = exactly_aligned(end, variable.alignment);
    end = at + variable.bytes + kSharedGap;
    if (end > UINT32_MAX / 2) {
      return line_error(variable.line, "too many .shared variables", ErrorCode::kLimitExceeded);
    }
    code.addresses[i] = at;
    code.shared.push_back({i, static_cast<std::uint32_t>(at)});
  }
  code.dynamic_shared_offset = static_cast<std::uint32_t>(exactly_aligned(end, dynamic_alignment));
  for (std::uint32_t i = 0; i < module.variables.size(); ++i) {
    if (module.variables[i].dynamic) code.addresses[i] = code.dynamic_shared_offset;
  }
  for (const Function& function : module.functions) {
    code.functions.emplace_back();
    if (!function.defined) continue;
    COLOPHON_TRY_ASSIGN(code.functions.back(), FunctionCoder(module, function, code).run());
  }
  return code;
}

std::vector<std::uint32_t> reachable(const Module& module, std::uint32_t function) {
  std::vector<std::uint32_t> out = {function};
  for (std::size_t at = 0; at < out.size(); ++at) {
    for (const CallSite& site : module.functions[out[at]].calls) {
      if (std::find(out.begin(), out.end(), site.function) == out.end()) {
        out.push_back(site.function);
      }
    }
  }
  return out;
}

}  // namespace colophon::gpu_emulator
