// SPDX-License-Identifier: Apache-2.0
//
// Hash functions to compare with: OpenSSL's, and Keccak-256 and BLAKE3, which it lacks, as their
// papers have them.
#pragma once

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

namespace colophon::test {

inline std::string openssl_hash(const char* name, const std::string& message) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  const EVP_MD* const md = EVP_get_digestbyname(name);
  if (md == nullptr ||
      EVP_Digest(message.data(), message.size(), digest.data(), &size, md, nullptr) != 1) {
    throw std::runtime_error(std::string("OpenSSL has no ") + name);
  }
  return {digest.begin(), digest.begin() + size};
}

// --- Keccak-256 ----------------------------------------------------------------------------------

// Keccak-f[1600] with ρ's offsets and ι's constants computed as they are defined.
inline void keccak_f(std::array<std::uint64_t, 25>& a) {
  std::uint8_t lfsr = 1;
  for (int round = 0; round < 24; ++round) {
    std::array<std::uint64_t, 5> c{};
    for (std::size_t i = 0; i < 25; ++i) c[i % 5] ^= a[i];
    for (std::size_t i = 0; i < 25; ++i) a[i] ^= c[(i + 4) % 5] ^ std::rotl(c[(i + 1) % 5], 1);
    std::size_t x = 1;
    std::size_t y = 0;
    std::uint64_t moved = a[1];
    for (int t = 0; t < 24; ++t) {
      const std::size_t next = (2 * x + 3 * y) % 5;
      x = y;
      y = next;
      std::swap(moved, a[x + 5 * y]);
      a[x + 5 * y] = std::rotl(a[x + 5 * y], (t + 1) * (t + 2) / 2 % 64);
    }
    for (std::size_t row = 0; row < 25; row += 5) {
      std::array<std::uint64_t, 5> b{};
      std::copy_n(a.begin() + static_cast<long>(row), 5, b.begin());
      for (std::size_t i = 0; i < 5; ++i) a[row + i] = b[i] ^ (~b[(i + 1) % 5] & b[(i + 2) % 5]);
    }
    for (int j = 0; j < 7; ++j) {
      if ((lfsr & 1) != 0) a[0] ^= std::uint64_t{1} << ((1 << j) - 1);
      lfsr = static_cast<std::uint8_t>(lfsr << 1 ^ (lfsr >> 7) * 0x71);
    }
  }
}

inline std::string keccak256(const std::string& message) {
  constexpr std::size_t kRate = 136;
  std::string padded = message + '\x01';
  padded.resize((padded.size() + kRate - 1) / kRate * kRate);
  padded.back() = static_cast<char>(padded.back() | 0x80);
  std::array<std::uint64_t, 25> state{};
  for (std::size_t at = 0; at < padded.size(); at += kRate) {
    for (std::size_t i = 0; i < kRate; ++i) {
      state[i / 8] ^= std::uint64_t{static_cast<std::uint8_t>(padded[at + i])} << 8 * (i % 8);
    }
    keccak_f(state);
  }
  std::string digest;
  for (std::size_t i = 0; i < 32; ++i) {
    digest += static_cast<char>(state[i / 8] >> 8 * (i % 8));
  }
  return digest;
}

// --- BLAKE3 --------------------------------------------------------------------------------------

using Blake3Value = std::array<std::uint32_t, 8>;
inline constexpr Blake3Value kBlake3Key = {0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A,
                                           0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19};

inline Blake3Value blake3_compress(const Blake3Value& value, const std::string& block,
                                   std::uint64_t counter, std::uint32_t flags) {
  std::array<std::uint32_t, 16> m{};
  for (std::size_t i = 0; i < block.size(); ++i) {
    m[i / 4] |= std::uint32_t{static_cast<std::uint8_t>(block[i])} << 8 * (i % 4);
  }
  std::array<std::uint32_t, 16> v{};
  std::copy(value.begin(), value.end(), v.begin());
  std::copy_n(kBlake3Key.begin(), 4, v.begin() + 8);
  v[12] = static_cast<std::uint32_t>(counter);
  v[13] = static_cast<std::uint32_t>(counter >> 32);
  v[14] = static_cast<std::uint32_t>(block.size());
  v[15] = flags;
  const auto g = [&](int a, int b, int c, int d, std::uint32_t x, std::uint32_t y) {
    v[a] += v[b] + x;
    v[d] = std::rotr(v[d] ^ v[a], 16);
    v[c] += v[d];
    v[b] = std::rotr(v[b] ^ v[c], 12);
    v[a] += v[b] + y;
    v[d] = std::rotr(v[d] ^ v[a], 8);
    v[c] += v[d];
    v[b] = std::rotr(v[b] ^ v[c], 7);
  };
  for (int round = 0; round < 7; ++round) {
    for (int i = 0; i < 4; ++i) g(i, 4 + i, 8 + i, 12 + i, m[2 * i], m[2 * i + 1]);
    for (int i = 0; i < 4; ++i) {
      g(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4, m[8 + 2 * i], m[9 + 2 * i]);
    }
    constexpr std::array<int, 16> kPermutation = {2, 6,  3,  10, 7, 0,  4,  13,
                                                  1, 11, 12, 5,  9, 14, 15, 8};
    const auto before = m;
    for (std::size_t i = 0; i < 16; ++i) m[i] = before[kPermutation[i]];
  }
  Blake3Value out{};
  for (std::size_t i = 0; i < 8; ++i) out[i] = v[i] ^ v[i + 8];
  return out;
}

// `flags`: of the last compression.
inline Blake3Value blake3_tree(const std::string& bytes, std::uint64_t chunk, std::uint32_t flags) {
  constexpr std::uint32_t kChunkStart = 1;
  constexpr std::uint32_t kChunkEnd = 2;
  constexpr std::uint32_t kParent = 4;
  if (bytes.size() > 1024) {
    const std::size_t left = 1024 * std::bit_floor((bytes.size() - 1) / 1024);
    std::string block;
    for (const Blake3Value& value : {blake3_tree(bytes.substr(0, left), chunk, 0),
                                     blake3_tree(bytes.substr(left), chunk + left / 1024, 0)}) {
      for (const std::uint32_t word : value) {
        for (int i = 0; i < 4; ++i) block += static_cast<char>(word >> 8 * i);
      }
    }
    return blake3_compress(kBlake3Key, block, 0, kParent | flags);
  }
  Blake3Value value = kBlake3Key;
  std::size_t at = 0;
  do {
    const bool is_last = bytes.size() - at <= 64;
    value = blake3_compress(value, bytes.substr(at, 64), chunk,
                            (at == 0 ? kChunkStart : 0) | (is_last ? kChunkEnd | flags : 0));
    at += 64;
  } while (at < bytes.size());
  return value;
}

inline std::string blake3(const std::string& message) {
  constexpr std::uint32_t kRoot = 8;
  std::string digest;
  for (const std::uint32_t word : blake3_tree(message, 0, kRoot)) {
    for (int i = 0; i < 4; ++i) digest += static_cast<char>(word >> 8 * i);
  }
  return digest;
}

}  // namespace colophon::test
