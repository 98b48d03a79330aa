/*
 * The driver's errors that the stand-in knows: name, value, text. Included
 * after defining STAND_IN_ERROR; STAND_IN_ERRORS_DECLARED_ELSEWHERE leaves out
 * those that cuda_driver_symbols.h declares.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef STAND_IN_ERRORS_DECLARED_ELSEWHERE
STAND_IN_ERROR(CUDA_SUCCESS, 0, "no error")
STAND_IN_ERROR(CUDA_ERROR_OUT_OF_MEMORY, 2, "out of memory")
#endif
STAND_IN_ERROR(CUDA_ERROR_INVALID_VALUE, 1, "invalid argument")
STAND_IN_ERROR(CUDA_ERROR_NOT_INITIALIZED, 3, "initialization error")
STAND_IN_ERROR(CUDA_ERROR_STUB_LIBRARY, 34, "CUDA driver is a stub library")
STAND_IN_ERROR(CUDA_ERROR_NO_DEVICE, 100, "no CUDA-capable device is detected")
STAND_IN_ERROR(CUDA_ERROR_INVALID_DEVICE, 101, "invalid device ordinal")
STAND_IN_ERROR(CUDA_ERROR_INVALID_IMAGE, 200, "device kernel image is invalid")
STAND_IN_ERROR(CUDA_ERROR_INVALID_CONTEXT, 201, "invalid device context")
STAND_IN_ERROR(CUDA_ERROR_NO_BINARY_FOR_GPU, 209, "no kernel image is available for this device")
STAND_IN_ERROR(CUDA_ERROR_INVALID_PTX, 218, "a PTX JIT compilation failed")
STAND_IN_ERROR(CUDA_ERROR_JIT_COMPILER_NOT_FOUND, 221, "PTX JIT compiler library not found")
STAND_IN_ERROR(CUDA_ERROR_UNSUPPORTED_PTX_VERSION, 222,
               "the provided PTX was compiled with an unsupported toolchain")
STAND_IN_ERROR(CUDA_ERROR_JIT_COMPILATION_DISABLED, 223, "PTX JIT compilation was disabled")
STAND_IN_ERROR(CUDA_ERROR_INVALID_SOURCE, 300, "device kernel image is invalid")
STAND_IN_ERROR(CUDA_ERROR_INVALID_HANDLE, 400, "invalid resource handle")
STAND_IN_ERROR(CUDA_ERROR_ILLEGAL_STATE, 401, "the operation cannot be performed in this state")
STAND_IN_ERROR(CUDA_ERROR_NOT_FOUND, 500, "named symbol not found")
STAND_IN_ERROR(CUDA_ERROR_NOT_READY, 600, "device not ready")
STAND_IN_ERROR(CUDA_ERROR_ILLEGAL_ADDRESS, 700, "an illegal memory access was encountered")
STAND_IN_ERROR(CUDA_ERROR_CONTEXT_IS_DESTROYED, 709, "context is destroyed")
STAND_IN_ERROR(CUDA_ERROR_LAUNCH_FAILED, 719, "unspecified launch failure")
STAND_IN_ERROR(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, 900,
               "operation not permitted when stream is capturing")
STAND_IN_ERROR(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, 901,
               "operation failed due to a previous error during capture")
STAND_IN_ERROR(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, 906,
               "operation would make the legacy stream depend on a capturing blocking stream")
STAND_IN_ERROR(CUDA_ERROR_CAPTURED_EVENT, 907,
               "operation not permitted on an event last recorded in a capturing stream")
STAND_IN_ERROR(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, 908,
               "attempt to terminate a thread-local capture sequence from another thread")

#undef STAND_IN_ERROR
#undef STAND_IN_ERRORS_DECLARED_ELSEWHERE
