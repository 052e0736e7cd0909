// SPDX-License-Identifier: Apache-2.0
//
// Hashes two messages through the installed library and checks the digest of "abc" (FIPS 180-4).
#include <colophon/hash.hpp>
#include <colophon/verifier.hpp>
#include <cstdio>
#include <vector>

int main() {
  const auto backend = colophon::Backend::choose();
  if (!backend) {
    std::fprintf(stderr, "%s\n", backend.error().message.c_str());
    return 1;
  }
  const std::vector<std::uint8_t> bytes = {'a', 'b', 'c', 'x'};
  const std::vector<std::uint64_t> offsets = {0, 3, 4};
  std::vector<colophon::Digest> digests(2);
  const auto hashed =
      hash_batch(*backend, colophon::HashAlgorithm::kSha256, {bytes, offsets}, digests);
  if (!hashed || digests[0][0] != 0xba || digests[0][31] != 0xad) return 1;
  // The invalid twin: offsets that pass the end are an error, not a read.
  const std::vector<std::uint64_t> too_far = {0, 3, 5};
  return hash_batch(*backend, colophon::HashAlgorithm::kSha256, {bytes, too_far}, digests) ? 1 : 0;
}
