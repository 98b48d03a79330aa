/*
 * names.c: the driver's tables of names: its errors with their texts, and its functions with the
 * version of CUDA that brought each (cuGetProcAddress).
 * UDM_FAKE_CUDA_MISSING="cuLibraryLoadData,cuInit" leaves functions out; so does a driver version
 * below theirs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "driver.h"

#include <stdlib.h>
#include <string.h>

static const struct {
  int value;
  const char *name;
  const char *text;
} errors[] = {
#define ERROR(name, text) \
  { name, #name, text }
    ERROR(CUDA_SUCCESS, "no error"),
    ERROR(CUDA_ERROR_OUT_OF_MEMORY, "out of memory"),
    ERROR(CUDA_ERROR_INVALID_VALUE, "invalid argument"),
    ERROR(CUDA_ERROR_NOT_INITIALIZED, "initialization error"),
    ERROR(CUDA_ERROR_STUB_LIBRARY, "CUDA driver is a stub library"),
    ERROR(CUDA_ERROR_NO_DEVICE, "no CUDA-capable device is detected"),
    ERROR(CUDA_ERROR_INVALID_DEVICE, "invalid device ordinal"),
    ERROR(CUDA_ERROR_INVALID_IMAGE, "device kernel image is invalid"),
    ERROR(CUDA_ERROR_INVALID_CONTEXT, "invalid device context"),
    ERROR(CUDA_ERROR_NO_BINARY_FOR_GPU, "no kernel image is available for this device"),
    ERROR(CUDA_ERROR_INVALID_PTX, "a PTX JIT compilation failed"),
    ERROR(CUDA_ERROR_JIT_COMPILER_NOT_FOUND, "PTX JIT compiler library not found"),
    ERROR(CUDA_ERROR_UNSUPPORTED_PTX_VERSION,
          "the provided PTX was compiled with an unsupported toolchain"),
    ERROR(CUDA_ERROR_JIT_COMPILATION_DISABLED, "PTX JIT compilation was disabled"),
    ERROR(CUDA_ERROR_INVALID_SOURCE, "device kernel image is invalid"),
    ERROR(CUDA_ERROR_INVALID_HANDLE, "invalid resource handle"),
    ERROR(CUDA_ERROR_ILLEGAL_STATE, "the operation cannot be performed in this state"),
    ERROR(CUDA_ERROR_NOT_FOUND, "named symbol not found"),
    ERROR(CUDA_ERROR_NOT_READY, "device not ready"),
    ERROR(CUDA_ERROR_ILLEGAL_ADDRESS, "an illegal memory access was encountered"),
    ERROR(CUDA_ERROR_CONTEXT_IS_DESTROYED, "context is destroyed"),
    ERROR(CUDA_ERROR_LAUNCH_FAILED, "unspecified launch failure"),
    ERROR(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
          "operation not permitted when stream is capturing"),
    ERROR(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED,
          "operation failed due to a previous error during capture"),
    ERROR(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT,
          "operation would make the legacy stream depend on a capturing blocking stream"),
    ERROR(CUDA_ERROR_CAPTURED_EVENT,
          "operation not permitted on an event last recorded in a capturing stream"),
    ERROR(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD,
          "attempt to terminate a thread-local capture sequence from another thread"),
#undef ERROR
};

enum { ERRORS = sizeof errors / sizeof errors[0] };

static int find_error(CUresult error) {
  for (int e = 0; e < ERRORS; ++e) {
    if (errors[e].value == (int)error) return e;
  }
  return -1;
}

CUresult cuGetErrorName(CUresult error, const char **name) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_NOTHING);
  if (result == CUDA_SUCCESS) {
    const int e = find_error(error);
    *name = e < 0 ? NULL : errors[e].name;
    if (e < 0) result = CUDA_ERROR_INVALID_VALUE;
  }
  return fake_cuda_leave(result);
}

CUresult cuGetErrorString(CUresult error, const char **text) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_NOTHING);
  if (result == CUDA_SUCCESS) {
    const int e = find_error(error);
    *text = e < 0 ? NULL : errors[e].text;
    if (e < 0) result = CUDA_ERROR_INVALID_VALUE;
  }
  return fake_cuda_leave(result);
}

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
