/*
 * settings.c: resolves udm_options and the environment into settings, and calls the
 * host's callbacks for log lines and symbols.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/settings.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/allocator.h"
#include "core/struct_size.h"

#define DEFAULT_CACHE_MAX_BYTES ((uint64_t)256 << 20)
enum { DEFAULT_CACHE_LOCK_SECONDS = 60 };

/* A log line that is longer, such as one with a compile log, takes memory; without, it is cut. */
enum { LOG_LINE_SIZE = 512 };

const char *udm_environment(const char *name) {
  const char *value = secure_getenv(name);
  return value && *value ? value : NULL;
}

static const char *given_or_environment(const char *given, const char *name) {
  return given && *given ? given : udm_environment(name);
}

static udm_status copy_options(const udm_options *options, udm_options *copy, struct error *error) {
  const udm_status status = udm_read_struct("options", options, UDM_SIZE_UP_TO(udm_options, flags),
                                            copy, sizeof *copy, error);
  if (status != UDM_OK) return status;
  if (copy->flags & ~(UDM_OPTION_NO_COMPILE | UDM_OPTION_CACHED_ONLY)) {
    return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT, "options->flags has unknown bits: 0x%x",
                    (unsigned)copy->flags);
  }
  return UDM_OK;
}

/* Reads "268435456" or "256M"; K, M and G are powers of 1024. Returns false for anything else. */
static bool parse_bytes(const char *text, uint64_t *bytes) {
  static const char units[] = "KMG";
  char *end = NULL;
  errno = 0;
  const unsigned long long number = strtoull(text, &end, 10);
  if (end == text || errno != 0 || text[0] < '0' || text[0] > '9') return false;
  unsigned shift = 0;
  const char *unit = *end ? strchr(units, *end) : NULL;
  if (unit) {
    shift = 10 * (unsigned)(unit - units + 1);
    ++end;
  }
  if (*end != '\0' || number == 0 || number > UINT64_MAX >> shift) return false;
  *bytes = (uint64_t)number << shift;
  return true;
}

/* The variables whose values are checked. */
enum checked { NO_COMPILE, MAX_BYTES, LOCK_SECONDS, CACHE_HOME, HOME, CHECKED_VARIABLES };

static uint32_t hash_of(const char *text) { /* FNV-1a; never 0 */
  uint32_t hash = 2166136261u;
  for (; *text; ++text) hash = (hash ^ (unsigned char)*text) * 16777619u;
  return hash | 1;
}

/*
 * A value that udm does not know is a warning, and no failure: no server stays down because of it.
 * It comes once per process and value, whatever number of calls reads it.
 */
static void warn_of_value(const struct settings *settings, enum checked which, const char *name,
                          const char *value, const char *instead) {
  static _Atomic uint32_t warned[CHECKED_VARIABLES];
  const uint32_t hash = hash_of(value);
  if (!settings->log || atomic_exchange(&warned[which], hash) == hash) return;
  udm_log(settings, UDM_LOG_WARNING, "%s is '%.64s': %s", name, value, instead);
}

static void resolve_cache_limits(const udm_options *options, struct settings *settings) {
  const char *max_bytes = udm_environment("UDM_CACHE_MAX_BYTES");
  const char *seconds = udm_environment("UDM_CACHE_LOCK_SECONDS");
  settings->cache_max_bytes = DEFAULT_CACHE_MAX_BYTES;
  settings->cache_lock_seconds = DEFAULT_CACHE_LOCK_SECONDS;
  if (options->cache_max_bytes) {
    settings->cache_max_bytes = options->cache_max_bytes;
  } else if (max_bytes && !parse_bytes(max_bytes, &settings->cache_max_bytes)) {
    warn_of_value(settings, MAX_BYTES, "UDM_CACHE_MAX_BYTES", max_bytes,
                  "it must be a number of bytes above 0, or one with K, M or G behind it; 256M is "
                  "used");
  }
  if (seconds) {
    char *end = NULL;
    const long value = strtol(seconds, &end, 10);
    const bool begins = seconds[0] >= '0' && seconds[0] <= '9'; /* no space, no sign */
    if (begins && *end == '\0' && value <= 86400) {
      settings->cache_lock_seconds = (unsigned)value;
    } else {
      warn_of_value(settings, LOCK_SECONDS, "UDM_CACHE_LOCK_SECONDS", seconds,
                    "it must be a number from 0 to 86400; 60 is used");
    }
  }
}

