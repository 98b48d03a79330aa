# SPDX-License-Identifier: Apache-2.0
"""Host time of each call beside a raw cuLaunchKernel of an empty kernel with as many parameters,
all in one run: python bench_host_time.py [--json FILE]. Needs PyTorch, a GPU and a C compiler.

Every number is the median of many short batches of calls; the batches of the different calls take
turns, so that all see the same machine, and the GPU is idle before each."""

import argparse
import ctypes
import gc
import json
import pathlib
import platform
import shutil
import statistics
import subprocess
import tempfile
import time
from types import SimpleNamespace

import torch

import udm

BATCH_SIZE, PAGE_SIZE, TOPK, MAX_LEN = 32, 64, 2048, 131072
CALLS, ROUNDS = 100, 200
POINTERS, INTEGERS, LONGS = 30, 14, 4  # parameters of the direct kernel


def metadata(device):
    pages = MAX_LEN // PAGE_SIZE
    vector, longer = (torch.zeros(BATCH_SIZE + n, dtype=torch.int32, device=device) for n in (0, 1))
    return SimpleNamespace(
        cache_seqlens_int32=vector.clone(),
        cu_seqlens_k=longer.clone(),
        page_table_1=torch.zeros(BATCH_SIZE, MAX_LEN, dtype=torch.int32, device=device),
        nsa_cache_seqlens_int32=vector.clone(),
        nsa_cu_seqlens_k=longer.clone(),
        real_page_table=torch.zeros(BATCH_SIZE, pages, dtype=torch.int32, device=device),
        nsa_seqlens_expanded=vector.clone(),
    )


def backend_pointers(backends):
    """Made outside of the timed call, as in servers."""
    return torch.tensor(
        [[t.data_ptr() for t in output] for output in zip(*(vars(b).values() for b in backends))]
    )


class RawLaunch:
    """cuLaunchKernel, called by a loop in C, of a kernel that does nothing."""

    def __init__(self, stream):
        source = pathlib.Path(__file__).with_name("bench_host_time.c")
        self.folder = tempfile.TemporaryDirectory()
        library = f"{self.folder.name}/loop.so"
        compiler = next(filter(shutil.which, ("cc", "gcc", "clang")), "cc")
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, source], check=True)
        self.driver = ctypes.CDLL("libcuda.so.1")
        self.loop = ctypes.CDLL(library).time_raw_launches
        self.loop.restype = ctypes.c_double
        widths = [64] * POINTERS + [32] * INTEGERS + [64] * LONGS
        parameters = ",".join(f".param .u{width} p{i}" for i, width in enumerate(widths))
        ptx = ".version 7.0\n.target sm_70\n.address_size 64\n"
        ptx += f".visible .entry empty({parameters}) {{ ret; }}"
        self.module, self.function = ctypes.c_void_p(), ctypes.c_void_p()
        self.do("cuModuleLoadData", ctypes.byref(self.module), ptx.encode())
        self.do("cuModuleGetFunction", ctypes.byref(self.function), self.module, b"empty")
        self.values = [ctypes.c_uint64(0) for _ in widths]
        self.parameters = (ctypes.c_void_p * len(widths))(*map(ctypes.addressof, self.values))
        self.stream = ctypes.c_void_p(stream)

    def do(self, function, *arguments):
        result = getattr(self.driver, function)(*arguments)
        assert result == 0, f"{function}: {result}"

    def time(self):
        launch = ctypes.cast(self.driver.cuLaunchKernel, ctypes.c_void_p)
        nanoseconds = self.loop(
            launch, self.function, 264, 256, self.stream, self.parameters, CALLS
        )
        assert nanoseconds > 0, nanoseconds
        return nanoseconds


def timer(call):
    """Nanoseconds per call, including Python's loop."""

    def run():
        repeat = range(CALLS)
        begin = time.perf_counter_ns()
        for _ in repeat:
            call()
        return (time.perf_counter_ns() - begin) / CALLS

    return run


def timed_calls(device, stream):
    backends = [metadata(device) for _ in range(8)]
    seq_lens = torch.full((BATCH_SIZE,), 4096, dtype=torch.int64, device=device)
    indices = torch.arange(BATCH_SIZE, dtype=torch.int64, device=device)
    tokens = torch.zeros(BATCH_SIZE, MAX_LEN, dtype=torch.int32, device=device)
    three = backends[:3]
    plan = udm.Plan(three, tokens, TOPK, PAGE_SIZE)
    pages = MAX_LEN // PAGE_SIZE

    def by_pointers(pointers):
        return lambda: udm.unified_decode_metadata_cuda(
            seq_lens, indices, tokens, pointers, MAX_LEN, TOPK, PAGE_SIZE, pages, pages
        )

    calls = {
        "raw cuLaunchKernel, empty kernel, in C": RawLaunch(stream).time,
        "plan(seq_lens, req_pool_indices)": timer(lambda: plan(seq_lens, indices)),
        "unified_decode_metadata_cuda_direct, N=3": timer(
            lambda: udm.unified_decode_metadata_cuda_direct(
                seq_lens, indices, tokens, three, TOPK, PAGE_SIZE
            )
        ),
        "unified_decode_metadata_cuda, CPU pointers, N=3": timer(
            by_pointers(backend_pointers(three))
        ),
        "unified_decode_metadata_cuda, CPU pointers, N=8": timer(
            by_pointers(backend_pointers(backends))
        ),
        "unified_decode_metadata_cuda, GPU pointers, N=3": timer(
            by_pointers(backend_pointers(three).to(device))
        ),
        "an empty Python lambda": timer(lambda: None),
    }
    return calls


def measure(calls):
    samples = {name: [] for name in calls}
    gc.collect()
    gc.disable()
    for round_number in range(ROUNDS + 5):
        for name, run in calls.items():
            torch.cuda.synchronize()
            nanoseconds = run()
            if round_number >= 5:  # the first ones warm up
                samples[name].append(nanoseconds)
    gc.enable()
    torch.cuda.synchronize()
    return {name: statistics.median(values) / 1000 for name, values in samples.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", help="also write the medians, in microseconds, to this file")
    options = parser.parse_args()
    device = torch.device("cuda")
    with torch.cuda.stream(torch.cuda.Stream()):
        medians = measure(timed_calls(device, torch.cuda.current_stream().cuda_stream))
    raw = next(iter(medians.values()))
    where = f"{torch.cuda.get_device_name()}, Python {platform.python_version()}, "
    where += f"PyTorch {torch.__version__}, udm {udm.__version__}"
    print(f"{where}\nmicroseconds per call, median of {ROUNDS} batches of {CALLS}\n")
    print(f"{'call':50} {'us':>7} {'- raw':>7}")
    for name, median in medians.items():
        print(f"{name:50} {median:7.2f} {median - raw:7.2f}")
    if options.json:
        result = {"where": where, "microseconds": medians}
        pathlib.Path(options.json).write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
