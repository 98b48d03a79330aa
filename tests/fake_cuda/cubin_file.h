/*
 * A cubin as the fake driver reads it: which GPU it is for, and which
 * kernels it holds.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_CUBIN_FILE_H
#define UDM_TESTS_CUBIN_FILE_H

#include <stdbool.h>
#include <stddef.h>

/* Whether the bytes begin as a 64-bit ELF file for CUDA. */
bool cubin_file_is_valid(const unsigned char *image);

bool cubin_file_is_of_cuda_13(const unsigned char *image);

/* 10 * major + minor */
int cubin_file_arch(const unsigned char *image);

/* The bytes from the start to the end of the last section or table. */
size_t cubin_file_size(const unsigned char *image);

/* A copy of that many bytes, for free(); NULL when out of memory. */
unsigned char *cubin_file_copy(const unsigned char *image);

bool cubin_file_has_kernel(const unsigned char *image, const char *name);

#endif
