# SPDX-License-Identifier: Apache-2.0
"""One decode step over NumPy arrays: random inputs, outputs full of noise, and the values that
SGLang's own formulas expect in them afterwards."""

from types import SimpleNamespace

import numpy as np
from outputs import OUTPUTS

TABLES = ("page_table_1", "real_page_table")


def later_spelling(attribute):
    """The name that newer servers use."""
    return attribute.replace("nsa_", "dsa_")


class DecodeCase:
    """seq_lens, req_pool_indices and req_to_token, and a namespace of arrays per backend."""

    def __init__(
        self,
        batch_size,
        backends=3,
        page_size=64,
        topk=48,
        max_len=300,
        lengths=np.int32,
        indices=np.int32,
        extent="row",
        padding=0,
        seed=0,
    ):
        self.rng = np.random.default_rng(seed)
        self.batch_size, self.page_size, self.topk = batch_size, page_size, topk
        self.max_len, self.extent = max_len, extent
        requests = batch_size + 3
        pool = self.noise(requests, max_len + padding, low=0, high=1 << 30)
        self.req_to_token = pool[:, :max_len]
        self.seq_lens = np.zeros(batch_size, lengths)
        self.req_pool_indices = np.zeros(batch_size, indices)
        self.draw_lengths()
        self.buffers = []  # the whole memory of each output, and the elements around it
        self.backends = [self.make_backend(padding) for _ in range(backends)]

    def noise(self, *shape, low=-(1 << 31), high=1 << 31):
        return self.rng.integers(low, high, shape, np.int64).astype(np.int32)

    def draw_lengths(self):
        """New inputs in place: mostly within the tables, some 0 (padding), one longer."""
        lengths = self.rng.integers(1, self.max_len + 1, self.batch_size)
        lengths[self.rng.random(self.batch_size) < 0.2] = 0
        if self.batch_size > 4:
            lengths[1] = self.max_len
            lengths[3] = self.max_len + 7
        self.seq_lens[:] = lengths
        self.req_pool_indices[:] = self.rng.permutation(len(self.req_to_token))[: self.batch_size]

    def make_backend(self, padding):
        pages = -(-self.max_len // self.page_size)
        arrays = {}
        for attribute in OUTPUTS:
            if attribute in TABLES:
                columns = self.max_len if attribute == "page_table_1" else pages
                buffer = self.noise(self.batch_size + 1, columns + padding)
                arrays[attribute] = buffer[: self.batch_size, :columns]
            else:
                extra = 1 if "cu_seqlens" in attribute else 0
                buffer = self.noise(self.batch_size + 3)
                arrays[attribute] = buffer[: self.batch_size + extra]
            self.buffers.append(buffer)
        return SimpleNamespace(**arrays)

    def expected(self):
        """The values that every buffer must hold after the call. Call this before it."""
        copies = [buffer.copy() for buffer in self.buffers]
        for b in range(len(self.backends)):
            self.fill(copies[b * len(OUTPUTS) : (b + 1) * len(OUTPUTS)])
        return copies

    def fill(self, outputs):
        by_name = dict(zip(OUTPUTS, outputs))
        n = self.batch_size
        lengths = np.clip(self.seq_lens.astype(np.int64), 0, (1 << 31) - 1)
        clipped = np.minimum(lengths, self.topk)
        by_name["cache_seqlens_int32"][:n] = lengths
        by_name["nsa_seqlens_expanded"][:n] = lengths
        by_name["cu_seqlens_k"][: n + 1] = np.concatenate(([0], lengths)).cumsum()
        by_name["nsa_cache_seqlens_int32"][:n] = clipped
        by_name["nsa_cu_seqlens_k"][: n + 1] = np.concatenate(([0], clipped)).cumsum()
        longest = lengths.max(initial=0)
        for i in range(n):
            written = longest if self.extent == "batch_max" else lengths[i]
            written = min(written, self.max_len)
            row = self.req_to_token[self.req_pool_indices[i], :written]
            by_name["page_table_1"][i, :written] = row
            if self.page_size > 1:
                pages = row[:: self.page_size] // self.page_size
                by_name["real_page_table"][i, : len(pages)] = pages

    def check(self, expected):
        """Compares every element of every buffer, also elements that belong to no output."""
        for index, (found, wanted) in enumerate(zip(self.buffers, expected)):
            where = f"backend {index // len(OUTPUTS)}, {OUTPUTS[index % len(OUTPUTS)]}"
            np.testing.assert_array_equal(found, wanted, err_msg=where)

    def pointers(self):
        """backend_pointers, in host memory."""
        rows = [[getattr(b, o).ctypes.data for b in self.backends] for o in OUTPUTS]
        return np.array(rows, np.int64)
