/*
 * driver_symbols.h: everything that the library uses of the CUDA driver, in one
 * list. Included several times (so without a guard), after defining one or both
 * of
 *   UDM_DRIVER_SYMBOL(requirement, name, version, parameters)  result: CUresult
 *   UDM_DRIVER_CONSTANT(name, value)
 * Names are the exported ones, which cuda.h hides behind macros for some; the
 * version is the CUDA version that brought this signature, which is what
 * cuGetProcAddress wants to know (cudaTypedefs.h has it in its names).
 * REQUIRED: without it the driver cannot be used. OPTIONAL: a null pointer in
 * the table; whoever calls it checks.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_DRIVER_SYMBOL
#define UDM_DRIVER_SYMBOL(requirement, name, version, parameters)
#endif
#ifndef UDM_DRIVER_CONSTANT
#define UDM_DRIVER_CONSTANT(name, value)
#endif

/* First: every other one is asked of it, where the driver has it. */
UDM_DRIVER_SYMBOL(OPTIONAL, cuGetProcAddress_v2, 12000,
                  (const char *name, void **address, int version, cuuint64_t flags,
                   CUdriverProcAddressQueryResult *result))
UDM_DRIVER_SYMBOL(OPTIONAL, cuGetProcAddress, 11030,
                  (const char *name, void **address, int version, cuuint64_t flags))

UDM_DRIVER_SYMBOL(REQUIRED, cuInit, 2000, (unsigned int flags))
UDM_DRIVER_SYMBOL(REQUIRED, cuDriverGetVersion, 2020, (int *version))
UDM_DRIVER_SYMBOL(OPTIONAL, cuGetErrorName, 6000, (CUresult error, const char **name))
UDM_DRIVER_SYMBOL(OPTIONAL, cuGetErrorString, 6000, (CUresult error, const char **text))

UDM_DRIVER_SYMBOL(REQUIRED, cuDeviceGetCount, 2000, (int *count))
UDM_DRIVER_SYMBOL(REQUIRED, cuDeviceGet, 2000, (CUdevice * device, int ordinal))
UDM_DRIVER_SYMBOL(REQUIRED, cuDeviceGetName, 2000, (char *name, int size, CUdevice device))
UDM_DRIVER_SYMBOL(REQUIRED, cuDeviceTotalMem_v2, 3020, (size_t * bytes, CUdevice device))
UDM_DRIVER_SYMBOL(REQUIRED, cuDeviceGetAttribute, 2000,
                  (int *value, CUdevice_attribute attribute, CUdevice device))

UDM_DRIVER_SYMBOL(REQUIRED, cuCtxGetCurrent, 4000, (CUcontext * context))
UDM_DRIVER_SYMBOL(REQUIRED, cuCtxGetDevice, 2000, (CUdevice * device))
UDM_DRIVER_SYMBOL(OPTIONAL, cuCtxGetApiVersion, 3020, (CUcontext context, unsigned int *version))
UDM_DRIVER_SYMBOL(OPTIONAL, cuCtxGetId, 12000, (CUcontext context, unsigned long long *id))
UDM_DRIVER_SYMBOL(REQUIRED, cuCtxPushCurrent_v2, 4000, (CUcontext context))
UDM_DRIVER_SYMBOL(REQUIRED, cuCtxPopCurrent_v2, 4000, (CUcontext * context))
UDM_DRIVER_SYMBOL(OPTIONAL, cuThreadExchangeStreamCaptureMode, 10010, (CUstreamCaptureMode * mode))

/* Two ways to load a cubin; load.c says which is taken. */
UDM_DRIVER_SYMBOL(REQUIRED, cuModuleLoadDataEx, 2010,
                  (CUmodule * module, const void *image, unsigned int option_count,
                   CUjit_option *options, void **option_values))
UDM_DRIVER_SYMBOL(REQUIRED, cuModuleUnload, 2000, (CUmodule module))
UDM_DRIVER_SYMBOL(REQUIRED, cuModuleGetFunction, 2000,
                  (CUfunction * function, CUmodule module, const char *name))
UDM_DRIVER_SYMBOL(OPTIONAL, cuLibraryLoadData, 12000,
                  (CUlibrary * library, const void *image, CUjit_option *options,
                   void **option_values, unsigned int option_count,
                   CUlibraryOption *library_options, void **library_option_values,
                   unsigned int library_option_count))
UDM_DRIVER_SYMBOL(OPTIONAL, cuLibraryUnload, 12000, (CUlibrary library))
UDM_DRIVER_SYMBOL(OPTIONAL, cuLibraryGetKernel, 12000,
                  (CUkernel * kernel, CUlibrary library, const char *name))
