# The types of the C part of udm. SPDX-License-Identifier: Apache-2.0
#
# Any stands for a tensor on a CUDA device (PyTorch, CuPy, JAX, or another with DLPack), for an
# object with the attributes that unified_decode_metadata_cuda_direct() documents, and for a
# framework's stream or device.
from typing import Any, Final, Literal, Optional, Union, final

__version__: str

def unified_decode_metadata_cuda_direct(
    seq_lens: Any,
    req_pool_indices: Any,
    req_to_token: Any,
    backend_metadata_list: Union[list[Any], tuple[Any, ...]],
    nsa_index_topk: int,
    real_page_size: int,
    *,
    extend_lens: Any = None,
    stream: Any = None,
    extent: Literal["row", "batch_max"] = "row",
    max_len: Optional[int] = None,
    mode: Literal["decode", "target_verify", "draft_extend"] = "decode",
    tokens_per_request: Optional[int] = None,
    num_tokens: Optional[int] = None,
    index_kpool: int = 1,
    seqlen_offset: Union[int, list[int], tuple[int, ...]] = 0,
    row_per_request: bool = False,
    skip_padding: bool = False,
    extra_outputs: Union[list[str], tuple[str, ...]] = (),
    ctx_lens_of_request: bool = False,
    schedule_variant: Optional[Literal["sm90", "sm100"]] = None,
    schedule_next_n: int = 0,
) -> None: ...
def unified_decode_metadata_cuda(
    seq_lens: Any,
    req_pool_indices: Any,
    req_to_token: Any,
    backend_pointers: Any,
    max_len_allocated: int,
    nsa_index_topk: int,
    real_page_size: int,
    real_page_table_cols: int,
    real_page_table_dst_stride: int,
    *,
    extent: Literal["row", "batch_max"] = "row",
    stream: Any = None,
) -> None: ...
def prepare(device: Any = None) -> None: ...
def library_finds_nvrtc() -> bool: ...
def image(device: Any = None) -> Image: ...
def cache_counters() -> dict[str, int]: ...

@final
class Image(tuple[str, int, str, int]):
    __match_args__: Final = ("source", "architecture", "producer", "bytes")
    n_fields: Final[int] = ...
    n_sequence_fields: Final[int] = ...
    n_unnamed_fields: Final[int] = ...
    @property
    def source(
        self,
    ) -> Literal["cache", "read-only layer", "nvrtc", "nvrtc ptx", "shipped ptx"]: ...
    @property
    def architecture(self) -> int: ...
    @property
    def producer(self) -> str: ...
    @property
    def bytes(self) -> int: ...

@final
class Plan:
    @property
    def device(self) -> int: ...
    @property
    def num_backends(self) -> int: ...
    @property
    def max_len(self) -> int: ...
    @property
    def max_batch_size(self) -> int: ...
    def __new__(
        cls,
        metadata_list: Union[list[Any], tuple[Any, ...]],
        req_to_token: Any,
        nsa_index_topk: int,
        real_page_size: int,
        *,
        max_batch_size: Optional[int] = None,
        extent: Literal["row", "batch_max"] = "row",
        max_len: Optional[int] = None,
        mode: Literal["decode", "target_verify", "draft_extend"] = "decode",
        tokens_per_request: Optional[int] = None,
        num_tokens: Optional[int] = None,
        index_kpool: int = 1,
        seqlen_offset: Union[int, list[int], tuple[int, ...]] = 0,
        row_per_request: bool = False,
        skip_padding: bool = False,
        extra_outputs: Union[list[str], tuple[str, ...]] = (),
        ctx_lens_of_request: bool = False,
        schedule_variant: Optional[Literal["sm90", "sm100"]] = None,
        schedule_next_n: int = 0,
    ) -> Plan: ...
    def __call__(
        self, seq_lens: Any, req_pool_indices: Any, extend_lens: Any = None, *, stream: Any = None
    ) -> None: ...

class Error(RuntimeError):
    status: str

class InvalidArgumentError(Error, ValueError): ...
class OutOfMemoryError(Error): ...
class NoDriverError(Error): ...
class NoDeviceError(Error): ...
class NoCurrentContextError(Error): ...
class DriverError(Error): ...
class NoNvrtcError(Error): ...
class CompileError(Error): ...
class UnsupportedArchError(Error): ...
class NoImageError(Error): ...
class CacheError(Error): ...
class NotFoundError(Error): ...
class CaptureError(Error): ...
class CancelledError(Error): ...
