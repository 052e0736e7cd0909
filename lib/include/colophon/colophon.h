/* SPDX-License-Identifier: Apache-2.0
 *
 * C ABI of colophon::colophon: batch signature verification, SHA-256 batches and RFC 9162 trees.
 * Pure C11. The rules by which a signature is valid are in colophon/profile.hpp and
 * docs/formats.md.
 *
 * Every call returns COLOPHON_OK or an error code, and writes its outputs only if it returns
 * COLOPHON_OK. Why the last call of this thread failed: colophon_last_error_message(). A null
 * pointer where an object or a non-empty array is expected is COLOPHON_ERROR_INVALID_ARGUMENT, not
 * a crash. The caller owns all arrays and keeps them unchanged during a call; nothing is kept after
 * it.
 */
#ifndef COLOPHON_COLOPHON_H_
#define COLOPHON_COLOPHON_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- Errors: the values of colophon::ErrorCode -------------------------------------------------
 */

typedef int32_t colophon_status;

#define COLOPHON_OK 0
#define COLOPHON_ERROR_INVALID_ARGUMENT 1
#define COLOPHON_ERROR_MALFORMED 2
#define COLOPHON_ERROR_LIMIT_EXCEEDED 3
#define COLOPHON_ERROR_NOT_FOUND 4
#define COLOPHON_ERROR_ALREADY_EXISTS 5
#define COLOPHON_ERROR_PERMISSION_DENIED 6
#define COLOPHON_ERROR_INVALID_SIGNATURE 7
#define COLOPHON_ERROR_EXPIRED 8
#define COLOPHON_ERROR_UNAVAILABLE 9
#define COLOPHON_ERROR_UNSUPPORTED 10
#define COLOPHON_ERROR_IO 11
#define COLOPHON_ERROR_CORRUPT 12
#define COLOPHON_ERROR_OUTCOME_UNKNOWN 13
#define COLOPHON_ERROR_INTERNAL 14

/* One sentence about the last failed call of this thread; "" if none has failed yet. Valid until
 * the next call of this thread. */
const char* colophon_last_error_message(void);
/* "ok", "invalid_argument", "malformed", ... */
const char* colophon_status_name(colophon_status status);

/* --- Many byte strings in one buffer -----------------------------------------------------------
 */

/* Item i is bytes[offsets[i]] up to bytes[offsets[i + 1]]: `offsets` has count + 1 entries that
 * never decrease, the last at most bytes_size. With count 0, offsets may be null. */
typedef struct colophon_slices {
  const uint8_t* bytes;
  size_t bytes_size;
  const uint64_t* offsets;
  size_t count;
} colophon_slices;

/* --- Backends ----------------------------------------------------------------------------------
 */

typedef struct colophon_backend colophon_backend;

/* `name`: one of the list below, "auto", or null or "" for what COLOPHON_BACKEND says. Runs the
 * backend's self-test before its first use. COLOPHON_ERROR_UNSUPPORTED: known, but not on this
 * machine; a name never falls back silently. Free the backend when nothing made with it is used any
 * more. */
colophon_status colophon_backend_choose(const char* name, colophon_backend** backend);
void colophon_backend_free(colophon_backend* backend);
/* Lives as long as the process. */
const char* colophon_backend_name(const colophon_backend* backend);

/* The backends this library was built with, in order of preference: names separated by '\n', into
 * `names` as a string of at most names_size bytes, its terminating zero included. `names_needed`
 * (may be null) is set in any case to the size that suffices. Too small:
 * COLOPHON_ERROR_LIMIT_EXCEEDED. */
colophon_status colophon_backend_list(char* names, size_t names_size, size_t* names_needed);

/* Tables of multiples of public keys, which a backend keeps for keys that come again: what they
 * take in this process, of all registries and batches together. */
typedef struct colophon_table_memory {
  uint64_t bytes;     /* in use */
  uint64_t bytes_max; /* the limit; 0: the backend keeps no tables */
  uint64_t tables;    /* keys that have one */
} colophon_table_memory;

/* 1 MiB. */
#define COLOPHON_TABLE_MEMORY_MIN 1048576

