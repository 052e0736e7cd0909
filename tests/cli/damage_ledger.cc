// SPDX-License-Identifier: Apache-2.0
//
// usage: damage_ledger DATA FAMILY
// Flips the last bit of the first value in a column family of a stopped node's ledger: what no
// checksum of the disk or the database finds.
#include <cstdio>
#include <string>

#include "tests/node/raw_database.h"

int main(int argc, char** argv) {
  using namespace colophon::node;  // NOLINT: this function only
  if (argc != 3) return 2;
  for (std::size_t family = 0; family < kFamilies; ++family) {
    const auto wanted = static_cast<Family>(family);
    if (family_name(wanted) != argv[2]) continue;
    test::RawDatabase database(*rocksdb::Env::Default(), argv[1]);
    auto [key, value] = *database.all(wanted).begin();
    value.back() = static_cast<char>(value.back() ^ 1);
    database.put(wanted, key, value);
    return 0;
  }
  std::fprintf(stderr, "no column family %s\n", argv[2]);
  return 2;
}
