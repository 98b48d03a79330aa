# SPDX-License-Identifier: Apache-2.0
"""What the metadata of a whole speculative iteration costs: SGLang's path beside udm's, in one run.

    pip download --no-deps sglang==0.5.23 && unzip -d FOLDER sglang-0.5.23-*.whl
    python bench_sglang.py FOLDER

An iteration is draft decode for three backends, target verify and draft extend of four tokens per
request, with context lengths and, if DeepGEMM is there, its schedules. What stays SGLang's own, the
top-k plans and FlashMLA's metadata, is left out on both sides. The paths are

    SGLang           its plain kernels, as its DSA backend of 0.5.23 calls them
    SGLang, bounded  the same with its kpool_metadata kernels, whose scan ends with a row's length
    bounded, direct  those, once per draft backend: no temporary, no copy. SGLang does not do so
    udm              three plans: one launch per phase

Launches are the nodes of a CUDA graph of one iteration; GPU time is that of a graph's iteration,
host time that of the calls. A figure is a median of many rounds in which the paths take turns.

It needs PyTorch 2.8 or later with Triton, a GPU and udm, and loads SGLang's files by their paths.

    pip install sgl-deep-gemm==0.1.4 apache-tvm-ffi==0.1.11 msgspec

With the first two and nvcc it measures the schedules; with the last two, nvcc, ninja and a C++20
compiler SGLang's own copy kernel, which SGLang compiles at first use (SGLANG_JIT_CACHE_DIR). Its
first lines say what is left out: without the schedules both sides have none, and without the copy
kernel PyTorch copies, tensor by tensor, to what SGLang falls back. After its copy kernel SGLang
0.5.23 leaves the schedules of the first three backends as they are; here they are refreshed, as
after any other copy, so that all paths leave the same."""

import argparse
import ctypes
import gc
import json
import pathlib
import statistics
import time

import torch
from bench_sglang_paths import PAGE_SIZE, TOKENS, Batch, SGLang, SGLangPath, UdmPath

import udm

CALLS, ROUNDS, ITERATIONS = 10, 100, 10  # host calls per round, rounds, iterations per graph


class Graph:
    """A CUDA graph of some iterations of a path."""

    def __init__(self, path, iterations):
        self.graph = torch.cuda.CUDAGraph(keep_graph=True)
        self.iterations = iterations
        with torch.cuda.graph(self.graph):
            for _ in range(iterations):
                path()
        self.graph.instantiate()

    def nodes(self):
        count = ctypes.c_size_t()
        driver = ctypes.CDLL("libcuda.so.1")
        graph = ctypes.c_void_p(self.graph.raw_cuda_graph())
        assert driver.cuGraphGetNodes(graph, None, ctypes.byref(count)) == 0
        return count.value

    def microseconds(self):
        """The first replay keeps the GPU busy while the host launches the one that is measured."""
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        self.graph.replay()
        begin.record()
        self.graph.replay()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) * 1000 / self.iterations


def host_microseconds(path):
    torch.cuda.synchronize()
    begin = time.perf_counter_ns()
    for _ in range(CALLS):
        path()
    taken = time.perf_counter_ns() - begin
    torch.cuda.synchronize()
    return taken / CALLS / 1000


def live(batch, with_schedules):
    """What consumers read of a batch's metadata, to compare the paths with each other."""
    found = []
    for metadata, n, seq_lens in (
        *((m, 1, batch.seq_lens) for m in batch.drafts),
        (batch.verify, TOKENS, batch.seq_lens + TOKENS),
        (batch.extend, TOKENS, batch.after),
    ):
        rows = seq_lens.repeat_interleave(n)[:, None]
        for name, value in vars(metadata).items():
            if name in ("page_table_1", "real_page_table"):
                size = PAGE_SIZE if name == "real_page_table" else 1
                columns = torch.arange(value.shape[1], device=value.device)
                value = torch.where(columns * size < rows, value, 0)
            if name != "paged_mqa_schedule_metadata" or with_schedules:
                found.append((name, value.clone()))
    return found