/* The limit for all users of this backend in this process, by default an eighth of the machine's
 * memory, at most 1 GiB. Takes effect at once; means nothing to a backend that keeps no tables.
 * Under COLOPHON_TABLE_MEMORY_MIN: COLOPHON_ERROR_INVALID_ARGUMENT. */
colophon_status colophon_backend_set_table_memory_max(const colophon_backend* backend,
                                                      uint64_t bytes);
colophon_status colophon_backend_table_memory(const colophon_backend* backend,
                                              colophon_table_memory* memory);

#define COLOPHON_BACKEND_TEXT_BYTES 256

/* Texts end in a zero; what does not fit is cut off. */
typedef struct colophon_backend_info {
  uint8_t supported; /* 1: this machine can run it */
  uint8_t self_test_passed;
  uint8_t chosen_by_auto;
  colophon_table_memory table_memory;
  char description[COLOPHON_BACKEND_TEXT_BYTES];
  char reason[COLOPHON_BACKEND_TEXT_BYTES]; /* why it is not used; "" if it can be */
} colophon_backend_info;

/* `name`: one of the list. Any other: COLOPHON_ERROR_INVALID_ARGUMENT. Runs self-tests not yet
 * run. */
colophon_status colophon_backend_describe(const char* name, colophon_backend_info* info);

/* --- Verification ------------------------------------------------------------------------------
 */

/* Values of colophon::Scheme, SignatureEncoding, Profile, InputKind and Verdict. */
#define COLOPHON_ECDSA_P256_SHA256 1
#define COLOPHON_ECDSA_SECP256K1_SHA256 2
#define COLOPHON_ED25519 3
#define COLOPHON_SM2_SM3 4

#define COLOPHON_ENCODING_RAW 1
#define COLOPHON_ENCODING_DER 2

#define COLOPHON_PROFILE_DEFAULT 0
#define COLOPHON_PROFILE_STANDARD 1
#define COLOPHON_PROFILE_LOW_S 2
#define COLOPHON_PROFILE_ZIP215 3
#define COLOPHON_PROFILE_STRICT 4

#define COLOPHON_INPUT_MESSAGE 1
#define COLOPHON_INPUT_DIGEST 2

#define COLOPHON_VALID 0
#define COLOPHON_BAD_KEY 1
#define COLOPHON_BAD_ENCODING 2
#define COLOPHON_OUT_OF_RANGE 3
#define COLOPHON_HIGH_S 4
#define COLOPHON_NON_CANONICAL 5
#define COLOPHON_SMALL_ORDER 6
#define COLOPHON_BAD_DIGEST 7
#define COLOPHON_MISMATCH 8

/* One sentence for people about a verdict. */
const char* colophon_verdict_reason(uint8_t verdict);

/* Keys known before their signatures. Thread-safe. Made for one backend, which must outlive it. */
typedef struct colophon_key_registry colophon_key_registry;

colophon_status colophon_key_registry_create(const colophon_backend* backend,
                                             colophon_key_registry** registry);
void colophon_key_registry_free(colophon_key_registry* registry);
/* Validates and enrols a key; an already enrolled one gives its existing id. `sm2_id` is read with
 * COLOPHON_SM2_SM3 only; null means the default id, whatever its size. Ids are never 0. */
colophon_status colophon_key_registry_add(colophon_key_registry* registry, uint8_t scheme,
                                          const uint8_t* public_key, size_t public_key_size,
                                          const uint8_t* sm2_id, size_t sm2_id_size,
                                          uint64_t* key_id);
colophon_status colophon_key_registry_remove(colophon_key_registry* registry, uint64_t key_id);
size_t colophon_key_registry_size(const colophon_key_registry* registry);

#define COLOPHON_THREADS_MAX 256

