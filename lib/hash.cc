// SPDX-License-Identifier: Apache-2.0
#include "colophon/hash.hpp"

#include <string>

#include "backend_implementation.h"
#include "slices_shape.h"

namespace colophon {

Result<void> hash_batch(const Backend& backend, HashAlgorithm algorithm, const Slices& messages,
                        std::span<Digest> digests) {
  if (algorithm != HashAlgorithm::kSha256) {
    return make_error(ErrorCode::kUnsupported, "unknown hash algorithm: sha256 is what there is",
                      "algorithm");
  }
  COLOPHON_TRY(check_shape(messages, "messages"));
  if (digests.size() != messages.size()) {
    return make_error(ErrorCode::kInvalidArgument,
                      "digests has " + std::to_string(digests.size()) +
                          " items where messages has " + std::to_string(messages.size()),
                      "digests");
  }
  return backend.implementation().hash(algorithm, messages, digests);
}

}  // namespace colophon
