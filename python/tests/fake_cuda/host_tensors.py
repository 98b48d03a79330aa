# SPDX-License-Identifier: Apache-2.0
"""Tensor types that call a NumPy array CUDA memory, as the fake driver does: one per way
in which udm takes a tensor."""

import ctypes
from types import SimpleNamespace

import numpy as np
import tvm_ffi


class DataPtrTensor:
    """Like PyTorch's before 2.10: data_ptr() and its companions."""

    def __init__(self, array, device="cuda", index=0):
        self.array = array
        self.shape = array.shape
        self.dtype = f"torch.{array.dtype}"
        self.device = SimpleNamespace(type=device, index=index)

    def data_ptr(self):
        return self.array.ctypes.data

    def stride(self):
        return tuple(s // self.array.itemsize for s in self.array.strides)


class ServerTensor(DataPtrTensor):
    """With what a server does with PyTorch's, as far as udm.sglang and the plug-in rely on it."""

    copies = []  # PyTorch frees memory in the order of the stream; here it stays

    def __getitem__(self, key):
        return ServerTensor(self.array[key])

    def reshape(self, *shape):
        return ServerTensor(self.array.reshape(*shape))

    def contiguous(self):
        self.copies.append(np.ascontiguousarray(self.array))
        return ServerTensor(self.copies[-1])

    def new_empty(self, shape):
        return ServerTensor(np.full(shape, -1, self.array.dtype))


class ArrayInterfaceTensor:
    """Like CuPy's and Numba's: __cuda_array_interface__."""

    def __init__(self, array, stream=None, read_only=False, version=3, compact=False):
        self.array = array
        self.interface = {
            "shape": array.shape,
            "typestr": array.dtype.str,
            "data": (array.ctypes.data, read_only),
            "version": version,
            "strides": None if compact else array.strides,
        }
        if stream is not None:
            self.interface["stream"] = stream

    @property
    def __cuda_array_interface__(self):
        return self.interface


class DLPackTensor:
    """Like JAX's: __dlpack__ alone. NumPy makes the capsule."""

    def __init__(self, array, device=(2, 0)):
        self.array = array
        self.device = device
        self.streams = []  # the streams that consumers named

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, *, stream=None, max_version=None):
        self.streams.append(stream)
        return self.capsule(max_version)

    def capsule(self, max_version):
        return relabelled(self.array, self.device, max_version)


class OldDLPackTensor(DLPackTensor):
    """A producer that does not know max_version."""

    def __dlpack__(self, *, stream=None):
        self.streams.append(stream)
        return self.capsule(None)


def relabelled(array, device, max_version):
    """NumPy's capsule, with its device overwritten."""
    capsule = array.__dlpack__(max_version=max_version) if max_version else array.__dlpack__()
    name = b"dltensor_versioned" if max_version else b"dltensor"
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.argtypes, get.restype = [ctypes.py_object, ctypes.c_char_p], ctypes.c_void_p
    # in a versioned capsule, version, manager, deleter and flags come before the tensor
    tensor = get(capsule, name) + (32 if max_version else 0)
    device_fields = (ctypes.c_int32 * 2).from_address(tensor + 8)
    device_fields[0], device_fields[1] = device
    return capsule


class ExchangeTensor:
    """Like PyTorch's from 2.10 on: DLPack's C exchange API on the type. It names current_stream."""

    current_stream = 0

    def __init__(self, array, device=(2, 0), compact=False):
        self.array = array
        self.device = device
        self.shape = (ctypes.c_int64 * array.ndim)(*array.shape)
        strides = (stride // array.itemsize for stride in array.strides)
        self.strides = None if compact else (ctypes.c_int64 * array.ndim)(*strides)


class DLTensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device", ctypes.c_int32 * 2),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class ExchangeAPI(ctypes.Structure):
    _fields_ = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("previous", ctypes.c_void_p),
        ("managed_tensor_allocator", ctypes.c_void_p),
        ("managed_tensor_from_object", ctypes.c_void_p),
        ("managed_tensor_to_object", ctypes.c_void_p),
        ("tensor_from_object", ctypes.c_void_p),
        ("current_work_stream", ctypes.c_void_p),
    ]


@ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.POINTER(DLTensor))
def tensor_from_object(tensor, out):
    offset = 8  # not 0, so that a test fails if udm ignores byte_offset
    view = out.contents
    view.data = tensor.array.ctypes.data - offset
    view.byte_offset = offset
    view.device[:] = tensor.device
    view.ndim = tensor.array.ndim
    view.code = "iufVxcb".index(tensor.array.dtype.kind)
    view.bits, view.lanes = tensor.array.itemsize * 8, 1
    view.shape = tensor.shape
    view.strides = tensor.strides
    return 0


@ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_int32, ctypes.c_int32, ctypes.POINTER(ctypes.c_void_p))
def current_work_stream(device_type, device, out):
    assert device_type == 2
    out[0] = ExchangeTensor.current_stream
    return 0


new_capsule = ctypes.pythonapi.PyCapsule_New
new_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
new_capsule.restype = ctypes.py_object


def address(function):
    return ctypes.cast(function, ctypes.c_void_p)


exchange_api = ExchangeAPI(
    1, 3, None, None, address(tensor_from_object), None, address(tensor_from_object),
    address(current_work_stream),
)  # fmt: skip
newer_exchange_api = ExchangeAPI(2, 0, ctypes.addressof(exchange_api))


def exchange_capsule(api):
    return new_capsule(ctypes.addressof(api), b"dlpack_exchange_api", None)


ExchangeTensor.__dlpack_c_exchange_api__ = exchange_capsule(exchange_api)


class NewerExchangeTensor(ExchangeTensor):
    """A type with an unknown, newer DLPack, which provides the known one too."""

    __dlpack_c_exchange_api__ = exchange_capsule(newer_exchange_api)


def managed_exchange_tensor(array, device=(2, 0)):
    """A type of another project whose exchange API lends no view, only tensors to own."""
    tensor = tvm_ffi.from_dlpack(DLPackTensor(array, device))
    return tvm_ffi.core.DLTensorTestWrapper(tensor)


TENSOR_TYPES = {
    "exchange_api": ExchangeTensor,
    "newer_exchange_api": NewerExchangeTensor,
    "managed_exchange_api": managed_exchange_tensor,
    "data_ptr": DataPtrTensor,
    "array_interface": ArrayInterfaceTensor,
    "dlpack": DLPackTensor,
    "old_dlpack": OldDLPackTensor,
}


def wrap_backends(case, wrap, spelling=str):
    """The case's metadata objects, as a server would pass them."""
    return [
        SimpleNamespace(**{spelling(name): wrap(array) for name, array in vars(backend).items()})
        for backend in case.backends
    ]


def inputs(case, wrap):
    return wrap(case.seq_lens), wrap(case.req_pool_indices), wrap(case.req_to_token)
