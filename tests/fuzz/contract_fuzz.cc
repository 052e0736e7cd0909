// SPDX-License-Identifier: Apache-2.0
//
// Payloads of contracts, applied to a small chain: what check() refuses apply() refuses alike, what
// apply() makes of the rest can be read back, and a call that fails leaves no trace.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "node/bytes.h"
#include "node/contracts/contract.h"
#include "node/contracts/membership/membership.h"
#include "node/contracts/registry/registry.h"
#include "tests/fuzz/forge.h"
#include "tests/fuzz/fuzz_chain.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/right_inputs.h"

namespace colophon::node {
namespace {

using fuzz::FuzzInput;
using fuzz::require;

void check(FuzzInput& input) {
  static const fuzz::FuzzChain chain;
  const Contract& contract = input.flag() ? registry_contract() : membership_contract();
  const hsm::PublicKey& signer = chain.signer(input.choice(fuzz::FuzzChain::kSigners));
  const Digest transaction_id = test::sha256("transaction of the fuzzer");
  static const std::vector<std::string> right = [] {
    std::vector<std::string> payloads;
    for (const fuzz::Call& call : fuzz::right_calls(chain)) payloads.push_back(call.payload);
    return payloads;
  }();
  // A payload is one field, the call, which is a message itself.
  std::string bytes;
  if (input.flag()) {
    const std::string& chosen = right[input.choice(right.size())];
    bytes = fuzz::forge_message(chosen, fuzz::read_fields(chosen)[0].number, input);
  } else {
    bytes = fuzz::text_of(input.rest());
  }
  const ByteSpan payload = as_bytes(bytes);

  StateOverlay state(chain.state());
  std::vector<EventDraft> events;
  ContractContext context{chain.genesis(), state,          9,
                          chain.time_ms(), transaction_id, fuzz::scheme_of(signer),
                          signer.raw,      events};
  const Result<void> form = contract.check(payload);
  const Result<void> applied = contract.apply(context, payload);
  if (!form) {
    require(!form.error().message.empty() && !form.error().field.empty(),
            "a refusal says why and names the field");
    require(!applied.ok(), "what check() refuses apply() refuses");
  }
  if (!applied) {
    require(!applied.error().message.empty(), "a refusal says why");
    require(
        applied.error().code != ErrorCode::kInternal && applied.error().code != ErrorCode::kCorrupt,
        "a payload is no defect and no damage");
    require(events.empty(), "a call that fails makes no event");
    state.discard_transaction();
    state.commit_transaction();
    require(state.writes().empty(), "a call that fails writes nothing");
    return;
  }
  state.commit_transaction();
  require(events.size() == 1, "each call of today makes one event");
  const bool written = std::ranges::any_of(state.writes(), [&](const auto& write) {
    return write.second && *write.second == events[0].data;
  });
  require(written, "what the event says is in the state");
  const auto json = contract.event_data_json(events[0].type, as_bytes(events[0].data));
  require(json.ok(), "the data of an event that a call made can be read");
  (void)json->dump();  // throws if a text in it is not UTF-8
}

}  // namespace
}  // namespace colophon::node

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  colophon::fuzz::FuzzInput input(data, size);
  colophon::node::check(input);
  return 0;
}
