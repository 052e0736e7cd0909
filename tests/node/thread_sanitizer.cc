// SPDX-License-Identifier: Apache-2.0
//
// Debian's RocksDB is not built for ThreadSanitizer, which therefore does not see how its memory
// tables order their readers behind their writer and takes every look-up for a race.

extern "C" const char* __tsan_default_suppressions();  // NOLINT: the sanitizer's name

extern "C" const char* __tsan_default_suppressions() { return "race:librocksdb.so\n"; }
