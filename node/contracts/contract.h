// SPDX-License-Identifier: Apache-2.0
//
// What a contract is: a deterministic module over integers and bytes, in a folder of its own. It
// has no clock, no randomness and no I/O; all it sees is the context below. Adding one = a folder
// here and a line in contracts.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "colophon/error.hpp"
#include "colophon/profile.hpp"
#include "colophon/slices.hpp"
#include "node/event.h"
#include "node/genesis.h"
#include "node/state.h"

namespace colophon::node {

// One transaction's view while it is applied. Writes and events of a call that returns an error are
// discarded by the state machine.
struct ContractContext {
  const Genesis& genesis;
  StateOverlay& state;  // reads see earlier writes of the same block
  std::uint64_t block_height;
  std::uint64_t block_time_ms;
  ByteSpan transaction_id;  // 32 bytes
  Scheme signer_scheme;
  ByteSpan signer_public_key;
  std::vector<EventDraft>& events;  // the call appends what happened
};

class Contract {
 public:
  virtual ~Contract() = default;
  [[nodiscard]] virtual std::string_view name() const noexcept = 0;
  // Form and limits of a payload alone, without state: what intake refuses before it costs
  // anything.
  [[nodiscard]] virtual Result<void> check(ByteSpan payload) const = 0;
  [[nodiscard]] virtual Result<void> apply(ContractContext& context, ByteSpan payload) const = 0;
  // The event's `data` as JSON for API and certificates. Refuses bytes that are not the one
  // serialization of what they decode to.
  [[nodiscard]] virtual Result<nlohmann::json> event_data_json(std::string_view type,
                                                               ByteSpan data) const = 0;
};

// All contracts of this version, by name; nullptr if there is none.
[[nodiscard]] const Contract* find_contract(std::string_view name) noexcept;

}  // namespace colophon::node