UDM_DRIVER_SYMBOL(OPTIONAL, cuKernelGetFunction, 12000, (CUfunction * function, CUkernel kernel))

/* Lazy loading would otherwise leave work to the first launch, which may be in a capture. */
UDM_DRIVER_SYMBOL(OPTIONAL, cuFuncLoad, 12040, (CUfunction function))

/* From PTX to a cubin. */
UDM_DRIVER_SYMBOL(OPTIONAL, cuLinkCreate_v2, 6050,
                  (unsigned int option_count, CUjit_option *options, void **option_values,
                   CUlinkState *state))
UDM_DRIVER_SYMBOL(OPTIONAL, cuLinkAddData_v2, 6050,
                  (CUlinkState state, CUjitInputType type, void *data, size_t size,
                   const char *name, unsigned int option_count, CUjit_option *options,
                   void **option_values))
UDM_DRIVER_SYMBOL(OPTIONAL, cuLinkComplete, 5050, (CUlinkState state, void **cubin, size_t *size))
UDM_DRIVER_SYMBOL(OPTIONAL, cuLinkDestroy, 5050, (CUlinkState state))

UDM_DRIVER_SYMBOL(REQUIRED, cuLaunchKernel, 4000,
                  (CUfunction function, unsigned int grid_x, unsigned int grid_y,
                   unsigned int grid_z, unsigned int block_x, unsigned int block_y,
                   unsigned int block_z, unsigned int shared_bytes, CUstream stream,
                   void **kernel_parameters, void **extra))

UDM_DRIVER_CONSTANT(CUDA_SUCCESS, 0)
UDM_DRIVER_CONSTANT(CUDA_ERROR_STUB_LIBRARY, 34)
UDM_DRIVER_CONSTANT(CUDA_ERROR_NO_DEVICE, 100)
UDM_DRIVER_CONSTANT(CUDA_ERROR_INVALID_DEVICE, 101)
UDM_DRIVER_CONSTANT(CUDA_ERROR_INVALID_IMAGE, 200)
UDM_DRIVER_CONSTANT(CUDA_ERROR_INVALID_CONTEXT, 201)
UDM_DRIVER_CONSTANT(CUDA_ERROR_NO_BINARY_FOR_GPU, 209)
UDM_DRIVER_CONSTANT(CUDA_ERROR_INVALID_PTX, 218)
UDM_DRIVER_CONSTANT(CUDA_ERROR_JIT_COMPILER_NOT_FOUND, 221)
UDM_DRIVER_CONSTANT(CUDA_ERROR_UNSUPPORTED_PTX_VERSION, 222)
UDM_DRIVER_CONSTANT(CUDA_ERROR_JIT_COMPILATION_DISABLED, 223)
UDM_DRIVER_CONSTANT(CUDA_ERROR_INVALID_SOURCE, 300)
UDM_DRIVER_CONSTANT(CUDA_ERROR_INVALID_HANDLE, 400)
UDM_DRIVER_CONSTANT(CUDA_ERROR_NOT_FOUND, 500)
UDM_DRIVER_CONSTANT(CUDA_ERROR_ILLEGAL_ADDRESS, 700)
UDM_DRIVER_CONSTANT(CUDA_ERROR_LAUNCH_FAILED, 719)
UDM_DRIVER_CONSTANT(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, 900)
UDM_DRIVER_CONSTANT(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, 901)
UDM_DRIVER_CONSTANT(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, 906)
UDM_DRIVER_CONSTANT(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, 908)
UDM_DRIVER_CONSTANT(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 16)
UDM_DRIVER_CONSTANT(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 75)
UDM_DRIVER_CONSTANT(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 76)
UDM_DRIVER_CONSTANT(CU_GET_PROC_ADDRESS_DEFAULT, 0)
UDM_DRIVER_CONSTANT(CU_JIT_INFO_LOG_BUFFER, 3)
UDM_DRIVER_CONSTANT(CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES, 4)
UDM_DRIVER_CONSTANT(CU_JIT_ERROR_LOG_BUFFER, 5)
UDM_DRIVER_CONSTANT(CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES, 6)
UDM_DRIVER_CONSTANT(CU_JIT_INPUT_PTX, 1)
UDM_DRIVER_CONSTANT(CU_STREAM_CAPTURE_MODE_RELAXED, 2)

#undef UDM_DRIVER_SYMBOL
#undef UDM_DRIVER_CONSTANT
