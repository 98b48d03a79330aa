/*
 * compare_declarations.c: compiled against the real cuda.h or nvrtc.h: each
 * function of our header HEADER must have the type that the real header gives
 * it, and each constant its value. A name that the real header lacks does not
 * compile.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#define HAS_TYPE(name, type) \
  _Static_assert(__builtin_types_compatible_p(__typeof__(name), type), #name ": another type")
#define HAS_VALUE(name, value) \
  _Static_assert((long long)(name) == (long long)(value), #name ": another value");

#ifdef COMPARE_NVRTC
#include <nvrtc.h>

#include HEADER

#define SAME_TYPE(result, name, parameters) HAS_TYPE(name, name##_function);
CUDA_NVRTC_FUNCTIONS(SAME_TYPE)
CUDA_NVRTC_CONSTANTS(HAS_VALUE)

#else
/* With this, cuda.h declares every exported name, old and new, under that very name. */
#define __CUDA_API_VERSION_INTERNAL
#include <cuda.h>

#include HEADER

#define SAME_TYPE(name, version, parameters) HAS_TYPE(name, name##_function);
CUDA_DRIVER_FUNCTIONS(SAME_TYPE)
CUDA_DRIVER_CONSTANTS(HAS_VALUE)

/* cudaTypedefs.h has a type PFN_<base name>_v<version> for each version of a function. */
#ifdef VERSIONS
#include <cudaTypedefs.h>
#define HAS_VERSION(name, pointer) HAS_TYPE(name, __typeof__(*(pointer)0));
#include VERSIONS
#endif
#endif
