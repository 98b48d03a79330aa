# SPDX-License-Identifier: Apache-2.0
"""SGLang's functions that fill the metadata of its DSA attention backend, under their names and
with their arguments, from 0.5.20 (real_page_size) to 0.5.23 (physical_page_size):

    from udm.sglang import fused_dsa_decode_metadata

Each is one launch. The columns within a row's length are SGLang's, bit for bit, and so are all
lengths. Two things differ, and no consumer reads either:

- SGLang writes page tables in whole blocks of 128 columns, beyond a row's length. udm writes the
  columns of the length alone.
- Tokens past the sum of extend_seq_lens get length 0; SGLang gives them one of request 0.

If udm is installed, SGLang uses it without any import: see the plug-in in python/README.md.
"""

from types import SimpleNamespace
from typing import Any, Literal, Optional

from udm._udm import unified_decode_metadata_cuda_direct

__all__ = [
    "fused_dsa_decode_metadata",
    "fused_dsa_decode_metadata_kpool",
    "fused_dsa_draft_extend_metadata",
    "fused_dsa_draft_extend_metadata_kpool",
    "fused_dsa_target_verify_metadata",
    "fused_dsa_target_verify_metadata_kpool",
    "get_paged_mqa_logits_metadata",
]


_NAMES = (
    "cache_seqlens_int32",
    "cu_seqlens_k",
    "page_table_1",
    "dsa_cache_seqlens_int32",
    "dsa_cu_seqlens_k",
    "real_page_table",
    "dsa_seqlens_expanded",
)


def _outputs(**tensors: Any) -> SimpleNamespace:
    """A metadata object with these outputs; udm does not write the others."""
    return SimpleNamespace(**{**dict.fromkeys(_NAMES), **tensors})


def _given(function: str, **arguments: Optional[int]) -> None:
    """Arguments that are required: a default only lets callers name the page size as they do."""
    for name, value in arguments.items():
        if value is None:
            raise TypeError(f"{function}() missing required argument '{name}'")


def _page_size(
    function: str, physical_page_size: Optional[int], real_page_size: Optional[int]
) -> Any:
    if (physical_page_size is None) == (real_page_size is None):
        raise TypeError(f"{function}() needs physical_page_size or real_page_size, and not both")
    return real_page_size if physical_page_size is None else physical_page_size


def first(name: str, tensor: Any, count: int) -> Any:
    """The elements of the batch: SGLang's buffers may be longer."""
    length = tensor.shape[0]
    if length < count:
        raise ValueError(f"{name} has {length} elements: the batch has {count}")
    return tensor if length == count else tensor[:count]


def _fill(
    seq_lens: Any,
    req_pool_indices: Any,
    req_to_token: Any,
    outputs: SimpleNamespace,
    bs: int,
    max_len: int,
    topk: int,
    page_size: int,
    **options: Any,
) -> None:
    unified_decode_metadata_cuda_direct(
        first("seq_lens", seq_lens, bs),
        req_pool_indices,
        req_to_token,
        (outputs,),
        topk,
        page_size,
        max_len=min(max_len, req_to_token.shape[1]),
        **options,
    )


def fused_dsa_decode_metadata(
    seq_lens: Any,
    req_pool_indices: Any,
    req_to_token: Any,
    cache_seqlens: Any,
    cu_seqlens_k: Any,
    page_table_1: Any,
    dsa_cache_seqlens: Any,
    dsa_cu_seqlens_k: Any,
    real_page_table: Any,
    bs: int,
    max_len: int,
    dsa_index_topk: int,
    physical_page_size: Optional[int] = None,
    index_kpool: int = 1,
    *,
    real_page_size: Optional[int] = None,
) -> None:
    """Fills the metadata of a decode step; page_table_1 may be None. index_kpool > 1 is what
    SGLang's KPool form does."""
    page_size = _page_size("fused_dsa_decode_metadata", physical_page_size, real_page_size)
    outputs = _outputs(
        cache_seqlens_int32=cache_seqlens,
        cu_seqlens_k=cu_seqlens_k,
        page_table_1=page_table_1,
        dsa_cache_seqlens_int32=dsa_cache_seqlens,
        dsa_cu_seqlens_k=dsa_cu_seqlens_k,
        real_page_table=real_page_table,
    )
    _fill(
        seq_lens,
        req_pool_indices,
        req_to_token,
        outputs,
        bs,
        max_len,
        dsa_index_topk,
        page_size,
        index_kpool=index_kpool,
    )


