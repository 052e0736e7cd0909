// SPDX-License-Identifier: Apache-2.0
//
// Writes cases for check_p256_cases.cc: a byte (1: valid), r ‖ s, the digest, the key's x ‖ y each.
#include <cstdio>
#include <fstream>

#include "tests/kernels/p256_cases.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: write_p256_cases FILE\n");
    return 2;
  }
  using namespace colophon::test;
  std::vector<Case> cases = random_cases(21, 300);
  for (const unsigned bits : {5U, 8U}) {
    for (Case& forged : forged_cases(20 + bits, bits, 8)) cases.push_back(std::move(forged));
  }
  std::ofstream out(argv[1], std::ios::binary);
  for (const Case& one : cases) {
    out << (one.valid ? '\1' : '\0') << one.forged.signature << one.forged.digest << one.point;
  }
  return out.flush() ? 0 : 1;
}
