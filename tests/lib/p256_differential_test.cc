// SPDX-License-Identifier: Apache-2.0
//
// ECDSA P-256 on every backend, in batches of every awkward size, against OpenSSL called directly
// and the verdict order of docs/formats.md written a second time. Random signatures, mutated in
// every way a signature, an input or a key can be, and forged ones whose sums meet themselves.
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backend_implementation.h"
#include "batch_builder.h"
#include "colophon/key_registry.hpp"
#include "cpu_backend.h"
#if COLOPHON_CUDA
#include "cuda_backend.h"
#endif
#include "kernels/cpu.h"
#include "key_registry_storage.h"
#include "p256_forge.h"
#include "p256_signer.h"
#include "tests/effort.h"
#include "verifier_on.h"

namespace colophon::test {
namespace {

struct Item {
  Bytes key;
  Bytes input;
  Bytes signature;  // as encoded
  std::string what;
  bool stranger = false;  // not for a registry
  Verdict expected = Verdict::kValid;
};

std::string text_of(const Bytes& bytes) { return std::string(bytes.begin(), bytes.end()); }

// --- the referee ---------------------------------------------------------------------------------

class Referee {
 public:
  Referee() {
    half_n_.reset(BN_dup(n()));
    BN_rshift1(half_n_.get(), half_n_.get());  // (n - 1)/2: n is odd
  }

  Verdict decide(const Rules& rules, const Item& item) {
    EC_KEY* const key = find(item.key);
    if (key == nullptr) return Verdict::kBadKey;
    const Parts parts = read(rules.encoding, item.signature);
    if (!parts) return Verdict::kBadEncoding;
    const BIGNUM* const r = ECDSA_SIG_get0_r(parts.get());
    const BIGNUM* const s = ECDSA_SIG_get0_s(parts.get());
    for (const BIGNUM* scalar : {r, s}) {
      if (BN_is_zero(scalar) || BN_is_negative(scalar) || BN_cmp(scalar, n()) >= 0) {
        return Verdict::kOutOfRange;
      }
    }
    if (rules.profile == Profile::kLowS && BN_cmp(s, half_n_.get()) > 0) return Verdict::kHighS;
    Bytes digest = item.input;
    if (rules.input == InputKind::kMessage) {
      digest.resize(32);
      SHA256(item.input.data(), item.input.size(), digest.data());
    } else if (digest.size() != 32) {
      return Verdict::kBadDigest;
    }
    return ECDSA_do_verify(digest.data(), 32, parts.get(), key) == 1 ? Verdict::kValid
                                                                     : Verdict::kMismatch;
  }

  [[nodiscard]] const BIGNUM* n() const { return EC_GROUP_get0_order(group_.get()); }

 private:
  struct Free {
    void operator()(ECDSA_SIG* signature) const { ECDSA_SIG_free(signature); }
    void operator()(EC_KEY* key) const { EC_KEY_free(key); }
  };
  using Parts = std::unique_ptr<ECDSA_SIG, Free>;

  EC_KEY* find(const Bytes& encoded) {
    if (keys_.size() > 10'000) keys_.clear();
    const auto [at, is_new] = keys_.try_emplace(text_of(encoded));
    if (!is_new) return at->second.get();
    const bool has_form = (encoded.size() == 33 && (encoded[0] == 2 || encoded[0] == 3)) ||
                          (encoded.size() == 65 && encoded[0] == 4);
    const Point point(EC_POINT_new(group_.get()));
    if (!has_form || EC_POINT_oct2point(group_.get(), point.get(), encoded.data(), encoded.size(),
                                        nullptr) != 1) {
      return nullptr;
    }
    at->second.reset(EC_KEY_new());
    EC_KEY_set_group(at->second.get(), group_.get());
    EC_KEY_set_public_key(at->second.get(), point.get());
    return at->second.get();
  }

  static Parts read(SignatureEncoding encoding, const Bytes& bytes) {
    if (encoding == SignatureEncoding::kRaw) {
      if (bytes.size() != 64) return nullptr;
      Parts parts(ECDSA_SIG_new());
      ECDSA_SIG_set0(parts.get(), BN_bin2bn(bytes.data(), 32, nullptr),
                     BN_bin2bn(bytes.data() + 32, 32, nullptr));
      return parts;
    }
    const unsigned char* at = bytes.data();
    Parts parts(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(bytes.size())));
    if (!parts) return nullptr;
    // Strict: what is read is what OpenSSL writes, to the last byte.
    unsigned char* written = nullptr;
    const int size = i2d_ECDSA_SIG(parts.get(), &written);
    const bool same = size >= 0 && std::equal(bytes.begin(), bytes.end(), written, written + size);
    OPENSSL_free(written);
    return same ? std::move(parts) : nullptr;
  }

