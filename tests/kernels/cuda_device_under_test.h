// SPDX-License-Identifier: Apache-2.0
//
// The CUDA kernels of P-256 on the GPU emulator, launched as a backend launches them, for the tests
// that judge them. What fails throws: LaunchFailed for what the emulator finds, WrongResult for
// what a kernel computed.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "kernels/curve.h"
#include "kernels/ecdsa.h"
#include "kernels/p256_cuda.h"
#include "tests/effort.h"
#include "tests/kernels/emulated_device.h"
#include "tests/kernels/p256_cases.h"

namespace colophon::test {

using kernels::P256CudaBatch;
using kernels::P256CudaKey;
using kernels::P256CudaSignature;
using kernels::P256CudaTables;

constexpr std::size_t kTableRowBytes = 64;

// --- a batch -------------------------------------------------------------------------------------

struct Shape {
  unsigned generator_bits = 8;
  unsigned key_bits = 8;  // 0: unknown keys
  unsigned lanes = 0;     // 0: a signature a thread
  bool scalars_each = false;

  [[nodiscard]] unsigned table_bits() const {
    return key_bits == 0 ? kernels::kP256CudaUnknownBits : key_bits;
  }
  [[nodiscard]] unsigned table_windows() const {
    return key_bits == 0 ? 1 : kernels::window_count(key_bits);
  }
};

inline std::string text_of(const Shape& shape) {
  return "windows of " + std::to_string(shape.generator_bits) + " and " +
         std::to_string(shape.key_bits) + " bits, " + std::to_string(shape.lanes) + " lanes";
}

struct Verdicts {
  std::vector<bool> valid;
  std::uint32_t exceptions = 0;
};

// The memory of a batch, and the kernels over it.
class Batch {
 public:
  Batch(Device& device, const std::vector<P256CudaSignature>& signatures,
        const std::vector<P256CudaKey>& keys, DevicePointer generator, const Shape& shape)
      : device_(device),
        shape_(shape),
        count_(static_cast<std::uint32_t>(signatures.size())),
        signatures_(device, device.upload(signatures, "signatures")),
        keys_(device, device.upload(keys, "keys")),
        scalars_(device, device.allocate(std::size_t{64} * count_, "scalars")),
        exceptions_(device, device.allocate(std::size_t{4} * (1 + count_), "exceptions")),
        verdicts_(device, device.allocate(count_, "verdicts")),
        arguments_{signatures_.as<P256CudaSignature>(),
                   keys_.as<P256CudaKey>(),
                   reinterpret_cast<const void*>(generator),
                   scalars_.as<std::uint32_t>(),
                   exceptions_.as<std::uint32_t>(),
                   verdicts_.as<std::uint8_t>(),
                   count_,
                   shape.generator_bits,
                   shape.table_bits(),
                   shape.lanes} {
    device.protect(signatures_.at());
    device.protect(keys_.at());
    device.zero(exceptions_.at(), 4);
  }

  void make_scalars() {
    const std::uint32_t each = shape_.scalars_each ? 1 : kernels::kP256CudaScalarsEach;
    launch(shape_.scalars_each ? "p256_cuda_scalars_each" : "p256_cuda_scalars",
           kernels::p256_cuda_blocks(count_, kernels::kP256CudaThreads * each),
           kernels::kP256CudaThreads);
  }
  void sum() {
    const std::uint64_t threads = std::uint64_t{count_} * std::max(1U, shape_.lanes);
    launch(shape_.key_bits == 0 ? "p256_cuda_verify_unknown"
           : shape_.lanes > 0   ? "p256_cuda_verify_split"
                                : "p256_cuda_verify_enrolled",
           kernels::p256_cuda_blocks(threads, kernels::kP256CudaVerifyThreads),
           kernels::kP256CudaVerifyThreads);
  }
  void decide_exceptions() { launch("p256_cuda_verify_exceptions", 2, kernels::kP256CudaThreads); }

