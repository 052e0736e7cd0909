// SPDX-License-Identifier: Apache-2.0
#include "tests/kernels/ptx_mutants.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <random>
#include <set>
#include <stdexcept>
#include <utility>

namespace colophon::test {
namespace {

constexpr std::size_t kNearRegisters = 12;  // to choose another operand from

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())) != 0) {
    text.remove_prefix(1);
  }
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) {
    text.remove_suffix(1);
  }
  return text;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '$' || c == '.';
}

// FNV-1a, then the finaliser of splitmix64: the same with every library.
std::uint64_t hash_of(std::uint64_t seed, std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325 ^ seed;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  hash = (hash ^ hash >> 30) * 0xbf58476d1ce4e5b9;
  hash = (hash ^ hash >> 27) * 0x94d049bb133111eb;
  return hash ^ hash >> 31;
}

// --- a statement ---------------------------------------------------------------------------------

struct Parts {
  std::string guard;  // "@%p1 ", "@!%p1 "
  std::string opcode;
  std::vector<std::string> operands;

  [[nodiscard]] bool is(std::string_view name) const {
    return opcode == name || opcode.starts_with(std::string(name) + ".");
  }
  [[nodiscard]] bool sets_flag() const { return opcode.find(".cc") != std::string::npos; }
  [[nodiscard]] bool takes_flag() const { return is("addc") || is("subc") || is("madc"); }
  [[nodiscard]] bool has_result() const {
    return !operands.empty() && !is("st") && !is("red") && !is("bra") && !is("bar") && !is("ret");
  }
  // Writes registers and the flag, nothing else.
  [[nodiscard]] bool has_only_results() const {
    return has_result() && !is("atom") && !is("shfl") && !is("ld") && !is("call");
  }
  [[nodiscard]] std::string text() const {
    std::string out = guard + opcode;
    for (std::size_t i = 0; i < operands.size(); ++i) out += (i == 0 ? " " : ", ") + operands[i];
    return out;
  }
};

Parts parts_of(std::string_view statement) {
  Parts parts;
  if (statement.starts_with('@')) {
    const std::size_t space = statement.find_first_of(" \t");
    parts.guard = std::string(statement.substr(0, space)) + " ";
    statement = trimmed(statement.substr(space));
  }
  const std::size_t space = std::min(statement.find_first_of(" \t"), statement.size());
  parts.opcode = statement.substr(0, space);
  statement = trimmed(statement.substr(space));
  int depth = 0;
  std::size_t from = 0;
  for (std::size_t i = 0; i <= statement.size() && !statement.empty(); ++i) {
    const char c = i < statement.size() ? statement[i] : ',';
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    if (c == ',' && depth == 0) {
      parts.operands.emplace_back(trimmed(statement.substr(from, i - from)));
      from = i + 1;
    }
  }
  return parts;
}

// A register or a number in an operand.
struct Atom {
  std::size_t operand = 0;
  std::size_t begin = 0;
  std::size_t end = 0;
  bool is_register = false;
};

std::vector<Atom> atoms_of(const std::string& operand, std::size_t index) {
  std::vector<Atom> atoms;
  for (std::size_t i = 0; i < operand.size();) {
    std::size_t end = i + 1;
    while (end < operand.size() && is_name(operand[end])) ++end;
    if (operand[i] == '%') {
      // %r12, but not %tid.x
      if (is_digit(operand[end - 1])) atoms.push_back({index, i, end, true});
    } else if (is_digit(operand[i]) ||
               (operand[i] == '-' && i + 1 < operand.size() && is_digit(operand[i + 1]))) {
      atoms.push_back({index, i, end, false});
    } else if (!is_name(operand[i])) {
      end = i + 1;
    }
    i = end;
  }
  return atoms;
}

std::vector<std::string> registers_of(const std::string& operand) {
  std::vector<std::string> names;
  for (const Atom& atom : atoms_of(operand, 0)) {
    if (atom.is_register) names.push_back(operand.substr(atom.begin, atom.end - atom.begin));
  }
  return names;
}

// "%rd" of "%rd12".
std::string_view register_class(std::string_view name) {
  while (!name.empty() && is_digit(name.back())) name.remove_suffix(1);
  return name;
}

std::int64_t off_by_a_little(std::int64_t value, bool is_address, std::mt19937_64& random) {
  if (is_address) return value + (random() % 2 == 0 ? 4 : -4);
  switch (random() % 3) {
    case 0:
      return value + 1;
    case 1:
      return value - 1;
    default:
      return value ^ std::int64_t{1} << random() % (value < 32 && value >= 0 ? 5 : 31);
  }
}

