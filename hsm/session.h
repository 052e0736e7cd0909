// SPDX-License-Identifier: Apache-2.0
//
// A token in use: one login, a pool of sessions, and what to do when either is lost.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "colophon/hsm/pin.h"
#include "colophon/hsm/token.h"
#include "hsm/module.h"

namespace colophon::hsm {

inline constexpr std::size_t kSessionsMaxLimit = 64;
inline constexpr unsigned kSessionWaitSeconds = 30;

// An epoch is one anchor session: a session that only carries the login (PKCS#11 logs out when the
// last session closes, and any working session may have to be closed). Session and object handles
// are used only in the epoch that made them.
class Token {
 public:
  // A session lent to one thread. Returned to the pool on destruction unless discarded.
  class Lease {
   public:
    Lease(Lease&& other) noexcept;
    Lease& operator=(Lease&&) = delete;
    Lease(const Lease&) = delete;
    ~Lease();

    [[nodiscard]] CK_FUNCTION_LIST& functions() const noexcept {
      return token_->module_.functions();
    }
    [[nodiscard]] CK_SESSION_HANDLE session() const noexcept { return session_; }
    [[nodiscard]] CK_SLOT_ID slot() const noexcept { return slot_; }
    [[nodiscard]] std::uint64_t epoch() const noexcept { return epoch_; }
    // The session is spent: close it instead of returning it.
    void discard() noexcept { keep_ = false; }

   private:
    friend class Token;
    Lease() = default;
    Token* token_ = nullptr;
    Module::Use use_;
    CK_SESSION_HANDLE session_ = CK_INVALID_HANDLE;
    CK_SLOT_ID slot_ = 0;
    std::uint64_t epoch_ = 0;
    bool keep_ = true;
  };

  enum class Access : std::uint8_t { kRead, kWrite };

  Token(Module& module, const TokenInfo& info);
  Token(const Token&) = delete;
  Token& operator=(const Token&) = delete;
  ~Token();

  [[nodiscard]] bool is(const TokenInfo& info) const noexcept;
  [[nodiscard]] const std::string& label() const noexcept { return label_; }
  [[nodiscard]] Module& module() const noexcept { return module_; }
  // Token and module; what a key's URI starts from.
  [[nodiscard]] Uri uri() const;

  // Reads the PIN and presents it, once. Nothing is presented if the token asks for no login, if
  // this process already logged in with the same PIN, if the same PIN was wrong before, if the
  // length is out of the token's bounds, if the token is locked, or if it warns of a last try and
  // no person typed the PIN. Errors: kPermissionDenied (all of those but the first two, and a wrong
  // PIN), and PinSource's.
  [[nodiscard]] Result<void> login(const PinSource& source);

  // Waits for a session, kSessionWaitSeconds at most; opens (again) what is needed, logging in with
  // the PIN that was right before. A thread holds at most one lease. kWrite, for making and
  // removing objects: a read-write session of its own, closed afterwards, and no other lease
  // meanwhile, for SoftHSM 2.6.1 now and then fails and leaves half a key while other threads look
  // at the token. Errors: kUnavailable (none free, token lost), kPermissionDenied (the PIN is wrong
  // now).
  [[nodiscard]] Result<Lease> lease(Access access = Access::kRead);

  // The handles of `epoch` are of no use any more. Later leases belong to a new epoch.
  void lost(std::uint64_t epoch);
  // The module's generation that the last epoch was opened in, for Module::reinitialize.
  [[nodiscard]] std::uint64_t generation();

  // At most `count` sessions from now on if it is more than before (each user asks for its own).
  void raise_sessions_max(std::size_t count);

 private:
  [[nodiscard]] Result<Lease> lease_once(Access access);
  [[nodiscard]] std::size_t session_bound() const noexcept;
  [[nodiscard]] Result<void> take_permit(Access access);
  void give_permit() noexcept;
  [[nodiscard]] Result<void> ensure_open(std::uint64_t generation);
  [[nodiscard]] Result<void> present(const Pin& pin, bool interactive);
  [[nodiscard]] Result<void> check_before_login(const Pin& pin, bool interactive) const;
  [[nodiscard]] Error wrong_pin(CK_RV rv) const;
  void close_idle() noexcept;
  void give_back(Lease& lease) noexcept;

  Module& module_;
  const std::string label_, manufacturer_, model_, serial_;
  const std::string identity_;  // all four, for the memory of wrong PINs
  const bool login_required_;

  std::mutex mutex_;  // what follows; held during C_OpenSession and C_Login, never during C_Sign
  std::condition_variable freed_;
  std::size_t sessions_max_ = 1;                 // what our users ask for
  std::size_t token_limit_ = kSessionsMaxLimit;  // what the token allows
  std::size_t lent_ = 0;
  bool lent_alone_ = false;  // to a kWrite lease
  std::size_t waiting_to_write_ = 0;
  std::uint64_t epoch_ = 0;
  std::uint64_t generation_ = 0;  // of epoch_
  bool lost_ = false;
  CK_SLOT_ID slot_ = 0;
  CK_SESSION_HANDLE anchor_ = CK_INVALID_HANDLE;
  std::vector<CK_SESSION_HANDLE> idle_;
  std::optional<Pin> pin_;  // the one that was right, for the login after a loss
};

}  // namespace colophon::hsm