def fused_dsa_target_verify_metadata(
    seq_lens: Any,
    req_pool_indices: Any,
    req_to_token: Any,
    cache_seqlens: Any,
    cu_seqlens_k: Any,
    page_table_1: Any,
    seqlens_expanded: Any,
    dsa_cache_seqlens: Any,
    dsa_cu_seqlens_k: Any,
    real_page_table: Any,
    bs: int,
    max_seqlen_k: int,
    dsa_index_topk: int,
    physical_page_size: Optional[int] = None,
    next_n: Optional[int] = None,
    paged_mqa_ctx_lens_2d: Any = None,
    index_kpool: int = 1,
    *,
    real_page_size: Optional[int] = None,
) -> None:
    """Fills the metadata of a verify step of next_n tokens per request. paged_mqa_ctx_lens_2d, of
    shape [bs, next_n], gets the length of the request per token."""
    function = "fused_dsa_target_verify_metadata"
    page_size = _page_size(function, physical_page_size, real_page_size)
    _given(function, next_n=next_n)
    outputs = _outputs(
        cache_seqlens_int32=cache_seqlens,
        cu_seqlens_k=cu_seqlens_k,
        page_table_1=page_table_1,
        dsa_cache_seqlens_int32=dsa_cache_seqlens,
        dsa_cu_seqlens_k=dsa_cu_seqlens_k,
        real_page_table=real_page_table,
        dsa_seqlens_expanded=seqlens_expanded,
        paged_mqa_ctx_lens_2d=paged_mqa_ctx_lens_2d,
    )
    _fill(
        seq_lens,
        req_pool_indices,
        req_to_token,
        outputs,
        bs,
        max_seqlen_k,
        dsa_index_topk,
        page_size,
        index_kpool=index_kpool,
        mode="target_verify",
        tokens_per_request=next_n,
        extra_outputs=("paged_mqa_ctx_lens_2d",),
        ctx_lens_of_request=True,
    )


def fused_dsa_draft_extend_metadata(
    seq_lens: Any,
    extend_seq_lens: Any,
    req_pool_indices: Any,
    req_to_token: Any,
    cache_seqlens: Any,
    cu_seqlens_k: Any,
    page_table_1: Any,
    seqlens_expanded: Any,
    dsa_cache_seqlens: Any,
    dsa_cu_seqlens_k: Any,
    real_page_table: Any,
    bs: int,
    total_len: int,
    max_seqlen_k: int,
    dsa_index_topk: int,
    physical_page_size: Optional[int] = None,
    max_extend_len: Optional[int] = None,
    max_total_len: Optional[int] = None,
    static_extend_len: bool = False,
    index_kpool: int = 1,
    *,
    real_page_size: Optional[int] = None,
) -> None:
    """Fills the metadata of a draft extend step of total_len tokens. The kernel reads the tokens
    per request in extend_seq_lens, so max_extend_len, max_total_len and static_extend_len, which
    tell SGLang's kernels how large their blocks are, change nothing."""
    function = "fused_dsa_draft_extend_metadata"
    page_size = _page_size(function, physical_page_size, real_page_size)
    _given(function, max_extend_len=max_extend_len, max_total_len=max_total_len)
    outputs = _outputs(
        cache_seqlens_int32=cache_seqlens,
        cu_seqlens_k=cu_seqlens_k,
        page_table_1=page_table_1,
        dsa_cache_seqlens_int32=dsa_cache_seqlens,
        dsa_cu_seqlens_k=dsa_cu_seqlens_k,
        real_page_table=real_page_table,
        dsa_seqlens_expanded=seqlens_expanded,
    )
    _fill(
        seq_lens,
        req_pool_indices,
        req_to_token,
        outputs,
        bs,
        max_seqlen_k,
        dsa_index_topk,
        page_size,
        index_kpool=index_kpool,
        mode="draft_extend",
        extend_lens=extend_seq_lens,
        num_tokens=total_len,
    )


fused_dsa_decode_metadata_kpool = fused_dsa_decode_metadata
fused_dsa_target_verify_metadata_kpool = fused_dsa_target_verify_metadata
fused_dsa_draft_extend_metadata_kpool = fused_dsa_draft_extend_metadata


def get_paged_mqa_logits_metadata(
    context_lens: Any,
    block_kv: int,
    num_sms: int,
    *,
    out: Any = None,
    variant: Optional[Literal["sm90", "sm100"]] = None,
) -> Any:
    """The schedule of DeepGEMM's function of this name, in one launch and in place.

    context_lens  int32 [rows], or [rows, next_n]: tokens that each row attends to
    block_kv      64
    num_sms       SMs that share the work
    out           int32 [num_sms + 1, 2], contiguous; None: a new tensor
    variant       'sm90' or 'sm100': the rule of the DeepGEMM that reads the schedule. Needed if
                  next_n is 2 or more; with 1 it is 'sm90' on every GPU

    Returns out. If all lengths are 0, every entry is 0; DeepGEMM's function reads outside its
    arrays then.
    """
    if block_kv != 64:
        raise ValueError(f"block_kv is {block_kv}: udm has the schedule for 64")
    dimensions = len(context_lens.shape)
    if dimensions not in (1, 2):
        raise ValueError(f"context_lens has {dimensions} dimensions: it must have 1 or 2")
    next_n = context_lens.shape[1] if dimensions == 2 else 1
    if next_n > 1 and variant is None:
        raise ValueError(
            f"variant is missing: context_lens has {next_n} columns, for which DeepGEMM's rules "
            "'sm90' and 'sm100' differ"
        )
    if out is None:
        out = context_lens.new_empty((num_sms + 1, 2))
    elif out.shape[0] != num_sms + 1:
        raise ValueError(f"out has {out.shape[0]} rows: {num_sms} SMs need {num_sms + 1}")
    lengths = context_lens[:, -1].contiguous() if next_n > 1 else context_lens.reshape(-1)
    # With max_len 0 nothing reads the tables: any int32 tensors will do for them.
    unified_decode_metadata_cuda_direct(
        lengths,
        lengths,
        out,
        (_outputs(paged_mqa_schedule_metadata=out),),
        0,
        1,
        max_len=0,
        extra_outputs=("paged_mqa_schedule_metadata",),
        schedule_variant=variant or "sm90",
        schedule_next_n=next_n if next_n > 1 else 0,
    )
    return out
