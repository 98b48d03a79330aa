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
#define FAKE_CUDA_ERROR(name, value, text) {value, #name, text},
#include "driver_errors.h"
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
