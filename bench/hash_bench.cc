// SPDX-License-Identifier: Apache-2.0
//
// Hashing and Merkle trees. The peers: OpenSSL's low-level functions (SHA256_Init/Update/Final and
// their siblings), called as a program would that has no batch library: the fastest way OpenSSL 3
// offers; its EVP layer, which it recommends, where the row says so; and for BLAKE3 the official
// package, in a process of its own (blake3_peer.py).
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <utility>

#include "bench/job.h"
#include "colophon/hash.hpp"
#include "colophon/merkle.hpp"
#include "colophon/merkle_frontier.hpp"

namespace colophon::bench {
namespace {

struct Items {
  std::vector<std::uint8_t> bytes;
  std::vector<std::uint64_t> offsets{0};
  [[nodiscard]] std::size_t size() const { return offsets.size() - 1; }
  [[nodiscard]] Slices slices() const { return {bytes, offsets}; }
};
// Made in the first run of a body that wants them.
using Source = std::function<const Items&()>;

// `count` random messages of `least` to `most` bytes.
Source random_items(std::size_t count, std::size_t least, std::size_t most) {
  return [=, items = std::make_shared<Items>()]() -> const Items& {
    if (items->size() != 0) return *items;
    std::mt19937_64 random(1);
    for (std::size_t i = 0; i < count; ++i) {
      items->offsets.push_back(items->offsets.back() + least + random() % (most - least + 1));
    }
    items->bytes.resize(items->offsets.back());
    for (std::uint8_t& byte : items->bytes) byte = static_cast<std::uint8_t>(random());
    return *items;
  };
}

// H(parts[0] ‖ parts[1] ‖ …) by OpenSSL's low-level functions.
void sha256(std::initializer_list<ByteSpan> parts, std::uint8_t* out) {
  SHA256_CTX context;
  SHA256_Init(&context);
  for (const ByteSpan part : parts) SHA256_Update(&context, part.data(), part.size());
  SHA256_Final(out, &context);
}
void sha512(std::initializer_list<ByteSpan> parts, std::uint8_t* out) {
  SHA512_CTX context;
  SHA512_Init(&context);
  for (const ByteSpan part : parts) SHA512_Update(&context, part.data(), part.size());
  SHA512_Final(out, &context);
}
// By the EVP layer, algorithm and context set up once.
class Evp {
 public:
  explicit Evp(const char* name)
      : md_(EVP_MD_fetch(nullptr, name, nullptr), EVP_MD_free),
        context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {}
  void operator()(std::initializer_list<ByteSpan> parts, std::uint8_t* out) const {
    EVP_DigestInit_ex2(context_.get(), md_.get(), nullptr);
    for (const ByteSpan part : parts) EVP_DigestUpdate(context_.get(), part.data(), part.size());
    EVP_DigestFinal_ex(context_.get(), out, nullptr);
  }

