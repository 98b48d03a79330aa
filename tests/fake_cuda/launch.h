/*
 * Kernel launches.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_LAUNCH_H
#define UDM_TESTS_LAUNCH_H

#include "operations.h"

/* Checks a launch and copies its parameters: what a stream or a graph takes. */
CUresult launch_prepare(const CUDA_KERNEL_NODE_PARAMS_v1 *launch, struct operation **out);

/* Runs the kernel of an operation on the host; failures are also printed on stderr. */
CUresult launch_execute(const struct operation *op);

#endif
