/*
 * driver_symbols.h: everything that the library uses of the CUDA driver, in one
 * list. Included several times (so without a guard), after defining one or both
 * of
 *   UDM_DRIVER_SYMBOL(requirement, name, parameters)  result type: CUresult
 *   UDM_DRIVER_CONSTANT(name, value)
 * Names are the exported ones, which cuda.h hides behind macros for some.
 * REQUIRED: without it the driver cannot be used. OPTIONAL: a null pointer in
 * the table; whoever calls it checks.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UDM_DRIVER_SYMBOL
#define UDM_DRIVER_SYMBOL(requirement, name, parameters)
#endif
#ifndef UDM_DRIVER_CONSTANT
#define UDM_DRIVER_CONSTANT(name, value)
#endif

UDM_DRIVER_SYMBOL(REQUIRED, cuInit, (unsigned int flags))
UDM_DRIVER_SYMBOL(REQUIRED, cuDriverGetVersion, (int *version))
UDM_DRIVER_SYMBOL(OPTIONAL, cuGetErrorName, (CUresult error, const char **name))
UDM_DRIVER_SYMBOL(OPTIONAL, cuGetErrorString, (CUresult error, const char **text))

UDM_DRIVER_SYMBOL(REQUIRED, cuDeviceGetCount, (int *count))
UDM_DRIVER_SYMBOL(REQUIRED, cuDeviceGet, (CUdevice * device, int ordinal))
UDM_DRIVER_SYMBOL(REQUIRED, cuDeviceGetName, (char *name, int size, CUdevice device))
UDM_DRIVER_SYMBOL(REQUIRED, cuDeviceTotalMem_v2, (size_t * bytes, CUdevice device))
UDM_DRIVER_SYMBOL(REQUIRED, cuDeviceGetAttribute,
                  (int *value, CUdevice_attribute attribute, CUdevice device))

UDM_DRIVER_SYMBOL(REQUIRED, cuCtxGetCurrent, (CUcontext * context))
UDM_DRIVER_SYMBOL(REQUIRED, cuCtxGetDevice, (CUdevice * device))
UDM_DRIVER_SYMBOL(REQUIRED, cuCtxPushCurrent_v2, (CUcontext context))
UDM_DRIVER_SYMBOL(REQUIRED, cuCtxPopCurrent_v2, (CUcontext * context))

UDM_DRIVER_SYMBOL(REQUIRED, cuModuleLoadDataEx,
                  (CUmodule * module, const void *image, unsigned int option_count,
                   CUjit_option *options, void **option_values))
UDM_DRIVER_SYMBOL(REQUIRED, cuModuleUnload, (CUmodule module))
UDM_DRIVER_SYMBOL(REQUIRED, cuModuleGetFunction,
                  (CUfunction * function, CUmodule module, const char *name))
UDM_DRIVER_SYMBOL(REQUIRED, cuLaunchKernel,
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
UDM_DRIVER_CONSTANT(CUDA_ERROR_UNSUPPORTED_PTX_VERSION, 222)
UDM_DRIVER_CONSTANT(CUDA_ERROR_INVALID_SOURCE, 300)
UDM_DRIVER_CONSTANT(CUDA_ERROR_INVALID_HANDLE, 400)
UDM_DRIVER_CONSTANT(CUDA_ERROR_NOT_FOUND, 500)
UDM_DRIVER_CONSTANT(CUDA_ERROR_ILLEGAL_ADDRESS, 700)
UDM_DRIVER_CONSTANT(CUDA_ERROR_LAUNCH_FAILED, 719)
UDM_DRIVER_CONSTANT(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, 900)
UDM_DRIVER_CONSTANT(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 16)
UDM_DRIVER_CONSTANT(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 75)
UDM_DRIVER_CONSTANT(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 76)

#undef UDM_DRIVER_SYMBOL
#undef UDM_DRIVER_CONSTANT
