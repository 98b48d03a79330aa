/*
 * fake_cubin.h: the cubins of the fakes: the smallest that a driver's loader takes for a cubin, and
 * a reader of what the fake driver needs to know of any.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_FAKE_CUBIN_H
#define UDM_TESTS_FAKE_CUBIN_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>

enum { TINY_CUBIN_SECTIONS = 4, TINY_CUBIN_KERNELS = 4, TINY_CUBIN_TEXT = 128 };

/* An ELF header for CUDA, a symbol table with the names of the kernels, and a comment. */
struct tiny_cubin {
  Elf64_Ehdr header;
  Elf64_Shdr sections[TINY_CUBIN_SECTIONS]; /* null, .symtab, .strtab, .comment */
  Elf64_Sym symbols[1 + TINY_CUBIN_KERNELS];
  char strings[TINY_CUBIN_TEXT];
  char comment[TINY_CUBIN_TEXT];
};

/*
 * abi_version 7: CUDA 12 and older; 8: CUDA 13. arch: 10 * major + minor. kernels: their names;
 * NULL ends them early. comment: says what the cubin was built from; cut if it is too long.
 */
struct tiny_cubin tiny_cubin_make(int abi_version, int arch,
                                  const char *const kernels[TINY_CUBIN_KERNELS],
                                  const char *comment);

/* Whether the bytes begin like a 64-bit ELF file for CUDA. */
bool cubin_file_is_valid(const unsigned char *image);

bool cubin_file_is_of_cuda_13(const unsigned char *image);

/* The CUDA major version of the fake that made it, by its comment; 0: it has no such comment. */
int cubin_file_maker_major(const unsigned char *image);

/* 10 * major + minor */
int cubin_file_arch(const unsigned char *image);

/* A copy, from the start to the end of the last section or table, for free(); NULL if out of
 * memory. */
unsigned char *cubin_file_copy(const unsigned char *image);

bool cubin_file_has_kernel(const unsigned char *image, const char *name);

#endif
