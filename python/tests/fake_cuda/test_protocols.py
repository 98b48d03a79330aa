# SPDX-License-Identifier: Apache-2.0
"""Tensors of every kind, and the stream that a call launches on."""

import ctypes
import gc
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import tvm_ffi
from decode_case import DecodeCase
from host_tensors import (
    TENSOR_TYPES,
    ArrayInterfaceTensor,
    DataPtrTensor,
    DLPackTensor,
    ExchangeTensor,
    inputs,
    managed_exchange_tensor,
    wrap_backends,
)

import udm


@pytest.mark.parametrize("kind", TENSOR_TYPES)
@pytest.mark.parametrize("lengths", [np.int32, np.int64])
def test_every_kind_of_tensor(driver, kind, lengths):
    wrap = TENSOR_TYPES[kind]
    padding = 0 if kind == "managed_exchange_api" else 9  # that type takes contiguous arrays alone
    case = DecodeCase(11, lengths=lengths, padding=padding)
    expected = case.expected()
    udm.unified_decode_metadata_cuda_direct(
        *inputs(case, wrap), wrap_backends(case, wrap), case.topk, case.page_size
    )
    driver.synchronise()
    case.check(expected)


@pytest.mark.parametrize("kind", TENSOR_TYPES)
def test_nothing_is_kept_and_nothing_leaks(driver, kind):
    case = DecodeCase(4)
    tensor = TENSOR_TYPES[kind](case.seq_lens)
    rest = inputs(case, ExchangeTensor)[1:]
    metadata = wrap_backends(case, ExchangeTensor)

    def call():
        udm.unified_decode_metadata_cuda_direct(tensor, *rest, metadata, case.topk, 64)

    call()
    gc.collect()
    counted = (tensor, case.seq_lens, metadata, metadata[0].cu_seqlens_k)
    before = [sys.getrefcount(thing) for thing in counted]
    for _ in range(50):
        call()
    driver.synchronise()
    gc.collect()
    assert [sys.getrefcount(thing) for thing in counted] == before


def test_kinds_of_tensors_in_turn(driver):
    """udm never uses what it remembers about one type for another."""
    kinds = [kind for kind in TENSOR_TYPES if kind != "managed_exchange_api"]
    case = DecodeCase(11, padding=9)
    for round_number in range(3):
        case.draw_lengths()
        expected = case.expected()
        metadata = [SimpleNamespace() for _ in case.backends]
        for b, backend in enumerate(case.backends):
            for o, (attribute, array) in enumerate(vars(backend).items()):
                wrap = TENSOR_TYPES[kinds[(b + o + round_number) % len(kinds)]]
                setattr(metadata[b], attribute, wrap(array))
        wrap = TENSOR_TYPES[kinds[round_number]]
        udm.unified_decode_metadata_cuda_direct(*inputs(case, wrap), metadata, case.topk, 64)
        driver.synchronise()
        case.check(expected)


def test_more_types_than_are_remembered(driver):
    """Subclasses with and without the exchange API, used once and freed, whose addresses others
    then get."""
    case = DecodeCase(5, backends=1)
    rest = inputs(case, ExchangeTensor)[1:]
    metadata = wrap_backends(case, ExchangeTensor)
    for number in range(60):
        base = (ExchangeTensor, DataPtrTensor, DLPackTensor)[number % 3]
        tensor = type(f"Tensor{number}", (base,), {})(case.seq_lens)
        case.draw_lengths()
        expected = case.expected()
        udm.unified_decode_metadata_cuda_direct(tensor, *rest, metadata, case.topk, 64)
        driver.synchronise()
        case.check(expected)
        del tensor
        gc.collect()


def test_metadata_that_changes_between_calls(driver):
    """Every call reads the attributes and the tensors again."""
    case = DecodeCase(7, backends=2)
    other = DecodeCase(7, backends=2, seed=1)
    metadata = wrap_backends(case, ExchangeTensor)

    def check(checked):
        expected = checked.expected()
        udm.unified_decode_metadata_cuda_direct(
            *inputs(checked, ExchangeTensor), metadata, checked.topk, checked.page_size
        )
        driver.synchronise()
        checked.check(expected)

    check(case)
    for backend, changed in zip(other.backends, metadata):
        for attribute, array in vars(backend).items():
            setattr(changed, attribute, ExchangeTensor(array))
    check(other)
    for backend, changed in zip(case.backends, metadata):
        for attribute, array in vars(backend).items():
            getattr(changed, attribute).__init__(array)  # the same object, over other memory
    check(case)


def test_metadata_whose_attributes_are_code(driver):
    """Each access makes a new object, which is freed at once."""

    class Metadata:
        def __init__(self, arrays):
            self.arrays = arrays

        def __getattr__(self, attribute):
            return ExchangeTensor(getattr(self.arrays, attribute))

    case = DecodeCase(7)
    expected = case.expected()
    metadata = [Metadata(backend) for backend in case.backends]
    udm.unified_decode_metadata_cuda_direct(
        *inputs(case, ExchangeTensor), metadata, case.topk, case.page_size
    )
    driver.synchronise()
    case.check(expected)


