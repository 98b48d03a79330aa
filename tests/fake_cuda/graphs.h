/*
 * Captures and graphs: the operations that a stream was given while it
 * captured, in order.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_GRAPHS_H
#define UDM_TESTS_GRAPHS_H

#include "operations.h"

struct capture;

/*
 * CUDA_SUCCESS, or CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED when a capture forbids
 * unsafe calls to this thread; the captures that do are invalidated.
 */
CUresult capture_refuse_unsafe_call(void);

/* Takes the operation, also on failure. */
CUresult capture_record(struct capture *c, struct operation *op);

void capture_invalidate(struct capture *c);
void capture_discard(struct capture *c);

#endif
