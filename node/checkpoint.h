// SPDX-License-Identifier: Apache-2.0
//
// Checkpoints: C2SP tlog-checkpoint in a C2SP signed note, with one Ed25519 signature (type 0x01).
//   <origin>\n<tree size, decimal>\n<base64 root hash>\n\n— <origin> <base64(key id[4] ||
//   signature[64])>\n
// key id = first 4 bytes of SHA-256(name || 0x0A || 0x01 || public key). The key name is the
// origin.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "colophon/backend.hpp"
#include "colophon/error.hpp"
#include "colophon/hash.hpp"
#include "colophon/hsm/signer.h"
#include "colophon/slices.hpp"

namespace colophon::node {

inline constexpr std::size_t kCheckpointBytesMax = 4096;

struct Checkpoint {
  std::string origin;
  std::uint64_t size = 0;
  Digest root{};
};

// The text that is signed, up to and with its last newline.
[[nodiscard]] std::string checkpoint_body(const Checkpoint& checkpoint);
// Signs with an Ed25519 signer. Errors: the signer's; kInvalidArgument (not Ed25519, bad origin).
[[nodiscard]] Result<std::string> sign_checkpoint(const Checkpoint& checkpoint,
                                                  hsm::Signer& signer);
// Strict: exactly the form above, one signature line by `public_key`, profile strict. One
// checkpoint has one byte form for one signature. Errors: kMalformed (names the line),
// kInvalidSignature.
[[nodiscard]] Result<Checkpoint> verify_checkpoint(const Backend& backend, std::string_view note,
                                                   std::string_view origin, ByteSpan public_key);

}  // namespace colophon::node
