/*
 * Kernel launches.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_LAUNCH_H
#define UDM_TESTS_LAUNCH_H

#include "operations.h"

/* Runs the kernel of an operation on the host; failures are also printed on stderr. */
CUresult launch_execute(const operation *op);

#endif /* UDM_TESTS_LAUNCH_H */
