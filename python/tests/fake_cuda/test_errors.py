# SPDX-License-Identifier: Apache-2.0
"""A wrong argument raises an exception that names it, and udm launches nothing."""

from types import SimpleNamespace

import numpy as np
import pytest
from decode_case import DecodeCase
from host_tensors import (
    ArrayInterfaceTensor,
    DataPtrTensor,
    DLPackTensor,
    ExchangeTensor,
    inputs,
    wrap_backends,
)
from outputs import OUTPUTS

import udm

BS = 5
wrap = ExchangeTensor


class Call:
    """Arguments of a call that works, for a test to break one."""

    def __init__(self):
        self.case = DecodeCase(BS, backends=2)
        self.seq_lens, self.req_pool_indices, self.req_to_token = inputs(self.case, wrap)
        self.metadata = wrap_backends(self.case, wrap)
        self.topk, self.page_size, self.keywords = 48, 64, {}

    def direct(self):
        udm.unified_decode_metadata_cuda_direct(
            self.seq_lens, self.req_pool_indices, self.req_to_token, self.metadata, self.topk,
            self.page_size, **self.keywords,
        )  # fmt: skip

    def plan(self):
        plan = udm.Plan(
            self.metadata, self.req_to_token, self.topk, self.page_size, **self.keywords
        )
        plan(self.seq_lens, self.req_pool_indices)


@pytest.fixture(params=["direct", "plan"])
def call(driver, request):
    """Runs every test twice: with the function, and with Plan and its call."""
    made = Call()
    launches = driver.calls("cuLaunchKernel")
    made.run = getattr(made, request.param)
    made.list_name = "metadata_list" if request.param == "plan" else "backend_metadata_list"
    yield made
    assert driver.calls("cuLaunchKernel") == launches


def fails(call, exception, *parts):
    """LIST in a part stands for the argument that holds the metadata objects."""
    with pytest.raises(exception) as caught:
        call.run()
    text = str(caught.value)
    for part in parts:
        assert part.replace("LIST", call.list_name) in text
    assert text.startswith(parts[0].replace("LIST", call.list_name)) if parts else True


def test_the_call_works(driver):
    calls = Call(), Call()
    calls[0].direct()
    calls[1].plan()
    driver.synchronise()  # the kernel may use the arrays until here


@pytest.mark.parametrize("argument", ["seq_lens", "req_pool_indices"])
@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.uint32, np.bool_])
def test_dtype_of_the_batch(call, argument, dtype):
    setattr(call, argument, wrap(np.zeros(BS, dtype)))
    fails(
        call, TypeError, f"{argument} has dtype {np.dtype(dtype).name}: it must be int32 or int64"
    )


def test_dtype_of_req_to_token(call):
    call.req_to_token = wrap(np.zeros((8, 300), np.int64))
    fails(call, TypeError, "req_to_token has dtype int64: it must be int32")


@pytest.mark.parametrize("backend", [0, 1])
@pytest.mark.parametrize("attribute", OUTPUTS)
def test_dtype_of_an_output(call, backend, attribute):
    array = getattr(call.case.backends[backend], attribute).astype(np.int64)
    setattr(call.metadata[backend], attribute, wrap(array))
    fails(call, TypeError, f"LIST[{backend}].{attribute} has dtype int64")


@pytest.mark.parametrize("argument", ["seq_lens", "req_pool_indices", "req_to_token"])
def test_input_on_another_device(call, argument):
    array = getattr(call.case, argument)
    setattr(call, argument, wrap(array, device=(1, 0)))
    fails(call, ValueError, f"{argument} is on the CPU: it must be on a CUDA device")
    setattr(call, argument, wrap(array, device=(10, 0)))
    fails(call, ValueError, f"{argument} is on a device of another kind")


def test_tensors_on_different_gpus(call):
    call.req_pool_indices = wrap(call.case.req_pool_indices, device=(2, 1))
    fails(call, ValueError, "req_pool_indices is on CUDA device 1, but")


