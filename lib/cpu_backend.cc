// SPDX-License-Identifier: Apache-2.0
//
// Backends on our own kernels for the CPU: `avx512` and `portable`. ECDSA P-256 is theirs; what has
// no kernel yet is OpenSSL's.
#include "cpu_backend.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "kernels/cpu.h"
#include "openssl_digest.h"
#include "p256_tables.h"

namespace colophon {
namespace {

// Less is not worth a thread: starting one costs about as much as verifying fifty signatures.
constexpr std::size_t kItemsPerThreadMin = 512;

// Signatures that take the same way: keys with tables of `bits`, or (0) without.
struct Group {
  unsigned bits = 0;
  std::vector<std::uint32_t> items;
  std::vector<const void*> tables;  // one an item
};

// A run of one group's items, small enough for the caches.
struct Piece {
  const Group* group;
  std::size_t first, count;
};

// Memory that verification works in, kept from call to call: fresh pages cost more than the
// arithmetic done in them. Kept are no more pieces than the machine can use at once, however many
// threads have ever verified together.
class ScratchPool {
 public:
  explicit ScratchPool(const kernels::P256Kernels& kernels)
      : kernels_(kernels), kept_max_(std::max(std::thread::hardware_concurrency(), 1U)) {
    free_.reserve(kept_max_);
  }

  // Enough for kVerifyCountMax signatures; only what is used becomes real memory.
  [[nodiscard]] Result<std::shared_ptr<void>> take() {
    std::shared_ptr<void> memory;
    {
      const std::scoped_lock guard(mutex_);
      if (!free_.empty()) {
        memory = std::move(free_.back());
        free_.pop_back();
      }
    }
    if (!memory) {
      COLOPHON_TRY_ASSIGN(
          memory, allocate_table_memory(kernels_.verify_memory_bytes(kernels::kVerifyCountMax)));
    }
    // Back to the pool when the batch is done with it.
    void* const address = memory.get();
    return std::shared_ptr<void>(address, [this, memory](void*) mutable {
      const std::scoped_lock guard(mutex_);
      if (free_.size() < kept_max_) free_.push_back(std::move(memory));
    });
  }

 private:
  const kernels::P256Kernels& kernels_;
  const std::size_t kept_max_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<void>> free_;
};

class P256Batch {
 public:
  P256Batch(const kernels::P256Kernels& kernels, P256Tables& tables, ScratchPool& pool,
            const VerifyWork& work)
      : kernels_(kernels), tables_(tables), pool_(pool), work_(work) {}

  [[nodiscard]] Result<void> run() {
    make_groups();
    COLOPHON_TRY_ASSIGN(generator_, tables_.generator(work_.items.size()));
    const std::size_t count = work_.items.size();
    const std::size_t threads_useful =
        std::clamp<std::size_t>(count / kItemsPerThreadMin, 1, std::max(work_.threads, 1U));
    const std::size_t piece =
        std::min(kernels::kVerifyCountMax, (count + threads_useful - 1) / threads_useful);
    for (const auto& [bits, group] : groups_) {
      for (std::size_t at = 0; at < group.items.size(); at += piece) {
        pieces_.push_back({&group, at, std::min(piece, group.items.size() - at)});
      }
    }
    std::vector<Scratch> scratch(std::min(threads_useful, pieces_.size()));
    for (Scratch& one : scratch) {
      COLOPHON_TRY_ASSIGN(one.memory, pool_.take());
      one.items.resize(piece);
      one.digests.resize(work_.input == InputKind::kMessage ? piece : 0);
      one.valid.resize(piece);
    }
    std::vector<std::jthread> helpers;  // joined whichever way this is left
    try {
      for (std::size_t i = 1; i < scratch.size(); ++i) {
        helpers.emplace_back([this, &scratch, i] { take_pieces(scratch[i]); });
      }
    } catch (const std::exception&) {
      // No more threads to be had: those there are do it all.
    }
    take_pieces(scratch[0]);
    return {};
  }

 private:
  // Of one thread; all memory is there before the thread is.
  struct Scratch {
    std::shared_ptr<void> memory;
    std::vector<kernels::EcdsaItem> items;
    std::vector<Digest> digests;
    std::vector<std::uint8_t> valid;
  };

