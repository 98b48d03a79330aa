# SPDX-License-Identifier: Apache-2.0
"""The paths that bench_sglang.py measures: the calls of SGLang's DSA backend in a speculative
iteration, and udm's; and SGLang's functions, loaded from the files of an unpacked wheel."""

import importlib.machinery
import importlib.util
import pathlib
import sys
import types

import torch

import udm

BACKENDS, TOKENS, PAGE_SIZE, TOPK = 3, 4, 64, 2048
PHASES = {"decode": "decode", "verify": "target_verify", "draft_extend": "draft_extend"}


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
            "sglang.srt",
        ):
            self.empty_package(name).__path__ = [str(self.root.joinpath(*name.split(".")))]
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

    def empty_package(self, name):
        """Its origin is the file that is not run: SGLang's JIT looks for its sources beside it."""
        origin = self.root.joinpath(*name.split("."), "__init__.py")
        spec = importlib.machinery.ModuleSpec(name, None, origin=str(origin), is_package=True)
        return sys.modules.setdefault(name, importlib.util.module_from_spec(spec))

    def find_copy(self, ops):
        for name in ("sglang.srt.utils", "sglang.srt.utils.common"):
            self.empty_package(name).is_cuda = lambda: True
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
            function = importlib.import_module("deep_gemm").get_paged_mqa_logits_metadata
            function(torch.ones((1, 1), dtype=torch.int32, device="cuda"), 64, 8)
            return function, None
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
