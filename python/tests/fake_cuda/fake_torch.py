# SPDX-License-Identifier: Apache-2.0
"""The part of PyTorch that the examples use, over NumPy arrays, which the fake driver accepts as
GPU memory, and over its streams and graphs."""

import ctypes
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace

import numpy as np


class Tensor(np.ndarray):
    """Like PyTorch's tensor before 2.10."""

    device = SimpleNamespace(type="cuda", index=0)

    def data_ptr(self):
        return self.ctypes.data

    def stride(self):
        return tuple(stride // self.itemsize for stride in self.strides)

    def int(self):
        return self.astype(np.int32)

    def copy_(self, other):
        self[...] = other


def make_torch(driver):
    """Makes the module. Its equal() waits for the driver's work."""
    torch = ModuleType("torch")
    rng = np.random.default_rng(0)
    current = SimpleNamespace(cuda_stream=0)

    def randint(*bounds_and_shape, dtype=np.int64, device):
        *bounds, shape = bounds_and_shape
        return rng.integers(*bounds, size=shape, dtype=dtype).view(Tensor)

    def equal(a, b):
        driver.synchronise()
        return a.dtype == b.dtype and np.array_equal(a, b)

    class CUDAGraph:
        def replay(self):
            driver("cuGraphLaunch", self.executable, ctypes.c_void_p(0))
            driver.synchronise()

    @contextmanager
    def graph(recorded):
        stream, made, executable = driver.new_stream(), ctypes.c_void_p(), ctypes.c_void_p()
        driver("cuStreamBeginCapture_v2", stream, 2)
        current.cuda_stream = stream.value
        yield
        current.cuda_stream = 0
        driver("cuStreamEndCapture", stream, ctypes.byref(made))
        driver("cuGraphInstantiateWithFlags", ctypes.byref(executable), made, 0)
        recorded.executable = executable

    torch.Tensor, torch.int32 = Tensor, np.int32
    torch.randint, torch.equal = randint, equal
    torch.zeros = lambda shape, dtype, device: np.zeros(shape, dtype).view(Tensor)
    torch.randperm = lambda n, device: rng.permutation(n).view(Tensor)
    torch.cuda = SimpleNamespace(
        current_stream=lambda device: current, CUDAGraph=CUDAGraph, graph=graph
    )
    return torch
