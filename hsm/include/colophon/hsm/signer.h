// SPDX-License-Identifier: Apache-2.0
//
// The one interface through which everything signs. The private key stays in the token (PKCS#11);
// what is here is its public half and a way to ask for signatures.
//
// Algorithms: P-256 is ECDSA over SHA-256 (FIPS 186-5), Ed25519 is pure EdDSA (RFC 8032). A
// signature is 64 bytes: r‖s big-endian with s ≤ n/2, or R‖S.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "colophon/error.hpp"
#include "colophon/hsm/pin.h"
#include "colophon/slices.hpp"

namespace colophon::hsm {

enum class KeyType : std::uint8_t { kP256, kEd25519 };

// "p256", "ed25519": the names used on the command line and in JSON.
[[nodiscard]] std::string_view key_type_name(KeyType type) noexcept;
// Errors: kInvalidArgument (neither name).
[[nodiscard]] Result<KeyType> parse_key_type(std::string_view name);

using Signature = std::array<std::uint8_t, 64>;

struct PublicKey {
  KeyType type = KeyType::kP256;
  std::vector<std::uint8_t> raw;  // P-256: 33 bytes, SEC 1 compressed; Ed25519: 32 bytes, RFC 8032

  // SubjectPublicKeyInfo, DER (RFC 5480 with the uncompressed point, 91 bytes; RFC 8410, 44 bytes).
  // Errors: kMalformed (`raw` has the wrong length or is not a point of the curve).
  [[nodiscard]] Result<std::vector<std::uint8_t>> to_spki_der() const;
  // The same as PEM, "PUBLIC KEY" (RFC 7468), with a newline at the end.
  [[nodiscard]] Result<std::string> to_spki_pem() const;

  friend bool operator==(const PublicKey&, const PublicKey&) = default;
};

class Signer {
 public:
  virtual ~Signer() = default;
  [[nodiscard]] virtual KeyType key_type() const noexcept = 0;
  [[nodiscard]] virtual const PublicKey& public_key() const noexcept = 0;

  // Signs `message` (any length; hashed in this process for P-256). Safe to call on many threads at
  // once. The outcome is one of three:
  //   done             a signature, already verified under public_key();
  //   not done         any error but the next: the token made no signature;
  //   kOutcomeUnknown  the token may have made one, the reply is lost. Signing the same message
  //                    again is harmless with these two algorithms; whether it may be asked twice
  //                    is for the caller to know.
  // Errors: kOutcomeUnknown, kUnavailable (token or session lost, no session free in time),
  // kPermissionDenied (PIN), kNotFound (the key is gone), kCorrupt (the token answered with bytes
  // that are not a signature under public_key()), kLimitExceeded (a token limit on length).
  [[nodiscard]] virtual Result<Signature> sign(ByteSpan message) = 0;
};

struct SignerOptions {
  std::size_t sessions_max = 8;  // sessions held for this token by the process; 1 to 64
  // True: an unknown outcome is answered by signing the same message once more, in a new session.
  bool sign_again_when_unknown = false;
};

// Finds the private key `pkcs11_uri` names (RFC 7512: token and object or id), logs in with the
// PIN, checks that the key is sensitive, not extractable and may sign, and proves it works by
// signing and verifying a fixed text. After the loss of a session or of the token the signer
// reopens, logs in again with the same PIN and repeats, once, what was not done.
//
// The module is the URI's module-path, else the environment variable COLOPHON_PKCS11_MODULE. A
// pin-source in the URI is used when `pin` is PinSource::prompt().
//
// A wrong PIN is tried once: the process refuses to present the same PIN to that token again.
// Errors: kMalformed (URI), kInvalidArgument (several tokens or keys match), kNotFound (module,
// token or key), kPermissionDenied (PIN wrong or locked; key extractable), kUnavailable,
// kUnsupported, and those of PinSource::read and Signer::sign.
[[nodiscard]] Result<std::unique_ptr<Signer>> open_signer(std::string_view pkcs11_uri,
                                                          const PinSource& pin,
                                                          const SignerOptions& options = {});

}  // namespace colophon::hsm
