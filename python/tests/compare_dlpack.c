/*
 * compare_dlpack.c: the declarations of src/dlpack.h against the real
 * dlpack/dlpack.h. Compiling it is the test.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dlpack/dlpack.h>
#include <stddef.h>

#include "dlpack.h"

#define SAME_SIZE(ours, theirs) _Static_assert(sizeof(ours) == sizeof(theirs), #theirs)
#define SAME_FIELD(ours, field, theirs, their_field)                                    \
  _Static_assert(offsetof(ours, field) == offsetof(theirs, their_field), #their_field); \
  _Static_assert(sizeof(((ours *)0)->field) == sizeof(((theirs *)0)->their_field), #their_field)
#define SAME_VALUE(ours, theirs) _Static_assert((ours) == (theirs), #theirs)

SAME_VALUE(DLPACK_MAJOR, DLPACK_MAJOR_VERSION);
SAME_VALUE((int)DLPACK_CPU, (int)kDLCPU);
SAME_VALUE((int)DLPACK_CUDA, (int)kDLCUDA);
SAME_VALUE((int)DLPACK_CUDA_HOST, (int)kDLCUDAHost);
SAME_VALUE((int)DLPACK_CUDA_MANAGED, (int)kDLCUDAManaged);
SAME_VALUE((int)DLPACK_INT, (int)kDLInt);
SAME_VALUE((int)DLPACK_UINT, (int)kDLUInt);
SAME_VALUE((int)DLPACK_FLOAT, (int)kDLFloat);
SAME_VALUE((int)DLPACK_OPAQUE_HANDLE, (int)kDLOpaqueHandle);
SAME_VALUE((int)DLPACK_BFLOAT, (int)kDLBfloat);
SAME_VALUE((int)DLPACK_COMPLEX, (int)kDLComplex);
SAME_VALUE((int)DLPACK_BOOL, (int)kDLBool);
SAME_VALUE(DLPACK_READ_ONLY, DLPACK_FLAG_BITMASK_READ_ONLY);
SAME_VALUE(DLPACK_IS_COPIED, DLPACK_FLAG_BITMASK_IS_COPIED);

SAME_SIZE(struct dlpack_version, DLPackVersion);
SAME_FIELD(struct dlpack_version, major, DLPackVersion, major);
SAME_FIELD(struct dlpack_version, minor, DLPackVersion, minor);

SAME_SIZE(struct dlpack_device, DLDevice);
SAME_FIELD(struct dlpack_device, type, DLDevice, device_type);
SAME_FIELD(struct dlpack_device, id, DLDevice, device_id);

SAME_SIZE(struct dlpack_data_type, DLDataType);
SAME_FIELD(struct dlpack_data_type, code, DLDataType, code);
SAME_FIELD(struct dlpack_data_type, bits, DLDataType, bits);
SAME_FIELD(struct dlpack_data_type, lanes, DLDataType, lanes);

SAME_SIZE(struct dlpack_tensor, DLTensor);
SAME_FIELD(struct dlpack_tensor, data, DLTensor, data);
SAME_FIELD(struct dlpack_tensor, device, DLTensor, device);
SAME_FIELD(struct dlpack_tensor, ndim, DLTensor, ndim);
SAME_FIELD(struct dlpack_tensor, dtype, DLTensor, dtype);
SAME_FIELD(struct dlpack_tensor, shape, DLTensor, shape);
SAME_FIELD(struct dlpack_tensor, strides, DLTensor, strides);
SAME_FIELD(struct dlpack_tensor, byte_offset, DLTensor, byte_offset);

SAME_SIZE(struct dlpack_managed, DLManagedTensor);
SAME_FIELD(struct dlpack_managed, tensor, DLManagedTensor, dl_tensor);
SAME_FIELD(struct dlpack_managed, manager, DLManagedTensor, manager_ctx);
SAME_FIELD(struct dlpack_managed, deleter, DLManagedTensor, deleter);

SAME_SIZE(struct dlpack_managed_versioned, DLManagedTensorVersioned);
SAME_FIELD(struct dlpack_managed_versioned, version, DLManagedTensorVersioned, version);
SAME_FIELD(struct dlpack_managed_versioned, manager, DLManagedTensorVersioned, manager_ctx);
SAME_FIELD(struct dlpack_managed_versioned, deleter, DLManagedTensorVersioned, deleter);
SAME_FIELD(struct dlpack_managed_versioned, flags, DLManagedTensorVersioned, flags);
SAME_FIELD(struct dlpack_managed_versioned, tensor, DLManagedTensorVersioned, dl_tensor);

SAME_SIZE(struct dlpack_exchange_header, DLPackExchangeAPIHeader);
SAME_FIELD(struct dlpack_exchange_header, version, DLPackExchangeAPIHeader, version);
SAME_FIELD(struct dlpack_exchange_header, previous, DLPackExchangeAPIHeader, prev_api);

SAME_SIZE(struct dlpack_exchange_api, DLPackExchangeAPI);
SAME_FIELD(struct dlpack_exchange_api, header, DLPackExchangeAPI, header);
SAME_FIELD(struct dlpack_exchange_api, managed_tensor_allocator, DLPackExchangeAPI,
           managed_tensor_allocator);
SAME_FIELD(struct dlpack_exchange_api, managed_tensor_from_object, DLPackExchangeAPI,
           managed_tensor_from_py_object_no_sync);
SAME_FIELD(struct dlpack_exchange_api, managed_tensor_to_object, DLPackExchangeAPI,
           managed_tensor_to_py_object_no_sync);
SAME_FIELD(struct dlpack_exchange_api, tensor_from_object, DLPackExchangeAPI,
           dltensor_from_py_object_no_sync);
SAME_FIELD(struct dlpack_exchange_api, current_work_stream, DLPackExchangeAPI, current_work_stream);

/* The functions that we call. Their enum parameter is an int32_t here: as wide, and passed alike.
 */
_Static_assert(sizeof(DLDeviceType) == sizeof(int32_t), "DLDeviceType");
_Static_assert(_Generic((DLPackDLTensorFromPyObjectNoSync)0, int (*)(void *, DLTensor *) : 1),
               "from_object");
_Static_assert(_Generic((DLPackManagedTensorFromPyObjectNoSync)0,
                        int (*)(void *, DLManagedTensorVersioned **) : 1),
               "managed_from_object");
_Static_assert(_Generic((DLPackCurrentWorkStream)0, int (*)(DLDeviceType, int32_t, void **) : 1),
               "work_stream");
