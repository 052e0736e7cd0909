// SPDX-License-Identifier: Apache-2.0
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>

#include "hsm/key.h"
#include "hsm/open.h"
#include "hsm/public_key.h"
#include "hsm/text.h"

namespace colophon::hsm {
namespace {

constexpr std::size_t kMadeIdBytes = 20;
constexpr std::string_view kMadeProofText = "colophon hsm: this key was generated\n";

Result<void> check_request(const KeyRequest& request) {
  if (request.label.empty() || request.label.size() > kLabelBytesMax || !is_utf8(request.label) ||
      std::any_of(request.label.begin(), request.label.end(),
                  [](char c) { return static_cast<std::uint8_t>(c) < 0x20 || c == 0x7f; })) {
    return make_error(ErrorCode::kInvalidArgument,
                      "the key's label must be 1 to " + std::to_string(kLabelBytesMax) +
                          " bytes of UTF-8 without control characters",
                      "label");
  }
  if (request.id && (request.id->empty() || request.id->size() > kKeyIdBytesMax)) {
    return make_error(ErrorCode::kInvalidArgument,
                      "the key's id must be 1 to " + std::to_string(kKeyIdBytesMax) + " bytes",
                      "id");
  }
  return {};
}

Result<void> check_mechanism(Token::Lease& lease, KeyType type) {
  const CK_MECHANISM_TYPE generation =
      type == KeyType::kP256 ? CKM_EC_KEY_PAIR_GEN : CKM_EC_EDWARDS_KEY_PAIR_GEN;
  const CK_MECHANISM_TYPE signing = type == KeyType::kP256 ? CKM_ECDSA : CKM_EDDSA;
  for (const CK_MECHANISM_TYPE mechanism : {generation, signing}) {
    CK_MECHANISM_INFO info{};
    const CK_RV rv = lease.functions().C_GetMechanismInfo(lease.slot(), mechanism, &info);
    if (rv != CKR_OK) {
      return ck_error(rv, "C_GetMechanismInfo",
                      "asking whether the token can make and use " +
                          std::string(key_type_name(type)) + " keys");
    }
  }
  return {};
}

Result<std::vector<CK_OBJECT_HANDLE>> objects_with(Token::Lease& lease, const std::string* label,
                                                   const std::vector<std::uint8_t>* id) {
  std::vector<CK_OBJECT_HANDLE> found;
  for (const CK_ULONG object_class : {CK_ULONG{CKO_PRIVATE_KEY}, CK_ULONG{CKO_PUBLIC_KEY}}) {
    Template wanted;
    wanted.number(CKA_CLASS, object_class);
    if (label != nullptr) wanted.text(CKA_LABEL, *label);
    if (id != nullptr) wanted.bytes(CKA_ID, *id);
    COLOPHON_TRY_ASSIGN(const auto some, find_objects(lease, wanted));
    found.insert(found.end(), some.begin(), some.end());
  }
  return found;
}

Result<void> check_free(Token::Lease& lease, const Token& token, const KeyRequest& request) {
  COLOPHON_TRY_ASSIGN(const auto same_label, objects_with(lease, &request.label, nullptr));
  if (!same_label.empty()) {
    return make_error(ErrorCode::kAlreadyExists,
                      "token '" + printable(token.label()) + "' already has a key '" +
                          printable(request.label) +
                          "': choose another label; an old key is never replaced (half of a key "
                          "left by an interrupted generation is removed with the HSM's own tools)",
                      "label");
  }
  if (!request.id) return {};
  COLOPHON_TRY_ASSIGN(const auto same_id, objects_with(lease, nullptr, &*request.id));
  if (same_id.empty()) return {};
  return make_error(ErrorCode::kAlreadyExists,
                    "token '" + printable(token.label()) + "' already has a key with id " +
                        to_hex(*request.id) + ": choose another id",
                    "id");
}

struct Pair {
  CK_OBJECT_HANDLE private_handle = CK_INVALID_HANDLE;
  CK_OBJECT_HANDLE public_handle = CK_INVALID_HANDLE;
};

Result<Pair> call_generate(Token::Lease& lease, const KeyRequest& request,
                           const std::vector<std::uint8_t>& id) {
  const bool p256 = request.type == KeyType::kP256;
  CK_MECHANISM mechanism{p256 ? CKM_EC_KEY_PAIR_GEN : CKM_EC_EDWARDS_KEY_PAIR_GEN, nullptr, 0};
  const ByteSpan params = p256 ? ByteSpan(kP256Params) : ByteSpan(kEd25519Params);
  Template public_half;
  public_half.boolean(CKA_TOKEN, true)
      .boolean(CKA_PRIVATE, false)
      .boolean(CKA_VERIFY, true)
      .bytes(CKA_EC_PARAMS, params)
      .bytes(CKA_ID, id)
      .text(CKA_LABEL, request.label);
  // For signing only: what is left out, some tokens set to true.
  Template private_half;
  private_half.boolean(CKA_TOKEN, true)
      .boolean(CKA_PRIVATE, true)
      .boolean(CKA_SENSITIVE, true)
      .boolean(CKA_EXTRACTABLE, false)
      .boolean(CKA_SIGN, true)
      .boolean(CKA_DERIVE, false)
      .boolean(CKA_DECRYPT, false)
      .boolean(CKA_UNWRAP, false)
      .bytes(CKA_ID, id)
      .text(CKA_LABEL, request.label);
  Pair pair;
  const CK_RV rv = lease.functions().C_GenerateKeyPair(
      lease.session(), &mechanism, public_half.data(), public_half.size(), private_half.data(),
      private_half.size(), &pair.public_handle, &pair.private_handle);
  if (rv != CKR_OK) return ck_error(rv, "C_GenerateKeyPair", "generating a key pair");
  return pair;
}

// The id of a key is a name for its public half, so that the halves are found together and a copy
// of the token's content elsewhere has the same ids.
Result<std::vector<std::uint8_t>> id_of(const PublicKey& key) {
  std::vector<std::uint8_t> digest(32);
  if (EVP_Digest(key.raw.data(), key.raw.size(), digest.data(), nullptr, EVP_sha256(), nullptr) !=
      1) {
    return make_error(ErrorCode::kInternal, "OpenSSL refuses to compute SHA-256");
  }
  digest.resize(kMadeIdBytes);
  return digest;
}

Result<void> set_id(Token::Lease& lease, const Pair& pair, const std::vector<std::uint8_t>& id) {
  for (const CK_OBJECT_HANDLE object : {pair.private_handle, pair.public_handle}) {
    Template wanted;
    wanted.bytes(CKA_ID, id);
    const CK_RV rv = lease.functions().C_SetAttributeValue(lease.session(), object, wanted.data(),
                                                           wanted.size());
    if (rv != CKR_OK) {
      return ck_error(rv, "C_SetAttributeValue",
                      "giving the key its id (a token that forbids this takes --id HEX)");
    }
  }
  return {};
}

// Was it made as asked, in the token, and does it sign?
Result<KeyRecord> read_back(Token::Lease& lease, const Pair& pair, KeyType type) {
  COLOPHON_TRY_ASSIGN(KeyRecord key, read_pair(lease, pair.private_handle, pair.public_handle));
  COLOPHON_TRY(check_usable(key));
  if (key.type != type || !key.info.generated_in_token) {
    return make_error(
        ErrorCode::kCorrupt,
        "the token made a key of another kind than asked, or says that it was not made "
        "in the token",
        "key");
  }
  const ByteSpan text{reinterpret_cast<const std::uint8_t*>(kMadeProofText.data()),
                      kMadeProofText.size()};
  COLOPHON_TRY_ASSIGN(const auto input, signing_input(type, text));
  COLOPHON_TRY_ASSIGN(const EvpPkey evp, to_evp(*key.info.public_key));
  auto outcome = sign_once(lease, type, pair.private_handle, input);
  if (auto* failure = std::get_if<SignFailure>(&outcome)) return std::move(failure->error);
  if (!verify_signature(*evp, type, text, std::get<Signature>(outcome))) {
    return make_error(ErrorCode::kCorrupt,
                      "the new key's signature does not verify under its public half", "key");
  }
  return key;
}

// `ids` grows by each id that the halves may carry.
Result<KeyRecord> generate_and_check(Token::Lease& lease, const KeyRequest& request,
                                     std::vector<std::vector<std::uint8_t>>& ids) {
  COLOPHON_TRY_ASSIGN(const Pair pair, call_generate(lease, request, ids.front()));
  COLOPHON_TRY_ASSIGN(KeyRecord key, read_back(lease, pair, request.type));
  if (request.id) return key;
  COLOPHON_TRY_ASSIGN(key.info.id, id_of(*key.info.public_key));
  ids.push_back(key.info.id);
  COLOPHON_TRY(set_id(lease, pair, key.info.id));
  return key;
}

// Removes what a failed generation left: the objects with its label, which was free before, and one
// of its ids, so that a key made by somebody else meanwhile stays. True if nothing is left: a half
// that got neither label nor id shows in the number of halves alone.
bool remove_leftovers(Token& token, const std::string& label,
                      const std::vector<std::vector<std::uint8_t>>& ids,
                      std::size_t halves_before) {
  // A new session: the old one may be spent.
  Result<Token::Lease> lease = token.lease(Token::Access::kWrite);
  if (!lease) return false;
  bool clean = true;
  for (const std::vector<std::uint8_t>& id : ids) {
    const auto found = objects_with(*lease, &label, &id);
    if (!found) return false;
    for (const CK_OBJECT_HANDLE object : *found) {
      clean &= lease->functions().C_DestroyObject(lease->session(), object) == CKR_OK;
    }
  }
  const auto halves = objects_with(*lease, nullptr, nullptr);
  return clean && halves && halves->size() <= halves_before;
}

}  // namespace

Result<KeyInfo> generate_key(const Uri& uri, const PinSource& pin, const KeyRequest& request) {
  COLOPHON_TRY(check_request(request));
  COLOPHON_TRY_ASSIGN(const OpenToken place, open_token(uri));
  COLOPHON_TRY_ASSIGN(const PinSource source, pin_source_of(uri, pin));
  COLOPHON_TRY(place.token->login(source));

  // Until the public half is known, an id that nothing else has.
  std::vector<std::vector<std::uint8_t>> ids(1, std::vector<std::uint8_t>(kMadeIdBytes));
  if (request.id) {
    ids.front() = *request.id;
  } else if (RAND_bytes(ids.front().data(), static_cast<int>(kMadeIdBytes)) != 1) {
    return make_error(ErrorCode::kUnavailable, "the system gives no random bytes");
  }
  std::optional<Result<KeyRecord>> made;
  std::size_t halves_before = 0;
  {
    COLOPHON_TRY_ASSIGN(Token::Lease lease, place.token->lease(Token::Access::kWrite));
    COLOPHON_TRY(check_mechanism(lease, request.type));
    COLOPHON_TRY(check_free(lease, *place.token, request));
    // Too many to count is no reason not to make one more.
    if (const auto halves = objects_with(lease, nullptr, nullptr)) halves_before = halves->size();
    made = generate_and_check(lease, request, ids);
    // Handles may be stale after a failure: the removal looks the halves up in a new epoch.
    if (!*made) place.token->lost(lease.epoch());
  }
  if (!*made) {
    Error error = std::move(*made).error();
    if (remove_leftovers(*place.token, request.label, ids, halves_before)) {
      error.message += "; no part of the new key is left in the token";
    } else {
      error.message += "; a part of the new key '" + printable(request.label) +
                       "' may be left in the token: remove it with the HSM's own tools";
    }
    return error;
  }
  KeyInfo info = std::move((*made)->info);
  info.uri = uri_of(info, *place.token);
  return info;
}

}  // namespace colophon::hsm
