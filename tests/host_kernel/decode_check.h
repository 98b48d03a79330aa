/*
 * decode_check.h: runs decode cases on the CPU. A test of cmocka fails if an element is wrong, and
 * the message says which, and describes the case.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_DECODE_CHECK_H
#define UDM_TESTS_DECODE_CHECK_H

#include "decode_launch.h"

/* UDM_TEST_CASES, or 150. */
uint64_t decode_check_random_cases(void);

struct decode_case *decode_check_create(const struct decode_case_request *request);

/* Launches the case with this grid and seed. */
void decode_check_launch(const struct decode_case *c, struct host_kernel_dim3 grid, uint64_t seed);

/* A case of the request, with its seed and the grid of a small GPU. */
void decode_check_request(const struct decode_case_request *request);

#endif
