// SPDX-License-Identifier: Apache-2.0
#include "colophon/hsm/signer.h"

#include <mutex>

#include "hsm/key.h"
#include "hsm/open.h"
#include "hsm/public_key.h"
#include "hsm/text.h"

namespace colophon::hsm {
namespace {

// Signed once when a key is opened. It starts like nothing else that Colophon signs: transactions
// have their domain tag in front, checkpoints their origin line.
constexpr std::string_view kUseProofText = "colophon hsm: this key is in use\n";

class TokenSigner final : public Signer {
 public:
  TokenSigner(OpenToken place, Uri uri, KeyType type, PublicKey public_key, EvpPkey evp,
              bool sign_again)
      : place_(std::move(place)),
        uri_(std::move(uri)),
        type_(type),
        public_key_(std::move(public_key)),
        evp_(std::move(evp)),
        sign_again_when_unknown_(sign_again) {}

  [[nodiscard]] KeyType key_type() const noexcept override { return type_; }
  [[nodiscard]] const PublicKey& public_key() const noexcept override { return public_key_; }
  [[nodiscard]] Result<Signature> sign(ByteSpan message) override;

 private:
  struct Attempt {
    Result<Signature> result;
    Repair repair = Repair::kNone;
    bool opened = false;  // a session was had: the failure came later
    bool outcome_unknown = false;
    std::uint64_t epoch = 0;
  };

  [[nodiscard]] Attempt attempt(ByteSpan input);
  [[nodiscard]] Result<CK_OBJECT_HANDLE> key_handle(Token::Lease& lease);

  OpenToken place_;
  const Uri uri_;
  const KeyType type_;
  const PublicKey public_key_;
  const EvpPkey evp_;
  const bool sign_again_when_unknown_;

