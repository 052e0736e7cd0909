// SPDX-License-Identifier: Apache-2.0
//
// The PKCS#11 header, with what 3.x added and Debian's 2.40 header may lack, and CK_RV as an Error.
// Private: no public header includes it.
#pragma once

#include <p11-kit/pkcs11.h>

#include <cstdint>
#include <source_location>
#include <string>
#include <string_view>

#include "colophon/error.hpp"

#ifndef CKK_EC_EDWARDS
#define CKK_EC_EDWARDS (0x40UL)
#endif
#ifndef CKM_EC_EDWARDS_KEY_PAIR_GEN
#define CKM_EC_EDWARDS_KEY_PAIR_GEN (0x1055UL)
#endif
#ifndef CKM_EDDSA
#define CKM_EDDSA (0x1057UL)
#endif
#ifndef CKR_TOKEN_RESOURCE_EXCEEDED
#define CKR_TOKEN_RESOURCE_EXCEEDED (0x201UL)
#endif
#ifndef CKR_KEY_EXHAUSTED
#define CKR_KEY_EXHAUSTED (0x203UL)
#endif

namespace colophon::hsm {

// What has to be done before the same call can succeed.
enum class Repair : std::uint8_t {
  kNone,        // nothing helps: the request, the key or the PIN is at fault
  kNewSession,  // this session is spent or the token is throttling: take another session
  kReopen,      // session, login or token is lost: find the token, log in and find the key again
};

[[nodiscard]] Repair repair_of(CK_RV rv) noexcept;

// True if C_Sign returning `rv` proves that the token made no signature. For any other failure the
// outcome is unknown: PKCS#11 (section 5.1, "general function return values") lets a token fail
// after it did the work.
[[nodiscard]] bool sign_not_done(CK_RV rv) noexcept;

// "CKR_DEVICE_REMOVED", or "vendor-defined CKR 0x80000012".
[[nodiscard]] std::string ckr_name(CK_RV rv);

// "WHAT: FUNCTION says CKR_NAME (0x..): what to do". `native` is `rv`.
[[nodiscard]] Error ck_error(CK_RV rv, std::string_view function, std::string_view what,
                             std::source_location where = std::source_location::current());

}  // namespace colophon::hsm
