/*
 * Contexts, and which one is current on the calling thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_CONTEXTS_H
#define UDM_TESTS_CONTEXTS_H

#include "handles.h"
#include "streams.h"

struct CUctx_st {
  struct handle handle;
  unsigned long long id; /* no other context ever has it */
  CUdevice device;
  bool primary;
  CUresult failure; /* of a kernel: every later call returns it */
  struct CUstream_st default_stream;
};

/* NULL when none is current. */
CUcontext context_current(void);

/* CUDA_SUCCESS when there is a current context that is alive and has not failed. */
CUresult context_check_current(void);

/* Lets all streams of the context finish. */
CUresult context_synchronise(CUcontext context);

#endif
