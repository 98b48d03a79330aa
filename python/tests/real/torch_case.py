# SPDX-License-Identifier: Apache-2.0
"""One decode step over PyTorch tensors on a GPU, and the eager formulas of SGLang's backend, which
a call of udm replaces."""

from types import SimpleNamespace

import torch
from outputs import OUTPUTS


class TorchCase:
    """shared: the backends' tables are row slices of one buffer, as for CUDA graphs of several
    batch sizes; padding: rows are not contiguous."""

    def __init__(
        self,
        bs,
        backends=3,
        page_size=64,
        topk=2048,
        max_len=4096,
        lengths=torch.int64,
        indices=torch.int64,
        extent="row",
        padding=0,
        shared=False,
        device="cuda",
        seed=0,
    ):
        self.generator = torch.Generator(device).manual_seed(seed)
        self.bs, self.page_size, self.topk = bs, page_size, topk
        self.max_len, self.extent, self.device = max_len, extent, device
        self.req_to_token = self.noise(bs + 3, max_len + padding, low=0)[:, :max_len]
        self.seq_lens = torch.zeros(bs, dtype=lengths, device=device)
        self.req_pool_indices = torch.zeros(bs, dtype=indices, device=device)
        self.draw_lengths()
        pages = -(-max_len // page_size)
        self.buffers = []  # whole memory: what belongs to no output must not change
        self.metadata = []
        pools = [self.noise(backends * (bs + 1), n + padding) for n in (max_len, pages)]
        if shared:
            self.buffers += pools
        for b in range(backends):
            rows = slice(b * (bs + 1), b * (bs + 1) + bs)
            tables = [
                (pool if shared else self.keep(pool[rows.start : rows.stop + 1].clone()))
                for pool in pools
            ]
            if shared:
                tables = [table[rows] for table in tables]
            vectors = [self.keep(self.noise(bs + 3)) for _ in range(5)]
            self.metadata.append(
                SimpleNamespace(
                    cache_seqlens_int32=vectors[0][:bs],
                    cu_seqlens_k=vectors[1][: bs + 1],
                    page_table_1=tables[0][:bs, :max_len],
                    nsa_cache_seqlens_int32=vectors[2][:bs],
                    nsa_cu_seqlens_k=vectors[3][: bs + 1],
                    real_page_table=tables[1][:bs, :pages],
                    nsa_seqlens_expanded=vectors[4][:bs],
                )
            )
        torch.cuda.synchronize()  # later calls may use another current stream

    def keep(self, tensor):
        self.buffers.append(tensor)
        return tensor

    def noise(self, *shape, low=-(1 << 31)):
        noise = torch.randint(
            low, (1 << 31) - 1, shape, generator=self.generator, device=self.device
        )
        return noise.to(torch.int32)

    def draw_lengths(self):
        """New inputs in place; some lengths are 0, as for padding."""
        random = {"generator": self.generator, "device": self.device}
        lengths = torch.randint(1, self.max_len + 1, (self.bs,), **random)
        self.seq_lens.copy_(torch.where(torch.rand(self.bs, **random) < 0.15, 0, lengths))
        self.req_pool_indices.copy_(torch.randperm(self.bs + 3, **random)[: self.bs])

    def eager(self, metadata):
        """The formulas, in place. With extent 'row' the tail of each row keeps its old values."""
        lengths = self.seq_lens.to(torch.int32)
        cut = lengths.clamp(max=self.topk)
        metadata.cache_seqlens_int32.copy_(lengths)
        metadata.nsa_seqlens_expanded.copy_(lengths)
        metadata.nsa_cache_seqlens_int32.copy_(cut)
        for prefix, values in ((metadata.cu_seqlens_k, lengths), (metadata.nsa_cu_seqlens_k, cut)):
            prefix[0] = 0
            prefix[1:].copy_(torch.cumsum(values, 0, dtype=torch.int32))
        if self.bs == 0:
            return
        longest = int(lengths.max())
        rows = self.req_to_token[self.req_pool_indices.long(), :longest]
        pages = rows[:, :: self.page_size] // self.page_size
        page_lengths = (lengths + self.page_size - 1) // self.page_size
        self.copy_rows(metadata.page_table_1, rows, lengths)
        if self.page_size > 1:
            self.copy_rows(metadata.real_page_table, pages, page_lengths)

    def copy_rows(self, table, rows, lengths):
        columns = torch.arange(rows.shape[1], device=self.device)
        live = columns[None, :] < lengths[:, None]
        target = table[:, : rows.shape[1]]
        target.copy_(rows if self.extent == "batch_max" else torch.where(live, rows, target))

    def expected(self):
        """The buffers after the eager formulas. Restores the case itself."""
        before = [buffer.clone() for buffer in self.buffers]
        for metadata in self.metadata:
            self.eager(metadata)
        wanted = [buffer.clone() for buffer in self.buffers]
        for buffer, old in zip(self.buffers, before):
            buffer.copy_(old)
        torch.cuda.synchronize()
        return wanted

    def check(self, wanted):
        torch.cuda.synchronize()
        for index, (found, want) in enumerate(zip(self.buffers, wanted)):
            assert torch.equal(found, want), f"buffer {index} of batch size {self.bs}"

    def inputs(self):
        return self.seq_lens, self.req_pool_indices, self.req_to_token

    def pointers(self, device="cpu"):
        rows = [
            [0 if o == "real_page_table" and self.page_size == 1 else getattr(m, o).data_ptr()
             for m in self.metadata]
            for o in OUTPUTS
        ]  # fmt: skip
        return torch.tensor(rows, dtype=torch.int64, device=device)