  std::unique_ptr<EC_GROUP, OpensslFree> group_{EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1)};
  Bn half_n_;
  std::map<std::string, std::unique_ptr<EC_KEY, Free>> keys_;
};

// --- what is verified ----------------------------------------------------------------------------

Bytes encode(SignatureEncoding encoding, const Bn& r, const Bn& s) {
  if (encoding == SignatureEncoding::kRaw) {
    // What has more than 256 bits has no raw form: 33 bytes, which no reader may take.
    const auto size = [](const Bn& x) { return std::max(32, BN_num_bytes(x.get())); };
    Bytes bytes(static_cast<std::size_t>(size(r) + size(s)));
    BN_bn2binpad(r.get(), bytes.data(), size(r));
    BN_bn2binpad(s.get(), bytes.data() + size(r), size(s));
    return bytes;
  }
  ECDSA_SIG* const parts = ECDSA_SIG_new();
  ECDSA_SIG_set0(parts, BN_dup(r.get()), BN_dup(s.get()));
  unsigned char* written = nullptr;
  const int size = i2d_ECDSA_SIG(parts, &written);
  Bytes bytes(written, written + size);
  OPENSSL_free(written);
  ECDSA_SIG_free(parts);
  return bytes;
}

class Maker {
 public:
  explicit Maker(std::uint64_t seed) : random_(seed), forge_(seed) {
    // ±G and small multiples of it, then keys of no kind.
    for (const std::uint64_t d : {1, 2, 3, 4, 5, 8}) {
      signers_.emplace_back(forge_.number(d).get());
      signers_.emplace_back(forge_.sub(forge_.number(0), forge_.number(d)).get());
    }
    for (int i = 0; i < 6; ++i) signers_.emplace_back(forge_.random_scalar().get());
    make_forged();
  }

  [[nodiscard]] const std::vector<P256Signer>& signers() const { return signers_; }
  [[nodiscard]] Random& random() { return random_; }

  Item make(const Rules& rules) {
    if (rules.input == InputKind::kDigest && random_.below(20) == 0) return forged(rules);
    const bool stranger = random_.below(20) == 0;
    const P256Signer& signer =
        stranger ? new_signer() : signers_[random_.below(random_.below(4) == 0 ? 18 : 6)];
    const SignedMessage made = signer.sign(random_.bytes(random_.below(80)));
    const Bn r(BN_bin2bn(made.signature.data(), 32, nullptr));
    const Bn s(BN_bin2bn(made.signature.data() + 32, 32, nullptr));
    Item item;
    item.key = made.key;
    item.input = rules.input == InputKind::kMessage ? made.message : made.digest;
    item.signature = encode(rules.encoding, r, s);
    item.stranger = stranger;
    item.what = "as signed";
    if (random_.below(2) == 0) mutate(rules, r, s, item);
    return item;
  }

 private:
  // 0, 1, n - 1, n, n + 1, p, 2^256 - 1.
  Bn edge() {
    Bn value = forge_.number(0);
    switch (random_.below(7)) {
      case 0:
        break;
      case 1:
        BN_one(value.get());
        break;
      case 2:
        BN_copy(value.get(), forge_.n());
        BN_sub_word(value.get(), 1);
        break;
      case 3:
        BN_copy(value.get(), forge_.n());
        break;
      case 4:
        BN_copy(value.get(), forge_.n());
        BN_add_word(value.get(), 1);
        break;
      case 5:
        BN_copy(value.get(), forge_.p());
        break;
      default:
        BN_set_bit(value.get(), 256);
        BN_sub_word(value.get(), 1);
    }
    return value;
  }
  Bn plus_n(const Bn& value) {
    Bn sum(BN_new());
    BN_add(sum.get(), value.get(), forge_.n());
    return sum;
  }

