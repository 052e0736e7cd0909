// SPDX-License-Identifier: Apache-2.0
//
// ECDSA P-256. Every row's peer is OpenSSL's EVP_PKEY_verify over digests, one context a key set up
// once and DER signatures made beforehand (the best a program gets from OpenSSL alone), unless the
// row says otherwise.
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <optional>
#include <random>
#include <utility>

#include "bench/job.h"
#include "colophon/verifier.hpp"
#include "kernels/ecdsa.h"

namespace colophon::bench {
namespace {

constexpr std::size_t kBatch = 4096;

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
};
using Key = std::unique_ptr<EVP_PKEY, FreeKey>;
using Context = std::unique_ptr<EVP_PKEY_CTX, FreeKey>;

// Item by item into one buffer.
struct Column {
  std::vector<std::uint8_t> bytes;
  std::vector<std::uint64_t> offsets{0};
  void add(const std::uint8_t* data, std::size_t size) {
    bytes.insert(bytes.end(), data, data + size);
    offsets.push_back(bytes.size());
  }
  [[nodiscard]] Slices slices(std::size_t first, std::size_t count) const {
    return {bytes, std::span(offsets).subspan(first, count + 1)};
  }
};

// `count` signatures by `key_count` keys in turn: signature i is key (i mod key_count)'s.
struct Signatures {
  std::size_t key_count, count;
  std::vector<Key> keys;
  Column public_keys;  // 65 bytes each, one a signature
  Column messages;     // 200 bytes each
  Column digests;      // theirs
  Column raw, der;     // signatures

  Signatures(std::size_t keys_wanted, std::size_t signatures)
      : key_count(keys_wanted), count(signatures) {}

  bool load() {
    if (!keys.empty()) return true;
    std::vector<std::array<std::uint8_t, 65>> points(key_count);
    for (auto& point : points) {
      keys.emplace_back(EVP_EC_gen("P-256"));
      std::size_t length = 0;
      if (!keys.back() || EVP_PKEY_get_octet_string_param(keys.back().get(), "pub", point.data(),
                                                          point.size(), &length) != 1)
        return false;
    }
    std::mt19937_64 random(2);
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t k = i % key_count;
      std::array<std::uint8_t, 200> message;
      for (auto& byte : message) byte = static_cast<std::uint8_t>(random());
      std::array<std::uint8_t, 32> digest;
      if (EVP_Digest(message.data(), message.size(), digest.data(), nullptr, EVP_sha256(),
                     nullptr) != 1)
        return false;
      const Context context(EVP_PKEY_CTX_new(keys[k].get(), nullptr));
      std::array<std::uint8_t, 80> signature;
      std::size_t length = signature.size();
      if (EVP_PKEY_sign_init(context.get()) != 1 ||
          EVP_PKEY_sign(context.get(), signature.data(), &length, digest.data(), digest.size()) !=
              1)
        return false;
      const unsigned char* at = signature.data();
      ECDSA_SIG* parsed = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(length));
      std::array<std::uint8_t, 64> r_and_s;
      BN_bn2binpad(ECDSA_SIG_get0_r(parsed), r_and_s.data(), 32);
      BN_bn2binpad(ECDSA_SIG_get0_s(parsed), r_and_s.data() + 32, 32);
      ECDSA_SIG_free(parsed);
      public_keys.add(points[k].data(), points[k].size());
      messages.add(message.data(), message.size());
      digests.add(digest.data(), digest.size());
      der.add(signature.data(), length);
      raw.add(r_and_s.data(), r_and_s.size());
    }
    return true;
  }
};

// What a row varies.
struct Variant {
  bool enrolled = true;
  SignatureEncoding encoding = SignatureEncoding::kRaw;
  InputKind input = InputKind::kDigest;
  std::size_t invalid_percent = 0;
  std::size_t batch = kBatch;
  unsigned threads = 1;
};

// What a job keeps over its repetitions: tables grow with use, and a row measures what they grow
// to.
struct Registry {
  std::optional<KeyRegistry> keys;
};

// Multiplications and squarings mod p and n for one signature, counted in kernels/verify.h and
// comb.h. Inversions, one a pass and batch, are left out.
double predicted_products(const Variant& variant, std::size_t lanes, unsigned generator_bits,
                          unsigned key_bits) {
  constexpr double kScalars = 5;     // the batch inverse's share, u1, u2
  constexpr double kComparison = 2;  // r into Montgomery form, times D
  constexpr double kAffineAddition = 6, kAffineDoubling = 7, kMixedAddition = 10;
  const double generator_windows = kernels::window_count(generator_bits);
  if (!variant.enrolled) {
    constexpr unsigned kBits = 5;
    constexpr double kRows = 16;
    const double windows = kernels::window_count(kBits);
    const double table = 2 + 4 * kAffineDoubling + (kRows - 1) * kAffineAddition;
    return kScalars + table + (windows - 1) * kBits * kAffineDoubling +
           (windows - 1 + generator_windows) * kAffineAddition + kComparison;
  }
  const double windows = generator_windows + kernels::window_count(key_bits);
  if (variant.batch >= 24 * lanes) {
    return kScalars + (windows - 1) * kAffineAddition + kComparison;
  }
  // Two sums side by side, each begun by an addition of two affine points, and added at the end.
  return kScalars + 2 * 6 + (windows - 4) * kMixedAddition + 14 + kComparison;
}

