// SPDX-License-Identifier: Apache-2.0
#include "cpu_hash.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <optional>
#include <vector>

#include "kernels/cpu.h"
#include "slices_shape.h"

namespace colophon {
namespace {

using kernels::HashKernel;

// Of an algorithm's choice.
std::size_t index_of(HashAlgorithm algorithm) { return static_cast<std::size_t>(algorithm) - 1; }

#if COLOPHON_AVX512
// How long a kernel takes for some pairs of SHA-256 digests: the shortest of a few times, since
// whatever else the machine does only ever adds.
std::chrono::nanoseconds time_of(const HashKernel& kernel) {
  constexpr std::size_t kPairs = 96;
  constexpr int kTimes = 5;
  std::array<std::uint8_t, 64 * kPairs> nodes{};
  std::array<std::uint8_t, 32 * kPairs> parents;
  auto least = std::chrono::nanoseconds::max();
  for (int i = 0; i < kTimes; ++i) {
    const auto start = std::chrono::steady_clock::now();
    kernel.fixed(kernels::kNoPrefix, nodes.data(), 64, kPairs, parents.data());
    least = std::min<std::chrono::nanoseconds>(least, std::chrono::steady_clock::now() - start);
  }
  return least;
}

// SHA-NI or AVX-512: which is faster depends on the CPU. Where sha256rnds2 takes one cycle in two
// (AMD's, since Zen) it is SHA-NI, elsewhere sixteen lanes; a measurement may say otherwise, but
// only clearly, for it is short.
const HashKernel& faster_sha256() {
  if (!kernels::cpu_has_sha_ni()) return kernels::kSha256Avx512;
  const bool prefer_sha_ni = kernels::cpu_is_amds();
  const auto sha_ni = time_of(kernels::kSha256ShaNi);
  const auto lanes = time_of(kernels::kSha256Avx512);
  const bool is_sha_ni = prefer_sha_ni ? sha_ni.count() * 10 <= lanes.count() * 11
                                       : sha_ni.count() * 11 < lanes.count() * 10;
  return is_sha_ni ? kernels::kSha256ShaNi : kernels::kSha256Avx512;
}
#endif

class KernelStream final : public HashStream::State {
 public:
  explicit KernelStream(const HashKernel& kernel) : kernel_(kernel) { kernel_.begin(&state_); }
  [[nodiscard]] Result<void> update(ByteSpan bytes) override {
    kernel_.update(&state_, bytes.data(), bytes.size());
    return {};
  }
  [[nodiscard]] Result<void> finish(std::span<std::uint8_t> digest) override {
    kernel_.finish(&state_, digest.data());
    kernel_.begin(&state_);
    return {};
  }

 private:
  const HashKernel& kernel_;
  kernels::HashState state_;
};

class Blake3Stream final : public HashStream::State {
 public:
  Blake3Stream(const HashKernel& kernel, kernels::Blake3Mode mode, const std::uint8_t* key)
      : kernel_(kernel), mode_(mode) {
    if (key != nullptr) std::memcpy(key_.emplace().data(), key, sizeof(Digest));
    begin();
  }
  [[nodiscard]] Result<void> update(ByteSpan bytes) override {
    kernel_.update(&state_, bytes.data(), bytes.size());
    return {};
  }
  [[nodiscard]] Result<void> finish(std::span<std::uint8_t> digest) override {
    kernels::blake3_output(&state_, 0, digest.data(), digest.size());
    begin();
    return {};
  }

 private:
  void begin() { kernels::blake3_begin(&state_, mode_, key_ ? key_->data() : nullptr); }

