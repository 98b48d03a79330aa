/*
 * options.h: the caller's udm_options and the environment, resolved into the
 * settings that one call works with. No other file reads the environment for
 * these variables.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_CORE_OPTIONS_H
#define UDM_RUNTIME_CORE_OPTIONS_H

#include <stdbool.h>

#include "core/allocator.h"
#include "core/status.h"
#include "core/symbol_provider.h"
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
  struct symbol_provider host;
};

udm_status udm_settings_resolve(const udm_options *options, struct settings *settings);

/* secure_getenv, with "" counted as unset. */
const char *udm_environment(const char *name);

#endif
