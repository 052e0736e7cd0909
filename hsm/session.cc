// SPDX-License-Identifier: Apache-2.0
#include "hsm/session.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <set>
#include <utility>

#include "hsm/text.h"

namespace colophon::hsm {
namespace {

// Which PIN was wrong for which token, for the life of the process: a keyed hash with a key that
// nobody outside knows, so that no PIN is kept that way.
class WrongPins {
 public:
  static WrongPins& instance() {
    static WrongPins* const pins = new WrongPins;
    return *pins;
  }
  void remember(const std::string& token, const Pin& pin) {
    const std::lock_guard lock(mutex_);
    seen_.insert(digest(token, pin));
  }
  bool contains(const std::string& token, const Pin& pin) {
    const std::lock_guard lock(mutex_);
    return seen_.count(digest(token, pin)) != 0;
  }

 private:
  using Digest = std::array<std::uint8_t, 32>;

  // If there is no randomness the key is zero: the memory of wrong PINs still works.
  WrongPins() { static_cast<void>(RAND_bytes(key_.data(), static_cast<int>(key_.size()))); }

  [[nodiscard]] Digest digest(const std::string& token, const Pin& pin) const {
    Digest out{};
    EVP_MD_CTX* const context = EVP_MD_CTX_new();
    if (context == nullptr) return out;
    EVP_DigestInit_ex(context, EVP_sha256(), nullptr);
    EVP_DigestUpdate(context, key_.data(), key_.size());
    EVP_DigestUpdate(context, token.c_str(), token.size() + 1);
    EVP_DigestUpdate(context, pin.bytes().data(), pin.bytes().size());
    EVP_DigestFinal_ex(context, out.data(), nullptr);
    EVP_MD_CTX_free(context);
    return out;
  }

