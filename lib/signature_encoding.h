// SPDX-License-Identifier: Apache-2.0
//
// Signatures from outside, strictly parsed into 64 bytes. The rules are in colophon/profile.hpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "colophon/profile.hpp"
#include "colophon/slices.hpp"
#include "curve.h"

namespace colophon {

// ECDSA, SM2: r ‖ s big-endian. Ed25519: R ‖ S as given.
using Signature = std::array<std::uint8_t, 64>;

// SEQUENCE { INTEGER r, INTEGER s } in strict DER. kBadEncoding: not that form. kOutOfRange: that
// form, but an integer of more than 256 bits. Otherwise kValid, and r ‖ s in `signature`.
[[nodiscard]] Verdict parse_der_signature(ByteSpan encoded, Signature& signature) noexcept;

// Form and ranges, in the order of Verdict: exactly the checks up to kHighS that look at the
// signature alone. kValid here means "so far"; then `signature` is written.
[[nodiscard]] Verdict parse_signature(Scheme scheme, SignatureEncoding encoding, Profile profile,
                                      ByteSpan encoded, Signature& signature) noexcept;

// The one DER form of r ‖ s; returns its length.
inline constexpr std::size_t kDerSignatureBytesMax = 2 + 2 * (2 + 33);
std::size_t write_der_signature(const Signature& signature,
                                std::span<std::uint8_t, kDerSignatureBytesMax> out) noexcept;

}  // namespace colophon
