#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times BLAKE3's official package: reads lines "BYTES TIMES" and answers each with the seconds that hashing so many
random bytes so many times took, on one thread."""
import os
import sys
import time

import blake3

message = b""
for line in sys.stdin:
    size, times = map(int, line.split())
    if len(message) != size:
        message = os.urandom(size)
    start = time.perf_counter()
    for _ in range(times):
        blake3.blake3(message).digest()
    print(time.perf_counter() - start, flush=True)
