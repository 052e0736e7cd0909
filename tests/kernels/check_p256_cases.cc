// SPDX-License-Identifier: Apache-2.0
//
// The portable kernels on a CPU that has nothing else of ours: reads what write_p256_cases wrote
// and compares verdicts. Needs no library, so that it can be compiled for any CPU and run in its
// emulator.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <vector>

#include "kernels/ecdsa.h"

namespace {

using colophon::kernels::EcdsaItem;
using colophon::kernels::kP256Portable;

constexpr std::size_t kRecordBytes = 1 + 64 + 32 + 64;

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};
using Memory = std::unique_ptr<void, Free>;
Memory memory(std::size_t bytes) { return Memory(std::aligned_alloc(64, (bytes + 63) / 64 * 64)); }

Memory table(const std::uint8_t* point, unsigned bits) {
  Memory out = memory(kP256Portable.table_bytes(bits));
  const Memory scratch = memory(kP256Portable.build_memory_bytes(bits));
  kP256Portable.build_table(point, bits, out.get(), scratch.get());
  return out;
}

// Verdicts that differ from the file's, in batches of `size`. key_bits 0: without tables.
std::size_t count_wrong(const std::vector<std::uint8_t>& records, unsigned key_bits,
                        std::size_t size) {
  const Memory generator = table(nullptr, 8);
  const std::size_t count = records.size() / kRecordBytes;
  std::vector<Memory> tables;
  std::vector<EcdsaItem> items;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint8_t* record = &records[i * kRecordBytes];
    if (key_bits != 0) tables.push_back(table(record + 97, key_bits));
    items.push_back(
        {record + 1, record + 65, record + 97, key_bits != 0 ? tables.back().get() : nullptr});
  }
  std::vector<std::uint8_t> valid(count, 7);
  for (std::size_t at = 0; at < count; at += size) {
    const std::size_t some = std::min(size, count - at);
    const Memory scratch = memory(kP256Portable.verify_memory_bytes(some));
    if (key_bits != 0) {
      kP256Portable.verify_enrolled(&items[at], some, key_bits, generator.get(), 8, &valid[at],
                                    scratch.get());
    } else {
      kP256Portable.verify_unknown(&items[at], some, generator.get(), 8, &valid[at], scratch.get());
    }
  }
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < count; ++i) wrong += valid[i] != records[i * kRecordBytes] ? 1 : 0;
  return wrong;
}

}  // namespace

int main(int argc, char** argv) {
  std::ifstream in(argc == 2 ? argv[1] : "", std::ios::binary);
  const std::vector<std::uint8_t> records{std::istreambuf_iterator<char>(in), {}};
  if (records.size() < 100 * kRecordBytes || records.size() % kRecordBytes != 0) {
    std::fprintf(stderr, "usage: check_p256_cases FILE (what write_p256_cases wrote)\n");
    return 2;
  }
  std::size_t wrong = 0;
  for (const unsigned key_bits : {0U, 5U}) {
    for (const std::size_t size : {1, 64}) wrong += count_wrong(records, key_bits, size);
  }
  std::printf("%zu signatures four ways, %zu verdicts wrong\n", records.size() / kRecordBytes,
              wrong);
  return wrong == 0 ? 0 : 1;
}
