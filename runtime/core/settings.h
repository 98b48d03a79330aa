/*
 * settings.h: the settings of one call, resolved from the caller's udm_options and
 * the environment. No other file reads the environment for them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_CORE_SETTINGS_H
#define UDM_RUNTIME_CORE_SETTINGS_H

#include <stdbool.h>

#include "core/status.h"
#include "udm.h"

/* The host's callback that provides functions of the driver and of NVRTC. */
struct symbol_provider {
  udm_find_symbol_callback find; /* NULL: the host gave none */
  void *user_data;
};

/* The strings belong to the caller or the environment. NULL: neither gave one. */
struct settings {
  bool no_compile;            /* NVRTC is never opened */
  bool cached_only;           /* nor does the driver assemble PTX; implies no_compile */
  char no_compile_reason[64]; /* who said so: "UDM_NO_COMPILE=strict" */
  const char *driver_library;
  const char *nvrtc_library;
  const char *cache_dir;
  const char *cache_path;
  bool system_layer; /* after cache_path: the layer that is installed with the library */
  udm_log_callback log;
  void *log_user_data;
  uint64_t cache_max_bytes; /* 0: no limit */
  udm_stop_callback should_stop;
  void *should_stop_user_data;
  unsigned cache_lock_seconds; /* how long to wait while another process builds the same image */
  struct symbol_provider host;
};

/* Also sets this thread's allocator to that of the options. */
udm_status udm_settings_resolve(const udm_options *options, struct settings *settings,
                                struct error *error);

/* secure_getenv(); NULL for an empty value. */
const char *udm_environment(const char *name);

/* Passes one line to the caller's log callback. The library prints nothing. */
void udm_log(const struct settings *settings, udm_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Asks the host whether to stop; false if it gave no callback. After true, do not ask again. */
bool udm_should_stop(const struct settings *settings, udm_activity activity);

/* The host asked to stop: CANCELLED. */
udm_status udm_fail_cancelled(struct error *error, const char *what);

/*
 * Log lines that wait while a lock of the cache is held: the host's callback may throw or jump, and
 * then no other process may have to wait for that lock.
 */
struct held_log {
  struct settings settings; /* for the work under the lock: as the caller's, but lines are kept */
  const struct settings *caller; /* NULL: nothing is held */
  char *lines;                   /* each a byte for the level, the text and its 0 */
  size_t size;
  size_t capacity;
};
#define UDM_HELD_LOG_INIT \
  { .caller = NULL }

/* The caller's settings must outlive the held log, which must not move. */
void udm_hold_log(const struct settings *settings, struct held_log *held);

/* Passes the lines on, after the lock was dropped. Does nothing if nothing is held. */
void udm_release_log(struct held_log *held);

/* True if the host provides the library: if its callback finds the named function. */
bool udm_host_has(const struct symbol_provider *host, udm_library which, const char *name);

/* Finds a function in the library that was opened or, if that is NULL, at the host. */
void *udm_symbol(void *library, const struct symbol_provider *host, udm_library which,
                 const char *name);

/* The file that contains a function of the host; "" if that is not known. */
void udm_symbol_path(const void *address, char path[UDM_PATH_SIZE]);

#endif
