// SPDX-License-Identifier: Apache-2.0
//
// What an institution does with a token before anything signs: see what is there, make a key, read
// its public half.
//
// Everything here and in signer.h shares one state a process: a module is loaded and initialised
// once, a token is logged in to once. After fork() nothing the parent opened works in the child;
// the child can open anew what was closed before the fork, and what was open only with a module
// that notices a fork (SoftHSM 2.6.1 does not; kUnsupported).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "colophon/error.hpp"
#include "colophon/hsm/pin.h"
#include "colophon/hsm/signer.h"
#include "colophon/hsm/uri.h"

namespace colophon::hsm {

// The environment variable naming the module of a URI without module-path.
inline constexpr const char* kModuleEnvironmentVariable = "COLOPHON_PKCS11_MODULE";
inline constexpr std::size_t kKeysMax = 4096;  // listed in one token; more is kLimitExceeded

// The URI's module-path, else COLOPHON_PKCS11_MODULE. Nothing is loaded by default.
// Errors: kInvalidArgument (neither; the message says what to write).
[[nodiscard]] Result<std::string> module_path_of(const Uri& uri);

// One slot with a token in it.
struct TokenInfo {
  std::uint64_t slot_id = 0;
  std::string slot_description;
  std::string label, manufacturer, model, serial;
  std::string module_path;
  bool initialized = false;
  bool login_required = false;
  bool user_pin_count_low = false;  // a wrong PIN was entered since the last right one
  bool user_pin_final_try = false;  // the next wrong PIN locks the token
  bool user_pin_locked = false;
  std::string uri;  // pkcs11:token=…;serial=…?module-path=…
};

// One key pair, or the half of one that is there and visible.
struct KeyInfo {
  std::string label;
  std::vector<std::uint8_t> id;
  std::string type;  // "p256", "ed25519", or "other" (a kind of key that Colophon does not use)
  bool has_private = false;  // always false without login: private halves are not visible
  bool has_public = false;
  // Of the private half; meaningful if has_private.
  bool sensitive = false, extractable = true, may_sign = false, generated_in_token = false;
  std::optional<PublicKey> public_key;  // if there is a public half of a known type
  std::string uri;  // pkcs11:token=…;object=…;id=…;type=private?module-path=…
};

// The tokens of the URI's module that match its path attributes. No login.
[[nodiscard]] Result<std::vector<TokenInfo>> list_tokens(const Uri& uri);

// The keys of the one token that `uri` names which match its object and id, by label and id.
// Without a PIN source no login is made and only public halves are visible.
[[nodiscard]] Result<std::vector<KeyInfo>> list_keys(const Uri& uri,
                                                     const std::optional<PinSource>& pin);

struct KeyRequest {
  KeyType type = KeyType::kP256;
  std::string label;  // CKA_LABEL, 1 to kLabelBytesMax bytes of UTF-8
  std::optional<std::vector<std::uint8_t>>
      id;  // CKA_ID; absent: SHA-256 of PublicKey::raw, 20 bytes
};

// Makes a key pair in the token `uri` names: kept in the token, sensitive, not extractable, for
// signing only. Reads the attributes back and signs once; if anything fails, both halves are
// removed again. While it runs, other calls of this process for the same token wait. The message of
// an error says whether a part of the key may be left. Errors: kAlreadyExists (an object with this
// label or id is in the token), kUnsupported (the token has no such mechanism), kPermissionDenied
// (PIN, write protection, or attributes that read back unsafe), kUnavailable, kInvalidArgument.
[[nodiscard]] Result<KeyInfo> generate_key(const Uri& uri, const PinSource& pin,
                                           const KeyRequest& request);

// The public half of the one key `uri` names. Reads it without login where the token allows that,
// and logs in only if nothing was found without.
[[nodiscard]] Result<PublicKey> read_public_key(const Uri& uri, const PinSource& pin);

}  // namespace colophon::hsm
