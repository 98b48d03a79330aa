# SPDX-License-Identifier: Apache-2.0
"""Unified decode metadata: the attention metadata of every draft backend in one kernel launch.

    import udm

    udm.unified_decode_metadata_cuda_direct(
        seq_lens, req_pool_indices, req_to_token, metadata_list, nsa_index_topk, real_page_size)

or, with the outputs bound once:

    plan = udm.Plan(metadata_list, req_to_token, nsa_index_topk, real_page_size)
    plan(seq_lens, req_pool_indices)

Importing udm touches neither the driver nor the GPU; the first call, Plan or prepare() loads the
kernel. udm takes tensors of PyTorch, CuPy, JAX and others as they are, and imports none of these.
"""

try:
    from udm import _udm
except ImportError as error:
    from udm import _source_folder

    raise _source_folder.explain(error) from None
from udm._udm import *  # noqa: F403 (the exceptions, one per status)
from udm._udm import (
    Error,
    Image,
    Plan,
    __version__,
    cache_counters,
    image,
    prepare,
    unified_decode_metadata_cuda,
    unified_decode_metadata_cuda_direct,
)

__all__ = [
    "Image",
    "Plan",
    "__version__",
    "cache_counters",
    "image",
    "prepare",
    "unified_decode_metadata_cuda",
    "unified_decode_metadata_cuda_direct",
] + sorted(
    name
    for name, value in vars(_udm).items()
    if isinstance(value, type) and issubclass(value, Error)
)