/* Zero it (`= {0}`), then set what is needed. */
typedef struct colophon_verify_batch {
  uint8_t scheme;
  uint8_t encoding;
  uint8_t profile;
  uint8_t input;
  /* Threads that may work on the batch, the caller's among them, at most COLOPHON_THREADS_MAX; 0
   * means 1. The verdicts do not depend on it; a batch too small to gain is not split. */
  uint32_t threads;
  colophon_slices inputs;     /* messages or digests */
  colophon_slices signatures; /* as many */
  /* Either public keys as bytes, or `registry` and an array of as many key ids. */
  colophon_slices public_keys;
  const uint64_t* key_ids;
  const colophon_key_registry* registry;
  /* With public_keys and COLOPHON_SM2_SM3; null means the default id. */
  const uint8_t* sm2_id;
  size_t sm2_id_size;
} colophon_verify_batch;

/* verdicts[i] for signature i; `verdicts` has room for inputs.count. Synchronous, with several
 * threads too. */
colophon_status colophon_verify(const colophon_backend* backend, const colophon_verify_batch* batch,
                                uint8_t* verdicts);

/* --- Hashing -----------------------------------------------------------------------------------
 */

#define COLOPHON_HASH_SHA256 1
#define COLOPHON_HASH_SHA512 2
#define COLOPHON_HASH_SM3 3
#define COLOPHON_HASH_BLAKE3 4
#define COLOPHON_HASH_KECCAK256 5

#define COLOPHON_DIGEST_BYTES 32 /* of all but SHA-512 */
#define COLOPHON_SHA512_DIGEST_BYTES 64

/* Digest after digest: message i's is the i-th. `digests_bytes` is what `digests` has room for, the
 * messages' number times the digest's size. COLOPHON_ERROR_INVALID_ARGUMENT: it is not;
 * COLOPHON_ERROR_UNSUPPORTED: no such algorithm. */
colophon_status colophon_hash_batch(const colophon_backend* backend, uint8_t algorithm,
                                    const colophon_slices* messages, uint8_t* digests,
                                    size_t digests_bytes);

/* --- Merkle trees (RFC 9162, SHA-256) ----------------------------------------------------------
 */

/* Longest proof, in hashes: room that suffices for any. */
#define COLOPHON_PROOF_HASHES_MAX 96

colophon_status colophon_merkle_leaf_hashes(const colophon_backend* backend,
                                            const colophon_slices* leaves, uint8_t* leaf_hashes);
colophon_status colophon_merkle_root(const colophon_backend* backend, const uint8_t* leaf_hashes,
                                     size_t leaf_count, uint8_t root[COLOPHON_DIGEST_BYTES]);
/* `proof` has room for COLOPHON_PROOF_HASHES_MAX hashes; proof_hashes is how many were written. */
colophon_status colophon_merkle_prove_inclusion(const colophon_backend* backend,
                                                const uint8_t* leaf_hashes, size_t leaf_count,
                                                uint64_t index, uint8_t* proof,
                                                size_t* proof_hashes);
/* From the tree of the first `from` leaves to that of all of them. */
colophon_status colophon_merkle_prove_consistency(const colophon_backend* backend,
                                                  const uint8_t* leaf_hashes, size_t leaf_count,
                                                  uint64_t from, uint8_t* proof,
                                                  size_t* proof_hashes);
/* COLOPHON_OK: proven. COLOPHON_ERROR_INVALID_SIGNATURE: it leads to another root.
 * COLOPHON_ERROR_INVALID_ARGUMENT: index, size or the proof's length are impossible. */
colophon_status colophon_merkle_verify_inclusion(const colophon_backend* backend,
                                                 const uint8_t leaf_hash[COLOPHON_DIGEST_BYTES],
                                                 uint64_t index, uint64_t size,
                                                 const uint8_t* proof, size_t proof_hashes,
                                                 const uint8_t root[COLOPHON_DIGEST_BYTES]);
colophon_status colophon_merkle_verify_consistency(const colophon_backend* backend, uint64_t from,
                                                   uint64_t to,
                                                   const uint8_t from_root[COLOPHON_DIGEST_BYTES],
                                                   const uint8_t to_root[COLOPHON_DIGEST_BYTES],
                                                   const uint8_t* proof, size_t proof_hashes);

#ifdef __cplusplus
}
#endif

#endif /* COLOPHON_COLOPHON_H_ */
