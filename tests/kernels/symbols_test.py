#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads the symbols of the kernels' objects: nothing weak, nothing but their tables is defined for others.

A weak symbol (an inline function, a template) that two objects define is linked once for the whole program, and the
copy that wins may be the one compiled with AVX-512.
usage: symbols_test.py NM OBJECT...
"""
import re
import subprocess
import sys

DEFINED = re.compile(r"colophon::kernels::(k(P256|Sha256|Sha512|Sm3|Blake3|Keccak256)(Avx512|Avx2|Portable)|kSha256ShaNi"
                     r"|(p256_is_on_curve|blake3_begin|blake3_output|cpu_(has_avx512|has_avx2|has_sha_ni|is_amds))\(.*\))")
# What the compiler itself calls for, and the sanitizers.
NEEDED = re.compile(r"(memcpy|memset|memmove|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_|__cxa_guard_(acquire|release|abort)"
                    r"|__gcov_.*|__gxx_personality_v0|_Unwind_Resume|__(asan|ubsan|tsan|sanitizer)_.*)")


def main():
    nm, objects = sys.argv[1], sys.argv[2:]
    wrong = seen = 0
    for path in objects:
        listing = subprocess.run([nm, "--demangle", path], check=True, capture_output=True, text=True).stdout
        for line in listing.splitlines():
            kind, name = re.match(r"[0-9a-f ]{16} (.) (.*)", line).groups()
            seen += 1
            sanitizer = re.match(r"__(asan|ubsan|tsan|sanitizer|odr_asan|gcov|llvm)_?|\.L|DW\.ref", name)
            bad = (kind in "WwVvu" and not sanitizer) or \
                  (kind in "TDBRG" and not DEFINED.fullmatch(name) and not sanitizer) or \
                  (kind == "U" and not NEEDED.fullmatch(name) and not sanitizer)
            if bad:
                wrong += 1
                print(f"{path}: {kind} {name}")
    print(f"{len(objects)} objects, {seen} symbols, {wrong} that must not be there")
    return 1 if wrong or not seen else 0


if __name__ == "__main__":
    sys.exit(main())