  const HashKernel& kernel_;
  const kernels::Blake3Mode mode_;
  std::optional<Digest> key_;
  kernels::HashState state_;
};

}  // namespace

void CpuHash::choose() const {
  const HashKernel* sha256 = &kernels::kSha256Portable;
#if defined(__x86_64__)
  if (kernels::cpu_has_sha_ni()) sha256 = &kernels::kSha256ShaNi;
#endif
  choices_ = {Choice{sha256},
              {&kernels::kSha512Portable},
              {&kernels::kSm3Portable},
              {&kernels::kBlake3Portable},
              {&kernels::kKeccak256Portable}};
#if COLOPHON_AVX512
  // A set of lanes takes as long as a third of its messages one by one, about.
  const std::array<Choice, kAlgorithms> one_by_one = choices_;
  const auto in_lanes = [&](HashAlgorithm algorithm, const HashKernel& kernel, std::size_t lanes) {
    const std::size_t i = index_of(algorithm);
    choices_[i] = {&kernel, one_by_one[i].kernel, lanes / 3};
  };
  if (kernels::cpu_has_avx2()) {
    if (sha256 != &kernels::kSha256ShaNi) in_lanes(HashAlgorithm::kSha256, kernels::kSha256Avx2, 8);
    in_lanes(HashAlgorithm::kSha512, kernels::kSha512Avx2, 4);
    in_lanes(HashAlgorithm::kSm3, kernels::kSm3Avx2, 8);
    in_lanes(HashAlgorithm::kBlake3, kernels::kBlake3Avx2,
             1);  // a message's chunks have lanes, too
    in_lanes(HashAlgorithm::kKeccak256, kernels::kKeccak256Avx2, 4);
  }
  if (!avx512_) return;
  if (const HashKernel& faster = faster_sha256(); &faster != sha256) {
    in_lanes(HashAlgorithm::kSha256, faster, 32);
  }
  in_lanes(HashAlgorithm::kSha512, kernels::kSha512Avx512, 8);
  in_lanes(HashAlgorithm::kSm3, kernels::kSm3Avx512, 32);
  in_lanes(HashAlgorithm::kBlake3, kernels::kBlake3Avx512, 1);
  in_lanes(HashAlgorithm::kKeccak256, kernels::kKeccak256Avx512, 8);
#endif
}

const CpuHash::Choice& CpuHash::choice(HashAlgorithm algorithm) const {
  std::call_once(chosen_, [this] { choose(); });
  return choices_[index_of(algorithm)];
}

void CpuHash::hash(const HashForm& form, const Slices& messages, std::uint8_t* digests) const {
  const HashKernel& with = choice(form.algorithm).of(messages.size());
  if (const std::size_t length = length_of_each(messages); length != 0) {
    with.fixed(form.prefix, messages[0].data(), length, messages.size(), digests);
  } else {
    // As many at a time as their addresses take little memory.
    constexpr std::size_t kAtOnce = 4096;
    std::vector<kernels::HashInput> inputs(std::min(kAtOnce, messages.size()));
    for (std::size_t first = 0; first < messages.size(); first += inputs.size()) {
      const std::size_t count = std::min(inputs.size(), messages.size() - first);
      for (std::size_t i = 0; i < count; ++i) {
        inputs[i] = {messages[first + i].data(), messages[first + i].size()};
      }
      with.many(form.prefix, inputs.data(), count, digests + first * with.digest_bytes);
    }
  }
  if (form.twice) {
    with.fixed(kernels::kNoPrefix, digests, with.digest_bytes, messages.size(), digests);
  }
}

void CpuHash::hash_pairs(const HashForm& form, const std::uint8_t* nodes, std::size_t count,
                         std::uint8_t* parents) const {
  const HashKernel& with = choice(form.algorithm).of(count);
  with.fixed(form.prefix, nodes, 2 * with.digest_bytes, count, parents);
  if (form.twice) with.fixed(kernels::kNoPrefix, parents, with.digest_bytes, count, parents);
}

std::unique_ptr<HashStream::State> CpuHash::stream(const StreamForm& form) const {
  // One message: only BLAKE3's has parts for several lanes.
  const HashKernel& kernel = choice(form.algorithm).of(1);
  if (form.algorithm == HashAlgorithm::kBlake3) {
    return std::make_unique<Blake3Stream>(kernel, form.mode, form.key);
  }
  return std::make_unique<KernelStream>(kernel);
}

std::string CpuHash::kernels() const {
  std::string text;
  for (std::size_t i = 0; i < kAlgorithms; ++i) {
    const auto algorithm = static_cast<HashAlgorithm>(i + 1);
    if (i != 0) text += ", ";
    text += std::string(hash_name(algorithm)) + " " + choice(algorithm).kernel->name;
  }
  return text;
}

}  // namespace colophon
