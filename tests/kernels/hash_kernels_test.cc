// SPDX-License-Identifier: Apache-2.0
//
// The hash kernels against OpenSSL, BLAKE3's own package and pycryptodome: lengths around every
// block and chunk, counts around every set of lanes, with and without a prefix, in place, between
// pages that may not be touched, and in pieces.
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <map>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/cpu.h"
#include "kernels/hash.h"
#include "tests/effort.h"
#include "tests/kernels/hash_simulated.h"

namespace colophon::test {
namespace {

using kernels::Blake3Mode;
using kernels::HashInput;
using kernels::HashKernel;
using kernels::HashState;
using kernels::kNoPrefix;

const std::uint8_t* data(const std::string& bytes) {
  return reinterpret_cast<const std::uint8_t*>(bytes.data());
}
std::uint8_t* data(std::string& bytes) { return reinterpret_cast<std::uint8_t*>(bytes.data()); }

std::string hex(const std::string& bytes) {
  std::string out;
  for (const char byte : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    out += kDigits[static_cast<unsigned char>(byte) >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

std::string random_bytes(std::size_t count, unsigned seed = 1) {
  std::mt19937_64 random(seed);
  std::string out(count, 0);
  for (char& byte : out) byte = static_cast<char>(random());
  return out;
}

// --- referees ------------------------------------------------------------------------------------

std::string by_openssl(const EVP_MD* md, const std::string& message) {
  std::string out(EVP_MD_size(md), 0);
  EXPECT_EQ(EVP_Digest(message.data(), message.size(), data(out), nullptr, md, nullptr), 1);
  return out;
}

// A message in pieces too small for more than one lane. What HashVectors holds against others.
std::string by_pieces(const HashKernel& kernel, const std::string& message,
                      std::size_t piece = 999) {
  HashState state;
  kernel.begin(&state);
  for (std::size_t at = 0; at < message.size(); at += piece) {
    kernel.update(&state, data(message) + at, std::min(piece, message.size() - at));
  }
  std::string out(kernel.digest_bytes, 0);
  kernel.finish(&state, data(out));
  return out;
}

using Referee = std::function<std::string(const std::string&)>;

struct Tested {
  std::string name;
  const HashKernel* kernel;
  Referee referee;
  bool (*is_available)(const char** missing);
};

bool always(const char** /*missing*/) { return true; }

std::vector<Tested> all_tested() {
  const auto openssl = [](const EVP_MD* md) {
    return [md](const std::string& message) { return by_openssl(md, message); };
  };
  const auto pieces = [](const HashKernel& kernel) {
    return [&kernel](const std::string& message) { return by_pieces(kernel, message); };
  };
  const Referee sha256 = openssl(EVP_sha256());
  const Referee sha512 = openssl(EVP_sha512());
  const Referee sm3 = openssl(EVP_sm3());
  const Referee sha3 = openssl(EVP_sha3_256());
  const Referee blake3 = pieces(kernels::kBlake3Portable);
  const Referee keccak = pieces(kernels::kKeccak256Portable);
  std::vector<Tested> tested = {
      {"Sha256Portable", &kernels::kSha256Portable, sha256, always},
      {"Sha512Portable", &kernels::kSha512Portable, sha512, always},
      {"Sm3Portable", &kernels::kSm3Portable, sm3, always},
      {"Blake3Portable", &kernels::kBlake3Portable, blake3, always},
      {"Keccak256Portable", &kernels::kKeccak256Portable, keccak, always},
      {"Sha3Scalar", &kernels::kSha3Scalar, sha3, always},
      {"Sha256Simulated", &kernels::kSha256Simulated, sha256, always},
      {"Sha512Simulated", &kernels::kSha512Simulated, sha512, always},
      {"Sm3Simulated", &kernels::kSm3Simulated, sm3, always},
      {"Blake3Simulated", &kernels::kBlake3Simulated, blake3, always},
      {"Keccak256Simulated", &kernels::kKeccak256Simulated, keccak, always},
      {"Sha3Simulated", &kernels::kSha3Simulated, sha3, always},
  };
#if COLOPHON_AVX512
  tested.push_back({"Sha256ShaNi", &kernels::kSha256ShaNi, sha256, kernels::cpu_has_sha_ni});
  const auto avx2 = kernels::cpu_has_avx2;
  tested.push_back({"Sha256Avx2", &kernels::kSha256Avx2, sha256, avx2});
  tested.push_back({"Sha512Avx2", &kernels::kSha512Avx2, sha512, avx2});
  tested.push_back({"Sm3Avx2", &kernels::kSm3Avx2, sm3, avx2});
  tested.push_back({"Blake3Avx2", &kernels::kBlake3Avx2, blake3, avx2});
  tested.push_back({"Keccak256Avx2", &kernels::kKeccak256Avx2, keccak, avx2});
  const auto avx512 = kernels::cpu_has_avx512;
  tested.push_back({"Sha256Avx512", &kernels::kSha256Avx512, sha256, avx512});
  tested.push_back({"Sha512Avx512", &kernels::kSha512Avx512, sha512, avx512});
  tested.push_back({"Sm3Avx512", &kernels::kSm3Avx512, sm3, avx512});
  tested.push_back({"Blake3Avx512", &kernels::kBlake3Avx512, blake3, avx512});
  tested.push_back({"Keccak256Avx512", &kernels::kKeccak256Avx512, keccak, avx512});
#endif
  return tested;
}

// --- every kernel --------------------------------------------------------------------------------

std::string with_prefix(int prefix, const std::string& message) {
  return prefix == kNoPrefix ? message : static_cast<char>(prefix) + message;
}

// Around blocks of 64, 128 and 136 bytes with and without a prefix, their last places for a
// length, chunks of 1,024, and the lengths that have a form of their own.
const std::size_t kLengths[] = {0,   1,   31,  32,  33,   54,   55,   56,   62,   63,   64,  65,
                                110, 111, 112, 119, 120,  126,  127,  128,  129,  134,  135, 136,
                                137, 256, 271, 272, 1022, 1023, 1024, 1025, 2047, 2048, 3073};
constexpr int kPrefixes[] = {kNoPrefix, 0, 1, 0xff};
// Past two sets of the most lanes, of which there are 32.
constexpr std::size_t kCountMax = 66;
// All counts, or those around every set of lanes.
std::vector<std::size_t> counts(std::size_t limit) {
  if (kIsDebug && !is_long()) return {0, 1, 2, 3, 17};
  std::vector<std::size_t> out;
  for (std::size_t n = 0; n <= limit; ++n) {
    if (is_long() || n < 10 || n % 16 < 2 || n % 16 == 15) out.push_back(n);
  }
  return out;
}
// All of them, or every fourth with sanitizers.
std::vector<std::size_t> lengths() {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < std::size(kLengths); i += sample_step(1, 4))
    out.push_back(kLengths[i]);
  return out;
}

class HashKernelTest : public testing::TestWithParam<Tested> {
 protected:
  void SetUp() override {
    const char* missing = nullptr;
    if (!GetParam().is_available(&missing)) GTEST_SKIP() << missing;
  }
  [[nodiscard]] const HashKernel& kernel() const { return *GetParam().kernel; }
  [[nodiscard]] std::size_t digest_bytes() const { return kernel().digest_bytes; }

  // The digests of messages of one length.
  [[nodiscard]] std::string expected(int prefix, const std::string& in, std::size_t length,
                                     std::size_t count) const {
    std::string out;
    for (std::size_t i = 0; i < count; ++i) {
      out += GetParam().referee(with_prefix(prefix, in.substr(i * length, length)));
    }
    return out;
  }
};

TEST_P(HashKernelTest, EveryLengthInOneBatch) {
  std::vector<std::size_t> all;
  for (std::size_t n = 0; n <= 300; ++n) all.push_back(n);
  all.insert(all.end(), std::begin(kLengths), std::end(kLengths));
  std::mt19937_64 random(2);
  const std::string bytes = random_bytes(4000);
  for (const int prefix : kPrefixes) {
    std::shuffle(all.begin(), all.end(), random);
    std::vector<HashInput> in;
    std::string want;
    for (const std::size_t length : all) {
      const std::size_t at = random() % (bytes.size() - length);
      in.push_back({data(bytes) + at, length});
      want += GetParam().referee(with_prefix(prefix, bytes.substr(at, length)));
    }
    std::string got(want.size(), 0);
    kernel().many(prefix, in.data(), in.size(), data(got));
    for (std::size_t i = 0; i < all.size(); ++i) {
      ASSERT_EQ(hex(got.substr(i * digest_bytes(), digest_bytes())),
                hex(want.substr(i * digest_bytes(), digest_bytes())))
          << all[i] << " bytes, prefix " << prefix;
    }
  }
}

// The scheduler of lanes orders up to 512 of them at a time, the longest first.
TEST_P(HashKernelTest, MoreMessagesThanAreOrderedAtOnce) {
  std::mt19937_64 random(8);
  const std::string bytes = random_bytes(9000);
  const std::size_t count = kIsDebug && !is_long() ? 300 : 1'300;
  std::vector<HashInput> in;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t length = i % 100 == 99 ? random() % 8000 : random() % 200;
    in.push_back({data(bytes) + random() % (bytes.size() - length), length});
  }
  std::string got(count * digest_bytes(), 0);
  kernel().many(kNoPrefix, in.data(), in.size(), data(got));
  for (std::size_t i = 0; i < count; ++i) {
    const std::string message(reinterpret_cast<const char*>(in[i].data), in[i].bytes);
    ASSERT_EQ(hex(got.substr(i * digest_bytes(), digest_bytes())), hex(GetParam().referee(message)))
        << i;
  }
}

TEST_P(HashKernelTest, EveryCount) {
  for (const std::size_t length : lengths()) {
    const std::size_t count_max = length > 300 ? 18 : kCountMax;
    const std::string in = random_bytes(count_max * length);
    std::vector<HashInput> inputs;
    for (std::size_t i = 0; i < count_max; ++i) inputs.push_back({data(in) + i * length, length});
    for (const int prefix : {kNoPrefix, 0xff}) {
      const std::string want = expected(prefix, in, length, count_max);
      for (const std::size_t count : counts(count_max)) {
        for (const bool is_fixed : {true, false}) {
          std::string got(want.size(), 'x');
          if (is_fixed) {
            kernel().fixed(prefix, data(in), length, count, data(got));
          } else {
            kernel().many(prefix, inputs.data(), count, data(got));
          }
          const std::size_t end = count * digest_bytes();
          ASSERT_TRUE(got.compare(0, end, want, 0, end) == 0)
              << count << " of " << length << " bytes, prefix " << prefix << ", fixed " << is_fixed;
          ASSERT_EQ(got.find_first_not_of('x', end), std::string::npos)
              << count << " of " << length << " bytes, prefix " << prefix << ", fixed " << is_fixed;
        }
      }
    }
  }
}

TEST_P(HashKernelTest, DigestsInPlaceOfTheirMessages) {
  for (const std::size_t length : lengths()) {
    if (length < digest_bytes()) continue;
    const std::string in = random_bytes(kCountMax * length, 3);
    for (const int prefix : {kNoPrefix, 1}) {
      const std::string want = expected(prefix, in, length, kCountMax);
      for (const std::size_t count : {1, 2, 3, 4, 5, 7, 17, 31, 33, 66}) {
        std::string both = in;
        kernel().fixed(prefix, data(both), length, count, data(both));
        const std::size_t end = count * digest_bytes();
        ASSERT_TRUE(both.compare(0, end, want, 0, end) == 0)
            << count << " of " << length << " bytes, prefix " << prefix;
        ASSERT_TRUE(both.compare(end, std::string::npos, in, end) == 0)
            << count << " of " << length << " bytes, prefix " << prefix;
      }
    }
  }
}

// What ends in every byte there is, and one level of a tree after another in one buffer.
TEST_P(HashKernelTest, ManyPairsAndATree) {
  if (digest_bytes() != 32) GTEST_SKIP() << "pairs of digests of 32 bytes";
  const std::size_t pairs = 1024;
  std::string tree = random_bytes(64 * pairs, 4);
  for (std::size_t i = 0; i < pairs; ++i) tree[64 * i + 63] = static_cast<char>(i);
  std::string want = tree;
  for (std::size_t count = pairs; count > 0; count /= 2) {
    const int prefix = count % 3 == 0 ? kNoPrefix : 1;
    want = expected(prefix, want, 64, count);
    kernel().fixed(prefix, data(tree), 64, count, data(tree));
    ASSERT_TRUE(tree.compare(0, want.size(), want) == 0) << count;
  }
}

TEST_P(HashKernelTest, AFewLongAmongShort) {
  const std::string bytes = random_bytes(700'000, 5);
  const std::size_t longest = kIsDebug ? 100'000 : 600'000;
  for (const std::size_t count : {1, 2, 3, 4, 20, 50}) {
    std::vector<HashInput> in;
    std::string want;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t length = i % 17 == 0 ? longest / (i + 1) : 40 * i;
      in.push_back({data(bytes) + i, length});
      want += GetParam().referee(with_prefix(0, bytes.substr(i, length)));
    }
    std::string got(want.size(), 0);
    kernel().many(0, in.data(), count, data(got));
    ASSERT_TRUE(got == want) << count;
  }
}

// Whole pages between two that cannot be touched.
class GuardedPages {
 public:
  explicit GuardedPages(std::size_t bytes) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    size_ = (bytes + page - 1) / page * page;
    mapped_bytes_ = size_ + 2 * page;
    void* const mapped =
        mmap(nullptr, mapped_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) throw std::runtime_error("mmap");
    mapped_ = static_cast<std::uint8_t*>(mapped);
    begin_ = mapped_ + page;
    if (mprotect(begin_, size_, PROT_READ | PROT_WRITE) != 0) throw std::runtime_error("mprotect");
  }
  GuardedPages(const GuardedPages&) = delete;
  GuardedPages& operator=(const GuardedPages&) = delete;
  ~GuardedPages() { munmap(mapped_, mapped_bytes_); }

  // `bytes`, so that nothing may be read before them, or after them.
  [[nodiscard]] std::uint8_t* front() const { return begin_; }
  [[nodiscard]] std::uint8_t* back(std::size_t bytes) const { return begin_ + size_ - bytes; }

 private:
  std::uint8_t* mapped_;
  std::uint8_t* begin_;
  std::size_t size_;
  std::size_t mapped_bytes_;
};

TEST_P(HashKernelTest, NothingIsReadOrWrittenOutside) {
  const GuardedPages in(kCountMax * 3073);
  const GuardedPages out(kCountMax * digest_bytes());
  for (const std::size_t length : lengths()) {
    for (const std::size_t count : {1, 2, 3, 4, 5, 9, 33}) {
      const std::string bytes = random_bytes(count * length, 6);
      for (const int prefix : {kNoPrefix, 1}) {
        const std::string want = expected(prefix, bytes, length, count);
        for (const bool is_front : {true, false}) {
          std::uint8_t* const messages = is_front ? in.front() : in.back(bytes.size());
          std::uint8_t* const digests = is_front ? out.front() : out.back(count * digest_bytes());
          std::copy(bytes.begin(), bytes.end(), messages);
          kernel().fixed(prefix, messages, length, count, digests);
          ASSERT_TRUE(std::string(digests, digests + want.size()) == want)
              << count << " of " << length << " bytes, prefix " << prefix;
        }
        // Each at an edge of its own, of different lengths.
        std::vector<HashInput> inputs;
        for (std::size_t i = 0; i < count; ++i) {
          const std::size_t bytes_now = (length + 7 * i) % 3073;
          inputs.push_back({i % 2 == 0 ? in.front() : in.back(bytes_now), bytes_now});
        }
        kernel().many(prefix, inputs.data(), count, out.back(count * digest_bytes()));
      }
    }
  }
}

TEST_P(HashKernelTest, InPiecesOfEverySize) {
  const std::string bytes = random_bytes(5000, 7);
  const std::size_t step = sample_step(1, 5);
  for (const std::size_t length : {0, 1, 63, 64, 65, 128, 136, 137, 272, 300}) {
    const std::string message = bytes.substr(0, length);
    const std::string want = GetParam().referee(message);
    for (std::size_t first = 0; first <= length; first += step) {
      HashState state;
      kernel().begin(&state);
      kernel().update(&state, data(message), first);
      HashState copy = state;
      for (HashState* const one : {&state, &copy}) {
        kernel().update(one, data(message) + first, length - first);
        std::string got(digest_bytes(), 0);
        kernel().finish(one, data(got));
        ASSERT_EQ(hex(got), hex(want)) << first << " of " << length;
      }
    }
  }
  for (std::size_t piece = 1; piece <= bytes.size(); piece += piece < 300 ? step : 97) {
    ASSERT_EQ(hex(by_pieces(kernel(), bytes, piece)), hex(GetParam().referee(bytes))) << piece;
  }
}

TEST_P(HashKernelTest, LongMessageInUnevenPieces) {
  const std::string bytes = random_bytes(kIsDebug ? 600'000 : 1'500'000, 8);
  const std::string want = GetParam().referee(bytes);
  std::mt19937_64 random(9);
  for (std::size_t round = 0; round < number_of_cases(100, 10, 2); ++round) {
    HashState state;
    kernel().begin(&state);
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t bound = std::size_t{1} << random() % 21;
      const std::size_t n = std::min(bytes.size() - at, 1 + random() % bound);
      kernel().update(&state, data(bytes) + at, n);
      at += n;
    }
    std::string got(digest_bytes(), 0);
    kernel().finish(&state, data(got));
    ASSERT_EQ(hex(got), hex(want)) << round;
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, HashKernelTest, testing::ValuesIn(all_tested()),
                         [](const auto& tested) { return tested.param.name; });

// --- frozen vectors ------------------------------------------------------------------------------

struct Vectors {
  // By name and length.
  std::map<std::string, std::map<std::size_t, std::vector<std::string>>> of;
  Vectors() {
    std::ifstream file(COLOPHON_HASH_VECTORS);
    std::string line;
    while (std::getline(file, line)) {
      std::istringstream words(line);
      std::string name, digest;
      std::size_t length = 0;
      words >> name >> length;
      while (words >> digest) of[name][length].push_back(digest);
    }
  }
  static std::string message(std::size_t length) {
    std::string out(length, 0);
    for (std::size_t i = 0; i < length; ++i) out[i] = static_cast<char>(i % 251);
    return out;
  }
};

std::vector<const HashKernel*> available(const std::string& part) {
  std::vector<const HashKernel*> out;
  for (const Tested& tested : all_tested()) {
    if (tested.name.find(part) == 0 && tested.is_available(nullptr)) out.push_back(tested.kernel);
  }
  return out;
}

std::string blake3_output(const HashState& state, std::uint64_t position, std::size_t bytes) {
  std::string out(bytes, 0);
  kernels::blake3_output(&state, position, data(out), bytes);
  return out;
}

TEST(HashVectors, Blake3) {
  const auto vectors = Vectors().of["blake3"];
  ASSERT_EQ(vectors.size(), 35);
  const std::string key = "whats the Elvish word for friend";
  const std::string context = "BLAKE3 2019-12-27 16:29:52 test vectors context";
  for (const HashKernel* kernel : available("Blake3")) {
    for (const auto& [length, digests] : vectors) {
      const std::string message = Vectors::message(length);
      ASSERT_EQ(digests.size(), 3);
      const std::string want = digests[0].substr(0, 64);
      EXPECT_EQ(hex(by_pieces(*kernel, message, 1)), want) << kernel->name << " " << length;
      EXPECT_EQ(hex(by_pieces(*kernel, message, 1 << 20)), want) << kernel->name << " " << length;
      std::string digest(32, 0);
      kernel->fixed(kNoPrefix, data(message), length, 1, data(digest));
      EXPECT_EQ(hex(digest), want) << kernel->name << " " << length;

      HashState state;
      kernel->begin(&state);
      kernel->update(&state, data(message), length);
      EXPECT_EQ(hex(blake3_output(state, 0, 131)), digests[0]) << length;
      for (std::size_t at = 0; at < 131; ++at) {
        EXPECT_EQ(hex(blake3_output(state, at, 131 - at)), digests[0].substr(2 * at)) << length;
        EXPECT_EQ(hex(blake3_output(state, at, 1)), digests[0].substr(2 * at, 2)) << length;
      }
      kernels::blake3_begin(&state, Blake3Mode::kKeyed, data(key));
      kernel->update(&state, data(message), length);
      EXPECT_EQ(hex(blake3_output(state, 0, 131)), digests[1]) << length;

      HashState context_state;
      kernels::blake3_begin(&context_state, Blake3Mode::kContext, nullptr);
      kernel->update(&context_state, data(context), context.size());
      const std::string derived = blake3_output(context_state, 0, 32);
      kernels::blake3_begin(&state, Blake3Mode::kKeyMaterial, data(derived));
      kernel->update(&state, data(message), length);
      EXPECT_EQ(hex(blake3_output(state, 0, 131)), digests[2]) << length;
    }
  }
}

TEST(HashVectors, Keccak256) {
  const auto vectors = Vectors().of["keccak256"];
  ASSERT_EQ(vectors.size(), 18);
  // The hash of nothing that Ethereum's accounts without code carry.
  ASSERT_EQ(vectors.at(0).at(0),
            "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
  for (const HashKernel* kernel : available("Keccak256")) {
    for (const auto& [length, digests] : vectors) {
      const std::string message = Vectors::message(length);
      EXPECT_EQ(hex(by_pieces(*kernel, message)), digests.at(0)) << kernel->name << " " << length;
      std::string digest(32, 0);
      kernel->fixed(kNoPrefix, data(message), length, 1, data(digest));
      EXPECT_EQ(hex(digest), digests.at(0)) << kernel->name << " " << length;
    }
  }
}

}  // namespace
}  // namespace colophon::test