@pytest.mark.parametrize("attribute", OUTPUTS)
def test_output_on_another_device(call, attribute):
    array = getattr(call.case.backends[1], attribute)
    name = f"LIST[1].{attribute} is on"
    setattr(call.metadata[1], attribute, wrap(array, device=(2, 1)))
    fails(call, ValueError, f"{name} CUDA device 1, but")
    setattr(call.metadata[1], attribute, wrap(array, device=(1, 0)))
    fails(call, ValueError, f"{name} the CPU")


@pytest.mark.parametrize("argument", ["seq_lens", "req_pool_indices"])
def test_batch_that_is_not_contiguous(call, argument):
    setattr(call, argument, wrap(np.zeros(2 * BS, np.int32)[::2]))
    fails(call, ValueError, f"{argument} has stride 2: its last dimension must be contiguous")


def test_req_to_token_that_is_not_contiguous(call):
    call.req_to_token = wrap(np.zeros((300, 8), np.int32).T)
    fails(call, ValueError, "req_to_token has stride 8 from column to column")


@pytest.mark.parametrize("attribute", OUTPUTS)
def test_output_that_is_not_contiguous(call, attribute):
    array = getattr(call.case.backends[1], attribute)
    shape = (*array.shape[:-1], 2 * array.shape[-1])
    setattr(call.metadata[1], attribute, wrap(np.zeros(shape, np.int32)[..., ::2]))
    fails(call, ValueError, f"LIST[1].{attribute} has stride 2")


@pytest.mark.parametrize("attribute", ["page_table_1", "real_page_table"])
def test_backends_whose_strides_differ(call, attribute):
    columns = getattr(call.case.backends[1], attribute).shape[1]
    array = np.zeros((BS, columns + 2), np.int32)[:, :columns]
    setattr(call.metadata[1], attribute, wrap(array))
    fails(
        call,
        ValueError,
        f"LIST[1].{attribute} has a row stride of {columns + 2}",
        "backend 0",
    )


@pytest.mark.parametrize("attribute", ["page_table_1", "real_page_table"])
def test_table_too_narrow(call, attribute):
    array = getattr(call.case.backends[1], attribute)
    setattr(call.metadata[1], attribute, wrap(array[:, :-1]))
    fails(
        call,
        ValueError,
        f"LIST[1].{attribute} has {array.shape[1] - 1} columns",
        f"at least {array.shape[1]}",
    )


def test_rows_that_overlap(call):
    row = np.zeros(300, np.int32)
    call.metadata[0].page_table_1 = wrap(np.lib.stride_tricks.as_strided(row, (BS, 300), (0, 4)))
    fails(call, ValueError, "LIST[0].page_table_1 has rows that overlap")


def test_req_to_token_whose_rows_overlap(call):
    row = np.zeros(300, np.int32)
    call.req_to_token = wrap(np.lib.stride_tricks.as_strided(row, (8, 300), (0, 4)))
    fails(call, ValueError, "req_to_token has a row stride of 0")


@pytest.mark.parametrize("attribute", OUTPUTS)
def test_output_too_short(call, attribute):
    array = getattr(call.case.backends[1], attribute)
    setattr(call.metadata[1], attribute, wrap(array[:-1]))
    needed = BS + 1 if "cu_seqlens" in attribute else BS
    fails(
        call,
        ValueError,
        f"LIST[1].{attribute} has {needed - 1}",
        f"least {needed}",
    )


def test_req_pool_indices_too_short(call):
    call.req_pool_indices = wrap(call.case.req_pool_indices[:-1])
    fails(call, ValueError, "req_pool_indices has 4 elements: it needs at least 5")


def test_wrong_number_of_dimensions(call):
    call.seq_lens = wrap(np.zeros((BS, 1), np.int32))
    fails(call, ValueError, "seq_lens has 2 dimensions: it must have 1")
    call.seq_lens = wrap(call.case.seq_lens)
    call.metadata[1].page_table_1 = wrap(np.zeros(BS, np.int32))
    fails(call, ValueError, "LIST[1].page_table_1 has 1 dimensions")
    call.req_to_token = wrap(np.zeros((1, 2, 3), np.int32))
    fails(call, ValueError, "req_to_token has 3 dimensions: it must have 2")


