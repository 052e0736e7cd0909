// SPDX-License-Identifier: Apache-2.0
//
// ECDSA P-256 in the kernels against OpenSSL: random and mutated signatures, and signatures made so
// that the sums on the way meet P = Q, P = -Q or the infinity, in every window width, both ways of
// adding, with and without tables, in every lane.
#include <gtest/gtest.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kernels/cpu.h"
#include "kernels/ecdsa.h"
#include "tests/lib/p256_forge.h"

namespace colophon::test {
namespace {

using kernels::EcdsaItem;
using kernels::P256Kernels;

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};
using Memory = std::unique_ptr<void, Free>;
Memory memory(std::size_t bytes) { return Memory(std::aligned_alloc(64, (bytes + 63) / 64 * 64)); }

bool is_long() {
  const char* value = std::getenv("COLOPHON_TEST_LONG");
  return value != nullptr && std::string(value) == "1";
}

// A case with its key's coordinates and what OpenSSL says of it.
struct Case {
  ForgedSignature forged;
  std::string point;  // x ‖ y
  bool valid;
};

class Referee {
 public:
  Referee() : group_(EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1)) {}

  Case decide(ForgedSignature forged) {
    EC_KEY* key = EC_KEY_new();
    EC_KEY_set_group(key, group_.get());
    Point point(EC_POINT_new(group_.get()));
    EXPECT_EQ(EC_POINT_oct2point(group_.get(), point.get(), data(forged.public_key),
                                 forged.public_key.size(), nullptr),
              1);
    EC_KEY_set_public_key(key, point.get());
    std::string uncompressed(65, '\0');
    EC_POINT_point2oct(group_.get(), point.get(), POINT_CONVERSION_UNCOMPRESSED,
                       reinterpret_cast<unsigned char*>(uncompressed.data()), 65, nullptr);
    ECDSA_SIG* signature = ECDSA_SIG_new();
    ECDSA_SIG_set0(signature, BN_bin2bn(data(forged.signature), 32, nullptr),
                   BN_bin2bn(data(forged.signature) + 32, 32, nullptr));
    const int verdict = ECDSA_do_verify(data(forged.digest), 32, signature, key);
    ECDSA_SIG_free(signature);
    EC_KEY_free(key);
    return {std::move(forged), uncompressed.substr(1), verdict == 1};
  }

  static const unsigned char* data(const std::string& bytes) {
    return reinterpret_cast<const unsigned char*>(bytes.data());
  }

 private:
  std::unique_ptr<EC_GROUP, OpensslFree> group_;
};

// In [1, n - 1], which is what kernels are given.
bool in_range(P256Forge& forge, const std::string& scalar) {
  const Bn value(BN_bin2bn(Referee::data(scalar), 32, nullptr));
  return !BN_is_zero(value.get()) && BN_cmp(value.get(), forge.n()) < 0;
}

std::vector<Case> random_cases(std::uint64_t seed, std::size_t count) {
  P256Forge forge(seed);
  Referee referee;
  std::vector<Bn> keys;
  for (const std::uint64_t small : {1, 2, 3, 5}) {
    keys.push_back(forge.number(small));
    keys.push_back(forge.sub(forge.number(0), forge.number(small)));
  }
  for (int i = 0; i < 8; ++i) keys.push_back(forge.random_scalar());
  std::vector<Case> cases;
  while (cases.size() < count) {
    const Bn& key = keys[forge.random()() % keys.size()];
    ForgedSignature forged =
        forge.with_scalars(forge.random_scalar(), forge.random_scalar(), key, "random");
    switch (forge.random()() % 6) {
      case 0:
        forged.digest[forge.random()() % 32] ^= static_cast<char>(1 << forge.random()() % 8);
        forged.what = "digest altered";
        break;
      case 1:
        forged.signature[forge.random()() % 64] ^= static_cast<char>(1 << forge.random()() % 8);
        forged.what = "signature altered";
        break;
      case 2: {  // the other valid s
        const Bn s(BN_bin2bn(Referee::data(forged.signature) + 32, 32, nullptr));
        forged.signature.replace(32, 32, P256Forge::bytes(forge.sub(forge.number(0), s)));
        forged.what = "n - s";
        break;
      }
      case 3: {  // e + n stands for the same number mod n
        Bn e(BN_bin2bn(Referee::data(forged.digest), 32, nullptr));
        BN_add(e.get(), e.get(), forge.n());
        if (BN_num_bits(e.get()) <= 256) forged.digest = P256Forge::bytes(e);
        forged.what = "e + n";
        break;
      }
      default:
        break;
    }
    if (in_range(forge, forged.signature.substr(0, 32)) &&
        in_range(forge, forged.signature.substr(32))) {
      cases.push_back(referee.decide(std::move(forged)));
    }
  }
  return cases;
}

