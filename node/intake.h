// SPDX-License-Identifier: Apache-2.0
//
// What happens to transactions before they are ordered: form, limits, time, replay, signature.
// Works in the caller's thread, so that several callers use several cores; the signatures of a
// large submission are verified on several threads.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "colophon/backend.hpp"
#include "colophon/error.hpp"
#include "node/environment.h"
#include "node/genesis.h"
#include "node/ledger.h"
#include "node/metrics.h"
#include "node/node.h"
#include "node/store.h"
#include "node/transaction_signatures.h"

namespace colophon::node {

// Thread-safe.
class Intake {
 public:
  // References are kept.
  [[nodiscard]] static Result<std::unique_ptr<Intake>> create(const Genesis& genesis,
                                                              const Backend& backend,
                                                              const Store& store, Clock& clock,
                                                              Metrics& metrics);

  struct Accepted {
    std::size_t index = 0;  // in the submission
    OrderedTransaction transaction;
  };
  // Fills results with one entry a transaction: its error, or a placeholder for what is accepted
  // and goes on to the ordering. Views point into `transactions`.
  [[nodiscard]] std::vector<Accepted> check(std::span<const std::string_view> transactions,
                                            std::vector<Result<Receipt>>& results);

 private:
  Intake(const Genesis& genesis, const Backend& backend, const Store& store, Clock& clock,
         Metrics& metrics, SignerKeys keys)
      : genesis_(genesis),
        backend_(backend),
        store_(store),
        clock_(clock),
        metrics_(metrics),
        keys_(std::move(keys)) {}

  Result<void> set_ids(std::vector<Accepted>& accepted) const;
  Result<void> check_not_committed(const Digest& id) const;
  // Drops what fails `check`, its error in results.
  template <class Check>
  static void filter(std::vector<Accepted>& accepted, std::vector<Result<Receipt>>& results,
                     Check check);

  const Genesis& genesis_;
  Backend backend_;
  const Store& store_;
  Clock& clock_;
  Metrics& metrics_;
  SignerKeys keys_;
};

}  // namespace colophon::node
