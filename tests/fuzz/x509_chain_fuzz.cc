// SPDX-License-Identifier: Apache-2.0
//
// Chains in which every certificate is rightly formed and signed, and any of the things that tie
// them together may be wrong. verify_chain accepts exactly what a model of docs/formats.md,
// "Chain", says of the choices made; and nothing that OpenSSL, asked with its own clock, refuses.
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "node/x509.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/node/certificate_forge.h"

namespace colophon::node {
namespace {

using fuzz::FuzzInput;
using fuzz::require;
using test::MemorySigner;

constexpr std::size_t kKeys = 6;

MemorySigner& key(std::size_t i) {
  static const auto keys = [] {
    std::array<std::unique_ptr<MemorySigner>, kKeys> made;
    for (std::size_t k = 0; k < kKeys; ++k) {
      made[k] =
          MemorySigner::create(k % 2 == 0 ? hsm::KeyType::kEd25519 : hsm::KeyType::kP256, 80 + k);
    }
    return made;
  }();
  return *keys[i];
}

// Days of 2026: validity and the time asked for.
constexpr std::array kDays = {"260101", "260301", "260601", "260901", "261101"};

struct Choices {
  std::string name;
  std::string issuer;
  std::size_t key = 0;
  std::size_t signed_by = 0;
  std::size_t named_issuer_key = 0;  // in the authority key identifier
  bool has_authority_key_id = true;
  bool has_subject_key_id = true;
  bool ca = false;
  std::optional<unsigned> path_length;
  bool has_usage = true;
  bool usage_sign = true;  // digitalSignature, or for a CA keyCertSign; else keyAgreement
  std::size_t first_day = 0;
  std::size_t last_day = 4;
};

Der certificate_of(const Choices& choices) {
  test::CertificateDraft made =
      test::draft(choices.name, key(choices.key).public_key(), choices.issuer,
                  key(choices.named_issuer_key).public_key(), choices.ca);
  made.algorithm = made.outer_algorithm = test::algorithm_of(key(choices.signed_by).key_type());
  const auto day = [](std::size_t i) { return test::utc_time(std::string(kDays[i]) + "000000Z"); };
  made.validity = der(der_tag::kSequence, {day(choices.first_day), day(choices.last_day)});
  std::vector<Der> extensions;
  Der constraints = choices.ca ? test::kCaConstraints : test::kEndEntity;
  if (choices.ca && choices.path_length) {
    const auto length = static_cast<std::uint8_t>(*choices.path_length);
    constraints = {0x30, 0x06, 0x01, 0x01, 0xff, 0x02, 0x01, length};
  }
  extensions.push_back(test::extension(kOidBasicConstraints, true, constraints));
  if (choices.has_usage) {
    const Der agreement = {0x03, 0x02, 0x03, 0x08};
    const Der sign = choices.ca ? test::kMayCertify : test::kMaySign;
    extensions.push_back(
        test::extension(kOidKeyUsage, true, choices.usage_sign ? sign : agreement));
  }
  if (choices.has_subject_key_id) extensions.push_back(made.extensions[2]);
  if (choices.has_authority_key_id) extensions.push_back(made.extensions[3]);
  made.extensions = std::move(extensions);
  return made.sign(key(choices.signed_by));
}

// Index 0 is the leaf, the last one the root.
std::vector<Choices> choose(FuzzInput& input) {
  constexpr std::array<const char*, 4> kNames = {"One", "Two", "Three", "Four"};
  const std::size_t count = 2 + input.choice(4);
  std::vector<Choices> all(count);
  for (std::size_t i = 0; i < count; ++i) {
    Choices& c = all[i];
    const bool root = i + 1 == count;
    c.name = root ? "Root" : "Level " + std::to_string(i);
    c.key = i;
    c.signed_by = c.named_issuer_key = root ? i : i + 1;
    c.ca = i > 0;
    // Sixteen bits of what may be wrong; most fuzzer inputs leave most of it right.
    const std::uint8_t wrong = input.byte();
    const std::uint8_t more = input.byte();
    if ((wrong & 1) != 0) c.signed_by = input.choice(kKeys);
    if ((wrong & 2) != 0) c.named_issuer_key = input.choice(kKeys);
    if ((wrong & 4) != 0) c.issuer = kNames[input.choice(kNames.size())];
    if ((wrong & 8) != 0) c.name = i + 2 == count ? "Root" : "Level " + std::to_string(i + 1);
    if ((wrong & 16) != 0) c.ca = !c.ca;
    if ((wrong & 32) != 0) c.path_length = static_cast<unsigned>(input.choice(4));
    if ((wrong & 64) != 0) c.key = input.choice(kKeys);
    if ((wrong & 128) != 0) c.first_day = input.choice(kDays.size() - 1);
    if ((more & 1) != 0) c.has_usage = false;
    if ((more & 2) != 0) c.usage_sign = false;
    if ((more & 4) != 0) c.has_authority_key_id = false;
    if ((more & 8) != 0) c.has_subject_key_id = false;
    if ((more & 16) != 0)
      c.last_day = c.first_day + 1 + input.choice(kDays.size() - 1 - c.first_day);
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (all[i].issuer.empty()) all[i].issuer = all[std::min(i + 1, count - 1)].name;
  }
  return all;
}

// --- the model -----------------------------------------------------------------------------------

bool is_well_formed(const Choices& c) {
  // A CA has keyCertSign; who is none has it not, which no choice here gives it.
  return !c.ca || (c.has_usage && c.usage_sign);
}

bool is_issued_by(const Choices& subject, const Choices& issuer, std::size_t cas_below) {
  return issuer.ca && subject.issuer == issuer.name && subject.has_authority_key_id &&
         issuer.has_subject_key_id && subject.named_issuer_key == issuer.key &&
         subject.signed_by == issuer.key &&
         (!issuer.path_length || *issuer.path_length >= cas_below);
}

std::uint64_t start_of(std::size_t day) {
  const std::string text(kDays[day]);
  const std::string date =
      "20" + text.substr(0, 2) + "-" + text.substr(2, 2) + "-" + text.substr(4);
  return test::at((date + "T00:00:00.000Z").c_str());
}

bool model_accepts(const std::vector<Choices>& all, std::uint64_t time_ms) {
  const std::size_t count = all.size() - 1;
  const Choices& root = all.back();
  if (count > kChainLengthMax) return false;
  for (const Choices& c : all) {
    if (!is_well_formed(c)) return false;
    // A validity ends with the last millisecond of the second it names.
    if (time_ms < start_of(c.first_day) || time_ms > start_of(c.last_day) + 999) return false;
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (all[i].issuer == all[i].name) return false;
  }
  if (all[0].ca || !all[0].has_usage || !all[0].usage_sign) return false;
  if (!root.ca || root.issuer != root.name || !root.has_subject_key_id ||
      root.signed_by != root.key ||
      (root.has_authority_key_id && root.named_issuer_key != root.key)) {
    return false;
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (!is_issued_by(all[i], all[i + 1], i)) return false;
  }
  return true;
}

// --- OpenSSL -------------------------------------------------------------------------------------

struct OpensslDelete {
  void operator()(X509* x) const noexcept { X509_free(x); }
  void operator()(X509_STORE* x) const noexcept { X509_STORE_free(x); }
  void operator()(X509_STORE_CTX* x) const noexcept { X509_STORE_CTX_free(x); }
  void operator()(STACK_OF(X509) * x) const noexcept { sk_X509_pop_free(x, X509_free); }
};

X509* read(const Der& bytes) {
  const std::uint8_t* cursor = bytes.data();
  X509* x509 = d2i_X509(nullptr, &cursor, static_cast<long>(bytes.size()));
  require(x509 != nullptr, "OpenSSL reads what verify_chain has accepted");
  return x509;
}

bool openssl_accepts(const std::vector<Der>& chain, const Der& root, std::uint64_t time_ms) {
  const std::unique_ptr<X509_STORE, OpensslDelete> store(X509_STORE_new());
  const std::unique_ptr<X509_STORE_CTX, OpensslDelete> context(X509_STORE_CTX_new());
  const std::unique_ptr<STACK_OF(X509), OpensslDelete> between(sk_X509_new_null());
  const std::unique_ptr<X509, OpensslDelete> anchor(read(root));
  const std::unique_ptr<X509, OpensslDelete> leaf(read(chain[0]));
  X509_STORE_add_cert(store.get(), anchor.get());
  for (std::size_t i = 1; i < chain.size(); ++i) sk_X509_push(between.get(), read(chain[i]));
  X509_STORE_CTX_init(context.get(), store.get(), leaf.get(), between.get());
  X509_VERIFY_PARAM* parameters = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(parameters, static_cast<time_t>(time_ms / 1000));
  X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_X509_STRICT | X509_V_FLAG_CHECK_SS_SIGNATURE);
  const bool valid = X509_verify_cert(context.get()) == 1;
  ERR_clear_error();
  return valid;
}

void check(FuzzInput& input) {
  constexpr std::array<std::int64_t, 4> kOffsetsMs = {0, -1, 999, 1000};
  const std::uint64_t day_ms = start_of(input.choice(kDays.size()));
  const std::uint64_t time_ms =
      day_ms + static_cast<std::uint64_t>(kOffsetsMs[input.choice(kOffsetsMs.size())]);
  const std::vector<Choices> all = choose(input);
  std::vector<Der> chain;
  for (const Choices& choices : all) chain.push_back(certificate_of(choices));
  const Der root = chain.back();
  chain.pop_back();
  const auto verified = verify_chain(chain, root, time_ms);
  require(verified.ok() == model_accepts(all, time_ms),
          "verify_chain accepts what the model accepts");
  if (!verified) {
    require(!verified.error().message.empty() && verified.error().field == "chain",
            "a refusal says why");
    return;
  }
  require(verified->common_name == all[0].name &&
              verified->public_key == key(all[0].key).public_key().raw,
          "the facts are the leaf's");
  // To OpenSSL a validity ends when the second it names begins.
  const bool inside = std::all_of(all.begin(), all.end(),
                                  [&](const Choices& c) { return time_ms < start_of(c.last_day); });
  if (inside) require(openssl_accepts(chain, root, time_ms), "OpenSSL accepts it too");
  // No chain survives a flipped bit.
  const std::size_t which = input.choice(chain.size());
  const std::size_t at = input.choice(chain[which].size());
  chain[which][at] = static_cast<std::uint8_t>(chain[which][at] ^ (1U << (input.byte() % 8)));
  require(!verify_chain(chain, root, time_ms).ok(), "a flipped bit is noticed");
}

}  // namespace
}  // namespace colophon::node

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  colophon::fuzz::FuzzInput input(data, size);
  colophon::node::check(input);
  return 0;
}
