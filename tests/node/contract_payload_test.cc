// SPDX-License-Identifier: Apache-2.0
//
// Payloads of both contracts, changed at random: what intake's check() lets through has one byte
// form, and what it refuses no block can execute, whoever ordered it.
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "node/bytes.h"
#include "node/contracts/contract.h"
#include "tests/effort.h"
#include "tests/node/certificate_forge.h"
#include "tests/node/contract_chain.h"

namespace colophon::node {
namespace {

using test::Chain;
using test::MemorySigner;
using test::sha256;
using test::TestOrganization;

struct Call {
  MemorySigner* signer;
  std::string contract;
  std::string payload;
};

// The payload as protobuf writes what it reads in it; empty if it reads nothing.
template <class Message>
std::string rewritten(const std::string& payload) {
  Message message;
  if (!message.ParseFromString(payload)) return "";
  message.DiscardUnknownFields();
  return message.SerializeAsString();
}

class Mutator {
 public:
  explicit Mutator(std::uint64_t seed) : random_(seed) {}
  std::size_t below(std::size_t limit) { return static_cast<std::size_t>(random_() % limit); }

  std::string mutant(std::string text) {
    for (std::size_t changes = 1 + below(2); changes > 0 && !text.empty(); --changes) {
      // Half of the changes fall into the first bytes, where tags and lengths are.
      const std::size_t at =
          below(below(2) == 0 ? std::min<std::size_t>(text.size(), 40) : text.size());
      switch (below(6)) {
        case 0:
          text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
          break;
        case 1:
          text[at] = static_cast<char>(below(256));
          break;
        case 2:
          text.insert(at, 1, static_cast<char>(below(256)));
          break;
        case 3:
          text.erase(at, 1);
          break;
        case 4:
          text.insert(at, text.substr(below(text.size()), 1 + below(40)));
          break;
        default:
          text.resize(at);
          break;
      }
    }
    return text;
  }

 private:
  std::mt19937_64 random_;
};

TEST(ContractPayload, MutantsHaveOneFormAndNoneThatCheckRefusesIsExecuted) {
  Chain chain;
  const TestOrganization acme("acme", 1);
  const TestOrganization archive("archive", 2);
  const TestOrganization later("later", 3);
  const auto ann = MemorySigner::create(hsm::KeyType::kP256, 11);
  const auto bob = MemorySigner::create(hsm::KeyType::kEd25519, 12);
  acme.enrol(chain);
  archive.enrol(chain);
  acme.enrol(chain, *ann);
  const std::string registered = chain.sign(*ann, "registry", test::register_document(sha256("1")));
  ASSERT_TRUE(test::succeeded(chain.run(registered)));
  const Digest record = record_id(chain.id(registered));
  // Each of them succeeds as it is.
  const std::vector<Call> calls{
      {chain.administrator.get(), "membership",
       test::enrol_organization("later", "Later “Ä”", later.ca_certificate)},
      {bob.get(), "membership", test::enrol_member("archive", archive.certify(*bob))},
      {ann.get(), "membership", test::revoke_member(test::member_key_id(*ann))},
      {ann.get(), "registry", test::register_document(sha256("2"), "Étude – 琴譜")},
      {ann.get(), "registry", test::register_commitment(sha256("3"))},
      {ann.get(), "registry", test::transfer(record, "archive", 1)}};
  for (const Call& call : calls) {
    const auto execution =
        test::must(chain.execute_only({chain.sign(*call.signer, call.contract, call.payload)}));
    EXPECT_TRUE(test::succeeded(execution.outcomes[0]));
  }

  const std::size_t mutants = colophon::test::number_of_cases(12'000, 12'000, 3'000);
  Mutator mutator(37);
  std::size_t passed = 0, executed = 0, refused = 0;
  for (std::size_t i = 0; i < mutants; ++i) {
    const Call& call = calls[mutator.below(calls.size())];
    const std::string payload = mutator.mutant(call.payload);
    if (payload.empty()) continue;
    const auto checked = find_contract(call.contract)->check(as_bytes(payload));
    const auto execution =
        test::must(chain.execute_only({chain.sign(*call.signer, call.contract, payload)}));
    const Outcome& outcome = execution.outcomes[0];
    if (!checked) {
      ++refused;
      ASSERT_FALSE(checked.error().field.empty()) << checked.error().message;
      ASSERT_TRUE(outcome.error) << "executed though refused: " << checked.error().message;
    } else {
      ++passed;
      ASSERT_EQ(call.contract == "registry" ? rewritten<proto::RegistryCall>(payload)
                                            : rewritten<proto::MembershipCall>(payload),
                payload);
    }
    ASSERT_EQ(execution.events.size(), outcome.error ? 0U : 1U);
    ASSERT_EQ(chain.writes.empty(), outcome.error.has_value());
    executed += outcome.error ? 0 : 1;
  }
  EXPECT_GT(refused, mutants / 4);
  EXPECT_GT(passed, mutants / 24);
  EXPECT_GT(executed, mutants / 60);
}

}  // namespace
}  // namespace colophon::node
