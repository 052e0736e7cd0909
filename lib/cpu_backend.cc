// SPDX-License-Identifier: Apache-2.0
//
// Backends on our own kernels for the CPU: `avx512` and `portable`. ECDSA P-256 and hashing are
// theirs; the other schemes are OpenSSL's.
#include "cpu_backend.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <memory_resource>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cpu_hash.h"
#include "kernels/cpu.h"
#include "openssl_digest.h"
#include "p256_plan.h"
#include "p256_tables.h"
#include "threads.h"

namespace colophon {
namespace {

// What one thread verifies a piece in.
struct Scratch {
  std::shared_ptr<void> memory;
  kernels::EcdsaItem* items = nullptr;
  Digest* digests = nullptr;
  std::uint8_t* valid = nullptr;
  void* kernel = nullptr;
};

// Scratch kept from call to call: fresh pages cost more than the arithmetic done in them. Kept are
// no more than the machine can use at once, however many threads have ever verified together.
class ScratchPool {
 public:
  explicit ScratchPool(const kernels::P256Kernels& kernels)
      : kernels_(kernels), kept_max_(std::max(std::thread::hardware_concurrency(), 1U)) {
    free_.reserve(kept_max_);
  }

  // Enough for kVerifyCountMax signatures; only what is used becomes real memory. Error kInternal:
  // out of memory.
  [[nodiscard]] Result<Scratch> take() {
    {
      const std::scoped_lock guard(mutex_);
      if (!free_.empty()) {
        Scratch scratch = std::move(free_.back());
        free_.pop_back();
        return scratch;
      }
    }
    constexpr std::size_t kCount = kernels::kVerifyCountMax;
    Scratch scratch;
    COLOPHON_TRY_ASSIGN(scratch.memory, allocate_huge_pages(kernels_.verify_memory_bytes(kCount) +
                                                            kCount * (sizeof(*scratch.items) +
                                                                      sizeof(Digest) + 1)));
    auto* at = static_cast<std::uint8_t*>(scratch.memory.get());
    scratch.items = reinterpret_cast<kernels::EcdsaItem*>(at);
    at += kCount * sizeof(*scratch.items);
    scratch.digests = reinterpret_cast<Digest*>(at);
    at += kCount * sizeof(Digest);
    scratch.valid = at;
    at += kCount;
    scratch.kernel = at;
    return scratch;
  }
  void give_back(Scratch scratch) noexcept {
    const std::scoped_lock guard(mutex_);
    if (scratch.memory && free_.size() < kept_max_) free_.push_back(std::move(scratch));
  }

 private:
  const kernels::P256Kernels& kernels_;
  const std::size_t kept_max_;
  std::mutex mutex_;
  std::vector<Scratch> free_;
};

class P256Batch {
  // Less is not worth a thread: starting one costs about as much as verifying fifty signatures.
  static constexpr std::size_t kItemsPerThreadMin = 512;

 public:
  P256Batch(const kernels::P256Kernels& kernels, P256Tables& tables, ScratchPool& pool,
            const VerifyWork& work)
      : kernels_(kernels),
        pool_(pool),
        work_(work),
        threads_(useful_threads(work.items.size(), kItemsPerThreadMin, work.threads)),
        plan_(work, tables, piece_max(), piece_max()),
        scratch_(work.memory) {}
  P256Batch(const P256Batch&) = delete;
  P256Batch& operator=(const P256Batch&) = delete;
  ~P256Batch() {
    for (Scratch& scratch : scratch_) pool_.give_back(std::move(scratch));
  }

  [[nodiscard]] Result<void> run(P256Tables& tables) {
    COLOPHON_TRY_ASSIGN(generator_, tables.generator(work_.items.size()));
    const std::size_t threads = std::min(threads_, plan_.pieces().size());
    scratch_.reserve(threads);
    while (scratch_.size() < threads) {
      Result<Scratch> scratch = pool_.take();
      if (!scratch && !scratch_.empty()) break;  // fewer threads, then
      if (!scratch) return std::move(scratch).error();
      scratch_.push_back(std::move(scratch).value());
    }
    run_on_threads(scratch_.size(), [this](std::size_t i) { take_pieces(scratch_[i]); });
    return {};
  }

 private:
  // Few enough for the caches, and a share for every thread.
  [[nodiscard]] std::size_t piece_max() const {
    return std::min(kernels::kVerifyCountMax, (work_.items.size() + threads_ - 1) / threads_);
  }

