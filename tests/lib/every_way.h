// SPDX-License-Identifier: Apache-2.0
//
// One list of signatures, verified in every way the backend has of arriving at a verdict: keys as
// bytes or enrolled, alone or together; and, where there are kernels for the scheme, with tables
// and without, and in batches large enough for them to add all their points at once.
#pragma once

#include <algorithm>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "backend_implementation.h"
#include "batch_builder.h"
#include "colophon/key_registry.hpp"
#include "tests/effort.h"

namespace colophon::test {

class EveryWay {
 public:
  // Kernels add all points of a batch at once from 24 vectors of eight on (kernels/verify.h).
  static constexpr std::size_t kLargeBatch = 24 * 8 + 1;
  // Signatures of a key that earn it a table, with some to spare.
  static constexpr std::size_t kUsesForTable = 24;

  explicit EveryWay(const Rules& rules)
      : rules_(rules), registry_(KeyRegistry::create(backend()).value()) {}
  EveryWay(const EveryWay&) = delete;
  EveryWay& operator=(const EveryWay&) = delete;
  ~EveryWay() { set_tables(limit()); }

  void add(const Bytes& key, const Bytes& input, const Bytes& signature) {
    items_.push_back({key, input, signature});
  }
  [[nodiscard]] std::size_t size() const { return items_.size(); }

  // The verdicts; a failure for every way that has others.
  std::vector<Verdict> verify() {
    set_tables(0);
    const std::vector<Verdict> verdicts = together(Keys::kBytes, size());
    enrol(verdicts);
    check("as bytes, alone", alone(Keys::kBytes, verdicts), verdicts);
    check("enrolled, together", together(Keys::kEnrolled, size()), verdicts);
    if (rules_.scheme != Scheme::kEcdsaP256Sha256) return verdicts;
    const std::size_t large = size() + kLargeBatch;
    check("as bytes, repeated", together(Keys::kBytes, large), verdicts);
    check("enrolled, alone", alone(Keys::kEnrolled, verdicts), verdicts);
    check("enrolled, repeated", together(Keys::kEnrolled, large), verdicts);
    set_tables(limit());
    check("as bytes that come again and again", together(Keys::kBytes, large), verdicts);
    set_tables(0);  // strangers' tables go
    set_tables(limit());
    earn_tables(verdicts);
    check("with tables, alone", alone(Keys::kEnrolled, verdicts), verdicts);
    check("with tables, together", together(Keys::kEnrolled, size()), verdicts);
    check("with tables, repeated", together(Keys::kEnrolled, large), verdicts);
    return verdicts;
  }

 private:
  enum class Keys { kBytes, kEnrolled };
  struct Item {
    Bytes key, input, signature;
  };

  // What the backend has by itself.
  static std::size_t limit() {
    static const std::size_t bytes = backend().table_memory().bytes_max;
    return bytes;
  }
  // Under the least that callers may set; 0 keeps the backend from building any.
  static void set_tables(std::size_t bytes_max) {
    if (limit() == 0) return;
    EXPECT_TRUE(backend().implementation().set_table_memory_max(bytes_max).ok());
  }

  void check(const char* way, const std::vector<Verdict>& verdicts,
             const std::vector<Verdict>& expected) const {
    for (std::size_t i = 0; i < verdicts.size(); ++i) {
      EXPECT_EQ(verdicts[i], expected[i % size()]) << way << ": item " << i % size();
    }
  }

  // One by one; on a GPU, an emulated one most likely, a sample: it takes as long over one as over
  // many. `verdicts` stand for the rest.
  std::vector<Verdict> alone(Keys keys, std::vector<Verdict> verdicts) const {
    const std::uint32_t step = backend().device() && !is_long() ? 16 : 1;
    for (std::uint32_t i = 0; i < size(); i += step) {
      verdicts[i] = verify(std::span(&i, 1), keys).front();
    }
    return verdicts;
  }
  // The first `count` of the list over and over, in one batch.
  std::vector<Verdict> together(Keys keys, std::size_t count) const {
    std::vector<std::uint32_t> order(count);
    for (std::size_t i = 0; i < count; ++i) order[i] = static_cast<std::uint32_t>(i % size());
    return verify(order, keys);
  }

  // A key that cannot be enrolled has the verdict "bad key" for that.
  std::vector<Verdict> verify(std::span<const std::uint32_t> order, Keys keys) const {
    std::vector<Verdict> verdicts(order.size(), Verdict::kBadKey);
    BatchBuilder builder(rules_);
    std::vector<KeyId> ids;
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < order.size(); ++i) {
      const Item& item = items_[order[i]];
      if (keys == Keys::kEnrolled) {
        const auto found = ids_.find(hex(item.key));
        if (found == ids_.end()) continue;
        ids.push_back(found->second);
      }
      builder.add(item.key, item.input, item.signature);
      places.push_back(i);
    }
    VerifyBatch batch = builder.batch();
    if (keys == Keys::kEnrolled) {
      batch.public_keys = {};
      batch.key_ids = ids;
      batch.registry = &registry_;
    }
    std::vector<Verdict> found(places.size());
    const Result<void> result = verify_batch(backend(), batch, found);
    EXPECT_TRUE(result.ok()) << (result ? "" : result.error().message);
    for (std::size_t i = 0; i < places.size(); ++i) verdicts[places[i]] = found[i];
    return verdicts;
  }

  void enrol(const std::vector<Verdict>& verdicts) {
    for (std::size_t i = 0; i < size(); ++i) {
      const Result<KeyId> id = registry_.add(rules_.scheme, items_[i].key);
      EXPECT_EQ(id.ok(), verdicts[i] != Verdict::kBadKey) << "item " << i;
      if (id) ids_.emplace(hex(items_[i].key), *id);
    }
  }

  void earn_tables(const std::vector<Verdict>& verdicts) const {
    EXPECT_EQ(backend().table_memory().tables, 0U);
    // Only what arithmetic decides is a use: an item of each key that is.
    std::map<std::string, std::uint32_t> first;
    for (std::uint32_t i = 0; i < size(); ++i) {
      if (verdicts[i] == Verdict::kValid || verdicts[i] == Verdict::kMismatch) {
        first.emplace(hex(items_[i].key), i);
      }
    }
    std::vector<std::uint32_t> order;
    for (const auto& [key, item] : first) order.insert(order.end(), kUsesForTable, item);
    (void)verify(order, Keys::kEnrolled);
    EXPECT_EQ(backend().table_memory().tables, limit() == 0 ? 0 : distinct(first));
  }

  // A key may be in the list in several forms.
  std::size_t distinct(const std::map<std::string, std::uint32_t>& keys) const {
    std::vector<std::uint64_t> ids;
    for (const auto& [key, item] : keys) ids.push_back(ids_.at(key).value);
    std::sort(ids.begin(), ids.end());
    return static_cast<std::size_t>(std::unique(ids.begin(), ids.end()) - ids.begin());
  }

  const Rules rules_;
  std::vector<Item> items_;
  KeyRegistry registry_;
  std::map<std::string, KeyId> ids_;  // by the key in hex
};

}  // namespace colophon::test
