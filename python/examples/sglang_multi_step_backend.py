# SPDX-License-Identifier: Apache-2.0
"""Where SGLang's multi-step NSA (DSA) backend fills the metadata before a CUDA graph is replayed:
the original call, and the two ways to replace it. Each class stands for SGLang's, and has what the
call needs: attn_backends, each with the metadata of every captured batch size."""

# Before: pointers gathered in a CPU tensor, copied to the GPU, at most 256 requests.
#
#     from sgl_kernel import unified_decode_metadata_cuda
#
#     def init_forward_metadata_replay_cuda_graph(self, forward_batch, bs):
#         pointers = torch.empty((7, self.speculative_num_steps), dtype=torch.int64)
#         for i, backend in enumerate(self.attn_backends):
#             metadata = backend.decode_cuda_graph_metadata[bs]
#             pointers[0, i] = metadata.cache_seqlens_int32.data_ptr()
#             ...
#         unified_decode_metadata_cuda(seq_lens, req_pool_indices, req_to_token, pointers, ...)

import udm
from udm.sgl_kernel import unified_decode_metadata_cuda_direct


class DropIn:
    """The same call, another import. Good if the metadata objects come and go."""

    def __init__(self, attn_backends):
        self.attn_backends = attn_backends
        udm.prepare()  # loads the kernel here, not in the first step

    def init_forward_metadata_replay_cuda_graph(self, forward_batch, bs):
        first = self.attn_backends[0]
        unified_decode_metadata_cuda_direct(
            forward_batch.seq_lens[:bs],
            forward_batch.req_pool_indices[:bs],
            first.req_to_token,
            [backend.decode_cuda_graph_metadata[bs] for backend in self.attn_backends],
            first.nsa_index_topk,
            first.real_page_size,
        )


class BoundOnce:
    """One plan per captured batch size: a step reads two tensors and launches."""

    def __init__(self, attn_backends):
        self.attn_backends = attn_backends
        self.plans = {}  # by batch size; they keep the metadata's tensors alive

    def init_forward_metadata_capture_cuda_graph(self, bs):
        first = self.attn_backends[0]
        self.plans[bs] = udm.Plan(
            [backend.decode_cuda_graph_metadata[bs] for backend in self.attn_backends],
            first.req_to_token,
            first.nsa_index_topk,
            first.real_page_size,
        )

    def init_forward_metadata_replay_cuda_graph(self, forward_batch, bs):
        self.plans[bs](forward_batch.seq_lens[:bs], forward_batch.req_pool_indices[:bs])
