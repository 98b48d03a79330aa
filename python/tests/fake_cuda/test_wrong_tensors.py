# SPDX-License-Identifier: Apache-2.0
"""If a producer fails or gives wrong data, udm raises an exception that names the tensor."""

import sys

import numpy as np
import pytest
from decode_case import DecodeCase
from host_tensors import (
    ArrayInterfaceTensor,
    DataPtrTensor,
    DLPackTensor,
    ExchangeTensor,
    inputs,
    managed_exchange_tensor,
    wrap_backends,
)

import udm

BS = 5


@pytest.fixture
def refused(driver):
    """Calls with one tensor replaced, which must raise and launch nothing."""
    case = DecodeCase(BS)

    def call(exception, match, seq_lens=None, output=None, req_to_token=None):
        tensors = list(inputs(case, ExchangeTensor))
        metadata = wrap_backends(case, ExchangeTensor)
        tensors[0] = tensors[0] if seq_lens is None else seq_lens
        tensors[2] = tensors[2] if req_to_token is None else req_to_token
        if output is not None:
            metadata[1].page_table_1 = output
        launches = driver.calls("cuLaunchKernel")
        with pytest.raises(exception, match=match) as caught:
            udm.unified_decode_metadata_cuda_direct(*tensors, metadata, case.topk, 64)
        assert driver.calls("cuLaunchKernel") == launches
        return caught.value

    return call


def lengths():
    """seq_lens of the right type and length."""
    return np.ones(BS, np.int32)


def array_interface(**changes):
    tensor = ArrayInterfaceTensor(lengths())
    tensor.interface.update(changes)
    return tensor


@pytest.mark.parametrize("number", [-1, -2, -(1 << 31)])
def test_negative_device(refused, number):
    for made in (
        ExchangeTensor(lengths(), (2, number)),
        DLPackTensor(lengths(), (2, number)),
        DataPtrTensor(lengths(), index=number),
    ):
        refused(ValueError, f"^seq_lens is on CUDA device {number}: its number must be", made)


def test_negative_device_of_a_plan(driver):
    case = DecodeCase(BS)
    with pytest.raises(ValueError, match="^req_to_token is on CUDA device -1: its number"):
        udm.Plan(
            wrap_backends(case, ExchangeTensor), ExchangeTensor(case.req_to_token, (2, -1)), 48, 64
        )


@pytest.mark.parametrize("number", [1 << 32, (1 << 40) + 1, -(1 << 32)])
def test_device_that_is_no_32_bit_number(refused, number):
    """The low half of the number alone would be an existing device."""
    match = f"^seq_lens cannot be read: its device number is {number}"
    refused(ValueError, match, DataPtrTensor(lengths(), index=number))
    tensor = array_interface()
    tensor.__dlpack_device__ = lambda: (2, number)
    refused(ValueError, match, tensor)


def test_device_that_is_not_there(driver):
    case = DecodeCase(BS)

    def wrap(array):
        return ExchangeTensor(array, (2, 70))

    with pytest.raises(udm.NoDeviceError, match="there is no CUDA device 70"):
        udm.unified_decode_metadata_cuda_direct(
            *inputs(case, wrap), wrap_backends(case, wrap), 48, 64
        )


@pytest.mark.parametrize("typestr", ["<i260", "<i0", "<i-4", "<i4x", "<M8[ns]", "|V4", "<i "])
def test_typestr_of_no_number(refused, typestr):
    refused(TypeError, "^seq_lens cannot be read: its typestr '", array_interface(typestr=typestr))


def test_byte_order_of_other_machines(refused):
    tensor = array_interface(typestr=np.dtype(np.int32).newbyteorder().str)
    refused(TypeError, "^seq_lens cannot be read: its typestr '.i4' is in the byte order", tensor)


def test_array_with_a_mask(refused):
    tensor = array_interface(mask=ArrayInterfaceTensor(np.ones(BS, np.bool_)))
    refused(ValueError, "^seq_lens cannot be read: it has a mask", tensor)


def test_array_whose_mask_is_none(driver):
    case = DecodeCase(BS)
    seq_lens = ArrayInterfaceTensor(case.seq_lens)
    seq_lens.interface["mask"] = None
    udm.unified_decode_metadata_cuda_direct(
        seq_lens, *inputs(case, ExchangeTensor)[1:], wrap_backends(case, ExchangeTensor), 48, 64
    )
    driver.synchronise()


@pytest.mark.parametrize("text", ["torch.int32x", "torch.int", "int-32", "int320", "qint32", ""])
def test_dtype_of_no_kind(refused, text):
    tensor = DataPtrTensor(lengths())
    tensor.dtype = text
    refused(TypeError, "^seq_lens has a dtype of another kind: it must be int32 or int64", tensor)


def test_dtype_bool(refused):
    for wrap in (ExchangeTensor, DataPtrTensor, ArrayInterfaceTensor, DLPackTensor):
        tensor = wrap(np.ones(BS, np.bool_))
        refused(TypeError, "^seq_lens has dtype bool: it must be int32 or int64", tensor)


def of_shape(array, *shape):
    """An array that reports another shape."""
    tensor = DataPtrTensor(array)
    tensor.shape = shape
    return tensor


def test_negative_shape(refused):
    refused(ValueError, r"^seq_lens has -1 elements: it must have", of_shape(lengths(), -1))
    table = np.zeros((9, 300), np.int32)
    match = "^req_to_token has -7 columns: it must have 0 or more"
    refused(ValueError, match, req_to_token=of_shape(table, 9, -7))
    output = of_shape(table, 9, -7)
    refused(ValueError, r"\[1\].page_table_1 has -7 columns", output=output)


