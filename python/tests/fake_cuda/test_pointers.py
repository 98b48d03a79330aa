# SPDX-License-Identifier: Apache-2.0
"""backend_pointers: which ones udm rejects, and where they may lie."""

import re

import numpy as np
import pytest
from decode_case import DecodeCase
from host_tensors import DataPtrTensor, ExchangeTensor, inputs

import udm

BS = 5
wrap = ExchangeTensor


def pointers_fail(exception, match, pointers, max_len=300, pages=5, stride=5):
    case = DecodeCase(BS)
    with pytest.raises(exception, match=match):
        udm.unified_decode_metadata_cuda(
            *inputs(case, wrap), pointers, max_len, 48, 64, pages, stride
        )


def test_pointers(driver):
    launches = driver.calls("cuLaunchKernel")
    good = DecodeCase(BS).pointers()
    wrong = "^backend_pointers has dtype int32: it must be int64$"
    pointers_fail(TypeError, wrong, good.astype(np.int32))
    for pointers in (good[:6], good[:, :0], np.zeros((7, 9), np.int64)):
        shape = re.escape(str(list(pointers.shape)))
        wrong = rf"^backend_pointers has 2 dimensions {shape}: it must be of shape \[7, N\]"
        pointers_fail(ValueError, wrong, pointers)
    wrong = "^backend_pointers has 1 dimensions: it must be of shape"
    pointers_fail(ValueError, wrong, np.zeros(7, np.int64))
    pointers_fail(TypeError, "backend_pointers is a <class 'list'>", [[0]] * 7)
    wrong = r"^backend_pointers\[6, 2\], nsa_seqlens_expanded, is not aligned to 4 bytes: 0x"
    misaligned = good.copy()
    misaligned[6, 2] += 2
    pointers_fail(udm.InvalidArgumentError, wrong, misaligned)
    nowhere = DataPtrTensor(good, device="cpu")
    nowhere.data_ptr = lambda: 0
    pointers_fail(ValueError, "^backend_pointers is at address 0", nowhere)
    pointers_fail(ValueError, "real_page_table_cols is 4: 300 tokens per request", good, pages=4)
    pointers_fail(ValueError, "real_page_table_dst_stride is 4", good, stride=4)
    pointers_fail(ValueError, "max_len_allocated is -1", good, max_len=-1)
    pointers_fail(TypeError, "max_len_allocated must be an integer", good, max_len=2.5)
    on_gpu = wrap(np.ascontiguousarray(good.T).T)
    pointers_fail(ValueError, "backend_pointers has stride 7 from column to column", on_gpu)
    other_gpu = wrap(good, device=(2, 1))
    pointers_fail(ValueError, "backend_pointers is on CUDA device 1", other_gpu)
    assert driver.calls("cuLaunchKernel") == launches


@pytest.mark.parametrize("output", range(7))
def test_pointers_that_are_0(driver, output):
    """That output is not written."""
    case = DecodeCase(BS)
    pointers = case.pointers()
    pointers[output, 1] = 0
    expected = case.expected()
    expected[7 + output] = case.buffers[7 + output].copy()
    host = DataPtrTensor(pointers, device="cpu")
    udm.unified_decode_metadata_cuda(*inputs(case, wrap), host, 300, 48, 64, 5, 5)
    driver.synchronise()
    case.check(expected)


def test_pointers_at_an_odd_address(driver):
    """Host memory needs no alignment: udm copies the pointers."""
    case = DecodeCase(BS)
    good = case.pointers()
    memory = np.zeros(good.nbytes + 1, np.uint8)
    memory[1:] = np.frombuffer(good.tobytes(), np.uint8)
    odd = DataPtrTensor(good, device="cpu")
    odd.data_ptr = lambda: memory[1:].ctypes.data
    expected = case.expected()
    udm.unified_decode_metadata_cuda(*inputs(case, wrap), odd, 300, 48, 64, 5, 5)
    driver.synchronise()
    case.check(expected)
