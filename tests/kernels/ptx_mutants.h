// SPDX-License-Identifier: Apache-2.0
//
// Mutants of a PTX module: the text with one statement of one kernel changed in a way in which a
// compiler or a programmer goes wrong. Statements whose results, flag included, nobody reads are
// left alone: carry chains written as assembly end in some. Which are drawn depends on the seed and
// on each statement's own text and number among its equals, registers' numbers left out: code that
// changes elsewhere in a kernel leaves the others' draw as it is.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace colophon::test {

enum class MutantKind : std::uint8_t {
  kCarry,      // an addition, subtraction or product no longer sets the flag, or no longer takes it
  kOperand,    // another register, written shortly before; a constant off by one or one bit
  kBarrier,    // bar.sync left out; a shuffle's member mask without one lane
  kBound,      // < for <=, > for >= and the other way round; a bound off by one
  kCondition,  // a guard negated; the two values of a selp swapped
};
inline constexpr std::size_t kMutantKinds = 5;
[[nodiscard]] std::string_view mutant_kind_name(MutantKind kind);

struct Mutant {
  MutantKind kind = MutantKind::kCarry;
  std::string kernel;       // "p256_cuda_scalars"
  std::string before;       // the statement, blanks made one
  std::string after;        // empty: left out
  std::uint32_t line = 0;   // of the module
  std::uint32_t equal = 0;  // how many statements before it in the kernel read as it does, but for
                            // registers' numbers
  std::uint64_t begin = 0;  // in the module's text
  std::uint64_t end = 0;
};

// Registers without their numbers: "addc.cc.u32 %r, %r, 0".
[[nodiscard]] std::string without_numbers(std::string_view statement);

class PtxMutants {
 public:
  explicit PtxMutants(std::string ptx);

  [[nodiscard]] const std::string& ptx() const { return ptx_; }
  // `count[kind]` of each kind, shared out among the kernels by how many statements of each could
  // be changed so, none left out that has any.
  [[nodiscard]] std::vector<Mutant> draw(std::uint64_t seed,
                                         const std::array<std::size_t, kMutantKinds>& count) const;
  // A module of the mutant's kernel alone, with the functions that any calls.
  [[nodiscard]] std::string text(const Mutant& mutant) const;
  // One made by hand: the kernel's first statement of that opcode, nothing changed yet.
  [[nodiscard]] Mutant first(std::string_view kernel, std::string_view opcode) const;

 private:
  struct Statement {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::uint32_t line = 0;
    std::uint32_t equal = 0;
    bool flag_is_taken = false;  // by the next statement that sets or takes it
    bool has_effect = true;      // false: nobody reads what it writes
  };
  struct Kernel {
    std::string name;
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::vector<Statement> statements;
  };

  void read_statements(Kernel& kernel, std::uint32_t line);
  void find_effects(Kernel& kernel) const;
  // What the statement becomes; none: it cannot be changed so.
  [[nodiscard]] std::optional<std::string> changed(MutantKind kind, const Kernel& kernel,
                                                   std::size_t statement, std::uint64_t seed) const;
  [[nodiscard]] std::vector<std::string> written_before(const Kernel& kernel, std::size_t statement,
                                                        std::string_view like) const;
  [[nodiscard]] std::string_view text_of(const Statement& statement) const {
    return std::string_view(ptx_).substr(statement.begin, statement.end - statement.begin);
  }

  std::string ptx_;
  std::uint64_t header_end_ = 0;
  std::string outside_;  // of kernels, after the header
  std::vector<Kernel> kernels_;
};

}  // namespace colophon::test
