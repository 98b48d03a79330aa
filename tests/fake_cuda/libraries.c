/*
 * Libraries: an image of no context, which becomes a module in each context
 * that asks for one of its functions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "contexts.h"
#include "cubin_file.h"
#include "modules.h"

struct CUlib_st {
  struct handle handle;
  unsigned char *image;
};

enum { KERNEL_NAME_SIZE = 128 };

struct CUkern_st {
  struct handle handle;
  CUlibrary library;
  char name[KERNEL_NAME_SIZE];
};

/* Of the library and, unless it is NULL, of the context. Until the next one is destroyed. */
static CUmodule find_module(CUlibrary library, CUcontext context) {
  for (struct handle *h = handle_next(HANDLE_MODULE, NULL); h; h = handle_next(HANDLE_MODULE, h)) {
    CUmodule module = (CUmodule)(void *)h;
    if (module->library == library && (!context || h->owner == context)) return module;
  }
  return NULL;
}

static CUkernel find_kernel(CUlibrary library) {
  for (struct handle *h = handle_next(HANDLE_KERNEL, NULL); h; h = handle_next(HANDLE_KERNEL, h)) {
    CUkernel kernel = (CUkernel)(void *)h;
    if (kernel->library == library) return kernel;
  }
  return NULL;
}

static void destroy_kernel(struct handle *object) { free(object); }

static void destroy_library(struct handle *object) {
  CUlibrary library = (CUlibrary)(void *)object;
  for (CUmodule m = find_module(library, NULL); m; m = find_module(library, NULL)) {
    context_synchronise(m->handle.owner);
    handle_destroy(&m->handle);
  }
  for (CUkernel k = find_kernel(library); k; k = find_kernel(library)) handle_destroy(&k->handle);
  free(library->image);
  free(library);
}

static CUresult load(CUlibrary *library, const unsigned char *image) {
  const CUresult result = module_check_format(image);
  if (result != CUDA_SUCCESS) return result;
  CUlibrary created = calloc(1, sizeof *created);
  if (created) created->image = cubin_file_copy(image);
  if (!created || !created->image) {
    free(created);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  handle_register(&created->handle, HANDLE_LIBRARY, NULL, destroy_library);
  *library = created;
  return CUDA_SUCCESS;
}

CUresult cuLibraryLoadData(CUlibrary *library, const void *image, CUjit_option *options,
                           void **option_values, unsigned int option_count,
                           CUlibraryOption *library_options, void **library_option_values,
                           unsigned int library_option_count) {
  (void)options;
  (void)option_values;
  (void)library_options;
  (void)library_option_values;
  CUresult result = fake_cuda_enter(__func__, NEEDS_INIT | UNSAFE_IN_CAPTURE);
  if (result == CUDA_SUCCESS && (option_count != 0 || library_option_count != 0)) {
    result = CUDA_ERROR_INVALID_VALUE; /* of none of which anything is known here */
  }
  if (result == CUDA_SUCCESS) result = load(library, image);
  return fake_cuda_leave(result);
}

CUresult cuLibraryUnload(CUlibrary library) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_INIT | UNSAFE_IN_CAPTURE);
  if (result == CUDA_SUCCESS && !handle_is_live(library, HANDLE_LIBRARY)) {
    result = CUDA_ERROR_INVALID_HANDLE;
  }
  if (result == CUDA_SUCCESS) handle_destroy(&library->handle);
  return fake_cuda_leave(result);
}

static CUresult get_kernel(CUkernel *kernel, CUlibrary library, const char *name) {
  if (!handle_is_live(library, HANDLE_LIBRARY)) return CUDA_ERROR_INVALID_HANDLE;
  if (!name || strlen(name) >= KERNEL_NAME_SIZE) return CUDA_ERROR_INVALID_VALUE;
  if (!cubin_file_has_kernel(library->image, name)) return CUDA_ERROR_NOT_FOUND;
  CUkernel created = calloc(1, sizeof *created);
  if (!created) return CUDA_ERROR_OUT_OF_MEMORY;
  handle_register(&created->handle, HANDLE_KERNEL, NULL, destroy_kernel);
  created->library = library;
  memcpy(created->name, name, strlen(name) + 1);
  *kernel = created;
  return CUDA_SUCCESS;
}

CUresult cuLibraryGetKernel(CUkernel *kernel, CUlibrary library, const char *name) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_INIT);
  if (result == CUDA_SUCCESS) result = get_kernel(kernel, library, name);
  return fake_cuda_leave(result);
}

CUresult cuKernelGetFunction(CUfunction *function, CUkernel kernel) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT | UNSAFE_IN_CAPTURE);
  if (result == CUDA_SUCCESS && !handle_is_live(kernel, HANDLE_KERNEL)) {
    result = CUDA_ERROR_INVALID_HANDLE;
  }
  if (result == CUDA_SUCCESS) {
    CUmodule module = find_module(kernel->library, context_current());
    if (!module) result = module_load(&module, kernel->library, kernel->library->image);
    if (result == CUDA_SUCCESS) result = module_get_function(function, module, kernel->name);
  }
  return fake_cuda_leave(result);
}
