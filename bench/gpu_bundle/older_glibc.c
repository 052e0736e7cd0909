/* SPDX-License-Identifier: Apache-2.0
 *
 * What libstdc++ and libgcc, linked statically, want of a glibc newer than 2.34 (RHEL 9): with this
 * in a program they do not ask for it. For scripts/gpu-bundle; hidden, so that no library that the
 * program loads finds it instead of its own.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#if !defined(__x86_64__)
#error "struct dl_find_object has more fields here"
#endif
#define HIDDEN __attribute__((visibility("hidden")))

struct search {
  uintptr_t address;
  struct dl_find_object* result;
};

static int look(struct dl_phdr_info* info, size_t size, void* data) {
  (void)size;
  struct search* search = data;
  uintptr_t start = UINTPTR_MAX, end = 0, eh_frame = 0;
  int is_inside = 0;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)* header = &info->dlpi_phdr[i];
    const uintptr_t at = info->dlpi_addr + header->p_vaddr;
    if (header->p_type == DLFO_EH_SEGMENT_TYPE) eh_frame = at;
    if (header->p_type != PT_LOAD) continue;
    if (search->address >= at && search->address - at < header->p_memsz) is_inside = 1;
    if (at < start) start = at;
    if (at + header->p_memsz > end) end = at + header->p_memsz;
  }
  if (!is_inside || eh_frame == 0) return 0;
  memset(search->result, 0, sizeof(*search->result));
  search->result->dlfo_map_start = (void*)start;
  search->result->dlfo_map_end = (void*)end;
  search->result->dlfo_eh_frame = (void*)eh_frame;
  return 1;
}

/* glibc 2.35: where the unwinder looks for an address's exception tables. */
HIDDEN int _dl_find_object(void* address, struct dl_find_object* result) {
  struct search search = {(uintptr_t)address, result};
  return dl_iterate_phdr(look, &search) == 1 ? 0 : -1;
}

/* glibc 2.36: std::random_device. */
HIDDEN uint32_t arc4random(void) {
  uint32_t value;
  if (getrandom(&value, sizeof(value), 0) != (ssize_t)sizeof(value)) abort();
  return value;
}