def check(paths, batch, with_schedules):
    """All paths leave the same: a figure of wrong values would say nothing."""
    wanted = None
    for name, path in paths.items():
        for metadata in (*batch.drafts, batch.verify, batch.extend):
            for name_of, tensor in vars(metadata).items():
                tensor.fill_(-1)
                if "cu_seqlens" in name_of:
                    tensor[0] = 0  # SGLang's copies leave it as the capture wrote it
        path()
        torch.cuda.synchronize()
        found = live(batch, with_schedules)
        wanted = wanted or found
        for (output, left), (_, right) in zip(wanted, found):
            assert torch.equal(left, right), f"{name}: {output} differs"


def measure(paths):
    """Per path: launches, GPU and host microseconds of an iteration."""
    for path in paths.values():
        for _ in range(3):  # compile, allocate
            path()
    torch.cuda.synchronize()
    launches = {name: Graph(path, 1).nodes() for name, path in paths.items()}
    graphs = {name: Graph(path, ITERATIONS) for name, path in paths.items()}
    gpu, host = ({name: [] for name in paths} for _ in range(2))
    gc.collect()
    gc.disable()
    for round_number in range(ROUNDS + 5):
        for name, path in paths.items():
            times = graphs[name].microseconds(), host_microseconds(path)
            if round_number >= 5:  # the first ones warm up
                gpu[name].append(times[0])
                host[name].append(times[1])
    gc.enable()
    return {
        name: {
            "launches": launches[name],
            "gpu_us": statistics.median(gpu[name]),
            "host_us": statistics.median(host[name]),
        }
        for name in paths
    }


def batches():
    """Mixed lengths are log-uniform, as in udm bench; uniform ones have twice the tokens."""
    generator = torch.Generator().manual_seed(0)
    uniform = torch.randint(1024, 131072 - TOKENS, (64,), generator=generator).tolist()
    mixed = (1024 * (131072 / 1024) ** torch.rand(64, generator=generator)).int().tolist()
    return {
        "bs 1, 4k, width 128k": ([4096], 131072),
        "bs 32, 4k, width 128k": ([4096] * 32, 131072),
        "bs 64, 1k-128k mixed": ([min(n, 131072 - TOKENS) for n in mixed], 131072),
        "bs 64, 1k-128k uniform": (uniform, 131072),
        "bs 256, 4k, width 16k": ([4096] * 256, 16384),
    }


def report(title, results):
    ours = results["udm"]
    print(f"\n{title}\n{'path':18} launches    GPU us   host us   GPU x  host x")
    for name, r in results.items():
        ratios = f"{r['gpu_us'] / ours['gpu_us']:7.1f} {r['host_us'] / ours['host_us']:7.1f}"
        print(f"{name:18} {r['launches']:8d} {r['gpu_us']:9.2f} {r['host_us']:9.2f} {ratios}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", help="the unpacked sglang wheel")
    parser.add_argument("--json", help="also write the figures to this file")
    options = parser.parse_args()
    device = torch.device("cuda", torch.cuda.current_device())
    sglang = SGLang(options.folder)
    with_schedules = sglang.schedule is not None
    where = f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, udm {udm.__version__}"
    print(f"{where}\nmedians of {ROUNDS} rounds; x: times udm's")
    if sglang.why_no_schedule:
        print(f"left out: DeepGEMM's schedules, on both sides ({sglang.why_no_schedule})")
    if sglang.why_no_copy:
        print(f"left out: SGLang's copy kernel; PyTorch copies instead ({sglang.why_no_copy})")
    figures = {}
    with torch.cuda.stream(torch.cuda.Stream()):
        for title, (lengths, width) in batches().items():
            batch = Batch(lengths, width, device)
            paths = {
                "SGLang": SGLangPath(sglang, sglang.plain, batch),
                "SGLang, bounded": SGLangPath(sglang, sglang.bounded, batch),
                "bounded, direct": SGLangPath(sglang, sglang.bounded, batch, direct=True),
                "udm": UdmPath(batch, with_schedules),
            }
            check(paths, batch, with_schedules)
            figures[title] = measure(paths)
            report(title, figures[title])
            del batch, paths
            torch.cuda.empty_cache()
    if options.json:
        result = {"where": where, "schedules": with_schedules, "batches": figures}
        pathlib.Path(options.json).write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
