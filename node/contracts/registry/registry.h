// SPDX-License-Identifier: Apache-2.0
//
// Contract "registry": works and rights, who owns them, and since when.
//
//   register  by an active member; the owner is the member's organization. The record holds the
//   SHA-256
//             of the document, or else a salted commitment to it. An organization registers the
//             same document (or commitment) once, whoever owns the record today; another
//             organization may register it too: the ledger does not judge whose it is, it proves
//             who said so first.
//   transfer  by an active member of the owner, to another enrolled organization. Names the
//   revision
//             the sender saw, so that two transfers cannot cross.
//
// State: "registry/record/" record id[32]                            -> Record
//        "registry/document/" organization "/" ("h" | "c") value[32] -> record id[32]
// with "h" for a document's SHA-256 and "c" for a commitment.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "colophon/hash.hpp"
#include "colophon/slices.hpp"
#include "node/contracts/contract.h"

namespace colophon::node {

inline constexpr std::size_t kTitleBytesMax = 512;

// What may be registered.
inline constexpr std::array<std::string_view, 7> kRegistryTypes = {
    "work",          // copyright work: text, music, picture, film
    "patent",        // patent or utility model
    "trademark",     // trade mark or service mark
    "design",        // industrial design
    "trade_secret",  // kept secret: register it with a commitment
    "software",      // computer program
    "dataset",       // database or data set
};

[[nodiscard]] const Contract& registry_contract() noexcept;

[[nodiscard]] std::string record_state_key(ByteSpan record_id);
// SHA-256("colophon record v1" 0x00 || transaction id).
[[nodiscard]] Digest record_id(ByteSpan transaction_id);

}  // namespace colophon::node
