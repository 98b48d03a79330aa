/*
 * library_log.h: the library's log, for logging.getLogger("udm"). The library
 * writes its lines while this thread holds neither the GIL nor, at the exit of the
 * interpreter, any hope of it. So they are kept, and passed on after the call: then a
 * handler may call udm, and no lock is held.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_PYTHON_LIBRARY_LOG_H
#define UDM_PYTHON_LIBRARY_LOG_H

#include <stddef.h>

#include "python_api.h"
#include "udm.h"

struct library_log {
  char *lines; /* each a byte for the level, the text and its 0 */
  size_t size;
  size_t capacity;
};

/* The log callback of udm_options; user_data is a struct library_log. Needs no GIL. */
void library_log_keep(void *user_data, udm_log_level level, const char *message);

/*
 * Passes the lines on, and frees them. Needs the GIL. Returns -1 with an exception set if a filter
 * or a signal has raised one; the lines after it are then lost.
 */
int library_log_pass_on(struct library_log *log);

#endif
