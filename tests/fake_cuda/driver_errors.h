/*
 * driver_errors.h: the driver's errors that the fake knows: name, value, text. Included
 * after defining FAKE_CUDA_ERROR; FAKE_CUDA_ERRORS_DECLARED_ELSEWHERE leaves out
 * those that cuda_driver_symbols.h declares.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FAKE_CUDA_ERRORS_DECLARED_ELSEWHERE
FAKE_CUDA_ERROR(CUDA_SUCCESS, 0, "no error")
FAKE_CUDA_ERROR(CUDA_ERROR_OUT_OF_MEMORY, 2, "out of memory")
#endif
FAKE_CUDA_ERROR(CUDA_ERROR_INVALID_VALUE, 1, "invalid argument")
FAKE_CUDA_ERROR(CUDA_ERROR_NOT_INITIALIZED, 3, "initialization error")
FAKE_CUDA_ERROR(CUDA_ERROR_STUB_LIBRARY, 34, "CUDA driver is a stub library")
FAKE_CUDA_ERROR(CUDA_ERROR_NO_DEVICE, 100, "no CUDA-capable device is detected")
FAKE_CUDA_ERROR(CUDA_ERROR_INVALID_DEVICE, 101, "invalid device ordinal")
FAKE_CUDA_ERROR(CUDA_ERROR_INVALID_IMAGE, 200, "device kernel image is invalid")
FAKE_CUDA_ERROR(CUDA_ERROR_INVALID_CONTEXT, 201, "invalid device context")
FAKE_CUDA_ERROR(CUDA_ERROR_NO_BINARY_FOR_GPU, 209, "no kernel image is available for this device")
FAKE_CUDA_ERROR(CUDA_ERROR_INVALID_PTX, 218, "a PTX JIT compilation failed")
FAKE_CUDA_ERROR(CUDA_ERROR_JIT_COMPILER_NOT_FOUND, 221, "PTX JIT compiler library not found")
FAKE_CUDA_ERROR(CUDA_ERROR_UNSUPPORTED_PTX_VERSION, 222,
                "the provided PTX was compiled with an unsupported toolchain")
FAKE_CUDA_ERROR(CUDA_ERROR_JIT_COMPILATION_DISABLED, 223, "PTX JIT compilation was disabled")
FAKE_CUDA_ERROR(CUDA_ERROR_INVALID_SOURCE, 300, "device kernel image is invalid")
FAKE_CUDA_ERROR(CUDA_ERROR_INVALID_HANDLE, 400, "invalid resource handle")
FAKE_CUDA_ERROR(CUDA_ERROR_ILLEGAL_STATE, 401, "the operation cannot be performed in this state")
FAKE_CUDA_ERROR(CUDA_ERROR_NOT_FOUND, 500, "named symbol not found")
FAKE_CUDA_ERROR(CUDA_ERROR_NOT_READY, 600, "device not ready")
FAKE_CUDA_ERROR(CUDA_ERROR_ILLEGAL_ADDRESS, 700, "an illegal memory access was encountered")
FAKE_CUDA_ERROR(CUDA_ERROR_CONTEXT_IS_DESTROYED, 709, "context is destroyed")
FAKE_CUDA_ERROR(CUDA_ERROR_LAUNCH_FAILED, 719, "unspecified launch failure")
FAKE_CUDA_ERROR(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, 900,
                "operation not permitted when stream is capturing")
FAKE_CUDA_ERROR(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, 901,
                "operation failed due to a previous error during capture")
FAKE_CUDA_ERROR(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, 906,
                "operation would make the legacy stream depend on a capturing blocking stream")
FAKE_CUDA_ERROR(CUDA_ERROR_CAPTURED_EVENT, 907,
                "operation not permitted on an event last recorded in a capturing stream")
FAKE_CUDA_ERROR(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, 908,
                "attempt to terminate a thread-local capture sequence from another thread")

#undef FAKE_CUDA_ERROR
#undef FAKE_CUDA_ERRORS_DECLARED_ELSEWHERE
