// SPDX-License-Identifier: Apache-2.0
//
// Public halves: the forms in which tokens hand them out, and verification of what the token
// signed.
#pragma once

#include <memory>

#include "colophon/hsm/signer.h"

struct evp_pkey_st;

namespace colophon::hsm {

struct EvpPkeyFree {
  void operator()(evp_pkey_st* key) const noexcept;
};
using EvpPkey = std::unique_ptr<evp_pkey_st, EvpPkeyFree>;

// CKA_EC_POINT in any of the encodings in use, told apart by length first: DER OCTET STRING around
// the point (PKCS#11 2.x for P-256), the point itself, and for P-256 X‖Y without the leading 04.
// Errors: kMalformed (no such length, or not a point of the curve).
[[nodiscard]] Result<PublicKey> decode_ec_point(KeyType type, ByteSpan encoded);

// For verify_signature; safe to use on many threads. Errors: kMalformed.
[[nodiscard]] Result<EvpPkey> to_evp(const PublicKey& key);

// True if `signature` is one of `message` (ECDSA over SHA-256, pure Ed25519) under `key`.
[[nodiscard]] bool verify_signature(evp_pkey_st& key, KeyType type, ByteSpan message,
                                    const Signature& signature);

// Replaces s by n − s where s > n/2, so that one signature has one form. False (and unchanged) if r
// or s is not in [1, n − 1].
[[nodiscard]] bool normalize_p256(Signature& signature);

}  // namespace colophon::hsm
