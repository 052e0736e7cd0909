// SPDX-License-Identifier: Apache-2.0
#include "tests/gpu_emulator/fault_plan.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <type_traits>
#include <utility>

#include "tests/gpu_emulator/cuda_errors.h"

namespace colophon::gpu_emulator {
namespace {

// What the device runs; a fault's `where` is one of these, kAnyWork, or the name of a call.
constexpr std::string_view kRuns[] = {"kernel", "copy", "set", "host"};
constexpr std::string_view kAnyWork = "work";
constexpr std::string_view kAnyCall = "any";
constexpr std::uint64_t kLostCallsByChance = 20;

bool is_run(std::string_view where) {
  return where == kAnyWork || std::ranges::find(kRuns, where) != std::end(kRuns);
}

bool can_be_met(const Fault& fault) {
  const bool run = is_run(fault.where);
  if (!run && fault.where != kAnyCall &&
      std::ranges::find(kCalls, fault.where) == std::end(kCalls)) {
    return false;
  }
  return fault.first != 0 && fault.count != 0 && fault.error != cudaSuccess &&
         (fault.effect != Effect::kHang || run);
}

// --- settings as text ----------------------------------------------------------------------------

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || text.empty()) return std::nullopt;
  return value;
}

// With K, M or G for powers of 1024.
std::optional<std::uint64_t> bytes(std::string_view text) {
  unsigned shift = 0;
  if (text.ends_with('K')) shift = 10;
  if (text.ends_with('M')) shift = 20;
  if (text.ends_with('G')) shift = 30;
  if (shift != 0) text.remove_suffix(1);
  const std::optional<std::uint64_t> value = number(text);
  if (!value || *value > std::numeric_limits<std::uint64_t>::max() >> shift) return std::nullopt;
  return *value << shift;
}

template <class Value, class E>
bool take_name(std::string_view text, std::initializer_list<std::pair<std::string_view, E>> names,
               Value& out) {
  for (const auto& [name, value] : names) {
    if (text == name) {
      out = value;
      return true;
    }
  }
  return false;
}

// FIRST[+COUNT]
bool take_numbers(std::string_view text, Fault& fault) {
  const std::size_t plus = text.find('+');
  const std::optional<std::uint64_t> first = number(text.substr(0, plus));
  if (!first || *first == 0) return false;
  fault.first = *first;
  if (plus == std::string_view::npos) return true;
  const std::string_view count = text.substr(plus + 1);
  if (count == "*") {
    fault.count = kForever;
    return true;
  }
  const std::optional<std::uint64_t> value = number(count);
  if (!value || *value == 0) return false;
  fault.count = *value;
  return true;
}

// WHERE[@FIRST[+COUNT]]:ERROR[:EFFECT]
bool take_fault(std::string_view text, Fault& fault) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return false;
  std::string_view where = text.substr(0, colon);
  if (const std::size_t at = where.find('@'); at != std::string_view::npos) {
    if (!take_numbers(where.substr(at + 1), fault)) return false;
    where = where.substr(0, at);
  }
  fault.where = where;
  std::string_view rest = text.substr(colon + 1);
  std::string_view effect = is_run(where) ? "break" : "fail";
  if (const std::size_t second = rest.find(':'); second != std::string_view::npos) {
    effect = rest.substr(second + 1);
    rest = rest.substr(0, second);
  }
  const std::optional<cudaError_t> error = error_of_name(rest);
  if (!error || *error == cudaSuccess) return false;
  fault.error = *error;
  return take_name<Effect, Effect>(effect,
                                   {{"fail", Effect::kFail},
                                    {"break", Effect::kBreak},
                                    {"lose", Effect::kLose},
                                    {"hang", Effect::kHang}},
                                   fault.effect) &&
         can_be_met(fault);
}

bool take_item(std::string_view name, std::string_view value, Settings& settings) {
  const auto take = [&](auto& field, std::optional<std::uint64_t> given, std::uint64_t max) {
    if (!given || *given > max) return false;
    field = static_cast<std::remove_reference_t<decltype(field)>>(*given);
    return true;
  };
  constexpr std::uint64_t kAny32 = UINT32_MAX;
  constexpr std::uint64_t kAny64 = UINT64_MAX;
  if (name == "seed") return take(settings.seed, number(value), kAny64);
  if (name == "idle_us") return take(settings.idle_us, number(value), kAny32);
  if (name == "hang_ms") return take(settings.hang_ms, number(value), kAny32);
  if (name == "devices") return take(settings.devices, number(value), 1);
  if (name == "driver") return take(settings.driver, number(value), kAny32);
  if (name == "memory") return take(settings.memory_bytes, bytes(value), kAny64);
  if (name == "taken") return take(settings.memory_taken, bytes(value), kAny64);
  if (name == "multiprocessors") return take(settings.multiprocessors, number(value), 1024);
  if (name == "pools") return take(settings.memory_pools, number(value), 1);
  if (name == "registers") return take(settings.registers, number(value), 255);
  if (name == "steps") return take(settings.launch.warp_instructions_max, number(value), kAny64);
  if (name == "chaos") return take(settings.chaos, number(value), kAny32);
  if (name == "print") return take(settings.print, number(value), 1);
  if (name == "unwritten") return take(settings.check_unwritten_copies, number(value), 1);
  if (name == "pace") {
    return take_name<Pace, Pace>(value, {{"stepped", Pace::kStepped}, {"free", Pace::kFree}},
                                 settings.pace);
  }
  if (name == "order") {
    return take_name<Order, Order>(value,
                                   {{"ascending", Order::kAscending},
                                    {"descending", Order::kDescending},
                                    {"seeded", Order::kSeeded}},
                                   settings.launch.order);
  }
  if (name == "card") {
    settings.card = value;
    return !value.empty();
  }
  if (name == "fault") {
    Fault fault;
    if (!take_fault(value, fault)) return false;
    settings.faults.push_back(std::move(fault));
    return true;
  }
  return false;
}

}  // namespace