 private:
  std::shared_ptr<EVP_MD> md_;
  std::shared_ptr<EVP_MD_CTX> context_;
};

using PeerHash = std::function<void(std::initializer_list<ByteSpan>, std::uint8_t*)>;

// `per_batch`: what the unit counts in a batch.
Body hash_body(const std::string& backend_name, HashAlgorithm algorithm, const Source& source,
               std::size_t per_batch) {
  return [=](benchmark::State& state) {
    const Items& items = source();
    const auto backend = Backend::choose(backend_name);
    if (!backend) return state.SkipWithError(backend.error().message.c_str());
    std::vector<std::uint8_t> digests(items.size() * digest_bytes(algorithm));
    for (auto _ : state) {
      const auto hashed = hash_batch(*backend, algorithm, items.slices(), std::span(digests));
      if (!hashed) return state.SkipWithError(hashed.error().message.c_str());
      benchmark::DoNotOptimize(digests.data());
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(per_batch));
  };
}

Body hash_peer(const PeerHash& hash, const Source& source, std::size_t per_batch) {
  return [=](benchmark::State& state) {
    const Items& items = source();
    const Slices slices = items.slices();
    std::vector<std::array<std::uint8_t, kDigestBytesMax>> digests(items.size());
    for (auto _ : state) {
      for (std::size_t i = 0; i < items.size(); ++i) hash({slices[i]}, digests[i].data());
      benchmark::DoNotOptimize(digests.data());
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(per_batch));
  };
}

// --- trees ---------------------------------------------------------------------------------------

Body root_body(const std::string& backend_name, const Source& source, unsigned threads) {
  return [=](benchmark::State& state) {
    const Items& leaves = source();
    const auto backend = Backend::choose(backend_name);
    if (!backend) return state.SkipWithError(backend.error().message.c_str());
    const auto hasher =
        MerkleHasher::create(*backend, TreeProfile::kRfc9162, HashAlgorithm::kSha256, threads);
    for (auto _ : state) {
      const auto root = merkle_root_of_leaves(*hasher, leaves.slices());
      if (!root) return state.SkipWithError(root.error().message.c_str());
      benchmark::DoNotOptimize(root->data());
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(leaves.size()));
  };
}

Digest root_by(const PeerHash& hash, const Slices& leaves) {
  static constexpr std::uint8_t kLeaf = 0;
  static constexpr std::uint8_t kNode = 1;
  std::vector<Digest> level(leaves.size());
  for (std::size_t i = 0; i < leaves.size(); ++i) hash({{&kLeaf, 1}, leaves[i]}, level[i].data());
  while (level.size() > 1) {
    const std::size_t pairs = level.size() / 2;
    for (std::size_t i = 0; i < pairs; ++i) {
      hash({{&kNode, 1}, level[2 * i], level[2 * i + 1]}, level[i].data());
    }
    if (level.size() % 2 == 1) level[pairs] = level.back();
    level.resize(pairs + level.size() % 2);
  }
  return level.front();
}

Body root_peer(const PeerHash& hash, const Source& source) {
  return [=](benchmark::State& state) {
    const Items& leaves = source();
    for (auto _ : state) {
      const Digest root = root_by(hash, leaves.slices());
      benchmark::DoNotOptimize(root.data());
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(leaves.size()));
  };
}

// A log that grows: leaf hashes come some at a time, and of what was before only the frontier is
// there.
constexpr std::size_t kAppended = 256;

Body append_body(const std::string& backend_name, const Source& source) {
  return [=](benchmark::State& state) {
    const Items& items = source();
    const std::size_t count = items.size();
    const auto backend = Backend::choose(backend_name);
    if (!backend) return state.SkipWithError(backend.error().message.c_str());
    std::vector<Digest> hashes(count);
    std::memcpy(hashes.data(), items.bytes.data(), count * sizeof(Digest));
    for (auto _ : state) {
      auto frontier = MerkleFrontier::create(*backend);
      for (std::size_t at = 0; at < count; at += kAppended) {
        const auto appended =
            frontier->append(std::span(hashes).subspan(at, std::min(kAppended, count - at)));
        if (!appended) return state.SkipWithError(appended.error().message.c_str());
      }
      benchmark::DoNotOptimize(frontier->hashes().data());
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(count));
  };
}

// Leaf by leaf: each is joined with what is complete.
Body append_peer(const PeerHash& hash, const Source& source) {
  return [=](benchmark::State& state) {
    static constexpr std::uint8_t kNode = 1;
    const Items& items = source();
    const Slices leaves = items.slices();
    for (auto _ : state) {
      std::vector<Digest> frontier;
      for (std::size_t i = 0; i < items.size(); ++i) {
        Digest digest;
        std::memcpy(digest.data(), leaves[i].data(), sizeof(digest));
        for (std::size_t n = i; n % 2 == 1; n /= 2) {
          hash({{&kNode, 1}, frontier.back(), digest}, digest.data());
          frontier.pop_back();
        }
        frontier.push_back(digest);
      }
      benchmark::DoNotOptimize(frontier.data());
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(items.size()));
  };
}

// --- BLAKE3's official package -------------------------------------------------------------------

// One process, asked by a line how long it takes to hash so many times so many bytes.
class Blake3Package {
 public:
  Blake3Package() {
    int ask[2];
    int answer[2];
    if (pipe(ask) != 0 || pipe(answer) != 0) return;
    const std::string command =
        "exec \"$0\" \"$1\" <&" + std::to_string(ask[0]) + " >&" + std::to_string(answer[1]);
    if (fork() == 0) {
      close(ask[1]);
      close(answer[0]);
      execl("/bin/sh", "sh", "-c", command.c_str(), COLOPHON_BENCH_PYTHON,
            COLOPHON_BENCH_BLAKE3_PEER, nullptr);
      _exit(127);
    }
    close(ask[0]);
    close(answer[1]);
    ask_ = fdopen(ask[1], "w");
    answer_ = fdopen(answer[0], "r");
  }
  // Seconds; negative: the package is not there.
  double seconds(std::size_t bytes, std::size_t times) {
    if (ask_ == nullptr || answer_ == nullptr) return -1;
    std::fprintf(ask_, "%zu %zu\n", bytes, times);
    std::fflush(ask_);
    std::array<char, 64> line;
    if (std::fgets(line.data(), line.size(), answer_) == nullptr) return -1;
    return std::strtod(line.data(), nullptr);
  }

