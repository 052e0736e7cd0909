// SPDX-License-Identifier: Apache-2.0
//
// PTX as nvcc 13 emits it ("Parallel Thread Execution ISA", versions 7.0 to 9.x, 64-bit addresses),
// parsed into functions of decoded instructions and basic blocks.
//
// What is read is the integer part of the language: what elliptic curves and hashes compile to,
// inline assembly included. An opcode, modifier, operand or directive that is not known is an error
// with its line, never a guess; so are registers of the wrong width and values that do not fit.
// Not known: floating point (but moves, loads and stores of its registers), textures, matrices,
// asynchronous copies, clusters, calls through a register, video instructions, and the clocks but
// %clock64.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "colophon/error.hpp"

namespace colophon::gpu_emulator {

// --- limits: a text beyond them is refused -------------------------------------------------------

inline constexpr std::size_t kTextBytesMax = std::size_t{256} << 20;
inline constexpr std::uint32_t kRegistersMax = 1 << 20;  // of one function
inline constexpr std::uint32_t kScopesMax = 64;          // nested { }
inline constexpr std::uint64_t kVariableBytesMax = std::uint64_t{1} << 32;
inline constexpr std::uint64_t kLocalBytesMax = 512 * 1024;   // a thread's; the CUDA limit
inline constexpr std::uint64_t kSharedBytesMax = 227 * 1024;  // a block's, compute capability 9.0
inline constexpr std::uint32_t kParamBytesMax = 32764;        // a kernel's, since CUDA 12.1
inline constexpr std::uint32_t kParamVariablesMax = 1 << 16;  // of one function

// --- types ---------------------------------------------------------------------------------------

// In groups of four by width, so that bytes_of() is a shift.
enum class Type : std::uint8_t {
  kB8,
  kB16,
  kB32,
  kB64,
  kU8,
  kU16,
  kU32,
  kU64,
  kS8,
  kS16,
  kS32,
  kS64,
  kF8,  // does not exist
  kF16,
  kF32,
  kF64,
  kPred,
};
constexpr unsigned bytes_of(Type type) {
  return type == Type::kPred ? 0 : 1U << (static_cast<unsigned>(type) & 3);
}
constexpr bool is_signed(Type type) { return type >= Type::kS8 && type <= Type::kS64; }

enum class Space : std::uint8_t { kGeneric, kGlobal, kShared, kLocal, kConst, kParam };

enum class Opcode : std::uint8_t {
  // Arithmetic. Those with carries say so in `carry_in` and `carry_out`.
  kAdd,
  kSub,
  kMulLo,
  kMulHi,
  kMulWide,
  kMadLo,
  kMadHi,
  kMadWide,
  kSad,
  kDiv,
  kRem,
  kAbs,
  kNeg,
  kMin,
  kMax,
  // Bits.
  kPopc,
  kClz,
  kBfind,
  kBfindShift,
  kBrev,
  kBfe,
  kBfi,
  kAnd,
  kOr,
  kXor,
  kNot,
  kCnot,
  kLop3,
  kShf,
  kShl,
  kShr,
  kPrmt,
  // Comparison and choice.
  kSelp,
  kSlct,
  kSet,
  kSetp,
  // Data movement.
  kMov,
  kMovSpecial,
  kPack,    // d, {a, b, …}
  kUnpack,  // {d, e, …}, a
  kCvt,
  kCvta,
  kIsspacep,
  kLd,
  kSt,
  kAtom,
  kRed,
  kPrefetch,
  // Order.
  kFence,
  kNanosleep,
  // Control.
  kBra,
  kBrx,
  kCall,
  kRet,
  kExit,
  kTrap,
  // Between threads.
  kBarrier,
  kWarpBarrier,
  kShfl,
  kVote,
  kMatch,
  kRedux,
  kActivemask,
  kElect,
  kCount,
};
[[nodiscard]] std::string_view opcode_name(Opcode opcode);

// What `mode` of an instruction means, by opcode.
enum class Comparison : std::uint8_t { kEq, kNe, kLt, kLe, kGt, kGe };  // kSetp, kSet
enum class Combine : std::uint8_t { kNone, kAnd, kOr, kXor };           // their `mode2`
enum class Funnel : std::uint8_t { kLeftClamp, kLeftWrap, kRightClamp, kRightWrap };
enum class Permute : std::uint8_t { kIndex, kF4e, kB4e, kRc8, kEcl, kEcr, kRc16 };
enum class Atomic : std::uint8_t {
  kAdd,
  kMin,
  kMax,
  kInc,
  kDec,
  kAnd,
  kOr,
  kXor,
  kExch,
  kCas
};  // kAtom, kRed; kRedux uses some
enum class Shuffle : std::uint8_t { kUp, kDown, kBfly, kIdx };
enum class Vote : std::uint8_t { kAll, kAny, kUni, kBallot };
enum class Match : std::uint8_t { kAny, kAll };
enum class BarrierKind : std::uint8_t { kSync, kPopc, kAnd, kOr };
// kLd, kSt: how threads may meet there. kStrong: volatile, relaxed, acquire, release.
enum class Meeting : std::uint8_t { kWeak, kStrong, kNonCoherent };

enum class Special : std::uint8_t {
  kTidX,
  kTidY,
  kTidZ,
  kNtidX,
  kNtidY,
  kNtidZ,
  kCtaidX,
  kCtaidY,
  kCtaidZ,
  kNctaidX,
  kNctaidY,
  kNctaidZ,
  kLaneid,
  kWarpid,
  kNwarpid,
  kLanemaskEq,
  kLanemaskLe,
  kLanemaskLt,
  kLanemaskGe,
  kLanemaskGt,
  kDynamicSmemSize,
  kClock64,  // of 64 bits, all others of 32
  kCount,
};

// --- the module ----------------------------------------------------------------------------------

struct Operand {
  enum class Kind : std::uint8_t {
    kNone,       // not given, or '_'
    kRegister,   // index: of the function's registers
    kImmediate,  // value, cut to the width of the operation
    kVariable,   // index: of the module's variables; value: bytes to add to its address
    kParam,      // index: of the function's params; value: offset in it
    kSpecial,    // index: Special
    kBlock,      // index: of the function's blocks
  };
  Kind kind = Kind::kNone;
  bool negated = false;  // !p
  std::uint32_t index = 0;
  std::int64_t value = 0;  // of a kRegister in an address: bytes to add
};

// Operands stand in the order of the text, vectors element by element. In particular
//   kPack d a0…  kUnpack d0… a  (`vector` of them)    kLd d0… address  kSt address a0…
//   kSetp, kShfl, kMatch (all), kElect: d, second destination or kNone, …
//   kSetp, kSet with Combine::kNone: no last operand
//   kBarrier d or kNone, barrier, threads or kNone, predicate or kNone
//   kRed as kAtom with destination kNone
//   kBra block   kBrx register, index of branch_tables in `mode2`   kCall none, calls[mode32]
struct Instruction {
  Opcode opcode = Opcode::kCount;
  Type type = Type::kB32;         // of the operation; of cvt's and set's destination
  Type source_type = Type::kB32;  // kCvt, kSet
  Space space = Space::kGeneric;  // kLd, kSt, kAtom, kRed, kCvta, kIsspacep
  std::uint8_t mode = 0;
  std::uint8_t mode2 = 0;
  std::uint8_t vector = 1;  // kLd, kSt, kPack, kUnpack
  Meeting meeting = Meeting::kWeak;
  bool carry_in = false;
  bool carry_out = false;
  bool saturate = false;
  bool uniform = false;  // bra.uni; barriers: .aligned; cvta: .to
  bool guarded = false;
  bool guard_negated = false;
  std::uint16_t operand_count = 0;
  std::uint32_t guard = 0;  // register
  std::uint32_t mode32 = 0;
  std::uint32_t operand_first = 0;  // in Function::operands
  std::uint32_t line = 0;
};

struct Relocation {
  std::uint64_t offset;    // in the variable; eight bytes
  std::uint32_t variable;  // whose address is put there
  std::int64_t addend;
  bool generic;
};

struct Variable {
  std::string name;
  Space space = Space::kGlobal;
  std::uint64_t bytes = 0;
  std::uint32_t alignment = 1;
  bool dynamic = false;  // .extern .shared: what the launch asked for; `bytes` is 0
  bool defined = true;   // false: .extern of another module
  std::uint32_t line = 0;
  std::vector<std::uint8_t> initial;  // the first bytes; the others are 0. .global, .const
  std::vector<Relocation> relocations;
};

// A parameter, a result, or a .param variable of a caller.
struct Param {
  std::string name;
  std::uint32_t bytes = 0;
  std::uint32_t alignment = 1;
  std::uint32_t offset = 0;  // of a kernel's parameter: in its argument bytes
  // Of a device function: the first of the ⌈bytes/4⌉ registers of 32 bits in which it is kept.
  std::uint32_t first_register = 0;
};

struct CallSite {
  std::uint32_t function = 0;            // index in the module
  std::vector<std::uint32_t> arguments;  // params of the caller, in the callee's order
  std::vector<std::uint32_t> results;
};

// A run of instructions entered only at its first and left only at its last (calls, barriers and
// exchanges of a warp, which come back to the next instruction, do not end one).
struct BasicBlock {
  std::uint32_t first = 0;  // instructions
  std::uint32_t end = 0;
  std::uint32_t line = 0;  // of the first
  std::string label;       // empty: entered by falling through
};

struct Dim3 {
  std::uint32_t x = 1;
  std::uint32_t y = 1;
  std::uint32_t z = 1;
  bool operator==(const Dim3&) const = default;
};

struct Function {
  std::string name;
  bool is_entry = false;
  bool defined = false;
  std::uint32_t line = 0;
  std::vector<Param> params;
  std::uint32_t parameter_count = 0;  // params[0 …): the parameters in order,
  std::uint32_t result_count = 0;     // then the results, then the caller's .param variables
  std::uint32_t parameter_bytes = 0;  // a kernel's argument bytes
  std::vector<Type> registers;
  std::vector<Instruction> instructions;
  std::vector<Operand> operands;
  std::vector<BasicBlock> blocks;
  std::vector<std::vector<std::uint32_t>> branch_tables;  // blocks
  std::vector<CallSite> calls;
  std::optional<Dim3> threads_max;       // .maxntid
  std::optional<Dim3> threads_required;  // .reqntid

  [[nodiscard]] const Operand* operands_of(const Instruction& instruction) const {
    return operands.data() + instruction.operand_first;
  }
};

struct Module {
  std::string text;
  unsigned version_major = 0;
  unsigned version_minor = 0;
  std::string target;  // "sm_90"
  std::vector<Variable> variables;
  std::vector<Function> functions;

  // Null: none of that name.
  [[nodiscard]] const Function* function(std::string_view name) const;
  [[nodiscard]] std::string_view text_of_line(std::uint32_t line) const;  // trimmed
};

// Errors: kMalformed, kUnsupported, kLimitExceeded; `native` is the line, which the message begins
// with ("line 17: …").
[[nodiscard]] Result<Module> parse_module(std::string_view text);

}  // namespace colophon::gpu_emulator
