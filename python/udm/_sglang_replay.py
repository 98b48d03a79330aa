# SPDX-License-Identifier: Apache-2.0
"""How SGLang's DSA backend refreshes its metadata before it replays a CUDA graph, with one launch
of udm in place of its fills, copies and schedules. The plug-in puts these functions around SGLang's
methods; each gets the original first, and calls it for what udm does not do."""

import logging
import sys
from collections.abc import Sequence
from typing import Any, Optional

from udm._udm import Plan, image, prepare

logger = logging.getLogger("udm.sglang")

_MOST_BACKENDS = 8  # of one launch
_warned = False
_to_announce = ""  # what the plug-in replaced


def _backend_module() -> Any:
    return sys.modules["sglang.srt.layers.attention.dsa_backend"]


def _failed(error: Exception) -> None:
    global _warned
    if not _warned:
        _warned = True
        logger.warning("SGLang refreshes its metadata itself, because udm failed: %s", error)


def announce_later(replaced: str) -> None:
    global _to_announce
    _to_announce = replaced


def announce(device: Any) -> None:
    """Says once that udm serves. SGLang loads its plug-ins before it sets up its log, which then
    has no line of theirs."""
    global _to_announce
    replaced, _to_announce = _to_announce, ""
    if replaced:
        found = image(device)
        logger.info("%s, by a kernel image for sm_%d from: %s. UDM_SGLANG=0 turns it off",
                    replaced, found.architecture, found.source)  # fmt: skip


def _page_size(backend: Any) -> Any:
    return getattr(backend, "physical_page_size", None) or backend.real_page_size


def _served(backend: Any) -> Any:
    """Whether SGLang fills the metadata of this backend by the functions that udm replaces."""
    return _backend_module().is_cuda() and (
        backend.dsa_index_kpool <= 1 or backend.experimental_kpool_metadata_fusion
    )


def _mode(forward_mode: Any) -> Any:
    if forward_mode.is_decode_or_idle():
        return "decode"
    if forward_mode.is_target_verify():
        return "target_verify"
    return "draft_extend" if forward_mode.is_draft_extend_v2() else None


def _schedule_is_deep_gemm() -> bool:
    """SGLang may have another function make the schedule, in a form of its own."""
    deep_gemm = sys.modules.get("deep_gemm")
    function = _backend_module().resolve_paged_mqa_logits_metadata_fn()
    return function is getattr(deep_gemm, "get_paged_mqa_logits_metadata", None)


class _Refresh:
    """The launches for some backends at one batch size in one mode, bound once, and whether the
    schedules are among what they write."""

    def __init__(self, backends: list[Any], metadata: list[Any], bs: int, mode: Any) -> None:
        first = backends[0]
        n = 1 if mode == "decode" else first.speculative_num_draft_tokens
        context = metadata[0].paged_mqa_ctx_lens_2d
        # SGLang's verify has a row of n lengths per request where DeepGEMM takes that (SM100).
        # Which schedule that DeepGEMM reads, its version decides: it is left to SGLang.
        per_request = mode == "target_verify" and n > 1 and context.shape[1] == n
        self.has_schedules = not per_request and _schedule_is_deep_gemm()
        self.tensors = _identity(backends, metadata)
        options: dict[str, Any] = {"mode": mode, "tokens_per_request": n, "max_batch_size": bs}
        extra = ["paged_mqa_ctx_lens_2d"]
        if self.has_schedules:
            extra.append("paged_mqa_schedule_metadata")
            options["schedule_variant"] = "sm90"
        self.plans = [
            Plan(
                metadata[begin : begin + _MOST_BACKENDS],
                first.req_to_token,
                first.dsa_index_topk,
                _page_size(first),
                index_kpool=max(first.dsa_index_kpool, 1),
                extra_outputs=extra,
                ctx_lens_of_request=per_request,
                **options,
            )
            for begin in range(0, len(metadata), _MOST_BACKENDS)
        ]

    def __call__(self, seq_lens: Any, req_pool_indices: Any) -> None:
        for plan in self.plans:
            plan(seq_lens, req_pool_indices)


def _identity(backends: list[Any], metadata: list[Any]) -> list[Any]:
    """What a refresh is bound to. SGLang sets the last two of a metadata object later."""
    tensors: list[Any] = [backend.req_to_token for backend in backends]
    for m in metadata:
        tensors += m, m.paged_mqa_ctx_lens_2d, m.paged_mqa_schedule_metadata
    return tensors


def _same(left: Sequence[Any], right: Sequence[Any]) -> bool:
    return len(left) == len(right) and all(a is b for a, b in zip(left, right))


