# SPDX-License-Identifier: Apache-2.0
"""Every replay of a recorded call is right for the current values of the tensors."""

import ctypes

import pytest
from decode_case import DecodeCase
from host_tensors import DataPtrTensor, ExchangeTensor, inputs, wrap_backends

import udm

REPLAYS = 100  # a replay takes milliseconds on a CPU


def record(driver, call):
    stream = driver.new_stream()
    graph, executable = ctypes.c_void_p(), ctypes.c_void_p()
    driver("cuStreamBeginCapture_v2", stream, 0)
    call(stream.value)
    driver("cuStreamEndCapture", stream, ctypes.byref(graph))
    driver("cuGraphInstantiateWithFlags", ctypes.byref(executable), graph, 0)
    return lambda: driver("cuGraphLaunch", executable, stream)


@pytest.mark.parametrize("entry", ["plan", "direct", "pointers"])
def test_replays_with_changing_lengths(driver, entry):
    case = DecodeCase(13, backends=3)
    tensors = inputs(case, ExchangeTensor)
    metadata = wrap_backends(case, ExchangeTensor)
    plan = udm.Plan(metadata, tensors[2], case.topk, case.page_size)
    pointers = DataPtrTensor(case.pointers(), device="cpu")
    calls = {
        "plan": lambda stream: plan(*tensors[:2], stream=stream),
        "direct": lambda stream: udm.unified_decode_metadata_cuda_direct(
            *tensors, metadata, case.topk, case.page_size, stream=stream
        ),
        "pointers": lambda stream: udm.unified_decode_metadata_cuda(
            *tensors, pointers, case.max_len, case.topk, case.page_size, 5, 5, stream=stream
        ),
    }
    replay = record(driver, calls[entry])
    for _ in range(REPLAYS):
        case.draw_lengths()
        expected = case.expected()
        replay()
        driver.synchronise()
        case.check(expected)
