// SPDX-License-Identifier: Apache-2.0
#include "colophon/verifier.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <list>
#include <memory>
#include <memory_resource>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "backend_implementation.h"
#include "edwards25519.h"
#include "key_encoding.h"
#include "key_registry_storage.h"
#include "signature_encoding.h"
#include "slices_shape.h"
#include "verifier_on.h"

namespace colophon {
namespace {

constexpr std::size_t kDigestBytes = 32;
constexpr std::size_t kSmallBatchBytes = 8192;

Error bad_batch(std::string message, const char* field) {
  return make_error(ErrorCode::kInvalidArgument, std::move(message), field);
}

// The profile the batch means, or an error if the scheme does not have it.
Result<Profile> resolve_profile(const VerifyBatch& batch) {
  const bool ed25519 = batch.scheme == Scheme::kEd25519;
  const bool sm2 = batch.scheme == Scheme::kSm2Sm3;
  switch (batch.profile) {
    case Profile::kDefault:
      return ed25519 ? Profile::kZip215 : Profile::kStandard;
    case Profile::kStandard:
      if (!ed25519) return batch.profile;
      break;
    case Profile::kLowS:
      if (!ed25519 && !sm2) return batch.profile;
      break;
    case Profile::kZip215:
    case Profile::kStrict:
      if (ed25519) return batch.profile;
      break;
  }
  return bad_batch("scheme " + std::string(scheme_name(batch.scheme)) + " has no profile " +
                       std::string(profile_name(batch.profile)),
                   "profile");
}

Result<void> check_options(const VerifyBatch& batch) {
  if (scheme_name(batch.scheme) == "unknown") return bad_batch("unknown scheme", "scheme");
  if (encoding_name(batch.encoding) == "unknown") {
    return bad_batch("unknown signature encoding", "encoding");
  }
  if (batch.input != InputKind::kMessage && batch.input != InputKind::kDigest) {
    return bad_batch("unknown input kind", "input");
  }
  if (batch.scheme == Scheme::kEd25519) {
    if (batch.encoding != SignatureEncoding::kRaw) {
      return bad_batch("scheme ed25519 has no encoding der: give raw", "encoding");
    }
    if (batch.input != InputKind::kMessage) {
      return bad_batch("scheme ed25519 takes messages only, not digests", "input");
    }
  }
  if (batch.threads < 1 || batch.threads > kThreadsMax) {
    return bad_batch("threads is " + std::to_string(batch.threads) + ", must be 1 to " +
                         std::to_string(kThreadsMax),
                     "threads");
  }
  if (batch.sm2_id.size() > kSm2IdBytesMax) {
    return bad_batch("the SM2 signer id has " + std::to_string(batch.sm2_id.size()) +
                         " bytes; at most " + std::to_string(kSm2IdBytesMax) + " are possible",
                     "sm2_id");
  }
  return {};
}

Result<void> check_batch_shape(const VerifyBatch& batch, std::span<Verdict> verdicts) {
  COLOPHON_TRY(check_shape(batch.inputs, "inputs"));
  COLOPHON_TRY(check_shape(batch.signatures, "signatures"));
  COLOPHON_TRY(check_shape(batch.public_keys, "public_keys"));
  const std::size_t count = batch.inputs.size();
  const auto check_count = [count](std::size_t size, const char* field) -> Result<void> {
    if (size == count) return {};
    return bad_batch(std::string(field) + " has " + std::to_string(size) +
                         " items where inputs has " + std::to_string(count),
                     field);
  };
  COLOPHON_TRY(check_count(batch.signatures.size(), "signatures"));
  COLOPHON_TRY(check_count(verdicts.size(), "verdicts"));
  if (verdicts.data() == nullptr && count != 0) return bad_batch("verdicts is null", "verdicts");
  if (count > kBatchSizeMax) {
    return make_error(ErrorCode::kLimitExceeded,
                      "the batch has " + std::to_string(count) + " signatures; at most " +
                          std::to_string(kBatchSizeMax) + " go into one call",
                      "inputs");
  }
  const bool by_bytes = !batch.public_keys.offsets.empty();
  const bool by_id = !batch.key_ids.empty();
  if (by_bytes && by_id) {
    return bad_batch("give either public_keys or key_ids, not both", "key_ids");
  }
  if (by_id) {
    if (batch.key_ids.data() == nullptr) return bad_batch("key_ids is null", "key_ids");
    if (batch.registry == nullptr) {
      return bad_batch("key_ids need the registry they were enrolled in", "registry");
    }
    return check_count(batch.key_ids.size(), "key_ids");
  }
  if (!by_bytes && count != 0) {
    return bad_batch("give public_keys or key_ids: neither is there", "public_keys");
  }
  return check_count(batch.public_keys.size(), "public_keys");
}

struct RankedItem {
  std::uint64_t rank;
  std::uint32_t index;
};

// By rank, stably, digit by digit (radix 2^11, the lowest first): the same time for any ranks.
void sort_by_rank(std::pmr::vector<RankedItem>& items) {
  constexpr unsigned kDigitBits = 11;
  constexpr std::size_t kSmall = 256;  // where clearing the counters costs more than comparing
  if (items.size() <= kSmall) {
    std::sort(items.begin(), items.end(), [](const RankedItem& a, const RankedItem& b) {
      return a.rank != b.rank ? a.rank < b.rank : a.index < b.index;
    });
    return;
  }
  std::uint64_t differs = 0;
  for (const RankedItem& item : items) differs |= item.rank ^ items[0].rank;
  std::pmr::vector<RankedItem> sorted(items.size(), items.get_allocator());
  for (unsigned shift = 0; shift < 64; shift += kDigitBits) {
    if ((differs >> shift) % (std::uint64_t{1} << kDigitBits) == 0) continue;
    const auto digit = [shift](const RankedItem& item) {
      return static_cast<std::size_t>(item.rank >> shift) % (std::size_t{1} << kDigitBits);
    };
    std::array<std::uint32_t, std::size_t{1} << kDigitBits> next{};
    for (const RankedItem& item : items) ++next[digit(item)];
    std::uint32_t before = 0;
    for (std::uint32_t& count : next) before += std::exchange(count, before);
    for (const RankedItem& item : items) sorted[next[digit(item)]++] = item;
    items.swap(sorted);
  }
}

// Items in an order in which equal keys stand together. Sorting, and not hashing, because keys come
// from outside: there is no order that an attacker can make slow.
template <class Rank, class Less>
std::pmr::vector<std::uint32_t> order_by(std::size_t count, Rank rank, Less less,
                                         std::pmr::memory_resource* memory) {
  std::pmr::vector<RankedItem> items(count, memory);
  for (std::uint32_t i = 0; i < count; ++i) items[i] = {rank(i), i};
  sort_by_rank(items);
  std::pmr::vector<std::uint32_t> order(count, memory);
  for (std::size_t i = 0; i < count; ++i) order[i] = items[i].index;
  // Keys of the same rank.
  for (std::size_t at = 0; at < count;) {
    std::size_t end = at + 1;
    while (end < count && items[end].rank == items[at].rank) ++end;
    const auto first = order.begin() + static_cast<std::ptrdiff_t>(at);
    const auto last = order.begin() + static_cast<std::ptrdiff_t>(end);
    if (!std::is_sorted(first, last, less)) std::stable_sort(first, last, less);
    at = end;
  }
  return order;
}

constexpr std::uint32_t kNoKey = 0xffffffff;

// The distinct keys of a batch.
struct KeyColumn {
  explicit KeyColumn(std::pmr::memory_resource* memory)
      : parsed(memory), enrolled(memory), keys(memory), key_of(memory), order(memory) {}

