/*
 * The names and texts of errors.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "calls.h"

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