  void take_pieces(const Scratch& scratch) {
    for (std::size_t i = next_++; i < plan_.pieces().size(); i = next_++) {
      const P256Piece& piece = plan_.pieces()[i];
      const std::span entries = plan_.entries(piece);
      for (std::size_t k = 0; k < piece.count; ++k) {
        const auto [item, table] = entries[k];
        const ByteSpan input = work_.inputs[item];
        if (work_.input == InputKind::kMessage) scratch.digests[k] = sha256(input);
        scratch.items[k] = {
            work_.signatures[item].data(),
            work_.input == InputKind::kMessage ? scratch.digests[k].data() : input.data(),
            work_.keys[work_.key_of[item]].key->bytes.data(), table};
      }
      if (piece.bits == 0) {
        kernels_.verify_unknown(scratch.items, piece.count, generator_->memory.get(),
                                generator_->bits, scratch.valid, scratch.kernel);
      } else {
        kernels_.verify_enrolled(scratch.items, piece.count, piece.bits, generator_->memory.get(),
                                 generator_->bits, scratch.valid, scratch.kernel);
      }
      for (std::size_t k = 0; k < piece.count; ++k) {
        work_.verdicts[entries[k].item] =
            scratch.valid[k] != 0 ? Verdict::kValid : Verdict::kMismatch;
      }
    }
  }

  const kernels::P256Kernels& kernels_;
  ScratchPool& pool_;
  const VerifyWork& work_;
  const std::size_t threads_;
  const P256Plan plan_;
  P256TablePtr generator_;
  std::pmr::vector<Scratch> scratch_;  // one a thread; all memory is there before the thread is
  std::atomic<std::size_t> next_ = 0;
};

class CpuBackend final : public BackendImplementation {
 public:
  CpuBackend(const kernels::P256Kernels& kernels, std::string what, bool needs_avx512)
      : kernels_(kernels),
        what_(std::move(what)),
        needs_avx512_(needs_avx512),
        maker_(kernels),
        tables_(maker_, table_memory_default()),
        scratch_(kernels),
        hash_(needs_avx512) {}

  [[nodiscard]] std::string_view name() const noexcept override { return kernels_.name; }
  [[nodiscard]] std::string description() const override {
    return "ECDSA P-256 and hashing on " + what_ + "; the other schemes as openssl";
  }
  [[nodiscard]] std::string unsupported_reason() const override {
    const char* missing = nullptr;
    if (needs_avx512_ && !kernels::cpu_has_avx512(&missing)) return missing;
    return {};
  }

  [[nodiscard]] Result<std::unique_ptr<PreparedKey>> prepare_key(
      const PublicKey& key) const override {
    if (key.scheme != Scheme::kEcdsaP256Sha256) return openssl_backend().prepare_key(key);
    return tables_.enrol(key);
  }
  [[nodiscard]] Result<void> verify(const VerifyWork& work) const override {
    if (work.scheme != Scheme::kEcdsaP256Sha256) return openssl_backend().verify(work);
    return P256Batch(kernels_, tables_, scratch_, work).run(tables_);
  }
  [[nodiscard]] std::size_t large_batch_min() const override { return kernels_.large_min; }

  [[nodiscard]] Result<void> hash(const HashForm& form, const Slices& messages,
                                  std::uint8_t* digests) const override {
    hash_.hash(form, messages, digests);
    return {};
  }
  [[nodiscard]] Result<void> hash_pairs(const HashForm& form, const std::uint8_t* nodes,
                                        std::size_t count, std::uint8_t* parents) const override {
    hash_.hash_pairs(form, nodes, count, parents);
    return {};
  }
  [[nodiscard]] Result<std::unique_ptr<HashStream::State>> hash_stream(
      const StreamForm& form) const override {
    return hash_.stream(form);
  }
  [[nodiscard]] std::string hashing() const override { return hash_.kernels(); }

  [[nodiscard]] Result<void> set_table_memory_max(std::size_t bytes) const override {
    tables_.set_memory_max(bytes);
    return {};
  }
  [[nodiscard]] TableMemory table_memory() const override { return tables_.memory(); }

 private:
  const kernels::P256Kernels& kernels_;
  const std::string what_;
  const bool needs_avx512_;
  const P256CpuTableMaker maker_;
  mutable P256Tables tables_;  // caches: they change no answer
  mutable ScratchPool scratch_;
  const CpuHash hash_;
};

}  // namespace

std::unique_ptr<const BackendImplementation> make_cpu_backend(const kernels::P256Kernels& kernels,
                                                              std::string what, bool needs_avx512) {
  return std::make_unique<const CpuBackend>(kernels, std::move(what), needs_avx512);
}

const BackendImplementation& portable_backend() {
  // Not destroyed: keys enrolled in registries of static storage may outlive any order of
  // destruction.
  static const auto* const backend =
      make_cpu_backend(kernels::kP256Portable, "64-bit integers", /*needs_avx512=*/false).release();
  return *backend;
}

#if COLOPHON_AVX512
const BackendImplementation& avx512_backend() {
  static const auto* const backend =
      make_cpu_backend(kernels::kP256Avx512, "AVX-512 IFMA, eight at a time", /*needs_avx512=*/true)
          .release();
  return *backend;
}
#endif

}  // namespace colophon
