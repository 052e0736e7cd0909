// SPDX-License-Identifier: Apache-2.0
#include "node/fsck.h"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "node/big_endian.h"
#include "node/bytes.h"
#include "node/checkpoint.h"
#include "node/contracts/contract.h"
#include "node/contracts/message.h"
#include "node/hex.h"
#include "node/ledger.h"
#include "node/proto/transaction.pb.h"
#include "node/store.h"
#include "node/transaction_signatures.h"

namespace colophon::node {
namespace {

constexpr std::uint64_t kMetaKeys = 3;  // format, genesis, head: read when the store was opened

// The state as the blocks make it.
class MemoryState final : public StateReader {
 public:
  Result<std::optional<std::string>> get(std::string_view key) const override {
    const auto found = entries_.find(key);
    if (found == entries_.end()) return std::optional<std::string>();
    return std::optional(found->second);
  }

  void apply(const Execution& execution, const StateOverlay::Writes& writes) {
    if (execution.erased) {
      entries_.erase(entries_.lower_bound(execution.erased->first),
                     entries_.lower_bound(execution.erased->second));
    }
    for (const auto& [key, value] : writes) {
      if (value) {
        entries_.insert_or_assign(key, *value);
      } else {
        entries_.erase(key);
      }
    }
  }

  using Entries = std::map<std::string, std::string, std::less<>>;
  [[nodiscard]] const Entries& entries() const noexcept { return entries_; }

 private:
  Entries entries_;
};

// Keys of the store are binary; those of the state begin with text.
std::string printable(std::string_view key) {
  const bool text = std::ranges::all_of(key, [](char c) { return c >= 0x20 && c < 0x7F; });
  return text ? std::string(key) : "0x" + hex_encode(as_bytes(key));
}

class Checker {
 public:
  Checker(const Store& store, const Genesis& genesis, const Backend& backend, SignerKeys keys)
      : store_(store), genesis_(genesis), backend_(backend), keys_(std::move(keys)) {}

  Result<FsckReport> run(const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
    if (const auto checked = check_all(progress); !checked) {
      // Damage below the values themselves is what this is here to find.
      if (checked.error().code != ErrorCode::kCorrupt) return checked.error();
      find("what follows block " + std::to_string(head_.height) +
           " could not be checked: " + checked.error().message);
    }
    report_.blocks = head_.height;
    report_.events = head_.log_size;
    report_.state_keys = state_.entries().size();
    if (unlisted_ > 0) report_.findings.push_back("and " + std::to_string(unlisted_) + " more");
    return std::move(report_);
  }

 private:
  void find(std::string finding) {
    if (report_.findings.size() < FsckReport::kFindingsMax) {
      report_.findings.push_back(std::move(finding));
    } else {
      ++unlisted_;
    }
  }

  Result<void> check_all(const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
    const Head head = store_.head();
    Head empty;
    COLOPHON_TRY_ASSIGN(empty.log_root, EventLog().root(backend_));
    COLOPHON_TRY(check_checkpoint(empty));
    for (std::uint64_t height = 1; height <= head.height; ++height) {
      COLOPHON_TRY_ASSIGN(const bool usable, check_block(height));
      if (!usable) return {};  // what comes after cannot be recomputed
      if (progress) progress(height, head.height);
    }
    return check_whole();
  }

  // Compares one stored value with what it must be.
  Result<void> expect(Family family, std::string_view key, std::string_view value,
                      const std::string& what) {
    ++expected_[static_cast<std::size_t>(family)];
    COLOPHON_TRY_ASSIGN(const auto stored, store_.read(family, key));
    if (!stored) {
      find(what + " is missing");
    } else if (*stored != value) {
      find(what + " differs from what the blocks make it");
    }
    return {};
  }

  Result<void> check_checkpoint(const Head& head) {
    ++expected_[static_cast<std::size_t>(Family::kCheckpoint)];
    const std::string what = "the checkpoint of block " + std::to_string(head.height);
    COLOPHON_TRY_ASSIGN(const auto note, store_.read(Family::kCheckpoint, big_endian(head.height)));
    if (!note) {
      find(what + " is missing");
      return {};
    }
    const auto checkpoint =
        verify_checkpoint(backend_, *note, genesis_.chain_id, genesis_.log_public_key);
    if (!checkpoint) {
      find(what + " does not verify: " + checkpoint.error().message);
    } else if (checkpoint->size != head.log_size || checkpoint->root != head.log_root) {
      find(what + " is for another log");
    }
    return {};
  }

  // False: the block cannot be used, and a finding says why.
  Result<bool> check_block(std::uint64_t height);
  bool check_header(const proto::BlockHeader& header, std::uint64_t height);
  Result<std::optional<std::vector<VerifiedTransaction>>> read_transactions(
      const proto::Block& block, const std::string& name);
  Result<void> check_events(const Execution& execution, const std::string& name,
                            const proto::BlockHeader& header);
  Result<void> check_whole();
  Result<void> check_count(Family family);
  Result<void> check_state();

