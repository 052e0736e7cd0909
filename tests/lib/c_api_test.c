/* SPDX-License-Identifier: Apache-2.0
 *
 * The C ABI, used from C: every call once right and at least once wrong.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "colophon/colophon.h"

static int failures = 0;

#define CHECK(condition)                                                                        \
  do {                                                                                          \
    if (!(condition)) {                                                                         \
      fprintf(stderr, "%s:%d: not true: %s (last error: %s)\n", __FILE__, __LINE__, #condition, \
              colophon_last_error_message());                                                   \
      ++failures;                                                                               \
    }                                                                                           \
  } while (0)

static size_t unhex(const char* text, uint8_t* bytes) {
  size_t count = strlen(text) / 2;
  for (size_t i = 0; i < count; ++i) {
    char pair[3] = {text[2 * i], text[2 * i + 1], 0};
    bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
  }
  return count;
}

static int equals_hex(const uint8_t* bytes, const char* text) {
  uint8_t expected[COLOPHON_DIGEST_BYTES];
  return unhex(text, expected) == sizeof expected && memcmp(bytes, expected, sizeof expected) == 0;
}

/* RFC 6979 A.2.5: P-256, SHA-256, "sample". */
static const char kKey[] =
    "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
    "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";
static const char kSignature[] =
    "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
    "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8";

static void test_backends(void) {
  char names[64];
  size_t needed = 0;
  CHECK(colophon_backend_list(names, sizeof names, &needed) == COLOPHON_OK);
  CHECK(strstr(names, "openssl") != NULL);
  CHECK(needed == strlen(names) + 1);
  CHECK(colophon_backend_list(names, needed - 1, &needed) == COLOPHON_ERROR_LIMIT_EXCEEDED);
  CHECK(colophon_backend_list(NULL, 0, &needed) == COLOPHON_ERROR_INVALID_ARGUMENT);
  CHECK(needed > 1);

  colophon_backend* backend = NULL;
  CHECK(colophon_backend_choose("no-such", &backend) == COLOPHON_ERROR_INVALID_ARGUMENT);
  CHECK(backend == NULL);
  CHECK(strstr(colophon_last_error_message(), "no-such") != NULL);
  CHECK(colophon_backend_choose("openssl", NULL) == COLOPHON_ERROR_INVALID_ARGUMENT);
  CHECK(colophon_backend_choose("openssl", &backend) == COLOPHON_OK);
  CHECK(strcmp(colophon_backend_name(backend), "openssl") == 0);
  colophon_backend_free(backend);
  colophon_backend_free(NULL);
  CHECK(strcmp(colophon_status_name(COLOPHON_OK), "ok") == 0);
  CHECK(strcmp(colophon_status_name(COLOPHON_ERROR_NOT_FOUND), "not_found") == 0);
  CHECK(strcmp(colophon_status_name(99), "internal") == 0);
  CHECK(strcmp(colophon_status_name(-1), "internal") == 0);
  CHECK(strcmp(colophon_verdict_reason(200), "unknown verdict") == 0);
  CHECK(strcmp(colophon_backend_name(NULL), "") == 0);
}

