#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes hash_vectors.txt: BLAKE3 by its official package, Keccak-256 by pycryptodome.

Byte i of every message is i % 251. Key, context and lengths are those of BLAKE3's own test vectors.
Lines: "blake3 LENGTH HASH KEYED DERIVED", 131 bytes each, and "keccak256 LENGTH HASH".
needs: pip install blake3 pycryptodome    usage: hash_vectors.py > hash_vectors.txt
"""
from blake3 import blake3
from Crypto.Hash import keccak

KEY = b"whats the Elvish word for friend"
CONTEXT = "BLAKE3 2019-12-27 16:29:52 test vectors context"
BLAKE3_LENGTHS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 63, 64, 65, 127, 128, 129, 1023, 1024, 1025, 2048, 2049, 3072, 3073, 4096,
                  4097, 5120, 5121, 6144, 6145, 7168, 7169, 8192, 8193, 16384, 31744, 102400]
KECCAK_LENGTHS = [0, 1, 8, 31, 32, 63, 64, 134, 135, 136, 137, 271, 272, 273, 407, 408, 409, 1000]


def message(length):
    return bytes(i % 251 for i in range(length))


for n in BLAKE3_LENGTHS:
    m = message(n)
    print("blake3", n, blake3(m).digest(131).hex(), blake3(m, key=KEY).digest(131).hex(),
          blake3(m, derive_key_context=CONTEXT).digest(131).hex())
for n in KECCAK_LENGTHS:
    print("keccak256", n, keccak.new(digest_bits=256, data=message(n)).hexdigest())
