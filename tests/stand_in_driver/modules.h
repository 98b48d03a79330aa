/*
 * Modules, made of cubins, and their functions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_TESTS_MODULES_H
#define UDM_TESTS_MODULES_H

#include "handles.h"
#include "host_kernel.h"

struct CUfunc_st {
  handle handle;
  CUmodule module;
  const host_kernel *kernel;
};

#endif /* UDM_TESTS_MODULES_H */
