# SPDX-License-Identifier: Apache-2.0
"""SGLang with its plug-ins loaded, and its real backend objects over NumPy arrays."""

import functools
import pathlib
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
from host_tensors import ServerTensor as Tensor
from step_case import StepCase

BACKEND = "sglang.srt.layers.attention.dsa_backend"
METHODS = (
    ("DeepseekSparseAttnBackend", "_apply_cuda_graph_metadata"),
    ("DeepseekSparseAttnMultiStepBackend", "init_forward_metadata_out_graph"),
)
pyproject = pathlib.Path(__file__).parents[3] / "pyproject.toml"


def entry_points():
    """As pyproject.toml declares them: its table has the form of the installed file."""
    text = pyproject.read_text().split('[project.entry-points."sglang.srt.plugins"]')[1]
    name, value = text.split("\n[")[0].split("#")[0].strip().split(" = ")
    return f"[sglang.srt.plugins]\n{name} = {value.strip(chr(34))}\n"


class Server:
    """SGLang with its plug-ins loaded. originals: the calls that udm left to it."""

    def __init__(self):
        self.module = __import__(BACKEND, fromlist=["x"])
        self.originals = []
        for owner, method in METHODS:
            self.record(getattr(self.module, owner), method)
        deep_gemm = ModuleType("deep_gemm")
        deep_gemm.get_paged_mqa_logits_metadata = lambda *a: None
        sys.modules["deep_gemm"] = deep_gemm
        self.module.resolve_paged_mqa_logits_metadata_fn = lambda: (
            sys.modules["deep_gemm"].get_paged_mqa_logits_metadata
        )

    def record(self, owner, method):
        original = getattr(owner, method)

        @functools.wraps(original)
        def recorded(*arguments, **keywords):
            self.originals.append((method, arguments[1:], keywords))

        setattr(owner, method, recorded)

    def load_plugins(self):
        import sglang.srt.plugins

        sglang.srt.plugins.load_plugins()


def lines(caplog, level):
    return [r.getMessage() for r in caplog.records if r.name == "udm.sglang" and r.levelno == level]


class Calls(list):
    def named(self, name):
        return [arguments for called, arguments in self if called == name]


def backend_over(server, case, b, calls, mode="decode", **attributes):
    """A real backend object with real metadata over the arrays of the case, made without a model
    runner. calls: what it calls of its own for the parts that stay SGLang's."""
    arrays = {name: Tensor(array) for name, array in vars(case.backends[b]).items()}
    if mode == "decode":
        arrays["dsa_seqlens_expanded"] = arrays["cache_seqlens_int32"]
        arrays["paged_mqa_ctx_lens_2d"] = arrays["cache_seqlens_int32"].reshape(-1, 1)
    metadata = server.module.DSAMetadata(
        page_size=case.page_size,
        max_seq_len_q=1,
        max_seq_len_k=case.max_len,
        dsa_cu_seqlens_q=None,
        dsa_extend_seq_lens_list=[],
        **{**arrays, **attributes.pop("metadata", {})},
    )
    backend = object.__new__(server.module.DeepseekSparseAttnBackend)
    vars(backend).update(
        req_to_token=case.pool,
        dsa_index_topk=case.topk,
        dsa_index_kpool=case.kpool,
        physical_page_size=case.page_size,
        dsa_decode_impl="fa3",
        speculative_num_draft_tokens=case.n,
        experimental_kpool_metadata_fusion=case.kpool > 1,
        decode_cuda_graph_metadata={case.batch_size: metadata},
        **attributes,
    )
    for name in (
        "set_dsa_prefill_impl",
        "_refresh_topk_v2_plan",
        "_refresh_paged_mqa_schedule_metadata",
        "_update_kpool_metadata_replay",
        "_compute_flashmla_metadata",
    ):
        setattr(backend, name, recorder(calls, name, b))
    return backend


def recorder(calls, name, b):
    def record(*arguments, **keywords):
        calls.append((name, (b, arguments, keywords)))
        return f"{name} {b}"

    return record


def make_case(mode, batch_size=9, **options):
    case = StepCase(mode, batch_size, **options)
    case.pool = Tensor(case.req_to_token)
    return case


def wanted_of(case, aliased=True):
    wanted = case.expected()
    for b in range(len(case.backends)):
        names = ["cu_seqlens_q"]
        if case.mode == "decode" and aliased:
            names += ["dsa_seqlens_expanded", "paged_mqa_ctx_lens_2d"]
        for name in names:
            wanted[b, name] = case.buffers[b, name].copy()
    return wanted


def forward_batch(case, extra=0):
    """extra: elements beyond the batch, as in the buffers of a graph."""
    lengths, indices = (
        np.concatenate([array, np.ones(extra, array.dtype)])
        for array in (case.seq_lens, case.req_pool_indices)
    )
    case.kept = lengths, indices
    return SimpleNamespace(
        batch_size=case.batch_size, seq_lens=Tensor(lengths), req_pool_indices=Tensor(indices)
    )


def multi_step(server, backends):
    made = object.__new__(server.module.DeepseekSparseAttnMultiStepBackend)
    made.attn_backends, made.speculative_num_steps = backends, len(backends) + 1
    return made
