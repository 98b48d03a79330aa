# SPDX-License-Identifier: Apache-2.0
"""How SGLang's DSA backend refreshes its metadata before it replays a CUDA graph, with one launch
of udm in place of its fills, copies and schedules. The plug-in puts these functions around SGLang's
methods; each gets the original first, and calls it for what udm does not do."""

import logging
import sys
from collections.abc import Sequence
from typing import Any, Optional

from udm._udm import Error, Plan, image, prepare
from udm.sglang import first

logger = logging.getLogger("udm.sglang")

_MOST_BACKENDS = 8  # of one launch
_warned = False
_given_up = False
_to_announce = ""  # what the plug-in replaced


def _backend_module() -> Any:
    return sys.modules["sglang.srt.layers.attention.dsa_backend"]


def given_up() -> bool:
    return _given_up


def give_up_if_in_vain(error: Exception) -> None:
    """Without a kernel, or with a failing driver, each further call of udm would only take time."""
    global _given_up
    _given_up |= isinstance(error, Error) and not isinstance(error, ValueError)


def _failed(error: Exception) -> None:
    global _warned
    give_up_if_in_vain(error)
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


def _settings(backend: Any) -> tuple[Any, ...]:
    return (
        backend.req_to_token,
        backend.dsa_index_topk,
        backend.dsa_index_kpool,
        _page_size(backend),
        backend.dsa_decode_impl,
    )


class _Refresh:
    """The launches for some backends at one batch size in one mode, bound once, and whether the
    schedules are among what they write."""

    def __init__(self, backends: list[Any], metadata: list[Any], bs: int, mode: Any) -> None:
        first = backends[0]
        for other in backends[1:]:
            if not _same(_settings(other), _settings(first)):
                raise ValueError("the draft backends differ in their settings")
        self.metadata, self.mode = metadata, mode
        self.index_kpool = first.dsa_index_kpool
        self.has_flashmla = first.dsa_decode_impl == "flashmla_kv"
        n = 1 if mode == "decode" else first.speculative_num_draft_tokens
        context = metadata[0].paged_mqa_ctx_lens_2d
        # SGLang's verify has a row of n lengths per request where DeepGEMM takes that (SM100).
        # Which schedule that DeepGEMM reads, its version decides: it is left to SGLang.
        per_request = mode == "target_verify" and n > 1 and context.shape[1] == n
        self.has_schedules = not per_request and _schedule_is_deep_gemm()
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
    known = owner.__dict__.setdefault("_udm_refreshes", {})
    tensors = _identity(backends, metadata)
    bound, refresh = known.get((bs, mode), (None, None))
    if bound is None or not _same(bound, tensors):
        known[bs, mode] = tensors, None  # if it fails, it is not tried again
        refresh = _Refresh(backends, metadata, bs, mode)
        known[bs, mode] = tensors, refresh
    return refresh  # type: ignore[no-any-return]


def _launch(
    owner: Any,
    backends: list[Any],
    bs: int,
    forward_mode: Any,
    seq_lens: Any,
    req_pool_indices: Any,
) -> Optional[tuple[_Refresh, tuple[Any, Any]]]:
    """The refresh that was launched, and its batch; None if SGLang has to do it."""
    if _given_up:
        return None
    try:
        mode = _mode(forward_mode)
        if not mode or not backends or not _served(backends[0]):
            return None
        metadata = [backend.decode_cuda_graph_metadata.get(bs) for backend in backends]
        device = backends[0].req_to_token.device
        if any(one is None for one in metadata):
            # SGLang makes it when it captures a graph: early enough to load the kernel.
            prepare(device)
            announce(device)
            return None
        refresh = _refresh_of(owner, backends, metadata, bs, mode)
        if refresh is None:
            return None
        batch = (
            first("seq_lens", seq_lens, bs),
            first("req_pool_indices", req_pool_indices, bs),
        )
        refresh(*batch)
        return refresh, batch
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
    if refresh.index_kpool > 1:
        backend._update_kpool_metadata_replay(
            metadata, *batch, forward_mode, effective_n_per_batch=effective_n
        )
    if refresh.has_flashmla:
        tokens = metadata.dsa_cache_seqlens_int32.shape[0]
        metadata.flashmla_metadata.slice(slice(0, tokens + 1)).copy_(flashmla)
    backend.forward_metadata = metadata


def _flashmla(backend: Any, refresh: _Refresh) -> Any:
    if not refresh.has_flashmla:
        return None
    return backend._compute_flashmla_metadata(
        cache_seqlens=refresh.metadata[0].dsa_cache_seqlens_int32, seq_len_q=1
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
    launched = _launch(self, [self], bs, forward_mode, seq_lens, req_pool_indices)
    if launched is None:
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
    refresh, batch = launched
    effective_n = None
    if refresh.mode == "draft_extend" and spec_info is not None:
        effective_n = getattr(spec_info, "num_accept_tokens", None)
        effective_n = effective_n if effective_n is None else effective_n[:bs]
    flashmla = _flashmla(self, refresh)
    _finish(self, refresh.metadata[0], refresh, flashmla, batch, forward_mode, effective_n)


def replay_draft_backends(
    original: Any, self: Any, forward_batch: Any, in_capture: bool = False
) -> None:
    """Around DeepseekSparseAttnMultiStepBackend.init_forward_metadata_out_graph."""
    decode = _backend_module().ForwardMode.DECODE
    backends = self.attn_backends[: self.speculative_num_steps - 1]
    launched = None
    if not in_capture:
        launched = _launch(
            self,
            backends,
            forward_batch.batch_size,
            decode,
            forward_batch.seq_lens,
            forward_batch.req_pool_indices,
        )
    if launched is None:
        original(self, forward_batch, in_capture)
        return
    refresh, batch = launched
    flashmla = _flashmla(backends[0], refresh)
    for backend, metadata in zip(backends, refresh.metadata):
        _finish(backend, metadata, refresh, flashmla, batch, decode)
