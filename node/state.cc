// SPDX-License-Identifier: Apache-2.0
#include "node/state.h"

#include <utility>

namespace colophon::node {

Result<std::optional<std::string>> StateOverlay::get(std::string_view key) const {
  for (const Writes* writes : {&transaction_, &block_}) {
    if (const auto found = writes->find(key); found != writes->end()) return found->second;
  }
  auto value = base_.get(key);
  if (!value && !read_error_) read_error_ = value.error();
  return value;
}

void StateOverlay::put(std::string_view key, std::string value) {
  transaction_.insert_or_assign(std::string(key), std::move(value));
}

void StateOverlay::erase(std::string_view key) {
  transaction_.insert_or_assign(std::string(key), std::nullopt);
}

void StateOverlay::commit_transaction() {
  while (!transaction_.empty()) {
    auto write = transaction_.extract(transaction_.begin());
    auto inserted = block_.insert(std::move(write));  // moves the entry, allocates nothing
    if (!inserted.inserted) inserted.position->second = std::move(inserted.node.mapped());
  }
}

void StateOverlay::discard_transaction() { transaction_.clear(); }

}  // namespace colophon::node
