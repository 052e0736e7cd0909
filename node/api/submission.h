// SPDX-License-Identifier: Apache-2.0
//
// The body of POST /v1/transactions: untrusted JSON, read without building a document of it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "colophon/error.hpp"

namespace colophon::node {

struct Submission {
  bool many = false;               // "transactions", not "transaction"
  std::vector<std::string> texts;  // base64 as sent; 1 to kSubmitTransactionsMax
};

// Exactly one of {"transaction":TEXT} and {"transactions":[TEXT,…]}: no other member, none twice.
// Errors: kMalformed (names the member or the byte), kLimitExceeded.
[[nodiscard]] Result<Submission> parse_submission(std::string_view body);

}  // namespace colophon::node