def _refresh_of(
    owner: Any, backends: list[Any], metadata: list[Any], bs: int, mode: Any
) -> Optional[_Refresh]:
    """Makes one, or finds it on the owner. None if a tensor does not exist yet: SGLang makes it."""
    for m in metadata:
        if m.paged_mqa_ctx_lens_2d is None or m.paged_mqa_schedule_metadata is None:
            return None
    known: dict[Any, _Refresh] = owner.__dict__.setdefault("_udm_refreshes", {})
    refresh = known.get((bs, mode))
    if refresh is None or not _same(refresh.tensors, _identity(backends, metadata)):
        refresh = known[bs, mode] = _Refresh(backends, metadata, bs, mode)
    return refresh


def _first(tensor: Any, count: int) -> Any:
    return tensor if tensor.shape[0] == count else tensor[:count]


def _load_kernel(backend: Any) -> None:
    """SGLang makes the metadata of a batch size when it captures a graph for it: early enough."""
    try:
        prepare(backend.req_to_token.device)
        announce(backend.req_to_token.device)
    except Exception as error:
        _failed(error)


def _launch(
    owner: Any,
    backends: list[Any],
    metadata: list[Any],
    bs: int,
    mode: Any,
    seq_lens: Any,
    req_pool_indices: Any,
) -> Optional[_Refresh]:
    """The refresh that was launched; None if SGLang has to do it."""
    try:
        refresh = _refresh_of(owner, backends, metadata, bs, mode)
        if refresh is not None:
            refresh(seq_lens, req_pool_indices)
        return refresh
    except Exception as error:
        _failed(error)
        return None


def _finish(
    backend: Any,
    metadata: Any,
    refresh: _Refresh,
    flashmla: Any,
    batch: tuple[Any, Any],
    forward_mode: Any,
    effective_n: Any = None,
) -> None:
    """What stays SGLang's own, for one backend."""
    backend.set_dsa_prefill_impl(forward_batch=None)
    if not refresh.has_schedules:
        backend._refresh_paged_mqa_schedule_metadata(metadata, metadata.paged_mqa_ctx_lens_2d)
    backend._refresh_topk_v2_plan(metadata)
    if backend.dsa_index_kpool > 1:
        backend._update_kpool_metadata_replay(
            metadata, *batch, forward_mode, effective_n_per_batch=effective_n
        )
    if flashmla is not None:
        tokens = metadata.dsa_cache_seqlens_int32.shape[0]
        metadata.flashmla_metadata.slice(slice(0, tokens + 1)).copy_(flashmla)
    backend.forward_metadata = metadata


def _flashmla(backend: Any, metadata: Any) -> Any:
    if backend.dsa_decode_impl != "flashmla_kv":
        return None
    return backend._compute_flashmla_metadata(
        cache_seqlens=metadata.dsa_cache_seqlens_int32, seq_len_q=1
    )


def replay_backend(
    original: Any,
    self: Any,
    bs: int,
    req_pool_indices: Any,
    seq_lens: Any,
    seq_lens_cpu: Any,
    forward_mode: Any,
    spec_info: Any,
    out_cache_loc: Any = None,
    actual_forward_mode: Any = None,
) -> None:
    """Around DeepseekSparseAttnBackend._apply_cuda_graph_metadata."""
    metadata = self.decode_cuda_graph_metadata.get(bs)
    mode = _mode(forward_mode)
    refresh = None
    if mode and _served(self) and metadata is None:
        _load_kernel(self)
    elif mode and _served(self):
        batch = _first(seq_lens, bs), _first(req_pool_indices, bs)
        refresh = _launch(self, [self], [metadata], bs, mode, *batch)
    if refresh is None:
        original(
            self,
            bs,
            req_pool_indices,
            seq_lens,
            seq_lens_cpu,
            forward_mode,
            spec_info,
            out_cache_loc,
            actual_forward_mode,
        )
        return
    effective_n = None
    if mode == "draft_extend" and spec_info is not None:
        effective_n = getattr(spec_info, "num_accept_tokens", None)
        effective_n = effective_n if effective_n is None else effective_n[:bs]
    flashmla = _flashmla(self, metadata)
    _finish(self, metadata, refresh, flashmla, batch, forward_mode, effective_n)


def replay_draft_backends(
    original: Any, self: Any, forward_batch: Any, in_capture: bool = False
) -> None:
    """Around DeepseekSparseAttnMultiStepBackend.init_forward_metadata_out_graph."""
    bs = forward_batch.batch_size
    backends = self.attn_backends[: self.speculative_num_steps - 1]
    refresh = None
    if not in_capture and backends and _served(backends[0]):
        batch = _first(forward_batch.seq_lens, bs), _first(forward_batch.req_pool_indices, bs)
        metadata = [backend.decode_cuda_graph_metadata.get(bs) for backend in backends]
        if all(one is not None for one in metadata):
            refresh = _launch(self, backends, metadata, bs, "decode", *batch)
    if refresh is None:
        original(self, forward_batch, in_capture)
        return
    flashmla = _flashmla(backends[0], metadata[0])
    decode = _backend_module().ForwardMode.DECODE
    for backend, one in zip(backends, metadata):
        _finish(backend, one, refresh, flashmla, batch, decode)
