/*
 * symbol_provider.c: asks the host, or the library.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/symbol_provider.h"

#include <dlfcn.h>
#include <stdio.h>

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