void say_more(benchmark::State& state, const Backend& backend, const Variant& variant) {
  const TableMemory memory = backend.table_memory();
  if (memory.bytes_max == 0) return;
  unsigned key_bits = kernels::kWindowBitsMax;
  while (key_bits > kernels::kWindowBitsMin &&
         kernels::kP256Portable.table_bytes(key_bits) * memory.tables > memory.bytes) {
    --key_bits;
  }
  const std::size_t lanes = backend.name() == "avx512" ? 8 : 1;
  state.counters[kTableBytes] = static_cast<double>(memory.bytes);
  state.counters[kProducts] = predicted_products(variant, lanes, kernels::kWindowBitsMax, key_bits);
}

void run_ours(benchmark::State& state, Signatures& signatures, Registry& registry,
              const std::string& backend_name, const Variant& variant) {
  if (!signatures.load()) return state.SkipWithError("OpenSSL could not make keys");
  const auto backend = Backend::choose(backend_name);
  if (!backend) return state.SkipWithError(backend.error().message.c_str());
  const bool is_new = !registry.keys;
  if (is_new) {
    auto made = KeyRegistry::create(*backend);
    if (!made) return state.SkipWithError(made.error().message.c_str());
    registry.keys = *std::move(made);
  }
  std::vector<KeyId> ids;
  if (variant.enrolled) {
    const Slices keys = signatures.public_keys.slices(0, signatures.count);
    for (std::size_t i = 0; i < signatures.count; ++i) {
      const auto id = registry.keys->add(Scheme::kEcdsaP256Sha256, keys[i]);
      if (!id) return state.SkipWithError(id.error().message.c_str());
      ids.push_back(*id);
    }
  }
  Column digests = signatures.digests;
  Column messages = signatures.messages;
  std::vector<Verdict> wanted(signatures.count, Verdict::kValid);
  for (std::size_t i = 0; i < signatures.count; ++i) {
    if (i * variant.invalid_percent / 100 == (i + 1) * variant.invalid_percent / 100) continue;
    digests.bytes[32 * i] ^= 1;
    messages.bytes[200 * i] ^= 1;
    wanted[i] = Verdict::kMismatch;
  }
  std::vector<Verdict> verdicts(signatures.count);
  const auto run = [&](std::size_t first, std::size_t count) {
    VerifyBatch batch;
    batch.encoding = variant.encoding;
    batch.input = variant.input;
    batch.threads = variant.threads;
    batch.inputs = (variant.input == InputKind::kDigest ? digests : messages).slices(first, count);
    batch.signatures =
        (variant.encoding == SignatureEncoding::kRaw ? signatures.raw : signatures.der)
            .slices(first, count);
    if (variant.enrolled) {
      batch.key_ids = std::span(ids).subspan(first, count);
      batch.registry = &*registry.keys;
    } else {
      batch.public_keys = signatures.public_keys.slices(first, count);
    }
    return verify_batch(*backend, batch, std::span(verdicts).subspan(first, count)).ok();
  };
  // Once, until the tables are what much use makes them; a backend without tables needs no warming.
  if (variant.enrolled && is_new && backend->table_memory().bytes_max != 0) {
    constexpr std::size_t kUses = 70'000;  // of a key, where keys are few
    constexpr std::size_t kVerifications = 1'000'000;
    const std::size_t wanted_count = std::min(kUses * signatures.key_count, kVerifications);
    for (std::size_t done = 0; done < wanted_count; done += signatures.count) {
      if (!run(0, signatures.count)) return state.SkipWithError("verify_batch failed");
    }
  }
  std::size_t at = 0;
  for (auto _ : state) {
    if (!run(at, variant.batch)) return state.SkipWithError("verify_batch failed");
    at = at + 2 * variant.batch > signatures.count ? 0 : at + variant.batch;
  }
  for (std::size_t first = 0; first + variant.batch <= signatures.count; first += variant.batch) {
    if (!run(first, variant.batch)) return state.SkipWithError("verify_batch failed");
    for (std::size_t i = first; i < first + variant.batch; ++i) {
      if (verdicts[i] != wanted[i]) return state.SkipWithError("a verdict is wrong");
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(variant.batch));
  say_more(state, *backend, variant);
}

// A table for one key, in the kernels' own words.
void run_table(benchmark::State& state, const kernels::P256Kernels& kernels, unsigned bits) {
  const auto memory_of = [](std::size_t bytes) {
    return std::unique_ptr<void, decltype(&std::free)>(
        std::aligned_alloc(64, (bytes + 63) / 64 * 64), &std::free);
  };
  const auto table = memory_of(kernels.table_bytes(bits));
  const auto memory = memory_of(kernels.build_memory_bytes(bits));
  if (!table || !memory) return state.SkipWithError("out of memory");
  for (auto _ : state) {
    kernels.build_table(nullptr, bits, table.get(), memory.get());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations());
  state.counters[kTableBytes] = static_cast<double>(kernels.table_bytes(bits));
  // Six a row, a lane for each window; the windows' bases by doubling before, one after another.
  const unsigned windows = kernels::window_count(bits);
  const unsigned vectors = (windows + kernels.lanes - 1) / kernels.lanes;
  state.counters[kProducts] = 6.0 * vectors * kernels::row_count(bits) + 8.0 * bits * (windows - 1);
}

void run_openssl(benchmark::State& state, Signatures& signatures) {
  if (!signatures.load()) return state.SkipWithError("OpenSSL could not make keys");
  constexpr std::size_t kRun = 256;  // verifications an iteration
  std::vector<Context> contexts;
  for (std::size_t k = 0; k < std::min(kRun, signatures.key_count); ++k) {
    contexts.emplace_back(EVP_PKEY_CTX_new(signatures.keys[k].get(), nullptr));
    if (EVP_PKEY_verify_init(contexts.back().get()) != 1)
      return state.SkipWithError("EVP_PKEY_verify_init failed");
  }
  const Slices der = signatures.der.slices(0, signatures.count);
  const Slices digests = signatures.digests.slices(0, signatures.count);
  for (auto _ : state) {
    for (std::size_t i = 0; i < kRun; ++i) {
      if (EVP_PKEY_verify(contexts[i % signatures.key_count].get(), der[i].data(), der[i].size(),
                          digests[i].data(), digests[i].size()) != 1)
        return state.SkipWithError("a valid signature refused");
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kRun));
}

}  // namespace

