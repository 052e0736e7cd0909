// SPDX-License-Identifier: Apache-2.0
#include "bench/gpu_signatures.h"

#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/obj_mac.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <thread>

#include "colophon/verifier.hpp"

namespace colophon::bench {
namespace {

struct FreeOpenssl {
  void operator()(EC_KEY* key) const { EC_KEY_free(key); }
  void operator()(ECDSA_SIG* signature) const { ECDSA_SIG_free(signature); }
};
using Key = std::unique_ptr<EC_KEY, FreeOpenssl>;
using Parts = std::unique_ptr<ECDSA_SIG, FreeOpenssl>;

constexpr std::size_t kPointBytes = 64;
constexpr std::size_t kDigestBytes = 32;

// False: some item could not be made.
bool on_all_threads(std::size_t count, const std::function<bool(std::size_t)>& make) {
  constexpr std::size_t kRun = 256;
  std::atomic<std::size_t> next = 0;
  std::atomic<bool> is_good = true;
  std::vector<std::jthread> threads;
  const std::size_t wanted = std::min<std::size_t>(hardware_threads(), (count + kRun - 1) / kRun);
  for (std::size_t t = 0; t < wanted; ++t) {
    threads.emplace_back([&] {
      for (std::size_t first = next.fetch_add(kRun); first < count && is_good;
           first = next.fetch_add(kRun)) {
        for (std::size_t i = first; i < std::min(count, first + kRun); ++i) {
          if (!make(i)) is_good = false;
        }
      }
    });
  }
  threads.clear();
  return is_good;
}

bool make_key(Key& key, std::uint8_t* x_and_y) {
  key.reset(EC_KEY_new_by_curve_name(NID_X9_62_prime256v1));
  std::array<std::uint8_t, 1 + kPointBytes> encoded;
  if (!key || EC_KEY_generate_key(key.get()) != 1 ||
      EC_POINT_point2oct(EC_KEY_get0_group(key.get()), EC_KEY_get0_public_key(key.get()),
                         POINT_CONVERSION_UNCOMPRESSED, encoded.data(), encoded.size(),
                         nullptr) != encoded.size()) {
    return false;
  }
  std::copy(encoded.begin() + 1, encoded.end(), x_and_y);
  return true;
}

bool sign(EC_KEY* key, const std::uint8_t* digest, std::uint8_t* r_and_s) {
  const Parts parts(ECDSA_do_sign(digest, kDigestBytes, key));
  return parts && BN_bn2binpad(ECDSA_SIG_get0_r(parts.get()), r_and_s, 32) == 32 &&
         BN_bn2binpad(ECDSA_SIG_get0_s(parts.get()), r_and_s + 32, 32) == 32;
}

}  // namespace

FixedColumn::FixedColumn(std::size_t item_bytes, std::size_t count)
    : item_bytes_(item_bytes), bytes_(item_bytes * count), offsets_(count + 1) {
  for (std::size_t i = 0; i <= count; ++i) offsets_[i] = item_bytes * i;
}

Slices FixedColumn::slices(std::size_t first, std::size_t count) const {
  return {bytes_, std::span(offsets_).subspan(first, count + 1)};
}

Result<GpuSignatures> GpuSignatures::make(std::size_t key_count, std::size_t count) {
  GpuSignatures made{key_count,
                     count,
                     FixedColumn(kPointBytes, key_count),
                     FixedColumn(1 + kPointBytes, count),
                     FixedColumn(kPointBytes, count),
                     FixedColumn(kDigestBytes, count)};
  const auto make_item = [&made](EC_KEY* key, std::size_t k, std::size_t i) {
    std::mt19937_64 random(i);
    std::uint8_t* const digest = made.digests.at(i);
    for (std::size_t at = 0; at < kDigestBytes; at += sizeof(std::uint64_t)) {
      const std::uint64_t word = random();
      std::memcpy(digest + at, &word, sizeof(word));
    }
    if (!sign(key, digest, made.r_and_s.at(i))) return false;
    if (!is_valid(i)) digest[i % kDigestBytes] ^= 1;
    made.public_keys.at(i)[0] = 4;
    std::memcpy(made.public_keys.at(i) + 1, made.points.at(k), kPointBytes);
    return true;
  };
  bool is_good = false;
  if (key_count == count) {  // a million of OpenSSL's keys at once would take gigabytes
    is_good = on_all_threads(count, [&](std::size_t i) {
      Key key;
      return make_key(key, made.points.at(i)) && make_item(key.get(), i, i);
    });
  } else {
    std::vector<Key> keys(key_count);
    is_good = on_all_threads(key_count,
                             [&](std::size_t k) { return make_key(keys[k], made.points.at(k)); });
    is_good = is_good && on_all_threads(count, [&](std::size_t i) {
                const std::size_t k = i % key_count;
                return make_item(keys[k].get(), k, i);
              });
  }
  if (!is_good) return make_error(ErrorCode::kInternal, "OpenSSL could not sign");
  return made;
}

std::size_t GpuSignatures::first_wrong(const std::vector<Verdict>& verdicts, std::size_t first,
                                       std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    if (verdicts[i] != (is_valid(first + i) ? Verdict::kValid : Verdict::kMismatch)) return i;
  }
  return count;
}

}  // namespace colophon::bench
