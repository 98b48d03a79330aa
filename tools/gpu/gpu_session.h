/*
 * gpu_session.h: makes a GPU ready for a command: resolves the driver's functions, makes the
 * device's primary context current on this thread, and creates a stream and a udm context in it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TOOLS_GPU_GPU_SESSION_H
#define UDM_TOOLS_GPU_GPU_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cuda_driver.h"
#include "udm.h"

struct gpu_session {
  struct cuda_driver driver;
  CUdevice device;
  CUcontext context; /* retained primary context */
  CUstream stream;
  udm_context *udm;
  udm_context_info info;
  char name[256]; /* of the device */
};

/*
 * Returns false if the device cannot be used: error says why and what to do, and the session is
 * closed.
 */
bool gpu_session_open(struct gpu_session *session, const udm_options *options, int32_t ordinal,
                      char *error, size_t error_size);

/* The same without a udm context: udm is NULL, info is not set. */
bool gpu_session_open_without_udm(struct gpu_session *session, const udm_options *options,
                                  int32_t ordinal, char *error, size_t error_size);

/* Also closes a session of zeros or one that is half open. */
void gpu_session_close(struct gpu_session *session);

#endif
