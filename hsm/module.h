// SPDX-License-Identifier: Apache-2.0
//
// A PKCS#11 module: loaded and initialised once a process, shared by all who use it, finalised when
// the last of them goes. It owns one Token per token in use (session.h).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <vector>

#include "colophon/error.hpp"
#include "colophon/hsm/token.h"
#include "colophon/hsm/uri.h"
#include "hsm/ck.h"

namespace colophon::hsm {

class Token;

class Module {
 public:
  // The module at `path`, initialised. One object a file, however many ask. A library stays mapped
  // after its last user is gone: vendors' libraries leave threads and exit handlers behind.
  // Errors: kNotFound (no file), kInvalidArgument (not a library, or not a PKCS#11 module),
  // kUnavailable and others (C_Initialize), kUnsupported (open at fork(), this is the child, and
  // the module does not notice).
  [[nodiscard]] static Result<std::shared_ptr<Module>> open(const std::string& path);

  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;
  ~Module();

  // While one exists the module is not finalised. A thread holds at most one.
  struct Use {
    std::shared_lock<std::shared_mutex> lock;
    std::uint64_t generation = 0;  // grows with each C_Initialize: older handles mean nothing
  };
  // Errors: check_process().
  [[nodiscard]] Result<Use> use();
  // Takes no lock: a thread of the parent may have held any of them at the fork().
  // Errors: kInvalidArgument (this is a child after fork()).
  [[nodiscard]] Result<void> check_process() const;

  // Valid while a Use is held.
  [[nodiscard]] CK_FUNCTION_LIST& functions() const noexcept { return *functions_; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

  // The tokens present that match the path attributes of `uri`. Takes a Use of its own.
  [[nodiscard]] Result<std::vector<TokenInfo>> tokens(const Uri& uri);
  // The same for a caller that holds a Use.
  [[nodiscard]] Result<std::vector<TokenInfo>> tokens_in_use(const Uri& uri) const;

  // C_GetTokenInfo for a caller that holds a Use; one thread at a time, because SoftHSM 2.6.1 calls
  // gmtime() there, which shares its result among threads.
  [[nodiscard]] CK_RV token_info(CK_SLOT_ID slot, CK_TOKEN_INFO& info) const;

  // The one initialised token that `uri` names. It lives as long as the module.
  // Errors: kNotFound (the message lists what is there), kInvalidArgument (several match).
  [[nodiscard]] Result<Token*> token(const Uri& uri);

  // C_Finalize and C_Initialize, which is what brings some vendors' modules back after the loss of
  // a whole group of HSMs. Waits until no call is in progress; does nothing if another thread has
  // done it since `generation_seen`. The caller holds no Use.
  [[nodiscard]] Result<void> reinitialize(std::uint64_t generation_seen);

 private:
  Module() = default;
  static void retire(Module* module);
  [[nodiscard]] Result<void> load(const std::string& path);
  [[nodiscard]] Result<void> initialize();

  std::string path_;  // canonical: the registry's key
  CK_FUNCTION_LIST* functions_ = nullptr;
  pid_t pid_ = 0;
  bool initialized_by_us_ = false;
  std::shared_mutex lifecycle_;  // shared: a call may be in progress; exclusive: C_Finalize
  std::uint64_t generation_ = 1;
  mutable std::mutex token_info_mutex_;
  std::mutex tokens_mutex_;
  std::vector<std::unique_ptr<Token>> tokens_;
};

}  // namespace colophon::hsm
