/*
 * options.c: resolves udm_options and the environment into settings.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "options.h"

#include <stdlib.h>
#include <string.h>

#include "status.h"

const char *udm_environment(const char *name) {
  const char *value = secure_getenv(name);
  return value && *value ? value : NULL;
}

static const char *given_or_environment(const char *given, const char *name) {
  return given && *given ? given : udm_environment(name);
}

/*
 * An older caller has fewer fields: the rest keep their defaults. A newer one
 * has more: they must be unused (zero), since this library does not know them.
 */
static udm_status copy_options(const udm_options *options, udm_options *copy) {
  const size_t size = options->struct_size;
  const size_t smallest = offsetof(udm_options, flags) + sizeof options->flags;
  if (size < smallest || size > 65536 || size % sizeof(void *) != 0) {
    return udm_fail(UDM_ERROR_INVALID_ARGUMENT,
                    "options->struct_size is %zu: start from UDM_OPTIONS_INIT", size);
  }
  memcpy(copy, options, size < sizeof *copy ? size : sizeof *copy);
  for (size_t i = sizeof *copy; i < size; ++i) {
    if (((const unsigned char *)options)[i] != 0) {
      return udm_fail(UDM_ERROR_INVALID_ARGUMENT,
                      "options uses a field of a newer udm than this library, %s",
                      udm_version_string());
    }
  }
  if (copy->flags & ~(UDM_OPTION_NO_COMPILE | UDM_OPTION_CACHED_ONLY)) {
    return udm_fail(UDM_ERROR_INVALID_ARGUMENT, "options->flags has unknown bits: 0x%x",
                    (unsigned)copy->flags);
  }
  return UDM_OK;
}

udm_status udm_settings_resolve(const udm_options *options, struct settings *settings) {
  udm_options copy = UDM_OPTIONS_INIT;
  if (options) {
    const udm_status status = copy_options(options, &copy);
    if (status != UDM_OK) return status;
  }
  const char *no_compile = udm_environment("UDM_NO_COMPILE");
  settings->cached_only = (copy.flags & UDM_OPTION_CACHED_ONLY) != 0 ||
                          (no_compile && strcmp(no_compile, "strict") == 0);
  settings->no_compile = settings->cached_only || (copy.flags & UDM_OPTION_NO_COMPILE) != 0 ||
                         (no_compile && strcmp(no_compile, "0") != 0);
  settings->driver_library = given_or_environment(copy.driver_library, "UDM_DRIVER_LIBRARY");
  settings->nvrtc_library = given_or_environment(copy.nvrtc_library, "UDM_NVRTC_LIBRARY");
  settings->cache_dir = given_or_environment(copy.cache_dir, "UDM_CACHE_DIR");
  settings->cache_path = given_or_environment(copy.cache_path, "UDM_CACHE_PATH");
  settings->log = copy.log;
  settings->log_user_data = copy.log_user_data;
  return UDM_OK;
}
