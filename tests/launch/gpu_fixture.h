/*
 * gpu_fixture.h: what the tests over a driver share: one session on device 0 of the driver that
 * UDM_DRIVER_LIBRARY names, and decode cases run through it. Includes cmocka's headers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_GPU_FIXTURE_H
#define UDM_TESTS_GPU_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "case_runner.h"
#include "gpu_session.h"

/*
 * For main: ends the program with CTest's code for "skipped" if this machine has no driver or no
 * device. A named driver that cannot be used is a failure, not a reason to skip.
 */
void gpu_fixture_skip_if_impossible(void);

/* cmocka's group setup and teardown: *state is a gpu_session. */
int gpu_fixture_open(void **state);
int gpu_fixture_close(void **state);

/* A number from the environment, or the default. */
uint64_t gpu_fixture_number(const char *variable, uint64_t otherwise);

/* Fails the test if the case cannot be created. */
struct decode_case *gpu_fixture_create_case(const struct decode_case_request *request);

/* Uploads, launches and compares; fails the test with a message if anything is wrong. */
void gpu_fixture_check_case(struct case_runner *runner, const struct decode_case *c);
void gpu_fixture_check_request(struct case_runner *runner,
                               const struct decode_case_request *request);

/* Compares only, after the launch. */
void gpu_fixture_check_outputs(struct case_runner *runner, const struct decode_case *c);

/* Fails the test with the driver's text unless result is CUDA_SUCCESS. */
#define ASSERT_CUDA(driver, call) gpu_fixture_assert(driver, (driver)->call, #call)
void gpu_fixture_assert(const struct cuda_driver *driver, CUresult result, const char *call);

#endif