@pytest.mark.parametrize("attribute", OUTPUTS)
def test_missing_attribute(call, attribute):
    delattr(call.metadata[1], attribute)
    fails(call, AttributeError, f"LIST[1].{attribute} is missing")


def test_attribute_that_raises_otherwise(call):
    class Metadata(SimpleNamespace):
        @property
        def cu_seqlens_k(self):
            raise KeyError("mine")

    attributes = {k: v for k, v in vars(call.metadata[1]).items() if k != "cu_seqlens_k"}
    call.metadata[1] = Metadata(**attributes)
    fails(call, KeyError, "'mine'")


@pytest.mark.parametrize("attribute", OUTPUTS)
def test_number_instead_of_an_output(call, attribute):
    """None is the only value that leaves an output out (test_modes.py)."""
    setattr(call.metadata[0], attribute, 0)
    fails(call, TypeError, f"LIST[0].{attribute} is a <class 'int'>")


def test_no_tensors(call):
    for argument in ("req_to_token", "req_pool_indices", "seq_lens"):
        setattr(call, argument, [1, 2, 3])
    first = "req_to_token" if call.list_name == "metadata_list" else "seq_lens"
    fails(call, TypeError, f"{first} is a <class 'list'>: it must be a tensor")


def test_number_of_backends(call):
    call.metadata = call.metadata[:1] * 9
    fails(call, ValueError, "LIST has 9 backends: it must have 1 to 8")
    call.metadata = []
    fails(call, ValueError, "LIST has 0 backends")
    call.metadata = SimpleNamespace()
    fails(call, TypeError, "LIST must be a list or a tuple")


def test_scalars(call):
    call.topk = -1
    fails(call, ValueError, "nsa_index_topk is -1: it must be 0 or more")
    call.topk = "48"
    fails(call, TypeError, "nsa_index_topk must be an integer, not <class 'str'>")
    call.topk = 1 << 31
    fails(call, ValueError, "nsa_index_topk is 2147483648: it must fit in 32 bits")
    for number in (1 << 70, -(1 << 70)):
        call.topk = number
        fails(call, ValueError, f"nsa_index_topk is {number}: it must fit in 32 bits")
    call.topk, call.page_size = 48, 0
    fails(call, ValueError, "real_page_size is 0: it must be 1 or more")
    call.page_size = 1 << 64
    fails(call, ValueError, f"real_page_size is {1 << 64}: it must fit in 32 bits")


def test_keywords(call):
    call.keywords = {"extent": "rows"}
    fails(call, ValueError, "extent is 'rows': it must be 'row' or 'batch_max'")
    call.keywords = {"max_len": -1}
    fails(call, ValueError, "max_len is -1")
    call.keywords = {"max_len": 1 << 63}
    fails(call, ValueError, f"max_len is {1 << 63}: it must fit in 64 bits")
    call.keywords = {"max_len": 301}
    fails(call, ValueError, "req_to_token has 300 columns, less than max_len, 301")
    call.keywords = {"topk": 1}
    name = "Plan" if call.list_name == "metadata_list" else "unified_decode_metadata_cuda_direct"
    fails(call, TypeError, f"{name}() got an unexpected keyword argument 'topk'")
    call.keywords = {"nsa_index_topk": 1}
    fails(call, TypeError, f"{name}() got multiple values for argument 'nsa_index_topk'")


def test_read_only_output(call):
    array = call.case.backends[1].cu_seqlens_k
    call.metadata[1].cu_seqlens_k = ArrayInterfaceTensor(array, read_only=True)
    fails(call, ValueError, "LIST[1].cu_seqlens_k is read-only")


def test_a_tensor_that_fails(call):
    class Failing(DataPtrTensor):
        def data_ptr(self):
            raise BufferError("it has no storage")

    call.seq_lens = Failing(call.case.seq_lens)
    fails(call, BufferError, "seq_lens cannot be read: it has no storage")


