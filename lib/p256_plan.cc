// SPDX-License-Identifier: Apache-2.0
#include "p256_plan.h"

#include <algorithm>
#include <array>

#include "kernels/ecdsa.h"

namespace colophon {
namespace {

// The items of one key, a run of work.items.
struct Run {
  std::size_t first, end;
};

}  // namespace

P256Plan::P256Plan(const VerifyWork& work, P256Tables& tables, std::size_t with_table_max,
                   std::size_t without_max)
    : tables_(work.memory), entries_(work.memory), pieces_(work.memory) {
  std::array<std::size_t, kernels::kWindowBitsMax + 2> next{};  // by bits; then: where they stand
  std::pmr::vector<Run> runs(work.memory);
  std::pmr::vector<P256KeyUse> uses(work.memory);
  runs.reserve(work.keys.size());
  uses.reserve(work.keys.size());
  for (std::size_t at = 0; at < work.items.size();) {
    const std::uint32_t key_index = work.key_of[work.items[at]];
    std::size_t end = at + 1;
    while (end < work.items.size() && work.key_of[work.items[end]] == key_index) ++end;
    const BatchKey& key = work.keys[key_index];
    runs.push_back({at, end});
    uses.push_back({key.key, key.prepared, end - at});
    at = end;
  }
  tables_.resize(runs.size());
  tables.acquire(uses, tables_);
  const auto bits_of = [this](std::size_t run) { return tables_[run] ? tables_[run]->bits : 0; };
  for (std::size_t run = 0; run < runs.size(); ++run) {
    next[bits_of(run) + 1] += runs[run].end - runs[run].first;
  }
  pieces_.reserve(next.size() + work.items.size() / std::min(with_table_max, without_max));
  for (unsigned bits = 0; bits + 1 < next.size(); ++bits) {
    const std::size_t piece_max = bits == 0 ? without_max : with_table_max;
    next[bits + 1] += next[bits];
    for (std::size_t at = next[bits]; at < next[bits + 1]; at += piece_max) {
      pieces_.push_back({bits, at, std::min(piece_max, next[bits + 1] - at)});
    }
  }
  entries_.resize(work.items.size());
  for (std::size_t run = 0; run < runs.size(); ++run) {
    const void* const table = tables_[run] ? tables_[run]->memory.get() : nullptr;
    std::size_t& at = next[bits_of(run)];
    for (std::size_t i = runs[run].first; i < runs[run].end; ++i) {
      entries_[at++] = {work.items[i], table};
    }
  }
}

}  // namespace colophon
