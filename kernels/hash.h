// SPDX-License-Identifier: Apache-2.0
//
// Hash functions on the CPU, as tables of functions: one for each algorithm and kind of CPU.
//
// SHA-256 and SHA-512: FIPS 180-4. SM3: GB/T 32905-2016 (ISO/IEC 10118-3). BLAKE3: the BLAKE3
// paper. Keccak-256: Keccak[c = 512] with the padding of the submission (0x01), as Ethereum uses
// it, not FIPS 202's SHA3-256.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace colophon::kernels {

// No byte goes before the message.
inline constexpr int kNoPrefix = -1;

struct HashInput {
  const uint8_t* data;
  size_t bytes;
};

// A message in pieces. Room for every algorithm's state; plain data, which may be copied.
struct alignas(64) HashState {
  uint8_t bytes[2560];
};

struct HashKernel {
  const char* name;  // of the kind of CPU: "portable", "sha-ni", "avx2", "avx512"
  size_t digest_bytes;

  // digests[i] = H(prefix ‖ in[i]), digest_bytes each, one after another; `prefix` is a byte or
  // kNoPrefix. The form for messages of one length, one after another in `in`, reads nothing
  // outside them. `digests` may be the front of `in` where length >= digest_bytes; otherwise they
  // do not overlap.
  void (*fixed)(int prefix, const uint8_t* in, size_t length, size_t count, uint8_t* digests);
  void (*many)(int prefix, const HashInput* in, size_t count, uint8_t* digests);

  void (*begin)(HashState* state);
  void (*update)(HashState* state, const uint8_t* data, size_t bytes);
  void (*finish)(HashState* state, uint8_t* digest);
};

extern const HashKernel kSha256Portable;
extern const HashKernel kSha512Portable;
extern const HashKernel kSm3Portable;
extern const HashKernel kBlake3Portable;
extern const HashKernel kKeccak256Portable;
#if defined(__x86_64__)
// Only where cpu_has_sha_ni() (cpu.h).
extern const HashKernel kSha256ShaNi;
// Only where cpu_has_avx2().
extern const HashKernel kSha256Avx2;
extern const HashKernel kSha512Avx2;
extern const HashKernel kSm3Avx2;
extern const HashKernel kBlake3Avx2;
extern const HashKernel kKeccak256Avx2;
// Only where cpu_has_avx512().
extern const HashKernel kSha256Avx512;
extern const HashKernel kSha512Avx512;
extern const HashKernel kSm3Avx512;
extern const HashKernel kBlake3Avx512;
extern const HashKernel kKeccak256Avx512;
#endif

// What goes into BLAKE3 besides the message (the paper, section 2.3): the flag of all its nodes.
enum class Blake3Mode : uint32_t { kHash = 0, kKeyed = 16, kContext = 32, kKeyMaterial = 64 };
// BLAKE3 in another mode begins so, and goes on with update() of any BLAKE3 kernel. A key of 32
// bytes, or null where the mode has none: kHash and kContext, whose output is kKeyMaterial's key.
void blake3_begin(HashState* state, Blake3Mode mode, const uint8_t* key);
// Output of any length from any position; the state stays as it is.
void blake3_output(const HashState* state, uint64_t position, uint8_t* out, size_t bytes);

}  // namespace colophon::kernels
