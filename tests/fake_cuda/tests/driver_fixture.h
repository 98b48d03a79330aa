/*
 * driver_fixture.h: what the tests of the fake driver share: a context, tiny cubins, and a launch
 * of the general kernel over an empty batch of one backend, which sets two numbers to 0.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_DRIVER_FIXTURE_H
#define UDM_TESTS_DRIVER_FIXTURE_H

#include "cmocka_headers.h"
#include "driver_functions.h"
#include "kernel_params.h"

/* Setup and teardown: *state is the current context, of device 0. */
int use_first_device(void **state);
int destroy_context(void **state);

#define DRIVER_TEST(name) cmocka_unit_test_setup_teardown(name, use_first_device, destroy_context)

extern const char general_kernel[];

/* Both load a cubin that holds the general kernel alone. */
CUresult load_tiny_cubin(CUmodule *module, int abi_version, int arch);
CUresult load_library(CUlibrary *library, int abi_version, int arch);

/* The kernel, from a new module in the current context. */
CUfunction load_function(void);

#define COUNT_ONE(type, name) +1
enum { EMPTY_BATCH_SCALARS = 0 UDM_KERNEL_SCALARS(COUNT_ONE) };
#undef COUNT_ONE

/* The arguments of the general kernel for an empty batch of one backend. */
struct empty_batch {
  struct udm_kernel_scalars scalars;
  struct udm_kernel_general general;
  void *parameters[EMPTY_BATCH_SCALARS + 1];
  CUdeviceptr memory; /* the pointer array, then two int32 */
};

void make_empty_batch(struct empty_batch *b);
CUresult launch_empty_batch(CUfunction function, CUstream stream, struct empty_batch *b);

/* The two numbers: 0 after a launch, all ones when dirty. */
uint64_t read_sums(const struct empty_batch *b);
void dirty_sums(const struct empty_batch *b);

#endif
