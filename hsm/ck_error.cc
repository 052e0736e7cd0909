// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstdio>

#include "hsm/ck.h"

namespace colophon::hsm {
namespace {

// Which kind of failure a CK_RV is, what repairs it, whether C_Sign returning it did nothing, and
// what a person can do.
struct CkrRow {
  CK_RV rv;
  const char* name;
  ErrorCode code;
  Repair repair;
  bool sign_not_done;
  const char* advice;
};

constexpr const char* kTokenLost =
    "check that the HSM is powered, connected and in operational state";
constexpr const char* kSessionLost = "the session was lost; trying again opens a new one";
constexpr const char* kLogin = "log in again; if another program logs out of this token, stop that";
constexpr const char* kModuleDefect =
    "the module refuses a call the standard allows; ask its vendor";
constexpr const char* kMemory = "free memory or objects on the token or host";
constexpr const char* kLibrary = "look into the module's own log and configuration";
constexpr const char* kKey = "check the key's attributes and its kind";
constexpr const char* kPin = "check the PIN; it is not tried again";

constexpr auto kNone = Repair::kNone;
constexpr auto kNewSession = Repair::kNewSession;
constexpr auto kReopen = Repair::kReopen;
constexpr auto kUnavailable = ErrorCode::kUnavailable;
constexpr auto kUnsupported = ErrorCode::kUnsupported;
constexpr auto kPermissionDenied = ErrorCode::kPermissionDenied;
constexpr auto kInternal = ErrorCode::kInternal;

#define ROW(name, code, repair, not_done, advice) \
  CkrRow { name, #name, code, repair, not_done, advice }
constexpr std::array kRows = {
    // The token, the device or the module is not there, or only for now.
    ROW(CKR_DEVICE_REMOVED, kUnavailable, kReopen, false, kTokenLost),
    ROW(CKR_DEVICE_ERROR, kUnavailable, kReopen, false, kTokenLost),
    ROW(CKR_TOKEN_NOT_PRESENT, kUnavailable, kReopen, true, kTokenLost),
    ROW(CKR_TOKEN_NOT_RECOGNIZED, kUnavailable, kReopen, true, kTokenLost),
    ROW(CKR_SLOT_ID_INVALID, kUnavailable, kReopen, true, kTokenLost),
    ROW(CKR_CRYPTOKI_NOT_INITIALIZED, kUnavailable, kReopen, true,
        "another part of this process finalized the module; let one part own it"),
    ROW(CKR_GENERAL_ERROR, kUnavailable, kReopen, false, kLibrary),
    ROW(CKR_FUNCTION_FAILED, kUnavailable, kNewSession, false,
        "the HSM may be throttling; try again later and look into its log"),
    ROW(CKR_FUNCTION_CANCELED, kUnavailable, kNewSession, false, kSessionLost),
    ROW(CKR_OPERATION_ACTIVE, kUnavailable, kNewSession, true, kSessionLost),
    ROW(CKR_OPERATION_NOT_INITIALIZED, kUnavailable, kNewSession, true, kSessionLost),
    ROW(CKR_SESSION_HANDLE_INVALID, kUnavailable, kReopen, true, kSessionLost),
    ROW(CKR_SESSION_CLOSED, kUnavailable, kReopen, false, kSessionLost),
    ROW(CKR_SESSION_COUNT, kUnavailable, kNone, true,
        "the token has no session left: lower the number of sessions or stop other programs"),
    ROW(CKR_TOKEN_RESOURCE_EXCEEDED, kUnavailable, kNewSession, true, kMemory),
    ROW(CKR_HOST_MEMORY, kUnavailable, kNewSession, false, kMemory),
    ROW(CKR_DEVICE_MEMORY, kUnavailable, kNewSession, true, kMemory),
    ROW(CKR_KEY_HANDLE_INVALID, kUnavailable, kReopen, true, kSessionLost),
    ROW(CKR_OBJECT_HANDLE_INVALID, kUnavailable, kReopen, true, kSessionLost),
    ROW(CKR_USER_NOT_LOGGED_IN, kUnavailable, kReopen, true, kLogin),
    ROW(CKR_NEED_TO_CREATE_THREADS, kUnsupported, kNone, true, kModuleDefect),
    ROW(CKR_CANT_LOCK, kUnsupported, kNone, true,
        "the module cannot be used on several threads; use one that can"),
    // The token cannot do it.
    ROW(CKR_MECHANISM_INVALID, kUnsupported, kNone, true,
        "the token does not have this algorithm; list its mechanisms, or use the other key type"),
    ROW(CKR_MECHANISM_PARAM_INVALID, kUnsupported, kNone, true, kModuleDefect),
    ROW(CKR_CURVE_NOT_SUPPORTED, kUnsupported, kNone, true, "the token does not have this curve"),
    ROW(CKR_DOMAIN_PARAMS_INVALID, kUnsupported, kNone, true, "the token does not have this curve"),
    ROW(CKR_FUNCTION_NOT_SUPPORTED, kUnsupported, kNone, true, kModuleDefect),
    ROW(CKR_ATTRIBUTE_TYPE_INVALID, kUnsupported, kNone, true, kModuleDefect),
    ROW(CKR_ATTRIBUTE_VALUE_INVALID, kUnsupported, kNone, true, kModuleDefect),
    ROW(CKR_TEMPLATE_INCOMPLETE, kUnsupported, kNone, true, kModuleDefect),
    ROW(CKR_TEMPLATE_INCONSISTENT, kUnsupported, kNone, true,
        "the token does not allow these attributes together; its policy may forbid this kind of "
        "key"),
    ROW(CKR_KEY_SIZE_RANGE, kUnsupported, kNone, true, kKey),
    ROW(CKR_KEY_TYPE_INCONSISTENT, kUnsupported, kNone, true, kKey),
    ROW(CKR_BUFFER_TOO_SMALL, kUnsupported, kNewSession, true, kModuleDefect),
    ROW(CKR_DATA_LEN_RANGE, ErrorCode::kLimitExceeded, kNone, true,
        "the token cannot sign data of this length in one call"),
    ROW(CKR_DATA_INVALID, kUnsupported, kNone, true, kModuleDefect),
    // Somebody's rule forbids it.
    ROW(CKR_PIN_INCORRECT, kPermissionDenied, kNone, true, kPin),
    ROW(CKR_PIN_INVALID, kPermissionDenied, kNone, true, kPin),
    ROW(CKR_PIN_LEN_RANGE, kPermissionDenied, kNone, true, kPin),
    ROW(CKR_PIN_EXPIRED, kPermissionDenied, kNone, true, "set a new PIN with the HSM's own tools"),
    ROW(CKR_PIN_LOCKED, kPermissionDenied, kNone, true,
        "the token is locked after too many wrong PINs; its security officer must unlock it"),
    ROW(CKR_USER_PIN_NOT_INITIALIZED, kPermissionDenied, kNone, true,
        "the token has no user PIN yet; its security officer must set one"),
    ROW(CKR_USER_ALREADY_LOGGED_IN, kPermissionDenied, kNone, true,
        "another part of this process is logged in, so this PIN cannot be checked; let one part "
        "own the token"),
    ROW(CKR_USER_ANOTHER_ALREADY_LOGGED_IN, kPermissionDenied, kNone, true,
        "the security officer is logged in from this process; log out first"),
    ROW(CKR_USER_TOO_MANY_TYPES, kPermissionDenied, kNone, true, kLogin),
    ROW(CKR_USER_TYPE_INVALID, kPermissionDenied, kNone, true, kModuleDefect),
    ROW(CKR_TOKEN_WRITE_PROTECTED, kPermissionDenied, kNone, true, "the token is write-protected"),
    ROW(CKR_SESSION_READ_ONLY, kPermissionDenied, kNone, true, "the token allows reading only"),
    ROW(CKR_SESSION_READ_WRITE_SO_EXISTS, kPermissionDenied, kNone, true,
        "the security officer is logged in from this process; log out first"),
    ROW(CKR_ACTION_PROHIBITED, kPermissionDenied, kNone, true, "the token's policy forbids it"),
    ROW(CKR_ATTRIBUTE_READ_ONLY, kPermissionDenied, kNone, true, "the token's policy forbids it"),
    ROW(CKR_ATTRIBUTE_SENSITIVE, kPermissionDenied, kNone, true, "the token's policy forbids it"),
    ROW(CKR_FUNCTION_REJECTED, kPermissionDenied, kNone, true,
        "the request was refused at the token (a person or its policy)"),
    ROW(CKR_KEY_FUNCTION_NOT_PERMITTED, kPermissionDenied, kNone, true,
        "the key may not sign (CKA_SIGN is false)"),
    ROW(CKR_KEY_EXHAUSTED, kPermissionDenied, kNone, true, "the key's number of uses is spent"),
    // Ours.
    ROW(CKR_ARGUMENTS_BAD, kInternal, kNone, true, kModuleDefect),
    ROW(CKR_CRYPTOKI_ALREADY_INITIALIZED, kInternal, kNone, true, kModuleDefect),
};
#undef ROW

const CkrRow* find_row(CK_RV rv) {
  for (const CkrRow& row : kRows) {
    if (row.rv == rv) return &row;
  }
  return nullptr;
}

std::string hex_number(CK_RV rv) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "0x%lx", rv);
  return text.data();
}

}  // namespace

// A return value that the table does not know is most often a vendor's own for a lost connection.
Repair repair_of(CK_RV rv) noexcept {
  const CkrRow* row = find_row(rv);
  return row != nullptr ? row->repair : Repair::kReopen;
}

bool sign_not_done(CK_RV rv) noexcept {
  const CkrRow* row = find_row(rv);
  return row != nullptr && row->sign_not_done;
}

std::string ckr_name(CK_RV rv) {
  const CkrRow* row = find_row(rv);
  if (row != nullptr) return row->name;
  return (rv >= CKR_VENDOR_DEFINED ? "vendor-defined CKR " : "unlisted CKR ") + hex_number(rv);
}

Error ck_error(CK_RV rv, std::string_view function, std::string_view what,
               std::source_location where) {
  const CkrRow* row = find_row(rv);
  std::string message(what);
  message += ": ";
  message += function;
  message += " says " + ckr_name(rv);
  if (row != nullptr) message += " (" + hex_number(rv) + ")";
  message += std::string(": ") + (row != nullptr ? row->advice : kLibrary);
  return make_error(row != nullptr ? row->code : ErrorCode::kUnavailable, std::move(message), "hsm",
                    rv, where);
}

}  // namespace colophon::hsm
