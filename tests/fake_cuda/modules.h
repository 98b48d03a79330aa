/*
 * Modules, made of cubins, and their functions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_MODULES_H
#define UDM_TESTS_MODULES_H

#include "handles.h"
#include "host_kernel.h"

struct CUmod_st {
  struct handle handle;
  CUlibrary library; /* of which it is the part in one context; NULL: of none */
  unsigned char *image;
};

/* Makes a module of an image, in the current context. */
CUresult module_load(CUmodule *module, CUlibrary library, const unsigned char *image);

/* Makes a function of a module. */
CUresult module_get_function(CUfunction *function, CUmodule module, const char *name);

/* CUDA_SUCCESS when the driver can make anything of the image, on whatever device. */
CUresult module_check_format(const unsigned char *image);

struct CUfunc_st {
  struct handle handle;
  CUmodule module;
  const struct host_kernel *kernel;
};

#endif