  void make_groups() {
    for (std::size_t at = 0; at < work_.items.size();) {
      const std::uint32_t key_index = work_.key_of[work_.items[at]];
      std::size_t end = at + 1;
      while (end < work_.items.size() && work_.key_of[work_.items[end]] == key_index) ++end;
      const BatchKey& key = work_.keys[key_index];
      P256TablePtr table = tables_.acquire(*key.key, key.prepared, end - at);
      Group& group = groups_[table ? table->bits : 0];
      group.bits = table ? table->bits : 0;
      group.items.insert(group.items.end(), work_.items.begin() + static_cast<std::ptrdiff_t>(at),
                         work_.items.begin() + static_cast<std::ptrdiff_t>(end));
      group.tables.insert(group.tables.end(), end - at, table ? table->memory.get() : nullptr);
      if (table) in_use_.push_back(std::move(table));
      at = end;
    }
  }

  void take_pieces(Scratch& scratch) noexcept {
    auto& [memory, items, digests, valid] = scratch;
    for (std::size_t i = next_++; i < pieces_.size(); i = next_++) {
      const Piece& piece = pieces_[i];
      for (std::size_t k = 0; k < piece.count; ++k) {
        const std::uint32_t item = piece.group->items[piece.first + k];
        const ByteSpan input = work_.inputs[item];
        if (work_.input == InputKind::kMessage) digests[k] = sha256(input);
        items[k] = {work_.signatures[item].data(),
                    work_.input == InputKind::kMessage ? digests[k].data() : input.data(),
                    work_.keys[work_.key_of[item]].key->bytes.data(),
                    piece.group->tables[piece.first + k]};
      }
      if (piece.group->bits == 0) {
        kernels_.verify_unknown(items.data(), piece.count, generator_->memory.get(),
                                generator_->bits, valid.data(), memory.get());
      } else {
        kernels_.verify_enrolled(items.data(), piece.count, piece.group->bits,
                                 generator_->memory.get(), generator_->bits, valid.data(),
                                 memory.get());
      }
      for (std::size_t k = 0; k < piece.count; ++k) {
        work_.verdicts[piece.group->items[piece.first + k]] =
            valid[k] != 0 ? Verdict::kValid : Verdict::kMismatch;
      }
    }
  }

  const kernels::P256Kernels& kernels_;
  P256Tables& tables_;
  ScratchPool& pool_;
  const VerifyWork& work_;
  std::map<unsigned, Group> groups_;
  std::vector<P256TablePtr> in_use_;
  P256TablePtr generator_;
  std::vector<Piece> pieces_;
  std::atomic<std::size_t> next_ = 0;
};

class CpuBackend final : public BackendImplementation {
 public:
  CpuBackend(const kernels::P256Kernels& kernels, std::string what, bool needs_avx512)
      : kernels_(kernels),
        what_(std::move(what)),
        needs_avx512_(needs_avx512),
        tables_(kernels),
        scratch_(kernels) {}

  [[nodiscard]] std::string_view name() const noexcept override { return kernels_.name; }
  [[nodiscard]] std::string description() const override {
    return "ECDSA P-256 on " + what_ + "; all else as openssl";
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
    return P256Batch(kernels_, tables_, scratch_, work).run();
  }

  [[nodiscard]] Result<void> hash(HashAlgorithm algorithm, const Slices& messages,
                                  std::span<Digest> digests) const override {
    return openssl_backend().hash(algorithm, messages, digests);
  }
  [[nodiscard]] Result<void> merkle_leaf_hashes(const Slices& leaves,
                                                std::span<Digest> leaf_hashes) const override {
    return openssl_backend().merkle_leaf_hashes(leaves, leaf_hashes);
  }
  [[nodiscard]] Result<void> merkle_parents(std::span<const Digest> nodes,
                                            std::span<Digest> parents) const override {
    return openssl_backend().merkle_parents(nodes, parents);
  }

  void set_table_memory_max(std::size_t bytes) const override { tables_.set_memory_max(bytes); }
  [[nodiscard]] TableMemory table_memory() const override { return tables_.memory(); }

 private:
  const kernels::P256Kernels& kernels_;
  const std::string what_;
  const bool needs_avx512_;
  mutable P256Tables tables_;  // caches: they change no answer
  mutable ScratchPool scratch_;
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
