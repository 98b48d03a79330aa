/*
 * options.h: the caller's udm_options and the environment, resolved into the
 * settings that one call works with. No other file reads the environment for
 * these variables.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_OPTIONS_H
#define UDM_RUNTIME_OPTIONS_H

#include <stdbool.h>

#include "status.h"
#include "udm.h"

/* Strings are the caller's or the environment's; NULL where neither gave one. */
struct settings {
  bool no_compile;  /* NVRTC is never opened */
  bool cached_only; /* nor does the driver assemble PTX; implies no_compile */
  const char *driver_library;
  const char *nvrtc_library;
  const char *cache_dir;
  const char *cache_path;
  udm_log_callback log;
  void *log_user_data;
  uint64_t cache_max_bytes;    /* 0: no limit */
  unsigned cache_lock_seconds; /* how long to wait for another one's compile */
};

udm_status udm_settings_resolve(const udm_options *options, struct settings *settings);

/*
 * Checks the struct_size of a structure that a caller wants filled: at least
 * this version's fields. Inline, so that analyzers see what it rules out.
 */
static inline udm_status udm_check_struct_size(const char *what, const void *structure,
                                               size_t struct_size, size_t needed) {
  if (!structure) {
    udm_fail(UDM_ERROR_INVALID_ARGUMENT, "%s is null", what);
    return UDM_ERROR_INVALID_ARGUMENT;
  }
  if (struct_size < needed) {
    udm_fail(UDM_ERROR_INVALID_ARGUMENT,
             "%s->struct_size is %zu, not %zu: set it to the structure's sizeof", what, struct_size,
             needed);
    return UDM_ERROR_INVALID_ARGUMENT;
  }
  return UDM_OK;
}

/* secure_getenv, with "" counted as unset. */
const char *udm_environment(const char *name);

#endif
