// SPDX-License-Identifier: Apache-2.0
//
// Hashing through the backend that the environment names, against OpenSSL where it has the
// algorithm and against the backend `openssl` where not (tests/kernels has the published vectors).
#include "colophon/hash.hpp"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "backend_implementation.h"
#include "batch_builder.h"
#include "tests/effort.h"

namespace colophon::test {
namespace {

constexpr HashAlgorithm kAlgorithms[] = {HashAlgorithm::kSha256, HashAlgorithm::kSha512,
                                         HashAlgorithm::kSm3, HashAlgorithm::kBlake3,
                                         HashAlgorithm::kKeccak256};

Bytes reference(HashAlgorithm algorithm, const Bytes& message) {
  Bytes digest(digest_bytes(algorithm));
  const EVP_MD* const md = algorithm == HashAlgorithm::kSha256   ? EVP_sha256()
                           : algorithm == HashAlgorithm::kSha512 ? EVP_sha512()
                           : algorithm == HashAlgorithm::kSm3    ? EVP_sm3()
                                                                 : nullptr;
  if (md != nullptr) {
    EVP_Digest(message.data(), message.size(), digest.data(), nullptr, md, nullptr);
    return digest;
  }
  const std::uint64_t offsets[] = {0, message.size()};
  EXPECT_TRUE(openssl_backend().hash({algorithm}, {message, offsets}, digest.data()).ok());
  return digest;
}

Bytes nth(const Bytes& digests, std::size_t i, std::size_t each) {
  return {digests.begin() + static_cast<long>(i * each),
          digests.begin() + static_cast<long>((i + 1) * each)};
}

// The hashes of `messages` in one call are the messages' own.
void check(HashAlgorithm algorithm, const std::vector<Bytes>& messages) {
  Column column;
  for (const Bytes& message : messages) column.add(message);
  const std::size_t each = digest_bytes(algorithm);
  Bytes digests(messages.size() * each);
  ASSERT_TRUE(hash_batch(backend(), algorithm, column.slices(), std::span(digests)).ok());
  for (std::size_t i = 0; i < messages.size(); ++i) {
    ASSERT_EQ(nth(digests, i, each), reference(algorithm, messages[i]))
        << hash_name(algorithm) << ", message " << i << " of " << messages.size() << ", "
        << messages[i].size() << " bytes";
  }
}

TEST(HashBatch, MessagesOfEveryLengthTogether) {
  Random random(0x5eed0040);
  for (const HashAlgorithm algorithm : kAlgorithms) {
    std::vector<Bytes> messages;
    for (std::size_t length = 0; length <= 300; ++length) messages.push_back(random.bytes(length));
    for (std::size_t i = messages.size(); i > 1; --i) {
      std::swap(messages[i - 1], messages[random.below(i)]);
    }
    check(algorithm, messages);
  }
}

TEST(HashBatch, MessagesOfOneLengthInEveryNumber) {
  Random random(0x5eed0041);
  // Around the blocks of the five algorithms and the shapes of trees.
  const std::size_t lengths[] = {0,   1,   31,  32,  33,  55,  56,  63,  64,  65,  66,
                                 111, 112, 127, 128, 129, 135, 136, 137, 255, 256, 257};
  const std::size_t counts[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 32, 33, 34};
  const std::size_t step = sample_step(1, 5);
  std::size_t at = 0;
  for (const HashAlgorithm algorithm : kAlgorithms) {
    for (const std::size_t length : lengths) {
      for (const std::size_t count : counts) {
        if (at++ % step != 0) continue;
        std::vector<Bytes> messages(count);
        for (Bytes& message : messages) message = random.bytes(length);
        check(algorithm, messages);
      }
    }
  }
}

TEST(HashBatch, LongMessages) {
  Random random(0x5eed0042);
  for (const HashAlgorithm algorithm : kAlgorithms) {
    std::vector<Bytes> messages;
    for (const std::size_t length : {1023, 1024, 1025, 2048, 2049, 3073, 16384, 16385, 100'000}) {
      messages.push_back(random.bytes(length));
    }
    check(algorithm, messages);
  }
}

// More than a GPU's backend leaves to the CPU.
TEST(HashBatch, ManyMessages) {
  Random random(0x5eed0045);
  const std::size_t count = number_of_cases(20'000, 2'500, 2'500);
  for (const HashAlgorithm algorithm : kAlgorithms) {
    std::vector<Bytes> messages(count);
    for (Bytes& message : messages) message = random.bytes(random.below(200));
    messages[7] = random.bytes(5'000);
    messages[8] = random.bytes(1'024);
    check(algorithm, messages);
    for (const std::size_t length : {digest_bytes(algorithm), 2 * digest_bytes(algorithm)}) {
      for (Bytes& message : messages) message = random.bytes(length);
      check(algorithm, messages);
    }
  }
}

TEST(HashBatch, ReadsNothingOutsideTheMessages) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  auto* const map = static_cast<std::uint8_t*>(
      mmap(nullptr, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(static_cast<void*>(map), MAP_FAILED);
  ASSERT_EQ(mprotect(map + page, page, PROT_READ | PROT_WRITE), 0);
  for (std::size_t i = 0; i < page; ++i) map[page + i] = static_cast<std::uint8_t>(i * 31 + 7);
  for (const HashAlgorithm algorithm : kAlgorithms) {
    const std::size_t each = digest_bytes(algorithm);
    for (const std::size_t length : {1, 32, 33, 64, 65, 128, 129, 200}) {
      for (const std::size_t count : {std::size_t{1}, std::size_t{5}, page / length}) {
        const std::size_t bytes = count * length;
        if (bytes > page) continue;
        std::vector<std::uint64_t> offsets(count + 1);
        for (std::size_t i = 0; i <= count; ++i) offsets[i] = i * length;
        for (std::uint8_t* const at : {map + page, map + 2 * page - bytes}) {
          Bytes digests(count * each);
          for (const int prefix : {HashForm::kNoPrefix, 0, 1}) {
            ASSERT_TRUE(backend()
                            .implementation()
                            .hash({algorithm, prefix}, {{at, bytes}, offsets}, digests.data())
                            .ok());
            Bytes last(at + bytes - length, at + bytes);
            if (prefix >= 0) last.insert(last.begin(), static_cast<std::uint8_t>(prefix));
            ASSERT_EQ(nth(digests, count - 1, each), reference(algorithm, last));
          }
        }
      }
    }
  }
  munmap(map, 3 * page);
}

TEST(HashForms, PairsPrefixesAndTwice) {
  Random random(0x5eed0043);
  for (const HashAlgorithm algorithm : kAlgorithms) {
    const std::size_t each = digest_bytes(algorithm);
    for (const std::size_t count : {1, 2, 3, 4, 5, 7, 16, 17, 33, 100, 2'100}) {
      const Bytes nodes = random.bytes(2 * count * each);
      for (const int prefix : {HashForm::kNoPrefix, 0x00, 0x01, 0xff}) {
        for (const bool twice : {false, true}) {
          if (count > 100 && twice) continue;
          const HashForm form = {algorithm, prefix, twice};
          Bytes parents(count * each);
          ASSERT_TRUE(backend()
                          .implementation()
                          .hash_pairs(form, nodes.data(), count, parents.data())
                          .ok());
          Bytes in_place = nodes;
          ASSERT_TRUE(backend()
                          .implementation()
                          .hash_pairs(form, in_place.data(), count, in_place.data())
                          .ok());
          in_place.resize(count * each);
          ASSERT_EQ(in_place, parents) << hash_name(algorithm) << ' ' << count;
          for (std::size_t i = 0; i < count; ++i) {
            Bytes message = nth(nodes, i, 2 * each);
            if (prefix >= 0) message.insert(message.begin(), static_cast<std::uint8_t>(prefix));
            Bytes expected = reference(algorithm, message);
            if (twice) expected = reference(algorithm, expected);
            ASSERT_EQ(nth(parents, i, each), expected) << hash_name(algorithm) << ' ' << i;
          }
        }
      }
    }
  }
}

TEST(HashStream, PiecesOfAnyLength) {
  Random random(0x5eed0044);
  const std::size_t messages = number_of_cases(2000, 60, 15);
  for (const HashAlgorithm algorithm : kAlgorithms) {
    HashStream stream = HashStream::create(backend(), algorithm).value();
    Bytes digest(digest_bytes(algorithm));
    for (std::size_t i = 0; i < messages; ++i) {
      const Bytes message = random.bytes(random.below(i % 4 == 0 ? 40'000 : 400));
      for (std::size_t at = 0; at < message.size();) {
        const std::size_t piece =
            std::min<std::size_t>(message.size() - at, 1 + random.below(i % 3 == 0 ? 5000 : 150));
        ASSERT_TRUE(stream.update(ByteSpan(message).subspan(at, piece)).ok());
        at += piece;
      }
      ASSERT_TRUE(stream.update({}).ok());
      ASSERT_TRUE(stream.finish(digest).ok());
      ASSERT_EQ(digest, reference(algorithm, message)) << hash_name(algorithm) << ' ' << i;
    }
    EXPECT_EQ(stream.finish({}).error().code, ErrorCode::kInvalidArgument);
    if (algorithm == HashAlgorithm::kBlake3) continue;  // whose output has any length
    EXPECT_EQ(stream.finish(std::span(digest).first(31)).error().code, ErrorCode::kInvalidArgument);
  }
}

// Of bytes 0, 1, … 250, 0, …: the official package's hash, keyed hash and derived key.
TEST(HashStream, Blake3KeyedAndDerived) {
  struct Known {
    std::size_t length;
    std::string_view outputs[3];
  };
  constexpr Known kKnown[] = {
      {0,
       {"af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262e00f"
        "03e7b69af26b7faaf09fcd333050338ddfe085b8cc869ca98b206c08243a26f54877",
        "92b2b75604ed3c761f9d6f62392c8a9227ad0ea3f09573e783f1498a4ed60d26b181"
        "71a2f22a4b94822c701f107153dba24918c4bae4d2945c20ece13387627d3b73cbf9",
        "2cc39783c223154fea8dfb7c1b1660f2ac2dcbd1c1de8277b0b0dd39b7e50d7d9056"
        "30c8be290dfcf3e6842f13bddd573c098c3f17361f1f206b8cad9d088aa4a3f74675"}},
      {3073,
       {"7124b49501012f81cc7f11ca069ec9226cecb8a2c850cfe644e327d22d3e1cd39a27"
        "ae3b79d68d89da9bf25bc27139ae65a324918a5f9b7828181e52cf373c84f35b639b",
        "68dede9bef00ba89e43f31a6825f4cf433389fedae75c04ee9f0cf16a427c95a96d6"
        "da3fe985054d3478865be9a092250839a697bbda74e279e8a9e69f0025e4cfddd6cf",
        "72613c9ec9ff7e40f8f5c173784c532ad852e827dba2bf85b2ab4b76f70790815762"
        "88e552647a9d86481c2cae75c2dd4e7c5195fb9ada1ef50e9c5098c249d743929191"}},
  };
  const std::string_view key = "whats the Elvish word for friend";
  const ByteSpan key_bytes(reinterpret_cast<const std::uint8_t*>(key.data()), key.size());
  HashStream streams[] = {HashStream::create(backend(), HashAlgorithm::kBlake3).value(),
                          HashStream::create_blake3_keyed(backend(), key_bytes.first<32>()).value(),
                          HashStream::create_blake3_derive_key(
                              backend(), "BLAKE3 2019-12-27 16:29:52 test vectors context")
                              .value()};
  for (const Known& known : kKnown) {
    Bytes message(known.length);
    std::uint8_t next = 0;
    for (std::uint8_t& byte : message) byte = std::exchange(next, next == 250 ? 0 : next + 1);
    for (std::size_t mode = 0; mode < 3; ++mode) {
      HashStream& stream = streams[mode];
      for (const std::size_t size : {67, 32, 1, 64}) {  // each time a new message
        ASSERT_TRUE(stream.update(ByteSpan(message).first(known.length / 3)).ok());
        ASSERT_TRUE(stream.update(ByteSpan(message).subspan(known.length / 3)).ok());
        Bytes output(size);
        ASSERT_TRUE(stream.finish(output).ok());
        EXPECT_EQ(hex(output), known.outputs[mode].substr(0, 2 * size)) << known.length;
      }
      EXPECT_EQ(stream.finish({}).error().code, ErrorCode::kInvalidArgument);
    }
  }
}

TEST(HashBatch, RefusesWrongShapes) {
  const Bytes bytes(10);
  const std::uint64_t offsets[] = {0, 4, 10};
  const std::uint64_t falling[] = {4, 0, 10};
  const std::uint64_t beyond[] = {0, 4, 11};
  std::vector<Digest> digests(2);
  const auto code = [&](const Slices& messages, std::span<Digest> out, HashAlgorithm algorithm) {
    const auto hashed = hash_batch(backend(), algorithm, messages, out);
    return hashed ? static_cast<ErrorCode>(0) : hashed.error().code;
  };
  constexpr auto kOk = static_cast<ErrorCode>(0);
  constexpr auto kSha256 = HashAlgorithm::kSha256;
  EXPECT_EQ(code({bytes, offsets}, digests, kSha256), kOk);
  EXPECT_EQ(code({}, {}, kSha256), kOk);
  EXPECT_EQ(code({bytes, offsets}, std::span(digests).first(1), kSha256),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({bytes, offsets}, digests, HashAlgorithm::kSha512), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({bytes, falling}, digests, kSha256), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({bytes, beyond}, digests, kSha256), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({bytes, offsets}, digests, static_cast<HashAlgorithm>(0)),
            ErrorCode::kUnsupported);
  EXPECT_EQ(code({bytes, offsets}, digests, static_cast<HashAlgorithm>(6)),
            ErrorCode::kUnsupported);
  EXPECT_EQ(HashStream::create(backend(), static_cast<HashAlgorithm>(6)).error().code,
            ErrorCode::kUnsupported);
}

TEST(HashNames, RoundTrip) {
  for (const HashAlgorithm algorithm : kAlgorithms) {
    EXPECT_EQ(hash_from_name(hash_name(algorithm)), algorithm);
  }
  EXPECT_EQ(hash_from_name("md5"), std::nullopt);
  EXPECT_EQ(hash_name(static_cast<HashAlgorithm>(9)), "unknown");
}

}  // namespace
}  // namespace colophon::test
