// SPDX-License-Identifier: Apache-2.0
//
// The hash functions of a backend on the CPU: which kernel does each algorithm, and batches cut
// into the shapes that kernels take.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "backend_implementation.h"
#include "kernels/hash.h"

namespace colophon {

// Thread-safe.
class CpuHash {
 public:
  // `avx512`: its kernels may be used, once the backend has said that the CPU has it.
  explicit CpuHash(bool avx512) : avx512_(avx512) {}

  // As BackendImplementation's.
  void hash(const HashForm& form, const Slices& messages, std::uint8_t* digests) const;
  void hash_pairs(const HashForm& form, const std::uint8_t* nodes, std::size_t count,
                  std::uint8_t* parents) const;
  [[nodiscard]] std::unique_ptr<HashStream::State> stream(const StreamForm& form) const;
  // "sha256 sha-ni, sha512 avx512, …".
  [[nodiscard]] std::string kernels() const;

 private:
  static constexpr std::size_t kAlgorithms = 5;

  // What does an algorithm; and up to `few` messages, which would leave most of its lanes empty.
  struct Choice {
    const kernels::HashKernel* kernel = nullptr;
    const kernels::HashKernel* for_few = nullptr;
    std::size_t few = 0;

    [[nodiscard]] const kernels::HashKernel& of(std::size_t count) const {
      return count <= few ? *for_few : *kernel;
    }
  };

  // Chosen when first asked for: making this object runs no kernel.
  [[nodiscard]] const Choice& choice(HashAlgorithm algorithm) const;
  void choose() const;

  const bool avx512_;
  mutable std::once_flag chosen_;
  mutable std::array<Choice, kAlgorithms> choices_{};
};

}  // namespace colophon