// What no random signature meets.
std::vector<Case> forged_cases(std::uint64_t seed, unsigned key_bits, unsigned generator_bits) {
  P256Forge forge(seed);
  Referee referee;
  std::vector<ForgedSignature> all;
  const auto add = [&](ForgedSignature forged) {
    ForgedSignature twin = forged;
    twin.digest[31] ^= 1;
    twin.what += ", digest altered";
    all.push_back(std::move(forged));
    all.push_back(std::move(twin));
  };
  const Bn zero = forge.number(0);
  const Bn one = forge.number(1);
  const Bn minus_one = forge.sub(zero, one);
  for (int i = 0; i < 4; ++i) add(forge.with_x_over_n("x in [n, p)"));
  add(forge.with_scalars(zero, forge.random_scalar(), forge.random_scalar(), "u1 = 0"));
  add(forge.with_scalars(zero, one, forge.random_scalar(), "u1 = 0, u2 = 1"));
  for (const Bn* key : {&one, &minus_one}) {
    for (const std::uint64_t u1 : {0, 1, 2, 3, 7}) {
      for (const std::uint64_t u2 : {1, 2, 3, 7}) {
        if (key == &minus_one && u1 == u2) continue;
        add(forge.with_scalars(forge.number(u1), forge.number(u2), *key, "small, Q = ±G"));
      }
    }
  }
  {
    const Bn u = forge.random_scalar();
    const Bn v = forge.random_scalar();
    add(forge.with_scalars(u, u, one, "u1·G = u2·Q, Q = G"));
    add(forge.with_scalars(u, v, forge.over(u, v), "u1·G = u2·Q"));
    all.push_back(forge.with_infinity(v, forge.random_scalar(), "u1·G = -u2·Q"));
    all.push_back(forge.with_infinity(v, one, "u1·G = -u2·Q, Q = G"));
    all.push_back(forge.with_infinity(one, minus_one, "u1·G = -u2·Q, Q = -G"));
  }
  // The sum of the windows before meets ± the next one's point; and halves of the windows meet each
  // other, which are the two sums that small batches make.
  const auto meet = [&](const Bn& u1, const Bn& u2, const Bn& sum_of_g, const Bn& sum_of_q,
                        const Bn& next, const std::string& what) {
    for (const bool minus : {false, true}) {
      // u·G-part + d·sum = ±(d·next)
      const Bn target = minus ? forge.sub(zero, next) : forge.number(0);
      const Bn other = minus ? forge.sub(target, sum_of_q) : forge.sub(next, sum_of_q);
      if (BN_is_zero(other.get()) || BN_is_zero(sum_of_g.get())) continue;
      const Bn d = forge.over(sum_of_g, other);
      if (BN_is_zero(forge.add(u1, forge.mul(u2, d)).get())) continue;
      add(forge.with_scalars(u1, u2, d, what + (minus ? ", opposite" : ", equal")));
    }
  };
  const unsigned key_windows = (256 + key_bits - 1) / key_bits;
  const unsigned generator_windows = (256 + generator_bits - 1) / generator_bits;
  for (unsigned window = 0; window < key_windows; window += 1 + key_windows / 6) {
    const Bn u1 = forge.random_scalar();
    const Bn u2 = forge.random_scalar();
    const auto digits = forge.digits(u2, key_bits);
    const Bn before = forge.partial(digits, key_bits, 0, window);
    const Bn next = forge.partial(digits, key_bits, window, window + 1);
    meet(u1, u2, u1, before, next, "window " + std::to_string(window) + " of the key");
  }
  {
    const unsigned half = (key_windows + generator_windows) / 2;
    const Bn u1 = forge.random_scalar();
    const Bn u2 = forge.random_scalar();
    if (half > generator_windows) {
      const auto digits = forge.digits(u2, key_bits);
      const unsigned border = half - generator_windows;
      meet(u1, u2, u1, forge.partial(digits, key_bits, 0, border),
           forge.partial(digits, key_bits, border, key_windows), "both halves");
    }
  }
  // Without a table the key's part comes first, then the generator's windows: u2·d + before =
  // ±next.
  for (unsigned window = 0; window < generator_windows; window += 1 + generator_windows / 6) {
    const Bn u1 = forge.random_scalar();
    const Bn u2 = forge.random_scalar();
    const auto digits = forge.digits(u1, generator_bits);
    const Bn before = forge.partial(digits, generator_bits, 0, window);
    const Bn next = forge.partial(digits, generator_bits, window, window + 1);
    for (const bool minus : {false, true}) {
      const Bn signed_next = minus ? forge.sub(zero, next) : forge.sub(next, zero);
      const Bn d = forge.over(forge.sub(signed_next, before), u2);
      if (BN_is_zero(d.get()) || BN_is_zero(forge.add(u1, forge.mul(u2, d)).get())) continue;
      add(forge.with_scalars(u1, u2, d,
                             "window " + std::to_string(window) + " of the generator" +
                                 (minus ? ", opposite" : ", equal")));
    }
  }
  std::vector<Case> cases;
  for (ForgedSignature& forged : all) {
    if (in_range(forge, forged.signature.substr(0, 32)) &&
        in_range(forge, forged.signature.substr(32))) {
      cases.push_back(referee.decide(std::move(forged)));
    }
  }
  return cases;
}