 private:
  std::FILE* ask_ = nullptr;
  std::FILE* answer_ = nullptr;
};

Body blake3_peer(std::size_t bytes) {
  return [=](benchmark::State& state) {
    static Blake3Package package;
    constexpr std::size_t kTimes = 32;  // and one call of Python each
    for (auto _ : state) {
      const double seconds = package.seconds(bytes, kTimes);
      if (seconds < 0) return state.SkipWithError("the Python package blake3 is not installed");
      state.SetIterationTime(seconds / kTimes);
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(bytes));
  };
}

Body blake3_body(const std::string& backend_name, const Source& source) {
  return [=](benchmark::State& state) {
    const Items& message = source();
    const auto backend = Backend::choose(backend_name);
    if (!backend) return state.SkipWithError(backend.error().message.c_str());
    Digest digest;
    for (auto _ : state) {
      const auto start = std::chrono::steady_clock::now();
      const auto hashed =
          hash_batch(*backend, HashAlgorithm::kBlake3, message.slices(), std::span(digest));
      if (!hashed) return state.SkipWithError(hashed.error().message.c_str());
      benchmark::DoNotOptimize(digest.data());
      state.SetIterationTime(
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(message.bytes.size()));
  };
}

}  // namespace

void add_hash_jobs(std::vector<Job>& jobs, const std::string& backend) {
  constexpr std::size_t kBatch = 4096;
  const char* const low_level = "OpenSSL SHA256_Init/Update/Final";
  const auto add = [&](const char* name, HashAlgorithm algorithm, const Source& source,
                       const char* peer_name, const PeerHash& peer) {
    jobs.push_back({name, backend, kBatch, "hashes/s", peer_name,
                    hash_body(backend, algorithm, source, kBatch),
                    hash_peer(peer, source, kBatch)});
  };
  const Source pairs = random_items(kBatch, 64, 64);
  add("sha256-pairs", HashAlgorithm::kSha256, pairs, low_level, sha256);
  add("sha256-mixed", HashAlgorithm::kSha256, random_items(kBatch, 0, 2000), low_level, sha256);
  add("sha512-short", HashAlgorithm::kSha512, random_items(kBatch, 128, 256),
      "OpenSSL SHA512_Init/Update/Final", sha512);
  add("sm3-pairs", HashAlgorithm::kSm3, pairs, "OpenSSL EVP_Digest*, SM3", Evp("SM3"));

  constexpr std::size_t kBulk = std::size_t{1} << 20;
  jobs.push_back({"blake3-bulk", backend, kBulk, "bytes/s", "the official package, one thread",
                  blake3_body(backend, random_items(1, kBulk, kBulk)), blake3_peer(kBulk),
                  /*manual_time=*/true});

  constexpr std::size_t kLeaves = std::size_t{1} << 20;
  const Source leaves = random_items(kLeaves, 32, 32);
  jobs.push_back({"merkle-root", backend, kLeaves, "leaves/s", low_level,
                  root_body(backend, leaves, 1), root_peer(sha256, leaves)});
  jobs.push_back({"merkle-root-evp", backend, kLeaves, "leaves/s", "OpenSSL EVP_Digest*, SHA-256",
                  root_body(backend, leaves, 1), root_peer(Evp("SHA256"), leaves)});
  jobs.push_back({"merkle-append", backend, kAppended, "leaves/s", low_level,
                  append_body(backend, leaves), append_peer(sha256, leaves)});
  jobs.push_back({"merkle-2-threads", backend, kLeaves, "leaves/s", "the same with one thread",
                  root_body(backend, leaves, 2), root_body(backend, leaves, 1)});
}

}  // namespace colophon::bench