  // 16 rows of words.
  [[nodiscard]] std::vector<std::uint32_t> scalars() {
    return device_.download<std::uint32_t>(scalars_.at(), std::size_t{16} * count_);
  }
  void set_scalars(const std::vector<std::uint32_t>& words) { device_.write(scalars_.at(), words); }
  // As if all had been found to be exceptions.
  void set_all_aside() {
    std::vector<std::uint32_t> list = {count_};
    for (std::uint32_t i = 0; i < count_; ++i) list.push_back(i);
    device_.write(exceptions_.at(), list);
  }
  [[nodiscard]] Verdicts verdicts() {
    Verdicts out;
    out.exceptions = device_.download<std::uint32_t>(exceptions_.at(), 1)[0];
    for (const std::uint8_t value : device_.download<std::uint8_t>(verdicts_.at(), count_)) {
      if (value > 1) throw WrongResult("a verdict of " + std::to_string(value));
      out.valid.push_back(value == 1);
    }
    return out;
  }

 private:
  void launch(const char* kernel, std::uint32_t blocks, std::uint32_t threads) {
    device_.launch(kernel, blocks, threads, {&arguments_});
  }

  Device& device_;
  const Shape shape_;
  const std::uint32_t count_;
  const DeviceBuffer signatures_;
  const DeviceBuffer keys_;
  const DeviceBuffer scalars_;
  const DeviceBuffer exceptions_;
  const DeviceBuffer verdicts_;
  const P256CudaBatch arguments_;
};

inline P256CudaSignature cuda_signature(const std::string& r_s, const std::string& digest,
                                        std::size_t key) {
  P256CudaSignature signature{};
  std::memcpy(signature.r, r_s.data(), 64);
  std::memcpy(signature.e, digest.data(), 32);
  signature.key = static_cast<std::uint32_t>(key);
  return signature;
}

// --- the kernels in the order in which a backend launches them -----------------------------------

// The first windows of the table that the portable kernels build.
inline std::vector<std::uint8_t> portable_table(const std::string& point, unsigned bits,
                                                unsigned windows) {
  const kernels::P256Kernels& portable = kernels::kP256Portable;
  const std::size_t bytes = portable.table_bytes(bits);
  std::vector<std::uint8_t> memory(bytes + portable.build_memory_bytes(bits) + 128);
  const auto aligned = [](std::uint8_t* at) {
    return at + (64 - reinterpret_cast<std::uintptr_t>(at) % 64) % 64;
  };
  std::uint8_t* const table = aligned(memory.data());
  portable.build_table(Referee::data(point), bits, table, aligned(table + bytes));
  return {table, table + (kTableRowBytes * windows << (bits - 1))};
}

class Gpu {
 public:
  Gpu() : device_(file_text(COLOPHON_CUDA_PTX)) {}

  Device& device() { return device_; }