/* cache/cache_dir.c takes the first of them that is absolute. */
static void check_home(const struct settings *settings) {
  static const char ignored[] = "it must be an absolute path; it is ignored";
  const char *cache_home = udm_environment("XDG_CACHE_HOME");
  const char *home = udm_environment("HOME");
  if (settings->cache_dir || (cache_home && cache_home[0] == '/')) return;
  if (cache_home) warn_of_value(settings, CACHE_HOME, "XDG_CACHE_HOME", cache_home, ignored);
  if (home && home[0] != '/') warn_of_value(settings, HOME, "HOME", home, ignored);
}

/*
 * The switch of a locked-down server: whatever is neither "0" nor "1" counts as the strictest mode,
 * "strict". A mistyped value must not mean that a server compiles after all.
 */
static void resolve_no_compile(uint32_t flags, struct settings *settings) {
  const char *value = udm_environment("UDM_NO_COMPILE");
  const bool off = !value || strcmp(value, "0") == 0;
  const bool on = value && strcmp(value, "1") == 0;
  const bool strict = !off && !on;
  const char *option = flags & UDM_OPTION_CACHED_ONLY  ? "UDM_OPTION_CACHED_ONLY"
                       : flags & UDM_OPTION_NO_COMPILE ? "UDM_OPTION_NO_COMPILE"
                                                       : "";
  settings->cached_only = strict || (flags & UDM_OPTION_CACHED_ONLY) != 0;
  settings->no_compile = settings->cached_only || on || (flags & UDM_OPTION_NO_COMPILE) != 0;
  snprintf(settings->no_compile_reason, sizeof settings->no_compile_reason, "%s%.30s%s",
           strict || (on && !settings->cached_only) ? "UDM_NO_COMPILE=" : "",
           strict || (on && !settings->cached_only) ? value : option,
           strict && strcmp(value, "strict") != 0 ? ", taken as strict" : "");
  if (strict && strcmp(value, "strict") != 0) {
    warn_of_value(settings, NO_COMPILE, "UDM_NO_COMPILE", value,
                  "it must be 0, 1 or strict; strict, the safest, is used: cached images only");
  }
}

static udm_status use_host_callbacks(const udm_options *options, struct settings *settings,
                                     struct error *error) {
  const struct host_allocator allocator = {options->allocate, options->deallocate,
                                           options->allocator_user_data};
  if (!options->allocate != !options->deallocate) {
    return udm_fail(error, UDM_ERROR_INVALID_ARGUMENT,
                    "options->allocate and options->deallocate: set both or neither");
  }
  udm_allocator_use(&allocator);
  settings->host.find = options->find_symbol;
  settings->host.user_data = options->find_symbol_user_data;
  return UDM_OK;
}

udm_status udm_settings_resolve(const udm_options *options, struct settings *settings,
                                struct error *error) {
  udm_options copy = UDM_OPTIONS_INIT;
  udm_status status = options ? copy_options(options, &copy, error) : UDM_OK;
  if (status == UDM_OK) status = use_host_callbacks(&copy, settings, error);
  if (status != UDM_OK) return status;
  settings->driver_library = given_or_environment(copy.driver_library, "UDM_DRIVER_LIBRARY");
  settings->nvrtc_library = given_or_environment(copy.nvrtc_library, "UDM_NVRTC_LIBRARY");
  settings->cache_dir = given_or_environment(copy.cache_dir, "UDM_CACHE_DIR");
  settings->cache_path = given_or_environment(copy.cache_path, "UDM_CACHE_PATH");
  settings->system_layer = !copy.cache_path || !*copy.cache_path;
  settings->log = copy.log;
  settings->log_user_data = copy.log_user_data;
  settings->should_stop = copy.should_stop;
  settings->should_stop_user_data = copy.should_stop_user_data;
  resolve_no_compile(copy.flags, settings);
  resolve_cache_limits(&copy, settings);
  check_home(settings);
  return UDM_OK;
}

