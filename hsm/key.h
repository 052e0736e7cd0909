// SPDX-License-Identifier: Apache-2.0
//
// Keys in a token: finding them, reading their attributes, and one signature.
#pragma once

#include <array>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "colophon/hsm/signer.h"
#include "colophon/hsm/token.h"
#include "colophon/hsm/uri.h"
#include "hsm/ck.h"
#include "hsm/session.h"

namespace colophon::hsm {

// CKA_EC_PARAMS, DER: prime256v1 (RFC 5480) and id-Ed25519 (RFC 8410).
inline constexpr std::array<std::uint8_t, 10> kP256Params = {0x06, 0x08, 0x2a, 0x86, 0x48,
                                                             0xce, 0x3d, 0x03, 0x01, 0x07};
inline constexpr std::array<std::uint8_t, 5> kEd25519Params = {0x06, 0x03, 0x2b, 0x65, 0x70};

// A template for PKCS#11 calls: attributes pointing at values that the caller keeps alive.
class Template {
 public:
  Template& number(CK_ATTRIBUTE_TYPE type, const CK_ULONG& value);
  Template& boolean(CK_ATTRIBUTE_TYPE type, bool value);
  Template& bytes(CK_ATTRIBUTE_TYPE type, ByteSpan value);
  Template& text(CK_ATTRIBUTE_TYPE type, std::string_view value);

  // PKCS#11 takes non-const pointers and does not write through them here.
  [[nodiscard]] CK_ATTRIBUTE* data() noexcept { return attributes_.data(); }
  [[nodiscard]] CK_ULONG size() const noexcept { return attributes_.size(); }

 private:
  std::vector<CK_ATTRIBUTE> attributes_;
};

struct KeyRecord {
  KeyInfo info;
  std::optional<KeyType> type;  // absent: a kind of key that Colophon does not use
  CK_OBJECT_HANDLE private_handle = CK_INVALID_HANDLE;
  CK_OBJECT_HANDLE public_handle = CK_INVALID_HANDLE;
  bool always_authenticate = false;  // the token wants the PIN before each signature
};

// The objects matching `wanted`. Errors: kLimitExceeded (over kKeysMax), and what the token says.
[[nodiscard]] Result<std::vector<CK_OBJECT_HANDLE>> find_objects(Token::Lease& lease,
                                                                 Template& wanted);

// The key pairs and halves that match object, id and type of `uri`; what the login state lets us
// see. Errors: kUnsupported (type=cert, secret-key or data).
[[nodiscard]] Result<std::vector<KeyRecord>> find_keys(Token::Lease& lease, const Token& token,
                                                       const Uri& uri);

// Reads the attributes of one pair whose handles are known (just generated).
[[nodiscard]] Result<KeyRecord> read_pair(Token::Lease& lease, CK_OBJECT_HANDLE private_handle,
                                          CK_OBJECT_HANDLE public_handle);

// The canonical URI of a key, as KeyInfo::uri has it.
[[nodiscard]] std::string uri_of(const KeyInfo& info, const Token& token);

// Errors: kNotFound (none), kInvalidArgument (several: the message says how to name one).
[[nodiscard]] Result<KeyRecord> only_one(std::vector<KeyRecord> keys, const Uri& uri,
                                         const Token& token);

// A private half that is sensitive, not extractable, may sign, needs no PIN for each signature, is
// of a known type and has a readable public half. Errors: kPermissionDenied, kUnsupported,
// kNotFound.
[[nodiscard]] Result<void> check_usable(const KeyRecord& key);

// What C_Sign is given: SHA-256 of the message for P-256 (CKM_ECDSA truncates silently, so it must
// be exactly the digest), the message for Ed25519.
[[nodiscard]] Result<std::vector<std::uint8_t>> signing_input(KeyType type, ByteSpan message);

struct SignFailure {
  Error error;
  Repair repair = Repair::kNone;
  bool outcome_unknown = false;
};

// C_SignInit and C_Sign in the lease's session, which is discarded after any failure. The signature
// has s ≤ n/2 for P-256; it is not yet verified.
[[nodiscard]] std::variant<Signature, SignFailure> sign_once(Token::Lease& lease, KeyType type,
                                                             CK_OBJECT_HANDLE key, ByteSpan input);

}  // namespace colophon::hsm
