// SPDX-License-Identifier: Apache-2.0
#include "tests/gpu_emulator/ptx_executor.h"

#include <algorithm>
#include <numeric>
#include <random>
#include <string>
#include <utility>

#include "tests/gpu_emulator/block_scheduler.h"
#include "tests/gpu_emulator/ptx_syntax.h"
#include "tests/gpu_emulator/warp.h"

namespace colophon::gpu_emulator {

struct Executor::State {
  Module module;
  DeviceMemory* memory = nullptr;
  Code code;
  RaceCheck races;
  std::vector<DevicePointer> allocated;
  std::vector<std::vector<std::uint32_t>> shared;  // variables, by function

  ~State() {
    for (const DevicePointer base : allocated) (void)memory->free(base);
  }
  [[nodiscard]] std::vector<std::uint32_t> shared_variables(std::uint32_t function) const;
  [[nodiscard]] const std::vector<std::uint32_t>& shared_of(const Function& function) const {
    return shared[static_cast<std::size_t>(&function - module.functions.data())];
  }
};

namespace {

bool in_device_memory(const Variable& variable) {
  return variable.space == Space::kGlobal || variable.space == Space::kConst;
}

Result<std::vector<std::uint8_t>> initial_bytes(const Module& module, const Variable& variable,
                                                const std::vector<std::uint64_t>& addresses) {
  std::vector<std::uint8_t> bytes = variable.initial;
  bytes.resize(variable.bytes);
  for (const Relocation& relocation : variable.relocations) {
    if (!in_device_memory(module.variables[relocation.variable])) {
      return line_error(variable.line,
                        "the address of a variable of another state space in an initialiser",
                        ErrorCode::kUnsupported);
    }
    // Generic and in their state spaces the addresses are the same.
    const std::uint64_t address =
        addresses[relocation.variable] + static_cast<std::uint64_t>(relocation.addend);
    for (unsigned i = 0; i < 8; ++i) {
      bytes[relocation.offset + i] = static_cast<std::uint8_t>(address >> (8 * i));
    }
  }
  return bytes;
}

LaunchResult refused(const Function& entry, const std::string& why) {
  LaunchResult out;
  out.fault.emplace();
  out.fault->kind = FaultKind::kLaunch;
  out.fault->kernel = entry.name;
  out.fault->message = "kernel '" + entry.name + "' cannot be launched so: " + why;
  return out;
}

std::uint64_t volume(const Dim3& size) { return std::uint64_t{size.x} * size.y * size.z; }

// Empty: the shape is one the kernel can have. Limits: CUDA C++ Programming Guide, "Technical
// Specifications per Compute Capability".
std::string wrong_shape(const Function& entry, const LaunchShape& shape,
                        std::uint64_t shared_bytes) {
  const Dim3& block = shape.block;
  const Dim3& grid = shape.grid;
  if (!entry.is_entry || !entry.defined) return "it is no kernel of this module";
  if (block.x > 1024 || block.y > 1024 || block.z > 64 || volume(block) > kThreadsMax ||
      volume(block) == 0) {
    return "a block of " + index_text(block) + " threads";
  }
  if (grid.x > INT32_MAX || grid.y > 65535 || grid.z > 65535 || volume(grid) == 0) {
    return "a grid of " + index_text(grid) + " blocks";
  }
  if (entry.threads_required && !(*entry.threads_required == block)) {
    return "a block of " + index_text(block) + " threads, required are " +
           index_text(*entry.threads_required);
  }
  if (entry.threads_max && volume(block) > volume(*entry.threads_max)) {
    return "a block of " + std::to_string(volume(block)) + " threads, compiled for " +
           std::to_string(volume(*entry.threads_max));
  }
  if (shared_bytes > kSharedBytesMax) {
    return std::to_string(shared_bytes) + " bytes of shared memory";
  }
  return {};
}

}  // namespace

Executor::Executor(std::unique_ptr<State> state) : state_(std::move(state)) {}
Executor::Executor(Executor&&) noexcept = default;
Executor& Executor::operator=(Executor&&) noexcept = default;
Executor::~Executor() = default;

Result<Executor> Executor::load(Module module, DeviceMemory& memory) {
  auto state = std::make_unique<State>();
  state->module = std::move(module);
  state->memory = &memory;
  const std::vector<Variable>& variables = state->module.variables;
  std::vector<std::uint64_t> addresses(variables.size());
  for (std::size_t i = 0; i < variables.size(); ++i) {
    const Variable& variable = variables[i];
    if (!in_device_memory(variable)) continue;
    if (!variable.defined) {
      return line_error(variable.line, "'" + variable.name + "' is another module's",
                        ErrorCode::kUnsupported);
    }
    COLOPHON_TRY_ASSIGN(addresses[i],
                        memory.allocate(variable.bytes, variable.name, variable.alignment,
                                        variable.space == Space::kConst));
    state->allocated.push_back(addresses[i]);
  }
  for (std::size_t i = 0; i < variables.size(); ++i) {
    if (!in_device_memory(variables[i])) continue;
    COLOPHON_TRY_ASSIGN(const std::vector<std::uint8_t> bytes,
                        initial_bytes(state->module, variables[i], addresses));
    COLOPHON_TRY(memory.write(addresses[i], bytes.data(), bytes.size()));
  }
  COLOPHON_TRY_ASSIGN(state->code, make_code(state->module, std::move(addresses)));
  for (std::uint32_t i = 0; i < state->module.functions.size(); ++i) {
    state->shared.push_back(state->shared_variables(i));
  }
  return Executor(std::move(state));
}

const Module& Executor::module() const { return state_->module; }

const Function* Executor::entry(std::string_view name) const {
  const Function* const function = state_->module.function(name);
  return function != nullptr && function->is_entry && function->defined ? function : nullptr;
}

std::optional<DeviceVariable> Executor::variable(std::string_view name) const {
  const std::vector<Variable>& variables = state_->module.variables;
  for (std::size_t i = 0; i < variables.size(); ++i) {
    if (variables[i].name == name && in_device_memory(variables[i])) {
      return DeviceVariable{state_->code.addresses[i], variables[i].bytes};
    }
  }
  return std::nullopt;
}

// Those that the function and what it calls name.
std::vector<std::uint32_t> Executor::State::shared_variables(std::uint32_t function) const {
  std::vector<std::uint32_t> out;
  for (const std::uint32_t reached : reachable(module, function)) {
    for (const Operand& operand : module.functions[reached].operands) {
      if (operand.kind == Operand::Kind::kVariable &&
          module.variables[operand.index].space == Space::kShared) {
        out.push_back(operand.index);
      }
    }
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

std::uint32_t Executor::static_shared_bytes(const Function& entry) const {
  std::uint64_t bytes = 0;
  for (const std::uint32_t index : state_->shared_of(entry)) {
    const Variable& variable = state_->module.variables[index];
    if (variable.dynamic) continue;
    bytes = (bytes + variable.alignment - 1) / variable.alignment * variable.alignment;
    bytes = std::min<std::uint64_t>(bytes + variable.bytes, UINT32_MAX);
  }
  return static_cast<std::uint32_t>(bytes);
}

LaunchResult Executor::launch(const Function& entry, const LaunchShape& shape,
                              const void* const* kernel_params, const LaunchOptions& options) {
  std::vector<std::uint8_t> arguments(entry.parameter_bytes);
  for (std::uint32_t i = 0; i < entry.parameter_count; ++i) {
    const Param& param = entry.params[i];
    if (kernel_params == nullptr || kernel_params[i] == nullptr) {
      return refused(entry, "argument " + std::to_string(i) + " is missing");
    }
    std::memcpy(&arguments[param.offset], kernel_params[i], param.bytes);
  }
  return launch_packed(entry, shape, arguments, options);
}

LaunchResult Executor::launch_packed(const Function& entry, const LaunchShape& shape,
                                     const std::vector<std::uint8_t>& arguments,
                                     const LaunchOptions& options) {
  const Module& module = state_->module;
  const std::vector<Function>& functions = module.functions;
  if (std::none_of(functions.begin(), functions.end(),
                   [&](const Function& function) { return &function == &entry; })) {
    return refused(entry, "it is no kernel of this module");
  }
  const std::string wrong = wrong_shape(
      entry, shape, std::uint64_t{static_shared_bytes(entry)} + shape.dynamic_shared_bytes);
  if (!wrong.empty()) return refused(entry, wrong);
  if (arguments.size() != entry.parameter_bytes) {
    return refused(entry, std::to_string(arguments.size()) + " bytes of arguments, not " +
                              std::to_string(entry.parameter_bytes));
  }

  Grid grid;
  grid.module = &module;
  grid.code = &state_->code;
  grid.memory = state_->memory;
  grid.shape = shape;
  grid.options = options;
  grid.arguments = arguments;
  if (options.check_races) {
    state_->races.start_launch(options.check_races_between_blocks);
    grid.races = &state_->races;
  }
  grid.threads = static_cast<std::uint32_t>(volume(shape.block));
  grid.counts.resize(functions.size());
  bool has_dynamic = false;
  for (const std::uint32_t index : state_->shared_of(entry)) {
    const Variable& variable = module.variables[index];
    const std::uint64_t bytes = variable.dynamic ? shape.dynamic_shared_bytes : variable.bytes;
    if (bytes == 0 || (variable.dynamic && has_dynamic)) continue;
    has_dynamic = has_dynamic || variable.dynamic;
    SharedRegion region;
    region.offset = static_cast<std::uint32_t>(state_->code.addresses[index]);
    region.bytes = static_cast<std::uint32_t>(bytes);
    region.name = &variable.name;
    region.data.resize(bytes);
    region.written.resize(bytes);
    grid.shared.push_back(std::move(region));
  }
  std::sort(grid.shared.begin(), grid.shared.end(),
            [](const SharedRegion& a, const SharedRegion& b) { return a.offset < b.offset; });

  LaunchResult out;
  BlockScheduler scheduler(grid, static_cast<std::uint32_t>(&entry - functions.data()));
  const std::uint64_t blocks = volume(shape.grid);
  // Seeded: every block once, from a random one on, in steps that reach them all.
  std::uint64_t first = 0;
  std::uint64_t stride = 1;
  if (options.order == Order::kSeeded) {
    std::mt19937_64 random(options.seed);
    first = random() % blocks;
    stride = 1 + random() % blocks;
    while (std::gcd(stride, blocks) != 1) ++stride;
  }
  for (std::uint64_t i = 0; i < blocks && !out.fault; ++i) {
    std::uint64_t at = i;
    if (options.order == Order::kDescending) at = blocks - 1 - i;
    // Below 2^31 each, as sizes of grids are: no overflow. (2^63 blocks would never end.)
    if (options.order == Order::kSeeded) at = (first + i * (stride % blocks)) % blocks;
    const Dim3& size = shape.grid;
    grid.block = {static_cast<std::uint32_t>(at % size.x),
                  static_cast<std::uint32_t>(at / size.x % size.y),
                  static_cast<std::uint32_t>(at / size.x / size.y)};
    out.fault = scheduler.run();
  }

  for (std::size_t f = 0; f < grid.counts.size(); ++f) {
    for (std::size_t b = 0; b < grid.counts[f].size(); ++b) {
      const BasicBlock& block = functions[f].blocks[b];
      const std::uint64_t length = block.end - block.first;
      out.statistics.warp_instructions += grid.counts[f][b].warps * length;
      out.statistics.thread_instructions += grid.counts[f][b].threads * length;
    }
  }
  out.statistics.blocks = std::move(grid.counts);
  return out;
}

std::string_view fault_name(FaultKind kind) {
  static constexpr std::string_view kNames[] = {
      "launch refused", "out of bounds", "misaligned",     "use after free", "never written",
      "read-only",      "race",          "deadlock",       "divergence",     "exchange",
      "arithmetic",     "trap",          "calls too deep", "step limit"};
  return kNames[static_cast<std::size_t>(kind)];
}

// --- coverage ------------------------------------------------------------------------------------

void Coverage::add(const LaunchStatistics& statistics) {
  counts_.resize(std::max(counts_.size(), statistics.blocks.size()));
  for (std::size_t f = 0; f < statistics.blocks.size(); ++f) {
    counts_[f].resize(std::max(counts_[f].size(), statistics.blocks[f].size()));
    for (std::size_t b = 0; b < statistics.blocks[f].size(); ++b) {
      counts_[f][b].warps += statistics.blocks[f][b].warps;
      counts_[f][b].threads += statistics.blocks[f][b].threads;
    }
  }
}

std::vector<Coverage::Block> Coverage::blocks(const Function& entry) const {
  std::vector<std::uint32_t> functions =
      reachable(module_, static_cast<std::uint32_t>(&entry - module_.functions.data()));
  std::sort(functions.begin(), functions.end());
  std::vector<Block> out;
  for (const std::uint32_t f : functions) {
    for (std::uint32_t b = 0; b < module_.functions[f].blocks.size(); ++b) {
      const bool known = f < counts_.size() && b < counts_[f].size();
      out.push_back({f, b, known ? counts_[f][b] : BlockCount{}});
    }
  }
  return out;
}

std::string Coverage::report(const Function& entry) const {
  std::string text;
  std::size_t ran = 0;
  const std::vector<Block> all = blocks(entry);
  for (const Block& at : all) {
    if (at.count.warps != 0) {
      ++ran;
      continue;
    }
    const Function& function = module_.functions[at.function];
    const BasicBlock& block = function.blocks[at.block];
    text += (function.is_entry ? "kernel '" : "function '") + function.name + "': block " +
            std::to_string(at.block) + (block.label.empty() ? "" : " " + block.label) + " (line " +
            std::to_string(block.line) +
            ") never ran: " + std::string(module_.text_of_line(block.line)) + "\n";
  }
  return text + "kernel '" + entry.name + "': " + std::to_string(ran) + " of " +
         std::to_string(all.size()) + " basic blocks ran\n";
}

}  // namespace colophon::gpu_emulator
