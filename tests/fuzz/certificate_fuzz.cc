// SPDX-License-Identifier: Apache-2.0
//
// Certificate files. Of a log whose keys the fuzzer does not have, the one file that was written is
// accepted and nothing else is. A leaf of any bytes, put into the log and signed, either cannot be
// certified or gives a file that verifies; and the same log under another CA, salt or document
// never does.
#include <nlohmann/json.hpp>
#include <string>

#include "node/certificate.h"
#include "node/event.h"
#include "node/hex.h"
#include "tests/fuzz/forge.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/node/certificate_forge.h"

namespace colophon::node {
namespace {

using fuzz::FuzzInput;
using fuzz::require;
using test::must;
using test::SmallLog;

test::LogOptions committed() {
  test::LogOptions options;
  options.salt = Der(32, 0x5c);
  return options;
}

struct Known {
  SmallLog plain;
  SmallLog salted{committed()};
  std::string plain_file = plain.file();
  std::string salted_file = salted.file();
};

const Known& known() {
  static const Known made;
  return made;
}

void check_refusal(const Result<CertificateReport>& report) {
  if (report) return;
  require(!report.error().message.empty() && !report.error().field.empty(),
          "a refusal says why and names the member");
}

void check_stranger(std::string_view file) {
  const auto report = known().plain.verify(file);
  require(report.ok() == (file == known().plain_file),
          "only the file that was written is accepted");
  check_refusal(report);
  const auto salted = known().salted.verify(file);
  require(salted.ok() == (file == known().salted_file),
          "only the file that was written is accepted, of a commitment too");
  check_refusal(salted);
}

// Any leaf in a log of somebody who has the keys.
void check_leaf(std::string leaf) {
  static SmallLog log;
  log.parts.leaf = std::move(leaf);
  const auto file = write_certificate(log.parts);
  const auto json = event_json(as_bytes(log.parts.leaf));
  if (!file) return;
  require(json.ok(), "what can be certified is an event");
  log.seal();
  const auto sealed = write_certificate(log.parts);
  require(sealed.ok(), "an event can be certified");
  const auto report = log.verify(*sealed);
  check_refusal(report);
  const bool names_document = json->at("data").value("document_sha256", "") ==
                              hex_encode(test::sha256(log.options.document));
  const bool at_its_index = json->at("index") == log.parts.index;
  if (report) {
    require(names_document && at_its_index, "the document and the index are the event's");
    require(report->title == json->at("data").at("title").get<std::string>() &&
                report->owner == json->at("data").at("owner").get<std::string>(),
            "the report says what the leaf says");
  } else if (names_document && at_its_index) {
    require(report.error().code == ErrorCode::kExpired, "only the time can be wrong");
  }
}

void check_other_inputs(FuzzInput& input) {
  const Known& all = known();
  Digest document = test::sha256(all.plain.options.document);
  Der trust = all.plain.ca_certificate;
  Der salt = *all.salted.options.salt;
  fuzz::edit(trust, input, 2);
  fuzz::edit(salt, input, 1);
  if (input.flag())
    document[input.choice(32)] ^= static_cast<std::uint8_t>(1U << (input.byte() % 8));
  const bool right =
      document == test::sha256(all.plain.options.document) && trust == all.plain.ca_certificate;
  const auto report =
      verify_certificate(fuzz::backend(), all.plain_file, document, std::nullopt, trust);
  require(report.ok() == right, "only the document and the CA that are right are accepted");
  const auto salted =
      verify_certificate(fuzz::backend(), all.salted_file, document, ByteSpan(salt), trust);
  require(salted.ok() == (right && salt == *all.salted.options.salt),
          "only the salt that is right is accepted");
}

void check(FuzzInput& input) {
  switch (input.choice(5)) {
    case 0:
      check_stranger(fuzz::text_of(input.rest()));
      break;
    case 1:
    case 2: {
      std::string file = input.flag() ? known().plain_file : known().salted_file;
      if (input.flag()) fuzz::edit_list(file, ',', input);
      fuzz::edit(file, input);
      check_stranger(file);
      break;
    }
    case 3: {
      constexpr std::uint64_t kData = 11;
      static const std::vector<std::string> right = {known().plain.parts.leaf,
                                                     known().salted.parts.leaf};
      check_leaf(fuzz::choose_message(input, right, kData));
      break;
    }
    default:
      check_other_inputs(input);
      break;
  }
}

}  // namespace
}  // namespace colophon::node

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  colophon::fuzz::FuzzInput input(data, size);
  colophon::node::check(input);
  return 0;
}