  const Store& store_;
  const Genesis& genesis_;
  const Backend& backend_;
  SignerKeys keys_;
  FsckReport report_;
  std::uint64_t unlisted_ = 0;
  MemoryState state_;
  EventLog log_;
  Head head_;  // of the blocks checked so far
  std::array<std::uint64_t, kFamilies> expected_{};
};

bool Checker::check_header(const proto::BlockHeader& header, std::uint64_t height) {
  const std::string name = "block " + std::to_string(height);
  const std::uint64_t earliest = height == 1 ? genesis_.created_at_ms : head_.time_ms;
  const std::string_view previous = height == 1 ? std::string_view() : as_text(head_.header_hash);
  // Block 1 has no previous header: 32 zero bytes stand for it.
  const std::string no_previous(sizeof(Digest), '\0');
  const std::size_t before = report_.findings.size() + unlisted_;
  if (header.version() != 1) find(name + " has version " + std::to_string(header.version()));
  if (header.chain_id() != genesis_.chain_id) find(name + " is of another chain");
  if (header.height() != height) {
    find(name + " says it is block " + std::to_string(header.height()));
  }
  if (header.time_ms() < earliest) find(name + " is dated before the block before it");
  if (header.previous_hash() != (height == 1 ? std::string_view(no_previous) : previous)) {
    find(name + " does not follow the block before it: previous_hash differs");
  }
  return report_.findings.size() + unlisted_ == before;
}

// nullopt: a transaction that cannot be used, and a finding says why.
Result<std::optional<std::vector<VerifiedTransaction>>> Checker::read_transactions(
    const proto::Block& block, const std::string& name) {
  std::vector<VerifiedTransaction> transactions;
  std::vector<const VerifiedTransaction*> pointers;
  std::string bytes;
  std::vector<std::uint64_t> offsets{0};
  for (const std::string& sent : block.transactions()) {
    auto view = parse_transaction(as_bytes(sent));
    if (!view) {
      find(name + ", transaction " + std::to_string(transactions.size()) +
           " does not parse: " + view.error().message);
      return std::optional<std::vector<VerifiedTransaction>>();
    }
    const Digest id = transaction_id(genesis_.chain_id, *view);
    transactions.push_back({*view, id});
    bytes += sent;
    offsets.push_back(bytes.size());
  }
  COLOPHON_TRY_ASSIGN(const Digest root,
                      transactions_root(backend_, Slices{as_bytes(bytes), offsets}));
  if (block.header().transactions_root() != as_text(root)) {
    find(name + ": transactions_root is not the root of its transactions");
  }
  for (const VerifiedTransaction& transaction : transactions) pointers.push_back(&transaction);
  COLOPHON_TRY_ASSIGN(const auto verdicts,
                      verify_signatures(backend_, genesis_.chain_id, pointers, keys_));
  for (std::size_t i = 0; i < verdicts.size(); ++i) {
    if (verdicts[i] == Verdict::kValid) continue;
    find(name + ", transaction " + std::to_string(i) +
         ": the signature does not verify: " + std::string(verdict_reason(verdicts[i])));
  }
  return std::optional(std::move(transactions));
}

Result<bool> Checker::check_block(std::uint64_t height) {
  const std::string name = "block " + std::to_string(height);
  COLOPHON_TRY_ASSIGN(const auto stored, store_.read(Family::kBlock, big_endian(height)));
  ++expected_[static_cast<std::size_t>(Family::kBlock)];
  if (!stored) {
    find(name + " is missing");
    return false;
  }
  const auto block = decode_canonical<proto::Block>(as_bytes(*stored), name);
  if (!block) {
    find(block.error().message);
    return false;
  }
  if (!check_header(block->header(), height)) return false;
  COLOPHON_TRY_ASSIGN(const auto transactions, read_transactions(*block, name));
  if (!transactions) return false;

  BlockContext context;
  context.height = height;
  context.time_ms = block->header().time_ms();
  context.previous_time_ms = height == 1 ? genesis_.created_at_ms : head_.time_ms;
  context.log_size = head_.log_size;
  StateOverlay overlay(state_);
  COLOPHON_TRY_ASSIGN(const Execution execution,
                      execute(genesis_, overlay, context, *transactions));
  for (std::size_t i = 0; i < transactions->size(); ++i) {
    const Outcome& outcome = execution.outcomes[i];
    const std::string what = name + ", transaction " + std::to_string(i);
    if (outcome.error) {
      find(what + " fails when executed again: " + outcome.error->message);
      return false;
    }
    COLOPHON_TRY(
        expect(Family::kTransaction, as_text((*transactions)[i].id),
               serialize_entry(TransactionEntry{height, i, outcome.first_event, outcome.events}),
               "the entry of " + what));
  }
  COLOPHON_TRY(check_events(execution, name, block->header()));
  state_.apply(execution, overlay.writes());
  report_.transactions += transactions->size();

  const std::string header = block->header().SerializeAsString();
  head_.height = height;
  head_.time_ms = context.time_ms;
  SHA256(as_bytes(header).data(), header.size(), head_.header_hash.data());
  COLOPHON_TRY(check_checkpoint(head_));
  return true;
}

Result<void> Checker::check_events(const Execution& execution, const std::string& name,
                                   const proto::BlockHeader& header) {
  std::string leaves;
  std::vector<std::uint64_t> offsets{0};
  for (std::size_t i = 0; i < execution.events.size(); ++i) {
    const LoggedEvent& event = execution.events[i];
    const std::uint64_t index = head_.log_size + i;
    const std::string what = "event " + std::to_string(index);
    COLOPHON_TRY(expect(Family::kLeaf, big_endian(index), event.leaf, what));
    COLOPHON_TRY_ASSIGN(std::string key, history_prefix(as_bytes(event.subject)));
    append_big_endian(key, index);
    COLOPHON_TRY(expect(Family::kHistory, key, {}, "the history entry of " + what));
    leaves += event.leaf;
    offsets.push_back(leaves.size());
  }
  COLOPHON_TRY_ASSIGN(const auto nodes, log_.append(backend_, Slices{as_bytes(leaves), offsets}));
  for (const LogNode& node : nodes) {
    if (node.level == 0) continue;
    COLOPHON_TRY(expect(Family::kNode, node_key(node.level, node.index), as_text(node.hash),
                        "the log's node at level " + std::to_string(node.level) + ", index " +
                            std::to_string(node.index)));
  }
  head_.log_size = log_.size();
  COLOPHON_TRY_ASSIGN(head_.log_root, log_.root(backend_));
  if (header.log_size() != head_.log_size) {
    find(name + " states a log of " + std::to_string(header.log_size()) + " events, it has " +
         std::to_string(head_.log_size));
  }
  if (header.log_root() != as_text(head_.log_root)) {
    find(name + " states another log root than its events have");
  }
  return {};
}

// The other direction: nothing is stored that no block made.
Result<void> Checker::check_whole() {
  expected_[static_cast<std::size_t>(Family::kMeta)] = kMetaKeys;
  for (std::size_t family = 0; family < kFamilies; ++family) {
    if (static_cast<Family>(family) == Family::kState) continue;
    COLOPHON_TRY(check_count(static_cast<Family>(family)));
  }
  return check_state();
}

Result<void> Checker::check_count(Family family) {
  std::uint64_t stored = 0;
  COLOPHON_TRY(store_.scan(family, {}, [&](std::string_view, std::string_view) {
    ++stored;
    return true;
  }));
  const std::uint64_t expected = expected_[static_cast<std::size_t>(family)];
  if (stored > expected) {
    find("the column family " + std::string(family_name(family)) + " has " +
         std::to_string(stored) + " entries, the blocks make " + std::to_string(expected));
  }
  return {};
}

Result<void> Checker::check_state() {
  auto expected = state_.entries().begin();
  const auto end = state_.entries().end();
  const auto missing = [&] {
    find("the state key " + printable(expected->first) + " is missing");
    ++expected;
  };
  COLOPHON_TRY(store_.scan(Family::kState, {}, [&](std::string_view key, std::string_view value) {
    while (expected != end && expected->first < key) missing();
    if (expected == end || expected->first != key) {
      find("the state key " + printable(key) + " was made by no block");
      return true;
    }
    if (expected->second != value) {
      find("the state key " + printable(key) + " has another value than the blocks make");
    }
    ++expected;
    return true;
  }));
  while (expected != end) missing();
  return {};
}

}  // namespace

Result<FsckReport> fsck(const std::string& data_directory, const Genesis& genesis,
                        Environment environment,
                        const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  COLOPHON_TRY_ASSIGN(const Backend backend, Backend::choose());
  const auto store =
      Store::open(data_directory, genesis_hash(genesis), environment.disk, Store::Mode::kReadOnly);
  if (!store) {
    if (store.error().code != ErrorCode::kCorrupt) return store.error();
    FsckReport report;
    report.findings.push_back(store.error().message);
    return report;
  }
  // Every key in a block is one the chain accepted; their number is bounded by the chain.
  COLOPHON_TRY_ASSIGN(SignerKeys keys,
                      SignerKeys::create(backend, [](Scheme, ByteSpan) { return true; }));
  return Checker(**store, genesis, backend, std::move(keys)).run(progress);
}

}  // namespace colophon::node
