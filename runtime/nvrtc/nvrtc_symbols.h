/*
 * nvrtc_symbols.h: everything that the library uses of NVRTC, in one list.
 * Included several times (so without a guard), after defining one or both of
 *   UDM_NVRTC_SYMBOL(requirement, result, name, parameters)
 *   UDM_NVRTC_CONSTANT(name, value)
 * REQUIRED: without it the library cannot be used. OPTIONAL: a null pointer in
 * the table; whoever calls it checks.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_NVRTC_SYMBOL
#define UDM_NVRTC_SYMBOL(requirement, result, name, parameters)
#endif
#ifndef UDM_NVRTC_CONSTANT
#define UDM_NVRTC_CONSTANT(name, value)
#endif

UDM_NVRTC_SYMBOL(REQUIRED, nvrtcResult, nvrtcVersion, (int *major, int *minor))
UDM_NVRTC_SYMBOL(REQUIRED, const char *, nvrtcGetErrorString, (nvrtcResult result))
UDM_NVRTC_SYMBOL(REQUIRED, nvrtcResult, nvrtcGetNumSupportedArchs, (int *count))
UDM_NVRTC_SYMBOL(REQUIRED, nvrtcResult, nvrtcGetSupportedArchs, (int *archs))
UDM_NVRTC_SYMBOL(REQUIRED, nvrtcResult, nvrtcCreateProgram,
                 (nvrtcProgram * program, const char *source, const char *name, int header_count,
                  const char *const *headers, const char *const *include_names))
UDM_NVRTC_SYMBOL(REQUIRED, nvrtcResult, nvrtcDestroyProgram, (nvrtcProgram * program))
UDM_NVRTC_SYMBOL(REQUIRED, nvrtcResult, nvrtcCompileProgram,
                 (nvrtcProgram program, int option_count, const char *const *options))
UDM_NVRTC_SYMBOL(REQUIRED, nvrtcResult, nvrtcGetCUBINSize, (nvrtcProgram program, size_t *size))
UDM_NVRTC_SYMBOL(REQUIRED, nvrtcResult, nvrtcGetCUBIN, (nvrtcProgram program, char *cubin))
UDM_NVRTC_SYMBOL(OPTIONAL, nvrtcResult, nvrtcGetPTXSize, (nvrtcProgram program, size_t *size))
UDM_NVRTC_SYMBOL(OPTIONAL, nvrtcResult, nvrtcGetPTX, (nvrtcProgram program, char *ptx))
UDM_NVRTC_SYMBOL(REQUIRED, nvrtcResult, nvrtcGetProgramLogSize,
                 (nvrtcProgram program, size_t *size))
UDM_NVRTC_SYMBOL(REQUIRED, nvrtcResult, nvrtcGetProgramLog, (nvrtcProgram program, char *log))

UDM_NVRTC_CONSTANT(NVRTC_SUCCESS, 0)
UDM_NVRTC_CONSTANT(NVRTC_ERROR_OUT_OF_MEMORY, 1)
UDM_NVRTC_CONSTANT(NVRTC_ERROR_INVALID_INPUT, 3)
UDM_NVRTC_CONSTANT(NVRTC_ERROR_INVALID_PROGRAM, 4)
UDM_NVRTC_CONSTANT(NVRTC_ERROR_INVALID_OPTION, 5)
UDM_NVRTC_CONSTANT(NVRTC_ERROR_COMPILATION, 6)

#undef UDM_NVRTC_SYMBOL
#undef UDM_NVRTC_CONSTANT
