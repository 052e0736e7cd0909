// SPDX-License-Identifier: Apache-2.0
#include "hsm/module.h"

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <map>
#include <utility>

#include "hsm/session.h"
#include "hsm/text.h"

namespace colophon::hsm {
namespace {

constexpr CK_ULONG kSlotsMax = 1024;

struct RegistryEntry {
  std::weak_ptr<Module> module;
  pid_t pid = 0;
};

// Modules in use by canonical path. Never destroyed: a signer may outlive static destruction.
struct Registry {
  std::mutex mutex;
  std::condition_variable retired;
  std::map<std::string, RegistryEntry> modules;
};

Registry& registry() {
  static Registry* const instance = new Registry;
  return *instance;
}

// PKCS#11 pads text with blanks to a fixed width; some modules pad with NUL.
template <std::size_t N>
std::string padded_text(const unsigned char (&field)[N]) {
  std::size_t size = N;
  while (size > 0 && (field[size - 1] == ' ' || field[size - 1] == '\0')) --size;
  return {reinterpret_cast<const char*>(field), size};
}

bool matches(const std::optional<std::string>& wanted, const std::string& actual) {
  return !wanted || *wanted == actual;
}

// A URI that names the token. A label or serial number that a URI cannot carry is left out.
std::string uri_of(const TokenInfo& info) {
  Uri name;
  if (is_uri_text(info.label)) name.token = info.label;
  if (is_uri_text(info.serial)) name.serial = info.serial;
  if (!name.token && !name.serial) name.slot_id = info.slot_id;
  name.module_path = info.module_path;
  return format_uri(name);
}

struct CFree {
  void operator()(char* text) const noexcept { std::free(text); }
};

}  // namespace

Result<std::shared_ptr<Module>> Module::open(const std::string& path) {
  const std::unique_ptr<char, CFree> canonical(realpath(path.c_str(), nullptr));
  if (!canonical) {
    const int number = errno;
    return make_error(ErrorCode::kNotFound,
                      "cannot find the PKCS#11 module " + printable(path) + " (" +
                          std::strerror(number) +
                          "): install the HSM's client software, or correct module-path",
                      "module-path", static_cast<std::uint64_t>(number));
  }
  Registry& known = registry();
  std::unique_lock lock(known.mutex);
  bool inherited = false;  // this is a child after fork(), and the parent had the module open
  while (true) {
    const auto found = known.modules.find(canonical.get());
    if (found == known.modules.end()) break;
    inherited = found->second.pid != getpid();
    if (inherited) break;
    if (auto module = found->second.module.lock()) return module;
    known.retired.wait(lock);  // its last user has just gone and it is being finalised
  }
  std::shared_ptr<Module> module(new Module, &Module::retire);
  module->path_ = canonical.get();
  module->pid_ = getpid();
  Result<void> loaded = module->load(path);
  if (loaded) loaded = module->initialize();
  if (loaded && inherited && !module->initialized_by_us_) {
    // C_Finalize here could end the parent's connections, and its sessions cannot be shared.
    loaded = make_error(ErrorCode::kUnsupported,
                        "the PKCS#11 module " + printable(path) +
                            " was open at fork() and does not notice the fork: open keys in the "
                            "child alone, or in the parent alone",
                        "hsm");
  }
  if (!loaded) {
    lock.unlock();  // retire() takes the lock
    return std::move(loaded).error();
  }
  known.modules[module->path_] = {module, module->pid_};
  return module;
}

void Module::retire(Module* module) {
  const std::unique_ptr<Module> last(module);
  module->tokens_.clear();
  // In a child after fork() the module's state is the parent's, and the entry remembers that.
  if (module->pid_ != getpid()) return;
  if (module->initialized_by_us_) module->functions_->C_Finalize(nullptr);
  Registry& known = registry();
  const std::lock_guard lock(known.mutex);
  const auto found = known.modules.find(module->path_);
  if (found != known.modules.end() && found->second.pid == module->pid_ &&
      found->second.module.expired()) {
    known.modules.erase(found);
  }
  known.retired.notify_all();
}

Module::~Module() = default;

Result<void> Module::load(const std::string& path) {
  void* const library = dlopen(path_.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* reason = dlerror();
    return make_error(ErrorCode::kInvalidArgument,
                      "cannot load the PKCS#11 module " + printable(path) + ": " +
                          printable(reason != nullptr ? reason : "unknown reason"),
                      "module-path");
  }
  const auto get_function_list =
      reinterpret_cast<CK_C_GetFunctionList>(dlsym(library, "C_GetFunctionList"));
  if (get_function_list == nullptr) {
    dlclose(library);
    return make_error(ErrorCode::kInvalidArgument,
                      printable(path) +
                          " is a library but not a PKCS#11 module (no C_GetFunctionList): correct "
                          "module-path",
                      "module-path");
  }
  const CK_RV rv = get_function_list(&functions_);
  if (rv != CKR_OK) return ck_error(rv, "C_GetFunctionList", "loading " + printable(path));
  if (functions_ == nullptr || functions_->version.major < 2) {
    return make_error(ErrorCode::kUnsupported,
                      printable(path) + " speaks a PKCS#11 older than 2.0: use a newer module",
                      "module-path");
  }
  return {};
}

Result<void> Module::initialize() {
  CK_C_INITIALIZE_ARGS arguments{};
  arguments.flags = CKF_OS_LOCKING_OK;
  const CK_RV rv = functions_->C_Initialize(&arguments);
  // Another library of this process initialised it first: it is theirs to finalise.
  if (rv == CKR_CRYPTOKI_ALREADY_INITIALIZED) return {};
  if (rv != CKR_OK) return ck_error(rv, "C_Initialize", "starting the module " + printable(path_));
  initialized_by_us_ = true;
  return {};
}

Result<void> Module::check_process() const {
  if (pid_ == getpid()) return {};
  return make_error(ErrorCode::kInvalidArgument,
                    "a PKCS#11 module opened before fork() cannot be used in the child: open keys "
                    "after forking",
                    "hsm");
}

Result<Module::Use> Module::use() {
  COLOPHON_TRY(check_process());
  Use held{std::shared_lock(lifecycle_), 0};
  held.generation = generation_;
  return held;
}

Result<void> Module::reinitialize(std::uint64_t generation_seen) {
  if (pid_ != getpid()) return {};  // use() says it
  const std::unique_lock lock(lifecycle_);
  if (generation_ != generation_seen) return {};
  ++generation_;
  if (initialized_by_us_) {
    initialized_by_us_ = false;
    functions_->C_Finalize(nullptr);  // its failure shows in C_Initialize
  }
  return initialize();
}

Result<std::vector<TokenInfo>> Module::tokens(const Uri& uri) {
  COLOPHON_TRY_ASSIGN(const Use held, use());
  return tokens_in_use(uri);
}

Result<std::vector<TokenInfo>> Module::tokens_in_use(const Uri& uri) const {
  CK_ULONG count = 0;
  CK_RV rv = functions_->C_GetSlotList(CK_TRUE, nullptr, &count);
  if (rv != CKR_OK) return ck_error(rv, "C_GetSlotList", "listing the slots");
  if (count > kSlotsMax) {
    return make_error(ErrorCode::kLimitExceeded,
                      "the module has more than " + std::to_string(kSlotsMax) + " slots", "hsm");
  }
  // Room for tokens that arrive between the two calls.
  std::vector<CK_SLOT_ID> slots(count + 16);
  count = slots.size();
  rv = functions_->C_GetSlotList(CK_TRUE, slots.data(), &count);
  if (rv != CKR_OK) return ck_error(rv, "C_GetSlotList", "listing the slots");
  slots.resize(std::min<std::size_t>(count, slots.size()));

  std::vector<TokenInfo> found;
  for (const CK_SLOT_ID slot : slots) {
    CK_SLOT_INFO slot_info{};
    CK_TOKEN_INFO raw{};
    // One slot that cannot be read must not hide the others.
    if (functions_->C_GetSlotInfo(slot, &slot_info) != CKR_OK) continue;
    if (token_info(slot, raw) != CKR_OK) continue;
    TokenInfo info;
    info.slot_id = slot;
    info.slot_description = padded_text(slot_info.slotDescription);
    info.label = padded_text(raw.label);
    info.manufacturer = padded_text(raw.manufacturerID);
    info.model = padded_text(raw.model);
    info.serial = padded_text(raw.serialNumber);
    if ((uri.slot_id && *uri.slot_id != slot) || !matches(uri.token, info.label) ||
        !matches(uri.manufacturer, info.manufacturer) || !matches(uri.model, info.model) ||
        !matches(uri.serial, info.serial) ||
        !matches(uri.slot_description, info.slot_description) ||
        !matches(uri.slot_manufacturer, padded_text(slot_info.manufacturerID))) {
      continue;
    }
    info.module_path = path_;
    info.initialized = (raw.flags & CKF_TOKEN_INITIALIZED) != 0;
    info.login_required = (raw.flags & CKF_LOGIN_REQUIRED) != 0;
    info.user_pin_count_low = (raw.flags & CKF_USER_PIN_COUNT_LOW) != 0;
    info.user_pin_final_try = (raw.flags & CKF_USER_PIN_FINAL_TRY) != 0;
    info.user_pin_locked = (raw.flags & CKF_USER_PIN_LOCKED) != 0;
    info.uri = uri_of(info);
    found.push_back(std::move(info));
  }
  return found;
}

CK_RV Module::token_info(CK_SLOT_ID slot, CK_TOKEN_INFO& info) const {
  const std::lock_guard lock(token_info_mutex_);
  return functions_->C_GetTokenInfo(slot, &info);
}

Result<Token*> Module::token(const Uri& uri) {
  COLOPHON_TRY_ASSIGN(std::vector<TokenInfo> found, tokens(uri));
  std::erase_if(found, [](const TokenInfo& info) { return !info.initialized; });
  if (found.empty()) {
    COLOPHON_TRY_ASSIGN(const std::vector<TokenInfo> all, tokens(Uri{}));
    std::string there;
    for (const TokenInfo& info : all) {
      if (!info.initialized) continue;
      if (!there.empty()) there += ", ";
      there += "'" + printable(info.label) + "'";
    }
    return make_error(ErrorCode::kNotFound,
                      "the module has no initialised token that the URI matches; it has " +
                          (there.empty() ? std::string("none") : there) +
                          ": correct the URI, or connect or initialise the token",
                      "token");
  }
  if (found.size() > 1) {
    return make_error(ErrorCode::kInvalidArgument,
                      std::to_string(found.size()) +
                          " tokens match the URI: name one by token=, serial= or slot-id=",
                      "token");
  }
  const std::lock_guard lock(tokens_mutex_);
  for (const auto& token : tokens_) {
    if (token->is(found.front())) return token.get();
  }
  tokens_.push_back(std::make_unique<Token>(*this, found.front()));
  return tokens_.back().get();
}

}  // namespace colophon::hsm
