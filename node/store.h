// SPDX-License-Identifier: Apache-2.0
//
// What a node keeps on disk: RocksDB under DATA/db, one atomic, synced write a block. Readers see
// whole blocks only: each reads from a snapshot taken when the last block was durable. Beside it
// DATA/lock, and DATA/acknowledged with the height below which the store must never be found again.
//
// Column families (all numbers 8 bytes big-endian):
//   default      "format" -> number, "genesis" -> SHA-256 of genesis.json, "head" -> height
//   block        height -> proto Block
//   state        contract and replay keys -> values
//   leaf         index -> event leaf
//   node         level[1] index -> hash of a complete subtree, levels 1 and up (0 is the leaf's
//   hash) history      subject length[1] subject index -> empty transaction  id[32] -> height,
//   position in the block, first event, number of events checkpoint   height -> signed note; 0 is
//   the empty log's
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "colophon/backend.hpp"
#include "colophon/error.hpp"
#include "colophon/hash.hpp"
#include "colophon/merkle.hpp"
#include "colophon/slices.hpp"
#include "node/event_log.h"
#include "node/state.h"
#include "node/state_machine.h"

namespace rocksdb {
class Env;
}

namespace colophon::node {

enum class Family : std::uint8_t {
  kMeta,
  kBlock,
  kState,
  kLeaf,
  kNode,
  kHistory,
  kTransaction,
  kCheckpoint,
};
inline constexpr std::size_t kFamilies = 8;
[[nodiscard]] std::string_view family_name(Family family) noexcept;

inline constexpr std::uint64_t kStoreFormat = 1;
inline constexpr std::size_t kSubjectBytesMax = 255;  // its length is one byte of a history key

struct TransactionEntry {
  std::uint64_t height = 0;
  std::uint64_t position = 0;  // in the block
  std::uint64_t first_event = 0;
  std::uint64_t events = 0;
  friend bool operator==(const TransactionEntry&, const TransactionEntry&) = default;
};
[[nodiscard]] std::string serialize_entry(const TransactionEntry& entry);
[[nodiscard]] Result<TransactionEntry> parse_entry(std::string_view bytes);

[[nodiscard]] std::string node_key(unsigned level, std::uint64_t index);
// Error kLimitExceeded: kSubjectBytesMax.
[[nodiscard]] Result<std::string> history_prefix(ByteSpan subject);

// What the last whole block says of the chain.
struct Head {
  std::uint64_t height = 0;  // 0: no block yet, and nothing below is set
  Digest header_hash{};      // SHA-256 of the serialized BlockHeader
  std::uint64_t time_ms = 0;
  std::uint64_t log_size = 0;
  Digest log_root{};
};

// All that one block adds. Views; the caller owns everything.
struct BlockWrite {
  const Head& head;  // as it is after this block
  std::string_view block;
  std::string_view checkpoint;
  const StateOverlay::Writes& state;
  const std::optional<std::pair<std::string, std::string>>& erased;
  std::uint64_t first_event = 0;
  std::span<const LoggedEvent> events;
  std::span<const LogNode> nodes;
  std::span<const std::pair<Digest, TransactionEntry>> transactions;
};

// Thread-safe for readers beside one writer (write, reopen).
class Store final : public StateReader {
 public:
  enum class Mode : std::uint8_t { kReadWrite, kReadOnly };

  // kReadWrite creates what is not there. Both modes hold a lock in the directory against other
  // processes. Errors: kUnavailable (locked), kNotFound (read-only and nothing there), kIo,
  // kCorrupt (blocks that were acknowledged are missing, too), kUnsupported (a newer format),
  // kInvalidArgument (another chain's genesis).
  [[nodiscard]] static Result<std::unique_ptr<Store>> open(const std::string& data_directory,
                                                           const Digest& genesis_hash,
                                                           rocksdb::Env& disk, Mode mode);
  ~Store() override;

  // State as of the last whole block.
  [[nodiscard]] Result<std::optional<std::string>> get(std::string_view key) const override;
  [[nodiscard]] Result<std::optional<std::string>> read(Family family, std::string_view key) const;
  // Calls `entry` for keys >= from in order, until it returns false. One consistent view. `entry`
  // must not call the store.
  [[nodiscard]] Result<void> scan(
      Family family, std::string_view from,
      const std::function<bool(std::string_view key, std::string_view value)>& entry) const;
  // Complete subtrees of the event log. Valid while the store lives.
  [[nodiscard]] NodeReader nodes(const Backend& backend) const;
  // Of the same moment as what read(), get() and scan() see. While they wait for a reopen, or
  // cannot read at all, the last head that was known; it never waits itself.
  [[nodiscard]] Head head() const;

  // The note over the empty log; once, before the first block.
  [[nodiscard]] Result<void> write_first_checkpoint(std::string_view checkpoint);
  // Durable when it returns. After an error (kIo) nothing is known of this block but that it is
  // there whole or not at all, and every further write is refused until reopen() has succeeded.
  [[nodiscard]] Result<void> write(const BlockWrite& block);
  [[nodiscard]] bool writable() const noexcept;
  // Closes and opens again, which decides what became of a failed write. Readers wait meanwhile. If
  // the disk does not take writes yet, readers go on with what is there and the error (kIo) says
  // why.
  [[nodiscard]] Result<void> reopen();

 private:
  struct Implementation;
  explicit Store(std::unique_ptr<Implementation> implementation);
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace colophon::node