// One set of kernels with the tables a test asks for.
class Machine {
 public:
  explicit Machine(const P256Kernels& kernels) : kernels_(kernels) {}

  [[nodiscard]] unsigned lanes() const { return kernels_.lanes; }

  const void* table(const std::string& point, unsigned bits) {
    Memory& table = tables_[{point, bits}];
    if (!table) {
      table = memory(kernels_.table_bytes(bits));
      const Memory scratch = memory(kernels_.build_memory_bytes(bits));
      kernels_.build_table(point.empty() ? nullptr : Referee::data(point), bits, table.get(),
                           scratch.get());
    }
    return table.get();
  }
  void forget_tables() { tables_.clear(); }

  // key_bits 0: without tables.
  std::vector<bool> verify(const std::vector<const Case*>& cases, unsigned key_bits,
                           unsigned generator_bits) {
    std::vector<EcdsaItem> items;
    for (const Case* one : cases) {
      items.push_back({Referee::data(one->forged.signature), Referee::data(one->forged.digest),
                       Referee::data(one->point),
                       key_bits == 0 ? nullptr : table(one->point, key_bits)});
    }
    const Memory scratch = memory(kernels_.verify_memory_bytes(items.size()));
    // Whatever was in the memory must not matter.
    std::fill_n(static_cast<unsigned char*>(scratch.get()),
                kernels_.verify_memory_bytes(items.size()), 0xa5);
    std::vector<std::uint8_t> valid(items.size(), 7);
    const void* generator = table("", generator_bits);
    if (key_bits == 0) {
      kernels_.verify_unknown(items.data(), items.size(), generator, generator_bits, valid.data(),
                              scratch.get());
    } else {
      kernels_.verify_enrolled(items.data(), items.size(), key_bits, generator, generator_bits,
                               valid.data(), scratch.get());
    }
    std::vector<bool> verdicts;
    for (const std::uint8_t value : valid) {
      EXPECT_LE(value, 1);
      verdicts.push_back(value == 1);
    }
    return verdicts;
  }

  // All of `cases` in batches of `size`, repeated from the front to fill the last.
  void expect_right(const std::vector<Case>& cases, std::size_t size, unsigned key_bits,
                    unsigned generator_bits) {
    for (std::size_t at = 0; at < cases.size(); at += size) {
      std::vector<const Case*> batch;
      for (std::size_t i = 0; i < size; ++i) batch.push_back(&cases[(at + i) % cases.size()]);
      const std::vector<bool> verdicts = verify(batch, key_bits, generator_bits);
      for (std::size_t i = 0; i < size; ++i) {
        ASSERT_EQ(verdicts[i], batch[i]->valid)
            << kernels_.name << ", key windows of " << key_bits << " bits, generator's of "
            << generator_bits << ", batch of " << size << ", place " << i << ": "
            << batch[i]->forged.what;
      }
    }
  }

 private:
  const P256Kernels& kernels_;
  std::map<std::pair<std::string, unsigned>, Memory> tables_;
};

class P256KernelsTest : public testing::TestWithParam<const P256Kernels*> {
 protected:
  void SetUp() override {
    if (GetParam()->lanes == 8 && !kernels::cpu_has_avx512()) {
      GTEST_SKIP() << "this CPU has no AVX-512 IFMA";
    }
    machine_ = std::make_unique<Machine>(*GetParam());
  }
  std::unique_ptr<Machine> machine_;
};

