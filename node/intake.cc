// SPDX-License-Identifier: Apache-2.0
#include "node/intake.h"

#include <algorithm>
#include <string>
#include <utility>

#include "colophon/hash.hpp"
#include "node/bytes.h"
#include "node/contracts/contract.h"
#include "node/contracts/membership/membership.h"

namespace colophon::node {
namespace {

Result<TransactionView> parse(std::string_view bytes, std::uint64_t now_ms) {
  COLOPHON_TRY_ASSIGN(TransactionView view, parse_transaction(as_bytes(bytes)));
  const Contract* contract = find_contract(view.contract);
  if (contract == nullptr) {
    return make_error(ErrorCode::kNotFound,
                      "no contract " + std::string(view.contract) +
                          " on this chain: it has membership and registry",
                      "contract");
  }
  COLOPHON_TRY(contract->check(view.payload));
  COLOPHON_TRY(check_times(view, now_ms));
  return view;
}

}  // namespace

Result<std::unique_ptr<Intake>> Intake::create(const Genesis& genesis, const Backend& backend,
                                               const Store& store, Clock& clock, Metrics& metrics) {
  // Keys of members come again and are worth preparing; a stranger's is refused after its
  // signature.
  const auto is_enrolled = [&store](Scheme scheme, ByteSpan public_key) {
    const auto found = store.get(signer_state_key(scheme, public_key));
    return found && *found;
  };
  COLOPHON_TRY_ASSIGN(SignerKeys keys, SignerKeys::create(backend, is_enrolled));
  return std::unique_ptr<Intake>(
      new Intake(genesis, backend, store, clock, metrics, std::move(keys)));
}

Result<void> Intake::set_ids(std::vector<Accepted>& accepted) const {
  std::string inputs;
  std::vector<std::uint64_t> offsets{0};
  offsets.reserve(accepted.size() + 1);
  for (const Accepted& one : accepted) {
    append_signing_input(inputs, genesis_.chain_id, one.transaction.verified.view);
    offsets.push_back(inputs.size());
  }
  std::vector<Digest> ids(accepted.size());
  COLOPHON_TRY(
      hash_batch(backend_, HashAlgorithm::kSha256, Slices{as_bytes(inputs), offsets}, ids));
  for (std::size_t i = 0; i < ids.size(); ++i) accepted[i].transaction.verified.id = ids[i];
  return {};
}

Result<void> Intake::check_not_committed(const Digest& id) const {
  COLOPHON_TRY_ASSIGN(const auto value, store_.read(Family::kTransaction, as_text(id)));
  if (!value) return {};
  COLOPHON_TRY_ASSIGN(const TransactionEntry entry, parse_entry(*value));
  return make_error(ErrorCode::kAlreadyExists,
                    "replay: this transaction is in block " + std::to_string(entry.height),
                    "transaction");
}

template <class Check>
void Intake::filter(std::vector<Accepted>& accepted, std::vector<Result<Receipt>>& results,
                    Check check) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < accepted.size(); ++i) {
    if (Result<void> checked = check(i, accepted[i]); !checked) {
      results[accepted[i].index] = std::move(checked).error();
    } else {
      accepted[kept++] = accepted[i];
    }
  }
  accepted.resize(kept);
}

std::vector<Intake::Accepted> Intake::check(std::span<const std::string_view> transactions,
                                            std::vector<Result<Receipt>>& results) {
  results.clear();
  if (transactions.size() > kSubmitTransactionsMax) {
    results.assign(transactions.size(),
                   make_error(ErrorCode::kLimitExceeded,
                              std::to_string(transactions.size()) +
                                  " transactions in one submission, the limit is " +
                                  std::to_string(kSubmitTransactionsMax),
                              "transactions"));
    return {};
  }
  results.reserve(transactions.size());
  std::vector<Accepted> accepted;
  accepted.reserve(transactions.size());
  // The time the next block will not be before.
  const std::uint64_t now_ms = std::max(clock_.now_ms(), store_.head().time_ms);
  for (std::size_t i = 0; i < transactions.size(); ++i) {
    auto view = parse(transactions[i], now_ms);
    if (view) {
      results.emplace_back(Receipt{});
      accepted.push_back({i, {transactions[i], {*view, {}}}});
    } else {
      results.emplace_back(std::move(view).error());
    }
  }
  if (accepted.empty()) return accepted;
  const auto fail_all = [&](const Error& error) {
    for (const Accepted& one : accepted) results[one.index] = error;
    return std::vector<Accepted>();
  };
  if (auto hashed = set_ids(accepted); !hashed) return fail_all(hashed.error());
  filter(accepted, results, [&](std::size_t, const Accepted& one) {
    return check_not_committed(one.transaction.verified.id);
  });

  std::vector<const VerifiedTransaction*> unverified;
  unverified.reserve(accepted.size());
  for (const Accepted& one : accepted) unverified.push_back(&one.transaction.verified);
  const std::uint64_t start_us = clock_.monotonic_us();
  const auto verdicts = verify_signatures(backend_, genesis_.chain_id, unverified, keys_);
  metrics_.verify_seconds.record_us(clock_.monotonic_us() - start_us);
  if (!verdicts) return fail_all(verdicts.error());
  filter(accepted, results, [&](std::size_t i, const Accepted&) -> Result<void> {
    const Verdict verdict = (*verdicts)[i];
    if (verdict == Verdict::kValid) return {};
    return make_error(ErrorCode::kInvalidSignature,
                      "the signature does not verify (" + std::string(verdict_reason(verdict)) +
                          "): sign the bytes for chain " + genesis_.chain_id +
                          " with the key that public_key names",
                      verdict == Verdict::kBadKey ? "public_key" : "signature");
  });
  return accepted;
}

}  // namespace colophon::node