  void mutate(const Rules& rules, const Bn& r, const Bn& s, Item& item) {
    const auto set = [&](const Bn& new_r, const Bn& new_s, const char* what) {
      item.signature = encode(rules.encoding, new_r, new_s);
      item.what = what;
    };
    switch (random_.below(12)) {
      case 0:
        item.signature = random_.flip_one_bit(item.signature);
        item.what = "a bit of the signature";
        break;
      case 1:
        if (item.input.empty()) item.input.push_back(0);
        item.input = random_.flip_one_bit(item.input);
        item.what = "a bit of the input";
        break;
      case 2:
        set(edge(), s, "r at an edge");
        break;
      case 3:
        set(r, edge(), "s at an edge");
        break;
      case 4:
        set(edge(), edge(), "r and s at edges");
        break;
      case 5:
        set(r, forge_.sub(forge_.number(0), s), "n - s");
        break;
      case 6:
        set(r, plus_n(s), "s + n");
        break;
      case 7:
        set(plus_n(r), s, "r + n");
        break;
      case 8:
        item.key = signers_[random_.below(signers_.size())].public_key();
        item.what = "another key";
        break;
      case 9:
        mutate_key(item);
        break;
      case 10:
        item.signature.resize(random_.below(item.signature.size() + 2));
        item.what = "a signature of another length";
        break;
      default:
        item.input.resize(random_.below(2) == 0 ? 31 : 33);
        item.what = "an input of another length";
    }
  }

  void mutate_key(Item& item) {
    const Bytes x(item.key.begin() + 1, item.key.begin() + 33);
    const auto form = static_cast<std::uint8_t>(2 | (item.key.back() & 1));
    switch (random_.below(7)) {
      case 0:
        item.key = joined({form}, x);
        item.what = "the key compressed";
        break;
      case 1:
        item.key = joined({static_cast<std::uint8_t>(form ^ 1)}, x);
        item.what = "-Q";
        break;
      case 2:
        item.key = random_.flip_one_bit(item.key);
        item.what = "a bit of the key";
        break;
      case 3:
        item.key = Bytes(random_.below(2) == 0 ? 1 : 65, 0);
        item.what = "the infinity";
        break;
      case 4: {  // x + p stands for a point, but is none
        Bn over(BN_new());
        BN_add_word(over.get(), 5);  // 5 is the x of a point
        BN_add(over.get(), over.get(), forge_.p());
        item.key = joined({form}, bytes_of(P256Forge::bytes(over)));
        item.what = "x >= p";
        break;
      }
      case 5:
        item.key[0] = static_cast<std::uint8_t>(form | 4);
        item.what = "a hybrid key";
        break;
      default:
        item.key.resize(random_.below(70));
        item.what = "a key of another length";
    }
  }

  void make_forged() {
    const Bn zero = forge_.number(0);
    const Bn one = forge_.number(1);
    const Bn minus_one = forge_.sub(zero, one);
    const auto add = [&](ForgedSignature made) {
      ForgedSignature twin = made;
      twin.digest[31] ^= 1;
      twin.what += ", digest altered";
      forged_.push_back(std::move(made));
      forged_.push_back(std::move(twin));
    };
    for (int i = 0; i < 6; ++i) {
      const Bn u = forge_.random_scalar();
      const Bn v = forge_.random_scalar();
      add(forge_.with_x_over_n("x of the sum in [n, p)"));
      add(forge_.with_scalars(zero, u, v, "u1 = 0"));
      add(forge_.with_scalars(zero, one, v, "u1 = 0, u2 = 1"));
      add(forge_.with_scalars(u, u, one, "u1·G = u2·Q, Q = G"));
      add(forge_.with_scalars(u, v, forge_.over(u, v), "u1·G = u2·Q"));
      add(forge_.with_infinity(v, forge_.random_scalar(), "u1·G = -u2·Q"));
      add(forge_.with_infinity(v, one, "u1·G = -u2·Q, Q = G"));
      add(forge_.with_infinity(one, minus_one, "u1·G = -u2·Q, Q = -G"));
    }
    for (const Bn* q : {&one, &minus_one}) {
      for (const std::uint64_t u1 : {0, 1, 2, 3, 7}) {
        for (const std::uint64_t u2 : {1, 2, 3, 7}) {
          if (q == &minus_one && u1 == u2) continue;
          add(forge_.with_scalars(forge_.number(u1), forge_.number(u2), *q, "small, Q = ±G"));
        }
      }
    }
  }

