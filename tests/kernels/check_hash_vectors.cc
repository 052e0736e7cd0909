// SPDX-License-Identifier: Apache-2.0
//
// The portable hash kernels on a CPU that has nothing else of ours: hash_vectors.txt by each way a
// message goes in. Needs no library, so that it can be compiled for any CPU and run in its
// emulator.
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "kernels/hash.h"

namespace {

using colophon::kernels::HashInput;
using colophon::kernels::HashKernel;
using colophon::kernels::HashState;
using Bytes = std::vector<std::uint8_t>;

const std::map<std::string, const HashKernel*> kKernels = {
    {"sha256", &colophon::kernels::kSha256Portable},
    {"sha512", &colophon::kernels::kSha512Portable},
    {"sm3", &colophon::kernels::kSm3Portable},
    {"blake3", &colophon::kernels::kBlake3Portable},
    {"keccak256", &colophon::kernels::kKeccak256Portable}};

std::string hex(const std::uint8_t* bytes, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) {
    constexpr char kDigits[] = "0123456789abcdef";
    out += kDigits[bytes[i] >> 4];
    out += kDigits[bytes[i] & 15];
  }
  return out;
}

// The digests of some messages, one after another, by each way.
std::vector<Bytes> every_way(const HashKernel& kernel, const Bytes& message, std::size_t count) {
  constexpr int kNone = colophon::kernels::kNoPrefix;
  const std::size_t all = count * kernel.digest_bytes;
  std::vector<Bytes> out(3, Bytes(all));
  Bytes joined;
  for (std::size_t i = 0; i < count; ++i) {
    joined.insert(joined.end(), message.begin(), message.end());
  }
  kernel.fixed(kNone, joined.data(), message.size(), count, out[0].data());
  const std::vector<HashInput> inputs(count, {message.data(), message.size()});
  kernel.many(kNone, inputs.data(), count, out[1].data());
  for (std::size_t i = 0; i < count; ++i) {
    HashState state;
    kernel.begin(&state);
    const std::size_t half = message.size() / 2;
    kernel.update(&state, message.data(), half);
    kernel.update(&state, message.data() + half, message.size() - half);
    kernel.finish(&state, &out[2][i * kernel.digest_bytes]);
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  std::ifstream file(argv[1]);
  std::string line;
  std::size_t digests = 0, wrong = 0;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string name, expected;
    std::size_t length = 0;
    words >> name >> length >> expected;
    const HashKernel& kernel = *kKernels.at(name);
    expected.resize(2 * kernel.digest_bytes);  // BLAKE3's are longer
    Bytes message(length);
    for (std::size_t i = 0; i < length; ++i) message[i] = static_cast<std::uint8_t>(i % 251);
    for (const std::size_t count : {1, 5}) {
      for (const Bytes& got : every_way(kernel, message, count)) {
        for (std::size_t i = 0; i < count; ++i, ++digests) {
          if (hex(&got[i * kernel.digest_bytes], kernel.digest_bytes) == expected) continue;
          std::printf("%s of %zu bytes, one of %zu: wrong\n", name.c_str(), length, count);
          ++wrong;
        }
      }
    }
  }
  std::printf("%zu digests, %zu wrong\n", digests, wrong);
  return wrong == 0 && digests > 0 ? 0 : 1;
}
