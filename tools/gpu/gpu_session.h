/*
 * gpu_session.h: a GPU made ready for a command: the driver's functions, the device's primary
 * context current on this thread, a stream, and a udm context in it.
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
 * False when the device cannot be used; error says why and what to do. The
 * session is closed then.
 */
bool gpu_session_open(struct gpu_session *session, const udm_options *options, int32_t ordinal,
                      char *error, size_t error_size);

/* A session of zeros, or one half open, is allowed. */
void gpu_session_close(struct gpu_session *session);

#endif