static void test_backend_list_describes(void) {
  char names[256];
  CHECK(colophon_backend_list(names, sizeof names, NULL) == COLOPHON_OK);
  int chosen = 0;
  for (const char* name = strtok(names, "\n"); name != NULL; name = strtok(NULL, "\n")) {
    colophon_backend_info info;
    memset(&info, 0xff, sizeof info);
    CHECK(colophon_backend_describe(name, &info) == COLOPHON_OK);
    CHECK(strlen(info.description) > 0 && strlen(info.description) < sizeof info.description);
    chosen += info.chosen_by_auto;

    /* What it says of a backend is what choosing it gives. */
    colophon_backend* backend = NULL;
    const colophon_status status = colophon_backend_choose(name, &backend);
    CHECK(status == (info.self_test_passed ? COLOPHON_OK
                     : info.supported      ? COLOPHON_ERROR_INTERNAL
                                           : COLOPHON_ERROR_UNSUPPORTED));
    CHECK((strlen(info.reason) == 0) == (status == COLOPHON_OK));
    if (backend == NULL) continue;
    colophon_table_memory memory;
    CHECK(colophon_backend_table_memory(backend, &memory) == COLOPHON_OK);
    CHECK(memory.bytes == info.table_memory.bytes);
    CHECK(memory.bytes_max == info.table_memory.bytes_max);
    CHECK(memory.tables == info.table_memory.tables);
    CHECK((memory.bytes_max == 0) == (strcmp(name, "openssl") == 0));
    colophon_backend_free(backend);
  }
  CHECK(chosen == 1);

  colophon_backend_info info;
  CHECK(colophon_backend_describe("no-such", &info) == COLOPHON_ERROR_INVALID_ARGUMENT);
  CHECK(strstr(colophon_last_error_message(), "name") != NULL);
  CHECK(strstr(colophon_last_error_message(), "openssl") != NULL);
  CHECK(colophon_backend_describe("auto", &info) == COLOPHON_ERROR_INVALID_ARGUMENT);
  CHECK(colophon_backend_describe(NULL, &info) == COLOPHON_ERROR_INVALID_ARGUMENT);
  CHECK(colophon_backend_describe("openssl", NULL) == COLOPHON_ERROR_INVALID_ARGUMENT);
}

#define MANY 1500 /* enough to be split between threads, and for the key to earn a table */