void add_signature_jobs(std::vector<Job>& jobs, const std::string& backend) {
  // Shared by all backends, and by all rows of as many keys.
  static const auto one = std::make_shared<Signatures>(1, kBatch);
  static const auto few = std::make_shared<Signatures>(64, kBatch);
  static const auto many = std::make_shared<Signatures>(1000, kBatch);
  static const auto few_long = std::make_shared<Signatures>(64, 4 * kBatch);
  static const auto all_different = std::make_shared<Signatures>(4 * kBatch, 4 * kBatch);
  const auto ours = [&](const std::shared_ptr<Signatures>& signatures, const Variant& variant,
                        const std::shared_ptr<Registry>& registry) {
    return
        [=](benchmark::State& state) { run_ours(state, *signatures, *registry, backend, variant); };
  };
  const auto add = [&](const std::string& name, const std::shared_ptr<Signatures>& signatures,
                       const Variant& variant) {
    jobs.push_back({name, backend, variant.batch, "verifications/s", "OpenSSL EVP_PKEY_verify",
                    ours(signatures, variant, std::make_shared<Registry>()),
                    [=](benchmark::State& state) { run_openssl(state, *signatures); }});
  };
  constexpr auto kDer = SignatureEncoding::kDer;
  constexpr auto kMessage = InputKind::kMessage;
  add("p256-verify", few, {.encoding = kDer});
  add("p256-enrolled-1", one, {});
  add("p256-enrolled-64", few, {});
  add("p256-enrolled-64", few, {.batch = 8});
  add("p256-enrolled-64", few, {.batch = 256});
  add("p256-enrolled-1000", many, {});
  add("p256-unknown", all_different, {.enrolled = false});
  add("p256-64-der", few, {.encoding = kDer});
  add("p256-64-message", few, {.input = kMessage});
  add("p256-64-invalid-1%", few, {.invalid_percent = 1});
  add("p256-64-invalid-50%", few, {.invalid_percent = 50});
  // Pieces of one call are shared out: there have to be several.
  const auto shared = std::make_shared<Registry>();
  const std::size_t whole = few_long->count;
  jobs.push_back({"p256-2-threads", backend, whole, "verifications/s", "the same with one thread",
                  ours(few_long, {.batch = whole, .threads = 2}, shared),
                  ours(few_long, {.batch = whole}, shared)});
  const kernels::P256Kernels* kernels = nullptr;
  if (backend == kernels::kP256Portable.name) kernels = &kernels::kP256Portable;
#if COLOPHON_AVX512
  if (backend == kernels::kP256Avx512.name) kernels = &kernels::kP256Avx512;
#endif
  if (kernels == nullptr) return;
  for (const unsigned bits : {8U, 10U, 13U, 16U}) {
    jobs.push_back(
        {"p256-table-" + std::to_string(bits) + "-bit", backend, 1, "tables/s",
         "the portable kernels", [=](benchmark::State& state) { run_table(state, *kernels, bits); },
         [=](benchmark::State& state) { run_table(state, kernels::kP256Portable, bits); }});
  }
}

}  // namespace colophon::bench