def test_address_that_is_not_aligned(call):
    memory = np.zeros(4 * 300 * BS + 1, np.uint8)
    array = memory[1:].view(np.int32).reshape(BS, 300)
    call.metadata[1].page_table_1 = wrap(array)
    text = "LIST[1].page_table_1 is not aligned to 4 bytes: 0x"
    for exception in (udm.InvalidArgumentError, ValueError, udm.Error):
        fails(call, exception, text)


def test_address_0(call):
    for attribute in ("cu_seqlens_k", "cache_seqlens_int32", "nsa_seqlens_expanded"):
        tensor = DataPtrTensor(getattr(call.case.backends[1], attribute))
        tensor.data_ptr = lambda: 0
        working = getattr(call.metadata[1], attribute)
        setattr(call.metadata[1], attribute, tensor)
        fails(call, ValueError, f"LIST[1].{attribute} is at address 0: None leaves an output out")
        setattr(call.metadata[1], attribute, working)
    call.seq_lens = DataPtrTensor(call.case.seq_lens)
    call.seq_lens.data_ptr = lambda: 2
    fails(call, udm.InvalidArgumentError, "seq_lens is not aligned to its 4-byte elements: 0x2")


def test_row_stride_beyond_what_can_be_addressed(call):
    call.req_to_token = DataPtrTensor(call.case.req_to_token)
    call.req_to_token.stride = lambda: (1 << 32, 1)
    text = "the row stride of req_to_token is 4294967296 elements: more than"
    fails(call, udm.InvalidArgumentError, text)


def test_wrong_number_of_arguments(driver):
    function = udm.unified_decode_metadata_cuda_direct
    with pytest.raises(TypeError, match="missing required argument 'backend_metadata_list'"):
        function(1, 2, 3)
    with pytest.raises(TypeError, match=r"takes at most 6 positional arguments \(7 given\)"):
        function(1, 2, 3, 4, 5, 6, 7)
    with pytest.raises(TypeError, match="missing required argument 'metadata_list'"):
        udm.Plan()


def test_stream_of_no_kind(driver):
    call = Call()
    call.keywords = {"stream": "mine"}
    with pytest.raises(TypeError, match="stream is a <class 'str'>"):
        call.direct()


@pytest.mark.parametrize("number", [-1, 1 << 64, -(1 << 70)])
def test_stream_that_is_no_address(driver, number):
    call = Call()
    plan = udm.Plan(call.metadata, call.req_to_token, 48, 64)
    match = f"^stream is {number}: it must be the address of a CUstream, or 0$"
    for stream in (number, SimpleNamespace(cuda_stream=number), SimpleNamespace(ptr=number)):
        call.keywords = {"stream": stream}
        with pytest.raises(ValueError, match=match):
            call.direct()
        with pytest.raises(ValueError, match=match):
            plan(call.seq_lens, call.req_pool_indices, stream=stream)


def test_stream_whose_handle_is_no_integer(driver):
    call = Call()
    for stream in (SimpleNamespace(ptr="mine"), SimpleNamespace(__cuda_stream__=lambda: (0, 1.5))):
        call.keywords = {"stream": stream}
        with pytest.raises(TypeError, match="^stream has a handle that is a <class '"):
            call.direct()


def test_batch_larger_than_the_plan(driver):
    case = DecodeCase(BS)
    plan = udm.Plan(
        wrap_backends(case, wrap), wrap(case.req_to_token), 48, 64, max_batch_size=BS - 1
    )
    with pytest.raises(ValueError, match="seq_lens has 5 elements: this plan was made for 4"):
        plan(wrap(case.seq_lens), wrap(case.req_pool_indices))


def test_every_way_to_take_a_tensor_is_checked(driver):
    array = np.zeros(BS, np.float64)
    for made in (DataPtrTensor(array), ArrayInterfaceTensor(array), DLPackTensor(array)):
        call = Call()
        call.seq_lens = made
        with pytest.raises(TypeError, match="seq_lens has dtype float64"):
            call.direct()