/* Many signatures of one key, every seventh wrong: what `threads` is must not show. */
static void test_threads_and_tables(void) {
  static uint8_t signatures[MANY * 64];
  static uint8_t keys[MANY * 65];
  static uint8_t inputs[MANY * 6];
  static uint64_t signature_offsets[MANY + 1];
  static uint64_t key_offsets[MANY + 1];
  static uint64_t input_offsets[MANY + 1];
  static uint8_t verdicts[MANY];
  for (size_t i = 0; i < MANY; ++i) {
    CHECK(unhex(kSignature, signatures + 64 * i) == 64);
    CHECK(unhex(kKey, keys + 65 * i) == 65);
    memcpy(inputs + 6 * i, i % 7 == 6 ? "samplE" : "sample", 6);
    signature_offsets[i + 1] = 64 * (i + 1);
    key_offsets[i + 1] = 65 * (i + 1);
    input_offsets[i + 1] = 6 * (i + 1);
  }
  colophon_verify_batch batch = {0};
  batch.scheme = COLOPHON_ECDSA_P256_SHA256;
  batch.encoding = COLOPHON_ENCODING_RAW;
  batch.input = COLOPHON_INPUT_MESSAGE;
  batch.inputs = (colophon_slices){inputs, sizeof inputs, input_offsets, MANY};
  batch.signatures = (colophon_slices){signatures, sizeof signatures, signature_offsets, MANY};
  batch.public_keys = (colophon_slices){keys, sizeof keys, key_offsets, MANY};

  colophon_backend* backend = NULL;
  CHECK(colophon_backend_choose("portable", &backend) == COLOPHON_OK);
  if (backend == NULL) return;
  colophon_table_memory memory = {0};
  CHECK(colophon_backend_table_memory(backend, &memory) == COLOPHON_OK);
  CHECK(memory.bytes == 0 && memory.tables == 0 && memory.bytes_max >= COLOPHON_TABLE_MEMORY_MIN);
  CHECK(colophon_backend_set_table_memory_max(backend, COLOPHON_TABLE_MEMORY_MIN) == COLOPHON_OK);

  const uint32_t right[] = {0, 1, 2, 3, COLOPHON_THREADS_MAX};
  for (size_t t = 0; t < sizeof right / sizeof right[0]; ++t) {
    batch.threads = right[t];
    memset(verdicts, 99, sizeof verdicts);
    CHECK(colophon_verify(backend, &batch, verdicts) == COLOPHON_OK);
    size_t as_expected = 0;
    for (size_t i = 0; i < MANY; ++i) {
      as_expected += verdicts[i] == (i % 7 == 6 ? COLOPHON_MISMATCH : COLOPHON_VALID);
    }
    CHECK(as_expected == MANY);
  }
  const uint32_t wrong[] = {COLOPHON_THREADS_MAX + 1, UINT32_MAX};
  for (size_t t = 0; t < sizeof wrong / sizeof wrong[0]; ++t) {
    batch.threads = wrong[t];
    memset(verdicts, 99, sizeof verdicts);
    CHECK(colophon_verify(backend, &batch, verdicts) == COLOPHON_ERROR_INVALID_ARGUMENT);
    CHECK(strstr(colophon_last_error_message(), "threads") != NULL);
    CHECK(strstr(colophon_last_error_message(), "256") != NULL);
    CHECK(verdicts[0] == 99);
  }

  /* The key has earned its table, and it is within the limit. */
  CHECK(colophon_backend_table_memory(backend, &memory) == COLOPHON_OK);
  CHECK(memory.tables == 1);
  CHECK(memory.bytes > 0 && memory.bytes <= memory.bytes_max);
  CHECK(memory.bytes_max == COLOPHON_TABLE_MEMORY_MIN);
  CHECK(colophon_backend_set_table_memory_max(backend, COLOPHON_TABLE_MEMORY_MIN - 1) ==
        COLOPHON_ERROR_INVALID_ARGUMENT);
  CHECK(strstr(colophon_last_error_message(), "table_memory") != NULL);
  CHECK(strstr(colophon_last_error_message(), "1048576") != NULL);
  CHECK(colophon_backend_set_table_memory_max(backend, 0) == COLOPHON_ERROR_INVALID_ARGUMENT);
  CHECK(colophon_backend_set_table_memory_max(NULL, COLOPHON_TABLE_MEMORY_MIN) ==
        COLOPHON_ERROR_INVALID_ARGUMENT);
  CHECK(colophon_backend_table_memory(NULL, &memory) == COLOPHON_ERROR_INVALID_ARGUMENT);
  CHECK(colophon_backend_table_memory(backend, NULL) == COLOPHON_ERROR_INVALID_ARGUMENT);
  CHECK(colophon_backend_table_memory(backend, &memory) == COLOPHON_OK);
  CHECK(memory.bytes_max == COLOPHON_TABLE_MEMORY_MIN);
  CHECK(colophon_backend_set_table_memory_max(backend, UINT64_C(1) << 28) == COLOPHON_OK);
  colophon_backend_free(backend);
}

