/*
 * modules.c: modules, libraries and their functions. The driver accepts a cubin if it knows the
 * layout and the current device can run it; its functions are the host kernels of the same names. A
 * library is an image without a context, which becomes a module in each context that asks for one
 * of its functions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "driver.h"

#include <stdlib.h>
#include <string.h>

/* Destroying a function changes the list, so each search starts over. */
static struct handle *find_function_of(CUmodule module) {
  for (struct handle *h = handle_next(HANDLE_FUNCTION, NULL); h;
       h = handle_next(HANDLE_FUNCTION, h)) {
    if (((CUfunction)(void *)h)->module == module) return h;
  }
  return NULL;
}

static void destroy_function(struct handle *object) { free(object); }

static void destroy_module(struct handle *object) {
  CUmodule module = (CUmodule)(void *)object;
  for (struct handle *h = find_function_of(module); h; h = find_function_of(module))
    handle_destroy(h);
  free(module->image);
  free(module);
}

/*
 * From CUDA 13 on, cubins have a layout that older drivers do not know. A driver takes what is of
 * its own major version or older, which is all that CUDA promises.
 */
static CUresult module_check_format(const unsigned char *image) {
  if (!image) return CUDA_ERROR_INVALID_VALUE;
  if (!cubin_file_is_valid(image)) return CUDA_ERROR_INVALID_IMAGE;
  const int driver_major = devices_driver_version() / 1000;
  const bool known = (!cubin_file_is_of_cuda_13(image) || driver_major >= 13) &&
                     cubin_file_maker_major(image) <= driver_major;
  return known ? CUDA_SUCCESS : CUDA_ERROR_INVALID_IMAGE;
}

/* A cubin runs on its own major version, from its own minor version up. */
static CUresult check_image(const unsigned char *image) {
  const struct device *d = device_get(context_current()->device);
  const CUresult result = module_check_format(image);
  if (result != CUDA_SUCCESS) return result;
  const int arch = cubin_file_arch(image);
  const bool runs = arch / 10 == d->major && arch % 10 <= d->minor;
  return runs ? CUDA_SUCCESS : CUDA_ERROR_NO_BINARY_FOR_GPU;
}

static CUresult module_load(CUmodule *module, CUlibrary library, const unsigned char *image) {
  const CUresult result = check_image(image);
  if (result != CUDA_SUCCESS) return result;
  CUmodule created = calloc(1, sizeof *created);
  if (created) created->image = cubin_file_copy(image);
  if (!created || !created->image) {
    free(created);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  handle_register(&created->handle, HANDLE_MODULE, context_current(), destroy_module);
  created->library = library;
  *module = created;
  return CUDA_SUCCESS;
}

/* Assembles PTX first. */
static CUresult load_data(CUmodule *module, const unsigned char *image, const struct jit_log *log) {
  struct tiny_cubin cubin;
  if (!image || !ptx_is_ptx((const char *)image)) return module_load(module, NULL, image);
  const CUresult result = ptx_assemble((const char *)image, &cubin, log);
  if (result != CUDA_SUCCESS) return result;
  return module_load(module, NULL, (const unsigned char *)&cubin);
}

CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned int option_count,
                            CUjit_option *options, void **option_values) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT | UNSAFE_IN_CAPTURE);
  const bool options_given = options && option_values;
  if (result == CUDA_SUCCESS && option_count > 0 && !options_given) {
    result = CUDA_ERROR_INVALID_VALUE;
  }
  if (result == CUDA_SUCCESS) {
    const struct jit_log log = jit_log_of(option_count, options, option_values);
    result = load_data(module, image, &log);
  }
  return fake_cuda_leave(result);
}

CUresult cuModuleUnload(CUmodule module) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT | UNSAFE_IN_CAPTURE);
  if (result == CUDA_SUCCESS && !handle_is_live(module, HANDLE_MODULE)) {
    result = CUDA_ERROR_INVALID_HANDLE;
  }
  if (result == CUDA_SUCCESS && module->handle.owner != context_current()) {
    result = CUDA_ERROR_INVALID_HANDLE;
  }
  if (result == CUDA_SUCCESS) {
    result = context_synchronise(module->handle.owner);
    handle_destroy(&module->handle);
  }
  return fake_cuda_leave(result);
}

static CUresult module_get_function(CUfunction *function, CUmodule module, const char *name) {
  if (!handle_is_live(module, HANDLE_MODULE)) return CUDA_ERROR_INVALID_HANDLE;
  if (!name) return CUDA_ERROR_INVALID_VALUE;
  const struct host_kernel *kernel = host_kernel_find(name);
  if (!kernel || !cubin_file_has_kernel(module->image, name)) return CUDA_ERROR_NOT_FOUND;
  CUfunction created = calloc(1, sizeof *created);
  if (!created) return CUDA_ERROR_OUT_OF_MEMORY;
  handle_register(&created->handle, HANDLE_FUNCTION, module->handle.owner, destroy_function);
  created->module = module;
  created->kernel = kernel;
  *function = created;
  return CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT);
  if (result == CUDA_SUCCESS) result = module_get_function(function, module, name);
  return fake_cuda_leave(result);
}

CUresult cuFuncLoad(CUfunction function) {
  CUresult result = fake_cuda_enter(__func__, NEEDS_CONTEXT | UNSAFE_IN_CAPTURE);
  if (result == CUDA_SUCCESS && !handle_is_live(function, HANDLE_FUNCTION)) {
    result = CUDA_ERROR_INVALID_HANDLE;
  }
  return fake_cuda_leave(result);
}

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

/* A module of the library and, unless it is NULL, of the context. */
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
    result = CUDA_ERROR_INVALID_VALUE; /* the fake knows no option */
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
