/*
 * cuGetProcAddress: the driver's own table of its functions, each with the
 * version that brought it. UDM_FAKE_CUDA_MISSING="cuLibraryLoadData,cuInit"
 * leaves some out; so does a driver version below theirs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "devices.h"

/* A function's address as data, which POSIX allows and ISO C has no cast for. */
typedef void (*any_function)(void);

static const struct {
  const char *name; /* exported: with the suffix of its version */
  int version;
  any_function function;
} table[] = {
#define FUNCTION(name, version, parameters) {#name, version, (any_function)name},
    CUDA_DRIVER_FUNCTIONS(FUNCTION)
#undef FUNCTION
};

/* The exported name of "cuLinkCreate" is cuLinkCreate_v2. */
static bool is_named(const char *exported, const char *name) {
  const size_t length = strlen(name);
  return strncmp(exported, name, length) == 0 &&
         (exported[length] == '\0' || strncmp(exported + length, "_v", 2) == 0);
}

static bool is_missing(const char *exported) {
  const size_t length = strlen(exported);
  const char *rest = getenv("UDM_FAKE_CUDA_MISSING");
  while (rest && *rest) {
    if (strncmp(rest, exported, length) == 0 && (!rest[length] || rest[length] == ',')) return true;
    rest = strchr(rest, ',');
    if (rest) ++rest;
  }
  return false;
}

/* The newest one that neither the caller's version nor the driver's forbids. */
static CUdriverProcAddressQueryResult find(const char *name, int version, void **address) {
  bool too_new = false;
  int best = -1;
  for (size_t i = 0; i < sizeof table / sizeof table[0]; ++i) {
    if (!is_named(table[i].name, name) || is_missing(table[i].name)) continue;
    if (table[i].version > version || table[i].version > devices_driver_version()) {
      too_new = true;
    } else if (best < 0 || table[i].version > table[best].version) {
      best = (int)i;
    }
  }
  if (best < 0) {
    return too_new ? CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT
                   : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
  }
  memcpy(address, &table[best].function, sizeof *address);
  return CU_GET_PROC_ADDRESS_SUCCESS;
}

CUresult cuGetProcAddress_v2(const char *name, void **address, int version, cuuint64_t flags,
                             CUdriverProcAddressQueryResult *found) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_NOTHING);
  if (result == CUDA_SUCCESS && (!name || !address || flags != 0)) {
    result = CUDA_ERROR_INVALID_VALUE;
  }
  if (result == CUDA_SUCCESS) {
    *address = NULL;
    const CUdriverProcAddressQueryResult outcome = find(name, version, address);
    if (found) *found = outcome;
    if (!found && (int)outcome != CU_GET_PROC_ADDRESS_SUCCESS) result = CUDA_ERROR_NOT_FOUND;
  }
  return fake_cuda_leave(result);
}

CUresult cuGetProcAddress(const char *name, void **address, int version, cuuint64_t flags) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_NOTHING);
  if (result == CUDA_SUCCESS && (!name || !address || flags != 0)) {
    result = CUDA_ERROR_INVALID_VALUE;
  }
  if (result == CUDA_SUCCESS) {
    *address = NULL;
    if ((int)find(name, version, address) != CU_GET_PROC_ADDRESS_SUCCESS) {
      result = CUDA_ERROR_NOT_FOUND;
    }
  }
  return fake_cuda_leave(result);
}