  Item forged(const Rules& rules) {
    const ForgedSignature& made = forged_[random_.below(forged_.size())];
    const Bytes scalars = bytes_of(made.signature);
    const Bn r(BN_bin2bn(scalars.data(), 32, nullptr));
    Bn s(BN_bin2bn(scalars.data() + 32, 32, nullptr));
    Item item;
    if (random_.below(8) == 0) {
      BN_zero(r.get());
      item.what = "u2 = 0, ";
    }
    item.key = bytes_of(made.public_key);
    item.input = bytes_of(made.digest);
    item.signature = encode(rules.encoding, r, s);
    item.what += made.what;
    item.stranger = true;
    return item;
  }

  const P256Signer& new_signer() {
    stranger_.emplace(forge_.random_scalar().get());
    return *stranger_;
  }

  Random random_;
  P256Forge forge_;
  std::vector<P256Signer> signers_;
  std::vector<ForgedSignature> forged_;
  std::optional<P256Signer> stranger_;
};

// --- who verifies --------------------------------------------------------------------------------

// A backend with the signers' keys enrolled; in every way it has.
class Contender {
 public:
  Contender(std::string name, const BackendImplementation& backend,
            const std::vector<P256Signer>& signers)
      : name_(std::move(name)),
        backend_(backend),
        registry_(std::make_unique<KeyRegistry::Storage>(backend)) {
    for (const P256Signer& signer : signers) {
      const Bytes& key = signer.public_key();
      const KeyId id = registry_.add(Scheme::kEcdsaP256Sha256, key).value();
      ids_.emplace(text_of(key), id);
    }
  }

  [[nodiscard]] const std::string& name() const { return name_; }

  void verify(const Rules& rules, const std::vector<Item>& items, unsigned threads) const {
    verify(rules, items, threads, /*by_id=*/false);
    verify(rules, items, threads, /*by_id=*/true);
  }

 private:
  void verify(const Rules& rules, const std::vector<Item>& items, unsigned threads,
              bool by_id) const {
    BatchBuilder builder(rules);
    std::vector<KeyId> ids;
    std::vector<const Item*> chosen;
    for (const Item& item : items) {
      const auto id = ids_.find(text_of(item.key));
      if (by_id && id == ids_.end()) continue;
      if (by_id) ids.push_back(id->second);
      builder.add(item.key, item.input, item.signature);
      chosen.push_back(&item);
    }
    if (by_id && chosen.empty()) return;
    VerifyBatch batch = builder.batch();
    batch.threads = threads;
    if (by_id) {
      batch.public_keys = {};
      batch.key_ids = ids;
      batch.registry = &registry_;
    }
    std::vector<Verdict> verdicts(chosen.size());
    const Result<void> done = verify_batch_on(backend_, batch, verdicts);
    ASSERT_TRUE(done.ok()) << name_ << ": " << done.error().message;
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      ASSERT_EQ(verdicts[i], chosen[i]->expected)
          << name_ << (by_id ? ", enrolled" : ", as bytes") << ", place " << i << " of "
          << chosen.size() << ", " << threads << " threads: " << chosen[i]->what << ": key "
          << hex(chosen[i]->key) << " input " << hex(chosen[i]->input) << " signature "
          << hex(chosen[i]->signature);
    }
  }

  const std::string name_;
  const BackendImplementation& backend_;
  KeyRegistry registry_;
  std::map<std::string, KeyId> ids_;
};

