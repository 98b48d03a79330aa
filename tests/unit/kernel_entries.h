/*
 * kernel_entries.h: cache entries that hold the smallest of cubins, an ELF header.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_KERNEL_ENTRIES_H
#define UDM_TESTS_KERNEL_ENTRIES_H

#include <elf.h>
#include <stdint.h>

#include "core/settings.h"

/* A header as CUDA 13 writes it. */
Elf64_Ehdr smallest_cubin(int32_t arch);

/*
 * Stores an entry of this library's kernel for key_arch that holds a cubin for
 * elf_arch (which should be the same). path receives where.
 */
void store_cubin(const struct settings *settings, int32_t key_arch, int32_t elf_arch,
                   const char *producer, char path[UDM_PATH_SIZE]);

#endif
