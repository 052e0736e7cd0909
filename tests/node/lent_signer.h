// SPDX-License-Identifier: Apache-2.0
//
// A node owns its signer; a test wants to keep its own.
#pragma once

#include "colophon/hsm/signer.h"

namespace colophon::node::test {

// Passes sign() on. The owner outlives it.
class LentSigner final : public hsm::Signer {
 public:
  explicit LentSigner(hsm::Signer& owner) : owner_(owner) {}
  [[nodiscard]] hsm::KeyType key_type() const noexcept override { return owner_.key_type(); }
  [[nodiscard]] const hsm::PublicKey& public_key() const noexcept override {
    return owner_.public_key();
  }
  [[nodiscard]] Result<hsm::Signature> sign(ByteSpan message) override {
    return owner_.sign(message);
  }

 private:
  hsm::Signer& owner_;
};

}  // namespace colophon::node::test
