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
With sgl-deep-gemm (pip install sgl-deep-gemm==0.1.4 apache-tvm-ffi==0.1.11) it measures the
schedules; with apache-tvm-ffi, msgspec, wheel and nvcc SGLang's copy kernel, else the copies by
PyTorch that SGLang falls back to. Its first lines say what is left out."""

import argparse
import ctypes
import gc
import importlib
import json
import pathlib
import statistics
import sys
import time
import types

import torch

import udm

BACKENDS, TOKENS, PAGE_SIZE, TOPK = 3, 4, 64, 2048
PHASES = {"decode": "decode", "verify": "target_verify", "draft_extend": "draft_extend"}
CALLS, ROUNDS, ITERATIONS = 20, 60, 10  # host calls per round, rounds, iterations per graph


class SGLang:
    """Functions of SGLang's files, imported past their packages, which would import a server."""

    def __init__(self, folder):
        self.root = pathlib.Path(folder)
        if not (self.root / "sglang/kernels").is_dir():
            raise SystemExit(f"{folder} does not hold an unpacked sglang wheel: no sglang/kernels")
        for name in (
            "sglang",
            "sglang.kernels",
            "sglang.kernels.ops",
            "sglang.kernels.ops.attention",
            "sglang.kernels.ops.attention.dsa",
            "sglang.kernels.ops.attention.dsa.kpool_metadata",
            "sglang.kernels.jit",
        ):
            self.stand_in(name).__path__ = [str(self.root.joinpath(*name.split(".")))]
        ops = "sglang.kernels.ops.attention.dsa."
        self.plain = [
            getattr(importlib.import_module(ops + "metadata"), f"fused_dsa_{phase}_metadata")
            for phase in PHASES.values()
        ]
        self.bounded = [
            getattr(
                importlib.import_module(f"{ops}kpool_metadata.{module}"),
                f"fused_dsa_{phase}_metadata_kpool",
            )
            for module, phase in PHASES.items()
        ]
        self.copy_to_three, self.why_no_copy = self.find_copy(ops)
        self.schedule, self.why_no_schedule = self.find_schedule()

    def stand_in(self, name):
        return sys.modules.setdefault(name, types.ModuleType(name))

    def find_copy(self, ops):
        for name in ("sglang.srt", "sglang.srt.utils", "sglang.srt.utils.common"):
            self.stand_in(name).is_cuda = lambda: True
        try:
            function = importlib.import_module(ops + "fused_metadata_copy")
            function = function.fused_metadata_copy_multi_cuda
            tables = [torch.zeros((1, 64), dtype=torch.int32, device="cuda") for _ in range(4)]
            few = [torch.zeros(4, dtype=torch.int32, device="cuda") for _ in range(4)]
            sets = [[f, f, t, f, f, t, None, None] for f, t in zip(few, tables)]
            function(*(tensor for one in sets for tensor in one), 1, 64, 1)
            torch.cuda.synchronize()
            return function, None
        except Exception as error:
            return None, error

    def find_schedule(self):
        try:
            deep_gemm = importlib.import_module("deep_gemm")
            return deep_gemm.get_paged_mqa_logits_metadata, None
        except Exception as error:
            return None, error


