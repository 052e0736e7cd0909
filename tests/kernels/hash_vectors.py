#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes hash_vectors.txt, or compares it: BLAKE3 by its official package, Keccak-256 by pycryptodome, the others by
Python's hashlib (OpenSSL).

Byte i of every message is i % 251. Key, context and lengths are those of BLAKE3's own test vectors.
Lines: "blake3 LENGTH HASH KEYED DERIVED", 131 bytes each, and "NAME LENGTH HASH" of the others.
usage: hash_vectors.py > hash_vectors.txt        needs: pip install blake3 pycryptodome
       hash_vectors.py --check hash_vectors.txt  without one of the packages, the others' lines
"""
import hashlib
import sys

KEY = b"whats the Elvish word for friend"
CONTEXT = "BLAKE3 2019-12-27 16:29:52 test vectors context"
BLAKE3_LENGTHS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 63, 64, 65, 127, 128, 129, 1023, 1024, 1025, 2048, 2049, 3072, 3073, 4096,
                  4097, 5120, 5121, 6144, 6145, 7168, 7169, 8192, 8193, 16384, 31744, 102400]
KECCAK_LENGTHS = [0, 1, 8, 31, 32, 63, 64, 134, 135, 136, 137, 271, 272, 273, 407, 408, 409, 1000]
OTHER_LENGTHS = [0, 1, 3, 55, 56, 63, 64, 65, 111, 112, 119, 120, 127, 128, 129, 239, 240, 255, 256, 1000]


def message(length):
    return bytes(i % 251 for i in range(length))


def blake3_lines():
    from blake3 import blake3
    for n in BLAKE3_LENGTHS:
        m = message(n)
        yield (f"blake3 {n} {blake3(m).digest(131).hex()} {blake3(m, key=KEY).digest(131).hex()} "
               f"{blake3(m, derive_key_context=CONTEXT).digest(131).hex()}")


def keccak_lines():
    from Crypto.Hash import keccak
    for n in KECCAK_LENGTHS:
        yield f"keccak256 {n} {keccak.new(digest_bits=256, data=message(n)).hexdigest()}"


def other_lines():
    for name in ("sha256", "sha512", "sm3"):
        for n in OTHER_LENGTHS:
            yield f"{name} {n} {hashlib.new(name, message(n)).hexdigest()}"


def check(path):
    with open(path, encoding="ascii") as file:
        left = file.read().splitlines()
    compared = 0
    for part in (blake3_lines, keccak_lines, other_lines):
        try:
            for line in part():
                if line not in left:
                    sys.exit(f"{path} has not the line: {line}")
                compared += 1
        except ModuleNotFoundError as error:
            print(f"not compared: {error}")
    print(f"{compared} of {len(left)} lines compared")
    sys.exit(0 if compared > 0 else 77)


def main():
    if sys.argv[1:2] == ["--check"]:
        check(sys.argv[2])
    for part in (blake3_lines, keccak_lines, other_lines):
        for line in part():
            print(line)


if __name__ == "__main__":
    main()