  std::pmr::list<PublicKey> parsed;  // keys given as bytes; none moves when one is added
  std::pmr::vector<std::shared_ptr<const EnrolledKey>> enrolled;  // keys given by id, kept alive
  std::pmr::vector<BatchKey> keys;
  std::pmr::vector<std::uint32_t> key_of;  // item -> index in `keys`, or kNoKey: refused
  std::pmr::vector<std::uint32_t> order;   // all items, equal keys together
};

// Eight bytes near the end of a key: they differ between keys in every form, x's or y's low end.
std::uint64_t rank_of(ByteSpan key) {
  std::uint64_t rank = 0;
  const std::size_t size = std::min(sizeof(rank), key.size());
  if (size != 0) std::memcpy(&rank, key.data() + (key.size() - size), size);
  return rank;
}

Result<KeyColumn> column_of_bytes(const VerifyBatch& batch, std::pmr::memory_resource* memory) {
  const Slices& encoded = batch.public_keys;
  const auto compare = [&encoded](std::uint32_t a, std::uint32_t b) {
    const ByteSpan x = encoded[a];
    const ByteSpan y = encoded[b];
    if (x.size() != y.size()) return x.size() < y.size() ? -1 : 1;
    return x.empty() ? 0 : std::memcmp(x.data(), y.data(), x.size());
  };
  KeyColumn column(memory);
  column.key_of.resize(encoded.size());
  column.order = order_by(
      encoded.size(), [&](std::uint32_t i) { return rank_of(encoded[i]); },
      [&](std::uint32_t a, std::uint32_t b) { return compare(a, b) < 0; }, memory);
  column.keys.reserve(column.order.size());
  for (std::size_t at = 0; at < column.order.size(); ++at) {
    const std::uint32_t item = column.order[at];
    if (at != 0 && compare(column.order[at - 1], item) == 0) {
      column.key_of[item] = column.key_of[column.order[at - 1]];
      continue;
    }
    PublicKey key;
    const KeyFault fault = parse_public_key(batch.scheme, encoded[item], key);
    if (fault == KeyFault::kNoMemory) {
      return make_error(ErrorCode::kInternal, std::string(key_fault_text(fault)), "public_keys");
    }
    if (fault != KeyFault::kNone) {
      column.key_of[item] = kNoKey;
      continue;
    }
    // A digest already has Z_A in it.
    if (batch.scheme == Scheme::kSm2Sm3 && batch.input == InputKind::kMessage) {
      COLOPHON_TRY(set_sm2_identity(key, batch.sm2_id));
    }
    column.key_of[item] = static_cast<std::uint32_t>(column.keys.size());
    column.parsed.push_back(key);
    column.keys.push_back(BatchKey{&column.parsed.back(), nullptr});
  }
  return column;
}

Result<KeyColumn> column_of_ids(const BackendImplementation& implementation,
                                const VerifyBatch& batch, std::pmr::memory_resource* memory) {
  KeyColumn column(memory);
  column.key_of.resize(batch.key_ids.size());
  column.order = order_by(
      batch.key_ids.size(), [&](std::uint32_t i) { return batch.key_ids[i].value; },
      [](std::uint32_t, std::uint32_t) { return false; }, memory);
  std::pmr::vector<KeyId> distinct(memory);
  distinct.reserve(column.order.size());
  for (const std::uint32_t item : column.order) {
    if (distinct.empty() || distinct.back() != batch.key_ids[item]) {
      distinct.push_back(batch.key_ids[item]);
    }
    column.key_of[item] = static_cast<std::uint32_t>(distinct.size() - 1);
  }
  const KeyRegistry::Storage& storage = batch.registry->storage();
  column.enrolled.resize(distinct.size());
  storage.find(distinct, column.enrolled);
  // A registry of another backend still knows its keys, only not in this backend's form.
  const bool same_backend = &storage.implementation() == &implementation;
  column.keys.reserve(distinct.size());
  for (const auto& enrolled : column.enrolled) {
    column.keys.push_back(
        enrolled ? BatchKey{&enrolled->key, same_backend ? enrolled->prepared.get() : nullptr}
                 : BatchKey{});
  }
  for (std::size_t i = 0; i < column.key_of.size(); ++i) {
    if (column.keys[column.key_of[i]].key == nullptr) {
      return make_error(ErrorCode::kNotFound,
                        "key_ids[" + std::to_string(i) +
                            "] = " + std::to_string(batch.key_ids[i].value) +
                            " is not enrolled in this registry",
                        "key_ids");
    }
  }
  return column;
}

// Profile strict, once A is a key and S is in range.
Verdict check_strict(const PublicKey& key, const Signature& signature) {
  const auto r = std::span(signature).first<32>();
  if (!key.ed25519_canonical || !edwards25519::is_canonical(r)) return Verdict::kNonCanonical;
  if (key.ed25519_small_order || edwards25519::is_small_order(r)) return Verdict::kSmallOrder;
  return Verdict::kValid;
}

}  // namespace

Result<void> verify_batch_on(const BackendImplementation& implementation, const VerifyBatch& batch,
                             std::span<Verdict> verdicts) {
  COLOPHON_TRY(check_options(batch));
  COLOPHON_TRY_ASSIGN(const Profile profile, resolve_profile(batch));
  COLOPHON_TRY(check_batch_shape(batch, verdicts));
  const std::size_t count = batch.inputs.size();
  if (count == 0) return {};

  // A batch of a few works in this alone: a dozen calls of malloc would be a tenth of its time.
  std::array<std::byte, kSmallBatchBytes> on_stack;
  std::pmr::monotonic_buffer_resource memory(on_stack.data(), on_stack.size());
  COLOPHON_TRY_ASSIGN(const KeyColumn column, batch.key_ids.empty()
                                                  ? column_of_bytes(batch, &memory)
                                                  : column_of_ids(implementation, batch, &memory));
  std::pmr::vector<Signature> signatures(count, &memory);
  std::pmr::vector<Verdict> decided(count, &memory);
  std::pmr::vector<std::uint32_t> undecided(&memory);
  undecided.reserve(count);
  for (const std::uint32_t item : column.order) {
    const std::uint32_t key_index = column.key_of[item];
    Verdict& verdict = decided[item];
    // An enrolled key may be of another scheme than the batch: then it is no key for it.
    if (key_index == kNoKey || column.keys[key_index].key->scheme != batch.scheme) {
      verdict = Verdict::kBadKey;
      continue;
    }
    verdict = parse_signature(batch.scheme, batch.encoding, profile, batch.signatures[item],
                              signatures[item]);
    if (verdict == Verdict::kValid && profile == Profile::kStrict) {
      verdict = check_strict(*column.keys[key_index].key, signatures[item]);
    }
    if (verdict == Verdict::kValid && batch.input == InputKind::kDigest &&
        batch.inputs[item].size() != kDigestBytes) {
      verdict = Verdict::kBadDigest;
    }
    if (verdict == Verdict::kValid) undecided.push_back(item);
  }
  if (!undecided.empty()) {
    VerifyWork work;
    work.scheme = batch.scheme;
    work.profile = profile;
    work.input = batch.input;
    work.inputs = batch.inputs;
    work.signatures = signatures;
    work.keys = column.keys;
    work.key_of = column.key_of;
    work.items = undecided;
    work.verdicts = decided;
    work.threads = batch.threads;
    work.memory = &memory;
    COLOPHON_TRY(implementation.verify(work));
  }
  std::copy(decided.begin(), decided.end(), verdicts.begin());
  return {};
}

unsigned hardware_threads() noexcept {
  return std::clamp(std::thread::hardware_concurrency(), 1U, kThreadsMax);
}

Result<void> verify_batch(const Backend& backend, const VerifyBatch& batch,
                          std::span<Verdict> verdicts) {
  return verify_batch_on(backend.implementation(), batch, verdicts);
}

}  // namespace colophon
