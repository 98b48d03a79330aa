# SPDX-License-Identifier: Apache-2.0
"""udm.prepare(): which device it means, and that it fails in a child made by fork()."""

import os
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import pytest

import udm

PREPARED = """
    import ctypes, os
    from types import SimpleNamespace
    import numpy as np
    import udm

    driver = ctypes.CDLL(os.environ["UDM_DRIVER_LIBRARY"])
    driver.fake_cuda_calls.restype = ctypes.c_int64

    def loads():
        names = (b"cuModuleLoadDataEx", b"cuModuleLoadData", b"cuLibraryLoadData")
        return sum(max(driver.fake_cuda_calls(name), 0) for name in names)

    def current():
        context = ctypes.c_void_p()
        assert driver.cuCtxGetCurrent(ctypes.byref(context)) == 0
        return context.value

    assert driver.cuInit(0) == 0
    for device in {current}:
        context = ctypes.c_void_p()
        assert driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device) == 0
        assert driver.cuCtxSetCurrent(context) == 0
    before = current()
    udm.prepare({arguments})
    assert current() == before
    for device in range(2):  # a device with nothing left to load has its kernel
        count = loads()
        udm.prepare(device)
        if loads() == count:
            print(device)
"""


def prepared(arguments, current=()):
    """Returns the devices for which prepare(arguments) loads the kernel, in a new process."""
    program = textwrap.dedent(PREPARED).format(arguments=arguments, current=current)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


TORCH_DEVICE = "SimpleNamespace(type='cuda', index={})"


@pytest.mark.parametrize(
    "arguments", ["", "None", "device=None", "'cuda'", TORCH_DEVICE.format(None)]
)
def test_the_current_device(session_driver, arguments):
    assert prepared(arguments, current=(1,)) == ["1"]
    assert prepared(arguments) == ["0"]


@pytest.mark.parametrize("arguments", ["1", "np.int64(1)", "'cuda:1'", TORCH_DEVICE.format(1)])
def test_a_device_that_is_named(session_driver, arguments):
    assert prepared(arguments, current=(0,)) == ["1"]


@pytest.mark.parametrize(
    "device", ["cpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1 ", "cuda0", "", "cuda:99999999999"]
)
def test_text_that_names_no_device(driver, device):
    with pytest.raises(ValueError, match="^device is .*: it must be a CUDA device: 1, "):
        udm.prepare(device)


def test_what_is_no_device(driver):
    with pytest.raises(ValueError, match="^device is .*: it must be a CUDA device"):
        udm.prepare(SimpleNamespace(type="cpu", index=None))
    with pytest.raises(ValueError, match="^device is -1: it must be 0 or more"):
        udm.prepare(-1)
    with pytest.raises(ValueError, match="^device is -2: it must be 0 or more"):
        udm.prepare(SimpleNamespace(type="cuda", index=-2))
    for device in (1.5, [1], (0,), object()):
        with pytest.raises(
            TypeError, match="^device is a <class '.*'>: it must be None, an integer"
        ):
            udm.prepare(device)
    with pytest.raises(udm.NoDeviceError, match="there is no CUDA device 64"):
        udm.prepare("cuda:64")


FORK = """
    import os, sys
    sys.path[:0] = [{tests!r}, {folder!r}]
    import udm
    from decode_case import DecodeCase
    from host_tensors import ArrayInterfaceTensor, ExchangeTensor, inputs, wrap_backends

    case = DecodeCase(4)
    metadata = wrap_backends(case, ExchangeTensor)
    seq_lens, req_pool_indices, req_to_token = inputs(case, ExchangeTensor)
    if {used_before}:
        plan = udm.Plan(metadata, req_to_token, case.topk, 64)
    child = os.fork()
    if child:
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    def told(call):
        try:
            call()
        except udm.DriverError as error:
            return "fork() made it" in str(error) and "spawn" in str(error)
        return False

    if not {used_before}:
        udm.prepare()
        os._exit(0)
    calls = [
        lambda: udm.prepare(),
        lambda: udm.prepare(1),
        lambda: plan(seq_lens, req_pool_indices),
        lambda: udm.unified_decode_metadata_cuda_direct(
            seq_lens, req_pool_indices, req_to_token, metadata, case.topk, 64),
        lambda: udm.Plan(metadata, req_to_token, case.topk, 64),
        lambda: plan(ArrayInterfaceTensor(case.seq_lens), req_pool_indices),
    ]
    answers = [told(call) for call in calls * 2]
    print(answers)
    os._exit(0 if all(answers) else 3)
"""


@pytest.mark.parametrize("used_before", [True, False])
def test_child_made_by_fork(session_driver, used_before):
    """If the parent has used the GPU, every call fails at once, prepare() too; else all work."""
    folder = os.path.dirname(__file__)
    program = FORK.format(folder=folder, tests=os.path.dirname(folder), used_before=used_before)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
