// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "node/contracts/contract.h"
#include "node/contracts/membership/membership.h"
#include "node/contracts/registry/registry.h"

namespace colophon::node {

const Contract* find_contract(std::string_view name) noexcept {
  static const std::array<const Contract*, 2> kContracts = {&membership_contract(),
                                                            &registry_contract()};
  const auto found = std::ranges::find(kContracts, name, &Contract::name);
  return found == kContracts.end() ? nullptr : *found;
}

}  // namespace colophon::node
