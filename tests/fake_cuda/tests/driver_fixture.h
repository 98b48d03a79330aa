/*
 * driver_fixture.h: what the tests of the fake driver share: a context, tiny cubins, and a launch
 * of the pointer-table kernel over an empty batch of one backend, which sets two numbers to 0.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_DRIVER_FIXTURE_H
#define UDM_TESTS_DRIVER_FIXTURE_H

#include "cmocka_headers.h"
#include "driver_functions.h"

/* Setup and teardown: *state is the current context, of device 0. */
int use_first_device(void **state);
int destroy_context(void **state);

#define DRIVER_TEST(name) cmocka_unit_test_setup_teardown(name, use_first_device, destroy_context)

extern const char table_kernel[];

/* Both load a cubin that holds the table kernel alone. */
CUresult load_tiny_cubin(CUmodule *module, int abi_version, int arch);
CUresult load_library(CUlibrary *library, int abi_version, int arch);

/* The kernel, of a module of its own in the current context. */
CUfunction load_function(void);

/* The arguments of the table kernel for an empty batch of one backend. */
struct empty_batch {
  CUdeviceptr inputs[3];
  int32_t
      batch[6]; /* batch_size, its reciprocal, static_slices, flags, max_len, page_table_blocks */
  long long strides[3];
  int32_t scalars[4]; /* real_page_size, page_reciprocal, nsa_index_topk, num_backends */
  CUdeviceptr pointers;
  long long pointers_stride;
  void *parameters[18];
  CUdeviceptr memory; /* the pointer array, then two int32 */
};

void make_empty_batch(struct empty_batch *b);
CUresult launch_empty_batch(CUfunction function, CUstream stream, struct empty_batch *b);

/* The two numbers: 0 after a launch, all ones when dirty. */
uint64_t read_sums(const struct empty_batch *b);
void dirty_sums(const struct empty_batch *b);

#endif