// Of the sources of an instruction.
std::vector<Atom> sources_of(const Parts& parts) {
  std::vector<Atom> atoms;
  if (parts.is("bra") || parts.is("bar")) return atoms;
  for (std::size_t i = parts.has_result() ? 1 : 0; i < parts.operands.size(); ++i) {
    for (const Atom& atom : atoms_of(parts.operands[i], i)) atoms.push_back(atom);
  }
  return atoms;
}

}  // namespace

std::string_view mutant_kind_name(MutantKind kind) {
  static constexpr std::string_view kNames[] = {"carry", "operand", "barrier", "bound",
                                                "condition"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::string without_numbers(std::string_view statement) {
  std::string out;
  for (std::size_t i = 0; i < statement.size();) {
    if (statement[i] != '%') {
      out += statement[i++];
      continue;
    }
    std::size_t end = i + 1;
    while (end < statement.size() && is_name(statement[end])) ++end;
    out += register_class(statement.substr(i, end - i));
    i = end;
  }
  return out;
}

// --- the text ------------------------------------------------------------------------------------

PtxMutants::PtxMutants(std::string ptx) : ptx_(std::move(ptx)) {
  constexpr std::string_view kEntry = ".visible .entry ";
  std::size_t at = ptx_.find(kEntry);
  if (at == std::string::npos) throw std::runtime_error("no kernel in the PTX");
  header_end_ = at;
  std::uint32_t line = 1;
  std::size_t counted = 0;
  while (at != std::string::npos) {
    Kernel kernel;
    kernel.begin = at;
    const std::size_t next = std::min(ptx_.find(kEntry, at + 1), ptx_.size());
    kernel.end = std::min(ptx_.find("\n}\n", at), next);
    if (kernel.end < next) kernel.end += 3;
    outside_ += ptx_.substr(kernel.end, next - kernel.end);
    // The last name of a mangled one: _ZN8colophon7kernels17p256_cuda_scalarsE…
    std::string_view name = std::string_view(ptx_).substr(at + kEntry.size());
    name = name.substr(0, name.find('('));
    kernel.name = name;
    if (name.starts_with("_ZN")) {
      name.remove_prefix(3);
      while (!name.empty() && is_digit(name.front())) {
        const std::size_t digits = name.find_first_not_of("0123456789");
        const std::size_t length = std::stoul(std::string(name.substr(0, digits)));
        kernel.name = name.substr(digits, length);
        name.remove_prefix(digits + length);
      }
    }
    line += static_cast<std::uint32_t>(std::count(ptx_.begin() + static_cast<long>(counted),
                                                  ptx_.begin() + static_cast<long>(at), '\n'));
    counted = at;
    read_statements(kernel, line);
    at = next < ptx_.size() ? next : std::string::npos;
    kernels_.push_back(std::move(kernel));
  }
}

void PtxMutants::read_statements(Kernel& kernel, std::uint32_t line) {
  std::map<std::string, std::uint32_t> equals;
  const std::string_view all(ptx_);
  for (std::size_t at = kernel.begin; at < kernel.end; ++line) {
    const std::size_t line_end = std::min(ptx_.find('\n', at), kernel.end);
    const std::size_t code_end = std::min(ptx_.find("//", at), line_end);
    for (std::size_t from = at; from < code_end;) {
      const std::size_t end = std::min(ptx_.find(';', from), code_end);
      const std::string_view text = trimmed(all.substr(from, end - from));
      // Not: directives, labels, braces, and what ends without a semicolon.
      if (end < code_end && !text.empty() &&
          (text.front() == '@' || std::islower(static_cast<unsigned char>(text.front())) != 0)) {
        Statement statement;
        statement.begin = static_cast<std::uint64_t>(text.data() - ptx_.data());
        statement.end = statement.begin + text.size();
        statement.line = line;
        statement.equal = equals[without_numbers(text)]++;
        kernel.statements.push_back(statement);
      }
      from = end + 1;
    }
    at = line_end + 1;
  }
  find_effects(kernel);
}

// Again and again, since what was read only by a statement without effect has none either.
void PtxMutants::find_effects(Kernel& kernel) const {
  std::vector<Parts> parts;
  for (const Statement& statement : kernel.statements)
    parts.push_back(parts_of(text_of(statement)));
  for (bool is_changed = true; is_changed;) {
    is_changed = false;
    std::set<std::string> read;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (!kernel.statements[i].has_effect) continue;
      if (!parts[i].guard.empty()) read.insert(parts[i].guard.substr(parts[i].guard.find('%')));
      for (std::size_t k = parts[i].has_result() ? 1 : 0; k < parts[i].operands.size(); ++k) {
        for (std::string& name : registers_of(parts[i].operands[k])) read.insert(std::move(name));
      }
    }
    bool is_taken = false;
    for (std::size_t i = parts.size(); i-- > 0;) {
      Statement& statement = kernel.statements[i];
      statement.flag_is_taken = is_taken;
      if (statement.has_effect && parts[i].has_only_results() &&
          !(parts[i].sets_flag() && is_taken)) {
        const std::vector<std::string> written = registers_of(parts[i].operands[0]);
        if (std::none_of(written.begin(), written.end(),
                         [&](const std::string& name) { return read.contains(name); })) {
          statement.has_effect = false;
          is_changed = true;
        }
      }
      if (statement.has_effect && (parts[i].sets_flag() || parts[i].takes_flag())) {
        is_taken = parts[i].takes_flag();
      }
    }
  }
}

std::string PtxMutants::text(const Mutant& mutant) const {
  const auto kernel = std::find_if(kernels_.begin(), kernels_.end(),
                                   [&](const Kernel& one) { return one.name == mutant.kernel; });
  const std::uint64_t end = mutant.end + (mutant.after.empty() ? 1 : 0);  // the semicolon
  return ptx_.substr(0, header_end_) + ptx_.substr(kernel->begin, mutant.begin - kernel->begin) +
         mutant.after + ptx_.substr(end, kernel->end - end) + outside_;
}

Mutant PtxMutants::first(std::string_view kernel, std::string_view opcode) const {
  for (const Kernel& one : kernels_) {
    for (const Statement& statement : one.statements) {
      const Parts parts = parts_of(text_of(statement));
      if (one.name != kernel || parts.opcode != opcode) continue;
      return {MutantKind::kOperand, one.name,        parts.text(),    parts.text(),
              statement.line,       statement.equal, statement.begin, statement.end};
    }
  }
  throw std::runtime_error("no such statement: " + std::string(opcode));
}

// --- changes -------------------------------------------------------------------------------------

// Registers of the class of `like`, the last written first.
std::vector<std::string> PtxMutants::written_before(const Kernel& kernel, std::size_t statement,
                                                    std::string_view like) const {
  std::vector<std::string> found;
  while (statement-- > 0 && found.size() < kNearRegisters) {
    const Parts parts = parts_of(text_of(kernel.statements[statement]));
    if (!parts.has_result()) continue;
    for (std::string& name : registers_of(parts.operands[0])) {
      if (name != like && register_class(name) == register_class(like) &&
          std::find(found.begin(), found.end(), name) == found.end()) {
        found.push_back(std::move(name));
      }
    }
  }
  return found;
}

std::optional<std::string> PtxMutants::changed(MutantKind kind, const Kernel& kernel,
                                               std::size_t statement, std::uint64_t seed) const {
  if (!kernel.statements[statement].has_effect) return std::nullopt;
  Parts parts = parts_of(text_of(kernel.statements[statement]));
  std::mt19937_64 random(seed);
  const auto replace = [&](const Atom& atom, const std::string& with) {
    parts.operands[atom.operand].replace(atom.begin, atom.end - atom.begin, with);
    return parts.text();
  };
  const auto number_of = [&](const Atom& atom) {
    return std::stoll(parts.operands[atom.operand].substr(atom.begin, atom.end - atom.begin));
  };
  switch (kind) {
    case MutantKind::kCarry: {
      const bool sets = parts.sets_flag() && kernel.statements[statement].flag_is_taken;
      if (!sets && !parts.takes_flag()) return std::nullopt;
      if (sets && (!parts.takes_flag() || random() % 2 == 0)) {
        parts.opcode.erase(parts.opcode.find(".cc"), 3);
      } else {
        parts.opcode.erase(3, 1);  // the c of addc, subc, madc
      }
      return parts.text();
    }
    case MutantKind::kOperand: {
      const std::vector<Atom> atoms = sources_of(parts);
      if (atoms.empty()) return std::nullopt;
      const Atom& atom = atoms[random() % atoms.size()];
      if (!atom.is_register) {
        const bool is_address = parts.operands[atom.operand].starts_with('[');
        return replace(atom, std::to_string(off_by_a_little(number_of(atom), is_address, random)));
      }
      const std::vector<std::string> others = written_before(
          kernel, statement,
          std::string_view(parts.operands[atom.operand]).substr(atom.begin, atom.end - atom.begin));
      if (others.empty()) return std::nullopt;
      return replace(atom, others[random() % others.size()]);
    }
    case MutantKind::kBarrier:
      if (parts.is("bar")) return std::string();
      if (!parts.is("shfl.sync")) return std::nullopt;
      parts.operands.back() = "0x7fffffff";
      return parts.text();
    case MutantKind::kBound: {
      if (!parts.is("setp")) return std::nullopt;
      std::vector<Atom> numbers = sources_of(parts);
      std::erase_if(numbers, [](const Atom& atom) { return atom.is_register; });
      static constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kOthers = {
          {{"lt", "le"}, {"le", "lt"}, {"gt", "ge"}, {"ge", "gt"}}};
      const std::string compares = parts.opcode.substr(5, 2);
      const auto other = std::find_if(kOthers.begin(), kOthers.end(),
                                      [&](const auto& pair) { return pair.first == compares; });
      if (other != kOthers.end() && (numbers.empty() || random() % 2 == 0)) {
        parts.opcode.replace(5, 2, other->second);
        return parts.text();
      }
      if (numbers.empty()) return std::nullopt;
      const std::int64_t value = number_of(numbers[0]);
      return replace(numbers[0], std::to_string(random() % 2 == 0 ? value + 1 : value - 1));
    }
    case MutantKind::kCondition:
      if (!parts.guard.empty()) {
        const bool is_negated = parts.guard[1] == '!';
        parts.guard = is_negated ? "@" + parts.guard.substr(2) : "@!" + parts.guard.substr(1);
        return parts.text();
      }
      if (!parts.is("selp") || parts.operands[1] == parts.operands[2]) return std::nullopt;
      std::swap(parts.operands[1], parts.operands[2]);
      return parts.text();
  }
  return std::nullopt;
}

std::vector<Mutant> PtxMutants::draw(std::uint64_t seed,
                                     const std::array<std::size_t, kMutantKinds>& count) const {
  std::vector<Mutant> drawn;
  for (std::size_t k = 0; k < kMutantKinds; ++k) {
    const auto kind = static_cast<MutantKind>(k);
    std::vector<std::vector<std::pair<std::uint64_t, std::size_t>>> sites(kernels_.size());
    std::size_t all = 0;
    std::size_t kernels_with = 0;
    for (std::size_t i = 0; i < kernels_.size(); ++i) {
      for (std::size_t s = 0; s < kernels_[i].statements.size(); ++s) {
        const Statement& statement = kernels_[i].statements[s];
        if (!changed(kind, kernels_[i], s, 0)) continue;
        const std::string name = std::string(mutant_kind_name(kind)) + kernels_[i].name +
                                 without_numbers(text_of(statement)) + " #" +
                                 std::to_string(statement.equal);
        sites[i].emplace_back(hash_of(seed, name), s);
      }
      std::sort(sites[i].begin(), sites[i].end());
      all += sites[i].size();
      kernels_with += sites[i].empty() ? 0 : 1;
    }
    if (all == 0) continue;
    // One each, the others in proportion; what rounding leaves over goes to the first.
    std::size_t left = std::min(count[k], all);
    std::vector<std::size_t> share(kernels_.size());
    const std::size_t shared_out = left - std::min(left, kernels_with);
    for (std::size_t i = 0; i < kernels_.size(); ++i) {
      share[i] = std::min({left, sites[i].size(), 1 + shared_out * sites[i].size() / all});
      left -= share[i];
    }
    for (std::size_t i = 0; left > 0; i = (i + 1) % kernels_.size()) {
      if (share[i] < sites[i].size()) ++share[i], --left;
    }
    for (std::size_t i = 0; i < kernels_.size(); ++i) {
      for (const auto& [hash, s] : sites[i]) {
        const Statement& statement = kernels_[i].statements[s];
        const auto after = changed(kind, kernels_[i], s, hash);
        if (share[i] == 0) break;
        if (!after) continue;  // no other register for the operand that the hash chose
        --share[i];
        drawn.push_back({kind, kernels_[i].name, parts_of(text_of(statement)).text(), *after,
                         statement.line, statement.equal, statement.begin, statement.end});
      }
    }
  }
  return drawn;
}

}  // namespace colophon::test