def test_compact_tensors_without_strides(driver):
    for wrap in (
        lambda array: ExchangeTensor(array, compact=True),
        lambda array: ArrayInterfaceTensor(array, compact=True),
    ):
        case = DecodeCase(6)
        case.req_to_token = np.ascontiguousarray(case.req_to_token)
        for backend in case.backends:
            backend.page_table_1 = np.ascontiguousarray(backend.page_table_1)
        metadata = wrap_backends(case, wrap)
        udm.unified_decode_metadata_cuda_direct(*inputs(case, wrap), metadata, case.topk, 64)
        driver.synchronise()
        length = case.seq_lens[2]
        np.testing.assert_array_equal(
            case.backends[1].page_table_1[2, :length],
            case.req_to_token[case.req_pool_indices[2], :length],
        )


def test_array_interface_of_an_array_that_does_not_say_its_device(driver):
    """udm asks the driver, or takes the current device: here both say 0."""
    case = DecodeCase(3)
    udm.unified_decode_metadata_cuda_direct(
        *inputs(case, ArrayInterfaceTensor),
        wrap_backends(case, ExchangeTensor),
        case.topk,
        case.page_size,
    )
    driver.synchronise()


# Work captured on a stream runs only with its graph: that shows which stream a call went to.


@pytest.fixture
def capture(driver):
    class Capturing:
        stream = driver.new_stream()

        def begin(self):
            driver("cuStreamBeginCapture_v2", self.stream, 2)
            return self.stream.value

        def replay(self):
            graph, executable = ctypes.c_void_p(), ctypes.c_void_p()
            driver("cuStreamEndCapture", self.stream, ctypes.byref(graph))
            driver("cuGraphInstantiateWithFlags", ctypes.byref(executable), graph, 0)
            driver("cuGraphLaunch", executable, self.stream)
            driver.synchronise()

    return Capturing()


def launches_on(driver, capture, case, call):
    """Whether call(stream) goes to the capturing stream: its work waits for the replay."""
    before = [buffer.copy() for buffer in case.buffers]
    expected = case.expected()
    call(capture.begin())
    driver.synchronise()
    case.check(before)
    capture.replay()
    case.check(expected)


def call_with(wrap, case, **keywords):
    udm.unified_decode_metadata_cuda_direct(
        *inputs(case, wrap), wrap_backends(case, wrap), case.topk, case.page_size, **keywords
    )


def test_current_stream_of_the_exchange_api(driver, capture, monkeypatch):
    def call(stream):
        monkeypatch.setattr(ExchangeTensor, "current_stream", stream)
        call_with(ExchangeTensor, case)

    case = DecodeCase(4)
    launches_on(driver, capture, case, call)


def test_current_stream_of_another_project(driver, capture):
    def call(stream):
        with tvm_ffi.use_raw_stream(tvm_ffi.device("cuda", 0), stream):
            call_with(managed_exchange_tensor, case)

    case = DecodeCase(4)
    launches_on(driver, capture, case, call)


def test_stream_of_the_array_interface(driver, capture):
    case = DecodeCase(4)
    launches_on(
        driver,
        capture,
        case,
        lambda stream: call_with(lambda array: ArrayInterfaceTensor(array, stream), case),
    )


def test_current_stream_of_an_older_torch(driver, capture, monkeypatch):
    def call(stream):
        current = SimpleNamespace(cuda_stream=stream)
        cuda = SimpleNamespace(current_stream=lambda device: current if device == 0 else None)
        torch = SimpleNamespace(cuda=cuda, Tensor=DataPtrTensor)
        monkeypatch.setitem(sys.modules, "torch", torch)
        call_with(DataPtrTensor, case)

    case = DecodeCase(4)
    launches_on(driver, capture, case, call)


@pytest.mark.parametrize(
    "made",
    [
        int,
        lambda stream: SimpleNamespace(cuda_stream=stream),
        lambda stream: SimpleNamespace(ptr=stream),
        lambda stream: SimpleNamespace(__cuda_stream__=lambda: (0, stream)),
    ],
    ids=["integer", "cuda_stream", "ptr", "protocol"],
)
def test_stream_that_was_given(driver, capture, made):
    case = DecodeCase(4)
    launches_on(
        driver, capture, case, lambda stream: call_with(ExchangeTensor, case, stream=made(stream))
    )


def test_stream_given_to_a_plan(driver, capture):
    def call(stream):
        plan(*inputs(case, ExchangeTensor)[:2], stream=stream)

    case = DecodeCase(4)
    metadata = wrap_backends(case, ExchangeTensor)
    plan = udm.Plan(metadata, ExchangeTensor(case.req_to_token), case.topk, case.page_size)
    launches_on(driver, capture, case, call)


def test_dlpack_producers_are_told_the_stream(driver):
    case = DecodeCase(4)
    tensor = DLPackTensor(case.seq_lens)
    rest = inputs(case, ExchangeTensor)[1:]
    metadata = wrap_backends(case, ExchangeTensor)
    stream = driver.new_stream().value
    for keywords in ({}, {"stream": stream}):
        udm.unified_decode_metadata_cuda_direct(
            tensor, *rest, metadata, case.topk, case.page_size, **keywords
        )
    driver.synchronise()
    assert tensor.streams == [1, stream]  # 1: the default stream, in DLPack's numbering