  // Tables of `windows` windows, made together; the keys with their tables' addresses.
  std::vector<P256CudaKey> build(const std::vector<std::string>& points, unsigned bits,
                                 unsigned windows) {
    const std::size_t bytes = kTableRowBytes * windows << (bits - 1);
    std::vector<P256CudaKey> keys;
    for (const std::string& point : points) {
      P256CudaKey key{};
      std::memcpy(key.x, point.data(), 64);
      key.table = device_.allocate(bytes, "table");
      keys.push_back(key);
    }
    const DeviceBuffer keys_there(device_, device_.upload(keys, "keys"));
    const DeviceBuffer steps(device_, device_.allocate(128 * keys.size() * windows, "steps"));
    device_.protect(keys_there.at());
    P256CudaTables tables{keys_there.as<P256CudaKey>(),
                          steps.as<void>(),
                          static_cast<std::uint32_t>(keys.size()),
                          bits,
                          windows,
                          0};
    device_.launch("p256_cuda_bases",
                   kernels::p256_cuda_blocks(keys.size(), kernels::kP256CudaThreads),
                   kernels::kP256CudaThreads, {&tables});
    for (tables.phase = 0; tables.phase < bits; ++tables.phase) {
      device_.launch(
          "p256_cuda_extend",
          kernels::p256_cuda_blocks(kernels::p256_cuda_additions(tables),
                                    kernels::kP256CudaThreads * kernels::kP256CudaAdditionsEach),
          kernels::kP256CudaThreads, {&tables});
    }
    return keys;
  }
  std::vector<std::uint8_t> table(const P256CudaKey& key, unsigned bits, unsigned windows) {
    return device_.download<std::uint8_t>(key.table, kTableRowBytes * windows << (bits - 1));
  }
  // Made by the kernels, then compared with `expected`, byte for byte.
  void expect_tables(const std::vector<std::string>& points, unsigned bits, unsigned windows,
                     const std::vector<std::vector<std::uint8_t>>& expected) {
    const std::vector<P256CudaKey> keys = build(points, bits, windows);
    for (std::size_t i = 0; i < points.size(); ++i) {
      if (table(keys[i], bits, windows) != expected[i]) {
        throw WrongResult("wrong table: " + std::to_string(bits) + " bits, " +
                          std::to_string(windows) + " windows, key " + std::to_string(i) + " of " +
                          std::to_string(points.size()));
      }
    }
    for (const P256CudaKey& key : keys) device_.free(key.table);
  }
  void forget_tables() {
    for (auto& [what, key] : keys_) device_.free(key.table);
    keys_.clear();
  }
  Verdicts verify(const std::vector<const Case*>& cases, const Shape& shape) {
    const auto generator = keys_for({generator_point()}, shape.generator_bits,
                                    kernels::window_count(shape.generator_bits));
    std::vector<std::string> points;
    std::vector<P256CudaSignature> signatures;
    for (const Case* one : cases) {
      signatures.push_back(
          cuda_signature(one->forged.signature, one->forged.digest, points.size()));
      points.push_back(one->point);
    }
    const auto keys = keys_for(points, shape.table_bits(), shape.table_windows());
    Batch batch(device_, signatures, keys, generator[0].table, shape);
    batch.make_scalars();
    batch.sum();
    batch.decide_exceptions();
    return batch.verdicts();
  }

  // All of `cases` in batches of `size`, repeated from the front to fill the last, decided as
  // OpenSSL did; how many were exceptions.
  std::uint32_t expect_right(const std::vector<Case>& cases, std::size_t size, const Shape& shape) {
    std::uint32_t exceptions = 0;
    for (std::size_t at = 0; at < cases.size(); at += size) {
      std::vector<const Case*> batch;
      for (std::size_t i = 0; i < size; ++i) batch.push_back(&cases[(at + i) % cases.size()]);
      const Verdicts verdicts = verify(batch, shape);
      exceptions += verdicts.exceptions;
      for (std::size_t i = 0; i < size; ++i) {
        if (verdicts.valid[i] != batch[i]->valid) {
          throw WrongResult("wrong verdict: " + text_of(shape) + ", batch of " +
                            std::to_string(size) + ", place " + std::to_string(i) + ": " +
                            batch[i]->forged.what);
        }
      }
    }
    return exceptions;
  }

  static std::string generator_point() {
    std::string point(64, '\0');
    for (std::size_t i = 0; i < 32; ++i) {
      point[31 - i] = static_cast<char>(kernels::P256::kGx.word[i / 8] >> (8 * (i % 8)));
      point[63 - i] = static_cast<char>(kernels::P256::kGy.word[i / 8] >> (8 * (i % 8)));
    }
    return point;
  }

 private:
  using TableName = std::tuple<std::string, unsigned, unsigned>;  // point, bits, windows

  std::vector<P256CudaKey> keys_for(const std::vector<std::string>& points, unsigned bits,
                                    unsigned windows) {
    std::vector<std::string> missing;
    for (const std::string& point : points) {
      if (!keys_.contains({point, bits, windows}) &&
          std::find(missing.begin(), missing.end(), point) == missing.end()) {
        missing.push_back(point);
      }
    }
    if (!missing.empty()) {
      const std::vector<P256CudaKey> built = build(missing, bits, windows);
      for (std::size_t i = 0; i < missing.size(); ++i) {
        device_.protect(built[i].table);
        keys_[{missing[i], bits, windows}] = built[i];
      }
    }
    std::vector<P256CudaKey> keys;
    for (const std::string& point : points) keys.push_back(keys_[{point, bits, windows}]);
    return keys;
  }

  Device device_;
  std::map<TableName, P256CudaKey> keys_;
};

}  // namespace colophon::test