// Each set of kernels twice, with tables and without, each with a budget of its own.
class P256Differential : public testing::Test {
 protected:
  P256Differential() : maker_(0x5eed0050) {
    contenders_.push_back(
        std::make_unique<Contender>("openssl", openssl_backend(), maker_.signers()));
#if COLOPHON_CUDA
    enter_gpu();
    if (gpu_is_emulated_) return;  // the others run in a program of their own
#endif
    enter(kernels::kP256Portable);
#if COLOPHON_AVX512
    const char* missing = nullptr;
    if (kernels::cpu_has_avx512(&missing)) {
      enter(kernels::kP256Avx512);
    } else {
      std::cout << "avx512 is not compared: " << missing << "\n";
    }
#endif
  }
  ~P256Differential() override { contenders_.clear(); }

  void enter(const kernels::P256Kernels& kernels) {
    for (const bool tables : {true, false}) {
      enter(kernels.name, make_cpu_backend(kernels, "for tests", false), tables);
    }
  }
  void enter(const std::string& name, std::unique_ptr<const BackendImplementation> backend,
             bool tables) {
    EXPECT_TRUE(backend->set_table_memory_max(tables ? std::size_t{64} << 20 : 0).ok());
    backends_.push_back(std::move(backend));
    contenders_.push_back(std::make_unique<Contender>(
        name + (tables ? " with tables" : " without tables"), *backends_.back(), maker_.signers()));
  }
#if COLOPHON_CUDA
  // With buffers so small that batches need many of them.
  void enter_gpu() {
    CudaOptions options;
    options.with_table_max = 1'024;
    options.without_max = 192;
    for (const bool tables : {true, false}) {
      auto gpu = make_cuda_backend(options, best_cpu_backend);
      if (const std::string why = gpu->unsupported_reason(); !why.empty()) {
        std::cout << "cuda is not compared: " << why << "\n";
        return;
      }
      gpus_.push_back(gpu.get());
      gpu_is_emulated_ = gpu->device()->name == "Colophon GPU emulator";
      enter("cuda", std::move(gpu), tables);
    }
  }
#endif
  [[nodiscard]] bool is_brief() const { return gpu_is_emulated_ && !is_long(); }

  // What the CPU has done in a GPU's place proves nothing.
  void TearDown() override {
    for (const BackendImplementation* gpu : gpus_) {
      EXPECT_EQ(gpu->device()->faults, 0U) << gpu->device()->last_fault;
      EXPECT_EQ(gpu->device()->signatures_on_cpu, 0U);
      EXPECT_GT(gpu->device()->signatures, 0U);
    }
  }

  std::vector<Item> make(const Rules& rules, std::size_t count) {
    std::vector<Item> items;
    for (std::size_t i = 0; i < count; ++i) {
      items.push_back(maker_.make(rules));
      items.back().expected = referee_.decide(rules, items.back());
      ++verdicts_[items.back().expected];
    }
    return items;
  }
  void compare(const Rules& rules, const std::vector<Item>& items, unsigned threads) {
    for (const auto& contender : contenders_) {
      contender->verify(rules, items, threads);
      if (HasFatalFailure()) return;
    }
  }

  Maker maker_;
  Referee referee_;
  std::vector<std::unique_ptr<const BackendImplementation>> backends_;
  std::vector<std::unique_ptr<Contender>> contenders_;
  std::map<Verdict, std::size_t> verdicts_;
  std::vector<const BackendImplementation*> gpus_;
  bool gpu_is_emulated_ = false;
};

constexpr std::size_t kSignatures = kIsDebug ? 4'000 : 20'000;
constexpr std::size_t kSignaturesLong = kIsDebug ? 40'000 : 1'000'000;
constexpr std::size_t kSignaturesEmulatedLong = kIsDebug ? 20'000 : 100'000;
constexpr std::size_t kSignaturesEmulated = 5'000;

Rules rules_of(std::size_t number) {
  Rules rules;
  rules.encoding = (number & 1) != 0 ? SignatureEncoding::kDer : SignatureEncoding::kRaw;
  rules.input = (number & 2) != 0 ? InputKind::kMessage : InputKind::kDigest;
  rules.profile = (number & 4) != 0 ? Profile::kLowS : Profile::kStandard;
  return rules;
}

