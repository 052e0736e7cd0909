// SPDX-License-Identifier: Apache-2.0
#include "hsm/key.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <tuple>

#include "hsm/public_key.h"
#include "hsm/text.h"

namespace colophon::hsm {
namespace {

// Ed25519 by name as PrintableString (PKCS#11 3.0), and the OID in use before RFC 8410.
constexpr std::array<std::uint8_t, 14> kEd25519Name = {0x13, 0x0c, 'e', 'd', 'w', 'a', 'r',
                                                       'd',  's',  '2', '5', '5', '1', '9'};
constexpr std::array<std::uint8_t, 11> kEd25519OldParams = {0x06, 0x09, 0x2b, 0x06, 0x01, 0x04,
                                                            0x01, 0xda, 0x47, 0x0f, 0x01};

// More than any attribute we read may have: labels and ids have at most 255 bytes, points 67.
constexpr std::size_t kAttributeBytesMax = 512;

template <std::size_t N>
bool equal(ByteSpan a, const std::array<std::uint8_t, N>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

// The value of an attribute; empty if the object does not have it or will not show it.
Result<std::optional<std::vector<std::uint8_t>>> read_attribute(Token::Lease& lease,
                                                                CK_OBJECT_HANDLE object,
                                                                CK_ATTRIBUTE_TYPE type) {
  std::vector<std::uint8_t> value(kAttributeBytesMax);
  CK_ATTRIBUTE attribute{type, value.data(), value.size()};
  const CK_RV rv = lease.functions().C_GetAttributeValue(lease.session(), object, &attribute, 1);
  const bool absent = rv == CKR_ATTRIBUTE_TYPE_INVALID || rv == CKR_ATTRIBUTE_SENSITIVE ||
                      rv == CKR_BUFFER_TOO_SMALL || rv == CKR_ATTRIBUTE_VALUE_INVALID;
  if (absent || (rv == CKR_OK && attribute.ulValueLen > value.size())) return {std::nullopt};
  if (rv != CKR_OK) {
    lease.discard();
    return ck_error(rv, "C_GetAttributeValue", "reading a key's attributes");
  }
  value.resize(attribute.ulValueLen);
  return {std::move(value)};
}

Result<std::optional<bool>> read_boolean(Token::Lease& lease, CK_OBJECT_HANDLE object,
                                         CK_ATTRIBUTE_TYPE type) {
  COLOPHON_TRY_ASSIGN(const auto value, read_attribute(lease, object, type));
  if (!value || value->size() != sizeof(CK_BBOOL)) return {std::nullopt};
  return {std::optional<bool>((*value)[0] != CK_FALSE)};
}

struct Identity {
  std::string label;
  std::vector<std::uint8_t> id;
  std::optional<KeyType> type;

  [[nodiscard]] bool pairs_with(const Identity& other) const {
    return type == other.type && id == other.id && (!id.empty() || label == other.label);
  }
};

Result<Identity> read_identity(Token::Lease& lease, CK_OBJECT_HANDLE object) {
  Identity identity;
  COLOPHON_TRY_ASSIGN(const auto label, read_attribute(lease, object, CKA_LABEL));
  if (label) identity.label.assign(label->begin(), label->end());
  COLOPHON_TRY_ASSIGN(auto id, read_attribute(lease, object, CKA_ID));
  if (id) identity.id = std::move(*id);
  COLOPHON_TRY_ASSIGN(const auto kind, read_attribute(lease, object, CKA_KEY_TYPE));
  COLOPHON_TRY_ASSIGN(const auto params, read_attribute(lease, object, CKA_EC_PARAMS));
  CK_KEY_TYPE key_type = 0;
  if (!kind || kind->size() != sizeof key_type || !params) return identity;
  std::copy(kind->begin(), kind->end(), reinterpret_cast<std::uint8_t*>(&key_type));
  if (key_type == CKK_EC && equal(*params, kP256Params)) identity.type = KeyType::kP256;
  if (key_type == CKK_EC_EDWARDS &&
      (equal(*params, kEd25519Params) || equal(*params, kEd25519Name) ||
       equal(*params, kEd25519OldParams))) {
    identity.type = KeyType::kEd25519;
  }
  return identity;
}

Result<void> read_public_half(Token::Lease& lease, CK_OBJECT_HANDLE object, KeyRecord& key) {
  if (!key.type) return {};
  COLOPHON_TRY_ASSIGN(const auto point, read_attribute(lease, object, CKA_EC_POINT));
  if (!point || point->empty()) return {};
  // One that is not a point of its curve must not hide the token's other keys.
  if (auto decoded = decode_ec_point(*key.type, *point)) key.info.public_key = *std::move(decoded);
  return {};
}

// An attribute that cannot be read counts as the unsafe value.
Result<void> read_private_half(Token::Lease& lease, CK_OBJECT_HANDLE object, KeyRecord& key) {
  key.private_handle = object;
  key.info.has_private = true;
  COLOPHON_TRY_ASSIGN(const auto sensitive, read_boolean(lease, object, CKA_SENSITIVE));
  COLOPHON_TRY_ASSIGN(const auto extractable, read_boolean(lease, object, CKA_EXTRACTABLE));
  COLOPHON_TRY_ASSIGN(const auto may_sign, read_boolean(lease, object, CKA_SIGN));
  COLOPHON_TRY_ASSIGN(const auto local, read_boolean(lease, object, CKA_LOCAL));
  COLOPHON_TRY_ASSIGN(const auto always, read_boolean(lease, object, CKA_ALWAYS_AUTHENTICATE));
  key.info.sensitive = sensitive.value_or(false);
  key.info.extractable = extractable.value_or(true);
  key.info.may_sign = may_sign.value_or(false);
  key.info.generated_in_token = local.value_or(false);
  key.always_authenticate = always.value_or(false);
  return {};
}

KeyRecord record_of(const Identity& identity) {
  KeyRecord key;
  key.type = identity.type;
  key.info.label = identity.label;
  key.info.id = identity.id;
  key.info.type = identity.type ? std::string(key_type_name(*identity.type)) : "other";
  return key;
}

Template wanted_keys(const CK_ULONG& object_class, const Uri& uri) {
  Template wanted;
  wanted.number(CKA_CLASS, object_class);
  if (uri.object) wanted.text(CKA_LABEL, *uri.object);
  if (uri.id) wanted.bytes(CKA_ID, *uri.id);
  return wanted;
}

// The public half of a private one may carry another label: look for it by id alone.
Result<void> find_public_half(Token::Lease& lease, const Identity& identity, KeyRecord& key) {
  if (!identity.id.empty()) {
    const CK_ULONG public_class = CKO_PUBLIC_KEY;
    Template wanted;
    wanted.number(CKA_CLASS, public_class).bytes(CKA_ID, identity.id);
    COLOPHON_TRY_ASSIGN(const auto objects, find_objects(lease, wanted));
    for (const CK_OBJECT_HANDLE object : objects) {
      COLOPHON_TRY_ASSIGN(const Identity candidate, read_identity(lease, object));
      if (candidate.type != identity.type) continue;
      key.info.has_public = true;
      key.public_handle = object;
      return read_public_half(lease, object, key);
    }
  }
  // Some tokens keep the point with the private half only.
  return read_public_half(lease, key.private_handle, key);
}

}  // namespace

std::string uri_of(const KeyInfo& info, const Token& token) {
  Uri uri = token.uri();
  if (is_uri_text(info.label)) uri.object = info.label;
  if (!info.id.empty()) uri.id = info.id;
  uri.type = info.has_private ? "private" : "public";
  return format_uri(uri);
}

Template& Template::number(CK_ATTRIBUTE_TYPE type, const CK_ULONG& value) {
  attributes_.push_back({type, const_cast<CK_ULONG*>(&value), sizeof value});
  return *this;
}

Template& Template::boolean(CK_ATTRIBUTE_TYPE type, bool value) {
  static CK_BBOOL true_value = CK_TRUE, false_value = CK_FALSE;
  attributes_.push_back({type, value ? &true_value : &false_value, sizeof(CK_BBOOL)});
  return *this;
}

Template& Template::bytes(CK_ATTRIBUTE_TYPE type, ByteSpan value) {
  attributes_.push_back({type, const_cast<std::uint8_t*>(value.data()), value.size()});
  return *this;
}

Template& Template::text(CK_ATTRIBUTE_TYPE type, std::string_view value) {
  attributes_.push_back({type, const_cast<char*>(value.data()), value.size()});
  return *this;
}

Result<std::vector<CK_OBJECT_HANDLE>> find_objects(Token::Lease& lease, Template& wanted) {
  constexpr std::string_view kDoing = "looking for keys in the token";
  CK_FUNCTION_LIST& functions = lease.functions();
  CK_RV rv = functions.C_FindObjectsInit(lease.session(), wanted.data(), wanted.size());
  if (rv != CKR_OK) {
    lease.discard();
    return ck_error(rv, "C_FindObjectsInit", kDoing);
  }
  std::vector<CK_OBJECT_HANDLE> found;
  std::array<CK_OBJECT_HANDLE, 64> some{};
  CK_ULONG count = 0;
  do {
    rv = functions.C_FindObjects(lease.session(), some.data(), some.size(), &count);
    if (rv != CKR_OK) {
      lease.discard();
      return ck_error(rv, "C_FindObjects", kDoing);
    }
    count = std::min<CK_ULONG>(count, some.size());
    found.insert(found.end(), some.begin(), some.begin() + static_cast<std::ptrdiff_t>(count));
  } while (count > 0 && found.size() <= kKeysMax);
  if (functions.C_FindObjectsFinal(lease.session()) != CKR_OK) lease.discard();
  if (found.size() > kKeysMax) {
    return make_error(
        ErrorCode::kLimitExceeded,
        "more than " + std::to_string(kKeysMax) + " keys match: narrow the URI by object= or id=",
        "key");
  }
  return found;
}

Result<std::vector<KeyRecord>> find_keys(Token::Lease& lease, const Token& token, const Uri& uri) {
  if (uri.type && *uri.type != "private" && *uri.type != "public") {
    return make_error(ErrorCode::kUnsupported,
                      "only keys can be used: the URI's type must be private or public", "type");
  }
  std::vector<KeyRecord> keys;
  std::vector<Identity> identities;
  const CK_ULONG private_class = CKO_PRIVATE_KEY, public_class = CKO_PUBLIC_KEY;
  Template wanted = wanted_keys(private_class, uri);
  COLOPHON_TRY_ASSIGN(const auto private_objects, find_objects(lease, wanted));
  for (const CK_OBJECT_HANDLE object : private_objects) {
    COLOPHON_TRY_ASSIGN(Identity identity, read_identity(lease, object));
    KeyRecord key = record_of(identity);
    COLOPHON_TRY(read_private_half(lease, object, key));
    keys.push_back(std::move(key));
    identities.push_back(std::move(identity));
  }
  wanted = wanted_keys(public_class, uri);
  COLOPHON_TRY_ASSIGN(const auto public_objects, find_objects(lease, wanted));
  for (const CK_OBJECT_HANDLE object : public_objects) {
    COLOPHON_TRY_ASSIGN(Identity identity, read_identity(lease, object));
    std::size_t i = 0;
    while (i < keys.size() && (keys[i].info.has_public || !identities[i].pairs_with(identity))) ++i;
    if (i == keys.size()) {
      keys.push_back(record_of(identity));
      identities.push_back(std::move(identity));
    }
    keys[i].info.has_public = true;
    keys[i].public_handle = object;
    COLOPHON_TRY(read_public_half(lease, object, keys[i]));
  }
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (!keys[i].info.has_public) COLOPHON_TRY(find_public_half(lease, identities[i], keys[i]));
  }
  if (uri.type) {
    const bool want_private = *uri.type == "private";
    std::erase_if(keys, [&](const KeyRecord& key) {
      return want_private ? !key.info.has_private : !key.info.has_public;
    });
  }
  for (KeyRecord& key : keys) key.info.uri = uri_of(key.info, token);
  std::sort(keys.begin(), keys.end(), [](const KeyRecord& a, const KeyRecord& b) {
    return std::tie(a.info.label, a.info.id) < std::tie(b.info.label, b.info.id);
  });
  return keys;
}

Result<KeyRecord> read_pair(Token::Lease& lease, CK_OBJECT_HANDLE private_handle,
                            CK_OBJECT_HANDLE public_handle) {
  COLOPHON_TRY_ASSIGN(const Identity identity, read_identity(lease, private_handle));
  KeyRecord key = record_of(identity);
  COLOPHON_TRY(read_private_half(lease, private_handle, key));
  key.public_handle = public_handle;
  key.info.has_public = true;
  COLOPHON_TRY(read_public_half(lease, public_handle, key));
  return key;
}

Result<KeyRecord> only_one(std::vector<KeyRecord> keys, const Uri& uri, const Token& token) {
  const std::string name =
      uri.object ? "'" + printable(*uri.object) + "'" : (uri.id ? "with this id" : "at all");
  if (keys.empty()) {
    return make_error(ErrorCode::kNotFound,
                      "token '" + printable(token.label()) + "' has no key " + name +
                          ": correct object= or id= (colophon hsm list shows what is there), or "
                          "make the key with colophon hsm keygen",
                      "key");
  }
  if (keys.size() > 1) {
    return make_error(ErrorCode::kInvalidArgument,
                      std::to_string(keys.size()) + " keys in token '" + printable(token.label()) +
                          "' match the URI: name one by object= and id= (colophon hsm list shows "
                          "the URI of each)",
                      "key");
  }
  return std::move(keys.front());
}

Result<void> check_usable(const KeyRecord& key) {
  const auto refuse = [&key](ErrorCode code, std::string reason) {
    return make_error(code, "key '" + printable(key.info.label) + "' " + std::move(reason), "key");
  };
  if (!key.type) {
    return refuse(ErrorCode::kUnsupported, "is neither P-256 nor Ed25519");
  }
  if (!key.info.sensitive || key.info.extractable) {
    return refuse(ErrorCode::kPermissionDenied,
                  std::string("reads back as ") +
                      (key.info.extractable ? "extractable" : "not sensitive") +
                      ": it can be copied out of the token, so nothing it signs proves custody; "
                      "make a new key with colophon hsm keygen");
  }
  if (!key.info.may_sign) {
    return refuse(ErrorCode::kPermissionDenied, "may not sign (CKA_SIGN is false)");
  }
  if (key.always_authenticate) {
    return refuse(ErrorCode::kUnsupported,
                  "wants the PIN before each signature (CKA_ALWAYS_AUTHENTICATE), which a service "
                  "cannot give; make a key without it");
  }
  if (!key.info.public_key) {
    return refuse(ErrorCode::kNotFound,
                  "has no public half in the token that can be read: import the public key object "
                  "with the same CKA_ID");
  }
  return {};
}

Result<std::vector<std::uint8_t>> signing_input(KeyType type, ByteSpan message) {
  if (type == KeyType::kEd25519) return std::vector<std::uint8_t>(message.begin(), message.end());
  std::vector<std::uint8_t> digest(32);
  if (EVP_Digest(message.data(), message.size(), digest.data(), nullptr, EVP_sha256(), nullptr) !=
      1) {
    return make_error(ErrorCode::kInternal, "OpenSSL refuses to compute SHA-256");
  }
  return digest;
}

std::variant<Signature, SignFailure> sign_once(Token::Lease& lease, KeyType type,
                                               CK_OBJECT_HANDLE key, ByteSpan input) {
  CK_FUNCTION_LIST& functions = lease.functions();
  // No parameters: CKM_EDDSA with some means Ed25519ctx or Ed25519ph.
  CK_MECHANISM mechanism{type == KeyType::kP256 ? CKM_ECDSA : CKM_EDDSA, nullptr, 0};
  CK_RV rv = functions.C_SignInit(lease.session(), &mechanism, key);
  if (rv != CKR_OK) {
    lease.discard();
    return SignFailure{ck_error(rv, "C_SignInit", "starting a signature"), repair_of(rv), false};
  }
  Signature signature{};
  CK_ULONG size = signature.size();
  // PKCS#11 takes a pointer to non-const and does not write through it. An empty message still has
  // an address: some modules refuse a null pointer.
  std::uint8_t nothing = 0;
  auto* const data = input.empty() ? &nothing : const_cast<std::uint8_t*>(input.data());
  rv = functions.C_Sign(lease.session(), data, input.size(), signature.data(), &size);
  if (rv != CKR_OK) {
    // The session may still have the operation active; it is of no use to anybody.
    lease.discard();
    const bool unknown = !sign_not_done(rv);
    Error error = ck_error(rv, "C_Sign", "signing");
    if (unknown) {
      error.code = ErrorCode::kOutcomeUnknown;
      error.message +=
          "; whether the token signed is not known (signing the same message again is "
          "harmless)";
    }
    return SignFailure{std::move(error), repair_of(rv), unknown};
  }
  const bool well_formed =
      size == signature.size() && (type == KeyType::kEd25519 || normalize_p256(signature));
  if (!well_formed) {
    lease.discard();
    return SignFailure{make_error(ErrorCode::kCorrupt,
                                  "the token answered with " + std::to_string(size) +
                                      " bytes that are not a signature of 64 bytes in range",
                                  "hsm"),
                       Repair::kNone, false};
  }
  return signature;
}

}  // namespace colophon::hsm
