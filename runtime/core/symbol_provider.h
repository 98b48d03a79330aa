/*
 * symbol_provider.h: entry points of the driver and of NVRTC that the host already
 * holds, in place of those of a library that is opened here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_RUNTIME_CORE_SYMBOL_PROVIDER_H
#define UDM_RUNTIME_CORE_SYMBOL_PROVIDER_H

#include <stdbool.h>

#include "udm.h"

/* `find` is NULL where the host gave none. */
struct symbol_provider {
  udm_find_symbol_callback find;
  void *user_data;
};

/* Whether the host has that library: it has the named entry point of it. */
bool udm_host_has(const struct symbol_provider *host, udm_library which, const char *name);

/* From the library that was opened, or, when that is NULL, from the host. */
void *udm_symbol(void *library, const struct symbol_provider *host, udm_library which,
                 const char *name);

/* The file that an entry point of the host's lies in; "" when that is not known. */
void udm_symbol_path(const void *address, char path[UDM_PATH_SIZE]);

#endif
