/* SPDX-License-Identifier: Apache-2.0
 *
 * The installed C ABI from a C program: the digest of "abc" (FIPS 180-4), and a call that must
 * fail.
 */
#include <colophon/colophon.h>
#include <stdio.h>

int main(void) {
  const uint8_t bytes[] = {'a', 'b', 'c'};
  const uint64_t offsets[] = {0, 3};
  const uint64_t too_far[] = {0, 4};
  colophon_slices messages = {bytes, sizeof bytes, offsets, 1};
  uint8_t digest[COLOPHON_DIGEST_BYTES] = {0};
  colophon_backend* backend = NULL;
  if (colophon_backend_choose(NULL, &backend) != COLOPHON_OK) {
    fprintf(stderr, "%s\n", colophon_last_error_message());
    return 1;
  }
  int good = colophon_hash_batch(backend, COLOPHON_HASH_SHA256, &messages, digest, sizeof digest) ==
                 COLOPHON_OK &&
             digest[0] == 0xba && digest[31] == 0xad;
  messages.offsets = too_far;
  int refused = colophon_hash_batch(backend, COLOPHON_HASH_SHA256, &messages, digest,
                                    sizeof digest) == COLOPHON_ERROR_INVALID_ARGUMENT;
  colophon_backend_free(backend);
  return good && refused ? 0 : 1;
}