TEST_F(P256Differential, EveryBackendAgreesWithOpenssl) {
  // Around a vector of eight, 24 of them (from where on all are added at once), a thread's share
  // and the kernels' largest call. The largest in the middle, for runs that end there.
  constexpr std::size_t kSizes[] = {
      0,   1,   2,   7,   8,   9,     15,    16,    17,    23,    24,    25,  12,  33,  183,
      184, 185, 191, 192, 193, 200,   512,   65,    127,   129,   4'097, 511, 513, 767, 768,
      769, 199, 64,  63,  32,  1'023, 1'024, 1'025, 1'537, 4'095, 4'096, 31,  400};
  constexpr unsigned kThreads[] = {1, 2, 3, 8};
  const std::size_t wanted = gpu_is_emulated_
                                 ? (is_long() ? kSignaturesEmulatedLong : kSignaturesEmulated)
                                 : (is_long() ? kSignaturesLong : kSignatures);
  std::size_t checked = 0;
  for (std::size_t round = 0; checked < wanted; ++round) {
    const Rules rules = rules_of(maker_.random().below(8));
    const std::vector<Item> items = make(rules, kSizes[round % std::size(kSizes)]);
    compare(rules, items, kThreads[maker_.random().below(4)]);
    ASSERT_FALSE(HasFatalFailure()) << "round " << round;
    checked += items.size();
  }
  std::cout << "P-256: " << checked << " signatures, " << verdicts_[Verdict::kValid]
            << " of them valid, as OpenSSL has them, on:";
  for (const auto& contender : contenders_) std::cout << " " << contender->name() << ";";
  std::cout << "\n";
  // All that ECDSA can say was said.
  for (const Verdict verdict :
       {Verdict::kValid, Verdict::kBadKey, Verdict::kBadEncoding, Verdict::kOutOfRange,
        Verdict::kHighS, Verdict::kBadDigest, Verdict::kMismatch}) {
    EXPECT_GT(verdicts_[verdict], 10U) << verdict_reason(verdict);
  }
}

// One among its opposites, in every place of a vector and around a batch's ends.
TEST_F(P256Differential, EveryPlaceHasItsOwnVerdict) {
  std::vector<Item> good;
  std::vector<Item> bad;
  for (std::size_t i = 0; good.size() < 8; ++i) {
    const SignedMessage made = maker_.signers()[i].sign("place " + std::to_string(i));
    good.push_back({made.key, made.message, made.signature, "good", false, Verdict::kValid});
    bad.push_back({made.key, bytes_of("no"), made.signature, "bad", false, Verdict::kMismatch});
  }
  const std::pair<std::size_t, std::vector<std::size_t>> places_of_size[] = {
      {8, {0, 1, 2, 3, 4, 5, 6, 7}},
      {9, {0, 7, 8}},
      {197, {0, 1, 2, 3, 4, 5, 6, 7, 8, 191, 192, 195, 196}}};
  for (const auto& [size, places] : places_of_size) {
    for (const std::size_t at : places) {
      // An emulated GPU takes its time; every lane of a warp has its turn in tests/kernels.
      if (is_brief() && at != 0 && at != size - 1) continue;
      for (const bool valid : {false, true}) {
        std::vector<Item> items;
        for (std::size_t i = 0; i < size; ++i) {
          items.push_back((i == at) == valid ? good[i % 8] : bad[i % 8]);
        }
        for (std::size_t k = 1; k < contenders_.size(); ++k) {  // openssl goes one by one
          contenders_[k]->verify({Scheme::kEcdsaP256Sha256}, items, 1);
        }
        ASSERT_FALSE(HasFatalFailure());
      }
    }
  }
}

// Equal signatures side by side: every addition of the batch has the same two points.
TEST_F(P256Differential, OneSignatureManyTimes) {
  for (const std::size_t rule : {0U, 1U}) {
    const Rules rules = rules_of(rule);
    for (int i = 0; i < (is_brief() ? 1 : 6); ++i) {
      const std::vector<Item> one = make(rules, 1);
      compare(rules, std::vector<Item>(8, one.front()), 1);
      compare(rules, std::vector<Item>(193, one.front()), 1);
      ASSERT_FALSE(HasFatalFailure());
    }
  }
}

}  // namespace
}  // namespace colophon::test
