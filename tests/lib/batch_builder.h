// SPDX-License-Identifier: Apache-2.0
//
// Test material: bytes from hex, batches from items, deterministic random bytes.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "colophon/backend.hpp"
#include "colophon/verifier.hpp"

namespace colophon::test {

using Bytes = std::vector<std::uint8_t>;

inline Bytes unhex(std::string_view text) {
  const auto digit = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    ADD_FAILURE() << "not hex: " << c;
    return 0;
  };
  EXPECT_EQ(text.size() % 2, 0U) << text;
  Bytes bytes(text.size() / 2);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::uint8_t>(digit(text[2 * i]) << 4 | digit(text[2 * i + 1]));
  }
  return bytes;
}

template <class Container>
std::string hex(const Container& bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

inline Bytes bytes_of(std::string_view text) { return Bytes(text.begin(), text.end()); }

inline Bytes joined(const Bytes& a, const Bytes& b) {
  Bytes both = a;
  both.insert(both.end(), b.begin(), b.end());
  return both;
}

// Item by item into one buffer.
class Column {
 public:
  void add(ByteSpan item) {
    bytes_.insert(bytes_.end(), item.begin(), item.end());
    offsets_.push_back(bytes_.size());
  }
  [[nodiscard]] Slices slices() const { return Slices{bytes_, offsets_}; }
  [[nodiscard]] std::size_t size() const { return offsets_.size() - 1; }

 private:
  Bytes bytes_;
  std::vector<std::uint64_t> offsets_ = {0};
};

inline const Backend& backend() {
  static const Backend chosen = [] {
    auto backend = Backend::choose();
    if (backend) return *std::move(backend);
    std::fprintf(stderr, "%s\n", backend.error().message.c_str());
    std::exit(1);
  }();
  return chosen;
}

// What the signatures of a batch have in common.
struct Rules {
  Scheme scheme = Scheme::kEcdsaP256Sha256;
  SignatureEncoding encoding = SignatureEncoding::kRaw;
  Profile profile = Profile::kDefault;
  InputKind input = InputKind::kMessage;
  std::string_view sm2_id = kSm2DefaultId;
};

class BatchBuilder {
 public:
  explicit BatchBuilder(const Rules& rules) : rules_(rules) {}

  void add(ByteSpan key, ByteSpan input, ByteSpan signature) {
    keys_.add(key);
    inputs_.add(input);
    signatures_.add(signature);
  }

  [[nodiscard]] std::size_t size() const { return keys_.size(); }

  // Valid while this object lives unchanged.
  [[nodiscard]] VerifyBatch batch() const {
    VerifyBatch batch;
    batch.scheme = rules_.scheme;
    batch.encoding = rules_.encoding;
    batch.profile = rules_.profile;
    batch.input = rules_.input;
    batch.sm2_id = rules_.sm2_id;
    batch.inputs = inputs_.slices();
    batch.signatures = signatures_.slices();
    batch.public_keys = keys_.slices();
    return batch;
  }

  [[nodiscard]] std::vector<Verdict> verify() const {
    std::vector<Verdict> verdicts(size(), Verdict::kMismatch);
    const Result<void> result = verify_batch(backend(), batch(), verdicts);
    EXPECT_TRUE(result.ok()) << (result ? "" : result.error().message);
    constexpr std::size_t kSplit = 32;  // the smallest batch that any backend gives a second thread
    if (size() >= kSplit) {
      VerifyBatch shared_out = batch();
      shared_out.threads = 3;
      std::vector<Verdict> same(size(), Verdict::kMismatch);
      EXPECT_TRUE(verify_batch(backend(), shared_out, same).ok());
      EXPECT_EQ(same, verdicts) << "on three threads";
    }
    return verdicts;
  }

 private:
  Rules rules_;
  Column keys_;
  Column inputs_;
  Column signatures_;
};

inline Verdict verify_one(const Rules& rules, ByteSpan key, ByteSpan input, ByteSpan signature) {
  BatchBuilder builder(rules);
  builder.add(key, input, signature);
  return builder.verify().front();
}

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  [[nodiscard]] std::uint64_t below(std::uint64_t bound) {
    return std::uniform_int_distribution<std::uint64_t>(0, bound - 1)(engine_);
  }
  [[nodiscard]] Bytes bytes(std::size_t count) {
    Bytes result(count);
    for (std::uint8_t& byte : result) byte = static_cast<std::uint8_t>(below(256));
    return result;
  }
  [[nodiscard]] Bytes flip_one_bit(Bytes bytes) {
    const std::uint64_t bit = below(8 * bytes.size());
    bytes[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    return bytes;
  }

 private:
  std::mt19937_64 engine_;
};

// Readable in failures.
inline std::ostream& operator<<(std::ostream& out, const Bytes& bytes) { return out << hex(bytes); }

}  // namespace colophon::test

namespace colophon {
inline void PrintTo(Verdict verdict, std::ostream* out) {
  *out << static_cast<int>(verdict) << " (" << verdict_reason(verdict) << ")";
}
inline void PrintTo(ErrorCode code, std::ostream* out) { *out << error_code_name(code); }
}  // namespace colophon