  std::mutex handle_mutex_;
  std::uint64_t handle_epoch_ = 0;  // 0: none yet (epochs start at 1)
  CK_OBJECT_HANDLE handle_ = CK_INVALID_HANDLE;
};

// The handle is kept for an epoch: after a loss the key is looked for again, and must be the same.
Result<CK_OBJECT_HANDLE> TokenSigner::key_handle(Token::Lease& lease) {
  const std::lock_guard lock(handle_mutex_);
  if (handle_epoch_ == lease.epoch()) return handle_;
  COLOPHON_TRY_ASSIGN(std::vector<KeyRecord> keys, find_keys(lease, *place_.token, uri_));
  COLOPHON_TRY_ASSIGN(const KeyRecord key, only_one(std::move(keys), uri_, *place_.token));
  COLOPHON_TRY(check_usable(key));
  if (*key.info.public_key != public_key_) {
    return make_error(ErrorCode::kPermissionDenied,
                      "the token came back with another key under the name '" +
                          printable(key.info.label) + "': restart if that is what you want",
                      "key");
  }
  handle_ = key.private_handle;
  handle_epoch_ = lease.epoch();
  return handle_;
}

TokenSigner::Attempt TokenSigner::attempt(ByteSpan input) {
  Result<Token::Lease> lent = place_.token->lease();
  if (!lent) {
    const CK_RV rv = lent.error().native;
    return {std::move(lent).error(), rv == 0 ? Repair::kNone : repair_of(rv)};
  }
  Token::Lease lease = std::move(lent).value();
  const std::uint64_t epoch = lease.epoch();
  Result<CK_OBJECT_HANDLE> handle = key_handle(lease);
  if (!handle) {
    const CK_RV rv = handle.error().native;
    return {std::move(handle).error(), rv == 0 ? Repair::kNone : repair_of(rv), true, false, epoch};
  }
  auto outcome = sign_once(lease, type_, *handle, input);
  if (auto* failure = std::get_if<SignFailure>(&outcome)) {
    return {std::move(failure->error), failure->repair, true, failure->outcome_unknown, epoch};
  }
  return {std::get<Signature>(outcome), Repair::kNone, true, false, epoch};
}

Result<Signature> TokenSigner::sign(ByteSpan message) {
  COLOPHON_TRY(place_.module->check_process());
  COLOPHON_TRY_ASSIGN(const std::vector<std::uint8_t> input, signing_input(type_, message));
  bool repeated = false, reinitialized = false, unknown_before = false;
  while (true) {
    const std::uint64_t generation_before = place_.token->generation();
    Attempt now = attempt(input);
    if (now.result) {
      // The session is back in the pool: verifying takes none of the token's time.
      if (verify_signature(*evp_, type_, message, *now.result)) return std::move(now.result);
      return make_error(ErrorCode::kCorrupt,
                        "the token's signature does not verify under the key's public half: the "
                        "signature is withheld; check the token",
                        "hsm");
    }
    if (now.repair == Repair::kReopen && now.opened) place_.token->lost(now.epoch);
    const bool may_repeat =
        now.repair != Repair::kNone && (!now.outcome_unknown || sign_again_when_unknown_);
    unknown_before |= now.outcome_unknown;
    if (may_repeat && !repeated) {
      repeated = true;
      continue;
    }
    // A token that cannot even be opened again may need its module started afresh.
    if (may_repeat && !now.opened && !reinitialized) {
      reinitialized = true;
      if (place_.module->reinitialize(generation_before)) continue;
    }
    if (unknown_before && now.result.error().code != ErrorCode::kOutcomeUnknown) {
      Error error = std::move(now.result).error();
      error.code = ErrorCode::kOutcomeUnknown;
      error.message += "; an attempt before it had an unknown outcome";
      return error;
    }
    return std::move(now.result);
  }
}

}  // namespace

Result<std::unique_ptr<Signer>> open_signer(std::string_view pkcs11_uri, const PinSource& pin,
                                            const SignerOptions& options) {
  if (options.sessions_max == 0 || options.sessions_max > kSessionsMaxLimit) {
    return make_error(ErrorCode::kInvalidArgument,
                      "sessions_max must be 1 to " + std::to_string(kSessionsMaxLimit),
                      "sessions_max");
  }
  COLOPHON_TRY_ASSIGN(Uri uri, parse_uri(pkcs11_uri));
  if (!uri.object && !uri.id) {
    return make_error(ErrorCode::kInvalidArgument,
                      "the PKCS#11 URI names no key: add object=LABEL or id=%XX…", "key");
  }
  if (uri.type && *uri.type != "private") {
    return make_error(ErrorCode::kInvalidArgument,
                      "signing needs the private half: leave type= out or write type=private",
                      "type");
  }
  uri.type = "private";
  COLOPHON_TRY_ASSIGN(OpenToken place, open_token(uri));
  COLOPHON_TRY_ASSIGN(const PinSource source, pin_source_of(uri, pin));
  COLOPHON_TRY(place.token->login(source));
  place.token->raise_sessions_max(options.sessions_max);

  std::optional<KeyRecord> key;
  {
    COLOPHON_TRY_ASSIGN(Token::Lease lease, place.token->lease());
    COLOPHON_TRY_ASSIGN(std::vector<KeyRecord> keys, find_keys(lease, *place.token, uri));
    COLOPHON_TRY_ASSIGN(key, only_one(std::move(keys), uri, *place.token));
  }
  COLOPHON_TRY(check_usable(*key));
  COLOPHON_TRY_ASSIGN(EvpPkey evp, to_evp(*key->info.public_key));
  std::unique_ptr<Signer> signer = std::make_unique<TokenSigner>(
      std::move(place), std::move(uri), *key->type, *key->info.public_key, std::move(evp),
      options.sign_again_when_unknown);
  COLOPHON_TRY(signer->sign(
      {reinterpret_cast<const std::uint8_t*>(kUseProofText.data()), kUseProofText.size()}));
  return signer;
}

}  // namespace colophon::hsm