// Both ways of adding begin to differ at 24 vectors.
TEST_P(P256KernelsTest, EveryBatchSizeAroundItsBorders) {
  const std::vector<Case> cases = random_cases(11, 300);
  const std::size_t lanes = machine_->lanes();
  std::vector<std::size_t> sizes = {1, 2, 3, lanes, lanes + 1, 2 * lanes - 1, 2 * lanes};
  for (const std::size_t border : {23 * lanes, 24 * lanes}) {
    for (const std::size_t size : {border - 1, border, border + 1}) sizes.push_back(size);
  }
  sizes.push_back(kernels::kVerifyCountMax);
  sizes.push_back(kernels::kVerifyCountMax - 1);
  for (const std::size_t size : sizes) {
    SCOPED_TRACE(size);
    machine_->expect_right(cases, size, 8, 8);
    machine_->expect_right(cases, size, 0, 8);
  }
}

TEST_P(P256KernelsTest, EveryWindowWidthOnRandomSignatures) {
  const std::vector<Case> cases = random_cases(12, 200);
  for (const unsigned bits : {4U, 5U, 7U, 8U, 10U, 11U}) {
    machine_->expect_right(cases, 200, bits, bits);
    machine_->forget_tables();
  }
  const std::vector<Case> few(cases.begin(), cases.begin() + 4);
  machine_->expect_right(few, 4, 13, 13);
  machine_->expect_right(std::vector<Case>(cases.begin(), cases.begin() + 1), 1, 16, 16);
}

TEST_P(P256KernelsTest, SumsThatMeetThemselvesAreDecidedRight) {
  for (const unsigned key_bits : {5U, 8U, 10U}) {
    for (const unsigned generator_bits : {8U, 10U}) {
      const std::vector<Case> cases = forged_cases(13 + key_bits, key_bits, generator_bits);
      EXPECT_GT(std::count_if(cases.begin(), cases.end(), [](const Case& c) { return c.valid; }),
                40);
      machine_->expect_right(cases, 1, key_bits, generator_bits);  // alone
      machine_->expect_right(cases, 9, key_bits, generator_bits);  // in every lane
      machine_->expect_right(cases, 24 * machine_->lanes() + 5, key_bits, generator_bits);
      machine_->expect_right(cases, 9, 0, generator_bits);
      machine_->expect_right(cases, 24 * machine_->lanes() + 5, 0, generator_bits);
      machine_->forget_tables();
    }
  }
}

// One exception among many good ones, in every place of a vector, leaves the others as they are;
// and a batch of nothing but exceptions is decided too.
TEST_P(P256KernelsTest, ExceptionsDoNotSpreadInABatch) {
  const std::vector<Case> good = random_cases(14, 64);
  const std::vector<Case> forged = forged_cases(15, 8, 8);
  const std::size_t size = 24 * machine_->lanes() + 3;
  for (const unsigned key_bits : {8U, 0U}) {
    for (std::size_t i = 0; i < forged.size(); i += 3) {
      std::vector<const Case*> batch;
      for (std::size_t k = 0; k < size; ++k) batch.push_back(&good[k % good.size()]);
      const std::size_t place = (7 * i) % size;
      batch[place] = &forged[i];
      const std::vector<bool> verdicts = machine_->verify(batch, key_bits, 8);
      for (std::size_t k = 0; k < size; ++k) {
        ASSERT_EQ(verdicts[k], batch[k]->valid)
            << "exception at " << place << ", place " << k << ": " << forged[i].forged.what;
      }
    }
    std::vector<Case> same(size, forged[forged.size() - 2]);
    machine_->expect_right(same, size, key_bits, 8);
  }
}

TEST_P(P256KernelsTest, RandomAndMutatedSignaturesAgreeWithOpenssl) {
  const std::size_t rounds = is_long() ? 250 : 1;
  const std::size_t count = is_long() ? 4'096 : 2'000;
  std::size_t checked = 0;
  for (std::size_t round = 0; round < rounds; ++round) {
    const std::vector<Case> cases = random_cases(1'000 + round, count);
    machine_->expect_right(cases, cases.size(), 8, 8);
    machine_->expect_right(cases, cases.size(), 0, 8);
    checked += cases.size();
    machine_->forget_tables();
  }
  std::printf("%s: %zu signatures, with and without tables, as OpenSSL\n", GetParam()->name,
              checked);
}

INSTANTIATE_TEST_SUITE_P(All, P256KernelsTest,
                         testing::Values(&kernels::kP256Portable, &kernels::kP256Avx512),
                         [](const auto& instance) { return std::string(instance.param->name); });

}  // namespace
}  // namespace colophon::test