void udm_log(const struct settings *settings, udm_log_level level, const char *format, ...) {
  char line[LOG_LINE_SIZE];
  va_list arguments;
  if (!settings->log) return;
  va_start(arguments, format);
  const int length = vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  char *longer = length >= LOG_LINE_SIZE ? udm_malloc((size_t)length + 1) : NULL;
  if (longer) {
    va_start(arguments, format);
    vsnprintf(longer, (size_t)length + 1, format, arguments);
    va_end(arguments);
  }
  const struct host_allocator ours = udm_allocator_in_use();
  settings->log(settings->log_user_data, level, longer ? longer : line);
  udm_allocator_use(&ours); /* the callback may have called udm with other options */
  udm_free(longer);
}

bool udm_should_stop(const struct settings *settings, udm_activity activity) {
  if (!settings->should_stop) return false;
  const struct host_allocator ours = udm_allocator_in_use();
  const bool stop = settings->should_stop(settings->should_stop_user_data, activity) != 0;
  udm_allocator_use(&ours); /* the callback may have called udm with other options */
  return stop;
}

udm_status udm_fail_cancelled(struct error *error, const char *what) {
  return udm_fail(error, UDM_ERROR_CANCELLED, "%s was stopped, as options->should_stop asked",
                  what);
}

/* A line is lost if there is no memory for it. */
static void keep_line(void *user_data, udm_log_level level, const char *message) {
  struct held_log *held = user_data;
  const size_t length = strlen(message) + 1;
  if (held->size + 1 + length > held->capacity) {
    const size_t capacity = 2 * (held->size + 1 + length);
    char *lines = udm_realloc(held->lines, capacity);
    if (!lines) return;
    held->lines = lines;
    held->capacity = capacity;
  }
  held->lines[held->size] = (char)level;
  memcpy(held->lines + held->size + 1, message, length);
  held->size += 1 + length;
}

void udm_hold_log(const struct settings *settings, struct held_log *held) {
  held->settings = *settings;
  held->caller = settings;
  held->lines = NULL;
  held->size = 0;
  held->capacity = 0;
  if (!settings->log) return;
  held->settings.log = keep_line;
  held->settings.log_user_data = held;
}

void udm_release_log(struct held_log *held) {
  const struct settings *caller = held->caller;
  if (!caller) return;
  const struct host_allocator ours = udm_allocator_in_use();
  for (size_t i = 0; i < held->size; i += 2 + strlen(held->lines + i + 1)) {
    caller->log(caller->log_user_data, (udm_log_level)held->lines[i], held->lines + i + 1);
  }
  udm_allocator_use(&ours); /* the callback may have called udm with other options */
  udm_free(held->lines);
  *held = (struct held_log)UDM_HELD_LOG_INIT;
}

bool udm_host_has(const struct symbol_provider *host, udm_library which, const char *name) {
  return host->find && host->find(host->user_data, which, name) != NULL;
}

void *udm_symbol(void *library, const struct symbol_provider *host, udm_library which,
                 const char *name) {
  if (library) return dlsym(library, name);
  return host->find ? host->find(host->user_data, which, name) : NULL;
}

void udm_symbol_path(const void *address, char path[UDM_PATH_SIZE]) {
  Dl_info info;
  const bool known = dladdr(address, &info) != 0 && info.dli_fname;
  snprintf(path, UDM_PATH_SIZE, "%s", known ? info.dli_fname : "");
}