Result<Settings> parse_settings(std::string_view text) {
  constexpr std::string_view kSeparators = " ,\t\n";
  Settings settings;
  while (true) {
    const std::size_t begin = text.find_first_not_of(kSeparators);
    if (begin == std::string_view::npos) return settings;
    text.remove_prefix(begin);
    const std::string_view item = text.substr(0, text.find_first_of(kSeparators));
    text.remove_prefix(item.size());
    const std::size_t equals = item.find('=');
    if (equals == std::string_view::npos ||
        !take_item(item.substr(0, equals), item.substr(equals + 1), settings)) {
      return make_error(ErrorCode::kInvalidArgument,
                        "'" + std::string(item) + "' is no setting of the GPU emulator");
    }
  }
}

// --- the plan ------------------------------------------------------------------------------------

FaultPlan::FaultPlan(const Settings& settings)
    : chaos_(settings.chaos), seeded_(settings.seed ^ 0xfa17) {
  for (const Fault& fault : settings.faults) add(fault);
}

void FaultPlan::add(const Fault& fault) {
  if (!can_be_met(fault)) {
    std::fprintf(stderr, "gpu_emulator: a fault of '%s' can never be met\n", fault.where.c_str());
    std::abort();
  }
  faults_.push_back(fault);
}

std::uint64_t FaultPlan::counted(std::string_view where) {
  const auto found = counts_.find(where);
  if (found != counts_.end()) return ++found->second;
  return counts_[std::string(where)] = 1;
}

std::uint64_t FaultPlan::count(std::string_view where) const {
  const auto found = counts_.find(where);
  return found == counts_.end() ? 0 : found->second;
}

void FaultPlan::note(const Met& met) {
  constexpr std::string_view kEffects[] = {"", ", broken", ", lost", ", hangs"};
  met_.push_back(std::string(met.where) + " " + std::to_string(met.number) + ": " +
                 error_name(met.error) + std::string(kEffects[static_cast<unsigned>(met.effect)]));
}

std::optional<FaultPlan::Met> FaultPlan::planned(std::string_view where, std::uint64_t number,
                                                 std::string_view any, std::uint64_t any_number) {
  for (const Fault& fault : faults_) {
    if (fault.where != where && fault.where != any) continue;
    const std::uint64_t at = fault.where == where ? number : any_number;
    // A device that is lost is lost once; the context counts the calls until it is back.
    const std::uint64_t count = fault.effect == Effect::kLose ? 1 : fault.count;
    if (at < fault.first || at - fault.first >= count) continue;
    return Met{fault.error, fault.effect, fault.count, where, number};
  }
  return std::nullopt;
}

std::optional<FaultPlan::Met> FaultPlan::by_chance(std::string_view where, bool run) {
  if (chaos_ == 0 || !seeded_.one_in(chaos_)) return std::nullopt;
  constexpr cudaError_t kOfWork[] = {cudaErrorIllegalAddress, cudaErrorECCUncorrectable,
                                     cudaErrorLaunchFailure, cudaErrorUnknown};
  constexpr cudaError_t kOfCalls[] = {cudaErrorMemoryAllocation, cudaErrorLaunchOutOfResources,
                                      cudaErrorUnknown, cudaErrorDevicesUnavailable};
  Met met;
  met.error = (run ? kOfWork : kOfCalls)[seeded_.below(4)];
  const std::uint64_t draw = seeded_.below(8);
  if (run) {
    met.effect = draw == 0 ? Effect::kHang : draw == 1 ? Effect::kLose : Effect::kBreak;
  } else {
    met.effect = draw == 0 ? Effect::kLose : draw < 3 ? Effect::kBreak : Effect::kFail;
  }
  met.lost_calls = kLostCallsByChance;
  met.where = where;
  met.number = count(where);
  return met;
}

std::optional<FaultPlan::Met> FaultPlan::call(std::string_view name) {
  const std::uint64_t any_number = counted(kAnyCall);
  const std::uint64_t number = counted(name);
  if (const auto met = planned(name, number, kAnyCall, any_number)) return met;
  return by_chance(name, false);
}

std::optional<FaultPlan::Met> FaultPlan::run(std::string_view kind) {
  const std::uint64_t any_number = counted(kAnyWork);
  const std::uint64_t number = counted(kind);
  if (const auto met = planned(kind, number, kAnyWork, any_number)) return met;
  return by_chance(kind, true);
}

}  // namespace colophon::gpu_emulator
