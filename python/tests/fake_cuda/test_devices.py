# SPDX-License-Identifier: Apache-2.0
"""Several devices, contexts and threads."""

import ctypes
import subprocess
import sys
import textwrap
import threading

import pytest
from decode_case import DecodeCase
from host_tensors import ExchangeTensor, inputs, wrap_backends

import udm


def on_device(device):
    return lambda array: ExchangeTensor(array, (2, device))


def call_and_check(driver, case, device):
    wrap = on_device(device)
    expected = case.expected()
    udm.unified_decode_metadata_cuda_direct(
        *inputs(case, wrap), wrap_backends(case, wrap), case.topk, case.page_size
    )
    driver("cuCtxPushCurrent_v2", driver.primary_context(device))
    driver.synchronise()
    driver("cuCtxPopCurrent_v2", None)
    case.check(expected)


def current(driver):
    return driver.out("cuCtxGetCurrent").value


def test_device_that_is_not_current(driver):
    before = current(driver)
    for device in (1, 0, 1):
        call_and_check(driver, DecodeCase(7), device)
        assert current(driver) == before


def test_no_context_is_current(driver):
    driver("cuCtxSetCurrent", None)
    assert current(driver) is None
    call_and_check(driver, DecodeCase(7), 0)
    assert current(driver) is None


def test_context_that_is_not_the_primary_one(driver):
    """The driver accepts a stream of that context only for a kernel of that context."""
    context = driver.out("cuCtxCreate_v2", 0, 0)
    stream = driver.new_stream().value
    case = DecodeCase(7)
    for _ in range(2):
        expected = case.expected()
        udm.unified_decode_metadata_cuda_direct(
            *inputs(case, ExchangeTensor),
            wrap_backends(case, ExchangeTensor),
            case.topk,
            case.page_size,
            stream=stream,
        )
        driver.synchronise()
        case.check(expected)
    assert current(driver) == context.value
    driver("cuCtxPopCurrent_v2", ctypes.byref(ctypes.c_void_p()))


def test_context_is_restored_after_an_error(driver):
    driver("cuCtxSetCurrent", None)
    case = DecodeCase(7)
    metadata = wrap_backends(case, ExchangeTensor)
    with pytest.raises(udm.DriverError, match="^cuLaunchKernel.*the stream must be one of the"):
        udm.unified_decode_metadata_cuda_direct(
            *inputs(case, ExchangeTensor), metadata, case.topk, 64, stream=12345
        )
    assert current(driver) is None


def test_threads(driver):
    failures = []

    def work(seed):
        try:
            case = DecodeCase(9, seed=seed)
            tensors = inputs(case, on_device(seed % 2))
            metadata = wrap_backends(case, on_device(seed % 2))
            plan = udm.Plan(metadata, tensors[2], case.topk, case.page_size)
            driver("cuCtxSetCurrent", driver.primary_context(seed % 2))
            for _ in range(10):
                case.draw_lengths()
                expected = case.expected()
                plan(*tensors[:2])
                driver.synchronise()
                case.check(expected)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_first_use_on_many_threads_loads_once_per_device(driver):
    """Runs in a new process, since this one has loaded the kernel."""
    program = textwrap.dedent("""
        import ctypes, os, threading
        import udm
        ready = threading.Barrier(8)
        failures = []
        def work(device):
            ready.wait()
            try:
                udm.prepare(device)
            except BaseException as error:
                failures.append(error)
        threads = [threading.Thread(target=work, args=(i % 2,)) for i in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert not failures, failures
        driver = ctypes.CDLL(os.environ["UDM_DRIVER_LIBRARY"])
        driver.fake_cuda_calls.restype = ctypes.c_int64
        loads = [driver.fake_cuda_calls(name) for name in
                 (b"cuModuleLoadDataEx", b"cuModuleLoadData", b"cuLibraryLoadData")]
        assert sum(load for load in loads if load > 0) == 2, loads
    """)
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
