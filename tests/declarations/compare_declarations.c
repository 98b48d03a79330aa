/*
 * Compiled against the real cuda.h or nvrtc.h: every entry point of one of the
 * project's lists must have the type that the real header gives it, every
 * constant its value. A name that the real header lacks does not compile.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#define HAS_TYPE(name, type) \
  _Static_assert(__builtin_types_compatible_p(__typeof__(name), type), #name ": another type")
#define HAS_VALUE(name, value) \
  _Static_assert((long long)(name) == (long long)(value), #name ": another value")

#ifdef COMPARE_NVRTC
#include <nvrtc.h>
#else
/* With this, cuda.h declares every exported name, old and new, under that very name. */
#define __CUDA_API_VERSION_INTERNAL
#include <cuda.h>
#endif

/* The versions of entry points: cudaTypedefs.h has a type PFN_<base name>_v<version> for each. */
#ifdef SYMBOL_VERSIONS
#include <cudaTypedefs.h>
#define HAS_VERSION(name, pointer) HAS_TYPE(name, __typeof__(*(pointer)0));
#include SYMBOL_VERSIONS
#endif

#define UDM_DRIVER_SYMBOL(requirement, name, version, parameters) \
  HAS_TYPE(name, CUresult CUDAAPI parameters);
#define UDM_TOOL_DRIVER_SYMBOL(name, parameters) HAS_TYPE(name, CUresult CUDAAPI parameters);
#define UDM_NVRTC_SYMBOL(requirement, result, name, parameters) HAS_TYPE(name, result parameters);
#define UDM_DRIVER_CONSTANT(name, value) HAS_VALUE(name, value);
#define UDM_NVRTC_CONSTANT(name, value) HAS_VALUE(name, value);
#include SYMBOL_LIST