static void test_verify(const colophon_backend* backend) {
  uint8_t inputs[] = "samplesamplEsample";
  uint64_t input_offsets[] = {0, 6, 12, 18};
  uint8_t signatures[3 * 64];
  uint64_t signature_offsets[] = {0, 64, 128, 192};
  uint8_t keys[3 * 65];
  uint64_t key_offsets[] = {0, 65, 130, 195};
  for (size_t i = 0; i < 3; ++i) {
    CHECK(unhex(kSignature, signatures + 64 * i) == 64);
    CHECK(unhex(kKey, keys + 65 * i) == 65);
  }
  keys[194] ^= 1; /* the third key is off the curve */

  colophon_verify_batch batch;
  memset(&batch, 0, sizeof batch);
  batch.scheme = COLOPHON_ECDSA_P256_SHA256;
  batch.encoding = COLOPHON_ENCODING_RAW;
  batch.input = COLOPHON_INPUT_MESSAGE;
  batch.inputs.bytes = inputs;
  batch.inputs.bytes_size = 18;
  batch.inputs.offsets = input_offsets;
  batch.inputs.count = 3;
  batch.signatures.bytes = signatures;
  batch.signatures.bytes_size = sizeof signatures;
  batch.signatures.offsets = signature_offsets;
  batch.signatures.count = 3;
  batch.public_keys.bytes = keys;
  batch.public_keys.bytes_size = sizeof keys;
  batch.public_keys.offsets = key_offsets;
  batch.public_keys.count = 3;

  uint8_t verdicts[3] = {99, 99, 99};
  CHECK(colophon_verify(backend, &batch, verdicts) == COLOPHON_OK);
  CHECK(verdicts[0] == COLOPHON_VALID);
  CHECK(verdicts[1] == COLOPHON_MISMATCH);
  CHECK(verdicts[2] == COLOPHON_BAD_KEY);
  CHECK(strlen(colophon_verdict_reason(verdicts[2])) > 0);

  /* Errors write no verdict. */
  verdicts[0] = 99;
  batch.profile = COLOPHON_PROFILE_STRICT;
  CHECK(colophon_verify(backend, &batch, verdicts) == COLOPHON_ERROR_INVALID_ARGUMENT);
  batch.profile = COLOPHON_PROFILE_DEFAULT;
  batch.signatures.count = 2;
  CHECK(colophon_verify(backend, &batch, verdicts) == COLOPHON_ERROR_INVALID_ARGUMENT);
  batch.signatures.count = 3;
  batch.signatures.bytes = NULL;
  CHECK(colophon_verify(backend, &batch, verdicts) == COLOPHON_ERROR_INVALID_ARGUMENT);
  batch.signatures.bytes = signatures;
  batch.signatures.offsets = NULL;
  CHECK(colophon_verify(backend, &batch, verdicts) == COLOPHON_ERROR_INVALID_ARGUMENT);
  CHECK(strstr(colophon_last_error_message(), "signatures") != NULL);
  batch.signatures.offsets = signature_offsets;
  batch.public_keys.count = SIZE_MAX;
  CHECK(colophon_verify(backend, &batch, verdicts) == COLOPHON_ERROR_LIMIT_EXCEEDED);
  batch.public_keys.count = 0;
  CHECK(colophon_verify(backend, &batch, verdicts) == COLOPHON_ERROR_INVALID_ARGUMENT);
  batch.public_keys.count = 3;
  input_offsets[1] = 13;
  CHECK(colophon_verify(backend, &batch, verdicts) == COLOPHON_ERROR_INVALID_ARGUMENT);
  input_offsets[1] = 6;
  CHECK(colophon_verify(NULL, &batch, verdicts) == COLOPHON_ERROR_INVALID_ARGUMENT);
  CHECK(colophon_verify(backend, NULL, verdicts) == COLOPHON_ERROR_INVALID_ARGUMENT);
  CHECK(colophon_verify(backend, &batch, NULL) == COLOPHON_ERROR_INVALID_ARGUMENT);
  CHECK(verdicts[0] == 99);

  /* The same with an enrolled key. */
  colophon_key_registry* registry = NULL;
  uint64_t id = 0;
  uint64_t again = 0;
  CHECK(colophon_key_registry_create(NULL, &registry) == COLOPHON_ERROR_INVALID_ARGUMENT);
  CHECK(colophon_key_registry_create(backend, NULL) == COLOPHON_ERROR_INVALID_ARGUMENT);
  CHECK(registry == NULL);
  CHECK(colophon_key_registry_create(backend, &registry) == COLOPHON_OK);
  CHECK(colophon_key_registry_add(NULL, COLOPHON_ECDSA_P256_SHA256, keys, 65, NULL, 0, &id) ==
        COLOPHON_ERROR_INVALID_ARGUMENT);
  CHECK(colophon_key_registry_add(registry, COLOPHON_ECDSA_P256_SHA256, NULL, 65, NULL, 0, &id) ==
        COLOPHON_ERROR_INVALID_ARGUMENT);
  CHECK(colophon_key_registry_add(registry, COLOPHON_ECDSA_P256_SHA256, keys, 65, NULL, 0, NULL) ==
        COLOPHON_ERROR_INVALID_ARGUMENT);
  CHECK(colophon_key_registry_remove(NULL, 1) == COLOPHON_ERROR_INVALID_ARGUMENT);
  CHECK(colophon_key_registry_size(NULL) == 0);
  CHECK(id == 0);
  CHECK(colophon_key_registry_add(registry, COLOPHON_ECDSA_P256_SHA256, keys, 65, NULL, 0, &id) ==
        COLOPHON_OK);
  CHECK(colophon_key_registry_add(registry, COLOPHON_ECDSA_P256_SHA256, keys, 65, NULL, 0,
                                  &again) == COLOPHON_OK);
  CHECK(id != 0 && id == again);
  CHECK(colophon_key_registry_size(registry) == 1);
  CHECK(colophon_key_registry_add(registry, COLOPHON_ECDSA_P256_SHA256, keys + 130, 65, NULL, 0,
                                  &again) == COLOPHON_ERROR_MALFORMED);
  CHECK(strstr(colophon_last_error_message(), "curve") != NULL);
  CHECK(colophon_key_registry_add(registry, 77, keys, 65, NULL, 0, &again) ==
        COLOPHON_ERROR_INVALID_ARGUMENT);
  uint64_t ids[3];
  ids[0] = ids[1] = ids[2] = id;
  memset(&batch.public_keys, 0, sizeof batch.public_keys);
  batch.key_ids = ids;
  batch.registry = registry;
  CHECK(colophon_verify(backend, &batch, verdicts) == COLOPHON_OK);
  CHECK(verdicts[0] == COLOPHON_VALID);
  CHECK(verdicts[1] == COLOPHON_MISMATCH);
  CHECK(verdicts[2] == COLOPHON_VALID);
  CHECK(colophon_key_registry_remove(registry, id) == COLOPHON_OK);
  CHECK(colophon_key_registry_remove(registry, id) == COLOPHON_ERROR_NOT_FOUND);
  CHECK(colophon_verify(backend, &batch, verdicts) == COLOPHON_ERROR_NOT_FOUND);
  colophon_key_registry_free(registry);
  colophon_key_registry_free(NULL);
}