  std::mutex mutex_;
  std::array<std::uint8_t, 32> key_{};
  std::set<Digest> seen_;
};

bool same_bytes(ByteSpan a, ByteSpan b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::size_t session_limit(const CK_TOKEN_INFO& info) {
  const CK_ULONG limit = info.ulMaxSessionCount;
  if (limit == CK_UNAVAILABLE_INFORMATION || limit == CK_EFFECTIVELY_INFINITE) {
    return kSessionsMaxLimit;
  }
  return std::clamp<std::size_t>(limit - 1, 1, kSessionsMaxLimit);  // one is the anchor's
}

}  // namespace

Token::Token(Module& module, const TokenInfo& info)
    : module_(module),
      label_(info.label),
      manufacturer_(info.manufacturer),
      model_(info.model),
      serial_(info.serial),
      identity_(manufacturer_ + '\0' + model_ + '\0' + serial_ + '\0' + label_),
      login_required_(info.login_required) {}

Token::~Token() {
  const auto held = module_.use();
  if (!held) return;  // a child after fork(): the sessions are the parent's
  if (held->generation != generation_) return;
  close_idle();
  if (anchor_ != CK_INVALID_HANDLE) module_.functions().C_CloseSession(anchor_);
}

bool Token::is(const TokenInfo& info) const noexcept {
  return label_ == info.label && manufacturer_ == info.manufacturer && model_ == info.model &&
         serial_ == info.serial;
}

Uri Token::uri() const {
  Uri uri;
  if (is_uri_text(label_)) {
    uri.token = label_;
  } else if (is_uri_text(serial_)) {
    uri.serial = serial_;
  }
  uri.module_path = module_.path();
  return uri;
}

void Token::close_idle() noexcept {
  for (const CK_SESSION_HANDLE session : idle_) module_.functions().C_CloseSession(session);
  idle_.clear();
}

void Token::raise_sessions_max(std::size_t count) {
  const std::lock_guard lock(mutex_);
  sessions_max_ = std::max(sessions_max_, std::clamp<std::size_t>(count, 1, kSessionsMaxLimit));
  freed_.notify_all();
}

// Requires mutex_.
std::size_t Token::session_bound() const noexcept { return std::min(sessions_max_, token_limit_); }

std::uint64_t Token::generation() {
  const std::lock_guard lock(mutex_);
  return generation_;
}

void Token::lost(std::uint64_t epoch) {
  const std::lock_guard lock(mutex_);
  if (epoch == epoch_) lost_ = true;
}

Result<void> Token::take_permit(Access access) {
  const bool write = access == Access::kWrite;
  std::unique_lock lock(mutex_);
  // Readers that go on coming must not keep a writer waiting.
  if (write) ++waiting_to_write_;
  const bool free = freed_.wait_for(lock, std::chrono::seconds(kSessionWaitSeconds), [&] {
    if (write) return lent_ == 0;
    return waiting_to_write_ == 0 && !lent_alone_ && lent_ < session_bound();
  });
  if (write) --waiting_to_write_;
  if (!free) {
    freed_.notify_all();
    return make_error(ErrorCode::kUnavailable,
                      "the sessions with the token (" + std::to_string(session_bound()) +
                          ") were busy for " + std::to_string(kSessionWaitSeconds) +
                          " s: the HSM is slow or hangs; check it, or allow more sessions",
                      "hsm");
  }
  ++lent_;
  lent_alone_ = write;
  return {};
}

void Token::give_permit() noexcept {
  const std::lock_guard lock(mutex_);
  --lent_;
  lent_alone_ = false;
  freed_.notify_all();
}

// Requires mutex_ and a Use of `generation`.
Result<void> Token::ensure_open(std::uint64_t generation) {
  CK_FUNCTION_LIST& functions = module_.functions();
  if (anchor_ != CK_INVALID_HANDLE && generation == generation_ && !lost_) return {};
  if (generation == generation_) {
    // Their failures do not matter: the sessions may be gone already.
    close_idle();
    if (anchor_ != CK_INVALID_HANDLE) functions.C_CloseSession(anchor_);
  }
  idle_.clear();
  anchor_ = CK_INVALID_HANDLE;
  generation_ = generation;
  ++epoch_;

  // The slot may be another one after the loss of the token.
  COLOPHON_TRY_ASSIGN(const std::vector<TokenInfo> present_now, module_.tokens_in_use(Uri{}));
  const auto here = std::find_if(present_now.begin(), present_now.end(),
                                 [this](const TokenInfo& info) { return is(info); });
  if (here == present_now.end()) {
    return make_error(ErrorCode::kUnavailable,
                      "the token '" + printable(label_) +
                          "' is not there any more: check that the HSM is powered and connected",
                      "token", CKR_TOKEN_NOT_PRESENT);
  }
  slot_ = here->slot_id;
  CK_TOKEN_INFO info{};
  CK_RV rv = module_.token_info(slot_, info);
  if (rv != CKR_OK) return ck_error(rv, "C_GetTokenInfo", "opening the token");
  token_limit_ = session_limit(info);

  rv = functions.C_OpenSession(slot_, CKF_SERIAL_SESSION, nullptr, nullptr, &anchor_);
  if (rv != CKR_OK) {
    anchor_ = CK_INVALID_HANDLE;
    return ck_error(rv, "C_OpenSession",
                    "opening a session with token '" + printable(label_) + "'");
  }
  lost_ = false;
  if (!pin_) return {};
  Result<void> logged_in = present(*pin_, false);
  if (!logged_in) lost_ = true;  // so that the next lease tries to open, not to work logged out
  return logged_in;
}

Result<void> Token::check_before_login(const Pin& pin, bool interactive) const {
  const auto refuse = [this](std::string reason) {
    return make_error(ErrorCode::kPermissionDenied,
                      "not logging in to token '" + printable(label_) + "': " + std::move(reason),
                      "pin");
  };
  if (WrongPins::instance().contains(identity_, pin)) {
    return refuse(
        "this PIN was refused before and is not tried again by this process; correct the PIN at "
        "its source and start again");
  }
  CK_TOKEN_INFO info{};
  const CK_RV rv = module_.token_info(slot_, info);
  if (rv != CKR_OK) return ck_error(rv, "C_GetTokenInfo", "looking at the token before the login");
  if ((info.flags & CKF_USER_PIN_LOCKED) != 0) {
    return refuse("it is locked after too many wrong PINs; its security officer must unlock it");
  }
  if ((info.flags & CKF_USER_PIN_FINAL_TRY) != 0 && !interactive) {
    return refuse(
        "the next wrong PIN locks it, so a stored PIN is not tried; log in once by hand and type "
        "the PIN (colophon hsm list --login asks for it)");
  }
  const std::size_t size = pin.bytes().size();
  // Some tokens leave the bounds out, as zeros or as "unavailable".
  const bool bounded = info.ulMinPinLen != CK_UNAVAILABLE_INFORMATION && info.ulMaxPinLen != 0;
  if (bounded && (size < info.ulMinPinLen || size > info.ulMaxPinLen)) {
    return refuse("its PINs have " + std::to_string(info.ulMinPinLen) + " to " +
                  std::to_string(info.ulMaxPinLen) +
                  " bytes, the one given has not; it was not tried");
  }
  return {};
}

Error Token::wrong_pin(CK_RV rv) const {
  std::string state;
  CK_TOKEN_INFO info{};
  if (module_.token_info(slot_, info) == CKR_OK) {
    if ((info.flags & CKF_USER_PIN_LOCKED) != 0) {
      state = " The token is locked now; its security officer must unlock it.";
    } else if ((info.flags & CKF_USER_PIN_FINAL_TRY) != 0) {
      state = " One more wrong PIN locks the token.";
    } else if ((info.flags & CKF_USER_PIN_COUNT_LOW) != 0) {
      state = " The token counts wrong PINs and will lock itself after a few.";
    }
  }
  return make_error(ErrorCode::kPermissionDenied,
                    "the PIN for token '" + printable(label_) + "' is wrong (" + ckr_name(rv) +
                        "). It was tried once and will not be tried again by this process." + state,
                    "pin", rv);
}

// Requires mutex_, a Use and an open anchor.
Result<void> Token::present(const Pin& pin, bool interactive) {
  COLOPHON_TRY(check_before_login(pin, interactive));
  // PKCS#11 takes a pointer to non-const and does not write through it.
  auto* const bytes = const_cast<std::uint8_t*>(pin.bytes().data());
  const CK_RV rv = module_.functions().C_Login(anchor_, CKU_USER, bytes, pin.bytes().size());
  if (rv == CKR_OK) return {};
  const bool wrong = rv == CKR_PIN_INCORRECT || rv == CKR_PIN_INVALID || rv == CKR_PIN_LEN_RANGE;
  // Some tokens answer "locked" to the very try that locks them, so that PIN may be wrong too.
  if (wrong || rv == CKR_PIN_LOCKED) WrongPins::instance().remember(identity_, pin);
  if (wrong) return wrong_pin(rv);
  // "Already logged in" says nothing about this PIN. It is fine only if it was right before in this
  // process, and the sessions of an older epoch that are still lent keep that login alive.
  const bool known_right = pin_ && same_bytes(pin_->bytes(), pin.bytes());
  if (rv == CKR_USER_ALREADY_LOGGED_IN && known_right) return {};
  return ck_error(rv, "C_Login", "logging in to token '" + printable(label_) + "'");
}

Result<void> Token::login(const PinSource& source) {
  if (!login_required_) return {};
  COLOPHON_TRY_ASSIGN(Pin pin, source.read(label_));
  COLOPHON_TRY_ASSIGN(const Module::Use held, module_.use());
  const std::lock_guard lock(mutex_);
  COLOPHON_TRY(ensure_open(held.generation));
  if (pin_) {
    if (same_bytes(pin_->bytes(), pin.bytes())) return {};
    return make_error(ErrorCode::kPermissionDenied,
                      "this process is already logged in to token '" + printable(label_) +
                          "' with another PIN; the one given was not tried",
                      "pin");
  }
  COLOPHON_TRY(present(pin, source.interactive()));
  pin_ = std::move(pin);
  return {};
}

Result<Token::Lease> Token::lease(Access access) {
  while (true) {
    Result<Lease> lent = lease_once(access);
    if (lent || lent.error().native != CKR_SESSION_COUNT) return lent;
    // Other programs hold sessions too: make do with what we have, unless that is none.
    const std::lock_guard lock(mutex_);
    if (lent_ == 0) return lent;
    token_limit_ = lent_;
  }
}

Result<Token::Lease> Token::lease_once(Access access) {
  COLOPHON_TRY(take_permit(access));
  Lease lease;
  lease.token_ = this;  // from here on its destructor gives the permit back
  lease.keep_ = false;
  COLOPHON_TRY_ASSIGN(lease.use_, module_.use());
  const std::lock_guard lock(mutex_);
  COLOPHON_TRY(ensure_open(lease.use_.generation));
  lease.slot_ = slot_;
  lease.epoch_ = epoch_;
  if (access == Access::kRead && !idle_.empty()) {
    lease.session_ = idle_.back();
    idle_.pop_back();
    lease.keep_ = true;
    return lease;
  }
  const CK_FLAGS flags =
      CKF_SERIAL_SESSION | (access == Access::kWrite ? CKF_RW_SESSION : CK_FLAGS{0});
  CK_FUNCTION_LIST& functions = module_.functions();
  CK_RV rv = functions.C_OpenSession(slot_, flags, nullptr, nullptr, &lease.session_);
  if (rv == CKR_SESSION_COUNT && !idle_.empty()) {
    close_idle();
    rv = functions.C_OpenSession(slot_, flags, nullptr, nullptr, &lease.session_);
  }
  if (rv != CKR_OK) {
    lease.session_ = CK_INVALID_HANDLE;
    if (repair_of(rv) == Repair::kReopen) lost_ = true;
    return ck_error(rv, "C_OpenSession",
                    "opening a session with token '" + printable(label_) + "'");
  }
  lease.keep_ = access == Access::kRead;
  return lease;
}

void Token::give_back(Lease& lease) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (lease.session_ != CK_INVALID_HANDLE) {
      if (lease.keep_ && lease.epoch_ == epoch_ && !lost_) {
        idle_.push_back(lease.session_);
      } else {
        module_.functions().C_CloseSession(lease.session_);
      }
    }
  }
  give_permit();
}

Token::Lease::Lease(Lease&& other) noexcept
    : token_(std::exchange(other.token_, nullptr)),
      use_(std::move(other.use_)),
      session_(other.session_),
      slot_(other.slot_),
      epoch_(other.epoch_),
      keep_(other.keep_) {}

Token::Lease::~Lease() {
  if (token_ != nullptr) token_->give_back(*this);
}

}  // namespace colophon::hsm