class Batch:
    """The tensors of one batch size, as SGLang keeps them for its CUDA graphs."""

    def __init__(self, lengths, width, device):
        def integers(*shape, dtype=torch.int32):
            return torch.zeros(shape, dtype=dtype, device=device)

        self.bs, self.width, self.pages = len(lengths), width, -(-width // PAGE_SIZE)
        self.integers = integers
        self.num_sms = torch.cuda.get_device_properties(device).multi_processor_count
        pool = torch.randint(1 << 24, (self.bs + 1, width), dtype=torch.int32, device=device)
        self.req_to_token = pool
        self.req_pool_indices = torch.randperm(self.bs, device=device)
        self.seq_lens = torch.tensor(lengths, device=device)
        self.after = self.seq_lens + TOKENS  # the draft tokens are in the KV cache then
        self.drafts = [self.metadata(1) for _ in range(BACKENDS)]
        self.verify, self.extend = self.metadata(TOKENS), self.metadata(TOKENS)

    def metadata(self, n):
        rows = self.bs * n
        made = types.SimpleNamespace(
            cache_seqlens_int32=self.integers(self.bs),
            cu_seqlens_k=self.integers(self.bs + 1),
            page_table_1=self.integers(rows, self.width),
            dsa_cache_seqlens_int32=self.integers(rows),
            dsa_cu_seqlens_k=self.integers(rows + 1),
            real_page_table=self.integers(rows, self.pages),
            dsa_seqlens_expanded=self.integers(rows),
            paged_mqa_schedule_metadata=self.integers(self.num_sms + 1, 2),
        )
        if n == 1:
            made.dsa_seqlens_expanded = made.cache_seqlens_int32
        made.paged_mqa_ctx_lens_2d = made.dsa_seqlens_expanded.view(-1, 1)
        return made


def common(batch, metadata, seq_lens):
    return {
        "seq_lens": seq_lens,
        "req_pool_indices": batch.req_pool_indices,
        "req_to_token": batch.req_to_token,
        "cache_seqlens": metadata.cache_seqlens_int32,
        "cu_seqlens_k": metadata.cu_seqlens_k,
        "page_table_1": metadata.page_table_1,
        "dsa_cache_seqlens": metadata.dsa_cache_seqlens_int32,
        "dsa_cu_seqlens_k": metadata.dsa_cu_seqlens_k,
        "real_page_table": metadata.real_page_table,
        "bs": batch.bs,
        "dsa_index_topk": TOPK,
        "physical_page_size": PAGE_SIZE,
    }


class SGLangPath:
    """What SGLang's backend does in an iteration, call by call."""

    def __init__(self, sglang, functions, batch, direct=False):
        self.sglang, self.batch, self.direct = sglang, batch, direct
        self.decode, self.target_verify, self.draft_extend = functions

    def fill_draft(self, metadata):
        self.decode(**common(self.batch, metadata, self.batch.seq_lens), max_len=self.batch.width)

    def temporary(self):
        """SGLang allocates what it fills once and copies."""
        b = self.batch
        empty = {"dtype": torch.int32, "device": b.seq_lens.device}
        return types.SimpleNamespace(
            cache_seqlens_int32=torch.empty(b.bs, **empty),
            cu_seqlens_k=torch.empty(b.bs + 1, **empty),
            page_table_1=torch.empty((b.bs, b.width), **empty),
            dsa_cache_seqlens_int32=torch.empty(b.bs, **empty),
            dsa_cu_seqlens_k=torch.empty(b.bs + 1, **empty),
            real_page_table=torch.empty((b.bs, b.pages), **empty),
        )

    def copies(self, source):
        sets = [[vars(one)[name] for name in vars(source)] for one in self.batch.drafts]
        values = list(vars(source).values())
        if self.sglang.copy_to_three:
            tensors = [t for one in (values, *sets) for t in (*one, None, None)]
            self.sglang.copy_to_three(*tensors, self.batch.bs, self.batch.width, self.batch.bs)
            return
        for one in sets:
            for destination, value in zip(one, values):
                destination.copy_(value)

    def refresh(self, metadata, context):
        """The schedule, made anew and copied, and the context lengths, copied onto themselves."""
        if self.sglang.schedule:
            new = self.sglang.schedule(context, 64, self.batch.num_sms)
            metadata.paged_mqa_schedule_metadata.copy_(new)
        metadata.paged_mqa_ctx_lens_2d.copy_(context)

    def __call__(self):
        b = self.batch
        if self.direct:
            for metadata in b.drafts:
                self.fill_draft(metadata)
        else:
            source = self.temporary()
            self.fill_draft(source)
            self.copies(source)
        for metadata in b.drafts:
            self.refresh(metadata, metadata.cache_seqlens_int32.view(b.bs, 1))
        self.target_verify(
            **common(b, b.verify, b.seq_lens),
            seqlens_expanded=b.verify.dsa_seqlens_expanded,
            max_seqlen_k=b.width,
            next_n=TOKENS,
        )
        self.refresh(b.verify, b.verify.dsa_seqlens_expanded.view(-1, 1))
        self.draft_extend(
            **common(b, b.extend, b.after),
            extend_seq_lens=torch.full(
                (b.bs,), TOKENS, dtype=torch.int32, device=b.seq_lens.device
            ),
            seqlens_expanded=b.extend.dsa_seqlens_expanded,
            total_len=b.bs * TOKENS,
            max_seqlen_k=b.width,
            max_extend_len=TOKENS,
            max_total_len=b.bs * TOKENS,
            static_extend_len=True,
        )
        self.refresh(b.extend, b.extend.dsa_seqlens_expanded.view(-1, 1))


class UdmPath:
    """Three plans."""

    def __init__(self, batch, with_schedules):
        extra = ["paged_mqa_ctx_lens_2d"]
        options = {"extra_outputs": extra}
        if with_schedules:
            extra.append("paged_mqa_schedule_metadata")
            options["schedule_variant"] = "sm90"

        def plan(metadata, **more):
            return udm.Plan(metadata, batch.req_to_token, TOPK, PAGE_SIZE, **options, **more)

        self.batch = batch
        self.draft = plan(batch.drafts)
        self.verify = plan([batch.verify], mode="target_verify", tokens_per_request=TOKENS)
        self.extend = plan([batch.extend], mode="draft_extend", tokens_per_request=TOKENS)

    def __call__(self):
        b = self.batch
        self.draft(b.seq_lens, b.req_pool_indices)
        self.verify(b.seq_lens, b.req_pool_indices)
        self.extend(b.after, b.req_pool_indices)


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
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
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
    generator = torch.Generator().manual_seed(0)
    mixed = torch.randint(1024, 131072 - TOKENS, (64,), generator=generator).tolist()
    return {
        "bs 1, 4k, width 128k": ([4096], 131072),
        "bs 32, 4k, width 128k": ([4096] * 32, 131072),
        "bs 64, 1k-128k mixed": (mixed, 131072),
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