def test_negative_shape_of_what_a_plan_is_made_of(driver):
    case = DecodeCase(BS)
    metadata = wrap_backends(case, ExchangeTensor)
    metadata[0].cache_seqlens_int32 = of_shape(case.backends[0].cache_seqlens_int32, -3)
    with pytest.raises(ValueError, match=r"\[0\].cache_seqlens_int32 has -3 elements"):
        udm.Plan(metadata, ExchangeTensor(case.req_to_token), 48, 64)
    metadata = wrap_backends(case, ExchangeTensor)
    metadata[0].page_table_1 = of_shape(case.backends[0].page_table_1, BS, -3)
    with pytest.raises(ValueError, match=r"\[0\].page_table_1 has -3 columns"):
        udm.Plan(metadata, ExchangeTensor(case.req_to_token), 48, 64)


@pytest.mark.parametrize(
    "changes, text",
    [
        ({"typestr": None}, ""),
        ({"typestr": 4}, ""),
        ({"data": None}, ""),
        ({"data": (1 << 70, False)}, ""),
        ({"data": (-1, False)}, ""),
        ({"shape": (1 << 70,)}, ""),
        ({"shape": ("5",)}, ""),
        ({"shape": None}, ""),
        ({"strides": (3,)}, "a stride is not a multiple of the element's size"),
        ({"strides": ()}, "its shape and strides are of different lengths"),
        ({"stream": "mine"}, ""),
        ({"stream": -5}, ""),
    ],
)
def test_array_interface_that_is_wrong(refused, changes, text):
    tensor = array_interface(**changes)
    error = refused((TypeError, ValueError), "^seq_lens cannot be read: " + text, tensor)
    assert not isinstance(error, OverflowError)


def test_what_a_producer_raises(refused):
    """It keeps its type and traceback, and gets the tensor's name."""

    def failing(base, method, error):
        def fail(self, *arguments, **keywords):
            raise error

        return type("Failing", (base,), {method: fail})

    raised = BufferError("it has no storage")
    for base, method in (
        (DataPtrTensor, "data_ptr"),
        (DataPtrTensor, "stride"),
        (DLPackTensor, "__dlpack__"),
        (DLPackTensor, "__dlpack_device__"),
    ):
        tensor = failing(base, method, raised)(np.zeros((BS, 300), np.int32))
        match = r"^backend_metadata_list\[1\].page_table_1 cannot be read: it has no storage$"
        error = refused(BufferError, match, output=tensor)
        assert error.__cause__ is raised and raised.__traceback__


class OwnError(Exception):
    pass


class OwnSystemError(FileNotFoundError):
    pass


def failing_tensor(raised):
    class Failing(DataPtrTensor):
        def data_ptr(self):
            raise raised

    return Failing(lengths())


@pytest.mark.parametrize(
    "raised, shown",
    [
        (FileNotFoundError(2, "no file", "weights"), "[Errno 2] {} no file: 'weights'"),
        (PermissionError(13, "no", "from", None, "to"), "[Errno 13] {} no: 'from' -> 'to'"),
        (BlockingIOError(11, "later"), "[Errno 11] {} later"),
        (OSError(5, "broken"), "[Errno 5] {} broken"),
        (FileNotFoundError(2, "no path", b"\xff"), "[Errno 2] {} no path: b'\\xff'"),
    ],
)
def test_system_errors_of_a_producer(refused, raised, shown):
    """Name, errno and file names."""
    error = refused(OSError, None, failing_tensor(raised))
    assert str(error) == shown.format("seq_lens cannot be read:")
    assert type(error) is type(raised) and error.__cause__ is raised and raised.__traceback__
    for part in ("errno", "filename", "filename2"):
        assert getattr(error, part) == getattr(raised, part)


@pytest.mark.parametrize(
    "raised",
    [
        OwnError("mine"),
        OwnSystemError(2, "mine"),
        FileNotFoundError("mine"),
        KeyError("mine"),
        ImportError("mine", name="module"),
    ],
)
def test_other_exceptions_of_a_producer(refused, raised):
    """The same object, with the name in a note, which Python shows from 3.11 on."""
    text = str(raised)
    error = refused(type(raised), None, failing_tensor(raised))
    assert error is raised and str(error) == text and error.__cause__ is None
    if sys.version_info >= (3, 11):
        assert error.__notes__ == ["udm cannot read seq_lens"]


def test_address_of_too_many_bits(refused):
    tensor = DataPtrTensor(lengths())
    tensor.data_ptr = lambda: 1 << 70
    error = refused(ValueError, "^seq_lens cannot be read: ", tensor)
    assert not isinstance(error, OverflowError)


def test_empty_arrays_without_strides(driver):
    """NumPy may set every stride of an empty array to 0."""
    for wrap in (ExchangeTensor, DataPtrTensor, ArrayInterfaceTensor, managed_exchange_tensor):
        case = DecodeCase(0)
        tensors = wrap(case.seq_lens), wrap(case.req_pool_indices), wrap(np.zeros((0, 300), "i4"))
        metadata = wrap_backends(case, wrap)
        for backend in metadata:
            backend.page_table_1 = wrap(np.zeros((0, 300), np.int32))
            backend.real_page_table = wrap(np.zeros((0, 5), np.int32))
        udm.unified_decode_metadata_cuda_direct(*tensors, metadata, case.topk, 64)
        driver.synchronise()
        assert all(backend.cu_seqlens_k[0] == 0 for backend in case.backends)
