// SPDX-License-Identifier: Apache-2.0
//
// sha256-pairs and merkle-root. The peer is OpenSSL's low-level SHA256_Init/Update/Final, called as
// a program would that has no batch library: the fastest way OpenSSL 3 offers (EVP is slower).
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <memory>
#include <numeric>
#include <random>

#include "bench/job.h"
#include "colophon/hash.hpp"
#include "colophon/merkle.hpp"

namespace colophon::bench {
namespace {

struct Items {
  std::vector<std::uint8_t> bytes;
  std::vector<std::uint64_t> offsets;
  [[nodiscard]] Slices slices() const { return {bytes, offsets}; }
};

Items random_items(std::size_t count, std::size_t length) {
  Items items;
  std::mt19937_64 random(1);
  items.bytes.resize(count * length);
  for (std::uint8_t& byte : items.bytes) byte = static_cast<std::uint8_t>(random());
  items.offsets.resize(count + 1);
  for (std::size_t i = 0; i <= count; ++i) items.offsets[i] = i * length;
  return items;
}

Digest peer_node(const Digest& left, const Digest& right) {
  static constexpr std::uint8_t kNode = 1;
  SHA256_CTX context;
  Digest out;
  SHA256_Init(&context);
  SHA256_Update(&context, &kNode, 1);
  SHA256_Update(&context, left.data(), left.size());
  SHA256_Update(&context, right.data(), right.size());
  SHA256_Final(out.data(), &context);
  return out;
}

Digest peer_root(const Slices& leaves) {
  static constexpr std::uint8_t kLeaf = 0;
  std::vector<Digest> level(leaves.size());
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    SHA256_CTX context;
    SHA256_Init(&context);
    SHA256_Update(&context, &kLeaf, 1);
    SHA256_Update(&context, leaves[i].data(), leaves[i].size());
    SHA256_Final(level[i].data(), &context);
  }
  while (level.size() > 1) {
    const std::size_t pairs = level.size() / 2;
    for (std::size_t i = 0; i < pairs; ++i) level[i] = peer_node(level[2 * i], level[2 * i + 1]);
    if (level.size() % 2 == 1) level[pairs] = level.back();
    level.resize(pairs + level.size() % 2);
  }
  return level.front();
}

}  // namespace

void add_hash_jobs(std::vector<Job>& jobs, const std::string& backend_name) {
  constexpr std::size_t kPairs = 4096;
  auto pairs = std::make_shared<Items>();
  const auto load_pairs = [pairs] {
    if (pairs->offsets.empty()) *pairs = random_items(kPairs, 64);
  };
  jobs.push_back({"sha256-pairs", backend_name, kPairs, "hashes/s",
                  "OpenSSL SHA256_Init/Update/Final",
                  [=](benchmark::State& state) {
                    load_pairs();
                    const auto backend = Backend::choose(backend_name);
                    if (!backend) return state.SkipWithError(backend.error().message.c_str());
                    std::vector<Digest> digests(kPairs);
                    for (auto _ : state) {
                      if (!hash_batch(*backend, HashAlgorithm::kSha256, pairs->slices(), digests))
                        return state.SkipWithError("hash_batch failed");
                      benchmark::DoNotOptimize(digests.data());
                    }
                    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kPairs));
                  },
                  [=](benchmark::State& state) {
                    load_pairs();
                    std::vector<Digest> digests(kPairs);
                    const Slices slices = pairs->slices();
                    for (auto _ : state) {
                      for (std::size_t i = 0; i < kPairs; ++i) {
                        SHA256_CTX context;
                        SHA256_Init(&context);
                        SHA256_Update(&context, slices[i].data(), slices[i].size());
                        SHA256_Final(digests[i].data(), &context);
                      }
                      benchmark::DoNotOptimize(digests.data());
                    }
                    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kPairs));
                  }});

  constexpr std::size_t kLeaves = std::size_t{1} << 20;
  auto leaves = std::make_shared<Items>();
  const auto load_leaves = [leaves] {
    if (leaves->offsets.empty()) *leaves = random_items(kLeaves, 32);
  };
  jobs.push_back(
      {"merkle-root", backend_name, kLeaves, "leaves/s", "OpenSSL SHA256_Init/Update/Final",
       [=](benchmark::State& state) {
         load_leaves();
         const auto backend = Backend::choose(backend_name);
         if (!backend) return state.SkipWithError(backend.error().message.c_str());
         std::vector<Digest> hashes(kLeaves);
         for (auto _ : state) {
           if (!merkle_leaf_hashes(*backend, leaves->slices(), hashes))
             return state.SkipWithError("merkle_leaf_hashes failed");
           const auto root = merkle_root(*backend, hashes);
           if (!root) return state.SkipWithError(root.error().message.c_str());
           benchmark::DoNotOptimize(root->data());
         }
         state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kLeaves));
       },
       [=](benchmark::State& state) {
         load_leaves();
         for (auto _ : state) {
           const Digest root = peer_root(leaves->slices());
           benchmark::DoNotOptimize(root.data());
         }
         state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kLeaves));
       }});
}

}  // namespace colophon::bench
