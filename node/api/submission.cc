// SPDX-License-Identifier: Apache-2.0
#include "node/api/submission.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "node/node.h"
#include "node/strict_json.h"

namespace colophon::node {
namespace {

using nlohmann::json;

constexpr std::size_t kTextBytesMax = (kTransactionBytesMax + 2) / 3 * 4;
constexpr const char* kForm =
    R"(the body must be {"transaction":BASE64} or {"transactions":[BASE64,...]})";

// Stops at the first thing that is out of place, so nesting and size cost nothing.
class SubmissionReader : public json::json_sax_t {
 public:
  Submission submission;
  Error error;

  bool null() override { return value_refused("null"); }
  bool boolean(bool) override { return value_refused("a boolean"); }
  bool number_integer(number_integer_t) override { return value_refused("a number"); }
  bool number_unsigned(number_unsigned_t) override { return value_refused("a number"); }
  bool number_float(number_float_t, const string_t&) override { return value_refused("a number"); }
  bool binary(binary_t&) override { return value_refused("binary"); }

  bool string(string_t& text) override {
    if (place_ == Place::kBefore) return refuse(ErrorCode::kMalformed, kForm, "body");
    if (place_ != Place::kArray && submission.many) return value_refused("a string");
    if (submission.texts.size() == kSubmitTransactionsMax) {
      return refuse(ErrorCode::kLimitExceeded,
                    "at most " + std::to_string(kSubmitTransactionsMax) +
                        " transactions fit one request: send the rest in another",
                    "transactions");
    }
    if (text.size() > kTextBytesMax) {
      return refuse(ErrorCode::kLimitExceeded,
                    "a transaction is at most " + std::to_string(kTransactionBytesMax) +
                        " bytes (" + std::to_string(kTextBytesMax) + " characters of base64)",
                    item_name());
    }
    submission.texts.push_back(std::move(text));
    return true;
  }

  bool start_object(std::size_t) override {
    if (place_ != Place::kBefore) return value_refused("an object");
    place_ = Place::kObject;
    return true;
  }

  bool key(string_t& name) override {
    if (name != "transaction" && name != "transactions") {
      return refuse(ErrorCode::kMalformed, std::string("unknown member: ") + kForm,
                    name.substr(0, kNameBytesShown));
    }
    if (seen_) return refuse(ErrorCode::kMalformed, std::string("one member only: ") + kForm, name);
    seen_ = true;
    submission.many = name == "transactions";
    return true;
  }

  bool end_object() override {
    if (!seen_) return refuse(ErrorCode::kMalformed, kForm, "body");
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ == Place::kBefore) return refuse(ErrorCode::kMalformed, kForm, "body");
    if (place_ == Place::kArray || !submission.many) return value_refused("an array");
    place_ = Place::kArray;
    return true;
  }

  bool end_array() override {
    place_ = Place::kObject;
    if (submission.texts.empty()) {
      return refuse(ErrorCode::kMalformed, "the list is empty: send at least one transaction",
                    "transactions");
    }
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const json::exception& e) override {
    const bool utf8 = std::string_view(e.what()).find("UTF-8") != std::string_view::npos;
    return refuse(ErrorCode::kMalformed,
                  std::string(utf8 ? "the body is not UTF-8" : "the body is not JSON") +
                      ": see byte " + std::to_string(position),
                  "body");
  }

 private:
  enum class Place { kBefore, kObject, kArray };
  static constexpr std::size_t kNameBytesShown = 64;

  [[nodiscard]] std::string item_name() const {
    if (!submission.many) return "transaction";
    return "transactions[" + std::to_string(submission.texts.size()) + "]";
  }

  bool refuse(ErrorCode code, std::string message, std::string field) {
    error = make_error(code, std::move(message), std::move(field));
    return false;
  }

  bool value_refused(const char* found) {
    if (place_ == Place::kBefore) return refuse(ErrorCode::kMalformed, kForm, "body");
    const bool list = place_ == Place::kObject && submission.many;
    return refuse(
        ErrorCode::kMalformed,
        std::string(list ? "must be a list of base64 texts, not " : "must be a base64 text, not ") +
            found,
        list ? "transactions" : item_name());
  }

  Place place_ = Place::kBefore;
  bool seen_ = false;
};

}  // namespace

Result<Submission> parse_submission(std::string_view body) {
  if (has_bytes_no_json_has(body)) {
    return make_error(ErrorCode::kMalformed,
                      "the body is not JSON: it has a zero byte or begins with a byte order mark",
                      "body");
  }
  SubmissionReader reader;
  if (!json::sax_parse(body, &reader)) return std::move(reader.error);
  return std::move(reader.submission);
}

}  // namespace colophon::node