static void test_hash_and_trees(const colophon_backend* backend) {
  const uint8_t bytes[] = {0x00, 0x10, 0x20, 0x21};
  const uint64_t offsets[] = {0, 0, 1, 2, 4};
  colophon_slices leaves;
  leaves.bytes = bytes;
  leaves.bytes_size = sizeof bytes;
  leaves.offsets = offsets;
  leaves.count = 4;

  uint8_t hashes[4 * COLOPHON_DIGEST_BYTES];
  CHECK(colophon_hash_batch(backend, COLOPHON_HASH_SHA256, &leaves, hashes, sizeof hashes) ==
        COLOPHON_OK);
  CHECK(equals_hex(hashes, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
  CHECK(colophon_hash_batch(backend, COLOPHON_HASH_SHA256, &leaves, NULL, sizeof hashes) ==
        COLOPHON_ERROR_INVALID_ARGUMENT);
  CHECK(colophon_hash_batch(backend, COLOPHON_HASH_SHA256, NULL, hashes, sizeof hashes) ==
        COLOPHON_ERROR_INVALID_ARGUMENT);
  CHECK(colophon_hash_batch(backend, COLOPHON_HASH_SHA512, &leaves, hashes, sizeof hashes) ==
        COLOPHON_ERROR_INVALID_ARGUMENT);
  CHECK(colophon_hash_batch(backend, 6, &leaves, hashes, sizeof hashes) ==
        COLOPHON_ERROR_UNSUPPORTED);

  uint8_t root[COLOPHON_DIGEST_BYTES];
  CHECK(colophon_merkle_leaf_hashes(backend, &leaves, hashes) == COLOPHON_OK);
  CHECK(colophon_merkle_root(backend, hashes, 4, root) == COLOPHON_OK);
  CHECK(equals_hex(root, "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"));
  uint8_t root_of_3[COLOPHON_DIGEST_BYTES];
  CHECK(colophon_merkle_root(backend, hashes, 3, root_of_3) == COLOPHON_OK);
  uint8_t empty_root[COLOPHON_DIGEST_BYTES];
  CHECK(colophon_merkle_root(backend, NULL, 0, empty_root) == COLOPHON_OK);
  CHECK(colophon_merkle_root(backend, NULL, 1, empty_root) == COLOPHON_ERROR_INVALID_ARGUMENT);

  uint8_t proof[COLOPHON_PROOF_HASHES_MAX * COLOPHON_DIGEST_BYTES];
  size_t length = 0;
  CHECK(colophon_merkle_prove_inclusion(backend, hashes, 4, 2, proof, &length) == COLOPHON_OK);
  CHECK(length == 2);
  CHECK(colophon_merkle_verify_inclusion(backend, hashes + 64, 2, 4, proof, length, root) ==
        COLOPHON_OK);
  CHECK(colophon_merkle_verify_inclusion(backend, hashes + 64, 1, 4, proof, length, root) ==
        COLOPHON_ERROR_INVALID_SIGNATURE);
  CHECK(colophon_merkle_verify_inclusion(backend, hashes + 64, 2, 4, proof, 1, root) ==
        COLOPHON_ERROR_INVALID_ARGUMENT);
  CHECK(colophon_merkle_prove_inclusion(backend, hashes, 4, 4, proof, &length) ==
        COLOPHON_ERROR_INVALID_ARGUMENT);
  CHECK(colophon_merkle_prove_inclusion(backend, NULL, 4, 2, proof, &length) ==
        COLOPHON_ERROR_INVALID_ARGUMENT);
  CHECK(colophon_merkle_prove_inclusion(backend, hashes, 4, 2, NULL, &length) ==
        COLOPHON_ERROR_INVALID_ARGUMENT);
  CHECK(colophon_merkle_verify_inclusion(backend, hashes + 64, 2, 4, NULL, length, root) ==
        COLOPHON_ERROR_INVALID_ARGUMENT);
  CHECK(colophon_merkle_verify_inclusion(backend, NULL, 2, 4, proof, length, root) ==
        COLOPHON_ERROR_INVALID_ARGUMENT);
  CHECK(colophon_merkle_verify_inclusion(NULL, hashes + 64, 2, 4, proof, length, root) ==
        COLOPHON_ERROR_INVALID_ARGUMENT);

  CHECK(colophon_merkle_prove_consistency(backend, hashes, 4, 3, proof, &length) == COLOPHON_OK);
  CHECK(colophon_merkle_verify_consistency(backend, 3, 4, root_of_3, root, proof, length) ==
        COLOPHON_OK);
  CHECK(colophon_merkle_verify_consistency(backend, 3, 4, root, root_of_3, proof, length) ==
        COLOPHON_ERROR_INVALID_SIGNATURE);
  CHECK(colophon_merkle_verify_consistency(backend, 0, 4, root_of_3, root, proof, length) ==
        COLOPHON_ERROR_INVALID_ARGUMENT);
  CHECK(colophon_merkle_verify_consistency(backend, 3, 4, root_of_3, NULL, proof, length) ==
        COLOPHON_ERROR_INVALID_ARGUMENT);
  CHECK(colophon_merkle_prove_consistency(backend, hashes, 4, 0, proof, &length) ==
        COLOPHON_ERROR_INVALID_ARGUMENT);
  CHECK(colophon_merkle_prove_consistency(backend, hashes, 4, 3, proof, NULL) ==
        COLOPHON_ERROR_INVALID_ARGUMENT);
}

int main(void) {
  test_backends();
  test_backend_list_describes();
  test_threads_and_tables();
  colophon_backend* backend = NULL;
  CHECK(colophon_backend_choose(NULL, &backend) == COLOPHON_OK);
  if (backend == NULL) return 1;
  test_verify(backend);
  test_hash_and_trees(backend);
  colophon_backend_free(backend);
  if (failures == 0) printf("C ABI: all checks passed\n");
  return failures == 0 ? 0 : 1;
}
