// SPDX-License-Identifier: Apache-2.0
#include "tests/gpu_emulator/context.h"

#include <pthread.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "tests/gpu_emulator/cuda_errors.h"

namespace colophon::gpu_emulator {
namespace {

constexpr std::uint64_t kPageBytes = std::uint64_t{2} << 20;
constexpr std::uint32_t kDriverMin = 13'000;  // what the toolkit 13.0 asks for
constexpr std::uint8_t kPoison = 0xa5;        // where a copy to the host will put something

thread_local bool host_function_runs = false;

std::uint64_t in_pages(std::uint64_t bytes) {
  return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
}

// Of the bytes; any change is all but certain to change it.
std::uint64_t sum_of(const void* bytes, std::uint64_t count) {
  const auto* at = static_cast<const std::uint8_t*>(bytes);
  std::uint64_t sum = count;
  std::uint64_t word = 0;
  for (; count >= sizeof(word); count -= sizeof(word), at += sizeof(word)) {
    std::memcpy(&word, at, sizeof(word));
    sum = (sum ^ word) * 0x9e37'79b9'7f4a'7c15;
    sum ^= sum >> 29;
  }
  for (; count != 0; --count) sum = (sum ^ *at++) * 0x0000'0100'0000'01b3;
  return sum;
}

cudaError_t error_of(FaultKind kind) {
  switch (kind) {
    case FaultKind::kOutOfBounds:
    case FaultKind::kUseAfterFree:
    case FaultKind::kReadOnly:
      return cudaErrorIllegalAddress;
    case FaultKind::kMisaligned:
      return cudaErrorMisalignedAddress;
    case FaultKind::kDeadlock:
    case FaultKind::kStepLimit:
      return cudaErrorLaunchTimeout;
    case FaultKind::kCallDepth:
      return cudaErrorHardwareStackError;
    case FaultKind::kLaunch:
    case FaultKind::kUnwritten:
    case FaultKind::kRace:
    case FaultKind::kDivergence:
    case FaultKind::kExchange:
    case FaultKind::kArithmetic:
    case FaultKind::kTrap:
      break;
  }
  return cudaErrorLaunchFailure;
}

std::string_view run_name(Work::Kind kind) {
  switch (kind) {
    case Work::Kind::kKernel:
      return "kernel";
    case Work::Kind::kCopyToDevice:
    case Work::Kind::kCopyToHost:
    case Work::Kind::kCopyOnDevice:
      return "copy";
    case Work::Kind::kSet:
      return "set";
    case Work::Kind::kHostFunction:
      return "host";
    case Work::Kind::kMark:
    case Work::Kind::kAllocate:
    case Work::Kind::kFree:
      break;
  }
  return {};
}

Settings settings_of_environment() {
  const char* const text = std::getenv("COLOPHON_GPU_EMULATOR");
  Result<Settings> settings = parse_settings(text == nullptr ? "" : text);
  if (!settings) {
    std::fprintf(stderr, "COLOPHON_GPU_EMULATOR: %s\n", settings.error().message.c_str());
    std::_Exit(2);
  }
  return std::move(settings).value();
}

}  // namespace

bool in_host_function() { return host_function_runs; }

Context& Context::get() {
  static Context* const context = [] {
    auto* const made = new Context;
    std::atexit([] { (void)get().unload(); });
    pthread_atfork(nullptr, nullptr, [] { get().forked(); });
    return made;
  }();
  return *context;
}

Context::Context()
    : settings_(settings_of_environment()),
      plan_(settings_),
      queue_([this](const Op& op) { return decide(op); }, [this](Op& op) { return run(op); },
             [this](cudaError_t error) {
               if (broken_ == cudaSuccess) broken_ = error;
             }) {
  legacy_->legacy = true;
  open_card();
  Lock guard = lock();
  queue_.start(guard, settings_);
}

void Context::open_card() {
  card_.reset();
  if (settings_.card.empty()) return;
  Result<std::unique_ptr<SharedCard>> card = SharedCard::open(settings_.card);
  if (!card) {
    std::fprintf(stderr, "COLOPHON_GPU_EMULATOR: %s\n", card.error().message.c_str());
    std::_Exit(2);
  }
  card_ = std::move(card).value();
}

// --- calls ---------------------------------------------------------------------------------------

cudaError_t Context::enter_uncounted() const {
  if (forked_) return cudaErrorInitializationError;
  if (unloaded_) return cudaErrorCudartUnloading;
  if (settings_.driver < kDriverMin) return cudaErrorInsufficientDriver;
  if (settings_.devices == 0) return cudaErrorNoDevice;
  return cudaSuccess;
}

cudaError_t Context::enter(Lock& lock, const CallName& call) {
  if (const cudaError_t error = enter_uncounted(); error != cudaSuccess) return error;
  queue_.touch();
  const bool fails_anyhow = lost_calls_ != 0 || broken_ != cudaSuccess;
  if (const auto met = plan_.call(call.name); met && !fails_anyhow) {
    plan_.note(*met);
    if (met->effect == Effect::kFail) return met->error;
    meet(*met);
    queue_.drop(lock);
  }
  if (lost_calls_ != 0) {
    if (lost_calls_ != kForever) --lost_calls_;
    return lost_;
  }
  return call.name == "cudaDeviceReset" ? cudaSuccess : broken_;
}

void Context::meet(const FaultPlan::Met& met) {
  if (met.effect == Effect::kLose) {
    lost_ = met.error;
    lost_calls_ = met.lost_calls;
    broken_ = met.error;
  } else if (broken_ == cudaSuccess) {
    broken_ = met.error;
  }
}

void Context::reset(Lock& lock) {
  queue_.drop(lock);
  broken_ = cudaSuccess;
  clear(false);
}

void Context::power_cycle(Lock& lock, const Settings& settings) {
  queue_.start(lock, settings);
  settings_ = settings;
  plan_ = FaultPlan(settings);
  broken_ = cudaSuccess;
  lost_calls_ = 0;
  launches_ = 0;
  ++generation_;
  clear(true);
  open_card();
  const std::scoped_lock guard(findings_mutex_);
  findings_.clear();
}

// What cudaDeviceReset destroys; `all`: that and what it leaves, too.
void Context::clear(bool all) {
  loaded_.clear();
  for (auto at = allocations_.begin(); at != allocations_.end();) {
    if (all || !at->second.stream_ordered) {
      (void)memory_.free(at->first);
      at = allocations_.erase(at);
      continue;
    }
    at->second.usable = true;
    at->second.freeing = false;
    ++at;
  }
  pinned_.clear();
  streams_.clear();
  per_thread_.clear();
  orphans_.clear();
  captures_.clear();
  legacy_ = std::make_shared<Stream>();
  legacy_->legacy = true;
  events.clear();
  graphs.clear();
  graph_execs.clear();
  table_.forget_attributes();
  tell_used();
}

void Context::remove_module(Lock& lock, ModuleId module) {
  queue_.settle(lock);
  table_.remove_module(module);
  loaded_.erase(module);
  tell_used();
}

bool Context::unload() {
  if (forked_) return false;
  if (!unloaded_.exchange(true)) queue_.stop();
  return true;
}

Holdings Context::holdings() const {
  Holdings held;
  held.allocations = allocations_.size();
  for (const auto& [base, allocation] : allocations_) held.allocated_bytes += allocation.charged;
  held.pinned = pinned_.size();
  held.streams = streams_.size();
  held.events = events.size();
  held.graphs = graphs.size() + graph_execs.size();
  held.queued = queue_.pending().size();
  return held;
}

// --- memory --------------------------------------------------------------------------------------

std::uint64_t Context::used_bytes() const {
  std::uint64_t used = 0;
  for (const auto& [base, allocation] : allocations_) used += allocation.charged;
  for (const auto& [id, loaded] : loaded_) used += loaded.charged;
  return used;
}

std::uint64_t Context::free_bytes() const {
  const std::uint64_t used =
      used_bytes() + settings_.memory_taken + (card_ ? card_->used_by_others() : 0);
  return settings_.memory_bytes - std::min(used, settings_.memory_bytes);
}

cudaError_t Context::allocate(Lock& lock, std::uint64_t bytes, bool stream_ordered,
                              DevicePointer& out) {
  queue_.settle(lock);
  const std::unique_lock alone = turn();  // no other process takes what is free here
  const std::uint64_t free = free_bytes();
  if (bytes > free || in_pages(bytes) > free) return cudaErrorMemoryAllocation;
  const Result<DevicePointer> base = memory_.allocate(bytes);
  if (!base) return cudaErrorMemoryAllocation;
  allocations_[*base] = {.bytes = bytes,
                         .charged = in_pages(bytes),
                         .stream_ordered = stream_ordered,
                         .usable = !stream_ordered};
  tell_used();
  out = *base;
  return cudaSuccess;
}

Context::Allocated* Context::allocated(DevicePointer base) {
  const auto found = allocations_.find(base);
  return found == allocations_.end() ? nullptr : &found->second;
}

template <class Uses>
void Context::wait_for_users(Lock& lock, std::string_view call, const Uses& uses) {
  std::vector<OpPtr> users;
  for (const OpPtr& op : queue_.pending()) {
    if (uses(op->work)) users.push_back(op);
  }
  if (users.empty()) return;
  find_fault(Finding::Kind::kRace,
             std::string(call) + " of memory in use by " + describe(users.front()->work) +
                 ", which has not run" +
                 (users.size() == 1 ? "" : " (and " + std::to_string(users.size() - 1) + " more)"));
  for (const OpPtr& op : users) (void)queue_.wait(lock, op);
}

cudaError_t Context::free(Lock& lock, DevicePointer base) {
  const Allocated* const found = allocated(base);
  if (found == nullptr || found->freeing) {
    misuse("cudaFree",
           "not the address of an allocation, or freed before: " + memory_.describe(base));
    return cudaErrorInvalidValue;
  }
  const std::uint64_t bytes = found->bytes;
  wait_for_users(lock, "cudaFree", [&](const Work& work) { return work.uses(base, bytes); });
  queue_.settle(lock);
  if (broken_ != cudaSuccess) return broken_;
  if (allocated(base) == nullptr) return cudaErrorInvalidValue;  // freed by two threads
  discard(base);
  return cudaSuccess;
}

void Context::discard(DevicePointer base) {
  if (allocations_.erase(base) == 0) return;
  (void)memory_.free(base);
  tell_used();
}

cudaError_t Context::allocate_pinned(std::uint64_t bytes, void** out) {
  // Rubbish in it, as a driver's memory may have.
  std::unique_ptr<std::uint8_t[]> memory(new (std::nothrow) std::uint8_t[bytes]);
  if (!memory) return cudaErrorMemoryAllocation;
  std::memset(memory.get(), kPoison, bytes);
  *out = memory.get();
  pinned_[reinterpret_cast<std::uintptr_t>(*out)] = {.bytes = bytes, .owned = std::move(memory)};
  return cudaSuccess;
}

cudaError_t Context::register_pinned(void* base, std::uint64_t bytes) {
  const auto address = reinterpret_cast<std::uintptr_t>(base);
  for (const auto& [other, pinned] : pinned_) {
    if (address < other + pinned.bytes && other < address + bytes) {
      return cudaErrorHostMemoryAlreadyRegistered;
    }
  }
  pinned_[address] = {.bytes = bytes, .owned = nullptr};
  return cudaSuccess;
}

cudaError_t Context::release_pinned(Lock& lock, void* base, bool owned) {
  const std::string_view call = owned ? "cudaFreeHost" : "cudaHostUnregister";
  const auto address = reinterpret_cast<std::uintptr_t>(base);
  const auto found = pinned_.find(address);
  if (found == pinned_.end() || (found->second.owned != nullptr) != owned) {
    misuse(call, "not the address of such memory, or given back before");
    return owned ? cudaErrorInvalidValue : cudaErrorHostMemoryNotRegistered;
  }
  const std::uint64_t bytes = found->second.bytes;
  wait_for_users(lock, call, [&](const Work& work) { return work.uses_host(base, bytes); });
  if (broken_ != cudaSuccess) return broken_;
  pinned_.erase(address);
  return cudaSuccess;
}

bool Context::is_pinned(const void* address, std::uint64_t bytes) const {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  auto after = pinned_.upper_bound(at);
  if (after == pinned_.begin()) return false;
  const auto& [base, pinned] = *--after;
  return at - base < pinned.bytes && bytes <= pinned.bytes - (at - base);
}

bool Context::check_range(std::string_view call, DevicePointer base, std::uint64_t bytes) {
  const Allocation* const allocation = memory_.near(base);
  if (allocation != nullptr && !allocation->freed && base >= allocation->base &&
      bytes <= allocation->bytes && base - allocation->base <= allocation->bytes - bytes) {
    const Allocated* const known = allocated(allocation->base);
    if (known == nullptr || !known->freeing) return true;
  }
  misuse(call, std::to_string(bytes) +
                   " bytes are not inside of live device memory: " + memory_.describe(base));
  return false;
}

// --- kernels and symbols -------------------------------------------------------------------------

Result<const Context::Loaded*> Context::load(Lock& lock, const FatBinary& binary) {
  if (module_of_change_ != table_.last_change()) module_of_.clear();
  if (const auto known = module_of_.find(&binary); known != module_of_.end()) {
    const auto loaded = loaded_.find(known->second);
    if (loaded != loaded_.end() && loaded->second.executor) {
      return &loaded->second;
    }
  }
  COLOPHON_TRY_ASSIGN(const LoadedText text, table_.find_module(binary));
  module_of_change_ = table_.last_change();
  module_of_[&binary] = text.id;
  queue_.settle(lock);
  Loaded& loaded = loaded_[text.id];
  if (!loaded.executor) {
    const std::uint64_t before = memory_.bytes_used();
    COLOPHON_TRY_ASSIGN(Executor executor, Executor::load(Module(*text.module), memory_));
    loaded.module = text.module;
    loaded.executor = std::make_unique<Executor>(std::move(executor));
    loaded.charged = in_pages(memory_.bytes_used() - before);
    tell_used();
  }
  return &loaded;
}

cudaError_t Context::find(Lock& lock, const Kernel& kernel, Found& out) {
  const Result<const Loaded*> loaded = load(lock, *kernel.binary);
  if (!loaded) {
    find_fault(Finding::Kind::kDeviceFault,
               "kernel '" + kernel.name + "': " + loaded.error().message);
    switch (loaded.error().code) {
      case ErrorCode::kNotFound:
        return cudaErrorInvalidDeviceFunction;
      case ErrorCode::kLimitExceeded:
        return cudaErrorMemoryAllocation;
      default:
        return cudaErrorInvalidPtx;
    }
  }
  out.executor = (*loaded)->executor.get();
  out.entry = out.executor->entry(kernel.name);
  out.module = (*loaded)->module;
  return out.entry == nullptr ? cudaErrorInvalidDeviceFunction : cudaSuccess;
}

cudaError_t Context::find(Lock& lock, const Symbol& symbol, DeviceVariable& out) {
  const Result<const Loaded*> loaded = load(lock, *symbol.binary);
  if (!loaded) {
    find_fault(Finding::Kind::kDeviceFault,
               "variable '" + symbol.name + "': " + loaded.error().message);
    return cudaErrorInvalidSymbol;
  }
  const std::optional<DeviceVariable> variable = (*loaded)->executor->variable(symbol.name);
  if (!variable) return cudaErrorInvalidSymbol;
  out = *variable;
  return cudaSuccess;
}

// --- what runs -----------------------------------------------------------------------------------

OpPtr Context::enqueue(Work work, std::uint64_t priority, const std::vector<OpPtr>& after) {
  auto op = std::make_shared<Op>(std::move(work));
  op->priority = priority;
  for (const OpPtr& earlier : after) {
    if (!earlier || earlier->done) continue;
    if (earlier->behind_host_function || earlier->work.kind == Work::Kind::kHostFunction) {
      op->behind_host_function = true;
    }
  }
  watch(*op);
  queue_.add(op, after);
  return op;
}

// Host memory that an op will touch is left alone by everybody until then, but for host functions
// and copies that are to come before it.
void Context::watch(Op& op) const {
  const Work& work = op.work;
  const void* const host = work.host();
  if (host == nullptr || op.behind_host_function) return;
  const auto touches = [&](Work::Kind kind) {
    return std::ranges::any_of(queue_.pending(), [&](const OpPtr& other) {
      return other->work.kind == kind && other->work.uses_host(host, work.bytes);
    });
  };
  if (touches(Work::Kind::kCopyToHost)) return;
  if (work.kind == Work::Kind::kCopyToDevice) {
    op.watch = Op::Watch::kSource;
  } else if (!touches(Work::Kind::kCopyToDevice)) {
    op.watch = Op::Watch::kTarget;
    std::memset(work.host_to, kPoison, work.bytes);
  }
  if (op.watch != Op::Watch::kNone) op.sum = sum_of(host, work.bytes);
}

void Context::check_watched(const Op& op) {
  if (op.watch == Op::Watch::kNone || sum_of(op.work.host(), op.work.bytes) == op.sum) return;
  find_fault(Finding::Kind::kRace,
             describe(op.work) + (op.watch == Op::Watch::kSource
                                      ? ": the host memory was changed before it ran"
                                      : ": the host memory was written to before it ran"));
}

bool Context::check_usable(const Work& work) {
  if (work.kind == Work::Kind::kAllocate) return true;
  for (const auto& [base, allocation] : allocations_) {
    if (!allocation.usable && work.uses(base, allocation.bytes)) {
      find_fault(Finding::Kind::kDeviceFault,
                 describe(work) + " uses memory before its cudaMallocAsync has run");
      return false;
    }
  }
  return true;
}

WorkQueue::Decision Context::decide(const Op& op) {
  const Work& work = op.work;
  if (const std::string_view name = run_name(work.kind); !name.empty()) {
    if (const std::optional<FaultPlan::Met> met = plan_.run(name)) {
      plan_.note(*met);
      if (met->effect == Effect::kHang) return {.error = cudaSuccess, .hang = true};
      meet(*met);
      return {.error = met->error};
    }
  }
  if (!check_usable(work)) return {.error = cudaErrorIllegalAddress};
  if (work.kind == Work::Kind::kAllocate) {
    if (Allocated* const allocation = allocated(work.to)) allocation->usable = true;
  }
  if (work.kind == Work::Kind::kFree) discard(work.to);
  return {};
}

cudaError_t Context::run(Op& op) {
  const Work& work = op.work;
  switch (work.kind) {
    case Work::Kind::kMark:
    case Work::Kind::kAllocate:
    case Work::Kind::kFree:
      return cudaSuccess;
    case Work::Kind::kHostFunction:
      host_function_runs = true;
      work.function(work.data);
      host_function_runs = false;
      return cudaSuccess;
    case Work::Kind::kKernel: {
      const std::unique_lock alone = turn();
      return run_kernel(work);
    }
    default: {
      const std::unique_lock alone = turn();
      return run_copy(op);
    }
  }
}

cudaError_t Context::run_kernel(const Work& work) {
  LaunchOptions options = settings_.launch;
  options.seed ^= Seeded(settings_.seed + ++launches_).next();
  const LaunchResult result =
      work.executor->launch_packed(*work.entry, work.shape, work.arguments, options);
  if (result.fault) find_fault(Finding::Kind::kDeviceFault, result.fault->message);

  const std::scoped_lock guard(findings_mutex_);
  Ran& ran = ran_[{work.entry->name, work.module.get()}];
  if (!ran.coverage) {
    ran.module = work.module;
    ran.coverage = std::make_unique<Coverage>(*work.module);
  }
  ran.coverage->add(result.statistics);
  ++ran.sums.launches;
  ran.sums.warp_instructions += result.statistics.warp_instructions;
  ran.sums.thread_instructions += result.statistics.thread_instructions;
  if (!result.fault) return cudaSuccess;
  ++ran.sums.faults;
  return error_of(result.fault->kind);
}

cudaError_t Context::run_copy(Op& op) {
  const Work& work = op.work;
  check_watched(op);
  Result<void> done;
  switch (work.kind) {
    case Work::Kind::kCopyToDevice:
      done = memory_.write(work.to, work.staged ? work.staged->data() : work.host_from, work.bytes);
      break;
    case Work::Kind::kCopyToHost:
      done = memory_.read(work.host_to, work.from, work.bytes);
      break;
    case Work::Kind::kCopyOnDevice:
      done = memory_.copy(work.to, work.from, work.bytes);
      break;
    default:
      done = memory_.set(work.to, work.value, work.bytes);
      break;
  }
  if (!done && work.kind == Work::Kind::kCopyToHost &&
      memory_.read(work.host_to, work.from, work.bytes, Unwritten::kAllow)) {
    // Rubbish, but no error of CUDA's.
    if (settings_.check_unwritten_copies) {
      find_fault(Finding::Kind::kDeviceFault, describe(work) + ": " + done.error().message);
    }
    return cudaSuccess;
  }
  if (done) return cudaSuccess;
  find_fault(Finding::Kind::kDeviceFault, describe(work) + ": " + done.error().message);
  return cudaErrorIllegalAddress;
}

// --- findings and statistics ---------------------------------------------------------------------

std::string Context::describe(const Work& work) const {
  if (work.kind == Work::Kind::kKernel) return "kernel '" + work.entry->name + "'";
  std::string text(work.call);
  if (work.bytes != 0) text += " of " + std::to_string(work.bytes) + " bytes";
  return text;
}

void Context::find_fault(Finding::Kind kind, std::string text) {
  if (settings_.print) std::fprintf(stderr, "gpu_emulator: %s\n", text.c_str());
  const std::scoped_lock guard(findings_mutex_);
  if (findings_.size() < kFindingsMax) findings_.push_back({kind, std::move(text)});
}

std::vector<Finding> Context::findings() const {
  const std::scoped_lock guard(findings_mutex_);
  return findings_;
}

std::vector<KernelStatistics> Context::statistics() const {
  const std::scoped_lock guard(findings_mutex_);
  std::vector<KernelStatistics> all;
  for (const auto& [key, ran] : ran_) {
    KernelStatistics one = ran.sums;
    one.kernel = key.first;
    one.module = ran.module;
    if (const Function* const entry = ran.module->function(key.first)) {
      one.blocks = ran.coverage->blocks(*entry);
      one.report = ran.coverage->report(*entry);
    }
    all.push_back(std::move(one));
  }
  return all;
}

void Context::clear_statistics() {
  const std::scoped_lock guard(findings_mutex_);
  ran_.clear();
}

}  // namespace colophon::gpu_emulator
